"""Every way to write a map: its items run ahead (as the record says, not the clock), and all is as natively."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from batch import differences, run_batch

HEAD = """
import itertools, time
def f(*a):
    time.sleep(.06)
    return repr(a)
def pair(a, b=0): time.sleep(.06); return a, b
def is_big(x): time.sleep(.06); return x > 2
def load(x):
    time.sleep(.06)
    if x == 5: raise ValueError(x)
    return [x]
XS = [1, 2, 3, 4, 5, 6, 7, 8]
YS = 'ab'
D = {'a': 1, 'b': 2, 'c': 3, 'd': 4, 'e': 5, 'f': 6}
"""

MAPS: dict[str, str] = {
    "loop": "out = []\nfor x in XS: out.append(f(x))\nprint(out, x)",
    "extend and +=": "out, total = [], 0\nfor x in XS:\n    out.extend(pair(x))\n    total += len(f(x))\nprint(out, total)",
    "d[k] = and results[i] =": """
out, results = {}, [None] * 8
for i, x in enumerate(XS):
    out[x] = f(x)
    results[i] = pair(i, x)
print(out, results)
""",
    "range": "for i in range(8): print(i, f(i))",
    "items": "print({k: f(k, v) for k, v in D.items()})\nfor k, v in D.items(): print(k, f(v))",
    "zip and enumerate": "print([f(i, x, y) for i, (x, y) in enumerate(zip(XS, XS[1:]))])",
    "list of map": "print(list(map(f, XS)))\nprint(dict(zip(XS, map(pair, XS, XS))))",
    "product": "print([f(x, y) for x, y in itertools.product(XS[:4], YS)])\nfor x, y in itertools.product(YS, repeat=2): print(f(x, y))",
    "list": "print([f(x) for x in XS])",
    "set": "print(sorted({f(x) for x in XS}))",
    "dict": "print({x: f(x) for x in XS})",
    "a conditional element": "print([f(x) if x > 3 else pair(x) for x in XS])",
    "a conditional element that calls": "print([f(x) if is_big(x) else pair(x) for x in XS])",
    "and, or": "print([is_big(x) and f(x) or pair(x) for x in XS])",
    "a condition that calls": "print([x for x in XS if is_big(x)])",
    "a condition that calls, and an element": "print([f(x) for x in XS if is_big(x)])",
    "two loops": "print([f(x, y) for x in XS for y in YS])",
    "two loops, the inner one of one item": "print([f(x, y) for x in XS for y in [x]])",
    "two loops, each with a condition": "print([f(x, y) for x in XS if is_big(x) for y in range(x) if y % 3 == 0 if is_big(y)])",
    "three loops": "print({(x, y, z): f(x, y, z) for x in XS if x % 2 for y in YS for z in [y]})",
    "a comprehension inside": "print([[f(x, y) for y in YS] for x in XS])",
    "loops within each other": "for x in XS:\n    for y in YS:\n        print(f(x, y))",
    "sum of a generator expression": "print(sum(len(f(x)) for x in XS))",
    "join": "print('-'.join(f(x) for x in XS))",
    "any, which stops early": "print(any(is_big(x) for x in XS))",
    "stars": "print(*(f(x) for x in XS), sep='|')\na, b, *rest = (f(x) for x in XS)\nprint(a, b, rest)",
    "extend": "out = []\nout.extend(f(x) for x in XS if x > 1)\nprint(out)",
    "a generator expression inside": "print([sum(len(f(x, y)) for y in YS) for x in XS])",
    "duplicates": "print([f(x) for x in [1, 1, 1, 2, 2, 1, 1, 1]])",
    "one that fails": """
try:
    print([load(x) for x in XS])
except ValueError as error:
    print('failed', error)
try:
    print([load(x + y) for x in XS for y in (0, 1)])
except ValueError as error:
    print('failed', error)
""",
}
FUNCTION = {
    "list",
    "two loops",
    "a conditional element",
    "two loops, each with a condition",
    "a comprehension inside",
    "join",
}
"""Of these, also in a function."""


def drivers() -> dict[str, dict[str, str]]:
    found = {name: {"driver.py": f"{HEAD}\n{text}\n"} for name, text in MAPS.items()}
    for name in FUNCTION:
        text = f"{HEAD}\ndef main(XS, YS):\n    {MAPS[name]}\nmain(XS, YS)\n"
        found[f"{name}, in a function"] = {"driver.py": text}
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", range(2))
def test_items_run_ahead(tmp_path: Path, part: int) -> None:
    mine = dict(list(drivers().items())[part::2])
    for turn in range(3):  # on a busy machine helpers may come late
        found = run_batch(tmp_path / str(turn), mine, jobs=4)
        assert differences(found) == {}
        mine = {name: files for name, files in mine.items() if not found[name][4]}
    assert mine == {}, f"nothing ran ahead of {sorted(mine)}"


SAME = """
LOG = []
K = 3
def f(*a):
    for i in range(2): pass
    if a[0] == 4: print('f', a)
    return a[0]
def ok(x):
    for i in range(2): pass
    print('ok', x)
    return x > 2
def log(x): LOG.append(x); return x
def main():
    xs = [1, 2, 3, 4, 5]
    rows = [[1, 2], [3], [4, 5, 6]]
    print([f(y) for x in xs if ok(x) for y in [x, x + 1] if ok(y)])
    print([f(x) for x in xs if log(x) > 1], LOG)
    print([f(x, y) for x in xs for y in (7, 8) if log(y) > 7], LOG)
    print([f(x) for x in xs if print('test', x) or x > 1])
    print([f(x, y) for x in xs for y in (print('it', x), 2, 3) if y])
    print([f(x) for x in xs if x > K if 10 / (x - 3) > 1])
    print([f(x) for x in [5, 'a', 3] if not isinstance(x, str) if x > 3])
    print([f(x) for x in xs if (lambda q: q > 2)(x)])
    print([f(x) for x in xs if any(x == k for k in (1, 4))])
    print([f(k, x) for k, xs in {'a': [1, 2], 'b': [], 'c': [4]}.items() for x in xs])
    print([f(x, y) for x in xs for x in [x, x * 2] for y in [x]])
    print([f(y) for y in [z for z in xs if ok(z)] for _ in range(2)])
    print([f(x) for x in xs if ok(x) or f(x)])
    print([[f(x, y) for y in range(x) if ok(y)] for x in xs if ok(x)])
    print([f'{f(x)} {ok(x)}' for x in xs])
    print([f(x) if x < 4 else [f(x, y) for y in (x, 9)] for x in xs])
    print({k: [f(k, y) for y in xs] if k > 1 else None for k in xs})
    for start in (3, 9):
        try:
            print([f(10 // (x - start)) for x in xs])
            print([f(x, y) for x in xs for y in [1 // (x - 4)]])
        except ZeroDivisionError as e: print(e)
    print(sorted({f(y) for row in rows if len(row) > 1 for y in row if ok(y)}))
    print([rows.append([x]) or f(x) for x in xs], rows)
    once = iter([7, 8])
    print([f(x, y) for x in xs for y in once])
    print([f(x, y) for x in (i for i in xs) for y in xs])
    print([w for x in xs if (w := f(x)) > 2], w)
    print([f(x) for x in xs for row in rows if row[0] == x])
    print([(xs.append(x), f(x)) for x in xs if len(xs) < 8])
    print([f(a, *b) for a, *b in rows for b in (b, a * 2) if isinstance(b, list)])
    return [f(x, K) for x in xs if ok(x)]
print(main())
xs = [1, 4, 5]
print([f(x, y) for x in xs if ok(x) for y in xs if y != x])
print([(f(x), y) for x in xs for y in [f(x)]])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
def test_the_same_whatever_conditions_and_inner_loops_do(tmp_path: Path) -> None:
    found = run_batch(tmp_path, {"driver": {"driver.py": SAME}}, jobs=(2, 4), turns=True)
    assert differences(found) == {}


COUNTED = """
import time
LOG = []
def f(x, y=0):
    time.sleep(.02)
    return x
def log(x):
    LOG.append(x)
    return x
def check(x): return x > 1
def main():
    xs = [1, 2, 3, 4]
    a = list(map(log, xs))
    b = any(map(check, xs))
    out = []
    for x in xs:
        if x > 1:
            y = sum(map(f, xs, range(3)))
        else:
            y = sum(f(x) for x in xs[:2])
        out.append(f(y))
    return a, b, out
"""


@pytest.mark.parametrize("jobs", [1, 4])
def test_items_are_counted_wherever_they_run(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "driver.py").write_text(f"{COUNTED}main()\n")
    command = [sys.executable, "-m", "inferflow"]
    subprocess.run([*command, "-q", "run", "-j", str(jobs), "driver.py"], cwd=tmp_path, check=True)
    shown = subprocess.run([*command, "show", "latest", "--json"], cwd=tmp_path, capture_output=True, check=True)
    regions = [r for task in json.loads(shown.stdout)["tasks"] for r in task["attempts"][-1]["regions"]]
    found = {region["name"]: (region["turns"], region["items"]) for region in regions}
    assert found == {
        "map(log, xs)": (4, 4),
        "map(check, xs)": (2, 4),
        "for x in xs": (4, 4),
        "if x > 1": (0, -1),
        "map(f, xs, range(3))": (9, 9),
        "for x in ...": (2, 2),
    }
