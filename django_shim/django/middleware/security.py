"""``SecurityMiddleware``: the headers that the SECURE_* settings ask for, and the redirect to https."""

from __future__ import annotations

import re
from typing import Any

from ..conf import settings
from ..core.handlers.loop import LoopMiddleware
from ..http import HttpRequest, HttpResponsePermanentRedirect

__all__ = ["SecurityMiddleware"]


class SecurityMiddleware(LoopMiddleware):
    """HSTS, nosniff, Referrer-Policy, Cross-Origin-Opener-Policy; a header that the view has set stays."""

    def process_request(self, request: HttpRequest) -> Any:
        """Return the redirect to https, with SECURE_SSL_REDIRECT."""
        if not settings.SECURE_SSL_REDIRECT or request.is_secure():
            return None
        path = request.path.lstrip("/")
        if any(re.search(pattern, path) for pattern in settings.SECURE_REDIRECT_EXEMPT):
            return None
        host = settings.SECURE_SSL_HOST or request.get_host()
        return HttpResponsePermanentRedirect(f"https://{host}{request.get_full_path()}")

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        """Add the headers."""
        if settings.SECURE_HSTS_SECONDS and request.is_secure():
            subdomains = "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
            preload = "; preload" if settings.SECURE_HSTS_PRELOAD else ""
            value = f"max-age={settings.SECURE_HSTS_SECONDS}{subdomains}{preload}"
            response.headers.setdefault("Strict-Transport-Security", value)
        if settings.SECURE_CONTENT_TYPE_NOSNIFF:
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
        policy = settings.SECURE_REFERRER_POLICY
        if policy:
            values = policy.split(",") if isinstance(policy, str) else policy
            response.headers.setdefault("Referrer-Policy", ",".join(value.strip() for value in values))
        if settings.SECURE_CROSS_ORIGIN_OPENER_POLICY:
            response.headers.setdefault(
                "Cross-Origin-Opener-Policy", settings.SECURE_CROSS_ORIGIN_OPENER_POLICY
            )
        return response
