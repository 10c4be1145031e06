"""Draw what a terminal shows as an SVG picture, for the README.

    python tools/picture.py                      # redraws every picture of docs/images
    python tools/picture.py OUT.svg COMMAND...   # one picture, of any command that prints colours

The command runs in the folder of the examples as ``inferflow --color always ...``, 80 columns wide. The picture is
light or dark as the reader's system is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {
    "preview.svg": ["preview", "iris/driver.py"],
    "model_comparison.svg": ["preview", "model_comparison/driver.py"],
}
COLUMNS = 80
CELL, LINE, SIZE = 8.43, 17.0, 14  # pixels; LINE is as high as the box characters of common fonts are
MARGIN, BAR = 22.0, 34.0

LIGHT = {"paper": "#ffffff", "edge": "#d8dee8", "": "#1d2433", "2": "#7b8698", "1": "#10151f"}
LIGHT |= {"31": "#c53030", "1;31": "#c53030", "32": "#2f855a", "33": "#b7791f", "36": "#1f6fae"}
DARK = {"paper": "#12161d", "edge": "#2c3440", "": "#dde3ee", "2": "#8490a4", "1": "#ffffff"}
DARK |= {"31": "#f87171", "1;31": "#f87171", "32": "#68d391", "33": "#e0b25b", "36": "#7fb4ee"}
NAMES = {"": "t", "1": "b", "2": "d", "31": "r", "1;31": "f", "32": "g", "33": "y", "36": "c"}

ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
RUN = re.compile(r" {2,}|\S+(?: \S+)*")


def main() -> None:
    if len(sys.argv) > 2:
        Path(sys.argv[1]).write_text(draw(sys.argv[2:]), encoding="utf-8")
        return
    for name, command in PICTURES.items():
        path = ROOT / "docs" / "images" / name
        path.write_text(draw(command), encoding="utf-8")
        print(path.relative_to(ROOT))


def draw(command: list[str]) -> str:
    """The picture of a command and what it prints."""
    environ = {**os.environ, "COLUMNS": str(COLUMNS), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", "--color", "always", *command],
        cwd=ROOT / "examples",
        env=environ,
        capture_output=True,
        check=True,
        text=True,
        encoding="utf-8",
    )
    prompt = f"\x1b[2m$\x1b[0m \x1b[1minferflow {' '.join(command)}\x1b[0m"
    return picture([prompt, "", *done.stdout.rstrip("\n").split("\n")])


def picture(lines: list[str]) -> str:
    width = round(2 * MARGIN + COLUMNS * CELL)
    height = round(BAR + MARGIN + len(lines) * LINE)
    text = "\n".join(_line(line, BAR + LINE * (number + 0.8)) for number, line in enumerate(lines) if line)
    style = _style(LIGHT) + "@media (prefers-color-scheme:dark){" + _style(DARK) + "}"
    dots = "".join(f'<circle class="e" cx="{MARGIN + 18 * n}" cy="18" r="5.5"/>' for n in range(3))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(ESCAPE.sub("", lines[0]))}">\n<style>'
        f'text{{font:{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}}'
        f".b,.f{{font-weight:600}}{style}</style>\n"
        f'<rect class="p" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9"/>{dots}\n{text}\n</svg>\n'
    )


def _style(colors: dict[str, str]) -> str:
    rules = [f".{name}{{fill:{colors[code]}}}" for code, name in NAMES.items()]
    return "".join(rules) + f".p{{fill:{colors['paper']};stroke:{colors['edge']}}}.e{{fill:{colors['edge']}}}"


def _line(line: str, y: float) -> str:
    """One text element for each stretch without wide gaps: so every stretch stands in its column, whatever the font."""
    parts = []
    column, code, position = 0, "", 0
    for match in [*ESCAPE.finditer(line), None]:
        text = line[position : match.start() if match else len(line)]
        for run in RUN.finditer(text):
            if run[0].strip():
                x = MARGIN + CELL * (column + run.start())
                long = f' textLength="{CELL * len(run[0]):.1f}"' if len(run[0]) > 1 else ""
                parts.append(f'<text class="{NAMES[code]}" x="{x:.1f}" y="{y:.1f}"{long}>{escape(run[0])}</text>')
        column += len(text)
        if match:
            code, position = match[1] if match[1] != "0" else "", match.end()
    return "".join(parts)


if __name__ == "__main__":
    main()
