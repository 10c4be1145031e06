"""Images made of a base and a folder of packages, without a builder.

A container is created (and never started), the files are put into it, and it is kept as an image. That works with
Docker and Podman, offline, as long as the base is there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from inferflow.backends.docker_container import LABEL, Engine
from inferflow.backends.docker_engine import told
from inferflow.backends.docker_recipe import find_image
from inferflow.errors import BrokenEnvironment
from inferflow.records import frozen

__all__ = ["Base", "add_name", "assemble", "examine_base", "existing"]

_ASK = (
    "import json, sys, sysconfig; p = sysconfig.get_paths(); "
    "print(json.dumps(['.'.join(map(str, sys.version_info[:3])), p['purelib'], p['scripts']]))"
)


@frozen
class Base:
    """An image with a Python: its id, the Python's version, where packages and their scripts belong."""

    reference: str
    id: str
    version: str
    packages: str
    scripts: str


def examine_base(engine: Engine, reference: str) -> Base:
    """Ask the image's Python. Raises BrokenEnvironment if the image is not there or has none that will do."""
    image = find_image(engine, reference)
    said = ""
    for python in ("python3", "python"):
        with contextlib.suppress(BrokenEnvironment):
            said = _run(engine, image, [python, "-c", _ASK])
            break
    else:
        raise BrokenEnvironment(f"the image {reference} has no Python", hint="choose another: --base python:3.11-slim")
    try:
        version, packages, scripts = json.loads(said)
    except ValueError:
        raise BrokenEnvironment(f"the Python in the image {reference} does not start: {said.strip()}") from None
    if tuple(map(int, version.split(".")[:2])) < (3, 9):
        raise BrokenEnvironment(
            f"the Python in the image {reference} is too old: it is {version}, and 3.9 is the oldest that will do",
            hint="choose another: --base python:3.11-slim",
        )
    return Base(reference, image, version, packages, scripts)


def _run(engine: Engine, image: str, command: list[str]) -> str:
    """Run a command in a container without a network; what it says."""
    api = engine.client.api
    with told(f"run {command[0]} in {image}"):
        config = {"Image": image, "Entrypoint": command, "Cmd": [], "HostConfig": {"NetworkMode": "none"}}
        container = api.create_container_from_config({**config, "Labels": {LABEL: "image"}}, None)["Id"]
        try:
            api.start(container)
            api.wait(container, timeout=60)
            return str(api.logs(container).decode(errors="replace"))
        finally:
            with contextlib.suppress(Exception):
                api.remove_container(container, force=True, v=True)


def existing(engine: Engine, name: str, base: Base) -> str:
    """The id of the image of this name, if it was made from this very base; else empty."""
    try:
        facts: Any = engine.client.api.inspect_image(name)
    except Exception as error:
        if type(error).__name__ in ("ImageNotFound", "NotFound"):
            return ""
        with told(f"look for the image {name}"):
            raise
    marks = (facts.get("Config") or {}).get("Labels") or {}
    return str(facts["Id"]) if marks.get(f"{LABEL}.base") == base.id else ""


def assemble(engine: Engine, base: Base, folder: Path, name: str) -> str:
    """The id of a new image: the base, with what stands in ``folder`` among its packages. Raises BrokenEnvironment."""
    api = engine.client.api
    with told(f"build {name}"):
        facts = api.inspect_image(base.id).get("Config") or {}
        command = {} if facts.get("Cmd") or facts.get("Entrypoint") else {"Cmd": ["python3"]}
        config = {"Image": base.id, "Labels": {LABEL: "image"}, **command}
        container = api.create_container_from_config(config, None)["Id"]
        try:
            with tempfile.TemporaryFile() as file:
                _pack(folder, base, file)
                file.seek(0)
                api.put_archive(container, "/", file)
            repository, _, tag = name.rpartition(":")
            labels = "".join(f" {key}={value}" for key, value in ((LABEL, "image"), (f"{LABEL}.base", base.id)))
            made = api.commit(container, repository, tag, changes=[f"LABEL{labels}"])
            return str(made["Id"])
        finally:
            with contextlib.suppress(Exception):
                api.remove_container(container, force=True, v=True)


def _pack(folder: Path, base: Base, file: Any) -> None:
    """A tar of the packages where they belong, owned by root, the same for the same content."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name.endswith(".pyc") or "/__pycache__" in entry.name:
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(fileobj=file, mode="w") as tar:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            place = base.scripts if path.name == "bin" else f"{base.packages}/{path.name}"
            tar.add(path, place.lstrip("/"), filter=plain)
        note = tarfile.TarInfo(f"{base.packages}/inferflow-image.txt".lstrip("/"))
        text = f"made by inferflow image from {base.reference}\n".encode()
        note.size = len(text)
        tar.addfile(note, io.BytesIO(text))


def add_name(engine: Engine, image: str, name: str) -> None:
    """Give an image one more name (``NAME[:TAG]``)."""
    repository, colon, tag = name.rpartition(":")
    if not colon or os.sep in tag:
        repository, tag = name, "latest"
    with told(f"name the image {name}"):
        engine.client.api.tag(image, repository, tag)
