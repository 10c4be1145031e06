"""The graph as a promise: every order of a script's statements that keeps the edges gives what program order gives.

    found = check(text, folder)         # Found(orders=6, wrong=(), spurious=())

``run_in`` executes the statements of the tasks in one process, in an order of its own; ``orders`` lists the linear
extensions of the graph. An edge of the transitive reduction is *needed* if some order that keeps all other edges but not
this one gives another result, else it is *spurious*: it costs parallelism, and nothing else.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import random
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from attrs import frozen

from inferflow.worker.portrait import portrait

MOST = 60
"""Orders that are tried."""


@frozen
class Found:
    """How many orders were tried; those that gave another result; the edges without which nothing changes, as pairs of
    task numbers from 1."""

    orders: int
    wrong: tuple[tuple[int, ...], ...]
    spurious: tuple[tuple[int, int], ...]


def check(text: str, folder: Path) -> Found:
    """Try the graph of a script."""
    from inferflow.config.settings import load_settings
    from inferflow.session.infer import infer
    from inferflow.session.target import open_target

    project = folder / "project"
    project.mkdir()
    (project / "driver.py").write_text(text)
    graph = infer(open_target(str(project / "driver.py"), project), load_settings(project, environ={})).graph
    statements = ast.parse(text).body
    groups: list[tuple[int, int]] = sorted({(t.anchor.first, t.anchor.last) for t in graph.tasks})
    number = {span: index for index, span in enumerate(groups)}
    of_task = [number[(task.anchor.first, task.anchor.last)] for task in graph.tasks]
    edges = {(of_task[edge.source], of_task[edge.target]) for edge in graph.edges}
    edges = {(a, b) for a, b in edges if a != b}
    covered = {index for first, last in groups for index in range(first, last + 1)}
    always = [node for index, node in enumerate(statements) if index not in covered]

    def result(order: tuple[int, ...]) -> object:
        nodes = [*always, *(node for group in order for node in statements[groups[group][0] : groups[group][1] + 1])]
        return run_in(nodes, folder / "run")

    native = run_in(list(statements), folder / "run")
    wrong, count = [], 0
    for order in islice(orders(len(groups), edges), MOST):
        count += 1
        if result(order) != native:
            wrong.append(tuple(at + 1 for at in order))
    spurious = []
    for edge in sorted(reduction(len(groups), edges)):
        others = closure(len(groups), edges) - {edge}
        tried = islice((o for o in orders(len(groups), others) if o.index(edge[0]) > o.index(edge[1])), MOST)
        if all(result(order) == native for order in tried):
            spurious.append((edge[0] + 1, edge[1] + 1))
    return Found(count, tuple(wrong), tuple(spurious))


def orders(count: int, edges: set[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """All orders of ``count`` things that keep the edges, program order first."""
    before = {at: {a for a, b in edges if b == at} for at in range(count)}

    def further(done: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(done) == count:
            yield done
            return
        for at in range(count):
            if at not in done and before[at] <= set(done):
                yield from further((*done, at))

    return further(())


def closure(count: int, edges: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """All pairs that follow from the edges."""
    found = set(edges)
    for middle in range(count):
        for a in range(count):
            for b in range(count):
                if (a, middle) in found and (middle, b) in found:
                    found.add((a, b))
    return found


def reduction(count: int, edges: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The edges that do not follow from others."""
    every = closure(count, edges)
    return {(a, b) for a, b in every if not any((a, m) in every and (m, b) in every for m in range(count))}


def run_in(nodes: list[ast.stmt], folder: Path) -> object:
    """Execute statements in an empty folder; what can be observed: output, the exception's type, names and values, files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    here, state, environ = os.getcwd(), random.getstate(), dict(os.environ)
    os.chdir(folder)
    space = {"__name__": "__main__"}
    output = io.StringIO()
    failure = ""
    try:
        random.seed(12345)
        with contextlib.redirect_stdout(output):
            exec(compile(ast.Module(nodes, []), "driver.py", "exec"), space)
    except Exception as error:
        failure = type(error).__name__
    finally:
        os.chdir(here)
        random.setstate(state)
        os.environ.clear()
        os.environ.update(environ)
    names = sorted(name for name in space if not name.startswith("__"))
    parts = portrait([(name, space[name]) for name in names]).parts
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return output.getvalue(), failure, parts, files
