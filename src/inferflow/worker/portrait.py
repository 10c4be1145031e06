"""A program's state written down as text, so that two processes can be compared without handing values over.

A *portrait* is a list of *parts*, (path, text), in the order of one fixed walk through all that can be reached. Two
states that a program could not tell apart have the same portrait: values down to the bits of floats and arrays, the
order of dictionaries and sets, attributes and slots, and who is who (an object that was met before is told by the
path under which it was met first). Addresses and what depends on them (the order of a set of objects) are left out.

>>> shared = [1, 2.5]
>>> portrait([("a", shared), ("b", {"k": shared})]).parts
[('a', 'list of 2: 1, 2.5'), ('b', "dict of 1: 'k'"), ("b['k']", 'the same object as a')]

No method that the user's classes define is called, but for what pickle would call on objects of extension types.
What could not be looked into is counted in ``blind``. Arrays, tables and figures: see ``portrait_data``.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import sys
import time
import types
import weakref
from typing import Any

from inferflow.worker.exact_graph import UNSET, anatomy, attributes, global_name, package, reduced, slots
from inferflow.worker.portrait_data import arrays_overlap, data_parts, is_data

__all__ = ["UNFINISHED", "Portrait", "portrait"]

LIMIT = 200_000
"""Parts that are listed; the rest goes into one digest."""
PATIENCE = 60.0
"""Seconds after which a portrait is given up."""
UNFINISHED = "too much to compare in a minute"
"""What ``blind`` names then, with the number of objects that were not come to."""
RUN = 64
"""Elements of a long sequence of plain values that make one part."""

_PLAIN = frozenset({int, str, bytes, bool, float, complex, type(None)})
_SPELLED = frozenset({"datetime", "decimal", "fractions", "pathlib", "uuid", "zoneinfo", "re"})
"""Modules whose objects are told by their ``repr``."""


class Portrait:
    """The parts, in order, and the kinds of objects that could not be looked into, with their numbers."""

    def __init__(self, project: frozenset[str] = frozenset({"__main__"})) -> None:
        self.parts: list[tuple[str, str]] = []
        self.blind: dict[str, int] = {}
        self.project = project
        self.seen: dict[int, str] = {}
        self.kept: list[Any] = []
        self.stack: list[tuple[str, Any]] = []
        self.memory: list[tuple[int, int, str]] = []
        self.rest: Any = None
        self.more = 0
        self.deadline = time.monotonic() + PATIENCE

    def part(self, path: str, text: str) -> None:
        """Write one part down."""
        if len(self.parts) < LIMIT:
            self.parts.append((path, text))
            return
        if self.rest is None:
            self.rest = hashlib.blake2b(digest_size=16)
        self.more += 1
        self.rest.update(f"{path}\0{text}\n".encode("utf-8", "surrogatepass"))

    def walk(self, path: str, value: Any) -> None:
        """Write down a value and all that can be reached from it."""
        stack = self.stack
        stack.append((path, value))
        while stack:
            path, value = stack.pop()
            if time.monotonic() > self.deadline:
                self.blind[UNFINISHED] = len(stack) + 1
                stack.clear()
                return
            self.one(path, value)

    def finish(self) -> None:
        """What can only be told at the end."""
        for path, text in arrays_overlap(self.memory):
            self.part(path, text)
        if self.rest is not None:
            self.parts.append(("(the rest)", f"{self.more} more parts, digest {self.rest.hexdigest()}"))

    def later(self, items: list[tuple[str, Any]]) -> None:
        """Children, to be walked in this order before anything else."""
        self.stack.extend(reversed(items))

    def one(self, path: str, value: Any) -> None:
        cls = type(value)
        if cls in _PLAIN and value == value:
            self.part(path, plain(value))
            return
        if cls is _Told:
            self.part(path, value.text)
            return
        kind = anatomy(cls)
        if kind == "atom" and not isinstance(value, (float, complex, slice)):
            self.part(path, plain(value))
            return
        if kind == "reference":
            self.on_reference(path, value)
            return
        if kind not in ("tuple", "scalar", "dtype", "method", "builtin") and cls not in (slice, frozenset):
            first = self.seen.setdefault(id(value), path)
            if first is not path:
                self.part(path, f"the same object as {first}")
                return
            self.kept.append(value)
        if any(
            base.__name__ in ("AbstractEventLoop", "InteractiveShell", "SingletonConfigurable")
            for base in cls.__mro__[1:]
        ):
            self.unseen(path, value)  # what is in it belongs to whatever runs it
            return
        try:
            if is_data(value):
                data_parts(self, path, value)
            else:
                getattr(self, "on_" + kind)(path, value)
        except Exception as error:  # a library's method that was called on the way
            self.unseen(path, value, type(error).__name__)

    def unseen(self, path: str, value: Any, why: str = "") -> None:
        name = type_name(type(value))
        self.blind[name] = self.blind.get(name, 0) + 1
        self.part(path, f"{name} (not looked into{': ' + why if why else ''})")

    # -- one method for each kind of anatomy -----------------------------------------------------------

    def on_atom(self, path: str, value: Any) -> None:
        if type(value) is slice:
            self.part(path, "slice")
            self.later([(f"{path}.{name}", getattr(value, name)) for name in ("start", "stop", "step")])
        else:
            self.part(path, repr(value))  # not a number; which object it is was noted

    def on_reference(self, path: str, value: Any) -> None:
        if isinstance(value, type):
            self.part(path, f"class {type_name(value)}")
            if value.__module__ in self.project and id(value) not in self.seen:
                self.seen[id(value)] = path
                self.kept.append(value)
                self.on_class(path, value)
        elif isinstance(value, types.ModuleType):
            self.part(path, f"module {value.__name__}")
        else:
            self.part(path, f"{type_name(type(value))} {getattr(value, 'name', '')}".rstrip())

    def on_class(self, path: str, cls: type) -> None:
        """What a class of the user's holds: its attributes may have been changed."""
        # (the last is what the standard library notes there when an instance is pickled for the first time)
        hidden = (
            "__dict__",
            "__weakref__",
            "__module__",
            "__qualname__",
            "__doc__",
            "__firstlineno__",
            "__slotnames__",
        )
        names = [name for name in vars(cls) if name not in hidden and not name.startswith(("_abc_", "_member"))]
        items = [(f"{path}.{name}", vars(cls)[name]) for name in names]
        self.later([item for item in items if not isinstance(item[1], _DESCRIPTORS)])

    def sequence(self, path: str, kind: str, items: Any) -> None:
        """A list or the like: plain elements are told together, in runs."""
        count = len(items)
        if count > RUN:
            self.part(path, f"{kind} of {count}")
            children: list[tuple[str, Any]] = []
            for at in range(0, count, RUN):
                run = items[at : at + RUN]
                if all(type(item) in _PLAIN and item == item for item in run):
                    children.append((f"{path}[{at}:{at + len(run)}]", _Told(", ".join(map(plain, run)))))
                else:
                    children.extend((f"{path}[{at + step}]", item) for step, item in enumerate(run))
            self.later(children)
        elif all(type(item) in _PLAIN and item == item for item in items):
            self.part(path, f"{kind} of {count}{': ' if count else ''}" + ", ".join(map(plain, items)))
        else:
            self.part(path, f"{kind} of {count}")
            self.later([(f"{path}[{at}]", item) for at, item in enumerate(items)])

    def extras(self, path: str, value: Any) -> list[tuple[str, Any]]:
        own = attributes(value)
        items = [] if not own else [(join(path, f".{name}"), item) for name, item in own.items()]
        return items + [(join(path, f".{name}"), item) for name, item in slots(value) if item is not UNSET]

    def on_list(self, path: str, value: Any) -> None:
        self.later(self.extras(path, value) if type(value) is not list else [])
        self.sequence(path, type_name(type(value)), list.__getitem__(value, slice(None)))

    def on_tuple(self, path: str, value: Any) -> None:
        self.later(self.extras(path, value) if type(value) is not tuple else [])
        self.sequence(path, type_name(type(value)), tuple(tuple.__iter__(value)))

    def on_deque(self, path: str, value: Any) -> None:
        self.later(self.extras(path, value) if type(value) is not collections.deque else [])
        self.sequence(path, f"{type_name(type(value))} (maxlen {value.maxlen})", list(value))

    def mapping(self, path: str, value: Any, items: Any) -> None:
        pairs = list(items(value))
        told = ", ".join(plain(key) if type(key) in _PLAIN else type_name(type(key)) for key, _ in pairs)
        self.part(path, f"{type_name(type(value))} of {len(pairs)}{': ' if pairs else ''}" + shortened(told))
        children: list[tuple[str, Any]] = []
        for at, (key, item) in enumerate(pairs):
            if type(key) in _PLAIN:
                children.append((join(path, f"[{shortened(plain(key), 60)}]"), item))
            else:
                children.append((join(path, f".key{at}"), key))
                children.append((join(path, f".value{at}"), item))
        self.later(children)

    def on_dict(self, path: str, value: Any) -> None:
        self.later(self.extras(path, value) if type(value) is not dict else [])
        self.mapping(path, value, dict.items)

    def on_ordered(self, path: str, value: Any) -> None:
        self.later(self.extras(path, value))
        self.mapping(path, value, collections.OrderedDict.items)

    def on_defaultdict(self, path: str, value: Any) -> None:
        self.later([(f"{path}.default_factory", value.default_factory), *self.extras(path, value)])
        self.mapping(path, value, dict.items)

    def on_set(self, path: str, value: Any) -> None:
        items = list(set.__iter__(value) if isinstance(value, set) else frozenset.__iter__(value))
        if not all(map(steady, items)):
            items.sort(key=lambda item: _sort_key(item, self.project))
        self.later(self.extras(path, value) if type(value) not in (set, frozenset) else [])
        self.sequence(path, type_name(type(value)), items)

    def on_bytearray(self, path: str, value: Any) -> None:
        self.part(path, f"{type_name(type(value))} {plain(bytes(value))}")
        self.later(self.extras(path, value))

    def on_buffer(self, path: str, value: Any) -> None:
        self.part(path, f"array {value.typecode!r} of {len(value)}, {plain(value.tobytes())}")

    def on_pickle_buffer(self, path: str, value: Any) -> None:
        self.part(path, f"PickleBuffer {plain(bytes(value.raw()))}")

    def on_text(self, path: str, value: Any) -> None:
        base = next(base for base in (str, bytes, int) if isinstance(value, base))
        self.part(path, f"{type_name(type(value))} {plain(base(value))}")
        self.later(self.extras(path, value))

    def on_number(self, path: str, value: Any) -> None:
        self.part(path, f"{type_name(type(value))} {(float if isinstance(value, float) else complex)(value)!r}")
        self.later(self.extras(path, value))

    def on_exception(self, path: str, value: Any) -> None:
        lines = []
        place = value.__traceback__
        while place is not None:
            lines.append(f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}")
            place = place.tb_next
        self.part(path, f"{type_name(type(value))} raised in {', '.join(lines) or 'no frame'}")
        children = [(f"{path}.args", value.args)]
        causes = [(f"{path}.{name}", getattr(value, name)) for name in ("__cause__", "__context__")]
        self.later(children + [cause for cause in causes if cause[1] is not None] + self.extras(path, value))

    def on_cell(self, path: str, value: Any) -> None:
        try:
            self.later([(path + ".cell", value.cell_contents)])
        except ValueError:
            self.part(path, "an empty cell")

    def on_method(self, path: str, value: Any) -> None:
        self.part(path, f"method {getattr(value.__func__, '__qualname__', '?')}")
        self.later([(path + ".__self__", value.__self__)])

    def on_builtin(self, path: str, value: Any) -> None:
        self.part(path, f"builtin {value.__name__}")
        if not isinstance(value.__self__, types.ModuleType):
            self.later([(path + ".__self__", value.__self__)])

    def on_function(self, path: str, value: Any) -> None:
        self.part(path, f"function {value.__module__}.{value.__qualname__}")
        if value.__module__ not in self.project:
            return
        children = [
            (f"{path}.{name}", getattr(value, name))
            for name in ("__defaults__", "__kwdefaults__")
            if getattr(value, name) is not None
        ]
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
            try:
                children.append((f"{path}.<{name}>", cell.cell_contents))
            except ValueError:
                continue
        children += [(f"{path}.{name}", item) for name, item in value.__dict__.items()]
        self.later(children)

    def on_instance(self, path: str, value: Any) -> None:
        items = self.extras(path, value)
        self.part(path, type_name(type(value)))
        self.later(items)

    def on_opaque(self, path: str, value: Any) -> None:
        cls = type(value)
        if cls.__module__ in _SPELLED:
            self.part(path, repr(value))
        elif isinstance(value, (staticmethod, classmethod)):
            self.part(path, cls.__name__)
            self.later([(path, value.__func__)])
        elif isinstance(value, property):
            self.part(path, "property")
        elif isinstance(value, functools._lru_cache_wrapper):
            known = getattr(value, "__module__", "") in self.project
            self.part(path, f"cached function {value.__qualname__} {value.cache_info() if known else ''}".rstrip())
        elif isinstance(value, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)):
            self.on_frame(path, value)
        elif isinstance(value, weakref.ref):
            target = value()
            self.part(path, "a dead weak reference" if target is None else "a weak reference")
            if target is not None:
                self.later([(path + "()", target)])
        elif hasattr(cls, "readable") and hasattr(cls, "fileno"):
            self.on_file(path, value)
        elif cls.__module__ == "_thread" and hasattr(value, "locked"):
            self.part(path, f"lock, {'taken' if value.locked() else 'free'}")
        elif global_name(value) is not None:
            self.part(path, "the process's own " + ".".join(global_name(value) or ()))
        else:
            self.on_reduced(path, value)

    def on_reduced(self, path: str, value: Any) -> None:
        """An object whose insides only pickle knows."""
        parts = reduced(value)
        if isinstance(parts, str):
            self.part(path, f"{type_name(type(value))} {parts}")
            return
        if len(parts) > 2 and type(parts[2]) is tuple:  # objects of h5py hold their own address
            state = tuple("its address" if type(one) is int and one == id(value) else one for one in parts[2])
            parts = (*parts[:2], state, *parts[3:])
        self.part(path, type_name(type(value)))
        names = ("constructor", "arguments", "state", "elements", "pairs")
        items = [(join(path, f".<{name}>"), part) for name, part in zip(names, parts) if part is not None]
        self.kept.append(parts)
        own = attributes(value) if package(type(value)) not in ("pandas", "pathlib") else None
        if own and own is not parts[2]:
            items += [(join(path, f".{name}"), item) for name, item in own.items() if not _is_cache(value, name)]
        self.later(items)

    def on_frame(self, path: str, value: Any) -> None:
        """A generator: where it stands, and its variables."""
        kind = type(value).__name__
        frame = getattr(value, "gi_frame", None) or getattr(value, "cr_frame", None) or getattr(value, "ag_frame", None)
        if frame is None:
            self.part(path, f"{kind} {value.__qualname__}, at its end")
            return
        self.part(path, f"{kind} {value.__qualname__}, at line {frame.f_lineno}")
        self.later([(join(path, f".<{name}>"), item) for name, item in frame.f_locals.items()])

    def on_file(self, path: str, value: Any) -> None:
        name = getattr(value, "name", "")
        name = "a descriptor" if isinstance(name, int) and name > 2 else str(name)  # its number is like an address
        told = [type_name(type(value)), name, str(getattr(value, "mode", ""))]
        if value.closed:
            told.append("closed")
        elif value.readable() and not value.writable() and value.seekable():  # a writer would be flushed by asking
            told.append(f"at {value.tell()}")
        self.part(path, " ".join(told))


def _is_cache(value: Any, name: str) -> bool:
    """Whether an attribute only remembers what was asked before: at which levels a logger was asked."""
    bases = type(value).__mro__ if name == "_cache" else ()
    return any(base.__module__ == "logging" and base.__name__ == "Logger" for base in bases)


_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)


class _Told:
    """Stands among children for something that is told already."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def portrait(roots: list[tuple[str, Any]], project: frozenset[str] = frozenset({"__main__"})) -> Portrait:
    """The portrait of what the roots, (path, value), lead to. ``project`` names the modules whose functions and
    classes are the user's, and are looked into."""
    made = Portrait(project)
    for path, value in roots:
        made.walk(path, value)
    made.finish()
    return made


def plain(value: Any) -> str:
    """A plain value as text, in full if short, with a digest if long."""
    if type(value) is int and value.bit_length() > 4000:
        text = hex(value)
    else:
        text = ascii(value) if isinstance(value, str) else repr(value)
    if len(text) <= 2000:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    return f"{text[:200]}... ({len(value) if hasattr(value, '__len__') else len(text)} long, digest {digest})"


def shortened(text: str, width: int = 2000) -> str:
    """The text, or its beginning and a digest of all of it."""
    if len(text) <= width:
        return text
    return (
        f"{text[: width - 20]}... #{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=6).hexdigest()}"
    )


def join(path: str, part: str) -> str:
    """The path of a part; what is very deep is told by its end."""
    return path + part if len(path) < 200 else "..." + (path + part)[-150:]


def type_name(cls: type) -> str:
    """The name of a type, with its module unless that is ``builtins``."""
    if cls.__module__ in ("builtins", "__main__"):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def steady(value: Any) -> bool:
    """Whether the hash of a value is the same in every process that has the same ``PYTHONHASHSEED``."""
    cls = type(value)
    if cls is float or cls is complex:
        return bool(value == value)
    if cls is tuple or cls is frozenset:
        return all(map(steady, value))
    return cls in (int, bool, str, bytes) or (value is None and sys.version_info >= (3, 12))


def _sort_key(value: Any, project: frozenset[str]) -> str:
    """An order for elements whose hashes are addresses."""
    if type(value) in _PLAIN:
        return repr(value)
    return "\n".join(f"{path} {text}" for path, text in portrait([("", value)], project).parts)
