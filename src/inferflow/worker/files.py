"""Digests of the files that tasks read and write, and copies of those they wrote.

These digests are SHA-256, which people can compare (``sha256sum``) and which the standard library has; the store names
the copies in its own way.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import Any

from inferflow.worker.layout import SMALL, temporary_path

__all__ = ["content_fact", "file_fact", "is_device"]

_CHUNK = 1 << 20
_known: dict[tuple[str, int, int, int], str] = {}


def file_fact(path: str, keep_in: str | None) -> dict[str, Any] | None:
    """``digest`` (SHA-256), ``size`` and, if it could be copied for the store, the copy as ``kept``: bytes, or the path
    of a file in the folder ``keep_in``.

    None for what is no regular file, or is gone. Content that could not be kept (a full disk) is only digested."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe with a name may take for ever, and be noticed
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None
        identity = (path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        if keep_in is None:
            digest = _known.get(identity)
            if digest is None:
                digest = _known[identity] = _digest(descriptor)
            return {"digest": digest, "size": facts.st_size}
        digest = _digest(descriptor)
        kept = _copy(descriptor, facts.st_size, keep_in)
        found: dict[str, Any] = {"digest": digest, "size": facts.st_size}
        if kept is not None:
            found["kept"] = kept
        return found
    except OSError:
        return None
    finally:
        os.close(descriptor)


def content_fact(content: bytes, keep_in: str) -> dict[str, Any]:
    """As ``file_fact``, of something that stands in no file of the user's."""
    found: dict[str, Any] = {"digest": hashlib.sha256(content).hexdigest(), "size": len(content)}
    kept = content if len(content) <= SMALL else _written([content], keep_in)
    if kept is not None:
        found["kept"] = kept
    return found


def _digest(descriptor: int) -> str:
    hasher = hashlib.sha256()
    offset = 0
    while data := os.pread(descriptor, _CHUNK, offset):
        hasher.update(data)
        offset += len(data)
    return hasher.hexdigest()


def _copy(descriptor: int, size: int, folder: str) -> str | bytes | None:
    """A copy of a file: the bytes if they are few, else the path of a new file; ``None`` if it cannot be made."""
    if size <= SMALL:
        return os.pread(descriptor, size, 0)
    return _written((os.pread(descriptor, _CHUNK, offset) for offset in range(0, size, _CHUNK)), folder)


def _written(pieces: Iterable[bytes], folder: str) -> str | None:
    """A new file of these bytes; ``None`` if it cannot be written."""
    temporary = temporary_path(folder)
    try:
        with open(temporary, "wb") as target:
            for data in pieces:
                target.write(data)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return None
    return temporary


def is_device(name: str) -> bool:
    """Whether a path is one of the system's devices; what lies in shared memory are files like others."""
    return name.startswith("/dev/") and not name.startswith("/dev/shm/")
