"""Cuts the driver's steps into tasks.

    X, y = load(path)                 load              call
    Xs = scale(X); m = train(Xs, y)   scale, train      calls
    print(score(m, test(m)))          test, score       an expression task, and the statement around it
    df = pd.read_csv(a)
    df["z"] = df.x * 2                read_csv          library statements on the same objects
    n = len(df)                                         ... and glue that hangs on them

A call of a project function is a task. Of several in one statement all but the last in evaluation order become
*expression tasks*; the statement itself is the task of the last one (unless the rest of the statement would tie that
call to home, which on its own is free: then it is cut out too). Library statements form runs; cheap glue joins a
neighbour where this adds no dependence and ties nothing to home; compound statements stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from inferflow.analysis import ir
from inferflow.analysis.cells import displayed
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import Driver, OpFacts, StepKey
from inferflow.analysis.programs import GOES_ON
from inferflow.analysis.steps import Outline, Step, op_reasons
from inferflow.model import Hidden, Object, Reason, Variable, World
from inferflow.records import evolve

__all__ = ["partition"]

STDOUT = World("stdout")

LONGEST = 60
"""So many statements are one run at most: more than one looks at, and the time that growing it takes is bounded."""


def partition(driver: Driver, outline: Outline, carried: frozenset[Variable] = frozenset()) -> tuple[Draft, ...]:
    """The driver's tasks in program order; expression tasks before the statement that they stand in. ``carried`` are
    names that go from one turn of a loop to the next: a call is cut out of a statement that uses one besides."""
    cutter = _Cutter(driver, outline, carried)
    for step in outline.steps:
        cutter.take(step)
    cutter.flush(None)
    return tuple(cutter.drafts)


class _Cutter:
    """The state of the one pass over the steps: tasks so far, and the run that may still grow."""

    def __init__(self, driver: Driver, outline: Outline, carried: frozenset[Variable]) -> None:
        self.driver = driver
        self.outline = outline
        self.carried = carried
        self.drafts: list[Draft] = []
        self.run: list[Step] = []
        self.held: list[Step] = []  # replicated statements after the run: part of it only if it goes on behind them
        self.users = _users(outline.steps)
        self.maker: dict[StepKey | None, int] = {}  # which task a step has become part of
        self.displayed = {(0, index) for index in displayed(driver.project.sources[driver.project.main])}

    def take(self, step: Step) -> None:
        if step.key in self.displayed and step.kind in ("glue", "library"):
            self.flush(None)
            if step.kind == "library":
                self._library([step])
            else:
                self._add(Draft("glue", step.key[0], (step,), main=_main(step.effects.ops)))
            return
        match step.kind:
            case "replicated":
                self._hold(step)
            case "nothing":
                self._hold(step) if isinstance(step.statement, ir.Plain) else self.flush(None)
            case "opaque":
                self.flush(None)
                self._add(Draft("opaque", step.key[0], (step,), main=_main(step.effects.ops)))
            case "opening":
                self.flush(None)
                self._expressions(step, step.calls, keep=_opening_call(self.driver, step))
            case "call":
                self._call(step)
            case "glue" | "library":
                if isinstance(step.statement, ir.Return):
                    self.flush(None)
                    self._expressions(step, step.calls, keep=None)
                else:
                    self._grow(step)

    def _add(self, draft: Draft) -> None:
        self.drafts.append(draft)
        for step in draft.steps:
            self.maker[step.key] = len(self.drafts) - 1

    def _hold(self, step: Step) -> None:
        plain = isinstance(step.statement, ir.Plain) and step.statement.kind in ("assign", "annotated", "pass")
        if not self.run or not plain:
            self.flush(None)
        else:
            self.held.append(step)

    # -- calls -------------------------------------------------------------------------------------

    def _call(self, step: Step) -> None:
        if isinstance(step.statement, ir.Return):
            self.flush(None)
            self._expressions(step, step.calls, keep=None)
            return
        before = self.flush(step)
        keep = step.calls[-1] if step.calls and not self._better_apart(step) else None
        inner = self._expressions(step, step.calls, keep)
        numbers = {}
        if inner:
            taken = {op for call in step.calls if call != keep for op in range(step.ranges[call], call + 1)}
            numbers[step.key] = frozenset(range(len(step.ops))) - taken
        mine = [f for f in step.effects.ops if f.op < 0 or not numbers or f.op in numbers[step.key]]
        tasks = [f for f in mine if f.task]
        kind: Literal["call", "library", "glue"] = (
            "call" if tasks else "glue" if all(f.cheap for f in mine) else "library"
        )
        self._add(Draft(kind, step.key[0], (*before, step), None, numbers, inner, _main(tasks or mine)))

    def _better_apart(self, step: Step) -> bool:
        """Whether the rest of the statement would tie its last call to home, which by itself is free."""
        number = step.calls[-1]
        inside = range(step.ranges[number], number + 1)
        ties = {f.op: bool(op_reasons(f, self.outline, step.order)) for f in step.effects.ops}
        if any(tied for op, tied in ties.items() if op in inside or op < 0):
            return False
        if self.carried and any(u.variable in self.carried and u.op not in inside for u in step.names.uses):
            return True
        others = [range(step.ranges[call], call + 1) for call in step.calls[:-1]]
        if any(tied for op, tied in ties.items() if op not in inside and not any(op in r for r in others)):
            return True
        told = {f.op for f in step.effects.ops if f.effects or f.obstacles}
        return any(
            isinstance(op, ir.StoreAttr | ir.StoreItem) and n not in told and n not in inside
            for n, op in enumerate(step.ops)
        )

    def _expressions(self, step: Step, calls: tuple[int, ...], keep: int | None) -> tuple[int, ...]:
        """Expression tasks for the calls of a statement but ``keep``; the positions of those that stand in no other, in
        evaluation order."""
        made: dict[int, int] = {}
        outermost: list[int] = []
        for number in calls:
            if number == keep:
                continue
            inside = [call for call in outermost if step.ranges[number] <= call < number]
            numbers = set(range(step.ranges[number], number + 1))
            for call in inside:
                numbers -= set(range(step.ranges[call], call + 1))
            facts = next((f for f in step.effects.ops if f.op == number), None)
            kind: Literal["call", "library"] = "call" if facts is not None and facts.task else "library"
            draft = Draft(
                kind,
                step.key[0],
                (step,),
                step.ops[number].span,
                {step.key: frozenset(numbers)},
                tuple(made[call] for call in inside),
                facts,
                self._earlier_in_statement(step, number),
            )
            self._add(draft)
            made[number] = len(self.drafts) - 1
            outermost = [*(call for call in outermost if call not in inside), number]
        return tuple(made[call] for call in outermost)

    def _earlier_in_statement(self, step: Step, number: int) -> tuple[Reason, ...]:
        """What a statement does before it comes to one of its calls, and in none of those before, is part of a later
        task: if that is more than reading, the call keeps its place. (A conditional expression among the operands of
        the call around is such a part.)"""
        start = step.ranges[number]
        found = [
            reason
            for facts in step.effects.ops
            if facts.op < start and not _within_calls(step, facts.op, start)
            for reason in op_reasons(facts, None, step.order)
        ]
        found.extend(
            Reason(f"{bind.variable.name!r} is bound within the statement", bind.span)
            for bind in step.names.binds
            if 0 <= bind.op <= number or (bind.op < 0 and len(step.calls) > 1)
        )
        return tuple(found)

    # -- runs of library statements and glue -------------------------------------------------------

    def _grow(self, step: Step) -> None:
        if self.run and not self._joins(step):
            self.flush(step if step.kind == "glue" else None, grow=True)
        if self.run:
            self.run.extend(self.held)
        self.held.clear()
        self.run.append(step)

    def _joins(self, step: Step) -> bool:
        last = self.held[-1] if self.held else self.run[-1]
        statement = step.statement
        if len(self.run) >= LONGEST:
            return False
        if last.key[0] != step.key[0] or statement.index != last.statement.index + 1:
            return False
        if _apart(self.run, step):
            return False
        if statement.cell or statement.paragraph or any(held.statement.paragraph for held in self.held):
            return False
        together = [*self.run, *self.held, step]
        if not _share(self.run, step) and not self._alike(step):
            return False
        if not self._makers([step]) <= self._makers([*self.run, *self.held]):
            return _is_light(self.run) and (not ties_together(together) or _changes_all(self.run, step))
        if _is_light(self.run) and _changes_all(self.run, step):
            return True
        free_run, free_step = not ties_together(self.run), not ties_together([step])
        free = not ties_together(together)
        if free:
            return True
        heavy_run = any(s.kind == "library" for s in self.run)
        return not (free_run and heavy_run) and not (free_step and step.kind == "library")

    def _alike(self, step: Step) -> bool:
        """Whether a run and a step only take apart the results of the same tasks (``X = df[a]``, ``y = df[b]``)."""
        makers = self._makers([step])
        plain = not any(f.label and not f.cheap for s in (*self.run, step) for f in s.effects.ops)
        return plain and bool(makers) and makers == self._makers(self.run)

    def _makers(self, steps: Sequence[Step]) -> set[int]:
        """The tasks whose names these statements read: a run must not come to depend on others as it grows."""
        found = {self.maker.get(definition, -1) for s in steps for use in s.names.uses for definition in use.defs}
        return found - {-1}

    def flush(self, following: Step | None, grow: bool = False) -> tuple[Step, ...]:
        """End the run. Gives the glue at its end that may become part of the statement ``following`` (a call)."""
        run, self.run = self.run, []
        held, self.held = self.held, []
        if not run:
            return ()
        if any(step.kind == "library" for step in run):
            self._library(run)
            return ()
        while run and self._hangs_on_last(run[0], run, following):
            self._extend_last(run.pop(0))
        while run and run[0].kind != "glue":
            run.pop(0)  # replicated statements in between belong to no task
        if not run:
            return ()
        if following is not None and not grow and not held and self._may_precede(run, following):
            return tuple(run)
        while run[-1].kind != "glue":
            run.pop()
        self._add(Draft("glue", run[0].key[0], tuple(run), main=_main([f for s in run for f in s.effects.ops])))
        return ()

    def _library(self, run: Sequence[Step]) -> None:
        heavy = [step for step in run if step.kind == "library"]
        facts = [f for step in heavy for f in step.effects.ops if not f.cheap]
        main = _main(facts, [f for f in map(_outermost, heavy) if f is not None])
        programs = [f for f in facts if f.runs]
        kind: Literal["library", "shell", "notebook"] = programs[0].runs or "library" if programs else "library"
        self._add(Draft(kind, run[0].key[0], tuple(run), main=programs[0] if programs else main))

    def _hangs_on_last(self, step: Step, run: Sequence[Step], following: Step | None) -> bool:
        """Whether glue may join the task before it: it stands right behind, reads nothing but what that task has, and
        does not tie it to home."""
        if not self.drafts or step.kind != "glue":
            return False
        last = self.drafts[-1]
        if last.expression is not None or last.block != step.key[0] or last.kind == "opaque":
            return False
        if len(last.steps) >= LONGEST:
            return False
        if step.statement.index != last.last.statement.index + 1 or step.statement.cell:
            return False
        names = {b.variable for s in last.steps for b in s.names.binds}
        seen = names | {u.variable for s in last.steps for u in s.names.uses}
        used = {u.variable for u in step.names.uses if not all(d is None for d in u.defs)}
        if not used & names or not used <= seen:
            return False
        if not ties_together(last.steps) and not last.reasons:
            return not ties_together([*last.steps, step])
        users = self.users.get(step.key, set())
        return following is None or not users <= {following.key, *(s.key for s in run)}

    def _extend_last(self, step: Step) -> None:
        last = self.drafts[-1]
        self.drafts[-1] = evolve(last, steps=(*last.steps, step))
        self.maker[step.key] = len(self.drafts) - 1

    def _may_precede(self, run: Sequence[Step], following: Step) -> bool:
        """Whether glue may join the call after it: only that reads what it binds, and it does not tie it to home."""
        if following.key[0] != run[-1].key[0] or following.statement.index != run[-1].statement.index + 1:
            return False
        if following.statement.cell:
            return False
        keys = {following.key, *(s.key for s in run)}
        if any(not self.users.get(step.key, set()) <= keys or not self.users.get(step.key) for step in run):
            return False
        if len(following.calls) > 1:
            return False  # its first calls are tasks of their own, and stand before the glue would
        return ties_together([following]) or not ties_together([*run, following])


def ties_together(steps: Sequence[Step]) -> bool:
    """Whether consecutive statements, as one task, are tied to home by their form, by what their operations do, or by
    binding a name to an object that was there before."""
    start = steps[0].order
    return any(step.tied or step.oldest < start for step in steps)


def _within_calls(step: Step, number: int, before: int) -> bool:
    return any(step.ranges[call] <= number <= call for call in step.calls if call < before)


def _opening_call(driver: Driver, step: Step) -> int | None:
    """The number of the call that opens the driver's function."""
    for number in step.calls:
        op = step.ops[number]
        if isinstance(op, ir.Call):
            for maker in step.ops[:number]:
                if isinstance(maker, ir.Load) and maker.out == op.func and maker.name == driver.entry:
                    return number
    return None


def _users(steps: Sequence[Step]) -> dict[StepKey, set[StepKey]]:
    """For each step, the steps that read what it binds."""
    found: dict[StepKey, set[StepKey]] = {}
    for step in steps:
        for use in step.names.uses:
            for definition in use.defs:
                if definition is not None and definition != step.key:
                    found.setdefault(definition, set()).add(step.key)
    return found


def _share(run: Sequence[Step], step: Step) -> bool:
    """Whether a step is about the same objects as a run: it reads a name that the run binds or changes, or both use
    one hidden state, or both print."""
    keys = {s.key for s in run}
    if any(definition in keys for use in step.names.uses for definition in use.defs):
        return True
    touched = _touched(run)
    mine = _touched([step])
    if mine & touched:
        return True
    changed = {place for place in touched if isinstance(place, Object)}
    labels = frozenset().union(*step.effects.before.values()) if step.effects.before else frozenset()
    return any(place.label in labels for place in changed)


def _touched(steps: Sequence[Step]) -> set[Object | Hidden | World | Variable]:
    return {
        effect.place
        for step in steps
        for facts in step.effects.ops
        for effect in facts.effects
        if (isinstance(effect.place, Hidden | Object) and effect.mode == "write")
        or effect.place == STDOUT
    }  # fmt: skip


def _changes_all(run: Sequence[Step], step: Step) -> bool:
    """Whether a step changes every object that a run gives names to (``m = SVC()``, ``m.fit(X, y)``): nobody could use
    those before it."""
    written = {
        effect.place.label
        for facts in step.effects.ops
        for effect in facts.effects
        if isinstance(effect.place, Object) and effect.mode == "write"
    }
    bound = [s.effects.after.get(bind.variable, frozenset()) for s in run for bind in s.names.binds]
    return bool(bound) and all(labels & written for labels in bound)


def _apart(run: Sequence[Step], step: Step) -> bool:
    """Whether one of them runs a program of its own, so that the other has no place in its task: only what prepares its
    arguments has, and what goes on with the process that it started."""
    running = [f for f in step.effects.ops if f.runs]
    if any(f.runs for s in run for f in s.effects.ops):
        return not running or not all(f.label in GOES_ON for f in running)
    return bool(running) and any(s.kind == "library" for s in run)


def _is_light(run: Sequence[Step]) -> bool:
    """Whether a run does nothing that takes time: glue, and objects made by calling a class (``Ridge()``)."""
    return all(f.cheap or f.label[:1].isupper() for step in run for f in step.effects.ops if f.label or f.callees)


def _outermost(step: Step) -> OpFacts | None:
    """The call whose result a statement binds or drops, if that is what it does (not: a display of results)."""
    calls = {number: op.out for number, op in enumerate(step.ops) if isinstance(op, ir.Call)}
    taken = {op.value for op in step.ops if isinstance(op, ir.Store | ir.Unpack | ir.StoreItem | ir.StoreAttr)}
    last = max(calls, default=-1)
    if last < 0 or (taken and not any(out in taken for out in calls.values())):
        return None
    return next((f for f in step.effects.ops if f.op == last), None)


def _main(facts: Sequence[OpFacts], outermost: Sequence[OpFacts] | None = None) -> OpFacts | None:
    """The operation after which a task is named: the last project call, else the weightiest library call, else the
    first of the outermost ones (``print`` of ``print(x.round(2))``); ``None``: after what it binds."""
    tasks = [f for f in facts if f.task] or [f for f in facts if f.callees]
    if tasks:
        return tasks[-1]
    labelled = [f for f in facts if f.label and not f.cheap] or [f for f in facts if f.label]
    weighty = [f for f in labelled if _weight(f.label) < len(WEIGHTY)]
    if weighty:
        return min(weighty, key=lambda f: (_weight(f.label), weighty.index(f)))
    others = labelled if outermost is None else [f for f in outermost if f.label]
    return min(others, key=lambda f: (f.label == "print", others.index(f))) if others else None


WEIGHTY = (
    "fit",
    "train",
    "read_",
    "load",
    "fetch",
    "savefig",
    "save",
    "to_",
    "write",
    "dump",
    "predict",
    "score",
    "merge",
)


def _weight(label: str) -> int:
    for position, start in enumerate(WEIGHTY):
        if label.startswith(start):
            return position
    return len(WEIGHTY)
