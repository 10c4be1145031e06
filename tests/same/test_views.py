"""Objects that are changed through what shows them: natively and with four processes.

Each line of ``aliasings`` that the analysis missed once stands in an arm of a function, with calls between its statements
that read the object."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aliasings import MENDED, PRELUDE
from batch import differences, run_batch

READ = """
import time
def read(x):
    time.sleep(0.005)
    return repr(x)
"""
APART = ("globals()", "vars()", "__defaults__", "__kwdefaults__", "(ident)", "ident.__dict__")
"""Of what is about the driver's own names, or replaces parts of functions: nothing runs ahead beside that."""


def arm(number: int, statements: list[str]) -> str:
    """The statements in an arm, each with two calls behind it: one that reads the list, and one beside it."""
    lines = ["    l, o, d = [0], O(), {}", f"    if read({number}):"]
    for at, text in enumerate(statements):
        lines += ["        " + text.replace("\n", "\n        ")]
        lines += [f"        one{at} = read(l)", f"        two{at} = read([{at}])"]
    seen = ", ".join(f"one{at}, two{at}" for at in range(len(statements)))
    return "\n".join([*lines, f"        print({number}, {seen})", ""])


def driver(names: list[str]) -> dict[str, str]:
    arms = "".join(arm(number, MENDED[name]) for number, name in enumerate(names))
    return {"driver.py": f"{READ}{PRELUDE}def main():\n{arms}main()\n"}


NAMES = [name for name, steps in MENDED.items() if not any(part in "".join(steps) for part in APART)][::4]
"""Some of each kind; ``test_effects_shown`` asks for all of them."""
SIZE = 12


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
def test_the_same_with_four_processes(tmp_path: Path) -> None:
    drivers = {NAMES[at]: driver(NAMES[at : at + SIZE]) for at in range(0, len(NAMES), SIZE)}
    found = run_batch(tmp_path, drivers, jobs=4, turns=True)
    assert differences(found) == {}
    assert [name for name, (*_, inside) in found.items() if not inside] == []
