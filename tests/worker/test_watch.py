"""What is written down of a run for ``verify``: what two runs of one program have in common, and no more."""

from __future__ import annotations

import _random
import json
import os
import subprocess
import sys
from pathlib import Path

import inferflow.worker.watch
from inferflow.worker.portrait import portrait

PROGRAM = """
import sys
sys.path.insert(0, {library!r})
from inferflow.worker import watch
watch.begin("\\n".join([{state!r}, {package!r}, "script", {project!r} + "/"]))
import late
with open({other!r}, "w") as file:
    file.write("x")
"""


def test_bytecode_that_the_interpreter_writes_is_no_file_of_the_program(tmp_path: Path) -> None:
    """Natively it is written by the first run of two: they seemed to differ, once (drivers that use h5py)."""
    library, project, state, other = (tmp_path / name for name in ("library", "project", "state.json", "other.txt"))
    library.mkdir()
    project.mkdir()
    (library / "late.py").write_text("x = 1\n")
    os.utime(library / "late.py", (1_000_000_000, 1_000_000_000))
    package = str(Path(inferflow.worker.watch.__file__).resolve().parents[2])
    program = PROGRAM.format(
        library=str(library), project=str(project), state=str(state), other=str(other), package=package
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)
    assert list((library / "__pycache__").glob("late*.pyc"))
    assert [path for path in json.loads(state.read_text())["outside"] if path.startswith(str(tmp_path))] == [str(other)]


class Known(_random.Random):
    """Of a kind that only pickle can look into, and holds its own address, as objects of h5py do."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Known, (), (id(self), 7))


def test_an_object_that_holds_its_address_looks_the_same_in_every_process() -> None:
    first, second = Known(), Known()
    seen = [portrait([("x", one)]).parts for one in (first, second)]
    assert seen[0] == seen[1]
    assert str(id(first)) not in json.dumps(seen)
    assert str(id(first)) in json.dumps(portrait([("x", (id(first), 7))]).parts)  # elsewhere it is a number
