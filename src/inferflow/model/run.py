"""What happened: events, and the values that fold out of them.

A run is its list of events. ``TaskStarted`` opens an attempt (numbered from 1 for each task),
``TaskFinished`` / ``TaskFailed`` / ``TaskDropped`` closes it, ``TaskRetired`` says that it counts.
Times are seconds since the epoch (UTC), durations seconds, sizes bytes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from inferflow.records import frozen


@frozen
class Artifact:
    """Immutable bytes named by content: ``digest`` is that of ``model.content``, ``size`` in bytes."""

    digest: str
    size: int


@frozen
class StoredValue:
    """How the value under ``name`` was kept.

    ``artifact`` holds the whole alias component pickled jointly, of which this value is member ``member``; ``None`` if
    it could not be kept, with ``why_not``. ``exact`` is whether rebuilding is known to give what a program could not
    tell from the original; ``None`` where it was not checked. ``type`` is the qualified type name, ``summary`` one
    short line about it (``ndarray float64 (150, 4)``).
    """

    name: str
    type: str
    summary: str = ""
    artifact: Artifact | None = None
    member: int = 0
    exact: bool | None = None
    why_not: str = ""


@frozen
class FileUse:
    """A file that a task opened: its path (relative to the working folder where inside), how, its content then.
    ``artifact`` is the kept content for written files; ``digest`` empty if it could not be read any more."""

    path: str
    mode: Literal["read", "write"]
    digest: str = ""
    size: int = 0
    artifact: Artifact | None = None


@frozen
class FileAct:
    """What a task did to a file, so that it can be done once more without the task: a folder was made, or a file
    written from its beginning. ``how``: of a folder ``lenient`` if it may be there already, else ``strict``; of a file
    the mode, ``w`` or ``x``."""

    kind: Literal["mkdir", "write"]
    path: str
    how: Literal["lenient", "strict", "w", "x"]


@frozen
class ItemFacts:
    """One turn of a loop: which, its item in a few characters (empty if it has no short form), seconds, where, and in
    which turns of the loops around (the outermost first)."""

    index: int
    item: str
    duration: float
    where: Literal["home", "ahead"]
    around: tuple[int, ...] = ()


@frozen
class ItemOutput:
    """What a turn of a loop wrote: characters ``start`` to ``stop`` of the task's text on a stream. ``path`` are the
    numbers of the turns of the loops around, and its own (from 0); ``item`` as in :class:`ItemFacts`."""

    path: tuple[int, ...]
    item: str
    stream: Literal["stdout", "stderr"]
    start: int
    stop: int


@frozen
class RegionFacts:
    """What happened in a loop, a branch or the like during its task. ``path`` is where it stands (``for/if``);
    ``turns`` is how often a loop's body began, ``items`` how many items there were (-1: not known), ``ahead`` the
    turns whose calls were run ahead; ``arms`` how often each arm was taken; ``told`` the first items one by
    one, if any turn could be run ahead; ``printed`` what turns wrote, as far as that could be told apart."""

    path: str
    kind: str
    name: str
    turns: int
    items: int
    ahead: int
    arms: tuple[tuple[str, int], ...] = ()
    told: tuple[ItemFacts, ...] = ()
    printed: tuple[ItemOutput, ...] = ()


@frozen
class CodeIdentity:
    """Which code ran. ``dirty`` lists changed and untracked files; ``functions`` maps reached functions to digests."""

    commit: str = ""
    branch: str = ""
    dirty: tuple[str, ...] = ()
    driver_digest: str = ""
    functions: tuple[tuple[str, str], ...] = ()


@frozen
class Environment:
    """Where it ran. ``packages`` are (name, version) of the distributions installed beside the driver."""

    python: str = ""
    implementation: str = ""
    platform: str = ""
    host: str = ""
    user: str = ""
    cpus: int = 0
    executable: str = ""
    packages: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    """Only those that change results: ``PYTHONHASHSEED``, thread counts, locale, time zone."""
    image: str = ""
    """The container image that the driver ran in: its name, and its digest in brackets."""
    marks: tuple[tuple[str, str], ...] = ()
    """Of each environment variable two bytes of a digest: enough to tell which have changed, too little to guess what
    they hold."""


@frozen
class Certificate:
    """How the run came by its result: counts of tasks, and what was assumed or not watched, in words."""

    at_home: int = 0
    ahead: int = 0
    dropped: int = 0
    pinned: int = 0
    reasons: tuple[str, ...] = ()
    trusted: int = 0
    """Of those ahead, how many were not proved independent: that nothing had come between was seen at their turn."""
    held: int = 0
    """Of those ahead, how many wrote files: these were kept back until their turn."""
    reused: int = 0
    """Results of earlier runs that were used again."""


@frozen
class RunStarted:
    run: str
    time: float
    target: str
    folder: str
    arguments: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    graph: str
    backend: str
    jobs: int
    version: str
    pid: int
    boot: str
    """With ``pid``, tells whether the controller still lives: its start time and the host's boot id."""
    code: CodeIdentity
    environment: Environment


@frozen
class WorkerStarted:
    time: float
    worker: str
    role: Literal["home", "helper"]
    pid: int
    image: str = ""
    """Of a worker in a container of its own: the image's name, and its digest in brackets."""
    python: str = ""
    """The version of Python in it."""


@frozen
class WorkerLost:
    time: float
    worker: str
    exit_code: int | None
    signal: str = ""
    cause: str = ""


@frozen
class TaskStarted:
    time: float
    task: int
    attempt: int
    where: Literal["home", "ahead", "reused"]
    worker: str
    """Who runs it; of a result that is used again, the run that it comes from."""


@frozen
class TaskFinished:
    """``duration`` is wall time, ``cpu`` process time, ``peak_memory`` the growth-independent high-water mark of the
    worker. ``stdout`` and ``stderr`` are the captured bytes (decoded with ``surrogateescape``)."""

    time: float
    task: int
    attempt: int
    duration: float
    cpu: float
    peak_memory: int
    values: tuple[StoredValue, ...] = ()
    files: tuple[FileUse, ...] = ()
    stdout: str = ""
    stderr: str = ""
    regions: tuple[RegionFacts, ...] = ()
    recipe: tuple[tuple[str, str], ...] = ()
    """What the task was made of besides its inputs, as digests (see ``worker.recipe``); empty if its result cannot be
    used again."""
    acts: tuple[FileAct, ...] = ()
    """What it did to files, in order; known where its result can be used again."""


@frozen
class TaskRetired:
    time: float
    task: int
    attempt: int


@frozen
class TaskDropped:
    time: float
    task: int
    attempt: int
    why: str


@frozen
class TaskFailed:
    """``task`` is -1 if the failure stands outside all tasks (while importing). ``line`` is the user's line."""

    time: float
    task: int
    attempt: int
    duration: float
    exception: str
    message: str
    traceback: str
    path: str = ""
    line: int = 0
    cpu: float = 0.0
    peak_memory: int = 0
    files: tuple[FileUse, ...] = ()
    stdout: str = ""
    stderr: str = ""
    regions: tuple[RegionFacts, ...] = ()


@frozen
class RunFinished:
    """``exit_code`` is what the CLI exits with."""

    time: float
    status: Literal["ok", "failed", "interrupted", "crashed"]
    exit_code: int
    certificate: Certificate
    values: tuple[StoredValue, ...] = ()
    """The driver's returned object (``return``) and versions kept only at the end."""
    stdout: str = ""
    stderr: str = ""
    """What was written outside all tasks, at import or exit."""


Event: TypeAlias = (
    RunStarted
    | WorkerStarted
    | WorkerLost
    | TaskStarted
    | TaskFinished
    | TaskRetired
    | TaskDropped
    | TaskFailed
    | RunFinished
)


@frozen
class Attempt:
    """One try at one task, folded from its events."""

    task: int
    number: int
    where: Literal["home", "ahead", "reused"]
    worker: str
    status: Literal["running", "finished", "retired", "dropped", "failed"]
    started: float
    duration: float = 0.0
    cpu: float = 0.0
    peak_memory: int = 0
    values: tuple[StoredValue, ...] = ()
    files: tuple[FileUse, ...] = ()
    stdout: str = ""
    stderr: str = ""
    exception: str = ""
    message: str = ""
    traceback: str = ""
    why: str = ""
    path: str = ""
    line: int = 0
    """Where in the user's code it failed."""
    regions: tuple[RegionFacts, ...] = ()
    usable: bool = False
    """Whether a later run may use its result again."""


@frozen
class Run:
    """Everything known of one run, folded from its events. ``status`` is ``killed`` for a run whose controller is gone
    without a :class:`RunFinished`."""

    id: str
    started: RunStarted
    status: Literal["running", "ok", "failed", "interrupted", "crashed", "killed"]
    attempts: tuple[Attempt, ...]
    workers: tuple[WorkerStarted, ...] = ()
    lost: tuple[WorkerLost, ...] = ()
    finished: RunFinished | None = None
    driver_failure: TaskFailed | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from start to finish, ``None`` while it is not finished."""
        return self.finished.time - self.started.time if self.finished else None
