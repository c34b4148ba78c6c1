"""What the live server of scenarios_live serves: a consumer that counts users, and Django's pages."""

# mypy: disable-error-code="import-not-found, misc"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

from compat.generic.websocket import JsonWebsocketConsumer
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import AllowedHostsOriginValidator


class CountUsers(JsonWebsocketConsumer):
    def connect(self) -> None:
        from django.contrib.auth.models import User

        self.accept()
        self.send_json(User.objects.count())


def page(request: Any) -> HttpResponse:
    return HttpResponse("a page")


urlpatterns = [path("page/", page)]
websocket = URLRouter([path("ws/", CountUsers.as_asgi())])
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": AllowedHostsOriginValidator(websocket)}
)
