"""What the machine can do at all: what our figures cannot be better than."""

from __future__ import annotations

from pathlib import Path

from measure import Bench, Section, seconds

CODE = r"""
import hashlib, json, multiprocessing, os, sqlite3, sys, tempfile, time

def noop(x):
    return x

def best(function, times):
    found = []
    for _ in range(times):
        start = time.perf_counter(); function(); found.append(time.perf_counter() - start)
    return min(found)

def calls():
    for i in range(100_000):
        noop(i)

def record(folder, n, pool=None):
    "A row for each task in SQLite, a small artifact hashed; through a pool if there is one."
    import pickle
    db = sqlite3.connect(os.path.join(folder, f"floor{n}{pool is not None}.db"))
    db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE t (task, digest, data)")
    start = time.perf_counter()
    value = 0
    for i in range(n):
        value = pool.apply(noop, (value,)) if pool else noop(value)
        data = pickle.dumps(value)
        name = os.path.join(folder, hashlib.sha256(data + str(i).encode()).hexdigest())
        with open(name + ".tmp", "wb") as f:
            f.write(data)
        os.rename(name + ".tmp", name)
        db.execute("INSERT INTO t VALUES (?, ?, ?)", (i, name, data)); db.commit()
    return (time.perf_counter() - start) / n

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

if __name__ == "__main__":
    result = {"call": best(calls, 5) / 100_000, "fork": best(fork, 20)}
    data = bytearray(os.urandom(1 << 20) * 200)
    result["memcpy"] = best(lambda: bytes(data), 3) / len(data)
    result["sha256"] = best(lambda: hashlib.sha256(data), 2) / len(data)
    import blake3
    with tempfile.TemporaryFile() as file:
        file.write(data); file.flush(); buffer = memoryview(bytearray(1 << 20))
        def digest():
            hasher = blake3.blake3(); file.seek(0)
            while count := file.raw.readinto(buffer):
                hasher.update(buffer[:count])
        result["blake3"] = best(digest, 2) / len(data)
    with tempfile.TemporaryDirectory() as folder:
        def write():
            with open(os.path.join(folder, "x"), "wb") as f:
                f.write(data)
        result["write"] = best(write, 3) / len(data)
        result["floor"] = min(record(folder, n) for n in (300, 301, 302))
        with multiprocessing.get_context("fork").Pool(1) as pool:
            result["trip"] = best(lambda: pool.apply(noop, (1,)), 300)
            result["floor_pool"] = min(record(folder, n, pool) for n in (300, 301, 302))
    print(json.dumps(result))
"""


_found: dict[Path, dict[str, float]] = {}


def limits(bench: Bench) -> dict[str, float]:
    """Measured once in a session."""
    if bench.folder not in _found:
        _found[bench.folder] = bench.measure_python(CODE, folder=bench.new_folder("limits"))
    return _found[bench.folder]


def section(bench: Bench) -> Section:
    found = limits(bench)
    return Section(
        title="Limits of the machine",
        text="What nothing on this machine can do faster, measured in the same session.",
        header=("what", "takes"),
        rows=[
            ("a call of a Python function", seconds(found["call"])),
            ("a round trip to a process (`multiprocessing.Pool.apply`)", seconds(found["trip"])),
            ("fork and wait, bare interpreter", seconds(found["fork"])),
            ("copying memory", f"{1e-9 / found['memcpy']:.1f} GB/s"),
            ("SHA-256", f"{1e-9 / found['sha256']:.1f} GB/s"),
            ("BLAKE3 of a file in the page cache", f"{1e-9 / found['blake3']:.1f} GB/s"),
            ("writing a file (page cache)", f"{1e-9 / found['write']:.1f} GB/s"),
            ("floor of a recorded task: a call, a SQLite row, a small hashed file", seconds(found["floor"])),
            ("the same with the call in a pool's process", seconds(found["floor_pool"])),
        ],
    )
