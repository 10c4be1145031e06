"""One side of a verification: run the driver, natively or inferred, and note all that the contract speaks of.

Seen(exit_status=0, stdout=b"42\\n", stderr=b"", files={"out.csv": Entry(...)}, state=State(...), ...)
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from inferflow.records import evolve, frozen
from inferflow.session.target import Target
from inferflow.session.verify_stage import OURS, Side, Stage

__all__ = ["Entry", "Look", "Seen", "State", "TimedOut", "run_inferred", "run_native"]


class TimedOut(Exception):
    """A side took longer than allowed; ``side`` names it."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.side = side


@frozen
class Entry:
    """A file, folder or link below a root: its kind, its mode, and its content's digest or where it leads."""

    kind: str
    mode: int
    content: str
    path: Path
    """Where it can be read now."""


@frozen
class State:
    """How the program's state looked at its end: parts (path, text) in order; ``blind``: kinds of objects that could
    not be looked into, with their number; ``outside``: files outside of the copies that it wrote, with digests."""

    parts: tuple[tuple[str, str], ...]
    blind: dict[str, int]
    outside: dict[str, str]


@frozen
class Seen:
    """What was observed of one run. ``state`` is ``None`` where the program ended without its exit functions."""

    name: str
    exit_status: int
    stdout: bytes
    stderr: bytes
    files: dict[str, Entry]
    state: State | None
    seconds: float
    store: Path | None = None


@frozen
class Look:
    """What both sides have in common: the driver, its arguments, its standard input, the environment."""

    target: Target
    stage: Stage
    arguments: tuple[str, ...]
    options: tuple[str, ...]
    """Of ``inferflow run``: parameters and their file."""
    parameters: Mapping[str, object]
    """The same as plain data, for the native call of a function."""
    stdin: bytes
    environ: Mapping[str, str]
    timeout: float | None


_NOTEBOOK = """
import asyncio, sys, nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
book = nbformat.read(sys.argv[1], as_version=4)
client = NotebookClient(book, timeout=None, kernel_name="python3", resources={"metadata": {"path": "."}})
async def execute():
    async with client.async_setup_kernel():
        info = await client.async_wait_for_reply(client.kc.kernel_info())
        book.metadata["language_info"] = info["content"]["language_info"]
        lives = True
        try:
            for index, cell in enumerate(list(book.cells)):
                await client.async_execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
            return 0
        except CellExecutionError:
            return 1
        except DeadKernelError:
            lives = False
            code = await client.km.provisioner.poll()
            return 128 - code if code < 0 else code
        finally:
            client.set_widgets_metadata()
            if lives:
                book.cells.append(nbformat.v4.new_code_cell(sys.argv[3]))
                await client.async_execute_cell(book.cells[-1], len(book.cells) - 1, store_history=False)
                book.cells.pop()
status = asyncio.run(execute())
nbformat.write(book, sys.argv[2])
sys.exit(status)
"""
"""A notebook natively: from top to bottom in a fresh kernel of this Python (whatever kernel it names: inferred, it runs
in this Python too). What it shows is kept in a second notebook. A last cell, which stands in neither and in no history,
has the kernel write its state down. If a cell ends the kernel's process, its status is that of the run."""


def run_native(look: Look, side: Side, patience: int = 1) -> Seen:
    """``python driver.py``, or the function called, or the notebook executed, within so many times the time allowed."""
    target = look.target
    file = look.stage.scratch / f"state-{side.name}.json"
    if target.kind == "notebook":
        driver = _driver(look)
        if target.book:
            book = look.stage.scratch / "with-parameters.ipynb"
            book.write_text(target.book, encoding="utf-8")
            driver = str(book)
        command = [sys.executable, "-c", _NOTEBOOK, driver, _executed(look), _last_cell(look, file)]
        return _shown_in_cells(_run(look, side, command, dict(look.environ), file, None, patience))
    environ = {**look.environ, "_INFERFLOW_WATCH": _told(look, file)}
    python = [sys.executable, *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined]
    if target.kind == "script":
        onlooker = str(_package() / "inferflow" / "worker" / "onlooker")
        environ["PYTHONPATH"] = os.pathsep.join([onlooker, *filter(None, [environ.get("PYTHONPATH", "")])])
        command = [*python, _driver(look), *look.arguments]
    else:
        from inferflow.worker.native import native_code

        order = {
            "module": target.module, "function": target.function, "parameters": look.parameters,
            "path0": str(look.stage.place(target.folder)), "argv": [_argv0(look), *look.arguments],
        }  # fmt: skip
        command = [*python, "-c", native_code(str(_package())), json.dumps(order)]
    return _run(look, side, command, environ, file, None, patience)


def run_inferred(look: Look, side: Side, options: tuple[str, ...], shake: str = "") -> Seen:
    """``inferflow run driver.py`` with further ``options``. ``shake``: a seed for random delays in the workers."""
    root_copy, root_place = side.copies[0]
    store = root_copy / ".inferflow"
    store.mkdir(exist_ok=True)
    name = f"verify-{side.name}.json"  # in the store's folder, which every backend shows to its workers
    environ = {**look.environ, "_INFERFLOW_WATCH": _told(look, root_place / ".inferflow" / name)}
    if shake:
        environ["_INFERFLOW_SHAKE"] = shake
    text = look.target.text
    driver = _driver(look) + (f":{look.target.function}" if look.target.function and _is_path(text) else "")
    if not _is_path(text):
        driver = text
    start = "import sys; del sys.path[:1]; from inferflow.cli import main; main()"  # nothing of the folder in its way
    package = _package()
    if str(package) not in sys.path[1:]:
        start = f"import sys; sys.path[:1] = [{str(package)!r}]; from inferflow.cli import main; main()"
    command = [sys.executable, "-c", start, "-q", "run", *options, *look.options, driver]
    if look.target.kind == "notebook":
        command += ["-o", _executed(look)]
        return _shown_in_cells(_run(look, side, command, environ, store / name, store, patience=4))
    if look.arguments:
        command += ["--", *look.arguments]
    return _run(look, side, command, environ, store / name, store, patience=4)


def _executed(look: Look) -> str:
    """The name of the notebook as executed, in the working folder of either side."""
    return f"{Path(_driver(look)).stem}.verified.ipynb"


def _last_cell(look: Look, file: Path) -> str:
    watch = str(_package() / "inferflow" / "worker" / "watch.py")
    code = f"with open({watch!r}, encoding='utf-8') as file: exec(file.read())\nbegin({_told(look, file)!r})\ntake()"
    return f"exec({code!r}, {{'__name__': 'inferflow_watch'}})"


def _shown_in_cells(seen: Seen) -> Seen:
    """What a notebook prints stands in its cells, which are compared as a file."""
    return evolve(seen, stdout=b"", stderr=b"")


def _is_path(text: str) -> bool:
    return text.rpartition(":")[0].endswith(".py") or ":" not in text


def _driver(look: Look) -> str:
    """The driver's path as the user typed it, led into the copy if it is absolute."""
    text = look.target.text.rpartition(":")[0] if look.target.function else look.target.text
    text = os.path.expanduser(text)
    return str(look.stage.place(text)) if os.path.isabs(text) else text


def _argv0(look: Look) -> str:
    return look.target.text.rpartition(":")[0]


def _told(look: Look, file: Path) -> str:
    folders = [os.path.join(str(look.stage.place(root)), "") for root in look.stage.roots]
    return "\n".join([str(file), str(_package()), look.target.kind, *folders])


def _package() -> Path:
    return Path(__file__).resolve().parents[2]


def _run(
    look: Look, side: Side, command: list[str], environ: dict[str, str], file: Path, store: Path | None,
    patience: int,
) -> Seen:  # fmt: skip
    stage = look.stage
    begun = time.perf_counter()
    with stage.entered(side, str(stage.place(look.target.cwd)), command) as (started, folder):
        process = subprocess.Popen(
            started, cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            stdout, stderr = process.communicate(look.stdin, timeout=look.timeout and look.timeout * patience)
        except subprocess.TimeoutExpired:
            raise TimedOut(side.name) from None
        finally:
            if process.returncode is None:
                _end(process)
        seconds = time.perf_counter() - begun
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Seen(side.name, code, stdout, stderr, _files(side), _state(file), seconds, store)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a side with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        process.kill()
    process.communicate()


def _state(file: Path) -> State | None:
    try:
        data = json.loads(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return State(tuple((path, text) for path, text in data["parts"]), data["blind"], data["outside"])


def _files(side: Side) -> dict[str, Entry]:
    """Everything below the copies, by path relative to its root; what the interpreter and we keep there left out."""
    found: dict[str, Entry] = {}
    for copy, _ in side.copies:
        prefix = "" if len(side.copies) == 1 else f"{copy.name}/"
        for folder, folders, names in os.walk(copy):
            folders[:] = sorted(name for name in folders if name not in (*OURS, "__pycache__"))
            for name in sorted([*names, *folders]):
                path = Path(folder, name)
                found[prefix + path.relative_to(copy).as_posix()] = _entry(path)
    return found


def _entry(path: Path) -> Entry:
    state = path.lstat()
    mode = stat.S_IMODE(state.st_mode)
    if stat.S_ISLNK(state.st_mode):
        return Entry("link", 0, os.readlink(path), path)
    if stat.S_ISDIR(state.st_mode):
        return Entry("folder", mode, "", path)
    if not stat.S_ISREG(state.st_mode):
        return Entry("special", mode, "", path)
    digest = hashlib.blake2b(digest_size=20)
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        return Entry("file", mode, f"unreadable: {error.strerror}", path)
    return Entry("file", mode, digest.hexdigest(), path)
