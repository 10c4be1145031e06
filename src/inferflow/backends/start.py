"""Starting home, with nothing but the standard library: the command line does this before it loads anything else, so
that the driver's interpreter starts up while ours reads settings.

    start_ahead(folder)                       # in the command line, at once
    waiting().tell(setup, text)               # in the session, as soon as it knows what will run
    started = take(folder, 1, 2)              # in the process backend; None if there is none, or of another kind

A home that was started and not taken is ended by ``discard``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

from inferflow.worker.channel import encode, listen

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "StartedHome",
    "discard",
    "interpreter_flags",
    "make_streams",
    "private_folder",
    "start_ahead",
    "take",
    "waiting",
    "worker_command",
    "worker_environment",
]


_BOOT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "worker", "importlib_bootstrap.py")
"""The script that begins a worker."""


class StartedHome:
    """Home's process, which waits for its setup, and our ends of what connects us to it. Raises OSError."""

    def __init__(self, folder: Path | str, stdout: int, stderr: int) -> None:
        self.folder, self.targets = str(folder), (stdout, stderr)
        self.token = os.urandom(8).hex()
        self.mark = b"\0\x1b" + os.urandom(12).hex().encode() + b"\0"
        self.sockets = "" if sys.platform.startswith("linux") else private_folder()
        self.listener, self.address = listen(self.sockets)
        self.listener.setblocking(False)
        self._theirs, self._lifeline = os.pipe()
        theirs, self._orders = os.pipe()
        out, err, ours, self.one_stream = make_streams(self.targets)
        try:
            self.process = subprocess.Popen(
                [*worker_command(self.address), str(theirs)],
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=worker_environment(self.token, "home"),
                pass_fds=(self._theirs, theirs),
            )
        except OSError:
            self.release()
            raise
        finally:
            for fd in {out, err}:
                os.close(fd)
            os.close(self._theirs)
            os.close(theirs)
        self.streams = ours
        self.told: dict[str, Any] | None = None
        """The setup that home was told ahead; ``told_text`` is the driver's text at that time."""
        self.told_text = ""

    def tell(self, setup: dict[str, Any], text: str) -> None:
        """Tell home ahead what it will run."""
        self.told, self.told_text = {**setup, **self.setup()}, text
        self._send(encode(self.told))

    def setup(self) -> dict[str, Any]:
        """What home has to know of this."""
        return {
            "mark": self.mark,
            "lifeline": self._theirs,
            "controller": os.getpid(),
            "one_stream": self.one_stream,
        }

    def send_setup(self, frame: bytes) -> None:
        """Hand home its setup, unless it was told ahead."""
        if self.told is None:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        """Through a pipe: home need not wait until we have time to answer its hello."""
        with contextlib.suppress(OSError), os.fdopen(self._orders, "wb", buffering=0) as pipe:
            while frame:
                frame = frame[pipe.write(frame) :]
        self._orders = -1

    def release(self) -> None:
        """Let go of our ends, except for the streams."""
        self.listener.close()
        for fd in (self._lifeline, self._orders):
            with contextlib.suppress(OSError):
                os.close(fd)
        if self.sockets:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.sockets, "s"))
                os.rmdir(self.sockets)


_ahead: list[StartedHome] = []
"""At most one: handed over from the command line to the backend, which knows nothing of each other."""


def start_ahead(folder: str) -> None:
    """Start a home for a driver that will run in ``folder`` with our own streams; no failure is told here."""
    with contextlib.suppress(OSError):
        _ahead.append(StartedHome(folder, 1, 2))


def waiting() -> StartedHome | None:
    """The home that was started ahead, until it is taken."""
    return _ahead[0] if _ahead else None


def take(folder: Path, stdout: int, stderr: int, setup: dict[str, Any]) -> StartedHome | None:
    """The home that was started ahead, if it is the one that is needed, and was told nothing else."""
    if not _ahead or (_ahead[0].folder, _ahead[0].targets) != (str(folder), (stdout, stderr)):
        return None
    home = _ahead[0]
    if home.told is not None and home.told != {**setup, **home.setup()}:
        discard()
        return None
    return _ahead.pop()


def discard() -> None:
    """End a home that was started ahead and not needed."""
    while _ahead:
        started = _ahead.pop()
        started.process.kill()
        started.process.wait()
        for fd in started.streams:
            os.close(fd)
        started.release()


def make_streams(targets: tuple[int, int]) -> tuple[int, int, dict[int, tuple[Literal["stdout", "stderr"], int]], bool]:
    """Descriptors for home's stdout and stderr; ours, with stream and what it is relayed to; whether both are one."""
    terminals = [_is_terminal(fd) for fd in targets]
    ours: dict[int, tuple[Literal["stdout", "stderr"], int]] = {}
    if all(terminals) and os.path.sameopenfile(*targets):
        # One terminal: one pseudo-terminal, so that what is written to both keeps its order on the screen.
        fd, theirs = _pseudo_terminal(targets[0])
        ours[fd] = ("stdout", targets[0])
        out, err = theirs, theirs
    else:
        pairs = [_pseudo_terminal(fd) if terminal else _pipe() for fd, terminal in zip(targets, terminals, strict=True)]
        ours[pairs[0][0]], ours[pairs[1][0]] = ("stdout", targets[0]), ("stderr", targets[1])
        out, err = pairs[0][1], pairs[1][1]
    for fd in ours:
        os.set_blocking(fd, False)
    return out, err, ours, out == err


def worker_command(address: str) -> list[str]:
    """What starts a worker that connects to ``address``."""
    return [sys.executable, *interpreter_flags(), _BOOT, address]


def worker_environment(token: str, role: str, worker: str = "") -> dict[str, str]:
    """The environment of a worker until it has begun."""
    env = {**os.environ, "_INFERFLOW_TOKEN": token, "_INFERFLOW_ROLE": role}
    if worker:
        env["_INFERFLOW_WORKER"] = worker
    return env


def private_folder() -> str:
    """A new folder that only we may enter, with a short name: the address of a Unix socket has 100 characters."""
    import tempfile  # takes ten milliseconds to load

    folder = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="inferflow-", dir=folder if len(folder) < 60 else "/tmp")


def interpreter_flags() -> list[str]:
    """The options that this interpreter was started with."""
    return list(subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _pipe() -> tuple[int, int]:
    ours, theirs = os.pipe()
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import fcntl

        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 1 << 20)
    return ours, theirs


def _pseudo_terminal(like: int) -> tuple[int, int]:
    """A pseudo-terminal as wide as ``like`` that passes bytes on unchanged."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    mode = termios.tcgetattr(theirs)
    mode[1] &= ~termios.OPOST  # the real terminal does this once, which is enough
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    with contextlib.suppress(OSError):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(like, termios.TIOCGWINSZ, b"\0" * 8))
    return ours, theirs
