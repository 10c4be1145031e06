"""Operators, truth, context managers and handlers: the special methods that they call, or what they make.

a + b        a fresh object, or what __add__ of a class of the project gives
with m as x: what __enter__ gives, and what __exit__ does
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Signature
from inferflow.analysis.effects import access, by_name, calls, contained, library
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import CAUGHT, ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, like
from inferflow.model import Span

NUMBERS = frozenset(f"builtins.{name}" for name in ("int", "float", "complex", "bool"))
COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
SPECIAL = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "<<": "lshift", ">>": "rshift", "&": "and", "|": "or", "^": "xor",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
    "u-": "neg", "u+": "pos", "~": "invert",
}  # fmt: skip
REFLECTED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def operate(frame: Frame, op: ir.Operate, values: list[Value]) -> Value:
    """An operator."""
    program = frame.program
    if op.op == "is" or op.op == "is not":
        return program.scalar("builtins.bool")
    if op.op in ("not", "isinstance"):
        truth(frame, values[0], op.span)
        return program.scalar("builtins.bool")
    if op.op == "format":
        implicit(frame, values[0], ("__format__", "__str__", "__repr__"), op.span)
        return program.scalar("builtins.str")
    if op.op in ("in", "not in"):
        return membership(frame, op, values)
    if all(n.kind == "scalar" for v in values for n in v):
        return scalar_result(frame, op.op, values)
    if op.op == "%" and any("builtins.str" in n.types for n in values[0]):
        shown = join(values[1], contained.contents(frame, values[1]))
        implicit(frame, shown, ("__str__", "__repr__", "__float__", "__int__", "__index__"), op.span)
    return general(frame, op, values)


def scalar_result(frame: Frame, op: str, values: list[Value]) -> Value:
    program = frame.program
    if op in COMPARISONS and all(t in NUMBERS or t == "builtins.str" for v in values for n in v for t in n.types):
        return program.scalar("builtins.bool")
    types = {t for v in values for n in v for t in n.types}
    if op == "/" and any(t.startswith("pathlib.") for t in types):
        return join_path(frame, values)
    if len(types) == 1:
        only = next(iter(types))
        if only in ("builtins.str", "builtins.bytes") and op in ("+", "*", "%"):
            if op == "+" and only == "builtins.str":
                return joined_text(frame, values)
            return program.scalar(only)
        if only in ("builtins.int", "builtins.bool"):
            return program.scalar("builtins.float" if op == "/" else "builtins.int" if op != "**" else "builtins.float")
        if only == "builtins.float":
            return program.scalar(only)
    if types <= NUMBERS and "builtins.complex" not in types:
        return program.scalar("builtins.float")
    if "builtins.str" in types and op in ("%", "*"):
        return program.scalar("builtins.str")
    return program.anything


def joined_text(frame: Frame, values: list[Value]) -> Value:
    parts = [constant_of(v) for v in values]
    if all(isinstance(p, str) for p in parts):
        return frame.program.constant("".join(parts))  # type: ignore[arg-type]
    return frame.program.scalar("builtins.str")


def constant_of(value: Value) -> object:
    """The literal that a value is, or ``None``."""
    if len(value) == 1:
        node = next(iter(value))
        if node.kind == "scalar" and node.data:
            return node.data[0]
    return None


def join_path(frame: Frame, values: list[Value]) -> Value:
    parts = [constant_of(v) for v in values]
    paths = [n for v in values for n in v if any(t.startswith("pathlib.") for t in n.types)]
    types = frozenset(t for n in paths for t in n.types if t.startswith("pathlib."))
    if all(isinstance(p, str) for p in parts):
        return path_constant(frame, "/".join(str(p) for p in parts), types)
    return frame.program.scalar(sorted(types)[0])


def path_constant(frame: Frame, text: str, types: frozenset[str]) -> Value:
    """A path object of which we know what it names."""
    key = ("path", text, types)
    node = frame.program.interned(key)
    node.types = types
    node.immutable = True
    node.data = (text,)
    return frozenset((node,))


def membership(frame: Frame, op: ir.Operate, values: list[Value]) -> Value:
    left, right = values
    implicit(frame, left, ("__eq__", "__hash__"), op.span)
    for node in right:
        for type_name in node.each:
            if type_name.startswith("@"):
                cls = frame.program.classes[type_name].node
                method = access.look_up(frame, cls, "__contains__", op.span)
                me = frozenset((node,))
                if method:
                    calls.call(frame, method, [me, left], {}, op.span, ("in", access.site(op), like(node)))
                else:
                    contained.iterate(frame, me, op.span, ("in", access.site(op)), op.operands[1])
            elif type_name == UNKNOWN and node.kind != "scalar":
                contained.dunder(
                    frame, "__contains__", [frozenset((node,)), left], op.span, ("in", access.site(op), like(node))
                )
                contained.use_up(frame, node, op.span, op.operands[1], True)
            elif frame.program.is_iterator(type_name):
                contained.use_up(frame, node, op.span, op.operands[1], False)
        if node.kind == "state":
            access.use_state(frame, "read", node, op.span)
        implicit(frame, contained.contents(frame, frozenset((node,))), ("__eq__",), op.span)
    return frame.program.scalar("builtins.bool")


def general(frame: Frame, op: ir.Operate, values: list[Value]) -> Value:
    """An operator on something that is no scalar."""
    program = frame.program
    base = SPECIAL.get(op.op, "")
    result = EMPTY
    plain: list[Value] = []
    own = False
    for position, value in enumerate(values):
        reflected = position == 1
        names: tuple[str, ...] = (f"__{REFLECTED.get(base) or 'r' + base}__",) if reflected else (f"__{base}__",)
        if op.inplace and not reflected:
            names = (f"__i{base}__", f"__{base}__")
        others = [values[1 - position]] if len(values) == 2 else []
        for type_name, nodes in access.by_type(value).items():
            arguments = [nodes, *others]
            if type_name.startswith("@"):
                cls = program.classes[type_name].node
                for name in names:
                    method = access.look_up(frame, cls, name, op.span)
                    if method:
                        own = True
                        made = calls.call(frame, method, arguments, {}, op.span, (name, access.site(op), type_name))
                        result = join(result, made)
                        break
            elif type_name == UNKNOWN:
                for name in names:
                    made = contained.dunder(frame, name, arguments, op.span, (name, access.site(op), type_name))
                    result = join(result, made)
        plain.append(
            frozenset(
                n for n in value if not (n.types and all(t.startswith("@") and not holds(frame, t) for t in n.types))
            )
        )
    if op.inplace:
        changed = in_place(frame, op, values[0], values[1])
        result = join(result, changed)
        if changed == values[0] and all(
            t in contained.PURE_CONTAINERS or program.has_cells(t) for n in changed for t in n.types
        ):
            return result
    if not own or any(plain):
        result = join(result, fresh_result(frame, op, plain if any(plain) else values))
    return result


def holds(frame: Frame, type_name: str) -> bool:
    """Whether instances of a class of the project have the operators of a library type."""
    cls = frame.program.classes[type_name].node
    return frame.program.flavour(cls) == "namedtuple" or bool(frame.program.foreign_bases(cls))


def in_place(frame: Frame, op: ir.Operate, target: Value, other: Value) -> Value:
    """``x += y`` on what can change: it does, and takes the elements of ``y`` in."""
    changed = frozenset(n for n in target if n.kind == "object" and not n.immutable and plain_type(n))
    states = [n for n in target if n.kind == "state"]
    for node in states:
        access.use_state(frame, "write", node, op.span)
    if changed:
        what = frame.say(op.operands[0])
        text = (
            f"{frame.where} changes '{what}' in place ({op.op}=)"
            if frame.where
            else f"changes '{what}' in place ({op.op}=)"
        )
        frame.write(changed, text, op.span)
        taken = (
            contained.iterate(frame, other, op.span, ("inplace", access.site(op)), op.operands[1])
            if op.op in ("+", "|")
            else EMPTY
        )
        for node in changed:
            if not any(map(frame.program.has_cells, node.types)):
                frame.put(node, ELEMENTS, taken)
                if contained.is_mapping(frame, node):
                    keys, values = contained.mapped(frame, other, op.span, ("inplace", access.site(op), "mapped"))
                    frame.put(node, KEYS, keys)
                    frame.put(node, ELEMENTS, values)
    return changed


def plain_type(node: Node) -> bool:
    return not all(t.startswith("@") for t in node.each) if node.types else True


def fresh_result(frame: Frame, op: ir.Operate, values: list[Value]) -> Value:
    """What an operator of library types gives: something new that may hold the elements of the operands."""
    program = frame.program
    program.costly = True
    nodes = [n for v in values for n in v if n.kind != "scalar"]
    types = frozenset(t for n in nodes for t in n.types)
    if op.op in COMPARISONS and types <= contained.PURE_CONTAINERS:
        for value in values:
            implicit(frame, contained.contents(frame, value), ("__eq__", "__lt__"), op.span)
        return program.scalar("builtins.bool")
    if not nodes:
        return scalar_result(frame, op.op, values)
    if types and all(map(program.has_cells, types)):
        best = sorted(types, key=lambda t: (t.rpartition(".")[2] not in ("DataFrame", "Series"), t))[:1]
        return frozenset((frame.make(("operate", access.site(op)), types=frozenset(best)),))
    immutable = bool(types) and all(map(program.is_immutable, types))
    made = frame.make(("operate", access.site(op)), types=types or frozenset((UNKNOWN,)), immutable=immutable)
    for node in nodes:
        frame.put(made, ELEMENTS, contained.held(frame, node))
        frame.put(made, KEYS, frame.field(node, KEYS))
    return frozenset((made,))


def truth(frame: Frame, value: Value, span: Span) -> None:
    """Testing a value runs ``__bool__`` or ``__len__``."""
    implicit(frame, value, ("__bool__", "__len__"), span)


def implicit(frame: Frame, value: Value, methods: Iterable[str], span: Span) -> None:
    """Special methods that something runs on a value by itself, if a class of the project has them."""
    for node in value:
        if node.kind != "object":
            continue
        for type_name in node.each:
            if type_name.startswith("@"):
                for name in methods:
                    found = access.look_up(frame, frame.program.classes[type_name].node, name, span)
                    if found:
                        extra = (
                            [frame.program.anything]
                            if name not in ("__bool__", "__len__", "__str__", "__repr__", "__hash__")
                            else []
                        )
                        me = frozenset((node,))
                        calls.call(
                            frame, found, [me, *extra], {}, span, ("implicit", name, span.line, span.column, like(node))
                        )


# -- context managers, exceptions ------------------------------------------------------------------


def enter(frame: Frame, value: Value, span: Span, key: Any) -> Value:
    """What ``with value as x`` binds."""
    result = EMPTY
    for node in value:
        for type_name in node.each or (UNKNOWN,):
            if type_name.startswith("@"):
                cls = frame.program.classes[type_name].node
                method = access.look_up(frame, cls, "__enter__", span)
                awaited = access.look_up(frame, cls, "__aenter__", span)
                me = frozenset((node,))
                if awaited:
                    made = calls.call(frame, awaited, [me], {}, span, (key, like(node), "awaited"))
                    result = join(result, contained.contents(frame, made))
                if method:
                    result = join(result, calls.call(frame, method, [me], {}, span, (key, like(node))))
                elif not awaited:
                    result = join(result, me)
                    frame.obstacle("enters a context manager of unknown effect", span)
            elif node.kind == "scalar":
                result = join(result, frozenset((node,)))
            else:
                signature = None if type_name == UNKNOWN else _method(frame, type_name, "__enter__", "__aenter__")
                if signature is not None:
                    made = library.apply(frame, signature, frozenset((node,)), [], {}, span, (key, like(node)), "with")
                    result = join(result, made)
                else:
                    result = join(result, frozenset((node,)))
                    if type_name == UNKNOWN and node.kind == "object":
                        calls.unknown(frame, "a context manager", [frozenset((node,))], span, (key, like(node)))
                        result = join(result, frame.below(node))
    return result


def _method(frame: Frame, type_name: str, *names: str) -> Signature | None:
    """The first of these methods that instances of a library's class have."""
    found = [frame.program.method(type_name, name) for name in names]
    return next((signature for signature in found if signature is not None), None)


def leave(frame: Frame, value: Value, span: Span, key: Any) -> None:
    """The end of a ``with`` block."""
    for node in value:
        calls.run_deferred(frame, node, span)
        for kept in frame.field(node, "<kept>"):
            calls.run_deferred(frame, kept, span)
        for type_name in node.each:
            me = frozenset((node,))
            if type_name.startswith("@"):
                nothing = frame.program.anything
                for name in ("__exit__", "__aexit__"):
                    method = access.look_up(frame, frame.program.classes[type_name].node, name, span)
                    if method:
                        calls.call(frame, method, [me, nothing, nothing, nothing], {}, span, (key, like(node), name))
            elif type_name != UNKNOWN and node.kind == "object":
                signature = _method(frame, type_name, "__exit__", "__aexit__")
                if signature is not None:
                    library.apply(frame, signature, me, [], {}, span, (key, like(node)), "with")
                if type_name == "contextlib.closing":
                    closing = by_name.Named((key, "close"), "close", span)
                    close = access.attribute(frame, contained.held(frame, node), "close", closing)  # type: ignore[arg-type]
                    calls.invoke(frame, close, calls.Arguments(says="close"), span, (key, "close"))


def exception(frame: Frame, handler: ir.Handler) -> Node:
    """The caught exception."""
    types = frozenset(("builtins.Exception",))
    caught = frame.temps.get(handler.ops[-1].out if handler.ops and hasattr(handler.ops[-1], "out") else -1, EMPTY)
    own = frozenset(n.data.key for n in caught if n.kind == "class")
    return frame.make(("caught", handler.caught, id(handler)), data=CAUGHT, types=own or types)
