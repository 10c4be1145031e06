"""Conditional expressions, ``and`` and ``or`` with calls: hooks that tell the arms change nothing. (``test_shown`` looks at what they tell.)"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import differences, run_batch

HEAD = """
import asyncio, sys
ASKED = []
class Odd:
    def __init__(self, x): self.x = x
    def __bool__(self):
        ASKED.append(self.x)
        return self.x % 2 == 1
def odd(x):
    for i in range(2): pass
    return Odd(x)
def f(x, k=1):
    for i in range(3): pass
    return x * k
def say(x):
    for i in range(3): pass
    print('say', x)
    return x
def bad(x):
    for i in range(3): pass
    raise ValueError(x)
"""

DRIVERS: dict[str, str] = {
    "how often truth is asked": """
def main():
    a = odd(1) and odd(2) and odd(3)
    b = odd(4) or odd(5) or odd(6)
    c = (odd(1) and odd(3)) or (odd(5) and odd(6))
    if odd(1) and odd(2) or odd(4) and odd(6):
        say(1)
    elif odd(7) and (odd(8) or odd(9)):
        say(2)
    while odd(1) and odd(3) and not odd(5) or odd(2):
        break
    d = not (odd(1) and odd(2))
    e = say(1) if odd(3) and odd(1) else say(2)
    assert odd(1) and odd(3), say(9)
    print(a.x, b.x, c.x, d, e, ASKED)
    return (odd(1) and odd(2)).x
print(main(), ASKED)
""",
    "values": """
x = f(0) and say(3)
y = f(0) or say(4)
z = say(1) if x else (say(2) if y else say(3))
w = (f(1) and f(0)) or None
v = [say(i) if i % 2 else f(i) and say(-i) for i in range(4)]
u = {i: f(i) or say(i) for i in range(3)}
t = sorted({f(i) and f(i, 2) for i in range(4)})
print(x, y, z, w, v, u, t, (q := f(3)) and f(q))
print(lambda a: f(a) if a else say(a), file=open('/dev/null', 'w'))
print(list(f(i) or say(i) for i in range(2)), q)
""",
    "in turns and arms": """
def part(n):
    a = f(n) if n else say(n)
    b = f(n) and say(n)
    return a, b
def main(xs):
    out = []
    for x in xs:
        y = f(x) if x > 1 else f(-x)
        z = f(x) or f(7)
        out.append(y if z else say(y))
    with open('/dev/null'):
        p = f(1) and f(2)
        q = f(3) if p else f(4)
    r = part(3)
    s = part(0)
    try:
        v = f(1) and bad(2) or say(3)
    except ValueError as error:
        v = repr(error)
    print(out, p, q, r, s, v)
main([0, 1, 2, 3])
""",
    "awaits": """
async def g(x):
    await asyncio.sleep(0)
    return f(x) if x else say(x)
async def main():
    a = (await g(1)) and await g(2)
    b = await g(0) or (await g(3) if a else say(4))
    print(a, b, await asyncio.gather(*[g(i) for i in range(3)]))
asyncio.run(main())
""",
    "what fails": """
def main(n):
    a = f(n) or f(2)
    return (f(a) and
            bad(a)
            or say(3))
main(1)
""",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
def test_the_same(tmp_path: Path) -> None:
    drivers = {name: {"driver.py": HEAD + text} for name, text in DRIVERS.items()}
    assert differences(run_batch(tmp_path / "plain", drivers, jobs=(1, 2))) == {}
    assert differences(run_batch(tmp_path / "turns", drivers, jobs=3, turns=True)) == {}
