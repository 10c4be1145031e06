"""Small model values that the tests of storage share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inferflow.model import (
    Anchor,
    Block,
    Certificate,
    CodeIdentity,
    Diagnostic,
    Edge,
    Effect,
    Environment,
    File,
    Hidden,
    Input,
    Object,
    Output,
    Parameter,
    Reason,
    RunFinished,
    RunStarted,
    Span,
    Task,
    TaskGraph,
    Variable,
    World,
)
from inferflow.storage.folder import Folder
from inferflow.storage.identity import process_identity
from inferflow.storage.runs import Runs


def span(line: int) -> Span:
    return Span("driver.py", line, 4, line, 40)


def task(index: int, name: str = "step", number: int | None = None, **more: Any) -> Task:
    return Task(
        (name, index + 1 if number is None else number),
        "call",
        span(index + 1),
        f"x{index} = {name}()",
        Anchor(0, index, index),
        **more,
    )


def graph(*names: str, **more: Any) -> TaskGraph:
    """A graph of independent tasks with these names."""
    tasks = tuple(task(index, name, 1) for index, name in enumerate(names or ("load", "fit")))
    block = Block("module", "driver", "__main__", span(1))
    return TaskGraph("driver.py", "__main__", "", "driver.py", (block,), tasks, **more)


def chain(count: int) -> TaskGraph:
    """A graph that has everything in it, ``count`` tasks long."""
    tasks = []
    edges = []
    for index in range(count):
        here = Variable("<driver>", f"x{index}")
        there = Variable("<driver>", f"x{index - 1}")
        why = Reason(f"step appends to {there.name}", span(index + 1))
        places = (there, Object("x"), Hidden("numpy.random"), File(None), File("{path}", "listing"), World("stdout"))
        tasks.append(
            task(
                index,
                callees=("driver:step",),
                inputs=(Input(there, index - 1, 0, span(index + 1)),),
                outputs=(Output(here), Output(there, False, "changed")),
                effects=tuple(Effect("read", place, why, place is places[1]) for place in places[: 1 + index % 6]),
                value=here if index % 2 else None,
                preamble=(span(1),),
                home=(why,),
                needs=(index - 1,) if index else (),
            )
        )
        if index:
            edges.append(Edge(index - 1, index, "flow", there, (why,)))
    return TaskGraph(
        "driver.py:main",
        "driver",
        "main",
        "driver.py",
        (Block("function", "main", "<driver>", span(1)),),
        tuple(tasks),
        tuple(edges),
        (Parameter("C", annotation="float", default="1.0", help="Ünïcode"),),
        ("x0",),
        (Diagnostic(span(1), "IF301", "in order"),),
        (("driver:step", "ab" * 32),),
        (("driver.py", "cd" * 32),),
    )


def started(run: str, time: float = 1000.0, **more: Any) -> RunStarted:
    """The head of a run whose controller is this process, unless told otherwise."""
    pid, boot = process_identity()
    head: dict[str, Any] = {
        "run": run,
        "time": time,
        "target": "driver.py",
        "folder": "/project",
        "arguments": (),
        "parameters": (),
        "graph": "",
        "backend": "process",
        "jobs": 2,
        "version": "0.1.0",
        "pid": pid,
        "boot": boot,
        "code": CodeIdentity(),
        "environment": Environment(),
    }
    return RunStarted(**{**head, **more})


def finished(time: float = 1001.0, **more: Any) -> RunFinished:
    values: dict[str, Any] = {"time": time, "status": "ok", "exit_code": 0, "certificate": Certificate(), **more}
    return RunFinished(**values)


def new_run(runs: Runs, time: float = 1000.0, **more: Any) -> str:
    run = runs.new_id(time)
    runs.create(started(run, time, **more), graph())
    return run


def open_runs(project: Path) -> Runs:
    return Runs(Folder.of(project))
