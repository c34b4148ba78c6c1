"""The page of a chat room on Django's ASGI handler."""

from __future__ import annotations

from apps._page import app

__all__ = ["app"]
