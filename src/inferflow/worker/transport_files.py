"""Packs to disk: written behind, and handed to the controller, which names them by their content.

>>> stored = write(packed, scratch)          # doctest: +SKIP
>>> stored.size, stored.path or stored.inline

Up to ``layout.SMALL`` bytes a pack stays inline. Larger ones are written to a file of their own in the run's scratch
folder. :class:`Writer` does that in one background thread, so that home can go on; whoever is about to change an
array in place asks it to ``wait`` first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from inferflow.worker.layout import SMALL, temporary_path
from inferflow.worker.own import library
from inferflow.worker.transport import Packed

__all__ = ["Stored", "Ticket", "Writer", "write"]

_CHUNK = 8 << 20


class Stored:
    """A pack that was written: ``inline`` bytes, or ``path`` of its file."""

    __slots__ = ("inline", "path", "size")

    def __init__(self, size: int, path: str = "", inline: bytes | None = None) -> None:
        self.size = size
        self.path = path
        self.inline = inline


def write(packed: Packed, scratch: str, inline: bool = True, begun: Callable[[str], None] | None = None) -> Stored:
    """Write a pack to a file in the folder ``scratch``; ``begun`` is told its path before. A small one is only given
    back, unless ``inline`` is false. Raises OSError; then nothing is left."""
    if inline and packed.size <= SMALL:
        return Stored(packed.size, inline=packed.data())
    path = temporary_path(scratch)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            if begun is not None:
                begun(path)
            for piece in packed.pieces():
                _write_all(descriptor, memoryview(piece))
        finally:
            os.close(descriptor)
    except BaseException:
        try:
            os.unlink(path)
        except OSError:
            pass
        raise
    return Stored(packed.size, path)


def _write_all(descriptor: int, data: memoryview) -> None:
    at = 0
    while at < data.nbytes:
        at += os.write(descriptor, data[at : at + _CHUNK])


class Ticket:
    """One pack that is being written. ``stored`` or ``error`` is set when it is done."""

    __slots__ = ("_done", "error", "ranges", "stored")

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self._done = threading.Event()
        self.ranges = ranges
        self.stored: Stored | None = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def result(self, timeout: float | None = None) -> Stored:
        """Wait for it, at most ``timeout`` seconds (TimeoutError). Raises what writing raised."""
        if not self._done.wait(timeout):
            raise TimeoutError("the value is still being written")
        if self.error is not None:
            raise self.error
        assert self.stored is not None
        return self.stored

    def finish(self, stored: Stored | None, error: BaseException | None) -> None:
        self.stored, self.error = stored, error
        self._done.set()


_Begun = Callable[[str], None]
_Then = Callable[[Ticket], None]


class Writer:
    """Writes packs in the order in which they are submitted, in one daemon thread that starts when it is needed.

    After a fork the child has a writer with nothing to do: its parent writes what was submitted before."""

    def __init__(self, scratch: str) -> None:
        self.scratch = scratch
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Condition()
        self._queue: list[tuple[Packed, Ticket, _Begun | None, _Then | None]] = []
        self._pending: list[Ticket] = []
        self._thread: threading.Thread | None = None
        self._resting = False

    def submit(self, packed: Packed, begun: _Begun | None = None, then: _Then | None = None) -> Ticket:
        """Write ``packed`` behind (a small one at once, in this thread). ``begun`` is called with the path of its file
        when that is there, ``then`` with the ticket when it is done, both in the thread that writes. The memory of its
        arrays is let go as soon as it is written."""
        if self._pid != os.getpid():
            self._fresh()
        ticket = Ticket(tuple(_addresses(buffer) for buffer in packed.buffers))
        if packed.size <= SMALL:
            self._write(packed, ticket, begun, then)
            return ticket
        with self._lock:
            self._queue.append((packed, ticket, begun, then))
            self._pending.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="inferflow-writer", daemon=True)
                self._thread.start()
            self._lock.notify()
        return ticket

    def wait(self, ranges: list[tuple[int, int]] | None = None) -> None:
        """Wait until nothing that is still to be written overlaps these ranges of addresses (``None``: until all is
        written). Errors stay in their tickets."""
        if self._pid != os.getpid():
            self._fresh()
        with self._lock:
            pending = list(self._pending)
        for ticket in pending:
            if ranges is None or any(a < d and c < b for a, b in ticket.ranges for c, d in ranges):
                ticket._done.wait()

    def rest(self) -> None:
        """Wait until all is written and the thread has ended: a process should not fork while it runs."""
        self.wait()
        with self._lock:
            thread, self._resting = self._thread, True
            self._lock.notify()
        if thread is not None:
            thread.join()
        self._resting = False

    @property
    def pending(self) -> int:
        """How many packs are still to be written."""
        return len(self._pending) if self._pid == os.getpid() else 0

    def _run(self) -> None:
        lock = self._lock
        while True:
            with lock:
                while not self._queue:
                    if self._resting or (not lock.wait(5.0) and not self._queue):
                        self._thread = None  # an idle thread would only be in the way of a fork
                        return
                packed, ticket, begun, then = self._queue.pop(0)
            self._write(packed, ticket, begun, then)
            del packed
            with lock:
                self._pending.remove(ticket)
            del ticket, begun, then

    def _write(self, packed: Packed, ticket: Ticket, begun: _Begun | None, then: _Then | None) -> None:
        try:
            ticket.finish(write(packed, self.scratch, begun=begun), None)
        except BaseException as error:
            ticket.finish(None, error)
        if then is not None:
            then(ticket)


def _addresses(buffer: memoryview) -> tuple[int, int]:
    """The range of addresses of a buffer's memory."""
    import sys

    numpy = sys.modules.get("numpy")
    if numpy is not None:
        low = numpy.frombuffer(buffer, "u1").__array_interface__["data"][0]
    else:
        ctypes = library("ctypes")
        low = ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if not buffer.readonly else 0
    return low, low + buffer.nbytes
