"""The nouns of inferflow: frozen values that every layer shares, and nothing else.

A driver's text is a :class:`Source`; a stretch of it is a :class:`Span`. What a statement reads and
writes are :class:`Place` values, told as :class:`Effect` values with their reasons. The inferred
program is a :class:`TaskGraph` of :class:`Task` values; what happens to it is a list of
:class:`Event` values, which fold into a :class:`Run`. Whatever is worth telling a user about their
code is a :class:`Diagnostic`.

Each module is loaded when one of its names is first used: a command that runs nothing needs no events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflow.model.diagnostic import Diagnostic, Severity
    from inferflow.model.effect import Effect, Reason
    from inferflow.model.graph import (
        GRAPH_VERSION,
        Anchor,
        Arm,
        Block,
        Edge,
        Guess,
        Input,
        InvalidGraph,
        Output,
        Parameter,
        Region,
        Stage,
        Task,
        TaskGraph,
        TaskKey,
        TaskKind,
    )
    from inferflow.model.place import File, Hidden, Object, Place, Variable, World
    from inferflow.model.placement import Placement
    from inferflow.model.run import (
        Artifact,
        Attempt,
        Certificate,
        CodeIdentity,
        Environment,
        Event,
        FileAct,
        FileUse,
        ItemFacts,
        ItemOutput,
        RegionFacts,
        Run,
        RunFinished,
        RunStarted,
        StoredValue,
        TaskDropped,
        TaskFailed,
        TaskFinished,
        TaskRetired,
        TaskStarted,
        WorkerLost,
        WorkerStarted,
    )
    from inferflow.model.source import Cell, Source, Span

__all__ = [
    "GRAPH_VERSION",
    "Anchor",
    "Arm",
    "Artifact",
    "Attempt",
    "Block",
    "Cell",
    "Certificate",
    "CodeIdentity",
    "Diagnostic",
    "Edge",
    "Effect",
    "Environment",
    "Event",
    "File",
    "FileAct",
    "FileUse",
    "Guess",
    "Hidden",
    "Input",
    "InvalidGraph",
    "ItemFacts",
    "ItemOutput",
    "Object",
    "Output",
    "Parameter",
    "Place",
    "Placement",
    "Reason",
    "Region",
    "Stage",
    "RegionFacts",
    "Run",
    "RunFinished",
    "RunStarted",
    "Severity",
    "Source",
    "Span",
    "StoredValue",
    "Task",
    "TaskDropped",
    "TaskFailed",
    "TaskFinished",
    "TaskGraph",
    "TaskKey",
    "TaskKind",
    "TaskRetired",
    "TaskStarted",
    "Variable",
    "WorkerLost",
    "WorkerStarted",
    "World",
]

_HOMES = {
    "diagnostic": (
        "Diagnostic",
        "Severity",
    ),
    "effect": (
        "Effect",
        "Reason",
    ),
    "graph": (
        "GRAPH_VERSION",
        "Anchor",
        "Arm",
        "Block",
        "Edge",
        "Guess",
        "Input",
        "InvalidGraph",
        "Output",
        "Parameter",
        "Region",
        "Stage",
        "Task",
        "TaskGraph",
        "TaskKey",
        "TaskKind",
    ),
    "place": (
        "File",
        "Hidden",
        "Object",
        "Place",
        "Variable",
        "World",
    ),
    "placement": ("Placement",),
    "run": (
        "Artifact",
        "Attempt",
        "Certificate",
        "CodeIdentity",
        "Environment",
        "Event",
        "FileAct",
        "FileUse",
        "ItemFacts",
        "ItemOutput",
        "RegionFacts",
        "Run",
        "RunFinished",
        "RunStarted",
        "StoredValue",
        "TaskDropped",
        "TaskFailed",
        "TaskFinished",
        "TaskRetired",
        "TaskStarted",
        "WorkerLost",
        "WorkerStarted",
    ),
    "source": (
        "Cell",
        "Source",
        "Span",
    ),
}
"""Which module holds which names."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
