"""The driver's standard streams: relayed as native, kept task by task.

Home's file descriptors 1 and 2 lead to the controller (a pipe, or a pseudo-terminal where native's would be a
terminal), so whatever writes there, C code and child processes too, arrives in order. ``sys.stdout`` keeps
native's buffering: flushing at task boundaries would change the order against child processes. To know which
task printed what although it is still in a buffer, the streams note what they are given; the controller subtracts
these notes from what arrives, and knows what came from elsewhere.

In a helper the same stream objects (a logging handler may hold them) keep what is written instead of writing it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from inferflow.worker.channel import high_descriptor
from inferflow.worker.own import library

__all__ = ["LIMIT", "Streams"]

LIMIT = 8 << 20
"""Characters of a task's output on one stream that are kept; all of it is shown."""


class _Note:
    """What was written to one stream since the last mark: text and bytes in order, and the sizes of the writes that
    reached the descriptor. With ``capture`` nothing is written, only noted."""

    def __init__(self, terminal: bool) -> None:
        self.parts: list[Any] = []
        self.size = 0
        self.length = 0
        """The same in characters, as far as it is text."""
        self.sizes: list[int] = []
        self.capture = False
        self.flushed = -1
        """With ``capture``: how many bytes had been noted when the task last flushed; -1 if it did not."""
        self.inside = False
        self.direct = False
        self.terminal = terminal
        self.tell: Any = None
        """With ``capture``, where a task's output is kept piece by piece (see ``Streams.keep_pieces``): takes the kind
        and the bytes."""

    def add(self, part: Any, length: int = -1) -> None:
        self.size += len(part)
        self.length += len(part) if length < 0 else length
        if self.size <= LIMIT:
            self.parts.append(part)

    def take(self, encoding: str, errors: str) -> bytes:
        parts, self.parts, self.size, self.length = self.parts, [], 0, 0
        if not parts:
            return b""
        try:
            return b"".join([part if isinstance(part, bytes) else part.encode(encoding, errors) for part in parts])
        except UnicodeError:
            return b"".join([part if isinstance(part, bytes) else part.encode("utf-8", "replace") for part in parts])


class _Raw(io.FileIO):
    """Counts what really goes to the descriptor."""

    note: _Note

    def write(self, data: Any) -> int:
        note = self.note
        if note.capture:
            return len(data)
        written = super().write(data)
        if written:
            note.sizes.append(written)
        return written

    def isatty(self) -> bool:
        return self.note.terminal


class _Unbuffered(_Raw):
    """Under ``python -u`` this is ``sys.stdout.buffer``: it notes what does not come through the text layer."""

    def write(self, data: Any) -> int:
        note = self.note
        if not note.inside:
            note.add(bytes(data))
            if note.capture and note.tell is not None:
                note.tell("bytes", bytes(data))
        return super().write(data)


class _Buffer(io.BufferedWriter):
    """``sys.stdout.buffer``: notes what does not come through the text layer."""

    note: _Note

    def write(self, data: Any) -> int:
        note = self.note
        if not note.inside:
            note.add(bytes(data))
        if note.capture:
            note.direct = True
            if note.tell is not None:
                note.tell("bytes", bytes(data))
            return len(data)
        return super().write(data)

    def isatty(self) -> bool:
        return self.note.terminal

    def __repr__(self) -> str:  # (that of the class that we stand for says its module)
        return io.BufferedWriter.__repr__(self).replace("<BufferedWriter", "<_io.BufferedWriter", 1)


class _Text(io.TextIOWrapper):
    """``sys.stdout`` itself. All its buffering is native's."""

    note: _Note

    def write(self, text: str) -> int:
        note = self.note
        if note.capture:
            if not isinstance(text, str):
                super().write(text)  # type: ignore[unreachable]  # raises, as natively
            data = text.encode(self.encoding, self.errors or "strict")
            if note.tell is not None:
                note.tell("text", data)
            note.add(data, len(text))
            return len(text)
        note.inside = True
        try:
            count = super().write(text)
        finally:
            note.inside = False
        note.add(text)
        return count

    def flush(self) -> None:
        note = self.note
        if note.capture:
            note.flushed = note.size
            if note.tell is not None:
                note.tell("flush", b"")
            return
        note.inside = True
        try:
            super().flush()
        finally:
            note.inside = False


for _kind in (_Text, _Buffer, _Unbuffered, _Raw):
    _native = next(base for base in _kind.__mro__ if base.__module__ == "_io")
    for _name in ("__module__", "__name__", "__qualname__"):
        setattr(_kind, _name, getattr(_native, _name))  # as a driver that looks finds them natively


class Streams:
    """Both streams of one process. ``install`` puts them in place of the interpreter's own. ``mark`` is what home
    writes on its descriptors where a task's output ends (the controller takes it out)."""

    def __init__(self, mark: bytes = b"", one_stream: bool = False) -> None:
        self.texts: dict[str, _Text] = {}
        self.numbers = {"stdout": 1, "stderr": 2}
        """The descriptors that the streams write to."""
        self._mark = mark
        # Descriptors of our own: the user's code may point 1 and 2 elsewhere, where a mark must not go.
        numbers = ((1,) if one_stream else (1, 2)) if mark else ()
        self._ends = [high_descriptor(os.dup(number)) for number in numbers if _is_open(number)]

    def cut(self) -> None:
        """Mark, on the descriptors, that a task's output ends here."""
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
        for name, number in self.numbers.items():
            native = getattr(sys, name)
            if native is not None:  # else it was closed before we started, as natively
                self._replace(name, number, native)

    def _replace(self, name: str, number: int, native: Any) -> None:
        native.flush()
        note = _Note(native.isatty())
        buffer: Any
        if isinstance(native.buffer, io.RawIOBase):
            buffer = raw = _Unbuffered(number, "wb", closefd=False)
        else:
            raw = _Raw(number, "wb", closefd=False)  # type: ignore[assignment]
            buffer = _Buffer(raw, _buffer_size(raw))
            buffer.note = note
        raw.note = note
        raw.name = f"<{name}>"
        text = _Text(
            buffer,
            encoding=native.encoding,
            errors=native.errors,
            newline="\n" if os.linesep == "\n" else None,
            line_buffering=native.line_buffering,
            write_through=native.write_through,
        )
        text.note = note
        text.mode = "w"  # type: ignore[misc]
        self.texts[name] = text
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)

    def mark(self) -> dict[str, Any]:
        """What was written since the last mark: for each stream the noted bytes, and the sizes of the writes that
        reached the descriptor."""
        out: dict[str, Any] = {}
        for name, text in self.texts.items():
            note = text.note
            if note.parts or note.sizes:
                try:
                    encoding, errors = text.encoding, text.errors or "strict"
                except ValueError:  # the user's code has detached its buffer
                    encoding, errors = "utf-8", "replace"
                left_out = max(0, note.size - LIMIT)
                out[name] = [note.take(encoding, errors), note.sizes, left_out]
                note.sizes = []
        return out

    def flushed(self) -> dict[str, int]:
        """Up to where a captured task has flushed since this was last asked: what home has in its buffers then must
        leave them, or it would come after what child processes write next."""
        found = {name: text.note.flushed for name, text in self.texts.items() if text.note.flushed >= 0}
        for text in self.texts.values():
            text.note.flushed = -1
        return found

    def capture(self) -> None:
        """From now on keep what is written and write nothing (in a helper)."""
        for text in self.texts.values():
            text.note.capture = True
            text.note.parts = []

    def keep_pieces(self, tell: Callable[[str, str, bytes], None]) -> None:
        """Besides, tell what is written as it is written: the stream, the kind of the piece (``text``; ``bytes`` below
        the text layer; ``flush``), the bytes."""
        for name, text in self.texts.items():
            text.note.tell = partial(tell, name)

    def is_redirected(self) -> bool:
        """Whether what is printed goes elsewhere now: a copy of this process would print into a copy of that."""
        return any(getattr(sys, name, None) is not text for name, text in self.texts.items())

    def wrote_bytes(self) -> bool:
        """Whether, while they were kept, bytes were written below the text layer: they overtake text that waits there,
        so they cannot be repeated as text."""
        found = any(text.note.direct for text in self.texts.values())
        for text in self.texts.values():
            text.note.direct = False
        return found

    def replay(self, name: str, data: bytes, flushed: int = -1) -> None:
        """Write what a helper kept, as if it were printed here, and flush where the task did."""
        text = self.texts.get(name)
        if text is None:
            return
        self._repeat(text, data[: max(flushed, 0)])
        if flushed >= 0:
            text.flush()
        self._repeat(text, data[max(flushed, 0) :])

    def play(self, pieces: list[list[Any]]) -> None:
        """Write what a task wrote elsewhere, piece by piece, into the same buffers or past them: ``raw`` is what child
        processes wrote, ``c`` what C code left in its own buffer."""
        for name, kind, data in pieces:
            text = self.texts.get(name)
            if kind == "raw" or (kind == "c" and not _put_into_c_buffer(name, data)):
                _write_all({"stdout": 1, "stderr": 2}[name], data)
            elif text is None or kind == "c":
                continue
            elif kind == "text":
                self.replay(name, data)
            elif kind == "bytes":
                text.buffer.write(data)
            else:
                text.flush()

    def _repeat(self, text: _Text, data: bytes) -> None:
        if not data:
            return
        try:
            text.write(data.decode(text.encoding, text.errors or "strict"))
        except UnicodeError:
            text.flush()
            text.buffer.write(data)

    def become_native(self) -> None:
        """The run is over: nothing is noted any more. What the interpreter still writes while it takes its modules
        apart (``__del__`` of what the driver left, exit handlers) must not need Python code of ours, which would miss
        its builtins by then and lose what is still in a buffer."""
        for kind in (_Text, _Buffer, _Unbuffered, _Raw):
            for method in ("write", "flush"):
                if method in kind.__dict__:
                    delattr(kind, method)
        self.texts = {}  # their end is what flushes them last

    def flush(self) -> None:
        """As the interpreter does at its end."""
        for name in self.texts:
            stream: Any = getattr(sys, name, None)
            if stream is not None:
                stream.flush()


def _write_all(number: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(number, data) :]
    except OSError:  # it is closed: natively the child would have failed to write
        pass


def _put_into_c_buffer(name: str, data: bytes) -> bool:
    """Give bytes to C's own buffer of a standard stream, which comes out when it is full or the process ends."""
    try:
        ctypes = library("ctypes")
        libc = ctypes.CDLL(None)
        stream = ctypes.c_void_p.in_dll(libc, name)
        libc.fwrite(data, ctypes.c_size_t(1), ctypes.c_size_t(len(data)), stream)
    except (ImportError, OSError, AttributeError, ValueError):
        return False
    return True


def _buffer_size(raw: io.FileIO) -> int:
    """As ``open`` chooses it: the block size of what is written to (4096 for a pipe)."""
    size: int = getattr(raw, "_blksize", 0)
    if sys.version_info >= (3, 14):
        return max(min(size, 8 << 20), io.DEFAULT_BUFFER_SIZE)
    return size if size > 1 else io.DEFAULT_BUFFER_SIZE


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
