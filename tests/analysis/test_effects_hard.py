"""The hard cases of the semantics: which statements share a place that one of them writes, beyond the names they bind."""

from __future__ import annotations

import pytest
from effects_of import Facts

CASES = {
    "a list inside a dictionary": (
        """
a = [1]
box = {'k': a}
b = list(a)
box['k'].append(2)
s = sum(a)
t = sum(b)
""",
        {(6, 5)},
        {(7, 5)},
    ),
    "an iterator": (
        """
it = iter([1, 2, 3])
head = next(it)
rest = list(it)
again = list(it)
""",
        {(4, 3), (5, 4)},
        set(),
    ),
    "a mutable default": (
        """
def add(x, acc=[]):
    acc.append(x)
    return list(acc)
a = add(1)
b = add(2)
""",
        {(6, 5)},
        set(),
    ),
    "views of an array": (
        """
import numpy as np
x = np.arange(4.)
v = x[1:3]
y = x
x += 1
x = x + 1
s = v.sum()
t = y.sum()
u = x.sum()
""",
        {(6, 4), (8, 6), (9, 6), (7, 6)},
        {(10, 6)},
    ),
    "files by different names": (
        """
import os
from pathlib import Path
p = Path('out')
p.mkdir()
open(p/'r.tmp', 'w').write('7')
os.replace(p/'r.tmp', p/'r1.txt')
v = open(os.path.join('out', 'r1.txt')).read()
""",
        {(7, 6), (8, 7)},
        {(8, 6)},
    ),
    "the global generator": (
        """
import random
def noise(n):
    return [random.random() for _ in range(n)]
random.seed(0)
a = noise(2)
b = [2 * x for x in (1, 2)]
c = random.randint(0, 9)
""",
        {(6, 5), (8, 6), (8, 5)},
        {(7, 6), (7, 5), (8, 7)},
    ),
    "a class attribute that instances share": (
        """
class Reg:
    items = {}
    def put(self, key, value):
        self.items[key] = value
        return self
r1 = Reg().put('a', 1)
r2 = Reg()
n = len(r2.items)
""",
        {(9, 7)},
        {(8, 7)},
    ),
    "a closure's state": (
        """
def make():
    n = 0
    def step():
        nonlocal n
        n += 1
        return n
    return step
one = make()
two = make()
a = one()
b = two()
c = one()
""",
        {(13, 11)},
        {(12, 11), (13, 12)},
    ),
    "a generator of the project over a list that changes": (
        """
def squares(xs):
    for x in xs:
        yield x * x
xs = [1, 2]
g = squares(xs)
xs.append(3)
a = list(g)
""",
        {(8, 7)},
        set(),
    ),
    "an object in two containers": (
        """
def first(c): return c[0]
def touch(c): c[0].append(1)
a = []
left = [a]
right = (a,)
touch(left)
n = len(first(right))
""",
        {(8, 7)},
        set(),
    ),
    "a bound method kept for later": (
        """
log = []
note = log.append
note(1)
n = len(log)
""",
        {(5, 4)},
        set(),
    ),
    "a partial application": (
        """
import functools
def put(where, x):
    where.append(x)
log = []
note = functools.partial(put, log)
note(1)
n = len(log)
""",
        {(8, 7)},
        set(),
    ),
    "the environment": (
        """
import os
def read():
    return os.environ.get('A')
a = read()
os.environ['A'] = '1'
b = read()
""",
        {(6, 5), (7, 6)},
        set(),
    ),
    "a loop that changes what another name holds": (
        """
rows = [{}, {}]
first = rows[0]
for row in rows:
    row['n'] = 1
n = len(first)
""",
        {(6, 4)},
        set(),
    ),
    "instances that refer to each other": (
        """
class Node:
    def __init__(self, up=None):
        self.up = up
        self.below = []
        if up is not None:
            up.below.append(self)
root = Node()
leaf = Node(root)
leaf.up.below.clear()
n = len(root.below)
""",
        {(9, 8), (11, 10)},
        set(),
    ),
    "a global of another module": (
        """
import state
state.add(1)
n = state.count()
""",
        {(4, 3)},
        set(),
    ),
}
FILES = {"state.py": "SEEN = []\ndef add(x):\n    SEEN.append(x)\ndef count():\n    return len(SEEN)\n"}


@pytest.mark.parametrize("name", CASES, ids=lambda n: n.replace(" ", "-"))
def test_who_depends_on_whom(name: str) -> None:
    text, depends, independent = CASES[name]
    facts = Facts(text, FILES)
    for later, earlier in sorted(depends):
        assert facts.depends(later, earlier), (later, earlier)
    for later, earlier in sorted(independent):
        assert not facts.depends(later, earlier), (later, earlier)


def test_a_lambda_reads_its_free_names_when_it_is_called() -> None:
    facts = Facts("k = 1\nf = lambda x: x + k\ng = lambda x, k=k: x + k\nk = 10\np = f(0)\nq = g(0)\n")
    assert "k" in facts.reads(5)
    assert "k" not in facts.reads(6)


def test_a_nested_function_of_the_driver_reads_its_variables_when_it_is_called() -> None:
    text = "def main():\n    k = 1\n    f = lambda x: x + k\n    k = 10\n    p = f(0)\n    return p\n"
    assert "k" in Facts(text, function="main").reads(5)


def test_the_same_text_gives_the_same_facts() -> None:
    text = CASES["a closure's state"][0] + CASES["an object in two containers"][0]
    assert Facts(text).effects == Facts(text).effects


def test_a_project_function_and_a_class_that_works_are_tasks_and_others_are_not() -> None:
    text = "class A:\n    def __init__(self):\n        self.x = len([1])\nclass B:\n    def __init__(self):\n        self.x = 1\n"
    text += "def f(): return 1\na = A()\nb = B()\nr = f()\nn = len([1])\n"
    facts = Facts(text)
    assert [line for line in (8, 9, 10, 11) if any(op.task for s in facts.lines[line] for op in s.ops)] == [8, 10]
    assert facts.callees(10) == {"__main__:f"}
    assert {"__main__:f", "__main__:A.__init__"} <= set(facts.effects.reached)


def test_cheap_and_literal_statements_are_told() -> None:
    facts = Facts(
        "def f(): return [1]\nx = f()\na = 1\nb = [a, 2]\nc = x[0]\nd = a * 2 + 1\ne = sum(x)\nf = {'a': [1]}\n"
    )
    cheap = {line for line, steps in facts.lines.items() if all(s.cheap for s in steps)}
    literal = {line for line, steps in facts.lines.items() if all(s.literal for s in steps)}
    assert cheap == {3, 4, 5, 6, 8}
    assert literal == {3, 8}


def test_deep_nesting_and_long_chains_are_no_trouble() -> None:
    calls = "".join(f"def f{n}(x): return f{n + 1}(x) + 1\n" for n in range(150)) + "def f150(x): return x\n"
    facts = Facts(calls + "r = f0(1)\n")
    assert facts.all(152) is not None
    ifs = "def g(): return 1\nx = g()\nif x == 0:\n    y = 0\n" + "".join(
        f"elif x == {n}:\n    y = {n}\n" for n in range(400)
    )
    assert Facts(ifs).lines
    terms = "def g(): return 1\nx = g()\ny = " + " + ".join(["x"] * 600) + "\n"
    assert Facts(terms).lines


def test_a_compound_statement_is_told_as_one() -> None:
    facts = Facts("def f(x): return x\na = []\nfor i in range(3):\n    a.append(f(i))\nn = len(a)\n")
    (step,) = facts.lines[3]
    assert [op.op for op in step.ops] == [-1]
    assert step.ops[0].callees == ("__main__:f",)
    assert facts.depends(5, 3)


def test_a_generator_does_what_it_does_when_it_is_asked() -> None:
    text = "def g(log):\n    log.append(1)\n    yield 1\nlog = []\nit = g(log)\nn = list(it)\nm = len(log)\n"
    facts = Facts(text)
    assert "object log" in facts.writes(6)
    assert facts.depends(7, 6)


def test_a_generator_expression_does_what_it_does_when_it_is_asked() -> None:
    text = "def put(log): log.append(1)\nlog = []\nit = (put(x) for x in [log])\nn = list(it)\nm = len(log)\n"
    facts = Facts(text)
    assert "object log" in facts.writes(4)


def test_a_driver_that_would_take_too_long_is_given_up_and_all_stays_at_home() -> None:
    forms = "".join(
        f"class C{n}:\n    def go(self, o):\n        self.a = o.go(self)\n        o.b = self.a.go(o)\n"
        f"        return [o, self.a, o.b, o.c + self.d]\n    def __add__(self, o):\n        return self.go(o)\n"
        for n in range(12)
    )
    facts = Facts(f"import nothing_known\n{forms}x = nothing_known.x\nr = x.go(x)\n")
    last = max(facts.lines)
    assert facts.ties(last)


def test_what_async_with_async_for_and_await_run_counts() -> None:
    facts = Facts("""
import asyncio
LOG = [1]
class Manager:
    async def __aenter__(self): LOG.append(1)
    async def __aexit__(self, *error): pass
class Iterator:
    def __aiter__(self): return self
    async def __anext__(self):
        LOG.append(3)
        raise StopAsyncIteration
class Awaitable:
    def __await__(self):
        LOG.append(4)
        return iter(())
async def a():
    async with Manager(): pass
async def b():
    async for x in Iterator(): pass
async def c():
    await Awaitable()
async def d():
    async with asyncio.Lock(): pass
a()
b()
c()
d()
""")
    assert all("object LOG" in facts.writes(line) for line in (24, 25, 26))
    assert "object LOG" not in facts.writes(27)
    assert "anything (unknown code)" not in facts.writes(27)
