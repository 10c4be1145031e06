"""Containers of runs that are over: what a controller that was killed, or an engine that stumbled, left behind.

Each container of ours carries labels: the host, and the process that started it with its start time. A container ends
by itself when that process dies; what remains of it then is removed by the next run with containers, and by ``inferflow
prune``. A container that *runs* although its controller is gone holds what the driver itself left running in the
background, as natively: it is told of, and not touched.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from inferflow.backends.docker_container import LABEL
from inferflow.backends.docker_engine import connect, told
from inferflow.records import frozen

__all__ = ["Leftover", "find_leftovers", "remove_leftovers"]

Lives = Callable[[int, str], bool]
"""Whether the process with this id and start time lives."""


@frozen
class Leftover:
    """A container whose controller is gone. ``folder`` is the working folder of its run."""

    id: str
    name: str
    folder: str
    running: bool


def find_leftovers(lives: Lives, client: Any = None) -> list[Leftover]:
    """Those of this host. Raises BrokenEnvironment if there is no engine that answers."""
    own = client is None
    client = client or connect(os.environ)
    try:
        with told("list its containers"):
            found = client.api.containers(all=True, filters={"label": [f"{LABEL}.host={socket.gethostname()}"]})
    finally:
        if own:
            client.close()
    out = []
    for facts in found:
        marks = facts.get("Labels") or {}
        pid, start = marks.get(f"{LABEL}.pid", ""), marks.get(f"{LABEL}.start", "")
        if pid.isdigit() and not lives(int(pid), start):
            name = (facts.get("Names") or ["?"])[0].lstrip("/")
            out.append(Leftover(facts["Id"], name, marks.get(f"{LABEL}.folder", ""), facts.get("State") == "running"))
    return out


def remove_leftovers(lives: Lives, client: Any = None, dry_run: bool = False) -> list[Leftover]:
    """Remove those that do not run; which they were. Raises BrokenEnvironment."""
    own = client is None
    client = client or connect(os.environ)
    try:
        gone = [found for found in find_leftovers(lives, client) if not found.running]
        for leftover in gone if not dry_run else ():
            with contextlib.suppress(Exception):  # another process was faster
                client.api.remove_container(leftover.id, force=True, v=True)
    finally:
        if own:
            client.close()
    return gone
