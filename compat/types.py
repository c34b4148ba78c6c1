"""The shapes that cross the ASGI boundary, and the strings that must not be confused.

``Scope``, ``Message``, ``Receive``, ``Send`` and ``ASGIApp`` are those of the ASGI 3.0 specification
(https://asgi.readthedocs.io/en/latest/specs/main.html). ``is_served`` answers the one question that
the error paths ask of a scope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Literal, NewType, Protocol, TypedDict

__all__ = [
    "ASGIApp",
    "ChannelName",
    "GroupName",
    "HttpDisconnectEvent",
    "HttpRequestEvent",
    "HttpResponseBodyEvent",
    "HttpResponseStartEvent",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "UrlRoute",
    "WebSocketAcceptEvent",
    "WebSocketCloseEvent",
    "WebSocketConnectEvent",
    "WebSocketDisconnectEvent",
    "WebSocketReceiveEvent",
    "WebSocketSendEvent",
    "is_served",
]

ChannelName = NewType("ChannelName", str)
"""A mailbox's name: ASCII letters, digits, ``-``, ``_``, ``.``, and at most one ``!``."""

GroupName = NewType("GroupName", str)
"""A group's name: ASCII letters, digits, ``-``, ``_``, ``.``."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ASGIApp(Protocol):
    """A single-callable ASGI 3.0 application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class UrlRoute(TypedDict):
    """``scope["url_route"]``: what the URL patterns took from the path."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class WebSocketConnectEvent(TypedDict):
    """The handshake has begun; nothing may be sent before accept or close."""

    type: Literal["websocket.connect"]


class WebSocketReceiveEvent(TypedDict, total=False):
    """A frame from the client; exactly one of ``text`` and ``bytes`` is not None."""

    type: Literal["websocket.receive"]
    text: str | None
    bytes: bytes | None


class WebSocketDisconnectEvent(TypedDict, total=False):
    """The connection is over; ``code`` is the client's close code, 1005 or 1006 where there was none."""

    type: Literal["websocket.disconnect"]
    code: int
    reason: str | None


class WebSocketAcceptEvent(TypedDict, total=False):
    """Completes the handshake."""

    type: Literal["websocket.accept"]
    subprotocol: str | None
    headers: list[tuple[bytes, bytes]]


class WebSocketSendEvent(TypedDict, total=False):
    """A frame to the client; exactly one of ``text`` and ``bytes``."""

    type: Literal["websocket.send"]
    text: str
    bytes: bytes


class WebSocketCloseEvent(TypedDict, total=False):
    """Closes the connection, or refuses the handshake with HTTP 403 when sent before accept."""

    type: Literal["websocket.close"]
    code: int
    reason: str


class HttpRequestEvent(TypedDict, total=False):
    """A part of a request's body; ``more_body`` says whether another one comes."""

    type: Literal["http.request"]
    body: bytes
    more_body: bool


class HttpResponseStartEvent(TypedDict, total=False):
    """Status and headers of the answer."""

    type: Literal["http.response.start"]
    status: int
    headers: list[tuple[bytes, bytes]]


class HttpResponseBodyEvent(TypedDict, total=False):
    """A part of the answer's body; ``more_body`` says whether another one comes."""

    type: Literal["http.response.body"]
    body: bytes
    more_body: bool


class HttpDisconnectEvent(TypedDict):
    """The client has left, or has had all of its answer."""

    type: Literal["http.disconnect"]


def is_served(scope: Mapping[str, Any]) -> bool:
    """True when ``scope`` comes from an ASGI server and not from a test's communicator.

    Servers must set ``scope["asgi"]`` (ASGI spec, "Applications"); communicators leave it out. Behind a
    server an error becomes a refusal or a close code and one log record; in a test it reaches the test.
    """
    return "asgi" in scope
