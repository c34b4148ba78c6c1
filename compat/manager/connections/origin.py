"""Which pages may connect: the Origin of a handshake, looked at before a connection is admitted.

The same rule as for consumers (``compat.security``): ``configure(ALLOWED_HOSTS=[…])`` puts the check in front
of every connection, and without it the first browser that comes is the occasion of one warning. A manager's
``allowed_origins`` go before both.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import ParseResult, urlparse

from compat.engine.refusal import shown
from compat.security.origin import CURE, covered
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator
from compat.settings import settings
from compat.types import Receive, Scope, Send, is_served

__all__ = ["OriginCheck"]

log = logging.getLogger("compat.security")


class OriginCheck:
    """The check of one manager. ``allowed``: as an ``OriginValidator`` takes them; None: the settings'."""

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self._own = None if allowed is None else OriginValidator(_nobody, allowed)
        self._by_settings = AllowedHostsOriginValidator(_nobody)
        self._warned = False

    def problem(self, scope: Any) -> str | None:
        """Why a handshake is refused; None for one that is let through."""
        validator = self._own or self._due(scope)
        if validator is None:
            return None
        origin = _origin_of(scope)
        if validator.valid_origin(_parsed(origin)):
            return None
        allowed = ", ".join(map(repr, validator.allowed_origins)) or "nobody"
        place = "allowed_origins of ConnectionManager" if self._own else "ALLOWED_HOSTS"
        return f"its Origin {shown(origin) if origin else origin} is not among {place}, which has {allowed}"

    def allows(self, scope: Any) -> bool:
        """Whether a list of origins, the manager's own or the settings', has that of ``scope``."""
        hosts = settings.chosen("ALLOWED_HOSTS") and settings.get("ALLOWED_HOSTS")
        validator = self._own or (self._by_settings if hosts else None)
        return validator is not None and validator.valid_origin(_parsed(_origin_of(scope)))

    def _due(self, scope: Any) -> OriginValidator | None:
        """The settings' check, where it is asked for and nobody has made it; otherwise perhaps a warning."""
        if not is_served(scope) or covered.get() or not settings.get("CHANNEL_ORIGIN_CHECK"):
            return None
        if settings.chosen("ALLOWED_HOSTS") and settings.get("ALLOWED_HOSTS"):
            return self._by_settings
        if not self._warned and _origin_of(scope) is not None:
            self._warned = True
            log.warning("no Origin check stands in front of the connection manager. %s", CURE)
        return None


def _origin_of(scope: Any) -> str | None:
    values = [value for name, value in scope.get("headers", ()) if name == b"origin"]
    return values[-1].decode("latin1") if values else None


def _parsed(origin: str | None) -> ParseResult | None:
    try:
        return None if origin is None else urlparse(origin)
    except ValueError:
        return None


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """What a validator that is only asked stands in front of."""
