"""Which memory of a privately mapped file is still the file's: the kernel knows, page by page.

A task's large inputs are private maps of files, of which nobody else writes the files. A page that was only read is
the file's own page in every map; one that was written is a copy. ``/proc/self/pagemap`` tells them apart, so that
whether 400 MB have been changed is known without looking at a single one of them:

    twins = Twins(used, fresh)                  two maps of one file
    twins.touched(low, high, start)             [(low + 8192, low + 12288)]: all else is surely equal

Linux only, and where the kernel tells it; that it does is tried out once in each process, on a map of two pages.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any

__all__ = ["Twins"]

WORTH = 1 << 20
"""Bytes. Less is compared as quickly."""
_PAGE = mmap.PAGESIZE
_UNTOUCHED = (0, 5)
"""The upper three bits of an entry (in memory; swapped out; the file's): not there, or there and the file's."""
_told: list[bool] = []


class Twins:
    """``used`` and ``fresh``: private maps of one file, of which the second has not been written."""

    def __init__(self, used: memoryview, fresh: memoryview) -> None:
        self.low, self.size = _address(used), used.nbytes
        self.other = _address(fresh)

    def touched(self, low: int, high: int, start: int) -> list[tuple[int, int]] | None:
        """Where the memory from ``low`` to ``high`` may differ from that of the same size at ``start``, as addresses in
        the first; None if nothing is known of them."""
        inside = self.low <= low and high <= self.low + self.size and start - low == self.other - self.low
        if not inside or high - low < WORTH or not _is_told():
            return None
        first, last = low // _PAGE, -(-high // _PAGE)
        try:
            upper = _upper(first, last)
        except OSError:
            return None
        numpy: Any = sys.modules["numpy"]
        pages = numpy.flatnonzero((upper != _UNTOUCHED[0]) & (upper != _UNTOUCHED[1]))
        if not pages.size:
            return []
        gaps = numpy.flatnonzero(numpy.diff(pages) > 1)
        begins = pages[numpy.concatenate(([0], gaps + 1))]
        ends = pages[numpy.concatenate((gaps, [pages.size - 1]))] + 1
        return [
            (max(low, (first + int(begin)) * _PAGE), min(high, (first + int(end)) * _PAGE))
            for begin, end in zip(begins, ends)
        ]


def _address(memory: Any) -> int:
    numpy: Any = sys.modules["numpy"]
    return int(numpy.frombuffer(memory, "u1").__array_interface__["data"][0])


def _upper(first: int, last: int) -> Any:
    """The upper three bits of the entries of these pages."""
    numpy: Any = sys.modules["numpy"]
    descriptor = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data, size = [], 8 * (last - first)
        while size:
            part = os.pread(descriptor, size, 8 * last - size)
            if not part:
                raise OSError("pagemap ends")
            data.append(part)
            size -= len(part)
    finally:
        os.close(descriptor)
    return numpy.frombuffer(b"".join(data), "=u8") >> numpy.uint64(61)


def _is_told() -> bool:
    if not _told:
        try:
            _told.append(sys.platform.startswith("linux") and _try_out())
        except (OSError, ValueError):
            _told.append(False)
    return _told[0]


def _try_out() -> bool:
    """Whether a page that was written is told from one that was read."""
    descriptor = os.memfd_create("inferflow")
    try:
        os.ftruncate(descriptor, 3 * _PAGE)
        private = mmap.mmap(descriptor, 3 * _PAGE, access=mmap.ACCESS_COPY)
        private[0], private[_PAGE] = private[2 * _PAGE], 1  # (pages 0 and 1 are written, page 2 is read)
        first = _address(private) // _PAGE
        return bool(_upper(first, first + 3).tolist() == [4, 4, 5])
    finally:
        os.close(descriptor)
