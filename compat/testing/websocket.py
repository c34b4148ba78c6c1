"""A communicator for one websocket connection, which acts as the client."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlparse

from compat.testing.application import ApplicationCommunicator
from compat.types import ASGIApp, Scope

__all__ = ["WebsocketCommunicator"]


class WebsocketCommunicator(ApplicationCommunicator):
    """Connects to ``application`` at ``path``: a path with or without a query string, or a whole URL.

    The scope has the client's values (path, query, headers as pairs of bytes, subprotocols), but none of a
    server: no client, server, scheme or asgi. To change it, change ``communicator.scope`` before
    ``connect()``. ``async with WebsocketCommunicator(…) as client:`` connects, and disconnects at the end.
    """

    def __init__(
        self,
        application: ASGIApp,
        path: str,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | None = None,
    ) -> None:
        if not isinstance(path, str):
            raise TypeError(f"Expected str, got {type(path)}: the path, such as '/ws/chat/'")
        url = urlparse(path)
        scope: Scope = {
            "type": "websocket",
            "path": unquote(url.path),
            "query_string": url.query.encode(),
            "headers": headers or [],
            "subprotocols": subprotocols or [],
        }
        if spec_version:
            scope["spec_version"] = spec_version
        super().__init__(application, scope)
        self.response_headers: list[tuple[bytes, bytes]] | None = None
        """The headers of the accepted handshake; None before ``connect()``."""
        self.subprotocol: str | int | None = None
        """The chosen subprotocol, inside of an ``async with`` block."""

    async def connect(self, timeout: float | None = 1) -> tuple[bool, str | int | None]:
        """Connect; return ``(True, subprotocol)`` if accepted, ``(False, close code)`` if refused.

        A close without a code counts as 1000. A real server answers a refused client with HTTP 403 and no
        code.
        """
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        if answer["type"] == "websocket.close":
            return False, answer.get("code", 1000)
        self._expect(answer, "websocket.accept")
        self.response_headers = answer.get("headers", [])
        return True, answer.get("subprotocol")

    async def send_to(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send one frame with text or bytes, exactly one of them and not empty."""
        if bool(text_data) == bool(bytes_data):
            raise AssertionError(
                "You must supply exactly one of text_data or bytes_data, and it must not be empty; for an "
                'empty frame write send_input({"type": "websocket.receive", "text": ""})'
            )
        if text_data:
            if not isinstance(text_data, str):
                raise AssertionError("The text_data argument must be a str")
            await self.send_input({"type": "websocket.receive", "text": text_data})
        else:
            if not isinstance(bytes_data, bytes):
                raise AssertionError("The bytes_data argument must be bytes")
            await self.send_input({"type": "websocket.receive", "bytes": bytes_data})

    async def send_json_to(self, data: Any) -> None:
        """Send ``data`` as JSON in a text frame."""
        await self.send_to(text_data=json.dumps(data))

    async def receive_from(self, timeout: float | None = 1) -> str | bytes:
        """Return the next frame as str or bytes; raise AssertionError if the application closes the
        connection.
        """
        frame = await self.receive_output(timeout)
        self._expect(frame, "websocket.send")
        if ("text" in frame) == ("bytes" in frame):
            raise AssertionError("The response needs exactly one of 'text' or 'bytes'")
        if "text" in frame:
            text = frame["text"]
            if not isinstance(text, str):
                raise AssertionError(f"Text frame payload is not str, it is {type(text)}")
            return text
        payload = frame["bytes"]
        if not isinstance(payload, bytes):
            raise AssertionError(f"Binary frame payload is not bytes, it is {type(payload)}")
        return payload

    async def receive_json_from(self, timeout: float | None = 1) -> Any:
        """Return the JSON value of the next frame, which must be text."""
        payload = await self.receive_from(timeout)
        if not isinstance(payload, str):
            raise AssertionError(f"JSON data is not a text frame, it is {type(payload)}")
        return json.loads(payload)

    async def disconnect(self, code: int = 1000, timeout: float | None = 1) -> None:
        """Close the connection as the client, wait until the application ends, and raise its error."""
        await self.send_input({"type": "websocket.disconnect", "code": code})
        await self.wait(timeout)

    async def __aenter__(self) -> WebsocketCommunicator:
        """Connect; raise AssertionError if the connection is refused."""
        try:
            accepted, detail = await self.connect()
            if not accepted:
                raise AssertionError(f"the websocket {self.scope['path']!r} was refused with {detail}")
        except BaseException:  # __aexit__ is not called
            self.stop(exceptions=False)
            raise
        self.subprotocol = detail
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect, and raise the application's error, unless the block has raised one."""
        if exc_info[0] is not None:
            self.stop(exceptions=False)
        elif self.future.done():
            if not self.future.cancelled():  # by a time limit, which the block has expected
                self.future.result()
        else:
            await self.disconnect()

    @staticmethod
    def _expect(message: Any, kind: str) -> None:
        if message["type"] != kind:
            raise AssertionError(f"Expected type '{kind}', but was '{message['type']}'")
