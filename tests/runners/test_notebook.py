"""``inferflow.notebook``, with real kernels."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from native import book

import inferflow
from inferflow.runners import ReturnsMissing
from inferflow.runners.languages import Unsayable, parameter_names, setting_code
from inferflow.runners.notebook import NotebookFailed, missing_libraries

if missing_libraries():
    assert not os.environ.get("CI"), "the tests need the extra 'notebook'"
    pytest.skip("the extra 'notebook' is not installed", allow_module_level=True)


def write_notebook(
    path: Path, *cells: str | tuple[str, str], kernel: str = "python3", language: str = "python"
) -> None:
    """A notebook of code cells (see ``book``)."""
    text = book(*cells, kernelspec={"name": kernel, "display_name": kernel, "language": language})
    path.write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train(here: Path) -> Path:
    path = here / "train.ipynb"
    write_notebook(
        path,
        ("# Train", "markdown"),
        ("lr: float = 1.0\ndata = None", "parameters"),
        "class Model:\n    pass\nmodel = Model()\nmodel.lr = lr\nprint('training')",
        "if lr < 0:\n    raise ValueError('negative')\nn = len(data or ())\nn",
    )
    return path


def executed(path: Path) -> list[Any]:
    return list(json.loads(path.read_text())["cells"])


def test_values_in_and_out(train: Path, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = train.read_bytes()
    model, n = inferflow.notebook(train, lr=0.5, data={1, 2}, returns=("model", "n"), output="out.ipynb")
    assert (model.lr, n, type(model).__name__) == (0.5, 2, "Model")
    assert train.read_bytes() == before
    cells = executed(here / "out.ipynb")
    assert len(cells) == 5
    assert cells[2]["metadata"]["tags"] == ["injected-parameters"]
    assert "".join(cells[2]["source"]).startswith("# Parameters\nlr = 0.5\n")
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3, 4]
    assert cells[3]["outputs"][0]["text"] == ["training\n"]
    assert cells[4]["outputs"][0]["data"]["text/plain"] == ["2"]
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert inferflow.notebook("out.ipynb", lr=0.25, returns="model").lr == 0.25  # what was injected before, goes
    assert sorted(os.listdir()) == ["out.ipynb", "train.ipynb"]


def test_a_failing_cell(train: Path, here: Path) -> None:
    with pytest.raises(NotebookFailed) as caught:
        inferflow.notebook("train.ipynb", lr=-1, output="out.ipynb")
    failed = caught.value
    assert str(failed).startswith("train.ipynb, cell 5 (In [4]): ValueError: negative\n    if lr < 0:\n")
    assert (failed.cell, failed.exception, failed.value) == (5, "ValueError", "negative")
    assert "----> 2     raise ValueError('negative')" in failed.traceback
    assert "\x1b" not in str(failed)
    cells = executed(here / "out.ipynb")
    assert cells[4]["outputs"][0]["output_type"] == "error"


def test_wrong_parameters_are_errors(train: Path, here: Path) -> None:
    with pytest.raises(ValueError, match=r"no parameter 'lrr' in its cell .* did you mean 'lr'"):
        inferflow.notebook("train.ipynb", lrr=1)
    write_notebook(here / "plain.ipynb", "x = 1")
    with pytest.raises(ValueError, match="given x, but has no cell tagged 'parameters'"):
        inferflow.notebook("plain.ipynb", x=2)
    with pytest.raises(ReturnsMissing, match="did not set 'y'"):
        inferflow.notebook("plain.ipynb", returns=("x", "y"))
    with pytest.raises(ValueError, match=r"needs the kernel 'gone', .*there are: .*python3"):
        inferflow.notebook("plain.ipynb", kernel="gone")
    with pytest.raises(FileNotFoundError):
        inferflow.notebook("gone.ipynb")
    (here / "text.ipynb").write_text("no notebook")
    with pytest.raises(ValueError, match="is not a notebook"):
        inferflow.notebook("text.ipynb")
    write_notebook(here / "file.ipynb", "f = open('text.ipynb')")
    with pytest.raises(TypeError, match="cannot hand out 'f'"):
        inferflow.notebook("file.ipynb", returns="f")


def test_the_kernel_dies_or_takes_too_long(here: Path) -> None:
    write_notebook(here / "dies.ipynb", "1", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(NotebookFailed, match=r"cell 2.*the kernel ended"):
        inferflow.notebook("dies.ipynb")
    write_notebook(here / "slow.ipynb", "import time; time.sleep(60)")
    with pytest.raises(NotebookFailed, match="more than 1 seconds"):
        inferflow.notebook("slow.ipynb", timeout=1)


def test_it_runs_in_its_own_folder_and_within_an_event_loop(here: Path) -> None:
    (here / "sub").mkdir()
    write_notebook(here / "sub" / "n.ipynb", "import os\nwhere = os.getcwd()")

    async def call() -> Any:
        return inferflow.notebook("sub/n.ipynb", returns="where")

    assert asyncio.run(call()) == os.path.realpath(here / "sub")
    assert inferflow.notebook("sub/n.ipynb", returns="where", folder=".") == os.path.realpath(here)


def test_a_kernel_of_another_language(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = here / "jupyter" / "kernels" / "mybash"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "b", "language": "bash"}))
    monkeypatch.setenv("JUPYTER_PATH", str(here / "jupyter"))
    cells = [("lr=1", "parameters"), 'score="$lr \\"quoted\\" \\\\ $(printf \'a\\nb\')"']
    write_notebook(here / "b.ipynb", *cells, kernel="mybash", language="bash")
    assert inferflow.notebook("b.ipynb", lr="it's", returns="score") == 'it\'s "quoted" \\ a\nb'
    with pytest.raises(ValueError, match="cannot be handed to bash"):
        inferflow.notebook("b.ipynb", lr=object)


def test_a_kernel_of_r(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which("R") and subprocess.run(["R", "--slave", "-e", "library(IRkernel)"], capture_output=True)
    if not found or found.returncode:
        assert not os.environ.get("CI"), "the tests need R with IRkernel"
        pytest.skip("R with IRkernel is not installed")
    spec = here / "jupyter" / "kernels" / "ir"
    spec.mkdir(parents=True)
    argv = ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "R", "language": "R"}))
    monkeypatch.setenv("JUPYTER_PATH", str(here / "jupyter"))
    cells = [("n <- 1\nname <- 'none'", "parameters"), "score <- n / 4\nwords <- c(name, 'b')", "print(score)"]
    write_notebook(here / "r.ipynb", *cells, kernel="ir", language="R")
    assert inferflow.notebook("r.ipynb", n=7, name='it\'s "x"', returns=("score", "words")) == (
        1.75,
        ['it\'s "x"', "b"],
    )
    (here / "driver.py").write_text(
        "import inferflow\n\ndef main():\n    score = inferflow.notebook('r.ipynb', n=7, returns='score')\n"
        "    print(score)\n\nmain()\n"
    )
    for command in ((), ("-m", "inferflow", "-q", "run")):
        ran = subprocess.run([sys.executable, *command, "driver.py"], capture_output=True, text=True)
        assert (ran.stdout, ran.returncode) == ("1.75\n", 0), ran.stderr
    write_notebook(here / "fails.ipynb", "stop('no data')", kernel="ir", language="R")
    with pytest.raises(NotebookFailed, match="no data"):
        inferflow.notebook("fails.ipynb")


def test_a_kernel_of_a_language_that_is_not_known(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheme: executed as any other, in a run too; variables neither go in nor come out."""
    spec = here / "jupyter" / "kernels" / "scheme"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "calysto_scheme", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "s", "language": "scheme"}))
    monkeypatch.setenv("JUPYTER_PATH", str(here / "jupyter"))
    cells = ["(define (double x) (* 2 x))", "(print (double 21))", "(double 4)"]
    write_notebook(here / "s.ipynb", *cells, kernel="scheme", language="scheme")
    write_notebook(here / "fails.ipynb", "(define x 1)", "(undefined-thing x)", kernel="scheme", language="scheme")
    (here / "driver.py").write_text(
        "import inferflow\nfrom inferflow.runners.notebook import NotebookFailed\n\n"
        "inferflow.notebook('s.ipynb', output='out.ipynb')\n"
        "try:\n    inferflow.notebook('fails.ipynb')\n"
        "except NotebookFailed as error:\n    print(error.cell, error.source, error.exception)\n"
    )
    for command in ((), ("-m", "inferflow", "-q", "run")):
        ran = subprocess.run([sys.executable, *command, "driver.py"], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == "2 (undefined-thing x) RunTimeError\n"
        executed = json.loads((here / "out.ipynb").read_text())["cells"]
        (here / "out.ipynb").unlink()
        assert [cell["execution_count"] for cell in executed] == [1, 2, 3]
        assert "".join("".join(part["text"]) for part in executed[1]["outputs"]) == "42\n"
        assert "".join(executed[2]["outputs"][0]["data"]["text/plain"]) == "8"
    with pytest.raises(ValueError, match="not from scheme"):
        inferflow.notebook("s.ipynb", returns="x")


def test_code_that_sets_parameters() -> None:
    values = {"a": [1, 2.5], "b": True, "c": None, "d": {"k": "x$"}, "e": float("nan")}
    assert setting_code("r", values, "").splitlines() == [
        "# Parameters", "a <- list(1L, 2.5)", "b <- TRUE", "c <- NULL", 'd <- list(`k` = "x$")', "e <- NaN",
    ]  # fmt: skip
    assert setting_code("julia", values, "").splitlines() == [
        "# Parameters", "a = [1, 2.5]", "b = true", "c = nothing", 'd = Dict("k" => "x\\$")', "e = NaN",
    ]  # fmt: skip
    namespace: dict[str, Any] = {}
    exec(setting_code("python", {**values, "t": (1,), "s": "\n'"}, ""), namespace)
    assert namespace["e"] != namespace.pop("e")
    assert {k: namespace[k] for k in "abcdts"} == {
        "a": [1, 2.5],
        "b": True,
        "c": None,
        "d": {"k": "x$"},
        "t": (1,),
        "s": "\n'",
    }
    with pytest.raises(Unsayable, match="not in scheme"):
        setting_code("scheme", values, "")
    assert parameter_names("python", "%time a = 1\nb: int = 2\nif a:\n    c, d = 1, 2", []) == ["b", "c", "d"]


def test_without_the_libraries_it_says_what_to_install(train: Path, here: Path) -> None:
    code = (
        "import sys; sys.modules['nbclient'] = None\n"
        "import importlib.util as u; u.find_spec = lambda name: None\n"
        "import inferflow; inferflow.notebook('train.ipynb')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'inferflow[notebook]'" in done.stderr
