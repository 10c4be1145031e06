"""The engines: one of each for a whole session of tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from daemons import Daemon, docker_daemon, podman_service


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Daemon]:
    if os.environ.get("TEST_ENGINE"):  # one that somebody else has started
        yield Daemon("given", os.environ["TEST_ENGINE"], None)
        return
    with docker_daemon() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[Daemon]:
    with podman_service() as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a container behind."""
    yield
    for name in ("docker_engine", "podman_engine"):
        if name in request.fixturenames and "leftovers" not in request.keywords:
            daemon: Daemon = request.getfixturevalue(name)
            if daemon.process is None or daemon.process.poll() is None:
                until = time.monotonic() + 120  # the engine may still be taking it away
                while daemon.ours() and time.monotonic() < until:
                    time.sleep(0.2)
                assert daemon.ours() == []
