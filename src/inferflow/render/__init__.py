"""Text and pictures of what inferflow knows: from frozen values to strings, computing no fact.

    render_graph(graph, "tree")            what `inferflow preview` prints
    render_why(graph, ["model_fit"])       what `--why` prints
    render_run(graph, run)                 what `inferflow show RUN` prints; and so on

Each format has its own module, imported when it is asked for. Text is made for a terminal of ``width`` cells and for
UTF-8; ``style.for_encoding`` turns it into what another encoding can show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferflow.model import Run, TaskGraph

__all__ = [
    "FORMATS",
    "render_failure",
    "render_graph",
    "render_logs",
    "render_run",
    "render_runs",
    "render_task",
    "render_why",
    "resume_command",
]

FORMATS = ("tree", "table", "diff", "mermaid", "dot", "svg", "html")
"""What :func:`render_graph` can make; ``json`` is the serialised graph itself (see ``inferflow.wire``)."""


def render_graph(graph: TaskGraph, format: str, *, width: int = 80, color: bool = False, text: str = "") -> str:
    """The graph in one of :data:`FORMATS`, ending in a newline. ``text`` is the driver's source, for ``diff`` and
    ``html``. Raises ValueError for another format."""
    match format:
        case "tree":
            from inferflow.render.tree import render_tree

            return render_tree(graph, width, color)
        case "table":
            from inferflow.render.table import render_table

            return render_table(graph, width, color)
        case "diff":
            from inferflow.render.diff import render_diff

            return render_diff(graph, width, color, text)
        case "mermaid":
            from inferflow.render.mermaid import render_mermaid

            return render_mermaid(graph)
        case "dot":
            from inferflow.render.dot import render_dot

            return render_dot(graph)
        case "svg":
            from inferflow.render.svg import render_svg

            return render_svg(graph)
        case "html":
            from inferflow.render.html import render_html

            return render_html(graph, text)
        case _:
            raise ValueError(f"no format {format!r}; there are {', '.join(FORMATS)}")


def render_why(graph: TaskGraph, task_names: Sequence[str], width: int = 80, color: bool = False) -> str:
    """Why these tasks stand where they do; see ``inferflow.render.why``. Raises KeyError for an unknown name."""
    from inferflow.render import why

    return why.render_why(graph, task_names, width, color)


def render_runs(runs: Sequence[Run], width: int = 80, color: bool = False) -> str:
    """A list of runs, in the order given."""
    from inferflow.render import runs as module

    return module.render_runs(runs, width, color)


def render_run(graph: TaskGraph, run: Run, width: int = 80, color: bool = False) -> str:
    """One run in a page; its graph is the one that it ran."""
    from inferflow.render import runs as module

    return module.render_run(graph, run, width, color)


def render_task(
    graph: TaskGraph,
    run: Run,
    task: str,
    width: int = 80,
    color: bool = False,
    books: Mapping[str, bytes] | None = None,
) -> str:
    """One task of a run, each attempt in full, with the cells of executed notebooks (``books``, by digest). Raises
    KeyError for an unknown name."""
    from inferflow.render import attempts

    return attempts.render_task(graph, run, task, width, color, books)


def render_logs(
    graph: TaskGraph,
    run: Run,
    task: str | None = None,
    color: bool = False,
    item: tuple[int, ...] | None = None,
    items: bool = False,
) -> str:
    """What the driver, or one task of it, or one turn of the task's loops, wrote; ``items``: say of each line which
    turn wrote it. Raises KeyError for an unknown name."""
    from inferflow.render import attempts

    return attempts.render_logs(graph, run, task, color, item, items)


def render_failure(graph: TaskGraph, run: Run, width: int = 80, color: bool = False, *, output: bool = True) -> str:
    """How a run failed and what to do next; empty for one that did not. ``output``: with its last words."""
    from inferflow.render import failure

    return failure.render_failure(graph, run, width, color, output=output)


def resume_command(run: Run, where: str = "") -> str:
    """How to go on with a run that did not end well; empty if nothing of it can be used again. ``where``: options that
    stand before the command."""
    from inferflow.render import failure

    return failure.resume_command(run, where)
