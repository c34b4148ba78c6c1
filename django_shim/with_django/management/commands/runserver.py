"""``manage.py runserver`` for a project on the real Django, with websockets."""

# mypy: disable-error-code="misc"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

from django.apps import apps
from django.conf import settings
from django.core.management import CommandError
from django.core.management.commands.runserver import Command as DjangoCommand
from django.db import connections
from django.utils import autoreload

from compat.cli.application import application_name, load_application
from compat.cli.runserver import CannotServe, serve
from compat.cli.supervised import SupervisedServer
from compat.exceptions import CompatError
from compat.routing import get_default_application
from django_shim.below import Below

__all__ = ["Command", "get_default_application"]

LOAD_S = 10
"""So long the reloader waits for the application: an import may wait for a debugger."""

UNUSED = {
    "log_action": "the logger uvicorn.access writes the lines about requests",
    "server_cls": "the server is uvicorn",
}
"""What a command that derives from Daphne's may have, and what is there instead."""

LOOK_S = 10
"""So long the server waits for the reloader's first look at the files: their disk may be slow."""


class Command(DjangoCommand):
    """The development server: uvicorn with ASGI_APPLICATION, restarted by Django's reloader."""

    help = "Starts a development server that serves HTTP and websockets, with the project's ASGI_APPLICATION."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loaded = threading.Event()
        self._looked = threading.Event()
        self._server: SupervisedServer | None = None

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
        """Serve, below Django's reloader if it is used; Django has parsed the address."""
        code: Any = 1
        if options["use_asgi"]:
            autoreload.autoreload_started.connect(self._wait_until_loaded)
            autoreload.file_changed.connect(_forget_bytecode)
        try:
            super().run(**options)
            code = 0
        except SystemExit as ending:
            code = ending.code
            raise
        finally:
            if self._server is not None:  # daemon threads would end with their connections open
                self._server.stop(code if isinstance(code, int) else int(code is not None))

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check the project, then serve it until the end; below the reloader it has a thread of its own."""
        if not options["use_asgi"]:
            super().inner_run(*args, **options)
            return
        for name, instead in UNUSED.items():
            if getattr(self, name, None) is not getattr(DjangoCommand, name, None):
                text = f"{name} of this command has no effect: {instead}. With daphne installed, it is used."
                self.stderr.write(self.style.WARNING(text))
        address = {"host": self.addr, "port": int(self.port)}
        try:
            autoreload.raise_last_exception()
            if not options["skip_checks"]:
                self.check(display_num_errors=False)
            self.check_migrations()
            connections.close_all()
            if options["use_reloader"]:
                self._serve_supervised(address, options)
            else:
                serve(settings.ASGI_APPLICATION, reload=False, load=self._load(options), **address)
        except CompatError as error:
            raise CommandError(str(error)) from error
        finally:
            self._loaded.set()

    def _wait_until_loaded(self, sender: Any, **_kwargs: Any) -> None:
        # Else Django looks at the modules of asgi.py a second later, and misses the changes until then.
        self._loaded.wait(LOAD_S)
        if getattr(type(sender), "tick", None) is autoreload.StatReloader.tick:
            look = sender.snapshot_files

            def snapshot_files() -> Iterator[Any]:
                yield from look()
                self._looked.set()

            sender.snapshot_files = snapshot_files
        else:  # the operating system tells it of changes, or the project has a way of its own to look
            self._looked.set()

    def _serve_supervised(self, address: dict[str, Any], options: Any) -> None:
        self._server = SupervisedServer(settings.ASGI_APPLICATION, load=self._load(options), **address)
        try:
            self._server.run()
        except CannotServe as error:
            self._exit(f"CommandError: {error}")

    def _exit(self, text: str) -> NoReturn:
        # An exit of this thread would not end the process, and no change of a file would help.
        self.stderr.write(text)
        self.stderr.flush()
        os._exit(1)

    def _load(self, options: Any) -> Any:
        def load(_name: str) -> Any:
            application = self.get_application(options)
            self._loaded.set()
            if options["use_reloader"]:
                # A change of what this look has not seen yet is missed: nobody is to see a page before it.
                self._looked.wait(LOOK_S)
            return application

        return load

    def get_application(self, options: Any) -> Any:
        """Return the application to serve: ASGI_APPLICATION, behind Django's handler for STATIC_URL.

        With FORCE_SCRIPT_NAME, its scopes have that as ``root_path``, and the path that the client sent.
        """
        application = load_application(application_name(settings.ASGI_APPLICATION))
        if settings.FORCE_SCRIPT_NAME:
            application = Below(application, settings.FORCE_SCRIPT_NAME)
        # The options exist only where the app is installed.
        if options.get("use_static_handler") and (settings.DEBUG or options.get("insecure_serving")):
            from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

            application = ASGIStaticFilesHandler(application)
        return application


def _forget_bytecode(file_path: Any, **_kwargs: Any) -> None:
    """Receive ``file_changed``: Python would use bytecode whose source has its size and second of change."""
    from compat.cli.reloading import forget_bytecode

    if str(file_path).endswith(".py"):
        forget_bytecode(str(file_path))
