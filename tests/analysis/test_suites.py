"""Runs the Markdown suites beside this file.

Any Markdown file is a suite: a heading is a test, its ``py`` block the driver (``py function=main`` to name the
function; further files as ``py title=helpers.py``), and each other block the expected dump of the stage that it names:
``ir``, ``uses``, ``effects``, ``tasks``, ``edges``, ``why``, ``diagnostics``. ``INFERFLOW_REWRITE=1`` writes what the
analysis gives into the files, for review.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from inferflow.analysis import Stages, analyze
from inferflow.analysis.dump import DUMPS
from inferflow.model import Source

HERE = Path(__file__).parent
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REWRITE = bool(os.environ.get("INFERFLOW_REWRITE"))


@frozen
class Case:
    """One heading's blocks: (language, rest of the info line, text)."""

    file: Path
    title: str
    blocks: tuple[tuple[str, str, str], ...]


def sections(text: str) -> Iterator[tuple[str, str]]:
    """(heading, section text with the heading line) for every heading; what stands before the first has none."""
    parts = re.split(r"(?m)^(?=#{1,6} )", text)
    inside = ""
    for part in parts:
        inside += part
        if inside.count("```") % 2:  # a comment line within a block of code
            continue
        heading = inside.split("\n", 1)[0].lstrip("# ") if inside.startswith("#") else ""
        yield heading, inside
        inside = ""


def cases() -> list[Case]:
    found = []
    for file in sorted(HERE.glob("*.md")):
        for title, text in sections(file.read_text()):
            blocks = tuple((m[1], m[2].strip(), m[3]) for m in FENCE.finditer(text))
            if any(language == "py" for language, _, _ in blocks):
                found.append(Case(file, title, blocks))
    return found


def attribute(info: str, name: str) -> str | None:
    match = re.search(rf"{name}=(\S+)", info)
    return match[1] if match else None


def dumps(case: Case) -> dict[str, str]:
    """What the analysis gives for each of the blocks that the case expects."""
    files: dict[str, str] = {}
    function = None
    for language, info, text in case.blocks:
        if language == "py":
            function = attribute(info, "function") or function
            files[attribute(info, "title") or "driver.py"] = text
    module = "__main__" if function is None else "driver"

    def find(name: str) -> Source | None:
        for path in (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py"):
            if path in files:
                return Source(name, path, f"/project/{path}", files[path], path.endswith("__init__.py"))
        return None

    stages = Stages()
    main = Source(module, "driver.py", "/project/driver.py", files["driver.py"])
    graph, diagnostics = analyze(main, find, "driver.py", function, stages=stages)
    return {
        language: DUMPS[language](stages, graph, diagnostics) for language, _, _ in case.blocks if language in DUMPS
    }


CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=[f"{c.file.stem}: {c.title}" for c in CASES])
def test_suite(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERFLOW_STRICT", "1")
    found = dumps(case)
    if REWRITE:
        rewrite(case, found)
        return
    for language, _, text in case.blocks:
        if language in found:
            assert text.rstrip("\n") == found[language], language


def rewrite(case: Case, found: dict[str, str]) -> None:
    """Put the dumps into the file, in place of what the case expected."""
    whole = case.file.read_text()
    for title, text in sections(whole):
        if title == case.title:
            new = FENCE.sub(lambda m: _block(m, found), text)
            whole = whole.replace(text, new, 1)
            break
    case.file.write_text(whole)


def _block(match: re.Match[str], found: dict[str, str]) -> str:
    if match[1] not in found:
        return match[0]
    body = found[match[1]]
    return f"```{match[1]}{match[2]}\n{body}{chr(10) if body else ''}```"


def test_titles_are_unique() -> None:
    titles = [(case.file.name, case.title) for case in CASES]
    assert len(titles) == len(set(titles))


def test_there_are_several_hundred_cases() -> None:
    assert len(CASES) >= 200
