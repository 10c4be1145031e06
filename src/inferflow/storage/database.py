"""The SQLite database of a store: its tables, how it is opened, transactions, and its errors in words.

Durability: WAL with ``synchronous=NORMAL``. What was committed survives the death of any process at any
time. After a loss of power the last commits may be missing, the database is never inconsistent; a run
then resumes a few tasks earlier.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from inferflow.errors import BrokenEnvironment

__all__ = ["SCHEMA_VERSION", "Database", "open_database", "open_reader"]

_Result = TypeVar("_Result")

SCHEMA_VERSION = 1
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's transaction, which lasts milliseconds."""
FULL_TIMEOUT = 3.0
"""And for room on a full disk."""
RESERVE = 1 << 20
"""Bytes that are held beside the database for the last events of a run that has filled the disk."""

_TABLES = """
CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    started REAL NOT NULL,
    graph TEXT NOT NULL,
    head TEXT NOT NULL
);
CREATE TABLE events (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE INDEX rare ON events (run, seq)
    WHERE kind NOT IN ('task_started', 'task_finished', 'task_retired', 'task_dropped');
CREATE TABLE blobs (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
"""


class Database:
    """One connection, used by one thread. ``pid`` is the process that opened it: a forked child must not use it."""

    def __init__(self, connection: sqlite3.Connection, path: Path, writable: bool) -> None:
        self.pid = os.getpid()
        self.path = path
        self.writable = writable
        self._connection = connection
        self._depth = 0
        self._begun = False

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query. Raises BrokenEnvironment."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise broken(error, self.path) from error

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any | None:
        """The first row of a query, or ``None``. Raises BrokenEnvironment."""
        try:
            return self._connection.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise broken(error, self.path) from error

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one writing statement, committed with the batch around it; how many rows it changed. Raises
        BrokenEnvironment, and sqlite3.IntegrityError."""

        def act() -> int:
            with self.batch():
                self._begin()
                try:
                    return self._connection.execute(sql, values).rowcount
                except sqlite3.IntegrityError:
                    raise
                except sqlite3.Error as error:
                    raise broken(error, self.path) from error

        return self._patiently(act)

    def write_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """The same for many rows. Raises BrokenEnvironment."""
        rows = list(values)

        def act() -> None:
            with self.batch():
                self._begin()
                try:
                    self._connection.executemany(sql, rows)
                except sqlite3.Error as error:
                    raise broken(error, self.path) from error

        self._patiently(act)

    def _patiently(self, act: Callable[[], _Result]) -> _Result:
        """Write, and again if there is no room for it: there is what was held for that; and where somebody writes a
        file that does not fit, there is room when that has failed. Within a batch there is no second time."""
        deadline = 0.0
        while True:
            try:
                return act()
            except BrokenEnvironment as error:
                if self._depth or not _is_full(str(error.__cause__)):
                    raise
                deadline = deadline or time.monotonic() + FULL_TIMEOUT
                if time.monotonic() >= deadline:
                    raise
                try:
                    os.unlink(_reserve(self.path))
                except OSError:
                    time.sleep(0.02)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Commit all that is written inside as one transaction, or none of it if an exception leaves it. Nested batches
        join the outermost. A batch in which nothing is written costs nothing; from its first write on, other writers
        wait, so keep it short."""
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if not self._depth and self._begun:
                self._begun = False
                self._rollback()
            raise
        self._depth -= 1
        if not self._depth and self._begun:
            self._begun = False
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._rollback()
                raise broken(error, self.path) from error

    def script(self, sql: str) -> None:
        """Run statements outside of any transaction (``VACUUM``, ``PRAGMA``). Raises BrokenEnvironment."""
        try:
            self._connection.executescript(sql)
        except sqlite3.Error as error:
            raise broken(error, self.path) from error

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        if not self._begun:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise broken(error, self.path) from error
            self._begun = True

    def _rollback(self) -> None:
        """SQLite has rolled back by itself after some errors (full disk): then this does nothing."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass


def open_database(path: Path) -> Database:
    """Open for writing, and make the tables if they are not there. Raises BrokenEnvironment."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        if _version(connection, path) == 0:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection, path) == 0:
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise broken(error, path) from error
    _hold_room(path)
    return Database(connection, path, writable=True)


def _reserve(path: Path) -> Path:
    return path.with_name("reserve")


def _hold_room(path: Path) -> None:
    """Take room for the last events, if it is not held already and there is any."""
    reserve = _reserve(path)
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None or reserve.exists():
        return
    try:
        file = os.open(reserve, os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            allocate(file, 0, RESERVE)
        except OSError:
            os.unlink(reserve)
        finally:
            os.close(file)
    except OSError:
        pass


def open_reader(path: Path) -> Database:
    """Open for reading. A folder that cannot be written has no place for the files that WAL needs; the database is then
    read as it stands. Raises BrokenEnvironment."""
    name = quote(str(path))
    failure: sqlite3.Error | None = None
    for mode in ("mode=rw", "mode=ro", "immutable=1"):
        try:
            connection = sqlite3.connect(f"file:{name}?{mode}", uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
            version = _version(connection, path)
            if version == 0:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("it has no version")
                return Database(_empty(), path, writable=False)
            return Database(connection, path, writable=False)
        except sqlite3.OperationalError as error:
            failure = error
        except sqlite3.Error as error:
            raise broken(error, path) from error
    assert failure is not None
    raise broken(failure, path) from failure


def _empty() -> sqlite3.Connection:
    """What a database says whose maker has not made its tables yet."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise BrokenEnvironment(
            f"{path} was written by a newer inferflow (tables {version}; this one knows {SCHEMA_VERSION})",
            hint=f"upgrade inferflow (pip install -U inferflow), or move it away: mv {path.parent} {path.parent}.old",
        )
    return version


def _is_full(text: str) -> bool:
    return "full" in text or "disk I/O" in text


def broken(error: sqlite3.Error, path: Path) -> BrokenEnvironment:
    """What went wrong, with the next step."""
    text = str(error)
    folder = path.parent
    if _is_full(text):
        return BrokenEnvironment(
            f"cannot write {path}: {text}",
            hint="free some space (inferflow prune removes what old runs hold), then run again",
        )
    if "readonly" in text or "unable to open" in text:
        return BrokenEnvironment(
            f"cannot write {path}: {text}",
            hint=f"inferflow keeps its runs in {folder}: make it writable, or copy the project to a folder that is",
        )
    if "locked" in text or "busy" in text:
        return BrokenEnvironment(
            f"{path} was locked by another process for {BUSY_TIMEOUT:.0f} seconds",
            hint=f"see who holds it (fuser {path}), end that process, and run again",
        )
    return BrokenEnvironment(
        f"{path} is damaged: {text}",
        hint=f"move the folder away and run again: mv {folder} {folder}.old (its runs are lost, the project is not)",
    )
