"""The page of a chat room on the subset of Django."""

from __future__ import annotations

import django_shim

django_shim.install()

from apps._page import app  # noqa: E402 - imports django

__all__ = ["app"]
