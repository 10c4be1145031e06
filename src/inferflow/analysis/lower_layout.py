"""What only the concrete tree knows: the blank lines, comments and cell markers before statements.

libcst keeps them; ``ast`` does not. Its tree is read statement by statement beside that of ``ast``, which is
isomorphic to it, and is given up then. This is the only module of the analysis that imports libcst.

    # %% load                  paragraph, cell
    df = read()
    df = clean(df)             neither
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import libcst

from inferflow.analysis.lower_frame import MARKER, Layout


def layout(text: str, tree: ast.Module) -> Layout:
    """The layout of each statement that has any. Raises whatever libcst raises on text that it cannot read."""
    module = libcst.parse_module(text)
    found: Layout = {}
    if tree.body and module.header:
        found[tree.body[0]] = _layout(module.header)
    stack: list[tuple[Sequence[Any], list[ast.stmt]]] = [(module.body, tree.body)]
    while stack:
        concrete, abstract = stack.pop()
        position = 0
        for line in concrete:
            if position >= len(abstract):
                break
            statement = abstract[position]
            if line.leading_lines:
                before = found.get(statement, (False, False))
                here = _layout(line.leading_lines)
                found[statement] = (True, before[1] or here[1])
            if isinstance(line, libcst.SimpleStatementLine):
                position += len(line.body)
            else:
                position += 1
                stack.extend(_inner(line, statement))
    return found


def _layout(lines: Sequence[libcst.EmptyLine]) -> tuple[bool, bool]:
    comments = [line.comment.value for line in lines if line.comment is not None]
    return bool(lines), any(MARKER.match(comment) for comment in comments)


def _inner(line: Any, statement: Any) -> list[tuple[Sequence[Any], list[ast.stmt]]]:
    """The statement lists inside a compound statement, concrete and abstract, but for one-line suites (no layout)."""
    pairs: list[tuple[Any, list[ast.stmt]]] = []
    match line:
        case libcst.If():
            pairs.append((line.body, statement.body))
            if isinstance(line.orelse, libcst.If):
                return [*_blocks(pairs), ([line.orelse], statement.orelse)]
            if isinstance(line.orelse, libcst.Else):
                pairs.append((line.orelse.body, statement.orelse))
        case libcst.For() | libcst.While():
            pairs.append((line.body, statement.body))
            if line.orelse is not None:
                pairs.append((line.orelse.body, statement.orelse))
        case libcst.Try() | libcst.TryStar():
            pairs.append((line.body, statement.body))
            handlers: Sequence[Any] = line.handlers
            pairs += [(one.body, other.body) for one, other in zip(handlers, statement.handlers, strict=False)]
            if line.orelse is not None:
                pairs.append((line.orelse.body, statement.orelse))
            if line.finalbody is not None:
                pairs.append((line.finalbody.body, statement.finalbody))
        case libcst.Match():
            pairs += [(one.body, other.body) for one, other in zip(line.cases, statement.cases, strict=False)]
        case libcst.FunctionDef() | libcst.ClassDef() | libcst.With():
            pairs.append((line.body, statement.body))
        case _:
            pass
    return _blocks(pairs)


def _blocks(pairs: list[tuple[Any, list[ast.stmt]]]) -> list[tuple[Sequence[Any], list[ast.stmt]]]:
    return [(block.body, body) for block, body in pairs if isinstance(block, libcst.IndentedBlock)]
