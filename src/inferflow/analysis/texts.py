"""Stretches of source text by span (lines from 1, columns in UTF-8 bytes).

>>> cut_lines([b"a = 1", b"b = 2"], Span("f.py", 1, 4, 2, 1))
'1\\nb'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferflow.model import Source, Span

__all__ = ["Texts", "cut_lines"]


class Texts:
    """The text of a project's files, split once."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = {source.path: source for source in sources.values()}
        self._lines: dict[str, list[bytes]] = {}

    def cut(self, span: Span) -> str:
        """The text of a span; empty if its file is not one of these."""
        lines = self._lines.get(span.path)
        if lines is None:
            source = self._sources.get(span.path)
            if source is None:
                return ""
            lines = self._lines[span.path] = split_lines(source.text)
        return cut_lines(lines, span)


def split_lines(text: str) -> list[bytes]:
    """Lines as Python counts them: ended by a newline only (a form feed is none)."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return [line.encode("utf-8", "surrogatepass") for line in unix.split("\n")]


def cut_lines(lines: Sequence[bytes], span: Span) -> str:
    """The text from a span's beginning to its end."""
    chosen = list(lines[span.line - 1 : span.end_line])
    if not chosen:
        return ""
    chosen[-1] = chosen[-1][: span.end_column]
    chosen[0] = chosen[0][span.column :]
    return b"\n".join(chosen).decode("utf-8", "surrogatepass")
