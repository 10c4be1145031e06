"""Abstract objects: what a name may stand for.

A *value* is a set of *nodes*; a node stands for all objects made at one place of the program (or handed in at one
access path of a parameter). What a node holds is in its *fields*: attributes by name, ``[]`` for the elements (and
values) of a container, ``{}`` for the keys of a mapping, ``0``, ``1`` ... for the items of a tuple, ``*`` for
whatever lies below an object of which no more is known. *Views* (symmetric) join nodes that share memory: numpy
slices and their arrays. Fields and views only ever grow, so that loops and recursion come to a fixpoint.

    x = np.arange(4.); v = x[1:3]; box = [v]      x {#1}   v {#2: views #1}   box {#3: [] -> #2}
    reach(box) = {#3, #2, #1}                     a write to x is one to v as well
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

UNKNOWN: Final = "?"
"""The type of a node whose type is not known."""

ELEMENTS: Final = "[]"
KEYS: Final = "{}"
BELOW: Final = "*"


class Node(int):
    """An abstract object. ``kind``:

    ``scalar``   an immutable value; ``data`` is the constant, or ``None`` in a 1-tuple for the constant ``None``
    ``object``   an instance; ``types`` tell of what
    ``function`` a function of the project; ``data`` is (module, scope number)
    ``class``    a class of the project; ``data`` is its ``ClassInfo``
    ``module``   a module of the project; its globals are its fields
    ``lib``      a name of a library (``data``): a module, function, class or constant
    ``state``    a hidden state as an object (``os.environ``): ``data`` is its name
    ``bound``    something called with a receiver (field ``self``); ``data`` is what
    ``wrapped``  a property, static method, cached function, ...: ``data`` says which; field ``inner`` is what
    ``frame``    the captured variables of one activation of a function

    ``owner`` is the activation whose analysis made the node; ``path`` is set if it stands for what the caller handed
    in.
    ``serial`` orders the nodes of the driver by the operation that made them.

    A node is a number of its own, so that sets of nodes have the same order in every run of the analysis.
    """

    kind: str
    types: frozenset[str]
    owner: object
    data: Any
    immutable: bool
    name: str
    fields: dict[str, Value]
    views: set[Node]
    path: tuple[str, ...] | None
    serial: int
    watched: set[str] | None
    leader: Node

    def __new__(cls, *given: object, **named: object) -> Node:
        return int.__new__(cls, next(_numbers))

    def __init__(
        self,
        kind: str,
        types: frozenset[str] = frozenset(),
        owner: object = None,
        data: Any = None,
        immutable: bool = False,
        name: str = "",
    ) -> None:
        self.kind = kind
        self.types = types
        self.owner = owner
        self.data = data
        self.immutable = immutable
        self.name = name
        self.fields: dict[str, Value] = {}
        self.views: set[Node] = set()
        self.path: tuple[str, ...] | None = None
        self.serial = -1
        self.watched: set[str] | None = None
        self.leader: Node = self

    def below_data(self) -> Any:
        """``data`` of what lies below it."""
        return CAUGHT_PART if self.data in (CAUGHT, CAUGHT_PART) else None

    def first(self) -> Node:
        """The node that stands for this one, if it was made one with others."""
        node = self
        while node.leader is not node:
            node = node.leader
        return node

    def __repr__(self) -> str:
        return f"<{self.kind} {'|'.join(sorted(self.types)) or self.data} {self.name}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = int.__hash__

    @property
    def each(self) -> Iterable[str]:
        """The types in a fixed order."""
        return self.types if len(self.types) < 2 else sorted(self.types)

    @property
    def mutable(self) -> bool:
        """Whether it is an object that can change (and so has a label)."""
        return (self.kind == "object" and not self.immutable) or self.kind == "frame"


_numbers = itertools.count(1 << 60)


def restart() -> None:
    """Count nodes anew, for a new analysis."""
    global _numbers
    _numbers = itertools.count(1 << 60)


Value: TypeAlias = frozenset[Node]

EMPTY: Final[Value] = frozenset()

CAUGHT: Final = ("caught",)
"""``data`` of a caught exception."""
CAUGHT_PART: Final = ("part of what was caught",)
"""``data`` of what lies below one: it may be any object that was there when it was raised."""

CLOSED: Final = frozenset(("module", "class", "scalar", "lib"))
"""Kinds of nodes that are not entered when it is asked what can be reached: names of code, and what has no parts."""


def like(node: Node) -> Any:
    """What a node is, short of its identity: tells apart what is made for it at one place. Were nodes themselves used
    for that, what is made for the nodes that were made ... would never end."""
    match node.kind:
        case "object" | "scalar":
            return node.types
        case "class":
            return node.data.key
        case "bound":
            data = node.data
            return ("bound", like(data) if isinstance(data, Node) else getattr(data, "name", str(data)))
        case "wrapped":
            return (node.data, node.name)
        case _:
            return (node.kind, node.data)


def join(first: Value, second: Value) -> Value:
    """The union, without making a new set where one is enough."""
    if first is second or second <= first:
        return first
    if first <= second:
        return second
    return first | second


def join_all(values: Iterable[Value]) -> Value:
    """The union of many."""
    result = EMPTY
    for value in values:
        result = join(result, value)
    return result


def reach(nodes: Iterable[Node]) -> set[Node]:
    """All nodes reachable through fields and views, the given ones included. Modules and classes are not entered: their
    attributes are places of their own."""
    seen: set[Node] = set(nodes)
    stack = list(seen)
    entered: set[int] = set()  # nodes that were made one share their fields
    while stack:
        node = stack.pop()
        if node.kind in CLOSED:
            continue
        fields = node.fields
        if fields and id(fields) not in entered:
            entered.add(id(fields))
            for value in fields.values():
                if not value <= seen:
                    stack.extend(value - seen)
                    seen |= value
        views = node.views
        if views and not views <= seen:
            stack.extend(views - seen)
            seen |= views
    return seen


def together(nodes: Iterable[Node]) -> set[Node]:
    """The nodes that share memory with the given ones."""
    seen: set[Node] = set(nodes)
    stack = list(seen)
    entered: set[int] = set()  # nodes that were made one share their views
    while stack:
        views = stack.pop().views
        if views and id(views) not in entered:
            entered.add(id(views))
            stack.extend(views - seen)
            seen |= views
    return seen


def unite(nodes: Iterable[Node]) -> Node:
    """Make the nodes one, by letting them share what they hold; the first made stands for all."""
    ordered = sorted(nodes, key=lambda n: n.serial)
    first = ordered[0]
    for node in ordered[1:]:
        if node.fields is first.fields:
            continue
        for name, value in node.fields.items():
            first.fields[name] = join(first.fields.get(name, EMPTY), value)
        first.views |= node.views
        first.types = first.types | node.types
        first.immutable = first.immutable and node.immutable
        node.fields = first.fields
        node.views = first.views
        node.leader = first
    for node in ordered[1:]:
        node.types = first.types
        node.views.add(first)
    first.views.discard(first)
    return first
