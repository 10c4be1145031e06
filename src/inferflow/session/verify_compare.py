"""What differs between two runs that were looked at: every row of the contract, difference by difference.

    compare(native, inferred)
    [Difference("stdout", "line 3", "total 42", "total 41"), Difference("values", "box['k'][0]", "1", "2")]

Only texts, bytes and digests are compared here; files that may say the same with other bytes are handed to a process
that has the user's libraries (``worker.alike``). All differences are listed, however many: one that counts may stand
behind thousands of others that native runs show among themselves as well (see ``verify_steady``).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from inferflow.records import frozen
from inferflow.session.verify_look import Entry, Seen
from inferflow.worker.portrait import UNFINISHED

__all__ = ["Difference", "Row", "compare"]

Row: TypeAlias = Literal["exit status", "stdout", "stderr", "values", "files", "files elsewhere"]

NOTHING = "nothing there"
WHOLE = "all in all"
"""The place that tells of a text, or a file, that it has other parts than the other one, not only other ones there."""
_ADDRESS = re.compile(rb"0x[0-9a-fA-F]{6,}")


@frozen
class Difference:
    """``place`` is a line, a path through the values, or a file; ``native`` and ``inferred`` what is there, as text."""

    row: Row
    place: str
    native: str
    inferred: str
    how: str = ""
    """In which way files were compared."""


def compare(native: Seen, inferred: Seen) -> tuple[list[Difference], list[str]]:
    """All differences, in the order of the contract's rows, and remarks on what was compared in which way."""
    found: list[Difference] = []
    remarks: list[str] = []
    if native.exit_status != inferred.exit_status:
        found.append(Difference("exit status", "", str(native.exit_status), str(inferred.exit_status)))
    for row, one, other in (
        ("stdout", native.stdout, inferred.stdout),
        ("stderr", native.stderr, inferred.stderr),
    ):
        found.extend(_stream(row, one, other, remarks))  # type: ignore[arg-type]
    found.extend(_values(native, inferred, remarks))
    found.extend(_files(native.files, inferred.files, remarks))
    found.extend(_elsewhere(native, inferred))
    return found, remarks


# -- the rows ------------------------------------------------------------------------------------------


def _stream(row: Row, native: bytes, inferred: bytes, remarks: list[str]) -> list[Difference]:
    if native == inferred:
        return []
    bare = [_ADDRESS.sub(b"0x...", data) for data in (native, inferred)]
    if bare[0] == bare[1]:
        remarks.append(f"{row} was compared without the addresses of objects in it")
        return []
    lines = [data.decode("utf-8", "backslashreplace").split("\n") for data in bare]
    found = []
    if len(lines[0]) != len(lines[1]):
        place = next((at for at, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), min(map(len, lines)) - 1)
        found.append(Difference(row, f"line {place + 1}", _line(lines[0], place), _line(lines[1], place)))
        counts = [f"{len(one) - 1} lines" for one in lines]
        return [*found, Difference(row, WHOLE, *counts)]
    for number, (one, other) in enumerate(zip(*lines, strict=True), 1):
        if one != other:
            found.append(Difference(row, f"line {number}", one, other))
    return found


def _line(lines: list[str], at: int) -> str:
    return lines[at] if at < len(lines) - 1 or (at < len(lines) and lines[at]) else NOTHING


def _values(native: Seen, inferred: Seen, remarks: list[str]) -> list[Difference]:
    one, other = native.state, inferred.state
    if one is None or other is None:
        sides = " and ".join(seen.name for seen in (native, inferred) if seen.state is None)
        remarks.append(f"final values could not be compared: {sides} ended without running exit functions")
        return []
    for name, number in sorted({**one.blind, **other.blind}.items()):
        remarks.append(f"{number} × {name}" + ("" if name == UNFINISHED else ": compared by kind only"))
    if one.parts == other.parts:
        return []
    first, second = _by_path(one.parts), _by_path(other.parts)
    paths = dict.fromkeys([*first, *second])
    if UNFINISHED in one.blind or UNFINISHED in other.blind:  # how far a side comes in a minute is a matter of time
        paths = {path: None for path in first if path in second and path != "(the rest)"}
    found = []
    for path in paths:
        a, b = first.get(path, NOTHING), second.get(path, NOTHING)
        if a != b:
            found.append(Difference("values", path, a, b))
    return found


def _by_path(parts: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, text in parts:
        name, number = path, 1
        while name in found:
            number += 1
            name = f"{path} ({number})"
        found[name] = text
    return found


def _files(native: dict[str, Entry], inferred: dict[str, Entry], remarks: list[str]) -> list[Difference]:
    found = []
    for name in sorted({*native, *inferred}):
        one, other = native.get(name), inferred.get(name)
        if one is None or other is None or (one.kind, one.mode) != (other.kind, other.mode):
            found.append(Difference("files", name, _told(one), _told(other)))
        elif one.content != other.content:
            if one.kind == "link":
                found.append(Difference("files", name, _told(one), _told(other)))
            else:
                found.extend(_contents(name, one, other, remarks))
    return found


def _told(entry: Entry | None) -> str:
    if entry is None:
        return NOTHING
    return f"link to {entry.content}" if entry.kind == "link" else f"{entry.kind}, mode {entry.mode:o}"


def _contents(name: str, one: Entry, other: Entry, remarks: list[str]) -> list[Difference]:
    package = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path[:1] = [{package!r}]; from inferflow.worker.alike import main; main()"
    folder = str(one.path)[: -len(name)] or os.curdir  # where pickles find the project's modules
    command = [sys.executable, "-c", code, str(one.path), str(other.path), folder]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return [Difference("files", name, "(cannot be read)", "(cannot be read)", "bytes")]
    how = answer["how"]
    if not answer["different"]:
        remarks.append(f"{name} has other bytes, and the same {how}")
    return [Difference("files", f"{name}, {place}", mine, its, how) for place, mine, its in answer["different"]]


def _elsewhere(native: Seen, inferred: Seen) -> list[Difference]:
    """Files outside of the copies. What was removed again does not count; names made up for temporary files do not
    count either, only what is in them."""
    if native.state is None or inferred.state is None:
        return []
    one, other = _lasting(native.state.outside), _lasting(inferred.state.outside)
    temporary = os.path.join(os.path.realpath(tempfile.gettempdir()), "")
    alone = [
        {p: d for p, d in a.items() if p not in b and p.startswith(temporary)} for a, b in ((one, other), (other, one))
    ]
    found = [
        Difference("files elsewhere", path, one.get(path, NOTHING), other.get(path, NOTHING))
        for path in sorted({*one, *other} - {*alone[0], *alone[1]})
        if one.get(path) != other.get(path)
    ]
    if sorted(alone[0].values()) != sorted(alone[1].values()):
        told = [", ".join(sorted(files)) or NOTHING for files in alone]
        found.append(Difference("files elsewhere", "temporary files", *told))
    return found


def _lasting(outside: dict[str, str]) -> dict[str, str]:
    return {path: digest for path, digest in outside.items() if len(digest) == 64 and " " not in digest}
