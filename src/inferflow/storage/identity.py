"""Which code ran, where, and whether the process that ran it still lives.

code = start_code_identity(folder)          # git works while the analysis does
...
code.result()                               # CodeIdentity(commit="4c1f...", branch="main", dirty=("driver.py",))
environment()                               # Environment(python="3.11.9", ..., packages=(("numpy", "2.1"), ...))
process_identity()                          # (pid, "boot id:start time"), for RunStarted
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import IO

from inferflow.model import CodeIdentity, Environment, RunStarted

__all__ = [
    "CodeHandle",
    "distributions",
    "environment",
    "is_alive",
    "packages",
    "process_identity",
    "start_code_identity",
]

# -- code ------------------------------------------------------------------------------------------


class CodeHandle:
    """A question to git, under way."""

    def __init__(self, process: subprocess.Popen[bytes] | None, output: IO[bytes] | None, folder: Path) -> None:
        self._process = process
        self._output = output
        self._folder = folder

    def result(
        self,
        driver_digest: str = "",
        functions: tuple[tuple[str, str], ...] = (),
        timeout: float = 5.0,
    ) -> CodeIdentity:
        """The answer, completed by what the analysis knows. Outside of a git repository, or without git, there is no
        commit. Where git needs longer than ``timeout`` seconds to look through the files, only the commit is told."""
        commit, branch, dirty = self._ask(timeout)
        return CodeIdentity(commit, branch, dirty, driver_digest, functions)

    def _ask(self, timeout: float) -> tuple[str, str, tuple[str, ...]]:
        if self._process is None or self._output is None:
            return "", "", ()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return _head(self._folder), "", (f"(git status took longer than {timeout:g} s)",)
        self._output.seek(0)
        output = self._output.read()
        self._output.close()
        self._process = None
        return parse_status(output) if status == 0 else ("", "", ())


def start_code_identity(folder: Path) -> CodeHandle:
    """Ask git about the repository around ``folder``, without waiting (one subprocess, if there may be one)."""
    if not _may_be_in_repository(folder):
        return CodeHandle(None, None, folder)
    import tempfile  # takes two milliseconds to load

    output = tempfile.TemporaryFile()  # noqa: SIM115  a pipe would stop git at 64 KiB until somebody reads
    command = ["git", "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames"]
    try:
        process = _git(command, folder, output)
    except OSError:
        output.close()
        return CodeHandle(None, None, folder)
    return CodeHandle(process, output, folder)


def _may_be_in_repository(folder: Path) -> bool:
    """Whether git could find a repository here: ``.git`` in a folder above, what a bare one has, or a variable."""
    if any(name.startswith("GIT_") for name in os.environ):
        return True
    here = os.path.realpath(folder)
    while True:
        if os.path.lexists(os.path.join(here, ".git")) or os.path.lexists(os.path.join(here, "HEAD")):
            return True
        above = os.path.dirname(here)
        if above == here:
            return False
        here = above


def parse_status(output: bytes) -> tuple[str, str, tuple[str, ...]]:
    """Commit, branch and changed or untracked paths out of ``git status --porcelain=v2 --branch -z --no-renames``."""
    commit = branch = ""
    dirty: list[str] = []
    for line in os.fsdecode(output).split("\0"):
        kind, _, rest = line.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            if name == "branch.oid" and value != "(initial)":
                commit = value
            elif name == "branch.head" and value != "(detached)":
                branch = value
        elif kind in ("1", "u"):
            dirty.append(rest.split(" ", 7 if kind == "1" else 9)[-1])
        elif kind == "?":
            dirty.append(rest)
    return commit, branch, tuple(sorted(dirty))


def _head(folder: Path) -> str:
    import tempfile

    with tempfile.TemporaryFile() as output:
        try:
            _git(["git", "rev-parse", "HEAD"], folder, output).wait(1.0)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        output.seek(0)
        return output.read().decode().strip()


def _git(command: list[str], folder: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start git so that it takes no locks, asks nothing and prints nothing."""
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
    )


# -- environment -----------------------------------------------------------------------------------

_VARIABLES = (
    *("PYTHONHASHSEED", "PYTHONPATH", "PYTHONOPTIMIZE", "PYTHONUTF8", "PYTHONWARNINGS", "PYTHONIOENCODING"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "CUDA_VISIBLE_DEVICES", "MPLBACKEND", "TZ", "LANG", "LANGUAGE"),
    *("LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_NUMERIC", "LC_TIME", "LC_MONETARY", "LC_MESSAGES"),
)
"""Environment variables that change what a program computes or prints."""


def environment() -> Environment:
    """The interpreter, the machine, and the packages beside them."""
    system = os.uname()
    version = ".".join(map(str, sys.version_info[:3]))
    return Environment(
        python=version if sys.version_info.releaselevel == "final" else sys.version.split()[0],
        implementation=sys.implementation.name,
        platform=f"{system.sysname} {system.release} {system.machine}",
        host=socket.gethostname(),
        user=_user(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        executable=sys.executable,
        packages=packages(tuple(sys.path)),
        variables=tuple((name, os.environ[name]) for name in _VARIABLES if name in os.environ),
        marks=tuple((name, _mark(text)) for name, text in sorted(os.environ.items())),
    )


def _mark(text: str) -> str:
    return hashlib.blake2b(os.fsencode(text), digest_size=2).hexdigest()


@cache
def packages(path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Name (normalised) and version of each distribution found on an import path, sorted by name. Read off the names of
    the folders of metadata: fifty times faster than ``importlib.metadata``, which opens each."""
    names: list[str] = []
    for folder in path:
        try:
            names += [entry for entry in os.listdir(folder or ".") if entry.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
    return distributions(names)


def distributions(metadata: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Name (normalised) and version of each distribution, from the names of the folders of metadata, sorted by name; of
    several versions the one that is found first."""
    found: dict[str, str] = {}
    for name, version in map(_distribution, metadata):
        found.setdefault(name, version)
    return tuple(sorted(found.items()))


def _distribution(metadata: str) -> tuple[str, str]:
    """``("scikit-learn", "1.5.0")`` for ``scikit_learn-1.5.0.dist-info``."""
    stem = metadata.rpartition(".")[0]
    name, _, rest = stem.partition("-")
    return re.sub(r"[-_.]+", "-", name).lower(), re.sub(r"-py\d.*", "", rest)


def _user() -> str:
    for name in ("LOGNAME", "USER", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid())


# -- processes -------------------------------------------------------------------------------------


_WEEK = 7 * 86400.0


def process_identity(pid: int | None = None) -> tuple[int, str]:
    """This process (or another) as no other will ever be: its id, and ``boot:start``, the boot of the host and when
    the process started. The second is empty if there is no such process."""
    pid = os.getpid() if pid is None else pid
    start = _start_time(pid)
    return pid, f"{_boot()}:{start}" if start else ""


def is_alive(started: RunStarted) -> bool:
    """Whether the controller of a run lives. A run of another host (a container, a shared folder) cannot be asked:
    it is taken to live for a week."""
    if started.environment.host and started.environment.host != socket.gethostname():
        return time.time() - started.time < _WEEK
    return bool(started.boot) and process_identity(started.pid)[1] == started.boot


def _start_time(pid: int) -> str:
    """When a process started, in whatever unit the system tells; empty if it is dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (OSError, IndexError):
        if os.path.exists("/proc/self/stat"):
            return ""
    try:
        process = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.strip()


@cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return socket.gethostname()
