"""Which values are known to survive pickling exactly, without trying.

>>> known_exact([1, "x", {"a": (None, 2.5)}]), known_exact([float("nan")]), known_exact([object()])
(True, False, None)
"""

from __future__ import annotations

import operator
import sys
from typing import Any

from inferflow.worker.exact_graph import ATOMS
from inferflow.worker.transport_sets import slots_of_table

__all__ = ["FLOATLESS", "known_exact"]

FLOATLESS = frozenset({type(None), bool, int, str, bytes, type(...)})
_FLOATS = frozenset({float, complex})
_LIMIT = 2_000_000


def known_exact(values: object, limit: int = _LIMIT) -> bool | None:
    """``True``: a round trip keeps everything. ``False``: only a careful one does (NaN objects, sets that come back in
    another order). ``None``: not known. At most ``limit`` objects are looked at one by one; lists, tuples and
    dictionaries of atoms count as one and take about 10 ns an element."""
    numpy = sys.modules.get("numpy")
    ndarray = getattr(numpy, "ndarray", None)
    careful = False
    seen: set[int] = set()
    stack: list[Any] = [values]
    pop = stack.pop
    while stack:
        value = pop()
        cls = type(value)
        if cls in FLOATLESS:
            continue
        if cls in _FLOATS:
            careful = careful or value != value
            continue
        if cls is list or cls is tuple:
            parts: Any = value
        elif cls is dict:
            parts = [*value, *value.values()]
        elif cls is set or cls is frozenset:
            if len(value) > 1:
                parts = list(value)
                if not set(map(type, parts)) <= {str, int, float, bytes, bool}:
                    return None
                again = set(parts) if cls is set else frozenset(parts)
                kept = slots_of_table(again) == slots_of_table(value)
                careful = careful or not (kept and all(map(operator.is_, parts, again)))
            else:
                parts = list(value)
        elif ndarray is not None and (cls is ndarray or isinstance(value, numpy.generic)):  # type: ignore[union-attr]
            if value.dtype.kind not in "biufcmMSU":
                return None
            continue
        else:
            return None
        if id(value) in seen:
            continue
        seen.add(id(value))
        limit -= 1
        if limit < 0:
            return None
        if len(parts) > 8:
            kinds = set(map(type, parts))
            if kinds <= FLOATLESS:
                continue
            if kinds <= ATOMS:
                if not kinds <= (FLOATLESS | _FLOATS):
                    return None
                careful = careful or any(map(operator.ne, parts, parts))
                continue
        stack.extend(parts)
    return not careful
