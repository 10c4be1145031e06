"""Mistakes of the user, and broken environments: told in words, with the exit status of the command line.

Whoever raises one of these says what, where, because of what, and what to do; nobody prints a
traceback for them.
"""

from __future__ import annotations

from inferflow.model import Span

__all__ = ["BrokenEnvironment", "DriverUnreadable", "UserError", "WrongUse"]


class UserError(Exception):
    """``message`` says what and why, ``hint`` the next step, ``span`` where (if in a file); ``exit_code`` is
    the exit status of the command."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", span: Span | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.span = span

    def __str__(self) -> str:
        where = f"{self.span}: " if self.span else ""
        return f"{where}{self.message}" + (f"\n  {self.hint}" if self.hint else "")


class WrongUse(UserError):
    """A wrong command line, setting or parameter (exit 2)."""

    exit_code = 2


class DriverUnreadable(UserError):
    """The driver cannot be analysed: not there, not Python, a syntax error (exit 3).

    ``native`` is the text that Python itself would print (for a syntax error), shown instead of the message."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "", span: Span | None = None, native: str = "") -> None:
        super().__init__(message, hint=hint, span=span)
        self.native = native


class BrokenEnvironment(UserError):
    """Something that inferflow needs does not work: the folder is read-only, the store is damaged (exit 4)."""

    exit_code = 4
