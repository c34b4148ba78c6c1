"""The types of ASGI, and types for the names of channels and groups.

``Scope``, ``Message``, ``Receive``, ``Send`` and ``ASGIApp`` are those of the ASGI 3.0 specification
(https://asgi.readthedocs.io/en/latest/specs/main.html).
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
    "is_number",
    "is_served",
]

ChannelName = NewType("ChannelName", str)
"""The name of a mailbox: ASCII letters, digits, ``-``, ``_``, ``.``, and at most one ``!``."""

GroupName = NewType("GroupName", str)
"""The name of a group: ASCII letters, digits, ``-``, ``_``, ``.``."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ASGIApp(Protocol):
    """A single-callable ASGI 3.0 application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class UrlRoute(TypedDict):
    """``scope["url_route"]``: the arguments that the URL patterns have read from the path."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class WebSocketConnectEvent(TypedDict):
    """The handshake begins; the application must accept or close first."""

    type: Literal["websocket.connect"]


class WebSocketReceiveEvent(TypedDict, total=False):
    """A frame from the client; exactly one of ``text`` and ``bytes`` is not None."""

    type: Literal["websocket.receive"]
    text: str | None
    bytes: bytes | None


class WebSocketDisconnectEvent(TypedDict, total=False):
    """The connection has ended; ``code`` is the client's close code, or 1005 or 1006 without one."""

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
    """Closes the connection; before accept, refuses the handshake with HTTP 403."""

    type: Literal["websocket.close"]
    code: int
    reason: str


class HttpRequestEvent(TypedDict, total=False):
    """A part of the body of a request; ``more_body``: another part follows."""

    type: Literal["http.request"]
    body: bytes
    more_body: bool


class HttpResponseStartEvent(TypedDict, total=False):
    """The status and headers of the response."""

    type: Literal["http.response.start"]
    status: int
    headers: list[tuple[bytes, bytes]]


class HttpResponseBodyEvent(TypedDict, total=False):
    """A part of the body of the response; ``more_body``: another part follows."""

    type: Literal["http.response.body"]
    body: bytes
    more_body: bool


class HttpDisconnectEvent(TypedDict):
    """The client has left, or has received the whole response."""

    type: Literal["http.disconnect"]


def is_served(scope: Mapping[str, Any]) -> bool:
    """Return True if ``scope`` comes from an ASGI server, and not from a test's communicator.

    Servers must set ``scope["asgi"]`` (ASGI specification, "Applications"); communicators do not. Behind a
    server an error becomes a refusal or a close code, and one log record; in a test it is raised.
    """
    return "asgi" in scope


def is_number(value: Any) -> bool:
    """Return True for an int or a float, but not for a bool or NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
