"""Coroutines that are about to take turns: what the hooks in them do (see ``transform_regions``).

    await asyncio.gather(part(1), part(2), part(3))

When the first of them begins, the others exist and have not begun: what the event loop has as tasks is looked through
for them. What each of them will compute from its arguments alone, whatever others do meanwhile (its strand, see
``analysis.regions_coroutines``), helpers may run then, forked at that moment; the coroutines are the items of a frame,
as the turns of a loop are. Home runs them all natively, and where it comes to the first unit of a strand, it has its
results, waits for them, or runs the strand itself.

    c(region, *parameters)   a coroutine begins
    t(unit)                  (of ``Stages``) at a unit of it

Results belong to one coroutine: they are looked up for the frame of the interpreter that begins, which is compared with
that of the coroutine that was there. Home holds no coroutine: so none lives longer than natively.
"""

from __future__ import annotations

import sys
import time
import types
import weakref
from typing import TYPE_CHECKING, Any

from inferflow.worker.frames_sharing import AnyFrame, Chances
from inferflow.worker.transform_regions import Place, Table

if TYPE_CHECKING:
    from inferflow.worker.frames import Frames

__all__ = ["SiblingFrame", "Siblings"]

LOOKING = 0.01
"""Seconds that may be spent on looking for coroutines, beside a hundredth of the run, where that finds nothing."""


class SiblingFrame(AnyFrame):
    """Coroutines that had not begun when the first of them did. ``places``: the function of each; ``left``: how many
    have not begun."""

    __slots__ = ("left", "places")
    place: Place

    def __init__(self, place: Place, places: list[Place], items: list[Any]) -> None:
        super().__init__(place, (), items, len(items))
        self.places = places
        self.left = len(items)

    @property
    def apart(self) -> bool:
        return any(place is not self.place for place in self.places)

    def key(self, index: int) -> int:
        return self.places[index].region

    region = key

    def words(self, node: str) -> str:
        return "coroutines defined"


class _Active:
    """A coroutine that has begun, as one of a frame's."""

    __slots__ = ("arrived", "found", "frame", "index", "short")

    def __init__(self, frame: SiblingFrame, index: int) -> None:
        self.frame = frame
        self.index = index
        self.arrived = False
        self.found: dict[int, Any] = {}
        self.short = ""


class Siblings:
    """All coroutines of the driver, as home runs them."""

    def __init__(self, base: Frames) -> None:
        self.base = base
        self.places: dict[int, Place] = {}
        self.by_code: dict[tuple[str, str, int], Place] = {}
        self.awaited: dict[int, tuple[Any, SiblingFrame, int]] = {}
        """By the identity of its frame: a coroutine that is known and has not begun."""
        self.active: dict[int, _Active] = {}
        self.units: set[int] = set()
        self.open: list[SiblingFrame] = []
        self.chances = Chances(base.sharing)
        self.looked = 0.0

    def begin(self, table: Table) -> None:
        """The plan is there."""
        self.places = {place.region: place for place in table.places.values() if place.apart}
        self.units = {unit.unit for place in self.places.values() for unit in place.apart}

    # -- hooks ---------------------------------------------------------------------------------------

    def c(self, region: int, *values: Any) -> None:
        """A coroutine begins."""
        base = self.base
        base.m(region, 0)
        if base.off or base.home.alone or not base.home.hooks.at_home():
            return
        caller = sys._getframe(1)
        key = id(caller)
        self.active.pop(key, None)
        known = self.awaited.pop(key, None)
        if known is not None and not _is_running(known[0](), caller):
            known = None
        if known is None:
            frame = self._look(region, caller)
            if frame is None:
                return
            known = (None, frame, 0)
        _, frame, index = known
        frame.left -= 1
        if frame.live:
            self.active[key] = _Active(frame, index)

    def at_hand(self, unit: int, caller: Any) -> bool:
        """Whether a unit's result is there now, for the coroutine that comes to it."""
        active = self.active.get(id(caller))
        if active is None:
            return False
        if not active.arrived:
            active.arrived = True
            self._arrive(active)
        kept = active.found.pop(unit, None)
        if kept is None:
            return False
        self.base.sharing.comparison.given(kept[3], unit, caller)
        self.base.ready[unit] = kept
        return self.base.stands(unit)

    def shares(self, caller: Any) -> bool:
        """Whether a coroutine is one of several that helpers see to."""
        active = self.active.get(id(caller))
        return active is not None and (active.frame.live or bool(active.found))

    def close(self) -> None:
        """The task is over, and all that is in it."""
        for frame in self.open:
            self.chances.over(frame, frame.place.region)
        self.open.clear()
        self.awaited.clear()
        self.active.clear()

    # ------------------------------------------------------------------------------------------------

    def _arrive(self, active: _Active) -> None:
        """Home has come to the first unit of a coroutine's strand."""
        frame, index, base = active.frame, active.index, self.base
        if not frame.live:
            return
        frame.index = max(frame.index, index)
        result = base.sharing.found(frame, index)
        if result is not None:
            units = frame.places[index].apart
            for unit, (values, output) in zip(units, result[0]):
                active.found[unit.unit] = (values, output, unit.expression is not None, result[2])
            base.told_beside(frame.places[index].region, units)
        if not frame.left and index + 1 >= frame.count:
            self.open.remove(frame)
            self.chances.over(frame, frame.place.region)

    def _look(self, region: int, caller: Any) -> SiblingFrame | None:
        """Whether there are others like the coroutine that begins, which have not begun: then their frame."""
        base = self.base
        place = self.places[region]
        if not base.sharing.always:
            if not place.heavy or not self.chances.left(region):
                return None
            if self.looked > LOOKING + 0.01 * (time.perf_counter() - base.home.began):
                return None
        started = time.perf_counter()
        others = self._others(place, caller)
        self.looked += time.perf_counter() - started
        if not others:
            return None
        self.looked = 0.0
        places = [place, *(other for other, _ in others)]
        frame = SiblingFrame(place, places, [None, *(coroutine for _, coroutine in others)])
        with base.home.hooks.shield:
            base.sharing.announce(frame, 0, caller)
        frame.items = ()
        if not frame.live:
            return None
        self.open.append(frame)
        for index, (_, coroutine) in enumerate(others, 1):
            self.awaited[id(coroutine.cr_frame)] = (weakref.ref(coroutine), frame, index)
        return frame

    def _others(self, place: Place, caller: Any) -> list[tuple[Place, Any]]:
        """The coroutines that tasks of the running event loop are made of, and that have not begun, in the order in
        which they were made."""
        tasks, events = sys.modules.get("asyncio.tasks"), sys.modules.get("asyncio.events")
        loop = events._get_running_loop() if events is not None else None
        if tasks is None or loop is None:
            return []
        self.by_code[_code_key(caller.f_code)] = place
        found: list[tuple[int, Place, Any]] = []
        for task in tasks.all_tasks(loop):
            coroutine = task.get_coro()
            if type(coroutine) is not types.CoroutineType or not _is_new(coroutine):
                continue
            other = self._place_of(coroutine.cr_code)
            if other is not None and id(coroutine.cr_frame) not in self.awaited:
                number = task.get_name().rpartition("-")[2]
                found.append((int(number) if number.isdecimal() else sys.maxsize, other, coroutine))
        return [part[1:] for part in sorted(found, key=lambda part: part[0])]

    def _place_of(self, code: types.CodeType) -> Place | None:
        key = _code_key(code)
        known = self.by_code.get(key)
        if known is None:
            for place in self.places.values():
                name = place.function.partition(":")[2]
                source = self.base.home.opened.sources.get(place.function)
                if source is not None and (source.filename, name, place.span[0]) == key:
                    known = self.by_code[key] = place
        return known


def _code_key(code: types.CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_name, code.co_firstlineno


def _is_new(coroutine: Any) -> bool:
    """Whether a coroutine has not begun."""
    frame = coroutine.cr_frame
    if frame is None or coroutine.cr_running:
        return False
    suspended = getattr(coroutine, "cr_suspended", None)
    return bool(frame.f_lasti < 0) if suspended is None else not suspended


def _is_running(coroutine: Any, frame: Any) -> bool:
    """Whether a frame is that of a coroutine which is still there."""
    return coroutine is not None and coroutine.cr_frame is frame
