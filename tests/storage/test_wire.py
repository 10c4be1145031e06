"""Model values to JSON and back; the published schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from counted import steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from storage_samples import chain, finished, graph, started

from inferflow.errors import UserError
from inferflow.model import Artifact, Event, StoredValue, TaskFinished, TaskGraph, TaskRetired
from inferflow.wire import (
    event_from_data,
    event_from_json,
    event_kind,
    event_schema,
    event_to_data,
    event_to_json,
    graph_digest,
    graph_from_json,
    graph_schema,
    graph_to_json,
)

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


def test_a_graph_comes_back_equal() -> None:
    for original in (graph(), chain(1), chain(20)):
        back = graph_from_json(graph_to_json(original))
        assert back == original
        assert isinstance(back.tasks, tuple)
        assert hash(back.tasks[0]) == hash(original.tasks[0])


def test_the_same_graph_gives_the_same_bytes_in_every_process() -> None:
    text = graph_to_json(chain(20))
    assert graph_to_json(chain(20)) == text == graph_to_json(graph_from_json(text))
    assert text.isascii()
    code = (
        "from storage_samples import chain; from inferflow.wire import *; print(graph_digest(graph_to_json(chain(20))))"
    )
    for seed in ("1", "2"):
        output = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert output.strip() == graph_digest(text)


def test_places_carry_their_kind() -> None:
    places = {
        effect["place"]["place"]: effect["place"]
        for effect in json.loads(graph_to_json(chain(6)))["tasks"][5]["effects"]
    }
    assert places["variable"] == {"place": "variable", "scope": "<driver>", "name": "x4"}
    assert places["file"] == {"place": "file", "path": "{path}", "aspect": "listing"}
    assert places["world"] == {"place": "world", "kind": "stdout"}
    assert set(places) == {"variable", "object", "hidden", "file", "world"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.update(version=99), "newer inferflow"),
        (lambda data: data.update(version=0), "older inferflow"),
        (lambda data: data.pop("version"), "no version"),
        (lambda data: data.update(version="1"), "no version"),
        (lambda data: data.pop("tasks"), "'tasks' is missing"),
        (lambda data: data["tasks"][0].update(source=None), "None is no str"),
        (lambda data: data["tasks"][0].update(kind="nonsense"), "'nonsense' is none of call"),
        (lambda data: data["tasks"][0]["span"].update(line="3"), "no span"),
        (lambda data: data["tasks"][0]["anchor"].update(first=True), "True is no int"),
        (lambda data: data["edges"][0].update(target=0), "point forward"),
        (lambda data: data["edges"][0]["place"].update(place="nowhere"), "damaged"),
        (lambda data: data["edges"][0]["place"].pop("place"), "damaged"),
        (lambda data: data.update(tasks=7), "damaged"),
        (lambda data: data.update(tasks=[None]), "damaged"),
    ],
)
def test_damage_is_told(change, says) -> None:
    data = json.loads(graph_to_json(chain(3)))
    change(data)
    with pytest.raises(UserError, match=says):
        graph_from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "3", graph_to_json(chain(2))[:-20]])
def test_what_is_no_graph_is_told(text: str) -> None:
    with pytest.raises(UserError, match="not a task graph"):
        graph_from_json(text)


def test_unknown_fields_are_ignored_and_missing_ones_take_their_defaults() -> None:
    data = json.loads(graph_to_json(graph()))
    data["later"] = 1
    data["tasks"][0]["later"] = {"x": []}
    del data["tasks"][1]["home"], data["returns"]
    assert graph_from_json(json.dumps(data)) == graph()


def test_events_come_back_equal() -> None:
    stored = StoredValue("m", "Model", "Model(C=1)", Artifact("ab" * 32, 3), 1, True)
    done = TaskFinished(1.5, 0, 1, 0.1, 0.2, 3, (stored,), stdout="caf\udce9\n")
    for event in (started("r"), done, TaskRetired(2, 0, 1), finished(values=(stored,))):
        line = event_to_json(event)
        assert line.isascii()
        assert "\n" not in line
        assert event_from_json(line) == event
    assert event_to_data(TaskRetired(1.5, 0, 1)) == {"kind": "task_retired", "time": 1.5, "task": 0, "attempt": 1}
    assert event_kind(done) == "task_finished"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.from_type(Event))
def test_any_event_comes_back_equal_and_fits_the_schema(event: Event) -> None:
    text = event_to_json(event)
    back = event_from_json(text)
    assert type(back) is type(event)
    assert event_to_json(back) == text
    Draft202012Validator(event_schema()).validate(json.loads(text))


def test_damaged_events_are_told() -> None:
    good = event_to_data(TaskRetired(1.5, 0, 1))
    for bad in ({}, {**good, "kind": "task_vanished"}, {**good, "task": "0"}, {**good, "time": None}, {"kind": []}):
        with pytest.raises(UserError, match="event"):
            event_from_data(bad)
    with pytest.raises(UserError, match="damaged"):
        event_from_json("{")


@pytest.mark.parametrize(
    ("name", "schema"), [("taskgraph.schema.json", graph_schema()), ("event.schema.json", event_schema())]
)
def test_the_published_schema_is_current(name: str, schema: dict) -> None:
    text = json.dumps(schema, indent=2) + "\n"
    if os.environ.get("INFERFLOW_REWRITE"):
        SCHEMAS.mkdir(parents=True, exist_ok=True)
        (SCHEMAS / name).write_text(text)
    assert (SCHEMAS / name).read_text() == text, "run this test with INFERFLOW_REWRITE=1"
    Draft202012Validator.check_schema(schema)


def test_graphs_fit_the_schema_and_damaged_ones_do_not() -> None:
    validator = Draft202012Validator(graph_schema())
    data = json.loads(graph_to_json(chain(12)))
    validator.validate(data)
    data["edges"][0]["place"]["place"] = "nowhere"
    assert not validator.is_valid(data)


def test_every_field_of_the_model_is_in_the_schema() -> None:
    properties = graph_schema()["$defs"]["TaskGraph"]["properties"]
    assert set(properties) == {field.name for field in attrs.fields(TaskGraph)}


def test_the_round_trip_is_linear_in_tasks() -> None:
    def work(count: int) -> int:
        graph = chain(count)
        return steps(lambda: graph_from_json(graph_to_json(graph)))

    work(2)
    assert work(1000) < 5 * work(250)


def test_cattrs_is_not_imported_before_it_is_needed() -> None:
    code = """
import sys, inferflow.storage.prune, inferflow.storage.values
from inferflow.wire import event_to_json
from storage_samples import finished, started
event_to_json(started("r")), event_to_json(finished())
print("cattrs" in sys.modules)
"""
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=Path(__file__).parent)
    assert output == "False\n"
