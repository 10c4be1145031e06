"""The store as commands read it, and runs as plain data for ``--json``.

The data are those of ``inferflow.model`` under the same names, times in seconds since the epoch, sizes in bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from inferflow.cli.common import Shared
from inferflow.errors import WrongUse
from inferflow.model import Attempt, Event, Run, TaskGraph

if TYPE_CHECKING:
    from inferflow.storage.runs import Runs

__all__ = ["events_data", "open_runs", "run_data", "run_summary", "task_data", "task_index"]


def open_runs(shared: Shared) -> Runs:
    """The runs of the project of the working folder."""
    from inferflow.storage.folder import Folder
    from inferflow.storage.runs import Runs

    return Runs(Folder(shared.settings().store))


def task_index(graph: TaskGraph, run: str, name: str) -> int:
    """The index of the task ``name``; raises WrongUse with the nearest name."""
    from inferflow.config.values import closest

    names = [task.name for task in graph.tasks]
    if name in names:
        return names.index(name)
    near = closest(name, names)
    some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    hint = f"did you mean {near}?" if near else f"its tasks: {some}" if names else "it has no tasks"
    raise WrongUse(f"run {run} has no task {name!r}", hint=hint)


def run_summary(run: Run) -> dict[str, Any]:
    """A run in a few fields."""
    started, finished = run.started, run.finished
    return {
        "run": run.id,
        "status": run.status,
        "target": started.target,
        "started": started.time,
        "duration": run.duration,
        "exit_code": finished.exit_code if finished else None,
        "backend": started.backend,
        "jobs": started.jobs,
        "commit": started.code.commit,
        "dirty": len(started.code.dirty),
    }


def run_data(run: Run, graph: TaskGraph) -> dict[str, Any]:
    """A run with its tasks."""
    started = run.started
    return {
        **run_summary(run),
        "folder": started.folder,
        "arguments": list(started.arguments),
        "parameters": dict(started.parameters),
        "graph": started.graph,
        "tasks": [task_data(run, graph, index) for index in range(len(graph.tasks))],
    }


def task_data(run: Run, graph: TaskGraph, index: int) -> dict[str, Any]:
    """A task with its attempts."""
    task = graph.tasks[index]
    attempts = [attempt for attempt in run.attempts if attempt.task == index]
    return {
        "task": task.name,
        "kind": task.kind,
        "path": task.span.path,
        "line": task.span.line,
        "status": attempts[-1].status if attempts else "waiting",
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def events_data(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Events as they are stored."""
    from inferflow.wire import event_to_data

    return [event_to_data(event) for event in events]


def _attempt(attempt: Attempt) -> dict[str, Any]:
    import attrs

    return attrs.asdict(attempt, filter=lambda field, _: field.name != "task")


def write_bytes(data: bytes) -> None:
    """Bytes to stdout as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
