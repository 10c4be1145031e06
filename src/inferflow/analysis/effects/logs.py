"""Whether the project's loggers can write to nothing but standard error.

What a logger does with a message is up to the handlers that the program attached. Standard error is kept in order, task
by task. But a file that home opened would get the lines of a helper at once: messages go there in program order only if
all of them are made at home.
"""

from __future__ import annotations

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Catalogue
from inferflow.analysis.facts import Project
from inferflow.analysis.walk import every_op

SETTING_UP = frozenset(("addHandler", "dictConfig", "fileConfig", "handlers", "setLogRecordFactory"))
EMITTING = frozenset(
    f"logging.Logger.{name}"
    for name in ("debug", "info", "warning", "warn", "error", "critical", "fatal", "exception", "log")
)


def only_to_stderr(project: Project, catalogue: Catalogue, libraries: frozenset[str]) -> bool:
    """Whether nothing in the project attaches a handler, or uses a library of which nothing is known (it might)."""
    if not all(catalogue.module(name) for name in libraries):
        return False
    configured = chosen = False
    for module in project.modules.values():
        for scope in module.scopes:
            for op in every_op(scope.body):
                match op:
                    case ir.Attr(name=name) | ir.ImportFrom(name=name):
                        if name in SETTING_UP or "Handler" in name:
                            return False
                        configured = configured or name == "basicConfig"
                    case ir.Call(args=args):
                        chosen = chosen or any(a.keyword in ("filename", "handlers") or a.star == 2 for a in args)
                    case _:
                        pass
    return not (configured and chosen)
