"""The pure part of the engine against a sequential interpreter.

A program is a list of tasks, each a function of the values of earlier ones. The machine plays home and helpers: it
lets them finish, fail, disappear in any order that the decisions allow; whatever happens, every task retires in program
order, exactly once, on the versions that a sequential run would have given it.
"""

from __future__ import annotations

import hypothesis.strategies as st
from attrs import evolve
from counted import steps
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferflow.engine import schedule
from inferflow.engine.plan import Plan, make_plan
from inferflow.model import Anchor, Block, Input, Output, Reason, Span, Task, TaskGraph, Variable

HERE = Span("driver.py", 1)


def graph_of(needs: list[list[int]], free: list[bool], states: list[list[int]] | None = None) -> TaskGraph:
    """A graph whose task ``i`` reads the values of ``needs[i]``."""
    tasks = []
    for index, wanted in enumerate(needs):
        tasks.append(
            Task(
                key=(f"t{index}", 1),
                kind="call",
                span=HERE,
                source="",
                anchor=Anchor(0, index, index),
                inputs=tuple(
                    Input(Variable("<driver>", f"v{n}"), n, group, HERE) for group, n in enumerate(sorted(set(wanted)))
                ),
                outputs=(Output(Variable("<driver>", f"v{index}")),),
                home=() if free[index] else (Reason("unknown", HERE),),
                needs=tuple(sorted(set(wanted))),
                state=tuple(states[index]) if states else (),
            )
        )
    block = Block("function", "main", "<driver>", HERE)
    return TaskGraph("driver.py", "__main__", "main", "driver.py", (block,), tuple(tasks))


programs = st.integers(1, 14).flatmap(
    lambda n: st.tuples(
        st.tuples(*(st.lists(st.integers(0, i - 1), max_size=3) if i else st.just([]) for i in range(n))),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.tuples(*(st.lists(st.integers(0, i - 1), max_size=1) if i else st.just([]) for i in range(n))),
        st.integers(1, 4),
    )
)


class Run(RuleBasedStateMachine):
    """Home's position, what helpers compute, the values that are committed."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: Plan
        self.position = -1

    @initialize(program=programs)
    def start(self, program: tuple[list[list[int]], list[bool], list[list[int]], int]) -> None:
        needs, free, states, jobs = program
        needs = [sorted({*n, *s}) for n, s in zip(needs, states, strict=True)]
        self.plan = make_plan(graph_of(needs, free, states), jobs=jobs)
        self.needs = needs
        self.state = schedule.State(jobs=jobs)
        self.position = 0  # the task at which home stands
        self.mode = "arrived"  # or: running, waiting
        self.committed: list[tuple[object, ...]] = []
        self.results: dict[int, tuple[object, ...]] = {}
        self.orders: dict[str, int] = {}
        self.count = 0
        self.versions = 0
        self.retired: list[int] = []

    # -- what the controller does at once ----------------------------------------------------------

    def act(self) -> None:
        for action in schedule.decide(self.plan, self.state):
            match action:
                case schedule.Hire(epoch):
                    name = f"h{self.count}"
                    self.count += 1
                    self.state = schedule.hired(self.state, name, epoch)
                case schedule.Dispatch(task, helper):
                    assert task in self.plan.ahead
                    assert task >= self.state.retired
                    assert self.state.helpers[helper].epoch >= self.plan.epoch[task]
                    assert self.state.helpers[helper].task < 0
                    built = schedule.built_on(self.state, self.plan, task)
                    self.state = schedule.sent(self.state, self.plan, task, helper, built)
                    self.orders[helper] = task

    def value(self, task: int) -> tuple[object, ...]:
        """What the task computes, from the values that it can see now."""
        seen = []
        for need in self.needs[task]:
            if need < len(self.committed):
                seen.append(self.committed[need])
            else:
                assert need in self.results, "a helper was sent a task before its inputs were there"
                seen.append(self.results[need])
        return (task, tuple(seen))

    def running(self) -> bool:
        return 0 <= self.position < self.plan.count

    # -- home ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.running() and self.mode == "arrived")
    @rule()
    def home_arrives(self) -> None:
        task = self.position
        if task in self.plan.forks:
            self.state = schedule.template_ready(self.state, task)
        if task not in self.plan.ahead:
            self.state = schedule.home_at(self.state, task, waits=False)
            self.mode = "running"
        else:
            self.answer()
        self.act()

    def answer(self) -> None:
        task = self.position
        match schedule.answer(self.state, task, ()):
            case "wait":
                self.state = schedule.home_at(self.state, task, waits=True)
                self.mode = "waiting"
            case "run":
                self.state = schedule.home_at(self.state, task, waits=False)
                self.mode = "running"
            case "adopt":
                self.commit(self.results.pop(task))

    def commit(self, value: tuple[object, ...]) -> None:
        self.committed.append(value)
        self.retired.append(self.position)
        self.state = schedule.retired(self.state, self.position)
        self.position += 1
        self.mode = "arrived"

    @precondition(lambda self: self.running() and self.mode == "running")
    @rule()
    def home_finishes(self) -> None:
        self.commit(self.value(self.position))
        self.act()

    # -- helpers ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.running() and self.state.hiring)
    @rule(data=st.data())
    def helper_comes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.state.hiring)))
        self.state = schedule.helper_joined(self.state, name, self.state.hiring[name])
        self.act()

    @precondition(lambda self: self.running() and self.orders)
    @rule(data=st.data(), fate=st.sampled_from(["result", "result", "result", "dropped", "dies"]))
    def helper_ends_a_task(self, data: st.DataObject, fate: str) -> None:
        helper = data.draw(st.sampled_from(sorted(self.orders)))
        task = self.orders.pop(helper)
        wanted = task in self.state.flights and self.state.flights[task].helper == helper
        before = set(self.state.flights)
        if fate == "result":
            if wanted and not any(n >= len(self.committed) and n not in self.results for n in self.needs[task]):
                self.results[task] = self.value(task)
            self.state = schedule.finished(self.state, task, helper)
        elif fate == "dropped":
            self.state = schedule.dropped(self.state, task, helper) if wanted else schedule.idle(self.state, helper)
        else:
            self.state = schedule.helper_gone(self.state, helper)
        for gone in before - set(self.state.flights):
            self.results.pop(gone, None)
        if self.mode == "waiting":
            self.answer()
        self.act()

    @precondition(lambda self: self.running() and self.orders)
    @rule(data=st.data(), threads=st.integers(1, 4))
    def processors_are_crowded(self, data: st.DataObject, threads: int) -> None:
        helper = data.draw(st.sampled_from(sorted(self.orders)))
        task = self.orders.pop(helper)
        before = set(self.state.flights)
        if task in self.state.flights and self.state.flights[task].helper == helper:
            self.state = schedule.crowded(self.state, self.plan, task, threads, helper)
        self.state = schedule.helper_gone(self.state, helper)
        for gone in before - set(self.state.flights):
            self.results.pop(gone, None)
        if self.mode == "waiting":
            self.answer()
        self.act()

    @precondition(lambda self: self.running() and self.state.hiring)
    @rule(data=st.data())
    def helper_never_comes(self, data: st.DataObject) -> None:
        self.state = schedule.helper_gone(self.state, data.draw(st.sampled_from(sorted(self.state.hiring))))
        self.act()

    @precondition(lambda self: self.position >= 0 and not self.running())
    @rule()
    def all_is_done(self) -> None:
        assert len(self.committed) == self.plan.count

    # -- what always holds --------------------------------------------------------------------------

    @invariant()
    def values_are_those_of_a_sequential_run(self) -> None:
        if self.position < 0:
            return
        expected: list[tuple[object, ...]] = []
        for task in range(len(self.committed)):
            expected.append((task, tuple(expected[need] for need in self.needs[task])))
        assert self.committed == expected
        assert self.retired == list(range(len(self.committed)))

    @invariant()
    def no_more_at_once_than_jobs(self) -> None:
        if self.position < 0:
            return
        busy = sum(helper.task >= 0 for helper in self.state.helpers.values())
        assert busy <= self.state.jobs

    @invariant()
    def never_stuck(self) -> None:
        """Home waits only for a task that some helper has."""
        if self.position >= 0 and self.running() and self.mode == "waiting":
            flight = self.state.flights[self.position]
            assert flight.finished or self.orders.get(flight.helper) == self.position

    def teardown(self) -> None:
        """Whatever happened, the run can be brought to its end."""
        if self.position < 0:
            return
        while self.running():
            if self.mode == "arrived":
                self.home_arrives()
            elif self.mode == "running":
                self.home_finishes()
            else:
                helper = self.state.flights[self.position].helper
                assert self.orders.pop(helper) == self.position
                self.state = schedule.helper_gone(self.state, helper)
                self.answer()
        self.values_are_those_of_a_sequential_run()


TestRun = Run.TestCase
TestRun.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


# -- plans -------------------------------------------------------------------------------------------


def test_a_chain_has_nothing_to_run_ahead() -> None:
    plan = make_plan(graph_of([[], [0], [1], [2]], [True] * 4))
    assert plan.ahead == ()
    assert plan.forks == frozenset()


def test_independent_tasks_run_ahead_but_for_the_first() -> None:
    assert make_plan(graph_of([[], [], [], []], [True] * 4)).ahead == (1, 2, 3)


def test_a_join_does_not_run_ahead() -> None:
    assert make_plan(graph_of([[], [], [0, 1]], [True] * 3)).ahead == (1,)


def test_with_one_job_nothing_runs_ahead() -> None:
    assert make_plan(graph_of([[], [], []], [True] * 3), jobs=1).ahead == ()


def test_a_rule_keeps_a_task_at_home() -> None:
    assert make_plan(graph_of([[], [], []], [True] * 3), lambda name: name == "t1").ahead == (2,)


def test_tasks_after_a_change_of_state_wait_for_a_helper_from_there() -> None:
    # 1 changes a hidden state; 2 and 3 need it.
    plan = make_plan(graph_of([[], [], [1], [1]], [True, False, True, True], [[], [], [1], [1]]))
    assert plan.ahead == (3,)
    assert plan.epoch[3] == 2
    assert plan.forks == {2}


def test_the_plan_of_many_tasks_is_made_in_linear_time() -> None:
    def work(count: int) -> int:
        graph = graph_of([[max(0, i - 1)] if i else [] for i in range(count)], [True] * count)
        return steps(lambda: make_plan(graph))

    assert work(2000) < 5 * work(500)


def test_a_function_whose_tasks_run_ahead_in_vain_is_left_to_home() -> None:
    tasks = [evolve(task, key=("f", index + 1)) for index, task in enumerate(graph_of([[]] * 6, [True] * 6).tasks)]
    plan = make_plan(evolve(graph_of([[]] * 6, [True] * 6), tasks=tuple(tasks)))
    state = schedule.helper_joined(schedule.template_ready(schedule.State(jobs=2), 0), "h", 0)
    assert schedule.decide(plan, state) == (schedule.Dispatch(1, "h"),)
    state = schedule.behaved(state, plan, 1, well=False)
    assert schedule.decide(plan, state) == (schedule.Dispatch(1, "h"),)
    vain = schedule.behaved(state, plan, 2, well=False)
    assert schedule.decide(plan, vain) == ()
    assert schedule.is_over(plan, vain)
    well = schedule.behaved(vain, plan, 3, well=True)
    assert schedule.decide(plan, well) == (schedule.Dispatch(1, "h"),)
    assert schedule.behaved(schedule.State(), plan, 1, well=True) == schedule.State()


def test_what_keeps_all_processors_busy_has_them_alone() -> None:
    plan = make_plan(graph_of([[], [], []], [True] * 3))
    state = schedule.helper_joined(schedule.template_ready(schedule.State(jobs=2), 0), "h", 0)
    assert schedule.decide(plan, state) == (schedule.Dispatch(1, "h"),)
    wide = schedule.measured(state, plan, 1, processor_time=1.9, duration=1.0)
    assert wide.widths == {"t1": 2}
    assert schedule.decide(plan, wide) == ()
    waiting = schedule.home_at(wide, 0, waits=True)
    assert schedule.decide(plan, waiting)[0] == schedule.Dispatch(1, "h")


def test_what_a_helper_says_of_a_task_that_another_has_by_now_is_not_believed() -> None:
    plan = make_plan(graph_of([[], [], []], [True] * 3))
    state = schedule.template_ready(schedule.State(jobs=3), 0)
    for name in ("h1", "h2"):
        state = schedule.helper_joined(state, name, 0)
    state = schedule.sent(state, plan, 1, "h1")
    state = evolve(state, flights={}, frontier=0)  # what it was built on was dropped; h1 goes on
    state = schedule.sent(state, plan, 1, "h2")
    late = schedule.finished(state, 1, "h1")
    assert not late.flights[1].finished
    assert late.helpers["h1"].task == -1
    assert schedule.answer(late, 1, ()) == "wait"
    assert not schedule.holds(late, 1, "h1")
    assert schedule.helper_gone(state, "h1").flights == state.flights
    assert schedule.finished(late, 1, "h2").flights[1].finished
    assert plan.ahead == (1, 2)


def test_a_helper_goes_on_however_many_results_wait_for_home() -> None:
    plan = make_plan(graph_of([[] for _ in range(2000)], [True] * 2000))
    state = schedule.helper_joined(schedule.template_ready(schedule.State(jobs=2), 0), "h", 0)
    for task in range(1, 2000):
        assert schedule.decide(plan, state) == (schedule.Dispatch(task, "h"),)
        state = schedule.finished(schedule.sent(state, plan, task, "h"), task, "h")
    assert schedule.decide(plan, state) == ()
    state = evolve(schedule.dropped(state, 700, "h"), barred=frozenset())  # (as after crowding)
    assert schedule.decide(plan, state) == (schedule.Dispatch(700, "h"),)


def test_the_reorder_buffer_has_a_size() -> None:
    count = schedule.IN_FLIGHT + 10
    plan = make_plan(graph_of([[] for _ in range(count)], [True] * count))
    state = schedule.helper_joined(schedule.template_ready(schedule.State(jobs=2), 0), "h", 0)
    flights = {task: schedule.Flight("h", True) for task in range(1, schedule.IN_FLIGHT)}
    state = evolve(state, flights=flights, frontier=schedule.IN_FLIGHT)
    (sent,) = schedule.decide(plan, state)
    state = schedule.sent(state, plan, schedule.IN_FLIGHT, "h")
    assert sent == schedule.Dispatch(schedule.IN_FLIGHT, "h")
    state = schedule.finished(state, schedule.IN_FLIGHT, "h")
    assert schedule.decide(plan, state) == ()
    assert schedule.decide(plan, schedule.retired(state, 3))
