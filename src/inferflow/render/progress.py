"""The live display on stderr while a run goes on.

    ⠹ 3 fit_forest     12 s
    ⠹ 4 fit_svm       3.4 s  ahead
      2 of 10 tasks done · 15 s

It stands below the cursor, which stays where the driver's own output left it, even in the middle of a line; so to take
it away is to erase what is below. It does so before the driver's output reaches the terminal, and is drawn at most ten
times a second, the first time after half a second. Plain ANSI sequences, by hand: a library for it would take longer
to import than most tasks to run.

``Progress`` is an observer of the session:

    progress = Progress(sys.stderr, color=True)
    progress.planned(run, graph)
    progress.event(event)              # each event of the run
    progress.before_output()           # before anyone else writes to the terminal
    progress.tick()                    # now and then; says in how many seconds it wants to be called again
    progress.close()
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from inferflow.model import (
    Event,
    RunFinished,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskGraph,
    TaskRetired,
    TaskStarted,
)
from inferflow.render.style import Piece, cells, clean, compose, for_encoding
from inferflow.render.units import count, duration

__all__ = ["Progress", "wants_progress"]

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES = "|/-\\"
DELAY = 0.5
"""Seconds before anything is drawn: most runs need no display."""

INTERVAL = 0.1
"""Seconds between two drawings."""

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

    def __init__(self, out: TextIO, *, color: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._color, self._clock = out, color, clock
        self._names: list[str] = []
        self._began = self._drawn = clock()
        self._running: dict[int, tuple[float, bool]] = {}
        self._done: set[int] = set()
        self._ahead: set[int] = set()
        self._reused = 0
        self._shown = False
        self._open = False
        plain = for_encoding(FRAMES, getattr(out, "encoding", None)) != FRAMES
        self._frames = PLAIN_FRAMES if plain else FRAMES

    def planned(self, run: str, graph: TaskGraph) -> None:
        """The tasks are known; from now on there is something to show."""
        self._names = [clean(task.name) for task in graph.tasks]
        self._began = self._drawn = self._clock()
        self._open = True

    def event(self, event: Event) -> None:
        """Take note of an event of the run."""
        match event:
            case TaskStarted():
                self._running[event.task] = (self._clock(), event.where == "ahead")
                self._ahead.discard(event.task)
                self._reused += event.where == "reused"
            case TaskFinished():
                if self._running.pop(event.task, (0.0, False))[1]:
                    self._ahead.add(event.task)
            case TaskRetired():
                self._done.add(event.task)
                self._ahead.discard(event.task)
                self._running.pop(event.task, None)
            case TaskDropped() | TaskFailed():
                self._running.pop(event.task, None)
                self._ahead.discard(event.task)
            case RunFinished():
                self.close()
            case _:
                pass

    def tick(self) -> float | None:
        """Draw again if it is time to; seconds until the next drawing."""
        if not self._open:
            return None
        now = self._clock()
        left = max(self._began + DELAY, self._drawn + INTERVAL) - now
        if left > 0:
            return left
        self._drawn = now
        lines = self._picture(now)
        # Make room below without losing the cursor's column (ESC D), remember the place, draw, come back.
        room = f"{chr(27)}D" * len(lines) + f"\x1b[{len(lines)}A"
        self._write(f"\x1b[J{room}\x1b7\n\r" + "\n\r".join(lines) + "\x1b8")
        self._shown = True
        return INTERVAL

    def before_output(self) -> None:
        """Take the display away: someone else is about to write."""
        if self._shown:
            self._shown = False
            self._write("\x1b[J")
            self._drawn = self._clock()

    def close(self) -> None:
        """Take the display away for good; idempotent."""
        self.before_output()
        self._open = False

    def _picture(self, now: float) -> list[str]:
        width, height = self._size()
        width -= 1  # a full line would wrap
        most = max(0, min(MOST, height - 4))
        frame = self._frames[int(now / INTERVAL) % len(self._frames)]
        shown = sorted(self._running.items())
        longest = max((cells(self._names[task]) for task, _ in shown[:most]), default=0)
        digits = len(str(len(self._names)))
        lines = []
        for task, (since, ahead) in shown[:most]:
            name = self._names[task]
            pieces: list[Piece] = [(f"{frame} ", "link"), (f"{task + 1:>{digits}} ", "dim"), (name, "name")]
            pieces.append((" " * (longest - cells(name)) + f"  {duration(now - since):>10}", ""))
            pieces.append(("  ahead" if ahead else "", "ahead"))
            lines.append(compose(pieces, width, self._color))
        if len(shown) > most > 0:
            lines.append(compose([(f"  and {len(shown) - most} more", "dim")], width, self._color))
        parts = [f"{len(self._done)} of {count(len(self._names), 'task')} done"]
        if self._reused:
            parts.append(f"{self._reused} used again")
        if self._ahead:
            parts.append(f"{len(self._ahead)} done ahead")
        parts.append(duration(now - self._began))
        return [*lines, compose([("  " + " · ".join(parts), "dim")], width, self._color)]

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._out.fileno())
        except (OSError, ValueError):
            return 80, 24
        return max(20, size.columns), size.lines

    def _write(self, text: str) -> None:
        try:
            self._out.write(for_encoding(text, getattr(self._out, "encoding", None)))
            self._out.flush()
        except (OSError, ValueError):  # the terminal has gone: the run goes on without a display
            self._open = self._shown = False
