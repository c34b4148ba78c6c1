"""``get_wsgi_application()``: the project's pages as a WSGI application."""

from __future__ import annotations

from .. import setup
from .handlers.wsgi import WSGIHandler

__all__ = ["get_wsgi_application"]


def get_wsgi_application() -> WSGIHandler:
    """Set Django up and return the application."""
    setup(set_prefix=False)
    return WSGIHandler()
