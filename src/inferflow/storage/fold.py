"""A run is its list of events; this folds the list into a :class:`Run`.

    RunStarted, TaskStarted(task 0, attempt 1), TaskFinished(0, 1), TaskRetired(0, 1)
        -> Run(status="running", attempts=(Attempt(task=0, number=1, status="retired"),))

Pure: whether the controller still lives is told by the caller. The list may end anywhere, as it does when
the controller is killed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal

from inferflow.model import (
    Attempt,
    Event,
    Run,
    RunFinished,
    RunStarted,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskRetired,
    TaskStarted,
    WorkerLost,
    WorkerStarted,
)
from inferflow.records import evolve

if sys.version_info >= (3, 11):
    from typing import assert_never
else:
    from typing_extensions import assert_never

__all__ = ["fold"]


def fold(run_id: str, events: Iterable[Event], alive: bool) -> Run:
    """The run that these events tell. Attempts stand in the order in which they started. In a run that is over, an
    attempt that nothing closed is ``dropped``. Raises ValueError if there is no RunStarted."""
    started: RunStarted | None = None
    finished: RunFinished | None = None
    failure: TaskFailed | None = None
    attempts: dict[tuple[int, int], Attempt] = {}
    workers: list[WorkerStarted] = []
    lost: list[WorkerLost] = []
    for event in events:
        match event:
            case RunStarted():
                started = event
            case WorkerStarted():
                workers.append(event)
            case WorkerLost():
                lost.append(event)
            case TaskStarted():
                attempts[event.task, event.attempt] = Attempt(
                    event.task, event.attempt, event.where, event.worker, "running", event.time
                )
            case TaskFailed(task=-1):
                failure = event
            case TaskFinished() | TaskFailed() | TaskRetired() | TaskDropped():
                key = event.task, event.attempt
                attempts[key] = _close(attempts.get(key) or _unseen(event), event)
            case RunFinished():
                finished = event
            case _:
                assert_never(event)
    if started is None:
        raise ValueError(f"run {run_id} has no beginning")
    status: Literal["running", "ok", "failed", "interrupted", "crashed", "killed"]
    status = finished.status if finished else "running" if alive else "killed"
    if status != "running":
        why = "the run was killed" if status == "killed" else "the run ended"
        for key, attempt in attempts.items():
            if attempt.status == "running":
                attempts[key] = evolve(attempt, status="dropped", why=why)
    return Run(run_id, started, status, tuple(attempts.values()), tuple(workers), tuple(lost), finished, failure)


def _unseen(event: TaskFinished | TaskFailed | TaskRetired | TaskDropped) -> Attempt:
    """An attempt whose start is not among the events."""
    return Attempt(event.task, event.attempt, "home", "", "running", event.time)


def _close(attempt: Attempt, event: TaskFinished | TaskFailed | TaskRetired | TaskDropped) -> Attempt:
    match event:
        case TaskRetired():
            return evolve(attempt, status="retired")
        case TaskDropped():
            return evolve(attempt, status="dropped", why=event.why)
        case TaskFinished():
            return evolve(
                attempt,
                status="finished",
                duration=event.duration,
                cpu=event.cpu,
                peak_memory=event.peak_memory,
                values=event.values,
                files=event.files,
                stdout=event.stdout,
                stderr=event.stderr,
                regions=event.regions,
                usable=bool(event.recipe),
            )
        case TaskFailed():
            return evolve(
                attempt,
                status="failed",
                duration=event.duration,
                cpu=event.cpu,
                peak_memory=event.peak_memory,
                files=event.files,
                stdout=event.stdout,
                stderr=event.stderr,
                exception=event.exception,
                message=event.message,
                traceback=event.traceback,
                path=event.path,
                line=event.line,
                regions=event.regions,
            )
        case _:
            assert_never(event)
