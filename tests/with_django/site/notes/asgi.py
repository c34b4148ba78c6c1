"""Pages, sockets and the worker's channel."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notes.settings")
pages = get_asgi_application()

from notes.consumers import Counting, Shouting, Writing  # noqa: E402 - models need the apps

sockets = URLRouter([path("ws/write/", Writing.as_asgi()), path("ws/count/", Counting.as_asgi())])
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets)),
        "channel": ChannelNameRouter({"shouts": Shouting.as_asgi()}),
    }
)
