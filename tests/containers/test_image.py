"""``inferflow image``: a base, and the packages that the project declares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from compare import Observed, environment, observe, write_files
from daemons import Daemon, python_image

from inferflow.errors import WrongUse
from inferflow.session.dependencies import declared, project_image

COMMAND = [sys.executable, "-m", "inferflow"]


@pytest.fixture(scope="session")
def base(docker_engine: Daemon) -> str:
    return python_image(docker_engine, sys.base_prefix, "base")


def call(folder: Path, daemon: Daemon, *arguments: str, **env: str) -> Observed:
    return observe([*COMMAND, *arguments], folder, b"", environment(DOCKER_HOST=daemon.host, **env))


DRIVER = "import wonder\nprint(wonder.FACT, wonder.__file__.startswith('/'))\n"


def package(folder: Path) -> Path:
    """A package of our own, so that nothing has to be fetched."""
    write_files(
        folder,
        {
            "wonder.py": "FACT = 42\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": BACKEND,
        },
    )
    return folder


BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "wonder-1.0-py3-none-any.whl"
    info = "wonder-1.0.dist-info/"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as file:
        file.write("wonder.py")
        file.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: wonder\\nVersion: 1.0\\n")
        file.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(info + "RECORD", "")
    return name
"""


def test_built_once_and_used_by_runs(tmp_path: Path, docker_engine: Daemon, base: str) -> None:
    source = package(tmp_path / "source")
    folder = tmp_path / "project"
    write_files(folder, {"driver.py": DRIVER, "requirements.txt": f"wonder @ file://{source}\n"})
    settings = {"INFERFLOW_BASE": base}

    before = call(folder, docker_engine, "run", "-b", "docker", "driver.py", **settings)
    assert before.exit_code == 4
    assert "inferflow image DRIVER builds it" in before.stderr

    built = call(folder, docker_engine, "image", "driver.py", "--tag", "mine:1", **settings)
    assert (built.stdout, built.exit_code) == (b"mine:1\n", 0), built.stderr
    again = json.loads(call(folder, docker_engine, "image", "driver.py", "--json", **settings).stdout)
    assert again["fresh"] is False
    assert again["requirements"] == [f"wonder @ file://{source}"]

    done = call(folder, docker_engine, "-q", "run", "-b", "docker", "driver.py", **settings)
    assert (done.stdout, done.exit_code) == (b"42 True\n", 0), done.stderr
    done = call(folder, docker_engine, "-q", "run", "-b", "docker", "--image", "mine:1", "driver.py")
    assert (done.stdout, done.exit_code) == (b"42 True\n", 0), done.stderr
    shown = call(folder, docker_engine, "show", "latest").stdout.decode()
    assert "mine:1" in " ".join(shown.split())
    recorded = json.loads(call(folder, docker_engine, "show", "latest", "--json").stdout)["events"][0]["environment"]
    assert dict(recorded["packages"]) == {"wonder": "1.0"}  # those of the image, not this machine's
    assert recorded["image"].startswith("mine:1 (sha256:")


def test_a_failing_build_shows_what_the_resolver_said(tmp_path: Path, docker_engine: Daemon, base: str) -> None:
    write_files(tmp_path, {"driver.py": "print(1)\n", "requirements.txt": "wonder @ file:///no/such/folder\n"})
    done = call(tmp_path, docker_engine, "image", "driver.py", "--base", base)
    assert done.exit_code == 1
    assert "/no/such/folder" in done.stderr
    assert "--base IMAGE" in done.stderr


def test_a_base_that_is_not_there(tmp_path: Path, docker_engine: Daemon) -> None:
    write_files(tmp_path, {"driver.py": "print(1)\n"})
    done = call(tmp_path, docker_engine, "image", "driver.py", "--base", "no/base:1")
    assert done.exit_code == 4
    assert "docker pull no/base:1" in done.stderr


def test_what_a_project_declares(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "requirements.txt": "numpy>=1.26  # arrays\n-r more/extra.txt\n\n# nothing\nflask \\\n  ==3.0 --hash=sha256:ab\n",
            "more/extra.txt": "pandas\n",
            "requirements-dev.txt": "pytest\n",
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["numpy>=1.26", "attrs"]\n',
            "environment.yml": "dependencies:\n  - python=3.11\n  - pip:\n    - rich\n",
            "uv.lock": 'version = 1\n[[package]]\nname = "attrs"\nversion = "26.1"\n[package.source]\nregistry = "r"\n'
            '[[package]]\nname = "x"\nversion = "0"\n[package.source]\nvirtual = "."\n',
        },
    )
    found = declared(tmp_path)
    assert found.requirements == ("pytest", "numpy>=1.26", "pandas", "flask ==3.0", "attrs", "rich")
    assert found.constraints == ("attrs==26.1",)
    assert found.files == ("requirements-dev.txt", "requirements.txt", "pyproject.toml", "environment.yml", "uv.lock")
    name = project_image(tmp_path, "base", found)
    assert project_image(tmp_path, "base", declared(tmp_path)) == name
    assert project_image(tmp_path, "other", found) != name


def test_an_editable_requirement_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"requirements.txt": "-e .\n"})
    with pytest.raises(WrongUse, match="editable"):
        declared(tmp_path)
