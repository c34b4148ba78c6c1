"""The pages for errors while DEBUG is on: which patterns were tried, where it failed."""

from __future__ import annotations

import traceback
from typing import Any

from compat.patterns import URLPattern

from ..conf import settings
from ..http import HttpRequest, HttpResponse, HttpResponseNotFound
from ..utils.html import escape, format_html, format_html_join

__all__ = ["not_found", "server_error", "technical_404_response", "technical_500_response"]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="robots" content="NONE,NOARCHIVE"><title>{title}</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.5rem; }} pre, code {{ font: 13px/1.5 monospace; background: #f4f4f2; }}
pre {{ padding: 1rem; overflow-x: auto; white-space: pre-wrap; }} footer {{ color: #666; margin-top: 2rem; }}
</style>
</head>
<body><h1>{title}</h1>
{body}
<footer>You see this page because DEBUG is on in {settings}. With DEBUG = False a plain page is sent
instead.</footer> </body> </html>
"""


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, with the patterns that were tried, in order."""
    detail = exception.args[0] if exception.args else None
    rows = [format_html("<p>{} <code>{}</code></p>", str(request.method), request.get_full_path())]
    if isinstance(detail, dict) and "tried" in detail:
        tried = _lines(detail["tried"])
        rows.append(
            format_html(
                "<p>Using the URLconf defined in <code>{}</code>, these were tried in this order:</p>",
                settings.ROOT_URLCONF,
            )
        )
        rows.append(
            format_html(
                "<ol>{}</ol>", format_html_join("", "<li><code>{}</code></li>", ((line,) for line in tried))
            )
        )
        rows.append(
            format_html("<p>The path <code>{}</code> matched none of these.</p>", detail.get("path", ""))
        )
    elif detail is not None:
        rows.append(format_html("<p>{}</p>", str(detail)))
    return HttpResponseNotFound(_page(f"Page not found at {request.path}", rows))


def server_error(request: HttpRequest, exception: BaseException, status: int = 500) -> HttpResponse:
    """Return the exception and its traceback; plain text for a client that is no browser."""
    trace = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    title = f"{type(exception).__name__} at {request.path}"
    if not request.accepts("text/html"):
        return HttpResponse(f"{title}\n\n{trace}", status=status, content_type="text/plain; charset=utf-8")
    rows = [
        format_html("<p>{}</p>", str(exception) or "No exception message supplied"),
        format_html("<p>{} <code>{}</code></p>", str(request.method), request.path),
        format_html("<pre>{}</pre>", trace),
    ]
    return HttpResponse(_page(title, rows), status=status)


def technical_404_response(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's name for ``not_found``."""
    return not_found(request, exception)


def technical_500_response(
    request: HttpRequest, exc_type: Any, exc_value: Any, tb: Any, status_code: int = 500
) -> HttpResponse:
    """Django's name for ``server_error``."""
    return server_error(request, exc_value, status_code)


def _lines(tried: Any) -> list[str]:
    """Return each chain of patterns that was tried, as one line."""
    return [" ".join(_shown(pattern) for pattern in chain) for chain in tried]


def _shown(pattern: Any) -> str:
    name = f" [name='{pattern.name}']" if isinstance(pattern, URLPattern) and pattern.name else ""
    return f"{pattern.pattern}{name}"


def _page(title: str, rows: list[Any]) -> str:
    module = settings.SETTINGS_MODULE or "the settings"
    return _PAGE.format(title=escape(title), body="\n".join(rows), settings=escape(module))
