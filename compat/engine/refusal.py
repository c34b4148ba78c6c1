"""Refuse a connection in a way that servers and clients understand.

An application that raises instead makes the server answer 500 and log a traceback for what is the client's
mistake: a path that does not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from compat.types import Receive, Scope, Send

__all__ = ["can_respond", "connection_lost", "listed", "refuse", "respond", "shown", "status_seen"]

_HTTP_RESPONSE = "websocket.http.response"
"""The ASGI extension "WebSocket Denial Response": an HTTP response instead of the plain 403."""

_END_TIMEOUT_S = 1.0


def status_seen(scope: Scope, status: int) -> int:
    """The HTTP status that a client sees where ``refuse()`` answers ``status``.

    A server without the "websocket.http.response" extension has 403 for every handshake that is refused.
    """
    return status if scope["type"] == "http" or can_respond(scope) else 403


def can_respond(scope: Scope) -> bool:
    """Return True where the server can refuse a handshake with an HTTP response of the application."""
    return _HTTP_RESPONSE in (scope.get("extensions") or {})


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    text: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer ``status`` with ``text`` to a request, or to a handshake that has not been received from yet."""
    if scope["type"] == "http":
        return await respond(send, status, text, headers, kind="http.response")
    message = await receive()
    if message["type"] != "websocket.connect":
        return  # the client has left meanwhile
    if can_respond(scope):
        await respond(send, status, text, headers)
        await connection_lost(receive)
    else:
        await send({"type": "websocket.close"})


async def connection_lost(receive: Receive) -> None:
    """Wait until the server has let go of the connection that was answered.

    uvicorn 0.54 logs "ASGI callable returned without completing handshake" for an application that returns
    earlier. It tells the disconnect twice, when the answer has been written and when the connection is lost;
    of other servers one only is to be had, or none, hence the limit.
    """
    with contextlib.suppress(asyncio.TimeoutError, RuntimeError):
        await asyncio.wait_for(_twice(receive), _END_TIMEOUT_S)


async def _twice(receive: Receive) -> None:
    await receive()
    await receive()


def shown(value: str, limit: int = 200) -> str:
    """``value`` as a log line shows what a client sent: quoted, on one line, and not endless."""
    return repr(value if len(value) <= limit else value[: limit - 1] + "…")


def listed(names: Iterable[str], limit: int = 8) -> str:
    """``names`` as a log line shows them: quoted, the first of them, and how many more there are."""
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return (", ".join(quoted[:limit]) or "nothing") + more


async def respond(
    send: Send,
    status: int,
    text: str,
    more_headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    kind: str = _HTTP_RESPONSE,
) -> None:
    """Send a response in plain text; ``connection_lost`` is to follow where it refuses a handshake."""
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": status, "headers": [*headers, *more_headers]})
    await send({"type": f"{kind}.body", "body": body})
