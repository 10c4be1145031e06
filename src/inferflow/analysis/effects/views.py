"""Objects that show what others hold: views of mappings, and the dictionaries in which instances keep their attributes.

g = d.values(); d["k"] = xs             whoever goes through g finds xs: it shows what d holds when it is asked
m = ChainMap(d); m["k"] = xs            d["k"] is xs too
p = vars(o); p["k"] = xs; o.z = ys      o.k is xs, p["z"] is ys

``<shows>`` of a view is what it shows. ``<dict>`` of an instance is its dictionary, made when somebody asks for it;
``<of>`` of that are the instances. Views and dictionaries share memory with what they belong to (``Frame.link``), so a
change of one is a change of the other.
"""

from __future__ import annotations

from typing import Final

from inferflow.analysis.effects import contained
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, KEYS, UNKNOWN, Node, Value, join

SHOWS: Final = "<shows>"
DICT: Final = "<dict>"
OF: Final = "<of>"

KEY_VIEWS: Final = frozenset(("builtins.dict_keys",))
PAIR_VIEWS: Final = frozenset(("builtins.dict_items",))
ONE_WAY: Final = frozenset(
    (*KEY_VIEWS, *PAIR_VIEWS, "builtins.dict_values", "types.MappingProxyType"),
)
"""Views through which nothing can be stored."""
CALLABLE: Final = frozenset(("function", "bound", "class", "wrapped", "lib"))


def show(frame: Frame, view: Node, source: Node) -> None:
    """From here on, a view shows what its source holds; through some, things can be stored there."""
    if view is source or not (_shows_items(frame, view) and _shows_items(frame, source)):
        return
    frame.put(view, SHOWS, frozenset((source,)))
    if not view.types <= ONE_WAY:
        frame.put(source, SHOWS, frozenset((view,)))


def _shows_items(frame: Frame, node: Node) -> bool:
    return node.kind == "object" and any(
        t == UNKNOWN or t.startswith("@") or frame.program.is_container(t) for t in node.types
    )


def shown(frame: Frame, view: Node) -> Value:
    """What a view gives besides what is known to be in it: what its sources hold, and the owners of dictionaries."""
    found = EMPTY
    seen = {view}
    stack = [view]
    while stack:
        node = stack.pop()
        if node is not view:
            found = join(found, contained.held_itself(frame, node))
        for owner in frame.field(node, OF):
            found = join(found, attributes(frame, owner))
        for other in frame.field(node, SHOWS):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return found


def keys_shown(frame: Frame, view: Node) -> Value:
    """The keys that a view of keys gives."""
    found = EMPTY
    for source in frame.field(view, SHOWS):
        found = join(found, frame.field(source, KEYS))
    return found


def namespace(frame: Frame, node: Node) -> Value:
    """``obj.__dict__``: the dictionary that holds an instance's attributes."""
    known = frame.field(node, DICT)
    if known:
        return known
    made = frame.make(("dictionary", node), types=frozenset(("builtins.dict",)))
    if not made.name and node.name:
        made.name = f"{node.name}.__dict__"
    attach(frame, node, made)
    return frozenset((made,))


def attach(frame: Frame, node: Node, dictionary: Node) -> None:
    """An instance keeps its attributes in this dictionary."""
    frame.put(node, DICT, frozenset((dictionary,)))
    frame.put(dictionary, OF, frozenset((node,)))
    frame.put(dictionary, KEYS, frame.program.scalar("builtins.str"))
    frame.link(dictionary, node)


def attributes(frame: Frame, owner: Node) -> Value:
    """What an instance is known to have as attributes."""
    found = EMPTY
    own = any(t.startswith("@") for t in owner.types)
    for name in frame.fields(owner):
        if not name.startswith("<") and not (own and name in (ELEMENTS, KEYS)):
            found = join(found, frame.field(owner, name))
    if owner.kind == "object" and not frame.complete(owner):
        found = join(found, frame.below(owner))
    return found


def loose(frame: Frame, node: Node, name: str) -> Value:
    """What an attribute may be since somebody stored it through a dictionary, or under a name that is not known."""
    found = EMPTY
    for dictionary in frame.field(node, DICT):
        found = join(found, frame.field(dictionary, ELEMENTS))
        for view in frame.field(dictionary, SHOWS):
            found = join(found, frame.field(view, ELEMENTS))
        for other in frame.field(dictionary, OF):
            if other is not node:
                found = join(found, frame.field(other, name) if name else attributes(frame, other))
    return found


def with_loose(certain: Value, found: Value) -> Value:
    """An attribute that may also be one of these. Where the class has a method of that name, only what can be called
    is taken for another."""
    if certain and all(node.kind in CALLABLE for node in certain):
        found = frozenset([n for n in found if n.kind in CALLABLE or (n.kind == "object" and not _is_data(n))])
    return join(certain, found)


def _is_data(node: Node) -> bool:
    return all(name.startswith("builtins.") for name in node.types)
