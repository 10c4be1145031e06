"""Drivers that change things behind the analysis' back, or that look as if they did: natively and with four processes.

Each was written to find a wrong claim of independence; those that did are what these tests are for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import assert_set_is_same, in_sets
from compare import assert_same

DRIVERS: dict[str, str] = {
    "waits for children though it has none": """
import os, time
def slow(x):
    time.sleep(0.15)
    return [x]
def wait(way):
    try:
        return way()
    except ChildProcessError as error:
        return str(error)
a = slow(1)
b = slow(2)
c = slow(3)
print(wait(lambda: os.waitpid(-1, os.WNOHANG)))
print(wait(os.wait))
d = [slow(x) for x in range(4)]
print(wait(os.wait), a, b, c, d)
""",
    "waits for any child": """
import os, subprocess, time
def slow(x):
    time.sleep(0.15)
    return [x]
def child():
    started = subprocess.Popen(['true'])
    return os.wait()[0] == started.pid
a = slow(1)
b = slow(2)
print(child())
c = [slow(x) for x in range(4)]
print(child(), a, b, c)
""",
    "is told of the end of its children": """
import os, signal, subprocess, time
told = []
signal.signal(signal.SIGCHLD, lambda number, frame: told.append(number))
def slow(x):
    time.sleep(0.15)
    return [x]
a = slow(1)
b = slow(2)
c = [slow(x) for x in range(4)]
subprocess.run(['true'])
time.sleep(0.1)
print(len(told), a, b, c)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
d = slow(3)
e = slow(4)
f = [slow(x) for x in range(4)]
print(len(told), d, e, f)
""",
    "mutate via closure": """
import time
data = {'a': [1, 2, 3]}
def hidden(fn): return fn()
def slow_mut():
    time.sleep(0.1)
    data['a'].append(4)
    return len(data['a'])
def total(): return sum(data['a'])
n = hidden(slow_mut)
t = total()
print(n, t)
""",
    "getattr mut": """
import time
class Box:
    def __init__(self): self.v = [0]
def poke(b, name):
    time.sleep(0.1)
    getattr(b, name).append(1)
def read(b): return list(b.v)
b = Box()
poke(b, 'v')
r = read(b)
poke(b, 'v')
s = read(b)
print(r, s)
""",
    "alias deep": """
import time
def mk():
    inner = [1]
    return {'x': inner}, {'y': inner}
def mut(d):
    time.sleep(0.1); d['x'].append(2); return None
def look(d): return sum(d['y'])
a, b = mk()
mut(a)
r = look(b)
print(r)
""",
    "file symlink": """
import os, time
def w():
    time.sleep(0.1)
    open('real.txt', 'w').write('new')
def r(): return open('link.txt').read()
open('real.txt', 'w').write('old')
os.symlink('real.txt', 'link.txt')
w()
a = r()
print(a)
""",
    "chdir": """
import os, time
def go():
    time.sleep(0.1); os.makedirs('sub', exist_ok=True); os.chdir('sub')
def w(): open('f.txt', 'w').write(os.getcwd().split('/')[-1])
go()
w()
print(sorted(os.listdir('.')))
""",
    "write order": """
import time
def log(msg, d):
    time.sleep(d)
    with open('log.txt', 'a') as f: f.write(msg + '\\n')
log('one', 0.2)
log('two', 0.05)
log('three', 0)
print(open('log.txt').read())
""",
    "exists": """
import os, time
def mk(p): time.sleep(0.1); open(p, 'w').close()
def chk(p): return os.path.exists(p)
a = chk('x')
mk('x')
b = chk('x')
os.remove('x')
c = chk('x')
print(a, b, c)
""",
    "fail then write": """
import time
def slow_fail(): time.sleep(0.2); raise RuntimeError('no')
def w(p): open(p, 'w').write('x'); print('wrote', p)
w('a')
slow_fail()
w('b')
""",
    "fail caught": """
import time
def slow_fail(): time.sleep(0.1); raise RuntimeError('no')
def w(p): open(p, 'w').write('x'); print('wrote', p); return p
x = w('a')
try:
    slow_fail()
    y = w('b')
except RuntimeError as e:
    z = w('c')
v = w('d')
print(x, z, v)
""",
    "print between": """
import time
def f(i, d): time.sleep(d); print('f', i); return i
a = f(1, .15); b = f(2, 0.0); print('mid'); c = f(3, .05); d = f(4, 0)
print(a + b + c + d)
""",
    "lru": """
import functools, time
@functools.lru_cache
def load(k): time.sleep(.05); print('load', k); return [k]
def use(k): l = load(k); l.append(len(l)); return l
a = use(1); b = use(2); c = use(1); d = load(2)
print(a, b, c, d, a is c)
""",
    "class attr": """
import time
class Cfg: rate = 1
def setr(r): time.sleep(.1); Cfg.rate = r
def calc(x): return x * Cfg.rate
a = calc(2); setr(5); b = calc(2); setr(7); c = calc(2)
print(a, b, c)
""",
    "setattr dyn": """
import time, sys
mod = sys.modules[__name__]
K = 1
def st(n, v): time.sleep(.1); setattr(mod, n, v)
def g(): return K
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "np global seed": """
import numpy as np, time
def noise(n): return np.random.normal(size=n).round(6).tolist()
def work(x): time.sleep(.05); return x + 1
np.random.seed(1)
a = noise(2); b = work(1); c = noise(2); d = work(2); e = noise(1)
print(a, b, c, d, e)
""",
    "rng object": """
import numpy as np
rng = np.random.default_rng(0)
def draw(r, n): return r.integers(0, 100, n).tolist()
a = draw(rng, 3); b = draw(rng, 3); c = draw(np.random.default_rng(0), 3)
print(a, b, c)
""",
    "df inplace": """
import pandas as pd, time
def add(df): time.sleep(.05); df['z'] = df.x + 1
def drop(df): df.drop(columns='x', inplace=True)
def cols(df): return list(df.columns)
df = pd.DataFrame({'x': [1, 2], 'y': [3, 4]})
a = cols(df); add(df); b = cols(df); drop(df); c = cols(df)
print(a, b, c)
""",
    "model fit": """
from sklearn.linear_model import LinearRegression, Ridge
import numpy as np
X = np.arange(10.).reshape(-1, 1); y = X.ravel() * 2 + 1
m1 = LinearRegression(); m2 = Ridge(alpha=.5)
def fit(m): m.fit(X, y); return m
a = fit(m1); b = fit(m2)
p = m1.predict([[3.]]); q = b.predict([[3.]])
print(a is m1, b is m2, p.round(6), q.round(6))
""",
    "default mut": """
import time
def acc(x, l=[]): time.sleep(.03); l.append(x); return l
a = acc(1); b = acc(2); c = acc(3)
print(a, b is a, c)
""",
    "sqlite": """
import sqlite3, time
def ins(db, v):
    time.sleep(.05)
    with sqlite3.connect(db) as c:
        c.execute('create table if not exists t(x)'); c.execute('insert into t values(?)', (v,))
def q(db):
    c = sqlite3.connect(db); r = c.execute('select x from t order by rowid').fetchall(); c.close(); return r
ins('a.db', 1); ins('a.db', 2); a = q('a.db'); ins('a.db', 3); b = q('a.db')
print(a, b)
""",
    "subprocess": """
import subprocess, time
def sh(c): time.sleep(.05); return subprocess.run(c, shell=True, capture_output=True, text=True).stdout
a = sh('echo 1 > f; cat f'); b = sh('echo 2 >> f; cat f'); c = sh('cat f; rm f'); d = sh('ls f 2>&1 | wc -l')
print(a, b, c, d)
""",
    "env sub": """
import os, subprocess
def setv(v): os.environ['QQ'] = v
def get(): return subprocess.check_output('echo $QQ', shell=True, text=True)
a = get(); setv('x'); b = get(); os.environ.pop('QQ'); c = get()
print(repr(a), b, repr(c))
""",
    "tmpfile": """
import tempfile, os, time
def mk(): time.sleep(.05); fd, p = tempfile.mkstemp(dir='.'); os.write(fd, b'x'); os.close(fd); return p
def rd(p): return open(p).read()
a = mk(); b = mk(); c = rd(a); d = rd(b)
os.remove(a); os.remove(b)
print(c, d, a != b)
""",
    "iter shared": """
import itertools
src = iter(range(10))
pairs = zip(src, src)
def nx(it): return next(it)
a = nx(src); b = nx(pairs); c = nx(src); d = list(pairs)
print(a, b, c, d)
""",
    "dict order": """
def put(d, k): d[k] = len(d)
d = {}
put(d, 'b'); put(d, 'a'); e = dict(d); put(e, 'c'); d.pop('b'); put(d, 'b')
print(d, e)
""",
    "warn once": """
import warnings, time
def f(x): time.sleep(.03); warnings.warn('same'); return x
a = f(1); b = f(2); warnings.simplefilter('always'); c = f(3); d = f(4)
""",
    "exit hooks": """
import sys
def f(x): return x
def hook(t, v, tb): print('hooked', t.__name__, v)
sys.excepthook = hook
a = f(1)
raise KeyError('k')
""",
    "recursion error": """
def f(n): return f(n + 1)
def g(x): return x
a = g(1)
try: f(0)
except RecursionError as e: print('rec')
b = g(2)
print(a, b)
""",
    "big array": """
import numpy as np
def mk(n): return np.arange(n, dtype=float)
def s(x): return float(x.sum())
def dbl(x): x *= 2
a = mk(300000); b = mk(200000)
t = s(a); dbl(a); u = s(a); v = s(b); w = a[:10]; dbl(b); w[0] = 5
print(t, u, v, a[0], b[-1])
""",
    "shared result": """
def mk(): l = [1]; return l, l
def app(x): x.append(2); return x
a, b = mk()
c = app(a)
print(b, c is a, a is b)
""",
    "identity none": """
def f(x): return x
def g(): return None
o = object()
a = f(o); b = f(a); c = g(); d = f((o, o))
print(a is o, b is o, c is None, d[0] is d[1], d[0] is o)
""",
    "inf loop cap": """
import time
def busy(n):
    t = 0
    for i in range(n): t += i * i % 7
    return t
a = busy(200000); b = busy(300000); c = busy(100000); d = busy(a % 5 + 10)
print(a, b, c, d)
""",
    "modules and globals 2": """
import time, sys
K = 1
def st(n, v): time.sleep(.1); setattr(sys.modules.get(__name__), n, v)
def g(): return K
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "modules and globals 3": """
import time, sys
K = 1
def st(n, v):
    time.sleep(.1)
    for m in list(sys.modules.values()):
        if m.__name__ == '__main__': m.K = v
def g(): return K
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "modules and globals 4": """
import time, sys
K = 1
def st(n, v): time.sleep(.1); sys.modules['__main__'].__dict__[n] = v
def g(): return K
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "modules and globals 5": """
import time, importlib
K = 1
def st(n, v): time.sleep(.1); vars(importlib.import_module('__main__')).update({n: v})
def g(): return K
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "modules and globals 6": """
import time, sys
K = 1
def st(n, v): time.sleep(.1); sys._getframe(1).f_globals[n] = v
def g(): return K
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "modules and globals 7": """
import time, inspect
K = 1
def g(): return K
def st(n, v): time.sleep(.1); g.__globals__[n] = v
a = g(); st('K', 2); b = g(); st('K', 3); c = g()
print(a, b, c)
""",
    "modules and globals 8": """
import time, gc
D = {'k': 1}
def g(): return D['k']
def st(v):
    time.sleep(.1)
    for o in gc.get_objects():
        if type(o) is dict and o.get('k', None) in (1, 2) and len(o) == 1: o['k'] = v
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "modules and globals 9": """
import time
class C: K = 1
def g(): return C.K
def st(o, v): time.sleep(.1); type(o).K = v
c = C()
a = g(); st(c, 2); b = g(); st(c, 3); d = g()
print(a, b, d)
""",
    "modules and globals 10": """
import time
class C:
    K = 1
    @classmethod
    def put(cls, v): time.sleep(.1); cls.K = v
def g(): return C.K
f = C.put
a = g(); f(2); b = g(); getattr(C, 'put')(3); d = g()
print(a, b, d)
""",
    "modules and globals 11": """
import time, operator
D = {'k': [1]}
def g(): return list(D['k'])
def st(v): time.sleep(.1); operator.itemgetter('k')(D).append(v)
a = g(); st(2); b = g(); st(3); d = g()
print(a, b, d)
""",
    "modules and globals 12": """
import time, functools
L = []
def add(l, v): time.sleep(.1); l.append(v)
p = functools.partial(add, L)
def g(): return list(L)
a = g(); p(2); b = g(); p(3); d = g()
print(a, b, d)
""",
    "modules and globals 13": """
import time
from types import SimpleNamespace as NS
n = NS(x=[1], y=None)
n.y = n.x
def mut(o): time.sleep(.1); o.x.append(5)
def g(o): return list(o.y)
a = g(n); mut(n); b = g(n)
m = NS(**vars(n))
mut(m); c = g(n)
print(a, b, c)
""",
    "modules and globals 14": """
import time, copy
a = [[1], [2]]
b = copy.copy(a)
c = copy.deepcopy(a)
def mut(x): time.sleep(.1); x[0].append(9)
def g(x): return [list(i) for i in x]
mut(a); r = g(b); s = g(c); mut(b); t = g(a)
print(r, s, t)
""",
    "modules and globals 15": """
import time
class N:
    def __init__(s, v, nx=None): s.v = v; s.nx = nx
def last(n):
    while n.nx: n = n.nx
    return n
def mut(n): time.sleep(.1); last(n).v += 1
def tot(n):
    t = 0
    while n: t += n.v; n = n.nx
    return t
tail = N(1); h1 = N(2, tail); h2 = N(3, tail)
a = tot(h1); mut(h1); b = tot(h2); mut(h2); c = tot(h1)
print(a, b, c)
""",
    "modules and globals 16": """
import time
def outer():
    state = []
    def push(v): time.sleep(.1); state.append(v)
    def get(): return list(state)
    return push, get
push, get = outer()
a = get(); push(1); b = get(); push(2); c = get()
print(a, b, c)
""",
    "modules and globals 17": """
import time
class Q:
    def __init__(s): s.items = []
    def __iadd__(s, o): time.sleep(.1); s.items.append(o); return s
    def __len__(s): return len(s.items)
    def __getitem__(s, i): return s.items[i]
    def __contains__(s, x): s.items.append('c'); return False
def size(q): return len(q)
q = Q(); r = q
q += 1
a = size(r); x = 5 in q; b = size(r); q += 3; c = size(q)
print(a, b, c, q[1])
""",
    "state 1": """
import time
K = 1
def st(v):
    global K
    time.sleep(.1); K = v
def g(): return globals()['K']
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "state 2": """
import time, sys
K = 1
def st(v):
    global K
    time.sleep(.1); K = v
def g(): return getattr(sys.modules['__main__'], 'K')
def h(): return sys.modules['__main__'].__dict__.get('K')
def i(n): return vars(sys.modules['__main__'])[n]
a = g(); st(2); b = g(); st(3); c = g()
d = h(); e = i('K'); st(4); f = h(); j = i('K')
print(a, b, c, d, e, f, j)
""",
    "state 3": """
import time
def g(x=[]): return list(x)
def st(v): time.sleep(.1); g.__defaults__[0].append(v)
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "state 4": """
import time
def g(): return g.n
g.n = 1
def st(v): time.sleep(.1); g.n = v
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "state 5": """
import time
def g(): return g.l[-1]
g.l = [1]
def st(v): time.sleep(.1); g.__dict__['l'].append(v)
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "state 6": """
import time
class A:
    pass
def g(o): return o.x
def st(o, v): time.sleep(.1); o.__dict__.update(x=v)
o = A(); o.x = 1
a = g(o); st(o, 2); b = g(o); vars(o)['x'] = 3; c = g(o); object.__setattr__(o, 'x', 4); d = g(o)
print(a, b, c, d)
""",
    "state 7": """
import time
class Meta(type):
    reg = []
    def __new__(m, n, b, d): time.sleep(.02); m.reg.append(n); return super().__new__(m, n, b, d)
def mk(n): return Meta(n, (), {})
def names(): return list(Meta.reg)
a = names(); mk('X'); b = names(); mk('Y'); c = names()
print(a, b, c)
""",
    "state 8": """
import time
class D:
    def __set_name__(s, o, n): s.n = '_' + n
    def __get__(s, i, o): return getattr(i, s.n, 0)
    def __set__(s, i, v): time.sleep(.02); setattr(i, s.n, v); log.append(v)
log = []
class A: x = D()
def put(o, v): o.x = v
def look(): return list(log)
o = A(); put(o, 1); a = look(); put(o, 2); b = look(); print(a, b, o.x)
""",
    "state 9": """
import time
from contextlib import contextmanager
depth = []
@contextmanager
def level(n):
    depth.append(n); time.sleep(.02); yield; depth.pop()
def inside():
    with level(1): return list(depth)
def now(): return list(depth)
a = now(); b = inside(); c = now(); print(a, b, c)
""",
    "state 10": """
import time, collections
cnt = collections.Counter()
def tick(k): time.sleep(.02); cnt[k] += 1; return k
def most(): return cnt.most_common()
a = tick('a'); b = most(); c = tick('b'); d = tick('b'); e = most()
print(b, e)
""",
    "state 11": """
import time, heapq, bisect
h = []
def push(x): time.sleep(.02); heapq.heappush(h, x)
def top(): return h[0]
push(3); a = top(); push(1); b = top(); bisect.insort(h, 0); c = top(); print(a, b, c, h)
""",
    "state 12": """
import time, random
pool = [1, 2, 3, 4]
def shuf(l): time.sleep(.02); random.shuffle(l)
def look(l): return list(l)
random.seed(1)
a = look(pool); shuf(pool); b = look(pool); shuf(pool); c = look(pool); r = random.random(); print(a, b, c, r)
""",
    "state 13": """
import time, numpy as np
x = np.zeros(3)
def fill(y): time.sleep(.02); np.copyto(y, 5)
def add(y): np.add(y, 1, out=y)
def put(y): np.put(y, [0], [9])
def rd(y): return y.tolist()
a = rd(x); fill(x); b = rd(x); add(x); c = rd(x); put(x); d = rd(x); x.resize(5, refcheck=False); e = rd(x); print(a, b, c, d, e)
""",
    "state 14": """
import time, io
buf = io.StringIO()
def w(s): time.sleep(.02); print(s, file=buf)
def rd(): return buf.getvalue()
a = rd(); w('x'); b = rd(); buf.write('y'); c = rd(); print(repr(a), repr(b), repr(c))
""",
    "state 15": """
import time, json, csv
f = open('o.csv', 'w', newline=''); wr = csv.writer(f)
def row(*a): time.sleep(.02); wr.writerow(a)
row(1, 2); row(3, 4); f.flush(); a = open('o.csv').read(); row(5); f.close(); b = open('o.csv').read(); print(repr(a), repr(b))
""",
    "state 16": """
import time, threading
lock = threading.Lock(); seen = []
def add(v):
    with lock: time.sleep(.02); seen.append(v)
def n(): return len(seen)
a = n(); add(1); b = n(); t = threading.Thread(target=add, args=(2,)); t.start(); t.join(); c = n(); print(a, b, c)
""",
    "state 17": """
import time, dataclasses as dc
@dc.dataclass
class P:
    xs: list = dc.field(default_factory=list)
    def add(self, v): time.sleep(.02); self.xs.append(v); return self
p = P(); q = dc.replace(p); r = P()
p.add(1); a = len(q.xs); q.add(2).add(3); b = len(p.xs); c = len(r.xs); print(a, b, c, dc.asdict(p))
""",
    "sharing 1": """
import time
def f(x): time.sleep(.1); return x
def g(x): return x
a = f(1); b = g(2)
names = sorted(k for k in globals() if not k.startswith('_'))
c = f(3)
names2 = sorted(k for k in globals() if not k.startswith('_'))
print(names, names2, sorted(dir())[-3:])
""",
    "sharing 2": """
import time
def f(x): time.sleep(.1); return x
def g(x): return x
def main():
    a = f(1); b = g(2)
    names = sorted(locals())
    c = f(3)
    n2 = sorted(vars())
    d = dir()
    print(names, n2, d)
main()
""",
    "sharing 3": """
import time, copy, dataclasses as dc
@dc.dataclass
class P:
    xs: list
    m: dict = None
def mut(p, v): time.sleep(.05); p.xs.append(v)
def n(p): return len(p.xs)
p = P([]); q = copy.copy(p); r = copy.deepcopy(p); s = dc.replace(p, m={})
mut(p, 1); a = n(q); mut(q, 2); b = n(s); c = n(r); mut(s, 3); d = n(p)
print(a, b, c, d)
""",
    "sharing 4": """
import time
class P:
    def __init__(s): s.xs = []
def mk(p):
    q = P.__new__(P); q.__dict__.update(p.__dict__); return q
def mk2(p):
    q = type(p)(); q.__dict__ = p.__dict__; return q
def mk3(p):
    q = P(); q.__dict__ |= vars(p); return q
def mut(p, v): time.sleep(.05); p.xs.append(v)
def n(p): return len(p.xs)
p = P(); q = mk(p); r = mk2(p); t = mk3(p)
mut(p, 1); a = n(q); mut(q, 2); b = n(r); mut(r, 3); c = n(p); mut(t, 1); d = n(q)
print(a, b, c, d)
""",
    "sharing 5": """
import time, collections
Pt = collections.namedtuple('Pt', 'x y')
p = Pt([1], [2]); q = p._replace(y=[3]); d = p._asdict(); u = collections.ChainMap(d, {'z': []})
def mut(l, v): time.sleep(.05); l.append(v)
def n(l): return len(l)
mut(p.x, 2); a = n(q.x); mut(d['x'], 3); b = n(p.x); mut(u['x'], 4); c = n(q.x)
print(a, b, c)
""",
    "sharing 6": """
import time, itertools
xs = [[1], [2], [3]]
def mut(l, v): time.sleep(.05); l.append(v)
def tot(ls): return sum(map(sum, ls))
ys = list(itertools.chain(xs, [[4]])); zs = list(reversed(xs)); ws = sorted(xs); vs = list(filter(None, xs)); us = dict(enumerate(xs)); ts = list(zip(xs, xs)); ss = {id(x): x for x in xs}; rs = [*xs]; qs = xs[1:]; ps = tuple(xs); os_ = list(itertools.islice(xs, 2)); ns = max(xs)
mut(xs[0], 10)
a = tot(ys), tot(zs), tot(ws), tot(vs), tot(us.values()), tot(t[0] for t in ts), tot(ss.values()), tot(rs), tot(qs), tot(ps), tot(os_), sum(ns)
mut(ns, 100)
b = tot(xs)
print(a, b)
""",
    "sharing 7": """
import time, numpy as np
x = np.arange(6.)
vs = [x.reshape(2, 3), x.T, x[::2], x.ravel(), np.asarray(x), x.view(), np.atleast_2d(x), np.split(x, 2)[0], x[None], np.squeeze(x), x.real, memoryview(x), np.frombuffer(x), np.broadcast_to(x, (2, 6)), np.moveaxis(x[None], 0, 1), np.array(x, copy=False), x.astype(float, copy=False), np.nan_to_num(x, copy=False), np.require(x), np.ma.array(x).data]
def mut(x): time.sleep(.05); x += 1
def s(v): return float(np.asarray(v).sum())
mut(x)
r = [s(v) for v in vs]
r2 = s(vs[0]); r3 = s(vs[5])
mut(x)
q0 = s(vs[0]); q1 = s(vs[2]); q2 = s(vs[4]); q3 = s(vs[7]); q4 = s(vs[12]); q5 = s(vs[16])
print(r, r2, r3, q0, q1, q2, q3, q4, q5)
""",
    "sharing 8": """
import time, pandas as pd, numpy as np
df = pd.DataFrame({'a': [1., 2.], 'b': [3., 4.]})
v = df.values; s = df['a']; t = df.a.values; i = df.iloc[:, 0]; c = df.copy(); u = df.T; w = df[['a']]
def mut(d): time.sleep(.05); d.loc[0, 'a'] = 99.
def tot(x): return float(np.asarray(x).sum())
mut(df)
print(tot(v), tot(s), tot(t), tot(i), tot(c), tot(u), tot(w), tot(df))
def mut2(x): x[:] = 0
mut2(t)
a1 = tot(df); a2 = tot(s)
print(a1, a2)
""",
    "sharing 9": """
import time
def mut(d, k, v): time.sleep(.05); d[k] = v
def look(d): return dict(d)
d = {}
view = d.keys(); items = d.items()
mut(d, 'a', 1)
a = list(view); mut(d, 'b', 2); b = len(items); e = look(d); mut(d, 'c', 3); f = sorted(view)
print(a, b, e, f)
""",
    "sharing 10": """
import time, weakref
class N: pass
reg = weakref.WeakValueDictionary(); reg2 = weakref.WeakSet()
def mk(k): time.sleep(.03); n = N(); reg[k] = n; reg2.add(n); return n
def size(): return len(reg), len(reg2)
a = mk('a'); s1 = size(); b = mk('b'); s2 = size(); del a; s3 = size(); print(s1, s2, s3)
""",
}


BY_COMMAND = ["sharing 6", "state 16", "tmpfile"]
"""Their final values are addresses, thread ids and names of temporary files."""
SETS = in_sets(DRIVERS, r"(numpy|pandas|sklearn|matplotlib|joblib)", 3, BY_COMMAND)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", SETS)
def test_the_same_with_four_processes(tmp_path: Path, part: str) -> None:
    assert_set_is_same(tmp_path, DRIVERS, SETS[part], ("numpy", "pandas") if part == "libraries" else ())


@pytest.mark.parametrize("name", BY_COMMAND)
def test_the_same_by_the_command(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, DRIVERS[name], options=("-j", "4"))


WRITTEN = "STATE = []\ndef g(x):\n    STATE.append(x)\n    return len(STATE)\n"


@pytest.mark.parametrize("form", ["before", "inside", "loop"])
def test_a_module_that_the_driver_writes_before_it_imports_it(form: str, tmp_path: Path) -> None:
    """What was analysed is what stood there before: nothing that was proved of that counts."""
    calls = {
        "before": "import w\ns = slow()\na = w.g(1)\nb = w.g(2)\nc = w.g(3)\nprint(s, a, b, c, w.STATE)",
        "inside": "def use(x):\n    import w\n    return w.g(x)\ns = slow()\na = use(1)\nb = use(2)\nprint(s, a, b, use(5))",
        "loop": "import w\ns = slow()\nprint([w.g(x) for x in range(6)], w.STATE)",
    }[form]
    driver = f"import time\ndef slow():\n    time.sleep(0.3)\nopen('w.py', 'w').write({WRITTEN!r})\n{calls}\n"
    files = {"driver.py": driver, "w.py": "import time\ndef g(x):\n    time.sleep(0.01)\n    return 1\n"}
    assert_same(tmp_path, files, options=("-j", "4"), _INFERFLOW_TURNS="1")
