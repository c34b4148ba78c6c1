"""Read the handshake of a client here, if it has the form that most clients send.

The server's libraries parse a request line by line, and each list in it separately: a fifth of the cost of a
connection. Here two patterns suffice. The server answers all requests that are unusual or wrong. For the
others the response is made here, but the server may change it, and sends it.

This relies on uvicorn's ``websockets-sansio``, as ``framing`` does: each connection gets its protocol from
``config.ws_protocol_class``; its first data is the whole request, as uvicorn's HTTP protocols have read it
and written it again; it calls ``conn.accept()`` for the response; and the parser is a generator that begins
with frames if the state is OPEN. The first connection of a consumer makes its server known; after that, the
handshakes of all connections of the server are read here. This module needs uvicorn and websockets, so import
it only where the server is loaded.
"""

from __future__ import annotations

import base64
import hashlib
import re
from asyncio import BaseProtocol
from collections.abc import Iterator
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS, Request, Response
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol

__all__ = ["read_for"]

if list(Headers.__slots__) != ["_dict", "_list"]:
    raise ImportError("the headers of this version of websockets are not known")

NAME = rb"[-!#$%&'*+.^_`|~0-9a-z]+"
VALUE = rb"(?:[!-~](?:[\t -~]*[!-~])?)?"
"""Other characters mean different things in different versions of the server and of websockets."""
REQUEST = re.compile(rb"GET ([!-~]+) HTTP/1\.1\r\n((?:" + NAME + b": " + VALUE + rb"\r\n)+)\r\n")
"""A request as the server writes it (RFC 9112, 3 and 5): lower-case names, and no blanks around values."""
HEADER = re.compile("([^:]+): ([^\r]*)\r\n")
KEY = re.compile("[A-Za-z0-9+/]{22}==")
"""16 bytes (RFC 6455, 4.1)."""
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACCEPTED = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
LINES = re.compile("(?:[\t -~]*\r\n)*")
SUBPROTOCOLS = re.compile("TOKEN(?:, ?TOKEN)*".replace("TOKEN", "[-!#$%&'*+.^_`|~0-9A-Za-z]+"))
"""A list without empty items; lists with empty items are left to the server."""
UPGRADES = ("Upgrade", "upgrade", "keep-alive, Upgrade")
"""The values of the header Connection that browsers and proxies send."""


def read_for(config: Any) -> None:
    """Read the handshakes of the server with this ``uvicorn.Config`` from now on.

    Nothing happens if the class of its connections is not uvicorn's own.
    """
    if config.ws_protocol_class is WebSocketsSansIOProtocol:
        config.ws_protocol_class = _Handshaking


class _Handshaking(WebSocketsSansIOProtocol):
    """Reads the request that opens a connection; after that it becomes the server's own protocol again."""

    __slots__ = ()  # an instance keeps its layout

    def data_received(self, data: bytes) -> None:
        self.__class__ = WebSocketsSansIOProtocol  # type: ignore[assignment]
        _leave_parser(self.transport.get_protocol())
        conn = self.conn
        request = _read(conn, data)
        if request is None:
            self.data_received(data)
            return
        conn.__class__ = _Answered
        conn.expect_frames()  # type: ignore[attr-defined]
        self.handle_connect(request)
        conn.__class__ = ServerProtocol


def _leave_parser(http: BaseProtocol) -> None:
    """Free uvicorn's HTTP protocol, which has read the request and hands its connection over.

    It and its parser refer to each other, so they would stay until a garbage collection finds them: 19
    objects for each connection, beside 79 that it needs. uvicorn does the same when an HTTP connection ends.
    """
    if hasattr(http, "parser"):
        http.parser = None  # pyright: ignore[reportAttributeAccessIssue]


class _Request(Request):
    response: Response


class _Answered(ServerProtocol):
    """A connection whose request has been read, and whose response is known."""

    __slots__ = ()

    def expect_frames(self) -> None:
        self.state = OPEN
        self.parser = self.parse()  # the next bytes are frames
        next(self.parser)
        self.state = CONNECTING

    def accept(self, request: Request) -> Response:
        assert isinstance(request, _Request)
        self.accept_called = True
        return request.response


class _Later(Headers):
    """Headers that are put together only if more of them is used than the server uses."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        # The other methods of the class use two attributes, which the server does not need.
        if name not in Headers.__slots__:
            raise AttributeError(name)
        super().__init__(self.known())
        return getattr(self, name)

    def known(self) -> list[tuple[str, str]]:
        """Return the names and values so far."""
        raise NotImplementedError


class _Given(_Later):
    """The headers of a request, of which each occurs once."""

    __slots__ = ("by_name", "pairs")

    def __init__(self, pairs: list[tuple[str, str]], by_name: dict[str, str]) -> None:
        self.pairs, self.by_name = pairs, by_name

    def raw_items(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def get_all(self, key: str) -> list[str]:
        value = self.by_name.get(key.lower())
        return [] if value is None else [value]

    def known(self) -> list[tuple[str, str]]:
        return self.pairs


class _Answers(_Later):
    """The headers of a response, kept as text; without the date, which the server replaces with its own."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text: str | None = text

    def __delitem__(self, key: str) -> None:
        if key != "Date":
            super().__delitem__(key)

    def update(self, *given: Any, **named: str) -> None:
        if self.text is not None and not named and len(given) == 1 and type(given[0]) is list:
            lines = "".join([f"{key}: {value}\r\n" for key, value in given[0]])
            if LINES.fullmatch(lines) and lines.count("\r") == len(given[0]):  # one in each
                self.text += lines
                return
        super().update(*given, **named)

    def serialize(self) -> bytes:
        return super().serialize() if self.text is None else f"{self.text}\r\n".encode("ascii")

    def known(self) -> list[tuple[str, str]]:
        text, self.text = self.text or "", None
        return HEADER.findall(text)


def _read(conn: ServerProtocol, data: bytes) -> _Request | None:
    """Return the request, with the response to it; None if the server has to read it."""
    if (
        type(conn) is not ServerProtocol
        or conn.debug
        or conn.origins is not None
        or conn.available_subprotocols
    ):
        return None
    whole = REQUEST.fullmatch(data) if len(data) < MAX_LINE_LENGTH else None
    if whole is None:
        return None
    pairs = HEADER.findall(whole[2].decode("ascii"))
    given = dict(pairs)
    key = given.get("sec-websocket-key", "")
    usual = (
        len(given) == len(pairs) <= MAX_NUM_HEADERS
        and given.get("connection") in UPGRADES
        and given.get("upgrade", "").lower() == "websocket"
        and given.get("sec-websocket-version") == "13"
        and KEY.fullmatch(key) is not None
        and SUBPROTOCOLS.fullmatch(given.get("sec-websocket-protocol", "none")) is not None
        and "content-length" not in given
        and "transfer-encoding" not in given
    )
    if not usual:
        return None
    request = _Request(whole[1].decode("ascii"), _Given(pairs, given))
    text = ACCEPTED + base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode() + "\r\n"
    if "sec-websocket-extensions" in given:
        try:
            accepted, conn.extensions = conn.process_extensions(request.headers)
        except InvalidHandshake:
            return None
        if accepted is not None:
            text += f"Sec-WebSocket-Extensions: {accepted}\r\n"
    request.response = Response(101, "Switching Protocols", _Answers(text))
    return request
