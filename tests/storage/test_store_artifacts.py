"""Artifacts: kept once, never read half-written, damage found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow.errors import BrokenEnvironment
from inferflow.model import Artifact
from inferflow.storage.artifacts import Artifacts
from inferflow.storage.folder import Folder
from inferflow.worker.layout import SMALL, temporary_path

SMALL_DATA = b"small"
LARGE_DATA = os.urandom(SMALL + 1)


def digest(data: bytes) -> str:
    return blake3(data).hexdigest()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(Folder.of(tmp_path))


def files(artifacts: Artifacts) -> list[Path]:
    return [path for path in (artifacts.folder.root / "artifacts").rglob("*") if path.is_file()]


@pytest.mark.parametrize("data", [b"", SMALL_DATA, b"x" * SMALL, LARGE_DATA, bytes(3_000_000)])
def test_what_is_put_is_got(artifacts: Artifacts, data: bytes) -> None:
    artifact = artifacts.put(data)
    assert artifact == Artifact(digest(data), len(data))
    assert artifacts.put(data) == artifact
    assert artifacts.get(artifact.digest) == data
    assert artifacts.has(artifact.digest)
    path = artifacts.path(artifact.digest)
    assert (path is None) == (len(data) <= SMALL)
    assert artifacts.verify(artifact) == path
    assert path is None or path.read_bytes() == data


def test_what_is_absent_is_a_key_error(artifacts: Artifacts) -> None:
    for act in (artifacts.get, artifacts.path, lambda name: artifacts.verify(Artifact(name, 1))):
        with pytest.raises(KeyError):
            act("0" * 64)
    assert not artifacts.has("0" * 64)


def test_the_same_bytes_are_kept_once(artifacts: Artifacts) -> None:
    for _ in range(3):
        artifacts.put(LARGE_DATA)
        artifacts.put(SMALL_DATA)
    assert len(files(artifacts)) == 1
    assert list(artifacts.folder.tmp.iterdir()) == []


@pytest.fixture
def part(artifacts: Artifacts) -> Path:
    """A file in a run's scratch folder that a worker begins to write."""
    path = Path(temporary_path(str(artifacts.folder.scratch("run"))))
    path.touch()
    return path


def test_a_file_that_a_worker_wrote_is_taken_over(artifacts: Artifacts, part: Path) -> None:
    for _ in range(2):
        part.write_bytes(LARGE_DATA)
        assert artifacts.take(str(part), len(LARGE_DATA)).result() == Artifact(digest(LARGE_DATA), len(LARGE_DATA))
        assert artifacts.get(digest(LARGE_DATA)) == LARGE_DATA
        assert not part.exists()
    assert len(files(artifacts)) == 1


def test_a_file_is_followed_while_it_grows(artifacts: Artifacts, part: Path) -> None:
    pieces = [os.urandom(700_000) for _ in range(5)]
    whole = b"".join(pieces)
    taking = artifacts.take(str(part), len(whole), growing=True)
    with open(part, "wb", buffering=0) as file:
        for piece in pieces:
            file.write(piece)
            time.sleep(0.01)
            assert not taking.done
    taking.complete()
    assert taking.result() == Artifact(digest(whole), len(whole))
    assert taking.done
    assert artifacts.get(digest(whole)) == whole


def test_what_its_writer_did_not_finish_is_not_kept(artifacts: Artifacts, part: Path) -> None:
    taking = artifacts.take(str(part), 1000, growing=True)
    part.write_bytes(b"x" * 999)
    taking.give_up()
    assert not part.exists()
    part.write_bytes(b"x" * 999)
    with pytest.raises(OSError, match="has 999 bytes"):
        artifacts.take(str(part), 1000).result()
    with pytest.raises(FileNotFoundError):
        artifacts.take(str(part), 1000).result()
    assert files(artifacts) == []
    assert os.listdir(part.parent) == []


@pytest.mark.parametrize("data", [SMALL_DATA, LARGE_DATA])
def test_artifacts_of_an_older_layout_are_verified_by_their_own_digest(artifacts: Artifacts, data: bytes) -> None:
    name = sha256(data).hexdigest()
    if len(data) <= SMALL:
        artifacts.folder.database().write("INSERT INTO blobs VALUES (?, ?)", (name, data))
    else:
        path = artifacts.folder.root / "artifacts" / name[:2] / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    assert artifacts.get(name) == data
    artifacts.verify(Artifact(name, len(data)))
    if len(data) > SMALL:
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(ValueError, match="does not have its digest"):
            artifacts.verify(Artifact(name, len(data)))


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"\0" + data[1:], lambda data: b""])
def test_a_damaged_file_is_told_and_mended_by_the_next_put(artifacts: Artifacts, damage) -> None:
    artifact = artifacts.put(LARGE_DATA)
    path = artifacts.path(artifact.digest)
    assert path is not None
    for act in (lambda: artifacts.get(artifact.digest), lambda: artifacts.verify(artifact)):
        path.write_bytes(damage(LARGE_DATA))
        with pytest.raises(ValueError, match="damaged"):
            act()
        assert not artifacts.has(artifact.digest)
        artifacts.put(LARGE_DATA)
        assert artifacts.get(artifact.digest) == LARGE_DATA


def test_a_damaged_row_is_told_and_mended(artifacts: Artifacts) -> None:
    artifact = artifacts.put(SMALL_DATA)
    artifacts.folder.database().write("UPDATE blobs SET data = ?", (b"other",))
    with pytest.raises(ValueError, match="damaged"):
        artifacts.get(artifact.digest)
    artifacts.put(SMALL_DATA)
    assert artifacts.get(artifact.digest) == SMALL_DATA


def test_a_file_cut_short_by_a_power_loss_is_written_again(artifacts: Artifacts) -> None:
    artifact = artifacts.put(LARGE_DATA)
    path = artifacts.path(artifact.digest)
    assert path is not None
    path.write_bytes(b"")
    artifacts.put(LARGE_DATA)
    assert artifacts.get(artifact.digest) == LARGE_DATA


@settings(max_examples=20, deadline=None)
@given(size=st.integers(0, 3 * SMALL), seed=st.binary(min_size=1, max_size=5))
def test_files_are_kept_as_they_are(tmp_path_factory, size: int, seed: bytes) -> None:
    folder = tmp_path_factory.mktemp("project")
    data = (seed * (size + 1))[:size]
    (folder / "out.bin").write_bytes(data)
    artifacts = Artifacts(Folder.of(folder))
    artifact = artifacts.put_file(folder / "out.bin")
    (folder / "out.bin").write_bytes(b"changed later")
    assert artifact == Artifact(digest(data), size)
    assert artifacts.get(artifact.digest) == data
    (folder / "again.bin").write_bytes(data)
    assert artifacts.put_file(folder / "again.bin") == artifact


def test_a_file_that_cannot_be_read_is_an_os_error(artifacts: Artifacts, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.put_file(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        artifacts.put_file(tmp_path)


def test_a_file_from_another_file_system_and_a_virtual_one(artifacts: Artifacts) -> None:
    data = Path("/proc/self/status").read_bytes()
    assert artifacts.get(artifacts.put_file(Path("/proc/version")).digest) == Path("/proc/version").read_bytes()
    assert data


FULL = """
import resource, sys
from pathlib import Path
from inferflow.storage.artifacts import Artifacts
from inferflow.storage.folder import Folder
artifacts = Artifacts(Folder.of(Path(sys.argv[1])))
artifacts.put(b"before")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for act in (lambda: artifacts.put(bytes(300_000)), lambda: [artifacts.put(b"%d" % i * 9000) for i in range(99)]):
    try:
        act()
    except Exception as error:
        print(type(error).__name__, error.exit_code, error)
print(artifacts.get(__import__("blake3").blake3(b"before").hexdigest()))
print(list(artifacts.folder.tmp.iterdir()))
"""


def test_a_full_disk_is_told_and_leaves_nothing_half_written(artifacts: Artifacts, tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("BrokenEnvironment 4 no space left for"), result.stderr
    assert lines[2].startswith("BrokenEnvironment 4 cannot write"), result.stderr
    assert "inferflow prune" in lines[1]
    assert lines[-2:] == ["b'before'", "[]"]
    assert files(artifacts) == []
    assert artifacts.get(digest(b"before")) == b"before"


def test_a_full_file_system(tmp_path: Path) -> None:
    code = FULL.replace("resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))", "")
    script = f'mount -t tmpfs -o size=256k none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}'
    try:
        result = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, code], capture_output=True, text=True, check=False
        )
    except OSError:
        pytest.skip("needs unshare")
    if "mount" in result.stderr or "unshare" in result.stderr:
        pytest.skip("needs the right to mount")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("BrokenEnvironment 4"), result.stderr
    assert lines[2].startswith("BrokenEnvironment 4"), result.stderr
    assert lines[-2:] == ["b'before'", "[]"]


def test_a_store_that_cannot_be_written_is_told() -> None:
    with pytest.raises(BrokenEnvironment):
        Artifacts(Folder.of(Path("/proc/self"))).put(LARGE_DATA)
