"""Classes of the project: making them, and making instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferflow.analysis import ir
from inferflow.analysis.effects import access, calls, library, run, summaries
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, Node, Value, join, join_all
from inferflow.analysis.effects.program import ClassInfo
from inferflow.model import Span, Variable

if TYPE_CHECKING:
    from inferflow.analysis.effects.calls import Arguments

ENUMS = frozenset(f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"))
TUPLES = frozenset(("typing.NamedTuple", "typing_extensions.NamedTuple", "collections.namedtuple"))
QUIET_METACLASSES = frozenset(("abc.ABCMeta", "enum.EnumMeta", "builtins.type"))


def make_class(frame: Frame, op: ir.MakeClass) -> Value:
    """``class``: its body runs now."""
    program = frame.program
    code = program.project.modules[frame.module].scopes[op.scope]
    key = f"@{frame.module}:{code.qualname}"
    info = program.classes.get(key)
    if info is None:
        node = Node("class", name=code.name)
        info = program.classes[key] = ClassInfo(key, frame.module, op.scope, code.qualname, node)
        node.data = info
        program.reached.add((frame.module, op.scope))
    derive(frame, info, op)
    names: dict[str, Value] = {}
    saved = frame.klass
    frame.klass = frozenset((info.node,))
    run.with_scope(frame, "class", names, lambda: run.body(frame, code.body))
    frame.klass = saved
    info.order = fields_in_order(code, program.project.sources[frame.module].text) or info.order
    for name, value in names.items():
        member(frame, info, name, value)
    for base in program.mro(info.node)[1:]:
        hook = frame.field(base, "__init_subclass__")
        if hook:
            plain = join_all(frame.field(h, "inner") if h.kind == "wrapped" else frozenset((h,)) for h in hook)
            calls.call(frame, plain, [frozenset((info.node,))], {}, op.span, ("subclass", id(op)))
    return frozenset((info.node,))


def derive(frame: Frame, info: ClassInfo, op: ir.MakeClass) -> None:
    """Take in the bases and keywords."""
    bases: list[Node] = []
    foreign: list[str] = []
    for temp in op.bases:
        for base in frame.temps.get(temp, EMPTY):
            if base.kind == "class":
                bases.append(base)
            elif base.kind == "lib":
                foreign.append(base.data)
                if base.data in ENUMS:
                    info.flavour = "enum"
                elif base.data in TUPLES:
                    info.flavour = "namedtuple"
            else:
                info.opaque = True
    for name, temp in op.keywords:
        if name == "metaclass":
            for meta in frame.temps.get(temp, EMPTY):
                if not (meta.kind == "lib" and meta.data in QUIET_METACLASSES):
                    info.opaque = True
    info.bases = tuple(dict.fromkeys((*info.bases, *bases)))
    info.foreign = tuple(dict.fromkeys((*info.foreign, *foreign)))


def member(frame: Frame, info: ClassInfo, name: str, value: Value) -> None:
    """An attribute of a class."""
    program = frame.program
    plain = not any(n.kind in ("function", "wrapped", "class") for n in value)
    if plain and program.flavour(info.node) == "enum" and not name.startswith("_"):
        held = frozenset(n for n in value if n.kind == "object")
        if held:
            frame.replace(info.node, "<values>", join(info.node.fields.get("<values>", EMPTY), held))
        for part in held:
            part.name = f"{info.name}.{name}"
            part.owner = program if part.path is None and frame.root else part.owner
        value = program.scalar(info.key)
    for part in value:
        if part.kind == "object" and not part.name.startswith(info.name):
            part.name = f"{info.name}.{name}"
            part.owner = program if part.path is None and frame.root else part.owner
    place = info.node
    old = place.fields.get(name, EMPTY)
    new = join(old, value)
    if new is not old:
        frame.replace(place, name, new)
    for part in value:
        if part.kind in ("function", "wrapped", "bound"):
            frame.replace(program.table, name, join(program.table.fields.get(name, EMPTY), unwrapped(frame, part)))


def unwrapped(frame: Frame, part: Node) -> Value:
    """The functions behind a method as it stands in the class."""
    if part.kind == "wrapped" and part.data in ("staticmethod", "property"):
        return EMPTY
    return frozenset((part,))


def fields_in_order(code: ir.Scope, text: str) -> list[str]:
    """The names that a class body annotates, in order."""
    lines = text.splitlines()
    names: dict[str, None] = {}
    for statement in code.body:
        if isinstance(statement, ir.Plain) and statement.kind == "annotated":
            for op in statement.ops:
                if isinstance(op, ir.Store):
                    names[op.name] = None
            if not any(isinstance(op, ir.Store) for op in statement.ops):
                line = lines[statement.span.line - 1] if statement.span.line <= len(lines) else ""
                rest = line.encode("utf-8", "surrogatepass")[statement.span.column :].decode("utf-8", "replace")
                names[rest.partition(":")[0].strip()] = None  # ``x: int`` binds nothing, so no operation names it
    return list(names)


def construct(frame: Frame, cls: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """``Class(...)``."""
    program = frame.program
    info = cls.data
    program.reached.add((info.module, info.scope))
    flavour = program.flavour(cls)
    if frame.root:
        program.targets[f"{info.module}:{info.name}"] = None
    if flavour == "enum":
        return program.scalar(info.key)
    if program.is_opaque(cls):
        made = frame.make((key, "new"), types=frozenset((info.key,)))
        result = calls.unknown(frame, f"{info.name} (what makes it is not known)", arguments.all(), span, key)
        for node in result:
            frame.put(made, ELEMENTS, frozenset((node,)))
        initialise(frame, cls, made, arguments, span, key)
        return frozenset((made,))
    immutable = program.is_immutable(info.key)
    made = frame.make((key, "new"), types=frozenset((info.key,)), immutable=immutable)
    me: Value = frozenset((made,))
    maker = access.look_up(frame, cls, "__new__", span)
    if maker:
        plain = join_all(frame.field(m, "inner") if m.kind == "wrapped" else frozenset((m,)) for m in maker)
        me = join(calls.invoke(frame, plain, arguments.behind(frozenset((cls,))), span, (key, "__new__")), EMPTY) or me
        if not any(info.key in n.types for n in me):
            return me
    for node in me:
        if info.key in node.types:
            initialise(frame, cls, node, arguments, span, key)
    if frame.field(program.table, "__del__"):
        for finalizer in access.look_up(frame, cls, "__del__", span):
            if finalizer.kind == "function" and changes(frame, finalizer, me):
                program.patch(f"makes a {info.name}, whose __del__ changes what others see", span)
    return me


def changes(frame: Frame, finalizer: Node, me: Value) -> bool:
    """Whether a finalizer changes any object or name, whenever it runs. (What it prints, home sees to.)"""
    module, scope = finalizer.data
    code = frame.program.project.modules[module].scopes[scope]
    callee = summaries.summary(frame, finalizer, {code.params[0].name: me} if code.params else {})
    return callee is None or any(
        mode == "write" and isinstance(target, Node | Variable) for mode, target in callee.effects
    )


def initialise(frame: Frame, cls: Node, made: Node, arguments: Arguments, span: Span, key: Any) -> None:
    """Run ``__init__``, written or generated."""
    program = frame.program
    me = frozenset((made,))
    init = access.look_up(frame, cls, "__init__", span)
    if init:
        calls.invoke(frame, init, arguments.behind(me), span, (key, "__init__"))
        return
    flavour = program.flavour(cls)
    if flavour in ("dataclass", "namedtuple"):
        keep_fields(frame, cls, made, arguments, flavour, span, key)
        return
    for base in program.foreign_bases(cls):
        signature = program.catalogue.function(base)
        if signature is None:
            calls.unknown(frame, f"the constructor of {base}", [me, *arguments.all()], span, (key, base))
        else:
            for node in library.apply_call(frame, signature, EMPTY, arguments, span, (key, base)):
                for name, value in list(node.fields.items()):
                    frame.put(made, name, value)


def keep_fields(frame: Frame, cls: Node, made: Node, arguments: Arguments, flavour: str, span: Span, key: Any) -> None:
    """A generated ``__init__``: each argument becomes a field; the others have their defaults."""
    program = frame.program
    order: dict[str, None] = {}
    for base in reversed(program.mro(cls)):
        order.update(dict.fromkeys(base.data.order))
    names = list(order)
    exact = len(arguments.positional) <= len(names) and arguments.more is None
    given: set[str] = set()
    for position, value in enumerate(arguments.positional):
        if exact:
            given.add(names[position])
            frame.put(made, names[position], value)
        else:
            frame.put(made, ELEMENTS, value)
        if flavour == "namedtuple":
            frame.put(made, str(position), value)
    for name, value in arguments.keywords:
        given.add(name)
        frame.put(made, name, value)
        if flavour == "namedtuple" and name in names:
            frame.put(made, str(names.index(name)), value)
    for loose in (arguments.more, arguments.named):
        if loose is not None:
            for name in names:
                frame.put(made, name, loose)
            frame.put(made, ELEMENTS, loose)
    for name in names:
        if name in given:
            continue
        default = access.look_up(frame, cls, name, span)
        for part in default:
            if part.kind == "wrapped" and part.data == "field":
                frame.put(made, name, frame.field(part, "default"))
                factory = frame.field(part, "factory")
                if factory:
                    frame.put(made, name, calls.call(frame, factory, [], {}, span, (key, "factory", name)))
            else:
                frame.put(made, name, frozenset((part,)))
    after = access.look_up(frame, cls, "__post_init__", span) or access.look_up(frame, cls, "__attrs_post_init__", span)
    if after:
        # fields that only it gets (``InitVar``) may be any of what is given
        loose = join_all(arguments.all())
        calls.invoke(frame, after, calls.Arguments((frozenset((made,)),), more=loose), span, (key, "post"))
