"""Runs as lists of events: what is appended comes back, from any process, after any death."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from storage_samples import chain, finished, graph, new_run, open_runs, started

from inferflow.errors import BrokenEnvironment, UserError, WrongUse
from inferflow.model import (
    Artifact,
    RunStarted,
    Source,
    StoredValue,
    TaskFailed,
    TaskFinished,
    TaskRetired,
    TaskStarted,
    WorkerStarted,
)
from inferflow.storage.runs import Runs
from inferflow.wire import graph_digest, graph_to_json

HERE = Path(__file__).parent


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return open_runs(tmp_path)


def one_task(task: int = 0, artifact: Artifact | None = None) -> list:
    value = StoredValue("x", "int", artifact=artifact)
    return [
        TaskStarted(1.0, task, 1, "home", "home"),
        TaskFinished(2.0, task, 1, 0.5, 0.4, 100, (value,)),
        TaskRetired(2.0, task, 1),
    ]


def test_events_come_back_in_order(runs: Runs, tmp_path: Path) -> None:
    run = new_run(runs)
    events = [WorkerStarted(1.0, "home", "home", 7), *one_task(0), *one_task(1), finished()]
    runs.append(run, events[:3])
    runs.append(run, [])
    runs.append(run, iter(events[3:]))
    for reader in (runs, open_runs(tmp_path)):
        head, *rest = reader.events(run)
        assert isinstance(head, RunStarted)
        assert rest == events
        loaded = reader.load(run)
        assert (loaded.id, loaded.status, len(loaded.attempts)) == (run, "ok", 2)
        assert loaded.started.graph == graph_digest(graph_to_json(graph()))


def test_another_process_goes_on_where_one_stopped(runs: Runs, tmp_path: Path) -> None:
    run = new_run(runs)
    runs.append(run, one_task(0))
    open_runs(tmp_path).append(run, one_task(1))
    assert runs.events(run)[1:] == [*one_task(0), *one_task(1)]


def test_the_graph_and_the_sources_are_kept(runs: Runs) -> None:
    source = Source("__main__", "driver.py", "/project/driver.py", "print('caf\udce9')\n")
    for name, big in (("a", chain(1)), ("b", chain(200))):
        runs.create(started(name), big, sources=(source,))
        assert runs.graph(name) == big
    runs.create(started("c"), chain(200), text=graph_to_json(chain(200)))
    assert runs.graph("c") == runs.graph("b")
    assert runs.artifacts.has(source.digest)


def test_unknown_runs_are_key_errors(runs: Runs) -> None:
    for act in (runs.load, runs.graph, runs.events):
        with pytest.raises(KeyError):
            act("nope")
    with pytest.raises(KeyError):
        runs.append("nope", one_task())
    run = new_run(runs)
    with pytest.raises(ValueError, match="exists"):
        runs.create(started(run), graph())
    assert len(runs.list()) == 1


def test_a_lost_graph_is_told(runs: Runs) -> None:
    run = new_run(runs)
    runs.folder.database().write("DELETE FROM blobs")
    with pytest.raises(UserError, match="is lost"):
        runs.graph(run)


def test_a_batch_is_kept_whole_or_not_at_all(runs: Runs, tmp_path: Path) -> None:
    run = new_run(runs)
    other = open_runs(tmp_path)

    def broken_turn() -> None:
        with runs.batch():
            artifact = runs.artifacts.put(b"in the batch")
            runs.append(run, one_task(0, artifact))
            with runs.batch():
                runs.append(run, one_task(1))
            assert len(other.events(run)) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_turn()
    assert len(runs.events(run)) == len(other.events(run)) == 1
    with runs.batch():
        artifact = runs.artifacts.put(b"in the batch")
        runs.append(run, one_task(0, artifact))
        runs.append(run, one_task(1))
    assert runs.events(run)[1:] == other.events(run)[1:] == [*one_task(0, artifact), *one_task(1)]
    assert other.artifacts.get(artifact.digest) == b"in the batch"


def test_an_empty_batch_takes_no_lock(runs: Runs, tmp_path: Path) -> None:
    new_run(runs)
    with runs.batch():
        new_run(open_runs(tmp_path))


def test_runs_are_listed_newest_first(runs: Runs) -> None:
    assert runs.list() == []
    names = [new_run(runs, time=1000.0 + number) for number in range(5)]
    for name, status in zip(names, ("ok", "failed", "interrupted", "ok", "ok"), strict=True):
        runs.append(name, [*one_task(), TaskFailed(1.0, 1, 1, 0.1, "ValueError", "bad", ""), finished(status=status)])
    assert [run.id for run in runs.list()] == names[::-1]
    assert [run.id for run in runs.list(limit=2)] == names[:2:-1]
    assert [run.id for run in runs.list(failed=True)] == [names[2], names[1]]
    assert [run.id for run in runs.list(limit=1, failed=True)] == [names[2]]
    assert [(attempt.task, attempt.status) for attempt in runs.list()[0].attempts] == [(0, "retired"), (1, "failed")]


def test_a_run_is_running_while_its_process_lives_and_killed_after(runs: Runs) -> None:
    live = new_run(runs)
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead = new_run(runs, pid=process.pid)
    rebooted = new_run(runs, boot="another boot:12")
    assert runs.load(live).status == "running"
    assert runs.load(dead).status == "killed"
    assert [run.id for run in runs.list(failed=True)] == [rebooted, dead]


# -- names


def test_names_are_readable_unique_and_sorted(runs: Runs) -> None:
    now = time.time()
    names = [runs.new_id(now) for _ in range(500)]
    assert len(set(names)) == 500
    assert all(name.startswith(time.strftime("%Y%m%d-%H%M-", time.localtime(now))) for name in names)
    assert max(map(len, names)) <= 30
    assert runs.new_id(now - 120) < min(names)


def test_a_run_may_be_named_in_short(runs: Runs) -> None:
    for name in ("20261122-2001-brave-otter", "20261122-2002-brave-oak", "20261123-0900-calm-fox"):
        runs.create(started(name), graph())
    for text, name in {
        "latest": "20261123-0900-calm-fox",
        "20261123": "20261123-0900-calm-fox",
        "calm-fox": "20261123-0900-calm-fox",
        "cal": "20261123-0900-calm-fox",
        "fox": "20261123-0900-calm-fox",
        "20261122-2002": "20261122-2002-brave-oak",
        "brave-oa": "20261122-2002-brave-oak",
        "20261122-2001-brave-otter": "20261122-2001-brave-otter",
    }.items():
        assert runs.resolve(text) == name
    for text in ("2026", "brave", "20261122"):
        with pytest.raises(WrongUse, match="may be") as caught:
            runs.resolve(text)
        assert "brave-otter" in str(caught.value)
    for text in ("", "zebra"):
        with pytest.raises(WrongUse, match="there is no run"):
            runs.resolve(text)
    with pytest.raises(WrongUse, match="did you mean 20261122-2001-brave-otter") as caught:
        runs.resolve("brave-oter")
    assert caught.value.exit_code == 2


def test_a_word_names_one_of_the_last_runs(runs: Runs) -> None:
    """A name in short goes on naming its run: the second words of the last sixty differ, and a whole word is none's
    beginning ("fir" is no "firm-oak")."""
    for name in ("20261122-2001-firm-oak", "20261122-2001-tall-fir"):
        runs.create(started(name), graph())
    assert runs.resolve("fir") == "20261122-2001-tall-fir"
    for _ in range(100):
        runs.create(started(runs.new_id(time.time())), graph())
    names = [run.id for run in runs.list(60)]
    assert {runs.resolve(name.rpartition("-")[2]) for name in names} == set(names)


def test_without_runs_there_is_a_next_step(runs: Runs) -> None:
    with pytest.raises(WrongUse, match=r"no run in .*yet") as caught:
        runs.resolve("latest")
    assert "inferflow run" in caught.value.hint


# -- several writers, and their deaths

WRITER = """
import sys, time
from pathlib import Path
from storage_samples import *
from inferflow.model import *
runs = open_runs(Path(sys.argv[1]))
run = new_run(runs, time.time())
print(run, flush=True)
for task in range(int(sys.argv[2])):
    with runs.batch():
        artifact = runs.artifacts.put(b"%d of " % task + run.encode())
        large = runs.artifacts.put(bytes(40_000) + b"%d of " % task + run.encode())
        values = (StoredValue("x", "int", artifact=artifact), StoredValue("y", "int", artifact=large))
        runs.append(run, [TaskStarted(1.0, task, 1, "home", "home"), TaskFinished(2.0, task, 1, 0, 0, 0, values)])
        runs.append(run, [TaskRetired(2.0, task, 1)])
runs.append(run, [finished()])
"""


def start_writer(project: Path, tasks: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(project), str(tasks)]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path, runs: Runs) -> None:
    writers = [start_writer(tmp_path, 150) for _ in range(3)]
    names = [writer.communicate()[0].strip() for writer in writers]
    assert all(writer.returncode == 0 for writer in writers)
    for name in names:
        run = runs.load(name)
        assert run.status == "ok"
        assert [attempt.task for attempt in run.attempts] == list(range(150))
        for attempt in run.attempts:
            small, large = (value.artifact for value in attempt.values)
            assert small is not None
            assert large is not None
            assert runs.artifacts.get(small.digest) == f"{attempt.task} of {name}".encode()
            assert runs.artifacts.get(large.digest).endswith(f"{attempt.task} of {name}".encode())


def test_a_killed_writer_leaves_whole_turns_and_a_store_that_works(tmp_path: Path, runs: Runs) -> None:
    for seed in range(6):
        writer = start_writer(tmp_path, 100_000)
        assert writer.stdout is not None
        name = writer.stdout.readline().strip()
        time.sleep(random.Random(seed).uniform(0.0, 0.15))
        assert writer.poll() is None
        assert runs.load(name).status == "running"
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        run = runs.load(name)
        assert run.status == "killed"
        assert {attempt.status for attempt in run.attempts} <= {"retired"}
        assert (len(runs.events(name)) - 1) % 3 == 0
        for value in (value for attempt in run.attempts for value in attempt.values):
            assert value.artifact is not None
            assert len(runs.artifacts.get(value.artifact.digest)) == value.artifact.size
    assert runs.load(new_run(runs)).status == "running"


def test_a_writer_that_holds_the_lock_too_long_is_told(tmp_path: Path, runs: Runs, monkeypatch) -> None:
    new_run(runs)
    monkeypatch.setattr("inferflow.storage.database.BUSY_TIMEOUT", 0.05)
    late = open_runs(tmp_path)
    with runs.batch():
        runs.artifacts.put(b"x")
        with pytest.raises(BrokenEnvironment, match="locked by another process"):
            new_run(late)
    new_run(late)


def test_a_task_costs_as_much_as_the_one_before(runs: Runs) -> None:
    from counted import steps  # (this module is imported elsewhere too)

    run = new_run(runs)

    def work(tasks: range) -> int:
        def write() -> None:
            for task in tasks:
                with runs.batch():
                    artifact = runs.artifacts.put(b"%d" % task)
                    runs.append(run, one_task(task, artifact))

        return steps(write)

    work(range(10))
    assert work(range(1010, 1110)) < 1.2 * work(range(10, 110))
