"""Tasks that run elsewhere than the driver: in another image, under other limits, in a container for each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compare import Observed, both, environment, observe, recorded, write_files
from daemons import Daemon, python_image

DRIVER = """
import os
from pathlib import Path
def load(n):
    return list(range(n))
def train(xs, factor):
    print("training on", len(xs))
    return {"n": len(xs), "sum": sum(xs) * factor, "nan": float("nan")}
def limit():
    for name in ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
        if os.path.exists(name):
            return Path(name).read_text().strip()
def save(m):
    Path("out").mkdir()
    Path("out/model.txt").write_text(str(m))
    print("saved")
def fail(m):
    if m["n"]:
        raise ValueError("bad %d" % m["n"]) from KeyError("cause")
def main():
    a = load(10)
    m = train(a, 2)
    b = train(a, 3)
    save(m)
    print(m, b)
    fail(m)
main()
"""

SETTINGS = """
[tasks."train*"]
backend = "docker"
image = "host"
memory = "256MiB"
[tasks.save]
backend = "docker"
image = "host"
[tasks.fail]
backend = "docker"
image = "host"
"""


def run(folder: Path, daemon: Daemon, *options: str) -> Observed:
    command = [sys.executable, "-m", "inferflow", "-q", "run", *options, "driver.py"]
    return observe(command, folder, b"", environment(DOCKER_HOST=daemon.host))


def where(folder: Path, what: str = "worker") -> dict[str, str]:
    return {task["task"]: task["attempts"][-1][what] for task in recorded(folder)["tasks"]}


@pytest.mark.parametrize("options", [(), ("--backend", "docker", "--image", "host")])
def test_tasks_in_containers_of_their_own(tmp_path: Path, docker_engine: Daemon, options: tuple[str, ...]) -> None:
    """The result, the files, the exception with its cause and every caret are native's."""
    files: dict[str, str | bytes] = {"driver.py": DRIVER, "inferflow.toml": SETTINGS}
    native, inferred, folder = both(tmp_path, files, options=options, DOCKER_HOST=docker_engine.host)
    assert inferred == native
    assert native.exit_code == 1
    workers = where(folder)
    assert workers["load"] == "home"
    assert workers["train"] == workers["train.2"] != "home"
    if not options:
        assert "home" not in (workers["save"], workers["fail"])


def test_a_process_beside_a_container(tmp_path: Path, docker_engine: Daemon) -> None:
    """Home in a container, one task in a process outside of it."""
    driver = (
        "import os\ndef inside(): return os.path.exists('/.inferflow-worker')\n"
        "def outside(): return os.path.exists('/.inferflow-worker')\n"
        "def main():\n    a = inside()\n    b = outside()\n    print(a, b)\nmain()\n"
    )
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": '[tasks.outside]\nbackend = "process"\n'})
    done = run(tmp_path, docker_engine, "--backend", "docker", "--image", "host")
    assert (done.stdout, done.exit_code) == (b"True False\n", 0), done.stderr


def test_limits_hold(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = (
        DRIVER[: DRIVER.index("def main")] + "def main():\n    print(limit())\n    x = limit()\n    print(x)\nmain()\n"
    )
    write_files(
        tmp_path,
        {
            "driver.py": driver,
            "inferflow.toml": '[tasks.limit]\nbackend = "docker"\nimage = "host"\nmemory = "300MiB"\n',
        },
    )
    done = run(tmp_path, docker_engine)
    assert str(300 * 2**20) in done.stdout.decode(), done.stderr


def test_a_container_for_each_task(tmp_path: Path, docker_engine: Daemon) -> None:
    """What cannot leave the process stays together, and says so."""
    driver = (
        "import socket, os\nLOG = []\n"
        "def work(x):\n    return [x, os.path.exists('/.inferflow-worker')]\n"
        "def note(x):\n    LOG.append(x)\n    return len(LOG)\n"
        "def main():\n    a = work(1)\n    b = work(2)\n    n = note(3)\n    c = work(5)\n    print(a, b, c, n)\nmain()\n"
    )
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": 'image = "host"\nisolation = "task"\n'})
    done = run(tmp_path, docker_engine, "--backend", "docker")
    assert done.stdout == b"[1, True] [2, True] [5, True] 1\n", done.stderr
    workers = where(tmp_path)
    assert len({workers["work"], workers["work.2"], workers["work.3"], "home"}) == 4
    assert workers["note"] == "home"
    command = [sys.executable, "-m", "inferflow", "show", "latest"]
    told = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True).stdout
    assert "note stays in home's container" in " ".join(told.split())


def test_a_task_that_cannot_leave_is_refused_before_anything_runs(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = "LOG = []\ndef note(x):\n    LOG.append(x)\nprint('never')\ndef main():\n    note(1)\n    note(2)\n    print(LOG)\nmain()\n"
    write_files(
        tmp_path, {"driver.py": driver, "inferflow.toml": '[tasks."note*"]\nbackend = "docker"\nimage = "host"\n'}
    )
    done = run(tmp_path, docker_engine)
    assert done.exit_code == 2
    assert "cannot run apart from home" in done.stderr
    assert "LOG" in done.stderr
    assert "for the whole run" in " ".join(done.stderr.split())


def test_a_result_that_cannot_leave_ends_the_run(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = "def make():\n    return open('driver.py')\ndef main():\n    f = make()\n    print(f.read()[:3])\nmain()\n"
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": '[tasks.make]\nbackend = "docker"\nimage = "host"\n'})
    command = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    done = observe(command, tmp_path, b"", environment(DOCKER_HOST=docker_engine.host))
    assert (done.exit_code, done.stdout) == (4, b"")
    assert "task make could not run where its settings place it" in " ".join(done.stderr.split())


def test_a_bad_image_for_one_task(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = "def load(): return 1\ndef train(x): return x\ndef main():\n    a = load()\n    b = train(a)\n    print(b)\nmain()\n"
    settings = '[tasks.train]\nbackend = "docker"\nimage = "no/such:image"\n'
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": settings})
    command = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    done = observe(command, tmp_path, b"", environment(DOCKER_HOST=docker_engine.host))
    text = " ".join(done.stderr.split())
    assert done.exit_code == 4
    assert done.stdout == b""
    assert "task train could not run where its settings place it" in text
    assert "no image no/such:image" in text
    assert "docker pull no/such:image" in text


@pytest.mark.parametrize("backend", ["process", "docker"])
def test_a_time_limit_for_one_task(tmp_path: Path, docker_engine: Daemon, backend: str) -> None:
    driver = "import time\ndef slow():\n    time.sleep(60)\n    return 1\ndef main():\n    a = slow()\n    print(a)\nmain()\n"
    settings = f'[tasks.slow]\nbackend = "{backend}"\nimage = "host"\ntimeout = "1s"\n'
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": settings})
    command = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    done = observe(command, tmp_path, b"", environment(DOCKER_HOST=docker_engine.host))
    assert done.exit_code == 124
    assert "task slow took longer than its timeout of 1 s" in " ".join(done.stderr.split())


def test_variables_and_secrets(tmp_path: Path, docker_engine: Daemon) -> None:
    driver = (
        "import os, time\nprint({k: os.environ.get(k) for k in ('GIVEN', 'AWS_X', 'PASSWORD', 'OTHER', 'SET', 'LC_ALL')}, flush=True)\n"
        "time.sleep(1.5)\n"
    )
    settings = 'image = "host"\nenv = ["GIVEN", "AWS_*", "SET=1=2"]\nsecrets = ["PASSWORD"]\n'
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": settings})
    env = environment(DOCKER_HOST=docker_engine.host, GIVEN="g", AWS_X="x", PASSWORD="hunter2", OTHER="o", LC_ALL="C")
    command = [sys.executable, "-m", "inferflow", "-q", "run", "--backend", "docker", "driver.py"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    client = docker_engine.client()
    seen = json.dumps(client.api.inspect_container(docker_engine.ours()[0]))
    client.close()
    process.communicate(timeout=400)
    assert line == b"{'GIVEN': 'g', 'AWS_X': 'x', 'PASSWORD': 'hunter2', 'OTHER': None, 'SET': '1=2', 'LC_ALL': 'C'}\n"
    assert "hunter2" not in seen
    del env["PASSWORD"]
    done = observe(command, tmp_path, b"", env)
    assert done.exit_code == 2
    assert "secret PASSWORD is not set" in done.stderr


# -- what goes wrong in a container of a task's own ----------------------------------------------------

ONE_TASK = "def load(): return 3\ndef train(x):\n    {body}\n    return x\ndef main():\n    a = load()\n    print('before')\n    b = train(a)\n    print(b)\nmain()\n"


def trouble(folder: Path, daemon: Daemon, body: str, *settings: str) -> tuple[Observed, str]:
    lines = "\n".join(["[tasks.train]", 'backend = "docker"', 'image = "host"', *settings])
    write_files(folder, {"driver.py": ONE_TASK.format(body=body), "inferflow.toml": lines + "\n"})
    command = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    done = observe(command, folder, b"", environment(DOCKER_HOST=daemon.host))
    return done, " ".join(done.stderr.split())


def test_a_task_that_runs_out_of_memory(tmp_path: Path, docker_engine: Daemon) -> None:
    body = "x = len([bytearray(1 << 20) for _ in range(400)])"
    done, text = trouble(tmp_path, docker_engine, body, 'memory = "80MiB"')
    assert (done.exit_code, done.stdout) == (137, b"before\n"), text
    assert "ran out of memory: its limit is 80 MiB, its peak" in text
    assert "task train" in text


@pytest.mark.parametrize("act", ["kill", "remove"])
def test_the_container_of_a_task_is_ended_from_outside(act: str, tmp_path: Path, docker_engine: Daemon) -> None:
    body = "import time; time.sleep(60)"
    lines = '[tasks.train]\nbackend = "docker"\nimage = "host"\n'
    write_files(tmp_path, {"driver.py": ONE_TASK.format(body=body), "inferflow.toml": lines})
    env = environment(DOCKER_HOST=docker_engine.host)
    command = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    client = docker_engine.client()
    for _ in range(200):
        time.sleep(0.1)
        if shown_started(tmp_path):
            break
    name = docker_engine.ours()[0]
    client.api.kill(name) if act == "kill" else client.api.remove_container(name, force=True)
    client.close()
    stdout, stderr = process.communicate(timeout=400)
    text = " ".join(stderr.decode().split())
    assert (process.returncode, stdout) == (4, b"before\n"), text
    assert "task train could not run where its settings place it" in text
    assert f"the container was {'ended' if act == 'kill' else 'removed'} from outside while it ran" in text


def shown_started(folder: Path) -> bool:
    """Whether the placed task has been sent."""
    command = [sys.executable, "-m", "inferflow", "show", "latest", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True)
    if done.returncode:
        return False
    tasks = {task["task"]: task for task in json.loads(done.stdout)["tasks"]}
    return bool(tasks.get("train", {}).get("attempts"))


def test_a_task_whose_image_lacks_a_package(tmp_path: Path, docker_engine: Daemon) -> None:
    image = python_image(docker_engine, sys.base_prefix, "bare")
    driver = "import numpy\ndef load(): return 3\ndef train(x): return x\ndef main():\n    a = load()\n    b = train(a)\n    print(b)\nmain()\n"
    settings = f'[tasks.train]\nbackend = "docker"\nimage = "{image}"\n'
    write_files(tmp_path, {"driver.py": driver, "inferflow.toml": settings})
    done = observe(
        [sys.executable, "-m", "inferflow", "run", "driver.py"],
        tmp_path,
        b"",
        environment(DOCKER_HOST=docker_engine.host),
    )
    text = " ".join(done.stderr.split())
    assert done.exit_code == 4, text
    assert "No module named 'numpy'" in text
    assert "driver.py:1" in text
    assert "the image of this task has no package numpy" in text
    assert "inferflow image" in text


RESUMED = """
import sys, time
def load(n):
    time.sleep(0.1)
    return list(range(n))
def train(xs):
    time.sleep(0.1)
    print("training")
    return sum(xs)
def save(m, path):
    time.sleep(0.1)
    with open(path, "w") as file:
        file.write(str(m))
def report(m):
    if "fail" in sys.argv:
        raise ValueError(m)
    print("model", m)
def main():
    path = "model.txt"
    xs = load(5)
    m = train(xs)
    save(m, path)
    report(m)
main()
"""
ELSEWHERE = '[tasks."train*"]\nbackend = "docker"\nimage = "{0}"\n[tasks.save]\nbackend = "docker"\nimage = "{0}"\n'


def test_what_was_done_elsewhere_is_used_again(tmp_path: Path, docker_engine: Daemon) -> None:
    """Unless the image is another one: its digest is part of what is compared, and stands in the record."""
    write_files(tmp_path, {"driver.py": RESUMED, "inferflow.toml": ELSEWHERE.format("host")})
    env = environment(DOCKER_HOST=docker_engine.host)
    command = [sys.executable, "-m", "inferflow", "run"]
    first = observe([*command, "driver.py", "--", "fail"], tmp_path, b"", env)
    assert (first.exit_code, first.stdout) == (1, b"training\n"), first.stderr
    (tmp_path / "model.txt").unlink()
    again = observe([*command, "driver.py", "--resume", "latest"], tmp_path, b"", env)
    assert (again.exit_code, again.stdout) == (0, b"training\nmodel 10\n"), again.stderr
    assert again.files["model.txt"] == b"10"
    assert {"load": "reused", "train": "reused", "save": "reused"}.items() <= where(tmp_path, "where").items()
    image = python_image(docker_engine, sys.base_prefix, "other")
    write_files(tmp_path, {"inferflow.toml": ELSEWHERE.format(image)})
    last = observe([*command, "driver.py", "--cache"], tmp_path, b"", env)
    assert (last.exit_code, last.stdout) == (0, b"training\nmodel 10\n"), last.stderr
    assert {"load": "reused", "train": "ahead", "save": "ahead"}.items() <= where(tmp_path, "where").items()
    told = " ".join(
        subprocess.run(
            [sys.executable, "-m", "inferflow", "show"], cwd=tmp_path, env=env, capture_output=True, text=True
        ).stdout.split()
    )
    assert "train and save ran again: the image of its container has changed since" in told
    assert f"image {image} (sha256:" in told


# -- code of which nothing is known --------------------------------------------------------------------

LIBRARY = """
import os, random, subprocess
class Net:
    def __init__(self, n):
        self.w = [0.0] * n
    def fit(self, rows):
        for i, r in enumerate(rows):
            self.w[i] += r
        return self
def seed(n): random.seed(n)
def draw(): return random.random()
def poke(module, name, value): setattr(module, name, value)
def say(text):
    print(text)
    os.write(1, b"raw\\n")
    subprocess.run(["echo", "child"], check=True)
def boom(): raise ValueError("boom") from KeyError("k")
def save(path, text):
    with open(path, "w") as f:
        f.write(text)
"""
KNOWS_NOTHING = """
import lib, sys
FACTOR = 1
def make(): return lib.Net(3)
def load():
    import noisy
    return [3.0, 1.0, 2.0]
def wrap(rows): return {"rows": rows}
def setup(x):
    if x == "seed": lib.seed(3)
    if x == "poke": lib.poke(sys.modules["__main__"], "FACTOR", 5)
def train(net, rows):
    net.fit(rows)
    return net
def train_sorted(rows):
    lib.Net(3).fit(rows)
    rows.sort()
    return len(rows)
def train_both(rows, box):
    lib.Net(3).fit(rows)
    rows.append(9.0)
    return len(box["rows"])
def train_loudly(n):
    lib.say(f"training {n}")
    lib.save(f"out{n}.txt", "t")
    print("done", flush=True)
    return n
def train_kept(n):
    with open("kept" + ".txt", "w") as f:
        f.write(str(n))
def train_drawn(x): return lib.draw() + x
def train_scaled(x): return lib.Net(1).fit([x]).w[0] * FACTOR
def train_badly(n):
    print("before")
    if n: lib.boom()
    return n
"""
PLACED = '[tasks."train*"]\nbackend = "docker"\nimage = "host"\n'


@pytest.fixture
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a library that the catalogue does not know."""
    folder = tmp_path_factory.mktemp("library")
    noisy = "import warnings\nwarnings.filterwarnings('always', module='noisy')\n"
    write_files(folder, {"lib.py": LIBRARY, "noisy.py": noisy})
    return str(folder)


def test_code_of_which_nothing_is_known(tmp_path: Path, docker_engine: Daemon, library: str) -> None:
    """It runs where it is placed: what it changes is home's own, and what it prints, writes and raises comes in place."""
    main = (
        "def main():\n    net = make()\n    same = net\n    rows = load()\n    net2 = train(net, rows)\n"
        "    net3 = train(net2, rows)\n    print(net2 is net, net3 is same, same.w)\n"
        "    n = train_sorted(rows)\n    train_kept(n)\n    print(n, rows)\n    a = train_loudly(1)\n    print('between', a)\n"
        "    b = train_loudly(2)\n    print(a, b, open('out1.txt').read())\n    s = train_scaled(2.0)\n    print(s)\n"
        "    train_badly(0)\n    train_badly(1)\nmain()\n"
    )
    files: dict[str, str | bytes] = {"driver.py": KNOWS_NOTHING + main, "inferflow.toml": PLACED}
    native, inferred, folder = both(tmp_path, files, DOCKER_HOST=docker_engine.host, PYTHONPATH=library)
    assert inferred == native
    assert native.exit_code == 1
    assert b"True True" in native.stdout
    workers = where(folder)
    assert "home" not in {workers[name] for name in workers if name.startswith("train")}
    command = [sys.executable, "-m", "inferflow", "show", "latest"]
    told = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True).stdout
    assert "train ran apart: what libraries hold there was not compared with home" in " ".join(told.split())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("rows = load(); box = wrap(rows); n = train_both(rows, box); print(rows, n)", "'box' shares objects with 'rows'"),
        ("setup('seed'); a = train_drawn(1.0); print(a)", "it changed random"),
        ("setup('poke'); a = train_scaled(1.0); print(a)", "__main__.FACTOR is not what it is at home"),
    ],
)  # fmt: skip
def test_what_would_be_another_result_ends_the_run(
    body: str, why: str, tmp_path: Path, docker_engine: Daemon, library: str
) -> None:
    main = "def main():\n" + "".join(f"    {line}\n" for line in body.split("; ")) + "main()\n"
    write_files(tmp_path, {"driver.py": KNOWS_NOTHING + main, "inferflow.toml": PLACED})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "driver.py"]
    env = environment(DOCKER_HOST=docker_engine.host, PYTHONPATH=library)
    done = observe(command, tmp_path, b"", env)
    assert (done.exit_code, done.stdout) == (4, b"")
    assert f"could not run where its settings place it: {why}" in " ".join(done.stderr.split())
