"""Settings: what stands in ``inferflow.toml`` or ``[tool.inferflow]``, then ``INFERFLOW_*``, then flags.

Later ones win, key by key. The file is the nearest one from the driver's folder upwards; a relative folder in it counts
from the file. An unknown key is an error, with its line and the key that was probably meant.

    backend = "process"            # inferflow.toml
    jobs = "auto"

    [params]
    C = 0.5

    [tasks."report*"]
    home = true

>>> settings = load_settings(Path("/tmp"), environ={"INFERFLOW_JOBS": "3"}, flags={"timeout": "1h"})
>>> settings.jobs, settings.timeout, settings.backend
(3, 3600.0, 'process')
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from inferflow.config.placement import PLACEMENT_KEYS, placement
from inferflow.config.project import project_root
from inferflow.config.toml import key_line, read_toml
from inferflow.config.values import (
    Refused,
    available_cpus,
    closest,
    parse_choice,
    parse_depth,
    parse_duration,
    parse_flag,
    parse_jobs,
)
from inferflow.errors import WrongUse
from inferflow.model import Placement, Span
from inferflow.records import evolve, field, frozen

__all__ = ["KEYS", "PARAMETER_PREFIX", "Settings", "TaskRule", "backend_names", "find_settings_file", "load_settings"]

PARAMETER_PREFIX = "INFERFLOW_PARAM_"
BACKENDS = ("process", "docker", "inline")
OF_OTHERS = ("INFERFLOW_STRICT", "INFERFLOW_REWRITE", "INFERFLOW_RETURNS")
"""Variables that are no settings: of the project's own tests (a failing analysis fails; expected texts are written
anew), and of a command that ``inferflow.shell`` runs, which may run inferflow in turn."""


@frozen
class TaskRule:
    """What a table ``[tasks."pattern"]`` says of the tasks whose name matches: with ``home``, never run them ahead;
    ``open`` whether functions of that name are looked into; ``place`` is where they run and on what. ``None``: the
    table says nothing of it."""

    pattern: str
    home: bool | None = None
    open: bool | None = None
    place: Placement = field(factory=Placement)

    def matches(self, name: str) -> bool:
        """Whether the rule is about the task ``name``; the pattern is a shell's, with case."""
        return fnmatchcase(name, self.pattern)


@frozen
class Settings:
    """All settings, with the defaults that hold where nobody said otherwise.

    ``root`` is the project's root, ``file`` the settings file (``None``: there is none). ``timeout`` is for the whole
    run, in seconds. ``store`` is absolute. ``start`` is how workers come to be; ``auto`` forks where that is sound.
    ``depth`` is how many levels of functions that are drivers themselves are opened. ``trace``: whether the files that
    child processes open are followed call by call.
    ``params`` are plain values of parameters, under those of the environment and the command line. ``catalogue`` are
    folders with further files of library effects (``<library>.effects``).
    """

    root: Path
    store: Path
    file: Path | None = None
    backend: str = "process"
    jobs: int = field(factory=available_cpus)
    timeout: float | None = None
    start: Literal["auto", "fork", "spawn"] = "auto"
    depth: int = 2
    trace: bool = False
    color: Literal["auto", "always", "never"] = "auto"
    params: Mapping[str, object] = field(factory=dict)
    catalogue: tuple[Path, ...] = ()
    tasks: tuple[TaskRule, ...] = ()
    base: str = ""
    """The image that ``inferflow image`` starts from; empty: the official one for this Python."""
    container: Placement = field(factory=Placement)
    """What containers are made of, where no table of a task says otherwise."""

    def placement(self) -> Placement:
        """Where the run itself, its home, is."""
        return evolve(self.container, backend=self.backend)

    def placement_of(self, name: str) -> Placement:
        """Where the task ``name`` is to run; with its time limit, if a table gives it one."""
        place = self.placement()
        for rule in self.tasks:
            if rule.matches(name):
                place = place.overlaid(rule.place)
        return place if place.backend == "docker" else Placement(backend=place.backend, timeout=place.timeout)

    def opening(self) -> tuple[tuple[str, bool], ...]:
        """Patterns of functions that are opened in any case, or never; the last that matches decides."""
        return tuple((rule.pattern, rule.open) for rule in self.tasks if rule.open is not None)

    def at_home(self, name: str) -> TaskRule | None:
        """The rule that keeps the task ``name`` at home, if there is one (the last that matches decides)."""
        said = [rule for rule in self.tasks if rule.home is not None and rule.matches(name)]
        ruling = said[-1] if said else None
        return ruling if ruling and ruling.home else None


Convert: TypeAlias = Callable[[object, Path], object]
"""From what was written, and the folder that relative paths count from; raises Refused."""


def load_settings(
    folder: Path,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """The settings for a driver in ``folder``.

    ``config`` names the file instead of the search; ``flags`` are those of the command line that were given. Raises
    WrongUse for an unknown key, a value that does not fit, a file that is not TOML.
    """
    folder = Path(os.path.abspath(folder))
    environ = os.environ if environ is None else environ
    if config is None and (named := environ.get("INFERFLOW_CONFIG")):
        config = Path(named)
    path = Path(os.path.abspath(config)) if config else find_settings_file(folder)
    chosen = _from_file(path) if path else {}
    chosen |= _from_environ(environ)
    chosen |= _from_flags(flags or {})
    root = project_root(folder)
    container = placement({key: chosen.pop(key) for key in PLACEMENT_KEYS if key in chosen})
    return Settings(root=root, file=path, container=container, **{"store": root / ".inferflow", **chosen})


def find_settings_file(folder: Path) -> Path | None:
    """The nearest ``inferflow.toml``, or ``pyproject.toml`` with a table ``tool.inferflow``, from ``folder`` upwards;
    raises WrongUse if a folder has both."""
    for candidate in (folder, *folder.parents):
        own, shared = candidate / "inferflow.toml", candidate / "pyproject.toml"
        in_shared = shared.is_file() and _has_table(shared)
        if own.is_file():
            if in_shared:
                raise WrongUse(f"settings stand in both {own} and {shared}", hint="keep one of them")
            return own
        if in_shared:
            return shared
    return None


def _has_table(pyproject: Path) -> bool:
    try:
        if b"inferflow" not in pyproject.read_bytes():
            return False
    except OSError:
        return False
    tables, _ = read_toml(pyproject)
    tool = tables.get("tool")
    return isinstance(tool, dict) and "inferflow" in tool


# -- the three sources -----------------------------------------------------------------------------


def _from_file(path: Path) -> dict[str, Any]:
    tables, text = read_toml(path)
    prefix: tuple[str, ...] = ()
    if path.name == "pyproject.toml" or set(tables) == {"tool"}:
        prefix = ("tool", "inferflow")
        for part in prefix:
            tables = tables.get(part, {})
    chosen: dict[str, Any] = {}
    for key, value in tables.items():
        span = Span(str(path), key_line(text, (*prefix, key)))
        if key == "tasks":
            chosen[key] = _task_rules(value, path, text, (*prefix, key))
        elif key in KEYS:
            chosen[key] = _converted(key, value, path.parent, f"setting {key!r}", span)
        else:
            raise _unknown(f"setting {key!r}", key, (*KEYS, "tasks"), span)
    return chosen


def _task_rules(value: object, path: Path, text: str, prefix: tuple[str, ...]) -> tuple[TaskRule, ...]:
    if not isinstance(value, dict):
        raise WrongUse(
            "'tasks' must be tables, one for each pattern",
            span=Span(str(path), key_line(text, prefix)),
            hint=_TASK_HINT,
        )
    rules = []
    for pattern, table in value.items():
        where = (*prefix, pattern)
        if not isinstance(table, dict):
            raise WrongUse(
                f"{pattern!r} under 'tasks' must be a table",
                span=Span(str(path), key_line(text, where)),
                hint=_TASK_HINT,
            )
        said: dict[str, Any] = {}
        for key, given in table.items():
            span = Span(str(path), key_line(text, (*where, key)))
            if key not in _TASK_KEYS:
                raise _unknown(f"setting {key!r} of tasks {pattern!r}", key, tuple(_TASK_KEYS), span)
            try:
                said[key] = _TASK_KEYS[key](given)
            except Refused as refused:
                raise WrongUse(
                    f"setting {key!r} of tasks {pattern!r} is {given!r}; it must be {refused}", span=span
                ) from None
        rules.append(TaskRule(pattern, said.pop("home", None), said.pop("open", None), placement(said)))
    return tuple(rules)


_TASK_KEYS: dict[str, Callable[[object], Any]] = {
    "home": parse_flag,
    "open": parse_flag,
    "backend": lambda value: parse_choice(value, ("process", "docker")),
    "timeout": parse_duration,
    **PLACEMENT_KEYS,
}

_TASK_HINT = 'write [tasks."pattern"] (in pyproject.toml: [tool.inferflow.tasks."pattern"]), then: home = true'


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    by_variable = {f"INFERFLOW_{key.upper()}": key for key in KEYS if key not in ("params", "catalogue")}
    for variable, text in sorted(environ.items()):
        if not variable.startswith("INFERFLOW_") or variable.startswith(PARAMETER_PREFIX):
            continue
        if variable == "INFERFLOW_CONFIG" or variable in OF_OTHERS:
            continue
        if variable not in by_variable:
            raise _unknown(f"environment variable {variable}", variable, (*by_variable, "INFERFLOW_CONFIG"), None)
        if text:
            key = by_variable[variable]
            chosen[key] = _converted(key, text, Path.cwd(), f"environment variable {variable}", None)
    return chosen


def _from_flags(flags: Mapping[str, object]) -> dict[str, Any]:
    given = {key: value for key, value in flags.items() if value is not None}
    return {key: _converted(key, value, Path.cwd(), f"option --{key}", None) for key, value in given.items()}


def _converted(key: str, value: object, folder: Path, what: str, span: Span | None) -> object:
    try:
        return KEYS[key](value, folder)
    except Refused as refused:
        raise WrongUse(f"{what} is {value!r}; it must be {refused}", span=span) from None


def _unknown(what: str, name: str, known: tuple[str, ...], span: Span | None) -> WrongUse:
    near = closest(name, known)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(known))}"
    return WrongUse(f"unknown {what}", span=span, hint=hint)


# -- the keys --------------------------------------------------------------------------------------


def backend_names() -> tuple[str, ...]:
    """The backends that are installed: those of inferflow first."""
    from importlib.metadata import entry_points

    return tuple(dict.fromkeys((*BACKENDS, *(point.name for point in entry_points(group="inferflow.backends")))))


def _backend(value: object, _: Path) -> str:
    return value if isinstance(value, str) and value in BACKENDS else parse_choice(value, backend_names())


def _folder(value: object, folder: Path) -> Path:
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return Path(os.path.abspath(folder / Path(value).expanduser()))
    raise Refused("the path of a folder")


def _folders(value: object, folder: Path) -> tuple[Path, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise Refused("a list of folders")
    paths = tuple(_folder(item, folder) for item in value)
    for path in paths:
        if not path.is_dir():
            raise Refused(f"a list of folders; there is no folder {path}")
    return paths


def _params(value: object, _: Path) -> Mapping[str, object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    raise Refused("a table of parameters and their values")


def _switch(value: object, _: Path) -> bool:
    """True or false; in an environment variable 1 and 0 too."""
    words = {"true": True, "1": True, "false": False, "0": False}
    return words[value] if isinstance(value, str) and value in words else parse_flag(value)


def _without_folder(read: Callable[[object], Any]) -> Convert:
    return lambda value, _: read(value)


KEYS: dict[str, Convert] = {
    "backend": _backend,
    "jobs": lambda value, _: parse_jobs(value),
    "timeout": lambda value, _: parse_duration(value),
    "store": _folder,
    "depth": lambda value, _: parse_depth(value),
    "start": lambda value, _: parse_choice(value, ("auto", "fork", "spawn")),
    "trace": _switch,
    "color": lambda value, _: parse_choice(value, ("auto", "always", "never")),
    "params": _params,
    "catalogue": _folders,
    "base": _without_folder(PLACEMENT_KEYS["image"]),
    **{key: _without_folder(read) for key, read in PLACEMENT_KEYS.items()},
}
"""Every key at the top level but ``tasks``, and how its value is read."""
