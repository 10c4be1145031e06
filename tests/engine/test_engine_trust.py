"""The pure part of the engine where assumptions and proofs may be wrong, against a sequential interpreter.

Tasks read the values of earlier ones and a state that all share; some change values or the state in place when they are
done, whatever the graph says. Helpers have the state as it was when they were forked, and the values that they were
given. Home compares at each turn, as ``worker/turn.py`` and ``worker/observer.py`` do. Helpers finish, fail, are taken
back, report late; templates are killed. Every task must retire once, in order, with the value of a sequential run.

That the machine can find anything is tested as well: faults that there were, or that would be easily made, are put into
``schedule`` one by one, and each must be found.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferflow.engine import schedule
from inferflow.engine.plan import epoch_of, make_plan
from inferflow.model import Anchor, Block, Guess, Input, Output, Reason, Span, Task, TaskGraph, Variable

HERE = Span("driver.py", 1)


@frozen
class Fact:
    """What a task really does, and what the graph says of it: ``free`` (proved), ``guess`` (which of ``needs`` it has
    on trust), ``state`` (what it waits for), ``acts`` (its files are kept back)."""

    needs: tuple[int, ...] = ()
    reads_state: bool = False
    writes_state: bool = False
    changes: tuple[int, ...] = ()
    free: bool = False
    guess: tuple[int, ...] | None = None
    state: tuple[int, ...] = ()
    acts: bool = False


def facts(index: int) -> st.SearchStrategy[Fact]:
    earlier = st.lists(st.integers(0, index - 1), max_size=2, unique=True).map(sorted).map(tuple)
    none: st.SearchStrategy[tuple[int, ...]] = st.just(())
    some = earlier if index else none
    few = st.one_of(none, none, some)
    seldom = st.sampled_from([False, False, False, True])
    calm = st.builds(Fact, needs=some, free=st.just(True))  # deep chains of results in flight
    wild = st.builds(
        Fact, needs=some, reads_state=st.booleans(), writes_state=seldom, changes=few, free=st.booleans(),
        guess=st.one_of(st.none(), some), state=few, acts=seldom,
    )  # fmt: skip
    return st.one_of(calm, calm, wild)


programs = st.tuples(st.integers(1, 12).flatmap(lambda n: st.tuples(*map(facts, range(n)))), st.integers(2, 5))


def task_of(index: int, fact: Fact) -> Task:
    def inputs(needs: tuple[int, ...]) -> tuple[Input, ...]:
        return tuple(Input(Variable("<driver>", f"v{n}"), n, group, HERE) for group, n in enumerate(needs))

    needs = tuple(sorted({*fact.needs, *fact.state}))
    guess = None
    if fact.guess is not None:
        trusted = tuple(sorted({*fact.needs, *fact.guess}))
        guess = Guess(
            inputs(fact.needs), trusted, tuple(n for n in fact.state if n in trusted), checked=True, acts=fact.acts
        )
    return Task(
        key=(f"t{index}", 1), kind="call", span=HERE, source="", anchor=Anchor(0, index, index),
        inputs=inputs(fact.needs), outputs=(Output(Variable("<driver>", f"v{index}")),),
        home=() if fact.free and not fact.acts else (Reason("unknown", HERE),), needs=needs, state=fact.state, guess=guess,
    )  # fmt: skip


class Machine:
    """What is there at home: the values as they are now, and the state."""

    def __init__(self, program: tuple[Fact, ...]) -> None:
        self.program = program
        self.values: list[Any] = []
        self.state: tuple[int, ...] = ()

    def value(self, task: int) -> Any:
        fact = self.program[task]
        return value_of(fact, task, [self.values[n] for n in fact.needs], self.state)

    def retire(self, task: int, value: Any) -> None:
        fact = self.program[task]
        self.values.append(value)
        for changed in fact.changes:
            self.values[changed] = ("changed", task, self.values[changed])
        if fact.writes_state:
            self.state = (*self.state, task)


def value_of(fact: Fact, task: int, given: list[Any], state: tuple[int, ...]) -> Any:
    return task, tuple(given), state if fact.reads_state else None


@frozen
class Order:
    """What a helper was told to do, with what it was given."""

    task: int
    given: tuple[Any, ...]


@frozen
class Result:
    value: Any
    given: tuple[Any, ...]
    state: tuple[int, ...]


class Run(RuleBasedStateMachine):
    """Home's position, what helpers compute, what is committed."""

    @initialize(program=programs)
    def start(self, program: tuple[tuple[Fact, ...], int]) -> None:
        self.begin(*program)

    def begin(self, program: tuple[Fact, ...], jobs: int) -> None:
        self.program = program
        block = Block("function", "main", "<driver>", HERE)
        tasks = tuple(task_of(index, fact) for index, fact in enumerate(self.program))
        graph = TaskGraph("driver.py", "__main__", "main", "driver.py", (block,), tasks)
        self.plan = make_plan(graph, jobs=jobs)
        self.home = Machine(self.program)
        self.expected: list[Any] = []
        native = Machine(self.program)
        for index in range(len(self.program)):
            self.expected.append(native.value(index))
            native.retire(index, self.expected[-1])
        self.state = schedule.State(jobs=jobs)
        self.mode = "arrived"  # or: running, waiting
        self.packs: list[Any] = []
        self.committed: list[Any] = []
        self.results: dict[int, Result] = {}
        self.orders: dict[str, Order] = {}
        self.forked: dict[int, tuple[int, ...]] = {}
        self.states: dict[str, tuple[int, ...]] = {}
        self.count = 0

    @property
    def position(self) -> int:
        return len(self.committed)

    def running(self) -> bool:
        return self.position < len(self.program)

    def act(self) -> None:
        if not self.running():
            return
        for action in schedule.decide(self.plan, self.state):
            match action:
                case schedule.Hire(epoch):
                    assert epoch >= self.state.fresh
                    name = f"h{self.count}"
                    self.count += 1
                    self.states[name] = self.forked[epoch]
                    self.state = schedule.hired(self.state, name, epoch)
                case schedule.Dispatch(task, helper, trust):
                    self.dispatch(task, helper, trust)

    def dispatch(self, task: int, helper: str, trust: bool) -> None:
        epoch = epoch_of(self.plan.trusted[task]) if trust else self.plan.epoch[task]
        assert task >= self.state.retired
        assert self.state.helpers[helper].epoch >= max(epoch, self.state.fresh)
        assert self.state.helpers[helper].task < 0
        assert helper not in self.orders
        given = []
        for need in self.program[task].needs:
            assert need < self.position or need in self.results, "its inputs are not there yet"
            given.append(self.packs[need] if need < self.position else self.results[need].value)
        built = schedule.built_on(self.state, self.plan, task, trust)
        self.state = schedule.sent(self.state, self.plan, task, helper, built, trust)
        self.orders[helper] = Order(task, tuple(given))

    # -- home ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.running() and self.mode == "arrived")
    @rule(forks=st.booleans(), refuses=st.sampled_from([False, False, True]))
    def home_arrives(self, forks: bool, refuses: bool = False) -> None:
        task = self.position
        self.refuses = refuses  # (a result that cannot be rebuilt, a file that cannot be written)
        if task in self.plan.forks and forks:
            self.fork(task)
        if task in self.plan.ahead:
            self.answer()
        else:
            self.runs()
        self.act()

    def fork(self, task: int) -> None:
        self.forked[task] = self.home.state
        self.state = schedule.template_ready(self.state, task)

    def runs(self) -> None:
        self.state = schedule.home_at(self.state, self.position, waits=False)
        self.results.pop(self.position, None)
        self.mode = "running"

    def answer(self) -> None:
        task = self.position
        match schedule.answer(self.state, task, ()):
            case "wait":
                self.state = schedule.home_at(self.state, task, waits=True)
                self.mode = "waiting"
            case "run":
                self.runs()
            case "adopt":
                self.adopt(task, self.results[task])

    def adopt(self, task: int, result: Result) -> None:
        fact = self.program[task]
        stale_state = fact.reads_state and result.state != self.home.state
        if self.refuses or stale_state or result.given != tuple(self.home.values[n] for n in fact.needs):
            self.gone(lambda: schedule.dropped(self.state, task))
            if stale_state:
                self.state = schedule.outdated(self.state, task)
                for helper in schedule.stale_helpers(self.state):
                    self.state = schedule.helper_gone(self.state, helper)
                self.fork(task)
            self.runs()
        else:
            self.commit(result.value)

    def commit(self, value: Any) -> None:
        task = self.position
        self.results.pop(task, None)
        self.home.retire(task, value)
        self.packs.append(value)
        self.committed.append(value)
        self.state = schedule.retired(self.state, task)
        self.mode = "arrived"

    @precondition(lambda self: self.running() and self.mode == "running")
    @rule()
    def home_finishes(self) -> None:
        self.commit(self.home.value(self.position))
        self.act()

    def gone(self, change: Any) -> None:
        """After a change, the results of tasks that are not away from home any more are not wanted."""
        before = set(self.state.flights)
        self.state = change()
        for task in before - set(self.state.flights):
            self.results.pop(task, None)

    # -- helpers ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.running() and self.state.hiring)
    @rule(data=st.data(), everybody=st.booleans())
    def helper_comes(self, data: st.DataObject, everybody: bool) -> None:
        names = sorted(self.state.hiring)
        for name in names if everybody else [data.draw(st.sampled_from(names))]:
            self.state = schedule.helper_joined(self.state, name, self.state.hiring[name])
        self.act()

    @precondition(lambda self: self.running() and self.orders)
    @rule(
        data=st.data(),
        fate=st.sampled_from(["result", "result", "result", "withheld", "dropped", "dropped", "dies", "taken back"]),
        late=st.sampled_from([True, True, False]),
    )
    def helper_ends_a_task(self, data: st.DataObject, fate: str, late: bool) -> None:
        """``late``: what nobody waits for any more takes longer than what somebody does."""
        names = sorted(self.orders)
        wanted = [name for name in names if self.is_wanted(name)]
        self.ends(data.draw(st.sampled_from(wanted if late and wanted else names)), fate)

    def is_wanted(self, helper: str) -> bool:
        return schedule.holds(self.state, self.orders[helper].task, helper)

    def ends(self, helper: str, fate: str) -> None:
        order = self.orders.pop(helper)
        task, fact = order.task, self.program[order.task]
        wanted = schedule.holds(self.state, task, helper)
        if fate in ("result", "withheld") and (fact.writes_state or fact.changes):
            fate = "dropped"  # it sees of itself that it changed something
        if fate in ("result", "withheld"):
            self.state = schedule.finished(self.state, task, helper)
            if wanted:
                state = self.states[helper]
                self.results[task] = Result(value_of(fact, task, list(order.given), state), order.given, state)
                if fate == "withheld":
                    self.state = schedule.withheld(self.state, task)
        elif fate == "dropped":
            self.gone(
                lambda: schedule.dropped(self.state, task, helper) if wanted else schedule.idle(self.state, helper)
            )
        else:
            if fate == "taken back" and wanted:
                self.gone(lambda: schedule.crowded(self.state, self.plan, task, 2, helper))
            self.gone(lambda: schedule.helper_gone(self.state, helper))
        self.go_on()

    @precondition(lambda self: self.running() and self.state.hiring)
    @rule(data=st.data())
    def helper_never_comes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.state.hiring)))
        self.state = schedule.helper_gone(self.state, name)
        self.act()

    @precondition(lambda self: self.running() and self.state.epochs)
    @rule(data=st.data())
    def template_is_killed(self, data: st.DataObject) -> None:
        self.state = schedule.template_gone(self.state, data.draw(st.sampled_from(self.state.epochs)))
        self.act()

    @precondition(lambda self: not self.running())
    @rule()
    def all_is_done(self) -> None:
        assert self.committed == self.expected

    def go_on(self) -> None:
        if self.mode == "waiting":
            self.answer()
        self.act()

    # -- what must hold --------------------------------------------------------------------------------

    @invariant()
    def values_are_those_of_a_sequential_run(self) -> None:
        if hasattr(self, "committed"):
            assert self.committed == self.expected[: self.position]

    @invariant()
    def what_is_finished_is_there(self) -> None:
        if hasattr(self, "results"):
            done = {task for task, flight in self.state.flights.items() if flight.finished}
            assert done == set(self.results)

    @invariant()
    def nothing_is_built_on_what_was_dropped(self) -> None:
        if hasattr(self, "committed"):
            for flight in self.state.flights.values():
                assert all(need < self.position or need in self.state.flights for need in flight.built_on)

    @invariant()
    def home_waits_only_for_a_helper_that_runs(self) -> None:
        if hasattr(self, "mode") and self.mode == "waiting":
            flight = self.state.flights[self.position]
            assert flight.finished or self.orders[flight.helper].task == self.position

    def teardown(self) -> None:
        """Whatever has happened, the run comes to its end."""
        if not hasattr(self, "program"):
            return
        for _ in range(20 * len(self.program) + 20):
            if not self.running():
                break
            if self.mode == "arrived":
                self.home_arrives(forks=True)
            elif self.mode == "running":
                self.home_finishes()
            else:
                helper = self.state.flights[self.position].helper
                self.orders.pop(helper)
                self.gone(lambda helper=helper: schedule.helper_gone(self.state, helper))  # type: ignore[misc]
                self.go_on()
            self.values_are_those_of_a_sequential_run()
        assert not self.running()


TestTrust = Run.TestCase
TestTrust.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_no_helper_from_before_an_unforeseen_change_is_used() -> None:
    program = tuple(Fact(free=True, reads_state=True) for _ in range(6))
    block = Block("function", "main", "<driver>", HERE)
    tasks = tuple(task_of(index, fact) for index, fact in enumerate(program))
    plan = make_plan(TaskGraph("driver.py", "__main__", "main", "driver.py", (block,), tasks), jobs=2)
    state = schedule.template_ready(schedule.State(jobs=2), 0)
    state = schedule.helper_joined(schedule.hired(state, "old", 0), "old", 0)
    state = evolve(schedule.outdated(evolve(state, retired=2), 2), home_busy=False)
    assert schedule.stale_helpers(state) == ("old",)
    assert schedule.decide(plan, state) == ()
    actions = schedule.decide(plan, schedule.template_ready(state, 2))
    assert {*actions} == {schedule.Hire(2)}


# -- what the machine would find --------------------------------------------------------------------------


def _finished_whoever_says_so(state: schedule.State, task: int, helper: str) -> schedule.State:
    flight = state.flights.get(task)
    state = schedule.idle(state, helper)
    return state if flight is None else evolve(state, flights={**state.flights, task: evolve(flight, finished=True)})


def _dropped_alone(state: schedule.State, task: int, helper: str = "") -> schedule.State:
    state = schedule.idle(state, helper)
    flights = {index: flight for index, flight in state.flights.items() if index != task}
    return evolve(state, flights=flights, frontier=min(state.frontier, task), barred=state.barred | {task})


def _retired_with_its_flight(state: schedule.State, task: int) -> schedule.State:
    return evolve(state, retired=max(state.retired, task + 1), home_busy=True, waiting_for=-1)


def _adopted_unfinished(state: schedule.State, task: int, inner: tuple[int, ...]) -> str:
    return "adopt" if task in state.flights else "run"


def _ready_too_early(plan: Any, state: schedule.State, task: int, trust: bool = False) -> bool:
    needs = plan.trusted[task].needs if trust else plan.needs[task]
    return all(need < state.retired or need in state.flights for need in needs)


FAULTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "a late result counts for the helper that has the task now": ("finished", _finished_whoever_says_so),
    "what was built on a dropped result stays": ("dropped", _dropped_alone),
    "a retired task stays away": ("retired", _retired_with_its_flight),
    "what is not finished is adopted": ("answer", _adopted_unfinished),
    "a task is sent before its inputs are there": ("is_ready", _ready_too_early),
}


def a_program(draw: random.Random) -> tuple[Fact, ...]:
    """Tasks that mostly build on each other's results, and now and then change what they should not."""
    found = []
    for index in range(draw.randint(4, 9)):
        needs = tuple(sorted(draw.sample(range(index), min(index, draw.choice([0, 1, 1, 2])))))
        wild = draw.random() < 0.25
        found.append(
            Fact(
                needs=needs, reads_state=wild and draw.random() < 0.5, writes_state=wild and draw.random() < 0.3,
                changes=needs[:1] if wild and draw.random() < 0.3 else (), free=not wild or draw.random() < 0.5,
                guess=needs if wild else None, acts=wild and draw.random() < 0.3,
            )
        )  # fmt: skip
    return tuple(found)


def simulate(seed: int) -> None:
    """One run of the machine in which helpers come at once, results are refused often, and what is built on results in
    flight, or not wanted any more, takes long: where rules drawn one by one seldom lead."""
    draw = random.Random(seed)
    run = Run()
    run.begin(a_program(draw), draw.choice([2, 3, 4, 5, 5]))
    checks = (
        run.values_are_those_of_a_sequential_run, run.what_is_finished_is_there,
        run.nothing_is_built_on_what_was_dropped, run.home_waits_only_for_a_helper_that_runs,
    )  # fmt: skip
    for _ in range(80):
        if not run.running():
            break
        wanted = [name for name in sorted(run.orders) if run.is_wanted(name)]
        late = [name for name in sorted(run.orders) if name not in wanted]
        if run.mode == "arrived":
            run.home_arrives(forks=draw.random() < 0.9, refuses=draw.random() < 0.4)
        elif run.state.hiring and draw.random() < 0.8:
            for name in sorted(run.state.hiring):
                run.state = schedule.helper_joined(run.state, name, run.state.hiring[name])
            run.act()
        elif wanted and draw.random() < 0.6:
            helper = draw.choice(wanted)
            if not run.state.flights[run.orders[helper].task].built_on or draw.random() < 0.2:
                run.ends(helper, draw.choice(["result"] * 8 + ["withheld", "dropped", "dies", "taken back"]))
        elif late and draw.random() < 0.15:
            run.ends(draw.choice(late), draw.choice(["result", "result", "dropped", "dies", "dies"]))
        elif run.mode == "running":
            run.home_finishes()
        for check in checks:
            check()
    run.teardown()
    assert run.committed == run.expected


SEEDS = 5000


def test_runs_of_many_stragglers() -> None:
    for seed in range(SEEDS):
        simulate(seed)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_would_be_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, *FAULTS[name])
    with pytest.raises((AssertionError, KeyError)):
        test_runs_of_many_stragglers()
