"""Sets that come back in the order in which they were.

A set iterates in the order of its table's slots, and which slot an element got depends on who was there
before it. Pickle writes the elements in iteration order; put into an empty set in that order, some that had
collided change places. :func:`recipe` finds an order of insertion that gives the iteration order again: it assigns
slots that are consistent with CPython's probing (``Objects/setobject.c``), so that every element comes after those that
occupied its better slots, and tries the result. It finds one for a set that was only added to (or copied from such a
one), unless its hashes collide beyond all measure. Where elements were removed, one may stand where nobody is in its
way any more: then there may be none, which means not exact.

>>> table = {7, 15}; table.discard(7); table.add(7)
>>> list(make(*recipe(table))) == list(table)
True
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["Recipe", "make", "recipe", "slots_of_table"]

_EMPTY = sys.getsizeof(set())
_LINEAR_PROBES = 9
_PERTURB_SHIFT = 5
_WORD = (1 << 64) - 1
_STEPS = 50
"""How many slots are looked at for each element before the search is given up ..."""
_LEAST_STEPS = 20_000
"""... and in any case."""
_OPTIONS = 24
"""How many assignments of slots are tried."""


def slots_of_table(value: set[Any] | frozenset[Any]) -> int:
    """The size of the set's table. A small one lies within the object itself."""
    extra = sys.getsizeof(value) - _EMPTY
    return extra // 16 if extra > 0 else 8


Recipe: TypeAlias = "tuple[bool, list[Any], int, int, int]"
"""The arguments of :func:`make`."""


def make(frozen: bool, order: list[Any], first: int, more: int = 0, together: int = -1) -> set[Any] | frozenset[Any]:
    """A set from its recipe. The table grows by itself if ``first`` is negative. Otherwise it gets its size at once, so
    that nothing in it is moved later: a set makes room for a whole dictionary before it takes its keys, and counts
    those that it has already (the ``first`` ones) twice. Where those are too few, ``more`` keys are counted that then
    prove equal to what is there; where all would be too many, only ``together`` of them come as a dictionary."""
    kind: type[set[Any] | frozenset[Any]] = frozenset if frozen else set
    if first < 0:
        return kind(order)
    together = len(order) if together < 0 else together
    hashes = [hash(item) for item in order[:first] if _plainly_compared(item)] if more else []
    counted = [_Counted(hashes[at % len(hashes)]) for at in range(more)]
    keys = dict.fromkeys([*order[:together], *counted])
    for key in counted:
        key.distinct = False
    return kind(order[:first]).union(keys, order[together:])


class _Counted:
    """A key that makes a dictionary longer and, not ``distinct`` any more, is equal to any element with its hash."""

    __slots__ = ("distinct", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.distinct = True

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other or not self.distinct


def _plainly_compared(item: object) -> bool:
    """Whether comparing it to a strange object runs no code of a user, and leaves the answer to the other."""
    return type(item).__eq__ in _PLAIN


_PLAIN = tuple(kind.__eq__ for kind in (object, str, bytes, int, float, complex, tuple, frozenset, range))
_MOST_COUNTED = 300
"""More of them would collide too much while they are put into a dictionary."""


def recipe(value: set[Any] | frozenset[Any]) -> Recipe | None:
    """What :func:`make` needs for a set with the same elements, order and table size; ``None`` if nothing was found
    (after some n log n steps)."""
    frozen = isinstance(value, frozenset)
    wanted = list(value)
    size = slots_of_table(value)
    for order, at_home in ((wanted, len(wanted)), *_solutions(wanted, size - 1)):
        for how in _ways(order, at_home, size):
            if _gives(make(frozen, order, *how), wanted, size):
                return frozen, order, *how
    return None


def _ways(order: list[Any], at_home: int, size: int) -> Iterator[tuple[int, int, int]]:
    """How a table may get ``size`` slots while it takes the elements in this order (see :func:`make`)."""
    yield -1, 0, -1
    least = size // 4  # to be counted: the table gets more than twice, and at most four times, as many slots
    first = min(at_home, max(0, least - len(order)))
    together = min(len(order), 2 * least - 1 - first)
    more = max(0, least - first - together)
    if together >= first and (not more or (more <= _MOST_COUNTED and any(map(_plainly_compared, order[:first])))):
        yield first, more, together


def _gives(made: set[Any] | frozenset[Any], wanted: list[Any], size: int) -> bool:
    return len(made) == len(wanted) and slots_of_table(made) == size and all(map(operator.is_, made, wanted))


def _solutions(wanted: list[Any], mask: int) -> Iterator[tuple[list[Any], int]]:
    """Orders that may do, each with the number of elements at its beginning that go to their first choice."""
    for assigned in islice(_assignments([hash(item) for item in wanted], mask), _OPTIONS):
        order = _order(assigned)
        if order is not None:
            yield [wanted[at] for at in order], sum(1 for _, better in assigned if not better)


_Assigned: TypeAlias = "list[tuple[int, list[int]]]"
"""For each element, in iteration order, its slot and the slots that it would have preferred. Slots increase."""


def _order(assigned: _Assigned) -> list[int] | None:
    """The elements so that each comes after those in its better slots; ``None`` if that is circular."""
    occupant = {slot: at for at, (slot, _) in enumerate(assigned)}
    at_home = [at for at, (_, better) in enumerate(assigned) if not better]
    # the table grows while it is filled, which moves what is in it already: only to their first choice can
    # elements be moved in any order, so those come first
    order, done = list(at_home), set(at_home)
    for start in range(len(assigned)):
        path = [start]
        open_ = {start}
        while path:
            at = path[-1]
            if at in done:
                path.pop()
                continue
            missing = next((slot for slot in assigned[at][1] if occupant.get(slot) not in done), None)
            if missing is None:
                order.append(at)
                done.add(at)
                open_.discard(at)
                path.pop()
                continue
            before = occupant.get(missing)
            if before is None or before in open_:
                return None
            open_.add(before)
            path.append(before)
    return order


def _assignments(hashes: list[int], mask: int) -> Iterator[_Assigned]:
    """The ways to assign slots, in rising order, so that whatever an element would have preferred is occupied."""
    assigned: _Assigned = []
    occupied: set[int] = set()
    awaited = [0] * (mask + 1)  # for each slot, how many elements so far would have preferred it
    open_ = [_candidates(hashes[0], -1, occupied, mask)]
    steps = _STEPS * len(hashes) + _LEAST_STEPS
    while open_ and steps > 0:
        if len(assigned) == len(open_):  # it has been there already
            slot, better = assigned.pop()
            occupied.discard(slot)
            for one in better:
                awaited[one] -= 1
        last = assigned[-1][0] if assigned else -1
        found = next(open_[-1], None)
        if found is None:
            steps -= 1
            open_.pop()
            continue
        slot, better = found
        steps -= 1 + len(better)
        if any(awaited[last + 1 : slot]):  # where nobody would be any more
            continue
        assigned.append(found)
        occupied.add(slot)
        for one in better:
            awaited[one] += 1
        if len(assigned) < len(hashes):
            open_.append(_candidates(hashes[len(assigned)], slot, occupied, mask))
        elif not any(awaited[slot + 1 :]):
            yield list(assigned)


def _candidates(number: int, last: int, occupied: set[int], mask: int) -> Iterator[tuple[int, list[int]]]:
    """The slots after ``last`` where an element with this hash may be, each with those that it would have preferred. Of
    the slots before, only the ``occupied`` ones are; of those behind the one it takes, all may still be."""
    better: list[int] = []
    first = mask + 1  # of the better slots that are behind
    for slot in islice(_probes(number, mask), 4 * (mask + 1) + 64):
        if slot > last:
            if slot < first:
                yield slot, list(better)
            first = min(first, slot)
        elif slot not in occupied:
            return
        better.append(slot)


def _probes(number: int, mask: int) -> Iterator[int]:
    """The slots that are tried for an element with this hash, best first."""
    at = number & mask
    perturb = number & _WORD
    while True:
        yield at
        if at + _LINEAR_PROBES <= mask:
            yield from range(at + 1, at + _LINEAR_PROBES + 1)
        perturb >>= _PERTURB_SHIFT
        at = (at * 5 + 1 + perturb) & mask
