"""``inferflow run DRIVER [-- ARGS]``: the same result as ``python driver.py``, as tasks, recorded.

stdout carries the driver's own stdout, byte for byte, and stderr its stderr, with the progress and the last line of
ours (``-q``: without them). With ``--json``, stdout carries the events of the run instead, one a line, the last
the summary; what the driver prints stands inside them, and nothing else is printed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflow.cli import complete
from inferflow.cli.common import Shared, answer, detail, enter, wants_color
from inferflow.cli.watch import JsonLines, Tally, close_report

if TYPE_CHECKING:
    from inferflow.model import TaskGraph
    from inferflow.render.progress import Progress

__all__ = ["command", "parameters_help"]


def command(
    ctx: typer.Context,
    driver: Annotated[
        str,
        typer.Argument(
            help="driver.py, driver.py:main or package.module:main.",
            autocompletion=complete.drivers,
        ),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- ARGS", help="What follows -- becomes the driver's sys.argv[1:].")
    ] = None,
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
    jobs: Annotated[
        str | None, typer.Option("--jobs", "-j", metavar="N|auto", help="How many processes may work at once.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="An argument of the driver function. May be repeated."
        ),
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", metavar="FILE", help="Arguments from a TOML, YAML or JSON file.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help='Stop the run after this time ("90s", "1h30m").')
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, as preview does, and run nothing.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Events as JSON on stdout, one a line, the last the summary.")
    ] = False,
) -> int:
    """Run a driver, as python driver.py would, recorded."""
    from inferflow.session.target import open_target

    shared = enter(ctx)
    given = _driver_arguments(shared, driver, arguments or [])
    target = open_target(driver, Path.cwd())
    flags = {"backend": backend, "jobs": jobs, "timeout": timeout, "image": image}
    settings = shared.settings(Path(target.filename).parent, flags)

    def raw_parameters(graph: TaskGraph) -> dict[str, dict[str, object]]:
        given = param or params or settings.params or any(name.startswith("INFERFLOW_PARAM_") for name in os.environ)
        if not given and (target.kind == "script" or not graph.parameters):
            return {}  # what knows the types takes a while to load
        from inferflow.config.parameters import collect

        return collect(
            graph.parameters,
            pairs=param or (),
            file=Path(params) if params else None,
            environ=os.environ,
            settings=settings.params,
            target=target.text,
            script=target.kind == "script",
        )

    if dry_run:
        from inferflow.cli.preview import rendered
        from inferflow.session.infer import infer

        inferred = infer(target, settings)
        raw_parameters(inferred.graph)
        answer(rendered(inferred.graph, inferred.text, "json" if json else "tree", shared))
        return 0
    from inferflow.session.run import execute

    detail(shared, f"backend: {settings.backend}, {settings.jobs} processes")
    if json:
        lines = JsonLines()
        with open(os.devnull, "wb") as nowhere:
            silent = nowhere.fileno()
            outcome = execute(target, settings, raw_parameters, given, lines, stdout=silent, stderr=silent)
        lines.finish(outcome)
        return outcome.exit_code
    display = _display(shared)
    tally = Tally(display)
    try:
        outcome = execute(target, settings, raw_parameters, given, tally)
    finally:
        if display:
            display.close()
    if not shared.quiet:
        close_report(outcome, tally, shared)
    if outcome.fault is not None:
        from inferflow.cli.failure import tell_unrecorded

        tell_unrecorded(outcome.fault, shared)
    return outcome.exit_code


def _driver_arguments(shared: Shared, driver: str, arguments: list[str]) -> tuple[str, ...]:
    """What stands behind ``--``; raises WrongUse if something stands before it."""
    from inferflow.errors import WrongUse

    line = shared.arguments
    behind = len(line) - line.index("--") - 1 if "--" in line else 0
    if len(arguments) > behind:
        extra = arguments[0]
        raise WrongUse(
            f"{extra!r} is one argument too many",
            hint=f"arguments of the driver stand behind --: inferflow run {driver} -- {extra}",
        )
    return tuple(arguments)


def _display(shared: Shared) -> Progress | None:
    """The live lines on a terminal; nothing where nobody would see them move."""
    from inferflow.render.progress import Progress, wants_progress

    if shared.quiet or not wants_progress(sys.stderr, os.environ):
        return None
    return Progress(sys.stderr, color=wants_color(shared, sys.stderr))


def parameters_help(ctx: typer.Context) -> str:
    """What the driver on the command line takes, from its signature and docstring; empty if none is named."""
    from inferflow.config.parameters import signature
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
        rows = [(signature(parameter), " ".join(parameter.help.split())) for parameter in graph.parameters]
        room = min(max((len(name) for name, _ in rows), default=0), 30)
        lines = [f"  {name:<{room}}  {text}".rstrip() for name, text in rows] or ["  none"]
        return "\n".join(["", "", f"Parameters of {target.text} (-p NAME=VALUE):", *lines])
    return ""
