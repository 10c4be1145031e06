"""What goes wrong with containers: each case says what it was and what to do, and ends with the status for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compare import Observed, environment, observe, write_files
from daemons import Daemon, docker_daemon, python_image, tarball
from test_terminal import SLEEPS

COMMAND = [sys.executable, "-m", "inferflow"]
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
"""Where other versions of Python are, if anywhere."""


def run(folder: Path, host: str, *options: str, driver: str = "print('hi')\n", **env: str) -> Observed:
    write_files(folder, {"driver.py": driver})
    command = [*COMMAND, "run", "--backend", "docker", *(options or ("--image", "host")), "driver.py"]
    return observe(command, folder, b"", environment(DOCKER_HOST=host, **env))


def said(done: Observed) -> str:
    return " ".join(done.stderr.split())


# -- before anything runs ----------------------------------------------------------------------------


def test_no_daemon(tmp_path: Path) -> None:
    done = run(tmp_path, f"unix://{tmp_path}/none.sock")
    assert done.exit_code == 4
    assert "the socket does not exist" in said(done)
    assert "systemctl start docker" in said(done)


def test_a_daemon_that_does_not_listen(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "d"))
    dead.close()
    done = run(tmp_path, f"unix://{tmp_path}/d")
    assert done.exit_code == 4
    assert "the daemon is not running" in said(done)


def test_no_permission(tmp_path: Path, docker_engine: Daemon) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    write_files(tmp_path, {"driver.py": "print('hi')\n"})
    path = docker_engine.host.removeprefix("unix://")
    os.chmod(path, 0o600)
    try:
        # The interpreter may stand where others cannot read: another user is only played for the socket.
        code = (
            "import os, sys\nfrom inferflow.backends.docker_engine import connect\nimport docker\n"
            "from inferflow.errors import UserError\nos.setuid(65534)\n"
            f"try: connect({{'DOCKER_HOST': {docker_engine.host!r}}})\n"
            "except UserError as e: print(e); sys.exit(e.exit_code)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    finally:
        os.chmod(path, 0o666)
    assert done.returncode == 4, done.stderr
    assert "no permission to use the container engine" in done.stdout
    assert "usermod -aG docker" in done.stdout


def test_no_such_image(tmp_path: Path, docker_engine: Daemon) -> None:
    done = run(tmp_path, docker_engine.host, "--image", "nobody/nothing:1")
    assert done.exit_code == 4
    assert "the engine has no image nobody/nothing:1" in said(done)
    assert "docker pull nobody/nothing:1" in said(done)


def test_no_image_at_all(tmp_path: Path, docker_engine: Daemon) -> None:
    done = run(tmp_path, docker_engine.host, "--backend", "docker")
    assert done.exit_code == 4
    assert "inferflow image" in said(done)


def test_no_python_in_the_image(tmp_path: Path, docker_engine: Daemon) -> None:
    client = docker_engine.client()
    client.api.import_image_from_data(tarball([]), repository="localhost/nothing")
    client.close()
    done = run(tmp_path, docker_engine.host, "--image", "localhost/nothing:latest")
    assert done.exit_code == 4
    assert "has no Python" in said(done)
    assert "python:3.11-slim" in said(done)


@pytest.fixture(scope="session")
def pythons(docker_engine: Daemon) -> Callable[[str], str]:
    made: dict[str, str] = {}

    def image(version: str) -> str:
        found = sorted(PYENV.glob(f"{version}.*")) if PYENV.is_dir() else []
        if not found:
            pytest.skip(f"there is no Python {version} on this machine to make an image of")
        if version not in made:
            made[version] = python_image(docker_engine, str(found[0]), f"python{version.replace('.', '')}")
        return made[version]

    return image


def test_a_python_that_is_too_old(tmp_path: Path, docker_engine: Daemon, pythons: Callable[[str], str]) -> None:
    done = run(tmp_path, docker_engine.host, "--image", pythons("3.7"))
    assert done.exit_code == 4
    assert "is too old: it is 3.7." in said(done)


VERSIONS = """
import sys, time
class Box:
    def __init__(self, v): self.v = v
def slow():
    time.sleep(1)
    return 1
def work(x):
    print("work", x)
    return {"box": Box(x), "set": {str(i) for i in range(20)}, "f": 0.1 + x}
def main():
    s = slow()
    a = work(1)
    b = work(2)
    print(sys.version_info[:2], s, a["box"].v, sorted(b["set"])[:2], b["f"])
    return {"n": 3, "words": ["a"]}
main()
"""


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_another_python_in_the_image(
    tmp_path: Path, docker_engine: Daemon, pythons: Callable[[str], str], version: str
) -> None:
    done = run(tmp_path, docker_engine.host, "--image", pythons(version), driver=VERSIONS)
    assert done.exit_code == 0, done.stderr
    minor = tuple(map(int, version.split(".")))
    assert done.stdout.decode() == f"work 1\nwork 2\n{minor} 1 1 ['0', '1'] 2.1\n"
    assert "ahead)" in done.stderr
    shown = subprocess.run([*COMMAND, "show", "latest"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert f"Python {version}." in shown


def test_values_cross_versions_or_are_refused(
    tmp_path: Path, docker_engine: Daemon, pythons: Callable[[str], str]
) -> None:
    """Home here, one task in a container with another Python: plain data arrives, code of another version does not."""
    driver = (
        "import sys\ndef plain(x):\n    return {'v': list(sys.version_info[:2]), 'x': x}\n"
        "def main():\n    a = plain(3)\n    print(a)\nmain()\n"
    )
    settings = f'[tasks."plain*"]\nbackend = "docker"\nimage = "{pythons("3.13")}"\n'
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": settings})
    done = observe([*COMMAND, "run", "driver.py"], tmp_path, b"", environment(DOCKER_HOST=docker_engine.host))
    assert (done.stdout, done.exit_code) == (b"{'v': [3, 13], 'x': 3}\n", 0), done.stderr


CROSSING = """
import collections, datetime, functools, re
def plain(x):
    return {"when": datetime.datetime(2020, 1, x), "what": [re.compile("a+"), functools.partial(int, base=2)]}
def function(x):
    return lambda y: (x, y)
def code(x):
    def inner(y):
        return y + 1
    return inner.__code__
def main():
    print("before")
    a = CALLED(3)
    print(a if isinstance(a, dict) else type(a).__name__)
main()
"""


@pytest.mark.parametrize("version", ["3.9", "3.13"])
@pytest.mark.parametrize(
    ("name", "words"), [("plain", ""), ("function", "functions of Python"), ("code", "an object of type code")]
)
def test_what_crosses_versions_and_what_is_refused(
    tmp_path: Path, docker_engine: Daemon, pythons: Callable[[str], str], version: str, name: str, words: str
) -> None:
    """Bytecode would be read wrongly by another version: it is refused, with the reason, and nothing runs elsewhere."""
    settings = f'[tasks.{name}]\nbackend = "docker"\nimage = "{pythons(version)}"\n'
    write_files(tmp_path, {"driver.py": CROSSING.replace("CALLED", name), "inferflow.toml": settings})
    native = observe([sys.executable, "driver.py"], tmp_path, b"", environment())
    done = observe([*COMMAND, "run", "driver.py"], tmp_path, b"", environment(DOCKER_HOST=docker_engine.host))
    assert (done.stdout, done.exit_code) == ((b"before\n", 4) if words else (native.stdout, 0)), done.stderr
    if words:
        assert f"task {name} could not run where its settings place it: its result" in said(done)
        assert words in said(done)


def test_a_missing_package(tmp_path: Path, docker_engine: Daemon, pythons: Callable[[str], str]) -> None:
    driver = "import os\nimport numpy as np\nprint(np.arange(3))\n"
    done = run(tmp_path, docker_engine.host, "--image", pythons("3.9"), driver=driver)
    assert done.exit_code == 1
    assert "ModuleNotFoundError: No module named 'numpy'" in done.stderr
    assert "driver.py:2" in said(done)
    assert "has no package numpy" in said(done)
    assert "inferflow image" in said(done)


# -- while it runs -----------------------------------------------------------------------------------


@pytest.fixture
def sleeping(tmp_path: Path, docker_engine: Daemon) -> Iterator[subprocess.Popen[bytes]]:
    yield from _sleeping(tmp_path, docker_engine)


def _sleeping(tmp_path: Path, daemon: Daemon, driver: str = SLEEPS) -> Iterator[subprocess.Popen[bytes]]:
    write_files(tmp_path, {"driver.py": driver})
    process = subprocess.Popen(
        [*COMMAND, "run", "--backend", "docker", "--image", "host", "driver.py"], cwd=tmp_path,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(DOCKER_HOST=daemon.host), text=False,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"loaded 3\n"
    time.sleep(0.3)
    yield process
    process.kill()
    process.wait()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, stderr = process.communicate(timeout=400)
    return process.returncode, " ".join(stderr.decode().split())


def test_the_container_is_killed(sleeping: subprocess.Popen[bytes], docker_engine: Daemon, tmp_path: Path) -> None:
    client = docker_engine.client()
    client.api.kill(docker_engine.ours()[0])
    client.close()
    code, text = ended(sleeping)
    assert code == 4
    assert "the container was ended from outside while it ran" in text
    assert "crunch" in text
    shown = subprocess.run([*COMMAND, "show", "latest"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert "load" in shown


def test_the_container_is_removed(sleeping: subprocess.Popen[bytes], docker_engine: Daemon) -> None:
    client = docker_engine.client()
    client.api.remove_container(docker_engine.ours()[0], force=True)
    client.close()
    code, text = ended(sleeping)
    assert code == 4
    assert "the container was removed from outside while it ran" in text


def test_docker_stop_is_a_sigterm(sleeping: subprocess.Popen[bytes], docker_engine: Daemon) -> None:
    client = docker_engine.client()
    client.api.stop(docker_engine.ours()[0], timeout=10)
    client.close()
    code, text = ended(sleeping)
    assert code == 128 + signal.SIGTERM
    assert "told to end from outside: docker stop" in text


@pytest.mark.leftovers
def test_the_daemon_goes_away(tmp_path: Path) -> None:
    with docker_daemon() as daemon:
        for process in _sleeping(tmp_path, daemon):
            daemon.process.terminate()
            daemon.process.wait(30)
            code, text = ended(process)
            assert code == 128 + signal.SIGTERM  # it asks its containers to end, as natively a machine does
            assert "the engine was shut down" in text
            break


@pytest.mark.leftovers
def test_the_daemon_is_killed_and_started_again(tmp_path: Path) -> None:
    """The driver goes on and ends as natively: its worker talks to us, not to the engine."""
    driver = SLEEPS.replace("range(300)", "range(20)")
    with docker_daemon() as daemon:
        for process in _sleeping(tmp_path, daemon, driver):
            os.kill(daemon.process.pid, signal.SIGKILL)
            daemon.process.wait()
            code, text = ended(process)
            assert code == 0, text
            break


def test_out_of_memory(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = "def grow():\n    x = [bytearray(1 << 20) for _ in range(400)]\n    return len(x)\ndef main():\n    n = grow()\n    print(n)\nmain()\n"
    done = run(tmp_path, docker_engine.host, driver=driver, INFERFLOW_IMAGE="host", INFERFLOW_MEMORY="80MiB")
    assert done.exit_code == 137
    text = said(done)
    assert "ran out of memory: its limit is 80 MiB, its peak" in text
    assert "Raise the setting memory" in text
    assert "grow" in text


def test_timeout(tmp_path: Path, docker_engine: Daemon) -> None:
    done = run(
        tmp_path, docker_engine.host, "--image", "host", "--timeout", "2s", driver="import time\ntime.sleep(60)\n"
    )
    assert done.exit_code == 124


def test_a_full_disk(tmp_path: Path, docker_engine: Daemon) -> None:
    """``/dev/shm`` stands for it: what the driver gets is the error that it would get natively."""
    driver = "def fill():\n    with open('/dev/shm/x', 'wb') as f:\n        for _ in range(40):\n            f.write(bytes(1 << 20))\nfill()\n"
    done = run(tmp_path, docker_engine.host, driver=driver, INFERFLOW_SHM_SIZE="8MiB", INFERFLOW_IMAGE="host")
    assert done.exit_code == 1
    assert "OSError: [Errno 28] No space left on device" in done.stderr


FILLS = """
def make(n):
    return bytes([n]) * (9 << 20)
def count(x):
    return len(x)
def main():
    a = make(1)
    b = make(2)
    c = make(3)
    print(count(a) + count(b) + count(c))
    with open("out.bin", "wb") as f:
        f.write(a + b + c)
main()
"""


def test_a_full_disk_of_the_project(tmp_path: Path, docker_engine: Daemon) -> None:
    """It ends as natively, for the driver; what could not be recorded is told."""
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "t", tmp_path]).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        done = run(tmp_path, docker_engine.host, driver=FILLS)
        assert done.stdout == b"%d\n" % (27 << 20), done.stderr
        assert "OSError: [Errno 28] No space left on device" in done.stderr
        assert "Traceback" not in done.stderr.partition("Errno 28")[2]  # (none of ours)
        assert done.exit_code in (1, 4)
        (tmp_path / "out.bin").unlink(missing_ok=True)
        shown = subprocess.run([*COMMAND, "show", "latest"], cwd=tmp_path, capture_output=True, text=True).stdout
        assert "No space left on device" in " ".join(shown.split())
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


LASTS = """
import os, time
def load():
    time.sleep(0.1)
    print("loaded", flush=True)
    return 3
def wait(n):
    while not os.path.exists("go"):
        time.sleep(0.05)
    return n
def main():
    n = load()
    print(wait(n))
main()
"""


def test_a_run_whose_container_was_removed_is_gone_on_with(tmp_path: Path, docker_engine: Daemon) -> None:
    write_files(tmp_path, {"driver.py": LASTS})
    command = [*COMMAND, "run", "--backend", "docker", "--image", "host", "driver.py"]
    env = environment(DOCKER_HOST=docker_engine.host)
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
        time.sleep(1)  # (until it is recorded)
        client = docker_engine.client()
        client.api.remove_container(docker_engine.ours()[0], force=True)
        client.close()
        assert ended(process)[0] == 4
    (tmp_path / "go").touch()
    again = observe([*command, "--resume", "latest"], tmp_path, b"", env)
    assert (again.exit_code, again.stdout) == (0, b"loaded\n3\n"), again.stderr
    assert "1 used again" in again.stderr


def test_what_the_driver_leaves_running_goes_on(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = (
        "import subprocess, sys\nsubprocess.Popen(['sh', '-c', 'while [ ! -e go ]; do sleep 0.1; done; echo late > late.txt'], "
        "stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\nprint('done')\n"
    )
    done = run(tmp_path, docker_engine.host, driver=driver)
    assert (done.stdout, done.exit_code) == (b"done\n", 0)
    assert not (tmp_path / "late.txt").exists()
    env = environment(DOCKER_HOST=docker_engine.host)
    examined = subprocess.run([*COMMAND, "doctor"], cwd=tmp_path, env=env, capture_output=True, text=True).stdout
    assert "left running in the background" in " ".join(examined.split())
    (tmp_path / "go").touch()
    for _ in range(100):
        if (tmp_path / "late.txt").exists():
            break
        time.sleep(0.1)
    assert (tmp_path / "late.txt").read_text() == "late\n"
    for _ in range(50):
        subprocess.run([*COMMAND, "prune"], cwd=tmp_path, env=env, capture_output=True, check=True)
        if not docker_engine.ours():
            break
        time.sleep(0.1)


def test_a_killed_run_leaves_nothing_after_the_next_command(
    sleeping: subprocess.Popen[bytes], docker_engine: Daemon, tmp_path: Path
) -> None:
    sleeping.kill()
    sleeping.wait()
    time.sleep(1)
    env = environment(DOCKER_HOST=docker_engine.host)
    examined = subprocess.run([*COMMAND, "doctor"], cwd=tmp_path, env=env, capture_output=True, text=True).stdout
    assert "left by killed runs" in examined
    assert run(tmp_path, docker_engine.host).exit_code == 0
    assert docker_engine.ours() == []
