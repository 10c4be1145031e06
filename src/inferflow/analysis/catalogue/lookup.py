"""Looking names up: :class:`Catalogue`, which reads a library's data file when a name of it is first asked for.

    >>> catalogue = load_catalogue()
    >>> catalogue.function("numpy.ravel").results[0].links
    (Link(relation='view', param='a'),)
    >>> catalogue.method("pandas.DataFrame", "dropna").mutates
    (Mutation(param='self', when=(Check(kind='true', param='inplace', values=(), negated=False),)),)

The file of a library is ``data/<top-level name>.effects``; a plugin folder may hold more of them, and its entries win.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from inferflow.analysis.catalogue.conditions import Arguments, applies
from inferflow.analysis.catalogue.entries import (
    AttrInfo,
    FileAct,
    HiddenState,
    Parameter,
    Result,
    Signature,
    TypeInfo,
)
from inferflow.analysis.catalogue.notation import (
    Entry,
    Index,
    index,
    read_hidden,
    read_signature,
    read_type,
    read_value,
    version_range,
)
from inferflow.records import field, frozen

T = TypeVar("T")


@frozen(eq=False)
class Library:
    """The entries of one top-level library, read one by one on demand (kept in ``read``)."""

    index: Index
    read: dict[tuple[str, str], object] = field(factory=dict, repr=False)

    def entry(self, name: str) -> Entry | None:
        """The line of a name that holds for the installed version."""
        candidates = self.index.entries.get(name, ())
        if len(candidates) == 1 and "since " not in candidates[0].rest and "until " not in candidates[0].rest:
            return candidates[0]
        version = _installed(self.index.package)
        return next((c for c in candidates if _in_range(c, version)), None)

    def once(self, kind: str, name: str, make: Callable[[], T]) -> T:
        """``make()``, once."""
        key = (kind, name)
        if key not in self.read:
            self.read[key] = make()
        return self.read[key]  # type: ignore[return-value]


@frozen
class Catalogue:
    """What is known about libraries. ``extra`` are folders with more data files."""

    extra: tuple[Path, ...] = ()

    def module(self, name: str) -> bool:
        """Whether ``name`` is a library module of which something is known."""
        for candidate in (name, self.canonical(name)):
            library = self._library(candidate)
            if library is not None and candidate in library.index.modules:
                return True
        return False

    def canonical(self, qualname: str) -> str:
        """The name under which the catalogue has it: ``np.random.mtrand.seed`` and the like resolved."""
        for _ in range(8):
            library = self._library(qualname)
            if library is None or qualname in library.index.entries:
                return qualname
            prefix, found = qualname, library.index.aliases.get(qualname)
            while found is None and "." in prefix:
                prefix = prefix.rpartition(".")[0]
                found = library.index.aliases.get(prefix)
            if found is None:
                return qualname
            qualname = found + qualname[len(prefix) :]
        return qualname

    def function(self, qualname: str) -> Signature | None:
        """A function by its qualified name (``builtins.len``, ``numpy.random.seed``), or a class as its constructor.
        A method reached through its class (``pandas.DataFrame.from_dict``, ``str.join``) is found too."""
        name = self.canonical(qualname)
        library = self._library(name)
        if library is None:
            return None
        entry = library.entry(name)
        if entry is None:
            owner, _, last = name.rpartition(".")
            return self.method(owner, last) if owner in library.index.entries else None
        if entry.kind == "class":
            return self._constructor(library, name)
        return None if entry.kind in ("attr", "const") else self._signature(library, name, entry)

    def type(self, qualname: str) -> TypeInfo | None:
        """A class by its qualified name."""
        name = self.canonical(qualname)
        library = self._library(name)
        entry = library.entry(name) if library is not None else None
        if library is None or entry is None or entry.kind != "class":
            return None
        return library.once("type", name, lambda: read_type(name, entry, library.index.shorts))

    def ancestry(self, type_name: str) -> Iterator[TypeInfo]:
        """A class and its bases, nearest first, as far as they are known."""
        seen: set[str] = set()
        queue = [type_name]
        while queue:
            info = self.type(queue.pop(0))
            if info is not None and info.name not in seen:
                seen.add(info.name)
                yield info
                queue[:0] = info.bases

    def method(self, type_name: str, name: str) -> Signature | None:
        """Method ``name`` of a class or of its bases (special methods too: ``__iadd__``)."""
        for library, full, entry in self._members(type_name, name):
            if entry.kind not in ("attr", "new"):
                return self._signature(library, full, entry)
        return None

    def attribute(self, type_name: str, name: str) -> AttrInfo | None:
        """Attribute or property ``name`` of instances of a class; of some, any other name is one too (``attr *``: the
        columns of a table)."""
        for wanted in (name, "*"):
            for library, full, entry in self._members(type_name, wanted):
                if entry.kind == "attr":
                    return library.once("value", full, lambda: read_value(full, entry, library.index.shorts))  # noqa: B023
            if self.method(type_name, name) is not None or name.startswith("__"):
                return None
        return None

    def constant(self, qualname: str) -> AttrInfo | None:
        """A global of a library module that is neither function nor class (``math.pi``, ``os.environ``)."""
        name = self.canonical(qualname)
        library = self._library(name)
        entry = library.entry(name) if library is not None else None
        if library is None or entry is None or entry.kind != "const":
            return None
        return library.once("value", name, lambda: read_value(name, entry, library.index.shorts))

    def methods_named(self, name: str, libraries: Iterable[str] = ()) -> tuple[Signature, ...]:
        """Every method ``name`` of any class of the builtins and of the given libraries (those that a program imports),
        for a receiver whose type is not known."""
        found: list[Signature] = []
        for top in dict.fromkeys(("builtins", *sorted(_tops(libraries)))):
            library = self._library(top)
            if library is None:
                continue
            for full in _by_last_name(library, name):
                entry = library.entry(full)
                if entry is not None and entry.owner and entry.kind not in ("attr", "new"):
                    found.append(self._signature(library, full, entry))
        return tuple(found)

    def is_plain(self, type_name: str, settings: Mapping[str, object]) -> bool:
        """Whether no method of an object does more than change the object itself, if it was made with ``settings`` (see
        ``Arguments``): draw from a global generator, change an argument, print, start processes. Known to be so of each
        of its parts, a pipeline is plain too: pass such a part as ``PLAIN``."""
        arguments = Arguments({}, settings=settings)
        for info in self.ancestry(type_name):
            library = self._library(info.name)
            for name in _members_of(library, info.name) if library is not None else ():
                signature = self.method(type_name, name)
                if signature is None or not signature.known:
                    return False
                whens = [use.when for use in signature.hidden] + [use.when for use in signature.world]
                whens += [use.when for use in signature.files]
                whens += [mutation.when for mutation in signature.mutates if mutation.param != "self"]
                if any(applies(when, arguments) is not False for when in whens):
                    return False
        return self.type(type_name) is not None

    def hidden(self, name: str) -> HiddenState | None:
        """What the hidden state of this name is."""
        return _hidden_states(self.extra).get(name)

    def hidden_states(self) -> tuple[HiddenState, ...]:
        """All hidden states that the catalogue knows."""
        return tuple(_hidden_states(self.extra).values())

    def entries(self, library: str) -> tuple[tuple[str, Entry], ...]:
        """Every name of a library with its line, for tools and tests."""
        found = self._library(library)
        return () if found is None else tuple((n, e) for n, es in found.index.entries.items() for e in es)

    # -- below the surface

    def _library(self, qualname: str) -> Library | None:
        return _load(qualname.partition(".")[0], self.extra)

    def _signature(self, library: Library, name: str, entry: Entry) -> Signature:
        return library.once("signature", name, lambda: read_signature(name, entry, library.index.shorts))

    def _constructor(self, library: Library, name: str) -> Signature:
        entry = library.entry(f"{name}.__init__") or Entry("new", "(*args, **kwargs) -> unknown ; unknown", name)
        return self._signature(library, f"{name}.__init__", entry)

    def _members(self, type_name: str, name: str) -> Iterator[tuple[Library, str, Entry]]:
        for info in self.ancestry(type_name):
            library = self._library(info.name)
            entry = library.entry(f"{info.name}.{name}") if library is not None else None
            if library is not None and entry is not None:
                yield library, f"{info.name}.{name}", entry


def load_catalogue(extra: Sequence[Path] = ()) -> Catalogue:
    """The catalogue that comes with inferflow, and the data files (``<library>.effects``, ``hidden.effects``) in the
    folders ``extra``. Costs nothing: a library's file is read when a name of it is first asked for."""
    return Catalogue(tuple(extra))


def bind(signature: Signature, positional: Sequence[T], keywords: Mapping[str, T]) -> dict[str, tuple[T, ...]]:
    """Arguments by parameter name. ``*args`` and ``**kwargs`` parameters collect what nothing else takes; arguments
    that fit no parameter at all are left out (the call would fail)."""
    bound: dict[str, tuple[T, ...]] = {}
    rest = list(positional)
    by_name = {p.name: p for p in signature.params}
    for param in signature.params:
        if param.kind in ("positional", "either") and rest:
            bound[param.name] = (rest.pop(0),)
        elif param.kind == "var_positional" and rest:
            bound[param.name] = tuple(rest)
            rest = []
    more = _kind_named(signature.params, "var_keyword")
    for name, value in keywords.items():
        known = by_name.get(name)
        if known is not None and known.kind in ("either", "keyword"):
            bound[name] = (value,)
        elif more:
            bound[more] = (*bound.get(more, ()), value)
    return bound


def possible_results(signature: Signature, arguments: Arguments) -> tuple[Result, ...]:
    """The results that a call may give: the first alternative that surely holds, and those before it that may."""
    possible = []
    for result in signature.results:
        answer = applies(result.when, arguments)
        if answer is not False:
            possible.append(result)
        if answer is True:
            break
    return tuple(possible)


def open_acts(mode: object) -> tuple[FileAct, ...]:
    """What ``open(file, mode)`` does with the file; ``mode`` that is no string: anything that it can."""
    if not isinstance(mode, str):
        return ("read", "write", "append")
    acts: list[FileAct] = []
    if "r" in mode or "+" in mode:
        acts.append("read")
    if "w" in mode or "x" in mode or "+" in mode:
        acts.append("write")
    if "a" in mode:
        acts.append("append")
    return tuple(acts) or ("read",)


# -- files --------------------------------------------------------------------------------------------


@cache
def _load(top: str, extra: tuple[Path, ...]) -> Library | None:
    texts = [t for t in (_shipped(top), *(_plugged(folder, top) for folder in extra)) if t is not None]
    if not texts or top == "hidden":
        return None
    merged = index(texts[0])
    for text in texts[1:]:
        more = index(text)
        merged = Index(
            {**merged.entries, **more.entries},
            {**merged.aliases, **more.aliases},
            merged.modules | more.modules,
            {**merged.shorts, **more.shorts},
            more.package or merged.package,
        )
    return Library(merged)


@cache
def _hidden_states(extra: tuple[Path, ...]) -> Mapping[str, HiddenState]:
    texts = (_shipped("hidden"), *(_plugged(folder, "hidden") for folder in extra))
    return {state.name: state for text in texts if text is not None for state in read_hidden(text)}


def _shipped(top: str) -> str | None:
    """The text of a data file of ours. Through the loader that brought this module, as ``importlib.resources`` does,
    whose import would cost more than all reading."""
    if not top.isidentifier() or __spec__ is None or not hasattr(__spec__.loader, "get_data"):
        return None
    try:
        data: bytes = __spec__.loader.get_data(str(Path(__file__).parent / "data" / f"{top}.effects"))  # type: ignore[union-attr]
    except OSError:
        return None
    return data.decode("utf-8")


def _plugged(folder: Path, top: str) -> str | None:
    try:
        return (folder / f"{top}.effects").read_text(encoding="utf-8") if top.isidentifier() else None
    except OSError:
        return None


@cache
def _installed(package: str) -> tuple[int, ...]:
    """The version of a distribution, from the name of its metadata folder (``importlib.metadata`` takes longer to
    import than everything here); empty if that is not known: the newest is assumed."""
    if not package:
        return sys.version_info[:3]
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.startswith(f"{package}-") and name.endswith(".dist-info"):
                return _numbers(name[len(package) + 1 : -len(".dist-info")])
    return ()


def _in_range(entry: Entry, version: tuple[int, ...]) -> bool:
    since, until = version_range(entry.rest)
    if not version:
        return until is None
    return (since is None or version >= _numbers(since)) and (until is None or version < _numbers(until))


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _kind_named(params: tuple[Parameter, ...], kind: str) -> str:
    return next((p.name for p in params if p.kind == kind), "")


def _tops(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _members_of(library: Library, type_name: str) -> tuple[str, ...]:
    """The methods of a class that have entries of their own."""

    def collect() -> Mapping[str, tuple[str, ...]]:
        table: dict[str, list[str]] = {}
        for full, entries in library.index.entries.items():
            if entries[0].owner and entries[0].kind not in ("attr", "new"):
                table.setdefault(entries[0].owner, []).append(full.rpartition(".")[2])
        return {owner: tuple(names) for owner, names in table.items()}

    return library.once("members", "", collect).get(type_name, ())


def _by_last_name(library: Library, name: str) -> tuple[str, ...]:
    def collect() -> Mapping[str, tuple[str, ...]]:
        table: dict[str, list[str]] = {}
        for full in library.index.entries:
            table.setdefault(full.rpartition(".")[2], []).append(full)
        return {last: tuple(fulls) for last, fulls in table.items()}

    return library.once("last names", "", collect).get(name, ())
