"""The command line as a process: streams, exit status, pipes; and the way from a run to its values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = """\
import sys
import steps

def main(C: float = 1.0):
    rows = steps.load(3)
    model = steps.fit(rows, C=C)
    print("model", model)
    sys.stderr.write("warned\\n")
    steps.save(model)
    return model

if __name__ == "__main__":
    main()
"""
STEPS = """\
def load(n):
    return [{"a": i, "b": i / 2} for i in range(n)]

def fit(rows, C):
    return sum(row["a"] for row in rows) * C

def save(model):
    with open("model.txt", "w") as file:
        file.write(str(model))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("flow")
    (root / "driver.py").write_text(DRIVER)
    (root / "steps.py").write_text(STEPS)
    (root / "fails.py").write_text("def work(x):\n    return 1 / x\n\nprint('begin')\nwork(0)\n")
    (root / "exits.py").write_text("import sys\nprint(sys.argv)\nsys.exit(7)\n")
    return root


def inferflow(project: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INFERFLOW_")}
    line = [sys.executable, "-m", "inferflow", *arguments]
    return subprocess.run(line, cwd=project, capture_output=True, text=True, timeout=400, env=environ, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def ran(project: Path) -> str:
    done = inferflow(project, "run", "driver.py:main", "-p", "C=2.5")
    assert (done.returncode, done.stdout) == (0, "model 7.5\n")
    first, last = done.stderr.splitlines()
    assert first == "warned"
    assert last.startswith("inferflow: ok, ")
    return last.rpartition(" ")[2]


def test_a_run_can_be_looked_at(project: Path, ran: str) -> None:
    shown = inferflow(project, "show", ran)
    assert shown.returncode == 0
    assert all(word in shown.stdout for word in (ran, "load", "fit", "save"))
    assert ran in inferflow(project, "runs").stdout
    assert [run["run"] for run in json.loads(inferflow(project, "runs", "--json", "--limit", "0").stdout)].count(
        ran
    ) == 1
    data = json.loads(inferflow(project, "show", ran, "--json").stdout)
    assert (data["status"], data["exit_code"], data["parameters"]) == ("ok", 0, {"C": "2.5"})
    assert data["events"][0]["kind"] == "run_started"
    assert "fit" in inferflow(project, "show", ran, "fit").stdout
    assert "did you mean fit?" in inferflow(project, "show", ran, "fitt").stderr
    lines = json.loads(inferflow(project, "logs", ran, "--json").stdout)
    assert [line["text"] for line in lines if line["stream"] == "stdout"] == ["model 7.5\n"]
    assert "model 7.5" in inferflow(project, "logs", ran).stdout


def test_values_and_files_come_back(project: Path, ran: str) -> None:
    assert inferflow(project, "get", ran, "model").stdout == "7.5\n"
    assert json.loads(inferflow(project, "get", ran, "rows", "--json").stdout)[1] == {"a": 1, "b": 0.5}
    assert inferflow(project, "get", ran, "rows", "--format", "csv").stdout == "a,b\n0,0.0\n1,0.5\n2,1.0\n"
    assert inferflow(project, "get", ran, "rows", "-o", "rows.csv", "-q").stderr == ""
    assert (project / "rows.csv").read_text().startswith("a,b\n")
    assert inferflow(project, "get", ran, "model.txt").stdout == "7.5"
    refused = inferflow(project, "get", ran, "model", "--format", "csv")
    assert refused.returncode == 1
    assert "this float is no table" in refused.stderr
    unknown = inferflow(project, "get", ran, "modle")
    assert unknown.returncode == 2
    assert "did you mean 'model'?" in unknown.stderr


def test_exit_status_and_arguments_are_the_drivers(project: Path) -> None:
    done = inferflow(project, "run", "-q", "exits.py", "--", "a", "--json", "--", "-x")
    assert (done.returncode, done.stdout, done.stderr) == (7, "['exits.py', 'a', '--json', '--', '-x']\n", "")


def test_a_failure_has_natives_traceback_and_a_way_on(project: Path) -> None:
    native = subprocess.run([sys.executable, "fails.py"], cwd=project, capture_output=True, text=True)
    done = inferflow(project, "run", "fails.py")
    assert (done.returncode, done.stdout) == (1, native.stdout)
    assert done.stderr.startswith(native.stderr)
    assert "inferflow show " in done.stderr.splitlines()[-1]
    assert inferflow(project, "run", "-q", "fails.py").stderr == native.stderr


def test_json_lines(project: Path) -> None:
    done = inferflow(project, "run", "--json", "driver.py")
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["kind"] == "run_started"
    assert (events[-1]["kind"], events[-1]["status"]) == ("summary", "ok")
    assert "".join(event.get("stdout", "") for event in events) == "model 3.0\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of a POSIX shell")
def test_a_closed_pipe_ends_quietly(project: Path) -> None:
    line = f"{sys.executable} -m inferflow preview driver.py --format html | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=project, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_module_beside_the_driver_does_not_disturb_the_command(project: Path, ran: str) -> None:
    for name in ("json.py", "attrs.py", "difflib.py"):
        (project / name).write_text("raise SystemExit('hidden')\n")
    try:
        assert inferflow(project, "runs", "--json").returncode == 0
        assert inferflow(project, "get", ran, "model", "--json").stdout == "7.5\n"
    finally:
        for name in ("json.py", "attrs.py", "difflib.py"):
            (project / name).unlink()


def test_a_trivial_command_loads_nothing_heavy(project: Path) -> None:
    inferflow(project, "preview", "driver.py")
    code = (
        "import sys; from inferflow.cli.app import execute; execute(['preview', 'driver.py', '-o', 'x'])\n"
        "heavy = ('libcst', 'cattrs', 'yaml', 'pydantic', 'sqlite3', 'asyncio', 'inferflow.analysis')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_prune_frees_old_runs(project: Path, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("x = [1, 2, 3]\nprint(sum(x))\n")
    for _ in range(2):
        assert inferflow(tmp_path, "run", "-q", "one.py").stdout == "6\n"
    assert inferflow(tmp_path, "prune", "--keep", "1", "--dry-run").stdout.startswith("would free ")
    assert len(json.loads(inferflow(tmp_path, "runs", "--json").stdout)) == 2
    assert len(json.loads(inferflow(tmp_path, "prune", "--keep", "1", "--json").stdout)["runs"]) == 1
    assert len(json.loads(inferflow(tmp_path, "runs", "--json").stdout)) == 1
