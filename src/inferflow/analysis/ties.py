"""Why a task is tied to home by what it is and does: its form, its operations, the names that it binds.

results["a"] = fit(X)        the store changes an object in place
b = same(a)                  'b' may share objects with 'a'
if ok: c = 1                 binds 'c' on some paths only
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from inferflow.analysis import ir
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import DefUse, Driver
from inferflow.analysis.steps import Outline, Step, op_reasons
from inferflow.model import Reason, Span, Variable

__all__ = ["binds_function", "own_reasons", "words"]


def own_reasons(
    driver: Driver,
    names: DefUse,
    outline: Outline,
    counts: Mapping[Variable, int],
    draft: Draft,
    trusting: bool = False,
    together: bool = False,
) -> tuple[Reason, ...]:
    """Why a task has to stay at home, apart from what it reads. ``counts``: how many steps bind each name. ``trusting``
    leaves out what the run can check (of a compound statement also that it changes what it reads: home repeats that),
    ``together`` what does not matter where all steps from the first on run in one
    process: changes of objects that were made since, and names bound on some paths only."""
    found: list[Reason] = []
    start = 0 if together else draft.first.order
    for step in draft.steps if any(step.shape for step in draft.steps) else ():
        found.extend(r for r in step.shape if draft.expression is None or _within(r.span, draft.expression))
    mine = _named(draft) if trusting and draft.whole else frozenset()
    for _, facts in draft.facts():
        found.extend(op_reasons(facts, outline, start, trusting, mine))
    told = {reason.span.line for reason in found}
    for step in draft.steps:
        found.extend(_of_binds(outline, draft, step, told, trusting, together))
        for number, op in enumerate(step.ops) if ir.MakeFunction in map(type, step.ops) else ():
            if type(op) is ir.MakeFunction and draft.has(step, number):
                found.extend(_of_function(driver, counts, draft, op))
    found.extend(_shared(names, counts, draft))
    return tuple(found)


def _shared(names: DefUse, counts: Mapping[Variable, int], draft: Draft) -> Iterator[Reason]:
    """Where a task uses variables that nested functions share: such a function has the variable itself, and so whatever
    it is bound to by then, also where the task has got it in a list, say."""
    if not names.captured:
        return
    every = [(u.variable, u.span) for step in draft.steps for u in step.names.uses if draft.has(step, u.op)]
    named = {variable for variable, _ in every}
    effects = [effect for _, facts in draft.facts() for effect in facts.effects]
    every += [(e.place, e.reason.span) for e in effects if isinstance(e.place, Variable) and e.place not in named]
    for variable, span in every:
        if variable in names.captured and counts.get(variable, 0) > 1:
            yield Reason(f"uses {variable.name!r}, which a nested function shares and which is bound again", span)


def _named(draft: Draft) -> frozenset[str]:
    """The objects that can be reached from the names that a task reads: home can be told what has changed in them."""
    before = draft.first.effects.before
    return frozenset().union(*(before.get(use.variable, ()) for use in draft.first.names.uses))


def _of_binds(
    outline: Outline, draft: Draft, step: Step, told: set[int], trusting: bool, together: bool
) -> Iterator[Reason]:
    """What ties a task by the names that it binds; sharing only on lines of which nothing is told yet."""
    start = 0 if together else draft.first.order
    for bind in step.names.binds:
        if not draft.has(step, bind.op) or bind.deletes:
            continue
        name = bind.variable.name
        if not bind.definite and not together and not draft.whole:
            yield Reason(f"binds {name!r} on some paths only", bind.span)
        if draft.expression is not None:
            yield Reason(f"binds {name!r} within an expression", bind.span)
        if binds_function(step, name):
            yield Reason(f"{name!r} is a function, class or generator made here", bind.span)
        labels = step.effects.after.get(bind.variable)
        if labels and draft.whole and not bind.definite:  # where it is not bound again, home keeps what it has
            labels = labels - step.effects.before.get(bind.variable, frozenset())
        if not labels:
            continue
        old = [outline.names.get(label, label) for label in sorted(labels) if outline.outside(label, start)]
        if old and bind.span.line not in told and not trusting:
            yield Reason(f"{name!r} may share objects with {words(old)}", bind.span)


def _of_function(driver: Driver, counts: Mapping[Variable, int], draft: Draft, op: ir.MakeFunction) -> Iterator[Reason]:
    """A function made here that reads names of the driver which are bound again sees whatever they are by then."""
    block = driver.blocks[draft.block]
    for name in driver.project.modules[block.module].scopes[op.scope].free:
        if counts.get(Variable(block.block.scope, name), 0) > 1:
            yield Reason(f"makes a function that reads {name!r}, which is bound again", op.span)


_MAKERS = frozenset((ir.MakeFunction, ir.Comprehension))


def binds_function(step: Step, name: str) -> bool:
    """Whether what a step binds to a name is, or holds, a function, class or generator made right there: its globals
    and captured names are those of home, and no copy of it elsewhere would follow them."""
    if isinstance(step.statement, ir.Plain) and step.statement.kind in ("def", "class"):
        return True
    if not _MAKERS.intersection(map(type, step.ops)):
        return False
    made = {
        op.out
        for op in step.ops
        if isinstance(op, ir.MakeFunction) or (isinstance(op, ir.Comprehension) and op.kind == "generator")
    }
    if not made:
        return False
    for op in step.ops:
        match op:
            case ir.Build() if made & set(op.items):
                made.add(op.out)
            case ir.Choice() if made & {value for _, value in op.arms}:
                made.add(op.out)
            case ir.Store() if op.name == name and op.value in made:
                return True
            case _:
                pass
    return False


def _within(inner: Span, outer: Span) -> bool:
    return (outer.line, outer.column) <= (inner.line, inner.column) and (inner.end_line, inner.end_column) <= (
        outer.end_line,
        outer.end_column,
    )


def words(names: Sequence[str]) -> str:
    """Names in quotes, joined as in a sentence."""
    quoted = [repr(name) for name in dict.fromkeys(names)]
    if len(quoted) > 3:
        quoted = [*quoted[:3], "others"]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
