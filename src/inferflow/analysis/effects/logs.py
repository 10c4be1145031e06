"""Whether the project's loggers can write to nothing but standard error.

What a logger does with a message is up to the handlers that the program attached. Standard error is kept in order, task
by task. But a file that home opened would get the lines of a helper at once: messages go there in program order only if
all of them are made at home. And a handler that writes into an object of the program (a ``StringIO``, a queue), or is
one of the program's own classes, changes that object with each message, whatever it is.
"""

from __future__ import annotations

from inferflow.analysis import ir
from inferflow.analysis.catalogue import Catalogue
from inferflow.analysis.facts import Project
from inferflow.analysis.walk import every_op

SETTING_UP = frozenset(("addHandler", "dictConfig", "fileConfig", "handlers", "setLogRecordFactory"))
EMITTING = frozenset(
    f"logging.{owner}{name}"
    for owner in ("", "Logger.", "LoggerAdapter.")
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


HOLDING = frozenset(("QueueHandler", "MemoryHandler", "setLogRecordFactory", "addFilter", "setStream"))
"""Handlers, and what else is called for each message, that hold objects of the program."""
STANDARD = frozenset(("stdout", "stderr", "__stdout__", "__stderr__"))


def to_objects(project: Project) -> bool:
    """Whether a message may change objects of the program: a handler is given one, or is a class of the program's."""
    for module in project.modules.values():
        for scope in module.scopes:
            makers: dict[ir.Temp, ir.Op] = {}
            for op in every_op(scope.body):
                match op:
                    case ir.Load() | ir.Attr():
                        makers[op.out] = op
                        if op.name in HOLDING:
                            return True
                    case ir.ImportFrom(name=name) if name in HOLDING:
                        return True
                    case ir.MakeClass(bases=bases):
                        if any("Handler" in _name(makers.get(base)) for base in bases):
                            return True
                    case ir.Call(func=func, args=args):
                        streams = [a.value for a in args if a.keyword == "stream"]
                        if _name(makers.get(func)) == "StreamHandler":
                            streams += [a.value for a in args[:1] if not a.keyword]
                        if any(_name(makers.get(stream)) not in STANDARD for stream in streams):
                            return True
                    case _:
                        pass
    return False


def _name(maker: ir.Op | None) -> str:
    return maker.name if isinstance(maker, ir.Load | ir.Attr) else ""
