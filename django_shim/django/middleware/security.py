"""``SecurityMiddleware``: the headers that the SECURE_* settings ask for, and the redirect to https."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from ..conf import settings
from ..core.handlers.loop import LoopMiddleware
from ..http import HttpRequest, HttpResponsePermanentRedirect

__all__ = ["SecurityMiddleware"]


class _Setting:
    """An attribute that has the value of a setting until a subclass assigns another."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return getattr(settings, self.name)


class SecurityMiddleware(LoopMiddleware):
    """HSTS, nosniff, Referrer-Policy, Cross-Origin-Opener-Policy; a header that the view has set stays."""

    sts_seconds = _Setting("SECURE_HSTS_SECONDS")
    sts_include_subdomains = _Setting("SECURE_HSTS_INCLUDE_SUBDOMAINS")
    sts_preload = _Setting("SECURE_HSTS_PRELOAD")
    content_type_nosniff = _Setting("SECURE_CONTENT_TYPE_NOSNIFF")
    redirect = _Setting("SECURE_SSL_REDIRECT")
    redirect_host = _Setting("SECURE_SSL_HOST")
    referrer_policy = _Setting("SECURE_REFERRER_POLICY")
    cross_origin_opener_policy = _Setting("SECURE_CROSS_ORIGIN_OPENER_POLICY")

    @cached_property
    def redirect_exempt(self) -> list[re.Pattern[str]]:
        """The patterns of SECURE_REDIRECT_EXEMPT, of paths without a slash in front."""
        return [re.compile(pattern) for pattern in settings.SECURE_REDIRECT_EXEMPT]

    def process_request(self, request: HttpRequest) -> Any:
        """Return the redirect to https, with SECURE_SSL_REDIRECT."""
        if not self.redirect or request.is_secure():
            return None
        path = request.path.lstrip("/")
        if any(pattern.search(path) for pattern in self.redirect_exempt):
            return None
        host = self.redirect_host or request.get_host()
        return HttpResponsePermanentRedirect(f"https://{host}{request.get_full_path()}")

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        """Add the headers."""
        if self.sts_seconds and request.is_secure():
            subdomains = "; includeSubDomains" if self.sts_include_subdomains else ""
            preload = "; preload" if self.sts_preload else ""
            value = f"max-age={self.sts_seconds}{subdomains}{preload}"
            response.headers.setdefault("Strict-Transport-Security", value)
        if self.content_type_nosniff:
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
        policy = self.referrer_policy
        if policy:
            values = policy.split(",") if isinstance(policy, str) else policy
            response.headers.setdefault("Referrer-Policy", ",".join(value.strip() for value in values))
        if self.cross_origin_opener_policy:
            response.headers.setdefault("Cross-Origin-Opener-Policy", self.cross_origin_opener_policy)
        return response
