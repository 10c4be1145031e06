"""Helpers: run ahead what the analysis proved independent, and only count if nothing contradicts it.

``template`` is what a process forked from home does: it never goes back into the driver, but waits for orders to
fork helpers from the state that it froze. A helper loads the inputs of one task after another, runs the task's own
source on them, and checks what it can: that no irrevocable act was tried, the inputs are what they were, no hidden
state has changed, nothing of the result is shared with what was there before, the result survives the journey. If
any check fails the result is dropped, with the reason, and home runs the task. A helper whose own state may have
changed ends itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import nullcontext
from typing import Any

from inferflow.worker import brought, transform, transport, transport_files
from inferflow.worker import describe as described
from inferflow.worker.carry import carry
from inferflow.worker.channel import Closed, SocketChannel, connect
from inferflow.worker.ending import stripped
from inferflow.worker.exact_reach import common, globals_of, reach, shares
from inferflow.worker.files import file_fact
from inferflow.worker.frames_helper import Strand
from inferflow.worker.gate import Gate
from inferflow.worker.hidden_state import HiddenState
from inferflow.worker.home import Home
from inferflow.worker.layout import SMALL
from inferflow.worker.looks import references
from inferflow.worker.memory import Memory
from inferflow.worker.own import library, of_the_library
from inferflow.worker.streams import LIMIT
from inferflow.worker.task_code import TaskCode
from inferflow.worker.tensors import begin_using

__all__ = ["serve", "template"]


def template(home: Home, epoch: int) -> None:
    """In the forked child: serve ``fork`` orders until the controller hangs up."""
    home.channel.sock.close()
    home.hooks.memory.close()
    _quiet_signals()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    children: list[int] = []
    try:
        channel = connect(home.setup["address"], _hello(home, "template", epoch=epoch))
        if epoch >= 0:  # (turns of a loop are compared in another way)
            from inferflow.worker.testify import Witness

            if home.plan["trusts"]:
                import inferflow.worker.trust  # noqa: F401
            begin_using()
            home.witness = Witness(home, home.program.tree())  # once for all helpers, not in each
        _flush_c()
        while True:
            order = channel.receive()
            if order["kind"] == "fork":
                pid = os.fork()
                if pid == 0:
                    channel.sock.close()
                    serve(home, order["worker"], epoch)
                children.append(pid)
            elif order["kind"] == "reap":
                code = _reap(order["pid"])
                children.remove(order["pid"])
                channel.send({"kind": "reaped", "worker": order["worker"], "code": code})
    except (Closed, OSError):
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _hello(home: Home, role: str, **more: Any) -> dict[str, Any]:
    return {"kind": "hello", "role": role, "pid": os.getpid(), "token": home.setup["token"], **more}


def _quiet_signals() -> None:
    """Ctrl-C is home's business; the user's handlers are not ours to call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP", "SIGCHLD", "SIGALRM", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def _reap(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status)


def serve(home: Home, name: str, epoch: int) -> None:
    """Be a helper; never returns."""
    try:
        channel = connect(home.setup["address"])
        try:
            helper = Helper(home, channel)
        finally:  # only now: a task that is sent here begins at once, and if this failed, the end of it is noticed
            channel.send(_hello(home, "helper", worker=name, epoch=epoch))
        helper.loop()
    except (Closed, OSError):
        pass
    finally:
        os._exit(0)


def _flush_c() -> None:
    """What C code has printed and C's library still holds is written now."""
    if not _fflush:
        try:
            _fflush.append(library("ctypes").CDLL(None).fflush)
        except (ImportError, OSError, AttributeError):
            _fflush.append(lambda _: 0)
    _fflush[0](None)


_fflush: list[Any] = []


class _Descriptor:
    """What reaches descriptor 1 or 2 past Python's streams (C code): its bytes cannot be told apart or ordered, so a
    task that writes any is left to home."""

    def __init__(self, number: int) -> None:
        if hasattr(os, "memfd_create"):
            self.file = os.memfd_create("inferflow")
        else:
            with library("tempfile").TemporaryFile() as file:
                self.file = os.dup(file.fileno())
        self.taken = 0
        os.dup2(self.file, number)

    def used(self) -> bool:
        return os.fstat(self.file).st_size > 0

    def clear(self) -> None:
        os.ftruncate(self.file, 0)
        os.lseek(self.file, 0, os.SEEK_SET)
        self.taken = 0

    def take(self) -> bytes:
        """What has come since this was last asked."""
        size = os.fstat(self.file).st_size
        if size <= self.taken:
            return b""
        data = os.pread(self.file, size - self.taken, self.taken)
        self.taken += len(data)
        return data


class Helper:
    """One warm helper: the forked state, its channel, the watchers."""

    def __init__(self, home: Home, channel: SocketChannel) -> None:
        self.home = home
        self.channel = channel
        self.task = -1
        self.carries = False
        """Whether what the running task made can only be taken home together with its inputs (see ``carry``)."""
        self.imported = False
        home.streams.capture()
        self.descriptors = [_Descriptor(1), _Descriptor(2)]
        _flush_c()
        for descriptor in self.descriptors:
            descriptor.clear()
        self.gate = Gate(self.refuse)
        self.gate.recorder.ignored = home.files.ignored
        home.files.on = False
        modules = [sys.modules.get(name) for name in home.project_modules()]
        self.gate.files = frozenset([home.program.filename, *(str(getattr(one, "__file__", "")) for one in modules)])
        self.gate.install()
        self._watch_warnings()
        if home.book is not None:
            home.book.in_helper(self.refuse)
        self.standing: dict[bool, Any] = {}
        self.apart = False
        self.pieces: list[list[Any]] = []
        self.recording = False
        self.strand: Any = None
        self.state = HiddenState()
        self.memory = Memory()
        self.trust: Any = None
        self.witness: Any = None
        self.code = TaskCode(home, self.gate, self.refuse)

    def _watch_warnings(self) -> None:
        """Whether a warning is shown depends on which were shown before, in order: home decides."""
        warnings = of_the_library("warnings")
        if warnings is None:  # a module of the user's has its place, and whom the interpreter asks to show them
            return
        show = warnings._showwarnmsg

        def refuse(message: Any) -> None:
            if self.apart:  # it runs here and nowhere else: what it writes is repeated by home
                show(message)
            elif self.gate.on:
                self.refuse(
                    f"it warns ({message.category.__name__}), and whether that is shown depends on earlier warnings"
                )

        warnings._showwarnmsg = refuse  # type: ignore[attr-defined]

    def refuse(self, why: str, again: bool = True) -> None:
        """Give the task up in the middle of it, and this process with it."""
        self.gate.on = False
        try:
            self.channel.send({"kind": "dropped", "task": self.task, "why": why, "ends": True, "again": again})
        finally:
            os._exit(0)

    def loop(self) -> None:
        while True:
            order = self.channel.receive()
            if order["kind"] == "run":
                self.run(order)
            elif order["kind"] == "items":
                self.items(order)
            elif order["kind"] == "stop":
                os._exit(0)

    def items(self, order: dict[str, Any]) -> None:
        """Run some turns of the loop for which this helper was forked."""
        frame = self.home.frames.sharing.forked
        if frame is None or frame.number != order["frame"]:
            self.refuse("it was forked for another loop")
            return
        if self.strand is None:
            self.strand = Strand(self)
        self.strand.batch(order)

    def state_changed(self) -> str:
        """What of the process is not as it was; empty if all is."""
        _flush_c()
        if not self.apart and any(descriptor.used() for descriptor in self.descriptors):
            return "code outside Python wrote to its standard streams"
        changed = self.state.changed()
        return f"it changed {changed}" if changed else ""

    # -- one task ------------------------------------------------------------------------------------

    def run(self, order: dict[str, Any]) -> None:
        task = self.task = order["task"]
        unit = self.home.hooks.units[task]
        held = references()
        try:
            loaded = [transport.load(part.get("inline") or part["path"]) for part in order["inputs"]]
        except Exception as error:
            self._drop(f"its inputs could not be rebuilt: {error!r}", again=False)
            return
        inputs = {
            (scope, name): loaded[number].values[member]
            for number, part in enumerate(order["inputs"])
            for scope, name, member in part["take"]
        }
        trust, assumed = order.get("trust"), bool(order.get("assumed"))
        blind = references() != held
        if trust is not None:
            if self.trust is None:
                from inferflow.worker.trust import Trust

                self.trust = Trust(self.home, self.gate, self.state, self.refuse)
            why = self.trust.ready(trust["unknown"], trust["checked"] and not assumed)
            if why:
                self._drop(why)
                return
        self.apart = bool(order.get("apart"))
        stood = self._stood(unit, inputs) if assumed else None
        if self.apart:
            self._keep_pieces()
        self.code.begin()
        proved = self._is_proved(order)
        self.home.streams.mark()
        self.home.streams.flushed()
        self.memory.reset()
        modules = len(sys.modules)
        cpu, begun = time.process_time(), time.perf_counter()
        self.gate.seen, self.gate.listed = {}, set()
        began = time.time()
        if order.get("leave"):
            self._record_files()
        failure: BaseException | None = None
        values: tuple[Any, ...] = ()
        with self.trust if trust is not None else nullcontext():
            self.gate.on = not order.get("leave")  # its turn has come: it may act
            try:
                values = self.code.execute(order, unit, inputs)
            except BaseException as error:
                failure = error
            self.gate.on = False
        self.imported = len(sys.modules) != modules
        facts: dict[str, Any] = {
            "duration": time.perf_counter() - begun, "cpu": time.process_time() - cpu, "time": time.time(),
            "memory": self.memory.peak(),
        }  # fmt: skip
        if stood is not None:
            facts["stood"] = stood
        if self.apart:
            self._hear("raw")
            _flush_c()
            self._hear("c")
        departed = self.home.analysed.departed() if self.imported else ""
        if departed:
            self.refuse(departed, again=False)
        if failure is not None and order.get("apart"):
            self._tell(failure, facts)
            return
        if failure is not None:
            if trust is not None:
                self.trust.held.clear()
            self._drop(f"it raised {type(failure).__name__}, which home will see itself", again=False)
            return
        why = self._contradiction(loaded, inputs, values, trust is not None, assumed)
        if not why and self.carries:
            try:
                packed = carry(values, loaded, self.home.project_modules())
            except transport.Unpackable as error:
                packed = f"its result cannot leave the process: {error}"
            why = packed if isinstance(packed, str) else ""
            facts["carried"] = packed
        if not why and trust is not None:
            why = self.trust.changed()
            facts["acts"] = self.trust.acts(SMALL, self.home.setup["scratch"])
            if trust["checked"] and (assumed or self.trust.before is not None):
                facts["standing"] = {
                    **({} if assumed else self.trust.before),
                    "began": began,
                    "listed": sorted(self.gate.listed),
                    "blind": blind,
                }
        if not why and self.witness is not None:
            code, space = self.code.of(unit, trust is not None), self.home.program.module.__dict__
            scope = self.witness.scope(code, space, inputs.values())
            changed = self.code.crossed or self.witness.changed(scope, facts["duration"])
            why = f"it changed {changed} behind the analysis" if changed else ""
            if proved:
                from inferflow.worker.proof import stored

                main = self.home.program.module.__name__
                given = {name for module, name in inputs if module == main} | stored(code)
                facts["proof"] = self.witness.says(scope, given)
        if self.code.literals:
            facts["literals"] = self.code.literals
        if (
            not why
            and (trust is None or not trust["unknown"])
            and "carried" not in facts
            and not self.apart
            and facts["duration"] >= self.home.hooks.long
            and self.home.recipes is not None
        ):
            facts["recipe"] = self.home.recipes.of_values(unit.task, inputs)
        if why:
            self.refuse(why)
        self._publish(unit, values, facts)

    # -- what a task writes that runs here and nowhere else ---------------------------------------------

    def _keep_pieces(self) -> None:
        """Keep the task's output piece by piece, what children and C code write among it: home repeats it all."""
        for descriptor in self.descriptors:
            descriptor.clear()
        self.pieces = []
        self.home.streams.keep_pieces(self._piece)

    def _piece(self, name: str, kind: str, data: bytes) -> None:
        self._hear("raw")
        last = self.pieces[-1] if self.pieces else None
        if last is not None and last[:2] == [name, kind] and len(last[2]) < 1 << 16:
            last[2] += data
        else:
            self.pieces.append([name, kind, data])

    def _hear(self, kind: str) -> None:
        for name, descriptor in zip(("stdout", "stderr"), self.descriptors):
            data = descriptor.take()
            if data:
                self.pieces.append([name, kind, data])

    def _written_apart(self) -> dict[str, Any]:
        """The whole output, for the record, and its pieces."""
        self.home.streams.mark()
        self.home.streams.wrote_bytes()
        if not self.pieces:
            return {}
        output = {}
        for name in ("stdout", "stderr"):
            data = b"".join(piece for stream, _, piece in self.pieces if stream == name)
            if data:
                output[name] = data[:LIMIT]
        return {"output": output, "pieces": self.pieces}

    def _is_proved(self, order: dict[str, Any]) -> bool:
        """Whether what the task could read is to be compared at its turn root by root: not if its code is unknown (then
        all is compared), and not if this process is no copy of home."""
        if self.apart or self.home.setup["start"] == "spawn":
            return False
        if self.witness is None:
            self.witness = self.home.witness.sworn(self.state)
        trust = order.get("trust")
        return trust is None or not trust["unknown"]

    def _stood(self, unit: transform.Unit, inputs: dict[Any, Any]) -> dict[str, Any]:
        """What the task's code can read of the project's globals here, for home to compare; from now on it is watched
        whether they change."""
        from inferflow.worker.posted import Posted

        home = self.home
        if home.posted is None:
            from inferflow.worker.testify import Witness

            home.posted = Posted(home)
            self.witness = Witness(home, home.program.tree())
        return home.posted.told(unit.task, inputs)  # type: ignore[no-any-return]

    def _record_files(self) -> None:
        """From now on note what a task reads and writes, as home does."""
        files = self.home.files
        if not self.recording:
            self.recording = True
            files.install()
        files.take()
        files.once.take()
        files.on = True

    def _tell(self, failure: BaseException, facts: dict[str, Any]) -> None:
        """The task runs here and nowhere else: home raises what it raised."""
        try:
            raises = brought.told(stripped(failure), self.home.project_modules())
        except transport.Unpackable as error:
            self._drop(f"it raised {type(failure).__name__}: {failure}, which cannot leave its process: {error}")
            return
        message: dict[str, Any] = {"kind": "raised", "task": self.task, "facts": [], "raises": raises, **facts}
        message.update(self._written_apart())
        self.channel.send(message)

    def _drop(self, why: str, again: bool = True) -> None:
        """Give the result up; this process is as it was, unless a hidden state has changed. ``again``: the same is to
        be expected of the next run."""
        self.home.streams.mark()
        spoiled = not self.apart and any(descriptor.used() for descriptor in self.descriptors)
        if self.state.changed() or self.state.variables or spoiled:
            self.refuse(why, again)
        self.gate.recorder.take()
        self.channel.send({"kind": "dropped", "task": self.task, "why": why, "ends": False, "again": again})

    def _contradiction(
        self, loaded: list[Any], inputs: dict[Any, Any], values: tuple[Any, ...], trusted: bool, assumed: bool
    ) -> str:
        """Why this result must not be used and this process must end; empty if all is well."""
        self.carries = False
        changed = self.state_changed() or self.code.repeated.taken(values)
        if changed:
            return changed
        changed = "" if all(part.unchanged() for part in loaded) else "it changed one of its inputs in place"
        if not changed:
            shared = shares(tuple(inputs.values()), values)
            changed = f"its result shares {shared} with its inputs" if shared else ""
        self.carries = bool(changed)
        foreign = not assumed and (self.apart or self.home.setup["start"] == "spawn")
        if changed and (foreign or any(scope == "<value>" for scope, _ in inputs)):
            return changed  # (what belongs to a value on its way has no name by which home could find it)
        shared = self._shared_with_state(values, trusted)
        return f"its result shares {shared} with what the project's modules hold" if shared else ""

    def _shared_with_state(self, values: tuple[Any, ...], trusted: bool) -> str | None:
        """What of the results belongs to the modules' state. Unless the task runs on trust, the names that only tasks
        bind are left out: what it reads of them are its inputs, and they may be large."""
        theirs = reach(values)
        if not theirs.objects and not theirs.memory:
            return None
        standing = self.standing.get(trusted)
        if standing is None:
            modules = [module for name in self.home.project_modules() if (module := sys.modules.get(name)) is not None]
            units = self.home.hooks.units.values()
            bound = frozenset(name for unit in units for _, name in unit.outputs) - self.home.prefixed
            standing = reach(globals_of(modules, frozenset() if trusted else bound))
            self.standing[trusted] = standing
        return common(standing, theirs)

    def _publish(self, unit: transform.Unit, values: tuple[Any, ...], facts: dict[str, Any]) -> None:
        names = self.code.names
        message: dict[str, Any] = {"kind": "result", "task": self.task, **facts}
        if unit.maybe:
            message["kept"] = self.code.kept
        if self.code.order != [name for name in (*unit.sure(), *unit.maybe) if name in self.code.order]:
            message["order"] = self.code.order
        inside = self.home.frames.take()
        if self.home.frames.places:  # (none where helpers are spawned: nothing is counted there)
            message["regions"], message["sizes"] = inside, self.home.frames.sizes
        message["facts"] = [[name, *described.describe(value)] for name, value in zip(names, values)]
        carried = facts.get("carried")
        if carried is not None:
            stored = self._write(carried)
            message["carried"] = {"inline": stored.inline} if stored.inline is not None else {"path": stored.path}
        elif values:
            try:
                packed = transport.pack(values, check=True, project=self.home.project_modules(), quiet=True)
            except transport.Unpackable as error:
                self._drop(f"its result cannot leave the process: {error}")
                return
            if not packed.exact:
                self._drop(f"its result would not be rebuilt exactly: {packed.why}")
                return
            stored = self._write(packed)
            message.update(size=stored.size, inline=stored.inline, exact=True)
            if stored.path:
                message["file"] = stored.path
        flushed = self.home.streams.flushed()
        output = {} if self.apart else self.home.streams.mark()
        if self.apart:
            message.update(self._written_apart())
        elif flushed:
            message["flushed"] = flushed
        if output:
            if self.home.streams.wrote_bytes():
                self._drop("it writes bytes to a standard stream, which overtake text that is still in its buffer")
                return
            if self.imported:
                self.refuse("it prints and imports modules, which may print once, when home comes to it")
            if any(left_out for _, _, left_out in output.values()):
                self._drop("it prints too much to keep and repeat")
                return
            message["output"] = {name: noted for name, (noted, _, _) in output.items()}
        read, _ = self.gate.recorder.take()
        self.home.files.on = False
        files = (
            self.home.keep_files(int(message["task"]))
            if self.recording
            else [{"path": name, "mode": "read", **fact} for name in read if (fact := file_fact(name, None))]
        )
        if files:
            message["files"] = files
        opened = {act[1] for act in facts.get("acts", []) if act[0] == "write"}
        looked = {path for path, _ in self.gate.seen}
        # Whether it has looked at what is not there, or at folders, or at what it then wrote.
        looked_around = len(files) < len(read) or looked.difference(read, opened) or opened.intersection(read)
        if looked_around:
            message.pop("recipe", None)
        if self.home.setup["start"] == "spawn" and carried is None and facts["duration"] >= self.home.hooks.long:
            once = self.home.files.once.take() if self.recording else []
            message["lasts"] = once is not None and not looked_around  # (home knows what it was made of)
            if once:
                message["once"] = once
        if self.gate.seen:
            message["seen"] = self.gate.looks()
        if self.state.variables:  # home sets them at this task's turn; the next one here might not have
            message.update(variables=self.state.variables, ends=True)
        self.channel.send(message)
        if self.state.variables:
            os._exit(0)

    def _write(self, packed: Any) -> Any:
        def write() -> Any:
            return transport_files.write(packed, self.home.setup["scratch"])

        return write() if self.trust is None or self.trust.writer is None else self.trust.writer.call(write)
