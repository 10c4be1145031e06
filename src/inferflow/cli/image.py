"""``inferflow image DRIVER``: builds the image that containers of this project are made of.

Its name follows from what the project declares and from the base; with nothing changed, nothing is built. The name is
the answer, on stdout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferflow.cli.common import answer, enter, remark, show_json
from inferflow.cli.options import Json, Script

__all__ = ["command"]


def command(
    ctx: typer.Context,
    driver: Script,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="REF", help="The image to start from: it needs Python, nothing else."),
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="NAME", help="One more name for the image.")] = None,
    json: Json = False,
) -> int:
    """Build the image that this project's containers are made of."""
    import attrs

    from inferflow.session.image import build
    from inferflow.session.target import open_target

    shared = enter(ctx)
    target = open_target(driver, Path.cwd())
    settings = shared.settings(Path(target.filename).parent)
    built = build(settings, base, tag, lambda text: remark(shared, text))
    if json:
        show_json({"image": built.image, "digest": built.digest, "fresh": built.fresh, **attrs.asdict(built.declared)})
        return 0
    if not built.fresh:
        remark(shared, "nothing has changed: the image is there")
    answer(built.image)
    return 0
