"""Large values: a 400 MB array at home and to a helper, a mixed DataFrame of five million rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from limits import limits
from measure import Bench, Section, Target, alternate, best_and_middle, clear_store, seconds

HOME = """\
import numpy as np


def make(n):
    return np.arange(n, dtype=np.float64)


def total(a):
    return float(a.sum())


def main():
    a = make({n})
    s = total(a)
    print(s)


if __name__ == "__main__":
    main()
"""

SAVED = HOME.replace("    s = total(a)\n", "    np.save('a.npy', a)\n    s = total(a)\n")

HELPER = """\
import numpy as np


def make(n):
    return np.arange(n, dtype=np.float64)


def wave(a):
    total = 0.0
    for i in range({rounds}):
        total += i * 0.5
    return total + float(a[0])


def total(a):
    return float(a.sum())


def main():
    a = make({n})
    w = wave(a)
    s = total(a)
    print(w, s)


if __name__ == "__main__":
    main()
"""

FRAME = r"""
import gc, json, os, pickle, sys, tempfile, time
import numpy as np
import pandas as pd
from inferflow.worker.transport import load, pack
from inferflow.worker.transport_files import write

n, folder = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(1)
frame = pd.DataFrame({
    "id": np.arange(n),
    "value": rng.normal(size=n),
    "count": rng.integers(0, 100, n, dtype=np.int32),
    "flag": rng.random(n) > 0.5,
    "when": np.datetime64("2024-01-01", "s") + rng.integers(0, 10**7, n).astype("timedelta64[s]"),
    "kind": pd.Categorical.from_codes(rng.integers(0, 5, n), list("abcde")),
    "name": rng.choice(["ada", "bo", "carla", "dan", "eva"], n),
})
scratch = os.path.join(folder, "tmp"); os.makedirs(scratch, exist_ok=True)

def timed(f):
    gc.collect(); start = time.perf_counter(); value = f(); return time.perf_counter() - start, value

def plain():
    path = os.path.join(folder, "frame.pickle")
    def dump():
        with open(path, "wb") as f:
            pickle.dump(frame, f, protocol=5)
    def back():
        with open(path, "rb") as f:
            return pickle.load(f)
    return timed(dump)[0], timed(back)[0], os.path.getsize(path)

def ours():
    w, stored = timed(lambda: write(pack((frame,), check=True), os.path.join(folder, "store"), scratch))
    r, loaded = timed(lambda: load(stored.path))
    size = stored.size
    assert loaded.values[0].equals(frame)
    os.unlink(stored.path)
    return w, r, size

os.makedirs(os.path.join(folder, "store"), exist_ok=True)
a, b = [], []
for _ in range(int(sys.argv[3])):
    a.append(plain()); b.append(ours())
print(json.dumps({"plain_write": min(x[0] for x in a), "plain_read": min(x[1] for x in a),
                  "write": min(x[0] for x in b), "read": min(x[1] for x in b), "size": a[0][2]}))
"""


def section(bench: Bench) -> Section:
    n = 5_000_000 if bench.quick else 50_000_000
    megabytes = n * 8 // 1_000_000
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []

    native, saved, ours = (bench.new_folder(name) for name in ("array-native", "array-saved", "array"))
    (native / "driver.py").write_text(HOME.format(n=n))
    (saved / "driver.py").write_text(SAVED.format(n=n))
    (ours / "driver.py").write_text(HOME.format(n=n))

    def with_record() -> float:
        shutil.rmtree(ours / ".inferflow" / "artifacts", ignore_errors=True)  # else it need not be written again
        return bench.run([bench.inferflow, "run", "driver.py"], ours)[0]

    with_record()
    found = alternate(
        2 if bench.quick else 5,
        native=lambda: bench.run([bench.python, "driver.py"], native)[0],
        saved=lambda: bench.run([bench.python, "driver.py"], saved)[0],
        ours=with_record,
    )
    clear_store(ours)
    ratio = min(found["ours"]) / min(found["saved"])
    rows += [
        (f"{megabytes} MB array, `python driver.py`", best_and_middle(found["native"]), ""),
        ("the same with a `np.save`", best_and_middle(found["saved"]), "1"),
        ("`inferflow run`, all at home, recorded with SHA-256", best_and_middle(found["ours"]), f"{ratio:.2f}"),
    ]
    targets.append(
        Target(f"{megabytes} MB array at home", "1.3 times native with np.save", f"{ratio:.2f} times", ratio <= 1.3)
    )

    rows.append(("SHA-256 of these bytes, alone on one core", seconds(limits(bench)["sha256"] * n * 8), ""))
    rows += _to_helper(bench, n, megabytes, targets)

    count = 500_000 if bench.quick else 5_000_000
    folder = bench.new_folder("frame")
    frame = bench.measure_python(FRAME, str(count), str(folder), "1" if bench.quick else "2")
    shutil.rmtree(folder)
    rows += [
        (
            f"DataFrame of {count:,} rows, 7 columns, {frame['size'] / 1e6:.0f} MB: `pickle` to a file",
            seconds(frame["plain_write"]),
            "1",
        ),
        (
            "the same: packed, checked, hashed, written",
            seconds(frame["write"]),
            f"{frame['write'] / frame['plain_write']:.2f}",
        ),
        ("the same: `pickle` from a file", seconds(frame["plain_read"]), "1"),
        ("the same: mapped and rebuilt", seconds(frame["read"]), f"{frame['read'] / frame['plain_read']:.2f}"),
    ]
    return Section(
        title="Large values",
        text="End to end for the drivers; the DataFrame has numbers, flags, times, a categorical and text.",
        header=("what", "takes", "ratio"),
        rows=rows,
        targets=targets,
        note=(
            "The array is written behind, while home goes on; a driver that ends at once has to wait for it. The "
            "digest under which it is kept, SHA-256, takes longer than `np.save` where several GB/s can be written to "
            "the page cache."
        ),
    )


def _to_helper(bench: Bench, n: int, megabytes: int, targets: list[Target]) -> list[tuple[str, ...]]:
    folder = bench.new_folder("array-ahead")
    (folder / "driver.py").write_text(HELPER.format(n=n, rounds=n // 2))
    bench.run([bench.inferflow, "run", "driver.py"], folder)
    shutil.rmtree(folder / ".inferflow" / "artifacts", ignore_errors=True)
    taken, output = bench.run([bench.inferflow, "run", "--json", "--jobs", "2", "driver.py"], folder)
    events = [json.loads(line) for line in output.splitlines()]
    written = _size_of(folder / ".inferflow" / "artifacts")
    clear_store(folder)
    starts = {(e["task"], e["attempt"]): e for e in events if e["kind"] == "task_started"}
    ahead = [e for e in events if e["kind"] == "task_finished" and starts[e["task"], e["attempt"]]["where"] == "ahead"]
    if not ahead:
        targets.append(
            Target(f"{megabytes} MB array to a helper", "one write, one mapped read", "nothing ran ahead", False)
        )
        return [(f"{megabytes} MB array to a helper", "nothing ran ahead", "")]
    peak = max(e["peak_memory"] for e in ahead) / 1e6
    copies = written / 1e6 / megabytes
    fits = copies < 1.05 and peak < 1.6 * megabytes + 120
    targets.append(
        Target(
            f"{megabytes} MB array to a helper",
            "one write, one mapped read, no second copy",
            f"{copies:.2f} copies on disk, helper's peak {peak:.0f} MB with the mapped file",
            fits,
        )
    )
    return [
        (f"{megabytes} MB array read by home and by a helper, whole run", seconds(taken), ""),
        ("written to disk, times the array", "", f"{copies:.2f}"),
        (
            "the helper's peak memory, the mapped file included, times the array",
            f"{peak:.0f} MB",
            f"{peak / megabytes:.2f}",
        ),
    ]


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
