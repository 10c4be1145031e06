"""Is what a helper's items read what it is at home, when home comes to where it would use their results?

The analysis has proved that nothing at home changes what helpers run ahead of a frame (see ``frames_sharing``). Where
its proof is wrong (somebody went through ``__dict__``, a view, the collector), the objects tell: helper and home are
copies of one process, so the helper sends digests of what its items could read, taken before it runs any, and home
takes the same where it comes to each unit of them.

    with open(name) as file:           the stage begins: forked
        a = f(table)                   home runs this itself
        view["k"].append(2)            nobody knows that this changes ``other``
        b = g(other)                   the helper's digest of ``other`` is another: dropped, and run at home

What it *tells* about a batch: the names of the driver's function (``names``: digests by name), the roots that the code
could read beside (``roots``, see ``proof``), the hidden states, and for ``each`` item what its own names are. What
earlier units of the same item have left is home's own copy: that is looked at when it is taken over, and when it is
read.

What cannot change but by being replaced is compared by identity, in next to no time (``firm``). Where to look at the
rest takes half as long as to run a turn, the loop is left to home. Only the hidden states, of loops of short turns, are
compared just as often as can be afforded.
"""

from __future__ import annotations

import itertools
import sys
import time
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from inferflow.worker.exact_graph import ATOMS, UNSET
from inferflow.worker.frames_items import is_plain, part_of
from inferflow.worker.hidden_state import HiddenState
from inferflow.worker.locals_of import locals_of
from inferflow.worker.proof import HiddenDigests, Root, Scopes, every_root, glance, named, root_digest, stored

if TYPE_CHECKING:
    from inferflow.worker.frames_sharing import AnyFrame
    from inferflow.worker.home import Home
    from inferflow.worker.transform_regions import RegionUnit, Table

__all__ = ["Basis", "Comparison", "Testimony", "Told"]

FUNCTION = "<function>"
"""Stands among names for what ``map`` calls."""
COSTLY = 0.5
"""What to compare may take of the time that an item took elsewhere."""
LOOKS = 5
"""So many times it is measured before that is judged (by the shortest: any may have been interrupted)."""
SELDOM = 0.03
"""What to compare hidden states may take of the time that items took, unless it takes a tenth of the present one's."""
_MANY = 1000
_DRAWING = frozenset({"matplotlib.pyplot", "options of matplotlib"})
"""What those who draw change, in an order that the analysis knows."""
_NOTHING = compile("", "<nothing>", "exec")


class Testimony:
    """In a helper: what it tells of the state that its items read."""

    def __init__(self, home: Home, frame: AnyFrame) -> None:
        self.home = home
        self.frame = frame
        self.own = home.project_modules()
        self.scopes = Scopes(self.own)
        self.kinds: dict[int, Any] = {}
        self.values = values_of(frame)
        self.names = {name: glance([value], self.own) for name, value in self.values.items()}
        self.hidden = HiddenDigests().of(HiddenState().facts())
        self.roots: dict[int, dict[Root, str]] = {}
        self.messages: dict[int, dict[str, Any]] = {}

    def told(self, key: int, code: types.CodeType, space: dict[str, Any], items: Iterable[Any]) -> dict[str, Any]:
        """What code (number ``key`` of this frame) reads that is given these items, before any of them is run."""
        new = list(self._new(items))
        if new or key not in self.messages:
            module = next((name for name in self.own if vars(sys.modules[name]) is space), "")
            self.roots[key], own, childless = self._roots(code, space, module)
            found: dict[str, dict[str, str]] = {}
            for (place, name), digest in self.roots[key].items():
                found.setdefault(place, {})[name] = digest
            self.messages[key] = {
                "names": self.names, "roots": found, "hidden": self.hidden, "module": module, "own": own,
                "childless": childless,
            }  # fmt: skip
        return self.messages[key]

    def _new(self, items: Iterable[Any]) -> Iterator[Any]:
        """Code that items bring along, which was not known before."""
        for item in items:
            for part in item if type(item) in (tuple, list) and len(item) < _MANY else (item,):
                one = part if isinstance(part, (type, types.FunctionType)) else type(part)
                if id(one) not in self.kinds and len(self.kinds) < _MANY:
                    self.kinds[id(one)] = part
                    yield part

    def _roots(
        self, code: types.CodeType, space: dict[str, Any], module: str
    ) -> tuple[dict[Root, str], list[str], bool]:
        """What the code could read of the modules, but for what it binds itself; those names of its own module that it
        names itself, and nothing that it calls; and whether it could start processes."""
        from inferflow.worker.testify import rebound

        given = [*self.values.values(), *self.kinds.values()]
        scope = self.scopes.of(code, space, given)
        mine = {(module, name) for name in stored(code)}
        later = rebound(self.home, self.home.program.tree()) if scope.everything else frozenset()
        held = {
            root
            for root in every_root(self.own)
            if scope.holds(root)
            and (root in scope.roots or root[0] != module or root[1].partition(".")[0] not in later)
        }
        called = self.scopes.of(_NOTHING, space, [*given, *(space[name] for name in named(code) if name in space)])
        own = [name for name in named(code) if (module, name) not in called.roots]
        roots = {root: root_digest(root, self.own) for root in (held | scope.roots) - mine}
        return roots, own, scope.is_childless(scope.packages())

    def given(self, values: Iterable[tuple[str, Any]]) -> dict[str, str]:
        """What an item gives to these names, as far as it can change."""
        return {name: glance([value], self.own) for name, value in values if not is_plain(value)}

    def changed(self) -> str:
        """What is not any more as it was told, in words; empty if all is."""
        for roots in self.roots.values():
            for root, digest in roots.items():
                if root_digest(root, self.own) != digest:
                    return f"it changed {'.'.join(root)} behind the analysis"
        for name, value in self.values.items():
            if glance([value], self.own) != self.names[name]:
                return "it changed one of its inputs in place"
        return ""


class Told:
    """What helpers of a frame have told, at home, and what of it is firm."""

    __slots__ = ("childless", "firm", "hidden", "message", "module", "names", "own", "roots")

    def __init__(self, message: dict[str, Any]) -> None:
        self.message = message
        self.names: dict[str, str] = message["names"]
        self.roots: list[tuple[str, str, str]] = [
            (module, name, digest) for module, names in message["roots"].items() for name, digest in names.items()
        ]
        self.hidden: dict[str, str] = message["hidden"]
        self.module: str = message["module"]
        self.own = frozenset(message["own"])
        self.childless: bool = message["childless"]
        self.firm: dict[int, _Sorted] = {}
        """By unit, once all was found to be so."""


class _Sorted(NamedTuple):
    """What one unit reads. ``firm``: what cannot change but by being replaced: where it stands, under which name, what
    it is, and what it consists of (see ``_made_of``)."""

    firm: list[tuple[Mapping[str, Any], str, Any, Any]]
    roots: list[tuple[str, str, str]]
    names: list[str]

    def holds(self) -> bool:
        """Whether all that is firm is what it was."""
        for space, name, value, made_of in self.firm:
            if space.get(name, UNSET) is not value or (made_of is not None and _made_of(value) != made_of):
                return False
        return True


class Basis:
    """What the results of one item stand on: what was told of its code, and of what the item gives to its names
    (``given``). ``seconds`` are what it took. ``left``: by name, what its units have left at home that later ones read,
    or the arguments of a coroutine. ``counted``: it is told as one that ran ahead."""

    __slots__ = ("counted", "frame", "given", "index", "left", "seconds", "told")

    def __init__(self, frame: AnyFrame, index: int, seconds: float, given: dict[str, str]) -> None:
        self.frame = frame
        self.index = index
        self.told = frame.reading[frame.key(index)]
        self.seconds = seconds
        self.given = given
        self.left: dict[str, tuple[Any, str]] = {}
        self.counted = True


class Comparison:
    """At home: compares. ``always``: whatever it costs. ``costly``: the loops for which it has cost too much."""

    def __init__(self, home: Home, always: bool) -> None:
        self.home = home
        self.always = always
        self.costly: set[int] = set()
        self.reads: dict[int, tuple[str, ...]] = {}
        self.mates: dict[int, list[RegionUnit]] = {}
        self.known: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self.digests = HiddenDigests()
        self.state: HiddenState | None = None
        self.seconds = [0.0, 0.0, 0.0]
        """What it took last to look at the hidden states, all in all, and the items so far."""

    def begin(self, table: Table) -> None:
        """The plan is there; which names the units read is known when the hooks have been put in."""
        self.reads = table.reads
        for place in table.places.values():
            inside = [unit for stage in place.stages for group in stage.groups for unit in group]
            turn = [*place.units, *(unit for found in place.arms.values() for unit in found)]
            for units in (turn, inside, list(place.apart)):
                for unit in units:
                    self.mates.setdefault(unit.unit, []).extend(units)

    def _around(self, unit: int) -> tuple[frozenset[str], frozenset[str]]:
        """The names that units read which are run together with this one; and those that later ones read."""
        found = self.known.get(unit)
        if found is None:
            mates = [mate.unit for mate in self.mates.get(unit, ())]
            later = mates[mates.index(unit) + 1 :] if unit in mates else []
            found = self.known[unit] = self._read_by(mates), self._read_by(later)
        return found

    def _read_by(self, units: list[int]) -> frozenset[str]:
        return frozenset(name for unit in units for name in self.reads.get(unit, ()))

    def left(self, basis: Basis, unit: int, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        """A unit's result is taken over at home: these values under these names."""
        later = self._around(unit)[1]
        for name in [name for name in basis.left if name not in later]:
            del basis.left[name]  # (the driver may let go of it now)
        for name, value in zip(names, values):
            if name in later and not is_plain(value):
                basis.left[name] = value, glance([value], self.home.project_modules())

    def given(self, basis: Basis, unit: int, caller: Any) -> None:
        """A coroutine, which runs in this frame of the interpreter, comes to a unit that may read its arguments."""
        if basis.given:
            now = locals_of(caller)
            before = itertools.takewhile(lambda mate: mate.unit != unit, self.mates.get(unit, ()))
            bound = {name for mate in before for name in (*mate.names, *mate.maybe)}
            for name, digest in basis.given.items():
                if name not in bound and name in self.reads.get(unit, ()):
                    basis.left[name] = now.get(name, UNSET), digest

    def contradiction(self, basis: Basis, unit: int) -> str:
        """What is not as it was told of a unit, in words; empty if nothing."""
        frame, known = basis.frame, basis.told.firm.get(unit)
        if known is not None and not known.holds():
            known = None
        why = ""
        if known is None or known.roots or known.names or basis.left or basis.given:
            begun = time.perf_counter()
            why = self._values(basis, unit, known)
            if not why and known is not None and not frame.apart and not self.always:
                why = self._too_long(basis, time.perf_counter() - begun)
        return why or self._state(basis)

    def _too_long(self, basis: Basis, seconds: float) -> str:
        """Whether comparing takes too long, which was done once more in so many seconds."""
        frame = basis.frame
        frame.looks += 1
        frame.looking = min(seconds, frame.looking or seconds)
        if frame.looks < LOOKS or frame.looking <= COSTLY * basis.seconds:
            return ""
        self.costly.add(frame.place.region)
        return "to see whether anything has changed that they read takes as long as to run them"

    def _state(self, basis: Basis) -> str:
        last, spent, gained = self.seconds
        self.seconds[2] = gained = gained + basis.seconds
        often = basis.frame.apart or self.always or last <= 0.1 * basis.seconds
        if not often and spent + last > SELDOM * gained:
            return ""
        begun = time.perf_counter()
        if self.state is None:
            self.state = HiddenState()
        facts = self.state.facts()
        now = self.digests.of(facts)
        self.seconds[0] = time.perf_counter() - begun
        self.seconds[1] += self.seconds[0]
        told, moment = basis.told, basis.frame.moment
        assert moment is not None
        for name, digest in told.hidden.items():
            if name in _DRAWING or now.get(name, digest) == digest:
                continue
            if (name == "os.environ" and not told.childless) or not moment.only_imported(name, facts):
                return f"{name} had been changed"
        return ""

    def _values(self, basis: Basis, unit: int, known: _Sorted | None) -> str:
        own = self.home.project_modules()
        told, reads = basis.told, self.reads.get(unit, ())
        values = values_of(basis.frame)
        if known is None:
            others = self._around(unit)[0].difference(reads)
            roots = [
                root
                for root in told.roots
                if root[0] != told.module or root[1] not in told.own or root[1] not in others
            ]
            names = [name for name in told.names if name not in others]
        else:
            roots, names = known.roots, known.names
        for module, name, digest in roots:
            if root_digest((module, name), own) != digest:
                return f"{module}.{name} had been changed behind the analysis"
        for name in names:
            if name not in values or glance([values[name]], own) != told.names[name]:
                what = "what the function holds" if name == FUNCTION else repr(name)
                return f"{what} had been changed behind the analysis"
        for name in basis.given if basis.frame.targets else ():
            if name in reads or not name.isidentifier():  # (of ``map``, all arguments are read)
                value = part_of(basis.frame.items[basis.index], basis.frame.targets[name])
                if glance([value], own) != basis.given[name]:
                    return "an item had been changed behind the analysis"
        for name in basis.left:
            if name in reads and glance([basis.left[name][0]], own) != basis.left[name][1]:
                return f"{name!r} had been changed behind the analysis"
        if known is None:
            told.firm[unit] = _sort(roots, names, values, own)
        return ""


def values_of(frame: AnyFrame) -> dict[str, Any]:
    """What is the same for all items of a frame, by name."""
    function = getattr(frame, "function", None)
    return frame.locals if function is None else {**frame.locals, FUNCTION: function}


def _sort(roots: list[tuple[str, str, str]], names: list[str], values: dict[str, Any], own: frozenset[str]) -> _Sorted:
    """What of this is firm."""
    found = _Sorted([], [], [])
    for root in roots:
        module, (name, _, part) = sys.modules.get(root[0]), root[1].partition(".")
        space: Mapping[str, Any] = {} if module is None else vars(module)
        value = space.get(name, UNSET)
        if part and isinstance(value, type):
            space, name, value = vars(value), part, vars(value).get(part, UNSET)
        if root[0] not in own:
            found.firm.append((space, name, value, None))
        elif _is_firm(value):
            found.firm.append((space, name, value, _made_of(value)))
        else:
            found.roots.append(root)
    for name in names:
        if _is_firm(values[name]) and not isinstance(values[name], type):
            found.firm.append((values, name, values[name], _made_of(values[name])))
        else:
            found.names.append(name)
    return found


def _is_firm(value: Any) -> bool:
    """Whether ``_made_of`` tells all that can change about it."""
    kind = type(value)
    if kind is types.FunctionType:
        return not (value.__closure__ or value.__dict__ or value.__kwdefaults__) and all(
            type(part) in ATOMS for part in value.__defaults__ or ()
        )
    if isinstance(value, type):  # (what it has for attributes are roots of their own)
        return "_abc_impl" not in vars(value)
    return kind in ATOMS or kind is types.ModuleType or value is UNSET


def _made_of(value: Any) -> Any:
    """What can be replaced within something firm."""
    if type(value) is types.FunctionType:
        return value.__code__, value.__defaults__, value.__kwdefaults__, len(value.__dict__)
    return value.__mro__ if isinstance(value, type) else None
