"""Every stage of the analysis as text: compact, stable, one line for each fact.

Steps are named by their line (``7``; ``7b`` for the second statement of a line). For

    X, Y = load_data()            line 1
    m = fit(X, Y, C=1.0)          line 2

``dump_uses`` gives ``2 reads X(1) Y(1) binds m``, and ``dump_tasks``::

    load_data  call  1  -> X Y  free
    fit        call  2  X@load_data Y@load_data -> m  free
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from inferflow.analysis import Stages, ir
from inferflow.analysis.facts import DefUse, Driver, DriverEffects, StepKey
from inferflow.analysis.walk import bodies, flatten, operands, results
from inferflow.model import Arm, Diagnostic, Edge, Effect, Reason, Span, Stage, Task, TaskGraph, Variable

__all__ = [
    "DUMPS",
    "dump_diagnostics",
    "dump_edges",
    "dump_effects",
    "dump_ir",
    "dump_tasks",
    "dump_uses",
    "dump_why",
]


def step_labels(driver: Driver) -> dict[StepKey, str]:
    """Steps by line, with a letter where several stand on one."""
    seen: dict[tuple[str, int], int] = {}
    labels: dict[StepKey, str] = {}
    for key in driver.steps:
        span = driver.statement(key).span
        count = seen[span.path, span.line] = seen.get((span.path, span.line), 0) + 1
        labels[key] = f"{span.line}" + ("" if count == 1 else chr(ord("a") + min(count, 26) - 1))
    return labels


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows with their columns aligned, the last one free."""
    rows = list(rows)
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows]
    return "\n".join(lines)


# -- the intermediate representation ---------------------------------------------------------------


def dump_ir(driver: Driver) -> str:
    """The operations of every step; bodies of compound statements indented."""
    labels = step_labels(driver)
    lines: list[str] = []
    for key in driver.steps:
        stack: list[tuple[str, int, ir.Statement]] = [(labels[key], 0, driver.statement(key))]
        while stack:
            label, depth, statement = stack.pop()
            kind = getattr(statement, "kind", type(statement).__name__.lower())
            ops = "; ".join(_op(op) for op in flatten(statement))
            lines.append(f"{'  ' * depth}{label} {kind}" + (f": {ops}" if ops else ""))
            inner = [s for body in bodies(statement) for s in body]
            stack.extend((str(s.span.line), depth + 1, s) for s in reversed(inner))
    return "\n".join(lines)


def _op(op: ir.Op) -> str:
    out = ",".join(f"%{t}" for t in results(op))
    args = " ".join(f"%{t}" for t in operands(op))
    match op:
        case ir.Const():
            text = f"const {op.value!r}"
        case ir.Load():
            text = f"load {op.name}" + ("" if op.binding == "local" else f" ({op.binding})")
        case ir.Store():
            text = f"store {op.name} {args}" + ("" if op.how == "assign" else f" ({op.how})")
        case ir.Delete():
            text = f"delete {op.name}"
        case ir.Attr() | ir.StoreAttr() | ir.DelAttr():
            text = f"{type(op).__name__.lower()} .{op.name} {args}"
        case ir.Call():
            given = [("*" * a.star) + (f"{a.keyword}=" if a.keyword else "") + f"%{a.value}" for a in op.args]
            text = f"call %{op.func}({', '.join(given)})"
        case ir.Operate():
            text = f"{op.op}{'=' if op.inplace else ''} {args}"
        case ir.Build():
            text = f"{op.kind} {args}" + (f" stars {list(op.stars)}" if op.stars else "")
        case ir.ImportModule():
            text = f"import {op.module}" + (" (leaf)" if op.bind_leaf else "")
        case ir.ImportFrom():
            text = f"from {'.' * op.level}{op.module} import {op.name}"
        case ir.Comprehension():
            text = f"{op.kind} comprehension {args}"
        case _:
            text = f"{type(op).__name__.lower()} {args}".rstrip()
    return f"{out} = {text}" if out else text


# -- names -----------------------------------------------------------------------------------------


def dump_uses(driver: Driver, names: DefUse) -> str:
    """For every step, what it reads (with the lines of the bindings that may reach it; ``?`` if it may be unbound) and
    what it binds (``?`` on some paths only, ``del`` where it unbinds)."""
    labels = step_labels(driver)
    lines: list[str] = []
    for key in driver.steps:
        found = names.steps.get(key)
        if found is None:
            continue
        reads: list[str] = []
        for use in found.uses:
            defs = [labels[d] for d in sorted(d for d in use.defs if d is not None)]
            if None in use.defs:
                defs.insert(0, "given")
            text = f"{use.variable}({' '.join(defs)}{'?' if use.unbound else ''})"
            if text not in reads:
                reads.append(text)
        binds: list[str] = []
        for bind in found.binds:
            text = ("del " if bind.deletes else "") + str(bind.variable) + ("" if bind.definite else "?")
            if text not in binds:
                binds.append(text)
        parts = [labels[key]]
        if reads:
            parts.append("reads " + " ".join(reads))
        if binds:
            parts.append("binds " + " ".join(binds))
        lines.append(" ".join(parts))
    if names.captured:
        lines.append("captured: " + " ".join(sorted(str(v) for v in names.captured)))
    return "\n".join(lines)


# -- effects ---------------------------------------------------------------------------------------


def dump_effects(driver: Driver, effects: DriverEffects) -> str:
    """For every step: its operations' effects, callees and obstacles, and the objects behind its names."""
    labels = step_labels(driver)
    lines: list[str] = []
    for key in driver.steps:
        facts = effects.steps.get(key)
        if facts is None:
            continue
        flags = [word for word, on in (("cheap", facts.cheap), ("literal", facts.literal)) if on]
        objects = _objects(facts.before, facts.after)
        lines.append(" ".join(p for p in (labels[key], *flags, objects) if p))
        for op in facts.ops:
            head = "  " + " ".join(
                part
                for part in (
                    op.label or ",".join(op.callees) or "-",
                    "(task)" if op.task else "",
                    "(cheap)" if op.cheap else "",
                    f"calls {' '.join(op.callees)}" if op.callees and op.label else "",
                )
                if part
            )
            if op.effects or op.obstacles or op.task:
                lines.append(head)
            lines.extend(f"    {_effect(effect)}" for effect in op.effects)
            lines.extend(f"    obstacle: {_reason(reason)}" for reason in op.obstacles)
    return "\n".join(lines)


def _objects(before: Mapping[Variable, frozenset[str]], after: Mapping[Variable, frozenset[str]]) -> str:
    parts: list[str] = []
    for variable in sorted({*before, *after}, key=str):
        old, new = (" ".join(sorted(side.get(variable, ()))) for side in (before, after))
        if old or new:
            parts.append(f"{variable}:{{{old}}}" if old == new else f"{variable}:{{{old}}}->{{{new}}}")
    return " ".join(parts)


def _effect(effect: Effect) -> str:
    assumed = " (assumed)" if effect.assumed else ""
    return f"{effect.mode}s {effect.place}{assumed}: {_reason(effect.reason)}"


def _reason(reason: Reason) -> str:
    return f"{reason.text} [{_line(reason.span)}]"


def _line(span: Span) -> str:
    return str(span.line)


# -- the graph -------------------------------------------------------------------------------------


def dump_tasks(graph: TaskGraph) -> str:
    """One line a task: name, kind, lines, inputs (``name@producer``; ``/1`` where inputs share objects), outputs (``~``
    changed in place, ``?`` on some paths only), and whether it is free of home."""
    return _table(_task_rows(graph.tasks, ""))


def _task_rows(tasks: Sequence[Task], indent: str) -> Iterator[tuple[str, ...]]:
    """A row for each task, and below it one for each arm of its regions and each task in that; of an arm also what runs
    ahead with the turns of how many loops around."""
    for task in tasks:
        name, *rest = _task_row(tasks, task)
        yield (indent + name, *rest)
        for region in task.regions:
            for arm in region.arms:
                given = " ".join(v.name for v in region.given if v.scope in ("<driver>", "<turn>") or not v.name)
                more = [f"items={','.join(region.items)}"] if region.items and arm is region.arms[0] else []
                more += [f"given={given}"] if given and arm is region.arms[0] else []
                more += [_stage_text(arm, stage) for stage in arm.stages]
                ahead = ",".join(f"{arm.tasks[index].name}/{loops}" for index, loops in arm.ahead)
                more += [f"ahead={ahead}"] if ahead else []
                more += [f"apart={','.join(arm.tasks[index].name for index in arm.apart)}"] if arm.apart else []
                line = (
                    f"{arm.span.line}" if arm.span.line == arm.span.end_line else f"{arm.span.line}-{arm.span.end_line}"
                )
                yield (f"{indent}  {arm.name}:", region.kind, line, " ".join(more))
                yield from _task_rows(arm.tasks, indent + "    ")


def _stage_text(arm: Arm, stage: Stage) -> str:
    """Groups that may run beside each other, and the line from which on they may."""
    groups = ["+".join(arm.tasks[index].name for index in group) for group in stage.groups]
    return f"beside={'|'.join(groups)}"


def _task_row(tasks: Sequence[Task], task: Task) -> tuple[str, ...]:
    span = task.span
    lines = f"{span.line}" if span.end_line == span.line else f"{span.line}-{span.end_line}"
    shared = {g for g in (i.group for i in task.inputs) if sum(i.group == g for i in task.inputs) > 1}
    inputs = [
        ("<" + i.variable.name + ">" if i.variable.scope == "<value>" else str(i.variable))
        + "@"
        + (tasks[i.producer].name if i.producer >= 0 else "given")
        + (f"/{i.group}" if i.group in shared else "")
        for i in task.inputs
    ]
    outputs = [
        ("~" if o.change == "changed" else "")
        + ("<value>" if o.variable.scope == "<value>" else str(o.variable))
        + ("" if o.definite else "?")
        for o in task.outputs
    ]
    more = ["home" if task.home else "free"]
    if task.inner:
        more.append("inner=" + ",".join(tasks[i].name for i in task.inner))
    producers = {i.producer for i in task.inputs}
    others = [tasks[i].name for i in task.needs if i not in producers and i not in task.state]
    if others:
        more.append("needs=" + ",".join(others))
    if task.state:
        more.append("after=" + ",".join(tasks[i].name for i in task.state))
    if task.preamble:
        more.append("with=" + ",".join(str(s.line) for s in task.preamble))
    text = " ".join([*inputs, "->", *outputs])
    return (task.name, task.kind, lines, f"{text}  {' '.join(more)}")


def dump_edges(graph: TaskGraph) -> str:
    """One line an edge: its ends, kind, place, and why."""
    return "\n".join(_edge(graph, edge) for edge in graph.edges)


def _edge(graph: TaskGraph, edge: Edge) -> str:
    ends = f"{graph.tasks[edge.source].name} -> {graph.tasks[edge.target].name}"
    why = "; ".join(_reason(reason) for reason in edge.why)
    place = getattr(edge.place, "name", None) if getattr(edge.place, "scope", "") == "<value>" else str(edge.place)
    what = "value" if getattr(edge.place, "scope", "") == "<value>" else place
    return f"{ends} {edge.kind} {what}{' (assumed)' if edge.assumed else ''}: {why}"


def dump_why(graph: TaskGraph) -> str:
    """Why each task that is not free has to stay at home; tasks in regions after the name of the one around them."""
    return "\n".join(_why(graph.tasks, ""))


def _why(tasks: Sequence[Task], path: str) -> Iterator[str]:
    for task in tasks:
        yield from (f"{path}{task.name}: {_reason(reason)}" for reason in task.home)
        for region in task.regions:
            for arm in region.arms:
                yield from _why(arm.tasks, f"{path}{task.name}/")


def dump_diagnostics(diagnostics: Iterable[Diagnostic]) -> str:
    """One line a diagnostic."""
    return "\n".join(
        f"{d.span.line} {d.code} {d.severity.value}: {d.message}" + (f" ({d.hint})" if d.hint else "")
        for d in diagnostics
    )


def _of_driver(dump: Callable[[Stages], str]) -> Callable[[Stages, TaskGraph | None, tuple[Diagnostic, ...]], str]:
    return lambda stages, graph, diagnostics: dump(stages) if stages.driver is not None else ""


def _of_graph(dump: Callable[[TaskGraph], str]) -> Callable[[Stages, TaskGraph | None, tuple[Diagnostic, ...]], str]:
    return lambda stages, graph, diagnostics: dump(graph) if graph is not None else ""


def _stage_uses(stages: Stages) -> str:
    return dump_uses(stages.driver, stages.names) if stages.driver and stages.names else ""


def _stage_effects(stages: Stages) -> str:
    return dump_effects(stages.driver, stages.effects) if stages.driver and stages.effects else ""


DUMPS: Mapping[str, Callable[[Stages, TaskGraph | None, tuple[Diagnostic, ...]], str]] = {
    "ir": _of_driver(lambda stages: dump_ir(stages.driver) if stages.driver else ""),
    "uses": _of_driver(_stage_uses),
    "effects": _of_driver(_stage_effects),
    "tasks": _of_graph(dump_tasks),
    "edges": _of_graph(dump_edges),
    "why": _of_graph(dump_why),
    "diagnostics": lambda stages, graph, diagnostics: dump_diagnostics(diagnostics),
}
"""The stages by name, each from what the analysis gave."""
