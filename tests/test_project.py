"""The project as a whole: its layers, its names, its documents, and the commands that the README tells to type."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import inferflow

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "inferflow").rglob("*.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


# -- layers and names --------------------------------------------------------------------------------


def test_each_layer_imports_only_what_is_below_it() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache', '--no-logo'])"
    done = tool(sys.executable, "-c", code)
    assert done.returncode == 0, done.stdout + done.stderr


def module_names() -> list[str]:
    found = pkgutil.walk_packages(inferflow.__path__, "inferflow.")
    return ["inferflow", *sorted(module.name for module in found if not module.name.endswith("__main__"))]


@pytest.mark.parametrize("name", module_names())
def test_every_public_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.{public}"


def test_importing_the_package_imports_nothing_else() -> None:
    """``import inferflow`` in a driver or a notebook must cost nothing and change nothing."""
    code = (
        "import sys; before = set(sys.modules); import inferflow\n"
        "print(sorted(set(sys.modules) - before - {'inferflow', '__future__', 'typing'}))"
    )
    done = tool(sys.executable, "-c", "import typing\n" + code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_heavy_libraries_are_not_imported_by_a_command_that_does_not_need_them() -> None:
    heavy = {"libcst", "rich", "numpy", "pandas", "yaml", "pydantic", "docker"}
    code = (
        "import sys\nfrom inferflow.cli.app import execute\nexecute(['runs'])\n"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = tool(sys.executable, "-c", code)
    assert done.stderr.strip().splitlines()[-1] == "[]"


# -- what the documents say --------------------------------------------------------------------------


def test_versions_agree() -> None:
    assert version("inferflow") == inferflow.__version__
    assert re.search(rf"^## \[{re.escape(inferflow.__version__)}\]", read("CHANGELOG.md"), re.MULTILINE)


def test_every_diagnostic_is_documented() -> None:
    used = {code for path in SOURCES for code in re.findall(r"\"(IF\d{3})\"", path.read_text(encoding="utf-8"))}
    documented = set(re.findall(r"\bIF\d{3}\b", read("docs/diagnostics.md")))
    assert used, "no code found: has their form changed?"
    assert used <= documented, f"not in docs/diagnostics.md: {sorted(used - documented)}"


def test_every_command_is_documented() -> None:
    from inferflow.cli.app import COMMANDS

    text = read("docs/cli.md")
    assert [name for name in COMMANDS if f"`{name}" not in text] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)|<img[^>]* src=\"([^\"]+)\"", text):
        target = link[0] or link[1]
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{path.name} leads to {target}, which is not there"


def test_the_tests_that_the_documents_name_exist() -> None:
    for path in DOCUMENTS:
        for file, name in re.findall(r"`(\w+/test_\w+\.py)(?:::(\w+))?`", path.read_text(encoding="utf-8")):
            test = ROOT / "tests" / file.removeprefix("tests/")
            assert test.exists(), f"{path.name} names {file}"
            assert not name or f"def {name}(" in test.read_text(encoding="utf-8"), f"{path.name} names {file}::{name}"


def test_nothing_names_the_machine_that_it_was_written_on() -> None:
    names = tool("git", "ls-files").stdout.split() or [str(path.relative_to(ROOT)) for path in (*SOURCES, *DOCUMENTS)]
    # put together, so that this file does not name them itself
    foreign = re.compile("/" + "work/|/" + "root/")
    for name in names:
        if name.endswith((".py", ".md", ".toml", ".json", ".svg", ".txt", ".effects", ".html")) or name == ".ci/run":
            path = ROOT / name
            if path.is_file():
                found = foreign.search(path.read_text(encoding="utf-8"))
                assert found is None, f"{name}: {found and found.group()}"


def test_the_source_is_finished() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [str(path) for path in SOURCES if unfinished.search(path.read_text(encoding="utf-8"))] == []


# -- the README's commands ---------------------------------------------------------------------------


def blocks(text: str) -> list[str]:
    """The shell commands of a Markdown text, block by block."""
    return re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line.partition("  # ")[0].strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_the_readmes_first_commands_set_up_and_test_everything() -> None:
    first, second = commands(blocks(read("README.md"))[0])
    assert "venv" in first
    assert "inferflow" in first
    assert "examples/etl" in first
    assert second == "bash .ci/run"
    assert (ROOT / ".ci" / "run").exists()


def test_the_readmes_commands_run(tmp_path: Path) -> None:
    """All but those that make environments: they run here with the environment that there is, in a copy."""
    copy = tmp_path / "project"
    shutil.copytree(ROOT / "examples", copy / "examples", ignore=shutil.ignore_patterns(".inferflow", "__pycache__"))
    (copy / "inferflow.toml").write_text("")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("INFERFLOW_")}
    environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), environ.get("PATH", "")])
    ran = 0
    for block in blocks(read("README.md")):
        for command in commands(block):
            if command == "bash .ci/run":
                continue  # this is what runs now
            command = re.sub(r".*&& *(?=\S*inferflow )", "", command) if "venv" in command else command
            command = command.replace(".venv/bin/", "")
            done = subprocess.run(command, shell=True, cwd=copy, env=environ, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            ran += 1
            if ran == 1:
                assert "sales," in done.stdout
                assert re.search(r"inferflow.* show \d{8}-\d{4}-\w+-\w+", done.stderr)
    assert ran >= 5
