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

from collections.abc import Iterable, Sequence

from inferflow.analysis.drafts import Draft, anchor_of, effects_of, span_of
from inferflow.analysis.facts import UNKNOWN_TYPE, StepKey
from inferflow.analysis.link_edges import depend
from inferflow.analysis.link_reads import read_global, read_use, remakes, repeat
from inferflow.analysis.link_state import VALUE_SCOPE, Gathered, Links, Made, Read, proved
from inferflow.analysis.texts import Texts
from inferflow.analysis.ties import own_reasons, words
from inferflow.model import Edge, Effect, File, Guess, Input, Object, Output, Reason, Span, Task, Variable
from inferflow.records import evolve

__all__ = ["Linker"]

MANY = 40
"""So many effects on objects a graph keeps of a task."""


class Linker:
    """The state of the one pass over the drafts: ``build`` them in order, then take ``finished`` and ``edges``."""

    def __init__(self, links: Links) -> None:
        self.edges: list[Edge] = []
        self._links = links
        self._texts = Texts(links.driver.project.sources)

    def build(self, index: int) -> None:
        """Make task ``index`` from its draft; all earlier ones are made."""
        links = self._links
        draft = links.drafts[index]
        links.pass_loose(draft.first.order)
        effects = effects_of(draft)
        found = self._gather(index, draft, effects)
        inputs = self._inputs(index, draft, found)
        guess = self._guess(index, draft, effects, found)
        outputs = self._outputs(index, draft, effects)
        value = Variable(VALUE_SCOPE, links.name(index)) if draft.expression is not None else None
        if value is not None:
            outputs[value] = Output(value)
        span = span_of(draft)
        task = Task(
            key=links.keys[index],
            kind=draft.kind,
            span=span,
            source=self._texts.cut(span),
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
        links.made.append(Made(task, outputs))
        links.record(index, draft, effects, found)

    def _spans(self, keys: Iterable[StepKey]) -> tuple[Span, ...]:
        links = self._links
        return tuple(links.steps[key].span for key in sorted(keys, key=lambda k: links.steps[k].order))

    def _gather(self, index: int, draft: Draft, effects: tuple[Effect, ...]) -> Gathered:
        """What the task reads, from whom, and what ties it to home."""
        links = self._links
        found = Gathered()
        found.home.extend(draft.reasons)
        found.home.extend(
            own_reasons(links.driver, links.names, links.outline, links.binds, draft, links.trusting, links.together)
        )
        for inner in draft.inner:
            task = links.made[inner].task
            if task.home and not (links.trusting and task.guess is not None):
                found.home.append(Reason(f"{links.name(inner)} in it stays at home", task.span))
        own = {step.key for step in draft.steps}
        for step in draft.steps:
            for use in step.names.uses:
                if draft.has(step, use.op):
                    read_use(links, index, own, step, use, found)
        for effect in effects:
            if effect.mode == "read" and isinstance(effect.place, Variable):
                read_global(links, index, effect, found)
        repeat(links, index, draft, found)
        depend(links, index, draft, effects, found)
        return found

    def _guess(self, index: int, draft: Draft, effects: tuple[Effect, ...], sure: Gathered) -> Guess | None:
        """How the task may run ahead if nothing comes true of what is only assumed."""
        links = self._links
        assumed = any(effect.mode == "write" and effect.assumed for effect in effects)
        if not sure.home and links.last_assumed < 0:
            return None
        if sure.home and own_reasons(links.driver, links.names, links.outline, links.binds, draft, True):
            return None
        with links.trust():
            found = self._gather(index, draft, proved(draft))
            inputs = self._inputs(index, draft, found) if not found.home else ()
        if found.home or (sure.home and remakes(links, found)):
            return None
        if draft.whole and not self._changes_inputs_only(draft, found):
            return None
        facts = [facts for _, facts in draft.facts()]
        unknown = any(
            effect.assumed and effect.mode == "write" and not isinstance(effect.place, Object) for effect in effects
        ) or any(UNKNOWN_TYPE in reason.text for f in facts for reason in f.obstacles)
        checked = unknown or links.last_assumed > max(found.state, default=-1)
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

    def _changes_inputs_only(self, draft: Draft, found: Gathered) -> bool:
        """Whether all that is changed in place can be reached from inputs: of what they were, home is told what has
        changed."""
        links = self._links
        start = draft.first.order
        places = (effect.place for effect in effects_of(draft) if effect.mode == "write")
        changed = {p.label for p in places if isinstance(p, Object) and links.outline.outside(p.label, start)}
        handed = (read.labels for read in found.reads.values() if read.producer >= 0 or read.variable in links.params)
        return changed <= frozenset().union(*handed)

    def finished(self) -> tuple[Task, ...]:
        """The tasks; those with the outputs that later ones turned out to need."""
        links = self._links
        return tuple(
            made.task
            if len(made.outputs) == len(made.task.outputs)
            else evolve(made.task, outputs=tuple(made.outputs.values()))
            for made in links.made
        )

    # -- inputs, outputs, and what later tasks must know --------------------------------------------------

    def _inputs(self, index: int, draft: Draft, found: Gathered) -> tuple[Input, ...]:
        links = self._links
        if not found.reads:
            return ()
        reads = sorted(found.reads.values(), key=lambda r: (r.span, r.variable))
        groups = _groups(reads)
        producers: dict[int, set[int]] = {}
        for read, group in zip(reads, groups, strict=True):
            producers.setdefault(group, set()).add(read.producer)
        for group, several in producers.items():
            if len(several) > 1 and not links.together:
                names = [read.variable for read, g in zip(reads, groups, strict=True) if g == group]
                text = f"{words([str(n) for n in names])} share objects, but come from different tasks"
                if links.trusting:
                    found.apart = True
                else:
                    found.home.append(Reason(text, span_of(draft)))
        for read in reads:
            if read.producer >= 0 and read.variable.scope != VALUE_SCOPE:
                outputs = links.made[read.producer].outputs
                if read.variable not in outputs:
                    there = read.variable not in links.gone.get(read.producer, ()) and read.variable not in links.unsure
                    outputs[read.variable] = Output(read.variable, there, "changed")
        return tuple(
            Input(read.variable, read.producer, group, read.span) for read, group in zip(reads, groups, strict=True)
        )

    def _outputs(self, index: int, draft: Draft, effects: Iterable[Effect]) -> dict[Variable, Output]:
        links = self._links
        scope = links.scope_of(index)
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
            links.gone[index] = gone
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


def _worth_telling(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """The effects that a graph keeps: of those on objects only so many as anybody would look at, writes first."""
    if len(effects) <= MANY:
        return effects
    objects = [effect for effect in effects if isinstance(effect.place, Object)]
    if len(objects) <= MANY:
        return effects
    kept = set(sorted(objects, key=lambda e: e.mode, reverse=True)[:MANY])
    return tuple(effect for effect in effects if not isinstance(effect.place, Object) or effect in kept)


def _groups(reads: Sequence[Read]) -> list[int]:
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
