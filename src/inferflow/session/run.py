"""Run a driver: wire the analysis, a crew of workers, the engine and the store together.

The home worker starts first, so that the driver's imports run while the driver is analysed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from inferflow import __version__
from inferflow.config.settings import Settings
from inferflow.engine.away import lessons_of_all
from inferflow.engine.frames_plan import region_rows
from inferflow.engine.loop import follow, step
from inferflow.engine.plan import Plan, make_plan
from inferflow.engine.posts import is_firm, places_of
from inferflow.engine.progress import Progress, Record
from inferflow.engine.reuse import reusable
from inferflow.errors import UserError, WrongUse
from inferflow.model import CodeIdentity, Environment, Event, Hidden, Placement, Run, RunStarted, TaskFailed, TaskGraph
from inferflow.model.content import content_digest
from inferflow.model.graph import ONE_BY_ONE
from inferflow.protocols import Backend, Crew, Launch, Message, Notice, Surroundings
from inferflow.records import evolve, frozen
from inferflow.render.units import duration
from inferflow.session.infer import Inferred, infer
from inferflow.session.observer import Observer, Silent
from inferflow.session.reuse import Wish, resolved, reuse_of
from inferflow.session.setup import setup_message, start_method, told_ahead
from inferflow.session.target import Target, check_syntax
from inferflow.session.text import NotText, decode_source
from inferflow.storage.folder import Folder
from inferflow.storage.identity import distributions, environment, process_identity, start_code_identity
from inferflow.storage.learned import Lesson, Small, is_small, learn, learn_size, lessons, small
from inferflow.storage.runs import Runs

__all__ = ["RunOutcome", "Wish", "execute"]


@frozen
class RunOutcome:
    """``exit_code`` is what the command exits with; ``failure`` is set if the driver did not end well. ``fault`` is a
    file that tells of a failure of inferflow itself (the driver went on as natively, but was not recorded)."""

    run_id: str
    exit_code: int
    graph: TaskGraph
    store: Path
    failure: TaskFailed | None = None
    fault: Path | None = None

    def run(self) -> Run:
        """The run as recorded."""
        return Runs(Folder(self.store)).load(self.run_id)


def execute(
    target: Target,
    settings: Settings,
    parameters: Callable[[TaskGraph], dict[str, dict[str, object]]] = lambda graph: {},
    arguments: tuple[str, ...] = (),
    observer: Observer | None = None,
    *,
    stdout: int = 1,
    stderr: int = 2,
    executed: Path | None = None,
    wish: Wish = Wish(),  # noqa: B008
) -> RunOutcome:
    """Run ``target`` to its end. ``executed`` is where to write the executed notebook, if the target is one.
    ``wish`` says whether results of earlier runs are used again where nothing has changed.

    ``parameters`` gives the raw parameters for the analysed driver, and raises WrongUse for wrong ones: nothing of the
    driver's body has run by then. Raises UserError if the run could not begin (the driver cannot be analysed, the store
    cannot be written, a parameter does not fit); whatever the driver itself does is told by the outcome.
    """
    watcher = observer or Silent()
    scratch = told_ahead(target, settings, arguments)
    if scratch is None:
        check_syntax(target.source)
    if target.kind == "notebook":
        from inferflow.session.notebook import check_notebook

        check_notebook(settings, arguments)
    folder = Folder(settings.store)
    runs = Runs(folder)
    wish = resolved(runs, wish)
    run_id = runs.new_id(time.time())
    identity = start_code_identity(Path(target.root))
    scratch = scratch or folder.scratch(run_id)
    session = _Session(target, settings, watcher, scratch, run_id, arguments, (stdout, stderr), wish)
    try:
        with _signals(session):
            session.start()
            inferred = infer(target, settings)
            raw = parameters(inferred.graph)
            code = _code(
                identity.result(inferred.graph.sources[0][1] if inferred.graph.sources else ""), inferred.graph
            )
            started = _started(target, settings, run_id, arguments, raw, code)
            return session.go(inferred, raw, started, runs)
    finally:
        session.close()
        if executed is not None:
            from inferflow.session.notebook import write_executed

            write_executed(scratch, target, executed)
        shutil.rmtree(scratch, ignore_errors=True)


class _Session:
    """The parts of one run under way."""

    def __init__(
        self,
        target: Target,
        settings: Settings,
        observer: Observer,
        scratch: Path,
        run_id: str,
        arguments: tuple[str, ...],
        streams: tuple[int, int],
        wish: Wish,
    ) -> None:
        self.wish = wish
        self.target, self.settings, self.observer, self.run_id = target, settings, observer, run_id
        self.scratch = scratch
        self.streams = streams
        self.crew: Crew | None = None
        self.engine: Progress | None = None
        self.interrupts = 0
        self.deadline = time.monotonic() + settings.timeout if settings.timeout else None
        self.arguments = arguments
        self.backend = _backend(settings.backend)

    def start(self) -> None:
        """Start home, unless it runs in this very process (then it must wait for the plan)."""
        if self.settings.backend != "inline":
            self.crew = self._open(None)

    def _open(self, deliver: Callable[[Notice], None] | None) -> Crew:
        start = start_method(self.settings)

        def outposts(backend: str) -> Any:
            return _outposts(backend, launch)

        launch = Launch(
            setup_message(self.target, self.settings, self.scratch, self.arguments),
            Path(self.target.cwd),
            start,
            *self.streams,
            self.observer.before_output,
            deliver,
            process_identity(),
            lambda pid, start: process_identity(pid)[1] == start,
            _with_image(self.settings.placement(), self.settings),
            outposts,
        )
        return self.backend.open(launch)

    def go(self, inferred: Inferred, raw: dict[str, Any], started: RunStarted, runs: Runs) -> RunOutcome:
        graph = inferred.graph
        if start_method(self.settings) != "fork":
            graph = _in_one_piece(graph)
        settings = self.settings
        if self.crew is not None:
            started = evolve(started, environment=_surrounded(started.environment, self.crew.surroundings()))
        folder = Folder(settings.store)
        known = lessons(folder, graph)
        scopes = {index: lesson.scope for index, lesson in known.items()}
        forks = start_method(settings) == "fork"
        plan, notes = _plan(graph, settings, self._jobs(), scopes, forks)
        able = plan.ahead
        weighs = forks and settings.backend == "process" and not os.environ.get("_INFERFLOW_TURNS")
        little = small(folder, graph) if weighs and able else None
        if little is not None:
            plan, notes = _plan(graph, settings, 1, scopes, forks)
        runs.create(started, graph, inferred.json or None, sources=(self.target.source,))
        self.observer.planned(self.run_id, graph)
        self.observer.event(started)

        def append(events: Iterable[Event]) -> None:
            runs.append(self.run_id, events)

        crew = self.crew if self.crew is not None else _Later()
        engine = Progress(
            plan, crew, runs.artifacts, Record(append, self.observer.event), Path(self.target.cwd),
            self._plan_message(plan, raw, graph), self._jobs(), start_method(settings) == "spawn",
            reuse_of(runs, self.wish, started),
        )  # fmt: skip
        engine.reasons.update(dict.fromkeys(notes))
        self.engine = engine
        if self.crew is None:
            engine.crew = self.crew = self._open(lambda notice: step(engine, [notice]))
        if little is not None:
            engine.reasons[
                f"nothing was sent ahead: what could be took {duration(little.seconds)} in all, less than helpers cost "
                f"(learned in {little.run})"
            ] = None
        elif self._jobs() > 1:
            for index, lesson in known.items():
                told = f"{graph.tasks[index].name} was not sent ahead: {lesson.why} (learned in {lesson.run})"
                engine.reasons[told] = None
        outcome = follow(engine, self._tick)
        learn(folder, graph, {i: Lesson(scope, why, self.run_id) for i, (scope, why) in lessons_of_all(engine).items()})
        if (
            weighs
            and able
            and not plan.placed
            and outcome.failure is None
            and all(index in engine.took for index in able)
        ):
            durations = [engine.took[index] for index in able]
            size = Small(sum(durations), self.run_id) if is_small(durations, engine.peak) else None
            learn_size(folder, graph, size)
        if engine.misfit:
            raise WrongUse(engine.misfit)
        fault = _write_fault(engine.faults, settings.store / "tmp" / f"fault-{self.run_id}.txt")
        return RunOutcome(self.run_id, outcome.exit_code, graph, settings.store, outcome.failure, fault)

    def _kept_inside(self, graph: TaskGraph) -> str:
        """Why nothing that stands inside of statements runs ahead, though it could; empty if there is no reason."""
        if start_method(self.settings) == "fork" or not any(task.runs_inside for task in graph.tasks):
            return ""
        return "helpers that are started by spawn have no copy of what the driver has made by then"

    def _plan_message(self, plan: Plan, raw: dict[str, Any], graph: TaskGraph) -> Message:
        message = plan_message(plan, raw, graph, bool(self.wish))
        ahead = self._jobs() > 1 and start_method(self.settings) == "fork"
        message["regions"] = region_rows(graph, lambda name: self.settings.at_home(name) is not None, ahead)
        message["turns_ahead"] = ahead
        message["kept_inside"] = self._kept_inside(graph) if self._jobs() > 1 else ""
        message["sources"] = _sources(Path(self.target.root), graph)
        message["books"] = _notebook_rows(graph, self.target.source.text) if ahead else []
        message["scripts"] = [list(row) for row in self.target.source.runs]
        message["patient"] = bool(os.environ.get("_INFERFLOW_TURNS"))
        return message

    def _jobs(self) -> int:
        return 1 if self.settings.backend == "inline" else self.settings.jobs

    def _tick(self) -> float | None:
        wanted = self.observer.tick()
        if self.deadline is None or self.engine is None or self.crew is None:
            return wanted
        left = self.deadline - time.monotonic()
        if left <= 0 and not self.engine.timed_out:
            self.engine.timed_out = True
            self.crew.kill("home")
        return min(wanted, max(left, 0.0)) if wanted is not None else max(left, 0.0) or None

    def interrupted(self) -> None:
        """Ctrl-C: the first lets the driver end as native would, the second kills."""
        self.interrupts += 1
        if self.engine is not None:
            self.engine.interrupted = True
        if self.crew is None or self.engine is None:
            raise KeyboardInterrupt
        if self.interrupts == 1:
            self.crew.interrupt()
        else:
            self.crew.kill("home")

    def close(self) -> None:
        if self.crew is not None:
            self.crew.close()


def _notebook_rows(graph: TaskGraph, text: str) -> list[list[object]]:
    if "notebook" not in text and "nbclient" not in text:
        return []
    from inferflow.session.notebook import notebook_rows

    return notebook_rows(graph, text)


def _write_fault(faults: list[str], file: Path) -> Path | None:
    if not faults:
        return None
    file.write_text("\n".join(faults))
    return file


def _plan(
    graph: TaskGraph, settings: Settings, jobs: int, learned: dict[int, str], forks: bool
) -> tuple[Plan, list[str]]:
    """The plan, and notes on tasks that should have had a container of their own. Raises WrongUse for a task that a
    setting places elsewhere although it cannot leave home."""

    def stays(name: str) -> bool:
        return settings.at_home(name) is not None

    limits: dict[int, float] = {}
    if settings.tasks:
        limits = {i: limit for i, t in enumerate(graph.tasks) if (limit := settings.placement_of(t.name).timeout)}
    own = _with_image(settings.placement(), settings)
    if settings.backend not in ("process", "docker") or not _places(settings):
        return make_plan(graph, stays, jobs, learned, forks, limits=limits), []
    wanted = _with_images(settings)
    placed, refused = places_of(graph.tasks, wanted, own, stays)
    notes = []
    for index, why in refused.items():
        task = graph.tasks[index]
        if is_firm(wanted(task.name), own):
            raise WrongUse(
                f"task {task.name} cannot run apart from home, as the settings of tasks want it: {why}",
                span=task.span,
                hint="take backend, image and limits out of the tables of [tasks] that match it, and set them for the "
                "whole run instead",
            )
        if task.kind in ("call", "group"):
            notes.append(f"{task.name} stays in home's container: {why}")
    return make_plan(graph, stays, jobs, learned, forks, placed=placed, limits=limits), notes


def _with_image(placement: Placement, settings: Settings) -> Placement:
    """The placement with the project's own image, where no other is named."""
    if placement.backend != "docker" or placement.image:
        return placement
    from inferflow.session.image import image_of_project

    return evolve(placement, image=image_of_project(settings))


def _with_images(settings: Settings) -> Callable[[str], Placement]:
    return lambda name: _with_image(settings.placement_of(name), settings)


def _places(settings: Settings) -> bool:
    return settings.container.isolation == "task" or any(rule.place != Placement() for rule in settings.tasks)


class _Later:
    """Stands for a crew that is opened after the engine (inline)."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@contextlib.contextmanager
def _signals(session: _Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM go to the driver; this process stays to write down how it ended."""
    if threading.current_thread() is not threading.main_thread() or session.settings.backend == "inline":
        yield
        return
    caught: dict[int, Any] = {}

    def on_interrupt(number: int, frame: object) -> None:
        session.interrupted()

    def on_terminate(number: int, frame: object) -> None:
        if session.crew is None or session.engine is None:
            raise SystemExit(128 + number)
        session.crew.signal_home(number)

    caught[signal.SIGINT] = signal.signal(signal.SIGINT, on_interrupt)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            number = getattr(signal, name)
            if signal.getsignal(number) is signal.SIG_DFL:
                caught[number] = signal.signal(number, on_terminate)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)


def _in_one_piece(graph: TaskGraph) -> TaskGraph:
    """The graph for helpers that cannot run items of a comprehension one by one: all of it is one helper's work."""
    tasks = tuple(
        evolve(task, home=()) if task.home and all(reason.text == ONE_BY_ONE for reason in task.home) else task
        for task in graph.tasks
    )
    return evolve(graph, tasks=tasks)


def plan_message(plan: Plan, raw: dict[str, Any], graph: TaskGraph, reuse: bool = False) -> Message:
    """The plan as home needs it (see ``worker.home``). ``reuse``: results of earlier runs may be used again."""
    away = frozenset((*plan.ahead, *plan.placed))
    usable = reusable(plan) if graph.entry != "notebook" else {}
    told = away | usable.keys()
    units = []
    for index, task in enumerate(graph.tasks):
        anchor = task.anchor
        block = graph.blocks[anchor.block]
        expression = anchor.expression
        names = [output for output in plan.keeps[index] if output.variable.scope in (block.scope, "<value>")]
        if expression is not None:
            names = [output for output in names if output.variable.scope == "<value>"][:1]
        units.append(
            [
                index,
                anchor.block,
                anchor.first,
                anchor.last,
                [expression.line, expression.column, expression.end_line, expression.end_column]
                if expression
                else None,
                [[output.variable.scope, output.variable.name] for output in names],
                all(output.definite for output in names),
                index in away or (reuse and index in usable),
                list(task.inner),
                [[s.line, s.column, s.end_line, s.end_column] for s in task.preamble if index in told],
                [output.variable.name for output in names if output.change == "changed"],
                [output.variable.name for output in names if output.change == "bound" and not output.definite],
            ]
        )
    blocks = [
        {"kind": b.kind, "name": b.name, "scope": b.scope, "line": b.span.line, "column": b.span.column}
        for b in graph.blocks
    ]
    return {
        "kind": "plan",
        "units": units,
        "blocks": blocks,
        "publish": sorted(index for index in plan.publish if index >= 0),
        "settle": sorted(plan.settle),
        "wary": sorted(plan.wary),
        "draws": _drawing(graph),
        "forks": sorted(plan.forks),
        "inputs": list(plan.entry_inputs),
        "placed": bool(plan.placed),
        "trusts": bool(plan.trusted),
        "recipes": [[task, *names] for task, names in usable.items()],
        "read": sorted({item.producer for task in usable for item in graph.tasks[task].inputs if item.producer >= 0}),
        "reuse": reuse,
        "books": [],
        "notebooks": [[i, task.name] for i, task in enumerate(graph.tasks) if task.kind == "notebook"],
        "parameters": raw,
        "entry": graph.entry,
    }


def _drawing(graph: TaskGraph) -> list[int]:
    """The tasks that are known to change which figures there are."""
    pyplot = Hidden("matplotlib.pyplot")
    return [
        index
        for index, task in enumerate(graph.tasks)
        if any(e.place == pyplot and e.mode == "write" and not e.assumed for e in task.effects)
    ]


def _sources(root: Path, graph: TaskGraph) -> list[list[object]]:
    """The project files that were analysed besides the driver's own, as home looks at them (``worker.analysed``): the
    digest is empty where a file has been written since."""
    rows: list[list[object]] = []
    for path, digest in graph.sources:
        if path == graph.path:
            continue
        try:
            state = os.stat(root / path)
            data = (root / path).read_bytes()
            same = content_digest(decode_source(data).encode("utf-8", "surrogatepass")) == digest
        except (OSError, NotText):
            continue
        if same:
            rows.append([str(root / path), state.st_mtime_ns, state.st_size, hashlib.sha256(data).hexdigest()])
        else:
            rows.append([str(root / path), 0, 0, ""])
    return rows


def _started(
    target: Target, settings: Settings, run_id: str, arguments: tuple[str, ...], raw: dict[str, Any], code: CodeIdentity
) -> RunStarted:
    pid, boot = process_identity()
    return RunStarted(
        run=run_id,
        time=time.time(),
        target=target.text,
        folder=target.cwd,
        arguments=arguments,
        parameters=_recorded(raw),
        graph="",
        backend=settings.backend,
        jobs=settings.jobs,
        version=__version__,
        pid=pid,
        boot=boot,
        code=code,
        environment=environment(),
    )


def _surrounded(environment: Environment, facts: Surroundings) -> Environment:
    """The environment with what is known of another interpreter than ours."""
    if not facts.python:
        return environment
    return evolve(
        environment,
        python=facts.python,
        implementation=facts.implementation,
        executable=facts.executable,
        packages=environment.packages if facts.image == "host" else distributions(facts.packages),
        image=f"{facts.image} ({facts.digest})",
    )


def _recorded(raw: dict[str, dict[str, object]]) -> tuple[tuple[str, str], ...]:
    if not raw:
        return ()
    from inferflow.config.parameters import recorded

    return recorded(raw)


def _code(code: CodeIdentity, graph: TaskGraph) -> CodeIdentity:
    return evolve(code, functions=graph.reached)


def _backend(name: str) -> Backend:
    """The backend registered under ``name``; raises WrongUse."""
    if name == "process":
        from inferflow.backends.process import ProcessBackend

        return ProcessBackend()
    if name == "docker":
        from inferflow.backends.docker import DockerBackend

        return DockerBackend()
    if name == "inline":
        from inferflow.backends.inline import InlineBackend

        return InlineBackend()
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group="inferflow.backends")}
    if name not in found:
        raise WrongUse(f"there is no backend {name!r}", hint=f"there are: {', '.join(sorted(found))}")
    try:
        backend: Backend = found[name].load()()
    except Exception as error:
        raise UserError(f"the backend {name!r} cannot be loaded: {error}") from None
    return backend


def _outposts(name: str, launch: Launch) -> Any:
    """What starts workers apart with the backend ``name``; raises WrongUse if it cannot."""
    backend = _backend(name)
    if not hasattr(backend, "outposts"):
        raise WrongUse(f"a single task cannot be placed with the backend {name!r}", hint="use process or docker")
    return backend.outposts(launch)
