"""Generated drivers, natively and inferred, as many as time allows; each difference is made small and shown as a driver.

    python tests/same/hammer.py --kind plain --count 200          # what CI runs, in several parts
    python tests/same/hammer.py --seconds 3600 --keep DIR         # the long way; failing drivers are written to DIR

Exit status 0 if all were the same, 1 if not. A driver for which two native runs differ says nothing, and is
counted apart; so are those that recurse without end natively (silent).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from pathlib import Path

MODULES = {"plain": (), "arrays": ("numpy",), "tables": ("numpy", "pandas"), "flow": (), "async": (), "used": ()}
FLOW = ("flow", "async", "used")
RAN = ("home", "ahead", "dropped", "inside")
COUNTS = ("programs", "runs", "different", "unsteady", *RAN, "silent")
PART = 500
"""Programs from one arena; then a new one begins, so that nothing piles up."""


def main() -> int:
    """Run one kind here, or all of them one after the other in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=[*MODULES, "all"], default="all")
    parser.add_argument("--first", type=int, default=0, help="number of the first driver")
    parser.add_argument("--count", type=int, default=0, help="how many; 0: as many as the time allows")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after this time; 0: after --count")
    parser.add_argument("--keep", type=Path, help="a folder for failing drivers")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets must have one order in all processes
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    end = time.monotonic() + given.seconds if given.seconds else None
    kinds = list(MODULES) if given.kind == "all" else [given.kind]
    counts = dict.fromkeys(COUNTS, 0)
    begun = time.monotonic()
    first, left = given.first, given.count
    while (left > 0 or not given.count) and (end is None or time.monotonic() < end):
        part = min(PART, left) if given.count else PART
        for kind in kinds:
            _in_a_process(kind, first, part, end, given.keep, counts)
        first, left = first + part, left - part
        if end is None and not given.count:
            break
        told = ", ".join(f"{number} {name}" for name, number in counts.items())
        print(f"{time.monotonic() - begun:.0f} s: {told}", flush=True)
    return 1 if counts["different"] else 0


def _in_a_process(
    kind: str, first: int, count: int, end: float | None, keep: Path | None, counts: dict[str, int]
) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            told = hammer(kind, first, count, end, keep)
            os.write(writer, repr(told).encode())
            sys.stdout.flush()
        except BaseException:
            import traceback

            traceback.print_exc()
            os.write(writer, b"{'different': 1}")
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    for name, number in eval(answer or b"{'different': 1}").items():
        counts[name] += number


def hammer(kind: str, first: int, count: int, end: float | None, keep: Path | None) -> dict[str, int]:
    """Compare drivers ``first`` to ``first + count``; the counts."""
    import generator
    import generator_flow
    from arena import Arena, Way, difference
    from shrink import shrink

    make = generator_flow.make if kind in FLOW else generator.make
    base = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp") / f"inferflow-hammer-{os.getpid()}"
    arena = Arena(base, MODULES[kind])
    counts = dict.fromkeys(COUNTS, 0)
    try:
        for number in range(first, first + count):
            if end is not None and time.monotonic() > end:
                break
            files = make(number, kind)
            native = arena.native(files)
            if native.says_nothing:
                counts["silent"] += 1
                continue
            draw = random.Random(number)
            counts["programs"] += 1
            for _ in range(draw.choice([1, 1, 2])):
                shake = str(draw.random()) if draw.random() < 0.6 else ""
                backend = "inline" if draw.random() < 0.05 else "process"
                turns = "always" if kind in FLOW and draw.random() < 0.7 else ""
                way = Way(draw.choice([1, 2, 2, 3, 4]), shake, backend, turns)
                inferred = arena.inferred(files, way)
                counts["runs"] += 1
                for name, ran in zip(RAN, inferred.ran, strict=True):
                    counts[name] += ran
                what = difference(native, inferred)
                if what is None:
                    continue
                if difference(native, arena.native(files)) is not None:
                    counts["unsteady"] += 1
                    break
                counts["different"] += 1

                def fails(smaller: dict[str, str], way: Way = way, row: str = what.split()[0]) -> bool:
                    if not all(compiles(text) for text in smaller.values()):
                        return False
                    one = arena.native(smaller)
                    if one.says_nothing or difference(one, arena.native(smaller)) is not None:
                        return False
                    told = (difference(one, arena.inferred(smaller, way)) for _ in range(3))
                    return any(text is not None and text.split()[0] == row for text in told)

                small = shrink(files, fails, 180.0)
                show(kind, number, str(way), what, small, keep)
                break
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return counts


def compiles(text: str) -> bool:
    """Whether a text is a program at all."""
    try:
        compile(text, "driver.py", "exec")
    except SyntaxError:
        return False
    return True


def show(kind: str, number: int, way: str, what: str, files: dict[str, str], keep: Path | None) -> None:
    """Print a failing driver, and write it to ``keep``."""
    text = "".join(f"#### {name}\n{content}\n" for name, content in files.items())
    print(f"==== {kind} {number}, {way}\n{what}\n{text}", flush=True)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{kind}-{number}.md").write_text(f"# {kind} {number}, {way}\n\n```\n{what}\n```\n\n```py\n{text}```\n")


if __name__ == "__main__":
    sys.exit(main())
