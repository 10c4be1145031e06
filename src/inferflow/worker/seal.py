"""Seals the thread of a helper against what audit hooks do not see: C code that opens files for writing, renames,
removes, or starts other programs.

A task of which not everything is proved must not change the world before its turn. Python's own doors are watched by
an audit hook; behind them stands the kernel: a seccomp filter ends the process at such a system call. It holds for this
thread and those that it starts from now on, for ever. Linux on x86-64 and arm64 only; elsewhere :func:`seal` says no,
and such tasks stay at home.

    seal() -> True;  H5Fcreate("x.h5") in C        the helper is killed by SIGSYS, and home runs the task
"""

from __future__ import annotations

import os
import struct
import sys

from inferflow.worker.own import library

__all__ = ["seal"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | getattr(os, "O_TRUNC", 0) | getattr(os, "O_APPEND", 0)
_NEW_THREAD = 0x10000  # CLONE_THREAD

# System calls by number: those that end the process, those that open files (with the position of their flags),
# those that say that they do not exist (there is an older one which can be looked into), those that are refused.
_X86_64 = {
    "kill": (
        57, 58, 59, 62, 76, 82, 83, 84, 85, 86, 87, 88, 90, 92, 94, 132, 133, 188, 189, 235, 258, 259, 260, 261, 263,
        264, 265, 266, 268, 280, 316, 322,
    ),
    "open": ((2, 1), (257, 2)),
    "clone": 56,
    "absent": (425, 435, 437),
    "refused": (42, 49),
}  # fmt: skip
_ARM64 = {
    "kill": (5, 6, 33, 34, 35, 36, 37, 38, 45, 53, 54, 88, 129, 221, 276, 281),
    "open": ((56, 2),),
    "clone": 220,
    "absent": (425, 435, 437),
    "refused": (200, 203),
}
_TABLES = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_ARM64, 0xC00000B7)}

_LOAD, _EQUAL, _ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_ENOSYS, _EACCES = 38, 13
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2

_sealed: list[bool] = []


def seal() -> bool:
    """Seal this thread, once; whether it is."""
    if not _sealed:
        _sealed.append(_install())
    return _sealed[0]


def _install() -> bool:
    table = _TABLES.get(os.uname().machine) if hasattr(os, "uname") else None  # (platform takes long to load)
    if table is None or not sys.platform.startswith("linux") or sys.byteorder != "little":
        return False
    try:
        ctypes = library("ctypes")
        program = _program(*table)
        text = ctypes.create_string_buffer(program, len(program))
        head = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(text)))
        libc = ctypes.CDLL(None)
        prctl = libc.prctl
        prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(prctl(_PR_SET_SECCOMP, _FILTER, ctypes.addressof(head), 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def _program(table: dict, architecture: int) -> bytes:  # type: ignore[type-arg]
    """The filter, in the kernel's little language. Every test is followed by what it leads to, so that jumps are
    short: (test, true: next, false: skip)."""
    out = [
        _op(_LOAD, 4), _op(_EQUAL, architecture, 1, 0), _op(_RETURN, _KILL),
        _op(_LOAD, 0),
    ]  # fmt: skip
    for number in table["kill"]:
        out += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _KILL)]
    for number in table["absent"]:
        out += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | _ENOSYS)]
    for number in table["refused"]:
        out += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | _EACCES)]
    for number, position in table["open"]:
        out += [
            _op(_EQUAL, number, 0, 4), _op(_LOAD, 16 + 8 * position), _op(_ANY, _WRITES, 0, 1), _op(_RETURN, _KILL),
            _op(_RETURN, _ALLOW),
        ]  # fmt: skip
    out += [
        _op(_EQUAL, table["clone"], 0, 3), _op(_LOAD, 16), _op(_ANY, _NEW_THREAD, 1, 0), _op(_RETURN, _KILL),
        _op(_RETURN, _ALLOW),
    ]  # fmt: skip
    return b"".join(out)


def _op(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, true, false, value)
