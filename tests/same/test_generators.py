"""Generator expressions that are used up where they stand (their items run ahead), or are not, whatever uses them; and
names that a literal is bound to before a statement that may bind them anew. Natively, and with several processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import differences, run_batch

DRIVERS: dict[str, str] = {
    "every consumer": """\
import time
from collections import Counter, deque


def f(x):
    print("f", x)
    time.sleep(0.001)
    return x * 2


def boom(x):
    time.sleep(0.001)
    if x == 3:
        raise ValueError(f"no {x}")
    return x


def stop(x):
    if x == 2:
        raise StopIteration(x)
    return x


def g(x, y):
    return x + y


def big(x):
    print("big?", x)
    return x > 2


class Vec:
    def __init__(self, v):
        self.v = v

    def __add__(self, other):
        print("add", self.v, getattr(other, "v", other))
        return Vec(self.v + other.v)

    __radd__ = None


def vec(x):
    print("vec", x)
    return Vec(x)


def reads(x, out):
    return len(out) + x


def start():
    print("start")
    return 10


def main():
    xs = list(range(6))
    print(sum(f(x) for x in xs))
    print(any(big(x) for x in xs))
    print(all(big(x) for x in xs))
    print(max(f(x) for x in xs), min(f(x) for x in xs))
    print(",".join(str(f(x)) for x in xs))
    print(tuple(f(x) for x in xs), set(f(x) for x in xs), frozenset(f(x) for x in xs))
    print(dict((x, f(x)) for x in xs))
    print(Counter(f(x) % 3 for x in xs), deque((f(x) for x in xs), maxlen=2))
    out = []
    out.extend(reads(x, out) for x in xs)
    print(out)
    d = {}
    d.update((x, reads(x, d)) for x in xs)
    print(d)
    print(*(f(x) for x in xs), sep="|")
    a, b, *c = (f(x) for x in xs)
    print(a, b, c)
    print([*(f(x) for x in xs), 1])
    print(sum((f(x) for x in xs), start()))
    print(sum((vec(x) for x in xs), Vec(100)).v)
    print(sum(sum(g(x, y) for y in xs) for x in xs))
    print(list(zip((f(x) for x in xs), (f(y + 10) for y in xs))))
    print(max((f(x) for x in xs), key=lambda v: -f(v)))
    print(sum(y for x in xs if (y := f(x)) > 2), y)
    t = []
    for k in range(3):
        t.append(sum(g(x, k) for x in xs))
        t.append(any(g(x, k) > 3 for x in xs))
    print(t)
    for bad in (boom, stop):
        try:
            print(sum(bad(x) for x in xs))
        except Exception as error:
            print(type(error), error, type(error.__cause__))
    print(sorted((f(x) for x in xs), reverse=True))
    print(next(f(x) for x in xs))
    print(sum(g(x, y) for x in xs for y in (f(z) for z in xs)))
    print(sum(f(x) if big(x) else x for x in xs))
    print([sum(g(x, y) for y in xs) for x in xs])
    print({x: max(g(x, y) for y in xs) for x in xs})
    print(sum((lambda q: q + f(x))(x) for x in xs))
    ys = (f(x) for x in xs)
    print(next(ys), "later")
    print(list(ys))


if __name__ == "__main__":
    main()
""",
    "what is called sum keeps the generator": """\
import builtins
import time


def f(x):
    time.sleep(0.002)
    print("f", x)
    return x * 2


def keep(gen):
    return gen


def main():
    xs = list(range(6))
    real = builtins.sum
    builtins.sum = keep
    lazy = sum(f(x) for x in xs)
    print("kept")
    builtins.sum = real
    first = next(lazy)
    print(first)
    rest = list(lazy)
    print(rest)
    any = keep
    again = any(f(x) for x in xs)
    print("any", next(again))
    total = sum(f(x) for x in xs)
    print(total, list(again))


if __name__ == "__main__":
    main()
""",
    "what stands beside a star is kept": """\
import time
from itertools import starmap as map
from itertools import tee as zip

STATE = [0]


def f(x):
    time.sleep(0.02)
    return x * 2 + STATE[0]


def main():
    xs = list(range(4))
    ys = [1, 2]
    kept = [*ys, (f(x) for x in xs)]
    pair = (*ys, (f(x) for x in xs), *ys)
    one, two = zip(f(x) for x in xs)
    STATE[0] = 100
    print(list(kept[-1]), list(pair[2]), list(one), list(two))
    for k in range(3):
        kept = [*ys, (f(x) for x in xs)]
        one, two = zip(f(x) for x in xs)
        STATE[0] += 1
        print(sum(kept[-1]), list(one), list(two), k)
        print(list(map(f, [(1,), (2,)])))


if __name__ == "__main__":
    main()
""",
    "what is gone through grows meanwhile": """\
import time


def nap(x):
    time.sleep(0.02)
    return x


def count(xs):
    time.sleep(0.02)
    return len(xs)


def touch(xs):
    xs.append(1)
    return len(xs)


if nap(1):
    a, b, c, d, e = [1], [2], [3], [4], [5]
    todo = [[0]]
    for n, x in enumerate(todo):
        x.append(1)
        if n == 0:
            todo.append(a)
    print(count(a), nap(1))
    todo = [[0]]
    for x, n in zip(iter(todo), range(9)):
        x.append(1)
        if n == 0:
            todo.append(b)
    print(count(b), nap(2))
    todo = [[0]]
    for n in map(touch, todo):
        if len(todo) < 2:
            todo.append(c)
    print(count(c), nap(3))
    todo = []
    it = iter(todo)
    todo.append(d)
    next(it).append(9)
    print(count(d), nap(4))
    todo = [[0]]
    print([x.append(1) or (todo.append(e) if n == 0 else n) for n, x in enumerate(todo)])
    print(count(e), nap(5))
""",
    "what is done between items": """\
import time

state = [0]


def f(x, k=1):
    time.sleep(0.002)
    return x * k + state[0]


def bump(v):
    state[0] += v
    return v


class Acc:
    def __init__(self):
        self.items = []

    def extend(self, gen):
        self.gen = gen

    def update(self, gen):
        for g in gen:
            state[0] += 1
            self.items.append(g)


k = 1
xs = list(range(6))
print(sum((f(x, k) for x in xs), (k := 3)))
print(list(zip((f(x, k) for x in xs), [bump(1), bump(2), 3, 4, 5, 6])))
print(list(zip((f(x, k) for x in xs), map(bump, xs))))
acc = Acc()
acc.extend(f(x, k) for x in xs)
print(next(acc.gen))
acc.update(f(x, k) for x in xs)
print(acc.items, state)
print(list(acc.gen))
print(sum(bump(f(x)) for x in xs), state)
print(max((f(x) for x in xs), key=lambda v: bump(1)), state)
print(sorted((f(x) for x in xs), key=lambda v: bump(1)), state)
it = iter(range(20))
print(sum(f(x) for x in it if x < 4), list(it))
it = iter(range(20))
print(any(f(x) > 30 for x in it), list(it))
print([f(x) for x, y in zip(xs, it)], list(it))
for n in range(3):
    print(sum(f(x, n) for x in xs), max(f(x, n) for x in range(n, 5)))
""",
    "a literal, and perhaps another value": """\
import sys
import time


def f(x):
    time.sleep(0.01)
    return x + 1


def c(x):
    time.sleep(0.01)
    return x > 3


def use(r, tag):
    time.sleep(0.02)
    return (tag, r)


def main():
    r = 0
    if c(1):
        r = f(1)
    a = use(r, "a")
    s = 0
    for x in range(3):
        if c(x + 2):
            s = f(x)
    b = use(s, "b")
    t = None
    while c(5):
        t = f(5)
        break
    d = use(t, "d")
    u = "none"
    for x in []:
        u = f(x)
    e = use(u, "e")
    v = 1.5
    try:
        v = f(int("x"))
    except ValueError:
        pass
    g = use(v, "g")
    w = 7
    for x in range(2):
        w = w * 2
        h = use(w, "h")
    i = use(w, "i")
    y = 3
    if c(9):
        y = f(y)
    z = use(y, "z")
    j = use(r, s)
    print(a, b, d, e, g, h, i, z, j)


if __name__ == "__main__":
    main()
""",
    "the same at the level of the module": """\
import time


def f(x):
    time.sleep(0.01)
    return x + 1


def c(x):
    time.sleep(0.01)
    return x > 3


def use(r, tag):
    time.sleep(0.02)
    return (tag, r)


r = 0
if c(1):
    r = f(1)
a = use(r, "a")
if c(2):
    r = f(3)
a2 = use(r, "a2")
names = ("a", "b")
if c(4):
    names = names + ("c",)
b = use(names, "b")
best = None
for x in range(4):
    score = f(x)
    if best is None or score > best:
        best = score
d = use(best, "d")
e = use(best, r)
print(a, a2, b, d, e)
""",
    "options": """\
import argparse, json, time
from pathlib import Path
def work(x, more=None):
    time.sleep(0.01)
    return [x, more]
def parse(given=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--out-dir", type=Path, default=Path("out"))
    parser.add_argument("-n", "--names", default="a,b")
    parser.add_argument("files", nargs="*", default=["x", "y"])
    group = parser.add_argument_group("more")
    group.add_argument("--fast", action="store_true")
    group.add_argument("--list", action="append", default=[])
    return parser.parse_args(given)
def main():
    args = parse()
    a = work(1)
    args.out_dir.mkdir(exist_ok=True)
    b = work(args.names.split(","))
    c = [work(f.upper()) for f in args.files]
    d = work(2) if args.fast else work(3)
    args.list.append(4)
    e = work(args.list, args.files)
    (args.out_dir / "c.json").write_text(json.dumps({"names": ["c", "d"], "fast": 1}))
    vars(args).update(json.loads((args.out_dir / "c.json").read_text()))
    f = work(args.names.pop(), args.fast)
    other = parse(["--names", "p,q", "-n", "r", "z", "--list", "1", "--list", "2"])
    for key, value in vars(args).items():
        if key != "files":
            setattr(other, key, value)
    other.names.append(5)
    g = work(other.names, args.names)
    h = work(args.names), work(other.files), work(other.list)
    print(a, b, c, d, e, f, g, h, e[0] is args.list, args, other)
main()
""",
}

SOMELIB = """\
import collections, csv, io, itertools
class Custom:
    def __init__(self): self.n = 0
    def __iter__(self): return self
    def __next__(self):
        self.n += 1
        if self.n > 40: raise StopIteration
        return self.n
def load(kind):
    return {
        'iter': lambda: iter(list(range(30))),
        'generator': lambda: (v for v in range(30)),
        'zip': lambda: zip(range(30), range(30)),
        'count': lambda: itertools.count(),
        'csv': lambda: csv.reader(['%d,%d' % (i, i) for i in range(30)]),
        'custom': lambda: Custom(),
        'file': lambda: io.StringIO('\\n'.join(map(str, range(30)))),
        'deque': lambda: collections.deque(range(30)),
        'list': lambda: list(range(30)),
    }[kind]()
"""
KINDS = ("iter", "generator", "zip", "count", "csv", "custom", "file", "deque", "list")
UNKNOWN = """
    a = somelib.load({kind!r})
    nap()
    p, q = first(a), first(a)
    c = [pair(x, y) for x, y in zip(a, range(3))]
    d = [pair(x, 1) for _, x in zip(range(2), a)]
    e = any(pair(x, 0)[1] == "0" for x in a)
    r = rest(a)
    print({kind!r}, p, q, c, d, e, r)
"""


def test_what_may_be_an_iterator(tmp_path: Path) -> None:
    """Nothing is known of what the library gives: that it is used up is assumed, and found out."""
    text = """\
import importlib, time
somelib = importlib.import_module("somelib")
def nap(): time.sleep(0.02)
def first(a):
    time.sleep(0.01)
    for x in a: return x
def pair(x, y):
    time.sleep(0.001)
    return (str(x), str(y))
def rest(a): return [str(x) for x, _ in zip(a, range(50))][:6]
def main():
""" + "".join(UNKNOWN.format(kind=kind) for kind in KINDS)
    drivers = {"unknown": {"driver.py": f"{text}main()\n", "somelib.py": SOMELIB}}
    assert differences(run_batch(tmp_path, drivers, jobs=(2, 4), turns=True)) == {}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
def test_the_same_as_natively(tmp_path: Path) -> None:
    drivers = {name: {"driver.py": text} for name, text in DRIVERS.items()}
    assert differences(run_batch(tmp_path, drivers, jobs=(2, 4), turns=True)) == {}
