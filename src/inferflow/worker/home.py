"""Home: the one process in which the driver's program really runs.

It executes the leading imports and definitions while the controller still analyses, receives the plan (which tasks
stand where), puts the hooks into the program and runs it in the main thread, as ``__main__``. Between hooks there is
nothing but the user's own code. The messages, in the order of a run:

    home -> controller                               controller -> home
    hello {role, pid}                                setup {filename, kind, ...}
    ready {prefix output} | failed                   plan {units, blocks, ...}
    inputs {values}      parameters, if helpers want them
    start {task}                                     (nothing: home goes on)
    at {task, inner}     may a helper have run it?   run | adopt {parts} | fork-free variants of both
    done {task, ...}     outputs, output, files      (nothing)
    stored {id, ...}     a large value is on disk    (nothing)
    end {status, ...}    then the interpreter finishes as native
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from types import CodeType
from typing import Any, NoReturn

from inferflow import runners
from inferflow.worker import transform
from inferflow.worker.analysed import Analysed
from inferflow.worker.apart import fork_apart, watches_children
from inferflow.worker.channel import Closed, high_descriptor
from inferflow.worker.ending import exception_facts, show, stripped
from inferflow.worker.executed import Executed
from inferflow.worker.files import content_fact, file_fact
from inferflow.worker.frames import Frames
from inferflow.worker.frames_sharing import INSIDE
from inferflow.worker.handles import held, let_go
from inferflow.worker.hooks import Hooks, gaps, thread_ident, unit_of
from inferflow.worker.keep import Keeper
from inferflow.worker.observe import FileRecorder
from inferflow.worker.observer import Observer
from inferflow.worker.opened import Opened
from inferflow.worker.own import library
from inferflow.worker.pools import Pools
from inferflow.worker.program import Job, Program, muted
from inferflow.worker.streams import Streams
from inferflow.worker.transform_regions import hook_regions, table_of
from inferflow.worker.transport_pickle import forget_types

__all__ = ["Home"]


class Home:
    """One run of the driver's program. ``fork_template`` is called in the child process after a fork for helpers."""

    def __init__(
        self,
        channel: Any,
        setup: dict[str, Any],
        fork_template: Callable[[Home, int], None] | None = None,
    ) -> None:
        self.channel = channel
        self.setup = setup
        self.alone = False
        self.fork_template = fork_template
        self.program = Program(setup)
        self.streams = Streams(setup.get("mark", b""), setup.get("one_stream", False))
        self.files = FileRecorder(tuple(setup["ignored"]), setup["root"])
        if setup.get("trace"):
            from inferflow.worker.tracing import Tracer

            self.files.tracer = Tracer(self.files, setup["scratch"])
            self.files.tracer.install()
        self.made: list[dict[str, Any]] = []  # by a task, but in no file of the user's: an executed notebook
        self.keeper = Keeper(setup["scratch"], self.send, self.project_modules, self.silence)
        self._modules: tuple[int, frozenset[str]] = (0, frozenset())
        self._looked_at: set[str] = set()
        self.observer = Observer(self)
        self.witness: Any = None
        """In processes forked from here: see ``testify``."""
        self.hooks = Hooks(self)
        self.frames = Frames(self)
        self.opened = Opened(self)
        self.table = table_of([])
        self.executed = Executed([])
        self.analysed = Analysed([])
        self.spares: Any = None  # kernels that are started ahead of the notebooks that tasks execute
        self.lenders: set[int] = set()  # tasks that have papermill or nbclient execute a notebook
        self.book: Any = None  # a notebook under way (``cells.Session``)
        self.plan: dict[str, Any] = {}
        self.prefixed: frozenset[str] = frozenset()
        """What the prefix has bound in the driver's module."""
        self.fork_spent = 0.0
        self.began = time.perf_counter()
        self.pools = Pools()
        self.recipes: Any = None
        self.posted: Any = None
        """Of tasks whose results may be used again (see ``recipe``)."""

    # -- talking -------------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> None:
        if self.alone:
            return
        try:
            self.channel.send(message)
        except Closed:
            # The program closed all descriptors, ours too (if the controller were gone, the lifeline would have ended
            # this process): it goes on as natively, and no longer seen.
            self.go_alone()

    def receive_reply(self) -> dict[str, Any]:
        if self.alone:
            return {"kind": "run"}
        try:
            return self.channel.receive()  # type: ignore[no-any-return]
        except Closed:
            self.go_alone()
            return {"kind": "run"}

    def halt(self) -> NoReturn:
        """The program cannot go on here (a task could not run where it has to): what was printed before is shown."""
        try:
            self.streams.flush()
        finally:
            os._exit(4)

    def silence(self) -> None:
        """In a forked copy that only packs values: nothing of it is seen or done."""
        self.streams.release()
        self.streams.capture()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)

    def fault(self, error: Exception) -> None:
        """Something of ours went wrong: tell the controller, and get out of the program's way."""
        text = "".join(library("traceback").format_exception(type(error), error, error.__traceback__))
        self.send({"kind": "fault", "text": text})
        self.go_alone()

    def go_alone(self) -> None:
        """Stop recording: in a process that the driver's own code forked, or cut off from the controller."""
        self.alone = True
        self.hooks.alone = True
        self.files.on = False

    # -- the program -----------------------------------------------------------------------------------

    def prepare(self) -> Generator[Job, BaseException | None, BaseException | None]:
        """Streams, arguments, path, prefix; the exception that ended it, if any."""
        self.streams.install()
        self.hooks.thread = thread_ident()
        runners.keep = self.keep_executed
        if self.setup.get("watch"):
            from inferflow.worker.watch import begin

            begin(self.setup["watch"])
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.go_alone)
        try:
            prefix = self.program.begin()
        except BaseException as error:
            failure: BaseException | None = error
        else:
            failure = yield prefix
        self.tell_ready(failure)
        return failure

    def tell_ready(self, failure: BaseException | None) -> None:
        """The prefix is executed; the plan may come."""
        self.prefixed = frozenset(self.program.module.__dict__)
        self.files.install()  # not before: imports open thousands of files that nobody asks for
        self.pools.begin()
        self.project_modules()  # before anything is forked
        output = self.streams.mark()
        self.send(
            {
                "kind": "ready",
                "prefix": self.program.prefix,
                "output": output,
                "failed": failure is not None,
            }
        )

    def take_plan(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        hooks = self.hooks
        hooks.units = {unit.task: unit for unit in map(unit_of, plan["units"])}
        hooks.gaps = gaps(hooks.units)
        hooks.publish = dict.fromkeys(plan["publish"], True)
        hooks.settle = frozenset(plan["settle"])
        hooks.wary = frozenset(plan["wary"])
        self.observer.drawing = frozenset(plan["draws"])
        hooks.forks = frozenset(plan["forks"])
        hooks.inputs = plan["inputs"]
        hooks.ask = bool(plan["placed"]) or (self.setup["start"] == "spawn" and bool(plan["forks"]))
        self.executed = Executed(plan["notebooks"])
        self.analysed = Analysed(plan["sources"], plan["scripts"])
        self.table = table_of(plan["regions"])
        self.frames.begin(self.table, plan["turns_ahead"])
        if plan["kept_inside"]:
            self.send({"kind": "note", "text": f"{INSIDE} kept their order: {plan['kept_inside']}"})
        if plan["recipes"]:
            from inferflow.worker.recipe import Recipes

            self.recipes = Recipes(self, plan["recipes"])
            hooks.read = frozenset(plan["read"])
        if plan["books"]:
            self._warm_up(plan["books"])

    def _warm_up(self, books: list[list[Any]]) -> None:
        """Have kernels started ahead for notebooks that tasks will run: ``books`` are the task, whether it may come to
        the notebook again, whether the driver's own process is to have the kernel, and the notebook's path if the
        driver's text says it."""
        if watches_children():
            return
        from inferflow.runners.notebook import kernel_wanted
        from inferflow.runners.warm import Spares, Wanted

        def wanted(path: str, lend: bool) -> Wanted:
            kernel, folder = kernel_wanted(path)
            return Wanted(kernel, os.getcwd() if lend else folder, lend)

        def expected(last: Wanted) -> Wanted | None:
            at = self.hooks.open
            if at is None:
                return None
            following = next((row for row in books if row[0] > at or (row[0] == at and row[1])), None)
            if following is None:
                return None
            _, _, lend, path = following
            if lend == last.lend:
                return last
            return wanted(path, lend) if path and os.path.isfile(path) else None

        runners.spares = self.spares = Spares(expected, high_descriptor)
        self.lenders = {row[0] for row in books if row[2]}
        first = next(((path, lend) for _, _, lend, path in books if path and os.path.isfile(path)), None)
        if first is not None:
            self.spares.prepare(*wanted(*first))

    def begins(self, task: int) -> None:
        """A task begins here."""
        if task in self.lenders:
            from inferflow.runners.lent import offer

            if offer(self.spares):
                self.lenders = set()

    def ready(self, plan: dict[str, Any]) -> Job:
        """The hooked program, to be run to its end."""
        self.take_plan(plan)
        try:
            job = self._compile(plan)
        except Exception as error:
            self.fault(error)
            job = self._plain()
        if plan["placed"]:
            from inferflow.worker.posted import Posted

            self.posted = Posted(self)
        if plan["reuse"]:
            self.hooks.ask = True
            with self.hooks.shield:
                self.send({"kind": "recipes", "tasks": self.recipes.beforehand() if self.recipes else []})
        self.first_fork()
        return job

    def first_fork(self) -> None:
        """Fork the template of epoch 0, if helpers will be asked for tasks from the beginning."""
        hooks = self.hooks
        if 0 in hooks.forks:
            hooks.forks = hooks.forks - {0}
            with hooks.shield:
                self.fork(0)

    def _plain(self) -> Job:
        """The program without hooks."""
        program = self.program
        if program.kind != "script":
            return self._call(self.hooks.given)
        tree = program.tree()
        del tree.body[: program.prefix]
        with muted():
            code = compile(tree, program.filename, "exec", flags=program.flags, dont_inherit=True)
        return self._script(code)

    def _call(self, given: dict[str, Any]) -> Job:
        function = self.program.function(self.setup["function"])
        positional, named = call_arguments(function, given)
        hooks, watched = self.hooks, self.setup.get("watch")

        def call() -> Any:
            value = hooks_returned(hooks, function(*positional, **named))
            if watched:
                from inferflow.worker.watch import returned

                returned(value)
            return value

        return Job(call=call)

    def _script(self, code: CodeType) -> Job:
        # As deep a recursion as natively: without the frame that stands below the program's.
        sys.setrecursionlimit(sys.getrecursionlimit() + 1 + (sys.version_info < (3, 12)))
        return Job(code, self.program.module.__dict__)

    def _compile(self, plan: dict[str, Any]) -> Job:
        """The program with its hooks in place, ready to be called."""
        program, hooks = self.program, self.hooks
        by_block: dict[int, list[transform.Unit]] = {}
        for unit in hooks.units.values():
            by_block.setdefault(unit.block, []).append(unit)
        module_units: list[transform.Unit] = []
        guard: tuple[int, int] | None = None
        guard_units: list[transform.Unit] = []
        function: dict[str, Any] | None = None
        with muted():
            for number, block in enumerate(plan["blocks"]):
                units = by_block.get(number, [])
                if block["kind"] == "module":
                    module_units = units
                elif block["kind"] == "guard":
                    guard, guard_units = (block["line"], block["column"]), units
                else:
                    function = {**block, "number": number, "units": units}
            tree = program.tree()
            self.opened.hook(self.table, tree.body[program.prefix :] if program.kind == "script" else [])
            if function is not None:
                node = transform.find_block(tree, "function", function["line"], function["column"])
                hook_regions(node.body, self.table)
                if program.kind == "script" and any(node is later for later in tree.body[program.prefix :]):
                    transform.hook_function(node, function["number"], function["units"], list(hooks.given))
                else:
                    self._hook_function(function)
            if program.kind != "script":
                given, hooks.given = hooks.given, {}
                return self._call(given)
            hook_regions(tree.body[program.prefix :], self.table)
            owner = transform.find_block(tree, "guard", *guard) if guard else None
            code = transform.hooked_module(
                tree, program.filename, program.flags, program.prefix, module_units, owner, guard_units, hooks
            )
        return self._script(code)

    def _hook_function(self, block: dict[str, Any]) -> None:
        program, hooks = self.program, self.hooks
        tree = program.tree()
        node = transform.find_block(tree, "function", block["line"], block["column"])
        hook_regions(node.body, self.table)
        line = node.decorator_list[0].lineno if node.decorator_list else node.lineno
        given = list(hooks.given) if program.kind == "script" else []
        code = transform.hooked_function(
            tree, program.filename, program.flags, node, block["number"], block["units"], given, hooks
        )
        if not program.put_code(node.name, line, code):
            self.send({"kind": "note", "text": f"the function {node.name} could not be watched; it runs as one piece"})

    def project_modules(self) -> frozenset[str]:
        """The modules whose code is the user's. Their pickling methods are not called: native would not either."""
        count = len(sys.modules)
        if self._modules[0] != count:
            folders = (os.path.join(self.setup["root"], ""), os.path.join(self.setup["path0"], ""))
            names = {"__main__", *(name for name in self._modules[1] if name in sys.modules)}
            new = [name for name in list(sys.modules) if name not in self._looked_at]
            self._looked_at.update(new)
            if len(self._looked_at) > count:  # some are gone, and may come again
                self._looked_at.intersection_update(sys.modules)
            for name in new:  # (thousands: to look at one copies its page, if the process has been forked)
                module = sys.modules.get(name)
                file = getattr(module, "__file__", None)
                if module is self.program.module:  # (multiprocessing gives the driver's module a second name)
                    continue
                if isinstance(file, str) and file.startswith(folders) and not file.startswith(self.files.ignored):
                    names.add(name)
            self._modules = (count, frozenset(names))
        return self._modules[1]

    # -- files -------------------------------------------------------------------------------------------

    def keep_files(self, task: int | None) -> list[dict[str, Any]]:
        """Digest what the task read and wrote; keep what it wrote, and a notebook that it had executed in memory."""
        read, written = self.files.take()
        tracer = self.files.tracer
        if tracer is not None and tracer.refused and not tracer.told:
            tracer.told = True
            self.send({"kind": "note", "text": f"children are not traced ({tracer.refused}): folders are looked at"})
        out = []
        for name in read:
            fact = file_fact(name, None)
            if fact is not None:
                out.append({"path": name, "mode": "read", **fact})
            else:
                self.files.once.hindered = "a look at what is not there"
        for name in written:
            fact = file_fact(name, self.setup["scratch"])
            if fact is not None:
                out.append({"path": name, "mode": "write", **fact})
            if fact is None or "kept" not in fact:
                self.files.once.hindered = "a file that was not kept"
        if task in self.executed.names and not any(name.endswith(".ipynb") for name in written):
            for path, content in self.executed.take(task):
                self.keep_executed(path, content)
        out += self.made
        self.made = []
        return out

    def keep_executed(self, path: str, content: bytes) -> None:
        """Keep a notebook that the running task had executed, under a name beside it. It is no file of the user's."""
        if self.alone:
            return
        files_on, self.files.on = self.files.on, False
        stem, ending = os.path.splitext(os.path.abspath(path))
        fact = content_fact(content, self.setup["scratch"])
        self.made.append({"path": f"{stem}.executed{ending}", "mode": "write", **fact})
        self.files.on = files_on

    def written(self, names: list[str]) -> list[dict[str, Any]]:
        """Digest, and keep, what was written for a task that ran ahead."""
        facts = [(name, file_fact(name, self.setup["scratch"])) for name in dict.fromkeys(names)]
        return [{"path": name, "mode": "write", **fact} for name, fact in facts if fact is not None]

    # -- helpers -----------------------------------------------------------------------------------------

    def fork(self, epoch: int) -> None:
        """Fork the process from which helpers come, if that is safe now and does not cost too much."""
        if self.fork_template is None or self._spent_enough():
            return
        hindrance = self._unsafe()
        if hindrance:
            self.send({"kind": "note", "text": f"no helpers from before task {epoch + 1} on: {hindrance}"})
            return
        begun = time.perf_counter()
        if self.keeper.writer is not None:
            self.keeper.writer.rest()
        self.observer.forks()
        try:
            self.fork_unseen(lambda: self.be_template(epoch))
        except OSError as error:
            self.send({"kind": "note", "text": f"no helpers from before task {epoch + 1} on: {error}"})
            return
        self.hooks.ask = True
        self.fork_spent += time.perf_counter() - begun

    def fork_unseen(self, run: Callable[[], NoReturn]) -> None:
        """Fork this process; it is no child of the driver's, whose files would be looked at, and has let go of what the
        driver holds open when this returns. Raises OSError."""
        on, self.files.on = self.files.on, False
        handles = held(self.book.descriptors if self.book is not None else frozenset())
        ours, theirs = os.pipe() if handles else (-1, -1)

        def begin() -> NoReturn:
            let_go(handles)
            os.close(ours)
            os.close(theirs)
            run()

        try:
            fork_apart(begin if handles else run)
        finally:
            if handles:
                os.close(theirs)
                os.read(ours, 1)
                os.close(ours)
            self.files.on = on

    def be_template(self, number: int) -> NoReturn:
        """In a process that was forked from here: make helpers, for the epoch or frame of this number."""
        self.streams.release()
        try:
            assert self.fork_template is not None
            self.fork_template(self, number)
        finally:
            os._exit(0)

    def _spent_enough(self) -> bool:
        """Whether forking has taken so much of the run by now that more of it would cost more than it gains."""
        return self.fork_spent > 0.02 * (time.perf_counter() - self.began) + 0.05

    def _unsafe(self) -> str:
        """Why a fork of this process might hang; empty if nothing speaks against it."""
        threading = sys.modules.get("threading")
        writers = int(self.keeper.writer is not None)
        if threading is not None and threading.active_count() > 1 + writers:
            return "the driver has threads of its own, which a fork would not copy"
        hindrance = self.pools.hindrance(1 + writers)
        if hindrance:
            return hindrance
        if watches_children():
            return "the driver has a handler for SIGCHLD, which would be called"
        return ""

    # -- the end -------------------------------------------------------------------------------------------

    def finish(self, error: BaseException | None) -> int:
        """Tell the controller how it ended, and show an uncaught exception as native does; the exit status."""
        hooks = self.hooks
        if self.spares is not None:
            self.spares.close()
        message: dict[str, Any] = {"kind": "end", "time": time.time(), "task": -1}
        error = stripped(error) if error is not None else None
        if self.alone:
            return self._status(error)
        if hooks.open is not None:
            if error is None:
                hooks._finish(hooks.open, (), None)
            else:
                message.update(task=hooks.open, **hooks._measure())
        self.files.on = False
        message["status"] = "ok" if error is None else "exit" if isinstance(error, SystemExit) else "error"
        if hooks.returned is not None and error is None:
            message["returned"] = hooks.returned
        if error is not None:
            message.update(exception_facts(error))
            if self.book is not None:
                message.update(self.book.failure(), status="error")
        inside = self.frames.take()
        if inside:
            message["regions"], message["sizes"] = inside, self.frames.sizes
        self.keeper.wait()
        if error is not None and (self.book is not None or not isinstance(error, SystemExit)):
            self._show(error)
        message["output"] = self.streams.mark()
        message["files"] = self.keep_files(message["task"])
        self.send(message)
        return self._status(error, shown=True)

    def _show(self, error: BaseException) -> None:
        if self.book is not None:
            self.book.show()
        else:
            show(error)

    def leave(self) -> None:
        """Before the interpreter takes itself apart: let go of the streams and of everything of the driver's, which is
        to die as natively (``__del__`` of what its module holds still sees its globals then). Our hooks stand in its
        code and lead here, and the collector does not see through code: nothing is forgotten by itself."""
        self.streams.become_native()
        self.go_alone()
        self.program.module = None
        self.frames.let_go()
        for kept in (self.hooks.adopted, self.hooks.perhaps, self.hooks.added):
            kept.clear()
        self.opened.sources.clear()
        self.recipes = self.posted = self.witness = None
        self.observer = Observer(self)
        forget_types()

    def _status(self, error: BaseException | None, shown: bool = False) -> int:
        if isinstance(error, SystemExit) and self.book is None:
            raise error
        if error is not None and not shown:
            self._show(error)
        if self.program.kind == "script" and self.program.module is not None:
            for name in ("__file__", "__cached__"):  # as the interpreter does: exit functions do not find them
                self.program.module.__dict__.pop(name, None)
        if error is None:
            return 0
        return 130 if isinstance(error, KeyboardInterrupt) else 1


def call_arguments(function: Any, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Parameters by name as the arguments of a call."""
    if not given:
        return [], {}
    from inferflow.worker.parameters import arguments

    return arguments(function, given)


def hooks_returned(hooks: Hooks, value: Any) -> Any:
    """Records what a driver function returned where no hook of its own could."""
    if hooks.returned is None and value is not None:
        hooks.r(value)
    return value
