"""Which pages of a mapped input were written: what the kernel says, against what was done."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from inferflow.worker import pages
from inferflow.worker.transport import Loaded, load, pack
from inferflow.worker.transport_arrays import extent
from inferflow.worker.transport_files import write

pytestmark = pytest.mark.skipif(
    not (sys.platform.startswith("linux") and Path("/proc/self/pagemap").exists()), reason="the kernel does not tell"
)
SIZE = 1_000_000


def stored(values: tuple[Any, ...], folder: Path) -> str:
    path = write(pack(values, check=True), str(folder)).path
    assert path
    return path


def touched(loaded: Loaded, path: str) -> list[tuple[int, int]] | None:
    fresh = load(path)
    assert loaded._memory is not None
    assert fresh._memory is not None
    low, high = extent(loaded.values[0])
    return pages.Twins(loaded._memory, fresh._memory).touched(low, high, extent(fresh.values[0])[0])


def test_what_was_only_read_is_not_looked_at(tmp_path: Path) -> None:
    path = stored((np.arange(float(SIZE)),), tmp_path)
    loaded = load(path)
    assert touched(loaded, path) == []
    assert loaded.values[0].sum() == SIZE * (SIZE - 1) / 2
    assert touched(loaded, path) == []
    assert loaded.unchanged()


def test_what_was_written_is(tmp_path: Path) -> None:
    path = stored((np.arange(float(SIZE)),), tmp_path)
    array = (loaded := load(path)).values[0]
    low, _ = extent(array)
    array[SIZE // 2] = array[SIZE // 2] + 0.0
    places = touched(loaded, path)
    assert places is not None
    assert len(places) == 1
    assert places[0][0] <= low + 4 * SIZE < places[0][1]
    assert loaded.unchanged()
    array[SIZE // 2] += 1
    assert not loaded.unchanged()


@pytest.mark.parametrize("seed", range(8))
def test_every_change_is_found(seed: int, tmp_path: Path) -> None:
    """Single elements, strides, slices, both ends, other layouts; changed and changed back."""
    draw = random.Random(seed)
    made = np.random.default_rng(seed).normal(size=(1000, SIZE // 1000))
    path = stored((np.asfortranarray(made) if seed % 2 else made, {"also": made[::2]}), tmp_path)
    for _ in range(6):
        array = (loaded := load(path)).values[0]
        before = array.copy()
        if draw.random() < 0.3:
            array = loaded.values[1]["also"]
        for _ in range(draw.randint(0, 4)):
            row, column = draw.choice([0, -1, draw.randrange(500)]), draw.choice([0, -1, draw.randrange(1000)])
            if draw.random() < 0.5:
                array[row, column] += draw.choice([0.0, 0.0, 1.0])
            else:
                array[row:, column] *= draw.choice([1.0, 1.0, 2.0])
        same = np.array_equal(loaded.values[0], before) and np.array_equal(loaded.values[1]["also"], made[::2])
        assert loaded.unchanged() == same


def test_tables_too(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(SIZE // 4, 4)), columns=list("abcd"))
    loaded = load(stored((frame,), tmp_path))
    loaded.values[0].describe()
    assert loaded.unchanged()
    loaded.values[0].iloc[17, 2] = 5.0
    assert not loaded.unchanged()
