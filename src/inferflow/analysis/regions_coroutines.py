"""Which tasks in the body of a coroutine do not depend on what other coroutines do while it is alive: its *strand*.

    async def part(url, k):            strand: clean, since nothing else changes what it reads
        text = await fetch(url)        home: it awaits
        rows = parse(text)             home: needs what was awaited
        grid = clean(k)                ahead, as soon as the coroutine exists
    await asyncio.gather(part(a, 1), part(b, 2))

A coroutine's body is looked at as the turn of a loop is (``regions_judge``): its parameters are the items, and what
turns do to places is what anything does that may run between the coroutine's making and its end. That is the bodies of
all functions that are opened, and what the driver's own statements do that run an event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger, is_wide
from inferflow.analysis.facts import Driver, DriverBlock, DriverEffects, OpFacts
from inferflow.analysis.regions_judge import Body, Judge, Written
from inferflow.analysis.steps import NO_EFFECTS
from inferflow.analysis.walk import bodies, every_op, every_statement, flatten
from inferflow.model import Effect, Hidden, Object, Reason, Task, Variable

__all__ = ["Siblings"]

LOOP = Hidden("asyncio")
"""The event loop: what changes it is what lets coroutines take turns, and nothing that their calls could see."""


class Siblings:
    """The coroutines of a driver, as far as they are opened."""

    def __init__(self, driver: Driver, effects: DriverEffects) -> None:
        self.driver = driver
        self.effects = effects
        self.written: Written | None = None
        self.steps = {id(driver.statement(key)): facts for key, facts in effects.steps.items()}

    def strand(self, code: ir.Scope, block: DriverBlock, body: Body) -> list[Task]:
        """The tasks of a coroutine's body, those with reasons for home that do not belong to its strand."""
        written = self.written = self.written or self._written()
        parameters = {Variable("<driver>", param.name) for param in code.params}
        bound: set[Variable] = set()
        for op in every_op(code.body):
            if isinstance(op, ir.Store | ir.Delete):
                bound.add(Variable(block.module if op.binding == "global" else "<driver>", op.name))
        judge = Judge(
            block,
            frozenset(parameters - bound),
            frozenset(parameters | bound | written.names),
            written,
            body,
            body.names.captured,
        )
        return judge.tasks()

    def _written(self) -> Written:
        """What anything may change while coroutines are alive."""
        ledger = Ledger(frozenset(self.driver.project.modules))
        objects: dict[str, set[int]] = {}
        wide: Reason | None = None
        found: list[Effect] = []
        for owner, effect in self._changes():
            if isinstance(effect.place, Object):
                objects.setdefault(effect.place.label, set()).add(owner)
                continue
            found.append(effect)
            if effect.place != LOOP and is_wide(effect.place):
                wide = wide or effect.reason
        ledger.record(0, found)
        names = frozenset(effect.place for effect in found if isinstance(effect.place, Variable))
        return Written(ledger, objects, wide, names)

    def _changes(self) -> Iterator[tuple[int, Effect]]:
        """Each write, with the identity of its statement."""
        modules = self.driver.project.modules
        for module, scope in self.effects.opened.values():
            for statement in every_statement(modules[module].scopes[scope].body):
                yield from self._writes(module, statement)
        for block in self.driver.blocks:
            for statement in block.statements:
                for inner in every_statement((statement,)):
                    made = list(self._writes(block.module, inner))
                    if any(effect.place == LOOP or is_wide(effect.place) for _, effect in made):
                        yield from made

    def _writes(self, module: str, statement: ir.Statement) -> Iterator[tuple[int, Effect]]:
        for fact in self._facts(module, statement):
            for effect in fact.effects:
                if effect.mode == "write":
                    yield id(statement), effect

    def _facts(self, module: str, statement: ir.Statement) -> Iterable[OpFacts]:
        """What a statement does itself, but for calls of functions that are opened: what those do is told by their
        statements."""
        found = self.effects.inside.get(id(statement))
        if bodies(statement):
            head = self.effects.heads.get(id(statement)) if found is None else found.head
            return () if head is None else (head,)
        facts = self.steps.get(id(statement), NO_EFFECTS) if found is None else found
        return self._calls(module, flatten(statement), facts.ops)

    def _calls(self, module: str, ops: tuple[ir.Op, ...], facts: Iterable[OpFacts]) -> Iterator[OpFacts]:
        for fact in facts:
            op = ops[fact.op] if 0 <= fact.op < len(ops) else None
            if isinstance(op, ir.Comprehension):
                inside = list(every_statement(self.driver.project.modules[module].scopes[op.scope].body))
                if all(id(part) in self.effects.inside for part in inside):
                    for part in inside:
                        yield from self._facts(module, part)
                    continue
            if not fact.callees or any(callee not in self.effects.opened for callee in fact.callees):
                yield fact
