"""At home: does what a task that ran ahead held back (see ``held``), when its turn has come.

["mkdir", "/p/out", 0o777, True], ["write", "/p/out/a.csv", "w", b"1,2", ""]
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Commit"]


class Commit:
    """At home: does what was held. If that fails, what was done is undone as far as the task itself, run again from
    its start, could tell."""

    def __init__(self, acts: list[list[Any]]) -> None:
        self.acts = acts
        self.undo: list[Callable[[], None]] = []

    def run(self) -> str:
        """Why it could not be done; empty if it was."""
        made = {act[1] for act in self.acts if act[0] == "mkdir"}
        for act in self.acts:
            why = _hindrance(act, made)
            if why:
                return why
        try:
            for act in self.acts:
                self._do(act)
        except OSError as error:
            for back in reversed(self.undo):
                try:
                    back()
                except OSError:
                    continue
            return f"{act[1]} could not be written ({error.strerror})"
        return ""

    def _do(self, act: list[Any]) -> None:
        name = act[1]
        if act[0] == "mkdir":
            if act[3] and os.path.isdir(name):
                return
            os.mkdir(name, act[2])
            self.undo.append(lambda: os.rmdir(name))
            return
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        flags |= os.O_APPEND if act[2] == "a" else os.O_TRUNC
        there = os.path.exists(name)
        descriptor = os.open(name, flags, 0o666)
        size = os.fstat(descriptor).st_size
        if not there:
            self.undo.append(lambda: os.unlink(name))
        elif act[2] == "a":
            self.undo.append(lambda: os.truncate(name, size))
        try:
            if act[4]:
                with open(act[4], "rb") as source:
                    while data := source.read(1 << 20):
                        _write(descriptor, data)
            else:
                _write(descriptor, act[3])
        finally:
            os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _hindrance(act: list[Any], made: set[str]) -> str:
    name = act[1]
    if os.path.dirname(name) in made:
        return ""
    if act[0] == "mkdir":
        fine = os.path.isdir(name) if act[3] else False
        return f"{name} is there by now" if os.path.lexists(name) and not fine else ""
    if os.path.exists(name):
        fine = os.path.isfile(name) and os.access(name, os.W_OK)
    else:
        fine = os.access(os.path.dirname(name), os.W_OK) and not os.path.lexists(name)
    return "" if fine else f"{name} cannot be written"
