"""At the turn of a task that ran ahead on trust: is everything that it saw still so?

    b = load()          published as a pack
    m = obscure(b)      may have changed b, and anything
    n = count(b)        ran ahead on the pack: home compares the pack with what 'b' holds now, and the standing of the
                        process with that of the helper's (see ``standing``)

What is compared is what somebody in between could have reached: names whose versions are proved cost nothing.
"""

from __future__ import annotations

import sys
from typing import Any

from inferflow.worker import exact, standing, transport
from inferflow.worker.exact_reach import common, reach
from inferflow.worker.observe import HiddenState

__all__ = ["contradiction"]


def contradiction(home: Any, frame: Any, checks: list[dict[str, Any]]) -> str:
    """What the task (and those inside it) saw and is not so any more, in words; empty if all is as it was. ``frame`` is
    the driver's."""
    for check in checks:
        why = _inputs(frame, check) or _state(home, check)
        if why:
            return why
    return ""


def live(frame: Any, scope: str, name: str) -> Any:
    """What a name of the driver, or of a module, holds now; raises KeyError."""
    if scope == "<driver>":
        return frame.f_locals[name]
    module = sys.modules.get(scope)
    if module is None:
        raise KeyError(name)
    return module.__dict__[name]


def _inputs(frame: Any, check: dict[str, Any]) -> str:
    walked = []
    for part in check["inputs"]:
        try:
            now = tuple(live(frame, scope, name) for scope, name, _ in part["take"])
        except KeyError as error:
            return f"{error.args[0]!r} is not bound any more"
        names = " and ".join(repr(name) for _, name, _ in part["take"])
        if part["doubtful"]:
            source = part.get("inline")
            then = transport.load(source if source is not None else part["path"]).values
            difference = exact.same(tuple(then[member] for _, _, member in part["take"]), now)
            if difference is not None:
                return f"{names} had been changed in place ({difference.what})"
        if check["apart"]:
            walked.append((names, reach(now)))
    for position, (names, one) in enumerate(walked):
        for others, other in walked[:position]:
            if common(one, other) is not None:
                return f"{names} shares objects with {others}"
    return ""


def _state(home: Any, check: dict[str, Any]) -> str:
    then = check.get("standing")
    if then is None:
        return ""
    if home.files.acted >= then["began"]:
        return "files may have changed while it ran"
    facts = HiddenState().facts()
    for name, digest in standing.hidden(facts).items():
        if then["hidden"].get(name, digest) != digest:
            return f"{name} had been changed"
    try:
        if standing.take(then["modules"], home.program.module.__name__, then["names"]) != then["digest"]:
            return "what the modules hold had been changed"
    except standing.CannotCompare as error:
        return str(error)
    return ""
