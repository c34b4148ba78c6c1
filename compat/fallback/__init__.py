"""The way in where websockets are blocked: the same consumers, over requests.

    application = Fallback(application)

A client that has no websocket posts to the same URL, with a header ``Channels-Transport``:

- ``stream``: the response is an event stream with the frames of the server, for two minutes at most;
- ``poll``: the response ends after the first frames, or after 20 s without any, for proxies that hold streams
  back. Then the client asks again;
- ``send``: the body holds frames of the client.

Each is turned into the scope of a websocket, and takes the way that a websocket would take: routers, the
Origin check, sessions, authentication. A response is one more link of a resumable connection
(``compat.resume``), so only consumers, and what is wrapped in ``Resumable``, have this way in.
"""

from __future__ import annotations

from typing import Any

from compat.advice.endpoint import ASGISignature
from compat.advice.handlers import require_application
from compat.fallback.posting import answer_post
from compat.fallback.requests import TRANSPORTS, offered_by, refuse_request, transport_of
from compat.fallback.stream import answer_link
from compat.settings import settings
from compat.types import Receive, Scope, Send

__all__ = ["Fallback", "fallback_enabled", "is_carrier", "serve"]

SETTING = "CHANNEL_FALLBACK"
BAD_REQUEST = 400
OFFER_FIRST = "Channels-Protocols must offer channels.resume.v1, as a websocket would.\n"


class Fallback:
    """An ASGI application whose websockets can be reached by requests too: ``Fallback(app)``.

    Put it around everything, so that requests take the whole way of websockets. With ``CHANNEL_FALLBACK``,
    a ``ProtocolTypeRouter`` does the same by itself; this class does not ask for the setting.
    """

    __signature__ = ASGISignature()

    def __init__(self, app: Any) -> None:
        require_application(app, "Fallback()")
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_carrier(scope):
            await serve(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def is_carrier(scope: Scope) -> bool:
    """Return True for a request in place of a websocket."""
    return scope["type"] == "http" and scope.get("method") == "POST" and transport_of(scope) is not None


def fallback_enabled() -> bool:
    """Return the setting ``CHANNEL_FALLBACK``; the environment variable goes first.

    Raises ImproperlyConfigured if it is not a bool.
    """
    return settings.is_on(SETTING)


async def serve(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request in place of a websocket; ``app`` gets the scope of that websocket."""
    transport, offered = transport_of(scope), offered_by(scope)
    if transport not in TRANSPORTS:
        await refuse_request(send, BAD_REQUEST, "Channels-Transport must be stream, poll or send.\n")
    elif offered is None:
        await refuse_request(send, BAD_REQUEST, OFFER_FIRST)
    elif transport == "send":
        await answer_post(app, scope, offered, receive, send)
    else:
        await answer_link(app, scope, offered, receive, send, polls=transport == "poll")
