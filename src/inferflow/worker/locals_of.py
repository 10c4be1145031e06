"""The local names of a frame of the driver, without leaving a trace in it.

Before Python 3.13, ``frame.f_locals`` of a function is a dictionary that the frame keeps: what was in it stays alive
until somebody looks again, or the function ends. A file that the driver lets go of would not be closed, nor ``__del__``
be called, when natively they are. It is the very dictionary, too, that ``locals()`` gives to the driver.

    def main():                       home looks at the names after the loop
        for x in xs: ...
        out = open("a.txt", "w")
        del out                       closed here
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["has_own_names", "locals_of"]

OPTIMIZED = 1
"""``inspect.CO_OPTIMIZED``"""
HANDED_OUT = frozenset({"locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe", "stack"})
"""Functions that give somebody the dictionary, or may."""


def has_own_names(frame: Any) -> bool:
    """Whether names are local to the frame (it is that of a function)."""
    code = getattr(frame, "f_code", None)  # (what stands for a notebook's cells has none)
    return code is not None and bool(code.co_flags & OPTIMIZED)


def locals_of(frame: Any) -> dict[str, Any]:
    """The names that are bound in a frame now."""
    found = frame.f_locals
    if sys.version_info >= (3, 13) or not has_own_names(frame) or not HANDED_OUT.isdisjoint(frame.f_code.co_names):
        bound: dict[str, Any] = found
        return bound
    bound = dict(found)
    found.clear()
    return bound
