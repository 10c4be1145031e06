"""Pruning frees what nobody needs, and never what somebody does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from storage_samples import finished, graph, new_run, open_runs, started
from test_store_runs import start_writer

from inferflow.model import Artifact, FileUse, Source, StoredValue, TaskFinished, TaskRetired, TaskStarted
from inferflow.model.content import content_digest
from inferflow.storage.prune import Pruned, prune
from inferflow.storage.runs import Runs


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return open_runs(tmp_path)


def whole_run(runs: Runs, time: float, *contents: bytes, end: bool = True, **more) -> str:
    run = new_run(runs, time, **more)
    artifacts = [runs.artifacts.put(content) for content in contents]
    values = tuple(StoredValue("x", "bytes", artifact=artifact) for artifact in artifacts)
    files = (FileUse("out", "write", artifact=artifacts[-1]),) if artifacts else ()
    runs.append(run, [TaskStarted(time, 0, 1, "home", "home"), TaskFinished(time, 0, 1, 0, 0, 0, values, files)])
    runs.append(run, [TaskRetired(time, 0, 1), *([finished(time + 1)] if end else [])])
    return run


KILLED = {"end": False, "boot": "another boot:1"}


def names(runs: Runs) -> list[str]:
    return [run.id for run in runs.list()]


def has(runs: Runs, content: bytes) -> bool:
    return runs.artifacts.has(content_digest(content))


def test_nothing_to_prune(runs: Runs, tmp_path: Path) -> None:
    assert prune(runs, dry_run=True) == Pruned()
    assert os.listdir(tmp_path) == []
    run = whole_run(runs, 1.0, b"small", bytes(100_000))
    assert prune(runs) == Pruned()
    assert names(runs) == [run]
    assert runs.graph(run) == graph()


def test_killed_runs_and_what_only_they_needed_go(runs: Runs) -> None:
    shared, small, large = b"shared", b"small", bytes(100_000)
    kept = whole_run(runs, 1.0, shared)
    killed = whole_run(runs, 2.0, shared, small, large, **KILLED)
    told = prune(runs, dry_run=True)
    assert names(runs) == [killed, kept]
    assert has(runs, large)
    done = prune(runs)
    assert told == done
    assert (done.runs, done.artifacts, done.waiting) == ((killed,), 2, ())
    assert done.size > 100_000
    assert names(runs) == [kept]
    assert has(runs, shared)
    assert not has(runs, small)
    assert not has(runs, large)
    assert prune(runs) == Pruned()


def test_old_runs_go_if_asked(runs: Runs) -> None:
    all_runs = [whole_run(runs, float(number), b"%d" % number) for number in range(6)]
    assert prune(runs, keep_last=5, older_than=3.5, now=6.0, dry_run=True).runs == (all_runs[0],)
    assert prune(runs, older_than=3.5, now=6.0).runs == (all_runs[2], all_runs[1], all_runs[0])
    assert prune(runs, keep_last=2).runs == (all_runs[3],)
    assert names(runs) == [all_runs[5], all_runs[4]]
    assert prune(runs, keep_last=0).runs == (all_runs[5], all_runs[4])
    assert names(runs) == []


def test_sources_and_graphs_of_remaining_runs_stay(runs: Runs) -> None:
    source = Source("__main__", "driver.py", "/p/driver.py", "x = 1\n")
    run = runs.new_id(1.0)
    big = graph(*(f"task_{number}" for number in range(200)), sources=(("driver.py", source.digest),))
    runs.create(started(run), big, sources=(source,))
    runs.append(run, [finished()])
    whole_run(runs, 2.0, b"x", **KILLED)
    prune(runs)
    assert runs.graph(run) == big
    assert runs.artifacts.get(source.digest) == b"x = 1\n"


def test_beside_a_running_run_artifacts_are_left_alone(runs: Runs, tmp_path: Path) -> None:
    killed = whole_run(runs, 1.0, b"of the killed", **KILLED)
    running = whole_run(runs, 2.0, b"of the running", end=False)
    not_yet_told = runs.artifacts.put(bytes(100_000))
    scratch = runs.folder.scratch(running)
    (scratch / "buffer").write_bytes(b"x")
    dead = runs.folder.scratch(killed)
    (dead / "buffer").write_bytes(bytes(500))
    done = prune(open_runs(tmp_path), keep_last=0)
    assert (done.runs, done.artifacts, done.temporary, done.waiting) == ((killed,), 0, 1, (running,))
    assert done.size > 500
    assert runs.artifacts.has(not_yet_told.digest)
    assert (scratch / "buffer").exists()
    assert not dead.exists()
    runs.append(running, [finished()])
    assert prune(runs).artifacts == 2
    assert not scratch.exists()


def test_dead_temporary_files_go_and_young_or_living_ones_stay(runs: Runs) -> None:
    whole_run(runs, 1.0)
    tmp = runs.folder.tmp
    tmp.mkdir(exist_ok=True)
    hour = 3600
    now = time.time()
    ages = {
        "999999999.1.ab.part": 2 * hour,
        "999999998.1.ab.part": 0,
        f"{os.getpid()}.1.ab.part": 2 * hour,
        f"{os.getpid()}.2.ab.part": 48 * hour,
        "mystery": 48 * hour,
        "news": hour,
    }
    for name, age in ages.items():
        (tmp / name).write_bytes(b"12345")
        os.utime(tmp / name, (now - age, now - age))
    done = prune(runs)
    assert (done.temporary, done.size) == (3, 15)
    assert sorted(os.listdir(tmp)) == sorted(["999999998.1.ab.part", f"{os.getpid()}.1.ab.part", "news"])


def test_the_database_shrinks(runs: Runs) -> None:
    whole_run(runs, 1.0, *(os.urandom(20_000) for _ in range(100)), **KILLED)
    runs.folder.close()
    path = runs.folder.root / "inferflow.db"
    before = path.stat().st_size
    prune(runs)
    runs.folder.close()
    assert path.stat().st_size < before / 10


def test_a_digest_that_stands_nowhere_goes(runs: Runs) -> None:
    whole_run(runs, 1.0, b"kept")
    runs.artifacts.put(b"of nobody")
    assert prune(runs) == Pruned(artifacts=1, size=9)
    assert Artifact("0" * 64, 0).size == 0


def test_writers_at_work_lose_nothing(runs: Runs, tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, 150) for _ in range(2)]
    rounds = 0
    while any(writer.poll() is None for writer in writers):
        prune(runs)
        rounds += 1
    assert rounds > 2
    for writer in writers:
        run = runs.load(writer.communicate()[0].strip())
        assert (run.status, len(run.attempts)) == ("ok", 150)
        for value in (value for attempt in run.attempts for value in attempt.values):
            assert value.artifact is not None
            assert len(runs.artifacts.get(value.artifact.digest)) == value.artifact.size


FULL = """
import os, sys
from pathlib import Path
from test_store_prune import *
runs = open_runs(Path(sys.argv[1]))
whole_run(runs, 1.0, os.urandom(300_000), **KILLED)
with open(sys.argv[1] + "/filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(1000))
    except OSError:
        pass
try:
    runs.artifacts.put(bytes(100_000))
except Exception as error:
    print(type(error).__name__)
print(len(prune(runs).runs))
runs.artifacts.put(bytes(100_000))
print([run.id for run in runs.list()])
"""


def test_a_full_disk_is_freed(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    try:
        command = ["unshare", "-m", "sh", "-c", script, FULL]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        pytest.skip("needs unshare")
    if "mount" in result.stderr or "unshare" in result.stderr:
        pytest.skip("needs the right to mount")
    assert result.stdout.splitlines() == ["BrokenEnvironment", "1", "[]"], result.stderr
