"""The shell that runs the cells of a notebook: that of a real kernel, without the kernel.

Its messages go to the session's record instead of a socket; between the statements of the notebook's own cells it asks
the session (``cells.Session.statements``), which calls the hooks. IPython is imported here, and only here.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from inferflow.worker import transform
from inferflow.worker.hooks import thread_ident

__all__ = ["guard", "make_shell"]


def make_shell(session: Any) -> Any:
    """The shell of a kernel, whose messages go to the session's record."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    with _unseen():
        import builtins
        import getpass

        import ipykernel.kernelapp  # first, as in a kernel
        from ipykernel.compiler import XCachingCompiler
        from ipykernel.ipkernel import IPythonKernel
        from ipykernel.zmqshell import ZMQInteractiveShell
        from jupyter_client.session import Session as Messages
        from traitlets import Any as Anything
        from traitlets import HasTraits
        from traitlets.config import Config

    record = session.record

    class Sender(Messages):  # type: ignore[misc]
        def send(self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **rest: Any) -> Any:
            kind = msg_or_type
            if isinstance(msg_or_type, dict):
                kind, content = msg_or_type["header"]["msg_type"], msg_or_type["content"]
            # As it comes out at the other end: pictures in base64, tuples as lists.
            record.message(kind, self.unpack(self.pack(content or {})), rest.get("buffers"))
            return None

    class Shell(ZMQInteractiveShell):  # type: ignore[misc]
        """The kernel's shell, with hooks between the statements of the notebook's own cells."""

        depth = 0

        def enable_gui(self, gui: Any = None) -> None:
            self.active_eventloop = gui

        async def run_ast_nodes(
            self, nodelist: Any, cell_name: Any, interactivity: Any = "last_expr", compiler: Any = compile,
            result: Any = None,
        ) -> Any:  # fmt: skip
            rest = {"compiler": compiler, "result": result}
            inner = super().run_ast_nodes
            if Shell.depth or not nodelist or thread_ident() != session.home.hooks.thread:
                return await inner(nodelist, cell_name, interactivity=interactivity, **rest)
            Shell.depth += 1
            try:
                return await session.statements(inner, nodelist, cell_name, interactivity, rest)
            finally:
                Shell.depth -= 1

        async def run_code(self, code_obj: Any, result: Any = None, *, async_: bool = False) -> Any:
            code = transform.replace_sentinel(code_obj, session.home.hooks)
            return await super().run_code(code, result, async_=async_)

    class Kernel(IPythonKernel):  # type: ignore[misc]
        """The kernel that the shell, and code that looks for it, believe in: without sockets, and never started."""

        debugger_class = Anything()  # its default would import a debugger, and start its threads

        def __init__(self, **more: Any) -> None:
            HasTraits.__init__(self, **more)
            self.shell_handlers: dict[str, Any] = {}
            self.control_handlers: dict[str, Any] = {}
            self.comm_manager = sys.modules["comm"].get_comm_manager()

        def get_parent(self, channel: str = "shell") -> dict[str, Any]:
            return {"header": {"msg_type": "execute_request", "msg_id": "cell"}, "metadata": {}, "content": {}}

    for ours, theirs in ((Shell, ZMQInteractiveShell), (Kernel, IPythonKernel)):
        for name in ("__module__", "__name__", "__qualname__"):
            setattr(ours, name, getattr(theirs, name))  # as it is called in a kernel
    config = Config()
    config.HistoryManager.enabled = False  # no thread that writes it
    config.HistoryManager.hist_file = ":memory:"
    config.IPKernelApp.connection_file = "kernel.json"  # by which code knows that it runs in a kernel
    app = ipykernel.kernelapp.IPKernelApp.instance(config=config)
    _set_up_logging(app)
    kernel = Kernel.instance(parent=app, config=config, iopub_socket=object())
    shell = Shell.instance(parent=kernel, config=config, kernel=kernel, compiler_class=XCachingCompiler)
    real = session.home.streams.numbers["stderr"]
    for handler in app.log.handlers:  # a kernel's own words do not come into cells
        handler.stream = io.TextIOWrapper(io.FileIO(real, "w", closefd=False))
    app.kernel, app.shell, kernel.shell = kernel, shell, shell
    shell.extension_manager.load_extension("storemagic")  # a kernel's application does
    sender = Sender(session="inferflow", username="inferflow")
    kernel.session = sender
    for part in (shell.displayhook, shell.display_pub):
        part.session = sender
        part.pub_socket = kernel.iopub_socket
    shell.displayhook.topic = b"execute_result"
    shell.user_ns_hidden.update(shell.user_ns)  # as a kernel does at its start
    _set_path()
    argv = [os.path.join(os.path.dirname(ast.__file__), "ipykernel_launcher.py"), "-f", "kernel.json"]
    sys.argv = argv

    builtins.input = kernel.raw_input  # nobody is there to answer
    getpass.getpass = kernel.getpass
    return shell


def guard(part: Any, refuse: Callable[[str], None]) -> None:
    """From now on, ``refuse`` is called if anything is asked of the shell or the kernel but what kind it is: its state
    changes from cell to cell, and what is done to it here is not done at home."""
    kind = type(part)

    class Guarded(kind):  # type: ignore[misc,valid-type]
        def __getattribute__(self, name: str) -> Any:
            if name not in ("__class__", "has_trait"):
                refuse(f"it asks the notebook's {kind.__name__} for {name!r}")
            return object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            refuse(f"it sets {name!r} of the notebook's {kind.__name__}")

    for name in ("__module__", "__name__", "__qualname__"):
        setattr(Guarded, name, getattr(kind, name))
    object.__setattr__(part, "__class__", Guarded)


@contextlib.contextmanager
def _unseen() -> Iterator[None]:
    """Warnings that a kernel has before its first cell are in no cell. They are given, and not shown; the rules are
    left alone, since libraries that are imported here put their own before them, which hold for cells."""
    shown = warnings.showwarning
    warnings.showwarning = lambda *_, **__: None
    try:
        yield
    finally:
        warnings.showwarning = shown


def _set_up_logging(app: Any) -> None:
    """As a kernel does before its streams are those of cells: its own loggers write to descriptor 2."""
    raw = io.FileIO(2, "w", closefd=False)
    raw.name = "<stderr>"
    text = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
    text.mode = "w"  # type: ignore[misc]
    cells, sys.stderr = sys.stderr, text
    app.log.isEnabledFor(10)  # the first use sets it up
    app.configure_tornado_logger()
    sys.stderr = cells


def _set_path() -> None:
    """As a kernel does: the working folder stands before the installed packages, behind the standard library."""
    sys.path[:1] = []
    for index, path in enumerate(sys.path):
        if os.path.basename(path) in ("site-packages", "dist-packages"):
            sys.path.insert(index, "")
            return
    sys.path.append("")
