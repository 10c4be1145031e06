"""Runs as text."""

from __future__ import annotations

import graphs
import histories
import pytest
import snapshots
from attrs import evolve
from counted import steps

from inferflow.model import Attempt, Run
from inferflow.render import render_failure, render_logs, render_run, render_task
from inferflow.render.runs import render_runs
from inferflow.render.style import cells

NAMES = ["good", "failed", "crashed", "killed", "import_error", "running"]


def made(name: str) -> Run:
    return getattr(histories, name)()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_told_as_kept(name: str) -> None:
    graph, _ = graphs.iris()
    run = made(name)
    parts = [render_run(graph, run), render_failure(graph, run), render_logs(graph, run)]
    snapshots.check(f"run.{name}.txt", f"\n{'=' * 80}\n".join(parts) + "\n")


@pytest.mark.parametrize("name", ["good", "failed", "crashed"])
def test_a_task_of_a_run_is_told_as_kept(name: str) -> None:
    graph, _ = graphs.iris()
    texts = [render_task(graph, made(name), task.name) for task in graph.tasks]
    snapshots.check(f"task.{name}.txt", f"\n{'=' * 80}\n".join(texts))


def test_the_list_of_runs_is_as_kept() -> None:
    runs = [made(name) for name in NAMES]
    snapshots.check("runs.txt", render_runs(runs, now=histories.START + 7200))
    assert "inferflow run" in render_runs([])


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_runs_keep_to_the_terminal(name: str, width: int) -> None:
    graph, _ = graphs.iris()
    run = made(name)
    for text in (render_run(graph, run, width), render_failure(graph, run, width), render_runs([run], width)):
        for line in text.splitlines():
            assert cells(line) <= width, line


def test_a_failure_names_task_place_exception_and_next_step() -> None:
    graph, _ = graphs.iris()
    text = render_failure(graph, histories.failed())
    for part in ("task 2 model_fit", "iris/driver.py:15", "ValueError: This solver", "lbfgs", "inferflow show 2025"):
        assert part in text
    assert "Traceback" not in text
    assert "lbfgs" not in render_failure(graph, histories.failed(), output=False)
    assert render_failure(graph, histories.good()) == ""


def test_logs_of_one_stream_are_just_its_text() -> None:
    graph, _ = graphs.iris()
    assert render_logs(graph, histories.good(), "load_data") == "loaded 150 flowers\n"
    assert render_logs(graph, histories.good(), "generate_plots") == ""
    with pytest.raises(KeyError):
        render_logs(graph, histories.good(), "nothing")


def test_output_of_a_task_cannot_control_the_terminal() -> None:
    graph, _ = graphs.iris()
    run = histories.failed()
    bad = "\x1b]0;title\x07\x9b2J" + b"\xff\xfe".decode(errors="surrogateescape") + "\n"
    run = evolve(run, attempts=tuple(evolve(a, stdout=bad, stderr=bad, message=bad) for a in run.attempts))
    for text in (render_run(graph, run), render_task(graph, run, "model_fit"), render_logs(graph, run)):
        assert "\x1b" not in text
        assert "\x07" not in text
        text.encode()


def test_a_task_tried_in_a_helper_and_at_home_counts_once() -> None:
    graph, _ = graphs.iris()
    text = render_run(graph, histories.good())
    assert sum(line.startswith("2  model_fit") for line in text.splitlines()) == 1
    assert "home ×2" in text


def test_to_show_a_run_is_linear_in_its_tasks() -> None:
    def work(count: int) -> int:
        graph, _ = graphs.long(count)
        start = histories.START
        attempts = tuple(Attempt(i, 1, "home", "home", "retired", start, 0.1, 0.1, 10_000) for i in range(count))
        run = evolve(histories.good(), attempts=attempts)
        return steps(lambda: (render_run(graph, run), render_task(graph, run, graph.tasks[count - 1].name)))

    assert work(2000) < 5 * work(500)
