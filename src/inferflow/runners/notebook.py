"""``inferflow.notebook``: run a notebook once from top to bottom, with variables in and out.

    model, score = inferflow.notebook("train.ipynb", lr=0.1, returns=("model", "score"))

A fresh kernel executes a copy of the notebook; the file itself is not changed. Parameters are set in a new cell behind
the one that is tagged ``parameters``, which holds their defaults. Variables come out through a file that the kernel
writes after the last cell, so they may be of any type that can be pickled (of a kernel of another language: what JSON
can say). nbclient executes, in a process of its own (``execution``), so that nothing of it gets into this one:
no event loop, no threads, no imports.

Terms: the *caller* is the process that calls ``notebook``; the *kernel* runs the cells.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import inferflow.runners
from inferflow.runners import chosen, wanted_names
from inferflow.runners.warm import execution_code

__all__ = ["MISSING", "NotebookFailed", "kernel_wanted", "missing_libraries", "notebook"]

MISSING = "pip install 'inferflow[notebook]'"
"""What to do if the libraries that execute notebooks are not there."""


class NotebookFailed(RuntimeError):
    """A cell raised, or the kernel died. ``cell`` is the number of the cell in the notebook (from 1, text cells
    counted), ``source`` its text, ``exception`` and ``value`` what was raised, ``traceback`` the kernel's own."""

    def __init__(
        self, message: str, cell: int = 0, source: str = "", exception: str = "", value: str = "", traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.cell = cell
        self.source = source
        self.exception = exception
        self.value = value
        self.traceback = traceback


def notebook(
    path: Union[str, os.PathLike[str]],
    /,
    *,
    returns: Union[str, Sequence[str]] = (),
    output: Union[str, os.PathLike[str], None] = None,
    kernel: Optional[str] = None,
    folder: Union[str, os.PathLike[str], None] = None,
    timeout: Optional[float] = None,
    parameters: Optional[Mapping[str, Any]] = None,
    **more: Any,
) -> Any:
    """Run the notebook at ``path`` from top to bottom in a fresh kernel; give back the variables named in ``returns``
    (one name as a text: its value; several: a tuple).

    ``parameters``, and all further keyword arguments, replace defaults of the cell tagged ``parameters``. ``output`` is
    a file to write the executed notebook to, also if a cell fails. ``kernel`` is the name of a kernel, by default the
    notebook's own. ``folder`` is the kernel's working folder, by default the notebook's. ``timeout``: seconds for each
    cell.

    Raises NotebookFailed if a cell raises, ReturnsMissing if a variable was not set, ValueError for parameters that the
    notebook does not have, ModuleNotFoundError if nbclient is not installed.
    """
    names = wanted_names(returns)
    filename = os.path.abspath(os.fspath(path))
    if not os.path.isfile(filename):
        raise FileNotFoundError(2, "no such notebook", os.fspath(path))
    given = {**(parameters or {}), **more}
    lacking = missing_libraries()
    if lacking:
        raise ModuleNotFoundError(f"a notebook needs {' and '.join(lacking)}: {MISSING}", name=lacking[0])
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with tempfile.TemporaryDirectory(prefix="inferflow-notebook-") as scratch:
        job = {
            "notebook": filename,
            "shown": os.fspath(path),
            "folder": os.path.abspath(os.fspath(folder)) if folder is not None else os.path.dirname(filename),
            "kernel": kernel,
            "timeout": timeout,
            "parameters": sorted(given),
            "returns": list(names),
        }
        if given:
            with open(os.path.join(scratch, "parameters.pkl"), "wb") as file:
                file.write(_pickled(given))
        with open(os.path.join(scratch, "job.json"), "w", encoding="utf-8") as text:
            json.dump(job, text)
        status = _execute(scratch, job)
        _keep_executed(scratch, os.fspath(path), output)
        result = _result(scratch, os.fspath(path), status)
        values = _values(scratch, result) if names else {}
    return chosen(os.fspath(path), returns, values)


def missing_libraries() -> list[str]:
    """Which of the libraries that execute notebooks cannot be imported here."""
    from importlib.util import find_spec

    return [name for name in ("nbclient", "nbformat", "ipykernel") if find_spec(name) is None]


# -- the process that executes -----------------------------------------------------------------------


def _execute(scratch: str, job: Mapping[str, Any]) -> int:
    spares = inferflow.runners.spares
    if spares is not None:
        spare = spares.take(_kernel_of(job), job["folder"])
        if spare is not None and spare.run(scratch):
            spare.used()
            return 0
    process = subprocess.Popen([sys.executable, "-c", execution_code("main"), scratch], stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except BaseException:  # Ctrl-C reaches the process too: it ends the kernel
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _kernel_of(job: Mapping[str, Any]) -> str:
    """The name of the kernel that the notebook wants; a file that is no notebook is told as such later."""
    if job["kernel"]:
        return str(job["kernel"])
    try:
        with open(job["notebook"], encoding="utf-8-sig") as file:
            return str(json.load(file)["metadata"].get("kernelspec", {}).get("name") or "python3")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "python3"


def kernel_wanted(path: str) -> tuple[str, str]:
    """The kernel and the folder in which the notebook at ``path`` would be run."""
    filename = os.path.abspath(path)
    return _kernel_of({"kernel": None, "notebook": filename}), os.path.dirname(filename)


def _keep_executed(scratch: str, path: str, output: Union[str, os.PathLike[str], None]) -> None:
    """Write the executed notebook where the caller wants it, and give it to the run, if there is one."""
    try:
        with open(os.path.join(scratch, "executed.ipynb"), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return
    if output is not None:
        with open(output, "wb") as target:
            target.write(content)
    if inferflow.runners.keep is not None:
        inferflow.runners.keep(path, content)


def _result(scratch: str, path: str, status: int) -> dict[str, Any]:
    """What the process found; raises what it tells of."""
    try:
        with open(os.path.join(scratch, "result.json"), encoding="utf-8") as file:
            result: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        raise NotebookFailed(f"{path}: the process that executes it ended with status {status}") from None
    problem = result.get("problem")
    if problem == "cell":
        raise NotebookFailed(
            result["message"], result["cell"], result["source"], result["exception"], result["value"],
            result["traceback"],
        )  # fmt: skip
    if problem == "value":
        raise ValueError(result["message"])
    if problem is not None:
        raise NotebookFailed(result["message"])
    return result


# -- values ------------------------------------------------------------------------------------------


def _pickled(values: Mapping[str, Any]) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        return pickle.dumps(values)
    data: bytes = cloudpickle.dumps(values)
    return data


def _values(scratch: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The returned variables: pickled one by one by a Python kernel (what cannot be, says why), else JSON."""
    values: dict[str, Any] = dict(result.get("values", {}))
    try:
        with open(os.path.join(scratch, "returns.pkl"), "rb") as file:
            packed = pickle.load(file)
    except FileNotFoundError:
        return values
    for name, (data, why_not) in packed.items():
        if data is None:
            raise TypeError(f"{result['shown']} cannot hand out {name!r}: {why_not}")
        values[name] = pickle.loads(data)
    return values
