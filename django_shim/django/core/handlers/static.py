"""The apps' static files, while DEBUG is on: what ``manage.py runserver`` adds in development."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async

from ...conf import settings
from ...http import Http404, HttpRequest
from ..exceptions import DisallowedHost

__all__ = ["static_file_response", "static_prefix"]


def static_prefix() -> str | None:
    """Return the path below which static files are served, or None if they are not."""
    url = settings.STATIC_URL
    if not (settings.DEBUG and url and "django.contrib.staticfiles" in settings.INSTALLED_APPS):
        return None
    parts = urlsplit(url)
    return None if parts.netloc or parts.path == "/" else parts.path


async def static_file_response(request: HttpRequest) -> Any:
    """Return the file that the request is for, or its 404; None when it is for something else."""
    prefix = static_prefix()
    if prefix is None or not request.path.startswith(prefix) or request.method not in ("GET", "HEAD"):
        return None
    return await sync_to_async(_serve, thread_sensitive=False)(request, request.path.removeprefix(prefix))


def _serve(request: HttpRequest, path: str) -> Any:
    from ...contrib.staticfiles.views import serve
    from .exception import log_refusal, response_for_exception

    try:
        request.get_host()  # no middleware checks it here
        return serve(request, path)
    except (Http404, DisallowedHost) as error:
        response = response_for_exception(request, error)
    log_refusal(request, response)
    return response
