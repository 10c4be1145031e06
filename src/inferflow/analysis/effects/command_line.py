"""What ``argparse`` gives: the attributes of the namespace, by the options that the parser was told of.

    parser.add_argument("--out-dir", type=Path)      args.out_dir    a path, or None
    parser.add_argument("--n", default=3)            args.n          a string, or 3
    parser.add_argument("files", nargs="+")          args.files      a list of strings

Of options whose ``type`` or ``action`` is the project's own, or is not told in plain words, nothing is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferflow.analysis.effects import library, operators
from inferflow.analysis.effects.frame import Frame
from inferflow.analysis.effects.heap import ELEMENTS, EMPTY, Node, Value, join
from inferflow.model import Span

if TYPE_CHECKING:
    from inferflow.analysis.catalogue import Signature
    from inferflow.analysis.effects.calls import Arguments

__all__ = ["NAMESPACE", "PARSER", "attribute", "call", "taken_apart"]

PARSER = "argparse.ArgumentParser."
NAMESPACE = "argparse.Namespace"
OPTION = "<option "
"""Begins the names of a parser's fields for what its options give."""
TYPES = {
    "builtins.int": "builtins.int", "builtins.float": "builtins.float", "builtins.str": "builtins.str",
    "builtins.bool": "builtins.bool", "pathlib.Path": "pathlib.Path", "pathlib.PurePath": "pathlib.PurePath",
    "decimal.Decimal": "decimal.Decimal",
}  # fmt: skip
"""What calling these with a string gives."""
FLAGS = {"store_true": "builtins.bool", "store_false": "builtins.bool", "count": "builtins.int"}
SEVERAL = ("append", "extend")
GROUPS = ("add_argument_group", "add_mutually_exclusive_group")
PARSING = ("parse_args", "parse_intermixed_args")


def call(frame: Frame, signature: Signature, receiver: Value, arguments: Arguments, span: Span, key: Any) -> Value:
    """A method of a parser."""
    method = signature.name.removeprefix(PARSER)
    result = library.apply_call(frame, signature, receiver, arguments, span, key)
    if method in GROUPS:
        for group in result:
            frame.put(group, "<parser>", receiver)
    elif method == "add_argument":
        name = _destination(arguments)
        given = _given(frame, arguments, key) or frozenset((frame.make((key, "value")),))
        for parser in _parsers(frame, receiver):
            frame.put(parser, f"{OPTION}{name}>" if name else "<any>", given)
    elif method == "set_defaults":
        for parser in _parsers(frame, receiver):
            for name, value in arguments.keywords:
                frame.put(parser, f"{OPTION}{name}>", value)
            if arguments.named is not None:
                frame.put(parser, "<any>", receiver)
    elif method in PARSING and _is_plain(arguments):
        known = [_options(frame, parser) for parser in receiver]
        if known and all(known):
            made = frame.make((key, "namespace"), types=frozenset((NAMESPACE,)))
            for options in known:
                for name, value in options.items():
                    frame.put(made, name, value)
            return frozenset((made,))
    return result


def taken_apart(frame: Frame, node: Node, key: Any) -> None:
    """Somebody has the dictionary of a namespace, and may put anything there."""
    if NAMESPACE in node.types:
        frame.put(node, ELEMENTS, frozenset((frame.make((key, "something")),)))


def attribute(frame: Frame, node: Node, name: str) -> Value:
    """What an attribute of a namespace may be; nothing if no option of the name is known."""
    known = frame.field(node, name)
    return join(known, frame.below(node)) if known and frame.field(node, ELEMENTS) else known


def _parsers(frame: Frame, receiver: Value) -> Value:
    """The parsers that a parser or a group of options belongs to, and itself."""
    found = receiver
    while True:
        more = found
        for node in found:
            more = join(more, frame.field(node, "<parser>"))
        if more == found:
            return found
        found = more


def _options(frame: Frame, parser: Node) -> dict[str, Value]:
    """The options of a parser of which all is known that gives them."""
    if parser.kind != "object" or parser.path is not None or frame.field(parser, "<any>"):
        return {}
    names = [name for name in list(parser.fields) if name.startswith(OPTION)]
    return {name.removeprefix(OPTION)[:-1]: frame.field(parser, name) for name in names}


def _is_plain(arguments: Arguments) -> bool:
    """Whether the namespace is a new one."""
    return (
        arguments.more is None
        and arguments.named is None
        and len(arguments.positional) < 2
        and all(name != "namespace" for name, _ in arguments.keywords)
    )


def _destination(arguments: Arguments) -> str:
    """The attribute that an option gives; "" if that is not told."""
    if arguments.more is not None or arguments.named is not None:
        return ""
    told = dict(arguments.keywords).get("dest")
    if told is not None:
        word = operators.constant_of(told)
        return word if isinstance(word, str) else ""
    words = [operators.constant_of(value) for value in arguments.positional]
    names = [word for word in words if isinstance(word, str)]
    if not names or len(names) < len(words):
        return ""
    best = next((name for name in names if name.startswith("--")), names[0])
    return best.lstrip("-").replace("-", "_") if best.startswith("-") else best


def _given(frame: Frame, arguments: Arguments, key: Any) -> Value:
    """What the attribute may be; nothing if that is not known."""
    program = frame.program
    keywords = dict(arguments.keywords)
    default = keywords.get("default", program.none)
    action = operators.constant_of(keywords["action"]) if "action" in keywords else "store"
    if action in FLAGS:
        return join(program.scalar(FLAGS[str(action)]), default)
    if action != "store" and action not in SEVERAL:
        return EMPTY
    one = program.scalar("builtins.str")
    if "type" in keywords:
        one = EMPTY
        for node in keywords["type"]:
            if node.kind != "lib" or node.data not in TYPES:
                return EMPTY
            one = join(one, program.scalar(TYPES[node.data]))
    many = operators.constant_of(keywords["nargs"]) if "nargs" in keywords else None
    if action in SEVERAL or many not in (None, "?") or ("nargs" in keywords and many is None):
        values = frame.make((key, "values"), types=frozenset(("builtins.list",)))
        frame.put(values, ELEMENTS, one)
        one = frozenset((values,))
    return join(join(one, default), keywords.get("const", EMPTY))
