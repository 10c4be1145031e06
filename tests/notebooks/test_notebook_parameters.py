"""``-p name=value`` for a notebook: a cell behind the one tagged ``parameters``, as papermill injects it."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from native import book, environment, write_files

from inferflow.analysis.cells import notebook_source, parameters_of
from inferflow.config.settings import load_settings
from inferflow.errors import WrongUse
from inferflow.runners.notebook import missing_libraries
from inferflow.session.notebook import INJECTED, with_parameters
from inferflow.session.target import open_target

NOTEBOOK = book(
    ("# A title", "markdown"),
    ("# comment\nlr = 0.1\nname: str = 'a'\nnames = ['x']\nlimit: int | None = None\nn, m = 1, 2", "parameters"),
    ("lr = 77", "injected-parameters"),
    "print(lr, repr(name), names, limit)",
)


def inferflow(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferflow", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=400)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path, {"a.ipynb": NOTEBOOK, "b.ipynb": book("x = 1"), "inferflow.toml": ""})
    return tmp_path


def test_what_a_notebook_takes(folder: Path) -> None:
    source = notebook_source(NOTEBOOK.encode(), "a.ipynb", "/a.ipynb")
    found = [(p.name, p.annotation, p.default) for p in parameters_of(source)]
    assert found == [
        ("lr", None, "0.1"),
        ("name", "str", "'a'"),
        ("names", None, "['x']"),
        ("limit", "int | None", "None"),
    ]
    told = inferflow(folder, "run", "a.ipynb", "--help").stdout
    assert "limit: int | None = None" in told


@pytest.mark.parametrize(
    ("pairs", "lines"),
    [
        (["lr=3"], ["lr = 3.0"]),
        (["name=3"], ["name = '3'"]),
        (["names=[1, 2]", "limit=none"], ["names = [1, 2]", "limit = None"]),
        (["limit=5", "lr=1e-3"], ["lr = 0.001", "limit = 5"]),
    ],
)
def test_the_cell_that_is_injected(folder: Path, pairs: list[str], lines: list[str]) -> None:
    """Behind the tagged cell; what an earlier run injected goes."""
    target, raw = with_parameters(open_target(str(folder / "a.ipynb"), folder), load_settings(folder), pairs)
    cells = json.loads(target.book)["cells"]
    assert [cell["metadata"].get("tags", []) for cell in cells] == [["markdown"], ["parameters"], [INJECTED], []]
    assert cells[2]["source"].split("\n") == ["# Parameters", *lines]
    assert [cell.number for cell in target.source.cells] == [2, 3, 4]
    assert set(raw) == {pair.partition("=")[0] for pair in pairs}
    same, nothing = with_parameters(open_target(str(folder / "a.ipynb"), folder), load_settings(folder))
    assert (same.book, nothing) == ("", {})


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("lr=fast", ["'lr' is 'fast'; it must be a number", "lr=0.1"]),
        ("limit=x", ["'limit' is 'x'", "limit: int | None = None"]),
        ("nam=3", ["takes no parameter 'nam'", "did you mean name?"]),
        ("n=3", ["takes no parameter 'n'"]),
        ("lr", ["not of the form name=value"]),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, pair: str, words: list[str]) -> None:
    with pytest.raises(WrongUse) as caught:
        with_parameters(open_target(str(folder / "a.ipynb"), folder), load_settings(folder), [pair])
    told = f"{caught.value} {caught.value.hint}"
    assert not [word for word in words if word not in told], told
    with pytest.raises(WrongUse) as caught:
        with_parameters(open_target(str(folder / "b.ipynb"), folder), load_settings(folder), ["x=2"])
    assert "no cell tagged 'parameters'" in str(caught.value.hint)


def test_values_that_no_cell_can_hold(folder: Path) -> None:
    target = open_target(str(folder / "a.ipynb"), folder)
    with pytest.raises(WrongUse, match="cannot be written into a cell"):
        with_parameters(target, load_settings(folder), values={"lr": datetime.date(2024, 1, 2)})
    target, _ = with_parameters(target, load_settings(folder), values={"lr": float("inf"), "names": ["ü'\n"]})
    assert "lr = float('inf')" in json.loads(target.book)["cells"][2]["source"]


@pytest.mark.skipif(bool(missing_libraries()) and not os.environ.get("CI"), reason="needs the extra 'notebook'")
def test_a_run_and_its_verification(folder: Path) -> None:
    (folder / "p.toml").write_text("names = ['from', 'file']\n")
    arguments = ["-p", "lr=3", "--params", "p.toml", "a.ipynb"]
    done = inferflow(folder, "-q", "run", "-o", "out.ipynb", *arguments, INFERFLOW_PARAM_LIMIT="7")
    assert (done.returncode, done.stdout) == (0, "3.0 'a' ['from', 'file'] 7\n"), done.stderr
    assert [cell["cell_type"] for cell in json.loads((folder / "out.ipynb").read_text())["cells"]] == [
        "markdown",
        *["code"] * 3,
    ]
    assert json.loads((folder / "a.ipynb").read_text()) == json.loads(NOTEBOOK)
    shown = json.loads(inferflow(folder, "show", "latest", "--json").stdout)
    assert shown["parameters"] == {"limit": "7", "lr": "3", "names": "['from', 'file']"}
    verified = inferflow(folder, "verify", *arguments)
    assert verified.returncode == 0, verified.stdout + verified.stderr
