"""Expressions to operations, in Python's order of evaluation.

``expression(frame, node)`` appends the operations of ``node`` to the frame and gives the temporary of its value:

    fit(X, C=1.0)     load fit %0; load X %1; const 1.0 %2; call %0(%1, C=%2) -> %3

Functions and classes are in ``lower_stmt``; lambdas and comprehensions, being expressions, are here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.lower_frame import Frame, close_scope, open_scope
from inferflow.model import Span

OPERATORS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.UAdd: "u+",
    ast.USub: "u-",
    ast.Invert: "~",
    ast.Not: "not",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}

NESTED = 16
"""``a and b and ...`` of up to so many terms is lowered to nested choices, which tell which terms imply which; longer
ones to a row of choices, which allows more paths than there are."""


def expression(frame: Frame, node: Any) -> ir.Temp:
    """Append the operations of an expression, and give its value."""
    handler = _EXPRESSIONS.get(type(node))
    return handler(frame, node) if handler is not None else _unknown(frame, node)


def expressions(frame: Frame, nodes: list[Any]) -> tuple[ir.Temp, ...]:
    """Expressions evaluated one after the other."""
    return tuple([expression(frame, node) for node in nodes])


def run(frame: Frame, node: Any) -> tuple[tuple[ir.Op, ...], ir.Temp]:
    """The operations of an expression apart from those before, and its value."""
    before, frame.ops = frame.ops, []
    value = expression(frame, node)
    ops, frame.ops = tuple(frame.ops), before
    return ops, value


def _unknown(frame: Frame, node: ast.AST) -> ir.Temp:
    """A node of a later Python: what it holds is evaluated, and then anything may happen."""
    frame.unknown(node)
    values = [expression(frame, child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    out = frame.temp()
    frame.ops.append(ir.Operate(out, "?", tuple(values), frame.span(node)))
    return out


# -- names, literals, displays ---------------------------------------------------------------------


def _constant(frame: Frame, node: ast.Constant) -> ir.Temp:
    out = frame.temp()
    frame.ops.append(ir.Const(out, node.value, frame.span(node)))
    return out


def _name(frame: Frame, node: ast.Name) -> ir.Temp:
    name = node.id
    if name.startswith("__"):
        name = frame.mangled(name)
    if frame.erased and name in frame.erased:
        return frame.const(None, frame.span(node))
    out = frame.temp()
    frame.ops.append(ir.Load(out, name, frame.names.bindings.get(name, "global"), frame.span(node)))
    return out


def _display(frame: Frame, node: Any, kind: Any) -> ir.Temp:
    items: list[ir.Temp] = []
    stars: list[int] = []
    for position, item in enumerate(node.elts):
        if isinstance(item, ast.Starred):
            stars.append(position)
            item = item.value
        items.append(expression(frame, item))
    out = frame.temp()
    frame.ops.append(ir.Build(out, kind, tuple(items), frame.span(node), tuple(stars)))
    return out


def _tuple(frame: Frame, node: ast.Tuple) -> ir.Temp:
    return _display(frame, node, "tuple")


def _list(frame: Frame, node: ast.List) -> ir.Temp:
    return _display(frame, node, "list")


def _set(frame: Frame, node: ast.Set) -> ir.Temp:
    return _display(frame, node, "set")


def _dict(frame: Frame, node: ast.Dict) -> ir.Temp:
    items: list[ir.Temp] = []
    stars: list[int] = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            stars.append(len(items))
        else:
            items.append(expression(frame, key))
        items.append(expression(frame, value))
    out = frame.temp()
    frame.ops.append(ir.Build(out, "dict", tuple(items), frame.span(node), tuple(stars)))
    return out


def _slice(frame: Frame, node: ast.Slice) -> ir.Temp:
    span = frame.span(node)
    bounds = (node.lower, node.upper, node.step)
    items = [frame.const(None, span) if bound is None else expression(frame, bound) for bound in bounds]
    out = frame.temp()
    frame.ops.append(ir.Build(out, "slice", tuple(items), span))
    return out


def _fstring(frame: Frame, node: ast.JoinedStr) -> ir.Temp:
    # Python 3.12.0 and 3.12.1 have empty pieces where others have none
    items = expressions(frame, [value for value in node.values if getattr(value, "value", None) != ""])
    out = frame.temp()
    frame.ops.append(ir.Build(out, "fstring", items, frame.span(node)))
    return out


def _formatted(frame: Frame, node: ast.FormattedValue) -> ir.Temp:
    place = frame.place
    if sys.version_info < (3, 12) and place is None and not _trusted(frame, node.value):
        frame.place = frame.span(node)
    value = expression(frame, node.value)
    frame.place = place
    operands = (value,) if node.format_spec is None else (value, expression(frame, node.format_spec))
    out = frame.temp()
    frame.ops.append(ir.Operate(out, "format", operands, frame.span(node)))
    return out


def _trusted(frame: Frame, node: ast.expr) -> bool:
    """Whether a node inside an f-string stands where it says; before Python 3.12 that is not always so."""
    text = frame.file.source(node)
    if isinstance(node, ast.Name):
        return text == node.id
    try:
        found = ast.parse(f"({text})", mode="eval").body
    except (SyntaxError, ValueError):
        return False
    return ast.dump(found) == ast.dump(node)


# -- attributes, items, calls ----------------------------------------------------------------------


def _attribute(frame: Frame, node: ast.Attribute) -> ir.Temp:
    obj = expression(frame, node.value)
    out = frame.temp()
    frame.ops.append(ir.Attr(out, obj, frame.mangled(node.attr), frame.span(node)))
    return out


def _subscript(frame: Frame, node: ast.Subscript) -> ir.Temp:
    obj = expression(frame, node.value)
    key = expression(frame, node.slice)
    out = frame.temp()
    frame.ops.append(ir.Item(out, obj, key, frame.span(node)))
    return out


def _call(frame: Frame, node: ast.Call) -> ir.Temp:
    func = expression(frame, node.func)
    args: list[ir.Arg] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            args.append(ir.Arg(expression(frame, argument.value), None, 1))
        else:
            args.append(ir.Arg(expression(frame, argument)))
    for keyword in node.keywords:
        value = expression(frame, keyword.value)
        args.append(ir.Arg(value, None, 2) if keyword.arg is None else ir.Arg(value, keyword.arg))
    out = frame.temp()
    frame.ops.append(ir.Call(out, func, tuple(args), frame.span(node)))
    return out


def _starred(frame: Frame, node: ast.Starred) -> ir.Temp:
    """Only where it is not part of a display or call: ``x[*i]``, ``*args: *Ts``; a tuple of what it gives."""
    value = expression(frame, node.value)
    out = frame.temp()
    frame.ops.append(ir.Build(out, "tuple", (value,), frame.span(node), (0,)))
    return out


# -- operators -------------------------------------------------------------------------------------


def _binary(frame: Frame, node: ast.BinOp) -> ir.Temp:
    left = expression(frame, node.left)
    right = expression(frame, node.right)
    out = frame.temp()
    frame.ops.append(ir.Operate(out, OPERATORS[type(node.op)], (left, right), frame.span(node)))
    return out


def _unary(frame: Frame, node: ast.UnaryOp) -> ir.Temp:
    value = expression(frame, node.operand)
    out = frame.temp()
    frame.ops.append(ir.Operate(out, OPERATORS[type(node.op)], (value,), frame.span(node)))
    return out


def _choice(frame: Frame, arms: list[tuple[tuple[ir.Op, ...], ir.Temp]], span: Span) -> ir.Temp:
    out = frame.temp()
    frame.ops.append(ir.Choice(out, tuple(arms), span))
    return out


def _boolean(frame: Frame, node: ast.BoolOp) -> ir.Temp:
    span = frame.span(node)
    value = expression(frame, node.values[0])
    rest = node.values[1:]
    if len(rest) < NESTED:
        return _nested(frame, value, rest, span)
    for term in rest:
        value = _choice(frame, [((), value), run(frame, term)], span)
    return value


def _nested(frame: Frame, value: ir.Temp, rest: list[ast.expr], span: Span) -> ir.Temp:
    """``value`` decides whether the ``rest`` is evaluated at all."""
    if not rest:
        return value
    before, frame.ops = frame.ops, []
    other = _nested(frame, expression(frame, rest[0]), rest[1:], span)
    ops, frame.ops = tuple(frame.ops), before
    return _choice(frame, [((), value), (ops, other)], span)


def _compare(frame: Frame, node: ast.Compare) -> ir.Temp:
    span = frame.span(node)
    left = expression(frame, node.left)
    value = -1
    for position, (operator, term) in enumerate(zip(node.ops, node.comparators, strict=True)):
        before, frame.ops = frame.ops, []
        right = expression(frame, term)
        out = frame.temp()
        frame.ops.append(ir.Operate(out, OPERATORS[type(operator)], (left, right), span))
        ops, frame.ops = frame.ops, before
        left = right
        if position == 0:
            frame.ops += ops
            value = out
        else:
            value = _choice(frame, [((), value), (tuple(ops), out)], span)
    return value


def _conditional(frame: Frame, node: ast.IfExp) -> ir.Temp:
    expression(frame, node.test)
    return _choice(frame, [run(frame, node.body), run(frame, node.orelse)], frame.span(node))


def _walrus(frame: Frame, node: ast.NamedExpr) -> ir.Temp:
    value = expression(frame, node.value)
    frame.store(node.target.id, value, "walrus", frame.span(node.target))
    return value


def _await(frame: Frame, node: ast.Await) -> ir.Temp:
    value = expression(frame, node.value)
    out = frame.temp()
    frame.ops.append(ir.Await(out, value, frame.span(node)))
    return out


def _yield(frame: Frame, node: ast.Yield | ast.YieldFrom) -> ir.Temp:
    value = frame.const(None, frame.span(node)) if node.value is None else expression(frame, node.value)
    out = frame.temp()
    frame.ops.append(ir.Yield(out, value, isinstance(node, ast.YieldFrom), frame.span(node)))
    return out


# -- targets ---------------------------------------------------------------------------------------


def assign(frame: Frame, target: Any, value: ir.Temp, how: str) -> None:
    """Bind a target of any form to a value."""
    match target:
        case ast.Name():
            frame.store(target.id, value, how, frame.span(target))
        case ast.Attribute():
            obj = expression(frame, target.value)
            frame.ops.append(ir.StoreAttr(obj, frame.mangled(target.attr), value, frame.span(target)))
        case ast.Subscript():
            obj = expression(frame, target.value)
            key = expression(frame, target.slice)
            frame.ops.append(ir.StoreItem(obj, key, value, frame.span(target)))
        case ast.Tuple() | ast.List():
            outs = tuple([frame.temp() for _ in target.elts])
            starred = next((i for i, item in enumerate(target.elts) if isinstance(item, ast.Starred)), -1)
            frame.ops.append(ir.Unpack(outs, value, starred, frame.span(target)))
            for item, out in zip(target.elts, outs, strict=True):
                assign(frame, item.value if isinstance(item, ast.Starred) else item, out, how)
        case _:
            frame.unknown(target)


# -- scopes inside expressions ---------------------------------------------------------------------


def parameters(frame: Frame, arguments: ast.arguments) -> tuple[ir.Param, ...]:
    """The parameters as they are written, with defaults and annotations as source text."""

    def text(node: Any) -> str | None:
        return None if node is None else frame.file.source(node)

    def one(parameter: ast.arg, kind: Any, default: Any = None) -> ir.Param:
        return ir.Param(frame.mangled(parameter.arg), kind, text(parameter.annotation), text(default))

    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    first = len(arguments.posonlyargs)
    found = [
        one(parameter, "positional" if position < first else "either", default)
        for position, (parameter, default) in enumerate(zip(positional, defaults, strict=True))
    ]
    if arguments.vararg is not None:
        found.append(one(arguments.vararg, "var_positional"))
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(one(parameter, "keyword", default))
    if arguments.kwarg is not None:
        found.append(one(arguments.kwarg, "var_keyword"))
    return tuple(found)


def defaults(frame: Frame, arguments: ast.arguments) -> tuple[tuple[str, ir.Temp], ...]:
    """Evaluate the defaults of parameters, in order."""
    positional = [*arguments.posonlyargs, *arguments.args]
    count = len(arguments.defaults)
    pairs: list[tuple[ast.arg, ast.expr | None]] = list(zip(positional[-count:], arguments.defaults, strict=False))
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return tuple([(frame.mangled(arg.arg), expression(frame, node)) for arg, node in pairs if node is not None])


def _lambda(frame: Frame, node: ast.Lambda) -> ir.Temp:
    values = defaults(frame, node.args)
    return function_of(frame, node, node.body, "<lambda>", parameters(frame, node.args), values)


def function_of(
    frame: Frame,
    node: Any,
    value: ast.expr,
    name: str,
    params: tuple[ir.Param, ...] = (),
    values: tuple[tuple[str, ir.Temp], ...] = (),
) -> ir.Temp:
    """Make a function whose body is one expression: a lambda, or the lazily evaluated value of a ``type`` statement."""
    span = frame.span(node)
    inner = open_scope(frame.file, node, name, frame.index, frame.names)
    inner.place = frame.place
    ops, result = run(inner, value)
    body = (ir.Return(ops, result, inner.span(value), 0),)
    more = {"is_generator": inner.names.is_generator}
    close_scope(inner, "lambda", name, frame.index, body, span, params, **more)
    out = frame.temp()
    frame.ops.append(ir.MakeFunction(out, inner.index, values, span))
    return out


_COMPREHENSION_KINDS: dict[type, tuple[Any, str]] = {
    ast.ListComp: ("list", "<listcomp>"),
    ast.SetComp: ("set", "<setcomp>"),
    ast.DictComp: ("dict", "<dictcomp>"),
    ast.GeneratorExp: ("generator", "<genexpr>"),
}


def _comprehension(frame: Frame, node: Any) -> ir.Temp:
    kind, name = _COMPREHENSION_KINDS[type(node)]
    span = frame.span(node)
    first = expression(frame, node.generators[0].iter)
    inner = open_scope(frame.file, node, name, frame.index, frame.names)
    inner.place = frame.place
    body = (_turns(inner, node, 0),)
    is_async = any(generator.is_async for generator in node.generators)
    more = {"is_generator": kind == "generator", "is_async": is_async}
    close_scope(inner, "comprehension", name, frame.index, body, span, (ir.Param(".0", "positional"),), **more)
    out = frame.temp()
    frame.ops.append(ir.Comprehension(out, inner.index, first, kind, span))
    return out


def _turns(frame: Frame, node: Any, level: int) -> ir.Statement:
    """The loops of a comprehension from the ``level``-th on. The outermost iterable is the parameter ``.0``."""
    if level == len(node.generators):
        return _element(frame, node)
    generator = node.generators[level]
    span = frame.span(generator.target)
    if level == 0:
        iterable = frame.temp()
        ops: tuple[ir.Op, ...] = (ir.Load(iterable, ".0", "local", frame.span(generator.iter)),)
    else:
        ops, iterable = run(frame, generator.iter)
    target = loop_target(frame, generator.target, iterable)
    tests = [(*run(frame, test), frame.span(test)) for test in generator.ifs]
    turn = _turns(frame, node, level + 1)
    for test, value, place in reversed(tests):
        turn = ir.If(test, value, (turn,), (), place, 0)
    return ir.For(ops, iterable, target, (turn,), (), span, 0, bool(generator.is_async))


def loop_target(frame: Frame, target: ast.expr, iterable: ir.Temp) -> tuple[ir.Op, ...]:
    """What runs before each turn of a loop: take an element, bind the target to it."""
    before, frame.ops = frame.ops, []
    out = frame.temp()
    frame.ops.append(ir.Iterate(out, iterable, frame.span(target)))
    assign(frame, target, out, "for")
    ops, frame.ops = tuple(frame.ops), before
    return ops


def _element(frame: Frame, node: Any) -> ir.Statement:
    before, frame.ops = frame.ops, []
    if isinstance(node, ast.DictComp):
        key = expression(frame, node.key)
        value = expression(frame, node.value)
        place = frame.span(node.value)
    else:
        key = None
        value = expression(frame, node.elt)
        place = frame.span(node.elt)
    frame.ops.append(ir.Emit(value, key, place))
    ops, frame.ops = tuple(frame.ops), before
    return ir.Plain("expression", ops, place, 0)


_EXPRESSIONS: dict[type, Callable[[Frame, Any], ir.Temp]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Tuple: _tuple,
    ast.List: _list,
    ast.Set: _set,
    ast.Dict: _dict,
    ast.Slice: _slice,
    ast.JoinedStr: _fstring,
    ast.FormattedValue: _formatted,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Call: _call,
    ast.Starred: _starred,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _conditional,
    ast.NamedExpr: _walrus,
    ast.Await: _await,
    ast.Yield: _yield,
    ast.YieldFrom: _yield,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
}
