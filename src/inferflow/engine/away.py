"""Tasks that run away from home: sent to helpers and to posts, and what becomes of them there.

dispatch -> result_came      a result that waits for home's turn
         -> lost, drop       no result: home will run it, or it is sent once more without trust
         -> wasted           no result, for a reason that will come again: learned for later runs
"""

from __future__ import annotations

import time
from typing import Any, cast

from inferflow.engine import schedule
from inferflow.engine.posts import sent
from inferflow.engine.progress import Progress, decoded
from inferflow.engine.turns import answer_waiting
from inferflow.engine.values import check_of, unshared
from inferflow.model import (
    TaskDropped,
    TaskStarted,
)
from inferflow.protocols import Message
from inferflow.records import evolve

__all__ = [
    "dispatch",
    "drop",
    "leave_post",
    "lessons_of_all",
    "lose_post",
    "lost",
    "outdate",
    "post",
    "result_came",
    "wasted",
]


def post(run: Progress) -> None:
    """Hire workers for tasks that are placed, and send what can be sent."""
    for placement in run.posts.hires(run.state):
        run.posts.hired(run.crew.helper(0, placement), placement)
    waiting = run.pending_reply[0] if run.pending_reply else -1
    for task, worker in run.posts.dispatches(run.state, waiting):
        trust = run.posts.trusts(run.state, task)
        order = run.values.order(run.plan, task, trust)
        if isinstance(order, str) and trust:
            run.posts.workers[worker].task = -1
            _doubt(run, task, order)
        elif isinstance(order, str):
            run.posts.done(worker)
            drop(run, task, order, worker)
        elif order is None:  # a value is still being written
            run.posts.workers[worker].task = -1
        else:
            placed = run.plan.placed[task]
            if placed.guess is not None:
                order["assumed"] = True
            run.given[task] = cast(Any, order["inputs"])
            if trust:
                run.checks[task] = check_of(run.plan, task, order)
                run.tried.add(task)
            else:
                order.update(apart=placed.firm or placed.acts, leave=placed.acts)
                if placed.guess is not None:
                    run.checks[task] = unshared(order)
            run.state = sent(run.state, run.plan, task, worker, trust)
            attempt = run.attempt(task, "ahead", worker)
            run.begun[task] = time.monotonic()
            run.events.append(TaskStarted(time.time(), task, attempt.number, "ahead", worker))
            run.flush()
            run.crew.send(worker, order)
    for worker, reply in answer_waiting(run):
        run.crew.send(worker, reply)


def dispatch(run: Progress, task: int, helper: str, trust: bool) -> None:
    """Send a task to a helper, if what it needs can be handed over now."""
    order = run.values.order(run.plan, task, trust)
    if isinstance(order, str):
        run.state = schedule.not_to_be_had(run.state, task, trust)
        run.reasons[f"{run.plan.graph.tasks[task].name} ran at home: {order}"] = None
        return
    if order is None:  # a value is still being written
        return
    built_on = schedule.built_on(run.state, run.plan, task, trust)
    run.state = schedule.sent(run.state, run.plan, task, helper, built_on, trust)
    run.checks.pop(task, None)
    run.given[task] = cast(Any, order["inputs"])
    if trust:
        run.checks[task] = check_of(run.plan, task, order)
    run.tried.add(task)
    attempt = run.attempt(task, "ahead", helper)
    if task in run.plan.limits:
        run.begun[task] = time.monotonic()
    run.events.append(TaskStarted(time.time(), task, attempt.number, "ahead", helper))
    run.flush()
    run.crew.send(helper, order)


def result_came(run: Progress, worker: str, message: dict[str, Any]) -> list[tuple[str, Message]]:
    """A helper, or a worker at a post, has finished its task; what home is told of it."""
    task = message["task"]
    attempt = run.attempts.get(task)
    leave_post(run, worker)
    run.state = schedule.finished(run.state, task, worker)
    holds = attempt is not None and schedule.holds(run.state, task, worker)
    if message.get("ends"):
        run.ended_helpers.add(worker)
        run.state = schedule.helper_gone(run.state, worker)
    if attempt is None or not holds:
        return []
    run.state = schedule.behaved(run.state, run.plan, task, well=True)
    kept = run.values.kept(message, run.artifacts)
    if "carried" in message:
        run.state = schedule.withheld(run.state, task)
    else:
        run.values.add(task, kept)
    run.results[task] = message
    run.took[task] = message["duration"]
    run.state = schedule.measured(run.state, run.plan, task, message["cpu"], message["duration"])
    written = message.get("output", {})
    output = decoded(written.get("stdout", b"")), decoded(written.get("stderr", b""))
    regions = run.inside(message, task, [*map(len, output)]) if "regions" in message else ()
    event = run.finished(message, attempt, kept, output, regions, "acts")
    if run.reuse is not None and "carried" not in message:
        run.contents.add(task, kept)
    if message.get("acts") or "carried" in message or message.get("lasts"):
        run.acting[task] = event  # it is finished when its files are written, or its values are home's
    else:
        run.events.append(event)
    return answer_waiting(run)


def outdate(run: Progress, task: int) -> None:
    """No helper from before ``task`` is used any more."""
    run.state = schedule.outdated(run.state, task)
    for worker in schedule.stale_helpers(run.state):
        run.crew.send(worker, {"kind": "stop"})


def leave_post(run: Progress, worker: str) -> None:
    """A worker at a post is done with its task; one that serves a single task ends."""
    if worker in run.posts.workers and run.posts.done(worker):
        run.ended_helpers.add(worker)
        del run.posts.workers[worker]
        run.crew.send(worker, {"kind": "stop"})


def lose_post(run: Progress, worker: str, cause: str, memory: bool = False) -> None:
    """A worker at a post has ended, or could not begin: what it was for is refused, or left to home. ``memory``:
    for want of it."""
    lost = run.posts.workers.pop(worker)
    tasks = [lost.task] if lost.task >= 0 else run.posts.meant(run.state, lost.placement)
    for task in tasks:
        drop(run, task, cause, worker)
        if memory and run.broken_task == task:
            run.broken_status = 137


def lost(run: Progress, task: int, why: str, worker: str) -> None:
    """A helper could not bring its task to an end: dropped, unless another helper has it by now."""
    if task in run.plan.placed or schedule.holds(run.state, task, worker):
        drop(run, task, why, worker)
    else:
        run.state = schedule.idle(run.state, worker)


def wasted(run: Progress, task: int, why: str) -> None:
    """It was of no use to run the task ahead, nor will it be next time; nor others of its function, if this goes
    on."""
    run.lessons[task] = ("any", why)
    run.state = schedule.behaved(run.state, run.plan, task, well=False)
    if schedule.is_vain(run.plan, run.state, task):
        name = run.plan.graph.tasks[task].key[0]
        run.vain[name] = why
        run.reasons[f"tasks of {name} were left to home from then on: {why}"] = None


def lessons_of_all(run: Progress) -> dict[int, tuple[str, str]]:
    """The lessons, and those that follow for tasks like these which were not tried."""
    found = {}
    for task in run.plan.ahead:
        name = run.plan.graph.tasks[task].key[0]
        if name in run.vain and schedule.is_vain(run.plan, run.state, task) and task not in run.tried:
            found[task] = ("any", run.vain[name])
    return {**found, **run.lessons}


def _doubt(run: Progress, task: int, why: str) -> None:
    """A placed task does not run on trust any more: at its turn, where it is placed; or at home, if it may."""
    name = run.plan.graph.tasks[task].name
    if run.plan.placed[task].firm:
        run.state = evolve(run.state, doubted=run.state.doubted | {task})
    else:
        run.state = evolve(run.state, barred=run.state.barred | {task})
        run.reasons[f"{name} ran in home's container: {why}"] = None


def drop(run: Progress, task: int, why: str, worker: str = "") -> None:
    """What was computed of a task away from home does not count, nor what was built on it."""
    placed = run.plan.placed.get(task)
    flight = run.state.flights.get(task)
    if placed is not None and flight is not None and flight.trust:
        _doubt(run, task, why)
    elif placed is not None and task not in run.state.barred:
        name = run.plan.graph.tasks[task].name
        acted = placed.acts and task in run.state.flights  # (what is done cannot be done again)
        if (placed.firm or acted) and not run.broken:
            run.broken = f"task {name} could not run where its settings place it: {why}"
            run.broken_task = task
        elif not placed.firm and not acted:
            run.reasons[f"{name} ran in home's container: {why}"] = None
    before = set(run.state.flights)
    run.state = schedule.dropped(run.state, task, worker)
    for gone in sorted(before - set(run.state.flights)):
        attempt = run.attempts.get(gone)
        run.results.pop(gone, None)
        run.acting.pop(gone, None)
        run.values.remove(gone)
        if attempt is not None and attempt.where == "ahead":
            because = why if gone == task else f"it built on {run.plan.graph.tasks[task].name}, which was dropped"
            run.events.append(TaskDropped(time.time(), gone, attempt.number, because))
            run.counts["dropped"] = run.counts.get("dropped", 0) + 1
            run.reasons[f"{run.plan.graph.tasks[gone].name} was dropped: {because}"] = None
