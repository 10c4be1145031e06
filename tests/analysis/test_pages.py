"""The page of each diagnostic: it is there, and its example really is told with that code."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

import pytest

from inferflow.analysis import analyze
from inferflow.analysis.notes import REASONS
from inferflow.model import Diagnostic, Source, Task, TaskGraph

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "diagnostics.md").read_text()
SECTIONS = dict(re.findall(r"^## (IF\d{3})\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
SOURCES = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
CODES = sorted(set(re.findall(r"\bIF\d{3}\b", SOURCES)) | set(SECTIONS))
NOTES = ROOT / "src" / "inferflow" / "analysis" / "notes.py"
HINTS = {why.code: why.hint for why in REASONS.values()}
OF_FILES = {"IF001", "IF002", "IF003", "IF004", "IF006", "IF010", "IF102", "IF311", "IF390"}
"""These are about files, names given on the command line, newer Pythons, generated code, and faults of ours: there is
no driver to show."""


def examples(code: str) -> list[str]:
    """The examples of a page: indented lines. The last shows how to write it instead."""
    found = re.finditer(r"(?:^    .*\n|^\n(?=    ))+", SECTIONS[code], re.M)
    return [dedent(match[0]).strip("\n") + "\n" for match in found]


def driver(text: str) -> str:
    """The example with what it leaves out: the functions that it calls or maps, and the values that it names."""
    nodes = list(ast.walk(ast.parse(text)))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)} - (used & CARRIED)
    awaited = called_in([node.value for node in nodes if isinstance(node, ast.Await)])
    head = []
    for name in sorted({node.id for node in names} - bound - set(dir(builtins))):
        if name in MODULES:
            head.append(f"import {MODULES[name]}")
        elif name in called_in(nodes):
            acts = ACTS.get(name, "")
            body = f"def {name}(*given):\n    total = 0\n    for part in given: total += len(str(part))\n{acts}    return [total]"
            head.append(f"async {body}" if name in awaited else body)
        else:
            head.append(f"{name} = [1, 2]")
    return "\n".join([*head, text])


def called_in(nodes: Iterable[ast.AST]) -> set[str]:
    """The names of functions that are called, or handed to ``map``."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
            if node.func.id == "map" and isinstance(node.args[0], ast.Name):
                found.add(node.args[0].id)
    return found


MODULES = {
    "asyncio": "asyncio", "click": "click", "functools": "functools", "os": "os", "pd": "pandas as pd",
    "steps": "steps",
}  # fmt: skip
ACTS = {"evaluate_and_log": "    for part in given[2:]: part.append(total)\n"}
"""What the comments of examples say that a function does."""
CARRIED = {"state", "error", "model", "total"}
"""What is there before an example."""


@pytest.mark.parametrize("code", CODES)
def test_there_is_a_page(code: str) -> None:
    assert code in SECTIONS, f"docs/diagnostics.md has no section {code}"
    assert code in SOURCES, f"{code} is documented, but nothing says it"


def notes(text: str, function: str | None = None) -> tuple[TaskGraph, list[Diagnostic]]:
    files = {"helpers": "def load(p): return p\n", "steps": "def load(p): return p\n"}

    def find(name: str) -> Source | None:
        return Source(name, f"{name}.py", f"/p/{name}.py", files[name]) if name in files else None

    graph, found = analyze(Source("__main__", "driver.py", "/p/driver.py", text), find, "driver.py", function)
    return graph, list(found)


@pytest.mark.parametrize("code", [code for code in CODES if code not in OF_FILES])
def test_the_example_gives_the_code(code: str) -> None:
    text = examples(code)[0]
    if code != "IF005":
        text = driver(text)
    _, found = notes(text, "main" if code in ("IF104", "IF106") else None)
    mine = [note for note in found if note.code == code]
    assert mine, f"{text}\n{[str(note) for note in found]}"
    assert all(note.hint for note in mine), "it does not say what to do"
    if code.startswith("IF2"):
        assert all(note.hint == HINTS[code] for note in mine), "it does not say how to write it"


def runs_beside(task: Task) -> bool:
    """Whether something in a task runs ahead of its turn, or beside something else of it."""
    for region in task.regions:
        if region.strand:
            return True
        for arm in region.arms:
            if arm.stages or arm.ahead or arm.apart or any(map(runs_beside, arm.tasks)):
                return True
    return False


@pytest.mark.parametrize("reason", REASONS)
def test_what_keeps_a_region_whole_has_another_way_to_write_it_that_splits(reason: str) -> None:
    """The reasons are those that the code knows; that each is told with its page's example is tested above."""
    code = REASONS[reason].code
    assert REASONS[reason].hint
    assert len(examples(code)) > 1
    graph, found = notes(driver(examples(code)[-1]))
    assert [str(note) for note in found if note.code == code] == []
    assert any(map(runs_beside, graph.tasks)) or not all(task.home for task in graph.tasks)


def test_no_two_reasons_share_a_code_and_no_other_code_is_told_of_regions() -> None:
    codes = [why.code for why in REASONS.values()]
    assert len(set(codes)) == len(codes)
    assert {code for code in SECTIONS if code.startswith("IF2")} == set(codes)
    # (IF203 is the example in the description of a Diagnostic)
    told = re.findall(r"IF2\d\d", "".join(path.read_text() for path in (ROOT / "src").rglob("*.py") if path != NOTES))
    assert set(told) <= {"IF203"}, "a code of a region stands outside of the table of reasons"
