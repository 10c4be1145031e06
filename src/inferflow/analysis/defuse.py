"""Flow-sensitive def-use chains of the driver's names.

``find_names(driver)`` tells for each step which names it reads, which earlier steps' bindings may reach the
reading, and which names it binds:

    0  df = load()            uses load; binds df
    1  if ok: df = clean(df)  uses df from 0; binds df, on some paths only
    2  plot(df)               uses df from 0 and 1

Names of the module run through all blocks; names of the driver's function live in its block. Reads inside
comprehensions and class bodies count where these stand. Builtins are no variables.

Functions made in the driver's function (lambdas, generator expressions) may read its names whenever they are called:

- a step that loads the name of such a function uses what the function reads, and rebinds (on some paths)
  what it rebinds; so does a step that makes a function and passes it on;
- a function that is passed on may be kept anywhere. As long as the names that it reads keep their bindings, that is
  of no consequence: whatever carries the function was made by a step that uses them. Once one is bound anew,
  every later step that may run code uses it (operation -1).

What project functions read of their module's globals is not told here (see the effects).
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.deep import deep
from inferflow.analysis.defuse_flow import BEFORE, GONE, OWN, State
from inferflow.analysis.defuse_names import Captured, View, captured, module_names
from inferflow.analysis.defuse_walk import Walk
from inferflow.analysis.facts import Bind, DefUse, Driver, DriverBlock, StepKey, StepNames, Use
from inferflow.analysis.managers import Managers
from inferflow.analysis.walk import every_op, in_order, operands
from inferflow.model import Diagnostic, Severity, Span, Variable
from inferflow.records import define, field

__all__ = ["find_names", "names_within"]

Reach: TypeAlias = tuple[frozenset[StepKey | None], bool]
"""The steps whose binding may be in force, and whether the name may be unbound."""

_BEFORE_ALL: Reach = (frozenset({None}), False)
_UNBOUND: Reach = (frozenset(), True)
_BUILTINS = frozenset(dir(builtins)) | {"__file__", "__cached__", "__builtins__"}
_RUN_TEXT = frozenset({"exec", "eval"})
_NAMESPACES = frozenset({"globals", "locals", "vars", "dir"})
_CONSUMERS = frozenset(
    {"all", "any", "bytes", "dict", "frozenset", "len", "list", "max", "min", "set", "sorted", "str", "sum", "tuple"}
)
"""Builtins that call or use up what they are given, and keep nothing of it."""


def find_names(driver: Driver) -> DefUse:
    """The def-use chains of the driver's steps. Needs nothing but the lowered modules; never fails on user code."""
    return deep(_find_names, driver)


def _find_names(driver: Driver) -> DefUse:
    chains = _Chains(driver)
    for number, block in enumerate(driver.blocks):
        chains.views[number] = _view(driver, block)
    chains.prefix()
    statements = [{statement.index: statement for statement in block.statements} for block in driver.blocks]
    for key in driver.steps:
        statement = statements[key[0]].get(key[1])
        if statement is not None:
            chains.enter(key[0])
            chains.step(key, statement)
    return DefUse(chains.steps, frozenset(chains.captured), tuple(dict.fromkeys(chains.diagnostics)))


def names_within(driver: Driver) -> DefUse:
    """The chains of a statement list inside a compound statement, given as the one block of ``driver``. What is bound
    outside of it, or in an earlier turn of a loop around it, is there before the first step."""
    chains = _Chains(driver)
    view = chains.views[0] = _view(driver, driver.blocks[0])
    scope = view.module.scopes[view.home]
    chains.block = 0
    chains.reaching.update(dict.fromkeys((Variable(view.outer, name) for name in view.known), _BEFORE_ALL))
    local = (*scope.locals, *[parameter.name for parameter in scope.params], *scope.type_params)
    chains.reaching.update(dict.fromkeys((Variable(view.local, name) for name in local), _BEFORE_ALL))
    for statement in driver.blocks[0].statements:
        chains.step((0, statement.index), statement)
    return DefUse(chains.steps, frozenset(chains.captured), ())


def _view(driver: Driver, block: DriverBlock) -> View:
    module = driver.project.modules[block.module]
    return View(module, block.scope, block.scope, block.block.scope, module.name, module_names(module))


@define(eq=False)
class _Chains:
    """The state of the pass over the driver: what reaches the present step, and what was found so far.

    ``holders``: variables bound to functions that capture names. ``kept``: names that functions passed on elsewhere may
    read, with the bindings that were in force then; ``late``: those among them that were bound anew since; ``rebound``:
    names that such functions may bind. ``anything``: steps that may bind names which no statement does.
    """

    driver: Driver
    views: dict[int, View] = field(factory=dict)
    reaching: dict[Variable, Reach] = field(factory=dict)
    steps: dict[StepKey, StepNames] = field(factory=dict)
    captured: set[Variable] = field(factory=set)
    diagnostics: list[Diagnostic] = field(factory=list)
    holders: dict[Variable, Captured] = field(factory=dict)
    kept: dict[Variable, Reach] = field(factory=dict)
    late: dict[Variable, None] = field(factory=dict)
    rebound: dict[Variable, None] = field(factory=dict)
    anything: frozenset[StepKey | None] = frozenset()
    leaked: bool = False
    curious: bool = False
    """A builtin that reaches names by other means was loaded in this step."""
    managers: Managers | None = None
    block: int = -1
    key: StepKey | None = None
    uses: dict[tuple[object, ...], Use] = field(factory=dict)
    sites: dict[tuple[Variable, bool, int], Span] = field(factory=dict)
    returns: list[dict[Variable, Reach]] = field(factory=list)

    # -- blocks --------------------------------------------------------------------------------

    def prefix(self) -> None:
        """What the module binds before the first step. Names of modules that are not run as steps are there already."""
        project = self.driver.project
        for number, view in self.views.items():
            if view.module.name != project.main or not self._has_module_block(view):
                names = (Variable(view.outer, name) for name in view.known)
                self.reaching.update(dict.fromkeys(names, _BEFORE_ALL))
            elif self.driver.blocks[number].block.kind == "module":
                self.block = number
                state = State()
                Walk(self).block(view, view.module.scopes[view.home].body[: self.driver.prefix], state)
                self._advance(state, None)
        self.uses.clear()
        self.sites.clear()
        self.block = -1

    def _has_module_block(self, view: View) -> bool:
        return any(
            block.block.kind == "module" and self.views[number].outer == view.outer
            for number, block in enumerate(self.driver.blocks)
        )

    def enter(self, number: int) -> None:
        """Go on in a block. The parameters of a function are bound when its block begins."""
        if number == self.block:
            return
        view = self.views[number]
        self.block = number
        scope = view.module.scopes[view.home]
        if self.driver.blocks[number].block.kind == "function":
            names = [*[parameter.name for parameter in scope.params], *scope.type_params]
            for name in names:
                self.reaching.setdefault(Variable(view.local, name), _BEFORE_ALL)
        elif self.returns:
            self._after_return()

    def _after_return(self) -> None:
        """An early ``return`` of the driver's function leaves the module's names as they were then."""
        for past in self.returns:
            for variable, (defs, unbound) in list(self.reaching.items()):
                old = past.get(variable)
                if old is not None:
                    self.reaching[variable] = (defs | old[0], unbound or old[1])
        self.returns.clear()

    # -- steps ---------------------------------------------------------------------------------

    def step(self, key: StepKey, statement: ir.Statement) -> None:
        """Walk through one step, and write down what it uses and binds."""
        view = self.views[self.block]
        self.key = key
        self.uses, self.sites, self.curious = {}, {}, False
        state = State()
        runs_code = bool(self.late or self.rebound or self.leaked) and _runs_code(statement)
        if runs_code:
            self._others(view, statement, state)
        walk = Walk(self)
        reached = walk.statement(view, statement, state)
        if not reached:
            state.may({variable: GONE if deletes else OWN for variable, deletes, _ in self.sites})
        if self.rebound and (runs_code or _runs_code(statement)):
            self._rebind(statement, state)
        binds = tuple(
            self._bind(variable, deletes, number, span, state)
            for (variable, deletes, number), span in self.sites.items()
        )
        self.steps[key] = StepNames(tuple(self.uses.values()), binds)
        if walk.returned:
            self._returned(view, state)
        self._advance(state, key)

    def _bind(self, variable: Variable, deletes: bool, number: int, span: Span, state: State) -> Bind:
        definite = state.get(variable) == (GONE if deletes else OWN)
        return Bind(variable, number, definite, deletes, span)

    def _returned(self, view: View, state: State) -> None:
        """The driver's function may end here: remember the module's names that it binds, as they are now."""
        variables = [Variable(view.outer, name) for name in view.module.scopes[view.home].globals]
        if variables:
            self.returns.append({variable: self._now(variable, state) for variable in variables})

    def _advance(self, state: State, key: StepKey | None) -> None:
        """The step is over: its bindings are in force from now on."""
        for variable, flags in state.changes.items():
            self.reaching[variable] = self._after(variable, flags, key)
            then = self.kept.get(variable)
            if then is not None and self.reaching[variable] != then:
                self.late[variable] = None

    def _after(self, variable: Variable, flags: int, key: StepKey | None) -> Reach:
        defs, unbound = (
            self.reaching.get(variable, _UNBOUND) if flags & BEFORE else (frozenset[StepKey | None](), False)
        )
        return (defs | {key} if flags & OWN else defs), unbound or bool(flags & GONE)

    def _now(self, variable: Variable, state: State) -> Reach:
        return self._after(variable, state.get(variable), self.key)

    def _others(self, view: View, statement: ir.Statement, state: State) -> None:
        """What functions that are kept somewhere may do while this step runs code."""
        for variable in self.late:
            self._use(variable, state, -1, statement.span)
        for variable in self.rebound:
            state.may({variable: OWN})
        if self.leaked:
            self._use_all(view, state, -1, statement.span)
            self._bind_all(view, state, -1, statement.span)

    def _rebind(self, statement: ir.Statement, state: State) -> None:
        for variable in self.rebound:
            state.may({variable: OWN})
            self.sites.setdefault((variable, False, -1), statement.span)

    # -- what the walk tells -------------------------------------------------------------------

    def read(self, variable: Variable, state: State, number: int, span: Span) -> None:
        """A name is read."""
        view = self.views[self.block]
        if not view.is_known(variable):
            self.curious = self.curious or variable.name in _RUN_TEXT or variable.name in _NAMESPACES
            if self.anything - {None} and variable.name not in _BUILTINS:
                self._add(Use(variable, number, self.anything, True, span))
            return
        self._use(variable, state, number, span)
        holds = self.holders.get(variable)
        if holds is not None:
            self._run(holds, state, number, span)

    def bind(self, variable: Variable, deletes: bool, number: int, span: Span) -> None:
        """A name is bound or deleted."""
        self.sites.setdefault((variable, deletes, number), span)

    def lets_pass(self, view: View, block: ir.With) -> bool:
        """Whether a ``with`` swallows nothing."""
        if self.managers is None:
            self.managers = Managers(self.driver.project.modules)
        return self.managers.let_pass(view.module, view.scope, block)

    def special(self, view: View, op: ir.Op, run: tuple[ir.Op, ...], state: State, number: int) -> None:
        """Operations that reach names by other means than naming them."""
        match op:
            case ir.MakeFunction() | ir.MakeClass():
                self._made(view, op, op.scope, op.out, run, state, number)
            case ir.Comprehension(kind="generator"):
                self._made(view, op, op.scope, op.out, run, state, number)
            case ir.ImportFrom():
                self._star(view, op, state, number)
            case ir.Call() if self.curious:
                self._called(view, op, run, state, number)
            case _:
                pass

    def _use(self, variable: Variable, state: State, number: int, span: Span) -> None:
        defs, unbound = self._now(variable, state)
        self._add(Use(variable, number, defs, unbound, span))

    def _add(self, use: Use) -> None:
        """Reads of the same bindings inside a compound statement count once, at the first."""
        place: object = use.span if use.op >= 0 else None
        self.uses.setdefault((use.variable, use.op, place, use.defs, use.unbound), use)

    # -- functions that capture names ----------------------------------------------------------

    def _made(
        self, view: View, op: ir.Op, scope: int, out: int, run: tuple[ir.Op, ...], state: State, number: int
    ) -> None:
        takes = captured(view, scope) if view.module.scopes[scope].free else Captured()
        if isinstance(op, ir.Comprehension):
            takes = Captured(takes.reads | _globals_read(view, scope), takes.writes)
        else:
            self.captured |= takes.reads | takes.writes
        if not (takes.reads or takes.writes):
            return
        span = op.span
        users = [user for user in in_order(run) if out in operands(user)]
        for user in users:
            match user:
                case ir.Store():
                    variable = view.variable(user.name, user.binding)
                    if variable is not None and not isinstance(op, ir.Comprehension):
                        self._hold(variable, takes)
                    if variable is None or not isinstance(op, ir.MakeFunction):
                        self._keep(takes, state)
                case ir.Call() if user.func == out or self._consumes(view, user, run):
                    self._run(takes, state, number, span)
                    if takes.inner:
                        self._keep(takes, state)
                case _:
                    self._run(takes, state, number, span)
                    self._keep(takes, state)
        if not users:  # inside an arm of a choice, or a comprehension
            self._run(takes, state, number, span)
            self._keep(takes, state)

    def _hold(self, variable: Variable, takes: Captured) -> None:
        old = self.holders.get(variable, Captured())
        self.holders[variable] = Captured(old.reads | takes.reads, old.writes | takes.writes, old.inner or takes.inner)

    def _consumes(self, view: View, call: ir.Call, run: tuple[ir.Op, ...]) -> bool:
        """Whether a call keeps nothing of its arguments."""
        for op in in_order(run):
            if getattr(op, "out", -1) == call.func:
                match op:
                    case ir.Load(binding="global"):
                        return op.name in _CONSUMERS and op.name not in view.known and not self.anything
                    case ir.Attr(name="join"):
                        return any(isinstance(const, ir.Const) and const.out == op.obj for const in in_order(run))
                    case _:
                        return False
        return False

    def _run(self, takes: Captured, state: State, number: int, span: Span) -> None:
        """A function that captures names may be called here, and those that it calls in turn."""
        seen: set[Variable] = set()
        stack = [takes]
        while stack:
            one = stack.pop()
            for variable in sorted(one.reads - seen):
                self._use(variable, state, number, span)
                inner = self.holders.get(variable)
                if inner is not None:
                    stack.append(inner)
            seen |= one.reads
            for variable in sorted(one.writes):
                state.may({variable: OWN})
                self.sites.setdefault((variable, False, number), span)

    def _keep(self, takes: Captured, state: State) -> None:
        """A function that captures names may be kept somewhere and called by anybody."""
        seen: set[Variable] = set()
        stack = [takes]
        while stack:
            one = stack.pop()
            for variable in one.reads - seen:
                now = self._now(variable, state)
                if self.kept.setdefault(variable, now) != now:
                    self.late[variable] = None
                inner = self.holders.get(variable)
                if inner is not None:
                    stack.append(inner)
            seen |= one.reads
            self.rebound.update(dict.fromkeys(sorted(one.writes)))

    # -- names by other means ------------------------------------------------------------------

    def _all_names(self, view: View) -> list[Variable]:
        names = [Variable(view.outer, name) for name in sorted(view.known)]
        if view.local != view.outer:
            names += [Variable(view.local, name) for name in view.module.scopes[view.home].locals]
        return names

    def _use_all(self, view: View, state: State, number: int, span: Span) -> None:
        for variable in self._all_names(view):
            if self._now(variable, state) != _UNBOUND:
                self._use(variable, state, number, span)

    def _bind_all(self, view: View, state: State, number: int, span: Span) -> None:
        for variable in self._all_names(view):
            if variable.scope == view.outer:
                state.may({variable: OWN})
                self.sites.setdefault((variable, False, number), span)
        self.anything |= {self.key}

    def _star(self, view: View, op: ir.ImportFrom, state: State, number: int) -> None:
        names = self._exported(view, op)
        if names is not None:
            for name in names:
                variable = Variable(view.outer, name)
                state.put(variable, OWN)
                self.sites.setdefault((variable, False, number), op.span)
            self.anything |= {self.key} if set(names) - view.known else frozenset()
            return
        self._bind_all(view, state, number, op.span)
        self._say(
            op.span, "IF303", f"from {'.' * op.level}{op.module} import * may bind any name", "name what is imported"
        )

    def _exported(self, view: View, op: ir.ImportFrom) -> tuple[str, ...] | None:
        """What a star import brings; ``None`` if the module is not one of the project's."""
        name = op.module
        if op.level:
            package = view.module.name.split(".")
            package = package[: len(package) - op.level + view.module.is_package]
            name = ".".join([*package, *([op.module] if op.module else [])])
        module = self.driver.project.modules.get(name)
        if module is None or any(
            isinstance(o, ir.ImportFrom) and o.name == "*" for o in every_op(module.scopes[0].body)
        ):
            return None
        if module.exports is not None:
            return module.exports
        return tuple([name for name in module.scopes[0].locals if not name.startswith("_")])

    def _called(self, view: View, op: ir.Call, run: tuple[ir.Op, ...], state: State, number: int) -> None:
        func = next((o for o in in_order(run) if isinstance(o, ir.Load) and o.out == op.func), None)
        if func is None or func.binding != "global" or func.name in view.known:
            return
        if func.name in _RUN_TEXT and len(op.args) < 2:
            self._use_all(view, state, number, op.span)
            self._bind_all(view, state, number, op.span)
            self._say(
                op.span,
                "IF301",
                f"{func.name} may read and bind any name",
                "write the code itself, or import it as a module",
            )
        elif func.name in _NAMESPACES and not (op.args and func.name in ("vars", "dir")):
            self._namespace(view, op, func.name, run, state, number)

    def _namespace(self, view: View, op: ir.Call, name: str, run: tuple[ir.Op, ...], state: State, number: int) -> None:
        """In a module, ``globals()`` and ``locals()`` are the live names; in a function, ``locals()`` is a copy."""
        self._use_all(view, state, number, op.span)
        live = name == "globals" or (name != "dir" and view.local == view.outer)
        if not live:
            return
        self._say(op.span, "IF302", f"{name}() reaches any name", "bind the name itself")
        reads, stores = True, False
        for user in in_order(run):
            if op.out in operands(user):
                match user:
                    case ir.Item(obj=op.out):
                        pass
                    case ir.Call() if user.func != op.out and all(a.star == 2 for a in user.args if a.value == op.out):
                        pass
                    case ir.StoreItem(obj=op.out) | ir.DelItem(obj=op.out):
                        stores = True
                    case _:
                        reads = False
        if stores or not reads:
            self._bind_all(view, state, number, op.span)
        if not reads:
            self.leaked = True

    def _say(self, span: Span, code: str, message: str, hint: str) -> None:
        self.diagnostics.append(Diagnostic(span, code, message, Severity.NOTE, hint))


def _globals_read(view: View, scope: int) -> frozenset[Variable]:
    """The module's names that a generator expression reads, other than in its first iterable."""
    found: set[Variable] = set()
    stack = [scope]
    while stack:
        for op in every_op(view.module.scopes[stack.pop()].body):
            if isinstance(op, ir.Load) and op.binding == "global" and op.name in view.known:
                found.add(Variable(view.outer, op.name))
            elif isinstance(op, ir.Comprehension):
                stack.append(op.scope)
    return frozenset(found)


def _runs_code(statement: ir.Statement) -> bool:
    """Whether a statement does anything but load, store, and build."""
    quiet = ir.Const | ir.Load | ir.Store | ir.Delete | ir.Build | ir.MakeFunction
    return any(not isinstance(op, quiet) for op in _every(statement))


def _every(statement: ir.Statement) -> Iterable[ir.Op]:
    return every_op((statement,))
