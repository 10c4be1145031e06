"""``inferflow logs``: which turn of which loop printed what, whoever ran it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from compare import environment, recorded, write_files

DRIVER = """
import sys
def f(x):
    for i in range(3): pass
    print("f", x)
    return x
def main():
    for x in "abc":
        y = f(x)
        print("y", y, end=" ")
        print("é")
        for i in range(5):
            if i == 2: break
            print("inner", i, f(i))
        print("after")
    print("done")
    print([f(v) for v in (1, 2)])
    n = 0
    while n < 2:
        n += 1
        print("while", n, file=sys.stderr)
    for a in [1, 2]:
        print("seq", a)
    else:
        print("else")
    for a in [1, 2, 3]:
        print("last", 6 // (a - 3))
main()
"""
ALL = """\
── 1 for · stdout
[0] 'a'   │ f a
[0] 'a'   │ y a é
[0, 0] 0  │ f 0
[0, 0] 0  │ inner 0 0
[0, 1] 1  │ f 1
[0, 1] 1  │ inner 1 1
[0] 'a'   │ after
[1] 'b'   │ f b
[1] 'b'   │ y b é
[1, 0] 0  │ f 0
[1, 0] 0  │ inner 0 0
[1, 1] 1  │ f 1
[1, 1] 1  │ inner 1 1
[1] 'b'   │ after
[2] 'c'   │ f c
[2] 'c'   │ y c é
[2, 0] 0  │ f 0
[2, 0] 0  │ inner 0 0
[2, 1] 1  │ f 1
[2, 1] 1  │ inner 1 1
[2] 'c'   │ after

── 2 print · stdout
done

── 3 f · stdout
[0] 1  │ f 1
[1] 2  │ f 2
[1, 2]

── 4 while · stderr
[0]  │ while 1
[1]  │ while 2

── 5 for.2 · stdout
[0] 1  │ seq 1
[1] 2  │ seq 2
else

── 6 for.3 · stdout
[0] 1  │ last -3
[1] 2  │ last -6
"""


def told(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "inferflow", "-C", str(folder), "logs", "latest", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=True).stdout


@pytest.mark.parametrize(("jobs", "turns"), [("1", ""), ("3", "always")])
def test_turns_are_told_apart(tmp_path: Path, jobs: str, turns: str) -> None:
    write_files(tmp_path, {"driver.py": DRIVER})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "-j", jobs, "driver.py"]
    env = environment(_INFERFLOW_TURNS=turns)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    native = subprocess.run([sys.executable, "driver.py"], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout) == (1, native.stdout) == (native.returncode, done.stdout)
    assert told(tmp_path).startswith(ALL)
    assert told(tmp_path, "for.3[1]") == "last -6\n"
    assert told(tmp_path, "for[1]") == "f b\ny b é\nf 0\ninner 0 0\nf 1\ninner 1 1\nafter\n"
    assert told(tmp_path, "for[1,0]") == "f 0\ninner 0 0\n"
    assert told(tmp_path, "while") == "while 1\nwhile 2\n"
    assert told(tmp_path, "while", "--items") == "[0]  │ while 1\n[1]  │ while 2\n"
    row = next(row for row in json.loads(told(tmp_path, "--json")) if row["task"] == "for.2")
    assert row["items"] == [
        {"path": [0], "item": "1", "start": 0, "stop": 6},
        {"path": [1], "item": "2", "start": 6, "stop": 12},
    ]


def test_calls_by_map_are_told_apart(tmp_path: Path) -> None:
    text = "def f(x):\n    for i in range(3): pass\n    print('f', x)\n    return x\nprint(list(map(f, [7, 8, 9])))\n"
    write_files(tmp_path, {"driver.py": text})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "-j", "2", "driver.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment(_INFERFLOW_TURNS="always"), check=True)
    assert told(tmp_path) == "── 1 f · stdout\n[0] 7  │ f 7\n[1] 8  │ f 8\n[2] 9  │ f 9\n[7, 8, 9]\n"


@pytest.mark.parametrize("turns", ["", "always"])
def test_calls_by_map_are_counted_as_far_as_they_were_asked_for(turns: str, tmp_path: Path) -> None:
    text = (
        "def f(x):\n    for i in range(3): pass\n    return x\n"
        "def main():\n"
        "    xs = list(range(20))\n"
        "    a = any(map(f, xs))\n"  # the second is true
        "    b = dict(zip(xs[:7], map(f, xs)))\n"
        "    c = sum(map(f, xs))\n"
        "    return a, b, c\n"
        "print(main())\n"
    )
    write_files(tmp_path, {"driver.py": text})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "-j", "2", "driver.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment(_INFERFLOW_TURNS=turns), check=True)
    facts = [
        fact for task in recorded(tmp_path)["tasks"] for one in task["attempts"] for fact in one.get("regions", [])
    ]
    assert [(fact["turns"], fact["items"]) for fact in facts] == [(2, 20), (7, 20), (20, 20)]


def test_items_that_cannot_be_written_out(tmp_path: Path) -> None:
    text = "for x in [10 ** 9000, -5, 'y' * 999, b'z' * 999, (1, 10 ** 5000), [1]]:\n    print(type(x))\n"
    write_files(tmp_path, {"driver.py": text})
    command = [sys.executable, "-m", "inferflow", "-q", "run", "driver.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment(), check=True)
    assert (done.stdout.count("class"), done.stderr) == (6, "")
    heads = [line.partition("│")[0].strip() for line in told(tmp_path).splitlines()[1:]]
    assert heads == ["[0]", "[1] -5", f"[2] '{'y' * 38}…", f"[3] b'{'z' * 37}…", "[4] (1, …)", "[5]"]
