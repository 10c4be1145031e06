"""Runs a driver natively and inferred, in copies of one folder, and compares all that a user can observe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen
class Observed:
    """``stderr`` with addresses of objects blanked; ``files`` by path, ``.inferflow`` left out."""

    exit_code: int
    stdout: bytes
    stderr: str
    files: dict[str, bytes]


def write_files(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def environment(**changes: str) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("INFERFLOW_")}
    env.pop("PYTHONUNBUFFERED", None)
    env.update(PYTHONHASHSEED="0", **changes)
    return env


def observe(command: list[str], folder: Path, stdin: bytes, env: dict[str, str], timeout: float = 400) -> Observed:
    done = subprocess.run(command, cwd=folder, input=stdin, env=env, capture_output=True, timeout=timeout)
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".inferflow" not in path.parts and "__pycache__" not in path.parts
    }
    stderr = re.sub(r"0x[0-9a-f]{6,}", "0x...", done.stderr.decode("utf-8", "replace"))
    return Observed(code, done.stdout, stderr, files)


def both(
    tmp_path: Path,
    files: dict[str, str | bytes],
    *arguments: str,
    driver: str = "driver.py",
    options: tuple[str, ...] = (),
    stdin: bytes = b"line one\nthe rest\n",
    **env: str,
) -> tuple[Observed, Observed, Path]:
    """What is observed natively, what with inferflow, and the folder of the second. The folder has the same path both
    times (it stands in tracebacks)."""
    folder = tmp_path / "project"
    write_files(folder, files)
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    variables = environment(**env)
    native = observe([sys.executable, driver, *arguments], folder, stdin, variables)
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    command = [sys.executable, "-m", "inferflow", "-q", "run", *options, driver, "--", *arguments]
    return native, observe(command, folder, stdin, variables), folder


def assert_same(tmp_path: Path, files: dict[str, str | bytes] | str, *arguments: str, **rest: object) -> Path:
    """Assert that both ways are the same in everything; the folder of the inferred run."""
    given: dict[str, str | bytes] = {"driver.py": files} if isinstance(files, str) else files
    native, inferred, folder = both(tmp_path, given, *arguments, **rest)  # type: ignore[arg-type]
    assert inferred.stdout == native.stdout
    assert inferred.stderr == native.stderr
    assert inferred.exit_code == native.exit_code
    assert inferred.files == native.files
    return folder


def recorded(folder: Path) -> dict[str, Any]:
    """What ``inferflow show --json`` tells of the last run there, read in this process: that takes less time."""
    from inferflow.cli.store import events_data, run_data
    from inferflow.storage.folder import Folder
    from inferflow.storage.runs import Runs

    store = Folder(folder / ".inferflow")
    try:
        runs = Runs(store)
        name = runs.resolve("latest")
        data = {**run_data(runs.load(name), runs.graph(name)), "events": events_data(runs.events(name))}
    finally:
        store.close()
    found: dict[str, Any] = json.loads(json.dumps(data))
    return found
