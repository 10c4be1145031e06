"""Is what a proved task could have read at its turn what it read in its helper?

The analysis has proved that nothing before the task changes what it reads. Where its proof is wrong (somebody went
through ``sys.modules``, frames, the collector, a patched function), the state of the process tells: the helper is a
copy of home as it was when it was forked, so it sends digests of what the task could read, *root by root*, and home
compares them at the task's turn. A root is a global of a project's module, or an attribute of another module that the
task's code names.

    K = 1
    def g(): return K          g names K: the root __main__.K is part of its *scope*
    st()                       home:   sys.modules["__main__"].__dict__["K"] = 2
    b = g()                    helper: K is 1;  home at the turn: K is another: dropped, and run at home

The scope is what the code names, and the code that it may call, followed through functions, classes and methods of
the project by name. Where code looks names up at run time, it is everything. Walks are cut short where they get long:
this is a second look at what was proved, and it must cost next to nothing.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import io
import itertools
import marshal
import opcode
import operator
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from inferflow.worker.exact_graph import UNSET, attributes, bare, package, referents
from inferflow.worker.standing import HAVE_GC, NARROW, OF_CLASSES, CannotCompare, Walk, registered
from inferflow.worker.tensors import oddity

__all__ = ["HiddenDigests", "Scope", "Scopes", "every_root", "glance", "named", "plain", "root_digest", "stored"]

MOST = 4000
"""Objects. A root is looked at so far."""
SAMPLED = 16 * 1024
"""Bytes. Of larger memory only samples are looked at."""

Root = tuple[str, str]
"""The name of a module, and that of its global."""

_SKIPPED = frozenset({"__builtins__", "__cached__", "__warningregistry__", "__annotations__", "__annotate__"})
_LOADS = frozenset(
    opcode.opmap[name]
    for name in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLASSDEREF")
    if name in opcode.opmap and opcode.opmap[name] in opcode.hasname
)
_STORES = frozenset({opcode.opmap["STORE_NAME"], opcode.opmap["STORE_GLOBAL"]})
_SHIFTED = opcode.opmap["LOAD_GLOBAL"] if sys.version_info >= (3, 11) else -1
_LOOKING = frozenset({
    "globals", "locals", "vars", "eval", "exec", "modules", "import_module", "__import__", "_getframe", "currentframe",
    "__dict__", "__globals__", "f_globals", "f_back", "get_objects", "get_referrers", "get_referents",
    "__builtins__", "from_address", "py_object", "__subclasses__",
})  # fmt: skip
"""Names of what finds other things by names made at run time."""
_WITH_VARIABLES = frozenset({"os", "posix", "subprocess", "multiprocessing", "asyncio", "concurrent", "pty", "shutil"})
_KEPT = frozenset({"_cache", "_item_cache", "_cacher", "_is_copy", "_id", "_references"})
_BY_NAME = frozenset({"getattr", "setattr", "attrgetter", "methodcaller", "hasattr", "delattr"})


class _Glance(Walk):
    """A walk that looks at so many objects, and at samples of large memory; nothing is too large for it."""

    def one(self, value: Any) -> None:
        if len(self.seen) >= MOST:
            self.stack.clear()
        elif type(value) in (str, bytes) and len(value) > SAMPLED:
            self.tokens += [len(value), id(value)]
        else:
            super().one(value)

    def parts(self, values: Any) -> None:
        count = operator.length_hint(values)
        if count > MOST:
            self.tokens.append(count)
            values = itertools.islice(values, 256)
        super().parts(values)

    def on_list(self, value: Any, cls: type) -> None:
        super().on_list(value, cls)
        count = list.__len__(value)
        if count > MOST:
            super().parts(list.__getitem__(value, slice(None, None, count // 256)))
            super().parts(list.__getitem__(value, slice(-16, None)))

    def on_ndarray(self, value: Any, cls: type) -> None:
        if value.nbytes <= SAMPLED or (value.dtype.hasobject and value.size <= MOST):
            super().on_ndarray(value, cls)
            return
        self.tokens += [str(value.dtype), str(value.shape), str(value.strides)]
        value = bare(value)
        each = max(2, round(256 ** (1 / value.ndim)))  # so many samples along each axis
        part = value[tuple(slice(None, None, -(-count // each)) for count in value.shape)]
        ends = (value[(0,) * (value.ndim - 1)][:32], value[(-1,) * (value.ndim - 1)][-32:])
        if value.dtype.hasobject:
            self.tokens += list(map(id, part.ravel().tolist()))
        else:
            for one in (part, *ends):
                self.memory(one.tobytes())

    def on_tensor(self, value: Any, cls: type) -> None:
        if oddity(value):
            self.tokens.append(str(value.shape))
        else:
            super().on_tensor(value, cls)

    def on_buffer(self, value: Any, cls: type) -> None:
        data = memoryview(value).cast("B")
        self.tokens.append(len(data))
        step = max(1, len(data) // SAMPLED)
        self.memory(bytes(data[::step]))

    on_bytearray = on_buffer

    def memory(self, data: Any) -> None:
        self.bytes = 0
        super().memory(data)

    def kept(self, value: io.StringIO | io.BytesIO) -> None:
        """What has been written into memory."""
        data = (
            io.BytesIO.getvalue(value)
            if isinstance(value, io.BytesIO)
            else io.StringIO.getvalue(value).encode("utf-8", "surrogatepass")
        )
        self.tokens += [value.tell(), len(data)]
        self.memory(data[:: max(1, len(data) // SAMPLED)] + data[-SAMPLED:])
        self.own_parts(value)

    def table(self, value: Any, cls: type) -> None:
        """What an object of pandas is, without what it keeps once that was asked for."""
        if cls.__name__.endswith("BlockManager"):  # (a series has a SingleBlockManager)
            self.stack += [*value.axes, *(block.values for block in value.blocks)]
            return
        own = attributes(value) or {}
        known = {id(own), id(cls), *map(id, own.values())}  # (the collector sees attributes, or their dictionary)
        self.stack.extend(part for part in referents(value) if id(part) not in known)
        for name in own:
            if name not in _KEPT:
                self.stack += [own[name], name]

    def opaque(self, value: Any, cls: type) -> None:
        """What extension types refer to; nothing of the user's, or of a library's, is called."""
        home = package(cls)
        if cls in (io.StringIO, io.BytesIO) and not value.closed:
            self.kept(value)
        elif home == "pathlib":  # (it keeps its text, once that was asked for)
            self.tokens.append(str(value.__reduce__()[1]))
        elif home == "logging" and cls.__name__ in ("Logger", "RootLogger"):  # (it keeps which levels are on)
            self.tokens += [value.level, value.disabled, value.propagate]
            self.stack += [value.handlers, value.filters, value.parent]
        elif home == "pandas":
            self.table(value, cls)
        elif self.generator(value, cls):
            pass
        elif isinstance(value, types.GeneratorType):
            self.tokens.append(value.gi_frame.f_lasti if value.gi_frame is not None else -1)
        elif hasattr(cls, "cache_info") and hasattr(value, "__wrapped__"):
            self.tokens.append(str(value.cache_info()))
        elif isinstance(value, itertools.count):
            self.tokens.append(repr(value))
        elif cls.__module__ == "builtins" and cls.__name__.endswith("iterator"):
            self.tokens.append(operator.length_hint(value, -1))
        elif cls.__flags__ & HAVE_GC and cls is not types.FrameType:
            self.stack.extend(part for part in reversed(referents(value)) if part is not cls)
        elif attributes(value) is not None:
            self.own_parts(value)


def glance(values: list[Any], own: frozenset[str]) -> str:
    """A digest of what all objects behind ``values`` are, addresses included, as far as they are looked at."""
    walk = _Glance(own)
    try:
        walk.run(values)
    except Exception:  # a container that another thread changes, a buffer that is released
        return "?"
    return walk.hash.hexdigest()[:16]


def root_digest(root: Root, own: frozenset[str]) -> str:
    """The digest of one root as it is now. Of modules that are not the project's it is which object it is."""
    module = sys.modules.get(root[0])
    name, _, part = root[1].partition(".")
    value = UNSET if module is None else vars(module).get(name, UNSET)
    if root[0] not in own:
        return str(id(value))
    if part:
        return glance([vars(value).get(part, UNSET) if isinstance(value, type) else UNSET], own)
    if isinstance(value, type):
        return str([*map(id, value.__mro__), *registered(value)])
    return glance([value], own)


def every_root(own: frozenset[str]) -> Iterator[Root]:
    """All globals of the project's modules, and the attributes of the classes among them."""
    for module in sorted(own):
        for name, value in list(vars(sys.modules[module]).items()) if module in sys.modules else ():
            if name not in _SKIPPED:
                yield module, name
                if isinstance(value, type) and value.__module__ in own:
                    for part in list(vars(value)):
                        if part not in OF_CLASSES:
                            yield module, f"{name}.{part}"


def plain(value: Any) -> str:
    """What a literal or a function is, wherever it was made: equal for equal ones; empty for anything else."""
    cls = type(value)
    if cls in (type(None), bool, int, float, complex, str, bytes):
        return repr(value)
    if cls in (list, tuple) and len(value) < 200:
        parts = [plain(part) for part in value]
        return f"{cls.__name__}({','.join(parts)})" if all(parts) else ""
    if cls is dict and len(value) < 200:
        pairs = [(plain(key), plain(part)) for key, part in value.items()]
        return f"dict({pairs})" if all(key and part for key, part in pairs) else ""
    if cls is types.FunctionType:
        code = value.__code__
        more = " ".join(plain(part) or "?" for part in (value.__defaults__, value.__kwdefaults__, value.__dict__))
        return f"function {code.co_filename}:{code.co_firstlineno}:{code.co_name} {more}"
    return ""


def whereabouts(value: Any) -> str:
    """Where the objects of a value are, if their state cannot be seen: home and helpers are copies of one process, so
    what has not been replaced is at the same place in both."""
    cls = type(value)
    if cls in (tuple, list):
        return f"{cls.__name__}({','.join(map(whereabouts, value))})"
    if cls is dict:
        return f"dict({','.join(whereabouts(part) for pair in value.items() for part in pair)})"
    if cls is types.MethodType:  # made anew each time that it is looked up
        return f"method {id(value.__self__):x} {id(value.__func__):x}"
    return plain(value) or f"{cls.__qualname__} {id(value):x}"


class HiddenDigests:
    """Digests of hidden states that any code may depend on, made anew only for those that have changed."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[Any, str]] = {}

    def of(self, facts: dict[str, Any]) -> dict[str, str]:
        """``facts``: see ``hidden_state.HiddenState``."""
        return {name: self._one(name, value) for name, value in facts.items() if name not in NARROW}

    def _one(self, name: str, value: Any) -> str:
        known = self.known.get(name)
        try:
            if known is not None and known[0] == value:
                return known[1]
        except Exception:  # something that cannot be compared
            pass
        digest = self.known[name] = value, _digest(value)
        return digest[1]


def _digest(value: Any) -> str:
    try:
        return hashlib.blake2b(marshal.dumps(value, 2), digest_size=8).hexdigest()  # (2: nothing of identity is in it)
    except ValueError:  # there is more in it than plain data
        pass
    walk = Walk(frozenset(), addresses=False)
    try:
        walk.run([[_bare(part) for part in value] if isinstance(value, list) else value])
        return walk.hash.hexdigest()[:16]
    except CannotCompare:  # a hook that belongs to a notebook's kernel, say
        return whereabouts(value)


def _bare(value: Any) -> Any:
    """A stream or hook of a notebook's shell only by which one it is: from there all that the shell has can be reached,
    and what its cells have shown so far."""
    owner = getattr(value, "__self__", value)
    machinery = package(type(owner)) in ("ipykernel", "IPython", "inferflow")
    return (type(owner).__qualname__, id(owner)) if machinery else value


class Scope:
    """``roots``: what a task could read by name. ``everything``: it looks names up at run time."""

    def __init__(self) -> None:
        self.roots: set[Root] = set()
        self.attributes: set[str] = set()
        self.classes: set[Root] = set()
        self.everything = False

    def holds(self, root: Root) -> bool:
        """Whether the task could read this root."""
        if self.everything or root in self.roots:
            return True
        name, _, part = root[1].partition(".")
        return part != "" and (root[0], name) in self.classes and (part in self.attributes or part[:2] == "__")

    def is_childless(self, packages: set[str]) -> bool:
        """Whether code that names these packages cannot start processes that would get our variables, nor look at
        them."""
        return not self.everything and _WITH_VARIABLES.isdisjoint(packages)

    def packages(self) -> set[str]:
        """The packages that the code could name, itself or something of them; and all its attributes, which may be the
        names of packages that it imports."""
        found = {one.partition(".")[0] for one in self.attributes}
        for module, name in self.roots:
            value = vars(sys.modules[module]).get(name) if module in sys.modules else None
            if isinstance(value, types.ModuleType):
                owner: Any = value.__name__
            else:
                named = (
                    value if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)) else type(value)
                )
                owner = named.__module__
            if isinstance(owner, str):
                found.add(owner.partition(".")[0])
        return found


class Scopes:
    """Finds the scopes of tasks; what it has learned of functions it keeps."""

    def __init__(self, own: frozenset[str]) -> None:
        self.own = own
        self.spaces = {id(vars(module)): name for name in own if (module := sys.modules.get(name)) is not None}
        self.classes = list(self._classes())

    def _classes(self) -> Iterator[tuple[Root, type, frozenset[str]]]:
        for name in self.own:
            module = sys.modules.get(name)
            for key, value in list(vars(module).items()) if module is not None else ():
                if isinstance(value, type) and value.__module__ in self.own:
                    yield (name, key), value, frozenset(vars(value))

    def of(self, code: types.CodeType, space: dict[str, Any], values: Iterable[Any]) -> Scope:
        """The scope of code that runs with these globals and is given these values."""
        scope = Scope()
        stack: list[tuple[types.CodeType, dict[str, Any]]] = [(code, space)]
        seen: set[int] = set()
        for value in values:
            self._enter(value, stack, seen)
        while stack:
            while stack:
                code, space = stack.pop()
                if id(code) not in seen:
                    seen.add(id(code))
                    self._code(code, space, scope, stack, seen)
            for root, cls, names in self.classes:
                if id(cls) not in seen and any(map(_may_be_called, names & scope.attributes | names & _OPERATORS)):
                    scope.roots.add(root)
                    self._enter(cls, stack, seen)
        scope.classes = {root for root, cls, _ in self.classes if root in scope.roots or id(cls) in seen}
        for root, cls, _ in self.classes:
            if root in scope.classes and issubclass(cls, enum.Enum):  # its members are instances, and travel by name
                scope.roots.add((root[0], f"{root[1]}._member_map_"))
        return scope

    def _code(self, code: types.CodeType, space: Any, scope: Scope, stack: Any, seen: set[int]) -> None:
        loaded, others, words, inner = _names(code)
        module = self.spaces.get(id(space))
        scope.attributes |= others
        if loaded & _LOOKING or others & _LOOKING:
            scope.everything = True
        if loaded & _BY_NAME:
            scope.attributes |= words
            loaded = loaded | words
        for name in loaded:
            if name not in space:
                continue
            value = space[name]
            if module is not None:
                scope.roots.add((module, name))
            if isinstance(value, types.ModuleType):
                self._module(value, others | (words if loaded & _BY_NAME else frozenset()), scope, stack, seen)
            else:
                self._enter(value, stack, seen)
        stack.extend((part, space) for part in inner)

    def _module(
        self, module: types.ModuleType, names: frozenset[str], scope: Scope, stack: Any, seen: set[int]
    ) -> None:
        todo, met = [module], {id(module)}
        while todo:
            space = vars(one := todo.pop())
            name = one.__name__
            if sys.modules.get(name) is not one:
                continue
            for key in names:
                value = space.get(key, UNSET)
                if value is UNSET:
                    continue
                scope.roots.add((name, key))
                if isinstance(value, types.ModuleType):
                    if id(value) not in met:
                        met.add(id(value))
                        todo.append(value)
                elif name in self.own:
                    self._enter(value, stack, seen)

    def _enter(self, value: Any, stack: Any, seen: set[int]) -> None:
        """The code that is run if this is called, or used as the project's class says."""
        for function in _functions(value, self.own):
            if isinstance(function, types.FunctionType):
                if id(function) not in seen:
                    seen.add(id(function))
                    stack.append((function.__code__, function.__globals__))
                    for cell in function.__closure__ or ():
                        try:
                            self._enter(cell.cell_contents, stack, seen)
                        except ValueError:
                            continue
            elif id(function) not in seen:  # a class
                seen.add(id(function))
                for part in [*vars(function).values(), *function.__mro__[1:]]:
                    self._enter(part, stack, seen)


_OPERATORS = frozenset({
    "__call__", "__getattr__", "__getattribute__", "__getitem__", "__setitem__", "__len__", "__iter__", "__next__",
    "__enter__", "__exit__", "__contains__", "__bool__", "__add__", "__radd__", "__sub__", "__mul__", "__rmul__",
    "__truediv__", "__iadd__", "__lt__", "__gt__", "__str__", "__repr__", "__format__", "__get__", "__set__",
})  # fmt: skip
"""Methods that are called without being named."""


def _may_be_called(name: str) -> bool:
    return name not in ("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__init__")


def _functions(value: Any, own: frozenset[str]) -> Iterator[Any]:
    """The functions and classes of the project that ``value`` is, or wraps."""
    for _ in range(8):
        cls = type(value)
        if cls is types.FunctionType:
            if value.__module__ in own:
                yield value
            value = value.__dict__.get("__wrapped__")
        elif isinstance(value, type):
            if value.__module__ in own:
                yield value
            return
        elif cls in (staticmethod, classmethod, types.MethodType):
            value = value.__func__
        elif cls is functools.partial:
            value = value.func
        elif cls is property:
            for part in (value.fget, value.fset, value.fdel):
                if part is not None:
                    yield from _functions(part, own)
            return
        elif cls.__module__ in own:
            yield cls
            return
        elif hasattr(cls, "cache_info"):
            value = value.__wrapped__
        else:
            return


_known: dict[types.CodeType, tuple[frozenset[str], frozenset[str], frozenset[str], tuple[types.CodeType, ...]]] = {}


def named(code: types.CodeType) -> frozenset[str]:
    """The globals that code names itself, the code inside it left out."""
    return _names(code)[0]


def stored(code: types.CodeType) -> set[str]:
    """The names of its module that code binds itself."""
    names, extended, found = code.co_names, 0, set()
    for at in range(0, len(code.co_code), 2):
        kind, number = code.co_code[at], code.co_code[at + 1] | extended
        extended = number << 8 if kind == opcode.EXTENDED_ARG else 0
        if kind in _STORES:
            found.add(names[number])
    return found


def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str], frozenset[str], tuple[types.CodeType, ...]]:
    """The globals that code reads, its other names (attributes), the words among its constants, the code inside it."""
    found = _known.get(code)
    if found is None:
        raw, names, extended, loaded = code.co_code, code.co_names, 0, set()
        for at in range(0, len(raw), 2):
            kind, number = raw[at], raw[at + 1] | extended
            extended = number << 8 if kind == opcode.EXTENDED_ARG else 0
            if kind in _LOADS:
                number = number >> 1 if kind == _SHIFTED else number
                if number < len(names):
                    loaded.add(names[number])
        words = frozenset(part for part in code.co_consts if type(part) is str and part.isidentifier())
        inner = tuple(part for part in code.co_consts if isinstance(part, types.CodeType))
        found = _known[code] = frozenset(loaded), frozenset(names) - loaded, words, inner
    return found
