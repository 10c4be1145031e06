"""``inferflow logs RUN [TASK]``: what the driver wrote to its stdout and stderr, in program order."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferflow.cli import complete
from inferflow.cli.common import answer, enter, show_json, wants_color
from inferflow.cli.store import open_runs, task_index

__all__ = ["command"]


def command(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(help="latest, a run, or the beginning of one.", autocompletion=complete.runs),
    ] = "latest",
    task: Annotated[str | None, typer.Argument(help="One task of it.", autocompletion=complete.run_tasks)] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON: task, stream, text.")] = False,
) -> int:
    """Show what a run wrote to stdout and stderr."""
    shared = enter(ctx)
    store = open_runs(shared)
    name = store.resolve(run)
    graph, found = store.graph(name), store.load(name)
    chosen = None if task is None else graph.tasks[task_index(graph, name, task)].name
    if json:
        counted = [a for a in found.attempts if a.status in ("retired", "failed", "running", "finished")]
        wanted = [a for a in sorted(counted, key=lambda a: a.task) if chosen in (None, graph.tasks[a.task].name)]
        lines = [
            {"task": graph.tasks[a.task].name, "attempt": a.number, "stream": stream, "text": text}
            for a in wanted
            if a.task >= 0
            for stream, text in (("stdout", a.stdout), ("stderr", a.stderr))
            if text
        ]
        ends = [("stdout", found.finished.stdout), ("stderr", found.finished.stderr)] if found.finished else []
        lines += [{"task": "", "attempt": 0, "stream": s, "text": text} for s, text in ends if text and not chosen]
        show_json(lines)
        return 0
    from inferflow.render import render_logs

    answer(render_logs(graph, found, chosen, wants_color(shared, sys.stdout)))
    return 0
