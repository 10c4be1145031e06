"""A driver as its user names it, found on disk and decoded.

``driver.py`` is a script, run as ``python driver.py`` would run it. ``analysis.ipynb`` is a notebook, run from top to
bottom as in a fresh kernel. ``driver.py:main`` and ``package.module:main``
are functions: their module is imported, then the function is called with parameters. Nothing is imported here.

    >>> target = open_target("flows/driver.py:main", Path("/home/me/project"))    # doctest: +SKIP
    >>> target.kind, target.module, target.function, target.folder                # doctest: +SKIP
    ('function', 'driver', 'main', '/home/me/project/flows')

Terms: the *folder* is what Python puts first on ``sys.path``; the *root* is the project's own folder (the nearest one
upwards with a ``pyproject.toml``, ``inferflow.toml`` or ``.git``).
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from inferflow.config.project import project_root
from inferflow.errors import DriverUnreadable
from inferflow.model import Source, Span
from inferflow.records import evolve, field, frozen
from inferflow.session.text import NotText, decode_source

__all__ = ["Target", "book_source", "check_syntax", "open_target", "shown_path"]


@frozen
class Target:
    """A driver. ``text`` is what the user typed; ``module`` the name it runs under (``__main__`` for a script);
    ``function`` the function that is called (``""`` for a script or notebook). ``filename`` is absolute, symbolic
    links kept, as ``__file__`` will be; ``folder`` is resolved, as ``sys.path[0]`` will be; ``cwd`` is where the run
    takes place (for a notebook its own folder, as in Jupyter). ``book`` is the text of the notebook where it is not as
    in the file: with a cell that sets parameters."""

    text: str
    kind: Literal["script", "function", "notebook"]
    filename: str
    module: str
    function: str
    root: str
    folder: str
    cwd: str
    source: Source
    book: str = field(default="", repr=False)


def open_target(text: str, cwd: Path) -> Target:
    """Find the driver named ``text`` from the folder ``cwd`` and decode it.

    Raises DriverUnreadable (with IF0xx in the message) if there is no such file, module or function, or if it is not
    Python source text. Syntax is not looked at for a script: see :func:`check_syntax`.
    """
    cwd = Path(os.path.abspath(cwd))
    name, function = _split(text)
    if not function:
        return _from_file(text, name, "", cwd)
    if _looks_like_path(name, cwd):
        target = _from_file(text, name, function, cwd)
    else:
        target = _from_module(text, name, function, cwd)
    _check_function(target)
    return target


def check_syntax(source: Source) -> None:
    """Raise DriverUnreadable, with the text that Python itself prints, unless Python compiles ``source``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if source.cells else 0
            compile(source.text, source.filename, "exec", flags=flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _syntax_error(source, error) from None


def shown_path(filename: str, root: str) -> str:
    """How a file is shown to users: relative to the root, with ``/``, if it stands inside; else absolute.

    >>> shown_path("/p/flows/a.py", "/p"), shown_path("/q/a.py", "/p")
    ('flows/a.py', '/q/a.py')
    """
    prefix = root.rstrip(os.sep) + os.sep
    return filename[len(prefix) :].replace(os.sep, "/") if filename.startswith(prefix) else filename


# -- naming ----------------------------------------------------------------------------------------


def _split(text: str) -> tuple[str, str]:
    """``driver.py:main`` -> (``driver.py``, ``main``); a colon that no function name follows belongs to the path."""
    name, colon, function = text.rpartition(":")
    if not colon or not name or os.path.exists(text):
        return text, ""
    if not function.isidentifier():
        raise DriverUnreadable(
            f"IF004 {function!r} in {text!r} is not the name of a function",
            hint="name a driver as driver.py, driver.py:main or package.module:main",
        )
    return name, function


def _looks_like_path(name: str, cwd: Path) -> bool:
    dotted = re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name) is not None
    return not dotted or name.endswith(".py") or (cwd / name).is_file()


def _from_file(text: str, name: str, function: str, cwd: Path) -> Target:
    filename = os.path.abspath(cwd / os.path.expanduser(name)) if name.startswith("~") else os.path.abspath(cwd / name)
    data = _read(name, filename, cwd)
    folder = os.path.dirname(os.path.realpath(filename))
    root = str(project_root(Path(os.path.dirname(filename))))
    if filename.endswith(".ipynb"):
        return _from_notebook(text, name, function, data, filename, root, folder)
    module = Path(filename).stem if function else "__main__"
    source = Source(module, shown_path(filename, root), filename, _decode(data, name, filename, root))
    return Target(
        text, "function" if function else "script", filename, module, function, root, folder, str(cwd), source
    )


def _from_notebook(text: str, name: str, function: str, data: bytes, filename: str, root: str, folder: str) -> Target:
    """A notebook runs in its own folder, as in Jupyter."""
    from inferflow.analysis.cells import NotANotebook

    if function:
        raise DriverUnreadable(
            f"IF004 {text!r} names a function in a notebook", hint=f"a notebook runs from top to bottom: {name}"
        )
    try:
        source = book_source(data, shown_path(filename, root), filename)
    except NotANotebook as error:
        raise DriverUnreadable(f"IF003 {name!r} is not a notebook that can be run: {error}") from None
    return Target(text, "notebook", filename, "__main__", "", root, folder, os.path.dirname(filename), source)


def book_source(data: bytes, path: str, filename: str) -> Source:
    """A notebook as a source; the scripts that its cells run are read for the names that they bind, and listed in
    ``Source.runs``. Raises NotANotebook."""
    from inferflow.analysis.cells import notebook_source
    from inferflow.analysis.magics import script_names

    scripts: dict[str, str] = {}
    moves = re.search(rb"chdir|%cd|%pushd|%popd|%automagic", data)  # then a script's path may not count from here

    def names_in(script: str) -> tuple[str, ...] | None:
        file = os.path.join(os.path.dirname(filename), os.path.expanduser(script))
        try:
            with open(file, "rb") as opened:
                content = opened.read()
            names = None if moves else script_names(decode_source(content))
        except (OSError, NotText):
            return None
        if names is not None:
            scripts[file] = hashlib.sha256(content).hexdigest()
        return names

    source = notebook_source(data, path, filename, names_in)
    return evolve(source, runs=tuple(scripts.items()))


def _from_module(text: str, name: str, function: str, cwd: Path) -> Target:
    """The working folder comes first, as for ``python -m``; then ``src/`` of it and of the project root."""
    root = project_root(cwd)
    folders = list(dict.fromkeys([cwd, cwd / "src", root, root / "src"]))
    for folder in folders:
        base = folder.joinpath(*name.split("."))
        for candidate, package in ((base / "__init__.py", True), (base.with_name(base.name + ".py"), False)):
            if candidate.is_file():
                filename = str(candidate)
                data = _read(filename, filename, cwd)
                shown = shown_path(filename, str(root))
                decoded = _decode(data, shown, filename, str(root))
                source = Source(name, shown, filename, decoded, is_package=package)
                real = os.path.realpath(folder)
                return Target(text, "function", filename, name, function, str(root), real, str(cwd), source)
    near = _near(name, _modules(folders))
    looked = ", ".join(shown_path(str(folder), str(cwd)) or str(folder) for folder in folders if folder.is_dir())
    raise DriverUnreadable(
        f"IF001 no module {name!r} in this project (looked in {looked})",
        hint=near or "a script is named by its path: driver.py or driver.py:main",
    )


def _modules(folders: Iterable[Path]) -> Iterator[str]:
    """Dotted names of the modules near, for suggestions: two levels deep."""
    for folder in folders:
        for pattern in ("*.py", "*/*.py"):
            for path in folder.glob(pattern):
                yield ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


# -- reading ---------------------------------------------------------------------------------------


def _read(name: str, filename: str, cwd: Path) -> bytes:
    if name == "-":
        raise DriverUnreadable("IF001 a driver cannot be read from standard input", hint="write it to a file")
    if os.path.isdir(filename):
        raise DriverUnreadable(f"IF002 {name!r} is a folder, not a driver", hint=_inside(name, filename))
    try:
        with open(filename, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise DriverUnreadable(f"IF001 no such file: {name!r} (in {cwd})", hint=_neighbours(name, filename)) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DriverUnreadable(f"IF001 cannot read {name!r}: {why}") from None


def _decode(data: bytes, name: str, filename: str, root: str) -> str:
    try:
        return decode_source(data)
    except NotText as error:
        if error.native:
            raise DriverUnreadable(
                f"IF003 {name!r} cannot be decoded: {error}",
                hint="save it as UTF-8, or say its encoding in the first line: # -*- coding: latin-1 -*-",
                span=Span(shown_path(filename, root), error.line),
                native=f'  File "{filename}", line {error.line}\nSyntaxError: {error}\n',
            ) from None
        raise DriverUnreadable(f"IF003 {name!r} is not Python source: {error}") from None


def _inside(name: str, filename: str) -> str:
    try:
        scripts = sorted(entry for entry in os.listdir(filename) if entry.endswith(".py"))
    except OSError:
        return ""
    named = [os.path.join(name, script) for script in scripts[:5]]
    return f"did you mean {' or '.join(named)}?" if named else "name a Python file in it"


def _neighbours(name: str, filename: str) -> str:
    folder, wanted = os.path.split(filename)
    try:
        entries = os.listdir(folder)
    except OSError:
        return f"there is no folder {os.path.dirname(name)!r} either"
    scripts = [entry for entry in entries if entry.endswith(".py")]
    if near := _near(wanted, scripts, os.path.dirname(name)):
        return near
    return f"Python files there: {', '.join(sorted(scripts)[:5])}" if scripts else "there is no Python file there"


def _near(wanted: str, names: Iterable[str], folder: str = "") -> str:
    from difflib import get_close_matches

    near = get_close_matches(wanted, sorted(set(names)), n=3)
    return f"did you mean {' or '.join(os.path.join(folder, name) for name in near)}?" if near else ""


# -- syntax ----------------------------------------------------------------------------------------


def _syntax_error(source: Source, error: BaseException) -> DriverUnreadable:
    from traceback import format_exception_only

    native = "".join(format_exception_only(type(error), error))
    if isinstance(error, SyntaxError):
        span = Span(source.path, error.lineno or 1, max((error.offset or 1) - 1, 0))
        return DriverUnreadable(f"IF005 {error.msg}", span=span, native=native)
    if isinstance(error, RecursionError | MemoryError):
        return DriverUnreadable("IF005 nested too deeply for Python to parse", span=Span(source.path, 1), native=native)
    return DriverUnreadable(f"IF005 {error}", span=Span(source.path, 1), native=native)


def _check_function(target: Target) -> None:
    """Raise unless the module binds the function's name at its top level, in whatever way."""
    check_syntax(target.source)
    tree = ast.parse(target.source.text)
    bound = _bound_names(tree.body)
    if target.function in bound or "*" in bound:
        return
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    hint = _near(target.function, functions)
    if not hint:
        hint = f"functions there: {', '.join(functions[:8])}" if functions else "it defines no function"
    raise DriverUnreadable(f"IF004 no function {target.function!r} in {target.source.path}", hint=hint)


def _bound_names(body: list[ast.stmt]) -> set[str]:
    """Names that statements at module level may bind (``*`` for a star import); bodies of functions are not entered."""
    names: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
                continue
            case ast.Import() | ast.ImportFrom():
                names.update((alias.asname or alias.name.split(".")[0]) for alias in node.names)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.Lambda():
                continue
            case _:
                pass
        stack.extend(ast.iter_child_nodes(node))
    return names
