"""Generated drivers as whole commands, where nothing can be forked from the test: spawned helpers, containers.

``tests/same/test_generated.py`` runs thousands with forked processes; here each takes a second. GENERATED is how many of
each kind (4 by default).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import generator_flow
import pytest
from compare import environment, observe, write_files
from daemons import Daemon
from generator import make

COUNT = int(os.environ.get("GENERATED", "4"))
FIRST = int(os.environ.get("GENERATED_FIRST", "700"))


@pytest.mark.parametrize("kind", ["plain", "flow"])
@pytest.mark.parametrize("name", ["spawn", "docker"])
def test_generated_drivers_are_the_same(name: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    options, env = ["--backend", "process"], {"INFERFLOW_START": "spawn"}
    if name == "docker":
        daemon: Daemon = request.getfixturevalue("docker_engine")
        options, env = ["--backend", "docker", "--image", "host"], {"DOCKER_HOST": daemon.host}
    variables = environment(**env)
    compared = 0
    for number in range(FIRST, FIRST + COUNT):
        files = make(number) if kind == "plain" else generator_flow.make(number)
        folder = tmp_path / "project"
        seen = []
        jobs = str(random.Random(number).choice((2, 3, 4)))
        inferred = [sys.executable, "-m", "inferflow", "-q", "run", *options, "-j", jobs, "driver.py"]
        for command in ([sys.executable, "driver.py"], inferred, [sys.executable, "driver.py"]):
            shutil.rmtree(folder, ignore_errors=True)
            write_files(folder, dict(files))
            try:
                seen.append(observe(command, folder, b"", variables, timeout=400 if command is inferred else 15))
            except subprocess.TimeoutExpired:
                assert command is not inferred, f"number {number}, {jobs} processes: hangs"
                break  # some end natively neither
        if len(seen) == 3 and seen[0] == seen[2]:  # else it is not the same natively either
            compared += 1
            assert seen[1] == seen[0], f"number {number}, {jobs} processes"
    assert compared > COUNT // 2
