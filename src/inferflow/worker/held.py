"""Files that a task writes before its turn: kept back in memory, and written by home when the turn has come.

So a task that computes for a minute and then saves can run ahead, can be thrown away, and if it fails, home runs it
from the start: nothing has happened yet. Held are files opened by ``open`` for writing or appending as a whole, and
new folders. Whatever else would change the world, or look at what is held, ends the helper (``refuse``).

    helper: open("out/a.csv", "w").write(...)     a file in memory, under that name
    home, at the task's turn:                     makes the folder, opens out/a.csv for writing, copies
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import pathlib
import stat
import weakref
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Act", "Held"]

LARGEST = 256 << 20
"""Bytes. More than this is not held in memory."""

Act = list[Any]
"""``["mkdir", path, mode, whether it may be there]`` or ``["write", path, "w" or "a", data, file]``: the data is in the
message, or in a file."""


class _Kept:
    """One file: its descriptor in memory, how it was opened first, how much of it was there before."""

    def __init__(self, descriptor: int, mode: str, before: int) -> None:
        self.descriptor = descriptor
        self.mode = mode
        self.before = before
        self.files: list[Any] = []

    def is_open(self) -> bool:
        return any((file := ref()) is not None and not file.closed for ref in self.files)


class Held:
    """What the running task holds back. ``refuse(why)`` must not return; ``see(path)`` notes a file that was read."""

    def __init__(self, refuse: Callable[[str], None], see: Callable[[Any], None]) -> None:
        self.refuse = refuse
        self.see = see
        self.order: list[tuple[str, str, Any]] = []
        self.files: dict[str, _Kept] = {}
        self.folders: dict[str, int] = {}
        self.real_open = io.open
        self.real_stat, self.real_lstat, self.real_mkdir, self.real_access = os.stat, os.lstat, os.mkdir, os.access
        self.real_makedirs, self.real_path_mkdir = os.makedirs, pathlib.Path.mkdir
        self.opening = False
        self.may_be_there = False

    def __enter__(self) -> Held:
        held = self

        def path_mkdir(path: Any, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            with held._lenient(exist_ok):
                held.real_path_mkdir(path, mode, parents, exist_ok)

        builtins.open = io.open = self.open
        os.mkdir, os.makedirs = self.mkdir, self.makedirs
        pathlib.Path.mkdir = path_mkdir  # type: ignore[method-assign, assignment]
        os.stat, os.lstat, os.access = self.stat, self.lstat, self.access
        return self

    def __exit__(self, *_: object) -> None:
        builtins.open = io.open = self.real_open
        os.mkdir, os.makedirs = self.real_mkdir, self.real_makedirs
        pathlib.Path.mkdir = self.real_path_mkdir  # type: ignore[method-assign]
        os.stat, os.lstat, os.access = self.real_stat, self.real_lstat, self.real_access

    # -- looking -----------------------------------------------------------------------------------

    def _name(self, path: Any) -> str:
        try:
            return os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError):
            return ""

    def looks(self, path: Any) -> None:
        """The task looks at a path: not at one that would be there by now."""
        if not self.order or isinstance(path, int):
            return
        name = self._name(path)
        inside = os.path.join(name, "")
        if name in self.files or name in self.folders or any(kept.startswith(inside) for _, kept, _ in self.order):
            self.refuse(f"it looks at {name}, which it has written")

    def stat(self, path: Any, *args: Any, **named: Any) -> Any:
        self.looks(path)
        return self.real_stat(path, *args, **named)

    def lstat(self, path: Any, *args: Any, **named: Any) -> Any:
        self.looks(path)
        return self.real_lstat(path, *args, **named)

    def access(self, path: Any, *args: Any, **named: Any) -> bool:
        self.looks(path)
        return self.real_access(path, *args, **named)

    # -- acting ------------------------------------------------------------------------------------

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        name = self._name(path)
        if dir_fd is not None or not name:
            self.refuse("it makes a folder")
        if name in self.folders or name in self.files or self._there(name):
            if name in self.folders and self.may_be_there:
                return
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if not self._has_parent(name):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.folders[name] = mode
        self.order.append(("mkdir", name, [mode, self.may_be_there]))

    def makedirs(self, name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        with self._lenient(exist_ok):
            self.real_makedirs(name, mode, exist_ok)

    @contextlib.contextmanager
    def _lenient(self, exist_ok: bool) -> Iterator[None]:
        """A folder that is made within may be there by the task's turn: it would make no difference."""
        before, self.may_be_there = self.may_be_there, exist_ok
        try:
            yield
        finally:
            self.may_be_there = before

    def _there(self, name: str) -> bool:
        try:
            self.real_lstat(name)
        except OSError:
            return False
        return True

    def _has_parent(self, name: str) -> bool:
        parent = os.path.dirname(name)
        if parent in self.folders:
            return True
        try:
            return stat.S_ISDIR(self.real_stat(parent).st_mode) and self.real_access(parent, os.W_OK)
        except OSError:
            return False

    def open(
        self, file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
        newline: Any = None, closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        """As the builtin; what would be written stays in memory."""
        if (
            isinstance(file, int) or not isinstance(mode, str) or opener is not None or not set(mode) & set("wxa")
            or not isinstance(file, (str, bytes, os.PathLike))
        ):  # fmt: skip
            return self.real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        name = self._name(file)
        if not name or name.startswith(("/dev/", "/proc/", "/sys/")) or ("a" in mode and "+" in mode):
            return self.real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        kept = self._kept(name, mode)

        def give(path: Any, flags: int) -> int:
            return os.dup(kept.descriptor)

        self.opening = True
        try:
            opened = self.real_open(file, mode.replace("x", "w"), buffering, encoding, errors, newline, closefd, give)
        finally:
            self.opening = False
        kept.files.append(weakref.ref(opened))
        return opened

    def _kept(self, name: str, mode: str) -> _Kept:
        how = "a" if "a" in mode else "w"
        kept = self.files.get(name)
        if kept is not None:
            if kept.is_open() or "x" in mode:
                self.refuse(f"it opens {name} twice")
            if how == "w":
                os.ftruncate(kept.descriptor, 0)
                kept.mode, kept.before = "w", 0
            os.lseek(kept.descriptor, 0, os.SEEK_SET)
            return kept
        before = b""
        try:
            facts = self.real_stat(name)
            if not stat.S_ISREG(facts.st_mode) or "x" in mode or not self.real_access(name, os.W_OK):
                self.refuse(f"it opens {name!r} for writing")
            if how == "a" and facts.st_size:
                if facts.st_size > LARGEST:
                    self.refuse(f"it appends to {name!r}")
                self.see(name)
                with self.real_open(name, "rb") as old:
                    before = old.read()
        except OSError:
            if self._there(name) or not self._has_parent(name):
                self.refuse(f"it opens {name!r} for writing")
        kept = _Kept(os.memfd_create("inferflow"), how, len(before))
        if before:
            os.write(kept.descriptor, before)
            os.lseek(kept.descriptor, 0, os.SEEK_SET)
        self.files[name] = kept
        self.order.append(("write", name, kept))
        return kept

    # -- handing over ------------------------------------------------------------------------------

    def take(self, keep: Callable[[int, int], str], small: int) -> list[Act]:
        """What was held, in order. ``keep(descriptor, offset)`` writes a large file away and gives its path."""
        acts: list[Act] = []
        for what, name, kept in self.order:
            if what == "mkdir":
                acts.append(["mkdir", name, *kept])
                continue
            if kept.is_open():
                self.refuse(f"it leaves {name} open")
            size = os.fstat(kept.descriptor).st_size
            offset = kept.before if kept.mode == "a" else 0
            if size - offset > LARGEST:
                self.refuse(f"it writes more to {name} than is held back")
            if size - offset <= small:
                acts.append(["write", name, kept.mode, os.pread(kept.descriptor, size - offset, offset), ""])
            else:
                acts.append(["write", name, kept.mode, b"", keep(kept.descriptor, offset)])
        self.clear()
        return acts

    def clear(self) -> None:
        for kept in self.files.values():
            os.close(kept.descriptor)
        self.order, self.files, self.folders = [], {}, {}
