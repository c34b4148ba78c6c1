"""A check of the Origin header: which web pages may open a websocket.

Browsers let any page open a websocket to any host, and send that host's cookies. The Origin header, which a
page cannot forge, names the site of the page. The handshake of a page that is not allowed is refused (HTTP
403), with one warning on the logger "compat.security".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import ParseResult, urlparse

from compat.advice.endpoint import ASGISignature, connection_of
from compat.advice.handlers import require_application
from compat.engine.refusal import listed, shown
from compat.exceptions import ImproperlyConfigured
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.security.origin import covered
from compat.settings import settings
from compat.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["AllowedHostsOriginValidator", "OriginValidator", "WebsocketDenier", "allowed_hosts"]

logger = logging.getLogger("compat.security")

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class OriginValidator:
    """Passes a websocket on to ``application`` if its Origin matches one of ``allowed_origins``.

    Each is one of

    - ``"*"``: any origin, and clients without one;
    - ``"example.com"``: that host, under any scheme and at any port;
    - ``"example.com:8000"``: that host at that port, under any scheme;
    - ``".example.com"``: that domain and every domain below it;
    - ``"https://example.com"``: that scheme, host and port (by default 443 for https and wss, 80 for http and
      ws). Browsers send the scheme of the page: http or https, never ws or wss.

    A client without an Origin, or with one that is not a URL (``null``), is refused unless the list has a
    ``"*"``. Raises ValueError for a scope that is not a websocket's.
    """

    __signature__ = ASGISignature()
    allowed_origins: Sequence[str]

    def __init__(self, application: Any, allowed_origins: Sequence[str]) -> None:
        require_application(application, type(self).__name__)
        if isinstance(allowed_origins, str) and allowed_origins != "*":
            raise TypeError(f"allowed_origins must be a list of strings: write [{allowed_origins!r}]")
        self.application: ASGIApp = application
        self.allowed_origins = allowed_origins

    @overload
    async def __call__(self, websocket: WebSocket, /) -> Any: ...

    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any: ...

    async def __call__(self, scope: Any, receive: Any = None, send: Any = None) -> Any:
        scope, receive, send = connection_of(scope, receive, send)
        if scope["type"] != "websocket":
            raise ValueError(
                "You cannot use OriginValidator on a non-WebSocket connection: put it under 'websocket' in a "
                f"ProtocolTypeRouter, not around it (this scope's type is {scope['type']!r})"
            )
        origin = _origin_header(scope)
        if self.valid_origin(_parse(origin)):
            return await self._let_through(scope, receive, send)
        logger.warning(
            "websocket %s refused with 403: %s", shown(scope.get("path", "")), self._reason(origin)
        )
        return await WebsocketDenier()(scope, receive, send)

    async def _let_through(self, scope: Scope, receive: Receive, send: Send) -> Any:
        token = covered.set(True)
        try:
            return await self.application(scope, receive, send)
        finally:
            covered.reset(token)

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Return True if a handshake with this Origin is allowed; None is a missing Origin, or one that is
        not a URL.
        """
        if parsed_origin is None and "*" not in self.allowed_origins:
            return False
        return self.validate_origin(parsed_origin)

    def validate_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Return True if one of ``allowed_origins`` matches."""
        return any(
            pattern == "*" or self.match_allowed_origin(parsed_origin, pattern)
            for pattern in self.allowed_origins
        )

    def match_allowed_origin(self, parsed_origin: ParseResult | None, pattern: str) -> bool:
        """Return True if the pattern, which is not ``"*"``, matches; the class documents the patterns."""
        if parsed_origin is None or parsed_origin.hostname is None:
            return False
        pattern = pattern.lower()
        parsed = _parse(pattern if "://" in pattern else f"//{pattern}")
        if parsed is None:
            return False
        if parsed.scheme:
            same_port = self.get_origin_port(parsed) == self.get_origin_port(parsed_origin)
            same_place = same_port and parsed.scheme == parsed_origin.scheme
        else:
            port = _written_port(parsed) if parsed.hostname else None  # "::1" has colons, but no port
            same_place = port is None or port == self.get_origin_port(parsed_origin)
        return same_place and _covers(parsed.hostname or pattern, parsed_origin.hostname)

    def get_origin_port(self, origin: ParseResult) -> int | None:
        """Return the port of the URL, else that of its scheme, or None."""
        port = _written_port(origin)
        return _DEFAULT_PORTS.get(origin.scheme) if port is None else port

    def _reason(self, origin: str | None) -> str:
        given: Any = getattr(self, "allowed_origins", None)  # a subclass that decides alone may have anything
        setting = isinstance(given, _AllowedHosts)
        allowed = list(given) if isinstance(given, Iterable) else []
        place = "ALLOWED_HOSTS" if setting else "allowed_origins"
        if origin is None:
            return (
                "it has no Origin header. Browsers send one; another client can send that of this host, such "
                f"as 'Origin: https://example.com'. Only '*' in {place} allows clients without one, but it "
                "also allows the pages of every site."
            )
        parsed = _parse(origin)
        if parsed is None or not parsed.hostname:
            return f"its Origin {shown(origin)} has no host. Only '*' in {place} allows it."
        empty = "empty, and DEBUG is False" if setting else "empty"
        known = listed(allowed) if allowed else empty
        fix = f"Add {shown(parsed.hostname if setting else origin)} to allow it."
        for star in (one for one in allowed if isinstance(one, str) and one.startswith("*.")):
            fix = f"For a domain and its subdomains write {star[1:]!r}, not {star!r}."
        return f"its Origin {shown(origin)} is not allowed; {place} is {known}. {fix}"


def AllowedHostsOriginValidator(application: Any) -> OriginValidator:
    """Return an OriginValidator that allows the hosts of the setting ``ALLOWED_HOSTS``.

    If that is empty and ``DEBUG`` is True, it allows localhost, 127.0.0.1 and [::1]. It reads the settings at
    each handshake (Channels reads them once), so they may be configured later, and overridden in a test.
    Django's test runner sets DEBUG to False and allows only the host "testserver".
    """
    return OriginValidator(application, _AllowedHosts())


class WebsocketDenier(AsyncWebsocketConsumer):
    """A consumer that refuses every websocket: HTTP 403 from a server, ``(False, 1000)`` in a
    communicator.
    """

    _compat_checked = True  # every client is refused, so its Origin need not be checked

    async def connect(self) -> None:
        await self.close()

    def _compat_find_layer(self) -> None:
        # A refused client needs no channel, which would cost a round trip to the layer's server.
        self.channel_layer = None


def allowed_hosts() -> list[str]:
    """Return the setting ``ALLOWED_HOSTS``; raise ImproperlyConfigured if it is not a list of strings."""
    hosts = settings.get("ALLOWED_HOSTS") or ()
    found: list[Any] = [hosts]
    if isinstance(hosts, Iterable) and not isinstance(hosts, str):
        found = list(hosts)
    if not all(isinstance(host, str) for host in found):
        raise ImproperlyConfigured(
            f'ALLOWED_HOSTS must be a list of strings, such as ["example.com"]; found {hosts!r}'
        )
    return found


class _AllowedHosts(Sequence[str]):
    """The hosts that the settings allow now."""

    def _now(self) -> list[str]:
        hosts = allowed_hosts()
        if not hosts and settings.get("DEBUG"):
            hosts = ["localhost", "127.0.0.1", "[::1]"]
        return hosts

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._now()[index]

    def __len__(self) -> int:
        return len(self._now())

    def __eq__(self, other: object) -> bool:
        return self._now() == other

    __hash__ = None  # type: ignore[assignment] # it is mutable, like a list

    def __repr__(self) -> str:
        return repr(self._now())


def _origin_header(scope: Scope) -> str | None:
    """Return the Origin of the client; the last one if there are several, as in Channels."""
    values = [value for name, value in scope.get("headers", ()) if name == b"origin"]
    return values[-1].decode("latin1") if values else None


def _parse(url: str | None) -> ParseResult | None:
    try:
        return None if url is None else urlparse(url)
    except ValueError:  # for example an IPv6 address without its closing bracket
        return None


def _written_port(url: ParseResult) -> int | None:
    try:
        return url.port
    except ValueError:  # not a number, or too large; -1 equals no other port
        return -1


def _covers(pattern: str, host: str) -> bool:
    if pattern.startswith("."):
        return host == pattern[1:] or host.endswith(pattern)
    return host == pattern
