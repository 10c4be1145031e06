"""Previews as text: what they say, how wide they are, how long they take."""

from __future__ import annotations

import graphs
import pytest
import snapshots
from attrs import evolve
from counted import steps
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow.model import TaskGraph
from inferflow.render import FORMATS, render_graph, render_why
from inferflow.render.style import cells

FIXTURES = ["iris", "comparison", "opaque", "odd", "wide", "long", "empty", "celled", "celled_notebook", "nested"]
TEXTS = ["tree", "table", "diff"]


def made(name: str) -> tuple[TaskGraph, str]:
    return getattr(graphs, name)()


@pytest.mark.parametrize("form", [*TEXTS, "mermaid", "dot"])
@pytest.mark.parametrize(
    "name", ["iris", "comparison", "opaque", "odd", "empty", "celled", "celled_notebook", "nested"]
)
def test_each_format_is_as_kept(name: str, form: str) -> None:
    graph, text = made(name)
    snapshots.check(f"{name}.{form}.txt", render_graph(graph, form, text=text))


@pytest.mark.parametrize("name", ["wide", "long"])
def test_many_tasks_are_shown_as_kept(name: str) -> None:
    graph, _ = made(name)
    snapshots.check(f"{name}.tree.txt", render_graph(graph, "tree"))


@pytest.mark.parametrize("name", ["iris", "comparison", "opaque", "odd"])
def test_why_is_as_kept(name: str) -> None:
    graph, _ = made(name)
    snapshots.check(f"{name}.why.txt", render_why(graph, [task.name for task in graph.tasks]))


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("name", FIXTURES)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    graph, text = made(name)
    texts = [render_graph(graph, form, width=width, text=text) for form in TEXTS]
    texts += [render_graph(graph, "diff", width=width)]
    texts += [render_why(graph, [task.name for task in graph.tasks[-3:]], width)]
    for shown in texts:
        for line in shown.splitlines():
            assert cells(line) <= width, line
            assert line == line.rstrip()


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("form", TEXTS)
def test_colour_only_adds_escape_sequences(name: str, form: str) -> None:
    import re

    graph, text = made(name)
    plain = render_graph(graph, form, text=text)
    coloured = render_graph(graph, form, color=True, text=text)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_call_site_arguments_stand_in_every_format() -> None:
    graph, text = made("iris")
    for form in FORMATS:
        assert "model_fit(X, Y, C=1.0)" in render_graph(graph, form, text=text), form


def test_control_characters_of_the_source_never_reach_the_terminal() -> None:
    graph, text = made("odd")
    for form in FORMATS:
        assert "\x1b" not in render_graph(graph, form, text=text), form


def test_text_formats_list_every_task_when_there_are_few() -> None:
    graph, text = made("opaque")
    for form in TEXTS:
        shown = render_graph(graph, form, text=text)
        for task in graph.tasks:
            assert task.name in shown


def test_table_lists_every_task_however_many() -> None:
    graph, _ = graphs.wide(300)
    shown = render_graph(graph, "table")
    assert sum("score(data, " in line for line in shown.splitlines()) == 298


def test_alike_tasks_are_drawn_together_in_a_long_tree() -> None:
    graph, _ = graphs.wide(200)
    shown = render_graph(graph, "tree")
    assert "194 more like it" in shown
    assert len(shown.splitlines()) < 20


def test_a_call_is_told_apart_from_the_names_assigned_to() -> None:
    lines = """\
a = b = f(1)  # f -> a b
(c, d) = g(  # g -> c d
x.y = h(2)  # h -> ~x
e: int = (k(3))  # k -> e
u, *rest = z(4)  # z -> u rest
"""
    graph = graphs.build("x.py", lines)
    graph = evolve(
        graph, tasks=tuple(evolve(t, source=t.source.replace("g(", "g(\n    1,  # one\n)")) for t in graph.tasks)
    )
    shown = render_graph(graph, "tree")
    assert "g → c, d" in shown
    assert "h → x changed" in shown
    assert "x.y = h(2)" in shown
    assert "a = b = f(1)" in shown
    assert "u, *rest = z(4)" in shown


def test_unknown_names_and_formats_are_refused() -> None:
    graph, _ = made("iris")
    with pytest.raises(KeyError):
        render_why(graph, ["nothing"])
    with pytest.raises(ValueError, match="tree, table"):
        render_graph(graph, "pdf")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("make", [graphs.wide, graphs.long])
def test_the_work_is_about_linear_in_tasks(form: str, make) -> None:  # type: ignore[no-untyped-def]
    def work(count: int) -> int:
        graph, text = make(count)
        return steps(lambda: render_graph(graph, form, text=text))

    work(10)
    assert work(1000) < 9 * work(250)  # (edges are drawn around tasks: a little more than linear)


def test_a_barrier_between_many_tasks_stays_readable() -> None:
    """Everything ordered with everything: the picture shows only what says something new."""
    from inferflow.model import Edge, Reason, World

    count = 300
    graph, _ = graphs.long(count)
    edges = [
        Edge(a, b, "order", World("anything"), (Reason("unknown", graph.tasks[b].span),), True)
        for b in range(count)
        for a in range(b)
    ]
    graph = evolve(graph, edges=(*graph.edges, *edges))
    assert len(render_graph(graph, "mermaid")) < 60_000
    assert len(render_graph(graph, "tree").splitlines()) < 350
    assert len(render_graph(graph, "svg")) < 400_000


SOURCES = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "x = (\r\n  f(1))\r\n",
            "x = \\\n  f(1)",
            "x = f('\f\u2028')\ny = 2",
            "x: int = f()",
            "(x) = f(",
            "\tif a:\n\t\tb()",
            "x = '\udcff'",
            "é = ü(ß)",
            "",
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SOURCES, min_size=1, max_size=4), st.integers(0, 9), st.text(max_size=200), st.data())
def test_no_text_of_a_user_breaks_a_preview(sources: list[str], column: int, text: str, data: st.DataObject) -> None:
    """Whatever stands in the driver, every format shows something, and the text formats keep to the width."""
    from inferflow.model import Span, Variable

    line = "".join(f"x{i} = f(x{i - 1})  # f x{i - 1} -> x{i}\n" for i in range(len(sources)))
    graph = graphs.build("p.py", line)
    tasks = []
    for index, (task, source) in enumerate(zip(graph.tasks, sources, strict=True)):
        start = data.draw(st.integers(1, 5))
        span = Span("p.py", start, column, start + source.count("\n"), len(source))
        inner = (index - 1,) if index and data.draw(st.booleans()) else ()
        anchor = evolve(task.anchor, expression=span) if data.draw(st.booleans()) else task.anchor
        value = Variable("<value>", f"f{index}") if anchor.expression else None
        tasks.append(evolve(task, source=source, span=span, inner=inner, anchor=anchor, value=value))
    graph = evolve(graph, tasks=tuple(tasks))
    for form in FORMATS:
        shown = render_graph(graph, form, text=text)
        shown.encode()
        if form in TEXTS:
            assert all(cells(part) <= 80 for part in shown.split("\n"))
    render_why(graph, [task.name for task in graph.tasks])
