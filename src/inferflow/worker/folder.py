"""Which files child processes read and wrote: the folders before and after, and what the kernel tells meanwhile.

Audit hooks do not see into children. So the first time that a task starts one, its folders (the working folder, the
project's) are looked at, and again when the task ends: what is new, or has another size, time or inode, was written
meanwhile. Looking is bounded (``ENTRIES``, ``SECONDS``); folders that nobody keeps results in are left out
(``SKIPPED``), and folders that were not reached the first time are not compared.

On Linux the same folders are watched in between (inotify): which files were opened, which closed after writing. That
neither stops nor slows a child, works in containers and for programs of any kind, and needs no permission; ptrace
sees every path, but makes ``sudo`` and debuggers in a child fail, so it has to be asked for (see ``tracing``). It does
not tell who opened a file: what another process opens in these folders at the same time counts too.

    before = look(["/p"], ignored)     {"/p": {"a.csv": (7, ...)}}
    watch = Watch(before)
    sh -c 'sort a.csv > b.csv'
    changed(before, ignored)           ["/p/b.csv"]
    watch.end()                        (["/p/a.csv"], ["/p/b.csv"])
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from typing import Any

from inferflow.worker.channel import high_descriptor
from inferflow.worker.own import library

__all__ = ["Watch", "changed", "look", "named_files"]

ENTRIES = 20_000
SECONDS = 0.15
SKIPPED = frozenset(
    [".git", ".hg", ".svn", ".inferflow", "__pycache__", "node_modules", ".venv", "venv", ".tox", ".mypy_cache"]
)

Seen = dict[str, dict[str, tuple[int, int, int]]]
"""For each folder its regular files by name: size, time of change, inode; and its folders, by name and ``/``."""


def look(roots: Iterable[str], ignored: tuple[str, ...]) -> Seen:
    """What is under ``roots``, nearer folders first, as far as the bounds allow."""
    found: Seen = {}
    until = time.perf_counter() + SECONDS
    count = 0
    waiting = list(roots)
    for folder in waiting:  # it grows meanwhile
        if folder in found:
            continue
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
                new = look([path[:-1]], ignored)
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


_EVENT = struct.Struct("iIII")
_OPENED, _CLOSED_WRITTEN, _MOVED_HERE, _MADE = 0x20, 0x08, 0x80, 0x100
_OF_A_FOLDER, _LOST = 0x40000000, 0x4000
_ONLY_FOLDERS, _NOT_LINKS = 0x01000000, 0x02000000


class Watch:
    """Folders under watch from now on; watches nothing where that cannot be had."""

    def __init__(self, folders: Iterable[str]) -> None:
        self.folders: dict[int, str] = {}
        self.number = -1
        try:
            ctypes = library("ctypes")
            libc = ctypes.CDLL(None, use_errno=True)
            number = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (ImportError, OSError, AttributeError):
            return
        if number < 0:
            return
        self.number = high_descriptor(number)
        wanted = _OPENED | _CLOSED_WRITTEN | _MOVED_HERE | _MADE | _ONLY_FOLDERS | _NOT_LINKS
        for folder in folders:
            handle = libc.inotify_add_watch(self.number, os.fsencode(folder), ctypes.c_uint32(wanted))
            if handle >= 0:
                self.folders[handle] = folder

    def end(self) -> tuple[list[str], list[str]]:
        """The files that were read, and those that were written, as far as they are still there; the watch is over."""
        if self.number < 0:
            return [], []
        opened: dict[str, None] = {}
        written: dict[str, None] = {}
        try:
            while data := os.read(self.number, 1 << 16):
                self._sort(data, opened, written)
        except OSError:  # nothing more has happened
            pass
        os.close(self.number)
        self.number = -1
        out = [name for name in written if os.path.isfile(name)]
        return [name for name in opened if name not in written and os.path.isfile(name)], out

    def _sort(self, data: bytes, opened: dict[str, None], written: dict[str, None]) -> None:
        position = 0
        while position < len(data):
            handle, mask, _, size = _EVENT.unpack_from(data, position)
            name = data[position + _EVENT.size : position + _EVENT.size + size].rstrip(b"\0")
            position += _EVENT.size + size
            folder = self.folders.get(handle)
            if folder is None or not name or mask & (_OF_A_FOLDER | _LOST):
                continue
            path = os.path.join(folder, os.fsdecode(name))
            (opened if mask & _OPENED else written)[path] = None


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
