"""``manage.py check``: is what the settings name there?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compat.layers import get_channel_layer
from compat.routing import get_default_application

from ....conf import settings
from ....template.engine import engines
from ....urls import URLResolver, get_resolver
from ....utils.module_loading import import_string
from ...handlers.base import is_project_middleware
from ..base import BaseCommand, SystemCheckError

__all__ = ["Command", "problems"]


class Command(BaseCommand):
    """Imports URLs, middleware and ASGI application, and builds the template engines and channel layers."""

    help = "Checks the project: settings, URLs, middleware, templates, channel layers, ASGI application."
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "args", metavar="app_label", nargs="*", help="Accepted; the whole project is checked."
        )
        parser.add_argument("--tag", "-t", action="append", help="Accepted; no effect.")
        parser.add_argument("--deploy", action="store_true", help="Accepted; no effect.")
        parser.add_argument("--fail-level", default="ERROR", help="Accepted; no effect.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [f"{what}: {type(error).__name__}: {error}" for what, error in problems()]
        if found:
            lines = "\n".join(found)
            issues = "1 issue" if len(found) == 1 else f"{len(found)} issues"
            raise SystemCheckError(
                f"System check identified some issues:\n\n{lines}\n\nSystem check identified {issues}."
            )
        self.stdout.write("System check identified no issues (0 silenced).")


def problems() -> Iterator[tuple[str, Exception]]:
    """Setting and error, for each that names something that cannot be used."""
    for what, check in {
        "ROOT_URLCONF": _urls,
        "MIDDLEWARE": _middleware,
        "TEMPLATES": engines.all,
        "CHANNEL_LAYERS": _layers,
        "ASGI_APPLICATION": _application,
    }.items():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever the project's modules raise is what was looked for
            yield what, error


def _urls() -> None:
    waiting = [get_resolver()] if settings.ROOT_URLCONF else []
    while waiting:
        below = waiting.pop().url_patterns
        waiting += [one for one in below if isinstance(one, URLResolver)]


def _middleware() -> None:
    for path in filter(is_project_middleware, settings.MIDDLEWARE):
        import_string(path)


def _layers() -> None:
    for alias in getattr(settings, "CHANNEL_LAYERS", None) or {}:
        get_channel_layer(alias)


def _application() -> None:
    if settings.ASGI_APPLICATION:
        get_default_application()
