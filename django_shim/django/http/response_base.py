"""What all responses have: status, headers, cookies."""

from __future__ import annotations

import datetime
import functools
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any

from ..conf import settings
from ..utils.http import http_date
from .headers import BadHeaderError, ResponseHeaders

__all__ = ["BadHeaderError", "HttpResponseBase", "ResponseHeaders"]

logger = logging.getLogger("django.request")


@functools.lru_cache(maxsize=128)
def _charset_in(content_type: str) -> str | None:
    match = re.search(r';\s*charset="?([^\s;"]+)', content_type, re.IGNORECASE)
    return match[1] if match else None


class HttpResponseBase:
    """Status, headers and cookies: what all responses have."""

    status_code = 200
    streaming = False
    xframe_options_exempt = False
    """Set by the decorator of this name."""

    def __init__(
        self,
        content_type: str | None = None,
        status: int | None = None,
        reason: str | None = None,
        charset: str | None = None,
        headers: Any = None,
    ) -> None:
        self.headers = ResponseHeaders(headers)
        self._charset = charset
        if "Content-Type" not in self.headers:
            self.headers["Content-Type"] = content_type or f"text/html; charset={self.charset}"
        elif content_type:
            raise ValueError("the content type is given twice: in headers, and as content_type")
        self.cookies: SimpleCookie = SimpleCookie()
        self.closed = False
        self._reason_phrase = reason
        self._closable: list[Callable[[], Any]] = []
        if status is not None:
            self.status_code = int(status)
            if not 100 <= self.status_code <= 599:
                raise ValueError(f"{status!r} is no HTTP status: those are 100 to 599")

    @property
    def reason_phrase(self) -> str:
        """The phrase of the status line."""
        if self._reason_phrase is not None:
            return self._reason_phrase
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return "Unknown Status Code"

    @reason_phrase.setter
    def reason_phrase(self, value: str) -> None:
        self._reason_phrase = value

    @property
    def charset(self) -> str:
        """How text becomes bytes."""
        if self._charset is not None:
            return self._charset
        return _charset_in(self.headers.get("Content-Type", "")) or str(settings.DEFAULT_CHARSET)

    @charset.setter
    def charset(self, value: str) -> None:
        self._charset = value

    def __setitem__(self, header: str, value: Any) -> None:
        self.headers[header] = value

    def __delitem__(self, header: str) -> None:
        del self.headers[header]

    def __getitem__(self, header: str) -> Any:
        return self.headers[header]

    def __contains__(self, header: str) -> bool:
        return header in self.headers

    def has_header(self, header: str) -> bool:
        """Is it set, in any case?"""
        return header in self.headers

    def items(self) -> Any:
        """Pairs of header and value."""
        return self.headers.items()

    def get(self, header: str, alternate: Any = None) -> Any:
        """Return a header's value."""
        return self.headers.get(header, alternate)

    def setdefault(self, key: str, value: Any) -> None:
        """Set a header that is not set."""
        self.headers.setdefault(key, value)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: Any = None,
        expires: Any = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
    ) -> None:
        """Set a cookie. ``max_age``: seconds or a timedelta; ``expires``: a datetime in UTC, or its text."""
        self.cookies[key] = value
        morsel = self.cookies[key]
        if isinstance(expires, datetime.datetime):
            zone = datetime.timezone.utc
            moment = expires.astimezone(zone) if expires.tzinfo else expires.replace(tzinfo=zone)
            if max_age is None:
                max_age = max(0, int((moment - datetime.datetime.now(zone)).total_seconds() + 1))
            expires = http_date(moment.timestamp())
        morsel["expires"] = expires or ""
        if max_age is not None:
            seconds = int(max_age.total_seconds() if isinstance(max_age, datetime.timedelta) else max_age)
            morsel["max-age"] = seconds
            morsel["expires"] = expires or http_date(time.time() + seconds)
        for name, text in (("path", path), ("domain", domain), ("secure", secure), ("httponly", httponly)):
            if text:
                morsel[name] = text
        if samesite:
            if samesite.lower() not in ("lax", "none", "strict"):
                raise ValueError(f'samesite is "lax", "none" or "strict", not {samesite!r}')
            morsel["samesite"] = samesite

    def delete_cookie(
        self, key: str, path: str = "/", domain: str | None = None, samesite: str | None = None
    ) -> None:
        """Have the browser forget a cookie; path and domain must be those it was set with."""
        secure = key.startswith(("__Secure-", "__Host-")) or (samesite or "").lower() == "none"
        self.set_cookie(
            key, max_age=0, path=path, domain=domain, secure=secure, expires=http_date(0), samesite=samesite
        )

    def make_bytes(self, value: Any) -> bytes:
        """Return what ``value`` is on the wire."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        return str(value).encode(self.charset)

    def close(self) -> None:
        """Release what the response holds; servers call it when it has been sent."""
        for closer in self._closable:
            try:
                closer()
            except Exception:  # a generator that is still running, because its client has left
                logger.debug("closing the response: %r has failed", closer, exc_info=True)
        self._closable.clear()
        self.closed = True

    # A response can be written to, as files are.
    def write(self, content: Any) -> None:
        raise OSError(f"{type(self).__name__}: cannot be written to")

    def flush(self) -> None: ...

    def tell(self) -> int:
        raise OSError(f"{type(self).__name__}: has no position")

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False
