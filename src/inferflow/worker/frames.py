"""Loops at home whose turns may be run ahead: what the hooks in them do (see ``transform_regions``).

A *frame* is one execution of a loop. Its items are known when it begins if they are of builtin kinds that can be
looked at without using them up: then home forks, at that moment, a process from which helpers come that have all of
home's objects, items included, and helpers run the strands of later items, in batches. Home runs the loop natively.
At each turn it either has the results of the turn's strand, or a *lease* to run so many turns itself, or it asks:

    home -> controller                                       controller -> home
    frame {frame, region, task, count, at, rate}             (nothing: home goes on)
    items {frame, at, rate}     home has come to item ``at``  items {lease, batches} | stop
    frame_over {frame}

A result counts only if the names that the target has bound are those of the item that the helper had. Any doubt, and
home runs the turn. Loops that turn out to be short are never announced: the clock decides, at turns 1, 2, 4, 8 ...
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from inferflow.worker import transport
from inferflow.worker.apart import fork_apart
from inferflow.worker.frames_items import items_of, same, short
from inferflow.worker.observe import stamp
from inferflow.worker.stages import StageFrame, Stages
from inferflow.worker.transform_regions import Place, RegionUnit, Table

if TYPE_CHECKING:
    from inferflow.worker.home import Home

__all__ = ["Frame", "Frames"]

WORTH = 0.05
"""Seconds that the turns to come must take, by what was measured, for helpers to be forked for them."""
TOLD = 64
"""So many items of a frame are told one by one."""


class Frame:
    """One execution of a loop. ``lease``: turns below this are home's. ``results``: by item, for each unit its values
    and output, and the files that the helper looked at."""

    __slots__ = (
        "count", "current", "index", "items", "last", "lease", "live", "locals", "look", "number", "own", "place",
        "results", "spent", "started", "told",
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        self.place = place
        self.number = 0
        self.items: tuple[Any, ...] = ()
        self.count = -1
        self.index = -1
        self.live = False
        self.lease = 0
        self.look = -1
        self.locals: dict[str, Any] = {}
        self.results: dict[int, Any] = {}
        self.started = self.last = 0.0
        self.spent = 0.0  # seconds of turns that ran at home
        self.own = 0  # how many these were
        self.told: list[list[Any]] = []
        self.current = -1

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the driver's function that helpers need."""
        return self.place.given

    @property
    def rate(self) -> float:
        """Seconds a turn takes at home; 0 if not known."""
        return self.spent / self.own if self.own else 0.0


class Frames:
    """All loops of the driver, as home runs them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.places: dict[int, Place] = {}
        self.paths: dict[int, list[tuple[int, ...]]] = {}
        self.frames: dict[int, Frame] = {}
        self.flags: list[bool] = []
        self.ready: dict[int, Any] = {}
        self.arms: dict[tuple[int, int], int] = {}
        self.tallies: dict[int, list[Any]] = {}
        self.numbers = 0
        self.forked: Frame | StageFrame | None = None
        self.off = True
        self.always = bool(home.setup.get("turns"))  # of tests: whatever it costs
        self.spent = 0.0
        self.forks = 0
        self.stages = Stages(self)

    def begin(self, table: Table, ahead: bool) -> None:
        """The plan is there; its regions will be hooked. ``ahead``: turns may be run ahead at all."""
        self.places = {place.region: place for place in table.places.values()}
        self.paths = table.paths
        self.flags = [True] * table.units
        self.off = not ahead or self.home.fork_template is None
        hooks: Any = self.home.hooks
        hooks.l, hooks.n, hooks.m, hooks.g, hooks.f = self.l, self.n, self.m, self.g, self.flags
        self.stages.begin(table)
        hooks.e, hooks.t = self.stages.e, self.stages.t

    # -- hooks ---------------------------------------------------------------------------------------

    def m(self, region: int, arm: int) -> None:
        key = (region, arm)
        self.arms[key] = self.arms.get(key, 0) + 1

    def l(self, region: int, iterable: Any, *outer: Any) -> Any:  # noqa: E743
        place = self.places[region]
        old = self.frames.get(region)
        if old is not None:
            self._tally(old)
            if old.live:
                self.over(old)
        for unit in place.units:
            self.flags[unit.unit] = True
        frame = self.frames[region] = Frame(place)
        if self.off or self.home.alone or not self.home.hooks.at_home() or self.home.analysed.departed():
            return iterable
        if place.function and not self.home.opened.is_called(place, sys._getframe(1)):
            return iterable
        items = items_of(iterable)
        if items is not None and len(items) > 1:
            frame.items, frame.count = items, len(items)
            frame.locals = dict(zip(place.outer, outer))
            frame.started = frame.last = time.perf_counter()
            frame.look = 1
            if self.always or (place.heavy and not self.spent_enough()):
                self.announce(frame, 0, sys._getframe(1))
        return iterable

    def n(self, region: int, *values: Any) -> bool:
        frame = self.frames[region]
        index = frame.index = frame.index + 1
        if frame.live:
            self._turn(frame, index, values)
        elif index == frame.look:
            self._consider(frame, index, sys._getframe(1))
        return True

    def g(self, unit: int) -> Any:
        self.flags[unit] = True
        values, output, single = self.ready.pop(unit)
        for name, data in output:
            self.home.streams.replay(name, data)
        return values[0] if single else values

    # -- turns ---------------------------------------------------------------------------------------

    def _consider(self, frame: Frame, index: int, caller: Any) -> None:
        """Whether the turns to come are worth helpers."""
        now = time.perf_counter()
        elapsed = now - frame.started
        rate = elapsed / index
        frame.look = index * 2
        if rate * (frame.count - index) >= max(WORTH, 10 * self.fork_cost()):
            frame.spent, frame.own = elapsed, index
            self.announce(frame, index, caller)

    def fork_cost(self) -> float:
        """Seconds of processor time that a fork takes."""
        return self.spent / self.forks if self.forks else 0.002

    def spent_enough(self) -> bool:
        """Whether forks on suspicion have taken so much of the run by now that more of them could be felt."""
        return self.spent > 0.02 * (time.perf_counter() - self.home.began) + 0.05

    def _turn(self, frame: Frame, index: int, values: tuple[Any, ...]) -> None:
        now = time.perf_counter()
        if frame.current >= 0:
            frame.spent += now - frame.last
            frame.own += 1
            self._tell(frame, frame.current, now - frame.last, "home")
        frame.current = -1
        place = frame.place
        for unit in place.units:
            self.flags[unit.unit] = True
        result = frame.results.pop(index, None)
        if result is None and index >= frame.lease and not self.elsewhere():
            with self.home.hooks.shield:
                self.ask(frame, index)
            result = frame.results.pop(index, None)
        if result is not None and (self.elsewhere() or not self._is(frame, index, values, result)):
            result = None
        if result is None:
            frame.current = index
        else:
            for unit, kept in zip(place.units, result[0]):
                self.ready[unit.unit] = (kept[0], kept[1], unit.expression is not None)
                self.flags[unit.unit] = False
            tally = self._tally_of(frame.place.region)
            tally[3] += 1
            self._tell(frame, index, result[2], "ahead")
        if index + 1 >= frame.count:
            with self.home.hooks.shield:
                self.over(frame)
        frame.last = time.perf_counter()

    def elsewhere(self) -> bool:
        """Whether this is not the thread, or not the process, that the frame was announced in."""
        return self.home.alone or not self.home.hooks.at_home()

    def _is(self, frame: Frame, index: int, values: tuple[Any, ...], result: Any) -> bool:
        """Whether the turn is about the item that the helper had, and the files that it read are as they were."""
        for value, path in zip(values, self.paths[frame.place.region]):
            part = frame.items[index]
            for step in path:
                part = part[step] if type(part) in (tuple, list) else frame
            if part is not value and not same(part, value):
                self.stop(frame, "the list was changed while the loop ran")
                return False
        return self.is_fresh(frame, result)

    def is_fresh(self, frame: Frame | StageFrame, result: Any) -> bool:
        """Whether the files that a helper looked at are as they were."""
        for name, before in result[1]:
            if stamp(name) != before:
                self.stop(frame, f"{name} has changed since it was read")
                return False
        return True

    def ask(self, frame: Frame | StageFrame, index: int) -> None:
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

    def _take(self, frame: Frame | StageFrame, batch: dict[str, Any]) -> None:
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
        each = batch["duration"] / max(1, batch["done"])
        for offset, row in enumerate(rows):
            written = outputs.get(offset, {})
            units = [(values, written.get(number, ())) for number, values in enumerate(row)]
            frame.results[start + offset] = (units, seen.get(offset, ()), each)

    # -- frames ----------------------------------------------------------------------------------------

    def announce(self, frame: Frame | StageFrame, index: int, caller: Any) -> None:
        """Fork the process that helpers for this frame come from, and tell the controller. ``index`` is the item that
        home is at."""
        with self.home.hooks.shield:
            if self._may_fork() and self._gather(frame, caller):
                self._fork(frame, index)

    def _gather(self, frame: Frame | StageFrame, caller: Any) -> bool:
        """Keep what helpers need of the function's names; False if one of them is not bound now."""
        found = caller.f_locals if frame.given else {}
        code = caller.f_code
        for name in frame.given:
            if name in found:
                frame.locals[name] = found[name]
            elif name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
                return False
        return True

    def _may_fork(self) -> bool:
        return not self.home.alone and not self.home._unsafe()

    def _fork(self, frame: Frame | StageFrame, index: int) -> None:
        home = self.home
        begun = time.process_time()
        if home.keeper.writer is not None:
            home.keeper.writer.rest()
        self.numbers += 1
        frame.number = self.numbers
        # Told first: when the template's helpers ask for work, the controller knows what for.
        home.send({
            "kind": "frame", "frame": frame.number, "region": frame.place.region, "task": frame.place.task,
            "count": frame.count, "at": index, "rate": frame.rate, "apart": isinstance(frame, StageFrame),
        })  # fmt: skip

        def apart() -> NoReturn:
            self.forked = frame
            home.be_template(-frame.number)

        try:
            fork_apart(apart)
        except OSError as error:
            home.send({"kind": "frame_over", "frame": frame.number})
            home.send({"kind": "note", "text": f"a loop's turns stayed at home: {error}"})
            return
        self.spent += time.process_time() - begun
        self.forks += 1
        frame.live, frame.lease = True, index + 1
        if isinstance(frame, Frame):
            frame.current = index or -1
            frame.last = time.perf_counter() if index else frame.last

    def over(self, frame: Frame | StageFrame) -> None:
        """Its helpers are needed no more."""
        if frame.live:
            frame.live = False
            frame.results.clear()
            self.home.send({"kind": "frame_over", "frame": frame.number})

    def stop(self, frame: Frame | StageFrame, why: str) -> None:
        """Results of this frame are not used any more."""
        place = self.places[frame.place.region]
        what = "turns of the loop" if isinstance(frame, Frame) else f"calls in the {place.node!r} statement"
        text = f"the {what} in line {place.span[0]} that were run ahead were dropped: {why}"
        self.home.send({"kind": "note", "text": text})
        self.over(frame)

    def reentered(self) -> None:
        """The driver's function runs a second time: its loops are not told apart any more."""
        for frame in self.frames.values():
            self.over(frame)
        self.stages.close()
        self.flags[:] = [True] * len(self.flags)
        self.off = True

    # -- the record ------------------------------------------------------------------------------------

    def _tally_of(self, region: int) -> list[Any]:
        """Times entered, turns, items there were (-1: not known), run ahead, some items one by one."""
        return self.tallies.setdefault(region, [0, 0, 0, 0, []])

    def _tally(self, frame: Frame) -> None:
        tally = self._tally_of(frame.place.region)
        tally[0] += 1
        tally[1] += frame.index + 1
        tally[2] = -1 if frame.count < 0 or tally[2] < 0 else tally[2] + frame.count
        tally[4] += frame.told[: max(0, TOLD - len(tally[4]))]
        frame.told = []

    def _tell(self, frame: Frame, index: int, duration: float, where: str) -> None:
        if len(frame.told) < TOLD:
            frame.told.append([index, short(frame.items[index]), duration, where])

    def told_beside(self, region: int, units: tuple[RegionUnit, ...], duration: float) -> None:
        """Units of a stage were run elsewhere."""
        tally = self._tally_of(region)
        tally[3] += len(units)

    def take(self) -> list[Any]:
        """What happened in regions since the last call: [region, arms, tally] each. Frames of the task are over."""
        self.stages.close()
        if not self.frames and not self.arms:
            return []
        for frame in self.frames.values():
            if frame.live and frame.current >= 0:
                self._tell(frame, frame.current, time.perf_counter() - frame.last, "home")
            self._tally(frame)
            self.over(frame)
        self.frames.clear()
        self.flags[:] = [True] * len(self.flags)
        found: dict[int, list[Any]] = {region: [region, [], tally] for region, tally in self.tallies.items()}
        for (region, arm), count in self.arms.items():
            found.setdefault(region, [region, [], None])[1].append([arm, count])
        self.tallies, self.arms = {}, {}
        return list(found.values())
