"""Kernels that are started ahead for papermill and nbclient, which start theirs in the driver's own process.

They come to ``LocalProvisioner.launch_kernel`` of jupyter_client: it starts a process and says how the kernel in it is
reached, which need not be what was asked for. Where a spare (``warm``) has a kernel that was started in the very same
way (command, environment, folder, and what a kernel finds there), that one is *lent*: it has run nothing, and is used
for this notebook only. In every other case the library does what it does.

    km.start_kernel()  ->  launch_kernel(["python", "-m", "ipykernel_launcher", "-f", ...], env={...})
                       ->  the ports of the spare's kernel; the provisioner's process is a ``Lent``
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

__all__ = ["Lent", "offer", "terms"]


def terms(command: Sequence[str], options: Mapping[str, Any], manager: Any) -> str:
    """A digest of how a kernel is started: equal for two that differ in their connection files and ports only."""
    file = manager.connection_file
    env = options.get("env")
    told = {
        "command": [word.replace(file, "{connection_file}") for word in command],
        "files": os.path.dirname(file),
        "folder": os.path.realpath(options.get("cwd") or os.getcwd()),
        "env": {name: text for name, text in (os.environ if env is None else env).items() if name != "JPY_PARENT_PID"},
        "reached": [manager.transport, manager.ip, getattr(manager, "curve_publickey", None) is not None],
        "more": {name: repr(value) for name, value in options.items() if name not in _OTHERWISE},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


_OTHERWISE = ("cwd", "env", "extra_arguments", "kernel_id")
"""Options that stand elsewhere: as they are, or in the command."""


def offer(spares: Any) -> bool:
    """Let jupyter_client borrow from ``spares`` in this process. False if it is not loaded yet; where it is of a kind
    that cannot borrow, nothing is done."""
    module = sys.modules.get("jupyter_client.provisioning.local_provisioner")
    managers = sys.modules.get("jupyter_client.manager")
    if module is None or managers is None:
        return False
    local = module.LocalProvisioner
    launch = local.launch_kernel
    reads_back = hasattr(managers.KernelManager, "_reconcile_connection_info")
    if not reads_back or not inspect.iscoroutinefunction(launch) or os.name != "posix":
        return True

    @functools.wraps(launch)  # no coroutine itself: where nothing is lent, no frame of ours is in a traceback
    def launch_kernel(self: Any, cmd: list[str], **kwargs: Any) -> Any:
        manager = self.parent
        first = type(self) is local and self.pid is None and manager is not None
        if not first or getattr(manager, "curve_publickey", None) is not None:
            return launch(self, cmd, **kwargs)
        folder = os.path.abspath(kwargs.get("cwd") or os.getcwd())
        spare = spares.take(manager.kernel_name, folder, lend=True)
        if spare is None:
            return launch(self, cmd, **kwargs)
        return _borrow(launch, spare, self, cmd, kwargs)

    local.launch_kernel = launch_kernel
    return True


async def _borrow(launch: Any, spare: Any, provisioner: Any, command: list[str], options: dict[str, Any]) -> Any:
    """What ``launch`` gives back, for the spare's kernel; or what it does, if the spare's is another one."""
    said = await _ask(spare.channel)
    if said is None or said["terms"] != terms(command, options, provisioner.parent):
        spare.end()
        return await launch(provisioner, command, **options)
    _send(spare.channel, b"yes\n")
    spare.used()
    provisioner.process = Lent(said["pid"], spare.channel, command)
    provisioner.pid, provisioner.pgid = said["pid"], said["pgid"]
    provisioner.cwd = options.get("cwd", Path.cwd())
    return {**said["info"], "key": said["info"]["key"].encode()}


async def _ask(channel: socket.socket) -> Optional[dict[str, Any]]:
    """How the spare's kernel was started; None if there is no spare any more. The driver's loop goes on meanwhile."""
    _send(channel, b"lend\n")
    data = b""
    while not data.endswith(b"\n"):
        if not select.select([channel], [], [], 0)[0]:
            await asyncio.sleep(0.005)
            continue
        try:
            piece = channel.recv(1 << 16)
        except OSError:
            piece = b""
        if not piece:
            return None
        data += piece
    found: dict[str, Any] = json.loads(data)
    return found


def _send(channel: socket.socket, data: bytes) -> None:
    try:
        channel.sendall(data, getattr(socket, "MSG_NOSIGNAL", 0))
    except OSError:
        pass


class Lent:
    """A kernel's process, as far as jupyter_client uses a ``subprocess.Popen``. Its parent is the spare, which tells
    what it ended with."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, channel: socket.socket, args: Sequence[str]) -> None:
        self.pid, self.channel, self.args = pid, channel, args
        self.returncode: Optional[int] = None

    def poll(self) -> Optional[int]:
        """What it ended with (minus the signal's number, if one ended it), None if it runs."""
        if self.returncode is None:
            self._hear(0)
        return self.returncode

    def wait(self, timeout: Optional[float] = None) -> int:
        """Wait until it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._hear(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        return self.returncode

    def _hear(self, timeout: Optional[float]) -> None:
        if not select.select([self.channel], [], [], timeout)[0]:
            return
        try:
            data = self.channel.recv(64)
        except OSError:
            data = b""
        self.returncode = int(data) if data else -signal.SIGKILL  # without the spare there is no kernel
        self.channel.close()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """As Popen's."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As Popen's."""
        self.send_signal(signal.SIGKILL)
