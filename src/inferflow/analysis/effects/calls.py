"""Calls: what may be called, with what, and what comes of it."""

from __future__ import annotations

from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Signature
from inferflow.analysis.effects import access, classes, contained, library, special, summaries
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, join_all, like, reach
from inferflow.analysis.facts import UNKNOWN_TYPE
from inferflow.model import Span, World
from inferflow.records import frozen


@frozen
class Arguments:
    """The arguments of a call. ``more`` and ``named`` are what ``*args`` and ``**kwargs`` may hold (``None`` if the
    call has none). ``says`` is how the source calls the function, ``names`` how it calls the positional arguments."""

    positional: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()
    more: Value | None = None
    named: Value | None = None
    says: str = ""
    names: tuple[str, ...] = ()
    receiver: str = ""

    def all(self) -> list[Value]:
        """Every value that is passed."""
        extra = [v for v in (self.more, self.named) if v is not None]
        return [*self.positional, *(v for _, v in self.keywords), *extra]

    def behind(self, *first: Value) -> Arguments:
        """With more positional arguments in front."""
        names = ("",) * len(first) + self.names
        return Arguments(
            (*first, *self.positional), self.keywords, self.more, self.named, self.says, names, self.receiver
        )


def call_operation(frame: Frame, op: ir.Call) -> Value:
    """The call that an operation makes."""
    temps = frame.temps
    positional: list[Value] = []
    names: list[str] = []
    keywords: list[tuple[str, Value]] = []
    more: Value | None = None
    named: Value | None = None
    for number, argument in enumerate(op.args):
        value = temps.get(argument.value, EMPTY)
        if argument.star == 2:
            held = contained.mapped(frame, value, op.span, ("**", id(op), number))[1]
            named = held if named is None else join(named, held)
        elif argument.star == 1:
            exact = spread(frame, value) if more is None else None
            if exact is not None:
                positional.extend(exact)
                names.extend([""] * len(exact))
            else:
                held = contained.iterate(frame, value, op.span, ("*", id(op), number), argument.value)
                more = held if more is None else join(more, held)
        elif argument.keyword is not None:
            keywords.append((argument.keyword, value))
        elif more is not None:
            more = join(more, value)
        else:
            positional.append(value)
            names.append(frame.say(argument.value))
    arguments = Arguments(
        tuple(positional), tuple(keywords), more, named, frame.say(op.func), tuple(names), receiver_name(frame, op.func)
    )
    member = frame.members.get(op.func)
    if member is None:
        return invoke(frame, temps.get(op.func, EMPTY), arguments, op.span, id(op))
    plain, called = member
    result = invoke(frame, plain, arguments, op.span, id(op)) if plain else EMPTY
    groups: dict[Any, set[Node]] = {}
    for node, _ in called:
        groups.setdefault(like(node), set()).add(node)
    for kind, nodes in groups.items():
        result = join(result, call_member(frame, frozenset(nodes), called[0][1], arguments, op.span, (id(op), kind)))
    return result


def receiver_name(frame: Frame, temp: int) -> str:
    if ir.Attr in map(type, frame.ops):
        for op in frame.ops:
            if isinstance(op, ir.Attr) and op.out == temp:
                return frame.say(op.obj)
    return ""


def spread(frame: Frame, value: Value) -> list[Value] | None:
    """The items of a tuple of known length."""
    if len(value) != 1:
        return None
    node = next(iter(value))
    if node.types != {"builtins.tuple"} or frame.field(node, ELEMENTS) or not frame.complete(node):
        return None
    return [frame.field(node, str(position)) for position in range(len(node.fields))]


def call(
    frame: Frame,
    function: Value,
    positional: list[Value],
    keywords: dict[str, Value],
    span: Span,
    key: Any,
    says: str = "",
) -> Value:
    """Call with plain arguments."""
    return invoke(frame, function, Arguments(tuple(positional), tuple(keywords.items()), says=says), span, key)


def invoke(frame: Frame, function: Value, arguments: Arguments, span: Span, key: Any) -> Value:
    """Call whatever the function may be."""
    result = EMPTY
    loose = [n for n in function if n.kind == "scalar" or (n.kind == "object" and n.types == {UNKNOWN})]
    for node in function:
        if node.kind not in ("scalar", "object") or (node.kind == "object" and node.types != {UNKNOWN}):
            same = key if len(function) == 1 else (key, like(node))
            result = join(result, invoke_one(frame, node, arguments, span, same))
    if loose:
        what = arguments.says or "a value"
        given = [frozenset(loose), *arguments.all()]
        result = join(result, unknown(frame, what, given, span, key if len(function) == 1 else (key, "loose")))
    return result


def invoke_one(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    match node.kind:
        case "function":
            return call_function(frame, node, arguments, span, key)
        case "class":
            return classes.construct(frame, node, arguments, span, key)
        case "lib":
            return special.call_library(frame, node, arguments, span, key)
        case "bound":
            return call_bound(frame, node, arguments, span, key)
        case "wrapped":
            return special.call_wrapped(frame, node, arguments, span, key)
        case "object":
            return call_object(frame, node, arguments, span, key)
        case _:
            return unknown(frame, arguments.says or "a value", arguments.all(), span, key)


def call_bound(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """A method with its receiver."""
    receiver = frame.field(node, "self")
    data = node.data
    if isinstance(data, Signature):
        return special.call_method(frame, data, receiver, arguments, span, key)
    if isinstance(data, Node):
        return invoke_one(frame, data, arguments.behind(receiver), span, (key, like(data)))
    return special.call_named(frame, data, receiver, arguments, span, key)


def call_object(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """An instance that is called."""
    result = EMPTY
    me = frozenset((node,))
    for type_name in node.each:
        if type_name.startswith("@"):
            method = access.look_up(frame, frame.program.classes[type_name].node, "__call__", span)
            if method:
                result = join(result, invoke(frame, method, arguments.behind(me), span, (key, "call", like(node))))
                continue
        elif type_name != UNKNOWN:
            signature = frame.program.method(type_name, "__call__")
            if signature is not None:
                result = join(result, special.call_method(frame, signature, me, arguments, span, (key, "call")))
                continue
        what = arguments.says or "an object"
        result = join(result, unknown(frame, what, [me, *arguments.all()], span, (key, "call", like(node))))
    return result


def call_member(frame: Frame, me: Value, name: str, arguments: Arguments, span: Span, key: Any) -> Value:
    """``x.name(...)`` where the type of ``x`` is not known: any class of the project that has the method, and if every
    library class that has one of that name leaves everything alone, so does this."""
    result = EMPTY
    stored = join_all(frame.field(node, name) for node in me if node.kind == "object")
    functions = frozenset(n for n in stored if n.kind in ("function", "bound", "class", "wrapped", "lib"))
    if functions:
        result = invoke(frame, functions, arguments, span, (key, "stored"))
        if all(map(frame.complete, me)):
            return result
    own = frame.field(frame.program.table, name)
    if own:
        result = join(result, invoke(frame, own, arguments.behind(me), span, (key, "own")))
    known = any(t != UNKNOWN for node in me for t in node.types)
    signatures = () if known else frame.program.catalogue.methods_named(name, frame.program.libraries)
    what = arguments.receiver or "something"
    if signatures and all(library.is_pure(s) for s in signatures):
        frame.obstacle(f"the type of '{what}' {UNKNOWN_TYPE} {name}() is called", span)
        made = frame.make((key, "member"))
        frame.put(made, ELEMENTS, join(me, contained.contents(frame, me)))
        for child in frame.below(made):
            for node in me:
                frame.link(child, node)
        for value in arguments.all():
            frame.put(made, ELEMENTS, contained.contents(frame, value))
        return join(result, frozenset((made,)))
    if own and not signatures and not known:
        frame.obstacle(f"the type of '{what}' {UNKNOWN_TYPE} {name}() is called", span)
        return result
    return join(result, unknown(frame, arguments.says or f"{name}()", [me, *arguments.all()], span, (key, "member")))


def unknown(frame: Frame, what: str, values: list[Value], span: Span, key: Any) -> Value:
    """Code of which nothing is known: it may change what it is given, keep it in one another, and do anything else."""
    frame.program.costly = True
    where = f"{frame.where} calls" if frame.where else "calls"
    text = f"{where} {what}, of which nothing is known"
    frame.note("write", World("anything"), text, span, True)
    given = frozenset(n for v in values for n in v if n.kind != "scalar")
    if not frame.program.given_up:
        frame.write(frame.mingle(given), text, span, True)
    made = frame.make((key, "unknown"))
    frame.put(made, ELEMENTS, given)
    for node in given:
        if node.kind == "object" and not node.immutable and len(given) > 1:
            frame.put(node, ELEMENTS, given - {node})
    for node in given if frame.program.work <= frame.program.budget else ():
        if node.kind in ("function", "bound", "class"):
            call_back(frame, node, span, (key, "back", like(node)), given)
    return frozenset((made,))


def call_back(frame: Frame, node: Node, span: Span, key: Any, given: Value = EMPTY) -> Value:
    """Somebody calls a function of the project with arguments that are not known."""
    some = frame.make((key, "argument"))
    if given:
        frame.put(some, ELEMENTS, given - {some})
    return invoke_one(frame, node, Arguments(more=frozenset((some,)), says=node.name), span, key)


def run_deferred(frame: Frame, node: Node, span: Span) -> None:
    """The code behind a generator or a lazy iterator runs now."""
    data = node.data
    if node.kind != "object" or data is None:
        return
    if isinstance(data, tuple) and data and data[0] == "later":
        later = contained.drawn(frame, frame.field(node, "<kept>"))
        given = Arguments(more=join(frame.field(node, "<given>"), later), says=node.name)
        made = invoke(frame, frame.field(node, "<function>"), given, span, ("later", like(node)))
        if node.types & {"builtins.map", "itertools.starmap", "itertools.accumulate"}:
            frame.put(node, ELEMENTS, made)
    if data == ("body",):
        for function in frame.field(node, "<function>"):
            module, scope = function.data
            params = frame.program.project.modules[module].scopes[scope].params
            bound = {p.name: frame.field(node, f"<in {p.name}>") for p in params}
            callee = summaries.summary(frame, function, bound)
            if callee is not None and callee.state != "running":
                made = summaries.apply(frame, callee, bound, span, ("body", like(node), module, scope))
                frame.put(node, ELEMENTS, contained.contents(frame, made - {node}))
    if isinstance(data, tuple) and data and data[0] == "generator":
        if frame.root and node.serial >= frame.program.statement:
            frame.program.targets.update(dict.fromkeys(data[3]))
        function = frame.make(("deferred", like(node)), "function", frozenset(), (data[1], data[2]), name="a generator")
        frame.put(function, "<around>", frame.field(node, "<around>"))
        bound = {".0": frame.field(node, "<source>")}
        callee = summaries.summary(frame, function, bound)
        if callee is not None:
            made = summaries.apply(frame, callee, bound, span, ("deferred", like(node)))
            frame.put(node, ELEMENTS, contained.contents(frame, made))


# -- functions of the project ----------------------------------------------------------------------


def call_function(frame: Frame, node: Node, arguments: Arguments, span: Span, key: Any) -> Value:
    """A function of the project."""
    program = frame.program
    module, scope = node.data
    program.reached.add((module, scope))
    program.costly = True
    code = program.project.modules[module].scopes[scope]
    if frame.root:
        program.targets[f"{module}:{code.qualname}"] = None
    if program.work > program.budget:
        program.give_up(frame.code.span)
        frame.note("write", World("anything"), f"{code.name} is too involved to follow", span, True)
        return frozenset((frame.make((key, "given up")),))
    bound = bind(frame, code, node, arguments, key)
    if frame.root and (module, scope) == program.opening:
        program.opening = None
        program.opened = bound
        return frozenset((frame.make((key, "returned")),))
    if frame.root and program.opener is not None:
        program.opener(frame, node, bound, key)
    result = EMPTY
    for _ in range(3):
        callee = summaries.summary(frame, node, bound)
        if callee is None:
            return unknown(frame, f"{code.name} (too deep or too involved to follow)", arguments.all(), span, key)
        before = frame.changed
        frame.changed = False
        result = join(result, summaries.apply(frame, callee, bound, span, key))
        grew = frame.changed
        frame.changed = before or grew
        if not (grew and callee.stores and overlapping(bound, callee)):
            break
    for value in result:
        if not value.name and frame.root and value.kind == "object":
            value.name = f"{code.name}()"
    return result


def overlapping(bound: dict[str, Value], callee: Frame) -> bool:
    """Whether a store through one argument may be seen through another, or through a global; or one to what is outside
    by a function that was called behind it."""
    if any(target.path is None and target.owner is not callee for target, _ in callee.stores):
        return True
    seen: set[Node] = set()
    outside = {node for node, _ in callee.read if node.kind == "object"}
    for value in bound.values():
        reached = {n for n in reach(value) if n.mutable}
        if reached & seen or reached & outside:
            return True
        seen |= reached
    return False


def bind(frame: Frame, code: ir.Scope, node: Node, arguments: Arguments, key: Any) -> dict[str, Value]:
    """Parameters with their values, defaults included."""
    bound: dict[str, Value] = {}
    keywords = dict(arguments.keywords)
    position = 0
    positional = arguments.positional
    for param in code.params:
        name = param.name
        if param.kind == "var_positional":
            rest = positional[position:]
            position = len(positional)
            extra = frame.make((key, "*"), types=frozenset(("builtins.tuple",)), immutable=True)
            for number, value in enumerate(rest):
                frame.put(extra, str(number), value)
            if arguments.more is not None:
                frame.put(extra, ELEMENTS, arguments.more)
            bound[name] = frozenset((extra,))
            continue
        if param.kind == "var_keyword":
            extra = frame.make((key, "**"), types=frozenset(("builtins.dict",)))
            for value in keywords.values():
                frame.put(extra, ELEMENTS, value)
            if keywords or arguments.named is not None:
                frame.put(extra, KEYS, frame.program.scalar("builtins.str"))
            if arguments.named is not None:
                frame.put(extra, ELEMENTS, arguments.named)
            bound[name] = frozenset((extra,))
            continue
        given: Value | None = None
        if param.kind in ("positional", "either") and position < len(positional):
            given = positional[position]
            position += 1
        elif param.kind != "positional" and name in keywords:
            given = keywords.pop(name)
        if given is None:
            given = frame.field(node, f"={name}") if param.default is not None else EMPTY
            if param.kind in ("positional", "either") and arguments.more is not None:
                given = join(given, arguments.more)
            if param.kind in ("either", "keyword") and arguments.named is not None:
                given = join(given, arguments.named)
        bound[name] = given
    return bound
