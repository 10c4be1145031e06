"""Many drivers in one process (see ``arena``): reads ``{name: {file: text}}`` as JSON from stdin, writes what differs.

python batch.py FOLDER JOBS [MODULE ...] < drivers.json      {"name": [null or the difference, home, ahead, dropped]}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from arena import Arena, Way

TRIES = 2
"""A driver of which something is expected to run ahead is given another chance, on a busy machine."""


def main() -> None:
    folder, jobs, *modules = sys.argv[1:]
    arena = Arena(Path(folder), tuple(modules))
    found = {}
    for name, files in json.load(sys.stdin).items():
        native = arena.native(files)
        for _ in range(TRIES):
            difference = arena.compare(files, Way(jobs=int(jobs)), native)
            found[name] = [difference, *arena.last.ran]
            if difference is not None or arena.last.ran[1]:
                break
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
