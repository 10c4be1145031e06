"""A value takes the form that was asked for, or says that it has none."""

from __future__ import annotations

import datetime
import enum
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import attrs
import numpy as np
import pandas as pd
import pytest

from inferflow.errors import UserError
from inferflow.session.extract import encode


class Color(enum.Enum):
    RED = "red"


class Pair(NamedTuple):
    a: int
    b: object


@dataclass
class Model:
    name: str
    rates: tuple[float, ...]


@attrs.define
class Fold:
    model: Model


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None), (True, True), (1.5, 1.5), ("é", "é"), ({1: (2, 3)}, {"1": [2, 3]}), ({3, 1}, [1, 3]),
        (Color.RED, "red"), (Pair(1, None), {"a": 1, "b": None}),
        (Fold(Model("m", (0.5,))), {"model": {"name": "m", "rates": [0.5]}}),
        (datetime.date(2024, 2, 29), "2024-02-29"), (Path("a/b"), "a/b"), (np.float64(0.5), 0.5), (np.int32(3), 3),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]), (pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (pd.Series([1, 2]), [1, 2]), ([np.bool_(True)], [True]), (datetime.timedelta(minutes=1), 60.0),
    ],
)  # fmt: skip
def test_json(value: object, plain: object) -> None:
    assert json.loads(encode(value, "json")) == plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pd.DataFrame({"a": [1, 2]}), "a\n1\n2\n"),
        (pd.DataFrame({"a": [1]}, index=["x"]), ",a\nx,1\n"),
        ([[1, "a,b"], [2, ""]], '1,"a,b"\n2,\n'),
        ([{"a": 1}, {"a": 2, "b": 3}], "a,b\n1,\n2,3\n"),
        ({"a": [1, 2], "b": [3, 4]}, "a,b\n1,3\n2,4\n"),
        ([1, 2], "1\n2\n"),
        (np.eye(2), "1.0,0.0\n0.0,1.0\n"),
    ],
)
def test_csv(value: object, text: str) -> None:
    assert encode(value, "csv").decode() == text


def test_other_forms(tmp_path: Path) -> None:
    assert encode("text", "text") == b"text\n"
    assert encode([1], "text") == b"[1]\n"
    assert pickle.loads(encode({1: {2}}, "pickle")) == {1: {2}}
    (tmp_path / "a.npy").write_bytes(encode([[1, 2]], "npy"))
    assert np.load(tmp_path / "a.npy").tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("value", "form"), [(object(), "json"), (3, "csv"), ({"a": [1], "b": []}, "csv"), ([object()], "npy")]
)
def test_what_has_no_such_form_says_so(value: object, form: str) -> None:
    with pytest.raises(UserError) as caught:
        encode(value, form)
    assert caught.value.hint == "try --format text or pickle"
