"""Keeps the values that tasks leave: packed at once, small ones sent with the message, large ones written behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inferflow.worker import describe as described
from inferflow.worker import transport, transport_files
from inferflow.worker.layout import SMALL
from inferflow.worker.snapshot import keep_copy

__all__ = ["Keeper"]

LARGE = 1 << 20
"""Bytes. Smaller files are written before anybody could look at them."""


class Keeper:
    """Keeps values: packs them at once, writes small ones into the message and large ones behind."""

    def __init__(
        self,
        scratch: str,
        send: Callable[[dict[str, Any]], None],
        modules: Callable[[], frozenset[str]],
        silence: Callable[[], None],
    ) -> None:
        self.silence = silence
        self.scratch = scratch
        self.send = send
        self.writer: Any = None
        self.number = 0
        self.modules = modules

    def keep(
        self, names: list[str], values: tuple[Any, ...], check: bool, worth: Callable[[int], bool] | None = None
    ) -> dict[str, Any]:
        """The part of a message that tells how the values were kept. ``worth``: see ``transport.pack``."""
        facts = [[name, *described.describe(value)] for name, value in zip(names, values)]
        try:
            packed = transport.pack(values, check=check, project=self.modules(), quiet=True, worth=worth)
        except transport.Unpackable as error:
            return self._copied(values, facts) or self._one_by_one(names, values, facts, check, str(error))
        return {"facts": facts, **self._write(packed)}

    def _write(self, packed: Any) -> dict[str, Any]:
        part: dict[str, Any] = {"exact": packed.exact, "why": packed.why}
        if packed.size <= SMALL:
            stored = transport_files.write(packed, self.scratch)
            part.update(size=stored.size, inline=stored.inline)
            return part
        if self.writer is None:
            self.writer = transport_files.Writer(self.scratch)
        self.number += 1
        number, size = self.number, packed.size
        begun = (lambda path: self._begin(number, path, size)) if size > LARGE else None
        self.writer.submit(packed, begun, lambda ticket: self._tell(number, ticket))
        part["pending"] = number
        return part

    def _begin(self, number: int, path: str, size: int) -> None:
        """In the writing thread: a large value is about to be written; the controller may digest it meanwhile."""
        self.send({"kind": "writing", "id": number, "file": path, "size": size})

    def _tell(self, number: int, ticket: Any) -> None:
        """In the writing thread: a large value is on disk, or could not be written."""
        if ticket.error is None:
            stored = ticket.stored
            message = {"kind": "stored", "id": number, "file": stored.path, "size": stored.size}
        else:
            why = getattr(ticket.error, "strerror", None) or str(ticket.error)
            message = {"kind": "stored", "id": number, "error": f"it could not be written: {why}"}
        self.send(message)

    def wait(self) -> None:
        """Until all values are on disk: one of them may be changed now."""
        if self.writer is not None:
            self.writer.wait()

    def _copied(self, values: tuple[Any, ...], facts: Any) -> dict[str, Any] | None:
        """Values that only methods of the user's can pack."""
        modules = self.modules()
        if not transport.touches_user_code(values, modules):
            return None
        kept = keep_copy(values, self.scratch, modules, self.silence)
        return {"facts": facts, "exact": False, **kept} if kept else None

    def _one_by_one(
        self, names: list[str], values: tuple[Any, ...], facts: Any, check: bool, why: str
    ) -> dict[str, Any]:
        """What cannot be packed does not keep the others from being kept (their shared parts are lost then)."""
        if len(names) == 1:
            return {"facts": facts, "unpackable": why}
        parts = []
        for name, value in zip(names, values):
            parts.append(self.keep([name], (value,), check))
        return {"facts": facts, "parts": parts, "unpackable": why}
