"""The outputs of a notebook's cells: gathered while they run, and in the form of the file format.

What a kernel would send to its frontends comes to a ``Record``: displays, results, errors, and what cells print. What
is written past Python's streams, by C code and child processes, goes to files that are looked at (``Past``) before
anything else is recorded, so that everything stands in the order in which it was written.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from contextvars import ContextVar
from typing import Any

from inferflow.worker.channel import high_descriptor

__all__ = ["JOURNAL", "CellStream", "Past", "Record", "executed_so_far", "notebook_text"]

JOURNAL = "executed.jsonl"
"""The file in which home notes what each cell left: its number, its count, its outputs."""


_CELL: ContextVar[int] = ContextVar("cell")


class Record:
    """The outputs of the cell that runs, as the file format has them. What a task of the event loop prints that an
    earlier cell made belongs to that cell, which is done: it is shown, but stands in no notebook (as with nbclient)."""

    def __init__(self, past: Any) -> None:
        self.number = 0
        self.past = past
        self.outputs: list[dict[str, Any]] = []
        self.displays: dict[str, list[dict[str, Any]]] = {}
        self.clear = False
        self.states: dict[str, dict[str, Any]] = {}
        self.buffers: dict[str, dict[str, dict[str, Any]]] = {}

    def begin(self) -> None:
        self.outputs = []
        self.clear = False
        self.number += 1
        _CELL.set(self.number)

    def _is_late(self) -> bool:
        return _CELL.get(self.number) != self.number

    def stream(self, name: str, text: str) -> None:
        """What a cell printed."""
        if text and not self._is_late():
            self.add(name, text)

    def add(self, name: str, text: str) -> None:
        """Add text to a stream of the cell that runs."""
        self._cleared()
        last = self.outputs[-1] if self.outputs else None
        if last is not None and last["output_type"] == "stream" and last["name"] == name:
            last["text"] += text
        else:
            self.outputs.append({"output_type": "stream", "name": name, "text": text})

    def widgets(self) -> dict[str, Any]:
        """What widgets (ipywidgets) are at the end, as nbclient writes it into a notebook; empty if there are none."""
        if not self.states:
            return {}
        found: dict[str, Any] = {}
        for key, state in self.states.items():
            if "_model_name" not in state:
                continue
            names = ("_model_name", "_model_module", "_model_module_version")
            found[key] = {**{name[1:]: state.get(name) for name in names}, "state": state}
            if self.buffers.get(key):
                found[key]["buffers"] = list(self.buffers[key].values())
        return {
            "application/vnd.jupyter.widget-state+json": {"state": found, "version_major": 2, "version_minor": 0},
        }

    def _of_a_widget(self, content: dict[str, Any], buffers: Any) -> None:
        key, data = content["comm_id"], content.get("data", {})
        if not isinstance(data, dict) or "state" not in data:
            return
        self.states.setdefault(key, {}).update(data["state"])
        for path, buffer in zip(data.get("buffer_paths") or (), buffers or ()):
            text = base64.b64encode(buffer).decode()
            known = self.buffers.setdefault(key, {})
            known[json.dumps(path)] = {"data": text, "encoding": "base64", "path": path}

    def message(self, kind: str, content: dict[str, Any], buffers: Any = None) -> None:
        """What the shell sends to its frontends. A helper that displays something ends: home does it then."""
        if any(text.note.capture for text in self.past.streams.texts.values()):
            os._exit(3)
        if self._is_late():
            return
        if kind == "stream":
            self.stream(content["name"], content["text"])
            return
        if kind in ("comm_open", "comm_msg"):
            self._of_a_widget(content, buffers)
            return
        self.past.drain(self)
        if kind == "clear_output":
            if content.get("wait"):
                self.clear = True
            else:
                self.outputs.clear()
            return
        if kind == "error":
            self._cleared()
            names = ("ename", "evalue", "traceback")
            self.outputs.append({"output_type": "error", **{name: content[name] for name in names}})
            return
        if kind not in ("display_data", "execute_result", "update_display_data"):
            return
        display = content.get("transient", {}).get("display_id")
        if kind == "update_display_data":
            for output in self.displays.get(display or "", ()):
                output.update(data=content["data"], metadata=content.get("metadata", {}))
            return
        self._cleared()
        output = {"output_type": kind, "data": content["data"], "metadata": content.get("metadata", {})}
        if kind == "execute_result":
            output["execution_count"] = content["execution_count"]
        self.outputs.append(output)
        if display:
            self.displays.setdefault(display, []).append(output)

    def _cleared(self) -> None:
        if self.clear:
            self.clear = False
            self.outputs.clear()


class CellStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of a kernel: into the record, and on to the real stream."""

    encoding = "UTF-8"
    errors = "strict"

    def __init__(self, name: str, text: Any, record: Record) -> None:
        super().__init__()
        self.name = name
        self.text = text
        self.record = record

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return 1 if self.name == "stdout" else 2

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        if not self.text.note.capture:  # in a helper, home shows it later
            self.record.past.drain(self.record)
            self.record.stream(self.name, text)
        try:
            self.text.write(text)
        except UnicodeError:
            self.text.write(text.encode(self.text.encoding, "replace").decode(self.text.encoding))
        if "\n" in text:
            self.text.flush()
        return len(text)

    def flush(self) -> None:
        if not self.text.note.capture:
            self.record.past.drain(self.record)
        self.text.flush()

    def set_parent(self, parent: Any) -> None:
        """A kernel's stream has it."""


for _name, _value in (("__module__", "ipykernel.iostream"), ("__name__", "OutStream"), ("__qualname__", "OutStream")):
    setattr(CellStream, _name, _value)  # as a kernel's are called


class Past:
    """What is written past Python's streams: descriptors 1 and 2 lead to files that are read here and passed on."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, int]] = {}
        self.streams: Any = None

    def install(self, streams: Any) -> None:
        import tempfile

        self.streams = streams
        for name, number in (("stdout", 1), ("stderr", 2)):
            try:
                real = high_descriptor(os.dup(number))
            except OSError:
                continue
            handle, path = tempfile.mkstemp(prefix="inferflow-")
            os.close(handle)
            writer = os.open(path, os.O_WRONLY | os.O_APPEND)
            reader = high_descriptor(os.open(path, os.O_RDONLY))
            os.unlink(path)
            os.dup2(writer, number)
            os.close(writer)
            self.files[name] = (reader, number)
            streams.numbers[name] = real

    def drain(self, record: Record) -> None:
        """Record what came, and show it."""
        for name, (reader, _) in self.files.items():
            data = os.read(reader, 1 << 20)
            while data:
                record.add(name, data.decode("utf-8", "replace"))
                text = self.streams.texts.get(name)
                if text is not None:
                    text.flush()
                    os.write(self.streams.numbers[name], data)
                data = os.read(reader, 1 << 20)


# -- the file format ---------------------------------------------------------------------------------


def notebook_text(book: dict[str, Any]) -> bytes:
    """A notebook in the form in which Jupyter writes it."""
    out = dict(book)
    out["metadata"] = {**book.get("metadata", {}), "language_info": _language_info()}
    out["cells"] = [_as_lines(cell) for cell in book["cells"]]
    text = json.dumps(out, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": "))
    return (text + "\n").encode("utf-8", "surrogatepass")


def executed_so_far(book: dict[str, Any], journal: bytes) -> bytes:
    """A notebook as far as it came, from what was noted while it ran."""
    cells = [dict(cell) for cell in book["cells"]]
    for cell in cells:
        if cell.get("cell_type") == "code":
            cell.update(outputs=[], execution_count=None)
    for line in journal.splitlines():
        try:
            number, count, outputs = json.loads(line)
        except ValueError:  # the last one, cut off
            break
        cells[number - 1].update(execution_count=count, outputs=outputs)
    return notebook_text({**book, "cells": cells})


def _as_lines(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with its long texts as lists of lines, as files have them."""
    out = dict(cell)
    if isinstance(out.get("source"), str):
        out["source"] = out["source"].splitlines(True)
    if "outputs" in out:
        out["outputs"] = [_output_lines(output) for output in out["outputs"]]
    return out


def _output_lines(output: dict[str, Any]) -> dict[str, Any]:
    out = dict(output)
    if isinstance(out.get("text"), str):
        out["text"] = out["text"].splitlines(True)
    if "data" in out:
        out["data"] = {
            kind: value.splitlines(True) if isinstance(value, str) and _is_text(kind) else value
            for kind, value in out["data"].items()
        }
    return out


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml")


def _language_info() -> dict[str, Any]:
    version = ".".join(map(str, sys.version_info[:3]))
    return {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": version,
    }
