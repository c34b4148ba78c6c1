"""``manage.py``: finds the command that was named, and runs it."""

from __future__ import annotations

import difflib
import functools
import importlib
import os
import pkgutil
import sys
from argparse import Action
from collections.abc import Sequence
from typing import Any

from compat.exceptions import ImproperlyConfigured

from ... import get_version, setup
from ...apps import apps
from ...conf import settings
from ...unserved import needs_django
from .base import BaseCommand, CommandError, CommandParser

__all__ = [
    "BaseCommand",
    "CommandError",
    "CommandParser",
    "ManagementUtility",
    "call_command",
    "execute_from_command_line",
    "get_commands",
    "load_command_class",
]


HERE = __name__
SHIM_COMMANDS = {"runworker": "channels.management.commands.runworker"}
UNSERVED_COMMANDS = set(
    """changepassword clearsessions compilemessages createcachetable createsuperuser dbshell diffsettings
    dumpdata findstatic flush inspectdb loaddata makemessages optimizemigration remove_stale_contenttypes
    sendtestemail showmigrations sqlflush sqlmigrate sqlsequencereset squashmigrations startproject
    testserver""".split()
)


def execute_from_command_line(argv: Sequence[str] | None = None) -> None:
    """Run the command that ``argv`` (default: this process's) names; exits with a code other than 0 if it
    fails.
    """
    ManagementUtility(argv).execute()


@functools.cache
def get_commands() -> dict[str, str]:
    """Return the module of every command by name; the apps' commands override built-in ones."""
    here = f"{HERE}.commands"
    found = {
        name: f"{here}.{name}" for name in _modules_in(os.path.join(os.path.dirname(__file__), "commands"))
    }
    found.update(SHIM_COMMANDS)
    if settings.configured:
        for config in apps.get_app_configs():
            folder = os.path.join(config.path, "management", "commands")
            found.update({name: f"{config.name}.management.commands.{name}" for name in _modules_in(folder)})
    return found


def _modules_in(folder: str) -> list[str]:
    modules = pkgutil.iter_modules([folder])
    return [module.name for module in modules if not module.ispkg and not module.name.startswith("_")]


def load_command_class(module: str, name: str = "") -> BaseCommand:
    """Return an instance of the command in ``module`` (or, in Django's words, of app and name)."""
    path = f"{module}.management.commands.{name}" if name else module
    command: BaseCommand = importlib.import_module(path).Command()
    return command


def call_command(command_name: Any, *args: Any, **options: Any) -> Any:
    """Run a command from code: ``call_command("greet", "Ann", shout=True)``; what it returns.

    A list among ``args`` stands for its items. CommandError for an unknown name, TypeError for an unknown
    option.
    """
    if isinstance(command_name, BaseCommand):
        command, name = command_name, type(command_name).__module__.rpartition(".")[2]
    else:
        name = str(command_name)
        command = _command(name)
    parser = command.create_parser("", name)
    names = {_flag(action): action.dest for action in parser._actions if action.option_strings}
    given = {names.get(option, option): value for option, value in options.items()}
    required = [str(flag) for flag in _required(parser, given)]
    words = [str(word) for arg in args for word in (arg if isinstance(arg, (list, tuple)) else [arg])]
    parsed = vars(parser.parse_args([*words, *required]))
    known = {action.dest for action in parser._actions} | {
        *command.stealth_options,
        "stdout",
        "stderr",
        "skip_checks",
    }
    unknown = sorted(set(given) - known)
    if unknown:
        raise TypeError(
            f"the command {name} has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}."
        )
    values = {**parsed, **given}
    values.setdefault("skip_checks", True)
    positional = values.pop("args", ())
    return command.execute(*positional, **values)


def _flag(action: Action) -> str:
    return min(action.option_strings, key=lambda text: text.count("-") == 1).lstrip("-").replace("-", "_")


def _required(parser: CommandParser, given: dict[str, Any]) -> list[str]:
    """Command line words for the required options that came as keywords: argparse insists on seeing them."""
    words: list[str] = []
    for action in parser._actions:
        if action.required and action.option_strings and action.dest in given:
            value = given[action.dest]
            words += [
                action.option_strings[0],
                *map(str, value if isinstance(value, (list, tuple)) else [value]),
            ]
    return words


def _command(name: str) -> BaseCommand:
    module = get_commands().get(name)
    if module is None:
        raise CommandError(_unknown(name))
    return load_command_class(module)


def _unknown(name: str) -> str:
    if name in UNSERVED_COMMANDS:
        return needs_django(f"The command {name!r}")
    near = difflib.get_close_matches(name, get_commands(), n=1)
    return f"there is no command {name!r}" + (f". The nearest is {near[0]}." if near else "")


class ManagementUtility:
    """One run of the command line."""

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        self.argv = list(argv or sys.argv)
        self.prog_name = os.path.basename(self.argv[0])
        if self.prog_name == "__main__.py":
            self.prog_name = "python -m django"
        self.settings_error: Exception | None = None

    def execute(self) -> None:
        """Run it."""
        name = self.argv[1] if len(self.argv) > 1 else "help"
        self._read_common_options()
        if name in ("version", "--version"):
            print(get_version())
            print(
                "The subset of Django that channels-compat brings; Django is not installed.", file=sys.stderr
            )
            return
        self._set_up(name)
        if name in ("help", "--help", "-h"):
            self._help(self.argv[2:])
        else:
            self._fetch(name).run_from_argv(self.argv)

    def _read_common_options(self) -> None:
        parser = CommandParser(
            prog=self.prog_name,
            usage="%(prog)s subcommand [options] [args]",
            add_help=False,
            allow_abbrev=False,
        )
        parser.add_argument("--settings")
        parser.add_argument("--pythonpath")
        parser.add_argument("args", nargs="*")
        try:
            options, _ = parser.parse_known_args(self.argv[2:])
        except CommandError:
            return  # the command itself will say what is wrong
        if options.settings:
            os.environ["DJANGO_SETTINGS_MODULE"] = options.settings
        if options.pythonpath:
            sys.path.insert(0, options.pythonpath)

    def _set_up(self, name: str) -> None:
        try:
            _ = settings.INSTALLED_APPS
        except (ImproperlyConfigured, ImportError) as error:
            self.settings_error = error
            return
        if name == "runserver" and "--noreload" not in self.argv:
            return  # broken code is reported by the server process, which tries again when a file changes
        setup()

    def _fetch(self, name: str) -> BaseCommand:
        if self.settings_error is not None and name != "startapp":
            raise self.settings_error
        commands = {} if not apps.ready and name == "runserver" else get_commands()
        module = commands.get(name) or (f"{HERE}.commands.runserver" if name == "runserver" else None)
        if module is None:
            sys.stderr.write(f"{_unknown(name)}\n'{self.prog_name} help' lists the commands.\n")
            sys.exit(1)
        return load_command_class(module)

    def _help(self, arguments: list[str]) -> None:
        names = [argument for argument in arguments if not argument.startswith("-")]
        if names:
            self._fetch(names[0]).print_help(self.prog_name, names[0])
            return
        if "--commands" in arguments:
            print("\n".join(sorted(get_commands())))
            return
        lines = [
            "",
            f"{self.prog_name} help COMMAND shows a command's options.",
            "",
            "Commands:",
        ]
        by_app: dict[str, list[str]] = {}
        if self.settings_error is None:
            for name, module in get_commands().items():
                app = module.partition(".management.")[0].rpartition(".")[2]
                by_app.setdefault("django" if app == "core" else app, []).append(name)
        for app in sorted(by_app):
            lines += ["", f"[{app}]", *(f"    {name}" for name in sorted(by_app[app]))]
        if self.settings_error is not None:
            lines += [
                "",
                f"Without the project's own: the settings cannot be read ({self.settings_error}).",
            ]
        print("\n".join(lines))
