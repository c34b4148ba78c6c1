"""Check the Origin of a handshake before its connection is admitted.

The rule is the same as for consumers (``compat.security``): ``configure(ALLOWED_HOSTS=[…])`` enables the
check for every connection; without it the first connection from a browser logs one warning. A manager's
``allowed_origins`` override the settings.
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
    """The check of one manager; ``allowed`` are origins as for ``OriginValidator``, None: the settings."""

    def __init__(self, allowed: Sequence[str] | None) -> None:
        self._own = None if allowed is None else OriginValidator(_nobody, allowed)
        self._by_settings = AllowedHostsOriginValidator(_nobody)
        self._warned = False

    def problem(self, scope: Any) -> str | None:
        """Return why a handshake must be refused, or None if it is allowed."""
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
        """Return True if the Origin of ``scope`` is in the manager's list, or in that of the settings."""
        hosts = settings.chosen("ALLOWED_HOSTS") and settings.get("ALLOWED_HOSTS")
        validator = self._own or (self._by_settings if hosts else None)
        return validator is not None and validator.valid_origin(_parsed(_origin_of(scope)))

    def _due(self, scope: Any) -> OriginValidator | None:
        """Return the check of the settings if it is enabled and not done yet; else None, with a warning."""
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
    """An empty application for a validator that only answers questions."""
