"""``map(f, xs)`` whose calls may be run ahead: what home gives to ``map`` in place of ``f`` and ``xs``.

    list(map(f, xs))     list(map(*HOOK.w(6, map, f, xs)))      f, xs          if nothing is run ahead
                                                               second, pieces  a function of C, and (number, result)s

The pieces of home's own items are made by ``map(f, ...)`` itself, and all that goes between is made of C too, so that a
call of ``f`` at home has the caller, the traceback and the moment that it has natively: when the next result is asked
for. Iterables are asked as ``map`` would ask them. If ``f`` raises ``StopIteration``, the whole ends there, as ``map``
does; so a piece that gave fewer results than it has items is the last one.
"""

from __future__ import annotations

import functools
import itertools
import operator
import time
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from inferflow.worker.frames_items import items_of, size_of

if TYPE_CHECKING:
    from inferflow.worker.frames import Frame, Frames

__all__ = ["counted", "held_by", "items_of_map", "spread"]

SECOND = operator.itemgetter(1)
FUNCTIONS = (types.FunctionType, types.MethodType)


def items_of_map(mapping: Any, function: Any, iterables: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The items of each call, if they can be told: single values, or tuples where there are several iterables."""
    if mapping is not map or type(_plain(function)) not in FUNCTIONS:
        return None
    if len(iterables) == 1:
        return items_of(iterables[0])
    if any(iter(part) is part for part in iterables if items_of(part) is not None):
        return None  # which of several iterators is asked once more at the end could be seen
    found = [items_of(part) for part in iterables]
    return None if any(items is None for items in found) else tuple(zip(*(items or () for items in found)))


def _plain(function: Any) -> Any:
    return function.func if type(function) is functools.partial else function


def held_by(function: Any) -> tuple[Any, ...]:
    """The values that a function brings along: its object, what it shares with functions around it, its defaults."""
    found: list[Any] = []
    if type(function) is functools.partial:
        found += [function.args, function.keywords]
        function = function.func
    if type(function) is types.MethodType:
        found.append(function.__self__)
        function = function.__func__
    if type(function) is types.FunctionType:
        found += [function.__defaults__, function.__kwdefaults__]
        for cell in function.__closure__ or ():
            try:
                found.append(cell.cell_contents)
            except ValueError:  # empty
                continue
    return tuple(found)


def counted(iterables: tuple[Any, ...]) -> tuple[int, Iterator[int], tuple[Any, ...]] | None:
    """For ``map`` that goes through these on its own: how many results there will be, what tells how many items were
    taken (or one more, if there proved to be no more) when it is asked for its next, once, and what to go through in
    their place; None if nothing can be told without a risk."""
    sizes = [size_of(part) for part in iterables]
    if not sizes or min(sizes) < 0:
        return None
    numbers = itertools.count()
    return min(sizes), numbers, (map(SECOND, zip(numbers, iterables[0])), *iterables[1:])


def spread(frames: Frames, frame: Frame, iterables: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments for ``map``."""
    return SECOND, itertools.chain.from_iterable(_pieces(frames, frame, [iter(part) for part in iterables]))


def _pieces(frames: Frames, frame: Frame, sources: list[Iterator[Any]]) -> Iterator[Iterator[Any]]:
    """What gives the results, piece by piece, each as a pair behind its number in the piece."""
    index = 0
    while index < frame.count:
        if not frame.live and index == frame.look:
            frames.consider(frame, index, None)
        if (frame.live and index >= frame.lease) or index in frame.results:
            try:
                values = tuple([next(source) for source in sources])
            except StopIteration:
                return
            frame.index = index
            if frame.place.told:
                frames.begun(frame, index, values)
            found = frames.result(frame, index, values)
            if found is not None and frames.holds(found[1], frame.place.units[0].unit):
                (kept,) = found[0]
                for name, data in kept[1]:
                    frames.home.streams.replay(name, data)
                yield iter(((0, kept[0][0]),))
                index += 1
                continue
            parts = [iter((value,)) for value in values]
            size = 1
        else:
            end = frame.lease if frame.live else frame.look if index < frame.look else frame.count
            size = min(end, frame.count) - index
            if frames.printed.has_printed(frame.place.region):
                size = 1  # so that each says which item it was
            parts = [itertools.islice(source, size) for source in sources]
            if frame.place.told:
                frames.begun(frame, index, (frame.items[index],))
        numbers = itertools.count()
        frame.current, frame.last = index + size - 1, time.perf_counter()
        frame.piece = index, numbers
        yield zip(numbers, map(frame.function, *parts))
        frame.piece = None
        done = next(numbers) - 1  # (one was taken before there proved to be no more)
        frame.index = index + done - 1
        if frame.live:
            frame.current = frame.index
            frames.clocked(frame, done)
        if done < size:
            return
        index += size
    if frame.live:
        with frames.home.hooks.shield:
            frames.sharing.over(frame)
    frames.z(frame.place.region)
    yield zip(itertools.count(), map(frame.function, *sources))
