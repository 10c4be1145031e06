"""The inferred program: tasks in program order, and the edges between them.

For ``X, Y = load_data()`` then ``m = fit(X, Y, C=1.0)`` there are two tasks, ``load_data`` with the
outputs ``X`` and ``Y``, and ``fit`` with the inputs ``X`` and ``Y`` from task 0 and the output ``m``;
and one flow edge 0 -> 1 for each of ``X`` and ``Y``.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, TypeAlias

from inferflow.model.diagnostic import Diagnostic
from inferflow.model.effect import Effect, Reason
from inferflow.model.place import Place, Variable
from inferflow.model.source import Cell, Span
from inferflow.records import field, frozen

GRAPH_VERSION = 2
"""Raised when the serialised form changes incompatibly."""

ONE_BY_ONE = "its items are run ahead one by one"
"""Why a comprehension that could run ahead as a whole does not."""

TaskKey: TypeAlias = tuple[str, int]
"""A task's identity: the name a person would give, and which of its like it is (from 1)."""


class InvalidGraph(ValueError):
    """The parts of a :class:`TaskGraph` contradict each other (a fault of ours, never of the user's)."""


@frozen
class Block:
    """A statement list of the driver in which tasks stand: the module's body, the body of its ``__main__`` guard, or
    the body of the function that the driver calls.

    ``span`` is that of the owning node (the function, the ``if``; for a module the whole text): the worker finds the
    node by it. ``scope`` is the :class:`Variable` scope of names bound there.
    """

    kind: Literal["module", "guard", "function"]
    name: str
    scope: str
    span: Span


@frozen
class Anchor:
    """Where a task stands: statements ``first`` to ``last`` (inclusive, counted from 0 in the block's body as ``ast``
    has it), or, if ``expression`` is set, that one expression inside statement ``first`` (== ``last``)."""

    block: int
    first: int
    last: int
    expression: Span | None = None


@frozen
class Input:
    """A value that a task reads. ``producer`` is the index of the task that wrote this version, or -1 for what
    exists before any task (a driver parameter). Names bound by imports, definitions and replicated glue are no inputs.
    ``group`` numbers alias components within the task: inputs of one group may share mutable parts."""

    variable: Variable
    producer: int
    group: int
    span: Span


@frozen
class Output:
    """A value that a task leaves under a name. ``definite`` is false where some path does not bind it. ``change`` tells
    ``bound`` (assigned) from ``changed`` (the object under this name was mutated in place)."""

    variable: Variable
    definite: bool = True
    change: Literal["bound", "changed"] = "bound"


@frozen
class Guess:
    """What a task needs if nothing comes true of what is only assumed of code (an unknown call may change all that it
    is given, and anything else). A helper may run the task on that ahead of its turn; then home compares.

    ``inputs``, ``needs`` and ``state`` are as in :class:`Task`. ``doubtful`` are the names whose version an assumed
    change may have replaced: home looks whether it did. ``apart``: inputs from different tasks may share objects, and
    must turn out not to. ``unknown``: the task itself runs code of which nothing is known, and is watched closely;
    ``checked``: code between may have changed the state of the process (globals, options), which home compares.
    ``acts``: it writes files, which are kept back until its turn.
    """

    inputs: tuple[Input, ...] = ()
    needs: tuple[int, ...] = ()
    state: tuple[int, ...] = ()
    doubtful: tuple[Variable, ...] = ()
    apart: bool = False
    unknown: bool = False
    checked: bool = False
    acts: bool = False
    preamble: tuple[Span, ...] = ()


@frozen
class Stage:
    """Tasks of an arm that may run beside each other from statement ``first`` of the arm on. Each of ``groups`` are
    indices of the arm's tasks: a chain that one helper runs, in order."""

    first: int
    groups: tuple[tuple[int, ...], ...]


@frozen
class Arm:
    """One statement list inside a region: the body of a loop, an arm of a branch, a handler. ``name`` says which, as
    the source does (``for x in xs``, ``elif n > 3``, ``except ValueError``, ``else``). The tasks are in program order;
    their ``inputs`` and ``needs`` count within the arm, and -1 is whatever comes from outside of it. What ``stages``
    name may run beside other tasks of the same arm, once home has come to it. ``ahead`` are tasks that belong to the
    turns of loops around the arm's region, by index, with how many of these loops (the innermost first) may run them
    ahead. ``apart`` are, in the body of a coroutine, those that depend on nothing that other coroutines do meanwhile:
    they may run as soon as the coroutine exists, beside those of others."""

    name: str
    span: Span
    tasks: tuple[Task, ...] = ()
    stages: tuple[Stage, ...] = ()
    ahead: tuple[tuple[int, int], ...] = ()
    apart: tuple[int, ...] = ()

    @property
    def beside(self) -> frozenset[int]:
        """The indices of the tasks that may run beside others, with the expression tasks inside them."""
        return frozenset(i for stage in self.stages for group in stage.groups for i in self.covered(group))

    def covered(self, indices: tuple[int, ...]) -> frozenset[int]:
        """Tasks of the arm, with the expression tasks inside them."""
        found = set(indices)
        todo = list(indices)
        while todo:
            inner = self.tasks[todo.pop()].inner
            todo.extend(inner)
            found.update(inner)
        return frozenset(found)


@frozen
class Region:
    """A compound statement, or a comprehension, seen from inside.

    ``kind``: ``map`` a loop whose turns do not depend on each other, ``loop`` one whose turns do, ``branch``, ``try``,
    ``with``; ``group`` the body of a function that the task calls (``function``: ``module:qualname``), of which
    ``span`` is the definition. Of a ``map`` and a ``loop``, the tasks of the first arm without a reason for home are
    its *strand*: what a helper may run for one item ahead of its turn. ``items`` are the names that each item is bound
    to, ``given`` those that the strand reads and no turn changes. ``order`` is why turns follow one another (empty for
    a map). ``heavy`` is false where the strand surely takes next to no time. ``comprehension``: it is no statement but
    part of one (a ``branch``: a conditional expression, ``and`` or ``or``); ``mapped``: a call of ``map``, of which
    ``span`` is. ``through``: so many of the loops around (the innermost first) have helpers run the head of this one
    too, to get to what ``Arm.ahead`` names in it. ``tests``: of a ``for`` in a comprehension, so many of its
    conditions, from the first on, are decided by helpers too. (Of several ``for``, the last has the ``span`` of the
    comprehension, the others those of their targets.)
    """

    kind: Literal["map", "loop", "branch", "try", "with", "group"]
    name: str
    span: Span
    arms: tuple[Arm, ...]
    items: tuple[str, ...] = ()
    given: tuple[Variable, ...] = ()
    order: tuple[Reason, ...] = ()
    heavy: bool = True
    comprehension: bool = False
    function: str = ""
    mapped: bool = False
    through: int = 0
    tests: int = 0

    @property
    def choice(self) -> bool:
        """Whether it is a conditional expression, ``and`` or ``or``: part of a statement, decided in its course."""
        return self.kind == "branch" and self.comprehension

    @property
    def strand(self) -> tuple[Task, ...]:
        """What of one turn may run ahead."""
        return tuple(task for task in self.arms[0].tasks if not task.home) if self.kind in ("map", "loop") else ()


TaskKind: TypeAlias = Literal[
    "call", "library", "opaque", "glue", "shell", "notebook", "map", "loop", "branch", "try", "with", "group"
]


@frozen
class Task:
    """One step of the driver.

    ``kind``: ``call`` a project function's call with the glue around it; ``library`` statements that call libraries;
    ``shell`` and ``notebook`` a call that runs a program of its own, a command or a notebook; ``glue`` what is none of
    these. A compound statement, or a statement with comprehensions of calls, is one task at this level: ``map``,
    ``loop``, ``branch``, ``try`` or ``with``, and ``regions`` tell what is inside; ``opaque`` if that is not known. A
    call of a function that is a driver itself is a ``group``.
    ``value``: for a task that is an expression inside a statement (``load()`` in ``train(load())``), the variable in
    scope ``<value>`` under which its value is known; it then stands in ``outputs`` too.
    ``inner``: the indices of expression tasks that stand inside this task's own statement or expression.
    ``preamble``: spans of imports, definitions and cheap pure glue statements of the driver's function to replicate
    before the task runs away from home, in program order.
    ``home``: why the task must run at home in program order; empty when it is proved independent, so that a helper may
    run it as soon as the tasks in ``needs`` are done.
    ``needs``: indices of all earlier tasks that must be done before this one may start elsewhere: a superset of the
    flow producers (it has the writers of hidden states and unknown code that could matter too).
    ``state``: those of ``needs`` that leave something in the process itself (module globals, hidden states, unknown
    code): a helper must be forked from home after home has passed them. The other needs hand over their outputs only,
    or files.
    ``guess``: how it may run ahead although not everything is proved (``None``: it may not, or all is proved anyway).
    """

    key: TaskKey
    kind: TaskKind
    span: Span
    source: str
    anchor: Anchor
    callees: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    effects: tuple[Effect, ...] = ()
    value: Variable | None = None
    inner: tuple[int, ...] = ()
    preamble: tuple[Span, ...] = ()
    home: tuple[Reason, ...] = ()
    needs: tuple[int, ...] = ()
    state: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()
    guess: Guess | None = None

    @property
    def name(self) -> str:
        """``model_fit`` for the first of its name, ``model_fit.2`` for the second."""
        base, number = self.key
        return base if number == 1 else f"{base}.{number}"

    @property
    def runs_inside(self) -> bool:
        """Whether something that stands inside of it may run ahead of its turn, or beside something else in it."""
        return any(
            bool(region.strand or arm.stages or arm.ahead or arm.apart) or any(t.runs_inside for t in arm.tasks)
            for region in self.regions
            for arm in region.arms
        )


@frozen(order=True)
class Edge:
    """``source`` must come before ``target``. ``flow``: the target reads what the source wrote. ``order``: one of them
    writes what the other touches, or nothing is known of it, so program order is kept. ``why`` says it in words."""

    source: int
    target: int
    kind: Literal["flow", "order"]
    place: Place
    why: tuple[Reason, ...] = ()
    assumed: bool = False


@frozen
class Parameter:
    """An argument of the driver function. ``annotation`` and ``default`` are source text (``None``: there is none);
    ``help`` comes from the docstring. As text, it is what the driver's source declares: ``C: float = 1.0``."""

    name: str
    kind: Literal["positional", "keyword", "either", "var_positional", "var_keyword"] = "either"
    annotation: str | None = None
    default: str | None = None
    help: str = ""

    def __str__(self) -> str:
        stars = {"var_positional": "*", "var_keyword": "**"}.get(self.kind, "")
        text = stars + self.name
        if self.annotation is not None:
            text += f": {self.annotation}"
        if self.default is not None:
            text += f" = {self.default}" if self.annotation is not None else f"={self.default}"
        return text


@frozen
class TaskGraph:
    """The inferred program of a driver. Tasks stand in program order; edges point forward. The same text gives the same
    graph, and the same bytes of JSON.

    ``target`` is the driver as named by the user, ``module`` the name it runs under, ``entry`` the function that is the
    driver (empty for a script without one). ``returns`` are the names in the driver's ``return`` statement. ``reached``
    maps each project function reachable from the driver (``module:qualname``) to the digest of its normalised source;
    ``sources`` each project file read by the analysis to the digest of its text. ``cells`` are those of a notebook, or
    of a script with ``# %%`` markers. For a notebook the places that are shown (not those by which the worker finds
    nodes) are lines of cells: ``a.ipynb[3]:2``.
    """

    target: str
    module: str
    entry: str
    path: str
    blocks: tuple[Block, ...]
    tasks: tuple[Task, ...]
    edges: tuple[Edge, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    returns: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    reached: tuple[tuple[str, str], ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    version: int = field(default=GRAPH_VERSION)
    cells: tuple[Cell, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Raises InvalidGraph if indices, order or names do not fit together."""
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise InvalidGraph(f"two tasks have one name in {self.target}")
        count = len(self.tasks)
        for edge in self.edges:
            if not 0 <= edge.source < edge.target < count:
                raise InvalidGraph(f"edge {edge.source} -> {edge.target} does not point forward")
        for index, task in enumerate(self.tasks):
            if not 0 <= task.anchor.block < len(self.blocks):
                raise InvalidGraph(f"task {task.name} stands in no block")
            for item in task.inputs:
                if not -1 <= item.producer < index:
                    raise InvalidGraph(f"task {task.name} reads {item.variable} from a later task")
            for item in task.guess.inputs if task.guess is not None else ():
                if not -1 <= item.producer < index:
                    raise InvalidGraph(f"task {task.name} reads {item.variable} from a later task")
            for other in (*task.needs, *task.inner, *(task.guess.needs if task.guess is not None else ())):
                if not 0 <= other < index:
                    raise InvalidGraph(f"task {task.name} refers to task {other}, which does not precede it")

    def index(self, name: str) -> int:
        """The index of the task with this name; raises KeyError."""
        for position, task in enumerate(self.tasks):
            if task.name == name:
                return position
        raise KeyError(name)


def digest_of(data: Any) -> str:
    """SHA-256 (hexadecimal) of plain data in its one JSON form."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
