"""Widths, wrapping, other encodings, units, and the live display."""

from __future__ import annotations

import io
import re

import graphs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflow.model import TaskFinished, TaskRetired, TaskStarted
from inferflow.render import render_graph
from inferflow.render.highlight import highlight
from inferflow.render.progress import Progress, wants_progress
from inferflow.render.style import cells, clean, clip, for_encoding, wrap
from inferflow.render.units import ago, count, duration, numbers, size

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(clean)


@given(TEXT, st.integers(4, 40))
def test_clipped_text_fits(text: str, width: int) -> None:
    assert cells(clip(text, width)) <= width


@given(TEXT.map(lambda text: text.replace("\n", " ")), st.integers(4, 40))
def test_wrapped_text_fits_and_loses_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.text())
def test_clean_text_is_safe_and_can_be_written(text: str) -> None:
    shown = clean(text)
    shown.encode()
    assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in shown)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", None, "no-such-encoding"])
@pytest.mark.parametrize("form", ["tree", "table", "diff"])
def test_terminals_without_unicode_get_plain_lines_of_the_same_width(form: str, encoding: str | None) -> None:
    graph, text = graphs.comparison()
    shown = render_graph(graph, form, text=text)
    plain = for_encoding(shown, encoding)
    plain.encode(encoding if encoding in ("latin-1", "cp1252") else "ascii")
    assert "\\u" not in plain
    assert [len(line) for line in plain.splitlines()] == [len(line) for line in shown.splitlines()]


def test_utf8_terminals_get_everything() -> None:
    assert for_encoding("├─○ 表", "utf-8") == "├─○ 表"


def test_units_are_said_as_a_person_would() -> None:
    assert [duration(s) for s in (0.0004, 0.0384, 0.9996, 1.25, 59.7, 185, 7800, 200_000)] == [
        "0.4 ms", "38 ms", "1.0 s", "1.2 s", "1 min 00 s", "3 min 05 s", "2 h 10 min", "2 d 7 h",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 1536, 88_000_000, 5 << 40)] == ["0 B", "1023 B", "1.5 KiB", "84 MiB", "5.0 TiB"]
    assert [ago(0, s) for s in (3, 300, 7200, 90_000, 10**6)] == [
        "just now", "5 min ago", "2 h ago", "yesterday", "12 days ago",
    ]  # fmt: skip
    assert (count(0, "task"), count(1, "task"), count(2000, "task")) == ("no tasks", "1 task", "2,000 tasks")
    assert numbers([9, 1, 2, 3, 7]) == "1-3, 7, 9"


def test_highlighting_changes_no_text() -> None:
    import html

    text = 'def f(x):  # "comment"\n    """doc\n    more"""\n    return rb\'\\\'\' + x[1e-3] & "unclosed\n'
    lines = highlight(text)
    assert [html.unescape(re.sub(r"</?i[^>]*>", "", line)) for line in lines] == text.splitlines()
    assert '<i class="k">def</i>' in lines[0]


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _screen(data: str, height: int = 6) -> tuple[list[str], int]:
    """The lines after this was written to a terminal, and the line of its cursor: as much of one as the display uses,
    with the scrolling that low windows have."""
    lines, row, column, saved = [""], 0, 0, (0, 0)
    top = 0

    def down() -> None:
        nonlocal row, top
        row += 1
        lines.extend([""] * (row + 1 - len(lines)))
        top = max(top, row - height + 1)

    for match in re.finditer(r"\x1b\[(\d*)([AJ])|\x1b([78D])|([\n\r])|(.)", data):
        number, code, escape, move, sign = match.groups()
        if code == "A":
            row = max(top, row - int(number))
        elif code == "J":
            lines[row:] = [lines[row][:column]]
        elif escape == "7":
            saved = row - top, column
        elif escape == "8":
            row, column = saved[0] + top, saved[1]
        elif escape == "D" or move == "\n":
            down()
        elif move == "\r":
            column = 0
        else:
            lines[row] = f"{lines[row][:column]:<{column}}{sign}{lines[row][column + 1 :]}"
            column += 1
    return lines, row


@pytest.mark.parametrize("height", [6, 24])
def test_the_display_never_mixes_with_the_drivers_output(height: int) -> None:
    now = [0.0]
    out = _Terminal()
    graph, _ = graphs.comparison()
    progress = Progress(out, clock=lambda: now[0])

    def later(seconds: float) -> list[str]:
        now[0] += seconds
        progress.tick()
        return _screen(out.getvalue(), height)[0]

    def driver(text: str) -> None:
        progress.before_output()
        out.write(text.replace("\n", "\r\n"))  # as a terminal does

    assert progress.tick() is None
    progress.planned("run", graph)
    progress.event(TaskStarted(0, 0, 1, "home", "home"))
    assert progress.tick() == 0.5
    assert out.getvalue() == ""
    assert "1 load" in "\n".join(later(1))
    driver("one\ntwo")
    assert _screen(out.getvalue(), height)[0] == ["one", "two"]
    screen = later(1)
    assert screen[:2] == ["one", "two"]
    assert "1 load" in screen[2]
    driver(" three\n")
    progress.event(TaskFinished(0, 0, 1, 1, 1, 1))
    progress.event(TaskRetired(0, 0, 1))
    progress.event(TaskStarted(0, 1, 1, "ahead", "h"))
    screen = later(1)
    assert screen[:3] == ["one", "two three", ""]
    assert "2 split" in screen[3]
    assert "ahead" in screen[3]
    assert "1 of 10 tasks done" in screen[4]
    driver("".join(f"{n}\n" for n in range(20)))
    assert later(1)[:23] == ["one", "two three", *map(str, range(20)), ""]
    progress.close()
    assert progress.tick() is None
    assert later(5) == ["one", "two three", *map(str, range(20)), ""]


def test_the_display_is_for_terminals_only() -> None:
    assert wants_progress(_Terminal(), {"TERM": "xterm"})
    assert not wants_progress(_Terminal(), {"TERM": "dumb"})
    assert not wants_progress(_Terminal(), {"TERM": "xterm", "CI": "true"})
    assert not wants_progress(io.StringIO(), {"TERM": "xterm"})
