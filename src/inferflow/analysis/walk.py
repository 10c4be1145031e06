"""How to walk the intermediate representation: operands, results, bodies, and the numbering of operations.

All passes number the operations of a statement alike, by their position in ``flatten(statement)``. The
operations inside the arms of a ``Choice`` are numbered in place, arm after arm, and the ``Choice`` itself
comes after those of its arms, since its value exists only then:

    y = f(a) if ok else b      0 load ok; 1 load f; 2 load a; 3 call; 4 load b; 5 choice; 6 store y

Operations of nested scopes (lambdas, comprehensions, function and class bodies) and of the bodies of
compound statements have no number in the statement: facts about them carry -1.

Nothing here recurses, so that any depth of user code is fine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from inferflow.analysis import ir

if sys.version_info >= (3, 11):
    from typing import assert_never
else:
    from typing_extensions import assert_never

__all__ = [
    "bodies",
    "every_op",
    "every_statement",
    "flatten",
    "in_order",
    "is_unbinding",
    "may_await",
    "operands",
    "own_ops",
    "result",
    "results",
]


def own_ops(statement: ir.Statement) -> tuple[ir.Op, ...]:
    """The operations that run once, before any body of the statement does: all of them for a simple statement; the
    test of an ``if``, the iterable of a ``for``, the first test of a ``while``, the context managers and what they bind
    of a ``with``, the subject of a ``match``; none for a ``try``. Arms of a ``Choice`` stay inside it."""
    match statement:
        case ir.Plain() | ir.Return() | ir.Raise() | ir.If() | ir.For() | ir.While() | ir.Match():
            return statement.ops
        case ir.With():
            return tuple(op for ops, _, _, bind in statement.items for op in (*ops, *bind))
        case ir.Jump() | ir.Try():
            return ()
        case _:
            assert_never(statement)


def in_order(ops: Iterable[ir.Op]) -> tuple[ir.Op, ...]:
    """A run of operations with those inside the arms of each ``Choice`` placed before it."""
    ops = tuple(ops)
    if ir.Choice not in map(type, ops):  # nearly always
        return ops
    found: list[ir.Op] = []
    stack: list[Iterator[ir.Op]] = [iter(ops)]
    pending: list[ir.Choice | None] = [None]
    while stack:
        op = next(stack[-1], None)
        if op is None:
            stack.pop()
            choice = pending.pop()
            if choice is not None:
                found.append(choice)
        elif isinstance(op, ir.Choice):
            stack.append(iter([inner for arm, _ in op.arms for inner in arm]))
            pending.append(op)
        else:
            found.append(op)
    return tuple(found)


def flatten(statement: ir.Statement) -> tuple[ir.Op, ...]:
    """The numbered operations of a statement: ``own_ops`` with Choice arms in place. An operation's number in facts is
    its position here."""
    return in_order(own_ops(statement))


def bodies(statement: ir.Statement) -> tuple[tuple[ir.Statement, ...], ...]:
    """The statement lists inside a compound statement, in the order of the source (handlers and cases each give one;
    an absent ``else`` or ``finally`` gives an empty one); nothing for a simple statement."""
    match statement:
        case ir.Plain() | ir.Return() | ir.Raise() | ir.Jump():
            return ()
        case ir.If() | ir.For() | ir.While():
            return (statement.body, statement.orelse)
        case ir.With():
            return (statement.body,)
        case ir.Try():
            handlers = (handler.body for handler in statement.handlers)
            return (statement.body, *handlers, statement.orelse, statement.final)
        case ir.Match():
            return tuple(case.body for case in statement.cases)
        case _:
            assert_never(statement)


def every_statement(body: Iterable[ir.Statement]) -> Iterator[ir.Statement]:
    """The statements of a body and, after each, those inside it, in the order of the source."""
    stack = [iter(body)]
    while stack:
        statement = next(stack[-1], None)
        if statement is None:
            stack.pop()
            continue
        yield statement
        if not isinstance(statement, ir.Plain):
            stack.extend(iter(inner) for inner in reversed(bodies(statement)) if inner)


def every_op(body: Iterable[ir.Statement]) -> Iterator[ir.Op]:
    """All operations of a body, those of compound statements' bodies, loop targets, handlers and patterns included
    (nested scopes not); arms of a ``Choice`` before it. Statement after statement, and of each what is its own (the
    heads of all handlers and cases too) before its bodies."""
    for statement in every_statement(body):
        yield from flatten(statement)
        if isinstance(statement, ir.Plain):
            continue
        match statement:
            case ir.For():
                yield from in_order(statement.target)
            case ir.Try():
                for handler in statement.handlers:
                    yield from in_order(handler.ops)
                    yield from in_order(handler.bind)
            case ir.Match():
                for case in statement.cases:
                    yield from in_order(case.ops)
                    yield from in_order(case.guard)
            case _:
                pass


def may_await(module: ir.Module, statement: ir.Statement) -> bool:
    """Whether other coroutines may have their turn while a statement runs."""
    if any(isinstance(s, ir.For | ir.With) and s.is_async for s in every_statement((statement,))):
        return True
    for op in every_op((statement,)):
        if isinstance(op, ir.Await):
            return True
        if isinstance(op, ir.Comprehension):
            inside = module.scopes[op.scope]
            if inside.is_async or any(may_await(module, part) for part in inside.body):
                return True
    return False


def is_unbinding(statement: ir.Statement) -> bool:
    """Whether it is the implicit ``del`` at the end of a handler, which is no statement of the source."""
    return (
        isinstance(statement, ir.Plain)
        and statement.kind == "delete"
        and len(statement.ops) == 1
        and isinstance(statement.ops[0], ir.Delete)
        and statement.ops[0].span == statement.span
    )


def operands(op: ir.Op) -> tuple[ir.Temp, ...]:
    """The temporaries that an operation reads, in order. Of a ``Choice``: the values of its arms."""
    match op:
        case ir.Load() | ir.Const() | ir.Delete() | ir.ImportModule() | ir.ImportFrom():
            return ()
        case ir.Call():
            return (op.func, *[argument.value for argument in op.args])
        case ir.Store() | ir.Unpack() | ir.Iterate() | ir.Await() | ir.Yield():
            return (op.value,)
        case ir.Attr() | ir.DelAttr():
            return (op.obj,)
        case ir.Item() | ir.DelItem():
            return (op.obj, op.key)
        case ir.Operate():
            return op.operands
        case ir.Build():
            return op.items
        case ir.StoreAttr():
            return (op.obj, op.value)
        case ir.StoreItem():
            return (op.obj, op.key, op.value)
        case ir.MakeFunction():
            return tuple([value for _, value in op.defaults])
        case ir.MakeClass():
            return (*op.bases, *[value for _, value in op.keywords])
        case ir.Comprehension():
            return (op.first,)
        case ir.Choice():
            return tuple([value for _, value in op.arms])
        case ir.Emit():
            return (op.value,) if op.key is None else (op.key, op.value)
        case _:
            assert_never(op)


def result(op: ir.Op) -> ir.Temp | None:
    """The temporary that an operation gives; ``None`` if none. ``Unpack`` gives several: see :func:`results`."""
    out: ir.Temp = getattr(op, "out", -1)
    return None if out < 0 else out


def results(op: ir.Op) -> tuple[ir.Temp, ...]:
    """All temporaries that an operation gives."""
    if isinstance(op, ir.Unpack):
        return op.outs
    out = result(op)
    return () if out is None else (out,)
