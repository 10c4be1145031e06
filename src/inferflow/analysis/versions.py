"""Which task left the version of an object that a later one reads.

a = make()          0 binds a, object {a}
b = a               1 binds b, the same object
b.append(1)         2 changes {a}: whoever reads a or b from now on reads what 2 left
"""

from __future__ import annotations

from collections.abc import Iterable

from inferflow.analysis.facts import StepKey
from inferflow.analysis.steps import Step
from inferflow.model import Effect, Object, Span, Variable, World

__all__ = ["ANYTHING", "Versions"]

ANYTHING = World("anything")


class Versions:
    """What is known of objects (by label) and names after the tasks told so far, in program order."""

    def __init__(self) -> None:
        self.readers: dict[str, list[tuple[int, Span]]] = {}
        """For each object, who has read it since it was changed last."""
        self.bound: dict[Variable, tuple[StepKey, int]] = {}
        """For each name, the step that bound it last, and that one's task (-1: none)."""
        self.given: set[str] = set()
        """Objects of parameters: the user may have given one object twice."""
        self._writers: dict[str, int] = {}
        self._given_changed = -1
        self._escaped: dict[str, int] = {}
        self._last_unknown = -1
        self._seen: dict[Variable, frozenset[str]] = {}

    def likely(self) -> Versions:
        """One that knows the same names, objects of parameters and bindings (from now on, too), but is told apart what
        tasks change."""
        other = Versions()
        other.bound, other.given, other._seen = self.bound, self.given, self._seen
        return other

    def changed(self, label: str) -> int:
        """The last task that may have changed an object, -1 if none: by itself, through another parameter, or as
        unknown code that was given the object earlier."""
        writer = self._writers.get(label, -1)
        if label in self.given:
            writer = max(writer, self._given_changed)
        if label in self._escaped and self._last_unknown > self._escaped[label]:
            writer = max(writer, self._last_unknown)
        return writer

    def labels(self, variable: Variable) -> frozenset[str]:
        """The objects that a name was ever seen with."""
        return self._seen.get(variable, frozenset())

    def note(self, variable: Variable, labels: frozenset[str]) -> None:
        """A name was seen with these objects."""
        if labels:
            seen = self._seen.get(variable)
            if seen is None or not labels <= seen:
                self._seen[variable] = labels if seen is None else seen | labels

    def is_last(self, step: Step) -> bool:
        """Whether all that a step binds is still bound by it."""
        return all(self.bound.get(b.variable, (None, -1))[0] == step.key for b in step.names.binds)

    def read(self, task: int, labels: Iterable[str], span: Span) -> None:
        """A task read these objects."""
        for label in labels:
            self.readers.setdefault(label, []).append((task, span))

    def record(self, task: int, effects: Iterable[Effect]) -> None:
        """A task had these effects."""
        for effect in effects:
            if effect.mode == "write" and isinstance(effect.place, Object):
                label = effect.place.label
                self._writers[label] = task
                self.readers[label] = []
                if label in self.given:
                    self._given_changed = task
            elif isinstance(effect.place, World) and effect.place == ANYTHING:
                self._last_unknown = task

    def pass_step(self, step: Step, unknown: int) -> None:
        """A step is done; ``unknown`` is its task if that gave unknown code what the step names, else -1."""
        for variable, labels in (*step.effects.before.items(), *step.effects.after.items()):
            if not labels:
                continue
            self.note(variable, labels)
            if unknown >= 0:
                for label in labels:
                    self._escaped.setdefault(label, unknown)
