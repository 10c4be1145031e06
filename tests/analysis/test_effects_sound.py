"""What really happens is among what was predicted: small random programs are run natively, statement by statement, and
every change of an object, and all sharing between variables, is looked for in the effects and labels."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from effects_of import Facts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PRELUDE = """
import copy
from functools import partial
class Box:
    shared = []
    def __init__(self, ref=None):
        self.ref = self if ref is None else ref
        self.items = []
        self.n = 0
    def swap(self, other):
        self.ref, other.ref = other.ref, self.ref
        return self
    def give(self):
        return self.ref
    @property
    def first(self):
        return (self.items or [self])[0]
    @first.setter
    def first(self, value):
        self.items.insert(0, value)
    def __add__(self, other):
        made = Box(self.ref)
        made.items.extend(other.items)
        return made
    def __iadd__(self, other):
        self.items.append(other)
        return self
    def __call__(self, other):
        self.n += 1
        return other
    def __enter__(self):
        return self.ref
    def __exit__(self, *error):
        self.n += 1
class Sub(Box):
    def __init__(self, ref=None):
        super().__init__(ref)
        self.tag = [0]
    def give(self):
        self.tag.append(1)
        return super().give()
D = {}
def gen(x):
    yield x
    x.n += 1
    yield x.ref
def keep(v, acc=[]):
    acc.append(v)
    return acc[0]
def make(v):
    seen = [v]
    count = 0
    def inner(w):
        nonlocal count
        count += 1
        seen.append(w)
        return seen[count % 2]
    return inner
def touch(x):
    x.n += 1
    return x
def touch_with(x, y):
    x.n += 1
    return y
def nested(x):
    yield from gen(x)
    x.items.append(x)
    yield x
def pick(value, other):
    while isinstance(value, tuple):
        value = value[-1]
    return value if isinstance(value, Box) else other
def through(function, x):
    return function(x)
def logged(function):
    def wrapper(*args, **more):
        Box.shared.append(args[0])
        return function(*args, **more)
    return wrapper
@logged
def noted(x, y=None):
    return x
"""

SIMPLE = (
    "{x} = Box({y})",
    "{x} = Sub({y})",
    "{x} = {y}",
    "{x} = {y}.ref",
    "{x}.ref = {y}",
    "{x}.items.append({y})",
    "{x} = ({y}.items or [{z}])[0]",
    "{x}.n += 1",
    "{x} = [{y}, {z}][{x}.n % 2]",
    "{x}, {y} = {y}, {z}",
    "{x} = {y}.swap({z})",
    "{x} = {y}.give()",
    "{x} = {y}.first",
    "{x}.first = {y}",
    "{x} = {y} + {z}",
    "{x} += {z}",
    "{x} = {y}({z})",
    "{x} = {y} if {z}.n else {x}.ref",
    "Box.shared.append({x})",
    "{x} = (Box.shared or [{y}])[-1]",
    "{x}.items.extend([Box(e) for e in {y}.items[:2]])",
    "{x}.items = [e.ref for e in {y}.items[:3]]",
    "{x} = (lambda t: [t.items.append({y}), t][1])({z})",
    "{x} = list(gen({y}))[1]",
    "{x} = next(e for e in gen({y}))",
    "{x} = max([{y}, {z}], key=lambda t: t.n)",
    "{x} = list(map({y}, [{z}]))[0]",
    "{x} = [v for _, v in zip('ab', [{y}, {z}])][1]",
    "{x} = [v for i, v in enumerate([{y}, {z}.ref])][0]",
    "{x} = D.setdefault('k', {y})",
    "D['k'] = {x}",
    "{x} = [v for k, v in D.items()][0] if D else {y}",
    "{x} = {{'a': {y}, **D}}['a']",
    "{x} = keep({y})",
    "{x} = make({y})({z})",
    "{x} = through(make({y}), {z})",
    "{x} = through(noted, {y})",
    "{x} = noted({y}, y={z})",
    "{x} = copy.copy({y})",
    "{x} = copy.deepcopy({y})",
    "{x} = getattr({y}, 'ref')",
    "setattr({x}, 'ref', {y})",
    "first, *rest = [{y}, {z}, {x}]; {x} = rest[0]",
    "{x} = sorted([{y}, {z}], key=lambda t: -t.n)[0]",
    "{x} = dict(k=[{y}])['k'][0]",
    "{x} = tuple([{y}, {z}])[-1]",
    "{x} = vars({y})['ref']",
    "del {x}.items[:]",
)
LAZY = (
    "it = gen({x})",
    "it = iter({x}.items)",
    "it = (touch(e) for e in [{x}, {y}])",
    "it = (touch({x}) for e in [1])",
    "it = map(touch, [{x}, {y}])",
    "it = map(fn, [{x}, {y}])",
    "it = zip([{x}], it)",
    "it = filter(lambda t: touch(t).n, [{x}])",
    "it = enumerate(gen({y}))",
    "it = nested({x})",
    "{x} = pick(next(it, {y}), {x})",
    "for e in it:\n    {x} = pick(e, {x})",
    "{x} = pick([*it, {y}][0], {x})",
    "fn = make({x})",
    "fn = {x}.items.append",
    "fn = {x}.swap",
    "fn = lambda t: [{x}.items.append(t), t][1]",
    "fn = lambda t, d={x}: [d.items.append(t), t][1]",
    "fn = partial(touch_with, {x})",
    "{x} = fn({y}) or {z}",
    "{x} = through(fn, {y}) or {z}",
    "{x}.ref = fn({y}) or {z}",
    "D['f'] = fn; {x} = D.pop('f')({y}) or {z}",
)
BLOCKS = (
    "for e in {y}.items[:2]:\n    e.n += 1\n    {x} = e\n{body}",
    "if {x}.n % 2:\n{body}\nelse:\n{other}",
    "try:\n{body}\n    raise ValueError\nexcept ValueError:\n{other}",
    "for i in range(2):\n{body}\n    if i:\n        break\n{other}",
    "with {y} as {x}:\n{body}",
    "while {x}.n % 3:\n    {x}.n += 1\n{body}",
    "match {y}:\n    case Box(ref={x}):\n    {body4}",
)


def name(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


@st.composite
def simple(draw: Any, names: tuple[str, ...], functions: int) -> str:
    x, y, z = (draw(name(names)) for _ in range(3))
    if functions and draw(st.integers(0, 3)) == 0:
        number = draw(st.integers(0, functions - 1))
        form = draw(st.sampled_from(("f{n}({y}, {z})", "f{n}(q={y}, p={z})", "f{n}(*[{y}, {z}])")))
        return f"{x} = {form.format(n=number, y=y, z=z)}"
    return draw(st.sampled_from(SIMPLE)).format(x=x, y=y, z=z)


@st.composite
def statement(draw: Any, names: tuple[str, ...], functions: int) -> str:
    if draw(st.integers(0, 4)):
        return draw(simple(names, functions))
    x, y = draw(name(names)), draw(name(names))
    lines = [draw(simple(names, functions)) for _ in range(2)]
    form = draw(st.sampled_from(BLOCKS))
    return form.format(x=x, y=y, body="    " + lines[0], other="    " + lines[1], body4="    " + lines[0])


def indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


@st.composite
def programs(draw: Any) -> tuple[str, list[str]]:
    text = PRELUDE
    count = draw(st.integers(1, 3))
    for number in range(count):
        body = "".join(indent(draw(statement(("p", "q", "r"), number))) for _ in range(draw(st.integers(1, 4))))
        outer = draw(st.sampled_from(("", "    global G\n    G = q\n", "    q = G\n", "    G.items.append(q)\n")))
        result = draw(st.sampled_from(("p", "q", "r", "Box(r)", "p.ref", "r.first")))
        text += f"def f{number}(p, q):\n{'    global G' if 'global' in outer else '    pass'}\n    r = p\n"
        text += f"{outer.replace('    global G', '    pass')}{body}    return {result}\n"
    steps = [f"{v} = Box()" for v in "abcG"]
    steps += ["it = iter(())", "fn = noted"]
    for _ in range(draw(st.integers(2, 6))):
        if draw(st.integers(0, 2)):
            steps.append(draw(statement(("a", "b", "c"), count)))
        else:
            x, y, z = (draw(name(("a", "b", "c"))) for _ in range(3))
            steps.append(draw(st.sampled_from(LAZY)).format(x=x, y=y, z=z))
    return text, steps


VARIABLES = ("a", "b", "c", "G", "D")


def parts(value: Any) -> Iterator[Any]:
    """The mutable objects right below one."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif hasattr(value, "__dict__") and not callable(getattr(value, "__code__", None)):
        yield from vars(value).values()


def reachable(value: Any) -> dict[int, Any]:
    """All lists, dictionaries and boxes reachable from a value."""
    found: dict[int, Any] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if id(item) in found or isinstance(item, type | int | str) or item is None:
            continue
        found[id(item)] = item
        stack.extend(parts(item))
    return {key: item for key, item in found.items() if not isinstance(item, tuple)}


def state(value: Any) -> tuple[Any, ...]:
    """What an object is right now, not looking below it."""
    if isinstance(value, dict):
        return tuple((key, id(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(id, value))
    return tuple((key, item if isinstance(item, int) else id(item)) for key, item in vars(value).items())


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_what_happens_was_predicted(program: tuple[str, list[str]]) -> None:
    check(*program)


def check(prelude: str, steps: list[str]) -> None:
    probe = f"probe = ({', '.join(VARIABLES)},)"
    lines = prelude.rstrip("\n").split("\n")
    starts: list[int] = []
    for number, text in enumerate(steps):
        starts.append(len(lines) + 1)
        lines += text.split("\n")
        if number >= 3:
            lines.append(probe)
    source = "\n".join(lines) + "\n"
    facts = Facts(source)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(prelude, "prelude", "exec"), space)
    pinned: list[Any] = []
    for number, text in enumerate(steps):
        before: dict[str, dict[int, Any]] = {}
        if number > 3:
            before = {v: reachable(space[v]) for v in VARIABLES}
            before["Box.shared"] = reachable(space["Box"].shared)
            pinned.append(before)
        states = {key: state(item) for group in before.values() for key, item in group.items()}
        old_global = space.get("G")
        try:
            for node in ast.parse(text).body:
                exec(compile(ast.Module([node], []), "step", "exec"), space)
        except (RecursionError, AttributeError, TypeError, IndexError):
            return  # the program fails: what follows never runs
        if number <= 3:
            continue
        at = range(starts[number], starts[number] + len(text.split("\n")))
        written = {w[7:] for line in at if line in facts.lines for w in facts.writes(line) if w.startswith("object ")}
        everything = {w for line in at if line in facts.lines for w in facts.writes(line)}
        if "anything (unknown code)" in everything:
            continue
        known = labels_at(facts, starts[number] - 1)
        for variable, group in before.items():
            changed = [item for key, item in group.items() if state(item) != states[key]]
            if changed and variable in known:
                assert known[variable] & written, (source, text, f"{variable} changed", changed)
        if space["G"] is not old_global:
            assert "G" in everything or "G" in text, (source, text, "G is another")
        after = labels_at(facts, starts[number] + len(text.split("\n")))
        for one in VARIABLES:
            for other in VARIABLES:
                if one < other and reachable(space[one]).keys() & reachable(space[other]).keys():
                    assert after[one] & after[other], (source, text, f"{one} and {other} share")
        free = all(not facts.ties(line) for line in at if line in facts.lines)
        if free:
            assert not any(state(i) != states[k] for g in before.values() for k, i in g.items()), (source, text)


def labels_at(facts: Facts, line: int) -> dict[str, frozenset[str]]:
    """The labels of all variables at a probe."""
    return {v.name: labels for step in facts.lines[line] for v, labels in step.before.items()}
