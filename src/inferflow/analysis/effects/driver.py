"""The driver's steps: running them one after the other, and telling what each operation did.

Facts are kept in terms of nodes while the steps run, and put into words and labels at the end, when it is known which
objects are one.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Catalogue
from inferflow.analysis.effects import bindings, imports, run
from inferflow.analysis.effects.found import FoundInside, FoundOp, FoundStep, Labels, Words, forget_own
from inferflow.analysis.effects.frame import FileTarget, Frame
from inferflow.analysis.effects.heap import EMPTY, Node, Value, reach, restart
from inferflow.analysis.effects.opened import Openings
from inferflow.analysis.effects.parameters import parameter
from inferflow.analysis.effects.program import INVOLVED_HINT, TOO_INVOLVED, Program
from inferflow.analysis.facts import (
    Driver,
    DriverEffects,
    Opening,
    OpFacts,
    Refusal,
    StepEffects,
    StepKey,
)
from inferflow.analysis.lower_normal import normal_form
from inferflow.analysis.programs import kind_of
from inferflow.analysis.walk import every_op, operands
from inferflow.model import Diagnostic, Reason, Severity, Variable, World

NAMES_ONLY = frozenset((ir.Load, ir.Const, ir.Store))
"""Operations that use no object by themselves."""

RECURSION = 12_000
"""Frames of Python that nested calls of the analysed program may need here."""


def infer_effects(driver: Driver, catalogue: Catalogue, opening: Opening | None = None) -> DriverEffects:
    """What each step of the driver does, beyond reading and binding names: see :class:`StepEffects`. ``opening``: which
    functions that are drivers themselves are looked into (by default none)."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION))
    restart()
    try:
        return Recorder(driver, catalogue, opening or Opening(0)).run()
    finally:
        sys.setrecursionlimit(limit)


class Recorder:
    """The state of one analysis of a driver."""

    def __init__(self, driver: Driver, catalogue: Catalogue, opening: Opening) -> None:
        self.driver = driver
        self.program = Program(driver.project, catalogue)
        self.openings = Openings(self, opening)
        if opening.depth or any(wanted for _, wanted in opening.rules):
            self.program.opener = self.openings
        self.place = ("", "", False)
        """Of the statements that are run: their module, the scope of local names, whether they stand in a function."""
        self.frames: dict[int, Frame] = {}
        self.steps: list[FoundStep] = []
        self.current: list[FoundOp] = []
        self.counter = 0
        self.start = 0
        self.key: StepKey = (0, 0)
        self.inner: dict[int, FoundInside] = {}
        self.heads: dict[int, FoundInside] = {}
        """Compound statements that are steps themselves."""
        self.merging: dict[int, FoundOp] | None = None
        self.starts: list[int] = []
        """Of the simple statement that is run: the serial number that each of its operations began with."""
        self.statements: dict[int, ir.Statement] = {}
        self.made: dict[Node, int] = {}
        """Objects made by its operations that later ones of them change: the number of the operation that made them."""
        self.mentioned: dict[tuple[str, int], tuple[tuple[str, str], ...]] = {}
        self.variables: dict[tuple[str, str], Variable] = {}
        self.known: dict[Value, Labels] = {}
        self.known_at = -1

    def run(self) -> DriverEffects:
        driver, program = self.driver, self.program
        imports.module_node(program, driver.project.main)
        main = self.module_frame(driver.project.main)
        functions = [b for b in driver.blocks if b.block.kind == "function"]
        body = main.code.body
        if driver.call is None and functions:
            run.body(main, body)
        else:
            run.body(main, body[: driver.prefix])
        for function in functions:
            frame = Frame(program, function.module, function.scope, root=True)
            self.frames[function.scope] = frame
            if driver.call is None:
                for param in frame.code.params:
                    bindings.assign(frame, param.name, parameter(frame, param))
            else:
                program.opening = (function.module, function.scope)
        main.effects = {}
        main.obstacles = {}
        program.serial = 1
        statements = {(b, s.index): s for b, block in enumerate(driver.blocks) for s in block.statements}
        for key in driver.steps:
            self.step(key, statements[key])
        return self.finish()

    def module_frame(self, name: str) -> Frame:
        frame = self.program.bodies.get(name)
        if frame is None:
            frame = self.program.bodies[name] = Frame(self.program, name, 0, root=True)
        return frame

    def frame_of(self, key: StepKey) -> Frame:
        block = self.driver.blocks[key[0]]
        if block.block.kind != "function":
            return self.module_frame(block.module)
        frame = self.frames[block.scope]
        if self.program.opened is not None:
            for name, value in self.program.opened.items():
                bindings.assign(frame, name, value)
            self.program.opened = None
        elif self.program.opening is not None:
            # the call was not seen for what it is: nothing is known of the parameters
            self.program.opening = None
            for param in frame.code.params:
                bindings.assign(frame, param.name, parameter(frame, param))
        return frame

    # -- one step ----------------------------------------------------------------------------------

    def step(self, key: StepKey, statement: ir.Statement) -> None:
        frame = self.frame_of(key)
        frame.watch = lambda inner: self.within(frame, inner)
        frame.heads = lambda statement, head: self.head(frame, statement, head)
        self.key = key
        block = self.driver.blocks[key[0]]
        self.place = (block.module, block.block.scope, block.block.kind == "function")
        program = self.program
        program.serial += 1
        self.start = program.statement = program.serial
        found = FoundStep(key)
        self.steps.append(found)
        names = self.names(statement)
        for variable in names:
            value = self.value(frame, variable)
            if value is not None:
                found.before[variable] = self.labels(value)
        if isinstance(statement, ir.Plain | ir.Return | ir.Raise):
            self.current = found.ops
            self.counter, self.starts, self.made = 0, [], found.made
            frame.hook = lambda op: self.operation(frame, op)
            frame.ops = statement.ops
            for op in statement.ops:
                self.operation(frame, op)
            frame.hook = None
            found.cheap = all(op.cheap for op in found.ops)
            found.literal = is_literal(statement)
        else:
            found.ops.append(self.whole(frame, statement, found))
            found.cheap = False
        for variable in names:
            value = self.value(frame, variable)
            if value is not None:
                found.after[variable] = self.labels(value)
        if isinstance(statement, ir.Plain | ir.Return | ir.Raise):
            return
        taken = {node for group in (*found.before.values(), *found.after.values()) for node in group}
        found.ops[-1].reads.append((taken, "the statement may read it"))

    def operation(self, frame: Frame, op: ir.Op) -> None:
        """Run a numbered operation, and keep what it did."""
        program = self.program
        saved = (frame.effects, frame.obstacles, program.targets, program.costly)
        frame.effects, frame.obstacles, program.targets, program.costly = {}, {}, {}, False
        program.serial += 1
        start = program.serial
        run.operation(frame, op)
        number = self.counter
        self.counter += 1
        self.starts.append(start)
        told = (frame.effects, frame.obstacles, program.targets, program.costly)
        if any(told):
            self.hand_up(frame, saved)
            if isinstance(op, ir.Choice):  # those in its arms have told it
                told = ({}, {}, {}, False)
        else:
            frame.effects, frame.obstacles, program.targets, program.costly = saved
            if type(op) in NAMES_ONLY:
                return
        fact = FoundOp(number, op.span)
        fact.effects, fact.obstacles = dict(told[0]), told[1]
        known = self.merging.get(number) if self.merging is not None else None
        own = fact.own = set() if known is None else known.own
        for effect in list(fact.effects):
            target = effect[1]
            if isinstance(target, Node) and (target.serial >= start or target in own):
                own.add(target)  # an object that the operation made itself
                del fact.effects[effect]
            elif isinstance(target, Node) and target.serial >= self.starts[0] and target not in self.made:
                self.made[target] = bisect_right(self.starts, target.serial) - 1
        fact.callees = tuple(told[2])
        fact.cheap = not told[3]
        match op:
            case ir.Call():
                self.call(frame, op, fact)
            case ir.Operate() | ir.Build(kind="fstring"):
                for temp in operands(op):
                    taken = self.labels(run.val(frame, temp))
                    if taken:
                        fact.reads.append((taken, f"uses '{frame.say(temp)}'"))
            case ir.Attr(obj=obj) | ir.Item(obj=obj):
                direct = [n for n in run.val(frame, obj) if n.mutable]
                if direct:
                    fact.reads.append((direct, f"reads a part of '{frame.say(obj)}'"))
            case ir.Unpack(value=value) | ir.Iterate(value=value):
                direct = [n for n in run.val(frame, value) if n.mutable]
                if direct:
                    fact.reads.append((direct, f"iterates over '{frame.say(value)}'"))
            case ir.Comprehension() | ir.MakeClass() | ir.Yield() | ir.Await():
                for temp in operands(op):
                    taken = self.labels(run.val(frame, temp))
                    if taken:
                        fact.reads.append((taken, f"uses '{frame.say(temp)}'"))
            case _:
                pass
        if fact.effects or fact.obstacles or fact.reads or fact.callees or not fact.cheap or isinstance(op, ir.Call):
            if any(mode == "write" or isinstance(t, FileTarget | World) for mode, t in fact.effects):
                fact.cheap = False
            if known is not None:
                known.join(fact)
            elif self.merging is not None:
                self.merging[number] = fact
            else:
                self.current.append(fact)

    def hand_up(self, frame: Frame, saved: tuple[Any, Any, dict[str, None], bool]) -> None:
        """What a part of a statement did counts for the whole statement too."""
        program = self.program
        effects, obstacles, targets, costly = saved
        for effect, why in frame.effects.items():
            effects.setdefault(effect, why)
        for text, span in frame.obstacles.items():
            obstacles.setdefault(text, span)
        targets.update(program.targets)
        frame.effects, frame.obstacles, program.targets = effects, obstacles, targets
        program.costly = costly or program.costly

    # -- inside compound statements and comprehensions ---------------------------------------------

    def within(self, frame: Frame, statement: ir.Statement) -> bool:
        """Run a statement inside of a step. Loops run theirs several times: what is found is joined."""
        found = self.inner.get(id(statement))
        first = found is None
        if found is None:
            names = self.names(statement)
            found = self.inner[id(statement)] = FoundInside(self.key, names)
            for variable in names:
                value = self.value(frame, variable)
                if value is not None:
                    found.step.before[variable] = self.labels(value)
        else:
            step = found.step
            for variable in found.names:
                value = self.value(frame, variable)
                if value is not None:
                    there = self.labels(value)
                    step.later[variable] = step.later.get(variable, EMPTY) | there
                    if frame.inline:  # what another call gives it is there before, too
                        step.before[variable] = step.before.get(variable, EMPTY) | there
        program = self.program
        saved = (self.merging, self.counter, self.starts, self.made, program.statement, frame.hook, frame.ops)
        if isinstance(statement, ir.Plain | ir.Return | ir.Raise):
            program.statement = program.serial + 1
            self.merging, self.counter, self.starts, self.made = found.ops, 0, [], found.step.made
            self.statements.setdefault(id(statement), statement)
            frame.hook, frame.ops = lambda op: self.operation(frame, op), statement.ops
            alive = run.plain_step(frame, statement)
            found.step.literal = is_literal(statement)
        else:
            frame.hook = None
            above = (frame.effects, frame.obstacles, program.targets, program.costly)
            frame.effects, frame.obstacles, program.targets = {}, {}, {}
            alive = run.plain_step(frame, statement)
            fact = FoundOp(-1, statement.span)
            fact.effects, fact.obstacles = dict(frame.effects), dict(frame.obstacles)
            fact.callees = tuple(program.targets)
            fact.task, fact.cheap = bool(fact.callees), False
            self.hand_up(frame, above)
            if first:
                found.ops[-1] = fact
            else:
                found.ops[-1].join(fact)
        self.merging, self.counter, self.starts, self.made, program.statement, frame.hook, frame.ops = saved
        for variable in found.names:
            value = self.value(frame, variable)
            if value is not None:
                found.step.after[variable] = found.step.after.get(variable, EMPTY) | self.labels(value)
        return alive

    def head(self, frame: Frame, statement: ir.Statement, run_head: Callable[[], None]) -> None:
        """Run what a compound statement inside of a step does itself, and keep what that did."""
        found = self.inner.get(id(statement)) or self.heads.setdefault(id(statement), FoundInside(self.key, []))
        program = self.program
        above = (frame.effects, frame.obstacles, program.targets, program.costly)
        frame.effects, frame.obstacles, program.targets = {}, {}, {}
        fact = FoundOp(-1, statement.span)
        program.serial += 1
        start = program.serial
        run_head()
        fact.effects, fact.obstacles, fact.callees = dict(frame.effects), dict(frame.obstacles), tuple(program.targets)
        own = fact.own = set() if found.head is None else found.head.own
        for effect in list(fact.effects):
            target = effect[1]
            if isinstance(target, Node) and (target in own or target.serial >= start):
                own.add(target)  # an object that the head made itself
                del fact.effects[effect]
        self.hand_up(frame, above)
        if found.head is None:
            found.head = fact
        else:
            found.head.join(fact)

    @contextmanager
    def inside_of(self, frame: Frame) -> Iterator[None]:
        """Within, statements of a function that is opened are run in its frame."""
        program = self.program
        saved = (self.place, self.merging, self.counter, self.starts, self.made, program.targets, program.costly)
        self.place = (frame.module, "<driver>", True)
        program.targets = {}
        frame.watch = lambda inner: self.within(frame, inner)
        frame.heads = lambda statement, head: self.head(frame, statement, head)
        frame.effects, frame.obstacles = {}, {}
        try:
            yield
        finally:
            self.place, self.merging, self.counter, self.starts, self.made, program.targets, program.costly = saved

    def call(self, frame: Frame, op: ir.Call, fact: FoundOp) -> None:
        """What is particular of calls: they read all that they are given; and are they tasks?"""
        function = run.val(frame, op.func)
        member = frame.members.get(op.func)
        says = frame.say(op.func)
        fact.label = says.rpartition(".")[2].removesuffix("()") or says
        for argument in op.args:
            taken = self.labels(run.val(frame, argument.value))
            if taken:
                fact.reads.append((taken, f"{says}() is given '{frame.say(argument.value)}'"))
        receivers = self.labels(member[0] if member else function)
        if member:
            receivers |= self.labels(frozenset(node for node, _ in member[1]))
        if receivers:
            fact.reads.append((receivers, f"{says}() uses '{says.rpartition('.')[0] or says}'"))
        called = [n.data if n.kind == "lib" and isinstance(n.data, str) else "" for n in function]
        fact.library = tuple(sorted(set(called)))
        if not fact.callees:
            named = filter(None, called)
            on = [r for n in function if n.kind == "bound" for r in n.fields.get("self", EMPTY)]
            kinds = [t for n in (*on, *(member[0] if member else ())) for t in n.types]
            fact.runs = kind_of(named, kinds, fact.label)
        fact.task = any(self.is_task(frame, node) for node in function)
        if fact.task:
            fact.label = fact.label or "call"
            for node in reach(run.val(frame, op.out)):
                if node.mutable and node.serial < self.start:
                    fact.shared.append(node)
            for node in run.val(frame, op.out):
                if node.types & {"builtins.generator", "builtins.coroutine"}:
                    fact.obstacles[f"{says}() returns a {sorted(node.types)[0].rpartition('.')[2]}"] = op.span

    def is_task(self, frame: Frame, node: Node) -> bool:
        """Whether calling this deserves a task: a function of the project, or a class of it whose making does work."""
        program = self.program
        match node.kind:
            case "function":
                return (node.data[0], node.data[1]) != self.opening_data()
            case "bound":
                return isinstance(node.data, Node) and self.is_task(frame, node.data)
            case "wrapped":
                return any(self.is_task(frame, inner) for inner in node.fields.get("inner", EMPTY))
            case "class":
                for cls in program.mro(node):
                    for init in cls.fields.get("__init__", EMPTY):
                        if init.kind == "function":
                            return self.works(init)
                return False
            case "object":
                return any(t.startswith("@") for t in node.types)
            case _:
                return False

    def opening_data(self) -> tuple[str, int] | None:
        for block in self.driver.blocks:
            if block.block.kind == "function" and self.driver.call is not None:
                return block.module, block.scope
        return None

    def works(self, function: Node) -> bool:
        """Whether a constructor calls anything."""
        module, scope = function.data
        code = self.program.project.modules[module].scopes[scope]
        return any(isinstance(op, ir.Call | ir.Comprehension) for op in every_op(code.body))

    def whole(self, frame: Frame, statement: ir.Statement, found: FoundStep) -> FoundOp:
        """A compound statement, as one."""
        program = self.program
        saved = (frame.effects, frame.obstacles, program.targets)
        frame.effects, frame.obstacles, program.targets = {}, {}, {}
        run.plain_step(frame, statement)
        fact = FoundOp(-1, statement.span)
        fact.effects, fact.obstacles = frame.effects, frame.obstacles
        for effect in list(fact.effects):
            if isinstance(effect[1], Node) and effect[1].serial >= self.start:  # an object that it made itself
                del fact.effects[effect]
        fact.callees = tuple(program.targets)
        fact.task = bool(fact.callees)
        fact.cheap = False
        frame.effects, frame.obstacles, program.targets = saved
        return fact

    # -- names -------------------------------------------------------------------------------------

    def names(self, statement: ir.Statement) -> list[Variable]:
        """The variables that a statement names, nested scopes included."""
        module, scope_name, inside = self.place
        found: dict[tuple[str, str], None] = {}
        for op in every_op((statement,)):
            match op:
                case ir.Load() | ir.Store() | ir.Delete():
                    outside = inside and op.binding == "global"
                    found[(op.name, module if outside else scope_name)] = None
                case ir.Comprehension() | ir.MakeFunction() | ir.MakeClass():
                    for name, how in self.nested(module, op.scope):
                        outer = inside and how == "free"
                        found[(name, scope_name if outer else module)] = None
                case _:
                    pass
        variables = self.variables
        for name, scope in found:
            if (name, scope) not in variables:
                variables[(name, scope)] = Variable(scope, name)
        return [variables[pair] for pair in found]

    def nested(self, module: str, scope: int) -> tuple[tuple[str, str], ...]:
        """Names that a nested scope takes from around it."""
        known = self.mentioned.get((module, scope))
        if known is not None:
            return known
        found: dict[tuple[str, str], None] = {}
        code = self.program.project.modules[module].scopes[scope]
        for op in every_op(code.body):
            match op:
                case ir.Load() | ir.Store():
                    if op.binding in ("free", "global", "class"):
                        found[(op.name, "global" if op.binding == "class" else op.binding)] = None
                case ir.Comprehension() | ir.MakeFunction() | ir.MakeClass():
                    for inner in self.nested(module, op.scope):
                        if inner[1] == "global" or inner[0] in code.free:
                            found[inner] = None
                case _:
                    pass
        result = self.mentioned[(module, scope)] = tuple(found)
        return result

    def value(self, frame: Frame, variable: Variable) -> Value | None:
        if variable.scope == "<driver>":
            return frame.env.get(variable.name)
        node = self.program.modules.get(variable.scope)
        value = node.fields.get(variable.name) if node is not None else None
        return value or None

    def labels(self, value: Value) -> Labels:
        """:func:`labels`, remembered while nothing changes."""
        if self.known_at != self.program.heap:
            self.known_at = self.program.heap
            self.known.clear()
        known = self.known.get(value)
        if known is None:
            known = self.known[value] = labels(value)
        return known

    # -- the end -----------------------------------------------------------------------------------

    def finish(self) -> DriverEffects:
        program = self.program
        words = Words(program)
        steps: dict[StepKey, StepEffects] = {}
        patched = tuple(program.patched)
        for found in self.steps:
            forget_own(found, self.driver.statement(found.key))
            steps[found.key] = self.facts_of(words, found, patched)
        inside: dict[int, StepEffects] = {}
        for number, part in self.inner.items():
            part.step.ops = [op for _, op in sorted(part.ops.items())]
            part.step.cheap = all(op.cheap for op in part.step.ops)
            if part.step.made:
                forget_own(part.step, self.statements[number])
            inside[number] = self.facts_of(words, part.step, patched, part.head)
        diagnostics = tuple(
            Diagnostic(
                reason.span,
                "IF311" if reason.text == TOO_INVOLVED else "IF310",
                f"the driver {reason.text}: everything stays in order, at home",
                Severity.WARNING,
                INVOLVED_HINT
                if reason.text == TOO_INVOLVED
                else "what a program replaces at run time cannot be followed; hand it on as an argument instead",
            )
            for reason in patched
        )
        return DriverEffects(
            steps,
            dict(sorted(self.reached())),
            (*program.diagnostics, *diagnostics),
            inside,
            self._opened(),
            self._refused(),
            {number: words.facts(part.head) for number, part in self.heads.items() if part.head is not None},
        )

    def _opened(self) -> dict[str, tuple[str, int]]:
        modules = self.driver.project.modules
        return {f"{m}:{modules[m].scopes[s].qualname}": (m, s) for m, s in self.openings.opened()}

    def _refused(self) -> dict[str, Refusal]:
        modules = self.driver.project.modules
        found: dict[str, Refusal] = {}
        for (module, number), (why, text) in sorted(self.openings.refused.items()):
            scope = modules[module].scopes[number]
            found[f"{module}:{scope.qualname}"] = Refusal(why, Reason(text, scope.span))
        return found

    def facts_of(
        self, words: Words, found: FoundStep, patched: tuple[Reason, ...], head: FoundOp | None = None
    ) -> StepEffects:
        ops = tuple([words.facts(op) for op in found.ops])
        if patched:
            span = self.driver.statement(found.key).span
            ops = (*ops, OpFacts(-1, span, (), (), False, patched))
        before = {v: words.labels(group) for v, group in found.before.items()}
        after = {v: words.labels(group) for v, group in found.after.items()}
        later = {v: words.labels(group) for v, group in found.later.items()}
        told = None if head is None else words.facts(head)
        return StepEffects(ops, before, after, found.cheap and not patched, found.literal, told, later)

    def reached(self) -> Iterator[tuple[str, str]]:
        project = self.program.project
        for module, number in self.program.reached:
            scope = project.modules[module].scopes[number]
            text = scope.normal_form or normal_form(project.sources[module], scope)
            yield f"{module}:{scope.qualname}", hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def labels(value: Value) -> Labels:
    """The objects reachable from a value that can change."""
    for node in value:
        if node.kind != "scalar":
            return frozenset([n for n in reach(value) if n.mutable])
    return EMPTY


def is_literal(statement: ir.Statement) -> bool:
    """Whether it binds names to literals, imports or definitions only."""
    if not isinstance(statement, ir.Plain):
        return False
    if statement.kind in ("import", "def", "class"):
        return not any(isinstance(op, ir.Call) for op in statement.ops)
    if statement.kind not in ("assign", "annotated"):
        return False
    made: set[int] = set()
    for op in statement.ops:
        match op:
            case ir.Const():
                made.add(op.out)
            case ir.Build() if op.kind in ("list", "tuple", "set", "dict") and not op.stars:
                made.add(op.out)
            case ir.Operate(op="u-" | "u+" | "~" | "not"):
                made.add(op.out)
            case ir.Store():
                pass
            case _:
                return False
        if any(temp not in made for temp in operands(op)):
            return False
    return True
