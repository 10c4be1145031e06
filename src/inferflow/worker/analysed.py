"""Whether the modules that were imported are those that were analysed.

    Path("steps.py").write_text(...)      a driver (or a cell with %%writefile, or a child) writes a module,
    import steps                          and imports it: of this text the analysis knew nothing

What it proved of such a module's functions holds for another text, so nothing that ran ahead is taken then. A file is
looked at when its module has been imported: what is written to it later changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["Analysed"]


class Analysed:
    """``rows``: of each project file that was analysed its path, time (ns) and size then, and its SHA-256. ``scripts``:
    path and SHA-256 of those that cells run (``%run``)."""

    def __init__(self, rows: list[list[Any]], scripts: Iterable[list[str]] = ()) -> None:
        self.files: dict[str, tuple[int, int, str]] = {
            os.path.realpath(path): (stamp, size, digest) for path, stamp, size, digest in rows
        }
        self.names = {os.path.basename(path) for path in self.files}
        self.seen: set[str] = set()
        self.count = 0
        self.why = ""
        self.scripts: dict[str, str] = {row[0]: row[1] for row in scripts}
        self.stamps: dict[str, tuple[int, int]] = {}

    def departed(self) -> str:
        """Why what was analysed is not what runs; empty while nothing says so."""
        if self.files and not self.why and len(sys.modules) != self.count:
            self.count = len(sys.modules)
            for name in [name for name in sys.modules if name not in self.seen]:
                self.seen.add(name)
                file = getattr(sys.modules.get(name), "__file__", None)
                if isinstance(file, str) and os.path.basename(file) in self.names and name != "__main__":
                    self._look(file)
        for path, digest in self.scripts.items() if not self.why else ():
            self._look_at_script(path, digest)
        return self.why

    def _look_at_script(self, path: str, digest: str) -> None:
        try:
            state = os.stat(path)
            if self.stamps.get(path) == (state.st_mtime_ns, state.st_size):
                return
            with open(path, "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() == digest:
                    self.stamps[path] = state.st_mtime_ns, state.st_size
                    return
        except OSError:
            pass
        self.why = f"{os.path.basename(path)}, which a cell runs, was written after its names were read"

    def _look(self, file: str) -> None:
        known = self.files.get(os.path.realpath(file))
        if known is None:
            return
        try:
            state = os.stat(file)
            if (state.st_mtime_ns, state.st_size) == known[:2]:
                return
            with open(file, "rb") as source:
                if hashlib.sha256(source.read()).hexdigest() == known[2]:
                    return
        except OSError:
            pass
        self.why = f"{os.path.basename(file)} was written after it was analysed, and imported then"
