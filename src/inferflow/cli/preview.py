"""``inferflow preview DRIVER``: the inferred graph, in many forms. Nothing of the user's is imported or run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferflow.cli import complete
from inferflow.cli.common import Shared, answer, detail, enter, wants_color, width
from inferflow.cli.options import Depth, Driver, FormatJson, Output

if TYPE_CHECKING:
    from inferflow.model import TaskGraph

__all__ = ["FORMATS", "command", "rendered"]

FORMATS = ("tree", "table", "diff", "mermaid", "dot", "svg", "html", "json")


def command(
    ctx: typer.Context,
    driver: Driver,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="|".join(FORMATS), help="The form of the answer.", autocompletion=complete.formats
        ),
    ] = "tree",
    why: Annotated[
        list[str] | None,
        typer.Option(
            "--why",
            metavar="TASK",
            help="Why this task stands where it does: what it needs, and what keeps it in order. May be repeated.",
            autocompletion=complete.graph_tasks,
        ),
    ] = None,
    output: Output = None,
    depth: Depth = None,
    json: FormatJson = False,
) -> int:
    """Show the tasks of a driver, without running it."""
    from inferflow.config.values import Refused, parse_choice
    from inferflow.errors import WrongUse
    from inferflow.session.infer import infer
    from inferflow.session.target import open_target

    shared = enter(ctx)
    try:
        form = parse_choice("json" if json else form, FORMATS)
    except Refused as refused:
        raise WrongUse(f"--format is {form!r}; it must be {refused}") from None
    begin = time.perf_counter()
    target = open_target(driver, Path.cwd())
    settings = shared.settings(Path(target.filename).parent, {"depth": depth})
    inferred = infer(target, settings)
    detail(shared, f"graph: {'cached' if inferred.cached else 'analysed'}, {time.perf_counter() - begin:.3f} s")
    path = Path(output) if output is not None else None
    if why:
        from inferflow.render import render_why

        text = render_why(inferred.graph, _tasks(inferred.graph, why), width(), _color(shared, path))
    else:
        text = rendered(inferred.graph, inferred.text, form, shared, path)
    if path is None:
        answer(text)
    else:
        _write(path, text)
    return 0


def rendered(graph: TaskGraph, text: str, form: str, shared: Shared, output: Path | None = None) -> str:
    """The graph in one of FORMATS."""
    if form == "json":
        from inferflow.wire import graph_to_json

        return graph_to_json(graph)
    from inferflow.render import render_graph

    return render_graph(graph, form, width=width(), color=_color(shared, output), text=text)


def _color(shared: Shared, output: Path | None) -> bool:
    return wants_color(shared, sys.stdout) if output is None else shared.color == "always"


def _tasks(graph: TaskGraph, asked: list[str]) -> list[str]:
    """The names of tasks that were asked for: comma-separated names or patterns."""
    from fnmatch import fnmatchcase

    from inferflow.config.values import closest
    from inferflow.errors import WrongUse

    names = [task.name for task in graph.tasks]
    found: dict[str, Any] = {}
    for pattern in (part.strip() for text in asked for part in text.split(",")):
        matching = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not matching:
            near = closest(pattern, names)
            some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise WrongUse(
                f"{graph.target} has no task {pattern!r}",
                hint=f"did you mean {near}?" if near else f"its tasks: {some}" if names else "it has no tasks",
            )
        found.update(dict.fromkeys(matching))
    return list(found)


def _write(path: Path, text: str) -> None:
    from inferflow.errors import WrongUse

    try:
        path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise WrongUse(f"cannot write {path}: {error.strerror}") from None
