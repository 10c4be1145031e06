"""What a container is made of, from a placement: the request that creates it.

Folders are mounted at the paths that they have here, so that relative paths, ``__file__`` and whatever a program
remembers of a path mean the same inside: the project, the driver's folder and the working folder, the store (values are
exchanged through it as mapped files), the folder of sockets. What is written there belongs to the user, whose uid and
gid the worker has. Everything else of the machine is out of sight, unless ``mounts`` says otherwise.

The image ``host`` is empty: this machine's own interpreter, packages and libraries are mounted into it read-only.
"""

from __future__ import annotations

import io
import os
import site
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from inferflow.backends.docker_container import Engine, Recipe
from inferflow.backends.docker_engine import explained, told
from inferflow.backends.docker_worker import INSIDE
from inferflow.errors import BrokenEnvironment, WrongUse
from inferflow.model import Placement

__all__ = ["ALWAYS_PASSED", "HOST", "PROJECTS", "environment_of", "find_image", "recipe_of"]

HOST = "host"
PROJECTS = "inferflow-of-"
"""Leads the names of images that ``inferflow image`` built."""
_HOST_IMAGE = "localhost/inferflow-host-1:latest"
ALWAYS_PASSED = (
    *("PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS", "PYTHONOPTIMIZE"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONDEVMODE", "PYTHONBREAKPOINT", "PYTHONNOUSERSITE"),
    *("TZ", "LANG", "LANGUAGE", "LC_*", "*_NUM_THREADS", "OMP_*", "MPLBACKEND", "COLUMNS", "LINES", "TERM", "NO_COLOR"),
    "SOURCE_DATE_EPOCH",
)
"""Variables that go into every container: what natively changes results or output without being anybody's secret."""


def environment_of(placement: Placement, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the worker gets, beside those of the image. Raises WrongUse for a secret that is not set."""
    found = {name: value for name, value in environ.items() if _listed(name, ALWAYS_PASSED)}
    if placement.image == HOST:
        found.update({name: environ[name] for name in ("PYTHONPATH", "VIRTUAL_ENV", "PATH") if name in environ})
    for item in placement.env:
        name, given, value = item.partition("=")
        if given:
            found[name] = value
        else:
            found.update({known: text for known, text in environ.items() if fnmatchcase(known, name)})
    for name in placement.secrets:
        if name not in environ:
            raise WrongUse(
                f"the secret {name} is not set", hint=f"export {name}=..., or take it out of the setting secrets"
            )
        found[name] = environ[name]
    return found


def _listed(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def recipe_of(
    engine: Engine,
    placement: Placement,
    folders: Iterable[str],
    worker: Path,
    folder: str,
    labels: Mapping[str, str],
) -> Recipe:
    """What to ask the engine for. ``folders`` are mounted as they are, ``worker`` read-only where the worker's code
    belongs; ``folder`` is the working folder. Raises BrokenEnvironment, WrongUse."""
    host = placement.image == HOST
    image = _host_image(engine) if host else find_image(engine, placement.image)
    rootless = os.getuid() != 0 and is_rootless(engine)
    mounts = [_bind(path, path) for path in _outermost(folders)]
    mounts += [_bind(str(worker), INSIDE, read_only=True), *map(_parsed, placement.mounts)]
    if host:
        mounts += [_bind(path, path, read_only=True) for path in _outermost(_host_folders(), keep=mounts)]
    limits: dict[str, Any] = {
        "NetworkMode": placement.network or "host",
        "Mounts": mounts,
        "ShmSize": placement.shm_size or _half_of_memory(),
        "SecurityOpt": ["label=disable"],
        "LogConfig": {"Type": "", "Config": {}},
    }
    if placement.cpus:
        limits["NanoCpus"] = int(placement.cpus * 1e9)
    if placement.memory:
        limits["Memory"] = limits["MemorySwap"] = placement.memory
    if placement.gpus:
        count = -1 if placement.gpus == "all" else int(placement.gpus)
        limits["DeviceRequests"] = [{"Driver": "", "Count": count, "Capabilities": [["gpu"]], "Options": {}}]
    options: dict[str, Any] = {
        "WorkingDir": folder,
        "Labels": dict(labels),
        "HostConfig": limits,
        "StopSignal": "SIGTERM",
        "NetworkDisabled": False,
    }
    if not rootless:
        options["User"] = f"{os.getuid()}:{os.getgid()}"
        limits["GroupAdd"] = [str(group) for group in os.getgroups() if group != os.getgid()]
        home = os.path.expanduser("~")
        seen = [str(mount["Target"]) for mount in mounts]
        covered = any(home == path or home.startswith(path.rstrip("/") + "/") for path in seen)
        if os.getuid() != 0 and home not in ("/", "") and not covered:
            # A home folder that can be written (caches, settings), empty, and gone at the end.
            limits["Tmpfs"] = {home: f"uid={os.getuid()},gid={os.getgid()},mode=700"}
    python = (sys.executable,) if host else ("python3", "python")
    return Recipe(image, placement.image, options, python, placement.memory)


def user_variables() -> dict[str, str]:
    """Who the worker is: without them ``getpass`` and ``expanduser`` would look in files that the image does not
    have."""
    home = os.path.expanduser("~")
    name = os.environ.get("LOGNAME") or os.environ.get("USER") or _user_name()
    return {"HOME": home, "USER": os.environ.get("USER") or name, "LOGNAME": name}


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


# -- images ------------------------------------------------------------------------------------------


def find_image(engine: Engine, reference: str) -> str:
    """The id of an image that the engine has. Raises BrokenEnvironment."""
    with told(f"look for the image {reference}"):
        for name in (reference, f"localhost/{reference}"):  # Podman's name for what was built or imported here
            try:
                return str(engine.client.api.inspect_image(name)["Id"])
            except Exception as error:
                if type(error).__name__ not in ("ImageNotFound", "NotFound"):
                    raise
    if reference.startswith(f"localhost/{PROJECTS}"):
        raise BrokenEnvironment(
            "no image is named, and none has been built for what this project declares now",
            hint="inferflow image DRIVER builds it; or name one: --image python:3.11-slim, or --image host",
        )
    raise BrokenEnvironment(
        f"the engine has no image {reference}", hint=f"docker pull {reference}; see what there is: docker images"
    )


def _host_image(engine: Engine) -> str:
    """The empty image, made if it is not there."""
    client = engine.client
    with told("make the empty image for --image host"):
        try:
            return str(client.api.inspect_image(_HOST_IMAGE)["Id"])
        except Exception as error:
            if type(error).__name__ not in ("ImageNotFound", "NotFound"):
                raise
        name, _, tag = _HOST_IMAGE.rpartition(":")
        said = client.api.import_image_from_data(_skeleton(), repository=name, tag=tag)
        if '"error"' in str(said):
            raise BrokenEnvironment(f"the empty image could not be made: {explained(Exception(said))}")
        return str(client.api.inspect_image(_HOST_IMAGE)["Id"])


def _skeleton() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, mode in (("tmp", 0o1777), ("root", 0o700), ("etc", 0o755), ("var/tmp", 0o1777), ("run", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
    return data.getvalue()


def is_rootless(engine: Engine) -> bool:
    """Whether the engine runs as a user: then that user is 0 inside."""
    with told("say how it runs"):
        info = engine.client.api.info()
    return bool(info.get("Rootless")) or any("rootless" in option for option in info.get("SecurityOptions") or ())


# -- mounts ------------------------------------------------------------------------------------------


def _bind(source: str, target: str, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


def _parsed(text: str) -> dict[str, Any]:
    """``SOURCE[:TARGET][:ro]``. Raises WrongUse if there is no such source."""
    parts = text.split(":")
    read_only = parts[-1] in ("ro", "rw") and parts.pop() == "ro"
    source = os.path.abspath(os.path.expanduser(parts[0]))
    target = parts[1] if len(parts) > 1 else source
    if not os.path.exists(source):
        raise WrongUse(f"there is no {source}, which is to be mounted", hint="correct the setting mounts")
    return _bind(source, target, read_only)


def _outermost(folders: Iterable[str], keep: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """The folders without those that lie in another one of them."""
    taken = {str(mount["Target"]) for mount in keep}
    found: list[str] = []
    for folder in sorted({os.path.abspath(item) for item in folders}):
        if folder not in taken and not any(folder == other or folder.startswith(other + os.sep) for other in found):
            found.append(folder)
    return found


def _host_folders() -> list[str]:
    """What this machine's interpreter needs: the system's libraries, its prefix, everything on its path."""
    found = ["/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/opt"]
    found += ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime", "/etc/timezone", "/etc/ld.so.cache"]
    found += ["/etc/ssl", "/etc/fonts", "/etc/alternatives", "/etc/mime.types"]
    found += [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(sys.executable)]
    found += [*sysconfig.get_paths().values(), *(path for path in sys.path if path)]
    found += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    real = [os.path.realpath(path) for path in found if path.startswith((sys.prefix, sys.base_prefix))]
    real.append(os.path.realpath(sys.executable))
    return [path for path in (*found, *real) if os.path.exists(path)]


def _half_of_memory() -> int:
    """As large as a native machine's ``/dev/shm``: the engine's 64 MB are too little for what shares memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError):
        return 0
