"""Names in the code of regions: which are read, bound, taken from items."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from inferflow.worker.transform import walk

__all__ = ["bound_by", "item_paths", "loaded", "names_read", "parameters"]


def names_read(nodes: Sequence[ast.AST]) -> tuple[str, ...]:
    """The names that pieces of code, run one after the other, read before they bind them themselves."""
    found: dict[str, None] = {}
    bound: set[str] = set()
    for node in nodes:
        found.update(dict.fromkeys(name for name in loaded(node) if name not in bound))
        bound.update(bound_by(node))
    return tuple(found)


def loaded(node: ast.AST) -> Iterator[str]:
    """Names that are read, but for those that a comprehension or a function inside binds for itself."""
    own: set[str] = set()
    names: dict[str, None] = {}
    for part in walk(node):
        if isinstance(part, ast.comprehension):
            own.update(bound_by(part.target))
        elif isinstance(part, ast.arg):
            own.add(part.arg)
        elif isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            names[part.target.id] = None
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            names[part.id] = None
    return iter([name for name in names if name not in own])


def bound_by(node: ast.AST) -> Iterator[str]:
    """Names that are bound."""
    for part in walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        elif isinstance(part, (ast.FunctionDef, ast.ClassDef)):
            yield part.name
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            for alias in part.names:
                yield alias.asname or alias.name.partition(".")[0]


def item_paths(target: ast.expr, path: tuple[int, ...] = ()) -> list[tuple[str, tuple[int, ...]]] | None:
    """The names in a loop's target and where in the item each comes from; None if there is more than names in it."""
    if isinstance(target, ast.Name):
        return [(target.id, path)]
    if isinstance(target, (ast.Tuple, ast.List)):
        found: list[tuple[str, tuple[int, ...]]] = []
        for number, part in enumerate(target.elts):
            inner = item_paths(part, (*path, number))
            if inner is None:
                return None
            found += inner
        return found if len({name for name, _ in found}) == len(found) else None
    return None


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of a function's parameters."""
    found = node.args
    every = [*found.posonlyargs, *found.args, *found.kwonlyargs, found.vararg, found.kwarg]
    return [part.arg for part in every if part is not None]
