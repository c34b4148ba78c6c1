"""The page of a chat room as a Django project has it, for Django itself and for the subset."""

from __future__ import annotations

import os
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "apps._page_settings"
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402 - needs the settings
from django.shortcuts import render  # noqa: E402
from django.urls import path  # noqa: E402


def room(request: Any, room_name: str) -> Any:
    """The page."""
    return render(request, "page.html", {"room_name": room_name})


urlpatterns = [path("chat/<str:room_name>/", room)]
app = get_asgi_application()
