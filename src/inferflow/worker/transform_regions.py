"""Hooks inside loops, branches and comprehensions.

    for x in xs:                  for x in HOOK.l(4, xs):
        y = f(x)                      HOOK.n(4, x)
        out.append(g(y))              if HOOK.f[7] or HOOK.t(7): y = f(x)
                                      else: y, = HOOK.g(7)
                                      out.append(g(y) if HOOK.f[8] or HOOK.t(8) else HOOK.g(8))
    [f(x) for x in xs]            [f(x) if HOOK.f[9] or HOOK.t(9) else HOOK.g(9) for x in HOOK.l(5, xs) if HOOK.n(5, x)]
    list(map(f, xs))              list(map(*HOOK.w(6, map, f, xs)))
    f(x) if a else g(x)           (HOOK.m(9, 0) or f(x)) if a else (HOOK.m(9, 1) or g(x))
    if a:                         if a:
        y = f(a)                      HOOK.m(6, 0); HOOK.e(2)
        z = g(a)                      if HOOK.t(10): y = f(a)
                                      else: y, = HOOK.g(10)
                                      if HOOK.t(11): ...

    l(region, iterable, *outer)   a loop begins; gives the iterable back. ``outer``: names of the loops around it
    n(region, *item)              a turn begins, with these names bound by the target; True
    w(region, map, f, *iterables) what to give to ``map`` in their place (see ``frames_map``)
    m(region, arm)                an arm begins
    z(region)                     a loop is over
    v(region, value)              the same, where ``any`` or ``all`` has given this; gives it back
    f[unit]                       False: the unit's result is at hand, if nothing speaks against it
    g(unit)                       the result: a tuple of what the unit binds, or an expression's value
    h(unit)                       whether it has bound the next of the names that it may bind; and then, to what
    e(stage)                      a stage begins: tasks of this arm that may run beside each other
    t(unit)                       False: the unit's result is at hand, and all that it read is as it was
    c(region, *parameters)        a coroutine begins, of which units may run ahead (see ``siblings``)

Numbers of regions and units count over the whole driver. As in ``transform``, every new node has the position of the
user's node that it stands beside. What helpers run: ``strand_code``.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Container, Mapping
from typing import Any, NamedTuple, cast

from inferflow.worker.region_names import bound_by, item_paths, loaded, names_read, parameters
from inferflow.worker.transform import _call, _if_bound, _number, _placed, _span, annotations_in, walk

__all__ = [
    "NODES",
    "Place",
    "RegionUnit",
    "StagePlace",
    "Table",
    "hook_choices",
    "hook_counts",
    "hook_opened",
    "hook_regions",
    "arms_of",
    "comprehension_places",
    "expression_in",
    "loads",
    "table_of",
]

Span = tuple[int, int, int, int]


class RegionUnit(NamedTuple):
    """A task of a strand: statements ``first`` to ``last`` of the loop's body, or the expression at a span; the names
    that it binds, and those that it may bind (``maybe``)."""

    unit: int
    first: int
    last: int
    expression: Span | None
    names: tuple[str, ...]
    maybe: tuple[str, ...]


class StagePlace(NamedTuple):
    """A stage: from statement ``first`` of arm ``arm`` of a region on, the units of each group may run beside those of
    the others. ``preamble`` are spans of statements of the arm to repeat before them."""

    stage: int
    region: int
    task: int
    arm: int
    first: int
    groups: tuple[tuple[RegionUnit, ...], ...]
    preamble: tuple[Span, ...]

    @property
    def at_once(self) -> bool:
        """Whether home begins the first group at the very moment when the stage begins."""
        return self.groups[0][0].first == self.first


class Slice(NamedTuple):
    """What helpers run of a turn beside its strand: they enter the regions ``heads``, of which ``loops`` are loops, to
    get to units in arms (``arms``: numbers by region and arm)."""

    heads: frozenset[int]
    loops: frozenset[int]
    arms: dict[tuple[int, int], tuple[int, ...]]


class Place(NamedTuple):
    """A region: its number, the top-level task that it stands in, its block (or the function that is opened, as
    ``module:name``), kind of node and position; ``units`` and
    ``preamble`` (spans of statements to repeat before them) if turns may run ahead, given ``given`` and ``outer``;
    ``slice`` what else of a turn. ``around`` are the loops whose slices go through this one, the innermost first;
    ``arms`` the units in each arm that are run with turns of loops around. ``within`` are all loops that it stands in,
    the outermost first; ``told``: what is printed in it is worth telling by turns. ``apart``: of a coroutine, the units
    that may run as soon as it exists. ``tests``: so many of a comprehension's conditions helpers decide themselves."""

    region: int
    task: int
    block: int
    function: str
    node: str
    span: Span
    heavy: bool
    ahead: bool
    units: tuple[RegionUnit, ...]
    preamble: tuple[Span, ...]
    given: tuple[str, ...]
    outer: tuple[str, ...]
    stages: tuple[StagePlace, ...]
    slice: Slice
    around: tuple[int, ...]
    within: tuple[int, ...]
    told: bool
    arms: dict[int, tuple[RegionUnit, ...]]
    apart: tuple[RegionUnit, ...]
    tests: int

    @property
    def keyed(self) -> bool:
        """Whether not every turn gets to all units: helpers tell which each result is of."""
        return bool(self.slice.arms or self.tests)


class Table(NamedTuple):
    """The driver's regions by where they stand. ``paths`` is filled when the hooks are put in: for each loop that may
    be run ahead, where in an item the names of its target come from (of ``map``, the arguments by number); ``names``
    too: for each stage the names that its groups read; and ``reads``: the same for each unit."""

    places: dict[tuple[str, str, Span], Place]
    units: int
    paths: dict[int, dict[str, tuple[int, ...]]]
    names: dict[int, tuple[str, ...]]
    reads: dict[int, tuple[str, ...]]


def table_of(rows: list[dict[str, Any]]) -> Table:
    """From plain data, as the plan has it."""
    places: dict[tuple[str, str, Span], Place] = {}
    count = 0
    for row in rows:
        units = tuple(map(_unit, row["units"]))
        stages = tuple(
            StagePlace(
                part["stage"], row["region"], row["task"], part["arm"], part["first"],
                tuple(tuple(map(_unit, group)) for group in part["groups"]),
                tuple(tuple(span) for span in part["preamble"]),
            )
            for part in row["stages"]
        )  # fmt: skip
        arms = {arm: tuple(map(_unit, found)) for arm, *found in row["arms"]}
        every = [*units, *(unit for stage in stages for group in stage.groups for unit in group)]
        apart = tuple(map(_unit, row["apart"]))
        every += [*apart, *(unit for found in arms.values() for unit in found)]
        count = max([count, *(unit.unit + 1 for unit in every)])
        span: Span = tuple(row["span"])
        places[row["function"], row["node"], span] = Place(
            row["region"], row["task"], row["block"], row["function"], row["node"], span, row["heavy"], row["ahead"],
            units, tuple(tuple(part) for part in row["preamble"]), tuple(row["given"]), tuple(row["outer"]),
            stages, _slice(row["slice"]), tuple(row["around"]),
            tuple(row["within"]), row["told"], arms, apart, row["tests"],
        )  # fmt: skip
    return Table(places, count, {}, {}, {})


def _slice(row: dict[str, Any]) -> Slice:
    arms = {(region, arm): tuple(units) for region, arm, *units in row["arms"]}
    return Slice(frozenset(row["heads"]), frozenset(row["loops"]), arms)


def _unit(row: list[Any]) -> RegionUnit:
    number, first, last, span, names, maybe = row
    return RegionUnit(number, first, last, tuple(span) if span else None, tuple(names), tuple(maybe))


NODES: dict[str, str] = {
    "For": "for", "While": "while", "If": "if", "With": "with", "AsyncWith": "with", "Try": "try", "TryStar": "try",
    "Match": "match",
    "ListComp": "comprehension", "SetComp": "comprehension", "DictComp": "comprehension",
    "GeneratorExp": "comprehension", "Call": "map",
    "IfExp": "choice", "BoolOp": "choice",
}  # fmt: skip
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def hook_regions(body: list[ast.stmt], table: Table, function: str = "") -> None:
    """Put hooks into the compound statements and comprehensions of a block; the block's own list stays as it is."""
    for statement in body:
        _visit(statement, table, function)


def hook_choices(body: list[ast.stmt], table: Table, function: str = "") -> None:
    """Put hooks into the conditional expressions, ``and`` and ``or`` of a block, and nowhere else: for helpers."""
    if any(place.node == "choice" for place in table.places.values()):
        for statement in body:
            for node in list(walk(statement)):
                if isinstance(node, (ast.IfExp, ast.BoolOp)):
                    place = table.places.get((function, "choice", _span(node)))
                    if place is not None:
                        _choice(node, place)


def hook_counts(run: list[ast.stmt], places: Mapping[tuple[str, str, Span], Place], function: str) -> None:
    """Put hooks into statements that a helper runs as a whole, by which it counts turns and arms of what is in them:
    ``r(region, iterable)`` where a loop begins, ``j(region, *item)`` a turn, ``z(region)`` where the loop is over,
    ``m(region, arm)`` an arm; ``q(region, map, f, *iterables)`` for what ``map`` is to be given."""
    for statement in run:
        for node in list(walk(statement)):
            kind = NODES.get(type(node).__name__, "")
            if kind == "comprehension":
                for number, place in enumerate(comprehension_places(node, places, function)):
                    if place is not None:
                        generator = node.generators[number]  # type: ignore[attr-defined]
                        generator.iter = _call("r", [_number(place.region), generator.iter], generator.iter)
                        generator.ifs.insert(0, _call("j", [_number(place.region)], generator.iter))
                continue
            is_shown = isinstance(node, ast.stmt) or kind == "map"
            place = places.get((function, kind, _span(node))) if is_shown and kind else None
            if place is None:
                continue
            if isinstance(node, ast.Call):
                _give(node, place, "q")
                continue
            for arm, body in enumerate(arms_of(node)):
                if isinstance(node, ast.For) and arm == 0:
                    names = [name for name, _ in item_paths(node.target) or ()]
                    node.iter = _call("r", [_number(place.region), node.iter], node.iter)
                    said = _call("j", [_number(place.region), *loads(names)], body[0])
                elif body:
                    said = _call("m", [_number(place.region), _number(arm)], body[0])
                else:
                    continue
                body.insert(0, _placed(ast.Expr(value=said), body[0]))
            if isinstance(node, (ast.For, ast.While)):
                _tell_end(node, place)


def hook_opened(node: ast.FunctionDef | ast.AsyncFunctionDef, table: Table, place: Place) -> None:
    """Put hooks into a function that is opened."""
    hook_regions(node.body, table, place.function)
    for stage in place.stages:
        table.names[stage.stage] = _names_of_stage(node.body, stage)
    first = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
    node.body = _hooked(node.body, place, 0, (), table)
    at = node.body[0]
    begun = _call("m", [_number(place.region), _number(0)], at)
    if place.apart:
        begun = _call("c", [_number(place.region), *loads(parameters(node))], at)
    node.body.insert(len(first), _placed(ast.Expr(value=begun), at))


def _visit(node: ast.AST, table: Table, function: str) -> None:
    if isinstance(node, _SCOPES):
        return
    kind = NODES.get(type(node).__name__)
    place = table.places.get((function, kind, _span(node))) if kind else None
    for child in ast.iter_child_nodes(node):
        if child is not getattr(node, "annotation", None):  # (it may be kept as a text)
            _visit(child, table, function)
    if kind == "comprehension":
        _comprehension(node, table, function)
    if isinstance(node, ast.Call):
        _early_end(node, table, function)
    if place is None or kind == "comprehension":
        return
    for stage in place.stages:
        table.names[stage.stage] = _names_of_stage(arms_of(node)[stage.arm], stage)
    if isinstance(node, ast.For):
        _for(node, place, table)
    elif isinstance(node, ast.Call):
        _map(node, place, table)
    elif isinstance(node, (ast.IfExp, ast.BoolOp)):
        _choice(node, place)
    else:
        for arm, body in enumerate(arms_of(node)):
            _arm(body, place, arm, table)
        if isinstance(node, ast.While):
            _tell_end(node, place)


def _arm(body: list[ast.stmt], place: Place, arm: int, table: Table) -> None:
    if body:
        body[:] = _hooked(body, place, arm, (), table)
        at = body[0]
        body.insert(0, _placed(ast.Expr(value=_call("m", [_number(place.region), _number(arm)], at)), at))


def arms_of(node: Any) -> list[list[ast.stmt]]:
    """The statement lists in a compound statement, as the analysis counts its arms."""
    if isinstance(node, ast.If):
        arms = [node.body]
        rest = node.orelse
        # An ``elif`` stands at the column of its ``if``, an ``if`` in an ``else`` further to the right.
        while len(rest) == 1 and isinstance(rest[0], ast.If) and rest[0].col_offset == node.col_offset:
            arms.append(rest[0].body)
            rest = rest[0].orelse
        return [*arms, rest]
    if isinstance(node, (ast.For, ast.While)):
        return [node.body, node.orelse]
    if type(node).__name__ == "Match":
        return [case.body for case in node.cases]
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [node.body]
    optional = [body for body in (node.orelse, node.finalbody) if body]
    return [node.body, *(handler.body for handler in node.handlers), *optional]


def _names_of_stage(body: list[ast.stmt], stage: StagePlace) -> tuple[str, ...]:
    """The names that the groups of a stage read before they bind them themselves."""
    spans = {(line, column) for line, column, _, _ in stage.preamble}
    before: list[ast.AST] = [node for node in body if (node.lineno, node.col_offset) in spans]
    ready = {name for node in before for name in bound_by(node)}
    found: dict[str, None] = dict.fromkeys(name for node in before for name in loaded(node) if name not in ready)
    for group in stage.groups:
        bound = set(ready)
        for unit in group:
            parts: list[Any] = list(body[unit.first : unit.last + 1])
            for part in parts if unit.expression is None else [expression_in(parts[0], unit)]:
                found.update(dict.fromkeys(name for name in loaded(part) if name not in bound))
                bound.update(bound_by(part))
    return tuple(found)


def loads(names: list[str]) -> list[ast.expr]:
    return [ast.Name(id=name, ctx=ast.Load()) for name in names]


def _for(node: ast.For, place: Place, table: Table) -> None:
    paths = item_paths(node.target)
    if paths is not None:
        table.paths[place.region] = dict(paths)
        node.body = _hooked(node.body, place, 0, place.units, table)
        node.iter = _call("l", [_number(place.region), node.iter, *loads(list(place.outer))], node.iter)
    at = node.body[0]
    if paths is None:
        _arm(node.body, place, 0, table)
    else:
        begin = _call("n", [_number(place.region), *loads([name for name, _ in paths])], at)
        node.body.insert(0, _placed(ast.Expr(value=begin), at))
    _arm(node.orelse, place, 1, table)
    if paths is not None:
        _tell_end(node, place)


def _tell_end(node: ast.For | ast.While, place: Place) -> None:
    """A hook where the loop ends: before its ``else``, and before each of its ``break``."""

    def end(at: ast.stmt) -> ast.stmt:
        said: ast.stmt = _placed(ast.Expr(value=_call("z", [_number(place.region)], at)), at)
        return said

    node.orelse.insert(0, end(node.orelse[0] if node.orelse else node.body[-1]))
    stack: list[Any] = [node.body]
    while stack:
        body = stack.pop()
        for position in range(len(body) - 1, -1, -1):
            inner = body[position]
            if isinstance(inner, ast.Break):
                body.insert(position, end(inner))
            elif isinstance(inner, (ast.For, ast.AsyncFor, ast.While)):
                stack.append(inner.orelse)
            elif not isinstance(inner, _SCOPES):
                stack += [part for _, part in ast.iter_fields(inner) if part and isinstance(part, list)
                          and isinstance(part[0], ast.stmt)]  # fmt: skip
                stack += [case.body for case in (*getattr(inner, "handlers", ()), *getattr(inner, "cases", ()))]


def comprehension_places(node: Any, places: Mapping[tuple[str, str, Span], Place], function: str) -> list[Place | None]:
    """The regions that the loops of a comprehension are, the outermost first."""
    spans = [*(_span(generator.target) for generator in node.generators[:-1]), _span(node)]
    return [places.get((function, "comprehension", span)) for span in spans]


def _comprehension(node: Any, table: Table, function: str) -> None:
    for number, place in enumerate(comprehension_places(node, table.places, function)):
        generator = node.generators[number]
        paths = item_paths(generator.target)
        if place is None or paths is None:
            continue
        table.paths[place.region] = dict(paths)
        units = (*place.units, *place.arms.get(0, ()))
        wrap = _Units({unit.expression: unit for unit in units if unit.expression is not None}, table)
        for part in ("elt", "key", "value") if number == len(node.generators) - 1 else ():
            if hasattr(node, part):
                setattr(node, part, wrap.visit(getattr(node, part)))
        generator.ifs[:] = [wrap.visit(test) for test in generator.ifs]
        generator.iter = _call("l", [_number(place.region), generator.iter, *loads(list(place.outer))], generator.iter)
        at = generator.ifs[0] if generator.ifs else generator.iter
        generator.ifs.insert(0, _call("n", [_number(place.region), *loads([name for name, _ in paths])], at))


def _map(node: ast.Call, place: Place, table: Table) -> None:
    many = len(node.args) > 2
    table.paths[place.region] = {str(number): (number,) if many else () for number in range(len(node.args) - 1)}
    _give(node, place, "w")


def _give(node: ast.Call, place: Place, hook: str) -> None:
    """``map(f, xs)`` becomes ``map(*HOOK(region, map, f, xs))``."""
    given = _call(hook, [_number(place.region), copy.deepcopy(node.func), *node.args], node)
    node.args = [cast(ast.expr, _placed(ast.Starred(value=given, ctx=ast.Load()), node))]


def _early_end(node: ast.Call, table: Table, function: str) -> None:
    """``any(...)`` becomes ``v(region, any(...))``: it may stop before the end, after which nothing is an item's."""
    if not isinstance(node.func, ast.Name) or node.func.id not in ("any", "all") or len(node.args) != 1:
        return
    inner = node.args[0]
    if isinstance(inner, ast.GeneratorExp):
        place = comprehension_places(inner, table.places, function)[0]
    else:
        place = table.places.get((function, "map", _span(inner))) if isinstance(inner, ast.Call) else None
    if place is not None and place.told:
        call = copy.copy(node)
        told = _call("v", [_number(place.region), call], node)
        assert isinstance(told, ast.Call)
        node.func, node.args, node.keywords = told.func, told.args, []


def _choice(node: ast.IfExp | ast.BoolOp, place: Place) -> None:
    """``m(...) or ARM``: tells that the arm is chosen. What ``m`` gives is false, so the value is the arm's, and it is
    asked for its truth where it would be anyway."""

    def told(arm: int, part: ast.expr) -> ast.expr:
        said = _call("m", [_number(place.region), _number(arm)], part)
        made: ast.expr = _placed(ast.BoolOp(op=_placed(ast.Or(), part), values=[said, part]), part)
        return made

    if isinstance(node, ast.IfExp):
        node.body, node.orelse = told(0, node.body), told(1, node.orelse)
    else:
        node.values[1:] = [told(arm, part) for arm, part in enumerate(node.values[1:])]


def _hooked(
    body: list[ast.stmt], place: Place, arm: int, strand: tuple[RegionUnit, ...], table: Table
) -> list[ast.stmt]:
    """The statements of an arm with the units of its stages hooked, and those of the loop's strand."""
    stages = [stage for stage in place.stages if stage.arm == arm]
    beside = [unit for stage in stages for group in stage.groups for unit in group]
    beside += place.apart if arm == 0 else ()
    units = list({unit.unit: unit for unit in (*strand, *place.arms.get(arm, ()), *beside)}.values())
    if not units:
        return body
    staged = {unit.unit for unit in beside}
    wrap = _Units({unit.expression: unit for unit in units if unit.expression is not None}, table, staged)
    statements = {unit.first: unit for unit in units if unit.expression is None}
    begins = {stage.first: stage.stage for stage in reversed(stages)}
    out: list[ast.stmt] = []
    position = 0
    while position < len(body):
        unit = statements.get(position)
        last = position if unit is None else unit.last
        for number in range(position, last + 1):  # a stage never begins within a unit, but just before one
            if number in begins:
                enter = _call("e", [_number(begins[number])], body[number])
                out.append(_placed(ast.Expr(value=enter), body[number]))
        if unit is None:
            out.append(wrap.visit(body[position]) if wrap.units else body[position])
        else:
            out += _either(body[position : last + 1], unit, unit.unit in staged, table)
        position = last + 1
    return out


def _either(run: list[ast.stmt], unit: RegionUnit, staged: bool, table: Table) -> list[ast.stmt]:
    """The statements of a unit, or what it binds if that is at hand."""
    at = run[0]
    table.reads[unit.unit] = names_read(run)
    taken = _call("g", [_number(unit.unit)], at)
    otherwise: ast.stmt
    others = [_if_bound("h", unit.unit, name, at) for name in unit.maybe]
    if unit.names:
        targets: list[ast.expr] = [ast.Name(id=name, ctx=ast.Store()) for name in unit.names]
        otherwise = ast.Assign(targets=[ast.Tuple(elts=targets, ctx=ast.Store())], value=taken)
    else:
        otherwise = ast.Expr(value=taken)
    said = annotations_in(run)
    if said is None:
        return [*run]
    test = _test(unit.unit, at, staged)
    return [
        cast(
            ast.stmt,
            _placed(ast.If(test=test, body=run, orelse=[_placed(otherwise, at), *_all_placed(others, at), *said]), at),
        )
    ]


def _all_placed(nodes: list[ast.stmt], at: Any) -> list[ast.stmt]:
    return [cast(ast.stmt, _placed(node, at)) for node in nodes]


def _test(unit: int, at: Any, staged: bool) -> ast.expr:
    """``HOOK.f[unit] or HOOK.t(unit)``: of the units of turns most are run here, which is found out in next to no time.
    Of a stage, ``t`` has more to do."""
    asked = _call("t", [_number(unit)], at)
    if staged:
        return asked
    flags = _call("f", [], at)
    assert isinstance(flags, ast.Call)
    flag = _placed(ast.Subscript(value=flags.func, slice=_number(unit), ctx=ast.Load()), at)
    found: ast.expr = _placed(ast.BoolOp(op=_placed(ast.Or(), at), values=[flag, asked]), at)
    return found


class _Units(ast.NodeTransformer):
    """Wraps the expressions of units."""

    def __init__(self, units: dict[Span, RegionUnit], table: Table, staged: Container[int] = ()) -> None:
        self.units = units
        self.table = table
        self.staged = staged

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, _SCOPES):
            return node
        unit = self.units.get(_span(node)) if isinstance(node, ast.expr) else None
        if unit is None:
            return self.generic_visit(node)
        self.table.reads[unit.unit] = names_read([node])
        taken = _call("g", [_number(unit.unit)], node)
        if unit.names:  # (value, NAME := ...)[0]
            bound: list[ast.expr] = [
                ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=_call("h", [_number(unit.unit)], node))
                for name in unit.names
            ]
            both = ast.Tuple(elts=[taken, *bound], ctx=ast.Load())
            taken = cast(ast.expr, _placed(ast.Subscript(value=both, slice=_number(0), ctx=ast.Load()), node))
        test = _test(unit.unit, node, unit.unit in self.staged)
        return _placed(ast.IfExp(test=test, body=cast(ast.expr, node), orelse=taken), node)


def expression_in(inside: ast.AST, unit: RegionUnit) -> ast.expr:
    return next(part for part in walk(inside) if isinstance(part, ast.expr) and _span(part) == unit.expression)
