"""The pages for errors when DEBUG is off: the project's 404.html and so on, or a plain one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ..http import (
    HttpRequest,
    HttpResponseBadRequest,
    HttpResponseForbidden,
    HttpResponseNotFound,
    HttpResponseServerError,
)
from ..template import TemplateDoesNotExist
from ..utils.html import escape

__all__ = [
    "HANDLERS",
    "bad_request",
    "page_not_found",
    "permission_denied",
    "plain_server_error",
    "rendered",
    "server_error",
]

_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<h1>{title}</h1>
<p>{text}</p>
"""


def page_not_found(request: HttpRequest, exception: Exception, template_name: str = "404.html") -> Any:
    """404; the template gets ``request_path`` and ``exception``."""
    reason = exception.args[0] if exception.args and isinstance(exception.args[0], str) else ""
    context = {"request_path": quote(request.path), "exception": reason}
    body = rendered(template_name, context, request)
    text = "There is nothing at this address."
    return HttpResponseNotFound(_page("Not Found", text) if body is None else body)


def server_error(request: HttpRequest, template_name: str = "500.html") -> Any:
    """500; the template gets nothing, not even context processors: they may be what failed."""
    body = rendered(template_name, {}, None)
    return plain_server_error() if body is None else HttpResponseServerError(body)


def plain_server_error() -> HttpResponseServerError:
    """500, without anything of the project's."""
    return HttpResponseServerError(_page("Server Error (500)", ""))


def bad_request(request: HttpRequest, exception: Exception, template_name: str = "400.html") -> Any:
    """400; what was wrong is in the log and not in the page."""
    body = rendered(template_name, {}, None)
    return HttpResponseBadRequest(_page("Bad Request (400)", "") if body is None else body)


def permission_denied(request: HttpRequest, exception: Exception, template_name: str = "403.html") -> Any:
    """403; the template gets ``exception``."""
    body = rendered(template_name, {"exception": str(exception)}, request)
    return HttpResponseForbidden(_page("403 Forbidden", "") if body is None else body)


def rendered(name: str, context: dict[str, Any], request: HttpRequest | None) -> Any:
    """Return the project's own page, if it has one (and the template engine is installed)."""
    from ..template import loader

    try:
        template = loader.get_template(name)
    except (TemplateDoesNotExist, ImportError):
        return None
    return template.render(context, request)


def _page(title: str, text: str) -> str:
    return _PAGE.format(title=escape(title), text=escape(text))


HANDLERS: dict[int, Any] = {400: bad_request, 403: permission_denied, 404: page_not_found, 500: server_error}
"""The view for each status that a URLconf may name a handler for."""
