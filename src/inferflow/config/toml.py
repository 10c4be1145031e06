"""TOML files: read with the place of a mistake, and of each key, so that messages can name the line."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from inferflow.errors import WrongUse
from inferflow.model import Span

__all__ = ["key_line", "read_toml"]


def read_toml(path: Path, shown: str = "") -> tuple[dict[str, Any], str]:
    """The tables of a TOML file, and its text; raises WrongUse (unreadable, not UTF-8, not TOML: with its line)."""
    shown = shown or str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise WrongUse(f"cannot read {shown}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{shown} is not UTF-8 text, as TOML must be") from None
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return tomllib.loads(text.replace("\r\n", "\n")), text
    except ValueError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(found[1]), int(found[2]) - 1) if found else (text.count("\n") + 1, 0)
        message = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise WrongUse(f"this is not TOML: {message}", span=Span(shown, line, column)) from None


def key_line(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) on which the key ``path`` stands in TOML ``text``, as a key or part of a header; that
    of what holds it if it is not found (it may stand in an inline table).

    >>> key_line('[tool.inferflow]\\nbakend = "x"', ("tool", "inferflow", "bakend"))
    2
    """
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?(.*?)\]\]?\s*(#.*)?$", line):
            table = _parts(header[1])
            if table[: len(path)] == path:
                return number
        elif (assigned := re.match(r"""\s*((?:[\w.\s-]|"[^"]*"|'[^']*')+?)\s*=""", line)) and (
            (*table, *_parts(assigned[1]))[: len(path)] == path
        ):
            return number
    return key_line(text, path[:-1]) if len(path) > 1 else 1


def _parts(dotted: str) -> tuple[str, ...]:
    found = re.findall(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*""", dotted)
    return tuple(a or b or c for a, b, c in found)
