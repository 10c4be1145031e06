"""Which compound statements of the driver may run ahead as one piece, beside what stands before them.

    for epoch in range(50):         for: a helper runs all its turns ...
        w = step(w, train)
    for epoch in range(50):         for.2: ... and another one these, which need nothing of the first
        v = step(v, test)

Turns that depend on each other keep their order, in one process. The statement must be *closed* (nothing leads out of
it, see ``regions_whole``), and what it does must be proved, or found out at its turn, as with any other task. Names
that it binds on some paths only come back as they are, bound or not. What runs ahead inside of a statement anyway
(turns of a map, stages of an arm) makes more of several processes than the statement as a whole would: such a statement
stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.analysis import ir
from inferflow.analysis.facts import Driver, DriverEffects
from inferflow.analysis.regions import Regions
from inferflow.analysis.regions_weight import Weights
from inferflow.analysis.regions_whole import open_reasons
from inferflow.analysis.steps import COMPOUND, Outline, Step
from inferflow.analysis.walk import bodies, every_statement
from inferflow.model import Reason, Region
from inferflow.records import evolve

__all__ = ["with_wholes"]

LOOPS = frozenset(("map", "loop"))


def with_wholes(driver: Driver, effects: DriverEffects, outline: Outline, regions: Regions) -> Outline:
    """The outline, in which compound statements that may run elsewhere as a whole have no reason in their form, and
    others that would be worth it have all that speak against it."""
    steps = tuple(
        evolve(step, shape=_reasons(driver, effects, step)) if _is_worth(driver, effects, step, regions) else step
        for step in outline.steps
    )
    return evolve(outline, steps=steps)


def _reasons(driver: Driver, effects: DriverEffects, step: Step) -> tuple[Reason, ...]:
    block = driver.blocks[step.key[0]]
    found = [*open_reasons(driver, block, effects, step.statement, step.effects), *_held_open(step.statement)]
    return (*step.shape, *found) if found else ()


def _is_worth(driver: Driver, effects: DriverEffects, step: Step, regions: Regions) -> bool:
    """Whether it is a compound statement that takes time, and does not spread over processes by itself."""
    if step.kind != "opaque" or not isinstance(step.statement, COMPOUND):
        return False
    region = regions.of_step(step, driver.blocks[step.key[0]], step.key[0])
    if region is None or not (_takes_time(region, regions.weights) or _asks(step.statement, effects, regions.weights)):
        return False
    return _tries_again(step.statement) or not _is_spread(region)


def _takes_time(region: Region, weights: Weights) -> bool:
    """Whether there is a call in it that is worth the way to another process, or a loop within a loop."""
    for task in (task for arm in region.arms for task in arm.tasks):
        if any(_takes_time(part, weights) or {part.kind, region.kind} <= LOOPS for part in task.regions):
            return True
        if not task.regions and weights.is_work(task) and weights.is_heavy(task):
            return True
    return False


def _asks(statement: ir.Statement, effects: DriverEffects, weights: Weights) -> bool:
    """Whether such a call stands in the head of it, or of a statement in it."""
    for inner in _all_of(statement):
        facts = effects.inside.get(id(inner))
        head = effects.heads.get(id(inner)) if facts is None else facts.head
        if head is not None and any(map(weights.is_heavy_call, head.callees)):
            return True
    return False


def _all_of(statement: ir.Statement) -> Iterator[ir.Statement]:
    yield statement
    yield from every_statement([part for body in bodies(statement) for part in body])


def _is_spread(region: Region) -> bool:
    """Whether parts of it run ahead by themselves that may take time."""
    if any(arm.stages or arm.apart for arm in region.arms):
        return True
    if region.heavy and (region.strand or any(arm.ahead for arm in region.arms)):
        return True
    return any(_is_spread(part) for arm in region.arms for task in arm.tasks for part in task.regions)


def _tries_again(statement: ir.Statement) -> bool:
    """Whether a loop is left after the first turn in which nothing fails: there is nothing in further turns to begin
    with before."""
    if not isinstance(statement, ir.For | ir.While):
        return False
    todo = list(statement.body)
    tries = False
    while todo:
        inner = todo.pop()
        if isinstance(inner, ir.Jump) and inner.kind == "break" and tries:
            return True
        if isinstance(inner, ir.Try):
            tries = True
            todo += [*inner.body, *inner.orelse]
        elif isinstance(inner, ir.With):
            todo += inner.body
    return False


def _held_open(statement: ir.Statement) -> Iterator[Reason]:
    """What managers give is theirs: a file, say, that is closed by then, but stays what it is."""
    for inner in _all_of(statement):
        if isinstance(inner, ir.With) and any(target for _, _, _, target in inner.items):
            yield Reason("a name is bound to what a manager gives", inner.span)
