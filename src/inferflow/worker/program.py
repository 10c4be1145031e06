"""The driver's program in its own process: its text, the module it runs as, its functions."""

from __future__ import annotations

import ast
import gc
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from inferflow.worker import transform
from inferflow.worker.own import library

__all__ = ["Job", "Program", "future_mask", "muted"]


class Job(NamedTuple):
    """A piece of the user's program to be run: code in a namespace, or a call."""

    code: types.CodeType | None = None
    space: dict[str, Any] | None = None
    call: Callable[[], Any] = int

    def run(self) -> None:
        if self.code is not None:
            exec(self.code, self.space)
        else:
            self.call()


class Program:
    """The driver's text, parsed once; the module it runs as; what is needed to compile parts of it anew."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self.setup = setup
        self.filename: str = setup["filename"]
        self.kind: str = setup["driver"]
        self.module: Any = None
        self.data = b""
        self.flags = 0
        self.prefix = 0
        self.mask = future_mask()

    def tree(self) -> ast.Module:
        """A new tree (the transformations consume theirs)."""
        return ast.parse(self.data, self.filename)

    def begin(self) -> Job:
        """The first job: the prefix of a script, or the import of a function driver's module. Raises what reading and
        compiling the text raise."""
        if self.kind == "script":
            return Job(self._start_script(), self.module.__dict__)
        return Job(call=self._import)

    def _start_script(self) -> types.CodeType:
        with open(self.filename, "rb") as file:
            self.data = file.read()
        tree = self.tree()
        code: types.CodeType = compile(
            tree, self.filename, "exec", dont_inherit=True
        )  # as native: every warning and error, once
        self.flags = code.co_flags & future_mask()
        module = types.ModuleType("__main__")
        module.__dict__.update(
            __annotations__={},
            __builtins__=__builtins__ if isinstance(__builtins__, types.ModuleType) else sys.modules["builtins"],
            __file__=self.filename,
            __loader__=_loader(self.filename),
            __cached__=None,
        )  # in the order in which native has them
        sys.modules["__main__"] = module
        self.module = module
        self.prefix = transform.prefix_length(tree.body)
        if self.prefix == len(tree.body):
            return code
        head = ast.Module(body=tree.body[: self.prefix], type_ignores=[])
        with muted():
            return self._compiled(head, self.flags)

    def _compiled(self, tree: ast.Module, flags: int) -> types.CodeType:
        return cast(types.CodeType, compile(tree, self.filename, "exec", flags=flags, dont_inherit=True))

    def _import(self) -> None:
        __import__(self.setup["module"])
        module = sys.modules[self.setup["module"]]
        self.module = module
        self.filename = getattr(module, "__file__", None) or self.filename
        with open(self.filename, "rb") as file:
            self.data = file.read()
        with muted():
            self.flags = compile(self.tree(), self.filename, "exec", dont_inherit=True).co_flags & future_mask()

    def function(self, name: str) -> Any:
        """The driver function (what the module binds under its name); raises AttributeError."""
        value = self.module
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def put_code(self, old_name: str, line: int, new: types.CodeType) -> bool:
        """Give the function defined at ``line`` its hooked code. The function object stays the same (decorators,
        default arguments and references to it are untouched), so it is searched for by the code that it has now."""
        for value in self._candidates(old_name):
            if type(value) is types.FunctionType and value.__code__.co_name == old_name:
                code = value.__code__
                if code.co_firstlineno == line and _same_file(code.co_filename, self.filename):
                    if len(code.co_freevars) != len(new.co_freevars):
                        return False
                    value.__code__ = new
                    return True
        return False

    def _candidates(self, name: str) -> Any:
        """Where to look for a function: under its name, then (a decorator may have hidden it) everywhere."""
        yield getattr(self.module, name, None)
        yield from gc.get_objects()


def _same_file(first: str, second: str) -> bool:
    return first == second or os.path.abspath(first) == os.path.abspath(second)


def future_mask() -> int:
    features = library("__future__")
    mask = 0
    for name in features.all_feature_names:
        mask |= getattr(features, name).compiler_flag
    return mask


def _loader(filename: str) -> Any:
    return sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", filename)


class muted:
    """Compile again without showing the syntax warnings again. The list is edited in place and put back: that leaves
    the registries of the warnings module as they are, which ``catch_warnings`` would not. The list is the one that
    the interpreter asks: no module is imported for it, since one named ``warnings`` may be the user's."""

    def __enter__(self) -> None:
        import _warnings

        filters = getattr(sys.modules.get("warnings"), "filters", None)
        self.filters: list[Any] = filters if isinstance(filters, list) else cast("Any", _warnings).filters
        self.rules = [("ignore", None, category, None, 0) for category in (SyntaxWarning, DeprecationWarning)]
        self.filters[:0] = self.rules

    def __exit__(self, *_: object) -> None:
        # By identity: code that ran meanwhile may have put rules of its own before these, or the like of these.
        self.filters[:] = [one for one in self.filters if not any(one is rule for rule in self.rules)]
