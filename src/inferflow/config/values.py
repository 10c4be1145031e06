"""Values of settings from text: durations, counts, choices. Each says what it accepts when it refuses.

>>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration(90)
(5400.0, 0.25, 90.0)
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable

__all__ = [
    "Refused",
    "available_cpus",
    "closest",
    "parse_choice",
    "parse_duration",
    "parse_flag",
    "parse_jobs",
]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Refused(ValueError):
    """A value that does not fit. The text says what is accepted: ``a duration such as "90s", "5m" or "1h30m"``."""


def parse_duration(value: object) -> float:
    """Seconds, from a number of seconds or a text with units (ms, s, m, h, d, w); raises Refused unless above 0."""
    accepted = 'a duration such as "90s", "5m" or "1h30m", or a number of seconds above 0'
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        text = value.strip().lower()
        if re.fullmatch(r"\d+(\.\d+)?", text):
            seconds = float(text)
        elif re.fullmatch(r"(\d+(\.\d+)?\s*(ms|min|s|m|h|d|w)\s*)+", text):
            parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d|w)", text)
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        raise Refused(accepted)
    return seconds


def parse_jobs(value: object) -> int:
    """How many processes may work at once: a count of at least 1, or ``auto``; raises Refused."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return available_cpus()
    if isinstance(value, str) and re.fullmatch(r"\d{1,5}", value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096:
        return value
    raise Refused('a number of processes (1 to 4096), or "auto" for one per available processor')


def parse_depth(value: object) -> int:
    """How many levels of functions are opened: a count, 0 for none; raises Refused."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,2}", value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 8:
        return value
    raise Refused("a number of levels (0 to 8)")


def parse_choice(value: object, choices: Iterable[str]) -> str:
    """One of ``choices``; raises Refused."""
    known = tuple(choices)
    if isinstance(value, str) and value in known:
        return value
    near = closest(value, known) if isinstance(value, str) else ""
    raise Refused(f"one of {', '.join(known)}" + (f" (did you mean {near}?)" if near else ""))


def parse_flag(value: object) -> bool:
    """True or false; raises Refused."""
    if isinstance(value, bool):
        return value
    raise Refused("true or false")


def available_cpus() -> int:
    """The processors that this process may use (its affinity mask), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like ``name``, or ``""``.

    >>> closest("bakend", ["backend", "jobs"])
    'backend'
    """
    from difflib import get_close_matches

    lowered = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else ""
