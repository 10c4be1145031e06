"""``inferflow verify`` of notebooks: the executed cells are compared with those of a fresh kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from native import book, environment, write_files

from inferflow.runners.notebook import missing_libraries

if missing_libraries():
    assert not os.environ.get("CI"), "the tests need the extra 'notebook'"
    pytest.skip("the extra 'notebook' is not installed", allow_module_level=True)


EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "notebooks"


def verify(folder: Path, *cells: str) -> tuple[int, str]:
    write_files(folder, {"a.ipynb": book(*cells)})
    env = environment()
    env.pop("PYTEST_CURRENT_TEST", None)  # where it is set, a kernel does not watch its descriptors
    command = [sys.executable, "-m", "inferflow", "verify", "a.ipynb"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=400)
    return done.returncode, done.stdout + done.stderr


def test_the_same_with_a_cell_that_fails_and_one_that_is_never_the_same(tmp_path: Path) -> None:
    fails = "def f(x):\n    return 1 / x\nf(0)"
    status, text = verify(tmp_path, "import time\nprint(time.time())", "x = 1\n{'x': x}", fails, "print('never')")
    assert status == 0, text
    assert "a.ipynb: same" in text
    assert "exit status 1" in text


def test_a_difference_is_told_with_its_cell(tmp_path: Path) -> None:
    status, text = verify(tmp_path, "import sys", "'inferflow.worker.home' in sys.modules")
    assert status == 1, text
    assert "cell 2, output 1" in text
    assert "False" in text
    assert "True" in text


def test_final_variables_are_compared(tmp_path: Path) -> None:
    """What no cell shows, also where a cell failed; names and their order, not what IPython keeps."""
    cells = ["import sys\nclass K:\n    pass\nk = K()", "k.here = ['inferflow.worker.home' in sys.modules]", "1/0"]
    status, text = verify(tmp_path, *cells)
    assert status == 1, text
    assert "values, k.here" in text
    cells[1] = "k.here = [1]\nk"
    status, text = verify(tmp_path, *cells)
    assert status == 0, text
    assert "could not be compared" not in text
    assert " values" in text


def test_the_examples(tmp_path: Path) -> None:
    """The notebook as driver, by verify; and the driver of notebooks, which runs one three times."""
    folder = tmp_path / "notebooks"
    shutil.copytree(EXAMPLES, folder)
    env = environment()
    env.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-m", "inferflow", "verify", "analysis.ipynb"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    native = subprocess.run([sys.executable, "compare.py"], cwd=folder, env=env, capture_output=True, text=True)
    command = [sys.executable, "-m", "inferflow", "-q", "run", "compare.py"]
    inferred = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert native.stdout.splitlines()[-1] == "best: 3", native.stderr
    assert (inferred.stdout, inferred.returncode) == (native.stdout, native.returncode), inferred.stderr
