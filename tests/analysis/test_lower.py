"""Lowering: what becomes of each construct. Python itself, ``symtable`` and ``ast`` are the judges."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import symtable
import sys
import textwrap
import time
import typing
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow.analysis import ir, lower_layout, lower_normal
from inferflow.analysis.lower import _concrete, _from_text, lower
from inferflow.analysis.lower_normal import normal_form
from inferflow.analysis.walk import bodies, every_op, every_statement, flatten, in_order, operands, result, results
from inferflow.model import Severity, Source, Span

STDLIB = Path(os.__file__).parent
SAMPLE = """abc argparse ast base64 bdb bisect calendar cgitb cmd code codecs collections/__init__ colorsys compileall
    configparser contextlib copy csv dataclasses datetime decimal difflib dis doctest enum fileinput fnmatch fractions
    ftplib functools getopt gettext glob gzip hashlib heapq hmac imaplib inspect io ipaddress json/decoder keyword
    linecache locale logging/__init__ mailbox mimetypes numbers operator optparse os pathlib pdb pickle pickletools
    platform plistlib pprint profile pstats pydoc queue random sched selectors shelve shutil smtplib socket statistics
    string subprocess tarfile tempfile textwrap threading timeit tokenize traceback types typing unittest/mock uuid
    warnings weakref zipfile asyncio/base_events concurrent/futures/process"""
FILES = [path for name in SAMPLE.split() if (path := STDLIB / f"{name}.py").exists()]


def source(text: str, module: str = "m") -> Source:
    return Source(module, f"{module}.py", f"/nowhere/{module}.py", text)


def lowered(text: str, module: str = "m") -> ir.Module:
    found, diagnostics = lower(source(textwrap.dedent(text), module))
    assert found is not None, diagnostics
    return found


# -- a short notation ------------------------------------------------------------------------------


def show(op: ir.Op) -> str:
    """An operation in a line: ``%2 = call %0(%1)``."""
    left = f"%{op.out} = " if result(op) is not None else ""  # type: ignore[union-attr]
    match op:
        case ir.Const():
            right = f"const {op.value!r}"
        case ir.Load():
            right = f"load {op.name}" + ("" if op.binding == "global" else f" {op.binding}")
        case ir.Store():
            right = f"store {op.name} %{op.value} {op.how}" + ("" if op.binding == "global" else f" {op.binding}")
        case ir.Delete():
            right = f"delete {op.name}"
        case ir.Attr():
            right = f"%{op.obj}.{op.name}"
        case ir.StoreAttr():
            right = f"%{op.obj}.{op.name} = %{op.value}"
        case ir.DelAttr():
            right = f"del %{op.obj}.{op.name}"
        case ir.Item():
            right = f"%{op.obj}[%{op.key}]"
        case ir.StoreItem():
            right = f"%{op.obj}[%{op.key}] = %{op.value}"
        case ir.DelItem():
            right = f"del %{op.obj}[%{op.key}]"
        case ir.Call():
            args = [f"{'*' * a.star}{a.keyword + '=' if a.keyword else ''}%{a.value}" for a in op.args]
            right = f"call %{op.func}({', '.join(args)})"
        case ir.Operate():
            right = f"{op.op}{'=' if op.inplace else ''} " + ", ".join(f"%{x}" for x in op.operands)
        case ir.Build():
            items = [f"{'*' if i in op.stars else ''}%{x}" for i, x in enumerate(op.items)]
            right = f"{op.kind} {', '.join(items)}".rstrip()
        case ir.Unpack():
            outs = [f"{'*' if i == op.starred else ''}%{x}" for i, x in enumerate(op.outs)]
            right = f"{', '.join(outs)} = unpack %{op.value}"
        case ir.Iterate():
            right = f"iterate %{op.value}"
        case ir.MakeFunction():
            right = "function " + ", ".join([str(op.scope), *[f"{name}=%{value}" for name, value in op.defaults]])
        case ir.MakeClass():
            bases = [f"%{base}" for base in op.bases] + [f"{name}=%{value}" for name, value in op.keywords]
            right = f"class {op.scope}({', '.join(bases)})"
        case ir.ImportModule():
            right = f"import {op.module}{' leaf' if op.bind_leaf else ''}"
        case ir.ImportFrom():
            right = f"from {'.' * op.level}{op.module} import {op.name}"
        case ir.Comprehension():
            right = f"{op.kind} comprehension {op.scope} of %{op.first}"
        case ir.Choice():
            right = "choice " + " or ".join("; ".join([*map(show, arm), f"%{value}"]) for arm, value in op.arms)
        case ir.Await():
            right = f"await %{op.value}"
        case ir.Yield():
            right = f"yield{' from' if op.delegate else ''} %{op.value}"
        case ir.Emit():
            right = f"emit {'' if op.key is None else f'%{op.key}: '}%{op.value}"
    return left + right


def shown(text: str, scope: int = 0) -> list[str]:
    """The operations of all statements of a scope."""
    return [show(op) for statement in lowered(text).scopes[scope].body for op in own(statement)]


def own(statement: ir.Statement) -> tuple[ir.Op, ...]:
    return getattr(statement, "ops", ())


# -- expressions and simple statements -------------------------------------------------------------

FORMS = {
    "m = fit(X, C=1.0)": "%0 = load fit|%1 = load X|%2 = const 1.0|%3 = call %0(%1, C=%2)|store m %3 assign",
    "a = b = c": "%0 = load c|store a %0 assign|store b %0 assign",
    "X, (Y, *Z) = f()": "%0 = load f|%1 = call %0()|%2, %3 = unpack %1|store X %2 assign|%4, *%5 = unpack %3"
    "|store Y %4 assign|store Z %5 assign",
    "[a, b] = c": "%0 = load c|%1, %2 = unpack %0|store a %1 assign|store b %2 assign",
    "o.x = v": "%0 = load v|%1 = load o|%1.x = %0",
    "o[k] = v": "%0 = load v|%1 = load o|%2 = load k|%1[%2] = %0",
    "x += 1": "%0 = load x|%1 = const 1|%2 = += %0, %1|store x %2 augmented",
    "o.x -= 1": "%1 = load o|%0 = %1.x|%2 = const 1|%3 = -= %0, %2|%1.x = %3",
    "o[k] @= 1": "%1 = load o|%2 = load k|%0 = %1[%2]|%3 = const 1|%4 = @= %0, %3|%1[%2] = %4",
    "x: int = 1": "%0 = const 1|store x %0 annotated|%1 = load int",
    "x: int": "%0 = load int",
    "o.x: int": "%0 = load o|%1 = load int",
    "(y := f())": "%0 = load f|%1 = call %0()|store y %1 walrus",
    "del x, (o.y, o[0])": "delete x|%0 = load o|del %0.y|%1 = load o|%2 = const 0|del %1[%2]",
    "import a.b, c.d as e": "%0 = import a.b|store a %0 import|%1 = import c.d leaf|store e %1 import",
    "from ..p import q as r, s": "%0 = from ..p import q|store r %0 import|%1 = from ..p import s|store s %1 import",
    "from p import *": "from p import *",
    "assert ok, msg()": "%0 = load ok|%3 = choice %0 or %1 = load msg; %2 = call %1(); %2",
    "a and b or c": "%0 = load a|%2 = choice %0 or %1 = load b; %1|%4 = choice %2 or %3 = load c; %3",
    "a and b and c": "%0 = load a|%4 = choice %0 or %1 = load b; %3 = choice %1 or %2 = load c; %2; %3",
    "a if b else c": "%0 = load b|%3 = choice %1 = load a; %1 or %2 = load c; %2",
    "a < b <= c": "%0 = load a|%1 = load b|%2 = < %0, %1|%5 = choice %2 or %3 = load c; %4 = <= %1, %3; %4",
    "not -x": "%0 = load x|%1 = u- %0|%2 = not %1",
    "x is not None": "%0 = load x|%1 = const None|%2 = is not %0, %1",
    "[1, *a]": "%0 = const 1|%1 = load a|%2 = list %0, *%1",
    "{**a, 'k': v}": "%0 = load a|%1 = const 'k'|%2 = load v|%3 = dict *%0, %1, %2",
    "{a, b}": "%0 = load a|%1 = load b|%2 = set %0, %1",
    "()": "%0 = tuple",
    "f(*a, k=b, **c)": "%0 = load f|%1 = load a|%2 = load b|%3 = load c|%4 = call %0(*%1, k=%2, **%3)",
    "x[1:, ...]": "%0 = load x|%1 = const 1|%2 = const None|%3 = const None|%4 = slice %1, %2, %3"
    "|%5 = const Ellipsis|%6 = tuple %4, %5|%7 = %0[%6]",
    "f'{x!r:>{w}} y'": "%0 = load x|%1 = const '>'|%2 = load w|%3 = format %2|%4 = fstring %1, %3|%5 = format %0, %4"
    "|%6 = const ' y'|%7 = fstring %5, %6",
    "o.m(1).n": "%0 = load o|%1 = %0.m|%2 = const 1|%3 = call %1(%2)|%4 = %3.n",
    "f = lambda a, b=d: a": "%0 = load d|%1 = function 1, b=%0|store f %1 assign",
    "[x for x in y]": "%0 = load y|%1 = list comprehension 1 of %0",
}


@pytest.mark.parametrize("text", FORMS)
def test_each_form_becomes_these_operations(text: str) -> None:
    found = shown(text)
    assert found == FORMS[text].split("|")


def test_temporaries_are_defined_once_and_before_they_are_used() -> None:
    for path in FILES[:25]:
        module = lowered(path.read_text("utf-8"))
        for scope in module.scopes:
            defined: set[int] = set()
            for statement in every_statement(scope.body):
                if isinstance(statement, ir.With):
                    defined.update(entered for _, _, entered, _ in statement.items)
                if isinstance(statement, ir.Try):
                    defined.update(handler.caught for handler in statement.handlers)
            for op in every_op(scope.body):
                assert set(operands(op)) <= defined, (path, op)
                assert not set(results(op)) & defined, (path, op)
                defined.update(results(op))


def test_definitions_are_lowered_where_they_stand() -> None:
    text = """
    @outer
    @inner(1)
    def f(a, /, b: int = 2, *args, c=3, **kw) -> str:
        '''doc'''
        return a
    """
    found = shown(text)
    assert found == [
        "%0 = load outer",
        "%1 = load inner",
        "%2 = const 1",
        "%3 = call %1(%2)",
        "%4 = const 2",
        "%5 = const 3",
        "%6 = load int",
        "%7 = load str",
        "%8 = function 1, b=%4, c=%5",
        "%9 = call %3(%8)",
        "%10 = call %0(%9)",
        "store f %10 def",
    ]
    scope = lowered(text).scopes[1]
    assert [(p.name, p.kind, p.annotation, p.default) for p in scope.params] == [
        ("a", "positional", None, None),
        ("b", "either", "int", "2"),
        ("args", "var_positional", None, None),
        ("c", "keyword", None, "3"),
        ("kw", "var_keyword", None, None),
    ]
    assert scope.decorators == ("outer", "inner(1)")
    assert scope.docstring == "doc"
    assert scope.span == Span("m.py", 4, 0, 6, 12)


def test_future_annotations_are_not_evaluated() -> None:
    assert shown("from __future__ import annotations\ndef f(a: int) -> str: pass\nx: int = 1")[-2:] == [
        "%2 = const 1",
        "store x %2 annotated",
    ]
    assert lowered("'doc'\nfrom __future__ import annotations, division\n").futures == ("annotations", "division")


def test_a_class_is_made_of_bases_keywords_and_a_body() -> None:
    module = lowered("class C(A, metaclass=M):\n  x = 1\n  y = x\n  def m(self): return self.__z, __class__\n")
    assert [show(op) for op in own(module.scopes[0].body[0])] == [
        "%0 = load A",
        "%1 = load M",
        "%2 = class 1(%0, metaclass=%1)",
        "store C %2 class",
    ]
    body, method = module.scopes[1], module.scopes[2]
    assert [show(op) for op in own(body.body[1])] == ["%1 = load x class", "store y %1 assign class"]
    assert [show(op) for op in own(method.body[0])][:3] == [
        "%0 = load self local",
        "%1 = %0._C__z",
        "%2 = load __class__ free",
    ]
    assert method.qualname == "C.m"


def test_compound_statements_keep_their_structure() -> None:
    (loop,) = lowered("for i, x in f():\n  g(x)\nelse:\n  h()\n").scopes[0].body
    assert isinstance(loop, ir.For)
    assert [show(op) for op in loop.target] == [
        "%2 = iterate %1",
        "%3, %4 = unpack %2",
        "store i %3 for",
        "store x %4 for",
    ]
    assert [len(body) for body in bodies(loop)] == [1, 1]
    (block,) = lowered("with a() as b, c:\n  d()\n").scopes[0].body
    assert isinstance(block, ir.With)
    assert [[show(op) for op in (*ops, *bind)] for ops, _, _, bind in block.items] == [
        ["%0 = load a", "%1 = call %0()", "store b %2 with"],
        ["%3 = load c"],
    ]
    (guarded,) = lowered("try:\n  a()\nexcept E as e:\n  b(e)\nfinally:\n  c()\n").scopes[0].body
    assert isinstance(guarded, ir.Try)
    (handler,) = guarded.handlers
    assert [show(op) for op in handler.bind] == [f"store e %{handler.caught} except"]
    assert show(own(handler.body[-1])[0]) == "delete e"
    (loop,) = lowered("while f():\n  break\n").scopes[0].body
    assert isinstance(loop, ir.While)
    assert isinstance(loop.body[0], ir.Jump)


def test_patterns_are_taken_apart() -> None:
    text = """
    match f():
        case Point(0, y=b) if b: pass
        case [1, *r] | (r,): pass
        case {"k": v, **kw}: pass
        case None: pass
        case other: pass
    """
    (match,) = lowered(text).scopes[0].body
    assert isinstance(match, ir.Match)
    found = [[show(op).partition(" = ")[2] or show(op) for op in case.ops] for case in match.cases]
    either = (
        "choice %9, *%10 = unpack %1; %11 = const 1; %12 = == %9, %11; store r %10 match; %1"
        " or %13 = unpack %1; store r %13 match; %1"
    )
    assert found == [
        ["load Point", "isinstance %1, %2", "%1.", "const 0", "== %4, %5", "%1.y", "store b %7 match"],
        [either],
        ["const 'k'", "%1[%15]", "store v %16 match", "dict *%1", "store kw %17 match"],
        ["const None", "is %1, %18"],
        ["store other %1 match"],
    ]
    assert [show(op) for op in match.cases[0].guard] == ["%8 = load b"]


def test_comprehensions_are_loops_over_a_parameter() -> None:
    module = lowered("r = {k: v for k, v in a if k for w in b(k)}")
    scope = module.scopes[1]
    assert scope.params[0].name == ".0"
    (outer,) = scope.body
    assert isinstance(outer, ir.For)
    assert [show(op) for op in outer.ops] == ["%0 = load .0 local"]
    (test,) = outer.body
    assert isinstance(test, ir.If)
    (inner,) = test.body
    assert isinstance(inner, ir.For)
    (element,) = inner.body
    assert show(own(element)[-1]).startswith("emit %")
    assert isinstance(own(element)[-1], ir.Emit)


def test_async_and_generators_are_marked() -> None:
    module = lowered(
        """
        async def f():
            async with a as b:
                await c
            async for x in y: pass
            return [z async for z in w]
        def g():
            x = yield
            yield from h
        k = lambda: (yield)
        """
    )
    kinds = {scope.name: (scope.is_async, scope.is_generator) for scope in module.scopes}
    assert kinds["f"] == (True, False)
    assert kinds["g"] == (False, True)
    assert kinds["<lambda>"] == (False, True)
    body = module.scopes[1].body
    assert isinstance(body[0], ir.With)
    assert body[0].is_async
    assert isinstance(body[1], ir.For)
    assert body[1].is_async


def test_module_facts() -> None:
    module = lowered("__all__ = ['a']\n__all__ += ('b',)\n")
    assert module.exports == ("a", "b")
    assert lowered("__all__ = f()").exports is None
    assert lowered("x = 1").exports is None
    assert lowered("'''doc'''").scopes[0].docstring == "doc"


# -- scopes ----------------------------------------------------------------------------------------


# later symtables tell of scopes that are not Python's
@pytest.mark.parametrize("path", FILES if sys.version_info < (3, 12) else FILES[:0], ids=lambda path: path.stem)
def test_scopes_are_those_of_symtable(path: Path) -> None:
    text = path.read_text("utf-8")
    module = lower(source(text), False)[0]
    assert module is not None
    ours = sorted(
        (scope.span.line if scope.kind != "module" else 0, _plain_name(scope), scope.locals, scope.cells, scope.free)
        for scope in module.scopes
    )
    assert ours == sorted(_tables(symtable.symtable(text, str(path), "exec")))


def _plain_name(scope: ir.Scope) -> str:
    return {"<module>": "top", "<lambda>": "lambda", "<listcomp>": "listcomp", "<setcomp>": "setcomp"}.get(
        scope.name, {"<dictcomp>": "dictcomp", "<genexpr>": "genexpr"}.get(scope.name, scope.name)
    )


def _tables(top: symtable.SymbolTable) -> list[tuple[int, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    found = []
    stack = [top]
    while stack:
        table = stack.pop()
        stack += table.get_children()
        symbols = [symbol for symbol in table.get_symbols() if not symbol.get_name().startswith(".")]
        module = table.get_type() == "module"
        local = {s.get_name() for s in symbols if (s.is_local() or (module and s.is_assigned())) and not s.is_free()}
        taken = {
            name
            for child in table.get_children()
            for name in _free(child)
            if name in local and table.get_type() == "function"
        }
        line = 0 if module else table.get_lineno()
        free = tuple(sorted(_free(table)))
        found.append((line, table.get_name(), tuple(sorted(local)), tuple(sorted(taken)), free))
    return found


def _free(table: symtable.SymbolTable) -> set[str]:
    """Names from enclosing functions, those that only pass through a class included."""
    own_free = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_free()}
    if table.get_type() == "class":
        local = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_local()}
        own_free |= {name for child in table.get_children() for name in _free(child)} & local - {"__class__"}
    return own_free


BINDINGS = {
    "global and nonlocal": (
        "def f():\n global g\n x = g = 1\n def h():\n  nonlocal x\n  x = g\n",
        {"f": ("x=local g=global h=local"), "f.<locals>.h": "g=global x=free"},
    ),
    "walrus leaves the comprehension": (
        "def f(a):\n return [y for x in a if (y := x)], y\n",
        {"f": "a=local y=local", "f.<locals>.<listcomp>": ".0=local x=local y=free"},
    ),
    "walrus at module level": ("[y := x for x in a]", {"<listcomp>": ".0=local x=local y=global"}),
    "class scopes are skipped": (
        "def f(x):\n class C:\n  x = 1\n  y = [x for _ in x]\n  def m(self): return x\n",
        {"f.<locals>.C": "x=class y=class m=class", "f.<locals>.C.m": "x=free"},
    ),
    "a global in between hides": (
        "def f(x):\n def g():\n  global x\n  def h(): return x\n",
        {"f.<locals>.g.<locals>.h": "x=global"},
    ),
    "private names": ("class _C:\n __x = 1\n def m(self, __y): return __x, __y\n", {"_C": "_C__x=class m=class"}),
}


@pytest.mark.parametrize("case", BINDINGS)
def test_names_resolve_as_in_python(case: str) -> None:
    text, expected = BINDINGS[case]
    module = lowered(text)
    for qualname, bindings in expected.items():
        (scope,) = [scope for scope in module.scopes if scope.qualname == qualname]
        found = {op.name: op.binding for op in every_op(scope.body) if isinstance(op, ir.Load | ir.Store)}
        assert found == dict(pair.split("=") for pair in bindings.split())


def test_qualnames_are_pythons() -> None:
    text = """
    def f():
        global h
        class C:
            def m(self): return lambda: [lambda: 1 for _ in ()]
        def h(): pass
        return C
    """
    namespace: dict[str, typing.Any] = {}
    exec(textwrap.dedent(text), namespace)
    qualnames = {scope.qualname for scope in lowered(text).scopes}
    inner = namespace["f"]().m(None)
    assert {namespace["f"]().m.__qualname__, inner.__qualname__, namespace["h"].__qualname__} <= qualnames


if sys.version_info >= (3, 12):  # PEP 695

    def test_type_parameters_belong_to_the_definition() -> None:
        text = """
        def f[T](x: T) -> list[T]:
            def g(): return T
            return T
        class C[S]:
            def m(self): return S
        type A[U] = U
        """
        scopes = {scope.name: scope for scope in lowered(text).scopes}
        assert scopes["f"].type_params == ("T",)
        assert scopes["f"].cells == ("T",)
        assert scopes["g"].free == ("T",)
        assert scopes["C"].type_params == ("S",)
        assert scopes["m"].free == ("S",)
        assert scopes["A"].type_params == ("U",)


# -- positions, layout -----------------------------------------------------------------------------


def sliced(text: str, span: Span) -> str:
    lines = text.encode().splitlines(keepends=True)[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column]
    lines[0] = lines[0][span.column :]
    return b"".join(lines).decode()


def assert_spans_of_calls(text: str) -> None:
    module = lower(source(text), False)[0]
    assert module is not None
    decorated = {scope.span for scope in module.scopes}
    found = sorted(
        {
            op.span
            for scope in module.scopes
            for op in every_op(scope.body)
            if isinstance(op, ir.Call) and op.span not in decorated
        }
    )
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    dumps = {(n.lineno, n.col_offset, n.end_lineno, n.end_col_offset): ast.dump(n) for n in nodes}
    for span in found:
        again = ast.parse(f"({sliced(text, span)}\n)", mode="eval").body
        assert ast.dump(again) == dumps[span.line, span.column, span.end_line, span.end_column]


names = st.sampled_from(["a", "b", "é", "変", "f"])
atoms = st.one_of(names, st.sampled_from(["1", "'ü'", "None", "b''", "1.5"]))


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    gaps = st.sampled_from(["", " ", "\n ", "\n\t# ü\n"])
    return st.one_of(
        st.builds(lambda f, g, a, b: f"{f}({g}{a},{g}{b})", names, gaps, inner, inner),
        st.builds(lambda a, n: f"{a}.{n}()" if a[0].isalpha() else f"({a}).{n}()", inner, names),
        st.builds(lambda a, b, c: f"({a} if {b} else {c})", inner, inner, inner),
        st.builds(lambda a, b, g: f"({a} +{g} {b})", inner, inner, gaps),
        st.builds(lambda a, b: f"[{a} for b in f() if f(b, {b})]", inner, inner),
        st.builds(lambda a, b: f"(lambda a=({a}): {b})", inner, inner),
        st.builds(lambda a, b: f"{{{a}: {b}, **f()}}", inner, inner),
        st.builds(lambda a, b: f"f(*{a}, k={b})", st.sampled_from(["a", "f()"]), inner),
        st.builds(lambda a: f"(a := {a})", inner),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.recursive(atoms, _larger, max_leaves=8), min_size=1, max_size=4))
def test_call_spans_slice_to_the_call(expressions: list[str]) -> None:
    text = "".join(f"é{number} = ({expression})\n" for number, expression in enumerate(expressions))
    assert_spans_of_calls(text)


@pytest.mark.parametrize("path", FILES[::4], ids=lambda path: path.stem)
def test_call_spans_in_real_code(path: Path) -> None:
    text = path.read_text("utf-8")
    if sys.version_info >= (3, 12) or not any(isinstance(n, ast.JoinedStr) for n in ast.walk(ast.parse(text))):
        assert_spans_of_calls(text)


def test_calls_in_f_strings_never_point_elsewhere() -> None:
    text = "x = f'''é {f(1)}\n {g(2):>{h()}}'''\ny = 'a' f'{k(3)!r}'\n"
    module = lowered(text)
    for op in every_op(module.scopes[0].body):
        if isinstance(op, ir.Call):
            piece = sliced(text, op.span)
            assert piece[0] in "fghk" or piece.startswith(("f'", "'a'", "{"))


LAYOUT = """\
# %% load
import a

x = 1; y = 2
# remark
def f():
    p = 1

    q = 2


@d
# between
def g(): pass
# %%
if x:
    pass
elif y:

    r = 1
    # In[3]:
    s = 1
z = '''

'''
w = 1
"""


def test_paragraphs_and_cells() -> None:
    module = lowered(LAYOUT)
    statements = [s for scope in module.scopes for s in every_statement(scope.body)]
    assert {s.span.line for s in statements if s.paragraph} == {2, 4, 6, 9, 14, 16, 20, 22}
    assert {s.span.line for s in statements if s.cell} == {2, 16, 22}
    first, second = module.scopes[0].body[1:3]
    assert (first.paragraph, second.paragraph) == (True, False)
    without, _ = lower(source(LAYOUT), False)
    assert without is not None
    assert not any(s.paragraph for s in every_statement(without.scopes[0].body))


def test_layout_from_the_text_is_that_of_the_concrete_tree() -> None:
    for path in FILES[::5]:
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        concrete, plain = _concrete(source(text), tree), _from_text(source(text), tree)
        assert concrete.items() <= plain.items()
        assert len(plain) - len(concrete) <= 1  # a remark set deeper than what follows it belongs to what precedes


OUTLINED = """\
# first
x = f(
    1,  # within

    2,
); y = 2  # behind
if x:  # of the if

    # before z
    z = '''
# in a string
'''
    # at the end
elif y: a; b

else:
    # before é
    é = "ä"; w = "ö"

@g(  # decorated

)
# between
def h(): return x; pass
try:

    pass
# before except
except E:
    # in it
    raise
finally: pass
match x:
    # before case
    case 1:

        del x
"""


def test_the_layout_of_an_outline_is_that_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [OUTLINED, *[path.read_text("utf-8") for path in FILES[1::7]]]
    trees = [ast.parse(text) for text in texts]
    found = [lower_layout.layout(text, tree) for text, tree in zip(texts, trees, strict=True)]
    monkeypatch.setattr(lower_layout, "outline", lambda text, _: text)
    assert found == [lower_layout.layout(text, tree) for text, tree in zip(texts, trees, strict=True)]
    assert len(found[0]) == 7


# -- evaluation order ------------------------------------------------------------------------------

ORDERS = [
    "t(1)[t(2)] = t(3)",
    "t(1)[t(2)].a, t(3).b = t(4), t(5)",
    "t(1).c += t(2)",
    "t(1)[t(2)] += t(3)",
    "t(1)(t(2), *t(3), k=t(4), **{'z': t(5)})",
    "{t(1): t(2), **{t(3): t(4)}, t(5): t(6)}",
    "[t(1), *t(2), t(3)]",
    "t(1) < t(2) < t(3)",
    "t(1) and t(2) or t(3)",
    "t(2) if t(1) else t(3)",
    "x: t(2) = t(1)",
    "t(2).x: t(3) = t(1)",
    "@t(1)\n@t(2)\ndef f(a: t(5) = t(3), *, b: t(6) = t(4)) -> t(7): pass",
    "@t(1)\nclass C(t(2).cls, k=t(3)): y = t(4)",
    "lambda a=t(1), *, b=t(2): t(3)",
    "[t(2) for x in t(1)]",
    "{t(4): t(5) for x in t(1) if t(2) for y in t(3)}",
    "f'{t(1)} {t(2):{t(3)}}'",
    "t(1)[t(2):t(3):t(4)]",
    "with t(1) as t(2).a, t(3): t(4)",
    "for t(2).a in t(1): t(3)",
    "while t(1): t(2); break",
    "try: t(1); raise ValueError\nexcept t(2).error: t(3)\nfinally: t(4)",
    "match t(1):\n case 1 if t(2): pass\n case _ if t(3): t(4)",
    "assert t(1), t(2)",
    "del t(1).a, t(2)[t(3)]",
    "(y := t(1)) + t(2)",
    "a = t(2).b = t(1)",
]


class Thing:
    """Answers everything, and is true."""

    cls = type("Base", (), {"__init_subclass__": classmethod(lambda cls, **kw: None)})
    error = ValueError

    def __call__(self, *args: object, **kw: object) -> object:
        return args[0] if args else self

    def __iter__(self) -> typing.Iterator[object]:
        return iter([])

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name not in ("__enter__", "__exit__"):
            raise AttributeError(name)
        return self if name == "c" else 1

    def __getitem__(self, key: object) -> object:
        return self

    def __setitem__(self, key: object, value: object) -> None: ...
    def __delitem__(self, key: object) -> None: ...
    def __delattr__(self, name: str) -> None: ...
    def __enter__(self) -> object:
        return self

    def __exit__(self, *_: object) -> None: ...
    def __lt__(self, other: object) -> object:
        return self

    def __add__(self, other: object) -> object:
        return self

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        return ""


@pytest.mark.parametrize("text", ORDERS)
def test_operations_stand_in_the_order_of_evaluation(text: str) -> None:
    seen: list[int] = []

    def t(number: int) -> object:
        seen.append(number)
        return _Once() if "for" in text and number in (1, 3) else Thing()

    exec(text, {"t": t, "__annotations__": {}})
    module = lowered(text)
    order = list(_numbers(module, module.scopes[0].body))
    assert [number for number in order if number in seen] == [number for number, _ in itertools.groupby(seen)]


class _Once(Thing):
    def __iter__(self) -> typing.Iterator[object]:
        return iter([Thing()])


def _numbers(module: ir.Module, body: tuple[ir.Statement, ...]) -> typing.Iterator[int]:
    """The arguments of ``t(...)`` in the order of the operations, comprehensions and class bodies in place."""
    constants: dict[int, object] = {}
    for op in _source_order(body):
        if isinstance(op, ir.Const):
            constants[op.out] = op.value
        elif isinstance(op, ir.Comprehension | ir.MakeClass):
            yield from _numbers(module, module.scopes[op.scope].body)
        elif isinstance(op, ir.Call) and op.args and isinstance(constants.get(op.args[0].value), int):
            yield typing.cast(int, constants[op.args[0].value])


def _source_order(body: tuple[ir.Statement, ...]) -> typing.Iterator[ir.Op]:
    for statement in body:
        yield from flatten(statement)
        match statement:
            case ir.For():
                yield from in_order(statement.target)
                yield from _source_order((*statement.body, *statement.orelse))
            case ir.Try():
                yield from _source_order(statement.body)
                for handler in statement.handlers:
                    yield from in_order((*handler.ops, *handler.bind))
                    yield from _source_order(handler.body)
                yield from _source_order((*statement.orelse, *statement.final))
            case ir.Match():
                for case in statement.cases:
                    yield from in_order((*case.ops, *case.guard))
                    yield from _source_order(case.body)
            case _:
                for inner in bodies(statement):
                    yield from _source_order(inner)


# -- trouble ---------------------------------------------------------------------------------------

BROKEN = [
    "x = = 1\n",
    "def f(:\n  pass\n",
    "return 1\n",
    "x = 'abc\n",
    "if x:\npass\n",
    "  x = 1\n",
    "def f():\n  nonlocal y\n",
    "break\n",
    "print 'é'\n",
    "f(a for a in b, 1)\n",
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_python_refuses_is_said_in_its_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "driver.py"
    path.write_text(text, "utf-8")
    native = subprocess.run([sys.executable, str(path)], capture_output=True, text=True).stderr
    module, (diagnostic,) = lower(Source("__main__", "driver.py", str(path), text))
    assert module is None
    assert (diagnostic.code, diagnostic.severity) == ("IF005", Severity.ERROR)
    assert diagnostic.hint.replace("^", "") == native.replace("^", "")  # reading a file, it may mark less
    assert diagnostic.message in native


@pytest.mark.parametrize("text", ["x = '\0'", "x = '\udcff'", "x = " + "(" * 3000])
def test_what_python_cannot_read_is_a_diagnostic(text: str) -> None:
    module, (diagnostic,) = lower(source(text))
    assert module is None
    assert diagnostic.code == "IF005"


@pytest.mark.parametrize("text", ["", "\n", "# only\n", "\t\n", "x = 1", "x = 1\r\ny = 2\r\n", "\x0cx = 1\n"])
def test_odd_texts_are_read(text: str) -> None:
    assert lower(source(text))[0] is not None


DEEP = {
    "sum": "x = " + " + ".join(["a"] * 5000),
    "elif": "if a:\n  b\n" + "".join(f"elif a{i}:\n  b{i}\n" for i in range(2000)),
    "calls": "a" + ".f()" * 3000,
    "conditional": "x = " + "a if b else " * 1000 + "c",
    "and": "x = " + " and ".join(["f(a)"] * 5000),
    "lambda": "x = " + "lambda: " * 600 + "a",
    "power": "x = " + "a ** " * 1500 + "a",
    "brackets": "x = " + "[" * 150 + "a" + "]" * 150,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_code_is_read_or_refused_as_python_does(name: str) -> None:
    started = time.process_time()
    module, diagnostics = lower(source(DEEP[name]))
    assert time.process_time() - started < 5
    if module is None:
        assert "recursion" in diagnostics[0].message
        return
    for scope in module.scopes:
        for statement in every_statement(scope.body):
            assert all(result(op) is None or result(op) >= 0 for op in flatten(statement))  # type: ignore[operator]


def test_time_is_linear_in_the_text() -> None:
    def seconds(count: int) -> float:
        text = "".join(f"x{i} = f{i % 7}(x{i - 1}, k={i}.0)\nif x{i}:\n    o.a[{i}] = g(x{i})\n" for i in range(count))
        started = time.process_time()
        assert lower(source(text), False)[0] is not None
        return time.process_time() - started

    small = min(seconds(300) for _ in range(3))
    assert min(seconds(2400) for _ in range(2)) < 8 * small * 2.5


# -- normal form, walk -----------------------------------------------------------------------------


def forms(text: str) -> list[str]:
    text = textwrap.dedent(text)
    return [normal_form(source(text), scope) for scope in lowered(text).scopes]


def test_the_normal_form_is_the_code_without_its_looks() -> None:
    plain = forms("class C:\n  @d(1)\n  def m(self, x=1):\n    return [y + 1 for y in x], lambda: f'{x}'\n")
    dressed = forms(
        """
        # remark
        class C:

            'doc'

            @d( 1 )  # why
            def m(self,
                  x = 1):
                '''doc
            of it'''
                # remark
                return ([(y+1)
                    for y in x], (lambda: f"{x}"))
        """
    )
    assert plain == dressed
    assert all(plain)
    assert len(set(plain)) == len(plain)
    assert plain != forms("class C:\n  @d(2)\n  def m(self, x=1):\n    return [y + 1 for y in x], lambda: f'{x}'\n")


def test_the_normal_form_is_the_same_from_the_tree_and_from_the_text() -> None:
    own = Path(lower_normal.__file__).parent
    for path in (own / "lower_normal.py", own / "lower_stmt.py", own / "effects" / "heap.py", Path(__file__)):
        text = path.read_text()
        scopes = [scope for scope in lowered(text).scopes if scope.node is not None]
        assert len(scopes) > 5
        for scope in scopes:
            assert normal_form(source(text), scope) == normal_form(source(text), evolve(scope, node=None))


def test_the_normal_form_does_not_depend_on_the_version() -> None:
    assert forms("def f(a, b=None): return a")[1] == (
        "FunctionDef(name='f',args=arguments(args=[arg(arg='a',),arg(arg='b',),],"
        "defaults=[Constant(value=None,),],),body=[Return(value=Name(id='a',),),],)"
    )


def test_tabs_and_odd_indentation_have_a_normal_form() -> None:
    assert all(forms("class C:\n\tdef m(self):\n\t\treturn '''\nx'''\n\n\tdef n(self): pass\n"))
    assert all(forms("if x:\n def f():\n  return 1\ndef g():\n return 2\n"))


def test_numbering_puts_a_choice_after_its_arms() -> None:
    (statement,) = lowered("y = f(a) if ok else b").scopes[0].body
    assert [type(op).__name__ for op in flatten(statement)] == [
        "Load",
        "Load",
        "Load",
        "Call",
        "Load",
        "Choice",
        "Store",
    ]


def test_walk_knows_every_operation() -> None:
    for kind in typing.get_args(ir.Op):
        fields = {
            a.name: ()
            if a.name in ("args", "operands", "items", "outs", "defaults", "bases", "keywords", "arms")
            else 0
            for a in kind.__attrs_attrs__
        }
        assert isinstance(operands(kind(**fields)), tuple)
