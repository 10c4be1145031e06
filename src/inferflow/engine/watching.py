"""What is looked after now and then, whatever arrives.

Too many threads at once (tasks that run ahead are taken back), helpers that do not get on, time limits of tasks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from inferflow.engine import schedule
from inferflow.engine.away import drop
from inferflow.engine.progress import Progress
from inferflow.engine.turns import answer_waiting
from inferflow.model import (
    TaskDropped,
)
from inferflow.protocols import Message

__all__ = ["tell_home", "watch"]

CROWD_INTERVAL = 0.1
"""Seconds between two looks at how many threads run."""
STALLED = 10.0
"""Seconds without processor time after which a helper that home waits for is given up."""


def watch(run: Progress) -> None:
    """All looks, each as often as it needs."""
    _relieve(run)
    _rescue(run)
    tell_home(run, run.desk.relieve())
    for worker in list(run.desk.rescue()):
        tell_home(run, run.desk.lost(worker, f"a helper made no progress for {STALLED:.0f} s")[1])
        run.crew.kill(worker)
    _limit(run)


def _limit(run: Progress) -> None:
    """End the run if a task takes longer than its own time limit."""
    for task, since in list(run.begun.items()):
        attempt = run.attempts.get(task)
        limit = run.plan.limits.get(task)
        over = task < run.state.retired or (task in run.state.flights and run.state.flights[task].finished)
        if limit is None or attempt is None or over:
            del run.begun[task]
        elif time.monotonic() - since > limit and not run.timed_out:
            name = run.plan.graph.tasks[task].name
            run.timed_out, run.overran = True, f"task {name} took longer than its timeout of {limit:g} s"
            if attempt.worker != "home":
                run.crew.kill(attempt.worker)
            run.crew.kill("home")


def tell_home(run: Progress, replies: Iterable[Message]) -> None:
    """Send home some messages."""
    for reply in replies:
        run.crew.send("home", reply)


def _relieve(run: Progress) -> None:
    """If tasks that run at once want more processors than there are (BLAS and OpenMP threads, which spin while
    they wait for each other), take those that run ahead back: each will have the processors to itself later."""
    now = time.monotonic()
    if run.outcome is not None or now - run.looked < CROWD_INTERVAL:
        return
    run.looked = now
    running = {helper.task: name for name, helper in run.state.helpers.items() if helper.task >= 0}
    if run.state.home_busy and (task := run.running_at_home()) >= 0:
        running[task] = "home"
    if len(running) < 2:
        run.crowd = {}
        return
    threads = {task: run.crew.running_threads(worker) for task, worker in running.items()}
    wide = {task: count for task, count in threads.items() if count > 1}
    seen_before = {task: max(count, run.crowd[task]) for task, count in wide.items() if task in run.crowd}
    run.crowd = wide
    if not seen_before or sum(threads.values()) <= run.jobs:
        return
    for task, count in seen_before.items():
        run.state = schedule.crowded(run.state, run.plan, task, count)
    for task in sorted(running, reverse=True):
        worker = running[task]
        if worker != "home" and task != min(running):
            _take_back(run, task, worker, max(threads[task], 1))


def _take_back(run: Progress, task: int, worker: str, threads: int) -> None:
    run.state = schedule.crowded(run.state, run.plan, task, threads, worker)
    attempt = run.attempts[task]
    why = "the processors were busy with the threads of other tasks; it runs when they are free"
    run.events.append(TaskDropped(time.time(), task, attempt.number, why))
    run.counts["dropped"] = run.counts.get("dropped", 0) + 1
    run.reasons[f"{run.plan.graph.tasks[task].name} was taken back: {why}"] = None
    run.ended_helpers.add(worker)
    run.state = schedule.helper_gone(run.state, worker)
    run.crew.kill(worker)
    for name, reply in answer_waiting(run):
        run.crew.send(name, reply)


def _rescue(run: Progress) -> None:
    """Home waits for a helper: if that one has stopped getting anywhere, home runs the task itself."""
    if run.pending_reply is None or run.outcome is not None or run.pending_reply[0] in run.plan.placed:
        return  # (a task that is placed may wait for a device)
    now = time.monotonic()
    if now - run.waiting_since < STALLED:
        return
    task, inner = run.pending_reply
    running = [i for i in (*inner, task) if (f := run.state.flights.get(i)) is not None and not f.finished]
    used = sum(run.crew.processor_time(run.state.flights[i].helper) or 0.0 for i in running)
    if run.waiting_cpu is not None and used <= run.waiting_cpu + 0.02:
        for index in running:
            helper = run.state.flights[index].helper
            drop(run, index, f"its helper made no progress for {STALLED:.0f} s", helper)
            run.crew.kill(helper)
        for worker, reply in answer_waiting(run):
            run.crew.send(worker, reply)
    run.waiting_since, run.waiting_cpu = now, used
