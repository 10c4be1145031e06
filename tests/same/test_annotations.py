"""Annotations of names: what they leave behind is there, whoever ran the statement, and as it is natively."""

from __future__ import annotations

from pathlib import Path

import pytest
from compare import assert_same

TEXTS = """
def f(x): print("f", x); return x
def g(x): print("g", x); return -x
a = 1
w: f(1) = f(5)
x: (f(1) if True else g(2)) = f(3) if a else g(1)
y: (f(1) and g(2)) = f(3) and g(1)
z: [f(k) for k in (1, 2)] = [f(k) for k in (3, 4)]
def main():
    u: [f(k) for k in (1, 2)] = [f(k) for k in (5, 6)]
    v: (f(1) if a else f(2)) = f(7) and f(8)
    return u, v
print(__annotations__, main())
"""

TAKEN_OVER = """
import time
def f(x):
    time.sleep(0.02); return x
def hide(name): return globals()[name]
p = f(0)
w: int = f(5)
q = f(1)
u: "list[int]" = [f(2)]; v: dict[str, int] = {"a": f(3)}
out = []
for i in range(4):
    k: int = f(i)
    m: str = str(f(k))
    out.append((k, m))
if p == 0:
    r: float = f(1.5)
    s: bytes = bytes(f(2))
with open("/dev/null"):
    t: complex = f(1j)
h = hide("f")(9)
z: tuple = (f(8),)
print(__annotations__, w, u, v, out, r, s, t, h, z)
if __name__ == "__main__":
    last: int = f(1)
    least: float = f(2)
    print(list(__annotations__))
"""


@pytest.mark.parametrize("turns", ["", "always"])
@pytest.mark.parametrize(
    "driver",
    [
        pytest.param(TEXTS, id="evaluated"),
        pytest.param("from __future__ import annotations\n" + TEXTS, id="texts"),
        pytest.param(TAKEN_OVER, id="taken over"),
    ],
)
def test_annotations_are_what_they_are_natively(tmp_path: Path, driver: str, turns: str) -> None:
    assert_same(tmp_path, driver, options=("-j", "3"), _INFERFLOW_TURNS=turns)
