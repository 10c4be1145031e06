"""Decisions, as pure functions on frozen state.

Home walks through the tasks in program order; ``retired`` is how many have retired. Tasks beyond it that were sent to
helpers are *in flight*: running, or finished and waiting to be adopted. Functions named after what happened give the
next state; ``decide`` gives the orders that follow from a state, ``answer`` the reply to home at a task's turn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Literal, TypeAlias

from inferflow.engine.plan import Plan, epoch_of
from inferflow.records import evolve, field, frozen

__all__ = [
    "Action", "Dispatch", "Flight", "Helper", "Hire", "State", "answer", "behaved", "crowded", "decide", "dropped",
    "finished", "helper_gone", "helper_joined", "hired", "holds", "home_at", "idle", "is_over", "is_vain", "measured",
    "not_to_be_had", "outdated", "retired", "sent", "stale_helpers", "template_gone", "template_ready", "withheld",
]  # fmt: skip

LOOKAHEAD = 256
"""How many tasks that are not away are looked at for each decision."""
WASTED = 2
"""So many tasks of a function have to run ahead in vain, more than others of it did well, until it is left to home."""
IN_FLIGHT = 4096
"""How many tasks may be in flight (each holds a result for home): the size of the reorder buffer."""


@frozen
class Flight:
    """A task away from home: on which helper, whether it is finished, and on which other results in flight it built.
    ``trust``: not everything that it builds on is proved."""

    helper: str
    finished: bool = False
    built_on: tuple[int, ...] = ()
    trust: bool = False
    withheld: bool = False
    """Nobody can build on its result before home has adopted it."""


@frozen
class Helper:
    """A helper: from which state of home it was forked, and what it runs (-1: nothing)."""

    epoch: int
    task: int = -1


@frozen
class State:
    """``home_busy``: home computes (rather than waits for a helper). ``barred``: tasks that home will run, whatever
    happens. ``hiring``: helpers asked for and not yet there, with the epoch they will have. ``epochs``: states of home
    from which helpers can be had."""

    retired: int = 0
    home_busy: bool = True
    waiting_for: int = -1
    flights: Mapping[int, Flight] = field(factory=dict)
    frontier: int = 0
    """All tasks before it that could run ahead are in flight or barred."""
    barred: frozenset[int] = frozenset()
    doubted: frozenset[int] = frozenset()
    """Tasks that do not run on trust any more: it was seen to be misplaced."""
    helpers: Mapping[str, Helper] = field(factory=dict)
    hiring: Mapping[str, int] = field(factory=dict)
    epochs: tuple[int, ...] = ()
    fresh: int = 0
    """Copies of home as it was before this task are of no use any more: its state is not what was foreseen."""
    jobs: int = 2
    widths: Mapping[str, int] = field(factory=dict)
    """For functions that were seen to keep several processors busy (BLAS, OpenMP), how many. Two of them at once on
    the same processors are slower than one after the other."""
    wasted: Mapping[str, int] = field(factory=dict)
    """For functions whose tasks ran ahead in vain for a reason of their own (they start processes, open databases,
    return what cannot leave a process): how many more such there were than others."""


@frozen
class Dispatch:
    """Send this task to this helper; on ``trust``, that what is only assumed of earlier code does not come true."""

    task: int
    helper: str
    trust: bool = False


@frozen
class Hire:
    """Get one more helper from this state of home."""

    epoch: int


Action: TypeAlias = Dispatch | Hire


# -- what happened ---------------------------------------------------------------------------------


def home_at(state: State, task: int, waits: bool) -> State:
    """Home has come to ``task`` and runs it, or waits for the helper that does."""
    if waits:
        return evolve(state, home_busy=False, waiting_for=task)
    flights = dict(state.flights)
    flights.pop(task, None)
    return evolve(state, home_busy=True, waiting_for=-1, flights=flights)


def retired(state: State, task: int) -> State:
    """``task`` and all before it have retired."""
    flights = dict(state.flights)
    for index in range(state.retired, task + 1):
        flights.pop(index, None)
    return evolve(state, retired=max(state.retired, task + 1), home_busy=True, waiting_for=-1, flights=flights)


def sent(
    state: State, plan: Plan, task: int, helper: str, built_on: tuple[int, ...] = (), trust: bool = False
) -> State:
    """``task`` was sent to ``helper``."""
    flights = {**state.flights, task: Flight(helper, False, built_on, trust)}
    place = bisect_left(plan.ahead, state.frontier)
    while place < len(plan.ahead) and (plan.ahead[place] in flights or plan.ahead[place] in state.barred):
        place += 1
    return evolve(
        state,
        flights=flights,
        frontier=plan.ahead[place] if place < len(plan.ahead) else plan.count,
        helpers={**state.helpers, helper: evolve(state.helpers[helper], task=task)},
    )


def finished(state: State, task: int, helper: str) -> State:
    """The helper has a result for ``task``. It may be one that is not wanted any more: what a dropped result was built
    into goes on to its end, and meanwhile the task may have been sent to another helper."""
    flight = state.flights.get(task)
    state = idle(state, helper)
    if flight is None or flight.helper != helper:
        return state
    return evolve(state, flights={**state.flights, task: evolve(flight, finished=True)})


def holds(state: State, task: int, helper: str) -> bool:
    """Whether what ``helper`` says of ``task`` is still wanted."""
    flight = state.flights.get(task)
    return flight is not None and flight.helper == helper


def dropped(state: State, task: int, helper: str = "") -> State:
    """The result of ``task`` is not to be had, nor what was built on it. If it ran on trust, it will not do so again;
    if not, home will run it."""
    state = idle(state, helper)
    flight = state.flights.get(task)
    gone = {task}
    for index in sorted(state.flights):
        if gone.intersection(state.flights[index].built_on):
            gone.add(index)
    flights = {k: v for k, v in state.flights.items() if k not in gone}
    state = evolve(state, flights=flights, frontier=min(state.frontier, *gone))
    if flight is not None and flight.trust:
        return evolve(state, doubted=state.doubted | {task})
    return evolve(state, barred=state.barred | {task})


def withheld(state: State, task: int) -> State:
    """The result of ``task`` refers to objects of home's: no other helper can read it."""
    flight = state.flights.get(task)
    if flight is None:
        return state
    return evolve(state, flights={**state.flights, task: evolve(flight, withheld=True)})


def not_to_be_had(state: State, task: int, trust: bool) -> State:
    """What ``task`` needs cannot be handed to a helper."""
    if trust:
        return evolve(state, doubted=state.doubted | {task})
    return evolve(state, barred=state.barred | {task})


def hired(state: State, helper: str, epoch: int) -> State:
    return evolve(state, hiring={**state.hiring, helper: epoch})


def helper_joined(state: State, helper: str, epoch: int) -> State:
    hiring = {k: v for k, v in state.hiring.items() if k != helper}
    return evolve(state, hiring=hiring, helpers={**state.helpers, helper: Helper(epoch)})


def helper_gone(state: State, helper: str) -> State:
    """A helper ended; what it was running is left to home."""
    task = state.helpers[helper].task if helper in state.helpers else -1
    flight = state.flights.get(task)
    state = evolve(
        state,
        helpers={k: v for k, v in state.helpers.items() if k != helper},
        hiring={k: v for k, v in state.hiring.items() if k != helper},
    )
    return dropped(state, task) if flight is not None and flight.helper == helper else state


def measured(state: State, plan: Plan, task: int, processor_time: float, duration: float) -> State:
    """A task has taken this long (seconds)."""
    if duration < 0.05 or processor_time < 1.4 * duration:
        return state
    name = plan.graph.tasks[task].key[0]
    width = min(state.jobs, round(processor_time / duration + 0.1))
    return evolve(state, widths={**state.widths, name: max(width, state.widths.get(name, 1))})


def behaved(state: State, plan: Plan, task: int, well: bool) -> State:
    """``task`` has a result; or (not ``well``) it did what makes it of no use to run it ahead."""
    name = plan.graph.tasks[task].key[0]
    count = state.wasted.get(name, 0)
    if well and not count:
        return state
    return evolve(state, wasted={**state.wasted, name: count - 1 if well else count + 1})


def is_vain(plan: Plan, state: State, task: int) -> bool:
    """Whether it has been seen of its function that its tasks are better left to home."""
    return bool(state.wasted) and state.wasted.get(plan.graph.tasks[task].key[0], 0) >= WASTED


def crowded(state: State, plan: Plan, task: int, threads: int, helper: str = "") -> State:
    """``task`` was seen to run this many threads, which others need too. Away from home (on ``helper``) it is taken
    back, and may be sent again when the processors are free."""
    name = plan.graph.tasks[task].key[0]
    width = min(state.jobs, max(threads, state.widths.get(name, 1)))
    state = evolve(state, widths={**state.widths, name: width})
    if not helper:
        return state
    return evolve(dropped(state, task, helper), barred=state.barred, doubted=state.doubted)


def template_ready(state: State, epoch: int) -> State:
    """Helpers can be forked from home as it was before task ``epoch``."""
    return evolve(state, epochs=tuple(sorted({*state.epochs, epoch})))


def outdated(state: State, task: int) -> State:
    """Home's state at ``task`` is not what the analysis said it would be: whoever was forked earlier has another."""
    epochs = tuple(epoch for epoch in state.epochs if epoch >= task)
    return evolve(state, fresh=max(state.fresh, task), epochs=epochs)


def stale_helpers(state: State) -> tuple[str, ...]:
    """Helpers that have nothing to do, and will never have."""
    return tuple(name for name, helper in state.helpers.items() if helper.task < 0 and 0 <= helper.epoch < state.fresh)


def template_gone(state: State, epoch: int) -> State:
    """No more helpers can be forked from home as it was before task ``epoch``: somebody has killed that process."""
    return evolve(state, epochs=tuple(other for other in state.epochs if other != epoch))


def idle(state: State, helper: str) -> State:
    """The helper is done with what it ran."""
    if helper not in state.helpers:
        return state
    return evolve(state, helpers={**state.helpers, helper: evolve(state.helpers[helper], task=-1)})


# -- what follows ------------------------------------------------------------------------------------


def answer(state: State, task: int, inner: tuple[int, ...]) -> Literal["run", "adopt", "wait"]:
    """What home is told at the turn of ``task`` (with the expression tasks ``inner`` inside it)."""
    flights = [state.flights.get(index) for index in (*inner, task)]
    if any(flight is None for flight in flights):
        return "run"
    return "adopt" if all(flight is not None and flight.finished for flight in flights) else "wait"


def decide(plan: Plan, state: State, lent: int = 0) -> tuple[Action, ...]:
    """What to do now: send the earliest ready tasks to idle helpers, and hire while there is more that is ready.
    ``lent`` is how many processes run turns of a loop that home is in."""
    if not plan.ahead or len(state.flights) >= IN_FLIGHT:
        return ()
    room = state.jobs - lent - (_width(plan, state, state.retired) if state.home_busy else 0)
    room -= sum(_width(plan, state, helper.task) for helper in state.helpers.values() if helper.task >= 0)
    if room <= 0:
        return ()
    free = sorted((helper.epoch, name) for name, helper in state.helpers.items() if helper.task < 0)
    coming = list(state.hiring.values())
    actions: list[Action] = []
    total = len(state.helpers) + len(state.hiring)
    for task, trust in _candidates(plan, state):
        if room <= 0:
            break
        if room < state.jobs and _width(plan, state, task) > room:
            break  # it would fight with what is running for the same processors
        need = max(state.fresh, epoch_of(plan.trusted[task]) if trust else plan.epoch[task])
        able = next((item for item in free if item[0] >= need), None)
        if able is not None:
            free.remove(able)
            actions.append(Dispatch(task, able[1], trust))
            room -= 1
            continue
        promised = next((epoch for epoch in coming if epoch >= need), None)
        if promised is not None:
            coming.remove(promised)
            room -= 1
            continue
        epoch = next((epoch for epoch in state.epochs if epoch >= need), None)
        if epoch is not None and total < 2 * state.jobs + 2:
            actions.append(Hire(epoch))
            total += 1
            room -= 1
    return tuple(actions)


def is_over(plan: Plan, state: State) -> bool:
    """Whether no helper is of use any more: all that could run ahead has, or is home's."""
    if state.hiring or any(helper.task >= 0 for helper in state.helpers.values()):
        return False
    first = state.retired + (1 if state.home_busy else 0)
    place = bisect_left(plan.ahead, max(first, state.frontier))
    left = (plan.ahead[index] for index in range(place, len(plan.ahead)))
    return all(task in state.flights or task in state.barred or is_vain(plan, state, task) for task in left)


def _width(plan: Plan, state: State, task: int) -> int:
    """How many processors the task will keep busy, as far as is known."""
    if not state.widths or task >= plan.count:
        return 1
    return state.widths.get(plan.graph.tasks[task].key[0], 1)


def _candidates(plan: Plan, state: State) -> list[tuple[int, bool]]:
    """Ready tasks, those that are proved first, each kind earliest first, and whether they go on trust. The task at
    which home stands is not one: home has it."""
    first = state.retired + (1 if state.home_busy else 0)
    found: list[tuple[int, bool]] = []
    trusted: list[tuple[int, bool]] = []
    start = bisect_left(plan.ahead, max(first, state.frontier))
    for task in plan.ahead[start : start + LOOKAHEAD]:
        if task in state.flights or task in state.barred or is_vain(plan, state, task):
            continue
        if task in plan.proved and is_ready(plan, state, task, False):
            found.append((task, False))
            if len(found) > state.jobs:
                return found
        elif len(trusted) <= state.jobs and _may_trust(plan, state, task):
            trusted.append((task, True))
    return found + trusted


def _may_trust(plan: Plan, state: State, task: int) -> bool:
    return task in plan.trusted and task not in state.doubted and is_ready(plan, state, task, True)


def is_ready(plan: Plan, state: State, task: int, trust: bool = False) -> bool:
    """Whether everything that the task needs has retired, or is finished in flight (its state must have settled, and
    its files are written)."""
    if (epoch_of(plan.trusted[task]) if trust else plan.epoch[task]) > state.retired:
        return False
    for need in reversed(plan.trusted[task].needs) if trust else plan.needs[task]:  # latest first
        if need < state.retired:
            return True
        flight = state.flights.get(need)
        if flight is None or not flight.finished or flight.withheld or need in plan.acting:
            return False
    return True


def built_on(state: State, plan: Plan, task: int, trust: bool = False) -> tuple[int, ...]:
    """The results in flight on which the task would build."""
    needs = plan.trusted[task].needs if trust else plan.needs[task]
    return tuple(need for need in needs if need in state.flights)
