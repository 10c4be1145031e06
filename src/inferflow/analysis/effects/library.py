"""Applying what the catalogue says of a library function to a call of it: its effects, and what it calls back.

frame.to_csv(path)              writes the file; frame stays as it is
xs.sort(key=score)              changes xs; runs score for each of its elements
np.random.seed(0)               writes a hidden state
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferflow.analysis.catalogue import Arguments as Given
from inferflow.analysis.catalogue import AttrInfo, Callback, FileUse, Link, Signature, applies, open_acts
from inferflow.analysis.effects import access, calls, contained, operators, plain
from inferflow.analysis.effects.frame import FileTarget, Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, join_all, like, reach
from inferflow.analysis.effects.library_call import Call
from inferflow.analysis.effects.library_results import result_of, typed, typed_like
from inferflow.analysis.effects.logs import EMITTING
from inferflow.model import Hidden, Span, World

if TYPE_CHECKING:
    from inferflow.analysis.effects.calls import Arguments

IMPLICIT = (
    "__eq__", "__lt__", "__gt__", "__hash__", "__len__", "__str__", "__repr__", "__iter__", "__next__", "__getitem__",
    "__float__", "__int__", "__index__", "__bool__", "__contains__", "__array__", "__getstate__", "__reduce__",
    "__deepcopy__", "__copy__", "__getattr__", "__fspath__",
)  # fmt: skip
READ_ONLY = ("opened", "r")
STREAMS = "sys.streams"
PEACEFUL = frozenset(("stdout", "stderr", "clock"))


def is_pure(signature: Signature) -> bool:
    """Whether a call surely leaves its receiver, its arguments and the world alone, whatever the arguments are."""
    return signature.known and not (
        signature.mutates
        or signature.keeps
        or signature.consumes
        or signature.hidden
        or signature.files
        or signature.irrevocable
        or signature.calls
        or any(use.kind not in PEACEFUL for use in signature.world)
    )


def apply(
    frame: Frame,
    signature: Signature,
    receiver: Value,
    positional: list[Value],
    keywords: dict[str, Value],
    span: Span,
    key: Any,
    says: str,
) -> Value:
    """A call with plain arguments."""
    arguments = calls.Arguments(tuple(positional), tuple(keywords.items()), says=says)
    return apply_call(frame, signature, receiver, arguments, span, key)


def apply_call(
    frame: Frame, signature: Signature, receiver: Value, arguments: Arguments, span: Span, key: Any
) -> Value:
    """A call of a library function or method: its effects, and its value."""
    if not signature.known:
        what = arguments.says or signature.name
        return calls.unknown(frame, what, [receiver, *arguments.all()], span, key)
    if signature.name in EMITTING and frame.program.logs_to_objects:
        who = arguments.says or signature.name
        frame.note("write", World("anything"), f"{who}() may change what a handler holds", span)
    if not signature.cheap:
        frame.program.costly = True
    call = Call(frame, signature, receiver, arguments, span, key)
    quiet = signature.name in EMITTING and frame.program.logs_only_to_stderr
    for use in signature.hidden:
        if applies(use.when, call.given) is not False and not (quiet and use.mode == "write"):
            hidden(frame, use.mode, use.state, arguments.says or signature.name, span)
    for file in signature.files:
        if applies(file.when, call.given) is not False:
            _file(call, file)
    for world in signature.world:
        if applies(world.when, call.given) is not False:
            verb = "prints" if world.kind in ("stdout", "stderr") else f"uses the outside world ({world.kind})"
            frame.note("write", World(world.kind), f"{call.who} {verb}", span)
    if signature.irrevocable:
        frame.obstacle(f"{call.who} cannot be taken back", span)
    for param in signature.consumes:
        value = call.value(param)
        if value:
            call.elements[param] = contained.iterate(frame, value, span, (key, "consumes", param))
    for mutation in signature.mutates:
        if applies(mutation.when, call.given) is not False:
            _mutate(call, mutation.param, mutation.deep)
    for keep in signature.keeps:
        if applies(keep.when, call.given) is not False:
            _keep(call, keep.param, keep.into, keep.relation)
    returned = EMPTY
    made: list[tuple[Callback, Value]] = []
    for callback in signature.calls:
        if applies(callback.when, call.given) is not False:
            value = _call_back(call, callback)
            if callback.gives:
                returned = join(returned, value)
            if callback.later and any(node.kind != "scalar" for node in call.value(callback.param)):
                made.append((callback, value))
    _passed_on(call)
    result = result_of(call, returned)
    for callback, _ in made:
        for node in result:
            if node.kind == "object" and frame.owns(node):
                node.data = ("later",)
                frame.put(node, "<function>", call.value(callback.param))
                frame.put(node, "<given>", _received(call, callback))
    for file in signature.files:
        if file.act == "open" or file.param != "self":
            for node in result:
                if node.kind == "object" and any(t.startswith(("io.", "gzip.", "zipfile.")) for t in node.types):
                    frame.put(node, "<path>", call.value(file.param))
                    mode = call.given.given.get(file.mode, "r" if call.given.complete else None)
                    if file.act == "open" and open_acts(mode) == ("read",):
                        node.data = READ_ONLY
    if signature.kind == "class" or _makes(frame, signature, call.given, result):
        _remember_settings(call, result)
    return result


def _makes(frame: Frame, signature: Signature, given: Given, result: Value) -> bool:
    """Whether a function (``make_pipeline``) hands its arguments, by the same names, to the class of its own module
    that it gives an instance of."""
    types = {t for node in result for t in node.types}
    if signature.kind != "function" or len(types) != 1 or not given.given:
        return False
    name = next(iter(types))
    maker = frame.program.catalogue.function(name) if name != UNKNOWN else None
    if maker is None or maker.kind != "class" or name.rpartition(".")[0] != signature.name.rpartition(".")[0]:
        return False
    return set(given.given) <= {p.name for p in maker.params}


def _remember_settings(call: Call, result: Value) -> None:
    if not call.given.complete:
        return
    data = ("settings", tuple(sorted(call.given.given.items())))
    for node in result:
        if node.kind == "object" and node.owner is call.frame.token:
            if node.data is None:
                node.data = data
            elif node.data != data and node.data[0] == "settings":
                node.data = ("unsettled",)


# -- effects ---------------------------------------------------------------------------------------


def hidden(frame: Frame, mode: str, state: str, who: str, span: Span) -> None:
    """A hidden state is read or written."""
    info = frame.program.catalogue.hidden(state)
    what = info.what if info is not None else state
    where = f"{frame.where}: " if frame.where else ""
    verb = "uses" if mode == "read" else "changes"
    frame.note(mode, Hidden(state), f"{where}{who} {verb} {what}", span)


def mutated_library(frame: Frame, node: Node, span: Span) -> None:
    """An object that lives in a library module changes."""
    hidden(frame, "write", str(node.data), node.name, span)


def _file(call: Call, use: FileUse) -> None:
    frame = call.frame
    value = call.value(use.param) if use.param else EMPTY
    if use.param and not value:
        return
    acts = (use.act,)
    if use.param == "self" and value and all(n.data == READ_ONLY for n in value) and use.act != "read":
        return
    if use.act == "open":
        mode = call.given.given.get(use.mode, None if not call.given.complete else "r")
        acts = open_acts(mode if isinstance(mode, str) or mode is None else None)  # type: ignore[assignment]
    paths: list[Node | None] = []
    if use.param == "self":
        value = join(value, join_all(frame.field(n, "<path>") for n in value if n.kind == "object"))
    value = frozenset(node for node in value if node.kind != "state" or node.data != STREAMS)
    if use.param and not value:
        return
    for node in value:
        if node.kind == "scalar" and (node.data is not None or node.path is not None or _is_path(node)):
            paths.append(node if node.data is not None or node.path is not None or node.name else None)
        elif node.kind == "scalar" and node.types <= operators.NUMBERS:
            continue
        elif node.kind == "object" and UNKNOWN not in node.types:
            if use.param != "self":
                verb = "reads from" if use.act in ("read", "open") else "writes to"
                frame.write((node,), f"{call.who} {verb} '{call.names(use.param)}'", call.span)
        else:
            paths.append(None)
            if node.kind == "object" and use.param != "self":
                frame.write((node,), f"{call.who} may use '{call.names(use.param)}' as a file", call.span)
    if not value or (use.param == "self" and not paths):
        paths = [None]
    if use.suffix and any(path is not None and _gains(path, use.suffix) for path in paths):
        paths.append(None)  # the file has another name than the one that is given
    for act in acts:
        aspect = {"list": "listing", "exists": "existence"}.get(act, "content")
        mode = "read" if act in ("read", "list", "exists") else "write"
        for path in paths:
            text = f"{call.who} {FILE_VERBS[act]} {file_name(path)}"
            frame.note(mode, FileTarget(path, aspect), text, call.span)


FILE_VERBS = {
    "read": "reads",
    "write": "writes",
    "append": "appends to",
    "delete": "removes",
    "list": "lists",
    "exists": "looks for",
    "open": "opens",
}


def _gains(node: Node, suffix: str) -> bool:
    """Whether a library adds its suffix to this constant path: numpy to any other ending, matplotlib where there is
    none."""
    if not node.data:
        return False
    name = str(node.data[0]).replace("\\", "/").rpartition("/")[2]
    return not name.endswith(suffix) and not (suffix == ".png" and "." in name)


def _is_path(node: Node) -> bool:
    return any(t in ("builtins.str", "builtins.bytes", UNKNOWN) or t.startswith("pathlib.") for t in node.each)


def file_name(node: Node | None) -> str:
    if node is not None and node.data:
        return repr(str(node.data[0]))
    return "a file"


def _mutate(call: Call, param: str, deep: bool = True) -> None:
    frame = call.frame
    value = call.value(param)
    if not value:
        return
    what = call.names(param)
    text = f"{call.who} changes '{what}'" if what else f"{call.who} changes what it is given"
    targets: set[Node] = set()
    for node in value:
        if node.kind == "state" and node.data == STREAMS and param != "self":
            _write_stream(call, node)
        elif node.kind == "state":
            access.use_state(frame, "write", node, call.span)
        elif node.kind == "lib":
            if node.types:
                mutated_library(frame, node, call.span)
        elif node.kind == "object":
            targets |= touched(frame, node) if deep else {node}
            if frame.program.is_iterator(next(iter(node.types), UNKNOWN)) or UNKNOWN in node.types:
                calls.run_deferred(frame, node, call.span)
            if call.signature.name.endswith("set_params"):
                plain.unsettle(node)
    frame.write(targets, text, call.span)


def _write_stream(call: Call, node: Node) -> None:
    """What is written to ``sys.stderr`` is output, no change of the stream."""
    info = call.frame.program.catalogue.constant(node.name)
    for use in info.world if info is not None else ():
        call.frame.note("write", World(use.kind), f"{call.who} prints", call.span)


def touched(frame: Frame, node: Node) -> set[Node]:
    """What changes when a method changes its receiver: a container alone, any other object with all that it holds."""
    program = frame.program
    if node.types and all(program.is_container(t) or program.has_cells(t) for t in node.types):
        return underlying(frame, node)
    return {n for n in reach((node,)) if n.kind == "object"}


def underlying(frame: Frame, node: Node) -> set[Node]:
    """An iterator and those that it draws from: they move with it. What a container holds stays where it is."""
    found: set[Node] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if current in found:
            continue
        found.add(current)
        for field in ("<kept>", "<source>"):
            stack.extend(n for n in frame.field(current, field) if _moves(frame, n))
    return found


def _moves(frame: Frame, node: Node) -> bool:
    return node.kind == "object" and (UNKNOWN in node.types or any(map(frame.program.is_iterator, node.types)))


def _keep(call: Call, param: str, into: str, relation: str) -> None:
    frame = call.frame
    value = call.contents(param) if relation == "elements" else call.value(param)
    if relation == "elements" and any(contained.is_mapping(frame, holder) for holder in call.value(into)):
        keys, values = contained.mapped(frame, call.value(param), call.span, (call.key, "kept", param))
        for holder in call.value(into):
            frame.put(holder, KEYS, keys)
            frame.put(holder, ELEMENTS, values)
        return
    for holder in call.value(into):
        if holder.kind != "object":
            continue
        if relation == "view":
            for node in value:
                if node.kind == "object":
                    frame.link(holder, node)
        elif "builtins.dict" in holder.types and param == "key":
            frame.put(holder, KEYS, value)
        elif not any(map(frame.program.has_cells, holder.types)):
            frame.put(holder, ELEMENTS, value)


# -- callbacks -------------------------------------------------------------------------------------


def _received(call: Call, callback: Callback) -> Value:
    """What a function that is called back gets."""
    frame = call.frame
    value = EMPTY
    for link in callback.receives:
        value = join(value, _linked(call, link))
    if not callback.receives:
        value = frame.program.anything
        if any(map(_is_table, (t for n in call.receiver for t in n.types))):
            value = call.receiver
    return value


def _is_table(name: str) -> bool:
    return name.rpartition(".")[2] in ("DataFrame", "Series", "GroupBy", "DataFrameGroupBy", "SeriesGroupBy")


def _linked(call: Call, link: Link) -> Value:
    match link.relation:
        case "element":
            return call.contents(link.param)
        case "elements" | "contains" | "unknown":
            made = call.frame.make((call.key, "given", link.param))
            call.frame.put(made, ELEMENTS, join(call.value(link.param), call.contents(link.param)))
            return frozenset((made,))
        case _:
            return call.value(link.param)


def _call_back(call: Call, callback: Callback) -> Value:
    frame = call.frame
    given = _received(call, callback)
    result = EMPTY
    for node in call.value(callback.param):
        if node.kind in ("function", "bound", "wrapped", "class", "lib") or (
            node.kind == "object" and any(t.startswith("@") for t in node.each)
        ):
            arguments = calls.Arguments(more=given, says=node.name)
            if node.kind == "lib":
                arguments = calls.Arguments((given,), says=node.name)
            result = join(result, calls.invoke_one(frame, node, arguments, call.span, (call.key, "back", like(node))))
        elif node.kind == "object" and frame.program.is_container(next(iter(node.each), UNKNOWN)):
            held = [n for n in contained.contents(frame, frozenset((node,))) if n.kind in ("function", "bound")]
            for inner in held:
                arguments = calls.Arguments(more=given, says=inner.name)
                result = join(
                    result, calls.invoke_one(frame, inner, arguments, call.span, (call.key, "back", like(inner)))
                )
        elif node.kind == "object" and UNKNOWN in node.types:
            result = join(
                result, calls.unknown(frame, "a function it is given", [frozenset((node,))], call.span, call.key)
            )
    return result


def _passed_on(call: Call) -> None:
    """What a library function may run of the project's code besides its callbacks: special methods of the instances
    that it gets; and, where it is not said what it does with a function, that function."""
    frame = call.frame
    signature = call.signature
    table = frame.program.table.fields
    if table:
        special = [m for m in IMPLICIT if m in table]
        foreign = signature.name.partition(".")[0] not in frame.program.standard
        for value in call.arguments.all():
            seen = value if signature.cheap else join(value, contained.contents(frame, value))
            for node in seen:
                if node.kind == "object" and any(t.startswith("@") for t in node.each):
                    if special:
                        operators.implicit(frame, frozenset((node,)), special, call.span)
                    if foreign and node in value and not signature.cheap:
                        _may_use(call, node)
    if signature.cheap or signature.name.startswith("builtins.") or signature.keeps:
        return
    known = {c.param for c in signature.calls} | {link.param for r in signature.results for link in r.links}
    for param, value in call.table.items():
        if param not in known:
            for node in value:
                if node.kind in ("function", "bound") and not isinstance(node.data, Signature):
                    calls.call_back(frame, node, call.span, (call.key, "passed", like(node)), call.value("self"))


def use_special(frame: Frame, value: Value, methods: tuple[str, ...], span: Span) -> None:
    """Special methods of everything under a value run."""
    table = frame.program.table.fields
    if any(m in table for m in methods):
        operators.implicit(frame, frozenset(n for n in reach(value) if n.kind == "object"), methods, span)


def _may_use(call: Call, node: Node) -> None:
    """A library gets an object of a class of the project: it may call any method of it."""
    frame = call.frame
    for type_name in node.each:
        if type_name.startswith("@"):
            for cls in frame.program.mro(frame.program.classes[type_name].node):
                for name, value in list(cls.fields.items()):
                    for method in value:
                        if method.kind == "function" and name not in ("__init__", "__new__", "__post_init__"):
                            arguments = calls.Arguments((frozenset((node,)),), more=frame.program.anything, says=name)
                            key = (call.key, "uses", like(method))
                            calls.invoke_one(frame, method, arguments, call.span, key)


# -- attributes ------------------------------------------------------------------------------------


def attribute_value(frame: Frame, node: Node, info: AttrInfo, name: str, span: Span) -> Value:
    """An attribute of an instance of a library class."""
    program = frame.program
    for use in info.hidden:
        hidden(frame, use.mode, use.state, name, span)
    for world in info.world:
        frame.note("write", World(world.kind), f"{name} uses the outside world ({world.kind})", span)
    stored = frame.field(node, name) if node.kind == "object" else EMPTY
    ref = info.type
    if ref.name == "type" and not info.links:
        return join(stored, typed_like(frame, frozenset((node,)), ("attribute", like(node), name)))
    if node.kind == "scalar" and info.links:
        if ref.name and program.is_immutable(ref.name) and not program.is_container(ref.name):
            return program.scalar(ref.name)
        return typed(frame, ref, ("attribute", like(node), name)) if ref.name else program.anything
    if not info.links:
        if ref.name:
            return join(stored, typed(frame, ref, ("attribute", like(node), name)))
        return join(stored, frozenset((frame.make(("attribute", like(node), name)),)))
    if all(link.relation == "same" for link in info.links):
        return frozenset((node,))
    if not ref.name or ref.name in ("|", "type"):
        return join(stored, frame.below(node))
    if program.is_immutable(ref.name) and not program.is_container(ref.name):
        return join(stored, program.scalar(ref.name))
    tag = name if all(link.relation in ("element", "contains") for link in info.links) else ""
    part = frame.child(node, ref.name, tag)
    if tag and program.is_container(ref.name):  # (``args`` of an exception)
        for inner in part:
            frame.put(inner, ELEMENTS, frame.field(node, ELEMENTS))
    return join(stored, part)
