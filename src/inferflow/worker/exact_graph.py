"""What an object consists of, without running the methods that its class defines, where that can be had.

:func:`anatomy` sorts types once: atoms (nothing inside, identity does not matter), references (modules, classes:
shared by all processes), builtin containers and their subclasses, arrays, instances whose attributes are
all there is, and opaque ones, whose insides only ``__reduce_ex__`` tells.

>>> anatomy(int), anatomy(list), anatomy(type)
('atom', 'list', 'reference')
"""

from __future__ import annotations

import array
import collections
import copyreg
import enum
import functools
import gc
import pickle
import sys
import types
from typing import Any

from inferflow.worker.tensors import kind_of

__all__ = [
    "ATOMS",
    "UNSET",
    "anatomy",
    "attributes",
    "bare",
    "copies_on_write",
    "forget_types",
    "global_name",
    "package",
    "reduced",
    "referents",
    "slots",
    "spell",
    "uncollected",
]

ATOMS: frozenset[type] = frozenset(
    {type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented), range, slice}
)
"""Immutable, and with nothing in them that has an identity (a slice of anything but numbers is an odd thing)."""

UNSET = type("Unset", (), {"__slots__": ()})()
"""The value of a slot that was never assigned."""

_CONTAINERS: tuple[tuple[type, str], ...] = (
    (collections.OrderedDict, "ordered"),
    (collections.defaultdict, "defaultdict"),
    (dict, "dict"),
    (list, "list"),
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "set"),
    (collections.deque, "deque"),
    (bytearray, "bytearray"),
    (array.array, "buffer"),
    (BaseException, "exception"),
    (str, "text"),
    (bytes, "text"),
    (int, "text"),
    (float, "number"),
    (complex, "number"),
)

_REFERENCES = (type, types.ModuleType, types.GetSetDescriptorType, types.MemberDescriptorType)
_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement (or by a modern extension)
_on_write: dict[type, bool] = {}
_kinds: dict[type, str] = dict.fromkeys(ATOMS, "atom")


def forget_types() -> None:
    """Let go of the classes that were looked at: the driver's own are to die when they do natively."""
    _on_write.clear()
    _kinds.clear()
    _kinds.update(dict.fromkeys(ATOMS, "atom"))


def package(cls: type) -> str:
    """The top-level package that a class is from; empty if it does not tell: where other classes have the name, that of
    Cython's functions has the descriptor for those of its instances."""
    module: Any = cls.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def anatomy(cls: type) -> str:
    """One of: atom, reference, function, cell, method, builtin, ndarray, scalar, dtype, pickle_buffer, list, tuple,
    dict, ordered, defaultdict, set, deque, bytearray, buffer, exception, text, number, tensor, storage, instance,
    opaque."""
    kind = _kinds.get(cls)
    if kind is None:
        kind = _kinds[cls] = _anatomy(cls)
    return kind


def _anatomy(cls: type) -> str:
    if cls is types.FunctionType:
        return "function"
    if cls is types.CellType:
        return "cell"
    if cls is types.MethodType:
        return "method"
    if cls is types.BuiltinFunctionType or cls is types.MethodWrapperType:
        return "builtin"
    if cls is pickle.PickleBuffer:
        return "pickle_buffer"
    if issubclass(cls, (*_REFERENCES, enum.Enum)):
        return "reference"
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "ndarray"):
        if issubclass(cls, numpy.ndarray):
            return "ndarray"
        if issubclass(cls, numpy.generic):
            return "opaque" if issubclass(cls, (numpy.void, numpy.object_)) else "scalar"
        if issubclass(cls, numpy.dtype):
            return "dtype"
        if cls is numpy.ufunc:
            return "reference"
    tensors = kind_of(cls)
    if tensors:
        return tensors
    # pandas keeps caches in its attributes; what its objects are, they tell pickle
    if package(cls) in ("pandas", "pathlib", "logging"):
        return "opaque"
    for base, kind in _CONTAINERS:
        if issubclass(cls, base):
            return kind
    return "instance" if _only_attributes(cls) else "opaque"


def _only_attributes(cls: type) -> bool:
    """Whether ``__dict__`` and slots are all that an instance has: no class in its line is an extension's."""
    words = 0
    for base in cls.__mro__:
        if base is object:
            continue
        if not base.__flags__ & _HEAP:
            return False
        words += sum(1 for name in slots_of(base))
    if cls.__dictoffset__ > 0:
        words += 1
    if cls.__weakrefoffset__ > 0:
        words += 1
    return cls.__basicsize__ <= object.__basicsize__ + 8 * words


def bare(value: Any) -> Any:
    """The memory of a numpy array as a plain array: methods of subclasses may do anything, and masked arrays remember
    what they were once filled with, though it was only to look at them."""
    plain = sys.modules["numpy"].ndarray
    return value if type(value) is plain else plain.view(value, plain)


def copies_on_write(cls: type) -> bool:
    """Whether this is a part of a pandas object (a block or a manager of blocks, an index, an
    extension array) whose array memory is copied
    before it is changed, as all of pandas does since 3.0: with whom it shares memory is no matter there."""
    found = _on_write.get(cls)
    if found is None:
        found = package(cls) == "pandas" and _is_frame_part(cls)
        _on_write[cls] = found
    return found


def _is_frame_part(cls: type) -> bool:
    version = getattr(sys.modules.get("pandas"), "__version__", "0")
    names = {base.__name__ for base in cls.__mro__}
    return int(version.split(".", 1)[0]) >= 3 and bool(names & {"BaseBlockManager", "Block", "Index", "ExtensionArray"})


def global_name(value: object) -> tuple[str, str] | None:
    """Module and attribute of an object that belongs to the process (a random generator, the environment): such are
    found there, not copied."""
    for module, name in (
        ("numpy.random.mtrand", "_rand"),
        ("random", "_inst"),
        ("os", "environ"),
        ("torch", "default_generator"),
    ):
        found = sys.modules.get(module)
        if found is not None and getattr(found, name, None) is value:
            return module, name
    return None


def slots_of(cls: type) -> list[str]:
    """The names of the slots that ``cls`` itself adds, as in its namespace."""
    names = vars(cls).get("__slots__", ())
    if isinstance(names, str):
        names = (names,)
    found = []
    for name in names:
        if name in ("__dict__", "__weakref__"):
            continue
        if name.startswith("__") and not name.endswith("__"):
            name = f"_{cls.__name__.lstrip('_')}{name}"
        if isinstance(vars(cls).get(name), types.MemberDescriptorType):
            found.append(name)
    return found


class uncollected:
    """A stretch in which the garbage collector rests: it would look at the same many objects again and again."""

    __slots__ = ("_was",)

    def __enter__(self) -> None:
        self._was = gc.isenabled()
        gc.disable()

    def __exit__(self, *error: object) -> None:
        if self._was:
            gc.enable()


def spell(path: Any) -> str:
    """A path as text. It is ``None`` for the root, or (path of the whole, part); a part is a text such as ``.name``, an
    index, ``(key,)`` of a dictionary, or (function, argument) that give the text."""
    parts = []
    while path is not None:
        path, part = path
        if type(part) is int:
            part = f"[{part}]"
        elif type(part) is tuple:
            part = part[0](part[1]) if len(part) == 2 else f"[{_spell_key(part[0])}]"
        parts.append(part)
    text = "".join(reversed(parts))
    return text if len(text) <= 160 else "..." + text[-150:]


def _spell_key(key: Any) -> str:
    text = repr(key) if type(key) in ATOMS else f"<{type(key).__qualname__}>"
    return text if len(text) <= 40 else text[:37] + "..."


def slots(value: object) -> list[tuple[str, Any]]:
    """The slots of an instance in order of definition; :data:`UNSET` where nothing was assigned."""
    found = []
    for cls in type(value).__mro__:
        if "__slots__" in vars(cls):
            for name in slots_of(cls):
                try:
                    found.append((name, vars(cls)[name].__get__(value)))
                except AttributeError:
                    found.append((name, UNSET))
    return found


def referents(value: object) -> list[Any]:
    """What an object refers to, as the collector sees it. A tuple that has holes is left out for what is in it: nobody
    may look into it (``itertools.zip_longest`` has one where an iterator has come to its end)."""
    found: list[Any] = []
    for part in gc.get_referents(value):
        inside = gc.get_referents(part) if type(part) is tuple else ()
        if len(inside) < (len(part) if type(part) is tuple else 0):
            found += inside
        else:
            found.append(part)
    return found


def attributes(value: object) -> dict[str, Any] | None:
    """The instance's own ``__dict__``, past any ``__getattribute__``; ``None`` if it has none."""
    if type(value) is functools.partial:  # asking creates it, and its pickle differs then
        return None
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


def reduced(value: Any) -> Any:
    """What pickle would write: a name, or (function, arguments, state, list items, dict items, setter)."""
    special = copyreg.dispatch_table.get(type(value))
    parts = special(value) if special is not None else value.__reduce_ex__(5)
    if isinstance(parts, str):
        return parts
    function, args, state, listed, paired, setter = (*parts, None, None, None, None)[:6]
    return (
        function,
        args,
        None if type(state) is dict and not state else state,  # an exception has an empty one once it was asked for
        None if listed is None else list(listed),
        None if paired is None else [item for pair in paired for item in pair],
        setter,
    )
