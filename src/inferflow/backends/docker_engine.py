"""The engine that runs containers: where it is, how to talk to it, what its errors mean.

Any daemon that speaks Docker's API does: Docker Engine, rootless Docker, Podman's service. It must run on this
machine's kernel, since workers talk to us through a socket in a mounted folder.

    client = connect(os.environ)            # raises BrokenEnvironment with the next step
    with told("start a container"):
        client.api.start(container)
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inferflow.errors import BrokenEnvironment

__all__ = ["connect", "engine_address", "explained", "told", "next_step"]

TIMEOUT = 60
"""Seconds that the engine may take for one answer."""


def engine_address(environ: Mapping[str, str]) -> tuple[str, str]:
    """Where the engine listens, and who said so: ``DOCKER_HOST``, ``DOCKER_CONTEXT``, the current context of the docker
    command, the usual socket, those of Podman. Raises BrokenEnvironment if there is none."""
    if environ.get("DOCKER_HOST"):
        return environ["DOCKER_HOST"], "DOCKER_HOST"
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "~").expanduser() / ".docker")
    context = environ.get("DOCKER_CONTEXT") or _current_context(folder)
    if context and context != "default":
        found = _context_address(folder, context)
        if found is None:
            raise BrokenEnvironment(
                f"there is no docker context {context!r} in {folder}", hint="see: docker context ls; or set DOCKER_HOST"
            )
        return found, f"the docker context {context}"
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    sockets = [
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    ]
    for path in sockets:
        if os.path.exists(path):
            return f"unix://{path}", path
    raise BrokenEnvironment(
        "there is no container engine: none of " + ", ".join(sockets) + " exists",
        hint="start Docker (sudo systemctl start docker) or Podman (systemctl --user start podman.socket), or set "
        "DOCKER_HOST; or run with --backend process",
    )


def _current_context(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text()).get("currentContext", ""))
    except (OSError, ValueError):
        return ""


def _context_address(folder: Path, name: str) -> str | None:
    for meta in (folder / "contexts" / "meta").glob("*/meta.json"):
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(meta.read_text())
            if facts.get("Name") == name:
                return str(facts["Endpoints"]["docker"]["Host"])
    return None


def connect(environ: Mapping[str, str]) -> Any:
    """A client of the engine, which answers. Raises BrokenEnvironment."""
    try:
        import docker
    except ImportError:
        raise BrokenEnvironment(
            "the docker backend needs the Python package docker", hint="pip install 'inferflow[docker]'"
        ) from None
    address, source = engine_address(environ)
    try:
        if address.startswith("unix://"):
            return docker.DockerClient(base_url=address, version="auto", timeout=TIMEOUT)
        return docker.from_env(environment={**environ, "DOCKER_HOST": address}, version="auto", timeout=TIMEOUT)
    except Exception as error:
        raise _unreachable(error, address, source) from None


def _unreachable(error: Exception, address: str, source: str) -> BrokenEnvironment:
    text = str(error)
    path = address.removeprefix("unix://")
    where = address if source in (address, path) else f"{address} (from {source})"
    if "Permission denied" in text or "PermissionError" in text:
        return BrokenEnvironment(
            f"no permission to use the container engine at {where}",
            hint="join the group that owns it (sudo usermod -aG docker $USER, log in again), or use rootless Podman",
        )
    if "FileNotFoundError" in text or "No such file" in text:
        return BrokenEnvironment(
            f"there is no container engine at {where}: the socket does not exist",
            hint="start it (sudo systemctl start docker), or set DOCKER_HOST to where it is",
        )
    if "ConnectionRefused" in text or "Connection refused" in text:
        return BrokenEnvironment(
            f"no container engine answers at {where}: the daemon is not running",
            hint="start it: sudo systemctl start docker (Podman: systemctl --user start podman.socket)",
        )
    return BrokenEnvironment(f"the container engine at {where} cannot be used: {text}", hint="see: inferflow doctor")


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn the engine's errors while it does ``what`` into words."""
    try:
        yield
    except BrokenEnvironment:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("docker", "requests", "urllib3")):
            raise
        raise BrokenEnvironment(
            f"the container engine could not {what}: {explained(error)}", hint=next_step(error)
        ) from None


def explained(error: Exception) -> str:
    """What the engine said, without its client's wrapping."""
    text = str(getattr(error, "explanation", "") or error)
    if type(error).__module__.startswith(("requests", "urllib3")):
        return "it does not answer (any more)"
    return " ".join(text.split())


def next_step(error: Exception) -> str:
    """The next step after such an error; empty if none is known."""
    text = explained(error).lower()
    if "no space left" in text:
        return "free some space: docker system prune, inferflow prune"
    if "could not select device driver" in text or "nvidia" in text:
        return "this machine has no GPU that the engine can hand out: install nvidia-container-toolkit, or remove gpus"
    if "network" in text and ("not found" in text or "could not find" in text):
        return 'set network = "host" or "none", or create it: docker network create NAME'
    if "cfs" in text or ("cpu" in text and "not supported" in text):
        return "this kernel cannot limit processors: remove the setting cpus"
    if "does not exist" in text and "bind source" in text:
        return "a folder named in mounts does not exist"
    if "does not answer" in text:
        return "see whether it still runs: docker info"
    return "see: inferflow doctor"
