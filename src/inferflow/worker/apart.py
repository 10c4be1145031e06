"""Forks home without leaving it a child: what the driver waits for are its own children.

Natively ``os.wait()`` raises ChildProcessError in a driver that has started nothing; a process of ours beside home must
not be what it waits for, nor be sent as SIGCHLD when it ends. So home makes a process that forks the one that is
wanted, and ends at once.

That one in between is itself a fork of home, which copies home's page tables once more and takes them apart again: with
the scientific stack loaded, two thirds of all that a fork costs. Where it can be, it is made in home's own memory
instead, as ``vfork`` does (home sleeps until it has ended):

    home      clone(CLONE_VM | CLONE_VFORK ...) .... goes on
    between       on a stack of its own: fork(), ends
    new               stays on that stack, in a copy of home's memory
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from inferflow.worker.own import library

__all__ = ["fork_apart", "watches_children"]

_LIKE_A_THREAD = 0x100 | 0x200 | 0x400 | 0x4000
"""CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_VFORK: what handlers of a fork do there (close a descriptor) is done here."""
_STACK = 8 << 20, 256 << 20
"""Bytes. The least and the most that the stack of the new process may grow to, between them as the system says."""


def fork_apart(run: Callable[[], NoReturn]) -> None:
    """Call ``run`` in a new process, a copy of this one. Raises OSError if there can be no more processes."""
    if _can_share():
        _clone(run)
    else:
        _fork_twice(run)


def _fork_twice(run: Callable[[], NoReturn]) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.fork() == 0:
                run()
            status = 0
        except OSError:
            pass
        os._exit(status)
    if not _reaped(pid):
        raise OSError("there can be no more processes")


def _reaped(pid: int) -> bool:
    """Wait for the process in between; whether it did what it was made for."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:  # the driver ignores SIGCHLD: it was reaped
        return True
    return status == 0


def _can_share() -> bool:
    """Whether the process in between can run in this one's memory. ``ctypes`` is not loaded for it: a process without
    it is small, and its forks are cheap. From 3.14 on Python minds on which stack it runs."""
    if "ctypes" not in sys.modules or sys.version_info >= (3, 14) or not sys.platform.startswith("linux"):
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):
        return False


def _clone(run: Callable[[], NoReturn]) -> None:
    ctypes, mmap, resource = library("ctypes"), library("mmap"), library("resource")
    limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    size = min(max(limit, _STACK[0]), _STACK[1]) if limit > 0 else _STACK[0]
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_STACK", 0) | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        stack = mmap.mmap(-1, size, flags=flags)
    except OSError:  # so much address space is not granted
        _fork_twice(run)
        return
    low = ctypes.addressof(ctypes.c_char.from_buffer(stack))
    libc = ctypes.PyDLL(None, use_errno=True)  # it keeps the interpreter's lock
    libc.mprotect(ctypes.c_void_p(low), ctypes.c_size_t(mmap.PAGESIZE), 0)  # what runs over it is noticed
    failed: list[BaseException] = []  # (it is in the memory that both have)

    def between(_: Any) -> int:
        try:
            pid = os.fork()
        except BaseException as error:
            failed.append(error)
            return 1
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            try:
                run()
            finally:
                os._exit(0)
        return 0

    entry = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(between)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # none may find the one in between
    try:
        pid = libc.clone(entry, ctypes.c_void_p(low + size), _LIKE_A_THREAD | signal.SIGCHLD, ctypes.c_void_p(None))
        problem = ctypes.get_errno()
        done = pid > 0 and _reaped(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if pid < 0:
        raise OSError(problem, os.strerror(problem))
    if failed or not done:
        raise OSError(f"there can be no more processes ({failed[0] if failed else 'it was killed'})")


def watches_children() -> bool:
    """Whether the driver would notice the end of a child that is not its own."""
    number = getattr(signal, "SIGCHLD", None)
    return number is not None and signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None)
