"""What all activations share: the project's modules and classes, interned nodes, library facts, and the summaries.

Modules of the project are nodes whose fields are their globals; the classes' attributes are fields of class nodes. Both
are *outside* any function that uses them: a summary says which of their fields it was made from (``Frame.read``), and
holds as long as those do (``epoch`` counts the changes of fields that some summary was made from).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Catalogue, Signature, TypeInfo
from inferflow.analysis.effects.heap import EMPTY, UNKNOWN, Node, Value, join
from inferflow.analysis.effects.logs import only_to_stderr, to_objects
from inferflow.analysis.facts import Project
from inferflow.analysis.walk import every_op
from inferflow.model import Diagnostic, Reason, Span

if TYPE_CHECKING:
    from inferflow.analysis.effects.frame import Frame

NO_CONSTANT: Any = object()


class ClassInfo:
    """A class of the project. ``bases`` are nodes of classes of the project, ``foreign`` names of library classes;
    ``flavour`` is ``plain``, ``dataclass``, ``namedtuple`` or ``enum``. ``opaque`` if something unknown made it (a
    metaclass, a decorator, a base that is no class that we can see)."""

    __slots__ = ("bases", "flavour", "foreign", "frozen", "key", "module", "name", "node", "opaque", "order", "scope")

    def __init__(self, key: str, module: str, scope: int, name: str, node: Node) -> None:
        self.key = key
        self.module = module
        self.scope = scope
        self.name = name
        self.node = node
        self.bases: tuple[Node, ...] = ()
        self.foreign: tuple[str, ...] = ()
        self.flavour = "plain"
        self.frozen = False
        self.opaque = False
        self.order: list[str] = []
        """Names annotated or assigned in the body, in order: the fields of a dataclass."""


class Program:
    """The state of one analysis."""

    def __init__(self, project: Project, catalogue: Catalogue) -> None:
        self.project = project
        self.catalogue = catalogue
        self.modules: dict[str, Node] = {}
        self.classes: dict[str, ClassInfo] = {}
        self.frames: dict[Any, Frame] = {}
        self.contexts: dict[tuple[str, int], list[Frame]] = {}
        self.reached: set[tuple[str, int]] = set()
        self.epoch = 0
        self.serial = 0
        self.statement = 0
        """Objects with this serial number, or a later one, were made by the statement that is run."""
        self.depth = 0
        self.work = 0
        self.toiled = 0
        self.heap = 0
        """Counts the changes of any field or view: what was found to be reachable holds while it stands still."""
        self.patched: list[Reason] = []
        self.given_up = False
        self.diagnostics: list[Diagnostic] = []
        self.table = Node("module", name="<methods>")
        """Fields: every method name that some class of the project has, with those functions."""
        self.driver_cells: Node | None = None
        self.wide: dict[Any, dict[str, Any]] = {}
        self.pending: set[Frame] = set()
        self.budget = 25_000 + sum(len(source.text) for source in project.sources.values())
        """Of operations run: where this is not enough, functions are taken for unknown code."""
        self.targets: dict[str, None] = {}
        """Functions and classes of the project that the driver's current operation calls itself."""
        self.costly = False
        """Whether the driver's current operation did more than next to nothing."""
        self.opening: tuple[str, int] | None = None
        self.opened: dict[str, Value] | None = None
        """The function whose body is part of the driver; and, once it is called, its parameters."""
        self.opener: Callable[[Frame, Node, dict[str, Value], Any], None] | None = None
        """Is told of each call of a function that stands in the driver."""
        self.bodies: dict[str, Frame] = {}
        self.stars: dict[str, list[str]] = {}
        self.standard = STANDARD
        self._rebound: dict[str, frozenset[str]] = {}
        self._scalars: dict[Any, Node] = {}
        self._values: dict[Any, Value] = {}
        self._types: dict[str, TypeInfo | None] = {}
        self._traits: dict[tuple[str, str], bool] = {}
        self._methods: dict[tuple[str, str], Signature | None] = {}
        self.anything = self.scalar(UNKNOWN)
        self.none = self.constant(None)
        self._libraries: frozenset[str] | None = None
        self._quiet_logs: bool | None = None
        self._logs_to_objects: bool | None = None

    # -- interned values

    def scalar(self, type_name: str) -> Value:
        """Some immutable value of a type (``?``: of a type that does not matter)."""
        value = self._values.get(type_name)
        if value is None:
            value = self._values[type_name] = frozenset((Node("scalar", frozenset((type_name,)), immutable=True),))
        return value

    def constant(self, constant: object) -> Value:
        """A literal."""
        key = (type(constant), constant)
        value = self._values.get(key)
        if value is None:
            name = "NoneType" if constant is None else type(constant).__name__
            node = Node("scalar", frozenset((f"builtins.{name}",)), immutable=True, data=(constant,))
            value = self._values[key] = frozenset((node,))
        return value

    def interned(self, key: Any) -> Node:
        """The one scalar node for a key."""
        node = self._scalars.get(key)
        if node is None:
            node = self._scalars[key] = Node("scalar", immutable=True)
        return node

    def library(self, name: str) -> Value:
        """A name of a library: module, function, class, constant or hidden state."""
        key = ("lib", name)
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = self._library_value(name)
        return value

    def _library_value(self, name: str) -> Value:
        info = self.catalogue.constant(name)
        if info is not None and info.state:
            node = Node("state", data=info.state, name=name)
            if info.type.name:
                node.types = frozenset((info.type.name,))
            return frozenset((node,))
        if info is not None and info.type.name and self.is_immutable(info.type.name):
            return self.scalar(info.type.name)
        node = Node("lib", data=self.catalogue.canonical(name), name=name)
        if info is not None and info.type.name:
            node.types = frozenset((info.type.name,))
        return frozenset((node,))

    def function(self, module: str, scope: int) -> Node:
        """The function of the project that captures nothing."""
        key = ("function", module, scope)
        node = self._scalars.get(key)
        if node is None:
            code = self.project.modules[module].scopes[scope]
            node = self._scalars[key] = Node("function", data=(module, scope), name=code.name)
        return node

    @property
    def libraries(self) -> frozenset[str]:
        """The libraries that the project imports, by their top-level names."""
        if self._libraries is None:
            self._libraries = frozenset(_imported_libraries(self.project))
        return self._libraries

    @property
    def logs_only_to_stderr(self) -> bool:
        """Whether messages of loggers are nothing but standard error."""
        if self._quiet_logs is None:
            self._quiet_logs = only_to_stderr(self.project, self.catalogue, self.libraries)
        return self._quiet_logs

    @property
    def logs_to_objects(self) -> bool:
        """Whether messages of loggers may change objects of the program."""
        if self._logs_to_objects is None:
            self._logs_to_objects = to_objects(self.project)
        return self._logs_to_objects

    def rebound(self, module: str) -> frozenset[str]:
        """Names that a nested function (or a walrus in a comprehension) binds in a scope around it."""
        found = self._rebound.get(module)
        if found is None:
            found = self._rebound[module] = frozenset(
                op.name
                for scope in self.project.modules[module].scopes
                if scope.free
                for op in every_op(scope.body)
                if isinstance(op, ir.Store | ir.Delete) and op.binding == "free"
            )
        return found

    # -- types of libraries

    def type(self, name: str) -> TypeInfo | None:
        """What the catalogue says about a class."""
        if name in self._types:
            return self._types[name]
        info = None if name.startswith("@") or name == UNKNOWN else self.catalogue.type(name)
        self._types[name] = info
        return info

    def _trait(self, name: str, trait: str) -> bool:
        key = (name, trait)
        known = self._traits.get(key)
        if known is None:
            known = False
            if not name.startswith("@") and name != UNKNOWN:
                known = any(getattr(info, trait) for info in self.catalogue.ancestry(name))
            self._traits[key] = known
        return known

    def is_immutable(self, name: str) -> bool:
        if name.startswith("@"):
            info = self.classes.get(name)
            return info is not None and (info.frozen or info.flavour in ("enum", "namedtuple"))
        return self._trait(name, "immutable")

    def is_container(self, name: str) -> bool:
        return self._trait(name, "container") or self.is_iterator(name)

    def is_iterator(self, name: str) -> bool:
        return self._trait(name, "iterator")

    def has_cells(self, name: str) -> bool:
        return self._trait(name, "cells")

    def method(self, type_name: str, name: str) -> Signature | None:
        """A library class's method."""
        key = (type_name, name)
        if key in self._methods:
            return self._methods[key]
        found = self._methods[key] = self.catalogue.method(type_name, name)
        return found

    # -- classes of the project

    def mro(self, node: Node) -> list[Node]:
        """The class and its bases in the project, nearest first (depth first: Python's order, but for diamonds)."""
        found: list[Node] = []
        stack = [node]
        while stack:
            current = stack.pop()
            if current not in found:
                found.append(current)
                stack.extend(reversed(current.data.bases))
        return found

    def foreign_bases(self, node: Node) -> tuple[str, ...]:
        """The library classes that a class derives from (``object`` aside)."""
        names: dict[str, None] = {}
        for cls in self.mro(node):
            for name in cls.data.foreign:
                names[name] = None
        return tuple(n for n in names if n not in HARMLESS_BASES)

    def is_opaque(self, node: Node) -> bool:
        return any(cls.data.opaque for cls in self.mro(node))

    def flavour(self, node: Node) -> str:
        return next((c.data.flavour for c in self.mro(node) if c.data.flavour != "plain"), "plain")

    # -- reports

    def toil(self, count: int) -> None:
        """Count what is done node by node. Raises TooInvolved when it is far more than any driver written by hand
        takes."""
        self.toiled += count
        if self.toiled > 20 * self.budget:
            raise TooInvolved

    def give_up(self, span: Span) -> None:
        """The analysis would take too long: nothing is claimed of anything."""
        if not self.given_up:
            self.given_up = True
            self.patch(TOO_INVOLVED, span)

    def patch(self, what: str, span: Span) -> None:
        """Something is replaced behind everybody's back: nothing can be proved any more."""
        reason = Reason(what, span)
        if reason not in self.patched:
            self.patched.append(reason)
            self.epoch += 1


class TooInvolved(Exception):
    """Following the driver would take too long."""


TOO_INVOLVED = "is too involved to be followed"
INVOLVED_HINT = "functions of a module of its own are followed once for all their calls"

STANDARD = frozenset(sys.stdlib_module_names)
"""Libraries that call, of the objects they are given, none but special methods."""

HARMLESS_BASES = frozenset(
    {
        "builtins.object",
        "typing.Generic",
        "typing.Protocol",
        "typing.NamedTuple",
        "abc.ABC",
        "enum.Enum",
        "enum.IntEnum",
        "enum.StrEnum",
        "enum.Flag",
        "enum.IntFlag",
        "typing_extensions.Protocol",
        "collections.namedtuple",
    }
)


def absolute(module: ir.Module, name: str, level: int) -> str:
    """The dotted name that ``from <level dots><name> import`` means in a module; empty beyond the top package."""
    if level == 0:
        return name
    parts = module.name.split(".")
    keep = len(parts) - level + (1 if module.is_package else 0)
    if keep < 1 or module.name == "__main__":
        return ""
    base = ".".join(parts[:keep])
    return f"{base}.{name}" if name else base


def widen(old: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value]:
    """Two sets of fields as one."""
    merged = dict(old)
    for name, value in new.items():
        merged[name] = join(merged.get(name, EMPTY), value)
    return merged


def _imported_libraries(project: Project) -> set[str]:
    """Top-level names of what the project imports and does not have itself."""
    tops: set[str] = set()
    for module in project.modules.values():
        for scope in module.scopes:
            for op in every_op(scope.body):
                kind = type(op)
                if kind is ir.Load or kind is ir.Const:  # most are
                    continue
                if isinstance(op, ir.ImportModule) or (isinstance(op, ir.ImportFrom) and op.level == 0):
                    tops.add(op.module.partition(".")[0])
    return tops - {name.partition(".")[0] for name in project.modules}
