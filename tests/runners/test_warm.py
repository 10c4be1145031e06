"""Kernels that are started ahead: used once, only where a fresh one would be the same, and nobody's children."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_notebook import write_notebook

from inferflow import runners
from inferflow.runners.notebook import NotebookFailed, missing_libraries, notebook
from inferflow.runners.warm import Spares, facts
from inferflow.session.notebook import _calls, _through_functions

if missing_libraries():
    assert not os.environ.get("CI"), "the tests need the extra 'notebook'"
    pytest.skip("the extra 'notebook' is not installed", allow_module_level=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    write_notebook(
        tmp_path / "n.ipynb", ("k = 1", "parameters"), "import os\nx = k + 1\nhome = os.getcwd()\npid = os.getpid()"
    )
    return tmp_path


@pytest.fixture
def spares(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spares]:
    made = Spares(lambda last: last)
    monkeypatch.setattr(runners, "spares", made)
    yield made
    made.close()
    until = time.monotonic() + 120
    while left() and time.monotonic() < until:
        time.sleep(0.05)
    assert left() == []
    assert sorted(name for name in os.listdir(here) if name.startswith("inferflow")) == []


def left() -> list[str]:
    """The command lines of spares that there are, and of their kernels."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"TMPDIR={os.environ['TMPDIR']}".encode() in environ and (
            "spare import serve" in text or "ipykernel" in text
        ):
            found.append(text)
    return found


def test_each_kernel_is_used_once(spares: Spares) -> None:
    found = [notebook("n.ipynb", k=number, returns=("x", "pid")) for number in range(3)]
    assert [x for x, _ in found] == [1, 2, 3]
    assert len({pid for _, pid in found}) == 3
    assert spares.used == 2
    assert not [text for text in commands_of_children() if "execution" in text or "ipykernel" in text]


def commands_of_children() -> list[str]:
    """Of this process, which may have others of other tests."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            text = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, IndexError):
            continue
        if parent == str(os.getpid()):
            found.append(text)
    return found


def test_another_environment_folder_or_code_is_another_kernel(
    spares: Spares, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spares.prepare("python3", str(here))
    assert spares.ready
    before = facts(str(here))
    monkeypatch.setenv("MINE", "1")
    assert notebook("n.ipynb", returns="x") == 2
    assert spares.used == 0
    (here / "random.py").write_text("SHADOW = 1\n")
    write_notebook(here / "m.ipynb", "import random\nfound = hasattr(random, 'SHADOW')")
    assert facts(str(here)) != before
    assert notebook("n.ipynb", returns="x") == 2
    assert spares.used == 0
    assert notebook("n.ipynb", returns="home", folder="/") == "/"
    assert spares.used == 0


def test_a_link_to_nothing_does_not_hide_the_rest(here: Path) -> None:
    (here / "gone.py").symlink_to(here / "nowhere.py")
    before = facts(str(here))
    (here / "random.py").write_text("SHADOW = 1\n")
    assert facts(str(here)) != before


def test_a_cell_that_fails_and_a_kernel_that_dies(spares: Spares, here: Path) -> None:
    spares.prepare("python3", str(here))
    write_notebook(here / "fails.ipynb", "1 / 0")
    with pytest.raises(NotebookFailed, match=r"cell 1 .*ZeroDivisionError"):
        notebook("fails.ipynb")
    write_notebook(here / "dies.ipynb", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(NotebookFailed, match="the kernel ended"):
        notebook("dies.ipynb")
    assert spares.used == 2


def test_a_spare_that_is_gone_is_no_loss(spares: Spares, here: Path) -> None:
    spares.prepare("python3", str(here))
    assert spares.ready
    spares.ready[0].channel.close()
    spares.ready[0].channel = __import__("socket").socketpair()[0]
    assert notebook("n.ipynb", returns="x") == 2


DRIVER = """
import os
import inferflow
def best(values):
    return max(values)
found = [inferflow.notebook("n.ipynb", k=k, returns="x") for k in (1, 2, 3)]
print(best(found))
print(inferflow.notebook("n.ipynb", k=9, returns="x"))
try:
    os.wait()
except ChildProcessError:
    print("no children")
"""


def test_a_driver_of_notebooks(here: Path) -> None:
    (here / "driver.py").write_text(DRIVER)
    (here / "inferflow.toml").write_text("")
    seen: list[Any] = []
    for command in ([], ["-m", "inferflow", "-q", "run", "-j", "2"]):
        done = subprocess.run([sys.executable, *command, "driver.py"], cwd=here, capture_output=True, text=True)
        seen.append((done.returncode, done.stdout, done.stderr))
    assert seen[0] == seen[1] == (0, "4\n10\nno children\n", "")


def rows(text: str, with_client: bool = False) -> list[Any]:
    tree = ast.parse(text)
    return _calls(tree, _through_functions(tree, with_client), with_client)


def test_which_notebooks_a_text_names() -> None:
    assert rows("x = inferflow.notebook('a.ipynb', lr=1)\ny = notebook(path)") == [(False, "a.ipynb"), (False, "")]
    assert rows("papermill.execute_notebook('a.ipynb', 'b.ipynb')") == [(True, "a.ipynb")]
    assert rows("pm.execute_notebook(output_path='b.ipynb', input_path='a.ipynb')") == [(True, "a.ipynb")]
    assert rows("cursor.execute('select')") == []
    assert rows("client.execute()", with_client=True) == [(True, "")]
    through = "def f(k):\n    return inferflow.notebook('a.ipynb', k=k)\ndef g():\n    return f(1)\n"
    tree = ast.parse(through)
    assert _through_functions(tree) == {"f": [(False, "a.ipynb")], "g": [(False, "a.ipynb")]}
    assert _calls(ast.parse("x = g()"), _through_functions(tree)) == [(False, "a.ipynb")]
