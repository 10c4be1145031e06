"""Tasks of an arm that are run beside each other: what the hooks of stages do (see ``transform_regions``).

A *stage* is a moment in an arm from which on some of its tasks, in *groups*, need nothing any more of each other. When
home comes to it, it forks a process from which helpers come that have everything as it is then. The groups are the
items of a frame, as the turns of a loop are: helpers run later ones, home runs the arm natively, and where it comes to
the first task of a group it has the group's results, or waits for them, or runs the group itself.

    e(stage)        home -> controller: frame {count: groups, at: 0 (home begins with the first) or -1, apart: true}
    t(unit)         at the first unit of group n: items {at: n}
    g(unit)         what the unit left

Results belong to one activation of the code: the unit is looked up for the frame of the interpreter that came to the
stage, so that a function which runs again before its first run has ended gets none that are not its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from inferflow.worker.frames_sharing import AnyFrame, Chances
from inferflow.worker.locals_of import has_own_names
from inferflow.worker.transform_regions import StagePlace, Table

if TYPE_CHECKING:
    from inferflow.worker.frames import Frames

__all__ = ["StageFrame", "Stages"]


class StageFrame(AnyFrame):
    """One execution of a stage. ``caller`` is the identity of the interpreter's frame that it happens in; the items are
    the numbers of its groups."""

    __slots__ = ("caller",)
    place: StagePlace

    def __init__(self, place: StagePlace, caller: int, given: tuple[str, ...]) -> None:
        super().__init__(place, given, tuple(range(len(place.groups))), len(place.groups))
        self.caller = caller

    @property
    def apart(self) -> bool:
        return True

    def key(self, index: int) -> int:
        return index


class Stages:
    """All stages of the driver, as home runs them."""

    def __init__(self, base: Frames) -> None:
        self.base = base
        self.home = base.home
        self.places: dict[int, StagePlace] = {}
        self.names: dict[int, tuple[str, ...]] = {}
        self.group_of: dict[int, tuple[int, int]] = {}
        self.open: dict[int, StageFrame] = {}
        self.chances = Chances(base.sharing)

    def begin(self, table: Table) -> None:
        """The plan is there."""
        every = [stage for place in table.places.values() for stage in place.stages]
        self.places = {stage.stage: stage for stage in every}
        self.names = table.names
        self.group_of = {
            unit.unit: (stage.stage, number)
            for stage in every
            for number, group in enumerate(stage.groups)
            for unit in group
        }

    # -- hooks ---------------------------------------------------------------------------------------

    def e(self, number: int) -> None:
        """A stage begins."""
        if self.base.off or self.home.alone or not self.home.hooks.at_home():
            return
        stage = self.places[number]
        if any(not self.base.flags[unit.unit] for group in stage.groups for unit in group):
            return  # found with the turn of a loop around
        old = self.open.pop(number, None)
        if old is not None:
            self._close(old)
        if not self.chances.left(number):
            return
        caller = sys._getframe(1)
        if self.base.siblings.shares(caller):
            return
        if not self.home.opened.is_called(self.base.places[stage.region], caller):
            return
        frame = self.open[number] = StageFrame(stage, id(caller), self._given(number, caller))
        self.base.sharing.announce(frame, 0 if stage.at_once else -1, caller)

    def t(self, unit: int) -> bool:
        """Whether a unit is to be run here."""
        if not self.base.flags[unit]:
            return not self.base.stands(unit)
        if self.base.elsewhere():
            return True
        caller = sys._getframe(1)
        if unit in self.base.siblings.units and self.base.siblings.at_hand(unit, caller):
            return False
        number, group = self.group_of.get(unit, (-1, -1))
        frame = self.open.get(number)
        if frame is None or frame.caller != id(caller):
            return True
        if group > frame.index:
            frame.index = group
            self._arrive(frame, group)
        return unit not in self.base.ready or not self.base.stands(unit)

    def close(self) -> None:
        """The task is over, and all that is in it."""
        for frame in self.open.values():
            self._close(frame)
        self.open.clear()

    # ------------------------------------------------------------------------------------------------

    def _given(self, number: int, caller: Any) -> tuple[str, ...]:
        """The names of the function that the groups may read; of a module's code all are there anyway."""
        return self.names.get(number, ()) if has_own_names(caller) else ()

    def _arrive(self, frame: StageFrame, group: int) -> None:
        """Home has come to the first unit of a group."""
        if not frame.live:
            return
        units = frame.place.groups[group]
        result = self.base.sharing.found(frame, group)
        if result is not None:
            for unit, (values, output) in zip(units, result[0]):
                self.base.ready[unit.unit] = (values, output, unit.expression is not None, result[2])
            self.base.told_beside(frame.place.region, units)
        if group + 1 >= frame.count:
            with self.home.hooks.shield:
                self.base.sharing.over(frame)

    def _close(self, frame: StageFrame) -> None:
        """Home has left the stage, or will not come back to it."""
        for group in frame.place.groups:
            for unit in group:
                self.base.ready.pop(unit.unit, None)
        self.chances.over(frame, frame.place.stage)
