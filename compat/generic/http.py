"""An HTTP consumer: the whole body in, headers and body out, and a stream as long as it likes.

The behaviour is that of ``channels.generic.http.AsyncHttpConsumer`` (Channels 4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from compat.advice.handlers import check_made
from compat.consumer import AsyncConsumer
from compat.exceptions import StopConsumer
from compat.types import Message

__all__ = ["AsyncConsumer", "AsyncHttpConsumer", "StopConsumer"]

Headers = Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]]


class AsyncHttpConsumer(AsyncConsumer):
    """Subclass it and write ``handle(body)``, which answers by ``send_response()`` or its two halves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_made(self, args)
        self.body: list[bytes] = []

    async def send_headers(self, *, status: int = 200, headers: Headers | None = None) -> None:
        """Send the status and the headers (pairs of bytes, or a dict of them); once, and first."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        await self.send({"type": "http.response.start", "status": status, "headers": list(pairs)})

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        """Send a part of the body, or (``more_body=False``) the last one; AssertionError for a str."""
        if not isinstance(body, bytes):
            raise AssertionError(
                f"Body is not bytes: send_body() was given {type(body).__name__}; encode it first"
            )
        await self.send({"type": "http.response.body", "body": body, "more_body": more_body})

    async def send_response(self, status: int, body: bytes, **kwargs: Any) -> None:
        """Send headers (``kwargs`` as in ``send_headers``) and the whole body."""
        await self.send_headers(status=status, **kwargs)
        await self.send_body(body)

    async def handle(self, body: bytes) -> None:
        """Answer the request; ``body`` is all of it."""
        raise NotImplementedError(f"{type(self).__name__} must implement handle(self, body)")

    async def disconnect(self) -> None:
        """Called when the request has been answered or has failed, or the client has left."""

    async def http_request(self, message: Message) -> None:
        """Collect the body, and answer when it is complete."""
        if "body" in message:
            self.body.append(message["body"])
        if not message.get("more_body"):
            try:
                await self.handle(b"".join(self.body))
            finally:
                await self.disconnect()
            raise StopConsumer

    async def http_disconnect(self, message: Message) -> None:
        """Handle a client that has left before its request was complete."""
        await self.disconnect()
        raise StopConsumer
