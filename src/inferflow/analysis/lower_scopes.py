"""Python's scoping rules: which names each scope binds, and how it resolves the names that it reads.

``resolve(tree)`` gives a :class:`Names` for each node that opens a scope (module, function, lambda, class,
comprehension). It follows CPython's ``symtable.c``, without recursion and in two sweeps: *collect* what
every scope mentions, then decide, outer scopes first.

    def f(a):
        def g(): return a + b         f: local a, g; cell a            g: free a, global b

A *types* scope stands between a generic function (class, alias) and its surroundings; to the rest of the
analysis its names belong to the function (class, alias) itself, as ``type_params``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from inferflow.records import define, field

Kind: TypeAlias = Literal["module", "function", "lambda", "class", "comprehension", "types"]
Binding: TypeAlias = Literal["local", "free", "global", "class"]

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@define(eq=False)
class Names:
    """The names of one scope. Filled by the two sweeps of :func:`resolve`, and left alone afterwards.

    ``private`` is the class whose name mangles ``__x`` here. ``outward`` are the names that walrus targets of a
    comprehension bind in ``host``, the nearest scope around it that is no comprehension.
    """

    kind: Kind
    parent: Names | None
    private: str | None = None
    uses: set[str] = field(factory=set)
    binds: set[str] = field(factory=set)
    declared_global: set[str] = field(factory=set)
    declared_nonlocal: set[str] = field(factory=set)
    outward: set[str] = field(factory=set)
    host: Names | None = None
    is_generator: bool = False
    bindings: dict[str, Binding] = field(factory=dict)
    locals: set[str] = field(factory=set)
    cells: set[str] = field(factory=set)
    free: set[str] = field(factory=set)
    visible: frozenset[str] = frozenset()
    type_params: tuple[str, ...] = ()

    def binding(self, name: str) -> Binding:
        """How this scope resolves a (mangled) name."""
        return self.bindings.get(name, "global")


def mangle(private: str | None, name: str) -> str:
    """``__x`` inside ``class C`` is ``_C__x``."""
    if private is None or not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    stripped = private.lstrip("_")
    return f"_{stripped}{name}" if stripped else name


def resolve(tree: ast.Module, string_annotations: bool) -> tuple[dict[ast.AST, Names], int]:
    """The names of every scope, by the node that opens it; and how many nodes deep the tree is.
    ``string_annotations``: ``from __future__ import annotations`` is in force, so annotations read nothing."""
    collector = _Collector(string_annotations)
    collector.run(tree)
    for names in collector.order:
        _decide(names)
    for names in reversed(collector.order):
        _pass_up(names)
    generic = [
        (n, s, s.parent) for n, s in collector.found.items() if s.parent is not None and s.parent.kind == "types"
    ]
    if generic:
        taken: dict[int, set[str]] = {}
        for names in collector.order:
            if names.parent is not None:
                taken.setdefault(id(names.parent), set()).update(names.free)
        for node, names, types in generic:
            _absorb(node, names, types, taken.get(id(names), set()))
    return collector.found, collector.deepest


# -- first sweep: what every scope mentions --------------------------------------------------------


class _Collector:
    """The state of the first sweep: a stack of (node, scope, depth) still to be looked at."""

    def __init__(self, string_annotations: bool) -> None:
        self.string_annotations = string_annotations
        self.found: dict[ast.AST, Names] = {}
        self.order: list[Names] = []
        self.stack: list[tuple[ast.AST, Names, int]] = []
        self.depth = 0
        self.deepest = 0

    def run(self, tree: ast.Module) -> None:
        scope = self.open("module", None, tree)
        self.push(tree.body, scope)
        stack, handlers, children = self.stack, _HANDLERS, _CHILDREN
        while stack:
            node, scope, depth = stack.pop()
            self.depth = depth = depth + 1
            if depth > self.deepest:
                self.deepest = depth
            kind = type(node)
            handler = handlers.get(kind)
            if handler is not None:
                handler(self, node, scope)
                continue
            fields = children.get(kind)
            if fields is None:
                fields = children[kind] = _child_fields(kind)
            for name in fields:
                value = getattr(node, name, None)
                if value is None:
                    continue
                if type(value) is list:
                    for item in value:
                        if isinstance(item, ast.AST):
                            stack.append((item, scope, depth))
                elif isinstance(value, ast.AST):
                    stack.append((value, scope, depth))

    def open(self, kind: Kind, parent: Names | None, node: ast.AST | None, private: str | None = None) -> Names:
        if private is None and parent is not None:
            private = parent.private
        names = Names(kind, parent, private)
        self.order.append(names)
        if node is not None:
            self.found[node] = names
        return names

    def push(self, nodes: Any, scope: Names) -> None:
        self.stack.extend([(node, scope, self.depth) for node in nodes if node is not None])

    def name(self, node: ast.Name, scope: Names) -> None:
        name = mangle(scope.private, node.id) if node.id.startswith("__") else node.id
        if type(node.ctx) is ast.Load:
            scope.uses.add(name)
            if name == "super" and scope.kind not in ("module", "class", "types"):
                scope.uses.add("__class__")
        else:
            scope.binds.add(name)

    def bind(self, name: str | None, scope: Names) -> None:
        if name is not None:
            scope.binds.add(mangle(scope.private, name))

    def types(self, node: Any, scope: Names) -> Names:
        """The scope of the type parameters of a definition: ``scope`` itself if it has none."""
        parameters = getattr(node, "type_params", None)
        if not parameters:
            return scope
        inner = self.open("types", scope, None)
        for parameter in parameters:
            self.bind(parameter.name, inner)
            self.push((getattr(parameter, "bound", None), getattr(parameter, "default_value", None)), inner)
        inner.type_params = tuple([mangle(inner.private, parameter.name) for parameter in parameters])
        return inner

    def function(self, node: Any, scope: Names) -> None:
        arguments: ast.arguments = node.args
        self.push(arguments.defaults, scope)
        self.push(arguments.kw_defaults, scope)
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
        if isinstance(node, ast.Lambda):
            inner = self.open("lambda", scope, node)
            self.stack.append((node.body, inner, self.depth))
        else:
            self.bind(node.name, scope)
            self.push(node.decorator_list, scope)
            outer = self.types(node, scope)
            if not self.string_annotations:
                self.push([parameter.annotation for parameter in parameters], outer)
                self.push((node.returns,), outer)
            inner = self.open("function", outer, node)
            self.push(node.body, inner)
        for parameter in parameters:
            self.bind(parameter.arg, inner)

    def class_(self, node: ast.ClassDef, scope: Names) -> None:
        self.bind(node.name, scope)
        self.push(node.decorator_list, scope)
        outer = self.types(node, scope)
        self.push(node.bases, outer)
        self.push([keyword.value for keyword in node.keywords], outer)
        inner = self.open("class", outer, node, node.name)
        self.push(node.body, inner)

    def comprehension(self, node: Any, scope: Names) -> None:
        inner = self.open("comprehension", scope, node)
        inner.host = scope.host if scope.kind == "comprehension" else scope
        first, *rest = node.generators
        self.stack.append((first.iter, scope, self.depth))
        self.push((first.target, *first.ifs), inner)
        for generator in rest:
            self.push((generator.target, generator.iter, *generator.ifs), inner)
        self.push((node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,), inner)

    def walrus(self, node: ast.NamedExpr, scope: Names) -> None:
        self.stack.append((node.value, scope, self.depth))
        name = mangle(scope.private, node.target.id)
        if scope.kind == "comprehension" and scope.host is not None:
            scope.outward.add(name)
            scope.host.binds.add(name)
        else:
            scope.binds.add(name)

    def declare(self, node: ast.Global | ast.Nonlocal, scope: Names) -> None:
        into = scope.declared_global if isinstance(node, ast.Global) else scope.declared_nonlocal
        into.update([mangle(scope.private, name) for name in node.names])

    def imports(self, node: ast.Import | ast.ImportFrom, scope: Names) -> None:
        for alias in node.names:
            if alias.name != "*":
                self.bind(alias.asname or alias.name.partition(".")[0], scope)

    def annotated(self, node: ast.AnnAssign, scope: Names) -> None:
        if not isinstance(node.target, ast.Name) or node.simple or node.value is not None:
            self.stack.append((node.target, scope, self.depth))
        if not self.string_annotations:
            self.stack.append((node.annotation, scope, self.depth))
        self.push((node.value,), scope)

    def handler(self, node: ast.ExceptHandler, scope: Names) -> None:
        self.bind(node.name, scope)
        self.push((node.type, *node.body), scope)

    def capture(self, node: Any, scope: Names) -> None:
        self.bind(node.name, scope)
        self.push((getattr(node, "pattern", None),), scope)

    def mapping(self, node: ast.MatchMapping, scope: Names) -> None:
        self.bind(node.rest, scope)
        self.push((*node.keys, *node.patterns), scope)

    def alias(self, node: Any, scope: Names) -> None:
        self.stack.append((node.name, scope, self.depth))
        outer = self.types(node, scope)
        inner = self.open("lambda", outer, node)
        self.stack.append((node.value, inner, self.depth))

    def yields(self, node: Any, scope: Names) -> None:
        scope.is_generator = True
        self.push((node.value,), scope)

    def leaf(self, node: ast.AST, scope: Names) -> None:
        pass


_CHILDREN: dict[type, tuple[str, ...]] = {}
_NO_CHILDREN = frozenset({"ctx", "op", "ops", "lineno", "type_comment", "kind", "attr", "arg", "is_async", "level"})


def _child_fields(kind: type) -> tuple[str, ...]:
    return tuple([name for name in getattr(kind, "_fields", ()) if name not in _NO_CHILDREN])


_HANDLERS: dict[type, Callable[[_Collector, Any, Names], None]] = {
    ast.Name: _Collector.name,
    ast.Constant: _Collector.leaf,
    ast.FunctionDef: _Collector.function,
    ast.AsyncFunctionDef: _Collector.function,
    ast.Lambda: _Collector.function,
    ast.ClassDef: _Collector.class_,
    ast.NamedExpr: _Collector.walrus,
    ast.Global: _Collector.declare,
    ast.Nonlocal: _Collector.declare,
    ast.Import: _Collector.imports,
    ast.ImportFrom: _Collector.imports,
    ast.AnnAssign: _Collector.annotated,
    ast.ExceptHandler: _Collector.handler,
    ast.MatchAs: _Collector.capture,
    ast.MatchStar: _Collector.capture,
    ast.MatchMapping: _Collector.mapping,
    ast.Yield: _Collector.yields,
    ast.YieldFrom: _Collector.yields,
    **dict.fromkeys(COMPREHENSIONS, _Collector.comprehension),
}
if hasattr(ast, "TypeAlias"):
    _HANDLERS[ast.TypeAlias] = _Collector.alias

# -- second sweep: decide --------------------------------------------------------------------------


def _decide(names: Names) -> None:
    """Resolve the names of one scope; those of its parent are resolved already."""
    parent = names.parent
    visible = parent.visible if parent is not None else frozenset[str]()
    bindings = names.bindings
    own: Binding = "global" if names.kind == "module" else "class" if names.kind == "class" else "local"
    explicit = names.declared_global
    for name in names.outward:
        host = names.host
        outside = host is None or host.kind == "module" or name in host.declared_global
        bindings[name] = "global" if outside else "free"
    for name in names.declared_nonlocal:
        bindings[name] = "free"
    for name in explicit:
        bindings[name] = "global"
    for name in names.binds:
        if name not in bindings:
            bindings[name] = own
            names.locals.add(name)
    for name in names.uses:
        if name not in bindings:
            bindings[name] = "free" if name in visible else "global"
    names.free.update([name for name, binding in bindings.items() if binding == "free"])
    if names.kind == "class":
        names.visible = visible | {"__class__"}
    elif names.kind == "module":
        names.locals |= explicit & names.binds
    else:
        names.visible = (visible - explicit) | names.locals


def _pass_up(names: Names) -> None:
    """Tell the enclosing scope what this one takes from outside; inner scopes have told theirs already."""
    parent = names.parent
    if parent is None:
        return
    for name in names.free:
        if parent.kind == "class":
            if name != "__class__":
                parent.free.add(name)
        elif name in parent.locals:
            parent.cells.add(name)
        elif parent.kind != "module":
            parent.free.add(name)


def _absorb(node: ast.AST, names: Names, types: Names, taken: set[str]) -> None:
    """Make the type parameters names of the definition itself. ``taken`` are the names free in its inner scopes."""
    names.type_params = types.type_params
    for name in types.type_params:
        if name in names.locals:
            continue
        names.free.discard(name)
        if not isinstance(node, ast.ClassDef):
            names.locals.add(name)
        names.bindings[name] = "class" if isinstance(node, ast.ClassDef) else "local"
        if name in taken:
            names.cells.add(name)
