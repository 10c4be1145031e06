"""Command lines that need no reading: home is told before anything else is loaded, and imports happen once all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferflow.cli import _plain

DRIVER = """\
print("imported")


def f(x):
    return x


if __name__ == "__main__":
    import sys

    print(f(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run d.py", ("d.py", (), None, False)),
        ("run -q d.py -- -x --json", ("d.py", ("-x", "--json"), None, True)),
        ("run d.py -j 3", ("d.py", (), "3", False)),
        ("-q run --jobs auto d.py:main", ("d.py:main", (), "auto", True)),
        ("run --", None),
        ("run d.py -j", None),
        ("run d.py e.py", None),
        ("run -p x=1 d.py", None),
        ("run -j3 d.py", ("d.py", (), "3", False)),
        ("run --jobs=auto d.py", ("d.py", (), "auto", False)),
        ("run --jobs= d.py", None),
        ("run -jq d.py", None),
        ("run --json d.py", None),
        ("preview d.py", None),
    ],
)
def test_which_command_lines_are_plain(line: str, expected: object) -> None:
    assert _plain(line.split()) == expected


def run(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from inferflow.cli import main; main()", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=400, env={**os.environ, **environ}, check=False
    )


@pytest.mark.parametrize("options", [[], ["-v"]], ids=["plain", "read by typer"])
@pytest.mark.parametrize(
    ("settings", "environ"),
    [("", {}), ("jobs = 1\n", {}), ('backend = "inline"\n', {}), ("", {"INFERFLOW_BACKEND": "inline"})],
)
def test_a_driver_is_imported_once(options: list[str], settings: str, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "inferflow.toml").write_text(settings)
    (tmp_path / "driver.py").write_text(DRIVER)
    done = run(tmp_path, "run", *options, "driver.py", "--", "-a", **environ)
    assert (done.stdout, done.returncode) == ("imported\n['-a']\n", 0), done.stderr
    assert os.listdir(tmp_path / ".inferflow" / "tmp") == []


@pytest.mark.parametrize("options", [[], ["-v"]], ids=["plain", "read by typer"])
@pytest.mark.parametrize(
    ("settings", "store", "status", "said"),
    [
        ("backnd = 1\n", "", 2, "backend"),
        ("", "a file", 4, "is not a folder"),
        ("", "a newer one", 4, "written by a newer inferflow"),
    ],
)
def test_nothing_of_the_driver_runs_where_it_cannot_be_recorded(
    options: list[str], settings: str, store: str, status: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "inferflow.toml").write_text(settings)
    (tmp_path / "driver.py").write_text(DRIVER)
    if store == "a file":
        (tmp_path / ".inferflow").write_text("")
    elif store:
        (tmp_path / ".inferflow").mkdir()
        (tmp_path / ".inferflow" / "version").write_text("99\n")
    done = run(tmp_path, "run", *options, "driver.py")
    assert (done.stdout, done.returncode) == ("", status)
    assert said in done.stderr


def test_a_syntax_error_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("print('x')\ndef f(:\n")
    done = run(tmp_path, "run", "driver.py")
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr.count("SyntaxError") == 1
