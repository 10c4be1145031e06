"""How far a run has come: all that the engine knows of it, and the few things that every part of it does.

``loop`` takes in what happened and gives orders; ``turns`` is home's turn at a task that a helper may have run,
``away`` the tasks that run elsewhere, ``watching`` what is looked after now and then, ``ending`` how a worker and the
run end: functions on a :class:`Progress`. What is decided is decided by ``schedule``, on its frozen ``state``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from inferflow.engine import schedule
from inferflow.engine.arrivals import Arrivals
from inferflow.engine.frames import Desk
from inferflow.engine.frames_plan import Place, region_facts, regions_of
from inferflow.engine.outcome import Outcome
from inferflow.engine.plan import Plan
from inferflow.engine.posts import Posts
from inferflow.engine.reuse import Contents, Reuse
from inferflow.engine.streams import StreamLog
from inferflow.engine.values import Kept, Values, file_acts, file_uses
from inferflow.errors import UserError
from inferflow.model import (
    Event,
    FileAct,
    FileUse,
    RegionFacts,
    StoredValue,
    TaskFinished,
    TaskRetired,
)
from inferflow.protocols import ArtifactStore, Crew, Message
from inferflow.records import define, evolve, field, frozen

__all__ = ["Attempt", "Progress", "Record", "decoded"]


@frozen
class Record:
    """Where the engine writes: ``append`` puts events on disk; ``observe`` shows them."""

    append: Callable[[Iterable[Event]], None]
    observe: Callable[[Event], None]


@define
class Attempt:
    """An attempt under way."""

    number: int
    where: str
    worker: str


@define
class Progress:
    """One run; ``outcome`` is there when home has ended."""

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
    attempts: dict[int, Attempt] = field(factory=dict)
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

    def flush(self) -> None:
        """Write the events since the last time, in one transaction, and show them."""
        if self.events:
            events, self.events = self.events, []
            self.record.append(events)
            for event in events:
                self.record.observe(event)

    def attempt(self, task: int, where: str, worker: str) -> Attempt:
        """Begin the next attempt of a task."""
        number = self.numbers.get(task, 0) + 1
        self.numbers[task] = number
        attempt = Attempt(number, where, worker)
        self.attempts[task] = attempt
        return attempt

    def count(self, where: str, task: int) -> None:
        """For the certificate: one more task was run there."""
        self.counts[where] = self.counts.get(where, 0) + 1

    def finished(
        self,
        message: dict[str, Any],
        attempt: Attempt,
        kept: Kept,
        output: tuple[str, str],
        regions: tuple[RegionFacts, ...],
        acts: str,
    ) -> TaskFinished:
        """What the record says of a task that has finished. ``output``: what it wrote to stdout and stderr; ``acts``:
        where the message tells what it did to files."""
        return TaskFinished(
            message["time"],
            message["task"],
            attempt.number,
            message["duration"],
            message["cpu"],
            message["memory"],
            kept.stored,
            self.files(message),
            *output,
            regions,
            *self.recipe(message, acts),
        )

    def finish(self, event: TaskFinished, kept: Kept) -> None:
        """The record says that a task is finished when its values are on disk."""
        if kept.pending:
            self.unfinished[event.task] = (event, kept)
            return
        self.events.append(event)
        self.events.append(TaskRetired(event.time, event.task, event.attempt))

    def stored(self, message: dict[str, Any]) -> None:
        """A large value is on disk: tasks may be recorded as finished now."""
        self.values.stored(message)
        for task, (event, kept) in list(self.unfinished.items()):
            if not kept.pending:
                del self.unfinished[task]
                self.finish(evolve(event, values=kept.stored), kept)

    def running_at_home(self) -> int:
        """The task that home runs, or -1."""
        running = [t for t, a in self.attempts.items() if a.where == "home" and t >= self.state.retired]
        return max(running, default=-1)

    def release(self) -> None:
        """Let the helpers go that are of no use any more, and what they are forked from. They share home's memory: a
        page that home changes is copied as long as they are there, and at its end an interpreter changes them all."""
        for worker in self.state.helpers:
            self.ended_helpers.add(worker)
            self.state = schedule.helper_gone(self.state, worker)
            self.crew.kill(worker)
        for epoch in self.state.epochs:
            self.state = schedule.template_gone(self.state, epoch)
            self.crew.kill(f"template:{epoch}")

    def regions(self, message: dict[str, Any], task: int, sizes: list[int]) -> tuple[RegionFacts, ...]:
        """What happened inside the task's loops and branches; their helpers are needed no more. ``sizes``: characters
        of its output."""
        self.desk.closed_all()
        for frame in self.desk.ended:
            if frame.refused:
                where = self.places[frame.region].region.span
                self.reasons[f"turns of the loop at {where} were left to home: {frame.why}"] = None
        self.desk.ended.clear()
        return self.inside(message, task, sizes)

    def inside(self, message: dict[str, Any], task: int, sizes: list[int]) -> tuple[RegionFacts, ...]:
        """The same of a task that ran elsewhere, in one process."""
        told = zip(("stdout", "stderr"), message.get("sizes", ()), sizes, strict=False)
        streams = [name for name, size, kept in told if size == kept]
        return region_facts(self.places, task, message.get("regions", []), streams)

    def images(self, tasks: list[int]) -> dict[int, str]:
        """Of those tasks that are placed the digests of their images; none if the engine cannot tell: it will say so
        when they are to run."""
        try:
            return {t: self.crew.image(self.plan.placed[t].placement) for t in tasks if t in self.plan.placed}
        except UserError:
            return {}

    def output(self, message: dict[str, Any]) -> tuple[str, str]:
        """What a task wrote to the standard streams, which home has told of."""
        noted = message.get("output") or {}
        texts = []
        for stream, log in self.logs.items():
            data, sizes, left_out = noted.get(stream, (b"", [], 0))
            texts.append(decoded(log.task_output(data, sizes, left_out)))
        return texts[0], texts[1]

    def note_outside(self, noted: dict[str, Any] | None) -> None:
        """Output that belongs to no task."""
        for stream, (data, sizes, left_out) in (noted or {}).items():
            self.logs[stream].noted(data, sizes, left_out)
            self.outside[stream] += data

    def recipe(self, message: dict[str, Any], acts: str) -> tuple[tuple[tuple[str, str], ...], tuple[FileAct, ...]]:
        """Of what a task was made, and what it did to files, if that is all."""
        done = file_acts(message.get(acts) or [], self.folder)
        recipe = message.get("recipe")
        return (tuple(recipe.items()), done) if recipe and done is not None else ((), ())

    def files(self, message: dict[str, Any]) -> tuple[FileUse, ...]:
        """What a task read and wrote."""
        return file_uses(message.get("files") or [], self.folder, self.artifacts)


def decoded(data: bytes) -> str:
    """Output as text; what cannot be decoded survives as lone surrogates."""
    return data.decode("utf-8", "surrogateescape") if data else ""
