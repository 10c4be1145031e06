"""The comparison of a value with its copy: what it must see, and what it must not mind."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import pathlib
import pickle
import random
import re
import struct
import sys
import textwrap
import types
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflow.worker.exact import known_exact, same
from inferflow.worker.exact_reach import globals_of, shares


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("__secret", "left", "right")

    def __init__(self, left: object) -> None:
        self.left = left
        self.__secret = [left]


class Forgetful:
    def __init__(self) -> None:
        self.kept, self.cache = 1, {"a": 2}

    def __getstate__(self) -> dict[str, Any]:
        return {"kept": self.kept}


class Counts(dict):  # type: ignore[type-arg]
    pass


class Point(NamedTuple):
    x: float
    y: list[int]


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Record:
    name: str
    rows: list[int]


def roundtrip(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, 5))


NAN = float("nan")
SHARED = [1]
LOOP: list[Any] = [1]
LOOP.append(LOOP)


KEPT = {
    "scalars": (1, 2.5, -0.0, "x", b"y", None, True, ..., 3 + 4j, range(3), 10**40),
    "shared list": [SHARED, SHARED],
    "recursive list": LOOP,
    "dict order": {"b": 1, "a": 2, (1, "x"): [3]},
    "instance": Plain(a=[1], b={"k": SHARED}, c=SHARED),
    "slots, one unset": Slotted([1]),
    "named tuple": Point(1.5, [2]),
    "enum": [Colour.RED, Colour.RED],
    "dataclass": Record("n", [1, 2]),
    "dict subclass with attributes": Counts(a=1),
    "ordered": collections.OrderedDict([("z", 1), ("a", [2])]),
    "defaultdict": collections.defaultdict(list, {"a": [1]}),
    "counter": collections.Counter("hello"),
    "deque": collections.deque([1, [2]], maxlen=3),
    "dates": [
        datetime.datetime(2024, 1, 2, 3, fold=1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.timedelta(1),
    ],
    "decimal, path, pattern": (decimal.Decimal("1.10"), pathlib.Path("a/b"), re.compile("x+", re.I)),
    "bytearray": bytearray(b"abc"),
    "partial and methods": [functools.partial(int, base=2), [].append, Plain().__init__],
    "numpy scalars and dtypes": (np.float64(1.5), np.int8(3), np.dtype([("a", "i4"), ("b", "O")]), np.bool_(True)),
    "object array": np.array([[1], "x", None], dtype=object),
    "generator": np.random.default_rng(3),
    "series with nan": pd.Series([1.0, NAN]),
    "multi-index": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")])),
    "categorical": pd.Series(["a", "b", "a"], dtype="category"),
    "dates with a zone": pd.Series(pd.date_range("2024-01-01", periods=2, tz="UTC")),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_faithful_copy_is_the_same(name: str) -> None:
    value = KEPT[name]
    assert same(value, roundtrip(value)) is None


LOST: dict[str, tuple[Any, Any]] = {
    "int became float": ([1], [1.0]),
    "bool became int": ([True], [1]),
    "zero lost its sign": ([0.0], [-0.0]),
    "complex zero lost its sign": ([complex(0, 0.0)], [complex(0, -0.0)]),
    "nan with another payload": ([struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]], [float("nan")]),
    "nan that was one object": ([NAN, NAN], [float("nan"), float("nan")]),
    "nan became one object": ([float("nan"), float("nan")], [NAN, NAN]),
    "the nan of math": ([math.nan], [float("nan")]),
    "the nan of numpy": ([np.nan], [float("nan")]),
    "shared list became two": ([SHARED, SHARED], [[1], [1]]),
    "two lists became one": ([[1], [1]], [SHARED, SHARED]),
    "list became tuple": ([[1]], [(1,)]),
    "dict order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "dict value": ({"a": 1}, {"a": 2}),
    "attribute lost": (Plain(a=1, b=2), Plain(a=1)),
    "attribute new": (Plain(a=1), Plain(a=1, b=2)),
    "attribute order": (Plain(a=1, b=2), Plain(b=2, a=1)),
    "slot": (Slotted(1), Slotted(2)),
    "what __getstate__ forgets": (Forgetful(), roundtrip(Forgetful())),
    "maxlen": (collections.deque([1], 2), collections.deque([1], 3)),
    "default factory": (collections.defaultdict(list), collections.defaultdict(dict)),
    "ordered": (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    "decimal digits": (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    "fold": (datetime.datetime(2024, 1, 1, fold=0), datetime.datetime(2024, 1, 1, fold=1)),
    "dtype": (np.zeros(2, "i4"), np.zeros(2, "i8")),
    "byte order": (np.zeros(2, "<i4"), np.zeros(2, ">i4")),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "order C and F": (np.zeros((2, 3)), np.zeros((2, 3), order="F")),
    "strides": (np.zeros((4, 4))[:, :2], np.zeros((4, 2))),
    "array bits": (np.array([0.0]), np.array([-0.0])),
    "array subclass": (np.rec.array([(1,)], names="a"), np.array([(1,)], dtype=[("a", "i8")])),
    "fill value of a masked array": (np.ma.masked_array([1.0]), np.ma.masked_array([1.0], fill_value=2)),
    "numpy scalar": (np.float64(1), np.float32(1)),
    "exception cause": (roundtrip(ValueError("x")), ValueError("y")),
    "series name": (pd.Series([1], name="a"), pd.Series([1], name="b")),
    "index type": (pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1)), pd.DataFrame({"a": [1]}, index=pd.Index([0]))),
    "categories": (pd.Categorical(["a"], ["a", "b"]), pd.Categorical(["a"], ["b", "a"])),
    "frame column order": (pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"b": [2], "a": [1]})),
}


@pytest.mark.parametrize("name", LOST)
def test_a_difference_is_seen(name: str) -> None:
    original, rebuilt = LOST[name]
    assert same(original, rebuilt) is not None


def test_a_read_only_flag_is_seen() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    assert same(array, np.arange(3)) is not None


def test_a_set_that_comes_in_another_order_is_seen() -> None:
    one, other = {7}, {15}
    one.add(15)
    other.add(7)
    assert one == other
    assert list(one) != list(other)
    assert same(one, other) is not None


def test_a_set_ordered_by_addresses_is_never_the_same() -> None:
    value = {Plain(), Plain()}
    assert same(value, copy.deepcopy(value)) is not None


def test_attributes_that_share_a_dictionary_are_seen() -> None:
    borg = Plain(a=1)
    assert same((borg, borg.__dict__), roundtrip((borg, borg.__dict__))) is not None
    assert same((borg, {"a": 1}), roundtrip((borg, {"a": 1}))) is None


def test_a_view_that_became_a_copy_is_seen() -> None:
    base = np.arange(6.0)
    assert same((base, base[1:3]), (base.copy(), base[1:3].copy())) is not None
    other = base.copy()
    assert same((base, base[1:3]), (other, other[1:3])) is None
    assert same((base, base[1:3]), (other, other[2:4] - 1)) is not None


def test_an_array_over_a_bytearray_is_seen() -> None:
    memory = bytearray(range(16))
    value = (memory, np.frombuffer(memory, "u1"))
    assert same(value, roundtrip(value)) is not None


def test_an_exception_with_a_traceback_is_not_the_same_without() -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        caught = error
    assert same(caught, roundtrip(caught)) is not None
    assert same(ValueError("x"), roundtrip(ValueError("x"))) is None


def test_depth_does_not_matter() -> None:
    def deep() -> list[Any]:
        value: list[Any] = []
        for _ in range(50_000):
            value = [value]
        return value

    one, other = deep(), deep()
    try:
        assert same(one, other) is None
    finally:  # freeing them recursively is the interpreter's own trouble
        for value in (one, other):
            while value:
                value = value.pop()


def test_a_failing_method_is_a_difference_not_an_error() -> None:
    class Odd(random.Random):
        def __reduce_ex__(self, protocol: object) -> Any:
            raise RuntimeError("no")

    assert "RuntimeError" in str(same(Odd(1), Odd(1)))


def test_the_difference_tells_where() -> None:
    found = same({"model": Plain(weights=[1, 2])}, {"model": Plain(weights=[1, 3])})
    assert str(found) == "at ['model'].weights[1]: 2 became 3"


# --- the cheap answer ------------------------------------------------------------------------------------

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
plain = st.recursive(
    atoms | hashable,
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=12)
        | st.lists(inner, min_size=1, max_size=2).map(lambda part: [part, part, *part])
    ),
    max_leaves=25,
)


def canonical(value: Any) -> Any:
    """An oracle, independent of the walk: the value spelled out, objects numbered as they are met."""
    numbers: dict[int, int] = {}

    def spell(part: Any) -> Any:
        cls = type(part).__name__
        if isinstance(part, float):
            bits = struct.pack("<d", part)
            if not math.isnan(part):
                return cls, bits
            return cls, bits, part is math.nan, part is np.nan, numbers.setdefault(id(part), len(numbers))
        if not isinstance(part, (list, tuple, dict, set, frozenset)) or part == ():
            return cls, part
        if id(part) in numbers:
            return "again", numbers[id(part)]
        numbers[id(part)] = len(numbers)
        items = [item for pair in part.items() for item in pair] if isinstance(part, dict) else part
        return cls, numbers[id(part)], tuple(map(spell, items))

    return spell(value)


@given(plain)
def test_the_walk_agrees_with_an_oracle(value: Any) -> None:
    copied = roundtrip(value)
    agrees = canonical(value) == canonical(copied)
    if same(value, copied) is None:
        assert agrees
    elif agrees:  # stricter than the oracle only about table sizes
        assert "table size" in str(same(value, copied))


@given(plain)
def test_what_is_known_to_be_exact_is(value: Any) -> None:
    if known_exact(value):
        assert same(value, roundtrip(value)) is None


@given(plain, plain)
def test_two_values_are_the_same_only_if_they_are_spelled_alike(one: Any, other: Any) -> None:
    if same(one, other) is None:
        assert canonical(one) == canonical(other)


def test_known_exact_is_bounded() -> None:
    assert known_exact([[object]] * 10) is None
    assert known_exact([[] for _ in range(1000)], limit=100) is None
    assert known_exact(list(range(1_000_000))) is True
    assert known_exact([1.0] * 1000 + [NAN]) is False
    assert known_exact([1.0] * 1000) is True
    assert known_exact(LOOP) is True


# --- sharing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: [x],
        lambda x: {"a": (1, x)},
        lambda x: {(1, frozenset()): x},
        lambda x: Plain(x=x),
        lambda x: Slotted(x),
        lambda x: lambda: x,
        lambda x: functools.partial(sorted, x),
        lambda x: types.SimpleNamespace(x=x),
        lambda x: types.MappingProxyType({"a": x}),
        lambda x: collections.deque([x]),
        lambda x: np.array([x, None], dtype=object),
        lambda x: x.append,
        lambda x: ValueError(x),
        lambda x: pd.Series([x, 1]),
    ],
)
def test_a_shared_list_is_found_wherever_it_hides(make: Any) -> None:
    value = [1, 2]
    assert shares((0, {"k": value}), (1, make(value))) is not None
    assert shares((0, {"k": value}), (1, make([1, 2]))) is None


def test_shared_memory_is_found() -> None:
    array = np.arange(10.0)
    assert shares((array,), (array[3:],)) is not None
    assert shares((array[:3],), (array[3:],)) is None
    assert shares((array,), (array[3:].copy(),)) is None
    assert shares((array.T,), (array.reshape(2, 5).mean(axis=0),)) is None
    memory = bytearray(8)
    assert shares((memory,), (np.frombuffer(memory, "u1"),)) is not None


def test_sharing_with_the_state_of_modules_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("project")
    monkeypatch.setitem(sys.modules, "project", module)
    program = """
        import functools, math
        CONFIG = {"a": [1]}
        class Registry:
            items = []
            @classmethod
            def default(cls, acc={}): return acc
        def add(x, acc=[]): return acc
        def outer():
            kept = []
            def inner(): return kept
            return inner
        closed = outer()
        @functools.lru_cache
        def load(): return [1]
        def fresh(): return [1]
    """
    exec(textwrap.dedent(program), vars(module))
    roots = globals_of([module])
    for result in (
        module.CONFIG["a"],
        module.Registry.items,
        module.Registry.default(),
        module.add(1),
        module.closed(),
    ):
        assert shares(roots, ({"k": result},)) is not None
    cached = module.load()
    assert shares(globals_of([module]), (cached,)) is not None
    assert shares(roots, (module.fresh(), module.Registry, module.Registry(), module.add)) is None


def test_looking_twice_gives_the_same_answer() -> None:
    value = [functools.partial(int, base=2), ValueError("x"), Plain(), collections.Counter("a")]
    for _ in range(2):
        assert same(value, roundtrip(value)) is None
        assert shares(tuple(value), (roundtrip(value),)) is None


def test_what_cannot_change_is_not_shared() -> None:
    common = (
        1,
        "x",
        decimal.Decimal(1),
        datetime.date(2024, 1, 1),
        Colour.RED,
        Plain,
        len,
        re.compile("x"),
        np.dtype("i4"),
    )
    assert shares((common,), (common, [*common])) is None


def test_frames_made_anew_share_nothing_and_derived_ones_their_index() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert shares((frame,), (frame.describe(),)) is None
    assert shares((frame,), (frame.a.sum(), frame.shape)) is None
    assert shares((frame,), (frame[["a"]] * 2,)) is not None


def test_what_hangs_on_a_table_counts() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    other = pd.DataFrame({"a": [1, 2]})
    object.__setattr__(frame, "label", "train")
    found = same((frame,), (other,))
    assert found is not None
    assert "'label' is lost" in found.what
    found = same((other,), (frame,))
    assert found is not None
    assert "'label' is new" in found.what
