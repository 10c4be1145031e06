"""A kernel that is started before a notebook needs it.

Starting a kernel, and the libraries that talk to it, takes a second or two; a short notebook takes less. In a run that
will execute further notebooks, a *spare* is therefore started while other work goes on: a process (``spare``) with
a kernel that has run nothing. It is used once, for one notebook, and only if a kernel started at that moment would
be the same: the environment, the working folder, limits and the code that a kernel finds at its start (``facts``) are
then what they were when the spare was started. Otherwise it is ended, unused. One kind of spare executes a notebook for
``inferflow.notebook``, the other *lends* its kernel to papermill or nbclient in this process (``lent``).

    spares.prepare("python3", "/p")      starts one
    spares.take("python3", "/p")         its Spare, or None
    spare.run(scratch)                   executes the job in that folder

A spare is no child of the driver's process, so nothing that the driver waits for is ours. It is killed when it is
not needed, and ends itself if nobody is left who could use it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

__all__ = ["Spare", "Spares", "Wanted"]

Moved = Callable[[int], int]
"""Moves a descriptor out of the user's way."""


class Wanted(NamedTuple):
    """What a spare is for: the kernel's name, its working folder, and whether it is to be lent."""

    kernel: str
    folder: str
    lend: bool = False


class Spare:
    """One that was started: what for, and what was so when it was."""

    def __init__(self, wanted: Wanted, channel: socket.socket, scratch: str, used: Callable[[], None]) -> None:
        self.wanted, self.channel, self.scratch, self.used = wanted, channel, scratch, used
        self.facts = facts(wanted.folder)

    def run(self, scratch: str) -> bool:
        """Execute the job in ``scratch``, and wait until that is done; False if the spare was not there any more. What
        came of it stands in ``result.json``."""
        self._send(scratch.encode("utf-8", "surrogateescape"))
        try:
            self.channel.recv(1)
        except OSError:
            pass
        except BaseException:  # Ctrl-C reaches the spare too: it ends its kernel
            select.select([self.channel], [], [], 10)
            raise
        finally:
            self.end()
        return os.path.exists(os.path.join(scratch, "pid"))  # else it had not begun

    def _send(self, line: bytes) -> None:
        try:
            self.channel.sendall(line + b"\n", socket.MSG_NOSIGNAL if hasattr(socket, "MSG_NOSIGNAL") else 0)
        except OSError:
            pass

    def end(self) -> None:
        """Nothing of it is left: it is done, or not needed."""
        self.channel.close()
        for name in ("pid", "kernel"):
            try:
                with open(os.path.join(self.scratch, name), encoding="ascii") as file:
                    os.kill(int(file.read()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        shutil.rmtree(self.scratch, ignore_errors=True)


class Spares:
    """The spare of one process, if there is one. ``expected`` tells what the next notebook is likely to need, given
    what this one needed; None if there is no further one. ``moved`` moves descriptors."""

    def __init__(self, expected: Callable[[Wanted], Optional[Wanted]], moved: Moved = lambda number: number) -> None:
        self.expected, self.moved = expected, moved
        self.ready: list[Spare] = []  # at most one, unless threads of the driver's come here at once
        self.used = 0
        self.pid = os.getpid()

    def prepare(self, kernel: str, folder: str, lend: bool = False) -> None:
        """Start a spare, unless there is one, or none can be had here."""
        if self.ready or os.name != "posix" or os.getpid() != self.pid:
            return
        wanted = Wanted(kernel, folder, lend)
        ours, theirs = socket.socketpair()
        ours = socket.socket(ours.family, ours.type, fileno=self.moved(ours.detach()))
        scratch = tempfile.mkdtemp(prefix="inferflow-spare-")
        command = [sys.executable, "-c", serving_code(), json.dumps(wanted._asdict()), str(theirs.fileno()), scratch]
        try:
            # A process in between starts it and ends, so that it is nobody's child. (A shell would change the
            # environment: names that it does not know, PWD; and have signals ignored.)
            between = [sys.executable, "-I", "-S", "-c", _APART, os.path.join(scratch, "pid"), *command]
            failed = subprocess.run(between, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL).returncode
        except OSError:
            failed = 1
        theirs.close()
        spare = Spare(wanted, ours, scratch, self._count)
        if failed:
            spare.end()
        else:
            self.ready.append(spare)

    def _count(self) -> None:
        self.used += 1

    def take(self, kernel: str, folder: str, lend: bool = False) -> Optional[Spare]:
        """The spare, if it is what a process started now would be; and start another one, if more is to come. Whoever
        takes it says by ``used`` that it was of use."""
        wanted = Wanted(kernel, folder, lend)
        try:
            spare: Optional[Spare] = self.ready.pop()
        except IndexError:
            spare = None
        if spare is not None and (os.getpid() != self.pid or spare.wanted != wanted or spare.facts != facts(folder)):
            spare.end()
            spare = None
        following = self.expected(wanted)
        if following is not None:
            self.prepare(*following)
        return spare

    def close(self) -> None:
        """End what was not used."""
        while self.ready:
            self.ready.pop().end()


_APART = """
import os, sys
pid = os.fork()
if pid:
    with open(sys.argv[1], "w") as file:
        file.write(str(pid))
else:
    os.execv(sys.argv[2], sys.argv[2:])
"""


def serving_code() -> str:
    """What ``python -c`` is told to be a spare."""
    return execution_code("serve", "spare")


def execution_code(function: str, module: str = "execution") -> str:
    """What ``python -c`` is told, to call a function of ``execution`` with the arguments of the command line."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return (
        f"import sys; sys.path[:1] = []; sys.path.append({root!r}); "
        f"from inferflow.runners.{module} import {function}; {function}(*sys.argv[1:])"
    )


# -- what a kernel finds at its start ----------------------------------------------------------------

_CODE = (".py", ".pth", ".so", ".dist-info", ".egg-info", ".egg-link", ".pyd")


def facts(folder: str) -> dict[str, Any]:
    """Whatever a kernel that is started now in ``folder`` could depend on before it runs its first cell."""
    umask = os.umask(0)
    os.umask(umask)
    found: dict[str, Any] = {
        "environment": dict(os.environ), "cwd": os.getcwd(), "umask": umask, "nice": os.nice(0),
        "python": sys.executable, "streams": [_descriptor(number) for number in (1, 2)],
        "signals": _signals(),
        "processors": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
    }  # fmt: skip
    import resource

    found["limits"] = [resource.getrlimit(n) for name, n in vars(resource).items() if name.startswith("RLIMIT_")]
    home = os.path.expanduser("~")
    profile = os.path.join(os.environ.get("IPYTHONDIR") or os.path.join(home, ".ipython"), "profile_default")
    jupyter = os.environ.get("JUPYTER_CONFIG_DIR") or os.path.join(home, ".jupyter")
    data = os.environ.get("JUPYTER_DATA_DIR") or os.path.join(home, ".local", "share", "jupyter")
    kernels = [os.path.join(path, "kernels") for path in (data, os.path.join(sys.prefix, "share", "jupyter"))]
    kernels += [os.path.join(path, "kernels") for path in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    specs = [os.path.join(path, name) for path in kernels for name in _names(path)]
    found["code"] = {place: _code_in(place, _CODE) for place in dict.fromkeys([folder, *sys.path]) if place}
    settings = [profile, os.path.join(profile, "startup"), jupyter, *specs]
    found["settings"] = {place: _code_in(place, (*_CODE, ".json")) for place in settings}
    return found


def _signals() -> Any:
    """Those that are ignored, and those that are blocked: a process inherits both."""
    numbers = signal.valid_signals()
    return sorted(n for n in numbers if signal.getsignal(n) is signal.SIG_IGN), sorted(
        signal.pthread_sigmask(signal.SIG_BLOCK, [])
    )


def _descriptor(number: int) -> Any:
    try:
        state = os.fstat(number)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _state(entry: os.DirEntry[str]) -> Any:
    try:
        state = entry.stat()
    except OSError:  # a link to nothing
        return None
    return state.st_size, state.st_mtime_ns


def _code_in(folder: str, endings: tuple[str, ...]) -> Any:
    """The files of code right in a folder, with size and time of change, and the packages in it."""
    found: dict[str, Any] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(endings):
                    found[entry.name] = _state(entry)
                elif entry.is_dir() and os.path.exists(os.path.join(entry.path, "__init__.py")):
                    found[entry.name] = ()
    except OSError:
        return None
    return found
