"""The one place that acts: takes notices from the crew, keeps the record, carries out what ``schedule`` decides.

Everything that happened is on disk before anything that depends on it is done: the events of one turn of the loop are
written in one transaction, then the orders go out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from inferflow.engine import schedule
from inferflow.engine.arrivals import Arrivals
from inferflow.engine.frames import LONG, Desk
from inferflow.engine.frames_plan import Place, region_facts, regions_of
from inferflow.engine.outcome import Outcome, cause_of, failure_of_end, failure_of_loss, outcome_of
from inferflow.engine.plan import Plan
from inferflow.engine.posts import Posts, sent
from inferflow.engine.reuse import IMAGE, Contents, Reuse
from inferflow.engine.streams import StreamLog
from inferflow.engine.values import Kept, Values, check_of, file_acts, file_uses, unshared
from inferflow.errors import UserError
from inferflow.model import (
    Certificate,
    Event,
    FileAct,
    FileUse,
    RegionFacts,
    StoredValue,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskRetired,
    TaskStarted,
    WorkerLost,
    WorkerStarted,
)
from inferflow.protocols import ArtifactStore, Crew, Message, Notice
from inferflow.records import define, evolve, field, frozen

__all__ = ["Engine", "Record"]

CROWD_INTERVAL = 0.1
"""Seconds between two looks at how many threads run."""
STALLED = 10.0
"""Seconds without processor time after which a helper that home waits for is given up."""


@frozen
class Record:
    """Where the engine writes: ``append`` puts events on disk; ``observe`` shows them."""

    append: Callable[[Iterable[Event]], None]
    observe: Callable[[Event], None]


@define
class _Attempt:
    """An attempt under way."""

    number: int
    where: str
    worker: str


@define
class Engine:
    """One run. ``step`` handles what has come since; ``outcome`` is there when home has ended."""

    plan: Plan
    crew: Crew
    artifacts: ArtifactStore
    record: Record
    folder: Path
    plan_message: Message
    jobs: int = 2
    spawns: bool = False
    """Helpers are no forks of home: they are as home was before the first task."""
    reuse: Reuse | None = None
    """What earlier runs have left that may be used again."""
    contents: Contents = field(factory=Contents)
    state: schedule.State = field(init=False)
    outcome: Outcome | None = None
    misfit: str = ""
    faults: list[str] = field(factory=list)
    """Tracebacks of our own code in a worker."""
    interrupted: bool = False
    timed_out: bool = False
    values: Values = field(factory=Values)
    arrivals: Arrivals = field(init=False)
    desk: Desk = field(init=False)
    places: list[Place] = field(init=False)
    events: list[Event] = field(factory=list)
    attempts: dict[int, _Attempt] = field(factory=dict)
    numbers: dict[int, int] = field(factory=dict)
    logs: dict[str, StreamLog] = field(init=False)
    outside: dict[str, bytearray] = field(init=False)
    end: Message | None = None
    ended_helpers: set[str] = field(factory=set)
    waiting_since: float = 0.0
    looked: float = 0.0
    crowd: dict[int, int] = field(factory=dict)
    waiting_cpu: float | None = None
    counts: dict[str, int] = field(factory=dict)
    reasons: dict[str, None] = field(factory=dict)
    results: dict[int, Message] = field(factory=dict)
    acting: dict[int, TaskFinished] = field(factory=dict)
    lessons: dict[int, tuple[str, str]] = field(factory=dict)
    """Tasks that were dropped for a reason that will come again: see ``storage.learned``."""
    vain: dict[str, str] = field(factory=dict)
    """Functions whose tasks are left to home, and why."""
    tried: set[int] = field(factory=set)
    """Tasks that were sent ahead."""
    took: dict[int, float] = field(factory=dict)
    """Seconds that each task took, wherever it ran last."""
    peak: int = 0
    """Bytes of memory that home has needed."""
    given: dict[int, list[Message]] = field(factory=dict)
    """For tasks away from home, what they were given."""
    checks: dict[int, Message] = field(factory=dict)
    """For tasks that run on trust, what home has to look at at their turn."""
    pending_reply: tuple[int, tuple[int, ...]] | None = None
    unfinished: dict[int, tuple[TaskFinished, Kept]] = field(factory=dict)
    driver_values: tuple[StoredValue, ...] = ()
    parameters: Kept | None = None
    """Arguments of the driver function, where helpers wanted them."""
    posts: Posts = field(init=False)
    begun: dict[int, float] = field(factory=dict)
    """When tasks with a time limit of their own were started."""
    overran: str = ""
    broken: str = ""
    """Why a task could not run where it is placed; and which."""
    broken_task: int = -1
    broken_status: int = 4
    """The exit status if home comes to that task."""
    halted: bool = False
    """Whether home has been told to end there."""

    def __attrs_post_init__(self) -> None:
        self.state = schedule.State(jobs=self.jobs, epochs=(0,) if self.spawns else ())
        self.arrivals = Arrivals(self.artifacts)
        self.posts = Posts(self.plan, self.jobs)
        self.desk = Desk(self.crew, self.jobs, bool(self.plan_message.get("patient")))
        self.places = regions_of(self.plan.graph)
        self.logs = {"stdout": StreamLog(), "stderr": StreamLog()}
        self.outside = {"stdout": bytearray(), "stderr": bytearray()}

    # -- the loop ----------------------------------------------------------------------------------

    def run(self, tick: Callable[[], float | None] = lambda: None) -> Outcome:
        """Poll until home has ended. ``tick`` is called each turn; it may return how long to wait at most (seconds)."""
        while self.outcome is None:
            self.step(self.crew.poll(self._patience(tick())))
        return self.outcome

    def step(self, notices: Iterable[Notice]) -> None:
        """Handle notices: record first, act then."""
        replies: list[tuple[str, Message]] = []
        for notice in notices:
            replies.extend(self._handle(notice))
        replies.extend(self._arrived())
        self._flush()
        for worker, message in replies:
            self.crew.send(worker, message)
        self._act()
        self._watch()
        self._flush()

    def _arrived(self, wait: bool = False) -> list[tuple[str, Message]]:
        """Handle the messages whose files the store has taken over since."""
        replies: list[tuple[str, Message]] = []
        for worker, message in self.arrivals.ready(wait):
            if message["kind"] == "stored":
                self._stored(message)
            elif "error" in message:
                self._lost(message["task"], message["error"], worker)
                replies.extend(self._answer_waiting())
            else:
                replies.extend(self._result(worker, message))
        return replies

    def _patience(self, wanted: float | None) -> float:
        limit = 0.002 if self.arrivals else 0.1 if len(self.state.flights) else 0.25
        limit = min(limit, LONG) if self.desk.is_undecided else limit
        return limit if wanted is None else min(limit, wanted)

    def _flush(self) -> None:
        if self.events:
            events, self.events = self.events, []
            self.record.append(events)
            for event in events:
                self.record.observe(event)

    def _act(self) -> None:
        if self.outcome is not None or self.end is not None:
            return
        self.desk.crew = self.crew
        self.desk.act(sum(helper.task >= 0 for helper in self.state.helpers.values()))
        for action in schedule.decide(self.plan, self.state, self.desk.busy):
            match action:
                case schedule.Dispatch(task, helper, trust):
                    self._dispatch(task, helper, trust)
                case schedule.Hire(epoch):
                    name = self.crew.helper(epoch)
                    self.state = schedule.hired(self.state, name, epoch)
        if self.plan.placed:
            self._post()
        if self.plan.ahead and schedule.is_over(self.plan, self.state):
            self._release()

    def _release(self) -> None:
        """Let the helpers go that are of no use any more, and what they are forked from. They share home's memory: a
        page that home changes is copied as long as they are there, and at its end an interpreter changes them all."""
        for worker in self.state.helpers:
            self.ended_helpers.add(worker)
            self.state = schedule.helper_gone(self.state, worker)
            self.crew.kill(worker)
        for epoch in self.state.epochs:
            self.state = schedule.template_gone(self.state, epoch)
            self.crew.kill(f"template:{epoch}")

    def _post(self) -> None:
        """Hire workers for tasks that are placed, and send what can be sent."""
        for placement in self.posts.hires(self.state):
            self.posts.hired(self.crew.helper(0, placement), placement)
        waiting = self.pending_reply[0] if self.pending_reply else -1
        for task, worker in self.posts.dispatches(self.state, waiting):
            trust = self.posts.trusts(self.state, task)
            order = self.values.order(self.plan, task, trust)
            if isinstance(order, str) and trust:
                self.posts.workers[worker].task = -1
                self._doubt(task, order)
            elif isinstance(order, str):
                self.posts.done(worker)
                self._drop(task, order, worker)
            elif order is None:  # a value is still being written
                self.posts.workers[worker].task = -1
            else:
                placed = self.plan.placed[task]
                if placed.guess is not None:
                    order["assumed"] = True
                self.given[task] = cast(Any, order["inputs"])
                if trust:
                    self.checks[task] = check_of(self.plan, task, order)
                    self.tried.add(task)
                else:
                    order.update(apart=placed.firm or placed.acts, leave=placed.acts)
                    if placed.guess is not None:
                        self.checks[task] = unshared(order)
                self.state = sent(self.state, self.plan, task, worker, trust)
                attempt = self._attempt(task, "ahead", worker)
                self.begun[task] = time.monotonic()
                self.events.append(TaskStarted(time.time(), task, attempt.number, "ahead", worker))
                self._flush()
                self.crew.send(worker, order)
        for worker, reply in self._answer_waiting():
            self.crew.send(worker, reply)

    # -- notices -----------------------------------------------------------------------------------

    def _handle(self, notice: Notice) -> list[tuple[str, Message]]:
        match notice.kind:
            case "output":
                self.logs[notice.stream].arrived(notice.output)
                return []
            case "cut":
                self.logs[notice.stream].cut()
                return []
            case "exit":
                self._ended(notice)
                return []
            case "message":
                message = cast(Message, notice.message)
                if notice.worker == "home":
                    return self._home(message)
                if notice.worker == "template":
                    if message["kind"] == "gone":
                        self.state = schedule.template_gone(self.state, int(cast(int, message["epoch"])))
                        return []
                    if int(cast(int, message["epoch"])) < 0:
                        self.desk.template(int(cast(int, message["epoch"])))
                        return []
                    self.state = schedule.template_ready(self.state, int(cast(int, message["epoch"])))
                    return []
                return self._helper(notice.worker, message)

    def _home(self, message: dict[str, Any]) -> list[tuple[str, Message]]:
        kind = message["kind"]
        if kind == "hello":
            self.events.append(WorkerStarted(time.time(), "home", "home", message["pid"]))
        elif kind == "ready":
            self._note_outside(message.get("output"))
            if not message["failed"]:
                return [("home", self.plan_message)]
        elif kind == "start":
            self._start_home(message)
        elif kind == "done":
            self._done(message)
        elif kind == "recipes":
            self._offer(message["tasks"])
        elif kind in ("writing", "stored"):
            self.arrivals.told(message)
        elif kind == "inputs":
            kept = self.values.kept(message, self.artifacts)
            self.values.add(-1, kept)
            self.parameters = kept
        elif kind == "at":
            return self._at(message)
        elif kind == "adopted":
            self._adopted(message)
        elif kind == "refused" and self.reuse is not None and message["task"] in self.reuse.taken:
            del self.reuse.taken[message["task"]]
            self.reuse.refused[message["task"]] = message["why"]
            if message["task"] in self.plan.placed:
                self._unbar(message["task"])
        elif kind == "refused":
            self.lessons[message["task"]] = ("trust", message["why"])
            self._drop(message["task"], message["why"])
            self.halted = bool(self.broken) and self.broken_task == message["task"]
            if message.get("unforeseen"):
                self._outdate(message["task"])
        elif kind == "frame":
            self.desk.opened(message)
        elif kind == "items":
            reply = self.desk.at(message)
            return [] if reply is None else [("home", reply)]
        elif kind == "frame_over":
            self.desk.closed(message["frame"])
        elif kind == "misfit":
            self.misfit = message["message"]
        elif kind == "note":
            name = f"{self.plan.graph.tasks[message['task']].name} " if "task" in message else ""
            self.reasons[name + message["text"]] = None
        elif kind == "fault":
            self.faults.append(message["text"])
            self.reasons["inferflow itself failed; the rest of the run was not recorded"] = None
            self.pending_reply = None
        elif kind == "end":
            self.end = message
            self._release()
        return []

    def _helper(self, worker: str, message: dict[str, Any]) -> list[tuple[str, Message]]:
        kind = message["kind"]
        if kind == "hello":
            there = self.crew.surroundings(worker)
            image = f"{there.image} ({there.digest})" if there.image else ""
            self.events.append(WorkerStarted(time.time(), worker, "helper", message["pid"], image, there.python))
            if message.get("spawned"):
                return [(worker, self.plan_message)]
            if not self.desk.joined(worker, message["epoch"]):
                self.state = schedule.helper_joined(self.state, worker, message["epoch"])
        elif kind == "items":
            return [("home", reply) for reply in self.desk.finished(worker, message)]
        elif kind == "warm" and worker in self.posts.workers:
            self.posts.workers[worker].ready = True
        elif kind == "warm":
            self.state = schedule.helper_joined(self.state, worker, 0)
        elif kind == "result":
            if "file" in message:
                self.arrivals.told(message, worker)
                return []
            return self._result(worker, message)
        elif kind == "raised":
            self._leave_post(worker)
            self.state = schedule.finished(self.state, message["task"], worker)
            if schedule.holds(self.state, message["task"], worker):
                self.results[message["task"]] = message
            return self._answer_waiting()
        elif kind == "dropped":
            if message["task"] >= 0 or not message["ends"]:
                self._leave_post(worker)
            if message["ends"]:
                self.ended_helpers.add(worker)
                if message["task"] < 0 and worker in self.posts.workers:
                    self._lose_post(worker, message["why"])
                self.posts.workers.pop(worker, None)
            ours, replies = self.desk.lost(worker, message["why"])
            if ours:
                return [("home", reply) for reply in replies]
            task = message["task"]
            if task >= 0:
                if message.get("again", True):
                    self._wasted(task, message["why"])
                self._lost(task, message["why"], worker)
            if message["ends"]:
                self.state = schedule.helper_gone(self.state, worker)
            return self._answer_waiting()
        return []

    # -- tasks at home -------------------------------------------------------------------------------

    def _attempt(self, task: int, where: str, worker: str) -> _Attempt:
        number = self.numbers.get(task, 0) + 1
        self.numbers[task] = number
        attempt = _Attempt(number, where, worker)
        self.attempts[task] = attempt
        return attempt

    def _start_home(self, message: dict[str, Any]) -> None:
        task = message["task"]
        self._note_outside(message.get("before"))
        if task in self.state.flights:
            self._drop(task, "home came to it first")
        self.state = schedule.home_at(self.state, task, waits=False)
        attempt = self._attempt(task, "home", "home")
        if task in self.plan.limits:
            self.begun[task] = time.monotonic()
        self.events.append(TaskStarted(message["time"], task, attempt.number, "home", "home"))

    def _done(self, message: dict[str, Any]) -> None:
        task = message["task"]
        attempt = self.attempts.get(task)
        if attempt is None:
            return
        kept = self.values.kept(message, self.artifacts)
        if self.reuse is not None:
            self.contents.add(task, kept)
        if task in self.plan.publish:
            self.values.add(task, kept)
        stdout, stderr = self._output(message)
        event = TaskFinished(
            message["time"],
            task,
            attempt.number,
            message["duration"],
            message["cpu"],
            message["memory"],
            kept.stored,
            self._files(message),
            stdout,
            stderr,
            self._regions(message, task, [len(stdout), len(stderr)]),
            *self._recipe(message, "once"),
        )
        self._count("home", task)
        self.took[task] = message["duration"]
        self.peak = max(self.peak, message["memory"])
        self.state = schedule.measured(self.state, self.plan, task, message["cpu"], message["duration"])
        if any(value.why_not for value in kept.stored):
            self.counts["pinned"] = self.counts.get("pinned", 0) + 1
        self._finish(event, kept)
        self.state = schedule.retired(self.state, task)
        self.values.forget_before(self.state.retired, self.plan)
        self._withdraw()

    def _regions(self, message: dict[str, Any], task: int, sizes: list[int]) -> tuple[RegionFacts, ...]:
        """What happened inside the task's loops and branches; their helpers are needed no more. ``sizes``: characters
        of its output."""
        self.desk.closed_all()
        for frame in self.desk.ended:
            if frame.refused:
                where = self.places[frame.region].region.span
                self.reasons[f"turns of the loop at {where} were left to home: {frame.why}"] = None
        self.desk.ended.clear()
        return self._inside(message, task, sizes)

    def _inside(self, message: dict[str, Any], task: int, sizes: list[int]) -> tuple[RegionFacts, ...]:
        told = zip(("stdout", "stderr"), message.get("sizes", ()), sizes, strict=False)
        streams = [name for name, size, kept in told if size == kept]
        return region_facts(self.places, task, message.get("regions", []), streams)

    def _finish(self, event: TaskFinished, kept: Kept) -> None:
        """The record says that a task is finished when its values are on disk."""
        if kept.pending:
            self.unfinished[event.task] = (event, kept)
            return
        self.events.append(event)
        self.events.append(TaskRetired(event.time, event.task, event.attempt))

    def _stored(self, message: dict[str, Any]) -> None:
        self.values.stored(message)
        for task, (event, kept) in list(self.unfinished.items()):
            if not kept.pending:
                del self.unfinished[task]
                self._finish(_with_values(event, kept.stored), kept)

    def _count(self, where: str, task: int) -> None:
        self.counts[where] = self.counts.get(where, 0) + 1

    # -- tasks away from home --------------------------------------------------------------------------

    def _dispatch(self, task: int, helper: str, trust: bool) -> None:
        order = self.values.order(self.plan, task, trust)
        if isinstance(order, str):
            self.state = schedule.not_to_be_had(self.state, task, trust)
            self.reasons[f"{self.plan.graph.tasks[task].name} ran at home: {order}"] = None
            return
        if order is None:  # a value is still being written
            return
        built_on = schedule.built_on(self.state, self.plan, task, trust)
        self.state = schedule.sent(self.state, self.plan, task, helper, built_on, trust)
        self.checks.pop(task, None)
        self.given[task] = cast(Any, order["inputs"])
        if trust:
            self.checks[task] = check_of(self.plan, task, order)
        self.tried.add(task)
        attempt = self._attempt(task, "ahead", helper)
        if task in self.plan.limits:
            self.begun[task] = time.monotonic()
        self.events.append(TaskStarted(time.time(), task, attempt.number, "ahead", helper))
        self._flush()
        self.crew.send(helper, order)

    def _result(self, worker: str, message: dict[str, Any]) -> list[tuple[str, Message]]:
        task = message["task"]
        attempt = self.attempts.get(task)
        self._leave_post(worker)
        self.state = schedule.finished(self.state, task, worker)
        if attempt is None or not schedule.holds(self.state, task, worker):
            return []
        self.state = schedule.behaved(self.state, self.plan, task, well=True)
        kept = self.values.kept(message, self.artifacts)
        if "carried" in message:
            self.state = schedule.withheld(self.state, task)
        else:
            self.values.add(task, kept)
        self.results[task] = message
        self.took[task] = message["duration"]
        self.state = schedule.measured(self.state, self.plan, task, message["cpu"], message["duration"])
        output = message.get("output", {})
        event = TaskFinished(
            message["time"],
            task,
            attempt.number,
            message["duration"],
            message["cpu"],
            message["memory"],
            kept.stored,
            self._files(message),
            _text(output.get("stdout", b"")),
            _text(output.get("stderr", b"")),
            self._inside(message, task, [len(_text(output.get(name, b""))) for name in ("stdout", "stderr")]),
            *self._recipe(message, "acts"),
        )
        if self.reuse is not None and "carried" not in message:
            self.contents.add(task, kept)
        if message.get("acts") or "carried" in message or message.get("lasts"):
            self.acting[task] = event  # it is finished when its files are written, or its values are home's
        else:
            self.events.append(event)
        return self._answer_waiting()

    def _outdate(self, task: int) -> None:
        """No helper from before ``task`` is used any more."""
        self.state = schedule.outdated(self.state, task)
        for worker in schedule.stale_helpers(self.state):
            self.crew.send(worker, {"kind": "stop"})

    def _leave_post(self, worker: str) -> None:
        """A worker at a post is done with its task; one that serves a single task ends."""
        if worker in self.posts.workers and self.posts.done(worker):
            self.ended_helpers.add(worker)
            del self.posts.workers[worker]
            self.crew.send(worker, {"kind": "stop"})

    def _lose_post(self, worker: str, cause: str, memory: bool = False) -> None:
        """A worker at a post has ended, or could not begin: what it was for is refused, or left to home. ``memory``:
        for want of it."""
        lost = self.posts.workers.pop(worker)
        tasks = [lost.task] if lost.task >= 0 else self.posts.meant(self.state, lost.placement)
        for task in tasks:
            self._drop(task, cause, worker)
            if memory and self.broken_task == task:
                self.broken_status = 137

    def _lost(self, task: int, why: str, worker: str) -> None:
        """A helper could not bring its task to an end: dropped, unless another helper has it by now."""
        if task in self.plan.placed or schedule.holds(self.state, task, worker):
            self._drop(task, why, worker)
        else:
            self.state = schedule.idle(self.state, worker)

    def _wasted(self, task: int, why: str) -> None:
        """It was of no use to run the task ahead, nor will it be next time; nor others of its function, if this goes
        on."""
        self.lessons[task] = ("any", why)
        self.state = schedule.behaved(self.state, self.plan, task, well=False)
        if schedule.is_vain(self.plan, self.state, task):
            name = self.plan.graph.tasks[task].key[0]
            self.vain[name] = why
            self.reasons[f"tasks of {name} were left to home from then on: {why}"] = None

    def lessons_of_all(self) -> dict[int, tuple[str, str]]:
        """The lessons, and those that follow for tasks like these which were not tried."""
        found = {}
        for task in self.plan.ahead:
            name = self.plan.graph.tasks[task].key[0]
            if name in self.vain and schedule.is_vain(self.plan, self.state, task) and task not in self.tried:
                found[task] = ("any", self.vain[name])
        return {**found, **self.lessons}

    def _doubt(self, task: int, why: str) -> None:
        """A placed task does not run on trust any more: at its turn, where it is placed; or at home, if it may."""
        name = self.plan.graph.tasks[task].name
        if self.plan.placed[task].firm:
            self.state = evolve(self.state, doubted=self.state.doubted | {task})
        else:
            self.state = evolve(self.state, barred=self.state.barred | {task})
            self.reasons[f"{name} ran in home's container: {why}"] = None

    def _drop(self, task: int, why: str, worker: str = "") -> None:
        placed = self.plan.placed.get(task)
        flight = self.state.flights.get(task)
        if placed is not None and flight is not None and flight.trust:
            self._doubt(task, why)
        elif placed is not None and task not in self.state.barred:
            name = self.plan.graph.tasks[task].name
            acted = placed.acts and task in self.state.flights  # (what is done cannot be done again)
            if (placed.firm or acted) and not self.broken:
                self.broken = f"task {name} could not run where its settings place it: {why}"
                self.broken_task = task
            elif not placed.firm and not acted:
                self.reasons[f"{name} ran in home's container: {why}"] = None
        before = set(self.state.flights)
        self.state = schedule.dropped(self.state, task, worker)
        for gone in sorted(before - set(self.state.flights)):
            attempt = self.attempts.get(gone)
            self.results.pop(gone, None)
            self.acting.pop(gone, None)
            self.values.remove(gone)
            if attempt is not None and attempt.where == "ahead":
                because = why if gone == task else f"it built on {self.plan.graph.tasks[task].name}, which was dropped"
                self.events.append(TaskDropped(time.time(), gone, attempt.number, because))
                self.counts["dropped"] = self.counts.get("dropped", 0) + 1
                self.reasons[f"{self.plan.graph.tasks[gone].name} was dropped: {because}"] = None

    def _at(self, message: dict[str, Any]) -> list[tuple[str, Message]]:
        self._note_outside(message.get("before"))
        self.pending_reply = (message["task"], tuple(message["inner"]))
        self.waiting_since, self.waiting_cpu = time.monotonic(), None
        return self._answer_waiting()

    def _answer_waiting(self) -> list[tuple[str, Message]]:
        if self.pending_reply is None:
            return []
        task, inner = self.pending_reply
        if self.broken and self.broken_task in (task, *inner):  # (tasks before it have been done, as natively)
            self.halted = True
            return [("home", {"kind": "halt"})]
        if self.reuse is not None and not inner:
            offered = task in self.reuse.offers
            olds = self.reuse.take(self.plan, task, self.contents, self.artifacts)
            if olds:
                self.pending_reply = None
                adoption = self.reuse.adoption(olds, task, self.folder, self.artifacts)
                adoption["again"] = task in self.plan.placed  # (if home does not take it, it must not run there)
                return [("home", adoption)]
            if offered and task in self.plan.placed:
                self._unbar(task)
        answer = schedule.answer(self.state, task, inner)
        if answer == "run" and self.posts.holds(self.state, task):
            answer = "wait"
        match answer:
            case "wait":
                self.state = schedule.home_at(self.state, task, waits=True)
                return []
            case "run":
                self.pending_reply = None
                self.state = schedule.home_at(self.state, task if not inner else -1, waits=False)
                return [("home", {"kind": "run"})]
            case "adopt":
                self.pending_reply = None
                return [("home", self._adoption(task, inner))]

    def _adoption(self, task: int, inner: tuple[int, ...]) -> Message:
        outputs = []
        for index in (*inner, task):
            output: Any = self.results[index].get("output", {})
            flushed: Any = self.results[index].get("flushed", {})
            outputs.append(
                [
                    output.get("stdout", b""),
                    output.get("stderr", b""),
                    flushed.get("stdout", -1),
                    flushed.get("stderr", -1),
                    self.results[index].get("pieces", []),
                ]
            )
        result: Any = self.results[task]
        if "raises" in result:
            raised: Message = {"kind": "raise", "output": outputs, "raises": result["raises"]}
            if "stood" in result:
                raised.update(stood=result["stood"], checks=[self.checks[task]])
            return raised
        reply: Message = {"kind": "adopt", "output": outputs, "values": bool(result["facts"])}
        placed = self.plan.placed.get(task)
        if placed is not None and self.state.flights[task].trust:
            reply["again"] = True  # it is run once more, at its turn now
        elif placed is not None and (placed.firm or placed.acts):
            reply["firm"] = True  # home must not run it, if it cannot take the result
        seen: list[Any] = [item for index in (*inner, task) for item in cast(Any, self.results[index].get("seen", []))]
        if seen:
            reply["seen"] = seen
        acts = [act for index in (*inner, task) for act in cast(Any, self.results[index].get("acts", []))]
        if acts:
            reply["acts"] = acts
        checks = [
            {**self.checks[index], "standing": self.results[index].get("standing")}
            for index in (*inner, task)
            if index in self.checks
        ]
        if checks:
            reply["checks"] = checks
        proofs = [self._proof(index) for index in (*inner, task)]
        if any(any(part.values()) for part in proofs):
            reply["proofs"] = proofs
        if result.get("lasts") and not inner:
            reply["lasted"] = result["duration"]
        if "stood" in result:
            reply["stood"] = result["stood"]
        if "carried" in result:
            reply["carried"] = result["carried"]
            reply["given"] = self.given.get(task, [])
        reply["order"] = list(range(len(result["facts"])))
        if "kept" in result:
            reply.update(names=[name for name, *_ in result["facts"]], kept=result["kept"])
        if "order" in result:
            reply["added"] = result["order"]
        if result.get("inline") is not None:
            reply["inline"] = result["inline"]
        elif result["facts"] and "carried" not in result:
            reply["path"] = str(self.artifacts.path(result["digest"]))
        return reply

    def _proof(self, task: int) -> dict[str, Any]:
        """What home is to look at at the turn of any task: what it was given, and what it could have read."""
        result: Any = self.results[task]
        return {
            "proof": result.get("proof"), "literals": result.get("literals", []), "given": self.given.get(task, []),
        }  # fmt: skip

    # -- results of earlier runs ------------------------------------------------------------------------

    def _offer(self, rows: list[Any]) -> None:
        """Home has told what tasks are made of: those for which there is a result are not sent to helpers."""
        if self.reuse is not None:
            offered = self.reuse.told(self.plan, rows, self._images([task for task, _ in rows]))
            self.state = evolve(self.state, barred=self.state.barred | offered)

    def _images(self, tasks: list[int]) -> dict[int, str]:
        """Of those tasks that are placed the digests of their images; none if the engine cannot tell: it will say so
        when they are to run."""
        try:
            return {t: self.crew.image(self.plan.placed[t].placement) for t in tasks if t in self.plan.placed}
        except UserError:
            return {}

    def _withdraw(self) -> None:
        """Offers that nobody will take, since what the tasks read is not what it was: helpers may run these."""
        if self.reuse is None or not self.reuse.offers:
            return
        for task in [task for task in self.reuse.offers if self.contents.is_settled(self.plan, task)]:
            now = self.contents.of(self.plan, task)
            if all(old.inputs != now for old in self.reuse.offers[task]):
                self.reuse.take(self.plan, task, self.contents, self.artifacts)
                self._unbar(task)

    def _unbar(self, task: int) -> None:
        barred = self.state.barred - {task}
        self.state = evolve(self.state, barred=barred, frontier=min(self.state.frontier, task))

    def _reused(self, message: dict[str, Any]) -> None:
        """Home has taken over the result of an earlier run."""
        assert self.reuse is not None
        task, now = message["task"], message["time"]
        old = self.reuse.taken[task][message["choice"]]
        stdout, stderr = self._output(message)
        attempt = self._attempt(task, "reused", old.run)
        was = old.event
        event = evolve(
            was, time=now, task=task, attempt=attempt.number, duration=0.0, cpu=0.0, peak_memory=0, stdout=stdout,
            stderr=stderr,
        )  # fmt: skip
        self.events.append(TaskStarted(now, task, attempt.number, "reused", old.run))
        self.events += [event, TaskRetired(now, task, attempt.number)]
        kept = self.reuse.kept(old, self.artifacts)
        self.contents.add(task, kept)
        if task in self.plan.publish:
            self.values.add(task, kept)
        self._count("reused", task)
        self.state = schedule.retired(self.state, task)
        self._withdraw()

    def _adopted(self, message: dict[str, Any]) -> None:
        if self.reuse is not None and message["task"] in self.reuse.taken:
            self._reused(message)
            return
        self._output(message)
        for task in (*message["inner"], message["task"]):
            self._retire_adopted(task, message)
            self._count("ahead", task)
            if self.results[task].get("acts"):
                self._count("held", task)
            if task in self.checks and self.checks[task]["trust"]:
                self._count("trusted", task)
            if task in self.plan.placed and self.plan.placed[task].guess is not None:
                name = self.plan.graph.tasks[task].key[0]
                self.reasons[f"{name} ran apart: what libraries hold there was not compared with home"] = None
            self.results.pop(task, None)
            self.checks.pop(task, None)
            self.given.pop(task, None)
        self.state = schedule.retired(self.state, message["task"])
        self.values.forget_before(self.state.retired, self.plan)
        self._withdraw()

    def _retire_adopted(self, task: int, message: dict[str, Any]) -> None:
        attempt = self.attempts[task]
        event = self.acting.pop(task, None)
        if event is None:
            self.events.append(TaskRetired(message["time"], task, attempt.number))
            return
        event = _with_files(event, self._files(message))
        result = self.results.get(task, {})
        if message.get("recipe") and task == message["task"]:
            image = self._images([task]).get(task, "")
            recipe = {**message["recipe"], IMAGE: image}
            done: Any = {"acts": result.get("once") or result.get("acts"), "recipe": recipe}
            recorded, acts = self._recipe(done, "acts")
            event = evolve(event, recipe=recorded, acts=acts)
        if "facts" not in message or task != message["task"]:
            self.events += [event, TaskRetired(message["time"], task, attempt.number)]
            return
        kept = self.values.kept(message, self.artifacts)
        if task in self.plan.publish:
            self.values.add(task, kept)
        self._finish(_with_values(event, kept.stored), kept)

    def _watch(self) -> None:
        self._relieve()
        self._rescue()
        self._tell_home(self.desk.relieve())
        for worker in list(self.desk.rescue()):
            self._tell_home(self.desk.lost(worker, f"a helper made no progress for {STALLED:.0f} s")[1])
            self.crew.kill(worker)
        self._limit()

    def _limit(self) -> None:
        """End the run if a task takes longer than its own time limit."""
        for task, since in list(self.begun.items()):
            attempt = self.attempts.get(task)
            limit = self.plan.limits.get(task)
            over = task < self.state.retired or (task in self.state.flights and self.state.flights[task].finished)
            if limit is None or attempt is None or over:
                del self.begun[task]
            elif time.monotonic() - since > limit and not self.timed_out:
                name = self.plan.graph.tasks[task].name
                self.timed_out, self.overran = True, f"task {name} took longer than its timeout of {limit:g} s"
                if attempt.worker != "home":
                    self.crew.kill(attempt.worker)
                self.crew.kill("home")

    def _tell_home(self, replies: Iterable[Message]) -> None:
        for reply in replies:
            self.crew.send("home", reply)

    def _relieve(self) -> None:
        """If tasks that run at once want more processors than there are (BLAS and OpenMP threads, which spin while
        they wait for each other), take those that run ahead back: each will have the processors to itself later."""
        now = time.monotonic()
        if self.outcome is not None or now - self.looked < CROWD_INTERVAL:
            return
        self.looked = now
        running = {helper.task: name for name, helper in self.state.helpers.items() if helper.task >= 0}
        if self.state.home_busy and (task := self._running_at_home()) >= 0:
            running[task] = "home"
        if len(running) < 2:
            self.crowd = {}
            return
        threads = {task: self.crew.running_threads(worker) for task, worker in running.items()}
        wide = {task: count for task, count in threads.items() if count > 1}
        seen_before = {task: max(count, self.crowd[task]) for task, count in wide.items() if task in self.crowd}
        self.crowd = wide
        if not seen_before or sum(threads.values()) <= self.jobs:
            return
        for task, count in seen_before.items():
            self.state = schedule.crowded(self.state, self.plan, task, count)
        for task in sorted(running, reverse=True):
            worker = running[task]
            if worker != "home" and task != min(running):
                self._take_back(task, worker, max(threads[task], 1))

    def _take_back(self, task: int, worker: str, threads: int) -> None:
        self.state = schedule.crowded(self.state, self.plan, task, threads, worker)
        attempt = self.attempts[task]
        why = "the processors were busy with the threads of other tasks; it runs when they are free"
        self.events.append(TaskDropped(time.time(), task, attempt.number, why))
        self.counts["dropped"] = self.counts.get("dropped", 0) + 1
        self.reasons[f"{self.plan.graph.tasks[task].name} was taken back: {why}"] = None
        self.ended_helpers.add(worker)
        self.state = schedule.helper_gone(self.state, worker)
        self.crew.kill(worker)
        for name, reply in self._answer_waiting():
            self.crew.send(name, reply)

    def _rescue(self) -> None:
        """Home waits for a helper: if that one has stopped getting anywhere, home runs the task itself."""
        if self.pending_reply is None or self.outcome is not None or self.pending_reply[0] in self.plan.placed:
            return  # (a task that is placed may wait for a device)
        now = time.monotonic()
        if now - self.waiting_since < STALLED:
            return
        task, inner = self.pending_reply
        running = [i for i in (*inner, task) if (f := self.state.flights.get(i)) is not None and not f.finished]
        used = sum(self.crew.processor_time(self.state.flights[i].helper) or 0.0 for i in running)
        if self.waiting_cpu is not None and used <= self.waiting_cpu + 0.02:
            for index in running:
                helper = self.state.flights[index].helper
                self._drop(index, f"its helper made no progress for {STALLED:.0f} s", helper)
                self.crew.kill(helper)
            for worker, reply in self._answer_waiting():
                self.crew.send(worker, reply)
        self.waiting_since, self.waiting_cpu = now, used

    # -- ends ----------------------------------------------------------------------------------------

    def _ended(self, notice: Notice) -> None:
        if notice.worker != "home":
            self._helper_ended(notice)
            return
        self._arrived(wait=True)
        if self.end is None:
            self._home_lost(notice)
        else:
            self._home_finished(self.end, notice)
        self._flush()

    def _helper_ended(self, notice: Notice) -> None:
        code = notice.exit_code
        if notice.worker in self.posts.workers:
            signal, cause = cause_of(code, 0)
            cause = notice.cause or f"its worker ended: {cause}"
            self.events.append(WorkerLost(time.time(), notice.worker, code, signal, cause))
            self._lose_post(notice.worker, cause, code == -9 and bool(notice.cause))
        ours, replies = self.desk.lost(notice.worker, "its helper ended")
        if ours:
            self._tell_home(replies)
            return
        helper = self.state.helpers.get(notice.worker)
        if helper is not None and helper.task >= 0 and notice.worker not in self.ended_helpers:
            signal, cause = cause_of(code, 0)
            self.events.append(WorkerLost(time.time(), notice.worker, code, signal, cause))
            if signal == "SIGSYS":
                self._wasted(helper.task, "code outside Python acted on files, or on the outside world")
            self._lost(helper.task, f"its helper ended: {cause}", notice.worker)
        self.state = schedule.helper_gone(self.state, notice.worker)
        for worker, reply in self._answer_waiting():
            self.crew.send(worker, reply)

    def _home_finished(self, end: dict[str, Any], notice: Notice) -> None:
        self._note_outside(end.get("output"))
        failure: TaskFailed | None = None
        if end["status"] == "error" or (end["status"] == "exit" and notice.exit_code):
            task = end["task"]
            attempt = self.attempts.get(task)
            failure = failure_of_end(end, task, attempt.number if attempt else 0, self.folder, self._files(end))
            out, err = (self.outside.pop("stdout"), self.outside.pop("stderr")) if task >= 0 else (b"", b"")
            if task >= 0:
                stdout, stderr = _text(bytes(out)), _text(bytes(err))
                inside = self._regions(end, task, [len(stdout), len(stderr)])
                failure = evolve(failure, stdout=stdout, stderr=stderr, regions=inside)
                self.outside = {"stdout": bytearray(), "stderr": bytearray()}
            self.events.append(failure)
        elif end["task"] >= 0 and (attempt := self.attempts.get(end["task"])) is not None:
            stdout, stderr = _text(bytes(self.outside["stdout"])), _text(bytes(self.outside["stderr"]))
            event = TaskFinished(
                end["time"], end["task"], attempt.number, end["duration"], end["cpu"], end["memory"], (),
                self._files(end), stdout, stderr,
            )  # fmt: skip
            self.events += [event, TaskRetired(end["time"], end["task"], attempt.number)]
        if "returned" in end:
            self.driver_values = self.values.kept(end["returned"], self.artifacts).stored
        self._close(notice, failure)

    def _home_lost(self, notice: Notice) -> None:
        """Home ended without a word: a signal, or ``os._exit``."""
        if self.misfit:
            now = time.time()
            refused = TaskFailed(now, -1, 0, 0.0, "ParameterError", self.misfit, "")
            self.events.append(refused)
            self._close(notice, refused)
            return
        if notice.exit_code == 0:
            if not self.faults:
                self.reasons["the driver ended its process at once, or hid from us: the end was not recorded"] = None
            self._close(notice, None)
            return
        task = self.pending_reply[0] if self.pending_reply else self._running_at_home()
        task = self.broken_task if self.halted else task
        attempt = self.attempts.get(task)
        failure = failure_of_loss(notice, task, attempt.number if attempt else 0, self.plan, self.timed_out)
        if self.overran:
            failure = evolve(failure, message=self.overran)
        elif self.halted:
            failure = evolve(failure, exception="PlacementFailed", message=self.broken)
        lost = WorkerLost(time.time(), "home", notice.exit_code, failure.exception, failure.message)
        self.events += [lost, failure]
        self._close(notice, failure)

    def _running_at_home(self) -> int:
        running = [t for t, a in self.attempts.items() if a.where == "home" and t >= self.state.retired]
        return max(running, default=-1)

    def _close(self, notice: Notice, failure: TaskFailed | None) -> None:
        for stream, log in self.logs.items():
            self.outside[stream] += log.rest()
        if self.reuse is not None:
            self.reasons.update(dict.fromkeys(self.reuse.reasons(self.plan)))
        certificate = Certificate(
            self.counts.get("home", 0),
            self.counts.get("ahead", 0),
            self.counts.get("dropped", 0),
            self.counts.get("pinned", 0),
            tuple(self.reasons),
            self.counts.get("trusted", 0),
            self.counts.get("held", 0),
            self.counts.get("reused", 0),
        )
        self.outcome = outcome_of(
            notice.exit_code,
            failure,
            certificate,
            (*(self.parameters.stored if self.parameters else ()), *self.driver_values),
            _text(bytes(self.outside["stdout"])),
            _text(bytes(self.outside["stderr"])),
            interrupted=self.interrupted,
            timed_out=self.timed_out,
            broken=self.broken_status if self.halted else 4 if notice.broken else 0,
        )
        self.events.append(self.outcome.event)

    # -- output and files ------------------------------------------------------------------------------

    def _output(self, message: dict[str, Any]) -> tuple[str, str]:
        noted = message.get("output") or {}
        texts = []
        for stream, log in self.logs.items():
            data, sizes, left_out = noted.get(stream, (b"", [], 0))
            texts.append(_text(log.task_output(data, sizes, left_out)))
        return texts[0], texts[1]

    def _note_outside(self, noted: dict[str, Any] | None) -> None:
        for stream, (data, sizes, left_out) in (noted or {}).items():
            self.logs[stream].noted(data, sizes, left_out)
            self.outside[stream] += data

    def _recipe(self, message: dict[str, Any], acts: str) -> tuple[tuple[tuple[str, str], ...], tuple[FileAct, ...]]:
        """Of what a task was made, and what it did to files, if that is all."""
        done = file_acts(message.get(acts) or [], self.folder)
        recipe = message.get("recipe")
        return (tuple(recipe.items()), done) if recipe and done is not None else ((), ())

    def _files(self, message: dict[str, Any]) -> tuple[FileUse, ...]:
        return file_uses(message.get("files") or [], self.folder, self.artifacts)


def _with_values(event: TaskFinished, stored: tuple[StoredValue, ...]) -> TaskFinished:
    return evolve(event, values=stored)


def _with_files(event: TaskFinished, files: tuple[FileUse, ...]) -> TaskFinished:
    from inferflow.records import evolve

    return evolve(event, files=(*event.files, *files))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape") if data else ""
