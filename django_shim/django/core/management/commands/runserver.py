"""``manage.py runserver``: the project's development server, with ASGI_APPLICATION."""

from __future__ import annotations

import os
import re
from typing import Any

from compat.cli.application import load_application
from compat.cli.runserver import serve
from compat.exceptions import CompatError
from django_shim.below import Below
from django_shim.mounting import PAGES_ONLY

from .... import setup
from ....conf import settings
from ..base import BaseCommand, CommandError

__all__ = ["Command", "load", "load_pages"]

PAGES = "django.core.asgi:get_asgi_application"
_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:]+\]|[^:\[\]]+):)?(?P<port>\d+)$")


class Command(BaseCommand):
    """uvicorn with ASGI_APPLICATION (without that setting: with the project's pages), loaded anew on a
    change.
    """

    help = "Serves the project while it is being developed: pages, websockets, static files."
    requires_system_checks = ()
    _without_effect = "--nothreading --nostatic --insecure --noasgi --skip-checks"

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "addrport", nargs="?", default="", help="Port, or address and port: 8000, 0.0.0.0:8000."
        )
        parser.add_argument(
            "--ipv6", "-6", action="store_true", dest="use_ipv6", help="Listen on an IPv6 address."
        )
        parser.add_argument(
            "--noreload", action="store_false", dest="use_reloader", help="Do not watch the files."
        )
        for name in ("--http_timeout", "--websocket_handshake_timeout"):
            parser.add_argument(name, type=int, help="Accepted; no effect.")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = _address(options["addrport"], options["use_ipv6"])
        # The server's own processes find the shim by this, however this one came by it.
        os.environ.setdefault("DJANGO_SHIM", "1")
        application = settings.ASGI_APPLICATION
        if not application:
            self.stderr.write(f"ASGI_APPLICATION is not set: websockets are refused, {PAGES_ONLY}")
        try:
            serve(
                application or PAGES,
                host=host,
                port=port,
                reload=options["use_reloader"],
                load=f"{__name__}:{'load' if application else 'load_pages'}",
            )
        except (CompatError, ImportError) as error:
            raise CommandError(str(error)) from error


def _address(given: str, ipv6: bool) -> tuple[str, int]:
    match = _ADDRESS.match(given or "8000")
    if match is None:
        raise CommandError(
            f'"{given}" is neither a port nor an address and a port: write 8000, or 0.0.0.0:8000'
        )
    host = match["host"] or ("::1" if ipv6 else "127.0.0.1")
    return "0.0.0.0" if host == "0" else host.strip("[]"), int(match["port"])


def load(name: str) -> Any:
    """Return the application "module:name", with Django set up first, below FORCE_SCRIPT_NAME."""
    setup()
    return _below(load_application(name))


def load_pages(name: str) -> Any:
    """Return the project's pages: for a project without ASGI_APPLICATION, whose websockets are refused."""
    from compat.routing import ProtocolTypeRouter
    from django_shim.mounting import no_websockets

    setup()
    return _below(ProtocolTypeRouter({"http": load_application(name)(), "websocket": no_websockets}))


def _below(application: Any) -> Any:
    return Below(application, settings.FORCE_SCRIPT_NAME) if settings.FORCE_SCRIPT_NAME else application
