"""At home: does what a task that ran ahead held back (see ``held``), when its turn has come.

["mkdir", "/p/out", 0o777, True], ["write", "/p/out/a.tmp", "w", b"1,2", "", 0o666],
["rename", "/p/out/a.tmp", "/p/out/a.csv"]
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

__all__ = ["Commit"]


class Commit:
    """At home: does what was held. If that fails, what was done is undone as far as the task itself, run again from
    its start, could tell."""

    def __init__(self, acts: list[list[Any]]) -> None:
        self.acts = acts
        self.undo: list[Callable[[], None]] = []
        self.backups: list[str] = []

    def run(self) -> str:
        """Why it could not be done; empty if it was."""
        view = _View()
        for act in self.acts:
            why = view.hindrance(act)
            if why:
                return why
        try:
            for act in self.acts:
                getattr(self, "_" + act[0])(*act[1:])
        except OSError as error:
            for back in reversed(self.undo):
                try:
                    back()
                except OSError:
                    continue
            return f"{act[1]} could not be written ({error.strerror})"
        for name in self.backups:
            os.unlink(name)
        return ""

    def written(self) -> list[str]:
        """The files that were written, by the names that they have in the end."""
        names: dict[str, None] = {}
        for act in self.acts:
            if act[0] == "write":
                names[act[1]] = None
            elif act[0] in ("rename", "remove"):
                names.pop(act[1], None)
                if act[0] == "rename":
                    names[act[2]] = None
        return list(names)

    def _mkdir(self, name: str, mode: int, may_be_there: bool) -> None:
        if may_be_there and os.path.isdir(name):
            return
        os.mkdir(name, mode)
        self.undo.append(lambda: os.rmdir(name))

    def _write(self, name: str, how: str, data: bytes, source: str, permissions: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        flags |= {"a": os.O_APPEND, "x": os.O_EXCL}.get(how, 0 if how == "r" else os.O_TRUNC)
        there = os.path.exists(name)
        before = _content(name) if there and how == "r" else b""
        descriptor = os.open(name, flags, permissions)
        size = os.fstat(descriptor).st_size
        if not there:
            self.undo.append(lambda: os.unlink(name))
        elif how == "a":
            self.undo.append(lambda: os.truncate(name, size))
        elif how == "r":
            self.undo.append(lambda: _put(name, before))
            os.ftruncate(descriptor, 0)
        try:
            if source:
                with open(source, "rb") as file:
                    while part := file.read(1 << 20):
                        _write_all(descriptor, part)
            else:
                _write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def _keep(self, name: str) -> str:
        """A second name of a file that is about to lose this one."""
        backup = os.path.join(os.path.dirname(name), f".inferflow-{os.getpid()}-{len(self.backups)}")
        os.link(name, backup)
        self.backups.append(backup)
        self.undo.append(lambda: os.replace(backup, name))
        return backup

    def _rename(self, name: str, target: str) -> None:
        if os.path.lexists(target):
            self._keep(target)
        os.rename(name, target)
        self.undo.append(lambda: os.rename(target, name))

    def _remove(self, name: str) -> None:
        self._keep(name)
        os.unlink(name)

    def _chmod(self, name: str, mode: int) -> None:
        before = stat.S_IMODE(os.stat(name).st_mode)
        os.chmod(name, mode)
        self.undo.append(lambda: os.chmod(name, before))

    def _sync(self, name: str) -> None:
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _utime(self, name: str, times: list[int] | None) -> None:
        if times is None:
            os.utime(name)
        else:
            os.utime(name, ns=(times[0], times[1]))


def _content(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def _put(name: str, data: bytes) -> None:
    with open(name, "wb") as file:
        file.write(data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _View:
    """What will be there after the acts so far."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.files: dict[str, bool] = {}

    def _there(self, name: str) -> bool:
        return self.files[name] if name in self.files else os.path.lexists(name)

    def hindrance(self, act: list[Any]) -> str:
        """Why an act cannot be done, in words."""
        kind, name = act[0], act[1]
        if kind == "mkdir":
            self.folders.add(name)
            fine = os.path.isdir(name) if act[3] else False
            return f"{name} is there by now" if self._there(name) and not fine else ""
        if kind in ("chmod", "utime", "sync"):
            return ""
        if kind == "write":
            why = self._cannot_write(name, act[2])
            self.files[name] = True
            return why
        why = "" if self._there(name) and self._may_change(name) else f"{name} is not there"
        self.files[name] = False
        if kind == "rename":
            target = act[2]
            if os.path.isdir(target) or not self._may_change(target):
                why = why or f"{target} cannot be replaced"
            self.files[target] = True
        return why

    def _may_change(self, name: str) -> bool:
        parent = os.path.dirname(name)
        return parent in self.folders or os.access(parent, os.W_OK)

    def _cannot_write(self, name: str, how: str) -> str:
        if os.path.dirname(name) in self.folders:
            return ""
        if name not in self.files and os.path.exists(name):
            fine = how != "x" and os.path.isfile(name) and os.access(name, os.W_OK)
        else:
            fine = self._may_change(name) and (name in self.files or not os.path.lexists(name))
        return "" if fine else f"{name} cannot be written"
