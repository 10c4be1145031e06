"""Generated drivers (see ``generator`` and ``generator_flow``), natively and inferred: 2,064 in CI, fewer elsewhere. ``hammer`` runs more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import generator_flow
import pytest
from generator import make
from shrink import shrink

HERE = Path(__file__).resolve().parent
COUNT = 172 if os.environ.get("CI") else 40
PARTS = [
    (kind, part) for kind, parts in (("plain", 4), ("arrays", 3), ("tables", 3), ("flow", 2)) for part in range(parts)
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_generated_drivers_are_the_same(kind: str, part: int) -> None:
    if kind not in ("plain", "flow"):
        pytest.importorskip("pandas")
    command = [
        sys.executable,
        str(HERE / "hammer.py"),
        "--kind",
        kind,
        "--first",
        str(part * 1000),
        "--count",
        str(COUNT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    counts = {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
    assert counts["programs"] + counts["silent"] == COUNT, done.stdout
    assert counts["silent"] <= COUNT // 50, done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
def test_the_arena_sees_differences() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom arena import Arena, Way, difference\n"
        "arena = Arena(Path(sys.argv[2]))\n"
        'def text(n, m): return {\'driver.py\': f\'import sys\\na = [{n}]\\nb = [a, a, {m}]\\nprint({m})\\nopen("f", "w").write("{n}")\'}\n'
        "native = arena.native(text(1, 1))\n"
        "for other in (text(1, 1), text(2, 1), text(1, 2), {'driver.py': 'print(1)\\nraise SystemExit(3)'}):\n"
        "    for way in (Way(2), Way(3, 'x'), Way(backend='inline')):\n"
        "        print(difference(native, arena.inferred(other, way)) is None)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, str(HERE), folder], capture_output=True, text=True, timeout=400
        )
    assert done.stdout.split() == ["True"] * 3 + ["False"] * 9, done.stdout + done.stderr


def test_the_same_number_gives_the_same_driver() -> None:
    for kind in ("flow", "async", "used"):
        assert generator_flow.make(3, kind) == generator_flow.make(3, kind)
    assert make(3, "tables") == make(3, "tables")
    assert make(3) != make(4)


def test_a_failing_driver_is_made_small() -> None:
    text = (
        "import os\n\ndef f(x):\n    y = 1\n    return x\nfor i in range(3):\n    if i:\n        print(f(i))\na = 2\n"
    )
    small = shrink({"driver.py": text}, lambda files: "print(" in files["driver.py"])
    assert small == {"driver.py": "print(f(i))\n"}
