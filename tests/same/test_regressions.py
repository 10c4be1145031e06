"""Drivers for which native and inferred once differed, found by the generator and the corpus, under a name each. They run
with random delays in the workers, since most needed a certain order of events."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from compare import assert_same

DRIVERS: dict[str, str] = {
    "masked arrays do not remember that they were looked at": """
import time
import numpy as np
def make(n):
    time.sleep(0.05)
    return {"a": np.ma.MaskedArray(np.arange(n), mask=[0, 1, 0])}
def use(d):
    time.sleep(0.05)
    return [str(v.sum()) for v in d.values()]
def main():
    print("begin")
    x = make(3)
    y = make(3)
    mine = {
        "plain": np.ma.MaskedArray(np.arange(3.0), mask=[1, 0, 1]),
        "objects": np.ma.MaskedArray(np.array([1, "a", None], dtype=object), mask=[0, 1, 1])[:1],
        "times": np.ma.MaskedArray(np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"), mask=[0, 1]).astype(int),
        "texts": np.ma.MaskedArray(np.arange(4), mask=False),
        "matrix": np.ma.MaskedArray(np.arange(4).reshape(2, 2).T, mask=[[0, 1], [1, 0]]),
        "none": np.ma.masked_all(2, dtype=int),
        "given": np.ma.MaskedArray([1, 2], mask=[0, 1], fill_value=7),
    }
    record = np.ma.MaskedArray(np.zeros(2, dtype=[("p", "i4"), ("q", "f8")]), mask=[(0, 1), (1, 0)])
    a = use(x)
    b = use(y)
    c = use(mine)
    d = use({"r": record["p"]})
    mine["plain"][1] = 9
    e = use(mine)
    print(a, b, c, d, e, {k: v._fill_value for k, v in mine.items()}, x["a"]._fill_value, record._fill_value)
main()
""",
    "a name changed and deleted in one task": """
import decimal

def slow(n):
    return [n, n + 1]

v24 = decimal.getcontext().prec
v25 = slow(v24)
v25.append(v24)
del v25
v26 = slow(1)
v26.append(2)
if v24:
    del v26
print(v24)
""",
    "a name that an arm which was not taken would bind, before code that may change anything": """
def last():
    return getattr(globals().get('recorded'), 'last', -1)

def set_global(n):
    globals()['CO' + 'UNT'] = n

match 5 % 3:
    case 0:
        v4 = last()
    case _:
        pass
v9 = last()
print(v9)
if v9 < 0:
    del v9
w = last()
set_global(w)
print(globals()['COUNT'])
set_global(v6)
""",
    "a function that puts others together, pickled by value": """
import cloudpickle, marshal, pickle
def slow(x):
    return [x]
def stage(n):
    a = slow(n)
    b = slow(n + 1)
    return a + b
def work(n):
    c = stage(n)
    d = stage(n + 2)
    return c + d
def main():
    print(stage(1), work(2))
    print(pickle.loads(cloudpickle.dumps(work))(5))
    print(len(marshal.dumps(stage.__code__)), stage.__code__.co_consts)
main()
main()
pickle.loads(cloudpickle.dumps(main))()
""",
    "a literal that a task running on trust shares": """
import time

def rest(it):
    time.sleep(0.2)

def main():
    v4 = rest(iter([4, 5, 6]))

RESULT = main()
v15 = [1, 2]
v16, *v17 = [v15, v15, 3]
RESULT = main()
v15.append(4)
print(v16 is v15, v17[0] is v15, v16)
""",
    "a name deleted that a function still uses": """
def apply(f, x):
    return f(x)

def main():
    v5 = 3
    v1 = apply(abs, 8)
    v4 = lambda x: x + v1
    del v1
    v12 = apply(v4, v5)
RESULT = main()
""",
    "a name bound to what a default argument holds": """
import random

def kept(x, seen=[]):
    seen.append(x)
    return seen

def look():
    pass

def sub(n):
    return n

def main():
    kept(look()).append(sub(look()))
    v1 = sub(look())
    v9 = [each for each in sub([1, 2])]

random.seed(0)
v10 = kept(look())
v11 = sub(sub(0))
RESULT = main()
v13 = v10
v13.append(7)
print(v10, v13 is v10, v13 is kept.__defaults__[0])
""",
}


@pytest.mark.parametrize("seed", ["1", "2", "3"])
@pytest.mark.parametrize("name", DRIVERS)
def test_once_different(name: str, seed: str, tmp_path: Path) -> None:
    assert_same(tmp_path, DRIVERS[name], options=("--jobs", "3"), _INFERFLOW_SHAKE=seed)


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no folder in shared memory here")
def test_files_in_shared_memory_are_files() -> None:
    """They stand below /dev, whose devices are no files that anybody watches."""
    driver = """
import os, time
def write(p, text):
    time.sleep(0.3)
    with open(p, "w") as file:
        file.write(text)
def read(p):
    with open(p) as file:
        return file.read()
def drop(p):
    if os.path.exists(p): os.unlink(p)
write("x.txt", "old")
write(os.path.abspath("x.txt"), "new")
print(read("x.txt"))
write(os.path.join(os.getcwd(), "y.txt"), "y")
drop("y.txt")
print(sorted(n for n in os.listdir(".") if n[0] != "."))
"""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert_same(Path(folder), driver, _INFERFLOW_SHAKE="0.4")


def test_what_the_streams_are_called(tmp_path: Path) -> None:
    driver = (
        "import sys\n"
        "for s in (sys.stdout, sys.stderr):\n"
        "    for t in (s, s.buffer, s.buffer.raw):\n"
        "        print(type(t), type(t).__name__)\n"
    )
    assert_same(tmp_path, driver)
