"""Reading and changing the parts of objects: attributes, items, elements, operators, context managers.

Each function takes what an object may be apart by kind: an instance of a class of the project (whose special methods
are called), one of a library type (what the catalogue says), or one of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Signature
from inferflow.analysis.effects import calls, imports, library, plain
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import BELOW, ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, join_all, like
from inferflow.model import Hidden, Span, Variable, World

PURE_CONTAINERS = frozenset(
    f"builtins.{name}"
    for name in ("list", "tuple", "set", "frozenset", "dict", "dict_keys", "dict_values", "dict_items")
)
DEEPEST_NAME = 5
"""Parts of a dotted name that are told."""
NUMBERS = frozenset(f"builtins.{name}" for name in ("int", "float", "complex", "bool"))
COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
SPECIAL = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod", "**": "pow", "@": "matmul",
    "<<": "lshift", ">>": "rshift", "&": "and", "|": "or", "^": "xor",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
    "u-": "neg", "u+": "pos", "~": "invert",
}  # fmt: skip
REFLECTED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def site(op: Any) -> Any:
    """What tells the nodes made by one operation from those of others."""
    key = getattr(op, "at", None)
    return id(op) if key is None else key


# -- attributes ------------------------------------------------------------------------------------


def attribute(frame: Frame, value: Value, name: str, op: ir.Attr) -> Value:
    """``obj.name``. Where it may be a method of something unknown, ``frame.members`` remembers that for the call."""
    result = EMPTY
    called: list[tuple[Node, str]] = []
    for node in value:
        match node.kind:
            case "module":
                result = join(result, module_attribute(frame, node, name, op.span))
            case "lib":
                result = join(result, lib_attribute(frame, node, name, op))
            case "class":
                result = join(result, class_attribute(frame, node, name, op))
            case "object" | "scalar" | "state":
                unlisted_types = 0
                for type_name in node.each or (UNKNOWN,):
                    found = instance_attribute(frame, node, type_name, name, op)
                    if found is None:
                        unlisted_types += 1
                    else:
                        result = join(result, found)
                # where one of several library types has the name, it is not of a type that lacks it
                if unlisted_types and (unlisted_types == max(len(node.types), 1) or not of_libraries(node)):
                    called.append((node, name))
            case "wrapped" if name in ("setter", "getter", "deleter", "register", "cache_clear", "cache_info"):
                result = join(result, bound(frame, name, frozenset((node,)), ("wrapped", site(op), name)))
            case "wrapped" if node.data == "super":
                result = join(result, super_attribute(frame, node, name, op))
            case "function" | "wrapped" | "bound":
                if name in node.fields:
                    result = join(result, frame.field(node, name))
                elif name in ("__wrapped__", "__func__", "func"):
                    result = join(result, frame.field(node, "inner") or frozenset((node,)))
                elif name in FUNCTION_PARTS:
                    result = join(result, inside_of(frame, node, name, op.span))
                else:
                    result = join(result, frame.program.anything)
            case _:
                result = join(result, frame.program.anything)
    if result:
        called = [(node, known) for node, known in called if not of_libraries(node)]
    if called:
        plain = result
        for node, _ in called:
            result = join(result, unlisted(frame, node, name))
        frame.members[op.out] = (plain, called)
    else:
        frame.members.pop(op.out, None)
    return result


FUNCTION_PARTS = frozenset(("__globals__", "__closure__", "__defaults__", "__kwdefaults__", "__dict__"))
"""Attributes of a function that lead to what it holds."""


def inside_of(frame: Frame, node: Node, name: str, span: Span) -> Value:
    """What a function is made of: who holds that can change anything that the function reads."""
    program = frame.program
    if name == "__globals__" and node.kind == "function" and node.data[0] in program.modules:
        note_all(frame, program.modules[node.data[0]], span)
        return frozenset((program.modules[node.data[0]],))
    program.patch(f"takes {name} of a function", span)
    return program.anything


def note_all(frame: Frame, module: Node, span: Span) -> None:
    """Someone looks at the globals of a module as a whole: any of them may be read."""
    from inferflow.analysis.effects import run

    if not frame.root:
        for name, value in list(module.fields.items()):
            run.note_global(frame, "read", module.data, name, value, span)


def of_libraries(node: Node) -> bool:
    """Whether all types that it may have are known ones of libraries."""
    return all(t != UNKNOWN and not t.startswith("@") for t in node.types)


def unlisted(frame: Frame, node: Node, name: str) -> Value:
    """An attribute of which nothing is known: what was stored there, or something below the object."""
    stored = frame.field(node, name) if node.kind == "object" else EMPTY
    if stored and node.owner is frame.token and node.path is None:
        return stored
    return join(stored, frame.below(node))


def module_attribute(frame: Frame, node: Node, name: str, span: Span) -> Value:
    from inferflow.analysis.effects import run

    value = frame.field(node, name)
    if value:
        if not frame.root:
            run.note_global(frame, "read", node.data, name, value, span)
        return value
    if name == "__dict__":
        note_all(frame, node, span)
        return frozenset((node,))
    inner = imports.submodule(frame, node.data, name)
    if inner is not None:
        return inner
    return frame.program.anything


def lib_attribute(frame: Frame, node: Node, name: str, op: ir.Attr) -> Value:
    """``numpy.random``, ``list.append``, ``Path.home``."""
    program = frame.program
    if node.types:
        return join_all(instance_attribute(frame, node, t, name, op) or program.anything for t in node.each)
    value = program.library(f"{node.data}.{name}")
    for found in value:
        if found.kind == "state":
            use_state(frame, "read", found, op.span)
        elif found.kind == "lib":
            facts(frame, found.data, op.span)
    return value


def facts(frame: Frame, name: str, span: Span) -> None:
    """What merely reading a library's global does."""
    info = frame.program.catalogue.constant(name)
    if info is not None:
        for use in info.hidden:
            library.hidden(frame, use.mode, use.state, name, span)


def use_state(frame: Frame, mode: str, node: Node, span: Span) -> None:
    """A hidden state that has a name (``os.environ``) is used."""
    library.hidden(frame, mode, node.data, node.name, span)


def bound(frame: Frame, data: Any, receiver: Value, key: Any) -> Value:
    node = frame.make(key, "bound", frozenset(), data)
    node.data = data
    frame.put(node, "self", receiver)
    return frozenset((node,))


def class_attribute(frame: Frame, node: Node, name: str, op: ir.Attr) -> Value:
    """``Class.name``."""
    found = look_up(frame, node, name, op.span)
    result = EMPTY
    for part in found:
        result = join(result, described(frame, part, EMPTY, frozenset((node,)), op))
    if found:
        return result
    if name in ("__name__", "__qualname__", "__module__", "__doc__"):
        return frame.program.scalar("builtins.str")
    if name in ("__class__", "__mro__", "__bases__", "__dict__", "__annotations__", "__members__"):
        return frame.program.anything
    if frame.program.flavour(node) == "enum":
        return frame.program.scalar(node.data.key)
    for base in frame.program.foreign_bases(node):
        result = join(result, frame.program.library(f"{base}.{name}"))
    return result or frame.program.library(f"builtins.type.{name}")


def look_up(frame: Frame, cls: Node, name: str, span: Span) -> Value:
    """An attribute of a class or of its bases; reading a variable of a class is an effect."""
    for node in frame.program.mro(cls):
        value = frame.field(node, name)
        if value:
            if any(n.kind not in ("function", "wrapped", "class", "lib") for n in value) and not name.startswith("__"):
                info = node.data
                place = Variable(f"{info.module}.{info.name}", name)
                frame.note("read", place, f"{frame.where or 'code'} reads '{info.name}.{name}'", span)
                for part in value:
                    if part.mutable:
                        frame.note("read", part, f"{frame.where or 'code'} reads '{info.name}.{name}'", span)
            return value
    return EMPTY


def described(frame: Frame, part: Node, instance: Value, cls: Value, op: Any) -> Value:
    """What a class attribute gives when read through an instance (or, with none, through the class)."""
    key = ("bound", site(op), like(part))
    if part.kind == "wrapped":
        inner = frame.field(part, "inner")
        match part.data:
            case "staticmethod":
                return inner
            case "classmethod":
                return join_all(bound(frame, f, cls, (*key, like(f))) for f in inner)
            case "property":
                if not instance:
                    return frozenset((part,))
                return calls.call(
                    frame, inner, [instance], {}, op.span, ("get", site(op), like(part)), says=op_name(op)
                )
            case "field":
                return EMPTY
            case "cached":
                if instance:
                    return bound(frame, part, instance, key)
                return frozenset((part,))
            case _:
                return bound(frame, part, instance, key) if instance else frozenset((part,))
    if part.kind == "function" and instance:
        return bound(frame, part, instance, key)
    return frozenset((part,))


def op_name(op: Any) -> str:
    name = getattr(op, "name", "")
    return name if isinstance(name, str) else ""


def instance_attribute(frame: Frame, node: Node, type_name: str, name: str, op: Any) -> Value | None:
    """An attribute of an instance of one type; ``None`` if nothing is known of it."""
    if type_name.startswith("@"):
        return own_attribute(frame, node, frame.program.classes[type_name].node, name, op)
    if type_name == UNKNOWN:
        if node.kind == "scalar":
            return bound(frame, ("pure", name), frozenset((node,)), ("pure", site(op), like(node)))
        return None
    program = frame.program
    signature = program.method(type_name, name)
    if signature is not None:
        return bound(frame, signature, frozenset((node,)), ("method", site(op), like(node), type_name))
    info = program.catalogue.attribute(type_name, name)
    if info is not None:
        return library.attribute_value(frame, node, info, name, op.span)
    if name == "__class__":
        return program.library(type_name)
    if name in ("__dict__", "__doc__", "__name__", "__module__"):
        return program.anything if name != "__dict__" else frozenset((node,))
    if node.kind == "scalar":
        return bound(frame, ("pure", name), frozenset((node,)), ("pure", site(op), like(node)))
    return None


def own_attribute(frame: Frame, node: Node, cls: Node, name: str, op: Any) -> Value | None:
    """An attribute of an instance of a class of the project."""
    program = frame.program
    me = frozenset((node,))
    classes = frozenset((cls,))
    if name == "":
        return join_all(v for f, v in list(node.fields.items()) if not f.startswith("<")) or frame.below(node)
    result = frame.field(node, name)
    if not result or not node.immutable:
        for part in look_up(frame, cls, name, op.span):
            result = join(result, described(frame, part, me, classes, op))
    if result:
        return result
    if name == "__class__":
        return classes
    if name == "__dict__":
        return me
    if program.flavour(cls) == "enum":
        return program.anything
    if program.flavour(cls) == "namedtuple" and name in cls.data.order:
        return frame.field(node, str(cls.data.order.index(name))) or frame.below(node)
    getter = look_up(frame, cls, "__getattr__", op.span)
    if getter:
        return calls.call(
            frame, getter, [me, program.scalar("builtins.str")], {}, op.span, ("getattr", site(op), like(node))
        )
    if program.flavour(cls) == "namedtuple":  # _replace and its like
        return None
    for base in program.foreign_bases(cls):
        found = instance_attribute(frame, node, base, name, op)
        if found is not None:
            return found
    if program.foreign_bases(cls) or program.is_opaque(cls):
        return None
    if frame.complete(node):
        return EMPTY
    return frame.below(node)


def super_attribute(frame: Frame, node: Node, name: str, op: Any) -> Value:
    """``super().name``."""
    program = frame.program
    instance = frame.field(node, "self")
    result = EMPTY
    for cls in frame.field(node, "class"):
        if cls.kind != "class":
            continue
        found = EMPTY
        for base in program.mro(cls)[1:]:
            found = frame.field(base, name)
            if found:
                break
        for sub in program.classes.values():
            # with several bases, what follows this class may be another branch of the receiver's family
            if len(sub.bases) > 1 and cls in program.mro(sub.node):
                for other in program.mro(sub.node)[1:]:
                    if other is not cls:
                        found = join(found, frame.field(other, name))
        for part in found:
            if part.kind == "function" and name == "__new__":
                result = join(result, frozenset((part,)))
            else:
                result = join(result, described(frame, part, instance, frozenset((cls,)), op))
        if found:
            continue
        bases = program.foreign_bases(cls)
        if name in ("__init__", "__init_subclass__", "__setattr__", "__enter__", "__exit__", "__post_init__") and all(
            program.type(b) is not None for b in bases
        ):
            result = join(result, bound(frame, ("super", name), instance, ("super", site(op), name)))
        elif name == "__new__":
            result = join(result, bound(frame, ("new", cls), instance, ("super", site(op), name)))
        elif not bases:
            result = join(result, bound(frame, ("pure", name), instance, ("super", site(op), name)))
        for owner in bases:
            signature = program.method(owner, name)
            if signature is not None:
                result = join(result, bound(frame, signature, instance, ("super", site(op), name, owner)))
            elif name not in ("__init__", "__new__") or program.type(owner) is None:
                result = join(result, bound(frame, ("unknown", name), instance, ("super", site(op), name, owner)))
    return result


OF_THE_PROCESS = {
    "decimal.Context": "decimal.context",
    "logging.Logger": "logging",
    "logging.RootLogger": "logging",
    "logging.Handler": "logging",
    "logging.StreamHandler": "logging",
    "logging.FileHandler": "logging",
}
"""Types of objects that are, or may be, part of a hidden state: who sets their attributes changes that."""


def store_attribute(frame: Frame, value: Value, name: str, stored: Value, op: Any) -> None:
    """``obj.name = stored``."""
    what = frame.say(op.obj) if isinstance(op, ir.StoreAttr | ir.DelAttr) else ""
    program = frame.program
    for node in value:
        if node.kind == "module":
            patches_module(frame, node, name, stored, op.span)
        elif node.kind == "lib":
            if node.types:
                library.mutated_library(frame, node, op.span)
            elif stored and all(part.kind == "scalar" for part in stored):
                # No function is replaced by a number or a text: it is a setting, on which anything may depend.
                frame.note("write", World("anything"), f"sets {node.data}.{name}", op.span)
            else:
                parts = node.data.split(".")
                where = ".".join(parts if len(parts) < DEEPEST_NAME else [*parts[:DEEPEST_NAME], "..."])
                program.patch(f"monkey-patches {where}.{name}", op.span)
                frame.obstacle(f"monkey-patches {where}.{name}", op.span)
                frame.note("write", Hidden(where), f"monkey-patches {where}.{name}", op.span)
        elif node.kind == "class":
            set_class_attribute(frame, node, name, stored, op.span)
        elif node.kind == "function":
            module, scope = node.data
            place = Variable(f"{module}.{program.project.modules[module].scopes[scope].qualname}", name)
            frame.note("write", place, f"{frame.where or 'code'} sets '{what}.{name}'", op.span)
            frame.put(node, name, stored)
        elif node.kind == "state":
            use_state(frame, "write", node, op.span)
        elif node.kind == "object":
            for type_name in node.each:
                if type_name.startswith("@"):
                    set_own_attribute(frame, node, program.classes[type_name].node, name, stored, op)
                elif type_name in OF_THE_PROCESS:
                    library.hidden(frame, "write", OF_THE_PROCESS[type_name], f"{what}.{name} =", op.span)
            frame.put(node, name, stored)
            plain.unsettle(node)
            text = f"{frame.where} sets '{what}.{name}'" if frame.where else f"sets '{what}.{name}'"
            frame.write((node,), text, op.span)


def set_own_attribute(frame: Frame, node: Node, cls: Node, name: str, stored: Value, op: Any) -> None:
    """Property setters and ``__setattr__`` of the class run."""
    me = frozenset((node,))
    for part in look_up(frame, cls, name, op.span):
        if part.kind == "wrapped" and part.data == "property":
            setter = frame.field(part, "setter")
            calls.call(frame, setter, [me, stored], {}, op.span, ("set", site(op), like(part)))
        elif part.kind == "object":
            for type_name in part.each:
                if type_name.startswith("@"):
                    setter = look_up(frame, frame.program.classes[type_name].node, "__set__", op.span)
                    given = [frozenset((part,)), me, stored]
                    calls.call(frame, setter, given, {}, op.span, ("set", site(op), like(part)))
    hook = look_up(frame, cls, "__setattr__", op.span)
    if hook:
        calls.call(frame, hook, [me, frame.program.scalar("builtins.str"), stored], {}, op.span, ("setattr", site(op)))


def set_class_attribute(frame: Frame, node: Node, name: str, stored: Value, span: Span) -> None:
    """``Class.name = stored``: a variable of the class; replacing a method is monkey-patching."""
    info = node.data
    if any(n.kind in ("function", "wrapped", "bound") for n in stored) and not (frame.root and frame.kind == "module"):
        frame.program.patch(f"monkey-patches {info.name}.{name}", span)
    frame.note(
        "write",
        Variable(f"{info.module}.{info.name}", name),
        f"{frame.where or 'code'} sets '{info.name}.{name}'",
        span,
    )
    frame.put(node, name, stored)
    for part in stored:
        if part.kind in ("function", "wrapped"):
            frame.put(frame.program.table, name, frozenset((part,)))


def patches_module(frame: Frame, node: Node, name: str, stored: Value, span: Span) -> None:
    """``module.name = stored``: a global of the project; replacing a function is monkey-patching."""
    old = frame.field(node, name)
    if any(n.kind in ("function", "wrapped", "bound", "class") for n in join(old, stored)):
        frame.program.patch(f"monkey-patches {node.data}.{name}", span)
    frame.note("write", Variable(node.data, name), f"{frame.where or 'code'} sets '{node.data}.{name}'", span)
    frame.put(node, name, stored)


def delete_attribute(frame: Frame, value: Value, name: str, op: ir.DelAttr) -> None:
    store_attribute(frame, value, name, EMPTY, op)


# -- items and elements ----------------------------------------------------------------------------


def contents(frame: Frame, value: Value, keys: bool = False) -> Value:
    """What containers hold (of a mapping: its values, and with ``keys`` those too), without any effect."""
    result = EMPTY
    for node in value:
        result = join(result, held(frame, node))
        if keys:
            result = join(result, frame.field(node, KEYS))
    return result


def held(frame: Frame, node: Node) -> Value:
    program = frame.program
    if node.kind == "scalar":
        if "builtins.str" in node.types:
            return program.scalar("builtins.str")
        if node.types & {"builtins.range", "builtins.bytes"}:
            return program.scalar("builtins.int")
        return program.anything
    if node.kind == "state" and node.data == "sys.modules":  # every module of the project may be meant
        return join(frozenset(program.modules.values()), program.anything)
    if node.kind != "object":
        return program.anything
    result = frame.field(node, ELEMENTS)
    for name in list(node.fields):
        if name.isdigit():
            result = join(result, frame.field(node, name))
    if UNKNOWN in node.types or any(t.startswith("@") for t in node.each):
        for name in list(node.fields):
            if name not in (BELOW, ELEMENTS) and not name.startswith("<"):
                result = join(result, frame.field(node, name))
        return join(result, frame.below(node))
    if any(map(program.has_cells, node.types)):
        result = join(result, program.anything)
    if not result:
        told = library.elements_by_type(frame, node)
        if told:
            return told
        return EMPTY if frame.complete(node) and all(map(program.is_container, node.types)) else frame.below(node)
    if BELOW in node.fields:
        result = join(result, node.fields[BELOW])
    return result


def item(frame: Frame, value: Value, key: Value, op: ir.Item) -> Value:
    """``obj[key]``."""
    result = EMPTY
    constant = next((n.data[0] for n in key if n.kind == "scalar" and n.data), None) if len(key) == 1 else None
    for node in value:
        if node.kind == "lib" or node.kind == "class" or node.kind == "function":
            result = join(result, frozenset((node,)) if node.kind != "class" else class_item(frame, node, key, op))
            continue
        if node.kind == "state":
            use_state(frame, "read", node, op.span)
            result = join(result, held(frame, node))
            continue
        if node.kind == "module":  # its globals, by name
            if type(constant) is str:
                result = join(result, frame.field(node, constant) or frame.program.anything)
            else:  # any object there; what any of its functions does is not known
                every = join_all([frame.field(node, name) for name in list(node.fields)])
                result = join_all([result, frozenset(n for n in every if n.kind == "object"), frame.program.anything])
            continue
        if type(constant) is int and str(constant) in node.fields and not node.fields.get(ELEMENTS):
            result = join(result, frame.field(node, str(constant)))
            continue
        for type_name in node.each or (UNKNOWN,):
            if not type_name.startswith("@"):
                result = join(result, item_of(frame, node, type_name, key, op))
    for type_name, nodes in by_type(value).items():
        if type_name.startswith("@"):
            result = join(result, own_item(frame, nodes, type_name, key, op))
        elif type_name == UNKNOWN:
            dunder(frame, "__getitem__", [nodes, key], op.span, ("item", site(op), type_name))
    return result


def class_item(frame: Frame, node: Node, key: Value, op: Any) -> Value:
    """``Generic[int]``, ``Color["RED"]``, ``__class_getitem__``."""
    getter = look_up(frame, node, "__class_getitem__", op.span)
    if getter:
        return calls.call(frame, getter, [frozenset((node,)), key], {}, op.span, ("classitem", site(op)))
    if frame.program.flavour(node) == "enum":
        return frame.program.scalar(node.data.key)
    return frozenset((node,))


def own_item(frame: Frame, nodes: Value, type_name: str, key: Value, op: Any) -> Value:
    """An item of instances of a class of the project."""
    cls = frame.program.classes[type_name].node
    getter = look_up(frame, cls, "__getitem__", op.span)
    if getter:
        return calls.call(frame, getter, [nodes, key], {}, op.span, ("item", site(op), type_name))
    bases = frame.program.foreign_bases(cls)
    return join_all([item_of(frame, node, b, key, op) for b in bases for node in nodes]) or contents(frame, nodes)


def item_of(frame: Frame, node: Node, type_name: str, key: Value, op: Any) -> Value:
    program = frame.program
    if type_name == UNKNOWN:
        return program.anything if node.kind == "scalar" else held(frame, node)
    signature = program.method(type_name, "__getitem__")
    if signature is None:
        return held(frame, node)
    return library.apply(frame, signature, frozenset((node,)), [key], {}, op.span, ("item", site(op), like(node)), "[]")


def store_item(frame: Frame, value: Value, key: Value, stored: Value, op: ir.StoreItem) -> None:
    """``obj[key] = stored``."""
    special_item(frame, value, "__setitem__", [key, stored], op, op.obj)
    for node in value:
        if node.kind == "object":
            if type_is(node, "builtins.dict"):
                frame.put(node, KEYS, key)
            if not (node.types and all(map(frame.program.has_cells, node.types))):
                frame.put(node, ELEMENTS, stored)


def delete_item(frame: Frame, value: Value, key: Value, op: ir.DelItem) -> None:
    special_item(frame, value, "__delitem__", [key], op, op.obj)


def type_is(node: Node, name: str) -> bool:
    return name in node.types


def special_item(frame: Frame, value: Value, method: str, arguments: list[Value], op: Any, obj: int) -> None:
    """``obj[key] = ...`` or ``del obj[key]``: an object changes in place."""
    what = frame.say(obj)
    verb = "sets an item of" if method == "__setitem__" else "deletes an item of"
    text = f"{frame.where} {verb} '{what}'" if frame.where else f"{verb} '{what}'"
    for node in value:
        if node.kind == "state":
            use_state(frame, "write", node, op.span)
            continue
        if node.kind == "lib":
            library.mutated_library(frame, node, op.span)
            continue
        if node.kind == "module":
            frame.program.patch(f"changes the globals of {node.data}", op.span)
            continue
        own = False
        for type_name in node.each:
            if type_name.startswith("@"):
                cls = frame.program.classes[type_name].node
                setter = look_up(frame, cls, method, op.span)
                if setter:
                    own = True
                    me = frozenset((node,))
                    calls.call(frame, setter, [me, *arguments], {}, op.span, (method, site(op), like(node)))
            elif type_name == UNKNOWN and node.kind != "scalar":
                dunder(frame, method, [frozenset((node,)), *arguments], op.span, (method, site(op), like(node)))
        if not own or len(node.types) > 1:
            frame.write((node,), text, op.span)


def dunder(frame: Frame, method: str, arguments: list[Value], span: Span, key: Any) -> Value:
    """A special method of an object of unknown type: that of any class of the project that has it."""
    found = frame.field(frame.program.table, method)
    return calls.call(frame, found, arguments, {}, span, key) if found else EMPTY


def wait_for(frame: Frame, value: Value, span: Span, key: Any) -> Value:
    """What ``await value`` gives."""
    for type_name, nodes in by_type(value).items():
        if type_name.startswith("@"):
            maker = look_up(frame, frame.program.classes[type_name].node, "__await__", span)
            if maker:
                iterator = calls.call(frame, maker, [nodes], {}, span, (key, type_name))
                iterate(frame, iterator, span, (key, "of"))
    return contents(frame, value)


def iterate(frame: Frame, value: Value, span: Span, key: Any, temp: int = -1) -> Value:
    """One element of what is iterated over; iterators are used up by it."""
    result = EMPTY
    for node in value:
        if node.kind == "class":
            if frame.program.flavour(node) == "enum":
                result = join(result, frame.program.scalar(node.data.key))
            continue
        if node.kind == "state":
            use_state(frame, "read", node, span)
        for type_name in node.each or (UNKNOWN,):
            if not type_name.startswith("@"):
                result = join(result, iterate_over(frame, node, type_name, span, (key, like(node)), temp))
    for type_name, nodes in by_type(value).items():
        if type_name.startswith("@"):
            result = join(result, iterate_own(frame, nodes, type_name, span, (key, type_name), temp))
        elif type_name == UNKNOWN:
            for method in ("__iter__", "__next__"):
                dunder(frame, method, [nodes], span, (key, method))
    return result


def iterate_own(frame: Frame, me: Value, type_name: str, span: Span, key: Any, temp: int) -> Value:
    """Iterating over instances of a class of the project."""
    program = frame.program
    cls = program.classes[type_name].node
    for begin, going_on in (("__iter__", "__next__"), ("__aiter__", "__anext__")):
        maker = look_up(frame, cls, begin, span)
        if not maker:
            continue
        iterator = calls.call(frame, maker, [me], {}, span, (key, "iter"))
        nexts = [n for n in iterator if any(t.startswith("@") for t in n.types)]
        result = EMPTY
        for other in nexts:
            for t in other.each:
                if t.startswith("@"):
                    step = look_up(frame, program.classes[t].node, going_on, span)
                    made = calls.call(frame, step, [frozenset((other,))], {}, span, (key, "next"))
                    result = join(result, made if begin == "__iter__" else contents(frame, made))
        rest = frozenset(n for n in iterator if n not in nexts)
        return join(result, iterate(frame, rest, span, (key, "of"), temp))
    getter = look_up(frame, cls, "__getitem__", span)
    if getter:
        return calls.call(frame, getter, [me, program.scalar("builtins.int")], {}, span, (key, "getitem"))
    return contents(frame, me)


def iterate_over(frame: Frame, node: Node, type_name: str, span: Span, key: Any, temp: int) -> Value:
    program = frame.program
    if node.kind in ("scalar", "lib", "state"):
        return held(frame, node)
    me = frozenset((node,))
    if type_name == UNKNOWN:
        use_up(frame, node, span, temp, True)
        return held(frame, node)
    if program.is_iterator(type_name):
        use_up(frame, node, span, temp, False)
        return held(frame, node)
    if type_name == "builtins.dict" or (KEYS in node.fields and type_name not in PURE_CONTAINERS):
        keys = frame.field(node, KEYS)
        if type_name == "builtins.dict":
            return keys if keys or frame.complete(node) else join(frame.below(node), program.anything)
    signature = program.method(type_name, "__iter__")
    if signature is not None and type_name not in PURE_CONTAINERS:
        iterator = library.apply(frame, signature, me, [], {}, span, (key, "iter"), "iteration")
        return contents(frame, iterator - me) if iterator - me else held(frame, node)
    return held(frame, node)


def use_up(frame: Frame, node: Node, span: Span, temp: int, assumed: bool) -> None:
    """An iterator moves on: it changes, and the code that makes its elements runs."""
    said = frame.say(temp) if temp >= 0 else ""
    what = f"'{said}'" if said else "an iterator"
    verb = "may use up" if assumed else "uses up"
    text = f"{frame.where} {verb} {what}" if frame.where else f"{verb} {what}"
    moved = library.underlying(frame, node)
    frame.write(moved, text, span)
    for other in moved:
        calls.run_deferred(frame, other, span)


# -- operators -------------------------------------------------------------------------------------


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
                method = look_up(frame, cls, "__contains__", op.span)
                me = frozenset((node,))
                if method:
                    calls.call(frame, method, [me, left], {}, op.span, ("in", site(op), like(node)))
                else:
                    iterate(frame, me, op.span, ("in", site(op)), op.operands[1])
            elif type_name == UNKNOWN and node.kind != "scalar":
                dunder(frame, "__contains__", [frozenset((node,)), left], op.span, ("in", site(op), like(node)))
                use_up(frame, node, op.span, op.operands[1], True)
            elif frame.program.is_iterator(type_name):
                use_up(frame, node, op.span, op.operands[1], False)
        if node.kind == "state":
            use_state(frame, "read", node, op.span)
        implicit(frame, contents(frame, frozenset((node,))), ("__eq__",), op.span)
    return frame.program.scalar("builtins.bool")


def by_type(value: Value) -> dict[str, Value]:
    """The instances among the nodes, by type: what they do by themselves, those of one type do together."""
    found: dict[str, set[Node]] = {}
    for node in value:
        if node.kind == "object":
            for type_name in node.each:
                found.setdefault(type_name, set()).add(node)
    return {type_name: frozenset(nodes) for type_name, nodes in found.items()}


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
        for type_name, nodes in by_type(value).items():
            arguments = [nodes, *others]
            if type_name.startswith("@"):
                cls = program.classes[type_name].node
                for name in names:
                    method = look_up(frame, cls, name, op.span)
                    if method:
                        own = True
                        made = calls.call(frame, method, arguments, {}, op.span, (name, site(op), type_name))
                        result = join(result, made)
                        break
            elif type_name == UNKNOWN:
                for name in names:
                    made = dunder(frame, name, arguments, op.span, (name, site(op), type_name))
                    result = join(result, made)
        plain.append(frozenset(n for n in value if not (n.types and all(t.startswith("@") for t in n.types))))
    if op.inplace:
        changed = in_place(frame, op, values[0], values[1])
        result = join(result, changed)
        if changed == values[0] and all(t in PURE_CONTAINERS or program.has_cells(t) for n in changed for t in n.types):
            return result
    if not own or any(plain):
        result = join(result, fresh_result(frame, op, plain if any(plain) else values))
    return result


def in_place(frame: Frame, op: ir.Operate, target: Value, other: Value) -> Value:
    """``x += y`` on what can change: it does, and takes the elements of ``y`` in."""
    changed = frozenset(n for n in target if n.kind == "object" and not n.immutable and plain_type(n))
    states = [n for n in target if n.kind == "state"]
    for node in states:
        use_state(frame, "write", node, op.span)
    if changed:
        what = frame.say(op.operands[0])
        text = (
            f"{frame.where} changes '{what}' in place ({op.op}=)"
            if frame.where
            else f"changes '{what}' in place ({op.op}=)"
        )
        frame.write(changed, text, op.span)
        taken = iterate(frame, other, op.span, ("inplace", site(op)), op.operands[1]) if op.op in ("+", "|") else EMPTY
        for node in changed:
            if not any(map(frame.program.has_cells, node.types)):
                frame.put(node, ELEMENTS, taken)
                if "builtins.dict" in node.types:
                    frame.put(node, ELEMENTS, contents(frame, other))
                    frame.put(node, KEYS, contents(frame, other, keys=True))
    return changed


def plain_type(node: Node) -> bool:
    return not all(t.startswith("@") for t in node.each) if node.types else True


def fresh_result(frame: Frame, op: ir.Operate, values: list[Value]) -> Value:
    """What an operator of library types gives: something new that may hold the elements of the operands."""
    program = frame.program
    program.costly = True
    nodes = [n for v in values for n in v if n.kind != "scalar"]
    types = frozenset(t for n in nodes for t in n.types)
    if op.op in COMPARISONS and types <= PURE_CONTAINERS:
        for value in values:
            implicit(frame, contents(frame, value), ("__eq__", "__lt__"), op.span)
        return program.scalar("builtins.bool")
    if not nodes:
        return scalar_result(frame, op.op, values)
    if types and all(map(program.has_cells, types)):
        best = sorted(types, key=lambda t: (t.rpartition(".")[2] not in ("DataFrame", "Series"), t))[:1]
        return frozenset((frame.make(("operate", site(op)), types=frozenset(best)),))
    immutable = bool(types) and all(map(program.is_immutable, types))
    made = frame.make(("operate", site(op)), types=types or frozenset((UNKNOWN,)), immutable=immutable)
    for node in nodes:
        frame.put(made, ELEMENTS, held(frame, node))
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
                    found = look_up(frame, frame.program.classes[type_name].node, name, span)
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
                method = look_up(frame, cls, "__enter__", span)
                awaited = look_up(frame, cls, "__aenter__", span)
                me = frozenset((node,))
                if awaited:
                    made = calls.call(frame, awaited, [me], {}, span, (key, like(node), "awaited"))
                    result = join(result, contents(frame, made))
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
                    method = look_up(frame, frame.program.classes[type_name].node, name, span)
                    if method:
                        calls.call(frame, method, [me, nothing, nothing, nothing], {}, span, (key, like(node), name))
            elif type_name != UNKNOWN and node.kind == "object":
                signature = _method(frame, type_name, "__exit__", "__aexit__")
                if signature is not None:
                    library.apply(frame, signature, me, [], {}, span, (key, like(node)), "with")


def exception(frame: Frame, handler: ir.Handler) -> Node:
    """The caught exception."""
    types = frozenset(("builtins.Exception",))
    caught = frame.temps.get(handler.ops[-1].out if handler.ops and hasattr(handler.ops[-1], "out") else -1, EMPTY)
    own = frozenset(n.data.key for n in caught if n.kind == "class")
    return frame.make(("caught", handler.caught, id(handler)), types=own or types)
