"""The docker backend: home is a container, and helpers are forked in it; tasks that are placed elsewhere have
containers of their own.

The driver runs in home's container as it runs in home's process with the process backend: the same worker, hooks,
helpers forked from its state. What differs is how the worker comes to be (``docker_container``), and that signals and
its end go through the container's first process (``worker.container``). Containers are started in threads, while the
driver is analysed and earlier tasks run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from inferflow.backends.crew import Outposts, WorkerCrew
from inferflow.backends.docker_container import Container, Engine, Recipe, labels
from inferflow.backends.docker_engine import connect
from inferflow.backends.docker_leftovers import remove_leftovers
from inferflow.backends.docker_recipe import HOST, environment_of, find_image, recipe_of, user_variables
from inferflow.backends.docker_worker import INSIDE, is_compiled, worker_folder
from inferflow.backends.start import interpreter_flags, make_streams, private_folder
from inferflow.errors import BrokenEnvironment
from inferflow.model import Placement
from inferflow.protocols import Crew, Launch, Message, Surroundings
from inferflow.worker.main import BOOT

__all__ = ["DockerBackend", "DockerOutposts"]


class DockerBackend:
    """Workers in containers."""

    name = "docker"

    def open(self, launch: Launch) -> Crew:
        """Start home's container, and return at once; ``surroundings`` tells whether it came up. Raises
        BrokenEnvironment, WrongUse."""
        return WorkerCrew(launch, _HomeContainer(launch), launch.outposts)

    def outposts(self, launch: Launch) -> Outposts:
        """What starts further workers in containers of their own."""
        return DockerOutposts(launch, None)


class _Site:
    """What the containers of one run have in common: the engine, the folder of sockets, the worker's code."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.engine = Engine(lambda: connect(os.environ))
        self.containers: list[Container] = []
        self.folder = private_folder()
        self.address = f"unix:{self.folder}/s"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(f"{self.folder}/s")
        self.listener.listen(64)
        self.listener.setblocking(False)
        setup = launch.setup
        self.store = Path(str(setup["store"]))
        try:
            self.worker = worker_folder(self.store)
        except OSError as error:
            self.close()
            raise BrokenEnvironment(
                f"the worker's code cannot be put into {self.store}: {error.strerror}", hint="see: inferflow doctor"
            ) from None
        self.folders = [str(setup["root"]), str(setup["path0"]), str(launch.folder), str(self.store), self.folder]

    def start(
        self, name: str, role: str, token: str, placement: Placement, descriptors: list[int], places: list[int],
        more: list[str],
    ) -> Container:  # fmt: skip
        """A container whose worker has the role (and, as a helper, the name). ``descriptors`` of ours, which are given
        away, get the numbers ``places`` there; ``more`` ends the worker's command. Raises WrongUse."""
        environment = {**user_variables(), **environment_of(placement, os.environ)}
        environment |= {"_INFERFLOW_TOKEN": token, "_INFERFLOW_ROLE": role}
        if role == "helper":
            environment["_INFERFLOW_WORKER"] = name
        umask = os.umask(0)
        os.umask(umask)

        def recipe() -> Recipe:
            marks = labels(self.launch.owner, str(self.launch.folder))
            return recipe_of(self.engine, placement, self.folders, self.worker, str(self.launch.folder), marks)

        def order(hello: dict[str, Any]) -> dict[str, Any]:
            tag = str(hello.get("tag") or "")
            return {
                "kind": "start",
                "environment": environment,
                "command": ["", *interpreter_flags(), f"{INSIDE}/inferflow/worker/{BOOT}", self.address, *more],
                "places": places,
                "folder": str(self.launch.folder),
                "umask": umask,
                "compile": "" if is_compiled(self.worker, tag) else str(self.worker),
            }

        environment_seen = {"_INFERFLOW_TOKEN": token}
        begun = self._sweep if role == "home" else lambda: None
        container = Container(self.engine, recipe, self.folder, order, descriptors, environment_seen, name, begun)
        self.containers.append(container)
        return container

    def join(self) -> None:
        """Wait until all containers that are to be removed are."""
        for container in self.containers:
            container.join()

    def _sweep(self) -> None:
        """Remove what earlier runs left behind."""
        with contextlib.suppress(BrokenEnvironment):
            remove_leftovers(self.launch.lives, self.engine.client)

    def close(self) -> None:
        self.listener.close()
        self.engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class _HomeContainer:
    """Home in a container."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.token = os.urandom(8).hex()
        self.mark = b"\0\x1b" + os.urandom(12).hex().encode() + b"\0"
        self.site = _Site(launch)
        self.listener = self.site.listener
        out, err, self.streams, self.one_stream = make_streams((launch.stdout, launch.stderr))
        lifeline, self._lifeline = os.pipe()
        orders, self._orders = os.pipe()
        _widen(self._orders)
        descriptors = [out, os.dup(err) if err == out else err, lifeline, orders]
        places = [1, 2, 3, 4]
        with contextlib.suppress(OSError):  # natively it may be closed
            descriptors.insert(0, os.dup(0))
            places.insert(0, 0)
        try:
            self.container = self.site.start("home", "home", self.token, launch.placement, descriptors, places, ["4"])
        except BaseException:
            for number in {*descriptors, *self.streams, self._lifeline, self._orders}:
                os.close(number)
            self.site.close()
            raise
        self.crew: WorkerCrew | None = None

    def setup(self) -> Message:
        return {"mark": self.mark, "lifeline": 3, "controller": 0, "one_stream": self.one_stream, "contained": True,
                "address": self.site.address}  # fmt: skip

    def send_setup(self, frame: bytes) -> None:
        with contextlib.suppress(OSError), os.fdopen(self._orders, "wb", buffering=0) as pipe:
            while frame:
                frame = frame[pipe.write(frame) :]
        self._orders = -1

    def watch(self, crew: WorkerCrew) -> None:
        _watch(crew, self.container, lambda: self._told(crew))

    def _told(self, crew: WorkerCrew) -> None:
        """The container's first process said something, or is gone."""
        container = self.container
        if container.sock is None:
            crew.home_ended(None, 0, str(container.error.message if container.error else "the container did not start"))
            return
        there = container.heard()
        if container.error is not None:
            crew.selector.unregister(container.sock)
            crew.home_ended(None, 0, container.error.message, True)
        elif container.exited is not None or not there:
            crew.selector.unregister(container.sock)
            code, cause, broken = container.end()
            peak = int(container.exited.get("memory", 0)) if container.exited else 0
            crew.home_ended(code, peak, cause, broken)

    def waits(self) -> bool:
        return True

    def look(self, crew: WorkerCrew) -> None:
        """Its end wakes the crew up."""

    def signal(self, number: int, typed: bool) -> None:
        self.container.told_to_end = number
        self.container.command({"kind": "signal", "number": number, "group": typed})

    def end_process(self, pid: int) -> None:
        self.container.command({"kind": "kill", "pid": pid})

    def surroundings(self) -> Surroundings:
        self.container.started()
        return _surroundings(self.container)

    def close(self, ended: bool) -> None:
        if ended and self.container.exited is not None and not self.container.leave(1.0):
            self.container.abandon()  # what the driver left running goes on, as natively
        else:
            self.container.remove()
        self.site.join()
        for number in (self._lifeline, self._orders):
            if number >= 0:
                os.close(number)
        self.site.close()


class DockerOutposts:
    """Starts workers in containers of their own."""

    contained = True

    def __init__(self, launch: Launch, site: _Site | None) -> None:
        self.launch = launch
        self.site = site
        self.own = site is None
        self.posts: list[_Post] = []

    def start(self, crew: WorkerCrew, name: str, placement: Placement) -> _Post:
        site = self._at(crew)
        null = os.open(os.devnull, os.O_RDWR)
        descriptors = [null, os.dup(null), os.dup(null)]
        container = site.start(name, "helper", crew.base.token, placement, descriptors, [0, 1, 2], [])
        post = _Post(container)
        self.posts.append(post)
        _watch(crew, container, lambda: post.told(crew, name))
        return post

    def image(self, crew: WorkerCrew, placement: Placement) -> str:
        engine = self._at(crew).engine  # (in any case: whether there is one shows now)
        return HOST if placement.image == HOST else find_image(engine, placement.image)

    def _at(self, crew: WorkerCrew) -> _Site:
        if self.site is None:
            base = crew.base
            if isinstance(base, _HomeContainer):
                self.site, self.own = base.site, False
            else:
                self.site = _Site(self.launch)
                crew.listen(self.site.listener)
        return self.site

    def close(self) -> None:
        for post in self.posts:
            post.container.remove()
        if self.own and self.site is not None:
            self.site.join()
            self.site.close()


class _Post:
    """A worker in a container of its own."""

    def __init__(self, container: Container) -> None:
        self.container = container

    def told(self, crew: WorkerCrew, name: str) -> None:
        container = self.container
        if container.sock is None:
            error = container.error
            crew.outpost_failed(name, None, _words(error) if error else "its container did not start")
            return
        if not container.heard() or container.exited is not None or container.error is not None:
            crew.selector.unregister(container.sock)
            if name in crew.apart and name not in crew.peers:
                code, cause = self.ending()
                crew.outpost_failed(name, code, cause)
            if container.exited is not None:
                container.remove()  # while the run goes on

    def kill(self) -> None:
        self.container.command({"kind": "signal", "number": 9})

    def surroundings(self) -> Surroundings:
        return _surroundings(self.container)

    def ending(self) -> tuple[int | None, str]:
        container = self.container
        if container.error is not None:
            return None, _words(container.error)
        if container.exited is None and container.sock is not None:
            until = time.monotonic() + 1.0
            while container.exited is None and time.monotonic() < until and container.heard(0.1):
                pass
        code, cause, _ = container.end()
        return code, cause


def _surroundings(container: Container) -> Surroundings:
    hello, recipe = container.hello, container.recipe
    assert recipe is not None
    return Surroundings(
        ".".join(map(str, hello["version"])),
        hello["implementation"],
        hello["executable"],
        recipe.called,
        recipe.image,
        tuple(hello.get("packages", ())),
    )


def _words(error: BrokenEnvironment) -> str:
    return error.message + (f". To mend it: {error.hint}" if error.hint else "")


def _watch(crew: WorkerCrew, container: Container, told: Any) -> None:
    """Call ``told`` in the crew's turn whenever the container's first process says something, or could not begin."""

    def up(wake: int) -> None:
        crew.selector.unregister(wake)
        if container.sock is None:
            told()
            return
        crew.selector.register(container.sock, selectors.EVENT_READ, lambda _: told())

    crew.selector.register(container.wake, selectors.EVENT_READ, up)


def _widen(pipe: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
