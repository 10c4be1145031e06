"""Passes that recurse, on code of any depth.

Passes follow the nesting of the code with plain recursive functions, which is fast and easy to read; but
generated code may nest thousands of levels (``a + b + ...``, ``.f().f()``, ``elif`` after ``elif``).
``deep(f, x)`` is ``f(x)``, tried as it is first; if that runs out of stack, once more in a thread with a
large one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

STACK = 512 << 20
"""Bytes of address space for the second try (memory is taken only as it is used)."""
FRAMES = 400_000
"""Recursion limit of the second try: Python 3.10 needs about 0.5 kB of stack for a frame, parsers somewhat more."""

_lock = threading.Lock()


def deep(function: Callable[..., Result], *arguments: object) -> Result:
    """``function(*arguments)``, which must be pure: it may be started twice. Raises what it raises; RecursionError if
    even the large stack does not do."""
    try:
        return function(*arguments)
    except RecursionError:
        pass
    with _lock:
        return _with_large_stack(function, arguments)


def _with_large_stack(function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
    results: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:
            errors.append(error)

    limit = sys.getrecursionlimit()
    size = threading.stack_size(STACK)
    try:
        sys.setrecursionlimit(max(limit, FRAMES))
        thread = threading.Thread(target=work, name="inferflow-deep")
        thread.start()
    except RuntimeError as error:  # no memory for such a stack
        raise RecursionError(str(error)) from None
    finally:
        threading.stack_size(size)
    try:
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
    if errors:
        raise errors[0]
    return results[0]
