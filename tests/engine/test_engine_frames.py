"""The desk that hands out the items of loops: every item is run exactly once, in whatever order things happen."""

from __future__ import annotations

import random
from typing import Any

import pytest

from inferflow.engine.frames import Desk


class Crew:
    """Takes notes of what the desk asks for."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[tuple[str, int]] = []
        self.killed: list[str] = []
        self.threads = 1

    def running_threads(self, worker: str) -> int:
        return self.threads

    def send(self, worker: str, message: dict[str, Any]) -> None:
        self.sent.append((worker, message))

    def helper(self, epoch: int) -> str:
        name = f"helper-{len(self.asked)}"
        self.asked.append((name, epoch))
        return name

    def kill(self, worker: str) -> None:
        self.killed.append(worker)

    def processor_time(self, worker: str) -> float | None:
        return 1.0


def opened(count: int, rate: float = 0.0, at: int = 0) -> dict[str, Any]:
    return {"kind": "frame", "frame": 1, "region": 0, "task": 0, "count": count, "at": at, "rate": rate}


def done(order: dict[str, Any], rate: float, failed: int | None = None) -> dict[str, Any]:
    """A helper's message on a batch; ``failed`` is an item that raised."""
    stop = order["stop"] if failed is None else failed
    return {
        "kind": "items", "frame": 1, "start": order["start"], "done": stop - order["start"], "failed": failed is not None,
        "duration": rate * max(1, stop - order["start"]), "output": [], "seen": [], "inline": b"",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_home_comes_to_the_end_and_every_item_is_run_once(seed: int) -> None:
    rng = random.Random(seed)
    crew = Crew()
    desk = Desk(crew, jobs=rng.choice([2, 3, 8]))  # type: ignore[arg-type]
    count = rng.choice([2, 5, 40, 1000])
    rate = rng.choice([1e-5, 1e-3, 0.5])
    desk.opened(opened(count, rng.choice([0.0, rate])))
    fails = {item for item in range(count) if rng.random() < 0.05}
    index, lease, results = 0, 1, set[int]()
    ran: dict[int, str] = {}
    orders: dict[str, dict[str, Any]] = {}
    waiting = False
    joined = 0
    template = False

    def home(reply: dict[str, Any]) -> None:
        nonlocal lease, waiting
        waiting = False
        lease = reply["lease"]
        for batch in reply["batches"]:
            results.update(range(batch["start"], batch["start"] + batch["done"]))

    for _ in range(200_000):
        if index >= count:
            break
        act = rng.random()
        if not template and act < 0.1:
            desk.template(-1)
            template = True
        elif joined < len(crew.asked) and act < 0.3:
            name, epoch = crew.asked[joined]
            assert epoch == -1
            assert desk.joined(name, epoch)
            joined += 1
        elif orders and act < 0.5:
            worker = rng.choice(sorted(orders))
            order = orders.pop(worker)
            if rng.random() < 0.05:
                ours, replies = desk.lost(worker, "gone")
                assert ours
            else:
                bad = min((item for item in range(order["start"], order["stop"]) if item in fails), default=None)
                for item in range(order["start"], order["stop"] if bad is None else bad):
                    assert item not in ran
                    ran[item] = worker
                replies = desk.finished(worker, done(order, rate, bad))
            for reply in replies:
                home(reply)
        elif not waiting:
            if index in results:
                index += 1
            elif index < lease:
                assert index not in ran
                ran[index] = "home"
                index += 1
            else:
                reply = desk.at({"frame": 1, "at": index, "rate": rate})
                if reply is None:
                    waiting = True
                else:
                    home(reply)
        assert not waiting or orders
        desk.act(0)
        for worker, order in crew.sent:
            assert worker not in orders
            orders[worker] = order
        if crew.sent:  # home computes too, unless it waits
            assert len(orders) + (not waiting) <= desk.jobs
        crew.sent.clear()
    assert index == count
    assert sorted(ran) == list(range(count))
    desk.closed(1)
    assert not desk.frames


def test_items_that_take_long_are_handed_out_one_by_one_beside_home() -> None:
    crew = Crew()
    desk = Desk(crew, jobs=2)  # type: ignore[arg-type]
    desk.opened(opened(16))
    desk.template(-1)
    desk.act(0)
    assert desk.joined("helper-0", -1)
    desk.act(0)
    assert crew.sent == [("helper-0", {"kind": "items", "frame": 1, "start": 2, "stop": 3})]
    assert desk.at({"frame": 1, "at": 1, "rate": 0.5}) == {"kind": "items", "lease": 2, "batches": []}


def test_a_template_may_say_hello_before_home_has_told_of_its_loop() -> None:
    crew = Crew()
    desk = Desk(crew, jobs=2)  # type: ignore[arg-type]
    desk.template(-1)
    desk.opened(opened(4, 0.5))
    desk.act(0)
    assert crew.asked == [("helper-0", -1)]
    desk.closed(1)
    desk.template(-1)
    assert crew.killed == ["template:-1", "template:-1"]


def test_after_two_helpers_that_gave_up_home_runs_the_rest() -> None:
    crew = Crew()
    desk = Desk(crew, jobs=3)  # type: ignore[arg-type]
    desk.opened(opened(100, 0.5))
    desk.template(-1)
    desk.act(0)
    for name, _ in list(crew.asked):
        desk.joined(name, -1)
        desk.lost(name, "it acts on the outside world")
    reply = desk.at({"frame": 1, "at": 1, "rate": 0.5})
    assert reply is not None
    assert reply["lease"] == 100


def test_calls_that_keep_all_processors_busy_are_left_to_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferflow.engine.frames.CROWD_INTERVAL", 0.0)
    crew = Crew()
    desk = Desk(crew, jobs=2)  # type: ignore[arg-type]
    desk.opened(opened(9))
    desk.template(-1)
    desk.act(0)
    desk.joined("helper-0", -1)
    desk.act(0)
    assert desk.relieve() == []
    crew.threads = 2
    assert [desk.relieve(), desk.relieve()] == [[], []]
    assert crew.killed == ["helper-0"]
    assert desk.at({"frame": 1, "at": 1, "rate": 0.5}) == {"kind": "items", "lease": 9, "batches": []}
    assert desk.lost("helper-0", "killed") == (False, [])


def test_the_last_long_items_are_given_to_helpers_too() -> None:
    crew = Crew()
    desk = Desk(crew, jobs=2)  # type: ignore[arg-type]
    desk.opened(opened(3, 0.5))
    desk.template(-1)
    desk.act(0)
    desk.joined("helper-0", -1)
    desk.act(0)
    worker, order = crew.sent[0]
    assert (worker, order["start"], order["stop"]) == ("helper-0", 1, 2)


def test_groups_of_a_stage_are_handed_out_at_once_and_one_by_one() -> None:
    crew = Crew()
    desk = Desk(crew, jobs=4)  # type: ignore[arg-type]
    desk.opened({**opened(4, at=-1), "apart": True})
    desk.template(-1)
    desk.act(0)
    assert len(crew.asked) == 3
    for name, epoch in crew.asked:
        desk.joined(name, epoch)
    desk.act(0)
    assert [(order["start"], order["stop"]) for _, order in crew.sent] == [(0, 1), (1, 2), (2, 3)]
    assert desk.at({"frame": 1, "at": 0, "rate": 0.0}) is None
    crew.sent.clear()
    desk.act(0)  # home waits: there is room for one more, if there were another helper
    assert len(crew.asked) == 4


def simulated(count: int, seconds: float, jobs: int, start: float = 0.02) -> float:
    """When home has come to the end of a loop, if a helper is there ``start`` seconds after it was asked for."""
    crew = Crew()
    desk = Desk(crew, jobs=jobs)  # type: ignore[arg-type]
    desk.opened(opened(count))
    now, index, lease, home_until, waiting = 0.0, 0, 1, seconds, False
    results: set[int] = set()
    comes: list[tuple[float, str]] = [(start, "template")]
    busy: dict[str, tuple[float, dict[str, Any]]] = {}
    asked = 0
    while index < count:
        desk.act(0)
        for worker, order in crew.sent:
            busy[worker] = (now + seconds * (order["stop"] - order["start"]), order)
        crew.sent.clear()
        comes += [(now + start, name) for name, _ in crew.asked[asked:]]
        asked = len(crew.asked)
        times = [time for time, _ in comes] + [time for time, _ in busy.values()]
        now = min([*times, *([] if waiting else [home_until])])
        replies: list[dict[str, Any]] = []
        for moment, name in [one for one in comes if one[0] <= now]:
            comes.remove((moment, name))
            if name == "template":
                desk.template(-1)
            else:
                desk.joined(name, -1)
        for worker in [name for name, (time, _) in busy.items() if time <= now]:
            replies += desk.finished(worker, done(busy.pop(worker)[1], seconds))
        if not waiting and home_until <= now:
            index += 1
        while index < count and (waiting or home_until <= now):
            reply = replies.pop() if waiting and replies else None
            if reply is None and waiting:
                break
            if reply is None and index in results:
                index += 1
                continue
            if reply is None and index < lease:
                home_until = now + seconds
                break
            if reply is None:
                reply = desk.at({"frame": 1, "at": index, "rate": seconds})
            waiting = reply is None
            if reply is not None:
                lease = reply["lease"]
                for batch in reply["batches"]:
                    results.update(range(batch["start"], batch["start"] + batch["done"]))
    return now


@pytest.mark.parametrize(("jobs", "count"), [(2, 16), (2, 15), (4, 16), (4, 17), (8, 16)])
def test_long_items_are_spread_evenly(jobs: int, count: int) -> None:
    rounds = -(-count // jobs)
    assert simulated(count, 0.5, jobs) <= 0.5 * rounds * 1.05 + 0.15
