"""Runs in SQLite: the head of each, written once, and its events, only ever appended.

    runs = Runs(Folder.of(project))
    run = runs.new_id(time.time())              # "20261122-2001-brave-otter"
    runs.create(started, graph)
    with runs.batch():                          # one transaction
        runs.append(run, [TaskStarted(...), TaskFinished(...), TaskRetired(...)])
    runs.load(runs.resolve("latest"))           # Run, folded from the events

Any number of processes may do this in one folder at once; each run has one writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from inferflow.errors import UserError, WrongUse
from inferflow.model import Event, Run, RunFinished, RunStarted, Source, TaskGraph
from inferflow.records import evolve
from inferflow.storage.artifacts import Artifacts
from inferflow.storage.database import Database
from inferflow.storage.fold import fold
from inferflow.storage.folder import Folder
from inferflow.storage.identity import is_alive
from inferflow.storage.names import RECENT, matching, run_name
from inferflow.wire import event_from_json, event_kind, event_to_json, graph_digest, graph_from_json, graph_to_json

__all__ = ["Runs"]

_RARE = "kind NOT IN ('task_started', 'task_finished', 'task_retired', 'task_dropped')"
"""As in the index ``rare``: how a run ended is found without reading all the rest."""

_WELL = ("running", "ok")


class Runs:
    """The runs of one folder (protocols.RunStore). All methods raise BrokenEnvironment if the store fails.

    ``alive`` tells whether the controller of a run without an end still lives."""

    def __init__(self, folder: Folder, alive: Callable[[RunStarted], bool] = is_alive) -> None:
        self.folder = folder
        self.artifacts = Artifacts(folder)
        self._alive = alive
        self._numbers: dict[str, int] = {}
        self._next: dict[str, int] = {}

    # -- writing

    def new_id(self, time: float) -> str:
        """A name for a run that starts at ``time`` (seconds since the epoch), reserved: no other run gets it."""
        database = self.folder.database()
        recent = [name for (name,) in database.rows("SELECT id FROM runs ORDER BY number DESC LIMIT ?", (RECENT,))]
        attempt = 0
        while True:
            name = run_name(time, recent, attempt)
            if database.write("INSERT OR IGNORE INTO ids VALUES (?)", (name,)):
                return name
            attempt += 1

    def create(
        self, started: RunStarted, graph: TaskGraph, text: str | None = None, sources: Iterable[Source] = ()
    ) -> None:
        """Begin a run: before this, nothing that belongs to it may be put among the artifacts. ``text`` is the graph's
        JSON if it is at hand; ``started.graph`` becomes its digest. ``sources`` are kept under their own digests, as
        the graph names them; the driver's is needed to read back instances of its classes. Raises ValueError if the
        run exists."""
        text = graph_to_json(graph) if text is None else text
        digest = graph_digest(text)
        head = event_to_json(started if started.graph == digest else evolve(started, graph=digest))
        database = self.folder.database()
        with database.batch():
            database.write("INSERT OR IGNORE INTO ids VALUES (?)", (started.run,))
            self.artifacts.put(text.encode())
            for source in sources:
                self.artifacts.put(source.text.encode("utf-8", "surrogatepass"))
            try:
                database.write(
                    "INSERT INTO runs (id, started, graph, head) VALUES (?, ?, ?, ?)",
                    (started.run, started.time, digest, head),
                )
            except sqlite3.IntegrityError:
                raise ValueError(f"run {started.run} exists already") from None

    def batch(self) -> AbstractContextManager[None]:
        """Make all that is written inside, artifacts included, one transaction: kept whole when the batch ends, or not
        at all if an exception ends it. Other writers wait meanwhile: never wait for anything inside."""
        return self.folder.database().batch()

    def append(self, run: str, events: Iterable[Event]) -> None:
        """Keep events, in order; on disk when this returns, or when the batch around it ends. Raises KeyError."""
        rows = [(event_kind(event), event_to_json(event)) for event in events]
        database = self.folder.database()
        number = self._number(database, run)
        first = self._next.get(run)
        if first is None:
            first = database.rows("SELECT coalesce(max(seq) + 1, 0) FROM events WHERE run = ?", (number,))[0][0]
        database.write_many(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [(number, first + place, kind, data) for place, (kind, data) in enumerate(rows)],
        )
        self._next[run] = first + len(rows)

    # -- reading

    def load(self, run: str) -> Run:
        """The run with this name, folded from all its events. Raises KeyError."""
        return self._fold(run, self.events(run))

    def events(self, run: str) -> list[Event]:
        """All events of a run, RunStarted first. Raises KeyError."""
        database, number, head = self._head(run)
        rows = database.rows("SELECT data FROM events WHERE run = ? ORDER BY seq", (number,))
        return [event_from_json(head), *self._events(data for (data,) in rows)]

    def graph(self, run: str) -> TaskGraph:
        """The task graph that a run followed. Raises KeyError."""
        database, number, _ = self._head(run)
        (digest,) = database.rows("SELECT graph FROM runs WHERE number = ?", (number,))[0]
        try:
            return graph_from_json(self.artifacts.get(digest))
        except (KeyError, ValueError) as error:
            raise UserError(f"the task graph of run {run} is lost: {error}") from error

    def list(self, limit: int | None = None, failed: bool = False) -> Sequence[Run]:
        """The runs, newest first; with ``failed`` those that ended badly (failed, interrupted, crashed, killed).
        Their attempts have what was started, retired, dropped and failed, but neither values nor output nor the
        durations of what went well: ``load`` a run for those."""
        reader = self.folder.reader()
        found: list[Run] = []
        for number, name, head in self._heads(reader) if reader else ():
            if limit is not None and len(found) >= limit:
                break
            assert reader is not None
            ended_badly = failed and self._outline(reader, number, name, head, _RARE).status not in _WELL
            if ended_badly or not failed:
                found.append(self._outline(reader, number, name, head, "kind != 'task_finished'"))
        return found

    def resolve(self, text: str) -> str:
        """The name of the run that ``text`` stands for: ``latest``, a whole name, its words, or a beginning of either
        that fits only one. Raises WrongUse, with the runs that could be meant."""
        reader = self.folder.reader()
        names = [name for (name,) in reader.rows("SELECT id FROM runs ORDER BY number DESC")] if reader else []
        if not names:
            raise WrongUse(f"there is no run in {self.folder.root} yet", hint="make one: inferflow run driver.py")
        if text == "latest":
            return str(names[0])
        found = matching(text, names)
        if len(found) == 1:
            return found[0]
        if found:
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise WrongUse(f"{text!r} may be {len(found)} runs: {', '.join(found[:5])}{more}", hint="type more of it")
        words = {part: name for name in reversed(names) for part in (name, name.split("-", 2)[-1])}
        from difflib import get_close_matches

        near = get_close_matches(text, words, n=1)
        hint = f"did you mean {words[near[0]]}?" if near else f"the latest is {names[0]}; inferflow runs lists them"
        raise WrongUse(f"there is no run {text!r}", hint=hint)

    def is_alive(self, head: str) -> bool:
        """Whether the controller of the run with this head (its RunStarted as JSON) lives."""
        started = event_from_json(head)
        return isinstance(started, RunStarted) and self._alive(started)

    # -- parts

    def _heads(self, reader: Database) -> Iterator[tuple[int, str, str]]:
        """Number, name and RunStarted of each run, newest first."""
        for (number,) in reader.rows("SELECT number FROM runs ORDER BY number DESC"):
            row = reader.row("SELECT number, id, head FROM runs WHERE number = ?", (number,))
            if row is not None:  # else it was pruned meanwhile
                yield row

    def _outline(self, reader: Database, number: int, name: str, head: str, where: str) -> Run:
        """A run folded from some of its events."""
        index = "INDEXED BY rare" if where == _RARE else ""
        rows = reader.rows(f"SELECT data FROM events {index} WHERE run = ? AND {where} ORDER BY seq", (number,))
        return self._fold(name, [event_from_json(head), *self._events(data for (data,) in rows)])

    def _fold(self, run: str, events: Sequence[Event]) -> Run:
        started = events[0]
        assert isinstance(started, RunStarted)
        return fold(run, events, isinstance(events[-1], RunFinished) or self._alive(started))

    def _events(self, texts: Iterable[str]) -> Iterator[Event]:
        for text in texts:
            yield event_from_json(text)

    def _head(self, run: str) -> tuple[Database, int, str]:
        reader = self.folder.reader()
        row = reader.row("SELECT number, head FROM runs WHERE id = ?", (run,)) if reader else None
        if reader is None or row is None:
            raise KeyError(run)
        return reader, row[0], row[1]

    def _number(self, database: Database, run: str) -> int:
        number = self._numbers.get(run)
        if number is None:
            row = database.row("SELECT number FROM runs WHERE id = ?", (run,))
            if row is None:
                raise KeyError(run)
            number = self._numbers[run] = row[0]
        return number
