"""What all commands share: the options that each of them takes, settings, the store, and saying things.

An answer goes to stdout (``answer``), everything else to stderr (``remark``, silent with ``-q``; ``detail``, only with
``-v``). Text is fitted to what the stream can show.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from inferflow.errors import WrongUse
from inferflow.records import define

if TYPE_CHECKING:
    from inferflow.config.settings import Settings

__all__ = ["Shared", "answer", "detail", "enter", "number", "remark", "show_json", "wants_color", "width"]


@define
class Shared:
    """The options that stand before or behind any command, as given; ``arguments`` is the whole command line."""

    arguments: tuple[str, ...] = ()
    folder: str | None = None
    config: str | None = None
    color: str | None = None
    verbose: bool = False
    quiet: bool = False
    entered: bool = False

    def settings(self, folder: Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
        """The settings for a driver in ``folder`` (default: the working folder); raises WrongUse."""
        from inferflow.config.settings import load_settings

        config = Path(self.config) if self.config else None
        settings = load_settings(folder or Path.cwd(), config=config, flags={"color": self.color, **(flags or {})})
        self.color = settings.color
        detail(self, f"settings: {settings.file or 'none'}; store: {settings.store}")
        return settings


def enter(ctx: Any) -> Shared:
    """What every command begins with: its shared options, and the folder of ``-C`` entered. Raises WrongUse."""
    shared: Shared = ctx.find_root().ensure_object(Shared)
    if shared.folder and not shared.entered:
        try:
            os.chdir(shared.folder)
        except OSError as error:
            raise WrongUse(f"-C {shared.folder}: {error.strerror}") from None
        os.environ["PWD"] = os.getcwd()
        shared.entered = True
    return shared


def answer(text: str) -> None:
    """Write to stdout, with a newline at the end."""
    _write(sys.stdout, text)


def remark(shared: Shared, text: str) -> None:
    """Write to stderr, unless the user wants quiet."""
    if not shared.quiet:
        _write(sys.stderr, text)


def detail(shared: Shared, text: str) -> None:
    """Write to stderr if the user wants to know more."""
    if shared.verbose:
        _write(sys.stderr, f"inferflow: {text}")


def show_json(data: object) -> None:
    """Plain data as JSON on stdout, readable and ASCII."""
    import json

    answer(json.dumps(data, indent=2, ensure_ascii=True))


def number(option: str, text: str) -> int:
    """The count that an option was given; raises WrongUse."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise WrongUse(f"{option} is {text!r}; it must be a number, 0 or more")


def wants_color(shared: Shared, stream: IO[str]) -> bool:
    """Whether to colour what goes to ``stream``: as told, else if it is a terminal that can and NO_COLOR is not set."""
    if shared.color in ("always", "never"):
        return shared.color == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def width(stream: IO[str] | None = None) -> int:
    """Columns to fill: the terminal's (COLUMNS first), and 80 where there is none."""
    import shutil

    try:
        return max(shutil.get_terminal_size((80, 24)).columns, 40)
    except ValueError:
        return 80


def _write(stream: IO[str], text: str) -> None:
    from inferflow.render.style import for_encoding

    shown = for_encoding(text, getattr(stream, "encoding", None))
    stream.write(shown if shown.endswith("\n") else shown + "\n")
