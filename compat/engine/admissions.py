"""Limits for the number of websockets; off by default, and then without cost.

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

Place = tuple[str, Any]
"""A key under which a connection is counted: ("all", None), ("client", address) or ("user", key)."""

WHOSE = {"all": "the server", "client": "this client", "user": "this user"}
PLACES = tuple(f"CHANNEL_MAX_CONNECTIONS{per}" for per in ("", "_PER_CLIENT", "_PER_USER"))
SERVICE_UNAVAILABLE = 503


class Admission:
    """One connection among those that are counted: with those whose client is here, or is away."""

    __slots__ = ("_among", "_away", "_here", "places")

    def __init__(self, here: Counter[Place], away: Counter[Place], places: Mapping[Place, float]) -> None:
        self._here, self._away = here, away
        self._among: Counter[Place] | None = None
        self.places = places
        """Where it is counted, with the limit of each."""

    def full(self) -> str | None:
        """Say where there is no place for a client that is away and would come back; None if there is."""
        return _full(self._here, self.places) if self._among is self._away else None

    def resume(self) -> None:
        """Count the connection with those whose client is here."""
        self._move(self._here)

    def pause(self) -> Place | None:
        """Count it with those whose client is away; return a place in which these are too many, or None."""
        self._move(self._away)
        return next((place for place, limit in self.places.items() if self._away[place] > limit), None)

    def end(self) -> None:
        """Count it no more."""
        self._move(None)

    def _move(self, among: Counter[Place] | None) -> None:
        before, self._among = self._among, among
        if before is not None:
            for place in self.places:
                before[place] -= 1
                if not before[place]:
                    del before[place]
        if among is not None:
            among.update(dict.fromkeys(self.places, 1))


def _full(here: Counter[Place], places: Mapping[Place, float]) -> str | None:
    for place, limit in places.items():
        if here[place] >= limit:
            return f"{WHOSE[place[0]]} has its {limit:g} connections"
    return None


class Admissions:
    """The connections of this process, counted for the limits that are set."""

    def __init__(self) -> None:
        self.draining = False
        """True while the process is about to stop; it then admits no connection."""
        self._here: Counter[Place] = Counter()
        self._away: Counter[Place] = Counter()

    def refuse_all(self) -> None:
        """Admit no connection from now on, because the process is about to stop."""
        self.draining = True

    def open_to_all(self) -> bool:
        """Return True if every connection is admitted: no limit is set, and the process is not stopping."""
        return not self.draining and settings.all_none(PLACES)

    @contextlib.asynccontextmanager
    async def admit(self, scope: Scope, receive: Receive, send: Send) -> AsyncIterator[Admission | None]:
        """Count a connection while the block runs; yield None if it has been refused with 503."""
        if scope.get("type") != "websocket" or not is_served(scope):
            yield Admission(self._here, self._away, {})
            return
        places = self._places(scope)
        full = "the server is about to stop" if self.draining else _full(self._here, places)
        if full:
            seen = status_seen(scope, SERVICE_UNAVAILABLE)
            with surviving():
                log.warning("websocket %s refused with %d: %s", shown(scope.get("path", "-")), seen, full)
            await refuse(scope, receive, send, SERVICE_UNAVAILABLE, full)
            yield None
            return
        admission = Admission(self._here, self._away, places)
        admission.resume()
        try:
            yield admission
        finally:
            admission.end()

    @staticmethod
    def _places(scope: Scope) -> dict[Place, float]:
        """Return the keys under which a connection is counted, with the limit of each.

        Raises TypeError for a user without a key.
        """
        places: dict[Place, float] = {}
        if (total := setting_limit("CHANNEL_MAX_CONNECTIONS")) is not None:
            places["all", None] = total
        if (per_client := setting_limit("CHANNEL_MAX_CONNECTIONS_PER_CLIENT")) is not None:
            client = client_key(scope)
            if client is not None:
                places["client", client] = per_client
        if (per_user := setting_limit("CHANNEL_MAX_CONNECTIONS_PER_USER")) is not None:
            key = person_key(scope.get("user"))
            if key is not None:
                places["user", key] = per_user
        return places


admissions = Admissions()
"""The connections of this process."""
