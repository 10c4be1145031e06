"""The items of an iterable, looked at without using it up; and when two values may stand for each other."""

from __future__ import annotations

import itertools
import warnings

import pytest

from inferflow.worker.frames_items import items_of, same, short


def consumed(iterator: object) -> object:
    next(iterator)  # type: ignore[call-overload]
    return iterator


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, 2],
        lambda: (1, 2),
        lambda: range(2, 9, 3),
        lambda: "aé",
        lambda: b"ab",
        lambda: {1, 2},
        lambda: {"a": 1},
        lambda: {"a": 1}.keys(),
        lambda: {"a": 1}.values(),
        lambda: {"a": 1, "b": 2}.items(),
        lambda: enumerate([5, 6], 3),
        lambda: zip([1, 2], "ab", strict=False),
        lambda: enumerate(zip([1, 2], {"a": 1, "b": 2}.items(), strict=False)),
        lambda: iter([1, 2]),
        lambda: reversed([1, 2, 3]),
        lambda: consumed(iter([1, 2, 3])),
        lambda: consumed(enumerate([1, 2, 3])),
        lambda: consumed(zip([1, 2, 3], [4, 5, 6], strict=False)),
        lambda: consumed(iter({1: 2, 3: 4})),
        lambda: consumed(reversed([1, 2, 3])),
    ],
)
def test_items_are_what_the_loop_will_see_and_the_iterable_stays_as_it_was(make: object) -> None:
    iterable = make()  # type: ignore[operator]
    assert list(items_of(iterable) or ()) == list(iterable)


class Own(list):  # type: ignore[type-arg]
    def __iter__(self):  # type: ignore[no-untyped-def]
        raise AssertionError("looked at")


@pytest.mark.parametrize(
    "iterable",
    [
        (x for x in [1]),
        map(str, [1]),
        zip([1], [2], strict=True),
        zip([1], (x for x in [2]), strict=False),
        enumerate(x for x in [1]),
        Own([1]),
        iter(int, 0),
        range(1 << 70),
        object(),
    ],
)
def test_what_runs_code_or_cannot_be_looked_at_is_left_alone(iterable: object) -> None:
    assert items_of(iterable) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (10**20, 10**20, True),
        (1, True, False),
        (0.0, -0.0, False),
        (float("nan"), float("nan"), False),
        ((1, "a"), (1, "a"), True),
        ([1], [1], False),
        (([1],), ([1],), False),
    ],
)
def test_only_what_cannot_be_told_apart_is_the_same(first: object, second: object, expected: bool) -> None:
    assert same(first, second) is expected


def test_items_in_a_few_characters() -> None:
    assert [short(item) for item in (3, "a", (1, "b"), [1], object(), "x" * 90)] == [
        "3",
        "'a'",
        "(1, 'b')",
        "",
        "",
        "'" + "x" * 38 + "…",
    ]


def test_products_are_looked_into_before_they_begin() -> None:
    made = itertools.product([1, 2], "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # later Pythons warn when one is copied
        assert items_of(made) == ((1, "a"), (2, "a"))
    assert list(made) == [(1, "a"), (2, "a")]
    assert items_of(itertools.product()) == ((),)
    assert items_of(itertools.product([], "a")) == ()
    begun = consumed(itertools.product([1, 2], repeat=2))
    assert items_of(begun) is None
    assert list(begun) == [(1, 2), (2, 1), (2, 2)]  # type: ignore[call-overload]
    assert items_of(consumed(itertools.product())) is None
    assert items_of(itertools.product(range(3000), repeat=2)) is None
