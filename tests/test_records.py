"""Classes made by ``inferflow.records`` beside the same classes made by attrs."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from typing import Any

import attrs
import cattrs
import pytest

from inferflow import records

TEXT = """
@{m}.frozen
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = ()
    seen: dict[str, int] = {m}.field(factory=dict)
    note: str = {m}.field(default="-", repr=False, eq=False)


@{m}.frozen(order=True)
class Version:
    major: int
    minor: int = 0

    def __str__(self):
        return f"{{self.major}}.{{self.minor}}"


@{m}.define
class Counter:
    _start: int = 5
    steps: list[int] = {m}.field(factory=list)
    total: int = {m}.field(init=False)
    rest: int = {m}.field(init=False, default=3)

    def __attrs_post_init__(self):
        self.total = self._start


@{m}.define(eq=False)
class Node:
    name: str
    next: Node | None = None
"""


def classes(source: Any, name: str) -> dict[str, Any]:
    module = type(sys)(name)
    sys.modules[name] = module
    module.__dict__["m"] = source
    exec(compile("from __future__ import annotations\n" + TEXT.format(m="m"), name, "exec"), module.__dict__)
    return module.__dict__


OURS, THEIRS = classes(records, "records_ours"), classes(attrs, "records_theirs")


def both(expression: str) -> tuple[Any, Any]:
    """The value of an expression, or what it raises, with our classes and with those of attrs."""

    def value(space: dict[str, Any]) -> Any:
        try:
            return eval(expression, {**space, "attrs": attrs, "copy": copy, "evolve": space["m"].evolve})
        except Exception as error:
            return type(error)

    return value(OURS), value(THEIRS)


@pytest.mark.parametrize(
    "expression",
    [
        "repr(Point(1))",
        "repr(Point(1, tags=('a',), seen={'b': 2}, note='n'))",
        "Point()",
        "Point(1, 2, 3, 4, 5, 6)",
        "Point(1, z=2)",
        "Point(1) == Point(1, note='other')",
        "Point(1) == Point(2)",
        "Point(1) != Point(1)",
        "Point(1) == 1",
        "Point(1) == Version(1)",
        "hash(Point(1))",  # holds a dict
        "len({Version(1), Version(1), Version(2)})",
        "hash(Counter())",
        "sorted([Version(2), Version(1, 5), Version(1)])",
        "Version(1) < 3",
        "Version(1) >= Version(1)",
        "Point(1) < Point(2)",
        "str(Version(3, 4))",
        "setattr(Point(1), 'x', 2)",
        "delattr(Point(1), 'x')",
        "setattr(Point(1), 'unknown', 2)",
        "setattr(Counter(), 'unknown', 2)",
        "vars(Point(1))",
        "repr(Counter())",
        "repr(Counter(start=7, steps=[1]))",
        "Counter(_start=7)",
        "Counter(total=1)",
        "Counter(1) == Counter(1)",
        "Counter().steps is Counter().steps",
        "repr(evolve(Point(1), y=3))",
        "repr(evolve(Counter(1, [2]), start=4))",
        "evolve(Point(1), z=3)",
        "repr(attrs.evolve(Point(1), y=3))",
        "attrs.asdict(Point(1, 2, ('a',)))",
        "attrs.has(Point)",
        "[(f.name, f.default, f.init, f.repr, f.eq, f.alias, f.type) for f in attrs.fields(Counter)][:2]",
        "[f.type for f in attrs.fields(Point)]",
        "Point.__match_args__",
        "Counter.__match_args__",
        "Node('a') == Node('a')",
        "hash(Node('a')) == hash(Node('a'))",
        "(lambda n: setattr(n, 'next', n) or repr(n))(Node('a'))",
        "copy.copy(Point(1, 2)) == Point(1, 2)",
        "copy.deepcopy(Point(1, 2, seen={'a': 1})) == Point(1, 2, seen={'a': 1})",
        "repr(copy.copy(Counter(2)))",
        "Point.__name__, Point.__module__[:8], Point.__doc__",
    ],
)
def test_does_what_attrs_does(expression: str) -> None:
    ours, theirs = both(expression)
    if isinstance(theirs, list) and theirs and type(theirs[0]).__name__ == "Version":
        ours, theirs = repr(ours), repr(theirs)
    assert ours == theirs


def test_is_pickled_before_its_constructor_is_made() -> None:
    data = pickle.dumps(OURS["Version"](1, 2))
    fresh = classes(records, "records_ours")
    again = pickle.loads(data)
    assert type(again) is fresh["Version"]
    assert str(again) == "1.2"
    assert not hasattr(again, "__dict__")


def test_shows_its_signature_and_is_structured_by_cattrs() -> None:
    space = classes(records, "records_signature")
    assert str(inspect.signature(space["Point"])).startswith("(x: 'int', y: 'int' = 0, tags: 'tuple[str, ...]' = ()")
    converter = cattrs.Converter()
    made = converter.structure({"x": 1, "seen": {"a": 2}}, space["Point"])
    assert made == space["Point"](1, seen={"a": 2})
    assert converter.unstructure(made)["seen"] == {"a": 2}


def test_attrs_is_not_loaded_for_records() -> None:
    code = "import sys\nfrom inferflow import model\nprint(model.Span('a', 1) == model.Span('a', 1), 'attr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
