"""Python's cycle collector, held off while many values are made that live on.

The collector counts what is made, not what is garbage: it would walk a tree that only grows again and again. Once is
too much, too: what was made meanwhile would be walked as a whole at the first allocation afterwards, so it is counted
as old at once.

    with paused():
        graph = analyse(text)         # half of the time
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["paused"]


@contextmanager
def paused() -> Iterator[None]:
    """Nothing is collected within; nothing happens if the collector is off anyway."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # whoever froze something wants it to stay so
            gc.freeze()
            gc.unfreeze()  # moves everything into the oldest generation, by changing a few pointers
        gc.enable()
