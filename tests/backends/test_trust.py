"""What runs ahead without proof, for real: whatever its code, or the code before it, turns out to do, the result is
native's.

The functions hide from the analysis (``globals()[name]``, ``getattr``), so that it takes them for unknown code; each
driver says which of its tasks are expected to have run ahead, and why the others did not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from compare import both, environment, recorded

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="C code is only watched on Linux")

HIDE = """
import time
def slow(t=0.5):
    time.sleep(t)
    return t
def hide(name):
    return globals()[name]
"""


def run(tmp_path: Path, driver: str, jobs: int = 3, **files: str | bytes) -> list[tuple[str, str, str, str]]:
    """Assert that the driver gives the same both ways; the attempts of the inferred run: task, where, status, why."""
    native, inferred, folder = both(tmp_path, {"driver.py": driver, **files}, options=("--jobs", str(jobs)))
    assert inferred == native
    return attempts_of(folder)


def attempts_of(folder: Path) -> list[tuple[str, str, str, str]]:
    """The attempts of the last run: task, where, status, why."""
    facts = recorded(folder)
    return [
        (task["task"], attempt["where"], attempt["status"], attempt.get("why", ""))
        for task in facts["tasks"]
        for attempt in task["attempts"]
    ]


def ahead(attempts: list[tuple[str, str, str, str]]) -> list[str]:
    return [name for name, where, status, _ in attempts if where == "ahead" and status == "retired"]


def dropped(attempts: list[tuple[str, str, str, str]], name: str) -> str:
    return "; ".join(why for task, _, status, why in attempts if task == name and status == "dropped")


# -- files are kept back ----------------------------------------------------------------------------

SAVING = """
import os, pathlib
def slow(t=0.5):
    import time
    time.sleep(t)
    return t
"""


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_files_are_written_at_the_task_s_turn(tmp_path: Path, jobs: int) -> None:
    driver = (
        SAVING
        + """
def save(x, name):
    os.makedirs("out/deep", exist_ok=True)
    with open(os.path.join("out/deep", name), "w") as f:
        f.write(str(x))
    with open("log.txt", "a") as f:
        f.write(name + "\\n")
def main():
    s = slow()
    print(os.path.exists("out"))
    save([1], "a.txt")
    save([2] * 100_000, "b.txt")
    pathlib.Path("out/deep/c.txt").write_text("c")
    print(sorted(os.listdir("out/deep")), open("log.txt").read())
main()
"""
    )
    attempts = run(tmp_path, driver, jobs, **{"log.txt": "before\n"})
    if jobs > 1:
        assert "save" in ahead(attempts)


@pytest.mark.parametrize(
    "body",
    [
        "f = open('a.txt', 'w'); f.write('x'); f.close(); open('a.txt', 'a').write('y'); return open('a.txt').read()",
        "open('a.txt', 'w').write('x'); return os.path.getsize('a.txt')",
        "open('a.txt', 'w').write('x'); os.rename('a.txt', 'b.txt'); return [n for n in sorted(os.listdir('.')) if n[0] != '.']",
        "pathlib.Path('new').mkdir(); return os.path.isdir('new')",
        "pathlib.Path('p/q').mkdir(parents=True, exist_ok=True); open('p/q/r', 'x').write('z'); return 1",
        "open('old.txt', 'w').write('new'); return open('old.txt').read()",
        "open('old.txt', 'r+').write('new'); return 1",
        "os.mkdir('old'); return 1",
        "open('nowhere/a.txt', 'w').write('x'); return 1",
        "global kept; kept = open('a.txt', 'w'); kept.write('x'); return 1",
        "open('a.txt', 'w').write('first'); open('a.txt', 'w').write('2'); return 1",
        "f = open('a.txt', 'w+'); f.write('seek'); f.seek(1); t = f.read(); f.close(); return t",
        "f = open('a.txt', 'wb'); f.write(b'ab'); f.truncate(1); f.close(); return 1",
        "f = open('log.txt', 'a'); t = f.tell(); f.write('x'); f.close(); return t",
    ],
)
def test_what_is_written_and_looked_at(tmp_path: Path, body: str) -> None:
    driver = (
        SAVING
        + f"""
def act():
    {body}
def main():
    s = slow()
    try:
        print("first")
    finally:
        pass
    r = act()
    print(r, sorted(os.listdir(".")) == 0)
main()
"""
    )
    run(tmp_path, driver, **{"old.txt": "something", "log.txt": "12345"})


def test_a_failure_leaves_only_the_effects_before_it(tmp_path: Path) -> None:
    driver = (
        SAVING
        + """
def fail(x):
    slow(0.3)
    open("half.txt", "w").write("half")
    raise ValueError(x)
def save(x):
    open("never.txt", "w").write(x)
def first():
    open("first.txt", "w").write("1")
def main():
    s = slow(0.2)
    first()
    fail(1)
    save("2")
main()
"""
    )
    run(tmp_path, driver)


def test_a_file_that_somebody_else_made_meanwhile(tmp_path: Path) -> None:
    driver = (
        SAVING
        + """
import subprocess
def save(x):
    os.mkdir("made")
    open("made/x.txt", "w").write(x)
def main():
    subprocess.run(["sh", "-c", "sleep 0.5; mkdir made"])
    save("2")
main()
"""
    )
    run(tmp_path, driver)


# -- unknown code -------------------------------------------------------------------------------------


def test_unknown_code_overlaps_where_it_does_nothing_else(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
def work(x):
    time.sleep(0.3)
    return [sum(x)] * 3
def load(n): return list(range(n))
def count(x): return len(x)
def main():
    f = hide("work")
    a = load(4)
    r = f(a)
    n = count(a)
    q = f(load(5))
    print(r, n, q)
main()
"""
    )
    assert {"count", "f.2"} <= set(ahead(run(tmp_path, driver)))


CHANGES = [
    ("a.append(9)", "count"),
    ("a[0] = 7", "count"),
    ("a.clear()", "count"),
    ("CACHE.append(1)", "state"),
    ("CACHE[:] = [4, 5]", "state"),
    ("globals()['COUNTER'] = 5", "state"),
    ("Registry.items['k'] = 1", "state"),
    ("Registry.level = 3", "state"),
    ("default.__defaults__[0].append(3)", "state"),
    ("memo(4)", "state"),
    ("os.environ['NEW'] = 'x'", "state"),
    ("os.chdir('sub')", "state"),
    ("random.seed(3)", "draw"),
    ("random.random()", "draw"),
    ("open('data.txt', 'w').write('new')", "state"),
    ("os.rename('data.txt', 'moved.txt')", "state"),
    ("decimal.getcontext().prec = 3", "state"),
    ("sys.path.append('x')", "state"),
    ("globals()['helper'] = lambda: 'patched'", "state"),
    ("exec('CACHE.append(8)')", "state"),
    ("next(NUMBERS)", "state"),
    ("setattr(time, 'patched', 4)", "state"),
]


@pytest.mark.parametrize(("change", "_reader"), CHANGES)
def test_what_unknown_code_changes_is_seen_by_later_tasks(tmp_path: Path, change: str, _reader: str) -> None:
    driver = (
        HIDE
        + f"""
import os, random, decimal, sys, functools, itertools
CACHE = []
COUNTER = 0
NUMBERS = itertools.count()
class Registry:
    items = {{}}
    level = 0
def default(x, acc=[]):
    return list(acc)
@functools.lru_cache(None)
def memo(x):
    CACHE.append(x)
    return x
def helper(): return "own"
def change(a):
    time.sleep(0.3)
    {change}
    return 1
def load(n): return list(range(n))
def count(x): return sum(x) + len(x)
def look(x):
    space = hide("__builtins__") and globals()
    return (list(space["CACHE"]), space["COUNTER"], dict(getattr(space["Registry"], "items")), Registry.level,
        default(1), os.environ.get("NEW"), os.path.basename(os.getcwd()), sorted(n for n in os.listdir(".") if n[0] != "."),
        decimal.Decimal(1) / 7, sys.path[-1], space["helper"](), next(space["NUMBERS"]), hasattr(time, "patched"))
def text(x):
    return hide("open_it")("data.txt")
def open_it(name):
    import pathlib
    return pathlib.Path(name).read_text() if pathlib.Path(name).exists() else "gone"
def draw(x):
    return hide("random").random()
def main():
    random.seed(1)
    a = load(4)
    c = hide("change")(a)
    n = count(a)
    k = look(1)
    t = text(1)
    d = draw(1)
    print(c, n, k, t, d, a)
main()
"""
    )
    run(tmp_path, driver, **{"data.txt": "old", "sub/data.txt": "below"})


def test_names_that_tasks_bind_are_not_found_at_another_time(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
def peek(name, otherwise=None):
    return hide("globals")().get(name, otherwise) if "globals" in globals() else eval(name, globals())
def make(x):
    time.sleep(0.2)
    return x
value = make(1)
other = make([1])
value = make(2)
seen = peek("value")
value = make(3)
again = peek("value")
other.append(2)
more = peek("other")
print(seen, again, more)
"""
    )
    run(tmp_path, driver)


def test_two_inputs_that_became_one(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
def make(x): return {"own": [x]}
def join(a, b):
    time.sleep(0.3)
    a["own"] = b["own"]
    return 1
def differ(a, b):
    return a["own"] is b["own"], a, b
def main():
    a = make(1)
    b = make(2)
    j = hide("join")(a, b)
    d = differ(a, b)
    print(j, d)
main()
"""
    )
    run(tmp_path, driver)


def test_an_open_log_keeps_unknown_code_in_order(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
import logging
logging.basicConfig(filename="log.txt", level=logging.INFO, format="%(message)s")
def work(x):
    time.sleep(0.2)
    logging.info("working on %s", x)
    return x
def main():
    f = hide("work")
    a = f(1)
    b = f(2)
    c = f(3)
    print(a, b, c)
main()
"""
    )
    assert ahead(run(tmp_path, driver)) == []


def test_compiled_code_that_writes_files_is_stopped(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
import ctypes, os
def write(name):
    libc = ctypes.CDLL(None)
    number = libc.open(name.encode(), os.O_WRONLY | os.O_CREAT, 0o644)
    libc.write(number, b"abc", 3)
    libc.close(number)
    return 1
def fail(x):
    time.sleep(0.5)
    raise ValueError(x)
def main():
    w = hide("write")
    a = w("a.bin")
    try:
        print("x")
    finally:
        pass
    b = fail(2)
    c = w("never.bin")
main()
"""
    )
    run(tmp_path, driver)


def test_what_was_dropped_is_not_sent_again_until_the_code_changes(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
import random
def draw(xs):
    xs.append(1)
    return random.random() < 2
def make(n): return [n]
def main():
    s = slow()
    g = hide("draw")
    a = make(1)
    t = slow()
    n = g(a)
    print(n, a)
main()
"""
    )
    folder = tmp_path / "project"
    first = run(tmp_path, driver)
    why = dropped(first, "g")
    assert why
    command = [sys.executable, "-m", "inferflow", "-q", "run", "--jobs", "3", "driver.py"]
    changed = driver.replace("append(1)", "append(2)")
    for text, again in ((driver, False), (changed, True), (changed, False)):
        (folder / "driver.py").write_text(text)
        subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
        assert bool(dropped(attempts_of(folder), "g")) == again


def test_functions_that_act_on_the_outside_are_left_to_home_after_two_helpers(tmp_path: Path) -> None:
    """And not tried again by the next run; a database in memory is nobody else's, and no reason."""
    calls = "".join(f"    r{n} = r({n})\n    b{n} = b({n})\n    m{n} = m({n})\n" for n in range(8))
    names = ", ".join(f"r{n}, b{n}, m{n}" for n in range(8))
    driver = (
        HIDE
        + f"""
import sqlite3, subprocess
def child(x):
    return subprocess.run(["echo", str(x)], capture_output=True, text=True).stdout
def rows(x, where="data.db"):
    database = sqlite3.connect(where)
    database.execute("create table if not exists t (a)")
    database.execute("insert into t values (?)", (x,))
    found = database.execute("select a from t order by a").fetchall()
    database.commit()
    database.close()
    return found
def memory(x):
    return rows(x, ":memory:")
def main():
    r, b, m = hide("child"), hide("rows"), hide("memory")
    s = slow(1.5)
{calls}    print({names})
main()
"""
    )
    first = run(tmp_path, driver, jobs=2)
    lost = [name for name, _, status, why in first if status == "dropped" and "outside world" in why]
    assert 2 <= len(lost) <= 6, lost
    assert {name.partition(".")[0] for name in lost} <= {"r", "b"}
    command = [sys.executable, "-m", "inferflow", "-q", "run", "--jobs", "2", "driver.py"]
    (tmp_path / "project" / "data.db").unlink()
    subprocess.run(command, cwd=tmp_path / "project", env=environment(), check=True, capture_output=True)
    again = attempts_of(tmp_path / "project")
    assert [name for name, _, status, why in again if status == "dropped" and "outside world" in why] == []


# -- results that belong together with inputs ---------------------------------------------------------

KINDS = """
import array, collections, dataclasses
class Model:
    def __init__(self): self.w = [0]; self.seen = {}
    def __repr__(self): return f"Model({self.w}, {self.seen})"
class Slots:
    __slots__ = ("a", "b")
    def __init__(self, a): self.a = a
    def __repr__(self): return f"Slots({self.a}, {getattr(self, 'b', None)})"
class Reduced:
    def __init__(self, n): self.n = n; self.parts = [n]
    def __reduce__(self): return (Reduced, (self.n,))
    def __repr__(self): return f"Reduced({self.parts})"
@dataclasses.dataclass
class Point:
    x: int
    ys: list
"""

CHANGING = [
    ("[1, 2]", "x.append(y); x[0] = 5; y.append(x)"),
    ("[[1], [2]]", "x[0], x[1] = x[1], x[0]; x[0].append(7)"),
    ("{'a': [1]}", "x['b'] = y; del x['a']; x['a'] = 0"),
    ("{1, 2, 3}", "x.add(99); x.discard(1)"),
    ("bytearray(b'abc')", "x[1:2] = b'xyz'"),
    ("Model()", "x.w.append(y); x.seen['k'] = x.w; x.fitted = True"),
    ("Slots([1])", "x.b = y; x.a.append(3)"),
    ("Reduced(3)", "x.parts.append(4)"),
    ("Point(1, [2])", "x.x = 9; x.ys.extend(y)"),
    ("collections.deque([1, 2])", "x.append(3)"),
    ("collections.OrderedDict(a=1)", "x['b'] = 2; x.move_to_end('a')"),
    ("collections.defaultdict(list)", "x['k'].append(1)"),
    ("array.array('d', [1, 2])", "x[0] = 7"),
    ("__import__('numpy').arange(6.)", "x += 1; x[0] = 7"),
    ("__import__('numpy').arange(6.)[::2]", "x *= 3"),
    ("__import__('pandas').DataFrame({'a': [1, 2]})", "x['b'] = x['a'] * 2; x.loc[0, 'a'] = 9"),
    ("[float('nan')]", "x.append(x[0])"),
]


@pytest.mark.parametrize(("make", "change"), CHANGING)
def test_inputs_changed_in_place(tmp_path: Path, make: str, change: str) -> None:
    if "numpy" in make or "pandas" in make:
        pytest.importorskip("pandas")
    driver = (
        HIDE
        + KINDS
        + f"""
def make(): return {make}
def change(x, y):
    time.sleep(0.1)
    {change}
    return {{"x": x, "y": y, "new": [y, 1]}}
def main():
    x = make()
    y = [4]
    y.append(5)
    keep = [x, y]
    f = hide("change")
    s = slow()
    r = f(x, y)
    print(repr(x) if not (isinstance(x, list) and x and x[-1] is y) else (x[:-1], x[-1] is y))
    print(r["x"] is x, r["y"] is y, r["new"][0] is y, keep[0] is x, len(y), type(x).__name__)
    if hasattr(x, "w"): print(x.seen["k"] is x.w, x.w[-1] is y)
    if type(x) is set: print(list(x))
    y.append(6)
    print(len(r["new"][0]), x[0] is x[-1] if isinstance(x, list) else None)
main()
"""
    )
    run(tmp_path, driver)


def test_a_result_that_is_an_input_is_one_object(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
def make(): return {"rows": [1, 2]}
def clean(t): return t
def wrap(t): return {"table": t, "rows": t["rows"]}
def main():
    t = make()
    s = slow(0.4)
    f = hide("clean")
    u = f(t)
    g = hide("wrap")
    w = g(u)
    w["rows"].append(3)
    print(u is t, w["table"] is t, t)
main()
"""
    )
    assert "f" in ahead(run(tmp_path, driver))


def test_an_object_and_its_bound_method(tmp_path: Path) -> None:
    driver = (
        HIDE
        + """
class Counter:
    def __init__(self): self.n = 0
    def up(self, by): self.n += by; return self.n
def make(): return Counter()
def call(f, by):
    return f(by)
def main():
    c = make()
    up = c.up
    s = slow(0.3)
    a = hide("call")(up, 2)
    b = hide("call")(up, 3)
    print(a, b, c.n, up.__self__ is c)
main()
"""
    )
    run(tmp_path, driver)


def test_unknown_code_overlaps_beside_libraries_and_caches(tmp_path: Path) -> None:
    """scipy's compiled modules stand in ``sys.modules`` under short names too; caches have entries of a kind of their
    own; what is looked at through pickling methods is made anew each time."""
    pytest.importorskip("scipy")
    driver = (
        HIDE
        + """
import functools, re
import numpy as np
import scipy.sparse
PATTERN = re.compile("a+")
SUB = PATTERN.sub
@functools.lru_cache(maxsize=8)
def squares(n): return [n * n]
squares(2), squares(3), squares(2)
def work(x): return [x, SUB("b", "caat"), scipy.sparse.eye(2).sum()]
def change(x):
    squares(4).append(x)
    return x
def main():
    f, g = hide("work"), hide("change")
    s = slow(1.5)
    a = f(1)
    b = f(2)
    t = slow(0.5)
    c = g(5)
    d = f(squares(4)[-1])
    print(a, b, c, d, squares.cache_info())
main()
"""
    )
    attempts = run(tmp_path, driver)
    assert {"f", "f.2"} <= set(ahead(attempts)), attempts


def test_a_library_that_looks_for_the_driver_s_names_is_left_to_home(tmp_path: Path) -> None:
    """What tasks bind is not there in a helper, or as it was at another time: who asks for it gets no answer."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "curious.py").write_text(
        """
import sys
def peek(name): return repr(vars(sys.modules["__main__"]).get(name, "none"))
def attribute(name): return repr(getattr(__import__("__main__"), name, "none"))
def count(): return len([name for name in dir(sys.modules["__main__"]) if name.isupper()])
def push(x): sys.modules["__main__"].STATE.append(x); return x
def plain(x): return sys.modules["__main__"].slow.__name__, x
""",
        "utf-8",
    )
    driver = """
import time
import curious
def slow(t=0.4):
    time.sleep(t)
    return t
def make():
    time.sleep(0.02)
    return [0]
def peek(n): return curious.peek("STATE")
def attribute(n): return curious.attribute("STATE")
def count(n): return curious.count()
def push(n): return curious.push(n)
def plain(n): return curious.plain(n)
STATE = make()
a = slow(0.8)
b = peek(1)
c = slow()
d = attribute(2)
e = count(3)
f = slow()
g = push(4)
h = plain(5)
print(STATE, b, d, e, g, h)
"""
    native, inferred, folder = both(tmp_path, {"driver.py": driver}, options=("--jobs", "4"), PYTHONPATH=str(library))
    assert inferred == native
    attempts = attempts_of(folder)
    for name in ("peek", "attribute", "count", "push"):
        assert name not in ahead(attempts)
    assert "in the driver's module" in dropped(attempts, "attribute")
