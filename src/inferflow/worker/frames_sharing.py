"""What frames of all kinds have in common: a process is forked for each, and helpers from it run some of its items.

    Frame           the turns of a loop             (``frames``)
    StageFrame      groups of tasks of an arm       (``stages``)
    SiblingFrame    coroutines that have not begun  (``siblings``)

Home goes through the items natively. For each it either has the results, or a *lease* to run so many items itself, or
it asks:

    home -> controller                                       controller -> home
    frame {frame, region, task, count, at, rate, apart}      (nothing: home goes on)
    items {frame, at, rate}     home has come to item ``at``  items {lease, batches} | stop
    frame_over {frame}
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from inferflow.worker import transport
from inferflow.worker.frames_proof import Basis, Comparison, Told
from inferflow.worker.hidden_state import Moment
from inferflow.worker.locals_of import locals_of
from inferflow.worker.observe import stamp

if TYPE_CHECKING:
    from inferflow.worker.home import Home
    from inferflow.worker.transform_regions import Place, StagePlace

__all__ = ["INSIDE", "AnyFrame", "Chances", "Sharing"]

INSIDE = "calls in loops, arms and functions that are opened"
BRIEF = 0.02
"""Seconds that a frame must last for helpers to be forked for its like again."""
CHANCES = 2
"""So many times in a row it may turn out to last less."""


class AnyFrame:
    """One execution of something whose items helpers may run. ``given``: the names of the driver's function that they
    need, ``locals`` what these are. ``index``: the last item that home has come to; ``lease``: items below this are
    home's. ``results``: by item, for each unit its values and output, the files that the helper looked at, and what
    all that stands on. ``reading``: by ``key``, what helpers have told of what the code reads. ``moment``: what it was
    when they were forked. ``dropped``: no result counts any more. ``looking``: the seconds that it takes at least to
    compare what they read, measured ``looks`` times. ``targets``: names that items are bound to, and which part of
    them each gets."""

    __slots__ = (
        "count", "dropped", "given", "index", "items", "lease", "live", "locals", "looking", "looks", "moment",
        "number", "place", "reading", "results", "started", "targets",
    )  # fmt: skip
    place: Place | StagePlace

    def __init__(self, place: Place | StagePlace, given: tuple[str, ...], items: Any, count: int) -> None:
        self.place = place
        self.given = given
        self.items = items
        self.count = count
        self.number = 0
        self.index = -1
        self.live = False
        self.lease = 0
        self.locals: dict[str, Any] = {}
        self.results: dict[int, tuple[list[Any], Any, Basis]] = {}
        self.reading: dict[int, Told] = {}
        self.dropped = False
        self.targets: dict[str, tuple[int, ...]] = {}
        self.moment: Moment | None = None
        self.looks = 0
        self.looking = 0.0
        self.started = time.perf_counter()

    @property
    def rate(self) -> float:
        """Seconds an item takes at home; 0 if not known."""
        return 0.0

    @property
    def apart(self) -> bool:
        """Whether the items are different things to do."""
        return False

    def key(self, index: int) -> int:
        """Which code an item is run with, among that of the frame."""
        return -1

    def region(self, index: int) -> int:
        """The region whose code that is."""
        return self.place.region

    def share(self, index: int) -> None:
        """Helpers run items from now on; home is at item ``index``."""
        self.live, self.lease = True, index + 1

    def drop(self) -> None:
        """What helpers have found is not used any more."""
        self.dropped = True

    def words(self, node: str) -> str:
        """What the items are, for a message; ``node``: the kind of statement."""
        return f"calls in the {node!r} statement"


class Sharing:
    """Forks for frames, and their results, as home sees them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.places: dict[int, Place] = {}
        self.always = bool(home.setup.get("turns"))  # of tests: whatever it costs
        self.comparison = Comparison(home, self.always)
        self.forked: AnyFrame | None = None
        """In a process that was forked for a frame: that one."""
        self.numbers = 0
        self.spent = 0.0  # seconds of processor time that forks have taken
        self.forks = 0
        self.hindrances: set[str] = set()
        """Why no process was forked for a loop or an arm, as far as that was told."""

    def fork_cost(self) -> float:
        """Seconds of processor time that a fork takes."""
        return self.spent / self.forks if self.forks else 0.002

    def spent_enough(self) -> bool:
        """Whether forks on suspicion have taken so much of the run by now that more of them could be felt."""
        return self.spent > 0.02 * (time.perf_counter() - self.home.began) + 0.05

    def announce(self, frame: AnyFrame, index: int, caller: Any) -> None:
        """Fork the process that helpers for this frame come from, and tell the controller. ``index`` is the item that
        home is at."""
        with self.home.hooks.shield:
            told = self.places[frame.place.region].told
            if self._may_fork() and not (told and self.home.streams.is_redirected()) and self._gather(frame, caller):
                self._fork(frame, index)

    def _gather(self, frame: AnyFrame, caller: Any) -> bool:
        """Keep what helpers need of the function's names; False if one of them is not bound now."""
        if not frame.given:
            return True
        found, code = locals_of(caller), caller.f_code
        for name in frame.given:
            if name in found:
                frame.locals[name] = found[name]
            elif name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
                return False
        return True

    def _may_fork(self) -> bool:
        if self.home.alone:
            return False
        hindrance = self.home._unsafe()
        if hindrance and hindrance not in self.hindrances:
            self.hindrances.add(hindrance)
            self.home.send({"kind": "note", "text": f"{INSIDE} kept their order: {hindrance}"})
        return not hindrance

    def _fork(self, frame: AnyFrame, index: int) -> None:
        home = self.home
        begun = time.process_time()
        if home.keeper.writer is not None:
            home.keeper.writer.rest()
        self.numbers += 1
        frame.number = self.numbers
        frame.moment = Moment()
        # Told first: when the template's helpers ask for work, the controller knows what for.
        home.send({
            "kind": "frame", "frame": frame.number, "region": frame.place.region, "task": frame.place.task,
            "count": frame.count, "at": index, "rate": frame.rate,
            "apart": frame.apart,
        })  # fmt: skip

        def apart() -> NoReturn:
            self.forked = frame
            home.be_template(-frame.number)

        try:
            home.fork_unseen(apart)
        except OSError as error:
            home.send({"kind": "frame_over", "frame": frame.number})
            home.send({"kind": "note", "text": f"a loop's turns stayed at home: {error}"})
            return
        self.spent += time.process_time() - begun
        self.forks += 1
        frame.share(index)

    def found(self, frame: AnyFrame, index: int) -> Any:
        """What a helper has found of an item that home has come to; None if home is to run it."""
        result = frame.results.pop(index, None)
        if result is None and index >= frame.lease:
            with self.home.hooks.shield:
                self.ask(frame, index)
            result = frame.results.pop(index, None)
        return result if result is not None and self.is_fresh(frame, result) else None

    def ask(self, frame: AnyFrame, index: int) -> None:
        """Home has come to an item that is not its own: get its results, or a lease to run it."""
        home = self.home
        home.send({"kind": "items", "frame": frame.number, "at": index, "rate": frame.rate})
        reply = home.receive_reply()
        if reply["kind"] != "items":
            frame.live = False
            return
        frame.lease = reply["lease"]
        for batch in reply["batches"]:
            self._take(frame, batch)

    def _take(self, frame: AnyFrame, batch: dict[str, Any]) -> None:
        start = batch["start"]
        try:
            source = batch.get("inline")
            rows = transport.unpack(source if source is not None else batch["path"]) if batch["done"] else ()
        except Exception as error:
            self.stop(frame, f"results could not be rebuilt: {error!r}")
            return
        outputs: dict[int, dict[int, list[Any]]] = {}
        for item, unit, name, data in batch["output"]:
            outputs.setdefault(item, {}).setdefault(unit, []).append((name, data))
        seen = dict(batch["seen"])
        seconds = batch["duration"] / max(1, batch["done"])
        for key, message in batch["told"]:
            known = frame.reading.get(key)
            if known is None or known.message != message:
                frame.reading[key] = Told(message)
        keys = batch.get("keys")
        for offset, row in enumerate(rows):
            written = outputs.get(offset, {})
            units: list[Any] = [(values, written.get(number, ())) for number, values in enumerate(row)]
            if keys is not None:
                units = [((unit, tuple(path)), kept) for (unit, path), kept in zip(keys[offset], units)]
            basis = Basis(frame, start + offset, seconds, batch["each"][offset])
            frame.results[start + offset] = (units, seen.get(offset, ()), basis)

    def is_fresh(self, frame: AnyFrame, result: Any) -> bool:
        """Whether the files that a helper looked at are as they were."""
        for name, how, before in result[1]:
            if stamp(name, how) != before:
                self.stop(frame, f"{name} has changed since it was read")
                return False
        return True

    def over(self, frame: AnyFrame) -> None:
        """Its helpers are needed no more."""
        if frame.live:
            frame.live = False
            frame.results.clear()
            self.home.send({"kind": "frame_over", "frame": frame.number})

    def stop(self, frame: AnyFrame, why: str) -> None:
        """Results of this frame are not used any more."""
        place = self.places[frame.place.region]
        text = f"the {frame.words(place.node)} in line {place.span[0]} that were run ahead were dropped: {why}"
        self.home.send({"kind": "note", "text": text})
        self.over(frame)
        frame.drop()


class Chances:
    """Where helpers are forked before it is known how long it takes: how often in a row it took no time, by place."""

    def __init__(self, sharing: Sharing) -> None:
        self.sharing = sharing
        self.short: dict[int, int] = {}

    def left(self, place: int) -> bool:
        """Whether to try it here once more."""
        sharing = self.sharing
        return sharing.always or (self.short.get(place, 0) < CHANCES and not sharing.spent_enough())

    def over(self, frame: AnyFrame, place: int) -> None:
        """A frame is over."""
        if not self.sharing.always:
            is_short = time.perf_counter() - frame.started < max(BRIEF, 5 * self.sharing.fork_cost())
            self.short[place] = self.short.get(place, 0) + 1 if is_short else 0
        self.sharing.over(frame)
