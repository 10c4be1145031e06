"""Whose output was whose.

Of each stream home tells, task by task, the bytes that Python code wrote (although they may still be in a buffer) and
the sizes of the writes that reached the descriptor. What arrives on the descriptor is cut at marks that home writes
when a task ends. The difference is what C code and child processes wrote.

>>> log = StreamLog()
>>> log.arrived(b"child\\n")
>>> log.cut()
>>> log.task_output(b"python\\n", [])      # still in Python's buffer
b'python\\nchild\\n'
"""

from __future__ import annotations

from collections import deque

__all__ = ["StreamLog"]

LIMIT = 8 << 20
"""Bytes, as in ``worker.streams``."""


class StreamLog:
    """One stream of one run."""

    def __init__(self) -> None:
        self._segment = bytearray()
        self._cuts: deque[bytes] = deque()
        self._unflushed = bytearray()
        self._pieces: deque[bytes] = deque()
        self._lost = False

    def arrived(self, data: bytes) -> None:
        """Bytes that reached the descriptor."""
        if len(self._segment) < 2 * LIMIT:
            self._segment += data

    def cut(self) -> None:
        """Home's mark: what arrived until now belongs to tasks that have ended."""
        self._cuts.append(bytes(self._segment))
        self._segment.clear()

    def noted(self, data: bytes, sizes: list[int], left_out: int = 0) -> None:
        """What Python wrote outside tasks. If it was too much to be noted (``left_out`` characters were not), what is
        still under way cannot be told apart any more."""
        if left_out:
            self._unflushed.clear()
            self._pieces.clear()
            self._lost = True
            return
        self._unflushed += data
        for size in sizes:
            self._pieces.append(bytes(self._unflushed[:size]))
            del self._unflushed[:size]

    def task_output(self, data: bytes, sizes: list[int], left_out: int = 0) -> bytes:
        """The whole output of a task that has ended, given what Python wrote meanwhile. In the order of arrival where
        Python's part has arrived too, else Python's part first."""
        before = len(self._unflushed)
        early = len(self._pieces)
        self.noted(data, sizes, left_out)
        segment = self._cuts.popleft() if self._cuts else b""
        if left_out:
            return data + f"\n... {left_out:,} more characters are not kept\n".encode()
        if self._lost or not segment:
            return data
        foreign = self._foreign(segment)
        if not foreign:
            return data
        if not before and not early and not self._unflushed:
            return segment
        return data + foreign

    def rest(self) -> bytes:
        """What C code and child processes wrote since the last mark."""
        segment = b"".join(self._cuts) + bytes(self._segment)
        self._cuts.clear()
        self._segment.clear()
        if self._lost:
            return b""
        if self._unflushed:  # the interpreter flushed it at its end
            self._pieces.append(bytes(self._unflushed))
            self._unflushed.clear()
        return self._foreign(segment)

    def _foreign(self, segment: bytes) -> bytes:
        """The segment without Python's writes, which stand in it in order."""
        out = []
        position = 0
        while self._pieces:
            piece = self._pieces[0]
            found = segment.find(piece, position)
            if found < 0:
                break
            self._pieces.popleft()
            out.append(segment[position:found])
            position = found + len(piece)
        out.append(segment[position:])
        return b"".join(out)
