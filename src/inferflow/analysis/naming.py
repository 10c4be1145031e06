"""Names that a person would give to tasks, and what a docstring says of parameters.

X, Y = load_data()            load_data
model.fit(X, Y)               fit
total = a + b                 total
for k in ks: ...              for
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inferflow.analysis import ir
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import OpFacts
from inferflow.analysis.programs import program_name
from inferflow.model import TaskKey

__all__ = ["name_drafts", "parameter_help"]


def name_drafts(drafts: Sequence[Draft]) -> tuple[TaskKey, ...]:
    """A key for each draft: its name, and which of that name it is (from 1)."""
    counts: dict[str, int] = {}
    keys: list[TaskKey] = []
    for draft in drafts:
        base = _base(draft)
        counts[base] = counts.get(base, 0) + 1
        keys.append((base, counts[base]))
    return tuple(keys)


def _base(draft: Draft) -> str:
    statement = draft.first.statement
    if isinstance(statement, ir.If | ir.For | ir.While | ir.With | ir.Try | ir.Match):
        return type(statement).__name__.lower()
    if isinstance(statement, ir.Raise):
        return "raise"
    if draft.main is not None:
        if draft.kind in ("shell", "notebook"):
            found = [program_name(s.ops, draft.main.op) for s in draft.steps if draft.main in s.effects.ops]
            if found and found[0]:
                return _clean(found[0])
        name = called_name(draft.main)
        if name:
            return name
    for step in draft.steps:
        for bind in step.names.binds:
            if draft.has(step, bind.op) and not bind.deletes:
                return _clean(bind.variable.name)
    for step in draft.steps:
        names: dict[ir.Temp, str] = {}
        for op in step.ops:
            match op:
                case ir.Load() | ir.Attr():
                    names[op.out] = op.name
                case ir.Call() if op.func in names:
                    names[op.out] = names[op.func]
                case ir.StoreItem() | ir.StoreAttr() if op.obj in names:
                    return _clean(names[op.obj])
                case _:
                    pass
    word = getattr(statement, "kind", type(statement).__name__.lower())
    return {"expression": "step", "assign": "assign", "augmented": "update", "delete": "del"}.get(word, word)


def called_name(facts: OpFacts) -> str:
    """What the operation calls, in a word: a function's name, the class instantiated, a library call's label."""
    for callee in facts.callees:
        parts = callee.partition(":")[2].split(".")
        last = parts[-1]
        if last in ("__init__", "__new__", "__call__", "__post_init__") and len(parts) > 1:
            last = parts[-2]
        if last != "<lambda>":
            return _clean(last)
    return _clean(facts.label) if facts.label else ""


def _clean(name: str) -> str:
    return re.sub(r"\W+", "_", name.rsplit(".", 1)[-1]) or "step"


# -- docstrings ------------------------------------------------------------------------------------

_SPHINX = re.compile(r"^\s*:param(?:\s+[^:]+?)?\s+\*{0,2}(\w+)\s*:\s*(.*)$")
_GOOGLE = re.compile(r"^\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s+(.*)$")
_NUMPY = re.compile(r"^\*{0,2}(\w+)\s*(?::.*)?$")
_SECTION = re.compile(r"^\s*(?:Args|Arguments|Parameters|Params)\s*:?\s*$")


def parameter_help(docstring: str | None, names: Sequence[str]) -> dict[str, str]:
    """What a docstring in Sphinx's, Google's or numpy's style says of each parameter, on one line each."""
    found: dict[str, list[str]] = {}
    if not docstring:
        return {}
    lines = docstring.expandtabs().splitlines()
    known = set(names)
    current: list[str] | None = None
    indent = 0
    inside = underlined = False
    for number, line in enumerate(lines):
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if _SECTION.match(line):
            inside, current = True, None
            underlined = lines[number + 1 : number + 2] != [] and set(lines[number + 1].strip()) == {"-"}
            continue
        match = _SPHINX.match(line) or (_GOOGLE.match(line) if inside and not underlined else None)
        if match and match[1] in known:
            current = found.setdefault(match[1], [])
            current.append(match[2])
            indent = depth
            continue
        numpy = _NUMPY.match(stripped) if underlined else None
        follows = lines[number + 1] if number + 1 < len(lines) else ""
        if numpy and numpy[1] in known and len(follows) - len(follows.lstrip()) > depth:
            current = found.setdefault(numpy[1], [])
            indent = depth
            continue
        if current is not None and stripped and depth > indent:
            current.append(stripped)
        else:
            current = None
    return {name: " ".join(" ".join(parts).split()) for name, parts in found.items()}
