"""The worker's code as containers see it: a folder with ``worker`` and ``runners`` of this package, and cloudpickle.

It is made once for each version of the code, under the store, and mounted read-only at :data:`INSIDE`. Its first use
under a Python leaves bytecode for that Python beside it (written through the store, which is mounted as well).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

__all__ = ["INSIDE", "is_compiled", "worker_folder"]

INSIDE = "/.inferflow-worker"
"""Where it stands in every container."""


def worker_folder(store: Path) -> Path:
    """The folder with the worker's code, made if it is not there. Raises OSError."""
    files = _files()
    hasher = hashlib.sha256()
    for name, data in files:
        hasher.update(f"{name}\0{len(data)}\0".encode() + data)
    folder = store / "docker" / f"worker-{hasher.hexdigest()[:16]}"
    if not folder.is_dir():
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        for name, data in files:
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            temporary.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(temporary, ignore_errors=True)
            if not folder.is_dir():
                raise
        _remove_old(folder)
    return folder


def is_compiled(folder: Path, tag: str) -> bool:
    """Whether there is bytecode for the Python with this cache tag (``cpython-311``)."""
    return not tag or (folder / "inferflow" / "worker" / "__pycache__" / f"typed.{tag}.pyc").is_file()


def _files() -> list[tuple[str, bytes]]:
    """Names and contents, sorted."""
    import cloudpickle

    own = Path(__file__).resolve().parents[1]
    found = [("inferflow/__init__.py", (own / "__init__.py").read_bytes())]
    for package, source in (
        ("inferflow/worker", own / "worker"),
        ("inferflow/runners", own / "runners"),
        ("cloudpickle", Path(cloudpickle.__file__).parent),
    ):
        found += [(f"{package}/{path.name}", path.read_bytes()) for path in sorted(source.glob("*.py"))]
    return found


def _remove_old(new: Path) -> None:
    """Earlier versions that no container of this moment can have mounted: those of another day."""
    for folder in new.parent.glob("worker-*"):
        with contextlib.suppress(OSError):
            if folder != new and new.stat().st_mtime - folder.stat().st_mtime > 7 * 86400:
                shutil.rmtree(folder, ignore_errors=True)
