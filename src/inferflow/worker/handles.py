"""What a forked copy of home does with the files, pipes and sockets that the driver has open: it lets go of them.

A copy has the same *open files*, not only files of the same names. What natively ends when the driver closes them would
go on as long as the copy lives: a lock (``flock``, which HDF5 takes of each file), the other end of a pipe that is
never read to its end, a port that is still taken. And who reads from one moves the place where home goes on reading.

    handles = held()                  at home, before the fork: [4, 7]
    let_go(handles)                   in the copy; home waits for it: its next statement may count on it

A file is opened once more under its number, for reading only. In the place of a pipe or socket comes a socket that
leads nowhere: whoever uses it has an error, and the number stays taken, so that nothing else is mistaken for it.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable

__all__ = ["OURS", "held", "let_go"]

OURS = 500
"""Descriptors from this number on are ours (see ``channel.high_descriptor``)."""
_HERE = "/proc/self/fd"
_ENDS = ("/dev/pts/", "/dev/ptmx", "/dev/tty")


def held(ours: frozenset[int] = frozenset()) -> list[int]:
    """The numbers of what the program holds open, but for ``ours`` and the standard streams; what only this process can
    have any use of (an event queue, memory without a name) is left out. Empty where that cannot be listed."""
    found = []
    try:
        for text in os.listdir(_HERE):
            number = int(text)
            if 2 < number < OURS and number not in ours and _can_matter(number):
                found.append(number)
    except OSError:
        pass
    return found


def _can_matter(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
        name = os.readlink(f"{_HERE}/{number}")
    except OSError:  # the listing itself
        return False
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return not name.startswith("/memfd:")
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and name.startswith(_ENDS))


def let_go(handles: Iterable[int]) -> None:
    """Replace them, in a process that was forked."""
    for number in handles:
        try:
            new = _opened_again(number)
            if new < 0:
                new = socket.socket(socket.AF_UNIX).detach()
            os.dup2(new, number, inheritable=False)
            os.close(new)
        except OSError:  # there can be no more descriptors
            os.close(number)


def _opened_again(number: int) -> int:
    """The file of this number, opened independently and at the same place; -1 if it is none, or may not be read."""
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return -1
    try:
        new = os.open(f"{_HERE}/{number}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return -1
    if stat.S_ISREG(mode):
        os.lseek(new, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
    return new
