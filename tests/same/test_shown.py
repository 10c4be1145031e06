"""Every kind of node in every form of the preview, in the record of a run, and in ``show``: items done of all, the arm that
was taken, how often a loop went round."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compare import environment

FORMATS = ("tree", "table", "diff", "mermaid", "dot", "svg", "html", "json")
DRIVER = """
import asyncio, time
def yes(x):
    time.sleep(0.02)
    return True
def no(x):
    time.sleep(0.02)
    return False
def slow(x):
    time.sleep(0.3)
    return x
def quick(x):
    time.sleep(0.02)
    return x
def bad(x):
    raise ValueError(x)
def inner(x):
    left = quick(x)
    right = quick(x + 1)
    return left + right
async def waits(x):
    got = quick(x)
    await asyncio.sleep(0)
    return quick(got)
async def together():
    return await asyncio.gather(*[waits(x) for x in range(3)])
def main():
    begun = slow(0)
    chosen = slow(1) if no(1) else slow(2)
    both = yes(1) and slow(3)
    either = no(2) or no(3) and slow(9)
    for item in range(5):
        mapped = quick(item)
    total = 0
    for step in range(4):
        total += quick(total)
        if step == 2:
            break
    count = 0
    while count < 3 and yes(count):
        count = quick(count + 1)
    if total > 100:
        big = quick(1)
    elif total == 0:
        zero = quick(2)
    else:
        other = quick(3)
    match count:
        case 1:
            one = quick(4)
        case 3:
            three = quick(5)
    try:
        failed = bad(6)
    except KeyError:
        kept = quick(7)
    except ValueError:
        caught = quick(8)
    finally:
        ended = quick(9)
    with open(__file__) as file:
        read = quick(10)
        told = quick(11)
    listed = [quick(each) for each in range(6)]
    called = list(map(quick, range(7)))
    opened = inner(12)
    waited = asyncio.run(together())
    for row in range(2):
        for column in range(3):
            cell = quick(row + column) if column else slow(row)
    return total, count, listed, called, opened, waited, chosen, both, either
main()
"""

#: kind of node -> words of it that each form of the preview must have
KINDS = {
    "map": ("for item in range(5)", "quick(item)"),
    "loop": ("for step in range(4)", "quick(total)"),
    "while": ("while count", "quick(count + 1)"),
    "if": ("if total", "quick(1)"),
    "elif": ("elif total == 0", "quick(2)"),
    "else": ("else", "quick(3)"),
    "match": ("case 3", "quick(5)"),
    "try": ("try", "bad(6)"),
    "except": ("except ValueError", "quick(8)"),
    "finally": ("finally", "quick(9)"),
    "with": ("with open(__file__) as file", "quick(11)"),
    "comprehension": ("for each each", "quick(each)"),
    "map()": ("for each item", "map(quick, range(7))"),
    "group": ("inner()", "quick(x + 1)"),
    "coroutine": ("waits()", "quick(got)"),
    "conditional expression": ("if no(1)", "slow(2)"),
    "and": ("and slow(3)", "slow(3)"),
    "or": ("or no(3) and slow(9)", "slow(9)"),
    "nested loops": ("for column in range(3)", "if column"),
}

#: path and name of a region -> what the record says: turns, items, and how often each arm was taken
RECORD: dict[tuple[str, str], tuple[int, int, dict[str, int]]] = {
    ("slow.2", "if no(1)"): (0, -1, {"if no(1)": 0, "else": 1}),
    ("slow.3", "and"): (0, -1, {"and slow(3)": 1}),
    ("slow.4", "or"): (0, -1, {"or no(3) and slow(9)": 1}),
    ("slow.4/and", "and"): (0, -1, {"and slow(9)": 0}),
    ("for", "for item in range(5)"): (5, 5, {}),
    ("for.2", "for step in range(4)"): (3, 4, {}),
    ("for.2/if", "if step == 2"): (0, -1, {"if step == 2": 1}),
    ("while", "while count < 3 and yes(count)"): (3, -1, {}),
    ("while", "and"): (0, -1, {"and yes(count)": 3}),
    ("if", "if total > 100"): (0, -1, {"if total > 100": 0, "elif total == 0": 1, "else": 0}),
    ("match", "case 1"): (0, -1, {"case 1": 0, "case 3": 1}),
    ("try", "try"): (0, -1, {"try": 1, "except KeyError": 0, "except ValueError": 1, "finally": 1}),
    ("with", "with open(__file__) as file"): (0, -1, {"with open(__file__) as file": 1}),
    ("quick", "for each in ..."): (6, 6, {}),
    ("quick.2", "map(quick, range(7))"): (7, 7, {}),
    ("inner", "inner()"): (0, -1, {"body": 1}),
    ("together", "together()"): (0, -1, {"body": 1}),
    ("together/waits", "waits()"): (0, -1, {"body": 3}),
    ("for.3", "for row in range(2)"): (2, 2, {}),
    ("for.3/for", "for column in range(3)"): (6, 6, {}),
    ("for.3/for/slow", "if column"): (0, -1, {"if column": 4, "else": 2}),
}

#: what ``show RUN TASK`` says of it
SHOWN = {
    "slow.2": ["taken: else · skipped: if no(1)"],
    "slow.4": ["taken: or no(3) and slow(9)", "skipped: and slow(9)"],
    "for": ["5 of 5 items"],
    "for.2": ["3 of 4 items", "taken: if step == 2"],
    "while": ["3 turns", "taken: and yes(count) (3 times)"],
    "if": ["taken: elif total == 0 · skipped: if total > 100; else"],
    "match": ["taken: case 3 · skipped: case 1"],
    "try": ["taken: try; except ValueError; finally · skipped: except KeyError"],
    "with": ["taken: with open(__file__) as file"],
    "quick": ["6 of 6 items"],
    "quick.2": ["7 of 7 items"],
    "for.3": ["2 of 2 items", "6 of 6 items", "taken: if column (4 times); else (2 times)"],
}


def inferflow(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", *arguments], cwd=project, env=environment(COLUMNS="200"),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "driver.py").write_text(DRIVER)
    inferflow(folder, "run", "-j", "2", "driver.py")
    return folder


@pytest.fixture(scope="module")
def previews(project: Path) -> dict[str, str]:
    """Each form as text without line breaks, and without what escapes quotes and brackets."""
    found = {}
    for form in FORMATS:
        text = inferflow(project, "preview", "driver.py", "--format", form)
        for escaped, plain in (
            ("&gt;", ">"),
            ("&lt;", "<"),
            ("#gt;", ">"),
            ("&quot;", '"'),
            ("#40;", "("),
            ("#41;", ")"),
        ):
            text = text.replace(escaped, plain)
        found[form] = " ".join(text.split())
    return found


@pytest.fixture(scope="module")
def record(project: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(inferflow(project, "show", "latest", "--json"))
    return told


@pytest.mark.parametrize("form", FORMATS)
def test_each_kind_in_each_preview(previews: dict[str, str], form: str) -> None:
    said = KINDS | (
        {"comprehension": ("for each in ...",), "map()": ("map(quick, range(7))",)} if form == "json" else {}
    )
    assert [(kind, words) for kind, found in said.items() for words in found if words not in previews[form]] == []


def test_the_record(record: dict[str, Any]) -> None:
    found = {}
    for task in record["tasks"]:
        for facts in task["attempts"][-1]["regions"]:
            found[facts["path"], facts["name"]] = (facts["turns"], facts["items"], dict(facts["arms"]))
    assert {key: found.get(key) for key in RECORD} == RECORD


def test_a_helper_tells_too(record: dict[str, Any]) -> None:
    ways = {task["task"]: task["attempts"][-1]["where"] for task in record["tasks"]}
    assert "ahead" in (ways["slow.2"], ways["slow.3"], ways["slow.4"])


@pytest.mark.parametrize("task", SHOWN)
def test_show(project: Path, task: str) -> None:
    text = " ".join(inferflow(project, "show", "latest", task).split())
    assert [said for said in SHOWN[task] if said not in text] == []
