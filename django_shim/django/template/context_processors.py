"""Variables that every template rendered with a request gets, as TEMPLATES lists them."""

from __future__ import annotations

from typing import Any

from ..conf import settings
from ..http.request import HttpRequest
from ..utils.functional import SimpleLazyObject

__all__ = ["csrf", "debug", "i18n", "media", "request", "static", "tz"]


def csrf(request: HttpRequest) -> dict[str, Any]:
    """``csrf_token``, made when it is used; listed or not, templates have it."""
    from ..middleware.csrf import get_token

    return {"csrf_token": SimpleLazyObject(lambda: get_token(request))}


def request(request: HttpRequest) -> dict[str, Any]:
    """``request``"""
    return {"request": request}


def debug(request: HttpRequest) -> dict[str, Any]:
    """``debug``, for those whom INTERNAL_IPS lists; there are no queries."""
    if settings.DEBUG and request.META.get("REMOTE_ADDR") in settings.INTERNAL_IPS:
        return {"debug": True, "sql_queries": []}
    return {}


def i18n(request: HttpRequest) -> dict[str, Any]:
    """``LANGUAGES``, ``LANGUAGE_CODE``, ``LANGUAGE_BIDI``"""
    from ..utils import translation

    return {
        "LANGUAGES": settings.LANGUAGES,
        "LANGUAGE_CODE": translation.get_language(),
        "LANGUAGE_BIDI": translation.get_language_bidi(),
    }


def tz(request: HttpRequest) -> dict[str, Any]:
    """``TIME_ZONE``"""
    from ..utils import timezone

    return {"TIME_ZONE": timezone.get_current_timezone_name()}


def static(request: HttpRequest) -> dict[str, Any]:
    """``STATIC_URL``"""
    return {"STATIC_URL": settings.STATIC_URL}


def media(request: HttpRequest) -> dict[str, Any]:
    """``MEDIA_URL``"""
    return {"MEDIA_URL": settings.MEDIA_URL}
