"""Artifacts: immutable bytes by digest, small ones in SQLite, others in a file each.

    artifact = artifacts.put(b"...")            # Artifact(digest, size)
    artifacts.get(artifact.digest)              # the bytes, verified

The name is the BLAKE3 digest of the content (``model.content``); those of stores of layout 1 are SHA-256, and are
verified as such. The bytes ``ab12...`` stand in ``artifacts/ab/ab12...``; up to ``worker.layout.SMALL`` bytes, in the
database.

Nothing half-written is ever read: a file gets its name when it is complete, its size is checked when
it is opened and its digest when its bytes are taken. Files are not forced to disk one by one (400 MB would cost half
a second): what a loss of power damages is found by these checks, and made again.
"""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from inferflow.model import Artifact
from inferflow.model.content import content_digest, content_hasher
from inferflow.storage.folder import Folder, told
from inferflow.storage.taking import FileTaking
from inferflow.worker.layout import SMALL, temporary_path

__all__ = ["Artifacts"]

_CHUNK = 1 << 20


class Artifacts:
    """The artifacts of one folder (protocols.ArtifactStore). All methods raise BrokenEnvironment if the store fails."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def put(self, data: bytes) -> Artifact:
        """Keep bytes; the same bytes are kept once."""
        artifact = Artifact(content_digest(data), len(data))
        if len(data) <= SMALL:
            self.folder.database().write("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (artifact.digest, data))
        elif not self._whole(artifact):
            with told(self.folder.root):
                temporary = self._temporary()
                try:
                    with open(temporary, "wb") as file:
                        file.write(data)
                    _publish(temporary, str(self.folder.root), artifact.digest)
                except BaseException:
                    _remove(temporary)
                    raise
        return artifact

    def put_file(self, path: Path) -> Artifact:
        """Keep a copy of a file as it is now: shared blocks where the file system can (reflink), else copied by the
        kernel; read once to hash the copy, so that digest and content agree even if the file is being written.
        Raises OSError if the file cannot be read."""
        if os.stat(path).st_size <= SMALL:
            data = path.read_bytes()
            if len(data) <= SMALL:
                return self.put(data)
        with open(path, "rb") as source, told(self.folder.root):
            temporary = self._temporary()
            try:
                with open(temporary, "w+b") as target:
                    _copy(source.fileno(), target.fileno())
                    artifact = _hash(target.fileno())
                self._keep(temporary, artifact)
            except BaseException:
                _remove(temporary)
                raise
        return artifact

    def take(self, path: str, size: int, growing: bool = False) -> FileTaking:
        """Take over a file that a worker has written, or (``growing``) is writing, on this file system. The file is
        gone from ``path`` afterwards."""
        return FileTaking(path, size, growing, self._keep)

    def _keep(self, path: str, artifact: Artifact) -> None:
        """Give a complete file its name, unless its content has one already. Raises OSError."""
        if self._whole(artifact):
            os.unlink(path)
        else:
            _publish(path, str(self.folder.root), artifact.digest)

    def get(self, digest: str) -> bytes:
        """The bytes, verified. Raises KeyError if absent, ValueError if damaged; what is damaged is put aside, so that
        the next ``put`` of the same bytes mends the store."""
        path = self._file(digest)
        try:
            with told(self.folder.root, unless=FileNotFoundError):
                data = path.read_bytes()
        except FileNotFoundError:
            reader = self.folder.reader()
            row = reader.row("SELECT data FROM blobs WHERE digest = ?", (digest,)) if reader else None
            if row is None:
                raise KeyError(digest) from None
            data = row[0]
        if content_digest(data) != digest and sha256(data).hexdigest() != digest:
            self._put_aside(digest)
            raise ValueError(f"artifact {digest[:12]} is damaged: its content does not have its digest")
        return data

    def verify(self, artifact: Artifact) -> Path | None:
        """The file that holds a large artifact after its size and digest were checked; ``None`` if it is kept in the
        database (use ``get``). Raises KeyError if absent, ValueError if damaged."""
        path = self.path(artifact.digest)
        if path is None:
            return None
        with open(path, "rb") as file:
            found = _hash(file.fileno())
            same = found == artifact or (found.size == artifact.size and _hash(file.fileno(), sha256()) == artifact)
        if not same:
            self._put_aside(artifact.digest)
            what = "is cut short" if found.size < artifact.size else "does not have its digest"
            raise ValueError(f"artifact {artifact.digest[:12]} is damaged: its content {what}")
        return path

    def path(self, digest: str) -> Path | None:
        """A file that holds exactly these bytes, or ``None`` if they are kept in the database. Raises KeyError."""
        path = self._file(digest)
        if path.is_file():
            return path
        if not self.has(digest):
            raise KeyError(digest)
        return None

    def has(self, digest: str) -> bool:
        if self._file(digest).is_file():
            return True
        reader = self.folder.reader()
        return reader is not None and reader.row("SELECT 1 FROM blobs WHERE digest = ?", (digest,)) is not None

    def _file(self, digest: str) -> Path:
        return Path(_place(str(self.folder.root), digest))

    def _whole(self, artifact: Artifact) -> bool:
        try:
            return self._file(artifact.digest).stat().st_size == artifact.size
        except OSError:
            return False

    def _temporary(self) -> str:
        self.folder.ensure()
        self.folder.tmp.mkdir(exist_ok=True)
        return temporary_path(str(self.folder.tmp))

    def _put_aside(self, digest: str) -> None:
        try:
            path = self._file(digest)
            if path.exists():
                os.replace(path, self._temporary())
            else:
                self.folder.database().write("DELETE FROM blobs WHERE digest = ?", (digest,))
        except Exception:  # it is damaged, and that is told; a folder that cannot be written stays as it is
            pass


def _hash(descriptor: int, hasher: Any = None) -> Artifact:
    """Digest and size of a whole open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    hasher = content_hasher() if hasher is None else hasher
    size = 0
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            hasher.update(view[:count])
            size += count
    return Artifact(hasher.hexdigest(), size)


def _place(root: str, digest: str) -> str:
    return os.path.join(root, "artifacts", digest[:2], digest)


def _publish(temporary: str, root: str, digest: str) -> None:
    """Rename a complete file into its place, atomically. The same content twice is harmless."""
    path = _place(root, digest)
    try:
        os.replace(temporary, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temporary, path)


_FICLONE = 0x40049409
"""``linux/fs.h``: let one file share the blocks of another."""


def _copy(source: int, target: int) -> None:
    """Copy a whole file by the cheapest means there is."""
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
        return
    except (ImportError, OSError):
        pass
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, 1 << 30):
                pass
            return
        except OSError:
            os.lseek(source, 0, os.SEEK_SET)
            os.lseek(target, 0, os.SEEK_SET)
            os.ftruncate(target, 0)
    with open(source, "rb", closefd=False) as read, open(target, "wb", closefd=False) as write:
        shutil.copyfileobj(read, write, _CHUNK)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
