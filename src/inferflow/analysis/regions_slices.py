"""What of a loop's turn may run ahead although it stands deeper: in a branch, a ``try``, a ``with`` or another loop.

    for path in paths:                   loop, items path
        if path.endswith(".csv"):        a helper looks at this too: it does nothing but look at the item
            table = load(path)           ahead
            for row in table:            and goes through this: what it goes through is the turn's own
                out.append(check(row))   check: ahead, for each row of each path

A turn's *slice* is what a helper runs of it: the strand, and inside of compound statements the tasks that read only
items (of all loops around them), what no turn changes, and what the slice has made before. Of a loop or a branch the
*head* must be like that too, and show nothing of itself: it is run by the helper and by home, which finds results by
where they were made: the unit, and the indices of the loops inside of the turn. A ``try`` or a ``with`` is not
entered: what could be run under it, and fails, is home's.

The marks are ``Arm.ahead`` and ``Region.through``: for each task, and each head, how many of the loops around it (the
innermost first) have it in their slices. What an outer loop has, inner ones have too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from inferflow.analysis import ir
from inferflow.analysis.facts import DriverBlock, DriverEffects
from inferflow.analysis.steps import NO_EFFECTS, op_reasons
from inferflow.analysis.walk import every_op
from inferflow.model import Arm, Object, Reason, Task, Variable, World
from inferflow.records import evolve, frozen

if TYPE_CHECKING:
    from inferflow.analysis.regions_judge import Body, Judge

__all__ = ["Slicer"]

MANY = 1000
"""More bindings than one."""

LOOKS = (
    ir.Load
    | ir.Const
    | ir.Operate
    | ir.Build
    | ir.Attr
    | ir.Item
    | ir.Call
    | ir.Choice
    | ir.Iterate
    | ir.Unpack
    | ir.Store
)
"""What may stand in the head of a statement that helpers run too."""


@frozen
class _Place:
    """Where in the slice: ``ready`` are names that it has made by now, ``items`` those of the targets of all loops
    around."""

    items: frozenset[Variable]
    ready: frozenset[Variable]
    loops: int


class Slicer:
    """Finds the slice of one loop. ``bodies`` are the statement lists in it as they were cut, by ``id``."""

    def __init__(
        self,
        block: DriverBlock,
        effects: DriverEffects,
        cuts: Mapping[int, Body],
        judge: Judge,
        arms_of: Callable[[ir.If], list[tuple[str, tuple[ir.Statement, ...]]]],
        is_work: Callable[[Task], bool],
    ) -> None:
        self.block = block
        self.effects = effects
        self.cuts = cuts
        self.judge = judge
        self.arms_of = arms_of
        self.is_work = is_work
        self.found = False
        self.ahead: list[Task] = []
        """What may run ahead."""
        self.kept: list[Reason] = []
        """Why other calls that stand deeper keep their order."""
        self.given: set[Variable] = set()
        self.bound: dict[Variable, int] = {}

    def tasks(self, loop: ir.For, body: Body, tasks: Sequence[Task]) -> list[Task]:
        """The tasks of the loop's body, with marks on what stands inside of them."""
        for op in every_op(loop.body):
            if isinstance(op, ir.Store | ir.Delete):
                variable = self._variable(op)
                self.bound[variable] = self.bound.get(variable, 0) + 1
        for variable in self.judge.elsewhere:  # bound by a walrus in a comprehension, or by functions
            self.bound[variable] = MANY
        place = _Place(self.judge.items, frozenset(), 1)
        return self._list(body, list(tasks), self.judge.free, place)

    def _list(self, body: Body, tasks: list[Task], free: set[int], place: _Place) -> list[Task]:
        ready = set(place.ready)
        for index, draft in enumerate(body.drafts):
            if index in free:
                ready.update(self._made(tasks[index]))
            elif draft.kind == "opaque" and tasks[index].regions:
                inner = evolve(place, ready=frozenset(ready))
                task, found = self._statement(draft.first.statement, tasks[index], inner)
                tasks[index] = task
                if not found and self.is_work(task):
                    self.kept.append(task.home[0])
        return tasks

    def _made(self, task: Task) -> Iterator[Variable]:
        """The names that a task surely binds, and nothing else in the loop."""
        for out in task.outputs:
            variable = out.variable
            sure = out.change == "bound" and out.definite and self.bound.get(variable) == 1
            if sure and variable not in self.judge.captured:
                yield variable

    def _statement(self, statement: ir.Statement, task: Task, place: _Place) -> tuple[Task, bool]:
        """The task of a compound statement with marks, and whether anything in it may run ahead."""
        region = task.regions[0]
        arms: list[tuple[ir.Statement, ...]] = []
        captured: list[frozenset[Variable]] = []
        match statement:
            case ir.If():
                arms = [body for _, body in self.arms_of(statement) if body]
                heads = _heads(statement, len(self.arms_of(statement)) - 1)
                through = all(self._is_seen(head, head.ops, place) for head in heads)
            case ir.For(is_async=False):
                targets = self._targets(statement)
                through = targets is not None and self._is_seen(statement, (*statement.ops, *statement.target), place)
                arms = [statement.body]
                place = evolve(place, items=place.items | (targets or frozenset()), loops=place.loops + 1)
            case ir.Match():
                captured = [self._captures(case) for case in statement.cases]
                looks = [op for case in statement.cases for op in (*case.ops, *case.guard)]
                known = evolve(place, items=place.items.union(*captured))
                through = self._are_own(statement, captured) and self._is_seen(
                    statement, (*statement.ops, *looks), known
                )
                arms = [case.body for case in statement.cases]
            case ir.Try():
                arms, through = [statement.body], True
            case ir.With(is_async=False):
                arms, through = [statement.body], True
            case _:
                through = False
        if not through:
            return task, False
        before, kept = self.found, len(self.kept)
        self.found = False
        made = list(region.arms)
        for number, body in enumerate(arms):
            inside = evolve(place, items=place.items | captured[number]) if captured else place
            made[number] = self._arm(made[number], body, inside)
        if not self.found:
            self.found = before
            del self.kept[kept:]
            return task, False
        loops = place.loops - isinstance(statement, ir.For)
        region = evolve(region, arms=tuple(made), through=max(region.through, loops))
        return evolve(task, regions=(region, *task.regions[1:])), True

    def _arm(self, arm: Arm, statements: tuple[ir.Statement, ...], place: _Place) -> Arm:
        body = self.cuts.get(id(statements))
        if body is None or len(body.tasks) != len(arm.tasks):
            return arm
        judge = self.judge.inside(body, place.items, place.ready)
        judged = judge.tasks()
        tasks = self._list(body, list(arm.tasks), judge.free, place)
        ahead = dict(arm.ahead)
        for index in judge.free:
            ahead[index] = max(ahead.get(index, 0), place.loops)
            tasks[index] = evolve(tasks[index], preamble=judged[index].preamble)
            self.ahead.append(tasks[index])
            self.found = True
        self.kept += [
            judged[index].home[0]
            for index, draft in enumerate(body.drafts)
            if index not in judge.free and draft.kind != "opaque" and self.is_work(judged[index])
        ]
        self.given |= judge.given
        return evolve(arm, tasks=tuple(tasks), ahead=tuple(sorted(ahead.items())))

    # -- heads -----------------------------------------------------------------------------------------

    def _targets(self, loop: ir.For) -> frozenset[Variable] | None:
        """The names that the target of an inner loop binds, if nothing else in the loop around does."""
        stores = [op for op in loop.target if isinstance(op, ir.Store)]
        found = frozenset(self._variable(op) for op in stores)
        if any(self.bound.get(variable) != 1 for variable in found) or found & self.judge.captured:
            return None
        return found

    def _captures(self, case: ir.Case) -> frozenset[Variable]:
        """The names that a case binds."""
        stores = [op for op in _every((*case.ops, *case.guard)) if isinstance(op, ir.Store)]
        return frozenset(self._variable(op) for op in stores)

    def _are_own(self, statement: ir.Match, captures: Sequence[frozenset[Variable]]) -> bool:
        """Whether nothing else in the loop binds what the cases of a ``match`` do."""
        counts: dict[Variable, int] = {}
        for case in statement.cases:
            for op in _every((*case.ops, *case.guard)):
                if isinstance(op, ir.Store):
                    counts[self._variable(op)] = counts.get(self._variable(op), 0) + 1
        names = frozenset().union(*captures)
        return not names & self.judge.captured and all(self.bound.get(name) == counts[name] for name in names)

    def _is_seen(self, statement: ir.Statement, head: tuple[ir.Op, ...], place: _Place) -> bool:
        """Whether a helper may run the head: it only looks at what is the same whenever it does."""
        facts = self.effects.inside.get(id(statement), NO_EFFECTS)
        if facts.head is None or op_reasons(facts.head, None, 0):
            return False
        judge = self.judge
        for effect in facts.head.effects:
            if isinstance(effect.place, World) or effect.place in judge.bound:
                return False
            if isinstance(effect.place, Object) and effect.place.label in judge.written.objects:
                return False
        reads = [
            effect for effect in facts.head.effects if effect.mode == "read" and not isinstance(effect.place, Object)
        ]
        if any(dependence.flow for dependence in judge.written.ledger.dependences(reads)):
            return False
        for op in _every(head):
            if not isinstance(op, LOOKS) or (isinstance(op, ir.Store) and op.how not in ("for", "match")):
                return False
            if isinstance(op, ir.Load):
                variable = self._variable(op)
                if variable in judge.captured or (
                    variable in judge.bound and variable not in place.items and variable not in place.ready
                ):
                    return False
                labels = facts.before.get(variable, frozenset()) | facts.after.get(variable, frozenset())
                if labels & judge.written.objects.keys():
                    return False
                if variable not in judge.bound and variable not in place.items:
                    self.given.add(variable)
        return True

    def _variable(self, op: ir.Load | ir.Store | ir.Delete) -> Variable:
        return Variable(self.block.module if op.binding == "global" else self.block.block.scope, op.name)


def _every(ops: tuple[ir.Op, ...]) -> Iterator[ir.Op]:
    for op in ops:
        yield op
        if isinstance(op, ir.Choice):
            for arm, _ in op.arms:
                yield from _every(arm)


def _heads(statement: ir.If, count: int) -> list[ir.If]:
    """The ``if`` and its ``elif``."""
    heads = [statement]
    while len(heads) < count:
        (inner,) = heads[-1].orelse
        assert isinstance(inner, ir.If)
        heads.append(inner)
    return heads
