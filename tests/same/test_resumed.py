"""Runs that use results of earlier ones again (``--resume``, ``--cache``): which tasks do, why others run again, and that
nothing else can be told from native."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compare import Observed, environment, observe, write_files

from inferflow.model import Run
from inferflow.storage.folder import Folder
from inferflow.storage.runs import Runs

FILES = {
    "driver.py": """\
import os
import sys
from pathlib import Path

import steps
from steps import grow

FACTOR = 2
OUT = Path("out")

def load(path):
    with open(path) as file:
        return [int(line) for line in file]

def scale(rows):
    print("scaling", len(rows))
    return [row * FACTOR for row in rows]

def fit(rows, power):
    return steps.total(rows) ** power

def save(model):
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / "model.txt", "w") as file:
        file.write(f"{model}\\n")

def tell(model):
    return f"{os.environ.get('TITLE')} {model}"

def main(power: int = 2):
    rows = load("rows.txt")
    scaled = scale(rows)
    model = fit(scaled, power)
    save(model)
    title = tell(model)
    grown = grow(scaled)
    print(title, grown)
    if "fail" in sys.argv:
        raise ValueError("no")
    return model

if __name__ == "__main__":
    main()
""",
    "steps.py": """\
SHIFT = 0

def _each(row):
    return row + SHIFT

def total(rows):
    return sum(_each(row) for row in rows)

def grow(rows):
    return rows + [len(rows)]
""",
    "rows.txt": "1\n2\n3\n",
}
ALL = {"load", "scale", "fit", "save", "tell", "grow"}


class Project:
    """A folder with a driver, run again and again; each time it is run natively too, in another folder."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder / "project"
        self.other = folder / "native"
        write_files(self.folder, dict(files))
        self.variables = environment(_INFERFLOW_TURNS="always")
        self.said = ""
        self.target = "driver.py"

    def change(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def run(self, *options: str, arguments: tuple[str, ...] = (), native: bool = True) -> dict[str, str]:
        """Run it, compare with native, and tell for each task where it ran."""
        shutil.rmtree(self.other, ignore_errors=True)
        shutil.copytree(self.folder, self.other, ignore=shutil.ignore_patterns(".inferflow"))
        found = observe(
            [sys.executable, "-m", "inferflow", "run", *options, self.target, "--", *arguments],
            self.folder, b"", self.variables,
        )  # fmt: skip
        self.said = found.stderr
        if native:
            expected = observe([sys.executable, "driver.py", *arguments], self.other, b"", self.variables)
            assert (found.stdout, found.exit_code, found.files) == (expected.stdout, expected.exit_code, expected.files)
            assert _of_driver(found) == _of_driver(expected)
        run = self.last()
        assert run.finished is not None
        names = self.names()
        counting = {attempt.task: attempt.where for attempt in run.attempts if attempt.status == "retired"}
        return {names[task]: where for task, where in counting.items()}

    def runs(self) -> Runs:
        return Runs(Folder(self.folder / ".inferflow"))

    def last(self) -> Run:
        return self.runs().list(1)[0]

    def names(self) -> list[str]:
        runs = self.runs()
        return [task.name for task in runs.graph(runs.list(1)[0].id).tasks]

    def reused(self, *options: str, **rest: bool) -> set[str]:
        return {name for name, where in self.run(*options, **rest).items() if where == "reused"}

    def reasons(self) -> list[str]:
        finished = self.last().finished
        assert finished is not None
        return [reason for reason in finished.certificate.reasons if " ran again: " in reason]


def _of_driver(seen: Observed) -> str:
    return re.sub(
        r"^\n?inferflow: .*", "", seen.stderr.replace("/project/", "/native/"), flags=re.DOTALL | re.MULTILINE
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, FILES)


def test_what_did_not_change_is_used_again_and_what_did_says_why(project: Project) -> None:
    assert project.reused() == set()
    assert project.reused("--cache") == ALL
    assert "6 used again" in project.said

    project.change("driver.py", "def fit(rows, power):\n", "# a comment\n\ndef fit(rows, power):\n    # another\n")
    assert project.reused("--cache") == ALL - {"scale"}  # (what it printed could have named lines)
    assert project.reused("--cache") == ALL

    project.change("driver.py", "FACTOR = 2", "FACTOR = 3")
    assert project.reused("--cache") == {"load"}
    assert any(re.match("scale ran again: __main__.FACTOR has changed since 20", why) for why in project.reasons())
    assert any("fit and grow ran again: scaled is not what it was" in why for why in project.reasons())

    project.change("steps.py", "SHIFT = 0", "SHIFT = 1 - 1")  # fit runs again, and nothing comes of it
    assert project.reused("--cache") == ALL
    project.change("steps.py", "return row + SHIFT", "return row + SHIFT + 1")
    assert project.reused("--cache") == {"load", "scale", "grow"}
    assert any(re.match(r"fit ran again: steps\.", why) for why in project.reasons())

    (project.folder / "rows.txt").write_text("4\n5\n")
    assert project.reused("--cache") == set()
    assert any(re.match(r"load ran again: .*rows\.txt has changed", why) for why in project.reasons())
    (project.folder / "rows.txt").write_text("1\n2\n3\n")
    assert project.reused("--cache") == ALL  # any recent run will do

    project.variables["TITLE"] = "other"
    assert "tell" not in project.reused("--cache")
    assert any("ran again: the environment (TITLE) has changed" in why for why in project.reasons()), project.reasons()
    project.variables.update(TMUX="other", SSH_TTY="/dev/pts/9", GITHUB_RUN_ID="7")  # another terminal, another job
    assert project.reused("--cache") == ALL
    assert project.reused() == set()  # only who asks for it gets it


def test_parameters_are_compared(project: Project) -> None:
    project.target = "driver.py:main"
    project.run("-p", "power=3", native=False)
    assert project.reused("--cache", "-p", "power=4", native=False) == {"load", "scale", "grow"}
    assert any("fit ran again: parameter power has changed" in why for why in project.reasons()), project.reasons()
    assert project.reused("--cache", "-p", "power=3", native=False) == ALL


def test_a_failed_run_is_gone_on_with(project: Project) -> None:
    project.run(arguments=("fail",))
    run = project.last().id
    assert f"inferflow run driver.py --resume {run}" in project.said
    assert project.run("--resume", run, arguments=("fail",)).items() >= {(name, "reused") for name in ALL}
    project.change("driver.py", 'raise ValueError("no")', 'print("mended")')
    assert project.run("--resume", run.rpartition("-")[2], arguments=("fail",)).items() >= {
        (n, "reused") for n in ALL - {"scale"}
    }
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", "run", "--resume", "no-such", "driver.py"],
        cwd=project.folder, env=project.variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no run 'no-such'" in done.stderr
    assert "Traceback" not in done.stderr


def test_files_come_back_and_what_was_lost_is_made_again(project: Project) -> None:
    project.run()
    shutil.rmtree(project.folder / "out")
    assert "save" in project.reused("--cache")  # compared with native in files too
    (project.folder / "out" / "model.txt").write_text("spoiled by hand")
    assert "save" in project.reused("--cache")
    shutil.rmtree(project.folder / "out")
    (project.folder / "out").write_text("not a folder")
    assert "save" not in project.run("--cache")  # it fails, as natively
    assert b"FileExistsError" in project.said.encode()
    (project.folder / "out").unlink()
    for path in (project.folder / ".inferflow").rglob("*"):
        if path.is_file() and "artifacts" in path.parts:
            path.unlink()
    assert project.reused("--cache") <= ALL


def test_a_killed_run_is_gone_on_with(project: Project) -> None:
    project.change("driver.py", "    title = tell(model)", "    wait()\n    title = tell(model)")
    project.change(
        "driver.py", "def tell(model):",
        "def wait():\n    import time\n    while os.path.exists('hold'):\n        time.sleep(0.05)\n\ndef tell(model):",
    )  # fmt: skip
    (project.folder / "hold").write_text("")
    command = [sys.executable, "-m", "inferflow", "run", "-j", "1", "driver.py"]
    with subprocess.Popen(command, cwd=project.folder, env=project.variables, stdout=subprocess.DEVNULL) as started:
        saved = project.folder / "out" / "model.txt"
        end = time.monotonic() + 120
        while not (saved.exists() and saved.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1.0)  # (until what stands in the file stands in the record)
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
    (project.folder / "hold").unlink()
    run = project.runs().list(1)[0]
    assert project.reused("--resume", run.id) >= {"load", "scale", "fit"}


LITERALS = """
def write(path, x):
    with open(path, "w") as file:
        file.write(str(x))

def double(x):
    return 2 * x

def main():
    name = "a.txt"
    k = 3
    factor, shift = 2, 1
    write(name, k)
    y = double(k * factor + shift)
    print(y)

main()
"""


def test_what_the_driver_says_before_a_task_is_part_of_it(tmp_path: Path) -> None:
    """Literals that a task gets, also of one that writes files."""
    project = Project(tmp_path, {"driver.py": LITERALS})
    project.run()
    assert project.reused("--cache") == {"write", "double"}
    project.change("driver.py", '"a.txt"', '"b.txt"')
    assert project.reused("--cache") == {"double"}
    project.change("driver.py", "2, 1", "2, 2")
    assert project.reused("--cache") == {"write"}
    project.change("driver.py", "k = 3", "k = 4")
    assert project.reused("--cache") == set()


LIBRARY = """
import polars
import numpy as np

def first(path):
    return polars.read_csv(path)

data = np.loadtxt("rows.txt")
u, s, v = np.linalg.svd(np.outer(data, data))
print(s.round(2))
head = first("rows.txt")
print(head)
"""
COMPILED = """
import ctypes

def read_csv(path):
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(path.encode(), b"r"))
    line = ctypes.create_string_buffer(99)
    libc.fgets(line, 99, file)
    libc.fclose(file)
    return line.value
"""


def test_library_calls_are_used_again_but_for_those_whose_reads_are_not_seen(tmp_path: Path) -> None:
    project = Project(tmp_path, {"driver.py": LIBRARY, "rows.txt": "1\n2\n3\n"})
    write_files(tmp_path / "library" / "polars", {"__init__.py": COMPILED})
    project.variables["PYTHONPATH"] = str(tmp_path / "library")
    assert project.reused() == set()
    assert project.reused("--cache") >= {"loadtxt"}  # (and what follows from it)
    assert "first ran again: compiled code of polars may read files" in project.reasons()
    (project.folder / "rows.txt").write_text("4\n5\n6\n")
    assert project.reused("--cache").isdisjoint({"loadtxt", "first"})


AHEAD = """
import time

def load(path):
    time.sleep(0.4)
    with open(path) as file:
        return file.read()

def save(path, text):
    time.sleep(0.4)
    with open(path, "w") as file:
        file.write(text)
    return len(text)

def main():
    a = load("a.txt")
    b = load("b.txt")
    c = save("c.txt", a)
    d = save("d.txt", b)
    print(a, b, c, d)

main()
"""


def test_what_ran_ahead_is_used_again_too(tmp_path: Path) -> None:
    """Also what has read files, or written them, away from home."""
    project = Project(tmp_path, {"driver.py": AHEAD, "a.txt": "a", "b.txt": "bb"})
    for _ in range(4):  # (on a busy machine home may come to all tasks first)
        ran = project.run("-j", "3")
        if {"load.2", "save.2"} <= {name for name, where in ran.items() if where == "ahead"}:
            break
    else:
        pytest.fail(f"nothing ran ahead: {ran}")
    run = project.last().id
    assert project.reused("--resume", run) == {"load", "load.2", "save", "save.2"}
    (project.folder / "d.txt").unlink()
    (project.folder / "b.txt").write_text("bbb")
    assert project.reused("--resume", run) == {"load", "save"}


LOOKS = """\
import os
import sys
import weakref

KEPT = []

class Box:
    def __init__(self, n):
        self.n = n

def absent():
    try:
        with open("maybe.txt") as file:
            return file.read()
    except FileNotFoundError:
        return "absent"

def asks():
    return os.path.exists("maybe.txt")

def lists():
    return sorted(os.listdir("."))

def appends():
    with open("log.txt", "a") as file:
        file.write("x")
    return 1

def rewrites():
    with open("log.txt") as file:
        text = file.read()
    with open("log.txt", "w") as file:
        file.write(text + "y")
    return len(text)

def remembers(n):
    KEPT.append(n)
    return len(KEPT)

def boxed(n):
    return Box(n)

def changes(box):
    box.n += 1
    return box.n

def opened(box):
    return box.n * 10

def once(text):
    with open(text, "x") as file:
        file.write("once")
    return text

def main():
    a = absent()
    b = asks()
    c = [name for name in lists() if name == "maybe.txt"]
    d = appends()
    e = rewrites()
    f = remembers(1)
    box = boxed(5)
    g = changes(box)
    h = opened(box)
    print(a, b, c, d, e, f, g, h, box.n, len(KEPT))
    i = once("once.txt")

main()
"""


def test_what_leaves_no_trace_or_changes_what_is_there_runs_again(tmp_path: Path) -> None:
    project = Project(tmp_path, {"driver.py": LOOKS, "log.txt": "z"})
    project.run()
    (project.folder / "once.txt").unlink()
    assert project.reused("--cache").isdisjoint(
        {"absent", "asks", "lists", "appends", "rewrites", "remembers", "changes"}
    )
    (project.folder / "once.txt").unlink()
    (project.folder / "maybe.txt").write_text("here")
    assert "once" in project.reused("--cache")
    assert "once" not in project.run("--cache")  # the file is there: it fails, as natively
    assert "FileExistsError" in project.said


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize(("kind", "first", "count"), [("plain", 0, 14), ("arrays", 0, 8), ("flow", 0, 8)])
def test_changed_programs_that_use_earlier_results_are_the_same(kind: str, first: int, count: int) -> None:
    if kind == "arrays":
        pytest.importorskip("numpy")
    script = Path(__file__).resolve().parent / "resumed.py"
    done = subprocess.run(
        [sys.executable, str(script), "--kind", kind, "--first", str(first), "--count", str(count)],
        env=environment(), capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) resumed runs, (\d+) tasks used again, 0 different", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) >= count, done.stdout
    assert int(found[2]) >= count // 2, done.stdout
