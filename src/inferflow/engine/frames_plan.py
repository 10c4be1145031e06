"""From the regions of a task graph to the table that home's hooks are put in by (see ``worker.transform_regions``).

    for path in paths:              region 0, ahead
        table = load(path)          unit 0: statement 0, binds table
        total += score(table, k)    unit 1: the expression score(table, k)

Regions and units are numbered over the whole driver, outer before inner, in program order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from inferflow.model import Arm, ItemFacts, ItemOutput, Region, RegionFacts, Span, Task, TaskGraph, World
from inferflow.records import frozen

PRINTED = (World("stdout"), World("stderr"), World("anything"))

__all__ = ["Place", "region_facts", "region_rows", "regions_of"]


@frozen
class Place:
    """A region of the graph: its number, the top-level task that it stands in, its path (``for/if``), and the opened
    function that it stands in, if any; ``within`` are the loops around. ``code`` is the number of the first region with
    the same code: a function that is called twice is opened for each call, and has its hooks once."""

    number: int
    task: int
    path: str
    region: Region
    statement: Task
    function: str
    code: int
    within: tuple[int, ...] = ()


def regions_of(graph: TaskGraph) -> list[Place]:
    """All regions, numbered in the order in which they are found."""
    found: list[Place] = []
    first: dict[tuple[str, Span, bool], int] = {}

    def look(task: Task, index: int, path: str, function: str, within: tuple[int, ...]) -> None:
        for region in task.regions:
            inside = region.function or function
            number = len(found)
            code = first.setdefault((inside, region.span, region.comprehension), number)
            around = () if region.kind == "group" else within
            found.append(Place(number, index, path, region, task, inside, code, around))
            deeper = (*around, code) if region.kind in ("map", "loop") else around
            for arm in region.arms:
                for inner in arm.tasks:
                    look(inner, index, f"{path}/{inner.name}", inside, deeper)

    for index, task in enumerate(graph.tasks):
        look(task, index, task.name, "", ())
    return found


def region_rows(graph: TaskGraph, stays_home: Callable[[str], bool], ahead: bool) -> list[dict[str, Any]]:
    """The table, as plain data. ``stays_home`` tells of a task's name whether the user wants it at home; ``ahead``
    whether there are helpers."""
    places = [place for place in regions_of(graph) if place.code == place.number]
    table = _Table(places, stays_home if ahead else lambda name: True)
    return [table.row(place) for place in places]


class _Table:
    """The rows in the making: units are numbered as they come up, each task once."""

    def __init__(self, places: list[Place], stays_home: Callable[[str], bool]) -> None:
        self.stays_home = stays_home
        self.numbers = {id(place.region): place.number for place in places}
        self.units: dict[int, list[Any]] = {}
        self.stages = 0
        self.slices = {place.number: self._slice(place.region) for place in places}
        self.around: dict[int, list[int]] = {}
        for place in places:  # outer ones come first, so inner ones end up in front
            for loop in self.slices[place.number]["loops"]:
                self.around.setdefault(loop, []).insert(0, place.number)

    def unit(self, task: Task) -> list[Any]:
        """The row of a task that may run elsewhere."""
        made = self.units.get(id(task))
        if made is None:
            made = self.units[id(task)] = _unit(len(self.units), task)
        return made

    def row(self, place: Place) -> dict[str, Any]:
        region = place.region
        tasks = _strand(region)
        if any(self.stays_home(task.name) for task in tasks):
            tasks = []  # later ones may need what is kept at home
        sliced = self.slices[place.number]
        apart = self._apart(region)
        inside = (
            [region.arms[0].tasks[index] for index in region.arms[0].covered(region.arms[0].apart)] if apart else ()
        )
        preamble = [*_preamble(region.strand if tasks else inside), *sliced.pop("preamble")]
        return {
            "region": place.number,
            "task": place.task,
            "block": place.statement.anchor.block,
            "function": place.function,
            "node": _node(place),
            "span": list(_span(region.span)),
            "heavy": region.heavy,
            "ahead": bool(tasks or sliced["arms"]),
            "units": [self.unit(task) for task in tasks],
            "preamble": [list(span) for span in dict.fromkeys(map(tuple, preamble))],
            "given": [v.name for v in region.given if v.scope == "<driver>"],
            "outer": [v.name for v in region.given if v.scope == "<turn>"],
            "stages": self._stages(region),
            "slice": sliced,
            "tests": region.tests,
            "around": self.around.get(place.number, []),
            "within": list(place.within),
            "told": any(_prints(task) for arm in region.arms for task in arm.tasks),
            "arms": self._arms(region),
            "apart": [self.unit(task) for task in apart],
        }

    def _apart(self, region: Region) -> list[Task]:
        """Of a coroutine's body, what may run as soon as it exists; all or nothing, since one may need the other."""
        arm = region.arms[0]
        if any(self.stays_home(arm.tasks[index].name) for index in arm.covered(arm.apart)):
            return []
        return _outermost(arm, list(arm.apart))

    def _slice(self, region: Region) -> dict[str, Any]:
        """What of a loop's turn may run ahead deeper in it: ``heads`` are the regions that helpers enter, ``loops``
        those of them that are loops; ``arms`` has rows ``[region, arm, *numbers of units]``."""
        found: dict[str, Any] = {"heads": [], "loops": [], "arms": [], "preamble": []}
        if region.kind in ("map", "loop"):
            tasks = list(self._inside(region.arms[0].tasks, 1, found))
            if any(self.stays_home(task.name) for task in (*region.strand, *tasks)):
                return {"heads": [], "loops": [], "arms": [], "preamble": []}
            found["preamble"] = _preamble(tasks)
        return found

    def _inside(self, tasks: Iterable[Task], loops: int, found: dict[str, Any]) -> Iterator[Task]:
        for task in tasks:
            for region in task.regions:
                if region.through < loops:
                    continue
                number = self.numbers[id(region)]
                found["heads"].append(number)
                inner = loops
                if region.kind in ("map", "loop"):
                    found["loops"].append(number)
                    inner += 1
                for position, arm in enumerate(region.arms):
                    chosen = _outermost(arm, [index for index, most in arm.ahead if most >= inner])
                    if chosen:
                        units = [self.unit(part)[0] for part in chosen]
                        found["arms"].append([number, position, *units])
                    yield from (arm.tasks[index] for index, most in arm.ahead if most >= inner)
                    yield from self._inside(arm.tasks, inner, found)

    def _arms(self, region: Region) -> list[list[Any]]:
        """The units in each arm that belong to turns of loops around: ``[arm, *units]``."""
        rows = []
        for position, arm in enumerate(region.arms):
            units = [self.units[id(t)] for t in _outermost(arm, [i for i, _ in arm.ahead]) if id(t) in self.units]
            if units:
                rows.append([position, *units])
        return rows

    def _stages(self, region: Region) -> list[dict[str, Any]]:
        """The stages of a region's arms."""
        rows: list[dict[str, Any]] = []
        for position, arm in enumerate(region.arms):
            for stage in arm.stages:
                groups = [
                    [self.unit(arm.tasks[index]) for index in group]
                    for group in stage.groups
                    if not any(self.stays_home(arm.tasks[index].name) for index in arm.covered(group))
                ]
                if groups:
                    every = sorted(index for group in stage.groups for index in arm.covered(group))
                    rows.append(
                        {
                            "stage": self.stages,
                            "arm": position,
                            "first": stage.first,
                            "groups": groups,
                            "preamble": _preamble([arm.tasks[index] for index in every]),
                        }
                    )
                    self.stages += 1
        return rows


def _prints(task: Task) -> bool:
    return any(effect.place in PRINTED for effect in task.effects) or any(
        _prints(inner) for region in task.regions for arm in region.arms for inner in arm.tasks
    )


def _outermost(arm: Arm, indices: list[int]) -> list[Task]:
    """Tasks of an arm, without those that stand inside of another one of them."""
    inside = {inner for index in indices for inner in arm.tasks[index].inner}
    return [arm.tasks[index] for index in indices if index not in inside]


def _preamble(tasks: Iterable[Task]) -> list[list[int]]:
    """Where the statements stand that are repeated before tasks that run elsewhere."""
    return [list(span) for span in dict.fromkeys(_span(span) for task in tasks for span in task.preamble)]


def _strand(region: Region) -> list[Task]:
    """The tasks of the strand, without those that stand inside another one of them."""
    if region.kind not in ("map", "loop"):
        return []
    arm = region.arms[0]
    return _outermost(arm, [index for index, task in enumerate(arm.tasks) if not task.home])


def _node(place: Place) -> str:
    if place.region.mapped:
        return "map"
    if place.region.choice:
        return "choice"
    if place.region.comprehension:
        return "comprehension"
    if place.region.kind == "group":
        return "function"
    word = place.statement.source.split(None, 1)[0].rstrip(":(")
    if word == "async":
        return "with"
    return word if word in ("for", "while", "if", "with", "try", "match") else "for"


def _unit(number: int, task: Task) -> list[Any]:
    expression = task.anchor.expression
    bound = [out for out in task.outputs if out.change == "bound" and out.variable.scope != "<value>"]
    names = [out.variable.name for out in bound if out.definite]
    maybe = [out.variable.name for out in bound if not out.definite]
    return [number, task.anchor.first, task.anchor.last, list(_span(expression)) if expression else None, names, maybe]


def _span(span: Span) -> tuple[int, int, int, int]:
    return span.line, span.column, span.end_line, span.end_column


def region_facts(places: list[Place], task: int, told: list[Any], streams: Sequence[str]) -> tuple[RegionFacts, ...]:
    """What was told of the regions of a task, in terms of the graph; also of those that were not entered.
    ``streams``: those of which the stretches of output that were told are those of the text that is kept."""
    by_number = {number: (arms, tally) for number, arms, tally, _ in told}
    printed = {number: rows for number, _, _, rows in told}
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
            _, more, items, ahead, shown = tally
            turns += more
            each = tuple(
                ItemFacts(index, item, duration, where, tuple(path)) for index, item, duration, where, path in shown
            )
        if place.region.kind in ("map", "loop"):
            named = tuple((name, count) for name, count in named[1:])
        else:
            turns, items = 0, -1
        rows = [row for row in printed.pop(place.code, ()) if row[2] in streams]
        outputs = tuple(ItemOutput(tuple(path), item, stream, start, stop) for path, item, stream, start, stop in rows)
        facts = RegionFacts(place.path, place.region.kind, place.region.name, turns, items, ahead, named, each, outputs)
        found.append(facts)
    return tuple(found)
