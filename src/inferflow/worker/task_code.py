"""The task's own source, executed in a helper: what the analysis cut out of the driver, with its inputs in place.

``TaskCode.execute`` compiles the statements of a task (after those that it repeats, its *preamble*: literals and
functions) and runs them where they look up their names as in the driver. Afterwards the namespaces are as they were.
What was found on the way is kept for the check of the result: ``literals``, what the preamble has bound, as text, to be
compared with home's at the task's turn; ``crossed``, a global that was bound though the task does not name it;
``names``, under which the values stand, and ``kept``, those of them that the task has not bound: it was given them.

    n = 10                    preamble: n = 10
    a = load(n)               task 3:   a = load(n)      -> (a,), literals [["__main__", "n", "10"]]
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from inferflow.worker import transform
from inferflow.worker.exact_graph import ATOMS
from inferflow.worker.facade import Facade
from inferflow.worker.gate import Gate
from inferflow.worker.home import Home
from inferflow.worker.locals_of import locals_of
from inferflow.worker.repeated import Repeated
from inferflow.worker.transform import AGAIN
from inferflow.worker.transform_regions import hook_regions

__all__ = ["TaskCode"]

VALUE = "_inferflow_value_%d"


class TaskCode:
    """Of one helper. ``refuse`` ends the task, and the helper, with a reason."""

    def __init__(self, home: Home, gate: Gate, refuse: Callable[[str], Any]) -> None:
        self.home, self.gate, self.refuse = home, gate, refuse
        self.codes: dict[tuple[int, bool], types.CodeType] = {}
        self.owners: dict[int, Any] = {}
        self.literals: list[list[str]] = []
        self.crossed = ""
        """A global of the driver's module that the running task has bound without naming it."""
        self.names: list[str] = []
        self.kept: list[str] = []
        self.order: list[str] = []
        """The names that the task has added to the module, in the order in which it has."""
        self.before: dict[str, Any] = {}
        """What the names that it may bind were bound to when it began."""
        self.repeated = Repeated()
        setattr(home.hooks, AGAIN, self.repeated.again)
        home.hooks.x, home.hooks.u = self._values_of, self._note_before  # type: ignore[attr-defined]

    def begin(self) -> None:
        """Forget what was found in the task before."""
        self.literals = []
        self.crossed = ""
        self.order = []
        self.repeated.made.clear()

    def of(self, unit: transform.Unit, trusted: bool) -> types.CodeType:
        """The code of a task that has been executed."""
        return self.codes[unit.task, trusted]

    def execute(self, order: dict[str, Any], unit: transform.Unit, inputs: dict[Any, Any]) -> tuple[Any, ...]:
        """The values of ``names``, which the task binds, or that of its expression; raises what the task raises."""
        block = self.home.plan["blocks"][unit.block]
        as_module = block["kind"] != "function"
        outputs = [VALUE % unit.task] if unit.expression is not None else unit.bound()
        inner = {tuple(span): VALUE % number for *span, number in order["inner"]}
        local: dict[str, Any] = {}
        scopes: list[tuple[dict[str, Any], str, Any]] = []
        for (scope, name), value in inputs.items():
            if scope == "<value>":
                number = order["values"][name]
                scope, name = block["scope"], VALUE % number
            if scope == "<driver>":
                local[name] = value
            else:
                scopes.append((_namespace(scope), name, value))
        trust = order.get("trust")
        if "preamble" in order:
            unit = unit._replace(preamble=tuple(tuple(span) for span in order["preamble"]))
        if unit.maybe:  # what home has under these names must not look as if it had been bound here
            scopes += [(_namespace(scope), name, _ABSENT) for scope, name in unit.outputs
                       if name in unit.maybe and scope != "<driver>" and (scope, name) not in inputs
                       and name not in self.home.prefixed]  # fmt: skip
        facade = Facade(self.home.program.module, (), self.refuse)
        if trust is not None and trust["unknown"]:
            hidden = self._hidden_names(scopes)
            facade = Facade(self.home.program.module, hidden, self.refuse)
            space = self.home.program.module.__dict__
            scopes += [(space, name, _ABSENT) for name in sorted(hidden) if name in space]
        functions = [] if as_module else self._functions_before(unit)
        code = self.codes.get((unit.task, trust is not None))
        if code is None:
            code = self._compile(block, unit, sorted(local), inner, outputs + functions, as_module)
            self.codes[unit.task, trust is not None] = code
        self.gate.code = code
        self.home.frames.reset()
        with _Bound(scopes), facade:
            if as_module:
                values = self._run_in_module(code, unit, block["scope"], outputs)
            else:
                function = types.FunctionType(code, self.home.program.module.__dict__, block["name"])
                given: tuple[Any, ...] = function(**local)
                self._note_literals(unit, block["scope"], dict(zip(functions, given[len(outputs) :])))
                values = given[: len(outputs)]
        return self._bound(unit, outputs, values)

    def _bound(self, unit: transform.Unit, outputs: list[str], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values of those names that are bound. What the task has not bound itself it tells only if it can stand
        for itself: home has the object."""
        self.kept = []
        if not unit.maybe:
            self.names = unit.bound()  # (of an expression: as others ask for its value)
            return values
        there = {name: value for name, value in zip(outputs, values) if value is not _ABSENT}
        self.kept = [name for name in unit.maybe if name in there and there[name] is self.before.get(name, _ABSENT)]
        self.before = {}
        for name in self.kept:
            if type(there[name]) not in ATOMS:
                del there[name]
        self.names = list(there)
        return tuple(there.values())

    def _run_in_module(
        self, code: types.CodeType, unit: transform.Unit, scope: str, outputs: list[str]
    ) -> tuple[Any, ...]:
        """Execute in the module's namespace, take back what was bound there, and note what was bound by others."""
        space = self.home.program.module.__dict__
        before = dict(space)
        try:
            exec(code, space)
            self._look_around(code, scope, before)
            self._note_literals(unit, scope, space)
            new = [name for name in space if name not in before]
            self.order = new if unit.expression is None and len(new) > 1 else []
            return tuple(space.get(name, _ABSENT) if name in unit.maybe else space[name] for name in outputs)
        finally:
            for name in [name for name in space if name not in before]:
                del space[name]
            space.update(before)

    def _look_around(self, code: types.CodeType, scope: str, before: dict[str, Any]) -> None:
        space = self.home.program.module.__dict__
        mine = frozenset(code.co_names)
        for name in (*space, *before):
            if space.get(name, _ABSENT) is not before.get(name, _ABSENT) and name not in mine:
                self.crossed = f"{scope}.{name}"

    def _values_of(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """What names of the calling function are bound to."""
        watched, self.gate.on = self.gate.on, False  # (we may look)
        bound = locals_of(sys._getframe(1))
        self.gate.on = watched
        return tuple(bound.get(name, _ABSENT) for name in names)

    def _note_before(self, names: tuple[str, ...]) -> None:
        watched, self.gate.on = self.gate.on, False
        bound = locals_of(sys._getframe(1))
        self.gate.on = watched
        self.before = {name: bound[name] for name in names if name in bound}

    def _functions_before(self, unit: transform.Unit) -> list[str]:
        """The names of the functions that a function's body defines before the task, and the helper repeats."""
        found = transform.literals_before(self._owner(unit.block), unit) if unit.preamble else {}
        return [name for name, value in found.items() if value is ... and name not in unit.bound()]

    def _note_literals(self, unit: transform.Unit, scope: str, space: dict[str, Any]) -> None:
        """What the driver binds before the task, and the helper has bound itself: home has another copy of it."""
        from inferflow.worker.proof import plain

        self.literals = []
        found = transform.literals_before(self.owners[unit.block], unit) if unit.preamble else {}
        for name, value in found.items():
            text = plain(space.get(name) if value is ... else value)
            if text and name not in unit.bound():
                self.literals.append([scope, name, text])

    def _hidden_names(self, given: list[tuple[dict[str, Any], str, Any]]) -> frozenset[str]:
        """What tasks bind in the driver's module and this one was not given: code that finds its names in ways that the
        analysis does not see must not find versions of another time."""
        module = self.home.program.module
        known = {name for space, name, _ in given if space is module.__dict__}
        units = self.home.hooks.units.values()
        bound = {name for unit in units for name in unit.bound()}
        touched = {name for unit in units for scope, name in unit.outputs if scope == module.__name__}
        code = (types.FunctionType, types.ModuleType)  # (a look at all globals counts as touching these, too)
        return frozenset(
            name for name in touched - known if name in bound or not isinstance(module.__dict__.get(name), code)
        )

    def _compile(
        self, block: dict[str, Any], unit: transform.Unit, parameters: list[str], inner: dict[Any, str],
        outputs: list[str], as_module: bool,
    ) -> types.CodeType:  # fmt: skip
        program, owner = self.home.program, self._owner(unit.block)
        code = transform.helper_code(
            program.filename, program.flags, owner, block["name"], unit, parameters, inner, outputs, as_module
        )
        return transform.replace_sentinel(code, self.home.hooks)

    def _owner(self, number: int) -> Any:
        """The node of the block with this number."""
        owner = self.owners.get(number)
        if owner is None:
            block = self.home.plan["blocks"][number]
            owner = transform.find_block(self.home.program.tree(), block["kind"], block["line"], block["column"])
            hook_regions(owner.body, self.home.frames.table)
            self.owners[number] = owner
        return owner


def _namespace(scope: str) -> dict[str, Any]:
    module = sys.modules.get(scope)
    if module is None:
        raise LookupError(f"module {scope} is not imported here")
    return module.__dict__


_ABSENT = object()


class _Bound:
    """Names set in namespaces for the time of one task; afterwards everything is as it was."""

    def __init__(self, names: list[tuple[dict[str, Any], str, Any]]) -> None:
        self.names = names
        self.before: list[Any] = []

    def __enter__(self) -> None:
        for space, name, value in self.names:
            self.before.append(space.get(name, self))
            if value is _ABSENT:
                space.pop(name, None)
            else:
                space[name] = value

    def __exit__(self, *_: object) -> None:
        for (space, name, _value), old in zip(self.names, self.before):
            if old is self:
                space.pop(name, None)
            else:
                space[name] = old
