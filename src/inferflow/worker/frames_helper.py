"""What a helper does with a batch of items: run the strand of each turn, check, send the results in one message.

The helper was forked from home when the loop began, so items and everything else are home's own objects, not copies
that travelled. Checked are: no irrevocable act was tried, hidden state is as it was, nothing of the results is part of
what was there before, the results survive the journey, and (once, where that is cheap) what was given is unchanged.
A turn that fails is left to home, where its exception belongs.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from inferflow.worker import transport, transport_files
from inferflow.worker.exact_reach import common, reach
from inferflow.worker.frames import ARM, LOOP, TURN
from inferflow.worker.frames_items import is_plain, part_of, short, size_of
from inferflow.worker.frames_map import counted, held_by
from inferflow.worker.frames_proof import Testimony
from inferflow.worker.repeated import Repeated
from inferflow.worker.siblings import SiblingFrame
from inferflow.worker.stages import StageFrame
from inferflow.worker.strand_code import coroutine_code, group_code, strand_code
from inferflow.worker.transform import AGAIN
from inferflow.worker.transform_regions import hook_choices

if TYPE_CHECKING:
    from inferflow.worker.helper import Helper
    from inferflow.worker.opened import Source
    from inferflow.worker.transform_regions import Place

__all__ = ["Strand"]

PATIENCE = 0.25
"""Seconds after which a batch of several items is sent back with those that are done."""
SMALL = 1 << 20
"""Bytes up to which what was given is packed before and after, to see whether it has changed."""


class _InModule:
    """Runs a strand in the module's namespace, and leaves the names that it binds as they were: what home had under
    them must not die here (it may be an open file, or print when it dies), nor what one turn leaves in the next."""

    def __init__(self, code: types.CodeType, space: dict[str, Any], maybe: list[str]) -> None:
        self.code = code
        self.space = space
        self.maybe = maybe  # what it binds or not, which must not look bound because home's is
        names = code.co_names  # all that it binds, and what it reads
        self.before = {name: space[name] for name in names if name in space}
        self.new = [name for name in names if name not in space]

    def run(self) -> None:
        for name in self.maybe:
            self.space.pop(name, None)
        try:
            exec(self.code, self.space)
        finally:
            for name in self.new:
                self.space.pop(name, None)
            self.space.update(self.before)


class Strand:
    """The strand of one frame, compiled, and what it leaves of the present turn."""

    def __init__(self, helper: Helper) -> None:
        self.helper = helper
        home = helper.home
        frame = home.frames.sharing.forked
        assert frame is not None
        self.frame = frame
        self.place = home.frames.places[frame.place.region]
        self.source = home.opened.source_of(self.place)
        self.codes: dict[int, tuple[Callable[..., Any], types.CodeType]] = {}
        self.testimony = Testimony(home, frame)
        self.current: Any = None
        self.number = 0
        self.values: list[tuple[Any, ...]] = []
        self.keys: list[list[Any]] = []
        self.path: list[int] = []
        self.output: list[list[Any]] = []
        self.arms: dict[tuple[int, int], int] = {}
        self.maps: list[tuple[int, int, Iterator[int]]] = []
        self.loops: dict[int, list[int]] = {}
        self.at: dict[int, int] = {}  # the indices of the loops that are run as a whole now
        """Since the last unit: how often each arm was chosen; of loops how often they began, their items (-1: not
        known) and turns."""
        self.offset = 0
        self.checked = False
        self.repeated = Repeated()
        setattr(self, AGAIN, self.repeated.again)
        self.function = getattr(frame, "function", None)  # what ``map`` calls
        self.items: Any = frame.items
        if isinstance(frame, SiblingFrame):  # the arguments that each was made with
            self.items = [{} if item is None else dict(item.cr_frame.f_locals) for item in frame.items]

    def run(self) -> None:
        """Run what ``current`` stands for: a turn of the loop, a group of the stage, a coroutine."""
        code, _ = self._code(self.number)
        if isinstance(self.frame, SiblingFrame):
            code(**self.current)
        else:
            code()

    def _code(self, number: int) -> tuple[Callable[..., Any], types.CodeType]:
        """What runs an item, and its code."""
        key = self.frame.key(number)
        made = self.codes.get(key)
        if made is None:
            if isinstance(self.frame, SiblingFrame):
                made = self._coroutine(self.frame.places[number])
            else:
                made = self._compiled(key)
            self.codes[key] = made
        return made

    def _told(self, start: int, stop: int) -> list[Any]:
        """What the code of these items reads."""
        told: dict[int, Any] = {}
        items = self.items[start:stop]
        for number in range(start, stop):
            key = self.frame.key(number)
            if key not in told:
                source, parts = self.source, items
                if isinstance(self.frame, SiblingFrame):
                    source = self.helper.home.opened.source_of(self.frame.places[number])
                    parts = [list(item.values()) for item in items]
                told[key] = self.testimony.told(key, self._code(number)[1], source.space, parts)
        return [[key, message] for key, message in told.items()]

    def _each(self) -> dict[str, str]:
        """What the present item gives to its names."""
        if isinstance(self.frame, SiblingFrame):
            return self.testimony.given(self.current.items())
        return self.testimony.given([(name, part_of(self.current, path)) for name, path in self.frame.targets.items()])

    def _tree(self, source: Source, place: Place) -> ast.Module:
        """A new tree, in which choices are told."""
        tree = source.tree()
        hook_choices(tree.body, self.helper.home.frames.table, place.function)
        return tree

    def _coroutine(self, place: Place) -> tuple[Callable[..., Any], types.CodeType]:
        """What runs the strand of a coroutine, given its arguments."""
        source = self.helper.home.opened.source_of(place)
        places = self.helper.home.frames.table.places
        code = coroutine_code(
            self._tree(source, place), source.filename, source.flags, source.block, place, places, self
        )
        return types.FunctionType(code, source.space), code

    def _compiled(self, group: int) -> tuple[Callable[[], Any], types.CodeType]:
        source, frame = self.source, self.frame
        names = sorted(name for name in frame.locals if name.isidentifier())
        places = self.helper.home.frames.table.places
        if isinstance(frame, StageFrame):
            code = group_code(
                self._tree(source, self.place),
                source.filename,
                source.flags,
                source.block,
                self.place,
                frame.place,
                group,
                places,
                names,
                self,
            )
        else:
            code = strand_code(
                self._tree(source, self.place),
                source.filename,
                source.flags,
                source.block,
                self.place,
                places,
                names,
                self,
            )
        if self.place.node in ("comprehension", "map") or source.block["kind"] == "function":
            function: Any = types.FunctionType(code, source.space)
            return lambda: function(**frame.locals), code
        return _InModule(code, source.space, [name for unit in self.place.units for name in unit.maybe]).run, code

    # -- hooks ---------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The item of this turn."""
        return self.current

    def arguments(self) -> tuple[Any, ...]:
        """What ``map`` would call its function with."""
        found: tuple[Any, ...] = self.current if getattr(self.frame, "many", False) else (self.current,)
        return found

    def b(self, level: int) -> None:
        """A loop inside of the turn begins."""
        self.path[level:] = [-1]

    def x(self, level: int) -> None:
        """It has ended."""
        del self.path[level:]

    def k(self, region: int, level: int, *values: Any) -> None:
        """A turn of a loop inside of the turn begins, with these names bound."""
        self.path[level] += 1
        self.values.append(values if all(map(is_plain, values)) else ())
        self.keys.append([~region, list(self.path)])

    def m(self, region: int, arm: int) -> None:
        """An arm is chosen, of a conditional expression or of a statement that is run as a whole."""
        place = self.helper.home.frames.places[region]
        if arm == 0 and place.node == "while" and place.told:
            self._event(TURN, [region, {}, ""])
        else:
            self.arms[region, arm] = self.arms.get((region, arm), 0) + 1

    def r(self, region: int, iterable: Any) -> Any:
        """A loop begins that is run as a whole; gives back what it goes through."""
        count = self.loops.setdefault(region, [0, 0, 0])
        size = size_of(iterable)
        count[0] += 1
        count[1] = -1 if size < 0 or count[1] < 0 else count[1] + size
        self.at[region] = -1
        return iterable

    def q(self, region: int, mapping: Any, function: Any, *iterables: Any) -> tuple[Any, ...]:
        """``map`` begins; gives back what it is to be called with."""
        count = self.loops.setdefault(region, [0, 0, 0])
        count[0] += 1
        found = counted(iterables) if mapping is map else None
        if found is None:
            count[1] = -1
            return (function, *iterables)
        size, numbers, iterables = found
        count[1] = -1 if count[1] < 0 else count[1] + size
        self.maps.append((region, size, numbers))
        return (function, *iterables)

    def j(self, region: int, *values: Any) -> bool:
        """A turn of it begins, with these names bound."""
        if region not in self.loops or region not in self.at:
            return True  # a generator that lives on
        self.loops[region][2] += 1
        self.at[region] += 1
        place = self.helper.home.frames.places[region]
        if place.told and place.node == "for":
            known = {str(number): self.at[number] for number in (*place.within, region) if number in self.at}
            self._event(TURN, [region, known, short(values[0] if len(values) == 1 else values) if values else ""])
        return True

    def z(self, region: int) -> None:
        """It is over."""
        self.at.pop(region, None)
        if self.helper.home.frames.places[region].told:
            self._event(TURN, [region, None, ""])

    def _event(self, kind: str, data: list[Any]) -> None:
        """Between what was printed before and what comes."""
        self._texts(len(self.values))
        self.output.append([self.offset, len(self.values), kind, data])

    def _texts(self, number: int) -> None:
        for name, (noted, _, left_out) in self.helper.home.streams.mark().items():
            if left_out:
                raise MemoryError("it prints too much to keep and repeat")
            self.output.append([self.offset, number, name, noted])

    def p(self, unit: int, maybe: tuple[str, ...], *values: Any) -> None:
        """A unit is done, and left these values, and those of its other names that are bound."""
        bound = sys._getframe(1).f_locals
        there = [name for name in maybe if name in bound]
        self.u(unit, *values, tuple(name in bound for name in maybe), *[bound[name] for name in there])

    def u(self, unit: int, *values: Any) -> Any:
        """A unit is done, and left these values; gives the first back."""
        number = len(self.values)
        for arm, count in self.arms.items():
            self.output.append([self.offset, number, ARM, [*arm, count]])
        for region, size, numbers in self.maps:
            self.loops[region][2] += min(size, next(numbers))
        for region, counts in self.loops.items():
            self.output.append([self.offset, number, LOOP, [region, *counts]])
        self.arms, self.loops, self.maps = {}, {}, []
        self.values.append(values)
        self.keys.append([unit, list(self.path)])
        self._texts(number)
        return values[0] if values else None

    # -- batches -------------------------------------------------------------------------------------

    def batch(self, order: dict[str, Any]) -> None:
        """Run items ``start`` to ``stop``, and send what came of them."""
        helper, items = self.helper, self.items
        start, stop = order["start"], order["stop"]
        before = None if self.checked else self._print(items[start:stop])
        modules = len(sys.modules)
        told, each = self._told(start, stop), []
        rows: list[list[tuple[Any, ...]]] = []
        keys: list[list[list[Any]]] = []
        seen: list[list[Any]] = []
        self.output, failed = [], False
        helper.home.streams.mark()
        began = time.perf_counter()
        for number in range(start, stop):
            self.current, self.values, self.offset, self.number = items[number], [], number - start, number
            self.keys, self.path = [], []
            self.arms, self.loops, self.maps, self.at = {}, {}, [], {}
            kept = len(self.output)
            helper.gate.seen, helper.gate.listed = {}, set()
            each.append(self._each())
            helper.gate.on = True
            try:
                self.run()
            except BaseException:
                failed = True
            helper.gate.on = False
            if failed:
                del self.output[kept:]
                helper.home.streams.mark()
                break
            rows.append(self.values)
            keys.append(self.keys)
            if helper.gate.seen:
                seen.append([number - start, helper.gate.looks()])
            if time.perf_counter() - began > PATIENCE:
                break
        duration = time.perf_counter() - began
        helper.gate.recorder.take()
        why = helper.state_changed() or ("it changed os.environ" if helper.state.variables else "")
        if not why and self.output and len(sys.modules) != modules:
            why = "it prints and imports modules, which may print once, when home comes to it"
        if not why and len(sys.modules) != modules:
            why = helper.home.analysed.departed()
        if not why and before is not None:
            self.checked = True
            if before != self._print(items[start:stop]):
                why = "it changed one of its inputs in place"
        values = tuple(value for row in rows for unit in row for value in unit)
        why = why or self.testimony.changed()
        why = why or self.repeated.taken(values) or self._shared(items[start : start + len(rows)], values)
        if why:
            helper.refuse(why)
        keyed = self.place.keyed and not isinstance(self.frame, StageFrame)
        self._send(start, rows, failed, duration, seen, keys if keyed else None, told, each)

    def _send(
        self,
        start: int,
        rows: list[list[tuple[Any, ...]]],
        failed: bool,
        duration: float,
        seen: list[Any],
        keys: Any,
        told: list[Any],
        each: list[Any],
    ) -> None:
        helper = self.helper
        message: dict[str, Any] = {
            "kind": "items", "frame": self.frame.number, "start": start, "done": len(rows), "failed": failed,
            "duration": duration, "output": self.output, "seen": seen, "told": told, "each": each,
        }  # fmt: skip
        if keys is not None:
            message["keys"] = keys
        if rows:
            why = ""
            try:
                packed = transport.pack(tuple(rows), check=True, project=helper.home.project_modules(), quiet=True)
                why = "" if packed.exact else f"its result would not be rebuilt exactly: {packed.why}"
            except transport.Unpackable as error:
                why = f"its result cannot leave the process: {error}"
            if why:
                helper.refuse(why)
            stored = transport_files.write(packed, helper.home.setup["scratch"])
            if stored.path:
                message["path"] = stored.path
            else:
                message["inline"] = stored.inline
        helper.channel.send(message)

    def given(self) -> tuple[Any, ...]:
        """What is the same for all items."""
        return (*self.frame.locals.values(), *held_by(self.function))

    def _shared(self, items: tuple[Any, ...], values: tuple[Any, ...]) -> str:
        theirs = reach(values)
        if not theirs.objects and not theirs.memory:
            return ""
        shared = common(reach((items, *self.given())), theirs)
        if shared:
            return f"its result shares {shared} with its inputs"
        shared = self.helper._shared_with_state(values, True)
        return f"its result shares {shared} with what the project's modules hold" if shared else ""

    def _print(self, items: tuple[Any, ...]) -> bytes | None:
        """A fingerprint of the items and of what else is given; None where that would cost too much."""
        try:
            packed = transport.pack((items, *self.given()), quiet=True)
        except Exception:
            return None
        if packed.size > SMALL:
            return None
        digest = hashlib.blake2b()
        for piece in packed.pieces():
            digest.update(piece)
        return digest.digest()
