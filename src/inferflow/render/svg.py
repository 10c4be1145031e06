"""The graph as one SVG picture, light or dark as the viewer prefers; boxes are links' targets ``t1``, ``t2``, ...

A box has the task's number and name, its call, and what it gives. A solid line is what flows, with its names where
there is room; a dashed one is order alone. What stands inside of a compound statement, or of a function that is opened,
stands in the box, a small one each.
"""

from __future__ import annotations

from html import escape

from inferflow.model import TaskGraph
from inferflow.records import frozen
from inferflow.render.cellwise import cell_heading
from inferflow.render.layout import Layout, Segment, layout
from inferflow.render.mermaid import links
from inferflow.render.outline import Outline, Row, because, outline
from inferflow.render.regions import MOST, Part
from inferflow.render.style import cells, clean, clip

__all__ = ["DARK", "LIGHT", "Picture", "STYLE", "escaped", "picture", "render_svg"]

NAMED = 80
"""Up to so many links, each says what flows along it."""

MARGIN = 20.0
STEP, ROW = 11.0, 21.0
"""Of what stands inside of a task: pixels for each level, and for each line."""
TITLE, CODE = 7.7, 6.65
"""Width of a character (pixels) in the two fonts."""

LIGHT = (
    "--paper:#ffffff;--ink:#1d2433;--soft:#5b6577;--line:#8a94a6;--order:#b8c0cc;--halo:#ffffff;"
    "--ahead:#eef7f1;--ahead-edge:#3d8b5f;--home:#fdf5e6;--home-edge:#b7822b;--give:#2563a8"
)
DARK = (
    "--paper:#12161d;--ink:#e6eaf2;--soft:#9aa5b8;--line:#67728a;--order:#465064;--halo:#12161d;"
    "--ahead:#16281f;--ahead-edge:#5fb98a;--home:#2d2413;--home-edge:#d6a451;--give:#7fb4ee"
)
SANS = 'ui-sans-serif,system-ui,-apple-system,"Segoe UI",Helvetica,Arial,"DejaVu Sans",sans-serif'
MONO = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace'
STYLE = f"""\
.graph text{{font-family:{SANS};fill:var(--ink)}}
.graph .name{{font-size:13px;font-weight:600}}
.graph .number{{fill:var(--soft);font-weight:400}}
.graph .code{{font-family:{MONO};font-size:11px}}
.graph .give{{font-family:{MONO};font-size:11px;fill:var(--give)}}
.graph .box{{stroke-width:1.25}}
.graph .ahead .box{{fill:var(--ahead);stroke:var(--ahead-edge)}}
.graph .home .box{{fill:var(--home);stroke:var(--home-edge)}}
.graph .ahead .ahead .box,.graph .home .ahead .box{{fill:var(--ahead);stroke:var(--ahead-edge)}}
.graph .ahead .home .box,.graph .home .home .box{{fill:var(--home);stroke:var(--home-edge)}}
.graph .task .placed .box{{fill:var(--paper);stroke:var(--order)}}
.graph .head{{font-size:11px;fill:var(--soft)}}
.graph .link{{fill:none;stroke:var(--line);stroke-width:1.4}}
.graph .order{{stroke:var(--order);stroke-dasharray:4 4}}
.graph .tip{{fill:var(--line);stroke:none}}
.graph .order-tip{{fill:var(--order)}}
.graph .flow{{font-size:11px;fill:var(--soft);paint-order:stroke;stroke:var(--halo);stroke-width:4px}}
"""


@frozen
class Picture:
    """The drawing without its frame: SVG elements, and their extent in pixels."""

    body: str
    width: float
    height: float


def render_svg(graph: TaskGraph) -> str:
    """A complete SVG document, ending in a newline."""
    view = outline(graph)
    drawn = picture(view)
    title = f"{graph.path or graph.target}: {len(view.rows)} tasks"
    width, height = round(drawn.width), round(drawn.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escaped(title)}" class="graph">\n'
        f"<title>{escaped(title)}</title>\n"
        f"<style>\n.graph{{{LIGHT}}}\n@media (prefers-color-scheme:dark){{.graph{{{DARK}}}}}\n{STYLE}</style>\n"
        f'<rect width="100%" height="100%" style="fill:var(--paper)"/>\n{drawn.body}\n</svg>\n'
    )


def picture(view: Outline) -> Picture:
    """Draw the graph of an outline."""
    boxes = [_box(row) for row in view.rows]
    joined = links(view)
    placed = layout([box.size for box in boxes], [link[:2] for link in joined], [link[3] for link in joined])
    texts = [text for _, _, text, _ in joined] if len(joined) <= NAMED else []
    parts = ['<g class="links">']
    # Order's lines lie below those of flow.
    parts += [_line(segment) for segment in sorted(placed.segments, key=lambda segment: segment.kind)]
    parts.append('</g><g class="names" aria-hidden="true">')
    parts += _names([s for s in placed.segments if texts and s.link >= 0], texts)
    parts.append('</g><g class="tasks">')
    found = (view.cellwise.cell(row.task.span) for row in view.rows)
    heads = [cell_heading(cell) if cell is not None else "" for cell in found]
    parts += [
        _drawn(row, box, placed, view.graph.path, heading)
        for row, box, heading in zip(view.rows, boxes, heads, strict=True)
    ]
    parts.append("</g>")
    body = "\n".join(part for part in parts if part)
    shift = f'<g transform="translate({MARGIN:g} {MARGIN:g})">\n{body}\n</g>'
    return Picture(shift, max(120.0, placed.width + 2 * MARGIN), max(60.0, placed.height + 2 * MARGIN))


@frozen
class _Box:
    name: str
    code: str
    give: str
    parts: tuple[Part, ...]
    size: tuple[float, float]


def _box(row: Row) -> _Box:
    name = clip(row.title, 30)
    code = clip(row.call, 36) if row.call != f"{row.task.name}()" and not row.summary else ""
    inside = row.parts[:MOST]
    give = clip(f"→ {row.result}", 36) if row.result else ""
    width = max((cells(name) + len(str(row.number)) + 2) * TITLE, cells(code) * CODE, cells(give) * CODE) + 26
    widest = max((STEP * part.level + cells(clip(part.text, 44)) * CODE for part in inside), default=0.0)
    lines = 1 + bool(code) + bool(give)
    height = 16.0 + 17 * lines + (ROW * len(inside) + 6 if inside else 0)
    return _Box(name, code, give, inside, (max(110.0, round(width), round(widest + 44)), height))


def _inside(box: _Box, top: float) -> list[str]:
    """What stands inside of a task: a small box for each task of an arm, below the head of the arm."""
    lines = []
    for number, part in enumerate(box.parts):
        x, y = 13 + STEP * part.level, top + ROW * number
        text = escaped(clip(part.text, 44))
        if part.is_head:
            lines.append(f'<text class="head" x="{x:g}" y="{y + 14:g}">{text}</text>')
            continue
        kind = {"○": "ahead", "●": "home"}.get(part.mark, "placed")
        width, corner = box.size[0] - x - 12, 8 if kind == "ahead" else 3
        lines.append(
            f'<g class="{kind}"><rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{ROW - 3:g}" '
            f'rx="{corner}"/><text class="code" x="{x + 7:g}" y="{y + 13:g}" xml:space="preserve">{text}</text></g>'
        )
    return lines


def _drawn(row: Row, box: _Box, placed: Layout, path: str, heading: str) -> str:
    x, y = placed.centers[row.index]
    width, height = box.size
    kind = "home" if row.at_home else "ahead"
    runs = (
        f"{'on trust' if row.on_trust else 'at home'}: {because(row.task.home[0], path)}"
        if row.at_home
        else "may run ahead"
    )
    tip = "\n".join(filter(None, (f"{row.number} {row.title}", heading, row.call, runs)))
    lines = [f'<text class="name" x="13" y="21"><tspan class="number">{row.number}</tspan> {escaped(box.name)}</text>']
    below = 38
    for kind_of, text in (("code", box.code), ("give", box.give)):
        if text:
            lines.append(f'<text class="{kind_of}" x="13" y="{below}" xml:space="preserve">{escaped(text)}</text>')
            below += 17
    lines += _inside(box, below - 12)
    corner = 4 if row.at_home else 12
    return (
        f'<g class="task {kind}" id="t{row.number}" data-task="{row.number}" '
        f'transform="translate({x - width / 2:.1f} {y - height / 2:.1f})">'
        f"<title>{escaped(tip)}</title>"
        f'<rect class="box" width="{width:g}" height="{height:g}" rx="{corner}"/>{"".join(lines)}</g>'
    )


def _line(segment: Segment) -> str:
    (x0, y0), (x1, y1) = segment.start, segment.end
    tip = 6.0 if segment.arrow else 0.0
    bend = y0 + segment.fall
    y2 = y1 - tip
    middle = (bend + y2) / 2
    path = f"M{x0:.1f} {y0:.1f}" + (f"V{bend:.1f}" if segment.fall else "")
    path += f"V{y2:.1f}" if abs(x0 - x1) < 0.5 else f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y2:.1f}"
    ends = " ".join(f"e{box + 1}" for box in segment.ends)
    line = f'<path class="link{"" if segment.kind else " order"} {ends}" d="{path}"/>'
    if segment.arrow:
        kind = "tip" if segment.kind else "tip order-tip"
        line += f'<path class="{kind} {ends}" d="M{x1:.1f} {y1:.1f}l-3.6 -7h7.2z"/>'
    return line


def _names(segments: list[Segment], texts: list[str]) -> list[str]:
    """What flows, written where there is room for it: names that would cover one another are left out, those of order
    first."""
    rows: dict[int, list[tuple[float, float, float]]] = {}
    out = []
    for segment in sorted(segments, key=lambda segment: not segment.kind):
        text = clip(texts[segment.link], 24)
        half = cells(text) * 3.2 + 4
        for along in (0.5, 0.36, 0.64, 0.25, 0.75):
            x, y = _point(segment, along)
            near = [box for band in (-1, 0, 1) for box in rows.get(int(y // 14) + band, ())]
            if all(abs(x - other) > half + width or abs(y - height) > 13 for other, height, width in near):
                rows.setdefault(int(y // 14), []).append((x, y, half))
                out.append(
                    f'<text class="flow" x="{x:.1f}" y="{y + 3.5:.1f}" text-anchor="middle">{escaped(text)}</text>'
                )
                break
    return out


def _point(segment: Segment, along: float) -> tuple[float, float]:
    """A point on the bent part of a line: on its Bézier curve, whose inner points are half-way down."""
    (x0, y0), (x1, y1) = segment.start, segment.end
    top, rest = y0 + segment.fall, 1 - along
    middle = (top + y1) / 2
    x = x0 * (rest**3 + 3 * rest**2 * along) + x1 * (3 * rest * along**2 + along**3)
    y = rest**3 * top + 3 * rest * along * middle + along**3 * y1
    return x, y


def escaped(text: str) -> str:
    """Text for XML or HTML, also within an attribute."""
    return escape(clean(text))
