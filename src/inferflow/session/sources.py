"""The project's modules, found as Python itself would find them.

Python looks for ``import name`` in the script's folder first, then in ``PYTHONPATH``, the standard library and the
installed packages. A *module of the project* is one that is found in the script's folder or in a path inside the
project's root; a ``random.py`` beside the driver is one, and hides the standard library's, just as it does natively.
What the path does not lead to is looked for in the root and its ``src/`` folder last, for drivers that extend
``sys.path`` themselves.

    >>> modules = Modules(target)                     # doctest: +SKIP
    >>> modules.find("steps.load").filename           # doctest: +SKIP
    '/home/me/project/steps/load.py'
    >>> modules.find("numpy") is None                 # doctest: +SKIP
    True
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES

from inferflow.model import Source
from inferflow.session.target import Target, shown_path
from inferflow.session.text import NotText, decode_source

__all__ = ["Modules"]

_LOADED_FIRST = frozenset(
    {
        "abc",
        "codecs",
        "encodings",
        "genericpath",
        "importlib",
        "io",
        "ntpath",
        "os",
        "posixpath",
        "runpy",
        "site",
        "stat",
    }
)
"""Modules of the standard library that every interpreter has loaded before the driver can hide them."""


class Modules:
    """Finds and reads the project's modules for one target, remembering folder listings and every answer.

    ``answers`` maps each dotted name that was asked for to the file that it is (``None``: no module of the project), so
    that a cache can check later whether the same questions still have the same answers. ``facts`` maps each file that
    was read to its size, its time of change (in ns) and the SHA-256 of its bytes.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.answers: dict[str, str | None] = {}
        self.sources: dict[str, Source] = {}
        self.facts: dict[str, tuple[int, int, str]] = {}
        self._listings: dict[str, frozenset[str]] = {}
        self._entries = _search_path(target)
        self._hosts: dict[str, tuple[str, ...]] = {}

    def find(self, name: str) -> Source | None:
        """The source of module ``name``; ``None`` if it is a library, no Python source, or nothing at all."""
        filename = self.locate(name)
        self.answers[name] = filename
        if filename is None:
            return None
        if name not in self.sources:
            source = self._read(name, filename)
            if source is None:
                return None
            self.sources[name] = source
        return self.sources[name]

    def locate(self, name: str) -> str | None:
        """The file of project module ``name``, without reading it."""
        parent, _, leaf = name.rpartition(".")
        if not parent:
            return None if self._is_loaded_first(leaf) else self._top(leaf)
        if not leaf or self._owner(parent) is None:
            return None
        filename, _ = self._in_folders(self._portions(parent), leaf)
        return filename

    # -- where a name leads ------------------------------------------------------------------------

    def _is_loaded_first(self, name: str) -> bool:
        return name in sys.builtin_module_names or name in _LOADED_FIRST

    def _top(self, name: str) -> str | None:
        for folder, is_project in self._entries:
            if not is_project and folder == "":
                if name in sys.stdlib_module_names:
                    return None
                continue
            filename, other = self._in_folders((folder,), name)
            if filename is not None:
                return filename if is_project else None
            if other:
                return None
        return None

    def _owner(self, package: str) -> str | None:
        """A folder of the project that holds parts of ``package``, or ``None``."""
        return next(iter(self._portions(package)), None)

    def _portions(self, package: str) -> tuple[str, ...]:
        """The folders in which submodules of ``package`` stand: one for a regular package, several for a namespace."""
        if package not in self._hosts:
            self._hosts[package] = self._find_portions(package)
        return self._hosts[package]

    def _find_portions(self, package: str) -> tuple[str, ...]:
        filename = self.locate(package)
        if filename is not None:
            folder, base = os.path.split(filename)
            return (folder,) if base == "__init__.py" else ()
        parent, _, leaf = package.rpartition(".")
        if parent:
            hosts = self._portions(parent)
        elif self._is_loaded_first(leaf) or self._is_library(leaf):
            return ()
        else:
            hosts = tuple(folder for folder, is_project in self._entries if is_project)
        places = [os.path.join(host, leaf) for host in hosts if leaf in self._listing(host)]
        return tuple(place for place in places if os.path.isdir(place))

    def _is_library(self, name: str) -> bool:
        """Whether a regular module of this name is found outside the project (it wins over a namespace package)."""
        if name in sys.stdlib_module_names:
            return True
        outside = [folder for folder, is_project in self._entries if not is_project and folder]
        filename, other = self._in_folders(tuple(outside), name)
        return filename is not None or other

    def _in_folders(self, folders: tuple[str, ...], leaf: str) -> tuple[str | None, bool]:
        """The Python file of ``leaf`` in the first of ``folders`` that has such a module; or (``None``, True) if it is
        there in another form (an extension, bytecode), and Python would take that."""
        for folder in folders:
            listing = self._listing(folder)
            if leaf in listing:
                inner = self._listing(os.path.join(folder, leaf))
                if any("__init__" + suffix in inner for suffix in EXTENSION_SUFFIXES):
                    return None, True
                if "__init__.py" in inner:
                    return os.path.join(folder, leaf, "__init__.py"), False
                if "__init__.pyc" in inner:
                    return None, True
            if any(leaf + suffix in listing for suffix in EXTENSION_SUFFIXES):
                return None, True
            if leaf + ".py" in listing:
                return os.path.join(folder, leaf + ".py"), False
            if leaf + ".pyc" in listing:
                return None, True
        return None, False

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]

    def _read(self, name: str, filename: str) -> Source | None:
        try:
            with open(filename, "rb") as file:
                status = os.fstat(file.fileno())
                data = file.read()
            self.facts[filename] = (status.st_size, status.st_mtime_ns, hashlib.sha256(data).hexdigest())
            text = decode_source(data)
        except (OSError, NotText):
            return None
        shown = shown_path(filename, self.target.root)
        return Source(name, shown, filename, text, is_package=os.path.basename(filename) == "__init__.py")


def _search_path(target: Target) -> list[tuple[str, bool]]:
    """``sys.path`` as the driver will have it: (folder, whether its modules are the project's). The standard library
    stands for itself as ``("", False)``."""
    entries: list[tuple[str, bool]] = [(target.folder, True)]
    outside = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    entries += [(entry, _is_project(entry, target.root)) for entry in outside]
    entries.append(("", False))
    standard = os.path.dirname(os.__file__)
    own = () if getattr(sys.flags, "safe_path", False) else sys.path[:1]  # the folder of *this* program's script
    for entry in sys.path:
        if (
            entry
            and entry not in own
            and os.path.isdir(entry)
            and not entry.startswith(standard + os.sep + "lib-")
            and entry != standard
        ):
            entries.append((entry, _is_project(entry, target.root)))
    entries += [(target.root, True), (os.path.join(target.root, "src"), True)]
    return list(dict.fromkeys(entries))


def _is_project(folder: str, root: str) -> bool:
    inside = folder == root or folder.startswith(root.rstrip(os.sep) + os.sep)
    return inside and not any(part in ("site-packages", "dist-packages") for part in folder.split(os.sep))
