"""Conditions on the arguments of a call, as small data.

An effect may hold only for some calls: ``df.dropna(inplace=True)`` changes ``df``, ``df.dropna()`` does not. The
catalogue writes that as ``mutates self if true(inplace)``. A *condition* is a conjunction of *tests*, each about one
parameter; the empty conjunction always holds.

    >>> applies((Check("true", "inplace"),), Arguments({"inplace": True}))
    True
    >>> applies((Check("true", "inplace"),), Arguments({"inplace": UNKNOWN})) is None     # assume that it holds
    True

A parameter written ``self.NAME`` is a setting of the receiver: the argument ``NAME`` that its constructor was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from inferflow.records import field, frozen

CheckKind: TypeAlias = Literal["given", "true", "false", "among", "mentions", "plain", "text", "number", "slice"]


@frozen
class Check:
    """One test of parameter ``param``, turned round if ``negated``.

    ``given``: an argument is given and is not ``None``. ``true`` / ``false``: given, and truthy / falsy. ``among``:
    given and equal to one of ``values``; where these contain :data:`ABSENT`, leaving it out counts too. ``text``,
    ``number``, ``slice``: of that kind. ``mentions``: a text in which one of ``values`` occurs. ``plain``: not given, a
    constant, or :data:`PLAIN`.
    """

    kind: CheckKind
    param: str
    values: tuple[object, ...] = ()
    negated: bool = False


Condition: TypeAlias = tuple[Check, ...]


@frozen
class Marker:
    """What is known of an argument that is no constant."""

    name: str


UNKNOWN: Final = Marker("unknown")
"""Given, but nothing is known of its value: it may be ``None``."""

SOMETHING: Final = Marker("something")
"""Given, surely not ``None``, but its value is not known."""

NUMBER: Final = Marker("number")
TEXT: Final = Marker("text")
SLICE: Final = Marker("slice")
"""Given, of this kind, but its value is not known."""

PLAIN: Final = Marker("plain")
"""Given, not ``None``, and known to hold nothing whose methods draw from a global generator, change arguments, print
or start processes (see ``Catalogue.is_plain``)."""

_KIND: Final = {"number": NUMBER, "text": TEXT, "slice": SLICE}
_CLASS: Final[Mapping[str, type | tuple[type, ...]]] = {"number": (int, float, complex), "text": str, "slice": slice}

ABSENT: Final = Marker("absent")
"""Only in ``Check.values``: no argument is given."""


@frozen
class Arguments:
    """The arguments of one call, by parameter name.

    ``given`` maps the parameters for which an argument stands in the call to its constant value, or to
    :data:`UNKNOWN` or :data:`SOMETHING`. ``complete`` is false if more may be given (``*args`` or ``**kwargs`` in the
    call). ``settings`` are those of the receiver's constructor in the same form, ``None`` if they are not known (or may
    have been changed since).
    """

    given: Mapping[str, object] = field(factory=dict)
    complete: bool = True
    settings: Mapping[str, object] | None = None


def applies(condition: Condition, arguments: Arguments) -> bool | None:
    """Whether ``condition`` holds for a call; ``None`` if that cannot be told (assume then that it does)."""
    answer: bool | None = True
    for test in condition:
        match _holds(test, arguments):
            case False:
                return False
            case None:
                answer = None
    return answer


def _holds(test: Check, arguments: Arguments) -> bool | None:
    answer = _plain(test, arguments)
    return answer if answer is None or not test.negated else not answer


def _plain(test: Check, arguments: Arguments) -> bool | None:
    given: Mapping[str, object] | None = arguments.given
    name = test.param
    complete = arguments.complete
    if name.startswith("self."):
        given, name, complete = arguments.settings, name[5:], True
    if given is None:
        return None
    if name not in given:
        return (ABSENT in test.values or test.kind == "plain") if complete else None
    value = given[name]
    if test.kind == "plain":
        return True if _is_kind(value) or value is PLAIN or not isinstance(value, Marker) else None
    if test.kind in ("text", "number", "slice") and (_is_kind(value) or not isinstance(value, Marker)):
        return value is _KIND[test.kind] or isinstance(value, _CLASS[test.kind])
    if test.kind == "given":
        return None if value is UNKNOWN else value is not None
    if isinstance(value, Marker):
        return None
    if test.kind == "mentions":
        return any(str(v) in str(value) for v in test.values)
    if test.kind == "among":
        return any(type(value) is type(v) and value == v for v in test.values)
    return bool(value) == (test.kind == "true")


def _is_kind(value: object) -> bool:
    return value is NUMBER or value is TEXT or value is SLICE
