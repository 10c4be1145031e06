"""What is known of values that are written behind: the two messages about one may come in either order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inferflow.engine.values import Kept, Values
from inferflow.storage.artifacts import Artifacts
from inferflow.storage.folder import Folder

DIGEST = "ab" * 32
STORED = {"kind": "stored", "id": 7, "digest": DIGEST, "size": 100_000}
FAILED = {"kind": "stored", "id": 7, "error": "it could not be written: No space left on device"}


def done(**more: Any) -> dict[str, Any]:
    return {"facts": [["a", "numpy.ndarray", "float64 (10,)"]], "exact": True, "why": "", **more}


def told(folder: Path, order: str, stored: dict[str, Any], message: dict[str, Any]) -> Kept:
    values, artifacts = Values(), Artifacts(Folder(folder))
    if order == "the value first":
        kept = values.kept(message, artifacts)
        assert kept.pending
        values.stored(stored)
        return kept
    values.stored(stored)
    return values.kept(message, artifacts)


orders = pytest.mark.parametrize("order", ["the value first", "that it is stored first"])


@orders
def test_a_value_written_behind(order: str, tmp_path: Path) -> None:
    kept = told(tmp_path, order, STORED, done(pending=7))
    assert not kept.pending
    assert kept.digest == DIGEST
    assert [(value.name, value.artifact and value.artifact.size) for value in kept.stored] == [("a", 100_000)]


@orders
def test_a_value_that_could_not_be_written(order: str, tmp_path: Path) -> None:
    kept = told(tmp_path, order, FAILED, done(pending=7))
    assert not kept.pending
    assert [(value.artifact, value.why_not) for value in kept.stored] == [(None, FAILED["error"])]


@orders
def test_one_of_several_parts(order: str, tmp_path: Path) -> None:
    parts = [done(pending=7), {"facts": [["f", "file", ""]], "unpackable": "an open file"}]
    message = {"facts": [*parts[0]["facts"], *parts[1]["facts"]], "unpackable": "an open file", "parts": parts}
    kept = told(tmp_path, order, STORED, message)
    assert not kept.pending
    assert [(value.name, value.artifact is not None) for value in kept.stored] == [("a", True), ("f", False)]
