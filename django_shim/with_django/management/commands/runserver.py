"""``manage.py runserver`` for a project on the real Django, with websockets."""

# mypy: disable-error-code="misc"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import os
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import CommandError
from django.core.management.commands.runserver import Command as DjangoCommand

from compat.cli.runserver import serve
from compat.exceptions import CompatError
from compat.routing import get_default_application

__all__ = ["Command", "get_default_application", "load", "load_with_static_files"]

HERE = "django_shim.with_django.management.commands.runserver"


class Command(DjangoCommand):
    """The development server: uvicorn with ASGI_APPLICATION, restarted when a file changes."""

    help = "Starts a development server that serves HTTP and websockets, with the project's ASGI_APPLICATION."

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi", action="store_false", dest="use_asgi", help="Run Django's own server: no websockets."
        )
        for name in (
            "--http_timeout",
            "--websocket_handshake_timeout",
            "--websocket-max-message-size",
            "--websocket-max-frame-size",
        ):
            parser.add_argument(name, type=int, help="Accepted for compatibility with Daphne; no effect.")
        if apps.is_installed("django.contrib.staticfiles"):
            parser.add_argument(
                "--nostatic",
                action="store_false",
                dest="use_static_handler",
                help="Do not serve static files.",
            )
            parser.add_argument(
                "--insecure",
                action="store_true",
                dest="insecure_serving",
                help="Serve static files even if DEBUG is False.",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["use_asgi"] and not getattr(settings, "ASGI_APPLICATION", None):
            raise CommandError(
                "You have not set ASGI_APPLICATION, which is needed to run the server. Add a line such as "
                f"ASGI_APPLICATION = 'mysite.asgi.application' to {os.environ.get('DJANGO_SETTINGS_MODULE')}."
            )
        super().handle(*args, **options)

    def run(self, **options: Any) -> None:
        """Check the project, then serve it; Django has parsed the address."""
        if not options["use_asgi"]:
            super().run(**options)
            return
        _refuse_overrides(type(self))
        if not options["skip_checks"]:
            self.check(display_num_errors=False)
        self.check_migrations()
        try:
            serve(
                settings.ASGI_APPLICATION,
                host=self.addr,
                port=int(self.port),
                reload=options["use_reloader"],
                load=f"{HERE}:{'load_with_static_files' if _serves_static_files(options) else 'load'}",
            )
        except CompatError as error:
            raise CommandError(str(error)) from error


def _refuse_overrides(command: type[Command]) -> None:
    """Raise CommandError for a subclass with methods that Daphne's command calls, and this one does not."""
    for cls in command.__mro__[: command.__mro__.index(Command)]:
        if name := next((one for one in ("inner_run", "get_application") if one in vars(cls)), None):
            raise CommandError(
                f"{cls.__module__}.{cls.__qualname__} overrides {name}(), which is never called here: "
                "uvicorn serves ASGI_APPLICATION in processes of its own. Override handle() or run(), wrap "
                "the application in your asgi.py, or install daphne; --noasgi runs Django's own server."
            )


def _serves_static_files(options: Any) -> bool:
    # The options exist only where the app is installed.
    return bool(options.get("use_static_handler") and (settings.DEBUG or options.get("insecure_serving")))


def load(name: str) -> Any:
    """Return the application "module:name" after Django's setup; for a server process.

    With FORCE_SCRIPT_NAME, its scopes have that as ``root_path``, and the path that the client sent.
    """
    import django

    from compat.cli.application import load_application

    django.setup()
    application = load_application(name)
    return _Below(application, settings.FORCE_SCRIPT_NAME) if settings.FORCE_SCRIPT_NAME else application


class _Below:
    """Adds ``root_path`` to the scopes of an application: uvicorn's option would also extend the path."""

    def __init__(self, application: Any, root_path: str) -> None:
        self.application = application
        self.root_path = root_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "lifespan":
            scope = {**scope, "root_path": self.root_path}
        return await self.application(scope, receive, send)


def load_with_static_files(name: str) -> Any:
    """Return the application behind Django's handler for STATIC_URL."""
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    return ASGIStaticFilesHandler(load(name))
