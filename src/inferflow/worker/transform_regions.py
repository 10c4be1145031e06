"""Hooks inside loops, branches and comprehensions; and the code with which a helper runs one turn of a loop.

    for x in xs:                  for x in HOOK.l(4, xs):
        y = f(x)                      HOOK.n(4, x)
        out.append(g(y))              if HOOK.f[7]: y = f(x)
                                      else: y, = HOOK.g(7)
                                      out.append(g(y) if HOOK.f[8] else HOOK.g(8))
    [f(x) for x in xs if ok(x)]   [f(x) if HOOK.f[9] else HOOK.g(9) for x in HOOK.l(5, xs) if HOOK.n(5, x) if ok(x)]
    if a: ...                     if a: HOOK.m(6, 0); ...

    l(region, iterable, *outer)   a loop begins; gives the iterable back. ``outer``: names of the loops around it
    n(region, *item)              a turn begins, with these names bound by the target; True
    m(region, arm)                an arm begins
    f[unit]                       False: the unit's result is at hand
    g(unit)                       the result: a tuple of what the unit binds, or an expression's value

Numbers of regions and units count over the whole driver. As in ``transform``, every new node has the position of the
user's node that it stands beside. What helpers run is a turn's *strand*: ``TARGET = HOOK.item()``, then each unit
followed by ``HOOK.u(unit, *values)``.
"""

from __future__ import annotations

import ast
import copy
from types import CodeType
from typing import Any, NamedTuple, cast

from inferflow.worker.transform import _call, _find_code, _number, _placed, _replace_constant, _span, find_block

__all__ = ["Place", "RegionUnit", "Table", "hook_regions", "item_paths", "strand_code", "table_of"]

Span = tuple[int, int, int, int]


class RegionUnit(NamedTuple):
    """A task of a strand: statements ``first`` to ``last`` of the loop's body, or the expression at a span; and the
    names that it binds."""

    unit: int
    first: int
    last: int
    expression: Span | None
    names: tuple[str, ...]


class Place(NamedTuple):
    """A region: its number, the top-level task that it stands in, its block, kind of node and position; ``units`` and
    ``preamble`` (spans of statements to repeat before them) if turns may run ahead, given ``given`` and ``outer``."""

    region: int
    task: int
    block: int
    node: str
    span: Span
    heavy: bool
    ahead: bool
    units: tuple[RegionUnit, ...]
    preamble: tuple[Span, ...]
    given: tuple[str, ...]
    outer: tuple[str, ...]


class Table(NamedTuple):
    """The driver's regions by where they stand. ``paths`` is filled when the hooks are put in: for each loop that may
    be run ahead, where in an item the names of its target come from."""

    places: dict[tuple[str, Span], Place]
    units: int
    paths: dict[int, list[tuple[int, ...]]]


def table_of(rows: list[dict[str, Any]]) -> Table:
    """From plain data, as the plan has it."""
    places: dict[tuple[str, Span], Place] = {}
    count = 0
    for row in rows:
        units = tuple(
            RegionUnit(number, first, last, tuple(span) if span else None, tuple(names))
            for number, first, last, span, names in row["units"]
        )
        count = max([count, *(unit.unit + 1 for unit in units)])
        span: Span = tuple(row["span"])
        places[row["node"], span] = Place(
            row["region"], row["task"], row["block"], row["node"], span, row["heavy"], row["ahead"], units,
            tuple(tuple(part) for part in row["preamble"]), tuple(row["given"]), tuple(row["outer"]),
        )  # fmt: skip
    return Table(places, count, {})


_NODES: dict[str, str] = {
    "For": "for", "While": "while", "If": "if", "With": "with", "Try": "try", "TryStar": "try", "Match": "match",
    "ListComp": "comprehension", "SetComp": "comprehension", "DictComp": "comprehension",
}  # fmt: skip
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def hook_regions(body: list[ast.stmt], table: Table) -> None:
    """Put hooks into the compound statements and comprehensions of a block; the block's own list stays as it is."""
    for statement in body:
        _visit(statement, table)


def _visit(node: ast.AST, table: Table) -> None:
    if isinstance(node, _SCOPES):
        return
    kind = _NODES.get(type(node).__name__)
    place = table.places.get((kind, _span(node))) if kind else None
    for child in ast.iter_child_nodes(node):
        _visit(child, table)
    if place is None:
        return
    if isinstance(node, ast.For):
        _for(node, place, table)
    elif isinstance(node, ast.While):
        _arm(node.body, place, 0)
        _arm(node.orelse, place, 1)
    elif isinstance(node, ast.If):
        _branch(node, place)
    elif isinstance(node, ast.With):
        _arm(node.body, place, 0)
    elif kind == "comprehension":
        _comprehension(node, place, table)
    elif kind == "match":
        for arm, case in enumerate(node.cases):  # type: ignore[attr-defined]
            _arm(case.body, place, arm)
    elif kind == "try":
        _try(node, place)


def _arm(body: list[ast.stmt], place: Place, arm: int) -> None:
    if body:
        at = body[0]
        body.insert(0, _placed(ast.Expr(value=_call("m", [_number(place.region), _number(arm)], at)), at))


def _branch(node: ast.If, place: Place) -> None:
    arm = 0
    current = node
    while True:
        _arm(current.body, place, arm)
        arm += 1
        rest = current.orelse
        # An ``elif`` stands at the column of its ``if``, an ``if`` in an ``else`` further to the right.
        if len(rest) == 1 and isinstance(rest[0], ast.If) and rest[0].col_offset == current.col_offset:
            current = rest[0]
            continue
        _arm(rest, place, arm)
        return


def _try(node: Any, place: Place) -> None:
    arm = 0
    for body in (node.body, *(handler.body for handler in node.handlers), node.orelse, node.finalbody):
        if body or arm <= len(node.handlers):
            _arm(body, place, arm)
            arm += 1


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


def _loads(names: list[str]) -> list[ast.expr]:
    return [ast.Name(id=name, ctx=ast.Load()) for name in names]


def _for(node: ast.For, place: Place, table: Table) -> None:
    paths = item_paths(node.target) if place.ahead else None
    if paths is not None:
        table.paths[place.region] = [path for _, path in paths]
        node.body = _hooked(node.body, place)
        node.iter = _call("l", [_number(place.region), node.iter, *_loads(list(place.outer))], node.iter)
    at = node.body[0]
    if paths is None:
        _arm(node.body, place, 0)
    else:
        begin = _call("n", [_number(place.region), *_loads([name for name, _ in paths])], at)
        node.body.insert(0, _placed(ast.Expr(value=begin), at))
    _arm(node.orelse, place, 1)


def _comprehension(node: Any, place: Place, table: Table) -> None:
    generator = node.generators[-1]
    paths = item_paths(generator.target)
    if paths is None or not place.ahead:
        return
    table.paths[place.region] = [path for _, path in paths]
    expressions = {unit.expression: unit for unit in place.units if unit.expression is not None}
    wrap = _Units(expressions)
    for part in ("elt", "key", "value"):
        if hasattr(node, part):
            setattr(node, part, wrap.visit(getattr(node, part)))
    generator.iter = _call("l", [_number(place.region), generator.iter, *_loads(list(place.outer))], generator.iter)
    at = generator.ifs[0] if generator.ifs else generator.iter
    generator.ifs.insert(0, _call("n", [_number(place.region), *_loads([name for name, _ in paths])], at))


def _hooked(body: list[ast.stmt], place: Place) -> list[ast.stmt]:
    wrap = _Units({unit.expression: unit for unit in place.units if unit.expression is not None})
    statements = {unit.first: unit for unit in place.units if unit.expression is None}
    out: list[ast.stmt] = []
    position = 0
    while position < len(body):
        unit = statements.get(position)
        if unit is None:
            out.append(wrap.visit(body[position]) if wrap.units else body[position])
            position += 1
            continue
        run = body[unit.first : unit.last + 1]
        at = run[0]
        taken = _call("g", [_number(unit.unit)], at)
        otherwise: ast.stmt
        if unit.names:
            targets: list[ast.expr] = [ast.Name(id=name, ctx=ast.Store()) for name in unit.names]
            otherwise = ast.Assign(targets=[ast.Tuple(elts=targets, ctx=ast.Store())], value=taken)
        else:
            otherwise = ast.Expr(value=taken)
        out.append(_placed(ast.If(test=_flag(unit.unit, at), body=run, orelse=[_placed(otherwise, at)]), at))
        position = unit.last + 1
    return out


def _flag(unit: int, at: Any) -> ast.expr:
    """``HOOK.f[unit]``"""
    flags = _call("f", [], at)
    assert isinstance(flags, ast.Call)
    found: ast.expr = _placed(ast.Subscript(value=flags.func, slice=_number(unit), ctx=ast.Load()), at)
    return found


class _Units(ast.NodeTransformer):
    """Wraps the expressions of units."""

    def __init__(self, units: dict[Span, RegionUnit]) -> None:
        self.units = units

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, _SCOPES):
            return node
        unit = self.units.get(_span(node)) if isinstance(node, ast.Call) else None
        if unit is None:
            return self.generic_visit(node)
        taken = _call("g", [_number(unit.unit)], node)
        return _placed(ast.IfExp(test=_flag(unit.unit, node), body=cast(ast.expr, node), orelse=taken), node)


# -- for helpers -----------------------------------------------------------------------------------


def strand_code(
    tree: ast.Module, filename: str, flags: int, block: dict[str, Any], place: Place, names: list[str], hook: object
) -> CodeType:
    """Code that runs the strand of one turn. In a function or a comprehension: of a function that takes ``names``; at
    the level of a module, to execute in its namespace."""
    owner = find_block(tree, block["kind"], block["line"], block["column"])
    node = next(
        part
        for statement in owner.body
        for part in ast.walk(statement)
        if _NODES.get(type(part).__name__) == place.node and _span(part) == place.span
    )
    comprehension = place.node == "comprehension"
    target = node.generators[-1].target if comprehension else node.target  # type: ignore[attr-defined]
    taken = _call("item", [], target)
    begin = copy.deepcopy(target)
    statements: list[ast.stmt] = [_placed(ast.Assign(targets=[begin], value=taken), target)]
    if comprehension:
        statements += [_kept(unit, _expression(node, unit)) for unit in place.units]
    else:
        statements += _strand_body(node.body, place)  # type: ignore[attr-defined]
    if block["kind"] != "function" and not comprehension:
        module = ast.Module(body=statements, type_ignores=[])
        code = compile(module, filename, "exec", flags=flags, dont_inherit=True)
        return _replace_constant(code, hook)
    at = statements[0]
    arguments = ast.arguments(
        posonlyargs=[], args=[_placed(ast.arg(arg=name), at) for name in names], vararg=None, kwonlyargs=[],
        kw_defaults=[], kwarg=None, defaults=[],
    )  # fmt: skip
    name = block["name"] if block["kind"] == "function" else "turn"
    function = ast.FunctionDef(name=name, args=arguments, body=statements, decorator_list=[], returns=None)
    if "type_params" in ast.FunctionDef._fields:
        function.type_params = []  # type: ignore[attr-defined]
    function.lineno, function.col_offset, function.end_lineno, function.end_col_offset = _span(at)
    compiled = compile(ast.Module(body=[function], type_ignores=[]), filename, "exec", flags=flags, dont_inherit=True)
    return _replace_constant(_find_code(compiled, name, function.lineno), hook)


def _strand_body(body: list[ast.stmt], place: Place) -> list[ast.stmt]:
    spans = {(line, column) for line, column, _, _ in place.preamble}
    parts: list[tuple[int, int, list[ast.stmt]]] = [
        (number, 0, [node]) for number, node in enumerate(body) if (node.lineno, node.col_offset) in spans
    ]
    for order, unit in enumerate(place.units):
        if unit.expression is not None:
            parts.append((unit.first, 1 + order, [_kept(unit, _expression(body[unit.first], unit))]))
        else:
            at = body[unit.last]
            tell = _call("u", [_number(unit.unit), *_loads(list(unit.names))], at)
            done = _placed(ast.Expr(value=tell), at)
            parts.append((unit.first, 1 + order, [*body[unit.first : unit.last + 1], done]))
    return [statement for _, _, run in sorted(parts, key=lambda part: part[:2]) for statement in run]


def _expression(inside: ast.AST, unit: RegionUnit) -> ast.expr:
    return next(part for part in ast.walk(inside) if isinstance(part, ast.Call) and _span(part) == unit.expression)


def _kept(unit: RegionUnit, value: ast.expr) -> ast.stmt:
    kept: ast.stmt = _placed(ast.Expr(value=_call("u", [_number(unit.unit), value], value)), value)
    return kept
