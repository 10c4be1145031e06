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

import itertools
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Union

from inferflow.worker import transport
from inferflow.worker.frames_items import is_builtin, items_of, same, short, size_of
from inferflow.worker.frames_map import counted, items_of_map, spread
from inferflow.worker.hooks import thread_ident
from inferflow.worker.locals_of import locals_of
from inferflow.worker.observe import stamp
from inferflow.worker.printed import Printed
from inferflow.worker.siblings import SiblingFrame, Siblings
from inferflow.worker.stages import StageFrame, Stages
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
INSIDE = "calls in loops, arms and functions that are opened"
TOLD = 64
"""So many items of a frame are told one by one."""


class Frame:
    """One execution of a loop. ``lease``: turns below this are home's. ``results``: by item, for each unit its values
    and output, and the files that the helper looked at."""

    __slots__ = (
        "caller", "count", "current", "ended", "fed", "feeds", "function", "index", "items", "last", "lease", "live",
        "locals", "look", "many", "number", "own", "piece", "place", "results", "spent", "started", "told",
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
        self.ended = False  # no more results come, but what the last turn has not asked for is still at hand
        self.started = self.last = 0.0
        self.spent = 0.0  # seconds of turns that ran at home
        self.own = 0  # how many these were
        self.told: list[list[Any]] = []
        self.current = -1
        self.caller = 0
        self.feeds: dict[tuple[int, ...], dict[int, Any]] | None = None
        """Of the present turn, what a helper has found deeper in it: by the indices of the loops inside, for each unit
        (for ``~region``: the values that the target of that loop had)."""
        self.fed: list[tuple[int, int]] = []
        """Units of it that are at hand now, each with how many loops inside of the turn it stands in."""
        self.function: Any = None  # what ``map`` calls, and whether with several arguments
        self.many = False
        self.piece: tuple[int, Any] | None = None
        """While ``map`` makes results one after the other: of which turn the first is, and what counts them."""

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the driver's function that helpers need."""
        return self.place.given

    @property
    def rate(self) -> float:
        """Seconds a turn takes at home; 0 if not known."""
        return self.spent / self.own if self.own else 0.0


AnyFrame = Union[Frame, StageFrame, SiblingFrame]


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
        self.paths: dict[int, list[tuple[int, ...]]] = {}
        self.frames: dict[int, Frame] = {}
        self.table = Table({}, 0, {}, {})
        self.expressions: frozenset[int] = frozenset()
        """The units that are expressions."""
        self.maybe: dict[int, int] = {}
        """The units that bind some names or not, and how many they do bind."""
        self.bound: dict[int, Iterator[Any]] = {}
        """Of those whose result was taken: for each such name whether it is bound, and then its value."""
        self.flags: list[bool] = []
        self.ready: dict[int, Any] = {}
        self.arms: dict[tuple[int, int], int] = {}
        self.tallies: dict[int, list[Any]] = {}
        self.numbers = 0
        self.forked: AnyFrame | None = None
        self.off = True
        self.always = bool(home.setup.get("turns"))  # of tests: whatever it costs
        self.spent = 0.0
        self.forks = 0
        self.hindrances: set[str] = set()
        """Why no process was forked for a loop or an arm, as far as that was told."""
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
        self.places = {place.region: place for place in table.places.values()}
        self.paths = table.paths
        self.flags = [True] * table.units
        every = [unit for place in self.places.values() for unit in place.units]
        every += [unit for place in self.places.values() for found in place.arms.values() for unit in found]
        self.expressions = frozenset(unit.unit for unit in every if unit.expression is not None)
        self.maybe = {unit.unit: len(unit.names) for unit in every if unit.maybe}
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
                self.over(old)
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
        frame.items, frame.count = items, len(items)
        frame.started = frame.last = time.perf_counter()
        frame.look = 1
        if self.always or (frame.place.heavy and not patient and not self.spent_enough()):
            self.announce(frame, 0, caller)

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
        values, output, single = self.ready.pop(unit)
        self.replay(output)
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
        if (rate - ADOPTION) * (frame.count - index) >= max(WORTH, 10 * self.fork_cost()):
            frame.spent, frame.own = elapsed, index
            self.announce(frame, index, caller)

    def fork_cost(self) -> float:
        """Seconds of processor time that a fork takes."""
        return self.spent / self.forks if self.forks else 0.002

    def spent_enough(self) -> bool:
        """Whether forks on suspicion have taken so much of the run by now that more of them could be felt."""
        return self.spent > 0.02 * (time.perf_counter() - self.home.began) + 0.05

    def _forget(self, frame: Frame) -> None:
        """A turn begins: what the one before has not asked for is not about this one."""
        for unit in frame.place.units:
            self.flags[unit.unit] = True
        self._starve(frame, 0)
        frame.feeds = None

    def _turn(self, frame: Frame, index: int, values: tuple[Any, ...]) -> None:
        self.clocked(frame)
        self._forget(frame)
        units = self.result(frame, index, values)
        if units is None:
            frame.current = index
        elif frame.place.keyed:
            frame.feeds = {}
            for (unit, path), kept in units:
                frame.feeds.setdefault(path, {})[unit] = kept
            self._feed(frame, ())
        else:
            for unit, kept in zip(frame.place.units, units):
                self.ready[unit.unit] = (kept[0], kept[1], unit.expression is not None)
                self.flags[unit.unit] = False
        if index + 1 >= frame.count:
            with self.home.hooks.shield:
                self.over(frame)
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
                self.ready[unit] = (kept[0], kept[1], unit in self.expressions)
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
            self.stop(frame, "a loop inside of it went through something else")
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

    def result(self, frame: Frame, index: int, values: tuple[Any, ...]) -> list[Any] | None:
        """What a helper has found of a turn, for each unit; None if home is to run it. ``values``: what the target has
        been bound to."""
        result = frame.results.pop(index, None)
        if result is None and index >= frame.lease and not self.elsewhere():
            with self.home.hooks.shield:
                if frame.own >= 16 and frame.rate < 2 * ADOPTION and not self.always:
                    self.over(frame)  # they looked as if they took time, but do not
                    return None
                self.ask(frame, index)
            result = frame.results.pop(index, None)
        if result is None or self.elsewhere() or not self._is(frame, index, values, result):
            return None
        self._tally_of(frame.place.region)[3] += 1
        self._tell(frame, index, result[2], "ahead")
        units: list[Any] = result[0]
        return units

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

    def is_fresh(self, frame: AnyFrame, result: Any) -> bool:
        """Whether the files that a helper looked at are as they were."""
        for name, how, before in result[1]:
            if stamp(name, how) != before:
                self.stop(frame, f"{name} has changed since it was read")
                return False
        return True

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
        each = batch["duration"] / max(1, batch["done"])
        keys = batch.get("keys")
        for offset, row in enumerate(rows):
            written = outputs.get(offset, {})
            units: list[Any] = [(values, written.get(number, ())) for number, values in enumerate(row)]
            if keys is not None:
                units = [((unit, tuple(path)), kept) for (unit, path), kept in zip(keys[offset], units)]
            frame.results[start + offset] = (units, seen.get(offset, ()), each)

    # -- frames ----------------------------------------------------------------------------------------

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
        # Told first: when the template's helpers ask for work, the controller knows what for.
        home.send({
            "kind": "frame", "frame": frame.number, "region": frame.place.region, "task": frame.place.task,
            "count": frame.count, "at": index, "rate": frame.rate,
            "apart": not isinstance(frame, Frame) and frame.apart,
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
        frame.live, frame.lease = True, index + 1
        if isinstance(frame, Frame):
            frame.current = index or -1
            frame.last = time.perf_counter() if index else frame.last

    def over(self, frame: AnyFrame) -> None:
        """Its helpers are needed no more."""
        if frame.live:
            frame.live = False
            frame.results.clear()
            self.home.send({"kind": "frame_over", "frame": frame.number})

    def stop(self, frame: AnyFrame, why: str) -> None:
        """Results of this frame are not used any more."""
        place = self.places[frame.place.region]
        what = "turns of the loop" if isinstance(frame, Frame) else f"calls in the {place.node!r} statement"
        if isinstance(frame, SiblingFrame):
            what = "coroutines defined"
        text = f"the {what} in line {place.span[0]} that were run ahead were dropped: {why}"
        self.home.send({"kind": "note", "text": text})
        self.over(frame)
        if isinstance(frame, Frame):
            frame.feeds = None

    def reentered(self) -> None:
        """The driver's function runs a second time: its loops are not told apart any more."""
        for frame in self.frames.values():
            self.over(frame)
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

    def told_beside(self, region: int, units: tuple[RegionUnit, ...], duration: float) -> None:
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
            self.over(frame)
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
