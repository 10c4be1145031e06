"""Who watches a run for the command line: lines of JSON, or the terminal's display with its last line.

``JsonLines`` prints each event as it is recorded, and the summary at the end:

    {"kind": "run_started", "run": "20261122-2001-brave-otter", ...}
    {"kind": "task_retired", "time": 1.5, "task": 0, "attempt": 1}
    {"kind": "summary", "run": "20261122-2001-brave-otter", "status": "ok", "exit_code": 0, ...}
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferflow.cli.common import Shared, wants_color, width
from inferflow.cli.store import run_summary
from inferflow.config.project import project_root
from inferflow.model import Event, TaskGraph

if TYPE_CHECKING:
    from inferflow.session.run import RunOutcome

__all__ = ["JsonLines", "close_report"]


class JsonLines:
    """Events to stdout, one a line. Once nobody reads them any more, the run goes on in silence."""

    def __init__(self) -> None:
        self.open = True

    def planned(self, run: str, graph: TaskGraph) -> None:
        """The graph is in the store, and in ``show --json``."""

    def event(self, event: Event) -> None:
        from inferflow.wire import event_to_json

        self.line(event_to_json(event))

    def before_output(self) -> None:
        """The driver's output goes into the events."""

    def tick(self) -> float | None:
        return None

    def finish(self, outcome: RunOutcome) -> None:
        """The last line."""
        self.line(
            json.dumps({"kind": "summary", **run_summary(outcome.run())}, ensure_ascii=True, separators=(",", ":"))
        )

    def line(self, text: str) -> None:
        if not self.open:
            return
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self.open = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def close_report(outcome: RunOutcome, shared: Shared) -> None:
    """What stands under a finished run: its failure if it has one, and the line that names it."""
    from inferflow.render import render_failure
    from inferflow.render.style import for_encoding, paint
    from inferflow.render.units import duration

    run = outcome.run()
    color = wants_color(shared, sys.stderr)
    where = _where(outcome, shared)
    if run.status == "failed" and (failure := render_failure(outcome.graph, run, width(), color)):
        text = "\n" + failure
        if where:
            text += f"      (from this folder: inferflow {where}show {run.id})\n"
    else:
        role = {"ok": "ok", "interrupted": "warn"}.get(run.status, "fail")
        took = f" in {duration(run.duration)}" if run.duration is not None else ""
        look = paint(f"inferflow {where}show {run.id}", "link", color)
        text = f"{paint('inferflow:', 'dim', color)} {paint(run.status, role, color)}{took} · {look}\n"
    try:
        sys.stderr.write(for_encoding(text, sys.stderr.encoding))
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody listens
        pass


def _where(outcome: RunOutcome, shared: Shared) -> str:
    """What another command needs to find the run from the folder in which the user is."""
    if shared.folder:
        return f"-C {shared.folder} "
    return "" if outcome.store.parent == project_root(Path.cwd()) else f"-C {outcome.store.parent} "
