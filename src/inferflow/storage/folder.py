"""The folder ``.inferflow`` of a project, which holds everything that inferflow keeps.

    .inferflow/
        .gitignore      "*": nothing of it is ever committed
        version         the layout's number; a newer one is refused
        inferflow.db    SQLite (WAL): runs, events, small artifacts
        artifacts/ab/   large artifacts, named by the BLAKE3 digest of their content (in layout 1: SHA-256)
        tmp/RUN/        scratch of a run, and files that are not complete yet

It is made by the first thing that is written; reading never makes it. To forget all runs, delete it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inferflow.errors import BrokenEnvironment

if TYPE_CHECKING:  # SQLite is loaded when it is needed: a run makes its scratch folder before
    from inferflow.storage.database import Database

__all__ = ["LAYOUT_VERSION", "NAME", "Folder", "told"]

NAME = ".inferflow"
LAYOUT_VERSION = 2
"""1: artifacts named by SHA-256. 2: by BLAKE3. A folder of layout 1 is read as it is, and is of layout 2 from the first
run on that this inferflow writes into it, since an older one would take the new artifacts for damaged."""


class Folder:
    """A handle on one ``.inferflow``; ``root`` is its path. Making one touches nothing.

    Each thread (and each forked process) that asks for the database gets a connection of its own, so artifacts and runs
    of one thread share their transactions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._local = threading.local()
        self._ready = False

    @classmethod
    def of(cls, project: Path) -> Folder:
        """The folder that belongs to a project's root folder."""
        return cls(project.absolute() / NAME)

    def __repr__(self) -> str:
        return f"Folder({str(self.root)!r})"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    def scratch(self, run: str) -> Path:
        """The private folder of a run, made now; ``prune`` removes it once the run is over."""
        self.ensure()
        with told(self.root):
            path = self.tmp / run
            path.mkdir(parents=True, exist_ok=True)
        return path

    def exists(self) -> bool:
        return self.root.is_dir()

    def ensure(self) -> None:
        """Make the folder unless it is there. Raises BrokenEnvironment if it cannot be made, is no folder, or was
        made by a newer inferflow."""
        if self._ready:
            return
        with told(self.root):
            if not self.root.is_dir():
                self.root.mkdir(parents=True, exist_ok=True)
            if not (self.root / "version").exists():
                _write(self.root / ".gitignore", "*\n")
                _write(self.root / "version", f"{LAYOUT_VERSION}\n")
        if self._check_version() < LAYOUT_VERSION:
            with told(self.root):
                _write(self.root / "version", f"{LAYOUT_VERSION}\n")
        self._ready = True

    def database(self) -> Database:
        """This thread's connection, for reading and writing. Raises BrokenEnvironment."""
        database: Database | None = getattr(self._local, "database", None)
        if database is None or database.pid != os.getpid():
            from inferflow.storage.database import open_database

            self.ensure()
            with told(self.root):
                database = open_database(self.root / "inferflow.db")
            self._local.database = database
        return database

    def reader(self) -> Database | None:
        """A connection for reading, which works in a folder that cannot be written too; ``None`` if nothing was ever
        stored. Raises BrokenEnvironment."""
        for name in ("database", "reader"):
            kept: Database | None = getattr(self._local, name, None)
            if kept is not None and kept.pid == os.getpid():
                return kept
        from inferflow.storage.database import open_reader

        path = self.root / "inferflow.db"
        if not path.exists():
            if self.root.exists() and not self.root.is_dir():
                raise BrokenEnvironment(f"{self.root} is not a folder", hint="move it away")
            return None
        self._check_version()
        with told(self.root):
            reader = open_reader(path)
        self._local.reader = reader
        return reader

    def close(self) -> None:
        """Close this thread's connections; they open again when needed."""
        for name in ("database", "reader"):
            database = self._local.__dict__.pop(name, None)
            if database is not None and database.pid == os.getpid():
                database.close()

    def _check_version(self) -> int:
        """The layout's number. Raises BrokenEnvironment if it is a newer one, or none."""
        path = self.root / "version"
        with told(self.root):
            try:
                text = path.read_text()
            except FileNotFoundError:
                return LAYOUT_VERSION
        away = f"mv {self.root} {self.root}.old"
        try:
            version = int(text)
        except ValueError:
            raise BrokenEnvironment(
                f"{path} is damaged: it says {text[:40]!r}",
                hint=f"move the folder away: {away}",
            ) from None
        if version > LAYOUT_VERSION:
            raise BrokenEnvironment(
                f"{self.root} was written by a newer inferflow (layout {version}; this one knows {LAYOUT_VERSION})",
                hint=f"upgrade inferflow (pip install -U inferflow), or move the folder away: {away}",
            )
        return version


def _write(path: Path, text: str) -> None:
    """Write a small file so that it is seen whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(text)
    os.replace(temporary, path)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def told(root: Path, unless: type[OSError] | tuple[()] = ()) -> Iterator[None]:
    """Tell what the operating system refuses as a BrokenEnvironment with the next step."""
    try:
        yield
    except unless:
        raise
    except OSError as error:
        where = error.filename or str(root)
        if error.errno in _FULL:
            raise BrokenEnvironment(
                f"no space left for {where} ({error.strerror})",
                hint="free some space (inferflow prune removes what old runs hold), then run again",
            ) from error
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            raise BrokenEnvironment(f"{root} is not a folder", hint=f"move it away: mv {root} {root}.old") from error
        raise BrokenEnvironment(
            f"cannot use {where}: {error.strerror or error}",
            hint=f"inferflow keeps its runs in {root}: make that folder writable, or copy the project to one that is",
        ) from error
