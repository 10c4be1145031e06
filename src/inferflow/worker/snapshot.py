"""Keeps values whose classes have pickling methods of the user's: in a forked copy of this process.

Native would not call these methods, and they may print or change things. The copy calls them, writes what they give
to a file, and ends; nothing that they do reaches the driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

from inferflow.worker import transport, transport_files
from inferflow.worker.apart import watches_children

__all__ = ["keep_copy"]

PATIENCE = 10.0
"""Seconds after which the copy is given up."""


def keep_copy(
    values: tuple[Any, ...], scratch: str, project: frozenset[str], silence: Callable[[], None]
) -> dict[str, Any] | None:
    """``file``, ``size`` and ``why`` of the values as a forked copy of this process packs them, or None if that did
    not work (no fork, threads, a handler that would notice the child, an exception). ``silence`` is called in the copy
    first, to keep its output from everyone."""
    if not _may_fork():
        return None
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            silence()
            os.write(theirs, json.dumps(_kept(values, scratch, project)).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    answer = _read(ours, pid)
    os.close(ours)
    with contextlib.suppress(ChildProcessError):  # the driver ignores SIGCHLD: it was reaped
        os.waitpid(pid, 0)
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _may_fork() -> bool:
    if not hasattr(os, "fork") or watches_children():
        return False
    threading = sys.modules.get("threading")
    return threading is None or threading.active_count() == 1


def _kept(values: tuple[Any, ...], scratch: str, project: frozenset[str]) -> dict[str, Any] | None:
    try:
        packed = transport.pack(values, project=project)
        stored = transport_files.write(packed, scratch, inline=False)
    except Exception:
        return None
    return {
        "file": stored.path,
        "size": stored.size,
        "why": f"a {packed.user_code} is rebuilt by methods of its own",
    }


def _read(descriptor: int, pid: int) -> bytes:
    parts: list[bytes] = []
    while select.select([descriptor], [], [], PATIENCE)[0]:
        data = os.read(descriptor, 65536)
        if not data:
            return b"".join(parts)
        parts.append(data)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return b""
