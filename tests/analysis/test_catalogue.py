"""The library catalogue: its notation, its lookups, and whether what it says is true of the installed libraries."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from inferflow.analysis import catalogue as package
from inferflow.analysis.catalogue import (
    SOMETHING,
    UNKNOWN,
    Arguments,
    Catalogue,
    Condition,
    Malformed,
    Signature,
    TypeRef,
    applies,
    bind,
    load_catalogue,
    lookup,
    open_acts,
    possible_results,
)
from inferflow.analysis.catalogue.notation import Entry, index, read_condition, read_signature, version_range

DATA = Path(package.__file__).parent / "data"
LIBRARIES = sorted(path.stem for path in DATA.glob("*.effects") if path.stem != "hidden")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


# -- the files as they stand ---------------------------------------------------------------------------


def signatures(catalogue: Catalogue, library: str) -> list[tuple[Entry, Signature]]:
    return [
        (entry, read_signature(name, entry, catalogue._library(library).index.shorts))
        for name, entry in catalogue.entries(library)
        if entry.kind in ("def", "new", "classmethod", "staticmethod")
    ]


def conditions(s: Signature) -> list[Condition]:
    groups = (s.results, s.mutates, s.keeps, s.calls, s.hidden, s.files, s.world)
    return [item.when for group in groups for item in group if item.when]


def parameters_named(s: Signature) -> set[str]:
    """Every parameter that the clauses of an entry speak of."""
    names = {link.param for result in s.results for link in result.links}
    names |= {m.param for m in s.mutates} | {k.param for k in s.keeps} | {k.into for k in s.keeps} | set(s.consumes)
    names |= {c.param for c in s.calls} | {link.param for c in s.calls for link in c.receives}
    names |= {f.param for f in s.files} | {f.mode for f in s.files}
    return names | {check.param for when in conditions(s) for check in when if not check.param.startswith("self.")}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_line_is_in_the_notation(catalogue: Catalogue, library: str) -> None:
    for name, entry in catalogue.entries(library):
        match entry.kind:
            case "def" | "new" | "classmethod" | "staticmethod":
                continue
            case "class":
                assert catalogue.type(name) or version_range(entry.rest) != (None, None)
            case "attr":
                assert catalogue.attribute(*name.rsplit(".", 1)) or version_range(entry.rest) != (None, None)
            case "const":
                assert catalogue.constant(name) or version_range(entry.rest) != (None, None)
            case other:
                pytest.fail(f"{name}: {other}")
    assert signatures(catalogue, library) is not None


@pytest.mark.parametrize("library", LIBRARIES)
def test_entries_speak_of_their_own_parameters(catalogue: Catalogue, library: str) -> None:
    wrong = []
    for entry, s in signatures(catalogue, library):
        known = {p.name for p in s.params} | {""} | ({"self"} if entry.owner else set())
        if not entry.rest.startswith("("):
            wrong.append(f"{s.name}: no parameters")
        wrong += [f"{s.name}: {name}" for name in sorted(parameters_named(s) - known)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", LIBRARIES)
def test_names_stand_once_for_each_version(catalogue: Catalogue, library: str) -> None:
    seen: dict[str, list[tuple[str | None, str | None]]] = {}
    for name, entry in catalogue.entries(library):
        seen.setdefault(name, []).append(version_range(entry.rest))
    # Two entries of one name must lie on two sides of one version.
    wrong = {n for n, ranges in seen.items() if len(ranges) > 1 and not apart(ranges)}
    assert wrong == set()


def apart(ranges: list[tuple[str | None, str | None]]) -> bool:
    (since1, until1), (since2, until2) = ranges[0], ranges[-1]
    return len(ranges) == 2 and ((until1 is not None and until1 == since2) or (until2 is not None and until2 == since1))


@pytest.mark.parametrize("library", LIBRARIES)
def test_hidden_states_types_and_bases_exist(catalogue: Catalogue, library: str) -> None:
    states = {state.name for state in catalogue.hidden_states()}
    wrong = []
    for _, s in signatures(catalogue, library):
        wrong += [f"{s.name}: state {use.state}" for use in s.hidden if use.state not in states]
        wrong += [f"{s.name}: type {t}" for result in s.results for t in unknown_types(catalogue, result.type)]
    for name, entry in catalogue.entries(library):
        if entry.kind == "const" and (value := catalogue.constant(name)):
            wrong += [f"{name}: state {value.state}"] if value.state and value.state not in states else []
            wrong += [f"{name}: type {t}" for t in unknown_types(catalogue, value.type)]
        elif entry.kind == "attr" and (value := catalogue.attribute(*name.rsplit(".", 1))):
            wrong += [f"{name}: type {t}" for t in unknown_types(catalogue, value.type)]
        elif entry.kind == "class" and (info := catalogue.type(name)):
            wrong += [f"{name}: base {base}" for base in info.bases if catalogue.type(base) is None]
    assert not wrong, "\n".join(wrong)


def unknown_types(catalogue: Catalogue, type_: TypeRef) -> list[str]:
    own = [] if type_.name in ("", "|", "type") or catalogue.type(type_.name) else [type_.name]
    return own + [t for item in type_.items for t in unknown_types(catalogue, item)]
