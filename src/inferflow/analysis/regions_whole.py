"""What of a loop's turn is one piece, although it changes something, or holds statements of its own.

    for seed in seeds:
        model = make(seed)              free
        for epoch in range(10):         free as a whole: it changes only what this turn has made
            fit(model, data)
        while error(model) > 0.1:       so is this: what it binds is the turn's own
            fit(model, data)
        scores.append(test(model))      test is free, too

What helpers run of a turn they run in one process, one after the other, and send in one piece: so its tasks may share
objects and change those that the ones before have made, as long as home has nothing to do in between that could look
at them. A compound statement is *closed* if nothing in it leads out of it: no ``break`` of a loop around, no
``return``, ``await`` or ``yield``; if it binds names of its own block only; and if it makes nothing that could not be
handed over (functions, classes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferflow.analysis import ir
from inferflow.analysis.facts import Driver, DriverBlock, DriverEffects, OpFacts, StepEffects
from inferflow.analysis.link import Linker
from inferflow.analysis.link_state import Links
from inferflow.analysis.naming import name_drafts
from inferflow.analysis.regions_judge import EMPTY, Body
from inferflow.analysis.steps import COMPOUND, NO_EFFECTS, NO_NAMES, Outline, Step, shape_reasons
from inferflow.analysis.ties import binds_function
from inferflow.analysis.walk import bodies, every_op, every_statement, flatten, in_order, is_unbinding, may_await
from inferflow.model import Effect, Object, Reason
from inferflow.records import evolve, frozen

__all__ = ["as_one_piece", "open_reasons"]


def as_one_piece(body: Body, block: DriverBlock, effects: DriverEffects, cuts: Mapping[int, Body]) -> Body | None:
    """The statement list as it is where all that runs ahead of it runs in one process; ``None`` if that makes no
    difference. ``cuts`` are the statement lists inside of it."""
    closed = {}
    for draft in body.drafts:
        if isinstance(draft.first.statement, COMPOUND) and draft.kind == "opaque":
            reasons = tuple(open_reasons(body.driver, block, effects, draft.first.statement))
            facts = draft.first.effects
            closed[draft.first.key] = evolve(
                draft.first, shape=reasons, effects=evolve(facts, ops=(*facts.ops, *_looks(draft.first)))
            )
    if not closed and not any(step.oldest < step.order for draft in body.drafts for step in draft.steps):
        return None
    born = dict(body.outline.born)
    for step in closed.values():
        for label in _made_within(step.statement, cuts):
            born.setdefault(label, step.order)
    outline = Outline(tuple(closed.get(step.key, step) for step in body.outline.steps), born, body.outline.names)
    drafts = tuple(
        evolve(draft, steps=tuple(closed.get(step.key, step) for step in draft.steps)) for draft in body.drafts
    )
    linker = Linker(Links(body.driver, body.names, outline, drafts, name_drafts(drafts), together=True))
    for index in range(len(drafts)):
        linker.build(index)
    return Body(body.driver, body.names, outline, drafts, linker.finished())


def open_reasons(
    driver: Driver, block: DriverBlock, effects: DriverEffects, statement: ir.Statement, own: StepEffects | None = None
) -> Iterator[Reason]:
    """Why a compound statement is not closed. ``own`` is what it does itself, where it is a step of the driver."""
    return _Closed(driver, block, effects).reasons(statement, own)


def _looks(step: Step) -> Iterator[OpFacts]:
    """A compound statement may read all that can be reached from the names that it uses."""
    for use in step.names.uses:
        labels = step.effects.before.get(use.variable, EMPTY) | step.effects.later.get(use.variable, EMPTY)
        if labels:
            reason = Reason(f"the statement may read {use.variable.name!r}", use.span)
            yield OpFacts(-1, use.span, tuple(Effect("read", Object(label), reason) for label in sorted(labels)))


def _made_within(statement: ir.Statement, cuts: Mapping[int, Body]) -> Iterator[str]:
    """The labels of objects that are made inside of a compound statement."""
    for inner in (statement, *every_statement([part for body in bodies(statement) for part in body])):
        for body in bodies(inner):
            cut = cuts.get(id(body))
            if cut is not None:
                yield from (label for label, order in cut.outline.born.items() if order >= 0)


@frozen
class _Closed:
    """Tells why a compound statement is not closed."""

    driver: Driver
    block: DriverBlock
    effects: DriverEffects

    def reasons(self, statement: ir.Statement, own: StepEffects | None = None) -> Iterator[Reason]:
        module = self.driver.project.modules[self.block.module]
        if may_await(module, statement):
            yield Reason("awaits", statement.span)
        yield from _leads_out(statement)
        in_function = self.block.block.kind == "function"
        for inner in every_statement((statement,)):
            facts = own if own is not None and inner is statement else self.effects.inside.get(id(inner))
            if facts is None:
                yield Reason("what is inside is not known", inner.span)
                return
            handled = is_unbinding(inner)
            if isinstance(inner, ir.Plain) and (inner.kind == "annotated" or (inner.kind == "delete" and not handled)):
                yield Reason(f"there is {inner.kind!r} in it", inner.span)
            form = shape_reasons(inner, flatten(inner), facts, in_function)
            if not handled:  # (of compound statements and 'raise', the first is that they are what they are)
                yield from form[isinstance(inner, (*COMPOUND, ir.Raise)) :]
            yield from self._binds(inner)

    def _binds(self, inner: ir.Statement) -> Iterator[Reason]:
        """What of an inner statement binds names elsewhere, or something that cannot be handed over."""
        module = self.driver.project.modules[self.block.module]
        own = "local" if self.block.block.kind == "function" else "global"
        ops = _own(inner)
        step = Step((0, 0), inner, NO_NAMES, NO_EFFECTS, ops, "glue")
        for op in ops:
            if isinstance(op, ir.Store | ir.Delete) and op.binding not in (own, "local"):
                yield Reason(f"binds {op.name!r} outside of its own block", op.span)
            if isinstance(op, ir.Store) and binds_function(step, op.name):
                yield Reason(f"{op.name!r} is a function, class or generator made here", op.span)
            if isinstance(op, ir.MakeFunction) and module.scopes[op.scope].free:
                yield Reason(f"makes a function that reads {module.scopes[op.scope].free[0]!r}", op.span)
        if isinstance(inner, ir.Try):
            for handler in inner.handlers:
                for bound in handler.bind:
                    if isinstance(bound, ir.Store) and self._is_bound_elsewhere(bound):
                        yield Reason(f"{bound.name!r} is deleted by its handler, and bound elsewhere", bound.span)

    def _is_bound_elsewhere(self, bound: ir.Store) -> bool:
        """Whether anything but handlers binds a name, which a handler deletes in the end."""
        module = self.driver.project.modules[self.block.module]
        scopes = module.scopes if bound.binding == "global" else (module.scopes[self.block.scope],)
        return any(
            isinstance(op, ir.Store) and op.name == bound.name and op.binding == bound.binding and op.how != "except"
            for scope in scopes
            for op in every_op(scope.body)
        ) or any(parameter.name == bound.name for parameter in module.scopes[self.block.scope].params)


def _own(statement: ir.Statement) -> tuple[ir.Op, ...]:
    """The operations of a statement, and of its targets and patterns, but not of the statements in it."""
    ops = flatten(statement)
    if isinstance(statement, ir.For):
        return (*ops, *in_order(statement.target))
    if isinstance(statement, ir.Match):
        return (*ops, *in_order([op for case in statement.cases for op in (*case.ops, *case.guard)]))
    return ops


def _leads_out(statement: ir.Statement) -> Iterator[Reason]:
    """Jumps that leave a compound statement."""
    stack = [(statement, False)]
    while stack:
        inner, in_loop = stack.pop()
        if isinstance(inner, ir.Return):
            yield Reason("may return", inner.span)
        elif isinstance(inner, ir.Jump) and not in_loop:
            yield Reason(f"has the {inner.kind!r} of a loop around it", inner.span)
        if isinstance(inner, ir.For | ir.While):
            stack += [(part, True) for part in inner.body]
            stack += [(part, in_loop) for part in inner.orelse]
        else:
            stack += [(part, in_loop) for body in bodies(inner) for part in body]
