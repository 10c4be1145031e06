"""More things that change behind the analyzer's back, each looked at before and after: versions, aliases, pinned values
and files that are not among the drivers of ``test_versions``, ``test_pinned`` and ``test_files``.

A case is what a driver defines, and the statements of its ``main``. ``hide('f')(x)`` is a call that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from batch import differences, run_batch

HEAD = """
import time, os, sys, io, collections, functools, itertools, json, copy, types, weakref, operator, random, array, subprocess, shutil, tempfile, sqlite3, glob, pathlib, pickle, contextlib, threading, queue, zipfile, gzip, csv, logging, dataclasses, enum, decimal, re, mmap
def nap(s=.03): time.sleep(s)
def hide(name): return globals()[name]
def say(*x): nap(); return [repr(v) for v in x]
"""

CASES: dict[str, tuple[str, str]] = {
    "slots and dict": (
        """
class A:
    __slots__ = ('x',)
class B(A):
    __slots__ = ('y', '__dict__')
def mk(): nap(); b = B(); b.x = [1]; b.y = 2; b.z = {1: 2}; return b
def poke(b): nap(); b.x.append(len(b.x)); b.z['k'] = b.y; del b.y; return b
def fix(b): nap(); b.y = 7; b.w = 1
def look(b): nap(); return b.x, getattr(b, 'y', None), b.z, getattr(b, 'w', 0)
""",
        """
a = mk()
b = mk()
p = look(a)
hide('poke')(a)
q = look(a)
r = look(b)
hide('fix')(a)
s = look(a)
t = hide('poke')(b)
u = look(b)
print(p, q, r, s, t is b, u)
""",
    ),
    "reduce that loses": (
        """
class R:
    def __init__(self, v): self.v = v; self.log = []
    def __reduce__(self): return (R, (self.v,))
def mk(n): nap(); return R([n])
def use(r): nap(); r.log.append(1); return len(r.log)
def look(r): nap(); return r.v, r.log
""",
        """
a = mk(1)
b = mk(2)
x = hide('use')(a)
y = look(a)
z = use(b)
w = look(b)
v = use(a)
print(x, y, z, w, v, a.log, b.log)
""",
    ),
    "equal to everything": (
        """
class E:
    def __init__(self, v): self.v = v
    def __eq__(self, o): return True
    def __hash__(self): return 1
def mk(n): nap(); return E(n)
def bump(e): nap(); e.v += 1
def look(e): nap(); return e.v
""",
        """
a = mk(1)
b = mk(1)
l = [a, b]
p = look(a)
hide('bump')(a)
q = look(a)
r = look(l[1])
hide('bump')(l[1])
s = look(b)
t = look(l[0])
print(p, q, r, s, t, a == b)
""",
    ),
    "ordered dict moved": (
        """
def mk(): nap(); return collections.OrderedDict(a=1, b=2, c=3)
def move(d): nap(); d.move_to_end('a')
def look(d): nap(); return list(d)
""",
        """
a = mk()
b = mk()
p = look(a)
hide('move')(a)
q = look(a)
r = look(b)
hide('move')(b)
s = look(b)
print(p, q, r, s)
""",
    ),
    "default factory": (
        """
def mk(): nap(); d = collections.defaultdict(list); d['a'].append(1); return d
def change(d): nap(); d.default_factory = lambda: 'gone'
def look(d, k): nap(); return d[k], len(d)
""",
        """
a = mk()
p = look(a, 'x')
hide('change')(a)
q = look(a, 'y')
r = look(a, 'x')
b = mk()
s = look(b, 'z')
print(p, q, r, s, dict(a))
""",
    ),
    "counter chain deque": (
        """
def mk(): nap(); a = {'x': 1}; return collections.Counter('aab'), collections.ChainMap({}, a), a, collections.deque([1, 2, 3], 3)
def poke(c, m, a, d): nap(); c.update('b'); m['y'] = 2; a['x'] = 5; d.rotate(1); d.append(9)
def look(c, m, d): nap(); return c.most_common(), dict(m), list(d), d.maxlen
""",
        """
c, m, a, d = mk()
p = look(c, m, d)
hide('poke')(c, m, a, d)
q = look(c, m, d)
c2, m2, a2, d2 = mk()
r = look(c2, m2, d2)
hide('poke')(c2, m2, a2, d2)
s = look(c2, m2, d2)
print(p, q, r, s)
""",
    ),
    "subclasses with attributes": (
        """
class L(list): pass
class D(dict): pass
class S(str): pass
def mk(): nap(); l = L([1]); l.t = [2]; d = D(a=1); d.t = l; s = S('x'); s.t = d; return l, d, s
def poke(l): nap(); l.t.append(3); l.u = 1
def look(s): nap(); return s, s.t.t.t, vars(s.t.t)
""",
        """
l, d, s = mk()
p = look(s)
hide('poke')(l)
q = look(s)
hide('poke')(s.t.t)
r = look(s)
print(p, q, r, l.t)
""",
    ),
    "array reshaped in place": (
        """
import numpy as np
def mk(): nap(); return np.arange(6)
def shape(a): nap(); a.shape = (2, 3)
def lock(a): nap(); a.flags.writeable = False
def grow(a): nap(); a.resize((8,), refcheck=False)
def look(a): nap(); return a.shape, a.flags.writeable, a.sum()
""",
        """
a = mk()
b = mk()
p = look(a)
hide('shape')(a)
q = look(a)
hide('lock')(a)
r = look(a)
hide('grow')(b)
s = look(b)
print(p, q, r, s, b)
""",
    ),
    "structured and masked": (
        """
import numpy as np
def mk(): nap(); s = np.zeros(3, [('a', 'i4'), ('b', 'f8')]); m = np.ma.array([1, 2, 3], mask=[0, 1, 0]); return s, s['a'], m
def poke(s, m): nap(); s['a'][1] = 5; m.mask[0] = True; m.data[2] = 9; m.fill_value = 7
def look(a, m): nap(); return a.tolist(), m.filled().tolist()
""",
        """
s, a, m = mk()
p = look(a, m)
hide('poke')(s, m)
q = look(a, m)
s2, a2, m2 = mk()
r = look(a2, m2)
hide('poke')(s2, m2)
t = look(a2, m2)
print(p, q, r, t)
""",
    ),
    "object array": (
        """
import numpy as np
def mk(): nap(); a = np.empty(3, object); a[:] = [[1], {'k': 2}, 'x']; return a
def poke(a): nap(); a[0].append(2); a[1]['k'] = a[0]
def look(a): nap(); return a.tolist()
""",
        """
a = mk()
v = a[:2]
p = look(v)
hide('poke')(a)
q = look(v)
r = look(a)
hide('poke')(v)
s = look(a)
print(p, q, r, s)
""",
    ),
    "numpy generators passed": (
        """
import numpy as np
def mk(n): nap(); return np.random.default_rng(n)
def draw(g): nap(); return g.integers(0, 1000, 3).tolist()
def kids(g): nap(); return g.spawn(2)
""",
        """
g = mk(1)
h = mk(2)
a = draw(g)
b = hide('draw')(h)
c = draw(h)
k = kids(g)
d = draw(k[0])
e = hide('draw')(k[1])
f = draw(k[1])
i = draw(g)
r = np.random.RandomState(3)
j = draw(mk(5))
print(a, b, c, d, e, f, i, j, g.spawn(1)[0].integers(9))
""",
    ),
    "python generator object random": (
        """
def mk(n): nap(); return random.Random(n)
def draw(g): nap(); return g.random(), g.gauss(0, 1)
""",
        """
g = mk(1)
h = mk(2)
a = draw(g)
b = hide('draw')(h)
c = draw(h)
d = hide('draw')(g)
e = draw(g)
print(a, b, c, d, e, g.getstate()[-1])
""",
    ),
    "cached property": (
        """
class P:
    def __init__(self, n): self.n = n
    @functools.cached_property
    def big(self): return [self.n] * 3
def mk(n): nap(); return P(n)
def look(p): nap(); return p.big
def bump(p): nap(); p.n += 1
""",
        """
a = mk(1)
b = mk(2)
p = look(a)
hide('bump')(a)
q = look(a)
hide('bump')(b)
r = look(b)
q.append(5)
s = look(a)
print(p, q, r, s, vars(a), vars(b))
""",
    ),
    "closure cells": (
        """
def mk(n):
    nap(); log = [n]
    def add(x): log.append(x); return len(log)
    def get(): return list(log)
    return add, get
def call(f, *a): nap(); return f(*a)
def poke(f): nap(); f.__closure__[0].cell_contents = ['new']
""",
        """
add, get = mk(1)
add2, get2 = mk(2)
a = call(add, 5)
b = call(get)
hide('call')(add2, 6)
c = call(get2)
hide('poke')(get)
d = call(get)
e = call(add, 1)
f = call(get)
print(a, b, c, d, e, f)
""",
    ),
    "enum member and class attributes": (
        """
class K(enum.Enum):
    A = 1
    B = 2
class T:
    reg = []
    n = 0
def mk(): nap(); return T(), K.A
def poke(t, k): nap(); type(t).n += 1; t.reg.append(1); k.extra = type(t).n
def look(t, k): nap(); return t.n, t.reg, getattr(k, 'extra', None), K.A is k
""",
        """
t, k = mk()
u, k2 = mk()
p = look(t, k)
hide('poke')(t, k)
q = look(u, k2)
hide('poke')(u, K.A)
r = look(t, k)
print(p, q, r)
""",
    ),
    "string io": (
        """
def mk(): nap(); s = io.StringIO(); s.write('a\\nb\\n'); s.seek(0); return s
def read(s): nap(); return s.readline()
def write(s): nap(); s.write('zz'); return s.tell()
""",
        """
s = mk()
t = mk()
a = read(s)
b = hide('read')(t)
c = read(t)
d = hide('write')(s)
e = read(s)
print(a, b, c, d, e, s.getvalue(), t.tell())
""",
    ),
    "frozen dataclass": (
        """
@dataclasses.dataclass(frozen=True)
class F:
    v: list
    w: int = 3
@dataclasses.dataclass
class G:
    f: F
    tags: set = dataclasses.field(default_factory=set)
def mk(n): nap(); f = F([n]); return f, G(f)
def poke(f): nap(); object.__setattr__(f, 'w', 9); f.v.append(2)
def look(g): nap(); return g.f.w, g.f.v, sorted(g.tags)
""",
        """
f, g = mk(1)
f2, g2 = mk(2)
p = look(g)
hide('poke')(f)
q = look(g)
r = look(g2)
g2.tags.add('z')
hide('poke')(g2.f)
s = look(g2)
print(p, q, r, s, hash(f2.w))
""",
    ),
    "exceptions changed": (
        """
def mk(): nap(); e = ValueError('a', [1]); e.more = {}; return e
def poke(e): nap(); e.args[1].append(2); e.more['k'] = e; e.add_note('n') if hasattr(e, 'add_note') else None
def look(e): nap(); return e.args, list(e.more), getattr(e, '__notes__', None)
""",
        """
a = mk()
b = mk()
p = look(a)
hide('poke')(a)
q = look(a)
r = look(b)
b.args = ('new', [3])
s = look(b)
hide('poke')(b)
t = look(b)
print(p, q, r, s, t)
""",
    ),
    "frozenset of mutable": (
        """
class V:
    def __init__(self, n): self.n = n
def mk(): nap(); v = V(1); return v, frozenset([v]), {v: 'x'}, (v, [v])
def poke(v): nap(); v.n += 1
def look(fs, d, t): nap(); return [v.n for v in fs], [v.n for v in d], t[0] is t[1][0], t[0].n, t[0] in fs, t[0] in d
""",
        """
v, fs, d, t = mk()
p = look(fs, d, t)
hide('poke')(v)
q = look(fs, d, t)
v2, fs2, d2, t2 = mk()
hide('poke')(t2[1][0])
r = look(fs2, d2, t2)
print(p, q, r, v in d, v2.n)
""",
    ),
    "instance and its dict": (
        """
class A: pass
def mk(n): nap(); a = A(); a.n = n; return a, vars(a)
def poke(d): nap(); d['n'] += 1; d['m'] = d
def look(a): nap(); return a.n, hasattr(a, 'm')
""",
        """
a, d = mk(1)
b, e = mk(2)
p = look(a)
hide('poke')(d)
q = look(a)
b.n = 9
r = look(b)
s = say(e['n'])
hide('poke')(e)
t = look(b)
print(p, q, r, s, t, a.m is d)
""",
    ),
    "list multiplied and self holding": (
        """
def mk(): nap(); m = [[0]] * 3; m.append(m); d = {}; d['d'] = d; return m, d
def poke(m): nap(); m[0].append(1)
def look(m, d): nap(); return m[2], m[3] is m, d['d'] is d, len(d)
""",
        """
m, d = mk()
p = look(m, d)
hide('poke')(m)
q = look(m, d)
n, e = mk()
n[1].append(5)
r = look(n, e)
e['x'] = n
s = look(n, e)
hide('poke')(e['x'])
t = look(n, e)
print(p, q, r, s, t)
""",
    ),
    "generator over a list": (
        """
def mk(): nap(); l = [1, 2, 3]; return l, (x * 2 for x in l), map(str, l), iter(l)
def poke(l): nap(); l.append(len(l) * 10)
def pull(g): nap(); return next(g)
""",
        """
l, g, m, i = mk()
a = pull(g)
hide('poke')(l)
b = list(g)
c = pull(m)
l.insert(0, 9)
d = pull(m)
e = pull(i)
hide('poke')(l)
f = list(i)
h = list(m)
print(a, b, c, d, e, f, h, l)
""",
    ),
    "memory views": (
        """
def mk(): nap(); b = bytearray(b'abcdef'); a = array.array('i', [1, 2, 3]); return b, memoryview(b), a, memoryview(a)
def poke(m, n): nap(); m[0] = 90; n[1] = 77
def look(b, a): nap(); return bytes(b), a.tolist()
""",
        """
b, m, a, n = mk()
p = look(b, a)
hide('poke')(m, n)
q = look(b, a)
m[1:3] = b'ZZ'
r = look(b, a)
b2, m2, a2, n2 = mk()
hide('poke')(m2, n2)
s = look(b2, a2)
print(p, q, r, s)
""",
    ),
    "views of views": (
        """
import numpy as np
def mk(): nap(); x = np.arange(24.).reshape(2, 3, 4); return x, x.T, x[:, ::-1], x.ravel()[3:9], np.lib.stride_tricks.sliding_window_view(x.ravel(), 4)
def poke(x): nap(); x[0, 0, :] = -5
def look(*v): nap(); return [float(w.sum()) for w in v]
""",
        """
x, t, r, f, w = mk()
p = look(t, r, f, w)
hide('poke')(x)
q = look(t, r, f, w)
f += 1
s = look(x, t)
hide('poke')(t)
u = look(x, r, f)
print(p, q, s, u)
""",
    ),
    "weak references": (
        """
class N:
    pass
def mk(): nap(); n = N(); n.v = 1; return n, weakref.ref(n), weakref.WeakValueDictionary({'n': n}), weakref.WeakSet([n])
def poke(n): nap(); n.v += 1
def look(r, d, s): nap(); return r() and r().v, [x.v for x in d.values()], len(s)
""",
        """
n, r, d, s = mk()
p = look(r, d, s)
hide('poke')(n)
q = look(r, d, s)
n2, r2, d2, s2 = mk()
hide('poke')(n2)
t = look(r2, d2, s2)
del n
u = look(r, d, s)
print(p, q, t, u)
""",
    ),
    "contextvars and locals": (
        """
import contextvars
V = contextvars.ContextVar('V', default=0)
L = threading.local()
L.x = [0]
def setv(n): nap(); V.set(n); L.x.append(n)
def look(): nap(); return V.get(), list(L.x)
""",
        """
a = look()
hide('setv')(3)
b = look()
c = contextvars.copy_context()
hide('setv')(4)
d = look()
e = c.run(look)
print(a, b, d, e)
""",
    ),
    "generator in turns": (
        """
def gen():
    total = 0
    while True:
        got = yield total
        total += got or 1
def pull(g): nap(); return next(g)
def send(g, n): nap(); return g.send(n)
def stop(g): nap(); g.close(); return g.gi_frame is None
""",
        """
g = gen()
h = gen()
a = pull(g)
b = hide('pull')(h)
c = send(g, 5)
d = hide('send')(h, 7)
e = pull(g)
f = send(h, 1)
x = hide('stop')(g)
y = stop(h)
print(a, b, c, d, e, f, x, y)
""",
    ),
    "sqlite in turns": (
        """
def table(c): nap(); c.execute('create table t (n)'); c.execute('insert into t values (1)')
def put(c, n): nap(); c.execute('insert into t values (?)', (n,))
def count(c): nap(); return c.execute('select count(*), sum(n) from t').fetchone()
def rows(c): nap(); return c.execute('select n from t')
""",
        """
c = sqlite3.connect('d.db')
table(c)
c.commit()
put(c, 5)
a = count(c)
c.rollback()
b = count(c)
hide('put')(c, 6)
d = count(c)
r = rows(c)
e = next(r)
hide('put')(c, 7)
f = list(r)
c.commit()
c.close()
k = sqlite3.connect('d.db')
g = count(k)
k.close()
print(a, b, d, e, f, g)
""",
    ),
    "archives in turns": (
        """
def add(z, n): nap(); z.writestr(n, n * 3)
def names(z): nap(); return z.namelist()
""",
        """
z = zipfile.ZipFile('z.zip', 'w')
add(z, 'a')
hide('add')(z, 'b')
a = names(z)
z.close()
y = zipfile.ZipFile('z.zip')
b = names(y)
c = hide('names')(y)
d = y.read('b')
y.close()
os.remove('z.zip')
print(a, b, c, d)
""",
    ),
    "futures": (
        """
from concurrent.futures import ThreadPoolExecutor
def job(n): time.sleep(.02); return n * n
def go(p, n): nap(); return p.submit(job, n)
def wait(f): nap(); return f.result()
""",
        """
p = ThreadPoolExecutor(2)
f = go(p, 2)
g = hide('go')(p, 3)
a = wait(f)
b = hide('wait')(g)
p.shutdown()
h = say(f.done(), g.done())
print(a, b, h)
""",
    ),
    "context managers kept open": (
        """
@contextlib.contextmanager
def scope(n, log):
    log.append(('in', n))
    try: yield n
    finally: log.append(('out', n))
def enter(st, n, log): nap(); return st.enter_context(scope(n, log))
def leave(st): nap(); st.close()
""",
        """
log = []
st = contextlib.ExitStack()
a = enter(st, 1, log)
b = hide('enter')(st, 2, log)
c = say(log)
leave(st)
d = say(log)
print(a, b, c, d, log)
""",
    ),
    "exceptions with causes": (
        """
def fail(n):
    nap()
    try: [][n]
    except IndexError as e: raise KeyError(n) from e
def grab(n):
    nap()
    try: fail(n)
    except KeyError as e: return e
def look(e): nap(); return repr(e), repr(e.__cause__), e.__cause__ is e.__context__, e.__traceback__ is not None
def cut(e): nap(); e.__cause__ = None; e.__traceback__ = None
""",
        """
a = grab(1)
b = grab(2)
p = look(a)
hide('cut')(a)
q = look(a)
r = look(b)
hide('cut')(b)
s = look(b)
print(p, q, r, s)
""",
    ),
    "links and times": (
        """
def mk(n): nap(); pathlib.Path(n).write_text(n)
def link(a, b): nap(); os.symlink(a, b)
def hard(a, b): nap(); os.link(a, b)
def add(n): nap(); open(n, 'a').write('+')
def look(n): nap(); return pathlib.Path(n).read_text(), os.stat(n).st_nlink, os.path.islink(n)
def touch(n): nap(); os.utime(n, (1, 1))
def when(n): nap(); return os.stat(n).st_mtime == 1
""",
        """
mk('a')
link('a', 'l')
hide('hard')('a', 'h')
p = look('l')
hide('add')('h')
q = look('a')
add('l')
r = look('h')
hide('touch')('l')
s = when('a')
os.unlink('l')
u = os.path.lexists('l')
print(p, q, r, s, u, sorted(os.listdir('.'))[:3])
""",
    ),
    "children write": (
        """
def sh(c): nap(); return subprocess.run(c, shell=True, capture_output=True, text=True).stdout
def sysm(c): nap(); return os.system(c)
def look(n): nap(); return open(n).read() if os.path.exists(n) else None
def pop(c): nap(); return subprocess.Popen(c, shell=True)
""",
        """
sh('echo one > o.txt')
a = look('o.txt')
hide('sysm')('echo two >> o.txt')
b = look('o.txt')
c = sh('cat o.txt | wc -l')
p = pop('sleep .1; echo three >> o.txt')
p.wait()
d = look('o.txt')
hide('sh')('mv o.txt p.txt')
e = look('o.txt')
f = look('p.txt')
print(a, b, c, d, e, f)
""",
    ),
    "written by C's own open": (
        """
import ctypes
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]; libc.fclose.argtypes = [ctypes.c_void_p]
def put(n, t, m=b'w'): nap(); f = libc.fopen(n, m); libc.fputs(t, f); libc.fclose(f)
def look(n): nap(); return open(n).read() if os.path.exists(n) else None
""",
        """
put(b'c.txt', b'one')
a = look('c.txt')
hide('put')(b'c.txt', b'two', b'a')
b = look('c.txt')
hide('put')(b'd.txt', b'x')
c = look('d.txt')
d = look('e.txt')
put(b'e.txt', b'y')
e = look('e.txt')
print(a, b, c, d, e)
""",
    ),
    "sqlite by files": (
        """
def run(n, sql):
    nap(); c = sqlite3.connect(n); c.executescript(sql); c.commit(); c.close()
def get(n):
    nap()
    if not os.path.exists(n): return None
    c = sqlite3.connect(n); r = c.execute('select * from t order by 1').fetchall(); c.close(); return r
""",
        """
run('a.db', 'create table t (x); insert into t values (1)')
p = get('a.db')
hide('run')('a.db', 'insert into t values (2)')
q = get('a.db')
hide('run')('b.db', "create table t (x); attach 'a.db' as o; insert into t select x * 10 from o.t; insert into o.t values (9)")
r = get('b.db')
s = get('a.db')
shutil.copy('a.db', 'c.db')
run('a.db', 'delete from t')
t = get('c.db')
u = get('a.db')
print(p, q, r, s, t, u)
""",
    ),
    "folders": (
        """
def tree(n): nap(); os.makedirs(n + '/x/y'); open(n + '/x/y/f', 'w').write(n)
def ls(n): nap(); return sorted(os.path.relpath(os.path.join(d, f), n) for d, _, fs in os.walk(n) for f in fs) if os.path.isdir(n) else None
def mv(a, b): nap(); shutil.move(a, b)
def rm(n): nap(); shutil.rmtree(n)
def cp(a, b): nap(); shutil.copytree(a, b)
""",
        """
tree('a')
p = ls('a')
hide('mv')('a', 'b')
q = ls('a')
r = ls('b')
hide('cp')('b', 'a')
s = ls('a')
os.rename('a/x', 'a/z')
t = ls('a')
hide('rm')('b/x')
u = ls('b')
v = sorted(os.listdir('a'))
print(p, q, r, s, t, u, v)
""",
    ),
    "shelves": (
        """
import shelve, dbm.dumb
def put(n, k, v):
    nap(); s = shelve.Shelf(dbm.dumb.open(n, 'c')); s[k] = v; s.close()
def get(n, k):
    nap(); s = shelve.Shelf(dbm.dumb.open(n, 'c')); v = s.get(k); s.close(); return v
""",
        """
put('s', 'a', [1])
a = get('s', 'a')
hide('put')('s', 'a', [2])
b = get('s', 'a')
c = get('s', 'q')
put('s', 'q', {'z': a})
d = hide('get')('s', 'q')
print(a, b, c, d)
""",
    ),
    "working folder": (
        """
def go(n): nap(); os.makedirs(n, exist_ok=True); os.chdir(n)
def put(n): nap(); open(n, 'w').write(os.path.basename(os.getcwd()))
def look(n): nap(); return open(n).read() if os.path.exists(n) else None
""",
        """
put('f')
a = look('f') is None
hide('go')('sub')
b = look('f')
put('f')
c = look('f')
d = look('../f') is None
os.chdir('..')
e = look('sub/f')
hide('go')('sub')
f = look('f')
print(a, b, c, d, e, f)
""",
    ),
}


def driver(name: str) -> dict[str, str]:
    definitions, body = CASES[name]
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return {"driver.py": f"{HEAD}{definitions}def main():\n{lines}main()\n"}


@pytest.mark.parametrize("part", range(2))
def test_what_changes_is_noticed(tmp_path: Path, part: int) -> None:
    pytest.importorskip("numpy")
    names = list(CASES)[part::2]
    assert differences(run_batch(tmp_path, {name: driver(name) for name in names}, (), "numpy", jobs=3)) == {}
