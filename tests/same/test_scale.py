"""Liveness and scale: one worker, more tasks that wait than workers, thousands of tasks, ten thousand items."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch import differences, run_batch
from compare import assert_same, environment, write_files

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

HEAD = """
import os, subprocess, time
def hide(name): return globals()[name]
def nap(seconds=0.05): time.sleep(seconds); return seconds
def free(x): return [x]
def join(*parts): return sum(map(sum, parts))
def save(x):
    with open('f%d.txt' % x, 'w') as f: f.write(str(x))
    return [x]
def log(x):
    with open('log.txt', 'a') as f: f.write('%d\\n' % x)
    return [x]
def fifo(x): os.mkfifo('pipe%d' % x); os.remove('pipe%d' % x); return [x]
def child(x): subprocess.run(['true']); return [x]
def note(x, seen=[]): seen.append(x); return list(seen)
def unknown(x): exec('x = [x]'); return [x]
"""
KINDS = ("free", "save", "log", "fifo", "child", "note", "unknown")


def many(count: int, kinds: tuple[str, ...], hidden: int = 0) -> str:
    """``count`` tasks of these kinds, one after the other, every ``hidden``-th called without the analysis' knowing."""
    lines = [HEAD, "p = nap()"]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        call = f"hide({kind!r})({number})" if hidden and number % hidden == 1 else f"{kind}({number})"
        lines.append(f"r{number} = {call}")
    names = ", ".join(f"r{number}" for number in range(0, count, max(1, count // 20)))
    return "\n".join(lines) + f"\nprint(join({names}), [{names}])\n"


def test_more_tasks_that_wait_than_workers(tmp_path: Path) -> None:
    drivers = {kind: {"driver.py": many(24, (kind,), 2)} for kind in KINDS}
    drivers["all of them"] = {"driver.py": many(35, KINDS, 3)}
    drivers["acts and readers"] = {"driver.py": many(30, ("save", "free", "log"), 0)}
    assert differences(run_batch(tmp_path, drivers, jobs=(1, 2, 4))) == {}


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_two_thousand_tasks(jobs: str, tmp_path: Path) -> None:
    kinds = ("free", "free", "free", "note", "free", "unknown", "free", "log")
    assert_same(tmp_path, many(2000, kinds, 7), options=("-j", jobs))


ITEMS = """
out, total = [], 0
for x in range(10_000):
    y = free(x)
    total += y[0]
    if x % 1000 == 0: out.append(y)
made = [free(x) for x in range(10_000)]
print(total, out, len(made), made[::2500])
"""


@pytest.mark.parametrize(("jobs", "turns"), [("1", ""), ("2", ""), ("3", "always")])
def test_ten_thousand_cheap_items(jobs: str, turns: str, tmp_path: Path) -> None:
    """``always``: they run ahead, however little that is worth."""
    assert_same(tmp_path, HEAD + ITEMS, options=("-j", jobs), _INFERFLOW_TURNS=turns)


def peak(folder: Path, text: str, **variables: str) -> int:
    """The peak memory of the controlling process of a run, in kB."""
    write_files(folder, {"driver.py": text})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "-j", "2", "driver.py"]
    environ = {**environment(), **variables}
    run = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL)
    most = 0
    while run.poll() is None:
        with contextlib.suppress(OSError), open(f"/proc/{run.pid}/status") as status:
            most = max([most, *(int(line.split()[1]) for line in status if line.startswith("VmHWM"))])
        time.sleep(0.002)
    assert run.returncode == 0
    return most


def test_memory_of_the_controller_grows_modestly(tmp_path: Path) -> None:
    """Graph, plan, state and events of a task take some kilobytes, however many there are; an item takes next to none."""
    used = [peak(tmp_path / str(count), many(count, ("free", "unknown", "log"), 7)) for count in (250, 750, 1750)]
    first, second = (used[1] - used[0]) / 500, (used[2] - used[1]) / 1000
    assert 0 < second < 60, used
    assert second < 1.5 * first + 10, used
    made = "made = [free(x) for x in range(%d)]\nprint(len(made), made[::2500])\n"
    few, all_of_them = (
        peak(tmp_path / f"items{count}", HEAD + made % count, _INFERFLOW_TURNS="always") for count in (100, 10_000)
    )
    assert (all_of_them - few) / 10_000 < 5
