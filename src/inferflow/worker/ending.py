"""The exception that ends a program: without our frames, shown as the interpreter shows it, told in plain data."""

from __future__ import annotations

import os
import sys
from typing import Any

from inferflow.worker.brought import STANDS_FOR
from inferflow.worker.own import library

__all__ = ["exception_facts", "show", "stripped"]

_OURS = os.path.dirname(os.path.abspath(__file__))


def _is_ours(traceback: Any) -> bool:
    name: str = traceback.tb_frame.f_code.co_filename
    return name.startswith(_OURS)


def stripped(error: BaseException) -> BaseException:
    """The exception without our frames: those below the user's program, and a hook in which Ctrl-C struck."""
    kept: list[Any] = []
    traceback = error.__traceback__
    while traceback is not None:
        if not _is_ours(traceback):
            if STANDS_FOR in traceback.tb_frame.f_globals and kept:
                kept.pop()
            kept.append(traceback)
        traceback = traceback.tb_next
    for one, following in zip(kept, [*kept[1:], None]):
        one.tb_next = following
    return error.with_traceback(kept[0] if kept else None)


def show(error: BaseException) -> None:
    """As the interpreter does for an uncaught exception."""
    kind, value, traceback = type(error), error, error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, value, traceback
    if sys.version_info >= (3, 12):
        sys.last_exc = value
    try:
        sys.excepthook(kind, value, traceback)
    except SystemExit:
        raise
    except BaseException as second:
        stripped(second)
        if sys.stderr is not None:
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(second), second, second.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(kind, value, traceback)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                pass


def exception_facts(error: BaseException) -> dict[str, Any]:
    traceback = library("traceback")
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:
        message = "<exception str() failed>"
    try:
        text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    except Exception:
        text = f"{name}: {message}\n"
    where = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    return {"exception": name, "message": message, "traceback": text, "frames": [list(item) for item in where]}
