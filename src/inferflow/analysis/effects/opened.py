"""Functions of the project whose bodies are drivers themselves: looked at from inside, once for each call.

    def train():                   the driver calls train(): besides applying its summary to the call, its body is run
        a = slow1()                as the driver's own statements are, so that what each of them does is told by itself
        b = slow2()
        return combine(a, b)

What a body does is joined over all calls that stand in the driver, or in a function that is opened itself. If one of
them cannot be followed like that (too deep, or in itself), the function is not opened at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inferflow.analysis import ir
from inferflow.analysis.effects import run
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import Node, Value
from inferflow.analysis.facts import Project
from inferflow.analysis.opening import not_plain, project_calls, unknown_decorator
from inferflow.analysis.walk import every_op

if TYPE_CHECKING:
    from inferflow.analysis.effects.driver import Recorder

__all__ = ["Openings", "is_driver"]

FEWEST = 2
"""So many calls of functions of the project make a function a driver."""


def is_driver(project: Project, module: str, scope: int) -> bool:
    """Whether a function is one that puts others together, and so plain that its statements can be told apart."""
    home = project.modules[module]
    code = home.scopes[scope]
    if code.kind != "function" or code.parent != 0 or code.name == "<lambda>":
        return False
    if not_plain(code) or unknown_decorator(code) or code.decorators or code.free:
        return False
    if any(_shares_names(home, op) for op in every_op(code.body)):
        return False
    return len(list(project_calls(project, home, _statements(home, code.body)))) >= FEWEST


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


class Openings:
    """The functions that were opened, and how. ``depth`` levels of calls are."""

    def __init__(self, recorder: Recorder, depth: int) -> None:
        self.recorder = recorder
        self.depth = depth
        self.frames: dict[object, Frame] = {}
        self.stack: list[tuple[str, int]] = []
        self.closed: set[tuple[str, int]] = set()
        self.known: dict[tuple[str, int], bool] = {}

    def opened(self) -> Iterator[tuple[str, int]]:
        """Module and scope of each function whose every call by the driver was followed."""
        yield from sorted({(frame.module, frame.scope) for frame in self.frames.values()} - self.closed)

    def __call__(self, caller: Frame, function: Node, bound: dict[str, Value], key: object) -> None:
        """The driver, or a function that is opened, calls a function."""
        module, scope = function.data
        which = (module, scope)
        if which in self.closed or not self._is_driver(which):
            return
        program = caller.program
        if len(self.stack) >= self.depth or which in self.stack or 2 * program.work > program.budget:
            self.closed.add(which)
            return
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

    def _is_driver(self, which: tuple[str, int]) -> bool:
        found = self.known.get(which)
        if found is None:
            found = self.known[which] = is_driver(self.recorder.driver.project, *which)
        return found
