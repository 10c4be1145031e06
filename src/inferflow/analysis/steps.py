"""What partition wants to know of each step: its class, the calls in it, and why it would have to stay at home.

    X, y = load(path)            call      load stands at operation 2
    Xs = StandardScaler().fit_transform(X)      library
    n = len(X)                   glue
    for k in ks: ...             opaque
    rate = 0.1                   replicated: no task, whoever reads it elsewhere executes it again

The operations of an expression are a contiguous run of numbers in evaluation order, which is how the part of a
statement that belongs to one call is told from the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.facts import (
    SHARES_PARTS,
    UNKNOWN_TYPE,
    DefUse,
    Driver,
    DriverEffects,
    OpFacts,
    StepEffects,
    StepKey,
    StepNames,
)
from inferflow.analysis.maps import eager_maps
from inferflow.analysis.walk import flatten, operands, results
from inferflow.model import Effect, File, Hidden, Object, Reason, Span, Variable, World
from inferflow.records import field, frozen

__all__ = [
    "COMPOUND",
    "Outline",
    "Step",
    "StepClass",
    "closure",
    "describe_steps",
    "op_reasons",
    "replicable_steps",
    "separable",
    "shape_reasons",
]

StepClass: TypeAlias = Literal["call", "library", "glue", "opaque", "replicated", "nothing", "opening"]
"""``replicated``: binds what a helper can make again; ``nothing``: no effect at all (``pass``, a docstring);
``opening``: the statement whose call opens the driver's function."""

COMPOUND = (ir.If, ir.For, ir.While, ir.With, ir.Try, ir.Match)

CLOCK = World("clock")

HELD = frozenset({"stdout", "stderr", "clock"})
"""Acts on the world that do not tie a task to home: output is captured and shown in its turn; the time is outside the
contract."""

FRAME_READERS = frozenset(
    {
        "locals",
        "vars",
        "dir",
        "exec",
        "eval",
        "globals",
        "breakpoint",
        "super",
        "input",
        "__import__",
        "__annotations__",
    }
)
"""Builtins that see the frame they are called from, which a helper does not have."""


NEVER = 1 << 60


@frozen
class Step:
    """``calls`` are the numbers of calls that may become tasks of their own, in evaluation order; ``ranges`` the first
    number of each one's expression. Calls in arms of a choice, f-strings and comprehensions are not among them."""

    key: StepKey
    statement: ir.Statement
    names: StepNames
    effects: StepEffects
    ops: tuple[ir.Op, ...]
    kind: StepClass
    calls: tuple[int, ...] = ()
    ranges: Mapping[int, int] = field(factory=dict)
    shape: tuple[Reason, ...] = ()
    """Why its form alone ties it to home, whatever task it is part of."""
    order: int = 0
    tied: bool = False
    """Whether its form or an operation ties it to home, whatever objects are its own."""
    oldest: int = NEVER
    """The order of the step that made the oldest object which this one changes or binds a name to."""

    @property
    def span(self) -> Span:
        return self.statement.span


NO_NAMES = StepNames((), ())
NO_EFFECTS = StepEffects(())


@frozen
class Outline:
    """The driver's steps in program order, and for each label the order of the step that made the object; labels not in
    ``born`` stand for objects that were there before the first step."""

    steps: tuple[Step, ...]
    born: Mapping[str, int]
    names: Mapping[str, str]
    """For each label, the first name that such an object was seen under."""

    def outside(self, label: str, start: int) -> bool:
        """Whether an object was there before the step with this order."""
        return self.born.get(label, -1) < start


def describe_steps(driver: Driver, names: DefUse, effects: DriverEffects) -> Outline:
    """The driver's steps in program order, classified."""
    replicable = replicable_steps(driver, names, effects)
    by_key = {(b, s.index): s for b, block in enumerate(driver.blocks) for s in block.statements}
    born: dict[str, int] = {}
    called: dict[str, str] = {}
    steps: list[Step] = []
    for order, key in enumerate(driver.steps):
        facts = effects.steps.get(key, NO_EFFECTS)
        bound = names.steps.get(key, NO_NAMES)
        for variable, labels in facts.before.items():
            for label in labels:
                born.setdefault(label, -1)
                called.setdefault(label, variable.name)
        own = {bind.variable for bind in bound.binds}
        after = [item for item in facts.after.items() if item[1]]
        for variable, labels in sorted(after, key=lambda item: item[0] in own) if len(after) > 1 else after:
            # What first comes up below an object that was there is as old as that object.
            older = () if variable in own else facts.before.get(variable, ())
            birth = min((born[label] for label in older), default=order)
            for label in labels:
                born.setdefault(label, birth)
                called.setdefault(label, variable.name)
        steps.append(_describe(driver, by_key[key], key, bound, facts, key in replicable, order, born))
    return Outline(tuple(steps), born, called)


def _describe(
    driver: Driver,
    statement: ir.Statement,
    key: StepKey,
    names: StepNames,
    effects: StepEffects,
    replicable: bool,
    order: int,
    born: Mapping[str, int],
) -> Step:
    ops = flatten(statement)
    ranges: dict[int, int] = {}
    if not isinstance(statement, COMPOUND) and getattr(statement, "kind", "") not in ("def", "class"):
        ranges = separable(statement, ops, effects)
    calls = tuple(sorted(ranges))
    kind = _kind(driver, statement, key, effects, replicable, calls)
    shape = shape_reasons(statement, ops, effects, driver.blocks[key[0]].block.kind == "function")
    tied, oldest = _ties(names, effects, born)
    return Step(
        key, statement, names, effects, ops, kind, calls, ranges, tuple(shape), order, bool(shape) or tied, oldest
    )


def _ties(names: StepNames, effects: StepEffects, born: Mapping[str, int]) -> tuple[bool, int]:
    """Whether what a step does ties it to home, and the order of the step that made the oldest object that it changes
    or binds a name to."""
    oldest = NEVER
    tied = any(bind.deletes for bind in names.binds)
    for facts in effects.ops:
        tied = tied or bool(facts.obstacles)
        for effect in facts.effects:
            if isinstance(effect.place, Object):
                if effect.mode == "write":
                    oldest = min(oldest, born.get(effect.place.label, -1))
            else:
                tied = tied or ties_to_home(effect, None, 0) or (effect.place == CLOCK and not facts.callees)
    for bind in names.binds:
        for label in effects.after.get(bind.variable, ()):
            oldest = min(oldest, born.get(label, -1))
    return tied, oldest


def _kind(
    driver: Driver,
    statement: ir.Statement,
    key: StepKey,
    effects: StepEffects,
    replicable: bool,
    calls: tuple[int, ...],
) -> StepClass:
    if key == driver.call:
        return "opening"
    match statement:
        case ir.If() | ir.For() | ir.While() | ir.With() | ir.Try() | ir.Match():
            return "opaque"
        case ir.Jump():
            return "nothing"
        case ir.Return() if not calls and all(facts.cheap for facts in effects.ops):
            return "nothing"
        case ir.Plain() if _is_nothing(statement):
            return "nothing"
        case _:
            pass
    if replicable:
        return "replicated"
    tasks = [facts for facts in effects.ops if facts.task]
    if any(facts.op < 0 for facts in tasks) or _calls_in_turn(flatten(statement), effects):
        return "opaque"
    if tasks:
        return "call"
    return "glue" if effects.cheap or effects.literal else "library"


def _calls_in_turn(ops: tuple[ir.Op, ...], effects: StepEffects) -> bool:
    """Whether a comprehension, or a ``map`` that is used up at once, calls functions of the project."""
    if not any(facts.callees for facts in effects.ops):
        return False
    if any(facts.callees and facts.op >= 0 and isinstance(ops[facts.op], ir.Comprehension) for facts in effects.ops):
        return True
    return next(eager_maps(ops, effects.ops), None) is not None


def _is_nothing(statement: ir.Plain) -> bool:
    if statement.kind in ("pass", "global", "nonlocal"):
        return True
    return statement.kind == "expression" and all(isinstance(op, ir.Const) for op in statement.ops)


# -- calls that can be cut out ---------------------------------------------------------------------


def separable(statement: ir.Statement, ops: tuple[ir.Op, ...], effects: StepEffects) -> dict[int, int]:
    """The numbers of calls that could be tasks of their own, with the first number of each one's expression."""
    wanted = [facts.op for facts in effects.ops if facts.task and facts.op >= 0]
    if isinstance(statement, ir.Return) and not wanted:
        wanted = _returned_call(statement, ops, effects)
    if not wanted:
        return {}
    makers = {temp: number for number, op in enumerate(ops) for temp in results(op)}
    inside = _inside_arms(ops) | _inside_strings(ops, makers)
    found: dict[int, int] = {}
    for number in wanted:
        if number < len(ops) and isinstance(ops[number], ir.Call) and number not in inside:
            found[number] = min(closure(ops, makers, number))
    return found


def _returned_call(statement: ir.Return, ops: tuple[ir.Op, ...], effects: StepEffects) -> list[int]:
    """Of ``return`` with library calls only: the call that gives the returned value, if it costs something."""
    cheap = {facts.op for facts in effects.ops if facts.cheap}
    for number, op in enumerate(ops):
        if isinstance(op, ir.Call) and op.out == statement.value and number not in cheap:
            return [number]
    return []


def closure(ops: tuple[ir.Op, ...], makers: Mapping[ir.Temp, int], number: int) -> set[int]:
    """The operations that compute the operands of one, itself included (arms of choices too)."""
    found: set[int] = set()
    stack = [number]
    while stack:
        current = stack.pop()
        if current in found:
            continue
        found.add(current)
        op = ops[current]
        needed = list(operands(op))
        if isinstance(op, ir.Choice):
            for arm, _ in op.arms:
                for inner in arm:
                    needed.extend(results(inner))
                    needed.extend(operands(inner))
        stack.extend(makers[temp] for temp in needed if temp in makers)
    return found


def _inside_arms(ops: tuple[ir.Op, ...]) -> set[int]:
    if ir.Choice not in map(type, ops):
        return set()
    inner = {id(op) for choice in ops if isinstance(choice, ir.Choice) for arm, _ in choice.arms for op in arm}
    return {number for number, op in enumerate(ops) if id(op) in inner}


def _inside_strings(ops: tuple[ir.Op, ...], makers: Mapping[ir.Temp, int]) -> set[int]:
    """Operations within f-strings: before Python 3.12, ``ast`` does not know where those stand."""
    found: set[int] = set()
    for number, op in enumerate(ops):
        if type(op) is ir.Build and op.kind == "fstring":
            found |= closure(ops, makers, number)
    return found


# -- reasons ---------------------------------------------------------------------------------------


def op_reasons(
    facts: OpFacts,
    outline: Outline | None,
    start: int,
    trusting: bool = False,
    changeable: frozenset[str] = frozenset(),
) -> tuple[Reason, ...]:
    """Why an operation of a task that begins with step ``start`` ties it to home: what is not proved of it, and what it
    writes that others could see. Without an outline, every object is one that others know. ``trusting`` leaves out
    what the run can check, or keep back until the task's turn. ``changeable``: objects whose changes do not count."""
    if not facts.effects and not facts.obstacles:
        return ()
    tied = [
        effect.reason
        for effect in facts.effects
        if ties_to_home(effect, outline, start, trusting)
        and not (isinstance(effect.place, Object) and effect.place.label in changeable)
    ]
    if not facts.callees:  # a driver that looks at the clock measures what stands between
        tied.extend([e.reason for e in facts.effects if isinstance(e.place, World) and e.place == CLOCK])
    obstacles = [reason for reason in facts.obstacles if not (trusting and can_be_checked(reason))]
    return (*obstacles, *tied)


def can_be_checked(obstacle: Reason) -> bool:
    """Whether the run finds out if what an obstacle fears comes true: that a method is not the one that its name lets
    expect, that a result shares with what was there."""
    return UNKNOWN_TYPE in obstacle.text or SHARES_PARTS in obstacle.text


def ties_to_home(effect: Effect, outline: Outline | None, start: int, trusting: bool = False) -> bool:
    """Whether an effect could be seen from outside of the task while it runs ahead of its turn. If ``trusting``, what
    is only assumed does not count, nor what can be kept back (files written)."""
    if trusting and (isinstance(effect.place, File) or (effect.assumed and _is_checked(effect))):
        return False
    match effect.place:
        case World(kind=kind):
            return kind not in HELD
        case Object(label=label):
            return effect.mode == "write" and (outline is None or outline.outside(label, start))
        case Variable() | Hidden() | File():
            return effect.mode == "write"


def _is_checked(effect: Effect) -> bool:
    return not isinstance(effect.place, World) or effect.place.kind == "anything"


PLAIN_OPS = frozenset((ir.Const, ir.Call, ir.Operate, ir.Build))
"""Operations whose form alone says nothing."""


def shape_reasons(
    statement: ir.Statement, ops: tuple[ir.Op, ...], facts: StepEffects, in_function: bool
) -> list[Reason]:
    """Reasons that lie in the form of the statement. Changes of objects are the effects' to tell; where they say
    nothing of an operation that surely is one, it ties to home."""
    found: list[Reason] = []
    match statement:
        case ir.If() | ir.For() | ir.While() | ir.With() | ir.Try() | ir.Match():
            found.append(
                Reason(f"the {statement_word(statement)!r} statement runs as a whole, in its place", statement.span)
            )
        case ir.Raise():
            found.append(Reason("raises an exception", statement.span))
        case ir.Plain(kind="delete"):
            found.append(Reason("deletes a name", statement.span))
        case ir.Plain(kind="def" | "class" | "import" | "type"):
            found.append(Reason(f"binds names by {statement.kind!r}", statement.span))
        case _:
            pass
    told = {op.op for op in facts.ops if op.effects or op.obstacles}
    for number, op in enumerate(ops):
        if type(op) in PLAIN_OPS or (type(op) is ir.Store and op.binding == "local"):
            continue
        match op:
            case ir.Await():
                found.append(Reason("awaits", op.span))
            case ir.Yield():
                found.append(Reason("yields", op.span))
            case ir.StoreAttr() | ir.StoreItem() | ir.DelAttr() | ir.DelItem() if number not in told:
                found.append(Reason("changes an object in place", op.span))
            case ir.Store(name=name, binding="global" | "free") if in_function:
                found.append(Reason(f"binds {name!r} outside of its own block", op.span))
            case ir.Load(name=name) if name in FRAME_READERS:
                found.append(Reason(f"{name!r} may look at the frame that it is called from", op.span))
            case _:
                pass
    return found


def statement_word(statement: ir.Statement) -> str:
    """The keyword of a compound statement."""
    return type(statement).__name__.lower()


# -- what a helper can make again ------------------------------------------------------------------


def replicable_steps(driver: Driver, names: DefUse, effects: DriverEffects) -> frozenset[StepKey]:
    """Steps that are no tasks: imports, definitions, literals, and cheap pure expressions over those and parameters.

    A helper executes them again where a task reads what they bind. That is right only if nobody can tell the copies
    apart: no object that they make is ever changed, or reachable from what another step makes."""
    tainted = _tainted_labels(driver, effects)
    written = _written_names(driver, effects)
    found: set[StepKey] = set()
    block_of = {(b, s.index): s for b, block in enumerate(driver.blocks) for s in block.statements}
    rebound = _bind_counts(driver, names)
    functions = {key for key in driver.steps if driver.blocks[key[0]].block.kind == "function"}
    for key in driver.steps:
        statement = block_of[key]
        facts = effects.steps.get(key)
        if facts is None or key == driver.call or not isinstance(statement, ir.Plain):
            continue
        bound = names.steps.get(key, NO_NAMES)
        labels = frozenset().union(*(facts.after.get(bind.variable, frozenset()) for bind in bound.binds))
        if not (facts.literal or facts.cheap) or not bound.binds or labels & tainted:
            continue
        if any(bind.deletes or not bind.definite or bind.variable in written for bind in bound.binds):
            continue
        if written and any(use.variable in written for use in bound.uses):
            continue
        given = all(
            _is_given(use.defs, found)
            and not use.unbound
            and rebound.get(use.variable, 0) <= (0 if None in use.defs else 1)
            for use in bound.uses
        )
        if not given:
            continue
        if facts.literal and statement.kind in ("import", "def", "class"):
            if not any(op.obstacles for op in facts.ops):
                found.add(key)
        elif statement.kind in ("assign", "annotated") and not _has_visible_effect(statement, facts, key in functions):
            found.add(key)
    return frozenset(found)


def _is_given(defs: frozenset[StepKey | None], found: set[StepKey]) -> bool:
    return all(d is None or d in found for d in defs)


def _bind_counts(driver: Driver, names: DefUse) -> dict[Variable, int]:
    counts: dict[Variable, int] = {}
    for key in driver.steps:
        for bind in names.steps.get(key, NO_NAMES).binds:
            counts[bind.variable] = counts.get(bind.variable, 0) + 1
    return counts


def _has_visible_effect(statement: ir.Plain, facts: StepEffects, in_function: bool) -> bool:
    if any(op.effects or op.obstacles or op.task for op in facts.ops):
        return True
    ops = flatten(statement)
    return bool(shape_reasons(statement, ops, facts, in_function)) or any(isinstance(op, ir.MakeFunction) for op in ops)


def _written_names(driver: Driver, effects: DriverEffects) -> frozenset[Variable]:
    """Names that functions which the driver calls bind anew."""
    return frozenset(
        effect.place
        for key in driver.steps
        for op in effects.steps.get(key, NO_EFFECTS).ops
        for effect in op.effects
        if effect.mode == "write" and isinstance(effect.place, Variable)
    )


def _tainted_labels(driver: Driver, effects: DriverEffects) -> frozenset[str]:
    """Labels of objects that some step changes, that unknown code may keep, or that a step which is not literal can
    reach from what it binds."""
    found: set[str] = set()
    for key in driver.steps:
        facts = effects.steps.get(key, NO_EFFECTS)
        everything = frozenset().union(*facts.before.values(), *facts.after.values())
        for op in facts.ops:
            for effect in op.effects:
                if isinstance(effect.place, Object) and effect.mode == "write":
                    found.add(effect.place.label)
                elif isinstance(effect.place, World) and effect.place.kind == "anything":
                    found |= everything
        if not (facts.literal or facts.cheap):
            for variable, labels in facts.after.items():
                if labels != facts.before.get(variable):
                    found |= labels
    return frozenset(found)
