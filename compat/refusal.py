"""Refusing a connection that nobody will take, in a way that servers and clients understand.

An application that raises instead makes the server answer 500 and log a traceback for what is the client's
mistake: a path that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from compat.types import Receive, Scope, Send

__all__ = ["listed", "refuse", "shown"]


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> int:
    """Answer ``status`` with ``text`` to a request, or to a handshake that has not been received from yet.

    Returns the HTTP status that the client sees, which for a handshake is always 403. The ASGI extension
    "websocket.http.response" could say more, but uvicorn (to 0.54) logs "ASGI callable returned without
    completing handshake" after each such answer: an error, for what is a client's mistake.
    """
    if scope["type"] == "http":
        await _respond(send, status, text)
        return status
    message = await receive()
    if message["type"] != "websocket.connect":
        return status  # the client has left meanwhile
    await send({"type": "websocket.close"})
    return 403


def shown(value: str, limit: int = 200) -> str:
    """``value`` as a log line shows what a client sent: quoted, on one line, and not endless."""
    return repr(value if len(value) <= limit else value[: limit - 1] + "…")


def listed(names: Iterable[str], limit: int = 8) -> str:
    """``names`` as a log line shows them: quoted, the first of them, and how many more there are."""
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return (", ".join(quoted[:limit]) or "nothing") + more


async def _respond(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
