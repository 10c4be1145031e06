"""Notebooks and commands in containers: a notebook as driver, a driver of notebooks, shell tasks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve
from compare import assert_same, both, environment, observe, write_files
from daemons import Daemon, python_image
from native import assert_same as assert_same_notebook
from native import book
from test_programs import SHELL, notebook_file, shown, written

from inferflow.runners.notebook import missing_libraries

ROOT = Path(__file__).resolve().parents[2]
HOST = ("--backend", "docker", "--image", "host", "-j", "3")
needs_kernels = pytest.mark.skipif(
    bool(missing_libraries()) and not os.environ.get("CI"), reason="the extra 'notebook' is not installed"
)


@pytest.fixture
def engine(docker_engine: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)  # where it is set, a kernel does not watch its descriptors
    return docker_engine


def test_commands_in_a_container(tmp_path: Path, engine: Daemon) -> None:
    folder = assert_same(tmp_path, SHELL, options=HOST)
    tasks = shown(folder)
    assert [name for name, task in tasks.items() if task["kind"] == "shell"] == ["sh", "sort", "echo", "cat"]
    assert written(tasks["sh"]) == ["a.txt"]
    assert written(tasks["sort"]) == ["out/deep/b.txt", "sorted.txt"]


def test_children_are_traced_in_a_container(tmp_path: Path, engine: Daemon) -> None:
    """There home is no more than a user of the container: nothing is asked of the engine for it."""
    driver = (
        "import os, subprocess\nsubprocess.run('cd /tmp && echo 1 > far.txt', shell=True, check=True)\n"
        "print(os.system('cat /tmp/far.txt > near.txt'))\n"
    )
    folder = assert_same(tmp_path, {"driver.py": driver, "inferflow.toml": "trace = true\n"}, options=HOST)
    first, second = (
        {(use["mode"], use["path"]) for use in task["attempts"][-1]["files"]} for task in shown(folder).values()
    )
    assert ("write", "/tmp/far.txt") in first
    assert {("read", "/tmp/far.txt"), ("write", "near.txt")} <= second


@pytest.mark.parametrize("line", ["subprocess.run('exit 3', shell=True, check=True)", "inferflow.shell('exit 3')"])
def test_a_failing_command(line: str, tmp_path: Path, engine: Daemon) -> None:
    """Our own frames in the traceback stand elsewhere there: where the worker's code is mounted."""
    driver = f"import subprocess, inferflow\nprint(1)\n{line}\nprint(2)\n"
    native, inferred, _ = both(tmp_path, {"driver.py": driver}, options=HOST)
    mounted = evolve(inferred, stderr=inferred.stderr.replace("/.inferflow-worker", str(ROOT / "src")))
    assert mounted == native
    assert native.exit_code == 1


CELLS = [
    "%matplotlib inline\nimport os, time\nimport matplotlib.pyplot as plt\ndef slow(n):\n    time.sleep(0.4)\n    return [n]",
    "a = slow(1)",
    "b = slow(2)\nb",
    "!echo hello {a[0]} $HOME\nx = !printf 'one\\ntwo'\nx",
    "plt.plot([1, 2, 3]);",
    "%%bash\necho from bash\necho wrong >&2",
    "%%time\nopen('out.txt', 'w').write(str(a + b))",
    "await __import__('asyncio').sleep(0.01)\n%run s.py\nmade",
    "os.getcwd() == os.path.realpath('.'), os.getuid()",
    "1 / 0",
]


@needs_kernels
def test_a_notebook_as_driver(tmp_path: Path, engine: Daemon) -> None:
    observed, folder = assert_same_notebook(
        tmp_path, book(*CELLS), *HOST, order=False, **{"s.py": "made = 5\nprint('ran')\n"}
    )
    assert observed.exit_code == 1
    assert "a.ipynb, cell 10:" in observed.stderr
    where = {name: task["attempts"][-1]["where"] for name, task in shown(folder).items() if task["attempts"]}
    assert where["slow.2"] == "ahead"


@needs_kernels
def test_a_driver_of_notebooks(tmp_path: Path, engine: Daemon) -> None:
    driver = (
        "import inferflow\n"
        "found = [inferflow.notebook('n.ipynb', k=k, returns='squares') for k in (1, 2)]\nprint(found)\n"
        "inferflow.notebook('n.ipynb', k=0)\n"
    )
    cells = notebook_file("k = 1", "squares = [i * k for i in range(4)]", "1 / k")
    native, inferred, folder = both(tmp_path, {"driver.py": driver, "n.ipynb": cells}, options=HOST)
    mounted = evolve(inferred, stderr=inferred.stderr.replace("/.inferflow-worker", str(ROOT / "src")))
    assert mounted == native
    assert native.exit_code == 1
    uses = [use["path"] for task in shown(folder).values() for a in task["attempts"] for use in a["files"]]
    assert "n.executed.ipynb" in uses


@needs_kernels
@pytest.mark.parametrize("name", ["analysis.ipynb", "compare.py"])
def test_the_examples_of_notebooks(name: str, tmp_path: Path, engine: Daemon) -> None:
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "examples" / "notebooks", folder, ignore=shutil.ignore_patterns(".*"))
    command = [sys.executable, "-m", "inferflow", "verify", *HOST[:2], *HOST[4:], name]
    env = environment(INFERFLOW_IMAGE="host")
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_kernels
@pytest.mark.parametrize("library", ["papermill", "nbclient"])
def test_papermill_and_nbclient(library: str, tmp_path: Path, engine: Daemon) -> None:
    from test_programs import NBCLIENT, PAPERMILL

    files: dict[str, str | bytes] = {"driver.py": PAPERMILL if library == "papermill" else NBCLIENT}
    native, inferred, folder = both(
        tmp_path, {**files, "n.ipynb": notebook_file("k = 1", "print(10 / k)")}, options=HOST
    )
    assert (inferred.exit_code, inferred.stdout) == (native.exit_code, native.stdout), inferred.stderr
    kinds = [task["kind"] for task in shown(folder).values()]
    assert "notebook" in kinds


def test_an_image_without_a_kernel(tmp_path: Path, engine: Daemon) -> None:
    image = python_image(engine, sys.base_prefix, "nokernel")
    write_files(tmp_path, {"a.ipynb": book("x = 1"), "inferflow.toml": ""})
    command = [sys.executable, "-m", "inferflow", "run", "-b", "docker", "--image", image, "a.ipynb"]
    done = observe(command, tmp_path, b"", environment())
    text = " ".join(done.stderr.split())
    assert done.exit_code != 0
    assert "ipykernel" in text
    assert "inferflow image" in text
    assert "Traceback" not in text


# -- tasks in containers of their own ------------------------------------------------------------------

OUTPUT = """
import os
import subprocess
import sys
def noisy(n):
    print("first", n)
    subprocess.run(["sh", "-c", f"echo child {n}; echo oops >&2; exit 0"])
    print("then", file=sys.stderr)
    sys.stdout.write("flushed ")
    sys.stdout.flush()
    subprocess.run(["sh", "-c", "echo late"])
    sys.stdout.buffer.write(b"\\xff bytes\\n")
    os.write(1, b"past the streams\\n")
    print("end", end="")
    return n
def main():
    print("before", end=" ")
    n = noisy(3)
    print(" after", n)
    noisy(4)
main()
"""


@pytest.mark.parametrize("settings", ['[tasks."noisy*"]\nbackend = "docker"\nimage = "host"\n', 'image = "host"\nisolation = "task"\nbackend = "docker"\n'], ids=["placed", "one each"])  # fmt: skip
def test_what_children_and_c_code_print_comes_in_order(settings: str, tmp_path: Path, engine: Daemon) -> None:
    folder = assert_same(tmp_path, {"driver.py": OUTPUT, "inferflow.toml": settings})
    tasks = shown(folder)
    if "noisy" in settings:
        assert tasks["noisy"]["attempts"][-1]["worker"] != "home"
    assert "child 3" in tasks["noisy"]["attempts"][-1]["stdout"]


def test_children_of_a_task_that_fails(tmp_path: Path, engine: Daemon) -> None:
    driver = OUTPUT.replace("    return n\n", "    raise ValueError(n)\n")
    settings = '[tasks."noisy*"]\nbackend = "docker"\nimage = "host"\n'
    assert_same(tmp_path, {"driver.py": driver, "inferflow.toml": settings})


def test_a_task_that_acts_acts_once(tmp_path: Path, engine: Daemon) -> None:
    """In a container for each task: what it did in its own cannot be done again in home's."""
    driver = (
        "import subprocess\n"
        "def add(n):\n    with open('log.txt', 'a') as file:\n        file.write(f'{n}\\n')\n    return open('log.txt')\n"
        "def main():\n    subprocess.run(['sh', '-c', 'echo one >> log.txt; echo said'])\n    f = add(2)\n"
        "    print(f.read())\nmain()\n"
    )
    settings = 'image = "host"\nisolation = "task"\nbackend = "docker"\n'
    folder = assert_same(tmp_path, {"driver.py": driver, "inferflow.toml": settings})
    told = subprocess.run([sys.executable, "-m", "inferflow", "show", "latest"], cwd=folder, env=environment(), capture_output=True, text=True).stdout  # fmt: skip
    assert "add ran in home's container" in " ".join(told.split())


@needs_kernels
def test_a_notebook_task_in_a_container_of_its_own(tmp_path: Path, engine: Daemon) -> None:
    driver = (
        "import inferflow\nfound = inferflow.notebook('n.ipynb', k=3, returns='squares')\nprint(found)\n"
        "inferflow.shell('echo live; n=4', returns='n')\n"
    )
    cells = notebook_file("k = 1", "squares = [i * k for i in range(4)]")
    settings = '[tasks.n]\nbackend = "docker"\nimage = "host"\n[tasks.echo]\nbackend = "docker"\nimage = "host"\n'
    folder = assert_same(tmp_path, {"driver.py": driver, "n.ipynb": cells, "inferflow.toml": settings})
    tasks = shown(folder)
    assert tasks["n"]["attempts"][-1]["worker"] != "home"
    assert tasks["echo"]["attempts"][-1]["worker"] != "home"
