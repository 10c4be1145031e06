"""Runs a notebook natively (nbclient, in a fresh kernel) and inferred, in copies of one folder, and compares outputs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import frozen

SHARED = Path(__file__).resolve().parents[1] / "same"
sys.path.insert(0, str(SHARED))

from compare import environment, write_files  # noqa: E402

CODE = """
import json, sys, nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
nb = nbformat.read(sys.argv[1], as_version=4)
status = 0
try:
    NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
except CellExecutionError:
    status = 1
nbformat.write(nb, sys.argv[2])
sys.exit(status)
"""


@frozen
class Executed:
    """``cells``: execution count and outputs of each code cell."""

    exit_code: int
    cells: list[tuple[Any, list[Any]]]
    files: dict[str, bytes]
    stdout: str = ""
    stderr: str = ""


def book(*cells: str | tuple[str, str], **metadata: Any) -> str:
    """The text of a notebook of code cells; a pair is a cell with a tag (``markdown``: a text cell)."""
    out: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        source, tag = (cell, "") if isinstance(cell, str) else cell
        made: dict[str, Any] = {"cell_type": "code", "execution_count": None, "outputs": [], "id": f"c{number}"}
        if tag == "markdown":
            made = {"cell_type": "markdown", "id": f"c{number}"}
        out.append({**made, "source": source, "metadata": {"tags": [tag]} if tag else {}})
    metadata.setdefault("kernelspec", {"name": "python3", "display_name": "p", "language": "python"})
    return json.dumps({"cells": out, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def normal(value: Any) -> Any:
    """Without what differs between two native runs: process ids in file names, addresses, times."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = re.sub(r"ipykernel_\d+/\d+", "ipykernel", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x", text)
    text = re.sub(r"(CPU times|Wall time).*?\\n", "", text)
    return json.loads(text)


def coalesced(outputs: list[Any]) -> list[Any]:
    """Consecutive pieces of one stream as one (where it is cut is a matter of time)."""
    out: list[Any] = []
    for output in outputs:
        text = "".join(output["text"]) if output["output_type"] == "stream" else None
        if text is None:
            out.append(output)
        elif out and out[-1].get("name") == output["name"]:
            out[-1]["text"] += text
        else:
            out.append({**output, "text": text})
    return out


def executed_cells(path: Path, order: bool) -> list[tuple[Any, list[Any]]]:
    """Without ``order``, where in its stream a letter stands does not count: a kernel gathers what is written past
    Python's streams in its own time."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found = []
    for cell in cells:
        if cell["cell_type"] == "code":
            outputs = normal(coalesced(cell["outputs"]))
            if not order:
                streams = {"stdout": "", "stderr": ""}
                for output in outputs:
                    if output["output_type"] == "stream":
                        streams[output["name"]] += output["text"]
                letters = {name: "".join(sorted(text)) for name, text in streams.items()}
                outputs = [letters, *(output for output in outputs if output["output_type"] != "stream")]
            found.append((cell["execution_count"], outputs))
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".inferflow", "__pycache__"} & set(path.parts)
    }


def both(
    tmp_path: Path, files: dict[str, str | bytes], *options: str, order: bool = True
) -> tuple[Executed, Executed, Path]:
    """The notebook ``a.ipynb`` among ``files``, natively and inferred; and the folder of the second."""
    env = environment()
    env.pop("PYTEST_CURRENT_TEST", None)  # where it is set, a kernel does not watch its descriptors
    results = []
    for command in (
        [sys.executable, "-c", CODE, "a.ipynb", "{out}"],
        [sys.executable, "-m", "inferflow", "-q", "run", *options, "a.ipynb", "-o", "{out}"],
    ):
        folder = tmp_path / "project"
        shutil.rmtree(folder, ignore_errors=True)
        write_files(folder, {**files, "inferflow.toml": ""})
        out = tmp_path / "out.ipynb"
        out.unlink(missing_ok=True)
        command = [str(out) if word == "{out}" else word for word in command]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=400)
        assert out.exists(), done.stderr
        results.append(
            Executed(done.returncode, executed_cells(out, order), files_of(folder), done.stdout, done.stderr)
        )
    return results[0], results[1], tmp_path / "project"


def assert_same(
    tmp_path: Path, notebook: str, *options: str, order: bool = True, **files: str
) -> tuple[Executed, Path]:
    """Assert that both ways give the same; what was observed of the inferred run, and its folder."""
    native, inferred, folder = both(tmp_path, {"a.ipynb": notebook, **files}, *options, order=order)
    assert inferred.cells == native.cells
    assert inferred.exit_code == native.exit_code
    assert inferred.files == native.files
    return inferred, folder
