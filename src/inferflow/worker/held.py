"""Acts on files that a task does before its turn: kept back in memory, and done by home when the turn has come.

So a task that computes for a minute and then saves can run ahead, can be thrown away, and if it fails, home runs it
from the start: nothing has happened yet. Held are files that are written as a whole, appended to or changed (``open``,
``os.open``, ``tempfile``), renamed, replaced, removed; new folders; permissions and times of files that the task wrote
itself. What the task looks at afterwards it finds as it would be by then (see ``held_files``). Whatever else would
change the world, or lists a folder in which something is held, ends the helper (``refuse``).

    helper: open("a.tmp", "w").write(...); os.replace("a.tmp", "a.csv")     a file in memory, of the name a.csv
    home, at the task's turn:                                               writes a.tmp, renames it to a.csv
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import pathlib
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from inferflow.worker.files import is_device
from inferflow.worker.held_files import GONE, Kept, Moved, Tree, facts_of, is_same

__all__ = ["Act", "Held"]

LARGEST = 256 << 20
"""Bytes. More than this is not held in memory."""

_system: Any = sys.modules.get("posix") or sys.modules.get("nt") or os
"""Where ``os`` has its functions from."""

Act = list[Any]
"""``["mkdir", path, mode, whether it may be there]``, ``["write", path, how, data, file, permissions]`` (how: ``w``,
``a``, or ``x`` where nothing may be there; the data is in the message, or in a file), ``["rename", path, to]``,
``["remove", path]``, ``["sync", path]``, ``["chmod", path, mode]`` or ``["utime", path, times]``."""

_PATCHED = (
    "stat", "lstat", "access", "mkdir", "makedirs", "rename", "replace", "remove", "unlink", "rmdir", "chmod", "utime",
    "open", "fsync", "readlink",
)  # fmt: skip
_LOOKS = ("stat", "lstat", "access", "readlink")
_KIND = frozenset({
    "exists", "lexists", "isdir", "isfile", "islink", "is_dir", "is_file", "is_symlink", "makedirs", "mkdir", "ismount",
})  # fmt: skip
"""Functions of the standard library that only ask what kind of thing there is."""


class Held:
    """What the running task holds back. ``refuse(why)`` must not return; ``see(path)`` notes a file that is about
    to be read, ``see(path, False)`` one that was not there."""

    def __init__(self, refuse: Callable[[str], None], see: Callable[..., None]) -> None:
        self.refuse = refuse
        self.see = see
        self.order: list[Any] = []
        self.real_open = io.open
        self.real = {name: getattr(os, name) for name in _PATCHED}
        self.real_path_mkdir = pathlib.Path.mkdir
        self.tree = Tree(self.real["lstat"])
        self.kept: list[Kept] = []
        self.folders: dict[str, str] = {}
        self.umask = os.umask(0)
        os.umask(self.umask)
        self.real_rmtree: Any = None
        self.opening = False
        self.may_be_there = False
        self.active = False
        self.undo: list[Callable[[], None]] = []

    def __enter__(self) -> Held:
        held = self

        def path_mkdir(path: Any, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            with held._lenient(exist_ok):
                held.real_path_mkdir(path, mode, parents, exist_ok)

        builtins.open = io.open = self.open
        pathlib.Path.mkdir = path_mkdir  # type: ignore[method-assign, assignment]
        for name in _PATCHED:
            setattr(os, name, getattr(self, "os_open" if name == "open" else name))
        for name in _LOOKS:
            setattr(_system, name, getattr(self, name))  # (imports look at folders by these)
        self._patch_libraries()
        self.active = True
        return self

    def __exit__(self, *_: object) -> None:
        self.active = False
        builtins.open = io.open = self.real_open
        pathlib.Path.mkdir = self.real_path_mkdir  # type: ignore[method-assign]
        for name, function in self.real.items():
            setattr(os, name, function)
        for name in _LOOKS:
            setattr(_system, name, self.real[name])
        while self.undo:
            self.undo.pop()()

    def _patch_libraries(self) -> None:
        """What has functions of ``os`` in other places: temporary files, ``shutil.rmtree``."""
        shutil = sys.modules.get("shutil")
        if shutil is not None:
            real = shutil.rmtree
            shutil.rmtree = self.rmtree  # type: ignore[attr-defined]
            self.undo.append(lambda: setattr(shutil, "rmtree", real))
            self.real_rmtree = real
        closer = getattr(sys.modules.get("tempfile"), "_TemporaryFileCloser", None)
        for name in ("close", "cleanup"):
            function: Any = getattr(closer, name, None)
            before = getattr(function, "__defaults__", None)
            if before:
                function.__defaults__ = tuple(self.unlink if d is self.real["unlink"] else d for d in before)
                self.undo.append(lambda function=function, before=before: setattr(function, "__defaults__", before))  # type: ignore[misc]

    # -- looking -----------------------------------------------------------------------------------

    def _name(self, path: Any) -> str:
        """The name by which a file is known here: absolute, its folder without symbolic links."""
        try:
            folder, base = os.path.split(os.path.abspath(os.fsdecode(path)))
        except (TypeError, ValueError):
            return ""
        real = self.folders.get(folder)
        if real is None:
            patched, os.lstat = os.lstat, self.real["lstat"]
            try:
                real = self.folders[folder] = os.path.realpath(folder)
            finally:
                os.lstat = patched
        return os.path.join(real, base)

    def looks(self, path: Any) -> None:
        """The task looks at a path in a way that shows what is there: not at one where something is held."""
        if self.order and not isinstance(path, int) and self.tree.touches(name := self._name(path)):
            self.refuse(f"it looks at {name}, which it has written")

    def _look(self, how: str, path: Any, args: Any, named: Any) -> Any:
        entry = None if isinstance(path, int) or not self.order else self.tree.entries.get(self._name(path))
        if entry is GONE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if entry is not None:
            return facts_of(entry)
        self.looks(path)
        if named.get("dir_fd") is not None:
            self.refuse("it looks at files from a folder that is open")
        link = how == "lstat" or not named.get("follow_symlinks", True)
        self._sees(path, "link" if link else "kind" if _asks_kind() else "")
        return self.real[how](path, *args, **named)

    def _sees(self, path: Any, how: str) -> None:
        if not isinstance(path, int):
            self.see(path, True, how)

    def readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        self.looks(path)
        if dir_fd is not None:
            self.refuse("it looks at files from a folder that is open")
        self._sees(path, "link")
        return self.real["readlink"](path)

    def stat(self, path: Any, *args: Any, **named: Any) -> Any:
        return self._look("stat", path, args, named)

    def lstat(self, path: Any, *args: Any, **named: Any) -> Any:
        return self._look("lstat", path, args, named)

    def access(self, path: Any, mode: int, *args: Any, **named: Any) -> bool:
        entry = None if isinstance(path, int) else self.tree.entries.get(self._name(path))
        if entry is not None:
            return entry is not GONE and not mode & os.X_OK
        self.looks(path)
        if named.get("dir_fd") is not None:
            self.refuse("it looks at files from a folder that is open")
        self._sees(path, "")
        return self.real["access"](path, mode, *args, **named)  # type: ignore[no-any-return]

    # -- acting ------------------------------------------------------------------------------------

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        name = self._name(path)
        if not self.active:
            return self.real["mkdir"](path, mode, dir_fd=dir_fd)  # type: ignore[no-any-return]
        if dir_fd is not None or not name or self.tree.entries.get(name) is GONE:
            self.refuse("it makes a folder")
        if self.tree.there(name):
            if name in self.tree.folders and self.may_be_there:
                return None
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if not self._has_parent(name):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.tree.folders[name] = mode
        self.order.append(["mkdir", name, mode, self.may_be_there])
        return None

    def makedirs(self, name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        with self._lenient(exist_ok):
            self.real["makedirs"](name, mode, exist_ok)

    @contextlib.contextmanager
    def _lenient(self, exist_ok: bool) -> Iterator[None]:
        """A folder that is made within may be there by the task's turn: it would make no difference."""
        before, self.may_be_there = self.may_be_there, exist_ok
        try:
            yield
        finally:
            self.may_be_there = before

    def _has_parent(self, name: str) -> bool:
        parent = os.path.dirname(name)
        if parent in self.tree.folders:
            return True
        try:
            facts = self.real["stat"](parent)
            return stat.S_ISDIR(facts.st_mode) and self.real["access"](parent, os.W_OK)
        except OSError:
            return False

    def _file(self, path: Any, what: str, *target: Any) -> tuple[str, Any]:
        """The name and entry of a file that is to be acted on; a real one is noted as read. ``target`` is for the
        message if there is none."""
        name = self._name(path)
        entry = self.tree.entries.get(name)
        absent = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path, *((None, *target) if target else ()))
        if entry is GONE:
            raise absent
        if entry is not None:
            return name, entry
        self.see(name)  # before it is looked at: somebody else may be about to make it
        try:
            facts = self.real["lstat"](name)
        except OSError:
            if name in self.tree.folders or not self._has_parent(name):
                self.refuse(f"it {what} {name!r}")
            raise absent from None
        parent = os.path.dirname(name)
        if (
            not stat.S_ISREG(facts.st_mode)
            or not self.real["access"](parent, os.W_OK)
            or _sticky(self.real["stat"](parent))
        ):
            self.refuse(f"it {what} {name!r}")
        return name, Moved(name, facts)

    def rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        if not self.active:
            return self.real["rename"](src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)  # type: ignore[no-any-return]
        if src_dir_fd is not None or dst_dir_fd is not None:
            self.refuse("it renames a file")
        source, entry = self._file(src, "renames", dst)
        target = self._name(dst)
        if not target or target in self.tree.folders or not self._has_parent(target) or _is_open(entry):
            self.refuse(f"it renames {source!r}")
        if target == source:
            return None
        if target not in self.tree.entries:
            try:
                if not stat.S_ISREG(self.real["lstat"](target).st_mode):
                    self.refuse(f"it renames {source!r}")
            except OSError:
                pass
        self.order.append(["rename", source, target])
        if isinstance(entry, Kept) and entry.created and not self._is_real(source):
            self.tree.entries.pop(source, None)
        else:
            self.tree.entries[source] = GONE
        self.tree.entries[target] = entry
        return None

    def replace(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        self.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def _is_real(self, name: str) -> bool:
        try:
            self.real["lstat"](name)
        except OSError:
            return False
        return True

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        if not self.active:
            return self.real["unlink"](path, dir_fd=dir_fd)  # type: ignore[no-any-return]
        if dir_fd is not None or not self._name(path):
            self.refuse("it removes a file")
        name, entry = self._file(path, "removes")
        if _is_open(entry) and not (isinstance(entry, Kept) and entry.exclusive):
            self.refuse(f"it removes {name!r}, which is open")
        if isinstance(entry, Kept) and entry.created and entry.name == name and not self._is_renamed(name):
            self.see(name, False)
            self.order = [act for act in self.order if act[1] != name]  # as if it had never been
            del self.tree.entries[name]
            return None
        self.order.append(["remove", name])
        self.tree.entries[name] = GONE
        return None

    def _is_renamed(self, name: str) -> bool:
        return any(act[0] == "rename" and name in act[1:3] for act in self.order)

    remove = unlink

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        if not self.active:
            return self.real["rmdir"](path, dir_fd=dir_fd)  # type: ignore[no-any-return]
        name = self._name(path)
        if dir_fd is not None or name not in self.tree.folders or any(self.tree.inside(name)):
            self.refuse("it removes a folder")
        if any(act[1].startswith(os.path.join(name, "")) for act in self.order):
            self.refuse("it removes a folder that it has used")
        self.order = [act for act in self.order if act[1] != name]
        del self.tree.folders[name]
        return None

    def rmtree(self, path: Any, *args: Any, **named: Any) -> Any:
        """As ``shutil.rmtree``, of folders that the task has made itself."""
        name = self._name(path)
        if not self.active or name not in self.tree.folders:
            return self.real_rmtree(path, *args, **named)
        files, folders = self.tree.inside(name)
        for one in files:
            self.unlink(one)
        for one in (*folders, name):
            self.rmdir(one)
        return None

    def chmod(self, path: Any, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        if not self.active:
            return self.real["chmod"](path, mode, dir_fd=dir_fd, follow_symlinks=follow_symlinks)  # type: ignore[no-any-return]
        entry: Any = None if isinstance(path, int) or dir_fd is not None else self.tree.entries.get(self._name(path))
        if not isinstance(entry, Kept) or not follow_symlinks:
            self.refuse("it changes permissions")
        if stat.S_IMODE(facts_of(entry).st_mode) != mode:
            self.order.append(["chmod", self._name(path), mode])
            entry.permissions, entry.real = mode, None
        return None

    def fsync(self, fd: Any) -> None:
        if not self.active:
            return self.real["fsync"](fd)  # type: ignore[no-any-return]
        number = fd if isinstance(fd, int) else fd.fileno()
        facts = os.fstat(number)
        for name, entry in self.tree.entries.items():
            if isinstance(entry, Kept) and is_same(entry.descriptor, facts) and ["sync", name] not in self.order:
                self.order.append(["sync", name])
        return None

    def utime(
        self, path: Any, times: Any = None, *, ns: Any = None, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> None:  # fmt: skip
        if not self.active:
            named = {"dir_fd": dir_fd, "follow_symlinks": follow_symlinks}
            return self.real["utime"](path, times, **named) if ns is None else self.real["utime"](path, ns=ns, **named)  # type: ignore[no-any-return]
        entry: Any = None if isinstance(path, int) or dir_fd is not None else self.tree.entries.get(self._name(path))
        if not isinstance(entry, Kept):
            self.refuse("it changes the times of a file")
        if ns is None and times is not None:
            ns = [int(one * 1_000_000_000) for one in times]
        entry.times = ns
        self.order.append(["utime", self._name(path), None if ns is None else list(ns)])
        return None

    # -- opening -----------------------------------------------------------------------------------

    def open(
        self, file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
        newline: Any = None, closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        """As the builtin; what would be written stays in memory."""
        rest = (buffering, encoding, errors, newline, closefd)
        if not self.active or isinstance(file, int) or not isinstance(mode, str):
            return self.real_open(file, mode, *rest, opener)
        if opener is not None and getattr(opener, "__module__", "") == "tempfile":
            return self._quietly(lambda: self.real_open(file, mode, *rest, opener))  # (it opens with ``os.open``)
        name = self._name(file) if isinstance(file, (str, bytes, os.PathLike)) else ""
        if opener is not None or not name or name.startswith(("/proc/", "/sys/")) or is_device(name):
            return self.real_open(file, mode, *rest, opener)
        if not set(mode) & set("wxa+"):
            if name not in self.tree.entries:
                return self.real_open(file, mode, *rest, opener)
            number = self._reading(name, file)
            return self._quietly(lambda: self.real_open(file, mode, *rest, lambda path, flags: number))
        letters = set(mode)
        kept = self._writing(
            name, file, append="a" in letters, truncate="w" in letters, create=bool(letters & set("wxa")),
            exclusive="x" in letters, permissions=0o666,
        )  # fmt: skip
        if "a" in letters and "+" in letters:
            self.refuse(f"it opens {name!r} for reading and appending")
        opened = self._quietly(
            lambda: self.real_open(file, mode.replace("x", "w"), *rest, lambda path, flags: os.dup(kept.descriptor))
        )
        kept.files.append(weakref.ref(opened))
        return opened

    def os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """As ``os.open``."""
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        temporary = getattr(os, "O_TMPFILE", 0)
        name = self._name(path)
        if not self.active or dir_fd is not None or not name or name.startswith(("/proc/", "/sys/")) or is_device(name):
            return self.real["open"](path, flags, mode, dir_fd=dir_fd)  # type: ignore[no-any-return]
        if temporary and flags & temporary == temporary:
            return os.memfd_create("inferflow")
        if not writes:
            if name in self.tree.entries:
                return self._reading(name, path)
            return self.real["open"](path, flags, mode)  # type: ignore[no-any-return]
        kept = self._writing(
            name, path, append=bool(flags & os.O_APPEND), truncate=bool(flags & os.O_TRUNC),
            create=bool(flags & os.O_CREAT), exclusive=bool(flags & os.O_EXCL), permissions=mode,
        )  # fmt: skip
        number = os.dup(kept.descriptor)
        kept.numbers.append(number)
        return number

    def _quietly(self, work: Callable[[], Any]) -> Any:
        """Open what has been looked at already: the audit hook lets it pass."""
        self.opening = True
        try:
            return work()
        finally:
            self.opening = False

    def _reading(self, name: str, path: Any) -> int:
        """A new descriptor of a file that is held."""
        entry = self.tree.entries[name]
        if entry is GONE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        source = entry.source if isinstance(entry, Moved) else f"/proc/self/fd/{entry.descriptor}"
        number: int = self._quietly(lambda: self.real["open"](source, os.O_RDONLY | os.O_CLOEXEC))
        return number

    def _writing(
        self, name: str, path: Any, *, append: bool, truncate: bool, create: bool, exclusive: bool, permissions: int
    ) -> Kept:
        """The file in memory that takes the place of one that is opened for writing, at its beginning."""
        kept = self.tree.entries.get(name)
        if isinstance(kept, Kept):
            if exclusive:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            if kept.is_open():
                self.refuse(f"it opens {name} twice")
            self.order = [act for act in self.order if act[0] != "utime" or act[1] != name]
            kept.times = None
            if truncate:
                os.ftruncate(kept.descriptor, 0)
            if not append and kept.mode == "a":
                kept.mode, kept.before = ("w", 0) if truncate else ("r", 0)
        elif kept is not None and (kept is not GONE or not create):
            self.refuse(f"it opens {name!r} for writing")
        else:
            kept = self._new(name, path, append, truncate, create, exclusive, permissions, kept is GONE)
        os.lseek(kept.descriptor, 0, os.SEEK_SET)
        return kept

    def _new(
        self, name: str, path: Any, append: bool, truncate: bool, create: bool, exclusive: bool, permissions: int,
        gone: bool,
    ) -> Kept:  # fmt: skip
        data, facts = b"", None
        if not gone and (exclusive or not create or not (truncate or append)):
            self.see(name)  # before it is looked at: somebody else may be about to make it
        with contextlib.suppress(OSError):
            facts = None if gone else self.real["lstat"](name)
        if facts is not None:
            if exclusive:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            if not stat.S_ISREG(facts.st_mode) or not self.real["access"](name, os.W_OK) or facts.st_size > LARGEST:
                self.refuse(f"it opens {name!r} for writing")
            if not truncate and facts.st_size:
                self.see(name)
                number = self._quietly(lambda: self.real["open"](name, os.O_RDONLY))
                with self.real_open(number, "rb") as old:
                    data = old.read()
        elif not create:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        elif not self._has_parent(name):
            self.refuse(f"it opens {name!r} for writing")
        how = "a" if append else "w" if truncate or facts is None else "r"
        kept = Kept(os.memfd_create("inferflow"), how, len(data) if append else 0, name, permissions & ~self.umask)
        kept.created, kept.exclusive, kept.real = facts is None, exclusive and not gone, facts
        if data:
            os.write(kept.descriptor, data)
        self.kept.append(kept)
        self.tree.entries[name] = kept
        self.order.append(["write", name, kept, permissions])
        return kept

    # -- handing over ------------------------------------------------------------------------------

    def take(self, keep: Callable[[int, int], str], small: int) -> list[Act]:
        """What was held, in order. ``keep(descriptor, offset)`` writes a large file away and gives its path."""
        acts: list[Act] = []
        for act in self.order:
            if act[0] != "write":
                acts.append(act)
                continue
            _, name, kept, permissions = act
            if kept.is_open():
                self.refuse(f"it leaves {name} open")
            size, offset = kept.size(), kept.before if kept.mode == "a" else 0
            if size - offset > LARGEST:
                self.refuse(f"it writes more to {name} than is held back")
            how = "x" if kept.exclusive else kept.mode
            if size - offset <= small:
                data = os.pread(kept.descriptor, size - offset, offset)
                acts.append(["write", name, how, data, "", permissions])
            else:
                acts.append(["write", name, how, b"", keep(kept.descriptor, offset), permissions])
        self.clear()
        return acts

    def clear(self) -> None:
        for kept in self.kept:
            os.close(kept.descriptor)
        self.order, self.kept, self.tree = [], [], Tree(self.real["lstat"])


def _is_open(entry: Any) -> bool:
    return isinstance(entry, Kept) and entry.is_open()


def _sticky(folder: os.stat_result) -> bool:
    """Whether others' files in a folder cannot be renamed or removed, and ours are not looked at one by one."""
    return bool(folder.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, folder.st_uid)


def _asks_kind() -> bool:
    """Whether a function of the standard library is asking that only tells what kind of thing there is."""
    frame: Any = sys._getframe(3)
    for _ in range(3):
        if frame is None:
            return False
        file = frame.f_code.co_filename
        if not file.endswith(_ASKING) and "pathlib" not in file:
            return False
        if frame.f_code.co_name in _KIND:
            return True
        frame = frame.f_back
    return False


_ASKING = ("genericpath.py", "posixpath.py", "os.py", "<frozen genericpath>", "<frozen posixpath>", "<frozen os>")
