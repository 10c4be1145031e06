"""A fault of inferflow's own in a worker: the driver goes on as natively, and the user is told where to look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from compare import environment, write_files

BROKEN = """
import sys
import inferflow.worker.{module} as module
def broken(*args, **kwargs):
    raise RuntimeError("a fault of ours")
module.{name} = broken
"""

DRIVER = """
def load(n):
    print("loading", n)
    return [n]
def main():
    a = load(1)
    b = load(2)
    print(a, b)
main()
print("end")
"""


@pytest.mark.parametrize(
    ("module", "name"), [("transform", "hooked_module"), ("transport", "pack"), ("hooks", "Hooks._measure")]
)
def test_the_driver_goes_on(tmp_path: Path, module: str, name: str) -> None:
    write_files(tmp_path, {"driver.py": DRIVER, "site/sitecustomize.py": BROKEN.format(module=module, name=name)})
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", "run", "driver.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=str(tmp_path / "site")),
    )
    assert done.stdout == "loading 1\nloading 2\n[1] [2]\nend\n"
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    faults = list((tmp_path / ".inferflow" / "tmp").glob("fault-*.txt"))
    assert len(faults) == 1
    assert "a fault of ours" in faults[0].read_text()
    assert str(faults[0].name) in done.stderr
