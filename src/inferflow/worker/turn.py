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

from inferflow.worker import exact, looks, standing, transport
from inferflow.worker.exact_reach import common, reach
from inferflow.worker.locals_of import locals_of

__all__ = ["contradiction", "driver_names", "live", "shared_with_state"]


def contradiction(home: Any, frame: Any, checks: list[dict[str, Any]], seen: set[str]) -> str:
    """What the task (and those inside it) saw and is not so any more, in words; empty if all is as it was. ``frame`` is
    the driver's; ``seen`` are the files that they are known to have looked at."""
    for check in checks:
        why = _inputs(frame, check) or _state(home, frame, check, seen)
        if why:
            return why
    return ""


def shared_with_state(home: Any, values: tuple[Any, ...]) -> str:
    """Why values that unknown code made must not be copied: they may be part of what the project's modules hold."""
    theirs = reach(values)
    if not theirs.objects and not theirs.memory:
        return ""
    main = home.program.module
    found = standing.Found()
    try:
        standing.take(sorted(home.project_modules()), main.__name__, driver_names(home), found)
    except standing.CannotCompare as error:
        return str(error)
    return "it shares objects with what the modules hold" if found.shares(theirs) else ""


def driver_names(home: Any) -> list[str]:
    """The names of the driver's module that no task binds."""
    main = home.program.module
    bound = {name for unit in home.hooks.units.values() for scope, name in unit.outputs if scope == main.__name__}
    return [name for name in vars(main) if name not in bound and name not in ("__builtins__", "__annotations__")]


def live(frame: Any, scope: str, name: str) -> Any:
    """What a name of the driver, or of a module, holds now; raises KeyError."""
    if scope == "<driver>":
        return locals_of(frame)[name]
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
        if part["doubted"]:
            source = part.get("inline")
            then = transport.load(source if source is not None else part["path"]).values
            here = tuple(live(frame, scope, name) for scope, name, _ in part["doubted"])
            difference = exact.same(tuple(then[member] for _, _, member in part["doubted"]), here)
            if difference is not None:
                doubted = " and ".join(repr(name) for _, name, _ in part["doubted"])
                return f"{doubted} had been changed in place ({difference.what})"
        if check["apart"]:
            walked.append((names, reach(now)))
    for position, (names, one) in enumerate(walked):
        for others, other in walked[:position]:
            if common(one, other) is not None:
                return f"{names} shares objects with {others}"
    return ""


def _state(home: Any, frame: Any, check: dict[str, Any], seen: set[str]) -> str:
    then = check.get("standing")
    if then is None:
        return ""
    if home.files.acted >= then["began"]:
        why = looks.doubt(home.files.acts_since(then["began"]), seen, then["listed"], then["blind"])
        if why:
            return why
    if "modules" not in then:
        return ""  # (it ran in a process that is no copy of this one: see ``posted``)
    try:
        hidden, digest, found = home.observer.stands(then["modules"], then["names"])
    except standing.CannotCompare as error:
        return str(error)
    for name, one in hidden.items():
        imported = name != "os.environ" and home.observer.only_imported(name, then["ran"])
        if then["hidden"].get(name, one) != one and not imported:
            return f"{name} had been changed"
    if digest != then["digest"]:
        return "what the modules hold had been changed"
    for part in check["inputs"]:
        for scope, name, _ in part["take"]:
            if found.shares(reach((live(frame, scope, name),))):
                return f"{name!r} shares objects with what the modules hold"
    return ""
