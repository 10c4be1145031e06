"""Every way to extend inferflow, on one page.

A backend starts workers and moves bytes between them and the engine; it never decodes the user's
values and never schedules. Stores keep artifacts and runs. Everything else (effects of libraries,
task tables) is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from inferflow.model import Artifact, Event, Placement, Run, RunStarted, TaskGraph
from inferflow.records import frozen

__all__ = ["ArtifactStore", "Backend", "Crew", "Launch", "Message", "Notice", "RunStore", "Surroundings", "Taking"]

HERE = Placement(backend="process")

Message: TypeAlias = dict[str, object]
"""Plain data (see ``worker.channel``): str, int, float, bool, None, bytes, list, dict."""


@frozen
class Launch:
    """What a backend needs to start the home worker. ``setup`` goes to it as its first message. ``folder`` is the
    working folder, ``start`` how helpers come to be."""

    setup: Message
    folder: Path
    start: Literal["fork", "spawn"] = "fork"
    stdout: int = 1
    stderr: int = 2
    """File descriptors of the controller to which the driver's streams are relayed (-1: nowhere)."""
    before_output: Callable[[], None] = lambda: None
    """Called before anything is relayed to a terminal (a progress display takes itself away)."""
    deliver: Callable[[Notice], None] | None = None
    """Where home runs in this very process, notices go here at once (``poll`` would come too late)."""
    owner: tuple[int, str] = (0, "")
    """This process, as its start time and the host's boot tell it from all others (for what may stay behind)."""
    lives: Callable[[int, str], bool] = lambda pid, start: True
    """Whether a process that was told of like that still lives."""
    placement: Placement = HERE
    """Where home and its helpers run, and what of."""
    outposts: Callable[[str], Any] = lambda backend: None
    """What starts workers apart, for the backend of this name (``backends.crew.Outposts``). Raises WrongUse."""


@frozen
class Surroundings:
    """What home's interpreter is, where that is not ours: its version, and the image's reference and digest, and the
    names of the folders of metadata beside the packages in it."""

    python: str = ""
    implementation: str = ""
    executable: str = ""
    image: str = ""
    digest: str = ""
    packages: tuple[str, ...] = ()


@frozen
class Notice:
    """Something a worker did: ``message`` it sent; ``output`` bytes that reached its stream ``stream`` (already
    relayed); ``cut``, its mark that a task's output on that stream ends here; or its end, with exit code (negative:
    signal number; ``None``: not known)."""

    worker: str
    kind: Literal["message", "output", "cut", "exit"]
    message: Message | None = None
    stream: Literal["stdout", "stderr"] = "stdout"
    output: bytes = b""
    exit_code: int | None = None
    peak_memory: int = 0
    """Bytes, with ``exit`` of home."""
    cause: str = ""
    """With ``exit``: what ended it, in words, where the backend knows more than the exit code tells."""
    broken: bool = False
    """With ``exit``: the worker did not end, its surroundings were taken away (a container, the engine)."""


class Crew(Protocol):
    """The workers of one run: one home, any number of helpers."""

    def send(self, worker: str, message: Message) -> None:
        """Queue a message; never blocks for long. Unknown or dead workers are ignored (a Notice told of them)."""
        ...

    def poll(self, timeout: float | None) -> Sequence[Notice]:
        """Wait for notices, at most ``timeout`` seconds (``None``: for ever); an empty sequence on timeout."""
        ...

    def helper(self, epoch: int, placement: Placement | None = None) -> str:
        """Ask for one more helper, forked from the state that home had at ``epoch``; its name. Its first message is
        ``hello``, or a Notice of its exit says that there will be none. With a ``placement`` it is a worker of its own
        there, which executes the prefix itself: it is as home was before the first task (epoch 0)."""
        ...

    def surroundings(self, worker: str = "home") -> Surroundings:
        """Of home: wait until its process is there. Raises BrokenEnvironment if it cannot be started. Of another
        worker, which has said hello: where it is, if that is elsewhere than home."""
        ...

    def image(self, placement: Placement) -> str:
        """The digest of the image in which a worker with this placement would run, ``host`` for this machine's own
        files; empty outside of containers. Raises BrokenEnvironment if there is none, or no engine."""
        ...

    def interrupt(self) -> None:
        """Deliver Ctrl-C to home, unless the terminal did so already."""
        ...

    def signal_home(self, number: int) -> None:
        """Pass a signal (its number) on to home."""
        ...

    def processor_time(self, worker: str) -> float | None:
        """Seconds of processor time that a worker has used so far; ``None`` where that cannot be told."""
        ...

    def running_threads(self, worker: str) -> int:
        """How many threads of a worker compute or wait for a processor at this moment; 0 where that cannot be told."""
        ...

    def kill(self, worker: str) -> None:
        """End a worker at once; ``template:-3`` is the process from which helpers of epoch -3 are forked."""
        ...

    def close(self) -> None:
        """End all workers and release what they held; idempotent."""
        ...


class Backend(Protocol):
    """A way to run workers: registered under the entry point group ``inferflow.backends``."""

    name: str

    def open(self, launch: Launch) -> Crew:
        """Start home. Raises BrokenEnvironment."""
        ...


class ArtifactStore(Protocol):
    """Immutable bytes by digest."""

    def put(self, data: bytes) -> Artifact:
        """Keep bytes; the same bytes are kept once."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes, verified; raises KeyError if absent, ValueError if damaged."""
        ...

    def path(self, digest: str) -> Path | None:
        """A file that holds exactly these bytes, or ``None`` if they are kept otherwise."""
        ...

    def has(self, digest: str) -> bool: ...

    def take(self, path: str, size: int, growing: bool = False) -> Taking:
        """Take over a file of ``size`` bytes that a worker has written, or (``growing``) begins to write."""
        ...


class Taking(Protocol):
    """A file that a store is taking over."""

    @property
    def done(self) -> bool:
        """Whether ``result`` would not wait."""
        ...

    def complete(self) -> None:
        """Its writer is done."""
        ...

    def give_up(self) -> None:
        """Its writer has failed: what it left is removed."""
        ...

    def result(self) -> Artifact:
        """Wait until it is kept. Raises OSError."""
        ...


class RunStore(Protocol):
    """Runs as lists of events."""

    def create(self, started: RunStarted, graph: TaskGraph) -> None: ...

    def append(self, run: str, events: Iterable[Event]) -> None:
        """Keep events, in order; on disk when this returns."""
        ...

    def load(self, run: str) -> Run: ...

    def graph(self, run: str) -> TaskGraph: ...

    def list(self, limit: int | None = None, failed: bool = False) -> Sequence[Run]:
        """Newest first."""
        ...
