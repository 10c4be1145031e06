"""What running a notebook takes beside running a script: the libraries, what its worker needs to know of the cells, the
executed notebook in a file.

``analysis/cells.py`` makes one text of the cells, ``worker/cells.py`` runs them in IPython's shell.
"""

from __future__ import annotations

import os
from pathlib import Path

from inferflow.config.settings import Settings
from inferflow.errors import BrokenEnvironment, WrongUse
from inferflow.model import Source

__all__ = ["cell_facts", "check_notebook", "write_executed"]


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


def write_executed(scratch: Path, target: Path) -> None:
    """Write the executed notebook, as far as it came, to where the user wants it. Raises WrongUse."""
    source = scratch / "executed.ipynb"
    if not source.exists():
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(source.read_bytes())
        os.replace(temporary, target)
    except OSError as error:
        raise WrongUse(f"cannot write {target}: {error.strerror}") from None
