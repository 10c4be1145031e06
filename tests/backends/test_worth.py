"""Helpers are not used where they cannot pay, and used where they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from compare import both, environment
from test_trust import ahead, attempts_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="helpers are forked")

DRIVER = """
import time
def work(x):
    time.sleep({0})
    return x
def main():
    a = work(1)
    b = work(2)
    c = work(3)
    print(a, b, c)
main()
"""


TRIES = 5
"""On a busy machine a task that does nothing may take long now and then: then another run has to find out."""


def again(folder: Path) -> str:
    """Run the driver once more where it ran before; what ``show`` says of it."""
    for command in (["run", "-j", "3", "driver.py"], ["show"]):
        done = subprocess.run(
            [sys.executable, "-m", "inferflow", *command], cwd=folder, env=environment(), capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    return done.stdout


def stays_home(folder: Path) -> None:
    """Assert that the driver, run where it ran before, comes to be run without helpers."""
    said = [again(folder)]
    while "nothing was sent ahead: what could be took" not in said[-1]:
        assert len(said) < TRIES, said
        said.append(again(folder))
    assert ahead(attempts_of(folder)) == []


def test_what_took_no_time_stays_home_the_next_time(tmp_path: Path) -> None:
    native, inferred, folder = both(tmp_path, {"driver.py": DRIVER.format("0")}, options=("-j", "3"))
    assert inferred == native
    stays_home(folder)


def test_what_took_long_goes_ahead_again(tmp_path: Path) -> None:
    native, inferred, folder = both(tmp_path, {"driver.py": DRIVER.format("1")}, options=("-j", "3"))
    assert inferred == native
    assert "nothing was sent ahead" not in again(folder)
    assert ahead(attempts_of(folder))


def test_what_takes_longer_than_it_did_goes_ahead_again(tmp_path: Path) -> None:
    """The code is the same, and what it works on has grown."""
    driver = DRIVER.format("float(open('t').read())")
    _, _, folder = both(tmp_path, {"driver.py": driver, "t": "0"}, options=("-j", "3"))
    stays_home(folder)
    (folder / "t").write_text("1")
    again(folder)
    assert ahead(attempts_of(folder)) == []  # so much is not known before
    again(folder)
    assert ahead(attempts_of(folder))


FIGURE = """
import time
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
def fit(n):
    time.sleep(0.3)
    return n + 1
def draw():
    plt.figure()
    plt.plot([1, 2])
    time.sleep(2)
    plt.savefig("a.png")
{2}
def main():
    draw()
    m = {0}
    print({1})
main()
"""


@pytest.mark.parametrize(
    ("driver", "goes"),
    [
        (FIGURE.format("fit(3)", "m", ""), True),
        (FIGURE.format("look(3)", "m", "def look(n):\n    return n + len(plt.get_fignums())"), False),
    ],
    ids=["what knows of no figures", "what asks for them"],
)
def test_figures_keep_only_those_back_that_look_at_them(tmp_path: Path, driver: str, goes: bool) -> None:
    pytest.importorskip("matplotlib")
    native, inferred, folder = both(tmp_path, {"driver.py": driver}, options=("-j", "3"))
    assert inferred == native
    assert bool([name for name in ahead(attempts_of(folder)) if name in ("fit", "look")]) is goes


def test_many_that_take_less_than_to_take_them_over_stay_home(tmp_path: Path) -> None:
    """All together they take some time; each takes less than it costs to have it done."""
    lines = "".join(f"    x{number} = step({number})\n" for number in range(300))
    driver = f"def step(x):\n    return x + 1\ndef main():\n{lines}    print(x299)\nmain()\n"
    native, inferred, folder = both(tmp_path, {"driver.py": driver}, options=("-j", "3"))
    assert inferred == native
    stays_home(folder)
