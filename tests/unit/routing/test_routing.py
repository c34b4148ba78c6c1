"""Routers: which application gets a connection, what it finds in the scope, and what they refuse to route."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from compat.exceptions import ImproperlyConfigured
from compat.patterns import Pattern, Resolver404, URLPattern, path, re_path
from compat.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter, get_default_application
from compat.settings import settings
from tests.support.apps import App, Middleware, call

NOTHING: Any = (None, None)
"""In the place of receive and send."""


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    with settings.override():
        yield


# ProtocolTypeRouter


async def test_protocol_types() -> None:
    router = ProtocolTypeRouter({"http": App("pages"), "websocket": App("sockets"), "channel": App("tasks")})
    assert await router({"type": "websocket"}, *NOTHING) == "sockets"
    assert await router({"type": "http"}, *NOTHING) == "pages"
    assert await router({"type": "channel", "asgi": {}}, *NOTHING) == "tasks"


@pytest.mark.parametrize("kind", ["lifespan", "http", "aprs"])
async def test_an_unknown_type_is_an_error_where_no_server_asks(kind: str) -> None:
    router = ProtocolTypeRouter({"websocket": App()})
    with pytest.raises(
        ValueError, match=f"No application configured for scope type '{kind}'.*has 'websocket'"
    ):
        await router({"type": kind}, *NOTHING)


async def test_an_unknown_type_of_a_server_is_an_error_if_it_cannot_be_refused() -> None:
    with pytest.raises(ValueError, match=r"No application configured for scope type 'aprs'.*has nothing"):
        await ProtocolTypeRouter({})({"type": "aprs", "asgi": {}}, *NOTHING)


async def test_a_scope_without_a_type_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="type"):
        await ProtocolTypeRouter({})({}, *NOTHING)


# URLRouter


async def test_routes_are_tried_in_order() -> None:
    router = URLRouter(
        [
            path("", App("root")),
            path("foo/", App("foo")),
            re_path(r"bar", App("bar")),
            path("<name>/", App("named")),
            path("foo/", App("never")),
        ]
    )
    assert await call(router, "/") == "root"
    assert await call(router, "/foo/") == "foo"
    assert await call(router, "/x/bar/baz") == "bar"
    assert await call(router, "/other/") == "named"
    assert await call(router, "//foo/") == "foo", "all leading slashes are taken off"


async def test_what_the_application_finds_in_the_scope() -> None:
    app = App()
    router = URLRouter(
        [
            path("year/<int:year>/", app, {"extra": True}),
            re_path(r"^ws/(?P<room>\w+)/$", app),
            re_path(r"^pair/(\d+)/(\w+)/$", app),
            re_path(r"^open/", app),
        ]
    )
    scope = {"type": "websocket", "path": "/year/2026/"}
    await router(scope, *NOTHING)
    assert app.url_route == {"args": (), "kwargs": {"year": 2026, "extra": True}}
    assert app.scope["path_params"] == {"year": 2026, "extra": True}
    assert app.scope["path_remaining"] == ""
    assert app.scope["path"] == "/year/2026/"
    assert scope == {"type": "websocket", "path": "/year/2026/"}, "the application gets a copy"
    await call(router, "/ws/café/")
    assert app.url_route == {"args": (), "kwargs": {"room": "café"}}
    await call(router, f"/ws/{'x' * 200}/")
    assert app.url_route["kwargs"] == {"room": "x" * 200}
    await call(router, "/pair/1/b/")
    assert app.url_route == {"args": ("1", "b"), "kwargs": {}}
    await call(router, "/open/more/")
    assert app.scope["path_remaining"] == "more/"


async def test_kwargs_of_a_route_are_not_shared_between_connections() -> None:
    app = App()
    router = URLRouter([path("x/", app, {"extra": 1})])
    await call(router, "/x/")
    app.url_route["kwargs"]["extra"] = app.scope["path_params"]["extra"] = "changed"
    await call(router, "/x/")
    assert app.url_route["kwargs"] == app.scope["path_params"] == {"extra": 1}


@pytest.mark.parametrize("text", ["/nope/", "/foo", "/foo/x/", ""])
async def test_no_route_is_an_error_where_no_server_asks(text: str) -> None:
    router = URLRouter([path("foo/", App())])
    expected = re.escape(f"No route found for path {text.lstrip('/')!r}. Tried: 'foo/'.")
    with pytest.raises(ValueError, match=expected):
        await call(router, text)


async def test_the_error_says_when_only_the_last_slash_is_missing() -> None:
    router = URLRouter([path("chat/", URLRouter([path("<room>/", App())]))])
    with pytest.raises(ValueError, match="There is a route for the path with a slash at its end"):
        await call(router, "/chat/lobby")
    with pytest.raises(ValueError, match=r"Tried: 'chat/<room>/'\.$"):
        await call(router, "/chat/lobby/x")


async def test_the_error_shows_the_first_routes_only() -> None:
    router = URLRouter([path(f"room{n}/", App()) for n in range(20)])
    with pytest.raises(ValueError, match=r"Tried: 'room0/'.*'room7/' and 12 more\.$"):
        await call(router, "/nope")


async def test_a_scope_without_a_path() -> None:
    with pytest.raises(ValueError, match="No 'path' key in connection scope, cannot route URLs"):
        await URLRouter([path("", App())])({"type": "channel"}, *NOTHING)


@pytest.mark.parametrize(
    ("text", "root", "reached"),
    [
        ("/pre/foo/", "/pre", True),
        ("/pre/foo/", "/pre/", True),
        ("/foo/", "", True),
        ("/foo/", "/", True),
        ("/prefoo/", "/pre", False),
        ("/other/foo/", "/pre", False),
        ("/pre/pre/foo/", "/pre", False),
    ],
)
async def test_root_path_is_taken_off_where_a_slash_follows(text: str, root: str, reached: bool) -> None:
    router = URLRouter([path("foo/", App("foo"))])
    if reached:
        assert await call(router, text, root_path=root) == "foo"
    else:
        with pytest.raises(ValueError, match="No route found for path"):
            await call(router, text, root_path=root)


async def test_the_error_names_a_root_path_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"'/foo/'.*does not begin with root_path '/pre'"):
        await call(URLRouter([path("foo/", App())]), "/foo/", root_path="/pre")


async def test_the_path_may_be_the_root_path() -> None:
    assert await call(URLRouter([path("", App("root"))]), "/pre", root_path="/pre") == "root"


# Nested routers


async def test_nested_routers_add_up() -> None:
    app = App()
    inner = URLRouter([path("page/<int:page>/", app, {"b": 2}), re_path(r"^(\d+)/$", app)])
    router = URLRouter([path("book/<slug:book>/", inner, {"a": 1}), re_path(r"^shelf/(\w+)/", inner)])
    await call(router, "/book/red/page/7/")
    assert app.url_route == {"args": (), "kwargs": {"book": "red", "a": 1, "page": 7, "b": 2}}
    assert app.scope["path_params"] == {"book": "red", "a": 1, "page": 7, "b": 2}
    assert app.scope["path"] == "/book/red/page/7/"
    await call(router, "/shelf/top/3/")
    assert app.url_route == {"args": ("top", "3"), "kwargs": {}}
    assert await call(inner, "/page/7/") == "app", "a router goes on working on its own"


EXTRA = {"from": "innermost", "only": "innermost"}


@pytest.mark.parametrize("wrap", [lambda app: app, Middleware], ids=["bare", "in middleware"])
async def test_faults_tests_url_route_of_nested_routers(wrap: Any) -> None:
    """Arguments by position from outside to inside; of two by one name the inner one, whatever the order."""
    app = App()
    innermost = URLRouter(
        [
            re_path(r"^(\w+)/$", app, EXTRA),
            path("<slug:name>/<int:n>/", app),
        ]
    )
    inner = URLRouter(
        [
            re_path(r"^(?P<name>[a-z]+)/in/", wrap(innermost)),
            re_path(r"^(\d+)/", wrap(innermost), {"from": "inner"}),
        ]
    )
    router = URLRouter(
        [path("<str:name>/<int:n>/", wrap(inner), {"outer": True}), re_path(r"^(\w)-(\w)/", wrap(inner))]
    )
    cases = [
        # by position at each level, and the extra values of two levels
        ("/a-b/1/c/", ("a", "b", "1", "c"), EXTRA),
        # the same names at two levels, in both orders of the values
        ("/z/1/5/y/2/", ("5",), {"name": "y", "n": 2, "outer": True, "from": "inner"}),
        ("/y/2/5/z/1/", ("5",), {"name": "z", "n": 1, "outer": True, "from": "inner"}),
        # at three levels
        ("/a/1/b/in/c/3/", (), {"name": "c", "n": 3, "outer": True}),
        # what only the outer levels took stays
        ("/a/1/b/in/c/", ("c",), {"name": "b", "n": 1, "outer": True, **EXTRA}),
    ]
    for text, args, kwargs in cases:
        scope = {"type": "websocket", "path": text}
        await router(scope, None, None)  # type: ignore[arg-type]
        assert app.url_route == {"args": args, "kwargs": kwargs}, text
        assert app.scope["path_params"] == kwargs and app.scope["path_remaining"] == ""
        assert scope == {"type": "websocket", "path": text}


async def test_where_the_inner_router_has_no_route_the_next_is_tried() -> None:
    inner = URLRouter([path("other/", App())])
    router = URLRouter([path("", URLRouter([path("pre/", inner), path("pre/stuff/", App("found"))]))])
    assert await call(router, "/pre/stuff/") == "found"
    assert await call(router, "/root/pre/stuff/", root_path="/root") == "found"
    with pytest.raises(
        ValueError, match=r"No route found for path 'pre/nope/'\. Tried: 'pre/other/', 'pre/stuff/'"
    ):
        await call(router, "/pre/nope/")


async def test_an_inner_router_alone_raises_resolver404() -> None:
    with pytest.raises(Resolver404, match="No route found for path 'x/'") as caught:
        await call(URLRouter([path("foo/", App())]), "/pre/x/", path_remaining="x/")
    assert caught.value.tried == ["foo/"]


def flagged(inner: Any) -> Any:
    async def wrapper(scope: Any, receive: Any, send: Any) -> Any:
        return await inner(scope, receive, send)

    wrapper._path_routing = True  # type: ignore[attr-defined]
    return wrapper


@pytest.mark.parametrize(
    "wrap",
    [
        flagged,
        Middleware,
        lambda app: Middleware(app, "application"),
        lambda app: Middleware(app, "app"),
        lambda app: Middleware(Middleware(Middleware(app), "application")),
    ],
)
@pytest.mark.parametrize("make", [path, re_path])
async def test_a_router_inside_middleware_gets_the_rest_of_the_path(wrap: Any, make: Any) -> None:
    inner = URLRouter([path("room/<int:n>/", App("room"))])
    router = URLRouter([make("chat/", wrap(inner)), path("chat/rest/", App("rest"))])
    assert await call(router, "/chat/room/7/") == "room"
    assert await call(router, "/chat/rest/") == "rest"
    assert router.routes[0].pattern._is_endpoint is False


async def test_objects_that_wrap_each_other_in_a_circle() -> None:
    one = Middleware(None)
    one.inner = Middleware(one)  # type: ignore[attr-defined]
    router = URLRouter([path("x/", one), path("x/y/", App("app"))])
    assert await call(router, "/x/y/") == "app"


async def test_a_route_of_djangos_shape_with_a_pattern_that_cannot_be_a_prefix() -> None:
    class Odd(Pattern):
        def __init__(self) -> None:
            super().__init__("odd", None, True)

        def match(self, path: str) -> Any:
            return ("", (), {}) if path == "odd/" else None

        def __str__(self) -> str:
            return "odd/"

    assert await call(URLRouter([URLPattern(Odd(), App("odd"))]), "/odd/") == "odd"
    with pytest.raises(ValueError, match="Unsupported pattern type"):
        URLRouter([URLPattern(Odd(), URLRouter([]))])


def test_serves() -> None:
    inner = URLRouter([path("room/", App())])
    router = URLRouter(
        [
            path("a/", Middleware(inner)),
            path("b/", flagged(inner)),
            Route("/page", lambda request: PlainTextResponse("")),
            WebSocketRoute("/socket/{n:int}", App()),
        ]
    )
    assert [router.serves(p) for p in ("/a/room/", "a/room/", "a/nope/", "b/anything", "c/")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert [router.serves(p) for p in ("socket/7", "socket/x", "page")] == [True, False, False]
    assert router.serves("page", "http") and not router.serves("socket/7", "http")


# What a URLRouter refuses to be made of, or warns of


class Consumer:
    @classmethod
    def as_asgi(cls) -> App:
        return App()


def test_a_consumers_class_in_the_place_of_an_application() -> None:
    expected = r"route 'ws/': Consumer is a consumer's class.*Write Consumer\.as_asgi\(\)"
    with pytest.raises(TypeError, match=expected):
        URLRouter([path("ws/", Consumer)])
    with pytest.raises(TypeError, match=r"ProtocolTypeRouter: 'websocket': .*Consumer\.as_asgi\(\)"):
        ProtocolTypeRouter({"websocket": Consumer})
    with pytest.raises(TypeError, match=r"ChannelNameRouter: 'thumbs': .*Consumer\.as_asgi\(\)"):
        ChannelNameRouter({"thumbs": Consumer})


def test_include_is_refused() -> None:
    class URLResolver:
        pattern = path("sub/", App()).pattern
        callback = None

        def __str__(self) -> str:
            return "<URLResolver 'sub/'>"

    expected = re.escape(
        "<URLResolver 'sub/'>: include() is not supported in URLRouter. "
        "Use nested URLRouter instances instead."
    )
    with pytest.raises(ImproperlyConfigured, match=expected):
        URLRouter([URLResolver()])


@pytest.mark.parametrize("odd", ["chat.routing", App(), None])
def test_what_is_no_route(odd: Any) -> None:
    with pytest.raises(TypeError, match="URLRouter takes a list of"):
        URLRouter([odd])


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (path("/ws/", App()), "begins with a slash"),
        (re_path(r"^/ws/", App()), "begins with a slash"),
        (re_path(r"/ws/$", App()), "begins with a slash"),
        (path(r"^ws/(?P<room>\w+)/$", App()), r"Use re_path\(\)"),
    ],
)
def test_a_route_that_never_matches_is_logged(
    odd: URLPattern, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    URLRouter([odd])
    [record] = caplog.records
    assert (record.name, record.levelname) == ("compat.routing", "WARNING")
    assert str(odd.pattern) in record.message.replace("\\\\", "\\")
    assert re.search(says, record.message)


def test_ordinary_routes_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    URLRouter([path("ws/", App()), re_path(r"/ws/", App()), re_path(r"^ws/$", App()), Mount("/x", App())])
    assert not caplog.records


# Starlette's routes in a URLRouter


async def test_starlette_routes_among_patterns() -> None:
    socket, sub = App("socket"), App("sub")
    router = URLRouter(
        [
            WebSocketRoute("/ws/{room}/{n:int}", socket),
            path("ws/<room>/", App("pattern")),
            Mount("/sub/{tenant}", sub),
            Route("/page", App("page"), methods=["GET"]),
        ]
    )
    await call(router, "/ws/lobby/7")
    assert socket.scope["path_params"] == {"room": "lobby", "n": 7}
    assert socket.url_route == {"args": (), "kwargs": {"room": "lobby", "n": 7}}
    assert socket.scope["path_remaining"] == ""
    assert await call(router, "/ws/lobby/") == "pattern"
    await call(router, "/sub/acme/a/b/")
    assert sub.scope["root_path"] == "/sub/acme"
    assert sub.scope["path"] == "/sub/acme/a/b/"
    assert sub.scope["path_remaining"] == "a/b/"
    assert sub.url_route == {"args": (), "kwargs": {"tenant": "acme"}}
    with pytest.raises(ValueError, match="No route found"):
        await call(router, "/page", "websocket")


async def test_a_url_router_inside_a_mount_inside_a_url_router() -> None:
    app = App("inner")
    inner = URLRouter([path("room/<int:n>/", app)])
    mount = Mount("/t/{tenant}", Mount("/deep", inner))
    router = URLRouter([path("v<int:v>/", URLRouter([mount]))])
    await call(router, "/v1/t/acme/deep/room/7/")
    assert app.url_route == {"args": (), "kwargs": {"v": 1, "tenant": "acme", "n": 7}}
    assert app.scope["root_path"] == "/v1/t/acme/deep"
    assert app.scope["path_remaining"] == ""
    await call(router, "/pre/v1/t/acme/deep/room/7/", root_path="/pre")
    assert app.scope["root_path"] == "/pre/v1/t/acme/deep"


async def test_what_a_router_inside_a_mount_does_not_have_is_tried_further_on() -> None:
    inner = URLRouter([path("room/", App("inner"))])
    router = URLRouter([path("", URLRouter([Mount("/pre", inner)])), path("pre/last/", App("last"))])
    assert await call(router, "/pre/last/") == "last"
    with pytest.raises(ValueError, match=r"Tried: '/pre/room/', 'pre/last/'\."):
        await call(router, "/pre/nope/")


async def test_a_starlette_route_where_a_regex_split_the_path_within_a_word() -> None:
    socket = App("socket")
    router = URLRouter([re_path(r"^ws", URLRouter([WebSocketRoute("/chat/", socket)]))])
    await call(router, "/wschat/")
    assert socket.scope["path"] == "/chat/"
    await call(router, "/ws/chat/")
    assert socket.scope["root_path"] == "/ws"


async def test_a_wrong_method_is_answered_unless_a_later_route_matches() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    out: Any = (None, send)
    page = Route("/page", lambda request: PlainTextResponse("page"), methods=["GET"])
    scope = {"type": "http", "path": "/page", "method": "POST", "headers": []}
    await URLRouter([page])(scope, *out)
    assert sent[0]["status"] == 405
    assert await URLRouter([page, path("page", App("later"))])(scope, None, send) == "later"  # type: ignore[arg-type]


# ChannelNameRouter, the default application


async def test_channel_names() -> None:
    router = ChannelNameRouter({"thumbs": App("thumbs"), "mails": App("mails")})
    assert await router({"type": "channel", "channel": "mails"}, *NOTHING) == "mails"
    with pytest.raises(
        ValueError, match="No application configured for channel name 'x'; there are 'thumbs', 'mails'"
    ):
        await router({"type": "channel", "channel": "x"}, *NOTHING)
    with pytest.raises(ValueError, match="ChannelNameRouter got a scope without a 'channel' key"):
        await router({"type": "http"}, *NOTHING)


@pytest.fixture
def asgi_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("compat_test_asgi")
    module.application = App("default")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compat_test_asgi", module)
    return module


def test_default_application(asgi_module: ModuleType) -> None:
    with settings.override(ASGI_APPLICATION="compat_test_asgi.application"):
        assert get_default_application() is asgi_module.application


@pytest.mark.usefixtures("asgi_module")
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "Cannot find ASGI_APPLICATION setting."),
        ("application", "Cannot find ASGI_APPLICATION setting."),
        (
            "no.such.module.application",
            "Cannot import ASGI_APPLICATION module 'no.such.module': No module named 'no'",
        ),
        ("compat_test_asgi.app", "Cannot find 'app' in ASGI_APPLICATION module compat_test_asgi."),
        (
            "compat_test_asgi.x:application",
            "Write a dot instead of the colon: 'compat_test_asgi.x.application'.",
        ),
    ],
)
def test_default_application_that_is_not_there(value: Any, says: str) -> None:
    with (
        settings.override(ASGI_APPLICATION=value),
        pytest.raises(ImproperlyConfigured, match=re.escape(says)),
    ):
        get_default_application()
