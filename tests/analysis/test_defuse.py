"""Def-use chains: each binding form, and programs that tell while they run which binding they see."""

from __future__ import annotations

import ast
import random
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import beniget
import gast
import pytest
from counted import steps
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferflow.analysis.defuse import find_names
from inferflow.analysis.facts import DefUse, Driver
from inferflow.analysis.frontend import find_driver, load_project
from inferflow.analysis.lower import lower
from inferflow.analysis.walk import flatten
from inferflow.model import Source


def driver_of(text: str, function: str | None = None, **modules: str) -> Driver:
    def source(name: str, code: str) -> Source:
        return Source(name, f"{name}.py", f"/nowhere/{name}.py", textwrap.dedent(code))

    main = source("__main__" if function is None else "driver", text)
    others = {name: source(name, code) for name, code in modules.items()}
    return find_driver(load_project(main, others.get, lower), "driver.py", function)


def chains(text: str, function: str | None = None, **modules: str) -> dict[int, str]:
    """By line: ``x<-3,7? y>``; ``x<-3``: x read, bound in line 3 (``0``: before all steps; ``?``: perhaps unbound);
    ``y>``, ``y>?``, ``y>del``: y bound, perhaps bound, deleted. Names that are bound before all steps are left out."""
    driver = driver_of(text, function, **modules)
    found = find_names(driver)
    lines = {key: driver.statement(key).span.line for key in driver.steps}
    result: dict[int, list[str]] = {}
    for key in driver.steps:
        words = result.setdefault(lines[key], [])
        merged: dict[str, tuple[set[int], bool]] = {}
        for use in found.steps[key].uses:
            defs, unbound = merged.setdefault(use.variable.name, (set(), False))
            defs.update(0 if d is None else lines[d] for d in use.defs)
            merged[use.variable.name] = (defs, unbound or use.unbound)
        for name, (defs, unbound) in sorted(merged.items()):
            if defs != {0} or found_parameter(driver, name):
                words.append(f"{name}<-{','.join(map(str, sorted(defs)))}{'?' if unbound else ''}")
        for bind in found.steps[key].binds:
            words.append(f"{bind.variable.name}>{'del' if bind.deletes else ''}{'' if bind.definite else '?'}")
    return {line: " ".join(words) for line, words in result.items()}


def found_parameter(driver: Driver, name: str) -> bool:
    blocks = [block for block in driver.blocks if block.block.kind == "function"]
    modules = driver.project.modules
    return any(name == p.name for b in blocks for p in modules[b.module].scopes[b.scope].params)


# -- forms -----------------------------------------------------------------------------------------

PRELUDE = "from lib import *\nfrom lib import f, g, C, E\n"
"""Two lines; the statements of a case begin in line 4 of a function, whose parameters are ``p`` and ``q``."""

FORMS: dict[str, str] = {
    "a = f(p)": "p<-0 a>",
    "a = f(); a = g(a); f(a)": "a> | a<-4 a> | a<-4",
    "a = b = f()\ng(a, b)": "a> b> | a<-4 b<-4",
    "a, (b, *c) = f()\ng(c)": "a> b> c> | c<-4",
    "a: int = f()\nb: int\ng(a)": "a> |  | a<-4",
    "a = 1\na += f()\ng(a)": "a> | a<-4 a> | a<-5",
    "g((a := f()), a)": "a<-4 a>",
    "p and (a := f())\ng(a)": "p<-0 a>? | a<-4?",
    "a = 1\np and (a := f())\ng(a)": "a> | p<-0 a>? | a<-4,5",
    "a = 1\ndel a\ng(a)": "a> | a<-4 a>del | a<-?",
    "import os.path as a, sys\ng(a, sys)": "a> sys> | a<-4 sys<-4",
    "a = [x for x in p if x]\ng(a)": "p<-0 a> | a<-4",
    "a = [y := x for x in p]\ng(y)": "p<-0 y>? a> | y<-4?",
    "a = {k: q for k in p}": "p<-0 q<-0 a>",
    "def h(x=p): return x\nh(1)": "p<-0 h> | h<-4",
    "def h(): return p\nh()": "h> | h<-4 p<-0",
    "a = 1\ndef h(): return a\na = 2\nh()": "a> | h> | a> | a<-6 h<-5",
    "a = 1\nb = f(lambda: a)\na = 2\ng(b)": "a> | a<-4 b> | a> | a<-6 b<-5",
    "a = 1\nb = sorted(p, key=lambda x: a)\na = 2\ng(b)": "a> | a<-4 p<-0 b> | a> | b<-5",
    "a = 1\nb = (a for x in p)\na = 2\ng(b)": "a> | a<-4 p<-0 b> | a> | a<-6 b<-5",
    "a = 1\nb = sum(a for x in p)\na = 2\ng(b)": "a> | a<-4 p<-0 b> | a> | b<-5",
    "a = 1\ndef h():\n  nonlocal a\n  a = 2\nh()\ng(a)": "a> | h> | a<-4 h<-5 a>? | a<-4,8",
    "a = 1\ndef h(): return a\ndef i(): return h()\ni()": "a> | h> | i> | a<-4 h<-5 i<-6",
    "class D(C):\n  y = p\n  z = y\n  def m(self): return q\nD().m()": "p<-0 D> | D<-4 q<-0",
    "@f\ndef h(): return p\nh()": "p<-0 h> | h<-5",
    "if p: a = f()\ng(a)": "p<-0 a>? | a<-4?",
    "if p: a = f()\nelse: a = g()\ng(a)": "p<-0 a> | a<-4",
    "a = 1\nif p: a = f()\nelif q: a = g()\ng(a)": "a> | p<-0 q<-0 a>? | a<-4,5",
    "if p: return 1\nelse: a = f()\ng(a)": "p<-0 a> | a<-4",
    "a = 0\nfor x in p: a = f(a, x)\ng(a, x)": "a> | a<-4,5 p<-0 x<-5 x>? a>? | a<-4,5 x<-5?",
    "for x in p: break\nelse: x = 1\ng(x)": "p<-0 x> | x<-4",
    "for x in p:\n  a = 1\n  if x: break\nelse: a = 2\ng(a)": "p<-0 x<-4 x>? a> | a<-4",
    "a = 1\nfor x in p:\n  if x: continue\n  a = 2\ng(a)": "a> | p<-0 x<-5 x>? a>? | a<-4,5",
    "while p: a = f()\ng(a)": "p<-0 a>? | a<-4?",
    "while True:\n  a = f()\n  if a: break\ng(a)": "a<-4 a> | a<-4",
    "with f() as a, g(a) as b: c = b\ng(c)": "a<-4 b<-4 a> b> c>? | c<-4?",
    "with open(p) as a: c = a\ng(c)": "a<-4 p<-0 a> c> | c<-4",
    "try: a = f()\nexcept E as e: b = e\ng(a, b)": "e<-4 a>? e>? b>? e>del? | a<-4? b<-4?",
    "try: a = f()\nexcept E: a = None\ng(a)": "a> | a<-4",
    "try: a = f()\nexcept E: raise\ng(a)": "a> | a<-4",
    "a = 1\ntry: a = f()\nfinally: b = a\ng(a, b)": "a> | a<-4,5 a> b> | a<-5 b<-5",
    "try: pass\nexcept E: pass\nelse: a = 1\ng(a)": "a>? | a<-4?",
    "for x in p:\n  try: break\n  finally: a = 1\ng(a)": "p<-0 x>? a>? | a<-4?",
    "while True:\n  try: f()\n  except E as e: break\ng(e)": "e>? e>del | e<-?",
    "match p:\n  case [a, *b]: pass\n  case {'k': a, **b}: pass\n  case _: a = b = 1\ng(a)": "p<-0 a> b> | a<-4",
    "match p:\n  case C(a) if a: pass\ng(a)": "a<-4 p<-0 a>? | a<-4?",
    "p = f(p)\ng(p)": "p<-0 p> | p<-4",
    "return f(p), q": "p<-0 q<-0",
    "global G\nG = p\nf(G)": "| p<-0 G> | G<-5",
    "p = 1\nexec('p')": "p> | p<-4 q<-0",
    "p = 1\nf(**locals())": "p> | p<-4 q<-0",
}


@pytest.mark.parametrize("text", FORMS)
def test_each_form_in_a_function(text: str) -> None:
    code = "from lib import f, g, C, E\nG = 1\ndef main(p, q):\n" + textwrap.indent(text, "    ") + "\n"
    found = [re.sub(r"\bG>\?( |$)", "", words).strip() for words in chains(code, "main").values()]
    if "exec" in text:
        found = [re.sub(r"\b[fgCE]>\? ?|main>\?", "", words).strip() for words in found]
    same_line = ";" in text
    assert (" | ".join(found).strip() if not same_line else found[0]) == (
        " ".join(FORMS[text].split(" | ")) if same_line else FORMS[text]
    )


@pytest.mark.parametrize("text", [text for text in FORMS if "nonlocal" not in text and "return " not in text])
def test_the_module_level_sees_the_same(text: str) -> None:
    """But for what functions read, which the effects tell, and ``locals()``."""
    if any(word in text for word in ("def ", "lambda", "global", "exec", "locals")):
        return
    code = "from lib import f, g, C, E\nif f():\n  p = q = f()\n" + text + "\n"
    found = chains(code)
    del found[2]
    expected = FORMS[text].replace("<-0", "<-2")
    assert _flat(found) == re.sub(r"\b([pq])<-2", r"\1<-2?", " ".join(expected.split(" | ")).replace("  ", " "))


def _flat(found: dict[int, str]) -> str:
    return " ".join(words for words in found.values() if words)


# -- the driver as a whole -------------------------------------------------------------------------


def test_names_run_through_the_blocks() -> None:
    text = """
    from lib import load, fit
    LIMIT = 3
    data = load()
    def main(n=1):
        global data
        model = fit(data, LIMIT, n)
        data = None
        return model
    if __name__ == "__main__":
        result = main()
        fit(result, data)
    """
    found = chains(text)
    assert found[6 + 1] == "data<-4 n<-0 model>"
    assert found[8] == "data>"
    assert found[9] == "model<-7"
    assert found[11] == "main<-5 result>"
    assert found[12] == "data<-8 result<-11"


def test_an_early_return_leaves_globals_as_they_were() -> None:
    text = """
    from lib import f
    x = f()
    def main():
        global x
        if f(): return
        x = f()
    if __name__ == "__main__":
        main()
        f(x)
    """
    assert chains(text)[10] == "x<-3,7"


def test_operations_are_numbered_as_they_are_flattened() -> None:
    driver = driver_of("from lib import f, g\nx = f()\ny = g(x if x else f(x))\n")
    steps = find_names(driver).steps
    for key in driver.steps:
        ops = flatten(driver.statement(key))
        for use in steps[key].uses:
            assert ops[use.op].name == use.variable.name  # type: ignore[union-attr]
        for bind in steps[key].binds:
            assert ops[bind.op].name == bind.variable.name  # type: ignore[union-attr]


def test_stars_of_the_project_bring_what_they_export() -> None:
    text = "x = f()\nfrom other import *\ng(x, y, _z)\n"
    found = chains("from lib import f, g\nx = f()\nfrom other import *\ng(x, y)\n", other="x = 1\ny = 2\n_z = 3\n")
    assert found[4] == "x<-3 y<-3?"
    assert text


def test_names_by_other_means_are_told() -> None:
    def codes(text: str) -> list[str]:
        return [d.code for d in find_names(driver_of(text)).diagnostics]

    assert codes("from lib import f\nx = f()\nexec('x = 1')\n") == ["IF301"]
    assert codes("from lib import f\nx = f()\nglobals()['x'] = 1\n") == ["IF302"]
    assert codes("from lib import f\nx = f()\nfrom numpy import *\n") == ["IF303"]
    assert codes("from lib import f, exec\nx = f()\nexec('x = 1')\nvars(x)\n") == []
    assert chains("from lib import f\nx = f()\nexec('y = 1')\nf(x, y)\n")[4] == "f<-0,3 x<-2,3 y<-3?"
    assert chains("from lib import f\nx = f()\nglobals()['x'] = 1\nf(x)\n")[4] == "f<-0,3 x<-2,3"
    leaked = chains("from lib import f\nx = f()\ng = globals()\nf()\nf(x)\n")
    assert leaked[5].startswith("f<-0,3,4,5 g<-3,4 x<-2,3,4,5")


def test_captured_names_are_those_of_functions_within() -> None:
    text = """
    from lib import f
    def main(a, b):
        c = f(a)
        d = [b for _ in c]
        def h(): return a
        return lambda: c
    """
    names = {variable.name for variable in find_names(driver_of(text, "main")).captured}
    assert names == {"a", "c"}


# -- second opinions -------------------------------------------------------------------------------

variables = st.sampled_from(["a", "b", "c"])
straight = st.one_of(
    st.builds("{0} = f({1}, {2})".format, variables, variables, variables),
    st.builds("{0}, {1} = {2}".format, variables, variables, variables),
    st.builds("{0} += {1}".format, variables, variables),
    st.builds("{0} = {1} = f()".format, variables, variables),
    st.builds("{0} = [{1} for x in {2}]".format, variables, variables, variables),
    st.builds("f({0}, ({1} := {2}))".format, variables, variables, variables),
    st.builds("{0}.x = {1}[{2}]".format, variables, variables, variables),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(straight, min_size=1, max_size=12))
def test_beniget_agrees_on_straight_lines(statements: list[str]) -> None:
    text = "if f():\n  a = b = c = f()\n" + "".join(f"{statement}\n" for statement in statements)
    text = "from lib import f\na = f(); b = f(); c = f()\n" + text
    driver = driver_of(text)
    ours: set[tuple[int, str, int]] = set()
    for key, names in find_names(driver).steps.items():
        line = driver.statement(key).span.line
        for use in names.uses:
            if use.variable.name in ("a", "b", "c"):
                lines = {driver.statement(d).span.line for d in use.defs if d is not None}
                ours.update((line, use.variable.name, other) for other in lines if other != line)
    assert ours == _beniget(text)  # which takes the target of ``a += 1`` for a use of itself


def _beniget(text: str) -> set[tuple[int, str, int]]:
    tree = gast.parse(text)
    tops: dict[Any, int] = {node: top.lineno for top in tree.body for node in gast.walk(top)}
    chains = beniget.DefUseChains()
    chains.visit(tree)
    found: set[tuple[int, str, int]] = set()
    for node, chain in chains.chains.items():
        if isinstance(node, gast.Name) and isinstance(node.ctx, gast.Store | gast.Load | gast.Param):
            for user in chain.users():
                name = user.node
                if (
                    isinstance(name, gast.Name)
                    and name.id in ("a", "b", "c")
                    and name.id == node.id
                    and tops[name] != tops[node]
                ):
                    found.add((tops[name], name.id, tops[node]))
    return found


# -- programs that tell which binding they see -----------------------------------------------------


class Tag:
    """A value that knows the step which made it."""

    def __init__(self, step: int) -> None:
        self.step = step


class Boom(Exception):
    step = -1


class World:
    """What generated programs call. ``V()`` makes a value of the present step, ``R(x)`` says which one is seen."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.step = 0
        self.seen: list[tuple[int, str, int | None]] = []
        self.names: dict[str, Any] = {"V": self.value, "R": self.read, "B": self.chance, "Boom": Boom}
        self.names |= {"M": self.maybe, "L": self.several, "W": self.manager}

    def value(self) -> Tag:
        return Tag(self.step)

    def read(self, name: str) -> bool:
        value = self.names.get(name)
        self.seen.append((self.step, name, None if value is None else value.step))
        return True

    def chance(self) -> bool:
        return self.random.random() < 0.5

    def maybe(self) -> None:
        if self.chance():
            error = Boom()
            error.step = self.step
            raise error

    def several(self) -> list[Tag]:
        return [Tag(self.step) for _ in range(self.random.randrange(3))]

    def manager(self) -> Manager:
        return Manager(self.step, self.chance())


class Manager:
    def __init__(self, step: int, swallows: bool) -> None:
        self.step, self.swallows = step, swallows

    def __enter__(self) -> Tag:
        return Tag(self.step)

    def __exit__(self, *_: object) -> bool:
        return self.swallows


def _indent(text: str) -> str:
    return textwrap.indent(text, " ")


simple = st.one_of(
    st.builds("{0} = V()\n".format, variables),
    st.builds("R({0})\n".format, variables),
    st.just("M()\n"),
    st.builds("if B(): del {0}\n".format, variables),
    st.builds("B() and ({0} := V())\n".format, variables),
    st.builds("({0} := V()) if B() else ({1} := V())\n".format, variables, variables),
    st.builds("[({0} := V()) for _ in L() if R({1})]\n".format, variables, variables),
    st.builds("{0}, [*_, {1}] = V(), [V()]\n".format, variables, variables),
    st.just("pass\n"),
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, min_size=1, max_size=3).map(lambda parts: _indent("".join(parts)))
    jump = st.sampled_from(["", " if B(): break\n", " if B(): continue\n", " break\n"])
    deep, deep_jump = body.map(_indent), jump.map(_indent)
    return st.one_of(
        st.builds("if B():\n{0}".format, body),
        st.builds("if B():\n{0}else:\n{1}".format, body, body),
        st.builds("for {0} in L():\n{1}{2}{1}else:\n{3}".format, variables, body, jump, body),
        st.builds("for {0} in L():\n try:\n{1}{2}\n finally:\n{3}".format, variables, deep, deep_jump, deep),
        st.builds("while B():\n{0}{1}{0}".format, body, jump),
        st.builds("while True:\n{0} if B(): break\n".format, body),
        st.builds("try:\n{0}except Boom as {1}:\n{2}".format, body, variables, body),
        st.builds("try:\n{0}except Boom:\n{1}else:\n{2}finally:\n{3}".format, body, body, body, body),
        st.builds("while True:\n try:\n{0}  break\n except Boom as {1}:\n  if B(): break\n".format, deep, variables),
        st.builds("with W() as {0}:\n{1}".format, variables, body),
        st.builds(
            "match [V(), V()]:\n case [{0}, *_] if B():\n{1} case [_, {2}] | [{2}, _, _]:\n{1}".format,
            variables,
            deep,
            variables,
        ),
    )


programs = st.lists(st.recursive(simple, _compound, max_leaves=8), min_size=2, max_size=8)


def _valid(statements: list[str]) -> Iterator[str]:
    for statement in statements:
        try:
            compile(statement, "<generated>", "exec")
        except SyntaxError:
            continue
        yield statement


@settings(max_examples=400, deadline=None)
@given(programs, st.integers(0, 10**6))
@example(["a = V()\n", "try:\n a = V()\n M()\nexcept Boom: R(a)\n", "R(a)\n"], 1)
def test_no_binding_is_seen_that_was_not_foretold(statements: list[str], seed: int) -> None:
    parts = [statement for statement in _valid(statements) if len(ast.parse(statement).body) == 1]
    text = "V()\n" + "".join(parts)
    driver = driver_of(re.sub(r"R\((\w)\)", r"R(\1)", text))
    found = find_names(driver)
    steps = [driver.statement(key) for key in driver.steps]
    assert len(steps) == len(parts) + 1
    for number in range(3):
        _run_and_compare(["V()\n", *parts], driver, found, seed + number)


def _run_and_compare(parts: list[str], driver: Driver, found: DefUse, seed: int) -> None:
    world = World(seed)
    for number, (part, key) in enumerate(zip(parts, driver.steps, strict=True)):
        world.step = number
        code = re.sub(r"R\((\w)\)", r"R('\1')", part)
        before = {name: world.names.get(name) for name in "abc"}
        finished = True
        turns = iter(range(200))
        world.names["B"] = lambda turns=turns: next(turns, None) is None or world.chance()
        try:
            exec(compile(code, "<part>", "exec"), world.names)
        except (Boom, NameError):
            finished = False
        uses = found.steps[key].uses
        for step, name, seen in world.seen:
            if step == number:
                here = [use for use in uses if use.variable.name == name]
                if seen is None and name not in driver.project.modules["__main__"].scopes[0].locals:
                    assert not here
                elif seen is None:
                    assert any(use.unbound for use in here), (part, name)
                else:
                    assert any(driver.steps[seen] in use.defs for use in here), (part, name, seen)
        if not finished:
            return
        for name in "abc":
            value = world.names.get(name)
            binds = [bind for bind in found.steps[key].binds if bind.variable.name == name]
            if value is not before[name]:
                assert any(bind.deletes == (value is None) for bind in binds), (part, name)
            for bind in binds:
                if bind.definite:
                    made_here = value is not None and value.step == number
                    assert (value is None) if bind.deletes else made_here, (part, name)


# -- size ------------------------------------------------------------------------------------------


def test_the_work_is_linear_in_the_driver() -> None:
    def work(count: int) -> int:
        text = "from lib import f\n" + "".join(
            f"x{i} = f(x{i - 1}, {i})\nif x{i}:\n    y{i} = f(x{i})\n" for i in range(1, count)
        )
        driver = driver_of("x0 = 1\n" + text)
        return steps(lambda: find_names(driver))

    assert work(1600) < 8 * work(200) * 1.5


def test_a_deep_driver_is_no_trouble() -> None:
    arms = "".join(f"elif f(x, {number}): y = f()\n" for number in range(900))
    found = chains(f"from lib import f\nx = f()\nif x: y = f()\n{arms}f(y)\n")
    assert next(reversed(found.values())) == "y<-3?"
