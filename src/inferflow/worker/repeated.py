"""What a helper has bound by repeating statements of the driver: literals that stand before what it runs.

    payload = [1]            repeated here: another list than home's, and equal
    r = check(payload)       may find a way to give it back (in an exception, say), or to change it

Home has objects of its own there, so a result that has a part of the helper's would come home as a copy of what home
has, and a change would be lost. Code that repeats such a statement tells what it has bound: ``again``.
"""

from __future__ import annotations

from typing import Any

from inferflow.worker.exact_graph import ATOMS
from inferflow.worker.exact_reach import shares
from inferflow.worker.proof import plain

__all__ = ["Repeated"]


class Repeated:
    """The objects, with what they were when they were made."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, str]] = []

    def again(self, *values: Any) -> None:
        """These have been bound."""
        self.made += [(value, plain(value)) for value in values if type(value) not in ATOMS]

    def taken(self, values: tuple[Any, ...]) -> str:
        """Why these results must not be used, in words; forgets all objects."""
        made, self.made = self.made, []
        if any(plain(value) != text for value, text in made):
            return "it changed what the driver binds before it, of which it has a copy"
        shared = shares(tuple(value for value, _ in made), values) if made else None
        return f"its result shares {shared} with what the driver binds before it" if shared else ""
