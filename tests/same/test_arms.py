"""Branches, ``try``, ``with``, bodies of loops: calls that run beside each other give what ``python driver.py`` gives.

Whatever can run beside something does here, however short it is (``_INFERFLOW_TURNS``)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from batch import differences, run_batch
from compare import assert_same, environment, write_files
from functions import WORK

OWN = """
def boxed(x):
    for i in range(20): pass
    return [x, [x]]

def say(x):
    for i in range(20): pass
    print("saying", x)
    return x

def fails(x):
    for i in range(20): pass
    raise ValueError(x)

def merge(*parts):
    for i in range(20): pass
    return list(parts)

def grow(x):
    x.append(len(x))

def length(x):
    for i in range(20): pass
    return len(x)
"""
HEAD = "import contextlib, os, sys, threading, time, warnings, random, sqlite3, tempfile\n" + WORK + OWN

DRIVERS: dict[str, str] = {
    "an arm": """
def main(n):
    if n > 5:
        a = work(n)
        b = work(n, 2)
        c = merge(a, b)
        d = say(c)
        e = say(a)
    elif n > 3:
        a = say(n)
        b = say(n + 1)
        c = d = e = merge(a, b)
    else:
        d = say(1)
    print(a, b, c, d, e)
for n in (7, 4):
    main(n)
main(1)
""",
    "names that one arm binds": """
def main(flag):
    if flag:
        a = say(1)
        b = say(2)
    else:
        c = say(3)
        d = say(4)
    try:
        print(a, b)
    except UnboundLocalError as error:
        print(type(error))
    print(c, d)
main(False)
main(True)
""",
    "a name that is not bound when the arm begins": """
b = "global"
def main(flag):
    if flag:
        a = work(1)
        c = work(b)
    else:
        b = 2
    print(a, c)
main(True)
""",
    "a global of the same name as a local": """
def main(items):
    for x in items:
        if x:
            a = work(2)
            b = work(y)
        y = work(x)
        z = work(x + 1)
    print(a, b, y)
y = 100
main([0, 1])
main([1, 0])
""",
    "the second fails": """
try:
    a = say(1)
    b = fails(2)
    c = say(3)
except ValueError as error:
    print("caught", error, a)
else:
    print("not here")
finally:
    d = say(4)
    e = say(5)
print(d, e)
b
""",
    "the first fails, the others never happened": """
def main():
    with contextlib.suppress(ValueError):
        a = fails(1)
        b = say(2)
        c = say(3)
    try:
        print(b)
    except UnboundLocalError:
        print("no b")
main()
""",
    "not caught": """
def main(x):
    if x:
        a = say(1)
        b = say(2)
        c = fails(3)
        d = say(4)
    return d
main(1)
""",
    "a re-raise and a retry by hand": """
tries = 0
while True:
    tries += 1
    try:
        a = work(tries)
        b = say(tries) if tries < 3 else say(-1)
        c = fails(tries) if tries < 3 else say("done")
    except ValueError as error:
        print("again", error)
        if tries > 5:
            raise
    else:
        break
print(a, b, c)
""",
    "changes between": """
if len(sys.argv):
    a = boxed(1)
    b = boxed(2)
    grow(a)
    m = length(a)
    n = length(b)
    grow(a); grow(b)
    k = length(a)
    l = length(b)
print(a, b, m, n, k, l)
""",
    "one object under two names": """
if True:
    a = boxed(1)
    b = a
    c = boxed(2)
    b.append(c)
    x = length(a)
    y = length(c)
    c.append(a)
    z = merge(a, c)
print(len(a), b is a, x, y, a[2] is c, z[0] is a)
""",
    "calls inside expressions": """
def main(out):
    if out is not None:
        out.append(say(1) + say(2))
        out.append(merge(say(3), merge(say(4), say(5))))
        out += [say(6), say(7)]
        print(say(8), say(9), f"{say(10)} {say(11)}")
        out.append(say(12) if out else say(13))
        return merge(say(14), say(15))
print(main([]))
""",
    "a timer": """
@contextlib.contextmanager
def timer(name):
    start = time.time()
    yield name
    print(name, "took", time.time() - start < 100)
with timer("all") as t, timer("inner"):
    a = say(t)
    b = say(2)
print(a, b)
""",
    "warnings caught": """
def warns(x):
    for i in range(20): pass
    warnings.warn(f"careful {x}")
    return x
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    a = warns(1)
    b = warns(2)
    c = say(len(caught))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    a = warns(3)
    b = warns(4)
print([str(w.message) for w in caught], a, b, c)
a = warns(5)
""",
    "files and folders": """
def put(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path
def get(path):
    with open(path) as f:
        return f.read()
with tempfile.TemporaryDirectory() as folder:
    a = put(os.path.join(folder, "a"), "one")
    b = put(os.path.join(folder, "b"), "two")
    c = get(a)
    d = get(b)
    e = put("out.txt", c + d)
    f = get("out.txt")
    g = put("out.txt", "three")
    h = get("out.txt")
    i = get("out.txt")
with open("log", "w") as log:
    log.write(get("out.txt") + say("x"))
    log.write(get("out.txt"))
    j = get("log")
del folder, a, b
print(c, d, f, h, i, j)
""",
    "locks, threads, pools": """
from concurrent.futures import ThreadPoolExecutor
lock = threading.Lock()
def locked(x):
    with lock:
        for i in range(20): pass
        return x
with lock:
    a = work(1)
    b = work(2)
if a:
    c = locked(3)
    d = locked(4)
with ThreadPoolExecutor(2) as pool:
    e = pool.submit(work, 5)
    f = list(pool.map(work, [6, 7]))
    g = work(8)
    h = work(9)
print(a, b, c, d, e.result(), f, g, h)
del pool, e
""",
    "a database": """
def rows(db, n):
    for i in range(20): pass
    return db.execute("select ?", (n,)).fetchall()
db = sqlite3.connect(":memory:")
with db:
    db.execute("create table t (x)")
    a = work(1)
    b = work(2)
    db.execute("insert into t values (?)", (a + b,))
    c = rows(db, 3)
    d = rows(db, 4)
print(db.execute("select * from t").fetchall(), c, d)
""",
    "random numbers": """
def draw(n):
    return [random.random() for i in range(n)]
random.seed(3)
if True:
    a = draw(2)
    b = work(2)
    c = draw(2)
    d = work(3)
    random.seed(1)
    e = draw(1)
print(a, b, c, d, e)
""",
    "globals set by functions": """
state = {"n": 0}
count = 0
def bump(k):
    global count
    for i in range(20): pass
    count += k
    state["n"] += 1
    return count
def look(k):
    for i in range(20): pass
    return count * k + state["n"]
if True:
    a = work(1)
    b = bump(2)
    c = look(10)
    d = look(100)
    e = bump(3)
    f = look(10)
    g = work(7)
def main():
    global h
    if a:
        h = work(5)
        i = work(6)
    print(h, i)
main()
print(a, b, c, d, e, f, g, h)
""",
    "names of the module that functions bind": """
N = 2
def bump(x):
    global N
    for i in range(20): pass
    N = (N + x) % 7
if N:
    bump(1)
print(N)
for x in [1, 2]:
    bump(x)
M = N + 1
a = work(N)
b = work(M)
bump(3)
c = work(N)
d = [work(N, M) for v in range(2)]
print(a, b, c, d, N, M)
def rebind():
    global K, M
    K, M = 5, 6
K = 1
e = work(K)
rebind()
f = work(K, M)
print(e, f, K)
""",
    "what is repeated before a call inside a call": """
def main(n):
    c = work(0)
    try:
        pass
    finally:
        c = n
        l = boxed(say(length([])))
        l[:0] = [work(work(n if 5 % 3 else c, (c + c) % 31 % 5))]
    for x in [1, 2]:
        c = 3
        l.append(work(work(x, c)))
    return l
print(main(4))
""",
    "functions that are drivers": """
def prepare(p):
    "Get ready."
    a = say(p)
    b = boxed(p + 1)
    return a, b
def train(a, b, k=2):
    m = work(a, k)
    n = length(b)
    grow(b)
    if m > n:
        q = say(m); r = say(n)
    else:
        q = r = work(1)
    for x in b[:2]:
        s = work(k, m)
        t = say(k)
    return merge(merge(m, n), merge(q, r), s, t)
def both(x):
    u = train(*prepare(x))
    v = train(*prepare(x + 1), k=3)
    return u, v
def main():
    a, b = prepare(1)
    r = train(a, b)
    s = train(5, b, 7)
    print(a, b, r, s, both(3))
main()
""",
    "functions that are drivers, called otherwise": """
state = [1]
def part(l, x):
    a = length(l)
    state.append(x)
    b = length(l)
    c = say(a + b)
    return c
def other(call):
    return [call(state, 3), call([1, 2], 4)]
def calls_itself(n):
    a = work(n)
    b = calls_itself(n - 1) if n else 0
    c = work(n, 3)
    return a + b + c
def with_callback(n, f):
    a = say(n)
    f(n)
    b = say(n + 1)
    return merge(a, b)
def main():
    r = part([5], 1)
    t = other(part)
    u = list(map(part, [[1], state], [7, 8]))
    v = [part(l, 9) for l in ([1], state)]
    w = calls_itself(3)
    x = with_callback(1, lambda n: with_callback(n + 10, print) if n < 5 else None)
    th = threading.Thread(target=part, args=(state, 5))
    th.start(); th.join()
    print(r, t, u, v, w, x, state)
main()
""",
    "functions that are drivers, with what else they may do": """
N = 1
conf = {"k": 2}
def sets(x):
    global N
    a = work(x, N)
    N = say(x + 1)
    conf["k"] = work(N)
    b = work(x, conf["k"])
    c = work(a, N)
    return b + c
def closes(x):
    a = work(x)
    f = lambda y: work(y, a)
    b = f(2)
    a = work(5)
    return f(3) + b
def makes(x):
    def inner(y):
        nonlocal x
        x += y
        return work(x)
    a = inner(1)
    b = inner(2)
    c = work(x)
    return a, b, c
def fails_inside(x):
    a = say(x)
    b = fails(a)
    c = say(b)
    return c
def handler(x): return say(x)
def calls_handler(x):
    a = handler(x)
    b = handler(x + 1)
    return a + b
def main():
    print(sets(1), sets(2), closes(3), makes(4))
    try:
        fails_inside(1)
    except ValueError as e:
        print(e)
    global handler
    p = calls_handler(1)
    handler = lambda x: say(conf["k"] + x)
    q = calls_handler(2)
    conf["k"] = 9
    r = calls_handler(3)
    print(p, q, r, N)
    fails_inside(2)
main()
""",
    "functions that are drivers, in threads and generators": """
def slowly(x):
    time.sleep(.01)
    return x + 1
def both(x):
    a = slowly(x)
    b = slowly(a)
    c = slowly(x)
    out = []
    for i in range(3):
        out.append(slowly(i))
    return a, b, c, out
def deep(n):
    return both(n) if n == 0 else deep(n - 1)
def gen():
    for i in range(2):
        yield both(i)
def main():
    got = []
    r = both(0)
    ts = [threading.Thread(target=lambda i=i: got.append(both(i))) for i in range(3)]
    [t.start() for t in ts]
    s = both(5)
    [t.join() for t in ts]
    u = both(6)
    print(r, s, sorted(got), u, deep(3), list(gen()), [both(i) for i in range(2)], sum(both(k)[0] for k in (1, 2)))
    try:
        both("x")
    except TypeError:
        import traceback; traceback.print_exc()
    both(None)
main()
""",
    "functions made in an arm": """
def main(k):
    if k:
        x = work(k)
        f = lambda v: work(v, x)
        y = f(2)
        z = f(3)
        x = work(10)
        u = f(4)
        def g(v):
            return work(v, y)
        v = g(1)
        w = g(2)
    print(x, y, z, u, v, w)
main(2)
""",
    "captured names": """
def main():
    n = 1
    def read(): return work(n)
    def write(v):
        nonlocal n
        n = v
        return v
    if n:
        a = read()
        b = write(5)
        c = read()
        n = work(7)
        d = read()
        e = work(n)
    print(a, b, c, d, e, n)
main()
""",
    "turns of while": """
x, turns = 0.5, []
while x < 20:
    a = work(x, 2)
    b = say(x)
    if b > 5:
        turns.append(b)
        continue_ = work(b)
        x += 3
        continue
    if b > 17:
        break
    x = a + b
else:
    c = say("else")
    d = say("more")
print(x, turns, a, b, c, d)
""",
    "turns of for": """
state, out = 1, []
for epoch in range(4):
    a = work(state)
    b = say(state + epoch)
    if epoch == 2:
        c = work(a)
        d = say(b)
        continue
    out.append(merge(a, b))
    state = a + b
else:
    e = say("e")
    f = say("f")
for x in iter(range(3)):
    a = say(x)
    b = say(x + 1)
    if a == 1:
        break
print(state, out, a, b, c, d, x)
""",
    "an item that is not there": """
def gen():
    print("begin")
    yield 1
    print("more")
    yield 2
for x in gen():
    a = say(x)
    b = say(x * 2)
print(a, b)
""",
    "match": """
def main(command):
    match command:
        case ["go", n] if n > 1:
            a = say(n)
            b = say(n + 1)
        case {"k": k}:
            a = work(k)
            b = work(k, 2)
        case _:
            a = b = say("other")
    print(a, b)
main(["go", 2]); main(["go", 1]); main({"k": 4})
"""
    if sys.version_info >= (3, 10)
    else "",
    "again and again, and in itself": """
def main(depth):
    if depth:
        a = work(depth)
        b = main(depth - 1)
        c = work(depth, 2)
        d = work(b)
        return merge(a, b, c, d)
    return 0
print(main(3))
def visit(n, call):
    if n:
        a = say(n)
        call(n - 1, call)
        b = say(-n)
    return 0
visit(3, visit)
""",
    "leaving early": """
def main(n):
    for i in range(3):
        try:
            if i == n:
                a = say(i)
                b = say(i + 10)
                return merge(a, b)
            c = say(-i)
            d = say(-i - 10)
        finally:
            e = say("fin")
            f = say(i)
    return "end"
print(main(1), main(9))
sys.exit(work(3))
""",
    "exits inside": """
if True:
    a = say(1)
    b = sys.exit(say(7))
    c = say(2)
""",
    "what cannot travel": """
def opened(path):
    for i in range(20): pass
    return open(path)
def lazy(n):
    for i in range(20): yield n
class Odd:
    def __init__(self, x): self.x = x
    def __reduce__(self): raise TypeError("stay")
def odd(x):
    for i in range(20): pass
    return Odd(x)
if True:
    a = work(1)
    f = opened(os.devnull)
    g = lazy(2)
    o = odd(3)
    k = odd(4)
print(a, f.read(), list(g), o.x, k.x)
""",
    "assertions and deletions": """
if True:
    a = say(1)
    assert a == 1
    b = say(2)
    del a
    c = say(3)
    d = say(4)
    assert d == 5, say("no")
""",
    "deep inside": """
def main(xs):
    out = []
    for x in xs:
        with contextlib.suppress(ZeroDivisionError):
            if x % 2:
                try:
                    a = work(x)
                    b = work(x, 3)
                    out.append(merge(a, b, 10 // (x - 3)))
                finally:
                    c = say(x)
                    d = say(x + 100)
            else:
                out += [work(x), work(x, 2)]
                e = [work(v) for v in range(x)]
                out.append(e)
    return out
print(main([1, 2, 3, 4]))
""",
    "a stage in the body of a loop whose turns have calls deeper inside": """
import contextlib, itertools
LOG = []
N = 2
BOXES = {"k": [1]}
def pure(x, k=1):
    return x * k % 97 + n
def rare(x):
    pass
def bump(x):
    return N
def box(x):
    for i in range(2):
        pass
    return [x, [x]]
def kept(x):
    BOXES["k"].append(x)
    return BOXES["k"]
def total(l):
    pass
@contextlib.contextmanager
def entered(x):
    yield x + 1
a, n, l = (1, 4, [1, 2])
for x, w in itertools.product([6, 4, 6], range(2)):
    with entered(len(kept(x))):
        a = pure(x, n % 5)
    LOG.append(total(kept(a)))
    l.extend([pure(bump(rare(w))), len(box(pure(a, a % 5)))])
print(l)
""",
}


BY_COMMAND = ["files and folders"]
"""It makes a folder of another name in each run."""
IN_ARENA = [name for name in DRIVERS if name not in BY_COMMAND]
PARTS = 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", range(PARTS))
def test_same(tmp_path: Path, part: int) -> None:
    drivers = {name: {"driver.py": HEAD + DRIVERS[name]} for name in IN_ARENA[part::PARTS]}
    assert differences(run_batch(tmp_path, drivers, jobs=3, turns=True)) == {}


@pytest.mark.parametrize("name", [*BY_COMMAND, "not caught"])
def test_same_by_the_command(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, HEAD + DRIVERS[name], options=("--jobs", "3"), _INFERFLOW_TURNS="always")


PACKAGE = {
    "lib/__init__.py": "",
    "lib/steps.py": """
"Steps."
import time
SCALE = 3

def slow(x):
    for i in range(3): pass
    return x * SCALE

def both(x, /, y=2, *, z=3):
    "Docs."
    a = slow(x)
    b = slow(y)
    return a + b + z

class C:
    def both(self, x):
        a = slow(x); b = slow(x + 1)
        return a, b
""",
    "driver.py": """
import functools, inspect, pickle
from lib import steps
from lib.steps import both, slow

def twice(n):
    return both(n) + steps.both(n, 5)

def mutual_a(n):
    a = slow(n); b = mutual_b(n - 1) if n else 0
    return a + b

def mutual_b(n):
    a = slow(n); b = mutual_a(n - 1) if n > 0 else 0
    return a + b

def main():
    r = both(1)
    p = functools.partial(both, 2)
    s = p() + p(z=1)
    t = twice(3)
    u = steps.C().both(1)
    v = mutual_a(4)
    steps.SCALE = 10
    w = both(1)
    f = pickle.loads(pickle.dumps(both))
    print(r, s, t, u, v, w, f is both, inspect.getsource(both), both.__doc__, inspect.signature(both))
    print([both(i) for i in range(3)], max([1, 2], key=both), both.__code__.co_firstlineno)
    print(both(7))
main()
""",
}


def test_functions_of_a_package(tmp_path: Path) -> None:
    assert_same(tmp_path, dict(PACKAGE), options=("--jobs", "3"), _INFERFLOW_TURNS="always")


BESIDE = """
import contextlib, time
def slow(x):
    time.sleep(.1)
    return x
def main(n):
    if n:
        a = slow(1)
        b = slow(2)
    try:
        c = slow(3)
        d = slow(4)
    finally:
        pass
    with contextlib.suppress(ValueError):
        e = slow(c)
        f = slow(d)
    while n > 0:
        g = slow(n)
        h = slow(-n)
        n -= 1
    for state in range(2):
        n = n + slow(n) + slow(-n)
main(1)
"""


def test_they_do_run_beside_each_other(tmp_path: Path) -> None:
    write_files(tmp_path, {"driver.py": BESIDE})
    command = [sys.executable, "-m", "inferflow", "-q"]
    env = environment(_INFERFLOW_TURNS="always")
    subprocess.run([*command, "run", "--jobs", "3", "driver.py"], cwd=tmp_path, env=env, check=True)
    told = subprocess.run(
        [*command, "show", "latest", "--json"], cwd=tmp_path, env=env, check=True, capture_output=True
    )
    tasks = json.loads(told.stdout)["tasks"]
    regions = [region for task in tasks for region in task["attempts"][-1]["regions"]]
    assert [(region["kind"], region["ahead"]) for region in regions] == [
        ("branch", 1), ("try", 1), ("with", 1), ("loop", 1), ("loop", 2),
    ]  # fmt: skip
