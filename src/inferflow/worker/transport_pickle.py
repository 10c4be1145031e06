"""The pickler of values: what pickle does not keep, and what must not travel at all.

Pickle protocol 5 keeps most of a value. This module adds what programs can tell apart and pickle loses:

- arrays keep strides, read-only flag and shared memory: a view is written as a window into its base;
- functions without an importable name (lambdas, inner functions) are written as code, and see the
  *reader's* module globals, as home and its forked helpers share them;
- NaN objects and sets (identity, iteration order) are written specially by :class:`CarefulEncoder`;

and refuses (:class:`Refused`) what pickle accepts but which is a state of this process: live iterators,
figures that pyplot holds, the global random generators. ``Encoder.doubts`` collects why a value that was
written may still be told from its copy; ``Encoder.user_code`` names the first project class whose own
pickling methods ran.

>>> import io, pickle
>>> stream = io.BytesIO(); Encoder(stream, [], frozenset()).dump((lambda x: x + 1,))
>>> pickle.loads(stream.getvalue())[0](1)
2
"""

from __future__ import annotations

import importlib
import itertools
import marshal
import pickle
import struct
import sys
import types
from typing import Any, Callable, Optional

__all__ = [
    "OUT_OF_BAND",
    "CarefulEncoder",
    "Decoder",
    "Encoder",
    "FindingDecoder",
    "Refused",
    "extent",
    "insertion_order",
    "overlaps",
    "resolve",
    "runs_user_code",
]

OUT_OF_BAND = 64 * 1024
"""Bytes. Buffers from here on are written beside the pickle stream, aligned, so that they can be mapped."""

_Reduced = Any
_Act = Callable[["Encoder", Any], _Reduced]


class Refused(Exception):
    """This object cannot travel; the text says what it is, with its article."""

    def __init__(self, what: str, culprit: object = None) -> None:
        super().__init__(what)
        self.what = what
        self.culprit = culprit


# --- what the stream calls when it is read ---------------------------------------------------------


def _array(buffer: Any, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """An array over a mapped buffer. ``strides`` is "C", "F" or a tuple of bytes."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    if isinstance(strides, str):
        array = numpy.ndarray(shape, dtype, buffer, 0, None, strides)
    else:
        array = numpy.ndarray(shape, dtype, buffer, 0, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _own(data: bytes, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """A small array that owns its memory, as one that was made natively does."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    if isinstance(strides, str):
        array = numpy.empty(shape, dtype, strides)
    else:
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        array = numpy.empty([shape[axis] for axis in order], dtype)
        array = array.transpose([order.index(axis) for axis in range(len(shape))])
    if data:
        array.ravel("K").view("u1")[:] = numpy.frombuffer(data, "u1")
    if not writeable:
        array.flags.writeable = False
    return array


def _view(base: Any, offset: int, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """A window into the memory of ``base``, ``offset`` bytes from its start."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    memory = base.ravel("K").view("u1")
    array = numpy.ndarray(shape, dtype, memory, offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _view_of_objects(base: Any, index: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    array = numpy.lib.stride_tricks.as_strided(base.ravel("K")[index:], shape, strides)
    array = array.view(numpy.ndarray)
    if not writeable:
        array.flags.writeable = False
    return array


def _module(name: str) -> types.ModuleType:
    return importlib.import_module(name)


def _cell() -> Any:
    return types.CellType()


def _function(code: bytes, module: str, name: str, qualname: str, cells: Any) -> types.FunctionType:
    """A function made from its code. Its globals are the module's own, not a copy."""
    found = sys.modules.get(module) or importlib.import_module(module)
    made = types.FunctionType(marshal.loads(code), vars(found), name, None, cells)
    made.__qualname__ = qualname
    made.__module__ = module
    return made


def _fill_function(function: types.FunctionType, state: Any) -> None:
    defaults, keyword, contents, attributes, doc, annotations, own_module = state
    function.__defaults__ = defaults
    function.__kwdefaults__ = keyword
    function.__doc__ = doc
    function.__module__ = own_module
    if annotations:
        function.__annotations__ = annotations
    if attributes:
        function.__dict__.update(attributes)
    for cell, content in zip(function.__closure__ or (), contents):  # noqa: B905 (Python 3.9)
        if content is not _Empty:
            cell.cell_contents = content


class _Empty:
    """Stands for a cell without contents."""


def _method(function: Any, instance: Any) -> types.MethodType:
    return types.MethodType(function, instance)


# --- by name, or not ---------------------------------------------------------------------------------


def resolve(module: str, qualname: str) -> object:
    """What ``module.qualname`` is now, without importing; ``None`` if there is no such thing."""
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        if found is None or part == "<locals>":
            return None
        found = getattr(found, part, None)
    return found


def _reduce_class(encoder: Encoder, cls: type) -> _Reduced:
    if cls in _NAMELESS or resolve(cls.__module__, cls.__qualname__) is cls:
        return NotImplemented
    encoder.nameless_class(cls)
    return _cloudpickle()._dynamic_class_reduce(cls)


_NAMELESS = frozenset({type(None), type(NotImplemented), type(...)})


def _cloudpickle() -> Any:
    try:
        return importlib.import_module("cloudpickle.cloudpickle")
    except ImportError:
        raise Refused("a class defined inside a function") from None


def _by_cloudpickle(encoder: Encoder, value: object) -> _Reduced:
    return _cloudpickle().Pickler._dispatch_table[type(value)](value)


def _reduce_function(encoder: Encoder, function: types.FunctionType) -> _Reduced:
    module = function.__module__
    if isinstance(module, str) and resolve(module, function.__qualname__) is function:
        return NotImplemented
    home = _module_of(function)
    if home is None:
        raise Refused("a function whose module cannot be found", function)
    encoder.code = True
    cells = function.__closure__
    contents = tuple(_content(cell) for cell in cells or ())
    state = (
        function.__defaults__,
        function.__kwdefaults__,
        contents,
        function.__dict__ or None,
        function.__doc__,
        function.__annotations__ or None,
        module,
    )
    args = (marshal.dumps(function.__code__), home, function.__name__, function.__qualname__, cells)
    return _function, args, state, None, None, _fill_function


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _Empty


def _module_of(function: types.FunctionType) -> Optional[str]:
    """The name of the module whose dictionary is the function's globals."""
    for name in (function.__module__, function.__globals__.get("__name__")):
        found = sys.modules.get(name) if isinstance(name, str) else None
        if found is not None and getattr(found, "__dict__", None) is function.__globals__:
            return str(name)
    return None


def _reduce_cell(encoder: Encoder, cell: Any) -> _Reduced:
    return _cell, ()


def _reduce_module(encoder: Encoder, module: types.ModuleType) -> _Reduced:
    if sys.modules.get(module.__name__) is not module:
        raise Refused(f"a module that cannot be imported ({module.__name__})", module)
    return _module, (module.__name__,)


def _reduce_method(encoder: Encoder, method: types.MethodType) -> _Reduced:
    # pickle writes getattr(instance, name), which finds another function if the instance has an attribute of that name
    return _method, (method.__func__, method.__self__)


# --- arrays ------------------------------------------------------------------------------------------


class _Block:
    """Memory that arrays of a pack look into where no single one of them owns it: addresses from ``low`` to ``high``."""

    __slots__ = ("__array_interface__", "high", "low", "owner")

    def __init__(self, low: int, high: int, owner: object) -> None:
        self.low = low
        self.high = high
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (low, False), "shape": (high - low,), "typestr": "|u1"}


def extent(array: Any) -> tuple[int, int]:
    """The first address of the array's memory, and the first after it."""
    low = high = array.__array_interface__["data"][0]
    if array.size == 0:
        return low, low
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    for length, stride in zip(array.shape, array.strides):  # noqa: B905 (Python 3.9)
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return low, high + array.itemsize


def _dense(array: Any, low: int, high: int) -> bool:
    """Whether the elements fill one piece of memory without gaps (in any order of axes, none of them backwards)."""
    flags = array.flags
    if flags.c_contiguous or flags.f_contiguous:
        return True
    return high - low == array.nbytes and all(stride > 0 for stride in array.strides)


def _root(encoder: Encoder, array: Any, ndarray: type) -> Any:
    """The object that owns the array's memory: an ndarray, or whatever exports the buffer."""
    base = array
    while isinstance(base, ndarray) and base.base is not None and id(base) not in encoder.given:
        base = base.base
    return base


def _layout(array: Any) -> Any:
    flags = array.flags
    return "C" if flags.c_contiguous else "F" if flags.f_contiguous else array.strides


def _reduce_array(encoder: Encoder, array: Any) -> _Reduced:
    """A plain ``numpy.ndarray``. At first each is written with its own memory; the pack is made again with
    ``encoder.clusters`` if it turns out that some overlap."""
    numpy = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.hasobject or dtype.kind == "T":
        return _reduce_objects(encoder, array, numpy)
    flags = array.flags
    if array.nbytes == 0:
        return _own, (b"", dtype, array.shape, "F" if flags.fnc else "C", flags.writeable)
    low, high = extent(array)
    if array.base is not None:
        root = _root(encoder, array, numpy.ndarray)
        if isinstance(root, numpy.memmap):
            raise Refused("an array mapped from a file", array)
        base = _base(encoder, root, low, high, numpy)
        if base is None and not _dense(array, low, high):
            base = _Block(low, high, root)
            encoder.extents.append((low, high, id(base)))
        if base is not None:
            start = base.low if type(base) is _Block else extent(base)[0]
            if type(base) is not _Block and flags.writeable and not base.flags.writeable:
                encoder.doubts.append("a writable view of a read-only array")
            offset = array.__array_interface__["data"][0] - start
            return _view, (base, offset, dtype, array.shape, array.strides, flags.writeable)
    encoder.extents.append((low, high, id(array)))
    return _reduce_dense(array, array.ravel("K").view("u1"))


def _reduce_dense(array: Any, memory: Any) -> _Reduced:
    rest = (array.dtype, array.shape, _layout(array), array.flags.writeable)
    if memory.size < OUT_OF_BAND:
        return _own, (memory.tobytes(), *rest)
    return _array, (pickle.PickleBuffer(memory), *rest)


def _base(encoder: Encoder, root: Any, low: int, high: int, numpy: Any) -> Any:
    """What an array that shares memory within the pack is a window into; ``None`` if it shares with nothing."""
    if id(root) in encoder.given:
        return root
    cluster = encoder.cluster(low)
    if cluster is None:
        return None
    if type(root) is numpy.ndarray:
        first, last = extent(root)
        if cluster[0] <= first <= low and high <= last <= cluster[1] and _dense(root, first, last):
            return root
    block = encoder.blocks.get(cluster)
    if block is None:
        block = encoder.blocks[cluster] = _Block(cluster[0], cluster[1], root)
        encoder.extents.append((low, high, id(block)))
    return block


def _reduce_block(encoder: Encoder, block: _Block) -> _Reduced:
    memory = sys.modules["numpy"].asarray(block)
    return _reduce_dense(memory, memory)


def _reduce_objects(encoder: Encoder, array: Any, numpy: Any) -> _Reduced:
    """An array of Python objects. Of views only the plain ones are rebuilt as views."""
    base = array.base
    if base is not None and array.size:
        root = _root(encoder, array, numpy.ndarray)
        low, high = extent(array)
        if type(root) is numpy.ndarray and root.dtype == array.dtype and array.dtype.kind == "O":
            first, last = extent(root)
            if _dense(root, first, last):
                skipped, odd = divmod(array.__array_interface__["data"][0] - first, array.itemsize)
                encoder.extents.append((first, last, id(root)))
                if not odd:
                    return _view_of_objects, (root, skipped, array.shape, array.strides, array.flags.writeable)
        elif not _dense(array, low, high):
            encoder.doubts.append("a view of an array of objects")
        encoder.extents.append((low, high, id(array)))
    if not array.flags.writeable:
        encoder.doubts.append("a read-only array of objects")
    return array.__reduce__()


# --- what is a state of this process ------------------------------------------------------------------


def _refuse(what: str) -> _Act:
    def act(encoder: Encoder, value: Any) -> _Reduced:
        raise Refused(what, value)

    return act


def _doubt(what: str) -> _Act:
    def act(encoder: Encoder, value: Any) -> _Reduced:
        encoder.doubts.append(what)
        return NotImplemented

    return act


def _refuse_iterator(encoder: Encoder, value: Any) -> _Reduced:
    raise Refused(f"a live iterator ({type(value).__name__})", value)


def _reduce_generator(encoder: Encoder, value: Any) -> _Reduced:
    """A random generator: the global one is a state of the process, another one is data."""
    for module, name in (("numpy.random.mtrand", "_rand"), ("random", "_inst")):
        found = sys.modules.get(module)
        if found is not None and getattr(found, name, None) is value:
            raise Refused("the global random generator", value)
    return NotImplemented


def _reduce_figure(encoder: Encoder, figure: Any) -> _Reduced:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is not None:
        for manager in list(helpers.Gcf.figs.values()):
            if getattr(getattr(manager, "canvas", None), "figure", None) is figure:
                raise Refused("a figure that pyplot holds", figure)
    return NotImplemented


def _reduce_exception(encoder: Encoder, error: BaseException) -> _Reduced:
    if error.__traceback__ is not None or error.__context__ is not None or error.__cause__ is not None:
        encoder.doubts.append("an exception with its traceback or cause")
    return NotImplemented


_HOOKS = (
    "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__",
    "__new__", "__getattr__", "__getattribute__", "__hash__", "__eq__", "__setattr__",
)  # fmt: skip
"""Methods that run when an instance is pickled or rebuilt, beside those of containers."""
_CONTAINER_HOOKS = ("__setitem__", "append", "extend", "__iter__", "items")


def runs_user_code(cls: type, project: frozenset[str]) -> bool:
    """Whether pickling or rebuilding instances of ``cls`` calls a method written in one of the project's modules."""
    for base in cls.__mro__:
        if base.__module__ not in project:
            continue
        own = vars(base)
        for hook in _HOOKS:
            method = own.get(hook)
            # dataclasses, namedtuples and enums generate theirs, which do no harm
            if method is not None and _written(method):
                return True
        if issubclass(cls, (list, dict, set)) and any(hook in own for hook in _CONTAINER_HOOKS):
            return True
    return False


def _written(method: object) -> bool:
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return code is not None and not code.co_filename.startswith("<") and "/enum.py" not in code.co_filename


_ITERATORS = frozenset(
    type(iterator)
    for iterator in (
        iter([]), iter(()), iter({}), iter({}.values()), iter({}.items()), iter(set()), iter(""), iter(b""),
        iter(bytearray()), iter(range(0)), iter(range(1 << 70)), reversed([]), reversed({}), zip(), map(len, ()),
        filter(None, ()), enumerate(()), iter(int, 1),
    )
)  # fmt: skip


def _act_for(cls: type) -> Optional[_Act]:
    """What to do about instances of ``cls``; ``None``: what pickle does."""
    if issubclass(cls, type):
        return _reduce_class
    plain = _PLAIN_ACTS.get(cls)
    if plain is not None:
        return plain
    module = cls.__module__
    if cls in _ITERATORS or (module == "itertools" and hasattr(cls, "__next__")):
        return _refuse_iterator
    if module in ("weakref", "_weakrefset", "_weakref"):
        return _refuse("a weak reference")
    if issubclass(cls, BaseException):
        return _reduce_exception
    if issubclass(cls, types.ModuleType):
        return _reduce_module
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "ndarray"):
        if cls is numpy.ndarray:
            return _reduce_array
        if issubclass(cls, numpy.ndarray):
            if issubclass(cls, numpy.memmap):
                return _refuse("an array mapped from a file")
            return _reduce_subclass
    if module in ("numpy.random.mtrand", "random"):
        return _reduce_generator
    if module.startswith("matplotlib.") and any(base.__name__ == "FigureBase" for base in cls.__mro__):
        return _reduce_figure
    return None


def _reduce_subclass(encoder: Encoder, array: Any) -> _Reduced:
    if array.base is not None or not array.flags.writeable:
        encoder.doubts.append(f"a view as {type(array).__name__}")
    encoder.extents.append((*extent(array), id(array)))
    return NotImplemented


_PLAIN_ACTS: dict[type, _Act] = {
    types.FunctionType: _reduce_function,
    types.MethodType: _reduce_method,
    types.CellType: _reduce_cell,
    types.ModuleType: _reduce_module,
    _Block: _reduce_block,
    object: _doubt("a bare object()"),
    property: _by_cloudpickle,
    classmethod: _by_cloudpickle,
    staticmethod: _by_cloudpickle,
    types.MappingProxyType: _by_cloudpickle,
}
_ACTS: dict[type, Optional[_Act]] = {}


class Encoder(pickle.Pickler):
    """Pickles one tuple of values. Buffers that are large enough go to ``buffers``.

    ``given`` are ids of objects that the reader has already, ``clusters`` sorted, disjoint ranges of addresses that
    several arrays of the tuple share."""

    def __init__(
        self,
        file: Any,
        buffers: list[pickle.PickleBuffer],
        project: frozenset[str] = frozenset(),
        clusters: tuple[tuple[int, int], ...] = (),
        given: Any = (),
    ) -> None:
        super().__init__(file, 5, buffer_callback=self._keep)
        self._buffers = buffers
        self.project = project
        self.clusters = clusters
        self.given = given
        self.doubts: list[str] = []
        self.code = False
        self.nameless = False
        self.user_code = ""
        self.extents: list[tuple[int, int, int]] = []
        self.blocks: dict[tuple[int, int], _Block] = {}
        self._seen: set[type] = set()

    def _keep(self, buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < OUT_OF_BAND:
            return True
        self._buffers.append(buffer)
        return False

    def reducer_override(self, value: Any) -> _Reduced:
        cls = type(value)
        try:
            act = _ACTS[cls]
        except KeyError:
            act = _ACTS[cls] = _act_for(cls)
        if self.project and cls not in self._seen:
            self._seen.add(cls)
            if not self.user_code and runs_user_code(cls, self.project):
                self.user_code = f"{cls.__module__}.{cls.__qualname__}"
        if act is None:
            return NotImplemented
        return act(self, value)

    def nameless_class(self, cls: type) -> None:
        self.code = self.nameless = True
        self.doubts.append(f"a class defined inside a function ({cls.__qualname__})")

    def cluster(self, address: int) -> Optional[tuple[int, int]]:
        for low, high in self.clusters:
            if low <= address < high:
                return low, high
        return None


class CarefulEncoder(Encoder):
    """Also keeps the identity of NaN objects and the iteration order of sets, at the price of a call for each object.

    A persistent id is ``("name", module, attribute)`` for a NaN that a module holds, ``("nan", number, bits)`` for
    another one, ``("set", number, kind, items in an order of insertion that gives the iteration order)``; later
    occurrences of a set have no items."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []

    def persistent_id(self, value: Any) -> Any:
        cls = type(value)
        if cls is float:
            return None if value == value else self._nan(value)
        if (cls is set or cls is frozenset) and len(value) > 1:
            return self._set(value, cls)
        return None

    def _nan(self, value: float) -> Any:
        for module, name in (("math", "nan"), ("numpy", "nan")):
            if getattr(sys.modules.get(module), name, None) is value:
                return "name", module, name
        return "nan", self._number(value), struct.unpack("<Q", struct.pack("<d", value))[0]

    def _number(self, value: object) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._numbers)
            self._alive.append(value)
        return number

    def _set(self, value: Any, cls: type) -> Any:
        if id(value) in self._numbers:
            return "set", self._numbers[id(value)]
        number = self._number(value)
        order = insertion_order(value)
        if order is None:
            self.doubts.append("a set whose iteration order would change")
            order = list(value)
        return "set", number, cls is frozenset, order


def insertion_order(value: Any, tries: int = 40) -> Optional[list[Any]]:
    """An order in which the elements, put into an empty set, come out as they do from ``value``; ``None`` if none was
    found. Sets are open-addressing tables: of two elements that collide the earlier gets the better slot, so an
    element that comes out too late is put in earlier."""
    wanted = list(value)
    order = list(wanted)
    places = {id(item): place for place, item in enumerate(wanted)}
    for _ in range(tries):
        got = list(set(order))
        late = next((at for at, (x, y) in enumerate(zip(got, wanted)) if x is not y), None)  # noqa: B905
        if late is None:
            return order
        item = wanted[late]
        other = places.get(id(got[late]))
        if other is None:
            return None
        # the slot of `item` was taken by an element that went in before it
        order.remove(item)
        order.insert(0, item)
    return None


def overlaps(extents: list[tuple[int, int, int]]) -> tuple[tuple[int, int], ...]:
    """The merged ranges of addresses that entries with different owners share."""
    clusters: list[tuple[int, int]] = []
    low = high = owner = -1
    shared = False
    for first, last, key in itertools.chain(sorted(extents), [(1 << 70, 1 << 70, -2)]):
        if first < high:
            shared = shared or key != owner
            high = max(high, last)
            continue
        if shared:
            clusters.append((low, high))
        low, high, owner, shared = first, last, key, False
    return tuple(clusters)


class Decoder(pickle.Unpickler):
    """Reads what the encoders wrote. ``given`` are the objects that the writer knew the reader to have, by number."""

    def __init__(self, file: Any, buffers: Any, given: Any = ()) -> None:
        super().__init__(file, buffers=buffers)
        self._given = given
        self._numbered: dict[int, Any] = {}

    def persistent_load(self, pid: Any) -> Any:
        kind = pid[0]
        if kind == "given":
            return self._given[pid[1]]
        if kind == "name":
            return getattr(importlib.import_module(pid[1]), pid[2])
        number = pid[1]
        if number in self._numbered:
            return self._numbered[number]
        if kind == "nan":
            made: Any = struct.unpack("<d", struct.pack("<Q", pid[2]))[0]
        else:
            made = frozenset(pid[3]) if pid[2] else set(pid[3])
        self._numbered[number] = made
        return made


class FindingDecoder(Decoder):
    """Looks classes and functions up with ``find(module, qualified name)``, which raises LookupError to have them
    imported as usual."""

    find: Any = None

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.find(module, name)
        except LookupError:
            return super().find_class(module, name)
