"""The settings that say where tasks run and what their containers are made of, for the whole run or for some tasks.

>>> placement({"memory": parse_size("2GiB"), "cpus": 1.5}).memory
2147483648
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from inferflow.config.values import Refused, parse_choice
from inferflow.model import Placement

__all__ = ["PLACEMENT_KEYS", "parse_size", "placement"]

_UNITS = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def parse_size(value: object) -> int:
    """Bytes, from a number of bytes or a text with a unit (``512MiB``, ``8GB``); raises Refused."""
    accepted = 'a size such as "512MiB" or "8GiB" (at least 6 MiB), or a number of bytes'
    size = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", value.strip().lower())):
        size = int(float(match[1]) * _UNITS.get(match[2], 0))
    if size < 6 * 2**20:  # the least that an engine accepts
        raise Refused(accepted)
    return size


def _cpus(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        value = float(value)
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0.01 <= value <= 4096
    ):
        return float(value)
    raise Refused("a number of processors of at least 0.01, such as 0.5 or 4")


def _gpus(value: object) -> str:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return str(value)
    if isinstance(value, str) and value.isdigit() and int(value) > 0:
        return value
    raise Refused('a number of GPUs of at least 1, or "all"')


def _text(what: str) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if isinstance(value, str) and value.strip() and not re.search(r"\s", value.strip()):
            return value.strip()
        raise Refused(what)

    return convert


def _list(what: str, pattern: str) -> Callable[[object], tuple[str, ...]]:
    def convert(value: object) -> tuple[str, ...]:
        items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(i, str) and re.fullmatch(pattern, i, re.S) for i in items):
            return tuple(items)
        raise Refused(what)

    return convert


def _isolation(value: object) -> str:
    return parse_choice(value, ("run", "task"))


PLACEMENT_KEYS: dict[str, Callable[[object], Any]] = {
    "image": _text('the name of an image such as "python:3.11-slim", or "host" for this machine\'s own files'),
    "cpus": _cpus,
    "memory": parse_size,
    "shm_size": parse_size,
    "gpus": _gpus,
    "network": _text('"host", "none", "bridge" or the name of a network'),
    "mounts": _list('a list of "SOURCE", "SOURCE:TARGET" or "SOURCE:TARGET:ro"', r"[^:]+(:/[^:]*)?(:r[ow])?"),
    "env": _list('a list of variables: "NAME", "NAME=VALUE" or a pattern such as "AWS_*"', rf"{_NAME}=.*|[\w*?\[\]]+"),
    "secrets": _list("a list of names of variables that hold secrets", _NAME),
    "isolation": _isolation,
}
"""Every key, and how its value is read (raises Refused). All are for containers."""


def placement(chosen: Mapping[str, Any]) -> Placement:
    """From values by key."""
    return Placement(**chosen)
