"""What child processes read and write is seen: the folders before and after, and what the kernel tells meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compare import assert_same, environment

from inferflow.worker.folder import Watch, changed, look

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")


def names(folder: Path, paths: list[str]) -> list[str]:
    return sorted(os.path.relpath(path, folder) for path in paths)


@linux
def test_what_children_read_and_write(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "in.csv").write_text("2\n1\n")
    (tmp_path / "old.txt").write_text("x")
    (tmp_path / "other.txt").write_text("nobody reads it")
    before = look([str(tmp_path)], ())
    watch = Watch(before)
    script = "sort < sub/in.csv > out.csv; cat old.txt > /dev/null; mv out.csv moved.csv; mkdir new; echo 1 > new/f; echo t > gone; rm gone"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True)
    read, written = watch.end()
    assert names(tmp_path, read) == ["old.txt", "sub/in.csv"]
    assert names(tmp_path, written) == ["moved.csv"]
    assert names(tmp_path, changed(before, ())) == ["moved.csv", "new/f"]
    assert watch.end() == ([], [])


@linux
def test_a_file_that_is_written_with_what_it_held(tmp_path: Path) -> None:
    """Size and time are as before: only the kernel tells."""
    file = tmp_path / "same.txt"
    file.write_text("abc")
    state = file.stat()
    before = look([str(tmp_path)], ())
    watch = Watch(before)
    subprocess.run(["sh", "-c", "printf abc 1<> same.txt; touch -r same.txt same.txt"], cwd=tmp_path, check=True)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert changed(before, ()) == []
    assert watch.end()[1] == [str(file)]


@linux
def test_our_own_forks_are_no_children_of_the_driver(tmp_path: Path) -> None:
    """A loop for which helpers are forked: nobody looks through the folders then."""
    driver = (
        "import inferflow.worker.observe as observe\nfound = []\nlook = observe.look\n"
        "observe.look = lambda *given: found.append(given) or look(*given)\n"
        "def slow(x):\n    for i in range(20): pass\n    return x\n"
        "print([slow(x) for x in range(4)])\nprint(len(found))\n"
    )
    assert_same(tmp_path, driver, _INFERFLOW_TURNS="always")


@linux
def test_a_task_that_runs_a_script(tmp_path: Path) -> None:
    """Files that no command line names, in the working folder and elsewhere in the project."""
    files = {
        "driver.py": "import subprocess\nsubprocess.run(['sh', 'steps/make.sh'], check=True)\nprint('done')\n",
        "steps/make.sh": "sort < data/in.csv > out.csv\n",
        "data/in.csv": "2\n1\n",
        "pyproject.toml": "",
    }
    folder = assert_same(tmp_path, dict(files))
    command = [sys.executable, "-m", "inferflow", "show", "latest", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)
    (task,) = (task for task in json.loads(done.stdout)["tasks"] if task["kind"] == "shell")
    uses = {(use["mode"], use["path"]) for use in task["attempts"][-1]["files"]}
    assert uses == {("read", "data/in.csv"), ("read", "steps/make.sh"), ("write", "out.csv")}
