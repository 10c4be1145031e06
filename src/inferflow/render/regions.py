"""Loops, branches and the like in words: the lines that stand under such a task in a preview.

for path in paths: ↻            the turns follow one another where they have to
  ○ load(path) → table          may be run ahead, for any item
  ● total += ‹2›                at home, in order
if total > 10:
  · report(total)               in its place, when the branch is taken
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.model import Region, RegionFacts, Task
from inferflow.render.style import clean, code_lines

__all__ = ["KINDS", "inside", "region_summary", "region_text"]

KINDS = {
    "map": "each item by itself",
    "loop": "turns in order",
    "branch": "one arm",
    "try": "left at a failure",
    "with": "in its context",
}

DEEPEST = 4


def inside(task: Task, depth: int = 0, deepest: int = DEEPEST) -> tuple[str, ...]:
    """What stands in the task's regions, a line each, indented; for a simple statement its comprehensions' calls."""
    return tuple(_lines(task, depth, deepest))


def _lines(task: Task, depth: int, deepest: int) -> Iterator[str]:
    pad = "  " * depth
    for region in task.regions:
        for arm in region.arms:
            head = arm.name if arm.name != "turn" else region.name
            if region.comprehension:
                yield f"{pad}for each {', '.join(region.items) or 'item'}:"
            else:
                yield clean(f"{pad}{head}:")
            if depth // 2 >= deepest:
                yield f"{pad}  …"
                continue
            for inner in arm.tasks:
                yield f"{pad}  {mark(region, inner)} {_said(inner)}"
                if inner.regions:
                    yield from _lines(inner, depth + 2, deepest)


def mark(region: Region, task: Task) -> str:
    """Whether a task in a region may be run ahead, keeps an order, or just has its place."""
    if region.kind in ("map", "loop"):
        return "●" if task.home else "○"
    return "·"


def _said(task: Task) -> str:
    if task.regions and not task.regions[0].comprehension:
        return f"{task.name} ({task.kind}: {KINDS.get(task.kind, '')})"
    names = [o.variable.name for o in task.outputs if o.variable.scope != "<value>" and o.change == "bound"]
    text = " ".join(line.strip() for line in code_lines(task.source))
    if len(names) == 1 and text.startswith(f"{names[0]} = "):
        return clean(f"{text.removeprefix(f'{names[0]} = ')} → {names[0]}")
    return clean(text)


def region_summary(task: Task) -> str:
    """``for path in paths: load, score``: a compound statement on one line."""
    parts = []
    for region in task.regions:
        for arm in region.arms:
            calls = ", ".join(dict.fromkeys(t.name for t in arm.tasks if t.kind != "glue"))
            head = arm.name if arm.name != "turn" else region.name
            parts.append(f"{head}: {calls}" if calls else head)
    return clean("; ".join(parts))


def region_text(facts: RegionFacts) -> str:
    """What happened in a region: ``12 of 12 items, 5 ahead``; ``taken: if n > 3 (2 times); skipped: else``."""
    parts = []
    if facts.kind in ("map", "loop"):
        known = f" of {facts.items:,}" if facts.items >= 0 else ""
        parts.append(
            f"{facts.turns:,}{known} {'item' if known else 'turn'}{'' if facts.turns == 1 and not known else 's'}"
        )
        if facts.ahead:
            parts.append(f"{facts.ahead:,} ahead")
    taken = [f"{name} ({count:,} times)" if count > 1 else name for name, count in facts.arms if count]
    skipped = [name for name, count in facts.arms if not count]
    text = ", ".join(parts)
    if taken:
        text += ("; " if text else "") + f"taken: {'; '.join(taken)}"
    if skipped:
        text += (" · " if text else "") + f"skipped: {'; '.join(skipped)}"
    return clean(text)
