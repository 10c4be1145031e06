"""The items of an iterable, without using it up; and when a value is surely the same as one that was announced.

>>> items_of(range(3)), items_of(zip("ab", [1, 2])), items_of(iter([1])) is None
((0, 1, 2), (('a', 1), ('b', 2)), False)
>>> items_of(x for x in [1]) is None                      # a generator: only its own loop may ask it
True
"""

from __future__ import annotations

import gc
import itertools
import math
import operator
from typing import Any

from inferflow.worker.exact_graph import UNSET

__all__ = ["is_builtin", "is_plain", "items_of", "part_of", "same", "short", "size_of"]

_MOST = 2_000_000
"""Items beyond which a loop is not looked into (they are kept until it ends)."""
_PLAIN = frozenset({list, tuple, range, str, bytes, dict, type({}.keys()), type({}.values()), type({}.items())})
_SETS = frozenset({set, frozenset})
_SAMPLES: tuple[Any, ...] = ([], (), range(0), "", "é", b"", {}, {}.values(), {}.items(), range(1 << 70))
_ITERATORS: frozenset[type] = frozenset(
    {type(iter(made)) for made in _SAMPLES} | {type(reversed([])), type(reversed(()))}
)
_EQUAL = frozenset({int, str, bytes, bool, type(None)})


def items_of(iterable: Any) -> tuple[Any, ...] | None:
    """What iterating would give now, if that can be told without any effect and without running code of the user's."""
    kind = type(iterable)
    try:
        if kind in _PLAIN or kind in _SETS:
            return tuple(iterable) if len(iterable) <= _MOST else None
        twin = _twin(iterable)
    except (TypeError, OverflowError, RecursionError):
        return None
    if twin is None:
        return None
    found = []
    for item in twin:
        found.append(item)
        if len(found) > _MOST:
            return None
    return tuple(found)


def _twin(iterator: Any) -> Any:
    """An iterator of its own that gives what this one would; None if that cannot be had."""
    kind = type(iterator)
    if kind in _ITERATORS:
        function, arguments, *state = iterator.__reduce__()
        made = function(*arguments)
        if state:
            made.__setstate__(state[0])
        return made if type(made) in _ITERATORS else None
    if kind is enumerate:
        _, (inner, start) = iterator.__reduce__()
        twin = _twin(inner)
        return None if twin is None else enumerate(twin, start)
    if kind is zip:
        reduced = iterator.__reduce__()
        if len(reduced) != 2:  # strict
            return None
        twins = [_twin(inner) for inner in reduced[1]]
        return None if any(twin is None for twin in twins) else zip(*twins)
    if kind is itertools.product:
        pools = _pools(iterator)
        return None if pools is None or math.prod(map(len, pools)) > _MOST else itertools.product(*pools)
    return None


def _pools(product: Any) -> tuple[tuple[Any, ...], ...] | None:
    """What an ``itertools.product`` that has not begun goes through. It cannot be asked (its ``__reduce__`` warns since
    Python 3.12, and is gone in 3.14), but besides that it refers to nothing but the last item that it gave."""
    parts = gc.get_referents(product)
    parts = [part for part in parts if part is not itertools.product]
    if len(parts) == 1 and type(parts[0]) is tuple and all(type(pool) is tuple for pool in parts[0]):
        found: tuple[tuple[Any, ...], ...] = parts[0]
        return found
    return None


def size_of(iterable: Any) -> int:
    """How many items iterating would give now, if that can be told like this, at once; else -1."""
    kind = type(iterable)
    try:
        if kind in _PLAIN or kind in _SETS:
            return len(iterable)
        if kind in _ITERATORS:
            return operator.length_hint(iterable)
        if kind is enumerate:
            return size_of(iterable.__reduce__()[1][0])
        if kind is zip and len(reduced := iterable.__reduce__()) == 2:
            return min(map(size_of, reduced[1]), default=0)
    except (TypeError, OverflowError, RecursionError, RuntimeError):
        pass
    return -1


def is_builtin(iterable: Any) -> bool:
    """Whether to iterate over it cannot fail, and runs no code of the user's before the first item is asked for."""
    kind = type(iterable)
    return kind in _PLAIN or kind in _SETS or kind in _ITERATORS or kind in (enumerate, zip)


def same(first: Any, second: Any) -> bool:
    """Whether two objects cannot be told apart but by their identity."""
    kind = type(first)
    if kind is not type(second):
        return False
    if kind in _EQUAL:
        return bool(first == second)
    if kind is float:
        return bool(first == second) and str(first) == str(second)
    if kind is tuple:
        return len(first) == len(second) and all(a is b or same(a, b) for a, b in zip(first, second))
    return False


def part_of(item: Any, path: tuple[int, ...]) -> Any:
    """What a name gets of an item that is unpacked; UNSET if anything but tuples and lists is on the way."""
    for step in path:
        if type(item) not in (tuple, list) or step >= len(item):
            return UNSET
        item = item[step]
    return item


def is_plain(value: Any) -> bool:
    """Whether ``same`` can tell of another such value that it is the same."""
    kind = type(value)
    return kind in _EQUAL or kind is float or (kind is tuple and all(map(is_plain, value)))


def short(item: Any) -> str:
    """The item in a few characters, if it is of a kind that can be shown without running code of the user's."""
    kind = type(item)
    if kind in _EQUAL or kind is float:
        if kind is int and item.bit_length() > 160:  # (Python refuses to write very long ones at all)
            return ""
        text = repr(item[:60]) if kind in (str, bytes) else repr(item)
        return text if len(text) <= 40 else text[:39] + "…"
    if kind is tuple and 0 < len(item) <= 4:
        parts = [short(part) for part in item]
        text = ", ".join(part or "…" for part in parts)
        return f"({text})" if any(parts) and len(text) <= 40 else ""
    return ""
