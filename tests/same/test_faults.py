"""Faults at random, and the disk: each run ends with native's result or a clear error, a readable record, and nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from compare import environment, observe, write_files
from faults import inject

TIMES = 24 if os.environ.get("CI") else 9


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are found through /proc")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    found = inject(tmp_path, TIMES, seed=TIMES)
    assert [fault for fault in found if fault.wrong] == []


DRIVER = """
import time
def make(n):
    time.sleep(0.05)
    return bytes(range(256)) * n
def count(x):
    return len(x)
a = make(8000)
b = make(9000)
print(count(a), count(b))
"""


def may_mount() -> bool:
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_mount(), reason="no right to mount a small file system")
@pytest.mark.parametrize("size", ["64k", "300k", "1m", "3m"])
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    write_files(tmp_path, {"driver.py": DRIVER, "inferflow.toml": "store = 'small/store'\n"})
    (tmp_path / "small").mkdir()
    run = f"{sys.executable} -m inferflow run driver.py; s=$?; {sys.executable} -m inferflow runs >&2; echo runs $? >&2; exit $s"
    command = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size={size} tmpfs small && {{ {run}; }}"]
    seen = observe(command, tmp_path, b"", environment())
    assert "Traceback" not in seen.stderr
    assert seen.exit_code in (0, 4), seen.stderr
    if seen.exit_code == 0:
        assert seen.stdout == b"2048000 2304000\n"
    else:
        assert "space" in seen.stderr or "full" in seen.stderr, seen.stderr


def test_a_damaged_artifact(tmp_path: Path) -> None:
    write_files(tmp_path, {"driver.py": DRIVER})
    run = [sys.executable, "-m", "inferflow", "-q", "run", "driver.py"]
    assert observe(run, tmp_path, b"", environment()).exit_code == 0
    large = [path for path in (tmp_path / ".inferflow" / "artifacts").rglob("*") if path.is_file()]
    assert large
    for path in large:
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    got = observe(
        [sys.executable, "-m", "inferflow", "get", "latest", "a", "--format", "pickle"], tmp_path, b"", environment()
    )
    assert got.exit_code == 1
    assert "Traceback" not in got.stderr
    assert "damaged" in got.stderr
    again = observe(run, tmp_path, b"", environment())
    assert (again.exit_code, again.stdout) == (0, b"2048000 2304000\n")


def test_runs_at_once_in_one_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"driver.py": DRIVER})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "-j", "2", "driver.py"]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    told = [(*run.communicate(timeout=400), run.returncode) for run in runs]
    assert told == [(b"2048000 2304000\n", b"", 0)] * 4
    shown = observe([sys.executable, "-m", "inferflow", "runs"], tmp_path, b"", environment())
    assert shown.stdout.count(b" ok ") == 4
