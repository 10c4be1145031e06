"""Helpers, for real: whatever a task sent away turns out to do, the result is native's.

The analysis would not send most of these tasks away; here it is overruled (``HOME`` marks the statements that stay, all
others run ahead as soon as the values that they name are there), so that the checks of the run itself are what is
tested. Each driver runs natively, and inferred with several numbers of jobs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from compare import environment, observe, write_files

from inferflow.backends.crew import StreamTable, WorkerCrew
from inferflow.protocols import Launch
from inferflow.worker.channel import Closed, connect, listen

OVERRULED = """
from attrs import evolve
import sys
from pathlib import Path
from inferflow.session import run as running, infer as inference
from inferflow.session.target import open_target
from inferflow.config.settings import load_settings
from inferflow.storage.runs import Runs
from inferflow.storage.folder import Folder
import json

def optimistic(graph):
    tasks = []
    for task in graph.tasks:
        text = task.source
        stays = "HOME" in text or task.kind == "opaque" or "print(" in text.split("\\n")[-1][:6]
        needs = tuple(sorted({item.producer for item in task.inputs if item.producer >= 0} | set(task.inner)))
        home = task.home if stays else ()
        tasks.append(evolve(task, home=home, needs=needs, state=(), guess=None, outputs=tuple(evolve(o, change="bound") for o in task.outputs if o.change == "bound")))
    return evolve(graph, tasks=tuple(tasks))

real = inference.infer
def infer(target, settings):
    found = real(target, settings)
    return evolve(found, graph=optimistic(found.graph))
running.infer = infer

target = open_target(sys.argv[1], Path.cwd())
settings = load_settings(Path.cwd(), flags={"jobs": sys.argv[2], "start": sys.argv[3]})
outcome = running.execute(target, settings)
record = Runs(Folder(outcome.store)).load(outcome.run_id)
facts = {"attempts": [[outcome.graph.tasks[a.task].name, a.where, a.status, a.why] for a in record.attempts]}
Path(sys.argv[4]).write_text(json.dumps(facts))
sys.exit(outcome.exit_code)
"""

SLOW = "def slow(t=0.3):\n    import time\n    time.sleep(t)\n    return t\n"


def run_both(tmp_path: Path, driver: str, jobs: int = 3, start: str = "fork", **files: str) -> list[list[Any]]:
    """Assert that the driver gives the same both ways; the attempts of the inferred run."""
    import json

    folder = tmp_path / "project"
    write_files(folder, {"driver.py": driver, **files})
    (tmp_path / "overruled.py").write_text(OVERRULED)
    facts = tmp_path / "facts.json"
    env = environment()
    native = observe([sys.executable, "driver.py"], folder, b"", env)
    for left in folder.iterdir():
        if left.name not in ("driver.py", *files) and not left.is_dir():
            left.unlink()
    command = [sys.executable, str(tmp_path / "overruled.py"), "driver.py", str(jobs), start, str(facts)]
    inferred = observe(command, folder, b"", env)
    assert inferred == native
    attempts: list[list[Any]] = json.loads(facts.read_text())["attempts"]
    return attempts


def ahead(attempts: list[list[Any]], status: str = "retired") -> list[str]:
    return [name for name, where, how, _ in attempts if where == "ahead" and how == status]


def reasons(attempts: list[list[Any]]) -> str:
    return "\n".join(why for _, _, _, why in attempts)


PID = "import os\nPID = os.getpid()\n"

INDEPENDENT = (
    SLOW
    + """
def work(x):
    print("working on", x)
    return [x] * 3

def main():
    a = slow()
    b = work(1)
    c = work(2)
    d = b + c
    print(d)
    return a, d
main()
"""
)


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_independent_tasks_are_adopted_in_order(tmp_path: Path, jobs: int) -> None:
    attempts = run_both(tmp_path, INDEPENDENT, jobs)
    assert ahead(attempts)[:2] == (["work", "work.2"] if jobs > 1 else [])


def test_without_fork_helpers_are_spawned(tmp_path: Path) -> None:
    driver = INDEPENDENT.replace("a = slow()", "a = slow(2)")
    assert ahead(run_both(tmp_path, driver, start="spawn"))[:2] == ["work", "work.2"]


def test_at_module_level(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
OFFSET = 10
def work(x):
    return [x + OFFSET]
a = slow()
b = work(1)
c = work(2)
total = [b, c]
print(total, sorted(n for n in globals() if not n.startswith("_")))
"""
    )
    assert ahead(run_both(tmp_path, driver))[:2] == ["work", "work.2"]


def test_nested_calls(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
def load(n): return list(range(n))
def train(xs): return sum(xs)
def join(a, b): return {"a": a, "b": b}
def main():
    s = slow(2)
    r = join(train(load(3)), train(load(4)))
    print(r)
main()
"""
    )
    assert len(ahead(run_both(tmp_path, driver))) >= 3


def test_instances_of_the_driver_s_classes(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
from dataclasses import dataclass
class Box:
    def __init__(self, v): self.v = v
@dataclass
class Point:
    x: int
def make(n): return Box([Point(n)])
def look(b): return (type(b) is Box, b.v[0] == Point(2))
def main():
    s = slow()
    b = make(2)
    r = look(b)
    print(r, type(b) is Box, b.v)
main()
"""
    )
    assert ahead(run_both(tmp_path, driver)) == ["make", "look"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("open('out.txt', 'w').write('x')", "for writing"),
        ("import os; os.symlink('driver.py', 'made')", "os.symlink"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import os; os.write(1, b'raw')", "outside Python"),
        ("import os; os.environ['X'] = 'y'", "os.environ"),
        ("import os; os.putenv('X', 'y')", "os.putenv"),
        ("import random; random.seed(3)", "random"),
        ("import warnings; warnings.warn('careful')", "warns"),
        ("import warnings; warnings.simplefilter('ignore')", "warnings"),
        ("import decimal; decimal.getcontext().prec = 3", "decimal"),
        ("import sys; sys.path.append('x')", "sys.path"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL) if os.environ.get('NEVER') else 0", None),
    ],
)
def test_an_act_that_cannot_be_taken_back_is_left_to_home(tmp_path: Path, body: str, why: str | None) -> None:
    driver = (
        SLOW
        + f"""
import decimal, random, warnings
def act(x):
    {body}
    return [x]
def main():
    s = slow()
    a = act(1)
    print(a)
main()
"""
    )
    attempts = run_both(tmp_path, driver)
    if why:
        assert ahead(attempts, "dropped") == ["act"]
        assert why in reasons(attempts)
    else:
        assert ahead(attempts)[0] == "act"


def test_an_input_changed_in_place_is_changed_at_home(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
def make(): return [1]
def grow(xs):
    xs.append(2)
    return len(xs)
def main():
    xs = make()
    s = slow()
    n = grow(xs)
    print(xs, n)
main()
"""
    )
    assert "grow" in ahead(run_both(tmp_path, driver))


def test_a_result_that_is_an_input_stays_that_input(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
def make(): return [1]
def same(xs): return xs
def main():
    xs = make()
    s = slow()
    ys = same(xs)
    ys.append(1)  # HOME
    print(xs, ys is xs)
main()
"""
    )
    assert "same" in ahead(run_both(tmp_path, driver))


@pytest.mark.parametrize(
    "value",
    [
        "(i for i in range(3))",
        "open('driver.py')",
        "{str(i) for i in range(50)}",
        "iter([1, 2])",
        "(n := float('nan'), n)",
    ],
)
def test_what_cannot_travel_exactly(tmp_path: Path, value: str) -> None:
    driver = (
        SLOW
        + f"""
def make(): return {value}
def main():
    s = slow()
    v = make()
    print(next(iter(v)))
main()
"""
    )
    run_both(tmp_path, driver)


def test_an_exception_in_a_helper_is_raised_by_home(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
def fail(x): raise ValueError(x)
def after(): print("never")
def main():
    s = slow()
    print("before")
    f = fail(1)
    g = after()
main()
"""
    )
    attempts = run_both(tmp_path, driver)
    assert "fail" in ahead(attempts, "dropped")


def test_a_failure_before_discards_what_ran_ahead(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
def fail():
    import time
    time.sleep(0.3)
    raise ValueError("early")
def work(x):
    print("ran ahead", x)
    return x
def main():
    f = fail()
    a = work(1)
    b = work(2)
main()
"""
    )
    attempts = run_both(tmp_path, driver)
    assert ahead(attempts) == []


def test_a_helper_that_is_killed(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
import os
from pid import PID
def die(x):
    if os.getpid() != PID:
        os._exit(9)
    return [x]
def main():
    s = slow()
    a = die(1)
    b = die(2)
    print(a, b)
main()
"""
    )
    attempts = run_both(tmp_path, driver, **{"pid.py": PID})
    assert sorted(ahead(attempts, "dropped")) == ["die", "die.2"]


def test_more_tasks_than_helpers(tmp_path: Path) -> None:
    lines = "\n".join(f"    v{i} = work({i})" for i in range(60))
    driver = (
        SLOW
        + f"""
def work(x):
    print(x)
    return [x]
def main():
    s = slow()
{lines}
    print(v0, v59)
main()
"""
    )
    attempts = run_both(tmp_path, driver)
    assert len(ahead(attempts)) >= 20


def test_bytes_that_overtake_text(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
import sys
def work(x):
    sys.stdout.buffer.write(b"bytes\\xff")
    print("end")
    return [x]
def main():
    s = slow()
    print("text")
    a = work(1)
main()
"""
    )
    attempts = run_both(tmp_path, driver)
    assert "overtake" in reasons(attempts)


def test_large_arrays_are_mapped(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    driver = (
        SLOW
        + """
import numpy as np
def make(n): return np.arange(n, dtype=float)
def total(x): return float(x.sum())
def main():
    x = make(300_000)
    s = slow()
    a = total(x)
    y = make(200_000)
    y += 1  # HOME
    print(a, y.sum(), y.flags.writeable)
main()
"""
    )
    assert "total" in ahead(run_both(tmp_path, driver))


def test_a_helper_that_hangs_is_given_up(tmp_path: Path) -> None:
    driver = (
        SLOW
        + """
import os, time
from pid import PID
def wait(x):
    if os.getpid() != PID:
        time.sleep(3600)
    return [x]
def main():
    s = slow(3)
    a = wait(1)
    print(a)
main()
"""
    )
    attempts = run_both(tmp_path, driver, **{"pid.py": PID})
    assert "no progress" in reasons(attempts)


def test_no_process_is_left(tmp_path: Path) -> None:
    run_both(tmp_path, INDEPENDENT)
    end = time.monotonic() + 60  # what we let go of ends by itself, a moment later
    while str(tmp_path) in (listed := subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout):
        assert time.monotonic() < end, listed
        time.sleep(0.05)


class EndedHome:
    """As much of a ``Base`` as a crew needs whose home has ended, while a child of the driver has its stdout."""

    token, mark = "token", b"mark"

    def __init__(self, folder: Path) -> None:
        self.listener, self.address = listen(str(folder))
        self.listener.setblocking(False)
        reader, self.child = os.pipe()
        os.set_blocking(reader, False)
        self.streams: StreamTable = {reader: ("stdout", -1)}

    def setup(self) -> dict[str, Any]:
        return {}

    def send_setup(self, frame: bytes) -> None:
        pass

    def watch(self, crew: WorkerCrew) -> None:
        pass

    def waits(self) -> bool:
        return True

    def close(self, ended: bool) -> None:
        self.listener.close()


def test_a_helper_that_connects_at_the_end_of_the_run_sees_it(tmp_path: Path) -> None:
    """Though a process stays to relay what a child of the driver's still writes. Else they would wait for each other for
    ever, if the helper has from home the pipe at whose end the child ends."""
    base: Any = EndedHome(tmp_path)
    crew = WorkerCrew(Launch({}, tmp_path), base, lambda name: base)
    greeting = {"kind": "hello", "token": base.token, "role": "template", "pid": 1}
    known, silent = connect(base.address, greeting), connect(base.address)
    while "template" not in [notice.worker for notice in crew.poll(1)]:
        pass
    late = connect(base.address)
    crew.gone = True
    crew.close()
    for channel in (known, silent, late):
        channel.sock.settimeout(60)
        with pytest.raises(Closed, match=r"end of stream|reset"):
            channel.receive()
    with open(base.child, "wb") as still:
        still.write(b"the relay takes this")


LATE = """
import sys, time
from pathlib import Path
from inferflow.config.settings import load_settings
from inferflow.session import infer as inference, run as running
from inferflow.session.target import open_target
from inferflow.storage.folder import Folder
from inferflow.storage.runs import Runs

def infer(target, settings):
    time.sleep(1.5)  # home has ended by then
    return inference.infer(target, settings)

running.infer = infer
outcome = running.execute(open_target(sys.argv[1], Path.cwd()), load_settings(Path.cwd()))
print(Runs(Folder(outcome.store)).load(outcome.run_id))
sys.exit(outcome.exit_code)
"""


def test_what_home_said_counts_though_it_ended_before_anybody_listened(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write_files(folder, {"driver.py": "import nowhere_to_be_found\n"})
    (tmp_path / "late.py").write_text(LATE)
    seen = observe([sys.executable, str(tmp_path / "late.py"), "driver.py"], folder, b"", environment())
    assert seen.exit_code == 1
    assert "ModuleNotFoundError" in seen.stdout.decode()
    assert "os._exit" not in seen.stdout.decode()
