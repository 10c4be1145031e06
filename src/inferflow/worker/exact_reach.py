"""Which mutable objects, and which array memory, can be reached from values.

What a helper's task returns must not share anything that can be changed with what it was given: at home the
copies would no longer change together. :func:`shares` finds that out. The walk runs no method of the user's;
into extension types it goes with the garbage collector's eyes. It is linear in the number of objects; lists of
atoms cost some 10 ns an element.

>>> a = [1]
>>> shares((a,), ({"k": a},)), shares((a,), ([1],))
("a list (at [0]['k'] of the results, [0] of the inputs)", None)
"""

from __future__ import annotations

import array
import collections
import math
import sys
import types
import weakref
from collections.abc import Iterable
from math import inf
from operator import itemgetter, ne
from typing import Any

from inferflow.worker.exact_graph import (
    ATOMS,
    UNSET,
    anatomy,
    attributes,
    bare,
    global_name,
    package,
    reduced,
    referents,
    slots,
    spell,
    uncollected,
)
from inferflow.worker.tensors import bytes_of, describes, gradient
from inferflow.worker.transport_arrays import extent
from inferflow.worker.transport_code import resolve

__all__ = ["TooMuch", "Reach", "common", "globals_of", "merged", "reach", "shares"]

_VALUES = frozenset({
    "_decimal", "_operator", "_pydecimal", "datetime", "decimal", "fractions", "ipaddress", "operator", "pathlib", "re",
    "typing", "uuid", "zoneinfo",
})  # fmt: skip
"""Modules whose (opaque) objects are immutable."""
_HAVE_GC = 1 << 14
_HEAP = 1 << 9
_LEAVES = frozenset({"atom", "reference", "scalar", "dtype", "pickle_buffer"})
_BARE = frozenset({list, dict, tuple, set, frozenset, bytearray, collections.deque})
_Stack = list[tuple[Any, Any]]
_TRANSPARENT = frozenset({"tuple", "method", "builtin", "text", "number"})
"""Immutable themselves, with mutable insides."""


class Reach:
    """``objects`` maps ids to (object, path): what can change, and NaN objects, which can be looked for by identity.
    ``memory`` lists (first address, end, path) of arrays and buffers, ``types`` the types of all objects met. (Paths
    are spelled only if somebody asks: see ``exact_graph.spell``.)"""

    __slots__ = ("memory", "objects", "types")

    def __init__(self) -> None:
        self.objects: dict[int, tuple[Any, Any]] = {}
        self.memory: list[tuple[int, int, Any]] = []
        self.types: set[type] = set()


def shares(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> str | None:
    """What mutable object or array memory is reachable from both, as in "they share ...", or ``None``. The outputs are
    walked first: what holds nothing mutable shares nothing. Inputs may be any tuple of objects: add
    :func:`globals_of` the project's modules to find what is shared with a global, a class or a default argument."""
    with uncollected():
        theirs = reach(outputs)
        if not theirs.objects and not theirs.memory:
            return None
        return common(reach(inputs), theirs)


def common(ours: Reach, theirs: Reach) -> str | None:
    """As :func:`shares`, of what was walked already: the inputs, the outputs."""
    for key in theirs.objects.keys() & ours.objects.keys():
        value, path = theirs.objects[key]
        return f"a {type(value).__qualname__} {_places(path, ours.objects[key][1])}"
    found = _overlap(theirs.memory, ours.memory)
    if found is not None:
        return f"the memory of an array {_places(*found)}"
    return None


def _places(result: Any, given: Any) -> str:
    return f"(at {spell(result)} of the results, {spell(given)} of the inputs)"


def globals_of(modules: Iterable[types.ModuleType], without: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """Where the state of these modules begins: their globals (but for the names ``without``), the attributes of classes
    that they define, the default arguments and cells of their functions and methods. (Functions that only a decorator
    holds are found through it.)"""
    found: list[Any] = []
    modules = list(modules)
    names = {module.__name__ for module in modules}
    stack: list[Any] = [part for module in modules for name, part in list(vars(module).items()) if name not in without]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        cls = type(value)
        if cls in ATOMS:
            if value != value:
                found.append(value)
            continue
        if issubclass(cls, types.ModuleType) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, type):
            if value.__module__ in names:
                stack.extend(vars(value).values())
        elif cls is types.FunctionType:
            if value.__module__ in names:
                stack += [value.__defaults__, value.__kwdefaults__, value.__dict__, *(value.__closure__ or ())]
        elif cls is property:
            stack += [value.fget, value.fset, value.fdel]
        elif cls in (classmethod, staticmethod):
            stack.append(value.__func__)
        elif cls not in (types.GetSetDescriptorType, types.MemberDescriptorType, types.MappingProxyType):
            found.append(value)
    return tuple(found)


def _overlap(theirs: list[tuple[int, int, Any]], ours: list[tuple[int, int, Any]]) -> tuple[Any, Any] | None:
    """The paths of two arrays that overlap, if any do."""
    entries = sorted([(*entry, 0) for entry in theirs] + [(*entry, 1) for entry in ours], key=itemgetter(0))
    ends: list[tuple[int, Any]] = [(-1, None), (-1, None)]
    for low, high, path, side in entries:
        end, other = ends[1 - side]
        if low < end:
            return (path, other) if side == 0 else (other, path)
        if high > ends[side][0]:
            ends[side] = high, path
    return None


def merged(ranges: Iterable[tuple[int, int, Any]]) -> list[tuple[int, int]]:
    """The ranges of addresses, sorted and disjoint."""
    found: list[tuple[int, int]] = []
    for low, high, _ in sorted(ranges, key=itemgetter(0)):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


class TooMuch(Exception):
    """There is more behind a value than somebody wanted to look at."""


def reach(values: Iterable[Any], most: float = inf) -> Reach:
    """Everything mutable behind ``values``. Functions and classes that have a name, and modules, are not entered.
    Raises TooMuch if these are more than ``most`` objects."""
    found = Reach()
    numpy = sys.modules.get("numpy")
    seen: dict[int, Any] = {}  # keeps temporary objects alive, so that no id comes twice
    stack: _Stack = [(value, (None, at)) for at, value in enumerate(values)]
    stack.reverse()
    while stack:
        value, path = stack.pop()
        cls = type(value)
        if cls in ATOMS:
            if value != value and not _is_constant(value):
                found.objects[id(value)] = value, path
            continue
        kind = anatomy(cls)
        if id(value) in seen or kind in _LEAVES:
            if kind == "scalar" and value != value:
                found.objects[id(value)] = value, path
            continue
        seen[id(value)] = value
        if len(seen) > most:
            raise TooMuch
        found.types.add(cls)
        if kind == "function" and _has_name(value):
            continue
        if kind == "opaque" and (_immutable(cls) or global_name(value) is not None):
            continue
        if kind not in _TRANSPARENT and cls is not frozenset:
            found.objects[id(value)] = value, path
        if kind in ("ndarray", "bytearray", "buffer", "storage"):
            low, high = _memory(value, kind, numpy)
            if high > low:
                found.memory.append((low, high, path))
        _push_parts(stack, value, cls, kind, path)
    return found


def _has_name(function: types.FunctionType) -> bool:
    return isinstance(function.__module__, str) and resolve(function.__module__, function.__qualname__) is function


def _immutable(cls: type) -> bool:
    if cls.__module__ in _VALUES or issubclass(cls, weakref.ref):
        return True
    if package(cls) != "pandas":
        return False
    return hasattr(cls, "construct_from_string") or cls.__name__ in ("BlockPlacement", "Timestamp", "Timedelta")


def _memory(value: Any, kind: str, numpy: Any) -> tuple[int, int]:
    if kind == "ndarray":
        return extent(value)
    if kind == "storage":
        return extent(bytes_of(value)) if describes(value) else (0, 0)
    if kind == "buffer":
        low, length = value.buffer_info()
        return low, low + length * value.itemsize
    if numpy is None or not value:
        return 0, 0
    low = numpy.frombuffer(value, "u1").__array_interface__["data"][0]
    return low, low + len(value)


def _push_parts(stack: _Stack, value: Any, cls: type, kind: str, path: Any) -> None:
    if kind == "list":
        _push(stack, value if cls is list else list.__getitem__(value, slice(None)), path)
    elif kind == "tuple":
        _push(stack, value if cls is tuple else tuple.__getitem__(value, slice(None)), path)
    elif kind in ("dict", "ordered", "defaultdict"):
        _push(stack, list(dict.keys(value)), (path, "{key}"))
        items = list(dict.values(value))
        if not _nothing_in(items):
            for key, item in dict.items(value):
                if type(item) not in ATOMS or item != item:
                    stack.append((item, (path, (key,))))
        if kind == "defaultdict":
            stack.append((value.default_factory, (path, ".default_factory")))
    elif kind == "set":
        _push(stack, list(set.__iter__(value) if isinstance(value, set) else frozenset.__iter__(value)), path)
    elif kind == "deque":
        _push(stack, list(collections.deque.__iter__(value)), path)
    elif kind == "ndarray":
        if value.dtype.hasobject:
            _push(stack, bare(value).ravel().tolist(), path)
        if value.base is not None and type(value.base) in (bytearray, array.array):
            stack.append((value.base, (path, ".base")))
    elif kind == "tensor":
        _push(stack, [value._base, gradient(value)], path)
        if value.layout is sys.modules["torch"].strided:
            stack.append((value.untyped_storage(), (path, ".untyped_storage()")))
    elif kind == "function":
        _push(stack, [value.__defaults__, value.__kwdefaults__, value.__dict__, value.__closure__], path)
        return
    elif kind == "cell":
        try:
            stack.append((value.cell_contents, path))
        except ValueError:
            pass
        return
    elif kind == "method":
        stack.append((value.__func__, path))
        stack.append((value.__self__, (path, ".__self__")))
        return
    elif kind == "builtin":
        stack.append((value.__self__, (path, ".__self__")))
        return
    elif kind == "exception":
        _push(stack, [value.args, value.__cause__, value.__context__], path)
    elif kind == "opaque":
        _push(stack, _insides(value, cls), path)
    if cls in _BARE:
        return
    own = attributes(value)
    if own is not None:
        if kind != "opaque":
            stack.append((own, (path, ".__dict__")))
        for name, part in own.items():
            if type(part) not in ATOMS or part != part:
                stack.append((part, (path, f".{name}")))
    if kind != "opaque":
        for name, part in slots(value):
            if part is not UNSET:
                stack.append((part, (path, f".{name}")))


def _insides(value: Any, cls: type) -> list[Any]:
    """What an object of an extension type refers to."""
    if cls.__flags__ & _HAVE_GC:
        parts = [part for part in referents(value) if part is not cls]
        own = attributes(value)
        return parts if own is None else [part for part in parts if part is not own]
    if cls.__flags__ & _HEAP:  # a project's subclass of a type that holds no objects
        return []
    try:
        parts = reduced(value)
    except Exception:  # it cannot be pickled, and holds nothing that the collector would know of
        return []
    return [] if isinstance(parts, str) else list(parts)


def _push(stack: _Stack, parts: Any, path: Any) -> None:
    if len(parts) > 8 and _nothing_in(parts):
        return
    for at, part in enumerate(parts):
        if type(part) not in ATOMS or part != part:
            stack.append((part, (path, at)))


def _nothing_in(parts: Any) -> bool:
    """Whether all of a sequence are atoms, and none a NaN."""
    kinds = set(map(type, parts))
    if not kinds <= ATOMS:
        return False
    return not (float in kinds or complex in kinds) or not any(map(ne, parts, parts))


def _is_constant(value: Any) -> bool:
    return value is math.nan or value is getattr(sys.modules.get("numpy"), "nan", None)
