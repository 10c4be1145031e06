"""What a task does besides computing, as far as Python tells of it: files that it opens, acts on the outside world.

    open("in.csv")              opened for reading: noted
    open("out.csv", "w")        opened for writing
    os.remove("old.csv")        one of the acts that nothing takes back

Audit hooks see what Python itself opens, removes, starts; they do not see ``stat``, C libraries or child processes.
At home nothing depends on it: the hook only records. In a helper the first irrevocable act ends the helper (``gate``),
and home runs the task.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

from inferflow.worker.files import is_device
from inferflow.worker.folder import Watch, changed, look, named_files
from inferflow.worker.known_c import in_memory

__all__ = ["IRREVOCABLE", "FileRecorder", "bytes_read", "calls_c", "is_passing", "is_to_write", "stamp"]

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def is_to_write(mode: Any, flags: Any) -> bool:
    """Whether a file is opened for writing, by the arguments of the audit event ``open``."""
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITE_FLAGS)


def _is_absolute(path: Any) -> bool:
    return isinstance(path, (str, bytes, os.PathLike)) and os.path.isabs(path)


_LISTS = frozenset(["os.listdir", "os.scandir", "glob.glob", "glob.glob/2"])
_FINDER = "<frozen importlib._bootstrap_external>"
_STARTS = frozenset(["subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.forkpty"])


class Once:
    """What a task does to files, as acts that could be done once more without the task (see ``commit``): it makes
    folders, and writes files from their beginning. ``hindered`` is the first thing that could not, in words: other
    acts, and looks at what is there."""

    def __init__(self) -> None:
        self.acts: list[list[Any]] = []
        self.hindered = ""

    def makes_folder(self, name: str | None, args: tuple[Any, ...]) -> None:
        if name is None or (len(args) > 2 and args[2] != -1):
            self.hindered = "os.mkdir"
            return
        caller, paths = sys._getframe(2), sys.modules.get("pathlib")
        known = os.makedirs.__code__, paths.Path.mkdir.__code__ if paths is not None else None
        lenient = caller.f_code in known and bool(caller.f_locals.get("exist_ok"))
        self.acts = [act for act in self.acts if act[:2] != ["mkdir", name]]  # (the first attempt failed)
        self.acts.append(["mkdir", name, args[1] if len(args) > 1 else 0o777, lenient])

    def writes(self, path: Any, name: str | None, mode: Any, read: dict[str, None]) -> None:
        """The task opens a file for writing; ``read`` are those that it has opened for reading."""
        if name is None:
            if not is_device(os.path.abspath(os.fsdecode(path))):
                self.hindered = "open"
            return
        how = mode.replace("b", "").replace("t", "") if isinstance(mode, str) else ""
        if how not in ("w", "x") or name in read:
            self.hindered = "open"
        elif not any(act[:2] == ["write", name] for act in self.acts):
            self.acts.append(["write", name, how])

    def take(self) -> list[list[Any]] | None:
        """The acts since the last call; None if there was something that cannot be done once more."""
        acts, hindered = self.acts, self.hindered
        self.acts, self.hindered = [], ""
        return None if hindered else acts


class FileRecorder:
    """Collects the files that the task at home opens. ``ignored`` are path prefixes (the interpreter, packages);
    ``root`` is the project's folder, which is looked at beside the working folder where there are child processes."""

    def __init__(self, ignored: tuple[str, ...], root: str = "") -> None:
        self.ignored = ignored
        self.root = root
        self.read: dict[str, None] = {}
        self.written: dict[str, None] = {}
        self.on = False
        self.before: Any = None
        """The folders before the task's first child process (see ``folder``)."""
        self.watch: Watch | None = None
        self.tracer: Any = None
        """What sees each file that children open, where that is asked for (see ``tracing``)."""
        self._thread: int | None = None
        self.acted = 0.0
        """When (seconds since the epoch) something was last done to files, or to the world."""
        self.acts: list[tuple[float, str | None]] = []
        """The latest acts: when, and on which file; None: it is not known on which."""
        self.children = False
        """Whether there were child processes, or functions of C in use: they may act at any time, unseen."""
        self.once = Once()
        """What the task does that could be done once more without it."""

    def install(self) -> None:
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._opened(args)
        elif event in IRREVOCABLE:
            if is_passing(event, args):
                return
            count = _ON_FILES.get(event, 0)
            folders = args[-count:]
            for path in args[:count] or (None,):  # (relative to a folder that is open, or to ours)
                known = count and (_is_absolute(path) or all(folder == -1 for folder in folders))
                self.acts_on(path if known else None)
            if event == "os.mkdir":
                self.once.makes_folder(self._name(args[0]), args)
            else:
                self.once.hindered = event
        elif event in _LISTS:
            if sys._getframe(1).f_code.co_filename != _FINDER:  # (to import is no look at the user's files)
                self.once.hindered = event
        elif event == "ctypes.dlsym" and not self.children and calls_c(args, acting=True):
            self.children = True
            self.acts_on(None)
        if event == "os.rename" and len(args) >= 2:
            self._moved(args[0], args[1])
        elif event == "sqlite3.connect" and args:
            self._note(args[0], True)
        elif event in _STARTS:
            self._starts(event, args)
        elif event == "os.remove" and args:
            name = self._name(args[0])
            if name is not None:
                self.written.pop(name, None)

    def _opened(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = (*args, None, None)[:3]
        if isinstance(path, int):
            return
        writes = is_to_write(mode, flags)
        if writes:
            self.acts_on(path if isinstance(mode, str) or _is_absolute(path) else None)
            self.once.writes(path, self._name(path), mode, self.read)
        self._note(path, writes)

    def acts_on(self, path: Any) -> None:
        """Something is done to a file; or, if it is None, to whatever files."""
        self.acted = time.time()
        name: str | None = None
        if isinstance(path, (str, bytes, os.PathLike)):
            with contextlib.suppress(TypeError, ValueError, OSError):
                name = os.path.abspath(os.fsdecode(path))
        self.acts.append((self.acted, name))
        if len(self.acts) > 2 * _LATEST:
            del self.acts[:_LATEST]
            self.acts[0] = (self.acts[0][0], None)

    def acts_since(self, moment: float) -> set[str | None]:
        """The files that something was done to since then; None among them: others too."""
        found: set[str | None] = set()
        for when, name in reversed(self.acts):
            if when < moment:
                return found
            found.add(name)
        return found if len(self.acts) < _LATEST else found | {None}

    def _starts(self, event: str, args: tuple[Any, ...]) -> None:
        """A child process begins: what it does to files is seen in the folder, before and after."""
        self.on = False
        try:
            if self.tracer is not None:
                self.tracer.begins(event)
                if event == "os.system" and self.tracer.said is not None:
                    args = (self.tracer.said,)
            command = args[1] if event in ("subprocess.Popen", "os.posix_spawn") and len(args) > 1 else args[:1]
            folder = args[2] if event == "subprocess.Popen" and len(args) > 2 else None
            here = os.getcwd()
            base = os.path.join(here, os.fsdecode(folder)) if folder is not None else here
            for name in named_files(command[0] if event == "os.system" else command, base):
                self._note(name, False)
            if self.before is None:
                self.before = look(dict.fromkeys([base, here, *filter(None, [self.root])]), self.ignored)
                self.watch = Watch(self.before)
        except (OSError, TypeError, ValueError, IndexError):
            pass
        finally:
            self.on = True

    def _note(self, path: Any, writes: bool) -> None:
        name = self._name(path)
        if name is None:
            return
        if writes:
            self.written[name] = None
        else:
            self.read[name] = None

    def _moved(self, old: Any, new: Any) -> None:
        source, target = self._name(old), self._name(new)
        if source is not None:
            self.written.pop(source, None)
        if target is not None:
            self.written[target] = None

    def _name(self, path: Any) -> str | None:
        try:
            name = os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError, OSError):
            return None
        if name.startswith(self.ignored) or name.endswith((".pyc", ".pyo")) or is_device(name):
            return None
        return name

    def take(self) -> tuple[list[str], list[str]]:
        """The files read and written since the last call (a file both read and written is among the written)."""
        if self.before is not None:
            self.children = True
            before, self.before = self.before, None
            for name in changed(before, self.ignored):
                self.written.setdefault(name, None)
            complete = False
            if self.tracer is not None:
                read_by_children, written_by_children, complete = self.tracer.end()
                self._add(read_by_children, written_by_children)
            self._watched(complete)
        if self.children:
            self.acts_on(None)
            self.once.hindered = "a child process"
        if not self.read and not self.written:
            return [], []
        written = list(self.written)
        read = [name for name in self.read if name not in self.written]
        self.read, self.written = {}, {}
        return read, written

    def _watched(self, known: bool) -> None:
        """What the kernel told of the time since then; nothing new if it is known what children did."""
        if self.watch is None:
            return
        read, written = self.watch.end()
        self.watch = None
        if not known:
            self._add(read, written)

    def _add(self, read: list[str], written: list[str]) -> None:
        for names, found in ((written, self.written), (read, self.read)):
            for name in filter(None, map(self._name, names)):
                found.setdefault(name, None)


# Packages that call C through ctypes, and neither read nor write files there.
_HARMLESS = frozenset({
    "_ctypes", "ctypes", "inferflow", "joblib", "matplotlib", "multiprocessing", "numpy", "pandas", "scipy", "sklearn",
    "threadpoolctl", "uuid",
})  # fmt: skip


def calls_c(args: tuple[Any, ...], acting: bool = False) -> bool:
    """Whether somebody looks for a function of a C library, to call it: it could do anything to files. ``args`` are
    those of the audit event ``ctypes.dlsym``. ``acting``: what is known only to read is none."""
    ctypes = sys.modules.get("ctypes")
    if ctypes is None or not args or isinstance(args[0], ctypes.PyDLL):  # (Python's own functions)
        return False
    frame = sys._getframe(2)
    while frame.f_back is not None and _package_of(frame) == "ctypes":
        frame = frame.f_back
    package = _package_of(frame)
    return package not in _HARMLESS and not (acting and in_memory(package, args[1]))


def _package_of(frame: Any) -> str:
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if isinstance(name, str) else ""  # (a program may run code in any dictionary)


# Acts that are on files only, named by so many leading arguments.
_ON_FILES = {
    "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1,
    "os.utime": 1, "os.chmod": 1, "os.chown": 1, "os.setxattr": 1, "os.removexattr": 1,
}  # fmt: skip
_LATEST = 5000
"""So many acts are remembered at least."""


# Acts that a task which may yet be thrown away must not do.
_WHILE_IMPORTED = frozenset({"OPENBLAS_MAIN_FREE", "GOTOBLAS_MAIN_FREE"})


def is_passing(event: str, args: tuple[Any, ...]) -> bool:
    """Whether an act is that of numpy, which sets a variable past ``os.environ`` while it is imported, and takes it
    away again."""
    return event in ("os.putenv", "os.unsetenv") and os.fsdecode(args[0]) in _WHILE_IMPORTED


IRREVOCABLE = frozenset(
    [
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "os.chmod",
        "os.chown",
        "os.chflags",
        "os.lchmod",
        "os.lockf",
        "os.setxattr",
        "os.removexattr",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.kill",
        "os.killpg",
        "os.putenv",
        "os.unsetenv",
        "os.chdir",
        "os.fchdir",
        "subprocess.Popen",
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "sqlite3.connect",
        "builtins.input",
        "builtins.breakpoint",
        "signal.pthread_kill",
        "tempfile.mkdtemp",
        "tempfile.mkstemp",
        "shutil.copyfile",
        "shutil.move",
        "shutil.rmtree",
        "shutil.copytree",
        "shutil.chown",
        "shutil.make_archive",
        "shutil.unpack_archive",
        "sys.setprofile",
        "sys.settrace",
        "sys._setprofileallthreads",
        "sys._settraceallthreads",
        "pty.spawn",
        "syslog.syslog",
        "fcntl.flock",
        "fcntl.lockf",
        "resource.setrlimit",
        "resource.prlimit",
        "ftplib.connect",
        "smtplib.connect",
        "telnetlib.Telnet.open",
        "imaplib.open",
        "poplib.connect",
        "nntplib.connect",
        "urllib.Request",
        "webbrowser.open",
    ]
)


_stat, _lstat = os.stat, os.lstat  # (while a task runs on trust, those of ``os`` are others: see ``held``)


def stamp(path: str, how: str = "") -> list[int] | None:
    """What changes when a file or folder does, or None if there is nothing of that name. ``how`` it is looked at:
    links are followed, but for "link"; of "kind" it is only asked whether it is a file or a folder."""
    try:
        facts = _lstat(path) if how == "link" else _stat(path)
    except (OSError, ValueError):
        return None
    if how == "kind":
        return [facts.st_mode & 0o170000]
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode]


def bytes_read() -> int:
    """How much this process has read from files so far, C code included (Linux; else 0)."""
    try:
        with open("/proc/self/io", "rb") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
