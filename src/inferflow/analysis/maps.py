"""``map`` whose results are all asked for at once, by what stands around it in the same expression.

    ys = list(map(f, xs))                 used up by list()
    d = dict(zip(keys, map(f, keys)))     by dict(), through zip()
    for y in map(f, xs): ...              not: f is called between the turns of the loop
    it = map(f, xs)                       not: f is called whenever somebody asks

What a consumer does with one result comes before ``f`` is called for the next item, also here; so what it may do counts
among what happens while the items are gone through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from inferflow.analysis import ir
from inferflow.analysis.facts import OpFacts
from inferflow.analysis.walk import operands
from inferflow.records import frozen

__all__ = ["EagerMap", "eager_maps"]

CONSUMERS = frozenset(
    ["all", "any", "dict", "frozenset", "join", "list", "max", "min", "set", "sorted", "sum", "tuple"]
)
PASSING = frozenset(["enumerate", "zip"])
"""What asks for a result only when it is asked for one itself."""


@frozen
class EagerMap:
    """The operation that calls ``map``, and the one that uses up what it gives (both numbers)."""

    call: int
    consumer: int


def eager_maps(ops: Sequence[ir.Op], facts: Sequence[OpFacts]) -> Iterator[EagerMap]:
    """The calls ``map(f, xs, ...)`` of a function of the project that are used up where they stand."""
    told = {fact.op: fact for fact in facts}
    made = [fact.op for fact in facts if fact.label == "map" and fact.callees and fact.op >= 0]
    if not made:
        return
    users: dict[int, list[int]] = {}
    for number, op in enumerate(ops):
        for temp in operands(op):
            users.setdefault(temp, []).append(number)
    makers = {op.out: op for op in ops if isinstance(op, ir.Load | ir.Attr)}
    for number in made:
        op = ops[number]
        if isinstance(op, ir.Call) and _is_plain(op) and _is_named(makers.get(op.func), "map"):
            consumer = _consumer(number, ops, told, users, makers)
            if consumer is not None:
                yield EagerMap(number, consumer)


def _is_plain(call: ir.Call) -> bool:
    return len(call.args) > 1 and all(not arg.keyword and not arg.star for arg in call.args)


def _is_named(maker: ir.Op | None, name: str) -> bool:
    """Whether a function is what a builtin name stands for (``join`` is a method)."""
    return isinstance(maker, ir.Attr if name == "join" else ir.Load) and maker.name == name


def _consumer(
    number: int,
    ops: Sequence[ir.Op],
    told: Mapping[int, OpFacts],
    users: Mapping[int, list[int]],
    makers: Mapping[int, ir.Op],
) -> int | None:
    """Who uses up what an operation gives, in the end."""
    while True:
        op = ops[number]
        assert isinstance(op, ir.Call)
        taken = users.get(op.out, [])
        if len(taken) != 1:
            return None
        user = ops[taken[0]]
        match user:
            case ir.Call() if user.func != op.out and taken[0] in told and not told[taken[0]].task:
                label = told[taken[0]].label
                if not _is_named(makers.get(user.func), label):
                    return None
            case ir.Build(kind="list" | "tuple" | "set") if user.stars:
                return taken[0]
            case ir.Unpack():
                return taken[0]
            case _:
                return None
        if label in CONSUMERS:
            return taken[0]
        if label not in PASSING:
            return None
        number = taken[0]
