"""What containers cost: the start of a run, a task through a warm helper, a container for each task, a large array.

It needs root and Debian's dockerd, which it starts itself, without a network (as the tests do). The image is ``host``:
this machine's own files, so that both sides run the same interpreter.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from measure import ROOT, Bench, Section, Target, alternate, milliseconds, seconds
from tasks import events, fan

sys.path.insert(0, str(ROOT / "tests" / "containers"))

EMPTY = "def step():\n    return 1\n\ndef main():\n    a = step()\n    return a\n\nmain()\n"

ARRAY = """\
import numpy as np

def make(n):
    return np.ones(n)

def total(x):
    return float(x.sum())

def main():
    x = make(50_000_000)
    t = total(x)
    print(t)

main()
"""


def each(n: int) -> str:
    """A chain of tasks that do nothing."""
    lines = "".join(f"    x{i + 1} = step(x{i})\n" for i in range(n))
    return f"def step(x):\n    return x + 1\n\ndef main():\n    x0 = 0\n{lines}    return x{n}\n\nmain()\n"


def section(bench: Bench) -> Section:
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        return Section("Containers", "Not measured: root and dockerd are needed.", ("", ""), [])
    from daemons import docker_daemon

    with docker_daemon() as daemon:
        inside = Bench(
            bench.python, bench.inferflow, bench.folder, bench.quick, {**bench.environ, "DOCKER_HOST": daemon.host}
        )
        return _measured(inside, daemon.client().api)


def _measured(bench: Bench, api: Any) -> Section:
    times = 2 if bench.quick else 5
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    docker = ("--backend", "docker", "--image", "host")

    started = alternate(
        times,
        processes=lambda: _run(bench, EMPTY),
        containers=lambda: _run(bench, EMPTY, *docker),
        plain=lambda: _plain(api, bench, 1),
    )
    best = {name: min(found) for name, found in started.items()}
    rows.append(
        (
            "a run of one task, whole command",
            seconds(best["processes"]),
            seconds(best["containers"]),
            seconds(best["plain"]),
        )
    )

    pace = alternate(times, processes=lambda: _pace(bench), containers=lambda: _pace(bench, *docker))
    trip = {name: min(found) for name, found in pace.items()}
    rows.append(
        ("a no-op task through a warm helper", milliseconds(trip["processes"]), milliseconds(trip["containers"]), "")
    )
    ratio = trip["containers"] / trip["processes"]
    targets.append(Target("warm task in a container", "2 times processes", f"{ratio:.2f} times", ratio <= 2))

    n = 6 if bench.quick else 10
    for_each = ("--backend", "docker", "--image", "host", "--jobs", "2")
    own = Bench(
        bench.python, bench.inferflow, bench.folder, bench.quick, {**bench.environ, "INFERFLOW_ISOLATION": "task"}
    )
    isolated = alternate(
        times,
        containers=lambda: _run(own, each(n), *for_each),
        one=lambda: _run(own, each(1), *for_each),
        plain=lambda: _plain(api, bench, n),
    )
    whole = {name: min(found) for name, found in isolated.items()}
    per = {"containers": (whole["containers"] - whole["one"]) / (n - 1), "plain": whole["plain"] / n}
    rows.append(
        (
            f"a container for each of {n} no-op tasks, each",
            "",
            milliseconds(per["containers"]),
            milliseconds(per["plain"]),
        )
    )
    ratio = per["containers"] / per["plain"]
    targets.append(Target("a container for each task", "1.2 times docker run", f"{ratio:.2f} times", ratio <= 1.2))

    arrays = alternate(
        times, processes=lambda: _between(bench, "--jobs", "1"), containers=lambda: _between(own, *for_each)
    )
    there = {name: min(found) for name, found in arrays.items()}
    rows.append(
        (
            "400 MB array: from one task's end to the next one's begin",
            seconds(there["processes"]),
            seconds(there["containers"]),
            "",
        )
    )
    return Section(
        title="Containers",
        text=(
            "With a Docker Engine of Debian on the same machine, and the image `host`. *Plain* is what the engine "
            "takes to create, start, await and remove a container that runs `python -c pass` with the same mounts. A "
            "container for each task: what each task adds to a run of one. In the last line the container of the first "
            "task has written the array into the store, and that of the second maps it; with processes both are home."
        ),
        header=("what", "processes", "containers", "plain"),
        rows=rows,
        targets=targets,
    )


def _folder(bench: Bench, text: str) -> Path:
    folder = bench.folder / f"containers-{abs(hash(text))}"
    if not folder.is_dir():
        folder.mkdir()
        (folder / "driver.py").write_text(text)
    return folder


def _run(bench: Bench, text: str, *options: str) -> float:
    return bench.run([bench.inferflow, "run", *options, "driver.py"], _folder(bench, text))[0]


def _pace(bench: Bench, *options: str) -> float:
    """Seconds for each task that a helper ran ahead while home was busy."""
    _, found = events(bench, _folder(bench, fan(200, 10_000_000)), "--jobs", "2", *options)
    starts = sorted(float(e["time"]) for e in found if e["kind"] == "task_started" and e["where"] == "ahead")
    return (starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else math.nan


def _between(bench: Bench, *options: str) -> float:
    _, found = events(bench, _folder(bench, ARRAY), *options)
    finished = min(float(e["time"]) for e in found if e["kind"] == "task_finished" and e["task"] == 0)
    return min(float(e["time"]) for e in found if e["kind"] == "task_started" and e["task"] == 1) - finished


def _plain(api: Any, bench: Bench, n: int) -> float:
    """``docker run`` of a Python that does nothing, ``n`` times, without the docker command's own start."""
    from inferflow.backends.docker_recipe import _host_folders, _outermost

    mounts = [
        {"Type": "bind", "Source": path, "Target": path, "ReadOnly": True}
        for path in _outermost([*_host_folders(), str(bench.folder)])
    ]
    host = {"NetworkMode": "host", "Mounts": mounts}
    image = api.inspect_image("localhost/inferflow-host-1:latest")["Id"] if _there(api) else ""
    if not image:
        return math.inf
    begun = time.perf_counter()
    for _ in range(n):
        config = {"Image": image, "Entrypoint": [bench.python, "-c", "pass"], "Cmd": [], "HostConfig": host}
        container = api.create_container_from_config(config, None)["Id"]
        api.start(container)
        api.wait(container)
        api.remove_container(container)
    return time.perf_counter() - begun


def _there(api: Any) -> bool:
    return any("localhost/inferflow-host-1:latest" in (found.get("RepoTags") or ()) for found in api.images())
