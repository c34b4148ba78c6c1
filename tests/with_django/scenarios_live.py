"""``ChannelsLiveServerTestCase``: a server beside the test, on the test's database."""

# mypy: disable-error-code="import-not-found, misc, import-untyped"
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import multiprocessing
import unittest
import urllib.request
from pathlib import Path
from typing import Any
from unittest import mock

from tests.with_django.running import main

SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": [],
    "ASGI_APPLICATION": "tests.with_django.live_project.application",
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "db.sqlite3",
            "TEST": {"NAME": "test_db.sqlite3"},
        }
    },
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
        "channels",
    ],
    "ROOT_URLCONF": "tests.with_django.live_project",
    "STATIC_URL": "/static/",
    "STATICFILES_DIRS": ["static"],
}


def run_tests(case: type[unittest.TestCase]) -> unittest.TestResult:
    """As ``manage.py test`` runs them: with test databases."""
    from django.test.runner import DiscoverRunner

    multiprocessing.set_start_method("fork", force=True)  # settings without a module reach no other child
    runner = DiscoverRunner(verbosity=0)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    runner.teardown_databases(databases)
    runner.teardown_test_environment()
    return result


def scenario_pages_static_files_and_websockets_on_the_test_database() -> None:
    from channels.testing import ChannelsLiveServerTestCase
    from django.contrib.auth.models import User
    from websockets.sync.client import connect
    from websockets.typing import Origin

    Path("static").mkdir()
    Path("static/style.css").write_text("body {}")

    class Live(ChannelsLiveServerTestCase):
        def get(self, path: str) -> bytes:
            with urllib.request.urlopen(self.live_server_url + path, timeout=10) as response:
                return bytes(response.read())

        def count(self) -> Any:
            with connect(f"{self.live_server_ws_url}/ws/", origin=Origin(self.live_server_url)) as websocket:
                return json.loads(websocket.recv(timeout=10))

        def test_pages_and_static_files(self) -> None:
            assert self.get("/page/") == b"a page"
            assert self.get("/static/style.css") == b"body {}"

        def test_websocket(self) -> None:
            User.objects.create(username="one")
            assert self.count() == 1
            User.objects.create(username="two")
            assert self.count() == 2

    result = run_tests(Live)
    assert result.wasSuccessful() and result.testsRun == 2, result.errors + result.failures
    assert not Live._server_process.is_alive()
    assert User.objects.count() == 0


def scenario_the_name_of_the_test_database_is_that_of_the_tests() -> None:
    """Without TEST NAME, as it often is with PostgreSQL: after a fork the settings have the new name."""
    from channels.testing import ChannelsLiveServerTestCase
    from django.contrib.auth.models import User
    from django.db import connections
    from websockets.sync.client import connect
    from websockets.typing import Origin

    class Live(ChannelsLiveServerTestCase):
        @classmethod
        def setUpClass(cls) -> None:
            connections["default"].settings_dict["TEST"]["NAME"] = None
            super().setUpClass()

        def test_websocket(self) -> None:
            User.objects.create(username="one")
            with connect(f"{self.live_server_ws_url}/ws/", origin=Origin(self.live_server_url)) as websocket:
                assert json.loads(websocket.recv(timeout=10)) == 1

    result = run_tests(Live)
    assert result.wasSuccessful() and result.testsRun == 1, result.errors + result.failures
    assert not list(Path().glob("test_test_*"))


def scenario_a_server_that_does_not_start_says_why() -> None:
    from channels.testing import ChannelsLiveServerTestCase
    from django.test import override_settings

    class Live(ChannelsLiveServerTestCase):
        def test_nothing(self) -> None: ...

    with override_settings(ASGI_APPLICATION="no.such.application"):
        result = run_tests(Live)
    ((_, traceback),) = result.errors
    assert "no.such" in traceback and "stopped before it was ready" in traceback


def scenario_a_database_in_memory_is_refused() -> None:
    from channels.testing.live import ChannelsLiveServerTestCase
    from django.db import connection

    class Live(ChannelsLiveServerTestCase):
        def test_nothing(self) -> None: ...

    with mock.patch.object(connection, "is_in_memory_db", return_value=True):
        result = run_tests(Live)
    ((_, traceback),) = result.errors
    assert "ImproperlyConfigured" in traceback and "Give it a file" in traceback


def scenario_a_setup_of_the_project_s_own() -> None:
    """Copied from Channels, with another application: the server ends by what the class inherits."""
    from channels.testing import ChannelsLiveServerTestCase
    from channels.testing.live import set_database_connection
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.db import connections
    from django.test.utils import modify_settings

    class Live(ChannelsLiveServerTestCase):
        @classmethod
        def setUpClass(cls) -> None:
            assert not any(map(cls._is_in_memory_db, connections.all()))
            super(ChannelsLiveServerTestCase, cls).setUpClass()
            cls._live_server_modified_settings = modify_settings(ALLOWED_HOSTS={"append": cls.host})
            cls._live_server_modified_settings.enable()
            cls._server_process = cls.ProtocolServerProcess(
                cls.host, get_asgi_application, setup=set_database_connection
            )
            cls._server_process.start()
            assert cls._server_process.ready.wait(20)
            cls._port = cls._server_process.port.value

        def test_a_page(self) -> None:
            with urllib.request.urlopen(f"{self.live_server_url}/page/", timeout=10) as response:
                assert response.read() == b"a page"

    result = run_tests(Live)
    running = Live._server_process.is_alive()
    if running:
        Live._server_process.kill()
    assert result.wasSuccessful() and result.testsRun == 1, result.errors + result.failures
    assert not running and "localhost" not in settings.ALLOWED_HOSTS


def scenario_names_that_projects_import_from_there() -> None:
    import daphne.testing
    import django.test
    from channels.testing import ChannelsLiveServerTestCase
    from channels.testing.live import DaphneProcess, TransactionTestCase

    assert DaphneProcess is daphne.testing.DaphneProcess is ChannelsLiveServerTestCase.ProtocolServerProcess
    assert TransactionTestCase is django.test.TransactionTestCase


if __name__ == "__main__":
    main(__name__)
