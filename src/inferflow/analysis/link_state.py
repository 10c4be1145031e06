"""What linking knows so far: the tasks that are made, and what was found out about the one at hand.

    x = load()          made: 0, outputs x
    y = clean(x)        at hand: reads x from 0, objects {x}; needs 0; edge 0 -> 1

Names and objects are followed twice: as they are if all comes true that is assumed, and as they are if nothing of it
does, within ``trust``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger
from inferflow.analysis.drafts import Draft, binders, last_module_task
from inferflow.analysis.facts import Bind, DefUse, Driver, StepKey
from inferflow.analysis.steps import Outline, Step
from inferflow.analysis.versions import ANYTHING, Versions
from inferflow.model import Edge, Effect, Object, Output, Reason, Span, Task, TaskKey, Variable, World
from inferflow.records import define, field

__all__ = ["VALUE_SCOPE", "Gathered", "Links", "Made", "Read", "proved"]

VALUE_SCOPE = "<value>"
"""The scope of what stands for an expression task's value, which has no name in the driver."""


@define
class Made:
    """A task being built; later tasks may still add outputs that they need (versions that it left by changing)."""

    task: Task
    outputs: dict[Variable, Output]


@define
class Read:
    """What a task reads under one name: who left it, the first place of use, labels of the objects."""

    variable: Variable
    producer: int
    span: Span
    labels: frozenset[str]


@define
class Gathered:
    """What is found out about one task on the way."""

    reads: dict[Variable, Read] = field(factory=dict)
    home: list[Reason] = field(factory=list)
    state: set[int] = field(factory=set)
    needs: set[int] = field(factory=set)
    replicated: set[StepKey] = field(factory=set)
    edges: list[Edge] = field(factory=list)
    apart: bool = False


class Links:
    """What is known after the tasks and statements told so far, in program order. ``together``: what runs ahead of them
    runs in one process, one after the other, and comes back in one piece, so they may share objects and change those
    that the ones before have made."""

    def __init__(
        self,
        driver: Driver,
        names: DefUse,
        outline: Outline,
        drafts: Sequence[Draft],
        keys: Sequence[TaskKey],
        together: bool = False,
    ) -> None:
        self.driver = driver
        self.names = names
        self.outline = outline
        self.drafts = drafts
        self.keys = keys
        self.together = together
        self.steps: dict[StepKey, Step] = {step.key: step for step in outline.steps}
        self.binder = binders(drafts)
        self.statements = {
            step.key: index for index, draft in enumerate(drafts) for step in draft.steps if draft.expression is None
        }
        self.binds: dict[Variable, int] = {}
        for step in outline.steps:
            for bind in step.names.binds:
                self.binds[bind.variable] = self.binds.get(bind.variable, 0) + 1
        self.made: list[Made] = []
        self.gone: dict[int, set[Variable]] = {}
        """For each task the names that it deletes in the end."""
        self.ledger = Ledger(frozenset(driver.project.modules))
        self.versions = Versions()
        # The same as far as it is proved: what would be so if nothing that is only assumed came true.
        self.likely = (self.versions.likely(), Ledger(frozenset(driver.project.modules)))
        self.trusting = False
        self.last_assumed = -1
        self.loose: list[Step] = []  # replicated steps so far
        self.params = _parameters(driver)
        self.module_tasks = last_module_task(driver, drafts)
        self.next_step = 0
        self.bound = set(self.params)
        self.unsure: set[Variable] = set()
        """Names that are bound on some paths only, or not any more."""

    def name(self, index: int) -> str:
        base, number = self.keys[index]
        return base if number == 1 else f"{base}.{number}"

    def scope_of(self, index: int) -> str:
        return self.driver.blocks[self.drafts[index].block].block.scope

    def in_module(self, step: Step) -> bool:
        return self.driver.blocks[step.key[0]].block.kind != "function"

    @contextmanager
    def trust(self) -> Iterator[None]:
        """Within, versions and places are as if nothing that is only assumed came true."""
        sure = self.versions, self.ledger
        self.versions, self.ledger = self.likely
        self.trusting = True
        try:
            yield
        finally:
            self.versions, self.ledger = sure
            self.trusting = False

    def pass_loose(self, order: int) -> None:
        """Take note of the steps before ``order`` that belong to no task."""
        steps = self.outline.steps
        while self.next_step < order:
            step = steps[self.next_step]
            self.next_step += 1
            self.versions.pass_step(step, -1)
            for bind in step.names.binds:
                self.bind(bind)
            if any((step.key, bind.variable) in self.binder for bind in step.names.binds):
                continue
            for bind in step.names.binds:
                self.versions.bound[bind.variable] = (step.key, -1)
            if step.kind == "replicated":
                self.loose.append(step)

    def bind(self, bind: Bind) -> None:
        """Take note of whether a name is surely bound from here on."""
        if bind.deletes:
            self.unsure.add(bind.variable)
        elif bind.definite:
            self.bound.add(bind.variable)
            self.unsure.discard(bind.variable)
        elif bind.variable not in self.bound:
            self.unsure.add(bind.variable)

    def record(self, index: int, draft: Draft, effects: tuple[Effect, ...], found: Gathered) -> None:
        """Task ``index`` is made: what it read, did and bound."""
        self.next_step = max(self.next_step, draft.last.order + 1)
        for read in found.reads.values():
            self.versions.read(index, read.labels, read.span)
        self.versions.record(index, effects)
        unknown = index if any(isinstance(e.place, World) and e.place == ANYTHING for e in effects) else -1
        for step in draft.steps:
            self.versions.pass_step(step, unknown)
            for bind in step.names.binds:
                if draft.has(step, bind.op):
                    self.versions.bound[bind.variable] = (step.key, index)
                    self.bind(bind)
        self.ledger.record(index, [e for e in effects if not isinstance(e.place, Object) or e.mode == "write"])
        self._record_proved(index, draft, effects)

    def _record_proved(self, index: int, draft: Draft, effects: tuple[Effect, ...]) -> None:
        likely = proved(draft)
        if len(likely) < len(effects) and any(e.assumed and e.mode == "write" for e in effects):
            self.last_assumed = index
        versions, ledger = self.likely
        versions.record(index, likely)
        ledger.record(index, [e for e in likely if not isinstance(e.place, Object) or e.mode == "write"])


def proved(draft: Draft) -> tuple[Effect, ...]:
    """The effects that are not only assumed. A bare call was written for its effects: it surely changes something of
    what it is given."""
    found: dict[Effect, None] = {}
    for step, facts in draft.facts():
        bare = isinstance(step.statement, ir.Plain) and step.statement.kind == "expression"
        for effect in facts.effects:
            if not effect.assumed or (bare and isinstance(effect.place, Object)):
                found[effect] = None
    return tuple(found)


def _parameters(driver: Driver) -> frozenset[Variable]:
    for block in driver.blocks:
        if block.block.kind == "function":
            scope = driver.project.modules[block.module].scopes[block.scope]
            return frozenset(Variable(block.block.scope, param.name) for param in scope.params)
    return frozenset()
