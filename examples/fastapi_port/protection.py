"""Protection of pages and endpoints: allowed hosts, no posts from other sites, no frames.

The Origin check of websockets does not cover HTTP requests: any page may post a form to any site with the
visitor's cookies, and may show any page in a frame unless the page refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

__all__ = ["protect"]

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


def protect(app: Any, hosts: Sequence[str]) -> None:
    """Make ``app`` answer only for ``hosts`` ("example.com", or ".example.com" with its subdomains)."""
    app.add_middleware(OwnPages)
    patterns = [f"*{host}" if host.startswith(".") else host for host in hosts]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=patterns, www_redirect=False)


class OwnPages:
    """Refuses posts from pages of other sites, and forbids browsers to show pages in a frame.

    Browsers send the site of a page that makes a request. Programs do not, and are allowed; a real
    application requires a token from them.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["method"] not in SAFE and is_of_another_site(headers):
            refusal = PlainTextResponse("Pages of other sites may not do this", 403)
            await refusal(scope, receive, send)
            return

        async def framed(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["X-Frame-Options"] = "DENY"
                if "Content-Security-Policy" not in answer:
                    answer["Content-Security-Policy"] = "frame-ancestors 'none'"
            await send(message)

        await self.app(scope, receive, framed)


def is_of_another_site(headers: Headers) -> bool:
    """Return True if a browser says that the request comes from a page of another site."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
