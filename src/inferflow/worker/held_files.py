"""What the file system would look like by now to a task whose acts are held back (see ``held``).

An overlay over the real one: files that the task writes lie in memory (``Kept``), files that it renamed lie where they
were (``Moved``), what it removed is ``GONE``. Nothing here has any effect.

    tree.entries = {"/p/out.csv": Kept(descriptor 9, first name "/p/out.csv.tmp"), "/p/old.csv": GONE}
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

__all__ = ["GONE", "Kept", "Moved", "Tree", "facts_of", "is_same"]


class Kept:
    """One file in memory: its descriptor, how it was opened first, how much of it was there before, the name it was
    opened under (others may follow: it was renamed), and whether nothing of that name may be there."""

    def __init__(self, descriptor: int, mode: str, before: int, name: str, permissions: int) -> None:
        self.descriptor = descriptor
        self.mode = mode
        self.before = before
        self.name = name
        self.permissions = permissions
        self.created = False
        self.exclusive = False
        self.real: Any = None
        """The facts of the file that is there already, if one is."""
        self.times: Any = None
        """Those that it was given, in nanoseconds."""
        self.files: list[Any] = []
        self.numbers: list[int] = []

    def is_open(self) -> bool:
        if any((file := ref()) is not None and not file.closed for ref in self.files):
            return True
        mine = os.fstat(self.descriptor)
        return any(is_same(number, mine) for number in self.numbers)

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size


class Moved:
    """A file that is there, under another name: where its content is."""

    def __init__(self, source: str, facts: os.stat_result) -> None:
        self.source = source
        self.facts = facts


GONE = object()
"""What stands for a file that is there, and would not be by now."""


def is_same(number: int, other: os.stat_result) -> bool:
    """Whether a descriptor is open on that file."""
    try:
        facts = os.fstat(number)
    except OSError:
        return False
    return (facts.st_dev, facts.st_ino) == (other.st_dev, other.st_ino)


class Tree:
    """``entries``: files by absolute name. ``folders``: those that the task has made, with their permissions."""

    def __init__(self, real_lstat: Callable[..., os.stat_result]) -> None:
        self.entries: dict[str, Any] = {}
        self.folders: dict[str, int] = {}
        self.real_lstat = real_lstat

    def touches(self, name: str) -> bool:
        """Whether something held stands at, or below, this name."""
        if name in self.entries or name in self.folders:
            return True
        inside = os.path.join(name, "")
        return any(other.startswith(inside) for other in (*self.entries, *self.folders))

    def there(self, name: str) -> bool:
        """Whether there would be something of that name by now."""
        entry = self.entries.get(name)
        if entry is not None or name in self.folders:
            return entry is not GONE
        try:
            self.real_lstat(name)
        except OSError:
            return False
        return True

    def inside(self, folder: str) -> tuple[list[str], list[str]]:
        """What is held below a folder: files, and folders with the deepest first."""
        start = os.path.join(folder, "")
        files = [name for name, entry in self.entries.items() if name.startswith(start) and entry is not GONE]
        return files, sorted((name for name in self.folders if name.startswith(start)), key=len, reverse=True)


def facts_of(entry: Any) -> os.stat_result:
    """What ``os.stat`` would tell of a held file."""
    if isinstance(entry, Moved):
        return entry.facts
    now = os.fstat(entry.descriptor)
    real = entry.real or now
    mode = real.st_mode if entry.real is not None else stat.S_IFREG | entry.permissions
    read, written = entry.times or (now.st_atime_ns, now.st_mtime_ns)
    floats = (read / 1e9, written / 1e9, now.st_ctime)
    parts = (mode, real.st_ino, real.st_dev, 1, real.st_uid, real.st_gid, now.st_size, *map(int, floats))
    more = {
        "st_atime": floats[0], "st_mtime": floats[1], "st_ctime": floats[2], "st_atime_ns": read,
        "st_mtime_ns": written, "st_ctime_ns": now.st_ctime_ns, "st_blksize": 4096,
        "st_blocks": -(-now.st_size // 512), "st_rdev": 0,
    }  # fmt: skip
    return os.stat_result(parts, more)
