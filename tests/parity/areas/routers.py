"""channels.routing."""

from channels.exceptions import StopConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter, get_default_application
from channels.testing import ApplicationCommunicator
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import include, path, re_path

application = object()


def answers(name):
    async def app(scope, receive, send):
        route = scope.get("url_route", {})
        await send(
            {
                "app": name,
                "args": route.get("args"),
                "kwargs": route.get("kwargs"),
                "left": scope.get("path_remaining"),
            }
        )

    return app


async def hear(app, scope):
    return await ApplicationCommunicator(app, scope).receive_output(1)


async def script(tell):
    router = ProtocolTypeRouter(
        {"websocket": answers("ws"), "channel": ChannelNameRouter({"a": answers("a")})}
    )
    await tell.awaits("websocket", hear(router, {"type": "websocket"}))
    await tell.awaits("unknown type", hear(router, {"type": "other"}))
    await tell.awaits("no type", hear(router, {}))
    await tell.awaits("channel a", hear(router, {"type": "channel", "channel": "a"}))
    await tell.awaits("channel b", hear(router, {"type": "channel", "channel": "b"}))
    await tell.awaits("no channel", hear(router, {"type": "channel"}))
    tell("mapping", sorted(router.application_mapping))
    inner = URLRouter(
        [path("<str:c>/", answers("inner")), re_path(r"^(\d+)/(?P<n>\d+)?$", answers("numbers"))]
    )
    urls = URLRouter(
        [
            path("", answers("root")),
            path("int/<int:a>/", answers("int"), kwargs={"extra": 1}),
            re_path(r"^re/(\w+)/(\d+)/$", answers("positional")),
            re_path(r"^named/(?P<x>\w+)/(\d+)/$", answers("named")),
            re_path(r"^optional/(?P<x>\d+)?$", answers("optional")),
            re_path("anywhere", answers("anywhere")),
            path("deep/<slug:s>/", inner),
            re_path(r"^deeper/(?P<r>\w)/", inner),
            path("uuid/<uuid:u>/", answers("uuid")),
            path("rest/<path:p>", answers("path")),
        ]
    )
    for where in (
        "/",
        "//",
        "int/7/",
        "/int/7/",
        "/int/x/",
        "/int/7",
        "/re/ab/12/",
        "/named/ab/12/",
        "/optional/",
        "/optional/5",
        "/x/anywhere/y",
        "/deep/a-b/c/",
        "/deep/a-b/",
        "/deep/a-b/1/",
        "/deeper/z/4/5",
        "/deeper/z/4/",
        "/uuid/12345678-1234-5678-1234-567812345678/",
        "/uuid/1/",
        "/rest/a/b/c",
        "/rest/",
        "/nobody/",
        "/int/7/?x",
    ):
        await tell.awaits(f"path {where}", hear(urls, {"type": "websocket", "path": where}))
    await tell.awaits("no path", hear(urls, {"type": "websocket"}))
    await tell.awaits(
        "root_path", hear(urls, {"type": "websocket", "path": "/app/int/7/", "root_path": "/app"})
    )
    await tell.awaits(
        "other root_path", hear(urls, {"type": "websocket", "path": "/int/7/", "root_path": "/app"})
    )
    tell.calls("include", lambda: URLRouter([path("x/", include([path("y/", answers("y"))]))]))
    for setting in (
        "areas.routers.application",
        "areas.routers.nothing",
        "no.such.application",
        "dotless",
        None,
    ):
        with override_settings(ASGI_APPLICATION=setting):
            tell.calls(f"ASGI_APPLICATION {setting}", lambda: get_default_application() is application)
    tell("errors", [ImproperlyConfigured.__name__, StopConsumer.__name__])
