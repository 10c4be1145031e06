"""A value of a past run, written in a form that others read; in a process that exists for this alone.

Rebuilding a value runs code of the user's (imports, ``__setstate__``, ``__repr__``), so the controlling process never
does it: it starts this module with a request on stdin (JSON: store, run, name, form, output) and reads the file that
comes out of it, or ``output.refused`` with the reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inferflow.errors import UserError

__all__ = ["encode", "main"]


def main() -> None:
    """Answer the request on stdin."""
    from inferflow.storage.folder import Folder
    from inferflow.storage.runs import Runs
    from inferflow.storage.values import load_value

    request = json.load(sys.stdin)
    output = Path(request["output"])
    try:
        value = load_value(Runs(Folder(Path(request["store"]))), request["run"], request["name"])
        data = encode(value, request["form"])
    except UserError as error:
        refused = {"message": error.message, "hint": error.hint}
        Path(str(output) + ".refused").write_text(json.dumps(refused))
        return
    output.write_bytes(data)


def encode(value: object, form: str) -> bytes:
    """The bytes of ``value`` in a form: text, json, csv, npy, pickle. Raises UserError if it has no such form."""
    try:
        return _FORMS[form](value)
    except UserError:
        raise
    except Exception as error:
        kind = type(value).__name__
        raise UserError(
            f"this {kind} cannot be written as {form}: {type(error).__name__}: {error}",
            hint="try --format text or pickle",
        ) from error


def _text(value: Any) -> bytes:
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "backslashreplace") + b"\n"


def _json(value: Any) -> bytes:
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=True)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _plain(value: Any) -> Any:
    """What JSON can say: arrays as lists, tables as lists of rows, sets in order, classes of fields as objects."""
    import dataclasses
    import datetime
    import enum
    import pathlib

    match value:
        case None | bool() | int() | float() | str() if type(value) in (type(None), bool, int, float, str):
            return value
        case dict():
            return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return _plain(value._asdict())
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return [_plain(item) for item in sorted(value, key=lambda item: (type(item).__name__, repr(item)))]
        case enum.Enum():
            return _plain(value.value)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case pathlib.PurePath() | complex():
            return str(value)
        case int() | float() | str():
            return json.loads(json.dumps(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return {field.name: _plain(getattr(value, field.name)) for field in type(value).__attrs_attrs__}
    for make in (_records, lambda v: v.tolist(), lambda v: v.to_dict()):
        try:
            made = make(value)
        except (AttributeError, TypeError, ValueError):
            continue
        return _plain(made)
    raise UserError(f"this {type(value).__name__} has no form in JSON", hint="try --format text or pickle")


def _records(value: Any) -> Any:
    if not hasattr(value, "columns"):
        raise AttributeError("columns")
    return value.to_dict(orient="records") if hasattr(value, "to_dict") else value.to_dicts()


def _csv(value: Any) -> bytes:
    import csv
    import io

    if hasattr(value, "to_csv"):
        return str(value.to_csv(index=not _is_counted(value))).encode("utf-8")
    if hasattr(value, "write_csv"):
        return str(value.write_csv()).encode("utf-8")
    if hasattr(value, "tolist"):
        value = value.tolist()
    rows = [list(value)] if isinstance(value, dict) else []
    if isinstance(value, dict):
        rows += [list(row) for row in zip(*value.values(), strict=True)]
    elif isinstance(value, list | tuple) and value and all(isinstance(row, dict) for row in value):
        names = list(dict.fromkeys(name for row in value for name in row))
        rows = [names, *([row.get(name, "") for name in names] for row in value)]
    elif isinstance(value, list | tuple):
        rows = [list(row) if isinstance(row, list | tuple) else [row] for row in value]
    else:
        raise UserError(f"this {type(value).__name__} is no table", hint="try --format text or pickle")
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8")


def _is_counted(frame: Any) -> bool:
    """Whether the index of a pandas object is nothing but the numbers of its rows."""
    return type(getattr(frame, "index", None)).__name__ == "RangeIndex" and frame.index.name is None


def _npy(value: Any) -> bytes:
    import io

    import numpy as np

    out = io.BytesIO()
    np.save(out, np.asarray(value), allow_pickle=False)
    return out.getvalue()


def _pickle(value: Any) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(value))


_FORMS: dict[str, Callable[[Any], bytes]] = {
    "text": _text,
    "json": _json,
    "csv": _csv,
    "npy": _npy,
    "pickle": _pickle,
}
