"""A graph comes from the cache exactly if nothing that the analysis read has changed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from inferflow.config.settings import load_settings
from inferflow.errors import DriverUnreadable
from inferflow.session.infer import Inferred, infer
from inferflow.session.target import open_target

DRIVER = "import steps\n\ndef main():\n    a = steps.load()\n    return a\n\nmain()\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow/.git").mkdir()
    (tmp_path / "flow/driver.py").write_text(DRIVER)
    (tmp_path / "flow/steps.py").write_text("import random\n\ndef load():\n    return 1\n")
    return tmp_path / "flow"


def look(project: Path) -> Inferred:
    return infer(open_target("driver.py", project), load_settings(project, environ={}))


def test_the_second_time_it_is_cached_and_equal(project: Path) -> None:
    first, second = look(project), look(project)
    assert (first.cached, second.cached) == (False, True)
    assert first.graph == second.graph
    assert second.text == DRIVER
    assert (project / ".inferflow/.gitignore").read_text() == "*\n"


def test_any_change_counts(project: Path) -> None:
    look(project)
    (project / "steps.py").write_text("def load():\n    return 2\n")
    assert not look(project).cached
    assert look(project).cached
    (project / "driver.py").write_text(DRIVER + "# more\n")
    assert not look(project).cached


def test_a_change_of_the_same_size_and_time_counts(project: Path) -> None:
    look(project)
    facts = os.stat(project / "steps.py")
    text = (project / "steps.py").read_text()
    (project / "steps.py").write_text(text.replace("return 1", "return 9"))
    os.utime(project / "steps.py", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert not look(project).cached


def test_a_touched_file_does_not_count(project: Path) -> None:
    look(project)
    os.utime(project / "steps.py", (1, 1))
    assert look(project).cached


def test_a_new_module_that_hides_a_library_counts(project: Path) -> None:
    look(project)
    (project / "random.py").write_text("")
    assert not look(project).cached


def test_a_damaged_entry_is_ignored(project: Path) -> None:
    look(project)
    (entry,) = (project / ".inferflow/cache").glob("*.graph")
    for data in (b"", b"x" * 100, entry.read_bytes()[:-10]):
        entry.write_bytes(data)
        assert not look(project).cached


def test_a_foreign_entry_cannot_run_code(project: Path) -> None:
    import hashlib

    class Trap:
        def __reduce__(self) -> object:
            return os.mkdir, (str(project / "trapped"),)

    look(project)
    (entry,) = (project / ".inferflow/cache").glob("*.graph")
    payload = pickle.dumps({"identity": Trap()})
    entry.write_bytes(hashlib.sha256(payload).digest() + payload)
    assert not look(project).cached
    assert not (project / "trapped").exists()


def test_where_the_store_cannot_be_made_the_users_cache_serves(project: Path) -> None:
    (project / ".inferflow").write_text("in the way")
    assert not look(project).cached
    assert look(project).cached
    assert list((project.parent / "user-cache/inferflow").iterdir())


def test_where_nothing_can_be_written_it_works_without(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".inferflow").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "driver.py"))
    assert not look(project).cached
    assert not look(project).cached


def test_a_syntax_error(project: Path) -> None:
    (project / "driver.py").write_text("x = (\n")
    with pytest.raises(DriverUnreadable) as caught:
        look(project)
    assert caught.value.native.endswith("SyntaxError: '(' was never closed\n")
    assert str(caught.value.span) == "driver.py:1"


def test_a_cached_graph_needs_no_parser(project: Path) -> None:
    look(project)
    code = (
        "import sys; from pathlib import Path\n"
        "from inferflow.config.settings import load_settings\n"
        "from inferflow.session.infer import infer\n"
        "from inferflow.session.target import open_target\n"
        "root = Path(sys.argv[1])\n"
        "assert infer(open_target('driver.py', root), load_settings(root, environ={})).cached\n"
        "print([name for name in ('libcst', 'cattrs', 'rich', 'inferflow.analysis') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(project)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
