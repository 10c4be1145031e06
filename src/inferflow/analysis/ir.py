"""The intermediate representation: what a statement does, as flat operations in evaluation order.

A *scope* (module body, function, lambda, class body, comprehension) is a tuple of *statements*. A
statement carries its span and its operations. An operation names its result by a number, unique
within the scope (a *temporary*), and its operands by the numbers of earlier ones:

    m = fit(X, C=1.0)      %0 = load fit; %1 = load X; %2 = const 1.0
                           %3 = call %0(%1, C=%2); store m %3

Control flow is structured: compound statements and conditional expressions hold bodies, they do not
jump. Everything is frozen; the union types are closed, so that ``match`` with ``assert_never`` finds a
forgotten case. Only ``lower`` makes these values; no other module of the analysis but ``lower`` and
``emit`` imports libcst.
"""

from __future__ import annotations

import ast
from typing import Literal, TypeAlias

from inferflow.model import Span
from inferflow.records import field, frozen

Temp: TypeAlias = int

# -- operations (evaluation order within a statement) ---------------------------------------------


@frozen
class Const:
    """A literal: numbers, strings, bytes, ``None``, ``True``, ``...``. ``value`` is the Python value (str for f-string
    parts is not here: f-strings are ``Build('fstring')``)."""

    out: Temp
    value: object
    span: Span


@frozen
class Load:
    """Read a name. ``binding`` is how this scope resolves it: a local, a cell of an enclosing function (``free``), a
    module ``global`` (declared or by default, builtins included), or a class-body ``name`` lookup."""

    out: Temp
    name: str
    binding: Literal["local", "free", "global", "class"]
    span: Span


@frozen
class Store:
    """Bind a name. ``how`` tells plain assignment from the others (``import``, ``def``, ``class``, ``for``, ``with``,
    ``except``, ``match``, ``walrus``, ``augmented``, ``annotated``, ``param``)."""

    name: str
    value: Temp
    binding: Literal["local", "free", "global", "class"]
    how: str
    span: Span


@frozen
class Delete:
    """``del name`` (or the implicit one at the end of ``except ... as name``)."""

    name: str
    binding: Literal["local", "free", "global", "class"]
    span: Span


@frozen
class Attr:
    """Attribute read. ``name`` is mangled as Python does; it is empty where only the class knows it (a positional
    sub-pattern of ``case Point(0, y)``)."""

    out: Temp
    obj: Temp
    name: str
    span: Span


@frozen
class StoreAttr:
    obj: Temp
    name: str
    value: Temp
    span: Span


@frozen
class DelAttr:
    obj: Temp
    name: str
    span: Span


@frozen
class Item:
    """Subscript read; the key may be a ``Build('slice')`` or ``Build('tuple')``."""

    out: Temp
    obj: Temp
    key: Temp
    span: Span


@frozen
class StoreItem:
    obj: Temp
    key: Temp
    value: Temp
    span: Span


@frozen
class DelItem:
    obj: Temp
    key: Temp
    span: Span


@frozen
class Arg:
    """One argument of a call: ``star`` is 0 for plain, 1 for ``*value``, 2 for ``**value``."""

    value: Temp
    keyword: str | None = None
    star: int = 0


@frozen
class Call:
    """A call. ``span`` is that of the whole call expression, as ``ast.Call`` has it."""

    out: Temp
    func: Temp
    args: tuple[Arg, ...]
    span: Span


@frozen
class Operate:
    """An operator that may call a special method. ``op`` is spelled as in the source (``+``, ``@``, ``not``, ``<``,
    ``in``, ``not in``, ``is``), with ``u-``, ``u+``, ``~`` for the unary ones; besides ``isinstance`` (a class pattern)
    and ``format`` (a value put into an f-string, and its format specification if there is one). With ``inplace``,
    ``x += y``: the first operand may be changed in place and is or is not the result."""

    out: Temp
    op: str
    operands: tuple[Temp, ...]
    span: Span
    inplace: bool = False


@frozen
class Build:
    """A display: ``list``, ``tuple``, ``set``, ``dict`` (keys and values alternate; a ``**m`` is a single item among
    ``stars``), ``slice``, ``fstring``. ``stars`` are positions in ``items`` that are unpacked."""

    out: Temp
    kind: Literal["list", "tuple", "set", "dict", "slice", "fstring"]
    items: tuple[Temp, ...]
    span: Span
    stars: tuple[int, ...] = ()


@frozen
class Unpack:
    """Destructure ``value`` into ``outs``; ``starred`` is the position that takes the rest as a list, or -1."""

    outs: tuple[Temp, ...]
    value: Temp
    starred: int
    span: Span


@frozen
class Iterate:
    """``out`` is one element that iterating ``value`` gives (the iterable, not an iterator, is ``value``)."""

    out: Temp
    value: Temp
    span: Span


@frozen
class MakeFunction:
    """Evaluate ``def`` or ``lambda``: ``scope`` indexes ``Module.scopes``; the defaults and decorators are read now.
    Decorators are *not* applied here: they follow as ordinary ``Call`` operations, with the span of the ``def``."""

    out: Temp
    scope: int
    defaults: tuple[tuple[str, Temp], ...]
    span: Span


@frozen
class MakeClass:
    """Evaluate ``class``: bases and keywords are read, then the body (``scope``) is executed once, now."""

    out: Temp
    scope: int
    bases: tuple[Temp, ...]
    keywords: tuple[tuple[str, Temp], ...]
    span: Span


@frozen
class ImportModule:
    """``import a.b`` (``out`` is ``a``, or ``a.b`` if ``bind_leaf``: ``import a.b as c``)."""

    out: Temp
    module: str
    bind_leaf: bool
    span: Span


@frozen
class ImportFrom:
    """``from module import name`` (``level`` leading dots). ``name`` ``*`` has no out that matters (-1)."""

    out: Temp
    module: str
    level: int
    name: str
    span: Span


@frozen
class Comprehension:
    """Run the comprehension's ``scope`` (lowered as a ``For`` nest whose innermost statement is ``Emit``); ``first`` is
    the outermost iterable, evaluated here. ``kind`` ``generator`` runs lazily, later."""

    out: Temp
    scope: int
    first: Temp
    kind: Literal["list", "set", "dict", "generator"]
    span: Span


@frozen
class Choice:
    """A conditional expression, ``and``/``or``, a chained comparison, an ``assert`` with a message, or an or-pattern:
    one of ``arms`` is evaluated, each a run of operations (``Store`` among them for a walrus or a capture) and its
    value; an arm without operations is a value that is there already. The test stands before it."""

    out: Temp
    arms: tuple[tuple[tuple[Op, ...], Temp], ...]
    span: Span


@frozen
class Await:
    out: Temp
    value: Temp
    span: Span


@frozen
class Yield:
    """``yield value`` / ``yield from value`` (``delegate``)."""

    out: Temp
    value: Temp
    delegate: bool
    span: Span


@frozen
class Emit:
    """Inside a comprehension scope: this element (and key, for a dict) goes into the result."""

    value: Temp
    key: Temp | None
    span: Span


Op: TypeAlias = (
    Const
    | Load
    | Store
    | Delete
    | Attr
    | StoreAttr
    | DelAttr
    | Item
    | StoreItem
    | DelItem
    | Call
    | Operate
    | Build
    | Unpack
    | Iterate
    | MakeFunction
    | MakeClass
    | ImportModule
    | ImportFrom
    | Comprehension
    | Choice
    | Await
    | Yield
    | Emit
)

# -- statements ------------------------------------------------------------------------------------


@frozen
class Plain:
    """A simple statement, or a ``def``, ``class``, ``import``. ``kind`` is ``expression``, ``assign``, ``augmented``,
    ``annotated``, ``delete``, ``import``, ``def``, ``class``, ``pass``, ``global``, ``nonlocal``, ``assert``, ``type``.
    ``index`` of every statement is its position in the body that ``ast`` would have. ``paragraph``, of every statement:
    a blank line or a comment line stands right before it. ``cell``: among those lines is a ``# %%`` marker."""

    kind: str
    ops: tuple[Op, ...]
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class Return:
    ops: tuple[Op, ...]
    value: Temp | None
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class Raise:
    ops: tuple[Op, ...]
    value: Temp | None
    cause: Temp | None
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class Jump:
    """``break`` or ``continue``."""

    kind: Literal["break", "continue"]
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class If:
    ops: tuple[Op, ...]
    test: Temp
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class For:
    """``ops`` evaluate the iterable ``iterable``; ``target`` (an ``Iterate`` and the stores of the targets) runs before
    each turn of ``body``."""

    ops: tuple[Op, ...]
    iterable: Temp
    target: tuple[Op, ...]
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    span: Span
    index: int
    is_async: bool = False
    paragraph: bool = False
    cell: bool = False


@frozen
class While:
    """``ops`` (the test) run before each turn."""

    ops: tuple[Op, ...]
    test: Temp
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class With:
    """``items`` are (operations, context manager, operations that bind the target: its value is temp ``entered``)."""

    items: tuple[tuple[tuple[Op, ...], Temp, Temp, tuple[Op, ...]], ...]
    body: tuple[Statement, ...]
    span: Span
    index: int
    is_async: bool = False
    paragraph: bool = False
    cell: bool = False


@frozen
class Handler:
    """``except type as name``; ``ops`` evaluate the type; ``bind`` stores the exception (temp ``caught``)."""

    ops: tuple[Op, ...]
    caught: Temp
    bind: tuple[Op, ...]
    body: tuple[Statement, ...]
    span: Span
    star: bool = False


@frozen
class Try:
    body: tuple[Statement, ...]
    handlers: tuple[Handler, ...]
    orelse: tuple[Statement, ...]
    final: tuple[Statement, ...]
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


@frozen
class Case:
    """``ops`` take the subject apart (attribute and item reads, stores of captures), ``guard`` its own operations."""

    ops: tuple[Op, ...]
    guard: tuple[Op, ...]
    body: tuple[Statement, ...]
    span: Span


@frozen
class Match:
    ops: tuple[Op, ...]
    subject: Temp
    cases: tuple[Case, ...]
    span: Span
    index: int
    paragraph: bool = False
    cell: bool = False


Statement: TypeAlias = Plain | Return | Raise | Jump | If | For | While | With | Try | Match

# -- scopes ----------------------------------------------------------------------------------------


@frozen
class Param:
    """``kind`` as :class:`inferflow.model.Parameter` has it; ``annotation`` and ``default`` are source text."""

    name: str
    kind: Literal["positional", "keyword", "either", "var_positional", "var_keyword"]
    annotation: str | None = None
    default: str | None = None


@frozen
class Scope:
    """``qualname`` as Python has it (``main.<locals>.inner``; ``<module>`` for the module). ``span`` is that of the
    defining node (decorators excluded, as ``ast`` has it). ``locals`` are the names bound here; ``cells`` those of them
    that inner scopes use; ``free`` those that come from enclosing functions; ``globals`` those declared global."""

    kind: Literal["module", "function", "lambda", "class", "comprehension"]
    name: str
    qualname: str
    params: tuple[Param, ...]
    body: tuple[Statement, ...]
    span: Span
    parent: int
    locals: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    globals: tuple[str, ...] = ()
    decorators: tuple[str, ...] = ()
    """Source text of each decorator, outermost first."""
    docstring: str | None = None
    """As it stands, not cleaned of its indentation."""
    is_async: bool = False
    is_generator: bool = False
    type_params: tuple[str, ...] = ()
    """PEP 695 type parameters; like parameters they are there when the body starts."""
    normal_form: str = ""
    """Source without comments, layout and docstrings: what code digests are made over. Left empty by ``lower``, since
    few scopes are asked for it: see ``lower_normal.normal_form(source, scope)``."""
    node: ast.AST | None = field(default=None, eq=False, repr=False)
    """What the scope was made from, if its normal form can be made of that."""


@frozen
class Module:
    """One lowered file. ``scopes[0]`` is the module body. ``futures`` are its ``__future__`` imports."""

    name: str
    path: str
    is_package: bool
    scopes: tuple[Scope, ...]
    futures: tuple[str, ...] = ()
    exports: tuple[str, ...] | None = None
    """A constant ``__all__``."""
    prefix: int = 0
    """How many leading statements are imports, definitions, literals and settings (see ``worker.transform``)."""
