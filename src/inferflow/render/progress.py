"""The live display on stderr while a run goes on, and the line that ends a run.

    ⠹ 3 fit_forest     12 s
    ⠹ 4 fit_svm       3.4 s  ahead
      2 of 10 tasks done · 15 s

It takes itself away before the driver's own output reaches the terminal, stays away while that stands in the middle of
a line, and is drawn at most ten times a second, the first time after half a second. Plain ANSI sequences, by hand: a
library for it would take longer to import than most tasks to run.

    progress = Progress(graph, sys.stderr, color=True)
    progress.update(event)              # each event of the run
    progress.tick()                     # whenever the loop comes round, at least every Progress.interval seconds
    progress.clear()                    # before anyone else writes to the terminal ...
    progress.wrote(data)                # ... and what was written, so that a line is never cut
    progress.close()
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from inferflow.model import (
    Event,
    Run,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskGraph,
    TaskRetired,
    TaskStarted,
)
from inferflow.render.style import Piece, cells, clean, compose, for_encoding
from inferflow.render.units import count, duration

__all__ = ["Progress", "final_line", "wants_progress"]

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES = "|/-\\"
DELAY = 0.5
"""Seconds before anything is drawn: most runs need no display."""

MOST = 6
"""So many running tasks are shown."""


def wants_progress(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a live display makes sense there: a terminal that can move its cursor, and no CI."""
    try:
        return stream.isatty() and environ.get("TERM", "") not in ("", "dumb") and not environ.get("CI")
    except ValueError:  # closed
        return False


class Progress:
    """The display of one run. Not for several threads at once."""

    interval = 0.1
    """Seconds between two drawings."""

    def __init__(
        self, graph: TaskGraph, out: TextIO, *, color: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._names = [clean(task.name) for task in graph.tasks]
        self._out, self._color, self._clock = out, color, clock
        self._began = self._drawn = clock()
        self._running: dict[int, tuple[float, bool]] = {}
        self._done: set[int] = set()
        self._ahead: set[int] = set()
        self._lines = 0
        self._midline = False
        self._closed = False
        plain = for_encoding(FRAMES, getattr(out, "encoding", None)) != FRAMES
        self._frames = PLAIN_FRAMES if plain else FRAMES

    def update(self, event: Event) -> None:
        """Take note of an event of the run."""
        match event:
            case TaskStarted():
                self._running[event.task] = (self._clock(), event.where == "ahead")
                self._ahead.discard(event.task)
            case TaskFinished():
                if self._running.pop(event.task, (0.0, False))[1]:
                    self._ahead.add(event.task)
            case TaskRetired():
                self._done.add(event.task)
                self._ahead.discard(event.task)
            case TaskDropped() | TaskFailed():
                self._running.pop(event.task, None)
                self._ahead.discard(event.task)
            case _:
                pass
        self.tick()

    def tick(self) -> None:
        """Draw again if it is time to."""
        now = self._clock()
        if self._closed or self._midline or now - self._began < DELAY or now - self._drawn < self.interval:
            return
        self._drawn = now
        lines = self._picture(now)
        text = self._erasure() + "\n".join(lines)
        self._lines = len(lines)
        self._write(text)

    def clear(self) -> None:
        """Take the display away, the cursor back to where it began."""
        text = self._erasure()
        self._lines = 0
        if text:
            self._write(text)

    def wrote(self, data: bytes) -> None:
        """Someone else wrote this to the terminal: nothing is drawn until its last line is complete."""
        if data:
            self._midline = not data.endswith(b"\n")
            self._drawn = self._clock()

    def write_through(self, stream: TextIO, data: bytes) -> None:
        """Write to a stream that may go to the same terminal, the display out of the way."""
        self.clear()
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
        self.wrote(data)

    def close(self) -> None:
        """Take the display away for good; idempotent."""
        self.clear()
        self._closed = True

    def _erasure(self) -> str:
        if not self._lines:
            return ""
        up = f"\x1b[{self._lines - 1}A" if self._lines > 1 else ""
        return f"\r{up}\x1b[J"

    def _picture(self, now: float) -> list[str]:
        width = self._width() - 1  # a full line would wrap
        frame = self._frames[int(now / self.interval) % len(self._frames)]
        shown = sorted(self._running.items())
        longest = max((cells(self._names[task]) for task, _ in shown[:MOST]), default=0)
        digits = len(str(len(self._names)))
        lines = []
        for task, (since, ahead) in shown[:MOST]:
            name = self._names[task]
            pieces: list[Piece] = [(f"{frame} ", "link"), (f"{task + 1:>{digits}} ", "dim"), (name, "name")]
            pieces.append((" " * (longest - cells(name)) + f"  {duration(now - since):>10}", ""))
            pieces.append(("  ahead" if ahead else "", "ahead"))
            lines.append(compose(pieces, width, self._color))
        if len(shown) > MOST:
            lines.append(compose([(f"  and {len(shown) - MOST} more", "dim")], width, self._color))
        parts = [f"{len(self._done)} of {count(len(self._names), 'task')} done"]
        if self._ahead:
            parts.append(f"{len(self._ahead)} done ahead")
        parts.append(duration(now - self._began))
        return [*lines, compose([("  " + " · ".join(parts), "dim")], width, self._color)]

    def _width(self) -> int:
        try:
            return max(20, os.get_terminal_size(self._out.fileno()).columns)
        except (OSError, ValueError):
            return 80

    def _write(self, text: str) -> None:
        try:
            self._out.write(for_encoding(text, getattr(self._out, "encoding", None)))
            self._out.flush()
        except (OSError, ValueError):  # the terminal has gone: the run goes on without a display
            self._closed = True


def final_line(run: Run, color: bool = False) -> str:
    """``inferflow: run 2025... ok, 5 tasks in 1.2 s (2 ahead) · inferflow show 2025...``, without a newline. For a run
    that did not end well see ``render_failure``."""
    done = sum(attempt.status == "retired" for attempt in run.attempts)
    ahead = sum(attempt.status == "retired" and attempt.where == "ahead" for attempt in run.attempts)
    told = f", {count(done, 'task')}" + (f" in {duration(run.duration)}" if run.duration is not None else "")
    told += f" ({ahead} ahead)" if ahead else ""
    role = "ok" if run.status == "ok" else "fail"
    pieces: list[Piece] = [("inferflow: ", "dim"), (f"run {run.id} ", ""), (run.status, role), (told, "")]
    return compose([*pieces, (" · ", "dim"), (f"inferflow show {run.id}", "link")], 1000, color)
