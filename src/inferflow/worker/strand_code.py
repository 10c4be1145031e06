"""The code with which a helper runs one turn of a loop, or a group of a stage (see ``transform_regions``).

    for x in xs:                  x = HOOK.item()
        y = f(x)                  y = f(x)
        out.append(g(y))          HOOK.u(7, y)
                                  HOOK.u(8, g(y))

What helpers run is a turn's *strand*, ``TARGET = HOOK.item()``, then each unit followed by ``HOOK.u(unit, *values)``;
and of its *slice* what stands deeper (``_Slicer``). Of a coroutine it is the strand, with the arguments as names. Every
new node has the position of the user's node that it stands for.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any, cast

from inferflow.worker.region_names import item_paths, parameters
from inferflow.worker.transform import (
    _call,
    _number,
    _placed,
    _replace_constant,
    _span,
    find_block,
    find_code,
    repeated,
    walk,
)
from inferflow.worker.transform_regions import (
    NODES,
    Place,
    RegionUnit,
    Span,
    StagePlace,
    arms_of,
    comprehension_places,
    expression_in,
    hook_counts,
    loads,
)

__all__ = ["coroutine_code", "group_code", "strand_code"]


def strand_code(
    tree: ast.Module,
    filename: str,
    flags: int,
    block: dict[str, Any],
    place: Place,
    places: Mapping[tuple[str, str, Span], Place],
    names: list[str],
    hook: object,
) -> CodeType:
    """Code that runs the strand and the slice of one turn. In a function or a comprehension: of a function that takes
    ``names``; at the level of a module, to execute in its namespace. ``places`` are all regions."""
    owner = find_block(tree, block["kind"], block["line"], block["column"])
    node = _find_region(owner.body, place)
    if place.node == "map":
        made = cast(
            ast.Call, _call("function", [ast.Starred(value=_call("arguments", [], node), ctx=ast.Load())], node)
        )
        name = block["name"] if block["kind"] == "function" else "turn"
        return _function_code([_kept(place.units[0], made)], filename, flags, name, names, hook)
    comprehension = place.node == "comprehension"
    if comprehension:
        found = comprehension_places(node, places, place.function)
        level = next(number for number, other in enumerate(found) if other is not None and other.region == place.region)
        statements = [_taken(node.generators[level].target), *_Nest(node, found, places, place).turn(level, 0)]
        name = block["name"] if block["kind"] == "function" else "turn"
        return _function_code(statements, filename, flags, name, names, hook)
    statements = [_taken(node.target)]
    if place.slice.arms:
        statements += _Slicer(place, places).pieces(node.body, place.units, 0)
    else:
        statements += _pieces(node.body, place.units, place.preamble, places, place.function)
    return _code_of(statements, filename, flags, block, names, hook)


def group_code(
    tree: ast.Module,
    filename: str,
    flags: int,
    block: dict[str, Any],
    place: Place,
    stage: StagePlace,
    group: int,
    places: Mapping[tuple[str, str, Span], Place],
    names: list[str],
    hook: object,
) -> CodeType:
    """Code that runs a group of a stage, as ``strand_code`` does a turn."""
    owner = find_block(tree, block["kind"], block["line"], block["column"])
    body = owner.body if place.node == "function" else arms_of(_find_region(owner.body, place))[stage.arm]
    statements = _pieces(body, stage.groups[group], stage.preamble, places, place.function)
    return _code_of(statements, filename, flags, block, names, hook)


def coroutine_code(
    tree: ast.Module,
    filename: str,
    flags: int,
    block: dict[str, Any],
    place: Place,
    places: Mapping[tuple[str, str, Span], Place],
    hook: object,
) -> CodeType:
    """Code of a function that takes the arguments of a coroutine and runs its strand."""
    node = find_block(tree, block["kind"], block["line"], block["column"])
    statements = _pieces(node.body, place.apart, place.preamble, places, place.function)
    return _function_code(statements, filename, flags, block["name"], parameters(node), hook)


def _taken(target: ast.expr) -> ast.stmt:
    """``TARGET = HOOK.item()``"""
    assign = ast.Assign(targets=[copy.deepcopy(target)], value=_call("item", [], target))
    return cast(ast.stmt, _placed(assign, target))


def _find_region(body: list[ast.stmt], place: Place) -> Any:
    return next(
        part
        for statement in body
        for part in walk(statement)
        if NODES.get(type(part).__name__) == place.node and place.span in _spans(part)
    )


def _spans(node: Any) -> list[Span]:
    """The spans of the regions that a node is: of a comprehension, also those of its loops but the last."""
    return [_span(node), *(_span(generator.target) for generator in getattr(node, "generators", ())[:-1])]


def _code_of(
    statements: list[ast.stmt], filename: str, flags: int, block: dict[str, Any], names: list[str], hook: object
) -> CodeType:
    if block["kind"] != "function":
        module = ast.Module(body=statements, type_ignores=[])
        code = compile(module, filename, "exec", flags=flags, dont_inherit=True)
        return _replace_constant(code, hook)
    return _function_code(statements, filename, flags, block["name"], names, hook)


def _function_code(
    statements: list[ast.stmt], filename: str, flags: int, name: str, names: list[str], hook: object
) -> CodeType:
    at = statements[0]
    arguments = ast.arguments(
        posonlyargs=[], args=[_placed(ast.arg(arg=name), at) for name in names], vararg=None, kwonlyargs=[],
        kw_defaults=[], kwarg=None, defaults=[],
    )  # fmt: skip
    function = ast.FunctionDef(name=name, args=arguments, body=statements, decorator_list=[], returns=None)
    if "type_params" in ast.FunctionDef._fields:
        function.type_params = []  # type: ignore[attr-defined]
    function.lineno, function.col_offset, function.end_lineno, function.end_col_offset = _span(at)
    compiled = compile(ast.Module(body=[function], type_ignores=[]), filename, "exec", flags=flags, dont_inherit=True)
    return _replace_constant(find_code(compiled, name, function.lineno), hook)


def _pieces(
    body: list[ast.stmt],
    units: Sequence[RegionUnit],
    preamble: tuple[Span, ...],
    places: Mapping[tuple[str, str, Span], Place],
    function: str,
) -> list[ast.stmt]:
    """The statements of units, each followed by telling what it left; before them those to repeat."""
    spans = {(line, column) for line, column, _, _ in preamble}
    parts: list[tuple[int, int, list[ast.stmt]]] = [
        (number, 0, repeated(node)) for number, node in enumerate(body) if (node.lineno, node.col_offset) in spans
    ]
    for order, unit in enumerate(units):
        if unit.expression is not None:
            parts.append((unit.first, 1 + order, [_kept(unit, expression_in(body[unit.first], unit))]))
        else:
            at = body[unit.last]
            run = body[unit.first : unit.last + 1]
            said = [_number(unit.unit), *loads(list(unit.names))]
            if unit.maybe:
                said.insert(1, _placed(ast.Tuple(elts=[ast.Constant(n) for n in unit.maybe], ctx=ast.Load()), at))
            done = _placed(ast.Expr(value=_call("p" if unit.maybe else "u", said, at)), at)
            hook_counts(run, places, function)
            parts.append((unit.first, 1 + order, [*run, done]))
    return [statement for _, _, run in sorted(parts, key=lambda part: part[:2]) for statement in run]


class _Slicer:
    """Takes from a loop's body what helpers run of a turn, deeper than its own statements too:

        for b in bs:                HOOK.b(0)
            if b > 3:               for b in bs:
                y = f(b)                HOOK.k(0, b)
                out.append(y)           if b > 3:
                                            y = f(b)
                                            HOOK.u(7, y)
                                    HOOK.x(0)

    ``b(level)`` begins to count the turns of a loop that stands in so many others inside of the turn, ``k`` begins one,
    ``x(level)`` leaves the loop."""

    def __init__(self, place: Place, places: Mapping[tuple[str, str, Span], Place]) -> None:
        self.place = place
        self.places = places
        every = [part for other in places.values() for found in other.arms.values() for part in found]
        self.units = {unit.unit: unit for unit in every}

    def pieces(self, body: list[ast.stmt], units: Sequence[RegionUnit], level: int) -> list[ast.stmt]:
        """Of a statement list: its units, what they need repeated, and what is inside of its compound statements."""
        again = {(line, column) for line, column, _, _ in self.place.preamble}
        begins = {unit.first: unit for unit in units if unit.expression is None}
        out: list[ast.stmt] = []
        position = 0
        while position < len(body):
            node = body[position]
            unit = begins.get(position)
            if unit is not None:
                out += _pieces(body, (unit,), (), self.places, self.place.function)
                position = unit.last + 1
                continue
            inside = [part for part in units if part.expression is not None and part.first == position]
            if inside:
                out += _pieces(body, inside, (), self.places, self.place.function)
            elif (node.lineno, node.col_offset) in again:
                out += repeated(node)
            else:
                out += self._compound(node, level)
            position += 1
        return out

    def _compound(self, node: Any, level: int) -> list[ast.stmt]:
        kind = NODES.get(type(node).__name__, "")
        place = self.places.get((self.place.function, kind, _span(node)))
        if place is None or place.region not in self.place.slice.heads:
            return []
        deeper = place.region in self.place.slice.loops
        arms = [self._arm(place, arm, body, level + deeper) for arm, body in enumerate(arms_of(node))]
        if kind in ("with", "try"):  # not entered: what fails is home's
            return arms[0]
        if deeper:
            return self._loop(node, place, arms[0], level)
        if kind == "match":
            return self._cases(node, arms)
        return self._branch(node, arms)

    def _arm(self, place: Place, arm: int, body: list[ast.stmt], level: int) -> list[ast.stmt]:
        units = [self.units[number] for number in self.place.slice.arms.get((place.region, arm), ())]
        return self.pieces(body, units, level)

    def _loop(self, node: ast.For, place: Place, body: list[ast.stmt], level: int) -> list[ast.stmt]:
        if not body:
            return []
        names = [name for name, _ in item_paths(node.target) or ()]
        turn = _call("k", [_number(place.region), _number(level), *loads(names)], node.target)
        made = ast.For(target=node.target, iter=node.iter, body=[ast.Expr(value=turn), *body], orelse=[])
        before = ast.Expr(value=_call("b", [_number(level)], node))
        after = ast.Expr(value=_call("x", [_number(level)], node))
        return [_placed(before, node), _placed(made, node), _placed(after, node)]

    def _cases(self, node: Any, arms: list[list[ast.stmt]]) -> list[ast.stmt]:
        if not any(arms):
            return []
        made = copy.copy(node)
        made.cases = [copy.copy(case) for case in node.cases]
        for case, body in zip(made.cases, arms):
            case.body = body or [_placed(ast.Pass(), node)]
        return [made]

    def _branch(self, node: ast.If, arms: list[list[ast.stmt]]) -> list[ast.stmt]:
        if not any(arms):
            return []
        tests: list[tuple[ast.If, list[ast.stmt]]] = []
        for body in arms[:-1]:
            tests.append((node, body))
            if len(tests) < len(arms) - 1:
                (inner,) = node.orelse
                assert isinstance(inner, ast.If)
                node = inner
        rest = arms[-1]
        for branch, body in reversed(tests):
            made = ast.If(test=branch.test, body=body or [_placed(ast.Pass(), branch)], orelse=rest)
            rest = [_placed(made, branch)]
        return rest


class _Nest:
    """Makes of a comprehension what helpers run of a turn of one of its loops:

    [f(x, y) for x in xs if ok(x) for y in ys]      x = HOOK.item()
                                                    if HOOK.u(6, ok(x)):
                                                        HOOK.b(0)
                                                        for y in ys:
                                                            HOOK.k(1, 0, y)
                                                            HOOK.u(7, f(x, y))
                                                        HOOK.x(0)
    """

    def __init__(
        self, node: Any, found: list[Place | None], places: Mapping[tuple[str, str, Span], Place], place: Place
    ) -> None:
        self.node = node
        self.found = found
        self.place = place
        every = [part for other in places.values() for inside in other.arms.values() for part in inside]
        self.units = {unit.unit: unit for unit in every}

    def turn(self, level: int, deep: int) -> list[ast.stmt]:
        """What follows when the target of a loop has been bound; it stands in ``deep`` others inside of the turn."""
        node, place = self.node, self.found[level]
        assert place is not None
        units = list(place.units)
        if place is not self.place:
            units = [self.units[number] for number in self.place.slice.arms.get((place.region, 0), ())]
        generator = node.generators[level]
        by_span = {unit.expression: unit for unit in units}
        tests = [(test, by_span.pop(_span(test), None)) for test in generator.ifs]
        out = self._inside(level, deep, list(by_span.values()))
        for test, unit in reversed(tests[: place.tests]):
            condition = test
            if unit is not None:
                condition = _call("u", [_number(unit.unit), test, *loads(list(unit.names))], test)
            out = [
                cast(
                    ast.stmt, _placed(ast.If(test=condition, body=out or [_placed(ast.Pass(), test)], orelse=[]), test)
                )
            ]
        return out

    def _inside(self, level: int, deep: int, units: list[RegionUnit]) -> list[ast.stmt]:
        node = self.node
        if level == len(node.generators) - 1:
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            every = [(part, unit) for part in parts for unit in units if _contains(part, unit)]
            return [_kept(unit, expression_in(part, unit)) for part, unit in every]
        inner, generator = self.found[level + 1], node.generators[level + 1]
        if inner is None or inner.region not in self.place.slice.loops:
            return []
        names = [name for name, _ in item_paths(generator.target) or ()]
        turn = _call("k", [_number(inner.region), _number(deep), *loads(names)], generator.target)
        body: list[ast.stmt] = [ast.Expr(value=turn), *self.turn(level + 1, deep + 1)]
        made = ast.For(target=copy.deepcopy(generator.target), iter=generator.iter, body=body, orelse=[])
        before, after = _call("b", [_number(deep)], node), _call("x", [_number(deep)], node)
        at = generator.target
        return [_placed(ast.Expr(value=before), at), _placed(made, at), _placed(ast.Expr(value=after), at)]


def _contains(part: ast.expr, unit: RegionUnit) -> bool:
    return any(isinstance(inner, ast.expr) and _span(inner) == unit.expression for inner in walk(part))


def _kept(unit: RegionUnit, value: ast.expr) -> ast.stmt:
    kept: ast.stmt = _placed(ast.Expr(value=_call("u", [_number(unit.unit), value], value)), value)
    return kept
