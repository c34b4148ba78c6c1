"""Variables that every template rendered with a request gets, as TEMPLATES lists them."""

from __future__ import annotations

from typing import Any

from ..http import HttpRequest
from ..utils.functional import SimpleLazyObject

__all__ = ["csrf", "request"]


def csrf(request: HttpRequest) -> dict[str, Any]:
    """``csrf_token``, made when it is used; listed or not, templates have it."""
    from ..middleware.csrf import get_token

    return {"csrf_token": SimpleLazyObject(lambda: get_token(request))}


def request(request: HttpRequest) -> dict[str, Any]:
    """``request``"""
    return {"request": request}
