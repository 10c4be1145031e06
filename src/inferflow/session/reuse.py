"""What earlier runs have recorded that a run may use again (``--resume RUN``, ``--cache``)."""

from __future__ import annotations

from inferflow.engine.reuse import Old, Reuse
from inferflow.errors import UserError
from inferflow.model import (
    Environment,
    Event,
    RunStarted,
    StoredValue,
    TaskFailed,
    TaskFinished,
    TaskGraph,
    TaskRetired,
)
from inferflow.records import evolve, frozen
from inferflow.storage.runs import Runs

__all__ = ["Wish", "resolved", "reuse_of"]

RECENT = 20
"""So many of the latest runs of a driver are looked through with ``--cache``."""


@frozen
class Wish:
    """``resume``: the run that is gone on with (as users name it); ``cache``: all recent runs of the driver count."""

    resume: str = ""
    cache: bool = False

    def __bool__(self) -> bool:
        return bool(self.resume) or self.cache


def resolved(runs: Runs, wish: Wish) -> Wish:
    """The same with the run's whole name. Raises WrongUse if there is no such run."""
    return evolve(wish, resume=runs.resolve(wish.resume)) if wish.resume else wish


def reuse_of(runs: Runs, wish: Wish, started: RunStarted) -> Reuse | None:
    """The results of the wished runs, newest first; None if nothing is wished."""
    if not wish:
        return None
    names = [wish.resume] if wish.resume else []
    if wish.cache:
        recent = [run.id for run in runs.list(RECENT) if run.started.target == started.target and run.id != started.run]
        names += [name for name in recent if name not in names]
    olds: list[Old] = []
    absent: dict[str, str] = {}
    for name in names:
        try:
            events, graph = runs.events(name), runs.graph(name)
        except (KeyError, UserError):
            continue  # it was pruned meanwhile
        head = events[0]
        if isinstance(head, RunStarted):
            other = difference(head.environment, started.environment)
            variables = changed_variables(head.environment, started.environment)
            found = _olds(name, graph, events)
            olds += [evolve(was, elsewhere=other, variables=variables) for was in found]
            absent = {**_absent(name, graph, events, found), **absent}
    return Reuse(olds, tuple(names), absent)


def difference(then: Environment, now: Environment) -> str:
    """What is another one in the environment, in words; empty if all that could matter is the same."""
    for what in ("python", "implementation", "platform", "image"):
        was, is_now = getattr(then, what), getattr(now, what)
        if was != is_now and not (was.startswith("host (") and is_now.startswith("host (")):
            return f"{what} is {is_now or 'none'}, and was {was or 'none'}"
    before, after = dict(then.packages), dict(now.packages)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            return f"{name} is {after.get(name, 'not installed')}, and was {before.get(name, 'not installed')}"
    return ""


def changed_variables(then: Environment, now: Environment) -> tuple[str, ...]:
    """The names of the environment variables that are not what they were: those that count, or else all."""
    from inferflow.worker.recipe import VOLATILE

    before, after = dict(then.marks), dict(now.marks)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(name for name in names if not VOLATILE.match(name)) or tuple(names)


def _absent(run: str, graph: TaskGraph, events: list[Event], olds: list[Old]) -> dict[str, str]:
    """Of the tasks of which nothing can be used again, by name, why not; in words."""
    from inferflow.worker.hooks import LONG

    known = {old.name for old in olds}
    ended: dict[int, str] = {}
    for event in events:
        if isinstance(event, TaskFailed):
            ended[event.task] = f"failed in {run}"
        elif isinstance(event, TaskFinished) and event.duration < LONG:
            ended[event.task] = f"shorter than {LONG} s in {run}"
        elif isinstance(event, TaskFinished):
            ended[event.task] = f"nothing was kept that could be used again in {run}"
    return {
        task.name: ended.get(index, f"not run in {run}")
        for index, task in enumerate(graph.tasks)
        if task.name not in known
    }


def _olds(run: str, graph: TaskGraph, events: list[Event]) -> list[Old]:
    """What was recorded of tasks that have retired, and can be used again."""
    finished = {(event.task, event.attempt): event for event in events if isinstance(event, TaskFinished)}
    retired = {
        event.task: finished[event.task, event.attempt]
        for event in events
        if isinstance(event, TaskRetired) and (event.task, event.attempt) in finished
    }
    found = []
    for task, event in retired.items():
        if not event.recipe or (event.stdout and event.stderr):
            continue  # (which of the two came first was not kept)
        inputs: set[tuple[str, str, str, int]] | None = set()
        for item in graph.tasks[task].inputs:
            if item.producer < 0:
                continue  # (a parameter: part of the recipe)
            producer = retired.get(item.producer)
            value = _value(producer, item.variable.name) if producer is not None else None
            if value is None or value.artifact is None or not value.exact:
                inputs = None
                break
            assert inputs is not None
            inputs.add((item.variable.scope, item.variable.name, value.artifact.digest, value.member))
        if inputs is not None:
            found.append(Old(run, graph.tasks[task].name, frozenset(inputs), event))
    return found


def _value(event: TaskFinished, name: str) -> StoredValue | None:
    return next((value for value in event.values if value.name == name), None)
