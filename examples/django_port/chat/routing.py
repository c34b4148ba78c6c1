from django.urls import path, re_path

from . import consumers

websocket_urlpatterns = [
    path("ws/lobby/", consumers.LobbyConsumer.as_asgi()),
    re_path(r"^ws/rooms/(?P<room>[a-z0-9_-]{1,40})/$", consumers.RoomConsumer.as_asgi()),
]
