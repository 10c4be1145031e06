"""Where the values of tasks are kept: what a worker's message says, and the order that hands them to a helper."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from inferflow.engine.plan import Plan
from inferflow.model import Artifact, FileAct, FileUse, StoredValue
from inferflow.protocols import ArtifactStore, Message
from inferflow.records import define, field

__all__ = ["Kept", "Values", "absolute", "check_of", "file_acts", "file_uses", "unshared"]


@define
class Kept:
    """One packed group of values: ``names`` in the order of its members. ``pending`` are numbers of large artifacts
    that are still being written; until then ``stored`` is not final."""

    stored: tuple[StoredValue, ...] = ()
    names: tuple[str, ...] = ()
    digest: str = ""
    inline: bytes | None = None
    exact: bool | None = None
    why: str = ""
    pending: set[int] = field(factory=set)
    parts: list[Kept] = field(factory=list)


@define
class Values:
    """The values that helpers may still ask for, by producer (-1: the driver function's parameters). ``waiting`` are
    those still being written; ``early`` is what was told of such a value before the value itself: home's writing thread
    may be faster than its task's message."""

    by_task: dict[int, Kept] = field(factory=dict)
    waiting: dict[int, Kept] = field(factory=dict)
    early: dict[int, Message] = field(factory=dict)
    store: ArtifactStore | None = None
    sweep: int = 64

    def kept(self, message: dict[str, Any], artifacts: ArtifactStore) -> Kept:
        """What a message says about the values of a task; small ones are put into the store."""
        self.store = artifacts
        facts = message.get("facts") or []
        if "parts" in message:
            parts = [self.kept(part, artifacts) for part in message["parts"]]
            whole = Kept(names=tuple(name for name, *_ in facts), why=message["unpackable"], parts=parts)
            whole.stored = tuple(value for part in parts for value in part.stored)
            whole.pending = {number for part in parts for number in part.pending}
            for number in whole.pending:
                self.waiting[number] = whole
            return whole
        names = tuple(name for name, *_ in facts)
        kept = Kept(names=names, exact=message.get("exact"), why=message.get("why") or message.get("unpackable") or "")
        artifact: Artifact | None = None
        if message.get("inline") is not None:
            kept.inline = message["inline"]
            artifact = artifacts.put(message["inline"])
            kept.digest = artifact.digest
        elif "digest" in message:
            kept.digest = message["digest"]
            artifact = Artifact(message["digest"], message["size"])
        elif "file" in message:
            artifact = taken(message["file"], message["size"], artifacts)
            kept.digest = artifact.digest if artifact is not None else ""
        elif "pending" in message:
            kept.pending = {message["pending"]}
            self.waiting[message["pending"]] = kept
        why_not = message.get("unpackable", "")
        kept.stored = tuple(
            StoredValue(name, kind, summary, artifact, member, kept.exact, why_not)
            for member, (name, kind, summary) in enumerate(facts)
        )
        for number in tuple(kept.pending):
            if number in self.early:
                self.stored(self.early.pop(number))
        return kept

    def stored(self, message: dict[str, Any]) -> None:
        """A large artifact is on disk (or could not be written)."""
        kept = self.waiting.pop(message["id"], None)
        if kept is None:
            self.early[message["id"]] = message
            return
        kept.pending.discard(message["id"])
        if "error" in message:
            kept.why = message["error"]
            kept.stored = tuple(
                StoredValue(v.name, v.type, v.summary, None, v.member, v.exact, message["error"]) for v in kept.stored
            )
            return
        artifact = Artifact(message["digest"], message["size"])
        target = kept
        for part in kept.parts:
            if message["id"] in part.pending:
                part.pending.discard(message["id"])
                target = part
        target.digest = message["digest"]
        target.stored = tuple(
            StoredValue(v.name, v.type, v.summary, artifact, v.member, v.exact, v.why_not) for v in target.stored
        )
        if target is not kept:
            kept.stored = tuple(value for part in kept.parts for value in part.stored)

    def add(self, task: int, kept: Kept) -> None:
        self.by_task[task] = kept

    def remove(self, task: int) -> None:
        self.by_task.pop(task, None)

    def forget_before(self, retired: int, plan: Plan) -> None:
        """Let go of the small values that no later task away from home can read."""
        if len(self.by_task) < self.sweep:
            return
        for task in [t for t in self.by_task if plan.last_reader.get(t, -1) < retired]:
            del self.by_task[task]
        self.sweep = max(64, 2 * len(self.by_task))

    def order(self, plan: Plan, task: int, trust: bool = False) -> Message | str | None:
        """The message that has a helper run ``task``; ``None`` if a value is not there yet; words if one never will
        be (not exact, not picklable). On ``trust`` it also says what home has to check at the task's turn."""
        facts = plan.graph.tasks[task]
        guess = plan.trusted[task] if trust else None
        takes: dict[int, list[list[Any]]] = {}
        numbers: dict[str, int] = {}
        for item in facts.inputs if guess is None else guess.inputs:
            kept = self.by_task.get(item.producer)
            if kept is None:
                return f"the value of {item.variable.name} was not kept"
            if kept.pending:
                return None
            if kept.parts or not kept.digest:
                return f"{item.variable.name} cannot leave home: {kept.why or 'it was not kept'}"
            if not kept.exact:
                return f"{item.variable.name} would not be the same elsewhere: {kept.why or 'not checked'}"
            if item.variable.name not in kept.names:
                return f"the value of {item.variable.name} was not kept"
            member = kept.names.index(item.variable.name)
            takes.setdefault(item.producer, []).append([item.variable.scope, item.variable.name, member])
            if item.variable.scope == "<value>":
                numbers[item.variable.name] = item.producer
        inputs = []
        for producer, take in takes.items():
            kept = self.by_task[producer]
            part: dict[str, Any] = {"take": take}
            if kept.inline is not None:
                part["inline"] = kept.inline
            else:
                assert self.store is not None
                part["path"] = str(self.store.path(kept.digest))
            inputs.append(part)
        inner = []
        for index in facts.inner:
            span = plan.graph.tasks[index].anchor.expression
            assert span is not None
            inner.append([span.line, span.column, span.end_line, span.end_column, index])
        order: Message = {"kind": "run", "task": task, "inputs": inputs, "inner": inner, "values": numbers}
        if guess is not None:
            order["trust"] = {"unknown": guess.unknown, "checked": guess.checked}
        placed = plan.placed.get(task)
        assumed = guess if placed is None else placed.guess
        if assumed is not None:
            order["preamble"] = [[s.line, s.column, s.end_line, s.end_column] for s in assumed.preamble]
        return order


def check_of(plan: Plan, task: int, order: Message) -> Message:
    """What home has to look at when a task that was ordered on trust has its turn: of its inputs those that may have
    been changed since, or may share objects."""
    guess = plan.trusted[task]
    doubtful = {(variable.scope, variable.name) for variable in guess.doubtful}
    parts = []
    for part in cast("list[dict[str, Any]]", order["inputs"]):
        named = [take for take in part["take"] if take[0] != "<value>"]
        doubted = [take for take in named if (take[0], take[1]) in doubtful]
        if named and (doubted or guess.apart or guess.checked):
            parts.append({**part, "take": named, "doubted": doubted})
    return {"inputs": parts, "apart": guess.apart, "trust": True}


def unshared(order: Message) -> Message:
    """What home has to look at when a placed task has run at its turn of which not all is proved: that what it was
    given, in parts, shared nothing."""
    parts = [
        {**part, "take": named, "doubted": []}
        for part in cast("list[dict[str, Any]]", order["inputs"])
        if (named := [take for take in part["take"] if take[0] != "<value>"])
    ]
    return {"inputs": parts, "apart": True, "trust": False}


def taken(path: str, size: int, artifacts: ArtifactStore) -> Artifact | None:
    """A file that a worker wrote, among the artifacts; ``None`` if it cannot be had (it was cut short)."""
    try:
        return artifacts.take(path, size).result()
    except OSError:
        return None


def file_uses(files: list[dict[str, Any]], folder: Path, artifacts: ArtifactStore) -> tuple[FileUse, ...]:
    """File facts of a message, with paths relative to the working folder where they are inside. Copies that were made
    of them are put into the store."""
    out = []
    for fact in files:
        path = _relative(fact["path"], folder)
        copy = fact.get("kept")
        artifact: Artifact | None = None
        if isinstance(copy, bytes):
            artifact = artifacts.put(copy)
        elif copy is not None:
            artifact = taken(copy, fact["size"], artifacts)
        out.append(FileUse(path, fact["mode"], fact["digest"], fact["size"], artifact))
    return tuple(out)


def file_acts(rows: list[list[Any]], folder: Path) -> tuple[FileAct, ...] | None:
    """What a task did to files, as home or a helper tells it; None if it is more than what can be done once more."""
    found = []
    for kind, path, *rest in rows:
        if kind == "mkdir":
            found.append(FileAct("mkdir", _relative(path, folder), "lenient" if rest[1] else "strict"))
        elif kind == "write" and rest[0] in ("w", "x"):
            found.append(FileAct("write", _relative(path, folder), rest[0]))
        else:
            return None
    return tuple(found)


def _relative(path: str, folder: Path) -> str:
    """The path from the working folder, where it is inside."""
    base = str(folder) + os.sep
    return path[len(base) :] if path.startswith(base) else path


def absolute(path: str, folder: Path) -> str:
    """The opposite."""
    return os.path.join(folder, path)
