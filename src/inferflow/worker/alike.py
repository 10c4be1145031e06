"""Whether two files whose bytes differ say the same: pictures by their pixels, databases by their dump, archives by
their members, pickles and tables by the values in them; times of writing and random names are not looked at.

    python -m inferflow.worker.alike NATIVE INFERRED [FOLDER]      # prints one line of JSON
    {"how": "pixels", "different": []}
    {"how": "lines", "different": [["line 3", "a,1", "a,2"]]}             # each place, and what stands in either

Runs in a process of its own, where the user's libraries are, since reading a pickle runs code. Whatever has no reader
here is compared as bytes.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

__all__ = ["alike", "main"]

_SHOWN = 300
"""Letters of a text that are told."""


def main() -> None:
    """Compare the two files that the command line names; pickles may need modules of the folder."""
    sys.path += sys.argv[3:]
    with open(sys.argv[1], "rb") as first, open(sys.argv[2], "rb") as second:
        answer = alike(first.read(), second.read(), sys.argv[1])
    print(json.dumps(answer))


def alike(native: bytes, inferred: bytes, name: str) -> dict[str, Any]:
    """How the two contents compare; ``name`` tells what kind of file they are, where they do not."""
    for how, fits, reader in _KINDS:
        if not fits(native, name) or not fits(inferred, name):
            continue
        try:
            one, other = reader(native, name), reader(inferred, name)
        except Exception:
            continue
        return {"how": how, "different": _different(one, other)}
    at = next((place for place, (a, b) in enumerate(zip(native, inferred)) if a != b), min(len(native), len(inferred)))
    shown = [repr(data[at : at + 24])[2:-1] + f" ({len(data)} bytes)" for data in (native, inferred)]
    return {"how": "bytes", "different": [(f"byte {at}", *shown)]}


def _different(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """All places at which two lists of (place, text) differ, with both texts; where they do not have the same places,
    only the first, and that it is so: what stands behind may be the same, and only moved."""
    if [place for place, _ in one] == [place for place, _ in other]:
        return [(place, a[:_SHOWN], b[:_SHOWN]) for (place, a), (_, b) in zip(one, other) if a != b]
    return [_first(one, other), ("all in all", f"{len(one)} places", f"{len(other)} places")]


def _first(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> tuple[str, str, str]:
    """Where two lists of (place, text) first differ, and both texts."""
    for (place, text), (there, also) in zip(one, other):
        if (place, text) != (there, also):
            return place, text[:_SHOWN], also[:_SHOWN] if place == there else f"nothing there, but {there}"
    longer = one if len(one) > len(other) else other
    place, text = longer[min(len(one), len(other))]
    return (place, text[:_SHOWN], "nothing there") if longer is one else (place, "nothing there", text[:_SHOWN])


# -- readers: from bytes to (place, text) ----------------------------------------------------------------


def _database(data: bytes, name: str) -> list[tuple[str, str]]:
    import sqlite3
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "copy.db")
        with open(path, "wb") as file:
            file.write(data)
        connection = sqlite3.connect(path)
        try:
            return [(f"statement {number}", line) for number, line in enumerate(connection.iterdump(), 1)]
        finally:
            connection.close()


def _picture(data: bytes, name: str) -> list[tuple[str, str]]:
    import hashlib

    try:
        from PIL import Image
    except ImportError:
        pixels = importlib.import_module("matplotlib.image").imread(io.BytesIO(data), format=name.rpartition(".")[2])
        return [("size", str(pixels.shape)), ("pixels", hashlib.sha256(pixels.tobytes()).hexdigest())]
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGBA")
    width, height = picture.size
    rows = picture.tobytes()
    parts = [("size", f"{width} x {height}")]
    for row in range(height):
        line = rows[row * width * 4 : (row + 1) * width * 4]
        parts.append((f"row {row} of pixels", hashlib.sha256(line).hexdigest()))
    return parts


def _zip(data: bytes, name: str) -> list[tuple[str, str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(f"member {one.filename}", _content(archive.read(one))) for one in archive.infolist()]


def _tar(data: bytes, name: str) -> list[tuple[str, str]]:
    parts = []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member) if member.isfile() else None
            told = _content(file.read()) if file is not None else member.linkname
            parts.append((f"member {member.name}", f"{member.mode:o} {told}"))
    return parts


def _content(data: bytes) -> str:
    import hashlib

    data = re.sub(rb"<dcterms:(created|modified)[^<]*<", b"<", data)
    return f"{len(data)} bytes, digest {hashlib.sha256(data).hexdigest()}"


def _unzipped(data: bytes, name: str) -> list[tuple[str, str]]:
    inside = gzip.decompress(data)
    return _tar(inside, name) if inside[257:262] == b"ustar" else _lines(inside, name)


def _values(read: Callable[[bytes], Any]) -> Callable[[bytes, str], list[tuple[str, str]]]:
    def reader(data: bytes, name: str) -> list[tuple[str, str]]:
        from inferflow.worker.portrait import portrait

        return portrait([("value", read(data))]).parts

    return reader


def _pickle(data: bytes) -> Any:
    import pickle

    return pickle.loads(data)


def _joblib(data: bytes) -> Any:
    return importlib.import_module("joblib").load(io.BytesIO(data))


def _parquet(data: bytes) -> Any:
    return importlib.import_module("pandas").read_parquet(io.BytesIO(data))


def _feather(data: bytes) -> Any:
    return importlib.import_module("pandas").read_feather(io.BytesIO(data))


def _document(data: bytes, name: str) -> list[tuple[str, str]]:
    data = re.sub(rb"/(CreationDate|ModDate) ?\([^)]*\)", b"", data)
    return _lines(re.sub(rb"/ID ?\[[^\]]*\]", b"", data).decode("latin-1").encode(), name)


def _drawing(data: bytes, name: str) -> list[tuple[str, str]]:
    """SVG: dates aside, and names made up at random replaced by their number."""
    text = re.sub(r"<dc:date>[^<]*", "", data.decode())
    names: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"name{len(names)}")

    return _lines(re.sub(r"\b[A-Za-z]?[0-9a-f]{10,}\b", number, text).encode(), name)


def _notebook(data: bytes, name: str) -> list[tuple[str, str]]:
    """Cell by cell: its source, its count, its outputs. Where a kernel cuts a stream into pieces is a matter of time,
    and so is which of stdout and stderr comes first between two other outputs (each has a buffer of its own); process
    numbers in the names of a kernel's files, addresses, and what ``%%time`` tells, differ between any two runs."""
    parts = []
    for number, cell in enumerate(json.loads(data)["cells"], 1):
        parts.append((f"cell {number}", "".join(cell["source"])))
        if cell["cell_type"] != "code":
            continue
        parts.append((f"cell {number}, count", str(cell["execution_count"])))
        outputs: list[dict[str, Any]] = []
        for output in cell["outputs"]:
            if output["output_type"] != "stream":
                outputs.append(output)
                continue
            if not outputs or outputs[-1]["output_type"] != "streams":
                outputs.append({"output_type": "streams", "stdout": "", "stderr": ""})
            outputs[-1][output["name"]] += "".join(output["text"])
        for place, output in enumerate(outputs, 1):
            text = json.dumps(output, sort_keys=True, ensure_ascii=False)
            text = re.sub(r"ipykernel_\d+/\d+", "ipykernel", text)
            text = re.sub(r"(CPU times|Wall time).*?\\n", "", re.sub(r"0x[0-9a-f]{6,}", "0x", text))
            parts.append((f"cell {number}, output {place}", text))
    return parts


def _lines(data: bytes, name: str) -> list[tuple[str, str]]:
    text = data.decode("utf-8")
    return [(f"line {number}", line) for number, line in enumerate(text.split("\n"), 1)]


def _named(*endings: str) -> Callable[[bytes, str], bool]:
    return lambda data, name: name.lower().endswith(endings)


def _begins(*heads: bytes) -> Callable[[bytes, str], bool]:
    return lambda data, name: data.startswith(heads)


_KINDS: tuple[tuple[str, Callable[[bytes, str], bool], Callable[[bytes, str], list[tuple[str, str]]]], ...] = (
    ("dump of the database", _begins(b"SQLite format 3\0"), _database),
    ("pixels", _begins(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF"), _picture),
    ("members of the archive", _begins(b"PK\x03\x04"), _zip),
    ("what is compressed", _begins(b"\x1f\x8b"), _unzipped),
    ("members of the archive", lambda data, name: data[257:262] == b"ustar", _tar),
    ("values of the table", _begins(b"PAR1"), _values(_parquet)),
    ("values of the table", _begins(b"ARROW1", b"FEA1"), _values(_feather)),
    ("values of the pickle", _named(".joblib"), _values(_joblib)),
    ("values of the pickle", lambda data, name: data[:1] == b"\x80" and data[-1:] == b".", _values(_pickle)),
    ("text, dates aside", _begins(b"%PDF"), _document),
    ("text, dates and made-up names aside", _named(".svg"), _drawing),
    ("cells", _named(".ipynb"), _notebook),
    ("lines", lambda data, name: b"\0" not in data[:8192], _lines),
)


if __name__ == "__main__":
    main()
