"""Context managers that are known to let exceptions pass: what stands behind such a ``with`` finds bound all that its
body binds.

    with open(path) as file: ...         by the name of the library's function
    with Timer(): ...                    a class of the project whose __exit__ returns nothing, None or False
    with timed("x"): ...                 a function of the project under @contextmanager, in which every handler raises
                                         again and no inner manager swallows
    lock = threading.Lock()
    with lock: ...                       a name that is bound once, to one of these

Of everything else nothing is known: it may swallow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferflow.analysis import ir
from inferflow.analysis.walk import every_op, every_statement, own_ops
from inferflow.records import frozen

__all__ = ["Managers"]

PATIENT = frozenset(
    [
        "BoundedSemaphore", "BytesIO", "Condition", "ExcelWriter", "GzipFile", "HDFStore", "Lock", "NamedTemporaryFile",
        "Pool", "ProcessPoolExecutor", "RLock", "Semaphore", "SpooledTemporaryFile", "StringIO", "TarFile",
        "TemporaryDirectory", "TemporaryFile", "ThreadPool", "ThreadPoolExecutor", "ZipFile", "catch_warnings", "chdir",
        "closing", "config_context", "connect", "errstate", "fdopen", "inference_mode", "localcontext",
        "no_grad", "nullcontext", "open", "option_context", "parallel_backend", "printoptions", "rc_context",
        "redirect_stderr", "redirect_stdout", "scandir", "socket", "threadpool_limits", "tqdm", "urlopen",
    ]
)  # fmt: skip
"""Of libraries: by the last part of the name."""
MAKERS = frozenset(
    ["contextmanager", "contextlib.contextmanager", "asynccontextmanager", "contextlib.asynccontextmanager"]
)
PLAIN = ("dataclass", "dataclasses.dataclass", "attr", "define", "frozen", "total_ordering", "functools.total_ordering")
"""Decorators of classes that leave ``__exit__`` alone."""
DEEPEST = 6


@frozen
class _Place:
    """Operations of a simple statement or a head, and where they stand."""

    module: ir.Module
    scope: int
    ops: Sequence[ir.Op]


class Managers:
    """What was found of the managers of a project."""

    def __init__(self, modules: Mapping[str, ir.Module]) -> None:
        self.modules = modules
        self.known: dict[tuple[str, int, bool], bool] = {}
        self.own: frozenset[str] | None = None
        """Names of all functions and classes of the project."""
        self.tables: dict[tuple[str, int], dict[str, list[tuple[_Place, ir.Temp]]]] = {}
        """For each scope: where it binds its names, and the values that they get there."""

    def let_pass(self, module: ir.Module, scope: int, block: ir.With) -> bool:
        """Whether all managers of a statement that stands in this scope let every exception pass."""
        return self._block(module, scope, block, 0)

    def _block(self, module: ir.Module, scope: int, block: ir.With, depth: int) -> bool:
        return all(
            self._value(_Place(module, scope, ops), manager, block.is_async, depth)
            for ops, manager, _, _ in block.items
        )

    def _value(self, place: _Place, temp: ir.Temp, waits: bool, depth: int) -> bool:
        """Whether the value of an operation is such a manager."""
        if depth > DEEPEST:
            return False
        match _maker(place, temp):
            case ir.Call(func=func):
                return self._made_by(place, func, waits, depth + 1)
            case ir.Load() as load:
                found = _owner(place, load)
                bound = None if found is None else self._only_value(place.module, found, load.name)
                return bound is not None and self._value(*bound, waits, depth + 1)
            case _:
                return False

    def _made_by(self, place: _Place, func: ir.Temp, waits: bool, depth: int) -> bool:
        """Whether calling this gives such a manager."""
        match _maker(place, func):
            case ir.Load() as load:
                owner = _owner(place, load)
                if owner is None:
                    return load.name in PATIENT
                return self._defined(place.module, owner, load.name, waits, depth)
            case ir.Attr(obj=obj, name=name):
                base = _maker(place, obj)
                owner = _owner(place, base) if isinstance(base, ir.Load) else None
                there = None
                if owner is not None and isinstance(base, ir.Load):
                    there = self.modules.get(self._imported(place.module, owner, base.name))
                if there is not None:
                    return self._defined(there, 0, name, waits, depth)
                return name in PATIENT and not self._is_own(name)
            case _:
                return False

    def _defined(self, module: ir.Module, owner: int, name: str, waits: bool, depth: int) -> bool:
        """The same of a name that is bound in a scope."""
        if depth > DEEPEST:
            return False
        bindings = self._bindings(module, owner, name)
        if len(bindings) != 1:
            return False
        place, value = bindings[0]
        match _maker(place, value):
            case ir.ImportFrom() as told:
                source = self._source(module, told)
                return told.name in PATIENT if source is None else self._defined(source, 0, told.name, waits, depth + 1)
            case _:
                inner = [
                    number
                    for number, scope in enumerate(module.scopes)
                    if scope.parent == owner and scope.name == name and scope.kind in ("function", "class")
                ]
                if len(inner) != 1:
                    return False
        key = (module.name, inner[0], waits)
        if key not in self.known:
            self.known[key] = False  # (while it is looked into)
            self.known[key] = self._scope(module, inner[0], waits, depth)
        return self.known[key]

    def _bindings(self, module: ir.Module, owner: int, name: str) -> list[tuple[_Place, ir.Temp]]:
        """Where a scope binds a name, and the value that it gets there (-1 where that is no operation's of the same
        statement)."""
        table = self.tables.get((module.name, owner))
        if table is None:
            table = self.tables[module.name, owner] = _table(module, owner)
        return table.get(name, [])

    def _only_value(self, module: ir.Module, owner: int, name: str) -> tuple[_Place, ir.Temp] | None:
        """The value of a name that is bound once, and is no parameter."""
        if any(param.name == name for param in module.scopes[owner].params):
            return None
        found = self._bindings(module, owner, name)
        return found[0] if len(found) == 1 else None

    def _imported(self, module: ir.Module, owner: int, name: str) -> str:
        """The module that a name stands for."""
        found = self._only_value(module, owner, name)
        op = None if found is None else _maker(*found)
        if isinstance(op, ir.ImportModule):
            return op.module if op.bind_leaf else name
        return f"{op.module}.{op.name}" if isinstance(op, ir.ImportFrom) and not op.level else ""

    def _is_own(self, name: str) -> bool:
        """Whether an attribute of this name may be a method of the project's."""
        if self.own is None:
            self.own = frozenset(scope.name for module in self.modules.values() for scope in module.scopes)
        return name in self.own

    def _source(self, module: ir.Module, told: ir.ImportFrom) -> ir.Module | None:
        """The module of the project that a name is imported from."""
        if not told.level:
            return self.modules.get(told.module)
        parts = module.name.split(".")
        kept = parts[: len(parts) - told.level + (1 if module.is_package else 0)]
        return self.modules.get(".".join([*kept, *([told.module] if told.module else [])]))

    def _scope(self, module: ir.Module, number: int, waits: bool, depth: int) -> bool:
        scope = module.scopes[number]
        if scope.kind == "function":
            return (
                scope.is_generator
                and len(scope.decorators) == 1
                and scope.decorators[0] in MAKERS
                and self._passes_on(module, number, depth)
            )
        if any(not text.lstrip("@").startswith(PLAIN) for text in scope.decorators):
            return False
        wanted = "__aexit__" if waits else "__exit__"
        if len(self._bindings(module, number, wanted)) > 1:
            return False
        methods = [i for i, inner in enumerate(module.scopes) if inner.parent == number and inner.name == wanted]
        if not methods:
            return self._inherited(module, number, waits, depth)
        method = module.scopes[methods[0]]
        if len(methods) > 1 or method.decorators or method.is_generator:
            return False
        return all(_is_nothing(s) for s in every_statement(method.body) if isinstance(s, ir.Return))

    def _inherited(self, module: ir.Module, number: int, waits: bool, depth: int) -> bool:
        """Whether a class has such a method from its only base."""
        owner = module.scopes[number].parent
        for statement in every_statement(module.scopes[owner].body):
            ops = own_ops(statement)
            for op in ops:
                if isinstance(op, ir.MakeClass) and op.scope == number:
                    place = _Place(module, owner, ops)
                    return (
                        len(op.bases) == 1 and not op.keywords and self._made_by(place, op.bases[0], waits, depth + 1)
                    )
        return False

    def _passes_on(self, module: ir.Module, number: int, depth: int) -> bool:
        """Whether an exception that is raised where a generator yields leaves it."""
        if any(isinstance(op, ir.Yield) and op.delegate for op in every_op(module.scopes[number].body)):
            return False
        for statement in every_statement(module.scopes[number].body):
            match statement:
                case ir.Try():
                    again = [handler.body[:-1] if handler.bind else handler.body for handler in statement.handlers]
                    if not all(body and isinstance(body[-1], ir.Raise) for body in again):
                        return False
                    leaving = (s for body in (*again, statement.final) for s in every_statement(body))
                    if any(isinstance(s, ir.Return | ir.Jump) for s in leaving):
                        return False
                case ir.With() if not self._block(module, number, statement, depth + 1):
                    return False
                case _:
                    pass
        return True


def _maker(place: _Place, temp: ir.Temp) -> ir.Op | None:
    return next((op for op in place.ops if getattr(op, "out", None) == temp), None)


def _owner(place: _Place, load: ir.Load) -> int | None:
    """The scope that binds a name; None if none does (a builtin), or if that is not clear."""
    scopes = place.module.scopes
    if load.binding == "global":
        return 0 if load.name in scopes[0].locals and not any(load.name in s.globals for s in scopes) else None
    number = place.scope
    while number >= 0:
        scope = scopes[number]
        if load.name in scope.locals and (scope.kind != "class" or number == place.scope):
            return number
        number = scope.parent
    return None


def _table(module: ir.Module, owner: int) -> dict[str, list[tuple[_Place, ir.Temp]]]:
    body = module.scopes[owner].body
    found: dict[str, list[tuple[_Place, ir.Temp]]] = {}
    simple: set[int] = set()
    for statement in every_statement(body):
        if isinstance(statement, ir.Plain):
            ops = own_ops(statement)
            for op in ops:
                if isinstance(op, ir.Store | ir.Delete):
                    simple.add(id(op))
                    value = op.value if isinstance(op, ir.Store) else -1
                    found.setdefault(op.name, []).append((_Place(module, owner, ops), value))
    nowhere = _Place(module, owner, ())
    for op in every_op(body):
        if isinstance(op, ir.Store | ir.Delete) and id(op) not in simple:
            found.setdefault(op.name, []).append((nowhere, -1))
    for scope in module.scopes:
        for name in scope.free:
            if any(isinstance(op, ir.Store) and op.name == name for op in every_op(scope.body)):
                found.setdefault(name, []).append((nowhere, -1))
    return found


def _is_nothing(statement: ir.Return) -> bool:
    """Whether a ``return`` gives None or False."""
    if statement.value is None:
        return True
    made = next((op for op in own_ops(statement) if getattr(op, "out", None) == statement.value), None)
    return isinstance(made, ir.Const) and not made.value
