"""Drivers of random statements: whatever the graph calls free gives the native result ahead of its turn."""

from __future__ import annotations

import os

import pytest
from ahead import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PRELUDE = """\
count = 0
STORE = []

class Box:
    made = 0
    def __init__(self, v=0):
        self.v = v
    def put(self, v):
        self.v = v
        return self
    def get(self):
        return self.v
    def __repr__(self):
        return "Box"
    def __add__(self, other):
        return Box([self.v, other])

def new(n): return [n]
def nest(n): return {"a": [n], "b": n}
def size(x): return len(repr(x))
def show(x):
    print("show", x)
    return len(repr(x))
def grow(x, n=1):
    x.append(n)
    return len(x)
def same(x): return x
def copy(x): return list(x)
def wrap(x): return [x]
def both(x, y): return [x, y]
def two(n): return [n], {"k": n}
def inner(x): return x[0]
def inc():
    global count
    count += 1
    return count
def peek(): return count
def remember(x):
    STORE.append(x)
def recall(): return len(STORE)
def stored(): return STORE
def tally(x, acc=[]):
    acc.append(x)
    return len(acc)
def look(): return size(v0)
def call(f): return f(1)
def adder(x): return lambda y: [x, y]
def boxed(x): return Box(x)
def mark(n): Box.made = n
def marked(): return Box.made
def fails(x): return x.nothing
def safe(x):
    try:
        return x.nothing
    except AttributeError:
        return -1
"""

NAMES = ("v0", "v1", "v2", "v3")
name = st.sampled_from(NAMES)
atom = st.one_of(name, st.sampled_from(("1", "2", "'s'", "[7]", "(1, 2)", "{'a': [0]}", "None")))
calls = st.sampled_from(
    (
        "new({0})", "nest({0})", "size({0})", "show({0})", "grow({1})", "same({0})", "copy({1})", "wrap({0})",
        "both({0}, {1})", "inner({1})", "inc()", "peek()", "remember({0})", "recall()", "stored()", "tally({0})",
        "look()", "call(adder({0}))", "boxed({0})", "mark({0})", "marked()", "safe({0})", "size(both({0}, {1}))",
        "both(new({0}), size({1}))", "call(lambda y: size({1}))", "len(copy(new({0})))", "grow(wrap({0}))",
        "both(grow({1}), size({1}))", "size([size(w) for w in (1, {1})])", "Box({0}).put({1})",
    )
)  # fmt: skip
call = st.builds(lambda text, a, b: text.format(a, b), calls, atom, name)
statement = st.one_of(
    st.builds("{} = {}".format, name, call),
    st.builds("{} = {}".format, name, call),
    call,
    st.builds("{} = {}".format, name, atom),
    st.builds("{}, {} = two(3)".format, name, name),
    st.builds("{}[0] = {}".format, name, call),
    st.builds("{}.append({})".format, name, call),
    st.builds("{} += [{}]".format, name, call),
    st.builds("{}.v = {}".format, name, call),
    st.builds("{} = {}[0]".format, name, name),
    st.builds("{} = [{}, {}]".format, name, name, name),
    st.builds("print(f'{{{}}}', {})".format, name, call),
    st.builds("{0} = {1} if {2} else {0}".format, name, call, name),
    st.builds("if {}:\n    {} = {}".format, name, name, call),
    st.builds("for w in (1, 2):\n    {} = {}".format, name, call),
    st.builds("try:\n    {} = {}\nexcept Exception:\n    {} = 0".format, name, call, name),
    st.builds("{} = [same(w) for w in ({}, 1)]".format, name, name),
    st.builds("{} = lambda: {}".format, st.sampled_from(("f0", "f1")), call),
    st.builds("{} = f0()".format, name),
    st.builds("def f1(x={}): return size(x)".format, name),
    st.builds("{} = f1()".format, name),
    st.builds("{} = both({} := {}, {})".format, name, name, call, name),
    st.builds("STORE.append({})".format, name),
    st.builds("count = {}".format, call),
    st.builds("size.note = {}".format, atom),
    st.builds("v0 = getattr(size, 'note', {})".format, atom),
    st.builds("def f1(): return size({})".format, name),
    st.builds("def f1():\n    nonlocal {0}\n    {0} = {1}\n    return 1".format, name, call),
    st.builds("f0 = f1".format),
    st.builds("{} = iter({})".format, name, name),
    st.builds("{} = next({}, 5)".format, name, name),
    st.builds("{} = list({})".format, name, name),
    st.builds("{} = (same(w) for w in {})".format, name, name),
    st.builds("{} = map(same, {})".format, name, name),
    st.builds("del {0}\n{0} = {1}".format, name, atom),
    st.builds("{}['a'] = {}".format, name, call),
    st.builds("{}['a'].append({})".format, name, name),
    st.builds("{} = {}['a']".format, name, name),
    st.builds("{} = {} + {}".format, name, name, atom),
    st.builds("{} = {} * 2".format, name, name),
    st.builds("{} = STORE".format, name),
    st.builds("{0} = {0}.append".format, name),
    st.builds("Box.made = {}".format, call),
    st.builds("{} = Box.made".format, name),
    st.builds("class K:\n    z = {}".format, name),
    st.builds("{} = [w for w in {}]".format, name, name),
    st.builds("{} = {{w: {} for w in (1, 2)}}".format, name, name),
    st.builds("while size({0}) < 9:\n    {0} = wrap({0})".format, name),
    st.builds("{} = call({})".format, name, st.sampled_from(("wrap", "f0", "STORE.append", "boxed"))),
    st.builds("{} = adder({})".format, st.sampled_from(("f0", "f1")), name),
    st.builds("{} = both(*{})".format, name, name),
    st.builds("{} = both(y={}, x={})".format, name, atom, call),
    st.builds("(lambda: {})()".format, call),
)
START = "v0 = new(0)\nv1 = new(1)\nv2 = nest(2)\nv3 = new(v1)\nf0 = size\nf1 = peek\n"
DEEP = bool(os.environ.get("INFERFLOW_DEEP"))


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERFLOW_STRICT", "1")


@settings(
    max_examples=800 if DEEP else 50,
    deadline=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(statement, min_size=1, max_size=9))
def test_a_script(statements: list[str]) -> None:
    run(PRELUDE + START + "\n".join(statements).replace("nonlocal", "global") + "\n")


@settings(
    max_examples=800 if DEEP else 50,
    deadline=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(statement, min_size=1, max_size=9), st.booleans())
def test_a_function(statements: list[str], late: bool) -> None:
    lines = "\n".join(statements).splitlines()
    body = "\n".join(f"    {line}" for line in (*START.splitlines(), *lines, "print(v0, v1, v2, v3, recall(), peek())"))
    begin = "first = sorted([2, 1])\n" if late else ""  # all definitions then stand behind the first task
    run(begin + PRELUDE.replace("size(v0)", "recall()") + f"def main():\n{body}\n\nmain()\n")
