"""The user's own files of library effects, checked as a whole before the analysis reads from them.

The analysis reads an entry when it needs it, and could then only say that it failed; here a mistake is told with its
file and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inferflow.errors import WrongUse
from inferflow.model import Span

if TYPE_CHECKING:
    from inferflow.analysis.catalogue.notation import Entry

__all__ = ["check_effects"]

KINDS = ("def", "new", "classmethod", "staticmethod", "class", "attr", "const")


def check_effects(folders: Iterable[Path]) -> None:
    """Raise WrongUse for the first line of a ``*.effects`` file in ``folders`` that is not in the notation."""
    for folder in folders:
        for path in sorted(folder.glob("*.effects")):
            _check(path)


def _check(path: Path) -> None:
    from inferflow.analysis.catalogue.notation import Malformed, index, read_hidden

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"cannot read {path}: {error}") from None
    name = rest = ""
    try:
        if path.stem == "hidden":
            list(read_hidden(text))
            return
        found = index(text)
        for name, entries in found.entries.items():
            for entry in entries:
                rest = entry.rest
                _read(name, entry, found.shorts)
    except Malformed as error:
        line = _line(text, str(error), name.rpartition(".")[2], rest)
        raise WrongUse(f"not in the notation of effects: {error}", span=Span(str(path), line), hint=_HINT) from None


_HINT = "the notation is described in docs/catalogue.md"


def _read(name: str, entry: Entry, shorts: Mapping[str, str]) -> None:
    from inferflow.analysis.catalogue import notation

    match entry.kind:
        case "def" | "new" | "classmethod" | "staticmethod":
            notation.read_signature(name, entry, shorts)
        case "class":
            notation.read_type(name, entry, shorts)
        case "attr" | "const":
            notation.read_value(name, entry, shorts)
        case kind:
            raise notation.Malformed(f"{name}: {kind!r} is none of {', '.join(KINDS)}")


def _line(text: str, *parts: str) -> int:
    """The line that holds the first of ``parts`` that is there, and the others too if possible; else 1."""
    lines = list(enumerate(text.splitlines(), start=1))
    for wanted in ([part.strip() for part in parts[1:] if part], [parts[0].strip()]):
        for number, line in lines:
            if wanted and all(part in line for part in wanted):
                return number
    return 1
