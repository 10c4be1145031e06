"""Verify example scripts and notebooks that packages ship: `inferflow verify` on each that runs here without a network.

    python tools/corpus.py FOLDER                                  # everything is kept in FOLDER, and gone on with
    python tools/corpus.py FOLDER --package sympy --package simpy  # other packages than PACKAGES
    python tools/corpus.py FOLDER --notebooks                      # notebooks of the packages NOTEBOOKS
    python tools/corpus.py FOLDER --package lark --again           # once more, also what was verified before
    python tools/corpus.py FOLDER --again 2026-11-29T20:00         # what was not verified since then
    python tools/corpus.py FOLDER --table docs/corpus.md           # only write the table of what is there

pip downloads the source distributions by name and installs the packages into an environment in FOLDER; nothing of
it belongs into the repository. A script, or notebook, counts if it ends natively with status 0 within the time limit.
The table tells the same, different, refused (a diagnostic instead of a run), tasks found, how many of them ran ahead,
and how long the inferred run took in proportion to the native one. A second table tells how many loops, branches and
the like were seen from inside, how many stay one task, and for which reasons calls in them keep their order. Exit
status 1 if anything differs, or more than 2 % are refused.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "astropy", "autograd", "control", "deap", "filterpy", "graphviz", "h5py", "hmmlearn", "imbalanced-learn", "lark",
    "lmfit", "matplotlib", "mesa", "mpmath", "networkx", "pycparser", "pyparsing", "python-constraint", "PyWavelets",
    "scikit-fuzzy", "scikit-image", "scikit-learn", "simpy", "sqlalchemy", "statsmodels", "sympy", "tables", "tqdm",
    "tslearn",
)  # fmt: skip
NOTEBOOKS = ("control", "lmfit", "nbclient", "nbval", "papermill", "seaborn", "statsmodels")
BESIDE = ("numpy", "scipy", "pandas", "matplotlib", "scikit-learn", "pooch")
"""What examples import besides their own package."""
FOLDERS = re.compile(r"(^|/)(examples?|galleries|auto_examples|demos?)/")
NOT_EXAMPLES = re.compile(
    r"(^|/)(tests?|_\w+|widgets|user_interfaces|animation|event_handling|benchmarks?|applications?)/"
)
NO_NOTEBOOKS = re.compile(r"(^|/)\.|-checkpoint\.ipynb$")
TIME = "%Y-%m-%dT%H:%M"
COUNTING = ("same", "different", "refused", "hangs")
NO_SCRIPTS = re.compile(r"(^|/)(__init__|__main__|setup|conf|conftest|test_\w+|\w+_test|\w*sgskip|run|app|server)\.py$")


def main() -> int:
    """Download, install, verify, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--package", action="append", help="a package with examples; may be repeated")
    parser.add_argument("--notebooks", action="store_true", help="notebooks instead of scripts")
    parser.add_argument("--most", type=int, default=40, help="scripts of one package at most")
    parser.add_argument("--time", type=float, default=20.0, help="seconds that a side may take")
    parser.add_argument("--workers", type=int, default=1, help="scripts verified at once")
    parser.add_argument(
        "--again",
        nargs="?",
        metavar="SINCE",
        const=time.strftime(TIME),
        help="verify once more what was verified before this day, or time of a day (as now, if none is given)",
    )
    parser.add_argument("--table", type=Path, help="write the table there, as Markdown")
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    results = folder / "results.jsonl"
    if not given.table:
        packages = tuple(given.package or (NOTEBOOKS if given.notebooks else PACKAGES))
        python = _environment(folder, packages)
        if given.notebooks:
            _pip(python, "install", "-q", "-e", f"{ROOT}[notebook]")
        scripts = [one for name in packages for one in _scripts(folder, name, given.most, given.notebooks)]
        since = given.again or ""
        known = {(one["package"], one["script"]) for one in _read(results) if one["date"] >= since}
        todo = [one for one in scripts if one not in known]
        print(f"{len(scripts)} scripts, {len(todo)} to verify", flush=True)
        with ThreadPoolExecutor(given.workers) as pool:
            for result in pool.map(lambda one: _verify(folder, python, *one, given.time), todo):
                with open(results, "a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
                print(
                    f"{result['verdict']:9} {result['package']} {result['script']} {result['told']}"[:200], flush=True
                )
    found = _read(results)
    for what in ("scripts", "notebooks"):
        print(_table(found, what))
    if given.table:
        given.table.write_text(_document(found), encoding="utf-8")
    counting = [one["verdict"] for one in found if one["verdict"] in COUNTING]
    wrong = counting.count("different") + counting.count("hangs")
    return int(wrong > 0 or counting.count("refused") > 0.02 * len(counting))


# -- getting them --------------------------------------------------------------------------------------


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """An interpreter that has the packages and this inferflow."""
    venv = folder / "venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        _pip(python, "install", "-q", "-e", str(ROOT))
    for name in (*BESIDE, *packages):
        mark = folder / f"installed-{name}"
        if not mark.exists():
            mark.write_text(str(_pip(python, "install", "-q", name)))
    return python


def _pip(python: Path, *arguments: str) -> int:
    base = os.path.join(sys.base_prefix, "bin", "python3")
    return subprocess.run([base, "-m", "pip", "--python", str(python), *arguments]).returncode


def _scripts(folder: Path, package: str, most: int, notebooks: bool) -> Iterator[tuple[str, str]]:
    """Example scripts of a package (or all notebooks), spread evenly over what there is, unpacked in ``folder/src``."""
    unpacked = folder / "src" / package
    if not unpacked.exists() and not _download(folder, package, unpacked):
        print(f"no source distribution of {package}", flush=True)
        return
    names = sorted(p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*.ipynb" if notebooks else "*.py"))
    if notebooks:
        names = [name for name in names if not NO_NOTEBOOKS.search(name) and _is_python(unpacked / name)]
    else:
        names = [n for n in names if FOLDERS.search(n) and not NOT_EXAMPLES.search(n) and not NO_SCRIPTS.search(n)]
    step = max(1.0, len(names) / most)
    for at in range(min(most, len(names))):
        yield package, names[int(at * step)]


def _is_python(notebook: Path) -> bool:
    try:
        metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        return str(metadata.get("kernelspec", {}).get("language", "python")).lower() == "python"
    except (ValueError, KeyError, AttributeError):
        return False


def _download(folder: Path, package: str, target: Path) -> bool:
    """Have pip fetch and unpack the source distribution. pip also wants to build it, which is of no use here: without
    what that needs it stops at once, and what it unpacked is taken."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        base = os.path.join(sys.base_prefix, "bin", "python3")
        options = ["-q", "--no-deps", "--no-build-isolation", "--no-clean", "--no-binary", package, "-d", temporary]
        environ = {**os.environ, "TMPDIR": temporary}
        subprocess.run(
            [base, "-m", "pip", "download", *options, package], capture_output=True, env=environ, timeout=900
        )
        found = next(Path(temporary).glob("pip-*/*/PKG-INFO"), None)
        if found is None:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found.parent, target)
    return True


# -- verifying them ------------------------------------------------------------------------------------


def _verify(folder: Path, python: Path, package: str, script: str, seconds: float) -> dict[str, Any]:
    """Verify one script in a copy of its folder."""
    source = folder / "src" / package / script
    work = folder / "work" / package / script.replace("/", "-").rpartition(".")[0]
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source.parent, work, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".git", "venv"))
    (work / "inferflow.toml").write_text("")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("INFERFLOW_", "PYTHON"))}
    environ |= {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
    command = [str(python.parent / "inferflow"), "verify", source.name, "--json", "--timeout", f"{seconds:g}s"]
    result: dict[str, Any] = {"package": package, "script": script, "date": time.strftime(TIME), "told": ""}
    try:
        result["regions"] = _regions(python, source.name, work, environ)
        done = subprocess.run(command, cwd=work, env=environ, capture_output=True, text=True, timeout=10 * seconds + 60)
    except subprocess.TimeoutExpired:
        return {**result, "verdict": "hangs"}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
        slow = done.returncode == 124 and "native" in done.stderr
        hangs = done.returncode == 124 and not slow
        return {
            **result,
            "verdict": "slow" if slow else "hangs" if hangs else "refused",
            "told": done.stderr.strip()[-500:],
        }
    verdict = json.loads(done.stdout)
    trial = verdict["trials"][0]
    result.update(
        native=verdict["native_seconds"], inferred=trial["seconds"], tasks=trial["tasks"], ahead=trial["ahead"],
        excused=len(verdict["excused"]),
    )  # fmt: skip
    if not verdict["same"]:
        first = verdict["first"]["difference"]
        told = f"{first['row']} {first['place']}: {first['native'][:150]!r} and {first['inferred'][:150]!r}"
        return {**result, "verdict": "different", "told": told}
    return {**result, "verdict": "same" if verdict["exit_status"] == 0 else "fails natively"}


def _regions(python: Path, name: str, work: Path, environ: dict[str, str]) -> dict[str, int]:
    """How many regions of each kind the script has, tasks that stay opaque, and diagnostics by code."""
    command = [str(python.parent / "inferflow"), "preview", name, "--json"]
    done = subprocess.run(command, cwd=work, env=environ, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return {}
    graph = json.loads(done.stdout)
    found: dict[str, int] = {}
    todo = list(graph["tasks"])
    while todo:
        task = todo.pop()
        if task["kind"] == "opaque":
            found["opaque"] = found.get("opaque", 0) + 1
        for region in task.get("regions", ()):
            turn = region["arms"][0].get("tasks", ()) if region["kind"] in ("map", "loop") and region["arms"] else ()
            split = any(arm.get("stages") or arm.get("ahead") for arm in region["arms"])
            split = split or region["kind"] == "map" or any(not inner.get("home") for inner in turn)
            for what in (region["kind"], "split") if split else (region["kind"],):
                found[what] = found.get(what, 0) + 1
            todo += [inner for arm in region["arms"] for inner in arm.get("tasks", ())]
    for note in graph.get("diagnostics", ()):
        if note["code"].startswith("IF2"):
            found[note["code"]] = found.get(note["code"], 0) + 1
    return found


# -- telling -------------------------------------------------------------------------------------------


def _read(results: Path) -> list[dict[str, Any]]:
    if not results.exists():
        return []
    latest = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        latest[one["package"], one["script"]] = one
    return list(latest.values())


def _of(found: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """The results for ``scripts``, or for ``notebooks``."""
    return [one for one in found if one["script"].endswith(".ipynb") == (what == "notebooks")]


def _table(everything: list[dict[str, Any]], what: str) -> str:
    found = _of(everything, what)
    head = f"| package | {what} | same | different | refused | tasks | ahead | time, inferred/native (median) |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for package in [*sorted({one["package"] for one in found}, key=str.lower), ""]:
        counting = [
            one
            for one in found
            if package in ("", one["package"]) and one["verdict"] in ("same", "different", "refused", "hangs")
        ]
        if not counting:
            continue
        ran = [one for one in counting if "native" in one]
        numbers = [
            sum(one["verdict"] in kinds for one in counting)
            for kinds in (("same",), ("different", "hangs"), ("refused",))
        ]
        ratio = median(one["inferred"] / one["native"] for one in ran) if ran else 0.0
        tasks, ahead = (sum(one[name] for one in ran) for name in ("tasks", "ahead"))
        cells = [package or "**all**", len(counting), *numbers, tasks, ahead, f"{ratio:.2f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


REASONS = {
    "IF201": "the turns of a `for` loop follow one another",
    "IF202": "calls in an arm of an `if` do",
    "IF203": "the turns of a `while` loop do",
    "IF204": "calls in a `try` do",
    "IF205": "calls in a `with` do",
    "IF206": "calls in a case of a `match` do",
    "IF207": "a comprehension keeps its calls in order",
    "IF208": "a loop awaits",
    "IF209": "a function calls itself",
    "IF210": "`map` is asked bit by bit, or its calls stay at home",
    "IF211": "a generator runs bit by bit",
    "IF212": "a function is decorated",
    "IF213": "a function is defined inside of another, or in a class",
    "IF214": "a function that is defined inside uses the names of its own",
    "IF215": "other code uses the function too",
    "IF216": "a function is called deeper than is looked",
    "IF217": "a generator expression runs bit by bit",
    "IF218": "a statement stands inside of twelve others",
}
"""The diagnostics that keep a region whole, or in order, in a few words."""


def _regions_told(found: list[dict[str, Any]], what: str) -> list[str]:
    """What was found of regions in all scripts, or notebooks, together."""
    told: dict[str, int] = {}
    for one in _of(found, what):
        if one["verdict"] not in COUNTING:
            continue
        for name, number in one.get("regions", {}).items():
            told[name] = told.get(name, 0) + number
    kinds = ("map", "loop", "branch", "try", "with", "group", "split", "opaque")
    lines = [
        "",
        f"In the {what}:",
        "",
        "| " + " | ".join(kinds) + " |",
        "|" + "---|" * len(kinds),
        "| " + " | ".join(str(told.get(name, 0)) for name in kinds) + " |",
        "",
    ]
    reasons = sorted((name for name in told if name in REASONS), key=lambda name: -told[name])
    if reasons:
        lines += ["| why | times | |", "|---|---|---|"]
    lines += [f"| [{name}](diagnostics.md#{name.lower()}) | {told[name]} | {REASONS[name]} |" for name in reasons]
    return lines


def _document(found: list[dict[str, Any]]) -> str:
    dates = sorted({one["date"][:10] for one in found})
    scripts, books = (
        (sum(one["verdict"] == "fails natively" for one in part), sum(one["verdict"] == "slow" for one in part))
        for part in (_of(found, "scripts"), _of(found, "notebooks"))
    )
    odd = [one for one in found if one["verdict"] in ("different", "refused", "hangs")]
    lines = [
        "# The corpus",
        "",
        "Example scripts and notebooks from the source distributions of packages, each verified with",
        "`inferflow verify`: run natively and inferred, and compared in everything that the contract names. Made by",
        f"`python tools/corpus.py`, last on {dates[-1] if dates else 'no day'}.",
        "",
        _table(found, "scripts"),
        "",
        f"Left out: {scripts[0]} scripts that do not end with status 0 natively (a missing library, a file to be",
        f"fetched; inferred, they fail in the same way), and {scripts[1]} that take too long. *Ahead* counts",
        "tasks that ran in helpers. The times include starting up and, for the inferred side, the analysis and the",
        "record; most scripts take a second or two, and were measured on a busy machine.",
        "",
        "Notebooks, among them those that test packages which execute notebooks; natively a fresh kernel runs them:",
        "",
        _table(found, "notebooks"),
        "",
        f"Left out: {books[0]} notebooks in which a cell fails natively (many are there to test that), and {books[1]}",
        "that take too long.",
    ]
    lines += [
        "",
        "## Loops, branches and the like",
        "",
        "As `preview` sees them, in the scripts and notebooks that count above. *split*: of these, regions of which",
        "something may run ahead, or beside something else. Most of the others print, plot, or only call libraries.",
        "*opaque*: statements of which nothing is seen from inside. Below each table: why calls in a region keep their",
        "order, or a function is not opened.",
        *_regions_told(found, "scripts"),
        *_regions_told(found, "notebooks"),
    ]
    if odd:
        lines += ["", "Not the same:", ""]
        lines += [f"- {one['package']}, `{one['script']}`: {one['verdict']}, {one['told']}" for one in odd]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
