"""What runs have learned of tasks that it was of no use to run ahead, so that the next run does not try again.

One small file for each driver, ``.inferflow/cache/learned/NAME.json``:

    {"code": "ab12...", "tasks": {"fit.2": ["any", "it changed os.environ", "20261125-1547-sure-osprey"]},
     "small": [0.004, "20261125-1547-sure-osprey"]}

It counts only for the code that it was learned of: ``code`` is a digest of the texts of all files of the project that
the analysis has read (a task that runs unknown code may run any of them), and of the tasks that it found, which another
version of inferflow may cut otherwise. Nothing in it matters to any result, so it is
read and written without a lock (the last of two runs at once wins), and whatever is wrong with it is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from inferflow import __version__
from inferflow.model import TaskGraph
from inferflow.records import frozen
from inferflow.storage.folder import Folder

__all__ = ["Lesson", "Small", "is_small", "learn", "learn_size", "lessons", "small"]

MOST = 5000
HELPERS_COST = 0.005, 0.0003
"""Seconds that helpers cost home at least, and for each MiB of its memory: it is copied page by page as both go on."""
ADOPTION = 0.0005
"""Seconds that it takes home to compare and take over what a helper made of one task."""


@frozen
class Lesson:
    """``why`` a task was dropped in run ``run``. ``scope``: ``trust`` if it might still run ahead where that is proved,
    ``any`` if its own doing is the reason."""

    scope: str
    why: str
    run: str


@frozen
class Small:
    """All tasks that could have run ahead took ``seconds`` together in run ``run``."""

    seconds: float
    run: str


def is_small(durations: Iterable[float], memory: int) -> bool:
    """Whether helpers cost more than they could save, if the tasks that they could do take so long (seconds each).
    ``memory``: of home, in bytes."""
    saved = sum(duration - ADOPTION for duration in durations)  # (with helpers, those that take no time go there too)
    return saved < HELPERS_COST[0] + HELPERS_COST[1] * memory / 2**20


def small(folder: Folder, graph: TaskGraph) -> Small | None:
    """What was learned of all tasks together, if helpers are not worth while."""
    found = _read(_file(folder, graph))
    facts = found.get("small")
    if found.get("code") != _code(graph) or not isinstance(facts, list) or len(facts) != 2:
        return None
    return Small(float(facts[0]), str(facts[1])) if isinstance(facts[0], (int, float)) else None


def learn_size(folder: Folder, graph: TaskGraph, new: Small | None) -> None:
    """Remember that helpers are not worth while, or (None) that they are. Never raises."""
    file, code = _file(folder, graph), _code(graph)
    found = _read(file)
    if found.get("code") != code:
        found = {}
    if new is None and "small" not in found:
        return
    _write(
        file, {"code": code, "tasks": found.get("tasks") or {}, **({"small": [new.seconds, new.run]} if new else {})}
    )


def lessons(folder: Folder, graph: TaskGraph) -> dict[int, Lesson]:
    """What is known of the tasks of this graph, by their index."""
    found = _read(_file(folder, graph))
    if found.get("code") != _code(graph):
        return {}
    tasks = found.get("tasks")
    if not isinstance(tasks, dict):
        return {}
    known = {task.name: index for index, task in enumerate(graph.tasks)}
    return {
        known[name]: Lesson(*map(str, facts))
        for name, facts in tasks.items()
        if name in known and isinstance(facts, list) and len(facts) == 3
    }


def learn(folder: Folder, graph: TaskGraph, new: Mapping[int, Lesson]) -> None:
    """Add lessons to those that are there. Never raises."""
    if not new:
        return
    file = _file(folder, graph)
    code = _code(graph)
    found = _read(file)
    tasks = found.get("tasks") if found.get("code") == code else None
    tasks = dict(tasks) if isinstance(tasks, dict) else {}
    for index, lesson in new.items():
        tasks[graph.tasks[index].name] = [lesson.scope, lesson.why[:300], lesson.run]
    size = {"small": found["small"]} if found.get("code") == code and "small" in found else {}
    _write(file, {"code": code, "tasks": dict(list(tasks.items())[-MOST:]), **size})


def _write(file: Path, what: dict[str, object]) -> None:
    text = json.dumps(what)
    temporary = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        os.replace(temporary, file)
    except OSError:
        return


def _file(folder: Folder, graph: TaskGraph) -> Path:
    name = hashlib.sha256(graph.target.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return folder.root / "cache" / "learned" / f"{name}.json"


def _code(graph: TaskGraph) -> str:
    data = [*map(list, graph.sources), __version__, *([task.name, not task.home] for task in graph.tasks)]
    return hashlib.sha256(json.dumps(data).encode("utf-8", "surrogateescape")).hexdigest()


def _read(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
