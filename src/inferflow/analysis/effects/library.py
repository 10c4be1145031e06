"""Applying what the catalogue says of a library function to a call of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferflow.analysis.catalogue import (
    NUMBER,
    SLICE,
    SOMETHING,
    TEXT,
    AttrInfo,
    Callback,
    FileUse,
    Link,
    Result,
    Signature,
    TypeRef,
    applies,
    bind,
    open_acts,
    possible_results,
)
from inferflow.analysis.catalogue import (
    UNKNOWN as MAYBE,
)
from inferflow.analysis.catalogue import Arguments as Given
from inferflow.analysis.effects import access, calls, contained, operators, plain
from inferflow.analysis.effects.frame import FileTarget, Frame
from inferflow.analysis.effects.heap import (
    BELOW,
    ELEMENTS,
    EMPTY,
    KEYS,
    UNKNOWN,
    Node,
    Value,
    join,
    join_all,
    like,
    reach,
)
from inferflow.analysis.effects.logs import EMITTING
from inferflow.model import Hidden, Span, World

if TYPE_CHECKING:
    from inferflow.analysis.effects.calls import Arguments

STANDARD = frozenset(("builtins",))
FLAT = frozenset(
    f"builtins.{n}" for n in ("list", "set", "frozenset", "tuple", "iterator", "filter", "map", "reversed", "generator")
)
"""Types whose elements are, for an ``elements`` link, just those of the other container (not pairs of them, say)."""
IMPLICIT = (
    "__eq__", "__lt__", "__gt__", "__hash__", "__len__", "__str__", "__repr__", "__iter__", "__next__", "__getitem__",
    "__float__", "__int__", "__index__", "__bool__", "__contains__", "__array__", "__getstate__", "__reduce__",
    "__deepcopy__", "__copy__", "__getattr__", "__fspath__",
)  # fmt: skip
READ_ONLY = ("opened", "r")
USUAL = {
    "pandas": frozenset(("pandas.SeriesOrFrame",)),
    "numpy": frozenset(("numpy.ndarray",)),
}
"""What the fresh results are whose type the catalogue leaves open, if they are no scalars."""
UNUSUAL = frozenset(("to_xarray", "eval", "option_context", "get_option", "get", "load", "pipe", "apply", "frompyfunc"))
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


class _Call:
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
    call = _Call(frame, signature, receiver, arguments, span, key)
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
    result = _result(call, returned)
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


def asks_plain(signature: Signature) -> bool:
    """Whether an effect hangs on what an argument holds."""
    uses = (*signature.hidden, *signature.world, *signature.mutates)
    conditions = [use.when for use in uses]  # type: ignore[attr-defined]
    return any(check.kind == "plain" and not check.param.startswith("self.") for when in conditions for check in when)


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


def _remember_settings(call: _Call, result: Value) -> None:
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


def _file(call: _Call, use: FileUse) -> None:
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


def _mutate(call: _Call, param: str, deep: bool = True) -> None:
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


def _write_stream(call: _Call, node: Node) -> None:
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


def _keep(call: _Call, param: str, into: str, relation: str) -> None:
    frame = call.frame
    value = call.contents(param) if relation == "elements" else call.value(param)
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
            if relation == "elements" and "builtins.dict" in holder.types:
                frame.put(holder, KEYS, value)


# -- callbacks -------------------------------------------------------------------------------------


def _received(call: _Call, callback: Callback) -> Value:
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


def _linked(call: _Call, link: Link) -> Value:
    match link.relation:
        case "element":
            return call.contents(link.param)
        case "elements" | "contains" | "unknown":
            made = call.frame.make((call.key, "given", link.param))
            call.frame.put(made, ELEMENTS, join(call.value(link.param), call.contents(link.param)))
            return frozenset((made,))
        case _:
            return call.value(link.param)


def _call_back(call: _Call, callback: Callback) -> Value:
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


def _passed_on(call: _Call) -> None:
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


def _may_use(call: _Call, node: Node) -> None:
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


# -- results ---------------------------------------------------------------------------------------


def _result(call: _Call, returned: Value) -> Value:
    frame = call.frame
    possible = possible_results(call.signature, call.given)
    if not possible:
        if call.signature.results:
            possible = call.signature.results
        else:
            return join(returned, typed(frame, TypeRef(""), (call.key, "result"), call))
    result = EMPTY
    for number, alternative in enumerate(possible):
        result = join(result, _one_result(call, alternative, returned, (call.key, "result", number)))
    return result


def _one_result(call: _Call, result: Result, returned: Value, key: Any) -> Value:
    frame = call.frame
    links = result.links
    if not links:
        made = typed(frame, result.type, key, call)
        for node in made:
            if returned and node.kind == "object" and not any(map(frame.program.has_cells, node.types)):
                frame.put(node, ELEMENTS, returned)
        return made
    found = EMPTY
    for link in links:
        if link.relation == "same":
            found = join(found, call.value(link.param))
        elif link.relation == "element":
            found = join(found, _element(call, link.param, result.type))
    rest = [link for link in links if link.relation not in ("same", "element")]
    if not rest:
        return join(found, returned)
    if all(n.kind == "scalar" for link in rest for n in call.value(link.param)) and not result.type.name:
        return join(found, frame.program.anything)
    made = typed(frame, result.type, key, call, filled=True)
    if not result.type.name:
        made = _part_of(call, made, rest)
    for node in made:
        if node.kind == "object":
            _fill(call, node, rest, returned)
    return join(found, made)


def _part_of(call: _Call, made: Value, links: list[Link]) -> Value:
    """A view of unknown type of an array or table is one of the same type, or a cell."""
    sources = [n for link in links for n in call.value(link.param)]
    if not sources or any(link.relation != "view" for link in links):
        return made
    types = frozenset(t for n in sources for t in n.types)
    if not types or not all(map(call.frame.program.has_cells, types)):
        return made
    part = call.frame.make((call.key, "part"), types=types)
    return join(frozenset((part,)), call.frame.program.anything)


def _element(call: _Call, param: str, ref: TypeRef) -> Value:
    frame = call.frame
    held = EMPTY
    for node in call.value(param):
        if ref.name and ref.name not in ("|", "type") and node.kind == "object" and UNKNOWN in _types(frame, node):
            if frame.program.is_immutable(ref.name):
                held = join(held, frame.program.scalar(ref.name))
            else:
                held = join(held, frame.child(node, ref.name))
        else:
            held = join(held, contained.contents(frame, frozenset((node,))))
    return held


def _types(frame: Frame, node: Node) -> set[str]:
    return {t for n in contained.contents(frame, frozenset((node,))) for t in n.types}


def _fill(call: _Call, node: Node, links: list[Link], returned: Value) -> None:
    frame = call.frame
    iterator = any(map(frame.program.is_iterator, node.types))
    cells = any(map(frame.program.has_cells, node.types))
    for link in links:
        value = call.value(link.param)
        match link.relation:
            case "view":
                for source in value:
                    if source.kind == "object":
                        frame.link(node, source)
            case "contains":
                frame.put(node, "<kept>" if iterator else ELEMENTS, value)
            case "elements":
                for source in value:
                    _pass_fields(frame, source, node)
                if cells:
                    continue
                elements = _passed_elements(call, link.param, node)
                frame.put(node, ELEMENTS, elements)
                if not node.types <= FLAT:
                    frame.put(node, KEYS, elements)
            case _:
                for source in value:
                    if source.kind == "object":
                        frame.link(node, source)
                        frame.put(node, ELEMENTS, join(frozenset((source,)), contained.contents(frame, value)))
    if returned:
        frame.put(node, ELEMENTS, returned)


def _pass_fields(frame: Frame, source: Node, node: Node) -> None:
    """A copy of an instance of the project's (``dataclasses.replace``, ``_replace``) holds what its fields hold."""
    if source.kind != "object" or not any(t.startswith("@") for t in source.each):
        return
    names = {name for name in source.fields if not name.startswith("<")}
    for type_name in source.each:
        if type_name.startswith("@"):
            for cls in frame.program.mro(frame.program.classes[type_name].node):
                names.update(cls.data.order)
    for name in sorted(names - {ELEMENTS, BELOW, KEYS}):
        frame.put(node, name, frame.field(source, name) or frame.below(source))


def _passed_elements(call: _Call, param: str, node: Node) -> Value:
    """The elements that a new container takes over. Where they may come in pairs, the pairs stand beside them."""
    frame = call.frame
    name = call.signature.name
    value = call.value(param)
    short = next(iter(node.types), "")
    if short == "builtins.map":
        return EMPTY
    if short in ("builtins.dict_items", "builtins.enumerate", "builtins.zip") or not node.types <= FLAT:
        if short == "builtins.dict_values":
            return contained.contents(frame, value)
        if short == "builtins.dict_keys":
            return join_all(frame.field(n, KEYS) or frame.below(n) for n in value if n.kind == "object")
        pair = frame.make((call.key, "pair"), types=frozenset(("builtins.tuple",)), immutable=True)
        if short == "builtins.dict_items":
            for source in value:
                if source.kind == "object":
                    frame.put(pair, "0", frame.field(source, KEYS) or frame.below(source))
                    frame.put(pair, "1", contained.contents(frame, frozenset((source,))))
            return frozenset((pair,))
        if short == "builtins.enumerate":
            frame.put(pair, "0", frame.program.scalar("builtins.int"))
            frame.put(pair, "1", _iterated(call, param))
            return frozenset((pair,))
        if short == "builtins.zip" and call.arguments.more is None:
            for position, each in enumerate(call.arguments.positional):
                held = contained.iterate(frame, each, call.span, (call.key, "zip", position))
                frame.put(pair, str(position), held)
            return frozenset((pair,))
        if node.types <= {"builtins.dict", "collections.OrderedDict", "collections.defaultdict", "collections.Counter"}:
            return _mapping_elements(call, param, node)
        held = _iterated(call, param)
        frame.put(pair, ELEMENTS, held)
        return join(held, frozenset((pair,)))
    if name.startswith("builtins.dict.") or name == "builtins.dict":
        return _mapping_elements(call, param, node)
    return _iterated(call, param)


def _mapping_elements(call: _Call, param: str, node: Node) -> Value:
    """A mapping made of another one, or of pairs."""
    frame = call.frame
    held = EMPTY
    if node.types == {"collections.Counter"}:
        frame.put(node, KEYS, _iterated(call, param))
        return frame.program.scalar("builtins.int")
    for source in call.value(param):
        me = frozenset((source,))
        if "builtins.dict" in source.types or KEYS in source.fields:
            held = join(held, contained.contents(frame, me))
            frame.put(node, KEYS, frame.field(source, KEYS))
        else:
            pairs = contained.contents(frame, me)
            for pair in pairs:
                if "1" in pair.fields:
                    frame.put(node, KEYS, frame.field(pair, "0"))
                    held = join(held, frame.field(pair, "1"))
                else:
                    inner = contained.contents(frame, frozenset((pair,)))
                    held = join_all((held, frozenset((pair,)), inner))
                    frame.put(node, KEYS, inner)
    return held


def _iterated(call: _Call, param: str) -> Value:
    """The elements of an argument, as iterating over it gives them."""
    if param in call.elements:
        return call.elements[param]
    frame = call.frame
    value = EMPTY
    for node in call.value(param):
        if "builtins.dict" in node.types and call.signature.name.rpartition(".")[2] not in ("values", "copy"):
            keys = frame.field(node, KEYS)
            value = join(value, keys or contained.contents(frame, frozenset((node,)), keys=True))
        else:
            value = join(value, contained.contents(frame, frozenset((node,))))
    return value


def typed(frame: Frame, ref: TypeRef, key: Any, call: _Call | None = None, filled: bool = False) -> Value:
    """A fresh value of a type. ``filled``: what it holds is put in by the caller."""
    program = frame.program
    if ref.name == "|":
        return join_all([typed(frame, item, (key, number), call, filled) for number, item in enumerate(ref.items)])
    if ref.name == "type":
        return _typed_like(frame, call.value(ref.of) if call else EMPTY, key)
    if not ref.name and call is not None:
        usual = USUAL.get(call.signature.name.partition(".")[0])
        if usual is not None and call.signature.name.rpartition(".")[2] not in UNUSUAL:
            return join(program.anything, frozenset((frame.make((key, "usual"), types=usual),)))
    if not ref.name:
        if call is not None and call.signature.name.startswith("builtins.") and _only_scalars(call):
            return program.anything
        return frozenset((frame.make((key, "?")),))
    if ref.name == "builtins.NoneType" or ref.name == "builtins.None":
        return program.none
    immutable = program.is_immutable(ref.name)
    if immutable and not ref.items and not program.is_container(ref.name):
        return program.scalar(ref.name)
    node = frame.make((key, ref.name), types=frozenset((ref.name,)), immutable=immutable)
    if ref.items:
        if ref.name == "builtins.tuple":
            for position, item in enumerate(ref.items):
                frame.put(node, str(position), typed(frame, item, (key, position), call))
            if len(ref.items) == 1:
                frame.put(node, ELEMENTS, frame.field(node, "0"))
        elif len(ref.items) == 2:
            frame.put(node, KEYS, typed(frame, ref.items[0], (key, "key"), call))
            frame.put(node, ELEMENTS, typed(frame, ref.items[1], (key, "value"), call))
        else:
            frame.put(node, ELEMENTS, typed(frame, ref.items[0], (key, "item"), call))
    elif (
        not filled
        and program.is_container(ref.name)
        and not _starts_empty(call)
        and not elements_by_type(frame, node)  # told when they are asked for
    ):
        frame.put(node, ELEMENTS, frame.below(node))
    return frozenset((node,))


def _starts_empty(call: _Call | None) -> bool:
    """A container made from nothing: ``list()``, ``defaultdict(int)``."""
    return call is not None and call.signature.kind == "class" and not call.arguments.all()


def _typed_like(frame: Frame, value: Value, key: Any) -> Value:
    program = frame.program
    result = EMPTY
    for node in value:
        if node.kind == "scalar":
            result = join(result, join_all(program.scalar(t) for t in node.each))
        elif node.kind == "object":
            made = frame.make((key, "like", tuple(sorted(node.types))), types=node.types, immutable=node.immutable)
            if not any(map(program.has_cells, node.types)):
                frame.put(made, ELEMENTS, frame.below(made))
            if isinstance(node.data, tuple) and node.data and node.data[0] == "settings" and made.data is None:
                made.data = node.data
            result = join(result, frozenset((made,)))
        else:
            result = join(result, frozenset((node,)))
    return result or frozenset((frame.make((key, "?")),))


def _only_scalars(call: _Call) -> bool:
    values = [call.receiver, *call.arguments.all()]
    if not all(
        n.kind == "scalar" or call.frame.program.is_container(next(iter(n.types), "?")) for v in values for n in v
    ):
        return False
    inner = [n for v in values for n in contained.contents(call.frame, frozenset(n for n in v if n.kind == "object"))]
    return all(n.kind == "scalar" for n in inner)


def elements_by_type(frame: Frame, node: Node) -> Value:
    """What an object gives when it is iterated over, where the catalogue says of what type that is: something new."""
    found = EMPTY
    for type_name in node.each:
        signature = None if type_name in FLAT else frame.program.method(type_name, "__next__")
        for result in signature.results if signature is not None else ():
            if not result.links and result.type.name:
                found = join(found, typed(frame, result.type, ("element", type_name)))
        if signature is None and type_name not in FLAT:
            signature = frame.program.method(type_name, "__iter__")
            for result in signature.results if signature is not None else ():
                if not result.links and result.type.items:
                    found = join(found, typed(frame, result.type.items[0], ("element", type_name)))
    return found


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
        return join(stored, _typed_like(frame, frozenset((node,)), ("attribute", like(node), name)))
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
    return join(stored, frame.child(node, ref.name, tag))
