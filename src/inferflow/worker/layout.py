"""Where workers write what the store is to keep.

A worker writes a file under a name that nobody else uses, in the run's scratch folder, and tells the controller of it,
which names it by its content (``storage.artifacts``):

    name = temporary_path(scratch)
    ...write name...
    send({"kind": "stored", "file": name, "size": ...})
"""

from __future__ import annotations

import itertools
import os

__all__ = ["SMALL", "temporary_path"]

SMALL = 32 * 1024
"""Bytes. Up to here a value travels in a message and is kept in SQLite, which is faster than a file of its own."""

_numbers = itertools.count(1)


def temporary_path(folder: str) -> str:
    """A name in ``folder`` (which must be on the file system of the store) that nobody else uses. The process id leads
    it, so that ``prune`` can tell whether its writer still lives."""
    return os.path.join(folder, f"{os.getpid()}.{next(_numbers)}.{os.urandom(6).hex()}.part")
