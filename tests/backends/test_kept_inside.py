"""Where calls in loops and arms keep their order because no process can be forked for them: the certificate says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from compare import both, environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere helpers are spawned anyway")

THREADS = """
import threading, time
def f(x):
    time.sleep(0.1)
    return x
def main():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    out = []
    for x in range(4):
        out.append(f(x))
    stop.set()
    thread.join()
    print(out)
main()
"""

SPAWNED = """
import time
def f(x):
    time.sleep(0.2)
    return x
def g(x):
    time.sleep(3)
    return x
def main():
    a = g(1)
    b = [f(x) for x in range(3)]
    out = []
    for x in range(3):
        out.append(f(x))
    print(a, b, out)
main()
"""


def certificate(folder: Path) -> str:
    command = [sys.executable, "-m", "inferflow", "show", "latest"]
    shown = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True).stdout
    return " ".join(shown.partition("certificate")[2].split())


def test_threads_of_the_driver_s(tmp_path: Path) -> None:
    native, inferred, folder = both(tmp_path, {"driver.py": THREADS}, options=("-j", "3"))
    assert inferred == native
    assert "calls in loops, arms and functions that are opened kept their order: the driver has threads" in certificate(
        folder
    )


def test_spawned_helpers_run_a_comprehension_as_a_whole(tmp_path: Path) -> None:
    native, inferred, folder = both(tmp_path, {"driver.py": SPAWNED}, options=("-j", "3"), INFERFLOW_START="spawn")
    assert inferred == native
    told = certificate(folder)
    assert "kept their order: helpers that are started by spawn have no copy" in told
    assert " 0 ahead" not in told
