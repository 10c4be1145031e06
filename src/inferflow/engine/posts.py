"""Tasks that are placed: run by workers of their own (another image, other limits, a container for each).

    [tasks."train*"]               a = load()
    image = "torch"                m = train(a)      -> sent to a worker in a container of that image
                                   report(m)            while home waits for it

A placed task is sent as soon as what it needs is there; one that acts on the outside world only at its turn, when home
has come to it and waits. One of which not everything is proved is sent on *trust*, as to a helper: what it writes is
kept back, and at its turn home compares what it was given, and what its code could read, with what there is now. If
they differ, or it did what cannot be kept back, it runs once more, at its turn. A *firm* placement must be kept: the
run ends if it cannot. Otherwise (a container for each task) home runs what cannot be sent. Workers are hired while
earlier tasks still run.
"""

from __future__ import annotations

from collections.abc import Callable

from inferflow.engine import schedule
from inferflow.engine.plan import Placed, Plan
from inferflow.engine.schedule import State
from inferflow.model import File, Input, Placement, Task, World
from inferflow.records import define, evolve, field

__all__ = ["Posts", "is_firm", "places_of", "sent"]


@define
class _Worker:
    """``sealed``: it has run a task on trust, and cannot write files any more (see ``worker.seal``)."""

    placement: Placement
    ready: bool = False
    task: int = -1
    used: bool = False
    sealed: bool = False

    def serves(self, acts: bool) -> bool:
        return not (acts and self.sealed)


@define
class Posts:
    """The workers at posts of one run, by name."""

    plan: Plan
    jobs: int
    workers: dict[str, _Worker] = field(factory=dict)

    def hires(self, state: State) -> list[Placement]:
        """Placements for which a worker should be hired now."""
        wanted = self._open(state)[: max(self.jobs, 1)]
        free = [worker for worker in self.workers.values() if worker.task < 0 and not worker.used]
        found = []
        for task in wanted:
            placement, acts = self.plan.placed[task].placement.worker(), self._acts(state, task)
            one = next((worker for worker in free if worker.placement == placement and worker.serves(acts)), None)
            if one is not None:
                if placement.isolation == "task":
                    free.remove(one)
                continue
            if placement.isolation != "task" and any(
                worker.placement == placement and worker.serves(acts) for worker in self.workers.values()
            ):
                continue
            found.append(placement)
            if placement.isolation != "task":
                free.append(_Worker(placement))
        return found

    def _acts(self, state: State, task: int) -> bool:
        """Whether the task, sent now, may write files where it runs."""
        return self.plan.placed[task].acts and not self.trusts(state, task)

    def dispatches(self, state: State, waiting: int) -> list[tuple[int, str]]:
        """Tasks to send now, and to whom. ``waiting`` is the task at which home waits (-1: none)."""
        found = []
        busy = sum(worker.task >= 0 for worker in self.workers.values())
        for task in self._open(state):
            if busy >= self.jobs and task != waiting:
                break
            placed = self.plan.placed[task]
            trust = self.trusts(state, task)
            if not trust and placed.acts and task != waiting:
                continue
            if not schedule.is_ready(self.plan, state, task, trust):
                continue
            fits = (
                n
                for n, w in self.workers.items()
                if self._fits(w, placed.placement) and w.serves(self._acts(state, task))
            )
            name = next(fits, None)
            if name is not None:
                worker = self.workers[name]
                worker.task, worker.used, worker.sealed = task, True, worker.sealed or trust
                busy += 1
                found.append((task, name))
        return found

    def trusts(self, state: State, task: int) -> bool:
        """Whether a placed task, sent now, would run on trust."""
        return task in self.plan.trusted and task not in state.doubted

    def _fits(self, worker: _Worker, placement: Placement) -> bool:
        if not worker.ready or worker.task >= 0 or worker.placement != placement.worker():
            return False
        return not (worker.used and placement.isolation == "task")

    def _open(self, state: State) -> list[int]:
        running = {worker.task for worker in self.workers.values()}
        return [
            task
            for task in sorted(self.plan.placed)
            if task >= state.retired and task not in state.flights and task not in state.barred and task not in running
        ]

    def holds(self, state: State, task: int) -> bool:
        """Whether home has to wait at this task for its worker."""
        return task in self.plan.placed and task not in state.barred

    def hired(self, name: str, placement: Placement) -> None:
        self.workers[name] = _Worker(placement)

    def meant(self, state: State, placement: Placement) -> list[int]:
        """The first task for which a worker with this placement was hired (in a list), if there still is one."""
        return [t for t in self._open(state) if self.plan.placed[t].placement.worker() == placement][:1]

    def done(self, name: str) -> bool:
        """The worker has finished its task; whether it shall end now."""
        worker = self.workers[name]
        worker.task = -1
        return worker.placement.isolation == "task"


def sent(state: State, plan: Plan, task: int, worker: str, trust: bool = False) -> State:
    """``task`` was sent to a worker at a post."""
    flight = schedule.Flight(worker, False, schedule.built_on(state, plan, task, trust), trust)
    return evolve(state, flights={**state.flights, task: flight})


def places_of(
    tasks: tuple[Task, ...], wanted: Callable[[str], Placement], own: Placement, stays: Callable[[str], bool]
) -> tuple[dict[int, Placed], dict[int, str]]:
    """Which tasks run elsewhere than at home (which is at ``own``); and for those that should and cannot, why."""
    placed: dict[int, Placed] = {}
    refused: dict[int, str] = {}
    for index, task in enumerate(tasks):
        placement = wanted(task.name)
        firm = is_firm(placement, own)
        if not firm and placement.isolation != "task":
            continue
        why = "a setting keeps it at home" if stays(task.name) else _hindrance(task, placed)
        if not why and not firm and task.home and task.outputs and task.kind not in ("shell", "notebook"):
            why = "it acts on the world, so it could not be repeated here if what it returns could not be handed over"
        if why and task.guess is not None and not stays(task.name) and not _hindrance_on_trust(task, placed):
            placed[index] = Placed(placement, firm, True, task.guess)
        elif why:
            refused[index] = why
        else:
            placed[index] = Placed(placement, firm, bool(task.home))
    return placed, refused


def is_firm(placement: Placement, own: Placement) -> bool:
    """Whether a task with this placement must not run at home."""
    return evolve(placement, isolation="", timeout=None) != evolve(own, isolation="", timeout=None)


def _hindrance(task: Task, placed: dict[int, Placed]) -> str:
    """Why the task cannot leave home's process; empty if it can."""
    acts = {
        effect.reason
        for effect in task.effects
        if isinstance(effect.place, File) or (isinstance(effect.place, World) and effect.place.kind != "anything")
    }
    tied = next((reason for reason in task.home if reason not in acts), None)
    if tied is not None:
        return f"{tied.text} ({tied.span})"
    if task.state:
        return "it uses a state of the process that earlier tasks change (a global, an option)"
    return _binding(task, placed) or _sharing(task.inputs)


def _hindrance_on_trust(task: Task, placed: dict[int, Placed]) -> str:
    """Why the task cannot leave home's process even if nothing comes true of what is only assumed."""
    guess = task.guess
    assert guess is not None
    if guess.state:
        return "it uses a state of the process that earlier tasks change (a global, an option)"
    if task.inner:
        return "there are calls inside its statement"
    return _binding(task, placed) or ("" if guess.apart else _sharing(guess.inputs))


def _binding(task: Task, placed: dict[int, Placed]) -> str:
    if any(isinstance(e.place, World) and e.place.kind == "stdin" for e in task.effects):
        return "it reads standard input"
    if not all(output.definite for output in task.outputs):
        return "it binds a name on some paths only"
    if any(inner not in placed for inner in task.inner):
        return "a call inside its statement runs at home"
    return ""


def _sharing(inputs: tuple[Input, ...]) -> str:
    producers: dict[int, set[int]] = {}
    for item in inputs:
        producers.setdefault(item.group, set()).add(item.producer)
    if any(len(found) > 1 for found in producers.values()):
        return "what it reads may share objects that different tasks made"
    return ""
