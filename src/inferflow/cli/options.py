"""Arguments and options that several commands have, each said once.

def command(ctx: typer.Context, run: RunName = "latest", json: Json = False) -> int: ...
"""

from __future__ import annotations

from typing import Annotated

import typer

from inferflow.cli import complete

__all__ = [
    "Arguments",
    "Depth",
    "Driver",
    "FormatJson",
    "Jobs",
    "Json",
    "Output",
    "Param",
    "Params",
    "RunName",
    "Script",
]

Driver = Annotated[
    str,
    typer.Argument(
        help="driver.py, driver.py:main, package.module:main or analysis.ipynb.", autocompletion=complete.drivers
    ),
]
"""A driver that may be a notebook."""
Script = Annotated[
    str, typer.Argument(help="driver.py, driver.py:main or package.module:main.", autocompletion=complete.drivers)
]
"""One that is a script or a module."""
Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="-- ARGS", help="What follows -- becomes the driver's sys.argv[1:].")
]
Jobs = Annotated[
    str | None, typer.Option("--jobs", "-j", metavar="N|auto", help="How many processes may work at once.")
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="An argument of the driver function. May be repeated."),
]
Params = Annotated[
    str | None, typer.Option("--params", metavar="FILE", help="Arguments from a TOML, YAML or JSON file.")
]
Depth = Annotated[
    str | None,
    typer.Option("--depth", metavar="N", help="So many levels of functions that are drivers themselves are opened."),
]
RunName = Annotated[str, typer.Argument(help="latest, a run, or the beginning of one.", autocompletion=complete.runs)]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead of stdout.")
]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
FormatJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
