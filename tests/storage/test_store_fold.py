"""A run is a fold over its events, wherever they stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_samples import finished, started

from inferflow.model import (
    FileUse,
    StoredValue,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskRetired,
    TaskStarted,
    WorkerLost,
    WorkerStarted,
)
from inferflow.storage.fold import fold

VALUE = StoredValue("x", "int")
FILE = FileUse("out.txt", "write")
STORY = [
    started("r"),
    WorkerStarted(1.0, "home", "home", 11),
    WorkerStarted(1.0, "helper-1", "helper", 12),
    TaskStarted(1.1, 0, 1, "home", "home"),
    TaskStarted(1.2, 2, 1, "ahead", "helper-1"),
    TaskFinished(1.3, 0, 1, 0.2, 0.1, 5, (VALUE,), (FILE,), "out", "err"),
    TaskRetired(1.3, 0, 1),
    WorkerLost(1.4, "helper-1", -9, "SIGKILL", "out of memory"),
    TaskDropped(1.4, 2, 1, "its worker died"),
    TaskStarted(1.5, 1, 1, "home", "home"),
    TaskFailed(1.6, 1, 1, 0.1, "ValueError", "bad", "Traceback ...", "driver.py", 3, stdout="half"),
    finished(2.0, status="failed", exit_code=1),
]


def test_a_whole_story() -> None:
    run = fold("r", STORY, alive=False)
    assert (run.id, run.status, run.duration) == ("r", "failed", 2.0 - 1000.0)
    first, ahead, failed = run.attempts
    assert (first.status, first.duration, first.values, first.files, first.stdout) == (
        "retired",
        0.2,
        (VALUE,),
        (FILE,),
        "out",
    )
    assert (ahead.status, ahead.where, ahead.why) == ("dropped", "ahead", "its worker died")
    assert (failed.status, failed.exception, failed.message, failed.stdout) == ("failed", "ValueError", "bad", "half")
    assert (failed.path, failed.line) == ("driver.py", 3)
    assert [worker.worker for worker in run.workers] == ["home", "helper-1"]
    assert run.lost[0].signal == "SIGKILL"
    assert run.driver_failure is None


def test_a_second_attempt_is_another_one() -> None:
    run = fold("r", [STORY[0], STORY[3], TaskDropped(1, 0, 1, "stale"), TaskStarted(2, 0, 2, "home", "home")], True)
    assert [(attempt.number, attempt.status) for attempt in run.attempts] == [(1, "dropped"), (2, "running")]


def test_a_failure_outside_all_tasks() -> None:
    failure = TaskFailed(1.0, -1, 1, 0.1, "ImportError", "no module", "Traceback ...")
    run = fold("r", [STORY[0], failure, STORY[-1]], False)
    assert run.driver_failure == failure
    assert run.attempts == ()


def test_without_an_end_it_runs_or_was_killed() -> None:
    open_story = STORY[:5]
    assert fold("r", open_story, alive=True).status == "running"
    assert {attempt.status for attempt in fold("r", open_story, alive=True).attempts} == {"running"}
    killed = fold("r", open_story, alive=False)
    assert killed.status == "killed"
    assert killed.duration is None
    assert {(attempt.status, attempt.why) for attempt in killed.attempts} == {("dropped", "the run was killed")}


def test_no_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="no beginning"):
        fold("r", STORY[1:], alive=False)


@given(st.integers(1, len(STORY)), st.booleans(), st.sets(st.integers(1, len(STORY) - 1)))
def test_any_part_of_a_story_folds(length: int, alive: bool, lost: set[int]) -> None:
    events = [event for place, event in enumerate(STORY[:length]) if place not in lost]
    run = fold("r", events, alive)
    assert run.status in (("running",) if alive else ("killed",)) or run.finished is not None
    if run.status != "running":
        assert all(attempt.status != "running" for attempt in run.attempts)
