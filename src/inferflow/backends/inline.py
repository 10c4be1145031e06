"""The inline backend: the driver runs in this very process, for debuggers, profilers and coverage.

There are no helpers, and what the driver does to its process it does to ours. Standard output goes where it always
goes; of what C code and child processes write nothing is kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from inferflow.model import Placement
from inferflow.protocols import Crew, Launch, Message, Notice, Surroundings

__all__ = ["InlineBackend", "InlineCrew"]


class InlineBackend:
    """Home in the controlling process."""

    name = "inline"

    def open(self, launch: Launch) -> Crew:
        return InlineCrew(launch)


class _Ended(BaseException):
    """The run must stop before the driver's body (a wrong parameter)."""


class _Channel:
    """Home's end: what it sends is handled at once; replies wait here."""

    def __init__(self, crew: InlineCrew) -> None:
        self.crew = crew
        self.replies: list[Message] = []

    def send(self, message: Message) -> None:
        self.crew.deliver(Notice("home", "message", message))

    def receive(self) -> Message:
        return self.replies.pop(0)


class InlineCrew:
    """Runs the whole program at the first ``poll``."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        assert launch.deliver is not None
        self.deliver = launch.deliver
        self.channel = _Channel(self)
        self.ran = False

    def send(self, worker: str, message: Message) -> None:
        self.channel.replies.append(message)

    def poll(self, timeout: float | None) -> Sequence[Notice]:
        if self.ran:
            return ()
        self.ran = True
        self.channel.send({"kind": "hello", "role": "home", "pid": os.getpid()})
        return (Notice("home", "exit", exit_code=self._run()),)

    def _run(self) -> int:
        from inferflow.worker.home import Home
        from inferflow.worker.main import drive, run_plan

        setup = self.launch.setup
        saved = _Saved()
        sys.argv = [str(setup["argv0"]), *_texts(setup["arguments"])]
        sys.path.insert(0, str(setup["path0"]))
        home = Home(self.channel, setup, None)
        try:
            error = drive(home.prepare())
            if error is None:
                error = drive(run_plan(home, self.channel.receive()))
            try:
                return home.finish(error)
            except SystemExit as exit_:
                return _status(exit_)
        finally:
            home.streams.flush()
            if setup.get("watch"):
                from inferflow.worker.watch import take

                take()
            home.files.on = False
            saved.restore()

    def helper(self, epoch: int, placement: Placement | None = None) -> str:
        return "none"

    def surroundings(self, worker: str = "home") -> Surroundings:
        return Surroundings()

    def image(self, placement: Placement) -> str:
        return ""

    def interrupt(self) -> None:
        """Ctrl-C reaches the driver's code by itself: it runs here."""

    def signal_home(self, number: int) -> None:
        """Home is this process: the signal has arrived."""

    def processor_time(self, worker: str) -> float | None:
        return None

    def running_threads(self, worker: str) -> int:
        return 0

    def kill(self, worker: str) -> None:
        """There is no worker that could be killed without us."""

    def close(self) -> None:
        """Nothing is held."""


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _status(exit_: SystemExit) -> int:
    """As the interpreter does: ``None`` is 0, a number itself, anything else is printed and gives 1."""
    if exit_.code is None:
        return 0
    if isinstance(exit_.code, int):
        return exit_.code & 0xFF
    print(exit_.code, file=sys.stderr)
    return 1


class _Saved:
    """What running a driver replaces in this process."""

    def __init__(self) -> None:
        self.main = sys.modules["__main__"]
        self.argv, self.path = sys.argv, list(sys.path)
        self.streams: dict[str, Any] = {
            name: getattr(sys, name) for name in ("stdout", "stderr", "__stdout__", "__stderr__")
        }

    def restore(self) -> None:
        sys.modules["__main__"] = self.main
        sys.argv, sys.path[:] = self.argv, self.path
        for name, stream in self.streams.items():
            setattr(sys, name, stream)
