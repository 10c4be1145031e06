"""Composition: wires analysis, engine, workers and store together for one command.

>>> from inferflow.session import execute, infer, open_target      # doctest: +SKIP
>>> outcome = execute(open_target("driver.py", Path.cwd()), settings)   # doctest: +SKIP

Each name is loaded when it is first used: a preview needs neither the engine nor the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflow.session.observer import Observer
    from inferflow.session.run import RunOutcome, execute

__all__ = ["Observer", "RunOutcome", "execute"]

_HOMES = {"execute": "run", "RunOutcome": "run", "Observer": "observer"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"inferflow.session.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
