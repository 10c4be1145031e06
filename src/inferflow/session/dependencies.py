"""What a project says that it needs: its packages, for the image that ``inferflow image`` builds.

Looked at, in the project's root: ``requirements*.txt``, the dependencies in ``pyproject.toml``, the ``pip`` part of
``environment.yml``. A ``uv.lock`` pins what they name. Nothing is resolved here, and nothing of the project's is run.

>>> declared(Path("examples/iris")).requirements        # doctest: +SKIP
('numpy', 'scikit-learn')
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from inferflow.config.toml import read_toml
from inferflow.errors import WrongUse
from inferflow.records import frozen

__all__ = ["Declared", "declared", "project_image"]

RECIPE = 1
"""Raised when images of the same content are built differently."""


@frozen
class Declared:
    """``requirements`` and ``constraints`` as pip takes them; ``files`` are those that said so."""

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def declared(root: Path) -> Declared:
    """What stands in the project's files. Raises WrongUse for one that cannot be read."""
    requirements: list[str] = []
    constraints: list[str] = []
    files: list[str] = []
    for path in sorted(root.glob("requirements*.txt")):
        requirements += _lines(path, root)
        files.append(path.name)
    project = root / "pyproject.toml"
    if project.is_file():
        tables, _ = read_toml(project)
        found = tables.get("project", {}).get("dependencies", [])
        if found:
            requirements += [str(item) for item in found]
            files.append(project.name)
    for name in ("environment.yml", "environment.yaml"):
        if (root / name).is_file():
            requirements += _pip_part(root / name)
            files.append(name)
    if (root / "uv.lock").is_file():
        constraints += _locked(root / "uv.lock")
        files.append("uv.lock")
    return Declared(tuple(dict.fromkeys(requirements)), tuple(dict.fromkeys(constraints)), tuple(files))


def project_image(root: Path, base: str, found: Declared) -> str:
    """The name of the image for these declarations: the same content, the same name."""
    hasher = hashlib.sha256()
    for part in (str(RECIPE), base, *found.requirements, "--", *found.constraints):
        hasher.update(f"{len(part)}:{part}".encode())
    from inferflow.backends.docker_recipe import PROJECTS

    name = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-") or "project"
    return f"localhost/{PROJECTS}{name}:{hasher.hexdigest()[:16]}"


def _lines(path: Path, root: Path) -> list[str]:
    """The requirements in a file; ``-r other.txt`` is followed, ``-c`` and options of indexes are kept."""
    found: list[str] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise WrongUse(f"{path} cannot be read: {error}") from None
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not line:
            continue
        if match := re.fullmatch(r"(?:-r|--requirement)[\s=]+(\S+)", line):
            found += _lines(path.parent / match[1], root)
        elif match := re.fullmatch(r"(?:-e|--editable)[\s=]+(\S+)", line):
            raise WrongUse(
                f"{path} asks for an editable install ({match[1]}), which an image cannot have",
                hint="the project's own folder is mounted into the container: leave it out",
            )
        else:
            found.append(" ".join(re.sub(r"\s+--hash=\S+", "", line).split()))
    return found


def _pip_part(path: Path) -> list[str]:
    import yaml

    try:
        facts: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise WrongUse(f"{path} cannot be read: {error}") from None
    found: list[str] = []
    for item in facts.get("dependencies") or []:
        if isinstance(item, dict):
            found += [str(line) for line in item.get("pip") or []]
    return found


def _locked(path: Path) -> list[str]:
    tables, _ = read_toml(path)
    found = []
    for package in tables.get("package", []):
        local = {"editable", "virtual", "directory"} & set(package.get("source") or {})
        if package.get("name") and package.get("version") and not local:
            found.append(f"{package['name']}=={package['version']}")
    return sorted(found)
