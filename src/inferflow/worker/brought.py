"""An exception that a task raised in another process, raised again by home as if the task had failed there.

The exception travels as a pack, its traceback as plain facts of its frames: file, function, line, position. From these
home makes frames that look the same in a traceback; they hold no variables.

    worker:  told(error)               {"pack": b"...", "frames": [["train.py", "fit", 12, ...], ...]}
    home:    raise rebuilt(...)        Traceback: driver.py line 3, in main; train.py line 12, in fit
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

from inferflow.worker import transport
from inferflow.worker.own import library

__all__ = ["STANDS_FOR", "rebuilt", "told"]

STANDS_FOR = "_inferflow_stands_for"
"""A global of the outermost made frame: it takes the place of the real frame above it, in which the hook was called."""
_OURS = os.path.dirname(os.path.abspath(__file__))


def told(error: BaseException, project: frozenset[str]) -> dict[str, Any]:
    """The exception in plain data. Raises transport.Unpackable."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_OURS):
            table = code.co_linetable if sys.version_info >= (3, 11) else b""
            frames.append(
                [code.co_filename, code.co_name, getattr(code, "co_qualname", code.co_name), code.co_firstlineno,
                 traceback.tb_lineno, traceback.tb_lasti, table, len(code.co_code)]
            )  # fmt: skip
        traceback = traceback.tb_next
    packed = transport.pack((error.with_traceback(None),), project=project, quiet=True)
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    out: dict[str, Any] = {
        "pack": packed.data(),
        "frames": frames,
        "python": list(sys.version_info[:2]),
        "notes": notes,
    }
    for name in ("__cause__", "__context__"):
        other = getattr(error, name)
        if other is not None:
            out[name] = told(other, project)
    out["suppress"] = error.__suppress_context__
    return out


def rebuilt(facts: dict[str, Any], outermost: bool = True) -> BaseException:
    """The exception, with its traceback. Raises whatever unpacking raises."""
    error: BaseException = transport.unpack(facts["pack"])[0]
    if facts["notes"] and not getattr(error, "__notes__", None) and hasattr(error, "add_note"):
        for note in facts["notes"]:
            error.add_note(note)
    if "__cause__" in facts:
        error.__cause__ = rebuilt(facts["__cause__"], False)
    if "__context__" in facts:
        error.__context__ = rebuilt(facts["__context__"], False)
    error.__suppress_context__ = facts["suppress"]
    same_python = facts["python"] == list(sys.version_info[:2])
    traceback = None
    for number, frame in reversed(list(enumerate(facts["frames"]))):
        traceback = _entry(frame, traceback, same_python, outermost and number == 0)
    return error.with_traceback(traceback)


def _entry(facts: list[Any], following: Any, same_python: bool, stands_for: bool) -> types.TracebackType:
    """One level of a traceback, from a frame that was made for it."""
    filename, name, qualname, first, line, last, table, size = facts
    code = compile("raise _inferflow_error", filename, "exec", dont_inherit=True)
    changes: dict[str, Any] = {"co_name": name, "co_firstlineno": first}
    if sys.version_info >= (3, 11):
        changes["co_qualname"] = qualname
        if same_python and table:
            # As long as the real code, so that the table of positions fits; what is added is never executed.
            filler = bytes([library("opcode").opmap["NOP"], 0]) * max(0, (size - len(code.co_code)) // 2)
            changes.update(co_linetable=table, co_code=code.co_code + filler)
    space: dict[str, Any] = {"_inferflow_error": ZeroDivisionError(), "__name__": name}
    if stands_for:
        space[STANDS_FOR] = True
    try:
        exec(code.replace(**changes), space)
    except ZeroDivisionError as made:
        level: Any = made.__traceback__
        frame = level.tb_next.tb_frame
    positions = last if sys.version_info < (3, 11) or (same_python and table) else -1
    return types.TracebackType(following, frame, positions, line)
