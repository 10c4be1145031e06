"""Puts hooks into the driver's own syntax tree; nothing else of it changes.

Home runs the driver's program itself. At the boundaries of tasks it calls a hook:

    X, Y = load_data()            if HOOK.s(0):
                                      X, Y = load_data()
                                      HOOK.d(0, X, Y)
                                  else:
                                      X, Y = HOOK.a(0)
    m = fit(train(X))             m = fit(HOOK.b(2, HOOK.v(HOOK.o(1), train(X)))) ; HOOK.d(2, m)

``HOOK`` is a constant of the code object, so that no name is added to any namespace, and every node keeps its
position, so that tracebacks, ``inspect`` and line numbers are native. The hooks (methods of ``home.Hooks``):

    s(k) -> bool      task k begins: True to run it here, False to adopt a helper's result
    q(k) -> bool      the same before a task that has expression tasks inside: False to adopt all of them
    o(k) -> k         task k begins here (it cannot be adopted)
    b(k, value)       the last expression task inside task k has its value: task k itself begins
    d(k, *values)     the statements of task k are done, and bound these
    v(k, value)       the expression of task k is done
    a(k)              the values of an adopted task
    y(k)              whether it has bound the next of the names that it may bind; and then, to what
    u(names)          in a helper: the task begins, and may bind these names
    x(names)          in a helper: what these names are bound to, as far as they are
    i(block)          the driver function was entered
    p(name, value)    a parameter of the driver function: the value given by the user, or the one there is
    r(value)          the driver function returns this

A *unit* is the plain-data form of a task that the controller sends (see ``Unit``).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, NamedTuple

__all__ = [
    "Unit",
    "find_block",
    "find_code",
    "helper_code",
    "hook_calls",
    "hook_function",
    "hooked_function",
    "hooked_module",
    "prefix_length",
    "repeated",
    "replace_sentinel",
    "walk",
]

SENTINEL = "\0inferflow.hook"
AGAIN = "_inferflow_again"
"""The hook that is told what was bound by repeating a statement: under a name that no module of the user's has."""


class Unit(NamedTuple):
    """Where a task stands (``first`` .. ``last`` in the body of block ``block``; or ``expression``, a span as ``ast``
    has it), the names it leaves (``definite``: surely bound), whether a helper may have run it, the expression tasks
    inside it. ``preamble`` (spans) matters to helpers. ``changed`` are those of the outputs that it only changes in
    place: where it was adopted they are what they were. ``maybe`` are those that it binds on some paths only."""

    task: int
    block: int
    first: int
    last: int
    expression: tuple[int, int, int, int] | None
    outputs: tuple[tuple[str, str], ...]
    definite: bool
    adoptable: bool
    inner: tuple[int, ...]
    preamble: tuple[tuple[int, int, int, int], ...] = ()
    changed: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()

    def bound(self) -> list[str]:
        """The names of the outputs that it binds."""
        return [name for _, name in self.outputs if name not in self.changed]

    def sure(self) -> list[str]:
        """Those of them that it binds whatever happens."""
        return [name for name in self.bound() if name not in self.maybe]


# -- the prefix ------------------------------------------------------------------------------------

_HARMLESS_CALLS = frozenset(
    [
        "warnings.filterwarnings",
        "warnings.simplefilter",
        "matplotlib.use",
        "mpl.use",
        "sys.path.insert",
        "sys.path.append",
        "os.path.join",
        "os.path.dirname",
        "os.path.abspath",
        "os.path.realpath",
        "os.path.expanduser",
        "os.path.basename",
        "Path",
        "pathlib.Path",
        "str",
        "int",
        "float",
        "bool",
        "tuple",
        "frozenset",
        "dict",
        "list",
        "set",
        "object",
        "len",
        "range",
        "os.environ.setdefault",
        "os.environ.get",
        "os.getenv",
        "logging.getLogger",
        "namedtuple",
        "collections.namedtuple",
        "TypeVar",
        "typing.TypeVar",
        "NewType",
        "typing.NewType",
        "re.compile",
        "_ipython.matplotlib",
        "_ipython.config",
    ]
)


def prefix_length(body: list[ast.stmt]) -> int:
    """How many leading statements of a module are imports, definitions, literals and the settings that stand among
    them (``warnings.filterwarnings``, ``matplotlib.use``, ``sys.path.insert``): home may execute these before it
    knows the plan, and they are no tasks."""
    for position, statement in enumerate(body):
        if not _harmless(statement):
            return position
    return len(body)


def is_guard(test: ast.expr) -> bool:
    """Whether an ``if`` with this test is the ``__name__ == "__main__"`` guard (in either order)."""
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(s, ast.Name) and s.id == "__name__" for s in sides) and any(
        isinstance(s, ast.Constant) and s.value == "__main__" for s in sides
    )


def _harmless(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)):
        return True
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        return True
    if isinstance(node, ast.Expr):
        return _cheap(node.value)
    if isinstance(node, ast.Assign):
        return _cheap(node.value) and all(_plain_target(target) for target in node.targets)
    if isinstance(node, ast.AnnAssign):
        return _plain_target(node.target) and (node.value is None or _cheap(node.value))
    if isinstance(node, ast.If):
        if is_guard(node.test) or not _cheap(node.test):
            return False
        return all(map(_harmless, node.body)) and all(map(_harmless, node.orelse))
    if isinstance(node, ast.Try):
        bodies = [node.body, node.orelse, node.finalbody, *(handler.body for handler in node.handlers)]
        return _is_import_attempt(node) and all(_harmless(inner) for body in bodies for inner in body)
    return type(node).__name__ == "TypeAlias"


def _is_import_attempt(node: ast.Try) -> bool:
    return any(isinstance(inner, (ast.Import, ast.ImportFrom)) for inner in node.body)


def _plain_target(target: ast.expr) -> bool:
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(map(_plain_target, target.elts))
    if isinstance(target, ast.Subscript):  # os.environ["X"] = "1"
        return _dotted(target.value) == "os.environ"
    return isinstance(target, ast.Name)


def _cheap(node: ast.expr) -> bool:
    """Literals, names, attributes, and calls that are known to do nothing but set or compute a trifle."""
    for part in walk(node):
        if isinstance(part, ast.Call):
            if _dotted(part.func) not in _HARMLESS_CALLS:
                return False
        elif isinstance(
            part,
            (
                ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp,
                ast.GeneratorExp, ast.MatMult, ast.Pow, ast.LShift, ast.Mult,
            ),
        ):  # fmt: skip
            if isinstance(part, ast.Mult) and _small_products(node):
                continue
            if isinstance(part, ast.Lambda):
                continue
            return False
    return True


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """``ast.walk``. (The library's own imports something when it is called, and the user's folder may have a module of
    that name by then.)"""
    nodes = [node]
    for one in nodes:  # it grows meanwhile
        nodes.extend(ast.iter_child_nodes(one))
        yield one


def _small_products(node: ast.expr) -> bool:
    return all(
        isinstance(part.left, ast.Constant) and isinstance(part.right, ast.Constant)
        for part in walk(node)
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult)
    )


def _dotted(node: ast.expr) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(names)])


# -- finding things --------------------------------------------------------------------------------


def _span(node: Any) -> tuple[int, int, int, int]:
    return (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def find_block(tree: ast.Module, kind: str, line: int, column: int) -> Any:
    """The node that owns a block: the module, the guard's ``if``, or the function, which begins at this position.

    Raises LookupError when the text is not the one that was analysed."""
    if kind == "module":
        return tree
    wanted = (ast.If,) if kind == "guard" else (ast.FunctionDef, ast.AsyncFunctionDef)
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, wanted) and (node.lineno, node.col_offset) == (line, column):
            return node
        stack.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
    raise LookupError(f"there is no {kind} at line {line}")


# -- hooks -----------------------------------------------------------------------------------------


def _call(method: str, args: list[ast.expr], at: Any) -> ast.expr:
    hook = ast.Attribute(value=ast.Constant(value=SENTINEL), attr=method, ctx=ast.Load())
    call: ast.expr = _placed(ast.Call(func=hook, args=args, keywords=[]), at)
    return call


def _placed(node: Any, at: Any) -> Any:
    """Give the position of ``at`` to ``node`` and to what is new below it."""
    position = _span(at)
    stack = [node]
    while stack:
        part = stack.pop()
        if "lineno" in part._attributes and getattr(part, "lineno", None) is None:
            part.lineno, part.col_offset, part.end_lineno, part.end_col_offset = position
            stack.extend(ast.iter_child_nodes(part))
        elif "lineno" not in part._attributes:
            stack.extend(ast.iter_child_nodes(part))
    return node


def _number(value: int) -> ast.Constant:
    return ast.Constant(value=value)


class _Values(ast.NodeTransformer):
    """Wraps the expressions of expression tasks, and returns of the driver function."""

    def __init__(self, units: dict[tuple[int, int, int, int], Unit], begins: dict[int, int], returns: bool) -> None:
        self.units = units
        self.begins = begins  # expression task -> task that begins when it has its value
        self.returns = returns

    def visit(self, node: ast.AST) -> Any:
        unit = self.units.get(_span(node)) if isinstance(node, ast.Call) else None
        if isinstance(node, (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return node
        visited = super().visit(node)
        if unit is not None:
            return self._expression(visited, unit)
        if self.returns and isinstance(node, ast.Return) and visited.value is not None:
            visited.value = _call("r", [visited.value], visited.value)
        return visited

    def _expression(self, node: Any, unit: Unit) -> ast.expr:
        at = node
        if unit.adoptable:
            test = _call("q" if unit.inner else "s", [_number(unit.task)], at)
            value: ast.expr = _placed(
                ast.IfExp(
                    test=test,
                    body=_call("v", [_number(unit.task), node], at),
                    orelse=_call("a", [_number(unit.task)], at),
                ),
                at,
            )
        else:
            begin: ast.expr = _number(unit.task) if unit.inner else _call("o", [_number(unit.task)], at)
            value = _call("v", [begin, node], at)
        if unit.task in self.begins:
            value = _call("b", [_number(self.begins[unit.task]), value], at)
        return value


def _hook_body(
    body: list[ast.stmt], units: list[Unit], first: int, returns: bool, replace: dict[int, list[ast.stmt]]
) -> list[ast.stmt]:
    """The statements from ``first`` on, hooked. ``replace`` gives other contents for the guard's body."""
    expressions = {unit.expression: unit for unit in units if unit.expression is not None}
    begins = {unit.inner[-1]: unit.task for unit in units if unit.inner}
    values = _Values(expressions, begins, returns)
    statements = {unit.first: unit for unit in units if unit.expression is None}
    out: list[ast.stmt] = []
    position = first
    while position < len(body):
        unit = statements.get(position)
        last = unit.last if unit else position
        run: list[ast.stmt] = []
        for index in range(position, last + 1):
            node = body[index]
            if index in replace:
                assert isinstance(node, ast.If)
                node.body = replace[index]
            elif returns or expressions:
                node = values.visit(node)
            run.append(node)
        out.extend(run if unit is None else _statement(run, unit, in_module=not returns))
        position = last + 1
    return out


def annotations_in(run: list[ast.stmt]) -> list[ast.stmt] | None:
    """What statements leave in ``__annotations__``, to be said once more where only their values are taken over; None
    if that cannot be said without doing something. (In functions, annotations of names are not evaluated at all.)"""
    found: list[ast.stmt] = []
    for statement in run:
        for node in walk(statement):
            if not isinstance(node, ast.AnnAssign) or not node.simple:
                continue
            does = any(isinstance(part, (ast.Call, ast.Await)) for part in walk(node.annotation))
            if does or node is not statement:
                return None
            bare = ast.AnnAssign(copy.deepcopy(node.target), copy.deepcopy(node.annotation), None, 1)
            found.append(ast.copy_location(bare, node))
    return found


def _statement(run: list[ast.stmt], unit: Unit, in_module: bool) -> list[ast.stmt]:
    at = run[0]
    number = _number(unit.task)
    names = [name for _, name in unit.outputs] if unit.definite else []
    loads: list[ast.expr] = [ast.Name(id=name, ctx=ast.Load()) for name in names]
    done = _placed(ast.Expr(value=_call("d", [_number(unit.task), *loads], run[-1])), run[-1])
    if not unit.adoptable:
        begin = [] if unit.inner else [_placed(ast.Expr(value=_call("s", [number], at)), at)]
        return [*begin, *run, done]
    adopted = _call("a", [_number(unit.task)], at)
    bound = unit.sure()
    if bound:
        targets: list[ast.expr] = [ast.Name(id=name, ctx=ast.Store()) for name in bound]
        target = ast.Tuple(elts=targets, ctx=ast.Store())
        otherwise: ast.stmt = ast.Assign(targets=[target], value=adopted)
    else:
        otherwise = ast.Expr(value=adopted)
    said = annotations_in(run) if in_module else []
    if said is None:
        return [*([] if unit.inner else [_placed(ast.Expr(value=_call("o", [number], at)), at)]), *run, done]
    test = _call("q" if unit.inner else "s", [number], at)
    others = [_placed(_if_bound("y", unit.task, name, at), at) for name in unit.maybe]
    return [_placed(ast.If(test=test, body=[*run, done], orelse=[_placed(otherwise, at), *others, *said]), at)]


def _if_bound(hook: str, number: int, name: str, at: Any) -> ast.stmt:
    """``if HOOK.y(k): NAME = HOOK.y(k)``"""
    value = _call(hook, [_number(number)], at)
    store = ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value)
    return ast.If(test=_call(hook, [_number(number)], at), body=[store], orelse=[])


def _replace_constant(code: CodeType, hook: object) -> CodeType:
    """The code with every sentinel replaced by the hook, in the code objects that hold one."""
    constants = tuple(
        hook if constant == SENTINEL and type(constant) is str
        else _replace_constant(constant, hook) if isinstance(constant, CodeType)
        else constant
        for constant in code.co_consts
    )  # fmt: skip
    changed = any(new is not old for new, old in zip(constants, code.co_consts))
    return code.replace(co_consts=constants) if changed else code


def replace_sentinel(code: CodeType, hook: object) -> CodeType:
    """The code with the hook in place of the sentinels; the same code if there is none."""
    return _replace_constant(code, hook)


def hook_calls(node: ast.stmt, units: dict[tuple[int, int, int, int], Unit], begins: dict[int, int]) -> ast.stmt:
    """A statement with hooks around the calls in it that are tasks of their own (``units`` by span; ``begins``: the
    task that begins when an expression task has its value)."""
    visited: ast.stmt = _Values(units, begins, False).visit(node)
    return visited


def find_code(code: CodeType, name: str, line: int) -> CodeType:
    """The code of a function inside that of its module; raises LookupError."""
    stack = [code]
    while stack:
        current = stack.pop()
        for constant in current.co_consts:
            if isinstance(constant, CodeType):
                if constant.co_name == name and _first_line(constant) == line:
                    return constant
                stack.append(constant)
    raise LookupError(name)


def _first_line(code: CodeType) -> int:
    return code.co_firstlineno


def hooked_module(
    tree: ast.Module, filename: str, flags: int, first: int, module: list[Unit], guard: Any, guard_units: list[Unit],
    hook: object, optimize: int = -1,
) -> CodeType:  # fmt: skip
    """Code of the module's statements from ``first`` on, hooked. Consumes the tree. ``guard`` is the ``if`` node whose
    body is a block of its own, or None."""
    replace: dict[int, list[ast.stmt]] = {}
    if guard is not None:
        position = next(i for i, node in enumerate(tree.body) if node is guard)
        replace[position] = _hook_body(guard.body, guard_units, 0, False, {})
    body = _hook_body(tree.body, module, first, False, replace)
    rest = ast.Module(body=body, type_ignores=[])
    code = compile(rest, filename, "exec", flags=flags, dont_inherit=True, optimize=optimize)
    return _replace_constant(code, hook)


def hook_function(function: ast.FunctionDef, block: int, units: list[Unit], given: Iterable[str]) -> None:
    """Put the hooks into the function's node. ``given`` are parameters that the user set."""
    has_doc = ast.get_docstring(function, clean=False) is not None
    at = function.body[0]
    entry: list[ast.stmt] = []
    for name in given:
        value = _call("p", [ast.Constant(value=name), ast.Name(id=name, ctx=ast.Load())], at)
        entry.append(_placed(ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value), at))
    # After the parameters that the user gave: what helpers get are the arguments as the function will see them.
    entry.append(_placed(ast.Expr(value=_call("i", [_number(block)], at)), at))
    body = _hook_body(function.body, units, 0, True, {})
    function.body = [*body[:1], *entry, *body[1:]] if has_doc else [*entry, *body]


def hooked_function(
    tree: ast.Module, filename: str, flags: int, function: ast.FunctionDef, block: int, units: list[Unit],
    given: Iterable[str], hook: object, optimize: int = -1,
) -> CodeType:  # fmt: skip
    """The function's code, hooked. Consumes the function's node; ``given`` are parameters that the user set."""
    line = function.decorator_list[0].lineno if function.decorator_list else function.lineno
    hook_function(function, block, units, given)
    code = compile(tree, filename, "exec", flags=flags, dont_inherit=True, optimize=optimize)
    return _replace_constant(find_code(code, function.name, line), hook)


# -- code for helpers ------------------------------------------------------------------------------


class _Inputs(ast.NodeTransformer):
    """Replaces the expressions of inner tasks by names under which their values are handed in."""

    def __init__(self, values: dict[tuple[int, int, int, int], str]) -> None:
        self.values = values

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Call):
            name = self.values.get(_span(node))
            if name is not None:
                return ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)
        return self.generic_visit(node)


def _at_spans(body: Iterable[ast.stmt], spans: set[tuple[int, int]]) -> Iterator[ast.stmt]:
    for node in body:
        if (node.lineno, node.col_offset) in spans:
            yield node


def repeated(node: ast.stmt) -> list[ast.stmt]:
    """A statement that is repeated away from home; after it, it is told what objects it has bound."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None or isinstance(node.value, ast.Constant):
        return [node]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [part.id for target in targets for part in walk(target) if isinstance(part, ast.Name)]
    bound: list[ast.expr] = [ast.Name(id=name, ctx=ast.Load()) for name in names]
    return [node, _placed(ast.Expr(value=_call(AGAIN, bound, node)), node)] if bound else [node]


def literals_before(owner: Any, unit: Unit) -> dict[str, Any]:
    """What the statements that are repeated before a task bind, where that can be read off them: literals; for
    functions ``...``."""
    spans = {(line, column) for line, column, _, _ in unit.preamble}
    found: dict[str, Any] = {}
    for statement in _at_spans(owner.body, spans) if spans else ():
        if isinstance(statement, ast.FunctionDef):
            found[statement.name] = ...
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(statement.value)
                except ValueError:
                    found.pop(target.id, None)
    return found


def _names(names: Iterable[str]) -> ast.expr:
    return ast.Tuple(elts=[ast.Constant(value=name) for name in names], ctx=ast.Load())


def helper_code(
    filename: str,
    flags: int,
    owner: Any,
    name: str,
    unit: Unit,
    parameters: list[str],
    inner: dict[tuple[int, int, int, int], str],
    outputs: list[str],
    as_module: bool,
    optimize: int = -1,
) -> CodeType:
    """Code that runs one task away from home; the tree of ``owner`` (the node of the block) stays as it is.

    In a function block: the code of a function of the block's ``name`` that takes ``parameters`` and returns the tuple
    of ``outputs`` (or of the one expression), made by the hook ``x`` if some of them may not be bound. In a module
    block (``as_module``): code to execute in the module's namespace; for an expression task its value is left under the
    first name of ``outputs``."""
    body: list[ast.stmt] = owner.body
    spans = {(line, column) for line, column, _, _ in unit.preamble}
    statements = [part for node in _at_spans(body, spans) for part in repeated(node)] if spans else []
    replace = _Inputs(inner)
    if unit.maybe:
        begun = _call("u", [_names(unit.maybe)], body[unit.first])
        statements.append(_placed(ast.Expr(value=begun), body[unit.first]))
    if unit.expression is None:
        own: list[ast.stmt] = body[unit.first : unit.last + 1]
        statements.extend([replace.visit(copy.deepcopy(node)) for node in own] if inner else own)
    else:
        found = next(
            node for node in walk(body[unit.first]) if isinstance(node, ast.Call) and _span(node) == unit.expression
        )
        value: Any = replace.generic_visit(copy.deepcopy(found)) if inner else found
        target = ast.Name(id=outputs[0], ctx=ast.Store())
        statements.append(_placed(ast.Assign(targets=[target], value=value), found))
    at = body[unit.first]
    if as_module:
        whole = ast.Module(body=statements, type_ignores=[])
        code: CodeType = compile(whole, filename, "exec", flags=flags, dont_inherit=True, optimize=optimize)
        return code
    result: ast.expr = ast.Tuple(elts=[ast.Name(id=out, ctx=ast.Load()) for out in outputs], ctx=ast.Load())
    if unit.maybe:
        result = _call("x", [_names(outputs)], at)
    statements.append(_placed(ast.Return(value=result), at))
    arguments = ast.arguments(
        posonlyargs=[], args=[_placed(ast.arg(arg=p), at) for p in parameters], vararg=None, kwonlyargs=[],
        kw_defaults=[], kwarg=None, defaults=[],
    )  # fmt: skip
    function = ast.FunctionDef(name=name, args=arguments, body=statements, decorator_list=[], returns=None)
    if "type_params" in ast.FunctionDef._fields:
        function.type_params = []  # type: ignore[attr-defined]
    function.lineno, function.col_offset, function.end_lineno, function.end_col_offset = _span(owner)
    module = ast.Module(body=[function], type_ignores=[])
    compiled = compile(module, filename, "exec", flags=flags, dont_inherit=True, optimize=optimize)
    return find_code(compiled, name, function.lineno)
