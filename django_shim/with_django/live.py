"""``ChannelsLiveServerTestCase``: a Django test case with a server in another process.

The server is ``daphne.testing.DaphneProcess``: Daphne's own if Daphne is installed, else the shim's, which
runs uvicorn, also in a ported project without the shim. Names and behaviour are those of
``channels.testing.live``.
"""

# mypy: disable-error-code="import-not-found, misc, import-untyped"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test import TransactionTestCase
from django.test.utils import modify_settings

from compat.testing.live import make_application

__all__ = [
    "TEST_DATABASE_PREFIX",
    "ChannelsLiveServerTestCase",
    "DaphneProcess",
    "TransactionTestCase",
    "make_application",
    "set_database_connection",
]

READY_POLL_S = 1.0


def _daphne_process() -> Any:
    """Return the class DaphneProcess, from the shim's folder if neither Daphne nor the shim is there."""
    spec = find_spec("daphne")
    package = "daphne" if spec is not None and spec.origin is not None else "django_shim.packages.daphne"
    return import_module(f"{package}.testing").DaphneProcess


DaphneProcess: Any = _daphne_process()


class ChannelsLiveServerTestCase(TransactionTestCase):
    """Serves ASGI_APPLICATION on a free port while the tests of the class run.

    Its URLs are ``live_server_url`` and ``live_server_ws_url``. The server uses the test database, which must
    be accessible from two processes. Raises ImproperlyConfigured for a database in memory, and RuntimeError
    with the server's traceback if the server does not start.
    """

    host: ClassVar[str] = "localhost"
    ProtocolServerProcess: ClassVar[Any] = DaphneProcess
    static_wrapper: ClassVar[Any] = ASGIStaticFilesHandler
    serve_static: ClassVar[bool] = True

    _port: ClassVar[int]
    _server_process: ClassVar[Any] = None
    _live_server_modified_settings: ClassVar[Any] = None

    @property
    def live_server_url(self) -> str:
        return f"http://{self.host}:{self._port}"

    @property
    def live_server_ws_url(self) -> str:
        return f"ws://{self.host}:{self._port}"

    @classmethod
    def setUpClass(cls) -> None:
        for connection in connections.all():
            if cls._is_in_memory_db(connection):
                raise ImproperlyConfigured(
                    f"the database {connection.alias!r} is in memory, and the server of a "
                    "ChannelsLiveServerTestCase is another process. Give it a file that both can open: "
                    f"DATABASES[{connection.alias!r}]['TEST'] = {{'NAME': 'test.sqlite3'}}."
                )
        super().setUpClass()
        cls.addClassCleanup(cls._stop_server)  # if what follows fails, here or in a subclass
        cls._live_server_modified_settings = modify_settings(ALLOWED_HOSTS={"append": cls.host})
        cls._live_server_modified_settings.enable()
        wrapper = cls.static_wrapper if cls.serve_static else None
        cls._server_process = cls.ProtocolServerProcess(
            cls.host,
            partial(make_application, static_wrapper=wrapper),
            setup=partial(_prepare_server, connections["default"].settings_dict["NAME"], cls.host),
        )
        cls._server_process.start()
        cls._wait_until_ready()

    @classmethod
    def tearDownClass(cls) -> None:
        """Stop the server, which a subclass may have started in a ``setUpClass()`` of its own."""
        cls._stop_server()
        super().tearDownClass()

    @classmethod
    def _wait_until_ready(cls) -> None:
        process = cls._server_process
        while not process.ready.wait(READY_POLL_S):
            if not process.is_alive():
                traceback = "no error was reported" if process.errors.empty() else process.errors.get()[1]
                raise RuntimeError(f"the live server stopped before it was ready: {traceback}")
        cls._port = process.port.value

    @classmethod
    def _stop_server(cls) -> None:
        """Stop the server and restore ALLOWED_HOSTS, unless that has been done."""
        process, allowed = cls._server_process, cls._live_server_modified_settings
        if process is not None and process.is_alive():
            process.terminate()
            process.join()
        if hasattr(allowed, "wrapped"):  # it is enabled
            allowed.disable()

    @classmethod
    def _is_in_memory_db(cls, connection: Any) -> bool:
        """Return True for a SQLite database in memory; subclasses call this, too."""
        return bool(connection.vendor == "sqlite" and connection.is_in_memory_db())


def _prepare_server(database: str, host: str) -> None:
    """Use the test database and allow ``host``, which a spawned server does not take over from the test."""
    from django.conf import settings

    set_database_connection(database)
    if host not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, host]


def set_database_connection(name: str | None = None) -> None:
    """Use the test database ``name`` instead of the project's; called in the server process.

    Without a name it is derived from the settings, which must be the project's: after a fork they have the
    name of the test database already.
    """
    from django.conf import settings

    default = settings.DATABASES["default"]
    default["NAME"] = name or default["TEST"]["NAME"] or f"{TEST_DATABASE_PREFIX}{default['NAME']}"
