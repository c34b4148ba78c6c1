"""Turn away a client that gets no connection now, so that it tries again."""

from __future__ import annotations

from compat.codes import SERVICE_RESTART
from compat.engine.admissions import SERVICE_UNAVAILABLE
from compat.engine.refusal import can_respond, refuse
from compat.resume.wire import PROTOCOL
from compat.types import Receive, Scope, Send

__all__ = ["send_on", "turn_away"]


async def turn_away(receive: Receive, send: Send, code: int) -> None:
    """Accept the socket of a client and close it with ``code``, which says why."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        await send({"type": "websocket.close", "code": code})


async def send_on(scope: Scope, receive: Receive, send: Send) -> None:
    """Turn away a client of a stopping server; with 503 if possible, so that a balancer tries another one."""
    if can_respond(scope):
        await refuse(scope, receive, send, SERVICE_UNAVAILABLE, "the server is about to stop")
    else:
        await turn_away(receive, send, SERVICE_RESTART)
