"""One suite for all backends: what a driver does is what it does natively, wherever its workers are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from compare import both, environment, observe, recorded, write_files
from daemons import Daemon
from test_arms import BESIDE, PACKAGE
from test_native import DRIVERS
from test_terminal import SLEEPS, Terminal, plain


@frozen
class Way:
    """A way to run: options of the command line, the address of the engine."""

    name: str
    options: tuple[str, ...]
    env: dict[str, str]

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "inferflow", "-q", "run", *self.options, *more]


def _way(request: pytest.FixtureRequest) -> Way:
    match request.param:
        case "fork":
            return Way("fork", ("--backend", "process", "-j", "3"), {})
        case "spawn":
            return Way("spawn", ("--backend", "process", "-j", "3"), {"INFERFLOW_START": "spawn"})
        case "inline":
            return Way("inline", ("--backend", "inline"), {})
        case name:
            daemon: Daemon = request.getfixturevalue(f"{name}_engine")
            return Way(name, ("--backend", "docker", "--image", "host", "-j", "3"), {"DOCKER_HOST": daemon.host})


WITH_PROCESSES = ["fork", "spawn", "docker", "podman"]


@pytest.fixture(params=[*WITH_PROCESSES, "inline"])
def way(request: pytest.FixtureRequest) -> Way:
    return _way(request)


@pytest.fixture(params=WITH_PROCESSES)
def processes(request: pytest.FixtureRequest) -> Way:
    """Those in which the driver has a process of its own."""
    return _way(request)


def same(tmp_path: Path, way: Way, driver: str, *arguments: str, **files: str) -> Path:
    given: dict[str, str | bytes] = {"driver.py": driver, **files}
    native, inferred, folder = both(tmp_path, given, *arguments, options=way.options, **way.env)
    assert inferred.stdout == native.stdout
    assert inferred.stderr == native.stderr
    assert inferred.exit_code == native.exit_code
    assert inferred.files == native.files
    return folder


def attempts(folder: Path) -> list[dict[str, Any]]:
    return list(recorded(folder)["tasks"])


def test_streams_stdin_and_arguments(tmp_path: Path, processes: Way) -> None:
    driver = (
        "import os, sys, subprocess\n"
        "print('out', sys.argv, input(), sys.stdin.read())\nprint('err', file=sys.stderr)\n"
        "os.write(1, b'raw\\n')\nsubprocess.run(['sh', '-c', 'echo child; echo oops >&2'])\n"
        "sys.stdout.buffer.write(b'\\xff\\x00bytes')\nprint('end', end='')\n"
    )
    same(tmp_path, processes, driver, "a", "--b")


@pytest.mark.parametrize(
    "name",
    ["traceback through main", "exit message", "chained exceptions", "os._exit loses what is buffered", "atexit"],
)
def test_how_a_driver_ends(tmp_path: Path, processes: Way, name: str) -> None:
    same(tmp_path, processes, DRIVERS[name])


def test_files_belong_to_the_user_and_paths_are_native(tmp_path: Path, way: Way) -> None:
    driver = (
        "import os\nfrom pathlib import Path\nfrom inside.module import where\n"
        "def write(n):\n    Path(f'out{n}').mkdir()\n    Path(f'out{n}/x.txt').write_text(os.getcwd() + __file__)\n"
        "def main():\n    os.umask(0o027)\n    write(1)\n    write(2)\n    print(sorted(n for n in os.listdir('.') if n[0] not in '._'), where())\n"
        "    print(os.stat('out1/x.txt').st_uid == os.getuid(), oct(os.stat('out1/x.txt').st_mode), Path.home(), os.environ['HOME'])\n"
        "main()\n"
    )
    module = "def where(): return __file__\n"
    folder = same(tmp_path, way, driver, **{"inside/module.py": module})
    assert (folder / "out1" / "x.txt").stat().st_uid == os.getuid()


AHEAD = """
import time
def slow(t=1.5):
    time.sleep(t)
    return t
def work(x):
    print("working on", x)
    return {"x": [x] * 3, "nan": float("nan")}
def big(n):
    import array
    return array.array("d", range(n))
def total(a):
    return sum(a)
def main():
    s = slow()
    a = work(1)
    b = work(2)
    c = big(200_000)
    d = total(c)
    print(s, a, b, d, len(c))
    return d
main()
"""


def test_helpers_run_ahead_and_large_values_travel(tmp_path: Path, way: Way) -> None:
    folder = same(tmp_path, way, AHEAD)
    where = {task["task"]: task["attempts"][-1]["where"] for task in attempts(folder)}
    if way.name != "inline":
        assert where["work"] == where["work.2"] == "ahead"
        assert where["total"] == "ahead"


def test_arms_and_opened_functions(tmp_path: Path, way: Way) -> None:
    """What stands in branches, loops and functions of the project runs beside each other where home can be forked."""
    folder = same(tmp_path, way, PACKAGE["driver.py"], **{k: v for k, v in PACKAGE.items() if k != "driver.py"})
    assert any(task["attempts"][-1]["regions"] for task in attempts(folder))
    shutil.rmtree(folder)
    folder = same(tmp_path / "beside", Way(way.name, way.options, {**way.env, "_INFERFLOW_TURNS": "always"}), BESIDE)
    ahead = [region["ahead"] for task in attempts(folder) for region in task["attempts"][-1]["regions"]]
    assert ahead == ([0] * 5 if way.name in ("spawn", "inline") else [1, 1, 1, 1, 2])


RESUMED = """
import sys, time
def load(n):
    time.sleep(0.1)
    print("loading")
    return list(range(n))
def save(rows):
    time.sleep(0.1)
    with open("rows.txt", "w") as file:
        file.write(str(rows))
def report(rows):
    if "fail" in sys.argv:
        raise ValueError(rows)
    print("rows", rows)
def main():
    rows = load(5)
    save(rows)
    report(rows)
main()
"""


def test_a_run_that_failed_is_gone_on_with(tmp_path: Path, way: Way) -> None:
    """What it has done is used again, wherever it was done."""
    write_files(tmp_path, {"driver.py": RESUMED})
    env = environment(**way.env)
    first = observe(way.command("driver.py", "--", "fail"), tmp_path, b"", env)
    assert (first.exit_code, first.stdout) == (1, b"loading\n")
    (tmp_path / "rows.txt").unlink()
    again = observe(way.command("driver.py", "--resume", "latest"), tmp_path, b"", env)
    assert (again.exit_code, again.stdout) == (0, b"loading\nrows [0, 1, 2, 3, 4]\n"), again.stderr
    assert again.files["rows.txt"] == b"[0, 1, 2, 3, 4]"
    where = {task["task"]: task["attempts"][-1]["where"] for task in attempts(tmp_path)}
    assert (where["load"], where["save"]) == ("reused", "reused")
    assert where["report"] != "reused"


def test_parameters(tmp_path: Path, way: Way) -> None:
    driver = "def main(count: int, rate: float = 0.5, names: list[str] = []):\n    print(count + 1, rate, names)\n"
    write_files(tmp_path, {"driver.py": driver})
    given = ["-p", "count=3", "-p", 'names=["a", "b"]']
    env = environment(**way.env)
    done = subprocess.run(way.command("driver.py:main", *given), cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("4 0.5 ['a', 'b']\n", 0), done.stderr
    done = subprocess.run(
        way.command("driver.py:main", "-p", "count=x"), cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "count" in done.stderr


def test_on_a_terminal(tmp_path: Path, processes: Way) -> None:
    driver = (
        "import sys, os\n"
        "print([s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr)], os.isatty(1), sys.stdout.line_buffering)\n"
        "print(os.get_terminal_size().columns)\nos.system('test -t 1 && echo child too')\n"
        "name = input('name? ')\nprint('hello', name)\n"
    )
    write_files(tmp_path, {"driver.py": driver})
    shown = []
    for command in ([sys.executable, "driver.py"], processes.command("driver.py")):
        terminal = Terminal(["/usr/bin/env", *(f"{k}={v}" for k, v in processes.env.items()), *command], tmp_path)
        terminal.read("name? ")
        terminal.type(b"Ada\n")
        assert terminal.wait() == 0
        shown.append(plain(terminal.text))
    assert shown[0] == shown[1]


def test_ctrl_c(tmp_path: Path, processes: Way) -> None:
    write_files(tmp_path, {"driver.py": SLEEPS})
    command = ["/usr/bin/env", *(f"{k}={v}" for k, v in processes.env.items()), *processes.command("driver.py")]
    terminal = Terminal(command, tmp_path)
    terminal.read("loaded 3")
    time.sleep(0.5)
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert "KeyboardInterrupt" in terminal.text
    assert "in crunch" in terminal.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_driver(tmp_path: Path, processes: Way, number: signal.Signals) -> None:
    write_files(tmp_path, {"driver.py": SLEEPS})
    process = subprocess.Popen(
        processes.command("driver.py"), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(**processes.env), start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"loaded 3\n"
    process.send_signal(number)
    process.communicate(timeout=400)
    assert process.returncode == 128 + number


def test_a_driver_that_is_killed(tmp_path: Path, processes: Way) -> None:
    same(tmp_path, processes, "import os, signal\nprint('x', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n")


def test_a_controller_that_is_killed_takes_its_workers_along(tmp_path: Path, processes: Way) -> None:
    driver = SLEEPS.replace("    for _ in range(300):", "    open('alive', 'w').write('x')\n    for _ in range(300):")
    driver = driver.replace("        time.sleep(0.1)", "        time.sleep(0.1)\n        os.utime('alive')")
    write_files(tmp_path, {"driver.py": "import os\n" + driver})
    process = subprocess.Popen(
        processes.command("driver.py"), cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment(**processes.env),
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    for _ in range(100):
        time.sleep(0.1)
        if (tmp_path / "alive").exists():
            break
    process.kill()
    process.communicate(timeout=400)
    time.sleep(0.5)
    before = (tmp_path / "alive").stat().st_mtime_ns
    time.sleep(0.5)
    assert (tmp_path / "alive").stat().st_mtime_ns == before
    if "DOCKER_HOST" in processes.env:  # what is left of the container goes with the next command
        env = environment(**processes.env)
        subprocess.run(
            [sys.executable, "-m", "inferflow", "prune"], cwd=tmp_path, env=env, check=True, capture_output=True
        )
