"""The function that a script calls: is its body run exactly once, there, so that it can take the place of the call?

if __name__ == "__main__":
    sys.exit(main())              main's body is opened, if main is a plain function that nothing else mentions
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from inferflow.analysis import ir
from inferflow.analysis.facts import Project, StepKey
from inferflow.analysis.walk import every_op, flatten
from inferflow.records import frozen

__all__ = [
    "Opened",
    "absolute",
    "has_work",
    "not_plain",
    "opened_call",
    "project_calls",
    "project_names",
    "unknown_decorator",
]

MODULE_SCOPE = 0

HARMLESS_DECORATORS = frozenset(
    {"functools.cache", "functools.lru_cache", "cache", "lru_cache", "typing.final", "final"}
)
"""Decorators under which one call of the function is one run of its body."""


def absolute(module: ir.Module, name: str, level: int) -> str | None:
    """The dotted name that ``from <level dots><name> import`` means in a module; ``None`` beyond the top package."""
    if level == 0:
        return name
    parts = module.name.split(".")
    keep = len(parts) - level + (1 if module.is_package else 0)
    if keep < 1 or module.name == "__main__":
        return None
    base = ".".join(parts[:keep])
    return f"{base}.{name}" if name else base


def not_plain(scope: ir.Scope) -> str | None:
    if scope.kind == "class":
        return "a class"
    if scope.is_async:
        return "an async function"
    if scope.is_generator:
        return "a generator"
    return None


def unknown_decorator(scope: ir.Scope) -> str | None:
    for text in scope.decorators:
        if text.split("(")[0].strip() not in HARMLESS_DECORATORS:
            return text
    return None


def has_work(statements: list[ir.Statement] | tuple[ir.Statement, ...]) -> bool:
    """Whether there is more than a docstring and ``pass``."""
    return any(
        not (
            isinstance(s, ir.Plain) and s.kind in ("pass", "expression") and all(isinstance(o, ir.Const) for o in s.ops)
        )
        for s in statements
    )


@frozen
class Opened:
    step: StepKey
    scope: int


def opened_call(
    project: Project, module: ir.Module, statements: list[ir.Statement], steps: list[StepKey]
) -> Opened | None:
    """The one call among a script's steps whose function's body takes its place, if there is one."""
    known = project_names(project, module)
    calls = [(step, s, op) for step, s in zip(steps, statements, strict=True) for op in _project_calls(s, known)]
    top = {s.name: i for i, s in enumerate(module.scopes) if s.parent == MODULE_SCOPE and s.kind == "function"}
    once = _used_once(module) if calls else frozenset()
    candidates: list[tuple[bool, Opened]] = []
    for step, statement, op in calls:
        name = _called_name(statement, op)
        if name is None or name not in top or not _stands_alone(statement, op):
            continue
        scope = module.scopes[top[name]]
        if not_plain(scope) or unknown_decorator(scope) or name not in once:
            continue
        if not has_work(scope.body):
            continue
        candidates.append((name == "main", Opened(step, top[name])))
    for is_main, opened in candidates:
        if is_main:
            return opened
    # Any other name only if nobody takes its result, which would be a task's output that is not followed.
    only = len(calls) == 1 and candidates and _constant_arguments(calls[0][1], calls[0][2]) and _dropped(calls[0][1])
    return candidates[0][1] if only else None


def project_names(project: Project, module: ir.Module) -> frozenset[str]:
    """Names of the module that are (or hold) functions, classes and modules of the project."""
    found = {s.name for s in module.scopes if s.parent == MODULE_SCOPE and s.kind in ("function", "class")}
    ops = tuple(every_op(module.scopes[MODULE_SCOPE].body))
    made: dict[ir.Temp, bool] = {}
    for op in ops:
        match op:
            case ir.ImportModule():
                made[op.out] = op.module.split(".")[0] in project.modules
            case ir.ImportFrom():
                base = absolute(module, op.module, op.level) or ""
                made[op.out] = base in project.modules or f"{base}.{op.name}" in project.modules
            case ir.Store() if op.how == "import" and made.get(op.value):
                found.add(op.name)
            case _:
                pass
    return frozenset(found)


def project_calls(known: frozenset[str], body: Iterable[ir.Statement]) -> Iterator[ir.Call]:
    """The calls in statements of functions, classes and modules of the project, by the names that their module has for
    them (see ``project_names``)."""
    for statement in body:
        yield from _project_calls(statement, known)


def _project_calls(statement: ir.Statement, known: frozenset[str]) -> Iterator[ir.Call]:
    roots: dict[ir.Temp, str] = {}
    for op in every_op((statement,)):
        match op:
            case ir.Load():
                roots[op.out] = op.name
            case ir.Attr() if op.obj in roots:
                roots[op.out] = roots[op.obj]
            case ir.Call() if roots.get(op.func) in known:
                yield op
            case _:
                pass


def _called_name(statement: ir.Statement, call: ir.Call) -> str | None:
    for op in flatten(statement):
        if isinstance(op, ir.Load) and op.out == call.func:
            return op.name
    return None


def _stands_alone(statement: ir.Statement, call: ir.Call) -> bool:
    """Whether nothing happens in the statement after the call but taking its result: binding it, showing it, exiting
    with it."""
    if not isinstance(statement, ir.Plain | ir.Raise):
        return False
    ops = statement.ops
    if call not in ops:
        return False
    taken = {call.out}
    for op in ops[ops.index(call) + 1 :]:
        match op:
            case ir.Store() | ir.Unpack() | ir.Const():
                pass
            case ir.Operate(op="format") | ir.Build(kind="fstring" | "tuple"):
                taken.add(op.out)
            case ir.Call():
                if not {a.value for a in op.args} & taken or _dotted(ops, op.func) not in TAKERS:
                    return False
            case _:
                return False
    return True


TAKERS = frozenset({"sys.exit", "exit", "quit", "SystemExit", "print"})


def _dotted(ops: tuple[ir.Op, ...], temp: ir.Temp) -> str:
    for op in ops:
        match op:
            case ir.Load() if op.out == temp:
                return op.name
            case ir.Attr() if op.out == temp:
                return f"{_dotted(ops, op.obj)}.{op.name}"
            case _:
                pass
    return ""


def _used_once(module: ir.Module) -> frozenset[str]:
    """The module's names that are bound once, and mentioned once besides: a function's body runs at most once then."""
    loads: Counter[str] = Counter()
    stores: Counter[str] = Counter()
    for index, scope in enumerate(module.scopes):
        outermost = index == MODULE_SCOPE
        for op in every_op(scope.body):
            match op:
                case ir.Load() if outermost or op.binding in ("global", "class"):
                    loads[op.name] += 1
                case ir.Store() | ir.Delete() if outermost or op.binding == "global":
                    stores[op.name] += 1
                case _:
                    pass
    return frozenset(name for name, count in loads.items() if count == 1 and stores[name] == 1)


def _dropped(statement: ir.Statement) -> bool:
    return not any(isinstance(op, ir.Store) for op in flatten(statement))


def _constant_arguments(statement: ir.Statement, call: ir.Call) -> bool:
    constants = {op.out for op in flatten(statement) if isinstance(op, ir.Const)}
    return all(argument.value in constants for argument in call.args)
