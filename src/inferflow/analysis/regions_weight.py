"""Whether a call can take any time worth telling, judged by the look of the functions of the project that it runs.

    def area(r): return 3.14 * r * r              light: nothing in it can take long
    def fit(X, y): ...; for _ in range(n): ...    heavy: it loops
    def load(path): return pd.read_csv(path)      heavy: it calls a library

Only a guess: it decides whether helpers are got ready before the first turn of a loop has been measured.
"""

from __future__ import annotations

from inferflow.analysis import ir
from inferflow.analysis.facts import Driver
from inferflow.analysis.walk import every_op, every_statement
from inferflow.model import Task

__all__ = ["Weights"]

LIGHT = frozenset(
    [
        "abs",
        "bool",
        "chr",
        "dict",
        "divmod",
        "enumerate",
        "float",
        "frozenset",
        "getattr",
        "hash",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "ord",
        "print",
        "range",
        "repr",
        "round",
        "set",
        "str",
        "tuple",
        "type",
        "zip",
    ]
)
"""Builtins that take no time of their own on what a single call is given."""


class Weights:
    """Remembers what it found of each function."""

    def __init__(self, driver: Driver) -> None:
        self.known: dict[str, bool] = {}
        self.scopes = {
            f"{name}:{scope.qualname}": scope
            for name, module in driver.project.modules.items()
            for scope in module.scopes
            if scope.kind == "function"
        }

    def is_work(self, task: Task) -> bool:
        """Whether there is a call in the task that is worth thinking about (``print`` is not)."""
        if task.kind in ("call", "group") or (task.kind == "library" and task.key[0] not in LIGHT):
            return True
        return any(self.is_work(inner) for region in task.regions for arm in region.arms for inner in arm.tasks)

    def is_heavy(self, task: Task) -> bool:
        """Whether running the task may take more than some microseconds."""
        return not task.callees or any(map(self.is_heavy_call, task.callees))

    def is_heavy_call(self, callee: str) -> bool:
        """The same of the call of a function of the project."""
        heavy = self.known.get(callee)
        if heavy is None:
            scope = self.scopes.get(callee)
            heavy = self.known[callee] = scope is None or _looks_heavy(scope)
        return heavy


def _looks_heavy(scope: ir.Scope) -> bool:
    if any(isinstance(statement, ir.For | ir.While) for statement in every_statement(scope.body)):
        return True
    names: dict[ir.Temp, str] = {}
    for op in every_op(scope.body):
        match op:
            case ir.Load():
                names[op.out] = op.name
            case ir.Comprehension():
                return True
            case ir.Call() if names.get(op.func) not in LIGHT:
                return True
            case _:
                pass
    return False
