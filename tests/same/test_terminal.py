"""On a real (pseudo-)terminal: what the driver sees of it, Ctrl-C, a closed pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compare import environment, write_files

COMMAND = [sys.executable, "-m", "inferflow"]


class Terminal:
    """A command on a pseudo-terminal of its own, 80 columns wide."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(command[0], command, {**environment(), "TERM": "xterm", "COLUMNS": "80"})
        self.text = ""

    def read(self, until: str = "", seconds: float = 400) -> str:
        """Read until the text has come, or the command has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (until and until in self.text):
            ready, _, _ = select.select([self.fd], [], [], 0.1)
            if ready:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    break
                if not data:
                    break
                self.text += data.decode("utf-8", "replace")
        return self.text

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def wait(self) -> int:
        self.read()
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def plain(text: str) -> str:
    """Without the escape sequences of a live display."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


def test_the_driver_sees_the_terminal(tmp_path: Path) -> None:
    driver = (
        "import sys, os\n"
        "print([s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr)], os.isatty(1), sys.stdout.line_buffering)\n"
        "print(os.get_terminal_size().columns > 0)\nos.system('test -t 1 && echo child too')\n"
        "name = input('name? ')\nprint('hello', name)\n"
    )
    write_files(tmp_path, {"driver.py": driver})
    shown = []
    for command in ([sys.executable, "driver.py"], [*COMMAND, "-q", "run", "driver.py"]):
        terminal = Terminal(command, tmp_path)
        terminal.read("name? ")
        terminal.type(b"Ada\n")
        assert terminal.wait() == 0
        shown.append(plain(terminal.text))
    assert shown[0] == shown[1]


SLEEPS = """
import time
def load(n):
    print("loaded", n, flush=True)
    return [n]
def crunch(x):
    for _ in range(300):
        time.sleep(0.1)
    return x
def main():
    a = load(3)
    b = crunch(a)
    print(b)
main()
"""


def test_ctrl_c_ends_the_driver_as_native_and_keeps_what_retired(tmp_path: Path) -> None:
    write_files(tmp_path, {"driver.py": SLEEPS})
    terminal = Terminal([*COMMAND, "run", "driver.py"], tmp_path)
    terminal.read("loaded 3")
    time.sleep(0.5)
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    text = plain(terminal.text)
    assert "KeyboardInterrupt" in text
    assert "in crunch" in text
    assert "worker" not in text  # no frame of ours
    shown = subprocess.run(
        [*COMMAND, "show", "latest"], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert "interrupted" in shown.stdout
    assert re.search(r"load\s+ok", shown.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_controller_reaches_the_driver(tmp_path: Path, number: signal.Signals) -> None:
    write_files(tmp_path, {"driver.py": SLEEPS})
    process = subprocess.Popen(
        [*COMMAND, "-q", "run", "driver.py"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(), start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"loaded 3\n"
    process.send_signal(number)
    process.communicate(timeout=400)
    assert process.returncode == 128 + number


def test_a_second_ctrl_c_kills_a_driver_that_does_not_end(tmp_path: Path) -> None:
    driver = (
        "import time\nprint('up', flush=True)\n"
        "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        print('no', flush=True)\n"
    )
    write_files(tmp_path, {"driver.py": driver})
    terminal = Terminal([*COMMAND, "-q", "run", "driver.py"], tmp_path)
    terminal.read("up")
    time.sleep(0.3)
    terminal.type(b"\x03")
    terminal.read("no")
    time.sleep(0.3)
    terminal.type(b"\x03")
    assert terminal.wait() == 130


def test_the_controller_killed_leaves_no_process_and_a_run_that_says_so(tmp_path: Path) -> None:
    driver = "import os\n" + SLEEPS.replace(
        'print("loaded", n', 'print(os.getpid(), flush=True)\n    print("loaded", n'
    )
    write_files(tmp_path, {"driver.py": driver})
    process = subprocess.Popen(
        [*COMMAND, "-q", "run", "driver.py"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    home = int(process.stdout.readline())
    assert process.stdout.readline() == b"loaded 3\n"
    time.sleep(0.3)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{home}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{home}")
    shown = subprocess.run(
        [*COMMAND, "show", "latest"], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert "killed" in shown.stdout
    assert re.search(r"load\s+ok", shown.stdout)
    pruned = subprocess.run([*COMMAND, "prune"], cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert pruned.returncode == 0


def test_a_closed_pipe(tmp_path: Path) -> None:
    """As natively: the driver finds its stdout closed."""
    write_files(tmp_path, {"driver.py": "for i in range(1000000):\n    print(i)\n"})
    statuses = []
    for command in (f"{sys.executable} driver.py", f"{sys.executable} -m inferflow -q run driver.py"):
        done = subprocess.run(
            ["bash", "-c", f"{command} | head -n 2; echo ${{PIPESTATUS[0]}}"],
            cwd=tmp_path, capture_output=True, text=True, env=environment(), timeout=400,
        )  # fmt: skip
        assert "BrokenPipeError" in done.stderr
        statuses.append(done.stdout)
    assert statuses[0] == statuses[1]


def test_two_runs_at_once_in_one_folder(tmp_path: Path) -> None:
    driver = "import sys, time\ndef f(n):\n    time.sleep(0.2)\n    return [n] * 3\na = f(sys.argv[1])\nb = f(a)\nprint(a, b)\n"
    write_files(tmp_path, {"driver.py": driver})
    processes = [
        subprocess.Popen(
            [*COMMAND, "-q", "run", "driver.py", "--", str(n)], cwd=tmp_path, stdout=subprocess.PIPE, env=environment()
        )
        for n in range(4)
    ]
    for n, process in enumerate(processes):
        out, _ = process.communicate(timeout=400)
        assert out.decode() == f"{[str(n)] * 3} {[[str(n)] * 3] * 3}\n"
    listed = subprocess.run(
        [*COMMAND, "runs", "--json"], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert listed.stdout.count('"ok"') >= 4
