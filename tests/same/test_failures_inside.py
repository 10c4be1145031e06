"""Failure inside of statements: in a turn, an arm, a group or a coroutine of which the rest was already computing. What was
done before has been done, what stands behind has not, and whoever catches it sees what natively is there by then."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import differences, run_batch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

HEAD = """
import asyncio, contextlib, os, sys, time
STATE = []
def work(k):
    time.sleep(0.03)
    return [k]
def act(k):
    time.sleep(0.02)
    {effect}
    return k * 10
def risky(k, bad={bad}):
    time.sleep(0.03)
    if k == bad:
        {partly}
        raise {error}
    return [k, k]
class Guard:
    def __init__(self, name): self.name = name
    def __enter__(self): print('enter', self.name); return self
    def __exit__(self, kind, value, trace):
        print('exit', self.name, kind and kind.__name__, sorted(os.listdir('.'))); return {swallows}
"""

EFFECTS = {
    "files": "open('f%d.txt' % k, 'w').write(str(k))",
    "one file": "open('log.txt', 'a').write('%d,' % k)",
    "output": "print('act', k)",
    "a global": "STATE.append(k)",
    "the environment": "os.environ['ACT'] = str(k)",
}

ERRORS = {
    "ValueError(k)": "print('half', k)",
    "SystemExit(k)": "open('half.txt', 'w').write('half')",
    "StopIteration(k)": "pass",
    "KeyboardInterrupt": "STATE.append('half')",
}

PLACES: dict[str, str] = {
    "a turn": """
for k in range(5):
    a = risky(k)
    b = act(k)
    c = work(b)
print(a, b, c)
""",
    "a turn, behind an act": """
out = []
for k in range(5):
    b = act(k)
    a = risky(k)
    out.append((a, b))
print(out)
""",
    "a comprehension": """
before = act(7)
out = [(risky(k), work(k)) for k in range(5)]
after = act(8)
print(out, after)
""",
    "a map": """
before = act(7)
out = list(map(risky, range(5)))
after = act(8)
print(out, after)
""",
    "loops within each other": """
out = {}
for i in range(2):
    for k in range(4):
        out[i, k] = risky(k + i)
    act(i)
print(out)
""",
    "an arm": """
if len(sys.argv) == 1:
    a = work(1)
    b = risky(2)
    c = act(3)
    d = work(4)
else:
    a = b = c = d = None
print(a, b, c, d)
""",
    "a manager": """
with Guard('outer') as g, contextlib.suppress(KeyError):
    a = act(1)
    b = risky(2)
    c = act(3)
    d = work(4)
print('b' in globals(), 'd' in globals())
e = act(5)
""",
    "an attempt": """
tries = 0
for k in (2, 2, 1):
    try:
        a = act(k)
        b = risky(k)
        c = work(k)
    except Exception as error:
        tries += 1
        print('caught', type(error).__name__, error.args, 'c' in globals())
        d = act(k + 20)
    else:
        e = act(k + 30)
    finally:
        f = act(k + 40)
print(a, b, c, tries)
""",
    "a case": """
for shape in ('one', 'two'):
    match shape:
        case 'one':
            a = act(1)
            b = work(2)
        case _:
            c = risky(2)
            d = act(4)
print(a, b, c, d)
""",
    "a function that is opened": """
def inner(k):
    a = work(k)
    b = risky(k)
    c = act(k)
    return a, b, c
def outer():
    x = inner(1)
    y = inner(2)
    z = inner(3)
    return x, y, z
print(outer())
""",
    "coroutines": """
async def one(k):
    await asyncio.sleep(0)
    a = risky(k)
    b = act(k)
    return a, b
async def whole():
    found = await asyncio.gather(*(one(k) for k in range(4)), return_exceptions=True)
    print([repr(part) for part in found])
    return await one(2)
print(asyncio.run(whole()))
""",
    "a while": """
k = 0
while k < 5:
    a = risky(k)
    b = act(k)
    k += 1
print(a, b, k)
""",
    "a generator": """
def parts():
    for k in range(4):
        yield risky(k)
        act(k)
out = []
try:
    for part in parts():
        out.append(part)
        work(1)
finally:
    print('so far', out)
    act(9)
""",
}


def drivers() -> dict[str, dict[str, str]]:
    """Every place twice, with effects, errors and turns that go round; each with tasks before and behind."""
    found = {}
    effects, errors = list(EFFECTS.items()), list(ERRORS.items())
    for number, (place, body) in enumerate(PLACES.items()):
        for more in range(2):
            effect = effects[(number + 2 * more) % len(effects)]
            error, partly = errors[(number + more) % len(errors)] if place != "coroutines" else errors[0]
            head = HEAD.format(
                effect=effect[1], partly=partly, error=error, bad=(2, 1)[more], swallows=("False", "True")[more]
            )
            text = f"{head}before = act(100)\n{body}\nlast = work(1)\nprint('the end', STATE, before, last, act(200))\n"
            found[f"{place}: {effect[0]}, {error}"] = {"driver.py": text}
    return found


def test_what_stands_behind_has_not_been_done(tmp_path: Path) -> None:
    found = run_batch(tmp_path, drivers(), jobs=(2, 4), turns=True)
    assert differences(found) == {}
    assert sum(ahead + inside for _, _, ahead, _, inside in found.values()) > 30  # they were computing
