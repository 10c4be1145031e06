"""``inferflow init``: writes a commented ``inferflow.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferflow.cli.common import answer, enter
from inferflow.errors import BrokenEnvironment, WrongUse

__all__ = ["TEMPLATE", "command"]

TEMPLATE = """\
# Settings of inferflow (all of them optional; docs/settings.md says more).
# Over these stand environment variables (INFERFLOW_BACKEND, ...), and over those the flags of the command line.

# Where tasks run: "process" (several processes, independent tasks ahead of their turn), "docker" (the same in
# containers) or "inline" (all in one).
# backend = "process"

# What containers are made of: an image, or "host" for this machine's own files; and their limits (docs/docker.md).
# image = "python:3.11-slim"
# memory = "8GiB"

# How many processes may work at once: a number, or "auto" for one per available processor.
# jobs = "auto"

# Stop a run after this time: "90s", "5m", "1h30m". Without it, never.
# timeout = "1h"

# The folder for runs and their values; a relative one counts from this file.
# store = ".inferflow"

# How workers start: "fork" (quick: imports are paid for once), "spawn", or "auto" for the best that works here.
# start = "auto"

# How many levels of functions are opened that call others as a driver does, so that these run beside each other: 0 for
# none.
# depth = 2

# Follow child processes call by call (Linux), so that files which they open outside of the project are recorded too.
# trace = true

# Colours: "auto", "always" or "never".
# color = "auto"

# Folders with the effects of libraries that the analysis does not know (files LIBRARY.effects, docs/catalogue.md).
# catalogue = ["effects"]

# Values for parameters of driver functions, under those of INFERFLOW_PARAM_name, --params and -p.
# [params]
# C = 0.5

# What holds for the tasks whose name matches a pattern. home = true: never run them ahead of their turn.
# Of functions: with open = false one stays one piece, with open = true it is looked into, whatever the depth.
# [tasks."report*"]
# home = true
"""


def command(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Write over the file that is there.")] = False,
) -> int:
    """Write a commented inferflow.toml here."""
    from inferflow.config.settings import find_settings_file

    enter(ctx)
    path = Path.cwd() / "inferflow.toml"
    if path.exists() and not force:
        raise WrongUse(f"{path} is there already", hint="--force writes over it")
    other = find_settings_file(Path.cwd()) if not path.exists() else None
    if other is not None and other.parent == path.parent:
        raise WrongUse(f"{other} has settings already (tool.inferflow)", hint="keep them in one place")
    try:
        path.write_text(TEMPLATE, encoding="utf-8")
    except OSError as error:
        raise BrokenEnvironment(f"cannot write {path}: {error.strerror}") from None
    answer(f"wrote {path}")
    return 0
