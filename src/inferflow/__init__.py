"""inferflow: run an unmodified driver.py as an inferred pipeline.

>>> import inferflow                                   # doctest: +SKIP
>>> graph = inferflow.infer("driver.py")               # doctest: +SKIP
>>> run = inferflow.run("driver.py")                   # doctest: +SKIP
>>> run["logreg"]                                      # doctest: +SKIP

Importing the package imports nothing else: each public name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflow.api import RunResult, infer, load, run
    from inferflow.runners.notebook import notebook
    from inferflow.runners.shell import shell

__version__ = "0.1.0"
__all__ = ["RunResult", "__version__", "infer", "load", "notebook", "run", "shell"]

_RUNNERS = {"notebook": "inferflow.runners.notebook", "shell": "inferflow.runners.shell"}
"""They need the standard library only, wherever a driver runs."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(_RUNNERS.get(name, "inferflow.api")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
