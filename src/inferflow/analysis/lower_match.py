"""Patterns of ``match`` to operations: how a subject is taken apart.

    case Point(x=0, y=n)      load Point; isinstance %s; attr x; const 0; ==; attr y; store n

All sub-patterns are lowered as if each were reached; names are bound when the whole pattern matches.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.lower_expr import expression
from inferflow.analysis.lower_frame import Frame


def pattern(frame: Frame, node: Any, subject: ir.Temp) -> None:
    """Append what comparing the subject with a pattern reads, and the names that it binds."""
    handler = _PATTERNS.get(type(node))
    if handler is None:
        frame.unknown(node)
    else:
        handler(frame, node, subject)


def _test(frame: Frame, operator: str, operands: tuple[ir.Temp, ...], node: ast.AST) -> None:
    out = frame.temp()
    frame.ops.append(ir.Operate(out, operator, operands, frame.span(node)))


def _value(frame: Frame, node: ast.MatchValue, subject: ir.Temp) -> None:
    _test(frame, "==", (subject, expression(frame, node.value)), node)


def _singleton(frame: Frame, node: ast.MatchSingleton, subject: ir.Temp) -> None:
    _test(frame, "is", (subject, frame.const(node.value, frame.span(node))), node)


def _sequence(frame: Frame, node: ast.MatchSequence, subject: ir.Temp) -> None:
    outs = tuple([frame.temp() for _ in node.patterns])
    starred = next((i for i, item in enumerate(node.patterns) if isinstance(item, ast.MatchStar)), -1)
    frame.ops.append(ir.Unpack(outs, subject, starred, frame.span(node)))
    for item, out in zip(node.patterns, outs, strict=True):
        pattern(frame, item, out)


def _mapping(frame: Frame, node: ast.MatchMapping, subject: ir.Temp) -> None:
    for key, item in zip(node.keys, node.patterns, strict=True):
        name = expression(frame, key)
        out = frame.temp()
        frame.ops.append(ir.Item(out, subject, name, frame.span(key)))
        pattern(frame, item, out)
    if node.rest is not None:
        span = frame.span(node)
        rest = frame.temp()
        frame.ops.append(ir.Build(rest, "dict", (subject,), span, (0,)))
        frame.store(node.rest, rest, "match", span)


def _class(frame: Frame, node: ast.MatchClass, subject: ir.Temp) -> None:
    cls = expression(frame, node.cls)
    _test(frame, "isinstance", (subject, cls), node)
    names = [""] * len(node.patterns) + [frame.mangled(name) for name in node.kwd_attrs]
    for name, item in zip(names, [*node.patterns, *node.kwd_patterns], strict=True):
        out = frame.temp()
        frame.ops.append(ir.Attr(out, subject, name, frame.span(item)))
        pattern(frame, item, out)


def _capture(frame: Frame, node: ast.MatchAs, subject: ir.Temp) -> None:
    if node.pattern is not None:
        pattern(frame, node.pattern, subject)
    if node.name is not None:
        frame.store(node.name, subject, "match", frame.span(node))


def _rest(frame: Frame, node: ast.MatchStar, subject: ir.Temp) -> None:
    if node.name is not None:
        frame.store(node.name, subject, "match", frame.span(node))


def _either(frame: Frame, node: ast.MatchOr, subject: ir.Temp) -> None:
    arms: list[tuple[tuple[ir.Op, ...], ir.Temp]] = []
    for item in node.patterns:
        before, frame.ops = frame.ops, []
        pattern(frame, item, subject)
        ops, frame.ops = tuple(frame.ops), before
        arms.append((ops, subject))
    out = frame.temp()
    frame.ops.append(ir.Choice(out, tuple(arms), frame.span(node)))


_PATTERNS: dict[type, Callable[[Frame, Any, ir.Temp], None]] = {
    ast.MatchValue: _value,
    ast.MatchSingleton: _singleton,
    ast.MatchSequence: _sequence,
    ast.MatchMapping: _mapping,
    ast.MatchClass: _class,
    ast.MatchAs: _capture,
    ast.MatchStar: _rest,
    ast.MatchOr: _either,
}
