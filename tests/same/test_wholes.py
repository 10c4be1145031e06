"""Compound statements of the driver that run ahead as one piece, beside what stands before them: loops whose turns depend
on each other, branches, attempts. Natively, and with several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from batch import differences, run_batch
from functions import CHECK, HALF, MODEL, SAY

OWN = """
def slow(x=0):
    time.sleep(0.15)
    return x
def step(w, k=1):
    for i in range(2): pass
    return [v * 0.5 + k for v in w]
"""
HEAD = "import contextlib, time, warnings\n" + MODEL + HALF + SAY + CHECK + OWN

DRIVERS: dict[str, str] = {
    "two training loops": """
w, v = [1.0, 2.0], [3.0]
slow()
for e in range(4):
    w = step(w, e)
    print('w', e, w)
for e in range(4):
    v = step(v, e)
    print('v', e, v)
print(w, v, e)
""",
    "in a function": """
def main(n=3):
    w, v = [1.0, 2.0], [3.0]
    a = slow(n)
    for e in range(n):
        w = step(w, e)
    for f in range(a):
        v = step(v, f)
        best = v
    x = 9.0
    while half(x) > 1:
        x = half(x)
    else:
        done = True
    return w, v, e, f, best, x, done
print(main())
""",
    "until it is near enough": """
x, y = 9.0, 20.0
slow()
while half(x) > 1:
    x = half(x)
while half(y) > 1:
    y = half(y)
    if y < 3: break
else:
    never = True
print(x, y, 'never' in globals())
""",
    "tried again": """
slow()
for attempt in range(5):
    try:
        got = check(attempt)
        break
    except ValueError as error:
        print('failed', error, attempt)
else:
    got = None
for again in range(2):
    try:
        other = check(again * 3)
        break
    except ValueError as problem:
        print('failed', problem)
else:
    other = 'none'
print(got, attempt, other, again, 'error' in globals(), 'problem' in globals())
""",
    "a name that is bound on one path only": """
k = 'before'
a = slow(2)
if half(4) > 9:
    k, only = half(8), 1
elif half(4) > 3:
    other = say(2)
for x in []:
    k = half(x)
    last = say(k)
print(k, [n for n in ('only', 'other', 'last', 'x') if n in globals()])
def main():
    a = slow(1)
    if half(4) > 9:
        only = half(8)
    while half(2) > 9:
        never = say(3)
    try:
        print(a, only)
    except UnboundLocalError as e:
        print(repr(e))
    try:
        print(never)
    except UnboundLocalError as e:
        print(repr(e))
main()
""",
    "an old value stays the same object": """
def main():
    best = old = [1, 2]
    other = [5]
    a = slow(1)
    if half(2) > 9:
        best = step(best)
    for x in range(0):
        other = step(other)
    best.append(3)
    other.append(4)
    print(best is old, old, other, a)
main()
""",
    "what is given is changed in place": """
m, n = make(1), make(2)
both = [m, n]
slow()
for e in range(3):
    fit(m, e)
for e in range(3):
    fit(n, e * 10)
    if n.s > 20: break
print(both, m is both[0], m.s)
def main():
    xs, box = [1], {}
    box['xs'] = xs
    a = slow(1)
    for x in range(3):
        xs.append(half(x))
    if half(3):
        box['k'] = say(4)
    print(xs, box, box['xs'] is xs)
main()
""",
    "made and changed inside": """
slow()
for e in range(3):
    m = make(e)
    for k in range(2): fit(m, k)
    if e: keep = m
for e in range(3):
    n = make(e + 5)
    while n.s < 9: fit(n)
print(m, n, keep, keep is m, e, k)
m.log.append('end')
print(keep)
""",
    "a failure that nobody catches": """
w = [1.0]
a = slow(1)
for e in range(5):
    w = step(w, e)
    if e == 3: check(e)
    print(e)
for e in range(5):
    print('not reached', step(w, e))
""",
    "handlers, else and finally": """
slow()
try:
    r = check(3)
    reached = True
except ValueError as err:
    r = repr(err)
    say('handled')
else:
    r = 'else'
finally:
    f = say('finally')
try:
    t = check(4)
except ValueError:
    u = 1
else:
    u = half(t)
print(r, f, t, u, 'reached' in globals(), 'err' in globals())
""",
    "a case": """
def main(x=3):
    a = slow(x)
    match half(x):
        case 1.5 as q:
            y = say(q)
        case float(z):
            y = half(z)
    match [half(1), 2]:
        case [p, *rest]:
            w = half(p)
        case _:
            w = None
    return a, y, w, q, p, rest
print(main())
""",
    "managers": """
slow()
with contextlib.suppress(ValueError):
    a = half(3)
    b = check(3)
    c = half(4)
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    d = half(a)
print(a, d, 'b' in globals(), 'c' in globals())
""",
    "loops within loops": """
out = []
total = 0
slow()
for i in range(3):
    for j in range(3):
        if (i + j) % 2: continue
        total = total + half(i * j)
        if j == 2: break
    else:
        print('else', i)
for i in range(2):
    k = 0
    while k < 3:
        k = k + 1
        if k == 2: continue
        out.append((i, half(k)))
print(out, total, i, j, k)
""",
    "what reads what a loop made": """
def main():
    w, v = [8.0], [4.0]
    a = slow(1)
    for e in range(3): w = step(w)
    b = slow(2)
    for e in range(3): v = step(v)
    c = step(w, 7)
    for e in range(2): c = step(c)
    d = say(sum(c) + sum(v))
    return a, b, c, d, e
print(main())
""",
    "functions and classes made inside stay": """
slow()
for e in range(2):
    def g(x): return x + e
    class C: v = half(e)
if half(2):
    h = lambda x: half(x) + e
print(g(1), C.v, h(4))
""",
    "annotations": """
slow()
for e in range(2):
    w: int = half(e)
if half(1):
    v: 'float' = half(2)
print(__annotations__, w, v)
""",
    "walruses and comprehensions": """
def main():
    a = slow(1)
    n = 5.0
    while (m := half(n)) > 1:
        n = m
        pairs = [(q := half(i), last := i) for i in range(2)]
    if (z := half(8)) > 3 and (y := half(z)) > 1:
        x = [half(i) for i in range(3) if i]
    return a, n, m, pairs, q, last, x, y, z
print(main())
e = 'kept'
slow()
for k in range(2):
    s = {half(e) for e in range(3)}
print(e, sorted(s))
""",
    "targets that are no names": """
m, d, xs = make(0), {}, [0, 0]
slow()
for m.s in range(3):
    fit(m)
for d['k'], xs[1] in [(1, 2), (3, 4)]:
    d['half'] = half(xs[1])
print(m, d, xs)
""",
    "looking around": """
k = 3
slow()
for e in range(2):
    v = half(eval('k'))
def main():
    a, z = slow(1), 2
    for e in range(2):
        got = sorted(locals())
        b = half(e)
    if eval('z') and half(2):
        c = half(4)
    print(got, a, b, c)
main()
print(v)
""",
    "leaving the function": """
def find(xs):
    a = slow(1)
    for x in xs:
        y = half(x)
        if y > 1: return x, y
    for x in xs:
        y = step([y])[0]
    return None, y
print(find([1, 2, 3]), find([1]))
""",
    "text of another alphabet": """
slow()
n = 2.0
while half(n) > 0.2:
    n = half(n)
    print('é' * 3, n)
    print('→', 'ü')
print('end')
""",
    "an exception holds what was there": """
import time
def fail(x):
    time.sleep(0.02)
    raise ValueError(x)
def nap(): time.sleep(0.1); return 1
def main():
    payload = [1]
    p = nap()
    try:
        fail(payload)
    except ValueError as e:
        args = e.args
    for k in range(2):
        try:
            fail(payload)
        except ValueError as e:
            held = [x for x in e.args]
            told = str(e), type(e), f"{e!r}"
    print(args[0] is payload, held[0] is payload, told, p)
main()
""",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    drivers = {name: {"driver.py": HEAD + text} for name, text in DRIVERS.items()}
    return run_batch(tmp_path_factory.mktemp("wholes"), drivers, ahead=AHEAD, jobs=(2, 4))


AHEAD = (
    "two training loops",
    "in a function",
    "until it is near enough",
    "tried again",
    "a name that is bound on one path only",
    "what is given is changed in place",
    "handlers, else and finally",
    "a case",
    "what reads what a loop made",
)


@pytest.mark.parametrize("name", DRIVERS)
def test_is_as_native(found: dict[str, list[object]], name: str) -> None:
    assert differences({name: found[name]}) == {}


@pytest.mark.parametrize("name", AHEAD)
def test_runs_ahead(found: dict[str, list[object]], name: str) -> None:
    assert found[name][2]


SHOWN = """
import time
def slow(x):
    time.sleep(0.5)
    return x
def near(x):
    for i in range(2): pass
    print('é', x)
    return x / 2
a = slow(1)
w = near(8.0)
for e in range(6):
    w = near(w)
    if w < 1:
        break
else:
    w = None
while near(w) > 0.01:
    w = w / 3
if near(w) > 5:
    b = near(1.0)
elif near(w) > 0:
    c = near(2.0)
try:
    d = near(3.0)
    near('x')
except TypeError:
    d = near(4.0)
print(a, w, c, d)
"""


def test_what_happened_inside_is_told(tmp_path: Path) -> None:
    """Items, turns, arms, and what each turn printed, as if the statement had run at home."""

    def run(jobs: int) -> dict[str, dict[str, object]]:
        command = [sys.executable, "-m", "inferflow"]
        done = subprocess.run(
            [*command, "-q", "run", "-j", str(jobs), "driver.py"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        shown = subprocess.run([*command, "show", "latest", "--json"], cwd=tmp_path, capture_output=True, text=True)
        return {task["task"]: task for task in json.loads(shown.stdout)["tasks"]}

    (tmp_path / "driver.py").write_text(SHOWN)
    home = run(1)
    for _ in range(4):  # (on a busy machine home may come to all of them first)
        ahead = run(4)
        told = [name for name in ("for", "while", "if", "try") if ahead[name]["attempts"][-1]["where"] == "ahead"]  # type: ignore[index]
        for name in told:
            assert _inside(ahead[name]) == _inside(home[name])
        if {"for", "if"} <= set(told):
            break
    assert {"for", "if"} <= set(told)


def test_where_helpers_are_spawned_nothing_wrong_is_told(tmp_path: Path) -> None:
    """They count nothing; what ran there is not said to have had no turns."""
    (tmp_path / "driver.py").write_text(SHOWN.replace("sleep(0.5)", "sleep(2)"))
    (tmp_path / "inferflow.toml").write_text('start = "spawn"\n')
    command = [sys.executable, "-m", "inferflow"]
    done = subprocess.run([*command, "-q", "run", "-j", "3", "driver.py"], cwd=tmp_path, capture_output=True, text=True)
    native = subprocess.run([sys.executable, "driver.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (native.returncode, native.stdout)
    shown = subprocess.run([*command, "show", "latest", "--json"], cwd=tmp_path, capture_output=True, text=True)
    for task in json.loads(shown.stdout)["tasks"]:
        last = task["attempts"][-1]
        if last["where"] == "ahead":
            assert last["regions"] == []


def _inside(task: dict[str, object]) -> object:
    last = task["attempts"][-1]  # type: ignore[index]
    return last.get("regions"), last.get("stdout")
