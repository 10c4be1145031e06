"""Names in abstract runs: what they are bound to, and what they stand for where they are read.

    total = 0               assign: a name of the frame, or of its module
    def add(n):
        nonlocal total      store_free: a variable of the activation around it
        total += n          free: what add reads of it; an effect on what both share

A variable that nested functions use lives in the *cells* of the frame that has it: a node, which the functions made
there refer to. Within weak stores (see ``run``) a name is joined with what it was.
"""

from __future__ import annotations

from inferflow.analysis import ir
from inferflow.analysis.effects import access, imports
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import EMPTY, Node, Value, join
from inferflow.model import Span, Variable

CODE_KINDS = frozenset(("function", "class", "module", "lib"))


def assign(frame: Frame, name: str, value: Value) -> None:
    """Bind a local name (at module level: a global)."""
    module = frame.kind == "module"
    variables = frame.globals.fields if module else frame.env
    old = variables.get(name)
    if frame.fresh and len(frame.turns) == frame.weak and name not in frame.turns[-1] and name not in frame.captured:
        frame.turns[-1][name] = old  # replaced for this turn
    elif frame.weak and old is not None:
        value = join(old, value)
    bind(frame, variables, name, value)
    if frame.captured and name in frame.captured and not module:
        frame.put(cells(frame), name, value)


def bind(frame: Frame, variables: dict[str, Value], name: str, value: Value) -> None:
    """Let a name stand for a value and nothing else."""
    old = variables.get(name)
    if frame.kind == "module":
        if frame.undo is not None:
            frame.undo.append((name, old))
        before = frame.changed
        frame.replace(frame.globals, name, value)
        if frame.turns:
            frame.changed = before  # loops see for themselves what becomes of names
    elif value is not old:
        if frame.undo is not None:
            frame.undo.append((name, old))
        variables[name] = value
        if value != old and not frame.turns:
            frame.changed = True


def forget(frame: Frame, name: str) -> None:
    """``del name``."""
    variables = frame.globals.fields if frame.kind == "module" else frame.env
    if frame.weak or name not in variables:
        return
    if frame.undo is not None:
        frame.undo.append((name, variables[name]))
    if frame.kind == "module":
        frame.replace(frame.globals, name, EMPTY)
    else:
        del variables[name]


def cells(frame: Frame) -> Node:
    """The node that holds the frame's captured variables."""
    if frame.cells is None:
        frame.cells = frame.make("cells", "frame", frozenset(), name=frame.code.name)
        if frame.closure:
            frame.put(frame.cells, "<around>", frame.closure)
        if frame.root and frame.code.kind == "function" and not frame.inline:
            frame.program.driver_cells = frame.cells
    return frame.cells


def around(frame: Frame, code: ir.Scope) -> Value:
    """The activations that a nested function sees, which is made here: its variables live in their cells from now
    on."""
    if frame.kind == "module":
        return frame.closure
    seen = join(frame.closure, frozenset((cells(frame),)))
    _capture(frame, code)
    return seen


def _capture(frame: Frame, code: ir.Scope) -> None:
    node = cells(frame)
    for name in code.free:
        for env in (frame.env, *reversed(frame.envs)):
            if name in env:
                frame.put(node, name, env[name])
                break
    frame.captured = frame.captured | frozenset(code.free)


def load(frame: Frame, op: ir.Load) -> Value:
    """What a name stands for."""
    name = op.name
    if op.binding == "global" or (op.binding == "local" and frame.kind == "module"):
        return load_global(frame, name, op.span)
    value = frame.env.get(name)
    if op.binding == "local":
        return EMPTY if value is None else with_rebinding(frame, name, value)
    if op.binding == "class" and frame.kind == "class":
        if value is not None:
            return value
        found = free(frame, name, op.span)
        return load_global(frame, name, op.span) if found is None else found
    found = free(frame, name, op.span)
    if found is None:
        return load_global(frame, name, op.span)
    return found


def with_rebinding(frame: Frame, name: str, value: Value) -> Value:
    """What a local name may be, if a nested function could have bound it anew."""
    if name in frame.captured and frame.cells is not None and name in frame.program.rebound(frame.module):
        return join(value, frame.field(frame.cells, name))
    return value


def free(frame: Frame, name: str, span: Span) -> Value | None:
    """A variable of an enclosing scope: of one that runs in this very frame, or of the activation that made the
    function."""
    for env in reversed(frame.envs):
        if name in env:
            return with_rebinding(frame, name, env[name])
    if name == "__class__":
        return frame.klass or None
    holders = holders_of(frame, name)
    if not holders:
        return None
    value = EMPTY
    for holder in holders:
        value = join(value, frame.field(holder, name))
        note_cell(frame, "read", holder, name, span)
    note_read(frame, value, name, span)
    return value


def holders_of(frame: Frame, name: str) -> list[Node]:
    """The activations around the frame whose captured variable this is."""
    found: list[Node] = []
    seen: set[Node] = set()
    stack = list(frame.closure)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.kind == "frame" and name in node.fields:
            found.append(node)
        else:
            stack.extend(frame.field(node, "<around>"))
    return found


def note_cell(frame: Frame, mode: str, holder: Node, name: str, span: Span) -> None:
    """A captured variable is read or written: a name of the driver, or part of a closure object."""
    verb = "reads" if mode == "read" else "sets"
    text = f"{frame.where or 'a nested function'} {verb} '{name}'"
    if holder is frame.program.driver_cells:
        frame.note(mode, Variable("<driver>", name), text, span)
    else:
        frame.note(mode, holder, text, span)


def note_read(frame: Frame, value: Value, name: str, span: Span) -> None:
    """Objects from outside are used."""
    if frame.root and not frame.envs:
        return
    for node in value:
        if node.kind == "state":
            access.use_state(frame, "read", node, span)
        elif node.kind == "object" and not node.immutable:
            frame.note("read", node, f"{frame.where} reads '{name}'", span)


def load_global(frame: Frame, name: str, span: Span) -> Value:
    """A global of the frame's module, or a builtin."""
    value = frame.field(frame.globals, name)
    if value:
        if not frame.root:
            note_global(frame, "read", frame.module, name, value, span)
        return value
    if name == "__name__":
        return frame.program.constant(frame.module)
    if name in ("__file__", "__doc__", "__package__"):
        return frame.program.scalar("builtins.str")
    starred = imports.from_stars(frame, name) if frame.module in frame.program.stars else EMPTY
    if starred:
        return starred
    return frame.program.library(f"builtins.{name}")


def note_global(frame: Frame, mode: str, module: str, name: str, value: Value, span: Span) -> None:
    """A module's global is read or written by a function."""
    if mode == "read" and module != frame.program.project.main and all(n.kind in CODE_KINDS for n in value):
        return
    verb = "reads" if mode == "read" else "sets"
    frame.note(mode, Variable(module, name), f"{frame.where or 'code'} {verb} the global '{name}'", span)
    if mode == "read":
        note_read(frame, value, name, span)


def store(frame: Frame, op: ir.Store, value: Value) -> None:
    """Bind a name."""
    if frame.root:
        for node in value:
            if not node.name and node.kind == "object":
                node.name = op.name
                christen(node)
    if op.binding == "global" and frame.kind != "module":
        if frame.root and not frame.envs:
            frame.put(frame.globals, op.name, value)
        else:
            note_global(frame, "write", frame.module, op.name, value, op.span)
            frame.put(frame.globals, op.name, value)
    elif op.binding == "free":
        store_free(frame, op, value)
    else:
        assign(frame, op.name, value)


def store_free(frame: Frame, op: ir.Store, value: Value) -> None:
    """``nonlocal``, or a walrus that binds outside of its comprehension."""
    for env in reversed(frame.envs):
        if op.name in env or env is frame.envs[0]:
            old = env.get(op.name)
            env[op.name] = value if old is None else join(old, value)
            if env[op.name] != old:
                frame.changed = True
            return
    for holder in holders_of(frame, op.name):
        frame.put(holder, op.name, value)
        note_cell(frame, "write", holder, op.name, op.span)


def christen(node: Node) -> None:
    """Name the parts of a new object after it."""
    for field, value in node.fields.items():
        for part in value:
            if not part.name and part.kind == "object":
                if field.isdigit():
                    part.name = f"{node.name}[{field}]"
                else:
                    part.name = f"{node.name}.{field}" if field.isidentifier() else f"{node.name}[...]"
