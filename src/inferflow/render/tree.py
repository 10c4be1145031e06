"""The default preview: the driver's steps in order, with rails that show what flows between them.

    driver.py › main()
    3 tasks · 2 may run ahead · up to 2 at a time

    ○      1  load_data → X, Y                                         line 12
    │         load_data()
    │
    ├─○    2  fit → m                                                  line 13
    │ │       fit(X, Y, C=1.0)
    │ │       takes X, Y from 1
    ...

Up to :data:`ROOMY` tasks have blank lines between them, up to :data:`FULL` some lines each; above that, one line each,
and long runs of alike tasks are drawn together (the table format lists them all).
"""

from __future__ import annotations

from collections.abc import Sequence

from inferflow.model import Diagnostic, Parameter, Severity, TaskGraph
from inferflow.model.graph import ONE_BY_ONE
from inferflow.records import frozen
from inferflow.render.outline import Outline, Row, because, label, outline, place_of, takes_text
from inferflow.render.rails import Rail, rails
from inferflow.render.regions import inside
from inferflow.render.style import Piece, bullet, cells, clean, clip, compose, paint, wrap
from inferflow.render.units import count, numbers

__all__ = ["footer", "header", "render_tree", "summary", "title"]

ROOMY = 20
FULL = 60
CODE = 5
"""At most so many lines of a task's text."""
INSIDE = 24
"""And so many of what is inside a loop, a branch or the like."""

ALIKE = 8
"""So many tasks in a row that differ only in literals and names are drawn together, when there are more than FULL."""

HOME, AHEAD, TRUST = "●", "○", "◐"


def marked(row: Row) -> Piece:
    """The mark of a task: whether it may run ahead, may on trust, or runs at home."""
    return (TRUST, "home") if row.on_trust else (HOME, "home") if row.at_home else (AHEAD, "ahead")


def render_tree(graph: TaskGraph, width: int = 80, color: bool = False) -> str:
    """The preview as text, ending in a newline; no line is wider than ``width``."""
    view = outline(graph)
    lines = [*header(view, width, color), ""]
    compact = len(view.rows) > FULL
    groups = _groups(view) if compact else {}
    marks = [marked(row)[0] for row in view.rows]
    drawn = rails([row.producers for row in view.rows], marks, groups)
    gutter = _Gutter(len(str(len(view.rows))), width, color)
    draw = _compact if compact else _full
    folded = _folded(groups)
    above = ""
    for row, rail in zip(view.rows, drawn, strict=True):
        if row.index in folded:
            if folded[row.index]:
                lines.append(gutter.line(rail.below, "", [(f"⋮ {folded[row.index]} more like it", "dim")]))
            above = rail.below
            continue
        if row.index in view.cellwise.begins:
            lines.append(gutter.line(above or " " * len(rail.node), "", [(view.cellwise.begins[row.index], "title")]))
        lines.extend(draw(row, rail, view, gutter))
        if not compact and len(view.rows) <= ROOMY and row.index + 1 < len(view.rows):
            lines.append(paint(rail.below.rstrip(), "dim", color))
        above = rail.below
    return "\n".join([*lines, *footer(view, width, color)]) + "\n"


@frozen
class _Gutter:
    """What stands left of the text: two spaces, the rail, the task's number in ``digits``."""

    digits: int
    width: int
    color: bool

    def line(self, rail: str, number: str, pieces: Sequence[Piece], right: Sequence[Piece] = ()) -> str:
        lead: list[Piece] = [*_rail(rail), (f" {number:>{self.digits}}  ", "dim")]
        return compose([*lead, *pieces], self.width, self.color, right)

    def room(self, rail: str) -> int:
        return self.width - len(rail) - self.digits - 3


def _rail(rail: str) -> list[Piece]:
    """The rail in pieces, its mark in the colour of where the task runs."""
    for mark, role in ((HOME, "home"), (TRUST, "home"), (AHEAD, "ahead")):
        left, found, right = rail.partition(mark)
        if found:
            return [(left, "dim"), (mark, role), (right, "dim")]
    return [(rail, "dim")]


def _full(row: Row, rail: Rail, view: Outline, gutter: _Gutter) -> list[str]:
    head: list[Piece] = [(row.task.name, "name")]
    if row.result:
        head.extend([(" → ", "dim"), (row.result, "value")])
    where = _where(row, view)
    lines = [gutter.line(rail.node, str(row.number), head, [(where, "dim")])]
    room = gutter.room(rail.below)
    code = [part for line in (*row.lines, *inside(row.parts)) for part in wrap(line, room, 3)]
    most = INSIDE if row.task.regions else CODE
    if len(code) > most:
        code[most - 1 :] = [clip(code[most - 1] + " …", room)]
    lines.extend(gutter.line(rail.below, "", [(text, "")]) for text in code)
    details: list[tuple[str, str]] = []
    if row.takes:
        details.append((f"takes {takes_text(row)}", "dim"))
    if row.after:
        sources = [edge.source + 1 for edge in row.after]
        places = list(dict.fromkeys(label(edge.place) for edge in row.after))
        for_sake = f" ({', '.join(places[:3])}{', …' if len(places) > 3 else ''})"
        details.append((f"after {numbers(sources)}{for_sake}", "dim"))
    if row.task.home:
        reasons = row.task.home if row.task.home[0].text != ONE_BY_ONE else row.task.home[:1]
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        where = "on trust" if row.on_trust else "at home"
        details.append((f"{where}: {because(row.task.home[0], view.graph.path)}{more}", "home"))
    for text, role in details:
        for number, part in enumerate(wrap(text, room - 2, 3)):
            lines.append(gutter.line(rail.below, "", [("  " if number else "", ""), (part, role)]))
    return lines


def _compact(row: Row, rail: Rail, view: Outline, gutter: _Gutter) -> list[str]:
    where = str(row.task.span.line) if row.task.span.path == view.graph.path else str(row.task.span)
    room = gutter.room(rail.node) - len(where) - 2
    takes = takes_text(row)
    base, number = row.task.key
    names = f"{row.task.name}  " if number > 1 or not row.call.startswith(base) else ""
    result = f" → {row.result}" if row.result else ""
    spare = room - cells(names) - cells(row.call) - cells(result) - 3
    call = clip(row.call, max(12, room - cells(names) - min(cells(result), 24)))
    pieces: list[Piece] = [(names, "name")] if names else [(base, "name")]
    pieces += [(call if names else call[len(base) :], ""), (result, "value")]
    for text in (takes, f"from {numbers([other + 1 for other in row.producers])}" if row.producers else ""):
        if text and spare >= cells(text):
            pieces.append((f"   {text}", "dim"))
            break
    return [gutter.line(rail.node, str(row.number), pieces, [(where, "dim")])]


def _where(row: Row, view: Outline) -> str:
    kind = f"{row.task.kind} · " if row.task.kind in ("shell", "notebook") else ""
    return kind + clip(place_of(row.task.span, view.graph.path), 30)


# -- runs of alike tasks ---------------------------------------------------------------------------


def _groups(view: Outline) -> dict[int, int]:
    """Members of each long run of alike tasks, mapped to the run's number."""
    found: dict[int, int] = {}
    start = 0
    rows = view.rows
    for end in range(1, len(rows) + 1):
        if end < len(rows) and _like(rows[end]) == _like(rows[start]):
            continue
        if end - start >= ALIKE:
            found.update(dict.fromkeys(range(start, end), start))
        start = end
    return found


def _like(row: Row) -> tuple[object, ...]:
    return row.task.key[0], row.at_home, tuple((take.labels, take.producer) for take in row.takes), len(row.gives)


def _folded(groups: dict[int, int]) -> dict[int, int]:
    """Tasks that are not drawn; the first of each run maps to how many, the others to 0. Drawn are the first three of a
    run and its last."""
    members: dict[int, list[int]] = {}
    for index, group in groups.items():
        members.setdefault(group, []).append(index)
    found: dict[int, int] = {}
    for run in members.values():
        hidden = run[3:-1]
        found.update(dict.fromkeys(hidden, 0))
        found[hidden[0]] = len(hidden)
    return found


# -- head and foot, shared with the other text formats ----------------------------------------------


def header(view: Outline, width: int, color: bool) -> list[str]:
    """The driver, its entry with parameters, and the graph's size in words."""
    graph = view.graph
    path, _, signature = title(graph).partition(" › ")
    below: list[str] = []
    if cells(path) + 3 + cells(signature) > width:
        # Each parameter stays whole: the parameters go below, broken between them only.
        signature = f"{clean(graph.entry)}(…)" if graph.parameters else signature
        whole = ", ".join(_parameter(parameter) for parameter in graph.parameters)
        names = ", ".join(_parameter(parameter).replace(" ", "\u00a0") for parameter in graph.parameters)
        below = wrap(names, width - 4) if cells(whole) < 6 * width else wrap(whole, width - 4, 6)
    lines = [compose([(path, "title"), *([(" › ", "dim"), (signature, "")] if signature else [])], width, color)]
    lines += [compose([("    ", ""), (part, "")], width, color) for part in below]
    return [
        *lines,
        *(
            compose([("  " if n else "", ""), (part, "dim")], width, color)
            for n, part in enumerate(wrap(summary(view), width - 2, 2))
        ),
    ]


def title(graph: TaskGraph) -> str:
    """``driver.py › main(C: float = 1.0)``."""
    signature = f" › {graph.entry}({', '.join(map(_parameter, graph.parameters))})" if graph.entry else ""
    return clean(graph.path or graph.target) + clean(signature)


def summary(view: Outline) -> str:
    """``5 tasks · 3 may run ahead · up to 2 at a time · 4 steps deep``."""
    total, ahead = len(view.rows), view.ahead
    if not total:
        return "no tasks: nothing here calls anything"
    parts = [count(total, "task")]
    if ahead and view.widest > 1:
        parts += [f"{'all' if ahead == total else ahead} may run ahead", f"up to {view.widest} at a time"]
        parts.append(f"{count(view.steps, 'step')} deep")
        if view.trusted:
            parts.insert(2, f"{view.trusted} on trust")
    elif view.trusted:
        parts.append(f"{view.trusted} may run ahead on trust")
    elif total > 1 and not view.spread:
        parts.append("one after another")
    if view.spread:  # (behind what is said of whole tasks)
        place = max((n for n, part in enumerate(parts) if "ahead" in part or "on trust" in part), default=0) + 1
        parts.insert(place, f"parts of {view.spread}" + ("" if place > 1 else " may run ahead"))
    return " · ".join(parts)


def _parameter(parameter: Parameter) -> str:
    return clean(" ".join(str(parameter).split()))


def footer(view: Outline, width: int, color: bool) -> list[str]:
    """What the driver returns, the marks explained, the diagnostics by code, and the next step."""
    graph, rows = view.graph, view.rows
    lines: list[str] = []
    if graph.returns:
        lines += ["", *bullet(("returns ", "dim"), _returns(view), width, color, indent=0, role="value")]
    if rows:
        pieces: list[Piece] = []
        if view.ahead:
            pieces += [(AHEAD, "ahead"), (" may run ahead in a helper process   ", "dim")]
        if view.ahead + view.trusted < len(rows):
            pieces += [(HOME, "home"), (" runs at home, in program order", "dim")]
        if pieces:
            lines += ["", compose(pieces, width, color)]
        if view.trusted:
            text = " may run ahead on trust, checked at its turn"
            lines += [*([] if pieces else [""]), compose([(TRUST, "home"), (text, "dim")], width, color)]
    lines += notes(graph.diagnostics, graph.path, width, color)
    return [*lines, *_next(view, width, color)]


def _returns(view: Outline) -> str:
    maker: dict[str, int] = {}
    for row in view.rows:
        maker.update(dict.fromkeys((*row.gives, *row.changes), row.number))
    names = map(clean, view.graph.returns)
    return ", ".join(f"{name} (from {maker[name]})" if name in maker else name for name in names)


def notes(diagnostics: Sequence[Diagnostic], path: str, width: int, color: bool) -> list[str]:
    """One paragraph for each code: how often, the first message, where, its hint."""
    groups: dict[str, list[Diagnostic]] = {}
    order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    for diagnostic in sorted(diagnostics, key=lambda d: (order[d.severity], d.code, d.span)):
        groups.setdefault(diagnostic.code, []).append(diagnostic)
    lines: list[str] = ["", paint("notes", "dim", color)] if groups else []
    for code, found in groups.items():
        first = found[0]
        role = {Severity.ERROR: "fail", Severity.WARNING: "warn", Severity.NOTE: "name"}[first.severity]
        same = len({d.message for d in found}) == 1
        text = clean(first.message)
        if len(found) > 1:
            text += "" if same else f"; {len(found) - 1} more of the kind"
        text += f" ({_lines(found, path)})"
        lines += bullet((f"{code}  ", role), text, width, color, limit=4)
        if first.hint:
            lines += bullet((" " * (len(code) + 2), ""), clean(first.hint), width, color, role="dim", limit=3)
    return lines


def _lines(found: Sequence[Diagnostic], path: str) -> str:
    here = [d.span.line for d in found if d.span.path == path]
    parts = [f"{'line' if len(set(here)) == 1 else 'lines'} {numbers(here)}"] if here else []
    others = list(dict.fromkeys(clean(str(d.span)) for d in found if d.span.path != path))
    return ", ".join(parts + others[:3]) + (", …" if len(others) > 3 else "")


def _next(view: Outline, width: int, color: bool) -> list[str]:
    target = clean(view.graph.target)
    if not view.rows:
        return ["", compose([("next  ", "dim"), (f"inferflow run {target}", "link")], width, color)]
    example = next((row.task.name for row in view.rows if row.task.home), view.rows[-1].task.name)
    commands = [f"inferflow run {target}", f"inferflow preview {target} --why {example}"]
    return [
        "",
        *(
            compose([("next  " if not i else "      ", "dim"), (c, "link")], width, color)
            for i, c in enumerate(commands)
        ),
    ]
