"""What modules hold, as digests: the same twice if nothing has changed, another one if anything has."""

from __future__ import annotations

import collections
import datetime
import functools
import itertools
import random
import re
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from inferflow.worker import standing
from inferflow.worker.exact_graph import referents
from inferflow.worker.exact_reach import reach
from inferflow.worker.known_c import in_memory
from inferflow.worker.proof import glance


@functools.lru_cache(maxsize=4)
def squares(n: int) -> list[int]:
    return [n * n]


HELD: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "a bound method of a pattern": ([re.compile("a+").sub], lambda held: held.__setitem__(0, re.compile("b").sub)),
    "a cache": (squares, lambda _: squares(9)),
    "what a cache returned": (squares, lambda _: squares(2).append(1)),
    "an ordered dictionary": (collections.OrderedDict(a=[1]), lambda held: held["a"].append(2)),
    "a counter of itertools": ([itertools.count(3)], lambda held: next(held[0])),
    "a date": ([datetime.datetime(2026, 1, 2)], lambda held: held.__setitem__(0, datetime.datetime(2026, 1, 3))),
    "a partial": ([functools.partial(print, [1])], lambda held: held[0].args[0].append(2)),
    "a random generator": ([random.Random(4)], lambda held: held[0].random()),
    "an iterator over a list": ([iter([1, 2])], lambda held: next(held[0])),
}


@pytest.mark.parametrize("name", HELD)
def test_the_same_twice_and_another_after_a_change(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held, change = HELD[name]
    squares(2)
    module = types.ModuleType("held_here")
    module.held = held  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "held_here", module)
    before = standing.take(["held_here"], "__main__", [])
    keep = [object() for _ in range(50)], [[n] for n in range(50)]  # (what is made now lies elsewhere)
    assert standing.take(["held_here"], "__main__", []) == before
    del keep
    change(held)
    assert standing.take(["held_here"], "__main__", []) != before


@pytest.mark.parametrize("kind", ["default_rng", "RandomState", "PCG64", "MT19937", "SFC64"])
def test_generators_of_numpy(kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    made = getattr(numpy.random, kind)(3)
    before = standing.digest([made], frozenset())
    keep = [object() for _ in range(50)]
    assert standing.digest([made], frozenset()) == before
    del keep
    (made.random if hasattr(made, "random") else made.random_raw)()
    assert standing.digest([made], frozenset()) != before


def test_hidden_states_tell_types_apart() -> None:
    states: list[Any] = [[1], [True], [1.0], ["1"], [(1,)], [[1]], [{1: 2}], [print], [len], [int]]
    digests = [standing.hidden({"state": state})["state"] for state in states]
    assert len(set(digests)) == len(states)
    assert digests == [standing.hidden({"state": list(state)})["state"] for state in states]


def test_what_an_object_in_a_hidden_state_holds_counts() -> None:
    handler = types.SimpleNamespace(level=1)
    before = standing.hidden({"handlers": [handler, print]})
    assert standing.hidden({"handlers": [handler, print]}) == before
    handler.level = 2
    assert standing.hidden({"handlers": [handler, print]}) != before


def test_compiled_modules_of_known_packages_under_short_names() -> None:
    pytest.importorskip("scipy.sparse")
    code = (
        "import sys, scipy.sparse\nfrom inferflow.worker import standing\n"
        "print([n for n in sys.modules if '.' not in n and standing.foreign(n)], standing.loaded(frozenset()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CALLS = """
import sys
from inferflow.worker.observe import FileRecorder
files = FileRecorder(())
files.install()
files.on = True
import numpy as np
import {module}
X = np.arange(40.0).reshape(20, 2)
{train}
print(files.children)
{save}
print(files.children)
"""


@pytest.mark.parametrize(
    ("module", "train", "save"),
    [
        (
            "lightgbm",
            "m = lightgbm.train({'verbose': -1}, lightgbm.Dataset(X, X[:, 0]), 2); m.predict(X); m.model_to_string()",
            "m.save_model('m.txt')",
        ),
        (
            "xgboost",
            "m = xgboost.train({}, xgboost.DMatrix(X, X[:, 0]), 2); m.predict(xgboost.DMatrix(X))",
            "m.save_model('m.json')",
        ),
    ],
)
def test_what_works_on_memory_is_known_from_what_writes_files(
    module: str, train: str, save: str, tmp_path: Any
) -> None:
    pytest.importorskip(module)
    code = CALLS.format(module=module, train=train, save=save)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["False", "True"]


def test_only_what_is_known_is_taken_for_harmless() -> None:
    assert in_memory("lightgbm", "LGBM_BoosterUpdateOneIter")
    assert not in_memory("lightgbm", "LGBM_BoosterSaveModel")
    assert not in_memory("mine", "LGBM_BoosterUpdateOneIter")
    assert not in_memory("lightgbm", 7)


def test_an_iterator_with_a_hole_in_it_is_looked_at() -> None:
    """What ``zip_longest`` holds is a tuple, with nothing in the place of an iterator that has come to its end."""
    filling = [0]
    longest = itertools.zip_longest([], [1, 2], fillvalue=filling)
    before = glance([longest], frozenset())
    next(longest)
    assert any(part is filling for part in referents(longest))
    assert glance([longest], frozenset()) != before
    assert id(filling) in reach((longest,)).objects
