"""Container engines for tests: Debian's dockerd, and Podman's service, in folders of their own and without a network.

Each is started for one session of tests and ended with it, however that ends. Images are made without a registry.
"""

from __future__ import annotations

import contextlib
import io
import os
import pwd
import resource
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen


@frozen
class Daemon:
    """A running engine. ``host`` is what ``DOCKER_HOST`` must be; without a ``process`` it is not ours to end."""

    kind: str
    host: str
    process: Any

    def client(self):  # type: ignore[no-untyped-def]
        import docker

        return docker.DockerClient(base_url=self.host, timeout=60)

    def ours(self) -> list[str]:
        """The names of the containers of ours that there are, running or not."""
        client = self.client()
        try:
            return [
                c.name for c in client.containers.list(all=True, filters={"label": "inferflow"}, ignore_removed=True)
            ]
        finally:
            client.close()


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{what} (in CI it must be there)")
    pytest.skip(what)


def _started(
    command: list[str], folder: str, socket: str, env: dict[str, str], death: str = "TERM"
) -> subprocess.Popen[bytes]:
    """Start a daemon that gets the signal ``death`` if we are killed."""
    log = open(os.path.join(folder, "log"), "wb")  # noqa: SIM115
    guard = ["setpriv", "--pdeathsig", death] if shutil.which("setpriv") else []
    process = subprocess.Popen(
        [*guard, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True
    )
    for _ in range(300):
        if os.path.exists(socket) and _answers(socket):
            return process
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    text = Path(folder, "log").read_text(errors="replace")
    raise RuntimeError(f"{command[0]} did not start:\n{text[-3000:]}")


def _answers(path: str) -> bool:
    import docker

    try:
        client = docker.DockerClient(base_url=f"unix://{path}", timeout=5)
        client.ping()
        client.close()
    except Exception:
        return False
    return True


@contextlib.contextmanager
def docker_daemon() -> Iterator[Daemon]:
    if os.getuid() != 0 or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        _missing("dockerd (apt-get install docker.io) and root are needed")
    folder = tempfile.mkdtemp(prefix="dkr", dir="/tmp")
    os.chmod(folder, 0o755)
    socket = f"{folder}/s"
    command = ["unshare", "-n", "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    command += ["--pidfile", f"{folder}/pid", "-H", f"unix://{socket}", "--bridge=none", "--iptables=false"]
    command += ["--ip-forward=false", *_storage(folder)]
    process = _started(command, folder, socket, dict(os.environ))
    os.chmod(socket, 0o666)
    daemon = Daemon("docker", f"unix://{socket}", process)
    try:
        yield daemon
    finally:
        with contextlib.suppress(Exception):
            for container in daemon.client().containers.list(all=True):
                container.remove(force=True)
        _end(process)
        _clean(folder)


def _storage(folder: str) -> list[str]:
    """Where overlays cannot be stacked (tests inside a container), the slow driver that always works."""
    probe = f"{folder}/probe"
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(f"{probe}/{name}")
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    done = subprocess.run(["mount", "-t", "overlay", "x", "-o", options, f"{probe}/merged"], capture_output=True)
    if done.returncode:
        return ["--storage-driver=vfs"]
    subprocess.run(["umount", f"{probe}/merged"], check=True)
    return []


@contextlib.contextmanager
def podman_service(user: str = "") -> Iterator[Daemon]:
    """Podman's service, of root or (rootless) of another user."""
    if os.getuid() != 0 or shutil.which("podman") is None:
        _missing("podman (apt-get install podman) and root are needed")
    folder = tempfile.mkdtemp(prefix="pdm", dir="/tmp")
    os.chmod(folder, 0o755)
    socket = f"{folder}/s"
    env = {**os.environ, "XDG_RUNTIME_DIR": f"{folder}/run", "TMPDIR": f"{folder}/tmp"}
    for name in ("run", "tmp", "home"):
        os.makedirs(f"{folder}/{name}")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    (Path(folder) / "containers.conf").write_text(
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[containers]\nlog_driver = "k8s-file"\n'
        f'default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n'
    )
    env["CONTAINERS_CONF"] = f"{folder}/containers.conf"
    command = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run/c", "--tmpdir", f"{folder}/run/l"]
    command += ["--storage-driver", "vfs", "system", "service", "--time=0", f"unix://{socket}"]
    if user:
        subprocess.run(["chown", "-R", user, folder], check=True)
        env |= {"HOME": f"{folder}/home", "USER": user, "LOGNAME": user}
        facts = pwd.getpwnam(user)
        command = ["setpriv", "--reuid", user, "--regid", str(facts.pw_gid), "--clear-groups", *command]
    process = _started(command, folder, socket, env, "KILL")
    daemon = Daemon("podman", f"unix://{socket}", process)
    try:
        yield daemon
    finally:
        with contextlib.suppress(Exception):
            for container in daemon.client().containers.list(all=True, ignore_removed=True):
                container.remove(force=True)
        _end(process)
        _clean(folder)


def _clean(folder: str) -> None:
    """What a daemon leaves: processes that hold its namespaces, mounts, files."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            podman = (entry / "comm").read_text().startswith("podman")
            named = (entry / "cmdline").read_bytes()  # what a daemon that was killed has left: containerd, its shims
            if f"{folder}/".encode() in named or (podman and folder.encode() in (entry / "environ").read_bytes()):
                os.kill(int(entry.name), signal.SIGKILL)
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted(mounted, reverse=True):
        if path.startswith(folder + "/"):
            subprocess.run(["umount", "-l", path], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# -- images ------------------------------------------------------------------------------------------


def tarball(paths: list[tuple[str, str]], directories: tuple[str, ...] = ("tmp", "root", "etc", "proc")) -> bytes:
    """Files and folders of this machine, each under a name of its own, as the content of an image."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", dereference=False) as tar:
        for name in directories:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for source, name in paths:
            tar.add(source, name.lstrip("/"), filter=_wanted)
    return data.getvalue()


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = entry.name.split("/")
    leave = {
        "test",
        "tests",
        "__pycache__",
        "site-packages",
        "idlelib",
        "tkinter",
        "lib2to3",
        "ensurepip",
        "config",
        "turtledemo",
    }
    if (
        leave.intersection(parts[1:])
        or entry.name.endswith((".a", ".pyc"))
        or any(p.startswith("config-3") for p in parts)
    ):
        return None
    return entry


def python_image(daemon: Daemon, prefix: str, tag: str, extra: list[tuple[str, str]] | None = None) -> str:
    """An image with nothing but the Python that is installed under ``prefix`` and the libraries that it needs."""
    binary = os.path.realpath(os.path.join(prefix, "bin", "python3"))
    paths = [(os.path.join(prefix, part), os.path.join(prefix, part)) for part in ("lib",)]
    paths += [(binary, binary), (binary, "/usr/bin/python3"), *(extra or [])]
    libraries: set[str] = set()
    for program in [binary, *map(str, Path(prefix, "lib").glob("python3*/lib-dynload/*.so"))]:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        libraries.update(word for line in listed.splitlines() for word in line.split() if word.startswith("/"))
    paths += [(os.path.realpath(library), library) for library in sorted(libraries) if not library.startswith(prefix)]
    client = daemon.client()
    try:
        client.api.import_image_from_data(tarball(paths), repository=f"localhost/{tag}")  # Podman knows no other tag
    finally:
        client.close()
    return f"localhost/{tag}:latest"
