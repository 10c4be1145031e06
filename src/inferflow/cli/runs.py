"""``inferflow runs``: the runs of this project, newest first."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferflow.cli.common import answer, enter, number, show_json, wants_color, width
from inferflow.cli.options import Json
from inferflow.cli.store import open_runs, run_summary

__all__ = ["command"]


def command(
    ctx: typer.Context,
    limit: Annotated[str, typer.Option("--limit", "-n", metavar="N", help="At most so many; 0 for all.")] = "20",
    failed: Annotated[bool, typer.Option("--failed", help="Only those that did not end well.")] = False,
    json: Json = False,
) -> int:
    """List the runs, newest first."""
    shared = enter(ctx)
    store = open_runs(shared)
    found = store.list(limit=number("--limit", limit) or None, failed=failed)
    if json:
        show_json([run_summary(run) for run in found])
        return 0
    from inferflow.render import render_runs

    answer(render_runs(found, width(), wants_color(shared, sys.stdout)))
    return 0
