"""From the regions of a task graph to the table that home's hooks are put in by (see ``worker.transform_regions``).

    for path in paths:              region 0, ahead
        table = load(path)          unit 0: statement 0, binds table
        total += score(table, k)    unit 1: the expression score(table, k)

Regions and units are numbered over the whole driver, outer before inner, in program order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import frozen

from inferflow.model import ItemFacts, Region, RegionFacts, Span, Task, TaskGraph

__all__ = ["Place", "region_facts", "region_rows", "regions_of"]


@frozen
class Place:
    """A region of the graph: its number, the top-level task that it stands in, its path (``for/if``), and the opened
    function that it stands in, if any. ``code`` is the number of the first region with the same code: a function that
    is called twice is opened for each call, and has its hooks once."""

    number: int
    task: int
    path: str
    region: Region
    statement: Task
    function: str
    code: int


def regions_of(graph: TaskGraph) -> list[Place]:
    """All regions, numbered in the order in which they are found."""
    found: list[Place] = []
    first: dict[tuple[str, Span, bool], int] = {}
    for index, task in enumerate(graph.tasks):
        for path, region, statement, function in _regions(task, task.name, ""):
            number = len(found)
            code = first.setdefault((function, region.span, region.comprehension), number)
            found.append(Place(number, index, path, region, statement, function, code))
    return found


def _regions(task: Task, path: str, around: str) -> Iterator[tuple[str, Region, Task, str]]:
    for region in task.regions:
        function = region.function or around
        yield path, region, task, function
        for arm in region.arms:
            for inner in arm.tasks:
                yield from _regions(inner, f"{path}/{inner.name}", function)


def region_rows(graph: TaskGraph, stays_home: Callable[[str], bool], ahead: bool) -> list[dict[str, Any]]:
    """The table, as plain data. ``stays_home`` tells of a task's name whether the user wants it at home; ``ahead``
    whether there are helpers."""
    rows = []
    units = stages = 0
    for place in regions_of(graph):
        if place.code != place.number:
            continue
        region = place.region
        tasks = [task for task in _strand(region) if not stays_home(task.name)] if ahead else []
        if len(tasks) < len(_strand(region)):
            tasks = []  # later ones may need what is kept at home
        staged = _stages(region, stages, units + len(tasks), stays_home) if ahead else []
        rows.append(
            {
                "region": place.number,
                "task": place.task,
                "block": place.statement.anchor.block,
                "function": place.function,
                "node": _node(place),
                "span": list(_span(region.span)),
                "heavy": region.heavy,
                "ahead": bool(tasks),
                "units": [_unit(units + number, task) for number, task in enumerate(tasks)],
                "preamble": _preamble(region.strand if tasks else ()),
                "given": [v.name for v in region.given if v.scope == "<driver>"],
                "outer": [v.name for v in region.given if v.scope == "<turn>"],
                "stages": staged,
            }
        )
        units += len(tasks) + sum(len(group) for stage in staged for group in stage["groups"])
        stages += len(staged)
    return rows


def _stages(region: Region, number: int, units: int, stays_home: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The stages of a region's arms, numbered from ``number``, with units from ``units`` on."""
    rows: list[dict[str, Any]] = []
    for position, arm in enumerate(region.arms):
        for stage in arm.stages:
            groups = []
            for group in stage.groups:
                tasks = [arm.tasks[index] for index in group]
                if any(stays_home(arm.tasks[index].name) for index in arm.covered(group)):
                    continue
                groups.append([_unit(units + offset, task) for offset, task in enumerate(tasks)])
                units += len(tasks)
            if groups:
                every = sorted(index for group in stage.groups for index in arm.covered(group))
                preamble = _preamble([arm.tasks[index] for index in every])
                rows.append(
                    {
                        "stage": number + len(rows),
                        "arm": position,
                        "first": stage.first,
                        "groups": groups,
                        "preamble": preamble,
                    }
                )
    return rows


def _preamble(tasks: Iterable[Task]) -> list[list[int]]:
    """Where the statements stand that are repeated before tasks that run elsewhere."""
    return [list(span) for span in dict.fromkeys(_span(span) for task in tasks for span in task.preamble)]


def _strand(region: Region) -> list[Task]:
    """The tasks of the strand, without those that stand inside another one of them."""
    if region.kind not in ("map", "loop"):
        return []
    every = region.arms[0].tasks
    inside: set[int] = set()
    for task in every:
        if not task.home:
            inside.update(task.inner)
    return [task for index, task in enumerate(every) if not task.home and index not in inside]


def _node(place: Place) -> str:
    if place.region.comprehension:
        return "comprehension"
    if place.region.kind == "group":
        return "function"
    word = place.statement.source.split(None, 1)[0].rstrip(":(")
    return word if word in ("for", "while", "if", "with", "try", "match") else "for"


def _unit(number: int, task: Task) -> list[Any]:
    expression = task.anchor.expression
    names = [out.variable.name for out in task.outputs if out.change == "bound" and out.variable.scope != "<value>"]
    return [number, task.anchor.first, task.anchor.last, list(_span(expression)) if expression else None, names]


def _span(span: Span) -> tuple[int, int, int, int]:
    return span.line, span.column, span.end_line, span.end_column


def region_facts(places: list[Place], task: int, told: list[Any]) -> tuple[RegionFacts, ...]:
    """What home told of the regions of a task, in terms of the graph; also of those that were not entered."""
    by_number = {number: (arms, tally) for number, arms, tally in told}
    found = []
    for place in places:
        if place.task != task:
            continue
        arms, tally = by_number.get(place.code, ([], None))
        counts = dict(arms)
        named = tuple((arm.name, counts.get(number, 0)) for number, arm in enumerate(place.region.arms))
        turns, items, ahead = counts.get(0, 0), -1, 0
        each: tuple[ItemFacts, ...] = ()
        if tally is not None:
            _, turns, items, ahead, shown = tally
            each = tuple(ItemFacts(index, item, duration, where) for index, item, duration, where in shown)
        if place.region.kind in ("map", "loop"):
            named = tuple((name, count) for name, count in named[1:])
        else:
            turns = 0
        facts = RegionFacts(place.path, place.region.kind, place.region.name, turns, items, ahead, named, each)
        found.append(facts)
    return tuple(found)
