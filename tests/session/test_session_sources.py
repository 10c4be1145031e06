"""The project's modules are those that Python would import from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferflow.session.sources import Modules
from inferflow.session.target import open_target


def modules(root: Path, driver: str = "driver.py") -> Modules:
    (root / driver).parent.mkdir(parents=True, exist_ok=True)
    (root / driver).touch()
    return Modules(open_target(driver, root))


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")


def test_siblings_packages_and_namespaces(tmp_path: Path) -> None:
    write(tmp_path, "steps.py", "pkg/__init__.py", "pkg/mod.py", "space/inner/mod.py")
    found = modules(tmp_path)
    for name, path, is_package in [
        ("steps", "steps.py", False),
        ("pkg", "pkg/__init__.py", True),
        ("pkg.mod", "pkg/mod.py", False),
        ("space.inner.mod", "space/inner/mod.py", False),
    ]:
        source = found.find(name)
        assert source is not None
        assert (source.module, source.path, source.is_package, source.text) == (name, path, is_package, "x = 1\n")
    assert [
        found.find(name) for name in ("space", "space.inner", "nothing", "pkg.nothing", "steps.mod", "", "pkg.")
    ] == [None] * 7


def test_libraries_are_none(tmp_path: Path) -> None:
    found = modules(tmp_path)
    assert [found.find(name) for name in ("os", "random", "attrs", "attr", "xml.etree", "yaml", "sys")] == [None] * 7


def test_a_module_hides_a_library_just_as_it_does_natively(tmp_path: Path) -> None:
    write(tmp_path, "random.py", "attrs.py", "sys.py", "os.py", "yaml/__init__.py", "xml/etree/__init__.py")
    found = modules(tmp_path)
    assert [bool(found.find(name)) for name in ("random", "attrs", "yaml")] == [True] * 3
    assert found.find("sys") is None
    assert found.find("os") is None
    assert found.find("yaml.nodes") is None
    assert found.find("xml.etree") is None  # a folder without __init__.py does not hide a package


def test_packages_before_modules_extensions_before_both(tmp_path: Path) -> None:
    write(tmp_path, "a/__init__.py", "a.py", "b.py", "b.cpython-311-x86_64-linux-gnu.so", "b.abi3.so")
    found = modules(tmp_path)
    source = found.find("a")
    assert source is not None
    assert source.path == "a/__init__.py"
    assert found.find("b") is None


def test_the_scripts_folder_comes_first_then_root_and_src(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "flows/steps.py", "steps.py", "common.py", "src/lib/__init__.py", "src/common.py")
    found = modules(tmp_path, "flows/driver.py")
    assert {name: source.path for name in ("steps", "common", "lib") if (source := found.find(name))} == {
        "steps": "flows/steps.py",
        "common": "common.py",
        "lib": "src/lib/__init__.py",
    }


def test_pythonpath_outside_the_project_is_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "project/pyproject.toml", "project/inside/near.py", "other/far.py", "other/near.py")
    paths = [tmp_path / "project/inside", tmp_path / "other"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    found = modules(tmp_path / "project", "flows/driver.py")
    assert found.find("far") is None
    near = found.find("near")
    assert near is not None
    assert near.path == "inside/near.py"


def test_what_is_no_text_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_bytes(b"x = '\xff'")
    found = modules(tmp_path)
    assert found.find("bad") is None
    assert found.answers == {"bad": str(tmp_path / "bad.py")}
