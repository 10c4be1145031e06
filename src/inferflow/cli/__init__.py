"""The command line: ``inferflow COMMAND ...``. It reads what was asked, calls the session, and shows the answer.

One file a command; each is imported only when its command is used, and imports what is heavy in its function.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes as long to load as an interpreter to start
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

_NOT_AHEAD = ("-C", "--directory", "-b", "--backend", "--json", "--dry-run", "--help", "-h", "--config")


def main() -> None:
    """The entry point of the console script; does not return."""
    import sys

    arguments = sys.argv[1:]
    if not _will_run(arguments):
        from inferflow.cli.app import execute

        _leave(execute(arguments))

    import os

    from inferflow.backends.start import discard, start_ahead

    start_ahead(os.getcwd())
    try:
        status = _run(arguments)
    finally:
        discard()
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End this process without taking it apart first: there are thousands of objects, and nobody needs them. Where
    something else may hang on them (a driver that ran in this very process, a profiler), it ends as usual."""
    import atexit
    import os
    import sys
    import threading

    watched = sys.getprofile() is not None or sys.gettrace() is not None
    if watched or "inferflow.backends.inline" in sys.modules or threading.active_count() > 1:
        sys.exit(status)
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # Python has its own words for it
        sys.exit(status)
    os._exit(status)


def _run(arguments: list[str]) -> int:
    """Run a driver; its exit status. Where the command line says nothing else that home would have to know, home is
    told before more is loaded here, and typer is not needed at all."""
    plain = _plain(arguments)
    if plain is None:
        from inferflow.cli.app import execute

        return execute(arguments)
    driver, behind, jobs, quiet = plain

    from inferflow.session.setup import tell_ahead

    tell_ahead(driver, behind)

    from inferflow.cli.common import Shared
    from inferflow.cli.run_driver import Wanted, run_plain

    return run_plain(Shared(tuple(arguments), quiet=quiet), Wanted(driver, behind, jobs=jobs))


def _plain(arguments: list[str]) -> tuple[str, tuple[str, ...], str | None, bool] | None:
    """The driver, its arguments, ``--jobs`` and ``--quiet``, if the command line says nothing else."""
    import os

    own, behind = arguments, []
    if "--" in arguments:
        own, behind = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    words: list[str] = []
    jobs: str | None = None
    quiet = False
    left = iter(own)
    for word in left:
        if word in ("-j", "--jobs"):
            jobs = next(left, "")
        elif word.startswith("--jobs="):
            jobs = word.removeprefix("--jobs=")
        elif word.startswith("-j") and word[2:].isdecimal():
            jobs = word[2:]
        elif word in ("-q", "--quiet"):
            quiet = True
        elif word.startswith("-"):
            return None
        else:
            words.append(word)
    if jobs == "" or len(words) != 2 or not words[1] or words[0] != "run" or "_INFERFLOW_COMPLETE" in os.environ:
        return None
    return words[1], tuple(behind), jobs, quiet


def _will_run(arguments: list[str]) -> bool:
    """Whether these are the arguments of a run in this folder with the usual backend: then the driver's interpreter is
    started before ours has read the settings. A wrong guess costs a process that ends unused."""
    import os

    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    if command != "run" or "INFERFLOW_BACKEND" in os.environ or os.name != "posix":
        return False
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return not any(argument.startswith(_NOT_AHEAD) for argument in own)
