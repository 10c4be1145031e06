"""Where artifacts stand in the store's folder: the rule that the store and the workers share.

*root* is the folder ``.inferflow``. The bytes with SHA-256 ``ab12...`` stand in
``root/artifacts/ab/ab12...``; up to :data:`SMALL` bytes, the store may keep them in its database instead.
A file is written under another name and renamed when it is complete, so that a name means whole content:

    name = temporary_path(scratch)
    ...write name, hashing on the way...
    publish(name, root, digest)
"""

from __future__ import annotations

import itertools
import os

__all__ = ["SMALL", "artifact_path", "publish", "temporary_path"]

SMALL = 32 * 1024
"""Bytes. Up to here a value travels in a message and is kept in SQLite, which is faster than a file of its own."""

_numbers = itertools.count(1)


def artifact_path(root: str, digest: str) -> str:
    """The file of the artifact with this SHA-256 (hexadecimal)."""
    return os.path.join(root, "artifacts", digest[:2], digest)


def temporary_path(folder: str) -> str:
    """A name in ``folder`` (which must be on the file system of the store) that nobody else uses. The process id leads
    it, so that ``prune`` can tell whether its writer still lives."""
    return os.path.join(folder, f"{os.getpid()}.{next(_numbers)}.{os.urandom(6).hex()}.part")


def publish(temporary: str, root: str, digest: str) -> str:
    """Rename a complete file into its place, atomically; its path there. The same content twice is harmless.

    Artifacts are not forced to disk (400 MB would cost half a second): after a loss of power one may be missing, short
    or damaged. The store finds that by size and digest, says so and lets the value be made again."""
    path = artifact_path(root, digest)
    try:
        os.replace(temporary, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temporary, path)
    return path
