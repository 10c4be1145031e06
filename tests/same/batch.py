"""Many drivers in one process (see ``arena``): told by JSON on stdin, what differs is told on stdout.

    python batch.py FOLDER JOBS [MODULE ...] < drivers.json
    {"name": [null or the difference, home, ahead, dropped, inside]}

The input is ``{name: {"files": {file: text}, "ahead": whether some task is expected to have run ahead, "turns": whether
whatever can run ahead in loops and arms does}}``. JOBS may be several numbers (``2,4``): each driver runs natively once
and with each of them, and what ran is counted together.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from compare import environment

TRIES = 4
"""On a busy machine home may come to all tasks first: a driver of which more is expected is given other chances."""


def run_batch(
    folder: Path,
    drivers: dict[str, dict[str, str]],
    ahead: Collection[str] = (),
    *modules: str,
    jobs: int | tuple[int, ...] = 4,
    turns: bool = False,
) -> dict[str, list[Any]]:
    """For each driver (its files) the difference, or None, how many tasks ran at home, ahead, and were dropped, and how
    much ran ahead inside of tasks."""
    told = {name: {"files": files, "ahead": name in ahead, "turns": turns} for name, files in drivers.items()}
    numbers = (jobs,) if isinstance(jobs, int) else jobs
    command = [sys.executable, __file__, str(folder), ",".join(map(str, numbers)), *modules]
    done = subprocess.run(
        command, input=json.dumps(told), env=environment(), capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def differences(found: dict[str, list[Any]]) -> dict[str, str]:
    """What differs, of the drivers that do."""
    return {name: difference for name, (difference, *_) in found.items() if difference}


def in_sets(
    drivers: Mapping[str, str], libraries: str, parts: int, apart: Collection[str] = ()
) -> dict[str, list[str]]:
    """The names of drivers in sets for one batch each: those of which the text matches ``libraries``, and the others, but
    for those ``apart``, in so many parts."""
    others = [name for name, text in drivers.items() if not re.search(libraries, text)]
    plain = [name for name in others if name not in apart]
    return {
        "libraries": [name for name in drivers if name not in others],
        **{str(part): plain[part::parts] for part in range(parts)},
    }


def assert_set_is_same(folder: Path, drivers: Mapping[str, str], names: list[str], modules: tuple[str, ...]) -> None:
    """Assert that these drivers are the same with four processes."""
    files = {name: {"driver.py": drivers[name]} for name in names}
    assert differences(run_batch(folder, files, (), *modules, jobs=4)) == {}


def assert_turns_are_same(folder: Path, drivers: dict[str, dict[str, str]], home: Collection[str]) -> None:
    """Assert that these drivers are the same with two and with three processes, and that something runs ahead inside of
    tasks in all of them but those called ``home``."""
    found = run_batch(folder, drivers, jobs=(2, 3), turns=True)
    assert differences(found) == {}
    assert {name for name, (*_, inside) in found.items() if not inside} == set(home) & set(drivers)


def main() -> None:
    from arena import Arena, Way

    folder, jobs, *modules = sys.argv[1:]
    arena = Arena(Path(folder), tuple(modules))
    found = {}
    for name, driver in json.load(sys.stdin).items():
        native = arena.native(driver["files"])
        told, ran = "it hangs natively" if native.says_nothing else None, [0, 0, 0, 0]
        for number in jobs.split(","):
            for _ in range(TRIES if driver["ahead"] else 1):
                way = Way(jobs=int(number), turns="always" if driver["turns"] else "")
                difference = arena.compare(driver["files"], way, native)
                ran = [before + now for before, now in zip(ran, arena.last.ran, strict=True)]
                if difference is not None:
                    told = told or f"with {number} jobs: {difference}"
                if difference is not None or arena.last.ran[1]:
                    break
        found[name] = [told, *ran]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
