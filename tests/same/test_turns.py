"""Loops, branches and comprehensions that a turn run ahead could get wrong: natively and with four processes.

The sleeps are there so that helpers do get turns; what each driver does behind the back of the analysis is its point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import assert_set_is_same, in_sets
from compare import assert_same

DRIVERS: dict[str, str] = {
    "loop append": """
import time
def f(x): time.sleep(.02); return x * x
def main():
    out = []
    for x in [3, 1, 2, 3]:
        out.append(f(x))
    print(out, x)
    return out
main()
""",
    "loop dict": """
def f(x): return x + 1
def main():
    r = {}
    for k, v in {'a': 1, 'b': 2}.items():
        r[k] = f(v)
    return print(r, k, v)
main()
""",
    "loop empty": """
def f(x): return x
def main():
    for i in []:
        y = f(i)
    else:
        print('else')
    try:
        print(i)
    except UnboundLocalError as e:
        print(type(e))
main()
""",
    "loop break": """
import time
def f(x): time.sleep(.02); print('f', x); return x
def main():
    for x in range(10):
        y = f(x)
        if y == 3:
            break
    else:
        print('never')
    print(x, y)
main()
""",
    "loop continue": """
def f(x): return x % 2
def g(x): print('g', x); return x
def main():
    out = []
    for x in range(6):
        if f(x):
            continue
        out += [g(x)]
    print(out)
main()
""",
    "loop exc": """
import time
def f(x):
    time.sleep(.01)
    if x == 2: raise ValueError(x)
    return x
def main():
    out = []
    for x in range(5):
        try:
            out.append(f(x))
        except ValueError as e:
            out.append(str(e))
    print(out)
    for x in range(5):
        print(f(x))
main()
""",
    "loop mutate list": """
def f(x): return x
def main():
    xs = [1, 2, 3]
    out = []
    for x in xs:
        out.append(f(x))
        if x < 3 and len(xs) < 6: xs.append(x + 10)
    print(out, xs)
main()
""",
    "loop items mutated": """
def f(x): x.append(1); return len(x)
def main():
    xs = [[], [], []]
    ys = [f(x) for x in xs]
    zs = [f(x) for x in xs]
    print(ys, zs, xs)
main()
""",
    "loop same item": """
def f(x): return list(x)
def main():
    a = [1]
    xs = [a, a, a]
    ys = []
    for x in xs:
        ys.append(f(x)); a.append(len(ys))
    print(ys)
main()
""",
    "comp nested": """
def f(x, y): return x * y
def main():
    m = [[f(i, j) for j in range(3)] for i in range(3)]
    d = {k: f(k, k) for k in 'ab' for k in (1, 2)}
    s = {f(i, 2) for i in range(4)}
    g = list(f(i, 3) for i in range(3))
    print(m, d, s, g)
main()
""",
    "comp cond": """
def f(x): print('f', x); return x > 1
def g(x): print('g', x); return x * 10
def main():
    print([g(x) for x in range(4) if f(x)])
main()
""",
    "map list": """
def f(x): return x + 1
def main():
    a = list(map(f, [1, 2, 3]))
    b = list(map(f, iter([1, 2])))
    c = tuple(map(lambda v: f(v), (5,)))
    m = map(f, [7, 8])
    print(a, b, c, next(m), list(m))
main()
""",
    "gen iter": """
def f(x): print('f', x); return x
def src():
    for i in range(3):
        print('src', i); yield i
def main():
    out = []
    for x in src():
        out.append(f(x))
    print(out)
    print([f(x) for x in src()])
main()
""",
    "enumerate zip": """
def f(i, x): return (i, x)
def main():
    out = [f(i, x) for i, x in enumerate('abc', 1)]
    for i, (a, b) in enumerate(zip([1, 2, 3], 'xy')):
        out.append(f(i, (a, b)))
    print(out, i, a, b)
main()
""",
    "product": """
import itertools
def f(a, b, c=0): return a + b + c
def main():
    out = {}
    for a, b in itertools.product([1, 2], repeat=2):
        out[a, b] = f(a, b, c=a)
    print(out)
main()
""",
    "while conv": """
def step(x): return x / 2 + 1 / x
def main():
    x, n = 1.0, 0
    while True:
        y = step(x); n += 1
        if abs(y - x) < 1e-12: break
        x = y
    print(y, n)
main()
""",
    "branch": """
def f(x): print('f'); return x
def g(x): print('g'); return -x
def main(flag=True):
    a = f(1)
    if a > 0:
        b = f(2); c = g(3)
    elif a == 0:
        b = g(2)
    else:
        c = f(9)
    d = f(b) if c < 0 else g(b)
    e = f(0) or g(5)
    h = f(0) and g(5)
    print(b, c, d, e, h)
main()
""",
    "branch unbound": """
def f(x): return x
def main():
    if f(0):
        b = f(1)
    try:
        print(b)
    except UnboundLocalError as e: print('unbound', e)
    a = f(2)
    return a
main()
""",
    "early return": """
def f(x): print('f', x); return x
def main():
    a = f(1)
    if a:
        return print('early', a)
    b = f(2)
    return b
main()
""",
    "match": """
def f(x): print('f', x); return x
def main():
    for v in [(1, 2), {'k': 3}, 'other', [4, 5, 6]]:
        match f(v):
            case (a, b): r = f(a + b)
            case {'k': k}: r = f(k)
            case [x, *rest]: r = f(len(rest))
            case _: r = f('none')
        print(r)
main()
""",
    "try finally": """
def f(x):
    print('f', x)
    if x == 2: raise KeyError(x)
    return x
def main():
    try:
        try:
            a = f(1); b = f(2); c = f(3)
        except KeyError as e:
            d = f(4); raise ValueError('v') from e
        else:
            f(5)
        finally:
            f(6)
    except ValueError as e:
        print(repr(e), repr(e.__cause__), a)
    try: e
    except UnboundLocalError: print('e gone')
main()
""",
    "retry": """
n = 0
def flaky(x):
    global n; n += 1
    if n < 3: raise OSError('try again')
    return x
def main():
    for attempt in range(5):
        try:
            r = flaky(7); break
        except OSError as e: print('attempt', attempt, e)
    print(r, attempt, n)
main()
""",
    "with stack": """
import contextlib
@contextlib.contextmanager
def cm(n):
    print('enter', n)
    try: yield n
    finally: print('exit', n)
def f(x): print('f', x); return x
def main():
    with cm(1) as a, cm(2) as b:
        c = f(a + b); d = f(c)
    with contextlib.suppress(ZeroDivisionError):
        e = f(1); f(1 / 0); e = f(2)
    print(c, d, e)
main()
""",
    "nested driver": """
def f(x): return x + 1
def stage(x):
    a = f(x); b = f(x + 1); c = f(a + b)
    return c
def main():
    p = stage(1); q = stage(2); r = stage(p + q)
    print(p, q, r)
main()
""",
    "loop carried": """
def step(s, x): return s + [x]
def ind(x): return x * 2
def main():
    s = []
    for i in range(5):
        v = ind(i); s = step(s, v)
    print(s, v, i)
main()
""",
    "loop closure": """
def f(x): return x
def main():
    fs = []
    for i in range(3):
        j = f(i)
        fs.append(lambda: (i, j))
    print([g() for g in fs])
main()
""",
    "loop del": """
def f(x): return x
def main():
    for i in range(3):
        t = f(i)
        if i == 1: del t
    try: print(t)
    except NameError as e: print('no t')
    print(i)
main()
""",
    "loop accum str": """
def f(x): return f'{x};'
def main():
    s = ''
    t = 0.1
    for x in (1, 2, 3): s += f(x); t += 0.1 * x
    print(s, t)
main()
""",
    "loop print order": """
import time
def f(x): time.sleep(.03 * (3 - x)); print('in', x); return x
def main():
    for x in range(3):
        print('before', x); y = f(x); print('after', y)
main()
""",
    "loop files": """
def w(i): open(f'o{i}.txt', 'w').write(str(i)); return i
def main():
    for i in range(4): w(i)
    print(sum(int(open(f'o{i}.txt').read()) for i in range(4)))
main()
""",
    "walrus": """
def f(x): return x - 1
def main():
    n = 4
    while (n := f(n)): print('n', n)
    ys = [y for x in range(4) if (y := f(x)) > 0]
    print(ys, y, n)
main()
""",
    "module level loop": """
def f(x): return x * 2
tot = 0
for i in range(4):
    v = f(i)
    tot += v
if tot > 5:
    label = f(tot)
else:
    label = None
print(tot, label, i, v, sorted(k for k in globals() if not k.startswith('_')))
""",
    "loop global names": """
rows = []
def f(x): return x
def add(x): rows.append(x)
for i in range(3):
    add(f(i))
print(rows)
""",
    "loop ctrlflow exc type": """
class E(Exception): pass
def f(x):
    if x == 3: raise E('three', x)
    return x
def main():
    r = [f(x) for x in range(6)]
    return r
main()
""",
    "async gather": """
import asyncio
def cpu(x): return sum(i * i for i in range(x * 1000))
async def work(x): await asyncio.sleep(0); return cpu(x)
async def main():
    a, b = await asyncio.gather(work(3), work(4))
    c = await work(5)
    rs = [await work(i) for i in range(3)]
    print(a, b, c, rs)
asyncio.run(main())
""",
    "nested loops": """
def f(i, j): return i * 10 + j
def main():
    g = []
    for i in range(3):
        row = []
        for j in range(i + 1):
            if (i + j) % 3 == 2: continue
            row.append(f(i, j))
        g.append(row)
        if len(g) > 5: break
    print(g, i, j)
main()
""",
    "recursion driver": """
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def main():
    a = fib(10); b = fib(11)
    print(a, b, [fib(i) for i in range(8)])
main()
""",
    "locals in loop": """
def f(x): return x
def main():
    for i in range(2):
        a = f(i)
        print(sorted(locals()))
    vars_ = {k: v for k, v in locals().items()}
    print(vars_)
main()
""",
    "star loop": """
def f(*a, **k): return (a, sorted(k.items()))
def main():
    for a, *b in [(1, 2, 3), (4,)]:
        print(f(a, *b, **{'z': a}))
main()
""",
    "return in loop": """
def f(x): print('f', x); return x
def main():
    for x in [1, 2, 3]:
        if f(x) == 2:
            return x
    return None
print(main())
""",
    "slow state between": """
import time
cfg = {'k': 1}
def f(x): time.sleep(.05); return x * cfg['k']
def bump(): cfg['k'] += 1
def main():
    out = []
    for x in range(6):
        out.append(f(x))
        if x == 2: bump()
    print(out)
main()
""",
    "slow item mut later": """
import time
def f(d): time.sleep(.05); return sum(d['v'])
def main():
    ds = [{'v': [i]} for i in range(5)]
    out = []
    for i, d in enumerate(ds):
        out.append(f(d))
        if i + 1 < len(ds): ds[i + 1]['v'].append(100)
    print(out)
main()
""",
    "slow result alias item": """
import time
def f(d): time.sleep(.05); return d
def main():
    ds = [[i] for i in range(4)]
    out = [f(d) for d in ds]
    out[0].append(9)
    print(ds, out[1] is ds[1])
main()
""",
    "slow global append": """
import time
log = []
def f(x): time.sleep(.05); log.append(x); return x
def main():
    r = [f(x) for x in range(5)]
    print(r, log)
main()
""",
    "slow print in body": """
import time
def f(x): time.sleep(.1 if x % 2 else .02); print('f', x); return x
def main():
    for x in range(6):
        y = f(x)
    print('done', y)
main()
""",
    "slow exc mid": """
import time
def f(x):
    time.sleep(.05)
    if x == 3: raise ValueError('x is 3')
    print('ok', x); return x
def main():
    out = []
    for x in range(6):
        out.append(f(x))
    print(out)
main()
""",
    "slow exc caught continue": """
import time
def f(x):
    time.sleep(.05)
    if x == 2: raise KeyError(x)
    return x
def main():
    out = []
    for x in range(6):
        try: v = f(x)
        except KeyError: continue
        finally: out.append('fin')
        out.append(v)
    print(out)
main()
""",
    "slow random": """
import time, random
def f(x): time.sleep(.05); return (x, random.randint(0, 1000))
def main():
    random.seed(3)
    print([f(x) for x in range(5)], random.random())
main()
""",
    "slow np rng": """
import numpy as np, time
def f(x, rng): time.sleep(.05); return x + rng.integers(10)
def main():
    rng = np.random.default_rng(1)
    print([int(f(x, rng)) for x in range(5)])
main()
""",
    "slow spawned rng": """
import numpy as np, time
def f(seed): time.sleep(.05); return np.random.default_rng(seed).normal(size=3).round(8).tolist()
def main():
    rs = {}
    for s in range(5): rs[s] = f(s)
    print(rs)
main()
""",
    "slow files": """
import time, os
def f(i):
    time.sleep(.05)
    with open(f'part{i}.txt', 'w') as h: h.write(str(i) * 3)
    return i
def main():
    for i in range(5): f(i)
    print(sorted(p for p in os.listdir('.') if p.endswith('.txt')))
main()
""",
    "slow file chain": """
import time
def f(i):
    time.sleep(.05)
    prev = open('acc.txt').read() if i else ''
    open('acc.txt', 'w').write(prev + str(i))
def main():
    for i in range(5): f(i)
    print(open('acc.txt').read())
main()
""",
    "slow break side": """
import time
def f(i): time.sleep(.05); print('run', i); return i * i
def main():
    for i in range(100):
        v = f(i)
        if v > 10: break
    print(i, v)
main()
""",
    "slow nested map": """
import time
def f(i, j): time.sleep(.02); return i * j
def main():
    t = {}
    for i in range(3):
        for j in range(3):
            t[i, j] = f(i, j)
        print('row', i, t[i, 2])
    print(t)
main()
""",
    "slow closure over var": """
import time
def f(x): time.sleep(.03); return x
def main():
    k = 0; out = []
    for x in range(5):
        out.append(f(x + k)); k = out[-1]
    print(out)
main()
""",
    "slow default late": """
import time
def mk():
    fs = []
    for i in range(3):
        def g(x, i=i): time.sleep(.02); return x * 10 + i
        fs.append(g)
    return fs
def main():
    fs = mk()
    print([f(1) for f in fs], [fs[i](i) for i in range(3)])
main()
""",
    "slow method": """
import time
class M:
    def __init__(self, k): self.k = k; self.n = 0
    def pred(self, x): time.sleep(.03); return self.k * x
    def count(self, x): time.sleep(.03); self.n += 1; return self.n
def main():
    m = M(3)
    print([m.pred(x) for x in range(4)], [m.count(x) for x in range(4)], m.n)
main()
""",
    "slow fit models": """
from sklearn.linear_model import Ridge
import numpy as np
def fit(X, y, a): return Ridge(alpha=a).fit(X, y)
def main():
    rng = np.random.default_rng(0); X = rng.normal(size=(50, 3)); y = X @ [1, 2, 3]
    ms = {a: fit(X, y, a) for a in (.1, 1., 10.)}
    for a, m in ms.items(): print(a, m.coef_.round(6))
    best = min(ms, key=lambda a: abs(ms[a].coef_.sum() - 6)); print(best)
main()
""",
    "slow df groups": """
import pandas as pd, time
def summ(k, g): time.sleep(.03); return {'k': k, 'mean': g.v.mean(), 'n': len(g)}
def main():
    df = pd.DataFrame({'k': list('abcab'), 'v': range(5)})
    rows = []
    for k, g in df.groupby('k'):
        rows.append(summ(k, g))
    print(pd.DataFrame(rows))
main()
""",
    "slow dict change during": """
import time
def f(k): time.sleep(.03); return k
def main():
    d = {i: i for i in range(4)}
    try:
        for k in d:
            v = f(k)
            if k == 2: d[99] = 1
    except RuntimeError as e: print(e)
    print(d, v)
main()
""",
    "slow walrus cond": """
import time
def f(x): time.sleep(.03); return x * 2
def main():
    print([y for x in range(6) if (y := f(x)) > 4], y)
    print([f(x) if x % 2 else -x for x in range(6)])
main()
""",
    "slow big cheap": """
def f(x): return x * x
def main():
    s = 0; out = []
    for x in range(20000):
        out.append(f(x)); s += out[-1]
    print(s, len(out), sum(f(x) for x in range(1000)))
main()
""",
    "slow unpicklable item": """
import time
def f(g): time.sleep(.03); return next(g)
def main():
    gs = [(i for i in range(k, k + 3)) for k in range(4)]
    print([f(g) for g in gs], [f(g) for g in gs])
main()
""",
    "slow same obj items": """
import time
def f(a): time.sleep(.03); return len(a)
def main():
    a = []; xs = [a] * 4; out = []
    for x in xs:
        out.append(f(x)); a.append(1)
    print(out)
main()
""",
    "slow reassign input": """
import time
def f(x, w): time.sleep(.03); return x * w
def main():
    w = 1; out = []
    for x in range(5):
        out.append(f(x, w))
        w = w + 1
    print(out)
main()
""",
    "slow input mutated in loop": """
import time
def f(x, w): time.sleep(.03); return x * sum(w)
def main():
    w = [1]; out = []
    for x in range(5):
        out.append(f(x, w)); w.append(x)
    print(out)
main()
""",
    "slow func rebound": """
import time
def f(x): time.sleep(.03); return x
def g(x): time.sleep(.03); return -x
def main():
    h = f; out = []
    for x in range(5):
        out.append(h(x))
        if x == 2: h = g
    print(out)
main()
""",
    "slow monkey mid": """
import time
def f(x): time.sleep(.03); return x
def main():
    global f
    out = []
    for x in range(5):
        out.append(f(x))
        if x == 1: f = lambda x: -x
    print(out)
main()
""",
    "slow while queue": """
import time
def f(x): time.sleep(.03); return [x - 1] * (x > 1)
def main():
    q = [3, 2]; seen = []
    while q:
        x = q.pop(0); seen.append(x); q.extend(f(x))
    print(seen)
main()
""",
    "slow gen func main": """
import time
def f(x): time.sleep(.03); return x
def src():
    for i in range(4): yield f(i)
def main():
    print(list(src()), sum(f(x) for x in range(4)), max(map(f, range(3))), sorted((f(x) for x in (3, 1, 2)), key=lambda v: -v))
main()
""",
    "slow early exit sys": """
import time, sys
def f(x): time.sleep(.03); print(x); return x
def main():
    for x in range(5):
        if f(x) == 2: sys.exit('stop at 2')
main()
""",
    "slow set items": """
import time
def f(x): time.sleep(.02); return x
def main():
    s = {'b', 'a', 'c', 'd'}
    print([f(x) for x in s], {f(x) for x in s}, [f(x) for x in frozenset(s)])
main()
""",
    "slow range step": """
import time
def f(x): time.sleep(.02); return x
def main():
    for i in range(10, 0, -3): v = f(i)
    print(i, v, [f(c) for c in 'abc'], [f(b) for b in b'xy'])
main()
""",
    "slow tuple ret": """
import time
def f(x): time.sleep(.02); return x, [x]
def main():
    a, b = [], []
    for x in range(4):
        p, (q,) = f(x); a.append(p); b.append(q)
    c = dict(f(x) for x in range(3))
    print(a, b, c)
main()
""",
    "slow lambda arg": """
import time
def ap(fn, x): time.sleep(.02); return fn(x)
def main():
    k = 5
    print([ap(lambda v: v + k, x) for x in range(4)])
    r = []
    for k in range(3): r.append(ap(lambda v: v + k, 1))
    print(r)
main()
""",
    "slow warn": """
import time, warnings
def f(x): time.sleep(.02); warnings.warn(f'w{x % 2}'); return x
def main(): print([f(x) for x in range(4)])
main()
""",
    "slow log": """
import time, logging
logging.basicConfig(level=20, format='%(message)s')
def f(x): time.sleep(.02); logging.info('x %s', x); return x
def main():
    for x in range(4): f(x)
main()
""",
    "slow branch in loop": """
import time
def a(x): time.sleep(.02); return ('a', x)
def b(x): time.sleep(.02); print('b', x); return ('b', x)
def main():
    out = []
    for x in range(6):
        if x % 3 == 0: out.append(a(x))
        elif x % 3 == 1: out.append(b(x))
        else: pass
    print(out)
main()
""",
    "map ahead": """
import time
def f(x): time.sleep(.03); print('f', x); return [x]
def main():
    xs = [3, 1, 2, 3, 5]
    ys = list(map(f, xs))
    ys[0].append(9)
    print(ys, list(map(f, [])), list(map(f, (7,))))
main()
""",
    "map consumers": """
import functools, time
def f(x): time.sleep(.02); return x % 4
def g(x, y): time.sleep(.02); return x * y
def main():
    k, xs = 3, list(range(6))
    print(sum(map(f, xs)), sorted(map(f, xs)), set(map(f, xs)), tuple(map(f, xs)), max(map(f, xs)))
    print(dict(zip(xs, map(f, xs))), [*map(f, xs)], dict(enumerate(map(f, xs))), any(map(f, xs)), all(map(f, xs)))
    print(','.join(map(str, map(f, xs))), sum(map(lambda x: f(x) + k, xs)))
    print(list(map(g, xs, range(4))), list(map(functools.partial(g, 2), xs)), list(map(g, [1, 2], {5, 6})))
    a, b = map(f, [1, 6])
    print(a, b)
main()
""",
    "map of an iterator": """
import time
def f(x): time.sleep(.02); return x * 2
def main():
    it = iter([1, 2, 3, 4, 5, 6])
    print(next(it), list(map(f, it)), list(it))
    it = iter(range(5))
    try:
        a, b = map(f, it)
    except ValueError as e:
        print(e, list(it))
    print(any(map(f, iter([0, 0, 1, 2]))))
main()
""",
    "map ended by StopIteration": """
import time
def f(x):
    time.sleep(.02)
    if x == 3: raise StopIteration
    return x
def main():
    print(list(map(f, [1, 2, 3, 4])), list(map(f, [3, 1])), list(map(f, [1, 2, 4, 5, 3])), sum(map(f, range(9))))
main()
""",
    "map exc": """
import time
def f(x):
    time.sleep(.02); print('f', x)
    return 10 // (x - 3)
def main():
    try:
        list(map(f, range(6)))
    except ZeroDivisionError as e:
        print(e)
    for bad in (5, None):
        try:
            list(map(f, bad))
        except TypeError as e:
            print(e)
    return list(map(f, range(6)))
main()
""",
    "map grows": """
import time
def f(x): time.sleep(.02); return x
class Add:
    def __init__(self, x): self.x = x
    def __lt__(self, other): XS.append(0) if len(XS) < 8 else None; return self.x < other.x
def g(x): time.sleep(.01); return Add(x + len(XS))
XS = [3, 1, 2, 5]
def main():
    print([a.x for a in sorted(map(g, XS))], XS, max(map(g, XS)).x)
main()
""",
    "map shadowed": """
import time
def f(x): time.sleep(.01); return x
def map(f, xs): print('mine'); return [f(x) for x in xs]
def main():
    print(list(map(f, [1, 2, 3])))
main()
""",
    "map at top": """
import time
def f(x): time.sleep(.03); return x + N
N = 5
ys = list(map(f, [1, 2, 3, 4]))
N = 6
zs = sorted(map(lambda x: -f(x), ys))
print(ys, zs)
for i in range(3):
    zs = list(map(f, zs))
print(zs)
list(map(f, [1, None, 3]))
""",
    "map keeps": """
import time
LOG = []
def f(x): time.sleep(.01); LOG.append(x); return LOG
def box(x, k=[]): time.sleep(.01); k.append(x); return k
class Sum:
    def __init__(self): self.n = 0
    def add(self, x): time.sleep(.01); self.n += x; return self.n
def main():
    s = Sum()
    print(list(map(f, [1, 2, 3])), list(map(box, [1, 2, 3])), list(map(s.add, [1, 2, 3])), s.n)
main()
""",
    "slow top level": """
import time
def f(x): time.sleep(.03); return x * 2
xs = [1, 2, 3, 4]
ys = []
for x in xs:
    y = f(x)
    ys.append(y)
zs = [f(y) for y in ys]
print(ys, zs, x, y)
""",
}


BY_COMMAND = ["slow log", "slow warn", "map at top"]
SETS = in_sets(DRIVERS, r"import .*(numpy|pandas)", 4)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", SETS)
def test_the_same_with_four_processes(tmp_path: Path, part: str) -> None:
    assert_set_is_same(tmp_path, DRIVERS, SETS[part], ("numpy", "pandas") if part == "libraries" else ())


@pytest.mark.parametrize("name", BY_COMMAND)
def test_the_same_by_the_command(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, DRIVERS[name], options=("-j", "4"))
