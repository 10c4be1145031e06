"""Functions of the project whose bodies are drivers themselves: looked at from inside, once for each call.

    def train():                   the driver calls train(): besides applying its summary to the call, its body is run
        a = slow1()                as the driver's own statements are, so that what each of them does is told by itself
        b = slow2()
        return combine(a, b)

What a body does is joined over all calls that stand in the driver, or in a function that is opened itself. If one of
them cannot be followed like that (too deep, or in itself), the function is not opened at all. Nor is one that other
code calls or gets hold of: an opened function has hooks in its code, and whoever pickles it by value (joblib does, for
its processes), compiles or digests it would find them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inferflow.analysis import ir
from inferflow.analysis.effects import run
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import Node, Value
from inferflow.analysis.facts import Opening
from inferflow.analysis.opening import not_plain, project_calls, project_names
from inferflow.analysis.walk import every_op

if TYPE_CHECKING:
    from inferflow.analysis.effects.driver import Recorder

__all__ = ["Openings", "why_not"]

FEWEST = 2
"""So many calls of functions of the project make a function a driver."""


def why_not(home: ir.Module, scope: int, names: frozenset[str], fewest: int) -> str | None:
    """Why a function is not opened; ``None`` if it is one that puts others together, and so plain that its statements
    can be told apart; empty if it is no such function anyway, since it calls fewer than ``fewest`` others. ``names``
    are those that its module has for functions, classes and modules of the project."""
    code = home.scopes[scope]
    if code.kind != "function" or code.name == "<lambda>":
        return ""
    if len(list(project_calls(names, _statements(home, code.body)))) < (1 if code.is_async else fewest):
        return ""
    kind = not_plain(code)
    if code.is_async:  # what stands between two of its awaits is not interrupted
        kind = "an async generator" if code.is_generator else None
    if kind is not None:
        return f"it is {kind}"
    if code.decorators:
        return f"it is decorated with @{code.decorators[0].split('(')[0]}"
    if code.parent != 0 or code.free:
        return "it is defined inside of another function, or in a class"
    if any(_shares_names(home, op) for op in every_op(code.body)):
        return "it shares its names with a function or class that is defined in it"
    return None


def _statements(module: ir.Module, body: tuple[ir.Statement, ...]) -> list[ir.Statement]:
    """Statements, and those of the comprehensions in them."""
    found = list(body)
    for op in every_op(body):
        if isinstance(op, ir.Comprehension):
            found += _statements(module, module.scopes[op.scope].body)
    return found


def _shares_names(module: ir.Module, op: ir.Op) -> bool:
    """Whether an operation makes a function or class that shares names with the one it is made in."""
    if isinstance(op, ir.MakeFunction | ir.MakeClass):
        return bool(module.scopes[op.scope].free)
    if isinstance(op, ir.Comprehension):
        body = tuple(every_op(module.scopes[op.scope].body))
        stores = any(isinstance(o, ir.Store | ir.Delete) and o.binding == "free" for o in body)
        return stores or any(_shares_names(module, inner) for inner in body)
    return False


def _uses(module: ir.Module) -> Iterator[tuple[tuple[str, int], str, bool]]:
    """Where each name and attribute is read, and whether to be called at once. What stands in a comprehension counts
    as standing around it."""
    for number, scope in enumerate(module.scopes):
        around = number
        while module.scopes[around].kind == "comprehension":
            around = module.scopes[around].parent
        ops = list(every_op(scope.body))
        called = {op.func for op in ops if isinstance(op, ir.Call)}
        for op in ops:
            if isinstance(op, ir.Load | ir.Attr):
                yield (module.name, around), op.name, op.out in called


class Openings:
    """The functions that were opened, and how."""

    def __init__(self, recorder: Recorder, opening: Opening) -> None:
        self.recorder = recorder
        self.opening = opening
        self.frames: dict[object, Frame] = {}
        self.stack: list[tuple[str, int]] = []
        self.closed: set[tuple[str, int]] = set()
        self.plain: set[tuple[str, int]] = set()
        self.names: dict[str, frozenset[str]] = {}
        self.refused: dict[tuple[str, int], str] = {}
        """The functions that are drivers and not opened, and why."""

    def opened(self) -> Iterator[tuple[str, int]]:
        """Module and scope of each function whose every call by the driver was followed, and that nobody else uses."""
        driver = self.recorder.driver
        modules = driver.project.modules
        found = {(frame.module, frame.scope) for frame in self.frames.values()} - self.closed
        users = [use for module in modules.values() for use in _uses(module)] if found else []
        inside = {(block.module, block.scope) for block in driver.blocks}
        left = -1
        while left != len(found):
            left = len(found)
            allowed = inside | found
            taken = {name for where, name, called in users if not called or where not in allowed}
            for which in [which for which in found if modules[which[0]].scopes[which[1]].name in taken]:
                found.discard(which)
                self.closed.add(which)
                self.refused[which] = "other code than the driver uses it, or it is handed on"
        yield from sorted(found)

    def __call__(self, caller: Frame, function: Node, bound: dict[str, Value], key: object) -> None:
        """The driver, or a function that is opened, calls a function."""
        module, scope = function.data
        which = (module, scope)
        if which in self.closed:
            return
        why = self._why_not(module, scope)
        if why is None:
            why = self._too_deep(caller, which)
        if why is not None:
            self.closed.add(which)
            self.refused[which] = why
            return
        program = caller.program
        frame = self.frames.get((id(caller), key, which))
        if frame is None:
            frame = self.frames[id(caller), key, which] = Frame(program, module, scope, root=True)
            frame.inline = True
        frame.env = dict(bound)
        frame.temps.clear()
        frame.undo = None
        self.stack.append(which)
        with self.recorder.inside_of(frame):
            run.body(frame, frame.code.body)
        self.stack.pop()

    def _why_not(self, module: str, scope: int) -> str | None:
        which = (module, scope)
        if which in self.plain:
            return None
        project = self.recorder.driver.project
        names = self.names.get(module)
        if names is None:
            names = self.names[module] = project_names(project, project.modules[module])
        wanted = self._said(which)
        why = why_not(project.modules[module], scope, names, 1 if wanted else FEWEST)
        if why is None and wanted is False:
            why = "the settings keep it closed"
        if why is None:
            self.plain.add(which)
        return why

    def _said(self, which: tuple[str, int]) -> bool | None:
        """What the settings say of a function."""
        module, scope = which
        name = self.recorder.driver.project.modules[module].scopes[scope].qualname
        return self.opening.said(name, f"{module}:{name}")

    def _too_deep(self, caller: Frame, which: tuple[str, int]) -> str | None:
        if which in self.stack:
            return "it calls itself"
        if len(self.stack) >= self.opening.depth and not self._said(which):
            return f"it is called more than {self.opening.depth} levels deep"
        if 2 * caller.program.work > caller.program.budget:
            return "the driver is too involved to be followed into it"
        return None
