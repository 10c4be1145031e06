"""``inferflow get RUN NAME``: a value or a file that a run kept, to stdout or to disk.

A value is rebuilt in a process of its own: to rebuild is to run code of the user's. A file is copied as it was kept.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferflow.cli import complete
from inferflow.cli.common import enter, remark
from inferflow.cli.options import FormatJson, Output, RunName
from inferflow.cli.store import open_runs, write_bytes
from inferflow.errors import BrokenEnvironment, UserError, WrongUse

if TYPE_CHECKING:
    from inferflow.model import FileUse
    from inferflow.storage.runs import Runs

__all__ = ["FORMATS", "command"]

FORMATS = ("text", "json", "csv", "npy", "pickle")
ENDINGS = {
    ".txt": "text",
    ".json": "json",
    ".csv": "csv",
    ".npy": "npy",
    ".pkl": "pickle",
    ".pickle": "pickle",
}


def command(
    ctx: typer.Context,
    run: RunName,
    name: Annotated[
        str,
        typer.Argument(
            help="A variable, TASK/variable, return, or the path of a file that was written.",
            autocompletion=complete.values,
        ),
    ],
    output: Output = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="How to write a value; the default is the file's ending, else text.",
            autocompletion=complete.value_formats,
        ),
    ] = None,
    json: FormatJson = False,
) -> int:
    """Get a value or a file of a run."""
    from inferflow.config.values import Refused, parse_choice
    from inferflow.storage.values import find_file, find_value

    shared = enter(ctx)
    path = Path(output) if output else None
    store = open_runs(shared)
    run = store.resolve(run)
    found = store.load(run)
    form = "json" if json else form
    try:
        form = parse_choice(form, FORMATS) if form else None
    except Refused as refused:
        raise WrongUse(f"--format is {form!r}; it must be {refused}") from None
    try:
        find_value(store.graph(run), found, name)
    except WrongUse as no_value:
        use = find_file(found, name)
        if use is None:
            raise no_value from None
        if form is not None:
            raise WrongUse(f"{name} is a file, which is given as it is", hint="leave --format out") from None
        _give_file(store, use, path)
    else:
        form = form or (ENDINGS.get(path.suffix.lower(), "") if path else "text")
        if not form:
            raise WrongUse(f"-o {output}: the ending does not tell a form", hint=f"add --format {'|'.join(FORMATS)}")
        _give_value(store, run, name, form, path)
    if output is not None:
        remark(shared, f"wrote {output}")
    return 0


def _give_file(store: Runs, use: FileUse, output: Path | None) -> None:
    if use.artifact is None:
        raise UserError(f"the content of {use.path} was not kept", hint="run the driver again")
    try:
        data = store.artifacts.get(use.artifact.digest)
    except KeyError:
        raise UserError(
            f"the content of {use.path} is gone from {store.folder.root}", hint="run the driver again"
        ) from None
    except ValueError as error:
        raise UserError(f"the content of {use.path} is damaged: {error}", hint="run the driver again") from None
    _put(data, output)


def _give_value(store: Runs, run: str, name: str, form: str, output: Path | None) -> None:
    """Let a process of its own rebuild and write it. Raises UserError with what that process had to say."""
    import json
    import subprocess
    import tempfile

    package = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory(prefix="inferflow-get-") as folder:
        result = Path(folder) / "value"
        request = {"store": str(store.folder.root), "run": run, "name": name, "form": form, "output": str(result)}
        code = f"import sys; sys.path[0] = {package!r}; from inferflow.session.extract import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(request).encode(), stdout=subprocess.DEVNULL, stderr=None
        )
        refusal = Path(folder) / "value.refused"
        if refusal.exists():
            said = json.loads(refusal.read_text())
            raise UserError(said["message"], hint=said["hint"])
        if done.returncode != 0 or not result.exists():
            how = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
            raise UserError(f"{name} could not be rebuilt: the process that tried ended ({how})")
        _put(result.read_bytes(), output)


def _put(data: bytes, output: Path | None) -> None:
    if output is None:
        write_bytes(data)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise BrokenEnvironment(f"cannot write {output}: {error.strerror}") from None
