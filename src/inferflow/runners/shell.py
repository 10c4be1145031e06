"""``inferflow.shell``: a script or a command, with variables in and out.

    score, model = inferflow.shell("train.sh", env={"lr": 0.1}, returns=("score", "model"))

A *script* is a file; the program that runs it is told by its first line (``#!``) or by its ending. A *command* is text
for bash (or sh), or a list of arguments that is run without a shell. Variables go in through the environment. They come
out through a file: a shell writes the variables that are asked for there as it ends, without the script's knowing; any
program may add lines to the file that ``$INFERFLOW_RETURNS`` names:

    score=0.93                            a text
    {"score": 0.93, "classes": ["a"]}     values, as JSON

Shell scripts run in *strict mode*: they end at the first command that fails, at an unset variable, and where a part of
a pipeline fails. What the command prints is printed as it prints it. A status other than 0 is a CalledProcessError, as
``subprocess.run(check=True)`` has it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from inferflow.runners import chosen, wanted_names
from inferflow.runners.shell_text import SHELLS, Dump, epilogue, strict_flags

__all__ = ["RETURNS", "interpreter_of", "shell"]

RETURNS = "INFERFLOW_RETURNS"
"""The environment variable with the file that returned variables are written to."""

Command = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]

_BY_ENDING = {
    ".sh": ("bash", "sh"),
    ".bash": ("bash",),
    ".zsh": ("zsh",),
    ".ksh": ("ksh",),
    ".r": ("Rscript",),
    ".jl": ("julia",),
    ".pl": ("perl",),
    ".rb": ("ruby",),
    ".js": ("node",),
    ".mjs": ("node",),
    ".lua": ("lua",),
    ".php": ("php",),
    ".tcl": ("tclsh",),
}


def shell(
    command: Command,
    *arguments: object,
    env: Optional[Mapping[str, object]] = None,
    returns: Union[str, Sequence[str]] = (),
    cwd: Union[str, os.PathLike[str], None] = None,
    timeout: Optional[float] = None,
) -> Any:
    """Run a script or a command, and give back the variables named in ``returns``.

    ``command`` is the path of a script (a ``Path``, or a text that is the name of a file), or a text for the shell, or
    a list: a program and its arguments. ``arguments`` are further arguments of it (``$1``, ...). ``env`` are variables
    on top of this process's environment: texts as they are, numbers as Python has them, ``true``, ``false``,
    paths; lists and dicts as JSON; ``None`` takes a variable away. ``cwd`` is the folder to run in (a script's
    relative path counts from it too). ``timeout`` in seconds.

    One name in ``returns`` as a text gives its value; a tuple of names gives a tuple. A shell's variables are texts;
    arrays of bash are lists and dicts of texts; what was written as JSON is what JSON says.

    Raises CalledProcessError for a status other than 0, ReturnsMissing if a variable was not set, TimeoutExpired,
    FileNotFoundError if the script or its interpreter is not there, ValueError for an ending of which it is not known
    what runs it.
    """
    names = wanted_names(returns)
    folder = os.fspath(cwd) if cwd is not None else None
    given = [_text(argument) for argument in arguments]
    with tempfile.TemporaryDirectory(prefix="inferflow-shell-") as scratch:
        dump = Dump(os.path.join(scratch, "variables"), names)
        lines = os.path.join(scratch, "returns")
        open(lines, "wb").close()
        start = _start(command, given, folder, dump, scratch)
        _flush()
        subprocess.run(start.arguments, env=_environment(env, lines, start), cwd=folder, timeout=timeout, check=True)
        if not names:
            return None
        values = {**dump.read(), **_returned(lines, start.shown)}
    how = "" if start.is_shell else f"; a program returns them by adding lines to the file ${RETURNS} (docs/shell.md)"
    return chosen(start.shown, returns, values, how)


# -- what to start -----------------------------------------------------------------------------------


class _Start(NamedTuple):
    """``arguments`` for the system, ``shown`` for messages, ``variables`` that it needs in its environment."""

    arguments: list[str]
    shown: str
    is_shell: bool = False
    variables: Mapping[str, str] = {}


def _start(command: Command, given: list[str], folder: Optional[str], dump: Dump, scratch: str) -> _Start:
    if isinstance(command, (str, os.PathLike)):
        text = os.fspath(command)
        place = os.path.join(folder or "", text)
        if isinstance(command, os.PathLike) or os.path.isfile(place) or _names_a_script(text):
            if not os.path.isfile(place):
                raise FileNotFoundError(2, "no such script", text)
            return _script(text, place, given, dump, scratch)
        return _command(text, given, dump, scratch)
    parts = [os.fspath(part) for part in command]
    if not parts:
        raise ValueError("an empty command")
    return _Start([*parts, *given], parts[0])


def _names_a_script(text: str) -> bool:
    """Whether a text can only be meant as the path of a script: one word with the ending of one."""
    ending = os.path.splitext(text)[1].lower()
    return not any(letter.isspace() or letter in "|&;<>()$`\\\"'*?" for letter in text) and (
        ending in _BY_ENDING or ending in (".py", ".awk")
    )


def _script(text: str, place: str, given: list[str], dump: Dump, scratch: str) -> _Start:
    program = interpreter_of(place)
    name = _shell_name(program[0])
    if name is None:
        return _Start([*program, text, *given], text)
    return _shell_start([*program, *strict_flags(name)], name, ["."], text, given, dump, scratch, text)


def _command(text: str, given: list[str], dump: Dump, scratch: str) -> _Start:
    found = shutil.which("bash") or shutil.which("sh") or "/bin/sh"
    name = _shell_name(found) or "sh"
    return _shell_start([found, *strict_flags(name)], name, ["-c", text], name, given, dump, scratch, _short(text))


def _shell_start(
    program: list[str],
    name: str,
    what: list[str],
    zero: str,
    given: list[str],
    dump: Dump,
    scratch: str,
    shown: str,
) -> _Start:
    """A shell that runs a script (``what`` is ``.``) or a text (``-c``), and writes the variables as it ends."""
    direct = [*program, zero, *given] if what == ["."] else [*program, *what, zero, *given]
    if not dump.names:
        return _Start(direct, shown, True)
    prologue = os.path.join(scratch, "prologue")
    with open(prologue, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(epilogue(name, dump, os.environ.get("BASH_ENV", "")))
    if name == "bash":  # it reads this file before the script, which stays the main program then
        return _Start(direct, shown, True, {"BASH_ENV": prologue})
    body = what[-1] if what != ["."] else f". {_quoted(zero if os.sep in zero else os.path.join('.', zero))}"
    return _Start([*program, "-c", f". {_quoted(prologue)}\n{body}\n__inferflow_dump", zero, *given], shown, True)


def interpreter_of(place: str) -> list[str]:
    """The program that runs a script, with its options: by its ``#!`` line, else by its ending.

    Python scripts run under this process's own Python. Raises ValueError if neither tells, FileNotFoundError if the
    program is not installed."""
    ending = os.path.splitext(place)[1].lower()
    if ending == ".py":
        return [sys.executable]
    told = _shebang(place)
    if told:
        return told
    if ending == ".awk":
        return [_installed(("awk",), place), "-f"]
    if ending not in _BY_ENDING:
        raise ValueError(
            f"{place}: neither a first line '#!...' nor its ending says what runs it; "
            "pass a list: [program, script, ...]"
        )
    return [_installed(_BY_ENDING[ending], place)]


def _shebang(place: str) -> list[str]:
    with open(place, "rb") as file:
        head = file.readline(1024)
    if not head.startswith(b"#!"):
        return []
    words = os.fsdecode(head[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
        while words and "=" in words[0]:
            words.pop(0)
    if not words:
        return []
    program = words[0]
    if not os.path.isabs(program) or not os.path.exists(program):
        program = _installed((os.path.basename(program),), place)
    return [program, *words[1:]]


def _installed(names: Sequence[str], place: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError(2, f"{place} is run by {' or '.join(names)}, which is not installed", names[0])


def _shell_name(program: str) -> Optional[str]:
    name = os.path.basename(program)
    return name if name in SHELLS else None


# -- values in and out -------------------------------------------------------------------------------


def _environment(env: Optional[Mapping[str, object]], lines: str, start: _Start) -> dict[str, str]:
    found = dict(os.environ)
    for name, value in (env or {}).items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _text(value)
    found[RETURNS] = lines
    found.update(start.variables)
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "true" if value else "false"
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return repr(value) if type(value) in (int, float) else str(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of numpy's
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be handed to a command: {value!r}")


def _returned(lines: str, shown: str) -> dict[str, Any]:
    """What a program wrote to the file of ``$INFERFLOW_RETURNS``. Raises ValueError for a line that is neither form."""
    values: dict[str, Any] = {}
    with open(lines, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\r\n")
            if not line.strip():
                continue
            if line.lstrip().startswith("{"):
                try:
                    found = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{shown}: line {number} of ${RETURNS} is not JSON: {error}") from None
                values.update(found)
                continue
            name, sign, value = line.partition("=")
            if not sign or not name.strip().isidentifier():
                raise ValueError(f"{shown}: line {number} of ${RETURNS} is neither name=value nor JSON: {line!r}")
            values[name.strip()] = value
    return values


# -- small things ------------------------------------------------------------------------------------


def _flush() -> None:
    """What was printed before comes before what the command prints."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
