"""The graph as a Mermaid flowchart, for a README, an issue or a wiki.

    flowchart TD
        t1("1 · load_data")
        t2("2 · fit")
        t1 -- "X, Y" --> t2

One arrow for each pair of tasks: solid for what flows, dotted for order alone. The cells of a notebook are
subgraphs, and so are the arms of compound statements and the functions that are opened.
"""

from __future__ import annotations

from inferflow.model import TaskGraph
from inferflow.render.cellwise import cell_heading
from inferflow.render.outline import Outline, Row, label, outline
from inferflow.render.regions import MOST
from inferflow.render.style import clean, clip
from inferflow.render.tree import AHEAD, HOME

__all__ = ["by_cell", "links", "render_mermaid"]

FLOWS = 500
"""Mermaid refuses more edges than this unless a page configures it; order's arrows are left out first."""


def render_mermaid(graph: TaskGraph) -> str:
    """Mermaid text, ending in a newline."""
    view = outline(graph)
    lines = ["flowchart TD"]
    for number, (heading, rows) in enumerate(by_cell(view), 1):
        lines += [f'    subgraph c{number}["{_text(heading)}"]'] if heading else []
        lines += [line for row in rows for line in _nodes(row)]
        lines += ["    end"] if heading else []
    for source, target, text, flow in links(view):
        arrow = "-->" if flow else "-.->"
        lines.append(
            f"    t{source + 1} {arrow}" + (f'|"{_text(clip(text, 40))}"|' if text else "") + f" t{target + 1}"
        )
    lines.append("    classDef ahead fill:#e8f3ec,stroke:#2f7d4f,color:#10261a")
    lines.append("    classDef home fill:#fbf1de,stroke:#a8741a,color:#2e2006")
    return "\n".join(lines) + "\n"


def _nodes(row: Row) -> list[str]:
    """The task's node; with what stands inside of it, as a subgraph around."""
    if not row.parts:
        return [_node(row)]
    lines = [f'    subgraph r{row.number}[" "]', "    direction TB", _node(row)]
    open_levels: list[int] = []
    shown_parts = row.parts[:MOST]
    for number, part in enumerate(shown_parts):
        while open_levels and open_levels[-1] >= part.level:
            open_levels.pop()
            lines.append("    end")
        key = f"t{row.number}_{part.key}"
        if part.is_head and (number + 1 == len(shown_parts) or shown_parts[number + 1].level <= part.level):
            lines.append(f'    {key}["{_text(clip(part.text, 60))}"]')  # an arm without tasks: Mermaid wants a node
        elif part.is_head:
            open_levels.append(part.level)
            lines += [f'    subgraph {key}["{_text(clip(part.text, 60))}"]', "    direction TB"]
        else:
            shape = '("{}"):::ahead' if part.mark == AHEAD else '["{}"]:::home' if part.mark == HOME else '["{}"]'
            lines.append(f"    {key}{shape.format(_text(clip(part.text, 60)))}")
    lines += ["    end"] * (len(open_levels) + 1)
    shown = {part.key for part in shown_parts}
    for part in shown_parts:
        lines += [f"    t{row.number}_{other} --> t{row.number}_{part.key}" for other in part.takes if other in shown]
    return lines


def _node(row: Row) -> str:
    call = f"<br/>{_text(clip(row.call, 60))}" if row.call != f"{row.task.name}()" else ""
    shape = '["{}"]:::home' if row.at_home else '("{}"):::ahead'
    return f"    t{row.number}{shape.format(f'<b>{row.number} · {_text(row.title)}</b>{call}')}"


def by_cell(view: Outline) -> list[tuple[str, list[Row]]]:
    """The tasks by the cell that they stand in, with its heading (empty for those that stand in none)."""
    found: dict[int, tuple[str, list[Row]]] = {}
    for row in view.rows:
        cell = view.cellwise.cell(row.task.span)
        heading = cell_heading(cell) if cell is not None else ""
        found.setdefault(cell.number if cell is not None else 0, (heading, []))[1].append(row)
    return list(found.values())


def links(view: Outline) -> list[tuple[int, int, str, bool]]:
    """One link for each pair of tasks: source, target, what flows (or why in order), whether anything flows. Where
    there are more than FLOWS in all, of the links of order alone only those between neighbours stay."""
    flows: list[tuple[int, int, str, bool]] = []
    orders = []
    for row in view.rows:
        real = (take for take in row.takes if take.producer >= 0)
        flows.extend((take.producer, row.index, ", ".join(take.labels), True) for take in real)
        orders += [(edge.source, row.index, label(edge.place), False) for edge in row.after]
    if len(flows) + len(orders) > FLOWS:
        orders = [link for link in orders if link[0] == link[1] - 1]
    return sorted(flows + orders, key=lambda link: (link[1], link[0]))


def _text(text: str) -> str:
    """Text for a quoted Mermaid label: everything that is markup to Mermaid, Markdown or HTML as a character code."""
    # Mermaid breaks the line at a backslash and an n even if they come as codes; a space of no width keeps them apart.
    shown = clean(text).replace("\\n", "\\\u200bn")
    return "".join(c if c.isalnum() or c in " .,:()=·…→'-/_+?" else f"#{ord(c)};" for c in shown)
