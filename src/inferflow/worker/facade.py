"""What stands for the driver's module while unknown code runs in a helper.

A helper has the driver's module as it was when it was forked. Names that tasks bind may stand for something else
by the task's turn, or for nothing yet. Code that is known is given what it reads; unknown code could look for such a
name in ``sys.modules``, and would find it as it was at another time, or not at all:

    vars(sys.modules["__main__"]).get("STATE")        in a helper: the task is given up, and home runs it
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Collection
from typing import Any

__all__ = ["Facade"]


class Facade:
    """Within, the module is not found under its name, but something that answers for it, and calls ``refuse`` with the
    reason when it is asked for one of the names ``hidden``, or for all names that there are."""

    def __init__(self, module: types.ModuleType, hidden: Collection[str], refuse: Callable[[str], Any]) -> None:
        self.module = module
        self.stand_in = _stand_in(module, frozenset(hidden), refuse) if hidden else module

    def __enter__(self) -> None:
        if sys.modules.get(self.module.__name__) is self.module:
            sys.modules[self.module.__name__] = self.stand_in

    def __exit__(self, *_: object) -> None:
        if sys.modules.get(self.module.__name__) is self.stand_in:
            sys.modules[self.module.__name__] = self.module


def _stand_in(module: types.ModuleType, hidden: frozenset[str], refuse: Callable[[str], Any]) -> types.ModuleType:
    def ask(name: str) -> None:
        if name in hidden:
            refuse(f"it looks for {name!r} in the driver's module, which a task binds")
        elif name == "__dict__":
            refuse("it looks at all names of the driver's module, some of which tasks bind")

    class StandIn(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            ask(name)
            return getattr(module, name)

        def __setattr__(self, name: str, value: Any) -> None:
            ask(name)
            setattr(module, name, value)

        def __delattr__(self, name: str) -> None:
            ask(name)
            delattr(module, name)

        def __dir__(self) -> list[str]:
            ask("__dict__")
            return dir(module)

        def __repr__(self) -> str:
            return repr(module)

    return StandIn(module.__name__)
