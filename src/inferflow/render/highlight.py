"""Python text as HTML lines with its comments, strings, numbers and keywords marked, for a page to colour.

Not a parser: a text that is not quite Python is shown all the same.
"""

from __future__ import annotations

import keyword
import re
from html import escape

__all__ = ["highlight"]

TOKEN = re.compile(
    r"(?P<c>\#[^\n]*)"
    r"|(?P<s>\b[rRbBfFuU]{0,2}(?:'''(?:\\.|[^\\])*?(?:'''|\Z)|\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)"
    r"|'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?)"
    r"|['\"]{3}(?:\\.|[^\\])*?(?:['\"]{3}|\Z)|'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?)"
    r"|(?P<n>\b\d[\w.]*)"
    r"|(?P<w>[^\W\d]\w*)",
    re.DOTALL,
)


def highlight(text: str) -> list[str]:
    """One HTML fragment for each line, with ``<i class="c|s|n|k">`` around what is marked."""
    lines = [""]
    position = 0
    for match in TOKEN.finditer(text):
        _add(lines, text[position : match.start()], "")
        kind = match.lastgroup or ""
        if kind == "w":
            kind = "k" if keyword.iskeyword(match[0]) else ""
        _add(lines, match[0], kind)
        position = match.end()
    _add(lines, text[position:], "")
    return lines[:-1] if lines[-1] == "" and len(lines) > 1 else lines


def _add(lines: list[str], text: str, kind: str) -> None:
    for number, part in enumerate(text.split("\n")):
        if number:
            lines.append("")
        if part:
            shown = escape(part, quote=False)
            lines[-1] += f'<i class="{kind}">{shown}</i>' if kind else shown
