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

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from inferflow.analysis import ir
from inferflow.analysis.effects import run
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import Node, Value
from inferflow.analysis.facts import Opening
from inferflow.analysis.opening import project_calls, project_names
from inferflow.analysis.walk import every_op

if TYPE_CHECKING:
    from inferflow.analysis.effects.driver import Recorder

__all__ = ["Openings", "why_not"]

FEWEST = 2
"""So many calls of functions of the project make a function a driver."""


WhyNot = tuple[str, str]
"""Why a function is not opened: a key of ``notes.REASONS``, and the reason in words."""


def why_not(home: ir.Module, scope: int, names: frozenset[str], fewest: int) -> WhyNot | Literal["none", "plain"]:
    """Why a function is not opened; ``"plain"`` if it puts others together, and its statements can be told apart;
    ``"none"`` if it is no such function anyway, since it calls fewer than ``fewest`` others. ``names`` are those that
    its module has for functions, classes and modules of the project."""
    code = home.scopes[scope]
    if code.kind != "function" or code.name == "<lambda>":
        return "none"
    if len(list(project_calls(names, _statements(home, code.body)))) < (1 if code.is_async else fewest):
        return "none"
    if code.is_generator:
        return "generator", "it is an async generator" if code.is_async else "it is a generator"
    if code.decorators:
        return "decorated", f"it is decorated with @{code.decorators[0].split('(')[0]}"
    if code.parent != 0 or code.free:
        return "inner", "it is defined inside of another function, or in a class"
    if any(_shares_names(home, op) for op in every_op(code.body)):
        return "shared", "it shares its names with a function or class that is defined in it"
    return "plain"


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


def _uses(module: ir.Module, aliases: Mapping[str, frozenset[str]]) -> Iterator[tuple[tuple[str, int], str, bool]]:
    """Where each name and attribute is read that may be a function at the top of a module, and whether to be called at
    once. What stands in a comprehension counts as standing around it. ``aliases`` are names that such functions are
    imported as."""
    for number, scope in enumerate(module.scopes):
        around = number
        while module.scopes[around].kind == "comprehension":
            around = module.scopes[around].parent
        ops = list(every_op(scope.body))
        called = {op.func for op in ops if isinstance(op, ir.Call)}
        imported = {op.name for op in ops if isinstance(op, ir.Store) and op.how == "import"}
        for op in ops:
            if isinstance(op, ir.Load) and number and op.binding == "local" and op.name not in imported:
                continue  # a variable that happens to have the name
            if isinstance(op, ir.Load | ir.Attr):
                for name in (op.name, *aliases.get(op.name, ())):
                    yield (module.name, around), name, op.out in called


def _aliases(modules: Iterable[ir.Module]) -> dict[str, frozenset[str]]:
    """By the names that something is imported as, what it is called where it was made."""
    found: dict[str, frozenset[str]] = {}
    for module in modules:
        for scope in module.scopes:
            made: dict[ir.Temp, str] = {}
            for op in every_op(scope.body):
                if isinstance(op, ir.ImportFrom):
                    made[op.out] = op.name
                elif isinstance(op, ir.Store) and op.how == "import" and made.get(op.value, op.name) != op.name:
                    found[op.name] = found.get(op.name, frozenset()) | {made[op.value]}
    return found


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
        self.refused: dict[tuple[str, int], WhyNot] = {}
        """The functions that are drivers and not opened, and why."""

    def opened(self) -> Iterator[tuple[str, int]]:
        """Module and scope of each function whose every call by the driver was followed, and that nobody else uses."""
        driver = self.recorder.driver
        modules = driver.project.modules
        found = {(frame.module, frame.scope) for frame in self.frames.values()} - self.closed
        aliases = _aliases(modules.values()) if found else {}
        users = [use for module in modules.values() for use in _uses(module, aliases)] if found else []
        inside = {(block.module, block.scope) for block in driver.blocks}
        left = -1
        while left != len(found):
            left = len(found)
            allowed = inside | found
            taken = {name for where, name, called in users if not called or where not in allowed}
            for which in [which for which in found if modules[which[0]].scopes[which[1]].name in taken]:
                found.discard(which)
                self.closed.add(which)
                self.refused[which] = "used", "other code than the driver uses it, or it is handed on"
        yield from sorted(found)

    def __call__(self, caller: Frame, function: Node, bound: dict[str, Value], key: object) -> None:
        """The driver, or a function that is opened, calls a function."""
        module, scope = function.data
        which = (module, scope)
        if which in self.closed:
            return
        why = self._why_not(module, scope)
        if why == "plain":
            why = self._too_deep(caller, which)
        if why != "plain":
            self.closed.add(which)
            if why != "none":
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

    def _why_not(self, module: str, scope: int) -> WhyNot | Literal["none", "plain"]:
        which = (module, scope)
        if which in self.plain:
            return "plain"
        project = self.recorder.driver.project
        names = self.names.get(module)
        if names is None:
            names = self.names[module] = project_names(project, project.modules[module])
        wanted = self._said(which)
        why = why_not(project.modules[module], scope, names, 1 if wanted else FEWEST)
        if why == "plain" and wanted is False:
            return "deep", "the settings keep it closed"
        if why == "plain":
            self.plain.add(which)
        return why

    def _said(self, which: tuple[str, int]) -> bool | None:
        """What the settings say of a function."""
        module, scope = which
        name = self.recorder.driver.project.modules[module].scopes[scope].qualname
        return self.opening.said(name, f"{module}:{name}")

    def _too_deep(self, caller: Frame, which: tuple[str, int]) -> WhyNot | Literal["plain"]:
        if which in self.stack:
            return "recursion", "it calls itself"
        if len(self.stack) >= self.opening.depth and not self._said(which):
            return "deep", f"it is called more than {self.opening.depth} levels deep"
        if 2 * caller.program.work > caller.program.budget:
            return "deep", "the driver is too involved to be followed into it"
        return "plain"
