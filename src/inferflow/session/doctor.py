"""What works on this machine and for this project, and what to do about what does not.

Each check gives findings: ``ok``, ``warn`` (runs work, but something is lost) or ``fail`` (runs do not work). A check
never raises: what it trips over is its finding. Nothing is changed, but for a file written and removed as a trial.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from inferflow.config.project import project_root
from inferflow.config.settings import Settings, backend_names, load_settings
from inferflow.config.values import available_cpus
from inferflow.errors import UserError
from inferflow.records import frozen

__all__ = ["Finding", "examine"]

NEEDED = {"attrs": "23.2", "cattrs": "24.1", "cloudpickle": "3.0", "libcst": "1.9", "pyyaml": "6.0"}
MIB = 1024 * 1024


@frozen
class Finding:
    """One line of the examination: what was looked at, how it is, in words, and the next step (``hint``)."""

    subject: str
    status: Literal["ok", "warn", "fail"]
    text: str
    hint: str = ""


def examine(folder: Path, config: Path | None = None) -> Iterator[Finding]:
    """Examine this machine, and the project that ``folder`` belongs to."""
    yield from _guarded("python", _python)
    yield from _guarded("packages", _packages)
    try:
        settings = load_settings(folder, config=config)
        yield Finding("settings", "ok", f"{settings.file or 'none; the defaults hold'}")
    except UserError as error:
        where = f"{error.span}: " if error.span else ""
        yield Finding("settings", "fail", where + error.message, error.hint)
        root = project_root(folder)
        settings = Settings(root=root, store=root / ".inferflow")
    yield from _guarded("backend", lambda: _backends(settings))
    yield from _guarded("containers", lambda: _containers(settings))
    yield from _guarded("processes", lambda: _processes(settings))
    yield from _guarded("tracing", lambda: _tracing(settings.trace))
    yield from _guarded("limits", _limits)
    yield from _guarded("memory", _memory)
    yield from _guarded("store", lambda: _store(settings))
    yield from _guarded("leftovers", lambda: _leftovers(settings))
    yield from _guarded("git", lambda: _git(settings.root))


def _guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except UserError as error:
        yield Finding(subject, "fail", error.message, error.hint)
    except Exception as error:
        yield Finding(subject, "warn", f"could not be examined: {type(error).__name__}: {error}")


# -- the machine -----------------------------------------------------------------------------------


def _python() -> Iterator[Finding]:
    version = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    if platform.python_implementation() != "CPython":
        yield Finding("python", "warn", version, "only CPython is tested")
    else:
        yield Finding("python", "ok", version)


def _packages() -> Iterator[Finding]:
    wrong, found = [], []
    for name, least in NEEDED.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if _numbers(version) < _numbers(least):
            wrong.append(f"{name} {version} is older than {least}")
        found.append(f"{name} {version}")
    if wrong:
        yield Finding("packages", "fail", "; ".join(wrong), "pip install --upgrade inferflow")
    else:
        yield Finding("packages", "ok", ", ".join(found))


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _backends(settings: Settings) -> Iterator[Finding]:
    if settings.backend not in backend_names():
        yield Finding(
            "backend", "fail", f"there is no backend {settings.backend!r}", f"known: {', '.join(backend_names())}"
        )
        return
    broken = []
    for point in metadata.entry_points(group="inferflow.backends"):
        try:
            point.load()
        except Exception as error:
            broken.append(f"{point.name} ({type(error).__name__}: {error})")
    if broken:
        yield Finding(
            "backend", "fail", f"cannot be loaded: {'; '.join(broken)}", "pip install --force-reinstall inferflow"
        )
    else:
        yield Finding("backend", "ok", f"{settings.backend}, of {', '.join(backend_names())}")


def _containers(settings: Settings) -> Iterator[Finding]:
    """The engine, where containers are asked for, or where there is one."""
    from inferflow.backends.docker_engine import connect, engine_address
    from inferflow.session.containers import leftovers

    wanted = settings.backend == "docker" or any(rule.place.backend == "docker" for rule in settings.tasks)
    try:
        _, source = engine_address(os.environ)
        client = connect(os.environ)
    except UserError as error:
        if wanted:
            yield Finding("containers", "fail", error.message, error.hint)
        return
    try:
        facts = client.version()
    finally:
        client.close()
    name = (facts.get("Components") or [{}])[0].get("Name") or facts.get("Platform", {}).get("Name") or "engine"
    yield Finding("containers", "ok", f"{name} {facts.get('Version', '')} ({source})")
    left = leftovers()
    ended = [item.name for item in left if not item.running]
    if ended:
        yield Finding("containers", "warn", f"left by killed runs: {', '.join(ended)}", "remove them: inferflow prune")
    for item in left:
        if item.running:
            text = f"{item.name} holds what a driver in {item.folder} left running in the background"
            yield Finding("containers", "warn", text, f"end it: docker rm -f {item.name}")


def _processes(settings: Settings) -> Iterator[Finding]:
    cpus = available_cpus()
    said = f"{cpus} processor{'s' if cpus > 1 else ''} for {settings.jobs} process{'es' if settings.jobs > 1 else ''}"
    if not hasattr(os, "fork"):
        yield Finding("processes", "warn", f"{said}; cannot fork", "workers are spawned, and import everything anew")
        return
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            "import os; p = os.fork(); os._exit(0) if p == 0 else os._exit(os.waitpid(p, 0)[1])",
        ],
        capture_output=True,
        timeout=20,
    )
    if done.returncode != 0:
        yield Finding("processes", "fail", f"{said}; a fork failed", "raise the limit of processes (ulimit -u)")
    elif settings.jobs > 4 * cpus:
        yield Finding("processes", "warn", f"{said}; can fork", 'set jobs = "auto"')
    else:
        yield Finding("processes", "ok", f"{said}; can fork")


def _tracing(wanted: bool) -> Iterator[Finding]:
    """Whether children can be followed call by call, which a setting asks for: one is."""
    why = _traced()
    seen = "files that child processes open are seen wherever they are"
    if wanted and not why:
        yield Finding("tracing", "ok", seen)
    elif wanted:
        hint = "what they read outside of the project is not recorded; set trace = false"
        yield Finding("tracing", "warn", f"children cannot be traced: {why}", hint)
    elif not why:
        yield Finding("tracing", "ok", "off; it works here: with trace = true " + seen)
    else:
        yield Finding("tracing", "ok", f"off; children cannot be traced here: {why}")


def _traced() -> str:
    """Why a child cannot be traced here; empty if it can."""
    from inferflow.worker import traced

    shell = shutil.which("sh")
    if not sys.platform.startswith("linux") or shell is None:
        return "only on Linux"
    with tempfile.TemporaryDirectory(prefix="inferflow-doctor-") as folder:
        log, target = Path(folder, "log"), Path(folder, "target")
        log.touch()
        words = [sys.executable, "-I", "-S", traced.__file__, str(log), "dd", shell, "sh", "-c", f": > '{target}'"]
        subprocess.run(words, capture_output=True, timeout=20)
        told = [os.fsdecode(item) for item in log.read_bytes().split(b"\0") if item]
        if f"w{target}" in told:
            return ""
        return next((item[1:] for item in told if item.startswith("!")), "nothing was seen")


def _limits() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:
        return
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if 0 <= files < 256:
        yield Finding("limits", "warn", f"only {files} open files are allowed", "ulimit -n 1024")
    else:
        yield Finding("limits", "ok", f"{files if files >= 0 else 'any number of'} open files")
    if space != resource.RLIM_INFINITY:
        hint = "large arrays are mapped into memory, which counts: ulimit -v unlimited"
        yield Finding("limits", "warn", f"address space is limited to {space // MIB} MiB", hint)
    if size != resource.RLIM_INFINITY:
        yield Finding("limits", "warn", f"files are limited to {size // MIB} MiB", "ulimit -f unlimited")


def _memory() -> Iterator[Finding]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    facts = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if ":" in line}
    free = facts.get("MemAvailable", 0)
    if free < 512:
        yield Finding("memory", "warn", f"{free} MiB available", "close something, or run with -j 1")
    else:
        yield Finding("memory", "ok", f"{free} MiB available")


# -- the project -----------------------------------------------------------------------------------


def _store(settings: Settings) -> Iterator[Finding]:
    from inferflow.storage.folder import Folder

    root = settings.store
    yield from _place(root)
    if not root.exists():
        return
    reader = Folder(root).reader()
    if reader is None:
        yield Finding("store", "ok", f"{root} has no runs yet")
        return
    if (told := reader.row("PRAGMA quick_check(1)")) and told[0] != "ok":
        yield Finding(
            "store", "fail", f"{root / 'inferflow.db'} is damaged: {told[0]}", f"move it away: mv {root} {root}.old"
        )
        return
    (runs,) = reader.row("SELECT count(*) FROM runs") or (0,)
    yield Finding("store", "ok", f"{root}: {runs} run{'' if runs == 1 else 's'}, sound")


def _place(root: Path) -> Iterator[Finding]:
    """Whether there is room, and leave to write."""
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free // MIB
    if free < 100:
        yield Finding("disk", "fail", f"{free} MiB free at {place}", "free some space: inferflow prune")
    elif free < 1024:
        yield Finding("disk", "warn", f"{free} MiB free at {place}", "large values may not fit: inferflow prune")
    else:
        yield Finding("disk", "ok", f"{free} MiB free at {place}")
    trial = place / f".inferflow-trial-{os.getpid()}"
    try:
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        hint = f"runs are kept in {root}: make it writable, or set store in inferflow.toml (or INFERFLOW_STORE)"
        yield Finding("store", "fail", f"{place} cannot be written: {error.strerror}", hint)


def _leftovers(settings: Settings) -> Iterator[Finding]:
    from inferflow.storage.folder import Folder
    from inferflow.storage.prune import prune
    from inferflow.storage.runs import Runs

    if not settings.store.is_dir() or not os.access(settings.store, os.W_OK):
        return
    waste = prune(Runs(Folder(settings.store)), dry_run=True)
    if waste.runs or waste.artifacts or waste.temporary:
        text = (
            f"{len(waste.runs)} killed runs, {waste.artifacts} artifacts and {waste.temporary} files that nobody needs"
        )
        yield Finding(
            "leftovers", "warn", f"{text} ({max(waste.size // MIB, 1)} MiB)", "free their space: inferflow prune"
        )
    else:
        yield Finding("leftovers", "ok", "none")


def _git(root: Path) -> Iterator[Finding]:
    git = shutil.which("git")
    if git is None:
        yield Finding("git", "warn", "not found", "runs are recorded without the commit of their code: install git")
        return
    done = subprocess.run([git, "-C", str(root), "rev-parse", "--git-dir"], capture_output=True, text=True, timeout=20)
    if done.returncode == 0:
        yield Finding("git", "ok", f"{root} is in a repository")
    elif "dubious ownership" in done.stderr:
        hint = f"git config --global --add safe.directory {root}"
        yield Finding("git", "warn", f"git refuses {root}: another user owns it", hint)
    else:
        hint = "runs are recorded without a commit: git init"
        yield Finding("git", "warn", f"{root} is in no repository", hint)
