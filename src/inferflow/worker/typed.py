"""Values of a type, from text or from plain data; never by force: ``"abc"`` is no ``int``, ``"5"`` in data is none.

``read_text`` reads what stood on a command line; ``structured`` takes data apart that a file had. Both raise Mismatch
with what the type accepts, in words. Classes (attrs, dataclasses, ``TypedDict``, ``NamedTuple``) are built by cattrs,
which is imported for them only.

>>> read_text("1.5", float | None), read_text("[1, 2]", tuple[int, ...]), read_text("none", float | None)
(1.5, (1, 2), None)
>>> described(dict[str, float])
'a table of numbers'
"""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import re
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Mismatch", "described", "guess", "is_readable", "read_text", "structured"]

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
NONE = ("none", "null")


class Mismatch(ValueError):
    """A value does not fit its type: what is ``accepted``, and which part of the value is wrong (``detail``)."""

    def __init__(self, accepted: str, detail: str = "") -> None:
        super().__init__(accepted, detail)
        self.accepted = accepted
        self.detail = detail


# -- from text -------------------------------------------------------------------------------------


def read_text(text: str, kind: Any) -> Any:
    """The value of type ``kind`` that ``text`` says; raises Mismatch."""
    kind = _bare(kind)
    if kind in (Any, object):
        return guess(text)
    if kind is None or kind is type(None):
        if text.lower() in NONE:
            return None
        raise Mismatch("none")
    if (members := _union(kind)) is not None:
        return _first(lambda member: read_text(text, member), sorted(members, key=_eagerness), kind)
    if typing.get_origin(kind) is typing.Literal:
        return _literal(text, kind, is_text=True)
    if kind in _FROM_TEXT:
        return _leaf(_FROM_TEXT[kind], text, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(text, kind)
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return kind(text)
    return structured(_data(text, kind), kind)


def is_readable(kind: type) -> bool:
    """Whether a class is one that text can be read as."""
    if kind in _FROM_TEXT or kind in (list, tuple, dict, set, frozenset) or _fields(kind):
        return True
    return issubclass(kind, enum.Enum | pathlib.PurePath)


def guess(text: str) -> Any:
    """The value that a text without a type looks like: a number, true, none, a date, a list or table; else the text."""
    word = text.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if word.lower() in NONE:
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", word):
        try:
            return datetime.date.fromisoformat(word) if len(word) == 10 else _datetime(word)
        except ValueError:
            return text
    for read in (json.loads, ast.literal_eval):
        try:
            return read(word)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return float(word) if word.lower() in ("inf", "-inf", "nan") else text


def _data(text: str, kind: Any) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    raise Mismatch(described(kind), "written as JSON or as a Python literal")


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise ValueError
    return word in TRUE


def _datetime(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text.strip()))


def _duration(text: str) -> datetime.timedelta:
    """``90`` (seconds), ``1h30m``, ``250ms``, or ``[days, ]H:MM[:SS[.f]]`` as ``str(timedelta)`` writes it."""
    word = text.strip().lower()
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", word):
        return datetime.timedelta(seconds=float(word))
    units = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if re.fullmatch(r"(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+", word):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", word)
        return sum((datetime.timedelta(**{units[unit]: float(count)}) for count, unit in parts), datetime.timedelta())
    found = re.fullmatch(r"(?:(-?\d+) days?,? )?(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?", word)
    if found is None:
        raise ValueError
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


_FROM_TEXT: dict[Any, Callable[[str], Any]] = {
    str: str,
    bytes: str.encode,
    bool: _boolean,
    int: lambda text: int(text, 0) if re.match(r"\s*[+-]?0[xXoObB]", text) else int(text),
    float: float,
    complex: complex,
    decimal.Decimal: decimal.Decimal,
    fractions.Fraction: fractions.Fraction,
    uuid.UUID: uuid.UUID,
    datetime.date: lambda text: datetime.date.fromisoformat(text.strip()),
    datetime.datetime: _datetime,
    datetime.time: lambda text: datetime.time.fromisoformat(text.strip()),
    datetime.timedelta: _duration,
}


def _leaf(read: Callable[[Any], Any], value: Any, kind: Any) -> Any:
    try:
        return read(value)
    except (ValueError, ArithmeticError, TypeError):
        raise Mismatch(described(kind)) from None


def _eagerness(member: Any) -> int:
    """In which order a text tries the members of a union: what says most first, plain text last."""
    member = _bare(member)
    order: list[Any] = [type(None), int, float, complex, bool, datetime.date, datetime.datetime]
    if member in order:
        return order.index(member)
    if typing.get_origin(member) is typing.Literal or (isinstance(member, type) and issubclass(member, enum.Enum)):
        return -1
    if member is str:
        return 100
    return 99 if isinstance(member, type) and issubclass(member, pathlib.PurePath) else 50


# -- from data -------------------------------------------------------------------------------------


def structured(data: Any, kind: Any) -> Any:
    """The value of type ``kind`` that plain ``data`` stands for; raises Mismatch."""
    kind = _bare(kind)
    if kind in (Any, object):
        return data
    if (members := _union(kind)) is not None:
        exact = [member for member in members if _bare(member) is type(data)]
        return _first(lambda member: structured(data, member), [*exact, *members], kind)
    origin = typing.get_origin(kind) or kind
    if origin is typing.Literal:
        return _literal(data, kind, is_text=False)
    if kind is None or kind is type(None):
        if data is None:
            return None
        raise Mismatch("none")
    if kind in _FROM_TEXT:
        return _scalar(data, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(data, kind)
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        if isinstance(data, str | pathlib.PurePath):
            return kind(data)
        raise Mismatch(described(kind))
    if isinstance(origin, type) and not hasattr(origin, "_fields") and issubclass(origin, collections.abc.Collection):
        return _collection(data, kind, origin)
    return _class(data, kind)


def _scalar(data: Any, kind: Any) -> Any:
    """Data of exactly this type; numbers widen as they do in Python; dates and the like from their text."""
    if type(data) is kind:
        return data
    if kind in (float, complex) and isinstance(data, int | float) and not isinstance(data, bool):
        return _leaf(kind, data, kind)
    if kind is datetime.timedelta and isinstance(data, int | float) and not isinstance(data, bool):
        return datetime.timedelta(seconds=data)
    if kind in (decimal.Decimal, fractions.Fraction) and isinstance(data, int | float) and not isinstance(data, bool):
        return kind(str(data))
    if kind is datetime.datetime and type(data) is datetime.date:
        return datetime.datetime(data.year, data.month, data.day)
    if isinstance(data, str) and kind not in (str, bytes, bool, int, float, complex):
        return _leaf(_FROM_TEXT[kind], data, kind)
    raise Mismatch(described(kind))


_MAPPINGS: dict[Any, Any] = {collections.abc.Mapping: dict, collections.abc.MutableMapping: dict}
_SEQUENCES: dict[Any, Any] = {
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}


def _collection(data: Any, kind: Any, origin: Any) -> Any:
    arguments = typing.get_args(kind)
    if issubclass(origin, collections.abc.Mapping):
        if not isinstance(data, Mapping) or not (make := _MAPPINGS.get(origin, origin)):
            raise Mismatch(described(kind))
        if hasattr(kind, "__required_keys__"):
            return _class(data, kind)
        of_key, of_value = arguments if len(arguments) == 2 else (Any, Any)
        key = read_text if of_key in (int, float, bool) else structured  # JSON and TOML have text keys only
        items = [(key(k, of_key) if isinstance(k, str) else k, _part(v, of_value, repr(k))) for k, v in data.items()]
        return _leaf(make, items, kind)
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, collections.abc.Collection):
        raise Mismatch(described(kind))
    values = list(data)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        wanted = [] if arguments == ((),) else list(arguments)
        if len(values) != len(wanted):
            raise Mismatch(described(kind), f"{len(values)} given")
        return tuple(_part(v, w, f"item {i}") for i, (v, w) in enumerate(zip(values, wanted, strict=True), start=1))
    of_item = arguments[0] if arguments else Any
    items = [_part(value, of_item, f"item {number}") for number, value in enumerate(values, start=1)]
    return _leaf(_SEQUENCES.get(origin, origin), items, kind)


def _part(value: Any, kind: Any, where: str) -> Any:
    try:
        return structured(value, kind)
    except Mismatch as mismatch:
        raise Mismatch(mismatch.accepted, mismatch.detail or f"{where} is {value!r}, not {mismatch.accepted}") from None


def _class(data: Any, kind: Any) -> Any:
    """An attrs class, a dataclass, a TypedDict or a NamedTuple; the converter comes back here for what they hold."""
    if isinstance(kind, type) and type(data) is kind:
        return data
    if not _fields(kind):
        raise Mismatch(described(kind))
    if not isinstance(data, Mapping):
        raise Mismatch(described(kind))
    if hasattr(kind, "_fields"):
        return _named_tuple(data, kind)
    from cattrs import Converter, transform_error
    from cattrs.errors import BaseValidationError
    from cattrs.gen import make_dict_structure_fn

    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook_func(lambda inner: inner is not kind, structured)
    for leaf in _FROM_TEXT:  # for these, cattrs has direct hooks, which would win
        converter.register_structure_hook(leaf, structured)
    if hasattr(typing.get_origin(kind) or kind, "__attrs_attrs__"):  # its arguments are named by their aliases
        converter.register_structure_hook(
            kind, make_dict_structure_fn(kind, converter, _cattrs_use_alias=True, _cattrs_forbid_extra_keys=True)
        )
    try:
        return converter.structure(data, kind)
    except BaseValidationError as error:
        faults = [_fault(fault) for fault in _leaves(error)]
        raise Mismatch(described(kind), "; ".join(faults) or "; ".join(transform_error(error))) from None
    except (ValueError, TypeError) as error:
        raise Mismatch(described(kind), str(error)) from None


def _leaves(error: BaseException) -> list[BaseException]:
    inner = getattr(error, "exceptions", None)
    return [leaf for part in inner for leaf in _leaves(part)] if inner else [error]


def _fault(error: BaseException) -> str:
    if isinstance(error, Mismatch):
        note = next((str(note) for note in getattr(error, "__notes__", ()) if "attribute" in str(note)), "")
        name = note.rpartition("attribute ")[2]
        return f"{name} must be {error.accepted}" if name else f"must be {error.accepted}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error)


def _named_tuple(data: Mapping[str, Any], kind: Any) -> Any:
    hints = typing.get_type_hints(kind)
    if unknown := [name for name in data if name not in kind._fields]:
        raise Mismatch(described(kind), f"there is no {unknown[0]}")
    missing = [name for name in kind._fields if name not in data and name not in kind._field_defaults]
    if missing:
        raise Mismatch(described(kind), f"{missing[0]} is missing")
    return kind(**{name: _part(value, hints.get(name, Any), name) for name, value in data.items()})


def _fields(kind: Any) -> list[str]:
    kind = typing.get_origin(kind) or kind
    if hasattr(kind, "__attrs_attrs__"):
        return [field.alias or field.name for field in kind.__attrs_attrs__ if field.init]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind) if field.init]
    if hasattr(kind, "__required_keys__"):
        return list(kind.__annotations__)
    return list(getattr(kind, "_fields", ()))


# -- both ------------------------------------------------------------------------------------------


def _bare(kind: Any) -> Any:
    """Without Annotated, NewType, Final and type aliases; a type variable is its bound."""
    while True:
        if typing.get_origin(kind) in (typing.Annotated, typing.Final):
            kind = typing.get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        elif isinstance(kind, typing.TypeVar):
            kind = kind.__bound__ or Any
        else:
            return kind


def _union(kind: Any) -> tuple[Any, ...] | None:
    is_union = typing.get_origin(kind) is typing.Union or isinstance(kind, types.UnionType)
    return typing.get_args(kind) if is_union else None


def _first(read: Callable[[Any], Any], members: typing.Iterable[Any], kind: Any) -> Any:
    detail = ""
    for member in members:
        try:
            return read(member)
        except Mismatch as mismatch:
            detail = detail or mismatch.detail
    raise Mismatch(described(kind), detail)


def _literal(value: Any, kind: Any, is_text: bool) -> Any:
    for choice in typing.get_args(kind):
        if type(choice) is type(value) and choice == value:
            return choice
    for choice in typing.get_args(kind):
        name = choice.name if isinstance(choice, enum.Enum) else str(choice)
        said = value.capitalize() if isinstance(value, str) and (choice is None or type(choice) is bool) else value
        if name == said and (is_text or isinstance(choice, enum.Enum)):
            return choice
    raise Mismatch(described(kind))


def _member(value: Any, kind: Any) -> Any:
    """A member of an enum, by its name, its value, or the value's text."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
        if isinstance(value, str) and not isinstance(member.value, str) and str(member.value) == value:
            return member
    raise Mismatch(described(kind))


_WORDS: dict[Any, tuple[str, str]] = {
    str: ("text", "texts"),
    bytes: ("text", "texts"),
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    complex: ("a complex number", "complex numbers"),
    decimal.Decimal: ("a decimal number", "decimal numbers"),
    fractions.Fraction: ("a fraction", "fractions"),
    uuid.UUID: ("a UUID", "UUIDs"),
    datetime.date: ("a date (2024-12-31)", "dates"),
    datetime.datetime: ("a date and time (2024-12-31T23:59)", "dates and times"),
    datetime.time: ("a time (23:59)", "times"),
    datetime.timedelta: ('a duration ("90s", "1h30m")', "durations"),
    Any: ("anything", "values"),
    object: ("anything", "values"),
    type(None): ("none", "none"),
    None: ("none", "none"),
}


def described(kind: Any, many: bool = False) -> str:
    """What a type accepts, in words: ``an integer``; with ``many``, ``integers``."""
    kind = _bare(kind)
    try:
        if kind in _WORDS:
            return _WORDS[kind][many]
    except TypeError:
        pass
    if (members := _union(kind)) is not None:
        return " or ".join(dict.fromkeys(described(member, many) for member in members))
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(
            choice.name if isinstance(choice, enum.Enum) else repr(choice) for choice in arguments
        )
    if not isinstance(origin, type):
        return f"a value of type {kind}"
    if issubclass(origin, enum.Enum):
        return f"one of {', '.join(origin.__members__)}"
    if issubclass(origin, pathlib.PurePath):
        return "paths" if many else "a path"
    if names := _fields(kind):
        return f"{'tables' if many else 'a table'} with the keys {', '.join(names)} ({origin.__name__})"
    if issubclass(origin, collections.abc.Mapping):
        return (
            f"{'tables' if many else 'a table'} of {described(arguments[1], True) if len(arguments) == 2 else 'values'}"
        )
    if issubclass(origin, collections.abc.Collection):
        return _described_collection(origin, arguments, many)
    return f"a {origin.__qualname__}, which cannot be given as a parameter"


def _described_collection(origin: Any, arguments: tuple[Any, ...], many: bool) -> str:
    word = "set" if issubclass(origin, collections.abc.Set) else "list"
    if origin is tuple and arguments and arguments[-1] is not Ellipsis and arguments != ((),):
        return f"{'lists' if many else 'a list'} of {len(arguments)}: {', '.join(described(a) for a in arguments)}"
    items = described(arguments[0], True) if arguments and arguments != ((),) else "values"
    return f"{word + 's' if many else 'a ' + word} of {items}"
