"""Cells of scripts with ``# %%`` markers, and the titles of cells."""

from __future__ import annotations

import pytest

from inferflow.analysis import analyze
from inferflow.analysis.cells import notebook_source
from inferflow.analysis.percent import heading, percent_cells
from inferflow.model import Source

SCRIPT = '''\
# ---
# jupyter: {}
# ---

# %% [markdown]
# # Load
# some text

# %%
import os
text = """
# %% not a marker
"""

def f(x):
# %% in a function
    return x

#%% Fit the model {"tags": ["x"]}
a = f(1); b = f(2)
# %% tags=["empty"]
# %% [raw]
# ## No heading of what follows, but text all the same
# %%%% print a=1
print(a)
'''


def cells_of(text: str) -> list[tuple[int, int, int, int, str]]:
    return [(cell.number, cell.line, cell.lines, cell.count, cell.title) for cell in percent_cells(text)]


def test_markers_and_titles() -> None:
    assert cells_of(SCRIPT) == [
        (2, 10, 9, 3, "Load"),
        (3, 20, 1, 2, "Fit the model"),
        (6, 25, 2, 1, "print"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n", []),
        ("x = 1\n# %%\ny = 2\n", [(1, 1, 1, 1, ""), (2, 3, 2, 1, "")]),
        ("# only a comment\n# %%\ny = 2\n", [(1, 3, 2, 1, "")]),
        ("x = 5 # %% no\n#%matplotlib inline\n", []),
        ("#%%\n@d\ndef f():\n  pass\n", [(1, 2, 4, 1, "")]),
    ],
)
def test_small(text: str, expected: list[tuple[int, int, int, int, str]]) -> None:
    assert cells_of(text) == expected


def test_a_heading_is_the_last_one_outside_of_code() -> None:
    assert heading("# One\ntext\n## Two `x` ##\n```\n# comment\n```\n#hashtag\n") == "Two `x`"
    assert heading("no heading") == ""


def test_the_graph_of_a_script_has_cells_and_the_same_tasks() -> None:
    text = "def f(x):\n    return x\n# %%\na = f(1)\n# %% Two\nb = f(a)\n"
    graph, _ = analyze(Source("__main__", "d.py", "/d.py", text), lambda name: None, "d.py")
    assert graph is not None
    assert [cell.title for cell in graph.cells] == ["", "", "Two"]
    assert [task.span.path for task in graph.tasks] == ["d.py", "d.py"]
    plain, _ = analyze(Source("__main__", "d.py", "/d.py", text.replace("# %%", "# --")), lambda name: None, "d.py")
    assert plain is not None
    assert plain.tasks == graph.tasks


def test_cells_of_a_notebook_are_called_after_the_text_before_them() -> None:
    import json

    cells = [
        {"cell_type": "markdown", "source": ["# Load\n", "text"], "metadata": {}},
        {"cell_type": "code", "source": "x = 1", "metadata": {}},
        {"cell_type": "code", "source": "y = 1", "metadata": {}},
    ]
    data = json.dumps({"nbformat": 4, "cells": cells, "metadata": {}}).encode()
    found = notebook_source(data, "a.ipynb", "/a.ipynb")
    assert [(cell.number, cell.title) for cell in found.cells] == [(2, "Load"), (3, "")]
