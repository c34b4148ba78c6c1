"""Pages, and two consumers beside them."""

import os

from channels.generic.websocket import AsyncWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "attacked.settings")
pages = get_asgi_application()


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data, bytes_data)


class Sync(JsonWebsocketConsumer):
    def receive_json(self, content):
        self.send_json(content)


sockets = URLRouter(
    [
        path("ws/echo/", Echo.as_asgi()),
        path("ws/session/", SessionMiddlewareStack(Echo.as_asgi())),
        path("ws/sync/", Sync.as_asgi()),
        path("ws/room/<str:name>/", Echo.as_asgi()),
    ]
)
application = ProtocolTypeRouter({"http": pages, "websocket": AllowedHostsOriginValidator(sockets)})
