"""What the hooked program calls at the boundaries of tasks: one letter each, see ``transform``."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from inferflow.worker import transform, transport
from inferflow.worker.commit import Commit
from inferflow.worker.exact_graph import ATOMS
from inferflow.worker.exact_reach import TooMuch, reach
from inferflow.worker.locals_of import locals_of
from inferflow.worker.memory import Memory
from inferflow.worker.observe import stamp

if TYPE_CHECKING:
    from inferflow.worker.home import Home

__all__ = ["Hooks", "gaps", "thread_ident", "unit_of"]

LONG = 0.05
"""Seconds. Tasks that take less are as quickly run again as compared (see ``recipe``)."""
SHARE = 0.03
"""So much of a run's time may be spent on what only later runs can use."""
PER_OBJECT, PER_BYTE = 2e-6, 30e-9
"""Seconds that it takes, roughly, to walk over an object, and to compare a byte of what is not in large arrays."""
_CAN_MASK = hasattr(signal, "pthread_sigmask")


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


class Hooks:
    """What the hooked program calls. One letter each: see ``transform``."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.shield = _Shielded(home)
        self.channel = home.channel
        self.units: dict[int, transform.Unit] = {}
        self.publish: dict[int, bool] = {}
        self.settle: frozenset[int] = frozenset()
        self.wary: frozenset[int] = frozenset()
        self.read: frozenset[int] = frozenset()
        """Tasks of whose values it matters whether they are rebuilt exactly: what reads them may be used again."""
        self.long = 0.0 if home.setup.get("turns") else LONG  # (of tests: whatever it costs)
        self.checking = 0.0
        """Seconds that were spent on that."""
        self.forks: frozenset[int] = frozenset()
        self.ask = False
        self.open: int | None = None
        self.closed: set[int] = set()
        self.adopted: dict[int, tuple[Any, ...]] = {}
        self.perhaps: dict[int, Iterator[Any]] = {}
        """Of adopted tasks, for each name that they bind on some paths only, whether it is, and then its value."""
        self.added: dict[int, dict[str, Any]] = {}
        """Of adopted tasks, what they add to the module's names, in order, where the code here has another one."""
        self.started = 0.0
        self.cpu = 0.0
        self.memory = Memory()
        self.alone = False
        self.raising: BaseException | None = None
        self.thread = 0
        self.given: dict[str, Any] = {}
        self.returned: dict[str, Any] | None = None
        self.inputs: list[str] = []
        self.entered = False
        self.late: dict[str, int] = {}
        self.gaps: frozenset[int] = frozenset()
        """Tasks before which the driver has statements that belong to none."""

    def at_home(self) -> bool:
        """Whether this is the thread, in the process, that the driver runs in."""
        return not self.alone and thread_ident() == self.thread

    # -- beginning ---------------------------------------------------------------------------------

    def _begin(self, task: int) -> None:
        home = self.home
        if task in self.settle:
            home.keeper.wait()
        self._fork_due(task)
        self.open = task
        message = {"kind": "start", "task": task, "time": time.time()}
        before = home.streams.mark()
        if before:
            message["before"] = before
        home.send(message)
        self.memory.reset()
        home.observer.begins(task)
        home.begins(task)
        home.files.once.take()  # (what a task did that raised is no act of the next one)
        home.files.on = True
        self.cpu = time.process_time()
        self.started = time.perf_counter()

    def _off_plan(self, task: int) -> bool:
        """Whether the program came here in a way that the plan did not foresee (then it simply runs)."""
        if self.alone or task in self.closed or thread_ident() != self.thread:
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
            adopted = self.units[task].adoptable and self.ask and self._adopt(task, [], sys._getframe(1))
            if not adopted:
                self._begin(task)
            elif self.raising is None:
                return False
        self._raise()
        return True

    def q(self, task: int) -> bool:
        with self.shield:
            if self._off_plan(task) or not self.ask:
                return True
            if not self._adopt(task, self._all_inner(task), sys._getframe(1)):
                return True
            if self.raising is None:
                return False
        self._raise()
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

    def _adopt(self, task: int, inner: list[int], frame: Any) -> bool:
        """Whether the task's result, made elsewhere, is home's now; if not, it is to run here."""
        while True:
            adopted = self._take(task, inner, frame)
            if adopted is not None:
                return adopted

    def _take(self, task: int, inner: list[int], frame: Any) -> bool | None:
        """None: this result could not be taken, but the task must not run here: there will be another one."""
        home = self.home
        first = min(inner, default=task)
        home.observer.ran += first in self.gaps  # (what a rebound name has held may end its life noisily)
        self._fork_due(first)
        before = home.streams.mark()
        message: dict[str, Any] = {"kind": "at", "task": task, "inner": inner}
        if before:
            message["before"] = before
        home.send(message)
        reply = home.receive_reply()
        if reply["kind"] == "raise":
            why = self._stale(task, frame, reply)[0]
            return self._refused(task, why, firm=True) if why else self._bring(task, reply)
        if reply["kind"] == "halt":
            home.halt()
        if reply["kind"] != "adopt":
            return False
        choice, firm, again = -1, bool(reply.get("firm")), bool(reply.get("again"))
        if "choices" in reply:
            choice, why = home.recipes.chosen(task, frame, reply["choices"])
            if why:
                return self._refused(task, why, again=again)
            reply = reply["choices"][choice]
        why, unforeseen = home.analysed.departed(), False
        if not why:
            why, unforeseen = self._stale(task, frame, reply)
        if why:
            return self._refused(task, why, unforeseen, firm=firm, again=again)
        carried: Any = None
        if "carried" in reply:
            from inferflow.worker import carry, turn

            data = reply["carried"]
            home.keeper.wait()  # some of what is being written behind may change now
            try:
                carried = carry.receive(
                    lambda scope, name: turn.live(frame, scope, name),
                    reply["given"],
                    data.get("inline") or data["path"],
                )
            except Exception as error:
                carried = f"its result could not be rebuilt: {error!r}"
            if isinstance(carried, str):
                return self._refused(task, carried, firm=firm, again=again)
        try:
            source = reply.get("inline")
            if carried is not None:
                values = carried.values
            else:
                values = transport.unpack(source if source is not None else reply["path"]) if reply["values"] else ()
        except Exception as error:
            return self._refused(task, f"its result could not be rebuilt: {error!r}", firm=firm, again=again)
        files: list[dict[str, Any]] = []
        if reply.get("acts"):
            for act in reply["acts"]:
                for path in act[1:3] if act[0] == "rename" else act[1:2]:
                    home.files.acts_on(path)
            commit = Commit(reply["acts"])
            why = commit.run()
            if why:
                return self._refused(task, why, firm=firm, again=again)
            if choice < 0:  # (else they are what the store gave)
                files = home.written(commit.written())
        if carried is not None and carried.changes:
            carry.apply(carried.changes, carried.given)
            home.observer.ran += 1  # as if it had run here: others may hold what it changed
        for name, value in reply.get("variables", {}).items():
            home.observer.ran += name not in os.environ  # (others may look at it)
            os.environ.setdefault(name, value)
        self._replay(reply)
        written = home.streams.mark()
        home.streams.cut()
        self.closed.update(inner)
        self.closed.add(task)
        found = self._take_over(task, reply, values)
        message = {"kind": "adopted", "task": task, "inner": inner, "time": time.time(), "output": written}
        if choice >= 0:
            message["choice"] = choice
        if files:
            message["files"] = files
        if "lasted" in reply and self._lasts(task, reply["lasted"]):
            message["recipe"] = home.recipes.recorded(task, frame, reach(()), math.inf)
        if carried is not None:
            message.update(self._kept_of_carried(task, frame, dict(found), bool(carried.changes)))
        self._settled(task, frame, found)
        home.send(message)
        return True

    def _stale(self, task: int, frame: Any, reply: dict[str, Any]) -> tuple[str, bool]:
        why, unforeseen = stale(self.home, frame, reply)
        if not why and "stood" in reply:
            why = self.home.posted.difference(task, frame, reply["stood"])
        return why, unforeseen

    def _take_over(self, task: int, reply: dict[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
        """The values are at hand for the names that the task binds; gives what it has bound, by name."""
        unit = self.units[task]
        there = dict(zip(reply.get("names") or unit.bound(), values))
        bound = {name: there[name] for name in unit.bound() if name in there and name not in reply.get("kept", ())}
        if "added" in reply:
            self.added[task] = {name: bound[name] for name in reply["added"] if name in bound}
        if not unit.maybe:
            self.adopted[task] = tuple(values[position] for position in reply["order"])
            return bound
        self.adopted[task] = tuple(there[name] for name in unit.sure())
        pairs = ((True, bound[name]) if name in bound else (False,) for name in unit.maybe)
        self.perhaps[task] = iter([part for pair in pairs for part in pair])
        return bound

    def _settled(self, task: int, frame: Any, found: dict[str, Any]) -> None:
        """What was adopted is bound now (which may end the life of what was bound before), and others may read it."""
        from inferflow.worker.turn import live

        unit, observer = self.units[task], self.home.observer
        for scope, name in unit.outputs:
            try:
                if name in found and scope != "<value>" and type(live(frame, scope, name)) not in ATOMS:
                    observer.ran += 1
            except KeyError:
                continue
        if not self.publish.get(task, False):
            return
        for scope, name in unit.outputs:
            if name not in found:
                try:
                    found[name] = live(frame, scope, name)
                except KeyError:
                    continue
        names = [(scope, name) for scope, name in unit.outputs if name in found]
        observer.publish(names, tuple(found[name] for _, name in names))

    def _kept_of_carried(self, task: int, frame: Any, found: dict[str, Any], changed: bool) -> dict[str, Any]:
        """What to keep of a result that came with references to its inputs: it is a record only now."""
        from inferflow.worker.turn import live

        unit = self.units[task]
        for scope, name in unit.outputs if changed or unit.maybe else ():
            if name not in found:
                try:
                    found[name] = live(frame, scope, name)
                except KeyError:  # it is not bound
                    continue
        return self.home.keeper.keep(list(found), tuple(found.values()), self.publish.get(task, False))

    def _bring(self, task: int, reply: dict[str, Any]) -> bool | None:
        """The task failed where it ran: its exception is raised here, as soon as our own work is done."""
        from inferflow.worker.brought import rebuilt

        try:
            error = rebuilt(reply["raises"])
        except Exception as problem:
            return self._refused(task, f"its exception could not be rebuilt: {problem!r}", firm=True)
        self._replay(reply)
        self.open = task
        self.memory.reset()
        self.cpu, self.started = time.process_time(), time.perf_counter()
        self.raising = error
        return True

    def _replay(self, reply: dict[str, Any]) -> None:
        """What the task printed elsewhere; and how much of it had been flushed there."""
        streams = self.home.streams
        for stdout, stderr, stdout_flushed, stderr_flushed, pieces in reply["output"]:
            if pieces:
                streams.play(pieces)
                continue
            streams.replay("stdout", stdout, stdout_flushed)
            streams.replay("stderr", stderr, stderr_flushed)

    def _raise(self) -> None:
        error, self.raising = self.raising, None
        if error is not None:
            raise error

    def _refused(
        self, task: int, why: str, unforeseen: bool = False, firm: bool = False, again: bool = False
    ) -> bool | None:
        """``unforeseen``: the state of this process is not what the analysis says, so that no copy of an earlier one
        will do from now on. ``firm``: the task must not be run here instead; ``again``: it runs once more elsewhere."""
        self.home.send({"kind": "refused", "task": task, "why": why, "unforeseen": unforeseen})
        if firm:
            self.home.halt()
        if unforeseen:
            self.home.fork(task)
        return None if again else False

    def _fork_due(self, position: int) -> None:
        """Let helpers be forked from here, if some have been waiting for home to come so far."""
        due = [epoch for epoch in self.forks if epoch <= position]
        if due:
            self.forks = self.forks.difference(due)
            self.home.fork(position)

    def a(self, task: int) -> Any:
        values = self.adopted.pop(task)
        for name, value in self.added.pop(task, {}).items():
            self.home.program.module.__dict__.setdefault(name, value)
        return values[0] if self.units[task].expression is not None else values

    def y(self, task: int) -> Any:
        return next(self.perhaps[task])

    def taken(self, task: int) -> dict[str, Any]:
        """What an adopted task has bound, by name, where the values are put under their names by us."""
        unit = self.units[task]
        found = dict(zip(unit.sure(), self.a(task)))
        found.update({name: self.y(task) for name in unit.maybe if self.y(task)})
        return found

    # -- the end of a task ---------------------------------------------------------------------------

    def d(self, task: int, *values: Any) -> None:
        if self.open != task or self.alone:
            return
        caller = sys._getframe(1)
        with self.shield:
            self._finish(task, values, caller if not self.units[task].definite else None, caller)

    def v(self, task: int, value: Any) -> Any:
        if self.open == task and not self.alone:
            caller = sys._getframe(1)
            with self.shield:
                self._finish(task, (value,), None, caller)
        return value

    def _measure(self) -> dict[str, Any]:
        return {
            "duration": time.perf_counter() - self.started,
            "cpu": time.process_time() - self.cpu,
            "time": time.time(),
            "memory": self.memory.peak(),
        }

    def _finish(self, task: int, values: tuple[Any, ...], frame: Any, caller: Any = None) -> None:
        """A task is over. ``frame``: where to look which of its names are bound; ``caller``: the driver's."""
        home = self.home
        message: dict[str, Any] = {"kind": "done", "task": task, **self._measure()}
        home.files.on = False
        self.open = None
        self.closed.add(task)
        inside = home.frames.take()
        if inside:
            message["regions"], message["sizes"] = inside, home.frames.sizes
        unit = self.units[task]
        names = [name for _, name in unit.outputs]
        if frame is not None:
            names, values = _bound_in(frame, names)
        output = home.streams.mark()
        home.streams.cut()
        if output:
            message["output"] = output
        files = home.keep_files(task)
        if files:
            message["files"] = files
        once = home.files.once.take()
        if names and len(values) == len(names):
            message.update(self._kept(task, names, values, message["duration"], None if once is None else caller))
        elif not unit.outputs and once is not None and self._lasts(task, message["duration"]):
            message["recipe"] = home.recipes.recorded(task, caller, reach(()), math.inf)
        if once and message.get("recipe"):
            message["once"] = once
        if names and len(values) == len(names):
            if self.publish.get(task, False):
                scopes = {name: scope for scope, name in unit.outputs}
                home.observer.publish([(scopes[name], name) for name in names], values)
            if task in self.wary and message.get("exact"):
                from inferflow.worker.turn import shared_with_state

                why = shared_with_state(home, values)
                if why:
                    message.update(exact=False, why=why)
        home.send(message)

    def _lasts(self, task: int, duration: float) -> bool:
        """Whether it is worth knowing what a task was made of."""
        recipes = self.home.recipes
        return recipes is not None and duration >= self.long and task in recipes.inputs

    def _kept(
        self, task: int, names: list[str], values: tuple[Any, ...], duration: float, caller: Any
    ) -> dict[str, Any]:
        """Keep values; of a task that has taken time also what it was made of, unless its result cannot be used again
        (``caller``, the driver's frame, is None then)."""
        home, begun = self.home, time.perf_counter()
        published = self.publish.get(task, False)
        lasting = caller is not None and self._lasts(task, duration)
        if not lasting and (published or task not in self.read):
            return home.keeper.keep(names, values, published)
        spare = SHARE * (begun - home.began) - self.checking if self.long else math.inf
        try:
            theirs = reach(values, spare / PER_OBJECT) if spare > 0 else None
        except TooMuch:
            theirs = None
        kept = home.keeper.keep(
            names, values, published or theirs is not None,
            None if published else lambda size: size * PER_BYTE < spare,
        )  # fmt: skip
        if lasting and theirs is not None and kept.get("exact"):
            recipe = home.recipes.recorded(task, caller, theirs, spare / PER_OBJECT)
            if recipe:
                kept["recipe"] = recipe
        if not published:
            self.checking += time.perf_counter() - begun
        return kept

    # -- the driver function -------------------------------------------------------------------------

    def i(self, block: int) -> None:
        if self.entered:
            self.home.frames.reentered()
        if self.entered or self.alone or not self.inputs:
            self.entered = True
            return
        self.entered = True
        with self.shield:
            names, values = _bound_in(sys._getframe(1), self.inputs)
            self.home.send({"kind": "inputs", **self.home.keeper.keep(names, values, True)})
            self.home.observer.publish([("<driver>", name) for name in names], values)

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
    bound = locals_of(frame)
    found = [name for name in names if name in bound]
    return found, tuple(bound[name] for name in found)


def thread_ident() -> int:
    import _thread

    return _thread.get_ident()


def stale(home: Any, frame: Any, reply: dict[str, Any]) -> tuple[str, bool]:
    """What a task that ran ahead saw and is not so any more, in words, empty if all is as it was; and whether it is
    something that nobody foresaw."""
    for path, how, before in reply.get("seen", ()):
        if stamp(path, how) != before:
            return f"{path} has changed since it was read", False
    if reply.get("checks"):
        from inferflow.worker.turn import contradiction

        why = contradiction(home, frame, reply["checks"], {path for path, _, _ in reply.get("seen", ())})
        if why:
            return why, False
    return home.observer.contradiction(frame, reply["proofs"]) if reply.get("proofs") else ("", False)


def gaps(units: dict[int, transform.Unit]) -> frozenset[int]:
    """The tasks before which there are statements that belong to no task."""
    ends: dict[int, int] = {}
    found = set()
    for task, unit in sorted(units.items()):
        if unit.first > ends.get(unit.block, unit.first - 1) + 1:
            found.add(task)
        ends[unit.block] = max(ends.get(unit.block, -1), unit.last)
    return frozenset(found)


def unit_of(data: list[Any]) -> transform.Unit:
    index, block, first, last, expression, outputs, definite, adoptable, inner, preamble, changed, maybe = data
    return transform.Unit(
        index, block, first, last,
        tuple(expression) if expression is not None else None,
        tuple((scope, name) for scope, name in outputs),
        definite, adoptable, tuple(inner), tuple(tuple(span) for span in preamble), tuple(changed), tuple(maybe),
    )  # fmt: skip
