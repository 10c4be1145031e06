"""``%run``: the names that a script binds are known, and the script is what a cell's task reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from native import assert_same, book
from test_notebook_driver import inferflow, tasks_of

from inferflow.analysis.magics import script_names
from inferflow.runners.notebook import missing_libraries

if missing_libraries():
    assert not os.environ.get("CI"), "the tests need the extra 'notebook'"
    pytest.skip("the extra 'notebook' is not installed", allow_module_level=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b, c as d\nx, (y, *z) = f()\nfor i in x:\n    j = i\ndef g():\n    k = 1\nclass K:\n    m = 1\n", "a d x y z i j g K"),
        ("try:\n    import a\nexcept ImportError as e:\n    a = None\nif (n := 1):\n    pass\nwith open('x') as f: pass", "a e n f"),
        ("def f():\n    global late\n    late = 1\n__all__ = ['f']\n_private = [q for q in ()]\n", "f late _private q"),
        ("match x:\n    case {'a': p, **rest}: pass\n    case [1, *more]: pass\n", "p rest more"),
        ("from os import *", None),
        ("exec('x = 1')", None),
        ("def broken(", None),
    ],
)  # fmt: skip
def test_the_names_of_a_script(text: str, names: str | None) -> None:
    found = script_names(text)
    assert (None if found is None else sorted(found)) == (None if names is None else sorted(names.split()))


SCRIPT = "import time\nfactor = 3\ndef scaled(x):\n    return factor * x\nprint('ran')\n"
CELLS = [
    "import time\ndef slow(n):\n    time.sleep(0.5)\n    return [n]",
    "kept = slow(1)",
    "%run setup.py",
    "a = slow(2)",
    "b = slow(3)\nb",
    "scaled(a[0]), factor, kept",
]


def test_a_script_that_a_cell_runs(tmp_path: Path) -> None:
    observed, folder = assert_same(tmp_path, book(*CELLS), "-j", "3", **{"setup.py": SCRIPT})
    assert observed.exit_code == 0, observed.stderr
    tasks = tasks_of(folder)
    (run,) = (task for task in tasks if task["task"] == "setup")
    assert run["kind"] == "shell"
    assert ("read", "setup.py") in {(use["mode"], use["path"]) for use in run["attempts"][-1]["files"]}
    told = inferflow(folder, "preview", "a.ipynb", "--why", "setup").stdout
    assert "setup.py" in told
    assert "_ipython" not in told


def test_a_script_that_a_cell_writes_first(tmp_path: Path) -> None:
    """What it bound when its names were read says nothing then."""
    cells = [
        "import time\nx = [1]\ndef slow(n):\n    time.sleep(0.3)\n    return list(n)",
        "%%writefile setup.py\nx = [7]",
        "%run setup.py",
        "a = slow(x)",
        "b = slow(x)\nb, a, x",
    ]
    observed, _ = assert_same(tmp_path, book(*cells), "-j", "3", **{"setup.py": "y = 1\n"})
    assert observed.exit_code == 0, observed.stderr


@pytest.mark.parametrize(
    "line",
    ["%run -i setup.py", "%run -n setup.py", "%run setup", "%run ./setup.py", "name = 'setup'\n%run {name}.py", "%cd sub\n%run ../setup.py", "%run -m this", "%run gone.py", "if True:\n    %run setup.py"],
)  # fmt: skip
def test_ways_to_run(line: str, tmp_path: Path) -> None:
    cells = [
        "factor = [0]\ndef first(x):\n    return x[0]",
        line,
        "f = factor\ng = str(f)\n(g, sorted(k for k in globals() if k[0] != '_' and k not in ('In', 'Out', 'exit', 'quit', 'open', 'get_ipython')))",
    ]
    observed, _ = assert_same(tmp_path, book(*cells), "-j", "2", **{"setup.py": SCRIPT, "sub/x": ""})
    assert observed.exit_code == int("gone" in line), observed.stderr
