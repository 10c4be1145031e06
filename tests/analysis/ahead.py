"""Runs a driver out of order as an engine could, in one process, to compare it with running it in order.

``run(text)`` analyses a driver and runs it natively through the real hooks. Then each task that the graph calls free
of home is run the way a helper would: in the state that home had when the helper could have been forked, on copies of
the inputs that their producers left. Last, the driver runs once more with every such result adopted. In the end all
must be as it was natively: values, what is one object with what, output, exceptions.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import pickle
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

from inferflow.analysis import analyze
from inferflow.model import Source, Task, TaskGraph
from inferflow.worker import transform
from inferflow.worker.transform import Unit

FILENAME = "/project/driver.py"
VALUE = "_value_%d"


class Stop(BaseException):
    """Home has come to where a helper is forked."""


class Different(AssertionError):
    """Something is not as it is natively."""


def printed(out: io.StringIO, since: int = 0) -> str:
    """What was written, without addresses."""
    return re.sub(r"0x[0-9a-f]+", "0x", out.getvalue()[since:])


def shape(values: object) -> object:
    """Values as plain text, with numbers for objects so that shared ones show."""
    seen: dict[int, int] = {}
    keep: list[object] = []

    def of(value: object) -> object:
        if isinstance(value, tuple):
            return ("tuple", *map(of, value))
        if isinstance(value, list | dict | set) or (hasattr(value, "__dict__") and not callable(value)):
            if id(value) in seen:
                return ("same", seen[id(value)])
            number = seen[id(value)] = len(seen)
            keep.append(value)
            if isinstance(value, dict):
                return ("dict", number, *((of(k), of(v)) for k, v in value.items()))
            if isinstance(value, list):
                return ("list", number, *map(of, value))
            if isinstance(value, set):
                return ("set", number, *sorted(map(repr, value)))
            return (type(value).__name__, number, of(vars(value)))
        if type(value) is type(iter([])):
            return ("iterator", *map(of, copy.copy(value)))
        if hasattr(value, "__next__"):
            return type(value).__name__
        return getattr(value, "__name__", type(value).__name__) if callable(value) else repr(value)

    return of(values)


class Hook:
    """Records what home does; stops where asked; adopts what is given."""

    def __init__(self, units: dict[int, Unit], out: io.StringIO, stop: int, adopt: dict[int, bytes]) -> None:
        self.units, self.out, self.stop, self.adopt = units, out, stop, adopt
        self.kept: dict[int, bytes | None] = {}
        self.shapes: dict[int, object] = {}
        self.printed: dict[int, str] = {}
        self.outputs: dict[int, str] = {}
        self.inputs: dict[str, Any] = {}
        self.open = -1
        self.at = 0

    def begin(self, task: int) -> None:
        if task >= self.stop:
            raise Stop
        self.open = task
        self.at = self.out.tell()

    def inside(self, task: int) -> list[int]:
        found = []
        for inner in self.units[task].inner:
            found += [*self.inside(inner), inner]
        return found

    def takes(self, task: int) -> bool:
        if not all(index in self.adopt for index in (*self.inside(task), task)):
            return False
        for index in (*self.inside(task), task):
            self.out.write(self.outputs.get(index, ""))
        return True

    def s(self, task: int) -> bool:
        if self.units[task].adoptable and self.takes(task):
            return False
        self.begin(task)
        return True

    def q(self, task: int) -> bool:
        return not self.takes(task)

    def o(self, task: int) -> int:
        self.begin(task)
        return task

    def b(self, task: int, value: Any) -> Any:
        self.begin(task)
        return value

    def d(self, task: int, *values: Any) -> None:
        unit = self.units[task]
        names = [name for _, name in unit.outputs]
        if len(names) != len(values):
            frame = sys._getframe(1).f_locals
            names = [name for name in names if name in frame]
            values = tuple(frame[name] for name in names)
        self.keep(task, names, values)

    def v(self, task: int, value: Any) -> Any:
        self.keep(task, ["<value>"], (value,))
        return value

    def keep(self, task: int, names: list[str], values: tuple[Any, ...]) -> None:
        self.shapes[task] = shape(dict(zip(names, values, strict=True)))
        self.printed[task] = printed(self.out, self.at)
        try:
            self.kept[task] = pickle.dumps(dict(zip(names, values, strict=True)))
        except Exception:
            self.kept[task] = None
        self.open = -1

    def a(self, task: int) -> Any:
        values = pickle.loads(self.adopt[task])
        return values[0] if self.units[task].expression is not None else values

    def i(self, block: int) -> None:
        frame = sys._getframe(1).f_locals
        self.inputs = dict(frame)

    def p(self, name: str, value: Any) -> Any:
        return value

    def r(self, value: Any) -> Any:
        return value


class Home:
    """One run of the driver, up to task ``stop``."""

    def __init__(self, text: str, graph: TaskGraph, units: list[Unit], stop: int, adopt: dict[int, bytes]) -> None:
        self.module = types.ModuleType("__main__")
        self.module.__dict__["__file__"] = FILENAME
        self.out = io.StringIO()
        self.hook = Hook({unit.task: unit for unit in units}, self.out, stop, adopt)
        self.text, self.graph, self.units = text, graph, units
        self.error = ""

    def run(self, prints: dict[int, str]) -> Home:
        self.hook.outputs = prints
        tree = ast.parse(self.text)
        first = transform.prefix_length(tree.body)
        with current(self.module), contextlib.redirect_stdout(self.out):
            prefix = ast.Module(body=tree.body[:first], type_ignores=[])
            exec(compile(prefix, FILENAME, "exec"), self.module.__dict__)
            if self.hook.stop == 0:
                return self
            tree = ast.parse(self.text)
            for number, block in enumerate(self.graph.blocks):
                if block.kind == "function":
                    function = transform.find_block(tree, "function", block.span.line, block.span.column)
                    mine = [unit for unit in self.units if unit.block == number]
                    if any(function is later for later in tree.body[first:]):
                        transform.hook_function(function, number, mine, [])
                    else:
                        code = transform.hooked_function(tree, FILENAME, 0, function, number, mine, [], self.hook)
                        self.module.__dict__[block.name].__code__ = code
            mine = [unit for unit in self.units if self.graph.blocks[unit.block].kind == "module"]
            code = transform.hooked_module(tree, FILENAME, 0, first, mine, None, [], self.hook)
            try:
                exec(code, self.module.__dict__)
            except Stop:
                pass
            except Exception as error:
                self.error = type(error).__name__
        return self

    def end(self) -> object:
        names = {k: v for k, v in vars(self.module).items() if not k.startswith("__")}
        return shape(names), printed(self.out), self.error


@contextlib.contextmanager
def current(module: types.ModuleType) -> Iterator[None]:
    old = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.modules["__main__"] = old


def natively(text: str) -> object:
    """How the driver ends without any of this."""
    module = types.ModuleType("__main__")
    module.__dict__["__file__"] = FILENAME
    out = io.StringIO()
    error = ""
    with current(module), contextlib.redirect_stdout(out):
        try:
            exec(compile(text, FILENAME, "exec"), module.__dict__)
        except Exception as raised:
            error = type(raised).__name__
    names = {k: v for k, v in vars(module).items() if not k.startswith("__")}
    return shape(names), printed(out), error


def unit_of(graph: TaskGraph, index: int, task: Task) -> Unit:
    """As ``session.run`` makes them, with every free task adoptable and every output kept."""
    block = graph.blocks[task.anchor.block]
    span = task.anchor.expression
    outputs = [o for o in task.outputs if o.variable.scope in (block.scope, "<value>")]
    if span is not None:
        outputs = [o for o in outputs if o.variable.scope == "<value>"][:1]
    return Unit(
        index,
        task.anchor.block,
        task.anchor.first,
        task.anchor.last,
        (span.line, span.column, span.end_line, span.end_column) if span else None,
        tuple((o.variable.scope, o.variable.name) for o in outputs),
        all(o.definite for o in outputs),
        not task.home and all(o.definite for o in task.outputs),
        task.inner,
        tuple((s.line, s.column, s.end_line, s.end_column) for s in task.preamble),
    )


def helper(text: str, graph: TaskGraph, units: list[Unit], native: Home, index: int, epoch: int) -> Any:
    """What a helper forked at ``epoch`` makes of a task: (pickled values, values, printed), or ``None`` if it gives up."""
    task, unit = graph.tasks[index], units[index]
    home = Home(text, graph, units, epoch, {}).run({})
    space = vars(home.module)
    out = io.StringIO()
    with current(home.module), contextlib.redirect_stdout(out):
        loaded: dict[int, dict[str, Any]] = {}
        inputs: dict[tuple[str, str], Any] = {}
        for item in task.inputs:
            if item.producer not in loaded:
                if item.producer < 0:
                    kept: bytes | None = pickle.dumps(native.hook.inputs)
                else:
                    kept = native.hook.kept.get(item.producer)
                if kept is None:
                    return None
                try:
                    loaded[item.producer] = pickle.loads(kept)
                except Exception:
                    return None
            values = loaded[item.producer]
            scope, name = item.variable.scope, item.variable.name
            if scope == "<value>":
                inputs["", VALUE % item.producer] = values["<value>"]
            elif name not in values:
                return None
            else:
                inputs[scope, name] = values[name]
        block = graph.blocks[unit.block]
        as_module = block.kind != "function"
        tree = ast.parse(text)
        owner = transform.find_block(tree, block.kind, block.span.line, block.span.column)
        inner = {units[i].expression: VALUE % i for i in task.inner}
        outputs = [VALUE % index] if unit.expression is not None else [name for _, name in unit.outputs]
        local = {name: v for (scope, name), v in inputs.items() if scope == "<driver>" or (not as_module and not scope)}
        space.update({name: v for (scope, name), v in inputs.items() if name not in local})
        before = shape([value for _, value in sorted(inputs.items())])
        code = transform.helper_code(
            FILENAME,
            0,
            owner,
            block.name,
            unit,
            sorted(local),
            inner,
            outputs,
            as_module,  # type: ignore[arg-type]
        )
        try:
            if as_module:
                exec(code, space)
                values_out = tuple(space[name] for name in outputs)
            else:
                values_out = types.FunctionType(code, space, block.name)(**local)
        except Exception:
            return None  # home will see it
        if shape([value for _, value in sorted(inputs.items())]) != before:
            raise Different(f"{task.name} changed an input")
        try:
            data = pickle.dumps(values_out)
            return data, pickle.loads(data), printed(out)
        except Exception:
            return None


def run(text: str, function: str | None = None) -> TaskGraph:
    """Raises Different with the task and what was wrong; the graph otherwise."""
    name = "__main__"
    graph, diagnostics = analyze(Source(name, "driver.py", FILENAME, text), lambda _: None, "driver.py", function)
    assert graph is not None, diagnostics
    units = [unit_of(graph, index, task) for index, task in enumerate(graph.tasks)]
    count = len(units)
    native = Home(text, graph, units, count, {}).run({})
    plain = natively(text)
    if native.end() != plain:
        raise Different(f"hooked: {native.end()}\nnative: {plain}\n{text}")
    adopt: dict[int, bytes] = {}
    prints: dict[int, str] = {}
    for index, task in enumerate(graph.tasks):
        if task.home or not units[index].adoptable or index not in native.hook.shapes:
            continue
        first = 1 + max(task.state, default=-1)
        for epoch in sorted({first, index}):
            made = helper(text, graph, units, native, index, epoch)
            if made is None:
                continue
            data, values, text_out = made
            names = ["<value>"] if units[index].expression is not None else [n for _, n in units[index].outputs]
            found = shape(dict(zip(names, values, strict=True)))
            if found != native.hook.shapes[index]:
                raise Different(f"{task.name} from {epoch}: {found} is not {native.hook.shapes[index]}\n{text}")
            if not task.inner and text_out != native.hook.printed[index]:
                raise Different(f"{task.name} printed {text_out!r}, not {native.hook.printed[index]!r}\n{text}")
            adopt[index], prints[index] = data, text_out
    again = Home(text, graph, units, count, adopt).run(prints)
    if again.end() != plain:
        raise Different(f"adopted: {again.end()}\nnative:  {plain}\n{text}")
    return graph
