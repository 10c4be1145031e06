"""Functions of the project that are opened: their code gets hooks, and only calls by the driver use them.

What the analysis found of such a function holds for the calls that stand in the driver, or in a function that is opened
itself. Whoever calls it otherwise (a callback, a library, the function itself) finds the same code, and its hooks do
nothing: they look from where the function was called.

The function object stays the same; it gets other code, from the text that its module was loaded from. If that is not
the text that the code came from any more, or if something else stands under the name, the function stays as it is.
"""

from __future__ import annotations

import ast
import sys
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from inferflow.worker.transform import find_block, find_code, replace_sentinel
from inferflow.worker.transform_regions import Place, Table, hook_opened

if TYPE_CHECKING:
    from inferflow.worker.home import Home

__all__ = ["Opened", "Source"]

COROUTINE = 0x80
"""``inspect.CO_COROUTINE``"""


class Source(NamedTuple):
    """Where a region's code comes from: its file and text, the flags it is compiled with, the block that it stands in,
    and the names that it runs among."""

    filename: str
    data: bytes
    flags: int
    block: dict[str, Any]
    space: dict[str, Any]

    def tree(self) -> ast.Module:
        """A new tree."""
        return ast.parse(self.data, self.filename)


class Opened:
    """The functions that were opened, by ``module:name``."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.sources: dict[str, Source] = {}
        self.known: dict[int, tuple[types.CodeType, bool]] = {}
        self.callers: set[tuple[str, str, int]] = set()

    def hook(self, table: Table, later: list[ast.stmt]) -> None:
        """Put hooks into the functions. ``later`` are statements of the driver's own file that are still to be run:
        functions that they define are hooked there."""
        program = self.home.program
        self.callers = {(program.filename, block["name"], block["line"]) for block in self.home.plan["blocks"]}
        for place in [place for place in table.places.values() if place.node == "function"]:
            module, _, name = place.function.partition(":")
            if module == program.module.__name__ and (node := _defined(later, place)) is not None:
                hook_opened(node, table, place)
                source = Source(
                    program.filename, program.data, program.flags, _block(place, name), program.module.__dict__
                )
                self._add(place, source, place.span[0])
            else:
                self._replace(table, place, module, name)

    def source_of(self, place: Place) -> Source:
        """Where the code of a region comes from."""
        if place.function:
            return self.sources[place.function]
        program = self.home.program
        block = self.home.plan["blocks"][place.block]
        return Source(program.filename, program.data, program.flags, block, program.module.__dict__)

    def is_called(self, place: Place, frame: Any) -> bool:
        """Whether what runs in a frame of the interpreter is what the analysis has seen: the driver, or an opened
        function that it has called."""
        if not place.function:
            return True
        while frame is not None and frame.f_code.co_name in ("<listcomp>", "<setcomp>", "<dictcomp>"):
            frame = frame.f_back
        if frame is not None and frame.f_code.co_flags & COROUTINE:
            return True  # it is run by the event loop; and nobody else than the driver can have made it
        caller = frame.f_back if frame is not None else None
        if caller is None:
            return False
        code = caller.f_code
        known = self.known.get(id(code))
        if known is None or known[0] is not code:
            name = code.co_name
            line = 1 if name == "<module>" else code.co_firstlineno
            told = (code.co_filename, name, line)
            known = self.known[id(code)] = (code, told in self.callers)
        return known[1]

    def _add(self, place: Place, source: Source, line: int) -> None:
        self.sources[place.function] = source
        self.callers.add((source.filename, source.block["name"], line))

    def _replace(self, table: Table, place: Place, module: str, name: str) -> None:
        """Give a function that is there already its hooked code."""
        space = getattr(sys.modules.get(module), "__dict__", {})
        function = space.get(name)
        if type(function) is not types.FunctionType or function.__closure__:
            return
        code = function.__code__
        try:
            with open(code.co_filename, "rb") as file:
                data = file.read()
            tree = ast.parse(data, code.co_filename)
            plain = compile(data, code.co_filename, "exec", dont_inherit=True)
            if find_code(plain, name, place.span[0]).co_code != code.co_code or code.co_firstlineno != place.span[0]:
                return
            node = find_block(tree, "function", place.span[0], place.span[1])
        except (OSError, SyntaxError, ValueError, LookupError):
            return
        hook_opened(node, table, place)
        made = compile(tree, code.co_filename, "exec", dont_inherit=True)
        function.__code__ = replace_sentinel(find_code(made, name, place.span[0]), self.home.hooks)
        source = Source(code.co_filename, data, plain.co_flags & self.home.program.mask, _block(place, name), space)
        self._add(place, source, place.span[0])


def _defined(body: list[ast.stmt], place: Place) -> Any:
    for node in body:
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and (node.lineno, node.col_offset) == place.span[:2]
        ):
            return node
    return None


def _block(place: Place, name: str) -> dict[str, Any]:
    return {"kind": "function", "name": name, "line": place.span[0], "column": place.span[1]}
