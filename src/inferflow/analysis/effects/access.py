"""Reading and changing the attributes of objects. (Items and elements: ``contained``; ``operators`` also has what
context managers and handlers do.)

Each function takes what an object may be apart by kind: an instance of a class of the project (whose special methods
are called), one of a library type (what the catalogue says), or one of which nothing is known.
"""

from __future__ import annotations

from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.effects import bindings, by_name, calls, command_line, imports, library, plain, views
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, UNKNOWN, Node, Value, join, join_all, like
from inferflow.model import Hidden, Span, Variable, World

DEEPEST_NAME = 5
"""Parts of a dotted name that are told."""


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
                loose = views.loose(frame, node, name) if node.kind == "object" else EMPTY
                for type_name in node.each or (UNKNOWN,):
                    found = instance_attribute(frame, node, type_name, name, op)
                    if found is None:
                        unlisted_types += 1
                    else:
                        result = join(result, views.with_loose(found, loose) if loose else found)
                if unlisted_types and loose:
                    result = join(result, loose)
                # where one of several library types has the name, it is not of a type that lacks it
                if unlisted_types and (unlisted_types == max(len(node.types), 1) or not of_libraries(node)):
                    called.append((node, name))
            case "wrapped" if name in ("setter", "getter", "deleter", "register", "cache_clear", "cache_info"):
                result = join(result, bound(frame, name, frozenset((node,)), ("wrapped", site(op), name)))
            case "wrapped" if node.data == "super":
                result = join(result, super_attribute(frame, node, name, op))
            case "function" | "wrapped" | "bound":
                if name in frame.fields(node):
                    result = join(result, frame.field(node, name))
                elif name == "__self__":
                    result = join(result, frame.field(node, "self") or frame.program.anything)
                elif node.data == "partial" and name in ("args", "keywords"):
                    result = join(result, given_before(frame, node, name, site(op)))
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


def given_before(frame: Frame, node: Node, name: str, key: Any) -> Value:
    """The arguments that a ``partial`` keeps."""
    made = frame.make((key, name), types=frozenset((f"builtins.{'tuple' if name == 'args' else 'dict'}",)))
    for field in list(node.fields):
        if field.isdigit() if name == "args" else field.startswith("="):
            frame.put(made, ELEMENTS, frame.field(node, field))
    frame.put(node, f"<{name}>", frozenset((made,)))
    return frozenset((made,))


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
    if not frame.root:
        for name, value in list(module.fields.items()):
            bindings.note_global(frame, "read", module.data, name, value, span)


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
    value = frame.field(node, name)
    if value:
        if not frame.root:
            bindings.note_global(frame, "read", node.data, name, value, span)
        return value
    if name == "__dict__":
        note_all(frame, node, span)
        return frozenset((node,))
    inner = imports.submodule(frame, node.data, name)
    if inner is not None:
        return inner
    if method := by_name.of_module(frame, node, name, span, ("module", name, span)):
        return method
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
    if name == "__dict__":
        return by_name.of_class(frame, node, op.span, site(op))
    if name in by_name.OBJECT_METHODS:
        return frame.program.library(f"builtins.object.{name}")
    if name in ("__class__", "__mro__", "__bases__", "__annotations__", "__members__"):
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
        return views.namespace(frame, node) if name == "__dict__" else None
    program = frame.program
    signature = program.method(type_name, name)
    if signature is not None:
        return bound(frame, signature, frozenset((node,)), ("method", site(op), like(node), type_name))
    info = program.catalogue.attribute(type_name, name)
    if info is not None:
        return library.attribute_value(frame, node, info, name, op.span)
    if type_name == command_line.NAMESPACE:
        if name == "__dict__":
            command_line.taken_apart(frame, node, (site(op), like(node)))
        elif known := command_line.attribute(frame, node, name):
            return known
    if name == "__class__":
        return program.library(type_name)
    if name in ("__dict__", "__doc__", "__name__", "__module__"):
        if name != "__dict__" or node.kind != "object":
            return program.anything
        return views.namespace(frame, node) if type_name != command_line.NAMESPACE else frozenset((node,))
    if node.kind == "scalar":
        return bound(frame, ("pure", name), frozenset((node,)), ("pure", site(op), like(node)))
    return None


def own_attribute(frame: Frame, node: Node, cls: Node, name: str, op: Any) -> Value | None:
    """An attribute of an instance of a class of the project."""
    program = frame.program
    me = frozenset((node,))
    classes = frozenset((cls,))
    if name == "":
        return join_all(frame.field(node, f) for f in list(frame.fields(node)) if not f.startswith("<")) or frame.below(
            node
        )
    result = frame.field(node, name)
    if frame.field(program.table, "__getattribute__") and not getattr(op, "plain", False):
        hook = look_up(frame, cls, "__getattribute__", op.span)
        if hook and not name.startswith("__"):
            given = [me, program.scalar("builtins.str")]
            result = join(result, calls.call(frame, hook, given, {}, op.span, ("getattribute", site(op), like(node))))
    if not result or not node.immutable:
        for part in look_up(frame, cls, name, op.span):
            result = join(result, described(frame, part, me, classes, op))
    if result:
        return result
    if name == "__class__":
        return classes
    if name == "__dict__":
        return views.namespace(frame, node)
    if program.flavour(cls) == "enum":
        return value_of_member(frame, cls, name, op.span)
    if program.flavour(cls) == "namedtuple" and name in cls.data.order:
        return frame.field(node, str(cls.data.order.index(name))) or frame.below(node)
    if name in by_name.OBJECT_METHODS:
        return bound(frame, ("object", name), me, ("object", site(op), name, like(node)))
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


def value_of_member(frame: Frame, cls: Node, name: str, span: Span) -> Value:
    """What a member of an enumeration holds: ``Colour.RED.value``."""
    held = join_all(frame.field(node, "<values>") for node in frame.program.mro(cls))
    if not held:
        return frame.program.anything
    if name not in ("value", "_value_"):
        held = frozenset(n for n in frame.reach(held) if n.kind == "object")
    info = cls.data
    text = f"{frame.where or 'code'} reads a value of '{info.name}'"
    frame.note("read", Variable(f"{info.module}.{info.name}", "value"), text, span)
    for part in held:
        if part.mutable:
            frame.note("read", part, text, span)
    return join(held, frame.program.anything)


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
        if name in by_name.OBJECT_METHODS:
            result = join(result, bound(frame, ("object", name), instance, ("super", site(op), name)))
            continue
        if name in ("__init__", "__init_subclass__", "__enter__", "__exit__", "__post_init__") and all(
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


SHELLS = frozenset(("collections.UserDict", "collections.UserList"))
"""Types whose instances hold their items in what their attribute ``data`` is."""
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
        elif node.kind == "function" and name in (*FUNCTION_PARTS, "__code__"):
            program.patch(f"sets {name} of a function", op.span)
        elif node.kind == "scalar":
            for type_name in node.each:
                if type_name.startswith("@"):  # a member of an enumeration
                    set_class_attribute(frame, program.classes[type_name].node, name, stored, op.span)
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
            if name == "__class__":
                program.patch("gives an object another class", op.span)
            if name == "__dict__":
                for dictionary in stored:
                    if dictionary.kind == "object":
                        views.attach(frame, node, dictionary)
            else:
                frame.put(node, name, stored)
            if name == "data" and node.types & SHELLS:
                for part in stored:
                    views.show(frame, node, part)
                    frame.link(node, part)
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
    hook = EMPTY if getattr(op, "plain", False) else look_up(frame, cls, "__setattr__", op.span)
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
    """``del obj.name``: deleters of properties and ``__delattr__`` of classes run."""
    for type_name, nodes in by_type(value).items():
        if type_name.startswith("@"):
            cls = frame.program.classes[type_name].node
            hook = look_up(frame, cls, "__delattr__", op.span)
            given = [nodes, frame.program.scalar("builtins.str")]
            calls.call(frame, hook, given, {}, op.span, ("delattr", site(op), type_name))
            for part in look_up(frame, cls, name, op.span):
                deleter = frame.field(part, "deleter") if part.kind == "wrapped" else EMPTY
                if part.kind == "object":
                    own = [t for t in part.each if t.startswith("@")]
                    found = [look_up(frame, frame.program.classes[t].node, "__delete__", op.span) for t in own]
                    given = [frozenset((part,)), nodes]
                    calls.call(frame, join_all(found), given, {}, op.span, ("delete", site(op), like(part)))
                calls.call(frame, deleter, [nodes], {}, op.span, ("deleter", site(op), like(part)))
    store_attribute(frame, value, name, EMPTY, op)


def by_type(value: Value) -> dict[str, Value]:
    """The instances among the nodes, by type: what they do by themselves, those of one type do together."""
    found: dict[str, set[Node]] = {}
    for node in value:
        if node.kind == "object":
            for type_name in node.each:
                found.setdefault(type_name, set()).add(node)
    return {type_name: frozenset(nodes) for type_name, nodes in found.items()}
