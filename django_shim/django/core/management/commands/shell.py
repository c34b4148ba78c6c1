"""``manage.py shell``: Python with the project set up."""

from __future__ import annotations

import code
import sys
from typing import Any

from ..base import BaseCommand

__all__ = ["Command"]


class Command(BaseCommand):
    """Interactive; or runs ``-c``, or the script that comes through stdin."""

    help = "A Python prompt with the project set up. Runs a script from stdin, or with -c."
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("-c", "--command", help="Run this instead of a prompt.")
        parser.add_argument("--no-startup", action="store_true", help="Accepted; no effect.")
        parser.add_argument("--no-imports", action="store_true", help="Accepted; there is nothing to import.")
        parser.add_argument("-i", "--interface", help="Accepted; the prompt is Python's own.")

    def handle(self, *args: Any, **options: Any) -> None:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        if options["command"]:
            exec(compile(options["command"], "<command>", "exec"), namespace)
        elif not sys.stdin.isatty():
            exec(compile(sys.stdin.read(), "<stdin>", "exec"), namespace)
        else:
            _complete_with_tab(namespace)
            code.interact(local=namespace, exitmsg="")


def _complete_with_tab(namespace: dict[str, Any]) -> None:
    try:
        import readline
        import rlcompleter
    except ImportError:
        return  # a Python without them
    readline.set_completer(rlcompleter.Completer(namespace).complete)
    readline.parse_and_bind("tab: complete")
