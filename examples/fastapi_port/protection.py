"""What stands in front of every page and endpoint: only known hosts, no posts of other sites, no frames.

Origin checks of sockets say nothing of requests: any page may post a form to any site, with the visitor's
cookies, and may show any page that does not refuse inside a frame of its own.
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
    """Have ``app`` answer for ``hosts`` alone ("example.com", ".example.com" with all below it)."""
    app.add_middleware(OwnPages)
    patterns = [f"*{host}" if host.startswith(".") else host for host in hosts]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=patterns, www_redirect=False)


class OwnPages:
    """Refuses what pages of other sites post, and tells browsers to show no page inside a frame.

    Browsers say which site a request that changes something comes from. Programs do not, and are let through:
    an application of yours asks them for a token.
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
    """Whether a browser says that the request comes from a page of another site."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
