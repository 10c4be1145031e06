"""Which turn of which loop printed what: stretches of the task's own output, as the streams note it.

for x in xs:            turn 0 begins at character 0, turn 1 at 6, ...: the text between is turn 0's
    print("f", x)

[region, path, item, stream, start, stop]      a row; ``path`` are the indices of the loops around and its own
"""

from __future__ import annotations

from typing import Any

__all__ = ["Printed"]

MOST = 2_000
"""So many stretches of a task are kept."""
NAMES = ("stdout", "stderr")


class Printed:
    """What turns printed in the present task."""

    def __init__(self, streams: Any) -> None:
        self.streams = streams
        self.rows: list[list[Any]] = []
        self.open: dict[int, tuple[int, int, list[int], str]] = {}

    def _sizes(self) -> tuple[int, int]:
        texts = self.streams.texts
        first, second = (texts[name].note.length if name in texts else 0 for name in NAMES)
        return first, second

    def begin(self, region: int, path: list[int], item: str) -> None:
        """A turn begins, and with it ends the one before."""
        sizes = self._sizes()
        self._close(region, sizes)
        self.open[region] = (*sizes, path, item)

    def end(self, region: int) -> None:
        """The loop is over."""
        if region in self.open:
            self._close(region, self._sizes())

    def _close(self, region: int, sizes: tuple[int, int]) -> None:
        known = self.open.pop(region, None)
        if known is None or sizes == known[:2] or len(self.rows) >= MOST:
            return
        for name, start, stop in zip(NAMES, known[:2], sizes):
            if stop > start:
                self.rows.append([region, known[2], known[3], name, start, stop])

    def has_printed(self, region: int) -> bool:
        """Whether anything was printed since the present turn began."""
        known = self.open.get(region)
        return known is not None and known[:2] != self._sizes()

    def take(self) -> tuple[list[list[Any]], list[int]]:
        """The rows of the task, which is over, and how much it printed on each stream."""
        sizes = self._sizes()
        for region in list(self.open):
            self._close(region, sizes)
        rows, self.rows = self.rows, []
        return rows, list(sizes)
