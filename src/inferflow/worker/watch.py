"""What ``inferflow verify`` has watched in a run, native or inferred: how the program's state looks at its end, and
which files outside of its folders it opened for writing.

``begin`` gets lines of text: the file to write to, the folder in which inferflow stands, the kind of driver
(``script``, ``function``, ``notebook``), and the project's folders (with a slash at the end). It registers a function
that is called when the program has ended, behind its own ones; that forks, so that the portrait (see ``portrait``) is
taken without touching the process. Where a process cannot be forked then, it is taken in place, with the streams put
aside. A process that ends without its exit functions (``os._exit``, a signal) leaves no file, which is told as such.
Of a notebook it is taken behind the last cell that ran, since IPython clears its names as it ends.

Only the standard library, and at first only what every interpreter has loaded: a native run executes this text before
the program begins. Times at which helpers and home talk can be varied too (``shake``), to find races.
"""

from __future__ import annotations

import os
import sys

__all__ = ["begin", "returned", "shake", "take"]


class _State:
    """Of this process. (Not a module's globals: a native run executes this text in a namespace of its own.)"""

    file = ""
    package = ""
    kind = "script"
    folders: tuple[str, ...] = ()
    pid = 0
    returned: tuple[object, ...] = ()
    outside: dict[str, None] = {}  # noqa: RUF012


def begin(told: str) -> None:
    """Watch this process from now on."""
    import atexit

    _State.file, _State.package, _State.kind, *folders = told.split("\n")
    _State.folders, _State.pid = tuple(folders), os.getpid()
    atexit.register(take)
    sys.addaudithook(_on_event)


def returned(value: object) -> None:
    """The driver function has returned this."""
    _State.returned = (value,)


def _on_event(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or len(arguments) < 3:
        return
    path, mode, flags = arguments[:3]
    writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
    if not writes and not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        return
    try:
        name = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return
    ignored = (*_State.folders, "/proc/")
    if os.path.basename(name).rpartition(".")[0].endswith(".pyc"):
        return  # bytecode, under the name that it has while the interpreter writes it
    device = name.startswith("/dev/") and not name.startswith("/dev/shm/")
    if os.getpid() == _State.pid and not device and not name.startswith(ignored) and name != _State.file:
        _State.outside.setdefault(name, None)


def take() -> None:
    """Write the file."""
    if os.getpid() != _State.pid or not _State.file:
        return  # a process that the program forked
    _State.pid = 0
    try:
        child = os.fork()
    except (AttributeError, OSError, RuntimeError):
        _in_place()
        return
    if child == 0:
        try:
            import signal

            for caught in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
                signal.signal(caught, signal.SIG_DFL)
            signal.alarm(120)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            _write()
        finally:
            os._exit(0)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass


def _in_place() -> None:
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    try:
        for stream in streams:
            stream.flush()
    except (OSError, ValueError):
        pass
    saved = [os.dup(number) for number in (1, 2)]
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for number in (1, 2):
            os.dup2(null, number)
        _write()
        for stream in streams:
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
    finally:
        for number, old in zip((1, 2), saved):
            os.dup2(old, number)
            os.close(old)
        os.close(null)


def _write() -> None:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 2000))
    sys.modules.setdefault("__main__", type(sys)("__main__"))
    package = _State.package
    if package not in sys.path:
        sys.path.append(package)
    import json
    import warnings

    warnings.simplefilter("ignore")
    from inferflow.worker.portrait import portrait

    names = project_modules(_State.folders)
    roots: list[tuple[str, object]] = [("return", value) for value in _State.returned]
    for name in sorted(names, key=lambda name: (name != "__main__", name)):
        if name == "__main__" and _State.kind == "function":
            continue  # that of the interpreter, not the user's
        module = sys.modules[name]
        prefix = "" if name == "__main__" else f"{name}."
        space = {key: value for key, value in vars(module).items() if not _is_machinery(key)}
        if name == "__main__" and _State.kind == "notebook":
            space = _of_the_user(space)
        roots.append((f"(names of {name})", list(space)))
        roots.extend((prefix + key, value) for key, value in space.items())
    made = portrait(roots, names)
    outside = {path: _digest(path) for path in _State.outside if _State.kind != "notebook"}
    text = json.dumps({"parts": made.parts, "blind": made.blind, "outside": outside})
    partly = _State.file + ".part"
    with open(partly, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(partly, _State.file)


def _of_the_user(space: dict[str, object]) -> dict[str, object]:
    """A notebook's names without those that IPython put there (``In``, ``exit``, ``get_ipython``)."""
    shell = sys.modules["IPython"].get_ipython()
    hidden = shell.user_ns_hidden
    return {key: value for key, value in space.items() if key not in hidden or hidden[key] is not value}


def _is_machinery(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in ("__annotations__", "__doc__", "__file__")


def project_modules(folders: tuple[str, ...]) -> frozenset[str]:
    """The modules whose code stands in the project's folders, and not among its installed packages."""
    found = {"__main__"}
    ours = os.path.join(_State.package, "inferflow", "")
    installed = os.path.join(sys.prefix, "")
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(folders) or name == "__mp_main__":
            continue
        if not file.startswith((ours, installed)) and "site-packages" not in file:
            found.add(name)
    return frozenset(found)


def _digest(path: str) -> str:
    import hashlib

    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        return str(error.strerror)


# -- races ---------------------------------------------------------------------------------------------


def shake(seed: str) -> None:
    """Let this worker, and those that are forked from it, wait at random before they tell something: mostly not at
    all, often a millisecond, now and then twenty."""
    import random
    import time

    from inferflow.worker.channel import SocketChannel

    send = SocketChannel.send
    draws: dict[int, random.Random] = {}

    def late(self: SocketChannel, message: dict[str, object]) -> None:
        draw = draws.get(os.getpid())
        if draw is None:
            draw = draws[os.getpid()] = random.Random(f"{seed} {len(draws)} {message.get('task', '')}")
        drawn = draw.random()
        if drawn > 0.5:
            time.sleep(0.02 * (drawn - 0.5) if drawn < 0.95 else 0.02)
        send(self, message)

    SocketChannel.send = late  # type: ignore[method-assign]
