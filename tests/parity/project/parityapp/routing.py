"""Each consumer under /ws/sync/ and /ws/async/, with path() and re_path(), flat and nested."""

from channels.routing import URLRouter
from django.urls import path, re_path

from parityapp import async_consumers, sync_consumers


def patterns(consumers):
    return [
        path("echo/", consumers.Echo.as_asgi()),
        path("default/", consumers.Default.as_asgi()),
        path("text-only/", consumers.TextOnly.as_asgi()),
        path("connect-raises/<str:reason>/", consumers.ConnectRaises.as_asgi()),
        path("receive-raises/", consumers.ReceiveRaises.as_asgi()),
        path("disconnect-raises/", consumers.DisconnectRaises.as_asgi()),
        path("silent/", consumers.Silent.as_asgi()),
        path("refusing/<int:code>/", consumers.Refusing.as_asgi()),
        path("closing/", consumers.Closing.as_asgi()),
        path("sending/", consumers.Sending.as_asgi()),
        path("subprotocol/", consumers.Subprotocol.as_asgi()),
        path("json/", consumers.Json.as_asgi()),
        path("scope/", consumers.Scope.as_asgi()),
        path("scope/<int:number>/<slug:word>/", consumers.Scope.as_asgi(), {"extra": "given"}),
        path("early/", consumers.EarlyRoom.as_asgi()),
        path("grouped/", consumers.Grouped.as_asgi()),
        path("other-alias/", consumers.OtherAlias.as_asgi()),
        re_path(r"room/(?P<room>\w+)/$", consumers.Room.as_asgi()),
        re_path(r"^positional/(\w+)/(\d+)/$", consumers.Scope.as_asgi()),
    ]


websocket_urlpatterns = [
    path("ws/sync/", URLRouter(patterns(sync_consumers))),
    path("ws/async/", URLRouter(patterns(async_consumers))),
]
