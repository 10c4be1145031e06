"""What only the concrete tree knows: the blank lines, comments and cell markers before statements.

libcst keeps them; ``ast`` does not. Its tree is read statement by statement beside that of ``ast``, which is
isomorphic to it, and is given up then. This is the only module of the analysis that imports libcst.

    # %% load                  paragraph, cell
    df = read()
    df = clean(df)             neither

What stands inside a simple statement is of no interest here, and makes nine tenths of a concrete tree. So libcst is
given the driver's *outline*, in which each of them is ``pass``, and everything else (headers of compound statements,
indentation, blank lines, comments) is as the user wrote it:

    # %% load
    pass
    pass
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import libcst

from inferflow.analysis.lower_frame import MARKER, Layout


def layout(text: str, tree: ast.Module) -> Layout:
    """The layout of each statement that has any. Raises whatever libcst raises on text that it cannot read."""
    module = libcst.parse_module(outline(text, tree))
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


def outline(text: str, tree: ast.Module) -> str:
    """The text with ``pass`` in place of each simple statement."""
    whole = text.encode("utf-8", "surrogatepass")
    starts = [0]
    for line in whole.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    spans: list[tuple[int, int]] = []
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.stmt) and not isinstance(node, _COMPOUND):
            end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
            spans.append((starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column))
        else:
            for name in ("body", "orelse", "handlers", "finalbody", "cases"):
                stack += getattr(node, name, ())
    parts: list[bytes] = []
    position = 0
    for start, end in sorted(spans):
        parts += (whole[position:start], b"pass")
        position = end
    parts.append(whole[position:])
    return b"".join(parts).decode("utf-8", "surrogatepass")


_COMPOUND = tuple(
    kind for kind in ast.stmt.__subclasses__() if "body" in kind._fields or kind is getattr(ast, "Match", None)
)


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
