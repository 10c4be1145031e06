"""The driver's lines beside the explicit tasks that they became.

    iris/driver.py                         │ tasks
    23  def main():                        │
    25      X, Y = load_data()             │  1 load_data() → X, Y
    26      m = model_fit(X, Y, C=1.0)     │  2 model_fit(X, Y, C=1.0) → m
                                           │      X, Y from 1

Stretches of the driver in which no task stands are drawn together. Without the driver's text, each task's own lines
are shown. Tasks of other files follow at the end with their own text.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.model import Block, TaskGraph
from inferflow.render.outline import Outline, Row, outline, source_text, takes_text
from inferflow.render.regions import inside
from inferflow.render.style import Piece, cells, clean, clip, code_lines, compose, paint, wrap
from inferflow.render.tree import INSIDE, footer, header, marked
from inferflow.render.units import count

__all__ = ["render_diff"]

NEAR = 1
"""Lines shown before and after each task, however far the next task is."""


def render_diff(graph: TaskGraph, width: int = 80, color: bool = False, text: str = "") -> str:
    """Two columns, ending in a newline; no line is wider than ``width``. ``text``: the driver's source."""
    view = outline(graph)
    shape = _Shape(width, color, view)
    lines = [
        *header(view, width, color),
        "",
        shape.line("", "your driver", [("the tasks", "dim")], "dim"),
        shape.rule(),
    ]
    here: dict[int, list[Row]] = {}
    others: list[Row] = []
    source = code_lines(text.removesuffix("\n")) if text else []
    for row in view.rows:
        line = view.cellwise.line(row.task.span)
        if line and (line <= len(source) or not source):
            here.setdefault(line, []).append(row)
        else:
            others.append(row)
    if source:
        lines.extend(_sides(source, here, graph.blocks, shape))
    else:
        others = list(view.rows)
    for row in others:
        if source:
            lines.append(shape.line("", str(row.task.span), [], "dim"))
        own = [part for line in code_lines(source_text(row.task)) for part in shape.code(line)]
        right = shape.task(row)
        for offset in range(max(len(own), len(right))):
            number = str(row.task.span.line) if not offset else ""
            left = own[offset] if offset < len(own) else ""
            lines.append(shape.line(number, left, right[offset] if offset < len(right) else []))
    lines.append(shape.rule("┴"))
    return "\n".join([*lines, *footer(view, width, color)]) + "\n"


def _sides(source: list[str], here: dict[int, list[Row]], blocks: tuple[Block, ...], shape: _Shape) -> Iterator[str]:
    """The driver's lines that matter, each with the tasks that begin on it; a task's text goes on beside the lines that
    follow, up to the next task."""
    shown = _shown(source, here, blocks, shape.view)
    labels = _labels(source, shape.view)
    waiting: list[list[Piece]] = []
    number = 1
    while number <= len(source):
        end = number
        while end <= len(source) and end not in shown:
            end += 1
        if end > number:
            yield from (shape.line("", "", rest) for rest in waiting)
            waiting = []
            if any(line.strip() for line in source[number - 1 : end - 1]):
                yield shape.line("", f"⋮ {count(end - number, 'line')}", [], "dim")
            number = end
            continue
        if number in here:
            yield from (shape.line("", "", rest) for rest in waiting)
            waiting = [line for row in here[number] for line in shape.task(row)]
        for place, part in enumerate(shape.code(source[number - 1])):
            yield shape.line(
                "" if place else labels[number - 1],
                part,
                waiting.pop(0) if waiting else [],
                "title" if number + 1 in shape.view.cellwise.heads else "",
            )
        number += 1
    yield from (shape.line("", "", rest) for rest in waiting)


def _labels(source: list[str], view: Outline) -> list[str]:
    """What is shown as the number of each line: in a notebook, lines are counted from the beginning of their cell."""
    if not view.graph.path.endswith(".ipynb"):
        return [str(number) for number in range(1, len(source) + 1)]
    labels = [""] * len(source)
    for cell in view.cellwise.cells.values():
        for number in range(cell.line, min(cell.line + cell.lines, len(source) + 1)):
            labels[number - 1] = str(number - cell.line + 1)
    return labels


def _shown(source: list[str], here: dict[int, list[Row]], blocks: tuple[Block, ...], view: Outline) -> set[int]:
    """The numbers of the lines to show: those of tasks, with their neighbours, and the heads of blocks and cells."""
    shown = {block.span.line for block in blocks if block.kind != "module"}
    for line, rows in here.items():
        last = max(max(line, view.cellwise.last(row.task.span)) for row in rows)
        shown.update(range(line - NEAR, min(last, line + 20) + NEAR + 1))
    # A gap of one line says nothing that the line itself would not.
    shown.update(n for n in range(1, len(source) + 1) if n - 1 in shown and n + 1 in shown)
    shown.update(line - 1 for line in view.cellwise.heads)
    blank = {n for n in shown if not 0 < n <= len(source)}
    return shown - blank


class _Shape:
    """The two columns: the left one has a number and code, the right one tasks."""

    def __init__(self, width: int, color: bool, view: Outline) -> None:
        self.width, self.color, self.view = width, color, view
        lines = [view.cellwise.last(row.task.span) or row.task.span.end_line for row in view.rows]
        self.digits = max(2, len(str(max(lines, default=1))))
        self.left = max(20, (width - 3) // 2)
        self.right = width - self.left - 3

    def line(self, number: str, code: str, right: list[Piece], role: str = "") -> str:
        room = self.left - self.digits - 2
        text = clip(clean(code), room)
        fill = " " * (room - cells(text))
        bar: Piece = (" │ " if right else " │", "dim")
        pieces = [(f"{number:>{self.digits}}  ", "dim"), (text, role), (fill, ""), bar, *right]
        return compose(pieces, self.width, self.color)

    def code(self, text: str) -> list[str]:
        """A line of code, in several lines where it is too long for its column."""
        room = self.left - self.digits - 2
        text = clean(text)
        indent = min(len(text) - len(text.lstrip()), room // 2)
        parts = wrap(text.strip(), room - indent - 2, 4) or [""]
        return [" " * (indent + (2 if place else 0)) + part for place, part in enumerate(parts)]

    def rule(self, joint: str = "┼") -> str:
        return paint("─" * (self.left + 1) + joint + "─" * (self.right + 1), "dim", self.color)

    def task(self, row: Row) -> list[list[Piece]]:
        """The task's lines for the right column."""
        mark: Piece = marked(row)
        digits = len(str(len(self.view.rows)))
        lead = digits + 3
        room = max(12, self.right - lead)
        name, call = row.title, row.call
        head = [(name, "name")] if not call.startswith(f"{name}(") else []
        out: list[list[Piece]] = []
        number: Piece = (f" {row.number:>{digits}} ", "dim")
        if head:
            out.append([mark, number, (clip(name, room), "name")])
        for part in wrap(call, room, 3) if not row.summary else ():
            pieces: list[Piece] = [(" " * lead, "")] if out else [mark, number]
            if not out:
                pieces += [(part[: len(name)], "name"), (part[len(name) :], "")]
            else:
                pieces.append((part, ""))
            out.append(pieces)
        if row.result:
            joined = sum(cells(text) for text, _ in out[-1]) + 3 + cells(row.result)
            if joined <= self.right:
                out[-1] += [(" → ", "dim"), (row.result, "value")]
            else:
                out += [[(" " * lead, ""), (part, "value")] for part in wrap(f"→ {row.result}", room, 2)]
        for line in inside(row.parts)[:INSIDE]:
            shown = line.lstrip()
            pad = " " * (lead + len(line) - len(shown))
            texts = wrap(shown, max(8, self.right - len(pad)), 2)
            out += [[(pad + ("  " if place else ""), ""), (text, "")] for place, text in enumerate(texts)]
        if row.takes:
            out += [[(" " * lead, ""), (part, "dim")] for part in wrap(takes_text(row), room, 3)]
        return out
