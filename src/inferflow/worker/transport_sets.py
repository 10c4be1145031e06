"""Sets that come back in the order in which they were.

A set iterates in the order of its table's slots, and which slot an element got depends on who was there
before it. Pickle writes the elements in iteration order; put into an empty set in that order, some that had
collided change places. :func:`recipe` finds an order of insertion that gives the iteration order again: it assigns
slots that are consistent with CPython's probing (``Objects/setobject.c``), so that every element comes after those that
occupied its better slots, and tries the result. Not found, in a few per cent of cases, means not exact.

>>> table = {7, 15}; table.discard(7); table.add(7)
>>> list(make(*recipe(table))) == list(table)
True
"""

from __future__ import annotations

import operator
import sys
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

__all__ = ["make", "recipe", "slots_of_table"]

_EMPTY = sys.getsizeof(set())
_LINEAR_PROBES = 9
_PERTURB_SHIFT = 5
_WORD = (1 << 64) - 1
_MOST_PROBES = 80
_OPTIONS = 24


def slots_of_table(value: set[Any] | frozenset[Any]) -> int:
    """The size of the set's table. A small one lies within the object itself."""
    extra = sys.getsizeof(value) - _EMPTY
    return extra // 16 if extra > 0 else 8


def make(frozen: bool, order: list[Any], first: int) -> set[Any] | frozenset[Any]:
    """A set from its recipe. The table grows by itself if ``first`` is negative. Otherwise it gets its size at once, so
    that nothing in it is moved later: a set makes room for a whole dictionary before it takes its keys, and counts
    those that it has already (the ``first`` ones) twice."""
    if first < 0:
        return frozenset(order) if frozen else set(order)
    keys = dict.fromkeys(order)
    if frozen:
        return frozenset(order[:first]).union(keys)
    made = set(order[:first])
    made.update(keys)
    return made


def recipe(value: set[Any] | frozenset[Any]) -> tuple[bool, list[Any], int] | None:
    """What :func:`make` needs for a set with the same elements, order and table size; ``None`` if nothing was found
    (after some n log n steps)."""
    frozen = isinstance(value, frozenset)
    wanted = list(value)
    size = slots_of_table(value)
    for order, at_home in ((wanted, len(wanted)), *_solutions(wanted, size - 1)):
        for first in (-1, max(0, size // 4 - len(wanted))):
            if first <= at_home and _gives(make(frozen, order, first), wanted, size):
                return frozen, order, first
    return None


def _gives(made: set[Any] | frozenset[Any], wanted: list[Any], size: int) -> bool:
    return len(made) == len(wanted) and slots_of_table(made) == size and all(map(operator.is_, made, wanted))


def _solutions(wanted: list[Any], mask: int) -> Iterator[tuple[list[Any], int]]:
    """Orders that may do, each with the number of elements at its beginning that go to their first choice."""
    hashes = [hash(item) for item in wanted]
    for assign in (_assign_greedily, _assign_cheaply):
        assigned = assign(hashes, mask)
        order = None if assigned is None else _order(assigned)
        if assigned is not None and order is not None:
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


def _assign_greedily(hashes: list[int], mask: int) -> _Assigned | None:
    """Each element in turn gets the best slot after the last one's, if that leaves room for most of the others."""
    homes = [number & mask for number in hashes]
    steady = _longest_rise(homes)
    limits = [0] * len(homes)
    limit = mask
    for at in range(len(homes) - 1, -1, -1):
        limits[at] = limit
        if at in steady:
            limit = min(limit, homes[at] + _LINEAR_PROBES)
    assigned = []
    last = -1
    for at, number in enumerate(hashes):
        better: list[int] = []
        for slot in _probes(number, mask):
            if last < slot <= limits[at]:
                break
            better.append(slot)
            if len(better) > _MOST_PROBES:
                return None
        assigned.append((slot, better))
        last = slot
    return assigned


def _assign_cheaply(hashes: list[int], mask: int) -> _Assigned | None:
    """The assignment with the least displacement in all, by dynamic programming over the slots."""
    best: list[tuple[int, int]] = []  # (slot, cost) of the prefix so far, costs falling as slots rise
    trail: list[dict[int, tuple[int, int]]] = []  # for each element: slot -> (number of better slots, slot before)
    for at, number in enumerate(hashes):
        options: dict[int, tuple[int, int]] = {}
        here: list[tuple[int, int]] = []
        for rank, slot in enumerate(islice(_probes(number, mask), _OPTIONS)):
            if slot in options:
                continue
            place = bisect_right(best, (slot - 1, _WORD)) - 1
            if place < 0 and at:
                continue
            before, cost = best[place] if at else (-1, 0)
            options[slot] = rank, before
            here.append((slot, cost + rank))
        best = []
        for slot, cost in sorted(here):
            if not best or cost < best[-1][1]:
                best.append((slot, cost))
        trail.append(options)
        if not best:
            return None
    slot = best[-1][0] if best else -1
    assigned = []
    for number, options in zip(reversed(hashes), reversed(trail)):
        rank, before = options[slot]
        assigned.append((slot, list(islice(_probes(number, mask), rank))))
        slot = before
    return assigned[::-1]


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


def _longest_rise(numbers: list[int]) -> set[int]:
    """The places of a longest non-decreasing subsequence."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for at, number in enumerate(numbers):
        place = bisect_right(tails, number)
        if place == len(tails):
            tails.append(number)
            ends.append(at)
        else:
            tails[place] = number
            ends[place] = at
        before.append(ends[place - 1] if place else -1)
    chosen = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        chosen.add(at)
        at = before[at]
    return chosen
