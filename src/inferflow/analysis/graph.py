"""Puts the task graph together, and says what the user should know about it.

X, Y = load_data()            0 load_data  ->  X, Y
m = fit(X, Y, C=1.0)          1 fit        X, Y from 0  ->  m        edges 0 -> 1 (flow of X, flow of Y)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from inferflow.analysis import ir
from inferflow.analysis.accesses import is_wide
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import DefUse, Driver, DriverEffects
from inferflow.analysis.link import Linker
from inferflow.analysis.maps import eager_maps
from inferflow.analysis.naming import name_drafts, parameter_help
from inferflow.analysis.partition import partition
from inferflow.analysis.regions import PLACED, Regions
from inferflow.analysis.steps import Outline, describe_steps
from inferflow.model import Diagnostic, Edge, Parameter, Place, Task, TaskGraph, Variable, World

__all__ = ["build_graph"]


def build_graph(driver: Driver, names: DefUse, effects: DriverEffects) -> TaskGraph:
    """The driver's task graph. Deterministic; never fails on what users write."""
    outline = describe_steps(driver, names, effects)
    drafts = partition(driver, outline)
    keys = name_drafts(drafts)
    linker = Linker(driver, names, outline, drafts, keys)
    for index in range(len(drafts)):
        linker.build(index)
    regions = Regions(driver, names, effects)
    tasks = tuple(regions.within(task, draft, drafts) for task, draft in zip(linker.finished(), drafts, strict=True))
    notes = (*driver.project.diagnostics, *driver.diagnostics, *names.diagnostics, *effects.diagnostics)
    if not any(note.code == "IF390" for note in notes):
        notes = (*notes, *_region_notes(drafts, tasks), *_unknown_notes(tasks))
        notes = (*notes, *_function_notes(effects), *_map_notes(outline))
    main = driver.project.sources[driver.project.main]
    return TaskGraph(
        target=driver.target,
        module=driver.project.main,
        entry=driver.entry,
        path=main.path,
        blocks=tuple(block.block for block in driver.blocks),
        tasks=tasks,
        edges=_reduced(linker.edges, len(tasks)),
        parameters=_parameters(driver),
        returns=_returns(driver),
        diagnostics=tuple(sorted(dict.fromkeys(notes), key=lambda d: (d.span, d.code, d.message))),
        reached=tuple(sorted(effects.reached.items())),
        sources=tuple(sorted((source.path, source.digest) for source in driver.project.sources.values())),
    )


def _reduced(edges: Sequence[Edge], count: int) -> tuple[Edge, ...]:
    """Edges without duplicates, and without those that others imply. Values that flow under a name always stay; of
    what flows through other places, and of orders, only what no way through other tasks tells already."""
    by_target: dict[int, dict[tuple[int, str, Place], Edge]] = {}
    for edge in edges:
        by_target.setdefault(edge.target, {}).setdefault((edge.source, edge.kind, edge.place), edge)
    before = [0] * count  # bit sets of all tasks before each
    kept: list[Edge] = []
    for target, found in sorted(by_target.items()):
        sources = {edge.source for edge in found.values()}
        reached = 0
        for source in sorted(sources, reverse=True):
            mine = sorted((e for e in found.values() if e.source == source), key=lambda e: (e.kind, str(e.place)))
            kept.extend(_told(mine, bool(reached >> source & 1)))
            reached |= before[source]
        for source in sources:
            reached |= 1 << source
        before[target] = reached
    return tuple(sorted(kept, key=lambda e: (e.target, e.source, e.kind, str(e.place))))


def _told(edges: Sequence[Edge], implied: bool) -> list[Edge]:
    """Of the edges between two tasks (flows first), those worth telling."""
    values = [e for e in edges if e.kind == "flow" and isinstance(e.place, Variable)]
    if implied:
        return values
    flows = [e for e in edges if e.kind == "flow" and not isinstance(e.place, Variable)]
    return [*values, *flows[:1]] or list(edges[:1])


# -- the rest of the graph ---------------------------------------------------------------------------


def _parameters(driver: Driver) -> tuple[Parameter, ...]:
    for block in driver.blocks:
        if block.block.kind == "function":
            scope = driver.project.modules[block.module].scopes[block.scope]
            help_of = parameter_help(scope.docstring, [param.name for param in scope.params])
            return tuple(
                Parameter(param.name, param.kind, param.annotation, param.default, help_of.get(param.name, ""))
                for param in scope.params
            )
    return ()


def _returns(driver: Driver) -> tuple[str, ...]:
    """The names in the function's own last ``return``."""
    for block in driver.blocks:
        if block.block.kind != "function":
            continue
        for statement in reversed(block.statements):
            if isinstance(statement, ir.Return):
                made: Mapping[int, ir.Op] = {op.out: op for op in statement.ops if hasattr(op, "out")}
                value = made.get(-1 if statement.value is None else statement.value)
                items = value.items if isinstance(value, ir.Build) and value.kind == "tuple" else (statement.value,)
                loads = [made.get(-1 if item is None else item) for item in items]
                return tuple(load.name for load in loads if isinstance(load, ir.Load))
    return ()


# -- what the user should know ------------------------------------------------------------------------

OPAQUE = {
    "for": "IF201",
    "if": "IF202",
    "while": "IF203",
    "try": "IF204",
    "with": "IF205",
    "match": "IF206",
}

HINTS = {
    "IF202": "calls that need nothing of each other, in one arm, run beside each other",
    "IF201": "a call may run ahead if it reads only its item and what no turn changes",
    "IF203": "a 'for' over items that are known when it begins can run ahead",
    "IF208": "coroutines take turns in one thread, as natively; calls that no await separates run beside each other",
    "IF209": "plain functions at the top of a module, which do not call themselves, are opened",
    "IF207": "a list comprehension over items that are known when it begins can run ahead",
}


def _region_notes(drafts: Sequence[Draft], tasks: Sequence[Task]) -> list[Diagnostic]:
    """What keeps regions from being taken apart, each with its code."""
    found: list[Diagnostic] = []
    for draft, task in zip(drafts, tasks, strict=True):
        if draft.kind != "opaque":
            found.extend(_notes_of(task, ""))
            continue
        word = type(draft.first.statement).__name__.lower()
        code = OPAQUE.get(word, "IF207")
        if not task.regions:
            what = "comprehension or generator" if code == "IF207" else f"'{word}' statement"
            found.append(Diagnostic(draft.first.span, code, f"the {what} runs as one task", hint=HINTS.get(code, "")))
        else:
            found.extend(_notes_of(task, code))
    return found


def _function_notes(effects: DriverEffects) -> Iterator[Diagnostic]:
    """Functions that put others together and run as one piece."""
    for callee, reason in effects.refused.items():
        code = "IF208" if reason.text.endswith("async generator") else "IF209"
        name = callee.rpartition(":")[2]
        yield Diagnostic(reason.span, code, f"{name}() runs as one piece: {reason.text}", hint=HINTS[code])


def _map_notes(outline: Outline) -> Iterator[Diagnostic]:
    """``map(f, xs)`` that is not used up where it stands: its calls have no place of their own."""
    for step in outline.steps:
        eager = {found.call for found in eager_maps(step.ops, step.effects.ops)}
        for facts in step.effects.ops:
            if facts.label == "map" and facts.callees and facts.op not in eager:
                name = facts.callees[0].rpartition(":")[2]
                message = f"map() calls {name}() for one item after the other, when it is asked"
                yield Diagnostic(facts.span, "IF210", message, hint=f"list(map({name}, ...)) may run ahead")


def _notes_of(task: Task, code: str) -> Iterator[Diagnostic]:
    for region in task.regions:
        if region.order and region.kind in ("map", "loop"):
            said = "IF210" if region.mapped else "IF207" if region.comprehension else code
            what = {"IF203": "'while' loop", "IF207": "comprehension", "IF210": "'map'"}.get(said, "'for' loop")
            how = "some of its calls keep their order" if region.strand else "its turns follow one another"
            message = f"the {what}: {how}: {region.order[0].text}"
            yield Diagnostic(region.order[0].span, said, message, hint=HINTS.get(said, ""))
        elif region.kind in ("branch", "try", "with") and not region.choice:
            several = [
                [t for t in arm.tasks if t.callees and not t.regions]
                for arm in region.arms
                if not arm.stages and not arm.ahead
            ]
            kept = [task for calls in several if len(calls) > 1 for task in calls]
            if kept:
                word = "match" if code == "IF206" else region.name.removeprefix("async ").split(" ")[0].split(":")[0]
                message = f"the {word!r} statement: the calls in it run one after the other: {_why_in_order(kept)}"
                yield Diagnostic(region.span, code, message, hint=HINTS["IF202"])
        for arm in region.arms:
            for inner in arm.tasks:
                if inner.kind == "opaque" and not inner.regions and re.search(r"\b(await|async)\b", inner.source):
                    word = inner.source.split(None, 1)[0]
                    message = (
                        f"the {word!r} statement runs as one piece: other coroutines may have turns between its own"
                    )
                    yield Diagnostic(inner.span, "IF208", message, hint=HINTS["IF208"])
                yield from _notes_of(inner, CODES.get(inner.kind, code))


def _why_in_order(tasks: Sequence[Task]) -> str:
    """What keeps calls of an arm from running beside each other: the first reason that is not merely that."""
    reasons = [reason.text for task in tasks for reason in task.home if reason.text != PLACED]
    return reasons[0] if reasons else "each of them needs what the one before it made, or takes no time"


CODES = {"branch": "IF202", "try": "IF204", "with": "IF205", "loop": "IF201", "map": "IF201"}


def _unknown_notes(tasks: Sequence[Task]) -> list[Diagnostic]:
    """One note for each task whose unknown code keeps what stands around it in order."""
    found = []
    for task in tasks:
        unknown = [e for e in task.effects if e.mode == "write" and is_wide(e.place)]
        if unknown:
            why = unknown[0].reason
            code, what = (
                ("IF320", "unknown code") if unknown[0].place == World("anything") else ("IF321", str(unknown[0].place))
            )
            message = f"{task.name} keeps its place, and later tasks wait for it ({what}): {why.text}"
            found.append(Diagnostic(why.span, code, message))
    return found
