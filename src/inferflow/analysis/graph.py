"""Puts the task graph together, and says what the user should know about it.

X, Y = load_data()            0 load_data  ->  X, Y
m = fit(X, Y, C=1.0)          1 fit        X, Y from 0  ->  m        edges 0 -> 1 (flow of X, flow of Y)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferflow.analysis import ir
from inferflow.analysis.facts import DefUse, Driver, DriverEffects
from inferflow.analysis.link import Linker
from inferflow.analysis.link_state import Links
from inferflow.analysis.naming import name_drafts, parameter_help
from inferflow.analysis.notes import function_notes, map_notes, region_notes, unknown_notes
from inferflow.analysis.partition import partition
from inferflow.analysis.regions import Regions
from inferflow.analysis.steps import describe_steps
from inferflow.analysis.wholes import with_wholes
from inferflow.model import Edge, Parameter, Place, TaskGraph, Variable

__all__ = ["build_graph"]


def build_graph(driver: Driver, names: DefUse, effects: DriverEffects) -> TaskGraph:
    """The driver's task graph. Deterministic; never fails on what users write."""
    regions = Regions(driver, names, effects)
    outline = with_wholes(driver, effects, describe_steps(driver, names, effects), regions)
    drafts = partition(driver, outline)
    keys = name_drafts(drafts)
    linker = Linker(Links(driver, names, outline, drafts, keys))
    for index in range(len(drafts)):
        linker.build(index)
    tasks = tuple(regions.within(task, draft, drafts) for task, draft in zip(linker.finished(), drafts, strict=True))
    notes = (*driver.project.diagnostics, *driver.diagnostics, *names.diagnostics, *effects.diagnostics)
    if not any(note.code == "IF390" for note in notes):
        notes = (*notes, *region_notes(drafts, tasks), *unknown_notes(tasks))
        notes = (*notes, *function_notes(effects), *map_notes(outline))
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
