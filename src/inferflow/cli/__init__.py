"""The command line: ``inferflow COMMAND ...``. It reads what was asked, calls the session, and shows the answer.

One file a command; each is imported only when its command is used, and imports what is heavy in its function.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The entry point of the console script; does not return."""
    import sys

    from inferflow.cli.app import execute

    sys.exit(execute(sys.argv[1:]))
