"""Many drivers a second, natively and inferred: both sides are forked from this process, which has everything imported.

    arena = Arena(Path("/dev/shm/x"), modules=("numpy",))
    finding = arena.compare({"driver.py": text}, Way(jobs=3, shake="7"))    # None, or what differs

A native run is a fork that executes the text as ``__main__``. An inferred run is a fork that is the controller, whose
home is a fork again instead of a new interpreter; all the rest (engine, store, templates, helpers, streams) is the real
thing. The analysis runs in this process, before the fork, and leaves its graph in the cache of the folder. Both run in a folder of the same path. What tests here rely on is that forks of one process begin alike:
even an unseeded generator draws the same numbers.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import select
import shutil
import signal
import sys
import sysconfig
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from inferflow.worker import watch
from inferflow.worker.ending import show

PATIENCE = 120.0
"""Seconds after which a run is taken to hang."""

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")


@frozen
class Way:
    """How the inferred side runs: the number of processes, a seed of delays, the backend; ``turns`` not empty: whatever
    can run ahead in loops and arms does, however short it is."""

    jobs: int = 2
    shake: str = ""
    backend: str = "process"
    turns: str = ""


@frozen
class Result:
    """What was observed of a run. ``stuck``: it had to be ended; ``left``: processes that outlived it."""

    status: int
    stdout: bytes
    stderr: bytes
    files: dict[str, bytes | None]
    parts: list[tuple[str, str]]
    stuck: bool = False
    left: int = 0
    ran: tuple[int, ...] = (0, 0, 0, 0)
    """Tasks at home, ahead, dropped; and what ran ahead inside of tasks (turns of loops, calls in arms)."""

    @property
    def says_nothing(self) -> bool:
        """It hung, or recursed without end: here, where both sides are forked from one process, other frames stand
        below the driver than below ``inferflow run`` (which leaves as much room as native, see test_native)."""
        return self.stuck or b"RecursionError" in self.stderr


class ForkedProcess:
    """In the place of ``subprocess.Popen`` for the worker that the controller starts."""

    def __init__(
        self, command: list[str], *, stdout: Any, stderr: Any, cwd: str, env: dict[str, str], pass_fds: Any
    ) -> None:
        self.returncode: int | None = None
        address, orders = command[-2], int(command[-1])
        self.pid = os.fork()
        if self.pid == 0:
            _become(stdout, stderr, cwd, env, keep=tuple(pass_fds))
            _finish(lambda: _home(address, orders))

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _home(address: str, orders: int) -> None:
    from inferflow.worker.main import drive, worker

    sys.argv = [""]
    status = drive(worker(address, frozenset(sys.modules), orders))
    if status:
        sys.exit(status)


def _become(stdout: int, stderr: int, cwd: str, env: dict[str, str] | None, keep: tuple[int, ...]) -> None:
    """Make this forked process look like a new interpreter."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    atexit._clear()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1024)
    os.chdir(cwd)
    if env is not None:
        for name in [name for name in os.environ if name not in env]:
            del os.environ[name]
        for name, value in env.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
    for name, number, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        raw = io.FileIO(number, "wb", closefd=False)
        stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=number == 2)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _finish(body: Callable[[], None]) -> None:
    """Run ``body`` and end the process as the interpreter does at its end; never returns."""
    status = 0
    try:
        try:
            body()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
            if error.code is not None and not isinstance(error.code, int):
                print(error.code, file=sys.stderr)
        except BaseException:
            import traceback

            traceback.print_exc()
            status = 99
        import threading

        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
    finally:
        os._exit(status & 0xFF)


class Arena:
    """``folder`` is where everything happens (best in memory); ``modules`` are imported at once."""

    def __init__(self, folder: Path, modules: tuple[str, ...] = ()) -> None:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans become our children, and are reaped
        self.folder = folder
        self.analysed: dict[str, str] = {}
        self.place = folder / "project"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (
            *modules,
            "inferflow.session.run",
            "inferflow.backends.process",
            "inferflow.backends.inline",
            "inferflow.worker.helper",
            "inferflow.worker.portrait",
            "inferflow.session.target",
            "inferflow.config.settings",
            "inferflow.analysis",
            "inferflow.worker.main",
            "inferflow.worker.own",
            "inferflow.worker.recipe",
            "inferflow.worker.testify",
            "inferflow.worker.turn",
            "asyncio",
            "decimal",
            "encodings.ascii",
            "fractions",
            "libcst",
            "resource",
            "sqlite3",
        ):
            importlib.import_module(name)
        self.warm()
        gc.collect()
        gc.freeze()

    def warm(self) -> None:
        """What is made once in a process and kept: the catalogue, the readers of JSON, what is known of the machine."""
        from inferflow.config.settings import load_settings
        from inferflow.model import CodeIdentity
        from inferflow.session.infer import infer
        from inferflow.session.run import _started
        from inferflow.session.target import open_target
        from inferflow.wire import event_from_json, event_to_json, graph_from_json, graph_to_json

        text = "import os, random, time\ndef f():\n    return [1]\nx = f()\nprint(x, os.getcwd(), random.random(), time.time())\n"
        self._write({"driver.py": text})
        os.chdir(self.place)
        target, settings = open_target("driver.py", self.place), load_settings(self.place, environ={})
        graph_from_json(graph_to_json(infer(target, settings).graph))
        event_from_json(event_to_json(_started(target, settings, "x", (), {}, CodeIdentity())))
        sysconfig.get_config_vars()
        os.chdir(self.folder)

    def compare(self, files: dict[str, str], way: Way, native: Result | None = None) -> str | None:
        """What differs, in words; ``None`` if nothing does."""
        native = native or self.native(files)
        if native.says_nothing:
            return None
        inferred = self.inferred(files, way)
        self.last = inferred
        return difference(native, inferred)

    def native(self, files: dict[str, str]) -> Result:
        return self._run(files, self._native)

    def inferred(self, files: dict[str, str], way: Way) -> Result:
        return self._run(files, lambda: self._controller(way), before=lambda: self._analyse(files))

    def resumed(self, files: dict[str, str], way: Way) -> Result:
        """As ``inferred``, with what the runs before have left in the store; data files are made anew."""
        return self._run(files, lambda: self._controller(way, resume=True), keep=True)

    # -- in the forked processes -------------------------------------------------------------------------

    def _native(self) -> None:
        watch.begin(self._told())
        filename = str(self.place / "driver.py")
        sys.argv = ["driver.py"]
        sys.path[0] = str(self.place)
        module = types.ModuleType("__main__")
        from importlib.machinery import SourceFileLoader

        module.__dict__.update(
            __annotations__={},
            __builtins__=sys.modules["builtins"],
            __file__=filename,
            __loader__=SourceFileLoader("__main__", filename),
            __cached__=None,
        )
        sys.modules["__main__"] = module
        status = 0
        try:
            exec(compile(Path(filename).read_bytes(), filename, "exec", dont_inherit=True), module.__dict__)
        except SystemExit:
            raise
        except BaseException as error:
            place = error.__traceback__
            error.__traceback__ = place.tb_next if place is not None else None
            show(error)
            status = 130 if isinstance(error, KeyboardInterrupt) else 1
        for name in ("__file__", "__cached__"):
            module.__dict__.pop(name, None)
        sys.exit(status)

    def _controller(self, way: Way, resume: bool = False) -> None:
        from inferflow.backends import start
        from inferflow.config.settings import load_settings
        from inferflow.model import RunFinished, TaskFinished
        from inferflow.session.observer import Silent
        from inferflow.session.run import Wish, execute
        from inferflow.session.target import open_target

        start.subprocess = types.SimpleNamespace(  # type: ignore[assignment]
            Popen=ForkedProcess,
            DEVNULL=-3,
            _args_from_interpreter_flags=list,
        )
        os.environ["_INFERFLOW_WATCH"] = self._told()
        if way.shake:
            os.environ["_INFERFLOW_SHAKE"] = way.shake
        if way.turns:
            os.environ["_INFERFLOW_TURNS"] = way.turns
        target = open_target("driver.py", self.place)
        flags = {"backend": way.backend, "jobs": str(way.jobs)}
        settings = load_settings(self.place, environ={}, flags=flags)
        seen: dict[str, int] = {}

        class Tally(Silent):
            def event(self, event: Any) -> None:
                if isinstance(event, TaskFinished):
                    seen["inside"] = seen.get("inside", 0) + sum(region.ahead for region in event.regions)
                if isinstance(event, RunFinished):
                    made = event.certificate
                    seen.update(home=made.at_home, ahead=made.reused if resume else made.ahead, dropped=made.dropped)

        outcome = execute(target, settings, observer=Tally(), wish=Wish(cache=resume))
        ran = [seen.get(name, 0) for name in ("home", "ahead", "dropped", "inside")]
        (self.folder / "ran").write_text(json.dumps(ran))
        if outcome.fault:
            (self.folder / "fault").write_text(outcome.fault.read_text())
        sys.stdout.flush()
        os._exit(outcome.exit_code)

    def _told(self) -> str:
        package = str(Path(watch.__file__).resolve().parents[2])
        return "\n".join([str(self.folder / "state.json"), package, "script", str(self.place) + "/"])

    # -- in this one ---------------------------------------------------------------------------------------

    def _write(self, files: dict[str, str], keep: bool = False) -> None:
        kept = self.folder / "kept"
        if keep:
            (self.place / ".inferflow").rename(kept)
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        if keep:
            kept.rename(self.place / ".inferflow")
        else:
            (self.place / ".inferflow").mkdir()
        for name, text in files.items():
            path = self.place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _analyse(self, files: dict[str, str]) -> None:
        """Here, where it is paid for once: each page that a fork touches is copied. Graphs of what ran last are kept."""
        from inferflow.config.settings import load_settings
        from inferflow.errors import UserError
        from inferflow.session.infer import infer
        from inferflow.session.target import open_target

        cache, last = self.place / ".inferflow" / "cache", self.folder / "cache"
        if files == self.analysed:
            shutil.copytree(last, cache)
            return
        signal.alarm(int(PATIENCE))  # an analysis without end ends this process
        os.chdir(self.place)
        gc.disable()  # the analysis would count what is frozen here, which is all that was imported
        with contextlib.suppress(UserError):
            infer(open_target("driver.py", self.place), load_settings(self.place, environ={}))
        gc.enable()
        os.chdir(self.folder)
        signal.alarm(0)
        shutil.rmtree(last, ignore_errors=True)
        if cache.exists():
            shutil.copytree(cache, last)
            self.analysed = dict(files)

    def _run(
        self,
        files: dict[str, str],
        body: Callable[[], None],
        keep: bool = False,
        before: Callable[[], None] = lambda: None,
    ) -> Result:
        self._write(files, keep)
        before()
        for name in ("state.json", "ran", "fault"):
            (self.folder / name).unlink(missing_ok=True)
        out, err = self.folder / "stdout", self.folder / "stderr"
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            pid = os.fork()
            if pid == 0:
                try:
                    os.setsid()
                    _become(stdout.fileno(), stderr.fileno(), str(self.place), None, keep=())
                except BaseException:
                    os._exit(98)
                _finish(body)
        status, stuck = self._await(pid)
        left = _end_group(pid)
        state = self.folder / "state.json"
        parts: list[tuple[str, str]] = []
        if state.exists():
            data = json.loads(state.read_text())
            parts = [(path, text) for path, text in data["parts"]]
            parts += [("(outside)", f"{path} {digest}") for path, digest in data["outside"].items()]
        seen = {}
        for path in sorted(self.place.rglob("*")):
            shown = path.relative_to(self.place)
            if ".inferflow" not in shown.parts and "__pycache__" not in shown.parts:
                seen[str(shown)] = path.read_bytes() if path.is_file() else None
        ran = self.folder / "ran"
        told = tuple(json.loads(ran.read_text())) if ran.exists() else (0, 0, 0, 0)
        errors = err.read_bytes()
        fault = self.folder / "fault"
        if fault.exists():
            errors += b"\nFAULT OF INFERFLOW\n" + fault.read_bytes()
        return Result(status, out.read_bytes(), errors, seen, parts, stuck, left, told)

    def _await(self, pid: int) -> tuple[int, bool]:
        descriptor = os.pidfd_open(pid)
        try:
            ready = select.select([descriptor], [], [], PATIENCE)[0]
        finally:
            os.close(descriptor)
        if not ready:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code, not ready


def _end_group(group: int) -> int:
    """Wait a moment for the processes of a session to go; how many had to be ended."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return 0
        if time.monotonic() > end:
            os.killpg(group, signal.SIGKILL)
            return 1
        time.sleep(0.002)


def difference(native: Result, inferred: Result) -> str | None:
    """The first difference, in words."""
    if inferred.stuck:
        return "the inferred run hangs"
    if inferred.left:
        return "a process stays behind"
    for name, one, other in (
        ("stdout", native.stdout, inferred.stdout),
        ("stderr", native.stderr, inferred.stderr),
    ):
        if one != other:
            return f"{name}\n--- native\n{one.decode(errors='replace')[-3000:]}\n--- inferred\n{other.decode(errors='replace')[-3000:]}"
    if native.status != inferred.status:
        return f"exit status {native.status} native, {inferred.status} inferred"
    if native.files != inferred.files:
        names = [
            n for n in sorted({*native.files, *inferred.files}) if native.files.get(n, 0) != inferred.files.get(n, 0)
        ]
        name = names[0]
        return f"file {name}: {native.files.get(name, 'not there')!r:.500} native, {inferred.files.get(name, 'not there')!r:.500} inferred"
    if native.parts != inferred.parts:
        if not native.parts or not inferred.parts:
            return f"values: {len(native.parts)} parts native, {len(inferred.parts)} inferred"
        for one, other in zip(native.parts, inferred.parts, strict=False):
            if one != other:
                return f"values: native {one[0]}: {one[1]:.300}\n        inferred {other[0]}: {other[1]:.300}"
        return "values: more on one side"
    return None
