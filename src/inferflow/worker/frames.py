"""Loops at home whose turns may be run ahead: what the hooks in them do (see ``transform_regions``).

A *frame* is one execution of a loop. Its items are known when it begins if they are of builtin kinds that can be
looked at without using them up: then home forks, at that moment, a process from which helpers come that have all of
home's objects, items included, and helpers run the strands of later items, in batches (see ``frames_sharing``). Home
runs the loop natively. At each turn it either has the results of the turn's strand, or a *lease* to run so many turns
itself, or it asks.

A result counts only if the names that the target has bound are those of the item that the helper had. Any doubt, and
home runs the turn. Loops that turn out to be short are never announced: the clock decides, at turns 1, 2, 4, 8 ...
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from inferflow.worker.frames_items import is_builtin, items_of, part_of, same, short, size_of
from inferflow.worker.frames_map import counted, items_of_map, spread
from inferflow.worker.frames_proof import Basis
from inferflow.worker.frames_sharing import AnyFrame, Sharing
from inferflow.worker.hooks import thread_ident
from inferflow.worker.printed import Printed
from inferflow.worker.siblings import Siblings
from inferflow.worker.stages import Stages
from inferflow.worker.transform_regions import Place, RegionUnit, Table

if TYPE_CHECKING:
    from inferflow.worker.home import Home

__all__ = ["Frame", "Frames"]

WORTH = 0.05
"""Seconds that the turns to come must take, by what was measured, for helpers to be forked for them."""
ADOPTION = 0.000008
"""Seconds that a turn costs which a helper has run, on both sides: there is nothing to be gained below that."""
ARM = "arm"
"""Stands for a stream where not text is told, but how often an arm was chosen."""
LOOP = "loop"
"""The same for loops within what was run as a whole: region, how often, items, turns."""
TURN = "turn"
"""And for a turn of such a loop: region, indices by region (None: the loop is over), item."""
TOLD = 64
"""So many items of a frame are told one by one."""


class Frame(AnyFrame):
    """One execution of a loop; its items are those that the loop goes through, if they are known."""

    __slots__ = (
        "basis", "caller", "current", "ended", "fed", "feeds", "function", "last", "look", "many", "own", "piece",
        "spent", "told",
    )  # fmt: skip
    place: Place

    def __init__(self, place: Place) -> None:
        super().__init__(place, place.given, (), -1)
        self.look = -1
        self.ended = False  # no more results come, but what the last turn has not asked for is still at hand
        self.last = 0.0
        self.spent = 0.0  # seconds of turns that ran at home
        self.own = 0  # how many these were
        self.told: list[list[Any]] = []
        self.current = -1
        self.caller = 0
        self.feeds: dict[tuple[int, ...], dict[int, Any]] | None = None
        """Of the present turn, what a helper has found deeper in it: by the indices of the loops inside, for each unit
        (for ``~region``: the values that the target of that loop had)."""
        self.basis: Basis | None = None
        """And what that stands on."""
        self.fed: list[tuple[int, int]] = []
        """Units of it that are at hand now, each with how many loops inside of the turn it stands in."""
        self.function: Any = None  # what ``map`` calls, and whether with several arguments
        self.many = False
        self.piece: tuple[int, Any] | None = None
        """While ``map`` makes results one after the other: of which turn the first is, and what counts them."""

    @property
    def rate(self) -> float:
        return self.spent / self.own if self.own else 0.0

    def share(self, index: int) -> None:
        super().share(index)
        self.current = index or -1
        self.last = time.perf_counter() if index else self.last

    def drop(self) -> None:
        super().drop()
        self.feeds = None

    def words(self, node: str) -> str:
        return "turns of the loop"


class _End:
    """The last part of what a comprehension goes through: nothing, but then it is known that it has ended."""

    def __init__(self, frames: Frames, region: int) -> None:
        self.frames = frames
        self.region = region

    def __iter__(self) -> _End:
        return self

    def __next__(self) -> Any:
        self.frames.z(self.region)
        raise StopIteration


class Frames:
    """All loops of the driver, as home runs them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.places: dict[int, Place] = {}
        self.paths: dict[int, dict[str, tuple[int, ...]]] = {}
        self.frames: dict[int, Frame] = {}
        self.table = Table({}, 0, {}, {}, {})
        self.expressions: frozenset[int] = frozenset()
        """The units that are expressions."""
        self.names: dict[int, tuple[str, ...]] = {}
        """The names that the others bind, those that they may bind left out."""
        self.maybe: dict[int, int] = {}
        """The units that bind some names or not, and how many they do bind."""
        self.bound: dict[int, Iterator[Any]] = {}
        """Of those whose result was taken: for each such name whether it is bound, and then its value."""
        self.flags: list[bool] = []
        self.ready: dict[int, Any] = {}
        self.arms: dict[tuple[int, int], int] = {}
        self.tallies: dict[int, list[Any]] = {}
        self.off = True
        self.sharing = Sharing(home)
        self.stages = Stages(self)
        self.siblings = Siblings(self)
        self.printed = Printed(home.streams)
        self.helping = 0
        """In a helper that runs a task: the thread that does."""
        self.sizes = [0, 0]
        """Characters that the last task printed on each stream."""

    def begin(self, table: Table, ahead: bool) -> None:
        """The plan is there; its regions will be hooked. ``ahead``: turns may be run ahead at all."""
        self.table = table
        self.places = self.sharing.places = {place.region: place for place in table.places.values()}
        self.paths = table.paths
        self.flags = [True] * table.units
        every = [unit for place in self.places.values() for unit in place.units]
        every += [unit for place in self.places.values() for found in place.arms.values() for unit in found]
        self.expressions = frozenset(unit.unit for unit in every if unit.expression is not None)
        self.maybe = {unit.unit: len(unit.names) for unit in every if unit.maybe}
        every += [unit for place in self.places.values() for unit in place.apart]
        every += [
            unit for place in self.places.values() for stage in place.stages for found in stage.groups for unit in found
        ]
        self.names = {unit.unit: unit.names for unit in every if unit.expression is None}
        self.sharing.comparison.begin(table)
        self.off = not ahead or self.home.fork_template is None
        hooks: Any = self.home.hooks
        hooks.l, hooks.n, hooks.m, hooks.g, hooks.f = self.l, self.n, self.m, self.g, self.flags
        hooks.w, hooks.z, hooks.h, hooks.v = self.w, self.z, self.h, self.v
        self.stages.begin(table)
        hooks.e, hooks.t = self.stages.e, self.stages.t
        self.siblings.begin(table)
        hooks.c = self.siblings.c

    # -- hooks ---------------------------------------------------------------------------------------

    def m(self, region: int, arm: int) -> None:
        key = (region, arm)
        count = self.arms[key] = self.arms.get(key, 0) + 1
        if arm == 0 and self.places[region].node == "while" and self.tells():
            self.printed.begin(region, [count - 1], "")

    def l(self, region: int, iterable: Any, *outer: Any) -> Any:  # noqa: E743
        caller = None if self.helping else sys._getframe(1)  # (there, nobody looks at the frame of the task)
        frame = self._begin(region, caller)
        ahead = frame is not None and (frame.place.ahead or frame.place.around)
        items = items_of(iterable) if ahead else None
        if frame is not None and items is not None and len(items) > 1:
            frame.locals = dict(zip(frame.place.outer, outer))
            frame.caller = id(caller)
            if frame.place.ahead and self._feeder(frame.place, caller) is None:
                self._known(frame, items, caller, self._is_shared_out(frame.place))
            else:
                frame.items, frame.count = items, len(items)
        if self.frames[region].count < 0:
            self.frames[region].count = size_of(iterable)
        if self.places[region].told and self.places[region].node == "comprehension" and is_builtin(iterable):
            return itertools.chain(iterable, _End(self, region))
        return iterable

    def w(self, region: int, mapping: Any, function: Any, *iterables: Any) -> tuple[Any, ...]:
        caller = None if self.helping else sys._getframe(1)  # (there, nobody looks at the frame of the task)
        frame = self._begin(region, caller)
        ahead = frame is not None and frame.place.ahead
        items = items_of_map(mapping, function, iterables) if ahead else None
        if frame is None or items is None or len(items) < 2:
            found = counted(iterables) if mapping is map else None
            if found is None:
                return (function, *iterables)
            frame = self.frames[region]
            frame.count, numbers, iterables = found
            frame.piece = 0, numbers
            return (function, *iterables)
        frame.function, frame.many = function, len(iterables) > 1
        self._known(frame, items, caller)
        return spread(self, frame, iterables)

    def _begin(self, region: int, caller: Any) -> Frame | None:
        """A loop begins: its frame, if turns of it may be run ahead."""
        place = self.places[region]
        old = self.frames.get(region)
        if old is not None:
            self._tally(old)
            self.printed.end(region)
            self._starve(old, 0)
            if old.live:
                self.sharing.over(old)
        for unit in place.units:
            self.flags[unit.unit] = True
        frame = self.frames[region] = Frame(place)
        if self.off or self.home.alone or not self.home.hooks.at_home() or self.home.analysed.departed():
            return None
        if place.function and not self.home.opened.is_called(place, caller):
            return None
        return frame

    def let_go(self) -> None:
        """Nothing runs ahead any more: the driver's objects are its own alone."""
        self.off = True
        for frame in self.frames.values():
            frame.live, frame.look, frame.items, frame.feeds = False, -1, (), None
            frame.locals.clear()
            frame.results.clear()

    def _is_shared_out(self, place: Place) -> bool:
        """Whether helpers run turns of a loop around: then they have enough to do, unless this one takes long."""
        around = [self.frames.get(region) for region in place.around]
        return any(frame is not None and frame.live for frame in around)

    def _known(self, frame: Frame, items: tuple[Any, ...], caller: Any, patient: bool = False) -> None:
        """The items are these: whether to get helpers for them at once."""
        frame.items, frame.count, frame.targets = items, len(items), self.paths[frame.place.region]
        frame.started = frame.last = time.perf_counter()
        frame.look = 1
        if frame.place.region in self.sharing.comparison.costly:
            frame.look = -1
        elif self.sharing.always or (frame.place.heavy and not patient and not self.sharing.spent_enough()):
            self.sharing.announce(frame, 0, caller)

    def n(self, region: int, *values: Any) -> bool:
        frame = self.frames.get(region)
        if frame is None:
            return True  # a generator that lives on, since what took it is not what its name says
        index = frame.index = frame.index + 1
        if frame.place.slice.arms and frame.place.node == "comprehension" and not self.helping:
            frame.caller = id(sys._getframe(1))  # (what the first loop goes through is made outside)
        if frame.place.told and self.tells():
            self.begun(frame, index, values)
        if frame.live:
            self._turn(frame, index, values)
        elif index == frame.look:
            if frame.ended:
                self._forget(frame)
            else:
                self.consider(frame, index, sys._getframe(1))
        if frame.place.around and not self.helping:
            feeder = self._feeder(frame.place, sys._getframe(1))
            if feeder is not None:
                self._feed_inside(feeder[0], feeder[1], frame.place.region, values)
        return True

    def g(self, unit: int) -> Any:
        self.flags[unit] = True
        values, output, single, basis = self.ready.pop(unit)
        self.replay(output)
        if basis.left or self.names.get(unit):
            self.sharing.comparison.left(basis, unit, self.names.get(unit, ()), values)
        if unit in self.maybe:
            sure = self.maybe[unit]
            there, rest = values[sure], iter(values[sure + 1 :])
            self.bound[unit] = iter(
                [part for is_bound in there for part in ((True, next(rest)) if is_bound else (False,))]
            )
            return values[:sure]
        if single:
            self.bound[unit] = iter(values[1:])  # what it binds by a walrus
            return values[0]
        return values

    def h(self, unit: int) -> Any:
        return next(self.bound[unit])

    def replay(self, output: Any) -> None:
        """What a unit printed elsewhere, and which arms it chose."""
        for name, data in output:
            if name == ARM:
                region, arm, count = data
                self.arms[region, arm] = self.arms.get((region, arm), 0) + count
            elif name == TURN:
                self._turn_within(*data)
            elif name == LOOP:
                region, times, items, turns = data
                tally = self._tally_of(region)
                tally[0] += times
                tally[1] += turns
                tally[2] = -1 if items < 0 or tally[2] < 0 else tally[2] + items
                tally[3] += turns
            else:
                self.home.streams.replay(name, data)

    def _turn_within(self, region: int, known: dict[str, int] | None, item: str) -> None:
        """A turn began of a loop that a helper has run as a whole: what comes is what it printed."""
        place = self.places[region]
        if known is None:
            self.printed.end(region)
        elif place.node == "while":
            count = self.arms[region, 0] = self.arms.get((region, 0), 0) + 1
            self.printed.begin(region, [count - 1], item)
        else:
            path = [
                known[str(number)] if str(number) in known else self.frames[number].index
                for number in (*place.within, region)
                if str(number) in known or number in self.frames
            ]
            self.printed.begin(region, path, item)

    def reset(self) -> None:
        """In a helper: a task begins, of which only is told what happens in it."""
        self.frames.clear()
        self.printed.take()
        self.tallies, self.arms = {}, {}
        self.flags[:] = [True] * len(self.flags)
        self.helping = thread_ident()

    def tells(self) -> bool:
        """Whether what happens here is part of the task that this process runs."""
        return self.helping == thread_ident() if self.helping else not self.elsewhere()

    # -- turns ---------------------------------------------------------------------------------------

    def consider(self, frame: Frame, index: int, caller: Any) -> None:
        """Whether the turns to come are worth helpers."""
        now = time.perf_counter()
        elapsed = now - frame.started
        rate = elapsed / index
        frame.look = index * 2
        if rate < 10 * ADOPTION and index < 16:
            return  # the first turns of all take longer than others
        if (rate - ADOPTION) * (frame.count - index) >= max(WORTH, 10 * self.sharing.fork_cost()):
            frame.spent, frame.own = elapsed, index
            self.sharing.announce(frame, index, caller)

    def _forget(self, frame: Frame) -> None:
        """A turn begins: what the one before has not asked for is not about this one."""
        for unit in frame.place.units:
            self.flags[unit.unit] = True
        self._starve(frame, 0)
        frame.feeds = None

    def _turn(self, frame: Frame, index: int, values: tuple[Any, ...]) -> None:
        self.clocked(frame)
        self._forget(frame)
        found = self.result(frame, index, values)
        if found is None:
            frame.current = index
        elif frame.place.keyed:
            frame.feeds, frame.basis = {}, found[1]
            for (unit, path), kept in found[0]:
                frame.feeds.setdefault(path, {})[unit] = kept
            self._feed(frame, ())
        else:
            for unit, kept in zip(frame.place.units, found[0]):
                self.ready[unit.unit] = (kept[0], kept[1], unit.expression is not None, found[1])
                self.flags[unit.unit] = False
        if index + 1 >= frame.count:
            with self.home.hooks.shield:
                self.sharing.over(frame)
            frame.ended, frame.look = True, index + 1  # a list may have grown meanwhile
        frame.last = time.perf_counter()

    def begun(self, frame: Frame, index: int, values: tuple[Any, ...]) -> None:
        """A turn begins, with these names bound: what is printed from now on is its own."""
        around = [self.frames[region].index for region in frame.place.within if region in self.frames]
        item = short(values[0] if len(values) == 1 else values)
        self.printed.begin(frame.place.region, [*around, index], item)

    def z(self, region: int) -> None:
        """A loop is over."""
        self.printed.end(region)

    def v(self, region: int, value: Any) -> Any:
        """It is, and this came out."""
        self.printed.end(region)
        return value

    def _feed(self, frame: Frame, path: tuple[int, ...]) -> None:
        """Home has come so far in a turn: what was found there is at hand."""
        assert frame.feeds is not None
        for unit, kept in frame.feeds.pop(path, {}).items():
            if unit >= 0:
                self.ready[unit] = (kept[0], kept[1], unit in self.expressions, frame.basis)
                self.flags[unit] = False
                frame.fed.append((unit, len(path)))

    def _starve(self, frame: Frame, level: int) -> None:
        """What is at hand so deep in a turn, or deeper, is not about what comes next."""
        for unit, deep in frame.fed:
            if deep >= level:
                self.ready.pop(unit, None)
                self.flags[unit] = True
        frame.fed = [(unit, deep) for unit, deep in frame.fed if deep < level]

    def _feeder(self, place: Place, caller: Any) -> tuple[Frame, tuple[int, ...]] | None:
        """The loop around of whose present turn a helper has run what it can, and the indices of the loops inside of
        that turn, this one included."""
        path: list[int] = [self.frames[place.region].index]
        for region in place.around:
            frame = self.frames.get(region)
            if frame is None or frame.caller != id(caller) or self.elsewhere():
                return None
            if frame.feeds is not None:
                return frame, tuple(reversed(path))
            path.append(frame.index)
        return None

    def _feed_inside(self, frame: Frame, path: tuple[int, ...], region: int, values: tuple[Any, ...]) -> None:
        """A turn begins of a loop inside of a turn of which a helper has run what it can."""
        assert frame.feeds is not None
        self._starve(frame, len(path))
        had = frame.feeds.get(path, {}).get(~region)
        if had is None:
            return
        if had[0] and not all(map(same, had[0], values)):
            self.sharing.stop(frame, "a loop inside of it went through something else")
            frame.ended, frame.look = True, frame.index + 1
            return
        self._tally_of(region)[3] += 1
        self._feed(frame, path)

    def clocked(self, frame: Frame, turns: int = 1) -> None:
        """Home's own turns, the last of them ``frame.current``, are over."""
        if frame.current >= 0 and turns:
            seconds = time.perf_counter() - frame.last
            frame.spent += seconds
            frame.own += turns
            for index in range(frame.current - turns + 1, frame.current + 1):
                self._tell(frame, index, seconds / turns, "home")
        frame.current = -1

    def result(self, frame: Frame, index: int, values: tuple[Any, ...]) -> tuple[list[Any], Basis] | None:
        """What a helper has found of a turn, for each unit, and what that stands on; None if home is to run it.
        ``values``: what the target has been bound to."""
        result = frame.results.pop(index, None)
        if result is None and index >= frame.lease and not self.elsewhere():
            with self.home.hooks.shield:
                if frame.own >= 16 and frame.rate < 2 * ADOPTION and not self.sharing.always:
                    self.sharing.over(frame)  # they looked as if they took time, but do not
                    return None
                self.sharing.ask(frame, index)
            result = frame.results.pop(index, None)
        if result is None or self.elsewhere() or not self._is(frame, index, values, result):
            return None
        self._tally_of(frame.place.region)[3] += 1
        self._tell(frame, index, result[2].seconds, "ahead")
        return result[0], result[2]

    def stands(self, unit: int) -> bool:
        """Whether the result of a unit that is at hand is to be used: all that it read is as it was."""
        basis = self.ready[unit][3]
        if self.holds(basis, unit):
            return True
        del self.ready[unit]
        self.flags[unit] = True
        return False

    def holds(self, basis: Basis, unit: int) -> bool:
        """The same for what has not been put down as at hand; if not, the frame is given up."""
        frame = basis.frame
        if not frame.dropped:
            why = self.sharing.comparison.contradiction(basis, unit)
            if not why:
                return True
            with self.home.hooks.shield:
                self.sharing.stop(frame, why)
            if isinstance(frame, Frame) and frame.place.region in self.sharing.comparison.costly:
                frame.look = -1
        if frame.apart or basis.counted:
            self._tally_of(frame.region(basis.index))[3] -= 1
            basis.counted = False
        return False

    def elsewhere(self) -> bool:
        """Whether this is not the thread, or not the process, that the frame was announced in."""
        return self.home.alone or not self.home.hooks.at_home()

    def _is(self, frame: Frame, index: int, values: tuple[Any, ...], result: Any) -> bool:
        """Whether the turn is about the item that the helper had, and the files that it read are as they were."""
        for value, path in zip(values, frame.targets.values()):
            part = part_of(frame.items[index], path)
            if part is not value and not same(part, value):
                self.sharing.stop(frame, "the list was changed while the loop ran")
                return False
        return self.sharing.is_fresh(frame, result)

    def reentered(self) -> None:
        """The driver's function runs a second time: its loops are not told apart any more."""
        for frame in self.frames.values():
            self.sharing.over(frame)
        self.stages.close()
        self.siblings.close()
        self.flags[:] = [True] * len(self.flags)
        self.off = True

    # -- the record ------------------------------------------------------------------------------------

    def _tally_of(self, region: int) -> list[Any]:
        """Times entered, turns, items there were (-1: not known), run ahead, some items one by one."""
        return self.tallies.setdefault(region, [0, 0, 0, 0, []])

    def _tally(self, frame: Frame) -> None:
        tally = self._tally_of(frame.place.region)
        if frame.piece is not None:  # nobody asked for the rest of them
            frame.index = min(frame.piece[0] + next(frame.piece[1]), frame.count) - 1
        tally[0] += 1
        tally[1] += frame.index + 1
        tally[2] = -1 if frame.count < 0 or tally[2] < 0 else tally[2] + frame.count
        tally[4] += frame.told[: max(0, TOLD - len(tally[4]))]
        frame.told = []

    def _tell(self, frame: Frame, index: int, duration: float, where: str) -> None:
        if len(frame.told) < TOLD:
            around = [self.frames[region].index for region in frame.place.within if region in self.frames]
            frame.told.append([index, short(frame.items[index]), duration, where, around])

    def told_beside(self, region: int, units: tuple[RegionUnit, ...]) -> None:
        """Units of a stage were run elsewhere."""
        tally = self._tally_of(region)
        tally[3] += len(units)

    def take(self) -> list[Any]:
        """What happened in regions since the last call: [region, arms, tally] each. Frames of the task are over."""
        self.stages.close()
        self.siblings.close()
        if not self.frames and not self.arms:
            return []
        for frame in self.frames.values():
            if frame.live and frame.current >= 0:
                self._tell(frame, frame.current, time.perf_counter() - frame.last, "home")
            self._tally(frame)
            self._starve(frame, 0)
            self.sharing.over(frame)
        self.frames.clear()
        self.flags[:] = [True] * len(self.flags)
        rows, self.sizes = self.printed.take()
        found: dict[int, list[Any]] = {region: [region, [], tally, []] for region, tally in self.tallies.items()}
        for (region, arm), count in self.arms.items():
            found.setdefault(region, [region, [], None, []])[1].append([arm, count])
        for region, *row in rows:
            found.setdefault(region, [region, [], None, []])[3].append(row)
        self.tallies, self.arms = {}, {}
        return list(found.values())
