"""Trap 14: a whole Django-style project inside a FastAPI or Starlette app, which loses nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from django_shim.mounting import Fallback, path_below
from tests.shim.running import run_code, write
from tests.support.clients import Client, Refused, get
from tests.support.environments import Environment, environment, in_each
from tests.support.servers import Server, served

SETTINGS = """
SECRET_KEY = "only for this test"
DEBUG = True
ALLOWED_HOSTS = []
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "mysite.urls"
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DATABASES = {}
"""
URLS = """
from django.http import HttpResponse
from django.urls import path, reverse

def hello(request, name):
    return HttpResponse(f"hello {name} at {reverse('hello', args=['you'])}")

urlpatterns = [path("hello/<str:name>/", hello, name="hello")]
"""
CONSUMERS = """
from channels.generic.websocket import AsyncWebsocketConsumer

class Room(AsyncWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send(text_data=f"{self.room} {self.scope['user'].is_anonymous}")

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def said(self, event):
        await self.send(text_data=event["text"])
"""
ASGI = """
import os
from django.core.asgi import get_asgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
pages = get_asgi_application()
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.auth import AuthMiddlewareStack
from django.urls import re_path
from mysite.consumers import Room

sockets = URLRouter([re_path(r"^ws/(?P<room>\\w+)/$", Room.as_asgi())])
checked = AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))
application = ProtocolTypeRouter({"http": pages, "websocket": checked})
"""
FASTAPI = """
from fastapi import Depends, FastAPI
APP = FastAPI
def route(app, path, method, endpoint):
    app.api_route(path, methods=[method])(endpoint)
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
APP = Starlette
def route(app, path, method, endpoint):
    async def handler(request):
        return JSONResponse(await endpoint(**request.path_params))
    app.router.add_route(path, handler, methods=[method])
"""
MAIN = """
from contextlib import asynccontextmanager
from framework import APP, route
from compat.layers import get_channel_layer
from django_shim import mount

started = []

@asynccontextmanager
async def lifespan(app):
    started.append("up")
    yield

app = APP(lifespan=lifespan)

async def ping():
    return {"started": started}

async def say(room: str):
    await get_channel_layer().group_send(room, {"type": "said", "text": "from the endpoint"})
    return {}

async def later():
    return {"later": True}

route(app, "/api/ping", "GET", ping)
route(app, "/api/say/{room}", "GET", say)
mount(app, "mysite.settings", path=PATH)
route(app, "/api/later", "GET", later)
"""


def project(folder: Path, path: str = "/", framework: str = STARLETTE) -> Path:
    return write(
        folder,
        framework=framework,
        main=MAIN.replace("PATH", repr(path)),
        mysite__settings=SETTINGS,
        mysite__urls=URLS,
        mysite__consumers=CONSUMERS,
        mysite__asgi=ASGI,
    )


@contextmanager
def running(env: Environment, folder: Path, *options: str) -> Iterator[Server]:
    command = [env.path("uvicorn"), "main:app", "--port", "{port}", *options]
    with served(command, cwd=folder, log=folder / "log") as server:
        yield server


def test_trap_14_fastapi_keeps_its_own_and_the_project_gets_the_rest(
    bare: Environment, tmp_path: Path
) -> None:
    with running(bare, project(tmp_path, framework=FASTAPI)) as server:
        assert get(server, "/api/ping").json() == {"started": ["up"]}
        assert get(server, "/api/later").json() == {"later": True}, "a route that was added after the mount"
        assert get(server, "/docs").status_code == 200
        assert set(get(server, "/openapi.json").json()["paths"]) == {
            "/api/ping",
            "/api/say/{room}",
            "/api/later",
        }
        assert get(server, "/hello/Ada/").text == "hello Ada at /hello/you/"
        assert get(server, "/nobody/has/this").status_code == 404
        with Client(server, "/ws/lobby/") as client:
            assert client.receive() == "lobby True"
            get(server, "/api/say/lobby")
            assert client.receive() == "from the endpoint"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("name", in_each())
def test_trap_14_origin_check_and_unknown_paths(name: str, tmp_path: Path) -> None:
    with running(environment(name), project(tmp_path)) as server:
        assert get(server, "/hello/Ada/").text == "hello Ada at /hello/you/"
        with Client(server, "/ws/lobby/") as client:
            assert client.receive() == "lobby True"
        with pytest.raises(Refused) as foreign:
            Client(server, "/ws/lobby/", origin="http://elsewhere.example")
        assert foreign.value.status == 403
        with pytest.raises(Refused) as unknown:
            Client(server, "/ws/no/such/path/")
        assert unknown.value.status in (403, 404)
    assert "Traceback" not in server.log()
    (line,) = [line for line in server.log().splitlines() if "no route matches" in line]
    assert "/ws/no/such/path/" in line


@pytest.mark.parametrize("name", ["bare", "django"])
def test_trap_14_below_a_path_with_root_path(name: str, tmp_path: Path) -> None:
    with running(environment(name), project(tmp_path, path="/legacy")) as server:
        assert get(server, "/legacy/hello/Ada/").text == "hello Ada at /legacy/hello/you/"
        assert get(server, "/hello/Ada/").status_code == 404
        assert get(server, "/legacyx/hello/Ada/").status_code == 404
        assert get(server, "/legacy").headers["location"].endswith("/legacy/")
        assert get(server, "/api/later").json() == {"later": True}
        with Client(server, "/legacy/ws/lobby/") as client:
            assert client.receive() == "lobby True"
            get(server, "/api/say/lobby")
            assert client.receive() == "from the endpoint"
        for path in ("/ws/lobby/", "/legacyx/ws/lobby/", "/legacy/ws/no/such/"):
            with pytest.raises(Refused):
                Client(server, path)
    assert "Traceback" not in server.log()


def test_trap_14_behind_a_proxy_that_sets_root_path(bare: Environment, tmp_path: Path) -> None:
    """uvicorn's --root-path: the scope's path begins with it, and Django's URLs do too."""
    with running(bare, project(tmp_path, path="/legacy"), "--root-path", "/front") as server:
        assert get(server, "/legacy/hello/Ada/").text == "hello Ada at /front/legacy/hello/you/"
        with Client(server, "/legacy/ws/lobby/") as client:
            assert client.receive() == "lobby True"


def test_trap_14_root_path_is_taken_off_by_whole_segments() -> None:
    assert path_below("/prefix/x", "/pre") == "/prefix/x"
    assert path_below("/pre/x", "/pre") == "/x"
    assert path_below("/x", "") == "/x"


def test_a_project_without_a_websocket_branch_refuses_sockets(bare: Environment, tmp_path: Path) -> None:
    """What startproject writes: asgi.py with Django's handler alone, which raises for a websocket."""
    project(tmp_path)
    asgi = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    write(tmp_path, mysite__asgi=asgi)
    with running(bare, tmp_path) as server:
        assert get(server, "/hello/Ada/").status_code == 200
        with pytest.raises(Refused):
            Client(server, "/ws/lobby/")
    assert "Traceback" not in server.log() and "websocket" in server.log()


REFUSED = """
import os
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.responses import PlainTextResponse
from django_shim import mount

def attempt(app, settings="mysite.settings", **options):
    try:
        mount(app, settings, **options)
    except RuntimeError as error:
        return str(error)
    return ""

everything = Starlette(routes=[Mount("/", app=PlainTextResponse("mine"), name="mine")])
assert "'mine'" in attempt(everything)
catch_all = Starlette(routes=[Route("/{rest:path}", lambda request: PlainTextResponse("mine"))])
assert "nothing would reach the project" in attempt(catch_all, path="/legacy")
mine = PlainTextResponse("mine")
app = Starlette(routes=[Mount("/static", app=mine), Route("/{page}", mine)])
assert attempt(app) == ""
assert "already" in attempt(app)
assert attempt(app, path="/legacy") == ""
text = attempt(Starlette(), "other.settings")
assert "DJANGO_SETTINGS_MODULE is 'mysite.settings'" in text and "'other.settings'" in text, text
"""


def test_mounting_what_nothing_would_reach_is_an_error(bare: Environment, tmp_path: Path) -> None:
    run_code(bare, REFUSED, project(tmp_path), {})


def test_static_files_are_served_in_debug_with_the_real_django(tmp_path: Path) -> None:
    project(tmp_path)
    apps = "INSTALLED_APPS += ['django.contrib.staticfiles']\n"
    apps += "STATIC_URL = 'static/'\nSTATICFILES_DIRS = ['assets']\n"
    write(tmp_path, mysite__settings=SETTINGS + apps)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "site.css").write_text("body {}", encoding="utf-8")
    with running(environment("django"), tmp_path) as server:
        assert get(server, "/static/site.css").text == "body {}"
    project(tmp_path, path="/legacy")
    write(tmp_path, mysite__settings=SETTINGS + apps)
    with running(environment("django"), tmp_path) as server:
        assert get(server, "/legacy/static/site.css").text == "body {}"


@pytest.mark.parametrize(
    ("query", "location"), [(b"", b"/site/"), (b"x=1&y=%C3%A9+b", b"/site/?x=1&y=%C3%A9+b")]
)
async def test_a_prefix_without_its_slash_leads_below_with_the_query(query: bytes, location: bytes) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def unused(*args: Any) -> None:
        raise AssertionError

    fallback = Fallback(unused)
    fallback.projects["/site"] = unused
    await fallback({"type": "http", "path": "/site", "query_string": query}, receive, send)
    assert sent[0]["status"] == 307 and dict(sent[0]["headers"])[b"location"] == location
