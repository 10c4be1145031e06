"""Comprehensions as maps: which calls in their element could be made for each item by itself.

    scores = [evaluate(model, fold) for fold in folds]      map over folds: evaluate, given model
    table = {k: load(p) for k, p in paths.items()}          map: load
    rows = list(map(parse, lines))                          map: parse
    total = sum(f(x) for x in xs)                           none: a generator runs when it is asked, bit by bit

The innermost loop is the one whose items count; names of the loops around it, and of the driver, are given. A call
that stands in a condition, a walrus, an arm of a choice or an f-string keeps its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger, is_wide
from inferflow.analysis.facts import Driver, DriverBlock, DriverEffects, OpFacts
from inferflow.analysis.maps import eager_maps
from inferflow.analysis.naming import called_name
from inferflow.analysis.regions_weight import Weights
from inferflow.analysis.steps import NO_EFFECTS, Step, op_reasons, separable
from inferflow.analysis.texts import Texts
from inferflow.analysis.walk import every_op, every_statement, flatten
from inferflow.model import Anchor, Arm, Effect, Input, Object, Output, Reason, Region, Task, Variable

__all__ = ["comprehension_regions", "map_regions"]


def comprehension_regions(
    driver: Driver,
    block: DriverBlock,
    number: int,
    statement: ir.Statement,
    effects: DriverEffects,
    texts: Texts,
    weights: Weights,
) -> Iterator[Region]:
    """A region for each list, set or dict comprehension of a simple statement that calls functions of the project.
    ``number`` is that of the block."""
    module = driver.project.modules[block.module]
    ops = flatten(statement)
    for op in ops:
        if not isinstance(op, ir.Comprehension) or op.kind == "generator":
            continue
        turns = _turns(module.scopes[op.scope])
        if turns is None or id(turns.element) not in effects.inside:
            continue
        region = _region(driver, block, number, op, turns, effects, texts, weights)
        if region is not None:
            yield region


def map_regions(driver: Driver, number: int, step: Step, texts: Texts, weights: Weights) -> Iterator[Region]:
    """A region for each ``map`` of a statement that calls functions of the project and is used up at once. ``number``
    is that of the block."""
    facts = step.effects.ops
    for found in eager_maps(step.ops, facts):
        mine = next(fact for fact in facts if fact.op == found.call)
        written = _Written(driver, [fact for fact in facts if found.call <= fact.op <= found.consumer])
        reasons = tuple(dict.fromkeys([*op_reasons(mine, None, 0), *written.reasons([mine])]))
        name = mine.callees[-1].rpartition(":")[2].rpartition(".")[2].strip("<>")
        value = Variable("<value>", name)
        span = step.ops[found.call].span
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
class _Turns:
    """``loop`` is the innermost ``for``, ``element`` the statement that emits; ``outer`` are names of loops around."""

    loop: ir.For
    element: ir.Plain
    outer: frozenset[str]
    inside: tuple[ir.Statement, ...]


def _turns(scope: ir.Scope) -> _Turns | None:
    loop: ir.For | None = None
    outer: set[str] = set()
    body = scope.body
    inside: list[ir.Statement] = []
    while len(body) == 1:
        current = body[0]
        match current:
            case ir.For(is_async=False):
                if loop is not None:
                    outer |= _targets(loop)
                loop = current
                inside = []
                body = current.body
            case ir.If():
                inside.append(current)
                body = current.body
            case ir.Plain() if loop is not None:
                return _Turns(loop, current, frozenset(outer - _targets(loop)), (*inside, current))
            case _:
                return None
    return None


def _targets(loop: ir.For) -> set[str]:
    return {op.name for op in loop.target if isinstance(op, ir.Store)}


def _region(
    driver: Driver,
    block: DriverBlock,
    block_number: int,
    op: ir.Comprehension,
    turns: _Turns,
    effects: DriverEffects,
    texts: Texts,
    weights: Weights,
) -> Region | None:
    element = turns.element
    facts = effects.inside[id(element)]
    ops = flatten(element)
    ranges = separable(element, ops, facts)
    outermost = [call for call in ranges if not any(ranges[o] <= call < o for o in ranges)]
    inner = [fact for s in every_statement(turns.inside) for fact in effects.inside.get(id(s), NO_EFFECTS).ops]
    written = _Written(driver, inner)
    scope = driver.project.modules[block.module].scopes[op.scope]
    walrus = any(isinstance(o, ir.Store) and o.how == "walrus" for o in every_op(scope.body))
    tasks: list[Task] = []
    given: set[Variable] = set()
    counts: dict[str, int] = {}
    for call in sorted(outermost):
        numbers = range(ranges[call], call + 1)
        mine = [fact for fact in facts.ops if fact.op in numbers or fact.op < 0]
        main = next((fact for fact in mine if fact.op == call), None)
        if main is None:
            continue
        name = called_name(main) or "call"
        counts[name] = counts.get(name, 0) + 1
        key = (name, counts[name])
        inputs, reads = _names(block, turns, ops, numbers)
        reasons: list[Reason] = [reason for fact in mine for reason in op_reasons(fact, None, 0)]
        if walrus:
            reasons.append(Reason("the comprehension binds a name on its way", op.span))
        reasons += written.reasons(mine)
        reasons += _odd(ops, numbers)
        if not reasons:
            given |= reads
        value = Variable("<value>", name if key[1] == 1 else f"{name}.{key[1]}")
        span = ops[call].span
        tasks.append(
            Task(
                key=key,
                kind="call",
                span=span,
                source=texts.cut(span),
                anchor=Anchor(block_number, 0, 0, span),
                callees=tuple(sorted({callee for fact in mine for callee in fact.callees})),
                inputs=inputs,
                outputs=(Output(value),),
                effects=tuple(dict.fromkeys(effect for fact in mine for effect in fact.effects)),
                value=value,
                home=tuple(dict.fromkeys(reasons)),
            )
        )
    if not tasks:
        return None
    tied = [task for task in tasks if task.home]
    heavy = any(weights.is_heavy(task) for task in tasks if not task.home)
    arms = (Arm("turn", element.span, tuple(tasks)),)
    head = f"for {' '.join(texts.cut(turns.loop.span).split())} in ..."
    return Region(
        "loop" if len(tied) == len(tasks) else "map",
        head,
        op.span,
        arms,
        tuple(sorted(_targets(turns.loop))),
        tuple(sorted(given)),
        tuple(dict.fromkeys(task.home[0] for task in tied)),
        heavy,
        True,
    )


def _names(
    block: DriverBlock, turns: _Turns, ops: tuple[ir.Op, ...], numbers: range
) -> tuple[tuple[Input, ...], set[Variable]]:
    """What a call reads of the item, as inputs; and what else it reads."""
    items = _targets(turns.loop)
    inputs: dict[str, Input] = {}
    given: set[Variable] = set()
    for number in numbers:
        op = ops[number]
        if not isinstance(op, ir.Load):
            continue
        if op.binding == "local" and op.name in items:
            inputs.setdefault(op.name, Input(Variable("<turn>", op.name), -1, len(inputs), op.span))
        elif op.binding == "global":
            given.add(Variable(block.module, op.name))
        else:
            given.add(Variable(block.block.scope if op.binding == "free" else "<turn>", op.name))
    return tuple(inputs.values()), given


def _odd(ops: tuple[ir.Op, ...], numbers: range) -> Iterator[Reason]:
    """Operations that cannot be made elsewhere whatever they do."""
    for number in numbers:
        match ops[number]:
            case ir.Await() | ir.Yield() | ir.Store() | ir.MakeFunction() | ir.Comprehension() as op:
                yield Reason("its arguments are made by more than plain expressions", op.span)
            case _:
                pass


class _Written:
    """What all turns of a comprehension change."""

    def __init__(self, driver: Driver, facts: Iterable[OpFacts]) -> None:
        self.ledger = Ledger(frozenset(driver.project.modules))
        self.objects: set[str] = set()
        self.wide: Reason | None = None
        found: list[Effect] = []
        for fact in facts:
            for effect in fact.effects:
                if effect.mode == "write" and isinstance(effect.place, Object):
                    self.objects.add(effect.place.label)
                elif effect.mode == "write":
                    found.append(effect)
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
