"""The group of commands: found by name, imported when used, with the options that every command takes.

Failures end here: a mistake of the user is told in a line and a hint, a fault of ours in a line that names the file
with its traceback. What ``execute`` returns is the exit status (``docs/cli.md``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from inferflow.cli.common import Shared
from inferflow.cli.failure import after_broken_pipe, tell_error, tell_fault, tell_usage
from inferflow.errors import UserError

__all__ = ["COMMANDS", "execute"]

COMMANDS = ("preview", "run", "verify", "runs", "show", "logs", "get", "image", "doctor", "prune", "init")
"""In the order in which a person meets them. Each is a module here with a function ``command``."""

COMPLETE = "_INFERFLOW_COMPLETE"
"""The variable by which a shell asks for completions."""

OFTEN_MEANT = {"list": "runs", "ls": "runs", "log": "logs", "plan": "preview", "graph": "preview", "clean": "prune"}


class _PipeClosed(Exception):
    """Whoever read our stdout has gone away."""


class Command(TyperCommand):
    """One command."""

    def get_help_option(self, ctx: Any) -> Any:
        return _help_option(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """With the parameters of the driver that was named, if one was: ``inferflow run driver.py:main --help``."""
        text = str(super().get_help(ctx))
        if self.name != "run":
            return text
        from inferflow.cli.run import parameters_help

        return text + parameters_help(ctx)


class Commands(TyperGroup):
    """Commands by name; typer would want them all imported."""

    def get_help_option(self, ctx: Any) -> Any:
        return _help_option(super().get_help_option(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        if name not in self.commands:
            module = import_module(f"inferflow.cli.{name}")
            app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            app.command(name, cls=Command, context_settings=CONTEXT)(module.command)
            command = typer.main.get_command(app)
            taken = {option for parameter in command.params for option in parameter.opts}
            for parameter in self.params:  # the same options again, so that they may stand behind the command too
                if parameter.name in SHARED and not taken & set(parameter.opts):
                    command.params.append(parameter)
            for parameter in command.params:
                _take_as_given(parameter)
            self.commands[name] = command
        return self.commands[name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS and not ctx.resilient_parsing:
            raise UnknownCommand(name)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            raise _PipeClosed from None


def _help_option(option: Any) -> Any:
    if option is not None:
        _take_as_given(option, ours=False)
    return option


def _take_as_given(parameter: Any, ours: bool = True) -> None:
    """Spare typer's conversion of a value that needs none: newer ones load pydantic for it, which takes as long as all
    the rest of the start. All our parameters are texts, lists of texts and flags, as the command line gives them."""
    if not hasattr(parameter, "get_runtime_param") or "process_value" in vars(parameter):
        return
    convert = parameter.process_value

    def process_value(ctx: Any, value: Any) -> Any:
        if (parameter.required and not value) or (value and not ours):
            return convert(ctx, value)  # which tells that it is missing, or knows what it means
        if parameter.nargs == -1 or getattr(parameter, "multiple", False):
            value = list(value or ())
        return parameter.callback(ctx, parameter, value) if parameter.callback else value

    parameter.process_value = process_value


class UnknownCommand(Exception):
    """There is no command of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


SHARED = ("folder", "config", "color", "verbose", "quiet")
"""The options that may stand behind a command as well as before it."""

CONTEXT = {"help_option_names": ["-h", "--help"]}


def _set(name: str) -> Any:
    """A callback that notes an option's value for all commands; where it stands twice, the later one holds."""

    def note(ctx: typer.Context, value: Any) -> Any:
        if value is not None and value is not False:
            setattr(ctx.find_root().ensure_object(Shared), name, value)
        return value

    return note


def _version(value: bool) -> None:
    if value:
        import platform

        from inferflow import __version__

        print(f"inferflow {__version__} (Python {platform.python_version()})")
        raise typer.Exit(0)


def _options(
    folder: Annotated[
        str | None,
        typer.Option("-C", metavar="DIR", help="Go to this folder first.", callback=_set("folder"), expose_value=False),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The settings, instead of the nearest inferflow.toml or pyproject.toml.",
            callback=_set("config"),
            expose_value=False,
        ),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(
            "--color",
            metavar="auto|always|never",
            help="When to use colours.",
            callback=_set("color"),
            expose_value=False,
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Say on stderr what is used and how long it takes.",
            callback=_set("verbose"),
            expose_value=False,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Nothing on stderr but errors.", callback=_set("quiet"), expose_value=False),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True, expose_value=False)
    ] = False,
) -> None:
    """Run an unmodified driver.py as an inferred, recorded, parallel pipeline."""


def build() -> Any:
    """The whole command line as a command of typer."""
    app = typer.Typer(
        cls=Commands,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )
    app.callback()(_options)
    group = typer.main.get_command(app)
    for parameter in group.params:
        _take_as_given(parameter, parameter.name in SHARED)
    return group


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status."""
    shared = Shared(arguments=tuple(arguments))
    try:
        if not arguments and COMPLETE not in os.environ:
            with redirect_stdout(sys.stderr):
                build().main(["--help"], prog_name="inferflow", standalone_mode=False, obj=shared)
            return 2
        status = build().main(list(arguments), prog_name="inferflow", standalone_mode=False, obj=shared)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (BrokenPipeError, _PipeClosed):
        return after_broken_pipe()
    except UserError as error:
        return tell_error(error, shared)
    except UnknownCommand as error:
        return tell_usage(f"there is no command {error.name!r}", _command_hint(error.name), shared)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error, of whichever click typer brings along
            return _usage(error, shared)
        if type(error).__name__ == "Abort":
            return 130
        return tell_fault(error, shared)


def _usage(error: Any, shared: Shared) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "inferflow"
    message = error.format_message()
    if path.endswith(" run") and type(error).__name__ == "NoSuchOption":
        hint = "arguments of the driver itself stand after --: inferflow run driver.py -- --its-option"
    else:
        hint = f"see: {path} --help"
    return tell_usage(message.rstrip("."), hint, shared)


def _command_hint(name: str) -> str:
    from inferflow.config.values import closest

    if name.endswith((".py", ".ipynb")) or ":" in name or os.path.isfile(name):
        return f"to run it: inferflow run {name}"
    if near := OFTEN_MEANT.get(name) or closest(name, COMMANDS):
        return f"did you mean: inferflow {near}"
    return f"the commands are {', '.join(COMMANDS)}"
