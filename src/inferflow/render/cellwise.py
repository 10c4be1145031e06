"""Where tasks stand in the cells of a notebook, or of a script with ``# %%`` markers.

Cellwise(graph).begins      {2: "[3] Fit the model"}: task 2 is the first of that cell
Cellwise(graph).line(span)  the line of the driver's text on which a place stands
"""

from __future__ import annotations

import re

from inferflow.model import Cell, Span, TaskGraph
from inferflow.render.style import clean

__all__ = ["Cellwise", "cell_heading"]

_PLACE = re.compile(r"(.*)\[(\d+)\]\Z", re.DOTALL)


def cell_heading(cell: Cell) -> str:
    """``[3] Fit the model``; ``[3]`` if it has no title."""
    return clean(f"[{cell.number}] {cell.title}".rstrip())


class Cellwise:
    """The cells of a graph, by number; ``begins``: for the first task of each its heading. Nothing in both for a driver
    without cells."""

    def __init__(self, graph: TaskGraph) -> None:
        self.path = graph.path
        self.cells = {cell.number: cell for cell in graph.cells}
        self.begins: dict[int, str] = {}
        self.heads = {cell.line: cell_heading(cell) for cell in graph.cells}
        last = 0
        for index, task in enumerate(graph.tasks if self.cells else ()):
            cell = self.cell(task.span)
            if cell is not None and cell.number != last:
                self.begins[index] = cell_heading(cell)
            last = cell.number if cell is not None else 0

    def cell(self, span: Span) -> Cell | None:
        """The cell in which a place stands."""
        found = _PLACE.match(span.path)
        if found and found[1] == self.path:
            return self.cells.get(int(found[2]))
        if span.path != self.path:
            return None
        line = span.line
        return next((cell for cell in self.cells.values() if cell.line <= line < cell.line + cell.lines), None)

    def line(self, span: Span) -> int:
        """The line of the driver's text on which a place begins; 0 if it stands in another file."""
        if span.path == self.path:
            return span.line
        cell = self.cell(span)
        return cell.line - 1 + span.line if cell is not None else 0

    def last(self, span: Span) -> int:
        """The line of the driver's text on which a place ends; 0 as for ``line``."""
        first = self.line(span)
        return first and first + max(0, span.end_line - span.line)
