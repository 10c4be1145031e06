"""Frees space: runs that nobody needs, artifacts that no run refers to, files that nobody will complete.

    prune(runs)                                 # killed runs, lost artifacts, dead temporary files
    prune(runs, keep_last=20)                   # and all runs but the newest 20
    prune(runs, older_than=30 * 86400)          # and those that began more than 30 days ago

A run under way is never touched, nor is anything that it may be about to refer to: while one is under
way, no artifact is removed (``Pruned.waiting`` names it). All is decided and done inside one writing
transaction, so no run can begin meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time as clock
from collections.abc import Iterator
from pathlib import Path

from inferflow.errors import BrokenEnvironment
from inferflow.records import frozen
from inferflow.storage.database import Database
from inferflow.storage.folder import told
from inferflow.storage.identity import process_identity
from inferflow.storage.runs import Runs

__all__ = ["Pruned", "prune"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOUR = 3600.0
_DAY = 24 * _HOUR


@frozen
class Pruned:
    """What was freed, or would be: names of runs, numbers of artifacts and temporary files, bytes in all.
    ``waiting`` are the runs under way on whose account artifacts were left alone."""

    runs: tuple[str, ...] = ()
    artifacts: int = 0
    temporary: int = 0
    size: int = 0
    waiting: tuple[str, ...] = ()


def prune(
    runs: Runs,
    *,
    older_than: float | None = None,
    keep_last: int | None = None,
    dry_run: bool = False,
    now: float | None = None,
) -> Pruned:
    """Remove killed runs and, if asked, those that began more than ``older_than`` seconds ago and are not among the
    newest ``keep_last`` (either may be left out); then all that no run refers to any more. With ``dry_run`` it only
    tells. Raises BrokenEnvironment."""
    now = clock.time() if now is None else now
    folder = runs.folder
    if dry_run and folder.reader() is None:
        return Pruned()
    database = folder.database()
    with database.batch():
        database.write("DELETE FROM ids WHERE 0")  # takes the lock before anything is decided
        ends = _ends(runs, database)
        alive = tuple(name for name, end in ends.items() if end == "running")
        doomed = _doomed(ends, database, older_than, keep_last, now)
        size = _remove_runs(database, doomed, dry_run)
        artifacts = 0
        with told(folder.root):
            if not alive:
                artifacts, freed = _remove_artifacts(folder.root, database, doomed, dry_run)
                size += freed
            temporary, freed = _remove_temporary(folder.tmp, ends, now, dry_run)
            size += freed
    if not dry_run and not alive and (doomed or artifacts):
        with contextlib.suppress(BrokenEnvironment):  # a run that began just now, or no room to copy: the next prune
            database.script("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
    return Pruned(tuple(doomed), artifacts, temporary, size, alive)


# -- runs ------------------------------------------------------------------------------------------


def _ends(runs: Runs, database: Database) -> dict[str, str]:
    """How each run stands, newest first: ``running``, ``killed``, ``over``."""
    rows = database.rows(
        "SELECT id, head, EXISTS (SELECT 1 FROM events INDEXED BY rare WHERE run = number AND kind = 'run_finished' "
        "AND kind NOT IN ('task_started', 'task_finished', 'task_retired', 'task_dropped')) "
        "FROM runs ORDER BY number DESC"
    )
    return {name: "over" if over else "running" if runs.is_alive(head) else "killed" for name, head, over in rows}


def _doomed(
    ends: dict[str, str], database: Database, older_than: float | None, keep_last: int | None, now: float
) -> dict[str, int]:
    """Names and numbers of the runs that go."""
    numbers = {
        name: (number, started) for number, name, started in database.rows("SELECT number, id, started FROM runs")
    }
    kept = set(list(ends)[: keep_last or 0])
    doomed = {}
    for name, end in ends.items():
        number, started = numbers[name]
        old = (older_than is not None or keep_last is not None) and name not in kept
        if older_than is not None:
            old = old and started < now - older_than
        if end == "killed" or (end == "over" and old):
            doomed[name] = number
    return doomed


def _remove_runs(database: Database, doomed: dict[str, int], dry_run: bool) -> int:
    size = 0
    for name, number in doomed.items():
        for sql in (
            "SELECT coalesce(sum(length(data)), 0) FROM events WHERE run = ?",
            "SELECT length(head) FROM runs WHERE number = ?",
        ):
            size += database.rows(sql, (number,))[0][0]
        if not dry_run:
            database.write("DELETE FROM events WHERE run = ?", (number,))
            database.write("DELETE FROM runs WHERE number = ?", (number,))
            database.write("DELETE FROM ids WHERE id = ?", (name,))
    return size


# -- artifacts -------------------------------------------------------------------------------------


def _remove_artifacts(root: Path, database: Database, doomed: dict[str, int], dry_run: bool) -> tuple[int, int]:
    """How many artifacts no remaining run refers to, and their bytes; removed unless ``dry_run``."""
    needed = _needed(root, database, frozenset(doomed.values()))
    count = size = 0
    for digest, length in database.rows("SELECT digest, length(data) FROM blobs"):
        if digest not in needed:
            count, size = count + 1, size + length
            if not dry_run:
                database.write("DELETE FROM blobs WHERE digest = ?", (digest,))
    for entry in _large(root):
        if entry.name not in needed:
            count, size = count + 1, size + entry.stat().st_size
            if not dry_run:
                os.unlink(entry.path)
    return count, size


def _needed(root: Path, database: Database, doomed: frozenset[int]) -> set[str]:
    """Every digest that stands anywhere in what remains: in heads, events, and the graphs (which name the sources)."""
    needed: set[str] = set()
    for number, head, graph in database.rows("SELECT number, head, graph FROM runs"):
        if number in doomed:
            continue
        needed.update((graph, *_DIGEST.findall(head)))
        for (data,) in database.rows("SELECT data FROM events WHERE run = ?", (number,)):
            needed.update(_DIGEST.findall(data))
    for digest in {graph for (graph,) in database.rows("SELECT graph FROM runs")} & needed:
        row = database.row("SELECT data FROM blobs WHERE digest = ?", (digest,))
        path = root / "artifacts" / digest[:2] / digest
        if row is not None or path.is_file():
            text: bytes = row[0] if row is not None else path.read_bytes()
            needed.update(_DIGEST.findall(text.decode()))
    return needed


def _large(root: Path) -> Iterator[os.DirEntry[str]]:
    if (root / "artifacts").is_dir():
        for shelf in os.scandir(root / "artifacts"):
            if shelf.is_dir():
                yield from os.scandir(shelf.path)


# -- temporary files -------------------------------------------------------------------------------


def _remove_temporary(tmp: Path, ends: dict[str, str], now: float, dry_run: bool) -> tuple[int, int]:
    """How many files in ``tmp`` nobody will complete, and their bytes; removed unless ``dry_run``."""
    count = size = 0
    for entry in os.scandir(tmp) if tmp.is_dir() else ():
        if not _is_dead(entry, ends, now):
            continue
        for path in _files(entry):
            count, size = count + 1, size + os.lstat(path).st_size
        if not dry_run:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
    return count, size


def _is_dead(entry: os.DirEntry[str], ends: dict[str, str], now: float) -> bool:
    """The scratch of a run dies with it. A file on its way to the artifacts dies with its writer, whose process id
    leads its name; a container counts processes otherwise, so a young one is spared."""
    if entry.name in ends:
        return ends[entry.name] != "running"
    age = now - entry.stat(follow_symlinks=False).st_mtime
    writer = entry.name.split(".")[0]
    if writer.isdigit() and age > _HOUR and not process_identity(int(writer))[1]:
        return True
    return age > _DAY


def _files(entry: os.DirEntry[str]) -> Iterator[str]:
    if not entry.is_dir(follow_symlinks=False):
        yield entry.path
        return
    for folder, _, names in os.walk(entry.path):
        for name in names:
            yield os.path.join(folder, name)
