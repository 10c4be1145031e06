"""What ``inferflow run`` does, apart from reading its command line.

Typer takes a fifth of the time that a run of a small driver needs. A command line in which there is nothing to be read
(``inferflow run driver.py``, perhaps with ``-q``, ``-j N`` and arguments for the driver) comes here without it:

    inferflow run -q driver.py -- x                 Wanted(driver="driver.py", arguments=("x",)), quiet
    inferflow run --backend docker driver.py        typer reads it
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferflow.cli.common import Shared, answer, detail, wants_color
from inferflow.cli.failure import after_broken_pipe, tell_error, tell_fault
from inferflow.errors import UserError
from inferflow.records import frozen

if TYPE_CHECKING:
    from inferflow.model import TaskGraph
    from inferflow.render.progress import Progress

__all__ = ["Wanted", "driver_arguments", "run_driver", "run_plain"]


@frozen
class Wanted:
    """The options of ``inferflow run``, as given."""

    driver: str
    arguments: tuple[str, ...] = ()
    backend: str | None = None
    image: str | None = None
    jobs: str | None = None
    param: tuple[str, ...] = ()
    params: str | None = None
    timeout: str | None = None
    depth: str | None = None
    resume: str | None = None
    cache: bool = False
    dry_run: bool = False
    json: bool = False
    output: str | None = None


def run_plain(shared: Shared, wanted: Wanted) -> int:
    """Run a driver whose command line needed no reading; the exit status."""
    try:
        status = run_driver(shared, wanted)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        return after_broken_pipe()
    except UserError as error:
        return tell_error(error, shared)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return tell_fault(error, shared)


def run_driver(shared: Shared, wanted: Wanted) -> int:
    """Run a driver; the exit status. Raises UserError."""
    from inferflow.session.target import open_target

    given = driver_arguments(shared, wanted.driver, wanted.arguments)
    target = open_target(wanted.driver, Path.cwd())
    executed = _executed(wanted.output, target.kind)
    flags = {
        "backend": wanted.backend,
        "jobs": wanted.jobs,
        "timeout": wanted.timeout,
        "depth": wanted.depth,
        "image": wanted.image,
    }
    settings = shared.settings(Path(target.filename).parent, flags)

    placed: dict[str, dict[str, object]] = {}
    if target.kind == "notebook":
        from inferflow.session.notebook import with_parameters

        target, placed = with_parameters(target, settings, wanted.param, wanted.params)

    def raw_parameters(graph: TaskGraph) -> dict[str, dict[str, object]]:
        if target.kind == "notebook":
            return placed  # they stand in a cell already
        given = (
            wanted.param
            or wanted.params
            or settings.params
            or any(name.startswith("INFERFLOW_PARAM_") for name in os.environ)
        )
        if not given and (target.kind != "function" or not graph.parameters):
            return {}  # what knows the types takes a while to load
        from inferflow.config.parameters import collect

        return collect(
            graph.parameters,
            pairs=wanted.param,
            file=Path(wanted.params) if wanted.params else None,
            environ=os.environ,
            settings=settings.params,
            target=target.text,
            script=target.kind != "function",
        )

    if wanted.dry_run:
        from inferflow.cli.preview import rendered
        from inferflow.session.infer import infer

        inferred = infer(target, settings)
        raw_parameters(inferred.graph)
        answer(rendered(inferred.graph, inferred.text, "json" if wanted.json else "tree", shared))
        return 0
    from inferflow.cli.watch import JsonLines, Tally, close_report
    from inferflow.session.run import Wish, execute

    wish = Wish(wanted.resume or "", wanted.cache)

    detail(shared, f"backend: {settings.backend}, {settings.jobs} processes")
    if wanted.json:
        lines = JsonLines()
        with open(os.devnull, "wb") as nowhere:
            silent = nowhere.fileno()
            outcome = execute(
                target,
                settings,
                raw_parameters,
                given,
                lines,
                stdout=silent,
                stderr=silent,
                executed=executed,
                wish=wish,
            )
        lines.finish(outcome)
        return outcome.exit_code
    display = _display(shared)
    tally = Tally(display)
    try:
        outcome = execute(target, settings, raw_parameters, given, tally, executed=executed, wish=wish)
    finally:
        if display:
            display.close()
    if not shared.quiet or tally.is_foreign:
        close_report(outcome, tally, shared)
    if outcome.fault is not None:
        from inferflow.cli.failure import tell_unrecorded

        tell_unrecorded(outcome.fault, shared)
    return outcome.exit_code


def _executed(output: str | None, kind: str) -> Path | None:
    """Where the executed notebook is to be written; raises WrongUse if there is none, or no folder for it."""
    from inferflow.errors import WrongUse

    if output is None:
        return None
    if kind != "notebook":
        raise WrongUse("-o is for the executed notebook, and the driver is none", hint="inferflow get writes values")
    path = Path(os.path.abspath(output))
    if path.is_dir():
        raise WrongUse(f"cannot write {output}: it is a folder")
    if not path.parent.is_dir():
        raise WrongUse(f"cannot write {output}: there is no folder {path.parent}")
    return path


def driver_arguments(shared: Shared, driver: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
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
    return arguments


def _display(shared: Shared) -> Progress | None:
    """The live lines on a terminal; nothing where nobody would see them move."""
    from inferflow.render.progress import Progress, wants_progress

    if shared.quiet or not wants_progress(sys.stderr, os.environ):
        return None
    return Progress(sys.stderr, color=wants_color(shared, sys.stderr))
