"""Comprehensions as maps: which calls in their element could be made for each item by itself.

    scores = [evaluate(model, fold) for fold in folds]      map over folds: evaluate, given model
    table = {k: load(p) for k, p in paths.items()}          map: load
    rows = list(map(parse, lines))                          map: parse
    grid = [f(x, y) for x in xs if ok(x) for y in ys]       map over xs, in it a map over ys: f; and ok
    kept = [f(x) if big(x) else g(x) for x in xs]           map: the conditional expression, as one piece
    total = sum(f(x) for x in xs)                           map: f
    lazy = (f(x) for x in xs)                               none: it runs when it is asked, bit by bit

Of several loops each is a region, inner ones within outer ones: a helper that has an item of the outermost runs what
is inside for it, if it can get there (``Region.through``, as in ``regions_slices``). Conditions that only look, or call
what may run ahead, are decided by the helper too (``Region.tests``), and what such conditions bind by a walrus is told
with what they give.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger, is_wide
from inferflow.analysis.facts import Driver, DriverBlock, DriverEffects, OpFacts, StepEffects
from inferflow.analysis.maps import eager_generators, eager_maps
from inferflow.analysis.naming import called_name
from inferflow.analysis.regions_weight import Weights
from inferflow.analysis.steps import NO_EFFECTS, Step, closure, op_reasons, separable
from inferflow.analysis.texts import Texts
from inferflow.analysis.walk import every_op, flatten, in_order, results
from inferflow.model import Anchor, Arm, Effect, Input, Object, Output, Reason, Region, Span, Task, Variable, World
from inferflow.records import evolve, frozen

__all__ = ["comprehension_regions", "map_regions"]


def comprehension_regions(
    driver: Driver,
    block: DriverBlock,
    number: int,
    step: Step,
    effects: DriverEffects,
    texts: Texts,
    weights: Weights,
) -> Iterator[Region]:
    """A region for each comprehension of a simple statement that calls functions of the project, and for each generator
    expression that is used up where it stands. ``number`` is that of the block."""
    module = driver.project.modules[block.module]
    facts = step.effects.ops
    eager = {found.made: found.consumer for found in eager_generators(step.ops, facts)}
    for position, op in enumerate(step.ops):
        if not isinstance(op, ir.Comprehension) or (op.kind == "generator" and position not in eager):
            continue
        nest = _nest(module.scopes[op.scope])
        if nest is None or id(nest.element) not in effects.inside:
            continue
        between = [fact for fact in facts if position < fact.op <= eager.get(position, -1)]
        region = _Cutter(driver, block, number, op, nest, effects, texts, weights, between).region()
        if region is not None:
            yield region


def map_regions(driver: Driver, number: int, step: Step, texts: Texts, weights: Weights) -> Iterator[Region]:
    """A region for each ``map`` of a statement that calls functions of the project and is used up at once. ``number``
    is that of the block."""
    facts = step.effects.ops
    for found in eager_maps(step.ops, facts):
        mine = next(fact for fact in facts if fact.op == found.made)
        written = _Written(driver, [fact for fact in facts if found.made <= fact.op <= found.consumer])
        reasons = tuple(dict.fromkeys([*op_reasons(mine, None, 0), *written.reasons([mine])]))
        name = mine.callees[-1].rpartition(":")[2].rpartition(".")[2].strip("<>")
        value = Variable("<value>", name)
        span = step.ops[found.made].span
        task = Task(
            key=(name, 1),
            kind="call",
            span=span,
            source=texts.cut(span),
            anchor=Anchor(number, 0, 0, span),
            callees=mine.callees,
            outputs=(Output(value),),
            effects=mine.effects,
            value=value,
            home=reasons,
        )
        head = " ".join(texts.cut(span).split())
        yield Region(
            "loop" if reasons else "map",
            head if len(head) <= 60 else f"{head[:59]}…",
            span,
            (Arm("turn", span, (task,)),),
            order=reasons[:1],
            heavy=weights.is_heavy(task),
            comprehension=True,
            mapped=True,
        )


@frozen
class _Level:
    """One ``for`` of a comprehension, with its conditions."""

    loop: ir.For
    tests: tuple[ir.If, ...]


@frozen
class _Nest:
    """The loops of a comprehension, the outermost first, and the statement that emits."""

    levels: tuple[_Level, ...]
    element: ir.Plain


def _nest(scope: ir.Scope) -> _Nest | None:
    levels: list[_Level] = []
    loop: ir.For | None = None
    tests: list[ir.If] = []
    body = scope.body
    while len(body) == 1:
        current = body[0]
        match current:
            case ir.For(is_async=False):
                if loop is not None:
                    levels.append(_Level(loop, tuple(tests)))
                loop, tests = current, []
                body = current.body
            case ir.If():
                tests.append(current)
                body = current.body
            case ir.Plain() if loop is not None:
                return _Nest((*levels, _Level(loop, tuple(tests))), current)
            case _:
                return None
    return None


def _targets(loop: ir.For) -> set[str]:
    return {op.name for op in loop.target if isinstance(op, ir.Store)}


class _Cutter:
    """Makes the regions of one comprehension. ``block_number`` is that of its block; ``between`` is what happens beside
    it while its items are gone through."""

    def __init__(
        self,
        driver: Driver,
        block: DriverBlock,
        block_number: int,
        op: ir.Comprehension,
        nest: _Nest,
        effects: DriverEffects,
        texts: Texts,
        weights: Weights,
        between: Iterable[OpFacts],
    ) -> None:
        self.block = block
        self.block_number = block_number
        self.op = op
        self.nest = nest
        self.effects = effects
        self.texts = texts
        self.weights = weights
        self.module = driver.project.modules[block.module]
        found = [*between, *effects.inside.get(id(nest.element), NO_EFFECTS).ops]
        for level in nest.levels:
            heads = (effects.inside.get(id(head), NO_EFFECTS).head for head in (level.loop, *level.tests))
            found += [head for head in heads if head is not None]
        self.written = _Written(driver, found)
        self.bound = _bound_by_walrus(self.module, op.scope, nest)
        self.walrus = self.bound is None or self._is_shared(self.bound, found)
        self.named = frozenset() if self.walrus or self.bound is None else self.bound
        """Names that a turn binds around the comprehension, and nobody but the comprehension reads meanwhile."""
        self.ready: set[str] = set()
        """Those of them that the conditions have bound which a helper decides itself."""
        self.rebound = _stored(flatten(nest.element))
        self.items = set().union(*(_targets(level.loop) for level in nest.levels))
        self.counts: dict[str, int] = {}

    def _is_shared(self, names: frozenset[str], facts: Iterable[OpFacts]) -> bool:
        """Whether functions could read or bind such a name."""
        if any(scope.kind != "comprehension" and not names.isdisjoint(scope.free) for scope in self.module.scopes):
            return True
        effects = (effect.place for fact in facts for effect in fact.effects)
        return any(isinstance(place, Variable) and place.name in names for place in effects)

    def region(self) -> Region | None:
        """The outermost of its loops that matters, with those in it; ``None`` if nothing in it calls the project."""
        found: Region | None = None
        given: set[Variable] = set()
        whole = not self.walrus  # helpers can get from here to the element
        for number in reversed(range(len(self.nest.levels))):
            level = self.nest.levels[number]
            tests, seen, reads = self._tests(level)
            tasks = [task for task in tests if task is not None]
            if number == len(self.nest.levels) - 1:
                span = self.op.span
                tasks += self._element(given)
            else:
                span = level.loop.span
                inner = self.nest.levels[number + 1].loop
                heads = self._seen(inner, (*inner.ops, *inner.target)) if whole and found is not None else None
                if heads is None or found is None:
                    whole, given = False, set()
                else:
                    found, given = _within(found), given | heads
                if found is not None and (found.through or tasks):
                    tasks.append(self._loop(found, inner))
            given |= reads
            if tasks:
                found = self._made(number, level, tasks, seen, given, span)
        return found

    def _made(
        self,
        number: int,
        level: _Level,
        tasks: Sequence[Task],
        seen: int,
        given: set[Variable],
        span: Span,
    ) -> Region:
        outer = {name for above in self.nest.levels[:number] for name in _targets(above.loop)}
        mine = {Variable("<turn>", name) for name in self.items - outer}
        tied = [task for task in tasks if task.home and not task.regions]
        inside = [region for task in tasks for region in task.regions]
        free = [task for task in tasks if not task.home]
        is_map = not tied and all(region.kind == "map" and region.through for region in inside)
        heavy = any(self.weights.is_heavy(task) for task in free) or any(r.heavy and r.through for r in inside)
        return Region(
            "map" if is_map else "loop",
            f"for {' '.join(self.texts.cut(level.loop.span).split())} in ...",
            span,
            (Arm("turn", self.nest.element.span, tuple(tasks)),),
            tuple(sorted(_targets(level.loop))),
            tuple(sorted(given - mine)),
            tuple(dict.fromkeys(task.home[0] for task in tied)),
            heavy,
            True,
            tests=seen,
        )

    def _loop(self, region: Region, loop: ir.For) -> Task:
        """The task that a loop within another one is."""
        home = (Reason("runs within the comprehension, in its place", loop.span),)
        anchor = Anchor(self.block_number, 0, 0, loop.span)
        key = self._key("for")
        return Task(key, region.kind, loop.span, region.name, anchor, home=home, regions=(region,))

    def _key(self, name: str) -> tuple[str, int]:
        self.counts[name] = self.counts.get(name, 0) + 1
        return name, self.counts[name]

    # -- conditions ------------------------------------------------------------------------------------

    def _tests(self, level: _Level) -> tuple[list[Task | None], int, set[Variable]]:
        """The tasks of a loop's conditions, those that call functions of the project; how many of the conditions, from
        the first on, a helper decides itself; and what these read of outside."""
        tasks: list[Task | None] = []
        given: set[Variable] = set()
        seen, blocked = 0, self.walrus
        for test in level.tests:
            reads = None if blocked else self._seen(test, test.ops)
            if reads is None:
                blocked = True
            else:
                seen += 1
                given |= reads
                self.ready |= _stored(test.ops) - self.rebound
            tasks.append(self._test(test, reads is not None))
        return tasks, seen, given

    def _test(self, test: ir.If, free: bool) -> Task | None:
        head = self.effects.inside.get(id(test), NO_EFFECTS).head
        if head is None or not head.callees:
            return None
        ops = [op for op in flatten(test) if not self._is_named(op)]
        reasons = [*op_reasons(head, None, 0), *self.written.reasons([head]), *_odd(ops)]
        if not free and not reasons:
            reasons.append(Reason("comes after a condition that keeps its order", test.span))
        name = head.callees[-1].rpartition(":")[2].rpartition(".")[2].strip("<>")
        binds = sorted(_stored(test.ops)) if free else ()
        return self._task(name, test.span, head.callees, head.effects, flatten(test), reasons, binds)

    def _is_named(self, op: ir.Op) -> bool:
        """Whether it binds one of the names that are the comprehension's own for as long as it runs."""
        return isinstance(op, ir.Store) and op.how == "walrus" and op.name in self.named

    def _seen(self, statement: ir.If | ir.For, ops: tuple[ir.Op, ...]) -> set[Variable] | None:
        """What the head of a loop or a condition reads of outside, if a helper may run it; else ``None``."""
        facts = self.effects.inside.get(id(statement), NO_EFFECTS)
        head = facts.head
        if head is None or op_reasons(head, None, 0) or list(self.written.reasons([head])):
            return None
        flat = in_order(ops)
        if any(isinstance(op, ir.Store) and op.how != "for" and not self._is_named(op) for op in flat) or list(
            _odd([op for op in flat if not isinstance(op, ir.Store)])
        ):
            return None
        if self._not_ready(flat, _stored(statement.ops)):
            return None
        is_unit = isinstance(statement, ir.If) and head.callees
        if not is_unit and any(isinstance(effect.place, World) for effect in head.effects):
            return None  # it is run by home too
        _, reads = self._names(flat)
        if reads & self.written.names:
            return None
        for variable in reads:
            labels = facts.before.get(variable, frozenset()) | facts.after.get(variable, frozenset())
            if labels & self.written.objects:
                return None
        return reads

    # -- the element -----------------------------------------------------------------------------------

    def _element(self, given: set[Variable]) -> list[Task]:
        element = self.nest.element
        facts = self.effects.inside[id(element)]
        ops = flatten(element)
        eager = {found.made for found in eager_generators(ops, facts.ops)}
        tasks: list[Task] = []
        for last, numbers in sorted(_pieces(element, ops, facts).items()):
            mine = [fact for fact in facts.ops if fact.op in numbers or fact.op < 0]
            main = next((fact for fact in mine if fact.op == last or (fact.op in numbers and fact.callees)), None)
            if main is None:
                continue
            part = tuple(ops[number] for number in sorted(numbers))
            reasons: list[Reason] = [reason for fact in mine for reason in op_reasons(fact, None, 0)]
            if self.walrus:
                reasons.append(Reason("the comprehension binds a name on its way", self.op.span))
            reasons += self.written.reasons(mine)
            reasons += _odd([op for number, op in zip(sorted(numbers), part, strict=True) if number not in eager])
            early = self._not_ready(part)
            if early:
                reasons.append(Reason(f"uses {early!r}, which the comprehension binds on its way", ops[last].span))
            reads = self._names(part)[1]
            bound = sorted(variable.name for variable in reads & self.written.names)
            if bound:
                reasons.append(Reason(f"uses {bound[0]!r}, which a function binds that is called here", ops[last].span))
            if not reasons:
                given |= reads
            callees = tuple(sorted({callee for fact in mine for callee in fact.callees}))
            effects = tuple(dict.fromkeys(effect for fact in mine for effect in fact.effects))
            tasks.append(self._task(called_name(main) or "call", ops[last].span, callees, effects, part, reasons))
        return tasks

    def _task(
        self,
        name: str,
        span: Span,
        callees: tuple[str, ...],
        effects: tuple[Effect, ...],
        ops: tuple[ir.Op, ...],
        reasons: Iterable[Reason],
        binds: Iterable[str] = (),
    ) -> Task:
        key = self._key(name)
        value = Variable("<value>", name if key[1] == 1 else f"{name}.{key[1]}")
        return Task(
            key=key,
            kind="call",
            span=span,
            source=self.texts.cut(span),
            anchor=Anchor(self.block_number, 0, 0, span),
            callees=callees,
            inputs=self._names(ops)[0],
            outputs=(Output(value), *(Output(Variable(self._scope_outside(), bound)) for bound in binds)),
            effects=effects,
            value=value,
            home=tuple(dict.fromkeys(reasons)),
        )

    def _scope_outside(self) -> str:
        """The scope of names that are bound around the comprehension."""
        in_function = self.block.block.kind == "function"
        return self.block.block.scope if in_function else self.block.module

    def _not_ready(self, ops: Iterable[ir.Op], mine: Collection[str] = ()) -> str:
        """A name that operations read before the turn has surely bound it where a helper does; ``mine`` are those that
        they bind themselves."""
        known = set(self.ready)
        for op in ops:
            if isinstance(op, ir.Store) and op.name in mine:
                known.add(op.name)
            for load, binding in self._loads([op]):
                if binding != "local" and load.name in self.named and load.name not in known:
                    return load.name
        return ""

    def _names(self, ops: tuple[ir.Op, ...]) -> tuple[tuple[Input, ...], set[Variable]]:
        """What operations read of the items, as inputs; and all that they read: of items, scope ``<turn>``."""
        inputs: dict[str, Input] = {}
        found: set[Variable] = set()
        for op, binding in self._loads(ops):
            if op.name in self.named and binding != "local":
                continue
            if binding == "local":
                found.add(Variable("<turn>", op.name))
                if op.name in self.items:
                    inputs.setdefault(op.name, Input(Variable("<turn>", op.name), -1, len(inputs), op.span))
            elif binding == "global":
                found.add(Variable(self.block.module, op.name))
            else:
                found.add(Variable(self.block.block.scope if binding == "free" else "<turn>", op.name))
        return tuple(inputs.values()), found

    def _loads(self, ops: Iterable[ir.Op]) -> Iterator[tuple[ir.Load, str]]:
        """Where names are read, with how this comprehension sees them; in comprehensions inside too."""
        for op in ops:
            if isinstance(op, ir.Load):
                yield op, op.binding
            elif isinstance(op, ir.Comprehension):
                for inner, binding in self._loads(every_op(self.module.scopes[op.scope].body)):
                    if binding != "local":
                        yield inner, "local" if binding == "free" and inner.name in self.items else binding


def _within(region: Region) -> Region:
    """A loop, and those in it, as helpers of one more loop around it get to them."""
    arm = region.arms[0]
    tasks = tuple(
        evolve(task, regions=tuple(_within(r) if r.through else r for r in task.regions)) if task.regions else task
        for task in arm.tasks
    )
    known = dict(arm.ahead)  # (the loop itself is one of those around its arm)
    ahead = tuple((i, known.get(i, 1) + 1) for i, task in enumerate(tasks) if not task.home)
    inner = any(part.through for task in tasks for part in task.regions)
    if not ahead and not inner:
        return region
    return evolve(region, arms=(evolve(arm, tasks=tasks, ahead=ahead),), through=region.through + 1)


def _pieces(element: ir.Plain, ops: tuple[ir.Op, ...], facts: StepEffects) -> dict[int, frozenset[int]]:
    """The expressions of an element that may be made elsewhere, by the number of their last operation: calls, and what
    decides about calls as a whole (conditional expressions, ``and``, ``or``) or makes several (comprehensions,
    f-strings, what uses up a generator expression), with the numbers of all their operations."""
    found = {last: frozenset(range(first, last + 1)) for last, first in separable(element, ops, facts).items()}
    makers = {temp: number for number, op in enumerate(ops) for temp in results(op)}
    for used in eager_generators(ops, facts.ops):
        if isinstance(ops[used.consumer], ir.Call | ir.Build):
            inside = frozenset(closure(ops, makers, used.consumer))
            if any(fact.callees and fact.op in inside for fact in facts.ops):
                found[used.consumer] = inside
    for number, op in enumerate(ops):
        if isinstance(op, ir.Build) and op.kind == "fstring":  # (where its parts stand is not always known)
            inside = frozenset(closure(ops, makers, number))
            if any(fact.callees and fact.op in inside for fact in facts.ops):
                found[number] = inside
        if isinstance(op, ir.Choice) or (isinstance(op, ir.Comprehension) and op.kind != "generator"):
            inside = frozenset(n for n, part in enumerate(ops) if _lies_in(part.span, op.span) and n <= number)
            if any(fact.callees and fact.op in inside for fact in facts.ops):
                found[number] = inside
    return {last: numbers for last, numbers in found.items() if not any(numbers < other for other in found.values())}


def _bound_by_walrus(module: ir.Module, scope: int, nest: _Nest) -> frozenset[str] | None:
    """The names that a comprehension binds around it; ``None`` if that cannot be followed: on some paths only, in a
    comprehension within it, or where several loops are."""
    sure: set[str] = set()
    for op in every_op(module.scopes[scope].body):
        if isinstance(op, ir.Comprehension) and _binds(module, op.scope):
            return None
        if isinstance(op, ir.Store) and op.how == "walrus":
            sure.add(op.name)
    if not sure:
        return frozenset()
    direct = _stored(nest.element.ops).union(*(_stored(test.ops) for level in nest.levels for test in level.tests))
    return frozenset(sure) if sure == direct and len(nest.levels) == 1 else None


def _stored(ops: Iterable[ir.Op]) -> set[str]:
    """The names that operations bind by a walrus, whatever happens."""
    return {op.name for op in ops if isinstance(op, ir.Store) and op.how == "walrus"}


def _binds(module: ir.Module, scope: int) -> bool:
    """Whether a comprehension, or one in it, binds names around it."""
    return any(
        (isinstance(op, ir.Store) and op.how == "walrus")
        or (isinstance(op, ir.Comprehension) and _binds(module, op.scope))
        for op in every_op(module.scopes[scope].body)
    )


def _lies_in(inner: Span, outer: Span) -> bool:
    return (outer.line, outer.column) <= (inner.line, inner.column) and (inner.end_line, inner.end_column) <= (
        outer.end_line,
        outer.end_column,
    )


def _odd(ops: Iterable[ir.Op]) -> Iterator[Reason]:
    """Operations that cannot be made elsewhere whatever they do."""
    for part in ops:
        match part:
            case ir.Await() | ir.Yield() | ir.Store() | ir.MakeFunction() | ir.Comprehension(kind="generator") as op:
                yield Reason("its arguments are made by more than plain expressions", op.span)
            case _:
                pass


class _Written:
    """What all turns of a comprehension change."""

    def __init__(self, driver: Driver, facts: Iterable[OpFacts]) -> None:
        self.ledger = Ledger(frozenset(driver.project.modules))
        self.objects: set[str] = set()
        self.wide: Reason | None = None
        self.names: set[Variable] = set()
        """Names that functions bind which are called."""
        found: list[Effect] = []
        for fact in facts:
            for effect in fact.effects:
                if effect.mode == "write" and isinstance(effect.place, Object):
                    self.objects.add(effect.place.label)
                elif effect.mode == "write":
                    found.append(effect)
                    if isinstance(effect.place, Variable):
                        self.names.add(effect.place)
                    if is_wide(effect.place):
                        self.wide = self.wide or effect.reason
        self.ledger.record(0, found)

    def reasons(self, facts: Iterable[OpFacts]) -> Iterator[Reason]:
        if self.wide is not None:
            yield self.wide
        reads = []
        for fact in facts:
            for effect in fact.effects:
                if isinstance(effect.place, Object):
                    if effect.place.label in self.objects:
                        yield Reason(f"uses an object that turns change: {effect.reason.text}", effect.reason.span)
                elif effect.mode == "read":
                    reads.append(effect)
        for dependence in self.ledger.dependences(reads):
            if dependence.flow:
                yield Reason(f"turns change what it reads: {dependence.why[-1].text}", dependence.why[-1].span)
