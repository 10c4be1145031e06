"""Reading and changing what objects contain: items, elements, what iterating gives.

xs[0] = y; for z in xs: ...        z may be y, or what xs held before
"""

from __future__ import annotations

from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.effects import access, calls, library, library_results, operators, views
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import BELOW, ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join, join_all, like
from inferflow.model import Span

PURE_CONTAINERS = frozenset(
    f"builtins.{name}"
    for name in ("list", "tuple", "set", "frozenset", "dict", "dict_keys", "dict_values", "dict_items")
)

PASSING = frozenset(
    (
        *(f"builtins.{name}" for name in ("iterator", "reversed", "filter")),
        *(
            f"itertools.{name}"
            for name in (
                "chain",
                "islice",
                "cycle",
                "takewhile",
                "dropwhile",
                "filterfalse",
                "compress",
                "accumulate",
            )
        ),
    )
)
"""Iterators that give what they go through holds."""
MAPPING_BASES = frozenset(
    f"{module}.{name}" for module in ("collections.abc", "typing") for name in ("Mapping", "MutableMapping")
)
PAIRING = frozenset(("builtins.enumerate", "builtins.zip", "itertools.zip_longest", "itertools.pairwise"))
WITHIN = "<within>"
"""Of ``chain.from_iterable``: what holds the containers that it goes through."""


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
    if frame.field(node, views.SHOWS) or frame.field(node, views.OF):
        return join(held_itself(frame, node), _shown(frame, node))
    return held_itself(frame, node)


def _shown(frame: Frame, node: Node) -> Value:
    """What a view gives of what its source holds now; views of pairs make pairs of it."""
    if node.types <= views.KEY_VIEWS:
        return views.keys_shown(frame, node)
    if node.types <= views.PAIR_VIEWS:
        for pair in frame.field(node, ELEMENTS):
            frame.put(pair, "0", views.keys_shown(frame, node))
            frame.put(pair, "1", views.shown(frame, node))
        return EMPTY
    return views.shown(frame, node)


def held_itself(frame: Frame, node: Node) -> Value:
    """What it holds, short of what it shows of others."""
    program = frame.program
    kept = frame.field(node, "<kept>")
    within = frame.field(node, WITHIN)
    if within:
        frame.put(node, ELEMENTS, drawn(frame, drawn(frame, within)))
    result = join(frame.field(node, ELEMENTS), given_later(frame, node, kept)) if kept else frame.field(node, ELEMENTS)
    for name in list(frame.fields(node)):
        if name.isdigit():
            result = join(result, frame.field(node, name))
    if UNKNOWN in node.types or any(t.startswith("@") for t in node.each):
        for name in list(frame.fields(node)):
            if name not in (BELOW, ELEMENTS) and not name.startswith("<"):
                result = join(result, frame.field(node, name))
        return join(result, frame.below(node))
    if any(map(program.has_cells, node.types)):
        result = join(result, program.anything)
    if not result:
        told = library_results.elements_by_type(frame, node)
        if told:
            return told
        return EMPTY if frame.complete(node) and all(map(program.is_container, node.types)) else frame.below(node)
    if BELOW in node.fields:
        result = join(result, node.fields[BELOW])
    return result


def mapped(frame: Frame, value: Value, span: Span, key: Any) -> tuple[Value, Value]:
    """The keys and values that a mapping takes over from another one, or from pairs."""
    keys = values = EMPTY
    for node in value:
        me = frozenset((node,))
        if is_mapping(frame, node):
            keys = join(keys, join(frame.field(node, KEYS), iterate(frame, me, span, (key, "keys"))))
            values = join(values, values_of(frame, node, span, key))
            continue
        for pair in iterate(frame, me, span, (key, "pairs")):
            if "1" in pair.fields:
                keys = join(keys, frame.field(pair, "0"))
                values = join(values, frame.field(pair, "1"))
            else:
                inner = contents(frame, frozenset((pair,)))
                keys = join(keys, inner)
                values = join_all((values, frozenset((pair,)), inner))
    return keys, values


def values_of(frame: Frame, node: Node, span: Span, key: Any) -> Value:
    """The values of a mapping, as somebody takes them who has its keys."""
    me = frozenset((node,))
    values = contents(frame, me)
    for type_name in node.each:
        if type_name.startswith("@"):
            getter = access.look_up(frame, frame.program.classes[type_name].node, "__getitem__", span)
            if getter:
                given = [me, frame.program.anything]
                values = join(values, calls.call(frame, getter, given, {}, span, (key, "values", type_name)))
    return values


def is_mapping(frame: Frame, node: Node) -> bool:
    """Whether an object has ``keys``, by which mappings are known where they are taken over."""
    if node.kind != "object":
        return False
    if KEYS in node.fields:
        return True
    for type_name in node.each:
        if type_name.startswith("@"):
            cls = frame.program.classes[type_name].node
            if any("keys" in other.fields for other in frame.program.mro(cls)):
                return True
            bases = frame.program.foreign_bases(cls)
            if any(base in MAPPING_BASES or frame.program.method(base, "keys") for base in bases):
                return True
        elif type_name != UNKNOWN and frame.program.method(type_name, "keys") is not None:
            return True
    return False


def item(frame: Frame, value: Value, key: Value, op: ir.Item) -> Value:
    """``obj[key]``."""
    result = EMPTY
    operators.implicit(frame, key, ("__hash__", "__eq__", "__index__"), op.span)
    constant = next((n.data[0] for n in key if n.kind == "scalar" and n.data), None) if len(key) == 1 else None
    for node in value:
        if node.kind == "lib" or node.kind == "class" or node.kind == "function":
            result = join(result, frozenset((node,)) if node.kind != "class" else class_item(frame, node, key, op))
            continue
        if node.kind == "state":
            access.use_state(frame, "read", node, op.span)
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
    for type_name, nodes in access.by_type(value).items():
        if type_name.startswith("@"):
            result = join(result, own_item(frame, nodes, type_name, key, op))
        elif type_name == UNKNOWN:
            dunder(frame, "__getitem__", [nodes, key], op.span, ("item", access.site(op), type_name))
    return result


def class_item(frame: Frame, node: Node, key: Value, op: Any) -> Value:
    """``Generic[int]``, ``Color["RED"]``, ``__class_getitem__``."""
    getter = access.look_up(frame, node, "__class_getitem__", op.span)
    if getter:
        return calls.call(frame, getter, [frozenset((node,)), key], {}, op.span, ("classitem", access.site(op)))
    if frame.program.flavour(node) == "enum":
        return frame.program.scalar(node.data.key)
    return frozenset((node,))


def own_item(frame: Frame, nodes: Value, type_name: str, key: Value, op: Any) -> Value:
    """An item of instances of a class of the project."""
    cls = frame.program.classes[type_name].node
    getter = access.look_up(frame, cls, "__getitem__", op.span)
    if getter:
        return calls.call(frame, getter, [nodes, key], {}, op.span, ("item", access.site(op), type_name))
    bases = frame.program.foreign_bases(cls)
    return join_all([item_of(frame, node, b, key, op) for b in bases for node in nodes]) or contents(frame, nodes)


def item_of(frame: Frame, node: Node, type_name: str, key: Value, op: Any) -> Value:
    program = frame.program
    if type_name == UNKNOWN:
        return program.anything if node.kind == "scalar" else held(frame, node)
    signature = program.method(type_name, "__getitem__")
    if signature is None:
        return held(frame, node)
    return library.apply(
        frame, signature, frozenset((node,)), [key], {}, op.span, ("item", access.site(op), like(node)), "[]"
    )


def store_item(frame: Frame, value: Value, key: Value, stored: Value, op: ir.StoreItem) -> None:
    """``obj[key] = stored``."""
    special_item(frame, value, "__setitem__", [key, stored], op, op.obj)
    operators.implicit(frame, key, ("__hash__", "__eq__", "__index__"), op.span)
    taken = EMPTY
    if any("builtins.slice" in n.types for n in key):
        taken = join(stored, iterate(frame, stored, op.span, ("slice", access.site(op)), op.value))
    for node in value:
        if node.kind == "object":
            if type_is(node, "builtins.dict"):
                frame.put(node, KEYS, key)
            if not (node.types and all(map(frame.program.has_cells, node.types))):
                frame.put(node, ELEMENTS, taken if taken and not is_mapping(frame, node) else stored)


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
            access.use_state(frame, "write", node, op.span)
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
                setter = access.look_up(frame, cls, method, op.span)
                if setter:
                    own = True
                    me = frozenset((node,))
                    calls.call(frame, setter, [me, *arguments], {}, op.span, (method, access.site(op), like(node)))
            elif type_name == UNKNOWN and node.kind != "scalar":
                dunder(frame, method, [frozenset((node,)), *arguments], op.span, (method, access.site(op), like(node)))
        if not own or len(node.types) > 1:
            frame.write((node,), text, op.span)


def dunder(frame: Frame, method: str, arguments: list[Value], span: Span, key: Any) -> Value:
    """A special method of an object of unknown type: that of any class of the project that has it."""
    found = frame.field(frame.program.table, method)
    return calls.call(frame, found, arguments, {}, span, key) if found else EMPTY


def wait_for(frame: Frame, value: Value, span: Span, key: Any) -> Value:
    """What ``await value`` gives."""
    for type_name, nodes in access.by_type(value).items():
        if type_name.startswith("@"):
            maker = access.look_up(frame, frame.program.classes[type_name].node, "__await__", span)
            if maker:
                iterator = calls.call(frame, maker, [nodes], {}, span, (key, type_name))
                iterate(frame, iterator, span, (key, "of"))
    return contents(frame, value)


def given_later(frame: Frame, node: Node, kept: Value) -> Value:
    """What an iterator gives that was put into what it goes through after it was made; pairs that it makes get it."""
    if node.types <= PASSING:
        return drawn(frame, kept)
    if node.types <= PAIRING:
        for pair in frame.field(node, ELEMENTS):
            if node.types == {"builtins.enumerate"}:
                frame.put(pair, "1", drawn(frame, kept))
            elif node.types == {"itertools.pairwise"}:
                frame.put(pair, ELEMENTS, drawn(frame, kept))
            for name in [name for name in pair.fields if name.isdigit()]:
                frame.put(pair, name, drawn(frame, frame.field(node, f"<at {name}>")))
    return EMPTY


def drawn(frame: Frame, sources: Value) -> Value:
    """What containers hold now, and those that iterators among ``sources`` go through."""
    program = frame.program
    found = EMPTY
    seen: set[Node] = set()
    stack = [n for n in sources if n.kind == "object"]
    while stack:
        node = stack.pop()
        if node in seen or not node.types:
            continue
        seen.add(node)
        if node.types <= PASSING:
            found = join(found, frame.field(node, ELEMENTS))
            stack.extend(n for n in frame.field(node, "<kept>") if n.kind == "object")
        elif "builtins.dict" in node.types:
            found = join(found, frame.field(node, KEYS))
        elif all(map(program.is_container, node.types)) and not any(map(program.is_iterator, node.types)):
            found = join(found, held(frame, node))
    return found


def iterate(frame: Frame, value: Value, span: Span, key: Any, temp: int = -1) -> Value:
    """One element of what is iterated over; iterators are used up by it."""
    result = EMPTY
    for node in value:
        if node.kind == "class":
            if frame.program.flavour(node) == "enum":
                result = join(result, frame.program.scalar(node.data.key))
            continue
        if node.kind == "state":
            access.use_state(frame, "read", node, span)
        for type_name in node.each or (UNKNOWN,):
            if not type_name.startswith("@"):
                result = join(result, iterate_over(frame, node, type_name, span, (key, like(node)), temp))
    for type_name, nodes in access.by_type(value).items():
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
        maker = access.look_up(frame, cls, begin, span)
        if not maker:
            continue
        iterator = calls.call(frame, maker, [me], {}, span, (key, "iter"))
        nexts = [n for n in iterator if any(t.startswith("@") for t in n.types)]
        result = EMPTY
        for other in nexts:
            for t in other.each:
                if t.startswith("@"):
                    step = access.look_up(frame, program.classes[t].node, going_on, span)
                    made = calls.call(frame, step, [frozenset((other,))], {}, span, (key, "next"))
                    result = join(result, made if begin == "__iter__" else contents(frame, made))
        rest = frozenset(n for n in iterator if n not in nexts)
        return join(result, iterate(frame, rest, span, (key, "of"), temp))
    getter = access.look_up(frame, cls, "__getitem__", span)
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
    sure = {other for other in moved if any(map(frame.program.is_iterator, other.types))}
    frame.write(sure, text, span)
    frame.write(moved - sure, text, span, True)
    for other in moved:
        calls.run_deferred(frame, other, span)
