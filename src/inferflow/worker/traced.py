"""Starts a program whose files, and whose children's, are seen: ``python -I -S traced.py LOG dd PROGRAM ARGV0 ...``

This process becomes the program: same process id, parent, descriptors, environment, and what is left of its arguments.
Before, it makes a *tracer*, a process that is nobody's child and holds none of the descriptors, which is stopped
for at each call of the system that opens or moves a file (ptrace, with a seccomp filter, so that all other calls run
at full speed), and writes the names to LOG: one letter (``r``, ``w``), the name, a zero byte. It ends with the last of
the program's descendants. Where that is not allowed here, LOG gets ``!`` and why, and the program runs all the same.

The two letters are for SIGPIPE and SIGXFSZ: ``d`` for the default, ``i`` for ignored. (Python ignores both.)

Nothing of inferflow is imported here, and little else: this is run before every command.
"""

from __future__ import annotations

import os
import struct
import sys

TYPE_CHECKING = False  # typing takes long to load
if TYPE_CHECKING:
    from typing import Any

# Calls of the system that are looked at, by number: how (the position of the folder's descriptor or -1, of the name,
# of the flags or -1 for "it writes", -2 for a structure with them), as in ``seal``.
_X86_64 = {
    2: (-1, 0, 1), 85: (-1, 0, -1), 257: (0, 1, 2), 437: (0, 1, -2), 82: (-1, 1, -1), 264: (2, 3, -1), 316: (2, 3, -1),
    76: (-1, 0, -1), 86: (-1, 1, -1), 265: (2, 3, -1),
}  # fmt: skip
_ARM64 = {56: (0, 1, 2), 437: (0, 1, -2), 38: (2, 3, -1), 276: (2, 3, -1), 45: (-1, 0, -1), 37: (2, 3, -1)}
CALLS = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_ARM64, 0xC00000B7)}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | getattr(os, "O_TRUNC", 0)

_CONTINUE, _SEIZE, _LISTEN, _INFORMATION = 7, 0x4206, 0x4208, 0x420E
_FORK, _VFORK, _CLONE, _EXEC, _SECCOMP = 2, 4, 8, 0x10, 0x80  # options
_EXECUTED, _CALLED, _STOPPED = 4, 7, 128  # events
_HERE = 0xFFFFFF9C  # AT_FDCWD
_SYSTEM = (b"/usr/", b"/lib", b"/bin/", b"/sbin/", b"/etc/", b"/proc/", b"/sys/", b"/dev/", b"/run/")
"""What is no data of anybody's."""


def main() -> None:
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")[:-1]
    log, signals, program, *arguments = words[words.index(os.fsencode(__file__)) + 1 :]
    with open("/proc/self/environ", "rb") as file:
        environment = file.read().split(b"\0")[:-1]  # as it was given: Python may have changed its own
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError) as error:
        os.write(descriptor, b"!%s\0" % str(error).encode())
        libc = None
    if libc is not None:
        try:
            _be_traced(libc, descriptor)
        except OSError as error:
            os.write(descriptor, b"!%s\0" % str(error).encode())
    import _signal  # type: ignore[import-not-found]

    for letter, number in zip(signals.decode(), (_signal.SIGPIPE, _signal.SIGXFSZ)):
        if letter == "d":
            _signal.signal(number, _signal.SIG_DFL)
    if libc is None:
        os.execve(program, arguments, dict(item.split(b"=", 1) for item in environment if b"=" in item))
    given = [(ctypes.c_char_p * (len(texts) + 1))(*texts, None) for texts in (arguments, environment)]
    libc.execve(program, *given)
    os._exit(127 if ctypes.get_errno() == 2 else 126)


def _be_traced(libc: Any, log: int) -> None:
    """Raises OSError where that cannot be had; then nothing has happened."""
    import ctypes

    calls, architecture = CALLS.get(os.uname().machine, ({}, 0))
    if not calls or sys.byteorder != "little":
        raise OSError(f"not on {os.uname().machine}")
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.prctl(0x59616D61, 2**64 - 1, 0, 0, 0)  # PR_SET_PTRACER: anybody, for a moment, where Yama is
    me = os.getpid()
    ours, theirs = os.pipe()
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            try:
                _trace(libc, me, log, theirs, calls)
            finally:
                os._exit(0)
        os._exit(0)
    os.close(theirs)
    os.waitpid(between, 0)
    told = os.read(ours, 100)
    os.close(ours)
    libc.prctl(0x59616D61, 0, 0, 0, 0)
    if told != b"ready":
        raise OSError(told.decode() or "the tracer ended")
    _filter(libc, calls, architecture)


def _filter(libc: Any, calls: dict[int, Any], architecture: int) -> None:
    import ctypes

    def op(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("<HBBI", code, true, false, value)

    out = [op(0x20, 4), op(0x15, architecture, 1, 0), op(0x06, 0x7FFF0000), op(0x20, 0)]
    for number in calls:
        out += [op(0x15, number, 0, 1), op(0x06, 0x7FF00000)]  # SECCOMP_RET_TRACE
    out.append(op(0x06, 0x7FFF0000))
    text = ctypes.create_string_buffer(b"".join(out), 8 * len(out))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(out), ctypes.addressof(text)))
    for privileged in (True, False):
        if not privileged:
            libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS: who is not root must give up setuid programs for it
        if libc.prctl(22, 2, ctypes.addressof(head), 0, 0) == 0:
            return
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def _trace(libc: Any, first: int, log: int, ready: int, calls: dict[int, Any]) -> None:
    """The tracer, until there is nobody left to trace. It must not end earlier: calls that have nobody to be looked at
    by fail."""
    import _signal
    import ctypes

    os.setsid()
    os.chdir("/")
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    keep = sorted((log, ready))
    os.closerange(3, keep[0])
    os.closerange(keep[0] + 1, keep[1])
    os.closerange(keep[1] + 1, max(os.sysconf("SC_OPEN_MAX"), 1024) if sys.version_info < (3, 13) else 2**31 - 1)
    ptrace = libc.ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    if ptrace(_SEIZE, first, None, _FORK | _VFORK | _CLONE | _EXEC | _SECCOMP) != 0:
        os.write(ready, os.strerror(ctypes.get_errno()).encode())
        return
    os.write(ready, b"ready")
    os.close(ready)
    look, told = _Look(libc, ptrace, log, calls), False
    while True:
        try:
            who, status = os.waitpid(-1, 0x40000000)  # __WALL
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            continue
        signal, event = os.WSTOPSIG(status), status >> 16
        try:
            if event == _CALLED:
                look.called(who)
            elif event == _EXECUTED:
                look.executed(who)
        except PermissionError as error:
            if not told:
                told = True
                os.write(log, b"!%s\0" % (error.strerror or "").encode())
        except Exception:  # it has gone meanwhile, or the name cannot be read
            pass
        if event == _STOPPED and signal != _signal.SIGTRAP:
            ptrace(_LISTEN, who, None, None)  # stopped by job control
        else:
            ptrace(_CONTINUE, who, None, None if event else signal)


class _Look:
    """What the stopped processes are about to do, written down once each."""

    def __init__(self, libc: Any, ptrace: Any, log: int, calls: dict[int, Any]) -> None:
        import ctypes

        self.ptrace, self.log, self.calls = ptrace, log, calls
        self.seen: set[bytes] = set()
        self.facts = ctypes.create_string_buffer(96)
        self.page = ctypes.create_string_buffer(4096)
        self.parts = struct.Struct("PNPN")
        self.spans = ctypes.create_string_buffer(self.parts.size)
        self.read = libc.process_vm_readv
        self.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p] + [ctypes.c_ulong] * 2
        self.read.restype = ctypes.c_ssize_t
        self.address, self.there = ctypes.addressof(self.page), ctypes.addressof(self.spans)
        self.root = os.stat("/proc/self/root")
        self.direct = True

    def called(self, who: int) -> None:
        if self.ptrace(_INFORMATION, who, 96, self.facts) < 0:
            return
        number, *given = struct.unpack_from("7Q", self.facts.raw, 24)
        folder, name, flags = self.calls[number]
        path = self._text(who, given[name])
        if not path or path.startswith(_SYSTEM):
            return
        if flags == -1:
            writes = True
        else:
            chosen = given[flags] if flags >= 0 else struct.unpack("Q", self._bytes(who, given[2], 8))[0]
            writes = bool(chosen & _WRITES)
        if not path.startswith(b"/"):
            base = given[folder] & 0xFFFFFFFF if folder >= 0 else _HERE
            where = f"/proc/{who}/cwd" if base == _HERE else f"/proc/{who}/fd/{base}"
            path = os.path.join(os.readlink(where.encode()), path)
        self.note(who, b"w" if writes else b"r", path)

    def executed(self, who: int) -> None:
        self.note(who, b"r", os.readlink(f"/proc/{who}/exe".encode()))

    def note(self, who: int, how: bytes, path: bytes) -> None:
        if path.startswith(_SYSTEM) or how + path in self.seen:
            return
        if not os.path.samestat(os.stat(f"/proc/{who}/root"), self.root):
            return  # a container: its names are others
        self.seen.add(how + path)
        os.write(self.log, how + path + b"\0")

    def _bytes(self, who: int, address: int, count: int) -> bytes:
        self.parts.pack_into(self.spans, 0, self.address, count, address, count)
        got = self.read(who, self.there, 1, self.there + self.parts.size // 2, 1, 0) if self.direct else -1
        if got >= 0:
            return self.page.raw[:got]
        self.direct = False  # engines of containers may forbid that call
        memory = os.open(f"/proc/{who}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, count, address)
        finally:
            os.close(memory)

    def _text(self, who: int, address: int) -> bytes:
        out = b""
        while len(out) < 4096:
            part = self._bytes(who, address, 4096 - address % 4096)  # the next page may not be there
            text, end, _ = part.partition(b"\0")
            out += text
            if end or not part:
                break
            address += len(part)
        return out


if __name__ == "__main__":
    main()
