"""In a helper: what home has to compare at a proved task's turn (see ``proof``), and what the task did to the state of
the process although it was proved not to.

    witness = Witness(home, state)        digests of all roots, as they were when the helper was forked
    ...the task runs...
    witness.changed(duration)             "__main__.CACHE", if it did change that
    witness.says(code, space, inputs)     {"ran": 2, "roots": {"__main__": {"K": "0f3a..."}}, "hidden": ...}
"""

from __future__ import annotations

import ast
import sys
import time
import types
from collections.abc import Iterable
from typing import Any

from inferflow.worker.proof import HiddenDigests, Root, Scopes, every_root, glance, root_digest

__all__ = ["Witness"]

CHEAP = 0.001
"""Seconds that a look at all roots may take after each task; it may also take a twentieth of the task's own time."""


class Witness:
    """The state of a helper's process as it was when it began."""

    def __init__(self, home: Any, state: Any, tree: ast.Module) -> None:
        self.home = home
        self.own = home.project_modules()
        self.roots: dict[Root, str] = {}
        begun = time.perf_counter()
        self._add()
        self.locals = _locals_of_driver(home)
        self.local = glance(self.locals, self.own)
        self.takes = time.perf_counter() - begun
        self.scopes = Scopes(self.own)
        self.hidden = HiddenDigests().of(state.facts())
        self.rebound = _rebound(home, tree)

    def _add(self) -> None:
        for root in every_root(self.own):
            if root not in self.roots:
                self.roots[root] = root_digest(root, self.own)

    def changed(self, duration: float) -> str:
        """What a task that took so long (seconds) has changed; empty if nothing. A module that it imported was
        imported, and is watched from now on."""
        if self.takes > max(CHEAP, duration / 20):
            return ""
        own = self.home.project_modules()
        if own != self.own:
            self.own, self.scopes = own, Scopes(own)
            self._add()
            return ""
        now = set(every_root(own))
        for root in now.symmetric_difference(self.roots):
            return ".".join(root)
        for root, digest in self.roots.items():
            if root_digest(root, own) != digest:
                return ".".join(root)
        return "" if glance(self.locals, own) == self.local else "what the driver's variables hold"

    def says(self, code: types.CodeType, space: dict[str, Any], values: Iterable[Any]) -> dict[str, Any]:
        """What home is to compare: of the roots those that the task could read. (Of what the driver binds between
        tasks, the task has got its versions.)"""
        scope = self.scopes.of(code, space, values)
        found: dict[str, dict[str, str]] = {}
        main = self.home.program.module.__name__
        others = {root for root in scope.roots if root[0] not in self.own}
        for root in [*filter(scope.holds, self.roots), *others]:
            if root[0] != main or root[1].partition(".")[0] not in self.rebound:
                found.setdefault(root[0], {})[root[1]] = self.roots.get(root) or root_digest(root, self.own)
        return {"ran": self.home.observer.ran, "roots": found, "hidden": self.hidden}


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


def _rebound(home: Any, tree: ast.Module) -> frozenset[str]:
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
