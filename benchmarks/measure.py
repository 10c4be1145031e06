"""What all benchmarks share: an environment with the wheel installed, clocks, and tables.

A section is a function that takes a :class:`Bench` and gives a :class:`Section`. Times are seconds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import site
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bench:
    """Where and how to measure. ``python`` and ``inferflow`` are those of the environment with the wheel."""

    python: str
    inferflow: str
    folder: Path
    quick: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)

    def new_folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def run(self, command: Sequence[str], folder: Path) -> tuple[float, str]:
        """Run a command to its end: how long it took, start to exit, and its stdout. A failure ends the benchmark."""
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=dict(self.environ), capture_output=True, text=True)
        taken = time.perf_counter() - start
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return taken, done.stdout

    def measure_python(self, code: str, *arguments: str, folder: Path | None = None) -> dict[str, float]:
        """Run a piece of Python in the environment of the wheel; its last line of output is a JSON object."""
        _, output = self.run([self.python, "-c", code, *arguments], folder or self.folder)
        result: dict[str, float] = json.loads(output.splitlines()[-1])
        return result


@dataclass(frozen=True)
class Target:
    """A figure that was promised. ``met`` is None where it is shown only for comparison."""

    what: str
    promised: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Section:
    title: str
    text: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    targets: list[Target] = field(default_factory=list)
    note: str = ""


def alternate(times: int, **measured: Callable[[], T]) -> dict[str, list[T]]:
    """Measure each in turn, ``times`` times over, so that what else the machine does meets all alike."""
    found: dict[str, list[T]] = {name: [] for name in measured}
    for _ in range(times):
        for name, measure in measured.items():
            found[name].append(measure())
    return found


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def processor_time() -> float:
    """Seconds of processor time, user and system, of all child processes that have ended so far, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(bench: Bench, command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run a command: how long it took, start to exit, and the processor time that it used with all its children."""
    before = processor_time()
    taken, _ = bench.run(command, folder)
    return taken, processor_time() - before


def seconds(value: float) -> str:
    if value < 0.000_001:
        return f"{value * 1e9:.0f} ns"
    if value < 0.001:
        return f"{value * 1e6:.1f} µs"
    if value < 0.1:
        return f"{value * 1e3:.2f} ms"
    return f"{value:.2f} s"


def milliseconds(value: float) -> str:
    return f"{value * 1e3:.2f} ms"


def best_and_middle(values: Sequence[float]) -> str:
    return f"{seconds(middle(values))} (best {seconds(min(values))})"


def clear_store(folder: Path) -> None:
    shutil.rmtree(folder / ".inferflow", ignore_errors=True)


@contextmanager
def environment(quick: bool, keep: Path | None = None) -> Iterator[Bench]:
    """A temporary environment with the wheel of this tree; its libraries are those of the running interpreter."""
    with tempfile.TemporaryDirectory(prefix="inferflow-benchmark-") as name:
        folder = Path(name)
        environ = {
            key: value
            for key, value in os.environ.items()
            if key not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED", "VIRTUAL_ENV"}
            and not key.startswith("INFERFLOW_")
        }
        environ["XDG_CACHE_HOME"] = str(folder / "cache")
        place = folder / "venv"
        venv.create(place, with_pip=False)
        python = place / "bin" / "python"
        print("building the wheel", file=sys.stderr)
        source = folder / "source"
        source.mkdir()
        for part in ("src", "pyproject.toml", "README.md", "LICENSE"):
            origin = ROOT / part
            copy = shutil.copytree if origin.is_dir() else shutil.copy2
            copy(origin, source / part)
        # an environment as .ci/run makes it has no pip of its own
        installer = sys.executable if importlib.util.find_spec("pip") else str(sys._base_executable)  # type: ignore[attr-defined]
        pip = [installer, "-m", "pip", "--python", str(python), "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--no-deps", str(source)], check=True, env=environ)
        # the libraries, which stand in the environment of the running interpreter
        (target,) = (place / "lib").glob("python*/site-packages")
        (target / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        subprocess.run([python, "-m", "compileall", "-q", target], check=False, env=environ)
        yield Bench(str(python), str(place / "bin" / "inferflow"), folder, quick, environ)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
