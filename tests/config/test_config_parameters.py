"""Parameters are collected from four places and checked by name before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflow.config.parameters import Raw, accepted, collect, recorded
from inferflow.errors import WrongUse
from inferflow.model import Parameter

PARAMETERS = (
    Parameter("path", annotation="Path"),
    Parameter("C", annotation="float", default="1.0"),
    Parameter("kind", default="'a'"),
    Parameter("limit", annotation="int", default="None"),
)


def take(**more: object) -> Raw:
    return collect(PARAMETERS, target="driver.py:main", **{"pairs": ["path=x"], **more})  # type: ignore[arg-type]


def test_later_places_win(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("C: 3.0\nkind: [1, 2024-02-29]\n")
    environ = {"INFERFLOW_PARAM_C": "2", "INFERFLOW_PARAM_LIMIT": "5", "INFERFLOW_PARAM_kind": "e"}
    raw = take(
        settings={"C": 1, "kind": "s", "path": "t", "other": 1}, environ=environ, file=file, pairs=["path=x=y", "C=4"]
    )
    assert raw == {
        "path": {"text": "x=y"},
        "C": {"text": "4"},
        "limit": {"text": "5"},
        "kind": {"data": [1, {"inferflow:date": "2024-02-29"}]},
    }
    assert recorded(raw)[0] == ("C", "4")


@pytest.mark.parametrize(
    ("name", "text"),
    [("p.toml", 'C = 2.0\nkind = "k"\n'), ("p.json", '{"C": 2.0, "kind": "k"}'), ("p.yml", "C: 2.0\nkind: k\n")],
)
def test_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert take(file=tmp_path / name) == {"path": {"text": "x"}, "C": {"data": 2.0}, "kind": {"data": "k"}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", "C = \n", "this is not TOML"),
        ("p.json", '{\n"C": }', "p.json:2: this is not JSON"),
        ("p.yaml", "a: [1\nb: 2\n", "this is not YAML"),
        ("p.yaml", "- 1\n", "must hold a table"),
        ("p.ini", "", "use .toml, .yaml, .yml or .json"),
        ("p.json", '{"D": 1}', "takes no parameter 'D' \\(from "),
        ("q.json", None, "cannot read"),
    ],
)
def test_wrong_files(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(WrongUse, match=message):
        take(file=tmp_path / name)


def test_unknown_names_are_refused_with_what_is_accepted() -> None:
    with pytest.raises(WrongUse, match="takes no parameter 'kin'") as caught:
        take(pairs=["path=x", "kin=1"])
    assert caught.value.hint == "did you mean kind? it takes: path: Path, C: float = 1.0, kind='a', limit: int = None"
    with pytest.raises(WrongUse, match="from INFERFLOW_PARAM_Z"):
        take(environ={"INFERFLOW_PARAM_Z": "1"})
    with pytest.raises(WrongUse, match="not of the form name=value"):
        take(pairs=["path"])


def test_missing_ones_are_named() -> None:
    with pytest.raises(WrongUse, match="needs the parameter 'path'") as caught:
        collect(PARAMETERS, target="driver.py:main")
    assert "-p path=..." in caught.value.hint
    assert collect(PARAMETERS, script=True) == {}


def test_plain_types_are_checked_at_once() -> None:
    with pytest.raises(WrongUse, match="parameter 'C' is 'abc'; it must be a number") as caught:
        take(pairs=["path=x", "C=abc"])
    assert caught.value.hint == "it is declared as: C: float = 1.0"
    assert take(pairs=["path=x", "limit=none"])["limit"] == {"text": "none"}


def test_settings_serve_several_drivers_but_slips_are_told() -> None:
    assert "alpha" not in take(settings={"alpha": 1})
    with pytest.raises(WrongUse, match="'kidn' \\(from the settings\\)"):
        take(settings={"kidn": 1})


def test_further_keywords_are_taken_by_a_driver_that_takes_them() -> None:
    open_ended = (Parameter("more", kind="var_keyword"),)
    assert collect(open_ended, pairs=["any=1"]) == {"any": {"text": "1"}}
    assert accepted((Parameter("a", kind="var_positional"), *open_ended)) == "*a, **more"


def test_a_script_is_told_how_to_pass_arguments() -> None:
    with pytest.raises(WrongUse) as caught:
        collect((), pairs=["a=1"], target="driver.py", script=True)
    assert "after --" in caught.value.hint
