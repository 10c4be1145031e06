"""Settings come from a file, the environment and flags, in that order; what is wrong names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferflow.config.project import project_root
from inferflow.config.settings import KEYS, Settings, find_settings_file, load_settings
from inferflow.config.toml import key_line
from inferflow.config.values import Refused, available_cpus, parse_duration, parse_jobs
from inferflow.errors import WrongUse


def load(folder: Path, flags: dict[str, object] | None = None, **environ: str) -> Settings:
    return load_settings(folder, environ=environ, flags=flags)


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    settings = load(tmp_path / "a/b")
    assert settings == Settings(root=tmp_path, store=tmp_path / ".inferflow", jobs=available_cpus())


def test_flags_over_environment_over_file(tmp_path: Path) -> None:
    (tmp_path / "inferflow.toml").write_text('backend = "inline"\njobs = 3\ntimeout = "1h"\nstore = "kept"\n')
    settings = load(tmp_path, {"jobs": "5", "backend": None}, INFERFLOW_TIMEOUT="90s", INFERFLOW_JOBS="4")
    assert (settings.backend, settings.jobs, settings.timeout) == ("inline", 5, 90.0)
    assert settings.store == tmp_path / "kept"
    assert settings.file == tmp_path / "inferflow.toml"


def test_the_nearest_file_upwards_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.inferflow]\njobs = 7\n")
    (tmp_path / "a/pyproject.toml").write_text("[project]\nname = 'inferflow-user'\n")
    assert find_settings_file(inner) == tmp_path / "pyproject.toml"
    settings = load(inner)
    assert settings.jobs == 7
    assert settings.root == tmp_path / "a"
    (tmp_path / "a/inferflow.toml").write_text("jobs = 8\n")
    assert load(inner).jobs == 8
    assert load_settings(inner, config=tmp_path / "pyproject.toml", environ={}).jobs == 7
    assert load(inner, INFERFLOW_CONFIG=str(tmp_path / "pyproject.toml")).jobs == 7


def test_two_files_in_one_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.inferflow]\njobs = 7\n")
    (tmp_path / "inferflow.toml").write_text("jobs = 8\n")
    with pytest.raises(WrongUse, match="settings stand in both"):
        load(tmp_path)


def test_the_table_may_be_written_as_in_pyproject(tmp_path: Path) -> None:
    (tmp_path / "inferflow.toml").write_text('[tool.inferflow]\nbackend = "inline"\n')
    assert load(tmp_path).backend == "inline"


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("jobs = 2\n\nbakend = 'inline'\n", 3, "unknown setting 'bakend'", "did you mean backend?"),
        ("retries = 2\n", 1, "unknown setting 'retries'", "known: backend, base, catalogue, "),
        ("[tasks.'fit*']\nhom = true\n", 2, "unknown setting 'hom' of tasks 'fit*'", "did you mean home?"),
        ("[tasks.'fit*']\nretries = 2\n", 2, "unknown setting 'retries' of tasks 'fit*'", "known: backend, cpus, "),
        ("[tasks.'fit*']\nmemory = '1kB'\n", 2, "setting 'memory' of tasks 'fit*' is '1kB'; it must be a size", ""),
        ("cpus = 0\n", 1, "setting 'cpus' is 0; it must be a number of processors", ""),
        ("mounts = ['a:b']\n", 1, "it must be a list of", ""),
        ("[tasks.fit]\nhome = 1\n", 2, "setting 'home' of tasks 'fit' is 1; it must be true or false", ""),
        ("tasks = 3\n", 1, "'tasks' must be tables", "home = true"),
        ("\njobs = 0\n", 2, "setting 'jobs' is 0; it must be a number of processes (1 to 4096)", ""),
        ("jobs = true\n", 1, "setting 'jobs' is True", ""),
        ("timeout = 'soon'\n", 1, "setting 'timeout' is 'soon'; it must be a duration such as", ""),
        ("start = 'forkserver'\n", 1, "it must be one of auto, fork, spawn", ""),
        ("backend = 'proces'\n", 1, "(did you mean process?)", ""),
        ("params = 3\n", 1, "a table of parameters", ""),
        ("catalogue = ['none']\n", 1, "there is no folder", ""),
        ("jobs = \n", 1, "this is not TOML", ""),
    ],
)
def test_mistakes_name_file_line_and_what_was_meant(
    tmp_path: Path, text: str, line: int, message: str, hint: str
) -> None:
    file = tmp_path / "inferflow.toml"
    file.write_text(text)
    with pytest.raises(WrongUse) as caught:
        load(tmp_path)
    assert caught.value.span is not None
    assert (caught.value.span.path, caught.value.span.line) == (str(file), line)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_mistakes_in_environment_and_flags(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="unknown environment variable INFERFLOW_JOB") as caught:
        load(tmp_path, INFERFLOW_JOB="2")
    assert caught.value.hint == "did you mean INFERFLOW_JOBS?"
    with pytest.raises(WrongUse, match="environment variable INFERFLOW_JOBS is 'x'"):
        load(tmp_path, INFERFLOW_JOBS="x")
    with pytest.raises(WrongUse, match="option --timeout is '-1'"):
        load(tmp_path, {"timeout": "-1"})
    assert load(tmp_path, INFERFLOW_PARAM_ANY="x", INFERFLOW_BACKEND="", OTHER="y").backend == "process"


def test_task_rules_the_last_that_matches_decides(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.inferflow.tasks."fit*"]\nhome = true\n[tool.inferflow.tasks."fit.2"]\nhome = false\n'
    )
    settings = load(tmp_path)
    assert settings.at_home("fit") is not None
    assert settings.at_home("fit.3") is not None
    assert settings.at_home("fit.2") is None
    assert settings.at_home("load") is None


def test_tables_of_tasks_say_which_functions_are_opened(tmp_path: Path) -> None:
    (tmp_path / "inferflow.toml").write_text(
        '[tasks."*"]\nopen = true\n[tasks."fit*"]\nhome = true\n[tasks."fit.2"]\nopen = false\n'
    )
    settings = load(tmp_path)
    assert settings.opening() == (("*", True), ("fit.2", False))
    assert settings.at_home("fit.2") is not None  # what a table does not say is left to the others
    (tmp_path / "inferflow.toml").write_text('[tasks."fit"]\nopen = "some"\n')
    with pytest.raises(WrongUse, match="setting 'open' of tasks 'fit' is 'some'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("given", "seconds"), [("90s", 90), ("1h30m", 5400), ("1.5", 1.5), (2, 2), ("250ms", 0.25), ("2 d", 172800)]
)
def test_durations(given: object, seconds: float) -> None:
    assert parse_duration(given) == seconds


@pytest.mark.parametrize("given", ["", "0", "1x", "-5s", "h", True, None, float("inf"), "m1"])
def test_what_is_no_duration(given: object) -> None:
    with pytest.raises(Refused):
        parse_duration(given)


def test_jobs() -> None:
    assert parse_jobs("auto") == available_cpus()
    assert parse_jobs("12") == 12
    for wrong in ("0", "many", 0, -1, True, 1.5, "99999"):
        with pytest.raises(Refused):
            parse_jobs(wrong)


def test_lines_of_keys() -> None:
    text = 'a = 1\n[tool.inferflow]  # here\n"b" = 2\nc.d = 3\n[tool.inferflow.tasks."x y"]\nhome = true\n'
    assert key_line(text, ("a",)) == 1
    assert key_line(text, ("tool", "inferflow", "b")) == 3
    assert key_line(text, ("tool", "inferflow", "c")) == 4
    assert key_line(text, ("tool", "inferflow", "tasks", "x y")) == 5
    assert key_line(text, ("tool", "inferflow", "tasks", "x y", "home")) == 6
    assert key_line(text, ("tool", "inferflow", "lost")) == 2


def test_project_root_is_the_nearest_marked_folder(tmp_path: Path) -> None:
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    (tmp_path / "a/.git").write_text("gitdir: elsewhere\n")
    assert project_root(inner) == tmp_path / "a"


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    for key in (*KEYS, "tasks", "home"):
        assert f"`{key}`" in page, key
