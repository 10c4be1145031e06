"""Measure inferflow and write docs/performance.md.  See benchmarks/README.md."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable

import ahead
import analyzer
import data
import examples
import limits
import loops
import parallel
import start
import tasks
from measure import ROOT, Bench, Section, environment, table

import containers

SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "limits": limits.section,
    "start": start.section,
    "tasks": tasks.section,
    "analysis": analyzer.section,
    "data": data.section,
    "examples": examples.section,
    "parallel": parallel.section,
    "ahead": ahead.section,
    "loops": loops.section,
    "containers": containers.section,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of: {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md whatever was measured")
    chosen = parser.parse_args()
    if unknown := set(chosen.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    found: list[Section] = []
    began = time.time()
    with environment(chosen.quick) as bench:
        for name, measure in SECTIONS.items():
            if not chosen.sections or name in chosen.sections:
                print(f"{name} ...", file=sys.stderr, flush=True)
                found.append(measure(bench))
                print(text_of(found[-1]) + "\n", flush=True)
    page = page_of(found, chosen.quick, time.time() - began)
    if chosen.write or not (chosen.sections or chosen.quick):
        (ROOT / "docs" / "performance.md").write_text(page, encoding="utf-8")
        print("written: docs/performance.md", file=sys.stderr)


def text_of(section: Section) -> str:
    parts = [f"## {section.title}", section.text, table(section.header, section.rows)]
    return "\n\n".join([*parts, section.note] if section.note else parts)


def page_of(sections: list[Section], quick: bool, taken: float) -> str:
    targets = [target for section in sections for target in section.targets]
    promised = table(
        ("what", "promised: at most", "measured", ""),
        [(t.what, t.promised, t.measured, "" if t.met is None else "met" if t.met else "**missed**") for t in targets],
    )
    command = "python benchmarks/run.py" + (" --quick" if quick else "")
    where = f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"
    head = f"""# Performance

Written by `{command}` in {taken / 60:.0f} minutes on {time.strftime("%Y-%m-%d")}:
{where}, load {os.getloadavg()[0]:.1f} at the end.
inferflow was installed from a wheel. Figures of other machines differ; the ratios are what to look at, since both sides
of each were measured alternately in the same minutes. Times are medians, with the best in brackets. Whole processes are
judged by the best: what else a shared machine does can only add to a time.

## Promises

{promised}
"""
    return "\n\n".join([head.rstrip(), *map(text_of, sections)]) + "\n"


if __name__ == "__main__":
    main()
