"""A spare, seen from inside: a process of its own, with a kernel that has run nothing, waiting to be wanted.

Of the two kinds (see ``warm``) one executes a job itself, with the functions of ``execution``; the other lends its
kernel to a client in the process that asks (``lent``). The latter says over its channel, line by line:

    lend                                        asked for
    {"terms": "5e1f...", "pid": 71, "info": {...}}    said: how the kernel was started, and how to reach it
    yes                                         asked for, if a kernel started now would be started in the same way
    -15                                         said: what it ended with

Without a job, or a borrower, it ends, and the kernel too. Nothing of what a kernel prints is shown before it is lent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import sys
from concurrent.futures import Future
from threading import Thread
from typing import Any, NoReturn

from inferflow.runners import execution
from inferflow.runners.lent import terms

__all__ = ["serve"]


def serve(text: str, channel: str, folder: str) -> None:
    """Start a kernel, wait for what is asked on the descriptor ``channel``, do that, and end, which is seen there too.
    ``text`` says which kernel; ``folder`` is the process's own, for as long as it lives."""
    wanted = json.loads(text)
    if wanted["lend"]:
        lend(wanted["kernel"], wanted["folder"], int(channel), folder)
    spare = _Executing(int(channel), folder)
    try:
        with open(os.path.join(folder, "kernel.txt"), "wb") as log:
            scratch, result = asyncio.run(spare.run(wanted["kernel"], wanted["folder"], log))
            execution.tell(scratch, result)
    except BaseException:
        spare.leave(1)
    spare.leave(0)


class _Executing:
    """A kernel that has run nothing, and the job that is waited for."""

    def __init__(self, channel: int, folder: str) -> None:
        self.folder = folder
        self.job: Future[str] = Future()
        self.kernel = 0
        Thread(target=self._listen, args=(channel,), daemon=True).start()

    def _listen(self, channel: int) -> None:
        """Take the job. Without one everything ends at once."""
        scratch = _line(channel)
        if not scratch:
            self.leave(0)
        execution.write(os.path.join(scratch, "pid"), str(os.getpid()).encode())
        self.job.set_result(scratch)

    def leave(self, status: int) -> NoReturn:
        _leave(self.kernel, self.folder, status)

    async def run(self, kernel: str, place: str, log: Any) -> tuple[str, dict[str, Any]]:
        import nbformat

        client = execution.client_of(nbformat.v4.new_notebook(), kernel, place, self.folder)
        await client.async_start_new_kernel(stdout=log, stderr=log)
        self.kernel = int(getattr(client.km.provisioner, "pid", 0) or 0)
        execution.write(os.path.join(self.folder, "kernel"), str(self.kernel or "").encode())
        async with client.async_setup_kernel():
            scratch = await asyncio.wrap_future(self.job)
            job = execution.job_in(scratch)
            try:
                result = await execution.execute(job, scratch, log, client)
            except (KeyboardInterrupt, asyncio.CancelledError):
                result = execution.interrupted(job)
        self.kernel = 0
        return scratch, {"shown": job["shown"], **result}


def lend(name: str, place: str, channel: int, folder: str) -> NoReturn:
    """Start the kernel as nbclient would, lend it, and tell when it has ended."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the borrower; the kernel has the default again
    kernel, streams = 0, dict[int, int]()
    try:
        said, streams = asyncio.run(_start(name, place))
        kernel = said["pid"]
        execution.write(os.path.join(folder, "kernel"), str(kernel).encode())
        if _line(channel) == "lend":
            _say(channel, json.dumps(said))
            if _line(channel) == "yes":
                _until_the_end(kernel, channel, streams)
                kernel = 0
    except BaseException:
        _leave(kernel, folder, 1)
    _leave(kernel, folder, 0)


async def _start(name: str, place: str) -> tuple[dict[str, Any], dict[int, int]]:
    """What to say of the kernel, and where its output is to be read: by descriptor, where it belongs."""
    import nbformat
    from jupyter_client.provisioning import LocalProvisioner
    from nbclient import NotebookClient

    said: dict[str, Any] = {}
    launch = LocalProvisioner.launch_kernel

    async def launch_kernel(self: Any, cmd: list[str], **kwargs: Any) -> Any:
        own = {key: value for key, value in kwargs.items() if key not in ("stdout", "stderr")}
        said["terms"] = terms(cmd, own, self.parent)
        info = await launch(self, cmd, **kwargs)
        said.update(pid=self.pid, pgid=self.pgid, info={**info, "key": info["key"].decode()})
        return info

    LocalProvisioner.launch_kernel = launch_kernel  # this process is our own
    client = NotebookClient(nbformat.v4.new_notebook(), kernel_name=name, resources={"metadata": {"path": place}})
    client.create_kernel_manager()
    pipes = {number: os.pipe() for number in (1, 2)}
    await client.async_start_new_kernel(stdout=pipes[1][1], stderr=pipes[2][1])
    for _, write in pipes.values():
        os.close(write)
    return said, {read: number for number, (read, _) in pipes.items()}


def _until_the_end(kernel: int, channel: int, streams: dict[int, int]) -> None:
    """Pass on what the kernel prints; when it ends, say how; when the borrower is gone, end it. What it started may
    go on printing, and is passed on as long as there is any."""
    reaped, told = os.pipe()
    ending: list[int] = []

    def watch() -> None:
        with contextlib.suppress(ChildProcessError):
            # It stays a zombie until we end, so that its number is nobody else's as long as it may be sent a signal.
            end = os.waitid(os.P_PID, kernel, os.WEXITED | os.WNOWAIT)
            ending.append(end.si_status if end is not None and end.si_code == os.CLD_EXITED else -end.si_status)  # type: ignore[union-attr]
        os.write(told, b".")

    Thread(target=watch, daemon=True).start()
    watched = {channel, reaped, *streams}
    while watched - {channel}:
        ready, _, _ = select.select(sorted(watched), [], [])
        for number in [one for one in ready if one in streams]:
            data = os.read(number, 1 << 16)
            if data:
                _write_all(streams[number], data)
            else:
                watched.discard(number)
        if channel in ready:  # closed, since nobody writes there any more
            watched.discard(channel)
            if not ending:
                with contextlib.suppress(OSError):
                    os.kill(kernel, signal.SIGKILL)
        if reaped in ready and not set(ready) & set(streams):  # what it had printed has been passed on
            watched.discard(reaped)
            _say(channel, str(ending[0] if ending else 1))


def _write_all(number: int, data: bytes) -> None:
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(number, data) :]


def _line(channel: int) -> str:
    """A line from the channel, without its end; empty if it was closed."""
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(channel, 1 << 16)
        if not piece:
            return ""
        data += piece
    return data[:-1].decode("utf-8", "surrogateescape")


def _say(channel: int, text: str) -> None:
    _write_all(channel, text.encode("utf-8", "surrogateescape") + b"\n")


def _leave(kernel: int, folder: str, status: int) -> NoReturn:
    """End at once, and the kernel too, if there is one."""
    if kernel:
        with contextlib.suppress(OSError):
            os.kill(kernel, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)
