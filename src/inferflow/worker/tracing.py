"""Child processes of home under a tracer (see ``traced``), where the setting ``trace`` asks for it.

What the driver starts through ``subprocess`` or ``os.system`` is started by way of ``traced.py``, which becomes the
program. So nothing but the command line of the first instant is another one: ``subprocess`` calls its function of C
with other arguments, and ``os.system`` runs another text. Programs that would not be started natively (there is none
of that name, it is none) are not traced, so that they fail as natively; nor are those that get other rights by being
executed (``sudo``), and those for which another user or a function before them is asked for.

    Popen(["sort", "a.csv"])      fork_exec([python, "-I", "-S", traced.py, LOG, "dd", "/bin/sort", "sort", "a.csv"])
    end() -> (["/data/a.csv"], [])
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import sys
from typing import Any

__all__ = ["Tracer"]

_LAUNCHER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traced.py")


class Tracer:
    """Has children traced while ``recorder`` (a ``FileRecorder``) is on. Logs are written in the folder ``scratch``."""

    def __init__(self, recorder: Any, scratch: str) -> None:
        self.recorder = recorder
        self.scratch = scratch
        self.logs: list[str] = []
        self.count = 0
        self.untraced = 0
        """How many programs were started without it, since the last ``end``."""
        self.refused = ""
        """Why it cannot be had here, if that was found out."""
        self.told = False
        self.said: Any = None
        """The command that the driver gave to ``os.system``, while that runs."""
        self._system = os.system
        self._start = [sys.executable, "-I", "-S", _LAUNCHER]
        self._interpreter = os.path.realpath(sys.executable) if sys.executable else ""

    def install(self) -> None:
        if sys.platform.startswith("linux") and sys.executable:
            os.system = self._run_text
        else:
            self.refused = "only on Linux"

    def begins(self, event: str) -> None:
        """A child is about to be started; called by the audit hook."""
        if event != "subprocess.Popen":
            self.untraced += event != "os.system" or self.said is None
            return
        self.untraced += 1  # until it is
        module: Any = sys.modules["subprocess"]
        if getattr(module, "_inferflow_traced", None) is not None or self.refused:
            return
        if hasattr(module, "_fork_exec"):
            function = module._fork_exec
            module._fork_exec = lambda *given: self._fork_exec(function, *given)
        else:  # Python 3.10
            inner = module._posixsubprocess
            function = inner.fork_exec
            module._posixsubprocess = _Instead(lambda *given: self._fork_exec(function, *given))
        module._inferflow_traced = True

    def end(self) -> tuple[list[str], list[str], bool]:
        """The files that were read and written since the last call, and whether that is all that children did."""
        read: dict[str, None] = {}
        written: dict[str, None] = {}
        complete = self.untraced == 0 and bool(self.logs)
        for log in self.logs:
            try:
                with open(log, "rb") as file:
                    told = file.read().split(b"\0")[:-1]
                os.unlink(log)
            except OSError:
                complete = False
                continue
            for item in told:
                if item.startswith(b"!"):
                    self.refused, complete = os.fsdecode(item[1:]), False
                    continue
                name = os.path.normpath(os.fsdecode(item[1:]))
                if name == self._interpreter:
                    continue
                (written if item.startswith(b"w") else read)[name] = None
        self.logs, self.untraced = [], 0
        return (
            [name for name in read if name not in written and os.path.isfile(name)],
            [name for name in written if os.path.isfile(name)],
            complete,
        )

    # -- the two ways to start -----------------------------------------------------------------------

    def _fork_exec(self, function: Any, *given: Any) -> Any:
        try:
            changed = self._changed(list(given)) if self.recorder.on and not self.refused else None
        except Exception:  # arguments that are wrong: natively it is told what
            changed = None
        if changed is not None:
            self.untraced -= 1
        return function(*(given if changed is None else changed))

    def _changed(self, given: list[Any]) -> list[Any] | None:
        arguments, programs, folder = list(given[0]), given[1], given[4]
        *_, group, groups, user, _, before = given[:-1] if isinstance(given[-1], bool) else given
        if any(item not in (None, -1) for item in (group, groups, user, before)):
            return None
        base = os.path.join(os.getcwd(), os.fsdecode(folder) if folder is not None else "")
        names = [name for name in map(os.fsdecode, programs) if os.path.isfile(os.path.join(base, name))]
        if not names or not _is_plain(os.path.join(base, names[0])):
            return None
        restored = bool(given[14])
        words = [*self._words(restored), names[0], *map(os.fsdecode, arguments)]
        encoded = [os.fsencode(word) for word in words]
        return [encoded, (encoded[0],), *given[2:]]

    def _run_text(self, command: Any) -> int:
        """``os.system``."""
        on = self.recorder.on and not self.refused
        shell = shutil.which("sh", path="/bin:/usr/bin") if on else None
        if shell is None or not isinstance(command, (str, bytes)) or not command or "\0" in os.fsdecode(command):
            return self._system(command)
        words = [*self._words(False), shell, "sh", "-c", os.fsdecode(command)]
        self.said = command
        try:
            return self._system(os.fsencode("exec " + shlex.join(words)))
        finally:
            self.said = None

    def _words(self, restored: bool) -> list[str]:
        on, self.recorder.on = self.recorder.on, False
        try:
            self.count += 1
            log = os.path.join(self.scratch, f"trace.{os.getpid()}.{self.count}")
            os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        finally:
            self.recorder.on = on
        self.logs.append(log)
        ignored = [not restored and signal.getsignal(number) == signal.SIG_IGN for number in _SIGNALS]
        return [*self._start, log, "".join("di"[item] for item in ignored)]


_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ) if hasattr(signal, "SIGXFSZ") else ()


class _Instead:
    """In place of a module that has this one function."""

    def __init__(self, function: Any) -> None:
        self.fork_exec = function


def _is_plain(path: str) -> bool:
    """Whether the system can execute it, and with no other rights than ours."""
    facts = os.stat(path)
    if not os.access(path, os.X_OK) or facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return False
    try:
        if "security.capability" in os.listxattr(path):
            return False
    except OSError:
        pass
    with open(path, "rb") as file:
        head = file.readline(256)
    if head.startswith(b"\x7fELF"):
        return True
    words = head[2:].split()
    return head.startswith(b"#!") and bool(words) and os.access(words[0], os.X_OK)
