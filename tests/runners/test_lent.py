"""Kernels that are started ahead for papermill and nbclient: what a driver sees is what it sees natively."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_notebook import write_notebook
from test_warm import left

from inferflow.runners.notebook import missing_libraries

if missing_libraries():
    assert not os.environ.get("CI"), "the tests need the extra 'notebook'"
    pytest.skip("the extra 'notebook' is not installed", allow_module_level=True)

CELL = """
import json, os, signal, sys, threading, time
if k == "state":
    state = dict(os.environ)
    del state["JPY_PARENT_PID"]
    state |= {"argv": [word for word in sys.argv if not word.endswith(".json")], "path": sys.path, "cwd": os.getcwd()}
    state |= {"modules": sorted(sys.modules), "names": sorted(globals()), "in": len(In), "out": len(Out)}
    state |= {"threads": sorted(thread.name for thread in threading.enumerate())}
    state |= {"signals": [repr(signal.getsignal(n)).split(" at ")[0] for n in sorted(signal.valid_signals())]}
    state |= {"mask": [line for line in open("/proc/self/status") if line.startswith(("SigB", "SigI", "SigC"))]}
    print(json.dumps(state))
elif k == "parent":
    with open(os.environ["PARENTS"], "a") as file:
        file.write(f"{os.getppid() == int(driver)}\\n")
elif k == "dies":
    os.kill(os.getpid(), 9)
elif k == "waits":
    time.sleep(600)
print(k)
"""

DRIVER = """
import os
import nbformat
import papermill
from nbclient import NotebookClient

def execute(k):
    more = {"execution_timeout": 1} if k == "waits" else {}
    given = {"k": k, "driver": os.getpid()}
    try:
        nb = papermill.execute_notebook("n.ipynb", "out.ipynb", given, progress_bar=False, **more)
    except Exception as error:
        print(k, type(error).__name__, str(error).splitlines()[:1])
    else:
        print(k, nb.cells[-1].outputs)

def client(k):
    nb = nbformat.read("n.ipynb", as_version=4)
    nb.cells[0].source = f"k = {k!r}; driver = {os.getpid()}"
    client = NotebookClient(nb)
    client.execute()
    print(k, client.km is None, nb.cells[-1].outputs)

for k in ("parent", "state", "dies", "waits"):
    execute(k)
client("parent")
os.environ["MINE"] = "1"
client("state")
try:
    os.wait()
except ChildProcessError:
    print("no children")
"""


def test_as_natively_and_lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PARENTS", str(tmp_path / "parents.txt"))
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    folder = tmp_path / "folder"
    folder.mkdir()
    write_notebook(folder / "n.ipynb", ("k = ''\ndriver = 0", "parameters"), CELL)
    (folder / "driver.py").write_text(DRIVER)
    (folder / "inferflow.toml").write_text("")
    seen = []
    for command in ([], ["-m", "inferflow", "-q", "run", "-j", "2"]):
        done = subprocess.run([sys.executable, *command, "driver.py"], cwd=folder, capture_output=True, text=True)
        # (what of a line of the kernel's own has come when the kernel is killed is a matter of time)
        seen.append((done.returncode, done.stdout, [line for line in done.stderr.splitlines() if "Traceback" in line]))
    assert seen[0] == seen[1]
    assert seen[0][0] == 0
    assert seen[0][1].splitlines()[-1] == "no children"
    assert "dies DeadKernelError" in seen[0][1]
    assert "waits CellTimeoutError" in seen[0][1]
    native, lent = (
        (tmp_path / "parents.txt").read_text().split()[:2],
        (tmp_path / "parents.txt").read_text().split()[2:],
    )
    assert native == ["True", "True"]
    assert lent == ["False", "False"]
    assert left() == []
