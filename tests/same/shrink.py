"""A failing driver made small: statements are taken away, or replaced by what is inside them, as long as it still fails."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator

__all__ = ["shrink"]

Files = dict[str, str]


def shrink(files: Files, fails: Callable[[Files], bool], seconds: float = 120.0) -> Files:
    """The smallest files found in about this time for which ``fails`` holds (it holds for ``files``)."""
    end = time.monotonic() + seconds
    best = {name: ast.unparse(ast.parse(text)) + "\n" if name.endswith(".py") else text for name, text in files.items()}
    if not fails(best):
        return files
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for name in sorted(best):
            number = 0
            while time.monotonic() < end:
                candidates = [text for text in _smaller(best[name], number) if text != best[name]]
                if not candidates:
                    break
                for text in candidates:
                    if fails({**best, name: text}):
                        best[name] = text
                        progress = True
                        break
                else:
                    number += 1
    return best


def _smaller(text: str, number: int) -> Iterator[str]:
    """The text without its statement ``number`` (largest first), then with that statement's body in its place."""
    count = len(_statements(ast.parse(text)))
    if number >= count:
        return
    for unwrap in (False, True):
        tree = ast.parse(text)
        body, index = _statements(tree)[number]
        inside = getattr(body[index], "body", []) if unwrap else []
        if unwrap and not inside:
            return
        body[index : index + 1] = inside
        if not body:
            body.append(ast.Pass())
        yield ast.unparse(tree) + "\n"


def _statements(tree: ast.Module) -> list[tuple[list[ast.stmt], int]]:
    found = []
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                found.extend((body, index) for index, one in enumerate(body) if not isinstance(one, ast.Pass))
    found.sort(key=lambda place: -sum(1 for _ in ast.walk(place[0][place[1]])))
    return found
