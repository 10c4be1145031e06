"""Digests of the files that tasks read and write, and copies of those they wrote."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

from inferflow.worker.layout import artifact_path, publish, temporary_path

__all__ = ["content_fact", "file_fact"]

_CHUNK = 1 << 20
_known: dict[tuple[str, int, int, int], str] = {}


def file_fact(path: str, keep_in: str | None) -> dict[str, Any] | None:
    """``digest`` (SHA-256), ``size`` and, if its content was put among the artifacts under ``keep_in``, ``kept``.

    None for what is no regular file, or is gone. Content that could not be kept (a full disk) is only digested."""
    try:
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
        return {"digest": digest, "size": facts.st_size, "kept": _keep(descriptor, keep_in, digest)}
    except OSError:
        return None
    finally:
        os.close(descriptor)


def content_fact(content: bytes, keep_in: str) -> dict[str, Any]:
    """As ``file_fact``, of something that stands in no file of the user's."""
    digest = hashlib.sha256(content).hexdigest()
    kept = os.path.exists(artifact_path(keep_in, digest))
    if not kept:
        temporary = temporary_path(os.path.join(keep_in, "tmp"))
        try:
            with open(temporary, "wb") as target:
                target.write(content)
            publish(temporary, keep_in, digest)
            kept = True
        except OSError:
            pass
    return {"digest": digest, "size": len(content), "kept": kept}


def _digest(descriptor: int) -> str:
    hasher = hashlib.sha256()
    offset = 0
    while data := os.pread(descriptor, _CHUNK, offset):
        hasher.update(data)
        offset += len(data)
    return hasher.hexdigest()


def _keep(descriptor: int, root: str, digest: str) -> bool:
    if os.path.exists(artifact_path(root, digest)):
        return True
    temporary = temporary_path(os.path.join(root, "tmp"))
    try:
        with open(temporary, "wb") as target:
            offset = 0
            while data := os.pread(descriptor, _CHUNK, offset):
                target.write(data)
                offset += len(data)
        publish(temporary, root, digest)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return False
    return True
