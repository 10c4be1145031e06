"""Code that is too involved to be followed: given up soon, and told, always at the same point."""

from __future__ import annotations

import time

from inferflow.analysis import analyze
from inferflow.model import Source

HELPERS = """
import numpy as np
import pandas as pd
def frame(n): return pd.DataFrame({"a": np.arange(n) % 3, "b": np.arange(n) * 1.5})
def addcol(d):
    if isinstance(d, pd.DataFrame): d["n"] = 1
    return tot(d)
def tot(x):
    if isinstance(x, pd.DataFrame): return float(x.select_dtypes("number").to_numpy().sum()) + len(x.columns)
    if isinstance(x, (np.ndarray, pd.Series)): return float(np.asarray(x, dtype=float).sum())
    if isinstance(x, (list, tuple)): return sum(map(tot, x))
    if isinstance(x, dict): return sum(map(tot, x.values()))
    return float(x) if isinstance(x, (int, float)) else 0.0
def read(n):
    try: return pd.read_csv(f"f{n}.csv")
    except FileNotFoundError: return None
def box(x): return {"x": x}
def save(n, d):
    if isinstance(d, pd.DataFrame): d.to_csv(f"f{n}.csv", index=False)
    return n
"""

DRIVER = (
    "from helpers import *\n\ndef main():\n"
    + "".join(
        f"    a{i} = read({i})\n    b{i} = box(a{i})\n    c{i} = addcol(a{i})\n    d{i} = save({i}, a{i})\n    print(tot(b{i}))\n"
        for i in range(8)
    )
    + "    print([(k, tot(w)) for k, w in sorted(locals().items())])\nmain()\n"
)


def test_it_ends_soon_and_gives_the_same_each_time() -> None:
    main = Source("__main__", "driver.py", "/p/driver.py", DRIVER)
    sources = {"helpers": Source("helpers", "helpers.py", "/p/helpers.py", HELPERS)}
    begun = time.process_time()
    graphs = [analyze(main, sources.get, "driver.py")[0] for _ in range(2)]
    assert time.process_time() - begun < 20
    assert graphs[0] == graphs[1]
    assert graphs[0] is not None
    assert {d.code for d in graphs[0].diagnostics}.isdisjoint({"IF390"})
    assert len(graphs[0].tasks) > 30


def chain(count: int) -> str:
    """A chain of calls of which nothing is known, with a look at an early result behind it."""
    steps = "".join(f"# %%\nx{i + 1} = unknown.step(x{i})\n" for i in range(count))
    return f"import unknown\ndef look(x):\n    return len(x)\nx0 = []\n{steps}# %%\ny = look(x3)\n"


def test_a_chain_of_unknown_calls_is_told_in_as_many_words_as_it_has_calls() -> None:
    told = []
    for count in (100, 200):
        graph, _ = analyze(Source("__main__", "d.py", "/p/d.py", chain(count)), lambda name: None, "d.py")
        assert graph is not None
        assert len(graph.tasks) == count + 1
        told.append(sum(len(task.effects) for task in graph.tasks))
        # What was made early may lie in what the last call was given.
        assert graph.tasks[-1].name == "look"
        assert max(graph.tasks[-1].needs) == count - 1
    assert told[1] < 2.2 * told[0]
