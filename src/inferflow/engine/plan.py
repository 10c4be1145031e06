"""From the task graph to what the engine needs to know: which tasks may run ahead, from which state, on which values.

A task may run ahead if the analysis proved it independent (``Task.home`` is empty), no rule keeps it at home, and there
is something it could overlap with: an earlier task, after the state it needs has settled, that it does not need itself.

    a = load("x"); b = load("y"); c = join(a, b)      b may run ahead (beside a); c may not: it needs all before it

It may also run ahead on *trust* (``Task.guess``): where nothing but assumptions speaks against it, which home can check
at the task's turn. A task may have both ways; the proved one is taken first.

    m = obscure.fit(a); b = load("y")                 b on trust beside m: obscure.fit may do anything, and hardly does
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from inferflow.model import Guess, Input, Output, Placement, Task, TaskGraph, Variable, World
from inferflow.records import field, frozen

__all__ = ["Plan", "epoch_of", "make_plan"]


@frozen
class Placed:
    """Where a task runs. ``acts``: it may only begin when home has come to it. With a ``guess``, not everything is
    proved: it may run before that too, on trust (see :class:`Guess`)."""

    placement: Placement
    firm: bool
    acts: bool = False
    guess: Guess | None = None


@frozen
class Plan:
    """``ahead``: the tasks that may run ahead, ascending. ``needs``: what must be done first. ``epoch``: how far home
    must have come before a helper for the task is forked from it. ``forks``: the tasks before which home lets helpers
    be forked. ``keeps``: for each task the outputs that are kept. ``publish``: the tasks whose outputs a helper may
    read; ``last_reader`` the last task that may run ahead and reads of a producer. ``settle``: the tasks before which
    all values must be on disk, as they may change one."""

    graph: TaskGraph
    ahead: tuple[int, ...]
    needs: tuple[tuple[int, ...], ...]
    epoch: tuple[int, ...]
    forks: frozenset[int]
    keeps: tuple[tuple[Output, ...], ...]
    publish: frozenset[int]
    settle: frozenset[int]
    entry_inputs: tuple[str, ...]
    last_reader: Mapping[int, int] = field(factory=dict)
    proved: frozenset[int] = frozenset()
    """Those of ``ahead`` that may run without trust."""
    trusted: Mapping[int, Guess] = field(factory=dict)
    """Those of ``ahead``, and of ``placed``, that may run on trust, and what they need then."""
    wary: frozenset[int] = frozenset()
    """Those of ``publish`` that run unknown code: their results may be part of what modules hold."""
    acting: frozenset[int] = frozenset()
    """Those of ``trusted`` whose files are written at their turn: what needs them waits until then."""
    placed: Mapping[int, Placed] = field(factory=dict)
    """The tasks that workers of their own run (see ``posts``)."""
    limits: Mapping[int, float] = field(factory=dict)
    """The tasks with a time limit of their own, in seconds."""

    @property
    def count(self) -> int:
        return len(self.graph.tasks)


def make_plan(
    graph: TaskGraph,
    stays_home: Callable[[str], bool] = lambda _: False,
    jobs: int = 2,
    learned: Mapping[int, str] | None = None,
    forks: bool = True,
    placed: Mapping[int, Placed] | None = None,
    limits: Mapping[int, float] | None = None,
) -> Plan:
    """The plan for a graph. With ``jobs`` of 1 nothing runs ahead. ``learned`` are tasks that earlier runs have shown
    to be of no use away from home (``any``), or on trust (``trust``). Without ``forks``, helpers are no copies of home,
    and what the process holds cannot be compared between them. ``placed`` tasks do not go to forked helpers."""
    placed = placed or {}
    tasks = graph.tasks
    epochs = tuple(1 + max(task.state, default=-1) for task in tasks)
    learned = learned or {}
    kept = [stays_home(task.name) or learned.get(index) == "any" or index in placed for index, task in enumerate(tasks)]
    proved: frozenset[int] = frozenset()
    trusted: dict[int, Guess] = {}
    if jobs > 1:
        free = [not task.home and not stays and _carries(task) for task, stays in zip(tasks, kept, strict=True)]
        proved = frozenset(i for i in _overlapping([task.needs for task in tasks], tasks, epochs) if free[i])
        trusted = _trusted(tasks, [stays or index in learned for index, stays in enumerate(kept)])
        if not forks:
            trusted = {i: guess for i, guess in trusted.items() if not guess.unknown and not guess.checked}
    ahead = tuple(sorted(proved | trusted.keys()))
    forks_on_trust = frozenset(epoch_of(guess) for guess in trusted.values())
    trusted |= {i: place.guess for i, place in placed.items() if place.guess is not None and i not in learned}
    readers = _read_by(tasks, proved | placed.keys(), trusted)
    return Plan(
        graph=graph,
        ahead=ahead,
        needs=tuple(tuple(sorted(task.needs, reverse=True)) for task in tasks),
        epoch=epochs,
        forks=frozenset(epochs[i] for i in proved) | forks_on_trust,
        keeps=tuple(_kept(tasks, readers)),
        publish=frozenset(producer for producer, _ in readers),
        settle=frozenset(index for index, task in enumerate(tasks) if _may_change(task)),
        entry_inputs=tuple(sorted({variable.name for producer, variable in readers if producer < 0})),
        last_reader={item.producer: index for index in sorted({*ahead, *placed}) for item in _all_inputs(tasks[index])},
        proved=proved,
        trusted=trusted,
        wary=frozenset(i for i, _ in readers if i >= 0 and any(e.assumed for e in tasks[i].effects)),
        acting=frozenset(i for i, guess in trusted.items() if guess.acts),
        placed=placed,
        limits=limits or {},
    )


def epoch_of(guess: Guess) -> int:
    """How far home must have come before a helper for a trusted task is forked from it."""
    return 1 + max(guess.state, default=-1)


def _trusted(tasks: tuple[Task, ...], kept: list[bool]) -> dict[int, Guess]:
    needs = [task.guess.needs if task.guess is not None else task.needs for task in tasks]
    epochs = tuple(
        epoch_of(task.guess) if task.guess is not None else 1 + max(task.state, default=-1) for task in tasks
    )
    found = {}
    for index in _overlapping(needs, tasks, epochs):
        guess = tasks[index].guess
        if guess is not None and not kept[index]:
            found[index] = guess
    return found


def _overlapping(needs: Sequence[tuple[int, ...]], tasks: tuple[Task, ...], epochs: tuple[int, ...]) -> list[int]:
    """The tasks with an earlier one that they do not (transitively) need, at or after their epoch. Sets of tasks are
    the bits of integers: 2,000 tasks with a few needs each take a few milliseconds."""
    ancestors: list[int] = []
    found = []
    for index, task in enumerate(tasks):
        bits = 0
        for need in needs[index]:
            bits |= ancestors[need] | (1 << need)
        for inner in task.inner:
            bits |= ancestors[inner] | (1 << inner)
        ancestors.append(bits)
        window = ((1 << index) - 1) >> epochs[index] << epochs[index]
        if window & ~bits:
            found.append(index)
    return found


def _carries(task: Task) -> bool:
    """Whether everything that the task reads can be told apart for a helper: one producer for each alias group."""
    producers: dict[int, set[int]] = {}
    for item in task.inputs:
        producers.setdefault(item.group, set()).add(item.producer)
    return all(len(found) == 1 for found in producers.values())


def _read_by(
    tasks: tuple[Task, ...], proved: frozenset[int], trusted: Mapping[int, Guess]
) -> frozenset[tuple[int, Variable]]:
    found = {(item.producer, item.variable) for index in proved for item in tasks[index].inputs}
    found |= {(item.producer, item.variable) for guess in trusted.values() for item in guess.inputs}
    return frozenset(found)


def _all_inputs(task: Task) -> tuple[Input, ...]:
    return task.inputs if task.guess is None else (*task.inputs, *task.guess.inputs)


def _kept(tasks: tuple[Task, ...], readers: frozenset[tuple[int, Variable]]) -> list[tuple[Output, ...]]:
    """Outputs to keep: whatever is assigned; of objects changed in place the versions that a helper reads, and the
    last one."""
    last: dict[Variable, int] = {}
    for index, task in enumerate(tasks):
        for output in task.outputs:
            last[output.variable] = index
    kept: list[tuple[Output, ...]] = []
    for index, task in enumerate(tasks):
        kept.append(
            tuple(
                output
                for output in task.outputs
                if output.change == "bound" or (index, output.variable) in readers or last[output.variable] == index
            )
        )
    return kept


def _may_change(task: Task) -> bool:
    return any(
        effect.mode == "write" and not (isinstance(effect.place, World) and effect.place.kind in ("stdout", "stderr"))
        for effect in task.effects
    )
