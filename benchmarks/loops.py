"""Turns of loops: sixteen that keep a processor busy, ten thousand that hardly do, and a thousand that need each other;
beside a plain loop and a pool of processes."""

from __future__ import annotations

import os

from measure import Bench, Section, Target, alternate, best_and_middle
from parallel import CALIBRATE, WORK

HEAD = "def main():\n    out = []\n"
TAIL = "    print(sum(out))\n\n\nif __name__ == '__main__':\n    main()\n"

POOL = """\
import multiprocessing

{work}

def one(seed):
    return work(seed, {rounds})

if __name__ == "__main__":
    with multiprocessing.Pool({jobs}) as pool:
        print(sum(pool.map(one, range({count}), chunksize={chunk})))
"""


def map_of(count: int, rounds: int) -> str:
    return f"{WORK}\n\n{HEAD}    for seed in range({count}):\n        out.append(work(seed, {rounds}))\n{TAIL}"


def carried(count: int) -> str:
    loop = f"    x = 1\n    for seed in range({count}):\n        x = work(x, 10)\n        out.append(x)\n"
    return f"{WORK}\n\n{HEAD}{loop}{TAIL}"


def section(bench: Bench) -> Section:
    jobs = min(os.cpu_count() or 1, 8)
    wanted = 0.1 if bench.quick else 0.5
    rounds = int(bench.measure_python(CALIBRATE.format(work=WORK, wanted=wanted))["rounds"])
    cheap = max(1, int(rounds * 10e-6 / wanted))
    drivers = {
        "long": (f"map of 16 items of {wanted} s", map_of(16, rounds), [(16, rounds, 1)]),
        "cheap": (
            "map of 10,000 items of 10 µs",
            map_of(10_000, cheap),
            [(10_000, cheap, n) for n in (100, 1250, 5000)],
        ),
        "carried": ("loop of 1,000 turns that need each other", carried(1_000), []),
    }
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    for name, (what, text, pools) in drivers.items():
        folder = bench.new_folder(f"loops-{name}")
        (folder / "driver.py").write_text(text)
        for number, (count, each, chunk) in enumerate(pools):
            pool = POOL.format(work=WORK, rounds=each, jobs=jobs, count=count, chunk=chunk)
            (folder / f"pool{number}.py").write_text(pool)
        (folder / "nothing.py").write_text("def main():\n    print(1)\n\n\nif __name__ == '__main__':\n    main()\n")
        bench.run([bench.inferflow, "run", "driver.py"], folder)
        bench.run([bench.inferflow, "run", "nothing.py"], folder)
        found = alternate(
            2 if bench.quick else 3 if name == "long" else 7,
            native=lambda folder=folder: bench.run([bench.python, "driver.py"], folder)[0],
            inferflow=lambda folder=folder: bench.run(
                [bench.inferflow, "run", "--jobs", str(jobs), "driver.py"], folder
            )[0],
            nothing=lambda folder=folder: bench.run(
                [bench.inferflow, "run", "--jobs", str(jobs), "nothing.py"], folder
            )[0],
            **{
                f"pool{number}": lambda folder=folder, number=number: bench.run(
                    [bench.python, f"pool{number}.py"], folder
                )[0]
                for number in range(len(pools))
            },
        )
        rows.append((what, "plain loop", best_and_middle(found["native"])))
        best_pool = min((name for name in found if name.startswith("pool")), key=lambda n: min(found[n]), default="")
        if best_pool:
            chunk = pools[int(best_pool[4:])][2]
            rows.append((what, f"`Pool({jobs}).map`, chunks of {chunk}", best_and_middle(found[best_pool])))
        rows.append((what, f"`inferflow run --jobs {jobs}`", best_and_middle(found["inferflow"])))
        if name == "cheap":  # a turn that a helper has run costs home nearly as much as running it
            limit = min(found["native"]) + min(found["nothing"])
            rows.append((what, "the limit: the plain loop, and a run of nothing", f"{limit:.2f} s"))
            took = min(found["inferflow"])
            targets.append(
                Target(
                    what, f"the plain loop and a run of nothing ({limit:.2f} s)", f"{took:.2f} s", took <= 1.1 * limit
                )
            )
        if name == "long":
            speed = min(found[best_pool]) / min(found["inferflow"])
            targets.append(Target(what, "95 % of `Pool.map`'s speed", f"{100 * speed:.0f} %", speed >= 0.95))
    return Section(
        title="Loops",
        text=f"Whole processes, start-up included, {jobs} of them at work; of a pool the best of some sizes of chunks.",
        header=("what", "how", "takes"),
        rows=rows,
        targets=targets,
        note="A run of inferflow takes about a tenth of a second to begin and end, whatever it runs: see above.",
    )
