"""From files to a driver: which modules there are, and which statements are the driver's steps.

``load_project`` lowers the driver's module and every project module that an import reaches from it, imports
inside functions too. ``find_driver`` then finds the *blocks*: a script's module body, the body of its
``__main__`` guard, and the body of the one function that is called there, spliced in program order:

    def main(): X = load(); fit(X)        prefix: 1 (the def)
    if __name__ == "__main__":            blocks: module 0, guard 1, function 2
        main()                            steps:  (1, 0) the call, then (2, 0), (2, 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.facts import Driver, DriverBlock, Project, SourceFinder, StepKey
from inferflow.analysis.opening import absolute, has_work, not_plain, opened_call, unknown_decorator
from inferflow.analysis.walk import every_op
from inferflow.model import Block, Diagnostic, Severity, Source, Span
from inferflow.records import evolve

__all__ = ["Lower", "find_driver", "load_project"]

Lower: TypeAlias = Callable[[Source, bool], "tuple[ir.Module | None, tuple[Diagnostic, ...]]"]
"""Lowers a file; the flag asks for blank lines and cell markers, which matter in the driver only."""

MODULE_SCOPE = 0
DRIVER_SCOPE = "<driver>"

# -- the project -----------------------------------------------------------------------------------


def load_project(main: Source, find: SourceFinder, lower: Lower) -> Project:
    """The driver's module and all project modules that imports reach from it, each lowered once.

    A module that cannot be parsed gives a diagnostic, and is then as unknown as a library that nobody described."""
    modules: dict[str, ir.Module] = {}
    sources: dict[str, Source] = {main.module: main}
    diagnostics: list[Diagnostic] = []
    missing: set[str] = set()
    queue = [main]
    while queue:
        source = queue.pop(0)
        module, found = lower(source, source is main)
        diagnostics.extend(
            found if module is not None else map(_unreadable if source is main else _unknown_module, found)
        )
        if module is None:
            continue
        modules[source.module] = module
        for name in _imported(module):
            if name in sources or name in missing:
                continue
            other = find(name)
            if other is None:
                missing.add(name)
            else:
                sources[name] = other
                queue.append(other)
    return Project(main.module, modules, sources, tuple(diagnostics))


def _unreadable(found: Diagnostic) -> Diagnostic:
    return evolve(found, code="IF005")


def _unknown_module(found: Diagnostic) -> Diagnostic:
    text = f"the module cannot be read, so what it does is not known: {found.message}"
    return evolve(found, code="IF006", message=text, severity=Severity.WARNING, hint="importing it will fail")


_IMPORTS = frozenset((ir.ImportModule, ir.ImportFrom))


def _imported(module: ir.Module) -> Iterator[str]:
    """Dotted names of every module that executing this one, or a function of it, may import; parents first."""
    for scope in module.scopes:
        for op in every_op(scope.body):
            if type(op) not in _IMPORTS:
                continue
            match op:
                case ir.ImportModule():
                    yield from _with_parents(op.module)
                case ir.ImportFrom():
                    base = absolute(module, op.module, op.level)
                    if base is None:
                        continue
                    yield from _with_parents(base)
                    if op.name != "*":
                        yield f"{base}.{op.name}" if base else op.name
                case _:
                    pass


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        if all(parts[:length]):
            yield ".".join(parts[:length])


# -- the driver ------------------------------------------------------------------------------------


def find_driver(project: Project, target: str, function: str | None) -> Driver:
    """The blocks and steps of a driver: of the function if one is named, of the script otherwise.

    What cannot be taken as a driver gives a diagnostic of severity ERROR and no steps."""
    if function is not None:
        return _function_driver(project, target, function)
    return _script_driver(project, target)


def _function_driver(project: Project, target: str, name: str) -> Driver:
    module = project.modules[project.main]
    scope, problem = _find_function(module, name)
    if scope is None or problem is not None:
        found = (problem,) if problem else ()
        return Driver(target, project, name, (), (), diagnostics=found)
    block = _function_block(module, scope)
    decorated = unknown_decorator(module.scopes[scope])
    if decorated is not None:
        note = Diagnostic(
            module.scopes[scope].span,
            "IF106",
            f"{name} runs as a whole: what its decorator @{decorated} makes of it is not known",
            Severity.WARNING,
            "name the undecorated function as the driver to see its tasks",
        )
        return Driver(target, project, name, (block,), (), diagnostics=(note,))
    steps = _until_end([(0, statement) for statement in block.statements])
    found = () if has_work(block.statements) else (_empty(module.scopes[scope].span, f"function {name}"),)
    return Driver(target, project, name, (block,), tuple(steps), diagnostics=found)


def _find_function(module: ir.Module, name: str) -> tuple[int | None, Diagnostic | None]:
    """The scope of the module's function ``name``, or why it cannot be a driver."""
    top = {
        s.name: i for i, s in enumerate(module.scopes) if s.parent == MODULE_SCOPE and s.kind in ("function", "class")
    }
    whole = module.scopes[MODULE_SCOPE].span
    if name not in top:
        functions = [n for n, i in top.items() if module.scopes[i].kind == "function"]
        close = difflib.get_close_matches(name, functions, 3, 0.5) or functions[:5]
        hint = f"it has: {', '.join(close)}" if close else "it defines no function"
        bound = [
            op for op in every_op(module.scopes[MODULE_SCOPE].body) if isinstance(op, ir.Store) and op.name == name
        ]
        if bound:
            message = f"{name!r} is not defined by 'def' in {module.path}, so its steps cannot be seen"
            return None, Diagnostic(bound[-1].span, "IF104", message, Severity.ERROR, hint)
        message = f"there is no function {name!r} in {module.path}"
        return None, Diagnostic(whole, "IF102", message, Severity.ERROR, hint)
    scope = module.scopes[top[name]]
    kind = not_plain(scope)
    if kind is not None:
        message = f"{name!r} is {kind}, and a driver is a plain function"
        hint = "name a function, or run the file as a script"
        return None, Diagnostic(scope.span, "IF104", message, Severity.ERROR, hint)
    bindings = [op for op in every_op(module.scopes[MODULE_SCOPE].body) if isinstance(op, ir.Store) and op.name == name]
    if bindings and bindings[-1].how != "def":
        message = f"{name!r} is bound again after its 'def', so the function called is not known"
        return None, Diagnostic(bindings[-1].span, "IF104", message, Severity.ERROR, "name the function that is called")
    return top[name], None


def _script_driver(project: Project, target: str) -> Driver:
    module = project.modules[project.main]
    source = project.sources[project.main]
    body = module.scopes[MODULE_SCOPE].body
    prefix = module.prefix
    lines = source.text.count("\n") + 1
    whole = Span(source.path, 1, 0, lines, 0)
    blocks = [DriverBlock(Block("module", module.name, module.name, whole), module.name, MODULE_SCOPE, body)]
    placed: list[tuple[int, ir.Statement]] = []
    for statement in body[prefix:]:
        # The statements of a notebook's cells are steps, and what they call is not opened.
        if len(blocks) == 1 and not source.cells and isinstance(statement, ir.If) and _is_guard(statement):
            guard = Block("guard", "__main__ guard", module.name, statement.span)
            blocks.append(DriverBlock(guard, module.name, MODULE_SCOPE, statement.body))
            placed.extend((1, inner) for inner in statement.body)
        else:
            placed.append((0, statement))
    steps = _until_end(placed)
    opened = None
    if not source.cells:
        opened = opened_call(project, module, [blocks[b].statements[i] for b, i in steps], steps)
    if opened is None:
        found = () if has_work([statement for _, statement in placed]) else (_empty(whole, source.path),)
        return Driver(target, project, "", tuple(blocks), tuple(steps), prefix, None, found)
    blocks.append(_function_block(module, opened.scope))
    inner = _until_end([(len(blocks) - 1, statement) for statement in blocks[-1].statements])
    at = steps.index(opened.step) + 1
    steps[at:at] = inner
    name = module.scopes[opened.scope].name
    return Driver(target, project, name, tuple(blocks), tuple(steps), prefix, opened.step)


def _function_block(module: ir.Module, scope: int) -> DriverBlock:
    function = module.scopes[scope]
    return DriverBlock(Block("function", function.name, DRIVER_SCOPE, function.span), module.name, scope, function.body)


def _until_end(placed: list[tuple[int, ir.Statement]]) -> list[StepKey]:
    """Keys of the statements up to the first that surely leaves the block: what stands after it never runs."""
    steps: list[StepKey] = []
    for block, statement in placed:
        steps.append((block, statement.index))
        if isinstance(statement, ir.Return | ir.Raise):
            break
    return steps


def _is_guard(statement: ir.If) -> bool:
    ops = statement.ops
    if len(ops) != 3 or not (isinstance(ops[2], ir.Operate) and ops[2].op == "=="):
        return False
    names = [op.name for op in ops if isinstance(op, ir.Load)]
    values = [op.value for op in ops if isinstance(op, ir.Const)]
    return names == ["__name__"] and values == ["__main__"]


def _empty(span: Span, what: str) -> Diagnostic:
    return Diagnostic(
        span, "IF103", f"{what} has no steps to run", Severity.NOTE, "call something in it, or name another function"
    )
