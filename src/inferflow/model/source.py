"""Source text and positions in it."""

from __future__ import annotations

from inferflow.model.content import content_digest
from inferflow.records import field, frozen


@frozen(order=True)
class Span:
    """A stretch of one file's text.

    ``path`` is as shown to users: relative to the project root with ``/`` where the file is inside
    it, absolute otherwise. Lines count from 1. Columns count from 0, in UTF-8 bytes, exactly as
    ``ast`` counts them (``lineno, col_offset, end_lineno, end_col_offset``), so that a span found by
    the analysis can be found again in a tree that the worker parses.
    """

    path: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@frozen
class Cell:
    """A code cell of a notebook, in the text that the notebook is for the analysis, or of a script with ``# %%``
    markers. ``number`` counts all cells, from 1; ``line`` and ``lines`` tell where it stands in the text; ``count`` is
    how many statements it has there. ``whole``: these stand for the cell as a whole (IPython sees others). ``title`` is
    what the marker, or a heading right before the cell, calls it."""

    number: int
    line: int
    lines: int
    count: int
    whole: bool = False
    title: str = ""


@frozen
class Source:
    """One file of the project.

    ``module`` is its dotted name, ``__main__`` for a driver run as a script. ``filename`` is the
    absolute path on disk; ``path`` the one shown to users (see :class:`Span`). ``text`` is decoded
    as Python decodes it (BOM and coding cookie), with newlines as they stand.
    """

    module: str
    path: str
    filename: str
    text: str = field(repr=False)
    is_package: bool = False
    cells: tuple[Cell, ...] = ()
    shown: str = field(default="", repr=False)
    """For a notebook (not for a script): its code cells, and the text as the cells have it, line by line beside
    ``text``."""
    parameters_cell: int = 0
    """For a notebook: the number of the cell tagged ``parameters``; 0 if there is none."""
    runs: tuple[tuple[str, str], ...] = ()
    """For a notebook: the scripts whose names were read for ``%run``, with the SHA-256 of their bytes."""

    def cell_at(self, line: int) -> Cell | None:
        """The cell in which a line of the text stands."""
        low, high = 0, len(self.cells)
        while low < high:
            middle = (low + high) // 2
            if self.cells[middle].line <= line:
                low = middle + 1
            else:
                high = middle
        cell = self.cells[low - 1] if low else None
        return cell if cell is not None and line < cell.line + cell.lines else None

    @property
    def digest(self) -> str:
        """The digest of the text, under which the store keeps it."""
        return content_digest(self.text.encode("utf-8", "surrogatepass"))
