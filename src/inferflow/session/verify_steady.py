"""Which differences between native and inferred are inferflow's, and which native runs show among themselves.

    known = add(NativeRuns(), compare(native, another_native))       # as often as it takes
    parted(compare(native, inferred), known)
    ([differences that count], [those that native shows too])

A place that has been seen to vary between native runs explains a difference there, and only there. Where nothing but
numbers varies, the rest must still agree, and where these are but one or two, so must other numbers (the score in
``[score, seconds]``).

What follows from the order of a set of objects (their addresses, or the hash of ``None``) is spread over hundreds of
places, of which each run shows others. There the inferred run is held against the native ones as these are against each
other: if a single native run, too, stands alone at a place of the same kind (``states[3].next``, where all others
agree, as the inferred one does at ``states[8].next``), or several do in members of the same collection (``states``),
then so may the inferred one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from inferflow.records import evolve, field, frozen
from inferflow.session.verify_compare import WHOLE, Difference

__all__ = ["ALIKE", "NativeRuns", "Varying", "add", "parted"]

STREAMS = ("stdout", "stderr")
ALIKE = "places like it"
"""How a difference is excused where native runs have been seen to differ at other places of its kind only."""
FEW = 2
"""Words of a text: if more of them vary, all may."""
ENOUGH = 5
"""Native runs from which on it is looked whether single ones stand alone; among fewer, that is no wonder."""
_BLOCK = re.compile(r"\[\d+:\d+\]$")
_INDEX = re.compile(r"\[\d+(:\d+)?\]")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?([eE][-+]?\d+)?|\bnan\b|\binf\b)|\s+")
"""And spaces, which columns are filled up with."""
_LINE = re.compile(r"\bline (\d+)$")
_WORD = re.compile(r"[\w.+-]+")
_UNIT = r"\d\s*([mµun]?s|secs?|seconds?|minutes?|min)\b"
_TIMED = re.compile(rf"\b(times?|took|takes|elapsed|duration|runtime|wall|cpu)\b|{_UNIT}", re.IGNORECASE)
"""What makes a line one that tells a time."""


@frozen
class Varying:
    """What native runs show at one place. ``twin``: how one differs there from the first, if possible in more than
    numbers; ``runs``: which ones differ from the first; ``agree``: whether these show the same; ``words``: which words
    of the text vary, counted from 0, where these are a few numbers; ``None`` where anything may vary."""

    twin: Difference
    runs: frozenset[int]
    agree: bool
    words: frozenset[int] | None


@frozen
class NativeRuns:
    """What is known of native runs: how many there were besides the first, and the places, (row, place), at which they
    differ from it."""

    others: int = 0
    places: Mapping[tuple[str, str], Varying] = field(factory=dict)


def add(known: NativeRuns, found: Iterable[Difference]) -> NativeRuns:
    """With one more native run, of which ``found`` is what it shows otherwise than the first."""
    places = dict(known.places)
    run = frozenset({known.others + 1})
    for one in found:
        before = places.get((one.row, one.place))
        if before is None:
            places[one.row, one.place] = Varying(one, run, True, _unlike(one))
            continue
        twin = one if _only_numbers(before.twin.native, before.twin.inferred) else before.twin
        agree = before.agree and before.twin.inferred == one.inferred
        unlike = _unlike(one)
        words = None if before.words is None or unlike is None else before.words | unlike
        places[one.row, one.place] = Varying(twin, before.runs | run, agree, words)
    return evolve(known, others=known.others + 1, places=places)


def parted(
    found: Iterable[Difference], known: NativeRuns, last: bool = True
) -> tuple[list[Difference], list[Difference]]:
    """The differences between native and inferred that count, and those that native runs show too. ``last``: there will
    be no further native run, so that it is looked whether single ones stand alone.

    Where only numbers of a line vary natively and it tells a time, that holds for other lines of the same words (one
    that is nearly always printed as 0.000). Where numbers vary, the columns of other lines may have other widths. A
    part of a value varies with the whole, and a block of an array with the others (memory that nobody has written yet
    holds anything)."""
    twins = [varying.twin for varying in known.places.values()]
    rows = {twin.row for twin in twins if twin.row in STREAMS}
    shapes = {
        (twin.row, _bare(twin.native))
        for twin in twins
        if twin.row in STREAMS and _only_numbers(twin.native, twin.inferred) and _TIMED.search(twin.native)
    }
    moving = _moving(known)
    arrays = {_array(twin) for twin in twins} - {""}
    kinds, collections = _alone(known) if last and known.others + 1 >= ENOUGH else (set(), set())

    def counts(one: Difference) -> bool:
        if varying := known.places.get((one.row, one.place)):
            return not _varies_so(one, varying)
        if _whole(one) in moving and _line(one) >= moving[_whole(one)]:
            return False
        if one.row in STREAMS:
            wider = one.row in rows and "".join(one.native.split()) == "".join(one.inferred.split())
            shaped = (one.row, _bare(one.native)) in shapes and _only_numbers(one.native, one.inferred)
            return not wider and not shaped
        return not (_array(one) in arrays or any(key in known.places for key in _above(one)))

    def is_like(place: str) -> bool:
        kind = _kind(place)
        return bool(kind) and (kind in kinds or _collection(kind) in collections)

    counting: list[Difference] = []
    excused: list[Difference] = []
    alike: set[tuple[str, str]] = set()
    for one in found:
        if not counts(one):
            excused.append(one)
        elif one.row == "values" and (is_like(one.place) or any(key in alike for key in _above(one))):
            alike.add((one.row, one.place))
            excused.append(evolve(one, how=ALIKE))
        else:
            counting.append(one)
    return counting, excused


def _alone(known: NativeRuns) -> tuple[set[str], set[str]]:
    """The kinds of places in values at which one native run shows something else than all others, which agree; and the
    collections in whose members this is so of several runs."""
    kinds: set[str] = set()
    runs: dict[str, set[int]] = {}
    for (row, place), varying in known.places.items():
        first = varying.agree and len(varying.runs) == known.others
        if row == "values" and (first or len(varying.runs) == 1) and (kind := _kind(place)):
            kinds.add(kind)
            runs.setdefault(_collection(kind), set()).update({0} if first else varying.runs)
    return kinds, {collection for collection in runs if len(runs[collection]) > 1}


def _kind(place: str) -> str:
    """Of a place among values: its path without the numbers in brackets; empty for one that has none."""
    kind = _INDEX.sub("[]", place)
    return kind if kind != place else ""


def _collection(kind: str) -> str:
    return kind[: kind.rindex("[]") + 2]


def _varies_so(one: Difference, varying: Varying) -> bool:
    """Whether the inferred text differs from the native one in the way in which those of native runs do."""
    twin = varying.twin
    if one.row in STREAMS and _only_numbers(twin.native, twin.inferred) and not _only_numbers(one.native, one.inferred):
        return False
    if varying.words is None or len(varying.words) > FEW:
        return True
    mine, its = _WORD.findall(one.native), _WORD.findall(one.inferred)
    unlike = {at for at, (a, b) in enumerate(zip(mine, its, strict=False)) if a != b}
    return len(mine) == len(its) and unlike <= varying.words | (_times(mine) if one.row in STREAMS else set())


def _unlike(one: Difference) -> frozenset[int] | None:
    """The words in which two native runs differ, if they are numbers, and whole texts of the like can be told."""
    mine, its = _WORD.findall(one.native), _WORD.findall(one.inferred)
    if len(mine) != len(its) or (one.row == "values" and ", " not in one.native):
        return None
    unlike = frozenset(at for at, (a, b) in enumerate(zip(mine, its, strict=True)) if a != b)
    return unlike if all(_NUMBER.fullmatch(words[at]) for at in unlike for words in (mine, its)) else None


def _times(words: list[str]) -> set[int]:
    """The numbers among words that tell a time: the next one behind ``took``, or one that stands before ``ms``."""
    found = set()
    announced = False
    for at, word in enumerate(words):
        if not _NUMBER.fullmatch(word):
            announced = announced or bool(_TIMED.search(word))
        else:
            if announced or re.search(_UNIT, " ".join(words[at : at + 2]), re.IGNORECASE):
                found.add(at)
            announced = False
    return found


def _whole(one: Difference) -> tuple[str, str]:
    """The place that tells whether all in all there is the same of what ``one`` is a part of."""
    name, comma, _ = one.place.rpartition(", ") if one.row == "files" else ("", "", "")
    return one.row, name + comma + WHOLE


def _moving(known: NativeRuns) -> dict[tuple[str, str], float]:
    """The texts that have more lines in some native runs and fewer in others, and the line up to which all agree."""
    moving = {key: math.inf for key in known.places if key[1].endswith(WHOLE)}
    for varying in known.places.values():
        whole = _whole(varying.twin)
        if whole in moving and varying.twin.place != whole[1]:
            moving[whole] = min(moving[whole], _line(varying.twin))
    return {key: 0 if line == math.inf else line for key, line in moving.items()}


def _line(one: Difference) -> float:
    """The line that a difference is in; behind all others for what is none."""
    found = _LINE.search(one.place)
    return int(found[1]) if found else math.inf


def _array(one: Difference) -> str:
    """The array, or long list, that a place is a block of (``x[0:512]``); empty for what is none."""
    block = _BLOCK.search(one.place) if one.row == "values" else None
    return one.place[: block.start()] if block else ""


def _above(one: Difference) -> Iterator[tuple[str, str]]:
    """The wholes that a place among values may be a part of."""
    if one.row == "values":
        yield from ((one.row, one.place[:at]) for at, letter in enumerate(one.place) if letter in "[." and at)


def _only_numbers(one: str, other: str) -> bool:
    return _bare(one) == _bare(other)


def _bare(text: str) -> str:
    return _NUMBER.sub(lambda match: "" if match[0].isspace() else "#", text)
