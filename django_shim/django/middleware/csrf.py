"""Forms that only this site's own pages may send: a secret in a cookie and, masked, in the form.

Another site can make a browser send a form, cookie and all, but can read neither the cookie nor our pages, so
it cannot put the same secret into the form. What is in the page changes with every rendering (a random mask
in front), because compressed pages leak what stays the same (the BREACH attack). The format is Django's, so
that ``X-CSRFToken`` from the cookie, as its documentation tells scripts to send it, is understood.
"""

from __future__ import annotations

import logging
import string
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async

from ..conf import settings
from ..core.exceptions import DisallowedHost
from ..core.handlers.loop import LoopMiddleware
from ..http import HttpRequest
from ..urls import get_callable
from ..utils.cache import patch_vary_headers
from ..utils.crypto import constant_time_compare, get_random_string
from ..utils.http import is_same_domain
from ..utils.log import one_line

__all__ = ["CsrfViewMiddleware", "get_token", "rotate_token"]


logger = logging.getLogger("django.security.csrf")

SECRET_LENGTH = 32
TOKEN_LENGTH = 2 * SECRET_LENGTH
ALPHABET = string.ascii_letters + string.digits
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
SESSION_KEY = "_csrftoken"


def _mask(secret: str) -> str:
    """Return a random mask, and the secret shifted by it letter by letter."""
    mask = get_random_string(SECRET_LENGTH, ALPHABET)
    return mask + _shift(secret, mask, 1)


def _unmask(token: str) -> str:
    return _shift(token[SECRET_LENGTH:], token[:SECRET_LENGTH], -1)


def _shift(text: str, mask: str, sign: int) -> str:
    places = zip(map(ALPHABET.index, text), map(ALPHABET.index, mask), strict=True)
    return "".join(ALPHABET[(place + sign * by) % len(ALPHABET)] for place, by in places)


def _is_token(value: str) -> bool:
    return len(value) in (SECRET_LENGTH, TOKEN_LENGTH) and all(letter in ALPHABET for letter in value)


def _secret_of(value: str) -> str:
    """Return the secret in a token, masked or bare."""
    return _unmask(value) if len(value) == TOKEN_LENGTH else value


def get_token(request: HttpRequest) -> str:
    """Return the token for a form or a script; asking for it sends the cookie with the response."""
    if "CSRF_COOKIE" not in request.META:
        rotate_token(request)
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = True  # a cookie that is there already lasts longer
    return _mask(request.META["CSRF_COOKIE"])


def rotate_token(request: HttpRequest) -> None:
    """A new secret: for logging in."""
    request.META["CSRF_COOKIE"] = get_random_string(SECRET_LENGTH, ALPHABET)
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = True


class _Rejected(Exception):
    """Why a request is refused."""


def _own_host(request: HttpRequest) -> str:
    """Return the host and port whose pages may send forms: those that get the cookie with the secret."""
    domain = settings.SESSION_COOKIE_DOMAIN if settings.CSRF_USE_SESSIONS else settings.CSRF_COOKIE_DOMAIN
    if domain:
        port = request.get_port()  # cookies know no ports: another service may answer at another one
        return domain if port in ("443", "80") else f"{domain}:{port}"
    try:
        return request.get_host()
    except DisallowedHost as error:
        raise _Rejected(str(error)) from None


class CsrfViewMiddleware(LoopMiddleware):
    """Refuses requests that change something (403) unless they carry the token. Views may be exempt."""

    def process_request(self, request: HttpRequest) -> None:
        """Take the secret out of the cookie."""
        if (secret := self._stored_secret(request)) is not None:
            request.META["CSRF_COOKIE"] = secret

    def process_view(self, request: HttpRequest, callback: Any, args: Any, kwargs: Any) -> Any:
        """Return the page that says why a request is refused, or None for one that is not."""
        rejected = self._rejected(request, callback)
        return None if rejected is None else self._refuse(request, str(rejected))

    async def aprocess_view(self, request: HttpRequest, callback: Any, args: Any, kwargs: Any) -> Any:
        """As ``process_view``, on the event loop; the page may look for the user, so a thread makes it."""
        rejected = self._rejected(request, callback)
        return None if rejected is None else await sync_to_async(self._refuse)(request, str(rejected))

    def _rejected(self, request: HttpRequest, callback: Any) -> _Rejected | None:
        if self._is_exempt(request, callback):
            return None
        if not self._needs_no_token(request):
            # What ``reads_form`` has found is used once: a decorator of the view checks for itself.
            secret = vars(request).pop("_csrf_secret", None) or self._secret(request)
            rejected = secret if isinstance(secret, _Rejected) else self._wrong_token(request, secret)
            if rejected is not None:
                return rejected
        request.csrf_processing_done = True
        return None

    def reads_form(self, request: HttpRequest, callback: Any) -> bool:
        """Check what needs no form, for ``process_view``, which follows; True where that reads the form."""
        if self._is_exempt(request, callback) or self._needs_no_token(request):
            return False
        request._csrf_secret = secret = self._secret(request)  # type: ignore[attr-defined]  # as above
        return not isinstance(secret, _Rejected)

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        """Send the cookie, if a token was asked for while the page was made."""
        if request.META.get("CSRF_COOKIE_NEEDS_UPDATE"):
            self._store(request, response)
            request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
        return response

    def _is_exempt(self, request: HttpRequest, callback: Any) -> bool:
        return request.csrf_processing_done or getattr(callback, "csrf_exempt", False)

    def _needs_no_token(self, request: HttpRequest) -> bool:
        return request.method in SAFE_METHODS or getattr(request, "_dont_enforce_csrf_checks", False)

    def _stored(self, request: HttpRequest) -> str | None:
        if settings.CSRF_USE_SESSIONS:
            session = getattr(request, "session", None)
            return None if session is None else session.get(SESSION_KEY)
        return request.COOKIES.get(settings.CSRF_COOKIE_NAME)

    def _stored_secret(self, request: HttpRequest) -> str | None:
        value = self._stored(request)
        return _secret_of(value) if value is not None and _is_token(value) else None

    def _store(self, request: HttpRequest, response: Any) -> None:
        secret = request.META["CSRF_COOKIE"]
        if settings.CSRF_USE_SESSIONS:
            if self._stored(request) != secret:  # else the session would be saved for every page
                request.session[SESSION_KEY] = secret  # type: ignore[attr-defined]  # SessionMiddleware's
            return
        names = ("domain", "path", "secure", "httponly", "samesite")
        options = {name: getattr(settings, f"CSRF_COOKIE_{name.upper()}") for name in names}
        response.set_cookie(settings.CSRF_COOKIE_NAME, secret, max_age=settings.CSRF_COOKIE_AGE, **options)
        patch_vary_headers(response, ["Cookie"])

    def _check_origin(self, request: HttpRequest) -> None:
        """The Origin header must be this site's or a trusted one; over https without it, the Referer."""
        origin = request.META.get("HTTP_ORIGIN")
        if origin is not None:
            if not self._origin_ok(request, origin):
                raise _Rejected(
                    f"the form comes from {origin}, which is neither this site nor in CSRF_TRUSTED_ORIGINS"
                )
            return
        if request.is_secure():
            self._check_referer(request)

    def _origin_ok(self, request: HttpRequest, origin: str) -> bool:
        try:
            if origin == f"{request.scheme}://{request.get_host()}":
                return True
        except DisallowedHost:
            pass
        if origin in settings.CSRF_TRUSTED_ORIGINS:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        trusted = (urlsplit(one) for one in settings.CSRF_TRUSTED_ORIGINS if "*" in one)
        return any(
            one.scheme == parts.scheme and is_same_domain(parts.netloc, one.netloc.lstrip("*"))
            for one in trusted
        )

    def _check_referer(self, request: HttpRequest) -> None:
        referer = request.META.get("HTTP_REFERER")
        if referer is None:
            raise _Rejected(
                "a request over https has to have a Referer or an Origin, and this one has neither"
            )
        try:
            parts = urlsplit(referer)
        except ValueError:
            raise _Rejected("the Referer is no URL") from None
        if not (parts.scheme and parts.netloc):
            raise _Rejected("the Referer is no URL")
        if parts.scheme != "https":
            raise _Rejected("the form comes from a page over http to a site over https")
        trusted = [urlsplit(one).netloc.lstrip("*") for one in settings.CSRF_TRUSTED_ORIGINS]
        is_trusted = any(is_same_domain(parts.netloc, host) for host in trusted)
        if not is_trusted and not is_same_domain(parts.netloc, _own_host(request)):
            raise _Rejected(
                f"the form comes from {referer}, which is neither this site nor in CSRF_TRUSTED_ORIGINS"
            )

    def _secret(self, request: HttpRequest) -> str | _Rejected:
        """Return the cookie's secret, for a request from an allowed origin; the form is not read for it."""
        try:
            self._check_origin(request)
        except _Rejected as rejected:
            return rejected
        # Not that of META: middleware that logs the user in has put a new one there.
        return self._stored_secret(request) or _Rejected("the request has no CSRF cookie")

    def _wrong_token(self, request: HttpRequest, secret: str) -> _Rejected | None:
        sent, where = self._sent(request)
        if not sent:
            return _Rejected("the request has no CSRF token")
        if not _is_token(sent):
            return _Rejected(
                f"the CSRF token in {where} is no token: it has a wrong length, or wrong characters"
            )
        if not constant_time_compare(_secret_of(sent), secret):
            return _Rejected(f"the CSRF token in {where} is not the cookie's")
        return None

    def _sent(self, request: HttpRequest) -> tuple[str, str]:
        """Return the token that came along: in the form, else in the header."""
        if request.method == "POST":
            try:
                if value := request.POST.get("csrfmiddlewaretoken", ""):
                    return str(value), "POST"
            except OSError:
                pass  # a body that cannot be read has no token in it
        header = settings.CSRF_HEADER_NAME
        return str(
            request.META.get(header, "")
        ), f"the {header.removeprefix('HTTP_').replace('_', '-').title()} HTTP header"

    def _refuse(self, request: HttpRequest, reason: str) -> Any:
        response = get_callable(settings.CSRF_FAILURE_VIEW)(request, reason=reason)
        extra = {"status_code": 403, "request": request}
        logger.warning("Forbidden (%s): %s", one_line(reason), one_line(request.path), extra=extra)
        response._has_been_logged = True
        return response
