"""``inferflow show RUN [TASK]``: what a run, or one task of it, did."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from inferflow.cli import complete
from inferflow.cli.common import answer, enter, show_json, wants_color, width
from inferflow.cli.options import Json, RunName
from inferflow.cli.store import events_data, open_runs, run_data, task_data, task_index

if TYPE_CHECKING:
    from inferflow.model import Run
    from inferflow.storage.runs import Runs

__all__ = ["command"]


def command(
    ctx: typer.Context,
    run: RunName = "latest",
    task: Annotated[str | None, typer.Argument(help="One task of it.", autocompletion=complete.run_tasks)] = None,
    json: Json = False,
) -> int:
    """Show what a run, or one task of it, did."""
    shared = enter(ctx)
    store = open_runs(shared)
    name = store.resolve(run)
    graph, found = store.graph(name), store.load(name)
    if task is None:
        if json:
            show_json({**run_data(found, graph), "events": events_data(store.events(name))})
            return 0
        from inferflow.render import render_run

        answer(render_run(graph, found, width(), wants_color(shared, sys.stdout)))
        return 0
    index = task_index(graph, name, task)
    if json:
        show_json(task_data(found, graph, index))
        return 0
    from inferflow.render import render_task

    books = _notebooks(store, found, index)
    answer(render_task(graph, found, graph.tasks[index].name, width(), wants_color(shared, sys.stdout), books))
    return 0


def _notebooks(store: Runs, run: Run, task: int) -> dict[str, bytes]:
    """The notebooks that a task left, by digest; those that are gone, or damaged, are left out."""
    from inferflow.errors import UserError

    found: dict[str, bytes] = {}
    for attempt in run.attempts:
        for use in attempt.files if attempt.task == task else ():
            if use.mode == "write" and use.path.endswith(".ipynb") and use.artifact is not None:
                try:
                    found[use.digest] = store.artifacts.get(use.artifact.digest)
                except UserError:
                    continue
    return found
