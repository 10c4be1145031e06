"""Which code, which environment, which process."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import evolve
from storage_samples import started

from inferflow.model import CodeIdentity, Environment
from inferflow.storage.identity import (
    environment,
    is_alive,
    packages,
    parse_status,
    process_identity,
    start_code_identity,
)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "driver.py").write_text("x = 1\n")
    (tmp_path / "old.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_repository(repository: Path) -> None:
    code = start_code_identity(repository).result("abc", (("driver:main", "123"),))
    assert code == CodeIdentity(git(repository, "rev-parse", "HEAD"), "trunk", (), "abc", (("driver:main", "123"),))


def test_changed_and_untracked_files_are_named(repository: Path) -> None:
    (repository / "driver.py").write_text("x = 2\n")
    (repository / "old.py").unlink()
    (repository / "new folder").mkdir()
    (repository / "new folder" / "ünï code\n.py").write_text("")
    (repository / "staged.py").write_text("")
    git(repository, "add", "staged.py")
    assert start_code_identity(repository).result().dirty == (
        "driver.py",
        "new folder/ünï code\n.py",
        "old.py",
        "staged.py",
    )
    sub = start_code_identity(repository / "new folder").result()
    assert sub.commit == git(repository, "rev-parse", "HEAD")


def test_a_merge_conflict(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side")
    (repository / "driver.py").write_text("x = 2\n")
    git(repository, "commit", "-q", "-am", "side")
    git(repository, "checkout", "-q", "trunk")
    (repository / "driver.py").write_text("x = 3\n")
    git(repository, "commit", "-q", "-am", "trunk")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "merge", "side")
    assert start_code_identity(repository).result().dirty == ("driver.py",)


def test_detached_and_initial_heads(repository: Path, tmp_path_factory) -> None:
    git(repository, "checkout", "-q", "--detach")
    code = start_code_identity(repository).result()
    assert (len(code.commit), code.branch) == (40, "")
    fresh = tmp_path_factory.mktemp("fresh")
    git(fresh, "init", "-q", "-b", "trunk")
    assert start_code_identity(fresh).result() == CodeIdentity("", "trunk")


def test_many_untracked_files_do_not_block_git(repository: Path) -> None:
    for number in range(3000):
        (repository / f"a rather long name for a file that is not tracked {number}.txt").touch()
    handle = start_code_identity(repository)
    assert len(handle.result().dirty) == 3000


def test_without_a_repository_or_git(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert start_code_identity(tmp_path).result() == CodeIdentity()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert start_code_identity(tmp_path).result("abc") == CodeIdentity(driver_digest="abc")
    assert start_code_identity(tmp_path / "absent").result() == CodeIdentity()


def test_a_slow_git_is_not_waited_for(repository: Path, monkeypatch) -> None:
    slow = repository / "bin"
    slow.mkdir()
    (slow / "git").write_text('#!/bin/sh\n[ "$1" = status ] && exec sleep 30\nPATH=/usr/bin:/bin exec git "$@"\n')
    (slow / "git").chmod(0o755)
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", f"{slow}:{os.environ['PATH']}")
    code = start_code_identity(repository).result(timeout=0.1)
    assert code.commit == commit
    assert "took longer" in code.dirty[0]


def test_statuses_are_parsed() -> None:
    assert parse_status(b"") == ("", "", ())
    output = b"# branch.oid 12ab\0# branch.head main\0# branch.upstream o/main\0# branch.ab +1 -0\0? a b\0"
    assert parse_status(output) == ("12ab", "main", ("a b",))


def test_the_environment_is_told(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = environment()
    assert there.python == ".".join(map(str, sys.version_info[:3]))
    assert there.executable == sys.executable
    assert there.cpus == len(os.sched_getaffinity(0))
    assert there.user
    assert ("PYTHONHASHSEED", "7") in there.variables
    assert "OMP_NUM_THREADS" not in dict(there.variables)


def test_packages_agree_with_importlib() -> None:
    found = dict(packages(tuple(sys.path)))
    names = {re.sub("[-_.]+", "-", there.name).lower() for there in importlib.metadata.distributions()}
    assert {"attrs", "cattrs", "pytest"} <= names == set(found)
    assert found == {name: importlib.metadata.version(name) for name in names}
    assert not packages(("/nowhere",))


def test_processes_are_told_apart() -> None:
    pid, boot = process_identity()
    assert pid == os.getpid()
    assert process_identity() == (pid, boot)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    _, other = process_identity(process.pid)
    assert other
    assert other != boot
    assert is_alive(started("r", pid=process.pid, boot=other))
    assert not is_alive(started("r", pid=process.pid, boot=boot))
    process.kill()
    time.sleep(0.1)
    assert not is_alive(started("r", pid=process.pid, boot=other))  # a zombie
    process.wait()
    assert not is_alive(started("r", pid=process.pid, boot=other))
    assert not is_alive(started("r", pid=process.pid, boot=""))


def test_a_run_of_another_host_is_taken_to_live_for_a_week() -> None:
    there = started("r", time=time.time(), pid=1, boot="x:1", environment=Environment(host="elsewhere"))
    assert is_alive(there)
    assert not is_alive(evolve(there, time=time.time() - 8 * 86400))
