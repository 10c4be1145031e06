"""What running a notebook takes beside running a script: the libraries, what its worker needs to know of the cells, the
executed notebook in a file.

``analysis/cells.py`` makes one text of the cells, ``worker/cells.py`` runs them in IPython's shell.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inferflow.analysis.cells import parameters_of
from inferflow.config.settings import PARAMETER_PREFIX, Settings
from inferflow.errors import BrokenEnvironment, WrongUse
from inferflow.model import Parameter, Source, TaskGraph
from inferflow.records import evolve
from inferflow.session.target import Target, book_source

__all__ = ["cell_facts", "check_notebook", "notebook_rows", "with_parameters", "write_executed"]


def check_notebook(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Raise unless a notebook can be run here in this way."""
    if arguments:
        raise WrongUse("a notebook takes no arguments", hint="a script does: inferflow run driver.py -- ARGS")
    if settings.backend == "inline":
        raise WrongUse("a notebook needs a process of its own", hint="leave --backend inline away")
    if settings.backend == "process":
        from importlib.util import find_spec

        lacking = [name for name in ("ipykernel", "IPython", "nbformat") if find_spec(name) is None]
        if lacking:
            raise BrokenEnvironment(
                f"to run a notebook, {' and '.join(lacking)} must be installed",
                hint="pip install 'inferflow[notebook]'",
            )


def cell_facts(source: Source) -> list[list[object]]:
    """The cells of a notebook for its worker: number, line in the text, lines, statements, whether these stand for the
    whole cell, and how many blank lines IPython leaves out at its beginning."""
    shown = source.shown.split("\n")
    found: list[list[object]] = []
    for cell in source.cells:
        lines = shown[cell.line - 1 : cell.line - 1 + cell.lines]
        blank = next((number for number, line in enumerate(lines) if line.strip()), 0)
        found.append([cell.number, cell.line, cell.lines, cell.count, cell.whole, blank])
    return found


_TURNS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def notebook_rows(graph: TaskGraph, text: str) -> list[list[object]]:
    """The tasks that have a notebook executed, themselves or through functions of the driver, for home, which has
    kernels started ahead: the task's number, whether it may come to the call several times, whether the kernel is to
    be lent to the driver's process (papermill, nbclient), the notebook's path if the text says it (else empty).
    ``text`` is the driver's."""
    whole = _parsed(text)
    with_client = "nbclient" in text
    known = _through_functions(whole, with_client)
    named = {node.value for node in ast.walk(whole) if isinstance(node, ast.Constant) and _is_book(node.value)}
    only = str(next(iter(named))) if len(named) == 1 else ""
    found: list[list[object]] = []
    for index, task in enumerate(graph.tasks):
        tree = _parsed(textwrap.dedent(task.source))
        turns = any(isinstance(node, _TURNS) for node in ast.walk(tree))
        calls = _calls(tree, known, with_client)
        found += [[index, turns, lend, path or (only if lend else "")] for lend, path in calls]
    return found


def _is_book(value: object) -> bool:
    return isinstance(value, str) and value.endswith(".ipynb")


Call = tuple[bool, str]
"""A call that has a notebook executed: whether in a kernel that is started in the driver's process, and its path."""


def _through_functions(tree: ast.AST, with_client: bool = False) -> dict[str, list[Call]]:
    """The functions of a module that have notebooks executed, with these."""
    known: dict[str, list[Call]] = {}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for _ in functions:  # one that calls such a function is one itself
        before = len(known)
        for function in functions:
            if function.name not in known and (calls := _calls(function, known, with_client)):
                known[function.name] = calls
        if len(known) == before:
            break
    return known


def _calls(tree: ast.AST, known: Mapping[str, list[Call]], with_client: bool = False) -> list[Call]:
    """The calls in a text that have a notebook executed. ``with_client``: ``execute`` may be nbclient's."""
    found: list[Call] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", "") or getattr(node.func, "id", "")
        first: Any = node.args[0] if node.args else None
        first = next((one.value for one in node.keywords if one.arg == "input_path"), first)
        path = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
        if isinstance(node.func, ast.Name) and name in known:
            found += known[name]
        elif name == "notebook":
            found.append((False, path))
        elif name == "execute_notebook":
            found.append((True, path))
        elif with_client and name in ("execute", "async_execute"):
            found.append((True, ""))
        else:
            found += known.get(name, [])
    return found


def _parsed(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


# -- parameters --------------------------------------------------------------------------------------

INJECTED = "injected-parameters"
"""The tag of the cell that sets parameters, as papermill has it."""


def with_parameters(
    target: Target,
    settings: Settings,
    pairs: Sequence[str] = (),
    file: str | None = None,
    values: Mapping[str, object] | None = None,
) -> tuple[Target, dict[str, dict[str, object]]]:
    """The notebook with a cell behind the one tagged ``parameters`` that sets those that were given, as papermill does
    it; and what was given. The target as it is if nothing was.

    ``pairs`` are texts ``name=value``, ``values`` plain data. Raises WrongUse for what the notebook does not take, and
    for values of another kind than its annotations and defaults say."""
    environ = {name: text for name, text in os.environ.items() if name.startswith(PARAMETER_PREFIX)}
    if not (pairs or file or values or settings.params or environ):
        return target, {}
    from inferflow.config.parameters import collect

    known = parameters_of(target.source)
    raw = collect(
        known,
        pairs=pairs,
        file=Path(file) if file else None,
        environ=environ,
        settings={**settings.params, **(values or {})},
        target=target.text,
        script=True,
    )
    for name in values or ():
        if name not in raw:
            takes = ", ".join(parameter.name for parameter in known) or "none"
            raise WrongUse(f"{target.text} takes no parameter {name!r}", hint=f"it takes: {takes}")
    if not raw:
        return target, {}
    from inferflow.runners.languages import setting_code

    code = setting_code("python", {p.name: _value(p, raw[p.name]) for p in known if p.name in raw}, "")
    book = _injected(Path(target.filename).read_bytes(), target.source.parameters_cell, code)
    source = book_source(book.encode(), target.source.path, target.filename)
    return evolve(target, source=source, book=book), raw


def _value(parameter: Parameter, given: Mapping[str, object]) -> object:
    """What a parameter is set to. Raises WrongUse."""
    from inferflow.runners.languages import is_literal
    from inferflow.worker.parameters import ParameterError, default_value

    annotation = _evaluated(parameter.annotation or "", _TYPES)
    default = _evaluated(parameter.default or "", {})
    try:
        value = default_value(parameter.name, given, annotation, default)
    except ParameterError as error:
        raise WrongUse(str(error), hint=f"the notebook has: {parameter}") from None
    if is_literal(value):
        return value
    if "text" in given:
        return given["text"]  # a date, say: code of the notebook's own is to read it
    raise WrongUse(
        f"parameter {parameter.name!r} has a value of type {type(value).__name__}, which cannot be written into a cell",
        hint="give numbers, texts, truth values, lists and tables of these",
    )


_TYPES: dict[str, object] = {kind.__name__: kind for kind in (int, float, str, bool, list, dict, tuple, bytes)}


def _evaluated(text: str, names: Mapping[str, object]) -> Any:
    """The value of a text that has but literals, plain types and what joins them; else what stands for nothing known:
    no annotation, no default."""
    import inspect

    plain = (ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Subscript, ast.Tuple, ast.List, ast.Dict, ast.Set)
    try:
        tree = ast.parse(text.strip(), mode="eval")
        if any(not isinstance(node, (*plain, ast.BinOp, ast.BitOr, ast.UnaryOp, ast.USub)) for node in ast.walk(tree)):
            raise ValueError
        return eval(compile(tree, "<parameter>", "eval"), {"__builtins__": {}}, dict(names))
    except Exception:  # whatever it is, it says nothing about the kind
        return inspect.Parameter.empty


def _injected(data: bytes, number: int, code: str) -> str:
    """The notebook's text with a cell that sets parameters behind cell ``number``; one of an earlier run goes."""
    book = json.loads(data.decode("utf-8-sig"))
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [INJECTED]},
        "outputs": [],
        "source": code,
    }
    if (book["nbformat"], book.get("nbformat_minor", 0)) >= (4, 5):
        cell["id"] = INJECTED
    cells = [*book["cells"][:number], cell, *book["cells"][number:]]
    book["cells"] = [one for one in cells if one is cell or INJECTED not in one.get("metadata", {}).get("tags", ())]
    return json.dumps(book)


def write_executed(scratch: Path, target: Target, file: Path) -> None:
    """Write the executed notebook, as far as it came, to where the user wants it. Raises WrongUse."""
    content = _executed(scratch, target)
    if not content:
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, file)
    except OSError as error:
        raise WrongUse(f"cannot write {file}: {error.strerror}") from None


def _executed(scratch: Path, target: Target) -> bytes:
    """What home left: the whole notebook, or what it noted up to its sudden end."""
    from inferflow.worker.cell_outputs import JOURNAL, executed_so_far

    with contextlib.suppress(OSError):
        return (scratch / "executed.ipynb").read_bytes()
    try:
        journal = (scratch / JOURNAL).read_bytes()
        text = target.book or Path(target.filename).read_text(encoding="utf-8-sig")
    except OSError:
        return b""
    return executed_so_far(json.loads(text), journal)
