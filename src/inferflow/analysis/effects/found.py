"""What was found of the driver's steps while they ran: first in terms of nodes, in the end in words and labels.

m = fit(X)        FoundStep: before {X: <node 4>}, after {m: <node 9>}; FoundOp 1: reads <node 4>, calls a:fit
                  Words: StepEffects with the labels 'X' and 'm'
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.effects.frame import FileTarget, Target, Why
from inferflow.analysis.effects.heap import Node, reach
from inferflow.analysis.effects.program import Program
from inferflow.analysis.facts import SHARES_PARTS, OpFacts, StepKey
from inferflow.analysis.programs import ProgramKind
from inferflow.analysis.walk import flatten, operands, results
from inferflow.model import Effect, File, Hidden, Object, Reason, Span, Variable, World

__all__ = ["FoundInside", "FoundOp", "FoundStep", "Labels", "Words", "forget_own"]

Labels: TypeAlias = frozenset[Node]


class FoundStep:
    """What was found of a step, in terms of nodes."""

    __slots__ = ("after", "before", "cheap", "key", "later", "literal", "made", "ops")

    def __init__(self, key: StepKey) -> None:
        self.key = key
        self.ops: list[FoundOp] = []
        self.before: dict[Variable, Labels] = {}
        self.later: dict[Variable, Labels] = {}
        self.after: dict[Variable, Labels] = {}
        self.cheap = True
        self.literal = False
        self.made: dict[Node, int] = {}
        """Objects made by operations of it that later ones of them change: the number of the operation."""


class FoundOp:
    """What was found of an operation."""

    __slots__ = (
        "callees",
        "cheap",
        "effects",
        "label",
        "library",
        "number",
        "obstacles",
        "own",
        "reads",
        "runs",
        "shared",
        "span",
        "task",
    )

    def __init__(self, number: int, span: Span) -> None:
        self.number = number
        self.span = span
        self.effects: dict[tuple[str, Target], Why] = {}
        self.reads: list[tuple[Iterable[Node], str]] = []
        self.obstacles: dict[str, Span] = {}
        self.callees: tuple[str, ...] = ()
        self.task = False
        self.cheap = True
        self.label = ""
        self.library: tuple[str, ...] = ()
        self.runs: ProgramKind = ""
        self.shared: list[Node] = []
        self.own: set[Target] = set()
        """Objects that it made itself."""

    def join(self, other: FoundOp) -> None:
        """The same operation, in another turn of a loop."""
        for effect, why in other.effects.items():
            self.effects.setdefault(effect, why)
        for text, span in other.obstacles.items():
            self.obstacles.setdefault(text, span)
        self.reads.extend(other.reads)
        self.callees = tuple(dict.fromkeys((*self.callees, *other.callees)))
        self.library = tuple(dict.fromkeys((*self.library, *other.library)))
        self.task = self.task or other.task
        self.cheap = self.cheap and other.cheap
        self.shared.extend(other.shared)


class FoundInside:
    """What was found of a statement inside of a step: its operations by number, the variables that it names."""

    __slots__ = ("head", "names", "ops", "step")

    def __init__(self, key: StepKey, names: list[Variable]) -> None:
        self.step = FoundStep(key)
        self.ops: dict[int, FoundOp] = {}
        self.names = names
        self.head: FoundOp | None = None


def forget_own(found: FoundStep, statement: ir.Statement) -> None:
    """Leave out what a step does to objects that it has made itself on the way, and that are gone when it is over:

        score = Ridge().fit(X, y).score(X, y)         fit() changes the Ridge()
        pairs = dict(zip(keys, values))               dict() uses up the zip()

    Not if the task that changes such an object is another one than the one that makes it; nor if the step changes
    anything that is not its own, where it could be kept (what is only assumed to be an iterator keeps nothing)."""
    if not found.made:
        return
    for op in found.ops:
        for (mode, target), (_, _, assumed) in op.effects.items():
            if mode == "write" and target not in found.made and not _is_harmless(target, assumed):
                return
    after = frozenset().union(*found.after.values())
    ops = flatten(statement)
    makers = {temp: number for number, op in enumerate(ops) for temp in results(op)}
    tasks = {op.number for op in found.ops if op.task}
    for op in found.ops:
        own = [effect for effect in op.effects if effect[1] in found.made and effect[1] not in after]
        if own and 0 <= op.number < len(ops):
            near = _same_task(ops, makers, tasks, op.number)
            for effect in own:
                if found.made[effect[1]] in near:  # type: ignore[index]
                    del op.effects[effect]


def _is_harmless(target: Target, assumed: bool) -> bool:
    """Whether nothing can be kept by a change of it."""
    if isinstance(target, World):
        return target.kind != "anything"
    return assumed or isinstance(target, FileTarget)


def _same_task(
    ops: Sequence[ir.Op], makers: Mapping[ir.Temp, int], tasks: Collection[int], number: int
) -> frozenset[int]:
    """The operations that make the operands of one, as far as they are part of no other task."""
    found = {number}
    stack = [number]
    while stack:
        for temp in operands(ops[stack.pop()]):
            maker = makers.get(temp)
            if maker is not None and maker not in found and maker not in tasks:
                found.add(maker)
                stack.append(maker)
    return frozenset(found)


class Words:
    """Labels for nodes, and effects in terms of places."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.names: dict[int, str] = {}
        self.taken: dict[str, int] = {}
        self.groups: dict[Labels, frozenset[str]] = {}

    def label(self, node: Node) -> str:
        """The label of an object: the first name bound to it, numbered if that is taken. United objects have one."""
        key = id(node.fields)
        label = self.names.get(key)
        if label is None:
            base = node.name or (sorted(node.types)[0].rpartition(".")[2] if node.types else node.kind)
            if base in ("?", ""):
                base = "object"
            if base.startswith("@") or ":" in base:
                base = base.rpartition(":")[2]
            count = self.taken[base] = self.taken.get(base, 0) + 1
            label = self.names[key] = base if count == 1 else f"{base}#{count}"
        return label

    def labels(self, group: Labels) -> frozenset[str]:
        """The labels of a set of objects."""
        known = self.groups.get(group)
        if known is None:
            cells = self.program.driver_cells
            known = self.groups[group] = frozenset([self.label(n) for n in in_order(group) if n is not cells])
        return known

    def facts(self, op: FoundOp) -> OpFacts:
        effects: dict[tuple[str, Any], Effect] = {}
        for (mode, target), (text, span, assumed) in op.effects.items():
            for place in self.places(mode, target):
                effects.setdefault((mode, place), Effect(mode, place, Reason(text, span), assumed))  # type: ignore[arg-type]
        for nodes, text in op.reads:
            for node in in_order(nodes):
                for place in self.object_places(node, "read"):
                    if ("read", place) not in effects:
                        effects[("read", place)] = Effect("read", place, Reason(text, op.span))
        obstacles = [Reason(text, span) for text, span in op.obstacles.items()]
        if op.shared:
            names = sorted({self.label(n) for n in op.shared})
            said = ", ".join(f"'{n}'" for n in names[:3])
            obstacles.append(Reason(f"the result of {op.label}() {SHARES_PARTS} {said}", op.span))
        ordered = tuple(effects.values())
        if len(ordered) > 1:
            ordered = tuple(sorted(ordered, key=lambda e: (e.mode, type(e.place).__name__, e.place.__str__())))
        told = tuple(obstacles)
        return OpFacts(op.number, op.span, ordered, op.callees, op.task, told, op.cheap, op.label, op.runs, op.library)

    def places(self, mode: str, target: Target) -> Iterator[Any]:
        if isinstance(target, Node):
            if target.path is not None:
                yield World("anything")
            elif mode == "read":
                for node in sorted(reach((target,)), key=int):
                    if node.mutable:
                        yield from self.object_places(node, mode)
            else:
                yield from self.object_places(target, mode)
        elif isinstance(target, FileTarget):
            named = target.node
            path = None
            if named is not None and named.data:
                path = str(named.data[0])
            elif named is not None and named.name.startswith("{"):
                path = named.name
            yield File(path, target.aspect)
        else:
            yield target

    def object_places(self, node: Node, mode: str) -> Iterator[Any]:
        if node is self.program.driver_cells:
            for name in sorted(node.fields):
                if not name.startswith("<") and (mode == "read" or name in self._rebound()):
                    yield Variable("<driver>", name)
        elif node.kind == "state":
            yield Hidden(node.data)
        else:
            yield Object(self.label(node))

    def _rebound(self) -> frozenset[str]:
        return self.program.rebound(self.program.project.main)


def in_order(nodes: Iterable[Node]) -> Iterable[Node]:
    """The nodes in the order in which they were made."""
    return nodes if isinstance(nodes, frozenset) and len(nodes) < 2 else sorted(nodes, key=int)
