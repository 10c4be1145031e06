"""Compound statements and comprehensions from inside: their arms, the tasks in them, and what of a loop's turns does
not depend on the other turns.

    for path in paths:                 region map, items path
        table = load(path)             load   free: the same whenever it runs
        total += score(table, k)       score  free, given k;  and a step that carries total, at home

Each statement list inside a region is cut into tasks like a block of the driver, with everything outside taken as
there before. A *turn* is one execution of a loop's body. Of a turn, a task is *free* if all that it does is proved
(as outside of loops) and, besides, what it reads is the same whichever turns have run before: the item of its own
turn, names and objects that no turn changes, and what free tasks of the same turn made. The free tasks of a turn are
its *strand*: a helper may run it for any item at any time.

What stands in an arm and is free of the arm's other tasks may run beside those as soon as home has come to the arm: see
``regions_stages``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from attrs import evolve, frozen

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger, is_wide
from inferflow.analysis.defuse import names_within
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import DefUse, Driver, DriverBlock, DriverEffects, StepEffects, StepKey
from inferflow.analysis.link import Linker
from inferflow.analysis.naming import name_drafts
from inferflow.analysis.partition import partition
from inferflow.analysis.regions_stages import stages_of
from inferflow.analysis.regions_turns import comprehension_regions
from inferflow.analysis.regions_weight import Weights
from inferflow.analysis.steps import NO_EFFECTS, Outline, describe_steps
from inferflow.analysis.texts import Texts
from inferflow.analysis.walk import bodies, every_op, every_statement
from inferflow.model import Arm, Block, Effect, Object, Reason, Region, Span, Task, TaskKind, Variable

__all__ = ["PLACED", "Regions"]

DEEPEST = 12
"""So many compound statements within each other are looked into."""

COMPOUND = (ir.If, ir.For, ir.While, ir.With, ir.Try, ir.Match)
PLACED = "nothing else in this arm could run at the same time"


@frozen
class _Body:
    """A statement list cut into tasks."""

    driver: Driver
    names: DefUse
    outline: Outline
    drafts: tuple[Draft, ...]
    tasks: tuple[Task, ...]


class Regions:
    """Finds the regions of the driver's opaque tasks."""

    def __init__(self, driver: Driver, names: DefUse, effects: DriverEffects) -> None:
        self.driver = driver
        self.names = names
        self.effects = effects
        self.texts = Texts(driver.project.sources)
        self.weights = Weights(driver)

    def within(self, task: Task, draft: Draft) -> Task:
        """The task with what is inside it, if it is a compound statement or holds comprehensions of calls."""
        block = self.driver.blocks[draft.block]
        if draft.kind != "opaque":
            return self._group(task, draft, draft.block, 0)
        return self._task(task, draft.first.statement, block, draft.block, 0)

    def _group(self, task: Task, draft: Draft, number: int, depth: int) -> Task:
        """The task with the body of the function that it calls, if that is opened."""
        if draft.kind != "call" or draft.main is None or len(draft.main.callees) != 1 or depth >= DEEPEST:
            return task
        (callee,) = draft.main.callees
        if callee not in self.effects.opened:
            return task
        module, scope = self.effects.opened[callee]
        code = self.driver.project.modules[module].scopes[scope]
        body = tuple(s for s in code.body if not _is_docstring(s))
        if any(id(s) not in self.effects.inside for s in body):
            return task
        block = DriverBlock(Block("function", code.name, "<driver>", code.span), module, scope, code.body)
        arm = self._arm("body", code.body[0], body, block, number, depth)
        region = Region("group", f"{code.name}()", code.span, (arm,), function=callee)
        return evolve(task, kind="group" if draft.expression is None else task.kind, regions=(region,))

    def _task(self, task: Task, statement: ir.Statement, block: DriverBlock, number: int, depth: int) -> Task:
        regions: tuple[Region, ...]
        if isinstance(statement, COMPOUND):
            found = self._region(statement, block, number, depth)
            regions = () if found is None else (found,)
        else:
            found_in = comprehension_regions(
                self.driver, block, number, statement, self.effects, self.texts, self.weights
            )
            regions = tuple(found_in)
        if not regions:
            return task
        kind: TaskKind = regions[0].kind
        home = task.home
        if not home and kind == "map" and any(region.heavy for region in regions):
            # Run ahead as a whole it would be one helper's work: at home its items are spread over all.
            home = (Reason("its items are run ahead one by one", statement.span),)
        return evolve(task, kind=kind, regions=regions, home=home)

    def _region(self, statement: ir.Statement, block: DriverBlock, number: int, depth: int) -> Region | None:
        if depth >= DEEPEST or not all(id(s) in self.effects.inside for s in every_statement(_first_bodies(statement))):
            return None
        match statement:
            case ir.For(is_async=False):
                return self._loop(statement, block, number, depth)
            case ir.While():
                return self._loop(statement, block, number, depth)
            case ir.If():
                return self._plain("branch", statement, self._branch_arms(statement), block, number, depth)
            case ir.Match():
                arms = [("case " + self._head(case.span, case.body), case.body) for case in statement.cases]
                return self._plain("branch", statement, arms, block, number, depth)
            case ir.With(is_async=False):
                arms = [(self._head(statement.span, statement.body), statement.body)]
                return self._plain("with", statement, arms, block, number, depth)
            case ir.Try():
                arms = [("try", statement.body)]
                arms += [(self._head(h.span, h.body), h.body) for h in statement.handlers]
                arms += [("else", statement.orelse), ("finally", statement.final)]
                return self._plain("try", statement, arms, block, number, depth)
            case _:
                return None

    # -- regions that are no loops -------------------------------------------------------------------

    def _branch_arms(self, statement: ir.If) -> list[tuple[str, tuple[ir.Statement, ...]]]:
        arms = [(self._head(statement.span, statement.body), statement.body)]
        rest = statement.orelse
        while len(rest) == 1 and isinstance(rest[0], ir.If) and self.texts.cut(rest[0].span).startswith("elif"):
            arms.append((self._head(rest[0].span, rest[0].body), rest[0].body))
            rest = rest[0].orelse
        return [*arms, ("else", rest)]

    def _plain(
        self,
        kind: str,
        statement: ir.Statement,
        arms: Sequence[tuple[str, tuple[ir.Statement, ...]]],
        block: DriverBlock,
        number: int,
        depth: int,
    ) -> Region:
        made = []
        for name, body in arms:
            if not body and name in ("else", "finally"):
                continue
            made.append(self._arm(name, statement, body, block, number, depth))
        assert kind in ("branch", "with", "try")
        return Region(kind, made[0].name if made else kind, statement.span, tuple(made))  # type: ignore[arg-type]

    def _arm(
        self,
        name: str,
        statement: ir.Statement,
        body: tuple[ir.Statement, ...],
        block: DriverBlock,
        number: int,
        depth: int,
    ) -> Arm:
        """An arm whose tasks run in its place, when its turn has come: beside each other where they can."""
        tasks = self._cut(body, block, number, depth).tasks
        arm = self._staged(Arm(name, _span_of(statement, body), tasks), ())
        beside = arm.beside
        return evolve(arm, tasks=tuple(t if i in beside else _placed(t) for i, t in enumerate(tasks)))

    def _staged(self, arm: Arm, elsewhere: Collection[int]) -> Arm:
        """The arm, with the stages that its tasks make by themselves."""
        stages = stages_of(arm, elsewhere, self.weights.is_heavy, self.weights.is_work)
        return evolve(arm, stages=stages) if stages else arm

    def _head(self, span: Span, body: Sequence[ir.Statement]) -> str:
        """The text of a header: ``for x in xs``."""
        first = body[0].span if body else span
        if (first.line, first.column) <= (span.line, span.column):
            return " ".join(self.texts.cut(span).split("\n")[0].split())
        text = self.texts.cut(Span(span.path, span.line, span.column, first.line, first.column))
        lines = [line.partition("#")[0] for line in text.split("\n")] if "#" in text else text.split("\n")
        return " ".join(" ".join(lines).split()).rstrip(": ")

    # -- bodies ----------------------------------------------------------------------------------------

    def _cut(
        self,
        body: tuple[ir.Statement, ...],
        block: DriverBlock,
        number: int,
        depth: int,
        carried: frozenset[Variable] = frozenset(),
    ) -> _Body:
        """A statement list, cut into tasks as a block of the driver is."""
        statements = tuple(s for s in body if not _is_unbinding(s))
        inner = DriverBlock(block.block, block.module, block.scope, statements)
        steps: list[StepKey] = [(0, statement.index) for statement in statements]
        driver = evolve(self.driver, blocks=(inner,), steps=tuple(steps), prefix=0, call=None, diagnostics=())
        names = names_within(driver)
        found = {key: self.effects.inside.get(id(s), NO_EFFECTS) for key, s in zip(steps, statements, strict=True)}
        outline = describe_steps(driver, names, DriverEffects(found))
        drafts = partition(driver, outline, carried)
        linker = Linker(driver, names, outline, drafts, name_drafts(drafts))
        for index in range(len(drafts)):
            linker.build(index)
        tasks = []
        for task, draft in zip(linker.finished(), drafts, strict=True):
            task = evolve(task, anchor=evolve(task.anchor, block=number), guess=None)
            if draft.kind == "opaque":
                task = self._task(task, draft.first.statement, block, number, depth + 1)
            else:
                task = self._group(task, draft, number, depth + 1)
            tasks.append(task)
        return _Body(driver, names, outline, drafts, tuple(tasks))

    # -- loops -----------------------------------------------------------------------------------------

    def _loop(self, statement: ir.For | ir.While, block: DriverBlock, number: int, depth: int) -> Region:
        turns = statement.body
        items, bound = self._bound(statement, block)
        body = self._cut(turns, block, number, depth, bound - items)
        written = self._written(statement, body)
        items -= written.names
        bound |= written.names
        judge = _Judge(block, items, bound, written, body, self.names.captured | body.names.captured)
        tasks = judge.tasks()
        if isinstance(statement, ir.While):
            reason = Reason("whether there is another turn is known only then", statement.span)
            tasks = [task if task.home else evolve(task, home=(reason,)) for task in tasks]
        arms = [Arm("turn", _span_of(statement, turns), tuple(tasks))]
        if statement.orelse:
            arms.append(self._arm("else", statement, statement.orelse, block, number, depth))
        strand = [task for task in tasks if not task.home]
        working = [task for task in strand if self.weights.is_work(task)]
        if not working:  # nothing that is worth the way to another process
            light = Reason("there is no call in it that could run ahead", statement.span)
            tasks = [task if task.home else evolve(task, home=(light,)) for task in tasks]
            arms[0] = evolve(arms[0], tasks=tuple(tasks))
        elsewhere = [index for index, task in enumerate(tasks) if not task.home]
        arms[0] = _turn(self._staged(evolve(arms[0], tasks=body.tasks), elsewhere), tasks)
        tied = [task for task in tasks if task.home and _is_work(task)]
        return Region(
            "map" if working and not tied else "loop",
            self._head(statement.span, turns),
            statement.span,
            tuple(arms),
            tuple(sorted(variable.name for variable in items)),
            tuple(sorted(judge.given)),
            tuple(dict.fromkeys(task.home[0] for task in tied))[:6],
            any(self.weights.is_heavy(task) for task in working),
        )

    def _bound(
        self, statement: ir.For | ir.While, block: DriverBlock
    ) -> tuple[frozenset[Variable], frozenset[Variable]]:
        """The names that only the loop's own target binds; and all that anything in the loop binds or deletes."""
        module = self.driver.project.modules[block.module]
        target: set[Variable] = set()
        if isinstance(statement, ir.For):
            for op in statement.target:
                if isinstance(op, ir.Store):
                    target.add(_variable(op.name, op.binding, block))
        other: set[Variable] = set()
        whole = list(every_op((statement,)))
        mine = {id(op) for op in statement.target} if isinstance(statement, ir.For) else set()
        for op in whole:
            match op:
                case ir.Store() | ir.Delete() if id(op) not in mine:
                    other.add(_variable(op.name, op.binding, block))
                case ir.Comprehension() | ir.MakeClass():
                    other |= _bound_outside(module, op.scope, block)
                case _:
                    pass
        return frozenset(target - other), frozenset(target | other)

    def _written(self, statement: ir.Statement, body: _Body) -> _Written:
        """What all turns of a loop do to places, and who of the body's tasks does what to which objects."""
        ledger = Ledger(frozenset(self.driver.project.modules))
        objects: dict[str, set[int]] = {}
        wide: Reason | None = None
        mine: dict[int, int] = {}
        for index, draft in enumerate(body.drafts):
            for step in draft.steps:
                mine.setdefault(id(step.statement), index)
        effects: list[Effect] = []
        for inner in (*every_statement(statement.body), *every_statement(getattr(statement, "orelse", ()))):  # type: ignore[union-attr]
            facts: StepEffects = self.effects.inside.get(id(inner), NO_EFFECTS)
            owner = mine.get(id(inner), -1)
            for fact in facts.ops:
                if bodies(inner) and owner < 0:
                    continue  # told by its own statements
                for effect in fact.effects:
                    if effect.mode == "write" and isinstance(effect.place, Object):
                        objects.setdefault(effect.place.label, set()).add(owner)
                    elif effect.mode == "write":
                        effects.append(effect)
                        if is_wide(effect.place):
                            wide = wide or effect.reason
        ledger.record(0, effects)
        names = frozenset(effect.place for effect in effects if isinstance(effect.place, Variable))
        return _Written(ledger, objects, wide, names)


@frozen
class _Written:
    """``objects``: for each label the tasks of the body that change it (-1: something else in the loop); ``names`` that
    functions called in the loop bind; ``wide``: what anything may depend on (unknown code, the environment)."""

    ledger: Ledger
    objects: dict[str, set[int]]
    wide: Reason | None
    names: frozenset[Variable]


class _Judge:
    """Tells which tasks of a loop's body are free of the other turns."""

    def __init__(
        self,
        block: DriverBlock,
        items: frozenset[Variable],
        bound: frozenset[Variable],
        written: _Written,
        body: _Body,
        captured: frozenset[Variable],
    ) -> None:
        self.block = block
        self.items = items
        self.bound = bound
        self.written = written
        self.body = body
        self.captured = captured
        self.given: set[Variable] = set()
        self.free: set[int] = set()

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
        yield from self._effects(index, draft, given)

    def _outside(self, variable: Variable, span: Span, given: set[Variable]) -> Iterator[Reason]:
        """A name that the turn does not bind before it is read."""
        if variable in self.items:
            if variable in self.captured:
                yield Reason(f"uses {variable.name!r}, which a nested function shares", span)
        elif variable in self.bound:
            yield Reason(f"{variable.name!r} goes from one turn to the next", span)
        else:
            given.add(variable)

    def _effects(self, index: int, draft: Draft, given: set[Variable]) -> Iterator[Reason]:
        born = self.body.outline.born
        reads: list[Effect] = []
        for _, facts in draft.facts():
            for effect in facts.effects:
                place = effect.place
                if isinstance(place, Variable):
                    local = place.scope == "<driver>"
                    made = any(out.variable == place for other in self.free for out in self.body.tasks[other].outputs)
                    if place in self.bound and (local or not (place in self.items or made)):
                        yield Reason(f"{place.name!r} goes from one turn to the next", effect.reason.span)
                    elif place not in self.bound and place.scope == self.block.block.scope:
                        given.add(place)
                if isinstance(place, Object):
                    others = self.written.objects.get(place.label, set()) - {index}
                    own = born.get(place.label, -1) >= 0
                    if (
                        others - self.free
                        or (others and not own)
                        or (effect.mode == "read" and index in self.written.objects.get(place.label, ()) and not own)
                    ):
                        yield Reason(f"uses an object that turns change: {effect.reason.text}", effect.reason.span)
                elif effect.mode == "read":
                    reads.append(effect)
        for dependence in self.written.ledger.dependences(reads):
            if dependence.flow and not isinstance(dependence.place, Variable):
                yield Reason(f"turns change what it reads: {dependence.why[-1].text}", dependence.why[-1].span)


def _turn(staged: Arm, tasks: Sequence[Task]) -> Arm:
    """The arm of a loop's turn: tasks as they are among all turns; what helpers repeat before them as within one."""
    beside = staged.beside
    within = [
        evolve(task, preamble=staged.tasks[index].preamble) if index in beside else task
        for index, task in enumerate(tasks)
    ]
    return evolve(staged, tasks=tuple(within))


def _placed(task: Task) -> Task:
    return task if task.home else evolve(task, home=(Reason(PLACED, task.span),), preamble=())


def _is_work(task: Task) -> bool:
    """Whether a task is more than bookkeeping between turns."""
    return (
        task.kind in ("call", "group")
        or bool(task.callees)
        or any(_is_work(t) for r in task.regions for a in r.arms for t in a.tasks)
    )


def _is_docstring(statement: ir.Statement) -> bool:
    return (
        isinstance(statement, ir.Plain)
        and statement.kind == "expression"
        and len(statement.ops) == 1
        and isinstance(statement.ops[0], ir.Const)
    )


def _is_unbinding(statement: ir.Statement) -> bool:
    """The implicit ``del`` at the end of a handler, which is no statement of the source."""
    return (
        isinstance(statement, ir.Plain)
        and statement.kind == "delete"
        and len(statement.ops) == 1
        and isinstance(statement.ops[0], ir.Delete)
        and statement.ops[0].span == statement.span
    )


def _span_of(statement: ir.Statement, body: Sequence[ir.Statement]) -> Span:
    real = [s.span for s in body if not _is_unbinding(s)]
    if not real:
        return statement.span
    return Span(real[0].path, real[0].line, real[0].column, real[-1].end_line, real[-1].end_column)


def _first_bodies(statement: ir.Statement) -> Iterable[ir.Statement]:
    return [inner for body in bodies(statement) for inner in body]


def _variable(name: str, binding: str, block: DriverBlock) -> Variable:
    return Variable(block.module if binding == "global" else block.block.scope, name)


def _bound_outside(module: ir.Module, scope: int, block: DriverBlock) -> set[Variable]:
    """What the walruses of a comprehension, or the body of a class, bind outside of it."""
    found: set[Variable] = set()
    for op in every_op(module.scopes[scope].body):
        match op:
            case ir.Store(binding="free" | "global") | ir.Delete(binding="free" | "global"):
                found.add(_variable(op.name, op.binding, block))
            case ir.Comprehension() | ir.MakeClass():
                found |= _bound_outside(module, op.scope, block)
            case _:
                pass
    return found
