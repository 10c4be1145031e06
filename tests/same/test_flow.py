"""Control flow, one driver at a time: loops whose turns are run ahead give what ``python driver.py`` gives.

Every loop that can be is run ahead here, however short it is (``_INFERFLOW_TURNS``)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import differences, run_batch
from compare import assert_same
from functions import WORK

OWN = """
def boxed(x):
    return [x, [x]]

def say(x):
    print("saying", x)
    return x

def where():
    return os.getpid()
"""
HEAD = "import os, sys, random\n" + WORK + OWN

DRIVERS: dict[str, str] = {
    "accumulators in order": """
out, total, table, slots, seen = [], 0.1, {}, [None] * 6, set()
for i, x in enumerate([3, 1, 2, 3, 1, 2]):
    y = work(x, 2)
    out.append(y)
    out.extend(boxed(x))
    total += work(x) / 3
    table[x] = work(i)
    slots[i] = work(x, 3)
    seen.add(work(x))
print(out, total, table, slots, seen, i, x, y)
""",
    "in a function": """
def main(xs, k):
    local = 5
    out = []
    for x in xs:
        y = work(x, k)
        z = work(y, local)
        out.append((y, z))
    else:
        print("else", x)
    for x in []:
        y = work(x)
    else:
        print("empty", x, y)
    return out

print(main([1, 2, 3, 4], 3))
""",
    "what a loop of no turns leaves": """
def main():
    x = "old"
    for x in range(0):
        y = work(x)
    print(x)
    try:
        print(y)
    except UnboundLocalError as error:
        print(error)
main()
""",
    "break, continue, else": """
def main():
    for x in range(8):
        y = work(x)
        if x == 1:
            continue
        if y > 4:
            print("break", x, y)
            break
        print(x, y)
    else:
        print("not here")
    for x in range(3):
        y = work(x)
        if y > 4:
            break
    else:
        print("here", x, y)
main()
""",
    "return in the middle": """
def main():
    for x in range(9):
        y = work(x)
        if y == 3:
            return y
    return -1
print(main())
""",
    "an exception in the middle": """
def maybe(x):
    for i in range(3):
        pass
    return 10 // (3 - x)

out = []
for x in range(6):
    y = maybe(x)
    print("made", y)
    out.append(y)
print("never")
""",
    "an exception that is caught around the loop": """
def maybe(x):
    for i in range(3):
        pass
    return 10 // (3 - x)

out = []
try:
    for x in range(6):
        y = maybe(x)
        print("made", y)
        out.append(y)
except ZeroDivisionError as error:
    print(type(error), error, error.__traceback__.tb_next is not None, x, y, out)
for x in range(4, 7):
    y = maybe(x)
    print(y)
""",
    "retries by hand": """
tries = []
def flaky(x, n):
    for i in range(3):
        pass
    if n < x:
        raise ValueError(f"{x} at {n}")
    return x

for x in range(3):
    n = 0
    while True:
        try:
            y = flaky(x, n)
        except ValueError as error:
            tries.append(str(error))
            n += 1
        else:
            break
    print(x, y, n, tries)
""",
    "prints in calls and around them": """
for x in range(5):
    print("before", x)
    y = say(x)
    print("between")
    z = say(y + 1)
    sys.stderr.write(f"{z}\\n")
print([say(x) for x in range(4)])
""",
    "comprehensions": """
xs = [1, 2, 3]
k = 2
print([work(x, k) for x in xs])
print({x: work(x) for x in xs if x != 2})
print({work(x) for x in xs})
print([work(a, b) for a in xs for b in range(a)])
print([(work(x), boxed(x)) for x in xs])
print([work(work(x)) for x in xs if work(x) > 1])
print(sum(work(x) for x in xs), list(map(work, xs)))
def main(xs):
    k = 3
    return [work(x, k) for x in xs], [[work(x, y) for y in xs] for x in xs]
print(main(xs))
class Scoped:
    k = 4
    made = [work(x) for x in range(3)]
print(Scoped.made)
print([y := work(x) for x in xs], y)
""",
    "kinds of items": """
from itertools import product
d = {"a": 1, "b": 2}
for k in d: print(k, work(1))
for k, v in d.items(): print(k, work(v))
for v in d.values(): print(work(v))
for i, (a, b) in enumerate(zip([1, 2], (3, 4)), 5): print(i, work(a), work(b))
for c in "abc": print(c, work(c))
for a, b in product([1, 2], [3, 4]): print(work(a), work(b))
for x in (y for y in [1, 2]): print(work(x))
for x in {5}: print(work(x))
for [a, *rest] in [[1, 2, 3]]: print(work(a), rest)
for x in reversed([1, 2]): print(work(x))
for n in iter([3, 4]): print(work(n))
class Lazy:
    def __iter__(self):
        for i in range(2):
            print("lazy", i)
            yield i
for x in Lazy(): print(work(x))
slots = [0, 0]
for slots[0] in range(2): print(work(slots[0]))
""",
    "the list changes while it is walked": """
xs = [1, 2, 3]
for x in xs:
    y = work(x)
    print(x, y)
    if x < 3:
        xs.append(x + 10)
        xs[2] = 7
print(xs)
""",
    "the generator of the body is shared": """
it = iter([1, 2, 3, 4, 5])
for x in it:
    y = work(x)
    print(x, y, next(it, None))
""",
    "items that share what is changed": """
def grow(row):
    for i in range(2):
        row.append(len(row))
    return row

def total(row):
    t = 0
    for r in row:
        t += r
    return t

shared = [1]
rows = [shared, [2], shared]
for row in rows:
    before = total(row)
    grow(row)
    after = total(row)
    print(before, after)
print(rows, rows[0] is rows[2])
""",
    "results that are part of what was there": """
CACHE = [1, 2]
def cached(x):
    for i in range(2):
        pass
    return CACHE
def same(x):
    for i in range(2):
        pass
    return x
items = [[1], [2], [1]]
kept = []
for item in items:
    a = cached(item)
    b = same(item)
    kept.append((a, b))
print([a is CACHE for a, b in kept], [b is item for (a, b), item in zip(kept, items)])
kept[0][1].append(9)
print(items, kept)
""",
    "results of one turn that share": """
def pair(x):
    inner = [x]
    for i in range(2):
        pass
    return inner, [inner]
kept = []
for x in range(4):
    a, b = pair(x)
    kept.append((a, b))
    a.append("a")
print(kept, all(a is b[0] for a, b in kept))
""",
    "globals and closures": """
N = 1
def uses(x):
    for i in range(2):
        pass
    return x * N
def reads_item():
    for i in range(2):
        pass
    return x + 100
for x in range(3):
    y = uses(x)
    z = reads_item()
    N += 1
    print(y, z)
def main():
    k = 2
    def inner(x):
        for i in range(2):
            pass
        return x * k
    fs = []
    for x in range(3):
        y = inner(x)
        fs.append(lambda: x)
        print(y)
    k = 5
    for x in range(3):
        print(inner(x))
    print([f() for f in fs])
main()
""",
    "random numbers in order": """
random.seed(1)
def draw(x):
    for i in range(2):
        pass
    return random.random() + x
for x in range(3):
    a = draw(x)
    b = work(x)
    print(a, b, random.random())
print([draw(x) for x in range(3)])
""",
    "files that the loop reads and writes": """
def load(p):
    text = ""
    for line in open(p):
        text += line
    return text
for i in range(3):
    with open(f"{i}.txt", "w") as f:
        f.write("one " * (i + 1))
for p in ["0.txt", "1.txt", "2.txt"]:
    t = load(p)
    print(t)
for p in ["0.txt", "0.txt", "0.txt"]:
    t = load(p)
    open(p, "a").write("more")
    print(t)
names = ["0.txt", "1.txt", "2.txt"]
for i, p in enumerate(names):
    t = load(p)
    if i == 0:
        os.replace("2.txt", "1.txt"); open("2.txt", "w").write("new")
    print(t)
""",
    "sys.exit in a turn": """
def leave(x):
    for i in range(2):
        pass
    if x == 2:
        print("leaving")
        sys.exit(4)
    return x
for x in range(5):
    y = leave(x)
    print(y)
""",
    "nested loops": """
def main():
    out = []
    for a in range(3):
        row = []
        u = work(a, 10)
        for b in range(4):
            v = work(a + b, u)
            if v == 20:
                break
            row.append(v)
        out.append((u, row))
    return out
print(main())
""",
    "recursion of the driver's function": """
def main(depth, xs):
    out = []
    for x in xs:
        y = work(x, depth)
        out.append(y)
        if depth and x == 1:
            out.append(main(depth - 1, xs))
    return out
if __name__ == "__main__":
    print(main(2, [0, 1, 2]))
""",
    "in a thread": """
import threading
def main():
    out = []
    for x in range(4):
        y = work(x)
        out.append(y)
    print(out)
t = threading.Thread(target=main)
t.start(); t.join()
for x in range(3):
    print(work(x))
""",
    "locals and del": """
def main():
    for x in range(3):
        y = work(x)
        print(sorted(locals()))
        del y
    print("y" in locals(), x)
main()
for q in range(2):
    r = work(q)
    del q
print("q" in globals(), r)
""",
    "branches": """
def main(n):
    if n > 2:
        a = work(1)
    elif n == 2:
        b = work(2)
    else:
        return "none"
    match n:
        case 2 | 3 as m if work(m) == m:
            c = work(m, 2)
        case [x, y]:
            c = work(x)
        case _:
            c = say("other")
    d = work(3) if n > 2 else say(4)
    e = work(0) or say(5)
    assert work(n), "never"
    try:
        print(a)
    except UnboundLocalError as error:
        print(error)
    return c, d, e
for n in range(1, 5):
    print(main(n))
if work(0):
    pass
elif work(1):
    g = say("elif")
print(g)
""",
    "try and with": """
import contextlib, warnings, tempfile
@contextlib.contextmanager
def context(name):
    print("in", name)
    try:
        yield work(1)
    finally:
        print("out", name)
def fails(x):
    raise KeyError(x)
state = []
try:
    state.append(1)
    a = work(1)
    state.append(fails(2))
except (ValueError, KeyError) as error:
    print(repr(error), state, a)
else:
    print("never")
finally:
    print("finally", work(2))
with context("a") as a, context("b") as b:
    c = work(a + b)
    for x in range(3):
        print(work(x))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for x in range(3):
        y = work(x)
with tempfile.TemporaryDirectory() as folder:
    for x in range(3):
        open(os.path.join(folder, str(x)), "w").write(str(work(x)))
    print(sorted(os.listdir(folder)))
print(os.path.exists(folder), a, b, c, y)
try:
    try:
        fails(1)
    except KeyError as error:
        raise ValueError("again") from error
except ValueError as error:
    print(repr(error.__cause__))
""",
    "while": """
n, error = 0, 10.0
while error > 1:
    error = work(error, 0.5)
    extra = work(n)
    n += 1
    if n > 7:
        break
else:
    print("converged")
print(n, error, extra)
""",
    "async": """
import asyncio
async def part(x):
    await asyncio.sleep(0)
    return work(x)
async def main():
    first = await part(1)
    return first, await asyncio.gather(*[part(x) for x in range(3)])
async def loop():
    out = []
    for x in range(3):
        out.append(work(x))
        out.append(await part(x))
    return out
print(asyncio.run(main()), asyncio.run(loop()))
""",
    "what a helper must not do": """
def acts(x):
    for i in range(2):
        pass
    open(f"made{x}.txt", "w").write("x")
    return x
def odd(x):
    import string
    print("importing")
    return len(string.digits) + x
def unpicklable(x):
    for i in range(2):
        pass
    return lambda: x
def warns(x):
    import warnings
    warnings.warn("careful")
    return x
for x in range(3):
    print(acts(x), odd(x), unpicklable(x)(), warns(x))
""",
    "what a name held before the loop binds it": """
class Loud:
    def __init__(self, n): self.n = n
    def __del__(self): print("dead", self.n)
y = Loud(0)
x = open("log.txt", "w")
x.write("once, when the name is bound anew")
for x in [1, 2, 3, 4]:
    y = work(x)
    z = boxed(y)
    print(y, z)
print(open("log.txt").read())
""",
    "things that die": """
class Loud:
    def __init__(self, n): self.n = n
    def __del__(self): print("dead", self.n)
def use(x):
    for i in range(2):
        pass
    return x.n
for x in [Loud(1), Loud(2), Loud(3)]:
    y = use(x)
    print(y)
print("after")
del x
""",
}


BY_COMMAND = ["in a thread", "try and with"]
"""Their final values are thread ids and names of temporary folders."""
PARTS = 3
SETS = [[name for name in DRIVERS if name not in BY_COMMAND][part::PARTS] for part in range(PARTS)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", range(PARTS))
def test_same(tmp_path: Path, part: int) -> None:
    drivers = {name: {"driver.py": HEAD + DRIVERS[name]} for name in SETS[part]}
    assert differences(run_batch(tmp_path, drivers, jobs=3, turns=True)) == {}


@pytest.mark.parametrize("name", BY_COMMAND)
def test_the_same_by_the_command(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, HEAD + DRIVERS[name], options=("--jobs", "3"), _INFERFLOW_TURNS="always")
