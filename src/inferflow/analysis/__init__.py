"""From the text of a driver to its task graph, without importing or running any of it.

``analyze`` runs the passes one after another; each is a function from values to values:

    Source -> load_project -> find_driver -> find_names -> find_effects -> build_graph -> TaskGraph

It does no I/O of its own (``find`` gives it the project's other files) and never fails on what users write: if one
of its passes does, the graph says that everything stays at home in program order, which is always right.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferflow.collector import paused

if TYPE_CHECKING:
    from pathlib import Path

    from inferflow.analysis.catalogue import Catalogue
    from inferflow.analysis.facts import DefUse, Driver, DriverEffects, Opening, SourceFinder
    from inferflow.model import Diagnostic, Source, TaskGraph

__all__ = ["Stages", "analyze"]


class Stages:
    """What each pass gave, for the dumps. ``failure`` is the exception of a pass that failed."""

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.names: DefUse | None = None
        self.effects: DriverEffects | None = None
        self.failure: Exception | None = None


def analyze(
    main: Source,
    find: SourceFinder,
    target: str,
    function: str | None = None,
    catalogue: Catalogue | None = None,
    more_effects: Sequence[Path] = (),
    stages: Stages | None = None,
    depth: int = 2,
    rules: Sequence[tuple[str, bool]] = (),
) -> tuple[TaskGraph | None, tuple[Diagnostic, ...]]:
    """The task graph of a driver, and all that is to be said about it; no graph if it cannot be taken as a driver
    (then a diagnostic of severity ERROR says why).

    ``main`` is the driver's file, ``find`` gives other files of the project, ``target`` is how the user named the
    driver, ``function`` the function in it (``None``: the file as a script). ``catalogue`` is what is known of
    libraries: by default what comes with inferflow, and the files ``more_effects``. ``stages`` is filled if given.
    ``depth``: so many levels of functions that are drivers themselves are opened; ``rules`` say for patterns of names
    whether they are in any case, or never."""
    from inferflow.analysis.facts import Opening
    from inferflow.analysis.frontend import find_driver, load_project
    from inferflow.analysis.lower import lower
    from inferflow.model import Severity

    stages = stages if stages is not None else Stages()
    with paused():
        project = load_project(main, find, lower)
        if project.main not in project.modules:
            return None, project.diagnostics
        driver = find_driver(project, target, function)
        stages.driver = driver
        if any(found.severity is Severity.ERROR for found in driver.diagnostics):
            return None, (*project.diagnostics, *driver.diagnostics)
        graph = _graph(driver, catalogue, more_effects, stages, Opening(depth, tuple(rules)))
        if main.cells:
            from inferflow.analysis.cells import dress

            graph = dress(graph, main)
        elif "%%" in main.text:
            from inferflow.analysis.percent import percent_cells
            from inferflow.records import evolve

            graph = evolve(graph, cells=percent_cells(main.text))
        return graph, graph.diagnostics


def _graph(
    driver: Driver, catalogue: Catalogue | None, more_effects: Sequence[Path], stages: Stages, opening: Opening
) -> TaskGraph:
    from inferflow.analysis.graph import build_graph

    try:
        from inferflow.analysis.catalogue import load_catalogue
        from inferflow.analysis.defuse import find_names
        from inferflow.analysis.effects import find_effects

        if catalogue is None:
            catalogue = load_catalogue(extra=more_effects)
        stages.names = find_names(driver)
        stages.effects = find_effects(driver, stages.names, catalogue, opening)
        return build_graph(driver, stages.names, stages.effects)
    except Exception as error:
        if os.environ.get("INFERFLOW_STRICT") and not _is_too_involved(error):
            raise
        stages.failure = error
        return _in_order(driver, error, stages)


def _in_order(driver: Driver, error: Exception, stages: Stages) -> TaskGraph:
    """Everything at home in program order, since a pass of ours failed."""
    from inferflow.analysis.cautious import cautious_effects, cautious_names
    from inferflow.analysis.effects.program import INVOLVED_HINT
    from inferflow.analysis.graph import build_graph
    from inferflow.model import Diagnostic, Severity, Span
    from inferflow.records import evolve

    stages.names, stages.effects = cautious_names(driver), cautious_effects(driver)
    span = driver.blocks[0].block.span if driver.blocks else Span(driver.project.sources[driver.project.main].path, 1)
    if _is_too_involved(error):
        message = "everything stays at home in program order: what the driver does is too involved to be followed"
        note = Diagnostic(span, "IF311", message, Severity.NOTE, INVOLVED_HINT)
    else:
        note = Diagnostic(
            span,
            "IF390",
            f"everything stays at home in program order: the analysis failed ({type(error).__name__}: {error})",
            Severity.WARNING,
            "the result is right; please report this, with the driver",
        )
    return build_graph(evolve(driver, diagnostics=(*driver.diagnostics, note)), stages.names, stages.effects)


def _is_too_involved(error: Exception) -> bool:
    from inferflow.analysis.effects.program import TooInvolved

    return isinstance(error, TooInvolved)
