"""What a helper runs of a turn deeper than its own statements (in branches, contexts and loops inside), and what that
could get wrong: natively, and with helpers that run whatever they can (``_INFERFLOW_TURNS``)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import assert_turns_are_same
from compare import assert_same

HEAD = """
import contextlib, time, warnings
LOG = []
N = [0]
def f(*a):
    n = 0
    for x in a: n += x if isinstance(x, int) else 1
    return n
def say(x):
    for i in range(3): pass
    print('say', x)
    return x
def box(x):
    for i in range(3): pass
    return [x]
def log(x): LOG.append(x); return len(LOG)
def bad(x):
    for i in range(3): pass
    if x == 3: raise ValueError(x)
    return x
"""

DRIVERS: dict[str, str] = {
    "accumulator in the inner loop": """
def main():
    out = []
    for a in [1, 2, 3, 4]:
        for b in range(a):
            out.append(f(a, b))
    print(out, a, b)
main()
""",
    "break and continue inside": """
def main():
    out = []
    for a in range(5):
        for b in range(4):
            if b == a: continue
            if b > 2: break
            out.append(f(a, b))
        else:
            out.append('all')
    print(out)
main()
""",
    "break of the outer loop": """
def main():
    for a in range(6):
        for b in [1, 2]:
            y = say(10 * a + b)
        if y > 30:
            break
    else:
        print('never')
    print(a, b, y)
main()
""",
    "the inner list grows in the turn": """
def main():
    rows = [[1], [2, 3], [4]]
    for row in rows:
        for b in row:
            y = f(b)
            if len(row) < 4: row.append(b + 5)
            print(y, row)
main()
""",
    "another row grows": """
def main():
    rows = [[1], [2, 3], [4]]
    for row in rows:
        for b in row:
            y = f(b)
        rows[-1].append(y)
        print(y, rows)
main()
""",
    "the inner list is carried": """
def main():
    xs = [1, 2]
    for a in range(4):
        for b in xs:
            y = f(a, b)
        xs = [*xs, y]
    print(xs)
main()
""",
    "the inner list is made by the turn": """
def main():
    out = []
    for a in range(5):
        parts = box(a) + [7]
        for p in parts:
            out.append(f(p))
    print(out)
main()
""",
    "a condition on what is carried": """
def main():
    total = 0
    for a in range(6):
        if total < 9:
            y = f(a, 3)
            total += y
        else:
            y = say(a)
    print(total, y)
main()
""",
    "a condition on what is logged": """
def main():
    for a in range(6):
        log(a)
        if len(LOG) % 2:
            y = f(a)
        print(y, LOG)
main()
""",
    "a name from the turn before": """
def main():
    y = 0
    for a in range(6):
        if a % 2:
            z = f(a, y)
        else:
            y = f(a)
        print(y)
    print(z)
main()
""",
    "unbound in one arm": """
def main():
    for a in range(3):
        if a:
            y = f(a)
        try:
            print(f(y))
        except UnboundLocalError as e:
            print(e)
main()
""",
    "elif": """
def main():
    for a in range(7):
        if a == 1: y = f(a)
        elif a == 2: y = say(a)
        elif a in (3, 5): y = box(a)
        else: y = f(a, 1)
        print(a, y)
main()
""",
    "exceptions inside": """
def main():
    for a in range(3):
        for b in range(5):
            try:
                y = bad(a + b)
            except ValueError as e:
                print('caught', e)
                y = say(-1)
            else:
                print(say(y))
            finally:
                print(a, b, y)
    for a in range(6):
        if a > 1:
            y = bad(a)
        print(y)
main()
""",
    "an operator of the user's in a condition": """
class Shy:
    def __init__(self, x): self.x = x
    def __bool__(self): N[0] += 1; print('asked'); return self.x > 1
    def __iter__(self): N[0] += 1; return iter(range(self.x))
    def __lt__(self, other): return self.x + N[0] < 6
def main():
    shys = [Shy(1), Shy(2), Shy(3)]
    for s in shys:
        if s:
            y = f(s.x)
            print(y, N)
        for b in s:
            print(f(b), N)
        if s < 1:
            print(f(s.x, 2))
main()
""",
    "a call in a condition": """
def ok(x): return x % 2
def main():
    for a in range(6):
        if ok(a):
            print(f(a))
        for b in box(a):
            print(f(b, 1))
main()
""",
    "a loop over an iterator": """
def main():
    it = iter(range(20))
    for a in range(4):
        for b in it:
            y = f(a, b)
            if b % 3 == 2: break
        print(a, b, y)
main()
""",
    "a generator inside": """
def count(n):
    print('begin', n)
    for i in range(n): yield i
def main():
    for a in range(4):
        for b in count(a):
            print(f(a, b))
        for b in (x + a for x in range(2)):
            print(f(b))
main()
""",
    "contexts": """
@contextlib.contextmanager
def entered(x):
    print('enter', x)
    yield x
    print('leave', x)
def main():
    for a in range(4):
        with entered(a) as e:
            y = f(a)
            print(f(e), y)
        with open('x.txt', 'a') as h:
            h.write(str(f(a, 2)))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            print(f(a, 3))
    print(open('x.txt').read())
main()
""",
    "three levels": """
def main():
    out = {}
    for a in [1, 2]:
        for b in 'xy':
            for c in (5, 6, 7):
                if c > 5:
                    out[a, b, c] = f(a, f(c, a))
    print(out)
    for a in [1, 2, 3]:
        k = f(a)
        for b in [k, k + 1]:
            m = f(b, k)
            for c in range(2):
                print(f(m, c, k))
main()
""",
    "the target is bound in the body": """
def main():
    for a in range(4):
        for b in range(3):
            b += a
            print(f(b))
        for a in [5]:
            print(f(a))
main()
""",
    "at the top of a module": """
out = []
for a in [1, 2, 3]:
    for b in [a, a + 1]:
        c = f(a, b)
        out.append(c)
        if c > 4:
            d = f(c)
            out.append(d)
print(out, a, b, c, d)
for x in range(4):
    if x != 2:
        z = f(x)
    print(z)
print(sorted(k for k in globals() if len(k) == 1))
""",
    "comprehensions in a turn": """
def main():
    total = []
    for a in range(4):
        rows = [f(a, b) for b in range(3)]
        total += rows
        total += list(map(f, rows))
        s = {y for y in rows if f(y)}
        total.append(len(s))
    print(total)
main()
""",
    "an opened function": """
def part(n):
    found = []
    for a in range(n):
        for b in range(2):
            if a != b:
                found.append(f(a, b))
    return found, say(n)
def main():
    for n in (2, 3):
        print(part(n))
    print(part(4))
main()
""",
    "shared with a closure": """
def main():
    for a in range(3):
        for b in range(2):
            g = lambda: (a, b)
            print(f(a, b), g())
main()
""",
    "while inside, for inside while": """
def main():
    n = 0
    while n < 3:
        for b in range(3):
            print(f(n, b))
        n += 1
    for a in range(3):
        n = 0
        while n < a:
            n += 1
            print(f(n, a))
main()
""",
    "bound by other means": """
def sets(x):
    global y, w
    y = x
    w = x
def main():
    for a in range(4):
        u = f(a)
        z = [(u := t) for t in range(3)]
        if a:
            print(f(u, a))
        for v in range(2):
            g = [v := q for q in (7, 8)]
            print(f(v), g, z)
main()
y = w = 0
for a in range(4):
    y = f(a, 1)
    sets(50 + a)
    if a:
        print(f(y))
    for w in range(2):
        sets(9)
        print(f(w, a))
class C: pass
for a in range(3):
    k = f(a)
    class C:
        k = say(k)
    if a < 5:
        print(f(k), C.k)
""",
    "match inside": """
def main():
    for a in [1, 'x', (2, 3), None]:
        match a:
            case int(): y = f(a)
            case (p, q): y = f(p, q)
            case _: y = say(a)
        print(y)
main()
""",
    "captures and guards": """
class P:
    __match_args__ = ('a', 'b')
    def __init__(self, a, b): self.a, self.b = a, b
def main():
    for a in [1, 'x', (2, 3), None, [4, 5, 6], {'k': 7, 'z': 8}, 10]:
        match a:
            case int(n) if n > 5: y = f(n, n)
            case int(): y = f(a)
            case (p, q): y = f(p, q)
            case [first, *rest]:
                y = f(first)
                print(f(rest))
            case {'k': n, **more}: y = f(n, more)
            case None | 'none': y = f(3)
            case _: y = f(a, 2)
        print(y)
    for a in [1, 2, 3]:
        for b in ((1, a), (2, a), 'u'):
            match b:
                case (1, v): w = f(v)
                case (k, v) if k == a: w = f(k, v)
                case str() as v: w = f(v, 1)
                case other: w = f(other)
            print(w, v)
    for a in [P(1, 2), P(3, 4), 5]:
        match a:
            case P(u, v): print(f(u, v))
            case P(): print(0)
            case _: print(f(a))
main()
for a in [1, (2, 3), 'z', 4]:
    match a:
        case int(n): r = say(n)
        case (n, m): r = f(n, m)
        case s: r = f(s)
    print(r, n)
""",
    "a nested function binds what the rest of the turn reads": """
N = 0
def bump():
    global N
    for i in range(2): pass
    N += 1
    return N
def main():
    n = 0
    def inc(k):
        nonlocal n
        n += k
        return n
    for x in [1, 2, 3]:
        inc(f(x))
        y = f(n, x)
        z = f(n, 2)
        print(n, y, z)
    if n:
        inc(f(3))
        y = f(n, 3)
        z = say(n)
    print(n, y, z)
    with contextlib.nullcontext():
        bump()
        y = f(N, 1)
        z = say(N)
    print(N, y, z, [bump() + f(N) for x in (1, 2, 3)], [f(n, inc(x)) for x in (1, 2)])
main()
if N:
    bump()
    p = f(N, 1)
    q = say(N)
print(p, q)
""",
    "a guard that counts": """
def main():
    for a in [1, 2, 3, 4]:
        match a:
            case int() if log(a) > 2: y = f(a, len(LOG))
            case _: y = f(a)
        print(y, LOG)
main()
""",
    "the list grows, and what was found of its last turn is skipped": """
def main():
    xs = [1, 2, 3]
    out = []
    for x in xs:
        if len(xs) < 6: xs.append(x + 10)
        if x == 3: continue
        y = f(x)
        out.append(y)
    for x in xs:
        if len(xs) < 9: xs.append(x + 20)
        z = x if x == 13 else 0
        if z: continue
        for k in (1, 2):
            if x > 1: out.append(f(x, k))
    print(out)
main()
""",
    "items are changed": """
def main():
    rows = [{'n': 1, 'xs': [1, 2]}, {'n': 2, 'xs': [3]}]
    for row in rows:
        for x in row['xs']:
            y = f(x, row['n'])
            row['n'] += y
        print(row)
        for other in rows:
            other['xs'].append(row['n'])
main()
""",
    "return from inside": """
def find(n):
    for a in range(n):
        for b in range(3):
            y = f(a, b)
            if y == 3:
                return a, b
    return f(n), say(n)
def main():
    print(find(2), find(4))
    for a in range(4):
        for b in range(4):
            y = say(10 * a + b)
            assert y != 12, (a, b)
main()
""",
    "a stage in a turn, and an inner loop": """
def count(n):
    for i in range(n):
        yield i
def main(a=1, n=4):
    for y in count(3):
        c = f(f(a, 3), f(a, 5))
        for z in range(2):
            c = f(n, 4)
            a = y
        print(c, a)
main()
""",
}


HOME = {
    "a condition on what is carried",
    "a condition on what is logged",
    "a guard that counts",
    "a generator inside",
    "an operator of the user's in a condition",
    "contexts",
    "items are changed",
    "shared with a closure",
}
"""Of these nothing may run ahead with the turns of a loop."""
PARTS = 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", range(PARTS))
def test_the_same(tmp_path: Path, part: int) -> None:
    """With two and with three processes."""
    drivers = {name: {"driver.py": HEAD + DRIVERS[name]} for name in list(DRIVERS)[part::PARTS]}
    assert_turns_are_same(tmp_path, drivers, HOME)


@pytest.mark.parametrize("name", ["three levels", "exceptions inside"])
def test_the_same_by_the_command(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, HEAD + DRIVERS[name], options=("-j", "2"), _INFERFLOW_TURNS="always")
