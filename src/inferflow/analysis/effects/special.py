"""Library functions that the catalogue's notation cannot say: those that work on names, classes and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from inferflow.analysis.catalogue import Signature
from inferflow.analysis.effects import access, by_name, calls, command_line, contained, imports, library, operators
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import BELOW, ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, join_all, like
from inferflow.analysis.effects.program import ClassInfo
from inferflow.model import Hidden, Span

if TYPE_CHECKING:
    from inferflow.analysis.effects.calls import Arguments

Handler: TypeAlias = "Callable[[Frame, str, Arguments, Span, Any], Value]"


def call_library(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """A function or class of a library."""
    name: str = node.data
    handler = HANDLERS.get(name) or by_name.HANDLERS.get(name)
    if handler is not None:
        return handler(frame, name, arguments, span, key)
    if name in UNCHANGED and arguments.positional:
        return arguments.positional[-1]
    signature = frame.program.catalogue.function(name)
    if signature is None and node.types:
        return calls.call_object(frame, node, arguments, span, key)
    if signature is None:
        return calls.unknown(frame, arguments.says or name, arguments.all(), span, key)
    return library.apply_call(frame, signature, EMPTY, arguments, span, key)


def call_method(
    frame: Frame, signature: Signature, receiver: Value, arguments: Arguments, span: Span, key: Any
) -> Value:
    """A method of a library class."""
    if signature.name in ("builtins.str.format", "builtins.str.join"):
        for value in arguments.all():
            operators.implicit(frame, value, ("__format__", "__str__", "__repr__"), span)
    if signature.name.startswith(command_line.PARSER):
        return command_line.call(frame, signature, receiver, arguments, span, key)
    if signature.name == "builtins.iterator.__next__":
        return contained.iterate(frame, receiver, span, key)
    return library.apply_call(frame, signature, receiver, arguments, span, key)


def call_named(frame: Frame, data: Any, receiver: Value, arguments: Arguments, span: Span, key: Any) -> Value:
    """What ``access`` bound to a receiver without a signature."""
    program = frame.program
    match data:
        case ("pure", _):
            return program.anything if all(n.kind == "scalar" for n in receiver) else frozenset((frame.make(key),))
        case ("super", _):
            for value in arguments.all():
                for node in receiver:
                    frame.put(node, ELEMENTS, value)
            return program.none
        case ("new", Node() as cls):
            types = (
                frozenset(n.data.key for n in arguments.positional[0] if n.kind == "class")
                if (arguments.positional)
                else frozenset((cls.data.key,))
            )
            made = frame.make((key, "new"), types=types or frozenset((cls.data.key,)))
            for value in arguments.positional[1:]:
                frame.put(made, ELEMENTS, value)
            return frozenset((made,))
        case ("wrapped", kind):
            return extend_property(frame, str(kind), receiver, arguments, key)
        case ("object", str(name)):
            return by_name.of_object(frame, name, arguments.behind(receiver), span, key)
        case ("unknown", name):
            return calls.unknown(frame, arguments.says or str(name), [receiver, *arguments.all()], span, key)
        case str():
            return extend_property(frame, data, receiver, arguments, key)
        case _:
            return calls.unknown(frame, arguments.says, [receiver, *arguments.all()], span, key)


def extend_property(frame: Frame, kind: str, receiver: Value, arguments: Arguments, key: Any) -> Value:
    """``@x.setter``."""
    if kind in ("setter", "deleter"):
        for node in receiver:
            if node.kind == "wrapped" and node.data == "property" and arguments.positional:
                made = wrap(frame, "property", (key, like(node)), frame.field(node, "inner"))
                for other in ("setter", "deleter"):
                    frame.put(made, other, arguments.positional[0] if other == kind else frame.field(node, other))
                return frozenset((made,))
    if kind in ("cache_info",):
        return frame.program.anything
    return receiver


def call_wrapped(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """Something that a decorator (or ``partial``) made of a function."""
    inner = frame.field(node, "inner")
    match node.data:
        case "cached":
            name = node.name or arguments.says
            frame.obstacle(f"{name} keeps its results in a cache", span)
            frame.note("read", Hidden(f"cache of {name}"), f"{name} keeps its results in a cache", span)
            frame.note("write", Hidden(f"cache of {name}"), f"{name} keeps its results in a cache", span)
            result = calls.invoke(frame, inner, arguments, span, (key, "inner"))
            kept = join(frame.field(node, "<results>"), frozenset(n for n in result if n.kind != "scalar"))
            frame.put(node, "<results>", kept)
            return join(result, frame.field(node, "<results>"))
        case "contextmanager":
            made = calls.invoke(frame, inner, arguments, span, (key, "inner"))
            manager = frame.make((key, "manager"), types=frozenset(("contextlib._GeneratorContextManager",)))
            frame.put(manager, "<kept>", made)
            frame.put(manager, ELEMENTS, contained.contents(frame, made))
            return frozenset((manager,))
        case "partial":
            first = tuple(frame.field(node, str(n)) for n in range(sum(f.isdigit() for f in node.fields)))
            extra = tuple((f[1:], frame.field(node, f)) for f in list(node.fields) if f.startswith("="))
            both = arguments.behind(*first)
            merged = {**dict(extra), **dict(both.keywords)}
            both = calls.Arguments(
                both.positional, tuple(merged.items()), both.more, both.named, both.says, both.names, both.receiver
            )
            return calls.invoke(frame, inner, both, span, (key, "inner"))
        case "weak":
            return join(inner, frame.program.none)
        case "getter":
            return by_name.get(frame, node, arguments, span, key)
        case "identity":
            return arguments.positional[0] if arguments.positional else frame.program.none
        case "cache-decorator":
            return cached(frame, "", arguments, span, key)
        case "dataclass-decorator":
            return mark(frame, arguments, frame.field(node, "frozen"))
        case "staticmethod" | "classmethod":
            return calls.invoke(frame, inner, arguments, span, (key, "inner"))
        case "super" | "property" | "field":
            return frame.program.anything
        case _:
            return calls.unknown(frame, arguments.says or node.name, arguments.all(), span, key)


def wrap(frame: Frame, kind: str, key: Any, inner: Value, name: str = "") -> Node:
    """A node around a function."""
    made = frame.make((key, kind), "wrapped", frozenset(), kind, name=name)
    frame.put(made, "inner", inner)
    return made


# -- handlers --------------------------------------------------------------------------------------


def wrapper(kind: str) -> Handler:
    def handle(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
        inner = arguments.positional[0] if arguments.positional else EMPTY
        made = wrap(frame, kind, key, inner, next((n.name for n in inner), ""))
        if kind == "property" and len(arguments.positional) > 1:
            frame.put(made, "setter", arguments.positional[1])
        return frozenset((made,))

    return handle


def cached(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``@lru_cache`` with or without arguments."""
    functions = frozenset(
        n
        for n in (arguments.positional[0] if arguments.positional else EMPTY)
        if n.kind in ("function", "bound", "wrapped")
    )
    if functions:
        return frozenset((wrap(frame, "cached", key, functions, next(iter(functions)).name),))
    return frozenset((wrap(frame, "cache-decorator", key, EMPTY),))


def cached_property(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """A property that stores its value in the instance when it is first read: taken for one that changes it."""
    return wrapper("property")(frame, name, arguments, span, key)


def identity_decorator(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``@wraps(f)``, ``@typing.no_type_check`` with arguments, ..."""
    return frozenset((wrap(frame, "identity", key, EMPTY),))


def update_wrapper(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    return arguments.positional[0] if arguments.positional else EMPTY


def dataclass(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``@dataclass``, ``@dataclass(frozen=True)``, and those of attrs."""
    frozen = dict(arguments.keywords).get("frozen", EMPTY)
    if name.endswith(".frozen"):
        frozen = frame.program.constant(True)
    if arguments.positional and any(n.kind == "class" for n in arguments.positional[0]):
        return mark(frame, arguments, frozen)
    made = wrap(frame, "dataclass-decorator", key, EMPTY)
    frame.put(made, "frozen", frozen)
    return frozenset((made,))


def mark(frame: Frame, arguments: Arguments, frozen: Value) -> Value:
    value = arguments.positional[0] if arguments.positional else EMPTY
    for node in value:
        if node.kind == "class":
            node.data.flavour = "dataclass"
            node.data.frozen = operators.constant_of(frozen) is True
    return value


def field(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``dataclasses.field(...)``."""
    keywords = dict(arguments.keywords)
    made = wrap(frame, "field", key, EMPTY)
    frame.put(made, "default", keywords.get("default", EMPTY))
    frame.put(made, "factory", keywords.get("default_factory", keywords.get("factory", EMPTY)))
    return frozenset((made,))


def partial(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    if not arguments.positional or arguments.more is not None or arguments.named is not None:
        return calls.unknown(frame, "partial", arguments.all(), span, key)
    made = wrap(frame, "partial", key, arguments.positional[0], next((n.name for n in arguments.positional[0]), ""))
    for position, value in enumerate(arguments.positional[1:]):
        frame.put(made, str(position), value)
    for word, value in arguments.keywords:
        frame.put(made, f"={word}", value)
    return frozenset((made,))


def weak(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``weakref.ref(x)``: what gives ``x`` when it is called. A proxy is taken for the object itself."""
    if not arguments.positional:
        return calls.unknown(frame, name, arguments.all(), span, key)
    for value in arguments.positional[1:]:
        for node in value:
            if node.kind != "scalar":
                calls.call_back(frame, node, span, (key, "back", like(node)))
    frame.obstacle("a weak reference stays with its object", span)
    inner = arguments.positional[0]
    return inner if name == "weakref.proxy" else frozenset((wrap(frame, "weak", key, inner),))


def flattened(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``chain.from_iterable(lists)``: an iterator over what is in them."""
    outer = join_all(arguments.all())
    made = frame.make((key, "flattened"), types=frozenset(("itertools.chain",)))
    frame.put(made, contained.WITHIN, outer)
    frame.put(made, ELEMENTS, contained.iterate(frame, contained.contents(frame, outer), span, (key, "inner")))
    return frozenset((made,))


def super_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    made = frame.make((key, "super"), "wrapped", frozenset(), "super")
    if arguments.positional:
        frame.put(made, "class", arguments.positional[0])
        if len(arguments.positional) > 1:
            frame.put(made, "self", arguments.positional[1])
        return frozenset((made,))
    frame.put(made, "class", frame.klass)
    if frame.code.params:
        frame.put(made, "self", frame.params.get(frame.code.params[0].name, EMPTY))
    if not frame.klass:
        return calls.unknown(frame, "super()", [frame.params.get(p.name, EMPTY) for p in frame.code.params], span, key)
    return frozenset((made,))


def run_text(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``exec`` and ``eval``: any name may be bound anew."""
    frame.program.patch(f"runs code from a string ({name.removeprefix('builtins.')})", span)
    return calls.unknown(frame, name.removeprefix("builtins."), arguments.all(), span, key)


def import_by_name(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    word = operators.constant_of(arguments.positional[0]) if arguments.positional else None
    if isinstance(word, str) and not word.startswith("."):
        found = imports.reach_module(frame, word, span)
        return found if found is not None else frame.program.library(word)
    return calls.unknown(frame, name.removeprefix("builtins."), arguments.all(), span, key)


def type_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    if len(arguments.positional) != 1:
        return calls.unknown(frame, "type", arguments.all(), span, key)
    result = EMPTY
    for node in arguments.positional[0]:
        for type_name in node.each:
            if type_name.startswith("@"):
                result = join(result, frozenset((frame.program.classes[type_name].node,)))
            elif type_name != UNKNOWN:
                result = join(result, frame.program.library(type_name))
            else:
                result = join(result, frame.program.anything)
    return result or frame.program.anything


def iter_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    if len(arguments.positional) != 1:
        signature = frame.program.catalogue.function("builtins.iter")
        if signature is None:
            return calls.unknown(frame, "iter", arguments.all(), span, key)
        return library.apply_call(frame, signature, EMPTY, arguments, span, key)
    result = EMPTY
    for node in arguments.positional[0]:
        if node.kind == "object" and any(frame.program.is_iterator(t) or t == UNKNOWN for t in node.each):
            result = join(result, frozenset((node,)))
        own = [t for t in node.types if t.startswith("@")]
        for type_name in own:
            method = access.look_up(frame, frame.program.classes[type_name].node, "__iter__", span)
            if method:
                made = calls.call(frame, method, [frozenset((node,))], {}, span, (key, "iter", like(node)))
                result = join(result, made)
        if any(not t.startswith("@") and not frame.program.is_iterator(t) for t in node.types or ("?",)):
            made_node = frame.make((key, "iterator"), types=frozenset(("builtins.iterator",)))
            held = frame.field(node, KEYS) if node.types == {"builtins.dict"} else EMPTY
            frame.put(made_node, ELEMENTS, held or contained.contents(frame, frozenset((node,))))
            frame.put(made_node, "<kept>", frozenset((node,)))
            result = join(result, frozenset((made_node,)))
    return result


def next_(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    if not arguments.positional:
        return calls.unknown(frame, "next", arguments.all(), span, key)
    value = arguments.positional[0]
    result = join_all(arguments.positional[1:])
    rest: set[Node] = set()
    for node in value:
        for type_name in node.each:
            if type_name.startswith("@"):
                method = access.look_up(frame, frame.program.classes[type_name].node, "__next__", span)
                made = calls.call(frame, method, [frozenset((node,))], {}, span, (key, "next", like(node)))
                result = join(result, made)
            else:
                rest.add(node)
    what = arguments.names[0] if arguments.names else ""
    for node in rest:
        if node.kind == "object":
            text = f"{frame.where}: next() uses up '{what}'" if frame.where else f"next() uses up '{what}'"
            frame.write(library.touched(frame, node), text, span)
            for other in library.touched(frame, node):
                calls.run_deferred(frame, other, span)
        result = join(result, contained.contents(frame, frozenset((node,))))
    return result


def namedtuple(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``namedtuple("Point", "x y")``."""
    word = operators.constant_of(arguments.positional[0]) if arguments.positional else None
    title = word if isinstance(word, str) else "namedtuple"
    full = f"@{frame.module}:{title}@{span.line}:{span.column}"
    info = frame.program.classes.get(full)
    if info is None:
        node = Node("class", name=title)
        info = frame.program.classes[full] = ClassInfo(full, frame.module, 0, title, node)
        info.flavour = "namedtuple"
        node.data = info
        spelled = operators.constant_of(arguments.positional[1]) if len(arguments.positional) > 1 else None
        if isinstance(spelled, str):
            info.order = spelled.replace(",", " ").split()
        elif len(arguments.positional) > 1:
            for holder in arguments.positional[1]:
                words = [operators.constant_of(v) for f, v in sorted(holder.fields.items()) if f.isdigit()]
                info.order = [w for w in words if isinstance(w, str)]
    return frozenset((info.node,))


def os_path(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``os.path.join`` of constants is a constant."""
    parts = [operators.constant_of(v) for v in arguments.positional]
    if arguments.more is None and parts and all(isinstance(p, str) for p in parts):
        return frame.program.constant("/".join(str(p) for p in parts))
    return frame.program.scalar("builtins.str")


def path(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``pathlib.Path(...)``: of constants, a path that is known; of one parameter, one that is that parameter's."""
    if arguments.more is None and len(arguments.positional) == 1:
        made = EMPTY
        for node in arguments.positional[0]:
            if node.kind == "scalar" and node.path is not None:
                symbol = frame.make((key, node), "scalar", frozenset((name,)), None, True)
                symbol.path = node.path
                made = join(made, frozenset((symbol,)))
            elif node.kind == "scalar" and node.data and isinstance(node.data[0], str):
                made = join(made, operators.path_constant(frame, node.data[0], frozenset((name,))))
            else:
                made = join(made, frame.program.scalar(name))
        return made
    parts = [operators.constant_of(v) for v in arguments.positional]
    if arguments.more is None and all(isinstance(p, str) for p in parts):
        return operators.path_constant(frame, "/".join(str(p) for p in parts) or ".", frozenset((name,)))
    return frame.program.scalar(name)


def deep_copy(frame: Frame, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``copy.deepcopy``: the same shape, of new objects; ``copy.copy``: a new object that holds the same."""
    value = arguments.positional[0] if arguments.positional else join_all(v for _, v in arguments.keywords)
    library.use_special(frame, value, ("__deepcopy__", "__copy__", "__reduce__", "__getstate__", "__setstate__"), span)
    if name == "copy.copy":
        result = join(
            frozenset(n for n in value if n.kind != "object"), own_copies(frame, value, "__copy__", span, key)
        )
        for node in value - result:
            made = copied(frame, node, (key, "copy", tuple(sorted(node.types))))
            for field_name in list(node.fields):
                if field_name != BELOW:
                    frame.put(made, field_name, frame.field(node, field_name))
            if BELOW in node.fields or not frame.complete(node):
                frame.put(made, ELEMENTS, contained.contents(frame, frozenset((node,))))
            result = join(result, frozenset((made,)))
        return result
    copies: dict[Node, Node] = {}
    stack: list[tuple[Node, tuple[str, ...]]] = [(n, ()) for n in value if n.kind == "object"]
    while stack:
        node, path = stack.pop()
        if node in copies:
            continue
        copies[node] = copied(frame, node, (key, "copy", path[:4], tuple(sorted(node.types))))
        for field_name, held in list(node.fields.items()):
            if field_name != BELOW:
                stack.extend((n, (*path, field_name)) for n in held if n.kind == "object")
    memo = contained.contents(frame, frozenset(n for v in arguments.positional[1:] for n in v if n.kind == "object"))

    def renewed(held: Value) -> Value:
        own = own_copies(frame, held, "__deepcopy__", span, key)
        return join_all((frozenset(copies.get(n, n) for n in held), own, memo))

    for node, made in copies.items():
        for field_name in list(node.fields):
            if field_name != BELOW:
                frame.put(made, field_name, renewed(frame.field(node, field_name)))
        if not frame.complete(node) and not frame.field(node, ELEMENTS):
            frame.put(made, ELEMENTS, frame.below(made))
    return renewed(value)


def own_copies(frame: Frame, value: Value, method: str, span: Span, key: Any) -> Value:
    """What classes of the project give as copies of their instances."""
    result = EMPTY
    for type_name, nodes in access.by_type(value).items() if frame.field(frame.program.table, method) else ():
        if type_name.startswith("@"):
            found = access.look_up(frame, frame.program.classes[type_name].node, method, span)
            given = [nodes, frame.program.anything] if method == "__deepcopy__" else [nodes]
            result = join(result, calls.call(frame, found, given, {}, span, (key, method, type_name)))
    return result


def copied(frame: Frame, node: Node, key: Any) -> Node:
    made = frame.make(key, "object", node.types, node.data, node.immutable)
    if made.data != node.data:
        made.data = None
    return made


UNCHANGED = frozenset(
    (
        "typing.final",
        "typing.overload",
        "typing.no_type_check",
        "typing.runtime_checkable",
        "typing.override",
        "typing.cast",
        "typing.assert_type",
        "typing_extensions.override",
        "typing_extensions.final",
        "abc.abstractmethod",
        "functools.total_ordering",
        "enum.unique",
    )
)
"""Functions that give back their last argument."""

HANDLERS: dict[str, Handler] = {
    "builtins.super": super_,
    "builtins.property": wrapper("property"),
    "builtins.staticmethod": wrapper("staticmethod"),
    "builtins.classmethod": wrapper("classmethod"),
    "functools.cached_property": cached_property,
    "functools.lru_cache": cached,
    "functools.cache": cached,
    "functools.wraps": identity_decorator,
    "functools.update_wrapper": update_wrapper,
    "functools.partial": partial,
    "weakref.ref": weak,
    "weakref.WeakMethod": weak,
    "weakref.proxy": weak,
    "itertools.chain.from_iterable": flattened,
    "contextlib.contextmanager": wrapper("contextmanager"),
    "dataclasses.dataclass": dataclass,
    "dataclasses.field": field,
    "attrs.define": dataclass,
    "attrs.mutable": dataclass,
    "attrs.frozen": dataclass,
    "attr.s": dataclass,
    "attr.define": dataclass,
    "attr.frozen": dataclass,
    "attrs.field": field,
    "attr.ib": field,
    "builtins.exec": run_text,
    "builtins.eval": run_text,
    "builtins.__import__": import_by_name,
    "importlib.import_module": import_by_name,
    "builtins.type": type_,
    "builtins.iter": iter_,
    "builtins.next": next_,
    "collections.namedtuple": namedtuple,
    "copy.deepcopy": deep_copy,
    "copy.copy": deep_copy,
    "os.path.join": os_path,
    "posixpath.join": os_path,
    "pathlib.Path": path,
    "pathlib.PurePath": path,
}
