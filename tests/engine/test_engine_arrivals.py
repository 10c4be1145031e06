"""Large values under way: messages wait until the store has their files, whatever comes in between."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from inferflow.engine.arrivals import Arrivals
from inferflow.model.content import content_digest
from inferflow.storage.artifacts import Artifacts
from inferflow.storage.folder import Folder

DATA = os.urandom(3_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.of(tmp_path)


@pytest.fixture
def arrivals(folder: Folder) -> Arrivals:
    return Arrivals(Artifacts(folder))


def message(folder: Folder, kind: str, data: bytes = DATA, **more: Any) -> dict[str, Any]:
    path = folder.scratch("run") / "17.part"
    path.write_bytes(data)
    return {"kind": kind, "file": str(path), "size": len(DATA), **more}


def test_a_value_that_is_followed(folder: Folder, arrivals: Arrivals) -> None:
    arrivals.told(message(folder, "writing", DATA[:10], id=3))
    assert not arrivals
    arrivals.told(message(folder, "stored", id=3))
    assert arrivals
    expected = {"kind": "stored", "id": 3, "digest": content_digest(DATA), "size": len(DATA)}
    assert arrivals.ready(wait=True) == [("home", expected)]
    assert not arrivals
    assert arrivals.ready(wait=True) == []


def test_a_result_of_a_helper(folder: Folder, arrivals: Arrivals) -> None:
    arrivals.told(message(folder, "result", task=1), "helper-1")
    ((worker, told),) = arrivals.ready(wait=True)
    assert (worker, told["task"], told["digest"]) == ("helper-1", 1, content_digest(DATA))
    assert "file" not in told


def test_a_value_that_could_not_be_written(folder: Folder, arrivals: Arrivals) -> None:
    arrivals.told(message(folder, "writing", DATA[:10], id=3))
    failed = {"kind": "stored", "id": 3, "error": "it could not be written: No space left on device"}
    arrivals.told(failed)
    assert arrivals.ready() == [("home", failed)]
    assert not any((folder.root / "tmp" / "run").iterdir())


def test_a_file_that_is_not_what_was_told(folder: Folder, arrivals: Arrivals) -> None:
    arrivals.told(message(folder, "stored", DATA[:10], id=3))
    ((_, told),) = arrivals.ready(wait=True)
    assert told["error"].startswith("it could not be kept: ")
    assert "digest" not in told


def test_what_a_home_that_died_did_not_finish_is_removed(folder: Folder, arrivals: Arrivals) -> None:
    arrivals.told(message(folder, "writing", DATA[:10], id=3))
    assert arrivals.ready(wait=True) == []
    assert not any((folder.root / "tmp" / "run").iterdir())
