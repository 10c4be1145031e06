"""Turns of loops that are run ahead: which helper gets which items, and what home is told when it comes to one.

A *frame* is one execution of a loop at home (see ``worker.frames``). Of its items, some are home's for now (its
*lease*), some are with helpers in *batches*, some are done and wait for home, and the rest is free. Home takes free
items in order; helpers take batches a little ahead of it, sized so that one takes some milliseconds of a long loop, or
a single item where an item takes long:

    items   0 1 2 3 4 5 6 7 8 9 ...        home runs 0-2 (lease), will take 3-5 next,
            h h h . . . a a a .            helper a has 6-8

No item is ever given out twice at a time, and home never waits for an item that nobody runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from inferflow.protocols import Crew, Message
from inferflow.records import define, field

__all__ = ["LONG", "Desk", "Frame"]

BATCH = 0.05
"""Seconds that a batch should take at most, where items are short."""
SHORTEST = 0.002
"""And at least: a message costs some tenths of a millisecond."""
LONG = 0.02
"""An item of so many seconds is a batch of its own."""
REFUSALS = 2
"""After so many helpers have given up a frame, home runs the rest of it."""
CROWD_INTERVAL = 0.1
"""Seconds between two looks at how many threads run."""
STALLED = 10.0
"""Seconds without processor time after which a helper that home waits for is given up."""


@define
class Batch:
    """Items ``start`` to ``stop`` with a helper."""

    start: int
    stop: int


@define
class Frame:
    """``free`` are intervals of items that nobody has; ``lease`` is where home's own items end; ``ready`` are results
    that home has not been given yet; ``waiting`` is the item that home waits for (-1: it does not)."""

    number: int
    region: int
    task: int
    count: int
    free: list[tuple[int, int]]
    lease: int
    at: int
    home_rate: float = 0.0
    helper_rate: float = 0.0
    ready: list[Message] = field(factory=list)
    running: dict[str, Batch] = field(factory=dict)
    idle: set[str] = field(factory=set)
    hiring: set[str] = field(factory=set)
    has_template: bool = False
    waiting: int = -1
    waiting_since: float = 0.0
    waiting_cpu: float | None = None
    refused: int = 0
    crowded: int = 0
    ahead: int = 0
    since: float = field(factory=time.monotonic)
    apart: bool = False
    """The items are different things to do, not one thing for different items: nothing is known of how long one takes
    from how long the others took."""
    why: str = ""

    @property
    def epoch(self) -> int:
        """The number that the template of this frame says hello with."""
        return -self.number

    @property
    def left(self) -> int:
        """How many items nobody has."""
        return sum(stop - start for start, stop in self.free)

    @property
    def rate(self) -> float:
        """Seconds an item takes, as far as is known; 0 if nothing is."""
        return self.helper_rate or self.home_rate

    def size(self, jobs: int) -> int:
        """How many items are a batch now: no more than are over, which is all that is known of how long they take."""
        rate = self.rate
        if not rate or rate >= LONG or self.apart:
            return 1
        seconds = min(BATCH, max(SHORTEST, self.left * rate / (4 * jobs)))
        return max(1, min(int(seconds / rate), self.at))

    def take(self, start: int, stop: int) -> None:
        """Items are free no more."""
        kept = []
        for low, high in self.free:
            if low < start:
                kept.append((low, min(high, start)))
            if high > stop:
                kept.append((max(low, stop), high))
        self.free = [(low, high) for low, high in kept if low < high]

    def give_back(self, start: int, stop: int) -> None:
        """Items are free again, but for those that home has passed."""
        start = max(start, self.at)
        if start < stop:
            self.free = sorted([*self.free, (start, stop)])

    def next_batch(self, jobs: int) -> tuple[int, int] | None:
        """What an idle helper gets: the items after those that home will take next; of the last ones, the later
        half. Where an item takes long, the last ones are given to whoever is there: home would rather wait for one
        that somebody runs than run it when all others have nothing to do."""
        left = self.left
        if left < 1:
            return None
        size = self.size(jobs)
        # (An item that is under way at home for so long is a long one.)
        last = (self.rate >= LONG or (not self.rate and time.monotonic() - self.since >= LONG)) and left <= jobs
        skip = 0 if self.apart or last or self.waiting >= 0 else size
        for low, high in self.free:
            if high - low <= skip:
                skip -= high - low
                continue
            return low + skip, min(high, low + skip + size)
        low, high = self.free[-1]
        half = (high - low) // 2
        return (high - min(half, size), high) if half else None

    def home_takes(self, item: int, jobs: int) -> int:
        """Where home's lease ends that begins at a free item."""
        for low, high in self.free:
            if low <= item < high:
                return min(high, item + self.size(jobs))
        return item + 1


@define
class Desk:
    """All frames that are under way. ``jobs`` is how many processes may compute at once, home among them."""

    crew: Crew
    jobs: int
    patient: bool = False
    """Home waits for helpers wherever one could run an item (in tests: then what they do counts, however short)."""
    frames: dict[int, Frame] = field(factory=dict)
    workers: dict[str, int] = field(factory=dict)
    """The frame of each helper that was asked for."""
    ended: list[Frame] = field(factory=list)
    early: set[int] = field(factory=set)
    """Frames whose template has said hello before home told of them."""
    last: int = 0
    looked: float = 0.0

    @property
    def busy(self) -> int:
        """How many helpers run turns, or will in a moment."""
        return sum(len(frame.running) + len(frame.hiring) for frame in self.frames.values())

    @property
    def is_undecided(self) -> bool:
        """Whether there are items of which it will be known in a moment that they take long."""
        now = time.monotonic()
        return any(frame.left and not frame.rate and now - frame.since < 2 * LONG for frame in self.frames.values())

    # -- what happened -------------------------------------------------------------------------------

    def opened(self, message: dict[str, Any]) -> None:
        """Home has come to a loop whose items are known, or to a stage of an arm (then ``at`` is -1 if it has something
        of its own to do first)."""
        number, at, count = message["frame"], message["at"], message["count"]
        frame = Frame(number, message["region"], message["task"], count, [(at + 1, count)], at + 1, at, message["rate"])
        frame.free = [(at + 1, count)] if at + 1 < count else []
        frame.apart = bool(message.get("apart"))
        frame.has_template = number in self.early
        self.early.discard(number)
        self.last = number
        self.frames[number] = frame

    def template(self, epoch: int) -> None:
        """Helpers for a frame can be forked."""
        frame = self.frames.get(-epoch)
        if frame is not None:
            frame.has_template = True
        elif -epoch > self.last:
            self.early.add(-epoch)  # what home told before it forked arrives by another way
        else:
            self.crew.kill(f"template:{epoch}")

    def joined(self, worker: str, epoch: int) -> bool:
        """A helper is there; False if it is not one of ours."""
        if epoch >= 0:
            return False
        frame = self.frames.get(self.workers.get(worker, -1))
        if frame is None or frame.epoch != epoch:
            self.crew.kill(worker)
        else:
            frame.hiring.discard(worker)
            frame.idle.add(worker)
        return True

    def at(self, message: dict[str, Any]) -> Message | None:
        """Home has come to an item: what it is told, or None if it has to wait."""
        frame = self.frames.get(message["frame"])
        if frame is None:
            return {"kind": "stop"}
        frame.at = item = message["at"]
        frame.home_rate = message["rate"] or frame.home_rate
        return self._answer(frame, item)

    def _answer(self, frame: Frame, item: int) -> Message | None:
        """The results that are there, and a lease for the first item that they do not have, if nobody runs that."""
        following = item
        starts = {batch["start"]: batch["done"] for batch in frame.ready}
        for start, done in sorted(starts.items()):
            if start <= following < start + done:  # type: ignore[operator]
                following = start + done  # type: ignore[operator]
        runs = any(batch.start <= following < batch.stop for batch in frame.running.values())
        if self.patient and frame.refused < REFUSALS:
            runs = runs or any(low <= following < high for low, high in frame.free)
        if runs and following == item:
            if frame.waiting < 0:
                frame.waiting_since, frame.waiting_cpu = time.monotonic(), None
            frame.waiting = item
            return None
        frame.waiting = -1
        batches, frame.ready = frame.ready, []
        frame.ahead += sum(int(str(batch["done"])) for batch in batches)
        lease = following
        if not runs and following < frame.count:
            given_up = frame.refused >= REFUSALS and not frame.running and frame.left
            lease = frame.count if given_up and not batches else frame.home_takes(following, self.jobs)
            frame.take(0, lease)
        return self._reply(frame, lease, batches)

    def _reply(self, frame: Frame, lease: int, batches: list[Message]) -> Message:
        frame.lease = lease
        return {"kind": "items", "lease": lease, "batches": list(batches)}

    def finished(self, worker: str, message: dict[str, Any]) -> list[Message]:
        """A helper has done a batch; replies to home, if it waits for one."""
        frame = self.frames.get(message["frame"])
        if frame is None:
            return []
        batch = frame.running.pop(worker, None)
        if batch is None:
            return []
        frame.idle.add(worker)
        start, done = message["start"], message["done"]
        if done:
            rate = message["duration"] / done
            frame.helper_rate = rate if not frame.helper_rate else (frame.helper_rate + rate) / 2
            kept = {k: v for k, v in message.items() if k not in ("kind", "frame", "failed")}
            frame.ready.append(kept)
        # The item that failed is home's: it is in no interval, so home will run it when it comes to it.
        frame.give_back(start + done + (1 if message["failed"] else 0), batch.stop)
        return self._wake(frame)

    def lost(self, worker: str, why: str) -> tuple[bool, list[Message]]:
        """A helper is gone; whether it was one of ours, and replies to home."""
        number = self.workers.pop(worker, None)
        if number is None:
            return False, []
        frame = self.frames.get(number)
        if frame is None:
            return True, []
        frame.idle.discard(worker)
        frame.hiring.discard(worker)
        batch = frame.running.pop(worker, None)
        frame.refused += 1
        frame.why = frame.why or why
        if batch is not None:
            frame.give_back(batch.start, batch.stop)
        return True, self._wake(frame)

    def _wake(self, frame: Frame) -> list[Message]:
        if frame.waiting < 0:
            return []
        reply = self._answer(frame, frame.waiting)
        return [] if reply is None else [reply]

    def closed(self, number: int) -> None:
        """A loop is over: its helpers are needed no more."""
        frame = self.frames.pop(number, None)
        if frame is None:
            return
        for worker in [*frame.idle, *frame.running]:
            self.crew.kill(worker)
        if frame.has_template:
            self.crew.kill(f"template:{frame.epoch}")
        self.ended.append(frame)

    def closed_all(self) -> None:
        """The task is over, or the run."""
        for number in list(self.frames):
            self.closed(number)

    # -- what follows --------------------------------------------------------------------------------

    def act(self, others: int) -> None:
        """Give idle helpers batches, and get more helpers while there is enough to do. ``others`` is how many helpers
        compute for other tasks."""
        for frame in list(self.frames.values()):
            if frame.refused >= REFUSALS:
                continue
            computes = frame.waiting < 0  # home does, unless it waits
            room = self.jobs if self.patient else self.jobs - computes - others - self.busy
            for worker in sorted(frame.idle):
                if room <= 0:
                    break
                taken = frame.next_batch(self.jobs)
                if taken is None:
                    break
                frame.take(*taken)
                frame.idle.discard(worker)
                frame.running[worker] = Batch(*taken)
                room -= 1
                order: Message = {"kind": "items", "frame": frame.number, "start": taken[0], "stop": taken[1]}
                self.crew.send(worker, order)
            # As long as nothing is known of how long an item takes, one helper finds out; if that takes long, that is
            # known too.
            careful = not frame.rate and not frame.apart and time.monotonic() - frame.since < LONG
            wanted = min(room, frame.left // max(1, frame.size(self.jobs)), 1 if careful else self.jobs)
            if self.patient:
                wanted = min(frame.left, 1 - len(frame.running) - len(frame.idle))
            if frame.has_template and not frame.hiring:
                for _ in range(wanted if not frame.idle else 0):
                    name = self.crew.helper(frame.epoch)
                    self.workers[name] = frame.number
                    frame.hiring.add(name)

    def relieve(self) -> list[Message]:
        """Where the calls of a loop keep several processors busy themselves (BLAS, OpenMP), running several at once is
        slower than one after the other: leave the rest of the loop to home. Replies to home, if it waits."""
        now = time.monotonic()
        if now - self.looked < CROWD_INTERVAL:
            return []
        self.looked = now
        replies: list[Message] = []
        for frame in self.frames.values():
            if not frame.running:
                continue
            workers = [*frame.running, *(() if frame.waiting >= 0 else ("home",))]
            threads = [self.crew.running_threads(worker) for worker in workers]
            frame.crowded = frame.crowded + 1 if max(threads) > 1 and sum(threads) > self.jobs else 0
            if frame.crowded > 1:
                replies += self._give_up(frame, "the processors were busy with threads of the calls themselves")
        return replies

    def _give_up(self, frame: Frame, why: str) -> list[Message]:
        for worker in [*frame.running, *frame.idle]:
            self.crew.kill(worker)
            self.workers.pop(worker, None)
        for batch in frame.running.values():
            frame.give_back(batch.start, batch.stop)
        frame.running.clear()
        frame.idle.clear()
        frame.refused, frame.why = REFUSALS, why
        return self._wake(frame)

    def rescue(self) -> Iterator[str]:
        """Helpers that home waits for and that do not get anywhere."""
        now = time.monotonic()
        for frame in self.frames.values():
            if frame.waiting < 0 or now - frame.waiting_since < STALLED:
                continue
            for worker, batch in frame.running.items():
                if batch.start <= frame.waiting < batch.stop:
                    used = self.crew.processor_time(worker) or 0.0
                    if frame.waiting_cpu is not None and used <= frame.waiting_cpu + 0.02:
                        yield worker
                    frame.waiting_since, frame.waiting_cpu = now, used
