"""The analysis beside the mere parsing of the same text by libcst."""

from __future__ import annotations

from pathlib import Path

from measure import Bench, Section, Target, seconds

CODE = r"""
import gc, json, sys, time
from pathlib import Path
import libcst
from inferflow.analysis import analyze
from inferflow.session.infer import infer  # what the command uses
from inferflow.session.sources import Modules
from inferflow.session.target import open_target
from inferflow.analysis.catalogue import load_catalogue

root = Path(sys.argv[1])
texts = [path.read_text() for path in sorted(root.rglob("*.py"))]
target = open_target("driver.py", root)

start = time.process_time(); load_catalogue(); catalogue = time.process_time() - start

def parse():
    start = time.process_time()
    for text in texts:
        libcst.parse_module(text)
    return time.process_time() - start

def whole():
    start = time.process_time()
    graph, _ = analyze(target.source, Modules(target).find, "driver.py", None)
    assert graph is not None and not [d for d in graph.diagnostics if d.code == "IF390"], graph.diagnostics[:3]
    whole.tasks = len(graph.tasks)
    return time.process_time() - start

parse(); first = whole()
times = int(sys.argv[2])
parsing, analysing = [], []
for _ in range(times):
    gc.collect(); parsing.append(parse())
    gc.collect(); analysing.append(whole())
print(json.dumps({"parse": min(parsing), "whole": min(analysing), "first": first, "catalogue": catalogue,
                  "tasks": whole.tasks, "lines": sum(text.count("\n") for text in texts)}))
"""

FUNCTIONS = '''\
"""Generated: functions as they stand in scripts."""

import math
import os


def load_{i}(path, limit=100):
    rows = []
    for number in range(limit):
        if number % 3 == 0:
            continue
        rows.append({{"id": number, "value": number * 0.5, "path": path}})
    return rows


def clean_{i}(rows, low=1.0):
    """Drop what is too small."""
    result = [row for row in rows if row["value"] > low]
    for row in result:
        row["root"] = math.sqrt(row["value"])
    return result


def total_{i}(rows, weight=1.0):
    total = 0.0
    for row in rows:
        total += row["root"] * weight
    return total


def report_{i}(name, total):
    line = f"{{name}}: {{total:.3f}}"
    return line.upper() if total > 10 else line
'''

MAIN = """

def main():
{lines}


if __name__ == "__main__":
    main()
"""


def statements(n: int, modules: int = 1) -> str:
    """A main of about ``n`` statements that calls the functions of several modules."""
    lines = []
    for i in range(n // 4):
        m = i % modules
        lines.append(f"    rows_{i} = load_{m}('data/{i}.csv', limit={i % 50})")
        lines.append(f"    kept_{i} = clean_{m}(rows_{i}, low={i % 7}.5)")
        lines.append(f"    sum_{i} = total_{m}(kept_{i}) + {i}")
        lines.append(f"    text_{i} = report_{m}('part {i}', sum_{i})")
    return "\n".join(lines)


def one_file(folder: Path, n: int) -> None:
    (folder / "driver.py").write_text(FUNCTIONS.format(i=0) + MAIN.format(lines=statements(n)))


def project(folder: Path, modules: int, n: int) -> None:
    """A package of ``modules`` modules, each of which also uses its neighbour."""
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("")
    for i in range(modules):
        uses = f"\n\ndef both_{i}(path):\n    from parts.m{(i + 1) % modules} import load_{(i + 1) % modules}\n\n"
        uses += f"    return load_{i}(path) + load_{(i + 1) % modules}(path)\n"
        (folder / "parts" / f"m{i}.py").write_text(FUNCTIONS.format(i=i) + uses)
    imports = "\n".join(f"from parts.m{i} import clean_{i}, load_{i}, report_{i}, total_{i}" for i in range(modules))
    (folder / "driver.py").write_text(imports + "\n" + MAIN.format(lines=statements(n, modules)))


def section(bench: Bench) -> Section:
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    per_line = []
    cases = [(f"driver of {n:,} statements", n, 0) for n in ((1000, 3000) if bench.quick else (1000, 3000, 10_000))]
    cases.append(("project of 200 modules", 1000, 200))
    for name, n, modules in cases:
        folder = bench.new_folder("analyzer")
        if modules:
            project(folder, modules, n)
        else:
            one_file(folder, n)
        found = bench.measure_python(CODE, str(folder), "2" if bench.quick else "3")
        ratio = found["whole"] / found["parse"]
        rows.append(
            (
                name,
                f"{found['lines']:,.0f}",
                f"{found['tasks']:,.0f}",
                seconds(found["parse"]),
                seconds(found["whole"]),
                f"{ratio:.2f}",
            )
        )
        targets.append(Target(f"analysis, {name}", "3 times parsing", f"{ratio:.2f} times", ratio <= 3))
        if not modules:
            per_line.append(found["whole"] / found["lines"])
    growth = per_line[-1] / per_line[0]
    targets.append(
        Target(
            "analysis linear to the largest driver",
            "time a line constant",
            f"{growth:.2f} times that of the smallest",
            growth <= 1.5,
        )
    )
    return Section(
        title="Analysis",
        text="Processor time of the whole analysis, from text to graph, beside `libcst.parse_module` on those texts.",
        header=("project", "lines", "tasks", "libcst.parse_module", "analysis", "ratio"),
        rows=rows,
        targets=targets,
    )
