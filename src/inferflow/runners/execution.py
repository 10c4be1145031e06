"""Executes one notebook, in a process of its own: a job is read from a folder, and the results are left there.

    job.json  parameters.pkl   ->   executed.ipynb  result.json  returns.pkl

Of all modules of the package only this one and ``languages`` deal with kernels; nbclient and nbformat are imported when
it runs. The notebook is kept as far as it came, with outputs, execution counts and the error in place.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import sys
from collections.abc import Mapping
from typing import Any

from inferflow.runners.languages import Unsayable, collecting_code, parameter_names, setting_code

__all__ = ["client_of", "execute", "interrupted", "job_in", "main", "tell", "write"]

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class _Problem(Exception):
    """Something to tell the caller: ``facts`` become ``result.json``."""

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(facts["message"])
        self.facts = facts


def main(scratch: str) -> None:
    """Execute the job in ``scratch`` in a kernel that is started for it."""
    job, status, result = job_in(scratch), 0, dict[str, Any]()
    try:
        with open(os.path.join(scratch, "kernel.txt"), "wb") as log:
            result = asyncio.run(execute(job, scratch, log))
    except KeyboardInterrupt:
        status, result = 130, interrupted(job)
    tell(scratch, {"shown": job["shown"], **result})
    sys.exit(status or int("problem" in result))


def job_in(scratch: str) -> dict[str, Any]:
    with open(os.path.join(scratch, "job.json"), encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def interrupted(job: Mapping[str, Any]) -> dict[str, Any]:
    return {"problem": "interrupted", "message": f"{job['shown']}: interrupted"}


def tell(scratch: str, result: dict[str, Any]) -> None:
    write(os.path.join(scratch, "result.json"), json.dumps(result).encode())


async def execute(job: Mapping[str, Any], scratch: str, log: Any, client: Any = None) -> dict[str, Any]:
    """Execute the job's notebook, in the kernel of ``client`` if there is one; what ``result.json`` tells of it."""
    import nbformat

    shown = job["shown"]
    try:
        try:
            nb: Any = nbformat.read(job["notebook"], as_version=4)
        except Exception as error:
            raise _Problem({"problem": "value", "message": f"{shown} is not a notebook: {error}"}) from None
        kernel = job["kernel"] or nb.metadata.get("kernelspec", {}).get("name") or "python3"
        language = _language(kernel, nb, shown)
        if job["parameters"]:
            with open(os.path.join(scratch, "parameters.pkl"), "rb") as file:
                _inject(nb, shown, language, job["parameters"], file.read(), scratch)
        try:
            return await _run(nb, job, kernel, language, scratch, log, client)
        finally:
            text = nbformat.writes(nb)
            write(os.path.join(scratch, "executed.ipynb"), (text if text.endswith("\n") else text + "\n").encode())
    except _Problem as problem:
        return problem.facts


def _language(kernel: str, nb: Any, shown: str) -> str:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    try:
        return str(manager.get_kernel_spec(kernel).language).lower()
    except NoSuchKernel:
        there = ", ".join(sorted(manager.find_kernel_specs())) or "none"
        message = (
            f"{shown} needs the kernel {kernel!r}, which is not installed (there are: {there}); name one: kernel=..."
        )
        raise _Problem({"problem": "value", "message": message}) from None


# -- parameters --------------------------------------------------------------------------------------


def _inject(nb: Any, shown: str, language: str, names: list[str], packed: bytes, scratch: str) -> None:
    """A cell that sets the parameters, behind the one tagged ``parameters``; what an earlier run injected goes."""
    import nbformat

    nb.cells = [cell for cell in nb.cells if "injected-parameters" not in _tags(cell)]
    at = next((index for index, cell in enumerate(nb.cells) if "parameters" in _tags(cell)), None)
    listed = ", ".join(names)
    if at is None:
        message = f"{shown} was given {listed}, but has no cell tagged 'parameters' (View > Cell Toolbar > Tags)"
        raise _Problem({"problem": "value", "message": message})
    known = parameter_names(language, nb.cells[at].source, names)
    wrong = [name for name in names if name not in known]
    if wrong:
        from difflib import get_close_matches

        near = get_close_matches(wrong[0], known, 1)
        what = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known) or 'none'}"
        message = f"{shown} has no parameter {wrong[0]!r} in its cell tagged 'parameters'; {what}"
        raise _Problem({"problem": "value", "message": message})
    try:
        code = setting_code(language, pickle.loads(packed), os.path.join(scratch, "handed.pkl"))
    except Unsayable as error:
        raise _Problem({"problem": "value", "message": f"{shown}: {error}"}) from None
    cell = nbformat.v4.new_code_cell(code, metadata={"tags": ["injected-parameters"]})
    if (nb.nbformat, nb.nbformat_minor) < (4, 5):
        del cell["id"]
    nb.cells.insert(at + 1, cell)


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", ()))


# -- running -----------------------------------------------------------------------------------------


def client_of(nb: Any, kernel: str, folder: str, scratch: str) -> Any:
    """A client with a kernel that is not started yet."""
    from nbclient import NotebookClient

    client = NotebookClient(nb, kernel_name=kernel, resources={"metadata": {"path": folder}})
    if os.name == "posix":  # sockets in a folder of our own instead of ports that anybody on this machine can reach
        manager = client.create_kernel_manager()
        manager.transport, manager.ip = "ipc", os.path.join(scratch, "kernel")
    return client


async def _run(
    nb: Any, job: Mapping[str, Any], kernel: str, language: str, scratch: str, log: Any, client: Any
) -> dict[str, Any]:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    try:
        collect = collecting_code(language, job["returns"], scratch) if job["returns"] else ""
    except Unsayable as error:
        raise _Problem({"problem": "value", "message": f"{job['shown']}: {error}"}) from None
    at = [0]
    try:
        if client is None:
            client = client_of(nb, kernel, job["folder"], scratch)
            async with client.async_setup_kernel(stdout=log, stderr=log):
                await _cells(client, nb, job, collect, at)
        else:
            client.nb = nb
            await _cells(client, nb, job, collect, at)
    except CellTimeoutError:
        raise _failed(job, nb, at[0], "Timeout", f"it ran for more than {job['timeout']} seconds", "") from None
    except CellExecutionError as error:
        raise _failed(job, nb, at[0], error.ename, error.evalue, str(error.traceback)) from None
    except DeadKernelError:
        with open(log.name, encoding="utf-8", errors="replace") as last:
            text = "".join(last.readlines()[-30:])
        raise _failed(job, nb, at[0], "DeadKernel", "the kernel ended (out of memory?)", text) from None
    values = os.path.join(scratch, "returns.json")
    if os.path.exists(values):
        with open(values, encoding="utf-8") as file:
            return {"values": json.load(file)}
    return {}


async def _cells(client: Any, nb: Any, job: Mapping[str, Any], collect: str, at: list[int]) -> None:
    """Run the cells; ``at`` holds which one runs."""
    client.timeout = job["timeout"]
    info = await client.async_wait_for_reply(client.kc.kernel_info())
    nb.metadata["language_info"] = info["content"]["language_info"]
    for at[0], cell in enumerate(list(nb.cells)):
        await client.async_execute_cell(cell, at[0], execution_count=client.code_cells_executed + 1)
    if collect:
        await _collect(client, nb, collect)
    client.set_widgets_metadata()


async def _collect(client: Any, nb: Any, code: str) -> None:
    """Run the code that writes the returned variables; it is no cell of the notebook."""
    import nbformat

    cell = nbformat.v4.new_code_cell(code)
    nb.cells.append(cell)
    try:
        await client.async_execute_cell(cell, len(nb.cells) - 1, store_history=False)
    finally:
        nb.cells.pop()


def _failed(job: Mapping[str, Any], nb: Any, at: int, exception: str, value: str, traceback: str) -> _Problem:
    cell = nb.cells[at]
    said = next((o for o in cell.get("outputs", ()) if o.get("output_type") == "error"), None)
    text = _COLORS.sub("", "\n".join(said["traceback"]) if said else traceback)
    source = str(cell.source)
    where = f"cell {at + 1}"
    if cell.get("execution_count"):
        where += f" (In [{cell.execution_count}])"
    shown_source = "\n".join(f"    {line}" for line in source.splitlines()[:20])
    message = f"{job['shown']}, {where}: {exception}: {_COLORS.sub('', value)}\n{shown_source}"
    if text:
        message += f"\n\n{text}"
    return _Problem(
        {
            "problem": "cell",
            "message": message,
            "cell": at + 1,
            "source": source,
            "exception": exception,
            "value": _COLORS.sub("", value),
            "traceback": text,
        }
    )


def write(path: str, data: bytes) -> None:
    with open(path + ".tmp", "wb") as file:
        file.write(data)
    os.replace(path + ".tmp", path)
