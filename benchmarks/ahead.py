"""What running ahead gains and costs where nothing is proved: tasks whose independence is only predicted, results that
are dropped and computed again, acts that wait for their turn, looking at what tasks did, the controller's memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from looks import observation
from measure import Bench, Section, Target, alternate, best_and_middle, milliseconds
from parallel import CALIBRATE, POOL, WORK

FLOOR = r"""
import itertools, json, os, pickle, shutil, socket, struct, sys, tempfile, time
{head}
{acts}
count = 200
numbers = itertools.count()
memory = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

def send(sock, value):
    data = pickle.dumps(value)
    sock.sendall(struct.pack("<I", len(data)) + data)

def receive(sock):
    size = struct.unpack("<I", sock.recv(4, socket.MSG_WAITALL))[0]
    return pickle.loads(sock.recv(size, socket.MSG_WAITALL))

def helper():
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return ours, pid
    ours.close()
    while True:
        task = receive(theirs)
        if task is None:
            os._exit(0)
        act, x = task
        os.chdir(memory)
        ACTS[act](x)
        send(theirs, x)

def done(sock, pid):
    send(sock, None)
    os.waitpid(pid, 0)
    sock.close()

def replaced():
    "A helper is used up: another one is forked, asked, and waited for."
    for x in range(count):
        sock, pid = helper()
        send(sock, ("does nothing", x))
        receive(sock)
        done(sock, pid)

def through(act):
    sock, pid = helper()
    start = time.perf_counter()
    for x in itertools.islice(numbers, count):
        send(sock, (act, x))
        receive(sock)
        ACTS[act](x)
    taken = time.perf_counter() - start
    done(sock, pid)
    return taken / count

def at_home(act):
    start = time.perf_counter()
    for x in itertools.islice(numbers, count):
        ACTS[act](x)
    return (time.perf_counter() - start) / count

def best(function, *arguments):
    return min(function(*arguments) for _ in range(5))

def timed():
    start = time.perf_counter()
    replaced()
    return (time.perf_counter() - start) / count

found = {{act: best(through, act) - best(at_home, act) for act in ACTS}}
found["replaced"] = best(timed)
shutil.rmtree(memory)
print(json.dumps(found))
"""
"""What processes written by hand would need for the same, in this interpreter with what a driver's process has loaded:
to replace a helper, and to do an act in memory elsewhere, be told of it, and do it here."""

HIDE = "def hide(name):\n    return globals()[name]\n"
"""What it gives is unknown to the analysis, and so is what that does when it is called."""
MAIN = "\n\nif __name__ == '__main__':\n    main()\n"

SPIN = """\
def spin(n):
    total = 0
    for i in range(n):
        total += i * i
    return total
"""

WRONG = """\
{head}

def make():
    return [1]


def grow(xs):
    xs.append(2)


def change(xs, it):
    total = 0
    for i in range({change}):
        total += i * i
    next(it)
    hide("grow")(xs)


def look(xs):
    return spin({look}) + len(xs)


def main():
    it = iter(range(1000))
{lines}    print({total})
"""

ACTING = """\
{head}

def act(x):
{body}

def main():
    f = {act}
    s = spin({spins})
{lines}    print(s)
"""

IDLE = "does nothing"
ACTS = {
    IDLE: "    return x\n",
    "writes a small file (kept back until its turn)": """\
    with open(f"f{x}.txt", "w") as f:
        f.write(str(x))
    return x
""",
    "renames a file (kept back)": """\
    import os
    with open(f"t{x}", "w") as f:
        f.write(str(x))
    os.replace(f"t{x}", f"r{x}")
    return x
""",
}


def predicted(rounds: int) -> str:
    """Sixteen calls of a function that nobody knows."""
    calls = "".join(f"    r{i} = f({i}, {rounds})\n" for i in range(16))
    total = " + ".join(f"r{i}" for i in range(16))
    return f"{WORK}\n\n{HIDE}\n\ndef main():\n    f = hide('work')\n{calls}    print({total})\n{MAIN}"


def wrong_guesses(count: int, change: int, look: int) -> str:
    """Each look may run ahead of a call that nobody knows, which then changes what was looked at. (The iterator keeps
    the change at home.)"""
    each = (f"    x{n} = make()\n    c{n} = change(x{n}, it)\n    s{n} = look(x{n})\n" for n in range(count))
    total = " + ".join(f"s{n}" for n in range(count))
    head = SPIN + HIDE
    return WRONG.format(head=head, change=change, look=look, lines="".join(each), total=total) + MAIN


def acting(count: int, body: str, spins: int, hidden: bool) -> str:
    """A long task first, then tasks that do something; ``hidden``: the analysis does not know them."""
    lines = "".join(f"    x{number} = f({number})\n" for number in range(count))
    act = "hide('act')" if hidden else "act"
    return ACTING.format(head=SPIN + HIDE, body=body, act=act, spins=spins, lines=lines) + MAIN


def clean(folder: Path) -> None:
    """Forget what earlier runs have learned of tasks that are of no use ahead, and what they wrote."""
    shutil.rmtree(folder / ".inferflow" / "cache" / "learned", ignore_errors=True)
    for pattern in ("f*.txt", "r[0-9]*", "t[0-9]*"):
        for path in folder.glob(pattern):
            path.unlink()


def events(bench: Bench, folder: Path, jobs: int) -> tuple[float, list[dict[str, Any]]]:
    clean(folder)
    command = [bench.inferflow, "run", "--json", "--jobs", str(jobs), "driver.py"]
    taken, output = bench.run(command, folder)
    return taken, [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def section(bench: Bench) -> Section:
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    _overlap(bench, rows, targets)
    functions = "".join(f"def act_{n}(x):\n{body}" for n, body in enumerate(ACTS.values()))
    table = f"ACTS = {{{', '.join(f'{what!r}: act_{n}' for n, what in enumerate(ACTS))}}}\n"
    loaded = "import inferflow.worker.helper, inferflow.worker.home"
    floor = bench.measure_python(FLOOR.format(head=loaded, acts=functions + table), folder=bench.new_folder("floor"))
    rows += _replays(bench, floor["replaced"])
    rows += _gates(bench, floor)
    observation(bench, rows, targets, acting(200, ACTS["does nothing"], 20_000_000, True))
    _memory(bench, rows, targets)
    return Section(
        title="Running ahead",
        text=(
            "Whole processes. *Predicted* tasks call what the analysis cannot know: they run ahead on trust, and "
            "everything that they could have seen is compared at their turn."
        ),
        header=("what", "takes", "each, or ratio"),
        rows=rows,
        targets=targets,
    )


def _overlap(bench: Bench, rows: list[tuple[str, ...]], targets: list[Target]) -> None:
    jobs = min(os.cpu_count() or 1, 8)
    wanted = 0.1 if bench.quick else 0.5
    rounds = int(bench.measure_python(CALIBRATE.format(work=WORK, wanted=wanted))["rounds"])
    folder = bench.new_folder("predicted")
    (folder / "driver.py").write_text(predicted(rounds))
    (folder / "pool.py").write_text(POOL.format(work=WORK, rounds=rounds, jobs=jobs))
    bench.run([bench.inferflow, "run", "driver.py"], folder)
    found = alternate(
        2 if bench.quick else 3,
        pool=lambda: bench.run([bench.python, "pool.py"], folder)[0],
        inferflow=lambda: bench.run([bench.inferflow, "run", "--jobs", str(jobs), "driver.py"], folder)[0],
    )
    speed = min(found["pool"]) / min(found["inferflow"])
    what = f"16 tasks of {wanted} s, only predicted to be independent"
    rows.append((f"{what}: `multiprocessing.Pool({jobs})`", best_and_middle(found["pool"]), "1"))
    rows.append((f"{what}: `inferflow run --jobs {jobs}`", best_and_middle(found["inferflow"]), f"{speed:.2f}"))
    targets.append(Target(what, "95 % of a pool's speed", f"{100 * speed:.0f} %", speed >= 0.95))


def _replays(bench: Bench, limit: float) -> list[tuple[str, ...]]:
    """What wrong guesses cost: the same driver with nothing run ahead, and with guesses that all are wrong. ``limit``:
    seconds to replace a helper."""
    rows: list[tuple[str, ...]] = [
        ("limit of a replay: a process forked by hand, asked once, awaited", milliseconds(limit), "1")
    ]
    count = 40
    folder = bench.new_folder("replays")
    for what, change, look in (("no-op", 40_000, 10), ("of 20 ms", 400_000, 400_000)):
        (folder / "driver.py").write_text(wrong_guesses(count, change, look))
        bench.run([bench.inferflow, "run", "driver.py"], folder)
        one, two, dropped = [], [], 0
        for _ in range(3 if bench.quick else 5):
            one.append(events(bench, folder, 1)[0])
            taken, found = events(bench, folder, 2)
            two.append(taken)
            dropped = max(dropped, sum(event["kind"] == "task_dropped" for event in found))
        each = (min(two) - min(one)) / max(dropped, 1)
        rows.append((f"{count} tasks ({what}), none ahead", best_and_middle(one), ""))
        rows.append((f"the same, {dropped} run ahead, dropped, and run again", best_and_middle(two), told(each, limit)))
    return rows


def told(each: float, limit: float) -> str:
    """What each costs, and how many times what processes written by hand need."""
    return f"{milliseconds(each)}, {each / max(limit, 1e-6):.1f} times the limit"


def _gates(bench: Bench, limits: dict[str, float]) -> list[tuple[str, ...]]:
    """What it costs that acts wait for their turn: tasks that run ahead while home is busy, less the same at home;
    beside what that takes by hand (``limits``, seconds)."""
    rows: list[tuple[str, ...]] = []
    count = 100
    alone: dict[str, float] = {}
    for what, body in ACTS.items():
        folder = bench.new_folder("gates")
        (folder / "driver.py").write_text(acting(count, body, 8_000_000, False))
        bench.run([bench.inferflow, "run", "driver.py"], folder)
        one, two, ahead, dropped = [], [], 0, 0
        for _ in range(2 if bench.quick else 3):
            one.append(events(bench, folder, 1)[0])
            taken, found = events(bench, folder, 2)
            two.append(taken)
            end = next(event for event in found if event["kind"] == "run_finished")
            ahead, dropped = end["certificate"]["ahead"], end["certificate"]["dropped"]
        alone[what] = (min(two) - min(one)) / count
        note = f"{ahead} ahead, {dropped} dropped"
        rows.append((f"{count} tasks, each {what}: at home", best_and_middle(one), ""))
        rows.append((f"the same with a helper ({note})", best_and_middle(two), milliseconds(alone[what]) + " more"))
        if what == IDLE:
            rows.append(("limit: a message to a process and back", milliseconds(limits[IDLE]), "1"))
        else:
            here, limit = alone[what] - alone[IDLE], limits[what] - limits[IDLE]
            rows.append(("of that, because the act is kept back", "", told(here, limit)))
            rows.append(("limit: the act done a second time, in memory", milliseconds(limit), "1"))
    return rows


def _memory(bench: Bench, rows: list[tuple[str, ...]], targets: list[Target]) -> None:
    """The peak of the controlling process, for drivers of more and more tasks."""
    kinds = (
        ("tasks, proved and predicted", lambda n: acting(n, "    return x\n", 10, True), (500, 1000, 2000, 4000)),
        (
            "items of a loop",
            lambda n: f"def f(x):\n    return [x]\n\n\nout = [f(x) for x in range({n})]\n",
            (10, 10_000),
        ),
    )
    for what, text, sizes in kinds:
        sizes = sizes[:2] if bench.quick else sizes
        peaks = [peak(bench, text(size)) for size in sizes]
        for size, most in zip(sizes, peaks, strict=True):
            rows.append((f"memory of the controller, {size:,} {what}", f"{most / 1024:.0f} MB", ""))
        each = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0])
        linear = len(peaks) < 4 or (peaks[3] - peaks[2]) / 2000 < 1.5 * max(each, 1)
        targets.append(
            Target(
                f"memory of the controller, {what}", "50 kB each, linear", f"{each:.1f} kB each", linear and each <= 50
            )
        )


def peak(bench: Bench, text: str) -> int:
    """The peak memory of the controller, in kB, over a run with the analysis cached and one without."""
    folder = bench.new_folder("memory")
    (folder / "driver.py").write_text(text)
    run = subprocess.Popen(
        [bench.inferflow, "run", "--quiet", "--jobs", "2", "driver.py"],
        cwd=folder,
        env=dict(bench.environ),
        stdout=subprocess.DEVNULL,
    )
    most = 0
    while run.poll() is None:
        with contextlib.suppress(OSError), open(f"/proc/{run.pid}/status") as status:
            most = max([most, *(int(line.split()[1]) for line in status if line.startswith("VmHWM"))])
        time.sleep(0.003)
    return most
