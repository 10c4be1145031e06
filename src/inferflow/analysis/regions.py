"""Compound statements and comprehensions from inside: their arms, the tasks in them, and what of a loop's turns does
not depend on the other turns.

    for path in paths:                 region map, items path
        table = load(path)             load   free: the same whenever it runs
        total += score(table, k)       score  free, given k;  and a step that carries total, at home

Each statement list inside a region is cut into tasks like a block of the driver, with everything outside taken as
there before. A *turn* is one execution of a loop's body. Of a turn, a task is *free* if all that it does is proved
(as outside of loops) and, besides, what it reads is the same whichever turns have run before: the item of its own
turn, names and objects that no turn changes, and what free tasks of the same turn made. The free tasks of a turn are
its *strand*: a helper may run it for any item at any time. What stands deeper in a turn may too: ``regions_slices``.

What stands in an arm and is free of the arm's other tasks may run beside those as soon as home has come to the arm: see
``regions_stages``.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence

from inferflow.analysis import ir
from inferflow.analysis.defuse import names_within
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import DefUse, Driver, DriverBlock, DriverEffects, StepKey
from inferflow.analysis.link import Linker
from inferflow.analysis.link_state import Links
from inferflow.analysis.naming import name_drafts
from inferflow.analysis.partition import partition
from inferflow.analysis.regions_choices import Where, choices_in, short_names
from inferflow.analysis.regions_coroutines import Siblings
from inferflow.analysis.regions_judge import Body, Changed, Judge, changed_anywhere, written_in
from inferflow.analysis.regions_slices import Slicer
from inferflow.analysis.regions_stages import stages_of
from inferflow.analysis.regions_turns import comprehension_regions, map_regions
from inferflow.analysis.regions_weight import Weights
from inferflow.analysis.regions_whole import as_one_piece
from inferflow.analysis.steps import COMPOUND, NO_EFFECTS, Step, describe_steps
from inferflow.analysis.texts import Texts
from inferflow.analysis.walk import bodies, every_op, every_statement, is_unbinding, may_await
from inferflow.model import Arm, Block, Reason, Region, Span, Stage, Task, TaskKind, Variable
from inferflow.model.graph import ONE_BY_ONE
from inferflow.records import evolve

__all__ = ["PLACED", "Regions"]

DEEPEST = 12
"""So many compound statements within each other are looked into."""

PLACED = "nothing else in this arm could run at the same time"


class Regions:
    """Finds the regions of the driver's opaque tasks."""

    def __init__(self, driver: Driver, names: DefUse, effects: DriverEffects) -> None:
        self.driver = driver
        self.names = names
        self.effects = effects
        self.texts = Texts(driver.project.sources)
        self.weights = Weights(driver)
        self.siblings = Siblings(driver, effects)
        self.cuts: dict[int, Body] = {}
        self.loops = 0
        self.depth = 0  # of functions that are opened
        self.changed: Changed | None = None
        self.steps: dict[StepKey, Region | None] = {}
        """What was found of compound statements that are steps of the driver."""

    def of_step(self, step: Step, block: DriverBlock, number: int) -> Region | None:
        """The region that a compound statement is, if it is looked into."""
        if step.key not in self.steps:
            self.steps[step.key] = self._region(step.statement, block, number, 0)
        return self.steps[step.key]

    def within(self, task: Task, draft: Draft, drafts: Sequence[Draft]) -> Task:
        """The task with what is inside it, if it is a compound statement or holds comprehensions or choices of calls.
        ``drafts`` are all of them."""
        block = self.driver.blocks[draft.block]
        if draft.kind != "opaque":
            task = self._group(task, draft, draft.block, 0)
        else:
            task = self._task(task, draft.first, block, draft.block, 0)
        return self._chosen(task, draft, drafts, draft.block)

    def _chosen(self, task: Task, draft: Draft, drafts: Sequence[Draft], number: int) -> Task:
        """The task with its conditional expressions, ``and`` and ``or``."""
        apart = frozenset(span for index in draft.inner if (span := drafts[index].expression) is not None)
        found: list[Region] = []
        spans = [step.statement.span for step in draft.steps] if draft.expression is None else [draft.expression]
        for step, span in zip(draft.steps, spans, strict=False):
            callees: Sequence[str] = [callee for fact in step.effects.ops for callee in fact.callees]
            heads = isinstance(step.statement, COMPOUND)
            if heads:
                span, callees = self._head_of(step.statement)
            if callees:
                where = Where(span, number, short_names(callees), apart, PLACED)
                found += choices_in(self.texts.cut(span), where, heads)
        if not found:
            return task
        kind = "branch" if task.kind == "opaque" and not task.regions else task.kind
        return evolve(task, kind=kind, regions=(*task.regions, *found))

    def _head_of(self, statement: ir.Statement) -> tuple[Span, Sequence[str]]:
        """The span of the head of a compound statement, and what it calls."""
        facts = self.effects.inside.get(id(statement))
        head = self.effects.heads.get(id(statement)) if facts is None else facts.head
        body = next(iter(bodies(statement)), ())
        span = statement.span
        if head is None or not body or not isinstance(statement, ir.If | ir.While | ir.For):
            return span, ()
        return Span(span.path, span.line, span.column, body[0].span.line, body[0].span.column), head.callees

    def _group(self, task: Task, draft: Draft, number: int, depth: int) -> Task:
        """The task with the body of the function that it calls, if that is opened."""
        if draft.kind != "call" or draft.main is None or len(draft.main.callees) != 1:
            return task
        region = self._opened(draft.main.callees[0], number, depth)
        if region is None:
            return task
        return evolve(task, kind="group" if draft.expression is None else task.kind, regions=(region,))

    def _opened(self, callee: str, number: int, depth: int) -> Region | None:
        """The body of a function, if it is opened."""
        if callee not in self.effects.opened or depth >= DEEPEST:
            return None
        module, scope = self.effects.opened[callee]
        code = self.driver.project.modules[module].scopes[scope]
        body = tuple(s for s in code.body if not _is_docstring(s))
        if not body or any(id(s) not in self.effects.inside for s in body):
            return None
        block = DriverBlock(Block("function", code.name, "<driver>", code.span), module, scope, code.body)
        around, self.loops = self.loops, 0
        self.depth += 1
        cut = self._cut(body, block, number, depth)
        arm = self._placed("body", code.body[0], body, block, cut)
        self.depth -= 1
        self.loops = around
        heavy = True
        strand = self.siblings.strand(code, block, cut) if code.is_async else ()
        apart = tuple(index for index, task in enumerate(strand) if not task.home)
        if any(self.weights.is_work(strand[index]) for index in apart):
            tasks = tuple(strand[i] if i in apart else task for i, task in enumerate(arm.tasks))
            heavy = any(self.weights.is_heavy(strand[i]) for i in apart)
            arm = evolve(arm, tasks=tasks, apart=apart)
        return Region("group", f"{code.name}()", code.span, (arm,), function=callee, heavy=heavy)

    def _made(self, step: Step, number: int, depth: int) -> Iterable[Region]:
        """The coroutines that are made in comprehensions of a statement."""
        if depth >= DEEPEST:
            return
        modules = self.driver.project.modules
        for fact in step.effects.ops:
            if 0 <= fact.op < len(step.ops) and isinstance(step.ops[fact.op], ir.Comprehension):
                for callee in fact.callees:
                    module, scope = self.effects.opened.get(callee, ("", 0))
                    if module and modules[module].scopes[scope].is_async:
                        region = self._opened(callee, number, depth + 1)
                        if region is not None:
                            yield region

    def _task(self, task: Task, step: Step, block: DriverBlock, number: int, depth: int) -> Task:
        statement = step.statement
        regions: tuple[Region, ...]
        if isinstance(statement, COMPOUND):
            known = depth == 0
            found = self.of_step(step, block, number) if known else self._region(statement, block, number, depth)
            regions = () if found is None else (found,)
        else:
            found_in = comprehension_regions(self.driver, block, number, step, self.effects, self.texts, self.weights)
            maps = map_regions(self.driver, number, step, self.texts, self.weights)
            regions = (*found_in, *maps, *self._made(step, number, depth))
        if not regions:
            return task
        kind: TaskKind = regions[0].kind
        home = task.home
        if not self.loops and not task.guess and kind == "map" and any(region.heavy for region in regions):
            one_by_one = Reason(ONE_BY_ONE, statement.span)
            if home:
                home = (one_by_one, *home)
            elif not isinstance(statement, COMPOUND):  # (of those, ``wholes`` has decided)
                # Run ahead as a whole it would be one helper's work: at home its items are spread over all.
                home = (one_by_one,)
        return evolve(task, kind=kind, regions=regions, home=home)

    def _region(self, statement: ir.Statement, block: DriverBlock, number: int, depth: int) -> Region | None:
        module = self.driver.project.modules[block.module]
        if isinstance(statement, ir.For | ir.While) and may_await(module, statement):
            return None  # between its turns, other coroutines may have theirs
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
            case ir.With():
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
        return self._placed(name, statement, body, block, self._cut(body, block, number, depth))

    def _placed(
        self, name: str, statement: ir.Statement, body: tuple[ir.Statement, ...], block: DriverBlock, cut: Body
    ) -> Arm:
        tasks = cut.tasks
        arm = self._staged(Arm(name, _span_of(statement, body), tasks), (), self._awaits(body, block))
        beside = arm.beside
        return evolve(arm, tasks=tuple(t if i in beside else _placed(t) for i, t in enumerate(tasks)))

    def _staged(self, arm: Arm, elsewhere: Collection[int], awaits: Sequence[int] = ()) -> Arm:
        """The arm, with the stages that its tasks make by themselves. Where statements await, other coroutines may have
        their turn: so what stands before and after runs beside each other neither with that nor with the other."""
        stages: list[Stage] = []
        start = 0
        for end in (*awaits, sys.maxsize):
            apart = [i for i, t in enumerate(arm.tasks) if not start <= t.anchor.first <= t.anchor.last < end]
            kept = {*elsewhere, *apart}
            stages += stages_of(arm, kept, self.weights.is_heavy, self.weights.is_work, start)
            start = end + 1
        return evolve(arm, stages=tuple(stages)) if stages else arm

    def _awaits(self, body: Sequence[ir.Statement], block: DriverBlock) -> list[int]:
        """The numbers of the statements in which something is awaited."""
        module = self.driver.project.modules[block.module]
        if not module.scopes[block.scope].is_async:
            return []
        return [s.index for s in body if not is_unbinding(s) and may_await(module, s)]

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
    ) -> Body:
        """A statement list, cut into tasks as a block of the driver is."""
        statements = tuple(s for s in body if not is_unbinding(s))
        inner = DriverBlock(block.block, block.module, block.scope, statements)
        steps: list[StepKey] = [(0, statement.index) for statement in statements]
        driver = evolve(self.driver, blocks=(inner,), steps=tuple(steps), prefix=0, call=None, diagnostics=())
        names = names_within(driver)
        found = {key: self.effects.inside.get(id(s), NO_EFFECTS) for key, s in zip(steps, statements, strict=True)}
        outline = describe_steps(driver, names, DriverEffects(found))
        drafts = partition(driver, outline, carried)
        linker = Linker(Links(driver, names, outline, drafts, name_drafts(drafts)))
        for index in range(len(drafts)):
            linker.build(index)
        tasks = []
        bound = _bound_by_calls(drafts)
        for task, draft in zip(linker.finished(), drafts, strict=True):
            shared = tuple(_uses_of(draft, bound)) if bound else ()
            task = evolve(task, anchor=evolve(task.anchor, block=number), guess=None, home=(*task.home, *shared))
            if draft.kind == "opaque":
                task = self._task(task, draft.first, block, number, depth + 1)
            else:
                task = self._group(task, draft, number, depth + 1)
            tasks.append(self._chosen(task, draft, drafts, number))
        made = self.cuts[id(body)] = Body(driver, names, outline, drafts, tuple(tasks))
        return made

    # -- loops -----------------------------------------------------------------------------------------

    def _loop(self, statement: ir.For | ir.While, block: DriverBlock, number: int, depth: int) -> Region:
        turns = statement.body
        target, items, bound = self._bound(statement, block)
        self.loops += 1
        body = self._cut(turns, block, number, depth, bound - items)
        self.loops -= 1
        written = written_in(statement, self.driver, self.effects)
        items -= written.names
        bound |= written.names
        captured = self.names.captured | body.names.captured
        module = self.driver.project.modules[block.module]
        inside = (op for op in every_op((statement,)) if isinstance(op, ir.Comprehension | ir.MakeClass))
        rebound = written.names.union(*(_bound_outside(module, op.scope, block) for op in inside))
        piece = as_one_piece(body, block, self.effects, self.cuts)
        target -= written.names | rebound
        again = self._changed() if self.loops or self.depth else None
        judge = Judge(
            block, items, bound, written, piece or body, captured, elsewhere=rebound, target=target, again=again
        )
        judged = judge.tasks()
        tasks = [
            evolve(task, home=other.home, preamble=other.preamble)
            for task, other in zip(body.tasks, judged, strict=True)
        ]
        slicer = Slicer(block, self.effects, self.cuts, judge, self._branch_arms, _is_work)
        if isinstance(statement, ir.For):
            tasks = slicer.tasks(statement, body, tasks)
        else:
            reason = Reason("whether there is another turn is known only then", statement.span)
            tasks = [task if task.home else evolve(task, home=(reason,)) for task in tasks]
        arms = [Arm("turn", _span_of(statement, turns), tuple(tasks))]
        if statement.orelse:
            arms.append(self._arm("else", statement, statement.orelse, block, number, depth))
        strand = [task for task in tasks if not task.home]
        working = [task for task in (*strand, *slicer.ahead) if self.weights.is_work(task)]
        if not working:  # nothing that is worth the way to another process
            light = Reason("there is no call in it that could run ahead", statement.span)
            tasks = [task if task.home else evolve(task, home=(light,)) for task in tasks]
            arms[0] = evolve(arms[0], tasks=tuple(tasks))
        elsewhere = [index for index, task in enumerate(tasks) if not task.home]
        arms[0] = _turn(self._staged(evolve(arms[0], tasks=body.tasks), elsewhere), tasks)
        sliced = isinstance(statement, ir.For)
        tied = [task.home[0] for task in tasks if task.home and _is_work(task) and not (sliced and _is_compound(task))]
        tied += slicer.kept
        return Region(
            "map" if working and not tied else "loop",
            self._head(statement.span, turns),
            statement.span,
            tuple(arms),
            tuple(sorted(variable.name for variable in items)),
            tuple(sorted(judge.given | slicer.given)),
            tuple(dict.fromkeys(tied))[:6],
            any(self.weights.is_heavy(task) for task in working),
        )

    def _changed(self) -> Changed:
        if self.changed is None:
            self.changed = changed_anywhere(self.driver, self.names, self.effects)
        return self.changed

    def _bound(
        self, statement: ir.For | ir.While, block: DriverBlock
    ) -> tuple[frozenset[Variable], frozenset[Variable], frozenset[Variable]]:
        """The names that the loop's own target binds; those that nothing else in it does; and all that anything in the
        loop binds or deletes."""
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
        return frozenset(target), frozenset(target - other), frozenset(target | other)


def _bound_by_calls(drafts: Sequence[Draft]) -> frozenset[Variable]:
    """The names that functions bind which are called in a statement list."""
    effects = (effect for draft in drafts for _, facts in draft.facts() for effect in facts.effects)
    return frozenset(e.place for e in effects if e.mode == "write" and isinstance(e.place, Variable))


def _uses_of(draft: Draft, bound: Collection[Variable]) -> Iterable[Reason]:
    """Where a task reads names that functions bind: what it reads there depends on when it does."""
    for step in draft.steps:
        for use in step.names.uses:
            if use.variable in bound and draft.has(step, use.op):
                yield Reason(f"uses {use.variable.name!r}, which a function binds that is called here", use.span)


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


def _is_compound(task: Task) -> bool:
    """Whether a task is a compound statement that was looked into."""
    return any(not region.comprehension and region.kind != "group" for region in task.regions)


def _is_docstring(statement: ir.Statement) -> bool:
    return (
        isinstance(statement, ir.Plain)
        and statement.kind == "expression"
        and len(statement.ops) == 1
        and isinstance(statement.ops[0], ir.Const)
    )


def _span_of(statement: ir.Statement, body: Sequence[ir.Statement]) -> Span:
    real = [s.span for s in body if not is_unbinding(s)]
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
