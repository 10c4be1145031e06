"""Functions, classes, modules, methods in a pack: by name where they have one, else by value.

What has a name is found again under it: ``__main__.Model`` is the reader's ``__main__.Model``, as helpers are forked
from home. A function without one (a lambda, an inner function) is written as code, and its globals are the *reader's*
module of that name, not a copy. A class without one goes through cloudpickle.
"""

from __future__ import annotations

import importlib
import marshal
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflow.worker.transport_pickle import Encoder

__all__ = [
    "Refused",
    "by_cloudpickle",
    "reduce_cell",
    "reduce_class",
    "reduce_function",
    "reduce_method",
    "reduce_module",
    "resolve",
]

_Reduced = Any


class Refused(Exception):
    """This object cannot travel; the text says what it is, with its article."""

    def __init__(self, what: str, culprit: object = None) -> None:
        super().__init__(what)
        self.what = what
        self.culprit = culprit


# --- what the stream calls when it is read ---------------------------------------------------------


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
    for cell, content in zip(function.__closure__ or (), contents):
        if content is not _Empty:
            cell.cell_contents = content


class _Empty:
    """Stands for a cell without contents."""


def _method(function: Any, instance: Any) -> types.MethodType:
    return types.MethodType(function, instance)


# --- writing ------------------------------------------------------------------------------------------


def resolve(module: str, qualname: str) -> object:
    """What ``module.qualname`` is now, without importing; ``None`` if there is no such thing."""
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        if found is None or part == "<locals>":
            return None
        found = getattr(found, part, None)
    return found


def reduce_class(encoder: Encoder, cls: type) -> _Reduced:
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


def by_cloudpickle(encoder: Encoder, value: object) -> _Reduced:
    return _cloudpickle().Pickler._dispatch_table[type(value)](value)


def reduce_function(encoder: Encoder, function: types.FunctionType) -> _Reduced:
    module = function.__module__
    if isinstance(module, str) and resolve(module, function.__qualname__) is function:
        return NotImplemented
    home = _module_of(function)
    if home is None:
        raise Refused("a function whose module cannot be found", function)
    encoder.code = True
    if getattr(function, "__type_params__", ()):
        encoder.doubts.append("a generic function without a name")
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


def _module_of(function: types.FunctionType) -> str | None:
    """The name of the module whose dictionary is the function's globals."""
    for name in (function.__module__, function.__globals__.get("__name__")):
        found = sys.modules.get(name) if isinstance(name, str) else None
        if found is not None and getattr(found, "__dict__", None) is function.__globals__:
            return str(name)
    return None


def reduce_cell(encoder: Encoder, cell: Any) -> _Reduced:
    return _cell, ()


def reduce_module(encoder: Encoder, module: types.ModuleType) -> _Reduced:
    if sys.modules.get(module.__name__) is not module:
        raise Refused(f"a module that cannot be imported ({module.__name__})", module)
    return _module, (module.__name__,)


def reduce_method(encoder: Encoder, method: types.MethodType) -> _Reduced:
    # pickle writes getattr(instance, name), which finds another function if the instance has an attribute of that name
    return _method, (method.__func__, method.__self__)
