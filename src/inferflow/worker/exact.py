"""Whether a value that was pickled and rebuilt can be told from the original.

:func:`same` walks both sides together: types, values down to the bits of floats and arrays, the iteration
order of sets and dictionaries, attributes that pickling dropped, and *who is who*: two places hold one
object on one side if and only if they do on the other (an isomorphism of the two graphs), and arrays overlap
on one side just as on the other. NaN objects count as objects, since ``nan in [nan]`` asks for identity.
Strings, numbers and the like have no identity here.

:func:`known_exact` is the cheap answer for values made only of kinds of which pickling is known to keep everything.

>>> same([1, [2]], [1, [2]]) is None
True
>>> str(same([1.0], [1]))
'at [0]: a float became a int'
"""

from __future__ import annotations

import collections
import math
import operator
import struct
import sys
from bisect import bisect_right
from typing import Any

from inferflow.worker.exact_graph import (
    ATOMS,
    anatomy,
    attributes,
    bare,
    copies_on_write,
    package,
    reduced,
    slots,
    spell,
)
from inferflow.worker.exact_known import FLOATLESS, known_exact
from inferflow.worker.exact_reach import Reach, merged
from inferflow.worker.pages import Twins
from inferflow.worker.tensors import bytes_of, describes, layout, oddity
from inferflow.worker.transport_arrays import extent
from inferflow.worker.transport_sets import slots_of_table

__all__ = ["Difference", "equal_bytes", "known_exact", "pairs", "same"]


class Difference:
    """``where`` is a path such as ``[0].weights['a']``, ``what`` a short sentence."""

    __slots__ = ("what", "where")

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what

    def __str__(self) -> str:
        return f"at {self.where}: {self.what}" if self.where else self.what

    def __repr__(self) -> str:
        return f"Difference({self.where!r}, {self.what!r})"


_COMMON = FLOATLESS | {float}


class _Differ(Exception):
    def __init__(self, path: Any, what: str) -> None:
        super().__init__(what)
        self.path = path
        self.what = what


def same(
    original: object, rebuilt: object, fixed: Reach | None = None, twins: Twins | None = None
) -> Difference | None:
    """The first difference found, or ``None``. Linear in the size of both; the recursion limit does not matter.
    What is reachable in ``fixed`` must be the very same object, or memory, on both sides. ``twins`` are maps of one
    file, in which arrays of ``rebuilt`` (the used one) and of ``original`` lie.

    May run methods that extension types and project classes with opaque state define for pickling. An exception
    in one of them is a difference."""
    try:
        _Walk(fixed, twins).run(original, rebuilt)
    except _Differ as found:
        return Difference(spell(found.path), found.what)
    except Exception as error:  # a user's or a library's method, called on the way
        return Difference("", f"comparing failed: {type(error).__name__}: {error}"[:200])
    return None


def pairs(original: object, rebuilt: object) -> dict[int, Any] | Difference:
    """If both are alike, who is who: for the id of each object in ``original`` its counterpart."""
    walk = _Walk(None)
    try:
        walk.run(original, rebuilt)
    except _Differ as found:
        return Difference(spell(found.path), found.what)
    except Exception as error:
        return Difference("", f"comparing failed: {type(error).__name__}: {error}"[:200])
    return walk.left


def _article(cls: type) -> str:
    return f"a {cls.__qualname__}"


class _Walk:
    """One comparison: the pairs still to be compared, and who is who."""

    def __init__(self, fixed: Reach | None, twins: Twins | None = None) -> None:
        self.fixed = fixed.objects if fixed is not None else {}
        self.twins = twins
        self.ground = merged(fixed.memory) if fixed is not None else []
        self.stack: list[tuple[Any, Any, Any, int]] = []
        self.left: dict[int, Any] = {}
        self.right: dict[int, Any] = {}
        self.memory: list[tuple[int, int, int, int]] = []
        """First address, end and first address on the other side of each array, and whose copy-on-write it is."""
        self.framed = 0
        """The id of the part of a pandas object (a block, an index) within which the walk is; 0 outside."""

    def run(self, original: object, rebuilt: object) -> None:
        stack, left, right = self.stack, self.left, self.right
        stack.append((original, rebuilt, None, 0))
        while stack:
            a, b, path, self.framed = stack.pop()
            cls = type(a)
            if cls is not type(b):
                raise _Differ(path, f"{_article(cls)} became {_article(type(b))}")
            if cls in ATOMS:
                self.atom(a, b, path, cls)
                continue
            known = left.get(id(a))
            if known is not None:
                if known is not b:
                    raise _Differ(path, f"{_article(cls)} that was shared is a copy now")
                continue
            if id(b) in right:
                raise _Differ(path, f"two of {cls.__qualname__} became one")
            left[id(a)] = b
            right[id(b)] = a
            if a is not b:
                if id(a) in self.fixed:
                    raise _Differ(path, f"{_article(cls)} that was shared with an input is a copy now")
                getattr(self, "on_" + anatomy(cls))(a, b, path)
        self.overlaps()

    def atom(self, a: Any, b: Any, path: Any, cls: type) -> None:
        if a is b:
            return
        if cls is float:
            if a != a:
                self.nan(a, b, path)
            elif _bits(a) != _bits(b):
                raise _Differ(path, f"{a!r} became {b!r}")
        elif cls is complex:
            if _bits(a.real) != _bits(b.real) or _bits(a.imag) != _bits(b.imag):
                raise _Differ(path, f"{a!r} became {b!r}")
        elif cls is slice:
            for name in ("start", "stop", "step"):
                self.push(getattr(a, name), getattr(b, name), (path, f".{name}"))
        elif a != b:
            raise _Differ(path, f"{_short(a)} became {_short(b)}")

    def nan(self, a: float, b: float, path: Any) -> None:
        if _bits(a) != _bits(b):
            raise _Differ(path, "a NaN with other bits")
        numpy = sys.modules.get("numpy")
        if a is math.nan or a is getattr(numpy, "nan", None):
            raise _Differ(path, "a NaN that programs may look for by identity is a copy now")
        if id(a) in self.fixed:
            raise _Differ(path, "a NaN that was shared with an input is a copy now")
        if self.left.setdefault(id(a), b) is not b or self.right.setdefault(id(b), a) is not a:
            raise _Differ(path, "a NaN that was shared is a copy now")

    def push(self, a: Any, b: Any, path: Any) -> None:
        self.stack.append((a, b, path, self.framed))

    def pairs(self, xs: Any, ys: Any, path: Any, part: Any = None) -> None:
        """Compare two sequences element by element; runs of atoms at the speed of C."""
        if len(xs) != len(ys):
            raise _Differ(path, f"{len(xs)} elements became {len(ys)}")
        if len(xs) > 8:
            kinds = set(map(type, xs))
            if (
                kinds <= _COMMON
                and list(map(type, xs)) == list(map(type, ys))
                and self.run_of_atoms(xs, ys, kinds, path)
            ):
                return
        for at, (x, y) in enumerate(zip(xs, ys)):
            if x is y and type(x) in FLOATLESS:
                continue
            self.push(x, y, (path, at if part is None else (part, at)))

    def run_of_atoms(self, xs: Any, ys: Any, kinds: set[type], path: Any) -> bool:
        """Whether two sequences of the same types are alike. A NaN that was copied raises."""
        if float not in kinds:
            return all(map(operator.eq, xs, ys))
        if len(kinds) > 1:
            others = [x for x in xs if x.__class__ is not float]
            if others != [y for y in ys if y.__class__ is not float]:
                return False
            xs, ys = [x for x in xs if x.__class__ is float], [y for y in ys if y.__class__ is float]
        form = f"<{len(xs)}d"
        if struct.pack(form, *xs) != struct.pack(form, *ys):
            return False
        for x, y in zip(xs, ys):
            if x != x and x is not y:
                self.nan(x, y, path)
        return True

    def extras(self, a: Any, b: Any, path: Any) -> None:
        """The attributes of an instance, or of a subclass of a container."""
        mine, other = attributes(a), attributes(b)
        if mine is not None or other is not None:
            self.mapping({} if mine is None else mine, {} if other is None else other, path)
        for (name, x), (_, y) in zip(slots(a), slots(b)):
            self.push(x, y, (path, f".{name}"))

    def mapping(self, mine: dict[str, Any], other: dict[str, Any], path: Any) -> None:
        if list(mine) != list(other):
            for name in mine:
                if name not in other:
                    raise _Differ(path, f"attribute {name!r} is lost")
            for name in other:
                if name not in mine:
                    raise _Differ(path, f"attribute {name!r} is new")
            raise _Differ(path, "its attributes come in another order")
        # whoever holds the dictionary itself must find it shared on the other side too
        if self.left.setdefault(id(mine), other) is not other or self.right.setdefault(id(other), mine) is not mine:
            raise _Differ(path, "its __dict__ is no longer shared")
        if mine is not other and id(mine) in self.fixed:
            raise _Differ(path, "its __dict__ that was shared with an input is a copy now")
        for name, x in mine.items():
            y = other[name]
            if x is y and type(x) in FLOATLESS:
                continue
            self.push(x, y, (path, f".{name}"))

    def array(self, a: Any, b: Any, path: Any) -> None:
        if a.dtype != b.dtype or (a.dtype.metadata or None) != (b.dtype.metadata or None):
            raise _Differ(path, f"dtype {a.dtype} became {b.dtype}")
        if a.shape != b.shape:
            raise _Differ(path, f"shape {a.shape} became {b.shape}")
        if a.flags.num != b.flags.num and not _alike(a, b):
            raise _Differ(path, "its memory layout or its read-only flag changed")
        if a.size and any(n > 1 and s != t for n, s, t in zip(a.shape, a.strides, b.strides)):
            raise _Differ(path, f"strides {a.strides} became {b.strides}")
        low, high = extent(a)
        start, _ = extent(b)
        if high > low:
            self.memory.append((low, high, start, self.framed))
            if low != start and not self.framed and self.on_ground(low, high):
                raise _Differ(path, "an array that shared memory with an input is a copy now")
        if a.dtype.hasobject or a.dtype.kind == "T":
            a, b = bare(a), bare(b)
            if a.dtype.names is None:
                self.pairs(list(a.flat), list(b.flat), path)
            else:
                for name in a.dtype.names:
                    self.push(a[name].tolist(), b[name].tolist(), (path, f"[{name!r}]"))
        elif high > low and low != start and not self.equal(bare(a), bare(b)):
            raise _Differ(path, "its numbers changed")

    def equal(self, a: Any, b: Any) -> bool:
        """Whether two arrays of one shape hold the same bits; what is surely untouched is not looked at."""
        if self.twins is None:
            return _equal_memory(a, b)
        low, high = extent(b)
        touched = self.twins.touched(low, high, extent(a)[0])
        if touched is None or (touched and not b.flags.c_contiguous):
            return _equal_memory(a, b)
        x, y = (memoryview(one.reshape(-1).view("u1")) for one in (a, b)) if touched else (None, None)
        return all(equal_bytes(x[i - low : j - low], y[i - low : j - low]) for i, j in touched)  # type: ignore[index]

    def on_ground(self, low: int, high: int) -> bool:
        """Whether memory of the fixed arrays lies in this range."""
        at = bisect_right(self.ground, (low, 1 << 70))
        before = at > 0 and self.ground[at - 1][1] > low
        return before or (at < len(self.ground) and self.ground[at][0] < high)

    def overlaps(self) -> None:
        """Arrays share memory on one side just as on the other; but two pandas objects, which copy before they write,
        may have been given memory of their own."""
        back = [(start, start + high - low, low, framed) for low, high, start, framed in self.memory]
        for side in (self.memory, back):
            side.sort()
            end = shift = -1
            last = 0
            for low, high, other, framed in side:
                apart = framed and last and framed != last and side is self.memory
                if low < end and other - low != shift and not apart:
                    raise _Differ(None, "arrays that shared memory do not any more, or now do")
                if high > end:
                    end, shift, last = high, other - low, framed

    # one method for each kind of anatomy

    def on_list(self, a: Any, b: Any, path: Any) -> None:
        if type(a) is list:
            self.pairs(a, b, path)
        else:
            self.pairs(list.__getitem__(a, slice(None)), list.__getitem__(b, slice(None)), path)
            self.extras(a, b, path)

    def on_tuple(self, a: Any, b: Any, path: Any) -> None:
        if type(a) is tuple:
            self.pairs(a, b, path)
        else:
            self.pairs(tuple(tuple.__iter__(a)), tuple(tuple.__iter__(b)), path)
            self.extras(a, b, path)

    def items(self, a: Any, b: Any, path: Any, items: Any) -> None:
        xs, ys = list(items(a)), list(items(b))
        keys = [key for key, _ in xs]
        self.pairs(keys, [key for key, _ in ys], path, lambda at: f"{{key {at}}}")
        self.pairs([x for _, x in xs], [y for _, y in ys], path, lambda at: spell((None, (keys[at],))))

    def on_dict(self, a: Any, b: Any, path: Any) -> None:
        self.items(a, b, path, dict.items)
        if type(a) is not dict:
            self.extras(a, b, path)

    def on_ordered(self, a: Any, b: Any, path: Any) -> None:
        self.items(a, b, path, collections.OrderedDict.items)
        self.extras(a, b, path)

    def on_defaultdict(self, a: Any, b: Any, path: Any) -> None:
        self.push(a.default_factory, b.default_factory, (path, ".default_factory"))
        self.items(a, b, path, dict.items)
        self.extras(a, b, path)

    def on_set(self, a: Any, b: Any, path: Any) -> None:
        iterate = set.__iter__ if isinstance(a, set) else frozenset.__iter__
        xs, ys = list(iterate(a)), list(iterate(b))
        if set(map(type, xs)) <= FLOATLESS and list(map(type, xs)) == list(map(type, ys)):
            if xs != ys:
                raise _Differ(path, "a set that comes in another order" if a == b else "a set with other elements")
            if a is not b and slots_of_table(a) != slots_of_table(b):
                raise _Differ(path, "a set whose order would differ once it changes (another table size)")
        else:
            for x, y in zip(xs, ys):
                if x is not y and len(xs) > 1 and _by_address(type(x)):
                    raise _Differ(path, "a set ordered by the addresses of its elements")
            self.pairs(xs, ys, path, lambda at: f"{{element {at}}}")
        if type(a) not in (set, frozenset):
            self.extras(a, b, path)

    def on_deque(self, a: Any, b: Any, path: Any) -> None:
        if a.maxlen != b.maxlen:
            raise _Differ(path, f"maxlen {a.maxlen} became {b.maxlen}")
        self.pairs(list(a), list(b), path)
        self.extras(a, b, path)

    def on_bytearray(self, a: Any, b: Any, path: Any) -> None:
        if bytearray.__ne__(a, b):
            raise _Differ(path, "its bytes changed")
        numpy = sys.modules.get("numpy")
        if numpy is not None and a:
            low = numpy.frombuffer(a, "u1").__array_interface__["data"][0]
            start = numpy.frombuffer(b, "u1").__array_interface__["data"][0]
            self.memory.append((low, low + len(a), start, 0))
        self.extras(a, b, path)

    def on_buffer(self, a: Any, b: Any, path: Any) -> None:
        if a.typecode != b.typecode or a.tobytes() != b.tobytes():
            raise _Differ(path, "its numbers changed")
        low, length = a.buffer_info()
        if length:
            self.memory.append((low, low + length * a.itemsize, b.buffer_info()[0], 0))
        self.extras(a, b, path)

    def on_pickle_buffer(self, a: Any, b: Any, path: Any) -> None:
        if not equal_bytes(a.raw(), b.raw()):
            raise _Differ(path, "its bytes changed")

    def on_text(self, a: Any, b: Any, path: Any) -> None:
        base = next(base for base in (str, bytes, int) if isinstance(a, base))
        if base.__ne__(a, b):
            raise _Differ(path, "its value changed")
        self.extras(a, b, path)

    def on_number(self, a: Any, b: Any, path: Any) -> None:
        base = float if isinstance(a, float) else complex
        self.atom(base(a), base(b), path, base)
        self.extras(a, b, path)

    def on_exception(self, a: Any, b: Any, path: Any) -> None:
        for name in ("__cause__", "__context__", "__traceback__", "__suppress_context__"):
            if getattr(a, name) is not getattr(b, name):
                raise _Differ(path, f"an exception loses its {name.strip('_')}")
        self.push(a.args, b.args, (path, ".args"))
        self.on_opaque(a, b, path)

    def on_ndarray(self, a: Any, b: Any, path: Any) -> None:
        ndarray = sys.modules["numpy"].ndarray
        if type(a) is ndarray:
            self.array(a, b, path)
        else:  # a subclass may have its own idea of every operation
            self.array(ndarray.view(a, ndarray), ndarray.view(b, ndarray), path)
        self.extras(a, b, path)

    def on_tensor(self, a: Any, b: Any, path: Any) -> None:
        odd = oddity(a) or oddity(b)
        if odd:
            raise _Differ(path, f"{odd} cannot be compared")
        if layout(a) != layout(b):
            raise _Differ(path, f"{_article(type(a))} of another kind ({_other(layout(a), layout(b))})")
        self.push(a.grad, b.grad, (path, ".grad"))
        self.push(a._base, b._base, (path, "._base"))
        self.push(a.untyped_storage(), b.untyped_storage(), (path, ".untyped_storage()"))
        self.extras(a, b, path)

    def on_storage(self, a: Any, b: Any, path: Any) -> None:
        if not describes(a) or not describes(b):
            raise _Differ(path, "a storage outside of this process's memory cannot be compared")
        if a.nbytes() != b.nbytes():
            raise _Differ(path, f"{a.nbytes()} bytes became {b.nbytes()}")
        # (the rebuilt side of a check may lie over the original's memory)
        if a.data_ptr() != b.data_ptr() and a.resizable() != b.resizable():
            raise _Differ(path, "memory that can grow became such that cannot, or the other way round")
        self.array(bytes_of(a), bytes_of(b), path)
        self.extras(a, b, path)

    def on_scalar(self, a: Any, b: Any, path: Any) -> None:
        if a.dtype != b.dtype or a.tobytes() != b.tobytes():
            raise _Differ(path, f"{_article(type(a))} changed")

    def on_dtype(self, a: Any, b: Any, path: Any) -> None:
        if a != b or (a.metadata or None) != (b.metadata or None):  # (before numpy 2.3 none came back as an empty one)
            raise _Differ(path, f"dtype {a} became {b}")

    def on_cell(self, a: Any, b: Any, path: Any) -> None:
        self.push(_content(a), _content(b), (path, ".cell_contents"))

    def on_method(self, a: Any, b: Any, path: Any) -> None:
        self.push(a.__func__, b.__func__, (path, ".__func__"))
        self.push(a.__self__, b.__self__, (path, ".__self__"))

    def on_builtin(self, a: Any, b: Any, path: Any) -> None:
        if a.__name__ != b.__name__:
            raise _Differ(path, f"{a.__name__} became {b.__name__}")
        self.push(a.__self__, b.__self__, (path, ".__self__"))

    def on_function(self, a: Any, b: Any, path: Any) -> None:
        if a.__code__ != b.__code__ or a.__globals__ is not b.__globals__:
            raise _Differ(path, "another function")
        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__"):
            self.push(getattr(a, name), getattr(b, name), (path, f".{name}"))
        self.push(a.__annotations__, b.__annotations__, (path, ".__annotations__"))
        self.pairs(a.__closure__ or (), b.__closure__ or (), path, lambda at: f".__closure__[{at}]")
        self.mapping(a.__dict__, b.__dict__, path)

    def on_reference(self, a: Any, b: Any, path: Any) -> None:
        raise _Differ(path, f"{getattr(a, '__qualname__', a)!s} is rebuilt, not found by name")

    def on_instance(self, a: Any, b: Any, path: Any) -> None:
        self.extras(a, b, path)

    def on_opaque(self, a: Any, b: Any, path: Any) -> None:
        cls = type(a)
        library = package(cls)
        if copies_on_write(cls):
            self.framed = id(a)
        x, y = reduced(a), reduced(b)
        if library == "pandas" and not isinstance(x, str) and not isinstance(y, str):
            x, y = _without_caches(x), _without_caches(y)
        if isinstance(x, str) or isinstance(y, str):
            raise _Differ(path, f"{_article(cls)} known by name became another one")
        for at, name in enumerate(("constructor", "arguments", "state", "elements", "pairs", "setter")):
            self.push(x[at], y[at], (path, f".<{name}>"))
        if library not in ("pandas", "pathlib", "logging"):
            self.extras(a, b, path)
        elif library == "pandas":
            mine, other = (set(attributes(one) or ()) - _PANDAS_OWN for one in (a, b))
            for name in sorted(mine ^ other):  # what somebody has hung on a table (``df.name = "train"``)
                raise _Differ(path, f"attribute {name!r} is {'lost' if name in mine else 'new'}")


_PANDAS_OWN = frozenset({
    "_attrs", "_cache", "_cacher", "_codes", "_data", "_dtype", "_engine", "_flags", "_freq", "_id", "_is_copy",
    "_item_cache", "_levels", "_metadata", "_mgr", "_name", "_names", "_ndarray", "_range", "_references", "_typ",
    "_values", "sortorder",
})  # fmt: skip
"""Attributes in which pandas keeps what its objects pickle to, and what it can make anew."""


def _without_caches(parts: Any) -> Any:
    """What a pandas object reduces to, but for the cache that it carries along in its attributes."""
    state = parts[2]
    if type(state) is dict:
        state = {name: part for name, part in state.items() if name != "_cache"}
    elif type(state) is tuple and state and type(state[-1]) is dict:
        kept = {name: part for name, part in state[-1].items() if name != "_cache"}
        state = (*state[:-1], kept) if kept else state[:-1]
    return (*parts[:2], state, *parts[3:])


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _by_address(cls: type) -> bool:
    """Whether objects of the type are hashed by where they are."""
    method: object = cls.__hash__
    return method is object.__hash__


def _bits(number: float) -> bytes:
    return struct.pack("<d", number)


def _other(mine: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    return ", ".join(f"{x} became {y}" for x, y in zip(mine, other) if x != y)


def _short(value: object) -> str:
    text = repr(value) if type(value) in ATOMS else type(value).__qualname__
    return text if len(text) <= 40 else text[:37] + "..."


def _alike(a: Any, b: Any) -> bool:
    """Whether two arrays differ at most in who owns the memory, and in its alignment."""
    x, y = a.flags, b.flags
    if a.size == 0:
        return bool(x.writeable == y.writeable)
    # the rebuilt side of a check looks at the original's memory without the right to change it
    writeable = x.writeable == y.writeable or (extent(a) == extent(b) and a.nbytes > 0)
    return bool(x.c_contiguous == y.c_contiguous and x.f_contiguous == y.f_contiguous and writeable)


_CHUNK = 1 << 18


def _equal_memory(a: Any, b: Any) -> bool:
    """Whether two arrays of one shape hold the same bits."""
    if not (a.flags.c_contiguous and b.flags.c_contiguous):
        if a.flags.f_contiguous and b.flags.f_contiguous:
            a, b = a.T, b.T
        else:
            return bool(a.tobytes() == b.tobytes())
    x, y = memoryview(a.reshape(-1).view("u1")), memoryview(b.reshape(-1).view("u1"))
    return equal_bytes(x, y)


def equal_bytes(x: memoryview, y: memoryview) -> bool:
    """Compares at about the speed of memcmp: a memoryview's own ``==`` goes byte by byte."""
    if len(x) != len(y):
        return False
    return all(bytes(x[at : at + _CHUNK]) == y[at : at + _CHUNK].tobytes() for at in range(0, len(x), _CHUNK))
