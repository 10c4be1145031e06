"""What home is told before anything else, and telling it as early as can be.

A driver's own imports are most of the run time of most drivers, so home should begin with them as soon as it is known
what is to run: long before the engine and the store have been loaded here. For a command line that leaves nothing open
(``inferflow run driver.py``, with ``-q``, ``-j`` and the driver's own arguments at most) :func:`tell_ahead` reads the
settings, checks the syntax, makes the run's scratch folder and sends the setup to the home that was started ahead.
:func:`told_ahead` then says so to the session, which goes on from there:

    inferflow run driver.py      starts home . reads settings . tells home . loads the rest ...
    home                              starts . . . . . . . . . . imports pandas ...............
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inferflow.backends import start
from inferflow.session.target import Target, check_syntax, open_target
from inferflow.storage.folder import Folder

if TYPE_CHECKING:
    from inferflow.config.settings import Settings

__all__ = ["setup_message", "start_method", "tell_ahead", "told_ahead"]


def start_method(settings: Settings) -> Literal["fork", "spawn"]:
    """How helpers come to be."""
    return "spawn" if settings.start == "spawn" or not hasattr(os, "fork") else "fork"


def setup_message(target: Target, settings: Settings, scratch: Path, arguments: tuple[str, ...]) -> dict[str, Any]:
    """What home has to know of the driver and of where things go."""
    return {
        "kind": "setup",
        "filename": target.filename,
        "driver": target.kind,
        "module": target.module,
        "function": target.function,
        "argv0": target.text.rpartition(":")[0] if target.function else target.text,
        "arguments": list(arguments),
        "path0": target.folder,
        "root": target.root,
        "store": str(settings.store),
        "scratch": str(scratch),
        "start": start_method(settings),
        "trace": settings.trace,
        **_cells(target),
        "ignored": _ignored(settings.store, target),
        "watch": os.environ.get("_INFERFLOW_WATCH", ""),  # of verify: see worker.watch
        "shake": os.environ.get("_INFERFLOW_SHAKE", ""),
        "turns": os.environ.get("_INFERFLOW_TURNS", ""),  # of tests: see worker.frames
    }


def _cells(target: Target) -> dict[str, Any]:
    if target.kind != "notebook":
        return {}
    from inferflow.session.notebook import cell_facts

    return {"cells": cell_facts(target.source), "text": target.source.text, "book": target.book}


def tell_ahead(driver: str, arguments: tuple[str, ...]) -> None:
    """Tell the home that was started ahead what to run. Whatever fails here is told by the session, which does the same
    again: then home has been told nothing."""
    from inferflow.config.settings import load_settings
    from inferflow.errors import UserError

    home = start.waiting()
    try:
        target = open_target(driver, Path.cwd())
        settings = load_settings(Path(target.filename).parent)
        if home is None or settings.backend != "process":
            return
        check_syntax(target.source)
        if target.kind == "notebook":
            from inferflow.session.notebook import check_notebook, with_parameters

            check_notebook(settings, arguments)
            target, _ = with_parameters(target, settings)
        # The name leads with our process id: so prune knows when nobody needs it any more.
        scratch = Folder(settings.store).scratch(f"{os.getpid()}.{os.urandom(6).hex()}")
    except UserError:
        return
    home.tell(setup_message(target, settings, scratch, arguments), target.source.text)


def told_ahead(target: Target, settings: Settings, arguments: tuple[str, ...]) -> Path | None:
    """The scratch folder that home was told of, if it was told of this very run (and the driver is as it was then)."""
    home = start.waiting()
    if home is None or home.told is None:
        return None
    scratch = Path(home.told["scratch"])
    same = home.told == {**setup_message(target, settings, scratch, arguments), **home.setup()}
    return scratch if same and home.told_text == target.source.text and settings.backend == "process" else None


def _ignored(store: Path, target: Target) -> list[str]:
    """Files that are no data of the driver: the interpreter's, the installed packages', our own, the system's (where
    the driver does not itself stand among these)."""
    paths = sysconfig.get_paths()
    own = Path(__file__).resolve().parents[1]
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {str(store), str(own), sys.prefix + os.sep + "lib", sys.base_prefix + os.sep + "lib"}
    found |= {"/proc", "/sys", "/usr/lib", "/usr/share/zoneinfo", "/etc"}
    folders = sorted(os.path.join(path, "") for path in found if path)
    own_folders = tuple(os.path.join(path, "") for path in (target.root, target.cwd))
    return [folder for folder in folders if not any(path.startswith(folder) for path in own_folders)]
