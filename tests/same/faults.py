"""kill -9 at random: a process of a run is killed at a random moment, many times over.

    python tests/same/faults.py --times 200

Whoever is killed, the run ends soon and leaves no process behind. If it was a helper or the process from which helpers
are forked, the result is native's. If it was home, the command says so, with a status that is not 0. If it was the
controller, its workers end with it. In every case the record can be read, and the next run gives native's result.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen

DRIVERS = {
    "parallel": """
import time

def work(n):
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    time.sleep(0.03)
    return [n] * n

def total(parts):
    return sum(map(sum, parts))

def main():
    a = work(1)
    b = work(2)
    c = work(3)
    d = work(4)
    print(total([a, b, c, d]))
    e = work(5)
    f = work(6)
    print(total([e, f]))

main()
""",
    "files": """
import time

def save(name, n):
    time.sleep(0.05)
    with open(name, 'w') as f:
        f.write('x' * n)
    return n

def load(name):
    time.sleep(0.03)
    with open(name) as f:
        return len(f.read())

a = save('a.txt', 10)
b = save('b.txt', 20)
print(load('a.txt'), load('b.txt'))
with open('log.txt', 'w') as log:
    print(a + b, file=log)
""",
    "large": """
import time
import numpy as np

def make(n):
    time.sleep(0.04)
    return np.arange(n * 100_000.0)

def norm(x):
    time.sleep(0.02)
    return float(x.sum())

x = make(3)
y = make(4)
z = make(5)
print(norm(x), norm(y), norm(z))
""",
}
PATIENCE = 400.0


@frozen
class Fault:
    """Who was killed, after how many seconds; and what is wrong with how that ended (empty: nothing)."""

    driver: str
    victim: str
    after: float
    status: int
    wrong: str


def main() -> int:
    """Inject faults; 1 if any ended badly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: dict[str, int] = {}
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for fault in inject(Path(folder), given.times, given.seed):
            counts[fault.victim] = counts.get(fault.victim, 0) + 1
            if fault.wrong:
                bad += 1
                print(fault, flush=True)
    print(", ".join(f"{number} × {victim}" for victim, number in sorted(counts.items())) + f"; {bad} ended badly")
    return int(bad > 0)


def inject(folder: Path, times: int, seed: int = 0) -> list[Fault]:
    """Kill somebody ``times`` times."""
    draw = random.Random(seed)
    found = []
    natives: dict[str, tuple[bytes, dict[str, bytes]]] = {}
    for number in range(times):
        name = sorted(DRIVERS)[number % len(DRIVERS)]
        place = folder / "project"
        if name not in natives:
            _fresh(place, name)
            done = subprocess.run([sys.executable, "driver.py"], cwd=place, capture_output=True, timeout=PATIENCE)
            natives[name] = done.stdout, _files(place)
        _fresh(place, name)
        victim = draw.choice(["home", "helper", "helper", "template", "controller"])
        found.append(_one(place, name, victim, draw.uniform(0.05, 0.8), natives[name]))
    return found


def _fresh(place: Path, name: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "driver.py").write_text(DRIVERS[name])


def _one(place: Path, name: str, victim: str, after: float, native: tuple[bytes, dict[str, bytes]]) -> Fault:
    command = [sys.executable, "-m", "inferflow", "run", "-j", "3", "driver.py"]
    begun = time.monotonic()
    run = subprocess.Popen(
        command,
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    killed = _kill(run, victim, begun + after)
    try:
        stdout, stderr = run.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        return Fault(name, victim, after, -1, "it hangs")
    told = stderr.decode(errors="replace")
    who = victim if killed else "nobody"
    wrong = _left(run.pid)
    if not wrong and "Traceback" in told:
        wrong = f"a traceback: {told[-600:]}"
    if not wrong and who in ("nobody", "helper", "template"):
        if (run.returncode, stdout, _files(place)) != (0, *native):
            wrong = f"another result: {run.returncode} {stdout!r} {told[-600:]}"
    elif not wrong and who == "home" and run.returncode == 0 and (stdout, _files(place)) != native:
        wrong = f"status 0, and another result: {stdout!r}"
    elif not wrong and who == "home" and run.returncode != 0 and "inferflow" not in told:
        wrong = f"nothing is said: {told[-600:]!r}"
    return Fault(name, who, after, run.returncode, wrong or _afterwards(place, native))


def _afterwards(place: Path, native: tuple[bytes, dict[str, bytes]]) -> str:
    """What is wrong with the record, or with the next run."""
    shown = subprocess.run(
        [sys.executable, "-m", "inferflow", "show", "latest"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if shown.returncode not in (0, 2) or "Traceback" in shown.stderr:  # 2: killed before there was a run
        return f"the record cannot be read: {shown.stderr[-600:]}"
    again = subprocess.run(
        [sys.executable, "-m", "inferflow", "-q", "run", "driver.py"], cwd=place, capture_output=True, timeout=PATIENCE
    )
    if (again.returncode, again.stdout, _files(place)) != (0, *native):
        return f"the next run gives {again.returncode} {again.stdout!r} {again.stderr[-600:]!r}"
    return ""


def _kill(run: subprocess.Popen[bytes], victim: str, when: float) -> bool:
    """Kill a process of the role at the time, or as soon as there is one; whether that was done before the run ended."""
    while run.poll() is None:
        if time.monotonic() >= when:
            found = _processes(run.pid).get(victim, [])
            if found:
                try:
                    os.kill(random.choice(found), signal.SIGKILL)
                except ProcessLookupError:
                    return False
                return True
        time.sleep(0.004)
    return False


def _processes(leader: int) -> dict[str, list[int]]:
    """The live processes of a run by their role, from who is whose child: the controller starts home; a template is nobody's
    child in the run, since home disowns it; helpers are a template's."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                parents[int(entry)] = int(fields[1])
    workers = {pid: parent for pid, parent in parents.items() if pid != leader and _is_worker(pid)}
    templates = [pid for pid, parent in workers.items() if parent not in parents]
    return {
        "controller": [leader],
        "home": [pid for pid, parent in workers.items() if parent == leader],
        "template": templates,
        "helper": [pid for pid, parent in workers.items() if parent in templates],
    }


def _is_worker(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"importlib_bootstrap" in file.read()
    except OSError:
        return False


def _left(leader: int) -> str:
    """What is still there a minute after a run has ended."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        left = [pid for role, pids in _processes(leader).items() if role != "controller" for pid in pids]
        alive = [entry for entry in os.listdir("/proc") if entry.isdigit() and _session(entry) == leader]
        if not left and not alive:
            return ""
        time.sleep(0.02)
    os.killpg(leader, signal.SIGKILL)
    return "processes stay behind"


def _session(entry: str) -> int:
    try:
        with open(f"/proc/{entry}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return -1
    return int(fields[3]) if fields[0] != "Z" else -1


def _files(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir()) if path.is_file()}


if __name__ == "__main__":
    sys.exit(main())
