"""What one task costs: no-op tasks in a chain at home, run ahead by a helper, and as a fan-out."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from limits import limits
from measure import Bench, Section, Target, milliseconds, processor_time

CHAIN = """\
def step(x):
    return x + 1


def main():
    x0 = 0
{lines}    return x{n}


if __name__ == "__main__":
    main()
"""

FAN = """\
def step(x):
    return x + 1


def spin(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def main():
    first = spin({spins})
{lines}    return first


if __name__ == "__main__":
    main()
"""


def chain(n: int) -> str:
    return CHAIN.format(lines="".join(f"    x{i + 1} = step(x{i})\n" for i in range(n)), n=n)


def fan(n: int, spins: int) -> str:
    """A long task first, which keeps home busy, then tasks that need nothing: helpers run them meanwhile."""
    return FAN.format(lines="".join(f"    x{i} = step({i})\n" for i in range(n)), spins=spins)


def events(bench: Bench, folder: Path, *options: str) -> tuple[float, list[dict[str, Any]]]:
    taken, output = bench.run([bench.inferflow, "run", "--json", *options, "driver.py"], folder)
    return taken, [json.loads(line) for line in output.splitlines()]


def above_one(bench: Bench, text: str, times: int) -> tuple[float, float, float]:
    """How much longer a driver takes than one of a single task, with both analyses cached (seconds): the whole process,
    the run itself from home's first task to the end, and the processor time of all its processes."""
    folders = {}
    for name, driver in (("one", chain(1)), ("many", text)):
        folders[name] = bench.new_folder("tasks")
        (folders[name] / "driver.py").write_text(driver)
        bench.run([bench.inferflow, "run", "driver.py"], folders[name])
    best: dict[str, list[float]] = {"one": [math.inf] * 3, "many": [math.inf] * 3}
    for _ in range(times):
        for name, folder in folders.items():
            before = processor_time()
            taken, found = events(bench, folder)
            used = processor_time() - before
            start = min(float(event["time"]) for event in found if event["kind"] == "task_started")
            end = max(float(event["time"]) for event in found if event["kind"] == "run_finished")
            best[name] = [min(pair) for pair in zip(best[name], (taken, end - start, used), strict=True)]
    whole, inside, used = (many - one for many, one in zip(best["many"], best["one"], strict=True))
    return whole, inside, used


def ahead(bench: Bench, n: int, spins: int, times: int) -> tuple[float, int]:
    """Seconds per task that one helper ran ahead while home was busy, and how many it ran."""
    folder = bench.new_folder("ahead")
    (folder / "driver.py").write_text(fan(n, spins))
    bench.run([bench.inferflow, "run", "driver.py"], folder)
    pace, count = [], 0
    for _ in range(times):
        shutil.rmtree(folder / ".inferflow" / "cache" / "learned", ignore_errors=True)  # that helpers do not pay here
        _, found = events(bench, folder, "--jobs", "2")
        starts = sorted(
            float(event["time"]) for event in found if event["kind"] == "task_started" and event["where"] == "ahead"
        )
        count = len(starts)
        if count > 1:
            pace.append((starts[-1] - starts[0]) / (count - 1))
    return (min(pace) if pace else float("nan")), count


def section(bench: Bench) -> Section:
    times = 2 if bench.quick else 5
    floor = limits(bench)
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    sizes = (10, 100, 500) if bench.quick else (10, 100, 500, 1000, 2000)
    drivers = [(f"chain of {n:,} at home", n - 1, chain(n), 0.0006) for n in sizes]
    drivers.append(("fan-out of 200, whoever runs them", 200, fan(200, 1), 0.0015))
    for name, n, text, limit in drivers:
        whole, inside, used = (value / n for value in above_one(bench, text, times))
        rows.append((name, *map(milliseconds, (whole, inside, used, floor["floor"]))))
        if n >= 99:
            measured = f"{milliseconds(whole)}, {milliseconds(used)} of processor time"
            targets.append(
                Target(f"no-op task, {name}", milliseconds(limit), measured, max(0.0, min(whole, used)) <= limit)
            )
    for n, spins in ((200, 10_000_000),) if bench.quick else ((10, 3_000_000), (200, 10_000_000), (1000, 40_000_000)):
        pace, count = ahead(bench, n, spins, times)
        rows.append(
            (
                f"fan-out of {n:,} through a helper ({count:,} ran ahead)",
                "",
                milliseconds(pace),
                "",
                milliseconds(floor["floor_pool"]),
            )
        )
        targets.append(
            Target(f"no-op task through a helper, fan-out of {n:,}", "1.5 ms", milliseconds(pace), pace <= 0.0015)
        )
    return Section(
        title="What a task costs",
        text=(
            "Tasks that do nothing, each recorded durably with its value. *Whole* is the time from start to exit with "
            "the analysis cached, less that of a driver of one task, by the number of tasks (the best of each); "
            "*inside* counts from the first task's begin. A helper's pace is taken from the beginnings of its tasks "
            "while home is busy with a long one. The floor is a function call, a SQLite row and a small hashed file, "
            "in one process or with the call in a pool's process."
        ),
        header=("tasks", "whole, each", "inside, each", "processor time, each", "floor"),
        rows=rows,
        targets=targets,
    )
