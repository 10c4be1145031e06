"""``inferflow prune``: frees the space of killed runs, of what no run refers to, and of old runs if asked."""

from __future__ import annotations

from typing import Annotated

import typer

from inferflow.cli.common import answer, enter, number, show_json
from inferflow.cli.options import Json
from inferflow.cli.store import open_runs

__all__ = ["command"]


def command(
    ctx: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help='Also runs that began longer ago than this ("30d").'),
    ] = None,
    keep: Annotated[str | None, typer.Option("--keep", metavar="N", help="Also all runs but the newest N.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> int:
    """Free the space of killed and of old runs."""
    import attrs

    from inferflow.config.values import Refused, parse_duration
    from inferflow.errors import WrongUse
    from inferflow.render.units import count, size
    from inferflow.session.containers import remove
    from inferflow.storage.prune import Pruned, prune

    shared = enter(ctx)
    try:
        age = parse_duration(older_than) if older_than is not None else None
    except Refused as refused:
        raise WrongUse(f"--older-than is {older_than!r}; it must be {refused}") from None
    store = open_runs(shared)
    if not store.folder.exists():
        freed = None
    else:
        freed = prune(
            store, older_than=age, keep_last=number("--keep", keep) if keep is not None else None, dry_run=dry_run
        )
    containers = remove(dry_run)
    if json:
        facts = attrs.asdict(freed or Pruned())
        show_json({**facts, "containers": containers})
        return 0
    if containers:
        answer(f"{'would remove' if dry_run else 'removed'} {count(len(containers), 'container')} of killed runs")
    if freed is None:
        answer(f"nothing to free: there is no {store.folder.root}")
        return 0
    things = [count(len(freed.runs), "run"), count(freed.artifacts, "artifact")]
    things.append(count(freed.temporary, "temporary file"))
    answer(f"{'would free' if dry_run else 'freed'} {size(freed.size)}: {', '.join(things)}")
    for run in freed.runs:
        answer(f"  {run}")
    if freed.waiting:
        answer(f"artifacts were left alone while {', '.join(freed.waiting)} is under way")
    return 0
