"""Runs as text: the list of them, and one in a page.

    20251122-201403-kf  iris/driver.py                                          ok
    2025-11-22 20:14:03 · 2.4 s · 3 tasks · process backend, 2 processes
    ...
    #  task       status  ran    time    memory  kept
    ─  ─────────  ──────  ─────  ──────  ──────  ───────────────────────────
    1  load_data  ok      home    38 ms  84 MiB  X ndarray float64 (150, 2)

Times are in the reader's time zone. Of a task that was tried several times, the attempt that counts is shown: the last
that was not dropped.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from inferflow.model import Attempt, FileUse, Run, StoredValue, Task, TaskGraph
from inferflow.render.failure import failure_lines, resume_command
from inferflow.render.outline import titled
from inferflow.render.regions import region_text
from inferflow.render.style import Piece, bullet, clean, compose, paint, table
from inferflow.render.units import ago, count, duration, moment, size

__all__ = ["counting", "kind_note", "kind_text", "render_run", "render_runs", "status_role", "value_name", "value_text"]

MARGIN = 13
"""The column at which the facts of a run begin."""

MANY = 8
"""So many items of one kind are told; the rest are counted."""

AMOUNT = re.compile(r"\d+ [a-z]")
"""How a summary begins that counts what is in the value."""

LONG = 60
"""A run of more tasks than this shows one line each."""


def render_runs(runs: Sequence[Run], width: int = 80, color: bool = False, *, now: float | None = None) -> str:
    """The runs in the order given, ending in a newline. ``now``: seconds since the epoch, for ``5 min ago``."""
    if not runs:
        return "no runs here yet\n\nnext  inferflow run driver.py\n"
    today = time.time() if now is None else now
    rows = [
        [
            (run.id, "name"),
            (ago(run.started.time, today), "dim"),
            (clean(run.started.target), ""),
            (run.status, status_role(run.status)),
            (duration(run.duration), ""),
            (_progress(run), "dim"),
        ]
        for run in runs
    ]
    head = ["run", "started", "driver", "status", "time", "tasks"]
    lines = table(head, rows, width, color, right=frozenset({4, 5}), shrink=(2, 1))
    lines += ["", _next([f"inferflow show {runs[0].id}"], width, color)[0]]
    return "\n".join(lines) + "\n"


def _progress(run: Run) -> str:
    """How many tasks are done, of how many begun."""
    best = counting(run)
    done = sum(attempt.status == "retired" for attempt in best.values())
    return str(done) if done == len(best) else f"{done} of {len(best)}"


def counting(run: Run) -> dict[int, Attempt]:
    """The attempt that counts, for each task that was begun."""
    found: dict[int, Attempt] = {}
    for attempt in run.attempts:
        before = found.get(attempt.task)
        if before is None or attempt.status != "dropped" or before.status == "dropped":
            found[attempt.task] = attempt
    return found


def status_role(status: str) -> str:
    """The colour of a status."""
    return {"ok": "ok", "retired": "ok", "failed": "fail", "crashed": "fail", "killed": "fail", "running": "link"}.get(
        status, "warn"
    )


def render_run(graph: TaskGraph, run: Run, width: int = 80, color: bool = False) -> str:
    """One run, ending in a newline: its head, code, parameters, environment, tasks, what it returned, its certificate,
    its failure, and what to look at next."""
    lines = [*_head(graph, run, width, color), "", *_facts(graph, run, width, color)]
    if graph.tasks:
        lines += ["", *_tasks(graph, run, width, color)]
    lines += _returned(run, width, color)
    lines += _certificate(run, width, color)
    failed = failure_lines(graph, run, width, color)
    if failed:
        lines += ["", *failed]
    return "\n".join([*lines, "", *_next(_commands(graph, run, bool(failed)), width, color)]) + "\n"


def _head(graph: TaskGraph, run: Run, width: int, color: bool) -> list[str]:
    started = run.started
    target = clean(started.target)
    status: str = run.status
    if run.finished and run.finished.exit_code not in (0, 1):
        status += f" (exit status {run.finished.exit_code})"
    title = compose(
        [(run.id, "name"), ("  ", ""), (target, "title")], width, color, [(status, status_role(run.status))]
    )
    parts = [moment(started.time), duration(run.duration), count(len(graph.tasks), "task")]
    parts.append(f"{started.backend} backend" + (f", {started.jobs} processes" if started.jobs > 1 else ""))
    return [title, compose([(" · ".join(part for part in parts if part), "dim")], width, color)]


def _facts(graph: TaskGraph, run: Run, width: int, color: bool) -> list[str]:
    started = run.started
    code, environment = started.code, started.environment
    some = ", ".join(code.dirty[:3]) + (", …" if len(code.dirty) > 3 else "")
    changed = f"{count(len(code.dirty), 'file')} changed since: {some}" if code.dirty else "nothing changed since"
    if code.commit:
        where = f"{code.commit[:10]} on {code.branch or 'no branch'}, {changed}"
    else:
        where = "in git, but in no commit yet" if code.dirty else "not in git"
    where += f"; driver {code.driver_digest[:10]}" if code.driver_digest else ""
    where += f"; {count(len(code.functions), 'function')} reached" if code.functions else ""
    facts = [("code", where)]
    if started.parameters:
        facts.append(("parameters", ", ".join(f"{name}={value}" for name, value in started.parameters)))
    if started.arguments:
        facts.append(("arguments", " ".join(started.arguments)))
    facts.append(("folder", started.folder))
    python = f"Python {environment.python}" + (
        f" ({environment.implementation})" if environment.implementation not in ("", "CPython", "cpython") else ""
    )
    machine = [python, environment.platform, environment.host and f"host {environment.host}"]
    machine.append(count(environment.cpus, "CPU") if environment.cpus else "")
    machine.append(count(len(environment.packages), "package") if environment.packages else "")
    facts.append(("environment", ", ".join(part for part in machine if part)))
    if environment.image:
        facts.append(("image", environment.image))
    for image, tasks in _other_images(graph, run).items():
        facts.append(("image", f"{image} for {', '.join(tasks)}"))
    if environment.variables:
        facts.append(("", " ".join(f"{name}={value}" for name, value in environment.variables)))
    lines = []
    for head, text in facts:
        lines += bullet((f"{head:<{MARGIN}}", "dim"), clean(text), width, color, indent=0, limit=4)
    return lines


def _other_images(graph: TaskGraph, run: Run) -> dict[str, list[str]]:
    """The images of workers in containers of their own, with the functions whose tasks ran there."""
    images = {worker.worker: worker.image for worker in run.workers if worker.image}
    found: dict[str, list[str]] = {}
    for attempt in run.attempts:
        image = images.get(attempt.worker)
        name = clean(graph.tasks[attempt.task].key[0])
        if image is not None and name not in found.setdefault(image, []):
            found[image].append(name)
    return found


def _tasks(graph: TaskGraph, run: Run, width: int, color: bool) -> list[str]:
    best = counting(run)
    tries = Counter(attempt.task for attempt in run.attempts)
    rows = []
    for index, task in enumerate(graph.tasks):
        attempt = best.get(index)
        name: Piece = (clean(titled(task)) + kind_note(task), "name")
        if attempt is None:
            rows.append([(str(index + 1), "dim"), name, ("not run", "dim"), ("", ""), ("", ""), ("", ""), ("", "")])
            continue
        where = attempt.where + (f" ×{tries[index]}" if tries[index] > 1 else "")
        untimed = attempt.status in ("running", "dropped") and not attempt.duration
        rows.append(
            [
                (str(index + 1), "dim"),
                name,
                (_status(attempt), status_role(attempt.status)),
                (where, attempt.where),
                ("" if untimed else duration(attempt.duration), ""),
                (size(attempt.peak_memory) if attempt.peak_memory else "", "dim"),
                (("; " if len(graph.tasks) > LONG else "\n").join(_kept(attempt, task)), ""),
            ]
        )
    head = ["#", "task", "status", "ran", "time", "memory", "kept"]
    height = 1 if len(rows) > LONG else 6
    return table(head, rows, width, color, right=frozenset({0, 4, 5}), shrink=(6, 1), lines=height)


def kind_note(task: Task) -> str:
    """Of a task that runs a program of its own, which kind: ``" · shell"``."""
    return f" · {task.kind}" if task.kind in ("shell", "notebook") else ""


def _status(attempt: Attempt) -> str:
    if attempt.status == "dropped" and attempt.where == "home":
        return "cut off"
    return {"retired": "ok", "finished": "waiting"}.get(attempt.status, attempt.status)


def _kept(attempt: Attempt, task: Task) -> list[str]:
    """What a task left: its values in short, the files that it wrote."""
    own = [facts for facts in attempt.regions if facts.path == attempt.regions[0].path]
    parts = [text for facts in own if (facts.turns or facts.arms) and (text := region_text(facts))]
    parts += [value_text(value, task) for value in attempt.values]
    parts += [f"wrote {_file(use)}" for use in attempt.files if use.mode == "write"]
    rest = len(parts) - MANY
    return [*parts[:MANY], f"and {rest} more"] if rest > 0 else parts


def value_name(value: StoredValue, task: Task | None = None) -> str:
    """The name under which a value is shown: that of an inner call is its task's ``result``."""
    return "result" if task and task.value and task.value.name == value.name else clean(value.name)


def value_text(value: StoredValue, task: Task | None = None) -> str:
    """``X ndarray float64 (150, 2)``; ``f TextIOWrapper (not kept: an open file)``."""
    name = value_name(value, task)
    told = f"{name} {kind_text(value)}"
    if value.artifact is None:
        told += f" (not kept{': ' + clean(value.why_not) if value.why_not else ''})"
    return told


def kind_text(value: StoredValue) -> str:
    """The short name of the type and what is known of the value: ``list, 10 elements``; ``int 90``."""
    kind, summary = clean(value.type.rpartition(".")[2]), clean(value.summary)
    if not summary or summary.startswith(kind):
        return summary or kind
    return f"{kind}, {summary}" if AMOUNT.match(summary) else f"{kind} {summary}"


def _file(use: FileUse) -> str:
    return f"{clean(use.path)} ({size(use.size)})" if use.digest else clean(use.path)


def _returned(run: Run, width: int, color: bool) -> list[str]:
    """What the driver returned. (The arguments that were kept for helpers stand among the parameters.)"""
    values = [value for value in run.finished.values if value.name == "return"] if run.finished else []
    text = "; ".join(value_text(value).removeprefix("return ") for value in values)
    return ["", *bullet((f"{'returned':<{MARGIN}}", "dim"), text, width, color, indent=0)] if text else []


def _certificate(run: Run, width: int, color: bool) -> list[str]:
    if not run.finished:
        return []
    facts = run.finished.certificate
    parts = [f"{facts.at_home} at home", f"{facts.ahead} ahead"]
    special = [f"{n} {word}" for n, word in ((facts.trusted, "on trust"), (facts.held, "with files kept back")) if n]
    parts[1] += f" ({', '.join(special)})" if special else ""
    rest = (facts.reused, "used again"), (facts.dropped, "dropped"), (facts.pinned, "pinned")
    parts += [f"{number} {word}" for number, word in rest if number]
    lines = ["", *bullet((f"{'certificate':<{MARGIN}}", "dim"), ", ".join(parts), width, color, indent=0)]
    told = _grouped(facts.reasons)
    for reason in told[:MANY]:
        lines += bullet((" " * MARGIN + "· ", "dim"), reason, width, color, role="dim", indent=0, limit=3)
    if len(told) > MANY:
        lines.append(paint(" " * MARGIN + f"· and {len(told) - MANY} more (--json has all)", "dim", color))
    return lines


def _grouped(reasons: Iterable[str]) -> list[str]:
    return [clean(text) + (f" (×{number})" if number > 1 else "") for text, number in Counter(reasons).items()]


def _commands(graph: TaskGraph, run: Run, failed: bool) -> list[str]:
    if failed:
        names = [graph.tasks[a.task].name for a in counting(run).values() if a.status == "failed"]
        commands = [f"inferflow show {run.id} {clean(names[0])}"] if names else [f"inferflow logs {run.id}"]
        return [*commands, *filter(None, [resume_command(run)])]
    done = [attempt for attempt in counting(run).values() if attempt.task >= 0]
    longest = max(done, key=lambda attempt: attempt.duration, default=None)
    commands = [f"inferflow show {run.id} {clean(graph.tasks[longest.task].name)}"] if longest else []
    kept = [v.name for v in (run.finished.values if run.finished else ()) if v.artifact]
    kept += [v.name for a in run.attempts if a.status == "retired" for v in a.values if v.artifact]
    if kept:
        commands.append(f"inferflow get {run.id} {clean(kept[0])}")
    return commands or [f"inferflow logs {run.id}"]


def _next(commands: Sequence[str], width: int, color: bool) -> list[str]:
    return [
        compose([("      " if number else "next  ", "dim"), (command, "link")], width, color)
        for number, command in enumerate(commands)
    ]
