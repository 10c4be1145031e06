"""Conditional expressions and ``and``/``or`` with calls of the project's functions, as branches within a statement.

    y = slow(x) if big else quick(x)          branch: if big: slow;  else: quick
    ok = valid(x) and check(x) or repair(x)   branch or: ... or repair(x): repair;  in it a branch and: and check(x)

Which arm is taken is decided at run time by the value. The arms keep their place: an arm is run when it is chosen.
Structure comes from the text of the statement, since the intermediate representation keeps no names for arms; which
calls matter is told by what the statement was found to call. What stands in a ``lambda`` or a generator expression runs
some other time, and is none of the statement's; annotations are not run, or not as a part of what is done.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from inferflow.model import Anchor, Arm, Reason, Region, Span, Task
from inferflow.records import frozen

__all__ = ["Where", "choices_in", "short_names"]

LATER = (ast.Lambda, ast.GeneratorExp, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LONGEST = 40
"""Characters of an arm's name."""


@frozen
class Where:
    """Where a text stands: the span that it was cut from, the number of its block; ``apart`` are spans of expressions
    in it that are looked at by themselves; ``names`` those of the functions that the statement calls; ``placed`` why an
    arm keeps its place."""

    span: Span
    block: int
    names: dict[str, str]
    apart: Collection[Span]
    placed: str

    def at(self, node: ast.AST) -> Span:
        """The span of a node of the text that was parsed."""
        line, column, end_line, end_column = node.lineno, node.col_offset, node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]
        first = self.span.column
        return Span(
            self.span.path,
            self.span.line + line - 1,
            column + (first if line == 1 else 0),
            self.span.line + end_line - 1,
            end_column + (first if end_line == 1 else 0),
        )


def short_names(callees: Iterable[str]) -> dict[str, str]:
    """The names by which functions are called, with the functions: ``flow:Model.fit`` is called as ``fit``."""
    found: dict[str, str] = {}
    for callee in callees:
        parts = callee.rpartition(":")[2].split(".")
        found[parts[-2] if parts[-1] == "__init__" and len(parts) > 1 else parts[-1]] = callee
    return found


def choices_in(text: str, where: Where, heads: bool = False) -> tuple[Region, ...]:
    """The branches in a statement, or (``heads``) in the head of a compound one, of which the first line or lines up to
    the body are the text."""
    if not where.names or not any(
        word in text for word in (" if ", " and ", " or ", "and(", "or(", ")and", ")or", "\n")
    ):
        return ()
    try:
        tree = ast.parse(f"{text.rstrip()} pass" if heads else text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    finder = _Finder(text, where)
    return tuple(region for node in tree.body for region in finder.regions(node))


class _Finder:
    def __init__(self, text: str, where: Where) -> None:
        self.text = text
        self.where = where

    def regions(self, node: ast.AST) -> Iterator[Region]:
        """The outermost branches in a node."""
        if isinstance(node, LATER) or (isinstance(node, ast.Call) and self.where.at(node) in self.where.apart):
            return
        found = self.region(node) if isinstance(node, ast.IfExp | ast.BoolOp) else None
        if found is not None:
            yield from self.regions(node.test if isinstance(node, ast.IfExp) else node.values[0])  # type: ignore[attr-defined]
            yield found
            return
        for child in run_with(node):
            yield from self.regions(child)

    def region(self, node: ast.IfExp | ast.BoolOp) -> Region | None:
        counts: dict[str, int] = {}
        if isinstance(node, ast.IfExp):
            test = self.said(node.test)
            name = f"if {test}"
            parts: list[tuple[str, ast.expr]] = [(name, node.body), ("else", node.orelse)]
        else:
            word = "and" if isinstance(node.op, ast.And) else "or"
            name = word
            parts = [(f"{word} {self.said(part)}", part) for part in node.values[1:]]
        arms = []
        for said, part in parts:
            tasks = tuple(self.tasks(part, counts))
            arms.append(Arm(_short(said), self.where.at(part), tasks))
        if not any(arm.tasks for arm in arms):
            return None
        return Region("branch", _short(name), self.where.at(node), tuple(arms), comprehension=True, heavy=False)

    def tasks(self, node: ast.AST, counts: dict[str, int]) -> Iterator[Task]:
        """The calls in an arm, and the branches, in the order in which they stand."""
        if isinstance(node, LATER) or (isinstance(node, ast.Call) and self.where.at(node) in self.where.apart):
            return
        if isinstance(node, ast.IfExp | ast.BoolOp):
            region = self.region(node)
            if region is not None:
                test = node.test if isinstance(node, ast.IfExp) else node.values[0]
                yield from self.tasks(test, counts)
                yield self.task("if" if isinstance(node, ast.IfExp) else region.name, node, counts, (), (region,))
                return
        for child in run_with(node):
            yield from self.tasks(child, counts)
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in self.where.names:
                yield self.task(name, node, counts, (self.where.names[name],), ())

    def task(
        self, name: str, node: ast.expr, counts: dict[str, int], callees: tuple[str, ...], regions: tuple[Region, ...]
    ) -> Task:
        counts[name] = counts.get(name, 0) + 1
        span = self.where.at(node)
        return Task(
            key=(name, counts[name]),
            kind="branch" if regions else "call",
            span=span,
            source=ast.get_source_segment(self.text, node) or name,
            anchor=Anchor(self.where.block, 0, 0, span),
            callees=callees,
            home=(Reason(self.where.placed, span),),
            regions=regions,
        )

    def said(self, node: ast.expr) -> str:
        return " ".join((ast.get_source_segment(self.text, node) or "").split())


def run_with(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node, but for an annotation: with ``from __future__ import annotations`` it is a text."""
    return (child for child in ast.iter_child_nodes(node) if child is not getattr(node, "annotation", None))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
