"""Running statements abstractly: control flow, and one case for each operation.

Branches are run one after the other from the same names and joined; loops, ``try`` and ``with`` are run with *weak*
stores, which only ever add to what a name may be, until nothing changes: right for any jump out of them, exceptions
included. (But for the first binding of a name in a turn of a loop, which replaces what it was until the turn ends.)
What stands after a ``return`` in a branch does not count for what follows the branch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial

from inferflow.analysis import ir
from inferflow.analysis.effects import access, bindings, calls, classes, contained, imports, operators
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, KEYS, Node, Value, join

if sys.version_info >= (3, 11):
    from typing import assert_never
else:
    from typing_extensions import assert_never

HASHING = ("__hash__", "__eq__")
ROUNDS = 10
"""Fixpoints are reached in two or three rounds; this is where we stop counting on it."""


# -- control flow ----------------------------------------------------------------------------------


def body(frame: Frame, statements: Iterable[ir.Statement]) -> bool:
    """Run statements; whether their end can be reached."""
    return all(step(frame, statement) for statement in statements)


def step(frame: Frame, statement: ir.Statement) -> bool:
    """Run one statement; whether what follows it can be reached."""
    return plain_step(frame, statement) if frame.watch is None else frame.watch(statement)


def plain_step(frame: Frame, statement: ir.Statement) -> bool:
    """Run one statement that nobody watches."""
    match statement:
        case ir.Plain():
            ops(frame, statement.ops)
            return True
        case ir.Return():
            ops(frame, statement.ops)
            value = frame.program.none if statement.value is None else val(frame, statement.value)
            give(frame, value)
            return False
        case ir.Raise():
            ops(frame, statement.ops)
            return False
        case ir.Jump():
            return False
        case ir.If() if frame.kind == "module" and is_guard(statement):
            ops(frame, statement.ops)
            return body(frame, statement.body if frame.module == "__main__" else statement.orelse)
        case ir.If():
            head(frame, statement, lambda: test(frame, statement))
            return fork(frame, [lambda: body(frame, statement.body), lambda: body(frame, statement.orelse)])
        case ir.For():
            head(frame, statement, lambda: ops(frame, statement.ops))
            loop(frame, turn_of(frame, statement))
            body(frame, statement.orelse)
            return True
        case ir.While():

            def turn() -> None:
                head(frame, statement, lambda: test(frame, statement))
                turn_body(frame, statement.body)

            loop(frame, turn)
            body(frame, statement.orelse)
            return True
        case ir.With():
            return with_(frame, statement)
        case ir.Try():
            return try_(frame, statement)
        case ir.Match():
            head(frame, statement, lambda: ops(frame, statement.ops))
            frame.weak += 1
            for case in statement.cases:
                head(frame, statement, partial(ops, frame, (*case.ops, *case.guard)))
                body(frame, case.body)
            frame.weak -= 1
            return True
        case _:
            assert_never(statement)


def head(frame: Frame, statement: ir.Statement, run: Callable[[], None]) -> None:
    """Run what a compound statement does itself."""
    if frame.heads is None:
        run()
    else:
        frame.heads(statement, run)


def test(frame: Frame, statement: ir.If | ir.While) -> None:
    """The condition."""
    ops(frame, statement.ops)
    operators.truth(frame, val(frame, statement.test), statement.span)


def is_guard(statement: ir.If) -> bool:
    """``if __name__ == "__main__":``"""
    names = [op.name for op in statement.ops if isinstance(op, ir.Load)]
    values = [op.value for op in statement.ops if isinstance(op, ir.Const)]
    compared = [op.op for op in statement.ops if isinstance(op, ir.Operate)]
    return len(statement.ops) == 3 and names == ["__name__"] and values == ["__main__"] and compared == ["=="]


def turn_of(frame: Frame, statement: ir.For) -> Callable[[], object]:
    """One turn of a ``for``."""

    def turn() -> None:
        frame.fresh = True
        head(frame, statement, lambda: ops(frame, statement.target))
        turn_body(frame, statement.body)

    return turn


def turn_body(frame: Frame, statements: Iterable[ir.Statement]) -> None:
    """Run the statements of a loop's turn. A name that one of them binds, whatever else happens in the turn, is for the
    rest of it what was bound to it there, and nothing that it was before."""
    for statement in statements:
        frame.fresh = isinstance(statement, ir.Plain)
        if not step(frame, statement):
            break


def give(frame: Frame, value: Value) -> None:
    """``return value``."""
    joined = join(frame.result, value)
    if joined is not frame.result:
        frame.result = joined
        frame.changed = True


def fork(frame: Frame, arms: list[Callable[[], bool]]) -> bool:
    """Run alternatives from the same names, and join; whether any of them reaches its end."""
    if frame.weak:
        reached = [arm() for arm in arms]  # all of them run
        return any(reached)
    outer = frame.undo
    module = frame.kind == "module"
    variables = frame.globals.fields if module else frame.env
    outcomes: list[dict[str, Value | None]] = []
    for arm in arms:
        log: list[tuple[str, Value | None]] = []
        frame.undo = log
        alive = arm()
        changed: dict[str, Value | None] = {name: variables.get(name) for name, _ in log}
        for name, old in reversed(log):
            if module:
                frame.replace(frame.globals, name, EMPTY if old is None else old)
            elif old is None:
                variables.pop(name, None)
            else:
                variables[name] = old
        if alive:
            outcomes.append(changed)
    frame.undo = outer
    names: dict[str, None] = {}
    for outcome in outcomes:
        names.update(dict.fromkeys(outcome))
    for name in names:
        base = variables.get(name)
        value = EMPTY
        for outcome in outcomes:
            value = join(value, outcome.get(name, base) or EMPTY)
        if base is None or value != base:
            bindings.assign(frame, name, value)
    return bool(outcomes)


def loop(frame: Frame, turn: Callable[[], object]) -> None:
    """Run a body until it adds nothing. After a turn, and so before the next one, a name may be what it was before or
    what the turn has bound to it: a turn may be left at any of its statements."""
    variables = frame.globals.fields if frame.kind == "module" else frame.env
    changed, fresh = frame.changed, frame.fresh
    frame.weak += 1
    for _ in range(ROUNDS):
        frame.changed = False
        there = dict(variables)
        frame.turns.append({})
        turn()
        for name, old in frame.turns[-1].items():
            if old is not None:
                bindings.bind(frame, variables, name, join(old, variables.get(name) or EMPTY))
        frame.turns.pop()
        if not frame.changed and variables == there:
            break
        changed = True
        if frame.program.work > 2 * frame.program.budget:
            frame.program.give_up(frame.code.span)
            break
    frame.changed, frame.fresh = changed, fresh
    frame.weak -= 1


def with_(frame: Frame, statement: ir.With) -> bool:
    managers: list[tuple[Value, ir.Temp]] = []

    def enter() -> None:
        for before, manager, entered, bind in statement.items:
            ops(frame, before)
            value = val(frame, manager)
            frame.temps[entered] = operators.enter(frame, value, statement.span, ("enter", id(statement), entered))
            ops(frame, bind)
            managers.append((value, entered))

    def leave() -> None:
        for value, entered in reversed(managers):
            operators.leave(frame, value, statement.span, ("leave", id(statement), entered))

    frame.weak += 1
    head(frame, statement, enter)
    alive = body(frame, statement.body)
    head(frame, statement, leave)
    frame.weak -= 1
    return alive


def try_(frame: Frame, statement: ir.Try) -> bool:
    frame.weak += 1
    alive = body(frame, statement.body)
    if alive and statement.orelse:
        alive = body(frame, statement.orelse)
    for handler in statement.handlers:
        head(frame, statement, partial(caught, frame, handler))
        if body(frame, handler.body):
            alive = True
    if not body(frame, statement.final):
        alive = False
    frame.weak -= 1
    return alive


def caught(frame: Frame, handler: ir.Handler) -> None:
    """What a handler does before its body."""
    ops(frame, handler.ops)
    frame.temps[handler.caught] = frozenset((operators.exception(frame, handler),))
    ops(frame, handler.bind)


# -- operations ------------------------------------------------------------------------------------


def val(frame: Frame, temp: int) -> Value:
    """The value of a temporary."""
    return frame.temps.get(temp, EMPTY)


def ops(frame: Frame, run: tuple[ir.Op, ...]) -> None:
    """Run operations."""
    saved = frame.ops
    frame.ops = run
    for op in run:
        if frame.program.given_up and not frame.root:
            break  # nothing is claimed any more
        if frame.hook is None:
            operation(frame, op)
        else:
            frame.hook(op)
    frame.ops = saved


def operation(frame: Frame, op: ir.Op) -> None:
    """Run one operation."""
    temps = frame.temps
    frame.program.work += 1
    match op:
        case ir.Load():
            temps[op.out] = bindings.load(frame, op)
        case ir.Const():
            temps[op.out] = frame.program.constant(op.value)
        case ir.Store():
            bindings.store(frame, op, val(frame, op.value))
        case ir.Attr():
            temps[op.out] = access.attribute(frame, val(frame, op.obj), op.name, op)
        case ir.Call():
            temps[op.out] = calls.call_operation(frame, op)
        case ir.Item():
            temps[op.out] = contained.item(frame, val(frame, op.obj), val(frame, op.key), op)
        case ir.Operate():
            temps[op.out] = operators.operate(frame, op, [val(frame, t) for t in op.operands])
        case ir.Build():
            temps[op.out] = build(frame, op)
        case ir.Unpack():
            unpack(frame, op)
        case ir.Iterate():
            temps[op.out] = contained.iterate(frame, val(frame, op.value), op.span, ("iterate", id(op)), op.value)
        case ir.StoreAttr():
            access.store_attribute(frame, val(frame, op.obj), op.name, val(frame, op.value), op)
        case ir.StoreItem():
            contained.store_item(frame, val(frame, op.obj), val(frame, op.key), val(frame, op.value), op)
        case ir.Delete():
            if op.binding in ("local", "class"):
                bindings.forget(frame, op.name)
            elif op.binding == "global":
                if frame.kind == "module":
                    bindings.forget(frame, op.name)
                else:
                    bindings.note_global(frame, "write", frame.module, op.name, EMPTY, op.span)
        case ir.DelAttr():
            access.delete_attribute(frame, val(frame, op.obj), op.name, op)
        case ir.DelItem():
            contained.delete_item(frame, val(frame, op.obj), val(frame, op.key), op)
        case ir.MakeFunction():
            temps[op.out] = make_function(frame, op)
        case ir.MakeClass():
            temps[op.out] = classes.make_class(frame, op)
        case ir.ImportModule():
            temps[op.out] = imports.import_module(frame, op)
        case ir.ImportFrom():
            value = imports.import_from(frame, op)
            if op.out >= 0:
                temps[op.out] = value
        case ir.Comprehension():
            temps[op.out] = comprehension(frame, op)
        case ir.Choice():
            choice(frame, op)
        case ir.Await():
            temps[op.out] = contained.wait_for(frame, val(frame, op.value), op.span, ("await", id(op)))
            frame.obstacle("awaits", op.span)
        case ir.Yield():
            yield_(frame, op)
        case ir.Emit():
            emit(frame, op)
        case _:
            assert_never(op)


def choice(frame: Frame, op: ir.Choice) -> None:
    values: list[Value] = []

    def arm(run: tuple[ir.Op, ...], value: int) -> Callable[[], bool]:
        def go() -> bool:
            ops_inside(frame, run)
            values.append(val(frame, value))
            return True

        return go

    fork(frame, [arm(run, value) for run, value in op.arms])
    result = EMPTY
    for value in values:
        result = join(result, value)
    frame.temps[op.out] = result


def ops_inside(frame: Frame, run: tuple[ir.Op, ...]) -> None:
    """The operations of an arm; those of a step of the driver are told apart as all its others are."""
    for op in run:
        if frame.hook is None:
            operation(frame, op)
        else:
            frame.hook(op)


def build(frame: Frame, op: ir.Build) -> Value:
    """A display."""
    program = frame.program
    if op.kind == "fstring":
        for temp in op.items:
            operators.implicit(frame, val(frame, temp), ("__format__", "__str__", "__repr__"), op.span)
        return program.scalar("builtins.str")
    if op.kind == "slice":
        return program.scalar("builtins.slice")
    node = frame.make(id(op), types=frozenset((f"builtins.{op.kind}",)), immutable=op.kind == "tuple")
    if op.kind == "tuple" and not op.stars:
        for position, temp in enumerate(op.items):
            frame.put(node, str(position), val(frame, temp))
    elif op.kind == "dict":
        keys = True
        for position, temp in enumerate(op.items):
            if position in op.stars:
                taken = contained.mapped(frame, val(frame, temp), op.span, ("star", id(op), position))
                frame.put(node, KEYS, taken[0])
                frame.put(node, ELEMENTS, taken[1])
                keys = True
            else:
                if keys:
                    operators.implicit(frame, val(frame, temp), HASHING, op.span)
                frame.put(node, KEYS if keys else ELEMENTS, val(frame, temp))
                keys = not keys
    else:
        for position, temp in enumerate(op.items):
            value = val(frame, temp)
            if position in op.stars:
                value = contained.iterate(frame, value, op.span, ("star", id(op), position), temp)
            if op.kind == "set":
                operators.implicit(frame, value, HASHING, op.span)
            frame.put(node, ELEMENTS, value)
    return frozenset((node,))


def unpack(frame: Frame, op: ir.Unpack) -> None:
    """``a, b, *c = value``."""
    value = val(frame, op.value)
    exact = [n for n in value if "0" in n.fields and n.kind == "object"]
    rest = frozenset(n for n in value if n not in exact)
    general = contained.iterate(frame, rest, op.span, ("unpack", id(op)), op.value) if rest else EMPTY
    for position, out in enumerate(op.outs):
        part = general
        for node in exact:
            if op.starred < 0 and not frame.field(node, ELEMENTS):
                part = join(part, frame.field(node, str(position)))
            else:
                part = join(part, contained.contents(frame, frozenset((node,))))
        if position == op.starred:
            rest_list = frame.make(("rest", id(op)), types=frozenset(("builtins.list",)))
            frame.put(rest_list, ELEMENTS, part)
            part = frozenset((rest_list,))
        frame.temps[out] = part


def make_function(frame: Frame, op: ir.MakeFunction) -> Value:
    """``def`` or ``lambda``."""
    code = frame.program.project.modules[frame.module].scopes[op.scope]
    if code.free or op.defaults:
        node = frame.make(id(op), "function", frozenset(), (frame.module, op.scope), name=code.name)
        if code.free:
            frame.put(node, "<around>", bindings.around(frame, code))
            if frame.klass:
                frame.put(node, "<class>", frame.klass)
        for name, temp in op.defaults:
            value = val(frame, temp)
            for default in value:
                if not default.name and default.kind == "object":
                    default.name = f"{code.name}.{name}"
            frame.put(node, f"={name}", value)
    else:
        node = frame.program.function(frame.module, op.scope)
    return frozenset((node,))


def comprehension(frame: Frame, op: ir.Comprehension) -> Value:
    """A list, set or dict comprehension runs here; a generator expression runs here (its first element could be asked
    for at once) and again whenever it is asked."""
    code = frame.program.project.modules[frame.module].scopes[op.scope]
    kind = "generator" if op.kind == "generator" else op.kind
    node = frame.make(id(op), types=frozenset((f"builtins.{kind}",)))
    frame.program.costly = True
    first = val(frame, op.first)
    with_scope(frame, "comprehension", {".0": first}, lambda: inner_body(frame, code, node))
    if op.kind == "generator":
        frame.put(node, "<source>", first)
        if code.free:
            frame.put(node, "<around>", bindings.around(frame, code))
        node.data = ("generator", frame.module, op.scope, tuple(frame.program.targets) if frame.root else ())
    return frozenset((node,))


def inner_body(frame: Frame, code: ir.Scope, node: Node) -> None:
    frame.emitted.append(node)
    body(frame, code.body)
    frame.emitted.pop()


def with_scope(frame: Frame, kind: str, env: dict[str, Value], run: Callable[[], object]) -> None:
    """Run the body of a scope that belongs to this activation (a comprehension, a class)."""
    saved = (frame.kind, frame.env, frame.undo, frame.temps, frame.members, frame.ops, frame.hook, frame.fresh)
    if frame.kind != "module":
        frame.envs.append(frame.env)
    frame.kind, frame.env, frame.undo, frame.temps, frame.members = kind, env, None, {}, {}
    frame.hook, frame.fresh = None, False
    run()
    frame.kind, frame.env, frame.undo, frame.temps, frame.members, frame.ops, frame.hook, frame.fresh = saved
    if frame.kind != "module":
        frame.envs.pop()


def yield_(frame: Frame, op: ir.Yield) -> None:
    value = val(frame, op.value)
    if op.delegate:
        value = contained.iterate(frame, value, op.span, ("yield", id(op)), op.value)
    joined = join(frame.yielded, value)
    if joined is not frame.yielded:
        frame.yielded = joined
        frame.changed = True
    frame.temps[op.out] = join(frame.sent, frame.program.none)


def emit(frame: Frame, op: ir.Emit) -> None:
    if not frame.emitted:
        return
    node = frame.emitted[-1]
    frame.put(node, ELEMENTS, val(frame, op.value))
    if op.key is not None:
        operators.implicit(frame, val(frame, op.key), HASHING, op.span)
        frame.put(node, KEYS, val(frame, op.key))
