"""What a task in a helper must not do: acts that nothing takes back, and looks at what only home has.

socket.create_connection(...)       ends the helper; home runs the task
open("in.csv")                      goes on; home asks at the task's turn whether the file is as it was
sys._getframe(3).f_locals           ends the helper: the driver's variables are not there
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from inferflow.worker.observe import IRREVOCABLE, FileRecorder, calls_c, is_passing, is_to_write, stamp

__all__ = ["Gate"]

# Programs that only tell of the machine: joblib asks them how many cores there are.
_ASKING = frozenset({"lscpu", "sysctl", "nproc"})


def _only_asks(args: tuple[Any, ...]) -> bool:
    """Whether a child process is one that changes nothing and says nothing to anybody else."""
    program = args[0] if args else None
    if program is None and len(args) > 1 and args[1]:
        program = args[1] if isinstance(args[1], (str, bytes)) else args[1][0]
    try:
        return os.path.basename(os.fsdecode(program)) in _ASKING  # type: ignore[arg-type]
    except TypeError:
        return False


# What is announced, and then consists of acts that can be held back.
_MADE_OF_OTHERS = frozenset({
    "tempfile.mkdtemp", "tempfile.mkstemp", "shutil.copyfile", "shutil.move", "shutil.copytree",
})  # fmt: skip
_OURS = os.path.join(os.path.dirname(__file__), "")
_SEARCHES = frozenset({
    "ctypes.cdata", "ctypes.string_at", "ctypes.wstring_at", "ctypes.PyObj_FromPtr", "gc.get_objects",
    "gc.get_referrers",
})  # fmt: skip
_ENVIRON = frozenset({type(os.environ).__setitem__.__code__, type(os.environ).__delitem__.__code__})
_GOING_DOWN = frozenset({"f_back", "f_locals"})


class Gate:
    """Ends the helper at the first irrevocable act. ``refuse(why)`` must not return."""

    def __init__(self, refuse: Callable[[str], None]) -> None:
        self.refuse = refuse
        self.on = False
        self.recorder = FileRecorder(())
        self.code: Any = None
        """That of the running task."""
        self.files: frozenset[str] = frozenset()
        """Those of the project's modules."""
        self.held: Any = None
        """What keeps back the files that the task writes (see ``held``), if anything does."""
        self.opened = 0
        self.data = False  # whether anything but code was
        """Bytes in the files that were opened for reading, if that is counted (0 or more)."""
        self.counts = False
        self.seen: dict[tuple[str, str], list[int] | None] = {}
        """Files and folders that the task looked at, how (see ``stamp``), and as they were then: home asks at its
        turn whether they still are. (The analysis compares paths by their text; links make two of one file.)"""
        self.listed: set[str] = set()
        """Folders of which the task saw what they hold."""

    def install(self) -> None:
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, mode, flags = (*args, None, None)[:3]
            if isinstance(path, int) or path in ("/dev/null", b"/dev/null"):
                return
            if self.held is not None and self.held.opening:
                return
            if is_to_write(mode, flags):
                self.on = False
                self.refuse(f"it opens {os.fsdecode(path)!r} for writing")
            if self.held is not None:
                self.held.looks(path)
            self.recorder._note(path, False)
            if self.counts:
                self._count(path)
            self._see(path)
        elif event in ("os.listdir", "os.scandir"):
            path = args[0] if args and args[0] is not None else "."
            if self.held is not None:
                if isinstance(path, int):
                    self.on = False
                    self.refuse("it lists a folder that is open")
                self.held.looks(path)
            self._see(path)
            self._list(path)
        elif event in ("os.getxattr", "os.listxattr"):
            self._see(args[0])
        elif event == "sys._getframe":
            if args and self._looks_below(args[0]):
                self.on = False
                self.refuse("it looks at the variables of its callers")
        elif event == "ctypes.dlsym" and self.counts:
            self.on = False
            if calls_c(args):
                self.refuse(f"it calls {args[1]!r}, a function of C, which could read any file")
            self.on = True
        elif event in _SEARCHES:
            self.on = False
            self.refuse(f"it looks for things in the process ({event}), where another one has others")
        elif event in IRREVOCABLE:
            if event == "subprocess.Popen" and _only_asks(args):
                return
            if event == "sqlite3.connect" and self.held is not None and args and args[0] == ":memory:":
                return  # (what it attaches, the kernel's filter sees)
            if self.held is not None and event in _MADE_OF_OTHERS:
                return
            if is_passing(event, args):
                return
            if event in ("os.putenv", "os.unsetenv") and sys._getframe(1).f_code in _ENVIRON:
                return  # (it is this process' own; at the end ``os.environ`` is compared)
            self.on = False
            self.refuse(f"it acts on the outside world ({event})")

    def _looks_below(self, frame: Any) -> bool:
        """Whether somebody has got hold of the frame in which the task stands, or is about to go down to it: the
        driver's variables are not there."""
        code = getattr(frame, "f_code", None)
        if code is None:
            return False
        outside = code is self.code or code.co_filename.startswith(_OURS)
        return outside or (code.co_filename in self.files and not _GOING_DOWN.isdisjoint(code.co_names))

    def _count(self, path: Any) -> None:
        try:
            self.opened += os.stat(path).st_size
            self.data = self.data or not os.fsdecode(path).endswith((".py", ".pyc"))
        except (OSError, ValueError, TypeError):
            return

    def looks(self) -> list[list[Any]]:
        """What was looked at, how, and as what, for a message."""
        return [[name, how, before] for (name, how), before in self.seen.items()]

    def _see(self, path: Any, there: bool = True, how: str = "") -> None:
        """Note a file as it is now, before it is looked at; not ``there``: it was looked for already, in vain."""
        name = self.recorder._name(path)
        if name is not None and (name, how) not in self.seen:
            self.seen[name, how] = stamp(name, how) if there else None

    def _list(self, path: Any) -> None:
        name = self.recorder._name(path)
        if name is not None:
            self.listed.add(name)
