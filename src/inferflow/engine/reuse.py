"""Results of earlier runs that may be used again, and what became of them.

Home tells beforehand what each task is made of (``worker.recipe``); what was recorded of tasks with the same recipe is
on *offer*. At the task's turn an offer is taken if all that the task reads has the contents that it had then:

    X = load()        reused
    Z = scale(X)      ran again: scale has changed        -> Z is what it was, as it turns out
    m = fit(Z)        reused

Files that the task read, its recipe as it is at its turn, and whether its inputs still are what was kept of them, are
compared by home, which may refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from inferflow.engine.plan import Plan
from inferflow.engine.values import Kept, absolute
from inferflow.model import FileAct, StoredValue, TaskFinished
from inferflow.protocols import ArtifactStore, Message
from inferflow.records import define, field, frozen

__all__ = ["IMAGE", "Contents", "Old", "Reuse", "reusable"]

LINES = "where its code stands"
"""The part of a recipe that only matters if something was printed (see ``worker.recipe``)."""

IMAGE = "the image of its container"
"""The part of the recipe of a task that has a container of its own: the image's digest."""

SHOWN = 4
"""So many tasks that ran again for one reason are named."""
CHOICES = 8
"""So many results of one task home is given to choose from."""

Content = tuple[str, str, str, int]
"""Of an input: scope and name, and of the value the digest of its pack and the member."""


@frozen
class Old:
    """What an earlier run has recorded of a task."""

    run: str
    name: str
    inputs: frozenset[Content]
    event: TaskFinished
    elsewhere: str = ""
    """In what the environment was another one, in words."""
    variables: tuple[str, ...] = ()
    """The environment variables that are not what they were when the run began."""

    @property
    def recipe(self) -> dict[str, str]:
        return dict(self.event.recipe)

    def difference(self, known: dict[str, str]) -> str:
        """The first part of a recipe that is not what it was, as far as the parts are ``known``; empty if all are."""
        if self.elsewhere:
            return self.elsewhere
        recipe = self.recipe
        printed = bool(self.event.stdout or self.event.stderr)
        for name, digest in known.items():
            was = recipe.get(name, "" if name == IMAGE else None)
            if was != digest and (name != LINES or printed):
                if name == "os.environ" and self.variables:
                    shown = self.variables[:SHOWN]
                    more = ", ..." if len(shown) < len(self.variables) else ""
                    name = f"the environment ({', '.join(shown)}{more})"
                return f"{name} has changed since {self.run}"
        return ""


def reusable(plan: Plan) -> dict[int, tuple[list[list[str]], list[list[str]]]]:
    """The tasks whose results may be used again, if they are recorded: those that only compute, print, read and write
    files. For each what it reads, and which of that are parameters."""
    found = {}
    for index, task in enumerate(plan.graph.tasks):
        named = all(item.variable.scope != "<value>" for item in task.inputs)
        guess = task.guess
        writes = guess is not None and guess.acts and not guess.unknown and not guess.apart
        known = not task.home or writes
        computes = task.kind in ("call", "group") or (task.kind == "library" and bool(task.outputs))
        computes = computes and known and not task.inner
        told = bool(plan.keeps[index]) or not task.outputs
        if computes and told and named and all(output.definite for output in task.outputs):
            read = [(item.producer, [item.variable.scope, item.variable.name]) for item in task.inputs]
            found[index] = [name for _, name in read], [name for producer, name in read if producer < 0]
    return found


@define
class Contents:
    """The contents of what tasks have left, so far as it is known to be rebuilt exactly."""

    kept: dict[int, Kept] = field(factory=dict)

    def add(self, task: int, kept: Kept) -> None:
        self.kept[task] = kept

    def of(self, plan: Plan, task: int) -> frozenset[Content] | None:
        """Of all that a task reads from others; None if something was not kept."""
        found = []
        for item in plan.graph.tasks[task].inputs:
            if item.producer < 0:
                continue  # (a parameter: part of the recipe)
            kept = self.kept.get(item.producer)
            name = item.variable.name
            if kept is None or kept.pending or kept.parts or not kept.exact or name not in kept.names:
                return None
            found.append((item.variable.scope, name, kept.digest, kept.names.index(name)))
        return frozenset(found)

    def is_settled(self, plan: Plan, task: int) -> bool:
        """Whether all that a task reads is there."""
        producers = {item.producer for item in plan.graph.tasks[task].inputs if item.producer >= 0}
        return all(one in self.kept and not self.kept[one].pending for one in producers)


@define
class Reuse:
    """``offers``: by task. ``refused``: why tasks ran again, in words."""

    olds: list[Old]
    runs: tuple[str, ...]
    absent: dict[str, str] = field(factory=dict)
    """Why nothing is there of some tasks, by name."""
    offers: dict[int, list[Old]] = field(factory=dict)
    refused: dict[int, str] = field(factory=dict)
    taken: dict[int, list[Old]] = field(factory=dict)

    def told(self, plan: Plan, rows: Iterable[Any], images: dict[int, str]) -> frozenset[int]:
        """Home has told the parts of recipes; the tasks for which something is on offer. ``images`` are those of tasks
        with a container of their own."""
        by_task: dict[str, list[Old]] = {}
        for old in self.olds:
            by_task.setdefault(old.recipe.get("the task itself", ""), []).append(old)
        for task, parts in rows:
            if isinstance(parts, str):
                self.refused[task] = parts
                continue
            parts[IMAGE] = images.get(task, "")
            same = by_task.get(parts["the task itself"], [])
            fits = [old for old in same if not old.difference(parts)]
            if fits:
                self.offers[task] = fits
            elif same:
                self.refused[task] = same[0].difference(parts)
            else:
                name = plan.graph.tasks[task].name
                self.refused[task] = self.absent.get(name, f"there is nothing like it in {self._where()}")
        return frozenset(self.offers)

    def _where(self) -> str:
        """Where results were looked for."""
        if not self.runs:
            return "any earlier run, since there is none"
        return self.runs[0] if len(self.runs) == 1 else f"the last {len(self.runs)} runs"

    def take(self, plan: Plan, task: int, contents: Contents, artifacts: ArtifactStore) -> list[Old]:
        """What could be used again at the turn of ``task``, newest first; empty if it has to run."""
        offers = self.offers.pop(task, None)
        if offers is None:
            return []
        now = contents.of(plan, task)
        if now is None:
            self.refused[task] = "what it reads was not kept exactly"
            return []
        names = [output.variable.name for output in plan.keeps[task]]
        fits: dict[Any, Old] = {}
        for old in offers:
            if old.inputs == now and [value.name for value in old.event.values] == names and _is_there(old, artifacts):
                read = tuple((use.path, use.digest) for use in old.event.files if use.mode == "read")
                fits.setdefault((old.event.recipe, read), old)
        if fits:
            self.taken[task] = list(fits.values())[:CHOICES]
            return self.taken[task]
        changed = sorted(name for _, name, *_ in now - offers[0].inputs)
        if changed:
            self.refused[task] = f"{' and '.join(changed)} {'is' if len(changed) == 1 else 'are'} not what it was"
        else:
            self.refused[task] = "its result is not in the store any more"
        return []

    def adoption(self, olds: list[Old], task: int, folder: Path, artifacts: ArtifactStore) -> Message:
        """What home is told: it takes the first that fits."""
        return {"kind": "adopt", "choices": [self._choice(old, task, folder, artifacts) for old in olds]}

    def _choice(self, old: Old, task: int, folder: Path, artifacts: ArtifactStore) -> Message:
        event = old.event
        reply: Message = {
            "kind": "adopt",
            "output": [[_bytes(event.stdout), _bytes(event.stderr), -1, -1, []]],
            "values": bool(event.values),
            "order": list(range(len(event.values))),
            "recipe": {name: digest for name, digest in old.event.recipe if name != IMAGE},
            "inputs": self._inputs(old, artifacts),
            "contents": [[absolute(use.path, folder), use.digest] for use in event.files if use.mode == "read"],
        }
        if event.acts:
            reply["acts"] = [_act(act, old, folder, artifacts) for act in event.acts]
        return {**reply, **_source(_pack(old), artifacts)} if event.values else reply

    def _inputs(self, old: Old, artifacts: ArtifactStore) -> list[Message]:
        """Of each pack that the task reads from: where it is, and which of its members have which names now."""
        packs: dict[str, list[list[Any]]] = {}
        for scope, name, digest, member in sorted(old.inputs):
            packs.setdefault(digest, []).append([scope, name, member])
        return [{"take": take, **_source(digest, artifacts)} for digest, take in packs.items()]

    def reasons(self, plan: Plan) -> list[str]:
        """Why tasks ran again, in words; those that did for one reason together."""
        by_reason: dict[str, list[str]] = {}
        for task, why in sorted(self.refused.items()):
            by_reason.setdefault(why, []).append(plan.graph.tasks[task].name)
        found = []
        for why, names in by_reason.items():
            shown = names if len(names) <= SHOWN else [*names[: SHOWN - 1], f"{len(names) - SHOWN + 1} more"]
            found.append(f"{' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))} ran again: {why}")
        return found

    def kept(self, old: Old, artifacts: ArtifactStore) -> Kept:
        """Its values, for tasks that read them."""
        stored = old.event.values
        if not stored:
            return Kept()
        digest = _pack(old)
        inline = None if artifacts.path(digest) is not None else artifacts.get(digest)
        return Kept(stored, tuple(value.name for value in stored), digest, inline, True)


def _pack(old: Old) -> str:
    """The digest of the pack of all its values."""
    artifact = old.event.values[0].artifact
    assert artifact is not None
    return artifact.digest


def _act(act: FileAct, old: Old, folder: Path, artifacts: ArtifactStore) -> list[Any]:
    """As home does it (see ``worker.commit``)."""
    path = absolute(act.path, folder)
    if act.kind == "mkdir":
        return ["mkdir", path, 0o777, act.how == "lenient"]
    source = _source(_written(old)[act.path], artifacts)
    return ["write", path, act.how, source.get("inline", b""), source.get("path", ""), 0o666]


def _written(old: Old) -> dict[str, str]:
    """The digests of what was kept of the files that were written."""
    return {
        use.path: use.artifact.digest for use in old.event.files if use.mode == "write" and use.artifact is not None
    }


def _is_there(old: Old, artifacts: ArtifactStore) -> bool:
    written = _written(old)
    for act in old.event.acts:
        if act.kind == "write" and not (act.path in written and artifacts.has(written[act.path])):
            return False
    if not old.event.values:
        return True
    found = {value.artifact.digest if value.artifact is not None else "" for value in old.event.values}
    whole = len(found) == 1 and all(value.exact and not value.why_not for value in old.event.values)
    return whole and "" not in found and artifacts.has(found.pop()) and _is_in_order(old.event.values)


def _source(digest: str, artifacts: ArtifactStore) -> Message:
    path = artifacts.path(digest)
    return {"inline": artifacts.get(digest)} if path is None else {"path": str(path)}


def _is_in_order(values: tuple[StoredValue, ...]) -> bool:
    return [value.member for value in values] == list(range(len(values)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
