"""Sets get an order of insertion that makes them again as they are: the same order of iteration, the same table."""

from __future__ import annotations

import operator
import random
import sys
from collections.abc import Callable

import pytest

from inferflow.worker import transport_sets


class Hashed:
    """An element whose hash is known, whatever the hashes of strings are in this process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number


HASHES: dict[str, Callable[[random.Random, int], int]] = {
    "strewn": lambda draw, size: draw.randrange(1 << 60),
    "dense": lambda draw, size: draw.randrange(4 * size),
    "one slot of 32": lambda draw, size: 32 * draw.randrange(8 * size),
    "the same": lambda draw, size: draw.randrange(2 + size // 10),
}


@pytest.mark.parametrize("kind", HASHES)
def test_any_set_that_was_only_added_to_has_a_recipe(kind: str) -> None:
    """However its elements collide, where many more slots than elements are needed (at 5, 19, 77 the table grows), and
    where it was copied, which makes another table."""
    draw = random.Random(1)
    for size in (*range(2, 21), 31, 32, 63, 64, 76, 77, 128, 300):
        for _ in range(max(1, 150 // size)):
            added = {Hashed(HASHES[kind](draw, size)) for _ in range(size)}
            for value in (added, frozenset(list(added)), set(added), frozenset(added)):
                found = transport_sets.recipe(value)
                assert found is not None, [item.number for item in value]
                made = transport_sets.make(*found)
                assert type(made) is type(value)
                assert all(map(operator.is_, made, value))
                assert sys.getsizeof(made) == sys.getsizeof(value)


def test_making_a_set_calls_no_comparison_of_a_user() -> None:
    """But those that the set itself makes: with elements of the same hash."""

    class Compared(Hashed):
        def __eq__(self, other: object) -> bool:
            assert type(other) is Compared, other
            return self is other

        __hash__ = Hashed.__hash__

    for size in (2, 5, 6, 7, 19, 20):
        value = {Compared(32 * (number % 3)) for number in range(size)}
        found = transport_sets.recipe(value)
        assert found is None or list(transport_sets.make(*found)) == list(value)
