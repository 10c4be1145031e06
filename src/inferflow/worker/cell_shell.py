"""The shell that runs the cells of a notebook: that of a real kernel, without the kernel.

Its messages go to the session's record instead of a socket; between the statements of the notebook's own cells it asks
the session (``cells.Session.statements``), which calls the hooks. IPython is imported here, and only here.
"""

from __future__ import annotations

import ast
import os
import sys
import types
from typing import Any

from inferflow.worker import transform
from inferflow.worker.hooks import thread_ident
from inferflow.worker.program import muted

__all__ = ["make_shell"]


def make_shell(session: Any) -> Any:
    """The shell of a kernel, whose messages go to the session's record."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    with muted():
        import builtins
        import getpass

        from ipykernel.compiler import XCachingCompiler
        from ipykernel.zmqshell import ZMQInteractiveShell
        from jupyter_client.session import Session as Messages
        from traitlets.config import Config

    record = session.record

    class Sender(Messages):  # type: ignore[misc]
        def send(self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **rest: Any) -> Any:
            if isinstance(msg_or_type, dict):
                record.message(msg_or_type["header"]["msg_type"], msg_or_type["content"])
            else:
                record.message(msg_or_type, content or {})
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

    for name in ("__module__", "__name__", "__qualname__"):
        setattr(Shell, name, getattr(ZMQInteractiveShell, name))  # as it is called in a kernel
    config = Config()
    config.HistoryManager.enabled = False  # no thread that writes it
    config.HistoryManager.hist_file = ":memory:"
    kernel = _Kernel()
    shell = Shell.instance(config=config, kernel=kernel, compiler_class=XCachingCompiler)
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

    from ipykernel.kernelbase import Kernel

    silent = types.SimpleNamespace(_allow_stdin=False)  # nobody is there to answer
    builtins.input = types.MethodType(Kernel.raw_input, silent)
    getpass.getpass = types.MethodType(Kernel.getpass, silent)
    return shell


class _Kernel:
    """What the shell, and code that looks for it, ask of the kernel that the shell believes to belong to."""

    eventloop = None
    iopub_socket = object()
    session: Any = None

    def __init__(self) -> None:
        self.shell_streams: list[Any] = []

    def get_parent(self, channel: str = "shell") -> dict[str, Any]:
        return {"header": {}, "metadata": {}, "content": {}}

    def _topic(self, name: str) -> bytes:
        return f"kernel.{name}".encode()


def _set_path() -> None:
    """As a kernel does: the working folder stands before the installed packages, behind the standard library."""
    sys.path[:1] = []
    for index, path in enumerate(sys.path):
        if os.path.basename(path) in ("site-packages", "dist-packages"):
            sys.path.insert(index, "")
            return
    sys.path.append("")
