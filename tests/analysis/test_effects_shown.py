"""Whoever reaches an object by another way than its name changes it all the same: each line of ``aliasings`` is run
natively, statement by statement, and every change of an object, and all sharing between variables, is looked for in the
effects and labels of that statement."""

from __future__ import annotations

import ast
import enum
import gc
import types
from collections import UserDict, deque
from collections.abc import Iterable
from typing import Any

import pytest
from aliasings import MENDED, OTHERS, PRELUDE, SETUP
from effects_of import Facts

ANYTHING = "anything (unknown code)"
NAMES = (type, types.ModuleType, int, str, bytes, float, types.NoneType)
"""What is not looked into: names of code, and what has no parts."""
HOLDERS = (list, dict, set, bytearray, deque)
CASES = {**MENDED, **OTHERS}
PARTS = 4


def parts(value: Any) -> Iterable[Any]:
    """What an object leads to right away."""
    match value:
        case types.BuiltinFunctionType():
            return [] if isinstance(value.__self__, types.ModuleType) else [value.__self__]
        case types.FunctionType():
            return [
                *(cell.cell_contents for cell in value.__closure__ or ()),
                *(value.__defaults__ or ()),
                *(value.__kwdefaults__ or {}).values(),
                *value.__dict__.values(),
            ]
        case types.GeneratorType():
            return value.gi_frame.f_locals.values() if value.gi_frame else []
        case enum.Enum():
            return []  # its value belongs to the class
        case memoryview():
            return [value.obj]
    if type(value).__name__ in ("ReferenceType", "WeakMethod"):
        return [value()]
    if type(value).__name__ in ("Context", "_local", "Thread"):
        return []
    return gc.get_referents(value)


def reachable(value: Any) -> dict[int, Any]:
    """All objects reachable from a value, by identity."""
    found: dict[int, Any] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if id(item) not in found and not isinstance(item, NAMES):
            found[id(item)] = item
            stack.extend(parts(item))
    return found


def state(value: Any) -> object:
    """What an object is right now, not looking below it; ``None`` where that is not told."""
    match value:
        case list() | deque() | set():
            return tuple(map(id, value))
        case dict():
            return tuple((id(key), id(item)) for key, item in value.items())
        case bytearray():
            return bytes(value)
        case UserDict():
            return tuple((id(key), id(item)) for key, item in value.data.items())
    if hasattr(value, "__dict__") and not callable(value) and not isinstance(value, enum.Enum):
        return tuple((key, id(item)) for key, item in vars(value).items())
    return None


def is_told(value: Any) -> bool:
    """Whether sharing an object is looked for in the labels."""
    if isinstance(value, enum.Enum) or type(value).__name__ in ("ContextVar", "property"):
        return False
    return isinstance(value, HOLDERS) or (hasattr(value, "__dict__") and not callable(value))


def stored(text: str) -> list[str]:
    """The names that a statement binds."""
    nodes = ast.walk(ast.parse(text))
    return [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def missed(name: str, statements: list[str], form: str) -> list[str]:
    """What the analysis does not tell of these statements; ``form`` is how they stand in the driver."""
    prelude = PRELUDE
    if form == "function":
        body = "\n".join(statements).replace("\n", "\n    ")
        prelude += f"def go(l, o, d):\n    {body}\n"
        statements = ["go(l, o, d)"]
    elif form == "arm":
        body = "\n".join(statements).replace("\n", "\n    ")
        statements = [f"if True:\n    {body}"]
    steps = [*SETUP, *statements]
    names = list(dict.fromkeys(name for text in steps for name in stored(text)))
    lines = prelude.rstrip("\n").split("\n")
    starts, bound = [], set[str]()
    for text in steps:
        starts.append(len(lines) + 1)
        bound.update(stored(text))
        lines += [*text.split("\n"), f"probe = ({', '.join(n for n in names if n in bound)},)"]
    facts = Facts("\n".join(lines) + "\n")
    space = types.ModuleType("aliased").__dict__
    exec(compile(prelude, "prelude", "exec", dont_inherit=True), space)
    found: list[str] = []
    pinned = []  # no identity is given twice
    for start, text in zip(starts, steps, strict=True):
        before = {v: reachable(space[v]) for v in names if v in space}
        states = {key: state(item) for group in before.values() for key, item in group.items()}
        pinned.append(before)
        exec(compile(text, "step", "exec", dont_inherit=True), space)
        if text in SETUP:
            continue
        end = start + len(text.split("\n"))
        told = [step for line in range(start, end) for step in facts.lines.get(line, ())]
        written = {w for line in range(start, end) if line in facts.lines for w in facts.writes(line)}
        if ANYTHING in written or any(op.op < 0 and op.obstacles for step in told for op in step.ops):
            return found  # nothing is claimed of it, nor of what comes then
        labels = labels_at(facts, start - 1)
        objects = {w[7:] for w in written if w.startswith("object ")}
        for variable, group in before.items():
            changed = [item for key, item in group.items() if state(item) != states[key]]
            if changed and variable in labels and not labels[variable] & objects:
                found.append(f"{name} ({form}): {text!r} changes what {variable} leads to")
        labels = labels_at(facts, end)
        there = {v: reachable(space[v]) for v in names if v in space and v in labels}
        for one in there:
            for other in there:
                shared = [there[one][key] for key in there[one].keys() & there[other].keys()]
                if one < other and any(map(is_told, shared)) and not labels[one] & labels[other]:
                    found.append(f"{name} ({form}): {one} and {other} share after {text!r}")
    return found


def labels_at(facts: Facts, line: int) -> dict[str, frozenset[str]]:
    """The labels of all variables at a probe."""
    return {v.name: labels for step in facts.lines[line] for v, labels in step.before.items()}


@pytest.mark.parametrize("part", range(PARTS))
def test_a_change_by_another_way_is_told(part: int) -> None:
    assert [text for name in list(CASES)[part::PARTS] for text in missed(name, CASES[name], "driver")] == []


OF_THE_CALLER = ("globals()", "locals()", "vars()", "__globals__")


@pytest.mark.parametrize(("number", "form"), enumerate(["function", "arm"]))
def test_a_change_by_another_way_is_told_from_inside(number: int, form: str) -> None:
    cases = {n: steps for n, steps in MENDED.items() if not any(t in "".join(steps) for t in OF_THE_CALLER)}
    names = list(cases)[number::2]
    assert [text for name in names for text in missed(name, cases[name], form)] == []


def test_the_table_is_long() -> None:
    assert len(MENDED) > 120
    assert len(CASES) > 250
