"""The preview as a table: one row for each task, none left out, for reading and for ``grep``.

#  task       runs   call              takes          gives  line
─  ─────────  ─────  ────────────────  ─────────────  ─────  ────
1  load_data  ahead  load_data()                      X, Y     12
2  fit        ahead  fit(X, Y, C=1.0)  X, Y ← 1       m        13
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.model import TaskGraph
from inferflow.render.cellwise import cell_heading
from inferflow.render.outline import Outline, Row, Take, outline
from inferflow.render.style import Piece, clean, table
from inferflow.render.tree import AHEAD, HOME, footer, header, marked

__all__ = ["render_table"]

FULL = 60
"""Up to so many tasks, a cell may take several lines."""


def render_table(graph: TaskGraph, width: int = 80, color: bool = False) -> str:
    """The table as text, ending in a newline; no line is wider than ``width``."""
    view = outline(graph)
    lines = [*header(view, width, color), ""]
    if view.rows:
        head = ["#", "", "task", "call", "takes", "gives", "line"]
        rows = [cells for row in view.rows for cells in _all_cells(row, graph.path)]
        shrink: tuple[int, ...] = (2, 4, 5)
        if view.cellwise.cells:
            head.append("cell")
            rows = [
                [*cells, _cell(row, view) if not place else ("", "")]
                for row in view.rows
                for place, cells in enumerate(_all_cells(row, graph.path))
            ]
            shrink = (*shrink, 7)
        height = 6 if len(rows) <= FULL else 1
        lines += table(head, rows, width, color, right=frozenset({0, 6}), shrink=shrink, lines=height)
    return "\n".join([*lines, *footer(view, width, color)]) + "\n"


def _all_cells(row: Row, path: str) -> Iterator[list[Piece]]:
    """The task's own row, and one for each part inside of it."""
    yield _cells(row, path)
    for part in row.parts:
        pad = "\u00a0\u00a0" * part.level  # spaces that the table keeps
        text: Piece = (f"{pad}{part.text}:", "dim") if part.is_head else (f"{pad}{part.text}", "")
        role = {AHEAD: "ahead", HOME: "home"}.get(part.mark, "dim")
        yield [("", ""), (part.mark, role), ("", ""), text, ("", ""), ("", ""), ("", "")]


def _cells(row: Row, path: str) -> list[Piece]:
    span = row.task.span
    return [
        (str(row.number), "dim"),
        marked(row),
        (row.title, "name"),
        (row.call if not row.summary else "", ""),
        ("; ".join(map(_take, row.takes)), "dim"),
        (row.result, "value"),
        (str(span.line) if span.path == path else clean(str(span)), "dim"),
    ]


def _cell(row: Row, view: Outline) -> Piece:
    cell = view.cellwise.cell(row.task.span)
    return (cell_heading(cell) if cell is not None else "", "dim")


def _take(take: Take) -> str:
    what = ", ".join(take.labels)
    # The spaces do not break, so that a number never stands alone.
    return f"{what}\u00a0←\u00a0{take.producer + 1}" if take.producer >= 0 else f"{what}\u00a0given"
