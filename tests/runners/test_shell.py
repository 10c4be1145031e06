"""``inferflow.shell``, with the shells and interpreters that this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import inferflow
from inferflow.runners import ReturnsMissing
from inferflow.runners.shell import interpreter_of

SHELLS = [name for name in ("bash", "dash", "zsh", "ksh") if shutil.which(name)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_hands_variables_out_and_prints_as_it_goes(capfd: pytest.CaptureFixture[str]) -> None:
    assert inferflow.shell("echo hello; score=$(echo 3 | tr 3 4); text=\"a\nb = 'c' \"", returns=("score", "text")) == (
        "4",
        "a\nb = 'c' ",
    )
    assert capfd.readouterr().out == "hello\n"
    assert inferflow.shell("x=1", returns="x") == "1"
    assert inferflow.shell("x=1") is None


def test_what_was_printed_before_comes_before(here: Path) -> None:
    (here / "d.py").write_text("import inferflow\nprint(1)\ninferflow.shell('echo 2')\nprint(3)\n")
    assert subprocess.check_output([sys.executable, "d.py"], text=True) == "1\n2\n3\n"


def test_variables_go_in_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("UNWANTED", "x")
    given = {"lr": 0.1, "on": True, "path": Path("a/b"), "names": ["a", 1], "UNWANTED": None}
    text = 'all="$INHERITED|$lr|$on|$path|$names|${UNWANTED-gone}|$1"'
    assert inferflow.shell(text, "first arg", env=given, returns="all") == 'yes|0.1|true|a/b|["a", 1]|gone|first arg'
    with pytest.raises(TypeError, match="object cannot be handed"):
        inferflow.shell("true", env={"x": object()})


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_keeps_its_name_arguments_and_own_traps(
    shell: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "train.sh").write_text(
        f'#!/usr/bin/env {shell}\ntrap \'echo cleaned\' EXIT\necho "$0 $1"\nscore=0.5\n[ -z "$2" ] || false\nlast=1\n'
    )
    assert inferflow.shell("train.sh", "a", "", returns=("score", "last")) == ("0.5", "1")
    assert capfd.readouterr().out == "train.sh a\ncleaned\n"
    with pytest.raises(subprocess.CalledProcessError):
        inferflow.shell("train.sh", "a", "b", returns="score")
    assert capfd.readouterr().out == "train.sh a\ncleaned\n"


def test_a_script_of_bash_is_the_main_program(here: Path) -> None:
    """Line numbers, ``BASH_SOURCE`` and ``exit`` are what they are without us; arrays come as lists and dicts."""
    (here / "b.sh").write_text(
        'declare -A best=([lr]=0.1 [name]="x y")\nfiles=(a.csv "b c.csv")\nempty=()\n'
        'main="$( [ "${BASH_SOURCE[0]}" = "$0" ] && echo yes ) $LINENO"\n(trap "echo inner" EXIT)\nexit 0\n'
    )
    found = inferflow.shell(Path("b.sh"), returns=("best", "files", "empty", "main"))
    assert found == ({"lr": "0.1", "name": "x y"}, ["a.csv", "b c.csv"], [], "yes 4")


def test_a_status_in_the_trap_is_the_native_one(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "t.sh").write_text("trap 'echo status $?; x=1' EXIT\ny=2\nexit 3\n")
    native = subprocess.run(["bash", "-eu", "t.sh"], capture_output=True, text=True)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        inferflow.shell("t.sh", returns="y")
    assert (caught.value.returncode, capfd.readouterr().out) == (native.returncode, native.stdout)


def test_a_bash_env_of_the_users_is_read_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "env.sh").write_text("mine=1\n")
    monkeypatch.setenv("BASH_ENV", str(here / "env.sh"))
    got = inferflow.shell("x=$(bash -c 'echo \"$mine $BASH_ENV\"')", returns=("mine", "x"))
    assert got == ("1", f"1 {here / 'env.sh'}")


@pytest.mark.parametrize("text", ["false; echo no", "false | cat; echo no", "echo $not_set; echo no"])
def test_strict_mode(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        inferflow.shell(text)
    assert "no\n" not in capfd.readouterr().out.splitlines(keepends=True)


def test_what_is_missing_is_an_error() -> None:
    with pytest.raises(ReturnsMissing, match=r"did not set 'scoer' \(it left: score\)"):
        inferflow.shell("score=1", returns=("score", "scoer"))
    with pytest.raises(ReturnsMissing, match="INFERFLOW_RETURNS"):
        inferflow.shell([sys.executable, "-c", "x = 1"], returns="x")
    with pytest.raises(ValueError, match="not the name"):
        inferflow.shell("true", returns="a b")


def test_statuses_are_native() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        inferflow.shell("exit 7")
    assert caught.value.returncode == 7
    with pytest.raises(subprocess.TimeoutExpired):
        inferflow.shell("sleep 5", timeout=0.2)


@pytest.mark.parametrize(
    ("name", "program", "text"),
    [
        ("s.pl", "perl", 'open(F, ">>", $ENV{INFERFLOW_RETURNS}); print F "score=0.5\\n{\\"k\\": [1, $ENV{n}]}\\n";'),
        ("s.awk", "awk", 'BEGIN { print "score=0.5" >> ENVIRON["INFERFLOW_RETURNS"]; f = ENVIRON["INFERFLOW_RETURNS"]; print "{\\"k\\": [1, " ENVIRON["n"] "]}" >> f }'),
        ("s.js", "node", 'require("fs").appendFileSync(process.env.INFERFLOW_RETURNS, "score=0.5\\n" + JSON.stringify({k: [1, +process.env.n]}))'),
        ("s.py", "python3", 'import os, json; print("score=0.5", json.dumps({"k": [1, int(os.environ["n"])]}), sep="\\n", file=open(os.environ["INFERFLOW_RETURNS"], "a"))'),
    ],
)  # fmt: skip
def test_any_language_returns_lines_of_a_file(name: str, program: str, text: str, here: Path) -> None:
    if shutil.which(program) is None:
        assert not (os.environ.get("CI") and program in ("perl", "awk"))
        pytest.skip(f"there is no {program}")
    (here / name).write_text(text)
    assert inferflow.shell(name, env={"n": 2}, returns=("score", "k")) == ("0.5", [1, 2])


def test_a_line_that_is_neither_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 1 of "):
        inferflow.shell("echo what >> $INFERFLOW_RETURNS", returns="x")


def test_who_runs_a_script(here: Path) -> None:
    for name, text in {"a.py": "", "b": "#!/bin/sh -x\n", "c": "#!/usr/bin/env -S A=1 sh -e\n", "d.sh": ""}.items():
        (here / name).write_text(text)
    assert interpreter_of("a.py") == [sys.executable]
    assert interpreter_of("b") == ["/bin/sh", "-x"]
    assert interpreter_of("c") == [shutil.which("sh"), "-e"]
    assert interpreter_of("d.sh") == [shutil.which("bash")]
    (here / "x.unknown").write_text("")
    with pytest.raises(ValueError, match="pass a list"):
        interpreter_of("x.unknown")
    with pytest.raises(FileNotFoundError, match="no such script"):
        inferflow.shell("gone.sh")


def test_the_folder_is_the_commands_only(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "w.sh").write_text("where=$(pwd)\n")
    assert inferflow.shell("w.sh", cwd="sub", returns="where") == os.path.realpath(here / "sub")
    assert os.getcwd() == str(here)


def test_a_command_may_run_inferflow_itself() -> None:
    """The variable with the file of returned values is none of its settings."""
    inferflow.shell(f"{sys.executable} -m inferflow runs > /dev/null", returns=())
