"""Our own references to the standard library, which the driver cannot replace.

A driver may set ``json.dumps`` or ``time.time`` to something else (tests with mocks, freezegun, a faster library put in
place). Natively only the driver would call it, so what we do between its statements must go on with the originals:

    keep_originals()                # in the worker, when its modules are loaded and before anything of the user's runs
    json.dumps = other              # the driver's: our modules do not see it
    builtins.open = noisy           # nor this
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

__all__ = ["keep_originals", "keep_ours", "library", "of_the_library"]

_ORIGINALS = ("ast", "copy", "hashlib", "io", "json", "mmap", "os", "pickle", "select", "socket", "struct", "time")
"""Modules whose functions hold no state that a replacement would be meant to change."""


def keep_originals() -> None:
    """In every module of the worker that is loaded, let the names of these modules lead to copies of their namespaces
    as they are now, and make the builtins names of its own."""
    own = {name: value for name, value in vars(builtins).items() if not name.startswith("_")}
    copies: dict[int, types.ModuleType] = {}
    for name in _ORIGINALS:
        module = sys.modules.get(name)
        if module is not None:
            copy = types.ModuleType(name)
            copy.__dict__.update(module.__dict__)
            copies[id(module)] = copy
    for name, ours in list(sys.modules.items()):
        if not name.startswith("inferflow.worker"):
            continue
        for key, value in own.items():
            vars(ours).setdefault(key, value)
        for key, value in list(vars(ours).items()):
            if isinstance(value, types.ModuleType) and id(value) in copies:
                setattr(ours, key, copies[id(value)])


def of_the_library(name: str) -> types.ModuleType | None:
    """The module that the interpreter takes for this one of the standard library: loaded if need be, and None if a file
    of the user's has its name. Theirs is not run by asking."""
    module = sys.modules.get(name)
    finder = sys.modules["_frozen_importlib_external"].PathFinder
    spec = finder.find_spec(name) if module is None else getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None)
    if origin is None or os.path.dirname(os.path.realpath(origin)) != os.path.dirname(os.path.realpath(os.__file__)):
        return None
    return module or _imported(name)


def library(name: str) -> Any:
    """A module of the standard library that is loaded late: ours, whatever the driver's folder has of that name."""
    return _ours.get(name) or _imported(name)


def keep_ours(names: Iterable[str]) -> None:
    """Let ``library`` answer with these modules as they are found now, and load them for it if need be."""
    for name in names:
        with suppress(ImportError):
            _ours[name] = _imported(name)


def _imported(name: str) -> types.ModuleType:
    __import__(name)
    return sys.modules[name]


_ours: dict[str, types.ModuleType] = {}
