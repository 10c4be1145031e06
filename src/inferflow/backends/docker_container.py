"""One container with one worker in it, from its creation to its removal.

What the container is made of (a *recipe*) follows from the placement: image, limits, mounts. Its first process
(``worker.container``) connects to a socket in a private folder that is mounted; it is then handed what must not be seen
by ``inspect`` (environment, secrets) and the very descriptors that the worker shall have, so that the driver's streams
are natively what they are: a pipe, a pseudo-terminal, our own stdin.

    container = Container(engine, recipe, order, descriptors, name)      # begins at once, in a thread
    container.started()                                                  # waits; raises BrokenEnvironment
    container.command({"kind": "signal", "number": 2})
    container.remove()
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from inferflow.backends.docker_engine import explained, told
from inferflow.backends.docker_worker import INSIDE
from inferflow.errors import BrokenEnvironment
from inferflow.records import field, frozen
from inferflow.worker.channel import Decoder, encode

__all__ = ["LABEL", "Container", "Engine", "Recipe", "labels"]

LABEL = "inferflow"
"""Leads the names of the labels by which our containers are known."""
OLDEST = (3, 9)
PATIENCE = 60.0
"""Seconds until a container that runs must have connected to us."""


@frozen
class Recipe:
    """``image`` is what is run (an id), ``called`` what the user called it. ``options`` are those of the engine for
    everything else; ``python`` the interpreters to try, in order. ``memory``: the limit in bytes (0: none)."""

    image: str
    called: str
    options: dict[str, Any] = field(factory=dict)
    python: tuple[str, ...] = ("python3", "python")
    memory: int = 0


class Engine:
    """The client of the engine, connected when it is first needed (in whichever thread)."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class Container:
    """A container on its way, running, or gone."""

    def __init__(
        self,
        engine: Engine,
        recipe: Callable[[], Recipe],
        folder: str,
        order: Callable[[dict[str, Any]], dict[str, Any]],
        descriptors: list[int],
        environment: dict[str, str],
        name: str,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """``begun`` is called in the thread when the worker runs."""
        self.engine, self.recipe_of, self.order_of, self.name = engine, recipe, order, name
        self.begun = begun
        self.recipe: Recipe | None = None
        self.descriptors, self.environment = descriptors, environment
        self.id = ""
        self.hello: dict[str, Any] = {}
        self.error: BrokenEnvironment | None = None
        self.sock: socket.socket | None = None
        self.exited: dict[str, Any] | None = None
        self.cancelled = False
        self.told_to_end = 0
        self._decoder = Decoder()
        self.address = os.path.join(folder, f"i-{name}")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.address)
        self.listener.listen(4)
        self.wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._begin, name=f"inferflow {name}", daemon=True)
        self._thread.start()

    # -- beginning, in a thread of its own -----------------------------------------------------------

    def _begin(self) -> None:
        try:
            self._start()
            self.begun()
        except BrokenEnvironment as error:
            self.error = error
        except Exception as error:  # told to whoever waits for the container
            self.error = BrokenEnvironment(f"the container could not be started: {type(error).__name__}: {error}")
        finally:
            for number in set(self.descriptors):
                os.close(number)
            self.listener.close()
            with contextlib.suppress(OSError):
                os.unlink(self.address)
            os.close(self._woken)

    def _start(self) -> None:
        self.recipe = recipe = self.recipe_of()
        for number, python in enumerate(recipe.python):
            if self.cancelled:
                return
            self._create(recipe, python)
            try:
                with told(f"start a container of {recipe.called}"):
                    self.engine.client.api.start(self.id)
                break
            except BrokenEnvironment as error:
                if not _lacks_program(str(error), python):
                    raise
                self._remove_now()
                if number + 1 == len(recipe.python):
                    raise BrokenEnvironment(
                        f"the image {recipe.called} has no Python: no {' or '.join(recipe.python)} is on its PATH",
                        hint="use an image with Python 3.9 or later in it, such as python:3.11-slim, or build one: "
                        "inferflow image DRIVER",
                    ) from None
        self._meet(recipe)

    def _create(self, recipe: Recipe, python: str) -> None:
        command = [python, "-I", "-S", f"{INSIDE}/inferflow/worker/container.py", self.address]
        with told(f"create a container of {recipe.called}"):
            api = self.engine.client.api
            environment = [f"{key}={value}" for key, value in self.environment.items()]
            config = {**recipe.options, "Image": recipe.image, "Entrypoint": command, "Cmd": [], "Env": environment}
            name = f"inferflow-{os.getpid()}-{os.urandom(3).hex()}-{self.name}"
            self.id = api.create_container_from_config(config, name)["Id"]

    def _meet(self, recipe: Recipe) -> None:
        """Wait for the first process to say hello, and hand it what it needs."""
        selector = selectors.DefaultSelector()
        self.listener.setblocking(False)
        selector.register(self.listener, selectors.EVENT_READ)
        until, pause = time.monotonic() + PATIENCE, 0.1
        while not selector.select(pause):
            if self.cancelled:
                return
            state = self.state()
            if not state.get("Running", False) and state.get("Status") not in ("created", "initialized"):
                raise self._stillborn(recipe, state)
            if time.monotonic() > until:
                raise BrokenEnvironment(
                    f"the container of {recipe.called} runs, but does not reach us through {self.address}",
                    hint="the container engine must run on this machine's own kernel (not in a virtual machine)",
                )
            pause = min(2 * pause, 1.0)
        selector.close()
        sock, _ = self.listener.accept()
        sock.settimeout(PATIENCE)
        while not self.hello:
            data = sock.recv(1 << 16)
            if not data:
                raise self._stillborn(recipe, self.state())
            for message in self._decoder.feed(data):
                self.hello = message
        version = tuple(self.hello["version"])
        if version < OLDEST:
            sock.close()
            raise BrokenEnvironment(
                f"the Python in the image {recipe.called} is too old: it is {'.'.join(map(str, version))}, and "
                f"{'.'.join(map(str, OLDEST))} is the oldest that will do",
                hint="use an image with a newer Python, such as python:3.11-slim",
            )
        frame = encode(self.order_of(self.hello))
        # One byte brings the descriptors along; the rest may be longer than one message holds.
        rights = struct.pack(f"{len(self.descriptors)}i", *self.descriptors)
        sock.sendmsg([frame[:1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        sock.sendall(frame[1:])
        sock.settimeout(None)
        self.sock = sock

    def _stillborn(self, recipe: Recipe, state: dict[str, Any]) -> BrokenEnvironment:
        """Why the container ended before it could say anything."""
        if self.removed(state):
            return BrokenEnvironment(f"the container of {recipe.called} was removed while it started")
        if state.get("OOMKilled"):
            return BrokenEnvironment(
                f"the container of {recipe.called} ran out of memory while Python started (limit "
                f"{recipe.memory / 2**20:,.0f} MiB)",
                hint="raise the setting memory",
            )
        text = ""
        with contextlib.suppress(Exception):
            text = self.engine.client.api.logs(self.id, tail=20).decode(errors="replace").strip()
        said = f"; it said: {text.splitlines()[-1]}" if text else ""
        error = str(state.get("Error") or "")
        return BrokenEnvironment(
            f"the container of {recipe.called} ended with status {state.get('ExitCode')} before the worker began"
            + (f" ({error})" if error else "")
            + said,
            hint=f"see whether Python starts in it: docker run --rm {recipe.called} python3 --version",
        )

    # -- what others ask -------------------------------------------------------------------------------

    def started(self) -> None:
        """Wait until the worker has been handed its start; raises BrokenEnvironment."""
        self._thread.join()
        if self.error is not None:
            raise self.error

    def is_up(self) -> bool:
        return not self._thread.is_alive() and self.sock is not None

    def command(self, message: dict[str, Any]) -> None:
        """An order for the first process."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.sendall(encode(message))

    def heard(self, wait: float = 0.0) -> bool:
        """Read what the first process sends (``exited``, ``failed``) within ``wait`` seconds; whether it is still
        there."""
        assert self.sock is not None
        if not select.select([self.sock], [], [], wait)[0]:
            return True
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        for message in self._decoder.feed(data):
            if message["kind"] == "exited":
                self.exited = message
            elif message["kind"] == "failed":
                self.error = BrokenEnvironment(f"the worker could not be started in its container: {message['text']}")
        return bool(data)

    def state(self) -> dict[str, Any]:
        """How the engine sees it; ``Gone`` if it has no such container, ``Lost`` if it does not answer."""
        try:
            return dict(self.engine.client.api.inspect_container(self.id)["State"])
        except Exception as error:
            if type(error).__name__ == "NotFound":
                return {"Gone": True}
            return {"Lost": explained(error)}

    @staticmethod
    def removed(state: dict[str, Any]) -> bool:
        return bool(state.get("Gone"))

    def end(self) -> tuple[int | None, str, bool]:
        """How the worker ended: exit code, what is known beyond that in words, and whether the container was taken from
        us (rather than the worker having ended in it)."""
        if self.exited is not None:
            code = int(self.exited["code"])
            words = self._memory_words(self.exited) if code == -9 else ""
            if code == -15 and self.told_to_end != 15:
                words = "the container was told to end from outside: docker stop, or the engine was shut down (SIGTERM)"
            return code, words, False
        time.sleep(0.3)  # its end, and its removal, take a moment to get around
        state = self.state()
        if state.get("Gone"):
            return None, "the container was removed from outside while it ran", True
        if "Lost" in state:
            return None, f"the container engine went away while the container ran: {state['Lost']}", True
        if state.get("OOMKilled"):
            return -9, self._memory_words({"killed": 1}), False
        status = state.get("ExitCode")
        return None, f"the container was ended from outside while it ran (its status is {status})", True

    def _memory_words(self, facts: dict[str, Any]) -> str:
        if not facts.get("killed"):
            return ""
        limit = int(facts.get("limit") or (self.recipe.memory if self.recipe else 0))
        peak = f", its peak {facts['peak'] / 2**20:,.0f} MiB" if facts.get("peak") else ""
        return (
            f"the container ran out of memory: its limit is {limit / 2**20:,.0f} MiB{peak}. Raise the setting memory, "
            "or keep less in memory at once"
        )

    def leave(self, patience: float) -> bool:
        """The worker has ended; whether nothing else goes on in the container, after waiting ``patience`` seconds."""
        self.command({"kind": "leave"})
        if self.sock is None:
            return True
        until = time.monotonic() + patience
        while self.heard(max(until - time.monotonic(), 0)):
            if time.monotonic() >= until:
                return False
        return True

    def remove(self) -> None:
        """End whatever runs in it, and begin to remove it (``join`` waits); failures are left to ``prune``."""
        self.cancelled = True
        self._thread.join(PATIENCE)
        self._close()
        self._thread = threading.Thread(target=self._remove_now, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until it is removed."""
        self._thread.join(PATIENCE)

    def _close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        if self.wake >= 0:
            os.close(self.wake)
            self.wake = -1

    def abandon(self) -> None:
        """Let go of it, and let what runs in it go on."""
        self._close()

    def _remove_now(self) -> None:
        for wait in (0.0, 0.3, 1.0, 3.0) if self.id else ():  # an engine may be at it itself, and refuse meanwhile
            time.sleep(wait)
            try:
                self.engine.client.api.remove_container(self.id, force=True, v=True)
            except Exception as error:
                if getattr(error, "status_code", 0) != 404:
                    continue
            break
        self.id = ""


def labels(owner: tuple[int, str], folder: str) -> dict[str, str]:
    """Whose container it is: the host's name and the process, with its start time, that ends it."""
    return {
        LABEL: "worker",
        f"{LABEL}.host": socket.gethostname(),
        f"{LABEL}.pid": str(owner[0]),
        f"{LABEL}.start": owner[1],
        f"{LABEL}.folder": folder,
    }


def _lacks_program(text: str, python: str) -> bool:
    lowered = text.lower()
    return python in lowered and ("executable file" in lowered or "no such file" in lowered or "not found" in lowered)
