"""Pictures: valid for the tools that read them, self-contained, well-formed, laid out without overlaps."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import graphs
import pytest
from counted import steps
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow.model import TaskGraph
from inferflow.render import render_graph
from inferflow.render.layout import layout
from inferflow.render.rails import rails

FIXTURES = ["iris", "comparison", "opaque", "odd", "wide", "long", "empty", "celled", "celled_notebook", "nested"]
VOID = {"meta", "br", "link", "img", "input", "hr"}


def made(name: str) -> tuple[TaskGraph, str]:
    return getattr(graphs, name)()


@pytest.mark.skipif(not shutil.which("dot"), reason="needs Graphviz")
@pytest.mark.parametrize("name", FIXTURES)
def test_graphviz_reads_dot(name: str) -> None:
    graph, _ = made(name)
    done = subprocess.run(
        ["dot", "-Tplain-ext"] if len(graph.tasks) < 50 else ["dot", "-Tcanon"],
        input=render_graph(graph, "dot").encode(),
        capture_output=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


@pytest.mark.parametrize("name", FIXTURES)
def test_svg_is_well_formed_and_shows_every_task(name: str) -> None:
    graph, _ = made(name)
    root = ElementTree.fromstring(render_graph(graph, "svg"))
    boxes = [e for e in root.iter() if e.get("data-task")]
    assert [int(e.get("data-task", "")) for e in boxes] == list(range(1, len(graph.tasks) + 1))


@pytest.mark.parametrize("name", FIXTURES)
def test_html_is_well_formed_and_needs_nothing_else(name: str) -> None:
    graph, text = made(name)
    page = render_graph(graph, "html", text=text)
    _Balanced().check(page)
    outside = re.findall(
        r"""<[^>]*\s(?:src|href|action|data)\s*=\s*["']?(?!#)[^"'\s>]+|url\([^)]*\)|@import|import\(|fetch\(""", page
    )
    assert outside == []
    for match in re.findall(r"https?://[^\s\"'<>]+", page):
        assert match == "http://www.w3.org/2000/svg"  # a name, never fetched
    for task in graph.tasks:
        assert f'id="why-{graph.tasks.index(task) + 1}"' in page


def test_html_escapes_what_the_driver_says() -> None:
    line = "x = f('</script><script>alert(1)</script>', \"<img src=x onerror=alert(1)>\")  # f -> x !because </script>"
    graph = graphs.build("<b>.py", line)
    page = render_graph(graph, "html", text=line)
    assert page.count("<script>") == 1
    assert page.count("</script>") == 1
    assert "<img" not in page
    assert "<b>.py" not in page


def test_html_without_source_has_no_source_pane() -> None:
    graph, _ = made("iris")
    assert 'class="pane source"' not in render_graph(graph, "html")


class _Balanced(HTMLParser):
    """Every element is closed in order; ids are unique; buttons have names."""

    def check(self, page: str) -> None:
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                assert value not in self.ids
                self.ids.add(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[tuple[int, int]], list[bool]]:
    count = draw(st.integers(1, 24))
    sizes = [(draw(st.integers(40, 300)) * 1.0, draw(st.integers(20, 80)) * 1.0) for _ in range(count)]
    pairs = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40))
    links = sorted((a, b) for a, b in pairs if a < b)
    return sizes, links, [draw(st.booleans()) for _ in links]


@settings(max_examples=60, deadline=None)
@given(_graphs())
def test_boxes_never_overlap_and_arrows_point_down(
    given: tuple[list[tuple[float, float]], list[tuple[int, int]], list[bool]],
) -> None:
    sizes, links, kinds = given
    placed = layout(sizes, links, kinds)
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(placed.centers, sizes, strict=True)]
    for a, (left, top, right, bottom) in enumerate(boxes):
        assert left >= -0.01
        assert top >= -0.01
        assert right <= placed.width + 0.01
        assert bottom <= placed.height + 0.01
        for other in boxes[a + 1 :]:
            assert right <= other[0] + 0.01 or other[2] <= left + 0.01 or bottom <= other[1] or other[3] <= top
    for source, target in links:
        assert placed.centers[source][1] < placed.centers[target][1]
    arrows = sum(segment.arrow for segment in placed.segments)
    assert len({target for _, target in links}) <= arrows <= len(links)


@pytest.mark.parametrize("make", [graphs.wide, graphs.long])
def test_to_lay_out_is_linear_in_tasks(make) -> None:  # type: ignore[no-untyped-def]
    def work(count: int) -> int:
        graph, _ = make(count)
        return steps(lambda: render_graph(graph, "svg"))

    assert work(1000) < 9 * work(250)  # (edges are drawn around tasks: a little more than linear)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30), max_size=5), min_size=1, max_size=31))
def test_rails_are_rectangular_and_join_what_belongs_together(wanted: list[set[int]]) -> None:
    producers = [sorted(other for other in sources if other < index) for index, sources in enumerate(wanted)]
    drawn = rails(producers, ["o"] * len(producers), {})
    assert len({len(text) for rail in drawn for text in (rail.node, rail.below)}) == 1
    for rail, sources in zip(drawn, producers, strict=True):
        assert rail.node.count("o") == 1
        taps = sum(rail.node.count(sign) for sign in "├┼┤╰┴╯")
        assert taps <= len(sources)
        if sources:
            assert taps or rail.node.strip().startswith(("o", "│"))
