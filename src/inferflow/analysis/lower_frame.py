"""What lowering carries along: the file, and the scope under construction.

The lowering functions take a :class:`Frame` and a node, append operations to ``frame.ops`` in evaluation order, and
give the temporary that holds the value. Mutable, and private to ``lower*``: what comes out is frozen.
"""

from __future__ import annotations

import ast
import re
from typing import Any, TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.lower_scopes import Binding, Names, mangle
from inferflow.model import Diagnostic, Severity, Span
from inferflow.records import define, field

Layout: TypeAlias = dict[ast.stmt, tuple[bool, bool]]
"""Of each statement that has any: whether a blank line or a comment line stands before it (always true), and whether a
cell marker is among them."""

MARKER = re.compile(r"#\s*(%%|In\s?\[[\d ]*\])")
"""A comment that begins a cell: ``# %%``, or ``# In[3]:`` as notebooks are exported."""


@define(eq=False)
class File:
    """One file: the lines of its text in UTF-8, the layout and names found in it, and the scopes lowered so far."""

    path: str
    lines: list[bytes]
    names: dict[ast.AST, Names]
    layout: Layout
    string_annotations: bool
    scopes: list[ir.Scope | None] = field(factory=list)
    qualnames: list[str] = field(factory=list)
    diagnostics: list[Diagnostic] = field(factory=list)

    def source(self, node: Any) -> str:
        """The text of a node, as it stands."""
        first, last = node.lineno - 1, node.end_lineno - 1
        if first == last:
            text: bytes = self.lines[first][node.col_offset : node.end_col_offset]
        else:
            parts = [self.lines[first][node.col_offset :], *self.lines[first + 1 : last]]
            text = b"".join([*parts, self.lines[last][: node.end_col_offset]])
        return text.decode("utf-8", "replace")


@define(eq=False)
class Frame:
    """A scope under construction. ``erased`` are names of type parameters where only annotations may see them;
    ``place`` stands for the position of nodes whose own is not to be trusted."""

    file: File
    names: Names
    index: int
    ops: list[ir.Op] = field(factory=list)
    count: int = 0
    erased: tuple[str, ...] = ()
    place: Span | None = None

    def temp(self) -> ir.Temp:
        """A new temporary."""
        self.count = count = self.count + 1
        return count - 1

    def span(self, node: Any) -> Span:
        """The position of a node, as ``ast`` has it."""
        if self.place is not None:
            return self.place
        return Span(self.file.path, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)

    def mangled(self, name: str) -> str:
        """The name as Python stores it."""
        return mangle(self.names.private, name) if name.startswith("__") else name

    def binding(self, name: str) -> Binding:
        """How the scope resolves a mangled name."""
        return self.names.bindings.get(name, "global")

    def store(self, name: str, value: ir.Temp, how: str, span: Span) -> None:
        """Bind a name as written in the source."""
        mangled = self.mangled(name)
        self.ops.append(ir.Store(mangled, value, self.binding(mangled), how, span))

    def const(self, value: object, span: Span) -> ir.Temp:
        """A constant."""
        out = self.temp()
        self.ops.append(ir.Const(out, value, span))
        return out

    def unknown(self, node: ast.AST) -> None:
        """Say that a kind of node is not known to this version."""
        text = f"{type(node).__name__} is not known to this version of inferflow"
        hint = "it is kept in its place and taken for code that may do anything"
        self.file.diagnostics.append(Diagnostic(self.span(node), "IF010", text, Severity.WARNING, hint))


def open_scope(file: File, node: ast.AST, name: str, parent: int, outer: Names | None) -> Frame:
    """Begin a scope; its place in ``Module.scopes`` precedes those of the scopes inside it."""
    names = file.names[node]
    index = len(file.scopes)
    file.scopes.append(None)
    file.qualnames.append(_qualname(file, name, parent, outer))
    return Frame(file, names, index)


def _qualname(file: File, name: str, parent: int, outer: Names | None) -> str:
    if outer is None or outer.kind == "module" or mangle(outer.private, name) in outer.declared_global:
        return name
    prefix = file.qualnames[parent]
    return f"{prefix}.{name}" if outer.kind == "class" else f"{prefix}.<locals>.{name}"


def close_scope(
    frame: Frame,
    kind: Any,
    name: str,
    parent: int,
    body: tuple[ir.Statement, ...],
    span: Span,
    params: tuple[ir.Param, ...] = (),
    **more: Any,
) -> int:
    """Finish a scope, and give its index in ``Module.scopes``."""
    names, file = frame.names, frame.file
    file.scopes[frame.index] = ir.Scope(
        kind=kind,
        name=name,
        qualname=file.qualnames[frame.index],
        params=params,
        body=body,
        span=span,
        parent=parent,
        locals=tuple(sorted(names.locals)),
        cells=tuple(sorted(names.cells)),
        free=tuple(sorted(names.free)),
        globals=tuple(sorted(names.declared_global)),
        type_params=names.type_params,
        **more,
    )
    return frame.index
