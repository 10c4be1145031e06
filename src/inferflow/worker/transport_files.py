"""Packs to disk: hashed while they are written, and written behind.

>>> stored = write(packed, root, scratch)          # doctest: +SKIP
>>> stored.digest, stored.size, stored.path or stored.inline

Up to ``layout.SMALL`` bytes a pack stays inline. Larger ones are written to a temporary file, while a second thread
computes the SHA-256 (both release the GIL), and renamed to where their digest belongs.
:class:`Writer` does that in one background thread, so that home can go on; whoever is about to change an
array in place asks it to ``wait`` first.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any

from inferflow.worker.layout import SMALL, artifact_path, publish, temporary_path
from inferflow.worker.transport import Packed

__all__ = ["Stored", "Ticket", "Writer", "write"]

_CHUNK = 8 << 20


class Stored:
    """A pack that is kept: ``inline`` bytes, or ``path`` of its file. ``digest`` is SHA-256 in hexadecimal."""

    __slots__ = ("digest", "inline", "path", "size")

    def __init__(self, digest: str, size: int, path: str = "", inline: bytes | None = None) -> None:
        self.digest = digest
        self.size = size
        self.path = path
        self.inline = inline


def write(packed: Packed, root: str, scratch: str, inline: bool = True) -> Stored:
    """Keep a pack under the store's folder ``root``; ``scratch`` is a folder for temporary files on the same
    file system. A small one is only given back, unless ``inline`` is false. Raises OSError; then nothing is left."""
    if inline and packed.size <= SMALL:
        data = packed.data()
        return Stored(hashlib.sha256(data).hexdigest(), packed.size, inline=data)
    temporary = temporary_path(scratch)
    try:
        digest = _write_file(packed, temporary)
        path = artifact_path(root, digest)
        if os.path.exists(path) and os.path.getsize(path) == packed.size:
            os.unlink(temporary)
        else:
            path = publish(temporary, root, digest)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
    return Stored(digest, packed.size, path)


def _write_file(packed: Packed, path: str) -> str:
    """Write the file; its digest. Large packs are hashed by a second thread meanwhile."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        if packed.size < 1 << 20:
            for piece in packed.pieces():
                digest.update(piece)
                _write_all(descriptor, memoryview(piece))
            return digest.hexdigest()
        hasher = threading.Thread(target=_hash, args=(packed, digest), name="inferflow-hash", daemon=True)
        hasher.start()
        try:
            for piece in packed.pieces():
                _write_all(descriptor, memoryview(piece))
        finally:
            hasher.join()
        return digest.hexdigest()
    finally:
        os.close(descriptor)


def _hash(packed: Packed, digest: Any) -> None:
    for piece in packed.pieces():
        digest.update(piece)


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


class Writer:
    """Writes packs in the order in which they are submitted, in one daemon thread that starts when it is needed.

    After a fork the child has a writer with nothing to do: its parent writes what was submitted before."""

    def __init__(self, root: str, scratch: str) -> None:
        self.root = root
        self.scratch = scratch
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Condition()
        self._queue: list[tuple[Packed, Ticket, Callable[[Ticket], None] | None]] = []
        self._pending: list[Ticket] = []
        self._thread: threading.Thread | None = None
        self._resting = False

    def submit(self, packed: Packed, then: Callable[[Ticket], None] | None = None) -> Ticket:
        """Write ``packed`` behind (a small one at once, in this thread). ``then`` is called with the ticket when it is
        done, in the thread that wrote it. The memory of its arrays is let go as soon as it is written."""
        if self._pid != os.getpid():
            self._fresh()
        ticket = Ticket(tuple(_addresses(buffer) for buffer in packed.buffers))
        if packed.size <= SMALL:
            self._write(packed, ticket, then)
            return ticket
        with self._lock:
            self._queue.append((packed, ticket, then))
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
                packed, ticket, then = self._queue.pop(0)
            self._write(packed, ticket, then)
            del packed
            with lock:
                self._pending.remove(ticket)
            del ticket, then

    def _write(self, packed: Packed, ticket: Ticket, then: Callable[[Ticket], None] | None) -> None:
        try:
            ticket.finish(write(packed, self.root, self.scratch), None)
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
        import ctypes

        low = ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if not buffer.readonly else 0
    return low, low + buffer.nbytes
