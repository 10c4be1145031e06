"""Copies of the driver's folders, in which native and inferred run apart from each other and from the originals.

Both sides must find their files under the same paths, since paths stand in tracebacks, in ``__file__`` and in what
programs print. Where the system allows it (Linux), each side has a view of the file system in which its copy stands in
the place of the original: then absolute paths lead into the copy too. Elsewhere the copies take turns in one place.

``.inferflow`` is left out. ``.git``, environments (folders with a ``pyvenv.cfg``), ``node_modules`` and what
``--leave-out`` names are not copied but shown as they are: both sides read the same ones, and should not write there.
Files are cloned where the file system can share their blocks.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from inferflow.errors import BrokenEnvironment
from inferflow.records import field, frozen

__all__ = ["LIMIT", "Side", "Stage", "can_bind", "make_stage"]

LIMIT = 4 << 30
"""Bytes that are copied at most, where blocks cannot be shared."""
AS_THEY_ARE = (".git", "node_modules")
OURS = (".inferflow",)
_CLONE = 0x40049409  # FICLONE


@frozen
class Side:
    """The copies of one run: ``copies`` are (copy, where it stands while its program runs)."""

    name: str
    copies: tuple[tuple[Path, Path], ...]


@frozen
class Stage:
    """How programs are run on copies of ``roots``. ``shared`` are the paths shown as they are."""

    scratch: Path
    roots: tuple[Path, ...]
    bound: bool
    leave_out: tuple[str, ...] = ()
    shared: tuple[Path, ...] = field(default=())

    def place(self, path: Path | str) -> Path:
        """Where a path of the originals is while a program runs."""
        path = Path(path)
        if self.bound:
            return path
        for number, root in enumerate(self.roots):
            if path == root or root in path.parents:
                return self.scratch / "at" / str(number) / root.name / path.relative_to(root)
        return path

    def make(self, name: str) -> Side:
        """A new copy of everything. Raises BrokenEnvironment if there is no room."""
        copies = []
        for number, root in enumerate(self.roots):
            copy = self.scratch / name / str(number) / (root.name or "root")
            try:
                _copy(root, copy, self)
            except OSError as error:
                raise BrokenEnvironment(
                    f"{root} cannot be copied for verification: {error}",
                    hint="set TMPDIR to a folder with room, or leave folders out: --leave-out PATTERN",
                ) from None
            copies.append((copy, self.place(root)))
        return Side(name, tuple(copies))

    def _shown(self, side: Side) -> Iterator[tuple[Path, Path, Path]]:
        for path in self.shared:
            for root, (copy, _) in zip(self.roots, side.copies, strict=True):
                if root in path.parents:
                    yield path, root, copy

    @contextlib.contextmanager
    def entered(self, side: Side, folder: str, command: list[str]) -> Iterator[tuple[list[str], str]]:
        """The command and the folder to start it in, so that it runs on this side's copies, at the stage's places."""
        if self.bound:
            binds = [[str(path), str(copy / path.relative_to(root))] for path, root, copy in self._shown(side)]
            binds += [[str(copy), str(place)] for copy, place in side.copies]
            order = {"binds": binds, "folder": folder, "command": command}
            yield [sys.executable, "-I", "-S", str(_stage_file()), json.dumps(order)], str(self.scratch)
            return
        for copy, place in side.copies:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(copy, place)
        try:
            yield command, folder
        finally:
            for copy, place in side.copies:
                os.rename(place, copy)


def make_stage(scratch: Path, roots: list[Path], leave_out: tuple[str, ...], contained: bool = False) -> Stage:
    """A stage for these folders, which do not lie in each other. ``contained``: a container engine mounts folders, and
    does not share our view of the file system. Raises BrokenEnvironment if they are too large."""
    bound = not contained and can_bind()
    shared: list[Path] = []
    total = 0
    for root in roots:
        for path, entry in _walk(root, scratch, leave_out):
            if entry is None:
                shared.append(path)
            else:
                total += entry.st_size if stat.S_ISREG(entry.st_mode) else 0
    room = shutil.disk_usage(scratch).free
    if total > min(LIMIT, room // 2) and not _clones(roots[0], scratch):
        largest = _largest(roots, scratch, leave_out)
        raise BrokenEnvironment(
            f"verify copies the driver's folder twice, and {roots[0]} holds {total / (1 << 30):.1f} GiB",
            hint=f"leave out what the driver only reads, it is shown as it is: --leave-out {largest}",
        )
    return Stage(scratch, tuple(roots), bound, leave_out, tuple(shared))


def can_bind() -> bool:
    """Whether processes may have their own view of the file system here."""
    if not sys.platform.startswith("linux"):
        return False
    order = json.dumps({"binds": [["/tmp", "/tmp"]], "folder": "/", "command": []})
    done = subprocess.run([sys.executable, "-I", "-S", str(_stage_file()), order], capture_output=True)
    return done.returncode == 0


def _stage_file() -> Path:
    return Path(__file__).resolve().parents[1] / "worker" / "stage.py"


# -- copying -------------------------------------------------------------------------------------------


def _walk(root: Path, scratch: Path, leave_out: tuple[str, ...]) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Everything below ``root`` that is copied, folders before what is in them; ``None`` for what is only shown."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name in OURS or path == scratch:
                continue
            if _as_it_is(root, path, entry, leave_out):
                yield path, None
                continue
            with contextlib.suppress(OSError):
                yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)


def _as_it_is(root: Path, path: Path, entry: os.DirEntry[str], leave_out: tuple[str, ...]) -> bool:
    if entry.is_symlink():
        return False
    if entry.is_dir() and (entry.name in AS_THEY_ARE or os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))):
        return True
    shown = path.relative_to(root).as_posix()
    return any(fnmatch.fnmatchcase(shown, pattern.rstrip("/")) for pattern in leave_out)


def _copy(root: Path, copy: Path, stage: Stage) -> None:
    copy.mkdir(parents=True)
    folders = [(root, copy)]
    for path, entry in _walk(root, stage.scratch, stage.leave_out):
        target = copy / path.relative_to(root)
        if entry is None:
            _show(path, target, stage.bound)
        elif stat.S_ISDIR(entry.st_mode):
            target.mkdir()
            folders.append((path, target))
        elif stat.S_ISLNK(entry.st_mode):
            os.symlink(os.readlink(path), target)
        elif stat.S_ISREG(entry.st_mode):
            clone(path, target)
        elif stat.S_ISFIFO(entry.st_mode):
            os.mkfifo(target)
    for path, target in reversed(folders):
        shutil.copystat(path, target)


def _show(path: Path, target: Path, bound: bool) -> None:
    """A place for what is not copied: bound there later, or a link."""
    if not bound:
        os.symlink(path, target)
    elif path.is_dir():
        target.mkdir()
    else:
        target.touch()


def clone(source: Path, target: Path) -> None:
    """Copy a file with its times and mode, sharing blocks where that can be had."""
    if not _shares_blocks(source, target):
        shutil.copyfile(source, target)
    shutil.copystat(source, target)


def _shares_blocks(source: Path, target: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    with open(source, "rb") as old, open(target, "wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _CLONE, old.fileno())
        except OSError:
            return False
    return True


def _clones(root: Path, scratch: Path) -> bool:
    """Whether files of ``root`` can be copied into ``scratch`` by sharing their blocks."""
    for path, entry in _walk(root, scratch, ()):
        if entry is not None and stat.S_ISREG(entry.st_mode):
            trial = scratch / "trial"
            try:
                return _shares_blocks(path, trial)
            except OSError:
                return False
            finally:
                trial.unlink(missing_ok=True)
    return False


def _largest(roots: list[Path], scratch: Path, leave_out: tuple[str, ...]) -> str:
    """The entry of the folders that holds most."""
    sizes: dict[str, int] = {}
    for root in roots:
        for path, entry in _walk(root, scratch, leave_out):
            if entry is not None and stat.S_ISREG(entry.st_mode):
                first = path.relative_to(root).parts[0]
                sizes[first] = sizes.get(first, 0) + entry.st_size
    return max(sizes, key=lambda name: sizes[name], default="data")
