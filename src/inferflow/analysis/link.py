"""Links tasks: who reads what from whom, what has to stay at home and why, what a helper executes again.

    X, Y = load_data()            0 load_data   outputs X, Y
    m = fit(X, Y, C=1.0)          1 fit         inputs X, Y from 0; needs 0; edges 0 -> 1
    m.calibrate(Y)                2 calibrate   inputs m from 1, Y from 0; changes m: at home
    plot(m)                       3 plot        inputs m from 2, since 2 left another version of it

The *producer* of a name that a task reads is the latest earlier task that bound the name or changed an object
reachable from it. A task is free of home only if everything it does is proved, everything it reads can be handed to
it, and nothing that it leaves overlaps with what was there before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from inferflow.analysis import ir
from inferflow.analysis.accesses import Ledger
from inferflow.analysis.drafts import Draft, anchor_of, binders, effects_of, last_module_task, span_of
from inferflow.analysis.facts import UNKNOWN_TYPE, Bind, DefUse, Driver, StepKey, Use
from inferflow.analysis.steps import Outline, Step
from inferflow.analysis.texts import Texts
from inferflow.analysis.ties import binds_function, own_reasons, words
from inferflow.analysis.versions import ANYTHING, Versions
from inferflow.model import (
    Edge,
    Effect,
    File,
    Guess,
    Input,
    Object,
    Output,
    Place,
    Reason,
    Span,
    Task,
    TaskKey,
    Variable,
    World,
)
from inferflow.records import define, evolve, field

__all__ = ["Linker"]

VALUE_SCOPE = "<value>"
MANY = 40


@define
class _Made:
    """A task being built; later tasks may still add outputs that they need (versions that it left by changing)."""

    task: Task
    scope: str
    outputs: dict[Variable, Output]


@define
class _Read:
    """What a task reads under one name: who left it, the first place of use, labels of the objects."""

    variable: Variable
    producer: int
    span: Span
    labels: frozenset[str]


@define
class _Gathered:
    """What is found out about one task on the way."""

    reads: dict[Variable, _Read] = field(factory=dict)
    home: list[Reason] = field(factory=list)
    state: set[int] = field(factory=set)
    needs: set[int] = field(factory=set)
    replicated: set[StepKey] = field(factory=set)
    edges: list[Edge] = field(factory=list)
    apart: bool = False


class Linker:
    """The state of the one pass over the drafts: ``build`` them in order, then take ``finished`` and ``edges``.
    ``together``: what runs ahead of them runs in one process, one after the other, and comes back in one piece, so they
    may share objects and change those that the ones before have made."""

    def __init__(
        self,
        driver: Driver,
        names: DefUse,
        outline: Outline,
        drafts: Sequence[Draft],
        keys: Sequence[TaskKey],
        together: bool = False,
    ) -> None:
        self.driver = driver
        self.names = names
        self.outline = outline
        self.drafts = drafts
        self.keys = keys
        self.together = together
        self.texts = Texts(driver.project.sources)
        self.steps: dict[StepKey, Step] = {step.key: step for step in outline.steps}
        self.binder = binders(drafts)
        self.statements = {
            step.key: index for index, draft in enumerate(drafts) for step in draft.steps if draft.expression is None
        }
        self.binds: dict[Variable, int] = {}
        for step in outline.steps:
            for bind in step.names.binds:
                self.binds[bind.variable] = self.binds.get(bind.variable, 0) + 1
        self.made: list[_Made] = []
        self.gone: dict[int, set[Variable]] = {}
        """For each task the names that it deletes in the end."""
        self.edges: list[Edge] = []
        self.ledger = Ledger(frozenset(driver.project.modules))
        self.versions = Versions()
        # The same as far as it is proved: what would be so if nothing that is only assumed came true.
        self.likely = (self.versions.likely(), Ledger(frozenset(driver.project.modules)))
        self.trusting = False
        self.last_assumed = -1
        self.loose: list[Step] = []  # replicated steps so far
        self.params = _parameter_names(driver)
        self.module_tasks = last_module_task(driver, drafts)
        self.next_step = 0
        self.bound = set(self.params)
        self.unsure: set[Variable] = set()
        """Names that are bound on some paths only, or not any more."""

    def name(self, index: int) -> str:
        base, number = self.keys[index]
        return base if number == 1 else f"{base}.{number}"

    def scope_of(self, index: int) -> str:
        return self.driver.blocks[self.drafts[index].block].block.scope

    def build(self, index: int) -> None:
        """Make task ``index`` from its draft; all earlier ones are made."""
        draft = self.drafts[index]
        self._pass_loose(draft.first.order)
        effects = effects_of(draft)
        found = self._gather(index, draft, effects)
        inputs = self._inputs(index, draft, found)
        guess = self._guess(index, draft, effects, found)
        outputs = self._outputs(index, draft, effects)
        value = Variable(VALUE_SCOPE, self.name(index)) if draft.expression is not None else None
        if value is not None:
            outputs[value] = Output(value)
        span = span_of(draft)
        task = Task(
            key=self.keys[index],
            kind=draft.kind,
            span=span,
            source=self.texts.cut(span),
            anchor=anchor_of(draft),
            callees=tuple(sorted({callee for _, facts in draft.facts() for callee in facts.callees})),
            inputs=inputs,
            outputs=tuple(outputs.values()),
            effects=_worth_telling(effects),
            value=value,
            inner=draft.inner,
            preamble=self._spans(found.replicated),
            home=tuple(dict.fromkeys(found.home)),
            needs=tuple(sorted(found.needs)),
            state=tuple(sorted(found.state)) if found.state else (),
            guess=guess,
        )
        self.edges.extend(found.edges)
        self.made.append(_Made(task, self.scope_of(index), outputs))
        self._record(index, draft, effects, found)

    def _spans(self, keys: Iterable[StepKey]) -> tuple[Span, ...]:
        return tuple(self.steps[key].span for key in sorted(keys, key=lambda k: self.steps[k].order))

    def _gather(self, index: int, draft: Draft, effects: tuple[Effect, ...]) -> _Gathered:
        """What the task reads, from whom, and what ties it to home."""
        found = _Gathered()
        found.home.extend(draft.reasons)
        found.home.extend(
            own_reasons(self.driver, self.names, self.outline, self.binds, draft, self.trusting, self.together)
        )
        for inner in draft.inner:
            task = self.made[inner].task
            if task.home and not (self.trusting and task.guess is not None):
                found.home.append(Reason(f"{self.name(inner)} in it stays at home", task.span))
        own = {step.key for step in draft.steps}
        for step in draft.steps:
            for use in step.names.uses:
                if draft.has(step, use.op):
                    self._read(index, own, step, use, found)
        for effect in effects:
            if effect.mode == "read" and isinstance(effect.place, Variable):
                self._read_global(index, effect, found)
        self._preamble(index, draft, found)
        self._depend(index, draft, effects, found)
        return found

    def _guess(self, index: int, draft: Draft, effects: tuple[Effect, ...], sure: _Gathered) -> Guess | None:
        """How the task may run ahead if nothing comes true of what is only assumed."""
        assumed = any(effect.mode == "write" and effect.assumed for effect in effects)
        if not sure.home and self.last_assumed < 0:
            return None
        if sure.home and own_reasons(self.driver, self.names, self.outline, self.binds, draft, True):
            return None
        with self._trust():
            found = self._gather(index, draft, proved(draft))
            inputs = self._inputs(index, draft, found) if not found.home else ()
        if found.home or (sure.home and self._remakes(found)):
            return None
        if draft.whole and not self._changes_inputs_only(draft, found):
            return None
        facts = [facts for _, facts in draft.facts()]
        unknown = any(
            effect.assumed and effect.mode == "write" and not isinstance(effect.place, Object) for effect in effects
        ) or any(UNKNOWN_TYPE in reason.text for f in facts for reason in f.obstacles)
        checked = unknown or self.last_assumed > max(found.state, default=-1)
        if not sure.home and not checked:
            return None
        return Guess(
            inputs=inputs,
            needs=tuple(sorted(found.needs)),
            state=tuple(sorted(found.state)),
            doubtful=tuple(
                read.variable
                for read in sorted(found.reads.values(), key=lambda r: (r.span, r.variable))
                if read.variable.scope != VALUE_SCOPE
                and (read.variable not in sure.reads or sure.reads[read.variable].producer != read.producer)
            ),
            apart=found.apart,
            unknown=unknown or (assumed and bool(sure.home)),
            checked=checked,
            acts=any(effect.mode == "write" and isinstance(effect.place, File) for effect in effects),
            preamble=self._spans(found.replicated),
        )

    def _changes_inputs_only(self, draft: Draft, found: _Gathered) -> bool:
        """Whether all that is changed in place can be reached from inputs: of what they were, home is told what has
        changed."""
        start = draft.first.order
        places = (effect.place for effect in effects_of(draft) if effect.mode == "write")
        changed = {p.label for p in places if isinstance(p, Object) and self.outline.outside(p.label, start)}
        handed = (read.labels for read in found.reads.values() if read.producer >= 0 or read.variable in self.params)
        return changed <= frozenset().union(*handed)

    def _remakes(self, found: _Gathered) -> bool:
        """Whether a replicated statement makes an object that can be changed: a helper would have another one of its
        own, and nobody would see that the task's result shares it."""
        steps = (self.steps[key] for key in found.replicated)
        return any(
            self.versions.labels(bind.variable) for step in steps if not _defines(step) for bind in step.names.binds
        )

    @contextmanager
    def _trust(self) -> Iterator[None]:
        """Within, versions and places are as if nothing that is only assumed came true."""
        sure = self.versions, self.ledger
        self.versions, self.ledger = self.likely
        self.trusting = True
        try:
            yield
        finally:
            self.versions, self.ledger = sure
            self.trusting = False

    def finished(self) -> tuple[Task, ...]:
        """The tasks; those with the outputs that later ones turned out to need."""
        return tuple(
            made.task
            if len(made.outputs) == len(made.task.outputs)
            else evolve(made.task, outputs=tuple(made.outputs.values()))
            for made in self.made
        )

    # -- reads ---------------------------------------------------------------------------------------

    def _read(self, index: int, own: set[StepKey], step: Step, use: Use, found: _Gathered) -> None:
        variable = use.variable
        outer: set[StepKey | None] = set()
        for definition in use.defs:
            if definition is not None and definition in own:
                binder = self.binder.get((definition, variable), index)
                if binder == index:
                    continue
                found.home.append(Reason(f"reads {variable.name!r}, which its own statement binds", use.span))
                continue
            outer.add(definition)
        if not outer and use.defs:
            return
        labels = step.effects.before.get(variable, frozenset())
        self.versions.note(variable, labels)
        if use.unbound and self.binds.get(variable, 0):
            found.home.append(Reason(f"{variable.name!r} may not be bound here", use.span))
        producer = -1
        given = False
        literals: list[StepKey] = []
        for definition in outer:
            if definition is None:
                given = True
                if variable in self.params and self.driver.call is None:
                    self.versions.given |= labels
            elif self.steps[definition].kind == "replicated" and self.binder.get((definition, variable), -1) < 0:
                literals.append(definition)
            else:
                binder = self.binder.get((definition, variable), -1)
                if binder < 0 or binder >= index:
                    found.home.append(Reason(f"reads {variable.name!r}, whose making is not followed", use.span))
                else:
                    producer = max(producer, binder)
                    if binds_function(self.steps[definition], variable.name):
                        found.home.append(
                            Reason(f"{variable.name!r} is a function, class or generator that a task made", use.span)
                        )
        if producer < 0:  # else a statement that may bind it anew, or not, stands between: what it leaves is handed on
            found.replicated.update(literals)
        self._settle(index, variable, producer, given, labels, use.span, found)

    def _settle(
        self, index: int, variable: Variable, producer: int, given: bool, labels: frozenset[str], span: Span,
        found: _Gathered,
    ) -> None:  # fmt: skip
        """Note an input from whoever left this version: the task that bound the name, or changed an object of it."""
        writer = self.ledger.last_write(variable) if variable.scope in self.driver.project.modules else -1
        for label in labels:
            producer = max(producer, self.versions.changed(label))
        if writer >= max(producer, 0):
            # A function that this task calls has bound the name anew: what it is now is known to the process only.
            found.state.add(writer)
            found.edges.append(self._rebound(writer, index, variable, span))
            return
        if producer >= 0 and self.drafts[producer].expression is not None and variable.scope != VALUE_SCOPE:
            # What an expression leaves under a name is there to be handed on when its statement is done.
            statement = self.statements.get(self.drafts[producer].first.key, index)
            if statement >= index:
                found.home.append(Reason(f"reads {variable.name!r} in the statement that changes it", span))
                found.needs.add(producer)
                return
            producer = statement
        if producer < 0:
            if given and variable in self.params and variable not in found.reads:
                found.reads[variable] = _Read(variable, -1, span, labels)
            return
        if self.scope_of(producer) != variable.scope:
            found.state.add(producer)
            found.edges.append(self._flow(producer, index, variable, span))
            return
        before = found.reads.get(variable)
        if before is not None and before.producer >= producer:
            before.labels |= labels
            return
        if before is not None:
            labels |= before.labels
        found.reads[variable] = _Read(variable, producer, span, labels)

    def _rebound(self, source: int, target: int, variable: Variable, span: Span) -> Edge:
        """A function that one task calls has bound a name anew, which another reads."""
        why = [Reason(f"{self.name(target)} reads {variable}", span)]
        writes = [e for e in self.made[source].task.effects if e.place == variable and e.mode == "write"]
        return Edge(source, target, "flow", variable, (*why, *(effect.reason for effect in writes[:1])))

    def _read_global(self, index: int, effect: Effect, found: _Gathered) -> None:
        """A called function reads a module's global: its version comes from whoever bound or changed it last."""
        variable = effect.place
        assert isinstance(variable, Variable)
        if variable in found.reads:
            return
        labels = self.versions.labels(variable)
        last = self.versions.bound.get(variable)
        if last is None:
            self._settle(index, variable, -1, False, labels, effect.reason.span, found)
            return
        key, binder = last
        if binder >= 0:
            self._settle(index, variable, binder, False, labels, effect.reason.span, found)
        elif self.steps[key].kind == "replicated":
            found.replicated.add(key)
            self._settle(index, variable, -1, False, labels, effect.reason.span, found)
        else:
            found.home.append(effect.reason)

    # -- statements to replicate -------------------------------------------------------------------------

    def _pass_loose(self, order: int) -> None:
        """Take note of the steps before ``order`` that belong to no task."""
        steps = self.outline.steps
        while self.next_step < order:
            step = steps[self.next_step]
            self.next_step += 1
            self.versions.pass_step(step, -1)
            for bind in step.names.binds:
                self._bind(bind)
            if any((step.key, bind.variable) in self.binder for bind in step.names.binds):
                continue
            for bind in step.names.binds:
                self.versions.bound[bind.variable] = (step.key, -1)
            if step.kind == "replicated":
                self.loose.append(step)

    def _bind(self, bind: Bind) -> None:
        """Take note of whether a name is surely bound from here on."""
        if bind.deletes:
            self.unsure.add(bind.variable)
        elif bind.definite:
            self.bound.add(bind.variable)
            self.unsure.discard(bind.variable)
        elif bind.variable not in self.bound:
            self.unsure.add(bind.variable)

    def _preamble(self, index: int, draft: Draft, found: _Gathered) -> None:
        """Close the set of replicated statements over what they read themselves, and refuse what cannot be repeated."""
        block = self.driver.blocks[draft.block].block
        calls = any(facts.callees for _, facts in draft.facts())
        defines = any(_defines(self.steps[key]) for key in found.replicated)
        if block.kind != "function" and (calls or defines):
            for step in self.loose:
                if self._in_module(step) and self.versions.is_last(step):
                    found.replicated.add(step.key)
        elif block.kind == "function" and any(map(self._in_module, self.loose)):
            # What module and guard define late is there once home has come to the function's first task.
            if index == 0:
                found.home.append(
                    Reason("the first task: what the module defines before is not there earlier", draft.first.span)
                )
            else:
                found.state.add(max(self.module_tasks, 0))
        if block.kind == "function":
            found.replicated = {key for key in found.replicated if key[0] == draft.block}
        todo = list(found.replicated)
        while todo:
            step = self.steps[todo.pop()]
            for use in step.names.uses:
                for definition in use.defs:
                    if definition is None:
                        if use.variable in self.params:
                            labels = step.effects.before.get(use.variable, frozenset())
                            self._settle(index, use.variable, -1, True, labels, use.span, found)
                    elif definition in self.steps and self.steps[definition].kind == "replicated":
                        if definition not in found.replicated and (
                            block.kind != "function" or definition[0] == draft.block
                        ):
                            found.replicated.add(definition)
                            todo.append(definition)
                    elif definition != step.key:
                        found.home.append(
                            Reason(f"reads {use.variable.name!r}, whose making is not followed", use.span)
                        )
        for key in sorted(found.replicated):
            self._check_replicated(draft, self.steps[key], found)

    def _in_module(self, step: Step) -> bool:
        return self.driver.blocks[step.key[0]].block.kind != "function"

    def _check_replicated(self, draft: Draft, step: Step, found: _Gathered) -> None:
        if step.key[0] != draft.block:
            found.home.append(Reason("uses what another block of the driver defines", step.span))
        for bind in step.names.binds:
            if bind.variable in found.reads:
                found.home.append(Reason(f"{bind.variable.name!r} is bound both by a task and before it", step.span))
            if self.versions.bound.get(bind.variable, (step.key, -1))[0] != step.key:
                found.home.append(Reason(f"{bind.variable.name!r} was bound again in the meantime", step.span))
        if isinstance(step.statement, ir.Plain) and step.statement.kind == "class":
            found.home.append(Reason("uses a class that is defined after the first statement", step.span))
        module = self.driver.project.modules[self.driver.blocks[step.key[0]].module]
        for op in step.ops:
            if isinstance(op, ir.MakeFunction) and module.scopes[op.scope].free:
                free = ", ".join(repr(name) for name in module.scopes[op.scope].free)
                found.home.append(Reason(f"may call a nested function that uses {free} of the driver", step.span))

    # -- dependences -------------------------------------------------------------------------------------

    def _depend(self, index: int, draft: Draft, effects: tuple[Effect, ...], found: _Gathered) -> None:
        found.needs.update(draft.inner)
        for inner in draft.inner:
            value = self.made[inner].task.value
            assert value is not None
            span = self.made[inner].task.span
            found.reads[value] = _Read(value, inner, span, frozenset())
        for read in found.reads.values():
            if read.producer >= 0:
                found.needs.add(read.producer)
                found.edges.append(self._flow(read.producer, index, read.variable, read.span))
        taken = frozenset(label for read in found.reads.values() for label in read.labels)
        for dependence in self.ledger.dependences(effects):
            place = dependence.place
            if isinstance(place, Object) and place.label in taken and dependence.flow:
                continue  # the version is handed over
            self._edge(index, dependence.source, "flow" if dependence.flow else "order", place, dependence.why,
                       dependence.assumed, found)  # fmt: skip
            if dependence.flow:
                found.needs.add(dependence.source)
                if not isinstance(place, File):
                    found.state.add(dependence.source)
        for effect in effects:
            if isinstance(effect.place, Object) and effect.mode == "write":
                for reader, span in self.versions.readers.get(effect.place.label, ()):
                    why = (effect.reason, Reason(f"{self.name(reader)} reads it before", span))
                    self._edge(index, reader, "order", effect.place, why, effect.assumed, found)
        wide, cause = self.ledger.wide, self.ledger.wide_effect
        if wide >= 0 and cause is not None:
            found.needs.add(wide)
            found.state.add(wide)
            if not any(edge.source >= wide for edge in found.edges):
                self._edge(index, wide, "order", cause.place, (cause.reason,), cause.assumed, found)
        found.needs |= found.state

    def _flow(self, source: int, target: int, variable: Variable, span: Span) -> Edge:
        why = [Reason(f"{self.name(target)} reads {variable}", span)]
        if variable.scope == VALUE_SCOPE:
            why = [Reason(f"{self.name(target)} takes the value of {self.name(source)}", span)]
        else:
            for step in self.drafts[source].steps:
                for bind in step.names.binds:
                    if bind.variable == variable and self.drafts[source].has(step, bind.op):
                        why.append(Reason(f"{self.name(source)} binds {variable}", bind.span))
                        break
            if len(why) == 1:
                changes = [
                    e for e in self.made[source].task.effects if isinstance(e.place, Object) and e.mode == "write"
                ]
                why.append(
                    changes[0].reason
                    if changes
                    else Reason(f"{self.name(source)} may have changed it", self.made[source].task.span)
                )
        return Edge(source, target, "flow", variable, tuple(why[:2]))

    def _edge(
        self, index: int, source: int, kind: str, place: Place, why: tuple[Reason, ...], assumed: bool,
        found: _Gathered,
    ) -> None:  # fmt: skip
        found.edges.append(Edge(source, index, "flow" if kind == "flow" else "order", place, why, assumed))

    # -- inputs, outputs, and what later tasks must know --------------------------------------------------

    def _inputs(self, index: int, draft: Draft, found: _Gathered) -> tuple[Input, ...]:
        if not found.reads:
            return ()
        reads = sorted(found.reads.values(), key=lambda r: (r.span, r.variable))
        groups = _groups(reads)
        producers: dict[int, set[int]] = {}
        for read, group in zip(reads, groups, strict=True):
            producers.setdefault(group, set()).add(read.producer)
        for group, several in producers.items():
            if len(several) > 1 and not self.together:
                names = [read.variable for read, g in zip(reads, groups, strict=True) if g == group]
                text = f"{words([str(n) for n in names])} share objects, but come from different tasks"
                if self.trusting:
                    found.apart = True
                else:
                    found.home.append(Reason(text, span_of(draft)))
        for read in reads:
            if read.producer >= 0 and read.variable.scope != VALUE_SCOPE:
                outputs = self.made[read.producer].outputs
                if read.variable not in outputs:
                    there = read.variable not in self.gone.get(read.producer, ()) and read.variable not in self.unsure
                    outputs[read.variable] = Output(read.variable, there, "changed")
        return tuple(
            Input(read.variable, read.producer, group, read.span) for read, group in zip(reads, groups, strict=True)
        )

    def _outputs(self, index: int, draft: Draft, effects: Iterable[Effect]) -> dict[Variable, Output]:
        scope = self.scope_of(index)
        found: dict[Variable, Output] = {}
        gone: set[Variable] = set()
        for step in draft.steps:
            for bind in step.names.binds:
                if not draft.has(step, bind.op) or bind.variable.scope != scope:
                    continue
                if bind.deletes:
                    found.pop(bind.variable, None)
                    gone.add(bind.variable)
                else:
                    gone.discard(bind.variable)
                    sure = bind.definite or (bind.variable in found and found[bind.variable].definite)
                    found[bind.variable] = Output(bind.variable, sure)
        if gone:
            self.gone[index] = gone
        written = {e.place.label for e in effects if isinstance(e.place, Object) and e.mode == "write"}
        if written:
            for step in draft.steps:
                for use in step.names.uses:
                    if use.variable in found or not draft.has(step, use.op) or use.variable.scope != scope:
                        continue
                    if use.variable in gone:  # changed, then deleted: there is nothing to keep at the end
                        continue
                    if step.effects.before.get(use.variable, frozenset()) & written and not use.unbound:
                        found[use.variable] = Output(use.variable, True, "changed")
        return found

    def _record(self, index: int, draft: Draft, effects: tuple[Effect, ...], found: _Gathered) -> None:
        self.next_step = max(self.next_step, draft.last.order + 1)
        for read in found.reads.values():
            self.versions.read(index, read.labels, read.span)
        self.versions.record(index, effects)
        unknown = index if any(isinstance(e.place, World) and e.place == ANYTHING for e in effects) else -1
        for step in draft.steps:
            self.versions.pass_step(step, unknown)
            for bind in step.names.binds:
                if draft.has(step, bind.op):
                    self.versions.bound[bind.variable] = (step.key, index)
                    self._bind(bind)
        self.ledger.record(index, [e for e in effects if not isinstance(e.place, Object) or e.mode == "write"])
        self._record_proved(index, draft, effects)

    def _record_proved(self, index: int, draft: Draft, effects: tuple[Effect, ...]) -> None:
        likely = proved(draft)
        if len(likely) < len(effects) and any(e.assumed and e.mode == "write" for e in effects):
            self.last_assumed = index
        versions, ledger = self.likely
        versions.record(index, likely)
        ledger.record(index, [e for e in likely if not isinstance(e.place, Object) or e.mode == "write"])


def proved(draft: Draft) -> tuple[Effect, ...]:
    """The effects that are not only assumed. A bare call was written for its effects: it surely changes something of
    what it is given."""
    found: dict[Effect, None] = {}
    for step, facts in draft.facts():
        bare = isinstance(step.statement, ir.Plain) and step.statement.kind == "expression"
        for effect in facts.effects:
            if not effect.assumed or (bare and isinstance(effect.place, Object)):
                found[effect] = None
    return tuple(found)


def _worth_telling(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """The effects that a graph keeps: of those on objects only so many as anybody would look at, writes first."""
    if len(effects) <= MANY:
        return effects
    objects = [effect for effect in effects if isinstance(effect.place, Object)]
    if len(objects) <= MANY:
        return effects
    kept = set(sorted(objects, key=lambda e: e.mode, reverse=True)[:MANY])
    return tuple(effect for effect in effects if not isinstance(effect.place, Object) or effect in kept)


def _groups(reads: Sequence[_Read]) -> list[int]:
    """Alias components among inputs, numbered in order: those whose labels overlap are one."""
    if len(reads) < 2:
        return [0] * len(reads)
    owner: dict[str, int] = {}
    parent = list(range(len(reads)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, read in enumerate(reads):
        for label in read.labels:
            if label in owner:
                a, b = sorted((root(owner[label]), root(i)))
                parent[b] = a
            else:
                owner[label] = i
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(reads))]


def _defines(step: Step) -> bool:
    return isinstance(step.statement, ir.Plain) and step.statement.kind == "def"


def _parameter_names(driver: Driver) -> frozenset[Variable]:
    for block in driver.blocks:
        if block.block.kind == "function":
            scope = driver.project.modules[block.module].scopes[block.scope]
            return frozenset(Variable(block.block.scope, param.name) for param in scope.params)
    return frozenset()
