"""What a parameter of the driver's function may be, by its annotation or its default.

def main(n: int = 3, paths=()):        n: an int; paths: anything
"""

from __future__ import annotations

import ast

from inferflow.analysis import ir
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, UNKNOWN, Node, Value

__all__ = ["parameter"]

PLAIN = {
    "int": "builtins.int",
    "float": "builtins.float",
    "str": "builtins.str",
    "bool": "builtins.bool",
    "bytes": "builtins.bytes",
    "complex": "builtins.complex",
    "Path": "pathlib.Path",
    "pathlib.Path": "pathlib.Path",
    "date": "datetime.date",
    "datetime": "datetime.datetime",
    "datetime.date": "datetime.date",
    "datetime.datetime": "datetime.datetime",
}


def parameter(frame: Frame, param: ir.Param) -> Value:
    """What a parameter of the driver may be: by its annotation (the run makes sure of it), else by its default."""
    program = frame.program
    if param.kind == "var_positional":
        node = frame.make(("parameter", param.name), types=frozenset(("builtins.tuple",)), immutable=True)
        frame.put(node, ELEMENTS, frame.below(node))
        return frozenset((node,))
    names: list[str] = []
    if param.annotation is not None:
        for part in _alternatives(param.annotation):
            if part == "None":
                names.append("builtins.NoneType")
            elif part in PLAIN:
                names.append(PLAIN[part])
            elif part.startswith("Literal["):
                names.extend(("builtins.str", "builtins.int", "builtins.bool"))
            else:
                names = []
                break
    elif param.default is not None:
        try:
            default = ast.literal_eval(param.default)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            default = None
        if isinstance(default, bool | int | float | str | bytes):
            names = [f"builtins.{type(default).__name__}"]
    if names:
        found: set[Node] = set()
        for name in names:
            if name in ("builtins.str", "builtins.bytes", "pathlib.Path"):
                symbol = frame.make(("parameter", param.name, name), "scalar", frozenset((name,)), None, True)
                symbol.name = f"{{{param.name}}}"
                found.add(symbol)
            else:
                found |= program.scalar(name)
        return frozenset(found)
    kind = (param.annotation or "").partition("[")[0]
    container = kind if kind in ("list", "dict", "set", "tuple", "frozenset") else ""
    types = frozenset((f"builtins.{container}" if container else UNKNOWN,))
    node = frame.make(("parameter", param.name), types=types, immutable=container in ("tuple", "frozenset"))
    node.name = param.name
    frame.put(node, ELEMENTS, frame.below(node))
    return frozenset((node,))


def _alternatives(annotation: str) -> list[str]:
    text = annotation.strip().strip("'\"")
    for word in ("Optional[", "typing.Optional["):
        if text.startswith(word):
            return ["None", *_alternatives(text[len(word) : -1])]
    if "|" in text and "[" not in text:
        return [part.strip() for part in text.split("|")]
    return [text.removeprefix("typing.")]
