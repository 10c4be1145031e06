"""The examples, start to exit, beside python driver.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from measure import ROOT, Bench, Section, Target, alternate, best_and_middle, clear_store, timed


def section(bench: Bench) -> Section:
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    for name in ("iris", "model_comparison", "etl", "simulation", "text"):
        folder = bench.new_folder(name)
        shutil.copytree(ROOT / "examples" / name, folder, dirs_exist_ok=True)
        clear_store(folder)

        native, first, cached = _ways(bench, folder)
        native()
        found = alternate(2 if bench.quick else 5, native=native, first=first, cached=cached)
        best = {way: min(wall for wall, _ in values) for way, values in found.items()}
        used = {way: min(used for _, used in values) for way, values in found.items()}
        ratios = {way: (best[way] / best["native"], used[way] / used["native"]) for way in ("first", "cached")}
        rows.append(
            (
                name,
                *(best_and_middle([wall for wall, _ in found[way]]) for way in ("native", "first", "cached")),
                " / ".join(f"{wall:.2f}" for wall, _ in ratios.values()),
                " / ".join(f"{processor:.2f}" for _, processor in ratios.values()),
            )
        )
        if name == "iris":
            for way, words in (("first", "the first time"), ("cached", "analysis cached")):
                wall, processor = ratios[way]
                targets.append(
                    Target(
                        f"iris, end to end, {words}",
                        "1.15 times native",
                        f"{wall:.2f} times ({processor:.2f} of processor time)",
                        min(wall, processor) <= 1.15,
                    )
                )
    return Section(
        title="The examples, end to end",
        text=(
            "Whole processes. The promise is about iris, a driver that spends a second or more on imports and work. "
            "Processor time is that of all processes together. Ratios are those of the first time / analysis cached."
        ),
        header=(
            "example",
            "`python driver.py`",
            "`inferflow run`, first",
            "analysis cached",
            "ratios of the best",
            "of processor time",
        ),
        rows=rows,
        targets=targets,
    )


Way = Callable[[], tuple[float, float]]


def _ways(bench: Bench, folder: Path) -> tuple[Way, Way, Way]:
    """Three ways to run the driver in ``folder``: natively, with inferflow for the first time, and once more."""

    def native() -> tuple[float, float]:
        return timed(bench, [bench.python, "driver.py"], folder)

    def cached() -> tuple[float, float]:
        return timed(bench, [bench.inferflow, "run", "driver.py"], folder)

    def first() -> tuple[float, float]:
        clear_store(folder)
        return cached()

    return native, first, cached
