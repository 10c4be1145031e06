"""Control flow at its worst: async, match, walrus, try and return in loops, generators, closures over loop variables, scopes of
comprehensions, deleted names, targets that are no names, managers that break is left through."""

from __future__ import annotations

import pytest
from batch import differences, run_batch

HEAD = """
import asyncio, contextlib, functools, itertools, time, warnings
def nap(x=0):
    time.sleep(0.03)
    return x
def f(x, *more):
    for i in range(2): pass
    return x * 2 + len(more)
def say(x):
    for i in range(2): pass
    print('say', x)
    return x
def bad(x, at=3):
    for i in range(2): pass
    if x % 5 == at: raise ValueError(x)
    return x + 1
def made(x):
    for i in range(2): pass
    return [x, [x]]
def grow(l, x):
    for i in range(2): pass
    l.append(x)
    return len(l)
class Box:
    n = 0
    def __init__(self): self.items = []
    def __enter__(self):
        print('in')
        return self
    def __exit__(self, kind, error, trace):
        print('out', kind.__name__ if kind else None, len(self.items))
        return kind is KeyError
"""

DRIVERS: dict[str, str] = {
    "closures over the loop variable": """
fs = []
nap()
for i in range(3):
    v = f(i)
    fs.append(lambda: (i, v))
for i in range(10, 12):
    v = f(i)
print([g() for g in fs])
def main():
    gs = []
    nap()
    for i in range(3):
        w = f(i)
        def g(k=i): return i, k, w
        gs.append(g)
    for j in range(2):
        w = f(j + 50)
    print([g() for g in gs])
main()
""",
    "return in try, finally and loops": """
def one(xs):
    nap()
    for x in xs:
        try:
            y = bad(x)
            if y > 2: return 'out', y
        except ValueError:
            continue
        finally:
            say(x)
    return 'end'
def two(xs):
    for x in xs:
        try:
            return f(x)
        finally:
            if x < 2: continue
            break
    return say('two')
def three():
    a = nap(1)
    while True:
        try:
            a = bad(a)
        except ValueError as e:
            return a, repr(e)
        finally:
            print('finally', a)
print(one([0, 3, 1, 2]), one([3]), two([0, 1, 2]), three())
""",
    "break out of a with": """
nap()
k = 0
while True:
    with Box() as b:
        b.items.append(f(k))
        k = k + 1
        if k > 2: break
for x in range(4):
    with Box() as c, contextlib.suppress(ValueError):
        y = bad(x)
        if x == 1: continue
        c.items.append(y)
else:
    print('else')
print(k, b.items, c.items, y)
""",
    "an exception in an accumulator": """
out, d = [], {}
nap()
try:
    for x in range(6):
        out.append((x, bad(x, 4)))
        d[f(x)] = bad(x, 4)
except ValueError as e:
    print('caught', e, out, d, x)
try:
    out += [bad(x) for x in range(2, 5)]
except ValueError:
    print(len(out), x)
try:
    d.update({x: bad(x) for x in range(5)})
except ValueError:
    print(d)
try:
    s = sum(bad(x) for x in range(5))
except ValueError:
    print('s' in globals())
""",
    "else of loops": """
def search(xs, t):
    nap()
    for x in xs:
        y = f(x)
        for z in range(x):
            if f(z) == t: break
        else:
            print('none in', x)
            continue
        print('found', x, z)
        break
    else:
        z = y = None
    while f(t) > 5:
        t -= 1
        if t == 3: break
    else:
        return x, y, z, 'near'
    return x, y, z, t
print(search([1, 2, 3], 4), search([1], 9), search([2], 0))
""",
    "scopes of comprehensions": """
x = 'outer'
nap()
a = [x for x in [f(1), f(2)]]
b = [[x, y] for x in range(2) for y in [f(x)] if (last := y) >= 0]
c = {x: [x for x in made(x)] for x in range(2)}
g = ([x] for x in [x])
print(x, a, b, c, last, list(g))
def main():
    y = nap(1)
    p = [y := f(v) for v in range(3)]
    q = [(lambda: v)() for v in range(3)]
    r = [h() for h in [lambda: v for v in range(3)]]
    def inner():
        nonlocal y
        z = [y := f(y) for _ in range(2)]
        return z
    s = inner()
    return p, q, r, s, y
print(main())
class C:
    n = f(2)
    try: l = [n for _ in range(2)]
    except NameError as e: l = repr(e)
    m = [v for v in range(n)]
print(C.l, C.m)
""",
    "del in loops": """
def main():
    a = nap(2)
    seen = []
    for x in range(4):
        t = f(x)
        seen.append(t)
        if x % 2: del t
        try:
            print(t)
        except UnboundLocalError:
            print('gone', x)
    try:
        del t
    except UnboundLocalError:
        print('was gone')
    l = made(3)
    for k in range(2):
        l.append(f(k))
        del l[0]
    return seen, l
print(main())
d = {i: f(i) for i in range(4)}
nap()
for k in list(d):
    if d[k] > 2: del d[k]
    v = f(k)
    del v
print(d, 'v' in globals(), k)
""",
    "targets that are no names": """
b, d, l = Box(), {}, [0, 0, 0]
nap()
for b.n in range(3):
    y = f(b.n)
for d['k'] in range(2):
    z = f(d['k'])
for l[0], (l[1], *rest) in [(1, (2, 3, 4)), (5, (6, 7))]:
    w = f(l[0])
with Box() as d['m']:
    d['m'].items.append(f(1))
[l[2] for l[2] in [f(3), f(4)]]
for Box.n in [7]: u = f(Box.n)
print(b.n, d['k'], d['m'].items, l, rest, y, z, w, u, Box.n)
""",
    "generators that look around": """
k = 1
def gen(n):
    global k
    for i in range(n):
        k += 1
        got = yield i, k
        if got: print('got', got)
nap()
for i, j in gen(3):
    k = f(k)
    print(i, j, k)
it = gen(4)
next(it)
for v in it:
    if v[0] == 1: k = f(0); it.send(say('x'))
    if v[0] == 3: break
print(k, list(it))
def count():
    try:
        n = 0
        while True:
            n = bad(n)
            yield n
    except ValueError as e:
        yield repr(e)
    finally:
        print('closed')
for c in count(): y = f(1)
for c in count():
    if c > 1: break
print(c, y)
""",
    "match in every form": """
class P:
    __match_args__ = ('x', 'y')
    def __init__(self, x, y): self.x, self.y = x, y
    def __repr__(self): return 'P'
def kind(v):
    match v:
        case P(x=0) | P(0, 1): return 'zero'
        case P(x, y) if (s := f(x)) > 4: return s, y
        case {'a': a, **rest}: return a, rest
        case [first, *_, last]: return first, last
        case (str() as t) | (bytes() as t): return t
        case None | True: return 'const'
        case _ as other: return other
nap()
for v in [P(0, 5), P(3, 1), P(1, 1), {'a': f(1), 'b': 2}, made(2), 'x', b'y', None, 4]:
    match v:
        case P(): r = kind(v)
        case [w, [u]] if bad(w): r = (w, u)
        case dict(): r = sorted(kind(v)[1])
        case _: r = kind(v)
    print(r)
print('w' in globals(), w)
""",
    "walrus everywhere": """
nap()
n = 0
while (m := f(n)) < 20 and (q := bad(m)) != 8: n = q
print(n, m, q)
if (a := f(1)) and not (b := f(0)) or (c := f(9)): print(a, b, 'c' in globals())
xs = [z for v in range(5) if (z := f(v)) > 2 if (y := bad(z, 9))]
print(xs, y, z)
print((p := f(2)) + (p := f(p)) + p, f'{(r := f(4))} {r}')
assert (t := f(3)) > 1, say('never')
lam = lambda: (h := f(1)) + h
print(lam(), t, [lam() for _ in range(2)])
def main(x=(d := 5)):
    while chunk := made(x)[:x]:
        x -= 2
        if (e := len(chunk)) == 1: break
    return x, chunk, e
print(main(), d)
""",
    "coroutines and loops": """
LOG = []
async def part(i):
    a = f(i)
    for k in range(2):
        await asyncio.sleep(0)
        LOG.append((i, k, f(a)))
    try:
        return bad(i)
    finally:
        LOG.append(('end', i))
async def agen(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield f(i)
@contextlib.asynccontextmanager
async def held(x):
    LOG.append(('in', x))
    try: yield say(x)
    finally: LOG.append(('out', x))
async def main():
    b = nap(1)
    got = await asyncio.gather(*(part(i) for i in range(4)), return_exceptions=True)
    total = 0
    async for v in agen(3):
        total += f(v)
        if v == 2: break
    else: total = -1
    async with held(3) as h:
        for x in range(3):
            if x == 1: continue
            total += f(x)
        while total < 40: total = f(total)
    sq = [v async for v in agen(3) if (w := await part(v)) != 3]
    for t in [asyncio.create_task(part(x)) for x in range(2)]:
        total += await t
    return [repr(g) for g in got], total, h, sq, w
print(asyncio.run(main()))
print(LOG)
""",
    "tried again with state": """
tries = []
def flaky(n):
    tries.append(n)
    if len(tries) < 3: raise KeyError(n)
    return len(tries)
nap()
for attempt in range(5):
    try:
        got = flaky(attempt)
    except KeyError as e:
        wait = f(attempt)
        print('again', e, wait)
    else:
        print('got', got)
        break
    finally:
        n = len(tries)
while True:
    try:
        more = bad(n)
        if more > 5: break
        n = more
    except ValueError:
        n = f(n)
print(tries, attempt, got, wait, n, more)
""",
    "exceptions with causes": """
def wrap(x):
    try:
        return bad(x)
    except ValueError as e:
        raise RuntimeError(f'no {x}') from e
nap()
for x in [1, 3]:
    try:
        y = wrap(x)
    except RuntimeError as e:
        print(repr(e), repr(e.__cause__), e.__suppress_context__)
        try:
            raise
        except RuntimeError as again:
            kept = again
            print(again is e)
try:
    try:
        bad(3)
    finally:
        bad(8)
except ValueError as e:
    print(e, repr(e.__context__))
try:
    for x in range(5): z = bad(x)
except ValueError: print(z, x)
print(repr(kept), y)
""",
    "nested functions that bind": """
def main():
    total, calls = 0, []
    def add(x):
        nonlocal total
        total += f(x)
        calls.append(x)
        return total
    nap()
    for x in range(3):
        y = add(x)
        z = f(y)
    for x in range(2):
        def add2(v, x=x): return add(v + x)
        z = add2(f(1))
    w = [add(v) for v in range(2)]
    return total, calls, y, z, w
print(main())
""",
    "two loops that need each other through a list": """
q, done = [1, 2, 3], []
nap()
while q:
    x = q.pop()
    done.append(f(x))
    if x == 2: q.extend([7, 8])
while done:
    v = done.pop(0)
    if f(v) > 20: break
else: print('all')
print(q, done, v, x)
""",
    "an item changed while it is looped over": """
l, d = [3, 1, 2], {'a': 1}
nap()
for x in l:
    y = f(x)
    if x == 1: l.append(9)
    if x == 3: l[1:1] = [5]
print(l, x, y)
try:
    for k in d:
        z = f(d[k])
        d[k * 2] = z
except RuntimeError as e: print(e, d)
for i, x in enumerate(l):
    if i > 1: l = [0]; continue
    w = f(x)
print(l, i, x, w)
""",
    "names of builtins and hidden names": """
nap()
for list in [made(1), made(2)]:
    x = f(list[0])
del list
for sum in range(2):
    print = say
    print(f(sum))
    del print
def main():
    for len in range(3): v = f(len)
    while v > 0: v = v - 3 - len
    return v, len
print(main(), list((1, 2)), x, sum)
""",
    "one object under several names": """
a = b = made(1)
c = [a, b]
nap()
for x in range(2):
    grow(a, x)
    b = made(f(x))
    if x: a = b
for x in range(2):
    grow(c[0], x)
    grow(c, x)
print(a is b, a, c, c[0] is c[1])
def main():
    m = {'l': made(0)}
    n = dict(m)
    nap()
    for x in range(3): grow(m['l'], f(x))
    for x in range(2): n['k'] = grow(n['l'], x)
    if f(2) > 3: m = n
    return m is n, m, n['l'] is m['l']
print(main())
""",
    "chained and unpacked": """
nap()
for (i, (j, *k)), v in zip(enumerate([(1, 2, 3), (4, 5)]), itertools.count()):
    a, *b, c = f(i), *made(j), v
    x = y = [f(v)]
    x += [1]
    (p, q), r = (a, c), x is y
print(i, j, k, v, a, b, c, x, y, p, q, r)
e = 1
e, g = f(e), e
for e in (h := [f(e), g]): e, e1 = e + 1, e
print(e, e1, h)
""",
    "while true with returns from with": """
def main(n):
    nap()
    while True:
        with Box() as b:
            n = bad(n, 4)
            if n > 3: return b.items, n
            for x in range(n):
                b.items.append(f(x))
                if x == 2: break
            else: continue
            raise KeyError(n)
        print('swallowed', n)
        n = n + 1
        if n > 7: return n
for start in (1, 2, 5):
    try:
        print(main(start))
    except ValueError as e:
        print('failed', e)
""",
    "tasks cancelled, groups and shields": """
async def slow(i):
    try:
        await asyncio.sleep(i / 50)
        return f(i)
    except asyncio.CancelledError:
        say(('cancelled', i))
        raise
async def main():
    nap()
    ts = [asyncio.create_task(slow(i)) for i in (0, 30, 1)]
    done, rest = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)
    for t in ts:
        if t in rest: t.cancel()
    got = await asyncio.gather(*ts, return_exceptions=True)
    try:
        await asyncio.wait_for(slow(40), 0.01)
    except asyncio.TimeoutError:
        n = f(3)
    q = asyncio.Queue()
    async def worker():
        while (item := await q.get()) is not None:
            say(f(item))
    w = asyncio.create_task(worker())
    for x in range(3): q.put_nowait(f(x))
    q.put_nowait(None)
    await w
    return len(done), [type(g).__name__ for g in got], n
print(asyncio.run(main()))
""",
    "lazy things that live on": """
nap()
k = 2
lazy = map(lambda v: f(v) + k, range(3))
for k in range(5, 7): y = f(k)
print(list(lazy), y)
pairs = zip((f(v) for v in range(3)), itertools.count(k))
k = 100
for a, b in pairs:
    z = f(a)
    if a > 1: break
print(a, b, z, next(pairs))
fs = [functools.partial(f, v) for v in range(3)]
for g in fs: w = g(1, 2)
print(w, [g() for g in fs])
@functools.lru_cache(None)
def memo(v): return say(v)
for v in [1, 2, 1]: m = memo(v) + f(v)
print(m, memo.cache_info().hits)
""",
    "global and nonlocal in turns": """
N = 0
def bump(x):
    global N
    N += f(x)
    return N
def main():
    global M
    nap()
    for M in range(3):
        a = bump(M)
        b = f(N)
    for x in range(2):
        c = f(N)
        N2 = bump(x)
    return a, b, c, N2
print(main(), N, M)
for N in range(2): d = bump(N)
print(N, d)
""",
    "an end in the middle": """
import sys, atexit
atexit.register(print, 'bye')
nap()
for x in range(3):
    y = f(x)
    print(x, y)
try:
    for x in range(4):
        if f(x) == 4: sys.exit(say(3))
finally:
    print('finally', x)
print('never')
""",
    "asserts and notes": """
def main(xs):
    a = nap(1)
    for x in xs:
        assert f(x) < 7, f'too big: {f(x)}'
        try:
            bad(x)
        except ValueError as e:
            e.note = x
            err = e
    return a, err.note, repr(err)
print(main([1, 3]))
for x in range(3):
    try:
        print(main([x, x + 3]))
    except (AssertionError, UnboundLocalError) as e:
        print(type(e).__name__, e)
main([3, 4])
""",
    "warnings and contexts that nest": """
nap()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter('always')
    for x in range(3):
        warnings.warn(f'w{x}')
        y = f(x)
print([str(w.message) for w in seen], y)
with contextlib.ExitStack() as stack:
    boxes = [stack.enter_context(Box()) for _ in range(2)]
    for b in boxes: b.items.append(f(1))
    stack.callback(print, 'callback')
with contextlib.suppress(ValueError), Box() as b:
    for x in range(5): b.items.append(bad(x))
print(b.items, x)
with contextlib.redirect_stdout(open('/dev/null', 'w')) as null:
    for x in range(2): z = say(f(x))
print(z, x)
""",
    "recursion and mutual loops": """
def depth(t):
    n = 0
    for v in t:
        n = max(n, depth(v) if isinstance(v, list) else f(0))
    return n + 1
def walk(t):
    for v in t:
        if isinstance(v, list): yield from walk(v)
        else: yield f(v)
nap()
tree = made(1)
for i in range(3): tree = [tree, made(i)]
w = depth(tree)
total = 0
for v in walk(tree):
    total += v
    if total > 9: break
while depth(tree) > 2: tree = tree[0]
print(w, total, tree, v)
""",
    "conditions that do things": """
l = []
nap()
if grow(l, 1) > 1 or grow(l, 2) > 1 and not grow(l, 3) > 9: a = f(len(l))
x = f(1) if l.pop() == 3 else f(2) if l else bad(3)
while grow(l, f(len(l))) < 6: b = f(len(l)) if len(l) % 2 else say(len(l))
for v in l if f(1) > 9 else l[:2]: c = f(v) and say(v) or f(9)
print(l, a, x, b, c, f(0) < f(1) < f(2), not f(0))
""",
    "strings, slices and sets": """
nap()
s = ''
for ch in 'abc': s += ch * f(1)
st = set()
for x in [3, 1, 2, 3]: st.add(f(x)); n = len(st)
for x in range(2): s = s[1:] + f'{f(x):>3}' + '%d' % f(x)
b = bytearray(3)
for i in range(3): b[i] = f(i)
t = ()
for x in range(3): t += (f(x), t[-1:])
frozen = frozenset(f(x) for x in range(3))
print(repr(s), sorted(st), n, b, t, sorted(frozen))
""",
    "a class body that works": """
nap()
class Table:
    rows = []
    for i in range(3): rows.append(f(i))
    if rows[0] == 0: first = f(9)
    else: other = 1
    def size(self): return f(len(self.rows))
    @property
    def p(self): return [f(r) for r in self.rows]
    @classmethod
    def of(cls, x):
        for _ in range(2): cls.rows.append(f(x))
        return cls()
for k in range(2):
    t = Table.of(k)
    u = t.size()
print(Table.rows, Table.i, Table.first, u, t.p, hasattr(Table, 'other'))
""",
    "an arm among the operands changes what a later operand reads": """
LOG = []
def uses(x):
    time.sleep(0.002)
    return x + len(LOG)
def log(x):
    LOG.append(x)
    return len(LOG)
def slow(x):
    time.sleep(0.002)
    return x + 1
def box(x):
    for i in range(2): pass
    return [x]
def pair(a, b): return a, b
if len(LOG) == 0:
    u = 3
    h = box(1)
    k = pair(log(8) if slow(u) % 3 else u, uses(len(h)))
    print(h, k)
async def main():
    u = 3
    h = box(1)
    k = pair(log(8) if slow(u) % 3 else u, uses(len(h)))
    print(h, k)
asyncio.run(main())
""",
    "what exceptions hold is what was there": """
import time
def nap(x=0): time.sleep(0.1); return x
def fail(x):
    time.sleep(0.02)
    raise ValueError(x)
def safe(x):
    try:
        fail(x)
    except ValueError as e:
        return e.args
def err(x):
    try: fail(x)
    except ValueError as e: return e
class Box(Exception):
    def __init__(self, x): self.x = x
def boxed(x):
    time.sleep(0.02)
    try: raise Box(x)
    except Box as b: return b.x
def main():
    payload = [1]
    other = {"k": []}
    p = nap()
    r = safe(payload)
    q = boxed(other)
    z = err(payload)
    print(r[0] is payload, q is other, z.args[0] is payload, p)
    r[0].append(2)
    q["k"].append(3)
    print(payload, other)
main()
""",
    "what exceptions hold is changed in arms": """
import time
def nap(x=0): time.sleep(0.02); return x
def cnt(l): time.sleep(0.02); return len(l)
def exc(l): time.sleep(0.01); return ValueError(l)
if nap(1):
    a, b, c = [1], [2], [3]
    r = exc(a); r.args[0].append(1); print(cnt(a))
    r = ValueError(b); r.args[0].append(1); print(cnt(b))
    try: raise KeyError(c)
    except KeyError as e: e.args[0].append(1)
    print(cnt(c))
def main():
    if nap(1):
        a, b = [1], [2]
        try: raise KeyError({"k": a})
        except KeyError as e: kept = e
        kept.args[0]["k"].append(1)
        print(cnt(a))
        try: raise ValueError(1, b)
        except ValueError as e: one, two = e.args
        two.append(1)
        print(cnt(b))
main()
""",
    "what exceptions hold in turns and arms": """
import time
def nap(x=0): time.sleep(0.03); return x
def fail(x):
    time.sleep(0.02)
    raise ValueError(x)
def safe(x):
    try:
        fail(x)
    except ValueError as e:
        return e.args
def main():
    for k in range(4):
        payload = [k, 1]
        r = safe(payload)
        q = nap(k)
        print(r[0] is payload, q)
    shared = [5]
    for k in range(4):
        r = safe(shared)
        print(r[0] is shared)
    if k:
        lit = {"a": []}
        n1 = nap(1)
        u = safe(lit)
        n2 = nap(2)
        print(u[0] is lit, n1, n2)
    us = [safe(shared) for k in range(3)]
    print([x[0] is shared for x in us])
main()
for k in range(4):
    payload = [7]
    r = safe(payload)
    print(r[0] is payload, nap(k))
""",
    "what exceptions hold in functions and coroutines": """
import time, asyncio
def fail(x):
    time.sleep(0.02)
    raise ValueError(x)
def safe(x):
    try:
        fail(x)
    except ValueError as e:
        return e.args
def nap(x=0): time.sleep(0.03); return x
def group(n):
    lit = [n]
    a = nap(n)
    b = safe(lit)
    return a, b, b[0] is lit
async def co(n):
    lit = [n]
    b = safe(lit)
    a = nap(n)
    await asyncio.sleep(0)
    return a, b, b[0] is lit
def main():
    x = group(1)
    y = group(2)
    print(x, y)
main()
async def amain():
    print(await asyncio.gather(co(1), co(2), co(3)))
asyncio.run(amain())
""",
    "exceptions hold globals that tasks bind later": """
import time
def nap(x=0): time.sleep(0.06); return x
def make(n): time.sleep(0.02); return [n]
PAYLOAD = [1]
OTHER = make(5)
def fail():
    time.sleep(0.02)
    raise ValueError(PAYLOAD, OTHER)
def safe():
    try:
        fail()
    except ValueError as e:
        return e.args
p = nap(1)
r = safe()
try:
    fail()
except ValueError as e:
    a = e.args
for k in range(3):
    try:
        fail()
    except ValueError as e:
        b = e.args
print(r[0] is PAYLOAD, r[1] is OTHER, a[0] is PAYLOAD, a[1] is OTHER, b[0] is PAYLOAD, p)
old = PAYLOAD
PAYLOAD = make(3)
OTHER = make(4)
q = nap(2)
s = safe()
print(s[0] is PAYLOAD, s[1] is OTHER, r[0] is old, q)
def mutate():
    try: fail()
    except ValueError as e: e.args[0].append(9)
w = nap(3)
v = mutate()
print(PAYLOAD, w, v)
""",
    "exceptions lead to what is changed": """
import time
def nap(x=0): time.sleep(0.06); return x
def fail(x):
    time.sleep(0.02)
    raise ValueError(x)
def mutate(x):
    try: fail(x)
    except ValueError as e: e.args[0].append(9)
    return len(x)
def quiet(x):
    try: fail(x)
    except ValueError as e: e.args[0]["k"] = 9
def main():
    payload = [1]
    d = {}
    e = {"k": {1, 2}}
    p = nap(1)
    m = mutate(payload)
    n = quiet(d)
    q = nap(2)
    print(payload, d, m, n, p, q)
    try:
        fail(e["k"])
    except ValueError as x:
        got = x.args[0]
        got.add(3)
    print(e, got is e["k"])
main()
""",
}


@pytest.mark.parametrize("turns", [False, True])
def test_is_as_native(tmp_path_factory: pytest.TempPathFactory, turns: bool) -> None:
    drivers = {name: {"driver.py": HEAD + text} for name, text in DRIVERS.items()}
    found = run_batch(tmp_path_factory.mktemp("nasty"), drivers, jobs=4 if turns else 2, turns=turns)
    assert differences(found) == {}
