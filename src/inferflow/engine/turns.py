"""Home's turn: it has come to a task that a helper, or an earlier run, may have a result of.

home: at {task}     -> run       nobody has begun it: home does
                    -> (waits)   a helper is at it
                    -> adopt     here is the result, and what has to be looked at before it counts
home: adopted       it counts: the task retires
"""

from __future__ import annotations

import time
from typing import Any, cast

from inferflow.engine import schedule
from inferflow.engine.progress import Progress
from inferflow.engine.reuse import IMAGE
from inferflow.model import (
    TaskRetired,
    TaskStarted,
)
from inferflow.protocols import Message
from inferflow.records import evolve

__all__ = ["adopted", "answer_waiting", "came_to", "offer", "unbar", "withdraw"]


def came_to(run: Progress, message: dict[str, Any]) -> list[tuple[str, Message]]:
    """Home has come to a task that may have run elsewhere, and asks."""
    run.note_outside(message.get("before"))
    run.pending_reply = (message["task"], tuple(message["inner"]))
    run.waiting_since, run.waiting_cpu = time.monotonic(), None
    return answer_waiting(run)


def answer_waiting(run: Progress) -> list[tuple[str, Message]]:
    """The answer to the home that waits, if there is one by now."""
    if run.pending_reply is None:
        return []
    task, inner = run.pending_reply
    if run.broken and run.broken_task in (task, *inner):  # (tasks before it have been done, as natively)
        run.halted = True
        return [("home", {"kind": "halt"})]
    if run.reuse is not None and not inner:
        offered = task in run.reuse.offers
        olds = run.reuse.take(run.plan, task, run.contents, run.artifacts)
        if olds:
            run.pending_reply = None
            adoption = run.reuse.adoption(olds, task, run.folder, run.artifacts)
            adoption["again"] = task in run.plan.placed  # (if home does not take it, it must not run there)
            return [("home", adoption)]
        if offered and task in run.plan.placed:
            unbar(run, task)
    answer = schedule.answer(run.state, task, inner)
    if answer == "run" and run.posts.holds(run.state, task):
        answer = "wait"
    match answer:
        case "wait":
            run.state = schedule.home_at(run.state, task, waits=True)
            return []
        case "run":
            run.pending_reply = None
            run.state = schedule.home_at(run.state, task if not inner else -1, waits=False)
            return [("home", {"kind": "run"})]
        case "adopt":
            run.pending_reply = None
            return [("home", _adoption(run, task, inner))]


def _adoption(run: Progress, task: int, inner: tuple[int, ...]) -> Message:
    outputs = []
    for index in (*inner, task):
        output: Any = run.results[index].get("output", {})
        flushed: Any = run.results[index].get("flushed", {})
        outputs.append(
            [
                output.get("stdout", b""),
                output.get("stderr", b""),
                flushed.get("stdout", -1),
                flushed.get("stderr", -1),
                run.results[index].get("pieces", []),
            ]
        )
    result: Any = run.results[task]
    if "raises" in result:
        raised: Message = {"kind": "raise", "output": outputs, "raises": result["raises"]}
        if "stood" in result:
            raised.update(stood=result["stood"], checks=[run.checks[task]])
        return raised
    reply: Message = {"kind": "adopt", "output": outputs, "values": bool(result["facts"])}
    placed = run.plan.placed.get(task)
    if placed is not None and run.state.flights[task].trust:
        reply["again"] = True  # it is run once more, at its turn now
    elif placed is not None and (placed.firm or placed.acts):
        reply["firm"] = True  # home must not run it, if it cannot take the result
    seen: list[Any] = [item for index in (*inner, task) for item in cast(Any, run.results[index].get("seen", []))]
    if seen:
        reply["seen"] = seen
    acts = [act for index in (*inner, task) for act in cast(Any, run.results[index].get("acts", []))]
    if acts:
        reply["acts"] = acts
    variables = [part for index in (*inner, task) if (part := run.results[index].get("variables"))]
    if variables:
        reply["variables"] = {name: value for part in cast(Any, variables) for name, value in part.items()}
    checks = [
        {**run.checks[index], "standing": run.results[index].get("standing")}
        for index in (*inner, task)
        if index in run.checks
    ]
    if checks:
        reply["checks"] = checks
    proofs = [_proof(run, index) for index in (*inner, task)]
    if any(any(part.values()) for part in proofs):
        reply["proofs"] = proofs
    if result.get("lasts") and not inner:
        reply["lasted"] = result["duration"]
    if "stood" in result:
        reply["stood"] = result["stood"]
    if "carried" in result:
        reply["carried"] = result["carried"]
        reply["given"] = run.given.get(task, [])
    reply["order"] = list(range(len(result["facts"])))
    if "kept" in result:
        reply.update(names=[name for name, *_ in result["facts"]], kept=result["kept"])
    if "order" in result:
        reply["added"] = result["order"]
    if result.get("inline") is not None:
        reply["inline"] = result["inline"]
    elif result["facts"] and "carried" not in result:
        reply["path"] = str(run.artifacts.path(result["digest"]))
    return reply


def _proof(run: Progress, task: int) -> dict[str, Any]:
    """What home is to look at at the turn of any task: what it was given, and what it could have read."""
    result: Any = run.results[task]
    return {
        "proof": result.get("proof"), "literals": result.get("literals", []), "given": run.given.get(task, []),
    }  # fmt: skip


def offer(run: Progress, rows: list[Any]) -> None:
    """Home has told what tasks are made of: those for which there is a result are not sent to helpers."""
    if run.reuse is not None:
        offered = run.reuse.told(run.plan, rows, run.images([task for task, _ in rows]))
        run.state = evolve(run.state, barred=run.state.barred | offered)


def withdraw(run: Progress) -> None:
    """Offers that nobody will take, since what the tasks read is not what it was: helpers may run these."""
    if run.reuse is None or not run.reuse.offers:
        return
    for task in [task for task in run.reuse.offers if run.contents.is_settled(run.plan, task)]:
        now = run.contents.of(run.plan, task)
        if all(old.inputs != now for old in run.reuse.offers[task]):
            run.reuse.take(run.plan, task, run.contents, run.artifacts)
            unbar(run, task)


def unbar(run: Progress, task: int) -> None:
    """Helpers may run the task after all."""
    barred = run.state.barred - {task}
    run.state = evolve(run.state, barred=barred, frontier=min(run.state.frontier, task))


def _reused(run: Progress, message: dict[str, Any]) -> None:
    """Home has taken over the result of an earlier run."""
    assert run.reuse is not None
    task, now = message["task"], message["time"]
    old = run.reuse.taken[task][message["choice"]]
    stdout, stderr = run.output(message)
    attempt = run.attempt(task, "reused", old.run)
    was = old.event
    event = evolve(
        was, time=now, task=task, attempt=attempt.number, duration=0.0, cpu=0.0, peak_memory=0, stdout=stdout,
        stderr=stderr,
    )  # fmt: skip
    run.events.append(TaskStarted(now, task, attempt.number, "reused", old.run))
    run.events += [event, TaskRetired(now, task, attempt.number)]
    kept = run.reuse.kept(old, run.artifacts)
    run.contents.add(task, kept)
    if task in run.plan.publish:
        run.values.add(task, kept)
    run.count("reused", task)
    run.state = schedule.retired(run.state, task)
    withdraw(run)


def adopted(run: Progress, message: dict[str, Any]) -> None:
    """Home has taken a result over: what ran ahead, or in an earlier run, counts."""
    if run.reuse is not None and message["task"] in run.reuse.taken:
        _reused(run, message)
        return
    run.output(message)
    for task in (*message["inner"], message["task"]):
        _retire_adopted(run, task, message)
        run.count("ahead", task)
        if run.results[task].get("acts"):
            run.count("held", task)
        if task in run.checks and run.checks[task]["trust"]:
            run.count("trusted", task)
        if task in run.plan.placed and run.plan.placed[task].guess is not None:
            name = run.plan.graph.tasks[task].key[0]
            run.reasons[f"{name} ran apart: what libraries hold there was not compared with home"] = None
        run.results.pop(task, None)
        run.checks.pop(task, None)
        run.given.pop(task, None)
    run.state = schedule.retired(run.state, message["task"])
    run.values.forget_before(run.state.retired, run.plan)
    withdraw(run)


def _retire_adopted(run: Progress, task: int, message: dict[str, Any]) -> None:
    attempt = run.attempts[task]
    event = run.acting.pop(task, None)
    if event is None:
        run.events.append(TaskRetired(message["time"], task, attempt.number))
        return
    event = evolve(event, files=(*event.files, *run.files(message)))
    result = run.results.get(task, {})
    if message.get("recipe") and task == message["task"]:
        image = run.images([task]).get(task, "")
        recipe = {**message["recipe"], IMAGE: image}
        done: Any = {"acts": result.get("once") or result.get("acts"), "recipe": recipe}
        recorded, acts = run.recipe(done, "acts")
        event = evolve(event, recipe=recorded, acts=acts)
    if "facts" not in message or task != message["task"]:
        run.events += [event, TaskRetired(message["time"], task, attempt.number)]
        return
    kept = run.values.kept(message, run.artifacts)
    if task in run.plan.publish:
        run.values.add(task, kept)
    run.finish(evolve(event, values=kept.stored), kept)
