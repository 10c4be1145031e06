"""Drivers for which native and inferred once differed, found by the generator and the corpus, under a name each. They run
with random delays in the workers, since most needed a certain order of events."""

from __future__ import annotations

from pathlib import Path

import pytest
from compare import assert_same

DRIVERS: dict[str, str] = {
    "a name bound to what a default argument holds": """
import random

def kept(x, seen=[]):
    seen.append(x)
    return seen

def look():
    pass

def sub(n):
    return n

def main():
    kept(look()).append(sub(look()))
    v1 = sub(look())
    v9 = [each for each in sub([1, 2])]

random.seed(0)
v10 = kept(look())
v11 = sub(sub(0))
RESULT = main()
v13 = v10
v13.append(7)
print(v10, v13 is v10, v13 is kept.__defaults__[0])
""",
}


@pytest.mark.parametrize("seed", ["1", "2", "3"])
@pytest.mark.parametrize("name", DRIVERS)
def test_once_different(name: str, seed: str, tmp_path: Path) -> None:
    assert_same(tmp_path, DRIVERS[name], options=("--jobs", "3"), _INFERFLOW_SHAKE=seed)
