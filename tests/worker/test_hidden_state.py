"""Hidden states that a task disturbs: what counts, and what importing a library may do."""

from __future__ import annotations

import copyreg
import importlib
import os
import sys
import warnings
from pathlib import Path

import pytest

from inferflow.worker.hidden_state import HiddenState, Moment

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


REDUCER = """
import copyreg, os, warnings

class Thing:
    pass

copyreg.pickle(Thing, lambda thing: (Thing, ()))
warnings.filterwarnings("ignore", message="numpy.ndarray size changed")
"""


@pytest.mark.parametrize("name", ["fresh_library", "numpy", "joblib"])
def test_what_has_been_imported_since_a_process_was_forked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reducers for its own classes, and what numpy, scipy and joblib are known to do, are a library's own affair; filters
    for messages and variables of whoever else are not."""
    (tmp_path / "fresh_library" / "__init__.py").write_text(REDUCER)
    with monkeypatch.context() as patch:
        for module in [one for one in sys.modules if one.partition(".")[0] in ("numpy", "joblib")]:
            patch.delitem(sys.modules, module)
        state, moment = HiddenState(), Moment()
        importlib.import_module("fresh_library")
        patch.setitem(sys.modules, name, sys)
        os.environ["KMP_INIT_AT_FORK"] = "FALSE"
        try:
            now = state.facts()
        finally:
            del os.environ["KMP_INIT_AT_FORK"]
        assert moment.only_imported("options of copyreg", now)
        assert moment.only_imported("warnings", now) == (name == "numpy")
        assert moment.only_imported("os.environ", now)  # (nothing else asks for this variable)
        assert state.only_imported("os.environ", now) == (name == "joblib")
        assert not moment.only_imported("os.environ", {**now, "os.environ": {**now["os.environ"], b"OTHER": b"1"}})
        assert not moment.only_imported("sys.path", now)
    copyreg.dispatch_table.pop(sys.modules["fresh_library"].Thing)


def test_a_reducer_for_a_class_that_was_there_counts() -> None:
    state, moment = HiddenState(), Moment()
    copyreg.pickle(HiddenState, lambda state: (HiddenState, ()))
    try:
        assert not moment.only_imported("options of copyreg", state.facts())
        assert state.changed() == "options of copyreg"
    finally:
        copyreg.dispatch_table.pop(HiddenState)
