"""Drivers whose control flow is hard to take apart: natively, and inferred with two and four processes that run whatever they
can ahead."""

from __future__ import annotations

import sys

import pytest
from batch import differences, run_batch

DRIVERS: dict[str, str] = {
    "finally, return and continue in loops": """
import time
def work(x):
    time.sleep(0.01)
    if x == 7: raise ValueError(x)
    return x * 2
def outer(n):
    log = []
    for i in range(n):
        try:
            try:
                y = work(i)
                if y == 8:
                    return log, 'early'
            finally:
                log.append(('inner', i))
                if i == 3:
                    continue
        except ValueError as e:
            log.append(e.args)
        finally:
            log.append(('outer', i))
            if i > 20: break
        z = work(i + 10)
        log.append(z)
    else:
        return log, 'all'
    return log, 'broke'
def main():
    for n in (2, 4, 5, 9):
        print(n, outer(n))
    def swallow():
        for i in range(3):
            try:
                return work(7)
            finally:
                if i < 2: continue
                return 'swallowed'
    print(swallow())
    for k in range(4):
        try:
            v = work(6 + k)
            assert v != 16, v
        except (ValueError, AssertionError) as e:
            print(type(e).__name__, e, e.__context__)
            try:
                w = work(7)
            except ValueError as inner:
                print(inner.__context__ is not None)
                w = None
        else:
            w = work(1)
        finally:
            print('fin', k, v)
    print(w)
main()
""",
    "managers, generators and an exit stack": """
import time, contextlib
LOG = []
@contextlib.contextmanager
def section(name):
    LOG.append(('enter', name))
    try:
        yield name.upper()
    except KeyError as e:
        LOG.append(('swallowed', e.args))
    finally:
        LOG.append(('exit', name))
def work(x):
    time.sleep(0.01)
    return x + 1
def items(n):
    try:
        for i in range(n):
            LOG.append(('give', i))
            yield i
    finally:
        LOG.append('closed')
def main():
    out = []
    with section('a') as a, contextlib.closing(items(5)) as gen:
        for i in gen:
            y = work(i)
            out.append((a, y))
            if y == 3: break
    for k in range(4):
        with section(f's{k}') as s:
            v = work(k)
            if k == 2: raise KeyError(k)
            out.append((s, v))
    with contextlib.ExitStack() as stack:
        for name in 'xyz':
            stack.enter_context(section(name))
            out.append(work(ord(name)))
        stack.callback(lambda: LOG.append(('cb', len(out))))
        a1 = work(1)
        a2 = work(2)
    print(out, a1, a2)
    print(LOG)
main()
""",
    "break and else": """
import time
def work(x):
    time.sleep(0.01)
    return x % 5
def find(xs, want):
    for i, x in enumerate(xs):
        y = work(x)
        if y == want:
            break
    else:
        i, y = -1, None
    return i, y
def main():
    n = 0
    while n < 10:
        n += 1
        a = work(n)
        if a == 3: continue
        b = work(n + 1)
        if a + b > 6: break
    else:
        print('never')
    print(n, a, b)
    print(find([1, 2, 3, 9], 4), find([1, 2], 4))
    for x in range(3):
        for y in range(3):
            z = work(x * y)
            if z == 2: break
        else:
            print('no break', x)
            continue
        print('broke', x, y, z)
        break
    else:
        print('outer all')
    print(x, y, z)
main()
for q in range(6):
    r = work(q)
    if r == 4: break
else:
    r = 'none'
print(q, r)
""",
    "match with guards that count": """
import time
class Count:
    def __init__(self): self.n = 0
    def __call__(self, x):
        self.n += 1
        return x > 2
    def __eq__(self, o):
        self.n += 10
        return o == 5
    __hash__ = None
def work(x):
    time.sleep(0.01)
    return x if isinstance(x, int) else len(x)
class Pt:
    __match_args__ = ('x', 'y')
    seen = []
    def __init__(self, x, y): self._x, self.y = x, y
    @property
    def x(self):
        Pt.seen.append(self._x)
        return self._x
def main():
    c = Count()
    out = []
    for v in [1, 3, 5, [1, 2], {'k': 3}, Pt(1, 2), Pt(4, 4), 'abc']:
        match v:
            case int() if c(v):
                r = work(v)
            case int():
                r = -work(v)
            case [a, *rest] if (n := work(rest)) and c(n + 5):
                r = (a, rest, n)
            case {'k': k, **more}:
                r = work(k)
            case Pt(x, y) if x == y:
                r = ('diag', work(x))
            case Pt(x=xx):
                r = ('pt', work(xx))
            case str() as s:
                r = work(s)
        out.append(r)
        print(v if not isinstance(v, Pt) else 'Pt', r, c.n, len(Pt.seen))
    print(out, a, rest, n, k, more, x, y, xx, s)
main()
""",
    "gather with exceptions and cancellation": """
import asyncio, time
LOG = []
def calc(x):
    time.sleep(0.02)
    LOG.append(x)
    return x * x
def pure(x):
    time.sleep(0.02)
    if x == 3: raise ValueError(x)
    return x * 10
async def job(x):
    a = pure(x)
    await asyncio.sleep(0.001 * x)
    b = calc(x)
    return a + b
async def slow(x):
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        LOG.append(('cancelled', x))
        v = pure(1)
        LOG.append(v)
        raise
    finally:
        LOG.append(('fin', x))
async def main():
    r = await asyncio.gather(job(1), job(2), job(3), job(4), return_exceptions=True)
    print(r, LOG)
    try:
        await asyncio.gather(job(5), job(3), job(6))
    except ValueError as e:
        print('err', e, LOG)
    await asyncio.sleep(0.05)
    print(LOG)
    ts = [asyncio.create_task(slow(k)) for k in range(3)]
    await asyncio.sleep(0.01)
    for t in ts: t.cancel()
    print(await asyncio.gather(*ts, return_exceptions=True))
    try:
        await asyncio.wait_for(slow(9), 0.01)
    except asyncio.TimeoutError:
        print('timeout')
    print(LOG)
asyncio.run(main())
""",
    "task groups, semaphores and queues": """
import asyncio, time
def pure(x):
    time.sleep(0.02)
    if x == 13: raise KeyError(x)
    return x * 10
async def job(x, out):
    a = pure(x)
    out.append(('a', x))
    await asyncio.sleep(0)
    b = pure(x + 1)
    out.append(('b', x))
    return a, b
async def main():
    out = []
    async with asyncio.TaskGroup() as tg:
        t = [tg.create_task(job(i, out)) for i in (1, 2, 3)]
    print([x.result() for x in t], out)
    try:
        async with asyncio.TaskGroup() as tg:
            t = [tg.create_task(job(i, out)) for i in (5, 12, 20)]
    except* KeyError as eg:
        print('group', [e.args for e in eg.exceptions], out)
    print([x.cancelled() or (x.exception() and repr(x.exception())) or x.result() for x in t])
    sem = asyncio.Semaphore(2)
    async def limited(k):
        async with sem:
            v = pure(k)
            await asyncio.sleep(0)
            return v
    print(await asyncio.gather(*(limited(k) for k in range(5))))
    q = asyncio.Queue()
    async def producer():
        for k in range(4):
            await q.put(pure(k))
        await q.put(None)
    async def consumer():
        got = []
        while (v := await q.get()) is not None:
            got.append(pure(v))
        return got
    print(await asyncio.gather(producer(), consumer()))
asyncio.run(main())
""",
    "tries by hand": """
import time, random
random.seed(3)
CALLS = {}
class Flaky(Exception): pass
def fetch(k):
    time.sleep(0.01)
    CALLS[k] = CALLS.get(k, 0) + 1
    if CALLS[k] < k % 3 + 1:
        raise Flaky(k, CALLS[k])
    return k * 10
def pure(k, attempt):
    time.sleep(0.01)
    if attempt < k % 3: raise Flaky(k, attempt)
    return k * 100 + attempt
def retry(f, *a, times=4):
    last = None
    for i in range(times):
        try:
            return f(*a)
        except Flaky as e:
            last = e
            delay = random.random()
    raise RuntimeError('gave up') from last
def main():
    res, delays = {}, []
    for k in range(6):
        attempt = 0
        while True:
            try:
                res[k] = pure(k, attempt)
            except Flaky as e:
                attempt += 1
                delays.append(random.random())
                if attempt > 5: raise
            else:
                break
    print(res, [round(d, 6) for d in delays], attempt)
    print([retry(fetch, k) for k in range(5)], CALLS, round(random.random(), 6))
    for k in (1, 2, 5):
        for attempt in range(k % 3 + 2):
            try:
                v = pure(k, attempt)
            except Flaky as e:
                err = e
                print('fail', k, attempt)
                continue
            print('ok', k, v)
            break
    try:
        retry(pure, 5, 0)
    except RuntimeError as e:
        print(e, repr(e.__cause__))
main()
""",
    "pools and threads in the driver": """
import time, threading
from concurrent.futures import ThreadPoolExecutor, as_completed
LOCK = threading.Lock()
SEEN = []
def work(x):
    time.sleep(0.02)
    return x * 2
def noted(x):
    time.sleep(0.01)
    with LOCK:
        SEEN.append(x)
        SEEN.sort()
    if x == 4: raise ValueError(x)
    return x + 1
def main():
    with ThreadPoolExecutor(2) as pool:
        ys = list(pool.map(work, range(5)))
        z = work(100)
        futures = [pool.submit(noted, k) for k in range(6)]
        out = []
        for f in futures:
            try:
                out.append(f.result())
            except ValueError as e:
                out.append(repr(e))
    print(ys, z, out, sorted(SEEN))
    total = 0
    with ThreadPoolExecutor(1) as pool:
        for r in pool.map(noted, [7, 8, 9]):
            a = work(r)
            b = work(r + 1)
            total += a + b
    print(total, sorted(SEEN))
    t = threading.Thread(target=lambda: SEEN.append(work(50)))
    t.start()
    c = work(1)
    d = work(2)
    t.join()
    for i in range(4):
        e = work(i)
        print(e)
    print(c, d, sorted(SEEN))
main()
""",
    "database transactions": """
import sqlite3, time, os
def score(x):
    time.sleep(0.01)
    if x == 6: raise ValueError(x)
    return x * x
def insert(db, k, v):
    db.execute('insert into t values (?, ?)', (k, v))
def rows(db):
    return db.execute('select * from t order by k, v').fetchall()
def main():
    db = sqlite3.connect(':memory:')
    db.execute('create table t (k int, v int)')
    db.commit()
    for k in range(4):
        with db:
            v = score(k)
            insert(db, k, v)
    print(rows(db))
    try:
        with db:
            for k in (10, 6, 11):
                insert(db, k, score(k))
    except ValueError as e:
        print('rolled back', e)
    print(rows(db), db.in_transaction)
    cur = db.cursor()
    for k, v in list(cur.execute('select k, v from t')):
        w = score(v % 5)
        cur.execute('update t set v = ? where k = ?', (w, k))
        if w > 10:
            db.rollback()
        else:
            db.commit()
    print(rows(db))
    with sqlite3.connect('file.db') as f:
        f.execute('create table if not exists t (k int, v int)')
        a = score(3)
        b = score(4)
        f.executemany('insert into t values (?, ?)', [(1, a), (2, b)])
    f.close()
    g = sqlite3.connect('file.db')
    print(rows(g))
    g.close()
    os.unlink('file.db')
main()
""",
    "accumulators under two names": """
import time
def f(x):
    time.sleep(0.01)
    return x + 1
def main():
    a = b = []
    d1 = {}
    d2 = d1
    tot = alias = [0]
    for x in range(5):
        a.append(f(x))
        b.append(f(-x))
        d1[x] = f(x * 2)
        if len(d2) > 3: d2.pop(0, None)
        tot[0] += f(len(a))
        alias += [f(x)]
        a[0:0] = [len(b)]
    print(a is b, a, d1, d2 is d1, tot, alias)
    rows = [[0] * 2] * 3
    for i, row in enumerate(rows):
        row[0] += f(i)
        v = f(row[0])
        rows[(i + 1) % 3][1] = v
    print(rows)
    nest = {'x': []}
    view = nest['x']
    for k in range(4):
        view.append(f(k))
        s = f(len(nest['x']))
        nest.setdefault(s, view)
    print(nest, len(nest))
    acc = ()
    keep = [acc]
    for k in range(3):
        acc += (f(k),)
        keep.append(acc)
    print(keep)
    s = t = {1}
    for k in range(3):
        s |= {f(k)}
        t = t | {f(k + 10)}
    print(sorted(s), sorted(t), s is t)
    x = [1, 2, 3]
    for x[0] in range(3):
        y = f(x[0])
    print(x, y)
main()
""",
    "generators, iterators and lists that grow": """
import time, itertools
def f(x):
    time.sleep(0.01)
    return x + 1
def gen(n):
    got = []
    for i in range(n):
        y = f(i)
        sent = yield y
        got.append(sent)
    return got
def chain(n):
    r = yield from gen(n)
    s = f(len(r))
    yield ('end', r, s)
class It:
    def __init__(self): self.i = 0
    def __iter__(self): return self
    def __next__(self):
        self.i += 1
        if self.i > 4: raise StopIteration
        return f(self.i)
def main():
    g = chain(3)
    out = [next(g)]
    try:
        while True: out.append(g.send(f(len(out))))
    except StopIteration:
        pass
    print(out)
    it = It()
    for a in it:
        b = f(a)
        if b == 4: break
    print(a, b, [f(v) for v in it], it.i)
    xs = iter([1, 2, 3, 4, 5, 6])
    pairs = []
    for x in xs:
        y = f(x)
        nxt = next(xs, None)
        pairs.append((y, nxt, f(nxt or 0)))
    print(pairs)
    for k, grp in itertools.groupby([1, 1, 2, 3, 3], key=lambda v: v):
        n = f(k)
        m = sum(f(v) for v in grp)
        print(k, n, m)
    for i in (z := [f(v) for v in range(3)]):
        z2 = f(i)
        if len(z) < 5: z.append(z2)
    print(z)
main()
""",
    "objects with an end of life": """
import time
class M:
    def __init__(self, s): self.s, self.hist = s, []
    def __iadd__(self, o):
        self.s += o; self.hist.append(o); return self
    def __enter__(self): self.hist.append('in'); return self
    def __exit__(self, *a): self.hist.append(a[0] and a[0].__name__); return a[0] is KeyError
    def __del__(self):
        print('del', self.s)
def make(s):
    time.sleep(0.01); return M(s)
def train(m, k):
    time.sleep(0.01)
    m.hist.append(k); m.s += k
    if m.s == 13: raise KeyError(m.s)
    return m
def show(m):
    time.sleep(0.01); return (m.s, tuple(m.hist))
def main():
    best = None
    for seed in (1, 5, 10):
        m = make(seed)
        with m:
            for k in range(3):
                m = train(m, k)
        m += 4
        s = show(m)
        print(s)
        if best is None or s > best: best = s
    print(best)
    models = [make(k) for k in range(3)]
    for m in models:
        train(m, 2)
    for m in reversed(models):
        t = show(m)
        print(t)
    del models, m
    print('end')
main()
""",
    "a file is closed when nobody names it any more": """
import time
def f(x):
    time.sleep(0.01); return x
def main():
    for x in range(3):
        y = f(x)
    out = open('a.txt', 'w')
    out.write('text')
    for x in range(3):
        y = f(x)
    del out
    print(open('a.txt').read())
    out = open('b.txt', 'w')
    out.write('text')
    if y:
        for x in range(3):
            y = f(x)
            z = f(x + 1)
    out = None
    print(open('b.txt').read())
def shown():
    snap = locals()
    z = f(1)
    for x in range(2):
        w = f(x)
    g = f(2)
    print(sorted(locals()), 'z' in snap)
main()
shown()
""",
    "f-strings in comprehensions": """
import time
def f(x):
    time.sleep(0.05)
    return x * 2
class P:
    def __init__(self, x): self.x = x
    def __format__(self, s): return f'P{self.x}:{s}'
def mk(x):
    time.sleep(0.01); return P(x)
def main():
    w = 5
    a = [f"<{f(x)}>" for x in range(4)]
    b = [f"{x}: {f(x):>{w}} {f(x + 1)!r}" "tail" f"{x}" for x in range(4)]
    c = {f"k{f(x)}": f"{mk(x):abc}" for x in range(3)}
    d = [f"{f(x)}" if x % 2 else f"{x}" for x in range(4)]
    e = [(f"{f(x)}", f(x)) for x in range(4) if f"{f(x)}" != "2"]
    g = [f"a{f(x)}".upper() + str(f(x)) for x in range(3)]
    h = [len(f'''{f(x)}
    {f(x)}''') for x in range(3)]
    print(a, b, c, d, e, g, h)
    for x in range(3):
        s = f"{f(x)} {x}"
        print(s)
main()
z = [f"<{f(x)}>" for x in range(4)]
print(z)
""",
    "names bound within comprehensions": """
import time
def f(x):
    time.sleep(0.02)
    return x * 2
def g(x, y=0):
    time.sleep(0.01)
    return x + y
def main():
    y = 'before'
    a = [y for x in range(5) if (y := f(x)) > 2]
    print(a, y)
    b = [g(y, x) for x in range(5) if (y := f(x)) > 2 if (z := g(y)) < 7]
    print(b, y, z)
    c = [(w := f(x), w ** 2, g(w)) for x in range(3)]
    print(c, w)
    d = {k: g(v) for k in range(4) if (v := f(k))}
    print(d, v)
    e = [t for x in range(4) if x and (t := f(x)) > 2]
    print(e, t)
    h = [f(x) for x in range(4) if (q := x * 2) != 4]
    print(h, q)
    i = [(y, f(x)) for x in range(4) if g(y) >= 0 and (y := f(x)) >= 0]
    print(i, y)
    j = [g(last, x) for last in [1] for x in range(3) if (u := f(x)) > 0]
    print(j, u)
    k = [(y := g(y), f(y)) for x in range(3) if (y := f(x)) >= 0]
    print(k, y)
    none = [m for x in [] if (m := f(x))]
    try:
        print(m)
    except UnboundLocalError as err:
        print('unbound')
    def inner():
        return s
    n = [s for x in range(3) if (s := f(x)) > 1 and inner() == s]
    print(n, s, inner())
    o = [r for x in range(6) if (r := f(x)) > 2 and (r2 := g(r)) < 9]
    print(o, r, r2)
    p = [f(x) for x in range(3) if any((found := f(v)) > 1 for v in (x, 2))]
    print(p, found)
main()
y = 'module'
aa = [y for x in range(5) if (y := f(x)) > 2]
print(aa, y)
def peek(x):
    time.sleep(0.01)
    return (x, G)
G = 5
bb = [peek(x) for x in range(3) if (G := f(x)) >= 0]
print(bb, G)
cc = [g(L, x) for x in range(3) if (L := f(x)) >= 0]
print(cc, L)
""",
}
NEW = {"task groups, semaphores and queues": (3, 11), "match with guards that count": (3, 10)}
"""The Python that is needed."""


@pytest.mark.parametrize("name", DRIVERS)
def test_is_as_native(found: dict[str, list[object]], name: str) -> None:
    if name in found:
        assert differences({name: found[name]}) == {}
    else:
        assert sys.version_info < NEW[name]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    drivers = {name: {"driver.py": text} for name, text in DRIVERS.items() if sys.version_info >= NEW.get(name, (3,))}
    return run_batch(tmp_path_factory.mktemp("control"), drivers, jobs=(2, 4), turns=True)
