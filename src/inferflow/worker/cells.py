"""Home of a notebook: IPython's own shell runs the cells, with our hooks between statements.

The shell is the one of a real kernel (``cell_shell``), so magics, displays, ``await``, ``In``, ``Out``, ``_`` and
tracebacks are the kernel's own. What it would send to a frontend goes to a ``Record``, which keeps each cell's outputs
in the form of the file format; the executed notebook is written from it. There is no socket, and no thread.

IPython compiles and runs a cell statement by statement (``run_ast_nodes``). That is where the hooks are called: around
the statements of a task, instead of in the syntax tree as for scripts; calls that are tasks of their own inside a
statement are hooked in the tree (see ``transform``).

    In [1]: X = load()          s(0)  X = load()  d(0, X)
            m = fit(X)          s(1)  m = fit(X)  d(1, m)
            m.score_            a display at the end of a cell runs at home, as any statement that no helper may run

What cells print goes to stdout and stderr as they print it, and into the record. What is written past Python's streams
(by C code, by child processes) goes to a file first, which is looked at before anything else is recorded.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import sys
import types
from collections.abc import Callable, Generator
from typing import Any

from inferflow import runners
from inferflow.worker import standing, transform
from inferflow.worker.cell_outputs import JOURNAL, CellStream, Past, Record, notebook_text
from inferflow.worker.cell_shell import guard, make_shell
from inferflow.worker.channel import high_descriptor
from inferflow.worker.hooks import thread_ident
from inferflow.worker.program import Job, future_mask

__all__ = ["run_notebook"]

BETWEEN = 0.01
"""Seconds that a kernel takes to get the next cell: what other tasks of the loop have at least."""

_COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run_notebook(home: Any) -> Generator[Job, BaseException | None, BaseException | None]:
    """Run the notebook from top to bottom; the exception that ended it, if any."""
    home.book = Session(home)
    outcome = yield Job(call=home.book.run)
    home.book.close()
    return home.book.failed or outcome


def _descriptors() -> frozenset[int]:
    try:
        return frozenset(map(int, os.listdir("/proc/self/fd")))
    except OSError:
        return frozenset()


class Nowhere:
    """In place of the running event loop, which is home's."""

    def __init__(self, refuse: Callable[[str], None]) -> None:
        object.__setattr__(self, "_refuse", refuse)

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "_refuse")("it asks something of the running event loop")


_CELL = ("number", "line", "lines", "count", "whole", "skip")


class Session:
    """One notebook under way."""

    def __init__(self, home: Any) -> None:
        self.home = home
        self.setup = home.setup
        self.cells = [dict(zip(_CELL, facts)) for facts in home.setup["cells"]]
        text = self.setup["book"]
        if not text:
            with open(self.setup["filename"], encoding="utf-8-sig") as file:
                text = file.read()
        self.book: dict[str, Any] = json.loads(text)
        self.past = Past()
        self.record = Record(self.past)
        self.streams: dict[str, CellStream] = {}
        self.planned = False
        self.failed: BaseException | None = None
        self.shown = ""
        self.where: list[list[Any]] = []
        self.current = 0
        self.bases: dict[int, int] = {}
        self.units: dict[int, transform.Unit] = {}
        self.expressions: list[transform.Unit] = []
        self.begins: dict[int, int] = {}
        self.held: list[Any] = []
        self.held_in = -1
        self.journal = -1
        self.descriptors: frozenset[int] = frozenset()
        """Those of the event loop that cells run in."""

    # -- beginning -----------------------------------------------------------------------------------

    def run(self) -> None:
        home = self.home
        runners.keep = home.keep_executed
        self.past.install(home.streams)
        home.streams.install()
        home.hooks.thread = thread_ident()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=home.go_alone)
        for name, text in home.streams.texts.items():
            self.streams[name] = CellStream(name, text, self.record)
            setattr(sys, name, self.streams[name])
        home.streams.replay = self._replay
        program = home.program
        program.data = self.setup["text"].encode("utf-8", "surrogatepass")
        tree = program.tree()
        program.prefix = transform.prefix_length(tree.body)
        self.bases = _bases(tree.body, self.cells)
        try:
            self.shell = make_shell(self)
        except BaseException as error:
            self.failed = error
            self.shown = f"the notebook cannot be run: {type(error).__name__}: {error}"
            self.take_plan()
            return
        program.module = self.shell.user_module
        standing.in_kernel()
        try:
            before = _descriptors()
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            self.descriptors = _descriptors() - before
            loop.run_until_complete(self._cells())
            self.take_plan()
            self.finish()
        except BaseException as error:  # what IPython lets through: a fault of ours, or Ctrl-C between cells
            self.failed = self.failed or error
            self.finish()

    def in_helper(self, refuse: Callable[[str], None]) -> None:
        """This process is a helper's: what a task asks of the kernel or its event loop ends it."""
        for stream in self.streams.values():
            vars(stream).pop("write", None)  # by which IPython 9 keeps a copy for its history, at home
        for part in (self.shell, self.shell.kernel):
            guard(part, refuse)
        asyncio._set_running_loop(Nowhere(refuse))  # type: ignore[arg-type]

    def take_plan(self) -> None:
        """The prefix is done: say so, and go on with the plan. (Later calls do nothing.)"""
        if self.planned:
            return
        self.planned = True
        home = self.home
        home.tell_ready(None)
        plan = home.receive_reply()
        if plan["kind"] != "plan":
            return
        home.take_plan(plan)
        flags = getattr(self.shell.compile, "flags", 0)
        home.program.flags = flags & future_mask()
        self.units = {unit.first: unit for unit in home.hooks.units.values() if unit.expression is None}
        self.expressions = [unit for unit in home.hooks.units.values() if unit.expression is not None]
        self.begins = {unit.inner[-1]: unit.task for unit in home.hooks.units.values() if unit.inner}
        home.first_fork()

    # -- a cell --------------------------------------------------------------------------------------

    async def _cells(self) -> None:
        """Run the cells, up to one that fails. As in a kernel a loop is running while they do, and what they left in it
        goes on between them."""
        for position in range(len(self.cells)):
            if not await self._cell(position):
                break
            if len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(BETWEEN)

    async def _run_cell(self, source: str) -> Any:
        """Run a cell as a kernel does: one that awaits as a task of the loop, any other at once."""
        shell = self.shell
        failed = None
        try:
            text = shell.transform_cell(source)
        except Exception:
            text, failed = source, sys.exc_info()
        if not shell.should_run_async(source, transformed_cell=text, preprocessing_exc_tuple=failed):
            return shell.run_cell(source, store_history=True)
        rest = {"transformed_cell": text, "preprocessing_exc_tuple": failed}
        result = None
        try:
            result = await asyncio.ensure_future(shell.run_cell_async(source, store_history=True, **rest))
        finally:
            shell.events.trigger("post_execute")  # as the kernel does then: figures are shown
            shell.events.trigger("post_run_cell", result)
        return result

    async def _cell(self, position: int) -> bool:
        """Run one cell; whether the next may follow."""
        shell = self.shell
        facts = self.cells[position]
        self.current = position
        cell = self.book["cells"][facts["number"] - 1]
        tags = cell.get("metadata", {}).get("tags", ())
        source = cell.get("source", "")
        source = source if isinstance(source, str) else "".join(source)
        self.record.begin()
        count = shell.execution_count
        self._note(facts["number"], count, [])
        result = await self._run_cell(source)
        self.past.drain(self.record)
        shell.payload_manager.clear_payload()
        error = result.error_before_exec or result.error_in_exec
        if error is None and getattr(shell, "_last_traceback_during_displayhook", False):
            error = getattr(sys, "last_value", None) or RuntimeError("the result cannot be displayed")
        failed = error is not None and "raises-exception" not in tags
        cell["outputs"] = self.record.outputs
        cell["execution_count"] = count
        self._settle(failed)
        for name in ("stdout", "stderr"):
            if name in self.streams:
                self.streams[name].flush()
        self._note(facts["number"], count, self.record.outputs)
        if failed:
            self.failed = error
            self._tell_failure(facts, error)
            return False
        return True

    def _tell_failure(self, facts: dict[str, Any], error: BaseException) -> None:
        said = next((o for o in reversed(self.record.outputs) if o["output_type"] == "error"), None)
        self.shown = _COLORS.sub("", "\n".join(said["traceback"])) if said else f"{type(error).__name__}: {error}"
        line = _line_of(error, self.names_of(facts))
        self.where = [[f"{self.setup['filename']}[{facts['number']}]", line or 1]]

    def names_of(self, facts: dict[str, Any]) -> frozenset[str]:
        return frozenset([facts.get("code_name", "")])

    def _settle(self, failed: bool) -> None:
        """What was held back of the cell's last task: it is done when the cell's figures are shown. The last task of
        all is held to the end, since the executed notebook is kept with it."""
        if not self.held:
            return
        final = max(self.units.values(), key=lambda unit: unit.task, default=None)
        if self.held[-1] is final and not failed and self.home.hooks.open == self.held[0].task:
            return
        if self.held_in == self.current and failed:
            self.held = []  # it is what failed, or what stands right before that in its cell
            return
        held, self.held = self.held, []
        self._done(*held)

    # -- statements ----------------------------------------------------------------------------------

    async def statements(self, inner: Any, nodes: list[ast.stmt], name: str, interactivity: str, rest: Any) -> Any:
        """Run a cell's statements task by task; what ``run_ast_nodes`` gives."""
        facts = self.cells[self.current]
        facts["code_name"] = name
        base = self.bases.get(facts["number"], -1)
        whole = facts["whole"] or len(nodes) != facts["count"] or base < 0
        if whole:
            if base >= self.home.program.prefix:
                self.take_plan()
            return await self._whole(inner, nodes, name, interactivity, rest, base, facts["count"])
        position = 0
        while position < len(nodes):
            index = base + position
            if index >= self.home.program.prefix:
                self.take_plan()
            unit = self.units.get(index) if self.planned else None
            last = position
            if unit is not None:
                last = min(unit.last - base, len(nodes) - 1)
            else:
                while last + 1 < len(nodes) and self._is_plain(base + last + 1):
                    last += 1
            run = nodes[position : last + 1]
            how = interactivity if last + 1 == len(nodes) else "none"
            if self.planned and self.expressions:
                run = [self._hooked(node, facts) for node in run]
            if unit is None:
                if await inner(run, name, interactivity=how, **rest):
                    return True
            elif await self._unit(inner, unit, run, name, how, rest, last + 1 == len(nodes)):
                return True
            position = last + 1
        return False

    def _is_plain(self, index: int) -> bool:
        """Whether a statement belongs to no task, and does not end the prefix."""
        if not self.planned:
            return index < int(self.home.program.prefix)
        return index not in self.units

    async def _unit(
        self, inner: Any, unit: transform.Unit, run: list[ast.stmt], name: str, how: str, rest: Any, ends_cell: bool
    ) -> bool:
        hooks = self.home.hooks
        here = True
        said = transform.annotations_in(run)
        if unit.adoptable and said is not None:
            here = self._asked("q" if unit.inner else "s", unit.task)
        elif not unit.inner:
            hooks.o(unit.task)
        if not here:
            self.shell.user_ns.update(hooks.taken(unit.task))
            return bool(said and await inner(said, name, interactivity="none", **rest))
        if await inner(run, name, interactivity=how, **rest):
            return True
        if ends_cell:
            self.held, self.held_in = [unit], self.current
        else:
            self.past.drain(self.record)
            self._done(unit)
        return False

    def _asked(self, method: str, task: int) -> bool:
        """Call a hook from a frame of the notebook's own names, as in a script: what was assumed is checked in it."""
        code = compile(f"{transform.SENTINEL!r}.{method}({task})", "<hook>", "eval")
        return bool(eval(transform.replace_sentinel(code, self.home.hooks), self.shell.user_ns))

    async def _whole(
        self, inner: Any, nodes: list[ast.stmt], name: str, interactivity: str, rest: Any, base: int, count: int
    ) -> bool:
        """A cell that is one statement for the analysis (or that it took for something else)."""
        units = [self.units[i] for i in range(base, base + count) if i in self.units] if self.planned else []
        for unit in units[:1]:
            self.home.hooks.s(unit.task)
        if await inner(nodes, name, interactivity=interactivity, **rest):
            return True
        if units:
            self.held, self.held_in = list(units), self.current
        return False

    def _done(self, *units: transform.Unit) -> None:
        hooks, names = self.home.hooks, self.shell.user_ns
        for number, unit in enumerate(units):
            if number:
                hooks.s(unit.task)
            values = [names.get(name) for _, name in unit.outputs] if unit.definite else []
            missing = any(name not in names for _, name in unit.outputs)
            if hooks.open == unit.task and not hooks.alone:
                frame = types.SimpleNamespace(f_locals=names) if missing or not unit.definite else None
                with hooks.shield:
                    hooks._finish(unit.task, tuple(values), frame)

    def _hooked(self, node: ast.stmt, facts: dict[str, Any]) -> ast.stmt:
        """A statement with the hooks of the calls in it that are tasks of their own."""
        shift = facts["line"] - 1 + facts["skip"]
        units = {}
        for unit in self.expressions:
            assert unit.expression is not None
            line, column, end, end_column = unit.expression
            units[(line - shift, column, end - shift, end_column)] = unit
        visited: ast.stmt = transform.hook_calls(node, units, self.begins)
        return visited

    # -- streams and the end -------------------------------------------------------------------------

    def _replay(self, name: str, data: bytes, flushed: int = -1) -> None:
        """Write what a helper kept, as if it were printed here. (Where it flushed does not matter: lines are shown.)"""
        if data and name in self.streams:
            self.streams[name].write(data.decode("utf-8", "replace"))

    def finish(self) -> None:
        """The end: keep the executed notebook, with the last task if there is one."""
        self.past.drain(self.record)
        self.write()
        hooks = self.home.hooks
        if hooks.open is not None and not self.home.alone:
            self.home.keep_executed(self.setup["filename"], self.executed())
        held, self.held = self.held, []
        if held and self.failed is None:
            self._done(*held)
        if self.setup.get("watch"):
            from inferflow.worker.watch import begin, take

            begin(self.setup["watch"])
            take()

    def failure(self) -> dict[str, Any]:
        """What is told of the failure, for the record."""
        return {"traceback": self.shown + "\n", "frames": self.where}

    def executed(self) -> bytes:
        """The notebook as it is now, in the form in which Jupyter writes it."""
        widgets = self.record.widgets()
        if widgets:
            metadata = {**self.book.get("metadata", {}), "widgets": widgets}
            return notebook_text({**self.book, "metadata": metadata})
        return notebook_text(self.book)

    def _note(self, *row: Any) -> None:
        """Note a cell's number, its count, its outputs so far, for a notebook whose process does not come to its end
        (see ``executed_so_far``)."""
        if self.home.alone:
            return
        on, self.home.files.on = self.home.files.on, False
        try:
            if self.journal < 0:
                path = os.path.join(self.setup["scratch"], JOURNAL)
                self.journal = high_descriptor(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            os.write(self.journal, json.dumps(row).encode() + b"\n")
        except (OSError, ValueError):
            pass
        self.home.files.on = on

    def write(self) -> None:
        """Leave the executed notebook where the controller looks for it."""
        on, self.home.files.on = self.home.files.on, False
        path = os.path.join(self.setup["scratch"], "executed.ipynb")
        try:
            with open(path + ".tmp", "wb") as file:
                file.write(self.executed())
            os.replace(path + ".tmp", path)
        except OSError:
            pass
        self.home.files.on = on

    def show(self) -> None:
        """The failure, on stderr, as a kernel words it."""
        stream = self.streams.get("stderr")
        if stream is not None and self.shown:
            facts = self.cells[self.current]
            name = os.path.basename(self.setup["filename"])
            stream.text.write(f"{name}, cell {facts['number']}:\n{self.shown}\n")
            stream.text.flush()

    def close(self) -> None:
        for stream in self.streams.values():
            try:
                stream.text.flush()
            except (OSError, ValueError):
                pass


def _bases(body: list[ast.stmt], cells: list[dict[str, Any]]) -> dict[int, int]:
    """For each cell the index, in the text's body, of its first statement."""
    found: dict[int, int] = {}
    for index, node in enumerate(body):
        line = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", ())]])
        for cell in cells:
            if cell["line"] <= line < cell["line"] + cell["lines"]:
                found.setdefault(cell["number"], index)
                break
    return found


def _line_of(error: BaseException, names: frozenset[str]) -> int:
    """The line of the failing cell, as its traceback has it."""
    if isinstance(error, SyntaxError) and not error.__traceback__:
        return error.lineno or 1
    line = 0
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename in names:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line or (getattr(error, "lineno", 0) or 0 if isinstance(error, SyntaxError) else 0)
