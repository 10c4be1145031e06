"""Source text to the intermediate representation.

``lower(source)`` parses the text (``ast`` for structure and positions, libcst for what only a concrete
tree keeps), resolves the names of every scope, and turns statements into operations (see ``ir``):

    lower(Source("m", "m.py", "/p/m.py", "x = f(1)"))
        -> Module(scopes=(Scope("module", body=(Plain("assign", (Load f, Const 1, Call, Store x)),)),)), ()

User code may be anything: what Python itself would refuse comes back as a diagnostic with Python's own
words, and nesting may be thousands of levels deep.
"""

from __future__ import annotations

import ast
import traceback
import warnings

from inferflow.analysis import ir
from inferflow.analysis.deep import deep
from inferflow.analysis.lower_frame import MARKER, File, Layout, close_scope, open_scope
from inferflow.analysis.lower_scopes import resolve
from inferflow.analysis.lower_stmt import body, docstring
from inferflow.collector import paused
from inferflow.model import Diagnostic, Severity, Source, Span
from inferflow.worker.transform import prefix_length

__all__ = ["lower"]

NESTING = 300
"""Code that nests deeper is generated, and libcst takes a time for it that grows with the square of the depth."""


def lower(source: Source, layout: bool = True) -> tuple[ir.Module | None, tuple[Diagnostic, ...]]:
    """The intermediate representation of a file, and what is to be said about it; ``None`` if Python cannot read it.

    Without ``layout``, blank lines, comments and cell markers are not looked at, which saves the larger part of the
    time: good for modules that are not the driver's.
    """
    with paused():
        try:
            return deep(_lower, source, layout)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            return None, (_refused(source, error),)


def _lower(source: Source, with_layout: bool) -> tuple[ir.Module, tuple[Diagnostic, ...]]:
    tree = _parse(source)
    futures = _futures(tree)
    string_annotations = "annotations" in futures
    lines = source.text.encode("utf-8", "surrogatepass").splitlines(keepends=True)
    names, depth = resolve(tree, string_annotations)
    layout: Layout = {}
    if with_layout:
        layout = _concrete(source, tree) if depth < NESTING else _from_text(source, tree)
    file = File(source.path, lines, names, layout, string_annotations)
    frame = open_scope(file, tree, "<module>", -1, None)
    end = len(lines) or 1
    span = Span(source.path, 1, 0, end, len(lines[-1].rstrip(b"\r\n")) if lines else 0)
    close_scope(frame, "module", "<module>", -1, body(frame, tree.body), span, docstring=docstring(tree), node=tree)
    scopes = tuple([scope for scope in file.scopes if scope is not None])
    prefix = prefix_length(tree.body)
    module = ir.Module(source.module, source.path, source.is_package, scopes, futures, _exports(tree), prefix)
    return module, tuple(file.diagnostics)


# -- parsing ---------------------------------------------------------------------------------------


def _parse(source: Source) -> ast.Module:
    """The tree, if Python would run it: compiling finds ``return`` outside functions and the like. Warnings are left
    to the run itself, which compiles the text again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source.text, source.filename)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if source.cells else 0
        compile(tree, source.filename, "exec", flags=flags, dont_inherit=True)
    return tree


def _refused(source: Source, error: Exception) -> Diagnostic:
    """What Python would print, as a diagnostic: the message in a line, the native text in the hint."""
    line, column, end_line, end_column = 1, 0, 0, 0
    if isinstance(error, SyntaxError):
        line, column = error.lineno or 1, max((error.offset or 1) - 1, 0)
        end_line, end_column = error.end_lineno or 0, max((error.end_offset or 1) - 1, 0)
        if error.text is None and error.lineno is not None:
            lines = source.text.splitlines()
            error.text = lines[line - 1] if 0 < line <= len(lines) else None
    span = Span(source.path, line, column, end_line, end_column)
    native = "".join(traceback.format_exception_only(type(error), error))
    summary = native.strip().rpartition("\n")[2]
    return Diagnostic(span, "IF005", summary, Severity.ERROR, native)


# -- layout ----------------------------------------------------------------------------------------


def _concrete(source: Source, tree: ast.Module) -> Layout:
    """Layout as libcst has it; from the text where libcst is stricter than Python, or behind it."""
    from inferflow.analysis.lower_layout import layout

    try:
        return layout(source.text, tree)
    except Exception:
        return _from_text(source, tree)
    except BaseException as error:  # a fault in libcst's native part is no Exception
        if type(error).__name__ != "PanicException":
            raise
        return _from_text(source, tree)


def _from_text(source: Source, tree: ast.Module) -> Layout:
    """Layout from the lines above each statement."""
    lines = source.text.encode("utf-8", "surrogatepass").splitlines()
    found: Layout = {}
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        for name in ("body", "orelse", "handlers", "finalbody", "cases"):
            inner = getattr(node, name, ())
            if isinstance(inner, list):
                stack += inner
        if not isinstance(node, ast.stmt):
            continue
        decorators = getattr(node, "decorator_list", ())
        first = line = min([node.lineno, *[decorator.lineno for decorator in decorators]]) - 1
        while line > 0 and (not lines[line - 1].strip() or lines[line - 1].lstrip().startswith(b"#")):
            line -= 1
        if line < first and (lines[first][: node.col_offset].isspace() or node.col_offset == 0 or decorators):
            comments = [text.strip().decode("utf-8", "replace") for text in lines[line:first]]
            found[node] = (True, any(MARKER.match(comment) for comment in comments))
    return found


# -- facts about the module ------------------------------------------------------------------------


def _futures(tree: ast.Module) -> tuple[str, ...]:
    names: list[str] = []
    for node in tree.body:
        match node:
            case ast.ImportFrom(module="__future__", level=0):
                names += [alias.name for alias in node.names]
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                break
    return tuple(names)


def _exports(tree: ast.Module) -> tuple[str, ...] | None:
    """A constant ``__all__``, with what module-level statements add to it."""
    found: tuple[str, ...] | None = None
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.AnnAssign(target=ast.Name(id="__all__")):
                found = _strings(node.value)
            case ast.AugAssign(target=ast.Name(id="__all__")):
                more = _strings(node.value)
                found = None if found is None or more is None else (*found, *more)
            case _:
                pass
    return found


def _strings(node: ast.expr | None) -> tuple[str, ...] | None:
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    values = [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return tuple(values) if len(values) == len(node.elts) else None
