"""A driver is found and decoded as Python would, or refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from inferflow.errors import DriverUnreadable
from inferflow.session.target import Target, check_syntax, open_target


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/driver.py").write_text("import os\ndef main(): pass\nasync def later(): pass\nalias = main\n")
    (tmp_path / "src/package").mkdir(parents=True)
    (tmp_path / "src/package/__init__.py").write_text("def boot(): pass\n")
    (tmp_path / "src/package/module.py").write_text("from .other import *\n")
    return tmp_path


def test_a_script(project: Path) -> None:
    target = open_target("flows/driver.py", project)
    assert (target.kind, target.module, target.function) == ("script", "__main__", "")
    assert target.filename == str(project / "flows/driver.py")
    assert target.folder == os.path.realpath(project / "flows")
    assert (target.root, target.cwd, target.text) == (str(project), str(project), "flows/driver.py")
    assert target.source.path == "flows/driver.py"
    assert open_target("driver.py", project / "flows").source.path == "flows/driver.py"


def test_a_function_of_a_file(project: Path) -> None:
    target = open_target("flows/driver.py:main", project)
    assert (target.kind, target.module, target.function) == ("function", "driver", "main")
    assert open_target("flows/driver.py:alias", project).function == "alias"


def test_a_function_of_a_module(project: Path) -> None:
    target = open_target("package.module:anything", project)
    assert (target.module, target.function, target.folder) == ("package.module", "anything", str(project / "src"))
    package = open_target("package:boot", project)
    assert package.source.is_package
    assert package.filename.endswith("__init__.py")
    assert open_target("flows.driver:main", project).folder == str(project)


def test_links_as_python_has_them(project: Path) -> None:
    (project / "link.py").symlink_to(project / "flows/driver.py")
    target = open_target("link.py", project)
    assert target.filename == str(project / "link.py")
    assert target.folder == os.path.realpath(project / "flows")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("flows/drivr.py", "IF001 no such file: 'flows/drivr.py'", "did you mean flows/driver.py?"),
        ("flow/driver.py", "IF001 no such file", "there is no folder 'flow' either"),
        ("flows", "IF002 'flows' is a folder", "did you mean flows/driver.py?"),
        ("flows/driver.py:mian", "IF004 no function 'mian' in flows/driver.py", "did you mean main?"),
        ("flows/driver.py:zzz", "IF004 no function 'zzz'", "functions there: main"),
        ("flows/driver.py:", "IF004 '' in", "driver.py:main"),
        ("flows/driver.py:a.b", "IF004 'a.b' in", "driver.py:main"),
        ("package.modul:main", "IF001 no module 'package.modul'", "did you mean package.module or package?"),
        ("-", "IF001 a driver cannot be read from standard input", "file"),
        ("binary.py", "IF003 'binary.py' is not Python source: it holds null bytes", ""),
        ("book.ipynb", "IF003 'book.ipynb' is not a notebook that can be run: it has no 'nbformat'", ""),
    ],
)
def test_what_cannot_be_opened(project: Path, text: str, message: str, hint: str) -> None:
    (project / "binary.py").write_bytes(b"\x7fELF\0\0")
    (project / "book.ipynb").write_text("{}")
    with pytest.raises(DriverUnreadable) as caught:
        open_target(text, project)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_file_that_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        Path(folder, "secret.py").touch(mode=0)
        root = os.geteuid() == 0
        if root:  # who may read everything
            os.seteuid(65534)
        try:
            with pytest.raises(DriverUnreadable, match="Permission denied"):
                open_target("secret.py", Path(folder))
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        (b"# coding: latin-1\nx = '\xe9'\n", "# coding: latin-1\nx = 'é'\n"),
        (
            b"#!/usr/bin/python\n# -*- coding: cp1252 -*-\nx = '\x80'\n",
            "#!/usr/bin/python\n# -*- coding: cp1252 -*-\nx = '€'\n",
        ),
        (b"x = 1\r\ny = 2\r\n", "x = 1\r\ny = 2\r\n"),
        (b"x = 'coding'\n", "x = 'coding'\n"),
        (b"", ""),
    ],
)
def test_text_is_decoded_as_python_decodes_it(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "driver.py").write_bytes(data)
    assert open_target("driver.py", tmp_path).source.text == text


@pytest.mark.parametrize(
    "data",
    [b"x = 1\ny = '\xff'\n", b"# coding: nonsense\n", b"\xef\xbb\xbf# coding: latin-1\n", b"# coding: ascii\n\n\xe9\n"],
)
def test_what_python_refuses_to_decode_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "driver.py").write_bytes(data)
    with pytest.raises(DriverUnreadable) as caught:
        open_target("driver.py", tmp_path)
    assert "SyntaxError" in caught.value.native


@pytest.mark.parametrize(
    "text",
    [
        "x = (\n",
        "def f(:\n  pass\n",
        "x = 1\n  y = 2\n",
        "return 1\n",
        "f(x for x in y, 1)\n",
        "x = '\n",
        "a = 1 = b\n",
        "nonlocal x\n",
    ],
)
def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "driver.py").write_text(text)
    target = open_target("driver.py", tmp_path)
    with pytest.raises(DriverUnreadable) as caught:
        check_syntax(target.source)
    native = subprocess.run([sys.executable, "driver.py"], cwd=tmp_path, capture_output=True, text=True)
    assert caught.value.native == native.stderr


def test_warnings_of_the_compiler_stay_with_the_run(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    (tmp_path / "driver.py").write_text("x = '\\d'\nassert (x, 'y')\n")
    check_syntax(open_target("driver.py", tmp_path).source)
    assert not recwarn.list


def test_targets_are_values(project: Path) -> None:
    assert open_target("flows/driver.py", project) == open_target("flows/driver.py", project)
    assert isinstance(hash(open_target("flows/driver.py", project)), int)
    assert Target.__name__ == "Target"
