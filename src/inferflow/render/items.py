"""What turns of loops wrote, told apart: stretches of a task's text with the item that each belongs to.

[0] 'a.csv'  │ loaded 3 rows
[1] 'b.csv'  │ loaded 5 rows
done
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferflow.model import Attempt, ItemOutput
from inferflow.render.style import clean, paint

__all__ = ["identity", "item_text", "labelled", "stretches"]


def identity(path: Iterable[int]) -> str:
    """``[2]``, or ``[2, 3]`` for turn 3 of a loop in turn 2 of another."""
    return f"[{', '.join(map(str, path))}]"


def stretches(attempt: Attempt, stream: str) -> Iterator[tuple[ItemOutput | None, str]]:
    """The text of a stream in pieces, each with the innermost turn that wrote it (``None``: none did)."""
    text = attempt.stdout if stream == "stdout" else attempt.stderr
    rows = [row for facts in attempt.regions for row in facts.printed if row.stream == stream and row.stop <= len(text)]
    ends: dict[int, list[tuple[bool, ItemOutput]]] = {}
    for row in rows:
        ends.setdefault(row.start, []).append((True, row))
        ends.setdefault(row.stop, []).append((False, row))
    now: dict[int, ItemOutput] = {}
    last = 0
    for position in sorted({*ends, len(text)}):
        if position > last:
            inner = max(now.values(), key=lambda row: (len(row.path), row.start - row.stop), default=None)
            yield inner, text[last:position]
        last = position
        for begins, row in ends.get(position, ()):
            if begins:
                now[id(row)] = row
            else:
                now.pop(id(row), None)


def labelled(attempt: Attempt, stream: str, color: bool) -> str:
    """The text of a stream, each line with the turn that began it in front."""
    lines: list[tuple[ItemOutput | None, str]] = []
    whole = True
    for row, piece in stretches(attempt, stream):
        for number, part in enumerate(piece.split("\n")):
            if number or whole:
                lines.append((row, part))
            elif not lines[-1][1]:
                lines[-1] = (row, part)
            else:
                lines[-1] = (lines[-1][0], lines[-1][1] + part)
            whole = False
    while lines and not lines[-1][1]:
        lines.pop()
    heads = [f"{identity(row.path)} {clean(row.item)}".rstrip() if row else "" for row, _ in lines]
    width = max(map(len, heads), default=0)
    out = []
    for head, (_, line) in zip(heads, lines, strict=True):
        said = clean(line.rstrip("\r").rpartition("\r")[2])
        out.append(f"{paint(f'{head:<{width}}  │', 'dim', color)} {said}" if head else said)
    return "\n".join(out) + "\n"


def item_text(attempt: Attempt, stream: str, path: tuple[int, ...]) -> str:
    """What one turn wrote to a stream, with the turns of the loops in it."""
    rows = (
        (row, piece) for row, piece in stretches(attempt, stream) if row is not None and row.path[: len(path)] == path
    )
    return "".join(piece for _, piece in rows)
