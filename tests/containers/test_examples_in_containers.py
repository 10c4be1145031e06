"""All examples in containers, equal to native in everything; and the engines of others than root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from compare import environment, write_files
from daemons import Daemon, podman_service
from test_examples import NAMES, ROOT, run_both


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_the_same(tmp_path: Path, docker_engine: Daemon, name: str) -> None:
    options = ("--backend", "docker", "--image", "host")
    run_both(tmp_path, name, options=options, DOCKER_HOST=docker_engine.host)


def test_verify_runs_in_copies_too(tmp_path: Path, docker_engine: Daemon) -> None:
    """The engine sees the machine's own file system, not the view of it in which copies stand for the originals."""
    driver = (
        "def work(x):\n    print('work', x)\n    return [x]\n"
        "def main():\n    a = work(1)\n    b = work(2)\n    open('o.txt', 'w').write(str((a, b)))\nmain()\n"
    )
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": 'image = "host"\n'})
    env = environment(DOCKER_HOST=docker_engine.host)
    command = [sys.executable, "-m", "inferflow", "verify", "--backend", "docker", "driver.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "o.txt").exists()


def test_the_contract_with_rootless_podman(tmp_path: Path) -> None:
    """The suite of all backends, run as a user with an engine of that user's own."""
    user, python = "nobody", "/usr/bin/python3"
    facts = pwd.getpwnam(user)
    folder = Path(tempfile.mkdtemp(prefix="rl", dir="/tmp"))
    (folder / "home").mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        daemon = stack.enter_context(podman_service(user))
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
        packages = os.pathsep.join([str(ROOT / "src"), *(path for path in sys.path if "site-packages" in path)])
        env = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "USER": user, "LOGNAME": user, "CI": ""}
        env |= {"TEST_ENGINE": daemon.host, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
        as_user = ["setpriv", "--reuid", str(facts.pw_uid), "--regid", str(facts.pw_gid), "--clear-groups", python]
        tried = subprocess.run(
            [*as_user, "-c", "import inferflow, docker, libcst, pytest"], env=env, capture_output=True
        )
        if tried.returncode:
            pytest.skip(f"another user's {python} cannot read this installation")
        command = [*as_user, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp"]
        command += [str(folder / "tests"), "-k", "docker", "tests/containers/test_contract.py"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert " passed" in done.stdout
        assert "skipped" not in done.stdout
        assert "deselected" in done.stdout  # the other ways
        assert daemon.ours() == []


@pytest.mark.parametrize("kind", ["rootless podman", "docker"])
def test_another_user(request: pytest.FixtureRequest, kind: str) -> None:
    """What is written is that user's. With an engine that runs as the user itself, the driver is root inside."""
    user, python = "nobody", "/usr/bin/python3"
    facts = pwd.getpwnam(user)
    folder = Path(tempfile.mkdtemp(prefix="rl", dir="/tmp"))
    home = "/tmp/home-of-nobody"  # which is not there on this machine
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        docker = kind == "docker"
        daemon = request.getfixturevalue("docker_engine") if docker else stack.enter_context(podman_service(user))
        as_user = ["setpriv", "--reuid", str(facts.pw_uid), "--regid", str(facts.pw_gid), "--clear-groups", python]
        packages = os.pathsep.join([str(ROOT / "src"), *(path for path in sys.path if "site-packages" in path)])
        env = {"PATH": os.environ["PATH"], "HOME": home, "USER": user, "LOGNAME": user}
        env |= {"DOCKER_HOST": daemon.host, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
        tried = subprocess.run(
            [*as_user, "-c", "import inferflow, docker, libcst"], env=env, cwd="/", capture_output=True
        )
        if tried.returncode:
            pytest.skip(f"another user's {python} cannot read this installation")
        driver = (
            "import getpass, os\nfrom pathlib import Path\nprint(os.getuid(), getpass.getuser(), Path.home())\n"
            "(Path.home() / 'note').write_text('gone at the end') if os.getuid() else None\n"
            "Path('out.txt').write_text('x')\n"
            "def work(x):\n    return [x]\ndef main():\n    a = work(1)\n    b = work(2)\n    print(a, b)\nmain()\n"
        )
        write_files(folder, {"driver.py": driver})
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
        command = [*as_user, "-m", "inferflow", "-q", "run", "-b", "docker", "--image", "host", "driver.py"]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL)
        told = f"{facts.pw_uid if docker else 0} {user} {home}\n[1] [2]\n"
        assert (done.returncode, done.stdout.decode()) == (0, told), done.stderr
        assert (folder / "out.txt").stat().st_uid == facts.pw_uid
        assert daemon.ours() == []
        if docker:  # the driver's folder is the home folder itself: then it is that
            done = subprocess.run(command, cwd=folder, env={**env, "HOME": str(folder)}, capture_output=True)
            assert done.returncode == 0, done.stderr
            assert (folder / "note").exists()
