"""The pickler of values: what pickle does not keep, and what must not travel at all.

Pickle protocol 5 keeps most of a value. Added here and in ``transport_arrays``, ``transport_code`` and
``transport_sets`` is what programs can tell apart and pickle loses: the memory layout of arrays and who shares it,
functions without a name, and, by the slower :class:`CarefulEncoder`, NaN objects and the iteration order of sets.

Refused (:class:`Refused`) is what pickle accepts but which is a state of this process, such as live iterators and
figures that pyplot holds. ``Encoder.doubts`` collects why a value that was written may still be
told from its copy; ``Encoder.user_code`` names the first project class whose own methods take part in pickling.

>>> import io, math
>>> stream = io.BytesIO(); CarefulEncoder(stream, []).dump([math.nan])
>>> Decoder(io.BytesIO(stream.getvalue()), []).load()[0] is math.nan
True
"""

from __future__ import annotations

import copyreg
import importlib
import os
import pickle
import struct
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from inferflow.worker import exact_graph, transport_sets
from inferflow.worker.exact_graph import copies_on_write, global_name
from inferflow.worker.tensors import kind_of
from inferflow.worker.transport_arrays import OUT_OF_BAND, Block, reduce_array, reduce_block, reduce_subclass
from inferflow.worker.transport_code import (
    Refused,
    by_cloudpickle,
    reduce_cell,
    reduce_class,
    reduce_function,
    reduce_method,
    reduce_module,
)
from inferflow.worker.transport_tensors import is_optimizer, reduce_optimizer, reduce_storage, reduce_tensor

__all__ = ["CarefulEncoder", "Decoder", "Encoder", "FindingDecoder", "runs_user_code"]

_Reduced = Any
_Act = Callable[["Encoder", Any], _Reduced]


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


def _reduce_global(encoder: Encoder, value: Any) -> _Reduced:
    """Of a type with one object that belongs to the process: that goes by name, another one is data."""
    name = global_name(value)
    return NotImplemented if name is None else (_global, name)


def _global(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _reduce_figure(encoder: Encoder, figure: Any) -> _Reduced:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is not None:
        for manager in list(helpers.Gcf.figs.values()):
            if getattr(getattr(manager, "canvas", None), "figure", None) is figure:
                raise Refused("a figure that pyplot holds", figure)
    return NotImplemented


def _reduce_frame_part(encoder: Encoder, part: Any) -> _Reduced:
    """A part of a pandas object (3.0 or later, where everything copies on write). Its arrays are written apart from
    those that they share memory with."""
    ndarray = sys.modules["numpy"].ndarray
    blocks = getattr(part, "blocks", None)
    if blocks is None:
        arrays = [getattr(part, name, None) for name in ("_ndarray", "_data", "_mask")]
        if type(part).__name__.endswith("Block"):
            arrays.append(part.values)
    else:
        arrays = [block.values for block in blocks]
    for array in arrays:
        if type(array) is ndarray:
            encoder.lonely.add(id(array))
            encoder.keep.append(array)
    return NotImplemented


def _reduce_bunch(encoder: Encoder, bunch: Any) -> _Reduced:
    """scikit-learn's Bunch ignores its attributes when it is read."""
    return copyreg.__newobj__, (type(bunch),), vars(bunch), None, iter(bunch.items()), _set_attributes  # type: ignore[attr-defined]


def _set_attributes(value: Any, attributes: dict[str, Any]) -> None:
    value.__dict__.update(attributes)


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


_PICKLING_HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
_HARMLESS = frozenset({
    "PIL", "attr", "attrs", "autograd", "cloudpickle", "contourpy", "cycler", "dateutil", "joblib", "lightgbm",
    "matplotlib", "mpmath", "networkx", "numpy", "pandas", "polars", "pyarrow", "pytz", "scipy", "seaborn", "sklearn",
    "sympy", "torch", "xgboost", *getattr(sys, "stdlib_module_names", ()),
})  # fmt: skip
"""Libraries whose pickling methods leave no trace. Others' may: lmfit's parameters evaluate themselves then, and keep
what was evaluated; a result of statsmodels forgets its callback."""


def runs_user_code(cls: type, project: frozenset[str]) -> bool:
    """Whether pickling or rebuilding instances of ``cls`` calls a method written in one of the project's modules, or
    in a library that is not known to do no harm then."""
    for base in cls.__mro__:
        if base.__module__ not in project:
            if exact_graph.package(base) not in _HARMLESS and sys.version_info >= (3, 10):
                own = vars(base)
                if any(isinstance(own.get(hook), types.FunctionType) for hook in _PICKLING_HOOKS):
                    return True
            continue
        own = vars(base)
        for hook in _HOOKS:
            method = own.get(hook)
            if method is not None and _written(method, project):
                return True
        if issubclass(cls, (list, dict, set)) and any(hook in own for hook in _CONTAINER_HOOKS):
            return True
    return False


def _written(method: object, project: frozenset[str]) -> bool:
    """Whether somebody wrote the method: those that dataclasses and namedtuples generate do no harm."""
    function = getattr(method, "__func__", method)
    if not isinstance(function, types.FunctionType):
        return False
    return function.__globals__.get("__name__") in project and not function.__code__.co_filename.startswith("<")


_SAMPLES: tuple[Any, ...] = (
        iter([]), iter(()), iter({}), iter({}.values()), iter({}.items()), iter(set()), iter(""), iter(b""),
        iter(bytearray()), iter(range(0)), iter(range(1 << 70)), reversed([]), reversed({}), zip(), map(len, ()),
        filter(None, ()), enumerate(()), iter(int, 1),
)  # fmt: skip
_ITERATORS = frozenset(map(type, _SAMPLES))


def _act_for(cls: type) -> _Act | None:
    """What to do about instances of ``cls``; ``None``: what pickle does."""
    if issubclass(cls, type):
        return reduce_class
    plain: _Act | None = _PLAIN_ACTS.get(cls)
    if plain is not None:
        return plain
    module = cls.__module__
    if cls in _ITERATORS or (module == "itertools" and hasattr(cls, "__next__")):
        return _refuse_iterator
    if module in ("weakref", "_weakrefset", "_weakref"):
        return _refuse("a weak reference")
    if any(
        type(vars(base).get("__del__")) is types.FunctionType for base in cls.__mro__
    ):  # the copies would run it too
        return _refuse("an object with a finalizer")
    if issubclass(cls, BaseException):
        return _reduce_exception
    if issubclass(cls, types.ModuleType):
        return reduce_module
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "ndarray"):
        if cls is numpy.ndarray:
            return reduce_array
        if issubclass(cls, numpy.ndarray):
            if issubclass(cls, numpy.memmap):
                return _refuse("an array mapped from a file")
            return reduce_subclass
    kind = kind_of(cls)
    if kind:
        return reduce_tensor if kind == "tensor" else reduce_storage
    if is_optimizer(cls):
        return reduce_optimizer
    if module in ("numpy.random.mtrand", "random", "torch._C") or cls is type(os.environ):
        return _reduce_global
    if cls.__name__ == "Bunch" and module in ("sklearn.utils._bunch", "sklearn.utils"):
        return _reduce_bunch
    if copies_on_write(cls):
        return _reduce_frame_part
    if exact_graph.package(cls) == "matplotlib" and any(base.__name__ == "FigureBase" for base in cls.__mro__):
        return _reduce_figure
    return None


_PLAIN_ACTS: dict[type, _Act] = {
    types.FunctionType: reduce_function,
    types.MethodType: reduce_method,
    types.CellType: reduce_cell,
    types.ModuleType: reduce_module,
    Block: reduce_block,
    object: _doubt("a bare object()"),
    property: by_cloudpickle,
    classmethod: by_cloudpickle,
    staticmethod: by_cloudpickle,
    types.MappingProxyType: by_cloudpickle,
}
_ACTS: dict[type, _Act | None] = {}


def forget_types() -> None:
    """Let go of the classes that were looked at, here and by the checks of exactness."""
    _ACTS.clear()
    exact_graph.forget_types()


def _keep(buffers: list[pickle.PickleBuffer], buffer: pickle.PickleBuffer) -> bool:
    """Whether a buffer goes in band. (No method: an encoder that refers to itself would hold its memory for long.)"""
    try:
        if buffer.raw().nbytes < OUT_OF_BAND:
            return True
    except BufferError:
        return True
    buffers.append(buffer)
    return False


class Encoder(pickle.Pickler):
    """Pickles one tuple of values. Buffers that are large enough go to ``buffers``.

    ``given`` maps ids of objects that the reader has to (pack, number in it), ``clusters`` are disjoint ranges of
    addresses that several arrays of the tuple share. If ``quiet``, what calls methods of the project is refused."""

    def __init__(
        self,
        file: Any,
        buffers: list[pickle.PickleBuffer],
        project: frozenset[str] = frozenset(),
        clusters: tuple[tuple[int, int], ...] = (),
        given: dict[int, tuple[int, int]] | None = None,
        quiet: bool = False,
    ) -> None:
        super().__init__(file, 5, buffer_callback=partial(_keep, buffers))
        self.project = project
        self.quiet = quiet
        self.clusters = clusters
        self.given: dict[int, tuple[int, int]] = given or {}
        self.doubts: list[str] = []
        self.code = False
        self.nameless = False
        self.user_code = ""
        self.extents: list[tuple[int, int, int]] = []
        self.blocks: dict[tuple[int, int], Block] = {}
        self.lonely: set[int] = set()
        """Ids of arrays of pandas, which copies them before it writes: whom they share memory with is no matter."""
        self.framed: list[tuple[int, int, int]] = []
        self.joined: set[int] = set()
        """Their memory; and those of them that are written like other arrays nevertheless, as such look into them."""
        self.tensors: dict[int, list[Any]] = {}
        """Of each storage (by its id) the tensors that were written, but for views and what was detached from them."""
        self.owners: list[tuple[int, int, Any]] = []
        """First address, end and object of the arrays that own the memory which those of the pack look into."""
        self.keep: list[Any] = []
        self._seen: set[type] = set()

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
                if self.quiet:
                    raise Refused(f"a {cls.__qualname__}, which has pickling methods of its own", value)
        if act is None:
            return NotImplemented
        return act(self, value)

    def nameless_class(self, cls: type) -> None:
        self.code = self.nameless = True
        self.doubts.append(f"a class defined inside a function ({cls.__qualname__})")

    def owner(self, low: int, high: int) -> Any:
        """The array to which this memory belongs; ``None`` if none of the pack does."""
        return next((array for first, last, array in self.owners if first <= low and high <= last), None)

    def cluster(self, address: int) -> tuple[int, int] | None:
        for low, high in self.clusters:
            if low <= address < high:
                return low, high
        return None


class CarefulEncoder(Encoder):
    """Also keeps the identity of NaN objects and the iteration order of sets, at the price of a call for each object.

    A persistent id is ``("given", pack, number)`` for an object that the reader has, ``("name", module, attribute)``
    for a NaN that a module holds, ``("nan", number, bits)`` for another one, ``("set", number, recipe)`` for a set
    (without recipe where it occurs again)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbers: dict[int, int] = {}

    def persistent_id(self, value: Any) -> Any:
        if id(value) in self.given:
            return "given", *self.given[id(value)]
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
            self.keep.append(value)
        return number

    def _set(self, value: Any, cls: type) -> Any:
        if id(value) in self._numbers:
            return "set", self._numbers[id(value)]
        number = self._number(value)
        recipe = transport_sets.recipe(value)
        if recipe is None:
            self.doubts.append("a set whose iteration order would change")
            recipe = cls is frozenset, list(value), -1, 0, -1
        return "set", number, recipe


class Decoder(pickle.Unpickler):
    """Reads what the encoders wrote. ``given`` are, by pack and number, the objects that the writer knew the reader to
    have."""

    def __init__(self, file: Any, buffers: Any, given: Any = None) -> None:
        super().__init__(file, buffers=buffers)
        self._given = given
        self._numbered: dict[int, Any] = {}

    def persistent_load(self, pid: Any) -> Any:
        kind = pid[0]
        if kind == "given":
            return self._given[pid[1]][pid[2]]
        if kind == "name":
            return getattr(importlib.import_module(pid[1]), pid[2])
        number = pid[1]
        if number in self._numbered:
            return self._numbered[number]
        if kind == "nan":
            made: Any = struct.unpack("<d", struct.pack("<Q", pid[2]))[0]
        else:
            made = transport_sets.make(*pid[2])
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
