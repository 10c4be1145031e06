"""The loop: takes notices from the crew, keeps the record, carries out what ``schedule`` decides.

Everything that happened is on disk before anything that depends on it is done: the events of one turn of the loop are
written in one transaction, then the orders go out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from inferflow.engine import schedule
from inferflow.engine.away import dispatch, drop, leave_post, lose_post, lost, outdate, post, result_came, wasted
from inferflow.engine.ending import helper_ended, home_finished, home_lost
from inferflow.engine.frames import LONG
from inferflow.engine.outcome import Outcome
from inferflow.engine.progress import Progress
from inferflow.engine.turns import adopted, answer_waiting, came_to, offer, unbar, withdraw
from inferflow.engine.watching import watch
from inferflow.model import (
    TaskStarted,
    WorkerStarted,
)
from inferflow.protocols import Message, Notice

__all__ = ["follow", "step"]


def follow(run: Progress, tick: Callable[[], float | None] = lambda: None) -> Outcome:
    """Poll until home has ended. ``tick`` is called each turn; it may return how long to wait at most (seconds)."""
    while run.outcome is None:
        step(run, run.crew.poll(_patience(run, tick())))
    return run.outcome


def step(run: Progress, notices: Iterable[Notice]) -> None:
    """Handle notices: record first, act then."""
    replies: list[tuple[str, Message]] = []
    for notice in notices:
        replies.extend(_handle(run, notice))
    replies.extend(_arrived(run))
    run.flush()
    for worker, message in replies:
        run.crew.send(worker, message)
    _act(run)
    watch(run)
    run.flush()


def _arrived(run: Progress, wait: bool = False) -> list[tuple[str, Message]]:
    """Handle the messages whose files the store has taken over since."""
    replies: list[tuple[str, Message]] = []
    for worker, message in run.arrivals.ready(wait):
        if message["kind"] == "stored":
            run.stored(message)
        elif "error" in message:
            lost(run, message["task"], message["error"], worker)
            replies.extend(answer_waiting(run))
        else:
            replies.extend(result_came(run, worker, message))
    return replies


def _patience(run: Progress, wanted: float | None) -> float:
    limit = 0.002 if run.arrivals else 0.1 if len(run.state.flights) else 0.25
    limit = min(limit, LONG) if run.desk.is_undecided else limit
    return limit if wanted is None else min(limit, wanted)


def _act(run: Progress) -> None:
    if run.outcome is not None or run.end is not None:
        return
    run.desk.crew = run.crew
    run.desk.act(sum(helper.task >= 0 for helper in run.state.helpers.values()))
    for action in schedule.decide(run.plan, run.state, run.desk.busy):
        match action:
            case schedule.Dispatch(task, helper, trust):
                dispatch(run, task, helper, trust)
            case schedule.Hire(epoch):
                name = run.crew.helper(epoch)
                run.state = schedule.hired(run.state, name, epoch)
    if run.plan.placed:
        post(run)
    if run.plan.ahead and schedule.is_over(run.plan, run.state):
        run.release()


def _handle(run: Progress, notice: Notice) -> list[tuple[str, Message]]:
    match notice.kind:
        case "output":
            run.logs[notice.stream].arrived(notice.output)
            return []
        case "cut":
            run.logs[notice.stream].cut()
            return []
        case "exit":
            _ended(run, notice)
            return []
        case "message":
            message = cast(Message, notice.message)
            if notice.worker == "home":
                return _home(run, message)
            if notice.worker == "template":
                if message["kind"] == "gone":
                    run.state = schedule.template_gone(run.state, int(cast(int, message["epoch"])))
                    return []
                if int(cast(int, message["epoch"])) < 0:
                    run.desk.template(int(cast(int, message["epoch"])))
                    return []
                run.state = schedule.template_ready(run.state, int(cast(int, message["epoch"])))
                return []
            return _helper(run, notice.worker, message)


def _home(run: Progress, message: dict[str, Any]) -> list[tuple[str, Message]]:
    kind = message["kind"]
    if kind == "hello":
        run.events.append(WorkerStarted(time.time(), "home", "home", message["pid"]))
    elif kind == "ready":
        run.note_outside(message.get("output"))
        if not message["failed"]:
            return [("home", run.plan_message)]
    elif kind == "start":
        _start_home(run, message)
    elif kind == "done":
        _done(run, message)
    elif kind == "recipes":
        offer(run, message["tasks"])
    elif kind in ("writing", "stored"):
        run.arrivals.told(message)
    elif kind == "inputs":
        kept = run.values.kept(message, run.artifacts)
        run.values.add(-1, kept)
        run.parameters = kept
    elif kind == "at":
        return came_to(run, message)
    elif kind == "adopted":
        adopted(run, message)
    elif kind == "refused" and run.reuse is not None and message["task"] in run.reuse.taken:
        del run.reuse.taken[message["task"]]
        run.reuse.refused[message["task"]] = message["why"]
        if message["task"] in run.plan.placed:
            unbar(run, message["task"])
    elif kind == "refused":
        run.lessons[message["task"]] = ("trust", message["why"])
        drop(run, message["task"], message["why"])
        run.halted = bool(run.broken) and run.broken_task == message["task"]
        if message.get("unforeseen"):
            outdate(run, message["task"])
    elif kind == "frame":
        run.desk.opened(message)
    elif kind == "items":
        reply = run.desk.at(message)
        return [] if reply is None else [("home", reply)]
    elif kind == "frame_over":
        run.desk.closed(message["frame"])
    elif kind == "misfit":
        run.misfit = message["message"]
    elif kind == "note":
        name = f"{run.plan.graph.tasks[message['task']].name} " if "task" in message else ""
        run.reasons[name + message["text"]] = None
    elif kind == "fault":
        run.faults.append(message["text"])
        run.reasons["inferflow itself failed; the rest of the run was not recorded"] = None
        run.pending_reply = None
    elif kind == "end":
        run.end = message
        run.release()
    return []


def _helper(run: Progress, worker: str, message: dict[str, Any]) -> list[tuple[str, Message]]:
    kind = message["kind"]
    if kind == "hello":
        there = run.crew.surroundings(worker)
        image = f"{there.image} ({there.digest})" if there.image else ""
        run.events.append(WorkerStarted(time.time(), worker, "helper", message["pid"], image, there.python))
        if message.get("spawned"):
            return [(worker, run.plan_message)]
        if not run.desk.joined(worker, message["epoch"]):
            run.state = schedule.helper_joined(run.state, worker, message["epoch"])
    elif kind == "items":
        return [("home", reply) for reply in run.desk.finished(worker, message)]
    elif kind == "warm" and worker in run.posts.workers:
        run.posts.workers[worker].ready = True
    elif kind == "warm":
        run.state = schedule.helper_joined(run.state, worker, 0)
    elif kind == "result":
        if "file" in message:
            run.arrivals.told(message, worker)
            return []
        return result_came(run, worker, message)
    elif kind == "raised":
        leave_post(run, worker)
        run.state = schedule.finished(run.state, message["task"], worker)
        if schedule.holds(run.state, message["task"], worker):
            run.results[message["task"]] = message
        return answer_waiting(run)
    elif kind == "dropped":
        if message["task"] >= 0 or not message["ends"]:
            leave_post(run, worker)
        if message["ends"]:
            run.ended_helpers.add(worker)
            if message["task"] < 0 and worker in run.posts.workers:
                lose_post(run, worker, message["why"])
            run.posts.workers.pop(worker, None)
        ours, replies = run.desk.lost(worker, message["why"])
        if ours:
            return [("home", reply) for reply in replies]
        task = message["task"]
        if task >= 0:
            if message.get("again", True):
                wasted(run, task, message["why"])
            lost(run, task, message["why"], worker)
        if message["ends"]:
            run.state = schedule.helper_gone(run.state, worker)
        return answer_waiting(run)
    return []


def _start_home(run: Progress, message: dict[str, Any]) -> None:
    task = message["task"]
    run.note_outside(message.get("before"))
    if task in run.state.flights:
        drop(run, task, "home came to it first")
    run.state = schedule.home_at(run.state, task, waits=False)
    attempt = run.attempt(task, "home", "home")
    if task in run.plan.limits:
        run.begun[task] = time.monotonic()
    run.events.append(TaskStarted(message["time"], task, attempt.number, "home", "home"))


def _done(run: Progress, message: dict[str, Any]) -> None:
    task = message["task"]
    attempt = run.attempts.get(task)
    if attempt is None:
        return
    kept = run.values.kept(message, run.artifacts)
    if run.reuse is not None:
        run.contents.add(task, kept)
    if task in run.plan.publish:
        run.values.add(task, kept)
    output = run.output(message)
    regions = run.regions(message, task, [*map(len, output)])
    event = run.finished(message, attempt, kept, output, regions, "once")
    run.count("home", task)
    run.took[task] = message["duration"]
    run.peak = max(run.peak, message["memory"])
    run.state = schedule.measured(run.state, run.plan, task, message["cpu"], message["duration"])
    if any(value.why_not for value in kept.stored):
        run.counts["pinned"] = run.counts.get("pinned", 0) + 1
    run.finish(event, kept)
    run.state = schedule.retired(run.state, task)
    run.values.forget_before(run.state.retired, run.plan)
    withdraw(run)


def _ended(run: Progress, notice: Notice) -> None:
    if notice.worker != "home":
        helper_ended(run, notice)
        return
    _arrived(run, wait=True)
    if run.end is None:
        home_lost(run, notice)
    else:
        home_finished(run, run.end, notice)
    run.flush()
