"""``inferflow run DRIVER [-- ARGS]``: the same result as ``python driver.py``, as tasks, recorded.

stdout carries the driver's own stdout, byte for byte, and stderr its stderr, with the progress and the last line of
ours (``-q``: without them). With ``--json``, stdout carries the events of the run instead, one a line, the last
the summary; what the driver prints stands inside them, and nothing else is printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferflow.cli import complete
from inferflow.cli.common import enter
from inferflow.cli.options import Arguments, Depth, Driver, Jobs, Param, Params

__all__ = ["command", "parameters_help"]


def command(
    ctx: typer.Context,
    driver: Driver,
    arguments: Arguments = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            "-b",
            metavar="process|docker|inline",
            help="Where tasks run: in several processes, in containers, or all in one process.",
            autocompletion=complete.backends,
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="REF|host", help="The containers' image, or this machine's own files."),
    ] = None,
    jobs: Jobs = None,
    param: Param = None,
    params: Params = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help='Stop the run after this time ("90s", "1h30m").')
    ] = None,
    depth: Depth = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Use the results of that run again where nothing has changed.",
            autocompletion=complete.runs,
        ),
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Use the results of any recent run again where nothing has changed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, as preview does, and run nothing.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Of a notebook: write it, executed, to this file."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Events as JSON on stdout, one a line, the last the summary.")
    ] = False,
) -> int:
    """Run a driver, as python driver.py would, recorded."""
    from inferflow.cli.run_driver import Wanted, run_driver

    wanted = Wanted(
        driver=driver,
        arguments=tuple(arguments or ()),
        backend=backend,
        image=image,
        jobs=jobs,
        param=tuple(param or ()),
        params=params,
        timeout=timeout,
        depth=depth,
        resume=resume,
        cache=cache,
        dry_run=dry_run,
        json=json,
        output=output,
    )
    return run_driver(enter(ctx), wanted)


def parameters_help(ctx: typer.Context) -> str:
    """What the driver on the command line takes, from its signature and docstring; empty if none is named."""
    from inferflow.errors import UserError
    from inferflow.session.infer import infer
    from inferflow.session.target import open_target

    shared = enter(ctx)
    line = shared.arguments[: shared.arguments.index("--")] if "--" in shared.arguments else shared.arguments
    for word in line[line.index("run") + 1 :] if "run" in line else ():
        if word.startswith("-"):
            continue
        try:
            target = open_target(word, Path.cwd())
            graph = infer(target, shared.settings(Path(target.filename).parent)).graph
        except UserError:
            continue
        rows = [(str(parameter), " ".join(parameter.help.split())) for parameter in graph.parameters]
        room = min(max((len(name) for name, _ in rows), default=0), 30)
        lines = [f"  {name:<{room}}  {text}".rstrip() for name, text in rows] or ["  none"]
        return "\n".join(["", "", f"Parameters of {target.text} (-p NAME=VALUE):", *lines])
    return ""
