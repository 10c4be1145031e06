"""How a worker process begins.

The controller starts ``importlib_bootstrap.py`` with the address of its socket, which runs what ``worker`` here says;
everything else comes in the first message.
The user's folder takes the first place in ``sys.path`` before anything of the user's is imported, and modules that we
needed ourselves do not hide the user's modules of the same name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

from inferflow.worker.own import keep_ours
from inferflow.worker.program import Job

__all__ = ["BOOT", "Jobs", "drive", "run_plan", "worker"]

BOOT = "importlib_bootstrap.py"
"""The script beside this module that begins a worker."""

Jobs = Generator[Job, "BaseException | None", Any]
"""What of the user's is to be run next; the exception that ended it, or None, is sent back. Our own code is a
generator, so that none of its frames stands below the user's: see ``importlib_bootstrap``."""


def drive(jobs: Jobs) -> Any:
    """Run all jobs here; what the generator returns."""
    outcome: BaseException | None = None
    try:
        job = next(jobs)
        while True:
            try:
                job.run()
            except BaseException as error:
                outcome = error
            job, outcome = jobs.send(outcome), None
    except StopIteration as end:
        return end.value


def worker(address: str, base: frozenset[str], orders: int = -1) -> Jobs:
    """Be home (or, where processes cannot be forked, a helper of its own); the exit status. The setup comes through the
    descriptor ``orders``, or else through the channel."""
    from inferflow.worker.channel import Closed, connect

    token = os.environ.pop("_INFERFLOW_TOKEN", "")
    # Meant for the controller, which puts them into the setup.
    for name in ("_INFERFLOW_WATCH", "_INFERFLOW_SHAKE", "_INFERFLOW_TURNS"):
        os.environ.pop(name, None)
    hello = {"kind": "hello", "role": os.environ.pop("_INFERFLOW_ROLE", "home"), "pid": os.getpid(), "token": token}
    name = os.environ.pop("_INFERFLOW_WORKER", "")
    if name:
        hello["worker"] = name
        hello["epoch"] = 0
        hello["spawned"] = True
    channel = connect(address, hello)
    from inferflow.worker import helper, looks  # while the controller is still busy
    from inferflow.worker.home import Home
    from inferflow.worker.own import keep_originals

    keep_originals()
    looks.freeze()  # what is ours is no garbage: the driver's collections, and those at the end, need not walk it
    try:
        setup = channel.receive() if orders < 0 else _read_setup(orders)
    except Closed:
        os._exit(0)  # it was started ahead, and is not needed
    setup["address"], setup["token"] = address, token

    _die_with_controller(setup)
    if setup.get("contained"):
        _settle_in_container(setup)
    _look_native(setup)
    _uncover(setup["path0"], base)
    if setup.get("shake"):
        from inferflow.worker.watch import shake

        shake(setup["shake"])
    forks = hasattr(os, "fork") and setup["start"] == "fork"
    home = Home(channel, setup, helper.template if forks else None)
    if hello["role"] == "helper":
        spawned_helper(home, channel, name)
        return 0
    if setup["driver"] == "notebook":
        from inferflow.worker.cells import run_notebook

        error = yield from run_notebook(home)
    else:
        error = yield from home.prepare()
        if error is None:
            _prepare()
            plan = home.receive_reply()
            error = yield from run_plan(home, plan)
    try:
        status = home.finish(error)
    finally:
        home.leave()
    channel.sock.detach()  # closed by the system, at the very end
    return status


def _prepare() -> None:
    """While the plan is being made: load what most plans will ask for."""
    from inferflow.worker import recipe, trust  # noqa: F401


def _look_native(setup: dict[str, Any]) -> None:
    """Arguments and path as they are natively."""
    words = [setup["argv0"], *setup["arguments"]]
    sys.argv = list(words)
    if hasattr(sys, "orig_argv"):  # Python 3.10
        sys.orig_argv[1:] = words
    if getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    else:
        sys.path[0] = setup["path0"]


def _read_setup(descriptor: int) -> dict[str, Any]:
    from inferflow.worker.channel import Closed, decode, split

    with os.fdopen(descriptor, "rb") as pipe:
        frame = pipe.read()
    if not frame:
        raise Closed("no setup")
    return decode(*split(frame))


def run_plan(home: Any, plan: dict[str, Any]) -> Jobs:
    """Run the program; the exception that ended it, if any."""
    try:
        home.hooks.given = given_parameters(home, plan)
        job = home.ready(plan)
    except BaseException as error:
        return error
    return (yield job)


def given_parameters(home: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """The driver function's parameters that the user gave, as the objects that its annotations ask for. Ends the
    process with a message to the controller if one is ill-typed: nothing has run then."""
    if not plan["parameters"]:
        return {}
    from inferflow.worker.parameters import ParameterError, bind

    try:
        function = home.program.function(plan["entry"])
        return bind(_undecorated(function), plan["parameters"])
    except ParameterError as error:
        home.send({"kind": "misfit", "message": str(error)})
        os._exit(2)


def _undecorated(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def _place(error: BaseException, root: str) -> str:
    """Where in the project it happened: file and line in brackets; empty if nowhere."""
    found, traceback = "", error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file.startswith(os.path.join(root, "")):
            found = f" ({os.path.relpath(file, root)}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return found


def spawned_helper(home: Any, channel: Any, name: str) -> None:
    """A helper that executes the prefix itself (its output was already shown by home), then serves."""
    from inferflow.worker.helper import Helper, _quiet_signals

    _quiet_signals()
    home.streams.install()
    home.streams.capture()
    sys.dont_write_bytecode = True  # what is imported is compiled by home, or again: it is no file of a task's
    helper = Helper(home, channel)
    helper.gate.on = True
    helper.task = -1
    try:
        home.program.begin().run()
    except BaseException as error:
        helper.refuse(f"the driver's imports cannot be repeated: {error!r}{_place(error, home.setup['root'])}")
    helper.gate.on = False
    home.prefixed = frozenset(home.program.module.__dict__)
    plan = channel.receive()
    from inferflow.worker.hooks import unit_of

    home.plan = plan
    home.hooks.units = {unit.task: unit for unit in map(unit_of, plan["units"])}
    from inferflow.worker.hidden_state import HiddenState

    helper.state = HiddenState()
    channel.send({"kind": "warm"})
    try:
        helper.loop()
    finally:
        os._exit(0)


def _die_with_controller(setup: dict[str, Any]) -> None:
    """If the controller is killed, home must not go on unseen: a second run may begin on the same files. The kernel
    sends SIGKILL when the other end of the lifeline, a pipe that only the controller holds, is closed."""
    lifeline = setup.get("lifeline", -1)
    if lifeline < 0:
        return
    import fcntl
    import signal

    from inferflow.worker.channel import high_descriptor

    lifeline = high_descriptor(lifeline)
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    if setup["controller"] and hasattr(os, "getppid") and os.getppid() != setup["controller"]:
        os._exit(143)


class _Beside:
    """Finds cloudpickle beside this package, where the image has none of its own."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name != "cloudpickle":
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [os.path.dirname(os.path.dirname(os.path.dirname(__file__)))])


def _settle_in_container(setup: dict[str, Any]) -> None:
    """What depends on this interpreter, which the controller does not know: where its own files stand."""
    folders = {os.path.join(prefix, "lib", "") for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    folders.add(os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), ""))
    setup["ignored"] = sorted({*setup["ignored"], *folders})
    sys.meta_path.append(_Beside)


_LATER = (
    *("brought", "carry", "parameters", "portrait", "posted", "proof", "recipe", "testify", "transform_regions"),
    *("transport_pickle", "trust", "turn"),
)
"""Modules of ours that are only imported when they are needed."""
_THEIR_NEEDS = frozenset({
    "dataclasses", "datetime", "decimal", "dis", "fnmatch", "fractions", "importlib", "inspect", "ipaddress",
    "linecache", "numbers", "pathlib", "platform", "textwrap", "token", "tokenize",
    "traceback", "urllib", "uuid", "warnings",
})  # fmt: skip
"""What of the library they import in turn."""
_WHEN_NEEDED = ("__future__", "ctypes", "mmap", "opcode", "resource", "stat", "tempfile", "traceback")
"""What of the library our modules ask ``own.library`` for."""


def _uncover(folder: str, base: frozenset[str]) -> None:
    """Forget the library modules that we imported if the user's folder has a module that takes the place of one: then
    everything is imported anew, with the user's module, as natively. (We keep using ours.)"""
    known = {name.partition(".")[0] for name in sys.modules if name not in base} - {"inferflow"}
    if not any(_stands_in(folder, name) for name in known | _THEIR_NEEDS):
        return
    path = sys.path[:]
    sys.path[:] = [part for part in path if part not in (folder, "")]
    try:  # what we import later must be the library's own
        keep_ours((*_WHEN_NEEDED, "warnings", *(f"inferflow.worker.{later}" for later in _LATER)))
    finally:
        sys.path[:] = path
    ours = [name for name in sys.modules if name not in base and not name.startswith("inferflow")]
    keep = {"threading", "_thread", "signal", "atexit"}
    for name in ours:
        module = sys.modules[name]
        if (name not in keep or _stands_in(folder, name)) and getattr(module, "__file__", None):
            del sys.modules[name]


def _stands_in(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.isfile(path + ".py") or os.path.isdir(path)
