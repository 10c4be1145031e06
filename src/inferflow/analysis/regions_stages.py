"""Which tasks of a statement list may run beside each other: the *stages* of an arm, and the *groups* in them.

    with timer():                    stage 0, from statement 0
        a = fit(x)                     group 0: fit
        b = fit(y)                     group 1: fit.2, score(b)
        s = score(b)
        both = merge(a, b)           stage 1, from statement 3, when both are there
        p = plot(both)                 group 0: plot
        q = report(both)               group 1: report

At the statement where a stage begins, everything that its groups read from outside is there: helpers are forked from
home at that moment, and each runs one group. A group is a chain of tasks, each of which needs, of what the arm makes
after that moment, only what is made in the group; where several tasks that take time need what one makes, the chain
ends, and they are groups of a stage of their own. A stage is worth having only if home has something else to do than to
wait for its one group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from inferflow.model import Arm, Stage, Task
from inferflow.records import define, field

__all__ = ["stages_of"]


@define
class _Open:
    """A stage in the making."""

    first: int
    groups: list[list[int]] = field(factory=list)


def stages_of(
    arm: Arm,
    elsewhere: Collection[int],
    is_heavy: Callable[[Task], bool],
    is_work: Callable[[Task], bool],
    start: int = 0,
) -> tuple[Stage, ...]:
    """The stages of an arm, whose tasks say what they depend on within it. ``elsewhere`` are those that are run ahead
    by other means; ``is_heavy`` tells whether a task may take time, ``is_work`` whether there is a call in it that is
    worth thinking about. No stage begins before statement ``start``."""
    tasks = arm.tasks
    covers = [arm.covered((index,)) for index in range(len(tasks))]
    units = _units(tasks, covers, elsewhere, is_work)
    needs = {index: _needed(tasks, covers, index) for index in units}
    heavy = [index for index in units if any(is_heavy(tasks[part]) for part in covers[index])]
    ends = {i for i in units if sum(bool(needs[other] & covers[i]) for other in heavy) > 1}
    open_stages: list[_Open] = []
    member: dict[int, tuple[_Open, list[int]]] = {}
    for index in units:
        place = _place(tasks, index, needs[index], open_stages, member, ends, start)
        if place is None:
            continue
        stage, group = place
        group.append(index)
        for inner in covers[index]:
            member[inner] = (stage, group)
    return tuple(
        Stage(stage.first, tuple(map(tuple, stage.groups)))
        for stage in open_stages
        if _is_worth(tasks, stage, covers, is_heavy, is_work)
    )


def _units(
    tasks: Sequence[Task],
    covers: Sequence[frozenset[int]],
    elsewhere: Collection[int],
    is_work: Callable[[Task], bool],
) -> list[int]:
    """What may be run as one piece, in program order. A statement in which several calls stand that are free of each
    other is none: these are, and the rest of it is home's."""
    found: list[int] = []
    for index, task in enumerate(tasks):
        if task.home or _is_taken_apart(task) or covers[index] & set(elsewhere) or not is_work(task):
            continue
        inside = [other for other in found if other in covers[index]]
        if len(inside) > 1:
            continue
        for other in inside:
            found.remove(other)
        found.append(index)
    return found


def _is_taken_apart(task: Task) -> bool:
    """Whether what is inside runs ahead by itself. (A function that is opened is still one call, and a conditional
    expression one expression.)"""
    return any(region.kind != "group" and not region.choice for region in task.regions)


def _needed(tasks: Sequence[Task], covers: Sequence[frozenset[int]], index: int) -> set[int]:
    """The tasks of the arm that must be done before this one."""
    found: set[int] = set()
    for part in covers[index]:
        task = tasks[part]
        found.update(task.needs, task.state, (item.producer for item in task.inputs if item.producer >= 0))
    return found - covers[index]


def _place(
    tasks: Sequence[Task],
    index: int,
    needed: set[int],
    stages: list[_Open],
    member: dict[int, tuple[_Open, list[int]]],
    ends: Collection[int],
    start: int,
) -> tuple[_Open, list[int]] | None:
    """The earliest stage that the task fits into, and its group there; ``None`` if it can only be home's."""
    for stage in stages:
        waits = [other for other in needed if tasks[other].anchor.last >= stage.first]
        if not waits:
            group: list[int] = []
            stage.groups.append(group)
            return stage, group
        homes = [member.get(other) for other in waits]
        chosen = homes[0]
        if (
            chosen is not None
            and not (chosen[1] and chosen[1][-1] in ends)
            and chosen[0] is stage
            and all(h is not None and h[1] is chosen[1] for h in homes)
        ):
            return chosen
    first = max([start, *(tasks[other].anchor.last + 1 for other in needed)])
    if first > tasks[index].anchor.first:
        return None
    made = _Open(first)
    made.groups.append([])
    stages.append(made)
    return made, made.groups[0]


def _is_worth(
    tasks: Sequence[Task],
    stage: _Open,
    covers: Sequence[frozenset[int]],
    is_heavy: Callable[[Task], bool],
    is_work: Callable[[Task], bool],
) -> bool:
    """Whether there are two things to do at once: a group, and another one or home's own work before it."""
    heavy = [group for group in stage.groups if any(is_heavy(tasks[i]) for i in group)]
    if len(heavy) > 1:
        return True
    if not heavy:
        return False
    own = frozenset(i for group in stage.groups for member in group for i in covers[member])
    begins = tasks[heavy[0][0]].anchor.first
    return any(
        stage.first <= task.anchor.first < begins and i not in own and _takes_time(task, is_heavy, is_work)
        for i, task in enumerate(tasks)
    )


def _takes_time(task: Task, is_heavy: Callable[[Task], bool], is_work: Callable[[Task], bool]) -> bool:
    if task.regions:
        return any(_takes_time(inner, is_heavy, is_work) for r in task.regions for a in r.arms for inner in a.tasks)
    return is_work(task) and is_heavy(task)
