"""Forks home without leaving it a child: what the driver waits for are its own children.

Natively ``os.wait()`` raises ChildProcessError in a driver that has started nothing; a process of ours beside home must
not be what it waits for, nor be sent as SIGCHLD when it ends. So home forks a process that forks the one that is
wanted, and ends at once.
"""

from __future__ import annotations

import os
import signal

__all__ = ["fork_apart", "watches_children"]


def fork_apart() -> bool:
    """True in the new process, a copy of this one; False here. Raises OSError if there can be no more processes."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.fork() == 0:
                return True
            status = 0
        except OSError:
            pass
        os._exit(status)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:  # the driver ignores SIGCHLD: it was reaped
        return False
    if status:
        raise OSError("there can be no more processes")
    return False


def watches_children() -> bool:
    """Whether the driver would notice the end of a child that is not its own."""
    number = getattr(signal, "SIGCHLD", None)
    return number is not None and signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None)
