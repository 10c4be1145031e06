"""One task of a run in full, and what the driver wrote.

2  model_fit                                   20251122-201403-kf
   iris/driver.py:26
   logreg = model_fit(X, Y, C=1.0)

attempt 1  ok · ahead on helper-1 · 38 ms (35 ms of CPU) · 84 MiB
  inputs   X        ndarray float64 (150, 2)    from 1 load_data
  values   logreg   LogisticRegression(C=1.0)   1.2 KiB  4f0d29c1ab
  files    wrote iris.png (24 KiB, 91ab03c2de)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inferflow.model import Attempt, FileUse, RegionFacts, Run, StoredValue, Task, TaskGraph
from inferflow.render.executed import executed_lines
from inferflow.render.failure import last_lines, without
from inferflow.render.items import identity, item_text, labelled
from inferflow.render.outline import because, label, source_text, titled
from inferflow.render.regions import region_text
from inferflow.render.runs import counting, kind_note, kind_text, status_role, value_name
from inferflow.render.style import Piece, bullet, clean, code_lines, compose, paint, table, uncolored, wrap
from inferflow.render.units import duration, moment, size

__all__ = ["render_logs", "render_task"]

MARGIN = 12
SHOWN = 10
"""So many items of a loop are listed."""
TAIL = 20
"""So many last lines of each stream are shown; ``inferflow logs`` has all."""


def render_task(
    graph: TaskGraph,
    run: Run,
    task: str,
    width: int = 80,
    color: bool = False,
    books: Mapping[str, bytes] | None = None,
) -> str:
    """Everything recorded of one task, each attempt in full, ending in a newline. ``books`` are executed notebooks that
    it left, by the digest of their content: their cells are shown too. Raises KeyError."""
    index = graph.index(task)
    item = graph.tasks[index]
    lines = [
        compose([(f"{index + 1}  ", "dim"), (clean(titled(item)), "name")], width, color, [(run.id, "dim")]),
        compose([("   ", ""), (clean(str(item.span)) + kind_note(item), "dim")], width, color),
    ]
    for text in code_lines(source_text(item))[:12]:
        shown = clean(text)
        lead = " " * (5 + min(20, len(shown) - len(shown.lstrip())))
        lines += [compose([(lead, ""), (part, "")], width, color) for part in wrap(shown.strip(), width - len(lead), 3)]
    for why in item.home[:3]:
        lines += bullet(("at home: ", "dim"), because(why, graph.path), width, color, role="dim", indent=3)
    found = [attempt for attempt in run.attempts if attempt.task == index]
    if not found:
        lines += ["", paint("not run", "dim", color)]
    for attempt in found:
        lines += ["", *_attempt(graph, run, item, attempt, width, color)]
        for use in attempt.files:
            if books and use.mode == "write" and use.digest in books:
                lines += ["", *executed_lines(use.path, books[use.digest], width, color)]
    step = f"inferflow logs {run.id} {clean(item.name)}"
    if found and any(value.artifact for value in found[-1].values):
        name = next(value.name for value in found[-1].values if value.artifact)
        step = f"inferflow get {run.id} {clean(name)}"
    return "\n".join([*lines, "", compose([("next  ", "dim"), (step, "link")], width, color)]) + "\n"


def _attempt(graph: TaskGraph, run: Run, task: Task, attempt: Attempt, width: int, color: bool) -> list[str]:
    status = {"retired": "ok", "finished": "done, waiting for its turn"}.get(attempt.status, attempt.status)
    dropped = "cut off: " if attempt.where == "home" else "dropped: "
    status = dropped.rstrip(": ") if attempt.status == "dropped" else status
    where = {"home": "at home", "ahead": "ahead, in a helper", "reused": "the result of an earlier run"}[attempt.where]
    facts = [where + (f" ({clean(attempt.worker)})" if attempt.worker else "")]
    if attempt.duration or attempt.status in ("retired", "finished", "failed"):
        facts.append(duration(attempt.duration) + (f" ({duration(attempt.cpu)} of CPU)" if attempt.cpu else ""))
    if attempt.peak_memory:
        facts.append(f"up to {size(attempt.peak_memory)}")
    lines = [
        compose([(f"attempt {attempt.number}  ", "title"), (status, status_role(attempt.status))], width, color),
        *bullet(("", ""), f"{moment(attempt.started)} · {' · '.join(facts)}", width, color, role="dim"),
    ]
    if attempt.why:
        lines += bullet((dropped, "dim"), clean(attempt.why), width, color)
    lines += _inputs(graph, run, task, width, color)
    lines += _values(task, attempt.values, width, color)
    lines += _regions(attempt.regions, width, color)
    lines += _effects(graph, task, width, color)
    lines += _files(attempt.files, width, color)
    for stream, text in (("stdout", attempt.stdout), ("stderr", attempt.stderr)):
        lines += _stream(stream, without(text, attempt.traceback), color)
    if attempt.traceback or attempt.exception:
        text = attempt.traceback or ": ".join(part for part in (attempt.exception, attempt.message) if part)
        lines += ["", paint("  traceback", "dim", color)]
        lines += [f"    {clean(line)}" for line in uncolored(text).rstrip("\n").splitlines()]
    return lines


def _inputs(graph: TaskGraph, run: Run, task: Task, width: int, color: bool) -> list[str]:
    best = counting(run)
    parameters = dict(run.started.parameters)
    defaults = {item.name: f"{item.default} (default)" for item in graph.parameters if item.default is not None}
    rows: list[list[Piece]] = []
    for item in task.inputs:
        name = label(item.variable)
        kept = best[item.producer].values if item.producer in best else ()
        value = next((value for value in kept if value.name == item.variable.name), None)
        what = kind_text(value) if value else ""
        if item.producer >= 0:
            origin = f"from {item.producer + 1} {clean(graph.tasks[item.producer].name)}"
        else:
            origin = "given"
            what = what or clean(parameters.get(item.variable.name, defaults.get(item.variable.name, "")))
        rows.append([(name, "value"), (what, ""), (origin, "dim")])
    return _section("inputs", ["name", "value", "from"], rows, width, color)


def _values(task: Task, values: Iterable[StoredValue], width: int, color: bool) -> list[str]:
    rows: list[list[Piece]] = []
    for value in values:
        name = value_name(value, task)
        if value.artifact:
            kept: Piece = (f"{size(value.artifact.size)}  {value.artifact.digest[:12]}", "dim")
        else:
            kept = ("not kept" + (f": {clean(value.why_not)}" if value.why_not else ""), "warn")
        inexact = " (not exact when loaded)" if value.exact is False else ""
        rows.append([(name, "value"), (kind_text(value) + inexact, ""), kept])
    return _section("values", ["name", "value", "kept"], rows, width, color)


def _regions(regions: Iterable[RegionFacts], width: int, color: bool) -> list[str]:
    """Loops and branches: items done of all, arms taken and skipped, and the first items one by one."""
    lines: list[str] = []
    for facts in regions:
        lines += bullet((f"{clean(facts.path)}  ", "name"), clean(facts.name), width, color, indent=4, limit=2)
        lines += bullet(("  ", ""), region_text(facts), width, color, role="dim", indent=4, limit=3)
        rows: list[list[Piece]] = [
            [
                (identity((*item.around, item.index)) if item.around else str(item.index), "dim"),
                (clean(item.item), "value"),
                (duration(item.duration), ""),
                ("ahead" if item.where == "ahead" else "at home", item.where),
            ]
            for item in facts.told[:SHOWN]
        ]
        if rows:
            body = table(["#", "item", "took", "ran"], rows, width - 6, color, right=frozenset({0, 2}), shrink=(1,))[2:]
            lines += [f"      {line}" for line in body]
    return ["", paint("  inside", "dim", color), *lines] if lines else []


def _files(files: Iterable[FileUse], width: int, color: bool) -> list[str]:
    rows: list[list[Piece]] = [
        [
            ({"read": "read", "write": "wrote"}[use.mode], "dim"),
            (clean(use.path), "value"),
            (f"{size(use.size)}  {use.digest[:12]}" if use.digest else "gone since", "dim"),
        ]
        for use in files
    ]
    return _section("files", ["how", "path", "content"], rows, width, color)


def _effects(graph: TaskGraph, task: Task, width: int, color: bool) -> list[str]:
    told: dict[str, None] = {}
    for effect in task.effects:
        if effect.mode == "write":
            told[f"{label(effect.place)}: {because(effect.reason, graph.path)}"] = None
    lines = []
    for text in list(told)[:6]:
        lines += bullet(("· ", "dim"), text, width, color, role="dim", indent=4, limit=2)
    if len(told) > 6:
        lines.append(paint(f"    · and {len(told) - 6} more", "dim", color))
    return ["", paint("  effects expected", "dim", color), *lines] if lines else []


def _section(title: str, head: list[str], rows: list[list[Piece]], width: int, color: bool) -> list[str]:
    if not rows:
        return []
    body = table(head, rows, width - 4, color, shrink=(1, 2), lines=3)[2:]
    return ["", paint(f"  {title}", "dim", color), *(f"    {line}" for line in body)]


def _stream(name: str, text: str, color: bool) -> list[str]:
    lines = last_lines(text, TAIL + 1)
    if not lines:
        return []
    head = f"  {name}" + (f" (the last {TAIL} lines)" if len(lines) > TAIL else "")
    return ["", paint(head, "dim", color), *(f"    {line}" for line in lines[-TAIL:])]


def render_logs(
    graph: TaskGraph,
    run: Run,
    task: str | None = None,
    color: bool = False,
    item: tuple[int, ...] | None = None,
    items: bool = False,
) -> str:
    """What the driver wrote, task by task in program order under a head for each task and stream, then what stands
    outside all tasks; for one ``task`` that wrote to one stream only, just that text. Under a head, and with ``items``,
    lines say which turn of a loop wrote them; ``item`` chooses one turn of the task. Raises KeyError."""
    best = counting(run)
    chosen = sorted(best) if task is None else [graph.index(task)]
    parts = []
    for index in chosen:
        attempt = best.get(index)
        name = "the driver"
        if index >= 0:
            name = f"{index + 1} {clean(titled(graph.tasks[index]))}"
        if attempt and item is not None:
            texts = [item_text(attempt, stream, item) for stream in ("stdout", "stderr")]
            parts += [(f"{name} {identity(item)} · {stream}", _whole(text)) for stream, text in _streams(*texts)]
        elif attempt:
            found = _streams(attempt.stdout, attempt.stderr)
            told = items or task is None or len(found) > 1
            parts += [
                (f"{name} · {stream}", labelled(attempt, stream, color) if told else _whole(text))
                for stream, text in found
            ]
    if task is None:
        if run.driver_failure:
            failure = run.driver_failure
            parts += [(f"outside the tasks · {s}", _whole(t)) for s, t in _streams(failure.stdout, failure.stderr)]
        if run.finished:
            finished = run.finished
            parts += [(f"outside the tasks · {s}", _whole(t)) for s, t in _streams(finished.stdout, finished.stderr)]
    if len(parts) == 1 and task is not None:
        return parts[0][1]
    return "\n".join(f"{paint(f'── {head}', 'dim', color)}\n{text}" for head, text in parts)


def _streams(stdout: str, stderr: str) -> list[tuple[str, str]]:
    return [(name, text) for name, text in (("stdout", stdout), ("stderr", stderr)) if text]


def _whole(text: str) -> str:
    """All the text, safe to show, ending in a newline; of a line rewritten after ``\\r`` its last state."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return clean("\n".join(lines)).rstrip("\n") + "\n"
