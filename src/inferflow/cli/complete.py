"""What a shell offers when the user presses Tab: drivers, runs, tasks, formats, names of values.

A completion never fails and never prints: if something is wrong, it has nothing to offer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from inferflow.storage.runs import Runs

__all__ = ["backends", "drivers", "formats", "graph_tasks", "run_tasks", "runs", "value_formats", "values"]


def _quietly(offer: Callable[[typer.Context, str], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    @wraps(offer)
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            folder = getattr(ctx.find_root().obj, "folder", None)
            if folder:
                os.chdir(folder)
            return [text for text in offer(ctx, incomplete) if text.startswith(incomplete)]
        except Exception:
            return []

    return complete


@_quietly
def drivers(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Python files, notebooks and folders under what was typed; after a colon, the functions of the file."""
    name, colon, _ = incomplete.rpartition(":")
    if colon:
        import ast

        from inferflow.session.text import decode_source

        tree = ast.parse(decode_source(Path(name).read_bytes()))
        return [f"{name}:{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)]
    folder, _ = os.path.split(incomplete)
    entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    paths = [entry.name + ("/" if entry.is_dir() else "") for entry in entries if not entry.name.startswith(".")]
    return [os.path.join(folder, path) for path in paths if path.endswith((".py", ".ipynb", "/"))]


@_quietly
def runs(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """``latest``, and the newest runs."""
    return ["latest", *(run.id for run in _store().list(limit=50))]


@_quietly
def run_tasks(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """The tasks of the run that was named."""
    store = _store()
    return [task.name for task in store.graph(store.resolve(_given(ctx, "run"))).tasks]


@_quietly
def values(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """The values and files that the named run kept."""
    from inferflow.storage.values import kept_values

    store = _store()
    name = store.resolve(_given(ctx, "run"))
    run = store.load(name)
    kept = [value.value.name for value in kept_values(store.graph(name), run)]
    files = [use.path for attempt in run.attempts for use in attempt.files if use.mode == "write"]
    return dict.fromkeys([*kept, *files])


@_quietly
def graph_tasks(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """The tasks of the driver that was named."""
    from inferflow.config.settings import load_settings
    from inferflow.session.infer import infer
    from inferflow.session.target import open_target

    target = open_target(_given(ctx, "driver"), Path.cwd())
    graph = infer(target, load_settings(Path(target.filename).parent)).graph
    return [task.name for task in graph.tasks]


@_quietly
def formats(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """The forms of a preview."""
    from inferflow.cli.preview import FORMATS

    return FORMATS


@_quietly
def value_formats(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """The forms of a value."""
    from inferflow.cli.get import FORMATS

    return FORMATS


@_quietly
def backends(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """The backends that are installed."""
    from inferflow.config.settings import backend_names

    return backend_names()


def _given(ctx: typer.Context, name: str) -> str:
    """The first argument of the command. While an option still lacks its value, arguments are not given names yet."""
    return str(ctx.params.get(name) or ctx.args[0])


def _store() -> Runs:
    from inferflow.config.settings import load_settings
    from inferflow.storage.folder import Folder
    from inferflow.storage.runs import Runs

    return Runs(Folder(load_settings(Path.cwd()).store))
