"""Which files a child process wrote: the folder before and after.

Audit hooks do not see into children. So the first time that a task starts one, the working folder is looked at, and
again when the task ends: what is new, or has another size, time or inode, was written meanwhile. Looking is bounded
(``ENTRIES``, ``SECONDS``); folders that nobody keeps results in are left out (``SKIPPED``), and folders that were not
reached the first time are not compared.

    before = look("/p", ignored)     {"/p": {"a.csv": (7, ...)}}
    sh -c 'sort a.csv > b.csv'
    changed(before, ignored)         ["/p/b.csv"]
"""

from __future__ import annotations

import os
import time
from typing import Any

__all__ = ["changed", "look", "named_files"]

ENTRIES = 20_000
SECONDS = 0.15
SKIPPED = frozenset(
    [".git", ".hg", ".svn", ".inferflow", "__pycache__", "node_modules", ".venv", "venv", ".tox", ".mypy_cache"]
)

Seen = dict[str, dict[str, tuple[int, int, int]]]
"""For each folder its regular files by name: size, time of change, inode; and its folders, by name and ``/``."""


def look(root: str, ignored: tuple[str, ...]) -> Seen:
    """What is under ``root``, nearer folders first, as far as the bounds allow."""
    found: Seen = {}
    until = time.perf_counter() + SECONDS
    count = 0
    waiting = [root]
    for folder in waiting:  # it grows meanwhile
        if count > ENTRIES or time.perf_counter() > until:
            break
        entries = found[folder] = _entries(folder, ignored)
        count += len(entries)
        waiting += [os.path.join(folder, name[:-1]) for name in entries if name.endswith("/")]
    return found


def changed(before: Seen, ignored: tuple[str, ...]) -> list[str]:
    """The files that are new or changed since, in the folders of ``before`` and in folders made in them."""
    out: list[str] = []
    for folder, known in before.items():
        for name, facts in _entries(folder, ignored).items():
            if known.get(name) == facts:
                continue
            path = os.path.join(folder, name)
            if not name.endswith("/"):
                out.append(path)
            elif path[:-1] not in before:
                new = look(path[:-1], ignored)
                out += [os.path.join(inner, file) for inner in new for file in new[inner] if not file.endswith("/")]
    return sorted(out)


def _entries(folder: str, ignored: tuple[str, ...]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED and not (entry.path + os.sep).startswith(ignored):
                        found[entry.name + "/"] = (0, 0, 0)
                elif entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    found[entry.name] = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    except OSError:
        pass
    return found


def named_files(arguments: Any, folder: str) -> list[str]:
    """The files that a command line names: what it probably reads."""
    if isinstance(arguments, (str, bytes)):
        parts = os.fsdecode(arguments).split()
    else:
        try:
            parts = [os.fsdecode(part) for part in arguments]
        except TypeError:
            return []
    out = []
    for part in parts[:200]:
        for word in dict.fromkeys((part, part.partition("=")[2])):
            if word and len(word) < 500 and "\0" not in word:
                path = os.path.normpath(os.path.join(folder, word))
                if os.path.isfile(path):
                    out.append(path)
    return out
