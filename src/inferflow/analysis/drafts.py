"""Tasks in the making: the steps, or the part of one, that a task will be.

score = evaluate(train(X))        Draft(call, expression=train(X)), then Draft(call, inner=(0,)) for the statement
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from inferflow.analysis.facts import Driver, OpFacts, StepKey
from inferflow.analysis.steps import COMPOUND, Step
from inferflow.model import Anchor, Effect, Reason, Span, Variable
from inferflow.records import field, frozen

__all__ = ["Draft", "anchor_of", "binders", "effects_of", "last_module_task", "span_of"]


@frozen
class Draft:
    """A task in the making. ``numbers`` tells, for a step that is shared with expression tasks, which of its operations
    belong here; a step not in it belongs here as a whole. ``inner`` are positions of earlier drafts."""

    kind: Literal["call", "library", "opaque", "glue", "shell", "notebook"]
    block: int
    steps: tuple[Step, ...]
    expression: Span | None = None
    numbers: dict[StepKey, frozenset[int]] = field(factory=dict)
    inner: tuple[int, ...] = ()
    main: OpFacts | None = None
    reasons: tuple[Reason, ...] = ()
    """Why it is at home whatever its operations do."""

    @property
    def first(self) -> Step:
        return self.steps[0]

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def whole(self) -> bool:
        """Whether it is a compound statement that may run elsewhere as one piece: see ``wholes``."""
        return self.kind == "opaque" and isinstance(self.first.statement, COMPOUND) and not self.first.shape

    def facts(self) -> tuple[tuple[Step, OpFacts], ...]:
        """The facts of its operations; those without a number count in every task of the statement."""
        if not self.numbers:
            return tuple([(step, facts) for step in self.steps for facts in step.effects.ops])
        return tuple(
            (step, facts)
            for step in self.steps
            for facts in step.effects.ops
            if step.key not in self.numbers or facts.op < 0 or facts.op in self.numbers[step.key]
        )

    def has(self, step: Step, number: int) -> bool:
        """Whether operation ``number`` of a step is this task's (``-1``: of all tasks of the statement)."""
        return step.key not in self.numbers or number < 0 or number in self.numbers[step.key]


def binders(drafts: Sequence[Draft]) -> dict[tuple[StepKey, Variable], int]:
    """Which task binds a name in a step."""
    found: dict[tuple[StepKey, Variable], int] = {}
    for index, draft in enumerate(drafts):
        for step in draft.steps:
            for bind in step.names.binds:
                if not draft.numbers or draft.has(step, bind.op):
                    found[step.key, bind.variable] = index
    return found


def last_module_task(driver: Driver, drafts: Sequence[Draft]) -> int:
    """The last task of the module and its guard before the driver's function is entered, -1 if none."""
    last = -1
    for index, draft in enumerate(drafts):
        if driver.blocks[draft.block].block.kind == "function":
            break
        last = index
    return last


def effects_of(draft: Draft) -> tuple[Effect, ...]:
    told = [facts.effects for _, facts in draft.facts() if facts.effects]
    if len(told) == 1:
        return told[0]  # of one operation, no effect is told twice
    return tuple(dict.fromkeys([effect for effects in told for effect in effects]))


def anchor_of(draft: Draft) -> Anchor:
    return Anchor(draft.block, draft.first.statement.index, draft.last.statement.index, draft.expression)


def span_of(draft: Draft) -> Span:
    if draft.expression is not None:
        return draft.expression
    first, last = draft.first.span, draft.last.span
    return Span(first.path, first.line, first.column, last.end_line, last.end_column)
