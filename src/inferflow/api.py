"""inferflow from Python: what the command line does, for notebooks, scripts and tests.

    import inferflow

    graph = inferflow.infer("driver.py")                 # the tasks, without running anything
    run = inferflow.run("driver.py:main", C=0.5)         # a parameter of main
    run["logreg"]                                        # a value that the run kept
    inferflow.load("latest", "logreg")                   # the same, later, elsewhere

Mistakes of the caller are ``UserError``; they say what to do.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferflow.errors import UserError, WrongUse
from inferflow.records import frozen

if TYPE_CHECKING:
    from inferflow.config.settings import Settings
    from inferflow.model import Run, TaskGraph

__all__ = ["RunFailed", "RunResult", "infer", "load", "run"]


class RunFailed(UserError):
    """The driver ended with an exception, a signal or a status other than 0; ``result`` is the run all the same."""

    def __init__(self, result: RunResult, message: str) -> None:
        super().__init__(message, hint=f"see: inferflow show {result.id}")
        self.result = result
        self.exit_code = result.exit_code


@frozen
class RunResult:
    """A finished run. ``result["name"]`` is a value that it kept: a variable, ``task/name``, or ``return``."""

    id: str
    exit_code: int
    graph: TaskGraph
    store: Path

    @property
    def record(self) -> Run:
        """Everything that was recorded."""
        record: Run = _runs(self.store).load(self.id)
        return record

    def __getitem__(self, name: str) -> Any:
        """The value kept under ``name``; raises KeyError if there is none, UserError if it could not be kept."""
        from inferflow.storage.values import load_value

        try:
            return load_value(_runs(self.store), self.id, name)
        except WrongUse as error:
            raise KeyError(str(error)) from None


def infer(driver: str | Callable[..., object], *, settings: Mapping[str, object] | None = None) -> TaskGraph:
    """The task graph of a driver: ``driver.py``, ``driver.py:main``, ``package.module:main``, or a live function (its
    source is read). Nothing of it is run. Raises DriverUnreadable."""
    from inferflow.session.infer import infer as inferred
    from inferflow.session.target import open_target

    target = open_target(_name(driver), Path.cwd())
    return inferred(target, _settings(Path(target.filename).parent, settings)).graph


def run(
    driver: str | Callable[..., object],
    /,
    *,
    arguments: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
    check: bool = True,
    **parameters: object,
) -> RunResult:
    """Run a driver, recorded, and wait for its end. Its output goes where this process's output goes.

    ``parameters`` are arguments of the driver function, or what a notebook's cell tagged ``parameters`` sets (plain
    data), ``arguments`` its ``sys.argv[1:]``; ``settings``
    as on the command line (``jobs=1``, ``backend="inline"``). Raises RunFailed if it does not end well (not with
    ``check=False``), UserError if it cannot begin.
    """
    from inferflow.config.parameters import collect
    from inferflow.session.run import execute
    from inferflow.session.target import open_target

    target = open_target(_name(driver), Path.cwd())
    chosen = _settings(Path(target.filename).parent, settings)

    placed: dict[str, dict[str, object]] = {}
    if target.kind == "notebook":
        from inferflow.session.notebook import with_parameters

        target, placed = with_parameters(target, chosen, values=parameters)

    def raw(graph: TaskGraph) -> dict[str, dict[str, object]]:
        if target.kind == "notebook":
            return placed  # they stand in a cell already
        table = {**chosen.params, **parameters}
        found = collect(
            graph.parameters, environ=os.environ, settings=table, target=target.text, script=target.kind != "function"
        )
        for name in parameters:
            if name not in found:
                raise WrongUse(f"{target.text} takes no parameter {name!r}")
            found[name] = {"data": parameters[name]}
        return found

    outcome = execute(target, chosen, raw, tuple(arguments))
    result = RunResult(outcome.run_id, outcome.exit_code, outcome.graph, outcome.store)
    if check and outcome.exit_code != 0:
        failure = outcome.failure
        what = f"{failure.exception}: {failure.message}" if failure else f"it ended with status {outcome.exit_code}"
        raise RunFailed(result, f"{target.text} failed: {what}")
    return result


def load(run: str, name: str, *, folder: str | os.PathLike[str] = ".") -> Any:
    """The value that a run kept: ``load("latest", "logreg")``. ``run`` may be ``latest`` or a unique prefix; ``folder``
    is the project's, or one below it. Raises UserError if there is no such run or value."""
    from inferflow.storage.values import load_value

    runs = _runs(_settings(Path(folder), None).store)
    return load_value(runs, runs.resolve(run), name)


def _name(driver: str | Callable[..., object]) -> str:
    if isinstance(driver, str):
        return driver
    function = inspect.unwrap(driver)
    file = inspect.getsourcefile(function)
    if file is None or "<locals>" in function.__qualname__:
        raise WrongUse(
            f"the source of {function.__qualname__} is not in a file", hint="give a function of a module, or its file"
        )
    return f"{file}:{function.__qualname__}"


def _settings(folder: Path, flags: Mapping[str, object] | None) -> Settings:
    from inferflow.config.settings import load_settings

    return load_settings(folder, flags=dict(flags or {}))


def _runs(store: Path) -> Any:
    from inferflow.storage.folder import Folder
    from inferflow.storage.runs import Runs

    return Runs(Folder(store))
