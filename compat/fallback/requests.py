"""Requests in place of websockets: their headers, the scope that they become, and answers in words."""

from __future__ import annotations

from typing import Any

from compat.engine.refusal import respond
from compat.resume.posts import Carrier, carry
from compat.resume.wire import PROTOCOL
from compat.types import Scope, Send

__all__ = [
    "HEADERS",
    "NOT_RESUMABLE",
    "TRANSPORTS",
    "announces_body",
    "offered_by",
    "refuse_request",
    "transport_of",
    "websocket_scope",
]

TRANSPORT, PROTOCOLS = b"channels-transport", b"channels-protocols"
"""What kind of request it is, and what a websocket would offer in ``Sec-WebSocket-Protocol``."""
TRANSPORTS = frozenset(("stream", "poll", "send"))
HEADERS = (
    (b"cache-control", b"no-store, no-transform"),  # no proxy compresses it, which would hold it back
    (b"x-accel-buffering", b"no"),  # nginx
    (b"x-content-type-options", b"nosniff"),
)
_OF_THE_BODY = (b"content-length", b"content-type", b"transfer-encoding", TRANSPORT)
NOT_RESUMABLE = (
    "There is no way in but a websocket here: this application is not resumable, or its resume_seconds are "
    "0. Consumers are resumable by themselves; wrap other applications in compat.resume.Resumable.\n"
)


def transport_of(scope: Scope) -> str | None:
    """Return what a request asks for by ``Channels-Transport``; None if it has no such header."""
    for name, value in scope["headers"]:
        if name == TRANSPORT:
            return str(value.decode("latin-1")).strip().lower()
    return None


def announces_body(scope: Scope) -> bool:
    """Return True if a request says that it has a body; one that comes in chunks may be empty."""
    return any(name == b"content-length" and value.strip(b"0 ") for name, value in scope["headers"])


def offered_by(scope: Scope) -> list[str] | None:
    """Return the subprotocols that a request offers; None if ``channels.resume.v1`` is not among them."""
    lines = (value.decode("latin-1") for name, value in scope["headers"] if name == PROTOCOLS)
    offered = [item.strip() for line in lines for item in line.split(",")]
    return offered if PROTOCOL in offered else None


def websocket_scope(scope: Scope, offered: list[str], carrier: Carrier) -> Scope:
    """Return the scope of the websocket that a request stands for."""
    shown = [(name, value) for name, value in scope["headers"] if name not in (*_OF_THE_BODY, PROTOCOLS)]
    made: dict[str, Any] = {
        **scope,
        "type": "websocket",
        "scheme": "wss" if scope.get("scheme") == "https" else "ws",
        "headers": [*shown, (b"sec-websocket-protocol", ", ".join(offered).encode("latin-1"))],
        "subprotocols": offered,
        "extensions": {"websocket.http.response": {}},
    }
    del made["method"]
    carry(made, carrier)
    return made


async def refuse_request(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer with a status and a sentence."""
    await respond(send, status, text, (*HEADERS, *headers), kind="http.response")
