"""Which calls run a program of their own: a shell command, a script, a notebook.

    subprocess.run(["sort", "a.csv"])                         shell      named sort
    os.system("python prep.py --fast")                        shell      named prep
    papermill.execute_notebook("train.ipynb", "out.ipynb")    notebook   named train

Such a call is a task of its own, with a kind of its own. It is named after what it runs, where the driver's text says
that, and after the function called otherwise. What it does to the world stands in the catalogue, as for any library.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from inferflow.analysis import ir

__all__ = ["GOES_ON", "ProgramKind", "kind_of", "program_name"]

ProgramKind: TypeAlias = Literal["", "shell", "notebook"]

_SHELL = frozenset(
    {
        *(f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "getoutput", "Popen")),
        "subprocess.getstatusoutput",
        "os.system",
        "os.popen",
        "runpy.run_path",
        "runpy.run_module",
        "inferflow.shell",
        "inferflow.runners.shell.shell",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "ipython_magics.system",
        "ipython_magics.getoutput",
        "ipython_magics.script",
        "ipython_magics.run",
    }
)
_NOTEBOOK = frozenset(
    {
        "papermill.execute_notebook",
        "papermill.execute.execute_notebook",
        "nbclient.execute",
        "nbclient.client.execute",
        "nbclient.NotebookClient.execute",
        "nbclient.client.NotebookClient.execute",
        "inferflow.notebook",
        "inferflow.runners.notebook.notebook",
        "scrapbook.execute_notebook",
    }
)

GOES_ON = frozenset({"communicate", "wait", "poll", "kill", "terminate", "send_signal"})
"""Methods of a process: statements with nothing but these belong to the task that started it."""

_POPEN = "subprocess.Popen"


def kind_of(called: Iterable[str], receivers: Iterable[str], method: str) -> ProgramKind:
    """The kind of a call: ``called`` are the qualified names that it may call, or, for a ``method``, ``receivers`` the
    types of what it is called on."""
    names = {*called, *(f"{receiver}.{method}" for receiver in receivers)}
    if names & _NOTEBOOK:
        return "notebook"
    if names & _SHELL or (method in GOES_ON and _POPEN in receivers):
        return "shell"
    return ""


_RUN_BY = re.compile(
    r"(python|python\d[\d.]*|bash|sh|zsh|dash|ksh|perl|ruby|node|julia|Rscript|awk|gawk|lua|php|env|sudo|nice|time|"
    r"nohup|uv|poetry|conda|xargs|source|\.)\Z"
)
"""Programs that run what stands behind them."""


def program_name(ops: Sequence[ir.Op], number: int) -> str:
    """What operation ``number``, a call, runs, in a word: of the script or notebook if there is one, else of the
    program; empty if the text does not say."""
    call = ops[number]
    if not isinstance(call, ir.Call):
        return ""
    made = {op.out: op for op in ops[:number] if hasattr(op, "out")}
    first = next((a.value for a in call.args if a.keyword in (None, "args", "cmd", "command", "input_path")), None)
    words = _words(made, first)
    for word in words:
        if word in ("-c", "-e"):
            break
        base = os.path.basename(word.rstrip("/"))
        if not base or word.startswith("-") or "=" in word or _RUN_BY.fullmatch(base):
            continue
        return re.sub(r"\W+", "_", os.path.splitext(base)[0]).strip("_")
    return next((re.sub(r"\W+", "_", os.path.basename(w)).strip("_") for w in words if w and w[0] != "-"), "")


def _words(made: dict[int, ir.Op], temp: int | None) -> list[str]:
    """The words of a command, as far as the text has them."""
    op = made.get(-1 if temp is None else temp)
    match op:
        case ir.Const(value=str() as text):
            try:
                return shlex.split(text, comments=True)
            except ValueError:
                return text.split()
        case ir.Build(kind="list" | "tuple", items=items):
            words = []
            for item in items:
                inner = made.get(item)
                if isinstance(inner, ir.Const) and isinstance(inner.value, str):
                    words.append(inner.value)
                elif isinstance(inner, ir.Attr) and inner.name == "executable":
                    words.append("python")
                elif isinstance(inner, ir.Call):  # str(path): what the words say comes first
                    words.extend(_words(made, inner.args[0].value if inner.args else None))
                else:
                    break
            return words
        case ir.Call(args=args) if args:
            return _words(made, args[0].value)
        case _:
            return []
