"""Values of past runs, found by name and rebuilt.

    load_value(runs, "latest", "logreg")                     # the last version of a variable
    load_value(runs, "latest", "train_test_split/X_test")    # as that task left it
    load_value(runs, "latest", "return")                     # what the driver returned

A value is rebuilt in this process from its artifact, after its digest was verified. Instances of the
driver's own classes need those classes. Where the driver was a script, they live in ``__main__``: a
module of that name is made from the *recorded* text of the driver by executing its imports, definitions
and literals, at the moment when the first of them is asked for. Other modules of the project are
imported from where they are.
"""

from __future__ import annotations

import ast
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from inferflow.errors import UserError, WrongUse
from inferflow.model import FileUse, Run, RunStarted, StoredValue, TaskGraph
from inferflow.records import frozen
from inferflow.storage.runs import Runs
from inferflow.worker.transform import is_guard

__all__ = ["KeptValue", "find_file", "find_value", "kept_values", "load_value", "rebuild"]


@frozen
class KeptValue:
    """A version of a value that counts: ``task`` is the name of the task that left it (``""``: the end of the run)."""

    task: str
    value: StoredValue

    @property
    def path(self) -> str:
        """``train_test_split/X_test``."""
        return f"{self.task}/{self.value.name}" if self.task else self.value.name


def kept_values(graph: TaskGraph, run: Run) -> list[KeptValue]:
    """All versions of all values that retired tasks left, in program order; last those kept at the end."""
    retired = sorted((a for a in run.attempts if a.status == "retired"), key=lambda attempt: attempt.task)
    found = [KeptValue(graph.tasks[attempt.task].name, value) for attempt in retired for value in attempt.values]
    if run.finished is not None:
        found += [KeptValue("", value) for value in run.finished.values]
    return found


def find_value(graph: TaskGraph, run: Run, name: str) -> KeptValue:
    """The last version of the value with this name, or, for ``task/name``, the one that this task left. Raises
    WrongUse with what there is."""
    kept = kept_values(graph, run)
    for candidate in reversed(kept):
        if name in (candidate.value.name, candidate.path):
            return candidate
    names = list(dict.fromkeys(candidate.value.name for candidate in kept))
    from difflib import get_close_matches

    near = get_close_matches(name, [*names, *(candidate.path for candidate in kept)], n=1)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif names:
        hint = f"it has {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
    else:
        hint = f"it kept no values at all (see: inferflow show {run.id})"
    raise WrongUse(f"run {run.id} has no value {name!r}", hint=hint)


def find_file(run: Run, path: str) -> FileUse | None:
    """What retired tasks last wrote to a path, given as recorded or by its last part."""
    retired = sorted((a for a in run.attempts if a.status == "retired"), key=lambda attempt: attempt.task)
    uses = [use for attempt in retired for use in attempt.files if use.mode == "write"]
    whole = [use for use in uses if use.path == path]
    found = whole or [use for use in uses if use.path.endswith(f"/{path}")]
    return found[-1] if found else None


def load_value(runs: Runs, run: str, name: str) -> Any:
    """The value that a run kept under this name (``run`` as :meth:`Runs.resolve` takes it). Raises WrongUse if there is
    no such run or value, UserError if it was not kept, is damaged, or cannot be rebuilt here."""
    run = runs.resolve(run)
    graph = runs.graph(run)
    folded = runs.load(run)
    return rebuild(runs, graph, folded, find_value(graph, folded, name))


def rebuild(runs: Runs, graph: TaskGraph, run: Run, kept: KeptValue) -> Any:
    """The object itself. Raises UserError."""
    from inferflow.worker.transport import unpack

    value = kept.value
    if value.artifact is None:
        raise UserError(
            f"{kept.path} ({value.type}) was not kept by run {run.id}: {value.why_not or 'it cannot be stored'}",
            hint=f"see how its makers ran: inferflow show {run.id}",
        )
    again = f"run the driver again: inferflow run {run.started.target}"
    try:
        path = runs.artifacts.verify(value.artifact)
        content = runs.artifacts.get(value.artifact.digest) if path is None else path
    except KeyError:
        raise UserError(f"the content of {kept.path} is gone from {runs.folder.root}", hint=again) from None
    except ValueError as error:
        raise UserError(f"{kept.path} cannot be read: {error}", hint=again) from None
    with _driver_modules(runs, graph, run.started):
        try:
            members = unpack(content)
        except Exception as error:
            raise UserError(
                f"{kept.path} ({value.type}) cannot be rebuilt in this Python: {type(error).__name__}: {error}",
                hint=f"the run had Python {run.started.environment.python} ({run.started.environment.executable}): "
                "load it with that, and with the project's modules as they were",
            ) from error
    return members[value.member]


# -- the driver's own classes and functions ---------------------------------------------------------

_lock = threading.RLock()


@contextlib.contextmanager
def _driver_modules(runs: Runs, graph: TaskGraph, started: RunStarted) -> Iterator[None]:
    """While a value is rebuilt, ``__main__`` is the driver of the run, and imports find the project's modules."""
    driver = _driver_file(runs, graph, started)
    depth = graph.module.count(".") + (driver.name == "__init__.py")
    folder = driver.parents[depth] if depth < len(driver.parents) else driver.parent
    with _lock:
        places = (str(folder), started.folder, str(runs.folder.root.parent))
        added = [place for place in dict.fromkeys(places) if place not in sys.path]
        sys.path[:0] = added
        before = sys.modules["__main__"]
        is_script = graph.module == "__main__"
        if is_script:
            sys.modules["__main__"] = _main_module(runs, graph, driver)
        try:
            yield
        finally:
            if is_script:
                sys.modules["__main__"] = before
            for place in added:
                if place in sys.path:
                    sys.path.remove(place)


def _driver_file(runs: Runs, graph: TaskGraph, started: RunStarted) -> Path:
    """Where the driver stands: as its user named it then, or as the graph does, now that the project may have moved."""
    named = Path(started.folder, started.target.rpartition(":")[0] or started.target)
    places = (named, Path(runs.folder.root.parent, graph.path), Path(started.folder, graph.path))
    return next((place for place in places if place.is_file()), places[1])


_mains: dict[str, ModuleType] = {}
"""By digest of the driver's text, so that values loaded one after another share their classes."""


def _main_module(runs: Runs, graph: TaskGraph, driver: Path) -> ModuleType:
    text, digest = _driver_text(runs, graph, driver)
    if digest not in _mains:
        _mains[digest] = _Main(text, str(driver))
    return _mains[digest]


def _driver_text(runs: Runs, graph: TaskGraph, driver: Path) -> tuple[str, str]:
    """The driver as it was recorded; where it was not, as it stands."""
    sources = dict(graph.sources)
    digest = sources.get(graph.path) or sources.get(graph.module) or ""
    with contextlib.suppress(KeyError, ValueError):
        if not digest:
            raise KeyError(graph.path)
        return runs.artifacts.get(digest).decode("utf-8", "surrogatepass"), digest
    try:
        return driver.read_text(encoding="utf-8"), f"{digest}:{driver}"
    except (OSError, ValueError):
        return "", ""


class _Main(ModuleType):
    """A driver's ``__main__``, whose definitions are executed when the first of its names is asked for: what needs no
    class of the driver runs no code of the driver."""

    def __init__(self, text: str, filename: str) -> None:
        super().__init__("__main__")
        own = object.__getattribute__(self, "__dict__")
        own.update(__file__=filename, __builtins__=__builtins__, _inferflow_text=text)

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if name not in ("__spec__", "__class__", "__file__", "__name__") and "_inferflow_text" in own:
            _define(own.pop("_inferflow_text"), own)
        return super().__getattribute__(name)


def _define(text: str, namespace: dict[str, Any]) -> None:
    """Execute the imports, definitions and literal assignments of a script. One that fails (its decorator, base or
    default comes from elsewhere) is left out. What modules print while they are imported goes to stderr."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    flags = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    with contextlib.redirect_stdout(sys.stderr):
        for node in _definitions(tree.body):
            code = compile(ast.Module([*flags, node], []), namespace["__file__"], "exec", dont_inherit=True)
            with contextlib.suppress(Exception):
                exec(code, namespace)


def _definitions(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value) if _is_literal(value):
                yield node
            case ast.Try(body=inner) if any(isinstance(n, ast.Import | ast.ImportFrom) for n in inner):
                yield node
            case ast.If() if is_guard(node.test):
                yield from _definitions(node.body)
            case ast.If(body=inner, orelse=other) if [*_definitions([*inner, *other])] == [*inner, *other]:
                yield node
            case _:
                if type(node).__name__ == "TypeAlias":
                    yield node


def _is_literal(node: ast.expr) -> bool:
    """Constants, names and displays of them; and calls that make a class or a type (``namedtuple``, ``TypeVar``)."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        makers = ("namedtuple", "NamedTuple", "TypedDict", "TypeVar", "NewType", "Enum", "make_dataclass", "make_class")
        return name in makers
    return all(
        isinstance(
            part,
            ast.Constant
            | ast.Name
            | ast.Attribute
            | ast.Tuple
            | ast.List
            | ast.Set
            | ast.Dict
            | ast.UnaryOp
            | ast.BinOp
            | ast.Subscript
            | ast.expr_context
            | ast.unaryop
            | ast.operator,
        )
        for part in ast.walk(node)
    )
