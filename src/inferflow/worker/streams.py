"""The driver's standard streams: relayed as native, kept task by task.

Home's file descriptors 1 and 2 lead to the controller (a pipe, or a pseudo-terminal where native's would be a
terminal), so whatever writes there, C code and child processes too, arrives in order. ``sys.stdout`` keeps
native's buffering: flushing at task boundaries would change the order against child processes. To know which
task printed what although it is still in a buffer, the layer below the text layer notes each byte that passes
(``Tee``); the controller subtracts these from what arrives and knows what came from elsewhere.

In a helper the same stream objects (a logging handler may hold them) keep what is written instead of writing it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from inferflow.worker.channel import high_descriptor

__all__ = ["Streams", "Tee"]


class _Raw(io.FileIO):
    """Counts what really goes to the descriptor: ``sizes`` of the writes since the last mark."""

    sizes: list[int]

    def write(self, data: Any) -> int:
        written = super().write(data)
        if written:
            self.sizes.append(written)
        return written


class Tee(io.BufferedWriter):
    """A buffered writer that remembers what was written since the last mark. With ``capture`` it writes nothing."""

    def __init__(self, raw: _Raw, terminal: bool) -> None:
        super().__init__(raw)
        self.note = bytearray()
        self.capture = False
        self.terminal = terminal

    def write(self, data: Any) -> int:
        self.note += data
        if self.capture:
            return len(data)
        return super().write(data)

    def isatty(self) -> bool:
        return self.terminal


class _Unbuffered(_Raw):
    """The same for ``python -u``, where there is no buffer."""

    note: bytearray
    capture: bool
    terminal: bool

    def write(self, data: Any) -> int:
        self.note += data
        if self.capture:
            return len(data)
        return super().write(data)

    def isatty(self) -> bool:
        return self.terminal


class Streams:
    """Both streams of one process. ``install`` puts them in place of the interpreter's own."""

    def __init__(self, mark: bytes = b"", one_stream: bool = False) -> None:
        self.tees: dict[str, Any] = {}
        self.raws: dict[str, _Raw] = {}
        self._mark = mark
        # Descriptors of our own: the user's code may point 1 and 2 elsewhere, where a mark must not go.
        self._ends = (
            [high_descriptor(os.dup(number)) for number in ((1,) if one_stream else (1, 2)) if _is_open(number)]
            if mark
            else []
        )

    def cut(self) -> None:
        """Mark, on the descriptors, that a task's output ends here (the controller takes the mark out)."""
        for end in self._ends:
            try:
                os.write(end, self._mark)
            except OSError:
                self._ends = [other for other in self._ends if other != end]

    def release(self) -> None:
        """In a forked child: let go of the descriptors that lead to the controller."""
        for end in self._ends:
            os.close(end)
        self._ends = []

    def install(self) -> None:
        for name, number in (("stdout", 1), ("stderr", 2)):
            native = getattr(sys, name)
            if native is None:  # closed before we started, as natively
                continue
            self._replace(name, number, native)

    def _replace(self, name: str, number: int, native: Any) -> None:
        native.flush()
        terminal = native.isatty()
        unbuffered = isinstance(native.buffer, io.RawIOBase)
        tee: Any
        if unbuffered:
            tee = raw = _Unbuffered(number, "wb", closefd=False)
            raw.note, raw.capture, raw.terminal = bytearray(), False, terminal
        else:
            raw = _Raw(number, "wb", closefd=False)  # type: ignore[assignment]
            tee = Tee(raw, terminal)
        raw.sizes = []
        raw.name = f"<{name}>"
        text = io.TextIOWrapper(
            tee,
            encoding=native.encoding,
            errors=native.errors,
            newline="\n" if os.linesep == "\n" else None,
            line_buffering=native.line_buffering,
            write_through=True,  # the text layer holds nothing back, so that Tee sees it at once
        )
        text.mode = "w"  # type: ignore[misc]
        self.tees[name], self.raws[name] = tee, raw
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)

    def mark(self) -> dict[str, Any]:
        """What was written since the last mark: for each stream the noted bytes, and the sizes of the writes that
        reached the descriptor."""
        out: dict[str, Any] = {}
        for name, tee in self.tees.items():
            raw = self.raws[name]
            if tee.note or raw.sizes:
                out[name] = [bytes(tee.note), raw.sizes]
                tee.note.clear()
                raw.sizes = []
        return out

    def capture(self) -> None:
        """From now on keep what is written and write nothing (in a helper)."""
        for tee in self.tees.values():
            tee.capture = True
            tee.note.clear()

    def replay(self, name: str, data: bytes) -> None:
        """Write what a helper kept, as if it were printed here."""
        tee = self.tees.get(name)
        if tee is None or not data:
            return
        tee.write(data)
        stream = getattr(sys, name, None)
        if b"\n" in data and getattr(stream, "line_buffering", False):
            tee.flush()

    def flush(self) -> None:
        """As the interpreter does at its end."""
        for name in self.tees:
            stream: Any | None = getattr(sys, name, None)
            if stream is not None:
                stream.flush()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
