"""Threads of C libraries in this process: which of them a fork does not survive.

A fork copies one thread. OpenBLAS ends its own threads before a fork and makes new ones when it is used again; a pool
of OpenMP (GNU's or LLVM's) that has been used is waited for in the copy, for ever. They look alike from outside, and
come and go, so that their number says nothing.

What tells them apart is the function that a thread began with. The GNU C library keeps it beside the thread's number in
the thread's descriptor, which ends the mapping of its stack, just above a page that must not be touched. The first
address of code behind the number is that function's. (Elsewhere nothing is found, and a thread that was not there when
the driver's imports were done speaks against a fork.)
"""

from __future__ import annotations

import os
import re
import sys
from bisect import bisect_right

__all__ = ["Pools", "beginnings"]

_DESCRIPTOR = 4096
"""Bytes at the end of a stack in which the descriptor is (2.3 KiB on x86-64, with room before it)."""
_OPENMP = re.compile(r"gomp|iomp|libomp|kmp|vcomp")
_BLAS = re.compile(r"openblas|libblis")


class Pools:
    """The threads that imports have made are known not to be in use."""

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()
        self._fine: frozenset[int] = frozenset()

    def begin(self) -> None:
        """The threads of now are those that imports have made."""
        self._known = _numbers()

    def hindrance(self, own: int) -> str:
        """Why a fork of this process might hang later, in words; empty if nothing speaks against it. ``own``: how many
        threads Python's modules know of, this one included."""
        numbers = _numbers()
        if len(numbers) <= own or numbers == self._fine:
            return ""
        rest = numbers - _of_python()
        libraries = beginnings(rest)
        for number in sorted(rest):
            library = libraries.get(number, "")
            if _OPENMP.search(library):
                return "a library has used a pool of OpenMP threads, which a fork would not copy"
            if number not in self._known and not _BLAS.search(library):
                name = f" ({library})" if library else ""
                return f"a library{name} has started threads, which a fork would not copy"
        self._fine = numbers
        return ""


def beginnings(numbers: frozenset[int]) -> dict[int, str]:
    """Of those threads of this process for which it can be told: the file name of the library that has the function
    which the thread began with."""
    try:
        stacks, codes = _mappings()
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return {}
    starts = [begin for begin, _, _ in codes]
    found: dict[int, str] = {}
    try:
        for begin, end in stacks:
            size = min(_DESCRIPTOR, end - begin)
            words = memoryview(os.pread(memory, size, end - size)).cast("Q")
            for position, word in enumerate(words):
                if word in numbers and word not in found:
                    name = _first_code(words[position + 1 :], starts, codes)
                    if name:
                        found[word] = name
    except OSError:
        pass
    finally:
        os.close(memory)
    return found


def _first_code(words: memoryview[int], starts: list[int], codes: list[tuple[int, int, str]]) -> str:
    for word in words:
        at = bisect_right(starts, word) - 1
        if at >= 0 and word < codes[at][1]:
            return codes[at][2]
    return ""


def _mappings() -> tuple[list[tuple[int, int]], list[tuple[int, int, str]]]:
    """Where stacks of threads are, and where code of which library is."""
    stacks, codes = [], []
    guard = -1
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            where, access, *_, name = line.split(None, 5) if line.count("/") else (*line.split(None, 2)[:2], "")
            begin, end = (int(part, 16) for part in where.split("-"))
            if access == "rw-p" and begin == guard and not name:
                stacks.append((begin, end))
            elif "x" in access and name:
                codes.append((begin, end, os.path.basename(name.strip())))
            guard = end if access == "---p" else -1
    return stacks, codes


def _numbers() -> frozenset[int]:
    try:
        return frozenset(map(int, os.listdir("/proc/self/task")))
    except OSError:
        return frozenset()


def _of_python() -> frozenset[int]:
    threading = sys.modules.get("threading")
    if threading is None:
        return frozenset({os.getpid()})
    return frozenset({os.getpid(), *(thread.native_id for thread in threading.enumerate() if thread.native_id)})
