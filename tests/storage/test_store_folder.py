"""The folder .inferflow: made when needed, and what is told when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest
from storage_samples import new_run, open_runs

from inferflow.errors import BrokenEnvironment
from inferflow.storage.folder import Folder


def test_reading_makes_nothing(tmp_path: Path) -> None:
    runs = open_runs(tmp_path)
    assert runs.list() == []
    assert not runs.artifacts.has("0" * 64)
    assert os.listdir(tmp_path) == []


def test_the_first_write_makes_it_and_git_ignores_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    new_run(open_runs(tmp_path))
    assert (tmp_path / ".inferflow" / "version").read_text() == "2\n"
    status = subprocess.check_output(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, text=True)
    assert status == ""


def test_scratch_is_private_to_a_run(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    assert folder.scratch("a") != folder.scratch("b")
    assert folder.scratch("a").is_dir()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / ".inferflow").write_text("")
    for act in (lambda runs: new_run(runs), lambda runs: runs.list()):
        with pytest.raises(BrokenEnvironment, match="is not a folder") as caught:
            act(open_runs(tmp_path))
        assert caught.value.exit_code == 4
        assert "move it away" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_told() -> None:
    with pytest.raises(BrokenEnvironment, match=r"cannot use .*\.inferflow") as caught:
        new_run(open_runs(Path("/proc/self")))  # refused even to root
    assert "writable" in caught.value.hint


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    new_run(open_runs(tmp_path))
    (tmp_path / ".inferflow" / "version").write_text("3\n")
    for act in (lambda runs: new_run(runs), lambda runs: runs.list()):
        with pytest.raises(BrokenEnvironment, match="newer inferflow") as caught:
            act(open_runs(tmp_path))
        assert "upgrade" in caught.value.hint


def test_a_folder_of_an_older_layout_is_read_as_it_is_and_changed_by_the_first_write(tmp_path: Path) -> None:
    name = new_run(open_runs(tmp_path))
    version = tmp_path / ".inferflow" / "version"
    version.write_text("1\n")
    assert [run.id for run in open_runs(tmp_path).list()] == [name]
    assert version.read_text() == "1\n"
    new_run(open_runs(tmp_path))
    assert version.read_text() == "2\n"


def test_newer_tables_are_refused(tmp_path: Path) -> None:
    runs = open_runs(tmp_path)
    new_run(runs)
    runs.folder.close()
    connection = sqlite3.connect(tmp_path / ".inferflow" / "inferflow.db")
    connection.execute("PRAGMA user_version=2")
    connection.close()
    for act in (lambda runs: new_run(runs), lambda runs: runs.list()):
        with pytest.raises(BrokenEnvironment, match="newer inferflow"):
            act(open_runs(tmp_path))


def test_a_damaged_version_is_told(tmp_path: Path) -> None:
    new_run(open_runs(tmp_path))
    (tmp_path / ".inferflow" / "version").write_text("\0\0")
    with pytest.raises(BrokenEnvironment, match="damaged"):
        open_runs(tmp_path).list()


@pytest.mark.parametrize("where", ["head", "middle"])
def test_a_damaged_database_is_told(tmp_path: Path, where: str) -> None:
    runs = open_runs(tmp_path)
    for _ in range(200):
        new_run(runs)
    runs.folder.close()
    path = tmp_path / ".inferflow" / "inferflow.db"
    with open(path, "r+b") as file:
        file.seek(0 if where == "head" else 4096)
        file.write(b"\xaa" * (path.stat().st_size - file.tell()))
    for act in (lambda runs: new_run(runs), lambda runs: runs.list()):
        with pytest.raises(BrokenEnvironment, match=r"inferflow\.db is damaged") as caught:
            act(open_runs(tmp_path))
        assert "mv" in caught.value.hint


def test_an_empty_database_is_a_new_one(tmp_path: Path) -> None:
    Folder.of(tmp_path).ensure()
    (tmp_path / ".inferflow" / "inferflow.db").touch()
    assert open_runs(tmp_path).list() == []
    new_run(open_runs(tmp_path))


def read_only(code: str, project: Path) -> subprocess.CompletedProcess[str]:
    """Run code where ``project`` is mounted read-only (root is not stopped by permissions)."""
    script = f"mount --bind {project} {project} && mount -o remount,bind,ro {project} && exec python -c '{code}'"
    path = f"{Path(os.sys.executable).parent}:{os.environ['PATH']}"  # type: ignore[attr-defined]
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env={**os.environ, "PATH": path},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )


def can_mount(tmp_path: Path) -> bool:
    try:
        return read_only("print(1)", tmp_path).returncode == 0
    except OSError:
        return False


def test_a_read_only_folder_can_be_read_and_writing_is_told(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount")
    runs = open_runs(tmp_path)
    run = new_run(runs)
    runs.folder.close()
    code = f"""
from pathlib import Path
from storage_samples import *
runs = open_runs(Path("{tmp_path}"))
print([run.id for run in runs.list()])
try:
    new_run(runs)
except Exception as error:
    print(type(error).__name__, error)
"""
    result = read_only(code, tmp_path)
    assert result.stdout.splitlines()[0] == f"[{run!r}]".replace('"', "'"), result.stderr
    assert "BrokenEnvironment cannot" in result.stdout
    assert "writable" in result.stdout


def test_a_read_only_project_without_a_folder_is_told(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount")
    code = f"""
from pathlib import Path
from storage_samples import *
try:
    new_run(open_runs(Path("{tmp_path}")))
except Exception as error:
    print(type(error).__name__, error)
"""
    result = read_only(code, tmp_path)
    assert "BrokenEnvironment cannot use" in result.stdout, result.stderr
    assert "Read-only" in result.stdout


def test_a_forked_child_gets_a_connection_of_its_own(tmp_path: Path) -> None:
    runs = open_runs(tmp_path)
    first = new_run(runs)
    child = os.fork()
    if child == 0:
        try:
            new_run(runs)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    new_run(runs)
    assert len(runs.list()) == 3
    assert runs.list()[-1].id == first
