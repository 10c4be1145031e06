"""What every picture of a graph shows of a task, gathered once: its call as text, what it takes from whom, what it
gives, and on which step it can run at the earliest.

For task 2 of ``X, Y = load()``, ``m = fit(X, Y, C=1.0)``: the call ``fit(X, Y, C=1.0)``, it gives ``m``, takes
``X`` and ``Y`` from task 1, and stands on step 2. Numbers shown to users count tasks from 1; indices count from 0.

A step is a matter of drawing, not a promise: 1 + the latest step among the tasks that must be done before; tasks that
must run at home also come after one another.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from itertools import groupby

from inferflow.model import Edge, Hidden, Object, Place, Reason, Span, Task, TaskGraph, Variable, World
from inferflow.records import frozen
from inferflow.render.cellwise import Cellwise
from inferflow.render.regions import Part, parts, region_summary
from inferflow.render.style import clean, code_lines
from inferflow.render.units import numbers

__all__ = [
    "Outline",
    "Row",
    "Take",
    "because",
    "call_text",
    "label",
    "outline",
    "place_of",
    "source_text",
    "takes_text",
    "titled",
]

MANY = 8
"""Of more takes than this, only half as many are named."""


@frozen
class Take:
    """Names (and other places) whose present version task ``producer`` made; -1: there before any task."""

    labels: tuple[str, ...]
    producer: int


@frozen
class Row:
    """One task as shown. ``lines`` are its statements, the names assigned to left out (of a compound statement none:
    ``parts`` tell what is inside, ``summary`` says it on one line); ``gives`` are names that it
    binds, ``changes`` names of objects that it changes in place; ``after`` the tasks that it follows only for order's
    sake, unless others that it follows come after them already."""

    index: int
    task: Task
    lines: tuple[str, ...]
    gives: tuple[str, ...]
    changes: tuple[str, ...]
    takes: tuple[Take, ...]
    after: tuple[Edge, ...]
    step: int
    summary: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def number(self) -> int:
        return self.index + 1

    @property
    def call(self) -> str:
        """The task's text on one line."""
        return self.summary or "; ".join(self.lines)

    @property
    def title(self) -> str:
        """The task's name, with its kind if it runs a program of its own: ``train · notebook``."""
        return titled(self.task)

    @property
    def at_home(self) -> bool:
        return bool(self.task.home)

    @property
    def on_trust(self) -> bool:
        """Tied to home by assumptions only: it may run ahead, and home looks at its turn whether they came true."""
        return self.at_home and self.task.guess is not None

    @property
    def producers(self) -> list[int]:
        return [take.producer for take in self.takes if take.producer >= 0]

    @property
    def result(self) -> str:
        """``X, Y``; ``m changed``; ``""``."""
        parts = [", ".join(self.gives)] if self.gives else []
        if self.changes:
            parts.append(", ".join(self.changes) + " changed")
        return "; ".join(parts)


def titled(task: Task) -> str:
    """The task's name, with its kind if it runs a program of its own: ``sort · shell``."""
    return f"{task.name} · {task.kind}" if task.kind in ("shell", "notebook") else task.name


@frozen
class Outline:
    """``into``: the edges into each task. ``before``, ``after``: the tasks that come before and after each in any
    order that is allowed, as bits of a number. ``widest``: the largest number of tasks on one step; ``cellwise``: where
    tasks stand in the driver's cells, if it has any."""

    graph: TaskGraph
    rows: tuple[Row, ...]
    into: tuple[tuple[Edge, ...], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    steps: int
    widest: int
    cellwise: Cellwise

    @property
    def ahead(self) -> int:
        """How many tasks may run ahead."""
        return sum(not row.at_home for row in self.rows)

    @property
    def trusted(self) -> int:
        """How many more may run ahead on trust."""
        return sum(row.on_trust for row in self.rows)

    @property
    def spread(self) -> int:
        """Of how many of the others parts may run ahead: items, arms, calls in them."""
        return sum(row.at_home and not row.on_trust and row.task.runs_inside for row in self.rows)


def outline(graph: TaskGraph) -> Outline:
    """Gather what is shown; linear in tasks, inputs and edges."""
    scopes = {block.scope for block in graph.blocks} | {"<driver>", "__main__"}
    into: list[list[Edge]] = [[] for _ in graph.tasks]
    for edge in graph.edges:
        into[edge.target].append(edge)
    steps: list[int] = []
    ancestors: list[int] = []
    direct: list[set[int]] = []
    last_home = 0
    rows = []
    for index, task in enumerate(graph.tasks):
        takes = _takes(task, into[index], scopes)
        flows = {take.producer for take in takes}
        before = {*flows, *task.needs, *task.inner, *(edge.source for edge in into[index])} - {-1}
        step = 1 + max((steps[other] for other in before), default=0)
        if task.home:
            step = last_home = max(step, last_home + 1)
        steps.append(step)
        after = _after(into[index], flows, before, ancestors)
        ancestors.append(_union(ancestors, before))
        direct.append(before)
        inner = {other + 1: graph.tasks[other] for other in task.inner}
        rows.append(_row(index, task, inner, takes, after, step, scopes))
    crowd = [0] * (max(steps, default=0) + 1)
    for step in steps:
        crowd[step] += 1
    edges = tuple(map(tuple, into))
    after_each = _descendants(direct)
    return Outline(
        graph, tuple(rows), edges, tuple(ancestors), after_each, max(steps, default=0), max(crowd), Cellwise(graph)
    )


def _after(edges: Sequence[Edge], flows: set[int], before: set[int], ancestors: Sequence[int]) -> tuple[Edge, ...]:
    """The edges of order that say something new: not from tasks that come before anyway, through others."""
    order = {edge.source: edge for edge in edges if edge.kind == "order" and edge.source not in flows}
    if not order:
        return ()
    implied = 0
    for other in before:
        implied |= ancestors[other]
    return tuple(order[source] for source in sorted(order) if not implied >> source & 1)


def _union(ancestors: Sequence[int], before: set[int]) -> int:
    """The tasks that come before, and those before them, as bits."""
    found = 0
    for other in before:
        found |= ancestors[other] | 1 << other
    return found


def _descendants(direct: Sequence[set[int]]) -> tuple[int, ...]:
    found = [0] * len(direct)
    for index in range(len(direct) - 1, -1, -1):
        for other in direct[index]:
            found[other] |= found[index] | 1 << index
    return tuple(found)


def _row(
    index: int,
    task: Task,
    inner: dict[int, Task],
    takes: tuple[Take, ...],
    after: tuple[Edge, ...],
    step: int,
    scopes: set[str],
) -> Row:
    targets, lines = call_text(task, inner)
    bound = [label(item.variable, scopes) for item in task.outputs if item.change == "bound" and not _hidden(item)]
    if targets and set(targets) == set(bound):
        bound = list(targets)
    elif targets:
        lines = _joined(_shortened(task, inner))
    changed = [label(item.variable, scopes) for item in task.outputs if item.change == "changed"]
    summary = ""
    if task.regions:
        whole = not task.regions[0].comprehension and task.regions[0].kind != "group"
        summary = region_summary(task) if whole else ""
        lines = () if whole else lines
    return Row(
        index=index,
        task=task,
        lines=lines,
        gives=tuple(bound),
        changes=tuple(name for name in changed if name not in bound),
        takes=takes,
        after=after,
        step=step,
        summary=summary,
        parts=parts(task),
    )


def _hidden(item: object) -> bool:
    variable = getattr(item, "variable", None)
    return isinstance(variable, Variable) and variable.scope == "<value>"


def _takes(task: Task, edges: Sequence[Edge], scopes: set[str]) -> tuple[Take, ...]:
    """Inputs by producer in order of first use, then what flows otherwise (a file, a generator's state)."""
    found: dict[int, dict[str, None]] = {}
    for item in task.inputs:
        found.setdefault(item.producer, {})[label(item.variable, scopes)] = None
    for edge in edges:
        if edge.kind != "flow" or (isinstance(edge.place, Variable) and edge.source in found):
            continue
        name = label(edge.place, scopes)
        if not (isinstance(edge.place, Object) and edge.place.label in found.get(edge.source, ())):
            found.setdefault(edge.source, {})[name] = None
    return tuple(Take(tuple(names), producer) for producer, names in sorted(found.items()))


def label(place: Place, scopes: set[str] | frozenset[str] = frozenset({"<driver>", "__main__"})) -> str:
    """A place as users see it: names of the driver bare, the value of an inner call as ``result``."""
    match place:
        case Variable(scope="<value>"):
            return "result"
        case Variable():
            return clean(place.name if place.scope in scopes else str(place))
        case Object():
            if place.label.isidentifier():
                return f"what {place.label} holds"
            # An object that has no name of its own is labelled by the call that made it, with a number if need be.
            maker = clean(place.label.partition("#")[0])
            return f"what {maker} made" if maker.endswith("()") else "shared objects"
        case Hidden():
            return clean(place.name)
        case World(kind="anything"):
            return "unknown code"
        case _:
            return clean(str(place))


def takes_text(row: Row) -> str:
    """``path (given) · X, Y from 1 · logreg from 2``; given is what is there before any task, like a parameter."""
    parts = []
    shown = row.takes if len(row.takes) <= MANY else row.takes[: MANY // 2]
    for labels, same in groupby(shown, key=lambda take: take.labels):
        producers = [take.producer + 1 for take in same]
        what = ", ".join(labels)
        parts.append(f"{what} from {numbers(producers)}" if producers[0] > 0 else f"{what} (given)")
    if len(shown) < len(row.takes):
        rest = [take.producer + 1 for take in row.takes[len(shown) :]]
        parts.append(f"and what {len(rest)} more give ({numbers(rest)})")
    return " · ".join(parts)


def because(reason: Reason, path: str) -> str:
    """A reason with its place: ``(line 12)`` in the driver's own file ``path``, ``(plots.py:9)`` elsewhere."""
    return clean(f"{reason.text} ({place_of(reason.span, path)})" if reason.span.path else reason.text)


def place_of(span: Span, path: str) -> str:
    """``line 12``, or ``plots.py:9`` if it is not in the file ``path``."""
    return clean(f"line {span.line}" if span.path == path else str(span))


def source_text(task: Task) -> str:
    """The task's text as it stands, moved to the left margin."""
    first, newline, rest = "\n".join(code_lines(task.source)).partition("\n")
    return textwrap.dedent(" " * (task.span.column if newline else 0) + first + newline + rest) if rest else first


def call_text(task: Task, inner: dict[int, Task] | None = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The plain names that the task's single statement assigns to, and its text on one line without them; no names
    and all statements, a line each, where it is anything else. ``inner``: tasks within its statement, by their numbers,
    which are shown as ``‹8›``."""
    text = _shortened(task, inner or {})
    if task.anchor.expression is None and task.anchor.first == task.anchor.last:
        found = _assignment(text)
        if found:
            names, line, column = found
            lines = text.split("\n")[line - 1 :]
            lines[0] = _bytes(lines[0])[column:].decode(errors="replace")
            return names, _joined("\n".join(lines))
    return (), _joined(text)


def _shortened(task: Task, inner: dict[int, Task]) -> str:
    """The text with each inner task's expression replaced by a name that stands for it."""
    spans = [(other.anchor.expression, number) for number, other in inner.items() if other.anchor.expression]
    lines = code_lines(task.source)
    outermost: list[tuple[tuple[int, int], tuple[int, int], int]] = []
    for span, number in sorted(spans, key=lambda pair: (pair[0].line, pair[0].column, -pair[0].end_column)):
        start, end = (span.line, span.column), (span.end_line, span.end_column)
        if not outermost or start >= outermost[-1][1]:
            outermost.append((start, end, number))
    for (line, column), (end_line, end_column), number in reversed(outermost):
        first, last = line - task.span.line, end_line - task.span.line
        if not 0 <= first <= last < len(lines):
            continue
        head = _bytes(lines[first])[: column - (task.span.column if first == 0 else 0)].decode(errors="replace")
        tail = _bytes(lines[last])[end_column - (task.span.column if last == 0 else 0) :].decode(errors="replace")
        lines[first : last + 1] = [f"{head}{_STANDS_FOR}{number}_{tail}"]
    text = "\n".join(lines)
    rest = text.partition("\n")[2]
    return textwrap.dedent(" " * task.span.column + text) if rest else text


_STANDS_FOR = "_inferflow_task_"
_INNER = re.compile(rf"{_STANDS_FOR}(\d+)_")


def _assignment(text: str) -> tuple[tuple[str, ...], int, int] | None:
    """Names, line and column (bytes) of the value in ``x, y = value``; ``None`` for any other text."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1:
        return None
    match body[0]:
        case ast.Assign(targets=[target], value=value):
            pass
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            pass
        case _:
            return None
    parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
    names = tuple(part.id for part in parts if isinstance(part, ast.Name))
    if len(names) != len(parts):
        return None
    # A parenthesised value starts before its node: take the text after the assignment sign instead.
    line, column = value.lineno, value.col_offset
    head = _bytes(text.split("\n")[line - 1])[:column].decode(errors="replace")
    return (names, line, column) if head.rstrip().endswith("=") else None


def _bytes(line: str) -> bytes:
    """A line as the columns of a span count it."""
    return line.encode("utf-8", "surrogatepass")


def _joined(source: str) -> tuple[str, ...]:
    """Each statement of a text on one line; whole-line comments left out."""
    out: list[str] = []
    depth = 0
    for raw in textwrap.dedent(source).split("\n"):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if depth > 0 or (out and raw[0] in " \t"):
            glue = "" if out[-1][-1] in "([{" or line[0] in ")]}" else " "
            out[-1] += glue + line
        else:
            out.append(line)
        depth = max(0, depth + sum(map(line.count, "([{")) - sum(map(line.count, ")]}")))
    return tuple(clean(_INNER.sub(r"‹\1›", line)) for line in out)
