"""``analyze`` as a whole: deterministic, total, right when it fails, and linear."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow.analysis import Stages, analyze
from inferflow.analysis.accesses import Ledger
from inferflow.analysis.naming import parameter_help
from inferflow.model import Effect, File, Hidden, Reason, Severity, Source, Span, TaskGraph, World

DRIVER = """
import numpy as np
import helpers

def load(n): return np.ones(n)
def fit(x, C=1.0): return x * C

def main(n: int = 3):
    x = load(n)
    a = fit(x, C=0.5)
    b = fit(helpers.scale(x))
    np.random.seed(0)
    print(a, b)
    return a, b

if __name__ == "__main__":
    main()
"""
HELPERS = "import os\n\ndef scale(x):\n    return x * float(os.environ.get('K', 2))\n"


def find(name: str) -> Source | None:
    return Source("helpers", "helpers.py", "/p/helpers.py", HELPERS) if name == "helpers" else None


def analyzed(text: str, function: str | None = None) -> TaskGraph:
    graph, _ = analyze(Source("__main__", "driver.py", "/p/driver.py", text), find, "driver.py", function)
    assert graph is not None
    return graph


def test_the_same_text_gives_the_same_graph() -> None:
    assert analyzed(DRIVER) == analyzed(DRIVER)


def test_the_graph_does_not_depend_on_the_hash_seed() -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); from test_analyze import DRIVER, analyzed; print(analyzed(DRIVER))"
    out = {
        subprocess.run(
            [sys.executable, "-c", script, os.path.dirname(__file__)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(out) == 1


def test_sources_and_reached_functions_are_told() -> None:
    graph = analyzed(DRIVER)
    assert [path for path, _ in graph.sources] == ["driver.py", "helpers.py"]
    assert {name for name, _ in graph.reached} >= {"__main__:load", "__main__:fit", "helpers:scale"}


def test_call_site_arguments_stand_in_the_source() -> None:
    assert analyzed(DRIVER).tasks[1].source == "a = fit(x, C=0.5)"


def test_parameters_and_returns() -> None:
    graph = analyzed(DRIVER, "main")
    (parameter,) = graph.parameters
    assert (parameter.name, parameter.annotation, parameter.default) == ("n", "int", "3")
    assert graph.returns == ("a", "b")


def test_a_failing_pass_leaves_everything_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import inferflow.analysis.effects

    def broken(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.delenv("INFERFLOW_STRICT", raising=False)
    monkeypatch.setattr(inferflow.analysis.effects, "find_effects", broken)
    stages = Stages()
    source = Source("__main__", "driver.py", "/p/driver.py", DRIVER)
    graph, diagnostics = analyze(source, find, "driver.py", stages=stages)
    assert graph is not None
    assert isinstance(stages.failure, KeyError)
    assert [d.code for d in diagnostics] == ["IF390"]
    assert all(task.home for task in graph.tasks)
    assert [task.name for task in graph.tasks][:2] == ["load", "fit"]


def test_a_syntax_error_gives_no_graph() -> None:
    graph, diagnostics = analyze(Source("__main__", "d.py", "/p/d.py", "def f(:\n"), find, "d.py")
    assert graph is None
    assert [d.code for d in diagnostics if d.severity is Severity.ERROR] == ["IF005"]


PIECES = st.sampled_from(
    [
        "x = f(1)", "y = f(x)", "del x", "x, *y = [1, 2]", "for x in range(3):\n    y = x", "while f(0):\n    break",
        "try:\n    x = 1\nexcept (ValueError, TypeError) as e:\n    pass\nfinally:\n    y = 2",
        "with open('a') as h, open('b') as k:\n    z = h", "async def g():\n    await f(1)", "import os, sys as s",
        "from os.path import *", "class A(B if False else object, metaclass=type):\n    x: int = f(1)", "lambda: (yield)",
        "match f(1):\n    case {'a': [x, *_]} if x:\n        pass", "global x", "print(f'{x!r:>{y}}')", "x = y = z = f(x)",
        "assert f(1), f(2)", "raise SystemExit(f(1))", "return f(1)", "x[f(1):f(2), ...] = f(3)", "x.y.z += f(1)",
        "if (n := f(1)) > 2: pass", "x = [a for a in f(1) if (b := a)]", "x = {**f(1), 'k': f(2)}", "f(*f(1), **f(2))",
        "@f\ndef f(x=f(1)): return f(x)", "exec('x = 1')", "globals()['x'] = 1", "pass", "...", "'text'", "x: list[int]",
        "nonlocal_ = 1", "def g():\n    nonlocal x\n    x = 1", "x = f if x else (lambda q: f(q))", "type(x)(f(1))",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=8), st.booleans())
def test_it_never_raises(pieces: list[str], inside: bool) -> None:
    os.environ["INFERFLOW_STRICT"] = "1"
    try:
        body = "\n".join(pieces)
        if inside:
            body = "def main():\n    pass\n" + "".join(f"    {line}\n" for line in body.splitlines()) + "main()\n"
        text = f"def f(*a, **k): return a\n{body}\n"
        graph, diagnostics = analyze(Source("__main__", "d.py", "/p/d.py", text), find, "d.py")
        assert graph is not None or any(d.severity is Severity.ERROR for d in diagnostics)
    finally:
        del os.environ["INFERFLOW_STRICT"]


@pytest.mark.parametrize(
    "text",
    [
        "x = " + " + ".join(["f(1)"] * 300),
        "x = f" + ".g()" * 150,
        "if f(1): pass\n" + "".join(f"elif f({i}): pass\n" for i in range(500)),
        "x = " + "[" * 90 + "f(1)" + "]" * 90,
        "x = " + "f(" * 90 + ")" * 90,
        "\n".join(f"x{i} = f({i})" for i in range(500)),
    ],
)
def test_it_takes_any_depth(text: str) -> None:
    assert analyzed("def f(x=0): return x\n" + text + "\n").tasks


def test_it_is_linear() -> None:
    def seconds(count: int) -> float:
        lines = "".join(f"    x{i} = g(x{max(i - 5, 0)})\n    r.append(x{i})\n" for i in range(1, count))
        text = f"def g(x): return x + 1\ndef main():\n    x0 = g(0)\n    r = []\n{lines}main()\n"
        begun = time.process_time()
        analyzed(text)
        return time.process_time() - begun

    seconds(50)
    assert seconds(1200) < 12 * seconds(200) + 0.5


def test_a_script_of_unknown_calls_is_too() -> None:
    from counted import steps  # (this module is imported elsewhere too)

    def work(count: int) -> int:
        head = "def g(x): return [x]\ndef hide(name): return globals()[name]\nx0 = g(0)\n"
        text = head + "".join(f"x{i} = {'hide(0)' if i % 7 == 1 else 'g'}({i})\n" for i in range(1, count))
        return steps(lambda: analyzed(text))

    assert work(1600) < 8 * work(200) * 1.5


def effect(mode: str, place: File | Hidden | World) -> Effect:
    return Effect(mode, place, Reason("because", Span("d.py", 1)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        (File("a.txt"), File("a.txt"), True),
        (File("a.txt"), File("./a.txt"), True),
        (File("a.txt"), File("b.txt"), False),
        (File("out"), File("out/a.txt"), True),
        (File("out/a.txt"), File("out", "listing"), True),
        (File("outer/a.txt"), File("out", "listing"), False),
        (File(None), File("a.txt"), True),
        (File("a.txt"), File(None), True),
        (File("{p}"), File("a.txt"), True),
        (File("/tmp/a.txt"), File("a.txt"), True),
        (File("../a.txt"), File("a.txt"), True),
        (File("data/x.csv"), File("data/*.csv", "listing"), True),
        (World("process"), File("a.txt"), True),
        (Hidden("numpy.random"), Hidden("numpy.random"), True),
        (Hidden("numpy.random"), Hidden("random"), False),
    ],
)
def test_what_a_reader_depends_on(first: File | Hidden, second: File | Hidden, meet: bool) -> None:
    ledger = Ledger()
    ledger.record(0, [effect("write", first)])
    found = [d for d in ledger.dependences([effect("read", second)]) if d.flow]
    assert bool(found) is meet


def test_after_a_change_of_folder_no_two_paths_can_be_told_apart() -> None:
    ledger = Ledger()
    ledger.record(0, [effect("write", File("a.txt"))])
    ledger.record(1, [effect("write", Hidden("cwd"))])
    assert [d.source for d in ledger.dependences([effect("read", File("sub/a.txt"))]) if d.flow] == [0]


DOCS = {
    "google": "Fit.\n\n    Args:\n        path: where the\n            data is\n        C (float): strength\n\n    Returns:\n        x: a model\n",
    "numpy": "Fit.\n\n    Parameters\n    ----------\n    path : str\n        where the\n        data is\n    C : float\n        strength\n",
    "sphinx": "Fit.\n\n    :param str path: where the\n        data is\n    :param C: strength\n    :returns: x\n",
}


@pytest.mark.parametrize("style", DOCS)
def test_parameters_are_described_by_the_docstring(style: str) -> None:
    assert parameter_help(DOCS[style], ["path", "C"]) == {"path": "where the data is", "C": "strength"}


def test_what_reads_the_annotations_of_the_module_keeps_its_place() -> None:
    """They grow with each annotated assignment, wherever that is executed."""
    graph = analyzed("import math\nx = math.sqrt(2)\nz: int = 4\nprint(__annotations__)\n")
    assert any("__annotations__" in reason.text for reason in graph.tasks[-1].home)


NESTED = """
def a(x): return x + 1
def b(x): return x * 2
def inner(x):
    y = a(x)
    return y + b(x)
def outer(x): return inner(x) + a(x)
def single(x): return a(x)
def main():
    p = outer(1)
    q = single(2)
    return p + q
main()
"""


@pytest.mark.parametrize(
    ("depth", "rules", "opened"),
    [
        (2, [], {"outer", "inner"}),
        (1, [], {"outer"}),
        (0, [], set()),
        (1, [("inner", True)], {"outer", "inner"}),
        (0, [("__main__:*", True)], {"outer", "inner", "single"}),
        (2, [("*", True), ("inn*", False)], {"outer", "single"}),
        (2, [("out*", False)], set()),
        (2, [("out*", False), ("outer", True)], {"outer", "inner"}),
    ],
)
def test_which_functions_are_opened(depth: int, rules: list[tuple[str, bool]], opened: set[str]) -> None:
    source = Source("__main__", "driver.py", "/p/driver.py", NESTED)
    graph, notes = analyze(source, find, "driver.py", depth=depth, rules=rules)
    assert graph is not None
    found = set()
    todo = list(graph.tasks)
    while todo:
        task = todo.pop()
        for region in task.regions:
            found |= {region.function.rpartition(":")[2]} if region.kind == "group" else set()
            todo += [inner for arm in region.arms for inner in arm.tasks]
    assert found == opened
    closed = [note.message for note in notes if "the settings keep it closed" in note.message]
    assert bool(closed) == any(wanted is False for _, wanted in rules[-1:])
