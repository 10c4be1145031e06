"""Who watches a run: the live display, the JSON lines, a test."""

from __future__ import annotations

from typing import Protocol

from inferflow.model import Event, TaskGraph

__all__ = ["Observer", "Silent"]


class Observer(Protocol):
    """All calls come from the controlling process's main thread, in order."""

    def planned(self, run: str, graph: TaskGraph) -> None:
        """The driver was analysed and recorded; it goes on running now."""
        ...

    def event(self, event: Event) -> None:
        """Something happened (it is on disk already)."""
        ...

    def before_output(self) -> None:
        """The driver's own output is about to be shown: take away whatever stands in its way."""
        ...

    def tick(self) -> float | None:
        """Called now and then; may redraw. Seconds until it wants to be called again, ``None`` for no wish."""
        ...


class Silent:
    """An observer that does nothing."""

    def planned(self, run: str, graph: TaskGraph) -> None: ...

    def event(self, event: Event) -> None: ...

    def before_output(self) -> None: ...

    def tick(self) -> float | None:
        return None
