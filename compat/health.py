"""Health of a process, for load balancers and orchestrators: ``live`` and ``ready``.

    app.add_route("/live", live)
    app.add_route("/ready", ready)

They are endpoints of Starlette and FastAPI, and tell nothing that a stranger may not know.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from compat.clock import steady, wall
from compat.engine.admissions import admissions
from compat.exceptions import LayerUnavailable
from compat.layers import channel_layers, get_channel_layer
from compat.metrics import LayerMetrics
from compat.redis.waiting import SharedAnswer
from compat.settings import settings

__all__ = ["live", "not_ready", "ready"]

SETTING = "CHANNEL_READY_SECONDS"
PING_S, EVERY_S = 2.0, 1.0
"""How long a layer's server may take to answer, and how often it is asked at most."""
OK, UNAVAILABLE, RETRY_AFTER_S = 200, 503, 5


class _Layers:
    """Which layers of this process are away, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        """When a layer went away, as far as is known, by ``steady()``."""
        self._known: set[str] = set()
        """Those that have answered once."""
        self._asking = SharedAnswer(self._ask_all, EVERY_S)

    async def away(self, seconds: float) -> list[str]:
        """Return a sentence for each layer that has been away for so many seconds, or has never answered."""
        await self._asking.get()
        return [text for alias in channel_layers.aliases() if (text := self._said(alias, seconds))]

    async def _ask_all(self) -> None:
        await asyncio.gather(*map(self._ask, channel_layers.aliases()))

    async def _ask(self, alias: str) -> None:
        layer: Any = get_channel_layer(alias)
        ping = getattr(layer, "ping", None)
        began = steady()
        try:
            if ping is not None:
                await asyncio.wait_for(ping(), PING_S)
        except (LayerUnavailable, asyncio.TimeoutError):
            self._since[alias] = min(self._since.get(alias, began), _noticed(layer))
            if getattr(layer, "has_answered", False):  # others have used it before anybody asked here
                self._known.add(alias)
        else:
            self._known.add(alias)
            self._since.pop(alias, None)

    def _said(self, alias: str, seconds: float) -> str:
        if alias not in self._known:
            return f"layer {alias!r} has not answered yet"
        away_s = steady() - self._since[alias] if alias in self._since else -1.0
        return f"layer {alias!r} has been away for {away_s:.0f} s" if away_s >= seconds else ""


def _noticed(layer: Any) -> float:
    """Return since when a layer itself knows that its server is away, by ``steady()``; else infinity."""
    metrics = getattr(layer, "metrics", None)
    gaps = tuple(metrics.gaps) if isinstance(metrics, LayerMetrics) else ()
    began = [gap.began for gap in gaps if gap.ended is None]
    return steady() - (wall() - min(began)) if began else float("inf")


_layers = _Layers()


async def live(request: Request) -> JSONResponse:
    """Answer 200: the event loop runs. A process for which this takes long should be ended."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> JSONResponse:
    """Answer 200 if this process may get new clients, or 503 with ``{"ready": false, "why": [...]}``."""
    why = await not_ready()
    if why:
        wait = {"Retry-After": str(RETRY_AFTER_S)}
        return JSONResponse({"ready": False, "why": why}, UNAVAILABLE, headers=wait)
    return JSONResponse({"ready": True}, OK)


async def not_ready() -> list[str]:
    """Return why this process should get no new clients, a sentence for each reason; empty if it may.

    It is draining (``DRAIN_SECONDS``), or the server of a layer of ours has been away for
    ``CHANNEL_READY_SECONDS`` (10), or has never answered.
    """
    if admissions.draining:
        return ["the server is stopping"]
    return await _layers.away(settings.seconds(SETTING))
