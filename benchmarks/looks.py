"""The price of observation: how long workers look at what a task did and read, to know whether its result counts.

The workers' own functions are timed one by one, by a ``sitecustomize`` that wraps them when their modules are imported.
"""

from __future__ import annotations

import json
import statistics
import subprocess

from measure import Bench, Target, milliseconds, seconds

READ = """\
import numpy as np


def make(n):
    return np.arange(n, dtype=np.float64)


def wave(rounds):
    total = 0.0
    for i in range(rounds):
        total += i * 0.5
    return total


def passes(a, k):
    total = 0.0
    for i in range(k):
        total += float(a.sum()) + float(a.max()) + float(a.std())
    return total


def main():
    a = make({n})
    w = wave({rounds})
    s = passes(a, {k})
    print(w, s)


if __name__ == "__main__":
    main()
"""


NATIVE = """\
import json, time

{functions}

a = make({n})
passes(a, 1)
begun = time.perf_counter()
passes(a, {k})
print(json.dumps({{"seconds": time.perf_counter() - begun}}))
"""
PASSES = 3
"""How often the task goes through the array: its sum, its largest, its standard deviation each time."""

WATCH = '''\
"""How long the workers look at what tasks did: a line of JSON for each look, into the file that a variable names."""
import json, os, sys, time

FUNCTIONS = {
    "inferflow.worker.helper": [("Helper", "_contradiction"), ("Helper", "_is_proved")],
    "inferflow.worker.trust": [("Trust", "ready"), ("Trust", "changed"), ("Trust", "acts")],
    "inferflow.worker.testify": [("Witness", "scope"), ("Witness", "changed"), ("Witness", "says")],
    "inferflow.worker.observer": [("Observer", "contradiction"), ("Observer", "publish")],
    "inferflow.worker.turn": [("", "contradiction")],
}
HOME = ("inferflow.worker.observer", "inferflow.worker.turn")


class Finder:
    """Wraps the functions of these modules when they are imported."""

    def find_spec(self, name, path, target=None):
        if name not in FUNCTIONS:
            return None
        sys.meta_path.remove(self)
        try:
            import importlib.util
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            for owner, function in FUNCTIONS[name]:
                wrap(getattr(module, owner) if owner else module, function, "home" if name in HOME else "helper")

        spec.loader.exec_module = exec_module
        return spec


def wrap(owner, name, where):
    inner = getattr(owner, name)

    def timed(*args, **named):
        begun = time.perf_counter()
        try:
            return inner(*args, **named)
        finally:
            line = json.dumps([where, getattr(owner, "__qualname__", ""), name, time.perf_counter() - begun])
            os.write(FILE, (line + "\\n").encode())

    setattr(owner, name, timed)


if "BENCHMARK_LOOKS" in os.environ and os.path.exists(os.path.dirname(os.environ["BENCHMARK_LOOKS"])):
    FILE = os.open(os.environ["BENCHMARK_LOOKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.set_inheritable(FILE, True)
    import fcntl
    low, FILE = FILE, fcntl.fcntl(FILE, fcntl.F_DUPFD, 900)  # where a program's own files are not looked for
    os.close(low)
    sys.meta_path.insert(0, Finder())
'''


def observed(bench: Bench, driver: str) -> tuple[list[float], float]:
    """Seconds that a helper spent looking, for each of its tasks; and home, for each of them on average."""
    folder = bench.new_folder("observed")
    (folder / "driver.py").write_text(driver)
    bench.run([bench.inferflow, "run", "driver.py"], folder)
    site = bench.new_folder("site")
    (site / "sitecustomize.py").write_text(WATCH)
    looks = folder / "looks.jsonl"
    environ = {**bench.environ, "PYTHONPATH": str(site), "BENCHMARK_LOOKS": str(looks)}
    command = [bench.inferflow, "run", "--quiet", "--jobs", "2", "driver.py"]
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    helper: list[float] = []
    home: list[float] = []
    before = ""
    for line in looks.read_text().splitlines():
        where, _, name, taken = json.loads(line)
        if where == "home":
            home.append(taken)
        else:
            if name == "ready" or (name == "_is_proved" and before != "ready"):
                helper.append(0.0)
            helper[-1] += taken
            before = name
    if not helper:
        raise SystemExit("no task ran ahead, whose observation could be measured")
    return helper, sum(home) / len(helper)


def observation(bench: Bench, rows: list[tuple[str, ...]], targets: list[Target], small: str) -> None:
    """Measure it for the tasks of the driver ``small``, which do nothing, and for one that reads a large array."""
    helper, home = observed(bench, small)
    # what a helper does once, for all its tasks, is not in the median
    for label, price in (("in the helper", statistics.median(helper)), ("at home, at its turn", home)):
        rows.append((f"looking at what a small predicted task did, {label}", seconds(price), ""))
        targets.append(Target(f"observation of a task, {label}", "0.5 ms", milliseconds(price), price <= 0.0005))
    n = 5_000_000 if bench.quick else 50_000_000
    native = bench.measure_python(NATIVE.format(functions=READ.partition("def main")[0], n=n, k=PASSES))["seconds"]
    helper, home = observed(bench, READ.format(n=n, rounds=n, k=PASSES))
    for label, price in (("in the helper", max(helper)), ("at home, at its turn", home)):
        share = price / native
        what = f"{n * 8 // 1_000_000} MB array, only read: looking at it, {label}"
        rows.append((what, seconds(price), f"{100 * share:.1f} % of {seconds(native)}"))
        targets.append(Target(what, "10 % of the task", f"{100 * share:.1f} %", share <= 0.1))
