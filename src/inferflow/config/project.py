"""Where a project begins: the folder that holds the settings, the store and the modules.

>>> project_root(Path("/nowhere/at/all"))
PosixPath('/nowhere/at/all')
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["MARKERS", "project_root"]

MARKERS = ("pyproject.toml", "inferflow.toml", ".git")


def project_root(folder: Path) -> Path:
    """The nearest folder from ``folder`` upwards that holds one of MARKERS, else ``folder`` itself."""
    for candidate in (folder, *folder.parents):
        if any((candidate / marker).exists() for marker in MARKERS):
            return candidate
    return folder
