"""Reading the notation of the data files (``data/*.effects``; ``docs/catalogue.md`` describes it for authors).

One entry is one line: what it is, its name, parameters, results, clauses.

    def sort(a, axis=, *, stable=) -> ndarray
    def shuffle(x) -> None ; mutates x ; draws numpy.random
    attr T -> view(self) ndarray

:func:`index` cuts a file into entries without reading them; one is read (``read_signature``, ``read_value``,
``read_type``) when it is asked for. A line that does not follow the notation raises :class:`Malformed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, cast, get_args

from inferflow.analysis.catalogue.conditions import ABSENT, Check, CheckKind, Condition
from inferflow.analysis.catalogue.entries import (
    NO_TYPE,
    AttrInfo,
    Callback,
    FileAct,
    FileUse,
    HiddenState,
    HiddenUse,
    Keep,
    Link,
    Mutation,
    Parameter,
    ParameterKind,
    Relation,
    Result,
    Signature,
    TypeInfo,
    TypeRef,
    WorldUse,
)
from inferflow.records import evolve, field, frozen


class Malformed(ValueError):
    """A line of a data file is not in the notation."""


class Entry(NamedTuple):
    """A line not yet read: its first word (``kind``), what follows the name (``rest``), and for the members of a class
    its qualified name (``owner``). A named tuple, since thousands are made at once."""

    kind: str
    rest: str
    owner: str = ""


@frozen
class Index:
    """A data file, cut into entries by qualified name. Several entries of one name differ in ``since`` / ``until``."""

    entries: Mapping[str, tuple[Entry, ...]]
    aliases: Mapping[str, str] = field(factory=dict)
    modules: frozenset[str] = frozenset()
    shorts: Mapping[str, str] = field(factory=dict)
    package: str = ""
    """The distribution whose version ``since`` and ``until`` speak of; empty for Python itself."""


_HEAD = re.compile(r"([A-Za-z_][\w.]*|\*)\s*(.*)", re.DOTALL)


def index(text: str) -> Index:
    """Cut the text of a data file into entries."""
    entries: dict[str, tuple[Entry, ...]] = {}
    aliases: dict[str, str] = {}
    modules: list[str] = []
    shorts: dict[str, str] = {}
    package = module = owner = ""
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        kind, _, rest = line.strip().partition(" ")
        if line[0] == " ":
            name, tail = _named(line, rest) if kind[:3] != "new" else ("__init__", line.strip()[3:].strip())
            kind = "new" if name == "__init__" else kind
            full, entry = f"{owner}.{name}", Entry(kind, tail, owner)
            entries[full] = (*entries[full], entry) if full in entries else (entry,)
        elif kind == "module":
            module = rest
            modules.append(rest)
        elif kind == "package":
            package = rest
        elif kind == "alias":
            new, _, old = rest.partition(" = ")
            aliases[f"{module}.{new.strip()}"] = old.strip()
        elif kind == "short":
            new, _, old = rest.partition(" = ")
            shorts[new.strip()] = old.strip()
        else:
            name, tail = _named(line, rest)
            name = f"{module}.{name}"
            if kind == "class":
                owner = name
            entry = Entry(kind, tail)
            entries[name] = (*entries[name], entry) if name in entries else (entry,)
    return Index(entries, aliases, frozenset(modules), shorts, package)


def _named(line: str, rest: str) -> tuple[str, str]:
    found = _HEAD.match(rest)
    if found is None:
        raise Malformed(line)
    return found[1], found[2]


# -- the parts of an entry ---------------------------------------------------------------------------

_RANGE = re.compile(r"\b(since|until) ([\d.]+)")


def version_range(rest: str) -> tuple[str | None, str | None]:
    """The versions (from, up to but not with) for which an entry holds."""
    bounds: dict[str, str] = {}
    for clause in rest.split(" ; ")[1:]:
        if found := _RANGE.fullmatch(clause.strip()):
            bounds[found[1]] = found[2]
    return bounds.get("since"), bounds.get("until")


_KINDS: dict[str, Literal["function", "class", "method", "classmethod", "staticmethod"]] = {
    "class": "class",
    "new": "class",
    "classmethod": "classmethod",
    "staticmethod": "staticmethod",
}


def read_signature(name: str, entry: Entry, shorts: Mapping[str, str]) -> Signature:
    """A ``def``, ``new``, ``classmethod`` or ``staticmethod`` line."""
    params, rest = read_params(entry.rest)
    head, *clauses = (part.strip() for part in rest.split(" ; "))
    kind = _KINDS.get(entry.kind, "method" if entry.owner else "function")
    results = tuple(_results(head, shorts, entry.owner))
    if kind == "class":
        name = entry.owner or name
        results = tuple(
            evolve(r, type=TypeRef(name)) if r.type is NO_TYPE else r for r in results or (Result(type=TypeRef(name)),)
        )
    signature = Signature(name, kind, params, results)
    for clause in filter(None, clauses):
        signature = _clause(signature, clause, shorts)
    return signature


def read_value(name: str, entry: Entry, shorts: Mapping[str, str]) -> AttrInfo:
    """An ``attr`` or ``const`` line."""
    head, *clauses = (part.strip() for part in entry.rest.split(" ; "))
    result = next(_results(head, shorts, entry.owner), Result())
    state = ""
    facts = Signature(name)
    for clause in filter(None, clauses):
        if clause.startswith("is "):
            state = clause[3:]
        else:
            facts = _clause(facts, clause, shorts)
    return AttrInfo(name, result.type, result.links, state, facts.hidden, facts.files, facts.world)


def read_type(name: str, entry: Entry, shorts: Mapping[str, str]) -> TypeInfo:
    """A ``class`` line: ``class NAME(base, base) flag flag``."""
    rest = entry.rest.split(" ; ")[0]
    bases: tuple[str, ...] = ()
    if rest.startswith("("):
        inside, _, rest = rest[1:].partition(")")
        bases = tuple(qualify(b.strip(), shorts) for b in inside.split(",") if b.strip())
    flags = rest.split()
    if unknown := set(flags) - {"immutable", "iterator", "container", "cells"}:
        raise Malformed(f"{name}: unknown flags {sorted(unknown)}")
    return TypeInfo(name, bases, *(flag in flags for flag in ("immutable", "iterator", "container", "cells")))


def read_params(text: str) -> tuple[tuple[Parameter, ...], str]:
    """``(a, b=, /, *rest, k=, **more) tail``: the parameters, and the tail."""
    if not text.startswith("("):
        return (), text
    inside, _, tail = text[1:].partition(")")
    params: list[Parameter] = []
    kind: ParameterKind = "either"
    for word in inside.split(","):
        word = word.strip()
        if not word:
            continue
        if word == "/":
            params = [evolve(p, kind="positional") for p in params]
        elif word == "*":
            kind = "keyword"
        elif word.startswith("**"):
            params.append(Parameter(word[2:], "var_keyword", False))
        elif word.startswith("*"):
            params.append(Parameter(word[1:], "var_positional", False))
            kind = "keyword"
        else:
            params.append(Parameter(word.removesuffix("="), kind, not word.endswith("=")))
    return tuple(params), tail.strip()


# -- results -----------------------------------------------------------------------------------------

_LINK = re.compile(r"(same|view|contains|elements|element|unknown)\(([^)]*)\)\s*")


def _results(text: str, shorts: Mapping[str, str], owner: str) -> Iterator[Result]:
    for part in text.split("->")[1:]:
        words, when = _conditional(part.strip())
        links: list[Link] = []
        while found := _LINK.match(words):
            links += (Link(cast(Relation, found[1]), p.strip()) for p in found[2].split(","))
            words = words[found.end() :]
        words = words.strip()
        if words == "unknown":
            links, words = [Link("unknown", "")], ""
        type_ = read_typeref(words, shorts) if words and words != "fresh" else NO_TYPE
        if type_ is NO_TYPE and len(links) == 1 and links[0].relation == "same":
            type_ = TypeRef("type", of=links[0].param)
        yield Result(tuple(links), type_, when)


def read_typeref(text: str, shorts: Mapping[str, str]) -> TypeRef:
    """``ndarray``, ``list[str]``, ``int|None``, ``type(x)``."""
    alternatives = _split(text, "|")
    if len(alternatives) > 1:
        return TypeRef("|", tuple(read_typeref(a, shorts) for a in alternatives))
    text = text.strip()
    if text.startswith("type("):
        return TypeRef("type", of=text[5:-1])
    if text.endswith("]"):
        name, _, inside = text[:-1].partition("[")
        return TypeRef(qualify(name, shorts), tuple(read_typeref(i, shorts) for i in _split(inside, ",")))
    if text == "any":
        return NO_TYPE
    return TypeRef(qualify(text, shorts))


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside of brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        if char in "[(":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def qualify(name: str, shorts: Mapping[str, str]) -> str:
    """The qualified name of a type: abbreviations of the file, then names with dots, then builtins."""
    if name in shorts:
        return shorts[name]
    if not re.fullmatch(r"[\w.]+", name):
        raise Malformed(f"not a type: {name!r}")
    if name == "None":
        return "builtins.NoneType"
    return name if "." in name else f"builtins.{name}"


# -- conditions --------------------------------------------------------------------------------------

_TEST = re.compile(
    r"(not )?(?:(given|true|false|mentions|plain|text|number|slice)\(([\w.]+)(?:, (\S+))?\)|([\w.]+) in (\S+))"
)
_CONSTANTS: dict[str, object] = {"True": True, "False": False, "None": None, "absent": ABSENT}


def _conditional(text: str) -> tuple[str, Condition]:
    words, _, condition = text.partition(" if ")
    if text.startswith("if "):
        words, condition = "", text[3:]
    return words, read_condition(condition) if condition else ()


def read_condition(text: str) -> Condition:
    """``given(a) and not true(b) and kind in x|y|absent``."""
    tests = []
    for part in text.split(" and "):
        found = _TEST.fullmatch(part.strip())
        if found is None:
            raise Malformed(f"not a condition: {part!r}")
        negated, kind, param, mentioned, tested, values = found.groups()
        if tested:
            tests.append(Check("among", tested, tuple(_constant(v) for v in values.split("|")), bool(negated)))
        else:
            tests.append(Check(cast(CheckKind, kind), param, (mentioned,) if mentioned else (), bool(negated)))
    return tuple(tests)


def _constant(word: str) -> object:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    return int(word) if re.fullmatch(r"-?\d+", word) else word


# -- clauses -----------------------------------------------------------------------------------------

_CALLS = re.compile(r"([\w.]+)(?:\(([^)]*)\))?((?: later| gives)*)")


def _clause(s: Signature, clause: str, shorts: Mapping[str, str]) -> Signature:
    text, when = _conditional(clause)
    verb, _, rest = text.partition(" ")
    words = rest.replace(",", " ").split()
    match verb:
        case "mutates":
            deep = words[-1:] != ["only"]
            return evolve(s, mutates=s.mutates + tuple(Mutation(w, when, deep) for w in words if deep or w != "only"))
        case "keeps":
            return evolve(s, keeps=s.keeps + tuple(_keeps(words, when)))
        case "consumes":
            return evolve(s, consumes=s.consumes + tuple(words))
        case "calls":
            return evolve(s, calls=(*s.calls, _calls(rest, when)))
        case "reads" | "writes" | "draws":
            modes: tuple[Literal["read", "write"], ...]
            modes = {"reads": ("read",), "writes": ("write",), "draws": ("read", "write")}[verb]  # type: ignore[assignment]
            return evolve(s, hidden=s.hidden + tuple(HiddenUse(m, w, when) for w in words for m in modes))
        case "file":
            return evolve(s, files=(*s.files, _file(words, when)))
        case "world":
            return evolve(s, world=s.world + tuple(WorldUse(w, when) for w in words))
        case "cheap" if not words:
            return evolve(s, cheap=True)
        case "irrevocable" if not words:
            return evolve(s, irrevocable=True)
        case "unknown" if not words:
            return evolve(s, known=False)
        case "since" | "until":
            return s
        case _:
            raise Malformed(f"{s.name}: unknown clause {clause!r}")


def _keeps(words: list[str], when: Condition) -> Iterator[Keep]:
    """``keeps a``, ``keeps *a in b`` (its elements), ``keeps &a`` (a view of it)."""
    into = "self"
    if "in" in words:
        into = words[words.index("in") + 1]
        words = words[: words.index("in")]
    for word in words:
        relation: Literal["contains", "elements", "view"]
        relation = "elements" if word[0] == "*" else "view" if word[0] == "&" else "contains"
        yield Keep(word.lstrip("*&"), into, relation, when)


def _file(words: list[str], when: Condition) -> FileUse:
    """``file read path``, ``file open path mode``, ``file write path + .npy``."""
    words, plus = (words[: words.index("+")], words[words.index("+") + 1]) if "+" in words else (words, "")
    act, param, mode = (*words, "", "")[:3]
    if act not in get_args(FileAct):
        raise Malformed(f"not a file act: {act!r}")
    return FileUse(cast(FileAct, act), param, mode, when, plus)


def _calls(text: str, when: Condition) -> Callback:
    """``calls f``, ``calls f(element xs, self) gives``: the arguments are links, ``same`` where no relation is said."""
    found = _CALLS.fullmatch(text)
    if found is None:
        raise Malformed(f"not a callback: {text!r}")
    links = []
    for part in (found[2] or "").split(","):
        if words := part.split():
            relation, param = words if len(words) == 2 else ("same", words[0])
            links.append(Link(cast(Relation, relation), param))
    return Callback(found[1], tuple(links), " later" in found[3], " gives" in found[3], when)


def read_hidden(text: str) -> Iterator[HiddenState]:
    """The table of hidden states: ``NAME ; what it is ; state|config``, one a line."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, what, kind = (part.strip() for part in line.split(" ; "))
            if kind not in ("state", "config"):
                raise Malformed(line)
            yield HiddenState(name, what, kind == "config")
