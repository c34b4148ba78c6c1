"""The Channels tutorial after `port --write`: a diff of imports, and a chat under plain uvicorn, no shim."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.porting.projects import ENVIRONMENT_OF, check, failing_imports, port, without_cache
from tests.support.clients import Client, Refused, get
from tests.support.environments import environment
from tests.support.servers import Server, served
from tests.support.tutorial import Tutorial

MADE_BY_STARTPROJECT = {"manage.py", "mysite/wsgi.py", "mysite/urls.py"}
"""What Django's template has; the tutorial writes, or adds to, the others."""


class Ported:
    """The tutorial before and after."""

    def __init__(self, folder: Path, django: str) -> None:
        self.folder = folder
        self.django = django
        self.before = without_cache(folder)
        self.output = port(folder, django, "--write")
        self.after = without_cache(folder)

    def added(self, *, leave_out: set[str] | frozenset[str] = frozenset()) -> list[str]:
        """The lines that the port has written."""
        lines = []
        for name, before in self.before.items():
            texts = (before.decode().splitlines(), self.after[name].decode().splitlines())
            if name not in leave_out:
                lines += [line[1:].strip() for line in difflib.unified_diff(*texts, n=0) if line[:1] == "+"][
                    1:
                ]
        return lines


@pytest.fixture(scope="module", params=["keep", "shim"])
def ported(request: pytest.FixtureRequest, tutorial: Tutorial) -> Ported:
    """With Django's names as they are, and with those of the subset."""
    return Ported(tutorial.project(), request.param)


def test_the_diff_is_of_imports_and_two_dotted_names(ported: Ported) -> None:
    assert ported.before.keys() == ported.after.keys()
    others = [line for line in ported.added() if not line.startswith(("from ", "import "))]
    assert len(others) == 2, others
    assert '"django_shim.with_django",' in others
    assert any("compat.layers.InMemoryChannelLayer" in line for line in others)
    assert len(ported.added(leave_out=MADE_BY_STARTPROJECT)) <= 10
    if ported.django == "keep":
        assert len(ported.added()) <= 10 and not ported.added()[0].startswith("from django")
    for name, before in ported.before.items():
        assert before.count(b"\n") == ported.after[name].count(b"\n"), "line by line"


def test_a_second_run_changes_nothing(ported: Ported) -> None:
    assert "nothing to port" in port(ported.folder, ported.django, "--write")
    assert without_cache(ported.folder) == ported.after


def test_only_imports(tutorial: Tutorial) -> None:
    folder = tutorial.project()
    port(folder, "keep", "--write", "--only", "imports")
    assert '"channels.layers.InMemoryChannelLayer"' in (folder / "mysite/settings.py").read_text()
    assert "from compat.auth import" in (folder / "mysite/asgi.py").read_text()


@pytest.fixture(scope="module", params=["as ported", "django installed later"])
def server(
    request: pytest.FixtureRequest, ported: Ported, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if request.param == "django installed later" and ported.django == "keep":
        pytest.skip("that is the environment it was ported for")
    name = ENVIRONMENT_OF[ported.django] if request.param == "as ported" else "django"
    env = environment(name)
    found = env.run("python", "-c", "import channels", cwd=ported.folder)
    assert "No module named 'channels'" in found.stderr, "no shim, and no Channels"
    if name == "django":
        assert env.run("python", "manage.py", "migrate", cwd=ported.folder).returncode == 0
    command = [env.path("uvicorn"), "mysite.asgi:application", "--port", "{port}"]
    log = tmp_path_factory.mktemp("log") / "uvicorn.log"
    with served(command, cwd=ported.folder, log=log) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


def test_the_pages_are_served(server: Server) -> None:
    assert "What chat room" in get(server, "/chat/").text
    room = get(server, "/chat/lobby/")
    assert room.status_code == 200 and 'id="room-name" type="application/json">"lobby"' in room.text
    assert get(server, "/admin/").status_code in (302, 501)


def test_people_chat(server: Server) -> None:
    with Client(server, "/ws/chat/lobby/") as eva, Client(server, "/ws/chat/lobby/") as ada:
        eva.send_json({"message": "hello"})
        assert [eva.receive_json(), ada.receive_json()] == [{"message": "hello"}] * 2
    with pytest.raises(Refused):
        Client(server, "/ws/chat/lobby/", origin="http://evil.example")


def test_manage_py_has_its_commands(ported: Ported) -> None:
    env = environment(ENVIRONMENT_OF[ported.django])
    done = env.run("python", "manage.py", "check", cwd=ported.folder)
    assert done.returncode == 0 and "no issues" in done.stdout, done.stderr
    if ported.django == "keep":
        listed = env.run("python", "manage.py", "help", cwd=ported.folder).stdout
        assert "runworker" in listed.partition("[with_django]")[2], listed


def test_runserver_of_the_ported_project(ported: Ported, tmp_path: Path) -> None:
    env = environment(ENVIRONMENT_OF[ported.django])
    command = [env.path("python"), "manage.py", "runserver", "127.0.0.1:{port}", "--noreload"]
    with served(command, cwd=ported.folder, log=tmp_path / "log") as server:
        assert httpx.get(server.http("/chat/"), trust_env=False, timeout=15).status_code == 200
        with Client(server, "/ws/chat/lobby/") as client:
            client.send_json({"message": "hello"})
            assert client.receive_json() == {"message": "hello"}


SESSION = """
import asyncio
import django
django.setup()
from django.contrib.auth import login, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.conf import settings

user = get_user_model().objects.create_user("eva")
request = HttpRequest()
request.session = SessionStore()
login(request, user, backend="django.contrib.auth.backends.ModelBackend")
request.session.save()

from compat.auth import AuthMiddlewareStack
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.testing import WebsocketCommunicator


class Who(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.send(f"{self.scope['user'].username} {type(self.scope['user']._wrapped).__module__}")


async def ask():
    cookie = f"{settings.SESSION_COOKIE_NAME}={request.session.session_key}".encode()
    client = WebsocketCommunicator(AuthMiddlewareStack(Who.as_asgi()), "/", headers=[(b"cookie", cookie)])
    await client.connect(timeout=15)
    print(await client.receive_from(timeout=15))
    await client.disconnect(timeout=15)


asyncio.run(ask())
"""


def test_users_are_djangos(ported: Ported) -> None:
    if ported.django == "shim":
        pytest.skip("there are no users without Django")
    env = environment("django")
    variables = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    assert env.run("python", "manage.py", "migrate", cwd=ported.folder).returncode == 0
    done = env.run("python", "-c", SESSION, cwd=ported.folder, env=variables)
    assert done.stdout.strip() == "eva django.contrib.auth.models", done.stderr


def test_every_file_can_be_imported(ported: Ported) -> None:
    env = environment(ENVIRONMENT_OF[ported.django])
    files = check(ported.folder, env, ported.django)["files"]
    assert len(files) == 13 and {file["status"] for file in files} == {"runs"}
    assert failing_imports(ported.folder, env, files, settings="mysite.settings") == {}
