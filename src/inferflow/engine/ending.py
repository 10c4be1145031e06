"""How workers end, and the run with home: the failure that is recorded, the certificate, the exit status."""

from __future__ import annotations

import time
from typing import Any

from inferflow.engine import schedule
from inferflow.engine.away import lose_post, lost, wasted
from inferflow.engine.outcome import cause_of, failure_of_end, failure_of_loss, outcome_of
from inferflow.engine.progress import Progress, decoded
from inferflow.engine.turns import answer_waiting
from inferflow.engine.watching import tell_home
from inferflow.model import (
    Certificate,
    TaskFailed,
    TaskFinished,
    TaskRetired,
    WorkerLost,
)
from inferflow.protocols import Notice
from inferflow.records import evolve

__all__ = ["helper_ended", "home_finished", "home_lost"]


def helper_ended(run: Progress, notice: Notice) -> None:
    """The process of a helper, or of a worker at a post, has ended."""
    code = notice.exit_code
    if notice.worker in run.posts.workers:
        signal, cause = cause_of(code, 0)
        cause = notice.cause or f"its worker ended: {cause}"
        run.events.append(WorkerLost(time.time(), notice.worker, code, signal, cause))
        lose_post(run, notice.worker, cause, code == -9 and bool(notice.cause))
    ours, replies = run.desk.lost(notice.worker, "its helper ended")
    if ours:
        tell_home(run, replies)
        return
    helper = run.state.helpers.get(notice.worker)
    if helper is not None and helper.task >= 0 and notice.worker not in run.ended_helpers:
        signal, cause = cause_of(code, 0)
        run.events.append(WorkerLost(time.time(), notice.worker, code, signal, cause))
        if signal == "SIGSYS":
            wasted(run, helper.task, "code outside Python acted on files, or on the outside world")
        lost(run, helper.task, f"its helper ended: {cause}", notice.worker)
    run.state = schedule.helper_gone(run.state, notice.worker)
    for worker, reply in answer_waiting(run):
        run.crew.send(worker, reply)


def home_finished(run: Progress, end: dict[str, Any], notice: Notice) -> None:
    """Home told how the program ended, and its process has ended since."""
    run.note_outside(end.get("output"))
    failure: TaskFailed | None = None
    if end["status"] == "error" or (end["status"] == "exit" and notice.exit_code):
        task = end["task"]
        attempt = run.attempts.get(task)
        failure = failure_of_end(end, task, attempt.number if attempt else 0, run.folder, run.files(end))
        out, err = (run.outside.pop("stdout"), run.outside.pop("stderr")) if task >= 0 else (b"", b"")
        if task >= 0:
            stdout, stderr = decoded(bytes(out)), decoded(bytes(err))
            inside = run.regions(end, task, [len(stdout), len(stderr)])
            failure = evolve(failure, stdout=stdout, stderr=stderr, regions=inside)
            run.outside = {"stdout": bytearray(), "stderr": bytearray()}
        run.events.append(failure)
    elif end["task"] >= 0 and (attempt := run.attempts.get(end["task"])) is not None:
        stdout, stderr = decoded(bytes(run.outside["stdout"])), decoded(bytes(run.outside["stderr"]))
        event = TaskFinished(
            end["time"], end["task"], attempt.number, end["duration"], end["cpu"], end["memory"], (),
            run.files(end), stdout, stderr,
        )  # fmt: skip
        run.events += [event, TaskRetired(end["time"], end["task"], attempt.number)]
    if "returned" in end:
        run.driver_values = run.values.kept(end["returned"], run.artifacts).stored
    _close(run, notice, failure)


def home_lost(run: Progress, notice: Notice) -> None:
    """Home ended without a word: a signal, or ``os._exit``."""
    if run.misfit:
        now = time.time()
        refused = TaskFailed(now, -1, 0, 0.0, "ParameterError", run.misfit, "")
        run.events.append(refused)
        _close(run, notice, refused)
        return
    if notice.exit_code == 0:
        if not run.faults:
            run.reasons["the driver ended its process at once, or hid from us: the end was not recorded"] = None
        _close(run, notice, None)
        return
    task = run.pending_reply[0] if run.pending_reply else run.running_at_home()
    task = run.broken_task if run.halted else task
    attempt = run.attempts.get(task)
    failure = failure_of_loss(notice, task, attempt.number if attempt else 0, run.plan, run.timed_out)
    if run.overran:
        failure = evolve(failure, message=run.overran)
    elif run.halted:
        failure = evolve(failure, exception="PlacementFailed", message=run.broken)
    lost = WorkerLost(time.time(), "home", notice.exit_code, failure.exception, failure.message)
    run.events += [lost, failure]
    _close(run, notice, failure)


def _close(run: Progress, notice: Notice, failure: TaskFailed | None) -> None:
    for stream, log in run.logs.items():
        run.outside[stream] += log.rest()
    if run.reuse is not None:
        run.reasons.update(dict.fromkeys(run.reuse.reasons(run.plan)))
    certificate = Certificate(
        run.counts.get("home", 0),
        run.counts.get("ahead", 0),
        run.counts.get("dropped", 0),
        run.counts.get("pinned", 0),
        tuple(run.reasons),
        run.counts.get("trusted", 0),
        run.counts.get("held", 0),
        run.counts.get("reused", 0),
    )
    run.outcome = outcome_of(
        notice.exit_code,
        failure,
        certificate,
        (*(run.parameters.stored if run.parameters else ()), *run.driver_values),
        decoded(bytes(run.outside["stdout"])),
        decoded(bytes(run.outside["stderr"])),
        interrupted=run.interrupted,
        timed_out=run.timed_out,
        broken=run.broken_status if run.halted else 4 if notice.broken else 0,
    )
    run.events.append(run.outcome.event)
