"""Layered layout: boxes in rows, each below the boxes that it depends on, and a way for every link between them.

1. A box's rank is the longest way to it (Sugiyama, Tagawa, Toda 1981); a box that depends on nothing moves down to just
   above its first taker. A rank that is too wide is broken into several rows.
2. A link that passes rows gets a *waypoint* in each. Long links of one source share their waypoints, or those of one
   target if it takes more: a fan-out of 200 is one trunk with 200 twigs.
3. Rows are ordered by the mean place of their neighbours (barycenters), a few times down and up.
4. Coordinates: each box wants to stand at the mean of its neighbours; what would overlap is pooled (the pool-adjacent-
   violators algorithm of isotonic regression), which is the least-squares answer for a fixed order, also within
   bounds.

Time is about linear: 1,000 boxes with 2,000 links take some 50 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

from inferflow.records import frozen

__all__ = ["Layout", "Segment", "layout"]

Point: TypeAlias = tuple[float, float]

WAYPOINT = 16.0
"""Room that a passing link takes in a row."""

BREADTH = 800.0
"""A picture may be as wide as its widest row, and at least so wide; without a bound, long graphs drift to a side."""

CROWDED = 8
"""With more waypoints than so many times the boxes (and 2,000), long links go straight."""


@frozen
class Segment:
    """A stretch of one or more links: from box or waypoint to box or waypoint. ``ends`` are the boxes that it belongs
    to: both of a link's for a twig, only the shared one for a trunk; ``arrow``: it ends at its target box. ``link``:
    the index of the link that this is the last stretch of, or -1."""

    start: Point
    end: Point
    ends: tuple[int, ...]
    arrow: bool
    link: int = -1
    kind: bool = True
    fall: float = 0.0
    """How far it goes straight down before it bends: through the row of the waypoint where it starts."""


@frozen
class Layout:
    """Centres of the boxes, the stretches of the links, the whole extent."""

    centers: tuple[Point, ...]
    segments: tuple[Segment, ...]
    width: float
    height: float


def layout(
    sizes: Sequence[tuple[float, float]],
    links: Sequence[tuple[int, int]],
    kinds: Sequence[bool],
    *,
    widest: float = 1160.0,
    gap: tuple[float, float] = (24.0, 48.0),
) -> Layout:
    """Place boxes of these sizes (width, height). Links must point from a lower to a higher index; only links of one
    kind share waypoints."""
    count = len(sizes)
    rows = _rows(_ranks(count, links), sizes, widest, gap[0])
    row_of = {box: number for number, row in enumerate(rows) for box in row}
    heights = [max((sizes[box][1] for box in row), default=0.0) for row in rows]
    nodes, ways, row_of = _waypoints(count, links, kinds, row_of, rows)
    widths = [size[0] for size in sizes] + [WAYPOINT] * (nodes - count)
    up: list[list[int]] = [[] for _ in range(nodes)]
    down: list[list[int]] = [[] for _ in range(nodes)]
    for a, b in dict.fromkeys(pair for way in ways for pair in pairwise(way)):
        down[a].append(b)
        up[b].append(a)
    _order(rows, up, down)
    xs = _coordinates(rows, up, down, widths, gap[0])
    tops: list[float] = []
    y = 0.0
    for height in heights:
        tops.append(y)
        y += height + gap[1]
    left = min((xs[node] - widths[node] / 2 for node in range(nodes)), default=0.0)
    xs = [x - left for x in xs]
    width = max((xs[node] + widths[node] / 2 for node in range(nodes)), default=0.0)
    centers = tuple((xs[box], tops[row_of[box]] + heights[row_of[box]] / 2) for box in range(count))
    segments = _segments(ways, links, kinds, centers, sizes, xs, row_of, tops, heights)
    return Layout(centers, tuple(segments), width, max(0.0, y - gap[1]))


def _ranks(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    ranks = [0] * count
    fed = [False] * count
    nearest = [count] * count
    for source, target in sorted(links, key=lambda link: link[1]):
        ranks[target] = max(ranks[target], ranks[source] + 1)
        fed[target] = True
    for source, target in links:
        nearest[source] = min(nearest[source], ranks[target])
    return [nearest[i] - 1 if not fed[i] and nearest[i] < count else ranks[i] for i in range(count)]


def _rows(ranks: Sequence[int], sizes: Sequence[tuple[float, float]], widest: float, gap: float) -> list[list[int]]:
    """Boxes by rank, ranks that are too wide broken evenly into several rows."""
    by_rank: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for box, rank in enumerate(ranks):
        by_rank[rank].append(box)
    rows: list[list[int]] = []
    for members in by_rank:
        total = sum(sizes[box][0] + gap for box in members)
        parts = max(1, -int(-total // (widest + gap)))
        per_row = -(-len(members) // parts)
        rows.extend(members[i : i + per_row] for i in range(0, len(members), max(1, per_row)))
    return rows


def _waypoints(
    count: int, links: Sequence[tuple[int, int]], kinds: Sequence[bool], row_of: dict[int, int], rows: list[list[int]]
) -> tuple[int, list[list[int]], dict[int, int]]:
    """Each link as a way over nodes; waypoints are numbered from ``count`` and appended to their rows."""
    outs, ins = [0] * count, [0] * count
    for source, target in links:
        outs[source] += 1
        ins[target] += 1
    reach: dict[tuple[str, int, bool], int] = {}
    keys = []
    for (source, target), kind in zip(links, kinds, strict=True):
        key = ("out", source, kind) if outs[source] >= ins[target] else ("in", target, kind)
        keys.append(key)
        reach[key] = max(reach.get(key, 0), row_of[target] - row_of[source] - 1)
    if sum(reach.values()) > CROWDED * count + 2000:
        return count, [[source, target] for source, target in links], row_of
    made: dict[tuple[tuple[str, int, bool], int], int] = {}
    ways = []
    for (source, target), shared in zip(links, keys, strict=True):
        way = [source]
        for row in range(row_of[source] + 1, row_of[target]):
            if (shared, row) not in made:
                node = made[shared, row] = count + len(made)
                rows[row].append(node)
                row_of[node] = row
            way.append(made[shared, row])
        ways.append([*way, target])
    return count + len(made), ways, row_of


def _order(rows: list[list[int]], up: Sequence[Sequence[int]], down: Sequence[Sequence[int]]) -> None:
    place = [0.0] * sum(map(len, rows))
    for row in rows:
        for position, node in enumerate(row):
            place[node] = position / len(row)
    for sweep in range(6):
        neighbours = down if sweep % 2 else up
        for row in reversed(rows) if sweep % 2 else rows:
            if len(row) > 1:
                row.sort(key=lambda node: _mean((place[other] for other in neighbours[node]), place[node]))
            for position, node in enumerate(row):
                place[node] = (position + 0.5) / len(row)


def _mean(values: Iterable[float], default: float) -> float:
    found = list(values)
    return sum(found) / len(found) if found else default


def _coordinates(
    rows: list[list[int]],
    up: Sequence[Sequence[int]],
    down: Sequence[Sequence[int]],
    widths: Sequence[float],
    gap: float,
) -> list[float]:
    xs = [0.0] * len(widths)
    offsets = []
    for row in rows:
        offset, own = 0.0, []
        for before, node in zip([None, *row[:-1]], row, strict=True):
            if before is not None:
                offset += (widths[before] + widths[node]) / 2 + gap
            own.append(offset)
        offsets.append(own)
        for node, x in zip(row, own, strict=True):
            xs[node] = x - offset / 2
    extents = [own[-1] + (widths[row[0]] + widths[row[-1]]) / 2 for row, own in zip(rows, offsets, strict=True)]
    room = max([BREADTH, *extents])
    for sweep in range(8):
        for number in range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1):
            row, own = rows[number], offsets[number]
            near = (up, down) if sweep >= 6 else ((up,) if sweep % 2 == 0 else (down,))
            wanted = [
                _mean((xs[other] for side in near for other in side[node]), xs[node]) - offset
                for node, offset in zip(row, own, strict=True)
            ]
            low = (widths[row[0]] - room) / 2
            high = low + room - extents[number]
            for node, x, offset in zip(row, _isotonic(wanted), own, strict=True):
                xs[node] = min(max(x, low), high) + offset
    return xs


def _isotonic(values: Sequence[float]) -> list[float]:
    """The nondecreasing numbers nearest to these in least squares (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        total, size = value, 1
        while pools and pools[-1][0] * size > total * pools[-1][1]:
            before, many = pools.pop()
            total, size = total + before, size + many
        pools.append((total, size))
    return [total / size for total, size in pools for _ in range(size)]


def _segments(
    ways: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int]],
    kinds: Sequence[bool],
    centers: Sequence[Point],
    sizes: Sequence[tuple[float, float]],
    xs: Sequence[float],
    row_of: dict[int, int],
    tops: Sequence[float],
    heights: Sequence[float],
) -> list[Segment]:
    count = len(centers)
    owners: dict[tuple[int, int], set[int]] = {}
    last: dict[tuple[int, int], int] = {}
    kind: dict[tuple[int, int], bool] = {}
    for number, way in enumerate(ways):
        for pair in pairwise(way):
            owners.setdefault(pair, set()).update(links[number])
            kind[pair] = kinds[number]
        last[way[-2], way[-1]] = number
    arrivals = _ports(centers, sizes, xs, [pair for pair in owners if pair[1] < count])
    found = []
    for (a, b), boxes in owners.items():
        if a < count:
            start, fall = (centers[a][0], centers[a][1] + sizes[a][1] / 2), 0.0
            fall = tops[row_of[a]] + heights[row_of[a]] - start[1]
        else:
            start, fall = (xs[a], tops[row_of[a]]), heights[row_of[a]]
        end = (arrivals[a, b], centers[b][1] - sizes[b][1] / 2) if b < count else (xs[b], tops[row_of[b]])
        alone = len(boxes) == 2
        ends = tuple(sorted(boxes)) if alone else _shared(a, b, count)
        link = last.get((a, b), -1) if alone else -1
        found.append(Segment(start, end, ends, b < count, link, kind[a, b], fall))
    return found


def _shared(a: int, b: int, count: int) -> tuple[int, ...]:
    """The owner of a trunk, if it is at one of its ends."""
    return (a,) if a < count else (b,) if b < count else ()


def _ports(
    centers: Sequence[Point],
    sizes: Sequence[tuple[float, float]],
    xs: Sequence[float],
    pairs: Sequence[tuple[int, int]],
) -> dict[tuple[int, int], float]:
    """Where on its target's upper side each link arrives: spread in the order in which they come."""
    coming: dict[int, list[int]] = {}
    for a, b in pairs:
        coming.setdefault(b, []).append(a)
    found = {}
    for box, sources in coming.items():
        sources.sort(key=lambda node: xs[node])
        room = min(sizes[box][0] * 0.7, 22.0 * (len(sources) - 1))
        for place, node in enumerate(sources):
            shift = room * (place / (len(sources) - 1) - 0.5) if len(sources) > 1 else 0.0
            found[node, box] = centers[box][0] + shift
    return found
