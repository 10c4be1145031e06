"""The process backend: home is a child process, helpers are forked from it (or, where nothing can be forked, spawned).

This process never runs user code. It holds the other end of home's standard streams (pipes, or a pseudo-terminal
where home would have had a terminal) and relays what arrives to its own, unchanged; it listens on a socket to which
home, the templates from which helpers are forked, and the helpers connect.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from inferflow.backends.start import StartedHome, take, worker_command, worker_environment
from inferflow.errors import BrokenEnvironment
from inferflow.protocols import Crew, Launch, Message, Notice
from inferflow.worker.channel import Decoder, encode

__all__ = ["ProcessBackend", "ProcessCrew"]


class ProcessBackend:
    """Workers as local processes."""

    name = "process"

    def open(self, launch: Launch) -> Crew:
        """Start home, or take the one that was started ahead. Raises BrokenEnvironment if not even a process can be
        started."""
        started = take(launch.folder, launch.stdout, launch.stderr)
        if started is None:
            try:
                started = StartedHome(launch.folder, launch.stdout, launch.stderr)
            except OSError as error:
                raise BrokenEnvironment(
                    f"cannot start {sys.executable}: {error.strerror}", hint="see: inferflow doctor"
                ) from None
        return ProcessCrew(launch, started)


class _Peer:
    """One connected process: its socket, what is half read and half written."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.decoder = Decoder()
        self.outgoing = bytearray()
        self.name = ""
        self.role = ""
        self.pid = 0
        self.epoch = 0


class ProcessCrew:
    """Home, templates and helpers of one run."""

    def __init__(self, launch: Launch, started: StartedHome) -> None:
        self.launch = launch
        self.started = started
        self.home = started.process
        self.selector = selectors.DefaultSelector()
        self.peers: dict[str, _Peer] = {}
        self.templates: dict[int, _Peer] = {}
        launch.setup.update(started.setup())
        self.waiting: dict[str, list[Message]] = {"home": []}
        started.send_setup(encode(launch.setup))
        self.forking: dict[str, int] = {}
        self.spawned: dict[str, subprocess.Popen[bytes]] = {}
        self.helpers = 0
        self.queue: list[Notice] = []
        self.home_code: int | None = None
        self.closed = False
        self.selector.register(started.listener, selectors.EVENT_READ, self._accept)
        self.streams = dict(started.streams)
        self.held: dict[int, bytes] = {}
        for fd in self.streams:
            self.selector.register(fd, selectors.EVENT_READ, self._stream)
        self.pidfd = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(self.home.pid)
                self.selector.register(self.pidfd, selectors.EVENT_READ, self._home_ended)

    # -- the protocol ------------------------------------------------------------------------------

    def send(self, worker: str, message: Message) -> None:
        peer = self.peers.get(worker)
        if peer is None:
            if worker in self.waiting:
                self.waiting[worker].append(message)
            return
        self._write(peer, message)

    def _write(self, peer: _Peer, message: Message) -> None:
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
            if self.pidfd < 0:
                timeout = 0.05 if timeout is None else min(timeout, 0.05)
            for key, mask in self.selector.select(timeout):
                if isinstance(key.data, _Peer):
                    self._peer_ready(key.data, mask)
                else:
                    key.data(key.fd)
            if self.pidfd < 0 and self.home_code is None and self.home.poll() is not None:
                self._home_ended(-1)
        notices, self.queue = self.queue, []
        return notices

    def drain(self) -> None:
        """Relay what has arrived on home's streams until now."""
        for fd in list(self.streams):
            self._stream(fd)

    def helper(self, epoch: int) -> str:
        self.helpers += 1
        name = f"helper-{self.helpers}"
        self.waiting[name] = []
        usable = [e for e in self.templates if e >= epoch]
        if self.launch.start == "spawn":
            self._spawn(name)
        elif usable:
            template = self.templates[min(usable)]
            self.forking[name] = template.epoch
            self._write(template, {"kind": "fork", "worker": name})
        else:
            self.waiting.pop(name)
            self.queue.append(Notice(name, "exit", exit_code=0))
        return name

    def _spawn(self, name: str) -> None:
        self.waiting[name].append({**self.launch.setup, "lifeline": -1})
        self.spawned[name] = subprocess.Popen(
            worker_command(self.started.address),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.launch.folder,
            env=worker_environment(self.started.token, "helper", name),
        )

    def interrupt(self) -> None:
        if self.home_code is None and not _in_foreground():
            with contextlib.suppress(OSError):
                self.home.send_signal(signal.SIGINT)

    def signal_home(self, number: int) -> None:
        """Pass a signal on to home."""
        if self.home_code is None:
            with contextlib.suppress(OSError):
                self.home.send_signal(number)

    def kill(self, worker: str) -> None:
        if worker == "home":
            if self.home_code is None:
                self.home.kill()
            return
        peer = self.peers.get(worker)
        if peer is not None and peer.pid:
            with contextlib.suppress(OSError):
                os.kill(peer.pid, signal.SIGKILL)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for peer in [*self.peers.values(), *self.templates.values()]:
            peer.sock.close()
        for process in self.spawned.values():
            process.kill()
            process.wait()
        if self.home.poll() is None:
            self.home.kill()
            self.home.wait()
        elif self.streams:
            self._leave_relay()
        for fd in [*self.streams, *([self.pidfd] if self.pidfd >= 0 else [])]:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.streams.clear()
        self.selector.close()
        self.started.release()

    def running_threads(self, worker: str) -> int:
        peer = self.peers.get(worker)
        if peer is None:
            return 0
        count = 0
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{peer.pid}/task"):
                with open(f"/proc/{peer.pid}/task/{thread}/stat") as file:
                    count += file.read().rpartition(")")[2].split()[0] == "R"
        return count

    def _leave_relay(self) -> None:
        """Where a child process of the driver's still writes to the streams, a process of ours stays to relay that: we
        return when the driver has ended, as native does."""
        with contextlib.suppress(OSError):
            self.drain()
        if not self.streams or not hasattr(os, "fork") or os.fork():
            return
        try:
            os.setsid()
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

    def processor_time(self, worker: str) -> float | None:
        """Seconds of processor time that a worker has used so far, where the system tells."""
        peer = self.peers.get(worker)
        if peer is None:
            return None
        try:
            fields = Path(f"/proc/{peer.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- what arrives ------------------------------------------------------------------------------

    def _accept(self, _: int) -> None:
        while True:
            try:
                sock, _address = self.started.listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            peer = _Peer(sock)
            self.selector.register(sock, selectors.EVENT_READ, peer)

    def _peer_ready(self, peer: _Peer, mask: int) -> None:
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

    def _hello(self, peer: _Peer, message: Message) -> None:
        if message.get("kind") != "hello" or message.get("token") != self.started.token:
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
            self._write(peer, waiting)
        self.queue.append(Notice(peer.name, "message", message))

    def _message(self, peer: _Peer, message: Message) -> None:
        if peer.role == "template":
            if message["kind"] == "reaped":
                self.queue.append(Notice(str(message["worker"]), "exit", exit_code=int(str(message["code"]))))
            return
        if peer.role == "home":
            # What home wrote before it sent this is in the pipes by now.
            self.drain()
        self.queue.append(Notice(peer.name, "message", message))

    def _gone(self, peer: _Peer) -> None:
        self.selector.unregister(peer.sock)
        peer.sock.close()
        if peer.role == "template":
            self.templates.pop(peer.epoch, None)
            for name in [n for n, epoch in self.forking.items() if epoch == peer.epoch]:
                del self.forking[name]
                self.queue.append(Notice(name, "exit", exit_code=None))
        elif peer.role == "helper":
            self.peers.pop(peer.name, None)
            process = self.spawned.pop(peer.name, None)
            template = self.templates.get(peer.epoch)
            if process is not None:
                self.queue.append(Notice(peer.name, "exit", exit_code=process.wait()))
            elif template is not None:
                self._write(template, {"kind": "reap", "worker": peer.name, "pid": peer.pid})
            else:
                self.queue.append(Notice(peer.name, "exit", exit_code=None))
        elif peer.role == "home":
            self.peers.pop("home", None)

    def _home_ended(self, fd: int) -> None:
        if fd >= 0:
            self.selector.unregister(fd)
        peer = self.peers.get("home")
        if peer is not None:  # what it still sent
            peer.sock.setblocking(False)
            with contextlib.suppress(OSError):
                while data := peer.sock.recv(1 << 18):
                    for message in peer.decoder.feed(data):
                        self._message(peer, message)
        self.home_code = self.home.wait()
        self.drain()
        self.queue.append(Notice("home", "exit", exit_code=self.home_code, peak_memory=_peak_of_children()))

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
        pieces = (self.held.pop(fd, b"") + data).split(self.started.mark)
        if not data:
            return pieces
        tail = pieces[-1]
        for length in range(min(len(self.started.mark) - 1, len(tail)), 0, -1):
            if tail.endswith(self.started.mark[:length]):
                self.held[fd] = tail[-length:]
                pieces[-1] = tail[:-length]
                break
        return pieces

    def _relay(self, target: int, data: bytes) -> bool:
        if target < 0:
            return True
        self.launch.before_output()
        view = memoryview(data)
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


def _peak_of_children() -> int:
    """Bytes: the largest resident memory that any child which has ended ever had."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _in_foreground() -> bool:
    """Whether a Ctrl-C typed at our terminal reached home too."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
