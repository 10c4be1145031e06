"""Why values cannot travel, in words that tell the user what to look for, and where.

>>> str(explained(([1], {"rows": (i for i in ())}), TypeError("cannot pickle 'generator' object")))
"it holds a generator (at ['rows'])"
"""

from __future__ import annotations

import re
import types
from typing import Any

from inferflow.worker.exact_graph import attributes

__all__ = ["Unpackable", "explained", "unpackable"]


class Unpackable(Exception):
    """These values cannot be sent to another process. ``why`` is a clause like ``it holds a generator (at .rows)``;
    ``member`` is the index of the value in the tuple, if known."""

    def __init__(self, why: str, member: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.member = member


_NAMES = {
    "generator": "a generator",
    "coroutine": "a coroutine",
    "async_generator": "an asynchronous generator",
    "TextIOWrapper": "an open file",
    "BufferedReader": "an open file",
    "BufferedWriter": "an open file",
    "BufferedRandom": "an open file",
    "FileIO": "an open file",
    "memoryview": "a memoryview",
    "lock": "a lock",
    "RLock": "a lock",
    "_thread.lock": "a lock",
    "_thread.RLock": "a lock",
    "socket": "an open socket",
    "weakref": "a weak reference",
    "ReferenceType": "a weak reference",
    "_local": "a thread-local object",
    "Connection": "an open connection",
    "Cursor": "an open cursor",
    "dict_keys": "a live view of a dictionary",
    "dict_values": "a live view of a dictionary",
    "dict_items": "a live view of a dictionary",
    "frame": "a stack frame",
    "traceback": "a traceback",
    "mmap": "a memory map",
}
_CANNOT = re.compile(r"[Cc](?:annot|an't) pickle (?:'([\w.]+)' (?:object|instance)|([\w.]+) objects?)")


def explained(values: tuple[Any, ...], error: Exception) -> Unpackable:
    """Pickle's own words name a type only: find the object, and say where it is."""
    text = str(error)
    found = _CANNOT.search(text)
    if found is None:
        return Unpackable(f"pickling it failed: {type(error).__name__}: {text}"[:300])
    name = found.group(1) or found.group(2)
    short = name.rsplit(".", 1)[-1]
    what = _NAMES.get(name) or _NAMES.get(short) or f"an object of type {name}"
    return unpackable(values, what, None, short)


def unpackable(values: tuple[Any, ...], what: str, culprit: object, type_name: str = "") -> Unpackable:
    found = _locate(values, culprit, type_name)
    if found is None:
        return Unpackable(f"it holds {what}")
    member, path = found
    return Unpackable(f"it holds {what} (at {path})" if path else f"it is {what}", member)


def _locate(values: tuple[Any, ...], culprit: object, type_name: str) -> tuple[int, str] | None:
    """The member, and the path within it, of ``culprit`` or of the first object of a type of this name."""
    queue: list[tuple[Any, int, str]] = [(value, member, "") for member, value in enumerate(values)]
    seen: set[int] = set()
    for value, member, path in queue:  # grows while it is walked: breadth first
        if value is culprit if culprit is not None else type(value).__name__ == type_name:
            return member, path
        if id(value) in seen or len(seen) > 50_000 or len(path) > 120:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            for key, part in dict.items(value):
                spelled = repr(key) if type(key) in (str, int) else f"<{type(key).__name__}>"
                queue += [(part, member, f"{path}[{spelled}]"), (key, member, f"{path}{{key}}")]
        elif isinstance(value, (list, tuple)):
            queue += [(part, member, f"{path}[{at}]") for at, part in enumerate(value)]
        elif isinstance(value, (set, frozenset)):
            queue += [(part, member, f"{path}{{element}}") for part in value]
        elif isinstance(value, types.FunctionType):
            cells = zip(value.__code__.co_freevars, value.__closure__ or ())
            queue += [(cell.cell_contents, member, f"{path}.<{name}>") for name, cell in cells if _filled(cell)]
        elif isinstance(value, types.MethodType):
            queue.append((value.__self__, member, f"{path}.__self__"))
        elif not isinstance(value, type):
            queue += [(part, member, f"{path}.{name}") for name, part in (attributes(value) or {}).items()]
    return None


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
