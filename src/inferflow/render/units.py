"""Durations, sizes, times and counts as a person says them.

duration(0.0042) == "4.2 ms"     size(1536) == "1.5 KiB"     count(1, "task") == "1 task"
"""

from __future__ import annotations

__all__ = ["ago", "count", "duration", "moment", "numbers", "size"]


def duration(seconds: float | None) -> str:
    """``0.4 ms``, ``38 ms``, ``1.2 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 4 h``; ``""`` for ``None``."""
    if seconds is None:
        return ""
    if seconds < 0.00995:
        return f"{max(0.0, seconds) * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def size(amount: int) -> str:
    """Bytes in powers of 1024: ``512 B``, ``1.5 KiB``, ``84 MiB``."""
    if amount < 1024:
        return f"{amount} B"
    value = float(amount)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1023.5 or unit == "TiB":
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    raise AssertionError


def moment(time: float) -> str:
    """A time (seconds since the epoch) in the reader's time zone: ``2025-11-22 20:14:03``."""
    from datetime import datetime

    return datetime.fromtimestamp(time).strftime("%Y-%m-%d %H:%M:%S")


def ago(time: float, now: float) -> str:
    """How long before ``now``: ``just now``, ``5 min ago``, ``3 h ago``, ``yesterday``, ``12 days ago``."""
    past = now - time
    if past < 45:
        return "just now"
    if past < 3570:
        return f"{max(1, round(past / 60))} min ago"
    if past < 86400:
        return f"{max(1, round(past / 3600))} h ago"
    days = round(past / 86400)
    return "yesterday" if days <= 1 else f"{days} days ago"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 task``, ``3 tasks``, ``no tasks``."""
    many = plural or noun + "s"
    if number == 0:
        return f"no {many}"
    return f"{number:,} {noun if number == 1 else many}"


def numbers(items: list[int], limit: int = 8) -> str:
    """Sorted numbers with runs drawn together: ``1-3, 7``; at most ``limit`` runs, then ``…``."""
    runs: list[list[int]] = []
    for item in sorted(set(items)):
        if runs and item == runs[-1][-1] + 1:
            runs[-1][1:] = [item]
        else:
            runs.append([item])
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:limit]]
    return ", ".join(shown) + (", …" if len(runs) > limit else "")
