"""Statements to the intermediate representation.

``body(frame, statements)`` lowers a statement list. Of a compound statement, the operations of its head are its own;
its bodies are statement lists again.

    for x in f(): g(x)      For(ops=load f; call, target=iterate; store x, body=(Plain(load g; load x; call),))
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.lower_expr import (
    OPERATORS,
    assign,
    defaults,
    expression,
    expressions,
    function_of,
    loop_target,
    parameters,
    run,
)
from inferflow.analysis.lower_frame import Frame, close_scope, open_scope
from inferflow.analysis.lower_match import pattern
from inferflow.model import Span

_NO_LAYOUT = (False, False)


def body(frame: Frame, statements: list[ast.stmt]) -> tuple[ir.Statement, ...]:
    """Lower a statement list."""
    return tuple([statement(frame, node, index) for index, node in enumerate(statements)])


def statement(frame: Frame, node: Any, index: int) -> ir.Statement:
    """Lower one statement, at position ``index`` of its list."""
    kind = type(node)
    paragraph, cell = frame.file.layout.get(node, _NO_LAYOUT)
    before, frame.ops = frame.ops, []
    simple = _SIMPLE.get(kind)
    if simple is not None:
        name, handler = simple
        handler(frame, node)
        lowered: ir.Statement = ir.Plain(name, tuple(frame.ops), frame.span(node), index, paragraph, cell)
    else:
        compound = _OTHERS.get(kind, _unknown)
        lowered = compound(frame, node, frame.span(node), index, paragraph, cell)
    frame.ops = before
    return lowered


def _taken(frame: Frame) -> tuple[ir.Op, ...]:
    ops, frame.ops = tuple(frame.ops), []
    return ops


def _unknown(frame: Frame, node: Any, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    frame.unknown(node)
    frame.ops.append(ir.Operate(frame.temp(), "?", (), span))
    return ir.Plain("expression", _taken(frame), span, index, paragraph, cell)


# -- simple statements -----------------------------------------------------------------------------


def _expression(frame: Frame, node: ast.Expr) -> None:
    expression(frame, node.value)


def _assign(frame: Frame, node: ast.Assign) -> None:
    value = expression(frame, node.value)
    for target in node.targets:
        assign(frame, target, value, "assign")


def _augmented(frame: Frame, node: ast.AugAssign) -> None:
    target, span = node.target, frame.span(node.target)

    def operate(old: ir.Temp) -> ir.Temp:
        value = expression(frame, node.value)
        out = frame.temp()
        frame.ops.append(ir.Operate(out, OPERATORS[type(node.op)], (old, value), frame.span(node), True))
        return out

    old = frame.temp()
    match target:
        case ast.Name():
            name = frame.mangled(target.id)
            frame.ops.append(ir.Load(old, name, frame.binding(name), span))
            frame.store(target.id, operate(old), "augmented", span)
        case ast.Attribute():
            name = frame.mangled(target.attr)
            obj = expression(frame, target.value)
            frame.ops.append(ir.Attr(old, obj, name, span))
            frame.ops.append(ir.StoreAttr(obj, name, operate(old), span))
        case ast.Subscript():
            obj = expression(frame, target.value)
            key = expression(frame, target.slice)
            frame.ops.append(ir.Item(old, obj, key, span))
            frame.ops.append(ir.StoreItem(obj, key, operate(old), span))


def _annotated(frame: Frame, node: ast.AnnAssign) -> None:
    target = node.target
    if node.value is not None:
        assign(frame, target, expression(frame, node.value), "annotated")
    elif isinstance(target, ast.Attribute):
        expression(frame, target.value)
    elif isinstance(target, ast.Subscript):
        expressions(frame, [target.value, target.slice])
    if frame.names.kind in ("module", "class") and not frame.file.string_annotations:
        expression(frame, node.annotation)


def _delete(frame: Frame, node: ast.Delete) -> None:
    for target in node.targets:
        _delete_target(frame, target)


def _delete_target(frame: Frame, target: Any) -> None:
    span = frame.span(target)
    match target:
        case ast.Name():
            name = frame.mangled(target.id)
            frame.ops.append(ir.Delete(name, frame.binding(name), span))
        case ast.Attribute():
            frame.ops.append(ir.DelAttr(expression(frame, target.value), frame.mangled(target.attr), span))
        case ast.Subscript():
            obj = expression(frame, target.value)
            frame.ops.append(ir.DelItem(obj, expression(frame, target.slice), span))
        case ast.Tuple() | ast.List():
            for item in target.elts:
                _delete_target(frame, item)
        case _:
            frame.unknown(target)


def _import(frame: Frame, node: ast.Import) -> None:
    for alias in node.names:
        span = frame.span(alias)
        out = frame.temp()
        frame.ops.append(ir.ImportModule(out, alias.name, alias.asname is not None, span))
        frame.store(alias.asname or alias.name.partition(".")[0], out, "import", span)


def _import_from(frame: Frame, node: ast.ImportFrom) -> None:
    for alias in node.names:
        span = frame.span(alias)
        if alias.name == "*":
            frame.ops.append(ir.ImportFrom(-1, node.module or "", node.level, "*", span))
            continue
        out = frame.temp()
        frame.ops.append(ir.ImportFrom(out, node.module or "", node.level, alias.name, span))
        frame.store(alias.asname or alias.name, out, "import", span)


def _assert(frame: Frame, node: ast.Assert) -> None:
    test = expression(frame, node.test)
    if node.msg is not None:
        message = run(frame, node.msg)
        frame.ops.append(ir.Choice(frame.temp(), (((), test), message), frame.span(node)))


def _nothing(frame: Frame, node: ast.stmt) -> None:
    pass


def _type_alias(frame: Frame, node: Any) -> None:
    value = function_of(frame, node, node.value, node.name.id)
    frame.store(node.name.id, value, "assign", frame.span(node.name))


def _function(frame: Frame, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    span = frame.span(node)
    decorators = expressions(frame, node.decorator_list)
    values = defaults(frame, node.args)
    inner = open_scope(frame.file, node, node.name, frame.index, frame.names)
    if not frame.file.string_annotations:
        frame.erased = inner.names.type_params
        _annotations(frame, node)
        frame.erased = ()
    close_scope(
        inner,
        "function",
        node.name,
        frame.index,
        body(inner, node.body),
        span,
        parameters(inner, node.args),
        decorators=tuple([frame.file.source(decorator) for decorator in node.decorator_list]),
        docstring=docstring(node),
        node=None if node.decorator_list else node,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        is_generator=inner.names.is_generator,
    )
    out = frame.temp()
    frame.ops.append(ir.MakeFunction(out, inner.index, values, span))
    frame.store(node.name, _decorated(frame, out, decorators, span), "def", span)


def _annotations(frame: Frame, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    arguments = node.args
    order = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    for parameter in order:
        if parameter is not None and parameter.annotation is not None:
            expression(frame, parameter.annotation)
    if node.returns is not None:
        expression(frame, node.returns)


def _decorated(frame: Frame, value: ir.Temp, decorators: tuple[ir.Temp, ...], span: Span) -> ir.Temp:
    for decorator in reversed(decorators):
        out = frame.temp()
        frame.ops.append(ir.Call(out, decorator, (ir.Arg(value),), span))
        value = out
    return value


def _class(frame: Frame, node: ast.ClassDef) -> None:
    span = frame.span(node)
    decorators = expressions(frame, node.decorator_list)
    inner = open_scope(frame.file, node, node.name, frame.index, frame.names)
    frame.erased = inner.names.type_params
    bases = expressions(frame, node.bases)
    keywords = tuple([(keyword.arg or "**", expression(frame, keyword.value)) for keyword in node.keywords])
    frame.erased = ()
    close_scope(
        inner,
        "class",
        node.name,
        frame.index,
        body(inner, node.body),
        span,
        decorators=tuple([frame.file.source(decorator) for decorator in node.decorator_list]),
        docstring=docstring(node),
        node=None if node.decorator_list else node,
    )
    out = frame.temp()
    frame.ops.append(ir.MakeClass(out, inner.index, bases, keywords, span))
    frame.store(node.name, _decorated(frame, out, decorators, span), "class", span)


def docstring(node: Any) -> str | None:
    """The docstring of a module, function or class, as it stands."""
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str(text))), *_]:
            return text
        case _:
            return None


# -- jumps -----------------------------------------------------------------------------------------


def _return(frame: Frame, node: ast.Return, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    value = None if node.value is None else expression(frame, node.value)
    return ir.Return(_taken(frame), value, span, index, paragraph, cell)


def _raise(frame: Frame, node: ast.Raise, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    value = None if node.exc is None else expression(frame, node.exc)
    cause = None if node.cause is None else expression(frame, node.cause)
    return ir.Raise(_taken(frame), value, cause, span, index, paragraph, cell)


def _jump(frame: Frame, node: ast.stmt, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    return ir.Jump("break" if isinstance(node, ast.Break) else "continue", span, index, paragraph, cell)


# -- compound statements ---------------------------------------------------------------------------


def _if(frame: Frame, node: ast.If, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    test = expression(frame, node.test)
    ops = _taken(frame)
    return ir.If(ops, test, body(frame, node.body), body(frame, node.orelse), span, index, paragraph, cell)


def _while(frame: Frame, node: ast.While, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    test = expression(frame, node.test)
    ops = _taken(frame)
    return ir.While(ops, test, body(frame, node.body), body(frame, node.orelse), span, index, paragraph, cell)


def _for(frame: Frame, node: Any, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    iterable = expression(frame, node.iter)
    ops = _taken(frame)
    target = loop_target(frame, node.target, iterable)
    turns, orelse = body(frame, node.body), body(frame, node.orelse)
    is_async = isinstance(node, ast.AsyncFor)
    return ir.For(ops, iterable, target, turns, orelse, span, index, is_async, paragraph, cell)


def _with(frame: Frame, node: Any, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    items: list[tuple[tuple[ir.Op, ...], ir.Temp, ir.Temp, tuple[ir.Op, ...]]] = []
    for item in node.items:
        manager = expression(frame, item.context_expr)
        ops = _taken(frame)
        entered = frame.temp()
        if item.optional_vars is not None:
            assign(frame, item.optional_vars, entered, "with")
        items.append((ops, manager, entered, _taken(frame)))
    is_async = isinstance(node, ast.AsyncWith)
    return ir.With(tuple(items), body(frame, node.body), span, index, is_async, paragraph, cell)


def _try(frame: Frame, node: Any, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    star = type(node).__name__ == "TryStar"
    return ir.Try(
        body(frame, node.body),
        tuple([_handler(frame, handler, star) for handler in node.handlers]),
        body(frame, node.orelse),
        body(frame, node.finalbody),
        span,
        index,
        paragraph,
        cell,
    )


def _handler(frame: Frame, node: ast.ExceptHandler, star: bool) -> ir.Handler:
    span = frame.span(node)
    if node.type is not None:
        expression(frame, node.type)
    ops = _taken(frame)
    caught = frame.temp()
    if node.name is None:
        return ir.Handler(ops, caught, (), body(frame, node.body), span, star)
    frame.store(node.name, caught, "except", span)
    bind = _taken(frame)
    name = frame.mangled(node.name)
    unbind = ir.Plain("delete", (ir.Delete(name, frame.binding(name), span),), span, len(node.body))
    return ir.Handler(ops, caught, bind, (*body(frame, node.body), unbind), span, star)


def _match(frame: Frame, node: ast.Match, span: Span, index: int, paragraph: bool, cell: bool) -> ir.Statement:
    subject = expression(frame, node.subject)
    ops = _taken(frame)
    cases = tuple([_case(frame, case, subject) for case in node.cases])
    return ir.Match(ops, subject, cases, span, index, paragraph, cell)


def _case(frame: Frame, node: ast.match_case, subject: ir.Temp) -> ir.Case:
    pattern(frame, node.pattern, subject)
    ops = _taken(frame)
    if node.guard is not None:
        expression(frame, node.guard)
    guard = _taken(frame)
    return ir.Case(ops, guard, body(frame, node.body), frame.span(node.pattern))


_SIMPLE: dict[type, tuple[str, Callable[[Frame, Any], None]]] = {
    ast.Expr: ("expression", _expression),
    ast.Assign: ("assign", _assign),
    ast.AugAssign: ("augmented", _augmented),
    ast.AnnAssign: ("annotated", _annotated),
    ast.Delete: ("delete", _delete),
    ast.Import: ("import", _import),
    ast.ImportFrom: ("import", _import_from),
    ast.FunctionDef: ("def", _function),
    ast.AsyncFunctionDef: ("def", _function),
    ast.ClassDef: ("class", _class),
    ast.Pass: ("pass", _nothing),
    ast.Global: ("global", _nothing),
    ast.Nonlocal: ("nonlocal", _nothing),
    ast.Assert: ("assert", _assert),
}
if hasattr(ast, "TypeAlias"):
    _SIMPLE[ast.TypeAlias] = ("type", _type_alias)

_OTHERS: dict[type, Callable[[Frame, Any, Span, int, bool, bool], ir.Statement]] = {
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Break: _jump,
    ast.Continue: _jump,
    ast.If: _if,
    ast.While: _while,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.Match: _match,
}
if hasattr(ast, "TryStar"):
    _OTHERS[ast.TryStar] = _try
