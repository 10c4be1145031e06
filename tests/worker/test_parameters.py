"""Raw parameters become values of the annotated types, or are refused in words."""

from __future__ import annotations

import datetime
import enum
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflow.worker.parameters import ParameterError, arguments, bind
from inferflow.worker.typed import Mismatch, described, guess, read_text, structured


class Color(enum.Enum):
    RED = 1
    GREEN = "green"


@dataclass
class Model:
    name: str
    depth: int = 3
    rates: list[float] = field(default_factory=list)


@attrs.define
class Fold:
    train: Path
    model: Model | None = None


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict):
    seed: int


Count = NewType("Count", int)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        ("0x10", int, 16),
        ("1_000", int, 1000),
        ("3", float, 3.0),
        ("1e-3", float, 0.001),
        ("inf", float, float("inf")),
        ("3", str, "3"),
        ("none", str, "none"),
        ("", str, ""),
        ("yes", bool, True),
        ("0", bool, False),
        ("FALSE", bool, False),
        ("none", Optional[int], None),  # noqa: UP045
        ("4", Optional[int], 4),  # noqa: UP045
        ("4", Union[str, int], 4),  # noqa: UP007
        ("4.5", int | float, 4.5),
        ("1", bool | int, 1),
        ("a b", int | str, "a b"),
        ("lbfgs", Literal["lbfgs", "saga"], "lbfgs"),
        ("2", Literal[1, 2], 2),
        ("true", Literal[True, "auto"], True),
        ("auto", Literal[True, "auto"], "auto"),
        ("RED", Color, Color.RED),
        ("1", Color, Color.RED),
        ("green", Color, Color.GREEN),
        ("a/b", Path, Path("a/b")),
        ("2024-02-29", datetime.date, datetime.date(2024, 2, 29)),
        ("2024-02-29T10:30", datetime.datetime, datetime.datetime(2024, 2, 29, 10, 30)),
        (
            "2024-02-29T10:30:00Z",
            datetime.datetime,
            datetime.datetime(2024, 2, 29, 10, 30, tzinfo=datetime.timezone.utc),
        ),
        ("1h30m", datetime.timedelta, datetime.timedelta(hours=1.5)),
        ("1:30:05", datetime.timedelta, datetime.timedelta(hours=1, minutes=30, seconds=5)),
        ("[1, 2]", list[int], [1, 2]),
        ("(1, 2)", list[int], [1, 2]),
        ('["a", "b"]', tuple[str, ...], ("a", "b")),
        ("[1, 'x']", tuple[int, str], (1, "x")),
        ("[1, 1, 2]", set[int], {1, 2}),
        ("[1]", Sequence[int], [1]),
        ('{"a": 1}', dict[str, float], {"a": 1.0}),
        ('{"1": 2}', dict[int, int], {1: 2}),
        ("{1: [2]}", dict[int, list[int]], {1: [2]}),
        ('{"name": "m", "rates": [1, 0.5]}', Model, Model("m", 3, [1.0, 0.5])),
        ('{"train": "a", "model": {"name": "m"}}', Fold, Fold(Path("a"), Model("m"))),
        ('{"x": 1}', Point, Point(1, 0)),
        ('{"seed": 1}', Options, {"seed": 1}),
        ('[{"name": "m"}]', list[Model], [Model("m")]),
        ("5", Count, 5),
        ("5", Annotated[int, "note"], 5),
        ("5", Any, 5),
        ("none", None, None),
    ],
)
def test_text_is_read_by_its_type(text: str, kind: Any, value: object) -> None:
    found = read_text(text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "accepted"),
    [
        ("abc", int, "an integer"),
        ("3.5", int, "an integer"),
        ("", int, "an integer"),
        ("abc", float, "a number"),
        ("abc", bool, "true or false"),
        ("2", bool, "true or false"),
        ("abc", int | None, "an integer or none"),
        ("sgd", Literal["lbfgs", "saga"], "one of 'lbfgs', 'saga'"),
        ("BLUE", Color, "one of RED, GREEN"),
        ("2024-13-01", datetime.date, "a date (2024-12-31)"),
        ("a,b", list[str], "a list of texts"),
        ('"ab"', list[str], "a list of texts"),
        ("[1, 'x']", list[int], "integers"),
        ("[1]", tuple[int, int], "a list of 2: an integer, an integer"),
        ('{"depth": 3}', Model, "a table with the keys name, depth, rates (Model)"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(text: str, kind: Any, accepted: str) -> None:
    with pytest.raises(Mismatch) as caught:
        read_text(text, kind)
    assert accepted in (described(kind), caught.value.accepted) or accepted in described(kind)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("5", int), (True, int), (5.0, int), ("1.5", float), (True, float), (1, bool), ("true", bool), (1, str),
        ("abc", list[str]), ({"a": 1}, list[str]), ([1], dict[str, int]), (["1"], list[int]), (None, int),
        ({"name": 1}, Model), ({"name": "m", "dept": 1}, Model), (3, Path), ("x", Options),
    ],
)  # fmt: skip
def test_data_keeps_its_types(data: object, kind: Any) -> None:
    with pytest.raises(Mismatch):
        structured(data, kind)


def test_what_is_wrong_inside_is_named() -> None:
    with pytest.raises(Mismatch, match="item 2 is 'x'"):
        structured([1, "x"], list[int])
    with pytest.raises(Mismatch, match="depth must be an integer"):
        structured({"name": "m", "depth": "deep"}, Model)
    with pytest.raises(Mismatch, match="name is missing"):
        structured({}, Model)
    with pytest.raises(Mismatch, match="dept"):
        structured({"name": "m", "dept": 3}, Model)


def test_binding_uses_annotations_then_defaults_then_looks() -> None:
    def main(C: float, n=3, rate=0.5, flag=False, kind="x", opt=None, where=Path(), pair=(1, 2), free=...):  # type: ignore[no-untyped-def]
        pass

    names = ("C", "n", "rate", "flag", "kind", "opt", "where", "pair", "free")
    texts = ("1", "0.5", "2", "yes", "5", "7", "a", "[3, 4]", "[1]")
    found = bind(main, {name: {"text": text} for name, text in zip(names, texts, strict=True)})
    assert tuple(found.values()) == (1.0, 0.5, 2.0, True, "5", 7, Path("a"), (3, 4), [1])
    assert type(found["rate"]) is float


def test_an_error_names_parameter_given_and_accepted() -> None:
    def main(C: float = 1.0, n=3) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(ParameterError, match="parameter 'C' is 'abc'; it must be a number") as caught:
        bind(main, {"C": {"text": "abc"}})
    assert (caught.value.name, caught.value.given, caught.value.accepted) == ("C", "'abc'", "a number")
    with pytest.raises(ParameterError, match=r"a number \(its default is 3\)"):
        bind(main, {"n": {"text": "abc"}})
    with pytest.raises(ParameterError, match="one of C, n"):
        bind(main, {"m": {"text": "1"}})


def test_none_is_taken_where_it_is_the_default() -> None:
    def main(n: int = None, name: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    assert bind(main, {"n": {"text": "none"}, "name": {"data": None}}) == {"n": None, "name": None}


def test_an_annotation_that_cannot_be_resolved_counts_as_none() -> None:
    space: dict[str, Any] = {}
    exec("def main(a: 'Missing', n: 'int' = 0): pass", space)
    assert bind(space["main"], {"a": {"text": "1.5"}, "n": {"text": "2"}}) == {"a": 1.5, "n": 2}
    with pytest.raises(ParameterError):
        bind(space["main"], {"n": {"text": "x"}})


def test_a_type_of_a_library_is_refused_in_words() -> None:
    class Frame: ...

    def main(df: Frame) -> None: ...

    main.__annotations__["df"] = Frame
    with pytest.raises(ParameterError, match="cannot be given as a parameter"):
        bind(main, {"df": {"text": "x.csv"}})


def test_keywords_beyond_the_named_ones_and_positional_only() -> None:
    def main(a: int, b: int = 2, /, *, c: int = 3, **more: float) -> None: ...

    values = bind(main, {"a": {"text": "1"}, "c": {"text": "4"}, "x": {"text": "5"}})
    assert arguments(main, values) == ([1], {"c": 4, "x": 5.0})

    def late(a: int = 1, b: int = 2, /) -> None: ...

    with pytest.raises(ParameterError, match="positional-only"):
        arguments(late, {"b": 3})


def test_dates_travel_in_plain_data() -> None:
    def main(when: datetime.date, free) -> None: ...  # type: ignore[no-untyped-def]

    day = {"data": {"inferflow:date": "2024-02-29"}}
    assert bind(main, {"when": day, "free": day}) == dict.fromkeys(("when", "free"), datetime.date(2024, 2, 29))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_guess_gives_back_what_repr_wrote(value: object) -> None:
    assert guess(repr(value)) == value


@given(st.text())
def test_a_guess_never_fails(text: str) -> None:
    guess(text)


def test_plain_parameters_need_no_cattrs() -> None:
    import subprocess

    code = (
        "import sys; from inferflow.worker.parameters import bind\n"
        "def main(a: int, b: 'list[float] | None' = None): pass\n"
        "bind(main, {'a': {'text': '1'}, 'b': {'text': '[1]'}}); print('cattrs' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_fields_of_attrs_classes_are_named_as_their_arguments_are() -> None:
    @attrs.define
    class Hidden:
        _size: int

    assert structured({"size": 1}, Hidden) == Hidden(size=1)
