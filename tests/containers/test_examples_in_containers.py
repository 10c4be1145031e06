"""All examples in containers, equal to native in everything; and the engines of others than root."""

from __future__ import annotations

from pathlib import Path

import pytest
from compare import both
from daemons import Daemon
from test_examples import NAMES, files_of


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_the_same(tmp_path: Path, docker_engine: Daemon, name: str) -> None:
    options = ("--backend", "docker", "--image", "host")
    native, inferred, _ = both(tmp_path, files_of(name), options=options, DOCKER_HOST=docker_engine.host)
    assert native.exit_code == 0, native.stderr
    assert inferred.stdout == native.stdout
    assert inferred.stderr == native.stderr
    assert inferred.exit_code == native.exit_code
    assert sorted(inferred.files) == sorted(native.files)
    for path, content in native.files.items():
        if not path.endswith(".sqlite"):
            assert inferred.files[path] == content, path
