"""Drivers that run commands and notebooks: as natively, and what they wrote is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compare import assert_same, environment, recorded

SHELL = """
import os
import subprocess
import inferflow

def total(text):
    return sum(int(line) for line in text.splitlines())

def main():
    print("start")
    subprocess.run(["sh", "-c", "echo 3 > a.txt; echo 4 >> a.txt; echo said; echo wrong >&2"])
    os.system("sort -r a.txt -o sorted.txt; mkdir -p out/deep; cp a.txt out/deep/b.txt")
    x = total(subprocess.check_output(["cat", "a.txt"], text=True))
    score, n = inferflow.shell("echo live; n=$(wc -l < a.txt); score=$((x * n))", env={"x": x}, returns=("score", "n"))
    p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = p.communicate(b"abc")
    print(x, score, n.strip(), out)
    return score

if __name__ == "__main__":
    main()
"""


def shown(folder: Path) -> dict[str, dict[str, Any]]:
    return {task["task"]: task for task in recorded(folder)["tasks"]}


def written(task: dict[str, Any]) -> list[str]:
    return sorted(use["path"] for use in task["attempts"][-1]["files"] if use["mode"] == "write")


def test_commands_are_tasks_and_what_they_wrote_is_kept(tmp_path: Path) -> None:
    folder = assert_same(tmp_path, SHELL)
    tasks = shown(folder)
    assert [name for name, task in tasks.items() if task["kind"] == "shell"] == ["sh", "sort", "echo", "cat"]
    assert written(tasks["sh"]) == ["a.txt"]
    assert written(tasks["sort"]) == ["out/deep/b.txt", "sorted.txt"]
    got = [sys.executable, "-m", "inferflow", "get", "latest", "out/deep/b.txt", "-o", "again.txt"]
    subprocess.run(got, cwd=folder, env=environment(), check=True)
    assert (folder / "again.txt").read_text() == "3\n4\n"
    for command, words in (
        (["show", "latest"], ["sort · shell", "cat · shell"]),
        (["show", "latest", "sort"], ["driver.py:12 · shell"]),
        (["logs"], ["sh · shell · stdout", "echo · shell · stdout"]),
        (["logs", "--json"], ['"kind": "shell"']),
    ):
        done = [sys.executable, "-m", "inferflow", *command]
        text = subprocess.run(done, cwd=folder, env=environment(), capture_output=True, text=True).stdout
        assert not [word for word in words if word not in text], text
    for form in ("tree", "table", "mermaid", "dot", "svg", "html", "diff"):
        command = [sys.executable, "-m", "inferflow", "preview", "driver.py", "--format", form]
        text = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True).stdout
        assert "shell" in text, form


@pytest.mark.parametrize("line", ["subprocess.run('exit 3', shell=True, check=True)", "inferflow.shell('exit 3')"])
def test_a_failing_command_fails_as_natively(line: str, tmp_path: Path) -> None:
    assert_same(tmp_path, f"import subprocess, inferflow\nprint(1)\n{line}\nprint(2)\n")


def test_a_notebook_is_a_task_and_is_kept_executed(tmp_path: Path) -> None:
    pytest.importorskip("nbclient") if not os.environ.get("CI") else None
    cells = [
        {"cell_type": "code", "source": "k = 1", "metadata": {"tags": ["parameters"]}},
        {"cell_type": "code", "source": "squares = [i * k for i in range(4)]\nsquares", "metadata": {}},
    ]
    nb = {
        "cells": [{**cell, "outputs": [], "execution_count": None} for cell in cells],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    driver = "import inferflow\nk = 2\nfound = inferflow.notebook('n.ipynb', k=k, returns='squares')\nprint(found)\n"
    folder = assert_same(tmp_path, {"driver.py": driver, "n.ipynb": json.dumps(nb)})
    task = shown(folder)["n"]
    assert task["kind"] == "notebook"
    assert "n.executed.ipynb" in written(task)
    got = [sys.executable, "-m", "inferflow", "get", "latest", "n.executed.ipynb", "-o", "executed.ipynb"]
    subprocess.run(got, cwd=folder, env=environment(), check=True)
    outputs = json.loads((folder / "executed.ipynb").read_text())["cells"][2]["outputs"]
    assert outputs[0]["data"]["text/plain"] == ["[0, 2, 4, 6]"]


def notebook_file(*sources: str) -> str:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "source": source, "metadata": {"tags": [] if number else ["parameters"]}, "outputs": []}
        for number, source in enumerate(sources)
    ]
    return json.dumps(
        {
            "cells": [{**cell, "execution_count": None} for cell in cells],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 4,
        }
    )


PAPERMILL = """
import papermill
def after(n):
    return n + 1
nb = papermill.execute_notebook("n.ipynb", "out.ipynb", parameters={"k": 3}, progress_bar=False)
print(nb.cells[-1].outputs[0].text, after(1))
try:
    papermill.execute_notebook("n.ipynb", "failed.ipynb", parameters={"k": 0}, progress_bar=False)
except papermill.PapermillExecutionError as error:
    print(error.ename, error.exec_count)
"""

NBCLIENT = """
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
nb = nbformat.read("n.ipynb", as_version=4)
client = NotebookClient(nb, timeout=60)
client.execute()
print(nb.cells[-1].outputs[0].text)
nb.cells[0].source = "k = 0"
client.execute()
"""


@pytest.mark.parametrize(("driver", "name"), [(PAPERMILL, "n"), (NBCLIENT, "execute.2")], ids=["papermill", "nbclient"])
def test_what_papermill_and_nbclient_execute_is_kept(driver: str, name: str, tmp_path: Path) -> None:
    """Also what is in no file, since a cell failed; ``show`` has the cells."""
    if not os.environ.get("CI"):
        pytest.importorskip("papermill")
    env = environment()
    env.pop("PYTEST_CURRENT_TEST", None)
    (tmp_path / "driver.py").write_text(driver)
    (tmp_path / "n.ipynb").write_text(notebook_file("k = 1", "print(10 / k)"))
    (tmp_path / "inferflow.toml").write_text("")
    native = subprocess.run([sys.executable, "driver.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    command = [sys.executable, "-m", "inferflow", "-q", "run", "driver.py"]
    inferred = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (inferred.returncode, inferred.stdout) == (native.returncode, native.stdout), inferred.stderr
    tasks = shown(tmp_path)
    assert tasks[name]["kind"] == "notebook"
    if driver is PAPERMILL:
        assert written(tasks[name]) == ["out.ipynb"]
        assert native.stdout.splitlines()[-1] == "ZeroDivisionError 3"
    else:
        assert written(tasks["execute"]) == ["execute.executed.ipynb"]
        assert native.returncode == 1
    show = [sys.executable, "-m", "inferflow", "show", "latest", name]
    text = subprocess.run(show, cwd=tmp_path, env=env, capture_output=True, text=True).stdout
    assert "print(10 / k)" in text
    assert ("ZeroDivisionError: division by zero" in text) == (driver is NBCLIENT)
    assert "\\x1b" not in text
