"""The page for a form that came without its token."""

from __future__ import annotations

from ..conf import settings
from ..http import HttpRequest, HttpResponseForbidden
from ..utils.html import format_html

__all__ = ["csrf_failure"]

_HELP = """<p>Inside a form that this site's own pages send by POST, write <code>{% csrf_token %}</code>, and
render the template with the request: <code>render(request, …)</code>. A script sends the cookie's value in
the header <code>X-CSRFToken</code>. A view that other programs call is <code>@csrf_exempt</code>.</p>"""


def csrf_failure(
    request: HttpRequest, reason: str = "", template_name: str = "403_csrf.html"
) -> HttpResponseForbidden:
    """403; with the reason, and what to do, while DEBUG is on."""
    detail = format_html("<p>Reason: {}</p>", reason) + _HELP if settings.DEBUG else ""
    page = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>403 Forbidden</title></head>\n'
        f"<body><h1>Forbidden (403)</h1><p>CSRF verification failed. Request "
        f"aborted.</p>{detail}</body>\n</html>\n"
    )
    return HttpResponseForbidden(page)
