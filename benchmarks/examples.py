"""The examples, start to exit, beside python driver.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from measure import ROOT, Bench, Section, Target, alternate, best_and_middle, clear_store


def section(bench: Bench) -> Section:
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    for name in ("iris", "model_comparison", "etl", "simulation", "text"):
        folder = bench.new_folder(name)
        shutil.copytree(ROOT / "examples" / name, folder, dirs_exist_ok=True)
        clear_store(folder)

        native, first, cached = _ways(bench, folder)
        native()
        found = alternate(2 if bench.quick else 7, native=native, first=first, cached=cached)
        ratio = min(found["first"]) / min(found["native"])
        again = min(found["cached"]) / min(found["native"])
        rows.append(
            (
                name,
                best_and_middle(found["native"]),
                best_and_middle(found["first"]),
                best_and_middle(found["cached"]),
                f"{ratio:.2f} / {again:.2f}",
            )
        )
        if name == "iris":
            targets.append(
                Target("iris, end to end, the first time", "1.15 times native", f"{ratio:.2f} times", ratio <= 1.15)
            )
            targets.append(
                Target("iris, end to end, analysis cached", "1.15 times native", f"{again:.2f} times", again <= 1.15)
            )
    return Section(
        title="The examples, end to end",
        text="Whole processes. The promise is about iris, a driver that spends a second or more on imports and work.",
        header=("example", "`python driver.py`", "`inferflow run`, first", "analysis cached", "ratios of the best"),
        rows=rows,
        targets=targets,
    )


def _ways(bench: Bench, folder: Path) -> tuple[Callable[[], float], Callable[[], float], Callable[[], float]]:
    """Three ways to run the driver in ``folder``: natively, with inferflow for the first time, and once more."""

    def native() -> float:
        return bench.run([bench.python, "driver.py"], folder)[0]

    def cached() -> float:
        return bench.run([bench.inferflow, "run", "driver.py"], folder)[0]

    def first() -> float:
        clear_store(folder)
        return cached()

    return native, first, cached
