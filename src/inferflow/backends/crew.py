"""What all backends share: a crew whose workers connect to a socket of ours, and home's streams.

Home, the *templates* from which helpers are forked, helpers, and workers at an *outpost* (a process or container of
their own, for a task that is placed elsewhere) connect to a listening socket, say who they are, and talk in frames
(``worker.channel``). A backend brings a ``Base``, which knows how its home came to be, how a signal gets there and how
its end is known; and outposts, which start further workers on order. The crew moves bytes between all of these and the
engine.

    crew = WorkerCrew(launch, base, outposts)
    crew.helper(0)                        # forked from a template where there is one
    crew.helper(0, placement)             # a worker of its own at that placement
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from inferflow.model import Placement
from inferflow.protocols import Launch, Message, Notice, Surroundings
from inferflow.records import evolve
from inferflow.worker.channel import Decoder, encode

__all__ = ["Base", "Outpost", "Outposts", "Peer", "StreamTable", "WorkerCrew", "relay"]

StreamTable = dict[int, tuple[Literal["stdout", "stderr"], int]]
"""Our ends of home's streams: which stream, and the descriptor of ours to which it is relayed (-1: nowhere)."""


class Peer:
    """One connected process: its socket, what is half read and half written. ``pid`` is its id as it knows it,
    ``host_pid`` as we do (0: unknown)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.decoder = Decoder()
        self.outgoing = bytearray()
        self.name = ""
        self.role = ""
        self.pid = 0
        self.host_pid = _peer_pid(sock)
        self.epoch = 0


class Base(Protocol):
    """Home as its backend knows it."""

    token: str
    mark: bytes
    listener: socket.socket
    streams: StreamTable

    def setup(self) -> Message:
        """What home has to know of how it was started."""
        ...

    def send_setup(self, frame: bytes) -> None: ...

    def watch(self, crew: WorkerCrew) -> None:
        """Have the crew told of home's end (``crew.home_ended``)."""
        ...

    def look(self, crew: WorkerCrew) -> None:
        """Where nothing can be waited for: see whether home has ended."""
        ...

    def waits(self) -> bool:
        """Whether home's end wakes the crew up by itself (else ``look`` is called now and then)."""
        ...

    def signal(self, number: int, typed: bool) -> None:
        """Send home a signal. ``typed``: it is a Ctrl-C from a terminal, which natively reaches children as well."""
        ...

    def end_process(self, pid: int) -> None:
        """Kill a process beside home, by the id that it has there."""
        ...

    def surroundings(self) -> Surroundings:
        """Wait until home's process is there; raises BrokenEnvironment if it cannot be started."""
        ...

    def close(self, ended: bool) -> None:
        """Let go of home; kill it, unless it has ended."""
        ...


class Outpost(Protocol):
    """One worker that was started apart."""

    def kill(self) -> None: ...

    def ending(self) -> tuple[int | None, str]:
        """Its exit code (``None``: not known) and, if that is known, what ended it in words, once it has gone."""
        ...

    def surroundings(self) -> Surroundings:
        """Where it is, if that is not where we are."""
        ...


class Outposts(Protocol):
    """Starts workers apart, for one backend. ``contained``: with a file system of their own."""

    contained: bool

    def start(self, crew: WorkerCrew, name: str, placement: Placement) -> Outpost:
        """Start a worker that will connect under ``name``; it returns at once."""
        ...

    def image(self, crew: WorkerCrew, placement: Placement) -> str:
        """The digest of the image for this placement; empty without containers."""
        ...

    def close(self) -> None: ...


class WorkerCrew:
    """Home, templates, helpers and outposts of one run."""

    def __init__(self, launch: Launch, base: Base, outposts: Callable[[str], Outposts]) -> None:
        self.launch = launch
        self.base = base
        self.selector = selectors.DefaultSelector()
        self.peers: dict[str, Peer] = {}
        self.templates: dict[int, Peer] = {}
        self.forking: dict[str, int] = {}
        self.apart: dict[str, Outpost] = {}
        self.helpers = 0
        self.queue: list[Notice] = []
        self.home_code: int | None = None
        self.gone = False
        self.closed = False
        self.streams = base.streams
        self.held: dict[int, bytes] = {}
        self.waiting: dict[str, list[Message]] = {"home": []}
        self._outposts_of = outposts
        self._outposts: dict[str, Outposts] = {}
        launch.setup.update(base.setup())
        base.send_setup(encode(launch.setup))
        self.listen(base.listener)
        for fd in self.streams:
            self.selector.register(fd, selectors.EVENT_READ, self._stream)
        base.watch(self)

    def listen(self, listener: socket.socket) -> None:
        """Workers may connect here, too."""
        self.selector.register(listener, selectors.EVENT_READ, lambda _: self._accept(listener))

    # -- the protocol ------------------------------------------------------------------------------

    def surroundings(self, worker: str = "home") -> Surroundings:
        if worker in self.apart:
            return self.apart[worker].surroundings()
        return self.base.surroundings() if worker == "home" else Surroundings()

    def image(self, placement: Placement) -> str:
        return self._outposts_for(placement).image(self, placement)

    def send(self, worker: str, message: Message) -> None:
        peer = self.peers.get(worker)
        if peer is None:
            if worker in self.waiting:
                self.waiting[worker].append(message)
            return
        self.write(peer, message)

    def write(self, peer: Peer, message: Message) -> None:
        data = encode(message)
        if not peer.outgoing:
            try:
                sent = peer.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return
            data = data[sent:]
        if data:
            peer.outgoing += data
            self.selector.modify(peer.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, peer)

    def poll(self, timeout: float | None) -> Sequence[Notice]:
        if not self.queue:
            waits = self.base.waits()
            if not waits:
                timeout = 0.05 if timeout is None else min(timeout, 0.05)
            for key, mask in self.selector.select(timeout):
                if isinstance(key.data, Peer):
                    self._peer_ready(key.data, mask)
                else:
                    key.data(key.fd)
            if not waits and not self.gone:
                self.base.look(self)
        notices, self.queue = self.queue, []
        return notices

    def drain(self) -> None:
        """Relay what has arrived on home's streams until now."""
        for fd in list(self.streams):
            self._stream(fd)

    def helper(self, epoch: int, placement: Placement | None = None) -> str:
        self.helpers += 1
        name = f"helper-{self.helpers}"
        self.waiting[name] = []
        usable = [e for e in self.templates if e >= epoch]
        if placement is not None:
            self._start_apart(name, placement)
        elif self.launch.start == "spawn":
            self._start_apart(name, self.launch.placement)
        elif usable:
            template = self.templates[min(usable)]
            self.forking[name] = template.epoch
            self.write(template, {"kind": "fork", "worker": name})
        else:
            self.waiting.pop(name)
            self.queue.append(Notice(name, "exit", exit_code=0))
        return name

    def _start_apart(self, name: str, placement: Placement) -> None:
        outposts = self._outposts_for(placement)
        setup = {**self.launch.setup, "lifeline": -1, "start": "spawn", "contained": outposts.contained}
        self.waiting[name].append(setup)
        self.apart[name] = outposts.start(self, name, placement)

    def _outposts_for(self, placement: Placement) -> Outposts:
        backend = placement.backend or self.launch.placement.backend
        if backend not in self._outposts:
            self._outposts[backend] = self._outposts_of(backend)
        return self._outposts[backend]

    def outpost_failed(self, name: str, exit_code: int | None, cause: str) -> None:
        """A worker apart has ended before it could connect."""
        self.waiting.pop(name, None)
        self.apart.pop(name, None)
        self.queue.append(Notice(name, "exit", exit_code=exit_code, cause=cause))

    def interrupt(self) -> None:
        if not self.gone:
            self.base.signal(signal.SIGINT, in_foreground())

    def signal_home(self, number: int) -> None:
        """Pass a signal on to home."""
        if not self.gone:
            self.base.signal(number, False)

    def kill(self, worker: str) -> None:
        if worker == "home":
            self.signal_home(signal.SIGKILL)
            return
        if worker in self.apart:
            self.apart[worker].kill()
            return
        name, _, epoch = worker.partition(":")
        peer = self.templates.get(int(epoch)) if name == "template" else self.peers.get(worker)
        if peer is not None and peer.host_pid:
            with contextlib.suppress(OSError):
                os.kill(peer.host_pid, signal.SIGKILL)
                return
        if peer is not None and peer.pid:
            self.base.end_process(peer.pid)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for key in list(self.selector.get_map().values()):
            if isinstance(key.data, Peer):  # one that has not said hello yet, too: it waits for us or our end
                self.selector.unregister(key.fileobj)
                key.data.sock.close()
        for outpost in self.apart.values():
            outpost.kill()
        for outposts in self._outposts.values():
            outposts.close()
        if self.gone and self.streams:
            self._leave_relay()
        self.base.close(self.gone)
        for fd in self.streams:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.streams.clear()
        self.selector.close()

    def _leave_relay(self) -> None:
        """Where a child process of the driver's still writes to the streams, a process of ours stays to relay that: we
        return when the driver has ended, as native does."""
        with contextlib.suppress(OSError):
            self.drain()
        if not self.streams or not hasattr(os, "fork") or os.fork():
            return
        try:
            os.setsid()
            self._close_all_but_streams()
            self.launch = evolve(self.launch, before_output=lambda: None)
            selector = selectors.DefaultSelector()
            for fd in self.streams:
                selector.register(fd, selectors.EVENT_READ)
            while self.streams:
                selector.select()
                for fd in list(self.streams):
                    self._stream(fd, selector)
                self.queue.clear()
        finally:
            os._exit(0)

    def _close_all_but_streams(self) -> None:
        """In the relay: whoever waits for the end of this run is to see it. A helper about to connect would wait
        for ever, and with it the children of the driver whose pipes it has from home, and so the relay."""
        kept = {*self.streams, *(target for _, target in self.streams.values())}
        low = 0
        for fd in sorted(fd for fd in kept if fd >= 0):
            os.closerange(low, fd)
            low = fd + 1
        os.closerange(low, os.sysconf("SC_OPEN_MAX"))

    def running_threads(self, worker: str) -> int:
        peer = self.peers.get(worker)
        if peer is None or not peer.host_pid:
            return 0
        count = 0
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{peer.host_pid}/task"):
                with open(f"/proc/{peer.host_pid}/task/{thread}/stat") as file:
                    count += file.read().rpartition(")")[2].split()[0] == "R"
        return count

    def processor_time(self, worker: str) -> float | None:
        """Seconds of processor time that a worker has used so far, where the system tells."""
        peer = self.peers.get(worker)
        if peer is None or not peer.host_pid:
            return None
        try:
            fields = Path(f"/proc/{peer.host_pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- what arrives ------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _address = listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ, Peer(sock))

    def _peer_ready(self, peer: Peer, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            try:
                sent = peer.sock.send(peer.outgoing)
            except BlockingIOError:
                sent = 0
            except OSError:
                sent = len(peer.outgoing)
            del peer.outgoing[:sent]
            if not peer.outgoing:
                self.selector.modify(peer.sock, selectors.EVENT_READ, peer)
        if not mask & selectors.EVENT_READ:
            return
        try:
            data = peer.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone(peer)
            return
        for message in peer.decoder.feed(data):
            if peer.role:
                self._message(peer, message)
            else:
                self._hello(peer, message)

    def _hello(self, peer: Peer, message: Message) -> None:
        if message.get("kind") != "hello" or message.get("token") != self.base.token:
            self.selector.unregister(peer.sock)
            peer.sock.close()
            return
        peer.role, peer.pid = str(message["role"]), int(str(message["pid"]))
        peer.epoch = int(str(message.get("epoch", 0)))
        if peer.role == "template":
            self.templates[peer.epoch] = peer
            self.queue.append(Notice("template", "message", {"kind": "template", "epoch": peer.epoch}))
            return
        peer.name = str(message.get("worker", "home"))
        self.peers[peer.name] = peer
        self.forking.pop(peer.name, None)
        for waiting in self.waiting.pop(peer.name, []):
            self.write(peer, waiting)
        message["pid"] = peer.host_pid or peer.pid
        self.queue.append(Notice(peer.name, "message", message))

    def _message(self, peer: Peer, message: Message) -> None:
        if peer.role == "template":
            if message["kind"] == "reaped":
                self.queue.append(Notice(str(message["worker"]), "exit", exit_code=int(str(message["code"]))))
            return
        if peer.role == "home":
            # What home wrote before it sent this is in the pipes by now.
            self.drain()
        self.queue.append(Notice(peer.name, "message", message))

    def _gone(self, peer: Peer) -> None:
        self.selector.unregister(peer.sock)
        peer.sock.close()
        if peer.role == "template":
            self.templates.pop(peer.epoch, None)
            self.queue.append(Notice("template", "message", {"kind": "gone", "epoch": peer.epoch}))
            for name in [n for n, epoch in self.forking.items() if epoch == peer.epoch]:
                del self.forking[name]
                self.queue.append(Notice(name, "exit", exit_code=None))
        elif peer.role == "helper":
            self.peers.pop(peer.name, None)
            outpost = self.apart.pop(peer.name, None)
            template = self.templates.get(peer.epoch)
            if outpost is not None:
                code, cause = outpost.ending()
                self.queue.append(Notice(peer.name, "exit", exit_code=code, cause=cause))
            elif template is not None:
                self.write(template, {"kind": "reap", "worker": peer.name, "pid": peer.pid})
            else:
                self.queue.append(Notice(peer.name, "exit", exit_code=None))
        elif peer.role == "home":
            self.peers.pop("home", None)

    def home_ended(self, code: int | None, peak_memory: int = 0, cause: str = "", broken: bool = False) -> None:
        """Home's process is gone: take what it still sent, then tell."""
        if self.gone:
            return
        self.gone = True
        self._accept(self.base.listener)  # a driver that fails at once may have ended before we looked
        for peer in [key.data for key in self.selector.get_map().values() if isinstance(key.data, Peer)]:
            if peer.role in ("", "home"):
                self._last_words(peer)
        self.home_code = code
        self.drain()
        self.queue.append(Notice("home", "exit", exit_code=code, peak_memory=peak_memory, cause=cause, broken=broken))

    def _last_words(self, peer: Peer) -> None:
        """Take what a process sent before its end."""
        with contextlib.suppress(OSError):
            while data := peer.sock.recv(1 << 18):
                for message in peer.decoder.feed(data):
                    if peer.role:
                        self._message(peer, message)
                    else:
                        self._hello(peer, message)

    def _stream(self, fd: int, selector: selectors.BaseSelector | None = None) -> None:
        selector = selector or self.selector
        if fd not in self.streams:  # closed earlier in this turn
            return
        name, target = self.streams[fd]
        while True:
            try:
                data = os.read(fd, 1 << 18)
            except BlockingIOError:
                return
            except OSError as error:  # a pseudo-terminal says EIO when its last writer is gone
                if error.errno != errno.EIO:
                    raise
                data = b""
            pieces = self._cut(fd, data)
            for number, piece in enumerate(pieces):
                if number:
                    self.queue.append(Notice("home", "cut", stream=name))
                if piece:
                    self.queue.append(Notice("home", "output", stream=name, output=piece))
                    # If the reader of our stdout is gone, the driver shall find its own stdout closed, as natively.
                    if not self._relay(target, piece):
                        data = b""
            if not data:
                selector.unregister(fd)
                os.close(fd)
                del self.streams[fd]
                return

    def _cut(self, fd: int, data: bytes) -> list[bytes]:
        """The data between home's marks; the beginning of a mark at its end is held back for the next time."""
        pieces = (self.held.pop(fd, b"") + data).split(self.base.mark)
        if not data:
            return pieces
        tail = pieces[-1]
        for length in range(min(len(self.base.mark) - 1, len(tail)), 0, -1):
            if tail.endswith(self.base.mark[:length]):
                self.held[fd] = tail[-length:]
                pieces[-1] = tail[:-length]
                break
        return pieces

    def _relay(self, target: int, data: bytes) -> bool:
        if target >= 0:
            self.launch.before_output()
        return relay(target, data)


def relay(target: int, data: bytes) -> bool:
    """Write all of the data to a descriptor (-1: nowhere); whether there still is somebody who reads it."""
    view = memoryview(data if target >= 0 else b"")
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            time.sleep(0.001)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO, errno.EBADF):
                return False
            raise
    return True


def in_foreground() -> bool:
    """Whether a Ctrl-C typed at our terminal reached our process group."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _peer_pid(sock: socket.socket) -> int:
    """The process at the other end, as the kernel tells it to us (through the walls of containers)."""
    if not sys.platform.startswith("linux") or sock.family != socket.AF_UNIX:
        return 0
    size = struct.calcsize("3i")
    pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    return pid
