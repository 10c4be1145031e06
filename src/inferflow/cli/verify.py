"""``inferflow verify DRIVER [-- ARGS]``: native and inferred side by side: the same, or the first difference.

Both run in copies of the driver's folder. The answer goes to stdout, what is being done to stderr; the exit status is 0
for the same and 1 for a difference.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferflow.cli import complete
from inferflow.cli.common import Shared, answer, enter, number, show_json, wants_color, width
from inferflow.cli.options import Arguments, Jobs, Json, Param, Params, Script
from inferflow.cli.run_driver import driver_arguments

if TYPE_CHECKING:
    from inferflow.config.settings import Settings
    from inferflow.session.target import Target
    from inferflow.session.verify import Verdict

__all__ = ["command"]


def command(
    ctx: typer.Context,
    driver: Script,
    arguments: Arguments = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            "-b",
            metavar="NAME",
            help="Where the inferred side runs.",
            autocompletion=complete.backends,
        ),
    ] = None,
    jobs: Jobs = None,
    times: Annotated[
        str,
        typer.Option(
            "--times",
            metavar="N",
            help="Inferred runs; from the second on with other numbers of processes and random delays.",
        ),
    ] = "1",
    param: Param = None,
    params: Params = None,
    stdin: Annotated[
        str | None, typer.Option("--stdin", metavar="FILE", help="What both sides find on standard input.")
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="PATTERN",
            help="Folders or files that are not copied, but used as they are. May be repeated.",
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help='For native ("90s", "1h30m"); four times as long for inferred.'),
    ] = None,
    json: Json = False,
) -> int:
    """Run a driver natively and inferred, and compare them."""
    from inferflow.errors import WrongUse
    from inferflow.session.target import check_syntax, open_target

    shared = enter(ctx)
    given = driver_arguments(shared, driver, tuple(arguments or ()))
    target = open_target(driver, Path.cwd())
    check_syntax(target.source)
    settings = shared.settings(Path(target.filename).parent, {"backend": backend, "jobs": jobs, "timeout": timeout})
    if target.kind == "notebook":
        from inferflow.session.notebook import check_notebook, with_parameters

        check_notebook(settings, given)
        target, _ = with_parameters(target, settings, param or [], params)
    count = number("--times", times)
    if count < 1:
        raise WrongUse("--times is 0; there is nothing to compare then")
    options, plain = _parameters(target, settings, param or [], params)
    from inferflow.session.verify import Request, verify

    request = Request(
        target, settings.backend, settings.jobs, count, given, options, plain, _read(stdin), settings.timeout,
        tuple(leave_out or ()),
        settings.backend == "docker" or any(rule.place.backend == "docker" for rule in settings.tasks),
    )  # fmt: skip
    verdict = verify(request, _notes(shared))
    if json:
        show_json(_plain(verdict))
    else:
        from inferflow.render.verdict import render_verdict

        answer(render_verdict(target.text, verdict, width(), wants_color(shared, sys.stdout)))
    return 0 if verdict.same else 1


def _notes(shared: Shared) -> Any:
    """What is being done, one line each, where somebody waits for it."""
    if shared.quiet or not (shared.verbose or sys.stderr.isatty()):
        return lambda text: None

    from inferflow.render.style import clean

    def note(text: str) -> None:
        sys.stderr.write(f"inferflow: {clean(text)}\n")
        sys.stderr.flush()

    return note


def _read(name: str | None) -> bytes:
    from inferflow.errors import WrongUse

    if name is None:
        return b""
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise WrongUse(f"--stdin {name}: {error.strerror}") from None


def _parameters(
    target: Target, settings: Settings, pairs: list[str], file: str | None
) -> tuple[tuple[str, ...], dict[str, object]]:
    """Parameters as options of ``inferflow run``, and as plain data for the native call."""
    from inferflow.errors import WrongUse

    options = [word for pair in pairs for word in ("--param", pair)]
    if file:
        options += ["--params", os.path.abspath(file)]
    if target.kind == "notebook":
        return tuple(options), {}
    asked = pairs or file or settings.params or any(name.startswith("INFERFLOW_PARAM_") for name in os.environ)
    if target.kind == "script":
        if pairs or file:
            raise WrongUse(
                "parameters change what a script does, and python driver.py has none to compare with",
                hint=f"verify the function: inferflow verify {target.text}:main -p {(pairs or ['NAME=VALUE'])[0]}",
            )
        return (), {}
    if not asked:
        return (), {}
    from inferflow.config.parameters import collect
    from inferflow.session.infer import infer

    graph = infer(target, settings).graph
    plain = collect(
        graph.parameters,
        pairs=pairs,
        file=Path(file) if file else None,
        environ=os.environ,
        settings=settings.params,
        target=target.text,
        script=False,
    )
    return tuple(options), dict(plain)


def _plain(verdict: Verdict) -> dict[str, Any]:
    import attrs

    data = attrs.asdict(verdict)
    first = verdict.first
    return {"same": data.pop("same"), "first": attrs.asdict(first) if first else None, **data}
