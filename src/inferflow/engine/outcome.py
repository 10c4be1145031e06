"""How a run ended, in words and as an exit status."""

from __future__ import annotations

import signal as signals
import time
from pathlib import Path
from typing import Any, Literal

from inferflow.engine.plan import Plan
from inferflow.model import Certificate, FileUse, RunFinished, StoredValue, TaskFailed
from inferflow.protocols import Notice
from inferflow.records import frozen

__all__ = ["Outcome", "cause_of", "failure_of_end", "failure_of_loss", "outcome_of"]


@frozen
class Outcome:
    """``exit_code`` is what the command exits with; ``failure`` what ended the driver, if anything did."""

    exit_code: int
    event: RunFinished
    failure: TaskFailed | None = None


def failure_of_end(
    end: dict[str, Any], task: int, attempt: int, folder: Path, files: tuple[FileUse, ...]
) -> TaskFailed:
    """The failure that home told of: an exception that nothing caught."""
    path, line = _users_line(end["frames"], folder)
    return TaskFailed(
        time=end["time"],
        task=task,
        attempt=attempt,
        duration=end.get("duration", 0.0),
        exception=end["exception"],
        message=end["message"],
        traceback=end["traceback"],
        path=path,
        line=line,
        cpu=end.get("cpu", 0.0),
        peak_memory=end.get("memory", 0),
        files=files,
    )


def _users_line(frames: list[list[Any]], folder: Path) -> tuple[str, int]:
    """The innermost frame in a file of the user's folder, else the outermost."""
    base = str(folder)
    inside = [(path, line) for path, line in frames if path.startswith(base) and "site-packages" not in path]
    path, line = (inside or [tuple(frames[0])])[-1] if frames else ("", 0)
    return (path[len(base) + 1 :] if path.startswith(base + "/") else path), line


def failure_of_loss(notice: Notice, task: int, attempt: int, plan: Plan, timed_out: bool) -> TaskFailed:
    """The failure of a home that ended without a word."""
    name, cause = cause_of(notice.exit_code, notice.peak_memory)
    if notice.cause:
        name, cause = "WorkerLost" if notice.broken else name, notice.cause
    if timed_out:
        name, cause = "Timeout", "the run took longer than its timeout allows"
    span = plan.graph.tasks[task].span if task >= 0 else None
    return TaskFailed(
        time=time.time(),
        task=task,
        attempt=attempt,
        duration=0.0,
        exception=name,
        message=cause,
        traceback="",
        path=span.path if span else "",
        line=span.line if span else 0,
        peak_memory=notice.peak_memory,
    )


_ADVICE = {
    "SIGKILL": "something killed the process, most often the system because memory ran out: look at what the task "
    "keeps in memory at once, or run it on a larger machine",
    "SIGSEGV": "compiled code crashed: run the driver with `python -X faulthandler` to see where",
    "SIGABRT": "compiled code gave up: run the driver with `python -X faulthandler` to see where",
    "SIGBUS": "compiled code touched memory that is not there (a truncated mapped file, a full /dev/shm)",
    "SIGFPE": "compiled code divided by zero or overflowed",
    "SIGTERM": "something asked the process to end",
}


def cause_of(exit_code: int | None, peak_memory: int) -> tuple[str, str]:
    """A short name and a sentence for how a process ended (exit codes below zero are signals)."""
    if exit_code is None:
        return "lost", "the worker process went away"
    if exit_code >= 0:
        return "os._exit", f"the process was ended at once with status {exit_code} (os._exit)"
    try:
        name = signals.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    memory = f"; it had used {peak_memory / 2**20:,.0f} MiB" if peak_memory else ""
    advice = _ADVICE.get(name, "")
    return name, f"the process was ended by {name}{memory}" + (f". {advice[0].upper()}{advice[1:]}" if advice else "")


def outcome_of(
    exit_code: int | None,
    failure: TaskFailed | None,
    certificate: Certificate,
    values: tuple[StoredValue, ...],
    stdout: str,
    stderr: str,
    *,
    interrupted: bool,
    timed_out: bool,
    broken: int = 0,
) -> Outcome:
    """The end of a run from the end of home. A signal becomes 128 and its number, as in a shell; ``broken``
    is the status if home was taken away from us, or was told to end."""
    code = 1 if exit_code is None else exit_code if exit_code >= 0 else 128 - exit_code
    status: Literal["ok", "failed", "interrupted", "crashed"]
    if timed_out:
        code, status = 124, "failed"
    elif interrupted and (code == 130 or failure is not None):
        code, status = 130, "interrupted"
    elif broken:
        code, status = broken, "crashed"
    elif exit_code is None or exit_code < 0:
        status = "interrupted" if code == 130 else "crashed"
    else:
        status = "ok" if code == 0 else "failed"
    event = RunFinished(time.time(), status, code, certificate, values, stdout, stderr)
    return Outcome(code, event, failure)
