"""The rails beside a list of tasks: who gives to whom, drawn as lines down the left margin.

Each task whose results are taken later owns a *lane*, a column that stays alive from its row to the row of the last
taker. A taker is joined to the lanes that it takes from:

    ○      1  load       opens a lane
    ├─○    2  fit        takes from 1 (whose lane goes on), opens its own
    ●─╯    3  plot       takes from 1 and 2, for the last time

``├ ┼ ┤`` take and let go on, ``╰ ┴ ╯`` take for the last time, ``│`` passes by. Tasks of one *group* (many alike in a
row) share a lane; so do those that come when all :data:`LANES` are in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferflow.records import frozen

__all__ = ["LANES", "Rail", "rails"]

LANES = 8
"""At most so many columns are drawn."""


@frozen
class Rail:
    """``node`` stands left of a task's first line, ``below`` left of its other lines; both are equally wide."""

    node: str
    below: str


def rails(producers: Sequence[Sequence[int]], marks: Sequence[str], groups: Mapping[int, int]) -> list[Rail]:
    """Draw. ``producers[i]`` are the earlier tasks that task ``i`` takes from, ``marks[i]`` its sign; ``groups`` maps
    members of a group to its number. Time: linear in the takes, times LANES."""
    last = list(range(len(producers)))
    for index, sources in enumerate(producers):
        for source in sources:
            last[source] = index
    ends: list[int] = [-1] * LANES  # the last row that takes from the lane; -1 or past: free
    column_of: dict[int, int] = {}
    lane_of_group: dict[int, int] = {}
    drawn: list[tuple[str, str]] = []
    used = 1
    for index, sources in enumerate(producers):
        live = [end >= index for end in ends]
        taps = {column_of[source] for source in sources}
        column = _place(index, ends, taps, lane_of_group.get(groups.get(index, -1), -1))
        shared = live[column] and ends[column] > index
        ends[column] = max(last[index], ends[column] if shared else -1)
        column_of[index] = column
        if index in groups:
            lane_of_group[groups[index]] = column
        used = max(used, column + 1)
        after = [end > index for end in ends]
        drawn.append((_node(column, marks[index], live, taps, after), "".join("│ " if on else "  " for on in after)))
    return [Rail(node[: 2 * used], below[: 2 * used]) for node, below in drawn]


def _place(index: int, ends: Sequence[int], taps: set[int], group: int) -> int:
    """The column of a task: its group's while that is alive, else one that ends here, else the first free one, else the
    last, shared."""
    if group >= 0 and ends[group] > index:
        return group
    ending = [column for column in sorted(taps) if ends[column] == index]
    if ending:
        return ending[0]
    for column, end in enumerate(ends):
        if end < index:
            return column
    return len(ends) - 1


def _node(column: int, mark: str, live: Sequence[bool], taps: set[int], after: Sequence[bool]) -> str:
    low, high = min({column, *taps}), max({column, *taps})
    out = []
    for place, alive in enumerate(live):
        if place == column:
            sign = mark
        elif place in taps:
            ends = ("╰", "┴", "╯") if not after[place] else ("├", "┼", "┤")
            sign = ends[0] if place == low else ends[2] if place == high else ends[1]
        elif alive:
            sign = "│"
        else:
            sign = "─" if low < place < high else " "
        out.append(sign + ("─" if low <= place < high else " "))
    return "".join(out)
