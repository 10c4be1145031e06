"""Attributes and items that are asked for by name, and the dictionaries of objects, classes and modules.

getattr(o, "y"), vars(o)["y"], object.__setattr__(o, "y", xs), attrgetter("y")(o), globals()["xs"]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from inferflow.analysis.effects import access, bindings, calls, contained, operators, views
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import BELOW, ELEMENTS, EMPTY, UNKNOWN, Node, Value, join, join_all, like
from inferflow.model import Span

if TYPE_CHECKING:
    from inferflow.analysis.effects.calls import Arguments

OBJECT_METHODS = frozenset(("__setattr__", "__delattr__", "__getattribute__"))
"""Methods that every object has, by which its attributes are found and stored."""


MAKING = frozenset(("__new__", "__init__", "__post_init__", "__attrs_post_init__"))
"""Methods in which an object is not anybody else's yet."""


class Named:
    """Stands for an operation where there is none: what it is at, the name, and the place. ``plain`` is set where the
    hooks that a class has for its attributes do not run."""

    __slots__ = ("at", "name", "obj", "out", "plain", "span")

    def __init__(self, at: Any, name: str, span: Span, plain: bool = False) -> None:
        self.at = at
        self.name = name
        self.span = span
        self.plain = plain
        self.out = -2
        self.obj = -1


def getattr_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any, plain: bool = False) -> Value:
    """``getattr(obj, name, default)``."""
    if len(arguments.positional) < 2:
        return calls.unknown(frame, "getattr", arguments.all(), span, key)
    target, attribute = arguments.positional[:2]
    default = join_all(arguments.positional[2:])
    word = operators.constant_of(attribute)
    if isinstance(word, str):
        op = Named(key, word, span, plain)
        return join(access.attribute(frame, target, word, op), default)  # type: ignore[arg-type]
    return join(default, any_attribute(frame, target, span, key))


def any_attribute(frame: Frame, target: Value, span: Span, key: Any) -> Value:
    """An attribute whose name is not known."""
    result = EMPTY
    for node in target:
        if node.kind in ("module", "class"):
            for field_name in list(frame.fields(node)):
                result = join(result, frame.field(node, field_name))
        elif node.kind == "object":
            for field_name in list(frame.fields(node)):
                if not field_name.startswith("<"):
                    result = join(result, frame.field(node, field_name))
            result = join_all((result, frame.below(node), views.loose(frame, node, "")))
            for type_name in node.each:
                if type_name.startswith("@"):
                    for cls in frame.program.mro(frame.program.classes[type_name].node):
                        for value in list(cls.fields.values()):
                            for part in value:
                                op = Named((key, like(part)), "", span)
                                classes = frozenset((cls,))
                                made = access.described(frame, part, frozenset((node,)), classes, op)
                                result = join(result, made)
        else:
            result = join(result, frozenset((frame.make((key, "attribute")),)))
    return result


def setattr_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any, plain: bool = False) -> Value:
    """``setattr(obj, name, value)`` and ``delattr(obj, name)``."""
    if len(arguments.positional) < 2:
        return calls.unknown(frame, name, arguments.all(), span, key)
    target, attribute = arguments.positional[:2]
    stored = arguments.positional[2] if len(arguments.positional) > 2 else EMPTY
    word = operators.constant_of(attribute)
    if plain and frame.code.name not in MAKING:
        for node in target:
            if node.kind == "object" and node.immutable:
                views.namespace(frame, node)  # a frozen one, which can change after all
    if isinstance(word, str):
        access.store_attribute(frame, target, word, stored, Named(key, word, span, plain))
        return frame.program.none
    for node in target:
        if node.kind in ("module", "class", "lib"):
            frame.program.patch(f"sets attributes of {node.name or node.data} by name", span)
        elif node.kind == "object":
            frame.write((node,), f"{frame.where or 'code'} sets an attribute by name", span)
            for dictionary in views.namespace(frame, node):
                frame.put(dictionary, ELEMENTS, stored)
            if UNKNOWN in node.types:
                for child in frame.below(node):
                    frame.put(child, ELEMENTS, stored)
                frame.put(node, ELEMENTS, stored)
                frame.put(node, BELOW, stored)
    return frame.program.none


def of_object(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``object.__setattr__(obj, name, value)`` and its like."""
    if name.endswith("__getattribute__"):
        return getattr_(frame, name, arguments, span, key, True)
    return setattr_(frame, name, arguments, span, key, True)


def globals_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``globals()``, ``locals()``, ``vars(obj)``."""
    if name == "builtins.vars" and arguments.positional:
        op = Named(key, "__dict__", span)
        return access.attribute(frame, arguments.positional[0], "__dict__", op)  # type: ignore[arg-type]
    if name == "builtins.globals" or frame.kind == "module":
        access.note_all(frame, frame.globals, span)
        return frozenset((frame.globals,))
    made = frame.make((key, "locals"), types=frozenset(("builtins.dict",)))
    for value in list(frame.env.values()):
        frame.put(made, ELEMENTS, value)
    return frozenset((made,))


def of_class(frame: Frame, cls: Node, span: Span, key: Any) -> Value:
    """``Class.__dict__``: what stands in the class, for reading."""
    made = frame.make((key, "dictionary of", cls.data.key), types=frozenset(("types.MappingProxyType",)))
    for name in list(frame.fields(cls)):
        if not name.startswith("<"):
            access.look_up(frame, cls, name, span)
            frame.put(made, ELEMENTS, frame.field(cls, name))
    return frozenset((made,))


def of_module(frame: Frame, module: Node, method: str, span: Span, key: Any) -> Value:
    """A method of the dictionary of a module: ``globals().get``."""
    signature = frame.program.method("builtins.dict", method)
    if signature is None or method.startswith("__"):
        return EMPTY
    if signature.mutates:
        frame.program.patch(f"changes the globals of {module.data}", span)
    made = frame.make((key, "globals"), types=frozenset(("builtins.dict",)))
    every = join_all([frame.field(module, name) for name in list(module.fields)])
    frame.put(made, ELEMENTS, join(frozenset(n for n in every if n.kind == "object"), frame.program.anything))
    bindings.note_read(frame, every, "globals()", span)
    return access.bound(frame, signature, frozenset((made,)), (key, "of globals", method))


# -- functions that get what they are asked for --------------------------------------------------------


def getter(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``attrgetter("y")``, ``itemgetter(0)``, ``methodcaller("add", 1)``: a function that is called with the object."""
    made = frame.make((key, "getter"), "wrapped", frozenset(), "getter", name=name)
    for position, value in enumerate(arguments.positional):
        frame.put(made, str(position), value)
    for word, value in arguments.keywords:
        frame.put(made, f"={word}", value)
    for loose in (arguments.more, arguments.named):
        if loose is not None:
            frame.put(made, "<more>", loose)
    if any(node.kind != "scalar" for value in arguments.all() for node in value):
        # it is compiled, and what it holds would not be the driver's own objects when it comes from another process
        frame.obstacle(f"{name.rpartition('.')[2]}() keeps the objects that it is given", span)
    return frozenset((made,))


def get(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """What such a function gives."""
    target = arguments.positional[0] if arguments.positional else arguments.more or EMPTY
    names = [frame.field(node, name) for name in sorted(f for f in node.fields if f.isdigit())]
    more = frame.field(node, "<more>")
    if node.name.endswith("methodcaller"):
        if not names or more:
            return calls.unknown(frame, "methodcaller", [target, *names, more], span, key)
        words = {f[1:]: frame.field(node, f) for f in list(node.fields) if f.startswith("=")}
        found = getattr_(frame, "", calls.Arguments((target, names[0])), span, (key, "method"))
        called = found or frozenset((frame.make((key, "member")),))
        return calls.invoke(
            frame, called, calls.Arguments(tuple(names[1:]), tuple(words.items()), says="methodcaller"), span, key
        )
    results = []
    for number, name in enumerate([*names, *([more] if more else [])]):
        at = (key, "get", number)
        if node.name.endswith("itemgetter"):
            results.append(contained.item(frame, target, name, Named(at, "", span)))  # type: ignore[arg-type]
            continue
        value = target
        word = operators.constant_of(name)
        for part in word.split(".") if isinstance(word, str) else [""]:
            parts = (value, frame.program.constant(part) if part else name)
            value = getattr_(frame, "", calls.Arguments(parts), span, (at, part))
        results.append(value)
    if len(results) == 1 and not more:
        return results[0]
    made = frame.make((key, "items"), types=frozenset(("builtins.tuple",)), immutable=True)
    for position, value in enumerate(results):
        frame.put(made, ELEMENTS if more else str(position), value)
    return frozenset((made,))


HANDLERS: dict[str, Callable[[Frame, str, Arguments, Span, Any], Value]] = {
    "operator.attrgetter": getter,
    "operator.itemgetter": getter,
    "operator.methodcaller": getter,
    "builtins.getattr": getattr_,
    "builtins.setattr": setattr_,
    "builtins.delattr": setattr_,
    "builtins.object.__setattr__": of_object,
    "builtins.object.__delattr__": of_object,
    "builtins.object.__getattribute__": of_object,
    "builtins.globals": globals_,
    "builtins.locals": globals_,
    "builtins.vars": globals_,
}
