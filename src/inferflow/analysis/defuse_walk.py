"""One step, statement by statement: which bindings its reads may see, and what it binds.

:class:`Walk` runs abstractly through the statements of a step. It reports to a :class:`Listener` each read and each
binding of a variable with the flags in force (see ``defuse_flow``), and the operations that need more than flow: made
functions, and calls that reach for names by other means (``exec``, ``globals()``).

Loops are looked at once: at the head of a loop anything that its body binds may be bound already. An exception may
come after any prefix of a ``try`` body, so a handler begins with anything that the body binds being bound or not.
Code after a jump is looked at as if it could be reached.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol

from inferflow.analysis import ir
from inferflow.analysis.defuse_flow import GONE, OWN, Changes, State
from inferflow.analysis.defuse_names import View, bound_names
from inferflow.analysis.walk import in_order
from inferflow.model import Span, Variable
from inferflow.records import define, field

if sys.version_info >= (3, 11):
    from typing import assert_never
else:
    from typing_extensions import assert_never


class Listener(Protocol):
    """Who is told what a walk finds. ``number`` is that of the operation, -1 inside compound bodies."""

    def read(self, variable: Variable, state: State, number: int, span: Span) -> None:
        """A variable is read."""
        ...

    def bind(self, variable: Variable, deletes: bool, number: int, span: Span) -> None:
        """A variable was bound or deleted; the state says so already."""
        ...

    def lets_pass(self, view: View, block: ir.With) -> bool:
        """Whether the managers of a ``with`` are known not to swallow exceptions."""
        ...

    def special(self, view: View, op: ir.Op, run: tuple[ir.Op, ...], state: State, number: int) -> None:
        """A function, class or generator was made, a star imported, or something called, in the simple statement or
        head of a compound statement whose operations are ``run``."""
        ...


@define(eq=False)
class _Loop:
    """A loop around the statement looked at: the state before it, what ``break`` left with, and how many of the
    cleanups stand outside of it."""

    base: State
    cleanups: int
    breaks: list[Changes] = field(factory=list)


@define(eq=False)
class Walk:
    """The way through one step."""

    listener: Listener
    loops: list[_Loop] = field(factory=list)
    cleanups: list[Changes] = field(factory=list)
    """What a jump does on its way out: unbind the names of handlers, run ``finally`` bodies."""
    returned: bool = False
    counting: bool = True
    number: int = -1
    inside: bool = False
    """Below the head of a compound statement, where operations have no numbers."""
    sites: dict[tuple[int, int], Changes] = field(factory=dict)

    # -- operations ----------------------------------------------------------------------------

    def ops(self, view: View, ops: tuple[ir.Op, ...], state: State, run: tuple[ir.Op, ...] | None = None) -> None:
        """A run of operations; ``run`` is the whole of which these are an arm."""
        whole = ops if run is None else run
        for op in ops:
            if isinstance(op, ir.Choice):
                arms: list[Changes | None] = []
                for arm, _ in op.arms:
                    branch = State(state)
                    self.ops(view, arm, branch, whole)
                    arms.append(branch.changes)
                state.join(arms)
            if self.counting:
                self.number += 1
            number = -1 if self.inside else self.number
            match op:
                case ir.Load():
                    variable = view.variable(op.name, op.binding)
                    if variable is not None:
                        self.listener.read(variable, state, number, op.span)
                case ir.Store():
                    variable = view.variable(op.name, op.binding)
                    if variable is not None:
                        state.put(variable, OWN)
                        self.listener.bind(variable, False, number, op.span)
                case ir.Delete():
                    variable = view.variable(op.name, op.binding)
                    if variable is not None:
                        self.listener.read(variable, state, number, op.span)
                        state.put(variable, GONE)
                        self.listener.bind(variable, True, number, op.span)
                case ir.Call() | ir.MakeFunction():
                    self.listener.special(view, op, whole, state, number)
                case ir.ImportFrom():
                    if op.name == "*":
                        self.listener.special(view, op, whole, state, number)
                case ir.Comprehension() | ir.MakeClass():
                    self._nested(view, op.scope, state)
                    self.listener.special(view, op, whole, state, number)
                case _:
                    pass

    def _nested(self, view: View, scope: int, state: State) -> None:
        """The body of a comprehension or class, which runs here; its operations have the number of this one."""
        counting, self.counting = self.counting, False
        loops, self.loops = self.loops, []
        self.block(view.into(scope), view.module.scopes[scope].body, state)
        self.counting, self.loops = counting, loops

    # -- statements ----------------------------------------------------------------------------

    def block(self, view: View, body: Iterable[ir.Statement], state: State) -> bool:
        """A statement list; whether its end can be reached."""
        reached = True
        for statement in body:
            reached = self.statement(view, statement, state) and reached
        return reached

    def body(self, view: View, body: tuple[ir.Statement, ...], state: State) -> bool:
        """A statement list inside a compound statement."""
        inside, self.inside = self.inside, self.inside or self.counting
        reached = self.block(view, body, state)
        self.inside = inside
        return reached

    def extra(self, view: View, ops: tuple[ir.Op, ...], state: State) -> None:
        """Operations of a compound statement that are not those of its head."""
        inside, self.inside = self.inside, self.inside or self.counting
        self.ops(view, ops, state)
        self.inside = inside

    def statement(self, view: View, statement: ir.Statement, state: State) -> bool:
        """One statement; whether what follows it can be reached."""
        match statement:
            case ir.Plain():
                self.ops(view, statement.ops, state)
                return True
            case ir.Return():
                self.ops(view, statement.ops, state)
                self.returned = True
                return False
            case ir.Raise():
                self.ops(view, statement.ops, state)
                return False
            case ir.Jump():
                self._jump(statement, state)
                return False
            case ir.If():
                self.ops(view, statement.ops, state)
                arms = (self._arm(view, statement.body, state), self._arm(view, statement.orelse, state))
                return state.join(arms)
            case ir.For() | ir.While():
                return self._loop(view, statement, state)
            case ir.With():
                return self._with(view, statement, state)
            case ir.Try():
                return self._try(view, statement, state)
            case ir.Match():
                return self._match(view, statement, state)
            case _:
                assert_never(statement)

    def _arm(self, view: View, body: tuple[ir.Statement, ...], state: State) -> Changes | None:
        branch = State(state)
        return branch.changes if self.body(view, body, branch) else None

    def _jump(self, jump: ir.Jump, state: State) -> None:
        """``continue`` needs no care: at the head of the loop everything that its body binds may be bound."""
        if jump.kind == "break" and self.loops:
            loop = self.loops[-1]
            changes = state.since(loop.base)
            for cleanup in reversed(self.cleanups[loop.cleanups :]):
                for variable, flags in cleanup.items():
                    changes[variable] = flags | (changes.get(variable, loop.base.get(variable)) if flags != GONE else 0)
            loop.breaks.append(changes)

    def _loop(self, view: View, loop: ir.For | ir.While, state: State) -> bool:
        endless = False
        if isinstance(loop, ir.For):
            self.ops(view, loop.ops, state)
        head = State(state)
        head.may(self._sites(view, (loop,)))
        if isinstance(loop, ir.While):
            self.ops(view, loop.ops, head)
            endless = bool(len(loop.ops) == 1 and isinstance(loop.ops[0], ir.Const) and loop.ops[0].value)
        around = _Loop(state, len(self.cleanups))
        self.loops.append(around)
        turn = State(head)
        if isinstance(loop, ir.For):
            self.extra(view, loop.target, turn)
        self.body(view, loop.body, turn)
        self.loops.pop()
        end = State(head)
        ended = self.body(view, loop.orelse, end) and not endless
        return state.join([end.since(state) if ended else None, *around.breaks])

    def _with(self, view: View, block: ir.With, state: State) -> bool:
        for ops, _, _, bind in block.items:
            self.ops(view, (*ops, *bind), state)
        inner = State(state)
        reached = self.body(view, block.body, inner)
        if self.listener.lets_pass(view, block):
            return state.join([inner.changes if reached else None])
        broken = State(state)
        broken.may(self._sites(view, block.body))
        return state.join([inner.changes if reached else None, broken.changes])

    def _try(self, view: View, block: ir.Try, state: State) -> bool:
        if block.final:
            self.cleanups.append(self._sites(view, block.final))
        inner = State(state)
        paths: list[Changes | None] = []
        reached = self.body(view, block.body, inner)
        caught = State(state)
        caught.may(self._sites(view, block.body))
        for handler in block.handlers:
            self.extra(view, handler.ops, caught)
            paths.append(self._handler(view, handler, caught, state))
        reached = self.body(view, block.orelse, inner) and reached
        paths.append(inner.changes if reached else None)
        if not block.final:
            return state.join(paths)
        self.cleanups.pop()
        return self._final(view, block, paths, state)

    def _handler(self, view: View, handler: ir.Handler, caught: State, base: State) -> Changes | None:
        own = State(caught)
        self.extra(view, handler.bind, own)
        names = [view.variable(op.name, op.binding) for op in handler.bind if isinstance(op, ir.Store)]
        caught_as = [name for name in names if name is not None]
        self.cleanups.append(dict.fromkeys(caught_as, GONE))
        reached = self.body(view, handler.body[:-1] if handler.bind else handler.body, own)
        self.cleanups.pop()
        for name in caught_as:  # the last statement is the implicit ``del``, which does not mind an unbound name
            own.put(name, GONE)
            self.listener.bind(name, True, -1, handler.span)
        return own.since(base) if reached else None

    def _final(self, view: View, block: ir.Try, paths: list[Changes | None], state: State) -> bool:
        """``finally`` runs after any part of the statement; what it does not touch is then as the normal paths leave
        it."""
        normal = State(state)
        arrives = normal.join(paths)
        final = State(state)
        final.may(self._sites(view, block.body))
        final.may(self._sites(view, block.orelse))
        for handler in block.handlers:
            final.may(self._sites(view, handler.body))
            final.may(self._op_sites(view, handler.bind))
        reached = self.body(view, block.final, final)
        after = dict(normal.changes)
        for variable in self._sites(view, block.final):
            after[variable] = final.get(variable)
        return state.join([after if arrives and reached else None])

    def _match(self, view: View, match: ir.Match, state: State) -> bool:
        self.ops(view, match.ops, state)
        falls = State(state)
        paths: list[Changes | None] = []
        for case in match.cases:
            taken = State(falls)
            self.extra(view, case.ops, taken)
            self.extra(view, case.guard, taken)
            arm = State(taken)
            reached = self.body(view, case.body, arm)
            paths.append(arm.since(state) if reached else None)
            if case.guard:
                falls.join([{}, taken.changes])
            elif all(isinstance(op, ir.Store) for op in case.ops):
                return state.join(paths)
        return state.join([*paths, falls.since(state)])

    # -- what is bound somewhere ---------------------------------------------------------------

    def _sites(self, view: View, body: tuple[ir.Statement, ...]) -> Changes:
        key = (id(body[0]) if len(body) == 1 else id(body), view.scope)
        found = self.sites.get(key)
        if found is None:
            found = self.sites[key] = _flags(bound_names(view, body))
        return found

    def _op_sites(self, view: View, ops: tuple[ir.Op, ...]) -> Changes:
        stores = [op for op in in_order(ops) if isinstance(op, ir.Store)]
        pairs = [(view.variable(op.name, op.binding), False) for op in stores]
        return _flags((variable, deletes) for variable, deletes in pairs if variable is not None)


def _flags(pairs: Iterable[tuple[Variable, bool]]) -> Changes:
    found: Changes = {}
    for variable, deletes in pairs:
        found[variable] = found.get(variable, 0) | (GONE if deletes else OWN)
    return found
