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

from inferflow.model import Diagnostic, Edge, Reason, TaskGraph
from inferflow.render.outline import Outline, Row, because, label, outline, place_of, source_text, titled
from inferflow.render.style import Piece, bullet, clean, code_lines, compose, wrap
from inferflow.render.units import numbers

__all__ = ["Explainer", "render_why"]

MARGIN = 11
"""The column at which explanations begin."""

MANY = 12
"""So many items of one kind are told; the rest are counted."""


def render_why(graph: TaskGraph, task_names: Sequence[str], width: int = 80, color: bool = False) -> str:
    """Explain the tasks of these names, in program order. Raises KeyError for a name that no task has."""
    wanted = sorted({graph.index(name) for name in task_names})
    explain = Explainer(outline(graph))
    return "\n".join(explain(index, width, color) for index in wanted)


class Explainer:
    """Explains any task of a graph; what all explanations need is computed once."""

    def __init__(self, view: Outline) -> None:
        self.view = view
        self.home = sum(1 << row.index for row in view.rows if row.at_home and not row.on_trust)
        self.takers: dict[int, list[tuple[int, str]]] = {}
        self.last: dict[str, int] = {}
        for row in view.rows:
            for take in row.takes:
                self.takers.setdefault(take.producer, []).extend((row.index, name) for name in take.labels)
            self.last.update(dict.fromkeys((*row.gives, *row.changes), row.index))

    def __call__(self, index: int, width: int = 80, color: bool = False) -> str:
        """The explanation of one task, ending in a newline."""
        return "\n".join(_explain(self.view.rows[index], self, width, color)) + "\n"


def _explain(row: Row, shared: Explainer, width: int, color: bool) -> list[str]:
    task = row.task
    where = clean(str(task.span))
    lines = [compose([(f"{row.number}  ", "dim"), (titled(task), "name")], width, color, [(where, "dim")]), ""]
    for text in code_lines(source_text(task))[:12]:
        shown = clean(text)
        lead = " " * (5 + min(20, len(shown) - len(shown.lstrip())))
        lines += [compose([(lead, ""), (part, "")], width, color) for part in wrap(shown.strip(), width - len(lead), 3)]
    lines.append("")
    page = _Page(width, color, shared)
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

    def __init__(self, width: int, color: bool, shared: Explainer) -> None:
        self.width, self.color, self.view = width, color, shared.view
        self.lines: list[str] = []
        self.path = shared.view.graph.path
        self.home = shared.home
        self.takers = shared.takers
        self.last = shared.last

    def item(self, head: str, pieces: Sequence[Piece]) -> None:
        self.lines.append(compose([(f"{head:<{MARGIN}}", "dim"), *pieces], self.width, self.color))

    def say(self, head: str, text: str, role: str = "") -> None:
        self.lines += bullet((f"{head:<{MARGIN}}", "dim"), text, self.width, self.color, role=role, indent=0)

    def reason(self, text: str) -> None:
        lead = " " * (MARGIN + 2) + "· "
        self.lines += bullet((lead, "dim"), text, self.width, self.color, role="dim", indent=0)

    def name(self, index: int) -> str:
        return f"{index + 1}\u00a0{self.view.rows[index].task.name}"

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
            ("assumed: " if edge.assumed else "") + "; ".join(because(why, self.path) for why in edge.why)
            for edge in edges
            if edge.why
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
        for taker, name in self.takers.get(row.index, ()):
            takers.setdefault(name, []).append(taker)
        returned = {clean(name) for name in self.view.graph.returns}
        for number, shown in enumerate(names):
            name = "result" if shown == "its result" else shown.removesuffix(" (changed in place)")
            use = f"taken by {self.names(takers[name])}" if name in takers else "taken by no later task"
            use += ", returned by the driver" if name in returned and self.last.get(name) == row.index else ""
            self.lines += bullet(
                (f"{'' if number else 'gives':<{MARGIN}}", "dim"), f"{shown}  {use}", self.width, self.color, indent=0
            )
        if not names:
            self.say("gives", "nothing that later tasks could take by name", "dim")

    def runs(self, row: Row) -> None:
        if row.task.home:
            where = (
                "may run ahead on trust: home compares at its turn, and files are kept back until then. Not proved:"
                if row.on_trust
                else "at home, in program order, because"
            )
            self.say("runs", where, "home")
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
        view, index = self.view, row.index
        others = (1 << len(view.rows)) - 1 & ~(view.before[index] | view.after[index] | 1 << index)
        if row.at_home and not row.on_trust:
            others &= ~self.home
        number = others.bit_count()
        if not number:
            self.say("beside", "nothing else can run at the same time", "dim")
        elif number > MANY:
            self.say("beside", f"may run at the same time as {number} other tasks")
        else:
            found = (other for other in range(len(view.rows)) if others >> other & 1)
            self.say("beside", f"may run at the same time as {self.names(found)}")

    def effects(self, row: Row) -> None:
        """Places read and written, those of one reason together."""
        found: dict[tuple[str, Reason, bool], dict[str, None]] = {}
        for effect in row.task.effects:
            found.setdefault((effect.mode, effect.reason, effect.assumed), {})[label(effect.place)] = None
        for number, ((mode, reason, assumed), places) in enumerate(list(found.items())[:MANY]):
            verb = {"read": "reads", "write": "writes"}[mode]
            rest = len(places) - MANY // 2
            shown = ", ".join(list(places)[: MANY // 2]) + (f" and {rest} more" if rest > 0 else "")
            self.say("" if number else "touches", f"{verb} {shown}")
            if assumed or reason not in row.task.home:
                self.reason(("assumed, not proved: " if assumed else "") + because(reason, self.path))
        if len(found) > MANY:
            self.say("", f"and {len(found) - MANY} more", "dim")

    def diagnostics(self, row: Row) -> None:
        span = row.task.span
        found = [
            item
            for item in self.view.graph.diagnostics
            if item.span.path == span.path and span.line <= item.span.line <= max(span.line, span.end_line)
        ]
        for number, item in enumerate(found[:MANY]):
            self.say("" if number else "notes", _note(item, self.path))


def _note(item: Diagnostic, path: str) -> str:
    hint = f"; {item.hint}" if item.hint else ""
    return clean(f"{item.code} {item.message} ({place_of(item.span, path)}){hint}")
