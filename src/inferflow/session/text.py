"""Source text as Python decodes it.

A byte order mark or a coding cookie in the first two lines names the encoding, UTF-8 otherwise (PEP 263). Newlines
stay as they stand, so that positions hold.

>>> decode_source(b"# -*- coding: latin-1 -*-\\nx = '\\xe9'\\n")
"# -*- coding: latin-1 -*-\\nx = 'é'\\n"
"""

from __future__ import annotations

import io

__all__ = ["NotText", "decode_source"]


class NotText(ValueError):
    """The bytes are no source text. ``line`` counts from 1. ``native`` if it is text in an encoding that Python refuses
    (and says so in a SyntaxError); otherwise it is not text at all."""

    def __init__(self, message: str, line: int = 1, *, native: bool) -> None:
        super().__init__(message)
        self.line = line
        self.native = native


def decode_source(data: bytes) -> str:
    """The text of a Python file; raises NotText."""
    if b"\0" in data:
        raise NotText("it holds null bytes, as binary files do", native=False)
    head = data.split(b"\n", 2)[:2]
    try:
        if not any(b"coding" in line for line in head):
            return data.decode("utf-8-sig")
        from tokenize import detect_encoding

        encoding, _ = detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except SyntaxError as error:
        raise NotText(str(error.msg), _bad_line(data), native=True) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotText(f"({error.encoding}) {error.reason} at byte {error.start}", line, native=True) from None
    return text


def _bad_line(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1
