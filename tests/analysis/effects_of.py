"""From the text of a driver to facts that tests can ask about, by line."""

from __future__ import annotations

from inferflow.analysis.catalogue import load_catalogue
from inferflow.analysis.effects import infer_effects
from inferflow.analysis.facts import DriverEffects, StepEffects
from inferflow.analysis.frontend import find_driver, load_project
from inferflow.analysis.lower import lower
from inferflow.model import Effect, File, Hidden, Object, Source, Variable, World

HELD = {"stdout", "stderr", "clock"}


class Facts:
    """The effects of a driver. Steps are named by line; several steps of one line are taken together."""

    def __init__(self, text: str, files: dict[str, str] | None = None, function: str | None = None) -> None:
        files = files or {}

        def find(name: str) -> Source | None:
            for path in (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py"):
                if path in files:
                    return Source(name, path, f"/project/{path}", files[path], path.endswith("__init__.py"))
            return None

        module = "__main__" if function is None else "driver"
        source = Source(module, "driver.py", "/project/driver.py", text)
        self.driver = find_driver(load_project(source, find, lower), "driver.py", function)
        self.effects: DriverEffects = infer_effects(self.driver, load_catalogue())
        self.lines: dict[int, list[StepEffects]] = {}
        self.order: list[tuple[int, StepEffects]] = []
        for key in self.driver.steps:
            line = self.driver.statement(key).span.line
            self.lines.setdefault(line, []).append(self.effects.steps[key])
            self.order.append((line, self.effects.steps[key]))

    def all(self, line: int) -> list[Effect]:
        return [e for step in self.lines[line] for op in step.ops for e in op.effects]

    def writes(self, line: int) -> set[str]:
        """Places written, as text (``object a``)."""
        return {str(e.place) for e in self.all(line) if e.mode == "write"}

    def reads(self, line: int) -> set[str]:
        return {str(e.place) for e in self.all(line) if e.mode == "read"}

    def callees(self, line: int) -> set[str]:
        return {c for step in self.lines[line] for op in step.ops for c in op.callees}

    def labels(self, line: int, name: str) -> frozenset[str]:
        """What is reachable from a variable after a line."""
        for step in reversed(self.lines[line]):
            for variable, labels in step.after.items():
                if variable.name == name:
                    return labels
        return frozenset()

    def ties(self, line: int) -> list[str]:
        """Why the statements of a line must run at home: what is not proved of them, and what they do to what was there
        before."""
        found = [r.text for step in self.lines[line] for op in step.ops for r in op.obstacles]
        for effect in self.all(line):
            match effect.place:
                case World(kind=kind) if kind not in HELD:
                    found.append(effect.reason.text)
                case Object(label=label) if effect.mode == "write" and self.outside(label, line):
                    found.append(effect.reason.text)
                case Variable() | Hidden() | File() if effect.mode == "write":
                    found.append(effect.reason.text)
                case _:
                    pass
        for step in self.lines[line]:
            for variable, labels in step.after.items():
                if variable not in step.before and any(self.outside(label, line) for label in labels):
                    found.append(f"{variable.name} shares with what was there")
        return found

    def outside(self, label: str, line: int) -> bool:
        """Whether an object was there before a line (or is one that no variable leads to)."""
        for at, step in self.order:
            if at == line:
                return any(label in labels for labels in step.before.values()) or not any(
                    label in labels for labels in step.after.values()
                )
            if any(label in labels for labels in (*step.before.values(), *step.after.values())):
                return True
        return True

    def depends(self, line: int, earlier: int) -> bool:
        """Whether two lines touch one place and at least one of them writes it (names apart)."""
        for one in self.all(line):
            for other in self.all(earlier):
                if "write" in (one.mode, other.mode) and one.place == other.place:
                    return True
                if World("anything") in (one.place, other.place):
                    return True
        return False


def function(body: str, call: str = "r = f()", before: str = "") -> str:
    """A driver that defines ``f`` with this body (its ``def`` line included) and calls it in its last line."""
    return f"{IMPORTS}{before}\n{body.strip()}\n{call}\n"


IMPORTS = """
import collections, copy, csv, functools, hashlib, itertools, json, math, os, random, re, sys, time
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np
import pandas as pd
"""


def last_line(text: str) -> int:
    return text.count("\n")


def ties_of(body: str, call: str = "r = f()", before: str = "", files: dict[str, str] | None = None) -> list[str]:
    """Why a call of ``f`` stays at home."""
    text = function(body, call, before)
    return Facts(text, files).ties(last_line(text))
