"""The state of a process that code could depend on without being given it: what modules hold, library options.

A helper's task of which not everything is proved is right only if nothing that it could have looked at has changed
between the moment when its process was forked from home and its turn. The fork knows how things were then: both
sides take the same *standing* (digests), and home compares them. Addresses are part of it, since both sides are
copies of one process: another object of the same content counts as a change.

    home:    CACHE = {}          fork ->  helper: standing s1; runs the task; s1 again: it changed nothing itself
             CACHE["a"] = 1
             the task's turn: standing s2 != s1: dropped

What is walked: the modules of the project, and those of packages that the list below does not name. A package that is
neither named nor pure Python could keep state where nobody can look: then nothing is run on trust.
"""

from __future__ import annotations

import _thread
import enum
import functools
import gc
import hashlib
import io
import marshal
import os
import re
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

from inferflow.worker.exact_graph import ATOMS, UNSET, anatomy, attributes, bare, reduced, referents, slots
from inferflow.worker.exact_reach import Reach
from inferflow.worker.handles import OURS
from inferflow.worker.own import library
from inferflow.worker.tensors import bytes_of, layout, oddity
from inferflow.worker.transport_arrays import extent

__all__ = [
    "CannotCompare",
    "Found",
    "HAVE_GC",
    "OF_CLASSES",
    "Walk",
    "digest",
    "foreign",
    "hidden",
    "holds_files",
    "in_kernel",
    "loaded",
    "registered",
    "roots",
    "take",
]

KNOWN = frozenset({
    "inferflow", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "mpl_toolkits", "PIL", "dateutil",
    "pytz", "tzdata", "six", "joblib", "threadpoolctl", "pyparsing", "packaging", "cycler", "kiwisolver",
    "contourpy", "fontTools", "certifi", "charset_normalizer", "idna", "urllib3", "requests", "yaml",
    "cloudpickle", "setuptools", "pkg_resources", "_distutils_hack", "typing_extensions", "cython_runtime",
    "pyarrow", "narwhals", "bottleneck", "numexpr", "torch", "torchgen", "functorch", "statsmodels", "patsy",
    "seaborn", "lightgbm", "xgboost", "attr", "attrs", "markupsafe", "jinja2", "sphinxcontrib", "google",
    "mpmath", "psutil", "_cffi_backend", "_brotli", "_yaml", "defusedxml", "exceptiongroup",
    "importlib_metadata", "zipp", "wcwidth", "pygments",
})  # fmt: skip
"""Packages whose state lies in the table of hidden states (or matters to nobody)."""
KERNEL = frozenset({
    "IPython", "ipykernel", "ipython_pygments_lexers", "jupyter_client", "jupyter_core", "traitlets", "tornado", "zmq",
    "platformdirs", "matplotlib_inline", "prompt_toolkit", "jedi", "parso", "decorator", "pexpect", "ptyprocess",
    "stack_data", "executing", "asttokens", "pure_eval", "nest_asyncio", "backcall", "pickleshare",
})  # fmt: skip
"""What a kernel consists of. Its state changes from cell to cell; who looks at it ends the helper (``cell_shell``)."""
_beside: set[str] = set()
MOST_OBJECTS = 60_000
MOST_BYTES = 16 << 20
NARROW = frozenset({"random", "numpy.random", "torch.random", "threads", "signal", "recursion limit", "finalizers"})
"""Hidden states that only those depend on who also change them (a draw moves the generator on): a task that is seen to
change none does not depend on them."""

HAVE_GC = 1 << 14
_HEAP = 1 << 9
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
OF_CLASSES = frozenset({
    "__dict__", "__weakref__", "__doc__", "__abstractmethods__", "_abc_impl", "__slotnames__",
})  # fmt: skip
"""What Python itself keeps in classes (the last one when an instance is pickled first)."""
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_CALM: tuple[type, ...] = (
    re.Pattern, weakref.ref, types.CodeType, types.MappingProxyType, types.GenericAlias, type(_thread.allocate_lock()),
    types.GetSetDescriptorType, types.MemberDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType,
    types.ClassMethodDescriptorType, property, classmethod, staticmethod, type(_thread.RLock()), types.SimpleNamespace,
)  # fmt: skip
"""Types of which the references that the collector sees are all that matters."""


class CannotCompare(Exception):
    """There is state that cannot be compared; says which."""


def foreign(name: str) -> bool:
    """Whether a module belongs to a package that is neither part of Python nor known."""
    top = name.partition(".")[0]
    return (
        top not in KNOWN
        and top not in _beside
        and not top.startswith(("_cy", "_sysconfigdata"))
        and top not in _standard()
    )


def in_kernel() -> None:
    """This process runs the cells of a notebook."""
    _beside.update(KERNEL)


def _is_machinery(value: Any) -> bool:
    """Whether something belongs to a kernel: from there all can be reached that its cells have shown."""
    kind = type(value)
    if kind is types.MethodType:
        kind = type(value.__self__)
    module = getattr(kind, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in ("IPython", "ipykernel", "inferflow")


def is_standard(name: str) -> bool:
    """Whether a module is part of Python."""
    return name.partition(".")[0] in _standard()


@functools.lru_cache(maxsize=1)
def _standard() -> frozenset[str]:
    names = getattr(sys, "stdlib_module_names", None)
    if names is None:  # Python 3.9
        folder = os.path.dirname(os.__file__)
        names = {name.partition(".")[0] for name in os.listdir(folder)} | set(sys.builtin_module_names)
        names |= {name.partition(".")[0] for name in os.listdir(os.path.join(folder, "lib-dynload"))}
    return frozenset(names) | {"__main__", "__mp_main__", "sitecustomize", "usercustomize"}


def loaded(project: frozenset[str]) -> list[str]:
    """The names of the modules whose state is walked. Raises CannotCompare."""
    found = []
    for name, module in list(sys.modules.items()):
        if name in project:
            found.append(name)
        elif module is not None and foreign(name):
            if str(getattr(module, "__file__", None) or "").endswith((".so", ".pyd", ".dylib")):
                own = getattr(getattr(module, "__spec__", None), "name", name)
                if own != name and not foreign(str(own)):
                    continue  # (scipy's modules made by Cython stand there under a short name too)
                raise CannotCompare(f"{name} is compiled, and its state cannot be seen")
            found.append(name)
    return sorted(found)


def roots(names: Iterable[str], main: str, given: Iterable[str]) -> list[Any]:
    """Where the state of modules begins. Of module ``main``, the driver's, only the names ``given``."""
    found: list[Any] = []
    for name in names:
        module = sys.modules.get(name)
        if module is None:
            found.append(None)
            continue
        space = vars(module)
        if name == main:
            found += [space.get(one, UNSET) for one in given]
        else:
            for one, value in list(space.items()):
                if one not in ("__builtins__", "__cached__", "__warningregistry__"):
                    found += [one, value]
    return found


class Found:
    """Where the objects and the array memory of a state are."""

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}
        self.memory: list[tuple[int, int]] = []

    def let_go(self) -> None:
        """Keep the addresses only, of those objects that live on without us."""
        kept: dict[int, Any] = {}
        mine = [object()]
        value = mine.pop()
        nobody_else = sys.getrefcount(value)
        for key in list(self.objects):  # (whatever was made in order to look comes before its parts)
            value = self.objects.pop(key)
            if sys.getrefcount(value) > nobody_else:
                kept[key] = None
        self.objects = kept

    def shares(self, values: Reach) -> bool:
        """Whether something that can change belongs to both."""
        if any(key in self.objects for key in values.objects):
            return True
        return any(low < end and start < high for low, high, _ in values.memory for start, end in self.memory)


def take(names: list[str], main: str, given: list[str], found: Found | None = None) -> str:
    """The digest of the state of these modules; ``found`` collects where their objects are. Raises CannotCompare."""
    return digest(roots(names, main, given), frozenset(names), found)


def digest(values: list[Any], own: frozenset[str], found: Found | None = None) -> str:
    """What all objects behind ``values`` are, addresses included. Classes and functions of the modules ``own`` are
    entered. Raises CannotCompare."""
    walk = Walk(own)
    walk.run(values)
    if found is not None:
        found.objects = walk.seen
        found.memory = walk.ranges
    return walk.hash.hexdigest()


def hidden(facts: dict[str, Any]) -> dict[str, str]:
    """Digests of hidden states (see ``hidden_state.HiddenState.facts``) but the narrow ones. Raises CannotCompare."""
    return {name: _digest_of_state(value) for name, value in facts.items() if name not in NARROW}


def _digest_of_state(value: Any) -> str:
    """Most states are plain data; of others the parts that could hold something are walked."""
    try:
        return hashlib.blake2b(marshal.dumps(value, 2), digest_size=16).hexdigest()
    except ValueError:  # there is more in it than plain data
        pass
    tokens: list[Any] = []
    alive: list[Any] = []
    stack = [value]
    while stack:
        one = stack.pop()
        cls = type(one)
        if cls in _PLAIN:
            tokens.append(one)
        elif cls is list or cls is tuple:
            tokens.append((cls.__name__, len(one)))
            stack.extend(one)
        elif cls is dict:
            tokens.append((cls.__name__, len(one)))
            stack.extend(one.values())
            stack.extend(one)
        else:
            tokens.append(id(one))
            if not _holds_nothing(one, cls):
                alive.append(one)
    walk = Walk(frozenset(), addresses=False)
    walk.tokens = tokens
    walk.run(alive)
    return walk.hash.hexdigest()


def _holds_nothing(value: Any, cls: type) -> bool:
    """Whether it is enough to know which object it is."""
    if isinstance(value, type) or cls is re.Pattern:
        return True
    if cls is types.BuiltinFunctionType:
        return isinstance(value.__self__, (types.ModuleType, type(None)))
    return cls is types.FunctionType and not value.__closure__


def registered(cls: type) -> list[int]:
    """The classes that were registered with this abstract one (their addresses)."""
    if "_abc_impl" not in vars(cls):
        return []
    dump = getattr(sys.modules.get("_abc"), "_get_dump", None)
    return sorted(id(ref()) for ref in dump(cls)[0]) if dump is not None else []


class Walk:
    """``addresses``: containers are told apart by where they are, too."""

    def __init__(self, own: frozenset[str], addresses: bool = True) -> None:
        self.own = own
        self.addresses = addresses
        self.hash = hashlib.blake2b(digest_size=16)
        self.seen: dict[int, Any] = {}
        self.tokens: list[Any] = []
        self.stack: list[Any] = []
        self.bytes = 0
        self.ranges: list[tuple[int, int]] = []
        self.nobody_else = 0
        for part in [[object()]]:
            self.nobody_else = sys.getrefcount(part)

    def run(self, values: list[Any]) -> None:
        enabled = gc.isenabled()
        gc.disable()
        try:
            self.stack = list(reversed(values))
            while self.stack:
                self.one(self.stack.pop())
                if len(self.tokens) > 5000:
                    self.flush()
            self.flush()
        finally:
            if enabled:
                gc.enable()

    def flush(self) -> None:
        self.hash.update(marshal.dumps(self.tokens, 2))
        self.tokens = []

    def memory(self, data: Any) -> None:
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        self.bytes += view.nbytes
        if self.bytes > MOST_BYTES:
            raise CannotCompare("the modules hold more data than is worth comparing")
        self.flush()
        self.hash.update(view)

    def one(self, value: Any) -> None:
        cls = type(value)
        if cls in _PLAIN:
            self.tokens.append(value)
            return
        if self.addresses or cls not in _CONTAINERS:
            self.tokens.append(id(value))
        if id(value) in self.seen or cls in ATOMS:
            return
        if _beside and _is_machinery(value):
            return
        self.seen[id(value)] = value
        if len(self.seen) > MOST_OBJECTS:
            raise CannotCompare("the modules hold more objects than are worth comparing")
        kind = anatomy(cls)
        method = getattr(self, "on_" + kind, None)
        if method is not None:
            method(value, cls)
        elif kind in ("instance", "number"):
            self.own_parts(value)
        else:
            self.opaque(value, cls)

    def parts(self, values: Any) -> None:
        values = list(values)
        self.tokens.append(len(values))
        if len(values) > 8 and set(map(type, values)) <= _PLAIN:
            self.bytes += 8 * len(values)
            self.tokens.append(values)
            self.flush()
        else:
            self.stack.extend(reversed(values))

    def own_parts(self, value: Any) -> None:
        own = attributes(value)
        if own is not None:
            self.parts(own.keys())
            self.parts(own.values())
        for name, part in slots(value):
            self.stack += [part, name]

    def on_list(self, value: Any, cls: type) -> None:
        self.parts(list.__iter__(value))
        if cls is not list:
            self.own_parts(value)

    def on_tuple(self, value: Any, cls: type) -> None:
        self.parts(tuple.__iter__(value))
        if cls is not tuple:
            self.own_parts(value)

    def on_dict(self, value: Any, cls: type) -> None:
        self.parts(dict.keys(value))
        self.parts(dict.values(value))
        if cls is not dict:
            self.own_parts(value)

    on_ordered = on_dict

    def on_defaultdict(self, value: Any, cls: type) -> None:
        self.on_dict(value, cls)
        self.stack.append(value.default_factory)

    def on_set(self, value: Any, cls: type) -> None:
        self.parts(set.__iter__(value) if isinstance(value, set) else frozenset.__iter__(value))
        if cls is not set and cls is not frozenset:
            self.own_parts(value)

    def on_deque(self, value: Any, cls: type) -> None:
        self.parts(value)
        self.own_parts(value)

    def on_bytearray(self, value: Any, cls: type) -> None:
        self.memory(bytes(value))

    def on_buffer(self, value: Any, cls: type) -> None:
        self.memory(value.tobytes())

    def on_text(self, value: Any, cls: type) -> None:
        self.own_parts(value)

    def on_ndarray(self, value: Any, cls: type) -> None:
        self.tokens += [str(value.dtype), str(value.shape), str(value.strides), bool(value.flags.writeable)]
        if value.size:
            self.ranges.append(extent(value))
        if value.dtype.hasobject:
            self.parts(bare(value).ravel().tolist())
        else:
            self.memory(bare(value).tobytes())
        if cls.__module__ != "numpy":
            self.own_parts(value)

    def on_tensor(self, value: Any, cls: type) -> None:
        """(Storages and gradients are objects that come to be when somebody asks for them: no addresses of them.)"""
        odd = oddity(value)
        if odd:
            raise CannotCompare(f"a module holds {odd}")
        self.tensor(value)
        self.own_parts(value)

    def tensor(self, value: Any) -> None:
        self.tokens += [str(layout(value)), value.data_ptr(), value._base is not None, value.grad is not None]
        memory = bytes_of(value.untyped_storage())
        self.on_ndarray(memory, type(memory))
        if value.grad is not None:
            self.on_tensor(value.grad, type(value.grad))

    def on_storage(self, value: Any, cls: type) -> None:
        self.tokens += [value.data_ptr(), value.nbytes()]
        memory = bytes_of(value)
        self.on_ndarray(memory, type(memory))

    def on_scalar(self, value: Any, cls: type) -> None:
        self.memory(value.tobytes())

    def on_dtype(self, value: Any, cls: type) -> None:
        self.tokens.append(str(value))

    def on_cell(self, value: Any, cls: type) -> None:
        try:
            self.stack.append(value.cell_contents)
        except ValueError:
            self.tokens.append("empty")

    def on_method(self, value: Any, cls: type) -> None:
        self.stack += [value.__func__, value.__self__]

    def on_builtin(self, value: Any, cls: type) -> None:
        owner = value.__self__
        if owner is not None and not isinstance(owner, types.ModuleType):
            self.stack.append(owner)

    def on_function(self, value: Any, cls: type) -> None:
        if value.__module__ in self.own or value.__closure__:
            self.tokens.append(id(value.__code__))
            self.stack += [value.__defaults__, value.__kwdefaults__, *(value.__closure__ or ())]
            self.parts(value.__dict__)
            self.parts(value.__dict__.values())

    def on_reference(self, value: Any, cls: type) -> None:
        if isinstance(value, type) and value.__module__ in self.own:
            space = {name: part for name, part in vars(value).items() if name not in OF_CLASSES}
            self.parts(space.keys())
            self.stack.extend(space.values())
            self.tokens += [*map(id, value.__mro__), *registered(value)]
        elif isinstance(value, enum.Enum) and cls.__module__ in self.own:
            self.own_parts(value)

    def on_exception(self, value: Any, cls: type) -> None:
        self.stack += [value.args, value.__cause__, value.__context__]
        self.own_parts(value)

    def generator(self, value: Any, cls: type) -> bool:
        """Whether it is a random generator. What is made in order to look at its state has no address that says
        anything; those of the libraries themselves are hidden states."""
        random, modules = sys.modules.get("random"), sys.modules
        module = cls.__module__ or ""
        if module == "torch._C" and cls.__name__ == "Generator":
            if value is not getattr(modules.get("torch"), "default_generator", None):
                self.memory(value.get_state().numpy())
        elif module.startswith("numpy.random"):
            bits = getattr(value, "bit_generator", None) or getattr(value, "_bit_generator", None) or value
            if value is not getattr(modules.get("numpy.random.mtrand"), "_rand", None):
                self.tokens.append(_plain_state(getattr(bits, "state", None)))
        elif random is not None and isinstance(value, random.Random):
            if value is not getattr(random, "_inst", None) and not isinstance(value, random.SystemRandom):
                self.tokens.append(random.Random.getstate(value))
                self.own_parts(value)
        else:
            return False
        return True

    def opaque(self, value: Any, cls: type) -> None:
        if isinstance(value, io.IOBase):
            if not value.closed and value not in (sys.stdout, sys.stderr, sys.stdin):
                raise CannotCompare("a module holds an open file")
            return
        module = cls.__module__ or ""
        if module == "functools" and cls.__qualname__ == "_lru_list_elem":
            return  # (the cache itself shows what its entries hold, in their order)
        if cls.__name__ == "PyCapsule" and module == "builtins":
            return  # an address in a compiled module, which is known (or nothing is compared: see ``loaded``)
        if hasattr(value, "cache_info") and callable(value.cache_info):
            self.tokens.append(str(value.cache_info()))
        if self.generator(value, cls):
            return
        logging = sys.modules.get("logging")
        if logging is not None and isinstance(value, logging.Logger):  # (it caches which levels are on)
            self.tokens += [value.level, value.disabled, value.propagate]
            self.stack += [value.handlers, value.filters, value.parent]
            return
        if isinstance(value, types.GeneratorType):
            self.tokens.append(value.gi_frame.f_lasti if value.gi_frame is not None else -1)
        seen = bool(cls.__flags__ & HAVE_GC)
        if seen:
            self.stack.extend(part for part in reversed(referents(value)) if part is not cls)
        elif attributes(value) is not None:
            self.own_parts(value)
            seen = True
        if isinstance(value, _CALM) or (cls.__flags__ & _HEAP and module in self.own):
            return
        try:
            parts = reduced(value)
        except Exception:
            if not seen and module.partition(".")[0] not in KNOWN:
                raise CannotCompare(f"a module holds a {cls.__qualname__}, whose state cannot be seen") from None
            return
        if isinstance(parts, str):
            self.stack.append(parts)
        else:
            self.made(parts, cls)

    def made(self, value: Any, cls: type) -> None:
        """What was made in order to look at an instance of ``cls`` (by a pickling method): its own address says
        nothing, nor those of containers in it that nobody else holds."""
        found: list[Any] = []
        todo = [value]
        while todo:
            one = todo.pop()
            self.tokens += [type(one).__name__, len(one)]
            for parts in (one, one.values()) if type(one) is dict else (one,):
                for part in parts:
                    if type(part) in (list, tuple, dict) and sys.getrefcount(part) <= self.nobody_else:
                        todo.append(part)
                    elif part is not cls:
                        found.append(part)
        self.stack.extend(reversed(found))


def _plain_state(state: Any) -> Any:
    """The state of a generator of numpy's without arrays."""
    if type(state) is dict:
        return [(name, _plain_state(part)) for name, part in state.items()]
    return state.tobytes() if hasattr(state, "tobytes") else state


def holds_files(maps: bool = True, ours: frozenset[int] = frozenset()) -> str:
    """What the process holds open that a task could use without being seen (descriptors but ``ours``, ``maps``: files
    mapped for writing), in words; empty if nothing."""
    stat = library("stat")
    try:
        for text in os.listdir("/proc/self/fd"):
            number = int(text)
            if number <= 2 or number >= OURS or number in ours:
                continue
            try:
                mode = os.fstat(number).st_mode
                name = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if stat.S_ISREG(mode) and not name.startswith(("/memfd:", "/dev/shm")):
                return f"the program holds {name} open"
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                return "the program holds a pipe or socket open"
        if not maps:
            return ""
        with open("/proc/self/maps") as lines:
            for line in lines:
                parts = line.split(None, 5)
                shared = parts[1][1:2] == "w" and parts[1][3:4] == "s" and len(parts) > 5
                if shared and not parts[5].startswith(("/memfd:", "/dev/zero", "anon_inode")):
                    return f"the program has mapped {parts[5].strip()} for writing"
    except (OSError, ValueError):
        return "what the program holds open cannot be listed"
    return ""
