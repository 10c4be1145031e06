"""Why one task comes after another: the edges of the graph, each with the lines on both of its sides.

x = load()              0 binds x
x.sort()                1 changes x            0 -> 1 flow x: sort reads x; load binds x
np.random.seed(0)       2 writes numpy.random
y = noise()             3 reads it             2 -> 3 flow numpy.random: noise reads it; seed writes it
"""

from __future__ import annotations

from typing import Literal

from inferflow.analysis.drafts import Draft
from inferflow.analysis.link_state import VALUE_SCOPE, Gathered, Links, Read
from inferflow.model import Edge, Effect, File, Object, Reason, Span, Variable

__all__ = ["depend", "flow", "rebound"]


def depend(links: Links, index: int, draft: Draft, effects: tuple[Effect, ...], found: Gathered) -> None:
    """What the task needs done before it, and after what it has to come: by what it reads, and by what it does."""
    found.needs.update(draft.inner)
    for inner in draft.inner:
        value = links.made[inner].task.value
        assert value is not None
        span = links.made[inner].task.span
        found.reads[value] = Read(value, inner, span, frozenset())
    for read in found.reads.values():
        if read.producer >= 0:
            found.needs.add(read.producer)
            found.edges.append(flow(links, read.producer, index, read.variable, read.span))
    taken = frozenset(label for read in found.reads.values() for label in read.labels)
    for dependence in links.ledger.dependences(effects):
        place = dependence.place
        if isinstance(place, Object) and place.label in taken and dependence.flow:
            continue  # the version is handed over
        mode: Literal["flow", "order"] = "flow" if dependence.flow else "order"
        found.edges.append(Edge(dependence.source, index, mode, place, dependence.why, dependence.assumed))
        if dependence.flow:
            found.needs.add(dependence.source)
            if not isinstance(place, File):
                found.state.add(dependence.source)
    for effect in effects:
        if isinstance(effect.place, Object) and effect.mode == "write":
            for reader, span in links.versions.readers.get(effect.place.label, ()):
                why = (effect.reason, Reason(f"{links.name(reader)} reads it before", span))
                found.edges.append(Edge(reader, index, "order", effect.place, why, effect.assumed))
    wide, cause = links.ledger.wide, links.ledger.wide_effect
    if wide >= 0 and cause is not None:
        found.needs.add(wide)
        found.state.add(wide)
        if not any(edge.source >= wide for edge in found.edges):
            found.edges.append(Edge(wide, index, "order", cause.place, (cause.reason,), cause.assumed))
    found.needs |= found.state


def flow(links: Links, source: int, target: int, variable: Variable, span: Span) -> Edge:
    """One task reads a version that another has left, by binding the name or changing its object."""
    why = [Reason(f"{links.name(target)} reads {variable}", span)]
    if variable.scope == VALUE_SCOPE:
        why = [Reason(f"{links.name(target)} takes the value of {links.name(source)}", span)]
    else:
        for step in links.drafts[source].steps:
            for bind in step.names.binds:
                if bind.variable == variable and links.drafts[source].has(step, bind.op):
                    why.append(Reason(f"{links.name(source)} binds {variable}", bind.span))
                    break
        if len(why) == 1:
            changes = [e for e in links.made[source].task.effects if isinstance(e.place, Object) and e.mode == "write"]
            why.append(
                changes[0].reason
                if changes
                else Reason(f"{links.name(source)} may have changed it", links.made[source].task.span)
            )
    return Edge(source, target, "flow", variable, tuple(why[:2]))


def rebound(links: Links, source: int, target: int, variable: Variable, span: Span) -> Edge:
    """A function that one task calls has bound a name anew, which another reads."""
    why = [Reason(f"{links.name(target)} reads {variable}", span)]
    writes = [e for e in links.made[source].task.effects if e.place == variable and e.mode == "write"]
    return Edge(source, target, "flow", variable, (*why, *(effect.reason for effect in writes[:1])))
