"""Summaries: analysing a function for the shapes of its arguments, once, and applying what was found to each call.

The *shape* of an argument is what the analysis of the callee can see of it: types, and the shapes of its fields to a
small depth. Calls with equal shapes share one :class:`Frame`. For a call, the nodes of the frame are translated:

    def put(box, x): box.item = x; return [x]        box: P0, x: P1; store P0.item <- P1, write P0; result {N: [] -> P1}
    r = put(b, a)                                    b.item <- a; write b; r is a new list that holds a

what came in becomes the arguments (and what lies under them at the same path), what was made inside becomes new nodes
of the call, named by their path from the result, and what is outside stays what it is.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from inferflow.analysis.effects import run
from inferflow.analysis.effects.frame import FileTarget, Frame
from inferflow.analysis.effects.heap import BELOW, ELEMENTS, EMPTY, UNKNOWN, Node, Value, join
from inferflow.analysis.effects.plain import handed_on
from inferflow.model import Span

DEPTH = 3
"""How deep the fields of arguments are told apart; below that, one node stands for everything."""
WIDTH = 40
DETAIL = 120
"""So many fields of one argument are told apart in all."""
MANY = 32
CONTEXTS = 8
"""For so many different shapes a function is analysed by itself; then for one that joins all further ones."""
NESTING = 40
ROUNDS = 12
RESULT_DEPTH = 4
RESULT_NODES = 48

Shape: TypeAlias = "tuple[frozenset[Node], Parts | int | None]"
"""What needs no symbol (constants, functions, classes ...), and what the objects among the values have in common; a
number if they are of the kind of the objects so many levels from the top (a list of its like, a tree)."""
Parts: TypeAlias = "tuple[frozenset[str], bool, Any, tuple[tuple[str, Shape], ...] | None]"


# -- shapes ----------------------------------------------------------------------------------------


def shape(
    frame: Frame,
    value: Value,
    depth: int = DEPTH,
    above: tuple[frozenset[str], ...] = (),
    left: list[int] | None = None,
) -> Shape:
    """The shape of an argument. ``above`` are the types on the way to it; ``left`` counts down to where it is detailed
    enough."""
    program = frame.program
    left = [DETAIL] if left is None else left
    left[0] -= 1
    if len(value) == 1:  # most arguments are one object, or a constant of which only the type matters
        (only,) = value
        if only.kind == "scalar" and only.path is None and len(only.types) == 1 and only.data is not None:
            if only.data[0] is None or isinstance(only.data[0], bool):
                return value, None
            return program.scalar(next(iter(only.types))), None
    plain: set[Node] = set()
    objects: list[Node] = []
    for node in value:
        if node.kind == "object":
            objects.append(node)
        elif node.kind == "scalar" and (node.data is not None or node.path is not None):
            if node.data is not None and (node.data[0] is None or isinstance(node.data[0], bool)):
                plain.add(node)
            else:
                for name in node.types:
                    plain |= program.scalar(name)
        else:
            plain.add(node)
    if not objects:
        return frozenset(plain), None
    types = frozenset(t for node in objects for t in node.types)
    settings = handed_on(frame, objects[0]) if len(objects) == 1 else None
    if any(t.startswith("@") for t in types):
        for level, seen in enumerate(above):
            if types <= seen and any(t.startswith("@") for t in seen):
                return frozenset(plain), level
        objects = alike(frame, objects, types)
        types = frozenset(t for node in objects for t in node.types)
    immutable = all(node.immutable for node in objects)
    program.work += len(objects) // 2
    if depth == 0 or left[0] < 0 or len(objects) > MANY:
        return frozenset(plain), (types, immutable, settings, None)
    names = sorted({name for node in objects for name in frame.fields(node) if name != BELOW})
    if len(names) > WIDTH:
        return frozenset(plain), (types, immutable, settings, None)
    fields: list[tuple[str, Shape]] = []
    for name in names:
        inner = EMPTY
        for node in objects:
            inner = join(inner, frame.field(node, name))
        if inner:
            fields.append((name, shape(frame, inner, depth - 1, (*above, types), left)))
    return frozenset(plain), (types, immutable, settings, tuple(fields))


def alike(frame: Frame, objects: list[Node], types: frozenset[str]) -> list[Node]:
    """The objects, and those under them of the same classes of the project: a structure that repeats itself is taken as
    one object that holds itself."""
    own = frozenset(t for t in types if t.startswith("@"))
    more = [n for n in frame.reach(objects) if n.kind == "object" and n.types & own]
    return list(dict.fromkeys((*objects, *sorted(more, key=int))))


def joined(one: Shape, other: Shape) -> Shape:
    """A shape that both fit."""
    plain = one[0] | other[0]
    if one[1] is None or other[1] is None or one[1] == other[1]:
        return plain, other[1] if one[1] is None else one[1]
    if isinstance(one[1], int) or isinstance(other[1], int):
        known = other[1] if isinstance(one[1], int) else one[1]
        types = known[0] if isinstance(known, tuple) else frozenset[str]()
        return plain, (types | {UNKNOWN}, False, None, None)
    (types, immutable, settings, fields), (types2, immutable2, settings2, fields2) = one[1], other[1]
    merged: tuple[tuple[str, Shape], ...] | None = None
    if fields is not None and fields2 is not None:
        table = dict(fields)
        for name, inner in fields2:
            table[name] = joined(table[name], inner) if name in table else inner
        merged = tuple(sorted(table.items(), key=lambda pair: pair[0]))
    same = settings if settings == settings2 else None
    return plain, (types | types2, immutable and immutable2, same, merged)


def enter(frame: Frame, path: tuple[str, ...], form: Shape, above: tuple[Node, ...] = ()) -> Value:
    """The value of a parameter (or of a field under one) inside the callee."""
    plain, parts = form
    nodes: set[Node] = set()
    for node in plain:
        if node.kind == "scalar" and node.data is None and any(map(names_files, node.types)):
            symbol = frame.make(("scalar", path, node.types), "scalar", node.types, None, True)
            symbol.path = path
            nodes.add(symbol)
        else:
            nodes.add(node)
    if isinstance(parts, int):
        same = above[parts]
        if same.path is not None:
            frame.groups[same.path] = same
        nodes.add(same)
    elif parts is not None:
        types, immutable, settings, fields = parts
        node = frame.make(("in", path), types=types, data=settings, immutable=immutable, name=path[-1])
        node.path = path
        if node.data != settings:
            node.data = None
        for name, inner in fields or ():
            value = join(node.fields.get(name, EMPTY), enter(frame, (*path, name), inner, (*above, node)))
            node.fields[name] = value
        nodes.add(node)
    return frozenset(nodes)


def names_files(type_name: str) -> bool:
    """Whether values of the type may name a file."""
    return type_name in ("builtins.str", "builtins.bytes", UNKNOWN) or type_name.startswith("pathlib.")


# -- analysing a function --------------------------------------------------------------------------


def summary(caller: Frame, function: Node, bound: dict[str, Value]) -> Frame | None:
    """The analysed function for these arguments; ``None`` if the calls nest too deep to follow."""
    program = caller.program
    module, scope = function.data
    shapes = tuple((name, shape(caller, value)) for name, value in bound.items())
    holder = function if function.fields.get("<around>") or function.fields.get("<class>") else None
    key: Any = (module, scope, holder, shapes)
    frame = program.frames.get(key)
    if frame is None:
        contexts = program.contexts.setdefault((module, scope), [])
        if len(contexts) >= CONTEXTS:
            return wide(caller, function, holder, shapes)
        frame = Frame(program, module, scope)
        frame.params = {name: enter(frame, (name,), form) for name, form in shapes}
        program.frames[key] = frame
        contexts.append(frame)
    return ready(caller, frame, function)


def wide(caller: Frame, function: Node, holder: Node | None, shapes: tuple[tuple[str, Shape], ...]) -> Frame | None:
    """One analysis for all the shapes beyond the first few."""
    program = caller.program
    module, scope = function.data
    key: Any = (module, scope, holder, "wide")
    frame = program.frames.get(key)
    old = program.wide.get(key)
    new = dict(shapes)
    if old is not None:
        new = {name: joined(old[name], form) if name in old else form for name, form in new.items()}
    if frame is None:
        frame = program.frames[key] = Frame(program, module, scope)
    if new != old:
        program.wide[key] = new
        for name, form in new.items():
            frame.params[name] = join(frame.params.get(name, EMPTY), enter(frame, (name,), form))
        if frame.state == "done":
            frame.state = "new"
    return ready(caller, frame, function)


def ready(caller: Frame, frame: Frame, function: Node) -> Frame | None:
    """The frame, analysed and up to date."""
    program = caller.program
    if frame.state == "running":
        frame.recursive = True
        program.pending.add(frame)
        return frame
    if frame.state == "done" and valid(frame):
        return frame
    if program.depth >= NESTING or program.work > program.budget:
        return None
    analyse(frame, function)
    return frame


def valid(frame: Frame) -> bool:
    """Whether all that the analysis read from outside is still as it was."""
    epoch = frame.program.epoch
    if frame.checked == epoch:
        return True
    frame.checked = epoch
    for (node, name), value in frame.read.items():
        now = node.fields.get(name, EMPTY)
        if now is not value and now != value:
            frame.checked = -1
            return False
    for callee in frame.callees:
        if callee.state == "running":
            continue
        if callee.state != "done" or not valid(callee):
            frame.checked = -1
            return False
    return True


def analyse(frame: Frame, function: Node) -> None:
    """Run the body until nothing new is found."""
    program = frame.program
    outer = program.pending
    program.pending = set()
    program.depth += 1
    frame.state = "running"
    frame.function = function
    frame.closure = join(frame.closure, function.fields.get("<around>", EMPTY))
    frame.klass = join(frame.klass, function.fields.get("<class>", EMPTY))
    program.reached.add((frame.module, frame.scope))
    for _ in range(ROUNDS):
        frame.changed = frame.recursive = False
        once(frame)
        if not (frame.recursive and frame.changed):
            break
        if program.work > program.budget:
            program.give_up(frame.code.span)
            break
    program.depth -= 1
    waits = program.pending - {frame}
    frame.state = "provisional" if waits else "done"
    frame.checked = -1
    program.pending = outer | waits


def once(frame: Frame) -> None:
    """Run the body from the start."""
    frame.env = dict(frame.params)
    frame.temps.clear()
    frame.captured = frozenset()
    frame.undo = None
    frame.weak, frame.fresh, frame.turns = 0, False, []
    if frame.code.kind == "comprehension":
        node = frame.make("generated", types=frozenset(("builtins.list",)))
        frame.emitted.append(node)
        run.body(frame, frame.code.body)
        frame.emitted.pop()
        run.give(frame, frozenset((node,)))
        return
    if run.body(frame, frame.code.body):
        run.give(frame, frame.program.none)
    if frame.code.is_generator:
        made = frame.make("generator", types=frozenset(("builtins.generator",)), data=("body",))
        frame.put(made, ELEMENTS, frame.yielded)
        keep_for_later(frame, made)
        frame.result = frozenset((made,))
    elif frame.code.is_async:
        made = frame.make("coroutine", types=frozenset(("builtins.coroutine",)), data=("body",))
        frame.put(made, ELEMENTS, frame.result - {made})
        keep_for_later(frame, made)
        frame.result = frozenset((made,))


def keep_for_later(frame: Frame, made: Node) -> None:
    """A generator runs its function's body when it is asked: so it remembers the function and what it was given."""
    for name, value in frame.params.items():
        frame.put(made, f"<in {name}>", value)
    if frame.function is not None:
        frame.put(made, "<function>", frozenset((frame.function,)))


# -- applying it to a call -------------------------------------------------------------------------


class Translation:
    """From the nodes of a callee to values of its caller, for one call."""

    def __init__(self, caller: Frame, callee: Frame, bound: dict[str, Value], key: Any) -> None:
        self.caller = caller
        self.callee = callee
        self.bound = bound
        self.key = key
        self.made: dict[Node, Node] = {}
        self.known: dict[tuple[str, ...], Value] = {}
        self.sorted: dict[tuple[tuple[str, ...], bool], Value] = {}

    def node(self, node: Node) -> Value:
        if node.owner is not self.callee:
            return frozenset((node,))
        if node.path is not None:
            return self.at(node.path, node.kind == "scalar")
        made = self.made.get(node)
        if made is None:
            made = self.copy(node, ("?",))
        return frozenset((made,))

    def value(self, value: Value) -> Value:
        if len(value) == 1:
            return self.node(next(iter(value)))
        found: set[Node] = set()
        for node in value:
            found |= self.node(node)
        self.caller.program.work += len(found) // 8
        return frozenset(found)

    def at(self, path: tuple[str, ...], scalars: bool) -> Value:
        """What stands at an access path of the arguments."""
        ready = self.sorted.get((path, scalars))
        if ready is not None:
            return ready
        value = self.known.get(path)
        if value is None:
            for length in range(1, len(path) + 1):
                short = path[:length]
                known = self.known.get(short)
                if known is None:
                    found = (
                        self.bound.get(path[0], EMPTY) if length == 1 else self.under(value or EMPTY, path[length - 1])
                    )
                    known = self.known[short] = self.group(short, found)
                value = known
        value = value or EMPTY
        kind = "scalar" if scalars else "object"
        ready = self.sorted[(path, scalars)] = frozenset([n for n in value if n.kind == kind])
        return ready

    def group(self, path: tuple[str, ...], value: Value) -> Value:
        """With what the node at this path stands for besides, if it holds its like."""
        node = self.callee.groups.get(path)
        if node is None:
            return value
        own = frozenset(t for t in node.types if t.startswith("@"))
        return value | {n for n in self.caller.reach(value) if n.kind == "object" and n.types & own}

    def under(self, value: Value, name: str) -> Value:
        objects = [n for n in value if n.kind == "object"]
        if name == BELOW:
            return frozenset(n for n in self.caller.reach(objects) if n.kind not in ("module", "class"))
        if name.startswith("<") and "|" in name:
            type_name, _, tag = name[1:-1].partition("|")
            return frozenset(n for node in objects for n in self.caller.child(node, type_name, tag))
        result: Value = EMPTY
        for node in objects:
            found = self.caller.field(node, name)
            if not found and not self.caller.complete(node):
                found = self.caller.below(node)
            result = join(result, found)
        return result

    def copies(self) -> None:
        """Make a node of the caller for each node of the callee that the result or a store hands out, breadth first."""
        callee = self.callee
        queue: list[tuple[Node, tuple[str, ...]]] = [(n, ()) for n in callee.result if n.owner is callee]
        for (target, name), stored in callee.stores.items():
            base = (*(target.path or ("@",)), name)
            queue.extend((n, base) for n in stored)
        at = 0
        while at < len(queue):
            node, path = queue[at]
            at += 1
            if node.owner is not callee or node.path is not None or node in self.made:
                continue
            short = path if len(path) <= RESULT_DEPTH and len(self.made) < RESULT_NODES else (*path[:1], "...")
            self.copy(node, short)
            for name, value in list(node.fields.items()):
                queue.extend((inner, (*path, name)) for inner in value)
            queue.extend((inner, (*path, "~")) for inner in node.views)

    def copy(self, node: Node, path: tuple[str, ...]) -> Node:
        data = node.data if node.kind != "object" or node.types & SPECIAL_DATA else None
        key = (self.key, path, node.kind, data if node.kind in ("function", "bound", "wrapped", "frame") else None)
        known = handed_on(self.callee, node)
        made = self.caller.make(key, node.kind, node.types, known, node.immutable, "")
        if node.kind in ("function", "wrapped", "bound", "frame") and not made.name:
            made.name = node.name
        if made.data != known:
            made.data = None
        self.made[node] = made
        return made

    def fill(self) -> None:
        """Give the new nodes their fields."""
        caller = self.caller
        for node, made in list(self.made.items()):
            for name, value in list(node.fields.items()):
                caller.put(made, name, self.value(value))
            for other in list(node.views):
                for partner in self.node(other):
                    caller.link(made, partner)


SPECIAL_DATA = frozenset(("builtins.generator", "builtins.coroutine"))


def apply(caller: Frame, callee: Frame, bound: dict[str, Value], span: Span, key: Any) -> Value:
    """Do in the caller what the callee does; the value of the call."""
    if caller.program.given_up and not caller.root:
        return EMPTY
    caller.program.work += len(callee.effects) + len(callee.stores) + len(callee.nodes)
    translation = Translation(caller, callee, bound, key)
    translation.copies()
    translation.fill()
    for (target, name), value in list(callee.stores.items()):
        stored = translation.value(value)
        for node in translation.node(target):
            caller.put(node, name, stored)
    for one, other in list(callee.links):
        if any(n.owner is callee and n.path is None and n not in translation.made for n in (one, other)):
            continue  # nobody can get at it any more
        for first in translation.node(one):
            for second in translation.node(other):
                caller.link(first, second)
    if callee.stores:
        translation.known.clear()
        translation.sorted.clear()
    written: set[Node] = set()
    for (mode, effect), (text, where, assumed) in list(callee.effects.items()):
        if isinstance(effect, Node):
            nodes = translation.node(effect)
            if mode == "write":
                if not nodes <= written:
                    written |= nodes
                    caller.write(nodes, text, where, assumed)
            else:
                for node in nodes:
                    caller.note(mode, node, text, where, assumed)
        elif isinstance(effect, FileTarget) and effect.node is not None and effect.node.owner is callee:
            for named in translation.node(effect.node) or (None,):
                caller.note(mode, FileTarget(named, effect.aspect), text, where, assumed)
        else:
            caller.note(mode, effect, text, where, assumed)
    for text, where in callee.obstacles.items():
        caller.obstacle(text, where)
    if not caller.root:
        caller.callees.add(callee)
    return translation.value(callee.result)
