"""Which tasks of a loop's turn are free of the other turns.

for path in paths:
    table = load(path)             free: reads its item
    total += score(table, k)       score is free: reads what a free task of the same turn made, and 'k', which no turn
                                   binds or changes; the rest of the statement carries 'total'
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger, is_wide
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import DefUse, Driver, DriverBlock, DriverEffects, StepKey
from inferflow.analysis.steps import NO_EFFECTS, Outline
from inferflow.analysis.walk import bodies, every_statement
from inferflow.model import Effect, Object, Place, Reason, Span, Task, Variable
from inferflow.records import evolve, frozen

__all__ = ["Body", "Changed", "Judge", "Written", "changed_anywhere", "written_in"]

EMPTY: frozenset[str] = frozenset()


@frozen
class Body:
    """A statement list cut into tasks."""

    driver: Driver
    names: DefUse
    outline: Outline
    drafts: tuple[Draft, ...]
    tasks: tuple[Task, ...]


@frozen
class Written:
    """What all turns of a loop do to places. ``objects``: for each label the statements that change it, by ``id``;
    ``names`` that functions called in the loop bind; ``wide``: what anything may depend on (unknown code, the
    environment)."""

    ledger: Ledger
    objects: dict[str, set[int]]
    wide: Reason | None
    names: frozenset[Variable]


def written_in(loop: ir.For | ir.While, driver: Driver, effects: DriverEffects) -> Written:
    """What the turns of a loop, and its ``else``, write."""
    ledger = Ledger(frozenset(driver.project.modules))
    objects: dict[str, set[int]] = {}
    wide: Reason | None = None
    found: list[Effect] = []
    for inner in (*every_statement(loop.body), *every_statement(loop.orelse)):
        facts = effects.inside.get(id(inner), NO_EFFECTS)
        # What a compound statement does is told by those in it, but for its head.
        for fact in facts.ops if not bodies(inner) else () if facts.head is None else (facts.head,):
            for effect in fact.effects:
                if effect.mode == "write" and isinstance(effect.place, Object):
                    objects.setdefault(effect.place.label, set()).add(id(inner))
                elif effect.mode == "write":
                    found.append(effect)
                    if is_wide(effect.place):
                        wide = wide or effect.reason
    ledger.record(0, found)
    names = frozenset(effect.place for effect in found if isinstance(effect.place, Variable))
    return Written(ledger, objects, wide, names)


@frozen
class Changed:
    """Objects (their labels) and names that some statement changes or binds anew."""

    objects: frozenset[str]
    names: frozenset[Variable]

    def has(self, place: Place) -> bool:
        """Whether a place is one of them."""
        return place.label in self.objects if isinstance(place, Object) else place in self.names


def changed_anywhere(driver: Driver, names: DefUse, effects: DriverEffects) -> Changed:
    """What any statement of the driver changes."""
    writes = {
        effect.place
        for facts in (*effects.steps.values(), *effects.inside.values())
        for fact in facts.ops
        for effect in fact.effects
        if effect.mode == "write"
    }
    bound: dict[Variable, int] = {}
    for key, told in names.steps.items():
        statement = driver.statement(key)
        once = isinstance(statement, ir.Plain) and statement.kind in ("def", "class", "import")
        for bind in told.binds:
            bound[bind.variable] = bound.get(bind.variable, 0) + (1 if once else 2)
    return Changed(
        frozenset(place.label for place in writes if isinstance(place, Object)),
        frozenset(place for place in writes if isinstance(place, Variable))
        | frozenset(variable for variable, count in bound.items() if count > 1),
    )


def since(draft: Draft, outline: Outline) -> int:
    """The order of the step that made the oldest object which a task changes or gives a name to, of those that are
    made in the same list."""
    found = [draft.first.order]
    for step, facts in draft.facts():
        changed = (e.place.label for e in facts.effects if isinstance(e.place, Object) and e.mode == "write")
        found += [outline.born.get(label, step.order) for label in changed]
    for step in draft.steps:
        for bind in step.names.binds:
            if draft.has(step, bind.op):
                found += [outline.born.get(label, step.order) for label in step.effects.after.get(bind.variable, ())]
    return min(order for order in found if order >= 0)


def _statements(draft: Draft) -> set[int]:
    """Which statements a task consists of, those inside of compound ones included, by ``id``."""
    return {id(part) for part in every_statement([step.statement for step in draft.steps])}


class Judge:
    """Tells which tasks of a statement list in a loop are free of the loop's other turns. ``items`` are the names of
    the targets of the loops around, ``bound`` all names that the loop binds, ``ready`` those that the same turn has
    made before the list, by what is free itself; ``elsewhere`` those that are bound by other means than statements;
    ``target`` those that the loop's own target binds, which is before the first of these statements. ``again``: what
    the driver changes anywhere, if the loop is run more than once."""

    def __init__(
        self,
        block: DriverBlock,
        items: frozenset[Variable],
        bound: frozenset[Variable],
        written: Written,
        body: Body,
        captured: frozenset[Variable],
        ready: frozenset[Variable] = frozenset(),
        elsewhere: frozenset[Variable] = frozenset(),
        target: frozenset[Variable] = frozenset(),
        again: Changed | None = None,
    ) -> None:
        self.block = block
        self.items = items
        self.bound = bound
        self.written = written
        self.body = body
        self.captured = captured
        self.ready = ready
        self.elsewhere = elsewhere
        self.target = target
        self.again = again
        self.given: set[Variable] = set()
        self.free: set[int] = set()

    def inside(self, body: Body, items: frozenset[Variable], ready: frozenset[Variable]) -> Judge:
        """The same for a statement list that stands deeper in the loop."""
        captured = self.captured | body.names.captured
        return Judge(self.block, items, self.bound, self.written, body, captured, ready, self.elsewhere)

    def tasks(self) -> list[Task]:
        """The tasks, each that depends on other turns with the reason."""
        found = []
        for index, (task, draft) in enumerate(zip(self.body.tasks, self.body.drafts, strict=True)):
            given: set[Variable] = set()
            reasons = list(dict.fromkeys(self._reasons(index, task, draft, given)))
            if reasons:
                task = evolve(task, home=tuple(dict.fromkeys((*reasons, *task.home))), preamble=())
            else:
                self.free.add(index)
                self.given |= given
            found.append(task)
        return found

    def _reasons(self, index: int, task: Task, draft: Draft, given: set[Variable]) -> Iterator[Reason]:
        yield from task.home
        if self.written.wide is not None:
            yield self.written.wide
        steps = {step.key: step for step in self.body.outline.steps}
        wanted = [(step, use) for step in draft.steps for use in step.names.uses if draft.has(step, use.op)]
        seen: set[StepKey] = set()
        while wanted:
            step, use = wanted.pop()
            for definition in use.defs:
                if definition is None:
                    yield from self._outside(use.variable, use.span, given)
                elif definition in steps and steps[definition].kind == "replicated" and definition not in seen:
                    seen.add(definition)
                    wanted += [(steps[definition], other) for other in steps[definition].names.uses]
        for item in task.inputs:
            if item.producer >= 0 and item.producer not in self.free:
                yield Reason(f"reads {item.variable.name!r}, which is made in order", item.span)
        for other in (*task.needs, *task.inner):
            if other not in self.free:
                yield Reason(f"comes after {self.body.tasks[other].name}, which keeps its order", task.span)
        for step in draft.steps:
            for bind in step.names.binds:
                if draft.has(step, bind.op) and bind.variable in self.captured:
                    yield Reason(f"binds {bind.variable.name!r}, which a nested function shares", bind.span)
        yield from self._between(index, draft)
        yield from self._effects(index, draft, given)

    def _between(self, index: int, draft: Draft) -> Iterator[Reason]:
        """A task that changes what the turn has made before. Home must not look at it between its making and the
        change, if helpers have done both by then; and it must be the turn's own, not what an earlier turn has made."""
        first = since(draft, self.body.outline)
        for other, earlier in enumerate(self.body.drafts[:index]):
            if earlier.last.order >= first and other not in self.free:
                name = self.body.tasks[other].name
                yield Reason(f"changes what was made before {name}, which keeps its order", draft.first.span)
                return
        born = self.body.outline.born
        changed = {
            effect.place.label
            for _, facts in draft.facts()
            for effect in facts.effects
            if isinstance(effect.place, Object) and effect.mode == "write"
            if 0 <= born.get(effect.place.label, -1) < draft.first.order
        }
        if not changed:
            return
        own: set[str] = set()
        for step in draft.steps:
            for use in step.names.uses:
                variable = use.variable
                labels = step.effects.before.get(variable, EMPTY) | step.effects.later.get(variable, EMPTY)
                if not labels & changed:
                    continue
                if not draft.has(step, use.op) or None in use.defs:
                    yield Reason(f"changes what {variable.name!r} holds, too", use.span)
                own |= labels
        if not changed <= own:
            yield Reason("changes what it is not given", draft.first.span)
        if self.again is not None:
            for _, facts in draft.facts():
                for effect in facts.effects:
                    if self.again.has(effect.place) and born.get(getattr(effect.place, "label", ""), -1) < 0:
                        text = f"changes an object, and uses what is changed around the loop: {effect.reason.text}"
                        yield Reason(text, effect.reason.span)

    def _outside(self, variable: Variable, span: Span, given: set[Variable]) -> Iterator[Reason]:
        """A name that the turn does not bind before it is read."""
        if variable in self.items or variable in self.target:
            if variable in self.captured:
                yield Reason(f"uses {variable.name!r}, which a nested function shares", span)
        elif variable in self.bound and variable not in self.ready:
            yield Reason(f"{variable.name!r} goes from one turn to the next", span)
        elif variable not in self.bound:
            given.add(variable)

    def _effects(self, index: int, draft: Draft, given: set[Variable]) -> Iterator[Reason]:
        born = self.body.outline.born
        mine = _statements(draft)
        free = {number for other in self.free for number in _statements(self.body.drafts[other])}
        later = {number for other in self.body.drafts[index + 1 :] for number in _statements(other)} - mine
        reads: list[Effect] = []
        for _, facts in draft.facts():
            for effect in facts.effects:
                place = effect.place
                if isinstance(place, Variable):
                    local = place.scope == "<driver>"
                    made = any(out.variable == place for other in self.free for out in self.body.tasks[other].outputs)
                    if place in self.bound and (local or not (place in self.items or place in self.ready or made)):
                        yield Reason(f"{place.name!r} goes from one turn to the next", effect.reason.span)
                    elif place not in self.bound and place.scope == self.block.block.scope:
                        given.add(place)
                if isinstance(place, Object):
                    writers = self.written.objects.get(place.label, set())
                    own = born.get(place.label, -1) >= 0
                    # What the turn has made itself is of no concern to it any more when others change it later.
                    others = writers - mine - (later if own else set())
                    if others - free or (others and not own) or (effect.mode == "read" and writers & mine and not own):
                        yield Reason(f"uses an object that turns change: {effect.reason.text}", effect.reason.span)
                elif effect.mode == "read":
                    reads.append(effect)
        for dependence in self.written.ledger.dependences(reads):
            if dependence.flow and not isinstance(dependence.place, Variable):
                yield Reason(f"turns change what it reads: {dependence.why[-1].text}", dependence.why[-1].span)
