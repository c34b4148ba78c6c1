"""The page for a form that came without its token: the project's 403_csrf.html, or a plain one."""

from __future__ import annotations

from ..conf import settings
from ..http import HttpRequest, HttpResponseForbidden
from ..template import loader
from ..utils.html import format_html
from .defaults import rendered

__all__ = ["csrf_failure"]

TEMPLATE = "403_csrf.html"

_HELP = """<p>Inside a form that this site's own pages send by POST, write <code>{% csrf_token %}</code>, and
render the template with the request: <code>render(request, …)</code>. A script sends the cookie's value in
the header <code>X-CSRFToken</code>. A view that other programs call is <code>@csrf_exempt</code>.</p>"""


def csrf_failure(
    request: HttpRequest, reason: str = "", template_name: str = TEMPLATE
) -> HttpResponseForbidden:
    """Return 403 with the project's 403_csrf.html; if it has none, a plain page, which gives the reason while
    DEBUG is on.

    Raises TemplateDoesNotExist for a ``template_name`` that the caller gives.
    """
    if template_name != TEMPLATE:
        return HttpResponseForbidden(loader.get_template(template_name).render({}, request))
    if (own := rendered(TEMPLATE, {}, request)) is not None:
        return HttpResponseForbidden(own)
    detail = format_html("<p>Reason: {}</p>", reason) + _HELP if settings.DEBUG else ""
    page = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>403 Forbidden</title></head>\n'
        f"<body><h1>Forbidden (403)</h1><p>CSRF verification failed. Request "
        f"aborted.</p>{detail}</body>\n</html>\n"
    )
    return HttpResponseForbidden(page)
