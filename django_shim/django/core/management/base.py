"""``BaseCommand``: what a project's own commands derive from (``<app>/management/commands/<name>.py``)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TextIO

from ... import get_version

__all__ = [
    "BaseCommand",
    "CommandError",
    "CommandParser",
    "OutputWrapper",
    "SystemCheckError",
]


COMMON_OPTIONS = {
    "--version",
    "--verbosity",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--no-color",
    "--force-color",
}


class CommandError(Exception):
    """What went wrong, for the person at the keyboard: shown without a traceback; ``returncode`` is the exit
    code.
    """

    def __init__(self, *args: Any, returncode: int = 1, **kwargs: Any) -> None:
        self.returncode = returncode
        super().__init__(*args, **kwargs)


class SystemCheckError(CommandError):
    """The project has errors that ``check`` finds."""


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that raises CommandError when a command is called from code."""

    def __init__(
        self,
        *,
        missing_args_message: str | None = None,
        called_from_command_line: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.missing_args_message = missing_args_message
        self.called_from_command_line = called_from_command_line
        super().__init__(**kwargs)

    # The base has overloads for a namespace of the caller's own; nobody here passes one.
    def parse_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """As argparse's, with ``missing_args_message`` in place of its own words."""
        if self.missing_args_message and all(str(arg).startswith("-") for arg in args or ()):
            self.error(self.missing_args_message)
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with usage on the command line, else CommandError."""
        if self.called_from_command_line:
            super().error(message)
        raise CommandError(f"Error: {message}")

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Subparsers behave as this one."""
        parser_class = kwargs.get("parser_class", type(self))
        if issubclass(parser_class, CommandParser):
            mine = self.called_from_command_line

            def make(**given: Any) -> Any:
                return parser_class(called_from_command_line=mine, **given)

            kwargs["parser_class"] = make
        return super().add_subparsers(**kwargs)


class OutputWrapper:
    """A stream whose ``write`` ends the line if the message does not."""

    def __init__(self, out: TextIO, ending: str = "\n") -> None:
        self._out = out
        self.style_func: Callable[[str], str] | None = None
        self.ending = ending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)

    def flush(self) -> None:
        """Flush it."""
        if hasattr(self._out, "flush"):
            self._out.flush()

    def isatty(self) -> bool:
        """Is it a terminal?"""
        return hasattr(self._out, "isatty") and self._out.isatty()

    def write(
        self, msg: Any = "", style_func: Callable[[str], str] | None = None, ending: str | None = None
    ) -> None:
        """Write a line."""
        end = self.ending if ending is None else ending
        text = str(msg) if not end or str(msg).endswith(end) else f"{msg}{end}"
        self._out.write((style_func or self.style_func or str)(text))


class Style:
    """``style.SUCCESS("text")``, and so on for each role, is the text itself."""

    def __getattr__(self, role: str) -> Callable[[str], str]:
        if not role.isupper():
            raise AttributeError(role)
        return str


class BaseCommand:
    """Write ``handle(self, *args, **options)``, and ``add_arguments(self, parser)`` for options.

    ``self.stdout.write("…")`` writes a line, ``self.style.SUCCESS("…")`` is the text, without a
    colour; raise CommandError for what the person at the keyboard should know.
    """

    help = ""
    missing_args_message: str | None = None
    requires_system_checks: Any = "__all__"
    requires_migrations_checks = False
    output_transaction = False
    suppressed_base_arguments: ClassVar[set[str]] = set()
    stealth_options: tuple[str, ...] = ()
    _called_from_command_line = False
    _without_effect: ClassVar[str] = ""
    """Flags of Django's command that are accepted here, between spaces."""

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        no_color: bool = False,
        force_color: bool = False,
    ) -> None:
        self.stdout = OutputWrapper(stdout or sys.stdout)
        self.stderr = OutputWrapper(stderr or sys.stderr)
        self.style = Style()

    def get_version(self) -> str:
        """Return the version that ``--version`` shows."""
        return get_version()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, with the options that every command has."""
        parser = CommandParser(
            prog=f"{os.path.basename(prog_name)} {subcommand}",
            description=self.help or None,
            missing_args_message=self.missing_args_message,
            called_from_command_line=self._called_from_command_line,
            **kwargs,
        )
        parser.add_argument(
            "--version", action="version", version=self.get_version(), help="Show the version and exit."
        )
        parser.add_argument(
            "-v", "--verbosity", default=1, type=int, choices=[0, 1, 2, 3], help="How much to say: 0 to 3."
        )
        parser.add_argument("--settings", help='The settings module, such as "mysite.settings".')
        parser.add_argument("--pythonpath", help="A folder to import from.")
        parser.add_argument("--traceback", action="store_true", help="Show the traceback of a CommandError.")
        parser.add_argument("--no-color", action="store_true", help="Accepted; there are no colours here.")
        parser.add_argument("--force-color", action="store_true", help="Accepted; there are no colours here.")
        if self.requires_system_checks:
            parser.add_argument(
                "--skip-checks", action="store_true", help="Accepted; commands do not check here."
            )
        for flag in self._without_effect.split():
            parser.add_argument(flag, action="store_true", help="Accepted; no effect.")
        self.add_arguments(parser)
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Override it for the command's own arguments."""

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Show the usage."""
        self.create_parser(prog_name, subcommand).print_help()

    def run_from_argv(self, argv: list[str]) -> None:
        """Run for the command line: a CommandError is shown, and ends the process with its code."""
        self._called_from_command_line = True
        options = vars(self.create_parser(argv[0], argv[1]).parse_args(argv[2:]))
        args = options.pop("args", ())
        try:
            self.execute(*args, **options)
        except CommandError as error:
            if options.get("traceback"):
                raise
            self.stderr.write(f"{type(error).__name__}: {error}")
            sys.exit(error.returncode)

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run ``handle``; what it returns is written, if it is text."""
        for name in ("stdout", "stderr"):
            if stream := options.get(name):
                setattr(self, name, OutputWrapper(stream))
        output = self.handle(*args, **options)
        if output:
            self.stdout.write(output)
        return output

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``manage.py check`` checks."""

    def check_migrations(self) -> None:
        """Nothing: there are no migrations."""

    def handle(self, *args: Any, **options: Any) -> Any:
        """Do the command's work; subclasses implement it."""
        raise NotImplementedError(f"{type(self).__module__}: the command has no handle()")
