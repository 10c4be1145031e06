"""The normal form of code: what remains of it without comments, layout and docstrings.

Two texts have the same normal form exactly when they have the same tree, docstrings aside; code digests are
made over it. It is the same under all Python versions that inferflow supports (``ast.dump`` and ``ast.unparse``
are not), and is computed only for the scopes that somebody asks for, from their tree or their stretch of the text:

    normal_form(source, scope)      of  "def f(x):  # why\\n  return x+1"  is the same as of  "def f(x): return (x + 1)"
"""

from __future__ import annotations

import ast
import warnings
from functools import cache
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.deep import deep
from inferflow.model import Source, Span

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def normal_form(source: Source, scope: ir.Scope) -> str:
    """The normal form of a scope of ``source``, its decorators included. It is empty for a stretch that does not stand
    for itself as code (which only happens if ``scope`` is not of this text)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if scope.node is not None:
                return deep(normal_form_of, scope.node)
            return deep(_normal_form, source, scope)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _normal_form(source: Source, scope: ir.Scope) -> str:
    if scope.kind == "module":
        return normal_form_of(ast.parse(source.text))
    text = _stretch(source.text, scope.span)
    if scope.kind in ("function", "class"):
        code: list[ast.AST] = [ast.parse(f"({decorator}\n)", mode="eval").body for decorator in scope.decorators]
        code += _indented(text, scope.span, source.text)
    elif text.startswith("type "):
        code = list(ast.parse(text).body)
    else:
        code = [ast.parse(f"({text}\n)", mode="eval").body]
    return "\n".join([normal_form_of(node) for node in code])


def _indented(text: str, span: Span, whole: str) -> list[ast.stmt]:
    """Parse a definition that may stand indented: inside ``if 1:`` it may stay as it is, and its strings too."""
    if span.column == 0:
        return ast.parse(text).body
    margin = _stretch(whole, Span(span.path, span.line, 0, span.line, span.column))
    outer = ast.parse(f"if 1:\n{margin}{text}").body[0]
    assert isinstance(outer, ast.If)
    return outer.body


def _stretch(text: str, span: Span) -> str:
    lines = text.encode("utf-8", "surrogatepass").splitlines(keepends=True)[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column]
    lines[0] = lines[0][span.column :]
    return b"".join(lines).decode("utf-8", "surrogatepass")


def normal_form_of(tree: ast.AST) -> str:
    """The normal form of a tree: node types and fields in order, in brackets; absent and empty fields left out."""
    parts: list[str] = []
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            parts.append(item)
        elif kind is ast.Name:  # these two are most of all nodes
            parts.append(f"Name(id={item.id!r},)")
        elif kind is ast.Constant:
            parts.append(f"Constant(value={item.value!r},)")
        else:
            parts.append(f"{kind.__name__}(")
            stack.append(")")
            for name in _backwards(kind._fields):
                value = getattr(item, name, None)
                if value is None or (not value and type(value) is list):
                    continue
                if name == "body" and isinstance(item, _DOCUMENTED):
                    value = _without_docstring(value)
                if name == "values" and kind is ast.JoinedStr:
                    value = [piece for piece in value if getattr(piece, "value", None) != ""]  # 3.12.1 has empty ones
                if isinstance(value, ast.AST):
                    stack += (",", value, f"{name}=")
                elif isinstance(value, list):
                    stack.append("],")
                    for element in reversed(value):
                        stack += (",", element if isinstance(element, ast.AST) else repr(element))
                    stack.append(f"{name}=[")
                else:
                    stack.append(f"{name}={value!r},")
    return "".join(parts)


@cache
def _backwards(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that count, last first."""
    return tuple([name for name in reversed(fields) if name not in _SKIPPED])


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
        case _:
            return body
