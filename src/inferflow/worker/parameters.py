"""Parameters of the driver's function: from what a user wrote to values of the annotated types.

A *raw* parameter is plain data: ``{"text": "0.5"}`` as it stood on the command line or in the environment, or
``{"data": [1, 2]}`` as a file had it. Text is read by the annotation (``0.5`` for ``float``; JSON or a Python literal
for a list, a dict, a dataclass). Data keeps its types: the text ``"5"`` in a JSON file is no ``int``. Without an
annotation the default's type decides, then the text's own look.

    >>> def main(C: float = 1.0, kinds: list[str] = [], verbose=False): ...
    >>> bind(main, {"C": {"text": "2"}, "kinds": {"data": ["a"]}, "verbose": {"text": "yes"}})
    {'C': 2.0, 'kinds': ['a'], 'verbose': True}

Standard library only; cattrs is imported when a parameter is an attrs class, a dataclass or the like.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from inferflow.worker.typed import Mismatch, described, is_readable, read_text, structured
from inferflow.worker.typed import guess as guess_text

__all__ = ["DATE_MARK", "ParameterError", "arguments", "bind", "default_value", "plain_value"]

DATE_MARK = "inferflow:date"
"""The one key of a table that stands for a date or time (its ISO text) in raw data, which has no such type."""

Raw: typing.TypeAlias = Mapping[str, Any]


class ParameterError(Exception):
    """A parameter that does not fit: its ``name``, what was ``given`` (as text), what is ``accepted`` (in words)."""

    def __init__(self, name: str, given: str, accepted: str) -> None:
        super().__init__(name, given, accepted)
        self.name = name
        self.given = given
        self.accepted = accepted

    def __str__(self) -> str:
        return f"parameter {self.name!r} is {self.given}; it must be {self.accepted}"


def bind(function: Callable[..., Any], raw: Mapping[str, Raw]) -> dict[str, object]:
    """Values of raw parameters, typed by the annotations and defaults of ``function``; raises ParameterError."""
    if not raw:
        return {}
    signature = inspect.signature(function)
    hints = _hints(function, [name for name in raw if name in signature.parameters])
    spare = next((p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    values = {}
    for name, given in raw.items():
        parameter = signature.parameters.get(name, spare)
        if parameter is None:
            raise ParameterError(name, _shown(given), f"one of {', '.join(signature.parameters)}")
        values[name] = _value(name, given, hints.get(parameter.name, inspect.Parameter.empty), parameter.default)
    return values


def arguments(function: Callable[..., Any], values: Mapping[str, object]) -> tuple[list[object], dict[str, object]]:
    """How to call ``function`` with ``values``: positional arguments for what takes no name, keywords for the rest.

    Raises ParameterError if a positional-only parameter is given after one that is left to its default."""
    named = dict(values)
    positional: list[object] = []
    left: inspect.Parameter | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            break
        if parameter.name not in named:
            left = parameter
        elif left is None:
            positional.append(named.pop(parameter.name))
        else:
            accepted = f"given together with {left.name!r}, which comes before it (both are positional-only)"
            raise ParameterError(parameter.name, repr(named[parameter.name]), accepted)
    return positional, named


def plain_value(name: str, given: Raw, annotation: object) -> object:
    """One value, typed by an annotation alone; raises ParameterError."""
    return _value(name, given, annotation, inspect.Parameter.empty)


def default_value(name: str, given: Raw, annotation: object, default: object) -> object:
    """One value, typed by an annotation or a default (``inspect.Parameter.empty``: there is none); raises
    ParameterError."""
    return _value(name, given, annotation, default)


def _value(name: str, given: Raw, annotation: object, default: object) -> object:
    try:
        if annotation is inspect.Parameter.empty or annotation is Any:
            return _untyped(given, default)
        if default is None and _is_none(given):  # `x: int = None` accepts None, whatever its annotation says
            return None
        if "text" in given:
            return read_text(given["text"], annotation)
        return structured(_undated(given["data"]), annotation)
    except Mismatch as mismatch:
        accepted = described(annotation) if annotation is not inspect.Parameter.empty else mismatch.accepted
        detail = f" ({mismatch.detail})" if mismatch.detail else ""
        raise ParameterError(name, _shown(given), accepted + detail) from None


def _untyped(given: Raw, default: object) -> object:
    """By the default's type, if it is telling; a number may be any number."""
    if "data" in given:
        return _undated(given["data"])
    text = given["text"]
    kind = type(default)
    if default is inspect.Parameter.empty or default is None:
        return guess_text(text)
    if kind in (int, float):
        number = guess_text(text)
        if isinstance(number, int | float) and not isinstance(number, bool):
            return float(number) if kind is float else number
        raise Mismatch(f"a number (its default is {default!r})")
    if not is_readable(kind):
        return guess_text(text)
    try:
        return read_text(text, kind)
    except Mismatch as mismatch:
        raise Mismatch(f"{described(kind)} (its default is {default!r})", mismatch.detail) from None


def _is_none(given: Raw) -> bool:
    if "text" in given:
        return str(given["text"]).lower() in ("none", "null")
    return given["data"] is None


def _shown(given: Raw) -> str:
    return repr(given["text"] if "text" in given else _undated(given["data"]))


def _undated(data: object) -> object:
    """Dates in place of their marks."""
    if isinstance(data, dict):
        if set(data) == {DATE_MARK}:
            return guess_text(data[DATE_MARK])
        return {key: _undated(value) for key, value in data.items()}
    return [_undated(item) for item in data] if isinstance(data, list) else data


def _hints(function: Callable[..., Any], names: list[str]) -> dict[str, object]:
    """Resolved annotations; one that cannot be resolved counts as none."""
    try:
        return typing.get_type_hints(function)
    except Exception:  # an annotation is an arbitrary expression
        pass
    inner = inspect.unwrap(function)
    hints: dict[str, object] = {}
    for name, annotation in getattr(inner, "__annotations__", {}).items():
        try:
            alone = typing.get_type_hints(type("_", (), {"__annotations__": {name: annotation}}), inner.__globals__)
            hints[name] = alone[name]
        except Exception:
            continue
    return hints
