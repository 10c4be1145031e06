"""The cells of a script with ``# %%`` markers, as Jupytext, Spyder and VS Code read them.

    # %% [markdown]                 cell 1, text
    # # Load
    # %%                            cell 2, "Load"
    df = load("a.csv")
    # %% Fit the model tags=["x"]   cell 3, "Fit the model"
    m = fit(df)

They change nothing in what the script does; they are seams between tasks (``lower_layout``), and headings in previews.
A marker counts at the left margin outside of any statement. What stands before the first one is a cell if it has code.
"""

from __future__ import annotations

import ast
import re

from inferflow.model import Cell

__all__ = ["heading", "percent_cells"]

_MARKER = re.compile(r"#\s*%%+(?!\w)(.*)")
_KIND = re.compile(r"\[(markdown|md|raw|rst)\]", re.IGNORECASE)
_OPTIONS = re.compile(r"\s*([\w.-]+\s*=.*|\{.*)\Z")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\Z")


def heading(text: str) -> str:
    """The last heading of a cell of text, without its marks; empty if there is none."""
    found = ""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        match = _HEADING.match(line.strip())
        if match and not fenced:
            found = match[1]
    return found


def percent_cells(text: str) -> tuple[Cell, ...]:
    """The code cells of a script; none if it has no marker. ``text`` is valid Python."""
    lines = text.split("\n")
    starts = [ast_line for ast_line, line in enumerate(lines, 1) if _MARKER.match(line)]
    if not starts:
        return ()
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    inside = {line for node in body for line in range(_first(node) + 1, (node.end_lineno or node.lineno) + 1)}
    starts = [line for line in starts if line not in inside]
    counts: dict[int, int] = {}  # the marker's line, 0 before the first: how many statements
    for node in body:
        marker = max((line for line in starts if line < node.lineno), default=0)
        counts[marker] = counts.get(marker, 0) + 1
    cells: list[Cell] = []
    title = ""
    for place, marker in enumerate([0, *starts] if counts.get(0) else starts):
        number = place + 1
        end = next((line for line in starts if line > marker), len(lines) + 1)
        match = _MARKER.match(lines[marker - 1]) if marker else None
        head = match[1] if match else ""
        if _KIND.search(head):
            title = heading("\n".join(re.sub(r"^# ?", "", line) for line in lines[marker : end - 1])) or title
            continue
        own = _OPTIONS.sub("", head).strip()
        if counts.get(marker):
            cells.append(Cell(number, marker + 1, end - marker - 1, counts[marker], title=own or title))
        title = ""
    return tuple(cells)


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
