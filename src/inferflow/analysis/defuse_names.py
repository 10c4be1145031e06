"""Which variable a name means: from the names of nested scopes to the variables of the driver.

A :class:`View` is one of the driver's blocks, or a comprehension or class body that runs within one. Names of
its own are nobody else's business (``None``); so are builtins.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferflow.analysis import ir
from inferflow.analysis.walk import every_op
from inferflow.model import Variable
from inferflow.records import frozen


@frozen(eq=False)
class View:
    """``home`` is the scope (index) of the block, ``scope`` the one that is looked at; ``local`` and ``outer`` are the
    :class:`Variable` scopes of the block's own names and of the module's. ``known`` are the names that are bound
    somewhere at the module's level; with ``any_name``, others may be too."""

    module: ir.Module
    home: int
    scope: int
    local: str
    outer: str
    known: frozenset[str]

    def into(self, scope: int) -> View:
        """The view of a scope inside this one."""
        return View(self.module, self.home, scope, self.local, self.outer, self.known)

    def variable(self, name: str, binding: str) -> Variable | None:
        """The variable that a name means; ``None`` if it belongs to an inner scope. A global that the module does not
        bind is a variable all the same: see :meth:`is_known`."""
        if binding == "global":
            return Variable(self.outer, name)
        if self.scope == self.home:
            return Variable(self.local, name)
        if binding != "free":
            return None
        owner = self.module.scopes[self.scope].parent
        while owner not in (self.home, -1):
            scope = self.module.scopes[owner]
            if scope.kind != "class" and (name in scope.locals or name in scope.type_params):
                return None
            owner = scope.parent
        return Variable(self.local, name)

    def is_known(self, variable: Variable) -> bool:
        """Whether some statement of the module binds it (else it is a builtin, or comes from ``exec`` or the like)."""
        return variable.scope != self.outer or variable.name in self.known


def module_names(module: ir.Module) -> frozenset[str]:
    """The names that statements of a module bind at its level, from within functions too."""
    names = set(module.scopes[0].locals)
    for scope in module.scopes:
        names.update(scope.globals)
    return frozenset(names)


@frozen
class Captured:
    """What a function made in a block takes from the block's variables: those that it or functions within it read, and
    those that they rebind. ``inner``: it makes functions that do so, which may outlive its call."""

    reads: frozenset[Variable] = frozenset()
    writes: frozenset[Variable] = frozenset()
    inner: bool = False


def captured(view: View, scope: int) -> Captured:
    """What the function (or generator expression) of a scope takes from the block around it; of a class, what its
    methods do, since its body runs at once."""
    module = view.module
    reads: set[Variable] = set()
    writes: set[Variable] = set()
    inner = False
    stack = [(scope, module.scopes[scope].kind == "class")]
    while stack:
        index, at_once = stack.pop()
        inside = view.into(index)
        here = module.scopes[index]
        for name in () if at_once else here.free:
            variable = inside.variable(name, "free")
            if variable is not None and name != "__class__":
                reads.add(variable)
                inner = inner or (index != scope and here.kind in ("function", "lambda"))
        for op in every_op(here.body):
            match op:
                case ir.Store(binding="free") | ir.Delete(binding="free"):
                    variable = inside.variable(op.name, "free")
                    if variable is not None and not at_once:
                        writes.add(variable)
                case ir.MakeFunction():
                    stack.append((op.scope, False))
                case ir.MakeClass() | ir.Comprehension():
                    stack.append((op.scope, at_once))
                case _:
                    pass
    return Captured(frozenset(reads), frozenset(writes), inner)


def bound_names(view: View, body: tuple[ir.Statement, ...]) -> Iterator[tuple[Variable, bool]]:
    """The variables that a statement list binds (or deletes: True) wherever in it, comprehensions and class bodies
    included."""
    stack = [(view, body)]
    while stack:
        inside, statements = stack.pop()
        for op in every_op(statements):
            match op:
                case ir.Store() | ir.Delete():
                    variable = inside.variable(op.name, op.binding)
                    if variable is not None:
                        yield variable, isinstance(op, ir.Delete)
                case ir.Comprehension() | ir.MakeClass():
                    stack.append((inside.into(op.scope), view.module.scopes[op.scope].body))
                case _:
                    pass
