"""Texts kept in files: compared, or with ``INFERFLOW_REWRITE=1`` written anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "snapshots"


def check(name: str, text: str) -> None:
    """Fail unless the text is what the file ``name`` holds."""
    path = FOLDER / name
    if os.environ.get("INFERFLOW_REWRITE"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no snapshot {name}: run with INFERFLOW_REWRITE=1, and read what it writes"
    assert text == path.read_text(encoding="utf-8")
