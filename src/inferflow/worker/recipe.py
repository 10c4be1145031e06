"""What a task is made of, as digests that mean the same in every run: is a recorded result still its result?

    recipe.parts(3)     {"the task itself": "9c1f...", "__main__.train": "02ab...", "__main__.DEPTH": "77e0...",
                         "environment": "5d4c...", "warnings": "e1..."}

One part is the task's own statements, as a syntax tree (comments, layout and lines do not count); one each global of
the project that its code could read by name, in whatever it calls (functions and classes by their code, everything
else by content); one each hidden state that any code may depend on. What the task is given comes beside it: the
engine compares the contents of its inputs.

What has no content that could be compared (an open file, a lock), or more of it than is worth comparing, means that
there is no recipe, and the task is run again. So does code that looks at folders: what it did not find leaves no trace.
"""

from __future__ import annotations

import ast
import dis
import enum
import functools
import hashlib
import os
import re
import sys
import types
from typing import Any

from inferflow.worker import exact, transform, transport
from inferflow.worker.exact_graph import ATOMS, UNSET, attributes, slots
from inferflow.worker.exact_reach import Reach, TooMuch, common, reach
from inferflow.worker.files import file_fact
from inferflow.worker.hidden_state import HiddenState
from inferflow.worker.program import muted
from inferflow.worker.proof import Root, Scope, Scopes, stored
from inferflow.worker.standing import NARROW, OF_CLASSES
from inferflow.worker.testify import rebound
from inferflow.worker.transform import _span, walk
from inferflow.worker.turn import live

__all__ = ["LINES", "VOLATILE", "NoRecipe", "Recipes"]

LINES = "where its code stands"
"""The part that matters only where the task has printed: messages may name lines."""
_MOST = 20_000
_MOST_BYTES = 4 << 20
VOLATILE = re.compile(
    r"(PWD|OLDPWD|SHLVL|_|LINES|COLUMNS|NO_COLOR|LS_COLORS|PS1|PROMPT.*|HIST.*|EDITOR|VISUAL|PAGER|BROWSER|MAIL|LESS.*"
    r"|MANPATH|INFOPATH|BASH_FUNC_.*|FZF_.*|NVM_.*|STARSHIP_.*|ZSH.*|VIRTUAL_ENV_PROMPT|PYTHONDONTWRITEBYTECODE"
    r"|TERM.*|COLORTERM|TMUX.*|STY|WINDOW|WINDOWID|SSH_.*|SUDO_.*|GIT_ASKPASS|GIT_EDITOR|GPG_.*|VTE_.*|KITTY_.*|WT_.*"
    r"|ITERM_.*|ALACRITTY_.*|KONSOLE_.*|WEZTERM_.*|VSCODE_.*|PYCHARM_.*|JPY_.*"
    r"|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_.*|DBUS_.*|GNOME_.*|KDE_.*|GTK_.*|QT_ACCESSIBILITY|DESKTOP_SESSION"
    r"|SESSION_MANAGER|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MANAGERPID|HOSTNAME"
    r"|PYTEST_.*|GITHUB_.*|RUNNER_.*|ACTIONS_.*|CI_.*|BUILD_.*|BUILDKITE_.*|CIRCLE_.*|JENKINS_.*)$"
)
"""Variables that differ from one shell, terminal, session, container or job to the next. Those that the project's text
names do count."""
_NAMES = re.compile(r"[A-Z][A-Z0-9_]+")
_LOOKS = frozenset({
    "exists", "isfile", "isdir", "lexists", "glob", "iglob", "rglob", "listdir", "scandir", "walk", "iterdir", "stat",
    "lstat", "access", "getmtime", "getsize", "getatime", "getctime", "is_file", "is_dir", "is_symlink", "samefile",
    "realpath", "resolve",
})  # fmt: skip
_PAST_PYTHON = {
    "polars": "read_|scan_|sink_|collect|lazy|fetch",
    "pandas": "read_parquet|read_feather|read_orc|read_hdf|read_spss|HDFStore",
    "PIL": "truetype",
    "xgboost": "load_|DMatrix|Booster",
    "lightgbm": "Dataset|Booster",
    "catboost": "load_|Pool",
    "torch": "jit|from_file",
    **dict.fromkeys(
        (
            *("pyarrow", "h5py", "tables", "netCDF4", "cv2", "duckdb", "rasterio", "osgeo", "fiona", "pyogrio"),
            *("ctypes", "cffi", "lxml", "soundfile", "tensorflow", "torchvision", "pysam"),
        ),
        "",
    ),
}
"""Packages whose compiled code opens files without Python, and with which attributes (how they begin): what these read
cannot be known."""
_OF_SOURCE = frozenset({"__module__", "__qualname__", "__firstlineno__", "__static_attributes__", "__annotate__"})
_APART = frozenset({"sys", "matplotlib.pyplot", "options of matplotlib", "options of builtins", "signal"})
"""Hidden states that are objects of the process, or that only those depend on who draw (they are no free tasks)."""


class NoRecipe(Exception):
    """There is something that cannot be compared; says what."""


class Recipes:
    """The recipes of tasks, in home or in a helper. ``rows``: for each task that may have one, what it reads, and which
    of that no task has made (parameters of the driver)."""

    def __init__(self, home: Any, rows: list[list[Any]]) -> None:
        self.home = home
        self.inputs: dict[int, list[tuple[str, str]]] = {task: [(s, n) for s, n in names] for task, names, _ in rows}
        self.parameters = {task: [(s, n) for s, n in names] for task, _, names in rows}
        self._tree: ast.Module | None = None
        self._owners: dict[int, Any] = {}
        self._locals: dict[int, frozenset[str]] = {}
        self._trees: dict[str, dict[int, ast.AST]] = {}
        self._scopes: tuple[frozenset[str], Any] = (frozenset(), None)
        self._rebound: frozenset[str] | None = None
        self._named: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def parts(self, task: int, values: dict[tuple[str, str], Any] | None = None) -> dict[str, str]:
        """The parts of a task's recipe, given the values that it reads (without them: as far as it is known). Raises
        NoRecipe."""
        own = self.home.project_modules()
        nodes, code = self._own_code(self.home.hooks.units[task], self.inputs[task])
        scope = self._scope(code, own, values)
        looks = scope.attributes & _LOOKS
        if looks:
            raise NoRecipe(f"it may look at files without reading them ({min(looks)})")
        for package in scope.packages() & _PAST_PYTHON.keys():
            begins = re.compile(_PAST_PYTHON[package])
            if any(begins.match(one) for one in scope.attributes) or not begins.pattern:
                raise NoRecipe(f"compiled code of {package} may read files")
        found = {"the task itself": _digest([ast.dump(node) for node in nodes])}
        lines: list[Any] = [getattr(node, "lineno", 0) for node in nodes]
        for name, (digest, where) in self._roots(scope, code, own, self.inputs[task], values is None).items():
            found[name] = digest
            lines.append(where)
        found[LINES] = _digest(lines)
        for key in self.parameters[task]:
            if values is not None and key in values:
                found[f"parameter {key[1]}"] = self._content([values[key]], own)[0]
        for name, value in HiddenState().facts().items():
            if name in NARROW or name in _APART:
                continue
            if name == "os.environ":
                variables = {os.fsdecode(key): os.fsdecode(text) for key, text in value.items()}
                named = self._in_text(own)
                value = sorted(
                    (key, text) for key, text in variables.items() if not VOLATILE.match(key) or _tells(named, key)
                )
            found[name] = self._content([value], own)[0]
        return found

    def _in_text(self, own: frozenset[str]) -> frozenset[str]:
        """The words in capitals in the project's text: names of variables, and how such names begin."""
        if self._named[0] != own:
            found: set[str] = set()
            modules = [sys.modules.get(name) for name in own]
            for path in {self.home.program.filename, *(str(getattr(one, "__file__", "")) for one in modules)}:
                try:
                    with open(path, encoding="utf-8", errors="replace") as file:
                        found.update(_NAMES.findall(file.read()))
                except OSError:
                    continue
            self._named = own, frozenset(found)
        return self._named[1]

    def globals_of(self, task: int, values: dict[tuple[str, str], Any]) -> dict[str, str]:
        """The globals of the project that the code of a task could read, given the values that it reads: a digest of
        each. Raises NoRecipe."""
        own, inputs = self.home.project_modules(), list(values)
        _, code = self._own_code(self.home.hooks.units[task], inputs)
        scope = self._scope(code, own, values)
        return {name: digest for name, (digest, _) in self._roots(scope, code, own, inputs, False).items()}

    def _scope(self, code: types.CodeType, own: frozenset[str], values: dict[tuple[str, str], Any] | None) -> Scope:
        if self._scopes[0] != own:
            self._scopes = own, Scopes(own)
        space = self.home.program.module.__dict__
        scope: Scope = self._scopes[1].of(code, space, () if values is None else values.values())
        if scope.everything:
            raise NoRecipe("it looks names up while it runs")
        return scope

    def _roots(
        self, scope: Scope, code: types.CodeType, own: frozenset[str], inputs: list[tuple[str, str]], early: bool
    ) -> dict[str, tuple[str, Any]]:
        """For each global in the scope its digest, and where its code stands. ``early``: before anything has run."""
        main = self.home.program.module
        if self._rebound is None:
            self._rebound = rebound(self.home, self._program_tree())
        given = {name for module, name in inputs if module == main.__name__}
        own_names = stored(code)
        found = {}
        for root in sorted(scope.roots):
            name = root[1].partition(".")[0]
            if root[0] == main.__name__ and name in self._rebound:
                if name in given or name in own_names or (early and name not in vars(main)):
                    continue
                if not isinstance(vars(main).get(name), (types.FunctionType, type)):
                    raise NoRecipe(f"it reads {name} as it happens to be")
            found[".".join(root)] = self._root(root, own)
        return found

    def beforehand(self) -> list[list[Any]]:
        """For each task its parts as far as they are known before anything has run, or (a text) why it has none."""
        found: list[list[Any]] = []
        for task in self.inputs:
            try:
                found.append([task, self.parts(task)])
            except NoRecipe as error:
                found.append([task, str(error)])
        return found

    def recorded(self, task: int, frame: Any, made: Reach, most: float) -> dict[str, str]:
        """The recipe to be kept beside what a task has just made (``made``); empty if that could not be used again, or
        if it was given more than ``most`` objects. ``frame`` is the driver's."""
        try:
            values = self._live(task, frame)
            if (made.objects or made.memory) and common(reach(tuple(values.values()), most), made) is not None:
                return {}
            return self.parts(task, values)
        except (NoRecipe, TooMuch):
            return {}

    def of_values(self, task: int, inputs: dict[tuple[str, str], Any]) -> dict[str, str]:
        """The recipe of a task that was given ``inputs``; empty if there is none."""
        if task not in self.inputs:
            return {}
        bound = self.home.hooks.units[task].bound()
        try:
            return self.parts(task, {key: value for key, value in inputs.items() if key[1] not in bound})
        except NoRecipe:
            return {}

    def chosen(self, task: int, frame: Any, choices: list[dict[str, Any]]) -> tuple[int, str]:
        """At the turn of a task: which of the recorded results to use again; or -1, and why none, in words."""
        whys = [self._contradiction(task, frame, choice) for choice in choices]
        found = next((number for number, why in enumerate(whys) if not why), -1)
        return (found, "") if found >= 0 else (-1, whys[0])

    def _contradiction(self, task: int, frame: Any, reply: dict[str, Any]) -> str:
        """What is not as it was then, in words."""
        why = self._difference(task, frame, reply["recipe"])
        if why:
            return why
        for path, digest in reply["contents"]:
            fact = file_fact(path, None)
            if fact is None or fact["digest"] != digest:
                return f"{path} has changed"
        for part in reply["inputs"]:
            source = part.get("inline")
            then = transport.load(source if source is not None else part["path"]).values
            try:
                now = tuple(live(frame, scope, name) for scope, name, _ in part["take"])
            except KeyError as error:
                return f"{error.args[0]!r} is not bound"
            difference = exact.same(tuple(then[member] for _, _, member in part["take"]), now)
            if difference is not None:
                return f"{part['take'][0][1]!r} had been changed in place ({difference.what})"
        return ""

    def _difference(self, task: int, frame: Any, recipe: dict[str, str]) -> str:
        try:
            now = self.parts(task, self._live(task, frame))
        except NoRecipe as error:
            return str(error)
        for name in (*recipe, *now):
            if recipe.get(name) != now.get(name) and name != LINES:
                return f"{name} has changed"
        return ""

    def _live(self, task: int, frame: Any) -> dict[tuple[str, str], Any]:
        """What a task reads, but for names that it binds itself (they may be bound by now)."""
        bound = self.home.hooks.units[task].bound()
        values = {}
        for scope, name in self.inputs[task]:
            if name not in bound:
                try:
                    values[scope, name] = live(frame, scope, name)
                except KeyError:
                    raise NoRecipe(f"{name} is not bound") from None
        return values

    def _program_tree(self) -> ast.Module:
        if self._tree is None:
            self._tree = self.home.program.tree()
        return self._tree

    # -- the task's own code -----------------------------------------------------------------------

    def _own_code(self, unit: transform.Unit, read: list[tuple[str, str]]) -> tuple[list[Any], types.CodeType]:
        home = self.home
        block = home.plan["blocks"][unit.block]
        owner = self._owners.get(unit.block)
        if owner is None:
            owner = transform.find_block(self._program_tree(), block["kind"], block["line"], block["column"])
            self._owners[unit.block] = owner
        outputs = ["result"] if unit.expression is not None else unit.bound()
        inputs = sorted(name for scope, name in read if scope == "<driver>")
        try:
            code = transform.helper_code(
                home.program.filename, home.program.flags, owner, block["name"], unit, inputs,
                {}, outputs, block["kind"] != "function",
            )  # fmt: skip
        except (SyntaxError, ValueError, StopIteration) as error:
            raise NoRecipe(f"its code does not stand alone: {error}") from None
        if block["kind"] == "function":
            loose = _globals_read(code) & self._locals_of(unit.block, owner)
            if loose:
                raise NoRecipe(f"it reads {min(loose)}, of which nothing is known here")
        nodes: list[Any] = list(owner.body[unit.first : unit.last + 1])
        if unit.expression is not None:
            nodes = [n for n in walk(nodes[0]) if isinstance(n, ast.Call) and _span(n) == unit.expression][:1]
        before = {(line, column) for line, column, _, _ in unit.preamble}
        return [*(node for node in owner.body if (node.lineno, node.col_offset) in before), *nodes], code

    def _locals_of(self, block: int, owner: Any) -> frozenset[str]:
        """The names that the driver's function binds."""
        found = self._locals.get(block)
        if found is None:
            module = ast.Module([owner], type_ignores=[])
            with muted():
                code = compile(module, "<driver>", "exec", flags=self.home.program.flags, dont_inherit=True)
            inside = next(one for one in code.co_consts if isinstance(one, types.CodeType))
            found = self._locals[block] = frozenset((*inside.co_varnames, *inside.co_cellvars))
        return found

    # -- globals -----------------------------------------------------------------------------------

    def _root(self, root: Root, own: frozenset[str]) -> tuple[str, Any]:
        module = sys.modules.get(root[0])
        name, _, part = root[1].partition(".")
        value = UNSET if module is None else vars(module).get(name, UNSET)
        if part:
            value = vars(value).get(part, UNSET) if isinstance(value, type) else UNSET
        return self._content([value], own)

    def _content(self, values: list[Any], own: frozenset[str]) -> tuple[str, Any]:
        walk = _Content(self, own)
        return _digest([walk.told(value) for value in values]), walk.lines

    def node_of(self, code: types.CodeType) -> ast.AST | None:
        """The definition that a function's code came from, in the file as it was analysed."""
        nodes = self._trees.get(code.co_filename)
        if nodes is None:
            nodes = self._trees[code.co_filename] = {}
            program = self.home.program
            try:
                if code.co_filename == program.filename:
                    tree = self._program_tree()
                else:
                    with open(code.co_filename, "rb") as file:
                        tree = ast.parse(file.read())
            except (OSError, SyntaxError, ValueError):
                return None
            for node in walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                    nodes[line] = node
        found: Any = nodes.get(code.co_firstlineno)
        return found if found is not None and found.name == code.co_name else None


class _Content:
    """Describes a value by plain data that is equal in another process if the value is."""

    def __init__(self, recipes: Recipes, own: frozenset[str]) -> None:
        self.recipes = recipes
        self.own = own
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []
        self.lines: list[int] = []
        self.bytes = 0

    def told(self, value: Any) -> Any:
        cls = type(value)
        if value is UNSET:
            return "unset"
        if cls in ATOMS and cls not in (float, complex):
            return [cls.__name__, repr(value)] if cls is not bytes else self._data(value)
        if cls in (float, complex):
            return repr(value)
        if id(value) in self.seen:
            return ["again", self.seen[id(value)]]
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)
        if len(self.seen) > _MOST:
            raise NoRecipe("it can read more objects than are worth comparing")
        return [cls.__name__, *self._parts(value, cls)]

    def _data(self, data: Any) -> Any:
        self.bytes += len(data)
        if self.bytes > _MOST_BYTES:
            raise NoRecipe("it can read more data than is worth comparing")
        return ["data", hashlib.blake2b(data, digest_size=16).hexdigest()]

    def _parts(self, value: Any, cls: type) -> list[Any]:
        if cls in (list, tuple):
            return [self.told(part) for part in value]
        if cls is dict:
            return [[self.told(key), self.told(part)] for key, part in value.items()]
        if cls in (set, frozenset):
            return [sorted(repr(self.told(part)) for part in value)]
        if isinstance(value, types.ModuleType):
            return [value.__name__]
        if cls is types.FunctionType:
            return self._function(value)
        if cls is types.CodeType:
            return self._code(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, enum.Enum):
            return [cls.__qualname__, value.name, self.told(cls)]
        if isinstance(value, (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
                              types.GetSetDescriptorType, types.MemberDescriptorType)):  # fmt: skip
            owner = getattr(value, "__self__", None)
            inside = self.told(owner) if owner is not None and not isinstance(owner, types.ModuleType) else ""
            return [getattr(value, "__module__", None) or "", value.__qualname__, inside]
        if cls is types.MethodType:
            return [self.told(value.__func__), self.told(value.__self__)]
        if cls in (staticmethod, classmethod):
            return [self.told(value.__func__)]
        if cls is functools.partial:
            return [self.told(part) for part in (value.func, value.args, value.keywords)]
        if cls is property:
            return [self.told(part) for part in (value.fget, value.fset, value.fdel)]
        if isinstance(value, re.Pattern):
            return [self.told(value.pattern), value.flags]
        if isinstance(value, os.PathLike) and cls.__module__.startswith("pathlib"):
            return [os.fspath(value)]
        if hasattr(cls, "cache_info") and hasattr(value, "__wrapped__"):
            return [str(value.cache_info()), self.told(value.__wrapped__)]
        if cls.__module__ in self.own:
            return [self.told(cls), self.told(attributes(value) or {}), [[n, self.told(v)] for n, v in slots(value)]]
        if cls.__module__ == "logging" and hasattr(value, "getEffectiveLevel"):
            return [value.name, value.getEffectiveLevel(), value.disabled]
        return self._packed(value)

    def _packed(self, value: Any) -> list[Any]:
        try:
            packed = transport.pack((value,), check=True, project=self.own, quiet=True)
        except transport.Unpackable as error:
            raise NoRecipe(f"it can read a {type(value).__qualname__}: {error}") from None
        if not packed.exact:
            raise NoRecipe(f"it can read a {type(value).__qualname__}: {packed.why}")
        if packed.size > _MOST_BYTES:
            raise NoRecipe("it can read more data than is worth comparing")
        return self._data(packed.data())  # type: ignore[no-any-return]

    def _function(self, value: Any) -> list[Any]:
        name = f"{value.__module__}.{value.__qualname__}"
        if value.__module__ not in self.own:
            return [name]
        node = self.recipes.node_of(value.__code__)
        if node is not None:
            self.lines.append(value.__code__.co_firstlineno)
            code: Any = ast.dump(node)
        else:
            code = self._code(value.__code__)
        cells = []
        for cell in value.__closure__ or ():
            try:
                cells.append(self.told(cell.cell_contents))
            except ValueError:
                cells.append("empty")
        rest = {key: part for key, part in value.__dict__.items() if key != "__wrapped__"}
        wrapped = self.told(value.__dict__["__wrapped__"]) if "__wrapped__" in value.__dict__ else ""
        return [
            name,
            code,
            self.told(value.__defaults__),
            self.told(value.__kwdefaults__),
            cells,
            self.told(rest),
            wrapped,
        ]

    def _code(self, code: types.CodeType) -> list[Any]:
        self.lines.append(code.co_firstlineno)
        consts = []
        for part in code.co_consts:
            if isinstance(part, types.CodeType):
                consts.append(self._code(part))
            elif type(part) in ATOMS or type(part) in (tuple, frozenset):
                consts.append(self.told(part))
            else:
                raise NoRecipe("it can call code that has no text")
        names = [list(code.co_names), list(code.co_varnames), list(code.co_freevars), list(code.co_cellvars)]
        return [code.co_name, code.co_code.hex(), consts, names, code.co_flags, code.co_argcount]

    def _class(self, value: type) -> list[Any]:
        name = f"{value.__module__}.{value.__qualname__}"
        if value.__module__ not in self.own:
            return [name]
        parts = [
            [key, self.told(part)]
            for key, part in vars(value).items()
            if key not in OF_CLASSES and key not in _OF_SOURCE
        ]
        return [name, [self.told(base) for base in value.__mro__[1:]], parts]


def _globals_read(code: types.CodeType) -> set[str]:
    """The names that code looks up beyond its functions."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            found |= _globals_read(part)
    return found


def _tells(named: frozenset[str], key: str) -> bool:
    """Whether a text with these words may mean this variable."""
    return key in named or any(word.endswith("_") and key.startswith(word) for word in named)


def _digest(told: Any) -> str:
    return hashlib.blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
