"""The graph of a target: from the analysis, or from a cache if nothing that it read has changed.

A cache entry is one file for each target, under the store (``.inferflow/cache/``) or, if that cannot be written, in
the user's cache folder. It holds the graph, the digest of the driver's text, and the *questions* that the analysis
asked: for each module name the file that it led to, and that file's digest. It is used if all of them still have the
same answer, so a new ``random.py`` beside the driver counts as a change. Nothing here can fail a run: what cannot be
read is ignored.

The file is a pickle, three milliseconds for 200 tasks where JSON takes fifty; it is loaded by a reader that knows the
classes of ``inferflow.model`` and nothing else, so that a foreign project's cache cannot run code.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import inferflow.model
from inferflow import __version__
from inferflow.config.settings import Settings
from inferflow.errors import DriverUnreadable
from inferflow.model import Diagnostic, Severity, TaskGraph
from inferflow.records import frozen
from inferflow.session.sources import Modules
from inferflow.session.target import Target, check_syntax

__all__ = ["Inferred", "infer"]

FAILED = "IF390"
"""A pass of the analysis failed: the graph is right, but not worth keeping."""


@frozen
class Inferred:
    """``text`` is the driver's text, ``cached`` whether the analysis was spared."""

    graph: TaskGraph
    text: str
    cached: bool = False
    json: str = ""
    """The graph in its JSON form, if that is at hand."""


def infer(target: Target, settings: Settings) -> Inferred:
    """The task graph of ``target``.

    Raises DriverUnreadable for a syntax error (as Python shows it) and for whatever else the analysis calls an error.
    """
    files = _cache_files(target, settings)
    identity = _identity(target, settings)
    for file in files:
        found = _recall(file, identity, target)
        if found is not None:
            return Inferred(found[0], target.source.shown or target.source.text, cached=True, json=found[1])
    check_syntax(target.source)
    modules = Modules(target)
    graph = _analyze(target, modules, settings)
    from inferflow.wire import graph_to_json

    text = graph_to_json(graph)
    if not any(diagnostic.code == FAILED for diagnostic in graph.diagnostics):
        _remember(files, identity, modules, graph, text, settings)
    return Inferred(graph, target.source.shown or target.source.text, json=text)


def _analyze(target: Target, modules: Modules, settings: Settings) -> TaskGraph:
    from inferflow.analysis import analyze
    from inferflow.session.effects import check_effects

    check_effects(settings.catalogue)

    graph, diagnostics = analyze(
        target.source,
        modules.find,
        target.text,
        target.function or None,
        more_effects=settings.catalogue,
        depth=settings.depth,
        rules=settings.opening(),
    )
    if graph is None:
        _refuse_errors(diagnostics)
        raise DriverUnreadable(f"{target.text} cannot be taken as a driver")
    return graph


def _refuse_errors(diagnostics: Iterable[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        if diagnostic.severity is Severity.ERROR:
            message = f"{diagnostic.code} {diagnostic.message}"
            raise DriverUnreadable(message, span=diagnostic.span, hint=diagnostic.hint)


# -- the cache -------------------------------------------------------------------------------------


def _identity(target: Target, settings: Settings) -> str:
    """What a graph depends on beside the project's other modules: the target, its text, the analyzer, its catalogue."""
    digest = hashlib.sha256()
    for part in (
        *(__version__, sys.version, target.text, target.filename, target.module, target.function, target.root),
        *(
            repr((settings.depth, settings.opening())),
            target.folder,
            target.source.digest,
            _stamp(Path(inferflow.model.__file__).parent.parent),
        ),
        *(f"{path} {_digest(str(path))}" for folder in settings.catalogue for path in sorted(folder.glob("*.effects"))),
    ):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _stamp(package: Path) -> str:
    """Sizes and times of the analyzer's own files, so that a changed analyzer never reads what an older one wrote."""
    facts = os.stat(os.path.join(package, "records.py"))  # knows how values of the model are pickled
    stamps = [("records.py", facts.st_size, facts.st_mtime_ns)]
    stack = [os.path.join(package, part) for part in ("analysis", "model")]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir() and entry.name != "__pycache__":
                    stack.append(entry.path)
                elif entry.is_file():
                    facts = entry.stat()
                    stamps.append((entry.path, facts.st_size, facts.st_mtime_ns))
    return repr(sorted(stamps))


def _cache_files(target: Target, settings: Settings) -> tuple[Path, ...]:
    """Where the entry for a target may stand, the preferred place first."""
    named = "\0".join((target.filename, target.function, target.root))
    base = hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:24] + ".graph"
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    places = [settings.store / "cache" / base]
    if os.path.isabs(user):
        places.append(Path(user) / "inferflow" / base)
    return tuple(places)


def _recall(file: Path, identity: str, target: Target) -> tuple[TaskGraph, str] | None:
    try:
        entry = _load(file.read_bytes())
        if entry["identity"] != identity or not _answers_hold(entry, target):
            return None
        graph = entry["graph"]
        return (graph, entry["json"]) if isinstance(graph, TaskGraph) else None
    except Exception:  # a damaged entry can fail in any way, and is worth nothing
        return None


def _answers_hold(entry: Mapping[str, Any], target: Target) -> bool:
    modules = Modules(target)
    if any(modules.locate(name) != filename for name, filename in entry["answers"].items()):
        return False
    for filename, (size, changed, digest) in entry["files"].items():
        facts = os.stat(filename)
        is_settled = entry["time"] - facts.st_mtime > 2.0  # later, two changes may bear the same time
        if is_settled and (facts.st_size, facts.st_mtime_ns) == (size, changed):
            continue
        if _digest(filename) != digest:
            return False
    return True


def _remember(
    files: tuple[Path, ...], identity: str, modules: Modules, graph: TaskGraph, text: str, settings: Settings
) -> None:
    """Write the entry to the first place that takes it; none is no misfortune."""
    entry: dict[str, object] = {
        "identity": identity,
        "time": time.time(),
        "answers": dict(modules.answers),
        "files": {name: modules.facts.get(name, (-1, -1, "")) for name in modules.answers.values() if name},
        "graph": graph,
        "json": text,
    }
    try:
        payload = pickle.dumps(entry, protocol=5)
    except (pickle.PicklingError, RecursionError):
        return
    data = hashlib.sha256(payload).digest() + payload
    for file in files:
        try:
            _make_folder(file.parent, settings)
            temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
            temporary.write_bytes(data)
            os.replace(temporary, file)
            return
        except OSError:
            continue


def _make_folder(folder: Path, settings: Settings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if folder.parent == settings.store and not (ignore := settings.store / ".gitignore").exists():
        ignore.write_text("*\n")


def _digest(filename: str) -> str:
    with open(filename, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class _GraphReader(pickle.Unpickler):
    """Makes values of the model, and nothing else."""

    def find_class(self, module: str, name: str) -> type:
        found = _CLASSES.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a graph")
        return found


_CLASSES: dict[tuple[str, str], type] = {
    (value.__module__, value.__name__): value
    for value in (getattr(inferflow.model, name) for name in inferflow.model.__all__)
    if isinstance(value, type)
}


def _load(data: bytes) -> dict[str, Any]:
    digest, payload = data[:32], data[32:]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError("damaged")
    return cast("dict[str, Any]", _GraphReader(io.BytesIO(payload)).load())
