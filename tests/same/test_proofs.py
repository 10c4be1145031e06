"""Drivers that break what the analysis has proved: behind its back, they change what later tasks read.

Whoever runs ahead must notice, or be noticed at its turn (``worker/proof.py``). Twelve of these gave wrong results before
that was looked at. They run in one process (see ``arena``)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import run_batch
from compare import assert_same, recorded

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

DRIVERS: dict[str, str] = {
    "module found by a made-up name": """
import time, sys
K = 1
PARTS = ['__ma', 'in__', '__di', 'ct__']
def st(v):
    time.sleep(.06)
    object.__getattribute__(sys.modules[PARTS[0] + PARTS[1]], PARTS[2] + PARTS[3])['K'] = v
def g(x): return K + x
def h(x): return x * 2
a = h(1); st(2); b = h(3); c = g(2); st(5); d = g(3); e = h(1)
print(a, b, c, d, e)
""",
    "written through a collector's referents": """
import time, gc
TABLE = {'k': 1}
def st(v):
    time.sleep(.06)
    gc.get_referents(get)[0]
    for part in gc.get_referents(get):
        if isinstance(part, dict) and 'TABLE' in part: part['TABLE']['k'] = v
def get(): return TABLE['k']
def h(x): return x * 2
a = h(1); b = get(); st(2); c = get(); d = h(2); st(3); e = get()
print(a, b, c, d, e)
""",
    "a weak reference's callback": """
import time, weakref
LOG = []
class N: pass
def note(r): LOG.append(len(LOG))
def mk():
    n = N(); refs.append(weakref.ref(n, note)); return n
refs = []
def burn(x): time.sleep(.05); return x
def look(): return list(LOG)
n = mk(); a = burn(1); b = look(); n = burn(2); c = look(); m = mk(); d = burn(3); m = None; e = look(); f = burn(4); g = look()
print(a, b, c, d, e, f, g)
""",
    "del methods": """
import time
LOG = []
class N:
    def __init__(self, k): self.k = k
    def __del__(self): LOG.append(self.k)
def mk(k): return N(k)
def burn(x): time.sleep(.05); return x
def look(): return list(LOG)
n = mk(1); a = burn(1); b = look(); n = burn(2); c = look(); m = mk(2); d = burn(3); del m; e = look()
print(a, b, c, d, e)
""",
    "a signal handler": """
import time, signal
COUNT = 0
def on(*_):
    global COUNT
    COUNT += 1
signal.signal(signal.SIGALRM, on)
signal.setitimer(signal.ITIMER_REAL, .15)
def burn(x):
    end = time.time() + .3
    while time.time() < end: pass
    return x
def look(): return COUNT
a = burn(1); b = look(); c = burn(2); d = look()
print(a, b, c, d)
""",
    "a patched library": """
import time, math
def use(x): return math.floor(x) + math.ceil(x)
def patch():
    time.sleep(.06)
    target = [math]
    setattr(target[0], ''.join(['fl', 'oor']), lambda x: 1000)
def other(x): return x
a = use(1.5); patch(); b = use(1.5); c = other(2); d = use(2.5)
print(a, b, c, d)
""",
    "code replaced in place": """
import time
def one(): return 1
def two(): return 2
def use(): return one()
def swap():
    time.sleep(.06)
    pair = [one, two]
    pair[0].__code__ = pair[1].__code__
a = use(); swap(); b = use(); c = two(); d = use()
print(a, b, c, d)
""",
    "a class that is replaced under its instances": """
import time
class A:
    def v(self): return 'a'
class B:
    def v(self): return 'b'
OBJ = A()
def use(): return OBJ.v()
def swap():
    time.sleep(.06)
    box = [OBJ]
    object.__setattr__(box[0], '__cl' + 'ass__', B)
a = use(); swap(); b = use()
print(a, b)
""",
    "a metaclass that counts": """
import time
class Meta(type):
    made = 0
    def __call__(cls, *a):
        Meta.made += 1
        return super().__call__(*a)
class A(metaclass=Meta):
    def __init__(self, v): self.v = v
def mk(v): time.sleep(.05); return A(v)
def n(): return Meta.made
a = mk(1); b = n(); c = mk(2); d = n(); e = mk(3); f = n()
print(a.v, b, c.v, d, e.v, f)
""",
    "init_subclass registers": """
import time
class Base:
    reg = []
    def __init_subclass__(cls, **k): Base.reg.append(cls.__name__)
def mk(n): time.sleep(.05); return type(n, (Base,), {})
def names(): return list(Base.reg)
a = mk('X').__name__; b = names(); c = mk('Y').__name__; d = names()
print(a, b, c, d)
""",
    "ctypes": """
import time, ctypes
BOX = [1, 2]
def st(v):
    time.sleep(.06)
    ctypes.pythonapi.PyList_SetItem.argtypes = [ctypes.py_object, ctypes.c_ssize_t, ctypes.py_object]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(v))
    ctypes.pythonapi.PyList_SetItem(ctypes.cast(id(BOX), ctypes.py_object).value, 0, v)
def g(): return list(BOX)
def h(x): return x + 1
a = g(); st(7); b = g(); c = h(1); st(8); d = g()
print(a, b, c, d)
""",
    "ctypes on an array's memory": """
import time, ctypes
import numpy as np
X = np.arange(4.)
def addr(a): return a.__array_interface__['data'][0]
P = addr(X)
def st(v):
    time.sleep(.06)
    ctypes.c_double.from_address(P).value = v
def g(): return float(X.sum())
def s(y): return float(y.sum())
y = np.ones(3); Q = addr(y)
a = g(); st(7.); b = g(); c = s(y); st(9.); d = g(); e = s(y)
print(a, b, c, d, e)
P = Q = 0
""",
    "an import hook": """
import time, sys
SEEN = []
class Finder:
    def find_spec(self, name, path, target=None):
        if 'inferflow' not in name: SEEN.append(name)
sys.meta_path.insert(0, Finder())
def use(n): time.sleep(.05); return __import__(n).__name__
def seen(): return [s for s in SEEN if s in ('colorsys', 'chunk', 'this_is_not')]
a = use('colorsys'); b = seen(); c = use('colorsys'); d = seen()
print(a, b, c, d)
""",
    "property with a memory": """
import time
class A:
    hits = []
    @property
    def v(self):
        A.hits.append(1)
        return len(A.hits)
def get(a): time.sleep(.05); return a.v
def n(): return len(A.hits)
x = A(); a = get(x); b = n(); c = get(x); d = n()
print(a, b, c, d)
""",
    "a hash that counts": """
import time
LOG = []
class K:
    def __init__(self, n): self.n = n
    def __hash__(self): LOG.append(self.n); return hash(self.n)
    def __eq__(self, o): LOG.append('eq'); return self.n == o.n
def mk(n): return K(n)
def put(d, k): time.sleep(.05); return {**d, k: 1}
def n(): return list(LOG)
k = mk(1); a = put({}, k); b = n(); c = put(a, mk(1)); d = n()
print(len(a), b, len(c), d)
""",
    "a comparison that counts": """
import time, functools
N = 0
def cmp(a, b):
    global N
    N += 1
    return (a > b) - (a < b)
KEY = functools.cmp_to_key(cmp)
def order(xs): time.sleep(.05); return sorted(xs, key=KEY)
def n(): return N
a = order([3, 1, 2]); b = n(); c = order([5, 4]); d = n()
print(a, b, c, d)
""",
    "an iterator among globals": """
import time, itertools
IDS = itertools.count()
NEXT = IDS.__next__
def make(): time.sleep(.05); return NEXT()
def other(x): return x
a = make(); b = other(1); c = make(); d = other(2); e = make()
print(a, b, c, d, e)
""",
    "exec in another's globals": """
import time
K = [1]
def st(v):
    time.sleep(.06)
    exec(compile('K.append(%d); L = %d' % (v, v), 'x', 'exec'), look.__globals__)
L = 0
def look(): return list(K), L
def h(x): return x
a = look(); st(2); b = look(); c = h(1); st(3); d = look()
print(a, b, c, d)
""",
    "a frame's globals": """
import time, sys
K = 1
def up(): return sys._getframe(2)
def st(v):
    time.sleep(.06)
    up().f_globals['K'] = v
def g(): return K
def h(x): return x
a = g(); st(2); b = g(); c = h(1); st(3); d = g()
print(a, b, c, d)
""",
    "an exception's traceback": """
import time
K = 1
def boom(): raise ValueError
def st(v):
    time.sleep(.06)
    try: boom()
    except ValueError as e: e.__traceback__.tb_next.tb_frame.f_globals['K'] = v
def g(): return K
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "a generator's frame": """
import time
K = 1
def gen():
    yield K
def st(v):
    time.sleep(.06)
    it = gen(); next(it); it.gi_frame.f_globals['K'] = v
def g(): return K
a = g(); st(2); b = g(); st(3); c = g()
print(a, b, c)
""",
    "a closure's cell": """
import time
def outer():
    n = 1
    def get(): return n
    return get
get = outer()
def st(v):
    time.sleep(.06)
    cell = [c for c in get.__closure__][0]
    cell.cell_contents = v
def use(): return get()
a = use(); st(2); b = use(); st(3); c = use()
print(a, b, c)
""",
    "a context variable": """
import time, contextvars
V = contextvars.ContextVar('v', default=0)
def st(v): time.sleep(.06); V.set(v); return v
def g(): return V.get()
a = g(); b = st(2); c = g(); d = st(3); e = g()
print(a, b, c, d, e)
""",
    "registered at exit": """
import time, atexit
def bye(x): print('bye', x)
def reg(x): time.sleep(.05); atexit.register(bye, x); return x
def h(x): return x
a = reg(1); b = h(2); c = reg(3); d = reg(4)
print(a, b, c, d)
""",
    "copyreg": """
import time, copyreg, copy
class P:
    def __init__(self, v): self.v = v
def red(p): return P, (p.v + 100,)
def reg(): time.sleep(.06); copyreg.pickle(P, red)
def cp(p): return copy.copy(p).v
p = P(1)
a = cp(p); reg(); b = cp(p); c = cp(P(2))
print(a, b, c)
""",
    "abc registration": """
import time, abc
class Base(abc.ABC): pass
class X: pass
def reg(c): time.sleep(.06); Base.register(c)
def isit(): return isinstance(X(), Base)
a = isit(); reg(X); b = isit()
print(a, b)
""",
    "singledispatch": """
import time, functools
@functools.singledispatch
def show(x): return 'any'
def reg(t): time.sleep(.06); show.register(t)(lambda x: 'reg ' + t.__name__)
def use(x): return show(x)
a = use(1); reg(int); b = use(1); c = use('x'); reg(str); d = use('x')
print(a, b, c, d)
""",
    "an array behind a memoryview": """
import time, array
A = array.array('d', [1., 2.])
M = memoryview(A).cast('B').cast('d')
def st(v): time.sleep(.06); M[0] = v
def g(): return sum(A)
a = g(); st(2.); b = g(); st(3.); c = g()
print(a, b, c)
""",
    "a frame changed through its block": """
import time, pandas as pd, numpy as np
df = pd.DataFrame({'a': [1., 2.]})
def st(v):
    time.sleep(.06)
    arr = df['a'].to_numpy()
    arr.flags.writeable = True
    arr[0] = v
def g(d): return float(d['a'].sum())
def h(x): return x
a = g(df); st(9.); b = g(df); c = h(1); st(5.); d = g(df)
print(a, b, c, d)
""",
    "locals of the driver's function": """
import time, sys
def poke(v):
    time.sleep(.06)
    sys._getframe(1).f_locals['box'].append(v)
def look(b): return list(b)
def h(x): return x
def main():
    box = [1]
    a = look(box); poke(2); b = look(box); c = h(1); poke(3); d = look(box)
    print(a, b, c, d)
main()
""",
    "a list found by the collector": """
import time, gc
def mk(): return [['mark', 0]]
def poke(v):
    time.sleep(.06)
    for o in gc.get_objects():
        if type(o) is list and len(o) == 2 and o[0] == 'mark': o[1] = v
def look(b): return b[0][1]
def h(x): return x
def main():
    box = mk()
    a = look(box); poke(2); b = look(box); c = h(1); poke(3); d = look(box)
    print(a, b, c, d)
main()
""",
    "a function in a function gets attributes and defaults": """
import time
def nap(): time.sleep(0.06)
def hide(n): return globals()[n]
def twist(f): f.k = 3; f.__defaults__ = (7,)
def main():
    z = [1]
    def views(n, d=1):
        nap()
        return [n, d, getattr(views, 'k', 0), list(z)]
    a = views(6)
    b = views(8)
    hide('twist')(views)
    c = views(9)
    d = views(8)
    z.append(2)
    e = views(1)
    f = views(1)
    def views(n): nap(); return n
    g = views(1)
    h = views(2)
    print(a, b, c, d, e, f, g, h)
main()
""",
    "a function in a function gets other code": """
import time
def nap(): time.sleep(0.06)
def hide(n): return globals()[n]
def twist(f): f.__code__ = (lambda n: ('twisted', n)).__code__
def main():
    def one(n): nap(); return [n]
    def two(n): nap(); return [n, one(n)]
    a = one(1)
    b = two(2)
    hide('twist')(one)
    c = two(3)
    d = one(4)
    print(a, b, c, d)
main()
""",
    "a literal between tasks is changed": """
import time, sys
def h(x): time.sleep(.05); return x
a = h(1)
LIMIT = 10
def g(x): return min(x, LIMIT)
def poke(v): time.sleep(.06); sys.modules[''.join(['__', 'main__'])].__dict__['LIM' + 'IT'] = v
b = g(50); poke(3); c = g(50); d = h(2); poke(5); e = g(50)
print(a, b, c, d, e)
""",
}


@pytest.mark.parametrize("part", range(2))
def test_broken_proofs_are_noticed(tmp_path: Path, part: int) -> None:
    pytest.importorskip("pandas")
    drivers = {name: {"driver.py": text} for name, text in list(DRIVERS.items())[part::2]}
    found = run_batch(tmp_path, drivers, frozenset(), "numpy", "pandas")
    assert {name: difference for name, (difference, *_) in found.items() if difference} == {}
    assert len(found) == len(drivers)


AHEAD = {
    "functions in a function": """
import time
def main():
    def double(n): time.sleep(.3); return [2 * n]
    def both(n): return double(n) + double(n + 1)
    a = double(1); b = both(2); c = double(3)
    print(a, b, c)
main()
""",
    "the driver's module under a second name": """
import multiprocessing, random, time
LUCK = random.Random(3)
def load(n): time.sleep(.3); return Box([n])
class Box:
    def __init__(self, v): self.v = v
def obscure(x): time.sleep(.3); getattr(x, 'v').append(1); return [Box(3), x]
def main():
    a = load(1); m = obscure(a); b = load(2); k = obscure(b)
    print(a.v, m[0].v, k[1] is b, LUCK.random())
main()
""",
}


def test_proofs_and_trust_hold(tmp_path: Path) -> None:
    """Nothing changes behind the analysis: nothing is dropped."""
    drivers = {name: {"driver.py": text} for name, text in AHEAD.items()}
    found = run_batch(tmp_path, drivers, drivers)
    assert {name: (difference, ahead > 0, dropped) for name, (difference, _, ahead, dropped, _) in found.items()} == (
        dict.fromkeys(AHEAD, (None, True, 0))
    )


IMPORTS = """
import time
def load(n):
    import pandas as pd
    time.sleep(.5)
    return float(pd.Series([n, 2]).sum())
def work(n): time.sleep(.5); return [n]
def main():
    p = load(1)
    q = work(2)
    r = work(3)
    print(p, q, r)
    with open("a.txt", "w") as out:
        s = load(2)
        t = work(4)
        u = work(5)
        print(s, t, u, file=out)
main()
"""


IN_STEPS = """
import os, subprocess, time
def load(n):
    import pandas as pd
    time.sleep(.5)
    return float(pd.Series([n, 2]).sum())
def keep(n):
    import joblib
    time.sleep(.5)
    return joblib.hash(n)
def keys(): return sorted(key for key in os.environ if key.startswith('KMP_'))
p = load(1)
print(keys())
q = load(2)
r = keep(3)
print(keys(), subprocess.run('env | grep -c ^KMP_', shell=True, capture_output=True, text=True).stdout)
s = keep(4)
print(p, q, r, s)
"""


def test_tasks_ahead_may_import_libraries(tmp_path: Path) -> None:
    """numpy sets and deletes a variable meanwhile; joblib sets one, which home sets at the task's turn."""
    pytest.importorskip("pandas")
    pytest.importorskip("joblib")
    folder = assert_same(tmp_path, IN_STEPS, options=("-j", "4"))
    assert "(os.putenv)" not in str(recorded(folder))


def test_what_a_library_does_when_it_is_imported_drops_nothing(tmp_path: Path) -> None:
    """numpy puts filters for warnings in front, and tells how its functions are pickled."""
    pytest.importorskip("pandas")
    folder = assert_same(tmp_path, IMPORTS, options=("-j", "4"))
    assert "had been changed" not in str(recorded(folder))
