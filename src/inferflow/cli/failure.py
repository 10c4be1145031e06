"""How failures are told: in words, on stderr, with an exit status; never as a traceback of ours.

inferflow: driver.py:7: IF005 invalid syntax
inferflow: no such file: 'drver.py'
  did you mean driver.py?
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from inferflow.cli.common import Shared, wants_color
from inferflow.errors import DriverUnreadable, UserError

__all__ = ["after_broken_pipe", "tell_error", "tell_fault", "tell_unrecorded", "tell_usage"]


def tell_error(error: UserError, shared: Shared) -> int:
    """A mistake of the user, or of the environment; a syntax error as Python itself shows it."""
    if isinstance(error, DriverUnreadable) and error.native:
        _say(error.native)
        if error.hint:
            _say(f"  {error.hint}")
        return error.exit_code
    where = f"{error.span}: " if error.span else ""
    return _tell(f"{where}{error.message}", error.hint, error.exit_code, shared)


def tell_usage(message: str, hint: str, shared: Shared) -> int:
    """A wrong command line."""
    return _tell(message[:1].lower() + message[1:], hint, 2, shared)


def tell_fault(error: BaseException, shared: Shared) -> int:
    """Something that should never happen: its traceback goes to a file, which a user can pass on."""
    kept = _keep_traceback(error)
    said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    message = f"this is a fault of inferflow, not of your code ({said})"
    hint = f"please report it with {kept}" if kept else "its traceback could not be written anywhere"
    return _tell(message, hint, 70, shared)


def tell_unrecorded(report: Path, shared: Shared) -> None:
    """A fault of ours in a worker: the driver's own result is not touched by it."""
    message = "a fault of inferflow, not of your code: the driver ran on as natively, but was not recorded to its end"
    _tell(message, f"please report it with {report}", 70, shared)


def after_broken_pipe() -> int:
    """Be still, as native tools are: nothing more can be shown, and the interpreter must not try at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    return 141


def _tell(message: str, hint: str, status: int, shared: Shared) -> int:
    bold, plain = ("\x1b[1;31m", "\x1b[0m") if wants_color(shared, sys.stderr) else ("", "")
    _say(f"{bold}inferflow:{plain} {message}")
    for line in hint.splitlines():
        _say(f"  {line}")
    return status


def _say(text: str) -> None:
    from inferflow.render.style import clean, for_encoding

    head, _, rest = text.partition("\x1b[0m")
    shown = f"{head}\x1b[0m{clean(rest)}" if rest else clean(text)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        pass
    try:
        sys.stderr.write(for_encoding(shown.rstrip("\n") + "\n", sys.stderr.encoding))
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody listens
        pass


def _keep_traceback(error: BaseException) -> Path | None:
    """Write the traceback under the store if there is one, else among the temporary files; where it went."""
    import platform
    import tempfile
    import time
    from traceback import format_exception

    from inferflow import __version__
    from inferflow.config.project import project_root

    head = (
        f"inferflow {__version__}, Python {platform.python_version()}, {platform.platform()}\n{' '.join(sys.argv)}\n\n"
    )
    text = head + "".join(format_exception(type(error), error, error.__traceback__))
    name = f"inferflow-fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    folders = [Path(tempfile.gettempdir())]
    try:
        store = project_root(Path.cwd()) / ".inferflow"
        if store.is_dir():
            folders.insert(0, store / "tmp")
    except OSError:
        pass
    for folder in folders:
        try:
            folder.mkdir(exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return path
        except OSError:
            continue
    return None
