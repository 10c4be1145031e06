"""Results that share objects with what the task was given, and inputs that it changed in place: carried home whole.

Home has the task's inputs as live objects, and others may hold on to them. So what comes back names them instead of
copying them: every object of an input has a number (its place in the pack that was sent), and the result is written
with references to those. A changed object comes as its number and its new contents, which home puts into the live one.

    helper:  given [xs = [1]]; xs.append(2); return {"all": xs}
             carried: values {"all": <object 1 of input 0>}, changes [(0, 1, "list", [1, 2])]
    home:    xs[:] = [1, 2]; the result is {"all": xs}

Before it is sent, the helper does the same to a second copy of the inputs, and compares: what kinds of objects this
cannot express (a table that changed in place, say) shows there.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from inferflow.worker import exact, transport
from inferflow.worker.exact_graph import ATOMS, UNSET, anatomy, attributes, package, reduced, slots, uncollected
from inferflow.worker.tensors import bytes_of, describes, gradient, layout, set_version
from inferflow.worker.transport_code import resolve

__all__ = ["Carried", "Known", "apply", "carry", "receive"]

Change = tuple[int, int, str, Any]
"""Which input, which object of it, how its contents are written, and they."""


class Known:
    """Objects by their number in a pack that somebody else wrote."""

    def __init__(self, objects: dict[int, Any]) -> None:
        self._objects = objects

    def objects(self) -> dict[int, Any]:
        return self._objects


class Carried:
    """``values`` and ``changes`` as home receives them; ``given`` are its live objects."""

    def __init__(self, values: tuple[Any, ...], changes: list[Change], given: list[Known]) -> None:
        self.values = values
        self.changes = changes
        self.given = given


def carry(values: tuple[Any, ...], loaded: Sequence[transport.Loaded], project: frozenset[str]) -> Any:
    """The pack that carries the results, or words: why it cannot be."""
    with uncollected():
        changes = [change for part, one in enumerate(loaded) for change in _changes(part, one, loaded)]
        packed = transport.refer((values, changes), loaded, project)
        again = [one.reload() for one in loaded]
        rebuilt = transport.load(packed.data(), given=again).values
        apply(rebuilt[1], again)
        difference = exact.same(
            (tuple(one.values for one in loaded), values), (tuple(one.values for one in again), rebuilt[0])
        )
    if difference is not None:
        what = (
            "it changed one of its inputs in place"
            if changes or _changed(loaded)
            else "its result shares with its inputs"
        )
        return f"{what}, in a way that cannot be repeated at home ({difference.what})"
    return packed


def _changed(loaded: Sequence[transport.Loaded]) -> bool:
    return any(not one.unchanged() for one in loaded)


def receive(frame_value: Any, parts: Iterable[dict[str, Any]], data: bytes | str) -> Carried | str:
    """At home: the results, with the live objects in the places of those that the task was given; or words.
    ``frame_value(scope, name)`` is what a name holds now."""
    given = []
    for part in parts:
        source = part.get("inline")
        one = transport.load(source if source is not None else part["path"])
        then = tuple(one.values[member] for _, _, member in part["take"])
        now = tuple(frame_value(scope, name) for scope, name, _ in part["take"])
        pairs = exact.pairs(then, now)
        if isinstance(pairs, exact.Difference):
            return f"one of its inputs had been changed in place ({pairs.what})"
        found = {}
        for number, o in one.objects().items():
            if id(o) in pairs:
                found[number] = pairs[id(o)]
            elif _goes_by_name(o):  # a class of which the input holds an instance, say
                found[number] = o
        given.append(Known(found))
    values, changes = transport.load(data, given=given).values
    for part_number, number, _, _ in changes:
        if number not in given[part_number].objects():
            return "an object that it changed cannot be found again"
    return Carried(values, changes, given)


def _goes_by_name(value: Any) -> bool:
    """Whether a copy of the value is the value itself."""
    kind = anatomy(type(value))
    if kind in ("function", "builtin"):
        return bool(value.__module__ and resolve(value.__module__, value.__qualname__) is value)
    return kind == "reference" or (
        kind == "opaque" and package(type(value)) == "torch" and isinstance(reduced(value), str)
    )


def apply(changes: list[Change], given: Sequence[Any]) -> None:
    """Put the new contents into the objects."""
    objects = [one.objects() for one in given]
    for part, number, kind, state in changes:
        target = objects[part][number]
        if kind == "list":
            list.__setitem__(target, slice(None), state)
        elif kind == "dict":
            dict.clear(target)
            for key, value in state:
                dict.__setitem__(target, key, value)
        elif kind == "set":
            set.clear(target)
            set.update(target, state)
        elif kind == "bytearray":
            target[:] = state
        elif kind == "ndarray":
            target[...] = state
        elif kind == "storage":
            bytes_of(target)[:] = state
        elif kind == "tensor":
            _apply_tensor(target, *state)
        else:
            own, slotted = state
            space = attributes(target)
            if space is not None and own is not None:
                space.clear()
                space.update(own)
            for cls in type(target).__mro__:
                for name, value in slotted:
                    member = vars(cls).get(name)
                    if member is not None and hasattr(member, "__set__"):
                        member.__set__(target, value)


def _apply_tensor(target: Any, needs: bool, version: int, gradient: Any, own: dict[str, Any]) -> None:
    if target.requires_grad != needs:
        target.requires_grad_(needs)
    if target.grad is not gradient:
        target.grad = gradient
    target.__dict__.clear()
    target.__dict__.update(own)
    set_version(target, version)


def _changes(part: int, one: transport.Loaded, loaded: Sequence[transport.Loaded]) -> list[Change]:
    """The objects of one input whose own contents are not what they were."""
    before = one.reload()
    old = before.objects()
    mine = {key: (p, n) for p, other in enumerate(loaded) for key, n in other.numbers().items()}
    theirs = {key: (part, n) for key, n in before.numbers().items()}
    found: list[Change] = []
    for number, value in one.objects().items():
        kind = _kind(value)
        was = old.get(number)
        if kind and type(was) is type(value) and not _alike(kind, was, value, theirs, mine):
            found.append((part, number, kind, _state(kind, value)))
    return found


def _kind(value: Any) -> str:
    cls = type(value)
    if cls is list:
        return "list"
    if cls is dict:
        return "dict"
    if cls is set:
        return "set"
    if cls is bytearray:
        return "bytearray"
    numpy = sys.modules.get("numpy")
    if numpy is not None and cls is getattr(numpy, "ndarray", None):
        return "" if value.dtype.hasobject else "ndarray"
    kind = anatomy(cls)
    if kind == "storage":
        return kind if describes(value) else ""
    return kind if kind in ("instance", "tensor") else ""


def _state(kind: str, value: Any) -> Any:
    if kind in ("list", "set"):
        return list(value)
    if kind == "dict":
        return [(key, item) for key, item in value.items()]
    if kind == "bytearray":
        return bytes(value)
    if kind == "ndarray":
        return value.copy()
    if kind == "storage":
        return bytes_of(value).copy()
    if kind == "tensor":
        return value.requires_grad, value._version, gradient(value), dict(value.__dict__)
    own = attributes(value)
    return [None if own is None else dict(own), [pair for pair in slots(value) if pair[1] is not UNSET]]


def _alike(kind: str, was: Any, now: Any, theirs: dict[int, Any], mine: dict[int, Any]) -> bool:
    if kind == "bytearray":
        return bool(was == now)
    if kind == "ndarray":
        return was.shape == now.shape and was.dtype == now.dtype and exact.same(was, now) is None
    if kind == "storage":  # (one that has another size cannot be expressed: the comparison afterwards finds it)
        mine_now, then = bytes_of(now), bytes_of(was)
        return mine_now.size != then.size or exact.same(then, mine_now) is None
    return _row(_flat(kind, was), theirs) == _row(_flat(kind, now), mine)


def _flat(kind: str, value: Any) -> list[Any]:
    if kind in ("list", "set"):
        return list(value)
    if kind == "dict":
        return [part for pair in value.items() for part in pair]
    if kind == "tensor":
        return [*layout(value), gradient(value), *value.__dict__.items()]
    own = attributes(value) or {}
    return [part for pair in (*own.items(), *slots(value)) for part in pair]


def _row(parts: list[Any], numbers: dict[int, Any]) -> list[Any]:
    return [_token(part, numbers) for part in parts]


def _token(part: Any, numbers: dict[int, Any]) -> Any:
    cls = type(part)
    if cls in ATOMS:
        if cls is float:
            return cls, struct.pack("<d", part), numbers.get(id(part)) if part != part else None
        return cls, repr(part) if cls in (complex, slice, range) else part
    known = numbers.get(id(part))
    return ("object", *known) if known is not None else ("new", id(part) if part is UNSET else cls)
