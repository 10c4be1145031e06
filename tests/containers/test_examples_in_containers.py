"""All examples in containers, equal to native in everything; and the engines of others than root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from compare import both, write_files
from daemons import Daemon, podman_service
from test_examples import NAMES, ROOT, files_of


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_the_same(tmp_path: Path, docker_engine: Daemon, name: str) -> None:
    options = ("--backend", "docker", "--image", "host")
    native, inferred, _ = both(tmp_path, files_of(name), options=options, DOCKER_HOST=docker_engine.host)
    assert native.exit_code == 0, native.stderr
    assert inferred.stdout == native.stdout
    assert inferred.stderr == native.stderr
    assert inferred.exit_code == native.exit_code
    assert sorted(inferred.files) == sorted(native.files)
    for path, content in native.files.items():
        if not path.endswith(".sqlite"):
            assert inferred.files[path] == content, path


def test_rootless_podman(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An engine that runs as a user: the driver is root inside, and what it writes is that user's."""
    user, python = "nobody", "/usr/bin/python3"
    folder = Path(tempfile.mkdtemp(prefix="rl", dir="/tmp"))
    try:
        with podman_service(user) as daemon:
            facts = pwd.getpwnam(user)
            as_user = ["setpriv", "--reuid", str(facts.pw_uid), "--regid", str(facts.pw_gid), "--clear-groups", python]
            packages = os.pathsep.join([str(ROOT / "src"), *(path for path in sys.path if "site-packages" in path)])
            env = {"PATH": os.environ["PATH"], "HOME": f"{daemon.host[7:-2]}/home", "USER": user, "LOGNAME": user}
            env |= {"DOCKER_HOST": daemon.host, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
            tried = subprocess.run(
                [*as_user, "-c", "import inferflow, docker, libcst"], env=env, cwd="/", capture_output=True
            )
            if tried.returncode:
                pytest.skip(f"another user's {python} cannot read this installation")
            driver = (
                "import os\nfrom pathlib import Path\nprint(os.getuid())\nPath('out.txt').write_text('x')\n"
                "def work(x):\n    return [x]\ndef main():\n    a = work(1)\n    b = work(2)\n    print(a, b)\nmain()\n"
            )
            write_files(folder, {"driver.py": driver})
            subprocess.run(["chown", "-R", user, str(folder)], check=True)
            command = [*as_user, "-m", "inferflow", "-q", "run", "-b", "docker", "--image", "host", "driver.py"]
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL)
            assert (done.returncode, done.stdout) == (0, b"0\n[1] [2]\n"), done.stderr
            assert (folder / "out.txt").stat().st_uid == facts.pw_uid
            assert daemon.ours() == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
