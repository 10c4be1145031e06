"""Facts that are right for any program, because they claim nothing: every statement may do anything.

What remains is the program in its order, each task at home. The analysis falls back on it when one of its own passes
fails; nothing of a user's program may depend on our being without fault.

    X = load(p)        task load   writes anything
    y = X + 1          task y      writes anything
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.analysis import ir
from inferflow.analysis.facts import (
    Bind,
    DefUse,
    Driver,
    DriverEffects,
    OpFacts,
    StepEffects,
    StepKey,
    StepNames,
    Use,
)
from inferflow.analysis.walk import every_op, flatten
from inferflow.model import Effect, Reason, Span, Variable, World

__all__ = ["cautious_effects", "cautious_names"]


def cautious_names(driver: Driver) -> DefUse:
    """Names by the last step before that binds them; good for showing, and never proof of anything."""
    bound: dict[Variable, StepKey] = {}
    steps: dict[StepKey, StepNames] = {}
    for key in driver.steps:
        statement = driver.statement(key)
        scope = driver.blocks[key[0]].block.scope
        uses: list[Use] = []
        binds: list[Bind] = []
        for op in every_op((statement,)):
            match op:
                case ir.Load():
                    variable = Variable(scope, op.name)
                    if variable in bound:
                        uses.append(Use(variable, -1, frozenset([bound[variable]]), False, op.span))
                case ir.Store():
                    binds.append(Bind(Variable(scope, op.name), -1, isinstance(statement, ir.Plain), False, op.span))
                case ir.Delete():
                    binds.append(Bind(Variable(scope, op.name), -1, False, True, op.span))
                case _:
                    pass
        bound.update({bind.variable: key for bind in binds})
        steps[key] = StepNames(tuple(uses), tuple(binds))
    return DefUse(steps)


def cautious_effects(driver: Driver) -> DriverEffects:
    """Every statement that has operations may do anything."""
    return DriverEffects({key: StepEffects(tuple(_facts(driver, driver.statement(key)))) for key in driver.steps})


def _facts(driver: Driver, statement: ir.Statement) -> Iterator[OpFacts]:
    names = {
        scope.name: f"{module.name}:{scope.qualname}"
        for module in driver.project.modules.values()
        for scope in module.scopes
        if scope.kind in ("function", "class") and scope.parent == 0
    }
    roots: dict[ir.Temp, str] = {}
    found = False
    simple = isinstance(statement, ir.Plain | ir.Return)
    for number, op in enumerate(flatten(statement)):
        match op:
            case ir.Load():
                roots[op.out] = op.name
            case ir.Attr():
                roots[op.out] = op.name
            case ir.Call() if simple:
                found = True
                name = roots.get(op.func, "")
                callee = (names[name],) if name in names else ()
                yield _anything(number, op.span, callee, name)
            case _:
                pass
    if not found:
        yield _anything(-1, statement.span, (), "")


def _anything(number: int, span: Span, callees: tuple[str, ...], label: str) -> OpFacts:
    reason = Reason("nothing is known of what this does", span)
    effect = Effect("write", World("anything"), reason, True)
    return OpFacts(number, span, (effect,), callees, bool(callees), (reason,), label=label)
