"""``inferflow verify``: the driver natively and inferred, in copies of its folder, compared by the whole contract.

    verdict = verify(request)                       # a few runs of the driver
    verdict.same, verdict.first                     # (False, Finding(Difference("stdout", "line 3", ...), ...))

Native runs once, the inferred side as often as asked for, with other numbers of processes and with random delays from
the second time on. If something differs, native runs again, until it differs from itself wherever inferred does, ten
times at most, for about as long as both sides took, or two minutes: what differs between native runs (times, process
ids, unseeded randomness, what is in an order of addresses) is told apart and does not count (see ``verify_steady``).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from inferflow.errors import UserError
from inferflow.model import Run, TaskGraph
from inferflow.records import field, frozen
from inferflow.session.target import Target
from inferflow.session.verify_compare import WHOLE, Difference, compare
from inferflow.session.verify_look import Look, Seen, TimedOut, run_inferred, run_native
from inferflow.session.verify_stage import Stage, make_stage
from inferflow.session.verify_steady import NativeRuns, add, parted

FURTHER = 9
"""Native runs after the first, at most."""
PATIENCE = 120.0
"""Seconds that these may take together, if both sides were not even slower."""
SHOWN = 200
"""Differences of an inferred run that a verdict tells, and places at which native differs from itself."""

__all__ = ["Finding", "Request", "Trial", "Verdict", "verify"]


@frozen
class Request:
    """What is to be verified. ``options`` go to ``inferflow run`` as they are; ``parameters`` are the same parameters
    as plain data; ``jobs`` the number of processes of the first run."""

    target: Target
    backend: str
    jobs: int
    times: int = 1
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(factory=dict)
    stdin: bytes = b""
    timeout: float | None = None
    leave_out: tuple[str, ...] = ()
    contained: bool = False
    """Whether any task runs in a container."""


@frozen
class Finding:
    """A difference, and the task that it belongs to where that can be told (``task`` empty: it cannot)."""

    difference: Difference
    task: str = ""
    path: str = ""
    line: int = 0


@frozen
class Trial:
    """One inferred run: its number of processes, its seed of delays (empty: none), how many tasks it had and where they
    ran, how long it took (seconds), how many differences count, and the first of them."""

    jobs: int
    shake: str
    seconds: float
    tasks: int
    ahead: int
    dropped: int
    differences: int
    findings: tuple[Finding, ...]


@frozen
class Verdict:
    """``counts`` says how much was compared in each row; ``excused`` where native differs from itself too, in
    ``native_runs`` of them; ``remarks`` what was compared in a weaker way, or not at all."""

    same: bool
    exit_status: int
    native_seconds: float
    native_runs: int
    trials: tuple[Trial, ...]
    counts: Mapping[str, int]
    excused: tuple[Difference, ...]
    remarks: tuple[str, ...]

    @property
    def first(self) -> Finding | None:
        """The first difference that counts."""
        return next((finding for trial in self.trials for finding in trial.findings), None)


def verify(request: Request, note: Callable[[str], None] = lambda text: None) -> Verdict:
    """Run both sides and compare. ``note`` is told what is being done.

    Raises UserError if the folder cannot be copied or a side takes too long (exit 124)."""
    scratch = Path(tempfile.mkdtemp(prefix="inferflow-verify-"))
    try:
        target = request.target
        stage = make_stage(scratch, roots_of(target), request.leave_out, request.contained)
        look = Look(
            target, stage, request.arguments, request.options, request.parameters, request.stdin, _environ(),
            request.timeout,
        )  # fmt: skip
        with _ends_when_asked():
            return _verify(request, look, note)
    except TimedOut as error:
        raise _TookTooLong(f"the {error.side} run took longer than --timeout allows") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _ends_when_asked() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process by an exception: the side that runs is in a session of its own, which would
    go on, and the copies would stay."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    caught = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)


class _TookTooLong(UserError):
    exit_code = 124


def roots_of(target: Target) -> list[Path]:
    """The folders that a run is about: the project's, and the working folder where that lies outside of it."""
    root, cwd = Path(target.root), Path(target.cwd)
    if root in (cwd, *cwd.parents):
        return [root]
    if cwd in root.parents:
        return [cwd]
    return [root, cwd]


def _environ() -> dict[str, str]:
    """The same on both sides; a seed of hashes, since sets would have another order in every process otherwise."""
    environ = dict(os.environ)
    environ.setdefault("PYTHONHASHSEED", "0")
    return environ


def _verify(request: Request, look: Look, note: Callable[[str], None]) -> Verdict:
    stage = look.stage
    note("native")
    native = run_native(look, stage.make("native"))
    remarks: dict[str, None] = dict.fromkeys(_stage_remarks(stage, look))
    known = NativeRuns()
    excused: dict[tuple[str, str], Difference] = {}
    trials = []
    for number, (jobs, shake) in enumerate(_ways(request)):
        note(f"inferred, {jobs} processes" + (", with delays" if shake else ""))
        options = ("--backend", request.backend) + (("--jobs", str(jobs)) if request.backend != "inline" else ())
        seen = run_inferred(look, stage.make(f"inferred-{number}" if number else "inferred"), options, shake)
        found, told = compare(native, seen)
        remarks.update(dict.fromkeys(told))
        if found:
            patience = max(PATIENCE, native.seconds + seen.seconds)
            known, found, out = explained(found, known, lambda known: _again(look, native, known), patience, note)
            excused.update(((one.row, one.place), one) for one in out)
        trials.append(_trial(jobs, shake, seen, found))
        if found:
            break
        _forget(stage, seen.name)
    counts = {
        "bytes of stdout": len(native.stdout),
        "bytes of stderr": len(native.stderr),
        "values": len(native.state.parts) if native.state else 0,
        "files": len(native.files),
    }
    for row, place in known.places:
        if place.endswith(WHOLE):
            what = place.removesuffix(f", {WHOLE}") if row == "files" else row
            remarks[f"{what} is longer in some native runs: compared up to where these differ"] = None
    same = not any(trial.findings for trial in trials)
    places = tuple(excused.values())[:SHOWN]
    return Verdict(
        same, native.exit_status, native.seconds, known.others + 1, tuple(trials), counts, places, tuple(remarks)
    )


def explained(
    found: list[Difference], known: NativeRuns, again: Callable[[NativeRuns], NativeRuns], patience: float,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[NativeRuns, list[Difference], list[Difference]]:  # fmt: skip
    """What is known of native runs then, the differences that count, and those that native shows too. ``again`` has
    native run once more: as long as something is to be explained, and it is not to be expected that ``patience``
    (seconds) will be exceeded, but at least once."""
    begun, first = time.monotonic(), known.others
    while True:
        counting, _ = parted(found, known, last=False)
        ran, spent = known.others - first, time.monotonic() - begun
        if not counting or known.others == FURTHER or (ran and spent + spent / ran > patience):
            return known, *parted(found, known)
        one = counting[0]
        also = f" and {len(counting) - 1} more" if len(counting) > 1 else ""
        place = one.row + (f", {one.place}" if one.place else "")
        note(
            f"native again ({known.others + 2} of at most {FURTHER + 1}): does it differ from itself in {place}{also}?"
        )
        try:
            known = again(known)
        except TimedOut:
            if not known.others:
                raise  # nothing can be said then
            return known, *parted(found, known)


def _again(look: Look, native: Seen, known: NativeRuns) -> NativeRuns:
    """With another native run, held against the first."""
    name = f"native-{known.others + 2}"
    found, _ = compare(native, run_native(look, look.stage.make(name), patience=4))
    _forget(look.stage, name)
    return add(known, found)


def _ways(request: Request) -> Iterator[tuple[int, str]]:
    """Numbers of processes and seeds of delays: first as asked for, then varied."""
    numbers = [request.jobs, 1, 2, 3, 4, 6]
    for number in range(request.times):
        yield numbers[number % len(numbers)], "" if number == 0 else f"{number}"


def _forget(stage: Stage, side: str) -> None:
    shutil.rmtree(stage.scratch / side, ignore_errors=True)


def _stage_remarks(stage: Stage, look: Look) -> Iterator[str]:
    if not stage.bound:
        root = str(stage.roots[0])
        if root in look.target.source.text:
            yield f"the driver names {root} itself: both sides used the same files there"
    named = [path.name for path in stage.shared if path.name not in (".git", "node_modules", ".venv", "venv")]
    if named:
        yield f"not copied, but used as they are: {', '.join(sorted(set(named)))}"


# -- whose difference it is ------------------------------------------------------------------------------


def _trial(jobs: int, shake: str, seen: Seen, found: list[Difference]) -> Trial:
    recorded = _record(seen)
    count, found = len(found), found[:SHOWN]
    if recorded is None:
        return Trial(jobs, shake, seen.seconds, 0, 0, 0, count, tuple(map(Finding, found)))
    graph, run = recorded
    certificate = run.finished.certificate if run.finished else None
    ahead, dropped = (certificate.ahead, certificate.dropped) if certificate else (0, 0)
    findings = tuple(_place(difference, graph, run) for difference in found)
    return Trial(jobs, shake, seen.seconds, len(graph.tasks), ahead, dropped, count, findings)


def _record(seen: Seen) -> tuple[TaskGraph, Run] | None:
    """What the inferred side recorded, if it came to that."""
    from inferflow.storage.folder import Folder
    from inferflow.storage.runs import Runs

    if seen.store is None or not (seen.store / "inferflow.db").exists():
        return None
    try:
        runs = Runs(Folder(seen.store))
        name = runs.resolve("latest")
        return runs.graph(name), runs.load(name)
    except (UserError, KeyError):
        return None


def _place(difference: Difference, graph: TaskGraph, run: Run) -> Finding:
    """The last task that made what differs."""
    task = -1
    attempts = [attempt for attempt in run.attempts if attempt.status in ("retired", "failed")]
    match difference.row:
        case "values":
            name = re.split(r"[.\[ (<]", difference.place)[0]
            for index, one in enumerate(graph.tasks):
                if any(output.variable.name == name for output in one.outputs):
                    task = index
        case "stdout" | "stderr":
            for attempt in attempts:
                written = attempt.stdout if difference.row == "stdout" else attempt.stderr
                for line in (difference.native, difference.inferred):
                    if len(line) > 3 and line in written:
                        task = attempt.task
        case "files" | "files elsewhere":
            for attempt in attempts:
                for use in attempt.files:
                    if use.mode == "write" and difference.place.partition(", ")[0].endswith(use.path):
                        task = attempt.task
        case "exit status":
            task = next((attempt.task for attempt in attempts if attempt.status == "failed"), -1)
    if task < 0:
        return Finding(difference)
    span = graph.tasks[task].span
    return Finding(difference, graph.tasks[task].name, span.path, span.line)
