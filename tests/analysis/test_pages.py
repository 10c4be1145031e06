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
from inferflow.model import Source

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "diagnostics.md").read_text()
SECTIONS = dict(re.findall(r"^## (IF\d{3})\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
SOURCES = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
CODES = sorted(set(re.findall(r"\bIF\d{3}\b", SOURCES)) | set(SECTIONS))
OF_FILES = {"IF001", "IF002", "IF003", "IF004", "IF006", "IF010", "IF102", "IF311", "IF390"}
"""These are about files, names given on the command line, newer Pythons, generated code, and faults of ours: there is
no driver to show."""


def example(code: str) -> str:
    """The first example of a page: indented lines, without those of a shell."""
    found = re.search(r"(?:^    .*\n|^\n(?=    ))+", SECTIONS[code], re.M)
    assert found is not None, f"{code} has no example"
    return dedent(found[0]).strip("\n") + "\n"


def driver(text: str) -> str:
    """The example with what it leaves out: the functions that it calls or maps, and the values that it names."""
    nodes = list(ast.walk(ast.parse(text)))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    awaited = called_in([node.value for node in nodes if isinstance(node, ast.Await)])
    head = []
    for name in sorted({node.id for node in names} - bound - set(dir(builtins))):
        if name in MODULES:
            head.append(f"import {MODULES[name]}")
        elif name in called_in(nodes):
            body = f"def {name}(*given):\n    for part in range(3): pass\n    return [*given]"
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


MODULES = {"asyncio": "asyncio", "click": "click", "os": "os", "pd": "pandas as pd", "steps": "steps"}


@pytest.mark.parametrize("code", CODES)
def test_there_is_a_page(code: str) -> None:
    assert code in SECTIONS, f"docs/diagnostics.md has no section {code}"
    assert code in SOURCES, f"{code} is documented, but nothing says it"


@pytest.mark.parametrize("code", [code for code in CODES if code not in OF_FILES])
def test_the_example_gives_the_code(code: str) -> None:
    text = example(code)
    files = {"helpers": "def load(p): return p\n", "steps": "def load(p): return p\n"}
    if code != "IF005":
        text = driver(text)
    function = "main" if code in ("IF104", "IF106") else None

    def find(name: str) -> Source | None:
        return Source(name, f"{name}.py", f"/p/{name}.py", files[name]) if name in files else None

    _, found = analyze(Source("__main__", "driver.py", "/p/driver.py", text), find, "driver.py", function)
    mine = [note for note in found if note.code == code]
    assert mine, f"{text}\n{[str(note) for note in found]}"
    if code.startswith("IF2"):
        assert all(note.hint for note in mine), "it does not say how to write it"
