"""Whether a task that ran ahead could have seen what was done to files meanwhile.

What Python's functions look at is noted as it was (``Gate.seen``) and compared at the task's turn. Beside that, files
that were changed and have the same stamp again count as changed, and so does whatever lies in a folder that the task
listed. What could have looked at files without being noted are compiled modules, and functions of ``os`` that somebody
had got hold of before the task began: where there are any, every act on files since then counts.

    doubt({"/p/log.txt"}, {"/p/a.csv"}, [], False) -> ""      home wrote a log, the task read a.csv
    doubt({"/p/a.csv"}, {"/p/a.csv"}, [], False) -> "/p/a.csv has changed since it was read"
"""

from __future__ import annotations

import gc
import os
import sys
import types
from collections.abc import Collection
from typing import Any

from inferflow.worker.standing import is_standard

__all__ = ["doubt", "freeze", "references"]

_SEEN = frozenset({
    "inferflow", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "kiwisolver", "contourpy", "PIL", "psutil",
    "charset_normalizer", "markupsafe", "_yaml", "yaml", "cython_runtime", "joblib",
})  # fmt: skip
"""Packages whose compiled modules leave it to Python to open files."""
_UNSEEN = ("PIL._imagingft", "scipy.odr", "_dbm", "_gdbm", "_tkinter", "_sqlite3")
_REAL = (os.stat, os.lstat, os.access, getattr(os, "readlink", os.stat))
_known: list[Any] = []
"""How many modules there were, and how many references to functions of ``os``, when nothing unseen was found."""

_mark: list[Any] = []
"""Something, and a list of it that was made when our objects had been frozen: the collector finds that list as long as
nobody has frozen objects since."""


def freeze() -> None:
    """Let the collector pass over all objects that there are now: ours, none of which looks at files unseen."""
    gc.freeze()
    mark = object()
    _mark[:] = [mark, [mark]]


def doubt(acts: Collection[str | None], seen: Collection[str], listed: list[str], blind: bool) -> str:
    """Why a task may have seen files otherwise than it would now, in words; empty if it cannot have. ``acts``: the
    files that something was done to since it began (None: others too); ``seen``: what it is known to have looked at;
    ``listed``: the folders of which it saw what they hold; ``blind``: it was given functions that look at files."""
    if not acts:
        return ""
    why = "it was given functions of os, by which it could have looked at them unseen" if blind else _unseen()
    if why:
        return f"files may have changed while it ran, and {why}"
    if listed and None in acts:
        return f"files may have changed in {listed[0]} while it ran"
    names = [name for name in acts if name is not None]
    if not seen and not listed:
        return ""
    looked = {*seen, *map(os.path.realpath, seen)}
    folders = {*listed, *map(os.path.realpath, listed)}
    for name in names:
        for one in (name, os.path.realpath(name)):
            if one in looked and not os.path.isdir(one):
                return f"{one} has changed since it was read"
            if os.path.dirname(one) in folders:
                return f"{one} has changed since its folder was listed"
    return ""


def references() -> list[int]:
    """How many references there are to the functions of ``os`` by which files can be looked at without being noted."""
    return list(map(sys.getrefcount, _REAL))


def _unseen() -> str:
    """What could look at files in this process without being noted, in words."""
    now = [len(sys.modules), *references()]
    if _known and _known[0] == now:
        return ""
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None) or "")
        if not file.endswith((".so", ".pyd", ".dylib")):
            continue
        own = str(getattr(getattr(module, "__spec__", None), "name", name))
        if own.startswith(_UNSEEN) or not (is_standard(own) or own.partition(".")[0] in _SEEN):
            return f"{own} is compiled, and could have looked at them unseen"
    if gc.get_freeze_count() and not (_mark and any(one is _mark[1] for one in gc.get_referrers(_mark[0]))):
        return "objects are frozen, of which it is not known what they could have looked at"
    for function in _REAL:
        for holder in gc.get_referrers(function):
            if isinstance(holder, (set, frozenset, types.FrameType)) or holder is _REAL:
                continue
            name = holder.get("__name__", "") if type(holder) is dict else ""
            if (isinstance(name, str) and name in ("os", "posix", "nt")) or str(name).startswith("inferflow."):
                continue
            return f"os.{function.__name__} was at hand under another name, by which it is not seen"
    _known[:] = [now]
    return ""
