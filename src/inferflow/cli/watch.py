"""Who watches a run for the command line: lines of JSON, or the terminal's display with the last line.

``JsonLines`` prints each event as it is recorded, and the summary at the end:

    {"kind": "run_started", "run": "20261122-2001-brave-otter", ...}
    {"kind": "task_retired", "time": 1.5, "task": 0, "attempt": 1}
    {"kind": "summary", "run": "20261122-2001-brave-otter", "status": "ok", "exit_code": 0, ...}

``Tally`` counts what the last line tells, so that nothing has to be read back from the store:

    inferflow: ok, 10 tasks in 1.2 s (2 ahead) · inferflow show 20261122-2001-brave-otter
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferflow.cli.common import Shared, wants_color, width
from inferflow.config.project import project_root
from inferflow.model import Event, RunFinished, RunStarted, TaskFailed, TaskGraph, TaskRetired, TaskStarted

if TYPE_CHECKING:
    from inferflow.session.observer import Observer
    from inferflow.session.run import RunOutcome

__all__ = ["JsonLines", "Tally", "close_report"]


_FOREIGN = frozenset({"PlacementFailed", "WorkerLost", "Timeout", "ParameterError"})


class JsonLines:
    """Events to stdout, one a line. Once nobody reads them any more, the run goes on in silence."""

    def __init__(self) -> None:
        self.open = True
        self.ends: list[Event] = []

    def planned(self, run: str, graph: TaskGraph) -> None:
        """The graph is in the store, and in ``preview --json``."""

    def event(self, event: Event) -> None:
        """Print it."""
        from inferflow.wire import event_to_json

        if isinstance(event, RunStarted | RunFinished):
            self.ends.append(event)
        self.line(event_to_json(event))

    def before_output(self) -> None:
        """The driver's output goes into the events."""

    def tick(self) -> float | None:
        """Nothing moves."""
        return None

    def finish(self, outcome: RunOutcome) -> None:
        """The last line."""
        from inferflow.cli.store import run_summary
        from inferflow.storage.fold import fold

        summary = run_summary(fold(outcome.run_id, self.ends, True))
        self.line(json.dumps({"kind": "summary", **summary}, ensure_ascii=True, separators=(",", ":")))

    def line(self, text: str) -> None:
        """One line, at once."""
        if not self.open:
            return
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self.open = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Tally:
    """Counts, and passes everything on to a display if there is one."""

    def __init__(self, display: Observer | None = None) -> None:
        self.display = display
        self.retired = 0
        self.ahead = self.reused = 0
        self.started = 0.0
        self.finished: RunFinished | None = None
        self.failed: TaskFailed | None = None
        self._ahead: set[tuple[int, int]] = set()

    def planned(self, run: str, graph: TaskGraph) -> None:
        """Pass it on."""
        if self.display:
            self.display.planned(run, graph)

    def event(self, event: Event) -> None:
        """Count it, and pass it on."""
        match event:
            case RunStarted():
                self.started = event.time
            case TaskStarted(where="ahead"):
                self._ahead.add((event.task, event.attempt))
            case TaskStarted(where="reused"):
                self.reused += 1
            case TaskRetired():
                self.retired += 1
                self.ahead += (event.task, event.attempt) in self._ahead
            case TaskFailed():
                self.failed = event
            case RunFinished():
                self.finished = event
            case _:
                pass
        if self.display:
            self.display.event(event)

    @property
    def is_foreign(self) -> bool:
        """Whether something has ended the run that natively would not have been there (a container, a limit), so that
        the driver itself has not said anything of it."""
        return self.failed is not None and self.failed.exception in _FOREIGN and not self.failed.traceback

    def before_output(self) -> None:
        """Pass it on."""
        if self.display:
            self.display.before_output()

    def tick(self) -> float | None:
        """Pass it on."""
        return self.display.tick() if self.display else None


def close_report(outcome: RunOutcome, tally: Tally, shared: Shared) -> None:
    """What stands under a finished run: its failure if it has one, and the line that names it."""
    from inferflow.render.style import for_encoding

    color = wants_color(shared, sys.stderr)
    text = _failure(outcome, tally, shared, color) or _last_line(outcome, tally, shared, color)
    try:
        sys.stderr.write(for_encoding(text, sys.stderr.encoding))
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody listens
        pass


def _failure(outcome: RunOutcome, tally: Tally, shared: Shared, color: bool) -> str:
    from inferflow.render import render_failure

    if tally.finished is None or tally.finished.status in ("ok", "interrupted"):
        return ""
    run = outcome.run()
    text = render_failure(outcome.graph, run, width(), color, output=False)
    where = _where(outcome, shared)
    return text and "\n" + text + (f"      (from this folder: inferflow {where}show {run.id})\n" if where else "")


def _last_line(outcome: RunOutcome, tally: Tally, shared: Shared, color: bool) -> str:
    from inferflow.render.style import paint
    from inferflow.render.units import count, duration

    status = tally.finished.status if tally.finished else "crashed"
    role = {"ok": "ok", "interrupted": "warn"}.get(status, "fail")
    took = f" in {duration(tally.finished.time - tally.started)}" if tally.finished else ""
    parts = [f"{number} {word}" for number, word in ((tally.ahead, "ahead"), (tally.reused, "used again")) if number]
    ahead = f" ({', '.join(parts)})" if parts else ""
    look = paint(f"inferflow {_where(outcome, shared)}show {outcome.run_id}", "link", color)
    told = f"{paint(status, role, color)}, {count(tally.retired, 'task')}{took}{ahead}"
    line = f"{paint('inferflow:', 'dim', color)} {told} · {look}\n"
    if status != "interrupted":
        return line
    from inferflow.render import resume_command

    resume = resume_command(outcome.run(), f"-C {shared.folder} " if shared.folder else "")
    return f"{line}  {paint('go on with', 'dim', color)} {paint(resume, 'link', color)}\n" if resume else line


def _where(outcome: RunOutcome, shared: Shared) -> str:
    """What another command needs to find the run from the folder in which the user is."""
    if shared.folder:
        return f"-C {shared.folder} "
    return "" if outcome.store.parent == project_root(Path.cwd()) else f"-C {outcome.store.parent} "
