"""The user's files of library effects are checked line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

import inferflow.analysis.catalogue
from inferflow.errors import WrongUse
from inferflow.session.effects import check_effects


def test_what_comes_with_inferflow_is_in_the_notation() -> None:
    check_effects([Path(inferflow.analysis.catalogue.__file__).parent / "data"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nonsense = 3 {{\n", 1),
        ("module zlib\n# a comment\ndefn compress(data) -> fresh\n", 3),
        ("module zlib\ndef a(x) -> fresh\ndef b(x) -> fresh ; breaks x\n", 3),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "zlib.effects").write_text(text)
    with pytest.raises(WrongUse, match="not in the notation") as caught:
        check_effects([tmp_path])
    assert caught.value.span is not None
    assert (caught.value.span.path, caught.value.span.line) == (str(tmp_path / "zlib.effects"), line)


def test_good_files_pass(tmp_path: Path) -> None:
    (tmp_path / "zlib.effects").write_text("module zlib\ndef compress(data) -> fresh\n")
    (tmp_path / "bad.effects").write_bytes(b"\xff")
    with pytest.raises(WrongUse, match="cannot read"):
        check_effects([tmp_path])
    (tmp_path / "bad.effects").unlink()
    check_effects([tmp_path, tmp_path / "none"])
