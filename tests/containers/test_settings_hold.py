"""What settings say of containers holds in them: for the whole run, and for one task."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from compare import Observed, environment, observe, write_files
from daemons import Daemon

DRIVER = """
import os
from pathlib import Path


def first(*names):
    return next((Path(name).read_text().split()[0] for name in names if os.path.exists(name)), "")


def look():
    found = {}
    quota = first("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max")
    found["cpus"] = quota
    found["memory"] = first("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")
    found["shm"] = os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize
    found["network"] = sorted(os.listdir("/sys/class/net"))
    found["mounted"] = [os.path.exists(name) for name in ("/given/data.txt", "/only/read.txt")]
    found["LEVEL"] = os.environ.get("LEVEL", "")
    return found


def act():
    Path("/given/written.txt").write_text("x")
    try:
        Path("/only/written.txt").write_text("x")
    except OSError as error:
        return type(error).__name__, error.errno
    return "written"


def main():
    found = look()
    acted = act() if found["mounted"][0] else None
    for name, value in found.items():
        print(name, value)
    print(acted)


main()
"""


def settings_for(place: str, tmp_path: Path) -> str:
    lines = [
        'image = "host"', "cpus = 0.5", 'memory = "300MiB"', 'shm_size = "24MiB"', 'network = "none"',
        f'mounts = ["{tmp_path}/given:/given", "{tmp_path}/only:/only:ro"]', 'env = ["LEVEL=3"]',
    ]  # fmt: skip
    if place == "run":
        return "\n".join(['backend = "docker"', *lines]) + "\n"
    return "\n".join([f'[tasks."{name}"]\nbackend = "docker"\n' + "\n".join(lines) for name in ("look", "act")]) + "\n"


def run(folder: Path, daemon: Daemon, **env: str) -> Observed:
    command = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    return observe(command, folder, b"", environment(DOCKER_HOST=daemon.host, **env))


@pytest.mark.parametrize("place", ["run", "task"])
def test_limits_mounts_network_and_variables(place: str, tmp_path: Path, docker_engine: Daemon) -> None:
    folder = tmp_path / "project"
    write_files(tmp_path, {"given/data.txt": "d", "only/read.txt": "r"})
    text = DRIVER if place == "run" else DRIVER.replace('act() if found["mounted"][0] else None', "act()")
    write_files(folder, {"driver.py": text, "inferflow.toml": settings_for(place, tmp_path)})
    done = run(folder, docker_engine)
    assert done.exit_code == 0, done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.decode().splitlines()[:-1])
    assert told["cpus"] == "50000"
    assert told["memory"] == str(300 << 20)
    assert told["shm"] == str(24 << 20)
    assert told["network"] == "['lo']"
    assert told["mounted"] == "[True, True]"
    assert told["LEVEL"] == "3"
    assert done.stdout.decode().splitlines()[-1] == f"('OSError', {30})"
    written = tmp_path / "given" / "written.txt"
    assert written.read_text() == "x"
    assert written.stat().st_uid == os.getuid()
    assert not (tmp_path / "only" / "written.txt").exists()


def test_without_settings_nothing_is_limited(tmp_path: Path, docker_engine: Daemon) -> None:
    write_files(tmp_path, {"driver.py": DRIVER, "inferflow.toml": 'image = "host"\nbackend = "docker"\n'})
    done = run(tmp_path, docker_engine)
    assert done.exit_code == 0, done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.decode().splitlines()[:-1])
    assert told["cpus"] in ("-1", "max")
    assert told["memory"] != str(300 << 20)
    assert told["mounted"] == "[False, False]"
    assert told["LEVEL"] == ""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("gpus = 1", ["GPU", "remove gpus"]),
        ('network = "nowhere"', ["nowhere", "docker network create"]),
        ('mounts = ["/no/such/folder"]', ["there is no /no/such/folder", "setting mounts"]),
    ],
)
@pytest.mark.parametrize("place", ["run", "task"])
def test_what_cannot_be_had_is_told(
    setting: str, words: list[str], place: str, tmp_path: Path, docker_engine: Daemon
) -> None:
    head = 'backend = "docker"\n' if place == "run" else '[tasks.look]\nbackend = "docker"\n'
    write_files(tmp_path, {"driver.py": DRIVER, "inferflow.toml": f'{head}image = "host"\n{setting}\n'})
    done = run(tmp_path, docker_engine)
    text = " ".join(done.stderr.split())
    assert done.exit_code in (2, 4), text
    assert not [word for word in words if word not in text], text
    assert "Traceback" not in text
