"""Each example natively and inferred, in copies of its folder; and what was kept of it can be had again."""

from __future__ import annotations

import ast
import csv
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compare import Observed, both, environment, recorded

import inferflow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if (path / "driver.py").exists())


def files_of(name: str) -> dict[str, str | bytes]:
    """What is kept of an example under version control, or would be."""
    folder = EXAMPLES / name
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".py", ".md", ".csv", ".txt", ".sh", ".awk", ".pl"}
        and not {".inferflow", "__pycache__"} & set(path.parts)
    }


def run_both(
    tmp_path: Path,
    name: str,
    *arguments: str,
    driver: str = "driver.py",
    options: tuple[str, ...] = (),
    **variables: str,
) -> tuple[Observed, Path]:
    """Run an example both ways and compare; what native gave, and the folder of the inferred run."""
    native, inferred, folder = both(tmp_path, files_of(name), *arguments, driver=driver, options=options, **variables)
    assert native.exit_code == 0, native.stderr
    assert inferred.stdout == native.stdout
    assert inferred.stderr == native.stderr
    assert inferred.exit_code == native.exit_code
    assert sorted(inferred.files) == sorted(native.files)
    for path, content in native.files.items():
        if not path.endswith(".sqlite"):
            assert inferred.files[path] == content, path
    return native, folder


def get(folder: Path, *arguments: str) -> bytes:
    command = [sys.executable, "-m", "inferflow", "get", "latest", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True).stdout


def tasks_of(folder: Path) -> dict[str, dict[str, object]]:
    """The tasks of the last run by name."""
    return {task["task"]: task for task in recorded(folder)["tasks"]}


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> tuple[Observed, Path]:
    return run_both(tmp_path_factory.mktemp("iris"), "iris")


def test_there_are_the_examples_that_the_readme_names() -> None:
    assert NAMES == ["etl", "iris", "languages", "model_comparison", "simulation", "text"]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_not_know_of_inferflow(name: str) -> None:
    """It is code as people write it: no import, no decorator, no comment for our sake."""
    for path in (EXAMPLES / name).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        ast.parse(text)
        assert "inferflow" not in text.lower()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_tells_how_to_run_it(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert "python driver.py" in text
    assert "inferflow run driver.py" in text


def preview(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "inferflow", "preview", "driver.py", "--json"]
    done = subprocess.run(command, cwd=EXAMPLES / name, env=environment(), capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_analysed_to_its_end(name: str) -> None:
    """IF390 would mean that a pass of the analysis failed and everything stays in order."""
    assert [found for found in preview(name)["diagnostics"] if found["code"] == "IF390"] == []


def test_what_does_not_depend_on_each_other_may_run_ahead() -> None:
    free = {task["key"][0] for task in preview("model_comparison")["tasks"] if not task["home"]}
    assert {"fit_logistic", "fit_bayes", "fit_forest", "fit_boosting"} <= free


def test_iris_keeps_the_literal_of_the_call(iris: tuple[Observed, Path]) -> None:
    """``model_fit(X, Y, C=1.0)`` is fitted with 1.0, although the function's default is 1e5."""
    native, folder = iris
    assert b"[-2.71  2.32]" in native.stdout

    kept = inferflow.load("latest", "logreg", folder=folder)
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    expected = LogisticRegression(C=1.0).fit(iris.data[:, :2], iris.target)
    assert kept.C == 1.0
    assert (kept.coef_ == expected.coef_).all()
    assert (kept.intercept_ == expected.intercept_).all()


def test_iris_keeps_the_plot_that_it_wrote(iris: tuple[Observed, Path]) -> None:
    native, folder = iris
    plot = native.files["iris_logistic.png"]
    assert plot.startswith(b"\x89PNG")
    (folder / "iris_logistic.png").unlink()
    get(folder, "iris_logistic.png", "-o", "again.png")
    assert (folder / "again.png").read_bytes() == plot


def test_iris_has_the_tasks_that_a_person_would_name(iris: tuple[Observed, Path]) -> None:
    _, folder = iris
    assert list(tasks_of(folder))[:3] == ["load_data", "model_fit", "generate_plots"]


def test_model_comparison_writes_a_report(tmp_path: Path) -> None:
    native, folder = run_both(tmp_path, "model_comparison")
    with open(folder / "report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert rows == sorted(rows, key=lambda row: -float(row["auc"]))
    assert native.stdout.decode().splitlines()[-1] == f"best: {rows[0]['model']}"
    assert inferflow.load("latest", "return", folder=folder) == rows[0]["model"]


def test_etl_fills_a_database(tmp_path: Path) -> None:
    native, folder = run_both(tmp_path, "etl")
    other = tmp_path / "native.sqlite"
    other.write_bytes(native.files["sales.sqlite"])
    dumps = []
    for path in (other, folder / "sales.sqlite"):
        connection = sqlite3.connect(path)
        dumps.append(list(connection.iterdump()))
        connection.close()
    assert dumps[0] == dumps[1]
    assert len(dumps[0]) > 500
    assert b"<h2>Countries</h2>" in native.files["report.html"]
    total = inferflow.load("latest", "return", folder=folder)
    assert f"{total:,.2f} EUR".encode() in native.stdout
    monthly = inferflow.load("latest", "monthly", folder=folder)
    assert len(monthly) == 24
    assert sum(monthly.values()) == pytest.approx(total)


def test_simulation_draws_the_same_numbers(tmp_path: Path) -> None:
    native, folder = run_both(tmp_path, "simulation")
    assert len(native.files["curves.csv"].splitlines()) == 161
    summary = inferflow.load("latest", "return", folder=folder)
    assert sorted(summary) == ["day", "peak", "peak_90", "total"]
    assert f"{summary['peak']:8.0f}".encode() in native.stdout


def test_simulation_takes_parameters(tmp_path: Path) -> None:
    native, inferred, folder = both(
        tmp_path,
        {
            **files_of("simulation"),
            "small.py": "from driver import main\n\nmain(runs=5, days=40, strategy='lockdown')\n",
        },
        driver="small.py",
    )
    assert native.exit_code == 0, native.stderr
    assert inferred.stdout == native.stdout
    command = [sys.executable, "-m", "inferflow", "-q", "run", "driver.py:main"]
    given = ["-p", "runs=5", "-p", "days=40", "-p", "strategy=lockdown"]
    done = subprocess.run([*command, *given], cwd=folder, env=environment(), capture_output=True, check=True)
    assert done.stdout == native.stdout


def test_simulation_refuses_a_wrong_parameter_before_anything_runs(tmp_path: Path) -> None:
    for name, content in files_of("simulation").items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    command = [sys.executable, "-m", "inferflow", "run", "driver.py:main", "-p", "strategy=prayer"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "strategy" in done.stderr
    assert "masks" in done.stderr
    assert not os.path.exists(tmp_path / "curves.csv")


def test_languages_keeps_what_each_command_wrote(tmp_path: Path) -> None:
    native, folder = run_both(tmp_path, "languages")
    assert native.stdout.decode().splitlines()[0] == "5 days in access.txt"
    assert get(folder, "out/day-2026-03-04.log") == native.files["out/day-2026-03-04.log"]
    pages = inferflow.load("latest", "return", folder=folder)
    assert sum(pages.values()) == 180


def test_text_reads_its_arguments_and_modules(tmp_path: Path) -> None:
    native, folder = run_both(tmp_path, "text", "--keywords", "3")
    assert native.stdout.decode().splitlines()[-1].startswith("5 texts, ")
    index = json.loads((folder / "index.json").read_text())
    assert inferflow.load("latest", "n_words", folder=folder) == len(index)
    best = inferflow.load("latest", "best", folder=folder)
    assert {len(words) for words in best.values()} == {3}


def test_text_keeps_instances_of_the_projects_classes(tmp_path: Path) -> None:
    _, folder = run_both(tmp_path, "text")
    code = (
        "import inferflow, textstats.corpus as c\n"
        "corpus = inferflow.load('latest', 'corpus')\n"
        "assert all(type(d) is c.Document for d in corpus.values()), corpus\n"
        "print(corpus['map'].title)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, check=True)
    assert done.stdout.decode() == "How to Draw a Map of a Place You Know\n"
