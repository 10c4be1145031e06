"""The command line: ``inferflow COMMAND ...``. It reads what was asked, calls the session, and shows the answer.

One file a command; each is imported only when its command is used, and imports what is heavy in its function.
"""

from __future__ import annotations

__all__ = ["main"]

_NOT_AHEAD = ("-C", "--directory", "-b", "--backend", "--json", "--dry-run", "--help", "-h", "--config")


def main() -> None:
    """The entry point of the console script; does not return."""
    import sys

    arguments = sys.argv[1:]
    if not _will_run(arguments):
        from inferflow.cli.app import execute

        sys.exit(execute(arguments))

    import os

    from inferflow.backends.start import discard, start_ahead

    start_ahead(os.getcwd())
    try:
        from inferflow.cli.app import execute

        sys.exit(execute(arguments))
    finally:
        discard()


def _will_run(arguments: list[str]) -> bool:
    """Whether these are the arguments of a run in this folder with the usual backend: then the driver's interpreter is
    started before ours has read the settings. A wrong guess costs a process that ends unused."""
    import os

    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    if command != "run" or "INFERFLOW_BACKEND" in os.environ or os.name != "posix":
        return False
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return not any(argument.startswith(_NOT_AHEAD) for argument in own)
