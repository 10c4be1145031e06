"""From whom a task gets what it reads, and which statements a helper executes again for it.

    SIZE = 4                replicated: it costs nothing, and whoever reads SIZE repeats it
    x = load(SIZE)          0 repeats line 1
    x.sort()                1 reads x from 0
    report(x)               2 reads x from 1, which changed its object last

A name comes from whoever bound it last, or changed an object last that can be reached from it. What can be neither
handed over nor repeated ties the task to home.
"""

from __future__ import annotations

from inferflow.analysis import ir
from inferflow.analysis.drafts import Draft
from inferflow.analysis.facts import StepKey, Use
from inferflow.analysis.link_edges import flow, rebound
from inferflow.analysis.link_state import VALUE_SCOPE, Gathered, Links, Read
from inferflow.analysis.steps import Step
from inferflow.analysis.ties import binds_function
from inferflow.model import Effect, Reason, Span, Variable

__all__ = ["read_global", "read_use", "remakes", "repeat"]


def read_use(links: Links, index: int, own: set[StepKey], step: Step, use: Use, found: Gathered) -> None:
    """Task ``index``, whose steps are ``own``, reads a name: from tasks, as a parameter, or by repeating literals."""
    variable = use.variable
    outer: set[StepKey | None] = set()
    for definition in use.defs:
        if definition is not None and definition in own:
            binder = links.binder.get((definition, variable), index)
            if binder == index:
                continue
            found.home.append(Reason(f"reads {variable.name!r}, which its own statement binds", use.span))
            continue
        outer.add(definition)
    if not outer and use.defs:
        return
    labels = step.effects.before.get(variable, frozenset())
    links.versions.note(variable, labels)
    if use.unbound and links.binds.get(variable, 0):
        found.home.append(Reason(f"{variable.name!r} may not be bound here", use.span))
    producer = -1
    given = False
    literals: list[StepKey] = []
    for definition in outer:
        if definition is None:
            given = True
            if variable in links.params and links.driver.call is None:
                links.versions.given |= labels
        elif links.steps[definition].kind == "replicated" and links.binder.get((definition, variable), -1) < 0:
            literals.append(definition)
        else:
            binder = links.binder.get((definition, variable), -1)
            if binder < 0 or binder >= index:
                found.home.append(Reason(f"reads {variable.name!r}, whose making is not followed", use.span))
            else:
                producer = max(producer, binder)
                if binds_function(links.steps[definition], variable.name):
                    found.home.append(
                        Reason(f"{variable.name!r} is a function, class or generator that a task made", use.span)
                    )
    if producer < 0:  # else a statement that may bind it anew, or not, stands between: what it leaves is handed on
        found.replicated.update(literals)
    _settle(links, index, variable, producer, given, labels, use.span, found)


def read_global(links: Links, index: int, effect: Effect, found: Gathered) -> None:
    """A called function reads a module's global: its version comes from whoever bound or changed it last."""
    variable = effect.place
    assert isinstance(variable, Variable)
    if variable in found.reads:
        return
    labels = links.versions.labels(variable)
    last = links.versions.bound.get(variable)
    if last is None:
        _settle(links, index, variable, -1, False, labels, effect.reason.span, found)
        return
    key, binder = last
    if binder >= 0:
        _settle(links, index, variable, binder, False, labels, effect.reason.span, found)
    elif links.steps[key].kind == "replicated":
        found.replicated.add(key)
        _settle(links, index, variable, -1, False, labels, effect.reason.span, found)
    else:
        found.home.append(effect.reason)


def _settle(
    links: Links, index: int, variable: Variable, producer: int, given: bool, labels: frozenset[str], span: Span,
    found: Gathered,
) -> None:  # fmt: skip
    """Note an input from whoever left this version: the task that bound the name, or changed an object of it."""
    writer = links.ledger.last_write(variable) if variable.scope in links.driver.project.modules else -1
    for label in labels:
        producer = max(producer, links.versions.changed(label))
    if writer >= max(producer, 0):
        # A function that this task calls has bound the name anew: what it is now is known to the process only.
        found.state.add(writer)
        found.edges.append(rebound(links, writer, index, variable, span))
        return
    if producer >= 0 and links.drafts[producer].expression is not None and variable.scope != VALUE_SCOPE:
        # What an expression leaves under a name is there to be handed on when its statement is done.
        statement = links.statements.get(links.drafts[producer].first.key, index)
        if statement >= index:
            found.home.append(Reason(f"reads {variable.name!r} in the statement that changes it", span))
            found.needs.add(producer)
            return
        producer = statement
    if producer < 0:
        if given and variable in links.params and variable not in found.reads:
            found.reads[variable] = Read(variable, -1, span, labels)
        return
    if links.scope_of(producer) != variable.scope:
        found.state.add(producer)
        found.edges.append(flow(links, producer, index, variable, span))
        return
    before = found.reads.get(variable)
    if before is not None and before.producer >= producer:
        before.labels |= labels
        return
    if before is not None:
        labels |= before.labels
    found.reads[variable] = Read(variable, producer, span, labels)


def repeat(links: Links, index: int, draft: Draft, found: Gathered) -> None:
    """Close the set of replicated statements over what they read themselves, and refuse what cannot be repeated."""
    block = links.driver.blocks[draft.block].block
    calls = any(facts.callees for _, facts in draft.facts())
    defines = any(_defines(links.steps[key]) for key in found.replicated)
    if block.kind != "function" and (calls or defines):
        for step in links.loose:
            if links.in_module(step) and links.versions.is_last(step):
                found.replicated.add(step.key)
    elif block.kind == "function" and any(map(links.in_module, links.loose)):
        # What module and guard define late is there once home has come to the function's first task.
        if index == 0:
            found.home.append(
                Reason("the first task: what the module defines before is not there earlier", draft.first.span)
            )
        else:
            found.state.add(max(links.module_tasks, 0))
    if block.kind == "function":
        found.replicated = {key for key in found.replicated if key[0] == draft.block}
    todo = list(found.replicated)
    while todo:
        step = links.steps[todo.pop()]
        for use in step.names.uses:
            for definition in use.defs:
                if definition is None:
                    if use.variable in links.params:
                        labels = step.effects.before.get(use.variable, frozenset())
                        _settle(links, index, use.variable, -1, True, labels, use.span, found)
                elif definition in links.steps and links.steps[definition].kind == "replicated":
                    if definition not in found.replicated and (
                        block.kind != "function" or definition[0] == draft.block
                    ):
                        found.replicated.add(definition)
                        todo.append(definition)
                elif definition != step.key:
                    found.home.append(Reason(f"reads {use.variable.name!r}, whose making is not followed", use.span))
    for key in sorted(found.replicated):
        _check_repeated(links, draft, links.steps[key], found)


def remakes(links: Links, found: Gathered) -> bool:
    """Whether a replicated statement makes an object that can be changed: a helper would have another one of its own,
    and nobody would see that the task's result shares it."""
    steps = (links.steps[key] for key in found.replicated)
    return any(
        links.versions.labels(bind.variable) for step in steps if not _defines(step) for bind in step.names.binds
    )


def _check_repeated(links: Links, draft: Draft, step: Step, found: Gathered) -> None:
    if step.key[0] != draft.block:
        found.home.append(Reason("uses what another block of the driver defines", step.span))
    for bind in step.names.binds:
        if bind.variable in found.reads:
            found.home.append(Reason(f"{bind.variable.name!r} is bound both by a task and before it", step.span))
        if links.versions.bound.get(bind.variable, (step.key, -1))[0] != step.key:
            found.home.append(Reason(f"{bind.variable.name!r} was bound again in the meantime", step.span))
    if isinstance(step.statement, ir.Plain) and step.statement.kind == "class":
        found.home.append(Reason("uses a class that is defined after the first statement", step.span))
    module = links.driver.project.modules[links.driver.blocks[step.key[0]].module]
    for op in step.ops:
        if isinstance(op, ir.MakeFunction) and module.scopes[op.scope].free:
            free = ", ".join(repr(name) for name in module.scopes[op.scope].free)
            found.home.append(Reason(f"may call a nested function that uses {free} of the driver", step.span))


def _defines(step: Step) -> bool:
    return isinstance(step.statement, ir.Plain) and step.statement.kind == "def"
