"""Which library objects are *plain*: no method of theirs draws from a global generator, changes an argument, prints or
starts processes (see ``Catalogue.is_plain``). What a pipeline or a grid search does hangs on the estimators in it.

    make_pipeline(StandardScaler(), LogisticRegression())       plain: its fit() changes nothing but itself
    make_pipeline(StandardScaler(), SVR())                      not: an SVR draws from numpy's generator
"""

from __future__ import annotations

from typing import Any, Final

from inferflow.analysis.catalogue import PLAIN, SOMETHING, Marker
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import UNKNOWN, Node, Value, reach

UNSETTLED: Final = ("unsettled",)
CONTAINERS = frozenset(f"builtins.{name}" for name in ("list", "tuple", "dict", "set", "frozenset", "NoneType"))

PASSIVE: Final = frozenset(("scipy.stats.rv_generic",))
"""Distributions: whoever holds one draws from it with a generator of their own."""


def refine(frame: Frame, known: object, value: Value) -> object:
    """What conditions may know of an argument, given what they know without looking into it."""
    return PLAIN if known is SOMETHING and all_plain(frame, reach(value)) else known


def refine_settings(frame: Frame, settings: dict[str, object] | None, receiver: Value) -> dict[str, object] | None:
    """The settings of a receiver, now: what it was given may have changed since, so it is looked into at each call."""
    if settings is None or not {SOMETHING, PLAIN} & {v for v in settings.values() if isinstance(v, Marker)}:
        return settings
    parts = reach(receiver) - set(receiver)
    if any(node.data == UNSETTLED for node in parts):
        return {name: SOMETHING if value is PLAIN else value for name, value in settings.items()}
    if all_plain(frame, parts):
        return {name: PLAIN if value is SOMETHING else value for name, value in settings.items()}
    return settings


def handed_on(frame: Frame, node: Node) -> Any:
    """What a called function may know of how an object was made (its ``data``)."""
    data = node.data
    if not (isinstance(data, tuple) and data and data[0] == "settings"):
        return data
    known = refine_settings(frame, dict(data[1]), frozenset((node,))) or {}
    return ("settings", tuple(sorted(known.items())))


def unsettle(node: Node) -> None:
    """From here on, nothing is known of how an object was made: its settings were changed."""
    made = isinstance(node.data, tuple) and bool(node.data) and node.data[0] == "settings"
    if made or (node.data is None and any(name.startswith("sklearn.") for name in node.types)):
        node.data = UNSETTLED


def all_plain(frame: Frame, nodes: set[Node]) -> bool:
    """Whether each of the nodes is plain, the others granted."""
    return all(_is_plain(frame, node) for node in nodes)


def _is_plain(frame: Frame, node: Node) -> bool:
    if node.kind == "scalar":
        return UNKNOWN not in node.types
    if node.kind != "object" or not node.types:
        return False
    if all(name in CONTAINERS or name in PASSIVE or frame.program.has_cells(name) for name in node.types):
        return True
    data = node.data
    if len(node.types) != 1 or not (isinstance(data, tuple) and data and data[0] == "settings"):
        return False
    granted = {name: PLAIN if value is SOMETHING else value for name, value in data[1]}
    return frame.program.catalogue.is_plain(next(iter(node.types)), granted)
