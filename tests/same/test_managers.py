"""Context managers one by one: independent work inside of each is split where what the manager has set up can be carried
(helpers are forked from within), and all is as natively; and what managers, loggers and streams change without naming."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from batch import differences, run_batch

from inferflow.analysis import analyze
from inferflow.model import Source

HEAD = """
import contextlib, decimal, io, logging, os, sqlite3, sys, tempfile, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor
from unittest import mock
def a(x=1):
    time.sleep(.1); return x + 1
def b(x=1):
    time.sleep(.1); return x * 2
def w(x):
    time.sleep(.05); warnings.warn('careful'); return x
def pr(x):
    time.sleep(.05); print('in', x); return x
class Timer:
    def __init__(self, name): self.name = name
    def __enter__(self): self.began = time.perf_counter(); return self
    def __exit__(self, *exc): self.took = time.perf_counter() - self.began; print(self.name, self.took >= 0); return False
@contextlib.contextmanager
def timer(name):
    began = time.perf_counter()
    try: yield
    finally: print(name, time.perf_counter() - began >= 0)
"""

MANAGERS: dict[str, str] = {
    "timer class": """
with Timer("t"):
    p = a()
    q = b()
print(p, q)
""",
    "timer contextmanager": """
with timer("t"):
    p = a()
    q = b()
print(p, q)
""",
    "catch_warnings": """
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    p = a()
    q = b()
print(p, q)
""",
    "catch_warnings record": """
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    p = w(1)
    q = w(2)
print(p, q, len(seen))
""",
    "open write": """
with open("o.txt", "w") as h:
    p = a()
    q = b()
    h.write(f"{p} {q}")
print(open("o.txt").read())
""",
    "open read": """
open("i.txt", "w").write("5")
with open("i.txt") as h:
    n = int(h.read())
    p = a(n)
    q = b(n)
print(p, q)
""",
    "TemporaryDirectory": """
with tempfile.TemporaryDirectory(dir=".") as d:
    p = a()
    q = b()
    open(os.path.join(d, "x"), "w").write(str(p))
    print(os.listdir(d))
print(p, q, os.path.exists(d))
del d
""",
    "ThreadPoolExecutor map": """
with ThreadPoolExecutor(2) as pool:
    r = list(pool.map(a, [1, 2]))
    p = a()
    q = b()
print(p, q, r)
del pool
""",
    "ThreadPoolExecutor submit": """
with ThreadPoolExecutor(2) as pool:
    f = pool.submit(a, 1)
    q = b()
    r = a(5)
print(f.result(), q, r)
del pool
del f
""",
    "ProcessPoolExecutor": """
with ProcessPoolExecutor(2) as pool:
    r = list(pool.map(abs, [1, -2]))
    p = a()
    q = b()
print(p, q, r)
del pool
""",
    "Lock": """
lock = threading.Lock()
with lock:
    p = a()
    q = b()
print(p, q, lock.locked())
""",
    "sqlite": """
con = sqlite3.connect(":memory:")
con.execute("create table t (x)")
with con:
    p = a()
    q = b()
    con.execute("insert into t values (?)", (p,))
print(p, q, con.execute("select * from t").fetchall())
""",
    "suppress": """
with contextlib.suppress(ValueError):
    p = a()
    q = b()
    raise ValueError
print(p, q)
""",
    "redirect_stdout": """
s = io.StringIO()
with contextlib.redirect_stdout(s):
    p = pr(1)
    q = pr(2)
print(p, q, s.getvalue())
""",
    "ExitStack": """
with contextlib.ExitStack() as stack:
    stack.callback(print, "bye")
    p = a()
    q = b()
print(p, q)
""",
    "nullcontext": """
with contextlib.nullcontext(3) as n:
    p = a(n)
    q = b(n)
print(p, q)
""",
    "chdir": """
with contextlib.chdir("/"):
    p = a()
    q = b()
    c = os.getcwd()
print(p, q, c)
""",
    "errstate": """
import numpy as np
with np.errstate(divide="ignore"):
    p = a()
    q = b()
print(p, q)
""",
    "localcontext": """
with decimal.localcontext() as ctx:
    ctx.prec = 5
    p = a()
    q = b()
    r = decimal.Decimal(1) / 3
print(p, q, r)
""",
    "option_context": """
import pandas as pd
with pd.option_context("display.width", 50):
    p = a()
    q = b()
print(p, q)
""",
    "mock.patch": """
with mock.patch("os.getcwd", return_value="x"):
    p = a()
    q = b()
    r = os.getcwd()
print(p, q, r)
""",
    "mock.patch.dict": """
with mock.patch.dict(os.environ, {"K": "v"}):
    p = a()
    q = b()
    r = os.environ["K"]
print(p, q, r, "K" in os.environ)
""",
    "two managers": """
with timer("o"), open("z.txt", "w") as h:
    p = a()
    q = b()
    print(p, q, file=h)
print(p, q)
""",
}
HOME = {
    "catch_warnings record": "IF205",
    "ThreadPoolExecutor map": "IF321",
    "ThreadPoolExecutor submit": "IF321",
    "ProcessPoolExecutor": "IF321",
    "redirect_stdout": "IF321",
}
"""Within these everything stays at home, in order: messages are recorded, threads live, output goes elsewhere. With the
code that says so."""


def drivers() -> dict[str, dict[str, str]]:
    found = {name: {"driver.py": HEAD + text} for name, text in MANAGERS.items()}
    if not hasattr(contextlib, "chdir"):
        del found["chdir"]
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", range(2))
def test_work_within_a_context_is_split(tmp_path: Path, part: int) -> None:
    every = dict(list(drivers().items())[part::2])
    mine = dict(every)
    for turn in range(3):  # on a busy machine helpers may come late
        found = run_batch(tmp_path / str(turn), mine, (), "numpy", "pandas", jobs=4)
        assert differences(found) == {}
        assert [name for name in mine if name in HOME and found[name][4]] == []
        mine = {name: files for name, files in mine.items() if not found[name][4] and name not in HOME}
    assert mine == {}, f"nothing ran beside anything in {sorted(mine)}"


@pytest.mark.parametrize("name", HOME)
def test_what_stays_in_order_says_why(name: str) -> None:
    text = HEAD + MANAGERS[name]
    _, notes = analyze(Source("__main__", "driver.py", "/p/driver.py", text), lambda _: None, "driver.py")
    line = next(number for number, part in enumerate(text.split("\n"), 1) if part.startswith("with "))
    assert [note.code for note in notes if note.span.line >= line and note.code == HOME[name]]


HIDDEN: dict[str, str] = {
    "handlers hold a buffer": """
s = io.StringIO()
log = logging.getLogger('x'); log.addHandler(logging.StreamHandler(s)); log.setLevel(10)
def lg(x):
    time.sleep(.2); log.info('value %d', x); return x
def lg2(x):
    time.sleep(.2); logging.getLogger('x').warning('value %d', x); return x
p = lg(1)
q = lg(2)
print(s.getvalue())
with timer('t'):
    p = lg(1)
    q = lg(2)
print(s.getvalue())
with timer('t'):
    p = lg2(1)
    q = lg2(2)
print(s.getvalue())
z = [lg2(x) for x in [1, 2, 3]]
print(s.getvalue())
""",
    "handlers of the program": """
SEEN = []
class Keep(logging.Handler):
    def emit(self, record): SEEN.append(record.getMessage())
log = logging.getLogger('x')
log.addHandler(Keep())
log.setLevel(10)
def lg(x):
    time.sleep(.05); log.info('value %d', x); return x
def look(x): time.sleep(.05); return len(SEEN) + x
p = lg(1)
q = lg(2)
r = look(1)
for i in range(3): t = lg(i)
if t:
    lg(7)
    u = look(5)
    v = look(6)
print(SEEN, r, t, u, v)
""",
    "a buffer looked at beside what logs": """
s = io.StringIO()
log = logging.getLogger('x')
log.addHandler(logging.StreamHandler(s))
log.setLevel(10)
def lg(x):
    time.sleep(.05); log.info('value %d', x); return x
def lg2(x):
    time.sleep(.05); logging.getLogger('x').warning('value %d', x); return x
p = lg(1)
q = lg(2)
p2 = lg2(1)
q2 = lg2(2)
print(s.getvalue())
""",
    "buffers": """
s = io.StringIO()
def put(x):
    time.sleep(.2); s.write('v'); return x
def out(x):
    time.sleep(.2); print('p', x, file=s); return x
with timer('t'):
    p = put(1)
    q = put(2)
with timer('t'):
    p = out(1)
    q = out(2)
z = [out(x) for x in [1, 2, 3]]
print(s.getvalue())
""",
    "transactions": """
con = sqlite3.connect(":memory:")
con.execute("create table t (x)")
def ins(x):
    time.sleep(.2); con.execute("insert into t values (?)", (x,)); return x
def cnt(x):
    time.sleep(.2); return con.execute("select count(*) from t").fetchone()[0] + x
with con:
    p = ins(1)
    q = cnt(2)
    r = a()
print(p, q, r, con.execute("select * from t").fetchall())
try:
    with con:
        p = ins(5)
        q = a(5)
        raise ValueError
except ValueError: pass
print(con.execute("select * from t").fetchall())
""",
    "contexts of numbers, folders and variables": """
def third(x):
    time.sleep(.2); return decimal.Decimal(x) / 3
def both(x): time.sleep(.2); return os.getcwd(), x
with decimal.localcontext() as ctx:
    ctx.prec = 5
    p = third(1)
    q = third(2)
    z = [third(x) for x in range(3)]
for x in range(4):
    with decimal.localcontext() as ctx:
        ctx.prec = x + 2
        print(third(x), third(1))
print(p, q, z, third(1))
for x in ['/', '/tmp', '/usr']:
    with contextlib.chdir(x):
        print(both(x), both(1))
for x in ['1', '2', '3']:
    with mock.patch.dict(os.environ, {'K': x}):
        def k(y): time.sleep(.2); return os.environ['K'] + y
        print(k(x), k('z'))
""",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
def test_what_is_changed_without_being_named(tmp_path: Path) -> None:
    mine = {name: {"driver.py": HEAD + text.replace("(.2)", "(.04)")} for name, text in HIDDEN.items()}
    if not hasattr(contextlib, "chdir"):
        del mine["contexts of numbers, folders and variables"]
    assert differences(run_batch(tmp_path, mine, jobs=(2, 4))) == {}


SWALLOWED = """
class Swallows(Timer):
    def __exit__(self, kind, *exc): return kind is ValueError
@contextlib.contextmanager
def hides(*kinds):
    try: yield
    except kinds: print('hidden')
@contextlib.contextmanager
def leaves():
    try: yield
    finally: return
def bad(x):
    time.sleep(.01)
    if x: raise ValueError(x)
    return 'good'
def read(x):
    time.sleep(.01); return x
def main(fail):
    x = 'before'
    with Swallows('s'): p = bad(fail); x = bad(fail)
    q = read(x)
    with hides(ValueError): x = bad(0); y = bad(fail)
    r = read(x)
    with leaves(), timer('t'): z = 'set'; z = bad(fail); u = z
    s = read(z)
    with contextlib.suppress(ValueError), threading.Lock(): v = bad(fail)
    lock = threading.Lock()
    with lock: k = bad(0)
    with timer('k') as none, Timer('l'): l = bad(0)
    t = read(k), read(l), read(none)
    print(q, r, s, t, x, z)
    try:
        with timer('f'): n = bad(fail)
        print(read(n))
    except ValueError as error: print('failed', error)
    for name in ('u', 'v', 'p', 'y', 'n'):
        print(name, name in locals())
    return read(v)
print(main(0))
print(main(1))
"""


def test_names_that_a_swallowed_exception_left_unbound(tmp_path: Path) -> None:
    drivers = {"driver": {"driver.py": HEAD + SWALLOWED}}
    calls = "print(main(0))\nprint(main(1))\n"
    for fail in ("0", "1"):
        drivers[fail] = {"driver.py": HEAD + SWALLOWED.replace(calls, f"print(main({fail}))\n")}
        body = SWALLOWED.partition("def main(fail):\n")
        lines = body[2].partition("    return read(v)")[0].replace("\n    ", "\n").removeprefix("    ")
        lines = lines.replace("in locals()", "in globals()").replace("fail)", f"{fail})")
        drivers[f"{fail}, in the module"] = {"driver.py": f"{HEAD}{body[0]}{lines}print(read(v))\n"}
    assert differences(run_batch(tmp_path, drivers, jobs=(2, 4), turns=True)) == {}
