"""The command line in this process: what each command answers, how mistakes are told, and the exit status."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from inferflow.cli import app
from inferflow.cli.app import COMMANDS, execute
from inferflow.cli.init import TEMPLATE

DRIVER = """\
import sys
import steps

def main(C: float = 1.0):
    rows = steps.load(3)
    model = steps.fit(rows, C=C)
    print("model", model)
    return model

if __name__ == "__main__":
    main()
"""
STEPS = "def load(n):\n    return list(range(n))\n\ndef fit(rows, C):\n    return sum(rows) * C\n"


class Said(NamedTuple):
    status: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "flow"
    root.mkdir()
    (root / ".git").mkdir()
    (root / "driver.py").write_text(DRIVER)
    (root / "steps.py").write_text(STEPS)
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("INFERFLOW_")]:
        monkeypatch.delenv(name)
    return root


@pytest.fixture
def cli(project: Path, capfd: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Said:
        capfd.readouterr()
        status = execute(arguments)
        return Said(status, *capfd.readouterr())

    return call


# -- the command line itself -----------------------------------------------------------------------


def test_version_and_help(cli: Cli) -> None:
    from inferflow import __version__

    assert cli("--version").out.startswith(f"inferflow {__version__} ")
    assert cli("-h") == cli("--help")
    assert all(name in cli("--help").out for name in COMMANDS)
    for name in COMMANDS:
        said = cli(name, "--help")
        assert said.status == 0
        assert said.out.startswith(f"Usage: inferflow {name} ")
        assert "-C DIR" in said.out


def test_help_of_run_has_the_parameters_of_the_driver(cli: Cli, project: Path) -> None:
    (project / "doc.py").write_text(
        'def main(C: float = 1.0, *, n):\n    """Fit.\n\n    :param C: inverse strength\n    """\n'
    )
    said = cli("run", "doc.py:main", "--help")
    assert said.status == 0
    tail = said.out.split("\n\n")[-1].splitlines()
    assert tail == ["Parameters of doc.py:main (-p NAME=VALUE):", "  C: float = 1.0  inverse strength", "  n"]


def test_every_command_and_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/cli.md").read_text()
    for name in COMMANDS:
        command = app.build().get_command(None, name)
        assert f"`{name}" in page
        for option in (option for parameter in command.params for option in parameter.opts if option.startswith("--")):
            assert option in page or option in ("--output", "--verbose", "--quiet"), (name, option)


def test_nothing_asked_is_help_on_stderr(cli: Cli) -> None:
    said = cli()
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("Usage: inferflow ")


@pytest.mark.parametrize(
    ("line", "status", "message", "hint"),
    [
        (["preveiw"], 2, "there is no command 'preveiw'", "did you mean: inferflow preview"),
        (["ls"], 2, "there is no command 'ls'", "did you mean: inferflow runs"),
        (["driver.py"], 2, "there is no command 'driver.py'", "to run it: inferflow run driver.py"),
        (["approve", "driver.py"], 2, "there is no command 'approve'", "the commands are"),
        (["preview"], 2, "missing argument 'driver'", "inferflow preview --help"),
        (["run", "driver.py", "--epochs", "3"], 2, "no such option: --epochs", "run driver.py -- --its-option"),
        (["run", "driver.py", "3"], 2, "'3' is one argument too many", "inferflow run driver.py -- 3"),
        (["run", "driver.py", "3", "--", "4"], 2, "'3' is one argument too many", ""),
        (["run", "driver.py", "--cached"], 2, "no such option: --cached", ""),
        (["run", "driver.py", "-j", "0"], 2, "option --jobs is '0'; it must be a number of processes", ""),
        (["run", "driver.py", "-b", "doker"], 2, "option --backend is 'doker'", ""),
        (["run", "driver.py", "--timeout", "soon"], 2, "option --timeout is 'soon'; it must be a duration", ""),
        (["preview", "driver.py", "--format", "pdf"], 2, "--format is 'pdf'; it must be one of tree, table", ""),
        (["preview", "driver.py", "--why", "lood"], 2, "driver.py has no task 'lood'", "did you mean load?"),
        (["preview", "drver.py"], 3, "IF001 no such file: 'drver.py'", "did you mean driver.py?"),
        (["run", "drver.py"], 3, "IF001 no such file: 'drver.py'", "did you mean driver.py?"),
        (["preview", "driver.py:mian"], 3, "IF004 no function 'mian' in driver.py", "did you mean main?"),
        (["run", "driver.py:main", "-p", "c=1"], 2, "driver.py:main takes no parameter 'c'", "did you mean C?"),
        (["run", "driver.py:main", "-p", "C=x"], 2, "parameter 'C' is 'x'; it must be a number", "C: float = 1.0"),
        (["runs", "--limit", "x"], 2, "--limit is 'x'; it must be a number", ""),
        (["prune", "--older-than", "x"], 2, "--older-than is 'x'; it must be a duration", ""),
        (["-C", "nowhere", "runs"], 2, "-C nowhere: No such file or directory", ""),
        (["--color", "pink", "runs"], 2, "option --color is 'pink'; it must be one of auto, always, never", ""),
        (["--config", "no.toml", "runs"], 2, "cannot read", ""),
        (["show", "latest"], 2, "there is no run in", "inferflow run driver.py"),
        (["get", "latest", "x"], 2, "there is no run in", ""),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_words(cli: Cli, line: list[str], status: int, message: str, hint: str) -> None:
    said = cli(*line)
    assert (said.status, said.out) == (status, "")
    first, _, rest = said.err.partition("\n")
    assert first.startswith("inferflow: ")
    assert message.lower() in first.lower()
    assert hint in rest


def test_settings_mistakes_name_the_line(cli: Cli, project: Path) -> None:
    (project / "inferflow.toml").write_text("jobs = 2\nbakend = 'inline'\n")
    said = cli("preview", "driver.py")
    assert said.status == 2
    assert said.err == f"inferflow: {project}/inferflow.toml:2: unknown setting 'bakend'\n  did you mean backend?\n"


def test_a_syntax_error_is_shown_as_python_shows_it(cli: Cli, project: Path) -> None:
    (project / "bad.py").write_text("x = (\n")
    said = cli("preview", "bad.py")
    assert said.status == 3
    assert said.err == f"  File \"{project}/bad.py\", line 1\n    x = (\n        ^\nSyntaxError: '(' was never closed\n"


def test_a_fault_of_ours_is_one_line_and_a_file(cli: Cli, monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    (project / ".inferflow").mkdir()

    def broken() -> None:
        raise RuntimeError("the roof is on fire")

    monkeypatch.setattr(app, "build", broken)
    said = cli("preview", "driver.py")
    assert (said.status, said.out) == (70, "")
    assert "this is a fault of inferflow, not of your code (RuntimeError: the roof is on fire)" in said.err
    assert "Traceback" not in said.err
    kept = Path(said.err.split("please report it with ")[1].strip())
    assert kept.parent == project / ".inferflow/tmp"
    assert "Traceback" in kept.read_text()


def test_shared_options_stand_before_or_behind(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    before = cli("-C", "flow", "preview", "driver.py", "--format", "table")
    monkeypatch.chdir(project.parent)
    behind = cli("preview", "-C", "flow", "driver.py", "--format", "table")
    assert before == behind
    assert before.status == 0
    assert "\x1b[" not in before.out
    monkeypatch.chdir(project)
    assert "\x1b[" in cli("preview", "driver.py", "--color", "always").out
    assert "settings: none" in cli("-v", "preview", "driver.py").err


# -- commands --------------------------------------------------------------------------------------


def test_preview_has_every_format(cli: Cli, project: Path) -> None:
    from inferflow.cli.preview import FORMATS

    for form in FORMATS:
        said = cli("preview", "driver.py", "--format", form)
        assert said.status == 0, said.err
        assert said.out.endswith("\n")
        assert "load" in said.out
    assert json.loads(cli("preview", "driver.py", "--json").out)["target"] == "driver.py"
    assert cli("preview", "driver.py", "--format", "json", "-o", "graph.json").out == ""
    assert (project / "graph.json").read_text() == cli("preview", "driver.py", "--json").out


def test_preview_explains_tasks(cli: Cli) -> None:
    assert "load" in cli("preview", "driver.py", "--why", "load,fit").out
    assert cli("preview", "driver.py", "--why", "f*").out == cli("preview", "driver.py", "--why", "fit").out


def test_preview_runs_nothing_and_works_where_nothing_can_be_written(cli: Cli, project: Path) -> None:
    (project / "steps.py").write_text("open('touched', 'w')\n" + STEPS)
    (project / ".inferflow").write_text("in the way")
    assert cli("preview", "driver.py").status == 0
    assert not (project / "touched").exists()


def test_runs_of_a_new_project(cli: Cli, project: Path) -> None:
    assert cli("runs").status == 0
    assert json.loads(cli("runs", "--json").out) == []
    assert "nothing to free" in cli("prune").out
    assert not (project / ".inferflow").exists()


def test_init_writes_settings_that_are_all_known(cli: Cli, project: Path) -> None:
    assert cli("init").out == f"wrote {project}/inferflow.toml\n"
    assert (project / "inferflow.toml").read_text() == TEMPLATE
    assert cli("init").status == 2
    assert cli("init", "--force").status == 0
    live = "".join(
        line.removeprefix("# ") for line in TEMPLATE.splitlines(keepends=True) if "=" in line or "# [" in line
    )
    live = "\n".join(line for line in live.splitlines() if line.startswith("[") or line.split(" = ")[0].isidentifier())
    (project / "inferflow.toml").write_text(live.replace('catalogue = ["effects"]', "catalogue = []"))
    assert cli("runs").err == ""


def test_init_does_not_compete_with_pyproject(cli: Cli, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.inferflow]\n")
    assert "has settings already" in cli("init").err


def test_doctor(cli: Cli, project: Path) -> None:
    said = cli("doctor")
    subjects = [line.split()[1] for line in said.out.splitlines() if line[:4].strip() in ("ok", "warn", "fail")]
    assert {"python", "packages", "settings", "backend", "processes", "disk"} <= set(subjects)
    assert said.status == 0
    (tracing,) = (line for line in said.out.splitlines() if line.split()[1:2] == ["tracing"])
    assert "off; " in tracing
    (project / "inferflow.toml").write_text("trace = true\n")
    (tracing,) = (found for found in json.loads(cli("doctor", "--json").out) if found["subject"] == "tracing")
    assert tracing["status"] in ("ok", "warn")
    assert "trace" in tracing["hint"] or "wherever they are" in tracing["text"]
    (project / "inferflow.toml").write_text("jobs = 0\n")
    (project / ".inferflow").write_text("in the way")
    sick = cli("doctor", "--json")
    assert sick.status == 4
    failed = {found["subject"]: found for found in json.loads(sick.out) if found["status"] == "fail"}
    assert set(failed) == {"settings", "store"}
    assert all(found["hint"] or found["subject"] == "settings" for found in failed.values())


def test_dry_run_checks_parameters_and_runs_nothing(cli: Cli, project: Path) -> None:
    assert cli("run", "driver.py:main", "-p", "C=2", "--dry-run").out == cli("preview", "driver.py:main").out
    assert cli("run", "driver.py:main", "-p", "D=2", "--dry-run").status == 2
    assert not (project / ".inferflow/inferflow.db").exists()


# -- completion ------------------------------------------------------------------------------------


def complete(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    monkeypatch.setenv("_INFERFLOW_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        execute([])
    said = capfd.readouterr()
    assert (caught.value.code, said.err) == (0, "")
    return said.out.split()


def test_completion(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    assert complete(capfd, monkeypatch, "inferflow ru") == ["run", "runs"]
    assert complete(capfd, monkeypatch, "inferflow preview dr") == ["driver.py"]
    assert complete(capfd, monkeypatch, "inferflow preview driver.py --format t") == ["tree", "table"]
    assert complete(capfd, monkeypatch, "inferflow preview driver.py --why f") == ["fit"]
    assert complete(capfd, monkeypatch, "inferflow run -b i") == ["inline"]
    assert complete(capfd, monkeypatch, "inferflow show lat") == ["latest"]
    assert complete(capfd, monkeypatch, "inferflow get latest x --format cs") == ["csv"]
    assert complete(capfd, monkeypatch, "inferflow show none ") == []
