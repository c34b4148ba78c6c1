"""Refuse a connection with an HTTP status.

If the application raised an exception instead, the server would answer 500 and log a traceback for a mistake
of the client, such as a path that does not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from compat.types import Receive, Scope, Send

__all__ = [
    "can_respond",
    "connection_lost",
    "listed",
    "on_one_line",
    "refuse",
    "respond",
    "shown",
    "status_seen",
]

_HTTP_RESPONSE = "websocket.http.response"
"""The ASGI extension "WebSocket Denial Response": an HTTP response instead of the plain 403."""

_END_TIMEOUT_S = 1.0


def status_seen(scope: Scope, status: int) -> int:
    """Return the HTTP status that a client sees if ``refuse()`` answers ``status``.

    A server without the extension "websocket.http.response" answers 403 to every refused handshake.
    """
    return status if scope["type"] == "http" or can_respond(scope) else 403


def can_respond(scope: Scope) -> bool:
    """Return True if the server can refuse a handshake with an HTTP response of the application."""
    return _HTTP_RESPONSE in (scope.get("extensions") or {})


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    text: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer a request, or a handshake whose connect message has not been received, with ``status``."""
    if scope["type"] == "http":
        return await respond(send, status, text, headers, kind="http.response")
    message = await receive()
    if message["type"] != "websocket.connect":
        return  # the client has left
    if can_respond(scope):
        await respond(send, status, text, headers)
        await connection_lost(receive)
    else:
        await send({"type": "websocket.close"})


async def connection_lost(receive: Receive) -> None:
    """Wait until the server has closed a connection after its answer, for ``_END_TIMEOUT_S`` at most.

    uvicorn 0.54 logs "ASGI callable returned without completing handshake" if an application returns earlier.
    It delivers two disconnects: one when the answer has been written, one when the connection is lost. Other
    servers deliver one or none, hence the time limit.
    """
    with contextlib.suppress(asyncio.TimeoutError, RuntimeError):
        await asyncio.wait_for(_twice(receive), _END_TIMEOUT_S)


async def _twice(receive: Receive) -> None:
    await receive()
    await receive()


def shown(value: str, limit: int = 200) -> str:
    """Return a client's ``value`` for a log line: quoted, on one line, cut to ``limit`` characters."""
    return repr(value if len(value) <= limit else value[: limit - 1] + "…")


def on_one_line(value: str, limit: int = 200) -> str:
    """Return a client's ``value`` for a log line: as it is if it is short and printable, else ``shown``."""
    return value if len(value) <= limit and value.isprintable() else shown(value, limit)


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Return ``names`` for a log line: the first ``limit`` of them, quoted, and how many more there are."""
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
    """Send a plain-text response; if it refuses a handshake, await ``connection_lost`` after it."""
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": status, "headers": [*headers, *more_headers]})
    await send({"type": f"{kind}.body", "body": body})
