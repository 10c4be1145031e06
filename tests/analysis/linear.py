"""The graph as a promise: every order of a script's statements that keeps the edges gives what program order gives.

    found = check(text, folder)         # Found(orders=6, wrong=(), spurious=())

``run_in`` executes the statements of the tasks in one process, in an order of its own; ``orders`` lists the linear
extensions of the graph. An edge of the transitive reduction is *needed* if some order that keeps all other edges but not
this one gives another result, else it is *spurious*: it costs parallelism, and nothing else.

As a command it does so for many scripts, each in a process of its own:

    python linear.py FOLDER < drivers.json      {"name": {"orders": 6, "wrong": [], "spurious": []}, "other": "why not"}
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

from attrs import frozen

from inferflow.model import TaskGraph, Variable
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


class NotTried(Exception):
    """This driver says nothing here; why."""


def check(
    text: str, folder: Path, files: dict[str, str] | None = None, most: int = MOST, in_order: bool = False
) -> Found:
    """Try the graph of a script; ``in_order``: tasks that are at home stay in their order, as they do in a run. Raises NotTried if it fails when it is run as it is, if two runs of it differ, or if its
    tasks are not statements of the module."""
    from inferflow.config.settings import load_settings
    from inferflow.session.infer import infer
    from inferflow.session.target import open_target

    project = folder / "project"
    project.mkdir()
    for name, content in {**(files or {}), "driver.py": text}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)
    graph = infer(open_target(str(project / "driver.py"), project), load_settings(project, environ={})).graph
    if any(block.kind != "module" for block in graph.blocks):
        raise NotTried("its tasks stand in a function")
    statements = ast.parse(text).body
    groups: list[tuple[int, int]] = sorted({(t.anchor.first, t.anchor.last) for t in graph.tasks})
    number = {span: index for index, span in enumerate(groups)}
    of_task = [number[(task.anchor.first, task.anchor.last)] for task in graph.tasks]
    edges = {(of_task[edge.source], of_task[edge.target]) for edge in graph.edges}
    claimed = {(a, b) for a, b in edges if a != b}
    kept = {(of_task[a], of_task[b]) for a, b in rebound(graph, statements)}
    if in_order:
        kept |= set(pairwise(sorted({of_task[index] for index, task in enumerate(graph.tasks) if task.home})))
    kept = {(a, b) for a, b in kept if a != b}
    edges = claimed | kept
    covered = {index for first, last in groups for index in range(first, last + 1)}
    always = [node for index, node in enumerate(statements) if index not in covered]

    def result(order: tuple[int, ...]) -> object:
        nodes = [*always, *(node for group in order for node in statements[groups[group][0] : groups[group][1] + 1])]
        return run_in(nodes, folder / "run", files)

    native = run_in(list(statements), folder / "run", files)
    if native.failure:
        raise NotTried(f"it fails: {native.failure}")
    if run_in(list(statements), folder / "run", files) != native:
        raise NotTried("two runs of it differ")
    wrong, count = [], 0
    for order in islice(orders(len(groups), edges), most):
        count += 1
        if result(order) != native:
            wrong.append(tuple(at + 1 for at in order))
    spurious = []
    for edge in sorted(reduction(len(groups), edges) & (claimed - kept)):
        others = closure(len(groups), edges) - {edge}
        tried = islice((o for o in orders(len(groups), others) if o.index(edge[0]) > o.index(edge[1])), most)
        if all(result(order) == native for order in tried):
            spurious.append((edge[0] + 1, edge[1] + 1))
    return Found(count, tuple(wrong), tuple(spurious))


def rebound(graph: TaskGraph, statements: list[ast.stmt]) -> Iterator[tuple[int, int]]:
    """Tasks that touch a name, and later ones that bind it. In a run these are versions of the name, and need no order;
    here all share one namespace."""
    touched: dict[str, set[int]] = {}
    for index, task in enumerate(graph.tasks):
        effects = [effect for effect in task.effects if isinstance(effect.place, Variable)]
        bound = {output.variable.name for output in task.outputs}
        bound |= {str(effect.place) for effect in effects if effect.mode == "write"}
        read = {str(effect.place) for effect in effects}
        for statement in statements[task.anchor.first : task.anchor.last + 1]:
            read |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        for name in bound:
            yield from ((earlier, index) for earlier in touched.get(name, ()))
        for name in bound | read:
            touched.setdefault(name, set()).add(index)


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


@frozen
class Ran:
    """What can be observed of a run: output, the exception, names and values, files."""

    output: str
    failure: str
    parts: object
    files: dict[str, bytes]


def run_in(nodes: list[ast.stmt], folder: Path, files: dict[str, str] | None = None) -> Ran:
    """Execute statements in a folder that has only these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
        sys.modules.pop(name.removesuffix(".py").replace("/", "."), None)
    here, state, environ, path = os.getcwd(), random.getstate(), dict(os.environ), list(sys.path)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    space = {"__name__": "__main__"}
    output = io.StringIO()
    failure = ""
    try:
        random.seed(12345)
        with contextlib.redirect_stdout(output):
            exec(compile(ast.Module(nodes, []), "driver.py", "exec"), space)
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    finally:
        os.chdir(here)
        random.setstate(state)
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = path
    names = sorted(name for name in space if not name.startswith("__"))
    parts = portrait([(name, space[name]) for name in names]).parts
    found = {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    }
    return Ran(output.getvalue(), failure, parts, found)


def main() -> None:
    """Try the drivers told on stdin (``{name: {file: text}}``), each in a fork that may take a minute."""
    folder = Path(sys.argv[1])
    found: dict[str, object] = {}
    for number, (name, files) in enumerate(json.load(sys.stdin).items()):
        place = folder / str(number)
        place.mkdir(parents=True)
        pid = os.fork()
        if pid == 0:
            _try(files, place)
        _, status = os.waitpid(pid, 0)
        answer = place / "answer.json"
        found[name] = json.loads(answer.read_text()) if answer.exists() else f"its process ended with {status}"
        shutil.rmtree(place, ignore_errors=True)
    json.dump(found, sys.stdout)


def _try(files: dict[str, str], place: Path) -> None:
    """In the fork; never returns."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        signal.alarm(60)
        others = {name: text for name, text in files.items() if name != "driver.py"}
        try:
            one = check(files["driver.py"], place, others, most=24, in_order=True)
            answer: object = {"orders": one.orders, "wrong": one.wrong, "spurious": one.spurious}
        except NotTried as why:
            answer = str(why)
        (place / "answer.json").write_text(json.dumps(answer))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
