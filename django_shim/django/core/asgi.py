"""``get_asgi_application()``: the project's pages as an ASGI application."""

from __future__ import annotations

from .. import setup
from .handlers.asgi import ASGIHandler

__all__ = ["get_asgi_application"]


def get_asgi_application() -> ASGIHandler:
    """Set Django up and return the application. It takes HTTP; anything else is a ValueError."""
    setup(set_prefix=False)
    return ASGIHandler()
