"""What a run leaves behind: values, files, parameters, code, environment, output, for each attempt."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compare import environment, write_files

import inferflow
from inferflow.api import RunFailed

DRIVER = '''
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

class Kind(Enum):
    SMALL = "small"
    LARGE = "large"

@dataclass
class Options:
    depth: int
    names: list[str]

class Model:
    def __init__(self, total):
        self.total = total

def load(path):
    print("loading", path)
    return [int(line) for line in Path(path).read_text().split()]

def fit(rows, scale):
    return Model(sum(rows) * scale)

def report(model, kind):
    with open("report.txt", "w") as file:
        file.write(f"{kind.value}: {model.total}\\n")
    print("reported", file=sys.stderr)

def main(path: Path = Path("rows.txt"), scale: float = 1.0, kind: Kind = Kind.SMALL, options: Options | None = None):
    """Sum rows.

    Args:
        scale: what to multiply the sum with
    """
    rows = load(path)
    model = fit(rows, scale)
    report(model, kind)
    return model, options

if __name__ == "__main__":
    main()
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_files(tmp_path, {"driver.py": DRIVER, "rows.txt": "1\n2\n3\n"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cli(project: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferflow", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment(**env), timeout=400)


def test_everything_of_a_run_is_recorded(project: Path) -> None:
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=project, check=True)
    (project / "extra.txt").write_text("x")
    done = cli(project, "run", "driver.py")
    assert done.returncode == 0, done.stderr
    shown: Any = json.loads(cli(project, "show", "latest", "--json").stdout)
    text = json.dumps(shown)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True).stdout.strip()
    assert head in text
    assert "extra.txt" in text
    assert hashlib.sha256(b"1\n2\n3\n").hexdigest() in text
    assert hashlib.sha256(b"small: 6.0\n").hexdigest() in text
    assert "loading rows.txt" in text
    assert "reported" in text
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in text


EVERYWHERE = """
import time
def hide(name): return globals()[name]
def slow(t): time.sleep(t); return t
def free(x): return [x]
def save(x):
    with open("saved.txt", "w") as f: f.write(x)
def live(): return (i for i in range(3))
def change(a, t): time.sleep(t); a.append(1)
def count(a): return len(a)
def main():
    s = slow({seconds})
    a = free(1)
    save("x")
    g = live()
    c = hide("change")(a, {seconds})
    n = count(a)
    print(a, next(g), c, n)
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="C code is only watched on Linux")
def test_the_certificate_tells_what_ran_where_and_why(tmp_path: Path) -> None:
    for seconds in (0.3, 1.0, 3.0):  # on a busy machine home may come to everything first
        folder = tmp_path / str(seconds)
        write_files(folder, {"driver.py": EVERYWHERE.format(seconds=seconds)})
        done = cli(folder, "run", "-j", "3", "driver.py")
        assert (done.returncode, done.stdout) == (0, "[1, 1] 0 None 2\n"), done.stderr
        shown: Any = json.loads(cli(folder, "show", "latest", "--json").stdout)
        (end,) = [event for event in shown["events"] if event["kind"] == "run_finished"]
        made = end["certificate"]
        if made["ahead"] and made["held"] and made["dropped"]:
            break
    assert min(made["at_home"], made["ahead"], made["held"], made["dropped"], made["pinned"]) > 0, made
    assert any("count was dropped: 'a' had been changed in place" in reason for reason in made["reasons"]), made
    text = cli(folder, "show").stdout
    assert f"certificate  {made['at_home']} at home, {made['ahead']} ahead (" in text
    assert f"{made['dropped']} dropped" in text
    assert f"{made['pinned']} pinned" in text
    assert "generator (not kept: it is a" in text


def test_values_come_back(project: Path) -> None:
    run = inferflow.run("driver.py")
    assert run["rows"] == [1, 2, 3]
    assert run["model"].total == 6.0
    assert type(run["model"]).__name__ == "Model"
    model, options = run["return"]
    assert (model.total, options) == (6.0, None)
    assert inferflow.load("latest", "rows", folder=project) == [1, 2, 3]
    with pytest.raises(KeyError):
        run["nothing of the kind"]


def test_written_files_are_kept(project: Path) -> None:
    assert cli(project, "run", "driver.py").returncode == 0
    (project / "report.txt").unlink()
    assert cli(project, "get", "latest", "report.txt", "-o", "again.txt").returncode == 0
    assert (project / "again.txt").read_text() == "small: 6.0\n"


@pytest.mark.parametrize("target", ["driver.py", "driver.py:main", "driver:main"])
def test_parameters_are_typed(project: Path, target: str) -> None:
    arguments = ["-p", "scale=2.5", "-p", "kind=large", "-p", 'options={"depth": 2, "names": ["a", "b"]}']
    done = cli(project, "run", target, *arguments)
    assert done.returncode == 0, done.stderr
    assert (project / "report.txt").read_text() == "large: 15.0\n"
    _, options = inferflow.load("latest", "return", folder=project)
    assert (options.depth, options.names) == (2, ["a", "b"])


def test_parameters_from_a_file_and_the_environment(project: Path) -> None:
    (project / "p.yaml").write_text("scale: 3\nkind: LARGE\n")
    assert cli(project, "run", "driver.py", "--params", "p.yaml", INFERFLOW_PARAM_SCALE="9").returncode == 0
    assert (project / "report.txt").read_text() == "large: 18.0\n"


@pytest.mark.parametrize(
    ("given", "says"),
    [("scale=fast", "scale"), ("kind=huge", "SMALL"), ("scales=2", "scale"), ("options={'depth': 1}", "options")],
)
def test_wrong_parameters_are_refused_before_anything_runs(project: Path, given: str, says: str) -> None:
    done = cli(project, "run", "driver.py", "-p", given)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (project / "report.txt").exists()


def test_a_failure_is_told(project: Path) -> None:
    (project / "rows.txt").write_text("1\ntwo\n")
    done = cli(project, "run", "driver.py")
    assert done.returncode == 1
    assert "ValueError: invalid literal" in done.stderr
    shown = cli(project, "show", "latest").stdout
    assert "load" in shown
    assert "ValueError" in shown
    with pytest.raises(RunFailed, match="ValueError"):
        inferflow.run("driver.py")
    assert inferflow.run("driver.py", check=False).exit_code == 1


def test_a_task_that_ends_the_driver_with_a_status_has_failed(tmp_path: Path) -> None:
    text = "import sys\ndef work(x):\n    if x: sys.exit(x)\n    return 1\na = work(0)\nwork(3)\n"
    write_files(tmp_path, {"driver.py": text})
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", "run", "--json", "driver.py"], cwd=tmp_path, env=environment(),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (failed,) = [event for event in events if event["kind"] == "task_failed"]
    assert (failed["task"], failed["exception"], failed["message"], failed["line"]) == (1, "SystemExit", "3", 3)
    assert [event["task"] for event in events if event["kind"] == "task_retired"] == [0]


@pytest.mark.parametrize("inside", ["", "    for k in range(5): pass\n"], ids=["plain", "looks long"])
def test_turns_that_take_no_time_are_left_to_home(inside: str, tmp_path: Path) -> None:
    """A turn from elsewhere costs more than a small function: a loop of such took fifteen times as long as at home."""
    text = f"def work(x):\n{inside}    return x + 1\nfor i in range(100_000):\n    y = work(i)\nprint(y)\n"
    write_files(tmp_path, {"driver.py": text})
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", "run", "--json", "-j", "2", "driver.py"], cwd=tmp_path, env=environment(),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (loop,) = [
        r for event in events if event["kind"] == "task_finished" for r in event["regions"] if r["kind"] == "map"
    ]
    assert loop["turns"] == 100_000
    assert loop["ahead"] < 20_000, loop


def test_inline_gives_the_same(project: Path) -> None:
    process, inline = (cli(project, "-q", "run", "-b", backend, "driver.py") for backend in ("process", "inline"))
    assert (process.returncode, process.stdout, process.stderr) == (inline.returncode, inline.stdout, inline.stderr)
    assert inferflow.load("latest", "model", folder=project).total == 6.0


def test_a_large_value_is_written_behind_and_comes_back(project: Path) -> None:
    numpy = pytest.importorskip("numpy")
    write_files(
        project,
        {
            "big.py": "import numpy as np\ndef make(n): return np.arange(n, dtype=float)\ndef main():\n"
            "    x = make(2_000_000)\n    y = make(3)\n    x += 1\n    print(x.sum())\n    return x\nmain()\n"
        },
    )
    assert cli(project, "run", "big.py").returncode == 0
    assert numpy.array_equal(inferflow.load("latest", "make/x", folder=project), numpy.arange(2_000_000.0))
    assert numpy.array_equal(inferflow.load("latest", "x", folder=project), numpy.arange(2_000_000.0) + 1)


def test_a_run_from_another_folder(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "rows.txt").write_text("5\n")
    command = [sys.executable, "-m", "inferflow", "-q", "run", str(project / "driver.py")]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "report.txt").read_text() == "small: 5.0\n"


@pytest.mark.parametrize("target", ["driver.py", "driver.py:main"])
def test_a_helper_sees_the_parameters_that_were_given(project: Path, target: str) -> None:
    driver = (
        "import time\ndef slow(x):\n    time.sleep(WAIT)\n    return [x]\ndef scaled(n, k): return [n * k]\n"
        "def main(n: int = 3, k: int = 2):\n    a = slow(1)\n    b = scaled(n, k)\n    c = scaled(n, 5)\n    return a, b, c\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    for wait in ("0.4", "2", "10"):  # a busy machine may not have forked a helper in time
        write_files(project, {"driver.py": driver.replace("WAIT", wait)})
        done = cli(project, "run", target, "-p", "n=7")
        if "2 ahead" in done.stderr:
            break
    assert "2 ahead" in done.stderr
    assert inferflow.load("latest", "return", folder=project) == ([1], [14], [35])
    assert inferflow.load("latest", "n", folder=project) == 7
