"""Builds the image of a project: a base with Python, and the packages that the project declares.

The packages are resolved and unpacked here, by pip (or uv where there is one), for the Python of the base, and put into
its own ``site-packages``. So the base needs no pip, no compiler and no network, and nothing is executed in a build.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from inferflow.backends.docker_container import Engine
from inferflow.backends.docker_engine import connect
from inferflow.backends.docker_image import Base, assemble, examine_base, existing
from inferflow.config.settings import Settings
from inferflow.errors import BrokenEnvironment, UserError
from inferflow.records import frozen
from inferflow.session.dependencies import Declared, declared, project_image

__all__ = ["Built", "build", "image_of_project"]


@frozen
class Built:
    """``image`` is its name; ``fresh`` whether it had to be built; ``declared`` what is in it."""

    image: str
    digest: str
    fresh: bool
    declared: Declared


def default_base() -> str:
    return f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"


def image_of_project(settings: Settings) -> str:
    """The name that the project's image has, if it has been built for what the project declares now."""
    return project_image(settings.root, settings.base or default_base(), declared(settings.root))


def build(settings: Settings, base: str | None, tag: str | None, tell: Callable[[str], None]) -> Built:
    """Build the project's image, unless there is one for this content. ``tell`` is called with each step, in words.
    Raises BrokenEnvironment (no engine, no base), UserError (the packages cannot be had)."""
    reference = base or settings.base or default_base()
    found = declared(settings.root)
    name = project_image(settings.root, reference, found)
    engine = Engine(lambda: connect(os.environ))
    try:
        facts = examine_base(engine, reference)
        digest = existing(engine, name, facts)
        fresh = not digest
        if fresh:
            tell(f"base: {reference}, Python {facts.version}")
            with tempfile.TemporaryDirectory(prefix="inferflow-image-") as folder:
                if found.requirements:
                    tell(f"packages: {', '.join(found.requirements)} (from {', '.join(found.files)})")
                    _resolve(found, facts, Path(folder))
                digest = assemble(engine, facts, Path(folder), name)
        if tag:
            from inferflow.backends.docker_image import add_name

            add_name(engine, digest, tag)
        return Built(tag or name, digest, fresh, found)
    finally:
        engine.close()


def _resolve(found: Declared, base: Base, folder: Path) -> None:
    """Unpack the packages for the base's Python into ``folder``. Raises UserError with the resolver's own words."""
    with tempfile.TemporaryDirectory() as lists:
        wanted, limits = Path(lists) / "requirements.txt", Path(lists) / "constraints.txt"
        wanted.write_text("\n".join(found.requirements) + "\n")
        limits.write_text("\n".join(found.constraints) + "\n")
        command = [*_resolver(base), "--target", str(folder), "-r", str(wanted)]
        if found.constraints:
            command += ["-c", str(limits)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        files = ", ".join(found.files)
        raise UserError(
            f"the packages of {files} cannot be had for Python {base.version}:\n\n{done.stdout.strip()}",
            hint="correct what is declared, or choose another base: inferflow image --base IMAGE",
        )


def _resolver(base: Base) -> list[str]:
    """The command that installs into a folder, up to its arguments. Raises BrokenEnvironment if there is none."""
    minor = ".".join(base.version.split(".")[:2])
    same = minor == f"{sys.version_info[0]}.{sys.version_info[1]}"
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python-version", minor, *([] if same else ["--only-binary", ":all:"])]
    for python in dict.fromkeys((sys.executable, getattr(sys, "_base_executable", sys.executable))):
        if _has_pip(python):
            flags = ["--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--no-compile"]
            other = [] if same else ["--python-version", minor, "--implementation", "cp", "--only-binary", ":all:"]
            return [python, "-m", "pip", "install", *flags, *other]
    raise BrokenEnvironment(
        "neither pip nor uv is there to resolve the project's packages",
        hint=f"{sys.executable} -m ensurepip, or install uv",
    )


def _has_pip(python: str) -> bool:
    if python == sys.executable:
        return importlib.util.find_spec("pip") is not None
    return subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0
