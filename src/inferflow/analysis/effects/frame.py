"""One activation under analysis: the body of a function with arguments of certain shapes, and what became known of it.

A finished frame *is* the summary of that function for those shapes. It speaks of

- nodes that stand for what came in (``path``: parameter, then fields),
- nodes from outside (globals, class attributes, captured variables): those mean the same everywhere,
- nodes made inside; only those that the result or a store hands out matter to the caller.

The driver's own statements and the bodies of modules run in *root* frames, where every node is real and every
store happens at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.effects.heap import (
    BELOW,
    CAUGHT_PART,
    EMPTY,
    UNKNOWN,
    Node,
    Value,
    join,
    reach,
    together,
    unite,
)
from inferflow.analysis.effects.program import Program
from inferflow.model import Span
from inferflow.model.place import Hidden, Place, World
from inferflow.records import frozen

CROWD = 16
"""From so many objects in one field on, they are taken for one: keeps the analysis linear."""
STRANGE = frozenset((UNKNOWN,))
"""The types of an object of which nothing is known."""


@frozen
class FileTarget:
    """A file in the terms of a frame: ``node`` is the scalar that names it, ``None`` if nothing does."""

    node: Node | None
    aspect: str = "content"


Target: TypeAlias = "Node | Place | FileTarget"
Why: TypeAlias = tuple[str, Span, bool]
"""Text, place, and whether it is assumed and not known."""


class Frame:
    """See the module. ``root`` frames have no parameters and no summary.

    ``env`` holds the local names (``envs`` those of the scopes around it that run in the same activation); ``undo``
    the earlier values of those stored since the current branch began; ``weak`` is positive inside loops and ``try``,
    where a store adds to what a name may be instead of replacing it. ``turns`` are, for the loops that are run now, the
    names that the present turn has bound, with what they were before; ``fresh`` while a statement runs that every turn
    comes to which comes so far, and that is the place for such bindings.
    """

    def __init__(self, program: Program, module: str, scope: int, root: bool = False) -> None:
        self.program = program
        self.module = module
        self.scope = scope
        self.code: ir.Scope = program.project.modules[module].scopes[scope]
        self.root = root
        self.inline = False
        """Of a root frame: the body of a function that is opened (see ``opened``)."""
        self.token: object = program if root else self
        self.env: dict[str, Value] = {}
        self.undo: list[tuple[str, Value | None]] | None = None
        self.weak = 0
        self.fresh = False
        self.turns: list[dict[str, Value | None]] = []
        self.temps: dict[int, Value] = {}
        self.members: dict[int, tuple[Value, list[tuple[Node, str]]]] = {}
        self.ops: tuple[ir.Op, ...] = ()
        self.said: tuple[tuple[ir.Op, ...], dict[int, ir.Op]] = ((), {})
        self.hook: Callable[[ir.Op], None] | None = None
        self.watch: Callable[[ir.Statement], bool] | None = None
        self.heads: Callable[[ir.Statement, Callable[[], None]], None] | None = None
        self.kind = "module" if self.code.kind == "module" else "function"
        self.envs: list[dict[str, Value]] = []
        self.captured: frozenset[str] = frozenset()
        self.klass: Value = EMPTY
        self.function: Node | None = None
        self.sent: Value = EMPTY
        self.nodes: dict[Any, Node] = {}
        self.params: dict[str, Value] = {}
        self.cells: Node | None = None
        self.closure: Value = EMPTY
        self.globals = program.modules[module]
        self.effects: dict[tuple[str, Target], Why] = {}
        self.obstacles: dict[str, Span] = {}
        self.stores: dict[tuple[Node, str], Value] = {}
        self.links: set[tuple[Node, Node]] = set()
        self.overlay: dict[tuple[Node, str], Value] = {}
        self.added: dict[Node, dict[str, Value]] = {}
        self.reached: dict[Value, set[Node]] = {}
        self.reached_at = -1
        self.groups: dict[tuple[str, ...], Node] = {}
        self.read: dict[tuple[Node, str], Value] = {}
        self.result: Value = EMPTY
        self.yielded: Value = EMPTY
        self.emitted: list[Node] = []
        self.callees: set[Frame] = set()
        self.state = "new"
        self.checked = -1
        self.changed = False
        self.recursive = False

    # -- nodes

    def make(
        self,
        key: Any,
        kind: str = "object",
        types: frozenset[str] = frozenset((UNKNOWN,)),
        data: Any = None,
        immutable: bool = False,
        name: str = "",
    ) -> Node:
        """The node for what is made at ``key`` (an operation and, where it makes several things, which)."""
        node = self.nodes.get(key)
        if node is None:
            node = Node(kind, types, self.token, data, immutable, name)
            node.serial = self.program.serial
            self.nodes[key] = node
            self.changed = True
        elif not types <= node.types:
            node.types |= types
            node.immutable = node.immutable and immutable
            self.program.heap += 1
            self.changed = True
        return node

    def owns(self, node: Node) -> bool:
        """Whether a store to the node can simply be made."""
        return node.owner is self.token or (self.root and node.owner is None)

    def field(self, node: Node, name: str) -> Value:
        """What is known to be in a field (nothing, if nothing is)."""
        value = node.fields.get(name, EMPTY)
        if not self.owns(node):
            self.read[(node, name)] = value
            if node.watched is None:
                node.watched = set()
            node.watched.add(name)
            more = self.overlay.get((node, name))
            if more is not None:
                value = join(value, more)
        return value

    def put(self, node: Node, name: str, value: Value) -> None:
        """Add to a field."""
        if node.kind == "scalar" or node.kind == "lib" or not value:
            return
        if name == "<dict>":  # who has the dictionary of an object can change it
            node.immutable = False
        if not self.owns(node):
            old = self.overlay.get((node, name), EMPTY)
            new = join(old, value)
            if new is not old:
                self.overlay[(node, name)] = self.stores[(node, name)] = new
                self.added.setdefault(node, {})[name] = new
                self.program.heap += 1
                self.changed = True
            return
        old = node.fields.get(name, EMPTY)
        new = join(old, value)
        if new is old:
            return
        if len(new) > CROWD:
            new = self._crowd(new)
            if new == old:
                return
        node.fields[name] = new
        self.changed = True
        self.program.heap += 1
        if node.watched is not None and name in node.watched:
            self.program.epoch += 1
        if node.path is not None:
            self.stores[(node, name)] = join(self.stores.get((node, name), EMPTY), value)

    def _crowd(self, value: Value) -> Value:
        """Many objects in one field become one."""
        value = frozenset([n.leader for n in value])
        alike = [n for n in value if n.owner is self.token and n.kind == "object" and n.path is None]
        if len(alike) <= CROWD:
            return value
        first = unite(alike)
        self.program.heap += 1
        return value - set(alike) | {first}

    def mingle(self, nodes: Value) -> set[Node]:
        """What unknown code can reach from the nodes. Of what is found there, objects of unknown type that this frame
        made become one when there are many: such code may have stored any of them in any other, so they are one alias
        component; and a chain of unknown calls would otherwise reach one more with each."""
        found = self.reach(nodes)
        if len(found) <= CROWD:
            return found
        strange = [n for n in found if n.owner is self.token and n.path is None and n.types == STRANGE]
        if len({id(n.fields) for n in strange if n.kind == "object" and not n.immutable}) <= CROWD:
            return found
        first = unite(n for n in strange if n.kind == "object" and not n.immutable)
        for name, value in first.fields.items():
            first.fields[name] = frozenset([n.first() for n in value])
        self.program.heap += 1
        self.changed = True
        return self.reach(nodes)

    def replace(self, node: Node, name: str, value: Value) -> None:
        """Set a field for good (a global of a module, at its own top level)."""
        old = node.fields.get(name, EMPTY)
        if old == value:
            return
        node.fields[name] = value
        self.changed = True
        self.program.heap += 1
        if node.watched is not None and name in node.watched:
            self.program.epoch += 1

    def fields(self, node: Node) -> Iterable[str]:
        """The names of a node's fields, as far as this frame knows."""
        more = self.added.get(node) if self.added else None
        return node.fields if more is None else {**node.fields, **more}

    def reach(self, nodes: Iterable[Node]) -> set[Node]:
        """What can be reached from the nodes, what this frame stored in nodes from outside included."""
        key = nodes if isinstance(nodes, frozenset) else frozenset(nodes)
        heap = self.program.heap
        if self.reached_at != heap:
            self.reached_at = heap
            self.reached.clear()
        known = self.reached.get(key)
        if known is None:
            known = self.reached[key] = self._reach(key)
        return known

    def _reach(self, nodes: Value) -> set[Node]:
        found = reach(nodes)
        self.program.work += len(found) // 4
        self.program.toil(len(found))
        if self.program.work > 2 * self.program.budget:
            self.program.give_up(self.code.span)
        if not self.added:
            return found
        pending = found
        while pending:
            more = {n for node in pending if node in self.added for v in self.added[node].values() for n in v}
            pending = reach(more) - found
            found |= pending
        return found

    def link(self, one: Node, other: Node) -> None:
        """The two share memory."""
        if one is other or other in one.views or one.kind == "scalar" or other.kind == "scalar":
            return
        for node, partner in ((one, other), (other, one)):
            if self.owns(node):
                node.views.add(partner)
        if not (self.owns(one) and self.owns(other) and one.path is None and other.path is None):
            self.links.add((one, other))
        self.changed = True
        self.program.heap += 1

    def below(self, node: Node) -> Value:
        """What lies below an object of which no more is known: one node, that is below itself."""
        value = node.fields.get(BELOW)
        if value is None:
            program = self.program
            if node.kind == "scalar" or any(map(program.has_cells, node.types)):
                return program.anything
            child = Node("object", frozenset((UNKNOWN,)), node.owner, node.below_data())
            child.serial = node.serial
            child.name = f"{node.name}.*" if node.name else ""
            if node.path is not None:
                child.path = (*node.path, BELOW)
            child.fields[BELOW] = frozenset((child,))
            if not node.types or not all(map(program.is_container, node.types)):
                child.views.add(node)
                node.views.add(child)
            for name, others in node.fields.items():
                if name.startswith("<") and "|" in name:
                    for other in others:
                        child.views.add(other)
                        other.views.add(child)
            value = node.fields[BELOW] = frozenset((child,))
            program.heap += 1
        return value

    def child(self, node: Node, type_name: str, tag: str = "") -> Value:
        """What lies below an object, known to be of a type, and found under an attribute ``tag``. Different elements
        are different objects; but what is reached in an unknown way may be any of them."""
        field = f"<{type_name}|{tag}>"
        value = node.fields.get(field)
        if value is None:
            program = self.program
            below = node.fields.get(BELOW, EMPTY) if tag else self.below(node)
            immutable = program.is_immutable(type_name)
            child = Node("object", frozenset((type_name,)), node.owner, node.below_data(), immutable)
            child.serial = node.serial
            child.name = f"{node.name}.{tag or '*'}" if node.name else ""
            if node.path is not None:
                child.path = (*node.path, field)
            for other in below:
                if other.kind == "object":
                    child.views.add(other)
                    other.views.add(child)
            if not tag and not (node.types and all(map(program.is_container, node.types))):
                child.views.add(node)
                node.views.add(child)
            value = node.fields[field] = frozenset((child,))
            program.heap += 1
        return value

    def complete(self, node: Node) -> bool:
        """Whether all that the node holds is known: only what this very frame made itself."""
        known = node.owner is self.token and node.path is None and UNKNOWN not in node.types
        return known and node.below_data() is None

    # -- effects

    def note(self, mode: str, target: Target, text: str, span: Span, assumed: bool = False) -> None:
        """Record an effect, unless it is on something that nobody outside can see."""
        if isinstance(target, Node) and not self.root and target.owner is self and target.path is None:
            return
        key = (mode, target)
        if key not in self.effects:
            self.effects[key] = (text, span, assumed)
            self._grown()

    def write(self, nodes: Any, text: str, span: Span, assumed: bool = False) -> None:
        """The nodes change in place, and what shares memory with them."""
        found = together(nodes)
        self.program.toil(len(found))
        for node in found:
            if node.mutable:
                self.note("write", node, text, span, assumed)
                if node.data == CAUGHT_PART:
                    self.note("write", World("anything"), f"{text}, a part of an exception", span, assumed)
            elif node.kind == "state":
                self.note("write", Hidden(node.data), text, span, assumed)

    def obstacle(self, text: str, span: Span) -> None:
        """Why the call is not proved to be independent."""
        if text not in self.obstacles:
            self.obstacles[text] = span
            self._grown()

    def _grown(self) -> None:
        """There is more to tell of a function's calls. (Of the driver's own code what it does is told operation by
        operation, and changes nothing of what the next turn of a loop finds.)"""
        if not self.root:
            self.changed = True

    # -- names for messages

    def say(self, temp: int, depth: int = 0) -> str:
        """How the source calls an operand (``log``, ``self.items``), as far as it does; of long chains, the end."""
        if self.said[0] is not self.ops:
            made = {temp: op for op in self.ops for temp in (getattr(op, "out", None),) if temp is not None}
            self.said = (self.ops, made)
        if depth > 8:
            return "..."
        match self.said[1].get(temp):
            case ir.Load(name=name):
                return name
            case ir.Attr(obj=obj, name=name):
                inner = self.say(obj, depth + 1)
                return f"{inner}.{name}" if inner else name
            case ir.Item(obj=obj):
                inner = self.say(obj, depth + 1)
                return f"{inner}[...]" if inner else ""
            case ir.Call(func=func):
                inner = self.say(func, depth + 1)
                return f"{inner}()" if inner else ""
            case ir.Const(value=value):
                return repr(value)
            case _:
                return ""

    @property
    def where(self) -> str:
        """The name of the function, for messages; empty in the driver itself."""
        return "" if self.root else self.code.name
