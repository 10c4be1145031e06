"""A failure: which task, where in the user's code, what, its last words, the cause where known, and what to do.

    failed in task 2 model_fit, after 38 ms

      iris/driver.py:15  in model_fit
      ValueError: C must be positive

      last output (stderr)
      │ ConvergenceWarning: ...

    next  inferflow show 20251122-201403-kf model_fit

The same lines stand in ``inferflow show RUN`` and at the end of a failed ``inferflow run``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from inferflow.model import Attempt, Run, TaskFailed, TaskGraph, WorkerLost
from inferflow.records import frozen
from inferflow.render.style import bullet, clean, clip, compose, paint, uncolored, wrap
from inferflow.render.units import duration, size

__all__ = ["failure_lines", "last_lines", "render_failure", "resume_command", "without"]

FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?$', re.MULTILINE)

LAST = 6
"""So many last lines of output are shown."""


@frozen
class _Failure:
    """What is known of it; ``task`` is -1 outside all tasks."""

    task: int
    exception: str = ""
    message: str = ""
    traceback: str = ""
    path: str = ""
    line: int = 0
    after: float = 0.0
    where: str = ""
    memory: int = 0
    stdout: str = ""
    stderr: str = ""


def render_failure(graph: TaskGraph, run: Run, width: int = 80, color: bool = False, *, output: bool = True) -> str:
    """The failure of a run with its next step, ending in a newline; ``""`` for a run that did not fail. ``output``:
    with the last lines that the task wrote (which a terminal may have shown already)."""
    lines = failure_lines(graph, run, width, color, f"inferflow: run {run.id} ", output=output)
    if not lines:
        return ""
    found = _find(run)
    name = f" {clean(graph.tasks[found.task].name)}" if found and found.task >= 0 else ""
    steps = [compose([("next  ", "dim"), (f"inferflow show {run.id}{name}", "link")], width, color)]
    resume = resume_command(run)
    if resume:
        steps.append(compose([("      ", "dim"), (resume, "link")], width, color))
    return "\n".join([*lines, "", *steps]) + "\n"


def resume_command(run: Run, where: str = "") -> str:
    """How to go on with a run that did not end well; empty if nothing of it can be used again. ``where``: options that
    stand before the command."""
    if run.status in ("ok", "running") or not any(a.usable and a.status == "retired" for a in run.attempts):
        return ""
    return f"inferflow {where}run {clean(run.started.target)} --resume {run.id}"


def failure_lines(
    graph: TaskGraph, run: Run, width: int = 80, color: bool = False, lead: str = "", *, output: bool = True
) -> list[str]:
    """The failure without the next step, its first line after ``lead``; no lines for a run that ended well or is still
    going on."""
    if run.status in ("ok", "running"):
        return []
    found = _find(run)
    head = f"{lead}{_verb(run, found)} {_where(graph, run, found)}"
    lines = [paint(part, "fail", color) for part in wrap(head, width)]
    if found and (told := _what(found, width, color)):
        lines += ["", *told]
    if found and (missing := _missing_package(run, found)):
        lines += ["", *bullet(("cause: ", "fail"), missing, width, color)]
    for lost in _lost(run):
        if not (found and lost.cause and lost.cause in found.message):
            lines += ["", *bullet(("cause: ", "fail"), _cause(lost, found), width, color)]
    if run.status == "killed":
        text = "inferflow itself was ended before the run was over; what had been recorded by then is kept"
        lines += ["", *bullet(("cause: ", "fail"), text, width, color)]
    if found and output:
        lines += _output(found, width, color)
    return lines


def _missing_package(run: Run, found: _Failure) -> str:
    """What to do about a package that the container's image lacks; empty if that is not what is wrong."""
    if found.exception == "PlacementFailed" and (match := re.search(r"No module named \\?'([^'.\\]+)", found.message)):
        return (
            f"the image of this task has no package {match[1]}. Name it in requirements.txt or pyproject.toml, build "
            f"an image (inferflow image {run.started.target}), and name it, or another that has the package, in the "
            "table of [tasks] that places the task"
        )
    image = run.started.environment.image.rpartition(" (")[0]
    match = re.match(r"No module named '([^'.]+)", found.message)
    if not image or image == "host" or found.exception != "ModuleNotFoundError" or match is None:
        return ""
    return (
        f"the image {image} has no package {match[1]}. Name it in requirements.txt or pyproject.toml and build an "
        f"image (inferflow image {run.started.target}), or run with one that has it (--image)"
    )


def _find(run: Run) -> _Failure | None:
    failed = [attempt for attempt in run.attempts if attempt.status == "failed"]
    if failed:
        return _of_attempt(min(failed, key=lambda attempt: attempt.task))
    if run.driver_failure:
        return _of_event(run.driver_failure)
    if run.status in ("crashed", "killed", "interrupted"):
        cut = [
            attempt for attempt in run.attempts if attempt.status in ("running", "dropped") and attempt.where == "home"
        ]
        if cut:
            return _of_attempt(cut[-1])
    return None


def _of_attempt(attempt: Attempt) -> _Failure:
    return _Failure(
        task=attempt.task,
        exception=attempt.exception,
        message=attempt.message,
        traceback=attempt.traceback,
        path=attempt.path,
        line=attempt.line,
        after=attempt.duration,
        where=attempt.where,
        memory=attempt.peak_memory,
        stdout=attempt.stdout,
        stderr=attempt.stderr,
    )


def _of_event(event: TaskFailed) -> _Failure:
    return _Failure(
        task=event.task,
        exception=event.exception,
        message=event.message,
        traceback=event.traceback,
        path=event.path,
        line=event.line,
        after=event.duration,
        memory=event.peak_memory,
        stdout=event.stdout,
        stderr=event.stderr,
    )


def _verb(run: Run, found: _Failure | None) -> str:
    if run.status == "failed" and found is None and run.finished:
        return f"ended itself with status {run.finished.exit_code}"
    return {"killed": "was killed", "interrupted": "was interrupted"}.get(run.status, run.status)


def _where(graph: TaskGraph, run: Run, found: _Failure | None) -> str:
    if found is None:
        done = [attempt.task for attempt in run.attempts if attempt.status == "retired" and attempt.task >= 0]
        return f"after task {done[-1] + 1} {clean(graph.tasks[done[-1]].name)}" if done else "before its first task"
    if found.task < 0:
        return "outside its tasks" if run.attempts else "before its first task (in an import or a definition)"
    task = graph.tasks[found.task]
    text = f"in task {found.task + 1} {clean(task.name)}"
    if found.after >= 0.001:
        text += f", after {duration(found.after)}"
    return text + (", in a helper" if found.where == "ahead" else "")


def _what(found: _Failure, width: int, color: bool) -> list[str]:
    lines = []
    place = f"{found.path}:{found.line}" if found.path and found.line else ""
    function, code = _frame(found)
    if place:
        inside = f"  in {function}" if function and function != "<module>" else ""
        lines.append(compose([("  ", ""), (clean(place), "title"), (clean(inside), "dim")], width, color))
        if code:
            lines.append(compose([("    ", ""), (clean(code), "")], width, color))
    name = found.exception.removeprefix("builtins.")
    said = ": ".join(part for part in (name, found.message) if part)
    first, *rest = clean(uncolored(said)).splitlines()[:8] or [""]
    lines += bullet(("", ""), first, width, color, role="fail", limit=4) if first else []
    for line in rest:
        lines += bullet(("", ""), line, width, color, indent=4, limit=4)
    return lines


def _frame(found: _Failure) -> tuple[str, str]:
    """The function and the line of code of the last frame of the traceback that stands at ``found``'s place."""
    name = code = ""
    lines = found.traceback.splitlines()
    for number, line in enumerate(lines):
        match = FRAME.match(line)
        if match and int(match["line"]) == found.line and match["path"].endswith(found.path.lstrip("./")):
            name = match["name"] or ""
            after = lines[number + 1].strip() if number + 1 < len(lines) else ""
            code = "" if FRAME.match(after) else after
    return name, code


def _lost(run: Run) -> list[WorkerLost]:
    """Lost workers that explain a failure: home's end does; a helper's never, its task is simply run again."""
    home = {worker.worker for worker in run.workers if worker.role == "home"}
    return [lost for lost in run.lost if lost.worker in home]


def _cause(lost: WorkerLost, found: _Failure | None) -> str:
    if lost.cause:
        return clean(lost.cause)
    text = f"the process was killed by {lost.signal}" if lost.signal else f"the process ended, status {lost.exit_code}"
    if found and found.memory:
        text += f" (it had used up to {size(found.memory)})"
    hints = {
        "SIGKILL": "most often that is the kernel, out of memory: give it more, or take less data at a time",
        "SIGSEGV": "a library written in C went wrong: try its other versions, or PYTHONFAULTHANDLER=1",
        "SIGABRT": "a library written in C gave up: its last words are below, if it had any",
        "SIGBUS": "a file that was mapped into memory got shorter, or a disk is full",
    }
    return text + (f"; {hints[lost.signal]}" if lost.signal in hints else "")


def _output(found: _Failure, width: int, color: bool) -> list[str]:
    lines = []
    for stream, text in (("stdout", found.stdout), ("stderr", found.stderr)):
        # The traceback is told already; what a task said before it is not.
        shown = last_lines(without(text, found.traceback), LAST)
        if shown:
            lines += ["", paint(f"  last output ({stream})", "dim", color)]
            lines += [compose([("  │ ", "dim"), (clip(line, width - 4), "")], width, color) for line in shown]
    return lines


def without(text: str, traceback: str) -> str:
    """A stream without the traceback that Python wrote to it."""
    return text.replace(traceback, "") if traceback.strip() else text


def last_lines(text: str, limit: int) -> list[str]:
    """The last lines that are not blank, as a terminal would have left them (of a line rewritten after ``\\r``, its
    last state)."""
    return list(_lines(text))[-limit:]


def _lines(text: str) -> Iterable[str]:
    for line in text.split("\n"):
        shown = [part for part in line.split("\r") if part.strip()]
        if shown:
            yield clean(shown[-1]).rstrip()
