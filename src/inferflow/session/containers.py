"""Containers of runs that are over, for the commands that look after them."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from inferflow.errors import BrokenEnvironment
from inferflow.storage.identity import process_identity

if TYPE_CHECKING:
    from inferflow.backends.docker_leftovers import Leftover

__all__ = ["leftovers", "remove"]


def leftovers() -> list[Leftover]:
    """The containers whose run is over. Raises BrokenEnvironment if no engine answers."""
    from inferflow.backends.docker_leftovers import find_leftovers

    return find_leftovers(_lives)


def remove(dry_run: bool = False) -> list[str]:
    """Remove those that have ended; their names. Where there is no engine there is nothing to remove."""
    from inferflow.backends.docker_engine import engine_address
    from inferflow.backends.docker_leftovers import remove_leftovers

    try:
        engine_address(os.environ)
        if find_spec("docker") is None:
            return []
        return [found.name for found in remove_leftovers(_lives, dry_run=dry_run)]
    except BrokenEnvironment:
        return []


def _lives(pid: int, start: str) -> bool:
    return process_identity(pid)[1] == start
