"""Limits for the number of consumers' websockets; off by default, and then without cost.

``CHANNEL_MAX_CONNECTIONS``, ``CHANNEL_MAX_CONNECTIONS_PER_CLIENT`` (by client address) and
``CHANNEL_MAX_CONNECTIONS_PER_USER`` (by ``scope["user"]``): one more is refused with 503.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from compat.engine.limits import setting_limit
from compat.engine.refusal import refuse, shown, status_seen
from compat.engine.reports import surviving
from compat.names import client_key, person_key
from compat.settings import settings
from compat.types import Receive, Scope, Send, is_served

__all__ = ["Admission", "Admissions", "admissions"]

log = logging.getLogger("compat.limits")

LimitKey = tuple[str, Any]
"""What connections are counted by: ("all", None), ("client", address) or ("user", key)."""

WHOSE = {"all": "the server", "client": "this client", "user": "this user"}
LIMIT_SETTINGS = tuple(f"CHANNEL_MAX_CONNECTIONS{per}" for per in ("", "_PER_CLIENT", "_PER_USER"))
SERVICE_UNAVAILABLE = 503


class Admission:
    """One connection that is counted: among those whose client is here, or those whose client is away."""

    __slots__ = ("_among", "_away", "_here", "limits")

    def __init__(
        self, here: Counter[LimitKey], away: Counter[LimitKey], limits: Mapping[LimitKey, float]
    ) -> None:
        self._here, self._away = here, away
        self._among: Counter[LimitKey] | None = None
        self.limits = limits
        """The limits that apply to it, by what they count."""

    def full(self) -> str | None:
        """Return why a client that is away could not come back now, or None if it could."""
        return _full(self._here, self.limits) if self._among is self._away else None

    def resume(self) -> None:
        """Count the connection among those whose client is here."""
        self._move(self._here)

    def pause(self) -> LimitKey | None:
        """Count it among those whose client is away; return the key of which these are too many, or None."""
        self._move(self._away)
        return next((key for key, limit in self.limits.items() if self._away[key] > limit), None)

    def end(self) -> None:
        """Stop counting it."""
        self._move(None)

    def _move(self, among: Counter[LimitKey] | None) -> None:
        before, self._among = self._among, among
        if before is not None:
            for key in self.limits:
                before[key] -= 1
                if not before[key]:
                    del before[key]
        if among is not None:
            among.update(dict.fromkeys(self.limits, 1))


def _full(here: Counter[LimitKey], limits: Mapping[LimitKey, float]) -> str | None:
    for key, limit in limits.items():
        if here[key] >= limit:
            return f"{WHOSE[key[0]]} has its {limit:g} connections"
    return None


class Admissions:
    """The connections of this process, counted for the limits that are set."""

    def __init__(self) -> None:
        self.draining = False
        """True while the process is about to stop; it then admits no connection."""
        self._here: Counter[LimitKey] = Counter()
        self._away: Counter[LimitKey] = Counter()

    def refuse_all(self) -> None:
        """Admit no connection from now on, because the process is about to stop."""
        self.draining = True

    def open_to_all(self) -> bool:
        """Return True if every connection is admitted: no limit is set, and the process is not stopping."""
        return not self.draining and settings.all_none(LIMIT_SETTINGS)

    @contextlib.asynccontextmanager
    async def admit(self, scope: Scope, receive: Receive, send: Send) -> AsyncIterator[Admission | None]:
        """Count a connection while the block runs; yield None if it has been refused with 503."""
        if scope.get("type") != "websocket" or not is_served(scope):
            yield Admission(self._here, self._away, {})
            return
        limits = self._limits(scope)
        full = "the server is about to stop" if self.draining else _full(self._here, limits)
        if full:
            seen = status_seen(scope, SERVICE_UNAVAILABLE)
            with surviving():
                log.warning("websocket %s refused with %d: %s", shown(scope.get("path", "-")), seen, full)
            await refuse(scope, receive, send, SERVICE_UNAVAILABLE, full)
            yield None
            return
        admission = Admission(self._here, self._away, limits)
        admission.resume()
        try:
            yield admission
        finally:
            admission.end()

    @staticmethod
    def _limits(scope: Scope) -> dict[LimitKey, float]:
        """Return the limits that are set and apply to a connection, by what they count.

        Raises TypeError for a user without a key.
        """
        limits: dict[LimitKey, float] = {}
        if (total := setting_limit("CHANNEL_MAX_CONNECTIONS")) is not None:
            limits["all", None] = total
        if (per_client := setting_limit("CHANNEL_MAX_CONNECTIONS_PER_CLIENT")) is not None:
            client = client_key(scope)
            if client is not None:
                limits["client", client] = per_client
        if (per_user := setting_limit("CHANNEL_MAX_CONNECTIONS_PER_USER")) is not None:
            key = person_key(scope.get("user"))
            if key is not None:
                limits["user", key] = per_user
        return limits


admissions = Admissions()
"""The connections of this process."""
