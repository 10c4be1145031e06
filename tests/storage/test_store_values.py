"""Values of past runs: found by name, verified, rebuilt with the driver's own classes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from storage_samples import finished, graph, open_runs, started

from inferflow.errors import UserError, WrongUse
from inferflow.model import Artifact, FileUse, Source, StoredValue, TaskDropped, TaskFinished, TaskRetired, TaskStarted
from inferflow.storage.runs import Runs
from inferflow.storage.values import find_file, find_value, kept_values, load_value
from inferflow.worker.transport import pack

HERE = Path(__file__).parent
DRIVER = '''\
"""A driver."""
from __future__ import annotations
import dataclasses
from collections import namedtuple
import helper_module
try:
    import not_installed_anywhere
except ImportError:
    not_installed_anywhere = None

SCALE = 3
Point = namedtuple("Point", "x y")


@dataclasses.dataclass
class Model:
    C: float
    near: Model | None = None

    def scaled(self):
        return self.C * SCALE


@undefined_decorator
def lost():
    pass


def double(x):
    return 2 * x * SCALE


open("ran.txt", "w").write("the driver's statements ran")
print("the driver's statements ran")

if __name__ == "__main__":
    class Late:
        pass
    model = Model(1.0)
'''


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return open_runs(tmp_path)


def keep(runs: Runs, members: tuple[Any, ...], names: tuple[str, ...]) -> tuple[StoredValue, ...]:
    artifact = runs.artifacts.put(pack(members).data())
    return tuple(
        StoredValue(name, type(value).__qualname__, "", artifact, place)
        for place, (name, value) in enumerate(zip(names, members, strict=True))
    )


def one_run(runs: Runs, *tasks: tuple[StoredValue, ...], end: tuple[StoredValue, ...] = (), **more: Any) -> str:
    run = runs.new_id(1000.0)
    runs.create(started(run, folder=str(runs.folder.root.parent)), graph("load", "fit", "plot", **more))
    for task, values in enumerate(tasks):
        runs.append(run, [TaskStarted(1, task, 1, "home", "home"), TaskFinished(1, task, 1, 0, 0, 0, values)])
        runs.append(run, [TaskRetired(1, task, 1)])
    runs.append(run, [finished(values=end)])
    return run


def test_the_last_version_of_a_name(runs: Runs) -> None:
    first = keep(runs, ([1], {"a": 1}), ("x", "y"))
    second = keep(runs, ([1, 2],), ("x",))
    run = one_run(runs, first, second, end=keep(runs, ("result",), ("return",)))
    assert load_value(runs, "latest", "x") == [1, 2]
    assert load_value(runs, run, "load/x") == [1]
    assert load_value(runs, run, "fit/x") == [1, 2]
    assert load_value(runs, run, "y") == {"a": 1}
    assert load_value(runs, run, "return") == "result"
    paths = [kept.path for kept in kept_values(runs.graph(run), runs.load(run))]
    assert paths == ["load/x", "load/y", "fit/x", "return"]


def test_only_what_retired_counts(runs: Runs) -> None:
    run = one_run(runs, keep(runs, (1,), ("x",)))
    ahead = keep(runs, (2,), ("x",))
    runs.append(run, [TaskStarted(1, 1, 1, "ahead", "h"), TaskFinished(1, 1, 1, 0, 0, 0, ahead)])
    runs.append(run, [TaskDropped(1, 1, 1, "stale")])
    assert load_value(runs, run, "x") == 1


def test_what_is_not_there_is_told_with_what_is(runs: Runs) -> None:
    run = one_run(runs, keep(runs, (1, 2), ("logreg", "score")))
    with pytest.raises(WrongUse, match="did you mean 'logreg'"):
        load_value(runs, run, "logregg")
    with pytest.raises(WrongUse, match="it has logreg, score"):
        load_value(runs, run, "zzz")
    with pytest.raises(WrongUse, match="no run 'zzz'"):
        load_value(runs, "zzz", "logreg")
    empty = one_run(runs)
    with pytest.raises(WrongUse, match="no values at all"):
        load_value(runs, empty, "x")


def test_what_was_not_kept_says_why(runs: Runs) -> None:
    run = one_run(runs, (StoredValue("f", "TextIOWrapper", why_not="it is an open file"),))
    with pytest.raises(UserError, match=r"load/f \(TextIOWrapper\) was not kept .*: it is an open file"):
        load_value(runs, run, "f")


def test_what_is_damaged_or_gone_is_told(runs: Runs) -> None:
    values = keep(runs, (bytes(100_000),), ("x",))
    run = one_run(runs, values)
    assert values[0].artifact
    path = runs.artifacts.path(values[0].artifact.digest)
    assert path
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match=r"load/x cannot be read: .*damaged") as caught:
        load_value(runs, run, "x")
    assert "inferflow run driver.py" in caught.value.hint
    with pytest.raises(UserError, match="is gone"):
        load_value(runs, run, "x")


def test_bytes_that_are_no_value_are_told(runs: Runs) -> None:
    run = one_run(runs, (StoredValue("x", "int", artifact=runs.artifacts.put(b"nonsense")),))
    with pytest.raises(UserError, match="cannot be rebuilt"):
        load_value(runs, run, "x")


def test_large_arrays_are_mapped_and_can_be_written(runs: Runs) -> None:
    np = pytest.importorskip("numpy")
    values = keep(runs, (np.arange(100_000.0),), ("x",))
    run = one_run(runs, values)
    for _ in range(2):
        x = load_value(runs, run, "x")
        assert x.sum() == np.arange(100_000.0).sum()
        x[:] = 0  # private to this process


MAKE = """
import sys
sys.path[:0] = [{here!r}, {project!r}]
from pathlib import Path
import test_store_values as t
from inferflow.model import Source
runs = t.open_runs(Path({project!r}))
import __main__ as main
main.__dict__.update(__file__="driver.py")
text = Path({project!r}, "driver.py").read_text()
body = text.replace("@undefined_decorator\\n", "").replace('open("ran.txt"', 'len("ran.txt" or open("ran.txt"')
body = body.split("len(")[0] + text.split("statements ran\\")\\n")[-1]
exec(compile(body, "driver.py", "exec"), main.__dict__)
model = main.Model(2.0, main.Model(1.0))
values = t.keep(runs, (model, main.Point(1, 2), main.double, main.Late(), main.helper_module.Thing(5)),
                ("model", "point", "double", "late", "thing"))
source = Source("__main__", "driver.py", "", text)
run = runs.new_id(1.0)
graph = t.graph("load", sources=(("driver.py", source.digest),))
runs.create(t.started(run, folder={project!r}), graph, sources=(source,))
runs.append(run, [t.TaskStarted(1, 0, 1, "home", "home"), t.TaskFinished(1, 0, 1, 0, 0, 0, values)])
runs.append(run, [t.TaskRetired(1, 0, 1), t.finished()])
"""


@pytest.fixture
def script_run(tmp_path: Path) -> Path:
    """A project whose driver, a script, kept instances of its own classes."""
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "helper_module.py").write_text("class Thing:\n    def __init__(self, n): self.n = n\n")
    code = MAKE.format(here=str(HERE), project=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tmp_path


def load_in_a_process(project: Path, code: str) -> subprocess.CompletedProcess[str]:
    head = f"""
from pathlib import Path
from inferflow.storage.folder import Folder
from inferflow.storage.runs import Runs
from inferflow.storage.values import load_value
runs = Runs(Folder(Path({str(project)!r}) / ".inferflow"))
def load(name): return load_value(runs, "latest", name)
"""
    return subprocess.run(
        [sys.executable, "-c", head + code],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_classes_of_a_script_are_found_anywhere(script_run: Path) -> None:
    code = """
model = load("model")
print(model, model.scaled(), model.near.scaled(), type(model).__module__)
print(load("point"), load("double")(7), load("thing").n, type(load("late")).__name__)
print(type(load("model")) is type(model))
import sys
print(sys.modules["__main__"].load is load, [p for p in sys.path if "pytest" in p])
"""
    done = load_in_a_process(script_run, code)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Model(C=2.0, near=Model(C=1.0, near=None)) 6.0 3.0 __main__",
        "Point(x=1, y=2) 42 5 Late",
        "True",
        f"True {[str(HERE)] if 'pytest' in str(HERE) else []}",
    ]
    assert not (script_run / "ran.txt").exists()
    assert not Path("/ran.txt").exists()


def test_the_recorded_text_counts_not_the_present_one(script_run: Path) -> None:
    (script_run / "driver.py").write_text(DRIVER.replace("self.C * SCALE", "'changed since'"))
    assert load_in_a_process(script_run, "print(load('model').scaled())").stdout == "6.0\n"
    (script_run / "driver.py").unlink()
    assert load_in_a_process(script_run, "print(load('model').scaled())").stdout == "6.0\n"


def test_a_project_that_moved(script_run: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "project"
    script_run.rename(elsewhere)
    assert load_in_a_process(elsewhere, "print(load('model').scaled(), load('thing').n)").stdout == "6.0 5\n"


def test_a_module_that_is_gone_is_told(script_run: Path) -> None:
    (script_run / "helper_module.py").unlink()
    done = load_in_a_process(script_run, "load('thing')")
    assert "UserError: load/thing (Thing) cannot be rebuilt in this Python: ModuleNotFoundError" in done.stderr
    assert "the run had Python" in done.stderr


def test_plain_values_run_no_code_of_the_driver(runs: Runs, tmp_path: Path) -> None:
    source = Source("__main__", "driver.py", "", "class Loud: print('loud')\n")
    values = keep(runs, ([1],), ("x",))
    run = runs.new_id(1.0)
    runs.create(started(run), graph("load", sources=(("driver.py", source.digest),)), sources=(source,))
    runs.append(run, [TaskFinished(1, 0, 1, 0, 0, 0, values), TaskRetired(1, 0, 1)])
    done = load_in_a_process(tmp_path, "print(load('x'))")
    assert (done.stdout, done.stderr) == ("[1]\n", "")


def test_files_are_found_by_path_or_name(runs: Runs) -> None:
    run = one_run(runs, ())
    old = FileUse("out/plot.png", "write", artifact=Artifact("a" * 64, 1))
    new = evolve(old, artifact=Artifact("b" * 64, 1))
    read = FileUse("data.csv", "read")
    uses = (old, new, read)
    runs.append(run, [TaskFinished(1, 1, 1, 0, 0, 0, (), uses), TaskRetired(1, 1, 1)])
    folded = runs.load(run)
    assert find_file(folded, "out/plot.png") == find_file(folded, "plot.png") == new
    assert find_file(folded, "data.csv") is None
    assert find_file(folded, "lot.png") is None
    with pytest.raises(WrongUse):
        find_value(runs.graph(run), folded, "plot.png")
