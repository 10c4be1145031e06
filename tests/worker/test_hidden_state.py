"""Hidden states that a task disturbs: what counts, and what importing a library may do."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import pytest

from inferflow.worker.hidden_state import HiddenState

LIBRARY = """\
import warnings

class OwnWarning(UserWarning):
    pass

warnings.filterwarnings("always", category=DeprecationWarning, module=r"^fresh_library\\.")
warnings.simplefilter("always", OwnWarning)
"""


@pytest.fixture(autouse=True)
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "fresh_library").mkdir()
    with warnings.catch_warnings():
        yield
    for name in [name for name in sys.modules if name.startswith("fresh_library")]:
        del sys.modules[name]


def test_filters_that_a_library_sets_for_itself_while_it_is_imported_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "fresh_library" / "__init__.py").write_text(LIBRARY)
    (tmp_path / "fresh_library" / "part.py").write_text("")
    state = HiddenState()
    sys.path_importer_cache.clear()
    before = list(sys.path)
    importlib.import_module("fresh_library.part")
    assert sys.path == before
    assert state.changed() == ""
    assert state.changed() == ""


@pytest.mark.parametrize(
    "act",
    [
        lambda: warnings.simplefilter("ignore"),
        lambda: warnings.filterwarnings("ignore", module="fresh_library"),
        lambda: warnings.filterwarnings("ignore", category=DeprecationWarning, module=".*"),
        lambda: warnings.filters.clear(),
    ],
)
def test_other_filters_do(act, tmp_path: Path) -> None:
    (tmp_path / "fresh_library" / "__init__.py").write_text(LIBRARY)
    warnings.simplefilter("default", UserWarning)
    importlib.import_module("fresh_library")
    state = HiddenState()
    act()
    assert state.changed() == "warnings"
