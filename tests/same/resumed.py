"""Generated drivers are run, changed at random, and run again with ``--cache``: native against that.

python resumed.py --kind plain --first 0 --count 100
plain: 97 programs, 291 resumed runs, 350 tasks used again, 0 different
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import sys
import tempfile
from pathlib import Path

import generator
import generator_flow
from arena import Arena, Way, difference

MODULES = {"plain": (), "arrays": ("numpy",), "tables": ("numpy", "pandas"), "flow": ()}


class _Hoist(ast.NodeTransformer):
    """Puts some of the literals that calls get into variables of the driver, bound just before."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.made = 0

    def visit_Module(self, node: ast.Module) -> ast.Module:
        for block in (node, *(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "main")):
            block.body = [new for old in block.body for new in self._hoisted(old)]
        return node

    def _hoisted(self, statement: ast.stmt) -> list[ast.stmt]:
        before: list[ast.stmt] = []
        if isinstance(statement, (ast.Assign, ast.Expr)) and isinstance(statement.value, ast.Call):
            for place, given in enumerate(statement.value.args):
                if isinstance(given, ast.Constant) and type(given.value) in (int, str) and self.draw.random() < 0.6:
                    self.made += 1
                    name = f"given{self.made}"
                    before.append(ast.Assign([ast.Name(name, ast.Store())], given, lineno=statement.lineno))
                    statement.value.args[place] = ast.Name(name, ast.Load())
        return [*before, statement]


def hoisted(text: str, draw: random.Random) -> str:
    """The program, saying some of what it gives to calls in a statement before."""
    return ast.unparse(_Hoist(draw).visit(ast.parse(text)))


def changed(text: str, draw: random.Random) -> str:
    """The program with a number, a statement or only its layout changed; loops that end still do."""
    tree = ast.parse(text)
    inside = {id(n) for loop in ast.walk(tree) if isinstance(loop, ast.While) for n in ast.walk(loop)}
    nodes = [node for node in ast.walk(tree) if id(node) not in inside]
    how = draw.choice(["number", "number", "given", "given", "statement", "layout", "nothing"])
    if how == "nothing":
        return text
    if how == "layout":
        return "# a comment\n" + text
    if how == "given":
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and draw.random() < 0.5:
                value = node.value.value
                node.value.value = value + 1 if type(value) is int else f"1{value}" if type(value) is str else value
    elif how == "number":
        numbers = [node for node in nodes if isinstance(node, ast.Constant) and type(node.value) is int]
        if numbers:
            chosen = draw.choice(numbers)
            assert type(chosen.value) is int
            chosen.value += draw.choice([1, -1, 3])
    else:
        blocks = [
            block for node in nodes for field in ("body", "orelse")
            if isinstance(block := getattr(node, field, None), list) and len(block) > 1
            and not any(isinstance(statement, ast.While) for statement in block)
        ]  # fmt: skip
        if blocks:
            block = draw.choice(blocks)
            block.pop(draw.randrange(len(block)))
    return ast.unparse(tree)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=sorted(MODULES), default="plain")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    wanted = parser.parse_args()
    make = generator_flow.make if wanted.kind == "flow" else lambda number: generator.make(number, wanted.kind)
    programs = runs = used = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        arena = Arena(Path(folder), MODULES[wanted.kind])
        for number in range(wanted.first, wanted.first + wanted.count):
            files, draw = make(number), random.Random(number)
            if draw.random() < 0.7:
                files = {**files, "driver.py": hoisted(files["driver.py"], draw)}
            if arena.native(files).says_nothing:
                continue
            programs += 1
            way = Way(draw.choice([1, 2, 3]), "", "process", "always")
            for _ in range(2):
                new = {**files, "driver.py": changed(files["driver.py"], draw)}
                native = arena.native(new)
                if native.says_nothing or difference(native, arena.native(new)):
                    continue
                arena.inferred(files, way)
                resumed = arena.resumed(new, way)
                runs += 1
                used += resumed.ran[1]
                found = difference(native, resumed)
                if found and not difference(native, arena.native(new)):
                    print(f"{wanted.kind} {number} {way}: {found}\n---- first\n{files['driver.py']}")
                    print(f"---- then\n{new['driver.py']}")
                    return 1
                files = new
    print(f"{wanted.kind}: {programs} programs, {runs} resumed runs, {used} tasks used again, 0 different")
    return 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main())
