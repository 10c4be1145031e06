"""``map`` and generator expressions whose results are all asked for at once, by what stands around them in the same
expression.

    ys = list(map(f, xs))                 used up by list()
    d = dict(zip(keys, map(f, keys)))     by dict(), through zip()
    total = sum(f(x) for x in xs)         by sum()
    ok = any(test(x) for x in xs)         by any(), which may stop early
    for y in map(f, xs): ...              not: f is called between the turns of the loop
    it = map(f, xs)                       not: f is called whenever somebody asks

What a consumer does with one result comes before ``f`` is called for the next item, also here; so what it may do counts
among what happens while the items are gone through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferflow.analysis import ir
from inferflow.analysis.facts import OpFacts
from inferflow.analysis.walk import operands
from inferflow.records import frozen

__all__ = ["Eager", "eager_generators", "eager_maps"]

CONSUMERS = frozenset(["all", "any", "dict", "frozenset", "list", "max", "min", "set", "sorted", "sum", "tuple"])
"""Builtins."""
METHODS = frozenset(["executemany", "extend", "fromkeys", "join", "update", "writelines", "writerows"])
LIBRARY = frozenset(
    [
        "Counter",
        "DataFrame",
        "Series",
        "concat",
        "deque",
        "fmean",
        "fromiter",
        "fsum",
        "mean",
        "median",
        "prod",
        "reduce",
    ]
)
"""Of modules: by the name alone, or as an attribute."""
PASSING = frozenset([("builtins.enumerate",), ("builtins.zip",)])
"""What asks for a result only when it is asked for one itself."""


@frozen
class Eager:
    """The operation that makes an iterator, and the one that uses up what it gives (both numbers)."""

    made: int
    consumer: int


def eager_maps(ops: Sequence[ir.Op], facts: Sequence[OpFacts]) -> Iterator[Eager]:
    """The calls ``map(f, xs, ...)`` of a function of the project that are used up where they stand."""
    made = [fact.op for fact in facts if fact.label == "map" and fact.callees and fact.op >= 0]
    if not made:
        return
    search = _Search(ops, facts)
    for number in made:
        op = ops[number]
        if isinstance(op, ir.Call) and _is_plain(op) and search.facts[number].library == ("builtins.map",):
            yield from search.consumer(number)


def eager_generators(ops: Sequence[ir.Op], facts: Sequence[OpFacts]) -> Iterator[Eager]:
    """The generator expressions that are used up where they stand."""
    made = [n for n, op in enumerate(ops) if isinstance(op, ir.Comprehension) and op.kind == "generator"]
    if not made:
        return
    search = _Search(ops, facts)
    for number in made:
        yield from search.consumer(number)


def _is_plain(call: ir.Call) -> bool:
    return len(call.args) > 1 and all(not arg.keyword and not arg.star for arg in call.args)


class _Search:
    """For who uses up what an operation gives, in the end."""

    def __init__(self, ops: Sequence[ir.Op], facts: Sequence[OpFacts]) -> None:
        self.ops = ops
        self.facts = {fact.op: fact for fact in facts}
        self.users: dict[int, list[int]] = {}
        for number, op in enumerate(ops):
            for temp in operands(op):
                self.users.setdefault(temp, []).append(number)
        self.makers = {op.out: op for op in ops if isinstance(op, ir.Load | ir.Attr)}

    def consumer(self, made: int) -> Iterator[Eager]:
        """The operation, with its consumer if there is one. Names that the expression binds in between would have
        another value for what is run ahead."""
        number = made
        while True:
            op = self.ops[number]
            assert isinstance(op, ir.Call | ir.Comprehension)
            taken = self.users.get(op.out, [])
            if len(taken) != 1:
                return
            user = self.ops[taken[0]]
            if not self._uses_up(user, op.out, taken[0]):
                if not isinstance(user, ir.Call) or user.func == op.out or not self._is_library(taken[0]):
                    return
                if self.facts[taken[0]].library not in PASSING:
                    return
                number = taken[0]
                continue
            between = self.ops[made + 1 : taken[0]]
            if not any(isinstance(part, ir.Store | ir.Await | ir.Yield) for part in between):
                yield Eager(made, taken[0])
            return

    def _uses_up(self, user: ir.Op, temp: int, number: int) -> bool:
        match user:
            case ir.Call() if any(arg.star == 1 and arg.value == temp for arg in user.args):
                return True
            case ir.Call() if user.func != temp and self._is_library(number):
                fact = self.facts[number]
                if isinstance(self.makers.get(user.func), ir.Attr) and fact.label in METHODS:
                    return True
                module, _, name = fact.library[0].rpartition(".") if len(fact.library) == 1 else ("", "", "")
                return name in (CONSUMERS if module == "builtins" else LIBRARY)
            case ir.Build(kind="list" | "tuple" | "set"):
                return any(user.items[position] == temp for position in user.stars)
            case ir.Unpack():
                return True
            case _:
                return False

    def _is_library(self, number: int) -> bool:
        """Whether it is surely no function of the project that is called."""
        return number in self.facts and not self.facts[number].task
