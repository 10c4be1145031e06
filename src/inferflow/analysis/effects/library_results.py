"""What a call of a library function gives, by what the catalogue says of its results.

sorted(xs)              a new list, whose elements are those of xs
frame.loc[rows]         a view: something new that shares with frame
dict(zip(a, b))         keys and elements from the pairs that the zip holds
"""

from __future__ import annotations

from typing import Any

from inferflow.analysis.catalogue import Link, Result, TypeRef, possible_results
from inferflow.analysis.effects import contained, views
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import BELOW, ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, join_all
from inferflow.analysis.effects.library_call import Call

FLAT = frozenset(
    f"builtins.{n}" for n in ("list", "set", "frozenset", "tuple", "iterator", "filter", "map", "reversed", "generator")
)
"""Types whose elements are, for an ``elements`` link, just those of the other container (not pairs of them, say)."""
MAPPINGS = frozenset(
    (
        "builtins.dict",
        *(f"collections.{name}" for name in ("OrderedDict", "defaultdict", "Counter", "UserDict")),
        "weakref.WeakValueDictionary",
        "weakref.WeakKeyDictionary",
    )
)
"""Types that are made of a mapping, or of pairs."""
GIVEN_OUT = frozenset(("object",))
"""Parameters of iterators that they give as they are (``itertools.repeat``)."""
USUAL = {
    "pandas": frozenset(("pandas.SeriesOrFrame",)),
    "numpy": frozenset(("numpy.ndarray",)),
}
"""What the fresh results are whose type the catalogue leaves open, if they are no scalars."""
UNUSUAL = frozenset(("to_xarray", "eval", "option_context", "get_option", "get", "load", "pipe", "apply", "frompyfunc"))


def result_of(call: Call, returned: Value) -> Value:
    """What a call gives; ``returned`` is what the functions that it calls back have returned."""
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


def typed(frame: Frame, ref: TypeRef, key: Any, call: Call | None = None, filled: bool = False) -> Value:
    """A fresh value of a type. ``filled``: what it holds is put in by the caller."""
    program = frame.program
    if ref.name == "|":
        return join_all([typed(frame, item, (key, number), call, filled) for number, item in enumerate(ref.items)])
    if ref.name == "type":
        return typed_like(frame, call.value(ref.of) if call else EMPTY, key)
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


def typed_like(frame: Frame, value: Value, key: Any) -> Value:
    """Fresh values of the types that a value has."""
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


def _one_result(call: Call, result: Result, returned: Value, key: Any) -> Value:
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


def _part_of(call: Call, made: Value, links: list[Link]) -> Value:
    """A view of unknown type of an array or table is one of the same type, or a cell."""
    sources = [n for link in links for n in call.value(link.param)]
    if not sources or any(link.relation != "view" for link in links):
        return made
    types = frozenset(t for n in sources for t in n.types)
    if not types or not all(map(call.frame.program.has_cells, types)):
        return made
    part = call.frame.make((call.key, "part"), types=types)
    return join(frozenset((part,)), call.frame.program.anything)


def _element(call: Call, param: str, ref: TypeRef) -> Value:
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


def _fill(call: Call, node: Node, links: list[Link], returned: Value) -> None:
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
                        views.show(frame, node, source)
            case "contains":
                frame.put(node, "<kept>" if iterator else ELEMENTS, value)
                if link.param in GIVEN_OUT:
                    frame.put(node, ELEMENTS, value)
                if any(t.startswith("@") for t in node.types):  # ``dataclasses.replace(x, y=z)``
                    for word, given in call.arguments.keywords:
                        frame.put(node, word, given)
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


def _passed_elements(call: Call, param: str, node: Node) -> Value:
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
        if short == "itertools.groupby":
            group = frame.make((call.key, "group"), types=frozenset(("builtins.iterator",)))
            frame.put(group, "<kept>", value)
            frame.put(group, ELEMENTS, _iterated(call, param))
            frame.link(group, node)
            frame.put(pair, "0", join(_iterated(call, param), frame.program.anything))
            frame.put(pair, "1", frozenset((group,)))
            return frozenset((pair,))
        if short in ("builtins.zip", "itertools.zip_longest") and call.arguments.more is None:
            for position, each in enumerate(call.arguments.positional):
                held = contained.iterate(frame, each, call.span, (call.key, "zip", position))
                held = join(held, call.value("fillvalue"))
                frame.put(pair, str(position), held)
                frame.put(node, f"<at {position}>", each)
            return frozenset((pair,))
        if node.types <= MAPPINGS:
            return _mapping_elements(call, param, node)
        held = _iterated(call, param)
        frame.put(pair, ELEMENTS, held)
        return join(held, frozenset((pair,)))
    if name in ("builtins.dict.__iter__", "builtins.dict.__reversed__"):
        return join_all(
            frame.field(source, KEYS) or contained.contents(frame, frozenset((source,)))
            for source in value
            if source.kind == "object"
        )
    if name.startswith("builtins.dict.") or name == "builtins.dict":
        return _mapping_elements(call, param, node)
    return _iterated(call, param)


def _mapping_elements(call: Call, param: str, node: Node) -> Value:
    """A mapping made of another one, or of pairs."""
    frame = call.frame
    if node.types == {"collections.Counter"}:
        counts = frozenset(n for n in call.value(param) if contained.is_mapping(frame, n))
        frame.put(node, KEYS, _iterated(call, param))
        return join(frame.program.scalar("builtins.int"), contained.contents(frame, counts))
    keys, values = contained.mapped(frame, call.value(param), call.span, (call.key, "mapped", param))
    frame.put(node, KEYS, keys)
    return values


def _iterated(call: Call, param: str) -> Value:
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


def _starts_empty(call: Call | None) -> bool:
    """A container made from nothing: ``list()``, ``defaultdict(int)``."""
    return call is not None and call.signature.kind == "class" and not call.arguments.all()


def _only_scalars(call: Call) -> bool:
    values = [call.receiver, *call.arguments.all()]
    if not all(
        n.kind == "scalar" or call.frame.program.is_container(next(iter(n.types), "?")) for v in values for n in v
    ):
        return False
    inner = [n for v in values for n in contained.contents(call.frame, frozenset(n for n in v if n.kind == "object"))]
    return all(n.kind == "scalar" for n in inner)
