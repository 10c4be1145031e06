"""``inferflow logs RUN [TASK]``: what the driver wrote to its stdout and stderr, in program order."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferflow.cli import complete
from inferflow.cli.common import answer, enter, show_json, wants_color
from inferflow.cli.options import RunName
from inferflow.cli.store import open_runs, task_index

if TYPE_CHECKING:
    from inferflow.model import Attempt

__all__ = ["command"]


def command(
    ctx: typer.Context,
    run: RunName = "latest",
    task: Annotated[
        str | None,
        typer.Argument(
            help="One task of it, or one turn of its loops: for[2], for[2,3].", autocompletion=complete.run_tasks
        ),
    ] = None,
    items: Annotated[bool, typer.Option("--items", help="Say of each line which turn of a loop wrote it.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="As JSON: task, stream, text, and which turns of loops wrote what.")
    ] = False,
) -> int:
    """Show what a run wrote to stdout and stderr."""
    shared = enter(ctx)
    store = open_runs(shared)
    name = store.resolve(run)
    graph, found = store.graph(name), store.load(name)
    task, item = _turn_of(task)
    chosen = None if task is None else graph.tasks[task_index(graph, name, task)].name
    if json:
        counted = [a for a in found.attempts if a.status in ("retired", "failed", "running", "finished")]
        wanted = [a for a in sorted(counted, key=lambda a: a.task) if chosen in (None, graph.tasks[a.task].name)]
        lines = [
            {
                "task": graph.tasks[a.task].name,
                "kind": graph.tasks[a.task].kind,
                "attempt": a.number,
                "stream": stream,
                "text": text,
                **_items(a, stream),
            }
            for a in wanted
            if a.task >= 0
            for stream, text in (("stdout", a.stdout), ("stderr", a.stderr))
            if text
        ]
        ends = [("stdout", found.finished.stdout), ("stderr", found.finished.stderr)] if found.finished else []
        lines += [
            {"task": "", "kind": "", "attempt": 0, "stream": s, "text": text} for s, text in ends if text and not chosen
        ]
        show_json(lines)
        return 0
    from inferflow.render import render_logs

    answer(render_logs(graph, found, chosen, wants_color(shared, sys.stdout), item, items))
    return 0


def _turn_of(task: str | None) -> tuple[str | None, tuple[int, ...] | None]:
    """The name of a task, and the turn in brackets after it."""
    found = re.fullmatch(r"(.+)\[(\d+(?: *, *\d+)*)\]", task or "")
    if found is None:
        return task, None
    return found[1], tuple(int(part) for part in found[2].split(","))


def _items(attempt: Attempt, stream: str) -> dict[str, Any]:
    """Which characters of the text turns of loops wrote."""
    rows = [row for facts in attempt.regions for row in facts.printed if row.stream == stream]
    told = [{"path": list(row.path), "item": row.item, "start": row.start, "stop": row.stop} for row in rows]
    return {"items": told} if told else {}
