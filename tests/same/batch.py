"""Many drivers in one process (see ``arena``): told by JSON on stdin, what differs is told on stdout.

    python batch.py FOLDER JOBS [MODULE ...] < drivers.json      {"name": [null or the difference, home, ahead, dropped]}

The input is ``{name: {"files": {file: text}, "ahead": whether some task is expected to have run ahead}}``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TRIES = 4
"""On a busy machine home may come to all tasks first: a driver of which more is expected is given other chances."""


def run_batch(
    folder: Path, drivers: dict[str, dict[str, str]], ahead: frozenset[str] = frozenset(), *modules: str, jobs: int = 4
) -> dict[str, list[Any]]:
    """For each driver (its files) the difference, or None, and how many tasks ran at home, ahead, and were dropped."""
    told = {name: {"files": files, "ahead": name in ahead} for name, files in drivers.items()}
    command = [sys.executable, __file__, str(folder), str(jobs), *modules]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def main() -> None:
    from arena import Arena, Way

    folder, jobs, *modules = sys.argv[1:]
    arena = Arena(Path(folder), tuple(modules))
    found = {}
    for name, driver in json.load(sys.stdin).items():
        native = arena.native(driver["files"])
        for _ in range(TRIES if driver["ahead"] else 1):
            difference = arena.compare(driver["files"], Way(jobs=int(jobs)), native)
            found[name] = [difference, *arena.last.ran]
            if difference is not None or arena.last.ran[1]:
                break
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
