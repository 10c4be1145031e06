"""Source text and positions in it."""

from __future__ import annotations

from attrs import field, frozen

from inferflow.model.content import content_digest


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

    @property
    def digest(self) -> str:
        """The digest of the text, under which the store keeps it."""
        return content_digest(self.text.encode("utf-8", "surrogatepass"))
