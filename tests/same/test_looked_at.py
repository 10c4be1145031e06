"""What helpers run ahead of a loop, an arm or coroutines, while something changes behind the analysis what it reads.

Home looks at that where it comes to each result (``worker/frames_proof.py``). Ten of these gave wrong results before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import run_batch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

HEAD = """
import time, sys, asyncio, contextlib, os, gc
from types import MappingProxyType
P = ['__ma', 'in__', '__di', 'ct__']
TABLE = {'k': [1]}
K = 1
class C:
    level = 1
    def __init__(self, v): self.v = v
    def get(self, x): time.sleep(.03); return [x, self.v, C.level]
def space(): return object.__getattribute__(sys.modules[P[0] + P[1]], P[2] + P[3])
def st(v): space()['TABLE']['k'].append(v)
def rebind(v): space()['K'] = v
def other(x): time.sleep(.03); return [-x]
def swap(): [f][0].__code__ = [other][0].__code__
def level(v): type.__setattr__(C, 'le' + 'vel', v)
def f(x): time.sleep(.03); return [x, len(TABLE['k'])]
def k(x): time.sleep(.03); return [x, K]
def g(x): time.sleep(.03); return [x, list(TABLE['k'])]
def r(t, x): time.sleep(.03); return [x, list(t)]
def s(t): time.sleep(.03); return list(t)
def via(name, v):
    for part in gc.get_referents(sys._getframe(1)): pass
def put(l, v): MappingProxyType({'k': l})['k'].append(v)
"""

DRIVERS: dict[str, str] = {
    "an element changes what the next ones read": """
def main():
    t = [1]
    out = [(r(t, x), MappingProxyType({'k': t})['k'].append(x) if x == 4 else 0) for x in range(12)]
    print(out)
main()
""",
    "a coroutine changes what others were given": """
async def part(t, x):
    await asyncio.sleep(0)
    y = r(t, x)
    if x == 1: put(t, x)
    return y
async def main():
    t = [1]
    print(await asyncio.gather(part(t, 1), part(t, 2), part(t, 3), part(t, 4)))
asyncio.run(main())
""",
    "a coroutine changes a global": """
async def part(x):
    await asyncio.sleep(0)
    y = f(x)
    z = g(x)
    if x == 1: st(x)
    return y, z
async def main():
    print(await asyncio.gather(part(1), part(2), part(3), part(4)))
asyncio.run(main())
""",
    "what a method is bound to changes": """
def main():
    c = C([1])
    out = []
    for y in map(c.get, range(12)):
        if y[0] == 4: MappingProxyType({'k': c})['k'].v.append(5)
        out.append(list(y[1]))
    print(out)
main()
""",
    "in a loop within a loop": """
def main():
    out, t = [], [1]
    for x in range(4):
        for z in range(3):
            y = r(t, z)
            if x == 1 and z == 1: put(t, x)
            out.append(y)
    print(out)
main()
""",
    "in a function that is opened": """
def part(l, m):
    a = s(l)
    b = s(m)
    put(m, 3)
    c = s(l)
    d = s(m)
    return a, b, c, d
def main():
    print(part([0], [1]))
main()
""",
    "a variable of the environment": """
def e(x): time.sleep(.03); return [x, os.environ.get('QQ')]
def w(v): space()['os'].environ['Q' + 'Q'] = v
def main():
    with contextlib.nullcontext():
        a = e(1)
        b = e(2)
        w('x')
        c = e(3)
        d = e(4)
        print(a, b, c, d)
main()
""",
    "in an arm of a function": """
def main():
    l, m = [0], [1]
    if f(1):
        a = s(l)
        b = s(m)
        put(m, 3)
        c = s(l)
        d = s(m)
        print(a, b, c, d)
main()
""",
    "what a call of the arm itself has left": """
def main():
    l, m = [0], [1]
    with contextlib.nullcontext():
        a = s(l)
        b = s(m)
        put(a, 3)
        c = s(a)
        d = s(b)
        print(a, b, c, d)
main()
""",
    "in an arm of the module": """
if f(1):
    a = f(1)
    b = g(2)
    st(3)
    c = f(4)
    d = g(5)
    print(a, b, c, d)
""",
    "before the call of a turn": """
def main():
    out = []
    for x in range(12):
        if x == 4: st(x)
        y = f(x)
        out.append(y)
    print(out)
main()
""",
    "between two calls of a turn": """
def main():
    out = []
    for x in range(12):
        a = f(x)
        if x == 4: st(x)
        b = g(x)
        out += [a, b]
    print(out)
main()
""",
    "a list that all turns are given": """
def main():
    out, t = [], [1]
    for x in range(12):
        y = r(t, x)
        if x == 4: put(t, x)
        out.append(y)
    print(out)
main()
""",
    "an item whose turn is still to come": """
def main():
    out, items = [], [[n] for n in range(12)]
    for x in items:
        y = s(x)
        if x[0] == 4: MappingProxyType({'k': items[6]})['k'].append(9)
        out.append(y)
    print(out)
main()
""",
    "what a turn itself has left": """
def main():
    out = []
    for x in range(12):
        a = s([x])
        MappingProxyType({'k': a})['k'].append(9)
        b = r(a, x)
        out += [a, b]
    print(out)
main()
""",
    "an attribute of a class": """
def main():
    out, c = [], C(1)
    for x in range(12):
        y = c.get(x)
        if x == 4: level(x)
        out.append(y)
    print(out)
main()
""",
    "a global is bound anew": """
out = []
for x in range(12):
    y = k(x)
    if x == 4: rebind(x)
    out.append(y)
print(out)
""",
    "code is replaced": """
def main():
    out = []
    for x in range(12):
        y = f(x)
        if x == 4: swap()
        out.append(y)
    print(out)
main()
""",
    "what a global holds": """
def main():
    out = []
    for x in range(12):
        y = f(x)
        if x == 4: st(x)
        out.append(y)
    print(out)
main()
""",
    "code is replaced in an arm": """
def main():
    with contextlib.nullcontext():
        a = f(1)
        b = other(2)
        swap()
        c = f(3)
        d = other(4)
        print(a, b, c, d)
main()
""",
    "code is replaced by a coroutine": """
async def part(x):
    await asyncio.sleep(0)
    if x == 1: swap()
    return f(x)
async def main():
    print(await asyncio.gather(part(1), part(2), part(3), part(4)))
asyncio.run(main())
""",
    "code is replaced between the calls of a map": """
def main():
    out = []
    for y in map(f, range(12)):
        if y[0] == 4: swap()
        out.append(y)
    print(out)
main()
""",
    "a dictionary of an instance": """
class O: pass
def main():
    l, o = [0], O()
    if s([1]):
        p = o.__dict__
        p.update(y=l)
        o.y.append(1)
        a = s(l)
        b = s([2])
        MappingProxyType({'k': l})['k'].append(2)
        c = s(l)
        print(a, b, c)
main()
""",
    "a table in place": """
import numpy as np, pandas as pd
def total(a, x): time.sleep(.03); return float(a["n"].sum()) + x
def main():
    a, out = pd.DataFrame({"n": np.ones(5)}), []
    for x in range(12):
        y = total(a, x)
        if x == 4: MappingProxyType({'k': a})['k'].iloc[0, 0] = 7.0
        out.append(y)
    print(out)
main()
""",
    "a column in place": """
import numpy as np, pandas as pd
def total(a, x): time.sleep(.03); return float(a.sum()) + x
def main():
    a, out = pd.Series(np.ones(5)), []
    for x in range(12):
        y = total(a, x)
        if x == 4: MappingProxyType({'k': a})['k'].iloc[0] = 7.0
        out.append(y)
    print(out)
main()
""",
    "an array in place": """
import numpy as np
def total(a, x): time.sleep(.03); return float(a.sum()) + x
def main():
    a, out = np.ones(5), []
    for x in range(12):
        y = total(a, x)
        if x == 4: np.copyto(MappingProxyType({'k': a})['k'], 7.0)
        out.append(y)
    print(out)
main()
""",
}


@pytest.mark.parametrize("part", range(2))
def test_changes_are_noticed_where_results_are_used(tmp_path: Path, part: int) -> None:
    pytest.importorskip("pandas")
    drivers = {name: {"driver.py": HEAD + text} for name, text in list(DRIVERS.items())[part::2]}
    found = run_batch(tmp_path, drivers, frozenset(), "numpy", "pandas")
    assert {name: difference for name, (difference, *_) in found.items() if difference} == {}
    assert len(found) == len(drivers)


KEPT: dict[str, str] = {
    "a path keeps its text": """
import time
from pathlib import Path
def f(base, x): time.sleep(.02); return str(base / str(x)), hash(base) == hash(base), str(base)
def main():
    base, out = Path("data") / "sub", []
    for x in range(12): out.append(f(base, x))
    print(out)
main()
""",
    "a logger keeps which levels are on": """
import logging, time
log = logging.getLogger("a.b")
def f(x): log.debug("x %s", x); time.sleep(.02); return [x]
def main():
    out = []
    for x in range(12): out.append(f(x))
    print(out)
main()
""",
    "a table keeps its columns and its index": """
import time
import numpy as np, pandas as pd
def f(t, x):
    time.sleep(.02)
    return float(t["a"].sum() + t.loc[x % 5, "b"] + t[t.a > 1].shape[0]) + len(t.index.get_indexer([x]))
def main():
    t, out = pd.DataFrame({"a": np.arange(5.), "b": np.arange(5), "c": list("abcde")}), []
    for x in range(12): out.append(f(t, x))
    print(out)
main()
""",
}


def test_what_objects_keep_once_they_were_asked_is_no_change(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    drivers = {name: {"driver.py": text} for name, text in KEPT.items()}
    found = run_batch(tmp_path, drivers, (), "numpy", "pandas", turns=True)
    assert {name: (difference, inside > 0) for name, (difference, *_, inside) in found.items()} == (
        dict.fromkeys(KEPT, (None, True))
    )
