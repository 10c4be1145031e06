"""The one converter between model values and plain JSON data.

*Plain data* is what ``json`` reads and writes. A value becomes an object of its fields, a tuple an
array. A place carries its kind under ``place`` (``World`` has a field ``kind`` of its own), an event
under ``kind``:

    Variable("<driver>", "x")                {"place": "variable", "scope": "<driver>", "name": "x"}
    TaskRetired(time=1.5, task=0, attempt=1) {"kind": "task_retired", "time": 1.5, "task": 0, "attempt": 1}

Reading is strict about types and lenient about fields: what is unknown is ignored and what is missing
takes its default, so that a field can be added without a new version. cattrs is imported, and the hooks
of a class are built, at the first use of each (11 ms and about 0.5 ms a class); writing events, which
every run does, needs neither.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable
from enum import Enum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from inferflow.collector import paused
from inferflow.errors import UserError
from inferflow.model import GRAPH_VERSION, Event, InvalidGraph, Place, Span, TaskGraph
from inferflow.model.content import content_digest
from inferflow.records import field_names

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "event_from_data",
    "event_from_json",
    "event_kind",
    "event_schema",
    "event_to_data",
    "event_to_json",
    "graph_digest",
    "graph_from_json",
    "graph_schema",
    "graph_to_json",
]

_TAGS = {Place: "place", Event: "kind"}


# -- graphs ----------------------------------------------------------------------------------------


def graph_to_json(graph: TaskGraph) -> str:
    """The graph as JSON text: the same graph always gives the same characters (ASCII, keys sorted, no blanks)."""
    with paused():
        return _dumps(_writer(TaskGraph)(graph), sort_keys=True)


def graph_from_json(text: str | bytes) -> TaskGraph:
    """The graph that :func:`graph_to_json` wrote. Raises UserError if it is damaged or of another version."""
    with paused():
        try:
            data = json.loads(text)
        except ValueError as error:
            raise UserError(f"this is not a task graph: not JSON ({error})", hint=_AGAIN) from error
        version = data.get("version") if isinstance(data, dict) else None
        if type(version) is not int:
            raise UserError("this is not a task graph: it has no version", hint=_AGAIN)
        if version != GRAPH_VERSION:
            age = "a newer" if version > GRAPH_VERSION else "an older"
            raise UserError(
                f"this task graph was written by {age} inferflow (form {version}; this one reads {GRAPH_VERSION})",
                hint="upgrade inferflow (pip install -U inferflow)" if version > GRAPH_VERSION else _AGAIN,
            )
        try:
            graph = _reader(TaskGraph)(data, TaskGraph)
        except (KeyError, TypeError, ValueError, AttributeError, InvalidGraph) as error:
            raise UserError(f"this task graph is damaged: {_words(error)}", hint=_AGAIN) from error
    assert isinstance(graph, TaskGraph)
    return graph


def graph_digest(text: str) -> str:
    """The digest of a graph's JSON text: its name in the store, and ``RunStarted.graph``."""
    return content_digest(text.encode())


_AGAIN = "write it again from the driver: inferflow preview --format json DRIVER"


# -- events ----------------------------------------------------------------------------------------


def event_to_data(event: Event) -> dict[str, Any]:
    """The event as plain data, its class under ``kind``."""
    return {"kind": event_kind(event), **_plain(event)}


def event_from_data(data: dict[str, Any]) -> Event:
    """The event that :func:`event_to_data` wrote. Raises UserError if it is damaged or of an unknown kind."""
    try:
        kind = data["kind"]
        cls = _event_classes().get(kind)
        if cls is None:
            raise UserError(f"unknown kind of event: {kind!r}", hint="it was written by a newer inferflow: upgrade it")
        event: Event = _reader(cls)(data, cls)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"this event is damaged: {_words(error)}") from error
    return event


def event_to_json(event: Event) -> str:
    """The event as one line of JSON (ASCII; lone surrogates of undecodable output survive as escapes)."""
    return _dumps(event_to_data(event))


def event_from_json(text: str | bytes) -> Event:
    """The event that :func:`event_to_json` wrote. Raises UserError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UserError(f"this event is damaged: {error}") from error
    return event_from_data(data)


def event_kind(event: Event) -> str:
    """``task_retired`` for a TaskRetired."""
    cls: type = type(event)
    return _tag(cls)


@cache
def _tag(cls: type) -> str:
    """A class's name as a tag: ``TaskRetired`` is ``task_retired``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


@lru_cache(maxsize=1)
def _event_classes() -> dict[str, Any]:
    return {_tag(cls): cls for cls in get_args(Event)}


_ATOMS = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any) -> Any:
    """What cattrs would make of the fields of an event, in the same time, without importing it."""
    cls = value.__class__
    if cls in _ATOMS:
        return value
    if cls is tuple:
        return [_plain(item) for item in value]
    return {name: _plain(getattr(value, name)) for name in field_names(cls)}


# -- the converter ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _converter() -> Converter:
    from cattrs import Converter
    from cattrs.strategies import configure_tagged_union

    converter = Converter(detailed_validation=False)
    for primitive in (str, int, bool):
        converter.register_structure_hook(primitive, _exactly(primitive))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(_is_literal, _choice)
    converter.register_structure_hook(Span, _span)
    configure_tagged_union(Place, converter, tag_name=_TAGS[Place], tag_generator=_tag)
    return converter


@cache
def _writer(cls: type) -> Callable[[Any], Any]:
    return _converter().get_unstructure_hook(cls)


@cache
def _reader(cls: type) -> Callable[[Any, Any], Any]:
    return _converter().get_structure_hook(cls)


def _exactly(primitive: type) -> Callable[[Any, Any], Any]:
    """cattrs would call ``str(value)``, which makes the text ``None`` of a damaged null."""

    def read(value: Any, _: Any) -> Any:
        if value.__class__ is not primitive:
            raise TypeError(f"{value!r:.60} is no {primitive.__name__}")
        return value

    return read


def _number(value: Any, _: Any) -> float:
    if value.__class__ is not float:
        if value.__class__ is not int:
            raise TypeError(f"{value!r:.60} is no number")
        return float(value)
    return value


def _span(data: dict[str, Any], _: Any) -> Span:
    return _the_span(
        data["path"], data["line"], data.get("column", 0), data.get("end_line", 0), data.get("end_column", 0)
    )


@lru_cache(maxsize=4096, typed=True)
def _the_span(path: str, *numbers: int) -> Span:
    """Half of what a graph consists of is spans, and most stand in it several times: made and checked once."""
    if path.__class__ is not str or any(number.__class__ is not int for number in numbers):
        raise TypeError(f"{(path, *numbers)!r:.60} is no span")
    return Span(path, *numbers)


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _choice(value: Any, cls: Any) -> Any:
    if value not in _choices(cls):
        raise ValueError(f"{value!r:.60} is none of {', '.join(_choices(cls))}")
    return value


@cache
def _choices(cls: Any) -> tuple[Any, ...]:
    return get_args(cls)


def _words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _dumps(data: Any, sort_keys: bool = False) -> str:
    return json.dumps(data, sort_keys=sort_keys, separators=(",", ":"), check_circular=False)


# -- schemas ---------------------------------------------------------------------------------------


def graph_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of :func:`graph_to_json`, published as ``docs/schema/taskgraph.schema.json``."""
    schema = _schema(TaskGraph, f"inferflow task graph, version {GRAPH_VERSION}")
    schema["$defs"]["TaskGraph"]["properties"]["version"] = {"const": GRAPH_VERSION}
    return schema


def event_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one event, a line of ``inferflow run --json``: ``docs/schema/event.schema.json``."""
    return _schema(Event, "inferflow event")


def _schema(kind: Any, title: str) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    root = _schema_of(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


_PRIMITIVES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of one type; classes met on the way are added to ``definitions``."""
    if kind in _PRIMITIVES:
        return {"type": _PRIMITIVES[kind]}
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": _schema_of(arguments[0], definitions)}
        parts = [_schema_of(part, definitions) for part in arguments]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    if origin in (Union, types.UnionType):
        tag = next((tag for union, tag in _TAGS.items() if union == kind), None)
        if tag is None:
            return {"anyOf": [_schema_of(part, definitions) for part in arguments]}
        return {"oneOf": [_tagged(part, tag, definitions) for part in arguments]}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    return _class_schema(kind, definitions)


def _class_schema(cls: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = {}
        hints = get_type_hints(cls)
        import attrs

        fields = attrs.fields(cls)
        definitions[cls.__name__] = {
            "type": "object",
            "properties": {field.name: _schema_of(hints[field.name], definitions) for field in fields},
            "required": [field.name for field in fields if field.default is attrs.NOTHING],
        }
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _tagged(cls: Any, tag: str, definitions: dict[str, Any]) -> dict[str, Any]:
    reference = _schema_of(cls, definitions)
    return {**reference, "properties": {tag: {"const": _tag(cls)}}, "required": [tag]}
