"""Imports: modules of the project are executed (abstractly) where the program first imports them; others are names of
libraries."""

from __future__ import annotations

from inferflow.analysis import ir
from inferflow.analysis.effects import bindings, run
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import EMPTY, Node, Value, join
from inferflow.analysis.effects.program import Program, absolute
from inferflow.model import Span


def module_node(program: Program, name: str) -> Node:
    """The node of a module of the project."""
    node = program.modules.get(name)
    if node is None:
        node = program.modules[name] = Node("module", data=name, name=name)
    return node


def ensure(frame: Frame, name: str, span: Span) -> Node:
    """The module, executed if this is its first import."""
    program = frame.program
    fresh = name not in program.modules
    node = module_node(program, name)
    if fresh and name != program.project.main:
        body = Frame(program, name, 0, root=True)
        program.bodies[name] = body
        limit = program.depth
        program.depth = 0
        run.body(body, body.code.body)
        program.depth = limit
        for (mode, effect), (text, where, assumed) in body.effects.items():
            frame.note(mode, effect, text, where, assumed)
        for text, where in body.obstacles.items():
            frame.obstacle(text, where)
    return node


def reach_module(frame: Frame, name: str, span: Span) -> Value | None:
    """Import a dotted module with its parents; ``None`` if the project has none of that name."""
    project = frame.program.project
    parts = name.split(".")
    found: Node | None = None
    for length in range(1, len(parts) + 1):
        dotted = ".".join(parts[:length])
        if dotted in project.modules:
            node = ensure(frame, dotted, span)
            if found is not None and parts[length - 1] not in found.fields:
                frame.replace(found, parts[length - 1], frozenset((node,)))
            found = node
        elif found is not None:
            return None
    return frozenset((found,)) if found is not None and name in project.modules else None


def import_module(frame: Frame, op: ir.ImportModule) -> Value:
    """``import a.b``."""
    found = reach_module(frame, op.module, op.span)
    if found is not None:
        if op.bind_leaf:
            return found
        return frozenset((module_node(frame.program, op.module.partition(".")[0]),)) if "." in op.module else found
    name = op.module if op.bind_leaf else op.module.partition(".")[0]
    return frame.program.library(name)


def import_from(frame: Frame, op: ir.ImportFrom) -> Value:
    """``from a import b``."""
    program = frame.program
    base = absolute(program.project.modules[frame.module], op.module, op.level)
    found = reach_module(frame, base, op.span)
    if found is None:
        inner = reach_module(frame, f"{base}.{op.name}", op.span) if op.name != "*" else None
        if inner is not None:
            return inner
        if op.name == "*":
            star_of_library(frame, base)
            return EMPTY
        value = program.library(f"{base}.{op.name}")
        for node in value:
            if node.kind == "state":
                from inferflow.analysis.effects import access

                access.use_state(frame, "read", node, op.span)
        return value
    module = next(iter(found))
    if op.name == "*":
        star(frame, module, op.span)
        return EMPTY
    value = frame.field(module, op.name)
    if value:
        return value
    inner = reach_module(frame, f"{base}.{op.name}", op.span)
    if inner is not None:
        return inner
    return program.library(f"{base}.{op.name}") if op.name.startswith("__") else program.anything


def star(frame: Frame, module: Node, span: Span) -> None:
    """``from module import *``."""
    exports = frame.program.project.modules[module.data].exports
    names = exports if exports is not None else [n for n in module.fields if not n.startswith("_")]
    for name in names:
        value = frame.field(module, name)
        if value:
            bindings.assign(frame, name, value)


def star_of_library(frame: Frame, base: str) -> None:
    """``from numpy import *``: the names are found when they are asked for."""
    frame.program.stars.setdefault(frame.module, []).append(base)


def submodule(frame: Frame, name: str, attribute: str) -> Value | None:
    """A submodule that some import has brought in."""
    dotted = f"{name}.{attribute}"
    node = frame.program.modules.get(dotted)
    return None if node is None else frozenset((node,))


def from_stars(frame: Frame, name: str) -> Value:
    """A name that ``from library import *`` may have brought."""
    result = EMPTY
    catalogue = frame.program.catalogue
    for base in frame.program.stars.get(frame.module, ()):
        dotted = f"{base}.{name}"
        if catalogue.function(dotted) is not None or catalogue.constant(dotted) is not None or catalogue.module(dotted):
            result = join(result, frame.program.library(dotted))
    return result
