"""Places other than names: who wrote them last, who has read them since, and what must keep its order for it.

    np.random.seed(0)          0  writes numpy.random
    a = noise()                1  reads and writes numpy.random        0 -> 1
    open("a.txt", "w")...      2  writes file a.txt
    os.chdir("out")            3  writes cwd: every later task may depend on it
    open("b.txt").read()       4  reads file b.txt                     3 -> 4

A *wide* place is one that code which says nothing of it may depend on: the environment, the working folder, library
options, and unknown code. A *narrow* one (random generators, pyplot) matters only to those who name it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from inferflow.model import Effect, File, Hidden, Object, Place, Reason, Variable, World
from inferflow.records import define, field, frozen

__all__ = ["Dependence", "Ledger", "is_wide"]

NARROW = (
    "random",
    "numpy.random",
    "torch.random",
    "tensorflow.random",
    "matplotlib.pyplot",
    "logging",
    "tempfile",
    "tracemalloc",
    "linecache",
    "re",
    "atexit",
    "tqdm",
)
"""Hidden states that only those who name them depend on; every other one is wide."""

FREE = frozenset({"stdout", "stderr", "clock"})
"""Kinds of world that force no order: output is shown in its turn anyway."""


def is_wide(place: Place) -> bool:
    """Whether a write of this place may matter to a task whose effects do not name it."""
    match place:
        case Hidden(name=name):
            return not any(name == known or name.startswith(known + ".") for known in NARROW)
        case World(kind=kind):
            return kind in ("anything", "thread")
        case Object() | Variable() | File():
            return False


def _is_attribute(place: Place, modules: frozenset[str]) -> bool:
    """Whether a variable is no module's global: an attribute of a class or function, or a captured name. Not every
    reader of those names them."""
    return isinstance(place, Variable) and place.scope not in modules and not place.scope.startswith("<")


@frozen
class Dependence:
    """``source`` comes before the task at hand because of ``place``. ``flow``: it wrote what that task reads."""

    source: int
    flow: bool
    place: Place
    why: tuple[Reason, ...]
    assumed: bool


@define
class _State:
    writer: int = -1
    write: Effect | None = None
    readers: list[tuple[int, Effect]] = field(factory=list)


class Ledger:
    """What tasks, told one after another in program order, did to places."""

    def __init__(self, modules: frozenset[str] = frozenset()) -> None:
        self._modules = modules
        self._places: dict[Place, _State] = {}
        self._folders: dict[str, set[File]] = {}
        self._hidden: set[Hidden] = set()
        self._files: set[File] = set()
        self._odd: set[File] = set()
        self._exact: dict[str, set[File]] = {}
        self.wide: int = -1
        self.wide_effect: Effect | None = None
        self._moved = False
        self._loose: list[tuple[int, Effect]] = []  # what unknown code must come after

    def dependences(self, effects: Iterable[Effect]) -> Iterator[Dependence]:
        """What a task with these effects depends on, as far as told. Wide writes are apart: see ``wide``."""
        for effect in _with_implied(effects):
            if isinstance(effect.place, World) and effect.place.kind in FREE:
                continue
            for place in self._overlapping(effect.place):
                state = self._places[place]
                if state.write is not None:
                    yield _dependence(state.writer, state.write, effect, effect.mode == "read")
                if effect.mode == "write":
                    for reader, read in state.readers:
                        yield _dependence(reader, read, effect, False)
            if effect.mode == "write" and isinstance(effect.place, World) and is_wide(effect.place):
                for source, earlier in self._loose:
                    yield _dependence(source, earlier, effect, False)

    def record(self, task: int, effects: Iterable[Effect]) -> None:
        """Note what a task did; reads before writes."""
        ordered = sorted(_with_implied(effects), key=lambda effect: effect.mode)
        for effect in ordered:
            place = effect.place
            if isinstance(place, World) and place.kind in FREE:
                continue
            state = self._places.get(place)
            if state is None:
                state = self._places[place] = _State()
                self._register(place)
            if effect.mode == "read":
                state.readers.append((task, effect))
            else:
                state.writer, state.write = task, effect
                state.readers = []
            if not self._loose or self._loose[-1][0] != task:
                self._loose.append((task, effect))
        for effect in ordered:
            if effect.mode == "write" and self._is_wide(effect.place):
                self.wide, self.wide_effect = task, effect
                if isinstance(effect.place, World):
                    self._loose = []
                if effect.place == Hidden("cwd"):
                    self._moved = True

    def _is_wide(self, place: Place) -> bool:
        return is_wide(place) or _is_attribute(place, self._modules)

    def last_write(self, place: Place) -> int:
        """The last task that wrote a place overlapping this one, -1 if none."""
        return max((self._places[p].writer for p in self._overlapping(place)), default=-1)

    def _register(self, place: Place) -> None:
        match place:
            case Hidden():
                self._hidden.add(place)
            case File(path=path):
                self._files.add(place)
                if path is None or _is_odd(path):
                    self._odd.add(place)
                else:
                    self._exact.setdefault(_normal(path), set()).add(place)
                    for folder in _ancestors(_normal(path)):
                        self._folders.setdefault(folder, set()).add(place)
            case _:
                pass

    def _overlapping(self, place: Place) -> Iterable[Place]:
        match place:
            case Hidden(name=name):
                return sorted(p for p in self._hidden if _nested(p.name, name) or _nested(name, p.name))
            case File(path=path):
                return sorted(self._files_near(path), key=str)
            case _:
                return (place,) if place in self._places else ()

    def _files_near(self, path: str | None) -> set[File]:
        """Files that may be the one of this path, be within it, or contain it."""
        if path is None or self._moved or _is_odd(path):
            return self._files
        normal = _normal(path)
        found = self._odd | self._folders.get(normal, set())
        for above in _ancestors(normal):
            found |= self._exact.get(above, set())
        return found


def _is_odd(path: str) -> bool:
    """Whether a path cannot be compared by its text: a part of it is not known, or it may leave the working folder."""
    return "{" in path or ".." in path or posixpath.isabs(path) or "~" in path or "*" in path


def _with_implied(effects: Iterable[Effect]) -> Iterator[Effect]:
    """Effects, and what they imply: another process may read and write any file."""
    for effect in effects:
        yield effect
        if isinstance(effect.place, World) and effect.place.kind == "process":
            yield Effect("read", File(None), effect.reason, effect.assumed)
            yield Effect("write", File(None), effect.reason, effect.assumed)


def _nested(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer + ".")


def _normal(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))


def _ancestors(normal: str) -> Iterator[str]:
    """The path itself, and every folder above it."""
    yield normal
    while "/" in normal.strip("/"):
        normal = posixpath.dirname(normal)
        yield normal
    yield "/" if normal.startswith("/") else "."


def _dependence(source: int, earlier: Effect, later: Effect, flow: bool) -> Dependence:
    why = (later.reason, earlier.reason) if later.reason != earlier.reason else (later.reason,)
    return Dependence(source, flow, later.place, why, earlier.assumed or later.assumed)
