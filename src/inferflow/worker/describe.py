"""One short line about a value, for tables of people.

Only types of the standard library, numpy and pandas are asked for anything; nothing that a project's class
defines (``__repr__``, ``__len__``, properties) is ever called, since it could print, be slow, or change something.

>>> describe([1, 2, 3])
('list', '3 elements')
>>> describe("hello")
('str', "'hello'")
"""

from __future__ import annotations

import sys
import types
from typing import Any

from inferflow.worker.exact_graph import package

__all__ = ["describe"]

_WIDTH = 60
_SCALARS = (type(None), bool, int, float, complex, str, bytes, range, slice)
_SCALAR_MODULES = ("datetime", "decimal", "fractions", "uuid", "zoneinfo")
"""Their classes' ``repr`` is short and harmless. (By name: importing them here takes longer than all the rest.)"""
_SIZED = (
    (list, "element"),
    (tuple, "element"),
    (set, "element"),
    (frozenset, "element"),
    (dict, "key"),
    (bytearray, "byte"),
)


def describe(value: object) -> tuple[str, str]:
    """The type's qualified name (without ``builtins.``), and a summary of at most 60 characters, possibly empty."""
    cls = type(value)
    try:
        name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    except Exception:
        name = "object"
    try:
        return name, _shorten(_summary(value, cls))
    except Exception:
        return name, ""


def _summary(value: Any, cls: type) -> str:
    if cls in _SCALARS or cls.__module__ in _SCALAR_MODULES:
        return _scalar(value, cls)
    for base, noun in _SIZED:
        if isinstance(value, base):
            length: Any = base.__len__
            return _count(length(value), noun)
    if package(cls) == "pathlib":
        return str(value)
    if isinstance(value, type):
        return f"class {type.__getattribute__(value, '__qualname__')}"
    if cls in (types.FunctionType, types.BuiltinFunctionType):
        return f"{value.__qualname__}()"
    if cls is types.ModuleType:
        return str(value.__name__)
    if isinstance(value, BaseException):
        return _scalar(value.args[0], str) if value.args and type(value.args[0]) is str else ""
    return _library(value, cls)


def _scalar(value: Any, cls: type) -> str:
    if cls is int and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    if cls in (str, bytes) and len(value) > _WIDTH:
        return f"{value[:_WIDTH]!r}"
    return repr(value)


def _library(value: Any, cls: type) -> str:
    library = package(cls)
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "ndarray"):
        if isinstance(value, numpy.ndarray):
            shape = numpy.ndarray.shape.__get__(value)
            return f"{_dtype(numpy.ndarray.dtype.__get__(value))} {tuple(shape)}"
        if library == "numpy" and isinstance(value, numpy.generic):
            return f"{value.dtype.name} {value.item()!r}"
    if library == "pandas" and cls.__name__ in ("Timestamp", "Timedelta", "Period", "Interval", "NAType", "NaTType"):
        return repr(value)
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        if isinstance(value, pandas.DataFrame):
            return _frame(value, pandas)
        if isinstance(value, pandas.Series):
            name = pandas.Series.name.__get__(value)
            named = f" {name!r}" if type(name) is str else ""
            return f"{pandas.Series.dtype.__get__(value)}{named} {_count(len(value.index), 'row')}"
        if isinstance(value, pandas.Index):
            return f"{value.dtype} {_count(len(value), 'label')}"
    if library == "scipy" and "shape" in dir(cls):
        return f"{value.dtype} {tuple(value.shape)}"
    if library == "torch" and cls.__name__ in ("Tensor", "Parameter"):
        return f"{str(value.dtype).replace('torch.', '')} {tuple(value.shape)}"
    if library == "polars" and cls.__name__ == "DataFrame":
        return f"{_count(value.height, 'row')} x {_count(value.width, 'column')}"
    return ""


def _dtype(dtype: Any) -> str:
    return str(dtype) if dtype.names is None else f"record of {_count(len(dtype.names), 'field')}"


def _frame(value: Any, pandas: Any) -> str:
    columns = pandas.DataFrame.columns.__get__(value)
    head = f"{_count(len(pandas.DataFrame.index.__get__(value)), 'row')} x {_count(len(columns), 'column')}"
    names = [str(name) for name in columns[:8].tolist() if type(name) in (str, int)]
    if not names:
        return head
    listed = ", ".join(names) + (", ..." if len(columns) > len(names) else "")
    return f"{head}: {listed}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
