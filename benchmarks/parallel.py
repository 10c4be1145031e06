"""Sixteen independent tasks that keep a processor busy for half a second each, beside a bare pool of processes."""

from __future__ import annotations

import os

from measure import Bench, Section, Target, alternate, best_and_middle, middle

WORK = """\
def work(seed, rounds):
    x = seed
    for i in range(rounds):
        x = (x * 1103515245 + 12345 + i) % 2147483648
    return x
"""

POOL = """\
import multiprocessing

{work}

if __name__ == "__main__":
    with multiprocessing.Pool({jobs}) as pool:
        results = pool.starmap(work, [(seed, {rounds}) for seed in range(16)], chunksize=1)
    print(sum(results))
"""

CALIBRATE = """\
import json, time

{work}

best = 1e9
for _ in range(3):
    start = time.perf_counter(); work(1, 2_000_000); best = min(best, time.perf_counter() - start)
print(json.dumps({{"rounds": 2_000_000 * {wanted} / best}}))
"""


def driver(rounds: int) -> str:
    calls = "".join(f"    r{i} = work({i}, {rounds})\n" for i in range(16))
    total = " + ".join(f"r{i}" for i in range(16))
    return f"{WORK}\n\ndef main():\n{calls}    print({total})\n\n\nif __name__ == '__main__':\n    main()\n"


def section(bench: Bench) -> Section:
    jobs = min(os.cpu_count() or 1, 8)
    wanted = 0.1 if bench.quick else 0.5
    rounds = int(bench.measure_python(CALIBRATE.format(work=WORK, wanted=wanted))["rounds"])
    folder = bench.new_folder("parallel")
    (folder / "driver.py").write_text(driver(rounds))
    (folder / "pool.py").write_text(POOL.format(work=WORK, rounds=rounds, jobs=jobs))
    bench.run([bench.inferflow, "run", "driver.py"], folder)
    found = alternate(
        2 if bench.quick else 3,
        native=lambda: bench.run([bench.python, "driver.py"], folder)[0],
        pool=lambda: bench.run([bench.python, "pool.py"], folder)[0],
        inferflow=lambda: bench.run([bench.inferflow, "run", "--jobs", str(jobs), "driver.py"], folder)[0],
    )
    speed = min(found["pool"]) / min(found["inferflow"])
    return Section(
        title="Independent work",
        text=f"16 tasks of {wanted} s each on {jobs} processes, start-up included.",
        header=("how", "takes", "times as fast as native"),
        rows=[
            (label, best_and_middle(found[name]), f"{middle(found['native']) / middle(found[name]):.2f}")
            for name, label in (
                ("native", "`python driver.py`"),
                ("pool", f"`multiprocessing.Pool({jobs})`, written by hand"),
                ("inferflow", f"`inferflow run --jobs {jobs} driver.py`"),
            )
        ],
        targets=[
            Target("16 independent tasks", "95 % of a pool's speed", f"{100 * speed:.0f} %", speed >= 0.95),
        ],
        note="Two busy cores of one machine are each slower than one alone, so twice as fast is not to be had on two."
        if jobs == 2
        else "",
    )
