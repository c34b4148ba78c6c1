"""The page with the counters of a server in a soak."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from compat import metrics
from compat.routing import ProtocolTypeRouter


def counted(chat: ProtocolTypeRouter) -> ProtocolTypeRouter:
    """Return ``chat`` with one page for every path: the layer's counters, and the number of consumers."""

    async def counts(scope: Any, receive: Any, send: Any) -> None:
        found = metrics.snapshot()
        page = JSONResponse({**found["layers"]["default"], "connections": found["connections"]["current"]})
        await page(scope, receive, send)

    return ProtocolTypeRouter({**chat.application_mapping, "http": counts})
