"""Where work runs: a backend, and for containers what they are made of.

A *placement* is what ``image``, ``cpus``, ``memory`` and the like say for the whole run or for one task. Two tasks with
equal placements may share a worker.

>>> whole = Placement(backend="docker", image="python:3.11-slim")
>>> whole.overlaid(Placement(memory=2**30, env=("LEVEL=3",))).memory
1073741824
"""

from __future__ import annotations

from typing import Literal

from inferflow.records import evolve, field_names, frozen

__all__ = ["Placement"]


@frozen
class Placement:
    """``image``: a reference, or ``host`` for this machine's own files; empty where the project's own image is meant.
    ``cpus`` processors (fractions too), ``memory`` and ``shm_size`` bytes (0: no limit, the engine's default),
    ``gpus`` a number, ``all`` or empty. ``network``: ``host``, ``none``, ``bridge`` or a network's name.
    ``mounts``: ``SOURCE[:TARGET][:ro]``. ``env``: ``NAME`` (as here), ``NAME=VALUE`` or a pattern ``AWS_*``;
    ``secrets``: names that must be set here. ``isolation``: ``run`` for one container that serves all tasks, ``task``
    for one for each. ``timeout`` in seconds (``None``: none)."""

    backend: str = ""
    image: str = ""
    cpus: float = 0.0
    memory: int = 0
    shm_size: int = 0
    gpus: str = ""
    network: str = ""
    mounts: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    isolation: Literal["", "run", "task"] = ""
    timeout: float | None = None

    def overlaid(self, other: Placement) -> Placement:
        """This placement with all that ``other`` says differently; lists are added to."""
        changes: dict[str, object] = {}
        nothing = Placement()
        for name in field_names(Placement):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(theirs, tuple):
                changes[name] = tuple(dict.fromkeys((*mine, *theirs)))
            elif theirs != getattr(nothing, name):
                changes[name] = theirs
        return evolve(self, **changes)  # type: ignore[arg-type]

    def worker(self) -> Placement:
        """What of it makes up a worker: without the time limit, which is the task's."""
        return evolve(self, timeout=None)
