"""Parameters of a driver as its user gave them, collected and checked by name before anything runs.

From weak to strong: the table ``params`` of the settings, ``INFERFLOW_PARAM_<name>``, ``--params FILE`` (TOML, YAML or
JSON), ``-p name=value``. The result is plain data for the worker, which knows the types: ``{"C": {"text": "0.5"}}`` for
what was written as text, ``{"C": {"data": 0.5}}`` for what a file gave.

    raw = collect(graph.parameters, pairs=["C=0.5"], file=Path("params.yaml"), settings=settings.params)
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from inferflow.config.settings import PARAMETER_PREFIX
from inferflow.config.values import closest
from inferflow.errors import WrongUse
from inferflow.model import Parameter, Span
from inferflow.worker.parameters import DATE_MARK, ParameterError, plain_value

__all__ = ["Raw", "accepted", "collect", "recorded"]

Raw: TypeAlias = dict[str, dict[str, object]]


def collect(
    parameters: Sequence[Parameter],
    *,
    pairs: Sequence[str] = (),
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    target: str = "the driver",
    script: bool = False,
) -> Raw:
    """The raw parameters for a driver that takes ``parameters``.

    Raises WrongUse for a name that it does not take, for one that it needs and did not get, for a plain number or truth
    value that is none, for a file that cannot be read. The table of the settings serves all drivers of a project: what
    this one does not take is left out, unless it looks like a slip for something that it takes.
    """
    names = _Names(parameters, target, script)
    raw: Raw = {}
    for name, value in (settings or {}).items():
        if names.takes(name):
            raw[name] = {"data": _plain(value, name)}
        elif near := closest(name, names.all):
            raise WrongUse(f"{target} takes no parameter {name!r} (from the settings)", hint=f"did you mean {near}?")
    for variable, text in sorted((environ or {}).items()):
        if variable.startswith(PARAMETER_PREFIX):
            raw[names.from_variable(variable)] = {"text": text}
    for name, value in (_read_file(file) if file else {}).items():
        raw[names.known(name, f"from {file}")] = {"data": _plain(value, name)}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise WrongUse(f"-p {pair!r} is not of the form name=value", hint=names.accepts())
        raw[names.known(name.strip(), "")] = {"text": text}
    if not script:  # a script calls its function itself, with what it needs
        names.refuse_missing(raw)
    _check_plain(parameters, raw)
    return raw


def recorded(raw: Raw) -> tuple[tuple[str, str], ...]:
    """The parameters as a run records them: sorted names, and values as text."""
    return tuple(
        (name, str(given["text"]) if "text" in given else repr(given["data"])) for name, given in sorted(raw.items())
    )


def accepted(parameters: Sequence[Parameter]) -> str:
    """What a driver takes, as its signature has it: ``C: float = 1.0, path``."""
    return ", ".join(map(str, parameters))


# -- names -----------------------------------------------------------------------------------------


class _Names:
    """The names that a driver takes, and what to say of others."""

    def __init__(self, parameters: Sequence[Parameter], target: str, script: bool) -> None:
        self.parameters = parameters
        self.target = target
        self.script = script
        self.all = [p.name for p in parameters if p.kind not in ("var_positional", "var_keyword")]
        self.open = any(p.kind == "var_keyword" for p in parameters)

    def takes(self, name: str) -> bool:
        return name in self.all or (self.open and name.isidentifier())

    def known(self, name: str, source: str) -> str:
        if self.takes(name):
            return name
        said = f" ({source})" if source else ""
        near = closest(name, self.all)
        hint = (f"did you mean {near}? " if near else "") + self.accepts()
        raise WrongUse(f"{self.target} takes no parameter {name!r}{said}", hint=hint)

    def from_variable(self, variable: str) -> str:
        """The parameter that an environment variable names; upper case will do where it is unambiguous."""
        name = variable.removeprefix(PARAMETER_PREFIX)
        alike = [known for known in self.all if known.upper() == name.upper()]
        if name not in self.all and len(alike) == 1:
            return alike[0]
        return self.known(name, f"from {variable}")

    def accepts(self) -> str:
        if self.parameters:
            return f"it takes: {accepted(self.parameters)}"
        if self.target.endswith(".ipynb"):
            return "it has no cell tagged 'parameters' that sets any (in Jupyter: Property Inspector > Cell Tags)"
        if self.script:
            return f"it is a script: give its arguments after --, or name a function of it ({self.target}:main)"
        return "it takes none"

    def refuse_missing(self, raw: Raw) -> None:
        missing = [p.name for p in self.parameters if p.name in self.all and p.default is None and p.name not in raw]
        if missing:
            plural = "s" if len(missing) > 1 else ""
            named = ", ".join(repr(name) for name in missing)
            hint = f"give {' '.join(f'-p {name}=...' for name in missing)}; {self.accepts()}"
            raise WrongUse(f"{self.target} needs the parameter{plural} {named}", hint=hint)


_BUILTIN: dict[str, type] = {"int": int, "float": float, "bool": bool}


def _check_plain(parameters: Sequence[Parameter], raw: Raw) -> None:
    """Refuse at once what cannot be a number or truth value; the worker, which has the real types, checks the rest."""
    for parameter in parameters:
        kind = _BUILTIN.get(parameter.annotation or "")
        if kind is None or parameter.name not in raw or parameter.default == "None":
            continue
        try:
            plain_value(parameter.name, raw[parameter.name], kind)
        except ParameterError as error:
            raise WrongUse(str(error), hint=f"it is declared as: {parameter}") from None


# -- files -----------------------------------------------------------------------------------------


def _read_file(path: Path) -> dict[str, Any]:
    match path.suffix.lower():
        case ".toml":
            from inferflow.config.toml import read_toml

            found: object = read_toml(path)[0]
        case ".yaml" | ".yml":
            found = _read_yaml(path)
        case ".json":
            found = _read_json(path)
        case suffix:
            raise WrongUse(
                f"--params {path}: {suffix or 'no ending'!r} is unknown", hint="use .toml, .yaml, .yml or .json"
            )
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise WrongUse(f"--params {path}: it must hold a table of names and values")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{path} is not UTF-8 text") from None


def _read_json(path: Path) -> object:
    import json

    text = _text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise WrongUse(f"this is not JSON: {error.msg}", span=Span(str(path), error.lineno, error.colno - 1)) from None
    except RecursionError:
        raise WrongUse(f"{path} is nested too deeply") from None


def _read_yaml(path: Path) -> object:
    import yaml

    text = _text(path)
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        span = Span(str(path), mark.line + 1, mark.column) if mark else None
        raise WrongUse(f"this is not YAML: {error.problem or error.context or error}", span=span) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise WrongUse(f"{path} is not YAML: {error}") from None


def _plain(value: object, where: str) -> object:
    """Plain data that can travel: dates as marked text, keys as text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime.datetime() | datetime.date() | datetime.time():
            return {DATE_MARK: value.isoformat()}
        case dict():
            return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, where) for item in value]
        case set() | frozenset():
            return [_plain(item, where) for item in sorted(value, key=repr)]
        case bytes():
            return value
        case _:
            raise WrongUse(f"parameter {where!r} has a value of type {type(value).__name__}, which is not plain data")
