"""Which bindings may be in force inside one step: the state that flows through its statements.

Within a step every binding is the step's own, so what a name may hold at a point is told by three flags:
what was there BEFORE the step, something that the step bound (OWN), or nothing (GONE, after ``del``). A
:class:`State` maps variables to flags; the branches of an ``if`` continue on states of their own, which are
joined after it. A state knows only what it changed itself and asks the one that it was forked from for the
rest, so a branch costs what it touches.

    if a: x = 1          x: OWN in the branch, BEFORE beside it, and OWN | BEFORE after the join
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from inferflow.model import Variable

BEFORE, OWN, GONE = 1, 2, 4

Changes: TypeAlias = dict[Variable, int]


class State:
    """The flags of all variables at a point of a step."""

    __slots__ = ("changes", "parent")

    def __init__(self, parent: State | None = None) -> None:
        self.parent = parent
        self.changes: Changes = {}

    def get(self, variable: Variable) -> int:
        """The flags of a variable; BEFORE if nothing touched it."""
        state: State | None = self
        while state is not None:
            flags = state.changes.get(variable)
            if flags is not None:
                return flags
            state = state.parent
        return BEFORE

    def put(self, variable: Variable, flags: int) -> None:
        """From here on these flags."""
        self.changes[variable] = flags

    def may(self, changes: Mapping[Variable, int]) -> None:
        """From here on these flags as well: the changes may or may not have happened."""
        for variable, flags in changes.items():
            self.changes[variable] = self.get(variable) | flags

    def since(self, base: State) -> Changes:
        """What changed on the way from ``base``, which this state was forked from, directly or not."""
        found: Changes = {}
        state: State | None = self
        while state is not None and state is not base:
            for variable, flags in state.changes.items():
                found.setdefault(variable, flags)
            state = state.parent
        return found

    def join(self, paths: Iterable[Changes | None]) -> bool:
        """Go on after one of several paths that began here (``None``: one that does not arrive). False if none does."""
        given = list(paths)
        arriving = [changes for changes in given if changes is not None]
        for variable in dict.fromkeys([variable for changes in arriving for variable in changes]):
            old = self.get(variable)
            flags = 0
            for changes in arriving:
                flags |= changes.get(variable, old)
            self.changes[variable] = flags
        return bool(arriving)
