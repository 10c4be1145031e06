"""A notebook as one Python text, and places in it as cell and line.

The code cells stand one after another, each behind a marker line, every line where it stood in its cell; what only
IPython understands is written as Python that has the same effects, for the analysis only (home runs the cells as they
are):

    %matplotlib inline               # %%
    df = load("a.csv")               _ipython.magic('matplotlib', 'inline')
    !ls data                         df = load("a.csv")
    df.head()                        _ipython.system('ls data')
                                     df.head()

Line 1 binds the names that a kernel has beside Python's own. A cell whose first line is ``%%...`` becomes one statement
(``whole``); so does one that Python cannot read, since the run ends there. Columns stay as they are, except on lines
with magics.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any, TypeVar

from inferflow.analysis.magics import NamesIn, around, cell_python, nothing_known, settle_names
from inferflow.analysis.percent import heading
from inferflow.model import Cell, Parameter, Reason, Source, Span, Task, TaskGraph
from inferflow.model.graph import ONE_BY_ONE
from inferflow.records import evolve, field_names

__all__ = ["NotANotebook", "displayed", "dress", "notebook_source", "parameters_of", "read_cells"]

PRELUDE = (
    "from IPython.display import display; from IPython import get_ipython; "
    "import ipython_magics as _ipython; _ = __ = ___ = ''"
)
MARKER = "# %%"


class NotANotebook(ValueError):
    """The bytes are no notebook of Python cells; says why."""


def read_cells(data: bytes) -> list[dict[str, Any]]:
    """The cells of a notebook file. Raises NotANotebook."""
    try:
        book = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError) as error:
        raise NotANotebook(f"it is not JSON ({error})") from None
    if not isinstance(book, dict) or not isinstance(book.get("nbformat"), int):
        raise NotANotebook("it has no 'nbformat'")
    if book["nbformat"] != 4:
        raise NotANotebook(f"its format is {book['nbformat']}, and 4 is understood (open and save it in Jupyter)")
    cells = book.get("cells")
    if not isinstance(cells, list):
        raise NotANotebook("it has no cells")
    metadata = book.get("metadata", {})
    language = metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name")
    if language and language.lower() not in ("python", "python3", "ipython"):
        raise NotANotebook(f"its cells are in {language}, not in Python")
    return cells


def notebook_source(data: bytes, path: str, filename: str, names_in: NamesIn = nothing_known) -> Source:
    """A notebook file as a source: its text for the analysis, the same lines as they are shown, its code cells.
    ``names_in`` tells what scripts that cells run bind. Raises NotANotebook."""
    lines, shown, found = [PRELUDE], [""], []
    title, parameters = "", 0
    for number, cell in enumerate(read_cells(data), 1):
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        if cell.get("cell_type") == "markdown":
            title = heading(text) or title
        if cell.get("cell_type") != "code" or "skip-execution" in cell.get("metadata", {}).get("tags", ()):
            continue
        if not text.strip():
            continue
        own = text.split("\n")
        written, count, whole = cell_python(own, names_in)
        written = [re.sub(r"^from __future__ import .*", "import __future__", line) for line in written]
        if "raises-exception" in cell.get("metadata", {}).get("tags", ()) and not whole:
            written, count, whole = around("try:", written, "except Exception: pass"), 1, True
        first = len(lines) + 2
        lines += [MARKER, *written]
        extra = len(written) - len(own)  # a line for the end of a compound statement
        shown += [f"{MARKER} [{number}] {title}".rstrip(), *own, *[""] * extra]
        found.append(Cell(number, first, len(own), count, whole, title))
        if not parameters and "parameters" in cell.get("metadata", {}).get("tags", ()):
            parameters = number
        title = ""
    text = settle_names("\n".join(lines) + "\n")
    return Source(
        "__main__", path, filename, text, cells=tuple(found), shown="\n".join(shown) + "\n", parameters_cell=parameters
    )


def parameters_of(source: Source) -> tuple[Parameter, ...]:
    """What the cell tagged ``parameters`` sets, with the defaults that it has: its plain assignments to one name."""
    cell = next((cell for cell in source.cells if cell.number == source.parameters_cell), None)
    if cell is None:
        return ()
    text = "\n".join(source.text.split("\n")[cell.line - 1 : cell.line - 1 + cell.lines])
    found: dict[str, Parameter] = {}
    for node in _parsed(text):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = Parameter(name, "keyword", None, ast.get_source_segment(text, value))
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                default = ast.get_source_segment(text, value) if value is not None else None
                found[name] = Parameter(name, "keyword", ast.get_source_segment(text, annotation), default)
            case _:
                pass
    return tuple(found.values())


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


# -- the graph of a notebook -------------------------------------------------------------------------

_T = TypeVar("_T")


def dress(graph: TaskGraph, source: Source) -> TaskGraph:
    """The graph as it is shown and run for a notebook: places as cell and line (``a.ipynb[3]:2``), texts as the cells
    have them, and at home what a cell displays at its end."""
    places = _Places(source)
    tree = ast.parse(source.text).body
    shown = source.shown.split("\n")
    written = source.text.split("\n")
    ends = displayed(source)
    tasks = []
    for task in graph.tasks:
        reasons = [reason for reason in task.home if reason.text != ONE_BY_ONE]
        block = graph.blocks[task.anchor.block]
        if block.kind == "module":
            for index in range(task.anchor.first, task.anchor.last + 1):
                if index in ends:
                    reasons.append(Reason("its value is displayed at the end of the cell", task.span))
                if _awaits(tree[index]):
                    reasons.append(Reason("it awaits in the notebook's event loop", task.span))
        text = task.source
        lines = range(task.span.line - 1, max(task.span.line, task.span.end_line))
        if task.span.path == source.path and any(written[line] != shown[line] for line in lines):
            text = "\n".join(shown[line] for line in lines if shown[line].strip())
        guess = task.guess if len(reasons) == len(task.home) else None
        if reasons and task.runs_inside:
            reasons.append(Reason("what stands in a statement of a notebook is not taken apart", task.span))
        # IPython compiles a cell's statements itself, so compound ones are not looked into.
        kind = "call" if task.kind == "group" else "opaque" if task.regions else task.kind
        tasks.append(evolve(task, kind=kind, home=tuple(reasons), source=text, guess=guess, regions=()))
    moved = places.moved
    return evolve(
        graph,
        tasks=tuple(_moved_task(task, moved) for task in tasks),
        edges=tuple(moved(edge) for edge in graph.edges),
        diagnostics=tuple(moved(note) for note in graph.diagnostics),
        cells=source.cells,
        parameters=parameters_of(source),
    )


def _moved_task(task: Task, moved: Any) -> Task:
    return evolve(
        task, span=moved(task.span), home=moved(task.home), effects=moved(task.effects), inputs=moved(task.inputs)
    )


def displayed(source: Source) -> frozenset[int]:
    """The indices of the expressions that end a cell: their values are displayed. None in a script."""
    if not source.cells:
        return frozenset()
    found: dict[int, tuple[int, ast.stmt]] = {}
    for index, statement in enumerate(ast.parse(source.text).body):
        cell = source.cell_at(statement.lineno)
        if cell is not None:
            found[cell.number] = index, statement
    return frozenset(index for index, statement in found.values() if isinstance(statement, ast.Expr))


def _awaits(statement: ast.stmt) -> bool:
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if isinstance(node, ast.comprehension) and node.is_async:
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            stack.extend(ast.iter_child_nodes(node))
    return False


class _Places:
    """Spans of the text as spans of cells."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.known: dict[Span, Span] = {}

    def moved(self, value: Any) -> Any:
        """A value of the model with every span in it moved."""
        if isinstance(value, Span):
            found = self.known.get(value)
            if found is None:
                found = self.known[value] = self._span(value)
            return found
        if isinstance(value, tuple):
            return tuple(self.moved(item) for item in value)
        if field_names(type(value)):
            changes = {}
            for name in field_names(type(value)):
                old = getattr(value, name)
                if isinstance(old, str) and "_ipython." in old:  # as the cell has it
                    changes[name] = old.replace("_ipython.", "%")
                elif isinstance(old, tuple | Span) or field_names(type(old)):
                    new = self.moved(old)
                    if new != old:
                        changes[name] = new
            return evolve(value, **changes) if changes else value
        return value

    def _span(self, span: Span) -> Span:
        if span.path != self.source.path:
            return span
        cell = self.source.cell_at(span.line)
        if cell is None:
            return span
        shift = cell.line - 1
        end = span.end_line - shift if span.end_line else 0
        return Span(f"{span.path}[{cell.number}]", span.line - shift, span.column, end, span.end_column)
