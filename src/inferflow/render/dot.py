"""The graph for Graphviz: ``inferflow preview driver.py --format dot | dot -Tsvg``.

digraph "driver.py" {
    t1 [label="1 · load_data\\lload_data()\\l"]
    t1 -> t2 [label="X, Y"]
}
"""

from __future__ import annotations

from inferflow.model import TaskGraph
from inferflow.render.mermaid import by_cell, links
from inferflow.render.outline import Row, outline
from inferflow.render.regions import MOST
from inferflow.render.style import clean, clip, wrap
from inferflow.render.tree import AHEAD, HOME

__all__ = ["render_dot"]


def render_dot(graph: TaskGraph) -> str:
    """DOT text, ending in a newline."""
    view = outline(graph)
    lines = [
        f"digraph {_quoted(graph.target)} {{",
        '    graph [rankdir=TB, nodesep=0.35, ranksep=0.45, fontname="Helvetica"]',
        '    node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, margin="0.15,0.08"]',
        '    edge [color="#667085", fontname="Helvetica", fontsize=10, fontcolor="#475467", arrowsize=0.7]',
    ]
    for number, (heading, rows) in enumerate(by_cell(view), 1):
        if heading:
            lines += [f"    subgraph cluster_{number} {{", f"    graph [label={_quoted(heading)}, {_CLUSTER}]"]
        lines += [line for row in rows for line in _nodes(row)]
        lines += ["    }"] if heading else []
    for source, target, what, flow in links(view):
        style = "" if flow else ', style=dashed, color="#b0b7c3"'
        lines.append(f"    t{source + 1} -> t{target + 1} [label={_quoted(clip(what, 40))}{style}]")
    return "\n".join([*lines, "}"]) + "\n"


_CLUSTER = 'labeljust=l, style=rounded, color="#d0d5dd", fontcolor="#475467", fontsize=10'


def _nodes(row: Row) -> list[str]:
    """The task's node; with what stands inside of it, as a cluster around."""
    if not row.parts:
        return [_node(row)]
    lines = [f"    subgraph cluster_r{row.number} {{", f"    graph [{_CLUSTER}]", _node(row)]
    open_levels: list[int] = []
    below: list[str] = []
    last = f"t{row.number}"
    for part in row.parts[:MOST]:
        while open_levels and open_levels[-1] >= part.level:
            open_levels.pop()
            lines.append("    }")
        key = f"t{row.number}_{part.key}"
        if part.is_head:
            open_levels.append(part.level)
            lines += [f"    subgraph cluster_{key} {{", f"    graph [label={_quoted(clip(part.text, 44))}, {_CLUSTER}]"]
            continue
        fill, border = COLORS.get(part.mark, ("#ffffff", "#98a2b3"))
        lines.append(f'    {key} [label={_quoted(clip(part.text, 44))}, fillcolor="{fill}", color="{border}"]')
        below.append(f"    {last} -> {key} [style=invis]")  # one below the other, as in the program
        last = key
    lines += ["    }"] * (len(open_levels) + 1) + below
    shown = {part.key for part in row.parts[:MOST]}
    for part in row.parts[:MOST]:
        found = (other for other in part.takes if other in shown)
        lines += [f"    t{row.number}_{other} -> t{row.number}_{part.key} [constraint=false]" for other in found]
    return lines


COLORS = {AHEAD: ("#e8f3ec", "#2f7d4f"), HOME: ("#fbf1de", "#a8741a")}
"""Fill and border of what may run ahead, and of what keeps its order."""


def _node(row: Row) -> str:
    call = wrap(row.call, 44, 3) if row.call != f"{row.task.name}()" else []
    text = [f"{row.number} · {row.title}", *call]
    fill, border = COLORS[HOME if row.at_home else AHEAD]
    tip = str(row.task.home[0]) if row.task.home else "may run ahead"
    shown = "".join(_escaped(line) + r"\l" for line in text)
    return f'    t{row.number} [label="{shown}", tooltip={_quoted(tip)}, fillcolor="{fill}", color="{border}"]'


def _escaped(text: str) -> str:
    # Graphviz decodes HTML entities even in quoted strings, so an ampersand has to be one.
    return clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", " ")


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
