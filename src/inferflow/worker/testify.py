"""In a helper: what home has to compare at a proved task's turn (see ``proof``), and what the task did to the state of
the process although it was proved not to.

    witness = Witness(home, tree)         in the template: digests of all roots; helpers are forked from there
    witness.sworn(state)                  in the helper
    ...the task runs...
    scope = witness.scope(code, space, inputs)     what it could read
    witness.changed(scope, duration)               "__main__.CACHE", if it did change that
    witness.says(scope)                            {"ran": 2, "roots": {"__main__": {"K": "0f3a..."}}, "hidden": ...}
"""

from __future__ import annotations

import ast
import sys
import time
import types
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from inferflow.worker.hidden_state import HiddenState
from inferflow.worker.proof import HiddenDigests, Root, Scope, Scopes, every_root, glance, root_digest

__all__ = ["Witness", "rebound"]

CHEAP = 0.001
"""Seconds of processor time that a look at all roots may take after each task; it may also take a twentieth of the
task's own time. Otherwise only what the task could read is looked at."""


class Witness:
    """The state of a helper's process as it was when it began."""

    def __init__(self, home: Any, tree: ast.Module) -> None:
        self.home = home
        self.own = home.project_modules()
        self.roots: dict[Root, str] = {}
        begun = time.thread_time()
        self._add()
        self.locals = _locals_of_driver(home)
        self.local = glance(self.locals, self.own)
        self.foreign = list(_callables(self.own))
        self.takes = time.thread_time() - begun
        self.scopes = Scopes(self.own)
        self.digests = HiddenDigests()
        self.hidden = self.digests.of(HiddenState().facts())
        self.rebound = rebound(home, tree)

    def _add(self) -> None:
        for root in every_root(self.own):
            if root not in self.roots:
                self.roots[root] = root_digest(root, self.own)

    def sworn(self, state: HiddenState) -> Witness:
        """The same for a helper that was forked since, whose hidden states are these: only what differs is digested
        once more."""
        self.hidden = self.digests.of(state.facts())
        return self

    def scope(self, code: types.CodeType, space: dict[str, Any], values: Iterable[Any]) -> Scope:
        """What the task could read."""
        own = self.home.project_modules()
        if own != self.own:  # it imported modules of the project: they are watched from now on
            self.own, self.scopes = own, Scopes(own)
            self._add()
        return self.scopes.of(code, space, values)

    def changed(self, scope: Scope, duration: float) -> str:
        """What is not as it was when the helper was forked, after a task that took so long (seconds); empty if all
        is."""
        everything = self.takes <= max(CHEAP, duration / 20)
        if everything:
            for root in set(every_root(self.own)).symmetric_difference(self.roots):
                return ".".join(root)
        for root, digest in self.roots.items():
            if (everything or scope.holds(root)) and root_digest(root, self.own) != digest:
                return ".".join(root)
        for name, value in self.foreign:
            module, _, key = name.rpartition(".")
            if module in sys.modules and vars(sys.modules[module]).get(key) is not value:
                return name
        return "" if glance(self.locals, self.own) == self.local else "what the driver's variables hold"

    def says(self, scope: Scope, given: Collection[str]) -> dict[str, Any]:
        """What home is to compare: of the roots those that the task could read. Of what the driver binds between tasks,
        the task has got its versions (``given``: of these names), or it names what was there when the helper was
        forked; the rest of it does not count, although code that looks around could find it."""
        found: dict[str, dict[str, str]] = {}
        main, packages = self.home.program.module.__name__, scope.packages()
        others = {root for root in scope.roots if root[0] not in self.own}
        for root in [*filter(scope.holds, self.roots), *others]:
            name = root[1].partition(".")[0]
            rebound = root[0] == main and name in self.rebound
            if not rebound or (name not in given and (main, name) in scope.roots):
                found.setdefault(root[0], {})[root[1]] = self.roots.get(root) or root_digest(root, self.own)
        return {
            "ran": self.home.observer.ran, "roots": found, "hidden": self.hidden,
            "aloof": not scope.everything and "matplotlib" not in packages, "childless": scope.is_childless(packages),
        }  # fmt: skip


def _callables(own: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The public functions and classes of the modules that the project's modules have imported by name."""
    seen = set()
    for name in own:
        for value in list(vars(sys.modules[name]).values()) if name in sys.modules else ():
            if not isinstance(value, types.ModuleType) or value.__name__ in own or value.__name__ in seen:
                continue
            seen.add(value.__name__)
            for key, part in list(vars(value).items()):
                if key[:1] != "_" and callable(part) and type(part) is not types.ModuleType:
                    yield f"{value.__name__}.{key}", part


def _locals_of_driver(home: Any) -> list[Any]:
    """What the variables of the driver's functions held when this process was forked: code that looks around in the
    process would find them."""
    found: list[Any] = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename == home.program.filename and code.co_name != "<module>":
            found.extend(frame.f_locals.values())
        frame = frame.f_back
    return found


def rebound(home: Any, tree: ast.Module) -> frozenset[str]:
    """The globals of the driver's module that its statements after the prefix bind."""
    main = home.program.module.__name__
    names = {name for unit in home.hooks.units.values() for scope, name in unit.outputs if scope == main}
    if home.program.kind == "script":
        stack: list[ast.AST] = list(tree.body[home.program.prefix :])
        while stack:
            node = stack.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
                continue
            if isinstance(node, ast.alias):
                names.add(node.asname or node.name.partition(".")[0])
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.add(node.id)
            else:  # handlers of exceptions, and patterns
                names.update(part for key in ("name", "rest") if isinstance(part := getattr(node, key, None), str))
            stack.extend(ast.iter_child_nodes(node))
    return frozenset(names)
