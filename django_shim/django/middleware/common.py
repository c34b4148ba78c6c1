"""``CommonMiddleware``: refuses unknown hosts, adds the slash that a path lacks, and www if wanted."""

from __future__ import annotations

from typing import Any

from ..conf import settings
from ..core.exceptions import PermissionDenied
from ..core.handlers.loop import LoopMiddleware
from ..http import HttpRequest, HttpResponsePermanentRedirect
from ..urls import is_valid_path

__all__ = ["CommonMiddleware"]


class CommonMiddleware(LoopMiddleware):
    """ALLOWED_HOSTS, APPEND_SLASH, PREPEND_WWW, DISALLOWED_USER_AGENTS."""

    response_redirect_class = HttpResponsePermanentRedirect

    def process_request(self, request: HttpRequest) -> Any:
        """Refuse an unknown host or a disallowed user agent.

        Return the redirect to ``www.``, if that is wanted and missing.
        """
        agent = request.META.get("HTTP_USER_AGENT")
        if agent is not None and any(pattern.search(agent) for pattern in settings.DISALLOWED_USER_AGENTS):
            raise PermissionDenied("Forbidden user agent")
        host = request.get_host()
        if not settings.PREPEND_WWW or host.startswith("www."):
            return None
        path = (
            self.get_full_path_with_slash(request)
            if self.should_redirect_with_slash(request)
            else request.get_full_path()
        )
        return self.response_redirect_class(f"{request.scheme}://www.{host}{path}")

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        """301 to the path with a slash, where that one would have been found; else set Content-Length."""
        if response.status_code == 404 and self.should_redirect_with_slash(request):
            return self.response_redirect_class(self.get_full_path_with_slash(request))
        if not response.streaming and not response.has_header("Content-Length"):
            response.headers["Content-Length"] = str(len(response.content))
        return response

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """Is the path unknown as it is, and known with a slash?"""
        if not settings.APPEND_SLASH or request.path_info.endswith("/"):
            return False
        urlconf = getattr(request, "urlconf", None)
        if is_valid_path(request.path_info, urlconf):
            return False
        match = is_valid_path(f"{request.path_info}/", urlconf)
        return bool(match) and getattr(match.func, "should_append_slash", True)

    def get_full_path_with_slash(self, request: HttpRequest) -> str:
        """The path with a slash and its query; RuntimeError where a form's data would be lost on the way
        (DEBUG).
        """
        path = request.get_full_path(force_append_slash=True)
        if path.startswith("//"):
            path = f"/%2F{path[2:]}"  # "//host/" would leave the site
        if settings.DEBUG and request.method in ("DELETE", "POST", "PUT", "PATCH"):
            raise RuntimeError(
                f"{request.method} {request.path}: the path lacks its slash, and a redirect (APPEND_SLASH) "
                f"would lose the data. Send the form to {path}, or set APPEND_SLASH = False."
            )
        return path
