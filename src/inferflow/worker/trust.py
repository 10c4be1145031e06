"""In a helper: what it takes to run a task of which not everything is proved.

Two kinds. A task that *acts* (writes files) has its acts kept back until its turn (``held``). A task with *unknown*
code may do anything: it is run only in a process where what it could do is seen, and afterwards everything that it
could have touched is compared with how it was (``standing``). For both, the kernel stands behind Python's own doors
(``seal``).

    ready(unknown)       why the task cannot be run here; empty if it can
    with watched(...):   the task
    changed()            what it did that must not be; empty if nothing
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from typing import Any

from inferflow.worker import standing
from inferflow.worker.held import Held
from inferflow.worker.layout import temporary_path
from inferflow.worker.observe import bytes_read
from inferflow.worker.seal import seal
from inferflow.worker.turn import driver_names

__all__ = ["Trust"]

SLACK = 64 * 1024
"""Bytes that may be read besides those of the files that Python opened, if it opened any but code: parts of them once
more. (Code is read once. That modules are imported must not hide what compiled code reads.)"""
OURS = 512
"""Bytes that are read only in order to know how many were."""


class _Writer:
    """A thread that was there before the seal: only it can still write files. It is none of ``threading``'s."""

    def __init__(self) -> None:
        self.work: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.wanted, self.done = _thread.allocate_lock(), _thread.allocate_lock()
        self.wanted.acquire()
        self.done.acquire()
        _thread.start_new_thread(self._serve, ())

    def _serve(self) -> None:
        while True:
            self.wanted.acquire()
            try:
                self.result, self.error = self.work(), None
            except BaseException as error:
                self.error = error
            self.done.release()

    def call(self, work: Callable[[], Any]) -> Any:
        self.work = work
        self.wanted.release()
        self.done.acquire()
        self.work = None
        if self.error is not None:
            raise self.error
        return self.result


class Trust:
    """What one helper knows for such tasks; ``refuse`` ends it in the middle of one."""

    def __init__(self, home: Any, gate: Any, state: Any, refuse: Callable[[str], None]) -> None:
        self.home = home
        self.gate = gate
        self.state = state
        self.held = Held(refuse, gate._see)
        self.writer: _Writer | None = None
        self.before: dict[str, Any] | None = None
        self.imported: list[str] = []
        """The names of all modules when it was last looked whether there are new ones."""
        self.read = 0
        self.unknown = False

    def ready(self, unknown: bool, checked: bool) -> str:
        """Prepare; why the task must not be run here, in words, empty if it may."""
        self.unknown = unknown
        if unknown:
            ours = self.home.book.descriptors if self.home.book is not None else frozenset()
            why = standing.holds_files(maps=self.writer is None, ours=ours)  # (who is sealed cannot map more)
            figures = sys.modules.get("matplotlib._pylab_helpers")
            if not why and figures is not None and figures.Gcf.figs:
                why = "figures are open, which it could draw on"
            if why:
                return why
        if unknown or checked:
            try:
                self._stand()
            except standing.CannotCompare as error:
                return str(error)
        if self.writer is None:
            self.writer = _Writer()
            if not seal():
                self.writer = None
                return "this system has no way to watch what compiled code does to files"
        return ""

    def _stand(self) -> None:
        if self.before is not None:
            return
        modules = standing.loaded(self.home.project_modules())
        main = self.home.program.module
        names = driver_names(self.home)
        digest = standing.take(modules, main.__name__, names)
        self.before = {
            "modules": modules, "names": names, "digest": digest, "hidden": standing.hidden(self.state.facts()),
            "ran": self.home.observer.ran,
        }  # fmt: skip
        self.imported = list(sys.modules)

    def __enter__(self) -> None:
        self.gate.held = self.held
        self.held.__enter__()
        self.gate.opened, self.gate.data = 0, False
        self.gate.counts = True
        self.read = bytes_read()

    def __exit__(self, *error: object) -> None:
        self.read = bytes_read() - self.read
        self.gate.counts = False
        self.held.__exit__()
        self.gate.held = None

    def changed(self) -> str:
        """What a task with unknown code did to the state of the process, or past Python, in words."""
        if self.read > self.gate.opened + (SLACK if self.gate.data else OURS):
            return "code outside Python read files"  # of which nothing is known at the task's turn
        if not self.unknown or self.before is None:
            return ""
        before = self.before
        try:
            if list(sys.modules) != self.imported:
                known = set(before["modules"])
                new = [name for name in standing.loaded(self.home.project_modules()) if name not in known]
                if new:
                    return f"it imported {new[0]}"
                self.imported = list(sys.modules)
            if standing.take(before["modules"], self.home.program.module.__name__, before["names"]) != before["digest"]:
                return "it changed what the modules hold"
        except standing.CannotCompare as reason:
            return str(reason)
        return ""

    def acts(self, small: int, scratch: str) -> list[Any]:
        """The files that it wrote, for home to write at its turn."""
        writer = self.writer
        assert writer is not None
        return self.held.take(lambda number, offset: writer.call(lambda: _copy(number, offset, scratch)), small)


def _copy(number: int, offset: int, scratch: str) -> str:
    path = temporary_path(scratch)
    with open(path, "wb") as target:
        while data := os.pread(number, 1 << 20, offset):
            target.write(data)
            offset += len(data)
    return path
