"""Tasks that run in a process of their own, which is no copy of home's (another container), without a proof that they
may: is what their code can read there what it is at home?

    posted.told(3, inputs)                in the worker, before the task: digests of the globals that its code can read
    posted.difference(3, frame, told)     at home, at the task's turn: "__main__.STATE is not what it is at home"

Globals of the project are compared by content; of other states of the process (options, the environment, warnings)
home looks whether they still are what they were when the workers began. What libraries hold is not compared: a run
says so.
"""

from __future__ import annotations

from typing import Any

from inferflow.worker.hidden_state import HiddenState
from inferflow.worker.recipe import NoRecipe, Recipes
from inferflow.worker.standing import NARROW
from inferflow.worker.turn import live

__all__ = ["Posted"]

_THEIRS = NARROW | {"matplotlib.pyplot", "priority"}
"""States of which the worker sees by itself whether the task has used them (it is dropped then)."""


class Posted:
    """``hidden``: the states of this process before the first task."""

    def __init__(self, home: Any) -> None:
        self.home = home
        self.recipes = Recipes(home, [])
        self.state = HiddenState()
        self.hidden = self.state.facts()

    def told(self, task: int, inputs: dict[tuple[str, str], Any]) -> dict[str, Any]:
        """For home: the digests, or why there are none."""
        found: dict[str, Any] = {"inputs": [list(key) for key in inputs]}
        try:
            found["roots"] = self.recipes.globals_of(task, inputs)
        except NoRecipe as error:
            found["why"] = str(error)
        return found

    def difference(self, task: int, frame: Any, told: dict[str, Any]) -> str:
        """What is not the same here, in words; empty if all is."""
        now = HiddenState().facts()
        for name, value in self.hidden.items():
            if name in _THEIRS or now.get(name) == value:
                continue
            if name not in ("warnings", "os.environ") or not self.state.only_imported(name, now):
                return f"{name} is not what it was when the task's process began"
        if "roots" not in told:
            return self._unknown(task, told["why"])
        try:
            values = {(scope, name): live(frame, scope, name) for scope, name in told["inputs"]}
            roots = self.recipes.globals_of(task, values)
        except KeyError as error:
            return f"{error.args[0]!r} is not bound any more"
        except NoRecipe as error:
            return self._unknown(task, str(error))
        for name in sorted(roots.keys() | told["roots"].keys()):
            if roots.get(name) != told["roots"].get(name):
                return f"{name} is not what it is at home"
        return ""

    def _unknown(self, task: int, why: str) -> str:
        text = f"ran apart, and what it could read of the project's globals there was not compared: {why}"
        self.home.send({"kind": "note", "task": task, "text": text})
        return ""
