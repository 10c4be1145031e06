"""Lets ``inferflow verify`` see how a native run of a script ends: this folder stands first in PYTHONPATH then.

It takes itself out of the way at once (path, environment, module), so that the program finds everything as it would
without it, lets the ``sitecustomize`` of the installation run, and leaves a function to be called at the very end.
Python runs this by its name; nothing imports it.
"""

import os
import sys


def _begin() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    rest = [entry for entry in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if entry and entry != folder]
    if rest:
        os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    told = os.environ.pop("_INFERFLOW_WATCH", "")
    ours = sys.modules.pop("sitecustomize", None)
    sys.path_importer_cache.pop(folder, None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  (the installation's own)
    except ImportError:
        if ours is not None:  # the importer, which is at work, wants to find it
            sys.modules["sitecustomize"] = ours
    if told:
        space: dict[str, object] = {"__name__": "inferflow_watch"}
        path = os.path.join(os.path.dirname(folder), "watch.py")
        with open(path, encoding="utf-8") as file:
            exec(compile(file.read(), path, "exec"), space)
        space["begin"](told)  # type: ignore[operator]


_begin()
