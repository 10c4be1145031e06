"""Turns of a loop in which something is changed, or compound statements are run as a whole by helpers: natively, and with
helpers that run whatever they can (``_INFERFLOW_TURNS``)."""

from __future__ import annotations

import pytest
from batch import differences, run_batch
from functions import CHECK, HALF, MODEL, SAY

OWN = """
def look(m):
    for i in range(2): pass
    return (m.s, len(m.log))
def f(*a):
    n = 0
    for x in a: n += x if isinstance(x, int) else 1
    return n
"""
HEAD = "import contextlib, time, warnings\n" + MODEL + HALF + SAY + CHECK + OWN

DRIVERS: dict[str, str] = {
    "convergence within each turn": """
def main():
    out = []
    for x in range(1, 7):
        s, n = half(float(x)), 0
        while s > 0.2:
            s = half(s)
            n += 1
        else:
            n += 100
        out.append((s, n))
    print(out, x, s, n)
main()
""",
    "at the level of the module": """
out = []
k = 'before'
for x in range(5):
    s = half(x)
    for k in range(x):
        s = half(s)
        last = k
    out.append(s)
    print(x, s, k)
print(out, last)
""",
    "names that a turn may not bind": """
k = last = 'outer'
for x in [0, 2, 0, 3]:
    s = half(x)
    for k in range(x):
        last = half(k)
    print(x, k, last)
def main():
    for x in [0, 2, 0, 3]:
        s = half(x)
        for j in range(x):
            w = half(j)
        try:
            print(x, j, w)
        except UnboundLocalError as e:
            print('unbound', e)
        if x == 2:
            only = half(x)
    print(only)
main()
""",
    "a state of the turn's own": """
def main():
    scores = []
    for seed in [1, 2, 3, 4]:
        m = make(seed)
        for epoch in range(3):
            fit(m, epoch)
        scores.append(look(m))
    print(scores, m, epoch)
    for seed in [1, 2, 3]:
        m = make(seed)
        fit(m, 7)
        before = look(m)
        fit(m, 8)
        print(before, look(m))
main()
""",
    "home looks between making and change": """
def main():
    for seed in [1, 2, 3]:
        m = make(seed)
        print(m.s, m.log)
        fit(m)
        print(m.s, m.log)
    for seed in [1, 2, 3]:
        m = make(seed)
        seen = (m.s, fit(m), m.s)
        print(seen)
    for seed in [1, 2, 3]:
        m = make(seed)
        print(m.s + fit(m))
        print(say(m.s), fit(m, say(m.s)), m)
main()
""",
    "changed through another name": """
def main():
    kept = []
    first = make(9)
    for seed in [1, 2, 3]:
        m = make(seed)
        other = m
        fit(other, 5)
        kept.append(m)
        fit(kept[0])
        print(m, other is m, kept)
    for seed in [1, 2, 3]:
        m = first
        fit(m, seed)
        print(first)
    for seed in [1, 2, 3]:
        m = make(seed)
        if seed == 2:
            m = first
        fit(m, 10)
        print(m, first)
main()
""",
    "kept from the turn before": """
REG = []
def poke(m):
    for i in range(2): pass
    if REG: REG[-1].s += 100
    return fit(m)
def main():
    prev = None
    for seed in [1, 2, 3, 4]:
        m = make(seed)
        if prev is not None:
            fit(prev, 3)
        fit(m)
        print(prev, m)
        prev = m
    for r in range(2):
        for seed in [1, 2, 3]:
            m = make(seed)
            poke(m)
            print(m, REG)
        REG.append(m)
    old = make(0)
    for r in range(3):
        for seed in [1, 2]:
            m = make(seed)
            fit(m)
            fit(old)
            print(m, old)
        old = m
main()
""",
    "shared objects stay shared": """
def main():
    out = []
    for seed in [1, 2, 3]:
        a = make(seed)
        b = make(seed)
        a.peer = b
        pair = [a, b]
        for p in pair:
            fit(p, 2)
        out.append((pair, a.peer is b, pair[0] is a))
    print(out)
main()
""",
    "tries until it works": """
def main():
    got = []
    for x in [1, 3, 5, 6]:
        for attempt in range(3):
            try:
                v = check(x + attempt)
                break
            except ValueError as e:
                print('again', x, attempt, e)
        else:
            v = None
        got.append(v)
    print(got, attempt)
    for x in [3, 4]:
        while True:
            try:
                v = check(x)
            except ValueError:
                x += 1
                continue
            finally:
                print('tried', x)
            break
        print(x, v)
main()
""",
    "the handler's name is bound elsewhere": """
def main():
    e = 'here'
    for x in [1, 3, 4]:
        try:
            v = check(x)
        except ValueError as e:
            v = -1
        try:
            print(v, e)
        except UnboundLocalError as other:
            print('gone', other)
            e = 'again'
main()
e = 'module'
for x in [1, 3, 4]:
    try:
        v = check(x)
    except ValueError as e:
        v = -1
    print(v, globals().get('e', 'gone'))
""",
    "jumps that lead out": """
def main():
    for x in range(6):
        y = half(x)
        if y > 1.5:
            z = half(y)
            break
        if y == 1:
            z = say(y)
            continue
        while y < 5:
            y += f(x, 1)
            if y > 4:
                return_value = (x, y)
                break
        print(x, y, z if x > 2 else None)
    def inner():
        for x in range(4):
            y = half(x)
            for k in range(3):
                if f(k) == x:
                    return (x, k, y)
    print(inner())
main()
""",
    "a turn that fails in the end": """
def main():
    for x in [1, 2, 4, 6, 7]:
        m = make(x)
        for k in range(2):
            fit(m, check(x))
        print(m)
main()
""",
    "carried through the loop within": """
def main():
    total = 0
    for x in range(4):
        y = half(x)
        for k in range(3):
            total += f(x, k)
        print(total, y)
    seen = []
    for x in range(4):
        m = make(x)
        for k in range(2):
            fit(m, k)
            seen.append(look(m))
        print(m)
    print(seen)
main()
""",
    "the item is bound again": """
def main():
    for x in [8, 3, 5]:
        while x > 1:
            x = half(x)
        print(x)
    for i, (a, b) in enumerate([(1, 2), (3, 4)]):
        if a > 1:
            a, b = f(b), f(a)
        print(i, a, b)
    for x in [1, 2, 3]:
        y = half(x)
        x = f(x, 10)
        z = half(x)
        print(x, y, z)
main()
for x in [8, 3, 5]:
    x = f(x, 1)
    while x > 2: x = half(x)
    print(x)
""",
    "functions and generators in it": """
def main():
    for x in range(3):
        keys = []
        for k in range(3):
            g = lambda v: v + k
            keys.append(g(f(x)))
        rows = sorted([f(x, 2), f(x, 1)], key=lambda v: -v)
        for k in range(2):
            n = sum(f(v) for v in rows)
            gen = (f(v) for v in rows)
        print(keys, rows, n, list(gen), g(1))
main()
""",
    "with and match as one piece": """
def main():
    for x in [1, 2, 'a', (3, 4)]:
        with contextlib.suppress(TypeError):
            y = 'bad'
            y = half(x)
        match x:
            case int(n):
                z = f(n)
            case (p, q):
                z = [f(p), f(q)]
            case _:
                z = say(x)
        print(y, z)
    print(n, p)
main()
""",
    "two loops over one name": """
def main():
    for m in [make(1), make(2)]:
        fit(m, 3)
        print(m)
    for seed in [1, 2]:
        m = make(seed)
        fit(m)
        print(m)
    for seed in [3, 4]:
        m = make(seed)
        m.s = 50
        fit(m)
        if seed == 4:
            fit(m, 9)
        print(m)
main()
m = make(5)
for seed in [1, 2, 3]:
    if seed == 2: fit(m, 30)
    m = make(seed)
    fit(m)
    print(m)
print(m)
""",
    "deleted names and globals": """
G = 0
def main():
    global G
    for x in range(3):
        t = half(x)
        for k in range(2):
            G = f(G, x)
        u = half(t)
        del t
        print(G, u)
main()
for x in range(3):
    t = half(x)
    if x:
        w = half(t)
        del t
    print(globals().get('t', 'gone'))
""",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    drivers = {name: {"driver.py": HEAD + text} for name, text in DRIVERS.items()}
    return run_batch(tmp_path_factory.mktemp("whole"), drivers, turns=True)


@pytest.mark.parametrize("name", DRIVERS)
def test_is_as_native(found: dict[str, list[object]], name: str) -> None:
    assert differences({name: found[name]}) == {}


def test_runs_ahead(found: dict[str, list[object]]) -> None:
    """What is the turn's own runs ahead although it changes something."""
    wanted = ("convergence within each turn", "a state of the turn's own", "tries until it works")
    assert all(found[name][4] for name in wanted)
