"""A project's live test after ``channels-compat port``: with Django, without the shim and without daphne."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.cli.porting.judge import DjangoNames
from tests.shim.running import write
from tests.support.environments import environment
from tests.support.ported import port_files

SETTINGS = """
SECRET_KEY = "only for this test"
DEBUG = False
ALLOWED_HOSTS = ["example.org"]
INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
]
STATIC_URL = "static/"
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "db.sqlite3",
        "TEST": {"NAME": "test_db.sqlite3"},
    }
}
"""
ASGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.asgi import get_asgi_application
http = get_asgi_application()
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth.models import User
from django.urls import path

class CountUsers(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.send_json(await database_sync_to_async(User.objects.count)())

urls = URLRouter([path("ws/", CountUsers.as_asgi())])
application = ProtocolTypeRouter({"http": http, "websocket": AllowedHostsOriginValidator(urls)})
"""
TESTS = """
import asyncio, json
from asgiref.sync import sync_to_async
from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth.models import User
from django.test import SimpleTestCase
from websockets.sync.client import connect

class Before(SimpleTestCase):
    def test_uses_the_thread_of_sync_to_async(self):
        asyncio.run(sync_to_async(len)(""))

class Live(ChannelsLiveServerTestCase):
    def test_counts(self):
        User.objects.create(username="eva")
        with connect(f"{self.live_server_ws_url}/ws/", origin=self.live_server_url) as websocket:
            self.assertEqual(json.loads(websocket.recv(timeout=10)), 1)
"""
MANAGE = """
import multiprocessing, os, sys
if __name__ == "__main__":
    multiprocessing.set_start_method("{method}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_ported_live_test_runs_without_the_shim(method: str, tmp_path: Path) -> None:
    write(tmp_path, mysite__settings=SETTINGS, mysite__asgi=ASGI, mysite__tests=TESTS)
    assert len(port_files(tmp_path, DjangoNames.keep)) == 3
    write(tmp_path, manage=MANAGE.format(method=method))
    done = environment("django").run("python", "manage.py", "test", cwd=tmp_path)
    assert done.returncode == 0 and "Ran 2 tests" in done.stderr, done.stdout + done.stderr
