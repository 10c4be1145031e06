"""Shell commands and notebooks as plain functions: they work with and without a run.

``shell`` and ``notebook`` (public as ``inferflow.shell`` and ``inferflow.notebook``) start a program of its own, hand
values in, and take named variables out, through files. Standard library only, Python 3.9 or newer, since they are
called by a driver wherever it runs; what executes notebooks is loaded in a process of its own (``execution``).

    inferflow.shell("train.sh", env={"lr": 0.1}, returns="score")      '0.93'
    inferflow.notebook("train.ipynb", lr=0.1, returns=("model",))      (LogisticRegression(),)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

__all__ = ["ReturnsMissing", "chosen", "keep", "spares", "wanted_names"]

keep: Optional[Callable[[str, bytes], None]] = None
"""Set by a worker while a driver runs: takes the name and the content of what a call made beside the user's files (an
executed notebook), to be kept with the task. Nothing without a run."""

spares: Any = None
"""Set by a worker while a driver runs that executes several notebooks: kernels that are started ahead (``warm``)."""


class ReturnsMissing(RuntimeError):
    """What was run ended well, but did not leave the variables that were asked for. ``missing`` are their names."""

    def __init__(self, what: str, missing: Sequence[str], there: Sequence[str], how: str = "") -> None:
        self.missing = tuple(missing)
        names = ", ".join(repr(name) for name in missing)
        has = f" (it left: {', '.join(there)})" if there else ""
        super().__init__(f"{what} did not set {names}{has}{how}")


def wanted_names(returns: Union[str, Sequence[str]]) -> tuple[str, ...]:
    """The names in an argument ``returns``: one, or several. Raises TypeError or ValueError."""
    names = (returns,) if isinstance(returns, str) else tuple(returns)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"returns takes names of variables, not {name!r}")
        if not name.isidentifier():
            raise ValueError(f"{name!r} in returns is not the name of a variable")
    return names


def chosen(what: str, returns: Union[str, Sequence[str]], values: Mapping[str, Any], how: str = "") -> Any:
    """What a call gives back: the one value for a name, a tuple for several, None for none. Raises ReturnsMissing."""
    names = wanted_names(returns)
    missing = [name for name in names if name not in values]
    if missing:
        raise ReturnsMissing(what, missing, list(values), how)
    if isinstance(returns, str):
        return values[returns]
    return tuple(values[name] for name in names) if names else None
