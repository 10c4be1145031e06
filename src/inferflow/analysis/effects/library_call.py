"""One call of a library function: its arguments by the names of the signature's parameters, and what is known of them.

frame.sort_values("name", inplace=True)     receiver: frame; table: by, inplace
                                            given: by TEXT, inplace True; settings: of frame's constructor, if seen
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferflow.analysis.catalogue import NUMBER, SLICE, SOMETHING, TEXT, Signature, bind
from inferflow.analysis.catalogue import UNKNOWN as MAYBE
from inferflow.analysis.catalogue import Arguments as Given
from inferflow.analysis.effects import contained, operators, plain
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import EMPTY, UNKNOWN, Value, join, join_all
from inferflow.model import Span

if TYPE_CHECKING:
    from inferflow.analysis.effects.calls import Arguments


class Call:
    """One call of a library function: its arguments by parameter name."""

    __slots__ = ("arguments", "elements", "frame", "given", "key", "receiver", "signature", "span", "table", "who")

    def __init__(
        self, frame: Frame, signature: Signature, receiver: Value, arguments: Arguments, span: Span, key: Any
    ) -> None:
        self.frame = frame
        self.signature = signature
        self.arguments = arguments
        self.span = span
        self.key = key
        says = arguments.says or signature.name.removeprefix("builtins.")
        self.who = f"{frame.where}: {says}()" if frame.where else f"{says}()"
        if signature.kind == "method" and not receiver and arguments.positional:
            receiver = arguments.positional[0]
            positional = arguments.positional[1:]
        else:
            positional = arguments.positional
        self.receiver = receiver
        self.table: dict[str, Value] = {}
        given: dict[str, object] = {}
        for name, values in bind(signature, positional, dict(arguments.keywords)).items():
            self.table[name] = values[0] if len(values) == 1 else join_all(values)
            known = constant(values[0]) if len(values) == 1 else SOMETHING
            given[name] = plain.refine(frame, known, self.table[name]) if asks_plain(signature) else known
        loose = [v for v in (arguments.more, arguments.named) if v is not None]
        if loose:
            extra = join_all(loose)
            for param in signature.params:
                if param.name not in given:
                    self.table[param.name] = join(self.table.get(param.name, EMPTY), extra)
        made_with = plain.refine_settings(frame, settings(receiver), receiver) if receiver else None
        self.given = Given(given, not loose, made_with)
        self.elements: dict[str, Value] = {}

    def value(self, param: str) -> Value:
        return self.receiver if param == "self" else self.table.get(param, EMPTY)

    def contents(self, param: str) -> Value:
        if param in self.elements:
            return self.elements[param]
        return contained.contents(self.frame, self.value(param), keys=True)

    def names(self, param: str) -> str:
        """How the source calls the argument."""
        arguments = self.arguments
        if param == "self":
            return arguments.receiver
        target = self.value(param)
        for value, name in zip(arguments.positional, arguments.names, strict=False):
            if value is target:
                return name
        return ""


def asks_plain(signature: Signature) -> bool:
    """Whether an effect hangs on what an argument holds."""
    uses = (*signature.hidden, *signature.world, *signature.mutates)
    conditions = [use.when for use in uses]  # type: ignore[attr-defined]
    return any(check.kind == "plain" and not check.param.startswith("self.") for when in conditions for check in when)


def constant(value: Value) -> object:
    """What conditions may know of an argument."""
    if len(value) == 1:
        node = next(iter(value))
        if node.kind == "scalar" and node.data:
            return node.data[0]
    if not value or any(n.kind == "scalar" and (UNKNOWN in n.types or "builtins.NoneType" in n.types) for n in value):
        return MAYBE
    if any(n.kind == "object" and UNKNOWN in n.types for n in value):
        return MAYBE
    types = frozenset(t for n in value for t in n.types)
    if all(n.kind == "scalar" for n in value) and types:
        if types <= operators.NUMBERS:
            return NUMBER
        if len(types) == 1:
            return {"builtins.str": TEXT, "builtins.slice": SLICE}.get(next(iter(types)), SOMETHING)
    return SOMETHING


def settings(receiver: Value) -> dict[str, object] | None:
    """The arguments of the receiver's constructor, if it is one object whose making was seen."""
    if len(receiver) != 1:
        return None
    data = next(iter(receiver)).data
    return dict(data[1]) if isinstance(data, tuple) and data and data[0] == "settings" else None
