"""The process backend: home is a child process, helpers are forked from it (or, where nothing can be forked, spawned).

This process never runs user code. It holds the other end of home's standard streams (pipes, or a pseudo-terminal
where home would have had a terminal) and relays what arrives to its own, unchanged; see ``crew`` for the rest.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys

from inferflow.backends.crew import Outposts, WorkerCrew, in_foreground
from inferflow.backends.start import StartedHome, take, worker_command, worker_environment
from inferflow.errors import BrokenEnvironment
from inferflow.model import Placement
from inferflow.protocols import Crew, Launch, Message, Surroundings
from inferflow.worker.channel import listen

__all__ = ["ProcessBackend", "ProcessOutposts"]


class ProcessBackend:
    """Workers as local processes."""

    name = "process"

    def open(self, launch: Launch) -> Crew:
        """Start home, or take the one that was started ahead. Raises BrokenEnvironment if not even a process can be
        started."""
        started = take(launch.folder, launch.stdout, launch.stderr, launch.setup)
        if started is None:
            try:
                started = StartedHome(launch.folder, launch.stdout, launch.stderr)
            except OSError as error:
                raise BrokenEnvironment(
                    f"cannot start {sys.executable}: {error.strerror}", hint="see: inferflow doctor"
                ) from None
        return WorkerCrew(launch, _HomeProcess(started), launch.outposts)

    def outposts(self, launch: Launch) -> Outposts:
        """What starts further workers as processes of their own."""
        return ProcessOutposts(launch)


class _HomeProcess:
    """Home as a child process of ours."""

    def __init__(self, started: StartedHome) -> None:
        self.started = started
        self.process = started.process
        self.token, self.mark = started.token, started.mark
        self.listener: socket.socket = started.listener
        self.streams = dict(started.streams)
        self.pidfd = -1

    def setup(self) -> Message:
        return self.started.setup()

    def send_setup(self, frame: bytes) -> None:
        self.started.send_setup(frame)

    def watch(self, crew: WorkerCrew) -> None:
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(self.process.pid)
                crew.selector.register(self.pidfd, selectors.EVENT_READ, lambda fd: self._ended(crew, fd))

    def waits(self) -> bool:
        return self.pidfd >= 0

    def look(self, crew: WorkerCrew) -> None:
        if self.process.poll() is not None:
            self._ended(crew, -1)

    def _ended(self, crew: WorkerCrew, fd: int) -> None:
        if fd >= 0:
            crew.selector.unregister(fd)
        code = self.process.wait()
        crew.home_ended(code, _peak_of_children())

    def signal(self, number: int, typed: bool) -> None:
        if typed and in_foreground():
            return  # the terminal has told home itself
        with contextlib.suppress(OSError):
            self.process.send_signal(number)

    def end_process(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            os.kill(pid, 9)

    def surroundings(self) -> Surroundings:
        return Surroundings()

    def close(self, ended: bool) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.started.release()


class ProcessOutposts:
    """Starts workers as processes of their own."""

    contained = False

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.address = ""
        self.listener: socket.socket | None = None

    def start(self, crew: WorkerCrew, name: str, placement: Placement) -> _Spawned:
        if not self.address:
            base = crew.base
            if isinstance(base, _HomeProcess):
                self.address = base.started.address
            else:
                self.listener, self.address = listen("")
                self.listener.setblocking(False)
                crew.listen(self.listener)
        process = subprocess.Popen(
            worker_command(self.address),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.launch.folder,
            env=worker_environment(crew.base.token, "helper", name),
        )
        return _Spawned(process)

    def image(self, crew: WorkerCrew, placement: Placement) -> str:
        return ""

    def close(self) -> None:
        if self.listener is not None:
            self.listener.close()


class _Spawned:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def ending(self) -> tuple[int | None, str]:
        return self.process.wait(), ""

    def surroundings(self) -> Surroundings:
        return Surroundings()


def _peak_of_children() -> int:
    """Bytes: the largest resident memory that any child which has ended ever had."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
