"""Lines of text for a terminal: measured, clipped, wrapped, and coloured last of all.

A *piece* is a text and the *role* that it plays (``name``, ``dim``, ``home``, ...); a line is a list of pieces.
Widths are counted in terminal cells (an East Asian wide character takes two), and colour is added only when a line
is composed, so that nothing ever measures an escape sequence:

    compose([("2  ", "dim"), ("model_fit", "name")], 80, color=False, right=[("line 15", "dim")])

Whatever comes from a user's file or output goes through :func:`clean` first: a control character in it must not
reach the terminal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeAlias

__all__ = [
    "Piece",
    "bullet",
    "cells",
    "clean",
    "clip",
    "code_lines",
    "compose",
    "for_encoding",
    "paint",
    "table",
    "uncolored",
    "wrap",
]

Piece: TypeAlias = tuple[str, str]
"""A text and its role (``""``: plain)."""

ROLES = {
    "": "",
    "title": "1",
    "name": "1",
    "value": "36",
    "dim": "2",
    "home": "33",
    "ahead": "32",
    "ok": "32",
    "warn": "33",
    "error": "31",
    "fail": "1;31",
    "link": "36",
}

# One character for one, so that what was aligned stays aligned.
PLAIN = str.maketrans(
    {
        "─": "-", "│": "|", "┊": ":", "├": "|", "┤": "|", "┼": "+", "┴": "+", "┬": "+", "╰": "`", "╯": "'",
        "╭": ".", "╮": ".", "┌": "+", "┐": "+", "└": "+", "┘": "+", "━": "=", "●": "*", "○": "o", "◆": "#",
        "→": ">", "←": "<", "…": "~", "·": "-", "›": ">", "‹": "<", "×": "x", "✓": "+", "✗": "x", "⋮": ":", "▸": ">",
        "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "≤": "<", "µ": "u", "█": "#", "▏": "|",
        "↷": "^", "⚑": "!", "\u00a0": " ",
    }
)  # fmt: skip

NARROW = 16
"""Columns that give way do so down to this many cells; then all do, the widest first."""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def paint(text: str, role: str, color: bool) -> str:
    """The text in its role's colour (ANSI), or as it is."""
    code = ROLES[role] if color and text else ""
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def clean(text: str) -> str:
    """Text that is safe to show: tabs become four spaces; control characters, direction marks and undecodable bytes
    are spelled out (``\\x1b``). Newlines stay."""
    if text.isprintable():
        return text
    return CONTROL.sub(lambda match: _spell(ord(match[0])), text.replace("\r\n", "\n").expandtabs(4))


def uncolored(text: str) -> str:
    """The text without the colours that a program has put in it."""
    return _COLORS.sub("", text) if "\x1b" in text else text


_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def code_lines(text: str) -> list[str]:
    """The lines of Python text as Python counts them: a form feed or the like ends none."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _spell(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that surrogateescape kept
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cells(text: str) -> int:
    """How many terminal cells the text takes (no escape sequences in it)."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character) or character in "\u200b\u200c\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clip(text: str, width: int) -> str:
    """The text in at most ``width`` cells, ending in ``…`` if something was cut."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    taken = 0
    for position, character in enumerate(text):
        taken += _cell(character)
        if taken > width - 1:
            return text[:position] + "…"
    return text


def wrap(text: str, width: int, limit: int = 0) -> list[str]:
    """The text in lines of at most ``width`` cells, broken at spaces where that is possible; at most ``limit`` lines
    if that is set, the last one then ending in ``…``. Continuation lines are not indented; an empty text gives no
    line."""
    lines: list[str] = []
    line = " " * (len(text) - len(text.lstrip(" ")))  # indentation stays
    if cells(line) >= width:
        line = ""
    for word in text.lstrip(" ").split(" "):
        joined = f"{line} {word}" if line.strip() else line + word
        if cells(joined) <= width:
            line = joined
            continue
        if line.strip():
            lines.append(line)
        line = word
        while cells(line) > width > 0:
            head = _head(line, width)
            lines.append(head)
            line = line[len(head) :]
    if line:
        lines.append(line)
    if limit and len(lines) > limit:
        lines = [*lines[: limit - 1], clip(lines[limit - 1] + " " + lines[limit], width - 1).removesuffix("…") + "…"]
    return lines


def compose(pieces: Iterable[Piece], width: int, color: bool, right: Sequence[Piece] = ()) -> str:
    """One line of at most ``width`` cells: the pieces from the left, clipped if need be, and ``right`` flush right.
    Spaces that do not break have done their work then, and become plain ones."""
    tail = sum(cells(text) for text, _ in right)
    room = width - tail - (2 if right else 0)
    out: list[str] = []
    used = 0
    for text, role in pieces:
        shown = clip(text, room - used)
        out.append(paint(shown.replace("\u00a0", " "), role, color))
        used += cells(shown)
        if shown != text:
            break
    if right:
        out.append(" " * (width - used - tail))
        out.extend(paint(text, role, color) for text, role in right)
    return "".join(out).rstrip() if not color else "".join(out)


def _head(word: str, width: int) -> str:
    """The first part of a word that is too long for a line: up to a bracket or the like in its last third, if any."""
    head = word
    while cells(head) > width:
        head = head[: max(1, len(head) - max(1, (cells(head) - width) // 2))]
    cut = max(head.rfind(sign) for sign in "([{,./_=") + 1
    return head[:cut] if cut * 3 > len(head) * 2 else head


def bullet(
    lead: Piece, text: str, width: int, color: bool, *, role: str = "", indent: int = 2, limit: int = 0
) -> list[str]:
    """A paragraph that hangs under its lead: the lead on the first line, the text wrapped to the right of it."""
    head = " " * indent + lead[0]
    room = max(20, width - cells(head))
    lines = wrap(text, room, limit) or [""]
    first = compose([(" " * indent, ""), lead, (lines[0], role)], width, color)
    rest = [compose([(" " * cells(head), ""), (line, role)], width, color) for line in lines[1:]]
    return [first, *rest]


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Piece]],
    width: int,
    color: bool,
    *,
    right: frozenset[int] = frozenset(),
    shrink: Sequence[int] = (),
    lines: int = 1,
) -> list[str]:
    """Rows under a head and a rule. Columns are as wide as their contents; if all do not fit in ``width``, those named
    in ``shrink`` give way, the widest first. A cell takes up to ``lines`` lines, and may have newlines of its own then.
    ``right``: columns set flush right."""
    count = len(head)
    widths = [max([cells(head[i]), *(cells(part) for row in rows for part in _parts(row[i][0]))]) for i in range(count)]
    _shrink(widths, width - 2 * (count - 1), shrink or range(count), [max(NARROW, cells(title)) for title in head])
    out = [_row([(title, "dim") for title in head], widths, width, color, right)]
    out.append(paint("  ".join("─" * w for w in widths), "dim", color))
    for row in rows:
        wrapped = [
            [clip(text, w)] if lines == 1 else [line for part in _parts(text) for line in wrap(part, w, lines)]
            for (text, _), w in zip(row, widths, strict=True)
        ]
        for number in range(max(1, *(len(cell) for cell in wrapped))):
            parts = [
                (cell[number] if number < len(cell) else "", role) for cell, (_, role) in zip(wrapped, row, strict=True)
            ]
            out.append(_row(parts, widths, width, color, right))
    return out


def _parts(text: str) -> list[str]:
    return text.split("\n") if "\n" in text else [text]


def _shrink(widths: list[int], room: int, order: Iterable[int], least: Sequence[int]) -> None:
    """Narrow the columns in ``order`` until all fit in ``room``: always the widest of them by one."""
    columns = list(order)
    while sum(widths) > room:
        able = [i for i in columns if widths[i] > least[i]]
        if not able:
            able = [i for i in range(len(widths)) if widths[i] > 4]
            if not able:
                return
        widths[max(able, key=lambda i: widths[i])] -= 1


def _row(parts: Sequence[Piece], widths: Sequence[int], width: int, color: bool, right: frozenset[int]) -> str:
    pieces: list[Piece] = []
    for column, ((text, role), room) in enumerate(zip(parts, widths, strict=True)):
        if column:
            pieces.append(("  ", ""))
        fill = " " * (room - cells(text))
        pieces.extend([(fill, ""), (text, role)] if column in right else [(text, role), (fill, "")])
    line = compose(pieces, width, color)
    return line if color else line.rstrip()


def for_encoding(text: str, encoding: str | None) -> str:
    """The text as a stream of this encoding can show it: unchanged if it can, else with plain ASCII lines and marks
    in the place of the drawn ones, and anything else it lacks spelled out (``\\u4e2d``)."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        name = encoding or "ascii"
        plain = text.translate(PLAIN)
        try:
            return plain.encode(name, "backslashreplace").decode(name)
        except LookupError:
            return plain.encode("ascii", "backslashreplace").decode("ascii")
    return text
