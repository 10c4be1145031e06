"""The preview as one HTML page that needs nothing else: the graph beside the driver's text, and every task explained.

Graph, text and table are linked by the task's number: pointing at a task in one marks it in all, choosing it opens its
explanation (the text of ``--why``). Without scripts the page still reads from top to bottom. Nothing is fetched: the
page's own policy forbids it.
"""

from __future__ import annotations

from importlib import resources

from inferflow.model import TaskGraph
from inferflow.render.highlight import highlight
from inferflow.render.outline import Outline, Row, outline, place_of, takes_text
from inferflow.render.regions import inside
from inferflow.render.style import clean, code_lines
from inferflow.render.svg import DARK, LIGHT, STYLE, escaped, picture
from inferflow.render.tree import summary, title
from inferflow.render.why import Explainer

__all__ = ["render_html"]


def render_html(graph: TaskGraph, text: str = "") -> str:
    """A complete HTML document, ending in a newline. ``text``: the driver's source; without it the graph is alone."""
    view = outline(graph)
    heading = title(graph)
    parts = [
        _head(f"{heading} · inferflow preview"),
        "<body>",
        '<a class="skip" href="#tasks">Skip to the tasks</a>',
        f'<header><h1>{escaped(heading)}</h1><p class="facts">{escaped(summary(view))}</p>{_legend(view)}</header>',
        '<main class="panes">',
        _graph(view),
        _source(view, text),
        "</main>",
        '<aside id="detail" aria-live="polite" hidden><button id="close" aria-label="Close the explanation">×</button>'
        '<div id="detail-body"></div></aside>',
        _tasks(view),
        _notes(view),
        f"<footer>inferflow run {escaped(graph.target)}</footer>",
        f"<script>\n{_asset('page.js')}</script>",
        "</body>\n</html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _asset(name: str) -> str:
    return resources.files("inferflow.render").joinpath("assets").joinpath(name).read_text("utf-8")


def _head(heading: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\"/>\n"
        '<meta name="color-scheme" content="light dark"/>\n'
        f"<title>{escaped(heading)}</title>\n"
        f"<style>\n:root{{{LIGHT}}}\n@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}\n"
        f"{STYLE}{_asset('page.css')}</style>\n</head>"
    )


def _legend(view: Outline) -> str:
    parts = []
    if view.ahead:
        parts.append('<span class="key ahead">may run ahead, in a helper process</span>')
    if view.ahead < len(view.rows):
        parts.append('<span class="key home">runs at home, in program order</span>')
    if any(row.after for row in view.rows):
        parts.append('<span class="key dashed">order only</span>')
    return f'<p class="legend">{"".join(parts)}</p>' if parts else ""


def _graph(view: Outline) -> str:
    drawn = picture(view)
    width, height = round(drawn.width), round(drawn.height)
    return (
        '<section class="pane" aria-label="Graph">'
        '<div class="tools"><button data-zoom="in" aria-label="Zoom in">+</button>'
        '<button data-zoom="out" aria-label="Zoom out">−</button>'
        '<button data-zoom="fit" aria-label="Show the whole graph">fit</button></div>\n'
        f'<svg class="graph" id="graph" viewBox="0 0 {width} {height}" data-width="{width}" data-height="{height}" '
        f'xmlns="http://www.w3.org/2000/svg" role="group" aria-label="Task graph">\n'
        f'<g id="scene">{drawn.body}</g>\n</svg></section>'
    )


def _source(view: Outline, text: str) -> str:
    if not text:
        return ""
    numbers: dict[int, list[int]] = {}
    starts: dict[int, int] = {}
    notebook = view.graph.path.endswith(".ipynb")
    for row in view.rows:
        first, last = view.cellwise.line(row.task.span), view.cellwise.last(row.task.span)
        starts[row.number] = first
        for line in range(first, last + 1) if first else ():
            numbers.setdefault(line, []).append(row.number)
    lines = []
    for number, code in enumerate(highlight(clean("\n".join(code_lines(text)))), 1):
        tasks = numbers.get(number, [])
        badges = "".join(_badge(view.rows[task - 1]) for task in tasks if starts[task] == number)
        mark = f' class="on" data-tasks="{" ".join(map(str, tasks))}"' if tasks else ""
        heading = view.cellwise.heads.get(number + 1)
        if heading is not None:  # a notebook's lines are counted from the beginning of their cell
            lines.append(f'<li class="cell{" own" if notebook else ""}"><b>{escaped(heading)}</b></li>')
            if notebook:
                continue
        lines.append(f'<li{mark}><span class="badges">{badges}</span><code>{code or " "}</code></li>')
    name = escaped(view.graph.path)
    return (
        f'<section class="pane source" aria-label="Source"><h2>{name}</h2><ol class="lines" tabindex="0" '
        f'aria-label="{name}">\n' + "\n".join(lines) + "\n</ol></section>"
    )


def _badge(row: Row) -> str:
    kind = "home" if row.at_home else "ahead"
    name = escaped(row.task.name)
    return (
        f'<button class="badge {kind}" data-task="{row.number}" aria-label="task {row.number} {name}">'
        f"{row.number}</button>"
    )


def _tasks(view: Outline) -> str:
    if not view.rows:
        return '<section id="tasks"><h2>Tasks</h2><p>Nothing here calls anything.</p></section>'
    explain = Explainer(view)
    begins = view.cellwise.begins
    rows = "\n".join(
        (f'<tr class="cell"><th colspan="6">{escaped(begins[row.index])}</th></tr>\n' if row.index in begins else "")
        + _task(row, view, explain)
        for row in view.rows
    )
    return (
        '<section id="tasks"><h2>Tasks</h2><div class="scroll"><table>\n<thead><tr><th scope="col">#</th>'
        '<th scope="col">task</th><th scope="col">call</th><th scope="col">takes</th><th scope="col">gives</th>'
        f'<th scope="col">where</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>'
    )


def _task(row: Row, view: Outline, explain: Explainer) -> str:
    why = explain(row.index, 74)
    return (
        f'<tr data-tasks="{row.number}"><td>{_badge(row)}</td><th scope="row">{escaped(row.title)}</th>'
        f'<td class="wraps"><code>{escaped(row.call)}</code>{_inside(row)}'
        f'<details id="why-{row.number}"><summary>why</summary><pre>{escaped(why.rstrip())}</pre></details></td>'
        f'<td class="wraps">{escaped(takes_text(row))}</td><td class="wraps"><code>{escaped(row.result)}</code></td>'
        f"<td>{escaped(place_of(row.task.span, view.graph.path))}</td></tr>"
    )


def _inside(row: Row) -> str:
    text = "\n".join(inside(row.parts))
    return f"<details><summary>inside</summary><pre>{escaped(text)}</pre></details>" if text else ""


def _notes(view: Outline) -> str:
    items = "\n".join(
        f'<li class="{item.severity.value}"><b>{escaped(item.code)}</b> {escaped(item.message)} '
        f'<span class="place">{escaped(place_of(item.span, view.graph.path))}</span>'
        + (f'<br/><span class="hint">{escaped(item.hint)}</span>' if item.hint else "")
        + "</li>"
        for item in view.graph.diagnostics
    )
    return f'<section id="notes"><h2>Notes</h2><ul>\n{items}\n</ul></section>' if items else ""
