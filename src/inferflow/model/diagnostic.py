"""What the analysis has to say to a user about their code."""

from __future__ import annotations

from enum import Enum

from inferflow.model.source import Span
from inferflow.records import frozen


class Severity(Enum):
    """How much a diagnostic matters: an ERROR stops (exit 3); a WARNING and a NOTE never do."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@frozen(order=True)
class Diagnostic:
    """One finding: ``flow.py:12: IF203 loop runs as one task: its body rebinds 'rows'``.

    ``code`` is ``IF`` and three digits, documented in ``docs/diagnostics.md``: 0xx the driver
    cannot be read, 1xx it cannot be taken as a driver, 2xx a region is one opaque task, 3xx an
    assumption or a state that keeps tasks in order, 4xx the run. ``hint`` is the next step.
    """

    span: Span
    code: str
    message: str
    severity: Severity = Severity.NOTE
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.span}: {self.code} {self.message}"
        return f"{text} ({self.hint})" if self.hint else text
