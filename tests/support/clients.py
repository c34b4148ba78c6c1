"""A blocking websocket client, and HTTP without proxies or redirects: what a browser does, step by step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.support.servers import Address

__all__ = ["SAME_ORIGIN", "Client", "Refused", "get", "shows"]

SAME_ORIGIN = "the server's own"
DEADLINE_S = 15.0


class Refused(Exception):
    """The server answered the handshake with an HTTP status instead of opening the socket."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def get(server: Address, path: str, **headers: str) -> httpx.Response:
    """GET a page; redirects are not followed."""
    with httpx.Client(trust_env=False, timeout=DEADLINE_S) as client:
        return client.get(server.http(path), headers=headers)


def shows(server: Address, text: str, path: str = "/") -> bool:
    """Whether the page is `text` now; False too where the server is just being started anew.

    A server that stops closes connections on which no request has come yet, for httpx a TransportError.
    """
    try:
        return get(server, path).text == text
    except httpx.TransportError:
        return False


class Client:
    """An open websocket. Every wait has a deadline; leaving the block closes with 1000.

    `origin` is what the handshake says of its page: the server's own by default, None for a client that is no
    browser. Like a browser, it takes compressed frames, unless `compression` is None.
    """

    def __init__(
        self,
        server: Address,
        path: str,
        *,
        origin: str | None = SAME_ORIGIN,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] | None = None,
        open_timeout_s: float = DEADLINE_S,
        compression: str | None = "deflate",
    ) -> None:
        if origin == SAME_ORIGIN:
            origin = server.origin
        try:
            opened = connect(
                server.ws(path),
                origin=cast("Origin | None", origin),
                additional_headers=dict(headers or {}),
                subprotocols=cast("Sequence[Subprotocol] | None", subprotocols),
                open_timeout=open_timeout_s,
                compression=compression,
                close_timeout=DEADLINE_S,
                ping_interval=None,  # its thread uses `random`, which Hypothesis takes for a strategy's doing
                proxy=None,
            )
            # Entered here and never left: a test closes by close(), drop() or its own with block.
            self.connection: ClientConnection = opened.__enter__()
        except InvalidStatus as error:
            body = bytes(error.response.body or b"").decode("utf-8", "replace")
            raise Refused(error.response.status_code, body) from None

    @property
    def subprotocol(self) -> str | None:
        return self.connection.subprotocol

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The headers with which the server accepted."""
        response = self.connection.response
        assert response is not None
        return response.headers

    def send(self, data: str | bytes) -> None:
        self.connection.send(data)

    def send_json(self, content: Any) -> None:
        self.send(json.dumps(content))

    def receive(self) -> str | bytes:
        """The next frame; AssertionError with the close code if the server closed instead."""
        try:
            return self.connection.recv(DEADLINE_S)
        except ConnectionClosed:
            raise AssertionError(f"closed with {self.close_code} instead of a frame") from None

    def receive_json(self) -> Any:
        return json.loads(self.receive())

    def ending(self) -> str:
        """How a connection that has ended did so, in words."""
        if self.close_code == 1006:
            return "dropped without a close frame"
        reason = self.connection.protocol.close_reason
        return f"closed with {self.close_code}" + (f" {reason!r}" if reason else "")

    def wait_closed(self) -> tuple[int | None, str]:
        """Code and reason with which the connection ended; frames that come before are an AssertionError.

        1006 means that it ended without a close frame.
        """
        try:
            frame = self.connection.recv(DEADLINE_S)
        except ConnectionClosed:
            return self.close_code, self.connection.protocol.close_reason or ""
        raise AssertionError(f"a frame instead of the end: {frame!r}")

    @property
    def close_code(self) -> int | None:
        return self.connection.protocol.close_code

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.connection.close(code, reason)

    def drop(self) -> None:
        """End the TCP connection without a close frame."""
        self.connection.close_socket()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
