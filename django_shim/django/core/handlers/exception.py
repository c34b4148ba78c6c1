"""From an exception to an error page, with one record in the log."""

from __future__ import annotations

import logging
from typing import Any

from ...conf import settings
from ...http import Http404, HttpRequest
from ...http.multipartparser import MultiPartParserError
from ...urls import get_resolver, get_urlconf
from ...utils.log import one_line
from ...views import debug, defaults
from ..exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from ..signals import got_request_exception

__all__ = ["response_for_exception"]

logger = logging.getLogger("django.request")
security_logger = logging.getLogger("django.security")


def response_for_exception(request: HttpRequest, error: Exception) -> Any:
    """Return the page for ``error``: 404, 403, 400, or 500 for any other error."""
    response: Any
    if isinstance(error, Http404):
        response = debug.not_found(request, error) if settings.DEBUG else _handled(request, 404, error)
    elif isinstance(error, PermissionDenied):
        response = _handled(request, 403, error)
        _log(request, response, "Forbidden (Permission denied): %s", request.path)
    elif isinstance(error, (SuspiciousOperation, BadRequest, MultiPartParserError)):
        shown = settings.DEBUG
        response = debug.server_error(request, error, 400) if shown else _handled(request, 400, error)
        if isinstance(error, SuspiciousOperation):
            named = logging.getLogger(f"{security_logger.name}.{type(error).__name__}")
            _log(request, response, "%s: %s", request.path, error, to=named, level=logging.ERROR)
        else:
            _log(request, response, "Bad request: %s: %s", request.path, error)
    else:
        response = _unforeseen(request, error)
    return response


def log_refusal(request: HttpRequest, response: Any) -> None:
    """One record for a response of 400 and above that has none yet."""
    if response.status_code >= 400 and not getattr(response, "_has_been_logged", False):
        level = logging.ERROR if response.status_code >= 500 else logging.WARNING
        _log(request, response, "%s: %s", response.reason_phrase, request.path, level=level)


def _log(
    request: HttpRequest,
    response: Any,
    message: str,
    *args: object,
    to: logging.Logger = logger,
    level: int = logging.WARNING,
    error: Exception | None = None,
) -> None:
    extra = {"status_code": response.status_code, "request": request}
    to.log(level, message, *map(one_line, args), exc_info=error, extra=extra)
    response._has_been_logged = True


def _handled(request: HttpRequest, status: int, error: Exception) -> Any:
    """Return what the project's handler for that status says; if it fails itself, the built-in 500."""
    try:
        return get_resolver(get_urlconf()).resolve_error_handler(status)(request, exception=error)
    except Exception as failure:  # noqa: BLE001 - the handler of errors has one of its own
        return _unforeseen(request, failure)


def _unforeseen(request: HttpRequest, error: Exception) -> Any:
    response: Any
    got_request_exception.send(sender=None, request=request)
    try:
        response = debug.server_error(request, error) if settings.DEBUG else _project_page(request)
    except Exception:
        logger.exception("the page for an error failed itself: %s", one_line(request.path))
        response = defaults.plain_server_error()
    _log(request, response, "Internal Server Error: %s", request.path, level=logging.ERROR, error=error)
    response.raised = error  # for the test client, which passes it on
    return response


def _project_page(request: HttpRequest) -> Any:
    return get_resolver(get_urlconf()).resolve_error_handler(500)(request)
