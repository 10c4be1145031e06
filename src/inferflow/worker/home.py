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
    template {epoch}     helpers can be forked now   (to the template, not to home)
    end {status, ...}    then the interpreter finishes as native
"""

from __future__ import annotations

import ast
import gc
import os
import signal
import sys
import time
import types
from collections.abc import Callable
from typing import Any, cast

from inferflow.worker import describe as described
from inferflow.worker import transform, transport, transport_files
from inferflow.worker.channel import Closed, high_descriptor
from inferflow.worker.files import file_fact
from inferflow.worker.layout import SMALL
from inferflow.worker.observe import FileRecorder
from inferflow.worker.snapshot import keep_copy
from inferflow.worker.streams import Streams

__all__ = ["Home", "Hooks", "Program"]

_CAN_MASK = hasattr(signal, "pthread_sigmask")
_OURS = os.path.dirname(os.path.abspath(__file__))


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

    def tree(self) -> ast.Module:
        """A new tree (the transformations consume theirs)."""
        return ast.parse(self.data, self.filename)

    def run_prefix(self) -> None:
        """Execute the prefix of a script, or import the module of a function driver."""
        if self.kind == "script":
            self._start_script()
        else:
            self._import()

    def _start_script(self) -> None:
        with open(self.filename, "rb") as file:
            self.data = file.read()
        tree = self.tree()
        code = compile(tree, self.filename, "exec", dont_inherit=True)  # as native: every warning and error, once
        self.flags = code.co_flags & _future_mask()
        module = types.ModuleType("__main__")
        module.__dict__.update(
            __file__=self.filename,
            __builtins__=__builtins__ if isinstance(__builtins__, types.ModuleType) else sys.modules["builtins"],
            __spec__=None,
            __loader__=_loader(self.filename),
            __cached__=None,
            __package__=None,
            __doc__=None,
        )
        module.__dict__.setdefault("__annotations__", {})
        sys.modules["__main__"] = module
        self.module = module
        self.prefix = transform.prefix_length(tree.body)
        if self.prefix == len(tree.body):
            self.prefix_code = code
        else:
            head = ast.Module(body=tree.body[: self.prefix], type_ignores=[])
            with _muted():
                self.prefix_code = compile(head, self.filename, "exec", flags=self.flags, dont_inherit=True)
        exec(self.prefix_code, module.__dict__)

    def _import(self) -> None:
        import importlib

        module = importlib.import_module(self.setup["module"])
        self.module = module
        self.filename = getattr(module, "__file__", None) or self.filename
        with open(self.filename, "rb") as file:
            self.data = file.read()
        with _muted():
            self.flags = compile(self.tree(), self.filename, "exec", dont_inherit=True).co_flags & _future_mask()

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


def _future_mask() -> int:
    import __future__

    mask = 0
    for name in __future__.all_feature_names:
        mask |= getattr(__future__, name).compiler_flag
    return mask


def _loader(filename: str) -> Any:
    from importlib.machinery import SourceFileLoader

    return SourceFileLoader("__main__", filename)


class _muted:
    """Compile again without showing the syntax warnings again. The list is edited in place and put back: that leaves
    the registries of the warnings module as they are, which ``catch_warnings`` would not."""

    def __enter__(self) -> None:
        import warnings

        self.filters: list[Any] = cast("list[Any]", warnings.filters)
        self.rules = [("ignore", None, category, None, 0) for category in (SyntaxWarning, DeprecationWarning)]
        self.filters[:0] = self.rules

    def __exit__(self, *_: object) -> None:
        del self.filters[: len(self.rules)]


class _Shielded:
    """Our own work between two statements of the user's. Ctrl-C is deferred, so that it strikes in the user's code as
    natively; and a fault of ours never becomes an exception there: the program goes on, no longer seen."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def __enter__(self) -> None:
        if _CAN_MASK:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        if isinstance(error, Exception):
            self.home.fault(error)
        if _CAN_MASK:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        return isinstance(error, Exception)


class Memory:
    """The high-water mark of this process's resident memory, per task where the system can reset it (Linux)."""

    def __init__(self) -> None:
        self.reset_fd = self.status_fd = -1
        try:
            self.reset_fd = high_descriptor(os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC))
            self.status_fd = high_descriptor(os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()

    def close(self) -> None:
        for fd in (self.reset_fd, self.status_fd):
            if fd >= 0:
                os.close(fd)
        self.reset_fd = self.status_fd = -1

    def reset(self) -> None:
        if self.reset_fd >= 0:
            try:
                os.write(self.reset_fd, b"5")
            except OSError:
                self.close()

    def peak(self) -> int:
        """Bytes."""
        if self.status_fd >= 0:
            try:
                text = os.pread(self.status_fd, 4096, 0)
                start = text.index(b"VmHWM:") + 6
                return int(text[start : text.index(b"kB", start)]) * 1024
            except (OSError, ValueError):
                pass
        try:
            import resource
        except ImportError:
            return 0
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


class Keeper:
    """Keeps values: packs them at once, writes small ones into the message and large ones behind."""

    def __init__(
        self,
        root: str,
        scratch: str,
        send: Callable[[dict[str, Any]], None],
        modules: Callable[[], frozenset[str]],
        silence: Callable[[], None],
    ) -> None:
        self.silence = silence
        self.root = root
        self.scratch = scratch
        self.send = send
        self.writer: Any = None
        self.number = 0
        self.modules = modules

    def keep(self, names: list[str], values: tuple[Any, ...], check: bool) -> dict[str, Any]:
        """The part of a message that tells how the values were kept."""
        facts = [[name, *described.describe(value)] for name, value in zip(names, values)]
        try:
            packed = transport.pack(values, check=check, project=self.modules(), quiet=True)
        except transport.Unpackable as error:
            return self._copied(values, facts) or self._one_by_one(names, values, facts, check, str(error))
        return {"facts": facts, **self._write(packed)}

    def _write(self, packed: Any) -> dict[str, Any]:
        part: dict[str, Any] = {"exact": packed.exact, "why": packed.why}
        if packed.size <= SMALL:
            stored = transport_files.write(packed, self.root, self.scratch)
            part.update(digest=stored.digest, size=stored.size, inline=stored.inline)
            return part
        if self.writer is None:
            self.writer = transport_files.Writer(self.root, self.scratch)
        self.number += 1
        number = self.number
        self.writer.submit(packed, lambda ticket: self._tell(number, ticket))
        part["pending"] = number
        return part

    def _tell(self, number: int, ticket: Any) -> None:
        """In the writing thread: a large value is on disk, or could not be written."""
        if ticket.error is None:
            stored = ticket.stored
            message = {"kind": "stored", "id": number, "digest": stored.digest, "size": stored.size}
        else:
            why = getattr(ticket.error, "strerror", None) or str(ticket.error)
            message = {"kind": "stored", "id": number, "error": f"it could not be written: {why}"}
        self.send(message)

    def wait(self) -> None:
        """Until all values are on disk: one of them may be changed now."""
        if self.writer is not None:
            self.writer.wait()

    def _copied(self, values: tuple[Any, ...], facts: Any) -> dict[str, Any] | None:
        """Values that only methods of the user's can pack."""
        modules = self.modules()
        if not transport.touches_user_code(values, modules):
            return None
        kept = keep_copy(values, self.root, self.scratch, modules, self.silence)
        return {"facts": facts, "exact": False, **kept} if kept else None

    def _one_by_one(
        self, names: list[str], values: tuple[Any, ...], facts: Any, check: bool, why: str
    ) -> dict[str, Any]:
        """What cannot be packed does not keep the others from being kept (their shared parts are lost then)."""
        if len(names) == 1:
            return {"facts": facts, "unpackable": why}
        parts = []
        for name, value in zip(names, values):
            parts.append(self.keep([name], (value,), check))
        return {"facts": facts, "parts": parts, "unpackable": why}


class Hooks:
    """What the hooked program calls. One letter each: see ``transform``."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.shield = _Shielded(home)
        self.channel = home.channel
        self.units: dict[int, transform.Unit] = {}
        self.publish: dict[int, bool] = {}
        self.settle: frozenset[int] = frozenset()
        self.forks: frozenset[int] = frozenset()
        self.ask = False
        self.open: int | None = None
        self.closed: set[int] = set()
        self.adopted: dict[int, tuple[Any, ...]] = {}
        self.started = 0.0
        self.cpu = 0.0
        self.memory = Memory()
        self.alone = False
        self.thread = 0
        self.given: dict[str, Any] = {}
        self.returned: dict[str, Any] | None = None
        self.inputs: list[str] = []
        self.entered = False
        self.late: dict[str, int] = {}

    # -- beginning ---------------------------------------------------------------------------------

    def _begin(self, task: int) -> None:
        home = self.home
        if task in self.settle:
            home.keeper.wait()
        if task in self.forks:
            home.fork(task)
        self.open = task
        message = {"kind": "start", "task": task, "time": time.time()}
        before = home.streams.mark()
        if before:
            message["before"] = before
        home.send(message)
        self.memory.reset()
        home.files.on = True
        self.cpu = time.process_time()
        self.started = time.perf_counter()

    def _off_plan(self, task: int) -> bool:
        """Whether the program came here in a way that the plan did not foresee (then it simply runs)."""
        if self.alone or task in self.closed or _thread_ident() != self.thread:
            return True
        if self.open is not None and self.open != task:
            self._finish(self.open, (), None)
        return False

    def o(self, task: int) -> int:
        with self.shield:
            if not self._off_plan(task):
                self._begin(task)
        return task

    def s(self, task: int) -> bool:
        with self.shield:
            if self._off_plan(task):
                return True
            if self.units[task].adoptable and self.ask and self._adopt(task, []):
                return False
            self._begin(task)
        return True

    def q(self, task: int) -> bool:
        with self.shield:
            if self._off_plan(task) or not self.ask:
                return True
            return not self._adopt(task, self._all_inner(task))
        return True

    def _all_inner(self, task: int) -> list[int]:
        inner: list[int] = []
        for index in self.units[task].inner:
            inner.extend(self._all_inner(index))
            inner.append(index)
        return inner

    def b(self, task: int, value: Any) -> Any:
        with self.shield:
            if not self._off_plan(task):
                self._begin(task)
        return value

    # -- adopting ----------------------------------------------------------------------------------

    def _adopt(self, task: int, inner: list[int]) -> bool:
        home = self.home
        before = home.streams.mark()
        message: dict[str, Any] = {"kind": "at", "task": task, "inner": inner}
        if before:
            message["before"] = before
        home.send(message)
        reply = home.receive_reply()
        if reply["kind"] != "adopt":
            return False
        try:
            source = reply.get("inline")
            values = transport.unpack(source if source is not None else reply["path"]) if reply["values"] else ()
        except Exception as error:
            home.send({"kind": "refused", "task": task, "why": f"its result could not be rebuilt: {error!r}"})
            return False
        for stdout, stderr in reply["output"]:
            home.streams.replay("stdout", stdout)
            home.streams.replay("stderr", stderr)
        written = home.streams.mark()
        home.streams.cut()
        self.closed.update(inner)
        self.closed.add(task)
        order = reply["order"]
        self.adopted[task] = tuple(values[position] for position in order)
        home.send({"kind": "adopted", "task": task, "inner": inner, "time": time.time(), "output": written})
        return True

    def a(self, task: int) -> Any:
        values = self.adopted.pop(task)
        return values[0] if self.units[task].expression is not None else values

    # -- the end of a task ---------------------------------------------------------------------------

    def d(self, task: int, *values: Any) -> None:
        if self.open != task or self.alone:
            return
        frame = sys._getframe(1) if not self.units[task].definite else None
        with self.shield:
            self._finish(task, values, frame)

    def v(self, task: int, value: Any) -> Any:
        if self.open == task and not self.alone:
            with self.shield:
                self._finish(task, (value,), None)
        return value

    def _measure(self) -> dict[str, Any]:
        return {
            "duration": time.perf_counter() - self.started,
            "cpu": time.process_time() - self.cpu,
            "time": time.time(),
            "memory": self.memory.peak(),
        }

    def _finish(self, task: int, values: tuple[Any, ...], frame: Any) -> None:
        home = self.home
        message: dict[str, Any] = {"kind": "done", "task": task, **self._measure()}
        home.files.on = False
        self.open = None
        self.closed.add(task)
        unit = self.units[task]
        names = [name for _, name in unit.outputs]
        if frame is not None:
            names, values = _bound_in(frame, names)
        output = home.streams.mark()
        home.streams.cut()
        if output:
            message["output"] = output
        files = home.keep_files()
        if files:
            message["files"] = files
        if names and len(values) == len(names):
            message.update(home.keeper.keep(names, values, self.publish.get(task, False)))
        home.send(message)

    # -- the driver function -------------------------------------------------------------------------

    def i(self, block: int) -> None:
        if self.entered or self.alone or not self.inputs:
            self.entered = True
            return
        self.entered = True
        with self.shield:
            names, values = _bound_in(sys._getframe(1), self.inputs)
            self.home.send({"kind": "inputs", **self.home.keeper.keep(names, values, True)})

    def p(self, name: str, value: Any) -> Any:
        return self.given.pop(name, value)

    def r(self, value: Any) -> Any:
        if self.alone:
            return value
        with self.shield:
            if self.open is not None:
                self._finish(self.open, (), None)
            self.returned = self.home.keeper.keep(["return"], (value,), False)
        return value


def _bound_in(frame: Any, names: list[str]) -> tuple[list[str], tuple[Any, ...]]:
    bound = frame.f_locals
    found = [name for name in names if name in bound]
    return found, tuple(bound[name] for name in found)


def _thread_ident() -> int:
    import _thread

    return _thread.get_ident()


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
        self.files = FileRecorder(tuple(setup["ignored"]))
        self.keeper = Keeper(setup["store"], setup["scratch"], self.send, self.project_modules, self.silence)
        self._modules: tuple[int, frozenset[str]] = (0, frozenset())
        self.hooks = Hooks(self)
        self.plan: dict[str, Any] = {}
        self.fork_spent = 0.0
        self.began = time.perf_counter()
        self.threads_at_start = 0

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

    def silence(self) -> None:
        """In a forked copy that only packs values: nothing of it is seen or done."""
        self.streams.release()
        self.streams.capture()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)

    def fault(self, error: Exception) -> None:
        """Something of ours went wrong: tell the controller, and get out of the program's way."""
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.send({"kind": "fault", "text": text})
        self.go_alone()

    def go_alone(self) -> None:
        """Stop recording: in a process that the driver's own code forked, or cut off from the controller."""
        self.alone = True
        self.hooks.alone = True
        self.files.on = False

    # -- the program -----------------------------------------------------------------------------------

    def prepare(self) -> BaseException | None:
        """Streams, arguments, path, prefix; the exception that ended it, if any."""
        self.streams.install()
        self.files.install()
        self.hooks.thread = _thread_ident()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.go_alone)
        failure = None
        self.files.on = True
        try:
            self.program.run_prefix()
        except BaseException as error:
            failure = error
        self.files.on = False
        self.threads_at_start = _os_threads()
        output = self.streams.mark()
        files = self.keep_files()
        self.send(
            {
                "kind": "ready",
                "prefix": self.program.prefix,
                "output": output,
                "files": files,
                "failed": failure is not None,
            }
        )
        return failure

    def run(self, plan: dict[str, Any]) -> None:
        """Run the hooked program to its end. Whatever it raises comes out."""
        self.plan = plan
        hooks = self.hooks
        hooks.units = {unit.task: unit for unit in map(_unit, plan["units"])}
        hooks.publish = dict.fromkeys(plan["publish"], True)
        hooks.settle = frozenset(plan["settle"])
        hooks.forks = frozenset(plan["forks"])
        hooks.inputs = plan["inputs"]
        hooks.ask = self.setup["start"] == "spawn" and bool(plan["forks"])
        call = self._compile(plan)
        if 0 in plan["forks"] or -1 in plan["forks"]:
            hooks.forks = hooks.forks - {0}
            self.fork(0)
        call()

    def _compile(self, plan: dict[str, Any]) -> Callable[[], Any]:
        """The program with its hooks in place, ready to be called."""
        program, hooks = self.program, self.hooks
        by_block: dict[int, list[transform.Unit]] = {}
        for unit in hooks.units.values():
            by_block.setdefault(unit.block, []).append(unit)
        module_units: list[transform.Unit] = []
        guard: tuple[int, int] | None = None
        guard_units: list[transform.Unit] = []
        function: dict[str, Any] | None = None
        with _muted():
            for number, block in enumerate(plan["blocks"]):
                units = by_block.get(number, [])
                if block["kind"] == "module":
                    module_units = units
                elif block["kind"] == "guard":
                    guard, guard_units = (block["line"], block["column"]), units
                else:
                    function = {**block, "number": number, "units": units}
            if function is not None:
                self._hook_function(function)
            if program.kind != "script":
                target = program.function(self.setup["function"])
                given, hooks.given = hooks.given, {}
                positional, named = call_arguments(target, given)
                return lambda: hooks_returned(hooks, target(*positional, **named))
            tree = program.tree()
            owner = transform.find_block(tree, "guard", *guard) if guard else None
            code = transform.hooked_module(
                tree, program.filename, program.flags, program.prefix, module_units, owner, guard_units, hooks
            )
        space = program.module.__dict__

        def call() -> None:
            # As deep a recursion as natively: without the frames that stand below the program's.
            frame: Any = sys._getframe()
            below = 0
            while frame is not None:
                below, frame = below + 1, frame.f_back
            sys.setrecursionlimit(sys.getrecursionlimit() + below + (sys.version_info < (3, 12)))
            exec(code, space)

        return call

    def _hook_function(self, block: dict[str, Any]) -> None:
        program, hooks = self.program, self.hooks
        tree = program.tree()
        node = transform.find_block(tree, "function", block["line"], block["column"])
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
            names = {"__main__"}
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None)
                if isinstance(file, str) and file.startswith(folders) and not file.startswith(self.files.ignored):
                    names.add(name)
            self._modules = (count, frozenset(names))
        return self._modules[1]

    # -- files -------------------------------------------------------------------------------------------

    def keep_files(self) -> list[dict[str, Any]]:
        """Digest what the task read and wrote; keep what it wrote."""
        read, written = self.files.take()
        out = []
        for name in read:
            fact = file_fact(name, None)
            if fact is not None:
                out.append({"path": name, "mode": "read", **fact})
        for name in written:
            fact = file_fact(name, self.setup["store"])
            if fact is not None:
                out.append({"path": name, "mode": "write", **fact})
        return out

    # -- helpers -----------------------------------------------------------------------------------------

    def fork(self, epoch: int) -> None:
        """Fork the process from which helpers come, if that is safe now and does not cost too much."""
        if self.fork_template is None or not self._may_fork():
            return
        begun = time.perf_counter()
        if self.keeper.writer is not None:
            self.keeper.writer.rest()
        pid = os.fork()
        if pid == 0:
            self.streams.release()
            try:
                self.fork_template(self, epoch)
            finally:
                os._exit(0)
        self.hooks.ask = True
        self.fork_spent += time.perf_counter() - begun
        self.send({"kind": "template", "epoch": epoch, "pid": pid})

    def _may_fork(self) -> bool:
        if self.fork_spent > 0.02 * (time.perf_counter() - self.began) + 0.05:
            return False
        threading = sys.modules.get("threading")
        if threading is not None and threading.active_count() > 1 + (self.keeper.writer is not None):
            return False
        # A pool of OpenMP threads that has been used does not survive a fork; one made at import and idle does.
        return _os_threads() <= self.threads_at_start + (self.keeper.writer is not None)

    # -- the end -------------------------------------------------------------------------------------------

    def finish(self, error: BaseException | None) -> int:
        """Tell the controller how it ended, and show an uncaught exception as native does; the exit status."""
        hooks = self.hooks
        message: dict[str, Any] = {"kind": "end", "time": time.time(), "task": -1}
        error = _strip(error) if error is not None else None
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
            message.update(_exception_facts(error))
        self.keeper.wait()
        if error is not None and not isinstance(error, SystemExit):
            _show(error)
        message["output"] = self.streams.mark()
        message["files"] = self.keep_files()
        self.send(message)
        return self._status(error, shown=True)

    def _status(self, error: BaseException | None, shown: bool = False) -> int:
        if error is None:
            return 0
        if isinstance(error, SystemExit):
            raise error
        if not shown:
            _show(error)
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


def _unit(data: list[Any]) -> transform.Unit:
    index, block, first, last, expression, outputs, definite, adoptable, inner, preamble = data
    return transform.Unit(
        index, block, first, last,
        tuple(expression) if expression is not None else None,
        tuple((scope, name) for scope, name in outputs),
        definite, adoptable, tuple(inner), tuple(tuple(span) for span in preamble),
    )  # fmt: skip


def _os_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _is_ours(traceback: Any) -> bool:
    name: str = traceback.tb_frame.f_code.co_filename
    return name.startswith(_OURS)


def _strip(error: BaseException) -> BaseException:
    """The exception without our frames: those below the user's program, and a hook in which Ctrl-C struck."""
    kept = []
    traceback = error.__traceback__
    while traceback is not None:
        if not _is_ours(traceback):
            kept.append(traceback)
        traceback = traceback.tb_next
    for one, following in zip(kept, [*kept[1:], None]):
        one.tb_next = following
    return error.with_traceback(kept[0] if kept else None)


def _show(error: BaseException) -> None:
    """As the interpreter does for an uncaught exception."""
    kind, value, traceback = type(error), error, error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, value, traceback
    if sys.version_info >= (3, 12):
        sys.last_exc = value
    try:
        sys.excepthook(kind, value, traceback)
    except SystemExit:
        raise
    except BaseException as second:
        _strip(second)
        if sys.stderr is not None:
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(second), second, second.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(kind, value, traceback)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                pass


def _exception_facts(error: BaseException) -> dict[str, Any]:
    import traceback

    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:
        message = "<exception str() failed>"
    try:
        text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    except Exception:
        text = f"{name}: {message}\n"
    where = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    return {"exception": name, "message": message, "traceback": text, "frames": [list(item) for item in where]}
