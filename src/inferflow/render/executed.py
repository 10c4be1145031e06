"""An executed notebook as text: its cells with what they gave, each cut to a few lines.

train.executed.ipynb
  [2] In [1]   lr = 0.1
  [3] In [2]   model = fit(X, y, lr)
               model.score(X, y)
               → 0.93
  [4] In [3]   plot(model)
               → image/png (21 KiB)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from inferflow.render.style import Piece, clean, compose, paint, uncolored
from inferflow.render.units import count, size

__all__ = ["executed_lines"]

SOURCE, OUTPUT, ERROR = 6, 8, 30
"""So many lines are shown at most, of a cell's text, of one of its outputs, of an error."""
CELLS = 60


def executed_lines(path: str, data: bytes, width: int, color: bool) -> list[str]:
    """The lines for the notebook with the content ``data``; none if that is no notebook."""
    try:
        cells = list(enumerate(json.loads(data)["cells"], 1))
        shown = [(number, cell) for number, cell in cells if cell["cell_type"] == "code" and _text(cell["source"])]
        lines = [line for number, cell in shown[:CELLS] for line in _cell(number, cell, width, color)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    if len(shown) > CELLS:
        lines.append(compose([("    ", ""), (f"and {count(len(shown) - CELLS, 'cell')} more", "dim")], width, color))
    return [paint(f"  {clean(path)}", "dim", color), *lines]


def _cell(number: int, cell: dict[str, Any], width: int, color: bool) -> Iterator[str]:
    ran = cell.get("execution_count")
    head = f"[{number}] " + (f"In [{ran}]" if ran is not None else "not run")
    rows: list[tuple[str, str]] = [(line, "") for line in _cut(_text(cell["source"]), SOURCE)]
    for output in cell.get("outputs", ()):
        rows += _output(output)
    for place, (text, role) in enumerate(rows):
        lead: Piece = (f"    {head:<14}" if not place else " " * 18, "dim")
        yield compose([lead, (clean(text), role)], width, color).rstrip()


def _output(output: dict[str, Any]) -> list[tuple[str, str]]:
    match output["output_type"]:
        case "stream":
            role = "warn" if output.get("name") == "stderr" else "dim"
            return [(line, role) for line in _cut(_text(output["text"]), OUTPUT)]
        case "error":
            text = uncolored("\n".join(output.get("traceback", ())))
            text = text or f"{output.get('ename')}: {output.get('evalue')}"
            return [(line, "fail") for line in text.rstrip("\n").split("\n")[-ERROR:]]
        case _:
            data = output.get("data", {})
            rich = [f"{kind} ({size(len(_text(value)))})" for kind, value in data.items() if kind != "text/plain"]
            lines = _cut(_text(data.get("text/plain", "")), OUTPUT)
            if rich:
                lines = [", ".join(rich), *([] if any("image" in kind for kind in data) else lines)]
            return [(("→ " if not place else "  ") + line, "value") for place, line in enumerate(lines)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "".join(value) if isinstance(value, list) else json.dumps(value)


def _cut(text: str, most: int) -> list[str]:
    lines = uncolored(text).rstrip("\n").split("\n") if text else []
    return [*lines[: most - 1], "…"] if len(lines) > most else lines
