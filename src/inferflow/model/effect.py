"""Effects: a place read or written, and why the analysis thinks so."""

from __future__ import annotations

from typing import Literal

from inferflow.model.place import Place
from inferflow.model.source import Span
from inferflow.records import frozen


@frozen(order=True)
class Reason:
    """Why: a clause a user understands (``model_fit appends to 'log'``) and where it stands in their code."""

    text: str
    span: Span

    def __str__(self) -> str:
        return f"{self.text} ({self.span})"


@frozen(order=True)
class Effect:
    """One access. ``assumed`` marks what is taken for granted and not proved (an unknown call)."""

    mode: Literal["read", "write"]
    place: Place
    reason: Reason
    assumed: bool = False
