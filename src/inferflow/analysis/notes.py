"""What the user should know of the graph: what keeps a region whole or in order, and which code is unknown, each with
its code, place, and how to write it so that it splits.

    for path in paths:
        state = update(state, path)        IF201 the 'for' loop: its turns follow one another: 'state' goes from ...

``REASONS`` are all reasons; the page ``docs/diagnostics.md`` has a section, an example and another way to write it for
each of their codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from inferflow.analysis.accesses import is_wide
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import DriverEffects
from inferflow.analysis.maps import eager_maps
from inferflow.analysis.regions import PLACED
from inferflow.analysis.steps import Outline, statement_word
from inferflow.model import Diagnostic, Region, Span, Task, World
from inferflow.records import frozen

__all__ = ["REASONS", "Why", "function_notes", "map_notes", "region_notes", "unknown_notes"]


@frozen
class Why:
    """A reason that keeps a region whole, or calls in it in order: its code, and how to write it instead."""

    code: str
    hint: str


IN_ARMS = "calls that need nothing of each other, in one arm, run beside each other"
REASONS: Mapping[str, Why] = {
    "for": Why("IF201", "a call may run ahead if it reads only its item and what no turn changes"),
    "if": Why("IF202", IN_ARMS),
    "while": Why("IF203", "a 'for' over items that are known when it begins can run ahead"),
    "try": Why("IF204", IN_ARMS),
    "with": Why("IF205", IN_ARMS),
    "match": Why("IF206", IN_ARMS),
    "comprehension": Why("IF207", "functions that return what they find, and change nothing, may run ahead"),
    "await": Why("IF208", "calls that no await separates run beside each other: gather first, then compute"),
    "recursion": Why("IF209", "call it for each part in a function that does not call itself"),
    "map": Why("IF210", "list(map(...)) asks for all results at once, and may run ahead"),
    "generator": Why("IF211", "return a list instead of yielding"),
    "decorated": Why("IF212", "call a plain function that does the work, from the decorated one or beside it"),
    "inner": Why("IF213", "define it at the top of a module"),
    "shared": Why("IF214", "give the nested function what it needs as arguments"),
    "used": Why("IF215", "hand on another function, which calls it"),
    "deep": Why("IF216", "--depth N, or depth = N in the settings, opens more levels"),
    "lazy": Why("IF217", "a list comprehension runs its calls at once, and they may run ahead"),
    "nested": Why("IF218", "put the inner statements into a function"),
}
"""By what is in the way: a statement that keeps an order, or the form of a function or an expression."""

CODE_HINT = "a file named by the setting 'catalogue' tells what the functions of a library do"
STATE_HINT = "at the head of the script, among the imports, it costs nothing: it is executed once, before all tasks"

KINDS = {"branch": "if", "try": "try", "with": "with", "loop": "for", "map": "for"}
"""The statements that tasks stand for."""


def _note(reason: str, span: Span, message: str) -> Diagnostic:
    why = REASONS[reason]
    return Diagnostic(span, why.code, message, hint=why.hint)


def region_notes(drafts: Sequence[Draft], tasks: Sequence[Task]) -> list[Diagnostic]:
    """What keeps regions from being taken apart, each with its code."""
    found: list[Diagnostic] = []
    for draft, task in zip(drafts, tasks, strict=True):
        if draft.kind == "opaque" and not task.regions:
            found.append(_whole(task))
        else:
            word = statement_word(draft.first.statement) if draft.kind == "opaque" else "for"
            found.extend(_notes_of(task, word if word in REASONS else "for"))
    return found


def function_notes(effects: DriverEffects) -> Iterator[Diagnostic]:
    """Functions that put others together and run as one piece."""
    for callee, refusal in effects.refused.items():
        name = callee.rpartition(":")[2]
        yield _note(refusal.why, refusal.reason.span, f"{name}() runs as one piece: {refusal.reason.text}")


def map_notes(outline: Outline) -> Iterator[Diagnostic]:
    """``map(f, xs)`` that is not used up where it stands: its calls have no place of their own."""
    for step in outline.steps:
        eager = {found.made for found in eager_maps(step.ops, step.effects.ops)}
        for facts in step.effects.ops:
            if facts.label == "map" and facts.callees and facts.op not in eager:
                name = facts.callees[0].rpartition(":")[2]
                yield _note("map", facts.span, f"map() calls {name}() for one item after the other, when it is asked")


def unknown_notes(tasks: Sequence[Task]) -> list[Diagnostic]:
    """One note for each task whose unknown code keeps what stands around it in order."""
    found = []
    for task in tasks:
        unknown = [e for e in task.effects if e.mode == "write" and is_wide(e.place)]
        if unknown:
            why = unknown[0].reason
            code, what, hint = "IF321", str(unknown[0].place), STATE_HINT
            if unknown[0].place == World("anything"):
                code, what, hint = "IF320", "unknown code", CODE_HINT
            message = f"{task.name} keeps its place, and later tasks wait for it ({what}): {why.text}"
            found.append(Diagnostic(why.span, code, message, hint=hint))
    return found


def _whole(task: Task) -> Diagnostic:
    """Of a statement of which nothing is seen from inside."""
    word = re.split(r"\W", task.source, maxsplit=1)[0]
    is_compound = word in ("for", "while", "if", "with", "try", "match", "async")
    if re.search(r"\b(await|async)\b", task.source):
        what = f"the {word!r} statement" if is_compound else "the comprehension"
        return _note("await", task.span, f"{what} runs as one piece: other coroutines may have turns in it")
    if is_compound:
        return _note("nested", task.span, f"the {word!r} statement runs as one piece: it stands too deep in others")
    return _note("lazy", task.span, "the generator expression calls its functions one by one, when it is asked")


def _notes_of(task: Task, word: str) -> Iterator[Diagnostic]:
    for region in task.regions:
        if region.order and region.kind in ("map", "loop"):
            reason = "map" if region.mapped else "comprehension" if region.comprehension else word
            what = {"while": "'while' loop", "comprehension": "comprehension", "map": "'map'"}.get(reason, "'for' loop")
            how = "some of its calls keep their order" if region.strand else "its turns follow one another"
            yield _note(reason, region.order[0].span, f"the {what}: {how}: {region.order[0].text}")
        elif region.kind in ("branch", "try", "with") and not region.choice:
            yield from _arms_in_order(region, word)
        for arm in region.arms:
            for inner in arm.tasks:
                if region.kind in ("map", "loop") and arm is region.arms[0] and not inner.home:
                    continue  # runs ahead as one piece of the turn
                if inner.kind == "opaque" and not inner.regions:
                    yield _whole(inner)
                yield from _notes_of(inner, _word_of(inner, word))


def _arms_in_order(region: Region, word: str) -> Iterator[Diagnostic]:
    several = [
        [t for t in arm.tasks if t.callees and not t.regions] for arm in region.arms if not arm.stages and not arm.ahead
    ]
    kept = [task for calls in several if len(calls) > 1 for task in calls]
    if kept:
        said = "match" if word == "match" else region.name.removeprefix("async ").split(" ")[0].split(":")[0]
        message = f"the {said!r} statement: the calls in it run one after the other: {_why_in_order(kept)}"
        yield _note(word, region.span, message)


def _word_of(task: Task, around: str) -> str:
    """The keyword of the statement that a task within a region stands for."""
    if task.kind not in KINDS:
        return around
    word = re.split(r"\W", task.source, maxsplit=1)[0]
    return word if word in ("while", "match") else KINDS[task.kind]


def _why_in_order(tasks: Sequence[Task]) -> str:
    """What keeps calls of an arm from running beside each other: the first reason that is not merely that."""
    reasons = [reason.text for task in tasks for reason in task.home if reason.text != PLACED]
    return reasons[0] if reasons else "each of them needs what the one before it made, or takes no time"
