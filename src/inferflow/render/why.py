"""One task explained: what it takes from whom and why, where it may run, what keeps it in order.

2  model_fit                                                iris/driver.py:26

   logreg = model_fit(X, Y, C=1.0)

takes    X, Y        from 1 load_data
                     model_fit reads 'X', which load_data bound (line 26)
gives    logreg      taken by 3 generate_plots
runs     ahead, in a helper process, as soon as 1 load_data is done
beside   nothing: ...
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inferflow.model import Diagnostic, Edge, Effect, TaskGraph
from inferflow.render.outline import Outline, Row, because, label, outline, place_of
from inferflow.render.style import Piece, bullet, clean, compose, wrap
from inferflow.render.units import numbers

__all__ = ["render_why"]

MARGIN = 11
"""The column at which explanations begin."""

MANY = 12
"""So many items of one kind are told; the rest are counted."""


def render_why(
    graph: TaskGraph, task_names: Sequence[str], width: int = 80, color: bool = False, *, view: Outline | None = None
) -> str:
    """Explain the tasks of these names, in program order. Raises KeyError for a name that no task has. ``view``: the
    graph's outline, if there is one already."""
    view = view or outline(graph)
    wanted = sorted({graph.index(name) for name in task_names})
    parts = [_explain(view.rows[index], view, width, color) for index in wanted]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _explain(row: Row, view: Outline, width: int, color: bool) -> list[str]:
    task = row.task
    where = clean(str(task.span))
    lines = [compose([(f"{row.number}  ", "dim"), (task.name, "name")], width, color, [(where, "dim")]), ""]
    for text in task.source.splitlines()[:12]:
        shown = clean(text)
        lead = " " * (5 + min(20, len(shown) - len(shown.lstrip())))
        lines += [compose([(lead, ""), (part, "")], width, color) for part in wrap(shown.strip(), width - len(lead), 3)]
    lines.append("")
    page = _Page(width, color, view)
    page.takes(row)
    page.gives(row)
    page.runs(row)
    page.order(row)
    page.beside(row)
    page.effects(row)
    page.diagnostics(row)
    return lines + page.lines


class _Page:
    """The sections of one explanation, in the order in which they were added."""

    def __init__(self, width: int, color: bool, view: Outline) -> None:
        self.width, self.color, self.view = width, color, view
        self.lines: list[str] = []
        self.path = view.graph.path

    def item(self, head: str, pieces: Sequence[Piece]) -> None:
        self.lines.append(compose([(f"{head:<{MARGIN}}", "dim"), *pieces], self.width, self.color))

    def say(self, head: str, text: str, role: str = "") -> None:
        self.lines += bullet((f"{head:<{MARGIN}}", "dim"), text, self.width, self.color, role=role, indent=0)

    def reason(self, text: str) -> None:
        lead = " " * (MARGIN + 2) + "· "
        self.lines += bullet((lead, "dim"), text, self.width, self.color, role="dim", indent=0)

    def name(self, index: int) -> str:
        return f"{index + 1} {self.view.rows[index].task.name}"

    def names(self, indices: Iterable[int]) -> str:
        items = list(indices)
        if len(items) > MANY:
            return f"{len(items)} tasks ({numbers([index + 1 for index in items])})"
        return ", ".join(self.name(index) for index in items)

    def takes(self, row: Row) -> None:
        if not row.takes:
            self.say("takes", "nothing from other tasks", "dim")
        edges: dict[int, list[Edge]] = {}
        for edge in self.view.into[row.index]:
            if edge.kind == "flow":
                edges.setdefault(edge.source, []).append(edge)
        parameters = {parameter.name for parameter in self.view.graph.parameters}
        for number, take in enumerate(row.takes[:MANY]):
            what = ", ".join(take.labels)
            if take.producer >= 0:
                source = f"from {self.name(take.producer)}"
            elif parameters.issuperset(take.labels):
                source = "the driver's parameter" + ("s" if len(take.labels) > 1 else "")
            else:
                source = "there before any task"
            self.item("" if number else "takes", [(what, "value"), ("  ", ""), (source, "dim")])
            self.reasons(edges.get(take.producer, ()))
        if len(row.takes) > MANY:
            rest = [take.producer + 1 for take in row.takes[MANY:]]
            self.say("", f"and what {len(rest)} more give ({numbers(rest)})", "dim")

    def reasons(self, edges: Iterable[Edge]) -> None:
        told = dict.fromkeys(
            ("assumed: " if edge.assumed else "") + because(why, self.path) for edge in edges for why in edge.why
        )
        for text in list(told)[:MANY]:
            self.reason(text)
        if len(told) > MANY:
            self.reason(f"and {len(told) - MANY} more reasons")

    def gives(self, row: Row) -> None:
        names = [*row.gives, *(f"{name} (changed in place)" for name in row.changes)]
        if row.task.value is not None:
            names.append("its result")
        takers: dict[str, list[int]] = {}
        for other in self.view.rows[row.index + 1 :]:
            for take in other.takes:
                if take.producer == row.index:
                    for name in take.labels:
                        takers.setdefault(name, []).append(other.index)
        returned = {clean(name) for name in self.view.graph.returns}
        for number, shown in enumerate(names):
            name = "result" if shown == "its result" else shown.removesuffix(" (changed in place)")
            use = f"taken by {self.names(takers[name])}" if name in takers else "taken by no later task"
            use += ", returned by the driver" if name in returned and self.last(name) == row.index else ""
            self.lines += bullet(
                (f"{'' if number else 'gives':<{MARGIN}}", "dim"), f"{shown}  {use}", self.width, self.color, indent=0
            )
        if not names:
            self.say("gives", "nothing that later tasks could take by name", "dim")

    def last(self, name: str) -> int:
        return max(row.index for row in self.view.rows if name in (*row.gives, *row.changes))

    def runs(self, row: Row) -> None:
        if row.task.home:
            self.say("runs", "at home, in program order, because", "home")
            for why in row.task.home[:MANY]:
                self.reason(because(why, self.path))
            if len(row.task.home) > MANY:
                self.reason(f"and {len(row.task.home) - MANY} more reasons")
            return
        needs = sorted({*row.task.needs, *row.producers})
        when = (
            f"as soon as {self.names(needs)} {'is' if len(needs) == 1 else 'are'} done" if needs else "from the start"
        )
        self.say("runs", f"may run ahead in a helper process {when}; at home when its turn comes before that", "ahead")

    def order(self, row: Row) -> None:
        by_place: dict[str, list[Edge]] = {}
        for edge in self.view.into[row.index]:
            if edge.kind == "order":
                by_place.setdefault(label(edge.place), []).append(edge)
        for number, (place, edges) in enumerate(by_place.items()):
            sources = sorted({edge.source for edge in edges})
            self.say("" if number else "after", f"{self.names(sources)}: {place}")
            self.reasons(edges)

    def beside(self, row: Row) -> None:
        """Tasks that neither lead to this one nor follow from it, unless both must run at home."""
        others = [index for index in self._unordered(row.index) if not (row.at_home and self.view.rows[index].at_home)]
        if others:
            self.say("beside", f"may run at the same time as {self.names(others)}")
        else:
            self.say("beside", "nothing else can run at the same time", "dim")

    def _unordered(self, index: int) -> list[int]:
        rows = self.view.rows
        before = {index}
        for row in reversed(rows[: index + 1]):
            if row.index in before:
                before.update(self._needs(row))
        after = {index}
        for row in rows[index + 1 :]:
            if not after.isdisjoint(self._needs(row)):
                after.add(row.index)
        return [row.index for row in rows if row.index not in before and row.index not in after]

    def _needs(self, row: Row) -> set[int]:
        sources = {edge.source for edge in self.view.into[row.index]}
        return {*row.task.needs, *row.task.inner, *row.producers, *sources}

    def effects(self, row: Row) -> None:
        for number, effect in enumerate(row.task.effects[:MANY]):
            self.say("" if number else "touches", f"{_verb(effect)} {label(effect.place)}")
            if effect.assumed or effect.reason not in row.task.home:
                self.reason(("assumed, not proved: " if effect.assumed else "") + because(effect.reason, self.path))
        if len(row.task.effects) > MANY:
            self.say("", f"and {len(row.task.effects) - MANY} more", "dim")

    def diagnostics(self, row: Row) -> None:
        span = row.task.span
        found = [
            item
            for item in self.view.graph.diagnostics
            if item.span.path == span.path and span.line <= item.span.line <= max(span.line, span.end_line)
        ]
        for number, item in enumerate(found[:MANY]):
            self.say("" if number else "notes", _note(item, self.path))


def _verb(effect: Effect) -> str:
    return {"read": "reads", "write": "writes"}[effect.mode]


def _note(item: Diagnostic, path: str) -> str:
    hint = f"; {item.hint}" if item.hint else ""
    return clean(f"{item.code} {item.message} ({place_of(item.span, path)}){hint}")
