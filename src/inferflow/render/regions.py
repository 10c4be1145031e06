"""Loops, branches and the like in words, and part by part: what stands under such a task in each form of a preview.

for path in paths: ↻            the turns follow one another where they have to
  ○ load(path) → table          may be run ahead, for any item; or beside other tasks of the same arm, or coroutines
  ● total += ‹2›                at home, in order
if total > 10:
  · report(total)               in its place, when the branch is taken
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferflow.model import Arm, Region, RegionFacts, Task
from inferflow.records import frozen
from inferflow.render.style import clean, code_lines

__all__ = ["KINDS", "MOST", "Part", "inside", "parts", "region_summary", "region_text"]

KINDS = {
    "map": "each item by itself",
    "loop": "turns in order",
    "branch": "one arm",
    "try": "left at a failure",
    "with": "in its context",
    "group": "opened",
}

DEEPEST = 4


MOST = 40
"""So many parts of one task are drawn in a picture."""


@frozen
class Part:
    """A task inside a region, or the head of an arm, as pictures show it. ``level`` is how deep it stands (0: directly
    in the top-level task), ``mark`` is that of a task and empty for a head, ``key`` is unique within the top-level
    task, ``takes`` are the keys of the tasks of the same arm that it follows."""

    key: str
    level: int
    mark: str
    text: str
    takes: tuple[str, ...] = ()

    @property
    def is_head(self) -> bool:
        return not self.mark


def parts(task: Task, deepest: int = DEEPEST) -> tuple[Part, ...]:
    """What stands in the task's regions, in program order."""
    return tuple(_parts(task, "", 0, deepest))


def _parts(task: Task, path: str, level: int, deepest: int) -> Iterator[Part]:
    number = 0
    for region in task.regions:
        for arm in region.arms:
            number += 1
            key = f"{path}{number}"
            yield Part(key, level, "", clean(_head(region, arm)))
            if level // 2 >= deepest:
                yield Part(f"{key}_0", level + 1, "·", "…")
                continue
            for index, inner in enumerate(arm.tasks):
                before = sorted({*inner.needs, *(item.producer for item in inner.inputs if item.producer >= 0)})
                takes = tuple(f"{key}_{other}" for other in before)
                marked = mark(region, arm, index)
                whole = marked == "○" and region.kind in ("map", "loop")
                yield Part(f"{key}_{index}", level + 1, marked, _said(inner, whole), takes)
                if inner.regions:
                    yield from _parts(inner, f"{key}_{index}_", level + 2, deepest)


def _head(region: Region, arm: Arm) -> str:
    if region.comprehension and not region.choice:
        return f"for each {', '.join(region.items) or 'item'}"
    return region.name if arm.name in ("turn", "body") else arm.name


def inside(found: Iterable[Part]) -> tuple[str, ...]:
    """Parts as text, a line each, indented."""
    return tuple(
        f"{'  ' * part.level}{part.text}:" if part.is_head else f"{'  ' * part.level}{part.mark} {part.text}"
        for part in found
    )


def mark(region: Region, arm: Arm, index: int) -> str:
    """Whether a task in a region may be run ahead or beside others, keeps an order, or just has its place."""
    task = arm.tasks[index]
    if index in arm.beside or index in arm.apart or any(index == number for number, _ in arm.ahead):
        return "○"
    if region.kind in ("map", "loop") and arm is region.arms[0]:
        return "●" if task.home else "○"
    return "·"


def _said(task: Task, whole: bool) -> str:
    if task.regions and not task.regions[0].comprehension and task.regions[0].kind != "group":
        how = "one piece of the turn" if whole else KINDS.get(task.kind, "")
        return f"{task.name} ({task.kind}: {how})"
    names = [o.variable.name for o in task.outputs if o.variable.scope != "<value>" and o.change == "bound"]
    text = " ".join(line.strip() for line in code_lines(task.source))
    if len(names) == 1 and text.startswith(f"{names[0]} = "):
        return clean(f"{text.removeprefix(f'{names[0]} = ')} → {names[0]}")
    return clean(text)


def region_summary(task: Task) -> str:
    """``for path in paths: load, score``: a compound statement on one line."""
    found = []
    for region in task.regions:
        for arm in region.arms:
            calls = ", ".join(dict.fromkeys(t.name for t in arm.tasks if t.kind != "glue"))
            head = _head(region, arm)
            found.append(f"{head}: {calls}" if calls else head)
    return clean("; ".join(found))


def region_text(facts: RegionFacts) -> str:
    """What happened in a region: ``12 of 12 items, 5 ahead``; ``taken: if n > 3 (2 times); skipped: else``."""
    told: list[str] = []
    if facts.kind in ("map", "loop"):
        known = f" of {facts.items:,}" if facts.items >= 0 else ""
        told.append(
            f"{facts.turns:,}{known} {'item' if known else 'turn'}{'' if facts.turns == 1 and not known else 's'}"
        )
        if facts.ahead:
            told.append(f"{facts.ahead:,} ahead")
    elif facts.ahead:
        told.append(f"{facts.ahead:,} beside others")
    arms = facts.arms if facts.kind != "group" else ()
    taken = [f"{name} ({count:,} times)" if count > 1 else name for name, count in arms if count]
    skipped = [name for name, count in arms if not count]
    text = ", ".join(told)
    if taken:
        text += ("; " if text else "") + f"taken: {'; '.join(taken)}"
    if skipped:
        text += (" · " if text else "") + f"skipped: {'; '.join(skipped)}"
    return clean(text)
