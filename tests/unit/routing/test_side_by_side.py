"""The same routes and scopes through Channels' routers and through ours: every answer is the same.

Where Django is installed its own patterns and errors go through our routers; without it, ours do.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.environments import environment, in_each
from tests.support.paths import REPO

SIDE_BY_SIDE = """
import asyncio, json, re, sys
from django.conf import settings
settings.configure(ROOT_URLCONF="x")
import importlib
routing = importlib.import_module(sys.argv[1] + ".routing")
from django.urls import Resolver404, include, path, re_path
from django.core.exceptions import ImproperlyConfigured

URLRouter, ProtocolTypeRouter, ChannelNameRouter = (
    routing.URLRouter, routing.ProtocolTypeRouter, routing.ChannelNameRouter
)

class App:
    def __init__(self, name): self.name = name
    async def __call__(self, scope, receive, send):
        return [self.name, repr(scope.get("url_route")), scope.get("path_remaining")]

def catching(inner):
    async def app(scope, receive, send):
        try:
            return await inner(scope, receive, send)
        except Resolver404:
            return "Django's Resolver404"
    app._path_routing = True
    return app

async def raises_resolver404(scope, receive, send):
    raise Resolver404("from within")

inner = URLRouter([
    re_path(r"^book/(?P<book>[\\w\\-]+)/page/(?P<page>\\d+)/$", App("page")),
    re_path(r"^test/(\\d+)/$", App("test")), path("", App("empty")),
])
router = ProtocolTypeRouter({"websocket": URLRouter([
    path("", App("root")), path("foo/", App("foo")), re_path(r"bar", App("bar")),
    re_path(r"^posarg/(\\d+)/$", App("posarg")), path("kwarg/<str:name>/", App("kwarg")),
    path("default/<int:n>/", App("default"), kwargs={"n": 1, "m": 2}),
    re_path(r"^opt/(?:(?P<a>\\d+)/)?$", App("opt")), re_path(r"^mixed/(\\d)/(?P<x>\\d)/$", App("mixed")),
    re_path(r"^universe/(?P<universe>\\d+)/", inner), path("pos/<word>/", inner, {"word": "fixed"}),
    re_path(r"^positional/(\\w+)/", inner), re_path(r"ws/chat/(?P<room>\\w+)/$", App("chat")),
    path("caught/", catching(inner)), path("raises/", raises_resolver404), path("raises/", App("after")),
])})
channels = ChannelNameRouter({"known": App("known")})
PATHS = [
    "/", "", "//", "/foo/", "//foo/", "/foo", "foo/", "/foo//", "/bar/", "/x/bar/baz", "/posarg/12/",
    "/posarg/x/", "/kwarg/a b/", "/kwarg/caf\\u00e9/", "/kwarg/" + "x" * 200 + "/", "/default/7/", "/opt/",
    "/opt/3/", "/mixed/1/2/", "/universe/4/book/a-b/page/10/", "/universe/4/test/5/", "/universe/4/",
    "/universe/4/nope/", "/pos/w/test/5/", "/positional/foo/test/3/", "/ws/chat/lobby/",
    "/ws/chat/caf\\u00e9/", "/ws/chat/a-b/", "/x/ws/chat/lobby/", "/caught/", "/caught/nope/", "/raises/",
    "/nope/",
]
SCOPES = [{"type": "websocket", "path": p} for p in PATHS] + [
    {"type": "websocket", "path": "/root/foo/", "root_path": "/root"},
    {"type": "websocket", "path": "/root", "root_path": "/root"},
    {"type": "websocket", "path": "/foo/", "root_path": "/root"},
    {"type": "websocket", "path": "/foo/", "root_path": ""},
    {"type": "websocket"}, {"type": "lifespan"}, {"type": "aprs"}, {},
    {"type": "websocket", "path": "/whole/foo/", "path_remaining": "foo/"},
    {"type": "websocket", "path": "/whole/nope/", "path_remaining": "nope/"},
    {"type": "websocket", "path": "/foo/", "url_route": {"args": (1,), "kwargs": {"a": 2}}},
]

def outcome(call):
    try:
        return call()
    except BaseException as error:
        # ours says more, after the sentence that Channels has
        first = re.split(r"\\. |: the |: No |; there ", str(error))[0].rstrip(".")
        kinds = (Resolver404, ImproperlyConfigured, ValueError, KeyError)
        return [[kind.__name__ for kind in kinds if isinstance(error, kind)], first]

def run(app, scope):
    return outcome(lambda: asyncio.run(app(scope, None, None)))

def with_setting(value):
    settings.ASGI_APPLICATION = value
    if sys.argv[1] == "compat":  # the shim takes them from Django's
        from compat.settings import settings as ours
        ours.configure(ASGI_APPLICATION=value)
    return outcome(lambda: repr(routing.get_default_application()))

print(json.dumps({
    "routed": [[str(scope), run(router, scope)] for scope in SCOPES],
    "channels": [run(channels, scope) for scope in ({"channel": "known"}, {"channel": "x"}, {})],
    "include": outcome(lambda: URLRouter([path("x/", include([path("y/", App("y"))]))]))[0],
    "default": [with_setting(value) for value in ("x", "no.such.thing", "json.nope", "pathlib.Path")],
}))
"""


def answers(*command: str, where: str) -> Any:
    done = environment(where).run(*command, cwd=REPO)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def upstream() -> Any:
    return answers("python", "-W", "error", "-c", SIDE_BY_SIDE, "channels", where="channels")


def test_our_routers_with_djangos_patterns(upstream: Any) -> None:
    ours = answers("python", "-W", "error", "-c", SIDE_BY_SIDE, "compat", where="channels")
    for our_line, their_line in zip(ours["routed"], upstream["routed"], strict=True):
        assert our_line == their_line
    assert ours == upstream


@pytest.mark.parametrize("where", in_each())
def test_the_shim_in_every_environment(upstream: Any, where: str) -> None:
    """Imports of `channels` and `django` alone: in the bare environment both are ours."""
    ours = answers("python", "-m", "django_shim", "python", "-c", SIDE_BY_SIDE, "channels", where=where)
    assert ours == upstream
